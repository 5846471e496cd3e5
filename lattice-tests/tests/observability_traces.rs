//! Traces: one request over two hosts, seen by a receiver that reads what OTLP says.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use host::{AdminAddress, HostConfig};
use http::Request;
use lattice_tests::{
    Actor, HTTPSERVER, KEYVALUE, Receiver, Signer, SingleHost, Span, TestLattice, ask, binary, eventually,
    free_address, get, link,
};

const PROVIDER: &str = "builtin://httpserver";
const HOST: &str = "wasmcloud-host";
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The spans of the trace of [`CALLER`], once there are so many.
async fn of_caller(receiver: &Receiver, count: usize) -> Vec<Span> {
    eventually(&format!("{count} spans"), || async {
        let mine: Vec<_> = receiver.seen().into_iter().filter(|span| span.trace[0] == 0x0A).collect();
        if mine.len() >= count { Ok(mine) } else { Err(format!("{mine:#?}")) }
    })
    .await
}

/// A module that answers every HTTP request by calling `actor` first.
fn relay(actor: &str) -> Vec<u8> {
    let response = b"\x83\xaastatusCode\xcc\xc8\xa6header\x80\xa4body\xc4\x00";
    let response: String = response.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let module = format!(
        r#"(module
            (import "wasmbus" "__guest_request" (func $request (param i32 i32)))
            (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
            (import "wasmbus" "__host_call"
                (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 4)
            (data (i32.const 16) "{actor}")
            (data (i32.const 128) "Echo.Work")
            (data (i32.const 160) "{response}")
            (func (export "__guest_call") (param i32 i32) (result i32)
                (call $request (i32.const 1024) (i32.const 4096))
                (drop (call $call
                    (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 56)
                    (i32.const 128) (i32.const 9) (i32.const 0) (i32.const 0)))
                (call $response (i32.const 160) (i32.const 29))
                (i32.const 1)))"#
    );
    wat::parse_str(module).expect("valid text")
}

/// The request that a caller makes who traces.
async fn traced(address: SocketAddr, parent: &str) -> lattice_tests::Answer {
    let request = Request::get("/work?a=b").header("traceparent", parent).header("tracestate", "vendor=1");
    ask(address, request, Bytes::new()).await.expect("an answer")
}

/// The spans of a call from [`CALLER`] inwards: exactly these hops, each the only child of the one before.
fn in_order<'a>(spans: &'a [Span], hops: &[&str]) -> Vec<&'a Span> {
    let mut parent = vec![0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31];
    let mut took = u64::MAX;
    let next = |hop: &&str| {
        let children: Vec<_> = spans.iter().filter(|span| span.parent == parent).collect();
        let [span] = children[..] else { panic!("{hop}: {children:#?} of {spans:#?}") };
        assert_eq!((span.hop(), span.state.as_str(), span.error.as_str()), (*hop, "vendor=1", ""));
        assert!(span.took <= took, "a child is no longer than its parent: {spans:#?}");
        (parent, took) = (span.id.clone(), span.took);
        span
    };
    let chain: Vec<_> = hops.iter().map(next).collect();
    assert_eq!(spans.len(), hops.len(), "{spans:#?}");
    chain
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_over_two_hosts_is_one_trace() {
    let receiver = Receiver::start().await;
    let change = |config: &mut HostConfig| config.tracing = Some(receiver.config(0.0));
    let Some(lattice) = TestLattice::start_with(["a", "b"], change).await else { return };
    let (operator, signer, address) = (lattice.operator().await, Signer::default(), free_address());
    let far = operator.start_actor(&lattice.id("b"), &signer.actor(Actor::Echo).reference()).await.expect("it starts");
    let near = signer.wasm("relay", &relay(far.as_str()));
    operator.start_actor(&lattice.id("a"), &near.reference()).await.expect("it starts");
    let provider = operator.start_provider(&lattice.id("a"), PROVIDER).await.expect("the provider starts");
    operator.link(&near.id, &provider, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/").await;

    assert_eq!(traced(address, CALLER).await.status, 200);
    let spans = of_caller(&receiver, 6).await;
    let chain = ["http", "actor", "outgoing", "remote", "arrival", "actor"];
    let (a, b) = (lattice.id("a").to_string(), lattice.id("b").to_string());
    for (index, span) in in_order(&spans, &chain).into_iter().enumerate() {
        let instance = if index < 4 { &a } else { &b };
        assert_eq!((&*span.service, &span.instance), (HOST, instance), "{span:#?}");
    }
    let of = |hop: &str| spans.iter().find(|span| span.hop() == hop).expect("there is one");
    let http = of("http");
    assert_eq!((http.name.as_str(), http.kind), ("HTTP GET", 2));
    assert_eq!((&*http.attributes["url.path"], &*http.attributes["http.response.status_code"]), ("/work", "200"));
    assert_eq!((of("outgoing").kind, of("outgoing").name.as_str()), (3, "Echo.Work"));
    assert_eq!(of("remote").attributes["lattice.target"], far.as_str());
    assert_eq!((of("arrival").kind, &*of("arrival").attributes["lattice.origin"]), (2, near.id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_processes_are_part_of_the_trace() {
    let receiver = Receiver::start().await;
    let change = |config: &mut HostConfig| config.tracing = Some(receiver.config(0.0));
    let Some(lattice) = TestLattice::start_with(["a"], change).await else { return };
    let (operator, host, signer, address) =
        (lattice.operator().await, lattice.id("a"), Signer::default(), free_address());
    let archive = |program: &str, contract: &str| {
        signer.provider(&std::fs::read(binary(program)).expect("the program"), contract).reference()
    };
    let server = operator.start_provider(&host, &archive("wash-httpserver", HTTPSERVER)).await.expect("it starts");
    let store = operator.start_provider(&host, &archive("wash-keyvalue-redb", KEYVALUE)).await.expect("it starts");
    let counter = signer.actor_with(Actor::KvCounter, |claims| {
        let caps = vec![HTTPSERVER.to_owned(), KEYVALUE.to_owned()];
        claims.metadata.get_or_insert_default().caps = Some(caps);
    });
    operator.start_actor(&host, &counter.reference()).await.expect("it starts");
    operator.put(&link(&counter.id, &store, KEYVALUE, &[])).await.expect("the link is taken");
    operator.link(&counter.id, &server, &[("address", &address.to_string())]).await.expect("the link is taken");
    get(address, "/other").await;

    assert_eq!(traced(address, CALLER).await.body.trim(), "{\"counter\":1}");
    let chain = ["http", "remote", "arrival", "actor", "outgoing", "remote", "arrival"];
    let spans = of_caller(&receiver, chain.len()).await;
    let [http, asks, arrives, .., counts] = in_order(&spans, &chain)[..] else { panic!("{spans:#?}") };
    assert_eq!([&*http.service, &*asks.service], ["wasmcloud-httpserver"; 2]);
    assert_eq!((&*http.attributes["http.response.status_code"], http.name.as_str()), ("200", "HTTP GET"));
    assert_eq!((&*asks.attributes["lattice.target"], asks.kind), (counter.id.as_str(), 3));
    assert_eq!((&*arrives.service, &*arrives.attributes["lattice.origin"]), (HOST, server.as_str()));
    assert_eq!((&*counts.service, counts.kind), ("wasmcloud-keyvalue-redb", 2));
    assert_eq!(counts.name, "KeyValue.Increment");
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_see_the_span_they_are_in_and_callers_decide() {
    let (receiver, signer, address) = (Receiver::start().await, Signer::default(), free_address());
    let host = SingleHost::start_with(|config| config.tracing = Some(receiver.config(0.0))).await;
    let echo = signer.actor(Actor::Echo);
    let provider = host.operator.start_provider(&host.id, PROVIDER).await.expect("the provider starts");
    host.operator.start_actor(&host.id, &echo.reference()).await.expect("the actor starts");
    host.operator.link(&echo.id, &provider, &[("address", &address.to_string())]).await.expect("taken");
    get(address, "/").await;

    // The caller does not record: neither do we, and the guest gets what came.
    let quiet = CALLER.replace("-01", "-00");
    let answer = traced(address, &quiet).await;
    assert!(answer.body.contains(&quiet), "{}", answer.body);
    let answer = traced(address, CALLER).await;
    let spans = of_caller(&receiver, 2).await;
    let http = spans.iter().find(|span| span.hop() == "http").expect("the arrival");
    let id: String = http.id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(answer.body.contains(&format!("00-0af7651916cd43dd8448eb211c80319c-{id}-01")), "{}", answer.body);
    assert_eq!(receiver.seen().len(), 2, "with a ratio of zero only callers begin traces");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tracing_a_context_passes_unchanged() {
    let (signer, address) = (Signer::default(), free_address());
    let host = SingleHost::start().await;
    let echo = signer.actor(Actor::Echo);
    let provider = host.operator.start_provider(&host.id, PROVIDER).await.expect("the provider starts");
    host.operator.start_actor(&host.id, &echo.reference()).await.expect("the actor starts");
    host.operator.link(&echo.id, &provider, &[("address", &address.to_string())]).await.expect("taken");
    get(address, "/").await;
    let answer = traced(address, CALLER).await;
    assert!(answer.body.contains(CALLER), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_costs_spans_and_no_calls_and_a_stop_flushes() {
    let (receiver, signer, address) = (Receiver::start().await, Signer::default(), free_address());
    let admin = free_address();
    receiver.go_away(true);
    let mut host = SingleHost::start_with(|config| {
        config.tracing = Some(receiver.config(1.0));
        config.admin_address = Some(AdminAddress(admin));
    })
    .await;
    let echo = signer.actor(Actor::Echo);
    let provider = host.operator.start_provider(&host.id, PROVIDER).await.expect("the provider starts");
    host.operator.start_actor(&host.id, &echo.reference()).await.expect("the actor starts");
    host.operator.link(&echo.id, &provider, &[("address", &address.to_string())]).await.expect("taken");
    get(address, "/").await;
    eventually("spans are given up", || async {
        let page = get(admin, "/metrics").await;
        let dropped = page.lines().find_map(|line| line.strip_prefix("lattice_spans_dropped_total "));
        if dropped.is_some_and(|count| count != "0") { Ok(()) } else { Err(format!("{dropped:?}")) }
    })
    .await;
    assert!(receiver.seen().is_empty());
    let began = Instant::now();
    get(address, "/").await;
    println!("a call while the receiver is away: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(5));

    receiver.go_away(false);
    assert_eq!(traced(address, CALLER).await.status, 200);
    host = host.restart_with(|config| config.tracing = None).await; // at once: what is queued goes out with the stop
    let flushed = of_caller(&receiver, 2).await;
    assert_eq!(flushed.len(), 2, "{flushed:#?} {}", host.id);
}
