//! Address tables of the user's own: what a file says of ranges of addresses, and the table of
//! `fluxtap-intel` made from it.
//!
//! [`read`] takes a file of any known format and tells formats apart by content: a MaxMind DB in
//! the field layouts of MaxMind, DB-IP and IPinfo, lines of comma- or tab-separated ranges, or a
//! table made before. [`make`] puts what several files say into one table, adds the kind of network
//! of each autonomous system, and packs it. Everything is turned into ranges once, so that a
//! look-up costs the same whatever the data came as.
//!
//! Nothing is left out silently: what the rules drop is counted in [`Notes`], what breaks a format
//! refuses the file with line and reason. The same files give the same bytes.
//!
//! Limits: [`FILE_LEN_MAX`] bytes a file, [`ROWS_MAX`] ranges a file after neighbours that say the
//! same were joined.

#![forbid(unsafe_code)]

mod classes;
mod lines;
mod make;
mod merge;
mod mmdb;
mod names;
mod row;

use std::fmt;
use std::io::{self, Read};

use fluxtap_intel::table::Table;
use fluxtap_intel::table::format::{MAGIC, TableError};
use fluxtap_intel::{Country, Day, Owner};

pub use classes::{Basis, ClassList};
pub use lines::Mistake;
pub use make::{Classified, Made, Plan, make};
use names::Names;
pub use row::Overlaps;
use row::{Rows, Value};

/// Most bytes a file may have; the largest in common use has about 100 MB.
pub const FILE_LEN_MAX: u64 = 512 << 20;

/// Most ranges of ASNs, and most of countries, that are taken from one file.
pub const ROWS_MAX: usize = 1 << 23;

/// What one file says.
#[derive(Debug)]
pub struct Content {
    format: String,
    day: Option<Day>,
    notes: Notes,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Table(Table),
    Rows(Facts),
}

/// Ranges as they were read. A part is `None` when the file has no field for it.
#[derive(Debug, Default)]
struct Facts {
    asns: Option<Rows<u32>>,
    countries: Option<Rows<Country>>,
    names: Names,
}

impl Content {
    /// What kind of file it is, for people: the format, and the type a MaxMind DB gives itself.
    /// Names from the file are in it as they are, so escape it.
    pub fn format(&self) -> &str {
        &self.format
    }

    /// The day of the data, if the file says it.
    pub fn day(&self) -> Option<Day> {
        self.day
    }

    /// What was left out or changed.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Whether it can tell autonomous systems.
    pub fn has_asns(&self) -> bool {
        match &self.data {
            Data::Table(table) => has_any::<u32>(table),
            Data::Rows(facts) => facts.asns.is_some(),
        }
    }

    /// Whether it can tell countries.
    pub fn has_countries(&self) -> bool {
        match &self.data {
            Data::Table(table) => has_any::<Country>(table),
            Data::Rows(facts) => facts.countries.is_some(),
        }
    }

    /// Ranges that say something: of ASNs and of countries, IPv4 and IPv6 together.
    pub fn ranges(&self) -> (usize, usize) {
        match &self.data {
            Data::Table(table) => (count::<u32>(table), count::<Country>(table)),
            Data::Rows(facts) => (
                facts.asns.as_ref().map_or(0, Rows::len),
                facts.countries.as_ref().map_or(0, Rows::len),
            ),
        }
    }

    /// Whether it says something about IPv4, and about IPv6.
    pub fn families(&self) -> (bool, bool) {
        let is_said = |owner: Owner| owner.asn != 0 || owner.country != Country::UNKNOWN;
        match &self.data {
            Data::Table(table) => (
                table.ranges_v4().any(|(_, owner)| is_said(owner)),
                table.ranges_v6().any(|(_, owner)| is_said(owner)),
            ),
            Data::Rows(facts) => {
                let (asns, countries) = (facts.asns.as_ref(), facts.countries.as_ref());
                let v4 = asns.is_some_and(|rows| !rows.v4.is_empty());
                let v6 = asns.is_some_and(|rows| !rows.v6.is_empty());
                (
                    v4 || countries.is_some_and(|rows| !rows.v4.is_empty()),
                    v6 || countries.is_some_and(|rows| !rows.v6.is_empty()),
                )
            }
        }
    }

    /// The table, of a file that is one already.
    ///
    /// # Errors
    /// Gives the content back if it is something else.
    pub fn into_table(self) -> Result<Table, Box<Self>> {
        match self.data {
            Data::Table(table) => Ok(table),
            data => Err(Box::new(Self { data, ..self })),
        }
    }
}

fn has_any<V: Value>(table: &Table) -> bool {
    let says = |owner| V::of_owner(owner) != V::NONE;
    table.ranges_v4().any(|(_, owner)| says(owner))
        || table.ranges_v6().any(|(_, owner)| says(owner))
}

fn count<V: Value>(table: &Table) -> usize {
    let says = |owner| V::of_owner(owner) != V::NONE;
    table.ranges_v4().filter(|(_, owner)| says(*owner)).count()
        + table.ranges_v6().filter(|(_, owner)| says(*owner)).count()
}

