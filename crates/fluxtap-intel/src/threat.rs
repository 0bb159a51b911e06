//! Lists of others that say what is bad: domains, addresses, networks and autonomous systems, each
//! entry with the list it is from and until when it holds.
//!
//! A hit is a statement of the list's maker, and is handed on as such; what it is worth is decided
//! where it is judged.
//!
//! The key decision is how it lies in memory, for lists have millions of entries and nearly every
//! look-up finds nothing. Names stand in one arena, in the order of a 32-bit hash of their
//! registrable domain: one search over four bytes an entry says that nothing is listed of a domain.
//! Networks are sorted by their first address, and each knows the next wider one around it: one
//! search finds the narrowest that can hold an address, and the others are on the way up.
//!
//! Limits: [`THREAT_LISTS_MAX`] lists, [`THREAT_ENTRIES_MAX`] entries of them all, and 4 GiB of
//! names; more is refused.

mod indicator;
mod names;
mod networks;

use std::net::IpAddr;
use std::sync::Arc;

pub use indicator::{Indicator, Scope, Unusable};
use names::Names;
use networks::Networks;

/// Most lists at a time.
pub const THREAT_LISTS_MAX: usize = 64;

/// Most entries of all lists together.
pub const THREAT_ENTRIES_MAX: usize = 4_000_000;

/// What is known of one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreatList {
    /// What the operator calls it.
    pub name: Box<str>,
    /// Who makes it or where it is from.
    pub source: Box<str>,
    /// What it lists, in the operator's word, such as `phishing`.
    pub category: Box<str>,
    /// What its file is.
    pub format: &'static str,
    /// When its data was made, in seconds since the epoch, where the file says so.
    pub made_s: Option<u64>,
    /// Until when it holds as a whole, in seconds since the epoch; without one it stays.
    pub until_s: Option<u64>,
    /// Whether a hit raises an alert of its own.
    pub is_alerting: bool,
    /// Entries that were taken from it.
    pub entries: usize,
}

/// An entry that covers what was looked up, with the list that has it. It outlives the lists it was
/// found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreatHit {
    /// The list.
    pub list: Arc<ThreatList>,
    /// The entry.
    pub indicator: Indicator,
    /// Until when the entry holds, in seconds since the epoch, where the list says so.
    pub until_s: Option<u32>,
}

/// What stands beside every entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tag {
    /// Position of the list.
    list: u8,
    /// Until when it holds in seconds since the epoch, [`NO_END`] if it stays.
    until_s: u32,
}

const NO_END: u32 = u32::MAX;

/// All lists with look-ups by name, address and autonomous system.
#[derive(Debug, Default)]
pub struct ThreatLists {
    lists: Box<[Arc<ThreatList>]>,
    names: Names,
    v4: Networks<u32>,
    v6: Networks<u128>,
    /// Sorted.
    asns: Box<[(u32, Tag)]>,
}

impl ThreatLists {
    /// The lists, in the order in which they were added.
    #[must_use]
    pub fn lists(&self) -> &[Arc<ThreatList>] {
        &self.lists
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries, those that several lists have counted for each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len() + self.v4.len() + self.v6.len() + self.asns.len()
    }

    /// Bytes that the entries take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.names.bytes() + self.v4.bytes() + self.v6.bytes() + size_of_val(&*self.asns)
    }

    /// Whether a list raises alerts of its own.
    #[must_use]
    pub fn is_alerting(&self) -> bool {
        self.lists.iter().any(|list| list.is_alerting)
    }

    /// Whether an address can be listed at all, by itself or by its system.
    #[must_use]
    pub fn has_addresses(&self) -> bool {
        self.v4.len() + self.v6.len() + self.asns.len() > 0
    }

    /// Whether a name is listed below a registrable domain, in lower-case wire form, or that is.
    #[must_use]
    pub fn has_below(&self, domain: &[u8]) -> bool {
        self.names.has_below(domain)
    }

    /// The entries in force at `at_s`, in seconds since the epoch, that cover a name in lower-case
    /// wire form: that name or one above it, down from the registrable domain.
    #[must_use]
    pub fn name(&self, wire: &[u8], at_s: u64) -> Vec<ThreatHit> {
        let found = self.names.find(wire);
        found.filter_map(|(tag, indicator)| self.hit(tag, at_s, || indicator)).collect()
    }

    /// Those that cover an address, the narrowest first, then those with its autonomous system;
    /// 0 if that is not known. IPv4 in an IPv6 form is IPv4.
    #[must_use]
    pub fn address(&self, ip: IpAddr, asn: u32, at_s: u64) -> Vec<ThreatHit> {
        let mut hits = Vec::new();
        let mut push = |tag, network: (IpAddr, u8)| {
            hits.extend(self.hit(tag, at_s, || Indicator::Network(network.0, network.1)));
        };
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.find(ip.to_bits()).for_each(|(t, n)| push(t, n)),
            IpAddr::V6(ip) => self.v6.find(ip.to_bits()).for_each(|(t, n)| push(t, n)),
        }
        let from = self.asns.partition_point(|&(number, _)| number < asn);
        let of_asn = self.asns[from..].iter().take_while(|&&(number, _)| number == asn && asn > 0);
        hits.extend(of_asn.filter_map(|&(_, tag)| self.hit(tag, at_s, || Indicator::Asn(asn))));
        hits
    }

    fn hit(&self, tag: Tag, at_s: u64, what: impl FnOnce() -> Indicator) -> Option<ThreatHit> {
        let list = &self.lists[usize::from(tag.list)];
        let until_s = Some(tag.until_s).filter(|&until_s| until_s != NO_END);
        let is_over = |until_s: u64| until_s <= at_s;
        if until_s.map(u64::from).is_some_and(is_over) || list.until_s.is_some_and(is_over) {
            return None;
        }
        Some(ThreatHit { list: Arc::clone(list), indicator: what(), until_s })
    }
}

