//! What the host may decide about the engine. Plain data; nothing here is per actor (that is [`crate::GuestLimits`]).

use std::{num::NonZero, path::PathBuf, thread, time::Duration};

use serde::{Deserialize, Serialize};

use super::machine::Machine;

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
    /// Threads that compile. At least one.
    pub compile_threads: usize,
    /// Whether they give way to everything else.
    pub compile_priority: CompilePriority,
    /// What bounds the time and the memory that compiling takes.
    pub compile_bound: CompileBound,
    /// Threads for calls that compute for long, at a lower priority than everything else. At least one.
    pub background_threads: usize,
    /// What a call may compute, after the tick that found it computing, before it goes on there.
    pub foreground: Duration,
    /// Bytes of memory for all guests together, of both engines; none for half of the machine's.
    pub guest_memory_bytes: Option<u64>,
    /// Bytes of memory for the bodies of all calls under way in this process; none for an eighth of the machine's.
    pub body_memory_bytes: Option<u64>,
    /// Whether components of WASI 0.3 run. They get an engine of their own, made for the first of them, with a quarter of
    /// the instances; what is said here of one engine holds for each.
    pub wasi_p3: bool,
}

/// Whether compiling gives way to what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompilePriority {
    /// It does for its first seconds, for hosts whose actors are called meanwhile.
    Yielding,
    /// It does not: somebody waits for nothing else.
    Normal,
}

/// What bounds the time and the memory that compiling takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompileBound {
    /// Nothing: for programs that their user runs, who can stop them.
    None,
    /// Wasm of a shape that toolchains do not make, and that takes very long, is refused. Once begun, nothing stops it.
    Shape,
    /// What is heavy is compiled by a process of its own.
    Process(CompileProcess),
}

/// How heavy wasm is compiled: by another process of a program that begins by asking [`crate::compile_worker::is_asked`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileProcess {
    /// The program.
    pub program: PathBuf,
    /// Memory that one of them may use, in bytes.
    pub memory_bytes: u64,
    /// Processor time that one of them may use, in whole seconds.
    pub time: Duration,
    /// How many there are at once, at most; more wait.
    pub at_once: usize,
}

/// Processor time for one wasm. The largest there are, interpreters of 40 MiB, take a quarter of it on a slow machine.
const COMPILE_TIME: Duration = Duration::from_secs(120);
/// Least memory for one wasm.
const LEAST_COMPILE_BYTES: u64 = 256 << 20;
/// Most memory for one wasm.
const MOST_COMPILE_BYTES: u64 = 2 << 30;
/// Most processes that compile at once.
const MOST_AT_ONCE: u64 = 4;

impl CompileProcess {
    /// This very program, which must ask [`crate::compile_worker::is_asked`] before all else, sized for this machine: all of
    /// them together may use a quarter of its memory.
    #[must_use]
    pub fn of_this_program() -> Self {
        // Of the program that runs, also when its file was replaced by another version.
        let program =
            if cfg!(target_os = "linux") { Some("/proc/self/exe".into()) } else { std::env::current_exe().ok() };
        Self { program: program.unwrap_or_default(), ..Self::sized_for(Machine::here().memory) }
    }

    fn sized_for(memory: u64) -> Self {
        let share = memory / 4;
        let at_once = (share / (1 << 30)).clamp(1, MOST_AT_ONCE);
        let memory_bytes = (share / at_once).clamp(LEAST_COMPILE_BYTES, MOST_COMPILE_BYTES);
        let at_once = usize::try_from(at_once).expect("at most four");
        Self { program: PathBuf::new(), memory_bytes, time: COMPILE_TIME, at_once }
    }
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
            compile_priority: CompilePriority::Yielding,
            compile_bound: CompileBound::Shape,
            background_threads: cores(),
            foreground: Duration::from_micros(800),
            guest_memory_bytes: None,
            body_memory_bytes: None,
            wasi_p3: false,
        }
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_compile_have_a_quarter_of_the_machine_together() {
        let of = |memory: u64| {
            let sized = CompileProcess::sized_for(memory);
            (sized.at_once, sized.memory_bytes >> 20)
        };
        assert_eq!(
            [512 << 20, 2 << 30, 8 << 30, 24 << 30, u64::MAX].map(of),
            [(1, 256), (1, 512), (2, 1024), (4, 1536), (4, 2048)]
        );
    }
}
