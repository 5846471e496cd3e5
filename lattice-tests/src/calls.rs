//! What calls need besides a caller: the relay through an echo actor, and an actor that no host runs, whose answers the
//! test gives by hand.

use std::{fmt::Display, sync::Arc};

use bytes::Bytes;
use claims::{ActorId, KeyKind, KeyPair};
use contracts::codec;
use futures_util::StreamExt;
use lattice::{
    LatticeId,
    invocation::{Invocation, InvocationResponse},
    subject::RpcSubject,
};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use crate::eventually;

/// Operation of the echo actor that calls another actor and gives its answer back.
pub const RELAY: &str = "Echo.Relay";

#[derive(Serialize)]
struct Relay<'a> {
    actor: String,
    operation: &'a str,
    #[serde(with = "serde_bytes")]
    payload: &'a [u8],
}

/// The argument of [`RELAY`], for an actor by key or call alias.
///
/// # Panics
/// Never: it can be encoded.
#[must_use]
pub fn relay(actor: &(impl Display + ?Sized), operation: &str, payload: &[u8]) -> Bytes {
    codec::encode(&Relay { actor: actor.to_string(), operation, payload }).expect("it can be encoded").into()
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
