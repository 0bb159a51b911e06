//! Ranges as lines of text: CSV and TSV in the layouts that are in use.
//!
//! Delimiter and columns are recognised by content. With a line of column names those count;
//! without one, the first column is a network, or the first two are the ends of a range, and the
//! others are told apart by what stands in them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use csv::{ByteRecord, ReaderBuilder, Trim};
use fluxtap_intel::{Country, Day};

use crate::row::Span;
use crate::{Content, Data, Facts, InputError, Taker, asn_of, country_of};

/// Lines that are looked at to tell columns apart.
const SAMPLE_ROWS: usize = 500;

/// Mistakes that are named one by one.
const MISTAKES_NAMED: usize = 5;

/// Most characters of a field that a message repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// A line that says something impossible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Number of the line, from 1.
    pub line: u32,
    /// What was got and what was expected. It repeats parts of the file, so escape it.
    pub reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Reads all lines.
pub(crate) fn read(bytes: &[u8]) -> Result<Content, InputError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if is_binary(bytes) {
        return Err(InputError::Binary);
    }
    let (first_line, day) = head(bytes);
    let delimiter = delimiter(first_line)?;
    let columns = columns(bytes, delimiter)?;
    let mut taker = Taker::new();
    let mut mistakes = Mistakes::default();
    let mut is_head = columns.is_named;
    let mut records = reader(bytes, delimiter);
    let mut record = ByteRecord::new();
    let mut rows = 0_u64;
    // Reading bytes from memory without a fixed number of columns fails for no input.
    while records.read_byte_record(&mut record).unwrap_or(false) {
        if std::mem::take(&mut is_head) {
            continue;
        }
        if record.len() == 1 && record[0].is_empty() {
            continue;
        }
        rows += 1;
        let line = line_of(bytes, &record);
        match columns.row(&record) {
            Ok(row) => {
                taker.take(row.span, line, row.asn, row.country)?;
                taker.name(row.asn, &row.name);
            }
            Err(reason) => mistakes.add(line, reason),
        }
    }
    if mistakes.count > 0 {
        return Err(InputError::Lines { first: mistakes.first, count: mistakes.count });
    }
    if rows == 0 {
        return Err(InputError::NoRows);
    }
    let facts = Facts {
        asns: columns.asn.map(|_| taker.asns),
        countries: columns.country.map(|_| taker.countries),
        names: taker.names,
    };
    let kind = match delimiter {
        b'\t' => "tab",
        b';' => "semicolon",
        b'|' => "bar",
        _ => "comma",
    };
    let format = format!("{kind}-separated lines");
    Ok(Content { format, day, notes: taker.notes, data: Data::Rows(facts) })
}

#[derive(Default)]
struct Mistakes {
    first: Vec<Mistake>,
    count: u64,
}

impl Mistakes {
    fn add(&mut self, line: u32, reason: String) {
        self.count += 1;
        if self.first.len() < MISTAKES_NAMED {
            self.first.push(Mistake { line, reason });
        }
    }
}

/// Text has no zero bytes and does not begin with a mark of UTF-16.
fn is_binary(bytes: &[u8]) -> bool {
    bytes.contains(&0) || bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// The first line that is no comment, and the day that a comment before it tells
/// (`# date: 2026-06-17`).
fn head(bytes: &[u8]) -> (&[u8], Option<Day>) {
    let mut day = None;
    for line in bytes.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        if let Some(comment) = line.strip_prefix(b"#") {
            let text = comment.trim_ascii().strip_prefix(b"date:").map(<[u8]>::trim_ascii);
            let text = text.and_then(|text| std::str::from_utf8(text).ok());
            day = day.or_else(|| text.and_then(Day::parse));
        } else if !line.is_empty() {
            return (line, day);
        }
    }
    (b"", day)
}

/// The first of the usual delimiters: what stands in a first column has none of them.
fn delimiter(first_line: &[u8]) -> Result<u8, InputError> {
    if first_line.is_empty() {
        return Err(InputError::NoRows);
    }
    let found = first_line.iter().find(|byte| b"\t,;|".contains(byte));
    found.copied().ok_or_else(|| {
        InputError::Columns(format!(
            "first line: got '{}' without tab, comma, semicolon or bar, expected columns, such as \
             '1.0.0.0/24,13335'; check that it is the right file",
            shown(&String::from_utf8_lossy(first_line))
        ))
    })
}

