//! The store of a call, with every limit set.

use std::time::Instant;

use wasmtime::{Store, UpdateDeadline};

use super::HasCall;
use crate::{error::ended::Breach, limits::names::Limit, schedule::meter};

/// A store with every limit set.
pub(crate) fn store<T: HasCall>(engine: &wasmtime::Engine, mut data: T) -> Store<T> {
    let (fuel, handles) = {
        let limits = &data.call().actor.limits;
        (limits.payload_bytes.max(1 << 20) as usize, limits.component_handles as usize)
    };
    let mut store = Store::new(engine, data);
    store.limiter(|data| &mut data.call().limiter);
    store.set_hostcall_fuel(fuel);
    store.set_max_component_handles(handles);
    store.set_epoch_deadline(1);
    // Every tick: let others run, and look at both clocks. The timer around the call cannot be relied on for a guest that
    // computes, because the executor may be late when all its threads do.
    store.epoch_deadline_callback(|mut store| {
        let call = store.data_mut().call();
        if Instant::now() >= call.deadline() {
            return Err(Breach::Deadline.into());
        }
        if meter::has_just_begun() {
            // It waited while the tick came. Letting others run would cost it another turn.
            return Ok(UpdateDeadline::Continue(1));
        }
        let limit = call.actor.limits.cpu_time.saturating_mul(call.calls());
        if meter::tick() >= limit {
            return Err(Breach::limit(Limit::CpuTime, format_args!("{limit:?}")).into());
        }
        Ok(UpdateDeadline::Yield(1))
    });
    store
}
