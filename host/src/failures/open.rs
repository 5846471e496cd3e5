//! Which ways have an open failure: a few counters that a call which works can look at without a lock.
//!
//! Ways share counters, so a counter says that one of several may be open. Invariant: each open failure is counted as
//! long as it is remembered as open.

use std::{
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use claims::ActorId;

use super::Peer;

const BUCKETS: usize = 256;

/// The counters.
pub struct OpenWays {
    shared: Arc<Shared>,
    hasher: RandomState,
}

struct Shared {
    all: AtomicUsize,
    buckets: [AtomicUsize; BUCKETS],
}

/// One open failure, counted until it is dropped.
pub struct Open {
    shared: Arc<Shared>,
    bucket: usize,
}

impl Default for OpenWays {
    fn default() -> Self {
        let buckets = [const { AtomicUsize::new(0) }; BUCKETS];
        Self { shared: Arc::new(Shared { all: AtomicUsize::new(0), buckets }), hasher: RandomState::new() }
    }
}

impl OpenWays {
    /// A way failed.
    pub fn open(&self, actor: &ActorId, peer: &Peer, operation: &str) -> Open {
        let bucket = self.bucket(actor, peer, operation);
        self.shared.all.fetch_add(1, Ordering::Relaxed);
        self.shared.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        Open { shared: self.shared.clone(), bucket }
    }

    /// Whether nothing is open, as nearly always.
    pub fn is_none(&self) -> bool {
        self.shared.all.load(Ordering::Relaxed) == 0
    }

    /// Whether this way may have an open failure.
    pub fn may_have(&self, actor: &ActorId, peer: &Peer, operation: &str) -> bool {
        self.shared.buckets[self.bucket(actor, peer, operation)].load(Ordering::Relaxed) > 0
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.shared.all.load(Ordering::Relaxed)
    }

    fn bucket(&self, actor: &ActorId, peer: &Peer, operation: &str) -> usize {
        let mut hasher = self.hasher.build_hasher();
        actor.as_str().hash(&mut hasher);
        peer.hash(&mut hasher);
        operation.hash(&mut hasher);
        usize::try_from(hasher.finish() % BUCKETS as u64).unwrap_or(0)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.all.fetch_sub(1, Ordering::Relaxed);
        self.shared.buckets[self.bucket].fetch_sub(1, Ordering::Relaxed);
    }
}
