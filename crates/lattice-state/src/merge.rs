//! Comparing the local replica with a KV bucket after an outage: pure, no I/O.
//!
//! Rules: what was written here while the broker was away is sent unless somebody else wrote later; what was deleted
//! here is deleted there; what is missing in a bucket that remembers us was deleted by others; a bucket that is not
//! the one we knew (wiped, or recreated) is filled from what we have. Invariant: no accepted write is lost without a
//! log line naming both sides.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::rules::Rule;

/// One key as the replica has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The value; none is a deletion. One that the bucket has confirmed is remembered as well: should the bucket be wiped,
    /// a host that was away would fill in again what is deleted.
    pub value: Option<Bytes>,
    /// Revision last seen in the bucket; 0 when it never was there.
    pub revision: u64,
    /// Milliseconds since the Unix epoch when it was written here.
    pub written_ms: u64,
    /// Whether the bucket has not confirmed it.
    pub pending: bool,
    /// What was there before, as far as the bucket knew it. Hosts fill an empty bucket again with what they have, which looks
    /// like a later write; by this a change knows the very state that it has changed.
    pub replaced: Option<Fingerprint>,
}

impl Local {
    /// The same key once the bucket has deleted it.
    #[must_use]
    pub fn deleted(&self, revision: u64, now_ms: u64) -> Self {
        let written_ms = if self.value.is_none() { self.written_ms } else { now_ms };
        let replaced = self.origin().filter(|_| Rule::RememberDeletions.holds());
        Self { value: None, revision, written_ms, pending: false, replaced }
    }

    /// A value that the bucket has, in the place of what was known.
    #[must_use]
    pub fn confirmed(before: Option<&Self>, value: Bytes, revision: u64, now_ms: u64) -> Self {
        let replaced = match before {
            Some(before) if before.value.as_ref() == Some(&value) => before.replaced,
            before => before.and_then(Self::origin),
        };
        let replaced = replaced.filter(|_| Rule::RememberWhatWasChanged.holds());
        Self { value: Some(value), revision, written_ms: now_ms, pending: false, replaced }
    }

    /// The same once the bucket has taken it.
    #[must_use]
    pub fn sent(&self, revision: u64, now_ms: u64) -> Self {
        match self.value.clone() {
            Some(value) => Self::confirmed(Some(self), value, revision, now_ms),
            // A deletion is answered without its revision; the watch brings it.
            None => self.deleted(self.revision, now_ms),
        }
    }

    /// What a change of this one replaces, as the bucket knew it.
    #[must_use]
    pub fn origin(&self) -> Option<Fingerprint> {
        if self.pending { self.replaced } else { self.value.as_deref().map(fingerprint).or(self.replaced) }
    }

    /// Whether it is a deletion that is so old that nobody comes back with what was deleted.
    #[must_use]
    pub fn may_be_forgotten(&self, now_ms: u64) -> bool {
        self.value.is_none() && !self.pending && now_ms.saturating_sub(self.written_ms) > REMEMBER_DELETIONS_MS
    }
}

/// By how much the clocks of hosts and broker may differ, milliseconds, so that a date counts as an earlier one.
const CLOCKS_DIFFER_MS: u64 = 10 * 60 * 1000;
/// Thirty days.
const REMEMBER_DELETIONS_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// SHA-256 of a value.
pub type Fingerprint = [u8; 32];

/// The fingerprint of a value.
#[must_use]
pub fn fingerprint(value: &[u8]) -> Fingerprint {
    Sha256::digest(value).into()
}

/// One key as the bucket has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The value; none is a delete marker.
    pub value: Option<Bytes>,
    /// Its revision.
    pub revision: u64,
    /// Milliseconds since the Unix epoch when the bucket took it.
    pub written_ms: u64,
}

/// What to do with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write our value to the bucket.
    Push(Bytes),
    /// Write our value to a bucket that was made anew: it is no news.
    Fill(Bytes),
    /// Delete it in the bucket.
    PushDelete,
    /// Take the bucket's state; none deletes it here.
    Take(Option<Remote>),
    /// Both sides changed: the action inside won, the other side is lost and must be logged.
    Conflict(Box<Action>),
    /// Both agree; remember the revision.
    Agree(u64),
}

/// Decides for every key of either side. `same_bucket`: the bucket is the one the revisions were seen in.
#[must_use]
pub fn merge(
    local: &BTreeMap<String, Local>,
    remote: &BTreeMap<String, Remote>,
    same_bucket: bool,
) -> Vec<(String, Action)> {
    let keys: BTreeSet<&String> = local.keys().chain(remote.keys()).collect();
    keys.into_iter()
        .filter_map(|key| Some((key.clone(), decide(local.get(key), remote.get(key), same_bucket)?)))
        .collect()
}

