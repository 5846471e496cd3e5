//! What is this provider's own: servers that are away, come back, hang, or want a password or TLS.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use provider_sdk::{
    LinkRefused, ProviderCall,
    claims::ActorId,
    conformance::World as _,
    contracts::{CallError, TraceContext, codec::encode, keyvalue::GET},
};

use crate::support::{Embedded, PATIENCE, Redis, client, link, provider};

/// A link that names nobody who listens.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_server_that_is_away_is_refused_for_now_and_says_which() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("redis://me:secret@127.0.0.1:{port}/2");
    let refused = provider(None).unwrap().put_link(&link(1, &[("URL", &url)])).await.unwrap_err();
    let LinkRefused::Unavailable { reason } = refused else { panic!("{refused}") };
    assert!(reason.contains(&format!("`redis://127.0.0.1:{port}/2`")) && !reason.contains("secret"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_named_and_one_that_comes_back_is_used_again() {
    let Some(mut world) = Embedded::start() else { return };
    let actor = world.linked(1, &[]).await;
    let get = encode("key").unwrap();
    assert!(world.call(&actor, GET, get.clone().into()).await.is_ok());
    world.redis.kill();
    for _ in 0..20 {
        let started = Instant::now();
        let error = world.call(&actor, GET, get.clone().into()).await.unwrap_err();
        assert_eq!(error.code(), "unreachable");
        assert!(error.to_string().contains(&format!("redis://127.0.0.1:{}/0", world.redis.port)), "{error}");
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    }
    let health = world.provider.health().await;
    assert!(health.healthy && health.message.is_some_and(|message| message.contains("redis://")));

    world.redis.start_again();
    let started = Instant::now();
    while world.call(&actor, GET, get.clone().into()).await.is_err() {
        assert!(started.elapsed() < PATIENCE, "it is used again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.provider.health().await.message, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_keeps_nobody_beyond_the_deadline() {
    let Some(world) = Embedded::start() else { return };
    let actor = world.linked(1, &[]).await;
    world.redis.signal("STOP");
    let call = |actor: ActorId| ProviderCall {
        actor,
        operation: GET.to_owned(),
        payload: Bytes::from(encode("key").unwrap()),
        deadline: Instant::now() + Duration::from_millis(500),
        trace: TraceContext::default(),
    };
    for _ in 0..6 {
        let started = Instant::now();
        let error = world.provider.call(call(actor)).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_millis(600), "{:?}", started.elapsed());
        assert!(matches!(error, CallError::DeadlineExceeded { .. } | CallError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("redis://127.0.0.1"), "{error}");
    }
    world.redis.signal("CONT");
    let started = Instant::now();
    while world.provider.call(call(actor)).await.is_err() {
        assert!(started.elapsed() < PATIENCE, "it is used again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_values_of_a_link_take_effect_and_bad_ones_leave_the_old() {
    let Some(world) = Embedded::start() else { return };
    let world = Arc::new(world);
    let store = client(&world, 1, &[("NAMESPACE", "one")]).await;
    store.set("key", "one").await.unwrap();
    client(&world, 1, &[("NAMESPACE", "two")]).await;
    assert_eq!(store.get("key").await, Ok(None));
    let refused = world.provider.put_link(&link(1, &[("URL", "redis://127.0.0.1:1")])).await.unwrap_err();
    assert!(refused.to_string().contains("redis://127.0.0.1:1/0"), "{refused}");
    store.set("key", "two").await.unwrap();
    client(&world, 1, &[("NAMESPACE", "one")]).await;
    assert_eq!(store.get("key").await, Ok(Some(b"one".to_vec())));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_without_namespace_have_the_whole_database_as_in_0_82() {
    let Some(world) = Embedded::start() else { return };
    let world = Arc::new(world);
    let (one, other) = (client(&world, 1, &[]).await, client(&world, 2, &[]).await);
    one.set("key", "value").await.unwrap();
    assert_eq!(other.get("key").await, Ok(Some(b"value".to_vec())));
    let namespaced = client(&world, 3, &[("NAMESPACE", "ke")]).await;
    assert_eq!(namespaced.list_keys(None, 10).await.unwrap().keys, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_a_largest_size() {
    let Some(world) = Embedded::start() else { return };
    let world = Arc::new(world);
    let store = client(&world, 1, &[("MAX_ANSWER_BYTES", "1000")]).await;
    store.set("key", "x".repeat(1000)).await.unwrap();
    assert!(store.get("key").await.is_ok());
    store.set("key", "x".repeat(1001)).await.unwrap();
    assert_eq!(store.get("key").await.unwrap_err().code(), "limit_exceeded");
    assert_eq!(store.swap("key", None, "y").await.unwrap_err().code(), "limit_exceeded");
    for letter in ["a", "b", "c"] {
        store.list_add("list", &letter.repeat(400)).await.unwrap();
        store.set_add("set", &letter.repeat(400)).await.unwrap();
    }
    assert_eq!(store.list_range("list", 0, 1).await.map(|found| found.len()), Ok(2));
    assert_eq!(store.list_range("list", 0, 2).await.unwrap_err().code(), "limit_exceeded");
    assert_eq!(store.set_union(&["set"]).await.unwrap_err().code(), "limit_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_needed_where_the_server_wants_one() {
    let Some(redis) = Redis::start(&["--requirepass", "secret"]) else { return };
    let provider = provider(None).unwrap();
    let started = Instant::now();
    let right = format!("redis://:secret@127.0.0.1:{}", redis.port);
    while let Err(refused) = provider.put_link(&link(1, &[("URL", &right)])).await {
        assert!(started.elapsed() < PATIENCE, "{refused}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for password in ["", ":wrong@"] {
        let url = format!("redis://{password}127.0.0.1:{}", redis.port);
        // Without any password the server answers the connection and refuses the operations.
        if let Err(refused) = provider.put_link(&link(2, &[("URL", &url)])).await {
            assert!(!refused.to_string().contains("wrong@"), "{refused}");
            continue;
        }
        let call = ProviderCall {
            actor: link(2, &[]).actor_id,
            operation: GET.to_owned(),
            payload: encode("key").unwrap().into(),
            deadline: Instant::now() + Duration::from_secs(5),
            trace: TraceContext::default(),
        };
        let error = provider.call(call).await.unwrap_err();
        assert!(error.code() == "unreachable" && error.to_string().contains("NOAUTH"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_with_a_server_whose_certificate_the_link_trusts() {
    let ca = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&cert, ca.cert.pem()).unwrap();
    std::fs::write(&key, ca.signing_key.serialize_pem()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (cert, key, tls) = (cert.to_str().unwrap(), key.to_str().unwrap(), port.to_string());
    let args = ["--tls-port", &tls, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no"];
    let args = [&args[..], &["--tls-ca-cert-file", cert]].concat();
    let Some(_redis) = Redis::start(&args) else { return };
    let (provider, url) = (provider(None).unwrap(), format!("rediss://localhost:{port}/0"));
    let (pem, started) = (ca.cert.pem(), Instant::now());
    let values = [("URL", url.as_str()), ("CA_CERTIFICATES", &pem)];
    while let Err(refused) = provider.put_link(&link(1, &values)).await {
        assert!(started.elapsed() < PATIENCE, "{refused}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refused = provider.put_link(&link(2, &[("URL", &url)])).await.unwrap_err();
    assert!(matches!(refused, LinkRefused::Unavailable { .. }), "an unknown certificate: {refused}");
}
