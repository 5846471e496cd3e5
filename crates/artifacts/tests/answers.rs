//! What registries say instead of giving: refusals, challenges, redirects. Each has its own word and its next step.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use artifacts::{Credentials, PushContent, Silent};
use common::{Answer, Content, Server, Shelf, Store, registry, registry_as, wasm};
use data_encoding::BASE64;

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

fn wants_basic(shelf: Shelf, pair: &'static str) -> impl Fn(&common::Seen) -> Answer {
    let expected = format!("Basic {}", BASE64.encode(pair.as_bytes()));
    move |seen| match seen.header("authorization") {
        Some(shown) if shown == expected => shelf.answer(seen),
        _ => Answer::new(401, DENIED).with("www-authenticate", "Basic realm=\"x\""),
    }
}

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
    let thief = Server::start(|_| Answer::new(401, "").with("www-authenticate", "Basic realm=\"x\"")).await;
    let place = thief.url("/");
    let server = Server::start(move |_| Answer::new(302, "").with("location", place.clone())).await;
    let store = Store::new(registry_as(&server, Credentials::basic("ada", "hunter2")));
    assert_eq!(store.refusal(&Shelf::reference(&server)).await.code(), "unauthorized");
    assert!(thief.seen().iter().all(|seen| seen.header("authorization").is_none()));

    // Nor after it leads back: the way was chosen by somebody else.
    let shelf = Shelf::with_actor(&wasm(2_000, 1));
    let back = Arc::new(std::sync::Mutex::new(String::new()));
    let lead = back.clone();
    let middle = Server::start(move |_| Answer::new(302, "").with("location", lead.lock().expect("set").clone())).await;
    let place = middle.url("/");
    let server = Server::start(move |seen| match (seen.header("authorization"), seen.path.as_str()) {
        (None, path) if path != "/back" => Answer::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
        (Some(_), "/v2/demo/manifests/1") => Answer::new(302, "").with("location", place.clone()),
        _ => shelf.answer(seen),
    })
    .await;
    *back.lock().expect("set") = server.url("/back");
    let store = Store::new(registry_as(&server, Credentials::basic("ada", "hunter2")));
    assert_eq!(store.refusal(&Shelf::reference(&server)).await.code(), "not_found");
    let last = server.seen().pop().expect("a request");
    assert_eq!((last.path.as_str(), last.header("authorization")), ("/back", None));
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

/// Takes an upload as the protocol says, in the way `place` says.
fn takes_uploads(place: impl Fn() -> String + Send + Sync + 'static) -> impl Fn(&common::Seen) -> Answer {
    move |seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("HEAD", _) => Answer::new(404, ""),
        ("POST", _) => Answer::new(202, "").with("location", place()),
        _ => Answer::new(201, ""),
    }
}

#[tokio::test]
async fn a_push_uploads_what_is_missing_and_then_the_manifest() {
    let server = Server::start(takes_uploads(|| "/v2/demo/blobs/uploads/7?state=x".to_owned())).await;
    let actor = wasm(300_000, 1);
    let content = PushContent::actor(actor.clone()).annotate("a", "b");
    let progress = common::Counted::default();
    let pushed = registry(&server).push(&Shelf::reference(&server), &content, &progress).await.expect("pushed");
    let puts: Vec<_> = server.seen().into_iter().filter(|seen| seen.method == "PUT").collect();
    assert_eq!(puts.len(), 3);
    let digest = artifacts::Digest::of(&actor).to_string().replace(':', "%3A");
    assert_eq!(puts[0].path, format!("/v2/demo/blobs/uploads/7?state=x&digest={digest}"));
    assert_eq!((&puts[0].body, puts[0].header("content-length")), (&actor, Some("300000")));
    assert_eq!(puts[1].body, "{}");
    assert_eq!(puts[2].path, "/v2/demo/manifests/1");
    assert_eq!(puts[2].header("content-type"), Some("application/vnd.oci.image.manifest.v1+json"));
    assert_eq!(artifacts::Digest::of(&puts[2].body), pushed.digest);
    let members: serde_json::Value = serde_json::from_slice(&puts[2].body).expect("JSON");
    assert_eq!(members["annotations"]["a"], "b");
    assert_eq!(members["layers"][0]["mediaType"], "application/vnd.module.wasm.content.layer.v1+wasm");
    assert_eq!(members.get("mediaType"), None, "older tools write none");
    assert_eq!(pushed.reference.digest(), Some(&pushed.digest));
}

