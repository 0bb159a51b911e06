//! Numbers and times as words: what the line's sentences and the text for a person share.

use crate::line::ORG_CHARS_MAX;
use crate::{Action, Alert, CloseReason};
use fluxtap_flux::{FluxKind, Term, TermId};
use fluxtap_intel::{AddressClass, Day, Intel, Owner};
use fluxtap_window::{Part, Subject};
use fluxtap_wire::name::WireText;
use fluxtap_wire::shown::{NAME_COLUMNS_MAX, shown};
use std::fmt::Write as _;
use std::net::IpAddr;

/// Last millisecond whose year has four digits (9999-12-31T23:59:59.999Z).
const MILLIS_MAX: u64 = 253_402_300_799_999;

/// A time in milliseconds since the epoch as RFC 3339, UTC, three digits of a second.
pub fn rfc3339(millis: u64) -> String {
    let millis = millis.min(MILLIS_MAX);
    let (second, of_second) = (millis / 1_000, millis % 1_000);
    let of_day = second % 86_400;
    let (year, month, day) = Day::of(second).date();
    // A line has some forty times, and writing them with format strings was a quarter of its cost.
    let digit = |number: u64, place: u64| b'0' + (number / place % 10) as u8;
    let two = |number| [digit(number, 10), digit(number, 1)];
    let [[y1, y2], [y3, y4], [m1, m2], [d1, d2]] =
        [two(year / 100), two(year), two(month), two(day)];
    let [[h1, h2], [n1, n2], [s1, s2]] =
        [two(of_day / 3_600), two(of_day / 60 % 60), two(of_day % 60)];
    let [f1, f2, f3] = [100, 10, 1].map(|place| digit(of_second, place));
    let text = [
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.',
        f1, f2, f3, b'Z',
    ];
    // It is all ASCII.
    String::from_utf8(text.to_vec()).unwrap_or_default()
}

/// `2026-11-22 13:05:10Z`: a person needs no milliseconds.
#[must_use]
pub fn time(millis: u64) -> String {
    let text = rfc3339(millis);
    format!("{}Z", text.get(..19).unwrap_or(&text).replace('T', " "))
}

/// `203.0.113.7 (AS64496 Example Networks, BR, access)`, without what is not known, and escaped.
#[must_use]
pub fn address(ip: IpAddr, owner: &Owner, intel: &Intel) -> String {
    let mut facts = Vec::new();
    if owner.asn != 0 {
        let org = intel.org(owner.asn).unwrap_or_default();
        // A holder's name comes from a registry, where anyone can write what he likes.
        let org = shown(org, ORG_CHARS_MAX);
        facts.push(format!("AS{} {org}", owner.asn).trim_end().to_owned());
    }
    facts.extend(owner.country.as_str().map(str::to_owned));
    if owner.class != AddressClass::Unknown {
        facts.push(owner.class.as_str().to_owned());
    }
    if facts.is_empty() {
        return ip.to_string();
    }
    format!("{ip} ({})", facts.join(", "))
}

/// The first characters of `text`, as many as take at most `octets_max` bytes in a JSON string
/// that is all ASCII.
pub(crate) fn bounded(text: &str, octets_max: usize) -> &str {
    let mut octets = 0;
    for (at, character) in text.char_indices() {
        octets += match character {
            '"' | '\\' => 2,
            ' '..='~' => 1,
            _ => 6 * character.len_utf16(),
        };
        if octets > octets_max {
            return &text[..at];
        }
    }
    text
}

