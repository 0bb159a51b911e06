//! Lists with fields: which column has the indicators, and which says until when they hold.

use crate::lines::{is_comment, numbered};
use crate::sink::{Sink, Why};
use crate::{ListError, time};
use fluxtap_intel::Indicator;

/// Names of columns that have indicators, the surest first.
const COLUMNS: [&str; 23] = [
    "indicator",
    "ioc",
    "ioc_value",
    "value",
    "domain",
    "domain_name",
    "fqdn",
    "hostname",
    "host",
    "url",
    "ip",
    "ip_address",
    "ipaddress",
    "dst_ip",
    "address",
    "ipv4",
    "ipv6",
    "network",
    "cidr",
    "prefix",
    "asn",
    "as_number",
    "as",
];

/// Names of columns that say until when an entry holds.
const ENDS: [&str; 6] =
    ["expires", "expiry", "expiration", "valid_until", "expires_at", "expiration_date"];

const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Whether the first line that is no comment, or the last comment before it, names columns.
pub(crate) fn has_header(bytes: &[u8]) -> bool {
    header(bytes, None).is_some_and(|header| header.value.is_some())
}

/// What the line that names columns says.
struct Header {
    separator: u8,
    /// The column with the indicators, and its name.
    value: Option<(usize, String)>,
    end: Option<usize>,
    /// The line it stands on, from 1.
    line: usize,
}

fn header(bytes: &[u8], column: Option<&str>) -> Option<Header> {
    let mut found = None;
    for (number, line) in numbered(bytes) {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        let header = header_of(line.trim_start_matches('#'), number, column);
        if !is_comment(line) {
            // A comment may name columns, or only look as if it did.
            let found = found.filter(|h: &Header| line.contains(char::from(h.separator)));
            let without =
                Header { separator: separator_of(line)?, value: None, end: None, line: 0 };
            return header.filter(|h| h.value.is_some()).or(found).or(Some(without));
        }
        found = header.filter(|h| h.value.is_some()).or(found);
    }
    None
}

fn separator_of(line: &str) -> Option<u8> {
    let count = |separator: &u8| line.bytes().filter(|byte| byte == separator).count();
    SEPARATORS.into_iter().max_by_key(|s| (count(s), u8::MAX - s)).filter(|s| count(s) > 0)
}

fn header_of(line: &str, number: usize, column: Option<&str>) -> Option<Header> {
    let separator = separator_of(line)?;
    let names: Vec<String> = line.split(char::from(separator)).map(name_of).collect();
    let position = |name: &str| names.iter().position(|n| n == name);
    let value = match column {
        Some(column) => position(&name_of(column)),
        None => COLUMNS.iter().find_map(|name| position(name)),
    };
    let end = ENDS.iter().find_map(|name| position(name));
    Some(Header { separator, value: value.map(|at| (at, names[at].clone())), end, line: number })
}

/// A column's name as it is compared.
fn name_of(field: &str) -> String {
    unquoted(field).to_ascii_lowercase().replace([' ', '-'], "_")
}

/// A field without blanks and quotes around it; some write a blank before the quote, where the quote
/// is none for CSV.
fn unquoted(field: &str) -> &str {
    field.trim().trim_matches('"').trim()
}

/// Reads the rows. Without names the first field of each that is an indicator counts.
pub(crate) fn read(
    bytes: &[u8],
    column: Option<&str>,
    sink: &mut Sink<'_>,
) -> Result<(), ListError> {
    let broken = |text: String| ListError::Broken { format: "CSV", text };
    let header =
        header(bytes, column).ok_or_else(|| broken("there is no line with fields".to_owned()))?;
    if let (Some(column), None) = (column, &header.value) {
        return Err(broken(format!("no line names a column '{column}'")));
    }
    for (_, line) in numbered(bytes).take_while(|(number, _)| *number <= header.line) {
        sink.made(line.filter(|line| is_comment(line)).and_then(time::of_comment));
    }
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(header.separator)
        .comment(Some(b'#'))
        .from_reader(bytes);
    let mut row = ::csv::ByteRecord::new();
    while reader.read_byte_record(&mut row).map_err(|error| broken(error.to_string()))? {
        let line = row.position().map_or(0, |position| position.line() as usize);
        if line == header.line {
            continue;
        }
        take(&row, &header, line, sink)?;
    }
    Ok(())
}

fn take(
    row: &::csv::ByteRecord,
    header: &Header,
    line: usize,
    sink: &mut Sink<'_>,
) -> Result<(), ListError> {
    let place = format_args!("line {line}");
    let field = |at: usize| std::str::from_utf8(row.get(at).unwrap_or_default()).map(unquoted);
    let until_s = header.end.and_then(|at| field(at).ok()).and_then(time::end);
    let Some((at, name)) = &header.value else {
        let fields = || (0..row.len()).filter_map(|at| field(at).ok());
        let read = fields().map(Indicator::parse).find(Result::is_ok);
        let none = Err(fluxtap_intel::Unusable::NoIndicator);
        return sink.take(
            read.unwrap_or(none),
            until_s,
            place,
            fields().next().unwrap_or_default(),
        );
    };
    match field(*at) {
        Ok(text) => {
            let is_asn = ["asn", "as_number", "as"].contains(&name.as_str());
            let read = if is_asn { Indicator::asn(text) } else { Indicator::parse(text) };
            sink.take(read, until_s, place, text)
        }
        Err(_) => {
            sink.skip(Why::NoText, place, "");
            Ok(())
        }
    }
}