#[tokio::test]
async fn uploads_elsewhere_get_no_credentials_and_a_lie_about_them_is_noticed() {
    let storage = Server::start(|_| Answer::new(201, "")).await;
    let place = storage.url("/upload");
    let honest = takes_uploads(move || place.clone());
    let server = Server::start(move |seen| match seen.header("authorization") {
        None => Answer::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
        Some(_) => honest(seen),
    })
    .await;
    let content = PushContent::actor(wasm(2_000, 1));
    let registry = registry_as(&server, Credentials::basic("ada", "hunter2"));
    registry.push(&Shelf::reference(&server), &content, &Silent).await.expect("pushed");
    assert_eq!(storage.seen().len(), 2);
    assert!(storage.seen().iter().all(|seen| seen.header("authorization").is_none()));

    let other = artifacts::Digest::of(b"other").to_string();
    let server = Server::start(move |seen| match seen.method.as_str() {
        "HEAD" => Answer::new(200, ""),
        _ => Answer::new(201, "").with("docker-content-digest", other.clone()),
    })
    .await;
    let error = common::registry(&server).push(&Shelf::reference(&server), &content, &Silent).await;
    assert_eq!(error.map_err(|error| error.code()), Err("digest_mismatch"));
}

#[tokio::test]
async fn a_push_that_is_refused_or_interrupted() {
    let server = Server::start(|_| Answer::new(403, DENIED)).await;
    let content = PushContent::actor(wasm(2_000, 1));
    let pushed = registry(&server).push(&Shelf::reference(&server), &content, &Silent).await;
    assert_eq!(pushed.map_err(|error| error.code()), Err("forbidden"));

    // An upload that fails half way begins anew.
    let failures = AtomicUsize::new(0);
    let honest = takes_uploads(|| "/v2/demo/blobs/uploads/7".to_owned());
    let server = Server::start(move |seen| match seen.method.as_str() {
        "PUT" if failures.fetch_add(1, Ordering::SeqCst) == 0 => Answer::new(502, ""),
        _ => honest(seen),
    })
    .await;
    registry(&server).push(&Shelf::reference(&server), &content, &Silent).await.expect("pushed in the end");
    assert_eq!(server.seen().iter().filter(|seen| seen.method == "POST").count(), 3);

    let pinned = Shelf::pinned(&server, artifacts::Digest::of(b"other"));
    let pushed = registry(&server).push(&pinned, &content, &Silent).await;
    assert_eq!(pushed.map_err(|error| error.code()), Err("digest_mismatch"), "not what the reference says");
}

/// A registry that reads what is uploaded slowly, `pause` between mouthfuls; none at all is read without one.
async fn slow(pause: Option<std::time::Duration>) -> (String, tokio::task::JoinHandle<()>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let authority = listener.local_addr().expect("an address").to_string();
    let serve = async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut buffer = vec![0; 512 << 10];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    let head = String::from_utf8_lossy(&buffer[..count]).into_owned();
                    let answer = match head.split(' ').next() {
                        Some("HEAD") => "404 Not Found\r\ncontent-length: 0",
                        Some("POST") => "202 Accepted\r\nlocation: /upload\r\ncontent-length: 0",
                        _ => {
                            let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next());
                            let length: usize = length.and_then(|text| text.trim().parse().ok()).expect("a length");
                            let mut left = length - (count - head.find("\r\n\r\n").expect("a head") - 4);
                            while left > 0 {
                                match pause {
                                    Some(pause) => tokio::time::sleep(pause).await,
                                    None => std::future::pending().await,
                                }
                                left -= stream.read(&mut buffer).await.expect("more");
                            }
                            "201 Created\r\ncontent-length: 0"
                        }
                    };
                    let answer = format!("HTTP/1.1 {answer}\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.expect("answered");
                }
            });
        }
    };
    (authority, tokio::spawn(serve))
}

#[tokio::test]
async fn an_upload_may_take_long_but_not_stand_still() {
    let push = async |pause| {
        let (authority, server) = slow(pause).await;
        let like = Server::start(|_| Answer::new(200, "")).await;
        let options =
            artifacts::RegistryOptions { insecure: vec![authority.clone()], retries: 0, ..common::options(&like) };
        let registry = artifacts::Registry::new(options).expect("a client");
        let reference = artifacts::Reference::parse(&format!("{authority}/demo:1"), None).expect("a reference");
        let began = std::time::Instant::now();
        let pushed = registry.push(&reference, &PushContent::actor(wasm(24 << 20, 1)), &Silent).await;
        server.abort();
        (pushed.map(drop).map_err(|error| error.code()), began.elapsed())
    };
    let idle = std::time::Duration::from_millis(500);
    let (pushed, took) = push(Some(std::time::Duration::from_millis(15))).await;
    assert_eq!(pushed, Ok(()));
    assert!(took > idle, "slow enough to tell: {took:?}");
    assert_eq!(push(None).await.0, Err("registry_timeout"));
}
