//! Start and stop of a host: what is opened in which order, which tasks run, how they end.
//!
//! A host serves what it has before any broker answers. Invariant: when [`Host::run`] returns, no task, child
//! process, socket or lock of this host is left.

mod error;
mod state_lock;

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use claims::{ClusterId, HostId, KeyKind};
use lattice::{LatticeId, bounds, subject::ControlRoot};
use provider_sdk::Builtin;
use runtime::Runtime;
use telemetry::{Exporting, Resource};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    actors::Actors,
    admin::{self, TakingUp},
    artifacts::Artifacts,
    breaches,
    broker::Broker,
    buckets::JetStreamBuckets,
    config::HostConfig,
    config_service, control,
    core::{Core, Identity},
    effects, events, heartbeat,
    identity::{builtin_labels, friendly_name, load_or_create_key},
    lifecycle::Starts,
    metrics::Metrics,
    open_files,
    peers::Peers,
    policy::{self, Policy},
    providers::{Providers, relay},
    revocations,
    rpc::Inbound,
    sequencer::Sequencer,
    sessions, socket,
    state::{
        replica::{Replica, ReplicaError},
        revocations::Trust,
        world::Machine,
    },
    stop,
    store::{self, Source},
    take_up,
    trust::private,
    twins,
    wanted::Wanted,
    why::Failures,
};

use self::state_lock::StateLock;
pub use self::{error::HostError, state_lock::is_in_use};

/// How long a stop may take unless the request says otherwise.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long a start waits for lattice state before it goes on without.
pub const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// A running host.
pub struct Host {
    core: Arc<Core>,
    socket: PathBuf,
    synced: watch::Receiver<bool>,
    spans: Option<Exporting>,
    _lock: StateLock,
}

/// Where the control socket of a host is.
#[must_use]
pub fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join("host.sock")
}

