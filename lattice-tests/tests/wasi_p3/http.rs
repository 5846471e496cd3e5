//! HTTP into the actor and out of it.

use std::time::{Duration, Instant};

use ::http::{HeaderMap, HeaderValue, Request};
use bytes::Bytes;
use contracts::{
    CallError, codec,
    httpclient::{CONTRACT, HttpRequest, HttpResponse},
};
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use lattice_tests::Actor;
use runtime::{
    CodeCacheConfig, CodeOrigin, Directory, GuestLimits, HttpBody, LocalGrants, OutboundTarget, Runtime, RuntimeConfig,
};
use tokio::sync::mpsc;

use crate::world::{answering, ask, context, identity, limits, load, runtime, said, text, wasm};

#[tokio::test]
async fn it_does_not_run_where_it_is_not_switched_on() {
    let older = Runtime::new(&RuntimeConfig { max_instances: 4, ..RuntimeConfig::default() }).unwrap();
    let error = older.load(wasm(Actor::P3), identity(&[]), limits()).await.err().expect("refused");
    assert_eq!(error.code(), "newer_wasi");
    assert!(error.to_string().contains("`--wasi-p3`"), "{error}");
    assert!(error.to_string().contains("`wasi:http/types@0.3.0`"), "{error}");
    let error = older.command(wasm(Actor::P3)).await.err().expect("refused");
    assert_eq!(error.code(), "newer_wasi");
}

#[tokio::test]
async fn it_answers() {
    let guest = load(limits()).await;
    assert!(guest.serves_http());
    let answer = ask(&guest, "/there?1", context()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(text(answer).await, "hello from a component of WASI 0.3: /there?1\n");
    // Its program is written for 0.2 in part, whose clock is not the same as that of 0.3.
    assert!(said(&guest, "/clock?20").await.parse::<u32>().unwrap() >= 20);
    assert_eq!(said(&guest, "/count").await, "1", "an instance of its own for each call");
}

#[tokio::test]
async fn it_answers_a_message_as_well() {
    let guest = load(limits()).await;
    let request = codec::encode(&contracts::httpserver::HttpRequest {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        body: b"by message".to_vec(),
        ..Default::default()
    });
    let answer = guest.call("HttpServer.HandleRequest", request.unwrap().into(), context()).await.unwrap();
    let answer: contracts::httpserver::HttpResponse = codec::decode("answer", &answer).unwrap();
    assert_eq!((answer.status_code, &answer.body[..]), (200, &b"by message"[..]));
}

#[tokio::test]
async fn bodies_are_streams_both_ways_with_trailers_behind_them() {
    let guest = load(limits()).await;
    let (sender, frames) = mpsc::channel(1);
    let frames = futures_util::stream::unfold(frames, |mut frames| async { Some((frames.recv().await?, frames)) });
    let body: HttpBody = StreamBody::new(frames.map(Ok)).boxed_unsync();
    let answer = guest.handle_http(Request::post("/").body(body).unwrap(), 1 << 20, context()).await.unwrap();
    let mut body = answer.into_body();
    // Each piece comes back before the next one is there.
    for piece in ["first", "second"] {
        sender.send(Frame::data(Bytes::from(piece))).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
    }
    let trailers = HeaderMap::from_iter([("x-checked".parse().unwrap(), HeaderValue::from_static("yes"))]);
    sender.send(Frame::trailers(trailers)).await.unwrap();
    drop(sender);
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!((&trailers["x-checked"], &trailers["x-bytes"]), (&"yes".parse().unwrap(), &"11".parse().unwrap()));
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_large_body_passes_and_one_above_the_limit_does_not() {
    let guest = load(limits()).await;
    let post = |len| {
        let body = Full::new(Bytes::from(vec![7; len])).map_err(|never| match never {}).boxed_unsync();
        Request::post("/").body(body).unwrap()
    };
    let answer = guest.handle_http(post(3 << 20), 4 << 20, context()).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), vec![7; 3 << 20]);
    // Known before the head is out, or behind it.
    match guest.handle_http(post(3 << 20), 1 << 20, context()).await {
        Ok(answer) => drop(answer.into_body().collect().await.expect_err("what was cut off is no complete answer")),
        Err(error) => assert_eq!(error.code(), "limit_exceeded"),
    }
}

