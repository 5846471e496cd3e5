//! Manifests and indexes: which are read, which are refused, and what is chosen.

mod common;

use artifacts::Digest;
use artifacts::manifest::{self, Document, ManifestError, Platform};
use common::{Shelf, Store, wasm};
use serde_json::{Value, json};

const ACTOR_LAYER: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
const ACTOR_CONFIG: &str = "application/vnd.wasmcloud.actor.archive.config";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Layers of this type are all the same in these tests.
const WASM_TWICE: &str = "application/wasm";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn blob(media_type: &str) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(b"x").to_string(), "size": 1 })
}

fn manifest() -> Value {
    json!({ "schemaVersion": 2, "config": blob(ACTOR_CONFIG), "layers": [blob(ACTOR_LAYER)] })
}

fn parse(document: &Value) -> Result<Document, &'static str> {
    manifest::parse(document.to_string().as_bytes()).map_err(|error| error.code())
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut document = manifest();
    match document.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => document[pointer.trim_start_matches('/')] = value,
    }
    document
}

#[test]
fn manifests_of_all_makers_are_read() {
    for media_type in [OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"] {
        let Ok(Document::Manifest(read)) = parse(&changed("/mediaType", json!(media_type))) else {
            panic!("{media_type}")
        };
        assert_eq!((read.layers.len(), read.layers[0].media_type.as_str()), (1, ACTOR_LAYER));
        assert_eq!((read.layers[0].digest, read.layers[0].size), (Digest::of(b"x"), 1));
    }
    let with_more = changed("/artifactType", json!("application/vnd.test"));
    assert!(
        matches!(parse(&with_more), Ok(Document::Manifest(read)) if read.artifact_type.as_deref() == Some("application/vnd.test"))
    );
    let null_annotations = changed("/annotations", Value::Null);
    assert!(parse(&null_annotations).is_ok(), "some tools write null");
}

#[test]
fn what_is_no_manifest_has_its_word() {
    let code = |text: &str| manifest::parse(text.as_bytes()).map_err(|error| error.code());
    assert_eq!(code(""), Err("manifest_unreadable"));
    assert_eq!(code("<html>"), Err("manifest_unreadable"));
    assert_eq!(code(&"[".repeat(100_000)), Err("manifest_unreadable"));
    assert_eq!(code(r#"{"schemaVersion":2,"schemaVersion":2,"layers":[]}"#), Err("manifest_unreadable"), "said twice");
    assert_eq!(parse(&changed("/schemaVersion", json!(1))), Err("manifest_version"));
    assert_eq!(parse(&json!({ "schemaVersion": 2, "mediaType": "application/vnd.new" })), Err("manifest_type"));
    assert_eq!(parse(&changed("/mediaType", json!("application/vnd.new"))), Err("manifest_type"));
    assert_eq!(parse(&changed("/mediaType", json!(OCI_INDEX))), Err("manifest_type"), "says it is something else");
    assert_eq!(parse(&changed("/manifests", json!([]))), Err("manifest_ambiguous"));
    assert_eq!(parse(&changed("/layers", json!([]))), Err("manifest_without_layers"));
    assert_eq!(parse(&changed("/layers/0/size", json!(-1))), Err("manifest_unreadable"));
    assert_eq!(
        parse(&changed("/config/digest", json!(format!("sha512:{}", "0".repeat(128))))),
        Err("digest_algorithm")
    );
    assert!(parse(&changed("/layers/0/digest", json!("sha256:12"))).is_err());
    assert!(parse(&changed("/layers/0/digest", json!("../../etc/passwd"))).is_err());
}

#[test]
fn refusals_do_not_grow_with_what_they_refuse() {
    let long = json!("x".repeat(1 << 20));
    for place in ["/layers", "/config", "/schemaVersion", "/layers/0/digest", "/layers/0/mediaType"] {
        let document = changed(place, long.clone()).to_string();
        if let Err(error) = manifest::parse(document.as_bytes()) {
            let shown = common::chain(&error);
            assert!(shown.len() < 1000, "{place}: {} bytes", shown.len());
        }
    }
    let error =
        artifacts::image::parse_config(json!({ "config": long }).to_string().as_bytes()).expect_err("no config");
    assert!(common::chain(&error).len() < 1000);
}

#[test]
fn lists_have_their_bounds() {
    let layers = |count| vec![blob(ACTOR_LAYER); count];
    assert!(parse(&changed("/layers", json!(layers(manifest::MAX_LAYERS)))).is_ok());
    assert_eq!(parse(&changed("/layers", json!(layers(manifest::MAX_LAYERS + 1)))), Err("manifest_too_long"));
    let index = |count| json!({ "schemaVersion": 2, "manifests": vec![blob(OCI_MANIFEST); count] });
    assert!(parse(&index(manifest::MAX_ENTRIES)).is_ok());
    assert_eq!(parse(&index(manifest::MAX_ENTRIES + 1)), Err("manifest_too_long"));
}

/// The platform that is chosen from these, on `linux/amd64`.
fn chosen(platforms: &[&str]) -> Result<String, &'static str> {
    let entry = |platform: &&str| {
        let mut entry = blob(OCI_MANIFEST);
        if let Some((os, architecture)) = platform.split_once('/') {
            entry["platform"] = json!({ "os": os, "architecture": architecture });
        }
        entry
    };
    let index = json!({ "schemaVersion": 2, "manifests": platforms.iter().map(entry).collect::<Vec<_>>() });
    let Ok(Document::Index(index)) = parse(&index) else { panic!("an index") };
    let here = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() };
    let entry = index.choose(&here).map_err(|error: ManifestError| error.code())?;
    Ok(entry.platform.as_ref().map_or_else(|| "none".to_owned(), Platform::to_string))
}

