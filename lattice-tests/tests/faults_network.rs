//! A network that fails: a broker that goes and comes back empty, a host cut off, long ways, losses, and neighbours.

mod faults_support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use contracts::CallError;
use faults_support::{Called, LONG, any_link, figure, links_at, put_until_taken, unlink};
use futures_util::future::join_all;
use host::HostConfig;
use lattice::{
    LatticeId,
    client::{ControlClient, NatsOptions, RpcClient},
    control::ScaleActor,
    event::EventData,
    invocation::{Entity, Invocation},
    subject::{ControlRoot, RpcSubject},
};
use lattice_tests::{Actor, InProcess, Operator, Signer, TestLattice, eventually, http_link, now};

/// One restart of NATS under two hosts, with an empty store or with what it had. What is changed meanwhile, on either
/// host, must be there afterwards.
async fn restart_of_nats(lattice: &mut TestLattice, wiped: bool) -> String {
    let (kept, deleted) = (any_link(), any_link());
    let operator = lattice.operator().await;
    for link in [&kept, &deleted] {
        operator.control.put_link(link).await.expect("it is taken");
    }
    let before = lattice.agree_within(["a", "b"], LONG).await;
    lattice.nats.kill().await;
    if wiped {
        lattice.nats.wipe();
    }
    let meanwhile = any_link();
    let changed = http_link(&kept.actor_id, &kept.provider_id, &[("address", "127.0.0.1:1")]);
    let started = Instant::now();
    lattice.operator_at("a").control.put_link(&meanwhile).await.expect("a host takes links without NATS");
    unlink(&lattice.operator_at("b"), &deleted).await.expect("a host deletes links without NATS");
    lattice.operator_at("b").control.put_link(&changed).await.expect("a host changes links without NATS");
    let accepted = started.elapsed();

    let started = Instant::now();
    lattice.nats.start_again().await;
    lattice.assemble().await;
    let there = |links: &[lattice::Link]| {
        let of = |link: &lattice::Link| links.iter().find(|other| other.id() == link.id()).cloned();
        of(&deleted).is_none() && of(&changed) == Some(changed.clone()) && of(&meanwhile) == Some(meanwhile.clone())
    };
    for name in ["a", "b"] {
        eventually(&format!("what was changed meanwhile, on `{name}`"), || async {
            let links = links_at(lattice, name).await;
            if there(&links) { Ok(()) } else { Err(format!("{links:?}")) }
        })
        .await;
    }
    let after = lattice.agree_within(["a", "b"], LONG).await;
    assert_eq!((after.links, after.claims), (before.links, before.claims), "one came, one went");
    let store = if wiped { "empty" } else { "kept" };
    format!(
        "store {store}: 3 writes without NATS accepted in {accepted:.0?}, equal {:.0?} after its start",
        started.elapsed()
    )
}

