//! Ids, hosts that answer what they are told to, and calls to sign.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_nats::{Client, Message};
use bytes::Bytes;
use claims::{ActorId, ClusterId, HostId, KeyKind, KeyPair};
use futures_util::StreamExt;
use lattice::{
    LatticeId,
    client::ControlClient,
    control::{HostSummary, encode},
    invocation::{Entity, Invocation},
    subject::{ControlRoot, ControlSubject, RpcSubject},
};

pub fn host_id() -> HostId {
    KeyPair::generate(KeyKind::Server).public().try_into().unwrap()
}

pub fn actor_id() -> ActorId {
    KeyPair::generate(KeyKind::Module).public().try_into().unwrap()
}

pub fn lattice() -> LatticeId {
    LatticeId::default()
}

pub fn root() -> ControlRoot {
    ControlRoot::new(lattice())
}

pub fn control(client: &Client, timeout: Duration) -> ControlClient {
    ControlClient::nats(client.clone(), root(), timeout)
}

/// What an answering task was asked.
#[derive(Clone, Default)]
pub struct Asked(Arc<Mutex<Vec<Bytes>>>);

impl Asked {
    pub fn payloads(&self) -> Vec<Bytes> {
        self.0.lock().unwrap().clone()
    }

    pub fn json(&self) -> Vec<serde_json::Value> {
        self.payloads().iter().map(|payload| serde_json::from_slice(payload).unwrap()).collect()
    }
}

/// Answers every message on a subject with each of these payloads; in effect when this returns.
pub async fn answering(client: &Client, subject: String, answers: Vec<Vec<u8>>) -> Asked {
    let asked = Asked::default();
    let log = asked.clone();
    serving(client, subject, move |client, message| {
        log.0.lock().unwrap().push(message.payload.clone());
        let answers = answers.clone();
        async move {
            for answer in answers {
                client.publish(message.reply.clone().unwrap(), answer.into()).await.unwrap();
            }
        }
    })
    .await;
    asked
}

/// Hands every message on a subject to `serve`; in effect when this returns.
pub async fn serving<F, S>(client: &Client, subject: String, serve: S)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(Client, Message) -> F + Send + 'static,
{
    let mut messages = client.subscribe(subject).await.unwrap();
    in_effect(client).await;
    let client = client.clone();
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            serve(client.clone(), message).await;
        }
    });
}

/// Returns when the server has taken in what was subscribed before.
pub async fn in_effect(client: &Client) {
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, Bytes::new()).await.unwrap();
    echo.next().await.unwrap();
}

pub async fn answering_control(client: &Client, subject: &ControlSubject, answers: Vec<Vec<u8>>) -> Asked {
    answering(client, subject.render(&root()), answers).await
}

/// Answers the first message on a subject with the first of these, the second with the second, and so on.
pub async fn answering_in_turn(
    client: &Client,
    subject: &ControlSubject,
    answers: impl IntoIterator<Item = serde_json::Value>,
) -> Asked {
    let asked = Asked::default();
    let log = asked.clone();
    let answers = Mutex::new(answers.into_iter().collect::<Vec<_>>().into_iter());
    serving(client, subject.render(&root()), move |client, message| {
        log.0.lock().unwrap().push(message.payload.clone());
        let answer = answers.lock().unwrap().next().unwrap();
        async move { client.publish(message.reply.unwrap(), encode(&answer).into()).await.unwrap() }
    })
    .await;
    asked
}

/// A host that answers `ping.hosts` and names these peers.
pub async fn pingable(client: &Client, id: HostId, peers: Option<Vec<HostId>>) {
    let summary = HostSummary { peers, ..HostSummary::new(id) };
    answering_control(client, &ControlSubject::PingHosts, vec![encode(&summary)]).await;
}

/// A cluster key, the host that signs with it, and an actor to be called.
pub struct Caller {
    pub cluster: KeyPair,
    pub host: HostId,
    pub actor: ActorId,
}

impl Caller {
    pub fn new() -> Self {
        Self { cluster: KeyPair::generate(KeyKind::Cluster), host: host_id(), actor: actor_id() }
    }

    pub fn trusted(&self) -> BTreeSet<ClusterId> {
        BTreeSet::from([self.cluster.public().try_into().unwrap()])
    }

    pub fn subject(&self) -> RpcSubject {
        RpcSubject::Actor(self.actor)
    }

    pub fn subject_text(&self) -> String {
        self.subject().render(&lattice())
    }

    pub fn call(&self, payload: impl Into<Bytes>) -> Invocation {
        let (origin, target) = (Entity::actor(&actor_id()), Entity::actor(&self.actor));
        Invocation::issue(origin, target, "Test.Do", payload.into(), &self.cluster, &self.host, now()).unwrap()
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A payload of this length that differs from place to place.
pub fn payload(length: usize) -> Bytes {
    (0..length).map(|n| (n % 251) as u8).collect()
}
