//! Where a host takes artifacts from, and which it runs: registries, their cache, and what is allowed.

use artifacts::{Cache, PushContent, Reference, RegistryOptions, Silent};
use claims::ActorId;
use host::HostConfig;
use lattice::control::{RegistryCredential, RegistryCredentials, UpdateActor};
use lattice_tests::{Access, Actor, HTTPSERVER, Registry, Signed, Signer, SingleHost, eventually};

/// Pushes to an open registry; the reference by tag and the one by digest.
async fn push(registry: &Registry, name: &str, content: PushContent) -> (String, String) {
    let options = RegistryOptions { insecure: vec![registry.authority()], ..RegistryOptions::default() };
    let client = artifacts::Registry::new(options).expect("a client");
    let text = registry.reference(name);
    let reference = Reference::parse(&text, None).expect("a reference");
    let pushed = client.push(&reference, &content, &Silent).await.expect("it is pushed");
    let repository = text.rsplit_once(':').expect("a tag").0.to_owned();
    (text, format!("{repository}@{}", pushed.digest))
}

async fn push_actor(registry: &Registry, name: &str, actor: &Signed<ActorId>) -> (String, String) {
    let bytes = std::fs::read(&actor.path).expect("a signed file");
    push(registry, name, PushContent::actor(bytes)).await
}

fn insecure(registry: &Registry) -> impl FnOnce(&mut HostConfig) + use<> {
    let authority = registry.authority();
    move |config| config.artifacts.insecure = vec![authority]
}

