//! Whose native code runs: a provider archive of a stranger does not, where nobody has said so.

use host::{HostConfig, NativeIssuers};
use lattice::control::AskWhy;
use lattice_tests::{Actor, KEYVALUE, Signer, TestLattice, binary};

fn named_only(config: &mut HostConfig) {
    config.native_issuers = NativeIssuers::Named;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_a_sandbox_and_no_process() {
    let Some(lattice) = TestLattice::start_with(["a"], named_only).await else { return };
    let (operator, stranger) = (lattice.operator().await, Signer::default());
    let a = lattice.id("a");
    let provider = stranger.provider(b"#!/bin/sh\ntouch /tmp/never\n", KEYVALUE);
    let reason = operator.start_provider(&a, &provider.reference()).await.expect_err("it must not run");
    let next = format!("--allowed-issuer {}", stranger.account());
    assert!(reason.contains("native code") && reason.contains(&next), "{reason}");
    let unpacked = lattice.host("a").state_dir.join("cache/providers");
    let entries = std::fs::read_dir(unpacked).map_or(0, Iterator::count);
    assert_eq!(entries, 0, "not even on disk");
    let asked = AskWhy { reference: Some(provider.reference()), ..AskWhy::default() };
    let known = operator.control.why(&a, &asked).await.expect("it says why").failures;
    assert!(known.iter().any(|failure| failure.code == "untrusted_issuer"), "{known:?}");
    // Nothing of it is in lattice state either: nobody owns the id yet.
    let rows = operator.control.claims().await.expect("claims");
    assert!(rows.iter().all(|row| row.get("sub").is_none_or(|sub| *sub != provider.id.to_string())), "{rows:?}");

    operator.start_actor(&a, &stranger.actor(Actor::Echo).reference()).await.expect("an actor is in a sandbox");
    operator.start_provider(&a, "builtin://httpserver").await.expect("what is compiled in needs no trust");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_named_runs_and_the_list_is_the_whole_list() {
    let signer = Signer::default();
    let account = signer.account();
    let named = move |config: &mut HostConfig| {
        config.native_issuers = NativeIssuers::Named;
        config.allowed_issuers = Some(vec![account]);
    };
    let Some(lattice) = TestLattice::start_with(["a"], named).await else { return };
    let (operator, a) = (lattice.operator().await, lattice.id("a"));
    let store = std::fs::read(binary("wash-keyvalue-redb")).expect("the program");
    operator.start_provider(&a, &signer.provider(&store, KEYVALUE).reference()).await.expect("it is named");
    let reason = operator.start_provider(&a, &Signer::default().provider(&store, KEYVALUE).reference()).await;
    assert!(reason.expect_err("not named").contains("--allowed-issuer"));
}
