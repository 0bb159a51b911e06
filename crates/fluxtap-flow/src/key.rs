//! The keyed hash of all tables here.

use fluxtap_wire::Timestamp;
use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use std::hash::Hasher as _;
use std::net::IpAddr;

/// Hashes with a key of which all constants of the function are made, not only its start: senders
/// choose what is hashed here, and must not be able to choose where it lands.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    seeds: SharedSeed,
    start: u64,
}

impl Keyed {
    pub(crate) fn new(hash_key: u64) -> Self {
        Self { seeds: SharedSeed::from_u64(hash_key), start: hash_key.rotate_left(32) }
    }

    #[inline]
    pub(crate) fn hasher(&self) -> FoldHasher<'_> {
        FoldHasher::with_seed(self.start, &self.seeds)
    }

    /// The hash of who a packet comes from; all addresses of an IPv6 /64 are one source, because
    /// whoever has one has all.
    pub(crate) fn source(&self, address: IpAddr) -> u64 {
        let mut hasher = self.hasher();
        match address {
            IpAddr::V4(ip) => hasher.write_u32(ip.to_bits()),
            IpAddr::V6(ip) => hasher.write_u64((ip.to_bits() >> 64) as u64),
        }
        hasher.finish()
    }
}

/// Writes two addresses in this order.
#[inline]
pub(crate) fn write_addresses(hasher: &mut FoldHasher<'_>, first: IpAddr, second: IpAddr) {
    match (first, second) {
        (IpAddr::V4(first), IpAddr::V4(second)) => {
            hasher.write_u64(u64::from(first.to_bits()) << 32 | u64::from(second.to_bits()));
        }
        _ => {
            for address in [first, second] {
                match address {
                    IpAddr::V4(ip) => hasher.write_u128(ip.to_ipv6_mapped().to_bits()),
                    IpAddr::V6(ip) => hasher.write_u128(ip.to_bits()),
                }
            }
        }
    }
}

/// Whether more than `lifetime_s` lie between two times, whichever is the later: after event time
/// was set back, what is stamped with a time to come must go as well.
pub(crate) fn is_past(at: Timestamp, now: Timestamp, lifetime_s: u32) -> bool {
    now.since(at).max(at.since(now)) > u64::from(lifetime_s) * Timestamp::SECOND
}
