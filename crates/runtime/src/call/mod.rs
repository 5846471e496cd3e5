//! What every store carries, whatever the kind of guest: whose call it is, what it may still use, and how it leaves.
//!
//! Invariant: a host function asks here before it does anything for the guest, so no limit is checked in two places.

pub(crate) mod clock;
pub(crate) mod limiter;
pub(crate) mod outbound;
pub(crate) mod outgoing;
pub(crate) mod stdin;
pub(crate) mod stdio;
pub(crate) mod store;
pub(crate) mod watch;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use contracts::CallError;

use self::{
    clock::Clock,
    limiter::StoreLimiter,
    outbound::{CallContext, OutboundTarget},
    outgoing::Outgoing,
};
use crate::{
    actor::{Actor, logs::Logs},
    error::ended::Breach,
    limits::{GuestLimits, names::Limit},
};

/// State of one call.
pub(crate) struct CallState {
    pub(crate) actor: Arc<Actor>,
    pub(crate) limiter: StoreLimiter,
    outgoing: Outgoing,
    logs: Option<Logs>,
    /// Calls that joined, where several are in the instance at once.
    calls: u32,
}

impl CallState {
    /// `context.deadline` must be the effective deadline already.
    pub(crate) fn new(actor: Arc<Actor>, context: CallContext) -> Self {
        let limiter = StoreLimiter::new(&actor.limits, Some(actor.memory.clone()));
        let outgoing = Outgoing::new(actor.clone(), context);
        Self { actor, limiter, outgoing, logs: None, calls: 0 }
    }

    /// For a program that its user runs: it is nobody's actor, and no call of it leaves.
    pub(crate) fn of_program(limits: GuestLimits) -> Self {
        Self::new(Arc::new(Actor::of_nobody(limits)), CallContext::of_nobody())
    }

    /// Turns to the next call of the same instance. What the instance holds, its memory above all, still counts.
    pub(crate) fn renew(&mut self, context: CallContext) {
        self.outgoing = Outgoing::new(self.actor.clone(), context);
        self.limiter.renew();
        self.calls = 0;
        if let Some(logs) = &self.logs {
            logs.renew();
        }
    }

    /// Another call in the same instance, beside those that are there. What is counted by call starts anew, time runs until
    /// the last of them has had its own.
    pub(crate) fn join(&mut self, context: CallContext) {
        let deadline = if self.calls == 0 { context.deadline } else { self.outgoing.deadline().max(context.deadline) };
        self.calls = self.calls.saturating_add(1);
        self.outgoing = Outgoing::new(self.actor.clone(), CallContext { deadline, ..context });
        if let Some(logs) = &self.logs {
            logs.renew();
        }
    }

    /// The clock of an instance that several calls share, which the first of them brings.
    pub(crate) fn until(&mut self) -> Arc<Clock> {
        let now = || Clock::new(Instant::now(), false, None);
        if self.calls == 0 { now() } else { self.outgoing.clock().unwrap_or_else(now) }
    }

    /// Lets the clock say when the call must have ended.
    pub(crate) fn follow(&self, clock: &Arc<Clock>) {
        self.outgoing.follow(clock);
    }

    /// The call's log, which counts its lines.
    pub(crate) fn logs(&mut self) -> &Logs {
        self.logs.get_or_insert_with(|| Logs::new(self.actor.clone()))
    }

    /// Counts a call out of the guest and checks its argument.
    pub(crate) fn count_host_call(&mut self, payload: usize) -> Result<(), Breach> {
        self.outgoing.count(payload)
    }

    /// Whether the guest has asked anything of the host or the world in this call.
    pub(crate) fn has_called_out(&self) -> bool {
        self.outgoing.has_called()
    }

    /// When the call must have ended.
    pub(crate) fn deadline(&self) -> Instant {
        self.outgoing.deadline()
    }

    /// Calls that are in the instance, at least one.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.max(1)
    }

    /// Refuses a result that is larger than the actor may hand over.
    pub(crate) fn check_response(&self, len: usize) -> Result<(), Breach> {
        let limit = self.actor.limits.response_bytes;
        if len > limit as usize { Err(Breach::limit(Limit::Response, limit)) } else { Ok(()) }
    }

    /// The way out, for calls that begin later.
    pub(crate) fn outgoing(&self) -> Outgoing {
        self.outgoing.clone()
    }

    /// The call out, ready to be awaited without a borrow of the store.
    pub(crate) fn outbound(
        &self,
        target: OutboundTarget,
        operation: String,
        payload: Bytes,
    ) -> impl Future<Output = Result<Bytes, CallError>> + Send + 'static {
        self.outgoing().call(target, operation, payload)
    }
}

/// Store data of either kind.
pub(crate) trait HasCall: Send + 'static {
    fn call(&mut self) -> &mut CallState;
}
