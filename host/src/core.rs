//! What every part of a running host shares.
//!
//! No part owns another: handlers, routes and tasks meet here. Fields are either immutable or safe to use from
//! everywhere without waiting.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, RwLock},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use claims::{AccountId, ActorId, ClusterId, HostId, KeyPair, ProviderId, PublicKey, TokenError};
use lattice::{
    LatticeId, LinkName,
    event::EventData,
    invocation::{Entity, Invocation},
    member::{MEMBER_HEADER, Word},
    subject::{ControlRoot, RpcSubject},
};
use provider_sdk::Builtin;
use runtime::Runtime;
use telemetry::Tracer;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    actors::Actors,
    admin::TakingUp,
    artifacts::Artifacts,
    broker::Broker,
    config::HostConfig,
    control::Line,
    events::Events,
    heartbeat::Intake,
    lifecycle::Starts,
    metrics::Metrics,
    peers::Peers,
    policy::Policy,
    providers::Providers,
    rpc::Inbound,
    sequencer::Sequencer,
    sessions::Sessions,
    state::{replica::Replica, revocations::Trust, scale::Annotations},
    store::{Standing, Store, Tables},
    wanted::Wanted,
    why::Failures,
};

/// Largest message of a broker with default settings.
const DEFAULT_PAYLOAD: usize = 1 << 20;
/// More than this is not said at once, whatever the broker takes.
const LARGEST_PAYLOAD: usize = 8 << 20;
/// For what an event says around an inventory.
const ENVELOPE: usize = 4 << 10;

/// Who this host is.
#[derive(Clone)]
pub struct Identity {
    /// Its key.
    pub host_id: HostId,
    /// A name people can say.
    pub friendly_name: String,
    /// When it started.
    pub started: Instant,
    /// Signs invocations.
    pub cluster_key: KeyPair,
    /// Public half of `cluster_key`.
    pub cluster_id: ClusterId,
    /// Cluster keys whose invocations are accepted, our own included.
    pub trusted_issuers: BTreeSet<ClusterId>,
}

impl Identity {
    /// A signed invocation of this host.
    ///
    /// # Errors
    /// [`TokenError`] when signing fails.
    pub fn issue_invocation(
        &self,
        origin: Entity,
        target: Entity,
        operation: String,
        payload: Bytes,
    ) -> Result<Invocation, TokenError> {
        Invocation::issue(origin, target, operation, payload, &self.cluster_key, &self.host_id, unix_now())
    }

    /// The header beside a message that tells of this host: the word of its cluster key.
    #[must_use]
    pub fn word(&self, lattice: &LatticeId, message: &[u8]) -> async_nats::HeaderMap {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(MEMBER_HEADER, Word::header(lattice, &self.host_id, message, &self.cluster_key));
        headers
    }
}

/// The shared middle of a host.
pub struct Core {
    /// Settings.
    pub config: HostConfig,
    /// Who we are.
    pub identity: Identity,
    /// Control subjects of the lattice.
    pub root: ControlRoot,
    /// Labels as they are now.
    pub labels: RwLock<BTreeMap<String, String>>,
    /// Lattice state.
    pub store: Store,
    /// Whose revocation lists count.
    pub trust: Arc<Trust>,
    /// Where actors and providers come from.
    pub artifacts: Artifacts,
    /// Disk.
    pub replica: Replica,
    /// What this host is to run.
    pub wanted: Wanted,
    /// Tells the lattice.
    pub events: Events,
    /// Actors that run here.
    pub actors: Actors,
    /// Providers that run here.
    pub providers: Providers,
    /// NATS, if this host uses it.
    pub broker: Option<Broker>,
    /// The engine.
    pub runtime: Runtime,
    /// Other hosts.
    pub peers: Peers,
    /// What is read of what they tell.
    pub intake: Intake,
    /// What is counted for `/metrics`.
    pub metrics: Metrics,
    /// Makes spans.
    pub tracer: Tracer,
    /// Starts of the last run that are under way.
    pub taking_up: TakingUp,
    /// Who decides what may start and call; none permits everything.
    pub policy: Option<Arc<Policy>>,
    /// Providers compiled in.
    pub builtins: Vec<Builtin>,
    /// What failed lately.
    pub failures: Arc<Failures>,
    /// Calls that arrive over the lattice.
    pub inbound: Inbound,
    /// Sessions with other hosts, where there are any to be had.
    pub sessions: Option<Arc<Sessions>>,
    /// Commands about one actor or provider, in order.
    pub commands: Sequencer<Line>,
    /// Starts of actors that are under way.
    pub starts: Starts<ActorId, Annotations>,
    /// Starts of providers that are under way.
    pub provider_starts: Starts<ProviderId, LinkName>,
    /// Every task that must have ended before the host has.
    pub tasks: TaskTracker,
    /// Asks the host to stop.
    pub stop: CancellationToken,
    /// How long the stop may take.
    pub stop_within: RwLock<Duration>,
    /// Ends what must outlast everything else: events and lattice state.
    pub publishing: CancellationToken,
}

impl Core {
    /// Lattice state in memory.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        self.store.tables()
    }

    /// Whether this host speaks sessions.
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        self.sessions.is_some()
    }

    /// Whether another host of ours is known to run an actor.
    #[must_use]
    pub fn runs_elsewhere(&self, actor: &ActorId) -> bool {
        self.has_sessions() && self.peers.route(actor).is_some_and(|route| !route.hosts.is_empty())
    }

    /// Tells the lattice what happened.
    pub fn emit(&self, data: EventData) {
        self.failures.told(&data);
        self.events.emit(data);
    }

    /// Whether artifacts of an issuer may run here.
    #[must_use]
    pub fn trusts(&self, issuer: &AccountId) -> bool {
        self.config.allowed_issuers.as_ref().is_none_or(|allowed| allowed.contains(issuer))
    }

    /// Whether an account has to do with this lattice: it may be trusted here, or signed something that was seen.
    #[must_use]
    pub fn knows_issuer(&self, account: &AccountId) -> bool {
        let allowed = self.config.allowed_issuers.as_ref().is_some_and(|allowed| allowed.contains(account));
        allowed || self.tables().claims.knows_issuer(account)
    }

    /// Says how long a stop may take.
    pub fn set_stop_deadline(&self, within: Duration) {
        *self.stop_within.write().unwrap_or_else(std::sync::PoisonError::into_inner) = within;
    }

    /// Labels as they are now.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.labels.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// How changes for an actor or provider stand: those of whom nothing is known wait behind all others.
    #[must_use]
    pub fn standing(&self, subject: &PublicKey) -> Standing {
        let runs = ActorId::try_from(*subject).is_ok_and(|actor| self.actors.get(&actor).is_some());
        if runs || self.tables().claims.get(subject).is_some() { Standing::Known } else { Standing::Stranger }
    }

    /// Bytes that this host may tell about itself in one message.
    #[must_use]
    pub fn most_told(&self) -> usize {
        let payload = self.broker.as_ref().map_or(DEFAULT_PAYLOAD, |broker| broker.ctl.client.max_payload());
        payload.min(LARGEST_PAYLOAD).saturating_sub(ENVELOPE)
    }

    /// Publishes on the RPC connection; says nothing when the broker is away.
    pub async fn publish_rpc(&self, subject: &RpcSubject, payload: Bytes) {
        let Some(broker) = &self.broker else { return };
        if !*broker.calls.connected.borrow() {
            return;
        }
        if let Err(error) = broker.calls.client.publish(subject.render(&self.config.lattice), payload).await {
            tracing::warn!(%error, "cannot publish to a provider");
        }
    }
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
