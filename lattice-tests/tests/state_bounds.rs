//! State without end: labels, configuration and links that strangers put, and what others see meanwhile.

mod faults_support;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use claims::{ProviderId, PublicKey};
use faults_support::{LONG, any_actor, any_link, figure, links_at};
use futures_util::{StreamExt, stream};
use lattice::{LatticeId, Link, subject::RpcSubject};
use lattice_tests::{Actor, HTTPSERVER, Signer, TestLattice, eventually, link};
use redb::{Database, TableDefinition};

/// Requests of a flood that wait for their answers at once.
const AT_ONCE: usize = 256;

/// Memory of a process in MiB.
fn memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number");
    kib >> 10
}

/// Ports on which a process listens.
fn listening(pid: i32) -> usize {
    let sockets = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").flatten();
    let sockets = sockets.filter_map(|entry| fs::read_link(entry.path()).ok());
    let own: BTreeSet<String> = sockets
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("a table");
    let columns = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    columns.filter(|row| row.get(3) == Some(&"0A") && row.get(9).is_some_and(|inode| own.contains(*inode))).count()
}

fn set_fact(state_dir: &Path, name: &str, value: &str) {
    let facts: TableDefinition<'_, &str, &str> = TableDefinition::new("facts");
    let database = Database::create(state_dir.join("state.redb")).expect("a store");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(facts).expect("a table").insert(name, value).expect("it is written");
    transaction.commit().expect("it is written");
}

