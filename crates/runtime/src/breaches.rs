//! How often the calls of an actor broke which limit.
//!
//! Counts and nothing else; who is told is the host's business. Invariant: a breach is counted before its caller hears
//! of it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::Limit;

/// The counters of one actor.
#[derive(Debug)]
pub(crate) struct Breaches([AtomicU64; Limit::ALL.len()]);

impl Default for Breaches {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; Limit::ALL.len()])
    }
}

impl Breaches {
    pub(crate) fn count(&self, limit: Limit) {
        if let Some(counter) = self.0.get(limit as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// The limits that were broken.
    pub(crate) fn snapshot(&self) -> BTreeMap<Limit, u64> {
        let counted = Limit::ALL.iter().zip(&self.0).map(|(limit, counter)| (*limit, counter.load(Relaxed)));
        counted.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_counter_of_its_own() {
        let breaches = Breaches::default();
        for limit in Limit::ALL {
            breaches.count(*limit);
        }
        assert_eq!(breaches.snapshot(), Limit::ALL.iter().map(|limit| (*limit, 1)).collect());
    }
}
