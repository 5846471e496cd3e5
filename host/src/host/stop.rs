//! How a host ends what it has started, and in which order.
//!
//! First nothing new comes in: other hosts are told, the queue groups are left, and the providers through which the outside
//! world calls actors end. Then the calls that run are waited for, with the stores and services they use still there;
//! then those end as well. Invariant: nothing is waited for longer than the time the host was given.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use lattice::event::{EventData, HostStopped};
use telemetry::Exporting;
use tokio::time::timeout_at;

use crate::{core::Core, providers::RunningProvider, workloads::provider};

/// The part of the time that is kept for the end of what calls use.
const KEPT: u32 = 4;

/// Ends everything a host has started.
pub async fn end_all(core: &Arc<Core>, spans: Option<Exporting>) {
    tracing::info!("stopping");
    let within = *core.stop_within.read().unwrap_or_else(PoisonError::into_inner);
    let deadline = Instant::now() + within;
    take_no_more(core);
    core.artifacts.close();
    let (calling, called): (Vec<_>, Vec<_>) =
        core.providers.all().into_iter().partition(|provider| contracts::calls_actors(provider.spec.contract.as_str()));
    let quiet = async {
        end(&calling).await;
        calls_over(core).await;
    };
    if timeout_at((deadline - within / KEPT).into(), quiet).await.is_err() {
        tracing::warn!("calls are still running, but what they use is ended now");
    }
    timeout_at(deadline.into(), end(&called)).await.ok();
    core.emit(EventData::HostStopped(HostStopped { labels: core.labels() }));
    core.publishing.cancel();
    core.tasks.close();
    if timeout_at(deadline.into(), core.tasks.wait()).await.is_err() {
        tracing::warn!(left = core.tasks.len(), "stopping without waiting for what is still in flight");
    }
    if let Some(sessions) = &core.sessions {
        sessions.close().await;
    }
    if let Some(broker) = &core.broker {
        broker.take_leave(Duration::from_secs(1)).await;
    }
    if let Some(spans) = spans {
        spans.finish(deadline).await;
    }
}

/// Other hosts make their calls elsewhere from now on.
fn take_no_more(core: &Core) {
    if let Some(sessions) = &core.sessions {
        sessions.leave();
    }
    for actor in core.actors.all() {
        actor.serving().cancel();
    }
}

async fn end(providers: &[Arc<RunningProvider>]) {
    join_all(providers.iter().map(|provider| provider::end(provider))).await;
}

/// An actor that is quiet may be called by one that is not.
async fn calls_over(core: &Core) {
    while let Some(busy) = core.actors.all().into_iter().find(|actor| actor.guest.running() > 0) {
        busy.guest.quiet().await;
    }
}
