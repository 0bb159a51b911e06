//! Networks of one family: sorted by first address, each with the next wider one around it.
//!
//! Of two networks one holds the other or they have nothing in common. So whatever holds an address
//! is the last network that begins at or before it, or is around that one.

use super::{Ends, NO_END, Tag};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of an address of one family.
pub(super) trait Bits: Copy + Ord {
    /// Whether the first `bits` of two are the same.
    fn shares(self, other: Self, bits: u8) -> bool;
    /// The address.
    fn ip(self) -> IpAddr;
}

impl Bits for u32 {
    fn shares(self, other: Self, bits: u8) -> bool {
        (self ^ other).leading_zeros() >= bits.into()
    }

    fn ip(self) -> IpAddr {
        Ipv4Addr::from_bits(self).into()
    }
}

impl Bits for u128 {
    fn shares(self, other: Self, bits: u8) -> bool {
        (self ^ other).leading_zeros() >= bits.into()
    }

    fn ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self).into()
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Networks<B> {
    first: Box<[B]>,
    rows: Box<[Row]>,
    ends: Ends,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    /// Position of the network around it, [`OUTERMOST`] if there is none.
    around: u32,
    bits: u8,
    list: u8,
}

const OUTERMOST: u32 = u32::MAX;

impl<B: Bits> Networks<B> {
    pub(super) fn of(mut found: Vec<(B, u8, Tag)>) -> Self {
        found.sort_unstable_by_key(|&(first, bits, t)| (first, bits, t.list, NO_END - t.until_s));
        found.dedup_by_key(|(first, bits, tag)| (*first, *bits, tag.list));
        let mut rows: Vec<Row> = Vec::with_capacity(found.len());
        let mut open: Vec<u32> = Vec::new();
        for (at, &(first, bits, tag)) in found.iter().enumerate() {
            while let Some(&outer) = open.last() {
                let (of_outer, length, _) = found[outer as usize];
                if length <= bits && of_outer.shares(first, length) {
                    break;
                }
                open.pop();
            }
            let around = open.last().copied().unwrap_or(OUTERMOST);
            rows.push(Row { around, bits, list: tag.list });
            open.push(at as u32);
        }
        Self {
            first: found.iter().map(|&(first, ..)| first).collect(),
            rows: rows.into(),
            ends: Ends::of(found.iter().map(|(_, _, tag)| tag.until_s)),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.first) + size_of_val(&*self.rows) + self.ends.bytes()
    }

    /// The networks that hold an address, the narrowest first.
    pub(super) fn find(&self, ip: B) -> impl Iterator<Item = (Tag, (IpAddr, u8))> {
        let last = self.first.partition_point(|&first| first <= ip).checked_sub(1);
        let outwards = std::iter::successors(last, |&at| {
            let around = self.rows[at].around;
            (around != OUTERMOST).then_some(around as usize)
        });
        outwards.filter(move |&at| self.first[at].shares(ip, self.rows[at].bits)).map(|at| {
            let Row { bits, list, .. } = self.rows[at];
            (Tag { list, until_s: self.ends.get(at) }, (self.first[at].ip(), bits))
        })
    }
}
