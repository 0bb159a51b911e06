//! Owners and places of the addresses that an alert shows, by the networks they lie in.

use fluxtap_intel::{AddressClass, Country, Owner};
use fluxtap_window::{AddressSeen, Evidence};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The addresses that were judged: those of content networks are left out, so that nobody blocks
/// an edge that a thousand other names share because an alert listed it.
pub(crate) fn judged(evidence: &Evidence) -> impl Iterator<Item = &AddressSeen> {
    evidence.addresses.iter().filter(|a| a.owner.class != AddressClass::Cdn)
}

/// How the judged addresses are spread, counted in networks (/24, IPv6 /48) and not in addresses,
/// so that a block counts once.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Shares {
    /// IPv4 addresses.
    pub(crate) addresses_v4: u32,
    /// IPv6 /64 networks: whoever has one has all its addresses.
    pub(crate) addresses_v6: u32,
    /// Networks, those of unknown owners too.
    pub(crate) networks: u32,
    /// Known autonomous systems and their networks, most first, then by number.
    pub(crate) asns: Vec<(u32, u32)>,
    /// Known countries and their networks, most first, then by code.
    pub(crate) countries: Vec<(Country, u32)>,
}

impl Shares {
    pub(crate) fn of(evidence: &Evidence) -> Self {
        let mut units: BTreeSet<(bool, u64)> = BTreeSet::new();
        let mut owners: BTreeMap<(bool, u64), Owner> = BTreeMap::new();
        for address in judged(evidence) {
            let (unit, network) = match address.ip {
                IpAddr::V4(ip) => (u64::from(ip.to_bits()), u64::from(ip.to_bits() >> 8)),
                IpAddr::V6(ip) => ((ip.to_bits() >> 64) as u64, (ip.to_bits() >> 80) as u64),
            };
            units.insert((address.ip.is_ipv6(), unit));
            owners.entry((address.ip.is_ipv6(), network)).or_insert(address.owner);
        }
        let mut asns: BTreeMap<u32, u32> = BTreeMap::new();
        let mut countries: BTreeMap<Country, u32> = BTreeMap::new();
        for owner in owners.values() {
            if owner.asn != 0 {
                *asns.entry(owner.asn).or_default() += 1;
            }
            if owner.country != Country::UNKNOWN {
                *countries.entry(owner.country).or_default() += 1;
            }
        }
        let addresses_v6 = units.iter().filter(|(is_v6, _)| *is_v6).count();
        Self {
            addresses_v4: (units.len() - addresses_v6) as u32,
            addresses_v6: addresses_v6 as u32,
            networks: owners.len() as u32,
            asns: most_first(asns),
            countries: most_first(countries),
        }
    }

    /// The share of `networks` in all.
    pub(crate) fn share(&self, networks: u32) -> f64 {
        f64::from(networks) / f64::from(self.networks.max(1))
    }

    /// Entropy of the known autonomous systems in bits, each weighed by its networks.
    pub(crate) fn asn_entropy(&self) -> f64 {
        let total: u32 = self.asns.iter().map(|&(_, count)| count).sum();
        let shares = self.asns.iter().map(|&(_, count)| f64::from(count) / f64::from(total.max(1)));
        // From libm, not from the platform: the last bit must not depend on the machine.
        shares.map(|share| -share * libm::log2(share)).sum()
    }
}

fn most_first<K: Ord>(counts: BTreeMap<K, u32>) -> Vec<(K, u32)> {
    let mut list: Vec<(K, u32)> = counts.into_iter().collect();
    // The sort is stable and the map in order, so that equals stay in the order of their keys.
    list.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    list
}
