//! Packets to observations, with every packet and every message in exactly one counter.

use crate::clock::{ClockCounts, EventClock, Timing};
use fluxtap_intel::Intel;
use fluxtap_observe::{Batch, MessageEnd, ObserveCounts, Observer};
use fluxtap_wire::{Carried, Layers, Malformed, Packet, PacketEnd, Timestamp, layers};

/// The ends of a DNS message by counter name, the malformed ones apart.
pub const MESSAGE_ENDS: [&str; 7] = [
    "response_used",
    "query",
    "no_address_evidence",
    "cut",
    "refused.not_standard",
    "refused.late",
    "refused.time_ahead",
];

/// The ends of packets that carry a part of a message: nothing puts the parts together.
const UNREAD: [&str; 2] = ["unread.tcp_segment", "unread.fragment"];

const TCP_SEGMENT: usize = 0;
const FRAGMENT: usize = 1;

const USED: usize = 0;
const QUERY: usize = 1;
const NO_EVIDENCE: usize = 2;
const CUT: usize = 3;
const NOT_STANDARD: usize = 4;
const LATE: usize = 5;
const AHEAD: usize = 6;

/// Counters of the decoder. The two laws hold at any time; see [`DecodeCounts::is_conserved`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeCounts {
    /// Packets taken.
    pub packets: u64,
    /// Packets that held a DNS message.
    pub messages: u64,
    packet_ends: [u64; PacketEnd::ALL.len()],
    unread: [u64; UNREAD.len()],
    /// Messages with the response bit set, malformed ones included as far as the bit was there.
    pub responses: u64,
    /// Messages by [`MESSAGE_ENDS`].
    pub message_ends: [u64; MESSAGE_ENDS.len()],
    /// Malformed messages by [`Malformed::ALL`].
    pub malformed: [u64; Malformed::ALL.len()],
    /// Packets kept apart because of their time; 0 after the end of input.
    pub held: u64,
    /// First and last packet time believed.
    pub span: Option<(Timestamp, Timestamp)>,
}

impl DecodeCounts {
    /// Messages that were malformed, and packets that were.
    #[must_use]
    pub fn malformed_total(&self) -> u64 {
        let of_packets = PacketEnd::ALL.iter().filter(|end| end.is_malformed());
        let packets: u64 = of_packets.map(|end| self.packet_ends[end.index()]).sum();
        packets + self.malformed.iter().sum::<u64>()
    }

    /// Packets that held no DNS message by the name of their end, which begins with its class.
    pub fn packet_ends(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let ends = PacketEnd::ALL.iter().map(|end| (end.as_str(), self.packet_ends[end.index()]));
        ends.chain(UNREAD.into_iter().zip(self.unread))
    }

    /// The first law: every packet is a DNS message or ended for one stated reason. The second:
    /// every message ended in one way.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let packets = self.messages + self.packet_ends().map(|(_, number)| number).sum::<u64>();
        let messages =
            self.message_ends.iter().sum::<u64>() + self.malformed.iter().sum::<u64>() + self.held;
        packets == self.packets && messages == self.messages
    }
}

/// Turns packets into observations.
#[derive(Debug)]
pub struct Decoder {
    layers: Layers,
    observer: Observer,
    clock: EventClock,
    counts: DecodeCounts,
    /// Observations of packets whose time waits to be confirmed, and how many messages they were.
    ahead: Batch,
    scratch: Batch,
}

impl Decoder {
    /// A decoder that takes `layers` off; packets may be `lateness_s` seconds late, and domain keys are
    /// hashed with `hash_key`.
    #[must_use]
    pub fn new(layers: Layers, lateness_s: u64, hash_key: u64) -> Self {
        Self {
            layers,
            observer: Observer::new(hash_key),
            clock: EventClock::new(lateness_s),
            counts: DecodeCounts::default(),
            ahead: Batch::default(),
            scratch: Batch::default(),
        }
    }

    /// Takes one packet; its facts, if it has any, are appended to `batch`.
    #[inline]
    pub fn decode(&mut self, packet: &Packet<'_>, intel: &Intel, batch: &mut Batch) {
        self.counts.packets += 1;
        let timing = self.clock.note(packet.at);
        self.note_span();
        match timing {
            Timing::AheadConfirmed => self.use_ahead(batch),
            Timing::AheadRefuted => self.drop_ahead(),
            Timing::InTime | Timing::Late | Timing::Ahead => {}
        }
        let datagram = match layers::decode(packet, &self.layers) {
            Ok(Carried::Datagram(datagram)) => datagram,
            Ok(Carried::Segment(_)) => {
                self.counts.unread[TCP_SEGMENT] += 1;
                return;
            }
            Ok(Carried::Fragment(_)) => {
                self.counts.unread[FRAGMENT] += 1;
                return;
            }
            Err(end) => {
                self.counts.packet_ends[end.index()] += 1;
                return;
            }
        };
        self.counts.messages += 1;
        let is_response = datagram.payload.get(2).is_some_and(|flags| flags & 0x80 != 0);
        self.counts.responses += u64::from(is_response);
        let end = match timing {
            Timing::Late | Timing::Ahead => {
                self.scratch.clear();
                self.observer.observe(packet.at, &datagram, intel, &mut self.scratch)
            }
            _ => self.observer.observe(packet.at, &datagram, intel, batch),
        };
        if self.scratch.observations().is_empty() {
            self.count_end(end);
        } else if timing == Timing::Late {
            self.scratch.clear();
            self.counts.message_ends[LATE] += 1;
        } else {
            self.ahead.append(&mut self.scratch);
            self.counts.held += 1;
        }
    }

    /// The end of input: what still waited for its time to be confirmed is used.
    pub fn finish(&mut self, batch: &mut Batch) {
        if self.clock.end() {
            self.use_ahead(batch);
        }
        self.note_span();
    }

    /// The highest event time believed.
    #[must_use]
    pub const fn watermark(&self) -> Option<Timestamp> {
        self.clock.watermark()
    }

    /// The counters of the two laws.
    #[must_use]
    pub const fn counts(&self) -> &DecodeCounts {
        &self.counts
    }

    /// The counters of event time.
    #[must_use]
    pub const fn clock_counts(&self) -> ClockCounts {
        self.clock.counts()
    }

    /// The counters of what was dropped inside responses.
    #[must_use]
    pub const fn observe_counts(&self) -> ObserveCounts {
        self.observer.counts()
    }

    fn note_span(&mut self) {
        if let Some(now) = self.clock.watermark() {
            let first = self.counts.span.map_or(now, |(first, _)| first.min(now));
            let last = self.counts.span.map_or(now, |(_, last)| last.max(now));
            self.counts.span = Some((first, last));
        }
    }

    fn use_ahead(&mut self, batch: &mut Batch) {
        self.counts.message_ends[USED] += std::mem::take(&mut self.counts.held);
        batch.append(&mut self.ahead);
    }

    fn drop_ahead(&mut self) {
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
