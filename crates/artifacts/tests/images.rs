//! Images with one wasm file, and images that are something else.

mod common;

use std::io::Write;

use artifacts::image::{self, ImageConfig, Limits, WasmFile};
use artifacts::{PushContent, Reference};
use bytes::Bytes;
use common::{Server, Shelf, Store, wasm};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tar::{Builder, EntryType, Header};

fn entry(kind: EntryType, name: &str, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    // Past the checks of the writer, as a forger would.
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, bytes) in files {
        tar.append(&entry(EntryType::Regular, name, bytes.len() as u64), *bytes).expect("to memory");
    }
    tar.into_inner().expect("to memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).expect("to memory");
    gzip.finish().expect("to memory")
}

fn only(layers: &[&[u8]]) -> Result<WasmFile, &'static str> {
    image::single_wasm_file(layers.iter().copied(), Limits::default()).map_err(|error| error.code())
}

#[test]
fn the_only_file_of_all_layers_is_found_plain_or_gzipped() {
    let wasm = wasm(5_000, 1);
    let mut with_directories = Builder::new(Vec::new());
    with_directories.append(&entry(EntryType::Directory, "./app/", 0), &[][..]).expect("to memory");
    with_directories.append(&entry(EntryType::Regular, "./app/echo.wasm", 5_000), &wasm[..]).expect("to memory");
    let with_directories = with_directories.into_inner().expect("to memory");
    let empty = tar(&[]);
    let found = Ok(WasmFile { path: "app/echo.wasm".to_owned(), bytes: wasm.clone() });
    assert_eq!(only(&[&with_directories]), found);
    assert_eq!(only(&[&gzip(&with_directories)]), found);
    assert_eq!(only(&[&empty, &gzip(&with_directories), &gzip(&empty)]), found);
    // A file cut in two halves of a gzip stream is still one.
    let (first, second) = with_directories.split_at(700);
    assert_eq!(only(&[&[gzip(first), gzip(second)].concat()]), found);
}

#[test]
fn what_else_is_in_an_image_is_refused_by_name() {
    let wasm = wasm(5_000, 1);
    let two = tar(&[("a.wasm", &wasm), ("b.wasm", &wasm)]);
    assert_eq!(only(&[&two]), Err("image_two_files"));
    assert_eq!(only(&[&tar(&[("a.wasm", &wasm)]), &tar(&[("a.wasm", &wasm)])]), Err("image_two_files"), "over layers");
    assert_eq!(only(&[&tar(&[("a.wasm", &wasm), ("etc/passwd", b"x")])]), Err("image_two_files"));
    assert_eq!(only(&[&tar(&[("bin/sh", b"\x7fELF")])]), Err("image_not_wasm"));
    assert_eq!(only(&[&tar(&[("a.wasm", b"\0as")])]), Err("image_not_wasm"));
    assert_eq!(only(&[&tar(&[(".wh.a.wasm", b"")])]), Err("image_not_wasm"));
    assert_eq!(only(&[&tar(&[])]), Err("image_without_wasm"));
    assert_eq!(only(&[]), Err("image_without_wasm"));
    for name in ["../a.wasm", "app/../../a.wasm", "..", "a\\..\\b.wasm"] {
        assert_eq!(only(&[&tar(&[(name, &wasm)])]), Err("image_bad_name"), "{name}");
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let mut forged = Builder::new(Vec::new());
        let mut header = entry(kind, "a.wasm", 0);
        header.set_link_name("/etc/passwd").expect("short");
        header.set_cksum();
        forged.append(&header, &[][..]).expect("to memory");
        assert_eq!(only(&[&forged.into_inner().expect("to memory")]), Err("image_not_a_file"), "{kind:?}");
    }
}

#[test]
fn damage_is_damage() {
    let wasm = wasm(5_000, 1);
    let whole = tar(&[("a.wasm", &wasm)]);
    assert_eq!(only(&[&whole[..3_000]]), Err("image_unreadable"), "cut short");
    assert_eq!(only(&[&gzip(&whole)[..200]]), Err("image_unreadable"));
    assert_eq!(only(&[b"\x1f\x8bnothing"]), Err("image_unreadable"));
    assert_eq!(only(&[&[b'x'; 600]]), Err("image_unreadable"));
    let mut sparse = entry(EntryType::GNUSparse, "a.wasm", 0);
    sparse.as_gnu_mut().expect("a GNU header").realsize = *b"100000000000"; // 10 GiB and more, of nothing
    sparse.set_cksum();
    let mut forged = Builder::new(Vec::new());
    forged.append(&sparse, &[][..]).expect("to memory");
    let forged = forged.into_inner().expect("to memory");
    assert!(matches!(only(&[&forged]), Err("image_not_a_file" | "image_unreadable")));
}

