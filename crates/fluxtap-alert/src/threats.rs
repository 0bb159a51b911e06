//! What threat lists say of a domain, as the line's objects and as words.

use crate::Alert;
use crate::line::LABEL_OCTETS_MAX;
use crate::shape::{Enrichment, Listed, Matched as MatchedShape};
use crate::words::{bounded, rfc3339};
use fluxtap_intel::Indicator;
use fluxtap_window::{Matched, ThreatMatch};
use fluxtap_wire::name::WireText;
use fluxtap_wire::shown::shown;

/// Widest name in columns, where it is one of many words.
const NAME_COLUMNS_MAX: usize = 50;

/// A hit with the fields of `threat.enrichments` of ECS.
pub(crate) fn enrichment<'a>(found: &'a ThreatMatch, domain: &str) -> Enrichment<'a> {
    let list = &*found.hit.list;
    let text = |wire: &[u8]| WireText(wire).to_string();
    let (field, atomic) = match &found.matched {
        Matched::Domain => ("dns.question.registered_domain", domain.to_owned()),
        Matched::Host(name) => ("dns.question.name", text(name)),
        Matched::Alias(name) => ("fluxtap.evidence.alias_target", text(name)),
        Matched::Server(name) => ("fluxtap.evidence.ns.names", text(name)),
        Matched::ServerAddress(ip) => ("fluxtap.evidence.ns.distinct_ip", ip.to_string()),
        Matched::Address(ip) => ("dns.resolved_ip", ip.to_string()),
        Matched::System(number) => ("fluxtap.evidence.asn.top.number", number.to_string()),
    };
    Enrichment {
        indicator: Listed {
            kind: match &found.hit.indicator {
                Indicator::Name(..) => "domain-name",
                Indicator::Network(ip, _) if ip.is_ipv4() => "ipv4-addr",
                Indicator::Network(..) => "ipv6-addr",
                Indicator::Asn(_) => "autonomous-system",
            },
            name: found.hit.indicator.to_string(),
            provider: bounded(&list.source, LABEL_OCTETS_MAX),
            description: bounded(&list.category, LABEL_OCTETS_MAX),
            modified_at: list.made_s.map(|s| rfc3339(s.saturating_mul(1_000))),
        },
        matched: MatchedShape {
            atomic,
            field,
            index: bounded(&list.name, LABEL_OCTETS_MAX),
            kind: "indicator_match_rule",
        },
    }
}

/// `evil.example on openphish (phishing)`: what is on which list, escaped.
#[must_use]
pub fn shown_match(found: &ThreatMatch) -> String {
    let name = |wire: &[u8]| shown(&WireText(wire).to_string(), NAME_COLUMNS_MAX);
    let what = match &found.matched {
        Matched::Domain => "the domain".to_owned(),
        Matched::Host(wire) => name(wire),
        Matched::Alias(wire) => format!("alias target {}", name(wire)),
        Matched::Server(wire) => format!("name server {}", name(wire)),
        Matched::ServerAddress(ip) => format!("name server's address {ip}"),
        Matched::Address(ip) => ip.to_string(),
        Matched::System(number) => format!("AS{number}"),
    };
    let (list, entry) = (&found.hit.list, found.hit.indicator.to_string());
    let by = if what == entry {
        String::new()
    } else {
        format!(" by {}", shown(&entry, NAME_COLUMNS_MAX))
    };
    let list = shown(&format!("{} ({})", list.name, list.category), NAME_COLUMNS_MAX);
    format!("{what} on {list}{by}")
}

/// The first hit, and how many more there are.
pub(crate) fn brief(alert: &Alert) -> String {
    let first = alert.threats.first().map_or_else(String::new, shown_match);
    match alert.threats.len().saturating_sub(1) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
