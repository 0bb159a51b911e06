//! Two lists of ranges to one: each range has one ASN and one country, gaps included.

use fluxtap_intel::Country;

use crate::row::{Family, Row, Value};

/// A range from `first` to where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    /// 0 where nobody announces the addresses.
    pub(crate) asn: u32,
    pub(crate) country: Country,
}

/// Merges sorted disjoint rows; the first range begins at 0 and neighbours differ.
pub(crate) fn merge(asns: &[Row<u32>], countries: &[Row<Country>], family: Family) -> Vec<Range> {
    let mut borders = Vec::with_capacity(1 + 2 * (asns.len() + countries.len()));
    borders.push(0);
    add_borders(&mut borders, asns, family);
    add_borders(&mut borders, countries, family);
    borders.sort_unstable();
    borders.dedup();
    let mut asns = Cursor { rows: asns };
    let mut countries = Cursor { rows: countries };
    let mut merged: Vec<Range> = Vec::with_capacity(borders.len());
    for first in borders {
        let asn = asns.at(first);
        let country = countries.at(first);
        let is_same = merged.last().is_some_and(|last| (last.asn, last.country) == (asn, country));
        if !is_same {
            merged.push(Range { first, asn, country });
        }
    }
    merged
}

fn add_borders<V>(borders: &mut Vec<u64>, rows: &[Row<V>], family: Family) {
    for row in rows {
        borders.push(row.first);
        if row.last < family.key_max() {
            borders.push(row.last + 1);
        }
    }
}

/// Walks rows along rising keys.
struct Cursor<'a, V> {
    rows: &'a [Row<V>],
}

impl<V: Value> Cursor<'_, V> {
    fn at(&mut self, key: u64) -> V {
        while let [row, rest @ ..] = self.rows
            && row.last < key
        {
            self.rows = rest;
        }
        self.rows.first().filter(|row| row.first <= key).map_or(V::NONE, |row| row.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_ranges_answer_as_the_two_lists_do() {
        let code = |text: &[u8; 2]| Country::from_code(*text).expect("a country");
        let (de, fr) = (code(b"DE"), code(b"FR"));
        let row = |first, last, value| Row { first, last, value, line: 0 };
        let asns = [row(10, 19, 1), row(20, 29, 1), row(40, 255, 2)];
        let countries = [(0, 14, de), (15, 50, fr)].map(|(first, last, value)| Row {
            first,
            last,
            value,
            line: 0,
        });
        let merged = merge(&asns, &countries, Family::V4);
        for key in 0..=300 {
            let asn =
                asns.iter().find(|r| (r.first..=r.last).contains(&key)).map_or(0, |r| r.value);
            let country = countries
                .iter()
                .find(|r| (r.first..=r.last).contains(&key))
                .map_or(Country::UNKNOWN, |r| r.value);
            let range = merged.iter().rev().find(|range| range.first <= key).expect("begins at 0");
            assert_eq!((range.asn, range.country), (asn, country), "{key}");
        }
        assert!(merged.windows(2).all(|pair| {
            pair[0].first < pair[1].first
                && (pair[0].asn, pair[0].country) != (pair[1].asn, pair[1].country)
        }));
    }

    #[test]
    fn a_row_up_to_the_last_key_needs_no_border_after_it() {
        let asns = [Row { first: u64::MAX - 1, last: u64::MAX, value: 7, line: 0 }];
        let merged = merge(&asns, &[], Family::V6);
        let range = |first, asn| Range { first, asn, country: Country::UNKNOWN };
        assert_eq!(merged, [range(0, 0), range(u64::MAX - 1, 7)]);
    }
}
