//! Reads the vectors beside this file.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;

use serde_json::Value;

/// A vector file by name.
pub fn load(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(format!("{name}.json"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).expect("vectors are JSON")
}

/// A string member.
pub fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// Bytes of a member in lower-case hex.
pub fn hex(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text(value).as_bytes()).expect("hex")
}
