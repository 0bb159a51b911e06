//! What files say, put together into one table.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fluxtap_intel::table::format::{SOURCE_LEN_MAX, TableError};
use fluxtap_intel::table::{Parts, Table};
use fluxtap_intel::{AddressClass, Country, Day, Owner};

use crate::classes::{Basis, ClassList, class_of};
use crate::merge::{Range, merge};
use crate::row::{Family, Overlaps, Row, Rows, Value};
use crate::{Content, Data};

/// What a table is to be made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Files that tell autonomous systems; with none, `fallback` does.
    pub asn: &'a [Content],
    /// Files that tell countries; with none, those of `asn` that can, else `fallback`.
    pub country: &'a [Content],
    /// The table that tells what no file does: all ASNs or all countries if there is no file for
    /// them, and names. It is never asked about single addresses that a file leaves open.
    pub fallback: Option<&'a Table>,
    /// Kinds of network by ASN.
    pub classes: &'a ClassList,
    /// Day of the data.
    pub day: Option<Day>,
    /// Where the data comes from, for people; cut at [`SOURCE_LEN_MAX`] bytes.
    pub source: &'a str,
}

/// A table and what happened while it was made.
#[derive(Debug)]
pub struct Made {
    /// The table.
    pub table: Table,
    /// Overlaps between files.
    pub overlaps: Overlaps,
    /// Every ASN with its class, rising.
    pub classified: Vec<Classified>,
    /// Rows of the class list that were not applied, with the reason.
    pub misfits: Vec<(u32, String)>,
}

/// An ASN with its class and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified {
    /// The number.
    pub asn: u32,
    /// Its class.
    pub class: AddressClass,
    /// What decided the class.
    pub basis: Basis,
    /// IPv4 addresses it announces.
    pub addresses_v4: u64,
}

/// Makes a table.
///
/// # Errors
/// [`TableError`] when the data goes beyond the limits of the layout.
pub fn make(plan: &Plan<'_>) -> Result<Made, TableError> {
    let mut overlaps = Overlaps::default();
    let asns = plan.rows::<u32>(&mut overlaps);
    let countries = plan.rows::<Country>(&mut overlaps);
    let ranges = Family::ALL.map(|family| merge(asns.of(family), countries.of(family), family));
    let [v4, v6] = &ranges;
    let names = plan.names(&ranges);
    let sizes = sizes_v4(v4);
    let names_of = |asn: u32| -> Vec<&str> {
        let theirs = names.get(&asn).map(String::as_str);
        let ours = plan.fallback.and_then(|table| table.name(asn));
        theirs.into_iter().chain(ours).collect()
    };
    let mut owners = BTreeMap::new();
    let mut classified = Vec::with_capacity(names.len());
    for &asn in names.keys() {
        let found = class_of(asn, &names_of(asn), plan.classes);
        owners.insert(asn, (found.class, found.hyperscaler));
        let addresses_v4 = sizes.get(&asn).copied().unwrap_or(0);
        classified.push(Classified { asn, class: found.class, basis: found.basis, addresses_v4 });
    }
    let owner = |range: &Range| {
        let (class, hyperscaler) = owners.get(&range.asn).copied().unwrap_or_default();
        Owner { asn: range.asn, country: range.country, class, hyperscaler }
    };
    let v4: Vec<(u32, Owner)> = v4.iter().map(|r| (r.first as u32, owner(r))).collect();
    let v6: Vec<(u64, Owner)> = v6.iter().map(|r| (r.first, owner(r))).collect();
    let table = Table::build(&Parts {
        date: plan.day,
        source: &one_line(plan.source),
        v4: &v4,
        v6: &v6,
        names: &names,
    })?;
    let misfits = plan
        .classes
        .misfits(|asn| if names.contains_key(&asn) { names_of(asn) } else { Vec::new() });
    Ok(Made { table, overlaps, classified, misfits })
}

