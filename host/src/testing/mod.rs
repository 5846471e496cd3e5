//! Rooms for tests, without NATS, wasm or processes: lattice state on a disk of its own, and providers that are fakes.

mod fake;
mod upper;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::{
    AccountId, ActorId, ClusterId, KeyKind, KeyPair, ProviderId, PublicKey,
    revocation::{Entry, RevocationList, Revoked, verify},
};
use lattice::{
    LatticeId, Link, LinkName,
    stored_claims::{StoredActor, StoredClaims, StoredProvider},
};
use lattice_state::{
    replica::Replica,
    revocations::{Provenance, Trust},
    store::{self, Effect, Standing, Store},
    world::Machine,
};
use tempfile::TempDir;
use tokio::sync::{broadcast, mpsc, watch};

pub use self::{
    fake::{FAKE, Fake},
    upper::Upper,
};
use crate::{
    actors::Actors,
    calls::{Calls, Inbound, Permission},
    events::{self, Events},
    failures::Failures,
    identity::{Identity, Labels, friendly_name},
    meters::Metrics,
    nats::JetStreamBuckets,
    peers::Peers,
    policy::Policy,
    process::lifetime::Lifetime,
    providers::{Home, Parts, ProviderSpec, Providers, RunningProvider},
    settings::{HostConfig, PolicyConfig, PolicyDefault},
    trust::{issuers::Issuers, ownership::Owners},
};

/// A contract that the links of tests are about.
pub const CONTRACT: &str = "wasmcloud:keyvalue";

/// The lower rooms of a host.
pub struct World {
    pub identity: Arc<Identity>,
    pub trust: Arc<Trust>,
    pub store: Store,
    pub events: Events,
    pub failures: Arc<Failures>,
    pub meters: Arc<Metrics>,
    pub actors: Arc<Actors>,
    pub providers: Arc<Providers>,
    pub peers: Arc<Peers>,
    pub life: Lifetime,
    pub settings: Arc<HostConfig>,
    effects: Mutex<Option<mpsc::UnboundedReceiver<Effect>>>,
    told: Mutex<broadcast::Receiver<Bytes>>,
    directory: TempDir,
}

pub fn key(kind: KeyKind, byte: u8) -> PublicKey {
    KeyPair::from_raw_seed(kind, &[byte; 32]).public()
}

pub fn actor(byte: u8) -> ActorId {
    key(KeyKind::Module, byte).try_into().expect("a module key")
}

pub fn account(byte: u8) -> AccountId {
    key(KeyKind::Account, byte).try_into().expect("an account key")
}

pub fn provider(byte: u8) -> ProviderId {
    key(KeyKind::Service, byte).try_into().expect("a service key")
}

pub fn link(actor: ActorId, provider: ProviderId) -> Link {
    Link {
        actor_id: actor,
        provider_id: provider,
        contract_id: CONTRACT.parse().expect("a contract"),
        link_name: LinkName::default(),
        values: [("key".to_owned(), "value".to_owned())].into(),
    }
}

