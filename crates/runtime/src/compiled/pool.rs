//! The threads that compile.
//!
//! In a host they give way to everything else. A compilation that is old is helped by as many threads that do not, so that a
//! busy machine slows it down and never starves it. Where somebody waits for nothing but the compilation, none gives way. They
//! are made when the first compilation needs them. Invariant: a compilation, which is parallel in itself, takes no thread but
//! these, and a panic in it fails that compilation only.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

use crate::{
    engine::{config::CompilePriority, machine::Machine},
    error::{LoadError, ended::panic_text},
};

/// How much the threads give way; 19 would be starved by any busy guest.
const NICENESS: i32 = 10;

/// A compilation of this age is helped. Most are over by then, on an idle machine all but the largest.
const OLD: Duration = Duration::from_secs(2);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct CompilePool {
    threads: usize,
    priority: CompilePriority,
    made: Arc<Made>,
}

#[derive(Default)]
struct Made {
    pool: OnceLock<ThreadPool>,
    helpers: Arc<Helpers>,
}

/// Holds the threads that help back until there is something old.
#[derive(Default)]
struct Helpers {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// When what runs began.
    running: Vec<Instant>,
    /// Whether the pool is gone.
    is_over: bool,
}

impl CompilePool {
    pub(crate) fn new(threads: usize, priority: CompilePriority) -> Self {
        Self { threads: threads.max(1), priority, made: Arc::default() }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    pub(crate) fn priority(&self) -> CompilePriority {
        self.priority
    }

    /// Runs `work` on the threads. Work that was begun is finished, whether or not anybody still waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoadError> {
        let (sender, receiver) = oneshot::channel();
        let this = self.clone();
        self.pool()?.spawn(move || {
            let running = Running::begin(&this);
            let done = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_text(&*panic));
            drop(running);
            drop(sender.send(done));
        });
        let done = receiver.await.map_err(|error| error.to_string()).flatten();
        done.map_err(|reason| LoadError::HostFault { reason })
    }

    /// Runs `work` on the threads while this one waits.
    pub(crate) fn block_on<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LoadError> {
        let pool = self.pool()?;
        Ok(pool.install(|| {
            let _running = Running::begin(self);
            work()
        }))
    }

    fn pool(&self) -> Result<&ThreadPool, LoadError> {
        if let Some(pool) = self.made.pool.get() {
            return Ok(pool);
        }
        let (threads, yields) = (self.threads, self.priority == CompilePriority::Yielding);
        // Where address space is short there is none for the stacks and heaps of more threads.
        let is_helped = yields && Machine::here().address_space.is_none();
        let built = ThreadPoolBuilder::new()
            .num_threads(if is_helped { 2 * threads } else { threads })
            .thread_name(|index| format!("compile-{index}"))
            .start_handler(move |index| {
                if yields && index < threads {
                    give_way();
                }
            })
            .build()
            .map_err(|error| LoadError::HostFault { reason: format!("no threads to compile on: {error}") })?;
        if self.made.pool.set(built).is_ok() && yields {
            self.hold_helpers();
        }
        Ok(self.made.pool.get().expect("set above, by this thread or another"))
    }

    /// Has those who help wait until there is something old.
    fn hold_helpers(&self) {
        let Some(pool) = self.made.pool.get() else { return };
        let (helpers, threads) = (self.made.helpers.clone(), self.threads);
        pool.spawn_broadcast(move |thread| {
            if thread.index() >= threads {
                helpers.wait_for_something_old();
            }
        });
    }
}

impl Helpers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_something_old(&self) {
        let mut state = self.lock();
        while !state.is_over {
            let age = state.running.iter().map(Instant::elapsed).max();
            state = match age.map(|age| OLD.checked_sub(age).filter(|left| !left.is_zero())) {
                Some(None) => return,
                Some(Some(left)) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Drop for Made {
    /// Threads that wait end as the others do.
    fn drop(&mut self) {
        self.helpers.lock().is_over = true;
        self.helpers.changed.notify_all();
    }
}

/// A compilation that runs. Its end, however it comes, sends those who helped back to waiting.
struct Running<'a> {
    pool: &'a CompilePool,
    since: Instant,
}

impl<'a> Running<'a> {
    fn begin(pool: &'a CompilePool) -> Self {
        let since = Instant::now();
        pool.made.helpers.lock().running.push(since);
        pool.made.helpers.changed.notify_all();
        Self { pool, since }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.made.helpers.lock();
        if let Some(at) = state.running.iter().position(|since| *since == self.since) {
            state.running.swap_remove(at);
        }
        drop(state);
        if self.since.elapsed() >= OLD && self.pool.priority == CompilePriority::Yielding {
            self.pool.hold_helpers();
        }
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

    fn yielding(threads: usize) -> CompilePool {
        CompilePool::new(threads, CompilePriority::Yielding)
    }

    #[tokio::test]
    async fn a_panic_fails_one_compilation_and_the_threads_go_on() {
        let pool = yielding(1);
        let panicked = pool.run(|| panic!("boom")).await;
        assert_eq!(panicked, Err::<(), _>(LoadError::HostFault { reason: "panic: boom".to_owned() }));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[cfg(target_os = "linux")]
    fn nice() -> i32 {
        rustix::process::getpriority_process(None).expect("a priority")
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_give_way_and_nobody_else_does() {
        let ours = nice();
        let theirs = yielding(2).run(nice).await.expect("runs");
        assert!(theirs >= NICENESS.max(ours), "{theirs}");
        let waited_for = CompilePool::new(2, CompilePriority::Normal).run(nice).await.expect("runs");
        assert_eq!((waited_for, nice()), (ours, ours));
    }

    #[tokio::test]
    async fn the_threads_that_wait_end_with_the_pool() {
        let pool = yielding(1);
        assert_eq!(pool.run(|| 7).await, Ok(7));
        let helpers = Arc::downgrade(&pool.made.helpers);
        drop(pool);
        let until = Instant::now() + Duration::from_secs(10);
        while helpers.strong_count() > 0 {
            assert!(Instant::now() < until, "a thread waits on");
            tokio::task::yield_now().await;
        }
    }

    /// Runs pieces until one was run by a thread that does not give way; says after how long.
    #[cfg(target_os = "linux")]
    fn until_helped(ours: i32) -> Duration {
        let began = Instant::now();
        loop {
            let piece = || {
                let until = Instant::now() + Duration::from_millis(1);
                while Instant::now() < until {}
                nice() == ours
            };
            if rayon::join(piece, piece) != (false, false) {
                return began.elapsed();
            }
            assert!(began.elapsed() < 20 * OLD, "nobody helps");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_old_is_helped_each_time_anew() {
        let (pool, ours) = (yielding(1), nice());
        for _ in 0..2 {
            let helped = pool.run(move || until_helped(ours)).await.expect("runs");
            assert!(helped >= OLD - Duration::from_millis(50), "after {helped:?} it is not old");
        }
    }
}
