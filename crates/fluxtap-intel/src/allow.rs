//! The operator's allow list: what is known to look like flux and is none of the operator's business.
//!
//! An entry covers **asked names** (a domain and everything below it) or **addresses** (one, a
//! network, an autonomous system). The two are never mixed up: a domain entry looks at what was
//! asked, not at what the answer points to, so `evil.example CNAME cdn.allowed.example` gains
//! nothing; and allowed addresses are taken out of the evidence, so that one of them among bad ones
//! forgives none of the others.
//!
//! Limits: [`ALLOW_ENTRIES_MAX`] entries, lines of [`ALLOW_LINE_OCTETS_MAX`] bytes; more is refused.

mod parse;

use crate::day::Day;
use crate::labels::Labels;
use std::fmt;
use std::net::IpAddr;

pub use parse::AllowMistake;
pub(crate) use parse::{BITS_MIN, asn_number, network_of, unmapped};

/// Entries in one list; more is refused, not cut off.
pub const ALLOW_ENTRIES_MAX: usize = 10_000;

/// Longest line in bytes.
pub const ALLOW_LINE_OCTETS_MAX: usize = 1_000;

/// What is allowed, for which kinds of flux, why and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowEntry {
    /// What it covers.
    pub covers: Covers,
    /// Why it is there.
    pub reason: Box<str>,
    /// The last day, UTC, on which it is in force; without one it stays.
    pub expires: Option<Day>,
    /// The line it stands on, from 1.
    pub line: usize,
    /// A bit for each kind of flux, by its position in the list the entry was read with.
    kinds: u8,
}

/// What an entry covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covers {
    /// Asked names: this one and all below it, in lower-case wire form.
    Domain(Box<[u8]>),
    /// Addresses: those that share this many leading bits with the address. IPv4 in an IPv6 form is
    /// IPv4.
    Network(IpAddr, u8),
    /// Addresses that this autonomous system announces, by the address table.
    Asn(u32),
}

impl fmt::Display for Covers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(wire) => {
                let labels = Labels::new_checked(wire);
                let labels: Vec<&[u8]> = labels.iter().flat_map(Labels::right_to_left).collect();
                write!(f, "domain ")?;
                for (i, label) in labels.iter().rev().enumerate() {
                    // Entries are read from plain letters, digits, hyphens and underscores.
                    let label = std::str::from_utf8(label).unwrap_or("?");
                    write!(f, "{}{label}", if i > 0 { "." } else { "" })?;
                }
                Ok(())
            }
            Self::Network(ip, bits) if *bits == bits_of(*ip) => write!(f, "address {ip}"),
            Self::Network(ip, bits) => write!(f, "network {ip}/{bits}"),
            Self::Asn(asn) => write!(f, "asn AS{asn}"),
        }
    }
}

impl AllowEntry {
    /// Whether its last day is over on `day`.
    #[must_use]
    pub fn is_expired(&self, day: Day) -> bool {
        self.expires.is_some_and(|last| last < day)
    }
}

/// An allow list with look-ups by name and by address. Entries are told by their position.
#[derive(Debug, Default)]
pub struct AllowList {
    entries: Box<[AllowEntry]>,
    /// Wire forms with their entries, sorted.
    names: Box<[(Box<[u8]>, u16)]>,
    /// Whether an entry lies below a registrable domain, so that asked names must be looked at.
    has_names_below: bool,
    /// First bits as IPv6 (IPv4 mapped), how many, and the entry; the longest first, then sorted.
    networks: Box<[(u8, u128, u16)]>,
    /// Lengths that occur in them, the longest first.
    lengths: Box<[u8]>,
    /// Autonomous systems with their entries, sorted.
    asns: Box<[(u32, u16)]>,
}

impl AllowList {
    /// Reads a list, a line for each entry: `WHAT VALUE [OPTION…] REASON`, `#` comments.
    ///
    /// `WHAT VALUE` is `domain NAME`, `address IP`, `network IP/BITS` or `asn ASN`. Options are
    /// `expires=YYYY-MM-DD`, `kinds=KIND,…` with words of `kinds`, and `force=true`, without which
    /// a public suffix and a very wide network are refused.
    ///
    /// # Errors
    /// All mistakes of the text at once, by line.
    pub fn parse(text: &str, kinds: &[&str]) -> Result<Self, Vec<AllowMistake>> {
        parse::entries(text, kinds).map(Self::of)
    }

    /// The entries in the order of their lines.
    #[must_use]
    pub fn entries(&self) -> &[AllowEntry] {
        &self.entries
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries that are in force at a time, in seconds since the epoch, for the kind of flux at
    /// this position of the words the list was read with.
    #[must_use]
    pub fn in_force(&self, at_s: u64, kind: usize) -> InForce<'_> {
        InForce { list: self, day: Day::of(at_s), kind }
    }

