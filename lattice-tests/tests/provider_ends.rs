//! A provider process that ends while a call is under way: its caller hears so at once and not at its deadline, on the host
//! of the provider and on others.
#![cfg(target_os = "linux")] // processes are killed by number

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use claims::ProviderId;
use futures_util::StreamExt as _;
use lattice::{HealthResponse, LinkName, subject::RpcSubject};
use lattice_tests::{
    Actor, Answer, HTTPSERVER, KEYVALUE, Signed, Signer, TestLattice, eventually, free_address, http_link, kill, link,
    subscribe, try_get,
};
use tokio::{sync::watch, task::JoinHandle};

/// The deadline of the calls here, which nobody must wait for.
const DEADLINE: &str = "30000";
/// Far from that, also on a loaded machine.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A store whose process does nothing: the test answers its health checks, and takes its calls without answering them.
struct Silent {
    signed: Signed<ProviderId>,
    pid: PathBuf,
    taken: watch::Receiver<usize>,
    signer: Signer,
    _dir: tempfile::TempDir,
}

impl Silent {
    async fn in_lattice(lattice: &TestLattice) -> Self {
        let (dir, signer) = (tempfile::tempdir().expect("a directory"), Signer::default());
        let pid = dir.path().join("pid");
        let script = format!("#!/bin/sh\necho $$ > {}\nexec /bin/sleep 600\n", pid.display());
        let signed = signer.provider(script.as_bytes(), KEYVALUE);
        let (client, link_name) = (lattice.nats.client().await, LinkName::default());
        let subject = |subject: RpcSubject| subject.render(lattice.name());
        let mut checks =
            subscribe(&client, subject(RpcSubject::Health { id: signed.id, link_name: link_name.clone() })).await;
        let mut calls = subscribe(&client, subject(RpcSubject::Provider { id: signed.id, link_name })).await;
        let (count, taken) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(check) = checks.next() => {
                        let well = HealthResponse { healthy: true, message: None };
                        let reply = check.reply.expect("somebody asks");
                        client.publish(reply, well.encode().into()).await.expect("answered");
                    }
                    Some(_) = calls.next() => count.send_modify(|count| *count += 1),
                    else => return,
                }
            }
        });
        Self { signed, pid, taken, signer, _dir: dir }
    }

    async fn end(&self) {
        let pid = fs::read_to_string(&self.pid).expect("it was noted").trim().parse().expect("a process id");
        kill(pid);
    }
}

/// The store on host `a`, and an actor that calls it on this or another one.
struct Scene {
    lattice: TestLattice,
    store: Silent,
    address: SocketAddr,
}

impl Scene {
    async fn new(actor_on: &str) -> Option<Self> {
        let lattice = TestLattice::start(["a", "b"]).await?;
        let store = Silent::in_lattice(&lattice).await;
        let (operator, host) = (lattice.operator().await, lattice.id(actor_on));
        operator.start_provider(&lattice.id("a"), &store.signed.reference()).await.expect("the store starts");
        let server = operator.start_provider(&host, "builtin://httpserver").await.expect("the server starts");
        let counter = store.signer.actor_with(Actor::KvCounter, |claims| {
            claims.metadata.get_or_insert_default().caps = Some([HTTPSERVER, KEYVALUE].map(str::to_owned).into());
        });
        operator.start_actor(&host, &counter.reference()).await.expect("the actor starts");
        operator.put(&link(&counter.id, &store.signed.id, KEYVALUE, &[])).await.expect("the link is noted");
        let address = free_address();
        let values = [("address", &*address.to_string()), ("timeout_ms", DEADLINE)];
        operator.put(&http_link(&counter.id, &server, &values)).await.expect("the link is taken");
        Some(Self { lattice, store, address })
    }

    /// A request whose call has reached the store.
    async fn under_way(&self) -> JoinHandle<(Answer, Instant)> {
        let (before, address) = (*self.store.taken.borrow(), self.address);
        let asking = tokio::spawn(async move {
            let answer = eventually("an answer, not a hang", || try_get(address, "/n")).await;
            (answer, Instant::now())
        });
        self.store.taken.clone().wait_for(|taken| *taken > before).await.expect("it takes calls");
        asking
    }
}

/// What the client of a request hears, and that it hears it at once.
async fn hears(asking: JoinHandle<(Answer, Instant)>, since: Instant, words: &str) {
    let (answer, heard) = asking.await.expect("no panic");
    assert!(heard.saturating_duration_since(since) < AT_ONCE, "{:?}: {answer:?}", heard - since);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains(words), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_the_same_host_fails_with_the_process_that_has_it() {
    let Some(scene) = Scene::new("a").await else { return };
    let (asking, began) = (scene.under_way().await, Instant::now());
    scene.store.end().await;
    hears(asking, began, "its process ended with signal: 9").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_another_host_fails_with_the_process_that_has_it() {
    let Some(scene) = Scene::new("b").await else { return };
    let (asking, began) = (scene.under_way().await, Instant::now());
    scene.store.end().await;
    hears(asking, began, "it ended during the call on the host that runs it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_fails_with_a_provider_that_is_stopped() {
    for (actor_on, words) in [("a", "it was stopped"), ("b", "it ended during the call on the host that runs it")] {
        let Some(scene) = Scene::new(actor_on).await else { return };
        let (asking, operator) = (scene.under_way().await, scene.lattice.operator().await);
        operator.stop_provider(&scene.lattice.id("a"), &scene.store.signed.id).await.expect("it stops");
        hears(asking, Instant::now(), words).await;
    }
}
