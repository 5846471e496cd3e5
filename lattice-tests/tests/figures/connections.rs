//! Clients that hold what they have: answers that nobody reads, heads that never end, connections that only ping.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use claims::ProviderId;
use futures_util::future::join_all;
use lattice_tests::{Actor, free_address, try_get};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::sleep,
};

use crate::measure::Scene;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08";
/// How long clients hold on.
const HELD: Duration = Duration::from_secs(10);

/// A server of `hello`, or of whatever a module answers, on an address of its own.
async fn served(scene: &Scene, reference: &str, values: &[(&str, &str)]) -> SocketAddr {
    let (host, address) = (scene.lattice.id("a"), free_address());
    let actor = scene.operator.scale(&host, reference, 100).await.expect("it starts");
    let provider = ProviderId::well_known("httpserver");
    if scene.operator.inventory(&host).await.providers.is_empty() {
        scene.operator.start_provider(&host, "builtin://httpserver").await.expect("it starts");
    }
    let text = address.to_string();
    let values: Vec<_> = values.iter().copied().chain([("address", text.as_str())]).collect();
    scene.operator.link(&actor, &provider, &values).await.expect("it is served");
    address
}

/// As many files as this process may have at all.
fn many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the maximum");
}

/// A connection from one of four addresses: each may have a quarter of all connections.
async fn connect(address: SocketAddr, number: usize) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    let from = Ipv4Addr::new(127, 0, 0, u8::try_from(2 + number % 4).expect("small"));
    socket.bind((from, 0).into()).ok()?;
    socket.connect(address).await.ok()
}

/// Answers of an honest client beside: how many of so many, in what time at most.
async fn honest(address: SocketAddr) -> (usize, Duration) {
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    for _ in 0..20 {
        let began = std::time::Instant::now();
        let is_answered = try_get(address, "/").await.is_ok_and(|answer| answer.status == 200);
        answered += usize::from(is_answered);
        slowest = slowest.max(began.elapsed());
    }
    (answered, slowest)
}

async fn hold(scene: &Scene, address: SocketAddr, attack: &str, begin: &[u8], again: &[u8]) {
    many_files();
    let holding = async {
        let mut held: Vec<TcpStream> = Vec::new();
        for round in 0..16 {
            let more = join_all((0..256).map(|number| connect(address, round * 256 + number))).await;
            held.extend(more.into_iter().flatten());
        }
        for stream in &mut held {
            let _ = stream.write_all(begin).await; // one that was ended is ended
        }
        let until = std::time::Instant::now() + HELD;
        while std::time::Instant::now() < until {
            for stream in held.iter_mut().filter(|_| !again.is_empty()) {
                let _ = stream.write_all(again).await;
            }
            sleep(Duration::from_secs(1)).await; // the pace of the attack
        }
        held.len()
    };
    let attack_and_client = async { tokio::join!(holding, honest(address)) };
    let (cost, (held, (answered, slowest))) = scene.attack(attack_and_client).await;
    cost.tell(
        attack,
        &format!("{held} connections; a client beside: {answered} of 20 answered, slowest {slowest:.1?}"),
    );
    assert!(cost.grown() < 512, "{cost:?}");
    let (answered, _) = honest(address).await;
    assert_eq!(answered, 20, "whoever comes later is served");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure"]
async fn a14_4096_heads_that_never_end() {
    let Some(scene) = Scene::new(&[]).await else { return };
    let address = served(&scene, &scene.signer.actor(Actor::Hello).reference(), &[]).await;
    let head = [&b"GET / HTTP/1.1\r\nhost: a\r\nx: "[..], &vec![b'x'; 32 << 10]].concat();
    hold(&scene, address, "A14, 4,096 half-open heads of 32 KiB", &head, b"").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure"]
async fn a14_4096_http_2_connections_that_only_ping() {
    let Some(scene) = Scene::new(&[]).await else { return };
    let address = served(&scene, &scene.signer.actor(Actor::Hello).reference(), &[]).await;
    hold(&scene, address, "A14, 4,096 HTTP/2 connections that only ping", PREFACE, PING).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure"]
async fn a14_clients_that_do_not_read_their_answers() {
    let Some(scene) = Scene::new(&[]).await else { return };
    // The answer is the message: a map of status, no headers, and a body of zeros.
    let mut answer = b"\x83\xaastatusCode\xcc\xc8\xa6header\x80\xa4body\xc6".to_vec();
    answer.extend_from_slice(&(8_u32 << 20).to_be_bytes());
    let length = answer.len() + (8 << 20);
    let data: String = answer.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let wasm = wat::parse_str(format!(
        r#"(module
            (import "wasmbus" "__guest_response" (func $response (param i32 i32)))
            (memory (export "memory") 140)
            (data (i32.const 65536) "{data}")
            (func (export "__guest_call") (param i32 i32) (result i32)
              (call $response (i32.const 65536) (i32.const {length})) (i32.const 1)))"#
    ));
    let large = scene.signer.wasm("large", &wasm.expect("a module"));
    let idle = [("idle_ms", "3000")];
    let (large, hello) = (
        served(&scene, &large.reference(), &idle).await,
        served(&scene, &scene.signer.actor(Actor::Hello).reference(), &idle).await,
    );
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let attack = async {
        let connecting = (0..60).map(|number| connect(if number < 20 { large } else { hello }, number));
        let mut held: Vec<TcpStream> = join_all(connecting).await.into_iter().flatten().collect();
        for stream in &mut held {
            stream.write_all(request).await.expect("it is read");
        }
        let client = honest(hello).await;
        sleep(HELD).await; // they do not read
        (held.len(), client)
    };
    let (cost, (held, (answered, slowest))) = scene.attack(attack).await;
    let after = crate::measure::memory(scene.pid);
    cost.tell(
        "A14, 20 clients × 8 MiB and 40 ordinary ones that do not read",
        &format!("{held} connections, {after} MiB when their pause of 3 s was over; {answered} of 20 answered beside, slowest {slowest:.1?}"),
    );
    // Each answer is once a message and once a body, for a moment.
    assert!(cost.grown() < 20 * 8 * 3 + 64, "{cost:?}");
    assert_eq!(answered, 20);
}
