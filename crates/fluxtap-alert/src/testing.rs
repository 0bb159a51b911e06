//! Alerts built by hand for the tests.

use crate::{Action, Alert, Clients, Context, SourceKind};
use fluxtap_flux::{FluxKind, Score, Severity, Term, TermId, Verdict};
use fluxtap_intel::{AddressClass, Country, Intel, Owner};
use fluxtap_window::{
    AddressSeen, Comparators, Evidence, HostSeen, ServerEvidence, Spread, Subject,
};
use fluxtap_wire::Timestamp;
use fluxtap_wire::name::Name;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// 2026-11-22T13:05:10.412Z.
pub(crate) const AT_MS: u64 = 1_795_352_710_412;

/// The same in whole seconds.
const AT_S: u32 = 1_795_352_710;

pub(crate) fn wire(text: &str) -> Vec<u8> {
    Name::from_text(text).expect("a name").as_wire().to_vec()
}

/// A name of 255 bytes whose every byte but the lengths is `byte`.
pub(crate) fn longest_name(byte: u8) -> Vec<u8> {
    let mut name = Vec::new();
    for length in [63_usize, 63, 63, 61] {
        name.push(length as u8);
        name.extend(std::iter::repeat_n(byte, length));
    }
    name.push(0);
    name
}

pub(crate) fn context(intel: &Intel) -> Context<'_> {
    Context {
        intel,
        observer: "tap-fra-1",
        interface: Some("eth1"),
        source: SourceKind::Live,
        sequence: 1_042,
        version: "0.1.0",
        model: fluxtap_flux::MODEL,
        clients: Clients::Count,
        created: Timestamp((AT_MS + 594) * 1_000_000),
    }
}

/// The address with a number, in a network of its own. They lie in the reserved ranges 240.0.0.0/4
/// and 2001:db8::/32, which have no owners.
pub(crate) fn address(index: u32, is_v6: bool) -> AddressSeen {
    let ip = if is_v6 {
        IpAddr::V6(Ipv6Addr::from((0x2001_0db8 << 96) | (u128::from(index) << 80) | 5))
    } else {
        IpAddr::V4(Ipv4Addr::from(0xf000_0000 + index * 0x0001_0b00 + index % 250 + 1))
    };
    let countries = [*b"BR", *b"VN", *b"RO", *b"UA", *b"BR", *b"KR", *b"AR", *b"BR", *b"TR"];
    let country = Country::from_code(countries[index as usize % countries.len()]);
    AddressSeen {
        ip,
        owner: Owner {
            asn: 64_496 + index * index % 16,
            country: country.expect("a code"),
            class: if index % 10 == 9 { AddressClass::Hosting } else { AddressClass::Access },
            hyperscaler: false,
        },
        first_s: AT_S - 1_800 + 30 * (index % 50),
        last_s: AT_S - index,
        responses: 7 + index % 5,
        ttl_s: 60,
    }
}

fn term(id: TermId, value: f64, reference: f64, points: i32) -> Term {
    Term { id, value, reference, points: Score(points) }
}

/// All terms that can stand beside each other (who has a snapshot has no single owner), with the largest numbers a verdict can hold.
pub(crate) fn all_terms() -> Vec<Term> {
    use TermId::{
        AccessShare, Aliases, AutonomousSystems, Countries, Intelligence, Limit, Longevity,
        Networks, Replacement, Servers, Snapshot, Spread, StaticPool, Ttl,
    };
    [
        Networks,
        AutonomousSystems,
        Spread,
        Countries,
        Replacement,
        Snapshot,
        AccessShare,
        Ttl,
        Servers,
        Aliases,
        Longevity,
        StaticPool,
        Limit,
        Intelligence,
    ]
    .into_iter()
    .enumerate()
    .map(|(i, id)| term(id, 1_234_567.891, 0.333_333, 60 - 7 * i as i32))
    .collect()
}

pub(crate) fn set_terms(alert: &mut Alert, terms: Vec<Term>) {
    alert.verdict.score = Score(terms.iter().map(|t| t.points.0).sum());
    alert.verdict.terms = terms;
}

