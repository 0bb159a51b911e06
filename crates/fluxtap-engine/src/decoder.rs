//! Packets to observations, with every packet and every message in exactly one counter.

use crate::clock::{ClockCounts, EventClock, Timing};
use crate::counts::{Accepted, DecodeCounts, FragmentRefused, PacketEnds};
use crate::messages::{Arrival, MessageSource, Messages};
use fluxtap_flow::{FlowSettings, FragmentEnd, Fragments, Histogram, Streams};
use fluxtap_intel::Intel;
use fluxtap_observe::{Batch, Marker, ObserveCounts, Stage};
use fluxtap_wire::{
    Carried, Datagram, Fragment, Layers, Packet, PacketEnd, Segment, Timestamp, layers,
};

/// Turns packets into observations.
#[derive(Debug)]
pub struct Decoder {
    layers: Layers,
    clock: EventClock,
    fragments: Fragments,
    streams: Streams,
    messages: Messages,
    /// The second of event time that was last told with the observations.
    reached_s: u64,
}

impl Decoder {
    /// A decoder that takes `layers` off; packets may be `lateness_s` seconds late, and whatever is
    /// hashed is hashed with `hash_key`.
    #[must_use]
    pub fn new(layers: Layers, flow: &FlowSettings, lateness_s: u64, hash_key: u64) -> Self {
        Self {
            layers,
            clock: EventClock::new(lateness_s),
            fragments: Fragments::new(flow.fragments, hash_key),
            streams: Streams::new(flow.streams, hash_key),
            messages: Messages::new(flow, hash_key),
            reached_s: 0,
        }
    }

    /// The same, which shows with `marker` what it is busy with; [`Stage::Read`] between packets.
    #[must_use]
    pub fn with_marker(mut self, marker: &Marker) -> Self {
        self.messages.marker = marker.clone();
        self.messages.observer.set_marker(marker.clone());
        self
    }

    /// Takes one packet; its facts, if it has any, are appended to `batch`.
    #[inline]
    pub fn decode(&mut self, packet: &Packet<'_>, intel: &Intel, batch: &mut Batch) {
        self.messages.marker.enter(Stage::Layers);
        self.decode_one(packet, intel, batch);
        self.messages.marker.enter(Stage::Read);
    }

    #[inline]
    fn decode_one(&mut self, packet: &Packet<'_>, intel: &Intel, batch: &mut Batch) {
        self.messages.counts.packets += 1;
        let timing = self.clock.note(packet.at);
        let now = self.note_span();
        if now.secs() != self.reached_s {
            self.reached_s = now.secs();
            let gate = &self.messages.gate;
            batch.reach(now, gate.queries_visible(), gate.lacking_percent());
        }
        match timing {
            Timing::AheadConfirmed => self.messages.use_ahead(batch),
            Timing::AheadRefuted => self.messages.drop_ahead(),
            Timing::InTime | Timing::Late | Timing::Ahead => {}
        }
        if now > self.streams.due() {
            self.expire_streams(now, intel, batch);
        }
        let arrival = Arrival { at: packet.at, now, timing };
        match layers::plain_datagram(packet, &self.layers) {
            Some(datagram) => {
                self.messages.counts.packet_ends.accept(Accepted::Message);
                self.messages.take(arrival, MessageSource::Datagram, &datagram, intel, batch);
            }
            None => self.decode_other(arrival, packet, intel, batch),
        }
    }

    /// A packet that is not as nearly all are.
    fn decode_other(
        &mut self,
        arrival: Arrival,
        packet: &Packet<'_>,
        intel: &Intel,
        batch: &mut Batch,
    ) {
        match layers::decode(packet, &self.layers) {
            Ok(Carried::Datagram(datagram)) => {
                self.messages.counts.packet_ends.accept(Accepted::Message);
                let source = MessageSource::Datagram;
                self.messages.take(arrival, source, &datagram, intel, batch);
            }
            Ok(Carried::Segment(segment)) => {
                self.messages.counts.packet_ends.accept(Accepted::Segment);
                self.segment(arrival, &segment, intel, batch);
            }
            Ok(Carried::Fragment(fragment)) => {
                self.fragment(arrival, &fragment, Wrapping::Packet, intel, batch);
            }
            Err(end) => self.messages.counts.packet_ends.end(end),
        }
    }

