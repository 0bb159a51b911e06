//! See `fluxtap_fuzz::whole`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fluxtap_fuzz::whole::run(bytes));
