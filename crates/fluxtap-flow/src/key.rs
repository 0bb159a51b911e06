//! The keyed hash of all tables here.

use fluxtap_wire::{Ends, Timestamp};
use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use std::hash::Hasher as _;
use std::net::IpAddr;

/// Hashes with a key of which all constants of the function are made, not only its start: senders
/// choose what is hashed here, and must not be able to choose where it lands.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    words: [u64; 4],
}

impl Keyed {
    pub(crate) fn new(hash_key: u64) -> Self {
        let seeds = SharedSeed::from_u64(hash_key);
        let word = |number| {
            let mut hasher = FoldHasher::with_seed(hash_key.rotate_left(32), &seeds);
            hasher.write_u64(number);
            hasher.finish()
        };
        let words = [word(0), word(1), word(2), word(3)];
        Self { words }
    }

    /// The hash of two addresses in this order and a number.
    #[inline]
    pub(crate) fn pair(&self, first: &IpAddr, second: &IpAddr, number: u64) -> u64 {
        let addresses = match (first, second) {
            (IpAddr::V4(first), IpAddr::V4(second)) => {
                u64::from(first.to_bits()) << 32 | u64::from(second.to_bits())
            }
            _ => self.long(first, second),
        };
        fold(addresses ^ self.words[0], number ^ self.words[1])
    }

    /// The hash of two addresses that do not fit in a word.
    fn long(&self, first: &IpAddr, second: &IpAddr) -> u64 {
        let [a, b, c, d] = self.words;
        let bits = |address: &IpAddr| match address {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let (first, second) = (bits(first), bits(second));
        let high = fold((first >> 64) as u64 ^ a, first as u64 ^ b);
        high ^ fold((second >> 64) as u64 ^ c, second as u64 ^ d).rotate_left(32)
    }

    /// The hash of a hash and a number.
    #[inline]
    pub(crate) fn with(&self, hash: u64, number: u64) -> u64 {
        fold(hash ^ self.words[2], number ^ self.words[3])
    }

    /// The hash of a hash and bytes. What is hashed here has tens of bytes: the loop is short, and is
    /// not worth the call of a function for any length.
    #[inline]
    pub(crate) fn with_octets(&self, hash: u64, octets: &[u8]) -> u64 {
        let [a, b, _, d] = self.words;
        let state = fold(hash ^ a, octets.len() as u64 ^ b);
        let halves =
            |low: [u8; 8], high: [u8; 8]| (u64::from_le_bytes(low), u64::from_le_bytes(high));
        let step = |state: u64, (low, high): (u64, u64)| fold(state ^ low, high ^ d);
        // The last bytes are read in pieces that may overlap: the length is hashed as well.
        let last = match (octets.last_chunk::<16>(), octets.first_chunk(), octets.last_chunk()) {
            (Some(last), ..) => {
                let in_front = octets.as_chunks::<16>().0;
                let in_front = in_front.get(..(octets.len() - 1) / 16).unwrap_or(&[]);
                let halves = |block: &[u8; 16]| {
                    let word = u128::from_le_bytes(*block);
                    (word as u64, (word >> 64) as u64)
                };
                // Two at a time: a step waits for the product of the one before.
                let (twos, one) = in_front.as_chunks::<2>();
                let both =
                    twos.iter().fold((state, state ^ d), |(state, beside), [first, second]| {
                        (step(state, halves(first)), step(beside, halves(second)))
                    });
                let state = if twos.is_empty() { state } else { fold(both.0 ^ a, both.1 ^ b) };
                let state = one.iter().fold(state, |state, block| step(state, halves(block)));
                return step(state, halves(last));
            }
            (None, Some(first), Some(last)) => halves(*first, *last),
            _ => {
                let mut few = [0; 8];
                few.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
                (u64::from_le_bytes(few), 0)
            }
        };
        step(state, last)
    }

    /// The hash of one direction of a flow; the way to the tap is told apart by VLAN alone, the
    /// rest of it is left to comparison.
    pub(crate) fn way(&self, ends: &Ends, number: u64) -> u64 {
        self.with(self.pair(&ends.source, &ends.destination, number), u64::from(ends.vlan))
    }

    /// The hash of who a packet comes from; all addresses of an IPv6 /64 are one source, because
    /// whoever has one has all.
    pub(crate) fn source(&self, address: IpAddr) -> u64 {
        let prefix = match address {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        self.with(self.words[0], prefix)
    }
}

/// Both halves of the product in one word, as the hash of bytes mixes its words too.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Whether more than `lifetime_s` lie between two times, whichever is the later: after event time
/// was set back, what is stamped with a time to come must go as well.
pub(crate) fn is_past(at: Timestamp, now: Timestamp, lifetime_s: u32) -> bool {
    now.since(at).max(at.since(now)) > u64::from(lifetime_s) * Timestamp::SECOND
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ends;
    use std::collections::BTreeSet;

    /// Whatever changes by one bit goes elsewhere, evenly, and with another key elsewhere again.
    #[test]
    fn every_bit_counts_and_spreads() {
        let keyed = Keyed::new(7);
        let v6 = |bits: u128| IpAddr::from(bits.to_be_bytes());
        let mut hashes = vec![Keyed::new(8).way(&ends(1, 2), 3), keyed.way(&ends(1, 2), 3)];
        for bit in 0..32 {
            hashes.push(keyed.way(&ends(1 ^ 1 << bit, 2), 3));
            hashes.push(keyed.way(&ends(1, 2 ^ 1 << bit), 3));
            hashes.push(keyed.way(&ends(1, 2), 3 ^ 1 << bit));
        }
        for bit in 0..128 {
            hashes.push(keyed.pair(&v6(1 << bit), &v6(5), 3));
            hashes.push(keyed.pair(&v6(5), &v6(1 << bit), 3));
        }
        for vlan in 1..4_095 {
            hashes.push(keyed.way(&Ends { vlan, ..ends(1, 2) }, 3));
        }
        for len in 0..300_usize {
            hashes.push(keyed.with_octets(1, &vec![0; len]));
            let mut octets = vec![0; 300];
            octets[len] = 1;
            hashes.push(keyed.with_octets(1, &octets));
        }
        assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len());
        for shift in [0, 20, 57] {
            let mut buckets = [0; 16];
            hashes.iter().for_each(|hash| buckets[(hash >> shift & 15) as usize] += 1);
            let even = hashes.len() / 16;
            assert!(buckets.iter().all(|&n| n > even * 2 / 3 && n < even * 3 / 2), "{buckets:?}");
        }
    }

    /// Blocks are hashed two at a time; which of the two a block is in counts all the same.
    #[test]
    fn the_order_of_blocks_counts() {
        let keyed = Keyed::new(7);
        let blocks = |order: [u8; 6]| {
            keyed.with_octets(1, &order.iter().flat_map(|&block| [block; 16]).collect::<Vec<_>>())
        };
        let mut hashes = BTreeSet::from([blocks([1, 2, 3, 4, 5, 6])]);
        for first in 0..6 {
            for second in first + 1..6 {
                let mut order = [1, 2, 3, 4, 5, 6];
                order.swap(first, second);
                hashes.insert(blocks(order));
            }
        }
        assert_eq!(hashes.len(), 16);
    }

    #[test]
    fn a_source_is_an_address_or_a_prefix() {
        let keyed = Keyed::new(7);
        let source = |text: &str| keyed.source(text.parse().expect("an address"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:0:0:2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
    }
}
