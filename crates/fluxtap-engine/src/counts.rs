//! The two laws of conservation: where every packet ended, and where every message.

use fluxtap_flow::{FragmentCounts, GateCounts, StreamCounts};
use fluxtap_wire::{Malformed, PacketEnd, Timestamp};

/// What packets carry, by counter name.
const CARRIED: [&str; 3] = ["dns_message", "tcp_segment", "ip_fragment"];

/// Fragments that are not accepted, by counter name.
const FRAGMENT_ENDS: [&str; 3] =
    ["malformed.fragment_length", "malformed.fragment_alignment", "refused.fragment_pieces"];

/// Where messages come from, by counter name.
pub const MESSAGE_SOURCES: [&str; 3] = ["datagram", "fragments", "tcp_stream"];

/// The ends of a DNS message by counter name, the malformed ones apart.
pub const MESSAGE_ENDS: [&str; 9] = [
    "response_used",
    "query",
    "duplicate",
    "unsolicited",
    "no_address_evidence",
    "cut",
    "refused.not_standard",
    "refused.late",
    "refused.time_ahead",
];

/// A packet that is accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Accepted {
    Message,
    Segment,
    Fragment,
}

/// A fragment that is not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FragmentRefused {
    TooLong,
    Misaligned,
    TooManyPieces,
}

/// Where packets ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketEnds {
    carried: [u64; CARRIED.len()],
    ends: [u64; PacketEnd::ALL.len()],
    fragments: [u64; FRAGMENT_ENDS.len()],
}

impl PacketEnds {
    /// All ends by counter name; what is before a dot is the class of the end.
    pub fn by_name(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let ends = PacketEnd::ALL.iter().map(|end| (end.as_str(), self.ends[end.index()]));
        let carried = CARRIED.into_iter().zip(self.carried);
        carried.chain(ends).chain(FRAGMENT_ENDS.into_iter().zip(self.fragments))
    }

    /// Packets that held a message.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.carried[Accepted::Message as usize]
    }

    /// Packets that were malformed.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.by_name().filter(|(name, _)| name.starts_with("malformed")).map(|(_, n)| n).sum()
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_name().map(|(_, number)| number).sum()
    }

    #[inline]
    pub(crate) fn accept(&mut self, what: Accepted) {
        self.carried[what as usize] += 1;
    }

    #[inline]
    pub(crate) fn end(&mut self, end: PacketEnd) {
        self.ends[end.index()] += 1;
    }

    pub(crate) fn refuse(&mut self, what: FragmentRefused) {
        self.fragments[what as usize] += 1;
    }
}

/// Counters of the decoder. The laws hold at any time; see [`DecodeCounts::is_conserved`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeCounts {
    /// Packets taken.
    pub packets: u64,
    /// Where they ended.
    pub packet_ends: PacketEnds,
    /// Where packets ended that were put together from fragments.
    pub reassembled_ends: PacketEnds,
    /// DNS messages.
    pub messages: u64,
    /// Where they came from, by [`MESSAGE_SOURCES`].
    pub message_sources: [u64; MESSAGE_SOURCES.len()],
    /// Messages with the response bit set, malformed ones included as far as the bit was there.
    pub responses: u64,
    /// Messages by [`MESSAGE_ENDS`].
    pub message_ends: [u64; MESSAGE_ENDS.len()],
    /// Malformed messages by [`Malformed::ALL`].
    pub malformed: [u64; Malformed::ALL.len()],
    /// Messages kept apart because of their time; 0 after the end of input.
    pub held: u64,
    /// First and last packet time believed.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Reassembly of packets.
    pub fragments: FragmentCounts,
    /// Reassembly of TCP streams.
    pub streams: StreamCounts,
    /// Pairing and duplicates.
    pub gate: GateCounts,
}

impl DecodeCounts {
    /// Messages that were malformed, and packets that were.
    #[must_use]
    pub fn malformed_total(&self) -> u64 {
        self.packet_ends.malformed() + self.malformed.iter().sum::<u64>()
    }

    /// The first law: every packet held a message, was accepted as a part of one, or ended for one
    /// stated reason; and so did every packet put together. The second: every message, wherever it
    /// came from, ended in one way.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let ended = self.message_ends.iter().sum::<u64>() + self.malformed.iter().sum::<u64>();
        let [datagrams, reassembled, _] = self.message_sources;
        self.packets == self.packet_ends.total()
            && self.fragments.whole + self.fragments.cut == self.reassembled_ends.total()
            && self.messages == self.message_sources.iter().sum::<u64>()
            && datagrams == self.packet_ends.messages()
            && reassembled == self.reassembled_ends.messages()
            && self.messages == ended + self.held
            && self.fragments.is_conserved()
            && self.streams.is_conserved()
    }
}