impl Host {
    /// Starts a host. When it returns, the control socket answers and calls between local parties work. Lattice state
    /// is complete by then if NATS answers within a second; otherwise it follows when the broker does. `builtins` are the providers compiled in.
    ///
    /// # Errors
    /// [`HostError`]; nothing is left running then.
    pub async fn start(config: HostConfig, builtins: &[Builtin]) -> Result<Self, HostError> {
        let lock = StateLock::take(&config.state_dir).await?;
        open_files::allow_many();
        let identity = identity(&config)?;
        let root = match &config.ctl_topic_prefix {
            Some(prefix) => ControlRoot::with_prefix(prefix, config.lattice.clone())?,
            None => ControlRoot::new(config.lattice.clone()),
        };
        let replica_path = config.state_dir.join("state.redb");
        let damaged = |source| HostError::Replica { path: replica_path.clone(), source };
        let replica = Replica::open(&replica_path).map_err(damaged)?;
        let trust = Arc::new(Trust { lattice: config.lattice.clone(), clusters: identity.trusted_issuers.clone() });
        let (store, owner, effects_in) =
            store::open(Machine::default(), replica.clone(), trust.clone()).map_err(damaged)?;
        let labels = labels(&config, &replica).map_err(damaged)?;
        let wanted = Wanted::load(replica.clone()).map_err(damaged)?;
        let runtime = Runtime::new(&config.runtime)?;
        let socket = socket_path(&config.state_dir);
        let listener = socket::open(&socket).map_err(|source| HostError::Socket { path: socket.clone(), source })?;
        let admin = match config.admin_address {
            Some(address) => {
                let opened = admin::open(address).await;
                Some(opened.map_err(|source| HostError::Admin { address: address.0, source })?)
            }
            None => None,
        };
        if config.allowed_issuers.as_ref().is_some_and(Vec::is_empty) {
            tracing::warn!(
                "no issuer is allowed, so every artifact will be refused; name issuers with `--allowed-issuer`"
            );
        }
        let not_private = |source| HostError::NotPrivate { flag: "--cache-dir", source };
        private::directory(&config.artifacts.cache_dir).map_err(not_private)?;
        let artifacts = Artifacts::open(&config.artifacts, config.allow_file_load)?;
        let broker = Broker::connect(&config, &identity.friendly_name, identity.host_id).await?;
        let go_on_at = Instant::now() + SYNC_WITHIN;
        if let Some(broker) = &broker {
            twins::refuse(broker, &root, &config.lattice, identity.host_id).await?;
        }

        let connection = broker.as_ref().map(|broker| broker.ctl.clone());
        let (tracer, exporter) = telemetry::open(config.tracing.as_ref(), resource(&identity, &config.lattice));
        let tasks = TaskTracker::new();
        let policy = Policy::new(config.policy.as_ref(), connection.clone(), tasks.clone());
        let (events, publisher) = events::channel(identity.clone(), config.lattice.clone(), connection);
        let inbound = Inbound::new(&config, broker.as_ref());
        let sessions = broker.as_ref().and_then(|broker| sessions::open(&config, &identity, broker, &tasks));
        let core = Arc::new(Core {
            identity,
            root,
            labels: RwLock::new(labels),
            store,
            trust,
            artifacts,
            replica,
            wanted,
            events,
            actors: Actors::default(),
            providers: Providers::default(),
            runtime,
            peers: Peers::default(),
            intake: heartbeat::Intake::default(),
            metrics: Metrics::default(),
            tracer,
            taking_up: TakingUp::default(),
            policy,
            builtins: builtins.to_vec(),
            failures: Arc::<Failures>::default(),
            inbound,
            sessions,
            commands: Sequencer::new(tasks.clone()),
            starts: Starts::default(),
            provider_starts: Starts::default(),
            tasks,
            stop: CancellationToken::new(),
            stop_within: RwLock::new(STOP_WITHIN),
            publishing: CancellationToken::new(),
            broker,
            config,
        });
        let (synced_in, synced) = watch::channel(false);
        let source = core.broker.as_ref().map(|broker| Source {
            buckets: JetStreamBuckets {
                jetstream: broker.jetstream.clone(),
                lattice: core.config.lattice.clone(),
                settings: core.config.buckets.clone(),
            },
            connected: broker.ctl.connected.clone(),
        });
        core.tasks.spawn(owner.run(source, synced_in, core.publishing.clone()));
        core.tasks.spawn(effects::follow(core.clone(), effects_in));
        core.tasks.spawn(revocations::enforce(core.clone()));
        core.tasks.spawn(policy::follow_changes(core.clone()));
        core.tasks.spawn(heartbeat::beat(core.clone()));
        core.tasks.spawn(breaches::watch(core.clone()));
        if let Some(publisher) = publisher {
            core.tasks.spawn(publisher.run(core.publishing.clone()));
        }
        serve_lattice(&core).await;
        // What is taken up may have to be fetched with these credentials.
        tokio::time::timeout_at(go_on_at.into(), config_service::ask(&core)).await.ok();
        take_up::begin(&core).await;
        if let Some(listener) = admin {
            core.tasks.spawn(admin::serve(core.clone(), listener, synced.clone()));
        }
        core.tasks.spawn(heartbeat::announce(core.clone(), synced.clone()));
        wait_for_store(&core, synced.clone(), go_on_at).await;
        core.tasks.spawn(socket::serve(core.clone(), listener, socket.clone()));
        let spans = exporter.map(Exporting::start);
        Ok(Self { core, socket, synced, spans, _lock: lock })
    }

    /// Its key.
    #[must_use]
    pub fn id(&self) -> HostId {
        self.core.identity.host_id
    }

    /// A name people can say.
    #[must_use]
    pub fn friendly_name(&self) -> &str {
        &self.core.identity.friendly_name
    }

    /// The lattice it belongs to.
    #[must_use]
    pub fn lattice(&self) -> &LatticeId {
        &self.core.config.lattice
    }

    /// Its control socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks the host to stop; [`Host::run`] then returns.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.core.stop.clone()
    }

    /// Why the NATS server does not let this host have the buckets of its lattice; none when it does, or is away.
    #[must_use]
    pub fn store_refused(&self) -> Option<String> {
        self.core.store.state().borrow().refusal().map(str::to_owned)
    }

    /// Resolves when lattice state was compared with JetStream for the first time; at once without NATS.
    pub async fn synced(&self) {
        self.synced.clone().wait_for(|synced| *synced).await.ok();
    }

    /// Tells, whenever it is asked, which handshakes and batches of other hosts were refused so far: a count for each
    /// code of [`lattice::session::SessionError`]. Empty for a host without sessions.
    pub fn session_refusals(&self) -> impl Fn() -> BTreeMap<&'static str, u64> + Send + Sync + use<> {
        let sessions = self.core.sessions.clone();
        move || sessions.as_ref().map(|sessions| sessions.refused()).unwrap_or_default()
    }

    /// What the engine reserved, for the log and the banner.
    #[must_use]
    pub fn reservation(&self) -> runtime::Reservation {
        self.core.runtime.reservation()
    }

    /// Runs until `stop` resolves or an operator stops the host, then ends everything it started.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => self.core.stop.cancel(),
            () = self.core.stop.cancelled() => {}
        }
        stop::end_all(&self.core, self.spans).await;
    }
}