fn decide(local: Option<&Local>, remote: Option<&Remote>, same_bucket: bool) -> Option<Action> {
    match (local, remote) {
        (None, None) => None,
        (None, Some(remote)) => {
            (remote.value.is_some() && Rule::TakeNews.holds()).then(|| Action::Take(Some(remote.clone())))
        }
        (Some(local), None) => only_local(local, same_bucket),
        (Some(local), Some(remote)) => both(local, remote, same_bucket),
    }
}

fn only_local(local: &Local, same_bucket: bool) -> Option<Action> {
    Some(match &local.value {
        // Others would fill it in again, unless they find that it is deleted.
        None if !same_bucket && Rule::DeleteInNewBucket.holds() => Action::PushDelete,
        None if local.pending && Rule::SendDeletions.holds() => Action::PushDelete,
        None if local.pending => Action::Take(None),
        None => return None,
        Some(_) if same_bucket && !local.pending && Rule::MissingMeansDeleted.holds() => Action::Take(None),
        Some(_) if !local.pending && !Rule::FillNewBucket.holds() => Action::Take(None),
        Some(value) if !local.pending => Action::Fill(value.clone()),
        Some(_) if !Rule::SendWhatWaits.holds() => Action::Take(None),
        Some(value) => Action::Push(value.clone()),
    })
}

