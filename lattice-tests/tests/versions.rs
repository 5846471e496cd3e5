//! Two versions of one actor on a host, each under its own annotation set (protocol section 8.3), and what becomes of
//! calls while versions come and go.
//!
//! A deployment manager upgrades by two `scale` commands, in either order. They are sent here as it sends them, in raw
//! control messages.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::{ActorId, ActorMetadata, HostId, KeyKind, KeyPair, ProviderId};
use contracts::CallError;
use futures_util::StreamExt;
use lattice::{
    LatticeId, LinkName,
    control::{Ack, ActorDescription, ScaleActor, UpdateActor},
    event::{Event, EventData},
    invocation::{Invocation, InvocationResponse},
    subject::RpcSubject,
};
use lattice_tests::{
    Actor, Caller, HTTPSERVER, Operator, RELAY, Signed, Signer, TestLattice, eventually, free_address, get, link,
    relay, subscribe, try_get,
};
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

/// Requests in a second, half of them over HTTP and half of them signed calls.
const RATE: u32 = 200;
/// A contract of nobody's.
const SLOW: &str = "test:slow";

/// Echo actors that are versions of each other; their code differs, so that each is compiled.
struct Versions {
    signer: Signer,
    first: Signed<ActorId>,
}

impl Versions {
    fn new() -> Self {
        let signer = Signer::default();
        let first = signer.actor_with(Actor::Echo, |claims| {
            let metadata = claims.metadata.get_or_insert_default();
            metadata.caps = Some(vec![HTTPSERVER.to_owned(), SLOW.to_owned()]);
            metadata.rev = Some(1);
        });
        Self { signer, first }
    }

    fn next(&self, revision: i32) -> Signed<ActorId> {
        let mut wasm = Actor::Echo.wasm();
        let name = format!("version{revision}");
        // A custom section: its id, its size, the size of its name, its name.
        wasm.extend([0, u8::try_from(name.len() + 1).expect("short"), u8::try_from(name.len()).expect("short")]);
        wasm.extend(name.as_bytes());
        let mut signed = self.signer.wasm_with("echo", &wasm, |claims| {
            claims.subject = self.first.id.to_string();
            let metadata = claims.metadata.take().unwrap_or_default();
            let caps = Some(vec![HTTPSERVER.to_owned(), SLOW.to_owned()]);
            claims.metadata = Some(ActorMetadata { rev: Some(revision), caps, ..metadata });
        });
        signed.id = self.first.id;
        signed
    }
}

