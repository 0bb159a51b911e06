//! The text of an allow list to its entries, with everything that is wrong with it.

use super::{
    ALLOW_ENTRIES_MAX, ALLOW_LINE_OCTETS_MAX, AllowEntry, Covers, bits_of, first_bits, mapped,
    mapped_bits,
};
use crate::day::Day;
use crate::labels::wire_form;
use crate::nearest::{did_you_mean, nearest};
use crate::suffix::public_suffix;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Shortest prefixes that are no slip, for IPv4 and IPv6.
pub(crate) const BITS_MIN: [u8; 2] = [8, 16];

/// First words of an entry.
const WHATS: [&str; 4] = ["domain", "address", "network", "asn"];

/// Names of the options.
const OPTIONS: [&str; 3] = ["expires", "kinds", "force"];

/// What is wrong with a line of an allow list: what was got, what was expected, how to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowMistake {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for AllowMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// Reads all lines; the entries, or every mistake.
pub(super) fn entries(text: &str, kinds: &[&str]) -> Result<Vec<AllowEntry>, Vec<AllowMistake>> {
    debug_assert!(kinds.len() <= 8, "a bit for each kind");
    let mut entries: Vec<AllowEntry> = Vec::new();
    let mut mistakes = Vec::new();
    let mut lines_of: BTreeMap<String, usize> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if entries.len() == ALLOW_ENTRIES_MAX {
            let text = format!(
                "got more than {ALLOW_ENTRIES_MAX} entries; allow networks or a domain above them \
                 instead of many single ones"
            );
            mistakes.push(AllowMistake { line: number, text });
            break;
        }
        let mut wrong = Vec::new();
        let entry = entry(line, number, kinds, &mut wrong);
        if let Some(entry) = entry {
            let covers = entry.covers.to_string();
            if let Some(before) = lines_of.insert(covers.clone(), number) {
                wrong.push(format!("got '{covers}' again, which line {before} has; keep one"));
            }
            entries.push(entry);
        }
        mistakes.extend(wrong.into_iter().map(|text| AllowMistake { line: number, text }));
    }
    if mistakes.is_empty() { Ok(entries) } else { Err(mistakes) }
}

/// The entry of a line; what is wrong with it goes to `wrong`, and an entry that is only partly
/// readable is none.
fn entry(line: &str, number: usize, kinds: &[&str], wrong: &mut Vec<String>) -> Option<AllowEntry> {
    if line.len() > ALLOW_LINE_OCTETS_MAX {
        let got = line.len();
        wrong.push(format!("got {got} bytes, expected at most {ALLOW_LINE_OCTETS_MAX} a line"));
        return None;
    }
    let (what, rest) = word(line);
    if !WHATS.contains(&what) {
        let hint = did_you_mean(what, WHATS);
        wrong.push(format!(
            "got '{what}', expected an entry such as 'domain cdn.example REASON', with domain, \
             address, network or asn in front{hint}"
        ));
        return None;
    }
    let (value, rest) = word(rest);
    let options = Options::read(rest, kinds, wrong);
    if options.reason.is_empty() {
        wrong.push(format!(
            "reason: got none, expected a few words behind '{what} {value}' that say why it is \
             allowed"
        ));
    } else if options.reason.contains(char::is_control) {
        wrong.push("reason: got a control character, expected printable words".to_owned());
    }
    let covers = match what {
        "domain" => domain(value, options.is_forced),
        "asn" => asn(value),
        _ => network(what, value, options.is_forced),
    };
    let covers = covers.map_err(|text| wrong.push(format!("{what}: {text}"))).ok()?;
    Some(AllowEntry {
        covers,
        reason: options.reason.into(),
        expires: options.expires,
        line: number,
        kinds: options.kinds,
    })
}

/// The first word and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// What stands behind the value.
struct Options<'a> {
    expires: Option<Day>,
    kinds: u8,
    is_forced: bool,
    reason: &'a str,
}

