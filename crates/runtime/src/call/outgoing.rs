//! The way out of one call, as a thing that can be kept: streams and copies go on calling after the host function that
//! made them has returned.
//!
//! All clones count together. Invariant: nothing leaves a guest uncounted, whoever of its parts makes the call, and what
//! the host holds for a guest in buffers is never more than one argument may be.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use contracts::CallError;

use super::{
    clock::Clock,
    outbound::{CallContext, OutboundCall, OutboundTarget},
};
use crate::{actor::Actor, error::ended::Breach, limits::names::Limit};

/// The way out of one call. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outgoing {
    shared: Arc<Shared>,
}

struct Shared {
    actor: Arc<Actor>,
    /// Its deadline is the effective one.
    context: CallContext,
    calls: AtomicU32,
    held: AtomicUsize,
    /// Moves the deadline, where something does.
    clock: OnceLock<Arc<Clock>>,
}

impl Outgoing {
    /// `context.deadline` must be the effective deadline already.
    pub(crate) fn new(actor: Arc<Actor>, context: CallContext) -> Self {
        Self { shared: Arc::new(Shared { actor, context, calls: 0.into(), held: 0.into(), clock: OnceLock::new() }) }
    }

    /// A way for cleaning up when the call is over already. It counts anew.
    pub(crate) fn afterwards(&self, time: Duration) -> Self {
        let context = CallContext { deadline: Instant::now() + time, ..self.shared.context.clone() };
        Self::new(self.shared.actor.clone(), context)
    }

    pub(crate) fn actor(&self) -> &Arc<Actor> {
        &self.shared.actor
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.shared.clock.get().map_or(self.shared.context.deadline, |clock| clock.deadline())
    }

    /// What moves its deadline.
    pub(crate) fn clock(&self) -> Option<Arc<Clock>> {
        self.shared.clock.get().cloned()
    }

    /// From here on its deadline is that of the clock.
    pub(crate) fn follow(&self, clock: &Arc<Clock>) {
        self.shared.clock.set(clock.clone()).ok();
    }

    /// Whether a call was counted.
    pub(crate) fn has_called(&self) -> bool {
        self.shared.calls.load(Relaxed) > 0
    }

    /// Counts a call out of the guest and checks its argument.
    pub(crate) fn count(&self, payload: usize) -> Result<(), Breach> {
        let limits = &self.shared.actor.limits;
        let calls = &self.shared.calls;
        // A guest runs on one thread at a time; what goes on beside it may count a call more before it sees the limit.
        if calls.load(Relaxed) >= limits.host_calls_per_call {
            return Err(Breach::limit(Limit::HostCalls, limits.host_calls_per_call));
        }
        calls.fetch_add(1, Relaxed);
        if payload > limits.payload_bytes as usize {
            return Err(Breach::limit(Limit::Payload, limits.payload_bytes));
        }
        Ok(())
    }

    /// Calls the target within the call's deadline. It must have been counted.
    pub(crate) async fn call(
        self,
        target: OutboundTarget,
        operation: String,
        payload: Bytes,
    ) -> Result<Bytes, CallError> {
        let CallContext { trace, outbound, .. } = self.shared.context.clone();
        let deadline = self.deadline();
        let result = outbound.call(OutboundCall { target, operation, payload, deadline, trace }).await?;
        check(&self.shared.actor, result.len()).map(|()| result)
    }

    /// The actor's configuration.
    pub(crate) async fn config(self) -> Result<BTreeMap<String, Vec<u8>>, CallError> {
        let config = self.shared.context.outbound.config().await?;
        let len = config.iter().map(|(key, value)| key.len() + value.len()).sum();
        check(&self.shared.actor, len).map(|()| config)
    }

    /// An empty share in what the host holds for the guest.
    pub(crate) fn hold(&self) -> Held {
        Held { out: self.clone(), bytes: 0 }
    }
}

/// A share in what the host holds in buffers for one call; all shares together are bounded by `payload_bytes`. Given
/// back when dropped.
pub(crate) struct Held {
    out: Outgoing,
    bytes: usize,
}

impl Held {
    /// How much more there is room for.
    pub(crate) fn room(&self) -> usize {
        let limit = self.out.shared.actor.limits.payload_bytes as usize;
        limit.saturating_sub(self.out.shared.held.load(Relaxed))
    }

    /// Takes room that [`Held::room`] has said to be there.
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.out.shared.held.fetch_add(bytes, Relaxed);
    }

    /// Gives back a part of it.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.out.shared.held.fetch_sub(bytes, Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.out.shared.held.fetch_sub(self.bytes, Relaxed);
    }
}

fn check(actor: &Actor, len: usize) -> Result<(), CallError> {
    let limit = actor.limits.response_bytes;
    if len > limit as usize {
        let limit = format!("result of {len} bytes, `response_bytes` of {limit}");
        return Err(CallError::LimitExceeded { limit });
    }
    Ok(())
}
