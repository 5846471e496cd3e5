//! The upper rooms for tests.

use std::sync::Arc;

use lattice::subject::ControlRoot;
use lattice_state::replica::Replica;
use runtime::{Runtime, RuntimeConfig};

use super::{FAKE, World};
use crate::{
    actors::BrokenLimits,
    artifacts::Artifacts,
    calls::Calls,
    control::Control,
    inventory::Inventory,
    presence::Presence,
    workloads::{ActorWorkloads, Admission, Desired, ProviderWorkloads, Reports, Starts, Workloads},
};

/// The upper rooms, on top of a [`World`].
pub struct Upper {
    pub workloads: Arc<Workloads>,
    pub desired: Arc<Desired>,
    pub inventory: Arc<Inventory>,
    pub presence: Arc<Presence>,
    pub control: Arc<Control>,
}

impl World {
    /// Everything above, with [`FAKE`] compiled in.
    pub fn upper(&self) -> Upper {
        let calls = self.calls(None);
        let artifacts = Artifacts::open(&self.settings.artifacts, self.settings.allow_file_load).expect("it opens");
        let admission = Arc::new(Admission {
            artifacts: Arc::new(artifacts),
            issuers: self.issuers(),
            owners: self.owners(vec![FAKE.descriptor.name]),
            policy: None,
            store: self.store.clone(),
            meters: self.meters.clone(),
        });
        let replica = Replica::open(&self.directory.path().join("desired.redb")).expect("it opens");
        let desired = Arc::new(Desired::load(replica).expect("it loads"));
        let workloads = self.workloads(&calls, &admission, &desired);
        let tables = (self.actors.clone(), self.providers.clone(), self.peers.clone());
        let inventory = Inventory::new(self.identity.clone(), tables, (None, false), &self.settings);
        let root = ControlRoot::new(self.identity.lattice.clone());
        let presence = Arc::new(Presence {
            identity: self.identity.clone(),
            inventory: inventory.clone(),
            events: self.events.clone(),
            peers: self.peers.clone(),
            intake: Arc::default(),
            sessions: None,
            nats: None,
            root: root.clone(),
            every: self.settings.timings.heartbeat,
            life: self.life.clone(),
        });
        let control = Arc::new(Control {
            identity: self.identity.clone(),
            root,
            workloads: workloads.clone(),
            inventory: inventory.clone(),
            store: self.store.clone(),
            actors: self.actors.clone(),
            providers: self.providers.clone(),
            admission,
            calls,
            events: self.events.clone(),
            failures: self.failures.clone(),
            life: self.life.clone(),
        });
        Upper { workloads, desired, inventory, presence, control }
    }

    fn workloads(&self, calls: &Arc<Calls>, admission: &Arc<Admission>, desired: &Arc<Desired>) -> Arc<Workloads> {
        let settings = RuntimeConfig { max_instances: 2, code_cache: None, ..RuntimeConfig::default() };
        let runtime = Runtime::new(&settings).expect("there is an engine");
        let (host, actors) = (self.identity.host_id, self.actors.clone());
        let work = ActorWorkloads {
            admission: admission.clone(),
            runtime: runtime.clone(),
            limits: self.settings.limits.clone(),
            most: self.settings.most.clone(),
            actors: actors.clone(),
            calls: calls.clone(),
            desired: desired.clone(),
            reports: Reports::new(host, self.events.clone(), self.failures.clone()),
            broken_limits: BrokenLimits::new(actors, runtime, self.events.clone(), host),
            starts: Starts::default(),
            life: self.life.clone(),
        };
        let providers = ProviderWorkloads {
            admission: admission.clone(),
            providers: self.providers.clone(),
            calls: calls.clone(),
            desired: desired.clone(),
            builtins: vec![FAKE],
            starts: Starts::default(),
        };
        Workloads::new(Arc::new(work), Arc::new(providers), self.settings.timings.resume, self.life.clone())
    }
}
