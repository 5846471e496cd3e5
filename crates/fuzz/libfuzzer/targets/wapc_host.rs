//! `fuzz::wapc_host` as a libFuzzer binary.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::wapc_host(data));
