//! Clients that bring more than there is room for.

use std::{collections::BTreeMap, net::SocketAddr};

use futures_util::future::join_all;
use lattice_tests::{Actor, free_address};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::measure::{LONG, Scene};

const LENGTH: usize = 90 << 20;

/// Sends a request as far as it is taken; the status and code of what comes back.
async fn upload(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\nconnection: close\r\n\r\n");
    let (mut reader, mut writer) = stream.split();
    let sending = async {
        writer.write_all(head.as_bytes()).await?;
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..LENGTH >> 20 {
            writer.write_all(&piece).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let mut answer = Vec::new();
    let reading = async {
        let mut piece = [0; 1 << 16];
        // A client whose upload is refused may be reset: what came before counts.
        while let Ok(length @ 1..) = reader.read(&mut piece).await {
            answer.truncate(1 << 10);
            answer.extend_from_slice(&piece[..length]);
        }
    };
    let (_, ()) = timeout(LONG, Box::pin(async { tokio::join!(sending, reading) })).await.expect("it ends");
    let text = String::from_utf8_lossy(&answer);
    let status = text.split_whitespace().nth(1).unwrap_or("none").to_owned();
    let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
    match body.split_once(": ") {
        Some((code, _)) if status != "200" => format!("{status} {code}"),
        _ => status,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure; takes 9 GB through the loopback device"]
async fn a18_100_clients_with_90_mib_each_for_a_module_of_one_instance() {
    const ALL: u64 = 512;
    let Some(scene) = Scene::new(&[("WASH_BODY_MEMORY_MIB", &ALL.to_string())]).await else { return };
    let host = scene.lattice.id("a");
    let echo = scene.signer.actor(Actor::Echo);
    scene.operator.scale(&host, &echo.reference(), 1).await.expect("it starts");
    let provider = scene.operator.start_provider(&host, "builtin://httpserver").await.expect("it starts");
    let address = free_address();
    scene.operator.link(&echo.id, &provider, &[("address", &address.to_string())]).await.expect("it is served");
    let (cost, outcomes) = scene.attack(join_all((0..100).map(|_| upload(address)))).await;
    let mut counts = BTreeMap::<String, usize>::new();
    outcomes.into_iter().for_each(|outcome| *counts.entry(outcome).or_default() += 1);
    cost.tell("A18, 100 clients × 90 MiB to a module of one instance", &format!("{ALL} MiB for bodies; {counts:?}"));
    // The one guest that runs has its request, what it makes of it, and its answer in its own memory besides.
    assert!(cost.grown() < ALL + 1024, "{cost:?}");
    assert!(cost.answered() > 0, "{cost:?}");
}