#[test]
fn wasm_is_chosen_before_this_machine_and_nothing_else_is() {
    assert_eq!(chosen(&["linux/arm64", "linux/amd64"]).as_deref(), Ok("linux/amd64"));
    assert_eq!(chosen(&["linux/amd64", "wasi/wasm"]).as_deref(), Ok("wasi/wasm"));
    assert_eq!(chosen(&["wasip1/wasm", "wasip2/wasm"]).as_deref(), Ok("wasip2/wasm"));
    assert_eq!(chosen(&["unknown/unknown", "js/wasm"]).as_deref(), Ok("js/wasm"));
    for name in ["wasi/wasm32", "wasip1/wasm32", "wasip2/wasm32", "wasi/wasm64", "wasip2/wasm64", "wasi/unknown"] {
        assert_eq!(chosen(&["linux/amd64", name]).as_deref(), Ok(name));
    }
    assert_eq!(chosen(&["wasi/wasm64", "wasi/wasm32"]).as_deref(), Ok("wasi/wasm32"));
    assert_eq!(chosen(&["wasi/wasm32", "wasip2/wasm64"]).as_deref(), Ok("wasip2/wasm64"));
    assert_eq!(chosen(&["none"]).as_deref(), Ok("none"), "the only one, and it does not say");
    assert_eq!(chosen(&["none", "none"]), Err("no_platform"));
    assert_eq!(chosen(&["linux/arm64", "windows/amd64", "unknown/unknown"]), Err("no_platform"));
    assert_eq!(chosen(&[]), Err("no_platform"));
}

#[tokio::test]
async fn an_index_leads_to_what_runs_here() {
    let actor = wasm(2_000, 1);
    let mut shelf = Shelf::default();
    let layer = shelf.layer(ACTOR_LAYER, actor.clone());
    let manifest = shelf.artifact("amd64", ACTOR_CONFIG, &[layer]);
    let entry = json!({
        "mediaType": OCI_MANIFEST, "digest": manifest.to_string(), "size": shelf.manifest_len(&manifest),
        "platform": { "os": "wasi", "architecture": "wasm" },
    });
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry] });
    let index = shelf.manifest("1", index.to_string().as_bytes());
    let server = shelf.serve().await;
    let store = Store::of(&server);
    let fetched = store.fetch(&Shelf::reference(&server)).await.expect("an actor");
    assert_eq!((fetched.bytes, fetched.manifest_digest, fetched.platform_digest), (actor.clone(), index, manifest));
    assert_eq!(
        store.fetch(&Shelf::reference(&server)).await.expect("again").digests(),
        [Digest::of(&actor), index, manifest]
    );

    // Either digest pins it, and neither asks anybody.
    let before = server.seen().len();
    for digest in [index, manifest] {
        store.fetch(&Shelf::pinned(&server, digest)).await.expect("cached");
    }
    assert_eq!(server.seen().len(), before);
}

async fn through_index(entry: impl Fn(&mut Shelf, Digest) -> Value) -> (String, String) {
    let mut shelf = Shelf::default();
    let layer = shelf.layer(ACTOR_LAYER, wasm(2_000, 1));
    let manifest = shelf.artifact("other", ACTOR_CONFIG, &[layer]);
    let entry = entry(&mut shelf, manifest);
    shelf.manifest("1", json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().as_bytes());
    let server = shelf.serve().await;
    let error = Store::of(&server).refusal(&Shelf::reference(&server)).await;
    (error.code().to_owned(), error.next_step())
}

