//! Challenges: what is shown, when, and to whom.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use artifacts::Credentials;
use common::{Answer, Content, Server, Shelf, Store, registry, registry_as, wants_basic, wasm};

#[tokio::test]
async fn user_and_password_are_shown_when_asked_for_and_not_before() {
    let server = Server::start(wants_basic(Shelf::with_actor(&wasm(2_000, 1)), "ada:hunter2")).await;
    let store = Store::new(registry_as(&server, Credentials::basic("ada", "hunter2")));
    store.fetch(&Shelf::reference(&server)).await.expect("an actor");
    let shown: Vec<bool> = server.seen().iter().map(|seen| seen.header("authorization").is_some()).collect();
    assert_eq!(shown, [false, true, true], "asked for once, and shown from then on");

    let error =
        Store::new(registry_as(&server, Credentials::basic("ada", "wrong"))).refusal(&Shelf::reference(&server)).await;
    assert_eq!(error.code(), "unauthorized");
    assert!(error.to_string().contains("`ada`"), "{error}");
    assert!(!error.to_string().contains("wrong") && !format!("{error:?}").contains("wrong"));
    assert_eq!(error.next_step(), "check user and password");

    let error = Store::of(&server).refusal(&Shelf::reference(&server)).await;
    assert_eq!(error.code(), "unauthorized");
    assert!(error.next_step().contains("docker login"), "{}", error.next_step());
}

#[tokio::test]
async fn credentials_set_later_count() {
    let server = Server::start(wants_basic(Shelf::with_actor(&wasm(2_000, 1)), "ada:hunter2")).await;
    let registry = registry(&server);
    assert_eq!(registry.ping(&server.authority()).await.map_err(|error| error.code()), Err("unauthorized"));
    registry.set_credentials(&server.authority(), Credentials::basic("ada", "hunter2"));
    registry.ping(&server.authority()).await.expect("in");
    registry.set_credentials(&server.url("/"), Credentials::basic("ada", "changed"));
    assert_eq!(registry.ping(&server.authority()).await.map_err(|error| error.code()), Err("unauthorized"));
}