    /// The entry nearest to an asked name among those at or above it and below its registrable
    /// domain, which begins at `domain_at`; whether or not it is in force. What covers the
    /// registrable domain covers all of it and needs no mark.
    #[must_use]
    pub fn mark(&self, asked: &[u8], domain_at: usize) -> Option<u16> {
        if !self.has_names_below {
            return None;
        }
        let labels = Labels::new_checked(asked)?;
        labels.offsets(usize::MAX).take_while(|&at| at < domain_at).find_map(|at| {
            let suffix = asked.get(at..)?;
            self.name(suffix)
        })
    }

    fn of(entries: Vec<AllowEntry>) -> Self {
        let (mut names, mut networks, mut asns) = (Vec::new(), Vec::new(), Vec::new());
        for (at, entry) in entries.iter().enumerate() {
            let at = at as u16;
            match &entry.covers {
                Covers::Domain(wire) => names.push((wire.clone(), at)),
                Covers::Network(ip, bits) => {
                    let length = mapped_bits(*ip, *bits);
                    networks.push((length, first_bits(mapped(*ip), length), at));
                }
                Covers::Asn(asn) => asns.push((*asn, at)),
            }
        }
        names.sort();
        networks.sort_by_key(|&(length, bits, _)| (u8::MAX - length, bits));
        asns.sort_unstable();
        let mut lengths: Vec<u8> = networks.iter().map(|&(length, ..)| length).collect();
        lengths.dedup();
        let is_below = |(wire, _): &(Box<[u8]>, u16)| {
            crate::suffix::registrable(wire).is_some_and(|domain_at| domain_at > 0)
        };
        Self {
            has_names_below: names.iter().any(is_below),
            entries: entries.into(),
            names: names.into(),
            networks: networks.into(),
            lengths: lengths.into(),
            asns: asns.into(),
        }
    }

    fn name(&self, wire: &[u8]) -> Option<u16> {
        let place = self.names.binary_search_by(|(name, _)| (**name).cmp(wire)).ok()?;
        Some(self.names[place].1)
    }
}

/// The entries of a list that are in force at one time for one kind of flux.
#[derive(Clone, Copy, Debug)]
pub struct InForce<'a> {
    list: &'a AllowList,
    day: Day,
    kind: usize,
}

impl InForce<'_> {
    /// The entry nearest to a name in lower-case wire form among those at or above it.
    #[must_use]
    pub fn name(&self, wire: &[u8]) -> Option<u16> {
        if self.list.names.is_empty() {
            return None;
        }
        let labels = Labels::new_checked(wire)?;
        let mut entries =
            labels.offsets(usize::MAX).filter_map(|at| self.list.name(wire.get(at..)?));
        entries.find(|&entry| self.has(entry))
    }

    /// The same for a name that [`AllowList::mark`] marked: the marked entry, or one above it.
    #[must_use]
    pub fn marked(&self, mark: u16) -> Option<u16> {
        match &self.list.entries.get(usize::from(mark))?.covers {
            Covers::Domain(wire) => self.name(wire),
            Covers::Network(..) | Covers::Asn(_) => None,
        }
    }

    /// The entry that covers an address most closely: the longest network, else the autonomous
    /// system `asn`, 0 if that is not known.
    #[must_use]
    pub fn address(&self, ip: IpAddr, asn: u32) -> Option<u16> {
        let bits = mapped(ip);
        let networks = self.list.lengths.iter().filter_map(|&length| {
            let key = (u8::MAX - length, first_bits(bits, length));
            let found =
                self.list.networks.binary_search_by_key(&key, |&(l, b, _)| (u8::MAX - l, b));
            found.ok().map(|place| self.list.networks[place].2)
        });
        let of_asn = || {
            let place = self.list.asns.binary_search_by_key(&asn, |&(number, _)| number).ok()?;
            Some(self.list.asns[place].1)
        };
        networks.chain(std::iter::once_with(of_asn).flatten()).find(|&entry| self.has(entry))
    }

    /// Whether an entry covers addresses at all, so that looking at them is worth it.
    #[must_use]
    pub const fn has_addresses(&self) -> bool {
        !self.list.networks.is_empty() || !self.list.asns.is_empty()
    }

    fn has(&self, entry: u16) -> bool {
        let entry = &self.list.entries[usize::from(entry)];
        !entry.is_expired(self.day) && entry.kinds >> self.kind & 1 == 1
    }
}

