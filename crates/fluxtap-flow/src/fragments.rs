//! IP packets out of their fragments (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! The key decisions: of bytes that overlap the first stay, whatever the operating systems at the
//! ends do, and it is counted; a packet whose first fragment shows that it is no DNS is forgotten
//! at once, so that the fragments of file servers and tunnels do not crowd out those of resolvers.

use crate::key::{Keyed, is_past};
use crate::pieces::{Inserted, Pieces};
use crate::settings::TableLimits;
use crate::table::{Id, Table};
use fluxtap_wire::{Ends, Fragment, PacketEnd, Timestamp};

/// Longest payload that fragments may make up, in bytes: no IP packet has more.
pub const REASSEMBLED_OCTETS_MAX: u64 = 65_535;

/// Most pieces a packet may consist of. 65,535 bytes in the smallest packets every link must take
/// (576 bytes, RFC 791 section 3.1) are 119.
pub const PIECES_PER_PACKET_MAX: usize = 128;

/// How long after a packet was done its fragments are still copies of those that made it up, in
/// seconds; later ones are those of another packet of the same number.
const DONE_S: u32 = 1;

/// Counters of reassembly. What was begun is whole, cut, unwanted, expired, evicted, refused or
/// held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentCounts {
    /// Packets of which a fragment was seen.
    pub begun: u64,
    /// Packets that became whole.
    pub whole: u64,
    /// Packets of which the beginning up to a fragment cut by the capture was used.
    pub cut: u64,
    /// Packets whose first fragment showed that they were no DNS.
    pub unwanted: u64,
    /// Packets that were not whole within their time.
    pub expired: u64,
    /// Packets that had to make room.
    pub evicted: u64,
    /// Packets in more than [`PIECES_PER_PACKET_MAX`] pieces.
    pub refused: u64,
    /// Packets that wait for more fragments.
    pub held: u64,
    /// Fragments that said nothing new.
    pub duplicate: u64,
    /// Fragments of which some bytes were there before, or that contradict the packet's length.
    pub overlapping: u64,
}

impl FragmentCounts {
    /// Every packet that was begun ended in one way, or is held.
    #[must_use]
    pub const fn is_conserved(&self) -> bool {
        let ended = self.whole + self.cut + self.unwanted;
        self.begun == ended + self.expired + self.evicted + self.refused + self.held
    }
}

/// What became of a fragment.
#[derive(Debug)]
pub enum FragmentEnd {
    /// It is kept, or is a copy of what is.
    Kept,
    /// It made a packet whole, or as whole as it can become.
    Whole(Reassembled),
    /// It belongs to a packet that is no DNS.
    Unwanted(PacketEnd),
    /// Malformed: it reaches beyond [`REASSEMBLED_OCTETS_MAX`].
    TooLong,
    /// Malformed: empty, or with more to follow and of a length that is no multiple of 8.
    Misaligned,
    /// Refused: the packet has more than [`PIECES_PER_PACKET_MAX`] pieces.
    TooManyPieces,
}

/// A packet's payload put together.
#[derive(Debug)]
pub struct Reassembled {
    head: Fragment<'static>,
    payload: Vec<u8>,
}

impl Reassembled {
    /// The packet as if it had come in one fragment, with the whole payload.
    #[must_use]
    pub fn as_fragment(&self) -> Fragment<'_> {
        Fragment { payload: &self.payload, ..self.head }
    }
}

/// What tells the fragments of one packet from others.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    ends: Ends,
    identification: u32,
    /// In IPv6 it does not count: only the first fragment's says what is inside.
    protocol: Option<u8>,
    depth: u8,
}

#[derive(Debug)]
struct Incomplete {
    key: Key,
    protocol: u8,
    pieces: Pieces,
    end: Option<u64>,
    done: Option<Done>,
}

/// Why a packet is not waited for any more.
#[derive(Clone, Copy, Debug)]
struct Done {
    at: Timestamp,
    unwanted: Option<PacketEnd>,
}

/// Packets of which not all fragments have been seen.
#[derive(Debug)]
pub struct Fragments {
    table: Table<Incomplete>,
    keyed: Keyed,
    buffer: Vec<u8>,
    counts: FragmentCounts,
}

impl Fragments {
    /// An empty table; a lifetime counts from a packet's first fragment.
    #[must_use]
    pub fn new(limits: TableLimits, hash_key: u64) -> Self {
        Self {
            table: Table::new(limits),
            keyed: Keyed::new(hash_key),
            buffer: Vec::new(),
            counts: FragmentCounts::default(),
        }
    }

    /// The counters.
    #[must_use]
    pub const fn counts(&self) -> FragmentCounts {
        self.counts
    }

    /// Bytes that the packets held take, at most [`TableLimits::bytes_max`].
    #[must_use]
    pub const fn held_octets(&self) -> usize {
        self.table.bytes()
    }