impl<'a> Options<'a> {
    fn read(text: &'a str, kinds: &[&str], wrong: &mut Vec<String>) -> Self {
        let all = ((1_u16 << kinds.len()) - 1) as u8;
        let mut options = Self { expires: None, kinds: all, is_forced: false, reason: text };
        let mut seen: Vec<&str> = Vec::new();
        loop {
            let (option, rest) = word(options.reason);
            let Some((name, value)) = option.split_once('=') else { break };
            if seen.contains(&name) {
                wrong.push(format!("{name}: got it twice, expected it once"));
            }
            seen.push(name);
            options.reason = rest;
            match name {
                "expires" => match Day::parse(value) {
                    Some(day) => options.expires = Some(day),
                    None => wrong.push(format!(
                        "expires: got '{value}', expected a day of the calendar such as \
                         expires=2027-06-30"
                    )),
                },
                "kinds" => options.kinds = kinds_of(value, kinds, wrong),
                "force" if matches!(value, "true" | "false") => options.is_forced = value == "true",
                "force" => wrong.push(format!("force: got '{value}', expected force=true")),
                _ => wrong.push(format!(
                    "got the option '{name}', expected expires, kinds or force{}",
                    did_you_mean(name, OPTIONS)
                )),
            }
        }
        // An option among the words of the reason would do nothing, and nobody would notice.
        for misplaced in options.reason.split_whitespace().filter_map(|w| w.split_once('=')) {
            if let Some(option) = nearest(misplaced.0, OPTIONS) {
                wrong.push(format!(
                    "reason: got '{}=' among its words, expected options such as '{option}=' in \
                     front of the reason",
                    misplaced.0
                ));
            }
        }
        options
    }
}

fn kinds_of(value: &str, kinds: &[&str], wrong: &mut Vec<String>) -> u8 {
    let mut bits = 0;
    for name in value.split(',') {
        match kinds.iter().position(|kind| *kind == name) {
            Some(kind) => bits |= 1 << kind,
            None => wrong.push(format!(
                "kinds: got '{name}', expected {}{}",
                kinds.join(" or "),
                did_you_mean(name, kinds.iter().copied())
            )),
        }
    }
    bits
}

fn domain(value: &str, is_forced: bool) -> Result<Covers, String> {
    let name = value.strip_suffix('.').unwrap_or(value).to_ascii_lowercase();
    if name.parse::<IpAddr>().is_ok() {
        return Err(format!("got the address '{value}', expected a name; write 'address {value}'"));
    }
    let below = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'));
    if let Some(below) = below.filter(|below| wire_form(below).is_some()) {
        return Err(format!(
            "got '{value}', expected a name; an entry covers everything below it, so write \
             '{below}'"
        ));
    }
    let wire = wire_form(&name).ok_or_else(|| {
        let hint = if value.is_ascii() { "" } else { "; write its form that begins with xn--" };
        format!(
            "got '{value}', expected a name of letters, digits, '-' and '_' such as \
             cdn.example{hint}"
        )
    })?;
    if public_suffix(&wire).is_some() && !is_forced {
        return Err(format!(
            "got '{name}', a public suffix: it would cover everybody's names below it; name the \
             domain that is meant, or add force=true"
        ));
    }
    Ok(Covers::Domain(wire))
}

fn asn(value: &str) -> Result<Covers, String> {
    asn_number(value).map(Covers::Asn).ok_or_else(|| {
        format!("got '{value}', expected the number of an autonomous system such as AS64500")
    })
}

/// The number of an autonomous system, with `AS` before it or without; never 0.
pub(crate) fn asn_number(text: &str) -> Option<u32> {
    let digits = text.get(2..).filter(|_| text.to_ascii_uppercase().starts_with("AS"));
    digits.unwrap_or(text).parse().ok().filter(|&number| number > 0)
}

fn network(what: &str, value: &str, is_forced: bool) -> Result<Covers, String> {
    let (ip, bits) = match value.split_once('/') {
        None => (value, None),
        Some((ip, bits)) => (ip, Some(bits)),
    };
    let expected = if what == "address" { "192.0.2.7 or 2001:db8::7" } else { "192.0.2.0/24" };
    let bad = || format!("got '{value}', expected one such as {expected}");
    let ip: IpAddr = ip.parse().map_err(|_| bad())?;
    let bits = match (what, bits) {
        ("address", None) => bits_of(ip),
        ("address", Some(_)) => {
            return Err(format!("got '{value}', expected one address; write 'network {value}'"));
        }
        (_, None) => {
            return Err(format!(
                "got '{value}', expected a length behind a slash; write '{value}/{}' or 'address \
                 {value}'",
                bits_of(ip)
            ));
        }
        (_, Some(bits)) => {
            let is_number = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
            let bits = bits.parse::<u8>().ok().filter(|_| is_number);
            bits.filter(|&bits| bits <= bits_of(ip)).ok_or_else(|| {
                format!("got '{value}', expected a length from 0 to {}", bits_of(ip))
            })?
        }
    };
    let (ip, bits) = unmapped(ip, bits);
    let meant = network_of(ip, bits);
    if meant != ip {
        return Err(format!(
            "got '{value}', whose address has bits behind the first {bits}; write \
             'network {meant}/{bits}' if the network is meant, or 'address {ip}'"
        ));
    }
    let bits_min = BITS_MIN[usize::from(ip.is_ipv6())];
    if bits < bits_min && !is_forced {
        return Err(format!(
            "got '{value}', wider than /{bits_min}: it would cover a great part of all addresses; \
             name what is meant, or add force=true"
        ));
    }
    Ok(Covers::Network(ip, bits))
}

