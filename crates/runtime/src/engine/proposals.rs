//! Wasm that is valid and uses something which is not enabled here: named, instead of called invalid.
//!
//! Asked only after a load has failed, because then a second look at the binary costs nothing that matters. Invariant: an error
//! of wasm that would be invalid everywhere passes through unchanged.

use wasmparser::{Validator, WasmFeatures};

use crate::error::LoadError;

/// Larger binaries are not looked at again.
const LARGEST: usize = 64 << 20;

/// What toolchains may use and no engine of ours has. Why not is in docs/runtime.md.
const NOT_ENABLED: [(&str, WasmFeatures); 14] = [
    ("exceptions", WasmFeatures::EXCEPTIONS),
    ("exceptions as they were before the standard", WasmFeatures::LEGACY_EXCEPTIONS),
    ("garbage collection", WasmFeatures::GC),
    ("typed function references", WasmFeatures::FUNCTION_REFERENCES),
    ("several memories", WasmFeatures::MULTI_MEMORY),
    ("64-bit memories", WasmFeatures::MEMORY64),
    ("threads", WasmFeatures::THREADS),
    ("shared-everything threads", WasmFeatures::SHARED_EVERYTHING_THREADS),
    ("stack switching", WasmFeatures::STACK_SWITCHING),
    ("wide arithmetic", WasmFeatures::WIDE_ARITHMETIC),
    ("custom page sizes", WasmFeatures::CUSTOM_PAGE_SIZES),
    ("component values", WasmFeatures::CM_VALUES),
    ("component threads", WasmFeatures::CM_THREADING),
    ("garbage-collected component types", WasmFeatures::CM_GC),
];

/// The error of a load, or the better one for what is valid where more is enabled. Reads all of it: not for an async thread.
pub(crate) fn explained(error: LoadError, wasm: &[u8]) -> LoadError {
    if !matches!(error, LoadError::Invalid { .. }) || wasm.len() > LARGEST || !is_valid(wasm, WasmFeatures::all()) {
        return error;
    }
    let needed = |(_, feature): &(_, WasmFeatures)| !is_valid(wasm, WasmFeatures::all().difference(*feature));
    let proposals: Vec<&'static str> = NOT_ENABLED.into_iter().filter(needed).map(|(name, _)| name).collect();
    if proposals.is_empty() { error } else { LoadError::NotEnabled { proposals } }
}

fn is_valid(wasm: &[u8], features: WasmFeatures) -> bool {
    Validator::new_with_features(features).validate_all(wasm).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained_text(wasm: &[u8]) -> String {
        explained(LoadError::Invalid { reason: "as it was".to_owned() }, wasm).to_string()
    }

    #[test]
    fn what_is_valid_elsewhere_is_named() {
        let cases = [
            ("(module (tag $e) (func throw $e))", "exceptions"),
            ("(module (type (struct (field i32))) (func (drop (struct.new_default 0))))", "garbage collection"),
            ("(module (memory 1) (memory 1))", "several memories"),
            ("(module (memory i64 1))", "64-bit memories"),
            ("(module (memory 1 1 shared))", "threads"),
        ];
        for (text, name) in cases {
            let wasm = wat::parse_str(text).expect("valid text");
            let said = explained_text(&wasm);
            assert!(said.starts_with("valid wasm, but this host has not enabled") && said.contains(name), "{said}");
        }
    }

    #[test]
    fn what_is_invalid_everywhere_stays_so() {
        for wrong in [&b"\0asm"[..], b"text", b"\0asm\x01\0\0\0\x01\x01\x01"] {
            assert_eq!(explained_text(wrong), "not a valid wasm module or component: as it was");
        }
    }
}
