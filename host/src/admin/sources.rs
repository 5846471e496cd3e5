//! What the pages show: the rooms of a host whose state can be seen.

use std::sync::Arc;

use lattice_state::store::{Store, Tables};
use runtime::Runtime;
use telemetry::Tracer;

use crate::{
    actors::Actors, events::Events, identity::Identity, inventory::Inventory, meters::Metrics, nats::Broker,
    peers::Peers, presence::Intake, providers::Providers,
};

/// What can be seen of a host.
pub struct Sources {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// What it says of itself.
    pub inventory: Arc<Inventory>,
    /// Lattice state.
    pub store: Store,
    /// Actors that run here.
    pub actors: Arc<Actors>,
    /// Providers that run here.
    pub providers: Arc<Providers>,
    /// Other hosts.
    pub peers: Arc<Peers>,
    /// What is read of what they tell.
    pub intake: Arc<Intake>,
    /// What was told.
    pub events: Events,
    /// The engine.
    pub runtime: Runtime,
    /// Spans.
    pub tracer: Tracer,
    /// What is counted.
    pub meters: Arc<Metrics>,
    /// NATS, if this host uses it.
    pub nats: Option<Arc<Broker>>,
}

impl Sources {
    pub(super) fn tables(&self) -> &Tables {
        self.store.tables()
    }
}
