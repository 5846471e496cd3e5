//! What wasmtime asks about while a guest runs: whether a memory or a table may grow.
//!
//! Invariant: a growth that would break a limit is refused, never half done, and leaves a sentence about itself.

use std::{mem, sync::Arc};

use wasmtime::ResourceLimiter;

use crate::{
    error::ended::{Broken, Refused},
    limits::{GuestLimits, names::Limit},
    schedule::guest_memory::Share,
};

/// Answers wasmtime's questions about growth for one store.
pub(crate) struct StoreLimiter {
    memory: Budget,
    table: Budget,
    core_instances: usize,
    held: Held,
}

/// What a store has of the memory of all guests. Given back with the store.
struct Held {
    /// None for a program that its user runs.
    share: Option<Arc<Share>>,
    bytes: u64,
    last: u64,
    /// Whether there was no room for more.
    refused: bool,
}

/// Bytes of a table for each of its elements.
const ELEMENT_BYTES: u64 = 8;

struct Budget {
    name: Limit,
    limit: u64,
    used: u64,
    last: u64,
    breached: bool,
}

impl StoreLimiter {
    pub(crate) fn new(limits: &GuestLimits, share: Option<Arc<Share>>) -> Self {
        Self {
            held: Held { share, bytes: 0, last: 0, refused: false },
            memory: Budget::new(Limit::Memory, limits.memory_bytes),
            table: Budget::new(Limit::Tables, limits.table_elements),
            core_instances: limits.core_instances as usize,
        }
    }

    /// Forgets what the last call was refused, not what it holds.
    pub(crate) fn renew(&mut self) {
        self.memory.breached = false;
        self.table.breached = false;
        self.held.refused = false;
    }

    /// What refused a growth, if anything did. A guest which lives with a refused growth has done nothing wrong, so this is
    /// asked only after it failed.
    pub(crate) fn breach(&self) -> Option<Refused> {
        let of_actor = [&self.memory, &self.table].into_iter().find(|budget| budget.breached).map(Budget::describe);
        let of_all = || self.held.share.as_ref().filter(|_| self.held.refused).map(|share| share.refusal());
        of_actor.map(Refused::Limit).or_else(|| of_all().map(Refused::NoRoom))
    }
}

impl Held {
    fn take(&mut self, bytes: u64) -> bool {
        let fits = self.share.as_ref().is_none_or(|share| share.take(bytes));
        self.last = if fits { bytes } else { 0 };
        self.bytes += self.last;
        self.refused |= !fits;
        fits
    }

    /// The last growth failed elsewhere.
    fn give_back_last(&mut self) {
        let last = mem::take(&mut self.last);
        self.bytes -= last;
        if let Some(share) = &self.share {
            share.give_back(last);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(share) = &self.share
            && self.bytes > 0
        {
            share.give_back(self.bytes);
        }
    }
}

impl Budget {
    fn new(name: Limit, limit: u64) -> Self {
        Self { name, limit, used: 0, last: 0, breached: false }
    }

    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // Either the guest's own maximum, or the pool's when that is smaller than the limit of this actor.
            self.last = 0;
            self.breached |= desired as u64 > self.limit;
            return false;
        }
        let more = desired.saturating_sub(current) as u64;
        if self.used.saturating_add(more) > self.limit {
            self.breached = true;
            return false;
        }
        self.used += more;
        self.last = more;
        true
    }

    fn grow_failed(&mut self) {
        self.used = self.used.saturating_sub(mem::take(&mut self.last));
    }

    fn describe(&self) -> Broken {
        Broken::of(self.name, self.limit)
    }
}

impl ResourceLimiter for StoreLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.memory, &mut self.held, 1, (current, desired, maximum)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.grow_failed();
        self.held.give_back_last();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(grow(&mut self.table, &mut self.held, ELEMENT_BYTES, (current, desired, maximum)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.table.grow_failed();
        self.held.give_back_last();
        Ok(())
    }

    fn instances(&self) -> usize {
        self.core_instances
    }

    fn tables(&self) -> usize {
        self.core_instances * 4
    }

    fn memories(&self) -> usize {
        self.core_instances
    }
}

/// Takes a growth from what the store may have and from what all may.
fn grow(own: &mut Budget, held: &mut Held, unit: u64, growth: (usize, usize, Option<usize>)) -> bool {
    let (current, desired, maximum) = growth;
    held.last = 0; // A failure that is told belongs to this growth.
    if !own.grow(current, desired, maximum) {
        return false;
    }
    let fits = held.take(own.last.saturating_mul(unit));
    if !fits {
        own.grow_failed();
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::guest_memory::GuestMemory;

    fn limiter(memory_bytes: u64) -> StoreLimiter {
        StoreLimiter::new(&GuestLimits { memory_bytes, ..GuestLimits::default() }, None)
    }

    #[test]
    fn what_all_guests_have_together_bounds_each_and_comes_back_with_the_store() {
        let all = GuestMemory::new(64 << 20);
        let limits = GuestLimits { memory_bytes: 40 << 20, ..GuestLimits::default() };
        let new = || StoreLimiter::new(&limits, Some(all.share()));
        let (mut first, mut second) = (new(), new());
        assert!(first.memory_growing(0, 30 << 20, None).expect("answers"));
        assert!(first.table_growing(0, 1 << 10, None).expect("answers"));
        assert_eq!(all.used(), (30 << 20) + (8 << 10));
        assert!(!second.memory_growing(0, 30 << 20, None).expect("answers"));
        assert!(matches!(second.breach(), Some(Refused::NoRoom(text)) if text.contains("64 MiB")));
        assert!(second.memory_growing(0, 10 << 20, None).expect("answers"), "what was refused does not count");
        second.memory_grow_failed(wasmtime::Error::msg("no memory")).expect("answers");
        drop(first);
        assert_eq!(all.used(), 0);
        second.renew();
        assert_eq!(second.breach(), None);
    }

    #[test]
    fn several_memories_share_one_limit() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).expect("answers"));
        assert!(!limiter.memory_growing(0, 60, None).expect("answers"));
        assert_eq!(limiter.breach(), Some(Refused::Limit(Broken::of(Limit::Memory, 100))));
    }

    #[test]
    fn a_growth_that_failed_elsewhere_is_given_back() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 80, None).expect("answers"));
        limiter.memory_grow_failed(wasmtime::Error::msg("no memory")).expect("answers");
        assert!(limiter.memory_growing(0, 80, None).expect("answers"));
        assert_eq!(limiter.breach(), None);
    }

    #[test]
    fn the_guests_own_maximum_is_no_breach() {
        let mut limiter = limiter(100);
        assert!(!limiter.memory_growing(10, 40, Some(20)).expect("answers"));
        assert_eq!(limiter.breach(), None);
    }
}
