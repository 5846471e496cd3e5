//! Pushing: what is sent, where it goes, and how it fails.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use artifacts::{Credentials, PushContent, Silent};
use common::{Answer, Server, Shelf, registry, registry_as, wasm};

const DENIED: &str = r#"{"errors":[{"code":"DENIED","message":"not for you"}]}"#;

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
            artifacts::RegistryOptions { insecure: vec![authority.clone()], retries: 0, ..common::hurried(&like) };
        let registry = artifacts::Registry::new(options).expect("a client");
        let reference = artifacts::Reference::parse(&format!("{authority}/demo:1"), None).expect("a reference");
        let began = std::time::Instant::now();
        let pushed = registry.push(&reference, &PushContent::actor(wasm(24 << 20, 1)), &Silent).await;
        server.abort();
        (pushed.map(drop).map_err(|error| error.code()), began.elapsed())
    };
    let idle = std::time::Duration::from_secs(1);
    let (pushed, took) = push(Some(std::time::Duration::from_millis(30))).await;
    assert_eq!(pushed, Ok(()));
    assert!(took > idle, "slow enough to tell: {took:?}");
    assert_eq!(push(None).await.0, Err("registry_timeout"));
}
