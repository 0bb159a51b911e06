//! Ranges of addresses with what a file says of them.

use fluxtap_intel::{Country, Owner};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An inclusive range of keys with its value.
///
/// A key is an IPv4 address or the upper 64 bits of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row<V> {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) value: V,
    /// Line of the file, 0 where it has none.
    pub(crate) line: u32,
}

/// Which of the two address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(crate) const fn key_max(self) -> u64 {
        match self {
            Self::V4 => u32::MAX as u64,
            Self::V6 => u64::MAX,
        }
    }
}

/// A range of addresses of one family, last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Span {
    /// The network of an address and its prefix length; `None` with address bits below the prefix
    /// or a length the family does not have.
    pub(crate) fn of_network(ip: IpAddr, prefix_len: u32) -> Option<Self> {
        match ip {
            IpAddr::V4(ip) => {
                let below = u32::MAX.checked_shr(prefix_len).unwrap_or(0);
                let first = ip.to_bits();
                (prefix_len <= 32 && first & below == 0)
                    .then(|| Self::V4(ip, Ipv4Addr::from_bits(first | below)))
            }
            IpAddr::V6(ip) => {
                let below = u128::MAX.checked_shr(prefix_len).unwrap_or(0);
                let first = ip.to_bits();
                (prefix_len <= 128 && first & below == 0)
                    .then(|| Self::V6(ip, Ipv6Addr::from_bits(first | below)))
            }
        }
    }

    /// The range as keys. An IPv6 range keeps only the /64 it covers whole; whether it lost
    /// something is said beside it. `None` when nothing is left.
    pub(crate) fn keys(self) -> (Family, Option<(u64, u64)>, bool) {
        match self {
            Self::V4(first, last) => {
                (Family::V4, Some((first.to_bits().into(), last.to_bits().into())), false)
            }
            Self::V6(first, last) => {
                let low_bits = u128::from(u64::MAX);
                let (first, last) = (first.to_bits(), last.to_bits());
                let starts_whole = first & low_bits == 0;
                let ends_whole = last & low_bits == low_bits;
                let from = (first >> 64) + u128::from(!starts_whole);
                let to = ((last >> 64) + u128::from(ends_whole)).checked_sub(1);
                let keys = to.filter(|&to| from <= to).map(|to| (from as u64, to as u64));
                (Family::V6, keys, !starts_whole || !ends_whole)
            }
        }
    }
}

/// What ranges can be about: autonomous systems or countries.
pub(crate) trait Value: Copy + Ord {
    fn of_owner(owner: Owner) -> Self;
    /// What is said where no range is.
    const NONE: Self;
}

impl Value for u32 {
    const NONE: Self = 0;

    fn of_owner(owner: Owner) -> Self {
        owner.asn
    }
}

impl Value for Country {
    const NONE: Self = Self::UNKNOWN;

    fn of_owner(owner: Owner) -> Self {
        owner.country
    }
}

/// Ranges of both families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows<V> {
    pub(crate) v4: Vec<Row<V>>,
    pub(crate) v6: Vec<Row<V>>,
}

impl<V: Value> Rows<V> {
    pub(crate) const fn empty() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }

    pub(crate) fn of(&self, family: Family) -> &[Row<V>] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    pub(crate) fn of_mut(&mut self, family: Family) -> &mut Vec<Row<V>> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Takes overlaps apart in both families; see [`disjoint`].
    pub(crate) fn take_apart(&mut self) -> Overlaps {
        let mut overlaps = disjoint(&mut self.v4);
        overlaps.append(disjoint(&mut self.v6));
        overlaps
    }

    /// Appends a row, to the one before if it only goes on with it.
    pub(crate) fn push(&mut self, family: Family, row: Row<V>) {
        let rows = self.of_mut(family);
        if let Some(before) = rows.last_mut()
            && before.value == row.value
            && before.last.checked_add(1) == Some(row.first)
        {
            before.last = row.last;
            return;
        }
        rows.push(row);
    }
}

/// Rows that overlap others with something else to say, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// How many rows begin inside another.
    pub rows: u64,
    /// Lines of the first few, each with the line it overlaps; 0 where there are no lines.
    pub lines: Vec<(u32, u32)>,
}

/// Overlaps that are named one by one.
const OVERLAPS_NAMED: usize = 3;

