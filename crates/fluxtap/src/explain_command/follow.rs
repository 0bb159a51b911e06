//! What is followed of one domain while packets are read, and where reading ends.

use crate::output::Closed;
use crate::sensor::Follow;
use fluxtap_alert::{Action, Alert};
use fluxtap_capture::{Batch as Fetched, Replay, Source};
use fluxtap_flux::{FluxKind, Score, Severity};
use fluxtap_intel::nearest::Near;
use fluxtap_observe::Batch;
use fluxtap_wire::name::WireText;
use fluxtap_wire::{Packet, Timestamp};
use std::io;

/// Alerts of the domain that are kept; further ones are counted.
const ALERTS_MAX: usize = 1_000;

/// Packets in a row behind the time that is asked for, by more than packets may be late, after
/// which no earlier one is expected. Several, because one may have a wrong time.
const PACKETS_BEYOND: u32 = 64;

/// Near names that are suggested.
const NEAR_MAX: usize = 3;

/// What was seen of the domain, whatever became of it in the windows.
#[derive(Debug)]
pub(super) struct Follower {
    domain: Vec<u8>,
    asked: Vec<u8>,
    /// The domain's hash, once it was seen.
    pub(super) hash: Option<u64>,
    /// Names near to it, looked for until it is seen.
    pub(super) near: Near,
    /// Responses with facts about any domain.
    pub(super) responses_all: u64,
    /// Those about this one.
    pub(super) responses: u64,
    /// Of these, those for the very name that is asked about.
    pub(super) responses_asked: u64,
    /// First and last response, and the first with an address.
    pub(super) seen: Option<(Timestamp, Timestamp)>,
    /// See `seen`.
    pub(super) first_address: Option<Timestamp>,
    pub(super) alerts: Vec<AlertTold>,
    pub(super) alerts_more: u64,
}

/// One line of the domain's alert.
#[derive(Clone, Debug)]
pub(super) struct AlertTold {
    pub(super) at: Timestamp,
    pub(super) action: Action,
    pub(super) id: String,
    pub(super) revision: u32,
    pub(super) severity: Severity,
    pub(super) kind: FluxKind,
    pub(super) score: Score,
}

impl Follower {
    /// Follows a registrable domain, and in it the name that was asked about.
    pub(super) fn of(domain: Vec<u8>, asked: Vec<u8>) -> Self {
        let near = Near::new(&WireText(&domain).to_string(), NEAR_MAX);
        Self {
            domain,
            asked,
            hash: None,
            near,
            responses_all: 0,
            responses: 0,
            responses_asked: 0,
            seen: None,
            first_address: None,
            alerts: Vec::new(),
            alerts_more: 0,
        }
    }
}

impl Follow for Follower {
    fn observed(&mut self, batch: &Batch) {
        self.responses_all += batch.observations().len() as u64;
        for observation in batch.observations() {
            let domain = batch.domain(observation);
            if domain != self.domain {
                if self.hash.is_none() {
                    self.near.offer(&WireText(domain).to_string());
                }
                continue;
            }
            self.hash = Some(observation.domain_hash);
            let at = observation.at;
            self.responses += 1;
            self.responses_asked += u64::from(batch.name(observation.asked) == self.asked);
            let (first, last) = self.seen.get_or_insert((at, at));
            (*first, *last) = ((*first).min(at), (*last).max(at));
            if !batch.addresses(observation).is_empty() {
                self.first_address.get_or_insert(at);
            }
        }
    }

    fn alerted(&mut self, alerts: &mut Vec<Alert>) -> Result<(), Closed> {
        for alert in alerts.drain(..).filter(|alert| alert.evidence.domain == self.domain) {
            if self.alerts.len() == ALERTS_MAX {
                self.alerts_more += 1;
                continue;
            }
            self.alerts.push(AlertTold {
                at: alert.at,
                action: alert.action,
                id: alert.id,
                revision: alert.revision,
                severity: alert.severity,
                kind: alert.verdict.kind,
                score: alert.verdict.score,
            });
        }
        Ok(())
    }
}

/// Captures up to a time.
pub(super) struct Until {
    pub(super) replay: Replay,
    until: Option<Timestamp>,
    /// No packet behind this is late for one before `until`.
    beyond: Timestamp,
    packets_beyond: u32,
}

impl Until {
    /// Reads all without a time, else what is not behind it.
    pub(super) fn new(replay: Replay, until: Option<Timestamp>, lateness_s: u64) -> Self {
        let beyond = until.unwrap_or_default().plus_secs(lateness_s);
        Self { replay, until, beyond, packets_beyond: 0 }
    }
}

impl Source for Until {
    fn next_batch(&mut self, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<Fetched> {
        let Some(until) = self.until else { return self.replay.next_batch(visit) };
        let (beyond, packets_beyond) = (self.beyond, &mut self.packets_beyond);
        let fetched = self.replay.next_batch(&mut |packet| {
            *packets_beyond = if packet.at > beyond { *packets_beyond + 1 } else { 0 };
            if packet.at <= until {
                visit(packet);
            }
        })?;
        Ok(if self.packets_beyond >= PACKETS_BEYOND { Fetched::End } else { fetched })
    }
}
