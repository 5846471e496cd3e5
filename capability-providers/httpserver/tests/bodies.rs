//! What happens to the bodies of requests and answers: they stream, within their bounds of size and time.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::Method;
use http_body_util::{BodyExt as _, StreamBody};
use provider_sdk::HttpBody;
use support::*;

/// A body whose length the server cannot know, and the end that feeds it.
fn streamed() -> (tokio::sync::mpsc::Sender<Bytes>, HttpBody) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(4);
    let data = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    (sender, StreamBody::new(data.map(|data| Ok(http_body::Frame::data(data)))).boxed_unsync())
}

#[tokio::test]
async fn bodies_stream_in_both_directions_at_once() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let (feed, body) = streamed();
    let mut client = Client::connect(address).await;
    let response = client.try_send(request(Method::POST, address, "/stream").map(|_| body)).await.unwrap();
    let mut body = response.into_body();
    for part in ["one", "two"] {
        feed.try_send(Bytes::from(part)).unwrap();
        let frame = soon(body.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
    }
    drop(feed);
    assert!(soon(body.frame()).await.is_none());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let world = World::new();
    let address = world.linked(1, &[("max_content_len", "10")]).await;
    assert_eq!(post(address, "/swallow", full("x".repeat(10))).await.body, "10");

    let answer = post(address, "/swallow", full("x".repeat(11))).await;
    assert_eq!((answer.status, answer.body.as_str()), (413, "too_large: the body exceeds 10 bytes\n"));

    let (feed, body) = streamed();
    feed.try_send(Bytes::from(vec![0; 6])).unwrap();
    feed.try_send(Bytes::from(vec![0; 6])).unwrap();
    drop(feed);
    let answer = post(address, "/swallow", body).await;
    assert_eq!((answer.status, answer.body.as_str()), (413, "too_large: the body exceeds 10 bytes\n"));
}

#[tokio::test]
async fn a_stream_may_take_longer_than_its_timeout_as_long_as_it_moves() {
    let world = World::new();
    let address = world.linked(1, &[("timeout_ms", "100"), ("idle_ms", "2000")]).await;
    let answer = get(address, "/ticks").await;
    assert_eq!(answer.body.len(), 8, "eight ticks, one in 50 ms");
}

#[tokio::test]
async fn an_upload_that_moves_is_waited_for_and_one_that_stands_still_is_not() {
    let world = World::new();
    let address = world.linked(1, &[("timeout_ms", "100"), ("idle_ms", "2000")]).await;
    let (feed, body) = streamed();
    let feeding = tokio::spawn(async move {
        for _ in 0..8 {
            feed.send(Bytes::from_static(b"x")).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
        }
    });
    assert_eq!(post(address, "/swallow", body).await.body, "8");
    feeding.await.unwrap();

    let (feed, body) = streamed();
    feed.try_send(Bytes::from_static(b"x")).unwrap();
    let answer = post(address, "/swallow", body).await;
    assert_eq!(answer.status, 408);
    assert!(
        answer.body.starts_with("deadline_exceeded: ") && answer.body.contains("`idle_ms` of the link"),
        "{answer:?}"
    );
    drop(feed);
}

#[tokio::test]
async fn a_body_that_looks_like_a_refusal_of_the_server_stays_as_it_is() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let text = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\
                date: Mon, 30 Nov 2026 10:51:24 GMT\r\n\r\n";
    for _ in 0..3 {
        assert_eq!(post(address, "/stream", full(text.to_owned())).await.body, text);
    }
}
