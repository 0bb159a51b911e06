//! Address to owner, and autonomous system to name: sorted arrays, searched where they lie.
//!
//! For IPv4 an index on the upper 16 bits leaves a search among the few ranges of one /16; IPv6
//! keeps the upper 64 bits and searches all ranges, of which it keeps one in 128 apart: these fit in a
//! processor's nearest cache. The layout is in [`mod@format`].

pub mod format;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use format::{HYPERSCALER_BIT, Header, INDEX_LEN, Sections, TableError};

use crate::day::Day;
use crate::owner::{AddressClass, Country, Owner};

/// Ranges to owners and numbers to names.
pub struct Table {
    bytes: Cow<'static, [u8]>,
    header: Header,
    at: Sections,
    /// One in [`V6_TOP`] of the first addresses of the IPv6 ranges, from the first on.
    v6_tops: Vec<u64>,
}

/// IPv6 ranges for which there is one entry in front of the search: their first addresses are 1 KiB.
const V6_TOP: usize = 128;

/// What a table is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Day of the data.
    pub date: Option<Day>,
    /// Where the data comes from, in one line of at most [`format::SOURCE_LEN_MAX`] bytes.
    pub source: &'a str,
    /// First address of each IPv4 range with its owner, rising from 0.
    pub v4: &'a [(u32, Owner)],
    /// Upper 64 bits of the first address of each IPv6 range with its owner, rising from 0.
    pub v6: &'a [(u64, Owner)],
    /// Names of autonomous systems, without control characters.
    pub names: &'a BTreeMap<u32, String>,
}

impl Table {
    /// Opens a table that is compiled in. Nothing but its header is checked: tests did the rest.
    pub(crate) fn embedded(bytes: &'static [u8]) -> Result<Self, TableError> {
        let (header, at) = Header::parse(bytes)?;
        Ok(Self::of(Cow::Borrowed(bytes), header, at))
    }

    fn of(bytes: Cow<'static, [u8]>, header: Header, at: Sections) -> Self {
        let starts = bytes[at.v6_starts.clone()].as_chunks().0.iter().step_by(V6_TOP);
        let v6_tops = starts.map(|start| u64::from_le_bytes(*start)).collect();
        Self { bytes, header, at, v6_tops }
    }

    /// Opens a table and checks every rule of its layout.
    ///
    /// # Errors
    /// The first reason found to refuse it.
    pub fn open(bytes: Vec<u8>) -> Result<Self, TableError> {
        let (header, at) = Header::parse(&bytes)?;
        if !format::is_sealed(&bytes) {
            return Err(TableError::Checksum);
        }
        let table = Self::of(Cow::Owned(bytes), header, at);
        table.check_ranges()?;
        table.check_owners()?;
        table.check_names()?;
        Ok(table)
    }

    /// Makes a table; the same parts give the same bytes.
    ///
    /// # Errors
    /// What [`Table::open`] would say of the result, and [`TableError::Header`] for more than
    /// [`format::OWNERS_MAX`] different owners.
    pub fn build(parts: &Parts<'_>) -> Result<Self, TableError> {
        let all = parts.v4.iter().map(|(_, owner)| owner);
        let owners: BTreeSet<Owner> =
            all.chain(parts.v6.iter().map(|(_, owner)| owner)).copied().collect();
        let owners: Vec<Owner> = owners.into_iter().collect();
        let text_len: usize = parts.names.values().map(String::len).sum();
        let header = Header {
            date: parts.date.map(|day| day.to_string().into()),
            source: parts.source.into(),
            ranges_v4: count(parts.v4.len(), "ranges_v4")?,
            ranges_v6: count(parts.v6.len(), "ranges_v6")?,
            owners: count(owners.len(), "owners")?,
            asns: count(parts.names.len(), "asns")?,
            text_len: count(text_len, "text_len")?,
        };
        let mut out = header.write()?;
        put_index(&mut out, parts.v4);
        for (first, _) in parts.v4 {
            out.extend_from_slice(&(*first as u16).to_le_bytes());
        }
        put_places(&mut out, parts.v4.iter().map(|(_, owner)| owner), &owners);
        for (first, _) in parts.v6 {
            out.extend_from_slice(&first.to_le_bytes());
        }
        put_places(&mut out, parts.v6.iter().map(|(_, owner)| owner), &owners);
        for owner in &owners {
            let bit = if owner.hyperscaler { HYPERSCALER_BIT } else { 0 };
            let [c0, c1] = owner.country.to_bytes();
            out.extend_from_slice(&owner.asn.to_le_bytes());
            out.extend_from_slice(&[c0, c1, owner.class as u8 | bit, 0]);
        }
        for asn in parts.names.keys() {
            out.extend_from_slice(&asn.to_le_bytes());
        }
        let mut end = 0_u32;
        for name in parts.names.values() {
            // The sum of all lengths fits, see above.
            end += name.len() as u32;
            out.extend_from_slice(&end.to_le_bytes());
        }
        for name in parts.names.values() {
            out.extend_from_slice(name.as_bytes());
        }
        format::seal(&mut out);
        Self::open(out)
    }