impl Overlaps {
    fn add(&mut self, line: u32, over: u32) {
        self.rows += 1;
        if self.lines.len() < OVERLAPS_NAMED {
            self.lines.push((line, over));
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.rows += other.rows;
        self.lines.extend(other.lines);
        self.lines.truncate(OVERLAPS_NAMED);
    }
}

/// Sorts rows and takes overlaps apart: where several rows hold an address, the narrowest speaks
/// for it, and of equally wide ones the one that begins first, then the first line.
pub(crate) fn disjoint<V: Value>(rows: &mut Vec<Row<V>>) -> Overlaps {
    let mut overlaps = Overlaps::default();
    if !rows.is_sorted_by_key(|row| (row.first, row.last)) {
        rows.sort_by_key(|row| (row.first, row.last));
    }
    if rows.windows(2).all(|pair| pair[0].last < pair[1].first) {
        return overlaps;
    }
    let mut borders: Vec<u64> = Vec::with_capacity(2 * rows.len());
    for row in rows.iter() {
        borders.push(row.first);
        borders.extend(row.last.checked_add(1));
    }
    borders.sort_unstable();
    borders.dedup();
    let mut taken_apart: Vec<Row<V>> = Vec::with_capacity(rows.len());
    // Rows that hold the present key, narrowest on top, and some that have ended below it.
    let mut open = std::collections::BinaryHeap::new();
    let mut next = 0;
    for (place, &key) in borders.iter().enumerate() {
        while let Some(row) = rows.get(next).filter(|row| row.first == key) {
            while open.peek().is_some_and(|&(_, at): &(_, usize)| rows[at].last < key) {
                open.pop();
            }
            if let Some(&(_, at)) = open.peek()
                && rows[at].value != row.value
            {
                overlaps.add(row.line, rows[at].line);
            }
            let width = row.last - row.first;
            open.push((std::cmp::Reverse((width, row.first, row.line)), next));
            next += 1;
        }
        while open.peek().is_some_and(|&(_, at)| rows[at].last < key) {
            open.pop();
        }
        if let Some(&(_, at)) = open.peek() {
            let last = borders.get(place + 1).map_or(rows[at].last, |next| next - 1);
            let row = Row { first: key, last, ..rows[at] };
            match taken_apart.last_mut() {
                Some(before) if before.value == row.value && before.last + 1 == key => {
                    before.last = last;
                }
                _ => taken_apart.push(row),
            }
        }
    }
    *rows = taken_apart;
    overlaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(first: u64, last: u64, value: u32) -> Row<u32> {
        Row { first, last, value, line: value }
    }

    #[test]
    fn networks_become_spans() {
        let span = |ip: &str, len| Span::of_network(ip.parse().expect("an address"), len);
        let v4 = |a: &str, b: &str| {
            Some(Span::V4(a.parse().expect("an address"), b.parse().expect("an address")))
        };
        let v6 = |a: &str, b: &str| {
            Some(Span::V6(a.parse().expect("an address"), b.parse().expect("an address")))
        };
        assert_eq!(span("1.2.3.0", 24), v4("1.2.3.0", "1.2.3.255"));
        assert_eq!(span("1.2.3.4", 32), v4("1.2.3.4", "1.2.3.4"));
        assert_eq!(span("0.0.0.0", 0), v4("0.0.0.0", "255.255.255.255"));
        assert_eq!(span("1.2.3.4", 24), None);
        assert_eq!(span("1.2.3.4", 33), None);
        assert_eq!(
            span("2001:db8::", 32),
            v6("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
        );
        assert_eq!(span("::", 0), v6("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
        assert_eq!(span("::1", 128), v6("::1", "::1"));
        assert_eq!(span("::1", 127), None);
        assert_eq!(span("::", 129), None);
    }

    #[test]
    fn ipv6_is_kept_down_to_whole_64() {
        for (first, last, expect, is_trimmed) in [
            ("0:0:0:1::", "::2:ffff:ffff:ffff:ffff", Some((1, 2)), false),
            ("0:0:0:1::1", "0:0:0:3::", Some((2, 2)), true),
            ("0:0:0:1::1", "0:0:0:1::f", None, true),
            ("::", "::", None, true),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some((0, u64::MAX)), false),
        ] {
            let span = Span::V6(first.parse().expect("one"), last.parse().expect("one"));
            assert_eq!(span.keys(), (Family::V6, expect, is_trimmed), "{first} {last}");
        }
    }

    #[test]
    fn the_narrowest_row_speaks_for_an_address() {
        let mut rows = vec![
            row(50, 60, 4),
            row(0, 19, 1),
            row(5, 24, 2),
            row(6, 8, 3),
            row(6, 8, 9),
            row(55, u64::MAX, 5),
            row(61, 70, 5),
        ];
        let naive = rows.clone();
        let overlaps = disjoint(&mut rows);
        let at = |key: u64| {
            let holds = naive.iter().filter(|row| (row.first..=row.last).contains(&key));
            holds.min_by_key(|row| (row.last - row.first, row.first, row.line)).map(|r| r.value)
        };
        for key in (0..200).chain([u64::MAX - 1, u64::MAX]) {
            let found = rows.iter().find(|row| (row.first..=row.last).contains(&key));
            assert_eq!(found.map(|row| row.value), at(key), "{key}");
        }
        assert!(rows.windows(2).all(|pair| pair[0].last < pair[1].first), "{rows:?}");
        // The row of 61 to 70 says nothing else than the one around it.
        assert_eq!(overlaps, Overlaps { rows: 4, lines: vec![(2, 1), (3, 1), (9, 3)] });
    }

    #[test]
    fn rows_that_do_not_overlap_stay_as_they_are() {
        let mut rows = vec![row(20, 29, 1), row(0, 9, 1), row(10, 19, 2)];
        assert_eq!(disjoint(&mut rows), Overlaps::default());
        assert_eq!(rows, [row(0, 9, 1), row(10, 19, 2), row(20, 29, 1)]);
    }
}
