//! IPv6 addresses that a DNS64 made (RFC 6147) back to the IPv4 addresses inside them.
//!
//! A resolver with DNS64 answers with its network's prefix and the IPv4 address of the host behind
//! it. Taken as they are, all hosts of the Internet would lie in one network there; so they count
//! as the IPv4 addresses they stand for. The well-known prefixes are known; others are learnt from
//! the answers to `ipv4only.arpa` (RFC 7050), as clients learn them.
//!
//! What can be taught is little, because whoever answers that name may lie:
//!
//! * A prefix holds only for the responses of the responder that taught it, so nobody can say
//!   anything about the answers of another; and where queries are visible, nobody can answer in
//!   another's name.
//! * It changes no IPv4 address, and no IPv6 address that RFC 6052 would not make: its reserved byte
//!   and all that follows the IPv4 address have to be zeros.
//! * What would turn out to be a special-use address stays the IPv6 address that it is, so that
//!   nothing can be made to vanish.
//! * A responder has [`PREFIXES_PER_RESPONDER_MAX`] of them. One of 48 bits or more lies within one
//!   of the networks that diversity is counted in, so it can hide no more than that one; behind a
//!   shorter one the last 6 or 8 bytes have to be zeros, which no host's address has.

use crate::{Address, ObserveCounts};
use fluxtap_intel::special;
use fluxtap_wire::{Prefix64, Timestamp, nat64};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most prefixes remembered. Beyond it the one goes that was confirmed least often, among equals
/// the one that was confirmed longest ago.
pub const PREFIXES_MAX: usize = 256;

/// Most prefixes of one responder; further ones are refused.
pub const PREFIXES_PER_RESPONDER_MAX: usize = 4;

/// How long a prefix holds without being confirmed, in seconds of event time. Devices ask whenever
/// they join a network.
pub const PREFIX_LIFETIME_S: u64 = 604_800;

/// A prefix that a responder taught.
#[derive(Clone, Copy, Debug)]
struct Learnt {
    responder: IpAddr,
    prefix: Prefix64,
    confirmed: Timestamp,
    confirmations: u32,
}

impl Learnt {
    fn is_alive(&self, at: Timestamp) -> bool {
        at.since(self.confirmed) < PREFIX_LIFETIME_S * Timestamp::SECOND
    }
}

/// The prefixes that were learnt, sorted by responder and prefix.
#[derive(Debug, Default)]
pub(crate) struct Dns64(Vec<Learnt>);

impl Dns64 {
    /// Takes the addresses that `responder` gave `ipv4only.arpa`.
    #[cold]
    pub(crate) fn learn_all(
        &mut self,
        at: Timestamp,
        responder: IpAddr,
        answered: &[Address],
        counts: &mut ObserveCounts,
    ) {
        for address in answered {
            if let IpAddr::V6(ip) = address.ip {
                self.learn(at, responder, ip, counts);
            }
        }
    }

    /// Puts the IPv4 address in the place of every address that has one in it; how many. What
    /// `teacher` taught counts beside the well-known prefixes.
    pub(crate) fn map_back(
        &self,
        at: Timestamp,
        teacher: Option<IpAddr>,
        addresses: &mut [Address],
    ) -> u16 {
        let mut synthesised = 0;
        let mut prefixes: Option<&[Learnt]> = None;
        for address in addresses {
            let IpAddr::V6(ip) = address.ip else { continue };
            let prefixes = prefixes.get_or_insert_with(|| teacher.map_or(&[], |ip| self.of(ip)));
            if let Some(ip) = mapped(prefixes, at, ip) {
                address.ip = ip.into();
                synthesised += 1;
            }
        }
        synthesised
    }

    fn learn(
        &mut self,
        at: Timestamp,
        responder: IpAddr,
        address: Ipv6Addr,
        counts: &mut ObserveCounts,
    ) {
        let Some(prefix) = Prefix64::learn(address).filter(|p| *p != Prefix64::WELL_KNOWN) else {
            return;
        };
        if let Ok(known) = self.find(responder, prefix) {
            let known = &mut self.0[known];
            known.confirmed = known.confirmed.max(at);
            known.confirmations = known.confirmations.saturating_add(1);
            return;
        }
        self.0.retain(|learnt| learnt.is_alive(at));
        if self.of(responder).len() >= PREFIXES_PER_RESPONDER_MAX {
            counts.dns64_prefixes_refused += 1;
            return;
        }
        if self.0.len() >= PREFIXES_MAX {
            let worth = |i: &usize| (self.0[*i].confirmations, self.0[*i].confirmed);
            if let Some(least) = (0..self.0.len()).min_by_key(worth) {
                self.0.remove(least);
                counts.dns64_prefixes_evicted += 1;
            }
        }
        if let Err(place) = self.find(responder, prefix) {
            self.0.insert(place, Learnt { responder, prefix, confirmed: at, confirmations: 1 });
            counts.dns64_prefixes_learnt += 1;
        }
    }

