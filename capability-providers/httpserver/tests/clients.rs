//! Clients that mean ill, or have gone to sleep: they hold what they hold for a time that is stated, and nobody else up.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::Method;
use support::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

async fn connect(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = soon(TcpStream::connect(address)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Reads until the other side ends it, however.
async fn until_closed(stream: &mut TcpStream) {
    let mut all = Vec::new();
    let _ = soon(stream.read_to_end(&mut all)).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_after_its_pause() {
    let world = World::new();
    let address = world.linked(1, &[("idle_ms", "200")]).await;
    let began = Instant::now();
    let _stream = connect(address, b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").await;
    world.actors.running(1).await;
    world.actors.running(0).await;
    assert!(began.elapsed() >= Duration::from_millis(1200), "not before its pause, and a second more");
    assert_eq!(get(address, "/").await.status, 200);
}

/// Window updates of the connection, pings and their answers are progress of nothing.
#[tokio::test]
async fn an_http_2_client_that_gives_no_room_for_its_answer_is_cut_too() {
    let world = World::new();
    let address = world.linked(1, &[("idle_ms", "200")]).await;
    // HEADERS of stream 1: GET, http, /held, authority a.
    let head = [&[0x82, 0x86, 0x04, 5][..], b"/held", &[0x41, 1, b'a']].concat();
    let frame = [&[0, 0, head.len() as u8, 1, 5, 0, 0, 0, 1][..], &head].concat();
    let mut stream = connect(address, &[PREFACE, SETTINGS, &frame].concat()).await;
    world.actors.running(1).await;
    let mut buffer = [0; 1 << 14];
    let pinging = async {
        loop {
            let _ = stream.write_all(PING).await;
            let _ = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut buffer)).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = pinging => {}
        () = world.actors.running(0) => {}
    }
}

#[tokio::test]
async fn an_http_2_connection_that_only_pings_is_ended() {
    let world = World::with_config(Some(r#"{"header_timeout_ms":200}"#));
    let address = world.linked(1, &[]).await;
    let mut stream = connect(address, &[PREFACE, SETTINGS].concat()).await;
    let began = Instant::now();
    let mut buffer = [0; 1024];
    soon(async {
        loop {
            if stream.write_all(PING).await.is_err() {
                return;
            }
            let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut buffer)).await;
            if matches!(read, Ok(Ok(0) | Err(_))) {
                return;
            }
        }
    })
    .await;
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(get(address, "/").await.status, 200);
}

#[tokio::test]
async fn a_newcomer_gets_the_place_of_whoever_did_nothing_for_the_longest_time() {
    let world = World::with_config(Some(r#"{"max_connections":8,"max_connections_per_client":8}"#));
    let address = world.linked(1, &[]).await;
    let mut half_open = Vec::new();
    for _ in 0..8 {
        half_open.push(connect(address, b"GET / HTTP/1.1\r\nhost:").await);
        // Which one came first is told in milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(get(address, "/").await.status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "the time for a head is thirty seconds");
    until_closed(&mut half_open[0]).await;
}

#[tokio::test]
async fn one_client_has_its_share_and_is_told_when_it_wants_more() {
    let world = World::with_config(Some(r#"{"max_connections":8,"max_connections_per_client":2}"#));
    let address = world.linked(1, &[]).await;
    let busy: Vec<_> = (0..2).map(|_| tokio::spawn(async move { get(address, "/gate").await })).collect();
    world.actors.running(2).await;
    let answer = raw(address, b"").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\n\r\nbusy: "), "{answer}");
    // Another client is none of its business. (Every address of the loopback network is one.)
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = soon(socket.connect(address)).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(other.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    world.actors.gate.add_permits(2);
    for request in busy {
        assert_eq!(soon(request).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn requests_that_run_have_the_time_that_their_link_gives_when_it_goes() {
    for (drain, expected) in [("5000", true), ("0", false)] {
        let world = World::new();
        let address = world.linked(1, &[("drain_ms", drain)]).await;
        let mut client = Client::connect(address).await;
        let asking = tokio::spawn(async move { client.try_send(request(Method::GET, address, "/gate")).await });
        world.actors.running(1).await;
        let leaving = async {
            let (provider, actor) = (&world.provider, actor(1));
            tokio::join!(provider.delete_link(&actor), async {
                if expected {
                    world.actors.gate.add_permits(1);
                }
            });
        };
        soon(leaving).await;
        assert_eq!(soon(asking).await.unwrap().is_ok(), expected, "{drain}");
    }
}
