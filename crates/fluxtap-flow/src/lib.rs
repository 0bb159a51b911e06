//! What packets carry to whole DNS messages, and which of them may build state.
//!
//! [`Fragments`] puts IP packets together, [`Streams`] finds the messages in TCP segments, and
//! [`Gate`] knows copies of messages and responses that nobody asked for. They are three because
//! what comes out of one goes through the layers again before it reaches the next; the engine joins
//! them.
//!
//! The key decision: every table has a fixed limit, lets go by event time, and gives no source of
//! packets more than its part, so that whoever floods one loses first what is theirs.
//!
//! What it does not do: take layers off, read more of a message than its question, or keep a clock.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod fragments;
mod framing;
mod gate;
mod key;
mod pairs;
mod pieces;
mod ring;
mod settings;
mod stream;
mod streams;
mod table;
#[cfg(test)]
mod testing;
mod times;
mod visibility;

pub use fragments::{
    FragmentCounts, FragmentEnd, Fragments, PIECES_PER_PACKET_MAX, REASSEMBLED_OCTETS_MAX,
    Reassembled,
};
pub use gate::{Gate, GateCounts, Verdict};
pub use hdrhistogram::Histogram;
pub use settings::{FlowSettings, Pairing, TableLimits};
pub use streams::{StreamCounts, Streams, Visit};