impl World {
    /// Nothing runs; state is empty.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut HostConfig)) -> Self {
        let directory = tempfile::tempdir().expect("a temp directory");
        let mut settings = HostConfig::new(LatticeId::default(), directory.path().to_owned());
        change(&mut settings);
        let settings = Arc::new(settings);
        let replica = Replica::open(&directory.path().join("state.redb")).expect("it opens");
        let cluster_key = KeyPair::from_raw_seed(KeyKind::Cluster, &[1; 32]);
        let cluster_id = ClusterId::try_from(cluster_key.public()).expect("a cluster key");
        let host_id = key(KeyKind::Server, 1).try_into().expect("a server key");
        let identity = Arc::new(Identity {
            host_id,
            friendly_name: friendly_name("test"),
            lattice: settings.lattice.clone(),
            labels: Labels::load(&settings.labels, replica.clone()).expect("they load"),
            started: Instant::now(),
            cluster_key,
            cluster_id,
            trusted_issuers: [cluster_id].into(),
        });
        let trust = Arc::new(Trust { lattice: settings.lattice.clone(), clusters: identity.trusted_issuers.clone() });
        let (store, owner, effects) =
            store::open(Machine::<JetStreamBuckets>::default(), replica, trust.clone()).expect("it opens");
        let life = Lifetime::new(Duration::from_secs(1));
        life.spawn(owner.run(None, watch::channel(false).0, life.publishing.clone()));
        let (events, _) = events::channel(identity.clone(), None);
        let told = Mutex::new(events.listen());
        let (failures, meters, actors) =
            (Arc::<Failures>::default(), Arc::<Metrics>::default(), Arc::<Actors>::default());
        let providers = Providers::new(Parts {
            identity: identity.clone(),
            store: store.clone(),
            events: events.clone(),
            failures: failures.clone(),
            meters: meters.clone(),
            nats: None,
            actors: actors.clone(),
            life: life.clone(),
            settings: settings.clone(),
        });
        let (peers, effects) = (Arc::default(), Mutex::new(Some(effects)));
        Self {
            identity,
            trust,
            store,
            events,
            failures,
            meters,
            actors,
            providers,
            peers,
            life,
            settings,
            effects,
            told,
            directory,
        }
    }

    pub fn policy(&self, default: PolicyDefault) -> Arc<Policy> {
        let config =
            PolicyConfig { topic: "policy".to_owned(), changes_topic: None, timeout: Duration::from_secs(1), default };
        let tasks = self.life.tasks.clone();
        Policy::new(Some(&config), None, self.identity.clone(), tasks).expect("there is a topic")
    }

    pub fn permission(&self, policy: Option<PolicyDefault>) -> Permission {
        let policy = policy.map(|default| self.policy(default));
        Permission::new(self.store.clone(), self.actors.clone(), policy)
    }

    pub fn calls(&self, policy: Option<PolicyDefault>) -> Arc<Calls> {
        Arc::new(Calls {
            identity: self.identity.clone(),
            permission: self.permission(policy),
            actors: self.actors.clone(),
            providers: self.providers.clone(),
            peers: self.peers.clone(),
            sessions: None,
            nats: None,
            tracer: telemetry::Tracer::default(),
            failures: self.failures.clone(),
            meters: self.meters.clone(),
            inbound: Inbound::new(&self.settings, None),
            life: self.life.clone(),
        })
    }

    pub fn owners(&self, builtins: Vec<&'static str>) -> Arc<Owners> {
        Arc::new(Owners::new(self.identity.clone(), self.store.clone(), self.trust.clone(), builtins))
    }

    pub fn issuers(&self) -> Issuers {
        Issuers::new(self.settings.allowed_issuers.clone(), self.settings.native_issuers.clone())
    }

    pub fn take_effects(&self) -> mpsc::UnboundedReceiver<Effect> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner).take().expect("taken once")
    }

    /// Names of the events told since this was asked last, with the events.
    pub fn told(&self) -> Vec<(String, serde_json::Value)> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| told.try_recv().ok())
            .map(|event| {
                let event: serde_json::Value = serde_json::from_slice(&event).expect("events are JSON");
                let kind = event["type"].as_str().expect("an event has a type");
                (kind.rsplit('.').next().unwrap_or_default().to_owned(), event["data"].clone())
            })
            .collect()
    }

    pub fn names_told(&self) -> Vec<String> {
        self.told().into_iter().map(|(name, _)| name).collect()
    }

    /// The lattice knows an actor, signed by an account.
    pub async fn know_actor(&self, id: ActorId, issuer: AccountId, contracts: &[&str]) {
        let claims = StoredActor {
            id,
            issuer,
            name: "actor".to_owned(),
            capabilities: contracts.iter().map(|contract| (*contract).to_owned()).collect(),
            tags: Vec::new(),
            revision: 1,
            version: "1".to_owned(),
            call_alias: Some("alias".to_owned()),
        };
        self.store.put_claims(&StoredClaims::Actor(claims)).await.expect("kept");
    }

    pub async fn know_provider(&self, id: ProviderId, issuer: AccountId) {
        let claims = StoredProvider {
            id,
            issuer,
            name: "provider".to_owned(),
            contract_id: CONTRACT.to_owned(),
            revision: 1,
            version: "1".to_owned(),
            config_schema: None,
        };
        self.store.put_claims(&StoredClaims::Provider(claims)).await.expect("kept");
    }

    pub async fn put_link(&self, link: &Link) {
        let body = serde_json::to_vec(link).expect("links are JSON");
        self.store.put_link(Standing::Known, link.id(), body.into()).await.expect("kept");
    }

    pub async fn revoke(&self, revoked: Revoked) {
        let entries = vec![Entry { revoked, reason: Some("because".to_owned()), since: 1 }];
        let list = RevocationList { lattice: self.identity.lattice.to_string(), number: 1, entries };
        let token = list.sign(&self.identity.cluster_key, 1).expect("signs");
        self.store.revoke(Arc::new(verify(&token).expect("it holds"))).await.expect("in force");
    }

    /// A fake provider that runs here.
    pub fn embed(&self, id: ProviderId, fake: &Arc<Fake>) -> Arc<RunningProvider> {
        let running = RunningProvider::new(spec(id), Home::Embedded(fake.clone()));
        self.providers.insert(running.clone());
        running
    }
}

pub fn spec(id: ProviderId) -> ProviderSpec {
    let claims = lattice::event::ProviderClaims {
        issuer: String::new(),
        tags: None,
        name: "fake".to_owned(),
        version: "1".to_owned(),
        not_before_human: String::new(),
        expires_human: String::new(),
    };
    ProviderSpec {
        id,
        link_name: LinkName::default(),
        contract: CONTRACT.parse().expect("a contract"),
        name: "fake".to_owned(),
        revision: 1,
        image_ref: "builtin://fake".to_owned(),
        annotations: lattice::control::Annotations::default(),
        instance_id: "1".to_owned(),
        claims,
        config: None,
        provenance: Provenance { issuer: account(9), subject: id.public_key(), digests: Vec::new() },
        own_key: false,
    }
}
