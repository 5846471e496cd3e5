//! `fuzz::wasm_claims` as a libFuzzer binary.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wasm_claims(data));
