//! What happens to a request: routed headers, limits, failures as status codes, framing. Its body: `bodies.rs`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Instant;

use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use support::*;

#[tokio::test]
async fn a_request_reaches_the_actor_whole_and_its_answer_comes_back() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let mut request = request(Method::POST, address, "/a%20b/c?x=1&y=%20").map(|_| full("hello".to_owned()));
    request.headers_mut().append("x-multi", "1".parse().unwrap());
    request.headers_mut().append("x-multi", "2".parse().unwrap());
    let answer = send(address, request).await;
    assert_eq!((answer.status, answer.headers["x-from"].as_str()), (200, "actor"));
    assert_eq!(
        answer.body,
        format!(
            "actor {}\ntarget POST /a%20b/c?x=1&y=%20\nheader host: {address}\nheader x-multi: 1\n\
             header x-multi: 2\nheader content-length: 5\nbody hello\n",
            actor(1)
        )
    );
}

#[tokio::test]
async fn http_2_without_tls_is_served_on_the_same_port_and_has_a_host_header() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let uri = format!("http://example.org:{}/two?q=1", address.port());
    let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let answer = send_http2(address, Request::builder().uri(uri).body(empty).unwrap()).await;
    assert_eq!(answer.status, 200);
    let expected = format!("target GET /two?q=1\nheader host: example.org:{}\n", address.port());
    assert!(answer.body.contains(&expected), "{}", answer.body);
    assert_eq!(get(address, "/").await.status, 200);
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let mut client = Client::connect(address).await;
    for path in ["/1", "/fail/trap", "/2"] {
        let answer = client.send(request(Method::GET, address, path)).await;
        assert_eq!(answer.status, if path.starts_with("/fail") { 500 } else { 200 });
    }
    // Two requests in one write, the second asking to close.
    let answers =
        raw(address, b"GET /3 HTTP/1.1\r\nhost: a\r\n\r\nGET /4 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
    assert!(answers.find("target GET /3") < answers.find("target GET /4"), "{answers}");
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let answer = raw(address, b"HEAD /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("x-from: actor\r\n"), "{answer}");
    assert!(answer.contains("content-length: ") && answer.ends_with("\r\n\r\n"), "{answer}");
    // An actor that knows to leave the body out keeps its length.
    let answer = raw(address, b"HEAD /head-length HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.contains("content-length: 1234\r\n"), "{answer}");
}

#[tokio::test]
async fn a_failed_call_becomes_a_status_and_a_sentence_with_its_code() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    for (code, status, body) in [
        ("busy", 503, "busy: `MABC` is busy: all 3 instances are in use and its queue is full\n"),
        ("deadline_exceeded", 504, "deadline_exceeded: deadline exceeded while running the guest\n"),
        ("not_running", 503, "not_running: `MABC` is not running on any host of the lattice\n"),
        ("trap", 500, "trap: guest trapped: unreachable\n"),
        ("limit_exceeded", 500, "limit_exceeded: limit exceeded: memory of 64 MiB\n"),
        ("remote_busy", 503, "busy: from elsewhere\n"),
        ("remote_unreachable", 503, "unreachable: from elsewhere\n"),
        ("remote_news", 500, "news: from elsewhere\n"),
    ] {
        let answer = get(address, &format!("/fail/{code}")).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{code}");
        assert_eq!(answer.headers.contains_key("retry-after"), code.ends_with("busy"), "{code}");
    }
}

#[tokio::test]
async fn an_actor_that_does_not_answer_is_given_up_at_the_timeout() {
    let world = World::new();
    let address = world.linked(1, &[("timeout_ms", "50")]).await;
    let began = Instant::now();
    let answer = get(address, "/hang").await;
    assert_eq!(answer.status, 504);
    assert!(answer.body.starts_with("deadline_exceeded: deadline exceeded while waiting for"), "{}", answer.body);
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "the link says 50 ms");
    world.actors.running(0).await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_call() {
    let world = World::new();
    let address = world.linked(1, &[("timeout_ms", "60000")]).await;
    let client = tokio::spawn(async move { get(address, "/hang").await });
    world.actors.running(1).await;
    client.abort();
    world.actors.running(0).await;
}

#[tokio::test]
async fn a_request_head_that_is_too_large_is_refused_with_its_bound() {
    let world = World::with_config(Some(r#"{"max_header_bytes":8192}"#));
    let address = world.linked(1, &[]).await;
    let fields = |count: usize| (0..count).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    let bytes = |count: usize| format!("x: {}\r\n", "x".repeat(count));
    for (head, is_taken) in [
        (bytes(8000), true),
        (bytes(8192), false),
        (bytes(10_000), false),
        (bytes(100_000), false),
        (bytes(200_000), false),
        (fields(97), true),
        (fields(101), false),
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{head}\r\n");
        let answer = raw(address, request.as_bytes()).await;
        if is_taken {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        } else {
            assert!(answer.starts_with("HTTP/1.1 431 "), "{} bytes: {answer}", request.len());
            assert!(answer.contains("\r\n\r\nhead_too_large: the head of the request exceeds "), "{answer}");
        }
    }
    let mut request = request(Method::GET, address, "http://a/");
    request.headers_mut().insert("x", "x".repeat(9000).parse().unwrap());
    let answer = send_http2(address, request).await;
    assert_eq!((answer.status, answer.body.starts_with("head_too_large: ")), (431, true), "{answer:?}");
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_refused_with_a_line_too() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    for bytes in ["GET / HTTP/1.1\r\nhost: a\r\nbad header: x\r\n\r\n", "nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let answer = raw(address, bytes.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bytes}: {answer}");
        assert!(answer.contains("\r\n\r\nbad_request: the head of the request is not HTTP/1.1\n"), "{answer}");
    }
    // Behind a request that is answered.
    let answer = raw(address, b"GET /3 HTTP/1.1\r\nhost: a\r\n\r\nnonsense\r\n\r\n").await;
    assert!(
        answer.contains("target GET /3") && answer.ends_with("bad_request: the head of the request is not HTTP/1.1\n")
    );
}

#[tokio::test]
async fn whoever_does_not_say_whom_it_asks_is_refused_before_any_actor() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    for (line, host) in [
        ("GET / HTTP/1.1", "host: b\u{fc}cher.test\r\n"),
        ("GET / HTTP/1.1", "host: a b\r\n"),
        ("GET / HTTP/1.1", "host: u@a\r\n"),
        ("GET / HTTP/1.1", "host: a:99999\r\n"),
        ("GET / HTTP/1.1", "host:\r\n"),
        ("GET / HTTP/1.1", ""),
        ("GET http://u:p@a/ HTTP/1.1", "host: a\r\n"),
        ("GET http://a/ HTTP/1.1", "host: a b\r\n"),
    ] {
        let answer = raw(address, format!("{line}\r\n{host}connection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad_request: "), "{line} {host}: {answer}");
    }
    let answer = raw(address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 "), "older clients need not say: {answer}");
    for (name, host) in [("host", "a b"), ("host", "u@a")] {
        let request = request(Method::GET, address, "http://a/");
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(name, host.parse().unwrap());
        let answer = send_http2(address, Request::from_parts(parts, body)).await;
        assert_eq!((answer.status, answer.body.starts_with("bad_request: ")), (400, true), "{host}: {answer:?}");
    }
}

/// What a head says of a body, and whether there is one, does not depend on the version of HTTP.
#[tokio::test]
async fn answers_without_a_body_have_none_in_any_version() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    for (method, path, status, length) in [
        (Method::HEAD, "/status/200", 200, Some("4")),
        (Method::HEAD, "/head-length", 200, Some("1234")),
        (Method::HEAD, "/endless", 200, None),
        (Method::GET, "/status/204", 204, None),
        (Method::GET, "/status/205", 205, Some("0")),
        (Method::GET, "/status/304", 304, None),
        (Method::GET, "/status/304?length", 304, Some("99")),
        (Method::GET, "/status/204?length", 204, None),
        (Method::HEAD, "/fail/trap", 500, Some("33")),
        (Method::HEAD, "/status/101", 500, Some("73")),
    ] {
        let answer = send(address, request(method.clone(), address, path)).await;
        let absolute = format!("http://{address}{path}");
        let answer2 = send_http2(address, request(method.clone(), address, &absolute)).await;
        for answer in [answer, answer2] {
            assert_eq!((answer.status, answer.body.as_str()), (status, ""), "{method} {path}");
            let told = answer.headers.get("content-length").map(String::as_str);
            assert_eq!(told, length, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_fails_before_any_of_it_left_is_a_refusal_and_one_after_is_cut() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let answer = get(address, "/broken-at-once").await;
    assert_eq!((answer.status, answer.body.as_str()), (500, "trap: guest trapped: unreachable\n"));
    let answer = raw(address, b"GET /failing-body HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("5\r\nbegun\r\n"), "{answer}");
    let answer = raw(address, b"GET /short HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.contains("content-length: 10\r\n") && answer.ends_with("begun"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_head_is_disconnected() {
    let world = World::with_config(Some(r#"{"header_timeout_ms":50}"#));
    let address = world.linked(1, &[]).await;
    for begun in ["", "P", "PRI", "GET / HTTP/1.1\r\nhost:", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"] {
        // `raw` returns only when the server has closed.
        let answer = raw(address, begun.as_bytes()).await;
        assert_eq!(answer.contains("200 OK"), begun.ends_with("\r\n\r\n"), "{begun:?}: {answer}");
    }
}

#[tokio::test]
async fn connections_above_the_limit_wait_for_their_turn() {
    let world = World::with_config(Some(r#"{"max_connections":1}"#));
    let address = world.linked(1, &[("timeout_ms", "60000")]).await;
    let first = tokio::spawn(async move { get(address, "/gate").await });
    world.actors.running(1).await;
    let second = tokio::spawn(async move { get(address, "/gate").await });
    world.actors.gate.add_permits(1);
    assert_eq!(soon(first).await.unwrap().body, "through");
    // With the first connection gone, the second request begins.
    world.actors.running(1).await;
    world.actors.gate.add_permits(1);
    assert_eq!(soon(second).await.unwrap().body, "through");
}

#[tokio::test]
async fn an_actor_cannot_break_the_framing() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let mut client = Client::connect(address).await;
    for (path, status, body) in [
        ("/wrong-length", 200, "longer than two"),
        ("/two-lengths", 200, "abc"),
        ("/informational", 500, "malformed: malformed HTTP response: the actor answered with status `101`\n"),
    ] {
        let answer = client.send(request(Method::GET, address, path)).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
        assert_eq!(answer.headers["content-length"], body.len().to_string(), "{path}");
        assert!(!answer.headers.contains_key("transfer-encoding") && !answer.headers.contains_key("connection"));
    }
}

#[tokio::test]
async fn a_response_body_that_fails_ends_the_connection_instead_of_looking_complete() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    let mut client = Client::connect(address).await;
    // The head may or may not have left before the body fails.
    if let Ok(response) = client.try_send(request(Method::GET, address, "/failing-body")).await {
        assert!(soon(response.into_body().collect()).await.is_err());
    }
    assert!(client.try_send(request(Method::GET, address, "/")).await.is_err());
}

#[tokio::test]
async fn requests_that_no_actor_should_see_are_refused() {
    let world = World::new();
    let address = world.linked(1, &[]).await;
    for bytes in ["OPTIONS * HTTP/1.1\r\nhost: a\r\n", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n"] {
        let answer = raw(address, format!("{bytes}connection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad_request: "), "{answer}");
    }
    let answer = raw(address, b"GET http://example.org/x HTTP/1.1\r\nhost: other\r\nconnection: close\r\n\r\n").await;
    assert!(answer.contains("target GET /x\nheader host: example.org\n"), "{answer}");
}

#[tokio::test]
async fn readonly_mode_lets_only_get_and_head_through() {
    let world = World::new();
    let address = world.linked(1, &[("readonly_mode", "true")]).await;
    let answer = post(address, "/", full(String::new())).await;
    assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, "GET, HEAD"));
    assert_eq!(answer.body, "readonly: only GET and HEAD are let through\n");
    assert_eq!(get(address, "/").await.status, 200);
}

#[tokio::test]
async fn cache_control_is_added_where_the_actor_says_nothing() {
    let world = World::new();
    let address = world.linked(1, &[("cache_control", "max-age=60")]).await;
    assert_eq!(get(address, "/").await.headers["cache-control"], "max-age=60");
    assert_eq!(get(address, "/own-cache").await.headers["cache-control"], "no-store");
    assert!(!get(address, "/fail/trap").await.headers.contains_key("cache-control"));
    assert!(!post(address, "/", full(String::new())).await.headers.contains_key("cache-control"));
}
