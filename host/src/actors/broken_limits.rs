//! Tells the lattice which actors break their limits.
//!
//! The counters are the runtime's, which wakes this when one of them has moved; it looks at most once a second, so that an
//! actor which breaks a limit with every call costs the lattice no more than one event a second and limit. Invariants: every
//! breach is in the count of exactly one event; while no limit is broken nothing in here runs.

use std::{sync::Arc, time::Duration};

use lattice::event::{ActorLimitExceeded, EventData};
use tokio::time::sleep;

use crate::{actors::RunningActor, core::Core};

/// At most that often.
const EVERY: Duration = Duration::from_secs(1);

/// Tells until the host stops.
pub async fn watch(core: Arc<Core>) {
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.runtime.limit_broken() => {}
        }
        for actor in core.actors.all() {
            tell(&core, &actor);
        }
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = sleep(EVERY) => {}
        }
    }
}

/// Tells what has not been told yet of one actor; also when it is about to go.
pub fn tell(core: &Core, actor: &RunningActor) {
    for (limit, count) in actor.new_breaches() {
        let value = actor.guest.limits().shown(limit);
        tracing::warn!(actor = %actor.id, %limit, value, count, "actor broke a limit");
        core.emit(EventData::ActorLimitExceeded(ActorLimitExceeded {
            public_key: actor.id,
            image_ref: actor.image_ref.clone(),
            host_id: core.identity.host_id,
            limit: limit.to_string(),
            value,
            count,
        }));
    }
}
