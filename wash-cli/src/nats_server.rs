//! The NATS server that `wash up` brings along: which program it is, whether one answers already, start and stop.
//!
//! Knows processes and files, nothing of hosts or lattices: when to stop the server is decided by others. Invariant:
//! a process is only ever signalled after its command line has been seen to be the server of that very directory.

mod find;
mod probe;
mod process;

pub use find::{Program, WAYS_TO_GET, find};
pub use probe::{Probe, probe};
pub use process::{ServerDir, ServerLock, ServerOptions, tail};

/// The oldest NATS server that will do.
pub const OLDEST: (u64, u64) = (2, 10);

/// Whether a server of this version will do.
pub fn is_recent_enough(version: &semver::Version) -> bool {
    (version.major, version.minor) >= OLDEST
}
