//! Traces: one request over two hosts, seen by a receiver that reads what OTLP says.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use host::{AdminAddress, HostConfig, TracingConfig};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use lattice_tests::{
    Actor, HTTPSERVER, KEYVALUE, Signer, SingleHost, TestLattice, ask, binary, eventually, free_address, get, link,
};
use tokio::net::TcpListener;

const PROVIDER: &str = "builtin://httpserver";
const HOST: &str = "wasmcloud-host";
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A protobuf message: its fields in order, numbers as little-endian bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                fields.push((tag >> 3, varint(&mut bytes).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).expect("a length"),
            kind => panic!("wire type {kind}"),
        };
        let (value, rest) = bytes.split_at(length);
        fields.push((tag >> 3, value.to_vec()));
        bytes = rest;
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().expect("a varint ends");
        *bytes = rest;
        value |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return value;
        }
    }
    panic!("a varint of more than 64 bits");
}

fn all(message: &[(u64, Vec<u8>)], field: u64) -> Vec<&[u8]> {
    message.iter().filter(|(number, _)| *number == field).map(|(_, value)| value.as_slice()).collect()
}

fn text(message: &[(u64, Vec<u8>)], field: u64) -> String {
    all(message, field).first().map(|value| String::from_utf8(value.to_vec()).expect("UTF-8")).unwrap_or_default()
}

fn number(message: &[(u64, Vec<u8>)], field: u64) -> u64 {
    all(message, field).first().map_or(0, |value| u64::from_le_bytes((*value).try_into().expect("eight bytes")))
}

fn attributes(message: &[(u64, Vec<u8>)], field: u64) -> BTreeMap<String, String> {
    let pair = |bytes: &[u8]| {
        let attribute = fields(bytes);
        (text(&attribute, 1), text(&fields(all(&attribute, 2)[0]), 1))
    };
    all(message, field).into_iter().map(pair).collect()
}

#[derive(Debug, Clone)]
struct Span {
    service: String,
    instance: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    state: String,
    name: String,
    kind: u64,
    took: u64,
    attributes: BTreeMap<String, String>,
    error: String,
}

impl Span {
    fn hop(&self) -> &str {
        self.attributes.get("lattice.hop").map_or("", String::as_str)
    }
}

/// Every span of one request.
fn spans(body: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in all(&fields(body), 1) {
        let of_resource = fields(of_resource);
        let resource = attributes(&fields(all(&of_resource, 1)[0]), 1);
        for scoped in all(&of_resource, 2) {
            for span in all(&fields(scoped), 2) {
                let span = fields(span);
                let (began, ended) = (number(&span, 7), number(&span, 8));
                let status = all(&span, 15).first().map(|status| fields(status)).unwrap_or_default();
                spans.push(Span {
                    instance: resource["service.instance.id"].clone(),
                    service: resource["service.name"].clone(),
                    trace: all(&span, 1)[0].to_vec(),
                    id: all(&span, 2)[0].to_vec(),
                    parent: all(&span, 4).first().map(|id| id.to_vec()).unwrap_or_default(),
                    state: text(&span, 3),
                    name: text(&span, 5),
                    kind: number(&span, 6),
                    took: ended.checked_sub(began).expect("a span ends after it began"),
                    attributes: attributes(&span, 9),
                    error: text(&status, 2),
                });
            }
        }
    }
    spans
}

/// What the receiver asks for.
const TOKEN: &str = "Bearer of-a-test";

/// An OTLP/HTTP receiver.
#[derive(Clone)]
struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Span>>>,
    away: Arc<AtomicBool>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let receiver = Self { address, seen: Arc::default(), away: Arc::default() };
        let serving = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = serving.clone();
                let service = service_fn(move |request| {
                    let receiver = receiver.clone();
                    async move { Ok::<_, Infallible>(receiver.take(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        receiver
    }

    async fn take(&self, request: Request<Incoming>) -> Response<Empty<Bytes>> {
        let mut response = Response::new(Empty::new());
        if self.away.load(Ordering::Relaxed) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return response;
        }
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        assert_eq!(request.headers()["authorization"], TOKEN);
        let body = request.collect().await.expect("a body").to_bytes();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(spans(&body));
        response
    }

    fn config(&self, ratio: f64) -> TracingConfig {
        let headers = [(http::header::AUTHORIZATION, http::HeaderValue::from_static(TOKEN))].into_iter().collect();
        TracingConfig { endpoint: format!("http://{}/", self.address), headers, ratio }
    }

    fn seen(&self) -> Vec<Span> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans of the trace of [`CALLER`], once there are so many.
    async fn of_caller(&self, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans"), || async {
            let mine: Vec<_> = self.seen().into_iter().filter(|span| span.trace[0] == 0x0A).collect();
            if mine.len() >= count { Ok(mine) } else { Err(format!("{mine:#?}")) }
        })
        .await
    }
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
    let spans = receiver.of_caller(6).await;
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
    let spans = receiver.of_caller(chain.len()).await;
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
    let spans = receiver.of_caller(2).await;
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
    receiver.away.store(true, Ordering::Relaxed);
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

    receiver.away.store(false, Ordering::Relaxed);
    assert_eq!(traced(address, CALLER).await.status, 200);
    host = host.restart_with(|config| config.tracing = None).await; // at once: what is queued goes out with the stop
    let flushed = receiver.of_caller(2).await;
    assert_eq!(flushed.len(), 2, "{flushed:#?} {}", host.id);
}
