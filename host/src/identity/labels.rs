//! Labels of this host: built in, overridden by settings, overridden by what operators put since, which survives a restart.
//!
//! Invariant: all labels of a host together are within [`bounds`], and what is kept of them is no more than that.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use lattice::bounds::{self, LimitExceeded};

use lattice_state::replica::{Replica, ReplicaError};

use super::builtin_labels;

/// Fact of the replica that holds the labels put by operators, as JSON; a null value is a removed label.
const FACT: &str = "labels";

/// Labels as they were put: none is one that was removed although the host has it by itself.
type Put = BTreeMap<String, Option<String>>;

/// Why a label is not changed.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// There would be more than may be.
    #[error(transparent)]
    LimitExceeded(#[from] LimitExceeded),
    /// The disk does not take it.
    #[error("cannot keep the label")]
    NotKept(#[from] ReplicaError),
    /// The host ends.
    #[error("this host is stopping")]
    Stopping,
}

/// The labels, in memory and on disk.
pub struct Labels {
    now: RwLock<BTreeMap<String, String>>,
    /// Those that the host has by itself: built in or by its settings.
    own: BTreeMap<String, String>,
    replica: Replica,
}

impl Labels {
    /// The labels of a host with these settings and this disk.
    ///
    /// # Errors
    /// [`ReplicaError`] when the disk cannot be read.
    pub fn load(settings: &BTreeMap<String, String>, replica: Replica) -> Result<Self, ReplicaError> {
        let mut own = builtin_labels();
        own.extend(settings.clone());
        let put = replica.fact(FACT)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let all = overridden(own.clone(), put);
        let count = all.len();
        let now = bounds::labels_within(all);
        if now.len() < count {
            tracing::warn!(
                left_out = count - now.len(),
                "labels that were put are more than may be; some have no effect"
            );
        }
        Ok(Self { now: RwLock::new(now), own, replica })
    }

    /// Labels as they are now.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, String> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets a label, or removes it: in memory first, because there is decided whether it is within bounds; back again when
    /// the disk does not take it.
    ///
    /// # Errors
    /// [`LabelError`]; nothing is changed then.
    pub async fn change(&self, key: String, value: Option<String>) -> Result<(), LabelError> {
        let before = self.set(&key, value.clone())?;
        let by_itself = self.own.contains_key(&key);
        let (replica, stored) = (self.replica.clone(), key.clone());
        let kept = tokio::task::spawn_blocking(move || {
            replica.change_fact(FACT, |text| {
                let put = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
                let put = changed(put, stored, value, by_itself);
                serde_json::to_string(&put).expect("labels are texts")
            })
        });
        let outcome = match kept.await {
            Ok(kept) => kept.map_err(LabelError::from),
            Err(_) => Err(LabelError::Stopping),
        };
        if outcome.is_err() {
            self.set(&key, before).ok();
        }
        outcome
    }

    /// Sets a label in memory; what was there before.
    fn set(&self, key: &str, value: Option<String>) -> Result<Option<String>, LimitExceeded> {
        let mut labels = self.now.write().unwrap_or_else(PoisonError::into_inner);
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
}

fn overridden(mut labels: BTreeMap<String, String>, put: Put) -> BTreeMap<String, String> {
    for (key, value) in put {
        match value {
            Some(value) => labels.insert(key, value),
            None => labels.remove(&key),
        };
    }
    labels
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

    fn labels(directory: &tempfile::TempDir, settings: &[(&str, &str)]) -> Labels {
        let replica = Replica::open(&directory.path().join("state.redb")).expect("opens");
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Labels::load(&settings, replica).expect("loads")
    }

    #[test]
    fn settings_override_what_is_built_in() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let labels = labels(&directory, &[("hostcore.os", "mine"), ("zone", "a")]).all();
        assert_eq!((labels["hostcore.os"].as_str(), labels["zone"].as_str()), ("mine", "a"));
        assert!(labels.contains_key("hostcore.arch"));
    }

    #[tokio::test]
    async fn what_was_put_survives_a_restart_and_overrides_settings() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let before = labels(&directory, &[("zone", "a")]);
        before.change("zone".to_owned(), Some("b".to_owned())).await.expect("kept");
        before.change("extra".to_owned(), Some("c".to_owned())).await.expect("kept");
        drop(before);
        let after = labels(&directory, &[("zone", "a")]).all();
        assert_eq!((after["zone"].as_str(), after["extra"].as_str()), ("b", "c"));
    }

    #[tokio::test]
    async fn a_label_the_host_has_by_itself_stays_removed() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let before = labels(&directory, &[("zone", "a")]);
        before.change("zone".to_owned(), None).await.expect("kept");
        before.change("hostcore.os".to_owned(), None).await.expect("kept");
        drop(before);
        let after = labels(&directory, &[("zone", "a")]).all();
        assert!(!after.contains_key("zone") && !after.contains_key("hostcore.os"), "{after:?}");
    }

    #[tokio::test]
    async fn an_unknown_label_can_be_removed() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let labels = labels(&directory, &[]);
        let before = labels.all();
        labels.change("never".to_owned(), None).await.expect("fine");
        assert_eq!(labels.all(), before);
    }

    #[tokio::test]
    async fn a_label_beyond_the_bounds_is_refused_and_changes_nothing() {
        let directory = tempfile::tempdir().expect("a temp directory");
        let labels = labels(&directory, &[("zone", "a")]);
        let before = labels.all();
        let huge = "x".repeat(1 << 20);
        let error = labels.change("zone".to_owned(), Some(huge.clone())).await.expect_err("too long");
        assert!(matches!(error, LabelError::LimitExceeded(_)), "{error}");
        labels.change("new".to_owned(), Some(huge)).await.expect_err("too long");
        assert_eq!(labels.all(), before);
    }

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
