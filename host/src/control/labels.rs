//! `labels.{host}.put` and `.del`. Labels set here survive a restart.
//!
//! Invariant: all labels of a host together are within [`bounds`], and what is kept of them is no more than that.

use std::{collections::BTreeMap, sync::PoisonError};

use bytes::Bytes;
use lattice::{
    bounds::{self, LimitExceeded},
    control::{Ack, DeleteLabel, PutLabel, decode},
};

use crate::{core::Core, identity::builtin_labels, process::error_chain::reason};

/// Fact of the replica that holds the labels put by operators, as JSON; a null value is a removed label.
pub const LABELS_FACT: &str = "labels";

/// Labels as they were put: none is one that was removed although the host has it by itself.
type Put = BTreeMap<String, Option<String>>;

/// Sets a label.
pub async fn put(core: &Core, body: &Bytes) -> Ack {
    match decode::<PutLabel>(body) {
        Ok(PutLabel { key, .. }) if key.is_empty() => Ack::refused("a label needs a key"),
        Ok(PutLabel { key, value }) => change(core, key, Some(value)).await,
        Err(error) => Ack::refused(error),
    }
}

/// Removes a label; an unknown one is fine.
pub async fn delete(core: &Core, body: &Bytes) -> Ack {
    match decode::<DeleteLabel>(body) {
        Ok(label) => change(core, label.key, None).await,
        Err(error) => Ack::refused(error),
    }
}

/// In memory first, because there is decided whether it is within bounds; back again when the disk does not take it.
async fn change(core: &Core, key: String, value: Option<String>) -> Ack {
    let before = match set(core, &key, value.clone()) {
        Ok(before) => before,
        Err(error) => return Ack::refused(error),
    };
    let by_itself = core.config.labels.contains_key(&key) || builtin_labels().contains_key(&key);
    let replica = core.replica.clone();
    let (stored_key, stored_value) = (key.clone(), value);
    let kept = tokio::task::spawn_blocking(move || {
        replica.change_fact(LABELS_FACT, |text| {
            let put = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let put = changed(put, stored_key, stored_value, by_itself);
            serde_json::to_string(&put).expect("labels are texts")
        })
    });
    let refused = match kept.await {
        Ok(Ok(())) => return Ack::accepted(),
        Ok(Err(error)) => format!("cannot keep the label: {}", reason(&error)),
        Err(_) => "this host is stopping".to_owned(),
    };
    set(core, &key, before).ok();
    Ack::refused(refused)
}

/// Sets a label in memory; what was there before.
fn set(core: &Core, key: &str, value: Option<String>) -> Result<Option<String>, LimitExceeded> {
    let mut labels = core.labels.write().unwrap_or_else(PoisonError::into_inner);
    let before = match value {
        Some(value) => labels.insert(key.to_owned(), value),
        None => return Ok(labels.remove(key)),
    };
    let within = bounds::labels(&labels);
    if within.is_err() {
        match before.clone() {
            Some(before) => labels.insert(key.to_owned(), before),
            None => labels.remove(key),
        };
    }
    within.map(|()| before)
}

/// The labels that were put, with one change. That one was removed is kept only where the host has it by itself.
fn changed(mut put: Put, key: String, value: Option<String>, by_itself: bool) -> Put {
    if value.is_some() || by_itself {
        put.insert(key, value);
    } else {
        put.remove(&key);
    }
    let (removed, set): (Put, Put) = put.into_iter().partition(|(_, value)| value.is_none());
    let set = set.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let set = bounds::labels_within(set).into_iter().map(|(key, value)| (key, Some(value)));
    removed.into_iter().filter(|(key, _)| key.len() <= bounds::MAX_KEY).take(bounds::MAX_LABELS).chain(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_come_and_go_leave_nothing_behind() {
        let mut put = Put::new();
        for number in 0..20_000 {
            put = changed(put, format!("l{number}"), Some("v".to_owned()), false);
            put = changed(put, format!("l{number}"), None, false);
        }
        assert_eq!(put, Put::new());
        put = changed(put, "hostcore.os".to_owned(), None, true);
        assert_eq!(put, [("hostcore.os".to_owned(), None)].into());
    }

    #[test]
    fn what_was_kept_before_there_were_bounds_is_brought_within_them() {
        let old: Put = (0..20_000).map(|number| (format!("l{number}"), Some("v".to_owned()))).collect();
        let put = changed(old, "a".to_owned(), Some("new".to_owned()), false);
        assert_eq!(put.len(), bounds::MAX_LABELS);
        assert_eq!(put["a"].as_deref(), Some("new"));
    }
}
