//! What this host holds of lattice state in memory, within bounds. Pure.
//!
//! Entries by bucket and key, deletions among them, and the book that counts them. Knows neither disk nor broker.
//! Invariants: the book agrees with the entries; no more than [`MAX_DELETIONS`] deletions of a bucket are remembered once
//! the [surplus](Known::surplus) is removed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use lattice::bounds::{Book, LimitExceeded, Place, Usage};

use crate::{Bucket, merge::Local};

/// Deletions of one bucket that are remembered; the oldest are forgotten first. Whoever puts and deletes names without
/// end must not make hosts grow.
pub const MAX_DELETIONS: usize = 10_000;

/// The entries.
#[derive(Default)]
pub struct Known {
    entries: HashMap<Bucket, BTreeMap<String, Local>>,
    deletions: HashMap<Bucket, BTreeSet<(u64, String)>>,
    book: Book,
    none: BTreeMap<String, Local>,
}

fn place(bucket: Bucket) -> Option<Place> {
    match bucket {
        Bucket::Lattice => Some(Place::Lattice),
        Bucket::Config => Some(Place::Config),
        // Signed lists have bounds of their own.
        Bucket::Revocations => None,
    }
}

impl Known {
    /// Everything of a bucket.
    #[must_use]
    pub fn of(&self, bucket: Bucket) -> &BTreeMap<String, Local> {
        self.entries.get(&bucket).unwrap_or(&self.none)
    }

    /// One entry.
    #[must_use]
    pub fn get(&self, bucket: Bucket, key: &str) -> Option<&Local> {
        self.of(bucket).get(key)
    }

    /// Whether a value may be held.
    ///
    /// # Errors
    /// [`LimitExceeded`].
    pub fn admit(&self, bucket: Bucket, key: &str, value: &Bytes) -> Result<(), LimitExceeded> {
        place(bucket).map_or(Ok(()), |place| self.book.admit(place, key, value))
    }

    /// Holds an entry, or no longer.
    pub fn set(&mut self, bucket: Bucket, key: &str, entry: Option<Local>) {
        if let Some(place) = place(bucket) {
            match entry.as_ref().and_then(|entry| entry.value.as_ref()) {
                Some(value) => self.book.put(place, key, value),
                None => self.book.remove(place, key),
            }
        }
        let deletions = self.deletions.entry(bucket).or_default();
        let entries = self.entries.entry(bucket).or_default();
        if let Some(new) = entry.as_ref().filter(|entry| entry.value.is_none()) {
            deletions.insert((new.written_ms, key.to_owned()));
        }
        let mut forget = |old: Option<Local>, now: Option<u64>| {
            if let Some(old) = old.filter(|old| old.value.is_none() && Some(old.written_ms) != now) {
                deletions.remove(&(old.written_ms, key.to_owned()));
            }
        };
        match entry {
            Some(entry) => {
                let now = entry.value.is_none().then_some(entry.written_ms);
                forget(entries.insert(key.to_owned(), entry), now);
            }
            None => forget(entries.remove(key), None),
        }
    }

    /// The oldest deletions of a bucket that are more than may be remembered.
    #[must_use]
    pub fn surplus(&self, bucket: Bucket) -> Vec<String> {
        let Some(deletions) = self.deletions.get(&bucket) else { return Vec::new() };
        let surplus = deletions.len().saturating_sub(MAX_DELETIONS);
        deletions.iter().take(surplus).map(|(_, key)| key.clone()).collect()
    }

    /// How much of each kind is held.
    #[must_use]
    pub fn usage(&self) -> Vec<(&'static str, Usage)> {
        self.book.usage().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(value: Option<&'static str>, written_ms: u64) -> Local {
        let value = value.map(Bytes::from);
        Local { value, revision: 1, written_ms, pending: false, replaced: None }
    }

    #[test]
    fn deletions_without_end_are_forgotten_oldest_first() {
        let mut known = Known::default();
        for number in 0..MAX_DELETIONS + 3 {
            known.set(Bucket::Lattice, &format!("k{number}"), Some(local(None, number as u64)));
        }
        assert_eq!(known.surplus(Bucket::Lattice), ["k0", "k1", "k2"]);
        for key in known.surplus(Bucket::Lattice) {
            known.set(Bucket::Lattice, &key, None);
        }
        assert!(known.surplus(Bucket::Lattice).is_empty());
        assert_eq!(known.of(Bucket::Lattice).len(), MAX_DELETIONS);
    }

    #[test]
    fn a_deletion_that_is_put_again_or_deleted_again_counts_once() {
        let mut known = Known::default();
        for entry in [local(None, 1), local(None, 2), local(None, 2), local(Some("x"), 3), local(None, 4)] {
            known.set(Bucket::Config, "k", Some(entry));
        }
        assert_eq!(known.deletions[&Bucket::Config].len(), 1);
        known.set(Bucket::Config, "k", None);
        assert!(known.deletions[&Bucket::Config].is_empty() && known.of(Bucket::Config).is_empty());
    }
}
