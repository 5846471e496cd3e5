//! What registries say instead of giving: refusals, challenges, redirects. Each has its own word and its next step.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use artifacts::Credentials;
use common::{Answer, Content, Server, Shelf, Store, registry, registry_as, wants_basic, wasm};

async fn refused(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (artifacts::FetchError, usize) {
    let server = Server::start(move |_| answer()).await;
    let error = Store::of(&server).refusal(&Shelf::reference(&server)).await;
    (error, server.seen().len())
}

const DENIED: &str = r#"{"errors":[{"code":"DENIED","message":"not for \u001byou"}]}"#;

#[tokio::test]
async fn every_refusal_has_its_word_what_was_said_and_a_next_step() {
    for (status, code, next_step, requests) in [
        (403, "forbidden", "ask whoever runs the registry for access", 1),
        (404, "not_found", "check the spelling", 1),
        (418, "unexpected_answer", "check that", 1),
        (429, "too_many_requests", "try again later", 4),
        (500, "registry_failed", "try again", 4),
        (503, "registry_failed", "try again", 4),
    ] {
        let (error, seen) = refused(move || Answer::new(status, DENIED)).await;
        assert_eq!((error.code(), seen), (code, requests), "{status}");
        assert!(error.to_string().contains("not for \u{FFFD}you"), "{error}");
        assert!(error.next_step().contains(next_step), "{}", error.next_step());
    }
}

#[tokio::test]
async fn a_page_or_a_flood_is_not_what_was_said() {
    let (error, _) = refused(|| Answer::new(403, "<html><body>go away</body></html>")).await;
    assert!(!error.to_string().contains("html"), "{error}");
    let flood = || Answer::new(403, "").content(Content::Endless(bytes::Bytes::from(vec![b'x'; 65_536])));
    let (error, _) = refused(flood).await;
    assert_eq!(error.code(), "forbidden");
    assert!(error.to_string().len() < 400, "{error}");
}

#[tokio::test]
async fn a_registry_is_asked_again_when_it_wants_to_be() {
    let asked = Arc::new(AtomicUsize::new(0));
    let shelf = Shelf::with_actor(&wasm(2_000, 1));
    let server = Server::start(move |seen| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::new(429, "").with("retry-after", "0"),
        1 => Answer::new(503, ""),
        _ => shelf.answer(seen),
    })
    .await;
    Store::of(&server).fetch(&Shelf::reference(&server)).await.expect("an actor in the end");

    // Longer than anybody waits for: said at once, with the time.
    let (error, seen) = refused(|| Answer::new(429, "").with("retry-after", "3600")).await;
    assert_eq!((error.code(), seen), ("too_many_requests", 1));
    assert_eq!(error.next_step(), "try again in 3600s");
}

