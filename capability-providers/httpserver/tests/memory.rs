//! What lies in connections has one bound for all of them, with the bodies of all calls. It is that of the process: hence one
//! test.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use http::Method;
use http_body_util::BodyExt as _;
use provider_sdk::contracts::Budget;
use support::*;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// Room for seven uploads of HTTP/1.1 that nobody reads, and an eighth of it for small ones.
const ALL: u64 = 8 * (64 << 10);
const HEAD: &str = "POST /gate HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n";

#[tokio::test]
async fn uploads_that_nobody_reads_are_bounded_together_and_an_answer_waits_for_room() {
    let bodies = Budget::bodies();
    bodies.set_limit(ALL);
    let world = World::new();
    let address = world.linked(1, &[]).await;

    let mut uploads = Vec::new();
    for _ in 0..8 {
        let mut upload = soon(TcpStream::connect(address)).await.unwrap();
        upload.write_all(HEAD.as_bytes()).await.unwrap();
        uploads.push(upload);
        world.actors.running(uploads.len()).await;
    }
    assert_eq!(bodies.used(), ALL);
    let refused = post(address, "/swallow", full("x".repeat(20_000))).await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (503, "1"));
    assert!(refused.body.starts_with("busy: `host` is busy: the 524288 bytes"), "{refused:?}");
    assert!(bodies.refused() > 0);
    assert_eq!(post(address, "/swallow", full("x")).await.body, "1", "few bytes are not counted");

    let mut client = Client::connect(address).await;
    let answer = client.try_send(request(Method::GET, address, "/held")).await.unwrap();
    assert_eq!(answer.status(), 200, "its head needs no room");
    let mut body = answer.into_body();
    tokio::time::timeout(std::time::Duration::from_millis(300), body.frame()).await.expect_err("nothing of its body");
    world.actors.gate.add_permits(1);
    assert!(!soon(body.frame()).await.unwrap().unwrap().into_data().unwrap().is_empty(), "there is room again");
    drop((body, client));
    world.actors.gate.add_permits(7);
    world.actors.running(0).await;
    soon(async {
        while bodies.used() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
