//! The thread that moves the engine's epoch on, so that running guests are looked at.
//!
//! It holds the engine weakly and ends with it. While no guest runs it sleeps without waking the machine; the first
//! call wakes it. Invariant: as long as [`Ticker::running`] is above zero the epoch moves on every tick.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::{Engine, EngineWeak};

use super::meter;
use crate::error::RuntimeError;

/// Idle ticks before the thread goes to sleep for good.
const IDLE_TICKS: u32 = 200;

/// Owner of the ticking thread. Also counts what runs, because that is what the thread must know.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    running: AtomicU32,
    asleep: AtomicBool,
    stop: AtomicBool,
}

impl Ticker {
    pub(crate) fn start(engine: &Engine, tick: Duration) -> Result<Self, RuntimeError> {
        let tick = tick.clamp(Duration::from_millis(1), Duration::from_millis(10));
        let shared = Arc::new(Shared {
            running: AtomicU32::new(0),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let (engine, theirs) = (engine.weak(), shared.clone());
        let handle = thread::Builder::new()
            .name("epoch".to_owned())
            .stack_size(64 << 10)
            .spawn(move || run(&engine, &theirs, tick))
            .map_err(|error| RuntimeError::Ticker { reason: error.to_string() })?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// Counts one more running guest, unless `limit` run already.
    pub(crate) fn enter(&self, limit: u32) -> bool {
        if self.shared.running.fetch_add(1, SeqCst) >= limit {
            self.shared.running.fetch_sub(1, SeqCst);
            return false;
        }
        if self.shared.asleep.load(SeqCst) {
            self.thread.unpark();
        }
        true
    }

    pub(crate) fn leave(&self) {
        self.shared.running.fetch_sub(1, SeqCst);
    }

    pub(crate) fn running(&self) -> u32 {
        self.shared.running.load(SeqCst)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.thread.unpark();
    }
}

fn run(engine: &EngineWeak, shared: &Shared, tick: Duration) {
    let mut idle = 0;
    while !shared.stop.load(SeqCst) {
        thread::park_timeout(tick);
        let Some(engine) = engine.upgrade() else { return };
        meter::ticked();
        engine.increment_epoch();
        drop(engine);
        idle = if shared.running.load(SeqCst) == 0 { idle + 1 } else { 0 };
        if idle >= IDLE_TICKS {
            sleep(shared);
            idle = 0;
        }
    }
}

/// Sleeps until a guest runs. `asleep` is set before `running` is read, and [`Ticker::enter`] does it the other way
/// round, so one of the two sees the other.
fn sleep(shared: &Shared) {
    shared.asleep.store(true, SeqCst);
    while shared.running.load(SeqCst) == 0 && !shared.stop.load(SeqCst) {
        thread::park();
    }
    shared.asleep.store(false, SeqCst);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn eventually(what: &str, condition: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < until, "{what} did not happen");
            thread::yield_now();
        }
    }

    #[test]
    fn the_thread_sleeps_while_nothing_runs_and_ends_with_its_owner() {
        let engine = Engine::default();
        let ticker = Ticker::start(&engine, Duration::from_millis(1)).expect("a thread");
        eventually("sleep", || ticker.shared.asleep.load(SeqCst));
        assert!(ticker.enter(1));
        assert!(!ticker.enter(1), "one is the limit");
        eventually("waking", || !ticker.shared.asleep.load(SeqCst));
        ticker.leave();
        eventually("sleep", || ticker.shared.asleep.load(SeqCst));
        let shared = ticker.shared.clone();
        drop(ticker);
        eventually("the end of the thread", || Arc::strong_count(&shared) == 1);
    }

    #[test]
    fn the_thread_ends_with_the_engine() {
        let ticker = Ticker::start(&Engine::default(), Duration::from_millis(1)).expect("a thread");
        eventually("the end of the thread", || Arc::strong_count(&ticker.shared) == 1);
    }
}
