//! Calling an actor as `wash call` does: signed with a cluster key, over NATS or the control socket of a host.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use claims::{ActorId, HostId, KeyKind, KeyPair};
use contracts::CallError;
use lattice::{
    LatticeId,
    client::RpcClient,
    invocation::{Entity, Invocation},
    subject::RpcSubject,
};

use crate::{RELAY, now, relay};

/// Whoever calls. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    rpc: RpcClient,
    cluster: KeyPair,
    host: HostId,
    within: Duration,
}

impl Caller {
    /// Calls over NATS, signed with this cluster key.
    #[must_use]
    pub fn nats(client: async_nats::Client, cluster: KeyPair) -> Self {
        Self::over(RpcClient::nats(client, LatticeId::default(), None), cluster)
    }

    /// Calls over the control socket of a host, signed with this cluster key.
    #[must_use]
    pub fn socket(path: impl Into<PathBuf>, cluster: KeyPair) -> Self {
        Self::over(RpcClient::socket(path, LatticeId::default()), cluster)
    }

    fn over(rpc: RpcClient, cluster: KeyPair) -> Self {
        let host = KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key");
        Self { rpc, cluster, host, within: Duration::from_secs(10) }
    }

    /// The same caller with another time for each call.
    #[must_use]
    pub fn within(&self, within: Duration) -> Self {
        Self { within, ..self.clone() }
    }

    /// Calls an actor in its own name.
    ///
    /// # Errors
    /// As the call ends.
    pub async fn call(&self, actor: &ActorId, operation: &str, argument: Bytes) -> Result<Bytes, CallError> {
        self.call_as(actor, actor, operation, argument).await
    }

    /// Calls an actor in the name of another one.
    ///
    /// # Errors
    /// As the call ends.
    ///
    /// # Panics
    /// When the call cannot be signed.
    pub async fn call_as(
        &self,
        origin: &ActorId,
        actor: &ActorId,
        operation: &str,
        argument: Bytes,
    ) -> Result<Bytes, CallError> {
        let (origin, target) = (Entity::actor(origin), Entity::actor(actor));
        let invocation = Invocation::issue(origin, target, operation, argument, &self.cluster, &self.host, now());
        let invocation = invocation.expect("a cluster key can sign");
        self.rpc.invoke(&RpcSubject::Actor(*actor), invocation, self.within).await
    }

    /// Lets one echo actor call another actor, by key or call alias.
    ///
    /// # Errors
    /// As the call ends; a failure of the inner call is a report of the echo actor.
    pub async fn relay(&self, from: &ActorId, to: &str, operation: &str, payload: &[u8]) -> Result<Bytes, CallError> {
        self.call(from, RELAY, relay(to, operation, payload)).await
    }
}
