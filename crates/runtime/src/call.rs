//! What every store carries, whatever the kind of guest: whose call it is, what it may still use, and how it leaves.
//!
//! Invariant: a host function asks here before it does anything for the guest, so no limit is checked in two places.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use contracts::CallError;
use wasmtime::{Store, UpdateDeadline};

use crate::{
    CallContext, GuestLimits, Identity, Limit, LocalGrants, OutboundTarget, background::Habit, breaches::Breaches,
    component::clock::Clock, error::Breach, limits::StoreLimiter, log_rate::LogRate, logs::Logs, meter,
    way_out::WayOut,
};

/// The actor as its calls see it; one per loaded guest.
pub(crate) struct Actor {
    pub(crate) identity: Identity,
    pub(crate) limits: GuestLimits,
    /// Whether its calls compute for long.
    pub(crate) habit: Habit,
    /// What it may have of this machine; nothing, unless it was loaded by hand.
    pub(crate) local: LocalGrants,
    pub(crate) breaches: Breaches,
    pub(crate) log_rate: LogRate,
}

impl Actor {
    pub(crate) fn new(identity: Identity, limits: GuestLimits) -> Self {
        let (habit, local, breaches, log_rate) = Default::default();
        Self { identity, limits, habit, local, breaches, log_rate }
    }

    pub(crate) fn id(&self) -> &str {
        self.identity.id.as_str()
    }

    /// Counts the limit that ended a call, if one did. Told by whoever waits for the end, of which there is one, while a
    /// guest may come to its end beside it. `own_deadline`: the call had no more time than the actor's own limit left it.
    pub(crate) fn count_breach<T>(&self, ended: &Result<T, CallError>, own_deadline: bool) {
        let broken = match ended {
            Err(CallError::LimitExceeded { limit }) => Limit::named_in(limit),
            Err(CallError::DeadlineExceeded { .. }) if own_deadline => Some(Limit::CallTime),
            _ => None,
        };
        if let Some(limit) = broken {
            self.breaches.count(limit);
        }
    }
}

/// State of one call.
pub(crate) struct CallState {
    pub(crate) actor: Arc<Actor>,
    pub(crate) limiter: StoreLimiter,
    way_out: WayOut,
    logs: Option<Logs>,
    /// Calls that joined, where several are in the instance at once.
    calls: u32,
}

impl CallState {
    /// `context.deadline` must be the effective deadline already.
    pub(crate) fn new(actor: Arc<Actor>, context: CallContext) -> Self {
        let limiter = StoreLimiter::new(&actor.limits);
        let way_out = WayOut::new(actor.clone(), context);
        Self { actor, limiter, way_out, logs: None, calls: 0 }
    }

    /// Turns to the next call of the same instance. What the instance holds, its memory above all, still counts.
    pub(crate) fn renew(&mut self, context: CallContext) {
        self.way_out = WayOut::new(self.actor.clone(), context);
        self.limiter.renew();
        self.calls = 0;
        if let Some(logs) = &self.logs {
            logs.renew();
        }
    }

    /// Another call in the same instance, beside those that are there. What is counted by call starts anew, time runs until
    /// the last of them has had its own.
    pub(crate) fn join(&mut self, context: CallContext) {
        let deadline = if self.calls == 0 { context.deadline } else { self.way_out.deadline().max(context.deadline) };
        self.calls = self.calls.saturating_add(1);
        self.way_out = WayOut::new(self.actor.clone(), CallContext { deadline, ..context });
        if let Some(logs) = &self.logs {
            logs.renew();
        }
    }

    /// The clock of an instance that several calls share, which the first of them brings.
    pub(crate) fn until(&mut self) -> Arc<Clock> {
        let now = || Clock::new(Instant::now(), false, None);
        if self.calls == 0 { now() } else { self.way_out.clock().unwrap_or_else(now) }
    }

    /// Lets the clock say when the call must have ended.
    pub(crate) fn follow(&self, clock: &Arc<Clock>) {
        self.way_out.follow(clock);
    }

    /// The call's log, which counts its lines.
    pub(crate) fn logs(&mut self) -> &Logs {
        self.logs.get_or_insert_with(|| Logs::new(self.actor.clone()))
    }

    /// Counts a call out of the guest and checks its argument.
    pub(crate) fn count_host_call(&mut self, payload: usize) -> Result<(), Breach> {
        self.way_out.count(payload)
    }

    /// Whether the guest has asked anything of the host or the world in this call.
    pub(crate) fn has_called_out(&self) -> bool {
        self.way_out.has_called()
    }

    /// Refuses a result that is larger than the actor may hand over.
    pub(crate) fn check_response(&self, len: usize) -> Result<(), Breach> {
        let limit = self.actor.limits.response_bytes;
        if len > limit as usize { Err(Breach::limit("response_bytes", limit)) } else { Ok(()) }
    }

    /// The way out, for calls that begin later.
    pub(crate) fn way_out(&self) -> WayOut {
        self.way_out.clone()
    }

    /// The call out, ready to be awaited without a borrow of the store.
    pub(crate) fn outbound(
        &self,
        target: OutboundTarget,
        operation: String,
        payload: Bytes,
    ) -> impl Future<Output = Result<Bytes, CallError>> + Send + 'static {
        self.way_out().call(target, operation, payload)
    }
}

/// Store data of either kind.
pub(crate) trait HasCall: Send + 'static {
    fn call(&mut self) -> &mut CallState;
}

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
        if Instant::now() >= call.way_out.deadline() {
            return Err(Breach::Deadline.into());
        }
        if meter::has_just_begun() {
            // It waited while the tick came. Letting others run would cost it another turn.
            return Ok(UpdateDeadline::Continue(1));
        }
        let limit = call.actor.limits.cpu_time.saturating_mul(call.calls.max(1));
        if meter::tick() >= limit {
            return Err(Breach::limit("cpu_time", format_args!("{limit:?}")).into());
        }
        Ok(UpdateDeadline::Yield(1))
    });
    store
}
