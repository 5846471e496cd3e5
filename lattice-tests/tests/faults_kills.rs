//! Host processes killed and stopped in the midst of calls of others.

mod faults_support;

use std::time::{Duration, Instant};

use faults_support::{Called, LONG, any_link, figure, links_at, put_until_taken};
use lattice_tests::{TestLattice, eventually, eventually_within};

/// Three processes: callers at `a`, the called on `b` and `c`. Calls have gone to both.
async fn world() -> Option<(TestLattice, Called)> {
    let lattice = TestLattice::start_processes(["a", "b", "c"]).await?;
    let called = Called::start(&lattice, &["b", "c"]).await;
    for _ in 0..50 {
        eventually("calls", || async { called.calls.call(b"x", LONG).await.map_err(|error| error.to_string()) }).await;
    }
    lattice.agree_within(["a", "b", "c"], LONG).await;
    Some((lattice, called))
}

/// Waits until a host does, or does not, answer a list of hosts; how long that took.
async fn answers(lattice: &TestLattice, name: &str, expected: bool) -> Duration {
    let (operator, id, started) = (lattice.operator().await, lattice.id(name), Instant::now());
    eventually_within(Duration::from_secs(10), &format!("`{name}` there: {expected}"), || async {
        let hosts = operator.hosts().await.map_err(|error| error.to_string())?;
        if hosts.iter().any(|host| host.id == id) == expected { Ok(()) } else { Err("not so".to_owned()) }
    })
    .await;
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_in_the_midst_of_calls_costs_those_under_way_and_is_whole_when_it_returns() {
    let Some((mut lattice, called)) = world().await else { return };
    let load = called.calls.load();
    eventually("load", || async { if load.so_far().answered > 100 { Ok(()) } else { Err("few calls") } }).await;
    lattice.process("c").kill().await;
    let killed = Instant::now();
    let missed = answers(&lattice, "c", false).await;
    let link = any_link();
    put_until_taken(&lattice.operator().await, &link).await;
    eventually("calls after it", || async {
        called.calls.call(b"after", Duration::from_secs(1)).await.map_err(|error| error.to_string())
    })
    .await;
    let at_the_kill = load.so_far();
    eventually("many calls after it", || async {
        if load.so_far().answered > at_the_kill.answered + 200 { Ok(()) } else { Err("few calls") }
    })
    .await;
    let alone = load.so_far();
    let started = Instant::now();
    lattice.add_process("c").await;
    answers(&lattice, "c", true).await;
    lattice.agree_within(["a", "b", "c"], LONG).await;
    let equal = started.elapsed();
    assert!(links_at(&lattice, "c").await.contains(&link));
    let seen = load.end().await;
    figure(
        "a host SIGKILLed under load",
        &format!("callers saw: {seen}; missed after {missed:.1?}; equal {equal:.0?} after its start"),
    );
    assert!(alone.failures() <= 12, "only what was under way, or about to be: {alone}");
    assert!(seen.longest() < Duration::from_secs(3), "{seen}");
    assert!(killed.elapsed() > Duration::ZERO);
}

/// A host stands still for a while: its connections stay, and it says nothing.
async fn stands_still(lasting: Duration) {
    let Some((mut lattice, called)) = world().await else { return };
    let load = called.calls.load();
    eventually("load", || async { if load.so_far().answered > 100 { Ok(()) } else { Err("few calls") } }).await;
    let before = load.so_far();
    lattice.process("c").pause();
    let stopped = Instant::now();
    let missed = answers(&lattice, "c", false).await;
    let link = any_link();
    put_until_taken(&lattice.operator().await, &link).await;
    tokio::time::sleep(lasting.saturating_sub(stopped.elapsed())).await; // this is the fault itself
    let meanwhile = load.so_far();
    lattice.process("c").go_on();
    let back = answers(&lattice, "c", true).await;
    let started = Instant::now();
    eventually("the link on the host that stood still", || async {
        if links_at(&lattice, "c").await.contains(&link) { Ok(()) } else { Err("it is not there") }
    })
    .await;
    lattice.agree_within(["a", "b", "c"], LONG).await;
    let equal = back + started.elapsed();
    let seen = load.end().await;
    figure(
        "a host SIGSTOPped under load",
        &format!(
            "{lasting:?}: {} of {} calls meanwhile failed; callers saw: {seen}; missed after {missed:.1?}, answers \
             {back:.0?} after it went on, equal after {equal:.0?}",
            meanwhile.failures() - before.failures(),
            meanwhile.answered + meanwhile.failures() - before.answered - before.failures(),
        ),
    );
    assert!(seen.longest() < Duration::from_secs(3), "nobody hangs: {seen}");
    assert!(meanwhile.answered > before.answered, "the other host serves on: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stands_still_keeps_no_caller_waiting_and_is_whole_when_it_goes_on() {
    stands_still(Duration::from_secs(6)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long"]
async fn a_host_that_stands_still_for_half_a_minute_keeps_no_caller_waiting_and_is_whole_when_it_goes_on() {
    stands_still(Duration::from_secs(30)).await;
}
