//! Verdicts to alerts: the life cycle of a finding, and the line a SIEM reads.
//!
//! This is the only crate that knows the names of alert fields. What it does not do: decide what is
//! flux, or write anywhere but into the buffer it is given.
#![forbid(unsafe_code)]

mod clients;
mod health;
mod held;
mod label;
mod lifecycle;
mod line;
mod page;
pub mod parts;
mod shape;
mod shares;
mod template;
#[cfg(test)]
mod testing;
mod text;
pub mod threats;
pub mod words;

pub use clients::{CLIENT_KEY_OCTETS_MIN, ClientKey, Clients};
pub use health::{Health, SensorContext, write_health, write_health_text};
pub use held::{HeldAlert, HeldBack, LineCounts, WORST_MAX, write_held_back, write_held_back_text};
pub use label::Label;
pub use lifecycle::{
    Action, CloseReason, Lifecycle, REOPEN_S, Step, campaign_id, match_id, rebinding_id,
};
pub use line::{Context, LINE_OCTETS_MAX, SCHEMA_JSON, SourceKind, write_line};
pub use page::{Page, Style};
pub use text::write_text;
pub use words::rfc3339;

use fluxtap_flux::{Severity, Verdict};
use fluxtap_window::{Evidence, ServerEvidence, Subject, ThreatMatch};
use fluxtap_wire::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Domains with an open alert that have addresses or name servers in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignSeen {
    /// Made of the domain whose alert opened first: see [`campaign_id`].
    pub id: String,
    /// How many there are, the domain of the line included.
    pub domains: u32,
    /// The others, wire form, in the order of their names, as many as
    /// [`CampaignSeen::NEIGHBOURS_MAX`].
    pub neighbours: Vec<Vec<u8>>,
}

impl CampaignSeen {
    /// Most domains that a line lists.
    pub const NEIGHBOURS_MAX: usize = 8;
}

/// A name that went back and forth between addresses inside a network and outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReboundSeen {
    /// The name, wire form.
    pub name: Vec<u8>,
    /// The address inside that it came back to.
    pub ip: IpAddr,
    /// The TTL of that, in seconds.
    pub ttl_s: u32,
}

/// One line of an alert's life, ready to be written.
///
/// What threat lists said, owners of addresses and the campaign are not part of what is written down of
/// it: other lists and tables may be there when it is read again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alert {
    /// What happened.
    pub action: Action,
    /// When, in event time.
    pub at: Timestamp,
    /// Stable id of the alert: see [`Lifecycle`].
    pub id: String,
    /// Counts the lines of this alert from 1.
    pub revision: u32,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was closed; `None` while it is open.
    pub closed: Option<Timestamp>,
    /// Severity, with hysteresis: it rises with the score and does not fall while open.
    pub severity: Severity,
    /// Score from which on the alert has that severity.
    pub threshold: fluxtap_flux::Score,
    /// The judgement it rests on; for an ended alert the last one that held.
    pub verdict: Verdict,
    /// What was judged.
    pub subject: Subject,
    /// The domain's name servers, if seen with addresses.
    pub servers: Option<ServerEvidence>,
    /// What is shown beside the numbers.
    pub evidence: Evidence,
    /// What lists of what is bad said of what was judged.
    #[serde(skip)]
    pub threats: Vec<ThreatMatch>,
    /// The campaign that it is part of, if it shares anything with other alerts.
    #[serde(skip)]
    pub campaign: Option<CampaignSeen>,
    /// Nothing is new but that campaign; what else the line says, it said before.
    pub is_campaign_news: bool,
    /// Whether entries of the operator's allow list ended it, or lowered its score.
    pub is_allowlisted: bool,
    /// What was seen of rebinding since the day before.
    pub rebound: Option<ReboundSeen>,
    /// Whether queries were visible beside the responses; `None` if nobody looked.
    pub queries_visible: Option<bool>,
    /// Of the responses lately, how many in a hundred lacked their query; `None` while queries are not
    /// visible.
    pub lacking_percent: Option<u8>,
}