impl Plan<'_> {
    /// The ranges of ASNs or countries from where the plan has them.
    fn rows<V: Told>(&self, overlaps: &mut Overlaps) -> Cow<'_, Rows<V>> {
        let own = V::files(self);
        let files = if own.is_empty() { self.asn } else { own };
        let told: Vec<Cow<'_, Rows<V>>> = files.iter().filter_map(V::told).collect();
        match (&told[..], self.fallback) {
            ([], Some(table)) => Cow::Owned(rows_of_table(table)),
            ([], None) => Cow::Owned(Rows::empty()),
            ([one], _) => Cow::Owned(one.clone().into_owned()),
            (several, _) => {
                let mut all = Rows::empty();
                for rows in several {
                    all.v4.extend_from_slice(&rows.v4);
                    all.v6.extend_from_slice(&rows.v6);
                }
                // Lines of different files say nothing beside each other.
                for row in all.v4.iter_mut().chain(&mut all.v6) {
                    row.line = 0;
                }
                overlaps.append(all.take_apart());
                Cow::Owned(all)
            }
        }
    }

    /// A name for every ASN of the ranges; an empty one where nobody knows it.
    fn names(&self, ranges: &[Vec<Range>; 2]) -> BTreeMap<u32, String> {
        let mut names = BTreeMap::new();
        for range in ranges.iter().flatten().filter(|range| range.asn != 0) {
            names.entry(range.asn).or_insert_with(|| {
                let told = self.asn.iter().filter_map(|file| match &file.data {
                    Data::Table(table) => table.name(range.asn),
                    Data::Rows(facts) => facts.names.get(&range.asn).map(String::as_str),
                });
                let ours = self.fallback.and_then(|table| table.name(range.asn));
                told.chain(ours).find(|name| !name.is_empty()).unwrap_or_default().to_owned()
            });
        }
        names
    }
}

/// What a file can tell: ASNs or countries.
trait Told: Value + 'static {
    /// The files that were given for it.
    fn files<'a>(plan: &Plan<'a>) -> &'a [Content];
    /// The ranges of a file, if it tells it.
    fn told(content: &Content) -> Option<Cow<'_, Rows<Self>>>;
}

impl Told for u32 {
    fn files<'a>(plan: &Plan<'a>) -> &'a [Content] {
        plan.asn
    }

    fn told(content: &Content) -> Option<Cow<'_, Rows<Self>>> {
        match &content.data {
            Data::Table(table) => Some(Cow::Owned(rows_of_table(table))),
            Data::Rows(facts) => facts.asns.as_ref().map(Cow::Borrowed),
        }
    }
}

impl Told for Country {
    fn files<'a>(plan: &Plan<'a>) -> &'a [Content] {
        plan.country
    }

    fn told(content: &Content) -> Option<Cow<'_, Rows<Self>>> {
        match &content.data {
            Data::Table(table) if content.has_countries() => Some(Cow::Owned(rows_of_table(table))),
            Data::Table(_) => None,
            Data::Rows(facts) => facts.countries.as_ref().map(Cow::Borrowed),
        }
    }
}

fn rows_of_table<V: Value>(table: &Table) -> Rows<V> {
    let mut rows = Rows::empty();
    add_rows(&mut rows, Family::V4, table.ranges_v4().map(|(first, o)| (first.into(), o)));
    add_rows(&mut rows, Family::V6, table.ranges_v6());
    rows
}

fn add_rows<V: Value>(
    rows: &mut Rows<V>,
    family: Family,
    ranges: impl Iterator<Item = (u64, Owner)>,
) {
    let mut ranges = ranges.peekable();
    while let Some((first, owner)) = ranges.next() {
        let last = ranges.peek().map_or(family.key_max(), |&(next, _)| next - 1);
        let value = V::of_owner(owner);
        if value != V::NONE {
            rows.push(family, Row { first, last, value, line: 0 });
        }
    }
}

fn sizes_v4(ranges: &[Range]) -> BTreeMap<u32, u64> {
    let mut sizes = BTreeMap::new();
    for (place, range) in ranges.iter().enumerate() {
        let end = ranges.get(place + 1).map_or(1 << 32, |next| next.first);
        *sizes.entry(range.asn).or_insert(0) += end - range.first;
    }
    sizes
}

/// A source line within the limits of the layout.
fn one_line(source: &str) -> String {
    let clean: String = source.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end = clean.floor_char_boundary(SOURCE_LEN_MAX as usize);
    clean[..end].to_owned()
}