/// Waits until lattice state is compared, or cannot be, but not longer than a start may take.
async fn wait_for_store(core: &Core, mut synced: watch::Receiver<bool>, until: Instant) {
    let mut store = core.store.state();
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
        Err(_) if core.broker.as_ref().is_some_and(|broker| broker.problem().is_some()) => {}
        Err(_) => {
            tracing::warn!("NATS is not there yet; this host serves what it has and joins the lattice when it is");
        }
    }
}

fn identity(config: &HostConfig) -> Result<Identity, HostError> {
    let host_key = match &config.host_key {
        Some(key) => key.clone(),
        None => load_or_create_key(&config.state_dir.join("host.nk"), KeyKind::Server)?,
    };
    let cluster_key = match &config.cluster_key {
        Some(key) => key.clone(),
        None => load_or_create_key(&config.state_dir.join("cluster.nk"), KeyKind::Cluster)?,
    };
    let host_id = HostId::try_from(host_key.public()).expect("a server key has a host id");
    let cluster_id = ClusterId::try_from(cluster_key.public()).expect("a cluster key has a cluster id");
    let mut trusted_issuers: std::collections::BTreeSet<_> = config.cluster_issuers.iter().copied().collect();
    trusted_issuers.insert(cluster_id);
    Ok(Identity {
        friendly_name: friendly_name(host_id.as_str()),
        host_id,
        started: Instant::now(),
        cluster_key,
        cluster_id,
        trusted_issuers,
    })
}

/// Built-in labels, overridden by settings, overridden by what operators put since.
fn labels(config: &HostConfig, replica: &Replica) -> Result<BTreeMap<String, String>, ReplicaError> {
    let mut labels = builtin_labels();
    labels.extend(config.labels.clone());
    let put = replica.fact(control::LABELS_FACT)?.and_then(|text| serde_json::from_str(&text).ok());
    let put: BTreeMap<String, Option<String>> = put.unwrap_or_default();
    for (key, value) in put {
        match value {
            Some(value) => labels.insert(key, value),
            None => labels.remove(&key),
        };
    }
    let all = labels.len();
    let labels = bounds::labels_within(labels);
    if labels.len() < all {
        tracing::warn!(left_out = all - labels.len(), "labels that were put are more than may be; some have no effect");
    }
    Ok(labels)
}

/// Subscribes to the control interface and follows the other hosts. Returns when the subscriptions are made, which
/// needs no broker: they are sent as soon as it is there.
async fn serve_lattice(core: &Arc<Core>) {
    let Some(broker) = &core.broker else { return };
    for subscription in core.root.subscriptions(&core.identity.host_id) {
        match control::subscribe(&broker.ctl.client, subscription).await {
            Ok(requests) => {
                core.tasks.spawn(control::serve(core.clone(), broker.ctl.client.clone(), requests));
            }
            Err(error) => tracing::error!(%error, "cannot subscribe to the control interface"),
        }
    }
    if let Some(sessions) = &core.sessions {
        sessions.open(core).await;
    }
    core.tasks.spawn(relay::serve(core.clone()));
    let shared = core.clone();
    core.tasks.spawn(async move {
        if let Some(broker) = &shared.broker {
            broker.find_troubles(shared.stop.clone()).await;
        }
    });
    let shared = core.clone();
    core.tasks.spawn(async move {
        if let Some(broker) = &shared.broker {
            heartbeat::follow_peers(shared.clone(), broker).await;
        }
    });
    let shared = core.clone();
    core.tasks.spawn(async move {
        if let Some(broker) = &shared.broker {
            heartbeat::greet_peers(shared.clone(), broker).await;
        }
    });
}

/// How spans say where they come from.
fn resource(identity: &Identity, lattice: &LatticeId) -> Resource {
    Resource(vec![
        ("service.name", "wasmcloud-host".to_owned()),
        ("service.instance.id", identity.host_id.to_string()),
        ("service.version", control::VERSION.to_owned()),
        ("host.name", identity.friendly_name.clone()),
        ("lattice.id", lattice.to_string()),
    ])
}