fn reader(bytes: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .comment(Some(b'#'))
        // Files with tabs do not quote: a quotation mark in a name is one.
        .quoting(delimiter != b'\t')
        .trim(Trim::All)
        .from_reader(bytes)
}

/// Number of a record's line. The reader knows where it began to look for it, which may be some
/// comments and empty lines earlier.
fn line_of(bytes: &[u8], record: &ByteRecord) -> u32 {
    let Some(at) = record.position() else { return 0 };
    let mut rest = bytes.get(at.byte() as usize..).unwrap_or_default();
    let mut line = at.line();
    while let Some(b'#' | b'\n' | b'\r') = rest.first() {
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { break };
        rest = &rest[end + 1..];
        line += 1;
    }
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// Which column holds what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Columns {
    range: RangeColumns,
    asn: Option<usize>,
    name: Option<usize>,
    country: Option<usize>,
    /// The first line has the names of the columns.
    is_named: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeColumns {
    Network(usize),
    Ends(usize, usize),
}

/// A line, understood.
struct Row<'a> {
    span: Span,
    asn: u32,
    country: Country,
    name: std::borrow::Cow<'a, str>,
}

fn columns(bytes: &[u8], delimiter: u8) -> Result<Columns, InputError> {
    let mut records = reader(bytes, delimiter).into_byte_records();
    let sample: Vec<ByteRecord> =
        records.by_ref().take(SAMPLE_ROWS).filter_map(Result::ok).collect();
    let Some(first) = sample.first() else { return Err(InputError::NoRows) };
    let field = |record: &ByteRecord, at| text(record, at).into_owned();
    let is_address = |text: &str| address(text).is_some() || network(text).is_some();
    let columns = if is_address(&field(first, 0)) {
        Columns::by_content(&sample)
    } else {
        let names: Vec<String> = (0..first.len()).map(|at| field(first, at)).collect();
        Columns::by_names(&names).ok_or_else(|| {
            InputError::Columns(format!(
                "line {}: got '{}', expected an address or the names of columns, such as 'network' \
                 or 'start_ip' and 'end_ip'; rename them or check that it is the right file",
                line_of(bytes, first),
                shown(&names.join(","))
            ))
        })?
    };
    if columns.asn.is_none() && columns.country.is_none() {
        return Err(InputError::Columns(format!(
            "line {}: got {} columns of which none has autonomous system numbers or countries, \
             expected a column such as 'asn' or 'country_code' (geoname ids alone do not tell the \
             country)",
            line_of(bytes, first),
            first.len()
        )));
    }
    Ok(columns)
}

impl Columns {
    /// By the names in the first line, as the common files have them.
    fn by_names(names: &[String]) -> Option<Self> {
        let names: Vec<String> = names
            .iter()
            .map(|name| name.trim_matches('"').to_ascii_lowercase().replace([' ', '-'], "_"))
            .collect();
        let find = |known: &[&str]| {
            known.iter().find_map(|known| names.iter().position(|name| name == known))
        };
        let first =
            find(&["start_ip", "ip_range_start", "range_start", "start", "first", "ip_from"]);
        let last = find(&["end_ip", "ip_range_end", "range_end", "end", "last", "ip_to"]);
        let range = match (find(&["network", "cidr", "prefix", "range"]), first, last) {
            (Some(network), ..) => RangeColumns::Network(network),
            (None, Some(first), Some(last)) => RangeColumns::Ends(first, last),
            _ => return None,
        };
        Some(Self {
            range,
            asn: find(&["autonomous_system_number", "as_number", "asn", "as"]),
            name: find(&[
                "autonomous_system_organization",
                "as_organization",
                "as_name",
                "as_description",
                "organization",
                "org",
                "name",
                "description",
            ]),
            // `country` may hold a name where there is a code beside it.
            country: find(&["country_code", "country_iso_code", "iso_code", "cc", "country"]),
            is_named: true,
        })
    }