#[tokio::test]
async fn a_401_that_asks_for_nothing_says_so() {
    let (error, _) = refused(|| Answer::new(401, DENIED)).await;
    assert_eq!(error.code(), "unknown_challenge");
    assert!(error.to_string().contains("without saying what it wants"), "{error}");
    let (error, _) = refused(|| Answer::new(401, "").with("www-authenticate", "Negotiate")).await;
    assert_eq!(error.code(), "unknown_challenge");
    assert!(error.to_string().contains("Negotiate"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_followed_without_credentials() {
    let actor = wasm(2_000, 1);
    let content = actor.clone();
    let storage = Server::start(move |_| Answer::new(200, content.clone())).await;
    let place = storage.url("/bucket/x?signature=secret");
    let honest = wants_basic(Shelf::with_actor(&actor), "ada:hunter2");
    let server = Server::start(move |seen| match honest(seen) {
        answer if seen.path.contains("/blobs/") && answer.status == 200 => {
            Answer::new(307, "").with("location", place.clone())
        }
        answer => answer,
    })
    .await;
    let store = Store::new(registry_as(&server, Credentials::basic("ada", "hunter2")));
    assert_eq!(store.fetch(&Shelf::reference(&server)).await.expect("an actor").bytes, actor);
    let seen = storage.seen();
    assert_eq!((seen.len(), seen[0].header("authorization"), seen[0].header("cookie")), (1, None, None));
    assert_eq!(seen[0].path, "/bucket/x?signature=secret");
}

#[tokio::test]
async fn credentials_are_not_shown_to_whoever_a_redirect_leads_to_even_when_it_asks() {
    let realm = Arc::new(std::sync::Mutex::new(String::new()));
    for scheme in ["Basic", "Bearer"] {
        let tokens = realm.clone();
        let thief = Server::start(move |_| {
            let realm = tokens.lock().expect("set").clone();
            Answer::new(401, "").with("www-authenticate", format!("{scheme} realm=\"{realm}\""))
        })
        .await;
        *realm.lock().expect("no panics") = thief.url("/token");
        let place = thief.url("/");
        let server = Server::start(move |_| Answer::new(302, "").with("location", place.clone())).await;
        let store = Store::new(registry_as(&server, Credentials::basic("ada", "hunter2")));
        assert_eq!(store.refusal(&Shelf::reference(&server)).await.code(), "unauthorized");
        assert_eq!(thief.seen().len(), 1, "its challenge is not answered");
        assert_eq!(thief.seen()[0].header("authorization"), None);
    }

    // Nor after it leads back: the way was chosen by somebody else.
    let shelf = Shelf::with_actor(&wasm(2_000, 1));
    let back = Arc::new(std::sync::Mutex::new(String::new()));
    let lead = back.clone();
    let middle = Server::start(move |_| Answer::new(302, "").with("location", lead.lock().expect("set").clone())).await;
    let place = middle.url("/");
    let server = Server::start(move |seen| match (seen.header("authorization"), seen.path.as_str()) {
        (_, "/back") => Answer::new(302, "").with("location", "/further"),
        (None, path) if path != "/further" => Answer::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
        (Some(_), "/v2/demo/manifests/1") => Answer::new(302, "").with("location", place.clone()),
        _ => shelf.answer(seen),
    })
    .await;
    *back.lock().expect("set") = server.url("/back");
    let store = Store::new(registry_as(&server, Credentials::basic("ada", "hunter2")));
    assert_eq!(store.refusal(&Shelf::reference(&server)).await.code(), "not_found");
    let last = server.seen().pop().expect("a request");
    assert_eq!((last.path.as_str(), last.header("authorization")), ("/further", None));
}

#[tokio::test]
async fn redirects_end() {
    let (error, seen) = refused(|| Answer::new(302, "").with("location", "/v2/demo/manifests/1")).await;
    assert_eq!((error.code(), seen), ("redirect_loop", 1), "to itself");

    let hops = Arc::new(AtomicUsize::new(0));
    let (error, seen) =
        refused(move || Answer::new(302, "").with("location", format!("/{}", hops.fetch_add(1, Ordering::SeqCst))))
            .await;
    assert_eq!((error.code(), seen), ("redirect_loop", 6), "ever on");
    assert!(error.next_step().contains("whoever runs the registry"), "{}", error.next_step());
}

#[tokio::test]
async fn redirects_to_nowhere_are_refused() {
    let (error, _) = refused(|| Answer::new(302, "")).await;
    assert_eq!(error.code(), "unexpected_answer");
    let (error, _) = refused(|| Answer::new(302, "").with("location", "file:///etc/passwd")).await;
    assert_eq!(error.code(), "insecure_redirect");
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let mut server = Server::start(|_| Answer::new(200, "{}")).await;
    let registry = registry(&server);
    registry.ping(&server.authority()).await.expect("there");
    server.stop().await;
    let error = registry.ping(&server.authority()).await.expect_err("gone");
    assert_eq!(error.code(), "registry_unreachable");
    assert!(error.is_away() && error.next_step().contains("NO_PROXY"), "{}", error.next_step());
    assert!(common::chain(&error).contains("refused"), "{}", common::chain(&error));
    for bad in ["", "no host", ":5000"] {
        assert_eq!(registry.ping(bad).await.map_err(|error| error.code()), Err("bad_registry"), "{bad}");
    }
}