/// Reads a whole file and says what it holds.
///
/// # Errors
/// The reasons of [`InputError`], without the file's name, which the caller knows. Memory stays
/// within a few times the length of the file, and time grows with it.
pub fn read(from: impl Read) -> Result<Content, InputError> {
    let bytes = read_within(from, FILE_LEN_MAX)?;
    if bytes.is_empty() {
        return Err(InputError::Empty);
    }
    if bytes.starts_with(&MAGIC) {
        let table = Table::open(bytes).map_err(InputError::Table)?;
        let day = table.header().date.as_deref().and_then(Day::parse);
        let (format, notes) = ("table made by fluxtap".to_owned(), Notes::default());
        return Ok(Content { format, day, notes, data: Data::Table(table) });
    }
    if let Some((kind, tool)) = packed(&bytes) {
        return Err(InputError::Packed { kind, tool });
    }
    let mut content =
        if mmdb::is_mmdb(&bytes) { mmdb::read(&bytes)? } else { lines::read(&bytes)? };
    if let Data::Rows(facts) = &mut content.data {
        if let Some(asns) = &mut facts.asns {
            content.notes.overlaps.append(asns.take_apart());
        }
        if let Some(countries) = &mut facts.countries {
            content.notes.overlaps.append(countries.take_apart());
        }
    }
    Ok(content)
}

fn read_within(from: impl Read, len_max: u64) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    from.take(len_max + 1).read_to_end(&mut bytes).map_err(InputError::Io)?;
    if bytes.len() as u64 > len_max { Err(InputError::TooLong) } else { Ok(bytes) }
}

/// What a packed file is, and what unpacks it; `None` if it does not begin as one.
#[must_use]
pub fn packed(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let found = PACKED.iter().find(|(start, ..)| bytes.starts_with(start));
    found.map(|&(_, kind, tool)| (kind, tool))
}

/// Starts of packed files, what they are, and what unpacks them.
const PACKED: [(&[u8], &str, &str); 6] = [
    (b"\x1f\x8b", "gzip data", "gzip -d"),
    (b"\x28\xb5\x2f\xfd", "zstd data", "zstd -d"),
    (b"\xfd7zXZ\0", "xz data", "xz -d"),
    (b"\x04\x22\x4d\x18", "lz4 data", "lz4 -d"),
    (b"BZh", "bzip2 data", "bzip2 -d"),
    (b"PK\x03\x04", "a zip archive", "unzip"),
];

/// Why a file was refused.
#[derive(Debug)]
pub enum InputError {
    /// Reading failed.
    Io(io::Error),
    /// More than [`FILE_LEN_MAX`] bytes.
    TooLong,
    /// No bytes at all.
    Empty,
    /// A packed file.
    Packed {
        /// What it is.
        kind: &'static str,
        /// What unpacks it.
        tool: &'static str,
    },
    /// Bytes that are no text, and none of the known formats.
    Binary,
    /// A table that does not keep its layout.
    Table(TableError),
    /// A MaxMind DB that cannot be read.
    Mmdb(String),
    /// A MaxMind DB whose records have neither an ASN nor a country in a known field.
    MmdbFields {
        /// The type it gives itself.
        database_type: String,
    },
    /// Lines that cannot be told apart into columns.
    Columns(String),
    /// Lines that say something impossible.
    Lines {
        /// The first of them.
        first: Vec<Mistake>,
        /// How many there are.
        count: u64,
    },
    /// A file without a single range.
    NoRows,
    /// More than [`ROWS_MAX`] ranges.
    TooManyRows,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EXPECTED: &str = "expected a MaxMind DB, a table made by `fluxtap intel build`, or lines such as \
             '1.0.0.0,1.0.0.255,13335,Cloudflare' or '1.0.0.0/24,AU'";
        match self {
            Self::Io(error) => write!(f, "cannot read it: {error}"),
            Self::TooLong => write!(
                f,
                "got more than {} MiB, expected at most that: check that it is the right file",
                FILE_LEN_MAX >> 20
            ),
            Self::Empty => write!(f, "got 0 bytes, {EXPECTED}; download it again"),
            Self::Packed { kind, tool } => {
                write!(f, "got {kind}, {EXPECTED}; unpack it first (`{tool}`)")
            }
            Self::Binary => write!(
                f,
                "got binary data without the end mark of a MaxMind DB, {EXPECTED}; if it is one, \
                 it is cut off: download it again"
            ),
            Self::Table(error) => write!(f, "{error}"),
            Self::Mmdb(reason) => write!(
                f,
                "got a MaxMind DB that is damaged or cut off ({reason}), expected a sound one; \
                 download it again"
            ),
            Self::MmdbFields { database_type } => write!(
                f,
                "got a MaxMind DB of type '{database_type}' without a known field, expected \
                 'autonomous_system_number', 'asn', 'country.iso_code' or 'country_code' in its \
                 records; use an ASN or country database"
            ),
            Self::Columns(reason) => f.write_str(reason),
            Self::Lines { first, count } => {
                for (place, mistake) in first.iter().enumerate() {
                    write!(f, "{}{mistake}", if place == 0 { "" } else { "; " })?;
                }
                match count - first.len() as u64 {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }?;
                f.write_str("; correct or download the file again, nothing of it was used")
            }
            Self::NoRows => write!(f, "got no line with a range, {EXPECTED}"),
            Self::TooManyRows => write!(
                f,
                "got more than {ROWS_MAX} ranges, expected at most that: use a database of \
                 autonomous systems or countries, not of cities"
            ),
        }
    }
}

