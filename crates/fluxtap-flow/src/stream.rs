//! One direction of a TCP connection: segments in any order to bytes in theirs.

use crate::framing::{Framer, FramingCounts, Visit};
use crate::pieces::{Inserted, Pieces};
use crate::streams::StreamCounts;
use fluxtap_wire::{Datagram, Ends, Segment, Timestamp};

/// Bytes a segment may be ahead of or behind the stream and still belong to it.
const DISTANCE_MAX: u32 = 1 << 20;

/// Most bytes held behind a gap.
const GAP_OCTETS_MAX: usize = 64 << 10;

/// Most pieces held behind a gap.
const GAP_PIECES_MAX: usize = 64;

/// The place of the first byte seen: far enough from 0 that what lies before it has a place too.
const PLACE_FIRST: u64 = 1 << 32;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// What tells one direction of a connection from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) ends: Ends,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
}

/// Where a stream's messages and counts go.
pub(crate) struct Out<'a> {
    pub(crate) counts: &'a mut StreamCounts,
    pub(crate) framing: &'a mut FramingCounts,
    pub(crate) visit: &'a mut dyn FnMut(Timestamp, &Datagram<'_>),
}

/// A segment as far as a stream cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// Number of the first byte of the payload.
    pub(crate) first: u32,
    pub(crate) payload: &'a [u8],
    /// Bytes on the wire behind those of the payload.
    pub(crate) hole: u64,
    pub(crate) is_syn: bool,
    /// FIN or RST.
    pub(crate) is_end: bool,
}

impl<'a> Part<'a> {
    pub(crate) fn of(segment: &Segment<'a>) -> Self {
        let is_syn = segment.flags & SYN != 0;
        Self {
            first: segment.sequence.wrapping_add(u32::from(is_syn)),
            payload: segment.payload,
            hole: u64::from(segment.payload_len).saturating_sub(segment.payload.len() as u64),
            is_syn,
            is_end: segment.flags & (FIN | RST) != 0,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    const fn len(&self) -> u64 {
        self.payload.len() as u64 + self.hole
    }
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) key: Key,
    /// The sequence number that comes next, and its place.
    next: u32,
    place: u64,
    framer: Framer,
    /// What came before its turn.
    ahead: Pieces,
    /// Where the sender's data ends.
    end: Option<u64>,
    /// When the last byte that the framer has was captured.
    at: Timestamp,
    /// The end was reached; what is left knows retransmissions.
    pub(crate) is_over: bool,
    /// Since when it stands in the list of those with a gap.
    pub(crate) waiting_since: Option<Timestamp>,
}

impl Stream {
    /// A stream whose first byte has this number; `is_whole` if it is the first of all.
    pub(crate) fn new(key: Key, first: u32, is_whole: bool) -> Self {
        Self {
            key,
            next: first,
            place: PLACE_FIRST,
            framer: if is_whole { Framer::at_boundary() } else { Framer::at_unknown() },
            ahead: Pieces::default(),
            end: None,
            at: Timestamp(0),
            is_over: false,
            waiting_since: None,
        }
    }

    /// Bytes of memory it takes beside its own size.
    pub(crate) fn memory(&self) -> usize {
        self.framer.memory() + self.ahead.memory()
    }

    /// Whether a SYN for which `first` would be the first number is this stream's own.
    pub(crate) const fn begins_with(&self, first: u32) -> bool {
        self.next.wrapping_sub((self.place - PLACE_FIRST) as u32) == first
    }

    /// Whether a segment can belong to it.
    pub(crate) const fn is_near(&self, part: &Part<'_>) -> bool {
        let ahead = part.first.wrapping_sub(self.next);
        let behind = self.next.wrapping_sub(part.first);
        // Behind the end there is nothing: that is another connection on the same ports.
        behind <= DISTANCE_MAX && (behind > 0 || !self.is_over)
            || ahead <= DISTANCE_MAX && !self.is_over
    }

    /// Whether nothing of what it saw meant anything, so that it need not be kept.
    pub(crate) fn is_unread(&self) -> bool {
        self.framer.is_unread() && self.ahead.len() == 0
    }

