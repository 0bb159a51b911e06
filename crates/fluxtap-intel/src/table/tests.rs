//! The table against a search from the start, and against damage.

use super::format::{HEADER_LEN, SOURCE_LEN_MAX, VERSION};
use super::*;
use crate::EMBEDDED_TABLE;

/// A small generator: the tests must be the same everywhere.
struct Draw(u64);

impl Draw {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % below
    }

    fn owner(&mut self) -> Owner {
        let countries = [None, Country::from_code(*b"DE"), Country::from_code(*b"JP")];
        let class = AddressClass::from_number(self.next(5) as u8).expect("a class");
        Owner {
            asn: self.next(40) as u32 * 1000,
            country: countries[self.next(3) as usize].unwrap_or_default(),
            class,
            hyperscaler: class == AddressClass::Hosting && self.next(2) == 1,
        }
    }
}

/// Ranges and names as they go in.
struct Input {
    v4: Vec<(u32, Owner)>,
    v6: Vec<(u64, Owner)>,
    names: BTreeMap<u32, String>,
}

impl Input {
    fn drawn() -> Self {
        let mut draw = Draw(7);
        let mut v4: BTreeSet<u32> = (0..400).map(|_| draw.next(1 << 32) as u32).collect();
        // Dense and bordering starts inside one /16, and the two ends.
        v4.extend([0, 1, 0x0a00_0000, 0x0a00_0001, 0x0a00_ffff, 0x0a01_0000, u32::MAX]);
        let mut v6: BTreeSet<u64> = (0..400).map(|_| draw.next(1 << 31) << 33).collect();
        v6.extend([0, 1, u64::MAX - 1, u64::MAX]);
        let names =
            (1..40).map(|n| (n * 1000, if n == 3 { String::new() } else { format!("Net {n} é") }));
        Self {
            v4: v4.into_iter().map(|first| (first, draw.owner())).collect(),
            v6: v6.into_iter().map(|first| (first, draw.owner())).collect(),
            names: names.collect(),
        }
    }

    /// One range in each family, no names.
    fn least() -> Self {
        let owner = Owner { asn: 7, ..Owner::UNKNOWN };
        Self { v4: vec![(0, owner)], v6: vec![(0, owner)], names: BTreeMap::new() }
    }

    fn build(&self) -> Result<Table, TableError> {
        Table::build(&Parts {
            date: Day::parse("2026-06-17"),
            source: "made by a test",
            v4: &self.v4,
            v6: &self.v6,
            names: &self.names,
        })
    }
}

fn v4(bits: u32) -> IpAddr {
    Ipv4Addr::from_bits(bits).into()
}

fn v6(high: u64, low: u64) -> IpAddr {
    Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into()
}

#[test]
fn look_ups_agree_with_a_search_from_the_start() {
    let input = Input::drawn();
    let table = input.build().expect("builds");
    let mut draw = Draw(11);
    let mut keys: Vec<u32> = (0..2000).map(|_| draw.next(1 << 32) as u32).collect();
    for &(first, _) in &input.v4 {
        keys.extend([first.saturating_sub(1), first, first.saturating_add(1)]);
    }
    for key in keys {
        let place = input.v4.iter().rposition(|&(first, _)| first <= key).expect("from 0");
        assert_eq!(table.owner(v4(key)), input.v4[place].1, "{}", v4(key));
        let last = input.v4.get(place + 1).map_or(u32::MAX, |&(next, _)| next - 1);
        assert_eq!(table.range(v4(key)), (v4(input.v4[place].0), v4(last)), "{}", v4(key));
    }
    let mut keys: Vec<u64> = (0..2000).map(|_| draw.next(1 << 31) << 33).collect();
    for &(first, _) in &input.v6 {
        keys.extend([first.saturating_sub(1), first, first.saturating_add(1)]);
    }
    for key in keys {
        let place = input.v6.iter().rposition(|&(first, _)| first <= key).expect("from 0");
        let ip = v6(key, draw.next(1 << 31));
        assert_eq!(table.owner(ip), input.v6[place].1, "{ip}");
        let last = input.v6.get(place + 1).map_or(u64::MAX, |&(next, _)| next - 1);
        assert_eq!(table.range(ip), (v6(input.v6[place].0, 0), v6(last, u64::MAX)), "{ip}");
    }
}

