//! How a call comes to an instance: a permit of its actor, memory, a place of the engine, and the code.
//!
//! Whatever is missing is waited for up to the deadline, or refused at once by its name. Invariant: who holds an [`Admitted`]
//! counts for its actor and for the engine until the instance is gone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use contracts::CallError;
use tokio::time::timeout_at;

use super::{Body, Guest};
use crate::{
    Limit,
    admission::{Entry, Permit},
    runtime::Shared,
    ticker::Ticker,
};

/// Held while an instance is alive.
pub(crate) struct Admitted {
    runtime: Arc<Shared>,
    own_deadline: bool,
    _permit: Permit,
}

impl Admitted {
    /// Where a guest that computes for long goes on.
    pub(crate) fn runtime(&self) -> &Arc<Shared> {
        &self.runtime
    }

    /// Whether the call's time is bounded by the actor's own limit.
    pub(crate) fn own_deadline(&self) -> bool {
        self.own_deadline
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.runtime.ticker.leave();
    }
}

/// Held while something runs that is no call.
pub(super) struct Running<'a>(pub(super) &'a Ticker);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Guest {
    pub(super) async fn admit(
        &self,
        operation: &str,
        deadline: Instant,
        own_deadline: bool,
    ) -> Result<Admitted, CallError> {
        let loaded = &*self.shared;
        if deadline.saturating_duration_since(Instant::now()) == Duration::ZERO {
            return Err(CallError::DeadlineExceeded { step: format!("`{operation}` was waiting to be started") });
        }
        let permit = match loaded.admission.enter() {
            Entry::Admitted(permit) => permit,
            Entry::Queued(place) => match timeout_at(deadline.into(), place).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) => return Err(self.not_running()),
                Err(_) => {
                    let step = format!("`{operation}` was waiting for a free instance of `{}`", loaded.actor.id());
                    return Err(CallError::DeadlineExceeded { step });
                }
            },
            Entry::Full => {
                loaded.actor.breaches.count(Limit::Queue);
                return Err(self.busy(loaded.admission.limit()));
            }
            Entry::Closed => return Err(self.not_running()),
        };
        if !loaded.actor.memory.has_room() {
            Box::pin(self.memory(operation, deadline)).await?;
        }
        let max_instances = loaded.runtime.max_instances();
        let taken = loaded.runtime.ticker.running();
        if !loaded.runtime.fairness.admits(taken, || loaded.admission.running()) && taken < max_instances {
            return Err(self.left_to_others(max_instances));
        }
        if !loaded.runtime.ticker.enter(max_instances) {
            return Err(self.busy(max_instances));
        }
        loaded.runtime.idle.make_room(loaded.runtime.ticker.running(), max_instances);
        Ok(Admitted { runtime: loaded.runtime.clone(), own_deadline, _permit: permit })
    }

    /// Waits until there is memory for another instance.
    async fn memory(&self, operation: &str, deadline: Instant) -> Result<(), CallError> {
        let (runtime, actor) = (&self.shared.runtime, &self.shared.actor);
        runtime.idle.make_room_until(|| actor.memory.has_room());
        let room = timeout_at(deadline.into(), actor.memory.room()).await;
        room.map_err(|_| {
            tracing::debug!(actor = actor.id(), operation, "waited for memory up to its deadline");
            let (target, what) = (actor.id().to_owned(), actor.memory.refusal());
            CallError::NoRoom { target, what, begun: false }
        })
    }

    /// The code, which a guest that was idle has to get back first.
    pub(super) async fn body(&self, operation: &str, deadline: Instant) -> Result<Body, CallError> {
        match self.shared.code.wanted() {
            Some(body) => Ok(body),
            None => Box::pin(self.reloaded(operation, deadline)).await,
        }
    }

    async fn reloaded(&self, operation: &str, deadline: Instant) -> Result<Body, CallError> {
        let actor = self.shared.actor.id();
        match timeout_at(deadline.into(), self.shared.code.reload()).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) => {
                tracing::error!(actor, operation, %error, "idle code cannot be loaded again");
                Err(CallError::HostFault { message: format!("the code of `{actor}` cannot be loaded again: {error}") })
            }
            Err(_) => Err(CallError::DeadlineExceeded {
                step: format!("the code of `{actor}`, which had been idle, was being loaded for `{operation}`"),
            }),
        }
    }

    fn busy(&self, limit: u32) -> CallError {
        CallError::Busy { target: self.shared.actor.id().to_owned(), limit }
    }

    fn left_to_others(&self, places: u32) -> CallError {
        let running = self.shared.admission.running();
        let what = format!("{running} of its calls run, and the rest of the {places} places is left to other actors");
        CallError::NoRoom { target: self.shared.actor.id().to_owned(), what, begun: false }
    }

    fn not_running(&self) -> CallError {
        CallError::NotRunning { target: self.shared.actor.id().to_owned() }
    }
}