/// Bits of an address of its family.
pub(crate) const fn bits_of(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The address as IPv6, IPv4 mapped.
pub(crate) fn mapped(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// A prefix length as one of IPv6.
pub(crate) const fn mapped_bits(ip: IpAddr, bits: u8) -> u8 {
    bits + if ip.is_ipv4() { 96 } else { 0 }
}

/// The first `length` bits, the others 0.
pub(crate) const fn first_bits(bits: u128, length: u8) -> u128 {
    match u128::MAX.checked_shl(128 - length as u32) {
        Some(mask) => bits & mask,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [&str; 2] = ["single_flux", "double_flux"];
    /// 2026-11-22T13:00:00Z.
    const AT_S: u64 = 1_795_352_400;

    fn wire(text: &str) -> Vec<u8> {
        crate::labels::wire_form(text).expect("a name").into()
    }

    fn list(text: &str) -> AllowList {
        AllowList::parse(text, &KINDS).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    }

    /// The text of the entry that was found, or nothing.
    fn found(list: &AllowList, entry: Option<u16>) -> String {
        entry.map_or_else(String::new, |at| list.entries()[usize::from(at)].covers.to_string())
    }

    #[test]
    fn names_are_covered_from_the_entry_downwards() {
        let list = list(
            "domain cdn.example ours\n\
             domain pool.shop.example the pool\n\
             domain eu.pool.shop.example expires=2026-11-21 gone\n\
             domain duckdns.org force=true all of it\n",
        );
        let now = list.in_force(AT_S, 0);
        for (name, expect) in [
            ("cdn.example", "domain cdn.example"),
            ("a.b.cdn.example", "domain cdn.example"),
            ("xcdn.example", ""),
            ("example", ""),
            ("cdn.example.evil.test", ""),
            ("shop.example", ""),
            ("de.eu.pool.shop.example", "domain pool.shop.example"),
            ("home.duckdns.org", "domain duckdns.org"),
        ] {
            assert_eq!(found(&list, now.name(&wire(name))), expect, "{name}");
        }
        assert_eq!(now.name(&[]), None);
        assert_eq!(now.name(&[9, b'x', 0]), None);
    }

    #[test]
    fn asked_names_below_a_registrable_domain_are_marked() {
        let list = list(
            "domain pool.shop.example the pool\n\
             domain eu.pool.shop.example expires=2026-11-21 gone\n\
             domain cdn.example ours\n",
        );
        for (name, domain_at, marked, in_force) in [
            ("a.pool.shop.example", 7, "domain pool.shop.example", "domain pool.shop.example"),
            (
                "a.eu.pool.shop.example",
                10,
                "domain eu.pool.shop.example",
                "domain pool.shop.example",
            ),
            ("www.shop.example", 4, "", ""),
            // The whole domain is covered: no mark is needed.
            ("www.cdn.example", 4, "", ""),
        ] {
            let mark = list.mark(&wire(name), domain_at);
            assert_eq!(found(&list, mark), marked, "{name}");
            let entry = mark.and_then(|mark| list.in_force(AT_S, 0).marked(mark));
            assert_eq!(found(&list, entry), in_force, "{name}");
        }
        assert_eq!(AllowList::default().mark(&wire("a.pool.shop.example"), 7), None);
    }

    #[test]
    fn addresses_are_covered_by_the_closest_entry() {
        let list = list(
            "address 198.18.7.9 one\n\
             network 198.18.0.0/16 ours\n\
             network 198.18.7.0/24 expires=2026-11-21 gone\n\
             network 2001:db8::/32 ours\n\
             asn AS64500 the hoster\n\
             address 192.0.2.1 kinds=double_flux a server\n",
        );
        let now = list.in_force(AT_S, 0);
        for (ip, asn, expect) in [
            ("198.18.7.9", 64_500, "address 198.18.7.9"),
            ("198.18.7.8", 64_500, "network 198.18.0.0/16"),
            ("::ffff:198.18.7.8", 0, "network 198.18.0.0/16"),
            ("198.19.0.0", 0, ""),
            ("198.19.0.0", 64_500, "asn AS64500"),
            ("198.19.0.0", 64_501, ""),
            ("2001:db8:ffff::1", 0, "network 2001:db8::/32"),
            ("2001:db9::1", 0, ""),
            ("192.0.2.1", 0, ""),
        ] {
            let got = now.address(ip.parse().expect("an address"), asn);
            assert_eq!(found(&list, got), expect, "{ip} {asn}");
        }
        let double = list.in_force(AT_S, 1);
        let server = double.address("192.0.2.1".parse().expect("an address"), 0);
        assert_eq!(found(&list, server), "address 192.0.2.1");
    }

    #[test]
    fn an_entry_is_in_force_to_the_end_of_its_last_day() {
        let list = list("domain cdn.example expires=2026-11-22 ours\n");
        const END_S: u64 = 1_795_392_000;
        for (at_s, is_in_force) in [(0, true), (AT_S, true), (END_S - 1, true), (END_S, false)] {
            let found = list.in_force(at_s, 0).name(&wire("cdn.example"));
            assert_eq!(found.is_some(), is_in_force, "{at_s}");
            assert_eq!(list.entries()[0].is_expired(Day::of(at_s)), !is_in_force);
        }
    }

    #[test]
    fn everything_can_be_allowed_by_force() {
        let list = list("network 0.0.0.0/0 force=true lab\nnetwork ::/0 force=true lab\n");
        let now = list.in_force(AT_S, 0);
        let find = |ip: &str| found(&list, now.address(ip.parse().expect("an address"), 0));
        assert_eq!(find("8.8.8.8"), "network 0.0.0.0/0");
        assert_eq!(find("2001:db8::1"), "network ::/0");
    }
}
