//! How often the calls of an actor broke which limit.
//!
//! Counts, and wakes whoever looks at the counts; who is told is the host's business. Invariant: a breach is counted before its
//! caller hears of it, and whoever looks is woken after it was counted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;

use crate::limits::names::Limit;

/// The counters of one actor.
#[derive(Debug)]
pub(crate) struct BrokenLimits {
    counters: [AtomicU64; Limit::ALL.len()],
    /// Whoever looks at those of all actors.
    looked_at: Arc<Notify>,
}

impl BrokenLimits {
    pub(crate) fn new(looked_at: Arc<Notify>) -> Self {
        Self { counters: [const { AtomicU64::new(0) }; Limit::ALL.len()], looked_at }
    }

    pub(crate) fn count(&self, limit: Limit) {
        if let Some(counter) = self.counters.get(limit as usize) {
            counter.fetch_add(1, Relaxed);
        }
        self.looked_at.notify_one();
    }

    /// The limits that were broken.
    pub(crate) fn snapshot(&self) -> BTreeMap<Limit, u64> {
        let counted = Limit::ALL.iter().zip(&self.counters).map(|(limit, counter)| (*limit, counter.load(Relaxed)));
        counted.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_counter_of_its_own() {
        let broken = BrokenLimits::new(Arc::default());
        for limit in Limit::ALL {
            broken.count(*limit);
        }
        assert_eq!(broken.snapshot(), Limit::ALL.iter().map(|limit| (*limit, 1)).collect());
    }

    #[tokio::test]
    async fn whoever_looks_sleeps_until_there_is_something_to_see_and_misses_nothing() {
        let looked_at = Arc::new(Notify::new());
        let (first, second) = (BrokenLimits::new(looked_at.clone()), BrokenLimits::new(looked_at.clone()));
        assert!(futures_util::FutureExt::now_or_never(looked_at.notified()).is_none());
        first.count(Limit::Queue);
        second.count(Limit::Queue);
        looked_at.notified().await;
        assert_eq!((first.snapshot().len(), second.snapshot().len()), (1, 1));
        assert!(futures_util::FutureExt::now_or_never(looked_at.notified()).is_none(), "told once of both");
    }
}