    /// By what stands in the columns behind the range.
    fn by_content(sample: &[ByteRecord]) -> Self {
        let is_network = network(&text(&sample[0], 0)).is_some();
        let range = if is_network { RangeColumns::Network(0) } else { RangeColumns::Ends(0, 1) };
        let from = if is_network { 1 } else { 2 };
        let to = sample.iter().map(ByteRecord::len).max().unwrap_or(0);
        let all = |at: usize, holds: &dyn Fn(&str) -> bool| {
            sample.iter().filter(|r| at < r.len()).all(|record| holds(&text(record, at)))
        };
        let says = |at: usize| {
            sample.iter().any(|r| country_of(&text(r, at)).is_some_and(|c| c != Country::UNKNOWN))
        };
        let asn = (from..to).find(|&at| all(at, &|text| asn_of(text).is_some()));
        let is_country = |at: usize| all(at, &|text| country_of(text).is_some()) && says(at);
        // The last one: files of cities have the continent, two letters as well, before it.
        let country = (from..to).rfind(|&at| Some(at) != asn && is_country(at));
        let name = (from..to).find(|&at| asn.is_some_and(|asn| asn < at) && Some(at) != country);
        Self { range, asn, name, country, is_named: false }
    }

    fn row<'a>(&self, record: &'a ByteRecord) -> Result<Row<'a>, String> {
        let ends = match self.range {
            RangeColumns::Network(at) => at,
            RangeColumns::Ends(first, last) => first.max(last),
        };
        let needed = [Some(ends), self.asn, self.country, self.name].into_iter().flatten().max();
        let needed = needed.map_or(0, |last| last + 1);
        if record.as_slice().contains(&b'\n') {
            return Err("got a quotation mark that is not closed, expected one at the end of its \
                        field; all lines behind it are in that field"
                .to_owned());
        }
        if record.len() < needed {
            return Err(format!(
                "got {} columns, expected at least {needed}; the file may be cut off here",
                record.len()
            ));
        }
        let span = match self.range {
            RangeColumns::Network(at) => span_of_network(&text(record, at))?,
            RangeColumns::Ends(a, b) => span_of_ends(&text(record, a), &text(record, b))?,
        };
        let mut row = Row {
            span,
            asn: 0,
            country: Country::UNKNOWN,
            name: self.name.map_or_else(Default::default, |at| text(record, at)),
        };
        if let Some(at) = self.asn {
            let field = text(record, at);
            row.asn = if field.is_empty() || field == "-" { Some(0) } else { asn_of(&field) }
                .ok_or_else(|| {
                    format!(
                        "got the ASN '{}', expected a number up to {} such as 13335 or AS13335",
                        shown(&field),
                        u32::MAX
                    )
                })?;
        }
        if let Some(at) = self.country {
            let field = text(record, at);
            row.country = country_of(&field).ok_or_else(|| {
                format!("got the country '{}', expected two letters such as AU", shown(&field))
            })?;
        }
        Ok(row)
    }
}

fn text(record: &ByteRecord, at: usize) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(record.get(at).unwrap_or_default())
}

/// An address, also as a number: IPv4 up to 32 bits, IPv6 beyond.
fn address(text: &str) -> Option<IpAddr> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let number: u128 = text.parse().ok()?;
    Some(match u32::try_from(number) {
        Ok(number) => Ipv4Addr::from_bits(number).into(),
        Err(_) => Ipv6Addr::from_bits(number).into(),
    })
}

/// A network written with its prefix length.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (ip, len) = text.split_once('/')?;
    let is_number = (1..=3).contains(&len.len()) && len.bytes().all(|b| b.is_ascii_digit());
    Some((ip.parse().ok()?, len.parse().ok().filter(|_| is_number)?))
}

fn span_of_network(text: &str) -> Result<Span, String> {
    let single = || {
        let ip: IpAddr = text.parse().ok()?;
        Some((ip, if ip.is_ipv4() { 32 } else { 128 }))
    };
    let found = network(text).or_else(single);
    let span = found.and_then(|(ip, prefix_len)| Span::of_network(ip, prefix_len));
    span.ok_or_else(|| {
        format!(
            "got the network '{}', expected one such as 1.0.0.0/24, without bits below its prefix",
            shown(text)
        )
    })
}