#[test]
fn what_goes_in_comes_out() {
    let input = Input::drawn();
    let table = input.build().expect("builds");
    assert_eq!(table.ranges_v4().collect::<Vec<_>>(), input.v4);
    assert_eq!(table.ranges_v6().collect::<Vec<_>>(), input.v6);
    let names: Vec<(u32, &str)> = input.names.iter().map(|(&n, t)| (n, t.as_str())).collect();
    assert_eq!(table.names().collect::<Vec<_>>(), names);
    for (asn, expect) in [
        (1000, Some("Net 1 é")),
        (3000, Some("")),
        (39_000, Some("Net 39 é")),
        (0, None),
        (1001, None),
    ] {
        assert_eq!(table.name(asn), expect, "{asn}");
    }
    assert_eq!(table.name(u32::MAX), None);
    assert_eq!(table.header().date.as_deref(), Some("2026-06-17"));
    assert!(!table.is_embedded());
    let again = Table::open(table.as_bytes().to_vec()).expect("opens");
    assert_eq!(again.as_bytes(), input.build().expect("builds").as_bytes(), "the same bytes");
    let undated = Parts { date: None, source: "", ..parts(&input) };
    assert_eq!(Table::build(&undated).expect("builds").header().date, None);
}

fn parts(input: &Input) -> Parts<'_> {
    let (date, source) = (Day::parse("2026-06-17"), "made by a test");
    Parts { date, source, v4: &input.v4, v6: &input.v6, names: &input.names }
}

/// Every range of the embedded table, at its first and last address, is found where a walk along
/// the table finds it.
#[test]
fn every_range_of_the_embedded_table_is_found() {
    let table = Table::embedded(EMBEDDED_TABLE).expect("a sound table");
    assert!(table.is_embedded());
    let ranges: Vec<(u32, Owner)> = table.ranges_v4().collect();
    assert_eq!(ranges.len(), table.header().ranges_v4 as usize);
    for (place, &(first, owner)) in ranges.iter().enumerate() {
        let last = ranges.get(place + 1).map_or(u32::MAX, |&(next, _)| next - 1);
        assert_eq!(table.owner(v4(first)), owner, "{}", v4(first));
        assert_eq!(table.owner(v4(last)), owner, "{}", v4(last));
        assert!(table.name(owner.asn).is_some() || owner.asn == 0, "AS{}", owner.asn);
    }
    let ranges: Vec<(u64, Owner)> = table.ranges_v6().collect();
    assert_eq!(ranges.len(), table.header().ranges_v6 as usize);
    for (place, &(first, owner)) in ranges.iter().enumerate() {
        let last = ranges.get(place + 1).map_or(u64::MAX, |&(next, _)| next - 1);
        assert_eq!(table.owner(v6(first, 0)), owner, "{}", v6(first, 0));
        assert_eq!(table.owner(v6(last, u64::MAX)), owner, "{}", v6(last, u64::MAX));
    }
}

#[test]
fn a_change_of_any_byte_and_any_cut_is_refused() {
    let table = Input::least().build().expect("builds");
    let good = table.as_bytes();
    // Nearly all of it is the index, of which a few entries do for all.
    let at_ends = (0..HEADER_LEN + 200).chain(good.len() - 200..good.len());
    for at in at_ends {
        for flip in [0x01, 0x80] {
            let mut damaged = good.to_vec();
            damaged[at] ^= flip;
            assert!(Table::open(damaged).is_err(), "byte {at} changed by {flip:#x}");
        }
        assert!(Table::open(good[..at].to_vec()).is_err(), "cut at {at}");
    }
    let longer = [good, &[0]].concat();
    let (got, expected) = (good.len() + 1, good.len() as u64);
    assert_eq!(Table::open(longer).err(), Some(TableError::Length { got, expected }));
}

