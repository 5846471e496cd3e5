//! What can be seen of a host: the admin pages, and that they hold against whoever asks.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use claims::{ActorId, KeyKind, KeyPair};
use host::AdminAddress;
use lattice::{
    LatticeId,
    client::{NatsOptions, RpcClient},
    invocation::{Entity, Invocation},
    subject::RpcSubject,
};
use lattice_tests::{
    Actor, HTTPSERVER, NatsServer, Signed, Signer, SingleHost, TestLattice, eventually, free_address, get, now, post,
    try_get,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PROVIDER: &str = "builtin://httpserver";

/// A single host with admin pages.
async fn observed() -> (SingleHost, SocketAddr) {
    let admin = free_address();
    (SingleHost::start_with(|config| config.admin_address = Some(AdminAddress(admin))).await, admin)
}

/// An actor that answers HTTP on the host.
async fn serving(host: &SingleHost, signer: &Signer) -> (Signed<ActorId>, SocketAddr) {
    let (echo, address) = (signer.actor(Actor::Echo), free_address());
    let provider = host.operator.start_provider(&host.id, PROVIDER).await.expect("the provider starts");
    let actor = host.operator.start_actor(&host.id, &echo.reference()).await.expect("the actor starts");
    host.operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    (echo, address)
}

/// The samples of a page, by name with labels. Lines that no Prometheus would take are a failure.
async fn metrics(admin: SocketAddr) -> BTreeMap<String, f64> {
    let answer = try_get(admin, "/metrics").await.expect("the page is there");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let mut samples = BTreeMap::new();
    let mut family = "";
    for line in answer.body.lines() {
        if let Some(described) = line.strip_prefix("# ") {
            family = described.split(' ').nth(1).expect("a name");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let bare = name.split('{').next().expect("a name");
        let suffix = bare.strip_prefix(family).unwrap_or_else(|| panic!("`{line}` is not of `{family}`"));
        assert!(["", "_bucket", "_sum", "_count"].contains(&suffix), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("no number: `{line}`"));
        assert!(samples.insert(name.to_owned(), value).is_none(), "twice: `{line}`");
    }
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_code_leaves_memory_and_the_next_request_finds_it_again() {
    let (admin, signer) = (free_address(), Signer::default());
    let host = SingleHost::start_with(|config| {
        config.admin_address = Some(AdminAddress(admin));
        config.runtime.unload_code_after = Some(Duration::from_millis(100));
    });
    let host = host.await;
    let (echo, address) = serving(&host, &signer).await;
    let in_memory = format!("lattice_actor_code_in_memory{{actor=\"{}\"}}", echo.id);
    for _ in 0..2 {
        eventually("its code has left memory", || async {
            let there = metrics(admin).await[&in_memory];
            if there < 0.5 { Ok(()) } else { Err(there) }
        })
        .await;
        assert_eq!(try_get(address, "/").await.expect("it is served").status, 200);
    }
    let inventory = host.operator.inventory(&host.id).await;
    assert_eq!(inventory.actors.len(), 1, "it ran all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_tell_what_a_host_runs() {
    let ((host, admin), signer) = (observed().await, Signer::default());
    let (echo, address) = serving(&host, &signer).await;
    assert_eq!(get(admin, "/livez").await, "ok\n");
    assert_eq!(get(admin, "/readyz").await, "{\"ready\":true,\"reasons\":[]}\n");

    let inventory: serde_json::Value = serde_json::from_str(&get(admin, "/inventory").await).expect("JSON");
    let over_control = serde_json::to_value(host.operator.inventory(&host.id).await).expect("JSON");
    assert_eq!(inventory["actors"], over_control["actors"]);
    assert_eq!(inventory["providers"], over_control["providers"]);

    let before = metrics(admin).await;
    let actor = echo.id.to_string();
    let ok = format!(
        "lattice_calls_total{{actor=\"{actor}\",contract=\"{HTTPSERVER}\",operation=\"HttpServer.HandleRequest\",outcome=\"ok\"}}"
    );
    let counted_before = before.get(&ok).copied().unwrap_or_default();
    for _ in 0..3 {
        get(address, "/").await;
    }
    let after = metrics(admin).await;
    assert!(after[&ok] >= counted_before + 3.0, "{after:?}");
    let of_actor = |name: &str| after[&format!("{name}{{actor=\"{actor}\"}}")];
    assert!((of_actor("lattice_call_duration_seconds_count") - after[&ok]).abs() < 0.5);
    assert!(of_actor("lattice_call_duration_seconds_sum") > 0.0);
    assert!((of_actor("lattice_actor_max_instances") - 10.0).abs() < 0.5);
    assert!(of_actor("lattice_actor_queued_calls") < 0.5);
    assert!((of_actor("lattice_actor_code_in_memory") - 1.0).abs() < 0.5);
    for step in ["fetch", "verify", "compile", "total"] {
        let count = after[&format!("lattice_actor_start_duration_seconds_count{{step=\"{step}\"}}")];
        assert!((count - 1.0).abs() < 0.5, "{step}: {count}");
    }
    assert!(after["lattice_http_responses_total{status=\"2xx\"}"] >= 3.0);
    assert!(after["lattice_pool_max_instances"] >= 1.0);
    let healthy = after.iter().find(|(name, _)| name.starts_with("lattice_provider_healthy{"));
    assert!(healthy.is_some_and(|(_, value)| *value > 0.5), "{healthy:?}");

    host.operator.stop_actor(&host.id, &echo.id).await.expect("it stops");
    let left: Vec<_> = metrics(admin).await.into_keys().filter(|name| name.contains(&actor)).collect();
    assert!(left.is_empty(), "an actor that stopped is still shown: {left:?}");
}

#[derive(serde::Serialize)]
struct Relay<'a> {
    actor: &'a str,
    operation: &'a str,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_by_their_code_and_invented_operations_together() {
    let (cluster, signer, admin) = (KeyPair::generate(KeyKind::Cluster), Signer::default(), free_address());
    let mut socket = std::path::PathBuf::new();
    let host = SingleHost::start_with(|config| {
        config.admin_address = Some(AdminAddress(admin));
        config.cluster_key = Some(cluster.clone());
        socket = host::socket_path(&config.state_dir);
    })
    .await;
    let echo = signer.actor(Actor::Echo);
    host.operator.start_actor(&host.id, &echo.reference()).await.expect("the actor starts");
    let rpc = RpcClient::socket(socket, LatticeId::default());
    let call = async |operation: &str, payload: Vec<u8>| {
        let (origin, target) = (Entity::actor(&echo.id), Entity::actor(&echo.id));
        let invocation =
            Invocation::issue(origin, target, operation.to_owned(), Bytes::from(payload), &cluster, &host.id, now());
        rpc.invoke(&RpcSubject::Actor(echo.id), invocation.expect("signed"), Duration::from_secs(10)).await
    };

    let relay = Relay { actor: "nobody", operation: "Work", payload: Vec::new() };
    let payload = contracts::codec::encode(&relay).expect("encoded");
    call("Echo.Relay", payload.to_vec()).await.expect_err("nobody is called so");
    for number in 0..40 {
        call(&format!("Invented{number}"), Vec::new()).await.expect("it says back");
    }
    call("a\"} 1\nevil", Vec::new()).await.expect("it says back");

    let (samples, actor) = (metrics(admin).await, echo.id);
    let of = |operation: &str, outcome: &str| {
        let contract = if operation == "other" { "other" } else { "actor" };
        let labels =
            format!("actor=\"{actor}\",contract=\"{contract}\",operation=\"{operation}\",outcome=\"{outcome}\"");
        labels
    };
    let count = |family: &str, labels: String| samples[&format!("{family}{{{labels}}}")];
    assert!((count("lattice_calls_total", of("Echo.Relay", "reported")) - 1.0).abs() < 0.5);
    assert!((count("lattice_calls_total", of("Invented0", "ok")) - 1.0).abs() < 0.5);
    // 32 rows: the relay and 31 of the invented.
    assert!((count("lattice_calls_total", of("other", "ok")) - 10.0).abs() < 0.5);
    assert!((count("lattice_outgoing_calls_total", of("Work", "unknown_actor")) - 1.0).abs() < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_reading_is_possible_and_only_of_what_there_is() {
    let (_host, admin) = observed().await;
    assert_eq!(post(admin, "/livez", "x").await.expect("an answer").status, 405);
    let missing = try_get(admin, "/secrets").await.expect("an answer");
    assert_eq!((missing.status.as_u16(), missing.body.contains("/metrics")), (404, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_a_seed_on_it() {
    let (key, cluster) = (KeyPair::generate(KeyKind::Server), KeyPair::generate(KeyKind::Cluster));
    let admin = free_address();
    let seeds = [key.seed().expose().to_owned(), cluster.seed().expose().to_owned()];
    let host = SingleHost::start_with(|config| {
        config.admin_address = Some(AdminAddress(admin));
        (config.host_key, config.cluster_key) = (Some(key), Some(cluster));
    })
    .await;
    for path in ["/livez", "/readyz", "/metrics", "/inventory"] {
        let body = get(admin, path).await;
        assert!(seeds.iter().all(|seed| !body.contains(seed)), "{path} of {}", host.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_greedy_clients_do_not_shut_others_out() {
    let (_host, admin) = observed().await;
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(admin).await.expect("a connection");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-slow: ").await.expect("written");
        slow.push(stream);
    }
    let began = Instant::now();
    let answered = timeout(Duration::from_secs(30), async {
        let mut stream = TcpStream::connect(admin).await.expect("a connection");
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    });
    let answer = answered.await.expect("somebody waits for ever behind slow clients");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    println!("answered behind 64 slow clients after {:?}", began.elapsed());
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(20), slow[0].read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "a slow client is not ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_beyond_the_bound_is_refused() {
    let (_host, admin) = observed().await;
    let mut stream = TcpStream::connect(admin).await.expect("a connection");
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nx-large: ").await.expect("written");
    let mut sent = 0_usize;
    let flood = async {
        // The host ends the connection; how much the system takes until then is its business.
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {
            sent += 4096;
            if sent > 64 << 20 {
                return false;
            }
        }
        true
    };
    assert!(timeout(Duration::from_secs(20), flood).await.expect("it ends"), "64 MiB of head were taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_nats_is_away_is_alive_but_ready_only_when_it_was_there() {
    let Some(mut nats) = NatsServer::prepare() else { return };
    let admin = free_address();
    let url = nats.url();
    let host = SingleHost::start_with(|config| {
        config.admin_address = Some(AdminAddress(admin));
        config.ctl = Some(NatsOptions { urls: vec![url], retry: true, ..Default::default() });
    })
    .await;
    assert_eq!(get(admin, "/livez").await, "ok\n");
    let answer = try_get(admin, "/readyz").await.expect("an answer");
    assert_eq!(answer.status, 503);
    let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((&body["ready"], &body["reasons"][0]["code"]), (&false.into(), &"not_synced".into()));
    let connected = "lattice_nats_connected{role=\"control\"}";
    assert!(metrics(admin).await[connected] < 0.5);

    nats.start_again().await;
    get(admin, "/readyz").await;
    assert!(metrics(admin).await[connected] > 0.5);

    nats.stop().await;
    eventually("the loss is seen", || async {
        let samples = metrics(admin).await;
        if samples[connected] < 0.5 { Ok(()) } else { Err("connected") }
    })
    .await;
    get(admin, "/readyz").await; // it serves what it has
    nats.start_again().await;
    eventually("the return is counted", || async {
        let samples = metrics(admin).await;
        let times = samples["lattice_nats_reconnects_total{role=\"control\"}"];
        if times > 0.5 { Ok(()) } else { Err(times.to_string()) }
    })
    .await;
    drop(host);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_between_hosts_are_counted_at_both_ends() {
    let (a, b) = (free_address(), free_address());
    let Some(lattice) = TestLattice::start_with(["a", "b"], |config| {
        let address = if config.labels["host"] == "a" { a } else { b };
        config.admin_address = Some(AdminAddress(address));
    })
    .await
    else {
        return;
    };
    let (operator, signer) = (lattice.operator().await, Signer::default());
    let address = free_address();
    let provider = operator.start_provider(&lattice.id("a"), PROVIDER).await.expect("the provider starts");
    let near = signer.actor(Actor::Echo);
    let actor = operator.start_actor(&lattice.id("b"), &near.reference()).await.expect("the actor starts");
    operator.link(&actor, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/").await;
    let samples = metrics(b).await;
    let arrived = format!(
        "lattice_calls_total{{actor=\"{actor}\",contract=\"{HTTPSERVER}\",operation=\"HttpServer.HandleRequest\",outcome=\"ok\"}}"
    );
    assert!(samples[&arrived] >= 1.0, "{samples:?}");
    assert!(metrics(a).await["lattice_http_responses_total{status=\"2xx\"}"] >= 1.0);
}
