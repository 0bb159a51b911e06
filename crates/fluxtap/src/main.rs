//! fluxtap: fast-flux alerts from a mirror port or from capture files.
//!
//! The only crate that reads a clock, handles signals, and writes to the standard streams: alerts
//! and nothing else on standard output, words for people on standard error.
#![forbid(unsafe_code)]

mod cli;
mod console;
mod live;
mod output;
mod replay;
mod sensor;
mod summary;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run().into()
}
