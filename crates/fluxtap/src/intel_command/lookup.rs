//! `fluxtap intel lookup`: what is known of an address or a name.

use crate::console::{self, Exit};
use crate::output::{self, json_line};
use crate::tables::TableArgs;
use crate::{config, threat_lists};
use clap::Args;
use fluxtap_intel::suffix::{registrable, suffix_of};
use fluxtap_intel::{AddressClass, Intel, ThreatHit, special};
use fluxtap_wire::Name;
use fluxtap_wire::name::WireText;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Arguments of `intel lookup`.
#[derive(Debug, Args)]
pub(crate) struct LookupArgs {
    /// Addresses and names, in any order.
    #[arg(required = true, value_name = "ADDRESS|NAME")]
    subjects: Vec<String>,
    #[command(flatten)]
    tables: TableArgs,
    /// Threat lists, each `NAME FILE [OPTION=VALUE]...`; by default as configured.
    #[arg(long, value_name = "LISTS", value_delimiter = ',')]
    threat_lists: Option<Vec<String>>,
    /// A JSON object a line instead of text.
    #[arg(long)]
    json: bool,
}

/// What is asked about.
enum Subject {
    Address(IpAddr),
    Name(Box<Name>),
}

/// Looks everything up, or says what cannot be.
pub(crate) fn run(args: &LookupArgs) -> Exit {
    let mut subjects = Vec::with_capacity(args.subjects.len());
    for text in &args.subjects {
        match subject(text) {
            Ok(subject) => subjects.push(subject),
            Err(mistake) => {
                console::error(&mistake);
                return Exit::Usage;
            }
        }
    }
    let threats = match &args.threat_lists {
        Some(lists) => threat_lists::open(lists),
        None => config::of_files().and_then(|s| threat_lists::open(&s.threat_lists)),
    };
    let intel = match (args.tables.load(), threats) {
        (Ok(tables), Ok(threats)) => tables.intel.with_threats(threats),
        (Err(exit), _) | (_, Err(exit)) => return exit,
    };
    let mut page = String::new();
    for subject in &subjects {
        let found = match subject {
            Subject::Address(ip) => of_address(&intel, *ip),
            Subject::Name(name) => of_name(&intel, name),
        };
        page += &if args.json { json_line(&found.json) } else { console::page(&found.lines) };
    }
    output::print(&page)
}

fn subject(text: &str) -> Result<Subject, String> {
    if let Ok(ip) = text.parse() {
        return Ok(Subject::Address(ip));
    }
    let hint = if text.is_ascii() { "" } else { "; write it in its ASCII form, xn--" };
    let name = Name::from_text(&text.to_ascii_lowercase()).filter(|_| text.is_ascii());
    let name = name.filter(|name| name.as_wire().len() > 1);
    name.map(|name| Subject::Name(Box::new(name))).ok_or_else(|| {
        format!(
            "intel lookup: got '{text}', expected an address or a name such as example.com{hint}"
        )
    })
}

/// What was found, for people and for programs.
struct Found {
    lines: Vec<String>,
    json: Value,
}

fn of_address(intel: &Intel, ip: IpAddr) -> Found {
    let owner = intel.owner(ip);
    let is_special = special::is_special_use(ip);
    let hits = intel.threats().address(ip, owner.asn, output::now().secs());
    let org = intel.org(owner.asn).filter(|org| !org.is_empty());
    let range = intel.table().map(|table| table.range(ip));
    let mut lines = vec![ip.to_string()];
    let mut line = |what: &str, text: &str| lines.push(format!("  {what:20} {text}"));
    if owner.asn == 0 {
        line("owner", "unknown");
    } else {
        line("owner", &format!("AS{} {}", owner.asn, org.unwrap_or_default()));
    }
    line("country", owner.country.as_str().unwrap_or("unknown"));
    let cloud = if owner.hyperscaler { ", hyperscaler" } else { "" };
    line("class", &format!("{}{cloud}", owner.class.as_str()));
    line("special use", if is_special { "yes: never counts as evidence" } else { "no" });
    match range {
        Some((first, last)) => line("range", &format!("{first} - {last}")),
        None => line("range", "none: no address table in use"),
    }
    let json = json!({
        "address": ip.to_string(),
        "asn": (owner.asn != 0).then_some(owner.asn),
        "org": org,
        "country": owner.country.as_str(),
        "class": owner.class.as_str(),
        "is_hyperscaler": owner.class == AddressClass::Hosting && owner.hyperscaler,
        "is_special_use": is_special,
        "threat_lists": tell_hits(&hits, intel, &mut lines),
        "range": range.map(|(first, last)| [first.to_string(), last.to_string()]),
    });
    Found { lines, json }
}