/// `1 network`, `2 networks`.
#[must_use]
pub fn counted(count: u32, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A length of time as one says it: `15 minutes`, `an hour`, `a day`, `7 days`.
#[must_use]
pub fn span(seconds: u32) -> String {
    match seconds {
        60 => "a minute".to_owned(),
        3_600 => "an hour".to_owned(),
        86_400 => "a day".to_owned(),
        s if s > 0 && s % 86_400 == 0 => format!("{} days", s / 86_400),
        s if s > 0 && s % 3_600 == 0 => format!("{} hours", s / 3_600),
        s if s > 0 && s % 60 == 0 => format!("{} minutes", s / 60),
        s => counted(s, "second", "seconds"),
    }
}

/// The kind of flux as one says it.
pub(crate) const fn kind(kind: FluxKind) -> &'static str {
    match kind {
        FluxKind::Rotation => "rotation of addresses",
        FluxKind::Servers => "flux of its name servers",
        FluxKind::Single => "single fast flux",
        FluxKind::Double => "double fast flux",
        FluxKind::Intel => "something that is listed",
        FluxKind::Rebinding => "DNS rebinding",
    }
}

/// The one sentence that the alert comes down to; `domain` is its name as text, of any length.
pub(crate) fn message(alert: &Alert, domain: &str) -> String {
    let name = shown(domain, NAME_COLUMNS_MAX);
    let (kind, seen, score) = (kind(alert.verdict.kind), seen(alert), alert.verdict.score.points());
    let severity = alert.severity.as_str();
    match alert.action {
        Action::Matched => format!(
            "{name} is on a threat list: {}; {seen}; {severity} (score {score:.1})",
            crate::threats::brief(alert)
        ),
        Action::Rebound => format!(
            "{name} looks like DNS rebinding: {}; {severity}",
            rebound(alert).unwrap_or_default()
        ),
        Action::New => {
            format!("{name} looks like {kind}: {seen}; {severity} (score {score:.1})")
        }
        Action::Ongoing => {
            format!(
                "{name} looks like {kind}: {seen}, still changing; {severity} (score {score:.1})"
            )
        }
        Action::Reopened => {
            format!("{name} looks like {kind} again: {seen}; {severity} (score {score:.1})")
        }
        Action::Ended(reason) => format!(
            "{name} no longer counts as {kind}: {}; it had shown {seen}; was {severity} \
             (score {score:.1})",
            why_ended(reason)
        ),
    }
}

/// What was seen of rebinding, as a clause: `www.evil.example left a network for
/// addresses outside and came back to 192.168.1.1 (TTL 1 s) for one client`.
pub(crate) fn rebound(alert: &Alert) -> Option<String> {
    let rebound = alert.rebound.as_ref()?;
    let name = WireText(&rebound.name).to_string();
    Some(format!(
        "{} left a network for addresses outside and came back to {} (TTL {} s) for one client",
        shown(&name, NAME_COLUMNS_MAX),
        rebound.ip,
        rebound.ttl_s
    ))
}

/// Why an alert ended, as a clause.
pub(crate) const fn why_ended(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Quiet => "ended because a day went by without flux",
        CloseReason::Allowlisted => "ended because the allow list covers it",
        CloseReason::Evicted => "ended because its history had to make room",
        CloseReason::Sinkholed => "ended because its name servers are a sinkhole's now",
    }
}

/// `52 addresses in 46 networks, 19 autonomous systems and 11 countries within an hour`; what is
/// not known is not said.
pub(crate) fn seen(alert: &Alert) -> String {
    let spread = &alert.subject.spread;
    let mut places = vec![counted(spread.networks, "network", "networks")];
    if spread.asns > 0 {
        places.push(counted(spread.asns, "autonomous system", "autonomous systems"));
    } else {
        places.push(counted(spread.prefixes, "larger prefix", "larger prefixes"));
    }
    if spread.countries > 0 {
        places.push(counted(spread.countries, "country", "countries"));
    }
    let last = places.pop().unwrap_or_default();
    let whose = match alert.subject.part {
        Part::Answers => "",
        Part::Servers => " of a name server",
    };
    format!(
        "{}{whose} in {} and {last} within {}",
        counted(alert.subject.addresses, "address", "addresses"),
        places.join(", "),
        span(alert.subject.window_s)
    )
}

