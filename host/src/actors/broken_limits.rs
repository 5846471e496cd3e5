//! Tells the lattice which actors break their limits.
//!
//! The counters are the runtime's, which wakes this when one of them has moved; it looks at most once a second, so that an
//! actor which breaks a limit with every call costs the lattice no more than one event a second and limit. Invariants: every
//! breach is in the count of exactly one event; while no limit is broken nothing in here runs.

use std::{sync::Arc, time::Duration};

use claims::HostId;
use lattice::event::{ActorLimitExceeded, EventData};
use runtime::Runtime;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Actors, RunningActor};
use crate::events::Events;

/// At most that often.
const EVERY: Duration = Duration::from_secs(1);

/// Tells of them.
pub struct BrokenLimits {
    actors: Arc<Actors>,
    runtime: Runtime,
    events: Events,
    host: HostId,
}

impl BrokenLimits {
    /// For the actors of this host.
    #[must_use]
    pub fn new(actors: Arc<Actors>, runtime: Runtime, events: Events, host: HostId) -> Arc<Self> {
        Arc::new(Self { actors, runtime, events, host })
    }

    /// Tells until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.runtime.limit_broken() => {}
            }
            for actor in self.actors.all() {
                self.tell(&actor);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(EVERY) => {}
            }
        }
    }

    /// Tells what has not been told yet of one actor; also when it is about to go.
    pub fn tell(&self, actor: &RunningActor) {
        for (limit, count) in actor.new_breaches() {
            let value = actor.guest.limits().shown(limit);
            tracing::warn!(actor = %actor.id, %limit, value, count, "actor broke a limit");
            self.events.emit(EventData::ActorLimitExceeded(ActorLimitExceeded {
                public_key: actor.id,
                image_ref: actor.image_ref.clone(),
                host_id: self.host,
                limit: limit.to_string(),
                value,
                count,
            }));
        }
    }
}