fn span_of_ends(first: &str, last: &str) -> Result<Span, String> {
    let wrong = |text: &str| format!("got '{}', expected an address such as 1.0.0.0", shown(text));
    let from = address(first).ok_or_else(|| wrong(first))?;
    let to = address(last).ok_or_else(|| wrong(last))?;
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) if from <= to => Ok(Span::V4(from, to)),
        (IpAddr::V6(from), IpAddr::V6(to)) if from <= to => Ok(Span::V6(from, to)),
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
            Err(format!("got a range down from {from} to {to}, expected its lowest address first"))
        }
        _ => Err(format!("got a range from {from} to {to}, expected both of one family")),
    }
}

/// A field as a message shows it: not without end.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_recognised() {
        let ends = RangeColumns::Ends(0, 1);
        let network = RangeColumns::Network(0);
        let some = Some;
        for (what, text, delimiter, expect) in [
            (
                "ip-location-db asn, DB-IP ASN Lite",
                "1.0.0.0,1.0.0.255,13335,\"Cloudflare, Inc.\"",
                b',',
                (ends, some(2), some(3), None, false),
            ),
            (
                "ip-location-db country, DB-IP Country Lite",
                "1.0.0.0,1.0.0.255,AU",
                b',',
                (ends, None, None, some(2), false),
            ),
            (
                "the same in numbers",
                "16777216,16777471,AU",
                b',',
                (ends, None, None, some(2), false),
            ),
            (
                "iptoasn",
                "1.0.1.0\t1.0.3.255\t0\tNone\tNot routed\n1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET",
                b'\t',
                (ends, some(2), some(4), some(3), false),
            ),
            (
                "DB-IP City Lite",
                "1.0.0.0,1.0.0.255,OC,AU,Queensland,Brisbane,-27.4748,153.017",
                b',',
                (ends, None, None, some(3), false),
            ),
            (
                "one's own networks",
                "1.0.0.0/24;AS13335",
                b';',
                (network, some(1), None, None, false),
            ),
            ("one's own countries", "1.0.0.0/24|au", b'|', (network, None, None, some(1), false)),
            (
                "GeoLite2 ASN",
                "network,autonomous_system_number,autonomous_system_organization\n1.0.0.0/24,13335,X",
                b',',
                (network, some(1), some(2), None, true),
            ),
            (
                "IPinfo Lite",
                "network,country,country_code,continent,continent_code,asn,as_name,as_domain\n1.0.0.0/24,Australia,AU,Oceania,OC,AS13335,\"Cloudflare, Inc.\",cloudflare.com",
                b',',
                (network, some(5), some(6), some(2), true),
            ),
            (
                "IPinfo country ASN",
                "start_ip,end_ip,country,country_name,continent,continent_name,asn,as_name,as_domain\n",
                b',',
                (RangeColumns::Ends(0, 1), some(6), some(7), some(2), true),
            ),
        ] {
            let (first, _) = head(text.as_bytes());
            assert_eq!(super::delimiter(first).ok(), Some(delimiter), "{what}");
            let columns = columns(text.as_bytes(), delimiter).expect(what);
            let (range, asn, name, country, is_named) = expect;
            assert_eq!(columns, Columns { range, asn, name, country, is_named }, "{what}");
        }
    }

    #[test]
    fn addresses_are_read_as_text_and_as_numbers() {
        for (text, expect) in [
            ("1.2.3.4", Some("1.2.3.4")),
            ("16777216", Some("1.0.0.0")),
            ("4294967295", Some("255.255.255.255")),
            ("42540528726795050063891204319802818560", Some("2001:200::")),
            ("2001:200::", Some("2001:200::")),
            ("", None),
            ("1.2.3", None),
            ("340282366920938463463374607431768211456", None),
        ] {
            assert_eq!(address(text), expect.map(|ip| ip.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn a_comment_may_tell_the_day() {
        let day = |text: &str| head(text.as_bytes()).1;
        assert_eq!(day("# mine\n\n# date: 2026-06-17\n1.0.0.0/8,1\n"), Day::parse("2026-06-17"));
        assert_eq!(day("# date: yesterday\n1.0.0.0/8,1\n"), None);
        assert_eq!(day("1.0.0.0/8,1\n# date: 2026-06-17\n"), None);
    }
}
