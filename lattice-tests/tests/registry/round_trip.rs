//! Everything that can be pushed comes back as it was, by tag and by digest, however the registry is protected.

use std::{fs, path::PathBuf};

use lattice_tests::{Access, Actor, Registry, Signer};

use crate::wash::{Wash, flags, words};

struct Pushed {
    name: &'static str,
    file: PathBuf,
    form: &'static [&'static str],
    /// Which member of `wash inspect` has the id, and the id.
    id: (&'static str, String),
}

fn artifacts(signer: &Signer) -> Vec<Pushed> {
    let (module, component) = (signer.actor(Actor::Echo), signer.actor(Actor::Hello));
    let provider = signer.provider(b"#!/bin/sh\nexit 0\n", "acme:kv");
    let actor = |name, signed: &lattice_tests::Signed<claims::ActorId>, form| Pushed {
        name,
        file: signed.path.clone(),
        form,
        id: ("module", signed.id.to_string()),
    };
    vec![
        actor("module", &module, &[]),
        actor("component", &component, &[]),
        Pushed { name: "archive", file: provider.path.clone(), form: &[], id: ("service", provider.id.to_string()) },
        actor("plain", &module, &["--wasm"]),
        actor("image", &component, &["--image"]),
    ]
}

async fn everything_comes_back(access: Access) {
    let Some(registry) = Registry::start_with(access).await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let flags = flags(&registry, access);
    for artifact in artifacts(&signer) {
        let Pushed { name, file, form, id } = artifact;
        let tagged = registry.reference(&format!("acme/{name}:0.1.0"));
        let shown = file.display().to_string();
        let mut push = vec!["push", &tagged, &shown];
        push.extend(form);
        let pushed = wash.json(&words(&push, &flags));
        assert_eq!(pushed["url"], tagged.as_str());
        let digest = pushed["digest"].as_str().expect("the digest of the manifest").to_owned();
        let by_digest = registry.reference(&format!("acme/{name}@{digest}"));

        let bytes = fs::read(&file).expect("what was pushed");
        for reference in [&tagged, &by_digest] {
            let pull = ["pull", reference, "--destination", "back", "--no-cache", "--digest", &digest];
            let pulled = wash.json(&words(&pull, &flags));
            assert_eq!((&pulled["file"], &pulled["digest"]), (&"back".into(), &digest.as_str().into()));
            assert!(wash.read("back") == bytes, "{name} by `{reference}` is not what was pushed");
            let inspected = wash.json(&words(&["inspect", reference, "--no-cache"], &flags));
            assert_eq!(inspected[id.0], id.1.as_str(), "{name}: {inspected}");
        }
        // What wash cached on the way is what it had pushed, too.
        wash.json(&words(&["pull", &tagged], &flags));
        let default = if name == "archive" { "archive.par.gz".to_owned() } else { format!("{name}.wasm") };
        assert!(wash.read(&default) == bytes, "{name} out of the cache is not what was pushed");
    }
    assert_eq!(wash.json(&words(&["reg", "ping", &registry.authority()], &flags))["result"], "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn through_an_open_registry() {
    everything_comes_back(Access::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_registry_with_a_password() {
    everything_comes_back(Access { password: true, tls: false }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_registry_with_tls() {
    everything_comes_back(Access { password: false, tls: true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_registry_with_tls_and_a_password() {
    everything_comes_back(Access { password: true, tls: true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_and_configuration_are_in_the_manifest() {
    let Some(registry) = Registry::start().await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let (file, reference) = (signer.actor(Actor::Echo).path, registry.reference("acme/noted:1"));
    let config = signer.write("config.json", br#"{"from":"a test"}"#);
    let pushed = wash.json(&[
        "reg",
        "push",
        &reference,
        &file.display().to_string(),
        "--insecure",
        "-a",
        "team=acme",
        "--annotation",
        "a=b=c",
        "-c",
        &config.display().to_string(),
    ]);
    let digest = pushed["digest"].as_str().expect("a digest");
    let manifest = registry.get(&format!("/v2/acme/noted/manifests/{digest}")).await;
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("a manifest");
    assert_eq!(manifest["annotations"], serde_json::json!({"team": "acme", "a": "b=c"}));
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasmcloud.actor.archive.config");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.module.wasm.content.layer.v1+wasm");
    let config = manifest["config"]["digest"].as_str().expect("a digest");
    assert_eq!(registry.get(&format!("/v2/acme/noted/blobs/{config}")).await, r#"{"from":"a test"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_is_pushed_and_pulled_only_when_that_is_said() {
    let Some(registry) = Registry::start().await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let file = signer.actor(Actor::Echo).path.display().to_string();
    let latest = registry.reference("acme/echo");
    wash.json(&["push", &latest, &file, "--insecure", "--allow-latest"]);
    let failure = wash.failure(&["pull", &latest, "--insecure"]);
    assert!(failure["hint"].as_str().is_some_and(|hint| hint.contains("--allow-latest")), "{failure}");
    wash.json(&["pull", &latest, "--insecure", "--allow-latest"]);
    wash.failure(&["inspect", &registry.reference("acme/echo:latest"), "--insecure"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_pushed_is_named_and_a_wrong_digest_writes_nothing() {
    let Some(registry) = Registry::start().await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let file = signer.actor(Actor::Echo).path.display().to_string();
    let reference = registry.reference("acme/echo:1");
    let failure = wash.failure(&["pull", &reference, "--insecure"]);
    assert!(failure.to_string().contains("acme/echo"), "{failure}");
    wash.json(&["push", &reference, &file, "--insecure"]);
    wash.failure(&["pull", &registry.reference("acme/echo:2"), "--insecure"]);
    let wrong = format!("sha256:{}", "0".repeat(64));
    let output = wash.output(&["pull", &reference, "--insecure", "-d", &wrong]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!wash.path("echo.wasm").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_registry_away_the_cache_answers_and_says_so() {
    let Some(mut registry) = Registry::start().await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let file = signer.actor(Actor::Echo).path;
    let reference = registry.reference("acme/echo:1");
    wash.json(&["push", &reference, &file.display().to_string(), "--insecure"]);
    wash.json(&["pull", &reference, "--insecure"]);
    registry.kill().await;
    let pulled = wash.json(&["pull", &reference, "--insecure", "--destination", "again.wasm"]);
    assert!(pulled["notes"][0].as_str().is_some_and(|note| note.contains("away")), "{pulled}");
    assert!(wash.read("again.wasm") == fs::read(&file).expect("what was pushed"));
    wash.failure(&["pull", &reference, "--insecure", "--no-cache"]);
    wash.json(&["drain", "oci"]);
    wash.failure(&["pull", &reference, "--insecure"]);
}