#[test]
fn bombs_do_not_go_off() {
    let limits = Limits { unpacked_bytes: 1 << 20, entries: 4 };
    let code = |layer: &[u8]| image::single_wasm_file([layer], limits).map(drop).map_err(|error| error.code());
    let zeros = vec![0u8; 64 << 20];
    let bomb = gzip(&[&tar(&[("a.wasm", b"\0asm")])[..1024], &zeros].concat());
    assert!(bomb.len() < 1 << 20, "small outside");
    // The tar ends at its zeros, so these are never even unpacked; a file of them is.
    assert_eq!(code(&bomb), Ok(()));
    let mut file = b"\0asm".to_vec();
    file.extend_from_slice(&zeros);
    assert_eq!(code(&gzip(&tar(&[("a.wasm", &file)]))), Err("image_too_large"));
    assert_eq!(code(&tar(&[("a.wasm", &file)])), Err("image_too_large"));
    // A name that is longer than all that may be unpacked, and a directory with a body.
    for kind in [EntryType::GNULongName, EntryType::XHeader, EntryType::Directory] {
        let mut long = Builder::new(Vec::new());
        long.append(&entry(kind, "a", zeros.len() as u64), &zeros[..]).expect("to memory");
        long.append(&entry(EntryType::Regular, "a.wasm", 4), &b"\0asm"[..]).expect("to memory");
        assert_eq!(code(&gzip(&long.into_inner().expect("to memory"))), Err("image_too_large"), "{kind:?}");
    }
    let mut lie = Builder::new(Vec::new());
    lie.append(&entry(EntryType::Regular, "a.wasm", 900_000), &b"\0asm"[..]).expect("to memory");
    assert_eq!(code(&lie.into_inner().expect("to memory")), Err("image_unreadable"), "announced, not there");
    let exact = tar(&[("a.wasm", &wasm((1 << 20) - 512 - 1024, 1))]);
    assert_eq!(exact.len(), 1 << 20);
    assert_eq!(code(&exact), Ok(()), "exactly at the bound");

    let mut many = Builder::new(Vec::new());
    for _ in 0..5 {
        many.append(&entry(EntryType::Directory, "a/", 0), &[][..]).expect("to memory");
    }
    assert_eq!(code(&many.into_inner().expect("to memory")), Err("image_too_many_entries"));
}

fn config(text: &str) -> ImageConfig {
    image::parse_config(text.as_bytes()).expect("a configuration")
}

