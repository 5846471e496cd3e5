//! The table of what runs, with what supervision needs. Invariant: one entry per (provider id, link name).

use std::sync::Arc;

use claims::{ActorId, ProviderId};
use contracts::CallError;
use dashmap::DashMap;
use lattice::LinkName;

use lattice_state::store::{Store, Tables};

use super::running::RunningProvider;
use crate::{
    actors::{self, Actors},
    events::Events,
    failures::Failures,
    identity::Identity,
    meters::Metrics,
    nats::Broker,
    process::lifetime::Lifetime,
    settings::HostConfig,
};

type Key = (ProviderId, LinkName);

/// The providers of a host.
pub struct Providers {
    running: DashMap<Key, Arc<RunningProvider>>,
    /// Signs for provider processes.
    pub identity: Arc<Identity>,
    /// Lattice state.
    pub store: Store,
    /// Tells the lattice.
    pub events: Events,
    /// What failed lately.
    pub failures: Arc<Failures>,
    /// Restarts are counted there.
    pub meters: Arc<Metrics>,
    /// NATS, if this host uses it.
    pub nats: Option<Arc<Broker>>,
    /// Actors that run here.
    pub actors: Arc<Actors>,
    /// Owns supervisors.
    pub life: Lifetime,
    /// What provider processes are told, and how long they may take.
    pub settings: Arc<HostConfig>,
}

/// What a [`Providers`] is made of.
pub struct Parts {
    /// As there.
    pub identity: Arc<Identity>,
    /// As there.
    pub store: Store,
    /// As there.
    pub events: Events,
    /// As there.
    pub failures: Arc<Failures>,
    /// As there.
    pub meters: Arc<Metrics>,
    /// As there.
    pub nats: Option<Arc<Broker>>,
    /// As there.
    pub actors: Arc<Actors>,
    /// As there.
    pub life: Lifetime,
    /// As there.
    pub settings: Arc<HostConfig>,
}

impl Providers {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { identity, store, events, failures, meters, nats, actors, life, settings } = parts;
        let running = DashMap::new();
        Arc::new(Self { running, identity, store, events, failures, meters, nats, actors, life, settings })
    }

    /// Lattice state in memory.
    pub(super) fn tables(&self) -> &Tables {
        self.store.tables()
    }

    /// Whether an actor's signed claims grant a contract.
    pub(super) fn check_grant(&self, actor: &ActorId, contract: &str) -> Result<(), CallError> {
        actors::check_grant(&self.actors, self.tables(), actor, contract)
    }

    /// Whether an actor exists: some host has verified it.
    #[must_use]
    pub fn exists(&self, actor: &ActorId) -> bool {
        actors::exists(&self.actors, self.tables(), actor)
    }

    /// The provider that runs under a link name.
    #[must_use]
    pub fn get(&self, id: &ProviderId, link_name: &LinkName) -> Option<Arc<RunningProvider>> {
        self.running.get(&(*id, link_name.clone())).map(|entry| entry.clone())
    }

    /// Everything that runs, in a stable order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<RunningProvider>> {
        let mut all: Vec<_> = self.running.iter().map(|entry| entry.value().clone()).collect();
        all.sort_by(|a, b| (&a.spec.id, a.spec.link_name.as_str()).cmp(&(&b.spec.id, b.spec.link_name.as_str())));
        all
    }

    /// Whether a reference runs under a link name already.
    #[must_use]
    pub fn runs(&self, image_ref: &str, link_name: &LinkName) -> bool {
        self.running.iter().any(|entry| entry.spec.image_ref == image_ref && entry.spec.link_name == *link_name)
    }

    pub fn insert(&self, provider: Arc<RunningProvider>) {
        self.running.insert((provider.spec.id, provider.spec.link_name.clone()), provider);
    }

    /// Removes this very provider; whether it was there still.
    pub fn remove_this(&self, provider: &Arc<RunningProvider>) -> bool {
        let key = (provider.spec.id, provider.spec.link_name.clone());
        self.running.remove_if(&key, |_, running| Arc::ptr_eq(running, provider)).is_some()
    }

    /// Tells a provider, if it runs here, that its links may have changed.
    pub fn wake(&self, id: &ProviderId, link_name: &LinkName) {
        if let Some(provider) = self.get(id, link_name) {
            provider.wake();
        }
    }
}