/// A registry that wants tokens, and the service that gives them.
async fn with_tokens(service: impl Fn(&common::Seen) -> Answer + Send + Sync + 'static) -> (Server, Server) {
    let service = Server::start(service).await;
    let realm = service.url("/token");
    let shelf = Shelf::with_actor(&wasm(2_000, 1));
    let registry = Server::start(move |seen| match seen.header("authorization") {
        Some("Bearer good") => shelf.answer(seen),
        _ => Answer::new(401, "")
            .with("www-authenticate", format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:demo:pull\"")),
    })
    .await;
    (registry, service)
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_for_all() {
    let (server, service) = with_tokens(|_| Answer::new(200, r#"{"token":"good","expires_in":60}"#)).await;
    let store = Store::of(&server);
    store.fetch(&Shelf::reference(&server)).await.expect("an actor");
    let seen = service.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/token?service=s&scope=repository%3Ademo%3Apull");
    assert_eq!(seen[0].header("authorization"), None, "nobody gave us credentials");

    let (server, service) = with_tokens(|_| Answer::new(200, r#"{"access_token":"good"}"#)).await;
    let store = Store::new(registry_as(&server, Credentials::basic("ada", "hunter2")));
    store.fetch(&Shelf::reference(&server)).await.expect("an actor");
    assert_eq!(service.seen()[0].header("authorization"), Some("Basic YWRhOmh1bnRlcjI="));
    assert!(server.seen().iter().all(|seen| seen.header("authorization").is_none_or(|shown| shown == "Bearer good")));
}

#[tokio::test]
async fn an_identity_token_is_exchanged_and_a_bearer_token_is_shown() {
    let (server, service) = with_tokens(|_| Answer::new(200, r#"{"access_token":"good"}"#)).await;
    let store = Store::new(registry_as(&server, Credentials::Identity("re fresh".into())));
    store.fetch(&Shelf::reference(&server)).await.expect("an actor");
    let seen = &service.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/token"));
    let form = String::from_utf8(seen.body.to_vec()).expect("text");
    assert!(form.contains("grant_type=refresh_token") && form.contains("refresh_token=re+fresh"), "{form}");

    let (server, service) = with_tokens(|_| Answer::new(500, "")).await;
    let store = Store::new(registry_as(&server, Credentials::Bearer("good".into())));
    store.fetch(&Shelf::reference(&server)).await.expect("an actor");
    assert_eq!(service.seen().len(), 0);
}

#[tokio::test]
async fn a_token_service_that_misbehaves_is_named_for_what_it_does() {
    type Case = (fn() -> Answer, &'static str);
    let answers: [Case; 7] = [
        (|| Answer::new(401, ""), "unauthorized"),
        (|| Answer::new(403, ""), "forbidden"),
        (|| Answer::new(200, r#"{"token":"bad"}"#), "unauthorized"),
        (|| Answer::new(200, "{}"), "unknown_challenge"),
        (|| Answer::new(200, r#"{"token":"a\nb"}"#), "unknown_challenge"),
        (|| Answer::new(200, "").content(Content::Endless(bytes::Bytes::from(vec![b' '; 65_536]))), "too_large"),
        (|| Answer::new(302, "").with("location", "/elsewhere"), "unexpected_answer"),
    ];
    for (answer, code) in answers {
        let (server, _service) = with_tokens(move |_| answer()).await;
        let store = Store::new(registry_as(&server, Credentials::basic("ada", "hunter2")));
        assert_eq!(store.refusal(&Shelf::reference(&server)).await.code(), code);
    }
}

#[tokio::test]
async fn a_token_that_is_over_is_replaced() {
    let good = Arc::new(AtomicUsize::new(1));
    let (current, issued) = (good.clone(), good.clone());
    let service =
        Server::start(move |_| Answer::new(200, format!(r#"{{"token":"t{}"}}"#, issued.load(Ordering::SeqCst)))).await;
    let realm = service.url("/token");
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some(shown) if shown == format!("Bearer t{}", current.load(Ordering::SeqCst)) => Answer::new(200, "{}"),
        _ => Answer::new(401, "").with("www-authenticate", format!("Bearer realm=\"{realm}\"")),
    })
    .await;
    let registry = registry(&server);
    registry.ping(&server.authority()).await.expect("in");
    good.store(2, Ordering::SeqCst);
    registry.ping(&server.authority()).await.expect("in again");
    assert_eq!(service.seen().len(), 2);
}

#[tokio::test]
async fn a_push_asks_for_more_than_looking_takes() {
    let service = Server::start(|seen| {
        let token = if seen.path.contains("pull%2Cpush") { "writer" } else { "reader" };
        Answer::new(200, format!(r#"{{"token":"{token}"}}"#))
    })
    .await;
    let realm = service.url("/token");
    let server = Server::start(move |seen| match (seen.header("authorization"), seen.method.as_str()) {
        (Some("Bearer writer"), "HEAD") => Answer::new(200, ""),
        (Some("Bearer writer"), _) => Answer::new(201, ""),
        (Some(_), _) => Answer::new(403, ""),
        // What looking takes, as some registries say it.
        (None, _) => Answer::new(401, "")
            .with("www-authenticate", format!("Bearer realm=\"{realm}\",scope=\"repository:demo:pull\"")),
    })
    .await;
    let content = artifacts::PushContent::actor(wasm(2_000, 1));
    registry(&server).push(&Shelf::reference(&server), &content, &artifacts::Silent).await.expect("pushed");
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test]
async fn a_password_is_shown_where_a_token_was_refused() {
    // By the registry, which takes no token of its own service; and by the service, which gives none.
    for token in [Some("worthless"), None] {
        let service = Server::start(move |_| match token {
            Some(token) => Answer::new(200, format!(r#"{{"token":"{token}"}}"#)),
            None => Answer::new(403, ""),
        })
        .await;
        let realm = service.url("/token");
        let shelf = Shelf::with_actor(&wasm(2_000, 1));
        let server = Server::start(move |seen| match seen.header("authorization") {
            Some("Basic YWRhOmh1bnRlcjI=") => shelf.answer(seen),
            _ => Answer::new(401, "")
                .with("www-authenticate", format!("Bearer realm = \"{realm}\" , service = \"s\", Basic realm=\"x\"")),
        })
        .await;
        let store = Store::new(registry_as(&server, Credentials::basic("ada", "hunter2")));
        store.fetch(&Shelf::reference(&server)).await.expect("an actor");
        assert_eq!(service.seen().len(), 1, "asked for a token once");
        let shown: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
        let basic = Some("Basic YWRhOmh1bnRlcjI=".to_owned());
        assert_eq!(shown.first(), Some(&None));
        assert_eq!(shown.iter().filter(|shown| **shown == basic).count(), 2, "manifest and layer: {shown:?}");

        // Nobody's password is no reason to ask for ever.
        let wrong = Store::new(registry_as(&server, Credentials::basic("ada", "wrong")));
        let before = server.seen().len();
        assert!(["unauthorized", "forbidden"].contains(&wrong.refusal(&Shelf::reference(&server)).await.code()));
        assert!(server.seen().len() - before <= 3, "{}", server.seen().len() - before);
    }
}

#[tokio::test]
async fn a_ping_asks_for_no_repository_whatever_the_registry_names() {
    let service = Server::start(|seen| match seen.path.contains("scope") {
        true => Answer::new(403, ""),
        false => Answer::new(200, r#"{"token":"good"}"#),
    })
    .await;
    let realm = service.url("/token");
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some("Bearer good") => Answer::new(200, "{}"),
        _ => Answer::new(401, "").with(
            "www-authenticate",
            format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:user/image:pull\""),
        ),
    })
    .await;
    registry(&server).ping(&server.authority()).await.expect("in");
    assert_eq!(service.seen()[0].path, "/token?service=s");
}
