//! A broker that keeps buckets as JetStream does, until it is wiped.
//!
//! One value and one revision per key, revisions of a bucket only grow, deletions leave a marker (signed statements leave
//! none), and whoever watches hears of each change in order. What lies between a host and the broker is in `network`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use crate::{Bucket, buckets::Update, merge::Remote};

/// Hears of the changes of a bucket.
pub(super) type Listener = Box<dyn FnMut(&Update) + Send>;

/// The broker. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Broker(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    made: u64,
    buckets: BTreeMap<Bucket, Stream>,
    changes: u64,
}

#[derive(Default)]
struct Stream {
    incarnation: u64,
    revision: u64,
    entries: BTreeMap<String, Remote>,
    listeners: Vec<Listener>,
}

/// A change that somebody asks for.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Put(Bytes),
    /// If this is still the last revision.
    Replace(Option<Bytes>, u64),
    Delete,
}

impl Broker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to watch a bucket, which is made where it is missing: its incarnation, and what it holds now.
    pub(super) fn watch(&self, bucket: Bucket, listener: Listener) -> (String, Vec<Update>) {
        let mut state = self.state();
        let stream = state.stream(bucket);
        stream.listeners.push(listener);
        let mut held: Vec<Update> =
            stream.entries.iter().map(|(key, remote)| Update { key: key.clone(), remote: remote.clone() }).collect();
        held.sort_by_key(|update| update.remote.revision);
        (format!("{bucket:?}-{}", stream.incarnation), held)
    }

    /// Makes a change; the revision of the key, none where another one was there than was to be replaced.
    pub(super) fn change(&self, bucket: Bucket, key: &str, change: Change, now_ms: u64) -> Option<u64> {
        let mut state = self.state();
        state.changes += 1;
        let stream = state.stream(bucket);
        let last = stream.entries.get(key).map_or(0, |remote| remote.revision);
        let value = match change {
            Change::Replace(_, seen) if seen != last => return None,
            Change::Replace(value, _) => value,
            Change::Put(value) => Some(value),
            Change::Delete if bucket == Bucket::Revocations => {
                stream.entries.remove(key);
                return Some(0);
            }
            Change::Delete => None,
        };
        stream.revision += 1;
        let remote = Remote { value, revision: stream.revision, written_ms: now_ms };
        stream.entries.insert(key.to_owned(), remote.clone());
        let update = Update { key: key.to_owned(), remote };
        stream.listeners.iter_mut().for_each(|listener| listener(&update));
        Some(stream.revision)
    }

    /// A bucket is lost with all it holds.
    pub(super) fn wipe(&self, bucket: Bucket) {
        self.state().buckets.remove(&bucket);
    }

    /// Markers of deletions go, as they do when an operator purges them.
    pub(super) fn forget_deletions(&self, bucket: Bucket) {
        if let Some(stream) = self.state().buckets.get_mut(&bucket) {
            stream.entries.retain(|_, remote| remote.value.is_some());
        }
    }

    /// What a bucket holds, without markers.
    pub(super) fn values(&self, bucket: Bucket) -> BTreeMap<String, Bytes> {
        let state = self.state();
        let entries = state.buckets.get(&bucket).map(|stream| &stream.entries);
        let values =
            entries.into_iter().flatten().filter_map(|(key, remote)| Some((key.clone(), remote.value.clone()?)));
        values.collect()
    }

    /// How many changes were asked for.
    pub(super) fn changes(&self) -> u64 {
        self.state().changes
    }
}

impl State {
    fn stream(&mut self, bucket: Bucket) -> &mut Stream {
        let made = &mut self.made;
        self.buckets.entry(bucket).or_insert_with(|| {
            *made += 1;
            Stream { incarnation: *made, ..Stream::default() }
        })
    }
}
