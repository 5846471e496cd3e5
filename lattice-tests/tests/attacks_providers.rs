//! What somebody with a captured message can do to providers, and how long the key of a provider process is good for.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::Client;
use bytes::Bytes;
use claims::{ActorId, ClusterId, HostId, KeyKind, KeyPair, ProviderId};
use futures_util::StreamExt as _;
use lattice::{
    LinkName,
    invocation::{DELEGATION_HEADER, Delegation, Entity, Invocation, InvocationResponse},
    subject::RpcSubject,
};
use lattice_tests::{
    Actor, HTTPSERVER, KEYVALUE, Signer, TestLattice, binary, eventually, eventually_within, free_address, http_link,
    link, now, subscribe, try_get,
};

/// How long a statement holds here: longer than until the first health check, which comes after 5 s.
const LIFETIME: Duration = Duration::from_secs(10);

/// A call to a provider, issued now.
fn issued(lattice: &TestLattice, actor: &ActorId, provider: &ProviderId) -> Invocation {
    let host: HostId = KeyPair::generate(KeyKind::Server).public().try_into().expect("a host key");
    let target = Entity::provider(provider, &LinkName::default(), &KEYVALUE.parse().expect("a contract"));
    let payload = Bytes::from_static(b"\xa1n"); // the name of a key
    let origin = Entity::actor(actor);
    Invocation::issue(origin, target, "KeyValue.Get", payload, lattice.cluster(), &host, now()).expect("signed")
}

/// Sends it to whichever host the broker chooses.
async fn send(client: &Client, lattice: &TestLattice, call: &Invocation) -> Result<Bytes, String> {
    let id = call.target.public_key.parse().expect("a provider");
    let subject = RpcSubject::Provider { id, link_name: LinkName::default() }.render(lattice.name());
    let answer = client.request(subject, call.encode()).await.map_err(|error| error.to_string())?;
    let answer = InvocationResponse::decode(&answer.payload).expect("an answer");
    answer.error.map_or(Ok(answer.msg), Err)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_call_to_a_provider_that_several_hosts_have_is_carried_out_once() {
    let Some(lattice) = TestLattice::start(["a", "b", "c"]).await else { return };
    let (signer, operator, client) = (Signer::default(), lattice.operator().await, lattice.nats.client().await);
    let provider = ProviderId::well_known("keyvalue-redb");
    for host in ["a", "b", "c"] {
        operator.start_provider(&lattice.id(host), "builtin://keyvalue-redb").await.expect("it starts");
    }
    let counter = signer.actor_with(Actor::KvCounter, |claims| {
        claims.metadata.get_or_insert_default().caps = Some([HTTPSERVER, KEYVALUE].map(str::to_owned).into());
    });
    operator.start_actor(&lattice.id("a"), &counter.reference()).await.expect("it starts");
    operator.put(&link(&counter.id, &provider, KEYVALUE, &[])).await.expect("the link is taken");
    eventually("every host serves the link", || async {
        for _ in 0..10 {
            send(&client, &lattice, &issued(&lattice, &counter.id, &provider)).await?;
        }
        Ok::<_, String>(())
    })
    .await;
    // Each host has to have heard which others have the provider, and of the call; until then one of them may be the first.
    let captured = eventually("a call that all three hosts know", || async {
        let call = issued(&lattice, &counter.id, &provider);
        send(&client, &lattice, &call).await?;
        // What others do meanwhile is the time in which the word of it arrives.
        for _ in 0..30 {
            send(&client, &lattice, &issued(&lattice, &counter.id, &provider)).await?;
        }
        let mut taken = 0;
        for _ in 0..30 {
            taken += usize::from(send(&client, &lattice, &call).await.is_ok());
        }
        if taken == 0 { Ok(call) } else { Err(format!("carried out {taken} times more")) }
    })
    .await;
    for _ in 0..30 {
        let error = send(&client, &lattice, &captured).await.expect_err("it was carried out before");
        assert!(error.contains("seen before"), "{error}");
    }
}

/// The statements that came with the calls of a provider, in their order.
type Statements = Arc<Mutex<Vec<String>>>;

async fn statements(lattice: &TestLattice, actor: &ActorId) -> Statements {
    let client = lattice.nats.client().await;
    let mut calls = subscribe(&client, RpcSubject::Actor(*actor).render(lattice.name())).await;
    let seen = Statements::default();
    let kept = seen.clone();
    tokio::spawn(async move {
        while let Some(call) = calls.next().await {
            let statement = call.headers.as_ref().and_then(|headers| headers.get(DELEGATION_HEADER));
            kept.lock().unwrap_or_else(PoisonError::into_inner).extend(statement.map(ToString::to_string));
        }
    });
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_provider_process_is_trusted_for_longer_than_its_first_statement_holds() {
    let change = |config: &mut host::HostConfig| {
        config.timings.delegation = LIFETIME;
        config.timings.health_check = Duration::from_secs(1);
    };
    let Some(lattice) = TestLattice::start_with(["a"], change).await else { return };
    let (signer, operator, host) = (Signer::default(), lattice.operator().await, lattice.id("a"));
    let par = signer.provider(&fs::read(binary("wash-httpserver")).expect("the program"), HTTPSERVER);
    let provider = operator.start_provider(&host, &par.reference()).await.expect("the process starts");
    let (echo, address) = (signer.actor(Actor::Echo), free_address());
    operator.start_actor(&host, &echo.reference()).await.expect("it starts");
    let link = http_link(&echo.id, &provider, &[("address", &address.to_string())]);
    operator.put(&link).await.expect("the link is taken");
    let (seen, name) =
        (statements(&lattice, &echo.id).await, Entity::provider(&provider, &link.link_name, &link.contract_id));
    let trusted: BTreeSet<ClusterId> = [lattice.cluster().public().try_into().expect("a cluster key")].into();
    let read = |statement: &str, at: u64| Delegation::verify(statement, &name, lattice.name(), at, &trusted);

    let what = "a call by another statement, once the first has run out";
    let (first, last) = eventually_within(LIFETIME * 4, what, || async {
        let answer = try_get(address, "/").await?;
        assert_eq!(answer.status, 200, "no call fails meanwhile: {answer:?}");
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return Err("none seen".to_owned()) };
        if read(first, now()).is_err() && first != last {
            Ok((first.clone(), last.clone()))
        } else {
            Err(first.clone())
        }
    })
    .await;
    let last = read(&last, now()).expect("the last one holds");
    let claims =
        claims::Claims::<claims::DelegationMetadata>::verify_after(&first, |_| Ok::<_, claims::TokenError>(()));
    let claims = claims.expect("it is signed");
    assert_eq!(claims.subject, last.key.to_string(), "of the same key, in the same process");
    assert!(claims.expires_at.is_some_and(|end| end < last.expires_at));
}
