//! The store of one run: its limits and its clock.

use std::time::{Duration, Instant};

use wasmtime::{Engine, Store, UpdateDeadline};

use crate::{call::HasCall, error::ended::Breach};

/// Bytes that one call of a host function may make the host copy.
const HOST_CALL_BYTES: usize = 1 << 30;

/// A store that ends what runs in it when its time is over; none for as long as it takes.
pub(super) fn store<T: HasCall>(engine: &Engine, data: T, time: Option<Duration>) -> Store<T> {
    let until = time.and_then(|time| Instant::now().checked_add(time));
    let mut store = Store::new(engine, data);
    store.limiter(|data| &mut data.call().limiter);
    store.set_hostcall_fuel(HOST_CALL_BYTES);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(Breach::Deadline.into());
        }
        // So that the timer of a run with a limit is looked at while the program computes.
        Ok(UpdateDeadline::Yield(1))
    });
    store
}
