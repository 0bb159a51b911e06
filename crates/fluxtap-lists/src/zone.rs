//! Response policy zones (draft-vixie-dnsop-dns-rpz) in the form of master files (RFC 1035 section
//! 5): what a resolver is to block, by name asked, address answered, or name server.

use crate::sink::{Sink, Why};
use crate::{ListError, time};
use fluxtap_intel::{Indicator, Scope, Unusable};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Types of records that are no policy: those of the zone itself, and of its signatures.
const NO_POLICY: [&str; 8] =
    ["SOA", "NS", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "ZONEMD"];

/// Classes of records.
const CLASSES: [&str; 3] = ["IN", "CH", "HS"];

/// Reads a zone.
pub(crate) fn read(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), ListError> {
    let mut zone = Zone::default();
    for entry in (Entries { rest: bytes, line: 0 }) {
        zone.take(&entry, sink)?;
    }
    Ok(())
}

/// What holds for the entries that follow.
#[derive(Default)]
struct Zone {
    /// The origin without its final dot, lower case; empty where nobody said it.
    origin: String,
    /// The zone's own name likewise.
    apex: Option<String>,
    owner: String,
}

impl Zone {
    fn take(&mut self, entry: &Entry<'_>, sink: &mut Sink<'_>) -> Result<(), ListError> {
        let mut words = entry.words.iter().copied();
        if !entry.is_continued {
            let Some(first) = words.next() else { return Ok(()) };
            match first.to_ascii_uppercase().as_str() {
                "$ORIGIN" => {
                    let name = words.next().unwrap_or_default().to_ascii_lowercase();
                    self.origin = self.absolute(&name);
                    return Ok(());
                }
                "$TTL" => return Ok(()),
                control if control.starts_with('$') => {
                    sink.skip(Why::OtherFact, format_args!("line {}", entry.line), first);
                    return Ok(());
                }
                _ => self.owner = self.absolute(&first.to_ascii_lowercase()),
            }
        }
        let is_prefix = |word: &&str| {
            let begins_with_digit = word.starts_with(|c: char| c.is_ascii_digit());
            begins_with_digit || CLASSES.iter().any(|class| word.eq_ignore_ascii_case(class))
        };
        let mut words = words.skip_while(is_prefix);
        let kind = words.next().unwrap_or_default().to_ascii_uppercase();
        if kind == "SOA" {
            // Name server, mailbox, serial.
            sink.made(words.nth(2).and_then(time::of_serial));
            self.apex.get_or_insert_with(|| self.owner.clone());
        }
        if NO_POLICY.contains(&kind.as_str()) {
            return Ok(());
        }
        self.policy(&kind, words.next().unwrap_or_default(), entry.line, sink)
    }

    fn policy(
        &self,
        kind: &str,
        target: &str,
        line: usize,
        sink: &mut Sink<'_>,
    ) -> Result<(), ListError> {
        let place = format_args!("line {line}");
        let is_type = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_type {
            return sink.take(Err(Unusable::NoIndicator), None, place, &self.owner);
        }
        let target = target.to_ascii_lowercase();
        let is_exception = target.starts_with("rpz-passthru") || target == self.owner;
        if kind == "CNAME" && is_exception {
            sink.skip(Why::NotMeant, place, &self.owner);
            return Ok(());
        }
        let apex = self.apex.as_deref().unwrap_or(&self.origin);
        let below = |name: &str| name.strip_suffix(apex)?.strip_suffix('.').map(str::to_owned);
        let trigger = if apex.is_empty() { Some(self.owner.clone()) } else { below(&self.owner) };
        let Some(trigger) = trigger else {
            // The apex itself has records of the zone, and no policy.
            if self.owner != apex {
                sink.skip(Why::OtherFact, place, &self.owner);
            }
            return Ok(());
        };
        match read_trigger(&trigger) {
            Some(read) => sink.take(read, None, place, &trigger),
            None => {
                sink.skip(Why::OtherFact, place, &trigger);
                Ok(())
            }
        }
    }