/// Lists while they are read.
#[derive(Debug, Default)]
pub struct ThreatDraft {
    lists: Vec<Arc<ThreatList>>,
    names: names::Draft,
    v4: Vec<(u32, u8, Tag)>,
    v6: Vec<(u128, u8, Tag)>,
    asns: Vec<(u32, Tag)>,
}

/// More was listed than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl ThreatDraft {
    /// Takes an entry of the list that will be added next, with the time until which it holds.
    ///
    /// # Errors
    /// Refuses what goes over [`THREAT_ENTRIES_MAX`], or over [`THREAT_LISTS_MAX`].
    pub fn push(&mut self, indicator: &Indicator, until_s: Option<u64>) -> Result<(), TooMany> {
        if self.lists.len() == THREAT_LISTS_MAX || self.len() == THREAT_ENTRIES_MAX {
            return Err(TooMany);
        }
        let until_s = until_s.map_or(NO_END, |s| u32::try_from(s).unwrap_or(NO_END - 1));
        let tag = Tag { list: self.lists.len() as u8, until_s };
        match indicator {
            Indicator::Name(wire, scope) => return self.names.push(wire, *scope, tag),
            Indicator::Network(IpAddr::V4(ip), bits) => self.v4.push((ip.to_bits(), *bits, tag)),
            Indicator::Network(IpAddr::V6(ip), bits) => self.v6.push((ip.to_bits(), *bits, tag)),
            Indicator::Asn(number) => self.asns.push((*number, tag)),
        }
        Ok(())
    }

    /// Ends a list: what was pushed since the last one is its own.
    pub fn add(&mut self, list: ThreatList) {
        if self.lists.len() < THREAT_LISTS_MAX {
            self.lists.push(Arc::new(list));
        }
    }

    /// Entries up to now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len() + self.v4.len() + self.v6.len() + self.asns.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lists, sorted. What a list says twice it says once, with the later end.
    #[must_use]
    pub fn finish(mut self) -> ThreatLists {
        // Entries without a list would have no name; a caller that failed does not come here.
        let lists = self.lists.len();
        let is_whole = |tag: &Tag| usize::from(tag.list) < lists;
        self.v4.retain(|(_, _, tag)| is_whole(tag));
        self.v6.retain(|(_, _, tag)| is_whole(tag));
        self.asns.retain(|(_, tag)| is_whole(tag));
        self.asns.sort_unstable_by_key(|&(number, t)| (number, t.list, NO_END - t.until_s));
        self.asns.dedup_by_key(|(number, tag)| (*number, tag.list));
        ThreatLists {
            names: self.names.finish(lists),
            v4: Networks::of(self.v4),
            v6: Networks::of(self.v6),
            asns: self.asns.into(),
            lists: self.lists.into(),
        }
    }
}

/// Ends of entries, of which most lists have none: then they take no room.
#[derive(Debug, Default)]
struct Ends(Box<[u32]>);

impl Ends {
    fn of(ends: impl Iterator<Item = u32> + Clone) -> Self {
        let has_any = ends.clone().any(|until_s| until_s != NO_END);
        Self(if has_any { ends.collect() } else { Box::default() })
    }

    fn get(&self, at: usize) -> u32 {
        self.0.get(at).copied().unwrap_or(NO_END)
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

#[cfg(test)]
mod tests;
