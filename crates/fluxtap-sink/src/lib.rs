//! Delivery of alerts that loses none: sinks, each with a queue on disk and a thread of its own.
//!
//! The program hands lines to [`Delivery::push`], which waits for nobody. One thread writes them to
//! the spool of every sink whose filter lets them pass; the thread of each sink sends what is in
//! its spool, in order, and moves a cursor behind what the receiver said yes to. So a line is
//! delivered at least once: a crash between the yes and the cursor costs a second copy, which
//! receivers know by its id. A receiver that is dead, slow or lies keeps its own spool waiting, and
//! nothing else.
//!
//! What it does not do: know what is in a line (only `fluxtap-alert` does), write to the standard
//! streams but as a sink, or speak to people: it [tells](Tell) the program what to say.
//!
//! Limits: the spool of each sink (`octets_max`), and in front of it memory for what the disk does
//! not take; updates go first, oldest first, and everything that is lost is counted by reason in
//! [`SinkCounts`].
#![forbid(unsafe_code)]

mod backoff;
mod clock;
mod counts;
mod dead_letter;
mod delivery;
mod lane;
mod notice;
mod options;
mod record;
mod spool;
mod transport;
mod worker;

pub use counts::{Dropped, SinkCounts};
pub use dead_letter::DEAD_LETTERS;
pub use delivery::{Delivery, Drained, Left, OpenError};
pub use notice::{Notice, Tell};
pub use options::{
    Auth, Dialect, FileOptions, Filter, HttpOptions, SinkOptions, SpoolOptions, Sync,
    SyslogOptions, SyslogTransport, Target, TlsOptions,
};
pub use record::{Form, Keep, LINE_OCTETS_MAX, Record};
pub use worker::Gone;
