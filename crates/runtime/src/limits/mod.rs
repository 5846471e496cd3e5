//! What one actor may use.
//!
//! Plain data; what each is called by operators is in [`names`]. Who sees to a limit stands where it is used.

pub(crate) mod names;
pub(crate) mod settings;

use std::time::Duration;

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
