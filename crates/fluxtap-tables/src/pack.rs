//! Merged ranges to the bytes of `fluxtap_intel::table::format`.

use std::collections::{BTreeMap, BTreeSet};

use fluxtap_intel::Country;
use fluxtap_intel::table::format::{HYPERSCALER_BIT, Header, Kind};

use crate::classes::ClassOf;
use crate::merge::Range;

/// Highest level that needs no more memory to unpack than the body itself.
const ZSTD_LEVEL: i32 = 19;

/// What the header says about the data.
pub(crate) struct Origin {
    pub(crate) date: String,
    pub(crate) source: String,
}

/// The two files.
pub(crate) struct Packed {
    pub(crate) addresses: Vec<u8>,
    pub(crate) names: Vec<u8>,
}

/// Packs ranges, classes and names; `names` has every ASN of the ranges.
pub(crate) fn pack(
    origin: &Origin,
    names: &BTreeMap<u32, String>,
    classes: &BTreeMap<u32, ClassOf>,
    v4: &[Range],
    v6: &[Range],
) -> Result<Packed, String> {
    let asns: Vec<u32> = names.keys().copied().collect();
    let countries: Vec<Country> = v4
        .iter()
        .chain(v6)
        .map(|range| range.country)
        .filter(|&country| country != Country::UNKNOWN)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let owners: BTreeSet<(u64, u8)> = v4
        .iter()
        .chain(v6)
        .map(|range| places(range, &asns, &countries))
        .collect::<Result<_, _>>()?;
    let owners: Vec<(u64, u8)> = owners.into_iter().collect();

    let mut body = Vec::new();
    for country in &countries {
        body.extend_from_slice(country.as_str().unwrap_or_default().as_bytes());
    }
    put_rising(&mut body, asns.iter().map(|&asn| u64::from(asn)));
    for asn in &asns {
        let found = classes.get(asn).ok_or_else(|| format!("AS{asn} has no class"))?;
        let bit = if found.hyperscaler { HYPERSCALER_BIT } else { 0 };
        body.push(found.class as u8 | bit);
    }
    put_rising(&mut body, owners.iter().map(|&(place, _)| place));
    body.extend(owners.iter().map(|&(_, country)| country));
    for ranges in [v4, v6] {
        put_rising(&mut body, ranges.iter().map(|range| range.first));
        put_owners(&mut body, ranges, &owners, &asns, &countries)?;
    }
    let header = Header {
        kind: Kind::Addresses,
        date: origin.date.as_str().into(),
        source: origin.source.as_str().into(),
        ranges_v4: count(v4.len())?,
        ranges_v6: count(v6.len())?,
        owners: count(owners.len())?,
        asns: count(asns.len())?,
        countries: count(countries.len())?,
        body_len: count(body.len())?,
    };
    Ok(Packed { addresses: file(&header, &body)?, names: pack_names(&header, names)? })
}

fn pack_names(of: &Header, names: &BTreeMap<u32, String>) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    put_rising(&mut body, names.keys().map(|&asn| u64::from(asn)));
    for name in names.values() {
        body.extend_from_slice(name.as_bytes());
        body.push(b'\n');
    }
    let header = Header {
        kind: Kind::Names,
        ranges_v4: 0,
        ranges_v6: 0,
        owners: 0,
        countries: 0,
        body_len: count(body.len())?,
        ..of.clone()
    };
    file(&header, &body)
}

fn file(header: &Header, body: &[u8]) -> Result<Vec<u8>, String> {
    let frame = zstd::bulk::compress(body, ZSTD_LEVEL).map_err(|e| format!("zstd: {e}"))?;
    header.write(&frame).map_err(|e| e.to_string())
}

/// Place of the ASN and of the country in their lists, from 1; 0 is none.
fn places(range: &Range, asns: &[u32], countries: &[Country]) -> Result<(u64, u8), String> {
    let asn = match range.asn {
        0 => 0,
        asn => asns.binary_search(&asn).map_err(|_| format!("AS{asn} has no name"))? + 1,
    };
    let country = match range.country {
        Country::UNKNOWN => 0,
        country => {
            let place = countries.binary_search(&country).unwrap_or_default() + 1;
            u8::try_from(place).map_err(|_| "got more than 255 countries".to_owned())?
        }
    };
    Ok((asn as u64, country))
}

fn put_owners(
    body: &mut Vec<u8>,
    ranges: &[Range],
    owners: &[(u64, u8)],
    asns: &[u32],
    countries: &[Country],
) -> Result<(), String> {
    let mut planes = [const { Vec::new() }; 3];
    for range in ranges {
        let owner = owners.binary_search(&places(range, asns, countries)?).unwrap_or_default();
        let [low, middle, high, 0, ..] = owner.to_le_bytes() else {
            return Err("got more owners than three bytes can tell apart".into());
        };
        for (plane, byte) in planes.iter_mut().zip([low, middle, high]) {
            plane.push(byte);
        }
    }
    for plane in planes {
        body.extend(plane);
    }
    Ok(())
}