fn longest(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    let at = |share: f64| times.get(((times.len() as f64) * share) as usize).copied().unwrap_or_default();
    (at(0.99), times.last().copied().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_labels_without_end_is_seen_by_everybody_also_after_a_restart() {
    let Some(mut lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, a) = (lattice.operator().await, lattice.id("a"));
    for key in ["one", "two"] {
        let error = operator.control.put_label(&a, key, &"x".repeat(700_000)).await.expect_err("it is too large");
        assert!(error.to_string().contains("limit_exceeded"), "{error}");
    }
    let started = Instant::now();
    let accepted = stream::iter(0..20_000)
        .map(|number| {
            let control = &operator.control;
            async move { control.put_label(&a, &format!("l{number}"), "v").await.is_ok() }
        })
        .buffer_unordered(AT_ONCE)
        .filter(|accepted| std::future::ready(*accepted))
        .count()
        .await;
    let took = started.elapsed();
    let asked = Instant::now();
    let hosts = operator.hosts().await.expect("it answers");
    figure("20,000 labels", &format!("{accepted} taken in {took:.1?}; the host answers after {:.0?}", asked.elapsed()));
    assert_eq!((hosts.len(), hosts[0].labels.len()), (1, lattice::bounds::MAX_LABELS));
    assert_eq!(operator.inventory(&a).await.labels, hosts[0].labels);

    // What an older version kept.
    let old = format!(r#"{{"old":"{}","older":"{}","small":"here"}}"#, "x".repeat(700_000), "y".repeat(700_000));
    let state_dir = lattice.host("a").state_dir.clone();
    lattice.stop("a").await;
    set_fact(&state_dir, "labels", &old);
    lattice.start_again("a").await;
    let hosts = lattice.operator().await.hosts().await.expect("it answers");
    assert_eq!(hosts[0].labels.get("small").map(String::as_str), Some("here"));
    assert!(!hosts[0].labels.contains_key("old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_of_an_actor_that_nobody_knows_fills_no_host() {
    let Some(mut lattice) = TestLattice::start_processes(["a"]).await else { return };
    let (operator, stranger) = (lattice.operator().await, PublicKey::from(any_actor()));
    let pid = lattice.process("a").pid();
    let before = memory(pid);
    let large = vec![7; 900_000];
    for number in 0..300 {
        let error = operator.control.put_config(&stranger, &format!("k{number}"), &large).await.expect_err("too large");
        assert!(error.to_string().contains("limit_exceeded"), "{error}");
    }
    // As large as may be, for as many strangers as there are.
    let fits = vec![7; 60_000];
    let mut taken = 0;
    for _ in 0..100 {
        let stranger = PublicKey::from(any_actor());
        for number in 0..4 {
            taken += usize::from(operator.control.put_config(&stranger, &format!("k{number}"), &fits).await.is_ok());
        }
    }
    let after = memory(pid);
    figure(
        "config.put without end",
        &format!("of 300 × 900 KB none and of 400 × 60 KB {taken} taken; memory {before} MiB, then {after} MiB"),
    );
    assert!(taken * fits.len() <= 4 << 20, "{taken}");
    assert!(after < before + 64, "{before} MiB, then {after} MiB");
    // Somebody that exists has room, and the answer fits a message.
    let signer = Signer::default();
    let echo = signer.actor(Actor::Echo);
    operator.start_actor(&lattice.id("a"), &echo.reference()).await.expect("it starts");
    let known = PublicKey::from(echo.id);
    for number in 0..3 {
        operator.control.put_config(&known, &format!("k{number}"), &fits).await.expect("there is room");
    }
    let error = operator.control.put_config(&known, "more", &fits).await.expect_err("beyond its share");
    assert!(error.to_string().contains("limit_exceeded"), "{error}");
    assert_eq!(operator.control.all_config(&known).await.expect("it fits").0.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_actors_that_nobody_knows_open_no_port_and_delay_no_operator() {
    let Some(mut lattice) = TestLattice::start_processes(["a"]).await else { return };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let a = lattice.id("a");
    let provider = operator.start_provider(&a, "builtin://httpserver").await.expect("it starts");
    let echo = operator.start_actor(&a, &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    let pid = lattice.process("a").pid();
    let (before, ports) = (memory(pid), listening(pid));

    let flood_operator = lattice.operator().await;
    let flood = tokio::spawn(async move {
        let control = &flood_operator.control;
        let put = |number: usize| async move {
            let port = (10_000 + number % 50_000).to_string();
            let link = link(&any_actor(), &provider, HTTPSERVER, &[("port", &port)]);
            control.put_link(&link).await.map_err(|error| error.to_string())
        };
        stream::iter(0..20_000).map(put).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await
    });
    let started = Instant::now();
    let mut times = Vec::new();
    while !flood.is_finished() {
        let name = format!("n{}", times.len() % 100);
        let own = Link { link_name: name.parse().expect("a name"), ..link(&echo, &provider, HTTPSERVER, &[]) };
        let asked = Instant::now();
        operator.control.put_link(&own).await.expect("the actor exists");
        times.push(asked.elapsed());
    }
    let took = started.elapsed();
    let outcomes = flood.await.expect("it ends");
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).find(|e| !e.contains("limit_exceeded"));
    let (puts, (p99, longest)) = (times.len(), longest(times));
    let (after, opened) = (memory(pid), listening(pid) - ports);
    figure(
        "20,000 links of strangers",
        &format!(
            "{accepted} taken in {took:.1?}, {opened} ports opened; {puts} puts of an operator meanwhile, p99 {p99:.0?}, \
             longest {longest:.0?}; memory {before} MiB, then {after} MiB"
        ),
    );
    assert_eq!(refused, None);
    assert!(accepted <= 2_500, "{accepted}");
    assert_eq!(opened, 0);
    assert!(longest < LONG, "{longest:?}");
    // Every link is told, in as many messages as it takes.
    assert_eq!(links_at(&lattice, "a").await.len(), accepted + puts.min(100));
    assert_eq!(operator.control.links().await.expect("pages").links.len(), accepted + puts.min(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identical_put_is_announced_and_sent_like_the_first() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let operator = lattice.operator_at("a");
    let client = lattice.nats.client().await;
    let elsewhere = ProviderId::well_known("of another maker");
    let link = link(&any_actor(), &elsewhere, "wasmcloud:keyvalue", &[("url", "x")]);
    let subject = RpcSubject::LinkPut { id: elsewhere, link_name: link.link_name.clone() };
    let mut sent = lattice_tests::subscribe(&client, subject.render(&LatticeId::default())).await;
    let mut events = operator.events().await;
    for time in ["first", "second"] {
        operator.control.put_link(&link).await.expect("it is taken");
        let message = tokio::time::timeout(LONG, sent.next()).await.expect(time).expect("a message");
        assert_eq!(Link::from_msgpack(&message.payload).expect("a link"), link, "{time}");
        loop {
            let event = tokio::time::timeout(LONG, events.next()).await.expect(time).expect("an event");
            if event.name() == "linkdef_set" {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_the_claims_do_not_grant_is_stored_and_said_to_have_no_effect() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, signer) = (lattice.operator_at("a"), Signer::default());
    let echo = operator.start_actor(&lattice.id("a"), &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    let link = link(&echo, &ProviderId::well_known("x"), "wasmcloud:keyvalue", &[]);
    let reason = operator.put(&link).await.expect_err("the claims do not grant it");
    assert!(reason.contains("not_granted"), "{reason}");
    assert!(links_at(&lattice, "a").await.contains(&link));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_during_an_outage_is_sent_at_once_and_commands_are_served_meanwhile() {
    const LINKS: usize = 300;
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let here = lattice.operator_at("a");
    lattice.cut("a");
    // Until it is noticed, each write waits for the broker.
    eventually("a write that does not wait", || async {
        let (link, started) = (any_link(), Instant::now());
        here.control.put_link(&link).await.expect("it is taken");
        if started.elapsed() < Duration::from_millis(200) { Ok(()) } else { Err("it waited") }
    })
    .await;
    let puts = stream::iter(0..LINKS).map(|_| async { here.control.put_link(&any_link()).await });
    let outcomes: Vec<_> = puts.buffer_unordered(8).collect().await;
    assert!(outcomes.iter().all(Result::is_ok));
    let wanted = links_at(&lattice, "a").await.len();
    lattice.delay("a", Duration::from_millis(35));
    lattice.heal("a");
    let (started, mut times) = (Instant::now(), Vec::new());
    loop {
        let asked = Instant::now();
        here.control.put_link(&any_link()).await.expect("it is taken");
        times.push(asked.elapsed());
        if links_at(&lattice, "b").await.len() >= wanted {
            break;
        }
        assert!(started.elapsed() < LONG, "{} of {wanted}", links_at(&lattice, "b").await.len());
    }
    let took = started.elapsed();
    let (_, longest) = longest(times);
    figure(
        "300 links written during an outage, then 70 ms there and back",
        &format!("all on the other host {took:.1?} after it healed; longest put meanwhile {longest:.0?}"),
    );
    // One after the other they would have taken 21 s.
    assert!(took < Duration::from_secs(15), "{took:?}");
}
