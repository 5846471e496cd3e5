//! Which host runs what: auctions with constraints, and a lattice nobody is in.

use std::time::{Duration, Instant};

use lattice::client::ControlError;
use lattice_tests::{Actor, NatsServer, Signer, TestLattice};

#[tokio::test(flavor = "multi_thread")]
async fn a_lattice_without_hosts_is_told_as_such() {
    let Some(nats) = NatsServer::start().await else { return };
    let lattice = TestLattice::empty(nats);
    let operator = lattice.operator().await;
    let error = operator.hosts().await.expect_err("nobody is there");
    assert!(matches!(error, ControlError::NoHost { .. }), "{error}");
    let bids = operator.bidders("file:///echo.wasm", &[]).await;
    assert!(bids.as_ref().map_or(true, Vec::is_empty), "{bids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_that_matches_bids_and_no_other() {
    let Some(lattice) = TestLattice::start_with(["a", "b", "c"], |config| {
        let west = config.labels.get("host").is_some_and(|name| name != "c");
        config.labels.insert("zone".to_owned(), if west { "west" } else { "east" }.to_owned());
    })
    .await
    else {
        return;
    };
    let operator = lattice.operator().await;
    let signer = Signer::default();
    let echo = signer.actor(Actor::Echo);
    let bidders = |constraints: &'static [(&'static str, &'static str)]| {
        let (operator, reference) = (operator.clone(), echo.reference());
        async move {
            let mut bidders = operator.bidders(&reference, constraints).await.expect("hosts");
            bidders.sort();
            bidders
        }
    };
    let sorted = |names: &[&str]| {
        let mut ids: Vec<_> = names.iter().map(|name| lattice.id(name)).collect();
        ids.sort();
        ids
    };

    assert_eq!(bidders(&[]).await, sorted(&["a", "b", "c"]));
    assert_eq!(bidders(&[("zone", "west")]).await, sorted(&["a", "b"]));
    assert_eq!(bidders(&[("zone", "west"), ("host", "b")]).await, sorted(&["b"]));
    assert_eq!(bidders(&[("zone", "north")]).await, []);
    assert_eq!(bidders(&[("no-such-label", "")]).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_runs_the_provider_already_does_not_bid_for_it() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let operator = lattice.operator().await;
    operator.start_provider(&lattice.id("a"), "builtin://httpserver").await.expect("it starts");
    let auction = lattice::control::AuctionProvider {
        provider_ref: "builtin://httpserver".to_owned(),
        link_name: lattice::LinkName::default(),
        constraints: [].into(),
    };
    let bids = operator.control.auction_provider(&auction).await.expect("hosts");
    let bidders: Vec<_> = bids.replies.iter().map(|bid| bid.host_id).collect();
    assert_eq!(bidders, [lattice.id("b")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_who_is_there_ends_when_everybody_has_answered() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let patient = lattice.operator().await.control.with_timeout(Duration::from_secs(60));
    // Hosts learn of each other by what they hear; from then on nobody waits for the time to pass.
    lattice_tests::eventually("a complete answer", || async {
        let started = Instant::now();
        let hosts = patient.with_timeout(Duration::from_secs(2)).hosts().await.map_err(|error| error.to_string())?;
        if hosts.complete && hosts.replies.len() == 2 {
            Ok(())
        } else {
            Err(format!("{hosts:?} in {:?}", started.elapsed()))
        }
    })
    .await;
    let started = Instant::now();
    let hosts = patient.hosts().await.expect("hosts");
    assert_eq!(hosts.replies.len(), 2);
    assert!(started.elapsed() < Duration::from_secs(10), "waited {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_put_later_counts_in_the_next_auction() {
    let Some(lattice) = TestLattice::start(["a"]).await else { return };
    let (operator, a) = (lattice.operator().await, lattice.id("a"));
    let constraint = [("disk", "ssd")];
    assert_eq!(operator.bidders("file:///x.wasm", &constraint).await.expect("hosts"), []);
    operator.control.put_label(&a, "disk", "ssd").await.expect("the label is put");
    assert_eq!(operator.bidders("file:///x.wasm", &constraint).await.expect("hosts"), [a]);
    operator.control.delete_label(&a, "disk").await.expect("the label is removed");
    assert_eq!(operator.bidders("file:///x.wasm", &constraint).await.expect("hosts"), []);
}