    /// The prefixes that `responder` taught.
    fn of(&self, responder: IpAddr) -> &[Learnt] {
        if self.0.is_empty() {
            return &[];
        }
        let from = self.0.partition_point(|learnt| learnt.responder < responder);
        let rest = &self.0[from..];
        &rest[..rest.partition_point(|learnt| learnt.responder == responder)]
    }

    fn find(&self, responder: IpAddr, prefix: Prefix64) -> Result<usize, usize> {
        self.0
            .binary_search_by_key(&(responder, prefix), |learnt| (learnt.responder, learnt.prefix))
    }
}

/// The IPv4 address that stands in an address of a responder with these prefixes, if one does that
/// is not special-use.
#[inline]
fn mapped(prefixes: &[Learnt], at: Timestamp, address: Ipv6Addr) -> Option<Ipv4Addr> {
    let learnt = prefixes.iter().filter(|learnt| learnt.is_alive(at));
    let mut learnt = learnt.map(|learnt| learnt.prefix);
    let found = learnt.find_map(|prefix| prefix.embedded(address));
    let found = found.or_else(|| nat64::well_known(address))?;
    (!special::is_special_use(found.into())).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    /// Prefix number `n`, of 96 bits.
    fn taught(n: u32) -> Ipv6Addr {
        Ipv6Addr::from_bits(0x2a00 << 112 | u128::from(n) << 64 | 0xc000_00aa)
    }

    #[test]
    fn a_responder_has_few_prefixes_and_only_its_own() {
        let (mut dns64, mut counts) = (Dns64::default(), ObserveCounts::default());
        let [one, other] = [IpAddr::from([9, 9, 9, 9]), IpAddr::from([8, 8, 8, 8])];
        for n in 0..10 {
            dns64.learn(at(100), one, taught(n), &mut counts);
        }
        assert_eq!(dns64.of(one).len(), PREFIXES_PER_RESPONDER_MAX);
        assert_eq!((counts.dns64_prefixes_learnt, counts.dns64_prefixes_refused), (4, 6));
        let host: Ipv6Addr = "2a00:0:0:3::5.6.7.8".parse().unwrap();
        assert_eq!(mapped(dns64.of(one), at(100), host), Some(Ipv4Addr::new(5, 6, 7, 8)));
        assert_eq!(mapped(dns64.of(other), at(100), host), None);
        let private: Ipv6Addr = "2a00:0:0:3::10.6.7.8".parse().unwrap();
        assert_eq!(mapped(dns64.of(one), at(100), private), None);
        // What is no prefix teaches nothing.
        dns64.learn(at(100), other, host, &mut counts);
        assert!(dns64.of(other).is_empty());
        // In time they are forgotten, and others have room.
        let later = at(100 + PREFIX_LIFETIME_S);
        assert_eq!(mapped(dns64.of(one), later, host), None);
        dns64.learn(later, one, taught(77), &mut counts);
        assert_eq!(dns64.of(one).len(), 1);
    }

    /// A bot may ask as many servers of its master as it likes.
    #[test]
    fn a_flood_of_teachers_takes_what_was_confirmed_least() {
        let (mut dns64, mut counts) = (Dns64::default(), ObserveCounts::default());
        let real = IpAddr::from([9, 9, 9, 9]);
        dns64.learn(at(1), real, taught(1), &mut counts);
        dns64.learn(at(2), real, taught(1), &mut counts);
        for n in 0..2_000_u32 {
            dns64.learn(at(3), Ipv4Addr::from(n).into(), taught(n), &mut counts);
            assert!(dns64.0.len() <= PREFIXES_MAX);
            assert!(dns64.0.is_sorted_by_key(|learnt| (learnt.responder, learnt.prefix)));
        }
        assert_eq!(dns64.of(real).len(), 1);
        assert_eq!(counts.dns64_prefixes_learnt, 2_001);
        assert_eq!(counts.dns64_prefixes_evicted, 2_001 - PREFIXES_MAX as u64);
    }
}