    /// Who announces the address; [`Owner::UNKNOWN`] when nobody does.
    ///
    /// IPv6 is told apart down to /64. An IPv4-mapped address is looked up as it stands.
    pub fn owner(&self, ip: IpAddr) -> Owner {
        match ip {
            IpAddr::V4(ip) => self.owner_of(&self.at.v4_owners, self.place_v4(ip.to_bits())),
            IpAddr::V6(ip) => {
                self.owner_of(&self.at.v6_owners, self.place_v6((ip.to_bits() >> 64) as u64))
            }
        }
    }

    /// First and last address of the range that holds the address.
    pub fn range(&self, ip: IpAddr) -> (IpAddr, IpAddr) {
        match ip {
            IpAddr::V4(ip) => {
                let place = self.place_v4(ip.to_bits());
                let first = self.first_v4(place);
                let last = if place + 1 < self.header.ranges_v4 as usize {
                    self.first_v4(place + 1) - 1
                } else {
                    u32::MAX
                };
                (Ipv4Addr::from_bits(first).into(), Ipv4Addr::from_bits(last).into())
            }
            IpAddr::V6(ip) => {
                let place = self.place_v6((ip.to_bits() >> 64) as u64);
                let starts = self.entries::<8>(&self.at.v6_starts);
                let first = u64::from_le_bytes(starts[place]);
                let last =
                    starts.get(place + 1).map_or(u64::MAX, |next| u64::from_le_bytes(*next) - 1);
                let (first, last) = (u128::from(first) << 64, u128::from(last) << 64);
                let last = last | u128::from(u64::MAX);
                (Ipv6Addr::from_bits(first).into(), Ipv6Addr::from_bits(last).into())
            }
        }
    }

    /// The name of an autonomous system.
    pub fn name(&self, asn: u32) -> Option<&str> {
        let asns = self.entries::<4>(&self.at.name_asns);
        let place = asns.binary_search_by_key(&asn, |entry| u32::from_le_bytes(*entry)).ok()?;
        self.name_at(place)
    }

    /// First addresses of all IPv4 ranges with their owners, rising.
    pub fn ranges_v4(&self) -> impl Iterator<Item = (u32, Owner)> {
        let index = self.entries::<4>(&self.at.v4_index);
        let starts = self.entries::<2>(&self.at.v4_starts);
        (0..INDEX_LEN - 1).flat_map(move |half| {
            let end = |half: usize| u32::from_le_bytes(index[half]) as usize;
            (end(half)..end(half + 1)).map(move |place| {
                let low = u32::from(u16::from_le_bytes(starts[place]));
                ((half as u32) << 16 | low, self.owner_of(&self.at.v4_owners, place))
            })
        })
    }

