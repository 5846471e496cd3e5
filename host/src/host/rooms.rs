//! The rooms of a host, built from the lowest floor up: each gets what it needs, and knows nothing above it.

use std::sync::Arc;

use lattice::subject::ControlRoot;
use lattice_state::{revocations::Trust, store::Store};
use provider_sdk::Builtin;
use runtime::Runtime;
use telemetry::Tracer;
use tokio::sync::watch;

use crate::{
    actors::{Actors, BrokenLimits},
    admin::{Pages, Sources},
    artifacts::Artifacts,
    calls::{Calls, Inbound, Permission, open_sessions},
    control::Control,
    events::Events,
    failures::Failures,
    identity::Identity,
    inventory::Inventory,
    links::Changes,
    meters::Metrics,
    nats::Broker,
    peers::Peers,
    policy::Policy,
    presence::{Intake, Presence},
    process::lifetime::Lifetime,
    providers::{self, Providers},
    settings::HostConfig,
    trust::{issuers::Issuers, ownership::Owners},
    workloads::{ActorWorkloads, Admission, Desired, ProviderWorkloads, Reports, Starts, Workloads},
};

/// The faces that the start and the stop of a host talk to.
pub(super) struct Rooms {
    pub(super) identity: Arc<Identity>,
    pub(super) store: Store,
    pub(super) events: Events,
    pub(super) calls: Arc<Calls>,
    pub(super) changes: Arc<Changes>,
    pub(super) broken_limits: Arc<BrokenLimits>,
    pub(super) workloads: Arc<Workloads>,
    pub(super) presence: Arc<Presence>,
    pub(super) control: Arc<Control>,
    pub(super) sources: Arc<Sources>,
    pub(super) life: Lifetime,
}

/// What the rooms are built upon.
pub(super) struct Ground<'a> {
    pub(super) identity: Arc<Identity>,
    pub(super) root: ControlRoot,
    pub(super) trust: Arc<Trust>,
    pub(super) store: Store,
    pub(super) desired: Arc<Desired>,
    pub(super) runtime: Runtime,
    pub(super) artifacts: Arc<Artifacts>,
    pub(super) nats: Option<Arc<Broker>>,
    pub(super) tracer: Tracer,
    pub(super) events: Events,
    pub(super) builtins: &'a [Builtin],
    pub(super) life: Lifetime,
}

impl Ground<'_> {
    pub(super) fn build(self, settings: &Arc<HostConfig>) -> Rooms {
        let Self { identity, store, events, nats, life, .. } = &self;
        let (failures, meters, peers) =
            (Arc::<Failures>::default(), Arc::<Metrics>::default(), Arc::<Peers>::default());
        let connection = nats.as_ref().map(|nats| nats.ctl.clone());
        let policy = Policy::new(settings.policy.as_ref(), connection, identity.clone(), life.tasks.clone());
        let actors = Arc::<Actors>::default();
        let providers = Providers::new(providers::Parts {
            identity: identity.clone(),
            store: store.clone(),
            events: events.clone(),
            failures: failures.clone(),
            meters: meters.clone(),
            nats: nats.clone(),
            actors: actors.clone(),
            life: life.clone(),
            settings: settings.clone(),
        });
        let sessions = nats.as_ref().and_then(|nats| open_sessions(settings, identity, nats, &life.tasks));
        let calls = Arc::new(Calls {
            identity: identity.clone(),
            permission: Permission::new(store.clone(), actors.clone(), policy.clone()),
            actors: actors.clone(),
            providers: providers.clone(),
            peers: peers.clone(),
            sessions: sessions.clone(),
            nats: nats.clone(),
            tracer: self.tracer.clone(),
            failures: failures.clone(),
            meters: meters.clone(),
            inbound: Inbound::new(settings, nats.as_deref()),
            life: life.clone(),
        });
        let builtins = self.builtins.iter().map(|builtin| builtin.descriptor.name).collect();
        let owners = Arc::new(Owners::new(identity.clone(), store.clone(), self.trust.clone(), builtins));
        let admission = Arc::new(Admission {
            artifacts: self.artifacts.clone(),
            issuers: Issuers::new(settings.allowed_issuers.clone(), settings.native_issuers.clone()),
            owners: owners.clone(),
            policy,
            store: store.clone(),
            meters: meters.clone(),
        });
        let broken_limits = BrokenLimits::new(actors.clone(), self.runtime.clone(), events.clone(), identity.host_id);
        let workloads = self.workloads(settings, &calls, &admission, &broken_limits);
        let tables = (actors.clone(), providers.clone(), peers.clone());
        let inventory = Inventory::new(identity.clone(), tables, (nats.clone(), sessions.is_some()), settings);
        let intake = Arc::<Intake>::default();
        let presence = Arc::new(Presence {
            identity: identity.clone(),
            inventory: inventory.clone(),
            events: events.clone(),
            peers: peers.clone(),
            intake: intake.clone(),
            sessions,
            nats: nats.clone(),
            root: self.root.clone(),
            every: settings.heartbeat_interval,
            life: life.clone(),
        });
        let changes = Arc::new(Changes {
            store: store.clone(),
            providers: providers.clone(),
            owners,
            events: events.clone(),
            failures: failures.clone(),
            nats: nats.clone(),
            life: life.clone(),
        });
        let control = Arc::new(Control {
            identity: identity.clone(),
            root: self.root.clone(),
            workloads: workloads.clone(),
            inventory: inventory.clone(),
            store: store.clone(),
            actors: actors.clone(),
            providers: providers.clone(),
            admission,
            calls: calls.clone(),
            events: events.clone(),
            failures,
            life: life.clone(),
        });
        let sources = Arc::new(Sources {
            identity: identity.clone(),
            inventory,
            store: store.clone(),
            actors,
            providers,
            peers,
            intake,
            events: events.clone(),
            runtime: self.runtime.clone(),
            tracer: self.tracer.clone(),
            meters,
            nats: nats.clone(),
        });
        let (identity, store, events, life) = (identity.clone(), store.clone(), events.clone(), life.clone());
        Rooms { identity, store, events, calls, changes, broken_limits, workloads, presence, control, sources, life }
    }

    fn workloads(
        &self,
        settings: &HostConfig,
        calls: &Arc<Calls>,
        admission: &Arc<Admission>,
        broken_limits: &Arc<BrokenLimits>,
    ) -> Arc<Workloads> {
        let actors = Arc::new(ActorWorkloads {
            admission: admission.clone(),
            runtime: self.runtime.clone(),
            limits: settings.limits.clone(),
            most: settings.most.clone(),
            actors: calls.actors.clone(),
            calls: calls.clone(),
            desired: self.desired.clone(),
            reports: Reports::new(self.identity.host_id, self.events.clone(), calls.failures.clone()),
            broken_limits: broken_limits.clone(),
            starts: Starts::default(),
            life: self.life.clone(),
        });
        let providers = Arc::new(ProviderWorkloads {
            admission: admission.clone(),
            providers: calls.providers.clone(),
            calls: calls.clone(),
            desired: self.desired.clone(),
            builtins: self.builtins.to_vec(),
            starts: Starts::default(),
        });
        Workloads::new(actors, providers, self.life.clone())
    }
}

impl Rooms {
    /// The admin pages.
    pub(super) fn pages(&self, synced: watch::Receiver<bool>) -> Arc<Pages> {
        Pages::new(self.sources.clone(), self.workloads.clone(), self.store.state(), synced, self.life.clone())
    }
}
