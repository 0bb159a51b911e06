//! See `fluxtap_fuzz::threat_list`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fluxtap_fuzz::threat_list::run(bytes));