#[tokio::test]
async fn a_request_out_goes_over_the_link_and_only_with_a_grant() {
    let outbound = || {
        answering(|call| {
            assert_eq!(call.operation, "HttpClient.Request");
            let target = OutboundTarget::Link { contract: CONTRACT.to_owned(), link_name: "default".to_owned() };
            assert_eq!(call.target, target);
            let request: HttpRequest = codec::decode("request", &call.payload).unwrap();
            assert_eq!((&*request.method, &*request.url), ("PUT", "http://elsewhere.test/thing"));
            let body = [b"answer to ", &request.body[..]].concat();
            Ok(codec::encode(&HttpResponse { status_code: 203, body, ..HttpResponse::default() }).unwrap().into())
        })
    };
    let granted = runtime().load(wasm(Actor::P3), identity(&[CONTRACT]), limits()).await.unwrap();
    let answer = ask(&granted, "/out", outbound()).await.unwrap();
    assert_eq!(text(answer).await, "203 answer to question");

    let error = ask(&load(limits()).await, "/out", outbound()).await.unwrap_err();
    let CallError::Reported { message } = error else { panic!("{error}") };
    assert!(message.contains("HttpRequestDenied"), "{message}");

    let unlinked = answering(|_| {
        Err(CallError::NotLinked {
            actor: "it".to_owned(),
            contract: CONTRACT.to_owned(),
            link_name: "default".to_owned(),
        })
    });
    let error = ask(&granted, "/out", unlinked).await.unwrap_err();
    assert!(error.to_string().contains("HttpRequestDenied"), "{error}");
    let error = ask(
        &granted,
        "/out",
        answering(|_| Err(CallError::Unreachable { target: "it".to_owned(), reason: "gone".to_owned() })),
    );
    assert!(error.await.unwrap_err().to_string().contains("DestinationUnavailable"));
}

#[tokio::test]
async fn it_reaches_of_the_machine_what_was_granted_and_that_is_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let path = format!("/reach?{}", listener.local_addr().unwrap().port());
    // That is how 0.2 denies names, too.
    let denied = "0 ErrorCode::AccessDenied ErrorCode::PermanentResolverFailure";
    assert_eq!(said(&load(limits()).await, &path).await, denied);

    let dir = tempfile::tempdir().unwrap();
    let directory = Directory { host: dir.path().to_owned(), guest: "/data".to_owned(), read_only: true };
    let grants = LocalGrants { directories: vec![directory], network: true, ..LocalGrants::default() };
    let granted = runtime().load_local(wasm(Actor::P3), identity(&[]), limits(), grants).await.unwrap();
    assert_eq!(said(&granted, &path).await, "1 done done");
}

#[tokio::test]
async fn actors_of_both_kinds_live_beside_each_other() {
    let newer = load(limits()).await;
    let older = runtime().load(wasm(Actor::Hello), identity(&[]), limits()).await.unwrap();
    let module = runtime().load(wasm(Actor::Echo), identity(&[]), limits()).await.unwrap();
    assert!(!module.serves_http());
    let (newer, older) = tokio::join!(said(&newer, "/a"), said(&older, "/a"));
    assert_eq!(newer, "hello from a component of WASI 0.3: /a\n");
    assert_eq!(older, "hello from a component: /a\n");
    let reservation = runtime().newer_reservation().expect("it was made");
    assert_eq!((reservation.max_instances, runtime().reservation().max_instances), (100, 400));
}

#[tokio::test]
async fn a_runtime_without_such_actors_has_no_second_engine() {
    let config = RuntimeConfig { max_instances: 4, wasi_p3: true, ..RuntimeConfig::default() };
    let runtime = Runtime::new(&config).unwrap();
    runtime.load(wasm(Actor::Hello), identity(&[]), limits()).await.unwrap();
    assert_eq!(runtime.newer_reservation(), None);
}

#[tokio::test]
async fn its_code_is_cached_and_precompiled_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let code_cache = Some(CodeCacheConfig { dir: dir.path().to_owned(), max_bytes: 64 << 20 });
    let config = RuntimeConfig { max_instances: 4, wasi_p3: true, code_cache, ..RuntimeConfig::default() };
    let origin = async |config: &RuntimeConfig, wasm| {
        let runtime = Runtime::new(config).unwrap();
        let guest = runtime.load(wasm, identity(&[]), GuestLimits::default()).await.unwrap();
        assert!(said(&guest, "/").await.starts_with("hello"));
        guest.code().clone()
    };
    assert_eq!(origin(&config, wasm(Actor::P3)).await, CodeOrigin::Compiled);
    let began = Instant::now();
    assert_eq!(origin(&config, wasm(Actor::P3)).await, CodeOrigin::Cache);
    assert!(began.elapsed() < Duration::from_secs(10));
    let precompiled = Runtime::new(&config).unwrap().precompile(wasm(Actor::P3)).await.unwrap();
    assert_eq!(origin(&config, precompiled).await, CodeOrigin::Precompiled);
}
