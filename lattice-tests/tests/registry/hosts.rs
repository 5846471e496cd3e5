//! Hosts that fetch from a registry: once for many, again never, and from the cache when the registry is away.

use std::fs;

use artifacts::Digest;
use lattice_tests::{Access, Actor, Registry, Signed, Signer};

use crate::wash::{Wash, flags, words};

/// Pushes an actor; its reference and the digest of its content.
fn push(wash: &Wash, registry: &Registry, signed: &Signed<claims::ActorId>, name: &str) -> (String, Digest) {
    let reference = registry.reference(name);
    let flags = flags(registry, Access::default());
    wash.json(&words(&["push", &reference, &signed.path.display().to_string()], &flags));
    (reference, Digest::of(&fs::read(&signed.path).expect("what was pushed")))
}

/// How often the registry has given out a blob.
fn downloads(registry: &Registry, digest: &Digest) -> usize {
    let request = format!("/blobs/{digest} HTTP/1.1\" 200");
    registry.log().lines().filter(|line| line.contains("\"GET /v2/") && line.contains(&request)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_that_start_one_reference_at_once_download_it_once() {
    let Some(registry) = Registry::start().await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let (reference, digest) = push(&wash, &registry, &signer.actor(Actor::Echo), "acme/echo:1");
    assert_eq!(downloads(&registry, &digest), 0, "pushing fills no cache");
    let insecure = ["--allowed-insecure".to_owned(), registry.authority()];
    let allowed: Vec<&str> = insecure.iter().map(String::as_str).collect();
    let (_a, _b) = (wash.up("a", &allowed).await, wash.up("b", &allowed).await);
    std::thread::scope(|scope| {
        let start = |host: &'static str| {
            let (wash, reference) = (&wash, &reference);
            scope.spawn(move || wash.json(&["start", "actor", reference, "--socket", &wash.socket(host)]))
        };
        let starts = [start("a"), start("b"), start("a"), start("b")];
        for started in starts {
            let started = started.join().expect("it starts");
            assert_eq!(started["actor_ref"], reference.as_str());
        }
    });
    assert_eq!(downloads(&registry, &digest), 1, "one download for all:\n{}", registry.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_works_from_the_cache_when_the_registry_is_away() {
    let Some(mut registry) = Registry::start().await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let (reference, _) = push(&wash, &registry, &signer.actor(Actor::Echo), "acme/echo:1");
    let (other, _) = push(&wash, &registry, &signer.actor(Actor::Hello), "acme/hello:1");
    let _host = wash.up("host", &["--allowed-insecure", &registry.authority()]).await;
    let started = wash.json(&["start", "actor", &reference]);
    wash.json(&["stop", "actor", started["actor_id"].as_str().expect("an id")]);

    registry.kill().await;
    let again = wash.json(&["start", "actor", &reference]);
    assert_eq!(again["actor_id"], started["actor_id"]);
    let failure = wash.output(&["start", "actor", &other]);
    assert_eq!(failure.status.code(), Some(1), "what was never fetched cannot be started");
    let said = String::from_utf8_lossy(&failure.stderr).into_owned();
    assert!(said.contains(&registry.authority()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_is_cached_is_started_without_asking_the_registry() {
    let Some(registry) = Registry::start().await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let echo = signer.actor(Actor::Echo);
    let reference = registry.reference("acme/echo:1");
    let file = echo.path.display().to_string();
    let pushed = wash.json(&["push", &reference, &file, "--insecure"]);
    let digest = pushed["digest"].as_str().expect("a digest");
    let by_digest = registry.reference(&format!("acme/echo@{digest}"));
    wash.json(&["pull", &by_digest, "--insecure"]); // into the cache that hosts share
    let before = registry.log().len();
    let _host = wash.up("host", &["--allowed-insecure", &registry.authority()]).await;
    assert_eq!(wash.json(&["start", "actor", &by_digest])["actor_id"], echo.id.as_str());
    assert_eq!(&registry.log()[before..], "", "nobody was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moved_is_noticed() {
    let Some(registry) = Registry::start().await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let (first, second) = (signer.actor(Actor::Echo), signer.actor(Actor::Echo));
    let (reference, _) = push(&wash, &registry, &first, "acme/echo:1");
    let _host = wash.up("host", &["--allowed-insecure", &registry.authority()]).await;
    let started = wash.json(&["start", "actor", &reference]);
    assert_eq!(started["actor_id"], first.id.as_str());
    wash.json(&["stop", "actor", first.id.as_str()]);
    push(&wash, &registry, &second, "acme/echo:1");
    assert_eq!(wash.json(&["start", "actor", &reference])["actor_id"], second.id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_uses_its_credentials_and_its_certificates_and_refuses_latest() {
    let access = Access { password: true, tls: true };
    let Some(registry) = Registry::start_with(access).await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let echo = signer.actor(Actor::Echo);
    let flags = flags(&registry, access);
    let (reference, latest) = (registry.reference("acme/echo:1"), registry.reference("acme/echo:latest"));
    let file = echo.path.display().to_string();
    wash.json(&words(&["push", &reference, &file], &flags));
    wash.json(&words(&["push", &latest, &file, "--allow-latest"], &flags));

    let ca = registry.ca_file().display().to_string();
    let authority = registry.authority();
    let host = wash
        .up(
            "host",
            &[
                "--registry-ca",
                &ca,
                "--oci-registry",
                &authority,
                "--oci-user",
                Registry::USER,
                "--oci-password",
                Registry::PASSWORD,
            ],
        )
        .await;
    assert_eq!(wash.json(&["start", "actor", &reference])["actor_id"], echo.id.as_str());
    let refused = wash.output(&["start", "actor", &latest]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("latest"), "{said}");
    assert!(!host.log().contains(Registry::PASSWORD), "the password is in the log");
}
