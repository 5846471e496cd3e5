//! Binaries: walking, canonical form, extraction and embedding of the claims.

use claims::wasm::{self, Layer};
use data_encoding::HEXUPPER;
use sha2::{Digest, Sha256};

use crate::NOW;

/// Any bytes as a binary.
pub fn wasm_claims(data: &[u8]) {
    check(data);
}

/// A binary whose sections are built from the input, so that lengths are right at every depth.
pub fn wasm_sections(data: &[u8]) {
    let mut input = data.iter().copied();
    let layer = if input.next().unwrap_or(0) & 1 == 0 { Layer::Module } else { Layer::Component };
    let binary = build(&mut input, layer, 0);
    assert!(check(&binary), "a well-formed binary was refused");
}

/// Checks the laws of a binary; answers whether it can be walked.
fn check(binary: &[u8]) -> bool {
    let verified = wasm::verify_actor(binary, NOW);
    let token = wasm::extract(binary);
    let Ok(canonical) = wasm::canonicalize(binary) else {
        assert!(verified.is_err());
        assert!(wasm::canonical_hash(binary).is_err());
        assert!(wasm::embed(binary, "a.b.c").is_err());
        return false;
    };
    assert!(canonical.len() <= binary.len());
    assert_eq!(wasm::canonicalize(&canonical).as_ref(), Ok(&canonical), "canonical is not a fixed point");
    assert_eq!(wasm::extract(&canonical), Ok(None));
    assert_eq!(wasm::layer(&canonical), wasm::layer(binary));
    let hash = HEXUPPER.encode(&Sha256::digest(&canonical));
    assert_eq!(wasm::canonical_hash(binary).as_ref(), Ok(&hash));
    // One program, whatever its form.
    assert_eq!(wasm::programs(binary).map(|found| found.whole), wasm::programs(&canonical).map(|found| found.whole));

    let signed = wasm::embed(binary, "a.b.c").expect("what can be walked can carry a token");
    assert_eq!(wasm::extract(&signed).expect("ours can be walked").as_deref(), Some("a.b.c"));
    assert_eq!(wasm::canonicalize(&signed).as_ref(), Ok(&canonical));
    assert!(signed.starts_with(&canonical));

    if let Ok(actor) = verified {
        assert_eq!(token.expect("it was read").as_deref(), Some(actor.token.as_str()));
        if actor.claims.wascap_revision >= Some(claims::REVISION) {
            assert_eq!(actor.claims.metadata.expect("checked").hash, hash);
        }
    }
    true
}

const NAMES: [&str; 6] = ["jwt", "wasmcloud_jwt", "name", "producers", "", "wasmcloud_jwt2"];

fn build(input: &mut impl Iterator<Item = u8>, layer: Layer, depth: usize) -> Vec<u8> {
    let mut binary = layer.header().to_vec();
    // The last byte of the version is the layer; the first one may be that of a draft.
    while let Some(choice) = input.next() {
        let body = match choice & 7 {
            0 => break,
            1 | 2 => custom(input),
            3 if layer == Layer::Component && depth < 6 => build(input, Layer::Module, depth + 1),
            4 if layer == Layer::Component && depth < 6 => build(input, Layer::Component, depth + 1),
            _ => bytes(input),
        };
        let id = match choice & 7 {
            1 | 2 => 0,
            3 if layer == Layer::Component && depth < 6 => 1,
            4 if layer == Layer::Component && depth < 6 => 4,
            _ => [2, 3, 5, 6, 7, 8, 9, 10, 11][usize::from(choice >> 3) % 9],
        };
        binary.push(id);
        binary.extend(leb(body.len(), choice & 0x80 != 0));
        binary.extend(body);
    }
    binary
}

fn custom(input: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let choice = input.next().unwrap_or(0);
    let name = NAMES[usize::from(choice & 0x7F) % NAMES.len()];
    let mut body = leb(name.len(), choice & 0x80 != 0);
    body.extend(name.as_bytes());
    body.extend(bytes(input));
    body
}

fn bytes(input: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let length = usize::from(input.next().unwrap_or(0));
    input.take(length).collect()
}

/// A length, padded to five bytes if asked for.
fn leb(length: usize, padded: bool) -> Vec<u8> {
    let mut rest = length;
    let mut bytes = Vec::new();
    loop {
        let low = (rest & 0x7F) as u8;
        rest >>= 7;
        let last = if padded { bytes.len() == 4 } else { rest == 0 };
        bytes.push(if last { low } else { low | 0x80 });
        if last {
            return bytes;
        }
    }
}