    /// The end of input: what still waited, for its time to be confirmed or for more of a stream,
    /// is used.
    pub fn finish(&mut self, batch: &mut Batch, intel: &Intel) {
        if let Some(now) = self.clock.watermark() {
            let Self { streams, messages, clock, .. } = self;
            streams.finish(&mut |at, datagram| {
                from_stream(messages, clock, at, now, datagram, intel, batch);
            });
        }
        if self.clock.end() {
            self.messages.use_ahead(batch);
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
    pub fn counts(&self) -> DecodeCounts {
        DecodeCounts {
            fragments: self.fragments.counts(),
            streams: self.streams.counts(),
            gate: self.messages.gate.counts(),
            ..self.messages.counts
        }
    }

    /// Bytes that wait in the tables of fragments and of TCP streams.
    #[must_use]
    pub const fn held_octets(&self) -> [usize; 2] {
        [self.fragments.held_octets(), self.streams.held_octets()]
    }

    /// The counters of event time.
    #[must_use]
    pub const fn clock_counts(&self) -> ClockCounts {
        self.clock.counts()
    }

    /// The counters of what was dropped inside responses.
    #[must_use]
    pub const fn observe_counts(&self) -> ObserveCounts {
        self.messages.observer.counts()
    }

    /// Whether queries are visible beside the responses; `None` if nobody looks.
    #[must_use]
    pub const fn queries_visible(&self) -> Option<bool> {
        self.messages.gate.queries_visible()
    }

    /// Times from query to response, in microseconds.
    #[must_use]
    pub fn response_times(&self) -> Histogram<u64> {
        self.messages.gate.response_times()
    }

    fn segment(
        &mut self,
        arrival: Arrival,
        segment: &Segment<'_>,
        intel: &Intel,
        batch: &mut Batch,
    ) {
        let Arrival { at, now, timing } = arrival;
        let Self { streams, messages, clock, .. } = self;
        streams.take(at, now, segment, &mut |completed, datagram| {
            if completed == at {
                let arrival = Arrival { at, now, timing };
                messages.take(arrival, MessageSource::Stream, datagram, intel, batch);
            } else {
                from_stream(messages, clock, completed, now, datagram, intel, batch);
            }
        });
    }

    #[cold]
    fn expire_streams(&mut self, now: Timestamp, intel: &Intel, batch: &mut Batch) {
        let Self { streams, messages, clock, .. } = self;
        streams.expire(now, &mut |at, datagram| {
            from_stream(messages, clock, at, now, datagram, intel, batch);
        });
    }

    #[cold]
    fn fragment(
        &mut self,
        arrival: Arrival,
        fragment: &Fragment<'_>,
        wrapping: Wrapping,
        intel: &Intel,
        batch: &mut Batch,
    ) {
        let layers = &self.layers;
        let probe = |first: &Fragment<'_>| no_dns(first, layers);
        let end = self.fragments.take(arrival.now, fragment, probe);
        let ends = wrapping.ends(&mut self.messages);
        match end {
            FragmentEnd::Kept => ends.accept(Accepted::Fragment),
            FragmentEnd::Unwanted(end) => ends.end(end),
            FragmentEnd::TooLong => ends.refuse(FragmentRefused::TooLong),
            FragmentEnd::Misaligned => ends.refuse(FragmentRefused::Misaligned),
            FragmentEnd::TooManyPieces => ends.refuse(FragmentRefused::TooManyPieces),
            FragmentEnd::Whole(packet) => {
                ends.accept(Accepted::Fragment);
                self.reassembled(arrival, &packet.as_fragment(), intel, batch);
                self.fragments.recycle(packet);
            }
        }
    }

    /// Goes on with a packet put together. A fragment in it is one of a packet inside a tunnel;
    /// the layers bound how deep that goes.
    fn reassembled(
        &mut self,
        arrival: Arrival,
        packet: &Fragment<'_>,
        intel: &Intel,
        batch: &mut Batch,
    ) {
        let ends = &mut self.messages.counts.reassembled_ends;
        match layers::resume(packet, packet.payload, &self.layers) {
            Ok(Carried::Datagram(datagram)) => {
                ends.accept(Accepted::Message);
                self.messages.take(arrival, MessageSource::Fragments, &datagram, intel, batch);
            }
            Ok(Carried::Segment(segment)) => {
                ends.accept(Accepted::Segment);
                self.segment(arrival, &segment, intel, batch);
            }
            Ok(Carried::Fragment(fragment)) => {
                self.fragment(arrival, &fragment, Wrapping::Reassembled, intel, batch);
            }
            Err(end) => ends.end(end),
        }
    }

    /// Widens the span of times to the watermark; the watermark.
    fn note_span(&mut self) -> Timestamp {
        let Some(now) = self.clock.watermark() else { return Timestamp::default() };
        let (first, last) = self.messages.counts.span.get_or_insert((now, now));
        if now > *last {
            *last = now;
        } else if now < *first {
            *first = now;
        }
        now
    }
}

/// What a fragment was found in.
#[derive(Clone, Copy, Debug)]
enum Wrapping {
    Packet,
    /// A packet that was itself put together from fragments.
    Reassembled,
}

impl Wrapping {
    const fn ends(self, messages: &mut Messages) -> &mut PacketEnds {
        match self {
            Self::Packet => &mut messages.counts.packet_ends,
            Self::Reassembled => &mut messages.counts.reassembled_ends,
        }
    }
}

/// Why the packet that begins with this fragment is no DNS, if that is certain.
fn no_dns(first: &Fragment<'_>, layers: &Layers) -> Option<PacketEnd> {
    let beginning = Fragment { is_cut: true, ..*first };
    match layers::resume(&beginning, first.payload, layers) {
        Err(end @ (PacketEnd::NotIp | PacketEnd::NotUdpOrTcp | PacketEnd::OtherPort)) => Some(end),
        _ => None,
    }
}

/// A message of a stream that was completed before now.
fn from_stream(
    messages: &mut Messages,
    clock: &EventClock,
    at: Timestamp,
    now: Timestamp,
    datagram: &Datagram<'_>,
    intel: &Intel,
    batch: &mut Batch,
) {
    let timing = if clock.is_late(at) { Timing::Late } else { Timing::InTime };
    let arrival = Arrival { at, now, timing };
    messages.take(arrival, MessageSource::Stream, datagram, intel, batch);
}
