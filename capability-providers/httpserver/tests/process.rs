//! `wash-httpserver` as a process: started, told, asked and ended as a host does it.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
};

use http::Method;
use http_body_util::{BodyExt as _, Full};
use process::{Lattice, Running, eventually, nats_server, start};
use provider_sdk::{
    claims::{KeyKind, KeyPair},
    lattice::{SHUTDOWN_REPLY, ShutdownRequest, control::Ack},
};
use support::{actor, free_address, get, request, send};

fn is_open(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

async fn opened(address: SocketAddr) {
    eventually("the port to open", async || is_open(address).then_some(())).await;
}

async fn closed(address: SocketAddr) {
    eventually("the port to close", async || TcpListener::bind(address).ok().map(drop)).await;
}

async fn failure(stdin: &str) -> String {
    let mut process = start(stdin);
    assert_eq!(process.ended().await.code(), Some(1));
    let mut text = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn without_usable_host_data_it_says_why_and_fails() {
    let lattice = Lattice::new();
    let mut wrong_seed = lattice.host_data(Vec::new());
    wrong_seed.invocation_seed = provider_sdk::lattice::Secret::new(KeyPair::generate(KeyKind::User).seed().expose());
    let mut wrong_config = lattice.host_data(Vec::new());
    wrong_config.config_json = Some(r#"{"max_conections":1}"#.to_owned());
    for (stdin, words) in [
        ("", "standard input is empty"),
        ("\r\n", "standard input is empty"),
        ("hello\n", "not base64"),
        ("e30=\n", "missing field `host_id`"),
        (&wrong_seed.to_stdin_line(), "not the seed of a cluster"),
        (&wrong_config.to_stdin_line(), "`config_json.max_conections`: not a key"),
    ] {
        let text = failure(stdin).await;
        assert!(text.starts_with("httpserver: ") && text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn first_links_are_served_although_nats_is_away_and_answered_when_it_comes() {
    let (lattice, address) = (Lattice::new(), free_address());
    let _process = lattice.start(vec![lattice.link(1, &[("address", &address.to_string())])]);
    opened(address).await;
    let answer = get(address, "/").await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with("unreachable: "), "{}", answer.body);

    let Some(_nats) = nats_server(lattice.nats.port()).await else { return };
    let connection = lattice.connect().await;
    connection.serve(actor(1)).await;
    let body = || Full::new(" body".into()).map_err(|never| match never {}).boxed_unsync();
    let answer = eventually("the provider to be connected", async || {
        let answer = send(address, request(Method::PUT, address, "/a?b=c").map(|_| body())).await;
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(answer.await.body, "PUT /a?b=c body");
}

#[tokio::test]
async fn links_come_and_go_and_every_change_is_answered() {
    let (lattice, address) = (Lattice::new(), free_address());
    let Some(_nats) = nats_server(lattice.nats.port()).await else { return };
    let _process = lattice.start(Vec::new());
    let connection = lattice.connect().await;
    connection.serve(actor(1)).await;
    let text = address.to_string();
    let link = lattice.link(1, &[("address", &text)]);

    assert_eq!(connection.put(&link).await, Ack::accepted());
    assert_eq!(connection.put(&link).await, Ack::accepted());
    assert_eq!(get(address, "/x").await.body, "GET /x?");

    let malformed = connection.put(&lattice.link(1, &[("address", &text), ("timeout_ms", "soon")])).await;
    assert_eq!(malformed, Ack::refused("link value `timeout_ms`: `soon` is not a whole number"));
    let mut other = link.clone();
    other.contract_id = "wasmcloud:keyvalue".parse().unwrap();
    assert_eq!(connection.put(&other).await, Ack::refused("this provider serves `wasmcloud:httpserver`"));
    assert_eq!(get(address, "/x").await.status, 200);

    assert_eq!(connection.delete(&link).await, Ack::accepted());
    TcpListener::bind(address).expect("the port is free");
}

#[tokio::test]
async fn a_link_refused_for_now_is_served_as_soon_as_it_can() {
    let lattice = Lattice::new();
    let Some(_nats) = nats_server(lattice.nats.port()).await else { return };
    let _process = lattice.start(Vec::new());
    let connection = lattice.connect().await;
    connection.serve(actor(1)).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let refused = connection.put(&lattice.link(1, &[("address", &address.to_string())])).await;
    assert!(!refused.accepted && refused.error.contains("Address already in use"), "{refused:?}");
    drop(taken);
    opened(address).await;
    assert_eq!(get(address, "/").await.status, 200);
}

#[tokio::test]
async fn calls_are_carried_out_for_linked_actors_and_trusted_signatures_only() {
    let (lattice, address) = (Lattice::new(), free_address());
    let Some(_nats) = nats_server(lattice.nats.port()).await else { return };
    let _process = lattice.start(vec![lattice.link(1, &[("address", &address.to_string())])]);
    let connection = lattice.connect().await;
    connection.health().await;
    assert_eq!(connection.call_as(1, &lattice.cluster).await.code(), "unsupported");
    assert_eq!(connection.call_as(2, &lattice.cluster).await.code(), "not_linked");
    let stranger = KeyPair::generate(KeyKind::Cluster);
    assert_eq!(connection.call_as(1, &stranger).await.code(), "unauthorized");
}

#[tokio::test]
async fn it_is_healthy_until_its_own_host_ends_it() {
    let (lattice, address) = (Lattice::new(), free_address());
    let Some(_nats) = nats_server(lattice.nats.port()).await else { return };
    let mut process = lattice.start(vec![lattice.link(1, &[("address", &address.to_string())])]);
    let connection = lattice.connect().await;
    assert_eq!(connection.health().await, b"\x81\xa7healthy\xc3".as_slice());
    let foreign = ShutdownRequest::new(&Lattice::new().host).to_json();
    for request in [b"".to_vec(), b"{}".to_vec(), foreign] {
        connection.publish_shut_down(request).await;
    }
    // Requests arrive in order: the foreign ones were seen before this one.
    let answer = connection.shut_down(ShutdownRequest::new(&lattice.host).to_json()).await;
    assert_eq!(answer, SHUTDOWN_REPLY);
    assert_eq!(process.ended().await.code(), Some(0));
    TcpListener::bind(address).expect("the port is free");
}

#[tokio::test]
async fn foreign_shutdown_requests_change_nothing() {
    let lattice = Lattice::new();
    let Some(_nats) = nats_server(lattice.nats.port()).await else { return };
    let mut process = lattice.start(Vec::new());
    let connection = lattice.connect().await;
    connection.health().await;
    connection.publish_shut_down(ShutdownRequest::new(&Lattice::new().host).to_json()).await;
    for _ in 0..3 {
        connection.health().await;
    }
    assert!(process.0.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn a_terminated_provider_releases_its_port_and_succeeds() {
    let (lattice, address) = (Lattice::new(), free_address());
    let mut process = lattice.start(vec![lattice.link(1, &[("address", &address.to_string())])]);
    opened(address).await;
    process.signal("TERM");
    assert_eq!(process.ended().await.code(), Some(0));
    TcpListener::bind(address).expect("the port is free");
}

#[tokio::test]
async fn a_killed_host_leaves_no_orphan() {
    let (lattice, address) = (Lattice::new(), free_address());
    let line = lattice.host_data(vec![lattice.link(1, &[("address", &address.to_string())])]).to_stdin_line();
    // A shell in place of the host: it starts the provider with its own standard input and waits.
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec 3<&0; "$0" <&3 & wait"#, env!("CARGO_BIN_EXE_wash-httpserver")]);
    let mut host = Running(command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    host.0.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    opened(address).await;
    host.0.kill().unwrap();
    host.ended().await;
    closed(address).await;
}