    /// A name of the file as a whole one, without its final dot.
    fn absolute(&self, name: &str) -> String {
        match name.strip_suffix('.') {
            Some(absolute) => absolute.to_owned(),
            None if name == "@" => self.origin.clone(),
            None if self.origin.is_empty() => name.to_owned(),
            None => format!("{name}.{}", self.origin),
        }
    }
}

/// What an owner below the apex stands for; `None` for what is known here of nobody, the client.
fn read_trigger(trigger: &str) -> Option<Result<Indicator, Unusable>> {
    let (rest, last) = trigger.rsplit_once('.').unwrap_or(("", trigger));
    Some(match last {
        "rpz-client-ip" => return None,
        "rpz-ip" | "rpz-nsip" => network(rest).unwrap_or(Err(Unusable::NoIndicator)),
        "rpz-nsdname" => Indicator::name(rest, Scope::Exact),
        _ => Indicator::name(trigger, Scope::Exact),
    })
}

/// `24.0.100.51.198` is 198.51.100.0/24, `48.zz.1.db8.2001` is 2001:db8:1::/48.
fn network(text: &str) -> Option<Result<Indicator, Unusable>> {
    let mut parts: Vec<&str> = text.split('.').collect();
    let bits = parts.remove(0).parse().ok()?;
    parts.reverse();
    let ip: IpAddr = if parts.len() == 4 && parts.iter().all(|part| part.parse::<u8>().is_ok()) {
        parts.join(".").parse::<Ipv4Addr>().ok()?.into()
    } else {
        let text = match parts.iter().position(|part| *part == "zz") {
            Some(at) => format!("{}::{}", parts[..at].join(":"), parts[at + 1..].join(":")),
            None => parts.join(":"),
        };
        text.parse::<Ipv6Addr>().ok()?.into()
    };
    Some(Indicator::network(ip, bits))
}

/// One entry of a master file, which brackets may spread over lines.
struct Entry<'a> {
    line: usize,
    /// It begins with a blank, so it is of the owner before.
    is_continued: bool,
    words: Vec<&'a str>,
}

/// Most words that are kept of an entry; no field that matters is behind them.
const WORDS_MAX: usize = 16;

struct Entries<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let mut entry = Entry { line: self.line + 1, is_continued: false, words: Vec::new() };
            let mut depth = 0_usize;
            let mut is_first = true;
            loop {
                let Some(line) = self.next_line() else {
                    return (!entry.words.is_empty()).then_some(entry);
                };
                // Names that are no text are no host names either.
                let line = std::str::from_utf8(line).unwrap_or("\u{fffd}");
                entry.is_continued |= is_first && line.starts_with([' ', '\t']);
                is_first = false;
                words(line, &mut depth, &mut entry.words);
                if depth == 0 {
                    break;
                }
            }
            if !entry.words.is_empty() {
                return Some(entry);
            }
        }
    }
}

impl<'a> Entries<'a> {
    fn next_line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.get(1..).unwrap_or_default();
        Some(line)
    }
}

/// The words of a line up to its comment, and how many brackets are open behind it. Texts in quotes
/// count as words, whatever is in them.
fn words<'a>(line: &'a str, depth: &mut usize, words: &mut Vec<&'a str>) {
    let mut from = None;
    let mut is_quoted = false;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        let is_end = at == line.len();
        if c == '"' {
            is_quoted = !is_quoted;
        }
        let is_mark = !is_quoted && matches!(c, '(' | ')' | ';');
        if is_mark || is_end || (!is_quoted && c.is_whitespace()) {
            if let Some(from) = from.take()
                && words.len() < WORDS_MAX
            {
                words.push(&line[from..at]);
            }
        } else {
            from.get_or_insert(at);
        }
        match c {
            '(' if is_mark => *depth += 1,
            ')' if is_mark => *depth = depth.saturating_sub(1),
            ';' if is_mark => return,
            _ => {}
        }
    }
}
