//! A restarted host takes up what it ran. Each outcome is an event, as if an operator had asked.
//!
//! A start that fails for a reason that passes (a registry that is away, a disk that is not mounted yet) is tried again,
//! later and later, for as long as it is wanted, which is looked at when its turn has come. Invariant: what an operator
//! does meanwhile is never undone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lattice::control::{ScaleActor, StartProvider};

use crate::{core::Core, workloads::queue};

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How many starts of an earlier run have no first outcome yet.
#[derive(Debug, Default)]
pub struct TakingUp(AtomicUsize);

impl TakingUp {
    /// A start is queued.
    pub fn queued(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// It ended, either way.
    pub fn ended(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Queues every start, in the order of the commands that brought them; repetitions run on their own.
pub async fn begin(core: &Arc<Core>) {
    let workload = core.wanted.workload().await;
    for command in workload.providers.into_iter().map(|entry| entry.command) {
        let first = queue::queue_provider_again(core, command.clone());
        core.taking_up.queued();
        let core = core.clone();
        core.tasks.clone().spawn(async move {
            let passes = first.await.ok().and_then(Result::err).is_some_and(|error| error.may_pass());
            core.taking_up.ended();
            if passes {
                provider_again(&core, command).await;
            }
        });
    }
    for command in workload.actors.into_iter().map(|entry| entry.command) {
        let first = queue::queue_again(core, command.clone());
        core.taking_up.queued();
        let core = core.clone();
        core.tasks.clone().spawn(async move {
            let passes = first.await.ok().and_then(Result::err).is_some_and(|error| error.may_pass());
            core.taking_up.ended();
            if passes {
                actor_again(&core, command).await;
            }
        });
    }
}

async fn provider_again(core: &Arc<Core>, command: StartProvider) {
    let mut wait = FIRST_WAIT;
    while pause(core, &mut wait, &command.provider_ref).await {
        match queue::queue_provider_again(core, command.clone()).await {
            Ok(Err(error)) if error.may_pass() => {}
            _ => return,
        }
    }
}

async fn actor_again(core: &Arc<Core>, command: ScaleActor) {
    let mut wait = FIRST_WAIT;
    while pause(core, &mut wait, &command.actor_ref).await {
        match queue::queue_again(core, command.clone()).await {
            Ok(Err(error)) if error.may_pass() => {}
            _ => return,
        }
    }
}

/// Waits, longer each time and not in step with other hosts; false when the host stops.
async fn pause(core: &Core, wait: &mut Duration, reference: &str) -> bool {
    let jitter = getrandom::u32().unwrap_or_default() % 256;
    let this_time = *wait + *wait * jitter / 1024;
    tracing::info!(%reference, again_in = ?this_time, "what this host ran cannot be had now");
    *wait = (*wait * 2).min(LONGEST_WAIT);
    tokio::select! {
        () = core.stop.cancelled() => false,
        () = tokio::time::sleep(this_time) => true,
    }
}