/// Writes differences of rising numbers as LEB128.
fn put_rising(body: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let mut last = 0;
    for number in numbers {
        let mut rest = number - last;
        last = number;
        while rest >= 0x80 {
            body.push(rest as u8 & 0x7f | 0x80);
            rest >>= 7;
        }
        body.push(rest as u8);
    }
}

fn count(len: usize) -> Result<u32, String> {
    u32::try_from(len).map_err(|_| format!("got {len} entries, expected at most {}", u32::MAX))
}

#[cfg(test)]
mod tests {
    use fluxtap_intel::table::format::{HEADER_LEN, TableError};
    use fluxtap_intel::table::{Names, Table};
    use fluxtap_intel::{AddressClass, Owner};

    use super::*;
    use crate::classes::Basis;
    use crate::rows::Family;

    /// A small generator: the tests must be the same everywhere.
    struct Draw(u64);

    impl Draw {
        fn next(&mut self, below: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % below
        }
    }

    fn origin() -> Origin {
        Origin { date: "2026-06-17".into(), source: "made by a test".into() }
    }

    fn ranges(draw: &mut Draw, family: Family) -> Vec<Range> {
        let countries = [Country::UNKNOWN, country(b"DE"), country(b"JP"), country(b"US")];
        let shift = if family == Family::V4 { 0 } else { 32 };
        let mut firsts: BTreeSet<u64> =
            (0..400).map(|_| draw.next(1 << 31) << 1 << shift).collect();
        // Dense and bordering starts inside one /16, and the two ends.
        firsts.extend([0, 1, 0x0a00_0000, 0x0a00_0001, 0x0a00_ffff, 0x0a01_0000, family.key_max()]);
        let range = |first| Range {
            first,
            asn: u32::try_from(draw.next(40)).expect("small") * 1000,
            country: countries[usize::try_from(draw.next(4)).expect("small")],
        };
        firsts.into_iter().map(range).collect()
    }

    fn country(code: &[u8; 2]) -> Country {
        Country::from_code(*code).expect("a country")
    }

    fn classes(names: &BTreeMap<u32, String>) -> BTreeMap<u32, ClassOf> {
        let all = [
            AddressClass::Unknown,
            AddressClass::Access,
            AddressClass::Hosting,
            AddressClass::Cdn,
            AddressClass::Education,
        ];
        let class = |asn: u32| ClassOf {
            class: all[(asn / 1000 % 5) as usize],
            hyperscaler: asn / 1000 % 5 == 2,
            basis: Basis::Curated,
        };
        names.keys().map(|&asn| (asn, class(asn))).collect()
    }

    fn small() -> (Packed, [Vec<Range>; 2], BTreeMap<u32, ClassOf>) {
        let mut draw = Draw(7);
        let ranges = [ranges(&mut draw, Family::V4), ranges(&mut draw, Family::V6)];
        let names: BTreeMap<u32, String> = (1..40)
            .map(|n| (n * 1000, if n == 3 { String::new() } else { format!("Net {n} é") }))
            .collect();
        let classes = classes(&names);
        let packed = pack(&origin(), &names, &classes, &ranges[0], &ranges[1]).expect("packs");
        (packed, ranges, classes)
    }

    #[test]
    fn look_ups_agree_with_a_search_from_the_start() {
        let (packed, ranges, classes) = small();
        let table = Table::decode(&packed.addresses).expect("decodes");
        let mut draw = Draw(11);
        for (ranges, family) in ranges.iter().zip([Family::V4, Family::V6]) {
            let mut keys: Vec<u64> = (0..2000)
                .map(|_| draw.next(1 << 31) << 32 | draw.next(1 << 31) << 1)
                .map(|key| key & family.key_max())
                .collect();
            for range in ranges {
                keys.extend([range.first, range.first.saturating_sub(1)]);
                keys.push(range.first.saturating_add(1).min(family.key_max()));
            }
            for key in keys {
                let range =
                    ranges.iter().rev().find(|range| range.first <= key).expect("begins at 0");
                let class = classes.get(&range.asn);
                let expect = Owner {
                    asn: range.asn,
                    country: range.country,
                    class: class.map_or(AddressClass::Unknown, |found| found.class),
                    hyperscaler: class.is_some_and(|found| found.hyperscaler),
                };
                assert_eq!(table.owner(family.address(key)), expect, "{}", family.address(key));
            }
        }
    }

    #[test]
    fn names_come_back() {
        let (packed, ..) = small();
        let names = Names::decode(&packed.names).expect("decodes");
        for (asn, expect) in [
            (1000, Some("Net 1 é")),
            (3000, Some("")),
            (4000, Some("Net 4 é")),
            (39_000, Some("Net 39 é")),
            (0, None),
            (1001, None),
            (u32::MAX, None),
        ] {
            assert_eq!(names.get(asn), expect, "{asn}");
        }
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let (a, ..) = small();
        let (b, ..) = small();
        assert_eq!((a.addresses, a.names), (b.addresses, b.names));
    }

