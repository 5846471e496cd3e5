//! The order of a start: open, build, run, announce.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lattice_state::store::Source;
use provider_sdk::Builtin;
use telemetry::Exporting;
use tokio::sync::watch;

use super::{
    Host,
    error::HostError,
    opened::Opened,
    rooms::{Ground, Rooms},
    state_lock::StateLock,
};
use crate::nats::JetStreamBuckets;
use crate::{
    admin,
    artifacts::config_service,
    calls::make_calls_for_processes,
    control::{self, socket},
    events, policy, presence,
    process::{lifetime::Lifetime, open_files},
    settings::HostConfig,
};

/// How long a stop may take unless the request says otherwise.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long a start waits for lattice state before it goes on without.
pub(super) const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// As [`Host::start`].
pub(super) async fn start(config: HostConfig, builtins: &[Builtin]) -> Result<Host, HostError> {
    let lock = StateLock::take(&config.state_dir).await?;
    open_files::allow_many();
    if config.allowed_issuers.as_ref().is_some_and(Vec::is_empty) {
        tracing::warn!("no issuer is allowed, so every artifact will be refused; name issuers with `--allowed-issuer`");
    }
    let opened = Opened::open(&config).await?;
    let Opened { identity, root, trust, desired, runtime, artifacts, nats, admin, socket, go_on_at, .. } = opened;
    let ((store, owner, effects), (tracer, exporter)) = (opened.state, opened.tracing);
    let (settings, life) = (Arc::new(config), Lifetime::new(STOP_WITHIN));
    let (events, publisher) = events::channel(identity.clone(), nats.as_ref().map(|nats| nats.ctl.clone()));
    let ground =
        Ground { identity, root, trust, store, desired, runtime, artifacts, nats, tracer, events, builtins, life };
    let rooms = ground.build(&settings);

    let life = &rooms.life;
    let (synced_in, synced) = watch::channel(false);
    let source = rooms.calls.nats.as_ref().map(|nats| Source {
        buckets: JetStreamBuckets {
            jetstream: nats.jetstream.clone(),
            lattice: settings.lattice.clone(),
            settings: settings.buckets.clone(),
        },
        connected: nats.ctl.connected.clone(),
    });
    life.spawn(owner.run(source, synced_in, life.publishing.clone()));
    life.spawn(rooms.changes.clone().follow(effects));
    life.spawn(rooms.workloads.clone().enforce_revocations(settings.timings.reconcile));
    if let Some(policy) = rooms.calls.permission.policy() {
        life.spawn(policy::follow_changes(policy.clone(), life.stop.clone()));
    }
    life.spawn(presence::beat(rooms.presence.clone()));
    life.spawn(rooms.broken_limits.clone().watch(life.stop.clone()));
    if let Some(publisher) = publisher {
        life.spawn(publisher.run(life.publishing.clone()));
    }
    serve_lattice(&rooms).await;
    // What is taken up may have to be fetched with these credentials.
    ask_config_service(&rooms, &settings, go_on_at).await;
    rooms.workloads.resume().await;
    if let Some(listener) = admin {
        life.spawn(admin::serve(rooms.pages(synced.clone()), listener));
    }
    life.spawn(presence::announce(rooms.presence.clone(), synced.clone(), rooms.store.state()));
    wait_for_store(&rooms, synced.clone(), go_on_at).await;
    let path = socket.path.clone();
    if let Some((listener, path)) = socket.into_listener() {
        life.spawn(socket::serve(rooms.control.clone(), listener, path));
    }
    let spans = exporter.map(Exporting::start);
    Ok(Host { rooms, socket: path, synced, spans, _lock: lock })
}

async fn ask_config_service(rooms: &Rooms, settings: &HostConfig, until: Instant) {
    let Some(nats) = rooms.calls.nats.as_ref().filter(|_| settings.config_service) else { return };
    let artifacts = rooms.workloads.actors.admission.artifacts.clone();
    let tried = config_service::ask(
        artifacts,
        rooms.identity.clone(),
        nats.ctl.clone(),
        settings.timings.config_service,
        &rooms.life,
    );
    tokio::time::timeout_at(until.into(), tried).await.ok();
}

/// Waits until lattice state is compared, or cannot be, but not longer than a start may take.
async fn wait_for_store(rooms: &Rooms, mut synced: watch::Receiver<bool>, until: Instant) {
    let mut store = rooms.store.state();
    let known = async {
        tokio::select! {
            _ = synced.wait_for(|synced| *synced) => None,
            refused = store.wait_for(|state| state.refusal().is_some()) => {
                refused.ok().and_then(|state| state.refusal().map(str::to_owned))
            }
        }
    };
    match tokio::time::timeout_at(until.into(), known).await {
        Ok(None) => {}
        Ok(Some(reason)) => {
            let hint = "see `docs/nats.md`: JetStream, its limits for this account, `--bucket-max-bytes`";
            tracing::warn!(
                reason,
                hint,
                "NATS is there and refuses the buckets of this lattice; links and claims stay on the host that has them"
            );
        }
        // What else keeps it away is said where it was found out.
        Err(_) if rooms.calls.nats.as_ref().is_some_and(|nats| nats.problem().is_some()) => {}
        Err(_) => {
            tracing::warn!("NATS is not there yet; this host serves what it has and joins the lattice when it is");
        }
    }
}

/// Subscribes to the control interface and follows the other hosts. Returns when the subscriptions are made, which
/// needs no broker: they are sent as soon as it is there.
async fn serve_lattice(rooms: &Rooms) {
    let Some(nats) = &rooms.calls.nats else { return };
    let (life, presence) = (&rooms.life, &rooms.presence);
    for subscription in rooms.control.root.subscriptions(&rooms.identity.host_id) {
        match control::subscribe(&nats.ctl.client, subscription).await {
            Ok(requests) => {
                life.spawn(control::serve(rooms.control.clone(), nats.ctl.client.clone(), requests));
            }
            Err(error) => tracing::error!(%error, "cannot subscribe to the control interface"),
        }
    }
    if let Some(sessions) = &rooms.calls.sessions {
        sessions.open(&rooms.calls).await;
    }
    life.spawn(make_calls_for_processes(rooms.calls.clone()));
    let (shared, stop) = (nats.clone(), life.stop.clone());
    life.spawn(async move { shared.find_troubles(stop).await });
    life.spawn(presence::follow_peers(presence.clone(), nats.clone()));
    life.spawn(presence::greet_peers(presence.clone(), nats.clone()));
    life.spawn(presence::ask_wanted(presence.clone()));
}