fn set(scaler: &str) -> BTreeMap<String, String> {
    [("wasmcloud.dev/managed-by", "wadm"), ("wasmcloud.dev/appspec", "shop"), ("wasmcloud.dev/scaler", scaler)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// A `scale` command as a deployment manager sends it: acknowledged at once.
async fn scale(client: &async_nats::Client, host: &HostId, reference: &str, count: u32, scaler: &str) {
    let body =
        json!({ "actor_ref": reference, "count": count, "annotations": set(scaler), "host_id": host.to_string() });
    let subject = format!("wasmbus.ctl.default.cmd.{host}.scale");
    let reply = client.request(subject, body.to_string().into()).await.expect("the host answers");
    let ack: Ack = serde_json::from_slice(&reply.payload).expect("an ack");
    assert!(ack.accepted && ack.error.is_empty(), "{ack:?}");
}

/// The row of an actor in an inventory, as it goes over the wire.
async fn row(client: &async_nats::Client, host: &HostId, actor: &ActorId) -> Option<Value> {
    let subject = format!("wasmbus.ctl.default.get.{host}.inv");
    let reply = client.request(subject, Bytes::new()).await.expect("the host answers");
    let inventory: Value = serde_json::from_slice(&reply.payload).expect("an inventory");
    let rows = inventory["actors"].as_array().expect("a list").clone();
    rows.into_iter().find(|row| row["id"] == actor.to_string())
}

/// Reference and maximum of each set that runs.
fn sets(row: Option<&Value>) -> Vec<(String, String, u64)> {
    let instances = row.and_then(|row| row["instances"].as_array()).cloned().unwrap_or_default();
    let one = |instance: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let scaler = text(&instance["annotations"]["wasmcloud.dev/scaler"]);
        (scaler, text(&instance["image_ref"]), instance["max_instances"].as_u64().unwrap_or_default())
    };
    let mut sets: Vec<_> = instances.iter().map(one).collect();
    sets.sort();
    sets
}

/// Waits until a host runs exactly these sets.
async fn runs(client: &async_nats::Client, host: &HostId, actor: &ActorId, expected: &[(&str, &Signed<ActorId>)]) {
    let expected: Vec<_> =
        expected.iter().map(|(scaler, version)| ((*scaler).to_owned(), version.reference(), 20_u64)).collect();
    eventually(&format!("{expected:?} on {host}"), || async {
        let found = sets(row(client, host, actor).await.as_ref());
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

/// Asks at a constant rate, however long answers take, until it is told to stop: how many were answered, what failed.
async fn ask(
    stop: CancellationToken,
    caller: Caller,
    actor: ActorId,
    servers: Vec<SocketAddr>,
) -> (usize, Vec<String>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked = JoinSet::new();
    for number in 0_usize.. {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let (caller, server) = (caller.clone(), servers[number / 2 % servers.len()]);
        asked.spawn(async move {
            if number % 2 == 0 {
                let answer = try_get(server, "/").await?;
                return if answer.status.is_success() {
                    Ok(())
                } else {
                    Err(format!("http: {} {}", answer.status, answer.body))
                };
            }
            let payload = number.to_string();
            let answer = caller.call(&actor, "Test.Echo", payload.clone().into()).await;
            match answer {
                Ok(answer) if answer == payload.as_bytes() => Ok(()),
                other => Err(format!("signed: {other:?}")),
            }
        });
    }
    let outcomes = asked.join_all().await;
    let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    (answered, outcomes.into_iter().filter_map(Result::err).collect())
}

/// An upgrade on every host of a lattice, while it is asked all the time.
async fn upgrade<const N: usize>(names: [&str; N], new_first: bool) {
    let Some(lattice) = TestLattice::start(names).await else { return };
    let (operator, versions) = (lattice.operator().await, Versions::new());
    let (client, hosts) = (lattice.nats.client().await, names.map(|name| lattice.id(name)));
    let (one, actor) = (&versions.first, versions.first.id);
    let mut servers = Vec::new();
    for host in &hosts {
        scale(&client, host, &one.reference(), 20, "one").await;
        runs(&client, host, &actor, &[("one", one)]).await;
        let provider = operator.start_provider(host, "builtin://httpserver").await.expect("it starts");
        if servers.is_empty() {
            let address = free_address();
            let values = [("address", &*address.to_string()), ("timeout_ms", "60000")];
            operator.put(&link(&actor, &provider, HTTPSERVER, &values)).await.expect("it is served");
            servers.push(address);
        }
    }
    let stop = CancellationToken::new();
    let caller = lattice.signed_caller().await.within(Duration::from_secs(60));
    let asking = tokio::spawn(ask(stop.clone(), caller, actor, servers));

    let (mut old, began) = (("one", one.clone()), Instant::now());
    for (revision, scaler) in [(2, "two"), (3, "three")] {
        let new = versions.next(revision);
        for host in &hosts {
            let (new_reference, old_reference) = (new.reference(), old.1.reference());
            let start = scale(&client, host, &new_reference, 20, scaler);
            let end = scale(&client, host, &old_reference, 0, old.0);
            if new_first {
                start.await;
                end.await;
            } else {
                end.await;
                start.await;
            }
        }
        for host in &hosts {
            runs(&client, host, &actor, &[(scaler, &new)]).await;
        }
        old = (scaler, new);
    }
    let took = began.elapsed();
    stop.cancel();
    let (answered, failed) = asking.await.expect("no panic");
    println!("{N} hosts, new first {new_first}: {answered} answered, {} failed, in {took:?}", failed.len());
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), &failed[..failed.len().min(5)]);
    assert!(answered as f64 > took.as_secs_f64() * f64::from(RATE) * 0.8, "{answered} in {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_starts_the_new_version_first_fails_no_request_on_one_host() {
    upgrade(["a"], true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_stops_the_old_version_first_fails_no_request_on_one_host() {
    upgrade(["a"], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_in_either_order_fails_no_request_on_two_hosts() {
    upgrade(["a", "b"], true).await;
    upgrade(["a", "b"], false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_annotation_set_has_a_version_of_its_own_and_an_update_touches_one() {
    let Some(mut lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, versions, host) = (lattice.operator().await, Versions::new(), lattice.id("a"));
    let (one, two, three) = (&versions.first, versions.next(2), versions.next(3));
    let client = lattice.nats.client().await;
    for scaler in ["one", "other"] {
        scale(&client, &host, &one.reference(), 20, scaler).await;
    }
    scale(&client, &host, &two.reference(), 20, "two").await;
    runs(&client, &host, &one.id, &[("one", one), ("other", one), ("two", &two)]).await;

    let command = |annotations| UpdateActor {
        actor_id: one.id,
        new_actor_ref: three.reference(),
        annotations,
        host_id: String::new(),
    };
    // Answered when the new one serves, which takes as long as compiling it.
    let patient = operator.control.with_timeout(Duration::from_secs(120));
    patient.update_actor(&host, &command(set("one"))).await.expect("updated");
    let expected = [("one", &three), ("other", one), ("two", &two)];
    runs(&client, &host, &one.id, &expected).await;
    let refused = patient.update_actor(&host, &command(BTreeMap::new())).await.expect_err("no such set");
    assert!(refused.to_string().contains("actor instance with matching annotations not found"), "{refused}");
    // The same set with another reference is what an update is for.
    let again = ScaleActor {
        actor_ref: two.reference(),
        max_instances: 20,
        annotations: set("other"),
        ..ScaleActor::default()
    };
    let refused = operator.scale_as(&host, again).await.expect_err("another version runs");
    assert!(refused.starts_with("actor is already running with a different image reference"), "{refused}");
    assert!(refused.contains(&format!("wash update actor {} {}", one.id, two.reference())), "{refused}");
    runs(&client, &host, &one.id, &expected).await;

    let revisions: Vec<i64> = row(&client, &host, &one.id).await.expect("it runs")["instances"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|instance| instance["revision"].as_i64())
        .collect();
    let (mut sorted, mut distinct) = (revisions.clone(), revisions);
    sorted.sort_unstable();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!((sorted.len(), distinct), (3, vec![1, 2, 3]), "each tells its own");

    lattice.start_again("a").await;
    runs(&lattice.nats.client().await, &host, &one.id, &expected).await;
}

/// A provider that is nothing but a subscription: its calls wait until they are let through.
struct SlowProvider {
    id: ProviderId,
    arrived: watch::Receiver<usize>,
    open: std::sync::Arc<Semaphore>,
}

impl SlowProvider {
    async fn start(client: async_nats::Client) -> Self {
        let id = ProviderId::try_from(KeyPair::generate(KeyKind::Service).public()).expect("a provider key");
        let subject = RpcSubject::Provider { id, link_name: LinkName::default() };
        let mut calls = subscribe(&client, subject.render(&LatticeId::default())).await;
        let (count, arrived) = watch::channel(0);
        let open = std::sync::Arc::new(Semaphore::new(0));
        let gate = open.clone();
        tokio::spawn(async move {
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
        Self { id, arrived, open }
    }
}

async fn start_linked(operator: &Operator, hosts: &[HostId], version: &Signed<ActorId>, max: u32, slow: &SlowProvider) {
    for host in hosts {
        operator.scale(host, &version.reference(), max).await.expect("it starts");
    }
    operator.control.put_link(&link(&version.id, &slow.id, SLOW, &[])).await.expect("linked");
    eventually("the link", || async {
        let links = operator.control.links().await.expect("links").links;
        if links.iter().any(|link| link.provider_id == slow.id) { Ok(()) } else { Err("not there") }
    })
    .await;
}

/// One calls and is slow, one waits behind it; both were taken before the stop and are answered.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_before_a_stop_keeps_what_its_code_may_call() {
    let admin = free_address();
    let Some(lattice) =
        TestLattice::start_with(["a"], |config| config.admin_address = Some(host::AdminAddress(admin))).await
    else {
        return;
    };
    let (operator, versions, host) = (lattice.operator().await, Versions::new(), lattice.id("a"));
    let slow = SlowProvider::start(lattice.nats.client().await).await;
    start_linked(&operator, &[host], &versions.first, 1, &slow).await;
    let caller = lattice.signed_caller().await;
    let call = |number: u8| {
        let (caller, actor) = (caller.clone(), versions.first.id);
        tokio::spawn(async move { caller.call(&actor, RELAY, relay(SLOW, "Slow.Pass", &[number])).await })
    };
    let first = call(1);
    slow.arrived.clone().wait_for(|calls| *calls == 1).await.expect("it comes");
    let second = call(2);
    eventually("the second call waiting", || async {
        let page = get(admin, "/metrics").await;
        let waits = page.lines().any(|line| line.starts_with("lattice_actor_queued_calls") && line.ends_with(" 1"));
        if waits { Ok(()) } else { Err(page) }
    })
    .await;
    operator.stop_actor(&host, &versions.first.id).await.expect("it stops");
    slow.open.add_permits(2);
    for (call, expected) in [(first, 1), (second, 2)] {
        assert_eq!(call.await.expect("no panic").expect("answered"), vec![expected]);
    }
    let late = caller.call(&versions.first.id, "Test.Echo", Bytes::new()).await;
    assert!(matches!(&late, Err(error) if error.code() == "not_running"), "it has stopped: {late:?}");
}

/// Actors stopped and started on one host, all the time, while another serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_on_one_host_loses_no_call_while_another_serves() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let (operator, versions) = (lattice.operator().await, Versions::new());
    let hosts = [lattice.id("a"), lattice.id("b")];
    let slow = SlowProvider::start(lattice.nats.client().await).await;
    slow.open.add_permits(Semaphore::MAX_PERMITS / 2);
    start_linked(&operator, &hosts, &versions.first, 2, &slow).await;
    let (caller, actor) = (lattice.signed_caller().await, versions.first.id);
    let load = lattice_tests::Load::start(8, move || {
        let caller = caller.clone();
        async move {
            let answer = caller.call(&actor, RELAY, relay(SLOW, "Slow.Pass", b"x")).await?;
            if answer == b"x"[..] { Ok(()) } else { Err(CallError::Reported { message: format!("{answer:?}") }) }
        }
    });
    for _ in 0..10 {
        operator.stop_actor(&hosts[0], &actor).await.expect("it stops");
        let answered = load.so_far().answered;
        eventually("the other one to serve", || async {
            let now = load.so_far().answered;
            if now > answered + 20 { Ok(()) } else { Err(now) }
        })
        .await;
        operator.scale(&hosts[0], &versions.first.reference(), 2).await.expect("it starts");
    }
    let seen = load.end().await;
    println!("{} answered, slowest {:?}, failed {:?}", seen.answered, seen.slowest_answer, seen.failed);
    assert_eq!(seen.failures(), 0, "{:?}", seen.failed);
}

/// A stop by id that comes while the start by reference is on its way, whose id nobody knows yet.
#[tokio::test(flavor = "multi_thread")]
async fn commands_by_reference_and_by_id_stay_in_order() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, versions, host) = (lattice.operator().await, Versions::new(), lattice.id("a"));
    let (reference, actor) = (versions.first.reference(), versions.first.id);
    let client = lattice.nats.client().await;
    let mut events = operator.events().await;
    for count in [5, 3, 0, 4] {
        scale(&client, &host, &reference, count, "one").await;
    }
    let stopped = operator.stop_actor(&host, &actor).await;
    let mut told = Vec::new();
    while told.len() < 4 {
        let event: Event = events.next().await.expect("told");
        match event.data {
            EventData::ActorScaled(scaled) => told.push(Ok(scaled.max_instances)),
            EventData::ActorScaleFailed(failed) => told.push(Err(failed.code.unwrap_or_default())),
            _ => {}
        }
    }
    println!("{told:?}, then {stopped:?}");
    eventually("nothing that runs", || async {
        let row: Option<ActorDescription> =
            operator.inventory(&host).await.actors.into_iter().find(|row| row.id == actor);
        if row.is_none() { Ok(()) } else { Err(format!("{row:?}")) }
    })
    .await;
    for outcome in &told {
        assert!(outcome.is_ok() || *outcome == Err("stopped_meanwhile".to_owned()), "{told:?}");
    }
    let runs_again = operator.scale(&host, &reference, 2).await;
    assert_eq!(runs_again, Ok(actor), "later commands are not touched");
}

/// The id of an actor comes from its claims, not from the reference it was started by before.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_holds_another_actor_now_starts_that_one() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, signer, host) = (lattice.operator().await, Signer::default(), lattice.id("a"));
    let (first, second) = (signer.actor(Actor::Echo), signer.actor(Actor::Greet));
    let path = signer.write("x.wasm", &std::fs::read(&first.path).expect("signed"));
    let reference = format!("file://{}", path.display());
    assert_eq!(operator.start_actor(&host, &reference).await, Ok(first.id));
    std::fs::copy(&second.path, &path).expect("copied");
    assert_eq!(operator.start_actor(&host, &reference).await, Ok(second.id), "what it is by its claims");
    let mut running: Vec<_> = operator.inventory(&host).await.actors.into_iter().map(|row| row.id).collect();
    let mut both = vec![first.id, second.id];
    running.sort();
    both.sort();
    assert_eq!(running, both);

    // The same actor, built again: it is not started a second time, and what to do is said.
    let again = signer.actor_with(Actor::Greet, |claims| {
        claims.subject = second.id.to_string();
        claims.metadata.get_or_insert_default().rev = Some(2);
    });
    std::fs::copy(&again.path, &path).expect("copied");
    let refused = operator.start_actor(&host, &reference).await.expect_err("another version runs");
    assert!(refused.contains(&format!("wash update actor {}", second.id)), "{refused}");

    operator.scale(&host, &reference, 0).await.expect("it stops");
    assert!(operator.inventory(&host).await.actors.is_empty(), "whatever ran from it");
}