#[test]
fn files_are_refused_for_the_right_reason() {
    let good = Input::least().build().expect("builds").as_bytes().to_vec();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Table::open(bytes).err()
    };
    let (got, expected) = (HEADER_LEN - 1, HEADER_LEN as u64);
    let short = Table::open(good[..got].to_vec()).err();
    assert_eq!(short, Some(TableError::Length { got, expected }));
    assert_eq!(Table::open(Vec::new()).err(), Some(TableError::NotATable));
    assert_eq!(with(0, b'f'), Some(TableError::NotATable));
    assert_eq!(with(4, 1), Some(TableError::Version { got: 1 }));
    assert_eq!(with(4, VERSION), None);
    assert_eq!(with(8, b'x'), Some(TableError::Header { field: "date" }));
    assert_eq!(with(HEADER_LEN, b'\n'), Some(TableError::Header { field: "source" }));
    assert_eq!(with(HEADER_LEN, 0xff), Some(TableError::Header { field: "source" }));
    assert_eq!(with(42, 0xff), Some(TableError::Header { field: "source_len" }));
    assert_eq!(with(48, good[48] ^ 1), Some(TableError::Checksum));
    // Counts that the file cannot hold end here, before anything is read by them.
    for at in [23, 27, 35, 39] {
        assert!(matches!(with(at, 0xff), Some(TableError::Length { .. })), "{at}");
    }
    assert_eq!(with(31, 0xff), Some(TableError::Header { field: "owners" }));
    let message = TableError::Checksum.to_string();
    assert!(message.contains("got") && message.contains("fluxtap intel build"), "{message}");
}

/// A file with a true checksum that breaks a rule.
#[test]
fn parts_that_break_the_layout_are_refused() {
    let mut input = Input::least();
    input.v4.push((5, Owner { asn: 9, ..Owner::UNKNOWN }));
    input.v6.push((5, Owner { asn: 9, ..Owner::UNKNOWN }));
    input.names = BTreeMap::from([(7, "a".to_owned()), (9, "é".to_owned())]);
    let table = input.build().expect("builds");
    let at = table.at.clone();
    let rows: [(usize, u8, &str); 16] = [
        (at.v4_index.start, 1, "v4_index"),
        (at.v4_index.start + 4, 3, "v4_index"),
        (at.v4_index.end - 4, 1, "v4_index"),
        (at.v4_index.end - 4, 3, "v4_index"),
        (at.v4_starts.start, 1, "v4_starts"),
        (at.v4_starts.start + 2, 0, "v4_starts"),
        (at.v4_owners.start, 2, "v4_owners"),
        (at.v6_starts.start, 1, "v6_starts"),
        (at.v6_starts.start + 8, 0, "v6_starts"),
        (at.v6_owners.start + 2, 1, "v6_owners"),
        (at.owners.start + 4, b'd', "owners"),
        (at.owners.start + 6, 5, "owners"),
        (at.owners.start + 7, 1, "owners"),
        (at.name_asns.start, 9, "names"),
        (at.name_ends.start, 2, "names"),
        (at.text.start, b'\n', "names"),
    ];
    for (place, byte, part) in rows {
        let mut bytes = table.as_bytes().to_vec();
        assert_ne!(bytes[place], byte, "{part} at {place}: not changed");
        bytes[place] = byte;
        format::seal(&mut bytes);
        assert_eq!(Table::open(bytes).err(), Some(TableError::Part { part }), "{place}");
    }
}

#[test]
fn what_the_layout_cannot_hold_is_not_built() {
    let input = Input::least();
    let good = parts(&input);
    let long = "x".repeat(SOURCE_LEN_MAX as usize + 1);
    let evil = BTreeMap::from([(1, "a\u{1b}[2J".to_owned())]);
    let owner = Owner::UNKNOWN;
    for (parts, expect) in [
        (Parts { date: Some(Day(u32::MAX)), ..good }, TableError::Header { field: "date" }),
        (Parts { source: &long, ..good }, TableError::Header { field: "source" }),
        (Parts { source: "a\nb", ..good }, TableError::Header { field: "source" }),
        (Parts { v4: &[], ..good }, TableError::Header { field: "ranges_v4" }),
        (Parts { v6: &[], ..good }, TableError::Header { field: "ranges_v6" }),
        (Parts { v4: &[(1, owner)], ..good }, TableError::Part { part: "v4_starts" }),
        (Parts { v4: &[(0, owner), (0, owner)], ..good }, TableError::Part { part: "v4_starts" }),
        (
            Parts { v6: &[(0, owner), (9, owner), (8, owner)], ..good },
            TableError::Part { part: "v6_starts" },
        ),
        (Parts { names: &evil, ..good }, TableError::Part { part: "names" }),
    ] {
        assert_eq!(Table::build(&parts).err(), Some(expect));
    }
}
