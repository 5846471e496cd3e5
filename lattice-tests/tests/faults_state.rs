//! State that must not be lost, doubled or brought back: full disks, writers at once, restarts of everything, keys that
//! two hosts have, stores of other versions.

mod faults_support;
mod keyvalue_support;

use std::{
    ffi::OsStr,
    time::{Duration, Instant},
};

use claims::{KeyKind, KeyPair};
use faults_support::{Called, LONG, any_actor, any_link, figure, links_at, unlink};
use futures_util::future::join_all;
use host::{Host, HostError};
use keyvalue_support::Counting;
use lattice::Link;
use lattice_tests::{Actor, KEYVALUE, NatsServer, SmallDisk, TestLattice, eventually, get, link, try_get};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

/// A link whose values take some room.
fn large_link() -> Link {
    let values = [("address", "127.0.0.1:1".to_owned()), ("comment", "x".repeat(8 << 10))];
    let values = values.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
    Link { values, contract_id: "example:large".parse().expect("an id"), ..any_link() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_it_cannot_keep_and_nothing_is_half_done() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let Some(nats) = NatsServer::start().await else { return };
    let mut lattice = TestLattice::empty(nats);
    lattice.add_host_in("a", disk.path()).await;
    lattice.add_host("b").await;
    lattice.assemble().await;
    let called = Called::start(&lattice, &["b"]).await;
    let full = lattice.operator_at("a");
    let before = large_link();
    full.control.put_link(&before).await.expect("there is room");
    lattice.agree_within(["a", "b"], LONG).await;

    disk.fill();
    let (mut accepted, mut refused) = (vec![before], None);
    for _ in 0..2_000 {
        let (link, started) = (large_link(), Instant::now());
        match full.control.put_link(&link).await {
            Ok(()) => accepted.push(link),
            Err(error) => {
                refused = Some((link, error.to_string(), started.elapsed()));
                break;
            }
        }
    }
    let (refused, reason, after) = refused.expect("a full disk must be noticed");
    assert!(reason.contains("No space left on device"), "{reason}");
    figure("disk full", &format!("a link put is refused after {after:.0?}: {reason}"));
    // Nothing of it anywhere, and the host lives.
    for name in ["a", "b"] {
        assert!(!links_at(&lattice, name).await.contains(&refused), "half done on `{name}`");
    }
    called.calls.call(b"alive", LONG).await.expect("calls do not need the disk");
    let error = full.control.delete_link(&accepted[0].actor_id, &accepted[0].contract_id, &accepted[0].link_name).await;
    if error.is_ok() {
        accepted.remove(0); // a page was free for that
    }
    // What another host takes is known here, on disk or not.
    for _ in 0..2 {
        let theirs = large_link();
        lattice.operator_at("b").control.put_link(&theirs).await.expect("the other has room");
        accepted.push(theirs);
    }
    let agreed = lattice.agree_within(["a", "b"], LONG).await;
    assert_eq!(agreed.links, accepted.len(), "everything accepted, nothing else");

    disk.make_room();
    let started = Instant::now();
    let again = eventually("room again", || async {
        let link = large_link();
        full.control.put_link(&link).await.map(|()| link).map_err(|error| error.to_string())
    })
    .await;
    let works = started.elapsed();
    accepted.push(again);
    let agreed = lattice.agree_within(["a", "b"], LONG).await;
    assert_eq!(agreed.links, accepted.len());
    figure("disk full", &format!("works {works:.0?} after there is room, equal {:.0?} later", agreed.after));
    is_on_disk(&mut lattice, &accepted).await;
    lattice.stop("a").await; // before its disk goes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_disk_was_full_works_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let Some(nats) = NatsServer::start().await else { return };
    let mut lattice = TestLattice::empty(nats);
    lattice.add_host_in("a", disk.path()).await;
    let counting = Counting::start(&lattice, "a", Actor::KvCounter).await;
    let operator = lattice.operator_at("a");
    let store = operator.start_provider(&lattice.id("a"), "builtin://keyvalue-redb").await.expect("it starts");
    operator.put(&link(&counting.actor, &store, KEYVALUE, &[])).await.expect("the link is taken");
    get(counting.address, "/before").await;

    disk.fill();
    let mut refused = None;
    for number in 0..20_000 {
        let started = Instant::now();
        let answer = try_get(counting.address, &format!("/{number}-{}", "x".repeat(1_000))).await.expect("an answer");
        if !answer.status.is_success() {
            refused = Some((answer, started.elapsed()));
            break;
        }
    }
    let (refused, after) = refused.expect("a full disk must be noticed");
    assert!(refused.body.contains("No space left on device"), "{refused:?}");
    figure("store's disk full", &format!("a change is refused after {after:.0?}: {}", refused.body.trim()));

    disk.make_room();
    let started = Instant::now();
    assert_eq!(get(counting.address, "/before").await.trim(), "{\"counter\":2}", "nothing is lost");
    figure("store's disk full", &format!("works {:.0?} after there is room", started.elapsed()));
    lattice.stop("a").await; // before its disk goes
}

/// What was accepted while there was no room is on the disk of `a`: it alone starts, and nobody else can tell it.
async fn is_on_disk(lattice: &mut TestLattice, accepted: &[Link]) {
    // A comparison with the lattice, which a change of another host causes, brings what was missed.
    lattice.stop("b").await;
    lattice.nats.kill().await;
    lattice.nats.wipe();
    lattice.start_again("a").await;
    let links = links_at(lattice, "a").await;
    let lost: Vec<_> = accepted.iter().filter(|link| !links.contains(link)).map(Link::id).collect();
    assert!(lost.is_empty() && links.len() == accepted.len(), "{} links, lost: {lost:?}", links.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_links_of_one_actor_put_at_once_on_two_hosts_are_all_there_on_both() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let actor = any_actor();
    let put = |number: usize, link: Link| {
        let operator = lattice.operator_at(if number.is_multiple_of(2) { "a" } else { "b" });
        async move { operator.control.put_link(&link).await }
    };
    let named = |number: usize| Link {
        actor_id: actor,
        link_name: format!("link-{number}").parse().expect("a name"),
        ..any_link()
    };
    let links: Vec<Link> = (0..50).map(named).collect();
    let started = Instant::now();
    let outcomes = join_all(links.iter().enumerate().map(|(number, link)| put(number, link.clone()))).await;
    let confirmed = started.elapsed();
    let confirmed_links: Vec<&Link> =
        links.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(link, _)| link).collect();
    assert_eq!(confirmed_links.len(), 50, "{outcomes:?}");
    let agreed = lattice.agree_within(["a", "b"], LONG).await;
    for name in ["a", "b"] {
        let there = links_at(&lattice, name).await;
        assert!(confirmed_links.iter().all(|link| there.contains(link)), "on `{name}`");
    }
    figure("50 link puts at once", &format!("all confirmed within {confirmed:.0?}, equal {:.0?} later", agreed.after));

    // One link, fifty values: whichever wins, it is the same on both.
    let one = |number: usize| {
        let mut link = links[0].clone();
        link.values = [("address".to_owned(), format!("127.0.0.1:{}", 10_000 + number))].into_iter().collect();
        link
    };
    let outcomes = join_all((0..50).map(|number| put(number, one(number)))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let agreed = lattice.agree_within(["a", "b"], LONG).await;
    assert_eq!(agreed.links, 50);
    let winner = links_at(&lattice, "a").await.into_iter().find(|link| link.id() == links[0].id());
    assert!((0..50).any(|number| winner.as_ref() == Some(&one(number))), "{winner:?}");
    figure("50 puts of one link at once", &format!("the same value on both hosts {:.0?} later", agreed.after));
}

/// Everything is stopped and started again; `wiped`: and JetStream has forgotten everything.
async fn restart_of_everything(lattice: &mut TestLattice, wiped: bool) -> Duration {
    lattice.stop("a").await;
    lattice.stop("b").await;
    lattice.nats.stop().await;
    if wiped {
        lattice.nats.wipe();
    }
    let started = Instant::now();
    lattice.nats.start_again().await;
    lattice.start_again("a").await;
    lattice.start_again("b").await;
    lattice.assemble().await;
    lattice.agree_within(["a", "b"], LONG).await;
    started.elapsed()
}

/// Two links that both hosts have.
async fn two_links_on_both(lattice: &TestLattice) -> (Link, Link) {
    let (one, other) = (any_link(), any_link());
    let operator = lattice.operator().await;
    for link in [&one, &other] {
        operator.control.put_link(link).await.expect("it is taken");
    }
    lattice.agree_within(["a", "b"], LONG).await;
    (one, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_deleted_is_not_there_again_after_a_restart_of_everything_and_one_that_was_put_is() {
    let Some(mut lattice) = TestLattice::start(["a", "b"]).await else { return };
    let operator = lattice.operator().await;
    let (kept, deleted) = two_links_on_both(&lattice).await;
    unlink(&operator, &deleted).await.expect("it is deleted");
    for wiped in [false, true, true] {
        let equal = restart_of_everything(&mut lattice, wiped).await;
        for name in ["a", "b"] {
            assert_eq!(links_at(&lattice, name).await, std::slice::from_ref(&kept), "on `{name}`, wiped: {wiped}");
        }
        figure(
            "put, del, restart of everything",
            &format!("NATS wiped: {wiped}; equal {equal:.0?} after the first start"),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_with_the_key_of_one_that_runs_is_refused_and_the_first_does_not_notice() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let called = Called::start(&lattice, &["b"]).await;
    let load = called.calls.load();
    // A copied state directory.
    let copy = tempfile::tempdir().expect("a directory");
    std::fs::copy(lattice.host("b").state_dir.join("host.nk"), copy.path().join("host.nk")).expect("its key");
    let started = Instant::now();
    let refused = Box::pin(Host::start(lattice.config_in("b again", copy.path()), &[])).await;
    let after = started.elapsed();
    let error = match refused {
        Err(error @ HostError::KeyInUse(_)) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it must not start"),
    };
    assert!(error.contains(lattice.id("b").as_str()) && error.contains("--state-dir"), "{error}");
    eventually("calls go on", || async { if load.so_far().answered > 20 { Ok(()) } else { Err("few calls") } }).await;
    let seen = load.end().await;
    assert_eq!(seen.failures(), 0, "{seen}");
    assert_eq!(lattice.operator().await.hosts().await.expect("hosts").len(), 2);
    let agreed = lattice.agree_within(["a", "b"], LONG).await;
    figure(
        "two hosts with one key",
        &format!(
            "the second is refused after {after:.0?}: {error}; callers of the first: {seen}; equal {:.0?} later",
            agreed.after
        ),
    );

    // Stopped in order or killed, the first leaves its key to who comes next.
    let mut lattice = lattice;
    lattice.start_again("b").await;
    lattice.agree_within(["a", "b"], LONG).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_with_one_key_that_find_each_other_later_both_say_so() {
    let Some(nats) = NatsServer::start().await else { return };
    let mut lattice = TestLattice::empty(nats);
    let seed = KeyPair::generate(KeyKind::Server).seed();
    lattice.set_environment(&[("WASMCLOUD_HOST_SEED", OsStr::new(seed.expose()))]);
    lattice.add_process("a").await;
    lattice.nats.stop().await;
    lattice.add_process("b").await; // there is nobody whom it could ask
    lattice.nats.start_again().await;
    let started = Instant::now();
    for name in ["a", "b"] {
        let host = lattice.process(name);
        eventually(&format!("a word in the log of `{name}`"), || async {
            let log = host.log();
            if log.contains("another host in this lattice has the key of this one") { Ok(()) } else { Err(log) }
        })
        .await;
    }
    figure("two hosts with one key", &format!("met after an outage: both say so within {:.0?}", started.elapsed()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_deleted_while_a_host_is_away_does_not_come_back_with_it_even_into_an_empty_store() {
    let Some(mut lattice) = TestLattice::start(["a", "b"]).await else { return };
    let operator = lattice.operator().await;
    let (kept, deleted) = two_links_on_both(&lattice).await;
    lattice.stop("b").await;
    unlink(&operator, &deleted).await.expect("it is deleted");
    lattice.stop("a").await;
    lattice.nats.kill().await;
    lattice.nats.wipe();
    lattice.nats.start_again().await;
    // The one that knows nothing of it comes first, and fills the store with what it has.
    let started = Instant::now();
    lattice.start_again("b").await;
    lattice.start_again("a").await;
    lattice.assemble().await;
    lattice.agree_within(["a", "b"], LONG).await;
    for name in ["a", "b"] {
        assert_eq!(links_at(&lattice, name).await, std::slice::from_ref(&kept), "on `{name}`");
    }
    figure(
        "deleted while a host was away, NATS wiped",
        &format!("not there again; equal {:.0?} after the first start", started.elapsed()),
    );
}

const FACTS: TableDefinition<&str, &str> = TableDefinition::new("facts");
const LATTICE: TableDefinition<&str, &[u8]> = TableDefinition::new("lattice");

/// Changes facts in the store of a host that does not run.
fn change_store(state: &std::path::Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::create(state).expect("a store");
    let transaction = database.begin_write().expect("a transaction");
    change(&transaction);
    transaction.commit().expect("it is written");
}

fn records(state: &std::path::Path) -> usize {
    let database = Database::create(state).expect("a store");
    let transaction = database.begin_read().expect("a transaction");
    transaction.open_table(LATTICE).expect("a table").iter().expect("records").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_an_older_host_is_read_and_that_of_a_newer_one_is_refused_and_kept() {
    let Some(mut lattice) = TestLattice::start(["a"]).await else { return };
    let called = Called::start(&lattice, &["a"]).await;
    let link = any_link();
    lattice.operator_at("a").control.put_link(&link).await.expect("it is taken");
    let state_dir = lattice.host("a").state_dir.clone();
    let state = state_dir.join("state.redb");
    lattice.stop("a").await;
    lattice.nats.kill().await;
    lattice.nats.wipe(); // nobody else can tell
    // As it was before there were formats, and with what this version does not know.
    change_store(&state, |transaction| {
        let mut facts = transaction.open_table(FACTS).expect("a table");
        facts.remove("format").expect("it is there");
        facts.insert("of another time", "whatever").expect("it is written");
        let other = TableDefinition::<u64, &str>::new("of another time");
        transaction.open_table(other).expect("a table").insert(1, "whatever").expect("it is written");
    });
    lattice.nats.start_again().await;
    let started = Instant::now();
    lattice.start_again("a").await;
    assert_eq!(links_at(&lattice, "a").await, [link]);
    eventually("what it ran", || async { called.calls.call(b"again", LONG).await.map_err(|error| error.to_string()) })
        .await;
    figure(
        "state of an older host",
        &format!("link and actors are there, calls answered {:.0?} after the start", started.elapsed()),
    );

    lattice.stop("a").await;
    let before = records(&state);
    change_store(&state, |transaction| {
        transaction.open_table(FACTS).expect("a table").insert("format", "2").expect("it is written");
    });
    let refused = Box::pin(Host::start(lattice.config_in("a", &state_dir), &[])).await;
    let Err(error) = refused else { panic!("it must not start") };
    let error = format!("{:#}", anyhow::Error::from(error));
    assert!(error.contains("format 2") && error.contains("state.redb"), "{error}");
    assert_eq!(records(&state), before, "nothing is destroyed");
    figure("state of a newer host", &format!("refused: {error}"));
}
