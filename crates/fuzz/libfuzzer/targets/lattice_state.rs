//! `fuzz::lattice_state` as a libFuzzer binary.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::lattice_state(data));
