//! Settings on what an actor may use.
//!
//! Every limit has a default; one that an operator of the host sets is also the most that a start may ask for.

use clap::Args;
use runtime::{LimitSettings, parse_size};

use super::{HostConfig, Problems};

/// Name of the one limit that holds for the host as a whole.
const STACK: &str = "stack";

/// Limits, as flags and environment variables.
#[derive(Debug, Clone, Args)]
pub struct LimitArgs {
    /// Most that one actor may use, such as `memory=64MiB`, `cpu-time=2s` or `queue=100`; repeatable.
    ///
    /// A start may ask for less (`wash start actor --limit`), and for more of what is not set here. `stack` is the stack
    /// of every call.
    #[arg(long = "limit", env = "WASH_LIMITS", value_name = "NAME=VALUE", value_delimiter = ',')]
    pub limits: Vec<String>,
    /// Memory one actor instance may use, MiB, unless its start or `--limit memory=…` says otherwise.
    #[arg(long, env = "WASH_ACTOR_MEMORY_MIB", default_value_t = 64)]
    pub actor_memory_mib: u32,
}

impl LimitArgs {
    pub(super) fn apply(&self, problems: &mut Problems, config: &mut HostConfig) {
        config.limits.memory_bytes = u64::from(self.actor_memory_mib) << 20;
        let mut most = LimitSettings::default();
        for text in &self.limits {
            match text.split_once('=') {
                Some((name, value)) if name.trim() == STACK => match parse_size(value).map(usize::try_from) {
                    Some(Ok(bytes)) => config.runtime.guest_stack_bytes = bytes,
                    _ => problems.add(&format!("--limit: `{value}` is no size for `{STACK}`, such as `512KiB`")),
                },
                _ => {
                    problems.take("--limit", most.set(text));
                }
            }
        }
        most.apply(&mut config.limits);
        config.runtime.memory_bytes = config.runtime.memory_bytes.max(config.limits.memory_bytes);
        config.most = most;
    }
}
