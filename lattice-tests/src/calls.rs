//! Calls as tests make them: at the control socket of a host, or over NATS like anybody who holds the cluster key; and
//! an actor that no host runs, whose answers the test gives by hand.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use claims::{ActorId, HostId, KeyKind, KeyPair};
use contracts::{CallError, codec};
use futures_util::StreamExt;
use lattice::{
    LatticeId,
    client::RpcClient,
    invocation::{Entity, Invocation, InvocationResponse},
    subject::RpcSubject,
};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use crate::{eventually, now};

/// Operation of the echo actor that calls another actor and gives its answer back.
pub const RELAY: &str = "Echo.Relay";

#[derive(Serialize)]
struct Relay<'a> {
    actor: &'a str,
    operation: &'a str,
    #[serde(with = "serde_bytes")]
    payload: &'a [u8],
}

/// The argument of [`RELAY`].
///
/// # Panics
/// Never: it can be encoded.
#[must_use]
pub fn relay(actor: &ActorId, operation: &str, payload: &[u8]) -> Bytes {
    codec::encode(&Relay { actor: actor.as_str(), operation, payload }).expect("it can be encoded").into()
}

/// A subscription that is in effect: a message that went after it has been to the server and back.
///
/// # Panics
/// When the server does not take it.
pub async fn subscribe(client: &async_nats::Client, subject: String) -> async_nats::Subscriber {
    let subscription = client.subscribe(subject).await.expect("subscribed");
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await.expect("subscribed");
    client.publish(inbox, Bytes::new()).await.expect("published");
    echo.next().await.expect("the server sends it back");
    subscription
}

/// Calls actors in the name of a cluster.
#[derive(Clone)]
pub struct Caller {
    client: RpcClient,
    cluster: KeyPair,
    host: HostId,
}

impl Caller {
    /// At the control socket in a state directory.
    #[must_use]
    pub fn at_socket(state_dir: &Path, lattice: &LatticeId, cluster: &KeyPair) -> Self {
        Self::with(RpcClient::socket(state_dir.join("host.sock"), lattice.clone()), cluster)
    }

    /// Over NATS, with a signed invocation to whoever serves the actor.
    #[must_use]
    pub fn over_nats(client: async_nats::Client, lattice: &LatticeId, cluster: &KeyPair) -> Self {
        Self::with(RpcClient::nats(client, lattice.clone(), None), cluster)
    }

    fn with(client: RpcClient, cluster: &KeyPair) -> Self {
        let host = HostId::try_from(KeyPair::generate(KeyKind::Server).public()).expect("a host key");
        Self { client, cluster: cluster.clone(), host }
    }

    /// Calls an actor in its own name, as `wash call` does.
    ///
    /// # Errors
    /// As the host answers.
    ///
    /// # Panics
    /// When the key is no cluster key.
    pub async fn call(
        &self,
        actor: &ActorId,
        operation: &str,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let (origin, target) = (Entity::actor(actor), Entity::actor(actor));
        let invocation = Invocation::issue(origin, target, operation, payload, &self.cluster, &self.host, now());
        let invocation = invocation.expect("a cluster key signs");
        self.client.invoke(&RpcSubject::Actor(*actor), invocation, timeout).await
    }
}

/// An actor that is nothing but a subscription: a call to it waits until the gate is opened.
pub struct Gate {
    /// Its key.
    pub id: ActorId,
    arrived: watch::Receiver<usize>,
    open: Arc<Semaphore>,
    task: tokio::task::JoinHandle<()>,
}

impl Gate {
    /// A closed gate in a lattice.
    ///
    /// # Panics
    /// When the server does not take the subscription.
    pub async fn start(client: async_nats::Client, lattice: &LatticeId) -> Self {
        let id = ActorId::try_from(KeyPair::generate(KeyKind::Module).public()).expect("an actor key");
        let mut calls = subscribe(&client, RpcSubject::Actor(id).render(lattice)).await;
        let (count, arrived) = watch::channel(0);
        let open = Arc::new(Semaphore::new(0));
        let gate = open.clone();
        let task = tokio::spawn(async move {
            while let Some(message) = calls.next().await {
                count.send_modify(|count| *count += 1);
                let (client, gate) = (client.clone(), gate.clone());
                tokio::spawn(async move {
                    gate.acquire().await.expect("never closed").forget();
                    let call = Invocation::decode(&message.payload).expect("an invocation");
                    let answer = InvocationResponse::success(&call.id, call.msg).encode();
                    client.publish(message.reply.expect("a call"), answer).await.expect("NATS is there");
                });
            }
        });
        Self { id, arrived, open, task }
    }

    /// How many calls have come.
    #[must_use]
    pub fn arrived(&self) -> usize {
        *self.arrived.borrow()
    }

    /// Waits until so many calls have come.
    pub async fn reached(&self, calls: usize) {
        eventually(&format!("{calls} calls at the gate"), || async {
            let arrived = self.arrived();
            if arrived >= calls { Ok(()) } else { Err(arrived) }
        })
        .await;
    }

    /// Lets so many calls through.
    pub fn let_through(&self, calls: usize) {
        self.open.add_permits(calls);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}