/// Adds lines about what threat lists say now, where there are any, and returns the same as JSON.
fn tell_hits(hits: &[ThreatHit], intel: &Intel, lines: &mut Vec<String>) -> Vec<Value> {
    if hits.is_empty() && !intel.threats().is_empty() {
        lines.push(format!("  {:20} on none of {}", "threat lists", intel.threats().lists().len()));
    }
    for (i, hit) in hits.iter().enumerate() {
        let label = if i == 0 { "threat lists" } else { "" };
        lines.push(format!("  {label:20} {}", threat_lists::shown_hit(hit)));
    }
    hits.iter().map(threat_lists::hit_json).collect()
}

fn of_name(intel: &Intel, name: &Name) -> Found {
    let wire = name.as_wire();
    let text = |at: usize| wire.get(at..).map(|part| WireText(part).to_string());
    let domain = registrable(wire).and_then(text);
    let suffix = suffix_of(wire);
    let zone = intel.zone(wire);
    let mut lines = vec![WireText(wire).to_string()];
    let mut line = |what: &str, text: &str| lines.push(format!("  {what:20} {text}"));
    line("registrable domain", domain.as_deref().unwrap_or("none: it is a public suffix"));
    let suffix_text = suffix.and_then(|suffix| text(suffix.at));
    let rule = match suffix.and_then(|suffix| suffix.section) {
        Some(section) => format!("by the {} section", section.as_str().to_uppercase()),
        None => "by the default rule, no other lists it".to_owned(),
    };
    line("public suffix", &format!("{}, {rule}", suffix_text.as_deref().unwrap_or("none")));
    match zone {
        None => line("curated zone", "none"),
        Some(zone) => {
            line("curated zone", &format!("{} ({})", zone.name, zone.kind.as_str()));
            line("  reason", &zone.reason);
            line("  source", &format!("{}, {}", zone.source, zone.added));
        }
    }
    let hits = intel.threats().name(wire, output::now().secs());
    let json = json!({
        "threat_lists": tell_hits(&hits, intel, &mut lines),
        "name": WireText(wire).to_string(),
        "registrable_domain": domain,
        "public_suffix": suffix_text,
        "public_suffix_section": suffix.and_then(|s| s.section).map(|section| section.as_str()),
        "curated_zone": zone.map(|zone| json!({
            "zone": &*zone.name,
            "kind": zone.kind.as_str(),
            "reason": &*zone.reason,
            "source": &*zone.source,
            "added": &*zone.added,
        })),
    });
    Found { lines, json }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        for (text, expect) in [
            ("8.8.8.8", Some("address")),
            ("::1", Some("address")),
            ("8.8.8", Some("name")),
            ("WWW.Example.COM.", Some("name")),
            ("", None),
            (".", None),
            ("a..b", None),
            ("bücher.example", None),
        ] {
            let got = match subject(text) {
                Ok(Subject::Address(_)) => Some("address"),
                Ok(Subject::Name(_)) => Some("name"),
                Err(mistake) => {
                    assert!(mistake.contains("expected an address or a name"), "{mistake}");
                    None
                }
            };
            assert_eq!(got, expect, "{text}");
        }
    }
}
