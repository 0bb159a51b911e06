//! See `fluxtap_fuzz::tcp_stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fluxtap_fuzz::tcp_stream::run(bytes));
