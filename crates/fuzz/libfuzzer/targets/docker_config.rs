//! `fuzz::docker_config` as a libFuzzer binary.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::docker_config(data));