    /// Upper halves of the first addresses of all IPv6 ranges with their owners, rising.
    pub fn ranges_v6(&self) -> impl Iterator<Item = (u64, Owner)> {
        let starts = self.entries::<8>(&self.at.v6_starts).iter().enumerate();
        starts.map(|(place, first)| {
            (u64::from_le_bytes(*first), self.owner_of(&self.at.v6_owners, place))
        })
    }

    /// All autonomous systems that have a name, rising.
    pub fn names(&self) -> impl Iterator<Item = (u32, &str)> {
        let asns = self.entries::<4>(&self.at.name_asns).iter().enumerate();
        asns.filter_map(|(place, asn)| Some((u32::from_le_bytes(*asn), self.name_at(place)?)))
    }

    /// Counts and origin of the data.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The table as it is written to a file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether this is the table that is compiled in.
    pub fn is_embedded(&self) -> bool {
        matches!(self.bytes, Cow::Borrowed(_))
    }

    fn entries<const N: usize>(&self, section: &Range<usize>) -> &[[u8; N]] {
        self.bytes[section.clone()].as_chunks().0
    }

    /// The last IPv4 range that begins at the address or before it.
    fn place_v4(&self, key: u32) -> usize {
        let bytes = &*self.bytes;
        let [a, b, c, d, e, f, g, h] =
            read(bytes, self.at.v4_index.start + 4 * (key >> 16) as usize);
        let from = u32::from_le_bytes([a, b, c, d]) as usize;
        let to = u32::from_le_bytes([e, f, g, h]) as usize;
        let starts = self.at.v4_starts.start;
        let starts = bytes[starts + 2 * from..starts + 2 * to].as_chunks::<2>().0;
        // The first range of all begins at zero, so there is one before any address.
        from + starts.partition_point(|start| u16::from_le_bytes(*start) <= key as u16) - 1
    }

    fn place_v6(&self, key: u64) -> usize {
        // The first range of all begins at zero here too.
        let from = V6_TOP * (self.v6_tops.partition_point(|top| *top <= key) - 1);
        let starts = &self.entries::<8>(&self.at.v6_starts)[from..];
        let starts = &starts[..starts.len().min(V6_TOP)];
        from + starts.partition_point(|start| u64::from_le_bytes(*start) <= key) - 1
    }

    fn first_v4(&self, place: usize) -> u32 {
        let index = self.entries::<4>(&self.at.v4_index);
        let half = index.partition_point(|below| u32::from_le_bytes(*below) as usize <= place) - 1;
        let low = u16::from_le_bytes(self.entries::<2>(&self.at.v4_starts)[place]);
        (half as u32) << 16 | u32::from(low)
    }

    fn owner_of(&self, places: &Range<usize>, range: usize) -> Owner {
        let bytes = &*self.bytes;
        let [low, middle, high] = read(bytes, places.start + 3 * range);
        let place = u32::from_le_bytes([low, middle, high, 0]) as usize;
        let [a, b, c, d, c0, c1, class, _] = read(bytes, self.at.owners.start + 8 * place);
        Owner {
            asn: u32::from_le_bytes([a, b, c, d]),
            country: Country::from_bytes([c0, c1]),
            class: AddressClass::from_number(class & !HYPERSCALER_BIT).unwrap_or_default(),
            hyperscaler: class & HYPERSCALER_BIT != 0,
        }
    }

    fn name_at(&self, place: usize) -> Option<&str> {
        let ends = self.entries::<4>(&self.at.name_ends);
        let end = |place: usize| u32::from_le_bytes(ends[place]) as usize;
        let start = place.checked_sub(1).map_or(0, end);
        std::str::from_utf8(self.bytes[self.at.text.clone()].get(start..end(place))?).ok()
    }