/// The numbers that matter, as `key=value` with spaces between: the counts, then the other terms
/// of the score, where there is room for them.
pub(crate) fn reason(alert: &Alert, has_room: bool) -> String {
    let spread = &alert.subject.spread;
    let mut text = match &alert.campaign {
        Some(campaign) if alert.is_campaign_news => format!("campaign={} ", campaign.domains),
        _ => String::new(),
    };
    let _ = write!(text, "networks={}", spread.networks);
    let owners = if spread.asns > 0 {
        (TermId::AutonomousSystems, spread.asns)
    } else {
        (TermId::Prefixes, spread.prefixes)
    };
    for (id, count) in [owners, (TermId::Countries, spread.countries)] {
        if count > 0 {
            let _ = write!(text, " {}={count}", id.as_str());
        }
    }
    for term in alert.verdict.terms.iter().filter(|_| has_room) {
        match term.id {
            TermId::Networks
            | TermId::AutonomousSystems
            | TermId::Prefixes
            | TermId::Countries
            | TermId::Spread => {}
            _ => {
                let _ = write!(text, " {}={}", term.id.as_str(), value(term));
            }
        }
    }
    text
}

/// A term's value: counts and seconds whole, shares with two decimals.
#[must_use]
pub fn value(term: &Term) -> String {
    match term.id {
        TermId::Networks
        | TermId::AutonomousSystems
        | TermId::Prefixes
        | TermId::Countries
        | TermId::Ttl
        | TermId::Intelligence
        | TermId::Aliases
        | TermId::Servers => format!("{:.0}", term.value),
        _ => format!("{:.2}", term.value),
    }
}

/// What a term measured, in words.
#[must_use]
pub fn term(term: &Term, subject: &Subject) -> String {
    let spread = &subject.spread;
    match term.id {
        TermId::Networks => format!(
            "{} (/24, IPv6 /48) within {}",
            counted(spread.networks, "network", "networks"),
            span(subject.window_s)
        ),
        TermId::AutonomousSystems => {
            counted(spread.asns, "autonomous system", "autonomous systems")
        }
        TermId::Prefixes => format!(
            "{} (/16, IPv6 /32)",
            counted(spread.prefixes, "larger prefix", "larger prefixes")
        ),
        TermId::Spread => format!(
            "spread over {} (/16, IPv6 /32)",
            counted(spread.prefixes, "larger prefix", "larger prefixes")
        ),
        TermId::Countries => counted(spread.countries, "country", "countries"),
        TermId::Replacement => format!(
            "{} given to resolvers answered before, {} in the later half",
            counted(subject.replaced, "new network", "new networks"),
            subject.replaced_late
        ),
        TermId::Snapshot => "one answer spread over unrelated access networks".to_owned(),
        TermId::AccessShare => {
            format!("{:.0} % of known owners are access networks", 100.0 * term.value)
        }
        TermId::Ttl => format!("TTL about {:.0} s", term.value),
        TermId::Servers => {
            format!("the name servers' addresses flux too, {:.0} of them", term.value)
        }
        TermId::Aliases => format!("one name is an alias of {:.0} targets in turn", term.value),
        TermId::OneOwner => "all addresses have one owner, no access network".to_owned(),
        TermId::Longevity => {
            format!("{:.0} % of the networks in use are known for a day", 100.0 * term.value)
        }
        TermId::StaticPool => "the pool stopped growing after three days".to_owned(),
        TermId::Succession => format!(
            "sets follow each other {:.1} times as often as by chance, and none comes back",
            term.value
        ),
        TermId::OneAtATime => format!("{:.1} networks in an answer", term.value),
        TermId::Limit => "what is above the highest severity for findings of this sort".to_owned(),
        TermId::Intelligence => {
            let what = counted(subject.listed.total(), "name or address", "names or addresses");
            format!("{what} on threat lists")
        }
    }
}