fn both(local: &Local, remote: &Remote, same_bucket: bool) -> Option<Action> {
    if local.value == remote.value {
        // What waits here may be later than what the bucket was found to hold, and than what others wrote there since.
        if local.pending && Rule::SendRepetitions.holds() {
            return Some(local.value.clone().map_or(Action::PushDelete, Action::Push));
        }
        let is_known = local.value.is_none() && !local.pending && local.revision == remote.revision;
        return (!is_known && Rule::NoteAgreement.holds()).then_some(Action::Agree(remote.revision));
    }
    let ours = match &local.value {
        Some(value) => Action::Push(value.clone()),
        None => Action::PushDelete,
    };
    let unchanged = match same_bucket {
        true => local.pending && remote.revision == local.revision && Rule::KnowWhatWasChanged.holds(),
        false => {
            let replaced = local.replaced.filter(|_| Rule::KnowWhatWasFilledIn.holds());
            replaced.is_some() && replaced == remote.value.as_deref().map(fingerprint)
        }
    };
    let theirs = Action::Take(Some(remote.clone()));
    // In another bucket a value that equals what was changed here was filled in again, most likely; but somebody may have
    // put it there anew.
    let put_anew = !same_bucket
        && remote.written_ms.saturating_add(CLOCKS_DIFFER_MS) > local.written_ms
        && Rule::SayWhatWasPutAnew.holds();
    Some(match local.pending {
        _ if unchanged && put_anew => Action::Conflict(Box::new(ours)),
        _ if unchanged => ours,
        false if same_bucket && Rule::GiveWay.holds() => theirs,
        // Nothing tells which of them is the later: a bucket that was made anew has new dates.
        false if Rule::GiveWay.holds() && Rule::SayWhatIsInDoubt.holds() => Action::Conflict(Box::new(theirs)),
        false if Rule::GiveWay.holds() => theirs,
        _ if !Rule::SayConflicts.holds() => theirs,
        _ if local.written_ms >= remote.written_ms || !Rule::LaterWins.holds() => Action::Conflict(Box::new(ours)),
        _ => Action::Conflict(Box::new(theirs)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(value: Option<&'static str>, revision: u64, pending: bool) -> Local {
        let value = value.map(|v| Bytes::from_static(v.as_bytes()));
        Local { value, revision, written_ms: 100, pending, replaced: None }
    }

    fn remote(value: Option<&'static str>, revision: u64, written_ms: u64) -> Remote {
        Remote { value: value.map(|v| Bytes::from_static(v.as_bytes())), revision, written_ms }
    }

    fn one(local: Option<Local>, remote: Option<Remote>, same_bucket: bool) -> Option<Action> {
        let local = local.into_iter().map(|entry| ("k".to_owned(), entry)).collect();
        let remote = remote.into_iter().map(|entry| ("k".to_owned(), entry)).collect();
        merge(&local, &remote, same_bucket).pop().map(|(_, action)| action)
    }

    #[test]
    fn what_others_wrote_is_taken_and_their_deletes_are_not_resurrected() {
        let theirs = remote(Some("x"), 3, 50);
        assert_eq!(one(None, Some(theirs.clone()), true), Some(Action::Take(Some(theirs))));
        assert_eq!(one(None, Some(remote(None, 3, 50)), true), None);
        let marker = remote(None, 5, 50);
        assert_eq!(one(Some(local(Some("x"), 3, false)), Some(marker.clone()), true), Some(Action::Take(Some(marker))));
        assert_eq!(one(Some(local(Some("x"), 3, false)), None, true), Some(Action::Take(None)));
    }

    #[test]
    fn a_wiped_bucket_is_filled_again() {
        let ours = Bytes::from_static(b"x");
        assert_eq!(one(Some(local(Some("x"), 3, false)), None, false), Some(Action::Fill(ours)));
        assert_eq!(one(Some(local(None, 3, true)), None, true), Some(Action::PushDelete));
    }

    #[test]
    fn what_was_changed_during_an_outage_is_not_undone_by_those_who_fill_a_wiped_bucket() {
        // First to come: the others must find the deletion.
        assert_eq!(one(Some(local(None, 3, true)), None, false), Some(Action::PushDelete));
        // Later: what it has changed is there again, with a new date. It may also have been put anew, so it is said.
        let filled_in = remote(Some("x"), 1, 101);
        let since = |value| Local { replaced: Some(fingerprint(b"x")), ..local(value, 3, true) };
        let deletes = || Some(Action::Conflict(Box::new(Action::PushDelete)));
        assert_eq!(one(Some(since(None)), Some(filled_in.clone()), false), deletes());
        let ours = Action::Push(Bytes::from_static(b"y"));
        let conflict = Action::Conflict(Box::new(ours.clone()));
        assert_eq!(one(Some(since(Some("y"))), Some(filled_in.clone()), false), Some(conflict));
        // What has the date of before is what was known.
        let of_before = remote(Some("x"), 1, 99);
        let much_later = |value| Local { written_ms: 100 + CLOCKS_DIFFER_MS, ..since(value) };
        assert_eq!(one(Some(much_later(None)), Some(of_before.clone()), false), Some(Action::PushDelete));
        assert_eq!(one(Some(much_later(Some("y"))), Some(of_before), false), Some(ours));
        // Also where the deletion was confirmed before the bucket was wiped, and where another host never heard of it.
        let deleted = local(Some("x"), 3, false).deleted(4, 100);
        assert_eq!(one(Some(deleted.clone()), None, false), Some(Action::PushDelete));
        assert_eq!(one(Some(deleted.clone()), None, true), None);
        assert_eq!(one(Some(deleted.clone()), Some(filled_in.clone()), false), deletes());
        let put_again = Some(Action::Take(Some(filled_in.clone())));
        assert_eq!(one(Some(deleted.clone()), Some(filled_in.clone()), true), put_again, "after the deletion");
        assert_eq!(one(Some(deleted), Some(remote(None, 4, 101)), true), None);
        // What somebody else has written meanwhile is not it.
        let theirs = remote(Some("z"), 1, 101);
        let conflict = Action::Conflict(Box::new(Action::Take(Some(theirs.clone()))));
        assert_eq!(one(Some(since(None)), Some(theirs), false), Some(conflict));
    }

    #[test]
    fn a_write_made_while_the_broker_was_away_is_sent() {
        let ours = Bytes::from_static(b"y");
        assert_eq!(one(Some(local(Some("y"), 0, true)), None, true), Some(Action::Push(ours.clone())));
        let unchanged = remote(Some("x"), 3, 50);
        assert_eq!(one(Some(local(Some("y"), 3, true)), Some(unchanged.clone()), true), Some(Action::Push(ours)));
        assert_eq!(one(Some(local(None, 3, true)), Some(unchanged), true), Some(Action::PushDelete));
    }

    #[test]
    fn of_two_writers_the_later_one_wins_and_it_is_called_a_conflict() {
        let ours = Action::Conflict(Box::new(Action::Push(Bytes::from_static(b"y"))));
        assert_eq!(one(Some(local(Some("y"), 3, true)), Some(remote(Some("z"), 4, 99)), true), Some(ours));
        let later = remote(Some("z"), 4, 101);
        let theirs = Action::Conflict(Box::new(Action::Take(Some(later.clone()))));
        assert_eq!(one(Some(local(Some("y"), 3, true)), Some(later), true), Some(theirs));
    }

    #[test]
    fn a_deletion_knows_what_it_deleted_and_is_forgotten_in_the_end() {
        let x = fingerprint(b"x");
        let pending = Local { replaced: Some(x), ..local(None, 3, true) };
        let deleted = pending.deleted(4, 500);
        assert_eq!((deleted.replaced, deleted.written_ms, deleted.pending), (Some(x), 100, false));
        assert_eq!(deleted.deleted(5, 900), Local { revision: 5, ..deleted.clone() });
        assert_eq!(local(Some("x"), 3, false).deleted(4, 500).replaced, Some(x));
        assert!(!deleted.may_be_forgotten(100 + REMEMBER_DELETIONS_MS));
        assert!(deleted.may_be_forgotten(101 + REMEMBER_DELETIONS_MS));
        assert!(!pending.may_be_forgotten(u64::MAX) && !local(Some("x"), 3, false).may_be_forgotten(u64::MAX));
    }

    #[test]
    fn equal_sides_agree_and_what_waits_is_sent_once_more() {
        let theirs = || Some(remote(Some("x"), 9, 1));
        assert_eq!(one(Some(local(Some("x"), 1, false)), theirs(), false), Some(Action::Agree(9)));
        let sent = Action::Push(Bytes::from_static(b"x"));
        assert_eq!(one(Some(local(Some("x"), 1, true)), theirs(), false), Some(sent));
    }
}
