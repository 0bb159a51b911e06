//! The sensor without its edges: packets in, alerts out, no threads, clocks or files.
//!
//! [`Decoder`] turns packets into observations and keeps the laws of conservation; [`Shard`]
//! owns the windows, judges what changed and runs the life of alerts, all in event time. The
//! program puts sources in front, sinks behind and, later, channels between.
//!
//! The key decision: a domain is judged when event time has passed the second in which it changed,
//! domains of one second in the order of their names. So the same packets give the same alerts in
//! the same order, whatever the speed.
#![forbid(unsafe_code)]

mod campaign;
mod cap;
pub mod checkpoint;
mod clock;
mod counts;
mod daily;
mod decoder;
mod matches;
mod measure;
mod messages;
mod order;
mod rebinding;
mod relief;
mod shard;

pub use campaign::{CAMPAIGN_DOMAINS_MAX, Campaigns, SavedCampaigns};
pub use cap::{CAPPED_ALERTS_MAX, Cap, CapCounts, SavedCap};
pub use clock::ClockCounts;
pub use counts::{DecodeCounts, MESSAGE_ENDS, MESSAGE_SOURCES, PacketEnds};
pub use decoder::Decoder;
pub use measure::{Measured, measure};
pub use order::{Told, in_order};
pub use relief::{AllowUse, Relief, relieve};
pub use shard::{
    ALERTS_PER_PARTITION_MAX, AlertState, Explained, Judged, Moment, OpenAlert, Shard, ShardCounts,
    Unsound, Watched,
};

/// Key of all hashes where captures are replayed: fixed, so that the same capture gives the same
/// alerts whatever is evicted.
pub const REPLAY_HASH_KEY: u64 = 0x666c_7578_7461_7001;
