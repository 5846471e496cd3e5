//! The store of one run: its limits and its clock.

use std::time::{Duration, Instant};

use wasmtime::{Engine, Store, UpdateDeadline};

use crate::{call::limiter::StoreLimiter, error::ended::Breach, limits::GuestLimits};

/// Bytes that one call of a host function may make the host copy.
const HOST_CALL_BYTES: usize = 1 << 30;

/// What the store of a run carries, whatever the kind of program.
pub(super) struct Run {
    pub(super) limiter: StoreLimiter,
    /// None for as long as it takes.
    until: Option<Instant>,
}

impl Run {
    pub(super) fn new(limits: &GuestLimits, time: Option<Duration>) -> Self {
        let until = time.and_then(|time| Instant::now().checked_add(time));
        Self { limiter: StoreLimiter::new(limits, None), until }
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// Store data of either kind.
pub(super) trait HasRun: Send + 'static {
    fn run(&mut self) -> &mut Run;
}

pub(super) fn store<T: HasRun>(engine: &Engine, data: T) -> Store<T> {
    let mut store = Store::new(engine, data);
    store.limiter(|data| &mut data.run().limiter);
    store.set_hostcall_fuel(HOST_CALL_BYTES);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut store| {
        if store.data_mut().run().is_over() {
            return Err(Breach::Deadline.into());
        }
        // So that the timer of a run with a limit is looked at while the program computes.
        Ok(UpdateDeadline::Yield(1))
    });
    store
}
