//! What every way of a call shares.

use std::{sync::Arc, time::Instant};

use claims::ActorId;
use contracts::CallError;
use lattice_state::store::Tables;
use telemetry::Tracer;

use super::{inbound::Inbound, permission::Permission, sessions::Sessions};
use crate::{
    actors::{Actors, Came},
    failures::Failures,
    identity::Identity,
    meters::Metrics,
    nats::Broker,
    peers::Peers,
    process::lifetime::Lifetime,
    providers::Providers,
};

/// The calls of a host.
pub struct Calls {
    /// Signs what leaves.
    pub identity: Arc<Identity>,
    /// Who may call whom.
    pub permission: Permission,
    /// Actors that run here.
    pub actors: Arc<Actors>,
    /// Providers that run here.
    pub providers: Arc<Providers>,
    /// Other hosts, and what they run.
    pub peers: Arc<Peers>,
    /// Sessions with other hosts, where there are any to be had.
    pub sessions: Option<Arc<Sessions>>,
    /// NATS, if this host uses it.
    pub nats: Option<Arc<Broker>>,
    /// Makes spans.
    pub tracer: Tracer,
    /// What failed lately.
    pub failures: Arc<Failures>,
    /// What is counted for `/metrics`.
    pub meters: Arc<Metrics>,
    /// Calls that arrive over the lattice.
    pub inbound: Inbound,
    /// Owns the tasks of calls.
    pub life: Lifetime,
}

impl Calls {
    /// Lattice state in memory.
    pub(super) fn tables(&self) -> &Tables {
        self.permission.tables()
    }

    /// Whether this host speaks sessions.
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        self.sessions.is_some()
    }

    /// Whether another host of ours is known to run an actor.
    pub(super) fn runs_elsewhere(&self, actor: &ActorId) -> bool {
        self.has_sessions() && self.peers.route(actor).is_some_and(|route| !route.hosts.is_empty())
    }

    /// The deadline of a call that brings none.
    #[must_use]
    pub fn default_deadline(&self) -> Instant {
        Instant::now() + self.inbound.timeout
    }

    /// Waits for a vacant actor, unless another host is known to run it.
    ///
    /// # Errors
    /// As [`Actors::coming`].
    pub(super) async fn coming_here(
        &self,
        id: &ActorId,
        contract: &str,
        deadline: Instant,
    ) -> Result<Option<Came>, CallError> {
        if !self.actors.has_place(id) || self.peers.route(id).is_some() {
            return Ok(None);
        }
        self.actors.coming(id, contract, deadline).await
    }
}
