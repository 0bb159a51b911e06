//! Pieces of a sequence of bytes that arrive in any order and overlap.

use fluxtap_wire::Timestamp;
use smallvec::SmallVec;

/// One stretch of the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it begins.
    pub(crate) from: u64,
    /// The bytes that were captured.
    pub(crate) data: Box<[u8]>,
    /// How many bytes follow that were on the wire and not captured.
    pub(crate) hole: u64,
    /// When it was captured.
    pub(crate) at: Timestamp,
}

impl Piece {
    /// Where it ends, the hole included.
    pub(crate) const fn end(&self) -> u64 {
        self.from.saturating_add(self.data.len() as u64).saturating_add(self.hole)
    }
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// All of it is new.
    New,
    /// A part of it was there before.
    Overlapping,
    /// All of it was there before.
    Known,
}

/// Pieces in the order of the sequence, none of which overlap: what came first stays, as most hosts
/// do it, and in any case the same way for everybody.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    list: SmallVec<[Piece; 2]>,
    octets: usize,
}

impl Pieces {
    /// Takes in what nobody has said before about the bytes from `from` on: `data`, and behind it
    /// `hole` bytes that were not captured.
    pub(crate) fn insert(&mut self, from: u64, data: &[u8], hole: u64, at: Timestamp) -> Inserted {
        let end = from.saturating_add(data.len() as u64).saturating_add(hole);
        let mut index = self.list.partition_point(|piece| piece.end() <= from);
        let mut next = from;
        let (mut is_new, mut is_known) = (false, false);
        while next < end {
            let stop = match self.list.get(index) {
                Some(piece) if piece.from <= next => {
                    is_known = true;
                    next = piece.end();
                    index += 1;
                    continue;
                }
                Some(piece) => piece.from.min(end),
                None => end,
            };
            is_new = true;
            let captured = |place: u64| ((place - from) as usize).min(data.len());
            let part = data.get(captured(next)..captured(stop)).unwrap_or(&[]);
            let hole = stop - next - part.len() as u64;
            self.octets += part.len();
            self.list.insert(index, Piece { from: next, data: part.into(), hole, at });
            index += 1;
            next = stop;
        }
        match (is_new, is_known) {
            (_, false) => Inserted::New,
            (true, true) => Inserted::Overlapping,
            (false, true) => Inserted::Known,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// The first one.
    pub(crate) fn first(&self) -> Option<&Piece> {
        self.list.first()
    }

    /// Where the last one ends; 0 without any.
    pub(crate) fn end(&self) -> u64 {
        self.list.last().map_or(0, Piece::end)
    }

    /// Takes the first one out.
    pub(crate) fn pop_first(&mut self) -> Option<Piece> {
        if self.list.is_empty() {
            return None;
        }
        let piece = self.list.remove(0);
        self.octets -= piece.data.len();
        Some(piece)
    }

    /// Where the bytes from 0 on that are there without a gap end, and whether a hole ends them.
    pub(crate) fn run(&self) -> (u64, bool) {
        let mut next = 0;
        for piece in &self.list {
            if piece.from != next {
                break;
            }
            next += piece.data.len() as u64;
            if piece.hole > 0 {
                return (next, true);
            }
        }
        (next, false)
    }

    /// Copies the bytes up to `end`, which [`Pieces::run`] must reach, into `out`.
    pub(crate) fn copy_to(&self, end: u64, out: &mut Vec<u8>) {
        out.clear();
        for piece in &self.list {
            out.extend_from_slice(&piece.data);
        }
        out.truncate(end as usize);
    }

    /// Bytes of memory it takes beside its own size.
    pub(crate) fn memory(&self) -> usize {
        /// What an allocation costs beside its bytes.
        const ALLOCATION_OCTETS: usize = 16;
        let spilled =
            if self.list.spilled() { self.list.capacity() * size_of::<Piece>() } else { 0 };
        self.octets + self.list.len() * ALLOCATION_OCTETS + spilled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by a map of single bytes: `None` is a byte that was not captured.
    #[derive(Default)]
    struct Naive(std::collections::BTreeMap<u64, Option<u8>>);

    impl Naive {
        fn insert(&mut self, from: u64, data: &[u8], hole: u64) -> Inserted {
            let places = (0..data.len() as u64 + hole).map(|i| (from + i, data.get(i as usize)));
            let before = self.0.len() as u64;
            for (place, byte) in places {
                self.0.entry(place).or_insert(byte.copied());
            }
            let new = self.0.len() as u64 - before;
            match (new, data.len() as u64 + hole - new) {
                (_, 0) => Inserted::New,
                (0, _) => Inserted::Known,
                _ => Inserted::Overlapping,
            }
        }
    }

    #[test]
    fn pieces_are_those_of_a_naive_map() {
        let mut state = 1_u32;
        let mut random = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        for round in 0..2_000 {
            let (mut pieces, mut naive) = (Pieces::default(), Naive::default());
            for _ in 0..random(12) {
                let from = u64::from(random(60));
                let data: Vec<u8> = (0..random(20)).map(|_| random(256) as u8).collect();
                let hole = if random(4) == 0 { u64::from(random(6)) } else { 0 };
                let expected = naive.insert(from, &data, hole);
                assert_eq!(pieces.insert(from, &data, hole, Timestamp(0)), expected, "{round}");
            }
            let mut all = std::collections::BTreeMap::new();
            for piece in &pieces.list {
                let missing = (0..piece.hole).map(|_| None);
                let bytes = piece.data.iter().copied().map(Some).chain(missing);
                for (place, byte) in (piece.from..).zip(bytes) {
                    assert_eq!(all.insert(place, byte), None, "{round}: overlap at {place}");
                }
            }
            assert_eq!(all, naive.0, "{round}");
            let run = (0..).take_while(|at| naive.0.get(at).is_some_and(Option::is_some)).count();
            let is_hole = naive.0.contains_key(&(run as u64));
            assert_eq!(pieces.run(), (run as u64, is_hole), "{round}");
            let mut bytes = Vec::new();
            pieces.copy_to(run as u64, &mut bytes);
            let expected: Vec<u8> = (0..run as u64).filter_map(|at| naive.0[&at]).collect();
            assert_eq!(bytes, expected, "{round}");
            let octets: usize = pieces.list.iter().map(|piece| piece.data.len()).sum();
            assert_eq!(pieces.octets, octets);
        }
    }
}
