//! What one actor may use, and the part of it that wasmtime asks about while a guest runs.
//!
//! Invariant: a growth that would break a limit is refused, never half done, and leaves a sentence about itself.

use std::{fmt, mem, sync::Arc, time::Duration};

use wasmtime::ResourceLimiter;

use crate::memory::Share;

/// What one actor may use. Every limit holds for one call, except those on concurrency and on reuse, and the rate of log
/// lines, which holds for the actor.
#[derive(Debug, Clone)]
pub struct GuestLimits {
    /// Linear memory in bytes, over all memories of an instance.
    pub memory_bytes: u64,
    /// Table elements, over all tables of an instance.
    pub table_elements: u64,
    /// Core instances that one instance of a component may consist of.
    pub core_instances: u32,
    /// Longest call. The caller's deadline holds as well, whichever comes first.
    pub call_time: Duration,
    /// Processor time of one call: what it computes, without what it waits for. As exact as the engine's tick.
    pub cpu_time: Duration,
    /// Calls running at once; `u32::MAX` leaves it to the host's pool. Can be changed while the actor runs.
    pub max_concurrent: u32,
    /// Calls that may wait for a free instance; one more is refused as busy at once.
    pub queue: u32,
    /// Largest argument, of a call into the guest and of a call out of it, in bytes.
    pub payload_bytes: u32,
    /// Largest result of a call, and the largest result of a call it makes, in bytes.
    pub response_bytes: u32,
    /// Calls out of the guest.
    pub host_calls_per_call: u32,
    /// Log lines; what comes after them is dropped, and one line says so.
    pub log_lines_per_call: u32,
    /// Log lines of the actor in a second, over all its calls; what comes above is dropped, counted and told once.
    pub log_lines_per_second: u32,
    /// Resource handles of a component, and host objects behind them.
    pub component_handles: u32,
    /// Calls one instance serves, one after the other, before it is thrown away. One is a fresh instance for each call,
    /// so that no state passes from call to call.
    pub calls_per_instance: u32,
    /// Idle instances kept for reuse, where `calls_per_instance` is above one. With zero, no fresh one is made beforehand
    /// either.
    pub idle_instances: u32,
    /// Calls inside one instance at the same time, out of `calls_per_instance`. Only components of WASI 0.3 that answer
    /// HTTP can take more than one; for others it means nothing. Memory, tables, handles and what is computed are then
    /// limited for all calls in the instance together.
    pub concurrent_calls: u32,
}

impl Default for GuestLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            table_elements: 100_000,
            core_instances: 32,
            call_time: Duration::from_secs(60),
            cpu_time: Duration::from_secs(10),
            max_concurrent: u32::MAX,
            queue: 256,
            payload_bytes: 128 << 20,
            response_bytes: 128 << 20,
            host_calls_per_call: 10_000,
            log_lines_per_call: 1_000,
            log_lines_per_second: 1_000,
            component_handles: 10_000,
            calls_per_instance: 1,
            idle_instances: 64,
            concurrent_calls: 1,
        }
    }
}

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

/// What refused a growth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A limit of the actor, with its value.
    Limit(String),
    /// The bound on the memory of all guests.
    NoRoom(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Limit(text) | Self::NoRoom(text)) = self;
        f.write_str(text)
    }
}

struct Budget {
    name: &'static str,
    limit: u64,
    used: u64,
    last: u64,
    breached: bool,
}

impl StoreLimiter {
    pub(crate) fn new(limits: &GuestLimits, share: Option<Arc<Share>>) -> Self {
        Self {
            held: Held { share, bytes: 0, last: 0, refused: false },
            memory: Budget::new("memory_bytes", limits.memory_bytes),
            table: Budget::new("table_elements", limits.table_elements),
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
    fn new(name: &'static str, limit: u64) -> Self {
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

    fn describe(&self) -> String {
        format!("`{}` of {}", self.name, self.limit)
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
    use crate::memory::GuestMemory;

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
        assert_eq!(limiter.breach(), Some(Refused::Limit("`memory_bytes` of 100".to_owned())));
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