async fn restarts_of_nats(times: usize) {
    let Some(mut lattice) = TestLattice::start(["a", "b"]).await else { return };
    let called = Called::start(&lattice, &["b"]).await;
    called.calls.call(b"before", LONG).await.expect("it is answered");
    let load = called.calls.load();
    for time in 0..times {
        let line = restart_of_nats(&mut lattice, time % 2 == 1).await;
        figure("NATS restarted", &format!("{} of {times}, {line}", time + 1));
        eventually("a call", || async { called.calls.call(b"after", LONG).await.map_err(|error| error.to_string()) })
            .await;
    }
    let seen = load.end().await;
    figure("NATS restarted", &format!("callers between hosts saw: {seen}"));
    assert!(seen.answered > 0 && seen.longest() < Duration::from_secs(3), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_restarted_twice_once_with_an_empty_store_loses_no_change() {
    restarts_of_nats(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn nats_restarted_ten_times_half_of_them_with_an_empty_store_loses_no_change() {
    restarts_of_nats(10).await;
}

/// One of three hosts hears nothing for a while, and nobody is told.
async fn partition(lasting: Duration) {
    let Some(lattice) = TestLattice::start(["a", "b", "c"]).await else { return };
    let called = Called::start(&lattice, &["b", "c"]).await;
    eventually("calls", || async { called.calls.call(b"first", LONG).await.map_err(|error| error.to_string()) }).await;
    let (operator, c) = (lattice.operator().await, lattice.id("c"));
    lattice.agree_within(["a", "b", "c"], LONG).await;

    let (load, began) = (called.calls.load(), Instant::now());
    lattice.silence("c");
    eventually("`c` missed", || async {
        let hosts = operator.hosts().await.map_err(|error| error.to_string())?;
        if hosts.iter().all(|host| host.id != c) { Ok(()) } else { Err("it answers".to_owned()) }
    })
    .await;
    let missed = began.elapsed();
    let (here, there, next) = (any_link(), any_link(), any_link());
    let tries = put_until_taken(&operator, &here).await;
    let started = Instant::now();
    lattice.operator_at("c").control.put_link(&there).await.expect("so does the one that is alone");
    let alone = started.elapsed();
    lattice.operator_at("c").control.put_link(&next).await.expect("and goes on to");
    let after_it = started.elapsed() - alone;
    tokio::time::sleep(lasting.saturating_sub(began.elapsed())).await; // this is the fault itself
    let seen = load.end().await;

    lattice.heal("c");
    let healed = Instant::now();
    for name in ["a", "b", "c"] {
        eventually(&format!("all links on `{name}`"), || async {
            let links = links_at(&lattice, name).await;
            if [&here, &there, &next].iter().all(|link| links.contains(link)) {
                Ok(())
            } else {
                Err(format!("{links:?}"))
            }
        })
        .await;
    }
    lattice.agree_within(["a", "b", "c"], LONG).await;
    figure(
        "partition",
        &format!(
            "{lasting:?}: missed after {missed:.1?}; callers saw: {seen}; a link put over NATS was accepted at try \
             {tries}, one put on the host that is alone after {alone:.1?}, another one {after_it:.1?} later; \
             equal {:.0?} after it healed",
            healed.elapsed()
        ),
    );
    assert!(seen.answered > 0 && seen.longest() < Duration::from_secs(3), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_hosts_that_hears_nothing_for_a_while_keeps_nobody_waiting_and_is_equal_afterwards() {
    partition(Duration::from_secs(8)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn one_of_three_hosts_that_hears_nothing_for_a_minute_keeps_nobody_waiting_and_is_equal_afterwards() {
    partition(Duration::from_secs(60)).await;
}

/// Host `b` behind a bad line. `bound` is for any single thing that is done over it.
async fn bad_line(what: &str, line: impl Fn(&TestLattice), bound: Duration) {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let called = Called::start(&lattice, &["b"]).await;
    eventually("calls", || async { called.calls.call(b"first", LONG).await.map_err(|error| error.to_string()) }).await;
    line(&lattice);

    let timed = async |what: &str, done: Result<(), String>, since: Instant| {
        done.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(since.elapsed() < bound, "{what} took {:?}", since.elapsed());
        since.elapsed()
    };
    let started = Instant::now();
    let one = called.calls.call(b"one", LONG).await.map_err(|error| error.to_string());
    let one = timed("a call", one, started).await;
    let started = Instant::now();
    let many = join_all((0..64).map(|_| called.calls.call(b"many", LONG))).await;
    let many = many.into_iter().collect::<Result<(), CallError>>().map_err(|error| error.to_string());
    let many = timed("64 calls at once", many, started).await;
    let (operator, link, started) = (lattice.operator().await, any_link(), Instant::now());
    let put = lattice.operator_at("b").control.put_link(&link).await.map_err(|error| error.to_string());
    let put = timed("a link put over the line", put, started).await;
    for name in ["a", "b"] {
        eventually(&format!("the link on `{name}`"), || async {
            if links_at(&lattice, name).await.contains(&link) { Ok(()) } else { Err("it is not there") }
        })
        .await;
    }
    let both = timed("a link on both hosts", Ok(()), started).await;
    let started = Instant::now();
    let hosts = operator.hosts().await.map_err(|error| error.to_string()).map(|hosts| assert_eq!(hosts.len(), 2));
    let hosts = timed("a list of the hosts", hosts, started).await;
    figure(
        what,
        &format!(
            "call {one:.0?}, 64 calls at once {many:.0?}, link put {put:.0?} and on both hosts {both:.0?}, \
             `get hosts` {hosts:.0?}"
        ),
    );
    lattice.heal("b");
    let agreed = lattice.agree_within(["a", "b"], LONG).await;
    figure(what, &format!("equal {:.0?} after it healed", agreed.after));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_line_that_takes_70_ms_everything_works() {
    let slow = |lattice: &TestLattice| lattice.delay("b", Duration::from_millis(70));
    bad_line("packets delayed by 70 ms", slow, Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_line_that_takes_500_ms_everything_works() {
    let slow = |lattice: &TestLattice| lattice.delay("b", Duration::from_millis(500));
    bad_line("packets delayed by 500 ms", slow, Duration::from_secs(6)).await;
}

/// Over TCP loss is delay: see `lattice_tests::Relay`.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_line_that_loses_5_percent_everything_works() {
    bad_line("5 % of packets lost", |lattice| lattice.lose("b", 5), Duration::from_secs(5)).await;
}

/// A host of another lattice on the same server, with the same cluster key: nothing but the name is between them.
struct Neighbour {
    id: LatticeId,
    operator: Operator,
    host: InProcess,
    _dir: tempfile::TempDir,
}

impl Neighbour {
    async fn of(lattice: &TestLattice) -> Self {
        let (id, dir): (LatticeId, _) =
            ("neighbour".parse().expect("a name"), tempfile::tempdir().expect("a directory"));
        let mut config = HostConfig::new(id.clone(), dir.path().to_owned());
        config.ctl = Some(NatsOptions { urls: vec![lattice.nats.url()], retry: true, ..NatsOptions::default() });
        config.cluster_key = Some(lattice.cluster().clone());
        config.allow_file_load = true;
        let host = InProcess::start(config).await;
        let root = ControlRoot::new(id.clone());
        let control = ControlClient::nats(lattice.nats.client().await, root, Duration::from_secs(2));
        Self { id, operator: Operator { control }, host, _dir: dir }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_crosses_to_another_lattice_on_the_same_nats() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let mut events = operator.events().await;
    let other = Neighbour::of(&lattice).await;
    let echo = signer.actor(Actor::Echo);
    let neighbour = other.operator.hosts().await.expect("hosts");
    let [neighbour] = neighbour.as_slice() else { panic!("one host: {neighbour:?}") };
    assert_ne!(neighbour.id, lattice.id("a"));
    assert_eq!(operator.hosts().await.expect("hosts").len(), 1);

    // Everything there: an actor, a link, configuration.
    other.operator.start_actor(&neighbour.id, &echo.reference()).await.expect("it starts");
    let (theirs, ours) = (any_link(), any_link());
    other.operator.control.put_link(&theirs).await.expect("it is taken");
    other.operator.control.put_config(&echo.id.public_key(), "color", b"red").await.expect("it is taken");
    operator.control.put_link(&ours).await.expect("it is taken");
    assert_eq!(links_at(&lattice, "a").await, std::slice::from_ref(&ours));
    assert_eq!(other.operator.control.links().await.expect("links").links, [theirs]);
    assert!(operator.control.claims().await.expect("claims").is_empty());
    assert_eq!(operator.control.config(&echo.id.public_key(), "color").await.expect("an answer"), None);
    assert!(operator.inventory(&lattice.id("a")).await.actors.is_empty());
    let command = ScaleActor { actor_ref: echo.reference(), max_instances: 0, ..ScaleActor::default() };
    let refused = operator.control.scale_actor(&neighbour.id, &command).await;
    assert!(refused.is_err(), "a host of another lattice does not obey");

    // A call that is signed by the key of both reaches who is called in its own lattice only.
    let started = Instant::now();
    let caller = lattice.signed_caller().await;
    let refused = caller.call(&echo.id, "Test.Echo", Bytes::new()).await.expect_err("it does not run here");
    assert_eq!(refused.code(), "not_running", "{refused}");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let host = lattice.id("a");
    let (origin, target) = (Entity::actor(&echo.id), Entity::actor(&echo.id));
    let call =
        Invocation::issue(origin, target, "Test.Echo", Bytes::from_static(b"x"), lattice.cluster(), &host, now());
    let there = RpcClient::nats(lattice.nats.client().await, other.id.clone(), None);
    let answer = there.invoke(&RpcSubject::Actor(echo.id), call.expect("it is signed"), LONG).await;
    assert_eq!(answer.as_deref(), Ok(&b"x"[..]), "in its own lattice it runs");

    // Our own event comes; before it none of theirs did.
    let last = async {
        while let Some(event) = events.next().await {
            assert_eq!(event.source, host.as_str(), "{event:?}");
            if matches!(&event.data, EventData::LinkdefSet(link) if link.id == ours.id()) {
                return;
            }
        }
        panic!("the events ended");
    };
    tokio::time::timeout(LONG, last).await.expect("our own event");
    figure("a second lattice", &format!("a call across is refused as not_running after {took:.0?}; nothing crossed"));
    other.host.stop().await;
}
