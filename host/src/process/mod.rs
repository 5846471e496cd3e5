//! Small tools of a process, which know nothing of hosts.

pub mod backoff;
pub mod clock;
pub mod error_chain;
pub mod executor;
pub mod guard;
pub mod lifetime;
pub mod logging;
pub mod open_files;
pub mod private;
pub mod sequencer;
pub mod signals;
