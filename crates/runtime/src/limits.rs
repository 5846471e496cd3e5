//! What one actor may use, and the part of it that wasmtime asks about while a guest runs.
//!
//! Invariant: a growth that would break a limit is refused, never half done, and leaves a sentence about itself.

use std::time::Duration;

use wasmtime::ResourceLimiter;

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
}

struct Budget {
    name: &'static str,
    limit: u64,
    used: u64,
    last: u64,
    breached: bool,
}

impl StoreLimiter {
    pub(crate) fn new(limits: &GuestLimits) -> Self {
        Self {
            memory: Budget::new("memory_bytes", limits.memory_bytes),
            table: Budget::new("table_elements", limits.table_elements),
            core_instances: limits.core_instances as usize,
        }
    }

    /// Forgets what the last call was refused, not what it holds.
    pub(crate) fn renew(&mut self) {
        self.memory.breached = false;
        self.table.breached = false;
    }

    /// The limit that was hit, if any. A guest which lives with a refused growth has done nothing wrong, so this is
    /// asked only after it failed.
    pub(crate) fn breach(&self) -> Option<String> {
        [&self.memory, &self.table].into_iter().find(|budget| budget.breached).map(Budget::describe)
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
        self.used = self.used.saturating_sub(std::mem::take(&mut self.last));
    }

    fn describe(&self) -> String {
        format!("`{}` of {}", self.name, self.limit)
    }
}

impl ResourceLimiter for StoreLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.memory.grow(current, desired, maximum))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.grow_failed();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.table.grow(current, desired, maximum))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.table.grow_failed();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(memory_bytes: u64) -> StoreLimiter {
        StoreLimiter::new(&GuestLimits { memory_bytes, ..GuestLimits::default() })
    }

    #[test]
    fn several_memories_share_one_limit() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).expect("answers"));
        assert!(!limiter.memory_growing(0, 60, None).expect("answers"));
        assert_eq!(limiter.breach().as_deref(), Some("`memory_bytes` of 100"));
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