    pub(crate) fn has_gap(&self) -> bool {
        self.ahead.len() > 0
    }

    /// Whether so much is held behind a gap that it must be stepped over.
    pub(crate) fn is_full(&self) -> bool {
        self.ahead.len() > GAP_PIECES_MAX || self.ahead.memory() > GAP_OCTETS_MAX
    }

    /// Whether everything up to the sender's end was there.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| self.place >= end)
    }

    /// Takes a segment that [`Stream::is_near`].
    pub(crate) fn take(&mut self, at: Timestamp, part: &Part<'_>, out: &mut Out<'_>) {
        // The distance as a signed number, because sequence numbers wrap.
        let distance = i64::from(part.first.wrapping_sub(self.next) as i32);
        let place = self.place.saturating_add_signed(distance);
        if part.is_end {
            self.end.get_or_insert(place + part.len());
        }
        if part.is_empty() {
            return;
        }
        if distance == 0 && self.ahead.len() == 0 {
            self.feed(at, part.payload, part.hole, out);
            return;
        }
        let old = self.place.saturating_sub(place).min(part.len());
        let payload = part.payload.get(old as usize..).unwrap_or(&[]);
        let hole = part.len() - old - payload.len() as u64;
        let inserted = match part.len() - old {
            0 => Inserted::Known,
            _ => self.ahead.insert(place + old, payload, hole, at),
        };
        match inserted {
            Inserted::Known => out.counts.retransmitted += 1,
            Inserted::Overlapping => out.counts.overlapping += 1,
            Inserted::New if old > 0 => out.counts.overlapping += 1,
            Inserted::New => out.counts.out_of_order += u64::from(distance > 0),
        }
        self.drain(out);
    }

    /// Gives up what is missing in front of the pieces that are there.
    pub(crate) fn step_over(&mut self, out: &mut Out<'_>) {
        let Some(first) = self.ahead.first() else { return };
        let missing = first.from - self.place;
        self.skip(missing, out);
        self.drain(out);
    }

    /// Gives out what is left.
    pub(crate) fn finish(&mut self, out: &mut Out<'_>) {
        while self.has_gap() {
            self.step_over(out);
        }
        let (at, key) = (self.at, self.key);
        let visit: Visit<'_> =
            &mut |at, message, is_cut| (out.visit)(at, &key.datagram(message, is_cut));
        self.framer.end(at, out.framing, visit);
    }

    /// Takes the pieces whose turn it is.
    fn drain(&mut self, out: &mut Out<'_>) {
        while self.ahead.first().is_some_and(|piece| piece.from == self.place) {
            let Some(piece) = self.ahead.pop_first() else { return };
            self.feed(piece.at, &piece.data, piece.hole, out);
        }
    }

    fn feed(&mut self, at: Timestamp, payload: &[u8], hole: u64, out: &mut Out<'_>) {
        self.at = at;
        self.next = self.next.wrapping_add(payload.len() as u32);
        self.place += payload.len() as u64;
        let key = self.key;
        let visit: Visit<'_> =
            &mut |at, message, is_cut| (out.visit)(at, &key.datagram(message, is_cut));
        self.framer.feed(at, payload, out.framing, visit);
        if hole > 0 {
            self.skip(hole, out);
        }
    }

    fn skip(&mut self, missing: u64, out: &mut Out<'_>) {
        out.counts.gaps += 1;
        self.next = self.next.wrapping_add(missing as u32);
        self.place += missing;
        let (at, key) = (self.at, self.key);
        let visit: Visit<'_> =
            &mut |at, message, is_cut| (out.visit)(at, &key.datagram(message, is_cut));
        self.framer.gap(at, missing, out.framing, visit);
    }
}

impl Key {
    pub(crate) const fn of(segment: &Segment<'_>) -> Self {
        Self {
            ends: segment.ends,
            source_port: segment.source_port,
            destination_port: segment.destination_port,
        }
    }

    const fn datagram<'a>(&self, payload: &'a [u8], is_cut: bool) -> Datagram<'a> {
        Datagram {
            ends: self.ends,
            source_port: self.source_port,
            destination_port: self.destination_port,
            is_tcp: true,
            payload,
            is_cut,
        }
    }
}
