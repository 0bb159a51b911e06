//! CSV rows to sorted, disjoint ranges, with a count of everything that did not fit.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use csv::StringRecord;
use fluxtap_intel::Country;

/// An inclusive range of keys with its value.
///
/// A key is an IPv4 address or the upper 64 bits of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row<V> {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) value: V,
}

/// Which of the two address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    pub(crate) fn key_max(self) -> u64 {
        match self {
            Self::V4 => u64::from(u32::MAX),
            Self::V6 => u64::MAX,
        }
    }

    /// First address of a key.
    pub(crate) fn address(self, key: u64) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from_bits(u32::try_from(key).unwrap_or(u32::MAX)).into(),
            Self::V6 => Ipv6Addr::from_bits(u128::from(key) << 64).into(),
        }
    }
}

/// Rows left out or changed, by reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    unreadable: u64,
    backwards: u64,
    reserved: u64,
    trimmed: u64,
    below_64: u64,
    cut: u64,
    covered: u64,
    renamed: u64,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, reason) in [
            (self.unreadable, "dropped: unreadable"),
            (self.backwards, "dropped: end before start"),
            (self.reserved, "dropped: reserved or private ASN"),
            (self.below_64, "dropped: covers no whole /64"),
            (self.trimmed, "trimmed to whole /64"),
            (self.covered, "dropped: covered by rows before"),
            (self.cut, "cut where the row before ends"),
            (self.renamed, "with another name for an ASN (first one kept)"),
        ] {
            if count > 0 {
                write!(f, "; {count} {reason}")?;
            }
        }
        Ok(())
    }
}

/// Reads `first,last,asn,name` rows; names go to `names`, the first one of an ASN counts.
pub(crate) fn asns(
    path: &Path,
    family: Family,
    names: &mut BTreeMap<u32, String>,
) -> Result<(Vec<Row<u32>>, Dropped), String> {
    read(path, family, |record, dropped| {
        let Some(asn) = record.get(2).and_then(|text| text.parse().ok()) else {
            dropped.unreadable += 1;
            return None;
        };
        if is_reserved(asn) {
            dropped.reserved += 1;
            return None;
        }
        let name = readable(record.get(3).unwrap_or(""));
        if *names.entry(asn).or_insert_with(|| name.clone()) != name {
            dropped.renamed += 1;
        }
        Some(asn)
    })
}

/// Reads `first,last,country` rows.
pub(crate) fn countries(
    path: &Path,
    family: Family,
) -> Result<(Vec<Row<Country>>, Dropped), String> {
    read(path, family, |record, dropped| {
        let code = record.get(2).and_then(|text| <[u8; 2]>::try_from(text.as_bytes()).ok());
        let country = code.and_then(Country::from_code);
        if country.is_none() {
            dropped.unreadable += 1;
        }
        country
    })
}

fn read<V: Copy>(
    path: &Path,
    family: Family,
    mut value: impl FnMut(&StringRecord, &mut Dropped) -> Option<V>,
) -> Result<(Vec<Row<V>>, Dropped), String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_path(path)
        .map_err(|e| format!("cannot read '{}': {e}", path.display()))?;
    let mut rows = Vec::new();
    let mut dropped = Dropped::default();
    for record in reader.records() {
        let record = record.map_err(|e| format!("'{}': {e}", path.display()))?;
        if let Some((first, last)) = keys(&record, family, &mut dropped)
            && let Some(value) = value(&record, &mut dropped)
        {
            rows.push(Row { first, last, value });
        }
    }
    if rows.is_empty() {
        return Err(format!("'{}': got no usable row, expected 'first,last,...'", path.display()));
    }
    Ok((disjoint(rows, &mut dropped), dropped))
}

/// The range of a row in keys; an IPv6 range is trimmed to the /64 it covers as a whole.
fn keys(record: &StringRecord, family: Family, dropped: &mut Dropped) -> Option<(u64, u64)> {
    let ip = |column| record.get(column).and_then(|text: &str| text.parse::<IpAddr>().ok());
    let (first, last) = match (family, ip(0), ip(1)) {
        (Family::V4, Some(IpAddr::V4(first)), Some(IpAddr::V4(last))) => {
            (u64::from(first.to_bits()), u64::from(last.to_bits()))
        }
        (Family::V6, Some(IpAddr::V6(first)), Some(IpAddr::V6(last))) if first <= last => {
            let low_bits = u128::from(u64::MAX);
            let (first, last) = (first.to_bits(), last.to_bits());
            let starts_whole = first & low_bits == 0;
            let ends_whole = last & low_bits == low_bits;
            let from = (first >> 64) + u128::from(!starts_whole);
            let to = ((last >> 64) + u128::from(ends_whole)).checked_sub(1);
            let Some(to) = to.filter(|&to| from <= to) else {
                dropped.below_64 += 1;
                return None;
            };
            if !starts_whole || !ends_whole {
                dropped.trimmed += 1;
            }
            (u64::try_from(from).ok()?, u64::try_from(to).ok()?)
        }
        (Family::V6, Some(IpAddr::V6(first)), Some(IpAddr::V6(last))) if first > last => {
            dropped.backwards += 1;
            return None;
        }
        _ => {
            dropped.unreadable += 1;
            return None;
        }
    };
    if first > last {
        dropped.backwards += 1;
        return None;
    }
    Some((first, last))
}

