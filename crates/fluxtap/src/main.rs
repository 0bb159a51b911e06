//! fluxtap: fast-flux alerts from a mirror port or from capture files.
//!
//! The only crate that reads a clock, handles signals, and writes to the standard streams: alerts
//! and nothing else on standard output, words for people on standard error.
#![forbid(unsafe_code)]

mod allow;
mod checkpoint;
mod cli;
mod config;
mod console;
mod evaluate;
mod explain_command;
mod health;
mod http;
mod inputs;
mod intel_command;
mod interfaces;
mod live;
mod metrics;
mod notify;
mod output;
mod page;
mod profile;
mod replay;
mod sandbox;
mod selftest;
mod sensor;
mod sinks;
mod status;
mod summary;
mod tables;
mod terminal;
mod threat_lists;
mod workers;

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// Asks the system for pages of 2 MiB: the windows are looked up at random, and on pages of 4 KiB
/// nearly every look-up misses the address translation as well.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run().into()
}