/// The alert of the documentation: single flux, high, going on.
pub(crate) fn alert() -> Alert {
    let mut addresses: Vec<AddressSeen> = (0..44).map(|i| address(i, false)).collect();
    addresses.insert(5, AddressSeen { last_s: AT_S - 4, ..address(44, true) });
    addresses.push(address(45, true));
    let mut alert = Alert {
        action: Action::Ongoing,
        at: Timestamp(AT_MS * 1_000_000),
        id: "fx-2afd9963e1ec33f7fb8a".to_owned(),
        revision: 3,
        opened: Timestamp::from_secs(u64::from(AT_S) - 430),
        closed: None,
        severity: Severity::High,
        threshold: Score(180),
        verdict: Verdict {
            score: Score(0),
            kind: FluxKind::Single,
            terms: vec![],
            openness_gate: 0.95,
            ownership_factor: 1.0,
            pool: None,
            subject: 0,
            likelihood_ratio: 11_800.0,
            confidence: 0.92,
        },
        subject: subject(),
        servers: Some(ServerEvidence { names: 1, addresses: 1, ..ServerEvidence::default() }),
        queries_visible: Some(true),
        lacking_percent: Some(3),
        threats: Vec::new(),
        campaign: None,
        is_campaign_news: false,
        evidence: Evidence {
            domain: wire("evil-flux.test"),
            host: wire("www.evil-flux.test"),
            qtype: 1,
            first_ms: AT_MS - 2_048_312,
            last_ms: AT_MS - 541,
            responses: 412,
            clients: 17,
            names: 2,
            vlan: 210,
            addresses,
            hosts: vec![
                HostSeen { name: wire("www.evil-flux.test"), runs: 9 },
                HostSeen { name: wire("evil-flux.test"), runs: 1 },
            ],
            server_names: vec![wire("ns1.evil-flux.test")],
            ttl_s: [30, 60, 60],
            ..Evidence::default()
        },
        is_allowlisted: false,
        rebound: None,
    };
    let terms = vec![
        term(TermId::Networks, 46.0, 4.0, 57),
        term(TermId::AutonomousSystems, 16.0, 2.0, 57),
        term(TermId::Spread, 0.96, 0.33, 28),
        term(TermId::Countries, 7.0, 2.0, 29),
        term(TermId::Replacement, 0.93, 0.0, 37),
        term(TermId::AccessShare, 0.91, 0.5, 40),
        term(TermId::Ttl, 60.0, 300.0, 15),
    ];
    set_terms(&mut alert, terms);
    alert
}

fn subject() -> Subject {
    Subject {
        window_s: 3_600,
        is_window_complete: false,
        refreshes: 58,
        sets: 10,
        changes: 9,
        addresses: 46,
        spread: Spread {
            networks: 46,
            prefixes: 46,
            asns: 16,
            countries: 7,
            entropy: 0.96,
            access: 41,
            hosting: 4,
            owned: 45,
            ..Spread::default()
        },
        per_answer: 5.2,
        replaced: 38,
        replaced_late: 18,
        openness: 0.93,
        ttl_s: 60,
        compare: Comparators {
            holz_two_lookups: 189.4,
            holz_cumulative: 357.36,
            zeek_asn_ratio: 124.299,
        },
        ..Subject::default()
    }
}

/// Paths of all fields, as the documentation writes them.
pub(crate) fn field_paths<'a>(
    schema: &'a Value,
    node: &'a Value,
    path: &str,
    paths: &mut Vec<String>,
) {
    if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
        let target = schema.pointer(reference.trim_start_matches('#')).expect("a definition");
        return field_paths(schema, target, path, paths);
    }
    if let Some(choices) = node.get("anyOf").and_then(Value::as_array) {
        return field_paths(schema, &choices[0], path, paths);
    }
    if let Some(items) = node.get("items") {
        return field_paths(schema, items, path, paths);
    }
    match node.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            for (name, child) in properties {
                let dot = if path.is_empty() { "" } else { "." };
                field_paths(schema, child, &format!("{path}{dot}{name}"), paths);
            }
        }
        None => paths.push(path.to_owned()),
    }
}

/// The fields that the tables of a chapter name, sorted.
pub(crate) fn documented(chapter: &str) -> Vec<String> {
    let rows = chapter.lines().filter(|line| line.starts_with("| `"));
    let mut fields: Vec<String> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    fields.sort();
    fields
}
