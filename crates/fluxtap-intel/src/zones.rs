//! Curated zones: names whose addresses only the operator of the zone can set.
//!
//! A chain that ends in a content delivery provider's own zone explains its many addresses, and
//! so does a pool of volunteers. Both hold only because a customer cannot put an address there:
//! a zone in which anybody can, dynamic DNS or the private section of the public suffix list,
//! would be a hiding place. The look-up is for the owner of the addresses (the end of the chain),
//! never for a name that merely contains the suffix.

use std::fmt;

use crate::day::Day;
use crate::labels::{Labels, wire_form};
use crate::suffix::{Section, public_suffix};

/// Zones in one list; more is refused, not cut off.
pub const ZONES_MAX: usize = 10_000;

/// A zone whose operator alone sets the addresses in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The zone in lower-case wire form; it covers itself and everything below.
    pub suffix: Box<[u8]>,
    /// The zone as text, lower-case, without final dot.
    pub name: Box<str>,
    /// What kind of zone it is.
    pub kind: ZoneKind,
    /// Why its addresses are explained.
    pub reason: Box<str>,
    /// Where that is written down.
    pub source: Box<str>,
    /// The day it was listed, `YYYY-MM-DD`.
    pub added: Box<str>,
}

/// What explains the addresses of a curated zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneKind {
    /// Edges or load balancers of a provider.
    Cdn,
    /// Hosts of volunteers, chosen by the operator of the zone.
    Pool,
}

impl ZoneKind {
    /// The kind as a lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cdn => "cdn",
            Self::Pool => "pool",
        }
    }
}

/// A list of curated zones with a look-up by name.
#[derive(Debug)]
pub struct Zones {
    /// Sorted by wire form.
    zones: Box<[Zone]>,
    /// Sorted hashes of the last two labels of all zones, so that most names end at the first search.
    bases: Box<[u64]>,
    /// Labels in the deepest zone: names are searched no deeper.
    depth_max: usize,
    /// Which ends of names occur among the zones: see [`Tails`].
    tails: Tails,
}

/// A set of name ends, with false hits: nearly every name is in no zone, and this says so after one
/// multiplication.
#[derive(Clone, Debug)]
struct Tails([u64; 64]);

impl Tails {
    fn of<'a>(suffixes: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut bits = [0; 64];
        for suffix in suffixes {
            match Self::place(suffix) {
                Some((word, bit)) => bits[word] |= bit,
                // A zone shorter than a tail could be the end of any name.
                None => return Self([u64::MAX; 64]),
            }
        }
        Self(bits)
    }

    fn may_hold(&self, wire_name: &[u8]) -> bool {
        Self::place(wire_name).is_none_or(|(word, bit)| self.0[word] & bit != 0)
    }

    /// The bit for the last eight bytes in front of the root; `None` for a shorter name.
    fn place(wire_name: &[u8]) -> Option<(usize, u64)> {
        let tail = u64::from_le_bytes(*wire_name.split_last()?.1.last_chunk()?);
        let hash = tail.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52;
        Some(((hash >> 6) as usize, 1 << (hash & 63)))
    }
}

impl Zones {
    /// Reads a list: lines of tab-separated `suffix kind reason source added`, `#` comments.
    ///
    /// A sixth column `psl-private` is required for, and only for, a zone that the private section
    /// of the public suffix list has as a public suffix: it says that somebody checked that its
    /// customers cannot set addresses.
    ///
    /// # Errors
    /// All mistakes of the text at once, by line.
    pub fn parse(text: &str) -> Result<Self, Vec<ParseError>> {
        let mut zones: Vec<(usize, Zone)> = Vec::new();
        let mut errors = Vec::new();
        for (line_index, line) in text.lines().enumerate() {
            let line_number = line_index + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if zones.len() == ZONES_MAX {
                errors.push(ParseError { line: line_number, mistake: Mistake::TooMany });
                break;
            }
            match parse_line(line) {
                Ok(zone) => zones.push((line_number, zone)),
                Err(mistake) => errors.push(ParseError { line: line_number, mistake }),
            }
        }
        zones.sort_by(|(_, a), (_, b)| a.suffix.cmp(&b.suffix));
        for pair in zones.windows(2) {
            let [(_, a), (line, b)] = pair else { continue };
            if a.suffix == b.suffix {
                errors.push(ParseError { line: *line, mistake: Mistake::Twice(b.name.clone()) });
            }
        }
        if !errors.is_empty() {
            errors.sort_by_key(|error| error.line);
            return Err(errors);
        }
        let zones: Box<[Zone]> = zones.into_iter().map(|(_, zone)| zone).collect();
        let mut bases: Vec<u64> = zones.iter().filter_map(|zone| base(&zone.suffix)).collect();
        bases.sort_unstable();
        bases.dedup();
        let depth_max = zones.iter().map(|zone| zone.name.split('.').count()).max().unwrap_or(0);
        let tails = Tails::of(zones.iter().map(|zone| &*zone.suffix));
        Ok(Self { zones, bases: bases.into(), depth_max, tails })
    }