#[test]
fn an_image_says_what_it_runs() {
    let program = |text: &str| config(text).program();
    assert_eq!(program(r#"{"config":{"Entrypoint":["/echo.wasm"]}}"#).as_deref(), Some("echo.wasm"));
    assert_eq!(
        program(r#"{"config":{"Entrypoint":null,"Cmd":["./echo.wasm","x"],"WorkingDir":"/app"}}"#).as_deref(),
        Some("app/echo.wasm")
    );
    assert_eq!(program(r#"{"config":{"Entrypoint":["/bin/sh"],"Cmd":["/echo.wasm"]}}"#), None);
    assert_eq!(program(r#"{"config":null}"#), None);
    assert_eq!(program("{}"), None);
    let refused = image::parse_config(br#"{"config":{"Entrypoint":"/echo.wasm"}}"#).map_err(|error| error.code());
    assert_eq!(refused, Err("image_config"));
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

async fn fetch(layers: &[(&str, Vec<u8>)], config: &str, annotations: serde_json::Value) -> Result<Bytes, String> {
    let mut shelf = Shelf::default();
    let layers: Vec<_> = layers.iter().map(|(kind, layer)| shelf.layer(kind, layer.clone())).collect();
    shelf.artifact_with("1", CONFIG, config.to_owned(), annotations, &layers);
    let server = shelf.serve().await;
    let store = Store::of(&server);
    let fetched = store.fetch(&Shelf::reference(&server)).await;
    fetched.map(|fetched| fetched.bytes).map_err(|error| error.code().to_owned())
}

#[tokio::test]
async fn an_image_is_fetched_as_its_wasm_file() {
    let wasm = wasm(5_000, 1);
    let layer = tar(&[("echo.wasm", &wasm)]);
    let entrypoint = r#"{"config":{"Entrypoint":["/echo.wasm"]}}"#;
    let variant = json!({ "module.wasm.image/variant": "compat-smart" });
    for (kind, layer) in [
        (LAYER, layer.clone()),
        ("application/vnd.oci.image.layer.v1.tar+gzip", gzip(&layer)),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", gzip(&layer)),
    ] {
        let layers = [(kind, layer)];
        assert_eq!(fetch(&layers, entrypoint, json!({})).await, Ok(wasm.clone()), "by its entrypoint");
        assert_eq!(fetch(&layers, "{}", variant.clone()).await, Ok(wasm.clone()), "by its annotation");
        assert_eq!(fetch(&layers, "{}", json!({})).await, Err("image_not_for_wasm".to_owned()));
        let other = r#"{"config":{"Entrypoint":["/other.wasm"]}}"#;
        assert_eq!(fetch(&layers, other, variant.clone()).await, Err("image_other_program".to_owned()));
    }
    let split = [(LAYER, tar(&[])), (LAYER, layer.clone())];
    assert_eq!(fetch(&split, entrypoint, json!({})).await, Ok(wasm.clone()));
    let repeated = [(LAYER, tar(&[])), (LAYER, layer.clone()), (LAYER, tar(&[]))];
    assert_eq!(fetch(&repeated, entrypoint, json!({})).await, Ok(wasm.clone()), "an empty layer, listed twice");
    let hostile = [(LAYER, tar(&[("../echo.wasm", &wasm)]))];
    assert_eq!(fetch(&hostile, entrypoint, json!({})).await, Err("image_bad_name".to_owned()));
    let layers = [(LAYER, layer)];
    assert_eq!(fetch(&layers, "[]", json!({})).await, Err("image_config".to_owned()));
    let padded = |size: usize| format!("{entrypoint}{}", " ".repeat(size - entrypoint.len()));
    assert_eq!(fetch(&layers, &padded(4 << 20), json!({})).await, Ok(wasm), "exactly as large as allowed");
    assert_eq!(fetch(&layers, &padded((4 << 20) + 1), json!({})).await, Err("too_large".to_owned()));
}

#[tokio::test]
async fn an_image_is_cached_as_its_wasm_file_and_its_layers_are_not() {
    let wasm = wasm(5_000, 1);
    let image = PushContent::image(&wasm, "echo.wasm");
    let manifest: serde_json::Value = serde_json::from_slice(&image.manifest()).expect("JSON");
    assert_eq!(manifest["annotations"]["module.wasm.image/variant"], "compat-smart");
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");

    // What a push leaves in a registry is what a fetch reads.
    let kept = std::sync::Arc::new(std::sync::Mutex::new(std::collections::HashMap::new()));
    let server = Server::start(move |seen| {
        let mut kept = kept.lock().expect("no panics");
        let path = seen.path.clone();
        match seen.method.as_str() {
            "POST" => common::Answer::new(202, "").with("location", "/upload"),
            "PUT" => {
                let digest = path.split_once("digest=").map(|(_, digest)| digest.replace("%3A", ":"));
                let name = digest.map_or(path, |digest| format!("/v2/demo/blobs/{digest}"));
                kept.insert(name, seen.body.clone());
                common::Answer::new(201, "")
            }
            _ => match kept.get(&path) {
                Some(bytes) => common::Answer::new(200, bytes.clone()),
                None => common::Answer::new(404, ""),
            },
        }
    })
    .await;
    let reference: Reference = Shelf::reference(&server);
    common::registry(&server).push(&reference, &image, &artifacts::Silent).await.expect("pushed");
    let store = Store::of(&server);
    assert_eq!(store.fetch(&reference).await.expect("an actor").bytes, wasm);
    assert_eq!(store.store.cache().size(), 5_000);
    let before = server.count("/blobs/");
    let again = store.fetch(&reference).await.expect("an actor");
    assert_eq!((again.bytes, again.origin), (wasm, artifacts::Origin::Cache));
    assert_eq!(server.count("/blobs/"), before, "neither layer nor configuration is asked for again");
}
