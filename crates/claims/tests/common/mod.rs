//! Shared by the tests of this crate: golden vectors and fixed keys.
#![allow(dead_code, reason = "each test binary uses its own part")]

use claims::{ActorMetadata, Claims, KeyKind, KeyPair, ProviderMetadata};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::Value;

/// Any time after the vectors were issued.
pub const NOW: u64 = 1_700_000_100;

pub fn vector(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the vectors are part of the crate");
    serde_json::from_str(&text).expect("vectors are JSON")
}

pub fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("`{member}` is a text in {value}"))
}

pub fn hex(value: &Value, member: &str) -> Vec<u8> {
    HEXLOWER.decode(text(value, member).as_bytes()).expect("vectors hold lower-case hex")
}

/// The same key for the same number, so that failures repeat.
pub fn key(kind: KeyKind, number: u8) -> KeyPair {
    KeyPair::from_raw_seed(kind, &[number; 32])
}

pub fn account() -> KeyPair {
    key(KeyKind::Account, 1)
}

pub fn actor_claims() -> Claims<ActorMetadata> {
    let metadata = ActorMetadata { name: Some("echo".to_owned()), ..ActorMetadata::default() };
    Claims::new(account().public(), key(KeyKind::Module, 2).public().as_str(), metadata, NOW)
}

pub fn provider_claims() -> Claims<ProviderMetadata> {
    let metadata = ProviderMetadata {
        capid: "wasmcloud:keyvalue".to_owned(),
        vendor: "acme".to_owned(),
        ..ProviderMetadata::default()
    };
    Claims::new(account().public(), key(KeyKind::Service, 3).public().as_str(), metadata, NOW)
}

/// A token with any header and any claims, correctly signed.
pub fn forge(header: &str, claims: &str, signer: &KeyPair) -> String {
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()));
    let signature = BASE64URL_NOPAD.encode(&signer.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}
