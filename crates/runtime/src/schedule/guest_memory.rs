//! Memory of all guests together: linear memories and tables, of instances that run, wait or were made beforehand.
//!
//! Counts what instances ask for, which is at least what they use. Knows no wasm. Invariants: what is taken is never more
//! than the limit; the last quarter is for actors that have little, so no actor takes what its neighbours need to begin.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use tokio::sync::Notify;

/// What an instance is reckoned to begin with.
const INSTANCE: u64 = 2 << 20;

/// The memory there is for guests.
pub(crate) struct GuestMemory {
    limit: u64,
    used: AtomicU64,
    freed: Notify,
}

/// What one actor has of it.
pub(crate) struct Share {
    all: Arc<GuestMemory>,
    used: AtomicU64,
}

impl GuestMemory {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0), freed: Notify::new() })
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(SeqCst)
    }

    /// The share of an actor that has nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Arc<Share> {
        Arc::new(Share { all: self.clone(), used: AtomicU64::new(0) })
    }

    /// Whether so much may be in use when one actor has so much of it.
    fn allows(&self, used: u64, of_actor: u64) -> bool {
        used <= self.limit - self.limit / 4 || used <= self.limit && of_actor <= self.limit / 8
    }
}

impl Share {
    /// Takes so much more, or nothing.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let used = self.all.used.fetch_add(bytes, SeqCst).saturating_add(bytes);
        let of_actor = self.used.fetch_add(bytes, SeqCst).saturating_add(bytes);
        let allowed = self.all.allows(used, of_actor);
        if !allowed {
            self.give_back(bytes);
        }
        allowed
    }

    pub(crate) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, SeqCst);
        let before = self.all.used.fetch_sub(bytes, SeqCst);
        // Below that nobody waits.
        if before > self.all.limit / 2 {
            self.all.freed.notify_waiters();
        }
    }

    /// Whether another instance of the actor has what it needs to begin.
    pub(crate) fn has_room(&self) -> bool {
        let after = |used: &AtomicU64| used.load(SeqCst).saturating_add(INSTANCE.min(self.all.limit / 8));
        self.all.allows(after(&self.all.used), after(&self.used))
    }

    /// Waits until it has.
    pub(crate) async fn room(&self) {
        loop {
            let mut freed = pin!(self.all.freed.notified());
            freed.as_mut().enable();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    /// Why there is no more, in words.
    pub(crate) fn refusal(&self) -> String {
        format!("the {} MiB of memory that this host gives to all guests together are in use", self.all.limit >> 20)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn one_actor_takes_no_more_than_its_neighbours_leave_and_never_the_last_quarter() {
        let all = GuestMemory::new(64 * MIB);
        let (greedy, small) = (all.share(), all.share());
        assert_eq!((0..64).filter(|_| greedy.take(MIB)).count(), 48);
        assert!(!greedy.has_room());
        assert!(small.has_room());
        assert_eq!((0..64).filter(|_| small.take(MIB)).count(), 8, "an eighth, which nobody can take from it");
        assert_eq!(all.used(), 56 * MIB);
        greedy.give_back(48 * MIB);
        assert!(small.take(40 * MIB), "and as much as it likes while nobody else wants it");
        small.give_back(48 * MIB);
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn however_many_actors_there_are_all_of_them_stay_below_the_limit() {
        let all = GuestMemory::new(64 * MIB);
        let shares: Vec<_> = (0..100).map(|_| all.share()).collect();
        let taken = shares.iter().filter(|share| share.take(MIB)).count();
        assert_eq!((taken, all.used()), (64, 64 * MIB));
        assert!(!shares[99].take(u64::MAX / 2));
        assert_eq!(all.used(), 64 * MIB, "what was refused was given back");
    }

    #[tokio::test]
    async fn who_waits_for_room_is_woken_by_what_is_given_back() {
        let all = GuestMemory::new(64 * MIB);
        let (greedy, other) = (all.share(), all.share());
        assert!(greedy.take(48 * MIB) && other.take(8 * MIB));
        let mut waiting = pin!(other.room());
        assert!(waiting.as_mut().now_or_never().is_none());
        greedy.give_back(MIB);
        assert!(waiting.as_mut().now_or_never().is_none(), "not enough");
        greedy.give_back(20 * MIB);
        assert!(waiting.now_or_never().is_some());
    }
}
