//! A host whose clock jumps: an hour ahead, then an hour behind everybody else.
#![cfg(target_os = "linux")] // the clock is bent by a preloaded library

mod faults_support;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use faults_support::{Called, LONG, any_link, figure, links_at};
use lattice_tests::{Actor, NatsServer, Signer, TestLattice, eventually, fake_time_library, now};

/// Tells the library what to add to the true time, from the next time it is asked.
fn jump(file: &Path, offset: &str) {
    let fresh: PathBuf = file.with_extension("fresh");
    fs::write(&fresh, offset).expect("a file");
    fs::rename(fresh, file).expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_by_an_hour_fails_no_call_and_loses_no_change() {
    let Some(library) = fake_time_library() else { return };
    let Some(nats) = NatsServer::start().await else { return };
    let (mut lattice, dir) = (TestLattice::empty(nats), tempfile::tempdir().expect("a directory"));
    let offset = dir.path().join("offset");
    jump(&offset, "+0");
    lattice.add_process("a").await;
    lattice.set_environment(&[
        ("LD_PRELOAD", library.as_os_str()),
        ("FAKETIME_TIMESTAMP_FILE", offset.as_os_str()),
        ("FAKETIME_NO_CACHE", OsStr::new("1")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", OsStr::new("1")),
    ]);
    lattice.add_process("b").await;
    lattice.assemble().await;
    let (there, back) = (Called::start(&lattice, &["b"]).await, Called::between(&lattice, "b", &["a"]).await);
    for called in [&there, &back] {
        eventually("calls", || async { called.calls.call(b"x", LONG).await.map_err(|error| error.to_string()) }).await;
    }
    let loads = [there.calls.load(), back.calls.load()];
    for hours in ["+1h", "-1h"] {
        jump(&offset, hours);
        jumped(&mut lattice, &there, hours).await;
    }
    for (load, direction) in loads.into_iter().zip(["to", "from"]) {
        let seen = load.end().await;
        figure("clock jumped by an hour", &format!("calls {direction} that host: {seen}"));
        assert!(seen.failures() == 0 && seen.answered > 0, "{seen}");
    }
}

/// After a jump: the host really has that time; links put and changed on either side are on both; an actor starts.
async fn jumped(lattice: &mut TestLattice, called: &Called, hours: &str) {
    let (one, two, started) = (any_link(), any_link(), Instant::now());
    lattice.operator_at("a").control.put_link(&one).await.expect("it is taken");
    lattice.operator_at("b").control.put_link(&two).await.expect("it is taken");
    eventually("both links on both hosts", || async {
        for name in ["a", "b"] {
            let links = links_at(lattice, name).await;
            if ![&one, &two].iter().all(|link| links.contains(link)) {
                return Err(format!("on `{name}`: {links:?}"));
            }
        }
        Ok(())
    })
    .await;
    let (mut changed, b) = (one.clone(), lattice.id("b"));
    changed.values = [("address".to_owned(), "127.0.0.1:1".to_owned())].into_iter().collect();
    lattice.operator_at("b").control.put_link(&changed).await.expect("it is taken");
    let changed_back = lattice.operator_at("a").control.put_link(&one).await;
    changed_back.expect("it is taken");
    let agreed = lattice.agree_within(["a", "b"], LONG).await;
    assert!(links_at(lattice, "b").await.contains(&one), "the last writer wins, whatever the clocks say");
    // The host has the other time: what is signed for the next half hour is over, or has not begun.
    let signer = Signer::default();
    let brief = signer.actor_with(Actor::Hello, |claims| {
        (claims.not_before, claims.expires_at) = (Some(now()), Some(now() + 1800));
    });
    let start = lattice.operator().await.start_actor(&b, &brief.reference()).await;
    let start = start.expect_err("it lives in another time");
    assert!(start.contains(if hours == "+1h" { "expired" } else { "become valid in" }), "{start}");
    called.calls.call(b"after", Duration::from_secs(2)).await.expect("it is answered");
    let log = lattice.process("b").log();
    figure(
        "clock jumped by an hour",
        &format!(
            "{hours}: links equal {:.0?} after it, agreed {:.0?}; an actor signed for now and half an hour: {start}",
            started.elapsed(),
            agreed.after
        ),
    );
    assert!(!log.contains("panicked"), "{log}");
}
