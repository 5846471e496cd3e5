//! How a host ends what it has started, and in which order.
//!
//! First nothing new comes in: other hosts are told, the queue groups are left, and the providers through which the outside
//! world calls actors end. Then the calls that run are waited for, with the stores and services they use still there;
//! then those end as well. Invariant: nothing is waited for longer than the time the host was given.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use lattice::event::{EventData, HostStopped};
use telemetry::Exporting;
use tokio::time::timeout_at;

use super::rooms::Rooms;
use crate::{providers::RunningProvider, workloads::provider};

/// The part of the time that is kept for the end of what calls use.
const KEPT: u32 = 4;

/// Ends everything a host has started.
pub(super) async fn end_all(rooms: &Rooms, spans: Option<Exporting>) {
    tracing::info!("stopping");
    let within = rooms.life.stop_within();
    let deadline = Instant::now() + within;
    take_no_more(rooms);
    rooms.workloads.actors.admission.artifacts.close();
    let (calling, called): (Vec<_>, Vec<_>) = rooms
        .calls
        .providers
        .all()
        .into_iter()
        .partition(|provider| contracts::calls_actors(provider.spec.contract.as_str()));
    let quiet = async {
        end(&calling).await;
        calls_over(rooms).await;
    };
    if timeout_at((deadline - within / KEPT).into(), quiet).await.is_err() {
        tracing::warn!("calls are still running, but what they use is ended now");
    }
    timeout_at(deadline.into(), end(&called)).await.ok();
    rooms.events.emit(EventData::HostStopped(HostStopped { labels: rooms.identity.labels.all() }));
    rooms.life.publishing.cancel();
    rooms.life.tasks.close();
    if timeout_at(deadline.into(), rooms.life.tasks.wait()).await.is_err() {
        tracing::warn!(left = rooms.life.tasks.len(), "stopping without waiting for what is still in flight");
    }
    if let Some(sessions) = &rooms.calls.sessions {
        sessions.close().await;
    }
    if let Some(nats) = &rooms.calls.nats {
        nats.take_leave(Duration::from_secs(1)).await;
    }
    if let Some(spans) = spans {
        spans.finish(deadline).await;
    }
}

/// Other hosts make their calls elsewhere from now on.
fn take_no_more(rooms: &Rooms) {
    if let Some(sessions) = &rooms.calls.sessions {
        sessions.leave();
    }
    for actor in rooms.calls.actors.all() {
        actor.serving().cancel();
    }
}

async fn end(providers: &[Arc<RunningProvider>]) {
    join_all(providers.iter().map(|provider| provider::end(provider))).await;
}

/// An actor that is quiet may be called by one that is not.
async fn calls_over(rooms: &Rooms) {
    while let Some(busy) = rooms.calls.actors.all().into_iter().find(|actor| actor.guest.running() > 0) {
        busy.guest.quiet().await;
    }
}