#[tokio::test]
async fn an_index_that_leads_nowhere_says_so() {
    let platform = |os: &str, architecture: &str| json!({ "os": os, "architecture": architecture });
    let (code, next_step) = through_index(|_, manifest| {
        json!({ "mediaType": OCI_MANIFEST, "digest": manifest.to_string(), "size": 1, "platform": platform("plan9", "mips") })
    })
    .await;
    assert_eq!(code, "no_platform");
    assert!(next_step.contains(&Platform::here().to_string()), "{next_step}");

    let (code, _) = through_index(|_, manifest| {
        json!({ "mediaType": OCI_INDEX, "digest": manifest.to_string(), "size": 1, "platform": platform("wasi", "wasm") })
    })
    .await;
    assert_eq!(code, "index_in_index", "admitted");

    let (code, _) = through_index(|shelf, _| {
        let inner = json!({ "schemaVersion": 2, "manifests": [] }).to_string();
        let digest = shelf.manifest("inner", inner.as_bytes());
        json!({ "mediaType": OCI_MANIFEST, "digest": digest.to_string(), "size": inner.len(), "platform": platform("wasi", "wasm") })
    })
    .await;
    assert_eq!(code, "index_in_index", "found out");

    let (code, _) = through_index(|_, manifest| {
        json!({ "mediaType": OCI_MANIFEST, "digest": manifest.to_string(), "size": 1, "platform": platform("wasi", "wasm") })
    })
    .await;
    assert_eq!(code, "wrong_length");
}

async fn of_layers(config: &str, types: &[&str]) -> Result<bytes::Bytes, String> {
    let mut shelf = Shelf::default();
    let seed = |at: usize, kind| if kind == WASM_TWICE { 0 } else { at as u8 };
    let layers: Vec<_> =
        types.iter().enumerate().map(|(at, kind)| shelf.layer(kind, wasm(3_000, seed(at, *kind)))).collect();
    shelf.artifact("1", config, &layers);
    let server = shelf.serve().await;
    let fetched = Store::of(&server).fetch(&Shelf::reference(&server)).await;
    fetched.map(|fetched| fetched.bytes).map_err(|error| error.to_string())
}

#[tokio::test]
async fn layers_are_the_artifact_or_its_parts_in_order() {
    let first = wasm(3_000, 0);
    for kind in [
        ACTOR_LAYER,
        "application/vnd.wasmcloud.provider.archive.layer.v1+par",
        "application/vnd.oci.image.layer.v1.tar",
        "application/wasm",
    ] {
        assert_eq!(of_layers(ACTOR_CONFIG, &[kind]).await, Ok(first.clone()), "{kind}");
    }
    let whole = [&first[..], &wasm(3_000, 1)[..], &wasm(3_000, 2)[..]].concat();
    assert_eq!(of_layers(ACTOR_CONFIG, &[ACTOR_LAYER; 3]).await, Ok(whole.into()));
    assert_eq!(
        of_layers(ACTOR_CONFIG, &[WASM_TWICE; 2]).await,
        Ok([&first[..], &first[..]].concat().into()),
        "listed twice"
    );
    let refused = of_layers(ACTOR_CONFIG, &["application/vnd.new\u{1b}[2J"]).await.expect_err("unknown");
    assert!(refused.contains("application/vnd.new\u{FFFD}[2J"), "{refused}");
}

#[tokio::test]
async fn webassembly_is_found_whatever_it_is_filed_as_and_whatever_is_beside_it() {
    let first = Ok(wasm(3_000, 0));
    for types in [
        &["application/vnd.wasm.content.layer.v1+wasm"][..],
        &["application/vnd.wasm.component.layer.v0+wasm"],
        &["application/octet-stream"],
        &["application/wasm", "application/spdx+json"],
    ] {
        assert_eq!(of_layers("application/vnd.wasm.config.v0+json", types).await, first, "{types:?}");
    }
    let refused = of_layers(ACTOR_CONFIG, &["application/octet-stream"; 2]).await.expect_err("which of them?");
    assert!(refused.contains("2 of the artifact's layers"), "{refused}");

    // By content, not by place.
    let mut shelf = Shelf::default();
    let layers = [
        shelf.layer("application/octet-stream", b"# Read me\n".as_slice()),
        shelf.layer("application/octet-stream", wasm(3_000, 0)),
    ];
    shelf.artifact("1", ACTOR_CONFIG, &layers);
    let server = shelf.serve().await;
    let store = Store::of(&server);
    assert_eq!(store.fetch(&Shelf::reference(&server)).await.map(|fetched| fetched.bytes).ok(), first.clone().ok());
    assert_eq!(server.count("/blobs/"), 2, "each is asked for once");
    assert_eq!(store.fetch(&Shelf::reference(&server)).await.map(|fetched| fetched.bytes).ok(), first.ok());
}