/// The reason why a host does not start an actor.
async fn refusal(host: &SingleHost, reference: &str) -> String {
    host.operator.start_actor(&host.id, reference).await.expect_err("it must not start")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_host_without_issuers_refuses_everything_and_says_which_flag_allows() {
    let signer = Signer::default();
    let host = SingleHost::start_with(|config| config.allowed_issuers = Some(Vec::new())).await;
    let reason = refusal(&host, &signer.actor(Actor::Echo).reference()).await;
    assert!(reason.contains("--allowed-issuer") && reason.contains(signer.account().as_str()), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_runs_from_a_registry_by_tag_and_by_digest() {
    let Some(registry) = Registry::start().await else { return };
    let signer = Signer::default();
    let (echo, hello) = (signer.actor(Actor::Echo), signer.actor(Actor::Hello));
    let (tag, _) = push_actor(&registry, "demo/echo:1", &echo).await;
    let (_, digest) = push_actor(&registry, "demo/hello:1", &hello).await;
    let host = SingleHost::start_with(insecure(&registry)).await;
    let shown = format!("oci://{tag}"); // with a scheme, and kept as it was written
    assert_eq!(host.operator.start_actor(&host.id, &shown).await, Ok(echo.id));
    assert_eq!(host.operator.start_actor(&host.id, &digest).await, Ok(hello.id));
    let mut references: Vec<_> =
        host.operator.inventory(&host.id).await.actors.into_iter().filter_map(|actor| actor.image_ref).collect();
    references.sort();
    let mut expected = vec![shown, digest];
    expected.sort();
    assert_eq!(references, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_is_refused_unless_it_is_allowed() {
    let Some(registry) = Registry::start().await else { return };
    let signer = Signer::default();
    let echo = signer.actor(Actor::Echo);
    let (latest, _) = push_actor(&registry, "demo/echo:latest", &echo).await;
    let untagged = registry.reference("demo/echo");
    let host = SingleHost::start_with(insecure(&registry)).await;
    for reference in [&latest, &untagged] {
        let reason = refusal(&host, reference).await;
        assert!(reason.contains("--allow-latest"), "{reason}");
    }
    let change = insecure(&registry);
    let host = SingleHost::start_with(|config| {
        change(config);
        config.artifacts.allow_latest = true;
    })
    .await;
    assert_eq!(host.operator.start_actor(&host.id, &untagged).await, Ok(echo.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_speaks_plain_http_is_refused_unless_it_is_on_the_list() {
    let Some(registry) = Registry::start().await else { return };
    let signer = Signer::default();
    let (tag, _) = push_actor(&registry, "demo/echo:1", &signer.actor(Actor::Echo)).await;
    let host = SingleHost::start().await;
    let reason = refusal(&host, &tag).await;
    assert!(reason.contains("insecure"), "the reason names the next step: {reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_put_at_run_time_open_a_registry() {
    let Some(registry) = Registry::start_with(Access { password: true, tls: false }).await else { return };
    let signer = Signer::default();
    let echo = signer.actor(Actor::Echo);
    let mut book = artifacts::CredentialBook::new();
    book.set(&registry.authority(), artifacts::Credentials::basic(Registry::USER, Registry::PASSWORD));
    let options =
        RegistryOptions { insecure: vec![registry.authority()], credentials: book, ..RegistryOptions::default() };
    let reference = registry.reference("demo/echo:1");
    let content = PushContent::actor(std::fs::read(&echo.path).expect("a signed file"));
    let client = artifacts::Registry::new(options).expect("a client");
    let parsed = Reference::parse(&reference, None).expect("a reference");
    client.push(&parsed, &content, &Silent).await.expect("it is pushed");

    let host = SingleHost::start_with(insecure(&registry)).await;
    let reason = refusal(&host, &reference).await;
    assert!(reason.contains(&registry.authority()), "{reason}");
    let credential = RegistryCredential {
        username: Some(Registry::USER.to_owned()),
        password: Some(Registry::PASSWORD.to_owned()),
        ..RegistryCredential::default()
    };
    let credentials = RegistryCredentials([(registry.authority(), credential)].into());
    host.operator.control.put_registries(&credentials).await.expect("the host takes them");
    assert_eq!(host.operator.start_actor(&host.id, &reference).await, Ok(echo.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_a_certificate_of_our_own_needs_the_authority_that_signed_it() {
    let Some(registry) = Registry::start_with(Access { password: false, tls: true }).await else { return };
    let signer = Signer::default();
    let echo = signer.actor(Actor::Echo);
    let options = RegistryOptions { extra_ca: vec![registry.ca_file()], ..RegistryOptions::default() };
    let client = artifacts::Registry::new(options).expect("a client");
    let text = registry.reference("demo/echo:1");
    let content = PushContent::actor(std::fs::read(&echo.path).expect("a signed file"));
    client.push(&Reference::parse(&text, None).expect("a reference"), &content, &Silent).await.expect("it is pushed");

    let host = SingleHost::start().await;
    let reason = refusal(&host, &text).await;
    assert!(reason.contains("TLS"), "{reason}");
    let ca = registry.ca_file();
    let host = SingleHost::start_with(|config| config.artifacts.extra_ca = vec![ca]).await;
    assert_eq!(host.operator.start_actor(&host.id, &text).await, Ok(echo.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_while_the_registry_is_away_works_from_the_cache() {
    let Some(mut registry) = Registry::start().await else { return };
    let signer = Signer::default();
    let echo = signer.actor(Actor::Echo);
    let (tag, _) = push_actor(&registry, "demo/echo:1", &echo).await;
    let host = SingleHost::start_with(insecure(&registry)).await;
    host.operator.start_actor(&host.id, &tag).await.expect("it starts");
    registry.kill().await;
    let host = host.restart_with(insecure(&registry)).await;
    eventually("the actor, from the cache", || async {
        let running = host.operator.inventory(&host.id).await.actors;
        if running.iter().any(|actor| actor.id == echo.id) { Ok(()) } else { Err("nothing runs") }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_at_a_restart_is_fetched_when_the_registry_is_back() {
    let Some(mut registry) = Registry::start().await else { return };
    let signer = Signer::default();
    let (echo, hello) = (signer.actor(Actor::Echo), signer.actor(Actor::Hello));
    let (echo_tag, _) = push_actor(&registry, "demo/echo:1", &echo).await;
    let (hello_tag, _) = push_actor(&registry, "demo/hello:1", &hello).await;
    let cache = tempfile::tempdir().expect("a directory");
    let (change, directory) = (insecure(&registry), cache.path().to_owned());
    let host = SingleHost::start_with(|config| {
        change(config);
        config.artifacts.cache_dir = directory;
    })
    .await;
    for tag in [&echo_tag, &hello_tag] {
        host.operator.start_actor(&host.id, tag).await.expect("it starts");
    }
    registry.kill().await;
    // Another, empty cache: nothing can be had until the registry is back.
    let host = host.restart_with(insecure(&registry)).await;
    assert!(host.operator.inventory(&host.id).await.actors.is_empty());
    registry.start_again().await;
    eventually("both actors, fetched again", || async {
        let mut running: Vec<ActorId> =
            host.operator.inventory(&host.id).await.actors.iter().map(|actor| actor.id).collect();
        running.sort();
        let mut expected = vec![echo.id, hello.id];
        expected.sort();
        if running == expected { Ok(()) } else { Err(format!("{running:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_damaged_in_the_cache_is_fetched_again_and_never_run() {
    let Some(registry) = Registry::start().await else { return };
    let signer = Signer::default();
    let echo = signer.actor(Actor::Echo);
    let (tag, _) = push_actor(&registry, "demo/echo:1", &echo).await;
    let directory = tempfile::tempdir().expect("a directory");
    let cache = Cache::open(directory.path(), 1 << 30).expect("a cache");
    for damaged in [false, true] {
        let digest = artifacts::Digest::of(&std::fs::read(&echo.path).expect("a signed file"));
        if damaged {
            let blob = directory.path().join("blobs").join(digest.hex());
            std::fs::write(&blob, b"not what it was").expect("damaged");
        }
        let (change, cache_dir) = (insecure(&registry), directory.path().to_owned());
        let host = SingleHost::start_with(|config| {
            change(config);
            config.artifacts.cache_dir = cache_dir;
        })
        .await;
        assert_eq!(host.operator.start_actor(&host.id, &tag).await, Ok(echo.id));
        assert!(cache.get(&digest).is_some(), "the cache is whole, damaged before: {damaged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_since_it_was_started_is_noticed_and_an_update_runs_it() {
    let (host, signer) = (SingleHost::start().await, Signer::default());
    let echo = signer.actor(Actor::Echo);
    let (host_id, reference) = (host.id, echo.reference());
    host.operator.scale(&host_id, &reference, 2).await.expect("it starts");
    host.operator.scale(&host_id, &reference, 3).await.expect("the same file may be scaled");
    let mut bytes = std::fs::read(&echo.path).expect("a signed file");
    let claims = claims::wasm::verify_actor(&bytes, lattice_tests::now()).expect("it is signed").claims;
    bytes = claims::wasm::sign_actor(&Actor::Hello.wasm(), claims, signer.key()).expect("it can be signed");
    std::fs::write(&echo.path, &bytes).expect("built again");

    let reason = host.operator.scale(&host_id, &reference, 4).await.expect_err("it is another file");
    assert!(reason.contains("wash update actor"), "{reason}");
    host.operator.scale(&host_id, &reference, 1).await.expect("fewer of what runs may run");
    let update = UpdateActor {
        actor_id: echo.id,
        new_actor_ref: reference.clone(),
        annotations: [].into(),
        host_id: String::new(),
    };
    host.operator.control.update_actor(&host_id, &update).await.expect("it is updated");
    host.operator.scale(&host_id, &reference, 5).await.expect("what runs is what the file is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_archive_comes_from_a_registry_as_well() {
    let Some(registry) = Registry::start().await else { return };
    let signer = Signer::default();
    let provider = signer.provider(b"#!/bin/sh\nexit 0\n", HTTPSERVER);
    let bytes = std::fs::read(&provider.path).expect("an archive");
    let (tag, _) = push(&registry, "demo/provider:1", PushContent::provider(bytes)).await;
    // A single host cannot talk to a process, which it says after fetching, unpacking and verifying.
    let host = SingleHost::start_with(insecure(&registry)).await;
    let reason = host.operator.start_provider(&host.id, &tag).await.expect_err("there is no NATS");
    assert!(reason.contains("NATS"), "{reason}");
}
