//! Packets of one interface that wait until others cannot have older ones.

use fluxtap_wire::{LinkType, Packet, Timestamp};
use std::collections::VecDeque;
use std::mem;

/// Bytes that were handed over before the room behind them is taken back.
const COMPACT_BYTES: usize = 1 << 20;

/// A queue of copied packets.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    /// Where the bytes of the first packet begin.
    from: usize,
    records: VecDeque<Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    at: Timestamp,
    link: LinkType,
    len: usize,
    wire_len: u32,
}

impl Held {
    /// Copies a packet to the end.
    pub(crate) fn push(&mut self, packet: &Packet<'_>) {
        self.bytes.extend_from_slice(packet.bytes);
        self.records.push_back(Record {
            at: packet.at,
            link: packet.link,
            len: packet.bytes.len(),
            wire_len: packet.wire_len,
        });
    }

    /// Moves all packets of `other` to the end.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if self.records.is_empty() {
            // The room that was taken changes hands with the packets.
            mem::swap(self, other);
            return;
        }
        self.bytes.extend_from_slice(&other.bytes[other.from..]);
        self.records.append(&mut other.records);
        other.bytes.clear();
        other.from = 0;
    }

    /// When the first packet was captured.
    pub(crate) fn first_at(&self) -> Option<Timestamp> {
        self.records.front().map(|record| record.at)
    }

    /// Hands over the first packet and forgets it.
    pub(crate) fn pop(&mut self, visit: &mut dyn FnMut(Packet<'_>)) {
        let Some(record) = self.records.pop_front() else { return };
        let to = self.from + record.len;
        let Record { at, link, wire_len, .. } = record;
        visit(Packet { at, link, bytes: &self.bytes[self.from..to], wire_len });
        self.from = to;
        if self.records.is_empty() {
            self.bytes.clear();
            self.from = 0;
        } else if self.from >= COMPACT_BYTES && self.from >= self.bytes.len() / 2 {
            self.bytes.drain(..self.from);
            self.from = 0;
        }
    }

    /// Memory that waiting packets take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() - self.from + self.records.len() * size_of::<Record>()
    }

    /// Packets that wait.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_as_they_went_in_and_room_is_taken_back() {
        let mut held = Held::default();
        let (mut next_in, mut next_out) = (0_u64, 0_u64);
        for round in 0..3_000_u64 {
            for _ in 0..2 + round % 3 {
                let bytes = vec![next_in as u8; 1_000 + (next_in % 7) as usize];
                let (at, link) = (Timestamp(next_in), LinkType::ETHERNET);
                held.push(&Packet { at, link, bytes: &bytes, wire_len: 9 });
                next_in += 1;
            }
            // One packet always stays, so the queue never starts anew by itself.
            while held.len() > 1 {
                assert_eq!(held.first_at(), Some(Timestamp(next_out)));
                held.pop(&mut |packet| {
                    assert_eq!(packet.at, Timestamp(next_out));
                    assert_eq!(packet.bytes.len(), 1_000 + (next_out % 7) as usize);
                    assert!(packet.bytes.iter().all(|&byte| byte == next_out as u8));
                });
                next_out += 1;
            }
        }
        assert_eq!(held.len(), 1);
        assert!(held.bytes() < 2_000 && held.bytes.capacity() < 4 * COMPACT_BYTES);
        held.pop(&mut |_| {});
        assert_eq!((held.bytes(), held.first_at()), (0, None));
        held.pop(&mut |_| panic!("there is none"));
    }

    #[test]
    fn packets_that_are_moved_stand_behind_those_there() {
        let packet = |at: u64, bytes: &[u8], held: &mut Held| {
            held.push(&Packet { at: Timestamp(at), link: LinkType::IPV4, bytes, wire_len: 1 });
        };
        let (mut one, mut other) = (Held::default(), Held::default());
        packet(1, b"a", &mut other);
        one.append(&mut other);
        packet(2, b"gone", &mut other);
        other.pop(&mut |_| {});
        packet(3, b"b", &mut other);
        packet(4, b"cc", &mut other);
        other.pop(&mut |packet| assert_eq!(packet.bytes, b"b"));
        one.append(&mut other);
        assert_eq!((other.len(), other.bytes()), (0, 0));
        let mut told = Vec::new();
        while one.len() > 0 {
            one.pop(&mut |packet| told.push((packet.at.0, packet.bytes.to_vec())));
        }
        assert_eq!(told, [(1, b"a".to_vec()), (4, b"cc".to_vec())]);
    }
}
