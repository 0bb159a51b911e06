//! Whole DNS messages to observations, with every message in exactly one counter.

use crate::clock::Timing;
use crate::counts::DecodeCounts;
use fluxtap_flow::{FlowSettings, Gate, Verdict};
use fluxtap_intel::Intel;
use fluxtap_observe::{Batch, Marker, MessageEnd, Observer, Stage};
use fluxtap_wire::{Datagram, Message, Timestamp};

// Positions in `MESSAGE_ENDS`.
const USED: usize = 0;
const QUERY: usize = 1;
const DUPLICATE: usize = 2;
const UNSOLICITED: usize = 3;
const NO_EVIDENCE: usize = 4;
const CUT: usize = 5;
const NOT_STANDARD: usize = 6;
const LATE: usize = 7;
const AHEAD: usize = 8;

/// Where a message comes from: the position in [`crate::MESSAGE_SOURCES`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum MessageSource {
    Datagram,
    Fragments,
    Stream,
}

/// When a message came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When the last of it was captured.
    pub(crate) at: Timestamp,
    /// Event time then.
    pub(crate) now: Timestamp,
    pub(crate) timing: Timing,
}

#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) gate: Gate,
    pub(crate) observer: Observer,
    /// Those of the laws that are not kept elsewhere.
    pub(crate) counts: DecodeCounts,
    /// Observations of messages whose time waits to be confirmed.
    ahead: Batch,
    scratch: Batch,
    pub(crate) marker: Marker,
}

impl Messages {
    pub(crate) fn new(settings: &FlowSettings, hash_key: u64) -> Self {
        Self {
            gate: Gate::new(settings, hash_key),
            observer: Observer::new(hash_key),
            counts: DecodeCounts::default(),
            ahead: Batch::default(),
            scratch: Batch::default(),
            marker: Marker::default(),
        }
    }

    /// Takes one message; its facts, if it has any, are appended to `batch`.
    #[inline]
    pub(crate) fn take(
        &mut self,
        arrival: Arrival,
        source: MessageSource,
        datagram: &Datagram<'_>,
        intel: &Intel,
        batch: &mut Batch,
    ) {
        self.counts.messages += 1;
        self.counts.message_sources[source as usize] += 1;
        let is_response = datagram.payload.get(2).is_some_and(|flags| flags & 0x80 != 0);
        self.counts.responses += u64::from(is_response);
        let message = match Message::new_checked(datagram.payload) {
            Ok(message) => message,
            Err(_) if datagram.is_cut => return self.count_end(MessageEnd::Cut),
            Err(reason) => return self.count_end(MessageEnd::Malformed(reason)),
        };
        self.marker.enter(Stage::Pair);
        match self.gate.judge(arrival.at, arrival.now, datagram, &message) {
            Verdict::Use => {}
            Verdict::Duplicate => {
                self.counts.message_ends[DUPLICATE] += 1;
                return;
            }
            Verdict::Unsolicited => {
                self.counts.message_ends[UNSOLICITED] += 1;
                return;
            }
        }
        self.marker.enter(Stage::Facts);
        self.observer.set_learning(!matches!(arrival.timing, Timing::Late | Timing::Ahead));
        let end = match arrival.timing {
            Timing::Late | Timing::Ahead => {
                self.scratch.clear();
                self.observer.observe(arrival.at, datagram, &message, intel, &mut self.scratch)
            }
            _ => self.observer.observe(arrival.at, datagram, &message, intel, batch),
        };
        if self.scratch.observations().is_empty() {
            self.count_end(end);
        } else if arrival.timing == Timing::Late {
            self.scratch.clear();
            self.counts.message_ends[LATE] += 1;
        } else {
            self.ahead.append(&mut self.scratch);
            self.counts.held += 1;
        }
    }

    /// What waited for its time to be confirmed is used.
    pub(crate) fn use_ahead(&mut self, batch: &mut Batch) {
        self.counts.message_ends[USED] += std::mem::take(&mut self.counts.held);
        batch.append(&mut self.ahead);
    }

    /// What waited for its time to be confirmed is dropped.
    pub(crate) fn drop_ahead(&mut self) {
        self.counts.message_ends[AHEAD] += std::mem::take(&mut self.counts.held);
        self.ahead.clear();
    }

    fn count_end(&mut self, end: MessageEnd) {
        let index = match end {
            MessageEnd::Used => USED,
            MessageEnd::Query => QUERY,
            MessageEnd::NoAddressEvidence => NO_EVIDENCE,
            MessageEnd::Cut => CUT,
            MessageEnd::Refused => NOT_STANDARD,
            MessageEnd::Malformed(reason) => {
                self.counts.malformed[reason.index()] += 1;
                return;
            }
        };
        self.counts.message_ends[index] += 1;
    }
}
