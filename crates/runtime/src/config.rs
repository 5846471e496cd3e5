//! What the host may decide about the engine. Plain data; nothing here is per actor (that is [`crate::GuestLimits`]).

use std::{num::NonZero, path::PathBuf, thread, time::Duration};

/// Sizes and clocks of the engine of a process.
///
/// The defaults suit a machine with 512 MiB and up: address space is reserved generously, memory is not touched until
/// a guest uses it. Where the address space is too small, [`crate::Runtime::new`] falls back by itself.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Instances alive at once over all actors. The pool is sized for it, and calls above it are refused as busy.
    pub max_instances: u32,
    /// Largest linear memory of any guest in bytes. Limits of single actors are capped by it.
    pub memory_bytes: u64,
    /// Largest table of any guest in elements. Limits of single actors are capped by it.
    pub table_elements: u32,
    /// How often running guests are looked at: fairness and deadlines are as exact as this. Held between 1 and 10 ms.
    pub epoch_tick: Duration,
    /// Bytes of linear memory which a free slot keeps, so that the next instance need not fault them in again.
    pub memory_keep_resident: usize,
    /// The same for tables.
    pub table_keep_resident: usize,
    /// The same for the stacks calls run on.
    pub stack_keep_resident: usize,
    /// Slots which may stay warm for actors that are not being called.
    pub warm_slots: u32,
    /// Bytes of the stack that a guest and the host functions it calls share.
    pub stack_bytes: usize,
    /// Bytes of that stack which the guest itself may use.
    pub guest_stack_bytes: usize,
    /// Where compiled code is kept for the next start; none keeps it in memory only.
    pub code_cache: Option<CodeCacheConfig>,
    /// Code that nobody called for so long, or for up to twice as long, is let go of and loaded from the code cache by the
    /// next call. None keeps it in memory, as does code that is not in the cache.
    pub unload_code_after: Option<Duration>,
    /// Threads that compile, at a lower priority than everything else. At least one.
    pub compile_threads: usize,
    /// Threads for calls that compute for long, at a lower priority than everything else. At least one.
    pub background_threads: usize,
    /// What a call may compute, after the tick that found it computing, before it goes on there.
    pub foreground: Duration,
    /// Whether components of WASI 0.3 run. They get an engine of their own, made for the first of them, with a quarter of
    /// the instances; what is said here of one engine holds for each.
    pub wasi_p3: bool,
}

/// The directory of compiled code. Processes of one user may share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeCacheConfig {
    /// The directory; made if it is not there, and of no use if anybody else may write to it.
    pub dir: PathBuf,
    /// Its bound; what was not used for longest goes first.
    pub max_bytes: u64,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            max_instances: 1000,
            memory_bytes: 1 << 30,
            table_elements: 100_000,
            epoch_tick: Duration::from_millis(1),
            memory_keep_resident: 2 << 20,
            table_keep_resident: 64 << 10,
            stack_keep_resident: 64 << 10,
            warm_slots: 64,
            stack_bytes: 2 << 20,
            guest_stack_bytes: 512 << 10,
            code_cache: None,
            unload_code_after: Some(Duration::from_secs(60)),
            compile_threads: cores().saturating_sub(1).max(1),
            background_threads: cores(),
            foreground: Duration::from_micros(800),
            wasi_p3: false,
        }
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
