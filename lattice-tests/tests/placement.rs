//! Which host runs what: auctions with constraints, and a lattice nobody is in.

use std::time::{Duration, Instant};

use lattice::{
    LinkName,
    client::ControlError,
    control::{AskOffer, AskWhy},
};
use lattice_tests::{Actor, NatsServer, Signer, TestLattice, binary};

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

/// Hosts of ours that decline say why, each by itself; the protocol's auction stays silent.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_decline_say_why_when_they_are_asked() {
    let Some(lattice) = TestLattice::start_with(["a", "b"], |config| config.allow_file_load = false).await else {
        return;
    };
    let operator = lattice.operator().await;
    operator.start_provider(&lattice.id("a"), "builtin://httpserver").await.expect("it starts");
    let ask = |host, reference: &str, provider: bool, constraints: &[(&str, &str)]| {
        let offer = AskOffer {
            reference: reference.to_owned(),
            provider: provider.then(LinkName::default),
            constraints: constraints.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        let question = AskWhy { offer: Some(offer), ..AskWhy::default() };
        let control = operator.control.clone();
        async move { control.why(&host, &question).await.expect("it answers").offer.expect("it says") }
    };
    let (a, b) = (lattice.id("a"), lattice.id("b"));
    for (host, reference, provider, constraints, code) in [
        (a, "builtin://httpserver", true, &[][..], Some("already_running")),
        (b, "builtin://httpserver", true, &[], None),
        (a, "builtin://httpsrver", true, &[], Some("unknown_builtin")),
        (a, "builtin://httpserver", false, &[], Some("not_an_actor")),
        (a, "file:///x.wasm", false, &[], Some("files_not_allowed")),
        (a, "registry.example/echo", false, &[], Some("latest")),
        (a, "registry.example/echo:1.0.0", false, &[], None),
        (a, "registry.example/echo:1.0.0", false, &[("zone", "moon")], Some("label_missing")),
        (a, "echo", false, &[], Some("")),
    ] {
        let offer = ask(host, reference, provider, constraints).await;
        assert_eq!(offer.accepts, code.is_none(), "{reference}: {offer:?}");
        if let Some(code) = code {
            let said = offer.code.clone().unwrap_or_default();
            assert!(said == code || (code.is_empty() && !said.is_empty()), "{reference}: {offer:?}");
            assert!(offer.reason.as_ref().is_some_and(|reason| reason.len() > 10), "{reference}: {offer:?}");
        }
    }
}

/// Runs `wash` in a lattice, away from the async runtime: its exit code and everything it says.
async fn wash(lattice: &TestLattice, args: &[&str]) -> (Option<i32>, String) {
    let nats = lattice.nats.address();
    let (ip, port) = (nats.ip().to_string(), nats.port().to_string());
    let way = ["--ctl-host", &ip, "--ctl-port", &port].map(str::to_owned);
    let args: Vec<String> = args.iter().map(|&argument| argument.to_owned()).chain(way).collect();
    let running = tokio::task::spawn_blocking(move || {
        let home = tempfile::tempdir().expect("a directory");
        let mut wash = std::process::Command::new(binary("wash"));
        wash.env_clear().env("HOME", home.path()).env("WASH_HOME", home.path()).args(&args);
        let output = wash.stdin(std::process::Stdio::null()).output().expect("wash runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    });
    running.await.expect("it ends")
}

/// What does nothing says so, and what cannot be placed says why of each host.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_as_typed_says_what_became_of_it() {
    let Some(lattice) = TestLattice::start(["a", "b"]).await else { return };
    let server = ["start", "provider", "builtin://httpserver"];
    let (code, first) = wash(&lattice, &server).await;
    assert!(code == Some(0) && first.starts_with("Started"), "{first}");
    let (code, again) = wash(&lattice, &server).await;
    assert!(code == Some(0) && again.contains("runs already on host"), "{again}");
    let providers = async {
        let operator = lattice.operator().await;
        operator.inventory(&lattice.id("a")).await.providers.len()
            + operator.inventory(&lattice.id("b")).await.providers.len()
    };
    assert_eq!(providers.await, 1, "it was not started a second time");
    let patient = ["start", "provider", "builtin://httpsrver", "--auction-timeout-ms", "600000"];
    let (code, refused) = wash(&lattice, &patient).await;
    assert!(code == Some(1) && refused.contains("no provider `httpsrver` is built into this host"), "{refused}");

    let signer = Signer::default();
    let one = signer.actor(Actor::Echo);
    let two = signer.actor_with(Actor::Greet, |claims| claims.subject = one.id.to_string());
    let a = lattice.id("a").to_string();
    let start = |path: &std::path::Path| {
        let path = path.to_str().expect("a path").to_owned();
        let (lattice, a) = (&lattice, a.clone());
        async move { wash(lattice, &["start", "actor", &path, "--host-id", &a]).await }
    };
    let (code, text) = start(&one.path).await;
    assert!(code == Some(0) && text.starts_with("Started"), "{text}");
    let (code, text) = start(&one.path).await;
    assert!(code == Some(0) && text.contains("runs already on host"), "{text}");
    let (code, text) = start(&two.path).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("different image reference") && text.contains("wash update actor"), "{text}");
}
