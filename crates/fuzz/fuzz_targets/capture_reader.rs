//! See `fluxtap_fuzz::capture_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fluxtap_fuzz::capture_reader::run(bytes));
