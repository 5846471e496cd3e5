//! `fuzz::trace_parent` as a libFuzzer binary.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::trace_parent(data));