impl std::error::Error for InputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Table(error) => Some(error),
            _ => None,
        }
    }
}

/// What was left out of a file or changed, by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Rows with an ASN nobody can hold; their addresses have no owner.
    pub reserved: u64,
    /// IPv6 rows cut to the /64 they cover whole.
    pub trimmed: u64,
    /// IPv6 rows that cover no whole /64.
    pub below_64: u64,
    /// Rows that name an ASN otherwise than the first did.
    pub renamed: u64,
    /// Rows that overlap others.
    pub overlaps: Overlaps,
}

impl fmt::Display for Notes {
    /// The notes that are not zero, separated by semicolons; nothing when all are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = [
            (self.reserved, "with an ASN nobody can hold (left out)"),
            (self.trimmed, "trimmed to whole /64"),
            (self.below_64, "that cover no whole /64 (left out)"),
            (self.renamed, "with another name for an ASN (the first counts)"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", rows(*count)))
        .collect();
        if self.overlaps.rows > 0 {
            let lines = self.overlaps.lines.iter().filter(|(line, _)| *line > 0);
            let lines: Vec<String> =
                lines.map(|(line, over)| format!("line {line} over line {over}")).collect();
            let lines =
                if lines.is_empty() { String::new() } else { format!(": {}", lines.join(", ")) };
            let rows = rows(self.overlaps.rows);
            parts.push(format!("{rows} overlapping others (the narrowest counts){lines}"));
        }
        f.write_str(&parts.join("; "))
    }
}

fn rows(count: u64) -> String {
    format!("{count} {}", if count == 1 { "row" } else { "rows" })
}

/// Takes rows in and keeps count, within the limit.
struct Taker {
    asns: Rows<u32>,
    countries: Rows<Country>,
    names: Names,
    notes: Notes,
}

impl Taker {
    fn new() -> Self {
        let (asns, countries) = (Rows::empty(), Rows::empty());
        Self { asns, countries, names: Names::new(), notes: Notes::default() }
    }

    /// Takes what is known of a span; unknown is `NONE`.
    fn take(
        &mut self,
        span: row::Span,
        line: u32,
        asn: u32,
        country: Country,
    ) -> Result<(), InputError> {
        let (family, keys, is_trimmed) = span.keys();
        let Some((first, last)) = keys else {
            self.notes.below_64 += 1;
            return Ok(());
        };
        self.notes.trimmed += u64::from(is_trimmed);
        if is_reserved(asn) {
            self.notes.reserved += 1;
        } else if asn != 0 {
            self.asns.push(family, row::Row { first, last, value: asn, line });
        }
        if country != Country::UNKNOWN {
            self.countries.push(family, row::Row { first, last, value: country, line });
        }
        if self.asns.len() > ROWS_MAX || self.countries.len() > ROWS_MAX {
            return Err(InputError::TooManyRows);
        }
        Ok(())
    }

    fn name(&mut self, asn: u32, name: &str) {
        if asn != 0 && !is_reserved(asn) {
            self.notes.renamed += u64::from(!names::add(&mut self.names, asn, name));
        }
    }
}

/// ASNs that nobody can hold: they appear in the data by leaks and mistakes. Zero is none at all,
/// which many files write for addresses that nobody announces.
const fn is_reserved(asn: u32) -> bool {
    matches!(
        asn,
        23_456                           // RFC 6793: AS_TRANS
        | 64_496..=64_511                // RFC 5398: documentation
        | 64_512..=65_534                // RFC 6996: private use
        | 65_535                         // RFC 7300
        | 65_536..=65_551                // RFC 5398: documentation
        | 4_200_000_000..=u32::MAX       // RFC 6996 and RFC 7300
    )
}

/// The ASN of `13335` or `AS13335`; `None` for anything else.
fn asn_of(text: &str) -> Option<u32> {
    let digits = match text.get(..2) {
        Some(start) if start.eq_ignore_ascii_case("as") => &text[2..],
        _ => text,
    };
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The country of a field: two letters, or one of the ways to say that there is none. Letter and
/// digit (`A1`, `T1`) stand for proxies and the like, which are in no country.
fn country_of(text: &str) -> Option<Country> {
    match *text.as_bytes() {
        [] | [b'-'] | [b'Z', b'Z'] => Some(Country::UNKNOWN),
        [b'A'..=b'Z', b'0'..=b'9'] => Some(Country::UNKNOWN),
        [a, b] => Country::from_code([a.to_ascii_uppercase(), b.to_ascii_uppercase()]),
        _ => text.eq_ignore_ascii_case("none").then_some(Country::UNKNOWN),
    }
}

#[cfg(test)]
mod tests;
