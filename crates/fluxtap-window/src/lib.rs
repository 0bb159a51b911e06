//! Bounded per-domain windows of event time, and what can be measured in them.
//!
//! [`Table`] holds one [`DomainWindow`] a registrable domain, split into fixed partitions with a
//! byte budget each. The key decision: one history of address sets ([`track`]) serves all windows
//! (15 min, 1 h, 24 h, 7 d), and it grows with **changes**, not with volume. [`features`] turns a
//! domain's history into numbers when it is judged.
//!
//! What it does not do: read a clock, judge, or know alerts. Time comes in with each observation.
//!
//! Limits: [`limits`]; what goes over them is dropped by a stated rule and counted.
#![forbid(unsafe_code)]

mod clients;
mod context;
mod domain;
mod evidence;
mod features;
mod history;
mod index;
pub mod limits;
mod places;
mod quiet;
mod saved;
mod share;
mod subjects;
mod table;
mod threats;
mod track;

pub use context::{ContextSeen, Counted};
pub use domain::{DomainWindow, LookUps, Rank};
pub use evidence::{AddressSeen, Evidence, HostSeen, LeftOut};
pub use features::{Comparators, Features, Part, ServerEvidence, Spread, Subject, WINDOWS_S};
pub use history::{AddressOf, SetSeen};
pub use saved::{Renumber, Saved, Saving};
pub use share::{Share, partition_of};
pub use table::{Applied, DomainRef, Table, TableCounts};
pub use threats::{Listed, Matched, THREAT_MATCHES_MAX, ThreatMatch, Threats, WHOLE};