/// Sorts rows and cuts what overlaps: an earlier row keeps what it has, so no address loses
/// its owner.
fn disjoint<V: Copy>(mut rows: Vec<Row<V>>, dropped: &mut Dropped) -> Vec<Row<V>> {
    rows.sort_by_key(|row| (row.first, row.last));
    let mut kept: Vec<Row<V>> = Vec::with_capacity(rows.len());
    for mut row in rows {
        if let Some(before) = kept.last()
            && row.first <= before.last
        {
            if row.last <= before.last {
                dropped.covered += 1;
                continue;
            }
            row.first = before.last + 1;
            dropped.cut += 1;
        }
        kept.push(row);
    }
    kept
}

/// ASNs that nobody can hold: they appear in the data by leaks and mistakes.
fn is_reserved(asn: u32) -> bool {
    matches!(
        asn,
        0                                // RFC 7607
        | 23_456                         // RFC 6793: AS_TRANS
        | 64_496..=64_511                // RFC 5398: documentation
        | 64_512..=65_534                // RFC 6996: private use
        | 65_535                         // RFC 7300
        | 65_536..=65_551                // RFC 5398: documentation
        | 4_200_000_000..=u32::MAX       // RFC 6996 and RFC 7300
    )
}

/// A name without control characters (it is printed for people) and without outer blanks.
fn readable(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_range(family: Family, first: &str, last: &str) -> (Option<(u64, u64)>, Dropped) {
        let mut dropped = Dropped::default();
        let record = StringRecord::from(vec![first, last]);
        (keys(&record, family, &mut dropped), dropped)
    }

    #[test]
    fn rows_become_keys_or_are_counted() {
        let none = Dropped::default;
        for (family, first, last, expect, count) in [
            (Family::V4, "1.0.0.0", "1.0.0.255", Some((1 << 24, (1 << 24) + 255)), none()),
            (Family::V4, "0.0.0.0", "255.255.255.255", Some((0, 0xffff_ffff)), none()),
            (Family::V4, "1.0.0.1", "1.0.0.0", None, Dropped { backwards: 1, ..none() }),
            (Family::V4, "1.0.0", "1.0.0.0", None, Dropped { unreadable: 1, ..none() }),
            (Family::V4, "2001::", "2001::1", None, Dropped { unreadable: 1, ..none() }),
            (Family::V6, "0:0:0:1::", "::2:ffff:ffff:ffff:ffff", Some((1, 2)), none()),
            (Family::V6, "0:0:0:2::", "0:0:0:1::", None, Dropped { backwards: 1, ..none() }),
            (Family::V6, "0:0:0:1::1", "0:0:0:3::", Some((2, 2)), Dropped { trimmed: 1, ..none() }),
            (Family::V6, "0:0:0:1::1", "0:0:0:1::f", None, Dropped { below_64: 1, ..none() }),
            (Family::V6, "::", "::", None, Dropped { below_64: 1, ..none() }),
            (
                Family::V6,
                "::",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                Some((0, u64::MAX)),
                none(),
            ),
        ] {
            assert_eq!(key_range(family, first, last), (expect, count), "{first} {last}");
        }
    }

    #[test]
    fn overlaps_leave_every_address_with_an_owner() {
        let row = |first, last, value| Row { first, last, value };
        let mut dropped = Dropped::default();
        let rows = vec![row(50, 60, 'd'), row(0, 9, 'a'), row(5, 20, 'b'), row(6, 8, 'c')];
        let kept = disjoint(rows, &mut dropped);
        assert_eq!(kept, [row(0, 9, 'a'), row(10, 20, 'b'), row(50, 60, 'd')]);
        assert_eq!(dropped, Dropped { cut: 1, covered: 1, ..Dropped::default() });
    }

    #[test]
    fn names_are_made_readable() {
        assert_eq!(readable(" A\tB\u{1b}[31m\n"), "A B [31m");
    }
}
