//! Tells the lattice which actors break their limits.
//!
//! The counters are the runtime's; this looks at them once a second, so that an actor which breaks a limit with every
//! call costs the lattice no more than one event a second and limit. Invariant: every breach is in the count of exactly
//! one event.

use std::{sync::Arc, time::Duration};

use lattice::event::{ActorLimitExceeded, EventData};
use tokio::time::{MissedTickBehavior, interval};

use crate::{actors::RunningActor, core::Core};

const EVERY: Duration = Duration::from_secs(1);

/// Tells until the host stops.
pub async fn watch(core: Arc<Core>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for actor in core.actors.all() {
            tell(&core, &actor);
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
