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

/// The lower half: who runs, who may, who is called.
struct Lower {
    failures: Arc<Failures>,
    meters: Arc<Metrics>,
    calls: Arc<Calls>,
    owners: Arc<Owners>,
    admission: Arc<Admission>,
    broken_limits: Arc<BrokenLimits>,
}

impl Ground<'_> {
    /// Builds every room.
    pub(super) fn build(self, settings: &Arc<HostConfig>) -> Rooms {
        let lower = self.lower(settings);
        let workloads = self.workloads(settings, &lower);
        let calls = &lower.calls;
        let tables = (calls.actors.clone(), calls.providers.clone(), calls.peers.clone());
        let sessions = (self.nats.clone(), calls.has_sessions());
        let inventory = Inventory::new(self.identity.clone(), tables, sessions, settings);
        let intake = Arc::<Intake>::default();
        Rooms {
            changes: self.changes(&lower),
            presence: self.presence(settings, calls, &inventory, &intake),
            control: self.control(&lower, &workloads, &inventory),
            sources: self.sources(&lower, &inventory, intake),
            identity: self.identity,
            store: self.store,
            events: self.events,
            calls: lower.calls,
            broken_limits: lower.broken_limits,
            workloads,
            life: self.life,
        }
    }

    fn lower(&self, settings: &Arc<HostConfig>) -> Lower {
        let (failures, meters) = (Arc::<Failures>::default(), Arc::<Metrics>::default());
        let connection = self.nats.as_ref().map(|nats| nats.ctl.clone());
        let tasks = self.life.tasks.clone();
        let policy = Policy::new(settings.policy.as_ref(), connection, self.identity.clone(), tasks);
        let actors = Arc::<Actors>::default();
        let calls = self.calls(settings, &actors, policy.clone(), &failures, &meters);
        let builtins = self.builtins.iter().map(|builtin| builtin.descriptor.name).collect();
        let owners = Owners::new(self.identity.clone(), self.store.clone(), self.trust.clone(), builtins);
        let owners = Arc::new(owners);
        let admission = Arc::new(Admission {
            artifacts: self.artifacts.clone(),
            issuers: Issuers::new(settings.allowed_issuers.clone(), settings.native_issuers.clone()),
            owners: owners.clone(),
            policy,
            store: self.store.clone(),
            meters: meters.clone(),
        });
        let (host, events) = (self.identity.host_id, self.events.clone());
        let broken_limits = BrokenLimits::new(actors, self.runtime.clone(), events, host);
        Lower { failures, meters, calls, owners, admission, broken_limits }
    }

    fn calls(
        &self,
        settings: &Arc<HostConfig>,
        actors: &Arc<Actors>,
        policy: Option<Arc<Policy>>,
        failures: &Arc<Failures>,
        meters: &Arc<Metrics>,
    ) -> Arc<Calls> {
        let providers = Providers::new(providers::Parts {
            identity: self.identity.clone(),
            store: self.store.clone(),
            events: self.events.clone(),
            failures: failures.clone(),
            meters: meters.clone(),
            nats: self.nats.clone(),
            actors: actors.clone(),
            life: self.life.clone(),
            settings: settings.clone(),
        });
        let sessions =
            self.nats.as_ref().and_then(|nats| open_sessions(settings, &self.identity, nats, &self.life.tasks));
        Arc::new(Calls {
            identity: self.identity.clone(),
            permission: Permission::new(self.store.clone(), actors.clone(), policy),
            actors: actors.clone(),
            providers,
            peers: Arc::<Peers>::default(),
            sessions,
            nats: self.nats.clone(),
            tracer: self.tracer.clone(),
            failures: failures.clone(),
            meters: meters.clone(),
            inbound: Inbound::new(settings, self.nats.as_deref()),
            life: self.life.clone(),
        })
    }

    fn workloads(&self, settings: &HostConfig, lower: &Lower) -> Arc<Workloads> {
        let calls = &lower.calls;
        let actors = Arc::new(ActorWorkloads {
            admission: lower.admission.clone(),
            runtime: self.runtime.clone(),
            limits: settings.limits.clone(),
            most: settings.most.clone(),
            actors: calls.actors.clone(),
            calls: calls.clone(),
            desired: self.desired.clone(),
            reports: Reports::new(self.identity.host_id, self.events.clone(), lower.failures.clone()),
            broken_limits: lower.broken_limits.clone(),
            starts: Starts::default(),
            life: self.life.clone(),
        });
        let providers = Arc::new(ProviderWorkloads {
            admission: lower.admission.clone(),
            providers: calls.providers.clone(),
            calls: calls.clone(),
            desired: self.desired.clone(),
            builtins: self.builtins.to_vec(),
            starts: Starts::default(),
        });
        Workloads::new(actors, providers, settings.timings.resume, self.life.clone())
    }

    fn changes(&self, lower: &Lower) -> Arc<Changes> {
        Arc::new(Changes {
            store: self.store.clone(),
            providers: lower.calls.providers.clone(),
            owners: lower.owners.clone(),
            events: self.events.clone(),
            failures: lower.failures.clone(),
            nats: self.nats.clone(),
            life: self.life.clone(),
        })
    }

    fn presence(
        &self,
        settings: &HostConfig,
        calls: &Calls,
        inventory: &Arc<Inventory>,
        intake: &Arc<Intake>,
    ) -> Arc<Presence> {
        Arc::new(Presence {
            identity: self.identity.clone(),
            inventory: inventory.clone(),
            events: self.events.clone(),
            peers: calls.peers.clone(),
            intake: intake.clone(),
            sessions: calls.sessions.clone(),
            nats: self.nats.clone(),
            root: self.root.clone(),
            every: settings.timings.heartbeat,
            life: self.life.clone(),
        })
    }

    fn control(&self, lower: &Lower, workloads: &Arc<Workloads>, inventory: &Arc<Inventory>) -> Arc<Control> {
        Arc::new(Control {
            identity: self.identity.clone(),
            root: self.root.clone(),
            workloads: workloads.clone(),
            inventory: inventory.clone(),
            store: self.store.clone(),
            actors: lower.calls.actors.clone(),
            providers: lower.calls.providers.clone(),
            admission: lower.admission.clone(),
            calls: lower.calls.clone(),
            events: self.events.clone(),
            failures: lower.failures.clone(),
            life: self.life.clone(),
        })
    }

    fn sources(&self, lower: &Lower, inventory: &Arc<Inventory>, intake: Arc<Intake>) -> Arc<Sources> {
        Arc::new(Sources {
            identity: self.identity.clone(),
            inventory: inventory.clone(),
            store: self.store.clone(),
            actors: lower.calls.actors.clone(),
            providers: lower.calls.providers.clone(),
            peers: lower.calls.peers.clone(),
            intake,
            events: self.events.clone(),
            runtime: self.runtime.clone(),
            tracer: self.tracer.clone(),
            meters: lower.meters.clone(),
            nats: self.nats.clone(),
        })
    }
}

impl Rooms {
    /// The admin pages.
    pub(super) fn pages(&self, synced: watch::Receiver<bool>) -> Arc<Pages> {
        Pages::new(self.sources.clone(), self.workloads.clone(), self.store.state(), synced, self.life.clone())
    }
}