    /// The most specific zone that the name is equal to or below, of those that `is_used` says yes
    /// to.
    ///
    /// `wire_name` is lower-case uncompressed wire form; anything else finds nothing. Costs a
    /// multiplication for nearly every name outside all zones, and at most a binary search for each
    /// label of the deepest zone besides.
    pub fn find(&self, wire_name: &[u8], is_used: impl Fn(&Zone) -> bool) -> Option<&Zone> {
        if !self.tails.may_hold(wire_name) {
            return None;
        }
        let labels = Labels::new_checked(wire_name)?;
        self.bases.binary_search(&base_of(&labels, wire_name)?).ok()?;
        labels.offsets(self.depth_max).find_map(|offset| {
            let suffix = &wire_name[offset..];
            let place = self.zones.binary_search_by(|zone| (*zone.suffix).cmp(suffix)).ok()?;
            self.zones.get(place).filter(|zone| is_used(zone))
        })
    }

    /// All zones, sorted by wire form.
    pub fn as_slice(&self) -> &[Zone] {
        &self.zones
    }
}

/// Hash of the last two labels of a name; `None` for a name with fewer, which no zone covers.
fn base(wire_name: &[u8]) -> Option<u64> {
    base_of(&Labels::new_checked(wire_name)?, wire_name)
}

fn base_of(labels: &Labels<'_>, wire_name: &[u8]) -> Option<u64> {
    let offset = labels.offset_from_right(2)?;
    // A collision costs a search and decides nothing, so no key is needed.
    Some(wire_name[offset..].iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

fn parse_line(line: &str) -> Result<Zone, Mistake> {
    let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
    let (name, kind, reason, source, added, mark) = match columns[..] {
        [name, kind, reason, source, added] => (name, kind, reason, source, added, ""),
        [name, kind, reason, source, added, mark] => (name, kind, reason, source, added, mark),
        _ => return Err(Mistake::Columns(columns.len())),
    };
    let suffix = wire_form(name).ok_or_else(|| Mistake::Name(name.into()))?;
    let kind = match kind {
        "cdn" => ZoneKind::Cdn,
        "pool" => ZoneKind::Pool,
        _ => return Err(Mistake::Kind(kind.into())),
    };
    for (column, value) in [("reason", reason), ("source", source)] {
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(Mistake::Empty(column));
        }
    }
    if Day::parse(added).is_none() {
        return Err(Mistake::Date(added.into()));
    }
    match (public_suffix(&suffix), mark) {
        (None, "") | (Some(Section::Private), "psl-private") => {}
        (Some(Section::Icann), _) => return Err(Mistake::PublicSuffix(name.into())),
        (Some(Section::Private), _) => return Err(Mistake::PrivateSuffix(name.into())),
        (None, _) => return Err(Mistake::Mark(mark.into())),
    }
    Ok(Zone {
        suffix,
        name: name.into(),
        kind,
        reason: reason.into(),
        source: source.into(),
        added: added.into(),
    })
}

/// A line of a zone list that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub mistake: Mistake,
}

