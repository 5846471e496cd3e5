//! `fuzz::guest_answer` as a libFuzzer binary.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::guest_answer(data));
