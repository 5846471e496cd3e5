//! What the handlers of the control interface look at and hand on to.

use std::sync::Arc;

use claims::{ActorId, PublicKey};
use lattice::subject::ControlRoot;

use lattice_state::store::{Standing, Store, Tables};

use crate::{
    actors::Actors,
    calls::Calls,
    events::Events,
    failures::Failures,
    identity::Identity,
    inventory::Inventory,
    process::lifetime::Lifetime,
    providers::Providers,
    workloads::{Admission, Workloads},
};

/// The control interface of a host.
pub struct Control {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// Control subjects of the lattice.
    pub root: ControlRoot,
    /// Starts and stops.
    pub workloads: Arc<Workloads>,
    /// What we say of ourselves.
    pub inventory: Arc<Inventory>,
    /// Lattice state.
    pub store: Store,
    /// Actors that run here.
    pub actors: Arc<Actors>,
    /// Providers that run here.
    pub providers: Arc<Providers>,
    /// What artifacts are judged by.
    pub admission: Arc<Admission>,
    /// Who may call whom.
    pub calls: Arc<Calls>,
    /// Tells the lattice.
    pub events: Events,
    /// What failed lately.
    pub failures: Arc<Failures>,
    /// Ends with the host.
    pub life: Lifetime,
}

impl Control {
    /// Lattice state in memory.
    pub(super) fn tables(&self) -> &Tables {
        self.store.tables()
    }

    /// How changes for an actor or provider stand: those of whom nothing is known wait behind all others.
    pub(super) fn standing(&self, subject: &PublicKey) -> Standing {
        let runs = ActorId::try_from(*subject).is_ok_and(|actor| self.actors.get(&actor).is_some());
        if runs || self.tables().claims.get(subject).is_some() { Standing::Known } else { Standing::Stranger }
    }
}
