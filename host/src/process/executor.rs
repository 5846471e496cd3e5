//! The threads a host runs on.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Makes the executor for programs that run a host. Any other of tokio does as well; on this one, work that calls put off is
/// done while a thread has nothing else to do, and calls that come one at a time are answered sooner.
///
/// # Errors
/// The system gives no threads.
pub fn executor() -> io::Result<Runtime> {
    runtime::use_idle_time(Builder::new_multi_thread().enable_all()).build()
}
