//! Settings on the engine and on compiled code.

use std::{num::NonZero, path::Path, path::PathBuf, time::Duration};

use clap::{Args, builder::BoolishValueParser};
use runtime::{CodeCacheConfig, CompileBound, CompileProcess, RuntimeConfig};

/// Largest code cache unless it is set, MiB.
const CODE_CACHE_MIB: u64 = 512;
/// After how long idle code is let go of unless it is set, seconds.
const UNLOAD_CODE_AFTER: u64 = 60;

/// The engine and compiled code, as flags and environment variables.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// Directory of compiled code, which only this user may write to. Default: `compiled` beside the fetched artifacts.
    #[arg(long, env = "WASH_CODE_CACHE_DIR", value_name = "DIRECTORY")]
    pub code_cache_dir: Option<PathBuf>,
    /// Size of that directory, MiB; what was not used for longest goes first, and zero compiles at every start.
    #[arg(long, env = "WASH_CODE_CACHE_SIZE_MIB", default_value_t = CODE_CACHE_MIB)]
    pub code_cache_size_mib: u64,
    /// Let go of the compiled code of actors that nobody called for so many seconds, or for up to twice as many; the next
    /// call loads it from that directory. Zero keeps it in memory.
    #[arg(long, env = "WASH_UNLOAD_CODE_AFTER", value_name = "SECONDS", default_value_t = UNLOAD_CODE_AFTER)]
    pub unload_code_after: u64,
    /// Threads that compile, at a low priority in the first seconds. Default: one less than there are cores.
    #[arg(long, env = "WASH_COMPILE_THREADS")]
    pub compile_threads: Option<NonZero<usize>>,
    /// Most memory that compiling one artifact may use, MiB. Default: with all that compile at once a quarter of the machine's,
    /// from 256 up to 2,048 MiB each.
    #[arg(long, env = "WASH_COMPILE_MEMORY_MIB", value_name = "MIB")]
    pub compile_memory_mib: Option<NonZero<u64>>,
    /// Most processor time that compiling one artifact may use, seconds. Default: 120.
    #[arg(long, env = "WASH_COMPILE_TIME", value_name = "SECONDS")]
    pub compile_time: Option<NonZero<u64>>,
    /// Memory for all actors together, MiB. Default: half of the machine's.
    #[arg(long, env = "WASH_GUEST_MEMORY_MIB", value_name = "MIB")]
    pub guest_memory_mib: Option<NonZero<u64>>,
    /// Memory for the bodies of all calls under way, MiB. Default: an eighth of the machine's.
    #[arg(long, env = "WASH_BODY_MEMORY_MIB", value_name = "MIB")]
    pub body_memory_mib: Option<NonZero<u64>>,
    /// Run components of WASI 0.3 as well. wasmtime calls its support of them experimental.
    #[arg(long, env = "WASH_WASI_P3", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    pub wasi_p3: bool,
}

impl EngineArgs {
    /// Sets them; `artifacts` is the directory of fetched artifacts. Programs that are told their settings this way begin by
    /// asking [`crate::compile_worker::is_asked`].
    pub(super) fn apply(self, runtime: &mut RuntimeConfig, artifacts: &Path) {
        let dir = self.code_cache_dir.unwrap_or_else(|| beside(artifacts));
        runtime.code_cache = code_cache(dir, self.code_cache_size_mib);
        runtime.unload_code_after = (self.unload_code_after > 0).then(|| Duration::from_secs(self.unload_code_after));
        if let Some(threads) = self.compile_threads {
            runtime.compile_threads = threads.get();
        }
        runtime.guest_memory_bytes = self.guest_memory_mib.map(bytes);
        runtime.body_memory_bytes = self.body_memory_mib.map(bytes);
        let mut process = CompileProcess::of_this_program();
        if let Some(mib) = self.compile_memory_mib {
            process.memory_bytes = bytes(mib);
        }
        if let Some(seconds) = self.compile_time {
            process.time = Duration::from_secs(seconds.get());
        }
        runtime.compile_bound = CompileBound::Process(process);
        runtime.wasi_p3 = self.wasi_p3;
    }
}

/// The code cache of a host which keeps its artifacts in `artifacts` and was told nothing else.
pub(super) fn default_code_cache(artifacts: &Path) -> Option<CodeCacheConfig> {
    code_cache(beside(artifacts), CODE_CACHE_MIB)
}

fn bytes(mib: NonZero<u64>) -> u64 {
    mib.get().saturating_mul(1 << 20)
}

fn beside(artifacts: &Path) -> PathBuf {
    artifacts.with_file_name("compiled")
}

fn code_cache(dir: PathBuf, mib: u64) -> Option<CodeCacheConfig> {
    (mib > 0).then(|| CodeCacheConfig { dir, max_bytes: mib.saturating_mul(1 << 20) })
}
