//! What registries say: references, manifests and indexes, image configurations and image layers.

use artifacts::image::{Limits, parse_config, single_wasm_file};
use artifacts::manifest::{self, Document, Index, MAX_ENTRIES, MAX_LAYERS, Manifest, Platform};
use artifacts::{MAX_REFERENCE, Reference};
use serde_json::Value;

use crate::entries;

/// The first line as a reference, the second as the registry it is in by default.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, default) = text.split_once('\n').map_or((text, None), |(text, default)| (text, Some(default)));
    let reference = match Reference::parse(text, default) {
        Ok(reference) => reference,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.next_step().is_empty() && !error.code().is_empty());
            return;
        }
    };
    assert!(text.len() <= MAX_REFERENCE || text.trim().len() <= MAX_REFERENCE);
    // It prints as a text that means the same, whatever registry is assumed.
    let printed = reference.to_string();
    for default in [None, Some("other.test/name")] {
        assert_eq!(Reference::parse(&printed, default).as_ref(), Ok(&reference), "{printed}");
    }
    // Its parts go into URLs as they are.
    let plain = |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase() && !"%?#\\\"'<>@".contains(c);
    let parts = [reference.registry(), reference.repository(), reference.tag().unwrap_or_default()];
    assert!(parts.iter().all(|part| part.chars().all(plain)), "{reference:?}");
    assert!(!reference.registry().contains('/') && !reference.repository().contains(':'));
    assert!(reference.repository().split('/').all(|part| !matches!(part, "" | "." | "..")), "{reference:?}");
    assert_eq!(reference.is_latest(), reference.digest().is_none() && matches!(reference.tag(), None | Some("latest")));
}

/// A manifest or an index, compared with what the JSON says to somebody who only reads JSON.
pub fn manifest(data: &[u8]) {
    let document = match manifest::parse(data) {
        Ok(document) => document,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.next_step().is_empty() && !error.code().is_empty());
            return;
        }
    };
    // What nobody looks at may hold escapes that stand for no character; a whole reader refuses them.
    let Ok(json) = serde_json::from_slice::<Value>(data) else { return };
    assert_eq!(json["schemaVersion"], 2);
    match document {
        Document::Manifest(manifest) => check_manifest(&manifest, &json),
        Document::Index(index) => check_index(&index, &json),
    }
}

fn check_manifest(manifest: &Manifest, json: &Value) {
    assert!((1..=MAX_LAYERS).contains(&manifest.layers.len()));
    let written = json["layers"].as_array().expect("layers were read");
    assert_eq!(written.len(), manifest.layers.len());
    let blobs = manifest.layers.iter().zip(written).chain([(&manifest.config, &json["config"])]);
    for (blob, written) in blobs {
        assert_eq!(written["size"], blob.size);
        let digest = written["digest"].as_str().expect("a digest was read");
        assert_eq!(digest.to_ascii_lowercase(), blob.digest.to_string());
    }
    assert!(json.get("manifests").is_none_or(Value::is_null));
}

fn check_index(index: &Index, json: &Value) {
    assert!(index.entries.len() <= MAX_ENTRIES);
    assert_eq!(json["manifests"].as_array().map(Vec::len), Some(index.entries.len()));
    assert!(json.get("layers").is_none_or(Value::is_null));
    for (os, architecture) in [("linux", "amd64"), ("wasi", "wasm"), ("", "")] {
        let here = Platform { os: os.to_owned(), architecture: architecture.to_owned() };
        match index.choose(&here) {
            Ok(chosen) => {
                assert!(index.entries.contains(chosen));
                let fits = chosen.platform.as_ref().is_none_or(|p| *p == here || p.architecture == "wasm");
                assert!(fits, "{:?} for {here}", chosen.platform);
            }
            Err(error) => assert!(!error.next_step().is_empty()),
        }
    }
}

/// The configuration of an image.
pub fn image_config(data: &[u8]) {
    let Ok(config) = parse_config(data) else { return };
    let program = config.program();
    if let Some(program) = &program {
        assert!(program.ends_with(".wasm") && !program.starts_with('/') && !program.contains("//"), "{program}");
    }
    assert_eq!(config.check(&[].into()).is_ok(), program.is_some());
}

const LIMITS: Limits = Limits { unpacked_bytes: 1 << 20, entries: 8 };

/// Any bytes as a layer, and the input as a list of entries with right checksums, plain and compressed.
pub fn image_layer(data: &[u8]) {
    check_layer(data);
    let stream = entries::tar(data, |_, _| {});
    // A first name that begins like gzip makes the stream one that is compressed, and another one inside.
    if stream.starts_with(&[0x1F, 0x8B]) {
        check_layer(&stream);
        return;
    }
    // Making a compressor takes far longer than reading, so only what is worth it goes through one.
    if let Some(path) = check_layer(&stream) {
        assert_eq!(check_layer(&entries::gzip(&stream)), Some(path), "compression changes the meaning");
    }
}

/// The path of the file that was found, if there was one.
fn check_layer(layer: &[u8]) -> Option<String> {
    let file = match single_wasm_file([layer], LIMITS) {
        Ok(file) => file,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.code().is_empty());
            return None;
        }
    };
    assert!(file.bytes.starts_with(b"\0asm"));
    assert!(file.bytes.len() as u64 <= LIMITS.unpacked_bytes);
    assert!(file.path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", file.path);
    // A second layer with the same file is one file too many.
    assert!(single_wasm_file([layer, layer], Limits { unpacked_bytes: 2 << 20, entries: 16 }).is_err());
    Some(file.path)
}
