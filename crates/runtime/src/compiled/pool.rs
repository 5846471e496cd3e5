//! The threads that compile.
//!
//! They run at a lower priority than everything else and are made when the first compilation needs them. Invariant: a
//! compilation, which is parallel in itself, takes no thread but these, and a panic in it fails that compilation only.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

use crate::{LoadError, guest::panic_text};

/// How much the threads give way; 19 would be starved by any busy guest.
const NICENESS: i32 = 10;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct CompilePool {
    threads: usize,
    pool: Arc<OnceLock<ThreadPool>>,
}

impl CompilePool {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), pool: Arc::default() }
    }

    /// Runs `work` on the threads. Work that was begun is finished, whether or not anybody still waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoadError> {
        let (sender, receiver) = oneshot::channel();
        self.pool()?.spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_text(&*panic));
            drop(sender.send(done));
        });
        let done = receiver.await.map_err(|error| error.to_string()).flatten();
        done.map_err(|reason| LoadError::HostFault { reason })
    }

    fn pool(&self) -> Result<&ThreadPool, LoadError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let built = ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|index| format!("compile-{index}"))
            .start_handler(|_| give_way())
            .build()
            .map_err(|error| LoadError::HostFault { reason: format!("no threads to compile on: {error}") })?;
        Ok(self.pool.get_or_init(|| built))
    }
}

#[cfg(target_os = "linux")]
fn give_way() {
    // To Linux a thread is a process of its own, with a priority of its own; no id means the calling one.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "compile threads keep the priority of the process");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_one_compilation_and_the_threads_go_on() {
        let pool = CompilePool::new(1);
        let panicked = pool.run(|| panic!("boom")).await;
        assert_eq!(panicked, Err::<(), _>(LoadError::HostFault { reason: "panic: boom".to_owned() }));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_give_way_and_nobody_else_does() {
        let nice = || rustix::process::getpriority_process(None).expect("a priority");
        let ours = nice();
        let theirs = CompilePool::new(2).run(nice).await.expect("runs");
        assert!(theirs >= NICENESS.max(ours), "{theirs}");
        assert_eq!(nice(), ours);
    }
}
