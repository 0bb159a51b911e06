//! Lists with an entry a line, hosts files, and how text formats are told apart.

use crate::sink::{Sink, Why};
use crate::{Format, ListError, csv, time};
use fluxtap_intel::{Indicator, Scope};
use std::net::IpAddr;

/// Lines that are looked at to tell what a file is, comments not counted.
const LINES_LOOKED_AT: usize = 20;

/// Lines of the head in which a list may say when it was made.
const HEAD_LINES: usize = 64;

/// Names of the machine itself, which hosts files begin with.
const OWN_NAMES: [&str; 12] = [
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost6",
    "local",
    "broadcasthost",
    "0.0.0.0",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-allnodes",
    "ip6-allrouters",
];

/// The lines with their numbers from 1, as far as they are text.
pub(crate) fn numbered(bytes: &[u8]) -> impl Iterator<Item = (usize, Option<&str>)> {
    let lines = bytes.split(|&byte| byte == b'\n').zip(1..);
    lines.map(|(line, number)| (number, std::str::from_utf8(line).ok().map(str::trim)))
}

/// Whether nothing is in a line but a comment, or nothing at all.
pub(crate) fn is_comment(line: &str) -> bool {
    line.is_empty() || ["#", ";", "//", "!"].iter().any(|mark| line.starts_with(mark))
}

/// What a file is, by what is in it.
pub(crate) fn format_of(bytes: &[u8], column: Option<&str>) -> Format {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'[')) {
        return Format::Stix;
    }
    if column.is_some() || csv::has_header(bytes) {
        return Format::Csv;
    }
    let lines = numbered(bytes).filter_map(|(_, line)| line).filter(|line| !is_comment(line));
    for line in lines.take(LINES_LOOKED_AT) {
        let words: Vec<&str> = line.split_whitespace().take(8).collect();
        let is_zone = |word: &&str| {
            ["$TTL", "$ORIGIN", "SOA", "CNAME"].iter().any(|known| word.eq_ignore_ascii_case(known))
        };
        if words.iter().any(is_zone) {
            return Format::Rpz;
        }
        let is_address = words.first().is_some_and(|word| word.parse::<IpAddr>().is_ok());
        let has_name = words.get(1).is_some_and(|word| {
            OWN_NAMES.contains(word) || Indicator::name(word, Scope::Exact).is_ok()
        });
        if is_address && has_name {
            return Format::Hosts;
        }
    }
    Format::Plain
}

/// One indicator a line, words behind it but `expires=YYYY-MM-DD` being its maker's business.
pub(crate) fn plain(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), ListError> {
    each(bytes, sink, |sink, number, line| {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { return Ok(()) };
        let until_s = words.find_map(|word| word.strip_prefix("expires=").and_then(time::end));
        sink.take(Indicator::parse(first), until_s, format_args!("line {number}"), line)
    })
}

/// An address a line and the names that it is to answer for, which are the entries.
pub(crate) fn hosts(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), ListError> {
    each(bytes, sink, |sink, number, line| {
        let mut words = line.split_whitespace();
        let place = format_args!("line {number}");
        if words.next().is_none_or(|word| word.parse::<IpAddr>().is_err()) {
            return sink.take(Err(fluxtap_intel::Unusable::NoIndicator), None, place, line);
        }
        for name in words.filter(|name| !OWN_NAMES.contains(name)) {
            sink.take(Indicator::name(name, Scope::Exact), None, place, line)?;
        }
        Ok(())
    })
}

/// Hands on each line that is no comment, without the comment behind it.
fn each(
    bytes: &[u8],
    sink: &mut Sink<'_>,
    mut take: impl FnMut(&mut Sink<'_>, usize, &str) -> Result<(), ListError>,
) -> Result<(), ListError> {
    for (number, line) in numbered(bytes) {
        match line {
            None => sink.skip(Why::NoText, format_args!("line {number}"), ""),
            Some(line) if is_comment(line) => {
                if number <= HEAD_LINES {
                    sink.made(time::of_comment(line));
                }
            }
            Some(line) => {
                let marks = [" #", "\t#", " ;", "\t;"].iter().filter_map(|mark| line.find(mark));
                let end = marks.min().unwrap_or(line.len());
                take(sink, number, &line[..end])?;
            }
        }
    }
    Ok(())
}
