//! Links of a provider of another maker, which never acknowledges one: a program written from the protocol alone.

use std::{
    fs,
    time::{Duration, Instant},
};

use async_nats::Subscriber;
use claims::{ActorId, KeyKind, KeyPair, ProviderId};
use futures_util::{StreamExt as _, future::join_all};
use lattice::LinkName;
use lattice_tests::{KEYVALUE, Operator, Signer, TestLattice, link, subscribe};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_foreign-provider");
/// How long a host waits for the acknowledgement of one link.
const WAIT_FOR_AN_ACK: Duration = Duration::from_millis(1500);
/// For a message that is on its way.
const SOON: Duration = Duration::from_secs(20);

struct Scene {
    lattice: TestLattice,
    operator: Operator,
    id: ProviderId,
    reports: Subscriber,
    _signer: Signer,
}

impl Scene {
    async fn new() -> Option<Self> {
        let (lattice, signer) = (TestLattice::start(["a"]).await?, Signer::default());
        let signed = signer.provider(&fs::read(PROGRAM).expect("it is built"), KEYVALUE);
        let reports = subscribe(&lattice.nats.client().await, format!("foreign.{}", signed.id)).await;
        let operator = lattice.operator().await;
        operator.start_provider(&lattice.id("a"), &signed.reference()).await.expect("it starts");
        Some(Self { lattice, operator, id: signed.id, reports, _signer: signer })
    }

    async fn put(&self, actor: &ActorId, values: &[(&str, &str)]) {
        let link = link(actor, &self.id, KEYVALUE, values);
        self.operator.control.put_link(&link).await.expect("the host takes it");
    }

    async fn delete(&self, actor: &ActorId) {
        let contract = KEYVALUE.parse().expect("a contract");
        self.operator.control.delete_link(actor, &contract, &LinkName::default()).await.expect("the host takes it");
    }

    /// What the provider was told next, about whom, and when it said so.
    async fn told(&mut self) -> (String, ActorId, Instant) {
        let report = tokio::time::timeout(SOON, self.reports.next()).await.expect("it is told").expect("NATS is there");
        let report: Value = serde_json::from_slice(&report.payload).expect("JSON");
        let text = |name: &str| report[name].as_str().unwrap_or_else(|| panic!("{report}")).to_owned();
        (text("what"), text("actor").parse().expect("an actor"), Instant::now())
    }
}

fn actors(count: usize) -> Vec<ActorId> {
    (0..count).map(|_| KeyPair::generate(KeyKind::Module).public().try_into().expect("an actor key")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_links_are_sent_at_once_and_a_deletion_does_not_wait_behind_a_put() {
    let Some(mut scene) = Scene::new().await else { return };
    let actors = actors(9);
    let (eight, ninth) = (&actors[..8], actors[8]);
    join_all(eight.iter().map(|actor| scene.put(actor, &[("url", "redis://one")]))).await;
    let mut put = Vec::new();
    let mut times = Vec::new();
    for _ in eight {
        let (what, actor, at) = scene.told().await;
        assert_eq!(what, "put");
        put.push(actor);
        times.push(at);
    }
    put.sort();
    let mut expected = eight.to_vec();
    expected.sort();
    assert_eq!(put, expected, "each once");
    let took = times[7] - times[0];
    assert!(took < WAIT_FOR_AN_ACK, "all came before one wait for an acknowledgement could be over: {took:?}");

    scene.put(&ninth, &[]).await;
    let began = Instant::now();
    scene.delete(&eight[0]).await;
    let first = scene.told().await;
    let second = scene.told().await;
    assert_eq!((first.0.as_str(), first.1), ("put", ninth));
    assert_eq!((second.0.as_str(), second.1), ("del", eight[0]));
    assert!(second.2 - began < WAIT_FOR_AN_ACK, "{:?}", second.2 - began);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_changes_of_one_link_come_in_their_order_and_another_link_takes_the_place_of_one_that_is_there() {
    let Some(mut scene) = Scene::new().await else { return };
    let actor = actors(1)[0];
    scene.put(&actor, &[("url", "redis://one")]).await;
    assert_eq!(scene.told().await.0, "put");
    scene.delete(&actor).await;
    assert_eq!(scene.told().await.0, "del");
    scene.put(&actor, &[("url", "redis://two")]).await;
    assert_eq!(scene.told().await.0, "put");
    // Such a provider passes over a link of an actor that it has one of (protocol section 7.5).
    scene.put(&actor, &[("url", "redis://three")]).await;
    assert_eq!((scene.told().await.0.as_str(), scene.told().await.0.as_str()), ("del", "put"));
    let inventory = scene.operator.inventory(&scene.lattice.id("a")).await;
    assert_eq!(inventory.providers.iter().map(|provider| provider.id).collect::<Vec<_>>(), [scene.id], "it is well");
    scene.operator.stop_provider(&scene.lattice.id("a"), &scene.id).await.expect("it stops when it is asked to");
}
