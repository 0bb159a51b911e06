//! The settings of fluxtap: text in, all mistakes out at once.
//!
//! [`SETTINGS`] declares every setting in one row: name, type with unit and range, default, words
//! for people, flag. From it come the parser ([`load`]), the typed [`Settings`], the flags of the
//! command line, and the pages that people read ([`page`]). The key decision: a value keeps the
//! place it came from until everything is checked, so every mistake is told with its place, and
//! `print-config` can say where each value came from.
//!
//! What it does not do: open files, read the environment or know the command line's grammar. The
//! program hands it texts ([`Layer`]); so all of it is tested without a disk.
//!
//! Limits: [`MISTAKES_MAX`]; the depth of nesting in a file is bounded by the `toml` crate, its
//! length by whoever reads it.
#![forbid(unsafe_code)]

mod check;
mod document;
mod kind;
mod load;
mod mistake;
pub mod page;
mod setting;
mod sinks;
mod table;
mod value;

pub use kind::Kind;
pub use load::{Effective, Layer, Loaded, LoadedSink, load};
pub use mistake::{MISTAKES_MAX, Mistake, Mistakes, Origin};
pub use setting::{Command, Flag, Setting};
pub use sinks::{Facility, SINK_SETTINGS, SinkAuth, SinkSettings, SinkTransport, SinkType};
pub use table::{
    AT_START, Clients, Color, Format, LogFormat, MinSeverity, Pairing, SETTINGS, Settings,
    SpoolSync, sections, setting,
};
pub use value::{AddressTable, Listen, Tenths, Value, Word};
