//! Comparing the local replica with a KV bucket after an outage: pure, no I/O.
//!
//! Rules: what was written here while the broker was away is sent unless somebody else wrote later; what was deleted
//! here is deleted there; what is missing in a bucket that remembers us was deleted by others; a bucket that is not
//! the one we knew (wiped, or recreated) is filled from what we have. Invariant: no accepted write is lost without a
//! log line naming both sides.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// One key as the replica has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The value; none is a deletion that is remembered.
    pub value: Option<Bytes>,
    /// Revision last seen in the bucket; 0 when it never was there.
    pub revision: u64,
    /// Milliseconds since the Unix epoch when it was written here.
    pub written_ms: u64,
    /// Whether the bucket has not confirmed it.
    pub pending: bool,
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
    /// Delete it in the bucket.
    PushDelete,
    /// Take the bucket's state; none deletes it here.
    Take(Option<Remote>),
    /// Both sides changed: the action inside won, the other side is lost and must be logged.
    Conflict(Box<Action>),
    /// Both agree; remember the revision.
    Agree(u64),
    /// Nothing on either side worth keeping: drop the local record.
    Forget,
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
        (None, Some(remote)) => remote.value.is_some().then(|| Action::Take(Some(remote.clone()))),
        (Some(local), None) => Some(only_local(local, same_bucket)),
        (Some(local), Some(remote)) => Some(both(local, remote, same_bucket)),
    }
}

fn only_local(local: &Local, same_bucket: bool) -> Action {
    match &local.value {
        None => Action::Forget,
        Some(_) if same_bucket && !local.pending => Action::Take(None),
        Some(value) => Action::Push(value.clone()),
    }
}

fn both(local: &Local, remote: &Remote, same_bucket: bool) -> Action {
    if local.value == remote.value {
        return if local.value.is_none() { Action::Forget } else { Action::Agree(remote.revision) };
    }
    if !local.pending {
        return Action::Take(Some(remote.clone()));
    }
    let ours = match &local.value {
        Some(value) => Action::Push(value.clone()),
        None => Action::PushDelete,
    };
    if same_bucket && remote.revision == local.revision {
        return ours;
    }
    let winner = if local.written_ms >= remote.written_ms { ours } else { Action::Take(Some(remote.clone())) };
    Action::Conflict(Box::new(winner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(value: Option<&'static str>, revision: u64, pending: bool) -> Local {
        Local { value: value.map(|v| Bytes::from_static(v.as_bytes())), revision, written_ms: 100, pending }
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
        assert_eq!(one(Some(local(Some("x"), 3, false)), None, false), Some(Action::Push(ours)));
        assert_eq!(one(Some(local(None, 3, true)), None, false), Some(Action::Forget));
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
    fn equal_sides_agree() {
        assert_eq!(one(Some(local(Some("x"), 1, true)), Some(remote(Some("x"), 9, 1)), false), Some(Action::Agree(9)));
    }
}