    /// Takes one fragment when event time is `now`. `probe` is asked once about the first fragment
    /// of a packet: why the packet is no DNS, if that is certain.
    pub fn take(
        &mut self,
        now: Timestamp,
        fragment: &Fragment<'_>,
        probe: impl FnOnce(&Fragment<'_>) -> Option<PacketEnd>,
    ) -> FragmentEnd {
        self.expire(now);
        let len = fragment.payload.len() as u64;
        let end = u64::from(fragment.offset) + len;
        if end > REASSEMBLED_OCTETS_MAX {
            return FragmentEnd::TooLong;
        }
        if !fragment.is_cut && (len == 0 || fragment.has_more && !len.is_multiple_of(8)) {
            return FragmentEnd::Misaligned;
        }
        let id = match self.find_or_begin(now, fragment) {
            Ok(id) => id,
            Err(unwanted) => {
                self.counts.duplicate += u64::from(unwanted.is_none());
                return unwanted.map_or(FragmentEnd::Kept, FragmentEnd::Unwanted);
            }
        };
        let Some(packet) = self.table.get_mut(id) else { return FragmentEnd::Kept };
        let hole = u64::from(fragment.is_cut);
        match packet.pieces.insert(u64::from(fragment.offset), fragment.payload, hole, now) {
            Inserted::New => {}
            Inserted::Overlapping => self.counts.overlapping += 1,
            Inserted::Known => self.counts.duplicate += 1,
        }
        if !fragment.has_more && !fragment.is_cut {
            let is_contradiction =
                packet.pieces.end() > end || packet.end.is_some_and(|e| e != end);
            self.counts.overlapping += u64::from(is_contradiction);
            if packet.end.is_none() && !is_contradiction {
                packet.end = Some(end);
            }
        }
        if fragment.offset == 0 {
            packet.protocol = fragment.protocol;
            if let Some(end) = probe(fragment) {
                self.counts.unwanted += 1;
                self.forget(id, now, Some(end));
                return FragmentEnd::Unwanted(end);
            }
        }
        self.settle(id, now)
    }

    /// Gives the buffer of a packet back once it has been read.
    pub fn recycle(&mut self, packet: Reassembled) {
        self.buffer = packet.payload;
    }

    /// The packet the fragment belongs to; as an error why it is not needed: its packet is no DNS,
    /// or, with `None`, it is there already.
    fn find_or_begin(
        &mut self,
        now: Timestamp,
        fragment: &Fragment<'_>,
    ) -> Result<Id, Option<PacketEnd>> {
        let key = Key {
            ends: fragment.ends,
            identification: fragment.identification,
            protocol: fragment.ends.source.is_ipv4().then_some(fragment.protocol),
            depth: fragment.depth,
        };
        let hash = self.keyed.way(&key.ends, u64::from(key.identification));
        if let Some(id) = self.table.find(hash, |packet| packet.key == key) {
            match self.table.get(id).and_then(|packet| packet.done) {
                None => return Ok(id),
                Some(done) if !is_past(done.at, now, DONE_S) => return Err(done.unwanted),
                Some(_) => self.table.remove(id),
            };
        }
        self.counts.begun += 1;
        self.counts.held += 1;
        let (pieces, protocol) = (Pieces::default(), fragment.protocol);
        let packet = Incomplete { key, protocol, pieces, end: None, done: None };
        let source = self.keyed.source(fragment.ends.source);
        let id = self.table.insert(hash, source, now, packet);
        self.make_room(id);
        Ok(id)
    }

    /// Gives the packet out if it is whole, and otherwise keeps the limits.
    fn settle(&mut self, id: Id, now: Timestamp) -> FragmentEnd {
        let Some(packet) = self.table.get(id) else { return FragmentEnd::Kept };
        let (reached, is_cut) = packet.pieces.run();
        let is_whole = packet.end.is_some_and(|end| reached >= end);
        if is_whole || is_cut {
            let mut payload = std::mem::take(&mut self.buffer);
            let end = packet.end.map_or(reached, |end| end.min(reached));
            packet.pieces.copy_to(end, &mut payload);
            let head = Fragment {
                ends: packet.key.ends,
                protocol: packet.protocol,
                identification: packet.key.identification,
                offset: 0,
                has_more: false,
                depth: packet.key.depth,
                payload: &[],
                is_cut: !is_whole,
            };
            *(if is_whole { &mut self.counts.whole } else { &mut self.counts.cut }) += 1;
            self.forget(id, now, None);
            return FragmentEnd::Whole(Reassembled { head, payload });
        }
        if packet.pieces.len() > PIECES_PER_PACKET_MAX {
            self.counts.refused += 1;
            self.forget(id, now, None);
            return FragmentEnd::TooManyPieces;
        }
        let memory = packet.pieces.memory();
        self.table.set_bytes(id, memory);
        self.make_room(id);
        FragmentEnd::Kept
    }

    /// Keeps of a packet only that it is done.
    fn forget(&mut self, id: Id, now: Timestamp, unwanted: Option<PacketEnd>) {
        self.counts.held -= 1;
        if let Some(packet) = self.table.get_mut(id) {
            packet.pieces = Pieces::default();
            packet.done = Some(Done { at: now, unwanted });
            self.table.set_bytes(id, 0);
        }
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some((id, at)) = self.table.oldest() {
            if !is_past(at, now, self.table.lifetime_s()) {
                return;
            }
            let is_waiting = self.table.remove(id).is_some_and(|packet| packet.done.is_none());
            self.counts.expired += u64::from(is_waiting);
            self.counts.held -= u64::from(is_waiting);
        }
    }

    fn make_room(&mut self, id: Id) {
        while let Some(victim) = self.table.crowding(id) {
            let is_waiting = self.table.remove(victim).is_some_and(|packet| packet.done.is_none());
            self.counts.evicted += u64::from(is_waiting);
            self.counts.held -= u64::from(is_waiting);
        }
    }
}

#[cfg(test)]
mod tests;