/// What is wrong with a line of a zone list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Neither five nor six columns, with the number there is.
    Columns(usize),
    /// The first column is no lower-case name.
    Name(Box<str>),
    /// The second column is no known kind.
    Kind(Box<str>),
    /// A column that must say something is empty or has control characters.
    Empty(&'static str),
    /// The fifth column is no day.
    Date(Box<str>),
    /// The zone would cover the names of everybody under a public suffix.
    PublicSuffix(Box<str>),
    /// A suffix of the private section without the mark that it was checked.
    PrivateSuffix(Box<str>),
    /// A sixth column that is unknown or not needed.
    Mark(Box<str>),
    /// The zone is listed before.
    Twice(Box<str>),
    /// More than [`ZONES_MAX`] zones.
    TooMany,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.mistake {
            Mistake::Columns(got) => write!(
                f,
                "got {got} columns, expected 'suffix kind reason source added' and at most one \
                 more, separated by tabs"
            ),
            Mistake::Name(got) => write!(
                f,
                "suffix: got {got:?}, expected a name of lower-case letters, digits, '-' and '_' \
                 without leading or final dot, such as 'pool.ntp.org'"
            ),
            Mistake::Kind(got) => write!(f, "kind: got {got:?}, expected 'cdn' or 'pool'"),
            Mistake::Empty(column) => {
                write!(
                    f,
                    "{column}: got nothing readable, expected a sentence that justifies the zone"
                )
            }
            Mistake::Date(got) => {
                write!(f, "added: got {got:?}, expected a day such as '2026-06-17'")
            }
            Mistake::PublicSuffix(got) => write!(
                f,
                "suffix: got {got:?}, a public suffix; expected a zone with one operator, so add a label"
            ),
            Mistake::PrivateSuffix(got) => write!(
                f,
                "suffix: got {got:?}, in the private section of the public suffix list; expected a \
                 zone where customers cannot set addresses: if that was checked, write \
                 'psl-private' as sixth column"
            ),
            Mistake::Mark(got) => write!(
                f,
                "sixth column: got {got:?}, expected nothing ('psl-private' is for suffixes of the \
                 private section alone)"
            ),
            Mistake::Twice(got) => write!(f, "suffix: got {got:?} a second time, expected it once"),
            Mistake::TooMany => write!(f, "got more than {ZONES_MAX} zones; shorten the list"),
        }
    }
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# comment\n\
        edge.example\tcdn\tedges of a provider\tits manual\t2026-06-17\n\
        \n\
        deep.pool.example\tpool\tvolunteers\tits site\t2026-06-17\n\
        pool.example\tpool\tvolunteers\tits site\t2026-06-17\n\
        cloudfront.net\tcdn\tprovider sets all\tpublic suffix list\t2026-06-17\tpsl-private\n";

    #[test]
    fn a_zone_covers_itself_and_what_is_below_and_nothing_else() {
        let zones = Zones::parse(LIST).expect("a good list");
        for (name, expect) in [
            ("edge.example", Some("edge.example")),
            ("a.edge.example", Some("edge.example")),
            ("a.b.c.d.e.f.g.edge.example", Some("edge.example")),
            ("pool.example", Some("pool.example")),
            ("x.pool.example", Some("pool.example")),
            ("deep.pool.example", Some("deep.pool.example")),
            ("1.deep.pool.example", Some("deep.pool.example")),
            ("d1.cloudfront.net", Some("cloudfront.net")),
            ("example", None),
            ("edge.example.evil.test", None),
            ("notedge.example", None),
            ("edge.example.com", None),
        ] {
            let found = zones.find(&wire_form(name).expect("a name"), |_| true);
            assert_eq!(found.map(|zone| &*zone.name), expect, "{name}");
        }
    }

    #[test]
    fn a_dot_inside_a_label_is_no_border_and_broken_names_find_nothing() {
        let zones = Zones::parse(LIST).expect("a good list");
        for name in [
            b"\x0cedge.example\x00".as_slice(),
            b"\x01a\x0cedge.example\x00",
            b"",
            b"\x00",
            b"\x04edge\x07example",
            b"\x04edge\x07example\x00\x00",
            b"\xc0\x0c",
            b"\x3f",
        ] {
            assert_eq!(zones.find(name, |_| true), None, "{name:?}");
        }
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let text = "com\tcdn\tr\ts\t2026-06-17\n\
            co.uk\tcdn\tr\ts\t2026-06-17\n\
            duckdns.org\tpool\tr\ts\t2026-06-17\n\
            pool.example\tpool\tr\ts\t2026-06-17\tpsl-private\n\
            Pool.example\tpool\tr\ts\t2026-06-17\n\
            .example\tpool\tr\ts\t2026-06-17\n\
            a.example\tddns\tr\ts\t2026-06-17\n\
            b.example\tcdn\t\ts\t2026-06-17\n\
            c.example\tcdn\tr\ts\t2026-13-17\n\
            d.example cdn r s 2026-06-17\n\
            e.example\tcdn\tr\ts\t2026-06-17\n\
            e.example\tcdn\tr\ts\t2026-06-17\n\
            anything.invalid-tld\tcdn\tr\ts\t2026-06-17\n";
        let errors = Zones::parse(text).expect_err("a list of mistakes");
        let got: Vec<(usize, &Mistake)> = errors.iter().map(|e| (e.line, &e.mistake)).collect();
        let expect = [
            (1, Mistake::PublicSuffix("com".into())),
            (2, Mistake::PublicSuffix("co.uk".into())),
            (3, Mistake::PrivateSuffix("duckdns.org".into())),
            (4, Mistake::Mark("psl-private".into())),
            (5, Mistake::Name("Pool.example".into())),
            (6, Mistake::Name(".example".into())),
            (7, Mistake::Kind("ddns".into())),
            (8, Mistake::Empty("reason")),
            (9, Mistake::Date("2026-13-17".into())),
            (10, Mistake::Columns(1)),
            (12, Mistake::Twice("e.example".into())),
        ];
        assert_eq!(got, expect.iter().map(|(line, m)| (*line, m)).collect::<Vec<_>>());
        for error in &errors {
            let text = error.to_string();
            assert!(text.starts_with(&format!("line {}: ", error.line)), "{text}");
            assert!(!text.ends_with('.'), "{text}");
        }
    }

    #[test]
    fn a_list_without_end_is_refused() {
        let line = |n: usize| format!("z{n}.example\tcdn\tr\ts\t2026-06-17\n");
        let full: String = (0..ZONES_MAX).map(line).collect();
        assert_eq!(Zones::parse(&full).map(|zones| zones.as_slice().len()), Ok(ZONES_MAX));
        let errors = Zones::parse(&(full + &line(ZONES_MAX))).expect_err("one too many");
        assert_eq!(errors, [ParseError { line: ZONES_MAX + 1, mistake: Mistake::TooMany }]);
    }

    #[test]
    fn an_empty_list_covers_nothing() {
        let zones = Zones::parse("# nothing\n").expect("an empty list");
        assert_eq!(zones.find(b"\x03www\x07example\x00", |_| true), None);
    }
}
