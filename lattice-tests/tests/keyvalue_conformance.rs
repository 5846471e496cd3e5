//! The suite of `wasmcloud:keyvalue` on providers behind a host: as supervised processes, and embedded in another host.

mod keyvalue_support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use claims::{ActorId, HostId, KeyKind, KeyPair, ProviderId};
use contracts::CallError;
use keyvalue_support::{redb_archive, redis_archive};
use lattice::{
    LatticeId, LinkName,
    client::RpcClient,
    invocation::{Entity, Invocation},
    subject::RpcSubject,
};
use lattice_tests::{KEYVALUE, Operator, Redis, Signer, TestLattice, eventually, link};
use provider_sdk::conformance::{World, keyvalue};

/// Calls come from actors that run nowhere, signed as another host of the lattice would.
struct Behind {
    operator: Operator,
    rpc: RpcClient,
    cluster: KeyPair,
    host: HostId,
    provider: ProviderId,
    /// Values of every link, and whether each link needs a namespace of its own to be alone.
    values: Vec<(String, String)>,
    namespaces: bool,
    actors: AtomicU32,
    lattice: TestLattice,
}

impl Behind {
    async fn new(
        lattice: TestLattice,
        provider: ProviderId,
        values: Vec<(String, String)>,
        namespaces: bool,
    ) -> Arc<Self> {
        let client = lattice.nats.client().await;
        Arc::new(Self {
            operator: lattice.operator().await,
            rpc: RpcClient::nats(client, LatticeId::default(), None),
            cluster: lattice.cluster().clone(),
            host: KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key"),
            provider,
            values,
            namespaces,
            actors: AtomicU32::new(0),
            lattice,
        })
    }

    async fn linked(&self, namespace: Option<&str>) -> ActorId {
        let actor = KeyPair::generate(KeyKind::Module).public().try_into().expect("a module key");
        self.lattice.introduce(&actor).await;
        let mut values: Vec<(&str, &str)> =
            self.values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        values.extend(namespace.map(|namespace| ("NAMESPACE", namespace)));
        self.operator.put(&link(&actor, &self.provider, KEYVALUE, &values)).await.expect("the link is taken");
        // That it is taken does not say that the provider has it already.
        self.until("the link at the provider", &actor, |code| code != Some("not_linked")).await;
        actor
    }

    /// Calls until the answer has a code, or none, that is waited for.
    async fn until(&self, what: &str, actor: &ActorId, is_it: impl Fn(Option<&str>) -> bool) {
        let argument = Bytes::from(contracts::codec::encode("key").expect("text"));
        eventually(what, || async {
            let answer = self.call(actor, contracts::keyvalue::GET, argument.clone()).await;
            match is_it(answer.as_ref().err().map(CallError::code)) {
                true => Ok(()),
                false => Err(format!("{answer:?}")),
            }
        })
        .await;
    }
}

#[async_trait]
impl World for Behind {
    async fn actor(&self) -> ActorId {
        let number = self.actors.fetch_add(1, Ordering::Relaxed);
        self.linked(self.namespaces.then(|| format!("actor {number}")).as_deref()).await
    }

    async fn sharing(&self) -> Option<(ActorId, ActorId)> {
        Some((self.linked(Some("shared")).await, self.linked(Some("shared")).await))
    }

    async fn unlink(&self, actor: &ActorId) {
        let contract = KEYVALUE.parse().expect("a contract id");
        self.operator.control.delete_link(actor, &contract, &LinkName::default()).await.expect("it is deleted");
        self.until("the end of the link", actor, |code| code == Some("not_linked")).await;
    }

    async fn call(&self, actor: &ActorId, operation: &str, argument: Bytes) -> Result<Bytes, CallError> {
        let (id, link_name) = (self.provider, LinkName::default());
        let target = Entity::provider(&id, &link_name, &KEYVALUE.parse().expect("a contract id"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let invocation =
            Invocation::issue(Entity::actor(actor), target, operation, argument, &self.cluster, &self.host, now)
                .expect("it can be signed");
        self.rpc.invoke(&RpcSubject::Provider { id, link_name }, invocation, Duration::from_secs(10)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redb_embedded_in_another_host() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let operator = lattice.operator().await;
    let provider = operator.start_provider(&lattice.id("a"), "builtin://keyvalue-redb").await.expect("it starts");
    keyvalue::run(Behind::new(lattice, provider, Vec::new(), false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redb_as_a_process() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let signer = Signer::default();
    let archive = redb_archive(&signer).reference();
    let provider = lattice.operator().await.start_provider(&lattice.id("a"), &archive).await.expect("it starts");
    keyvalue::run(Behind::new(lattice, provider, Vec::new(), false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_as_a_process() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let Some(redis) = Redis::start().await else { return };
    let signer = Signer::default();
    let archive = redis_archive(&signer).reference();
    let provider = lattice.operator().await.start_provider(&lattice.id("a"), &archive).await.expect("it starts");
    let values = vec![("URL".to_owned(), redis.url())];
    keyvalue::run(Behind::new(lattice, provider, values, true).await).await;
}
