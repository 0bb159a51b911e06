//! See `fluxtap_fuzz::reassembly`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fluxtap_fuzz::reassembly::run(bytes));