    #[test]
    fn a_change_of_any_byte_and_any_cut_is_refused() {
        let (packed, ..) = small();
        for file in [&packed.addresses, &packed.names] {
            let decode = |bytes: &[u8]| match bytes.get(5) {
                Some(b'N') => Names::decode(bytes).err(),
                _ => Table::decode(bytes).err(),
            };
            assert_eq!(decode(file), None);
            for at in 0..file.len() {
                for flip in [0x01, 0x80] {
                    let mut damaged = file.clone();
                    damaged[at] ^= flip;
                    assert!(decode(&damaged).is_some(), "byte {at} changed by {flip:#x}");
                }
                assert!(decode(&file[..at]).is_some(), "cut at {at}");
            }
        }
    }

    #[test]
    fn files_are_refused_for_the_right_reason() {
        let (packed, ..) = small();
        let good = &packed.addresses;
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Table::decode(&bytes).err()
        };
        assert_eq!(
            Table::decode(&good[..HEADER_LEN - 1]).err(),
            Some(TableError::Short { got: HEADER_LEN - 1, expected: HEADER_LEN })
        );
        assert_eq!(with(0, b'f'), Some(TableError::NotATable));
        assert_eq!(with(4, 2), Some(TableError::Version { got: 2 }));
        assert_eq!(with(5, b'N'), Some(TableError::Kind { got: b'N' }));
        assert_eq!(with(20, 0xff), Some(TableError::Checksum));
        assert_eq!(Table::decode(&packed.names).err(), Some(TableError::Kind { got: b'N' }));
        assert_eq!(Names::decode(good).err(), Some(TableError::Kind { got: b'A' }));
    }

    /// A file with a true checksum and a body written by hand.
    fn forged(change: fn(&mut Header, &mut Vec<u8>)) -> Option<TableError> {
        // One country, one ASN, two owners, one range in each family.
        let mut body = b"DE".to_vec();
        body.extend([7, AddressClass::Access as u8]);
        body.extend([0, 1, 0, 1]);
        body.extend([0, 1, 0, 0]);
        body.extend([0, 0, 0, 0]);
        let mut header = Header {
            kind: Kind::Addresses,
            date: "2026-06-17".into(),
            source: "made by hand".into(),
            ranges_v4: 1,
            ranges_v6: 1,
            owners: 2,
            asns: 1,
            countries: 1,
            body_len: 0,
        };
        change(&mut header, &mut body);
        if header.body_len == 0 {
            header.body_len = count(body.len()).expect("small");
        }
        let frame = zstd::bulk::compress(&body, 1).expect("compresses");
        let bytes = header.write(&frame).expect("a header within its limits");
        Table::decode(&bytes).err()
    }

    #[test]
    fn bodies_that_break_the_layout_are_refused() {
        type Change = fn(&mut Header, &mut Vec<u8>);
        fn len(body: &[u8]) -> u32 {
            count(body.len()).expect("small")
        }
        let part = |part| Some(TableError::Part { part });
        let rows: [(Change, Option<TableError>); 16] = [
            (|_, _| {}, None),
            (|_, body| body[0] = b'd', part("countries")),
            (|_, body| drop(body.splice(2..3, [0xff, 0xff, 0xff, 0xff, 0x1f])), part("asns")),
            (|_, body| drop(body.splice(2..3, [0xff; 11])), part("asns")),
            (|_, body| body[3] = 5, part("classes")),
            (|_, body| body[5] = 2, part("owners")),
            (|_, body| body[7] = 2, part("owners")),
            (|_, body| body[8] = 1, part("first range")),
            (|_, body| body[9] = 2, part("owner planes")),
            (|_, body| body[12] = 1, part("first range")),
            (|_, body| body.push(0), part("end of the body")),
            (|_, body| body.truncate(15), part("owner planes")),
            (|header, body| header.body_len = len(body) + 1, Some(TableError::Body)),
            (|header, body| header.body_len = len(body) - 1, Some(TableError::Body)),
            (|header, _| header.ranges_v4 = 0, part("end of the body")),
            (|header, _| header.ranges_v6 = 2, part("v6 starts")),
        ];
        for (place, (change, expect)) in rows.into_iter().enumerate() {
            assert_eq!(forged(change), expect, "row {place}");
        }
    }

    #[test]
    fn counts_that_the_body_cannot_hold_are_refused_before_anything_is_allocated() {
        let header = Header {
            kind: Kind::Addresses,
            date: "2026-06-17".into(),
            source: "".into(),
            ranges_v4: 0,
            ranges_v6: 0,
            owners: 0,
            asns: 0,
            countries: 0,
            body_len: 100,
        };
        for (field, header) in [
            ("body_len", Header { body_len: u32::MAX, ..header.clone() }),
            ("ranges_v4", Header { ranges_v4: 101, ..header.clone() }),
            ("ranges_v6", Header { ranges_v6: 101, ..header.clone() }),
            ("owners", Header { owners: 101, ..header.clone() }),
            ("asns", Header { asns: 101, ..header.clone() }),
            ("countries", Header { countries: 256, ..header.clone() }),
            ("date", Header { date: "17.06.2026".into(), ..header.clone() }),
        ] {
            assert_eq!(header.write(&[]).err(), Some(TableError::Header { field }));
        }
    }
}
