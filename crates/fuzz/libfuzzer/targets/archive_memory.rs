//! `fuzz::archive_memory` as a libFuzzer binary.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::archive_memory(data));
