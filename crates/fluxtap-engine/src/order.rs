//! Alerts of several shards in one order, which does not depend on how many shards there are.

use fluxtap_alert::{Action, Alert, CloseReason};
use fluxtap_wire::Timestamp;

/// An alert that a shard told, and upon which step of event time within a batch.
#[derive(Clone, Debug)]
pub struct Told {
    /// Steps of one batch are the same for all shards that take it.
    pub(crate) step: u32,
    pub(crate) alert: Alert,
}

/// What comes first of one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Evicted,
    Judged,
    Quiet,
}

impl Told {
    fn place(&self) -> (u32, Timestamp, Phase, &[u8]) {
        let phase = match self.alert.action {
            Action::Ended(CloseReason::Evicted) => Phase::Evicted,
            Action::Ended(CloseReason::Quiet) => Phase::Quiet,
            _ => Phase::Judged,
        };
        (self.step, self.alert.at, phase, &self.alert.evidence.domain)
    }
}

/// Moves what shards told of one batch to `out`: in order of time, at one time what was evicted,
/// what was judged, what went quiet, and each in order of the domains.
pub fn in_order(told: &mut Vec<Told>, out: &mut Vec<Alert>) {
    told.sort_by(|a, b| a.place().cmp(&b.place()));
    out.extend(told.drain(..).map(|told| told.alert));
}
