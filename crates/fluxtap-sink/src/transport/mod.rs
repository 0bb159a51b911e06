//! How records reach a receiver. A transport sends when it is told to, and reports; queueing,
//! waiting and giving up are the worker's.

pub(crate) mod file;
pub(crate) mod http;
mod reply;
pub(crate) mod stdout;
pub(crate) mod syslog;
pub(crate) mod tls;

use crate::options::{SinkOptions, Target};
use crate::record::Item;
use std::time::Duration;

/// A way to a receiver.
pub(crate) trait Transport: Send {
    /// Sends records, in their order.
    fn send(&mut self, items: &[Item]) -> Answer;

    /// How many of the records last answered with [`Verdict::Sent`], from the oldest on, have
    /// arrived as far as can be known.
    fn confirmed(&mut self) -> Result<usize, Fault> {
        Ok(0)
    }

    /// The last chance to find out what of [`Verdict::Sent`] has arrived: says whether all has.
    fn finish(&mut self, _limit: Duration) -> bool {
        true
    }

    /// Opens files, certificates and tokens anew; what was open stays if that fails.
    fn reopen(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// Whether the receiver can be reached now.
    fn probe(&mut self) -> Result<(), Fault>;
}

/// What came of sending.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// What became of the records, from the first on; those behind were not looked at.
    pub(crate) verdicts: Vec<Verdict>,
    /// Why something is to be sent again.
    pub(crate) fault: Option<Fault>,
    /// Whether fewer at a time may go through.
    pub(crate) is_too_much: bool,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The receiver has it.
    Taken,
    /// It is on its way; see [`Transport::confirmed`].
    Sent,
    /// The receiver will never take it, for a reason.
    Refused(String),
    /// The receiver may take it later.
    Later,
}

/// Why something could not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What happened, and with whom.
    pub(crate) said: String,
    /// How long the receiver asked to be left alone.
    pub(crate) wait: Option<Duration>,
    /// Whether trying again is of no use: the receiver has gone for good.
    pub(crate) is_final: bool,
}

impl Fault {
    pub(crate) fn new(said: impl Into<String>) -> Self {
        Self { said: said.into(), wait: None, is_final: false }
    }
}

impl Answer {
    /// All of them were taken.
    pub(crate) fn taken(number: usize) -> Self {
        Self { verdicts: vec![Verdict::Taken; number], ..Self::default() }
    }

    /// All are to be sent again.
    pub(crate) fn fault(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }
}

/// The way to the receiver of a sink.
///
/// # Errors
///
/// What of its files cannot be used: certificates, keys, tokens.
pub(crate) fn open(options: &SinkOptions) -> Result<Box<dyn Transport>, String> {
    Ok(match &options.target {
        Target::Stdout => Box::new(stdout::Stdout),
        Target::File(file) => Box::new(file::Appender::new(file.clone())),
        Target::Syslog(syslog) => Box::new(syslog::Syslog::new(syslog.clone(), options.timeout)?),
        Target::Http(http) => Box::new(http::Http::new(http.clone(), options)?),
    })
}
