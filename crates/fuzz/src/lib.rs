//! What must hold for any bytes. Each module is one fuzz target: a function `run` that takes bytes
//! and fails if a promise is broken.
//!
//! The functions are ordinary ones. libFuzzer calls them through `fuzz_targets`, and the tests of
//! this crate call them on every file below `seeds`: so what a fuzzer finds becomes a test by being
//! copied there.
//!
//! The key decision: a target knows more than that nothing panics. It keeps a naive model of the
//! same thing, or a law that has to hold, and compares.
#![forbid(unsafe_code)]

pub mod capture_reader;
pub mod layers;
pub mod message;
pub mod name;
pub mod pairing;
pub mod reassembly;
mod script;
pub mod tcp_stream;
pub mod threat_list;
pub mod whole;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 9] = [
    ("capture_reader", capture_reader::run),
    ("layers", layers::run),
    ("message", message::run),
    ("name", name::run),
    ("pairing", pairing::run),
    ("reassembly", reassembly::run),
    ("tcp_stream", tcp_stream::run),
    ("threat_list", threat_list::run),
    ("whole", whole::run),
];

/// The key of all hashes: what a fuzzer finds has to be found again.
const HASH_KEY: u64 = 1;