    fn check_ranges(&self) -> Result<(), TableError> {
        let wrong = |part| Err(TableError::Part { part });
        let index = self.entries::<4>(&self.at.v4_index);
        let starts = self.entries::<2>(&self.at.v4_starts);
        let mut from = 0;
        // The first entry says how many ranges lie below 0.0.0.0.
        for (place, end) in index.iter().map(|end| u32::from_le_bytes(*end) as usize).enumerate() {
            let is_first_right = place > 0 || end == 0;
            let Some(within) = starts.get(from..end).filter(|_| is_first_right) else {
                return wrong("v4_index");
            };
            if !within.is_sorted_by_key(|start| u16::from_le_bytes(*start)) || has_twins(within) {
                return wrong("v4_starts");
            }
            from = end;
        }
        if from != starts.len() {
            return wrong("v4_index");
        }
        if u32::from_le_bytes(index[1]) == 0 || starts.first() != Some(&[0; 2]) {
            return wrong("v4_starts");
        }
        let starts = self.entries::<8>(&self.at.v6_starts);
        let is_rising = starts.is_sorted_by_key(|start| u64::from_le_bytes(*start));
        if !is_rising || has_twins(starts) || starts.first() != Some(&[0; 8]) {
            return wrong("v6_starts");
        }
        Ok(())
    }

    fn check_owners(&self) -> Result<(), TableError> {
        for (part, section) in
            [("v4_owners", &self.at.v4_owners), ("v6_owners", &self.at.v6_owners)]
        {
            let mut places = self.entries::<3>(section).iter();
            if places.any(|&[a, b, c]| u32::from_le_bytes([a, b, c, 0]) >= self.header.owners) {
                return Err(TableError::Part { part });
            }
        }
        let is_right = |&[.., c0, c1, class, zero]: &[u8; 8]| {
            let is_country = [c0, c1] == [0; 2] || Country::from_code([c0, c1]).is_some();
            let class = AddressClass::from_number(class & !HYPERSCALER_BIT);
            is_country && class.is_some() && zero == 0
        };
        let all_right = self.entries::<8>(&self.at.owners).iter().all(is_right);
        if all_right { Ok(()) } else { Err(TableError::Part { part: "owners" }) }
    }

    fn check_names(&self) -> Result<(), TableError> {
        const WRONG: TableError = TableError::Part { part: "names" };
        let asns = self.entries::<4>(&self.at.name_asns);
        if !asns.is_sorted_by_key(|asn| u32::from_le_bytes(*asn)) || has_twins(asns) {
            return Err(WRONG);
        }
        let text = std::str::from_utf8(&self.bytes[self.at.text.clone()]).map_err(|_| WRONG)?;
        let mut from = 0;
        for end in self.entries::<4>(&self.at.name_ends) {
            let end = u32::from_le_bytes(*end) as usize;
            let name = text.get(from..end).ok_or(WRONG)?;
            if name.chars().any(char::is_control) {
                return Err(WRONG);
            }
            from = end;
        }
        if from == text.len() { Ok(()) } else { Err(WRONG) }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("header", &self.header).finish_non_exhaustive()
    }
}

/// The bytes at a place that is in the file, as was checked when it was opened.
fn read<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut entry = [0; N];
    entry.copy_from_slice(&bytes[at..at + N]);
    entry
}

/// Whether two neighbours are the same.
fn has_twins<T: PartialEq>(entries: &[T]) -> bool {
    entries.windows(2).any(|pair| pair[0] == pair[1])
}

fn put_index(out: &mut Vec<u8>, v4: &[(u32, Owner)]) {
    let mut below = vec![0_u32; INDEX_LEN];
    for (first, _) in v4 {
        below[(first >> 16) as usize + 1] += 1;
    }
    let mut sum = 0;
    for count in below {
        sum += count;
        out.extend_from_slice(&sum.to_le_bytes());
    }
}

fn put_places<'a>(out: &mut Vec<u8>, of: impl Iterator<Item = &'a Owner>, owners: &[Owner]) {
    for owner in of {
        // Every owner is in the list, and the header was refused if three bytes do not do.
        let place = owners.binary_search(owner).unwrap_or_default() as u32;
        out.extend_from_slice(&place.to_le_bytes()[..3]);
    }
}

fn count(len: usize, field: &'static str) -> Result<u32, TableError> {
    u32::try_from(len).map_err(|_| TableError::Header { field })
}

#[cfg(test)]
mod tests;