/// IPv4 for an IPv4-mapped network.
pub(crate) fn unmapped(ip: IpAddr, bits: u8) -> (IpAddr, u8) {
    match ip {
        IpAddr::V6(v6) if bits >= 96 => {
            v6.to_ipv4_mapped().map_or((ip, bits), |v4| (IpAddr::V4(v4), bits - 96))
        }
        _ => (ip, bits),
    }
}

/// The address with all bits behind the first ones 0.
pub(crate) fn network_of(ip: IpAddr, bits: u8) -> IpAddr {
    let bits = first_bits(mapped(ip), mapped_bits(ip, bits));
    match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allow::AllowList;

    const KINDS: [&str; 2] = ["single_flux", "double_flux"];

    #[test]
    fn good_entries_are_read() {
        let text = "\
# our own
domain cdn.example our download mirrors, NET-812

  domain\tCDN2.Example.   expires=2027-06-30 kinds=single_flux  a = b is no option
address 2001:db8::7 kinds=single_flux,double_flux a server
address ::ffff:192.0.2.7 the same in IPv4
network 192.0.0.0/8 wide, but not too wide
network ::ffff:198.18.0.0/111 the same as 198.18.0.0/15
asn 64500 the hoster
asn as64501 force=false another
domain co.uk force=true everybody
domain xn--grer-8qa.example with an umlaut # and a sharp
network 0.0.0.0/0 force=true a lab
";
        let list = AllowList::parse(text, &KINDS).expect("a list");
        let got: Vec<String> = list.entries().iter().map(|e| e.covers.to_string()).collect();
        assert_eq!(
            got,
            [
                "domain cdn.example",
                "domain cdn2.example",
                "address 2001:db8::7",
                "address 192.0.2.7",
                "network 192.0.0.0/8",
                "network 198.18.0.0/15",
                "asn AS64500",
                "asn AS64501",
                "domain co.uk",
                "domain xn--grer-8qa.example",
                "network 0.0.0.0/0",
            ]
        );
        let second = &list.entries()[1];
        assert_eq!((second.line, &*second.reason), (4, "a = b is no option"));
        assert_eq!(second.expires.map(|day| day.to_string()).as_deref(), Some("2027-06-30"));
        assert_eq!((second.kinds, list.entries()[0].kinds), (1, 3));
        assert!(AllowList::parse("", &KINDS).expect("a list").is_empty());
    }

    /// The list to begin with says nothing as it is; its examples are good entries.
    #[test]
    fn the_list_to_begin_with_is_good() {
        let text = include_str!("../../../../sensor-config/allow.txt");
        assert!(AllowList::parse(text, &KINDS).expect("a list").is_empty());
        let lines = text.lines().filter_map(|line| line.strip_prefix("# "));
        let is_example = |line: &&str| WHATS.iter().any(|what| line.starts_with(what));
        let examples: Vec<&str> = lines.filter(is_example).collect();
        assert_eq!(examples.len(), 4);
        assert!(AllowList::parse(&examples.join("\n"), &KINDS).is_ok());
    }

    /// A line and what must be said of it.
    const BAD: [(&str, &[&str]); 33] = [
        ("domain cdn.example", &["reason: got none", "'domain cdn.example'"]),
        ("domain cdn.example expires=2027-06-30", &["reason: got none"]),
        ("domain", &["domain: got ''", "reason: got none"]),
        ("domian cdn.example x", &["got 'domian'", "did you mean 'domain'?"]),
        ("cdn.example our own", &["got 'cdn.example'", "'domain cdn.example REASON'"]),
        ("domain com x", &["got 'com', a public suffix", "force=true"]),
        ("domain co.uk x", &["got 'co.uk', a public suffix"]),
        ("domain duckdns.org x", &["a public suffix"]),
        ("domain *.cdn.example x", &["got '*.cdn.example'", "write 'cdn.example'"]),
        ("domain .cdn.example x", &["write 'cdn.example'"]),
        ("domain 192.0.2.7 x", &["write 'address 192.0.2.7'"]),
        ("domain größer.example x", &["got 'größer.example'", "xn--"]),
        ("domain https://cdn.example/ x", &["got 'https://cdn.example/'", "expected a name"]),
        ("domain a..example x", &["expected a name"]),
        ("network 192.0.2.0 x", &["write '192.0.2.0/32' or 'address 192.0.2.0'"]),
        ("network 192.0.2.7/24 x", &["write 'network 192.0.2.0/24'", "or 'address 192.0.2.7'"]),
        ("network 2001:db8::7/64 x", &["write 'network 2001:db8::/64'"]),
        ("network 192.0.2.0/33 x", &["expected a length from 0 to 32"]),
        ("network 192.0.2.0/+8 x", &["expected a length from 0 to 32"]),
        ("network 0.0.0.0/0 x", &["wider than /8", "force=true"]),
        ("network ::/0 x", &["wider than /16"]),
        ("network 16.0.0.0/7 x", &["wider than /8"]),
        ("network 2000::/15 x", &["wider than /16"]),
        ("network cdn.example x", &["got 'cdn.example'", "such as 192.0.2.0/24"]),
        ("address 192.0.2.0/24 x", &["write 'network 192.0.2.0/24'"]),
        ("asn AS0 x", &["got 'AS0'", "such as AS64500"]),
        ("asn 4294967296 x", &["got '4294967296'"]),
        ("domain a.example expires=2026-02-30 x", &["expires: got '2026-02-30'", "calendar"]),
        ("domain a.example kinds=singel_flux x", &["got 'singel_flux'", "mean 'single_flux'?"]),
        ("domain a.example expire=2027-01-01 x", &["option 'expire'", "mean 'expires'?"]),
        ("domain a.example force=yes x", &["force: got 'yes'"]),
        ("domain a.example x expires=2027-01-01", &["got 'expires=' among its words"]),
        ("domain a.example force=true force=true x", &["force: got it twice"]),
    ];

    #[test]
    fn each_mistake_says_what_to_write() {
        for (line, expect) in BAD {
            let mistakes = AllowList::parse(&format!("# a list\n{line}\n"), &KINDS)
                .expect_err(&format!("refused: {line}"));
            let said: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            let said = said.join("\n");
            for part in expect {
                assert!(said.contains(part), "{line}: got {said}, expected {part:?}");
            }
            assert!(mistakes.iter().all(|mistake| mistake.line == 2), "{said}");
        }
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let text: String = BAD.iter().map(|(line, _)| format!("{line}\n")).collect();
        let mistakes = AllowList::parse(&text, &KINDS).expect_err("refused");
        let lines: std::collections::BTreeSet<usize> = mistakes.iter().map(|m| m.line).collect();
        assert_eq!(lines, (1..=BAD.len()).collect());
        let four = "domain com expires=never kinds=x";
        assert_eq!(AllowList::parse(four, &KINDS).expect_err("refused").len(), 4);
    }

    #[test]
    fn an_entry_stands_there_once() {
        for (first, second) in [
            ("domain a.example x", "domain A.example. kinds=double_flux y"),
            ("address 192.0.2.7 x", "network 192.0.2.7/32 y"),
            ("address 192.0.2.7 x", "address ::ffff:192.0.2.7 y"),
            ("asn AS64500 x", "asn 64500 y"),
        ] {
            let mistakes = AllowList::parse(&format!("{first}\n\n{second}\n"), &KINDS);
            let mistakes = mistakes.expect_err("a duplicate");
            assert_eq!((mistakes.len(), mistakes[0].line), (1, 3), "{mistakes:?}");
            assert!(mistakes[0].text.contains("which line 1 has"), "{mistakes:?}");
        }
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let entries =
            |count: usize| -> String { (0..count).map(|i| format!("asn {} x\n", i + 1)).collect() };
        assert!(AllowList::parse(&entries(ALLOW_ENTRIES_MAX), &KINDS).is_ok());
        let mistakes = AllowList::parse(&entries(ALLOW_ENTRIES_MAX + 2), &KINDS);
        assert_eq!(mistakes.expect_err("too many").len(), 1);
        let long = format!("domain a.example {}", "x".repeat(ALLOW_LINE_OCTETS_MAX));
        let mistakes = AllowList::parse(&long, &KINDS).expect_err("too long");
        assert!(mistakes[0].text.contains("expected at most 1000 a line"), "{mistakes:?}");
    }
}
