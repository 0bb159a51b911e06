//! The alert line as types: every field in the order in which it is written.
//!
//! Types and not a map, so that the order cannot depend on anything and no field can change its
//! type. What a field means is said in `docs/alert-format.md`; a test holds the two together.

use crate::line::LABEL_OCTETS_MAX;
use crate::template::Gap;
use crate::words::bounded;
use fluxtap_window::Comparators;
use serde::{Serialize, Serializer};

/// A number that is always written with a decimal point and at most two decimals, so that a store
/// that guesses types from the first line never guesses an integer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal(pub(crate) f64);

/// Larger numbers would be written with an exponent; nothing that is measured comes near.
const DECIMAL_MAX: f64 = 1e12;

impl Decimal {
    /// The value as written: rounded, in range, never "not a number" and never minus zero.
    pub(crate) fn value(self) -> f64 {
        let finite = if self.0.is_nan() { 0.0 } else { self.0 };
        (finite.clamp(-DECIMAL_MAX, DECIMAL_MAX) * 100.0).round() / 100.0 + 0.0
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value())
    }
}

#[derive(Serialize)]
pub(crate) struct Line<'a> {
    #[serde(rename = "@timestamp")]
    pub(crate) timestamp: String,
    pub(crate) ecs: Version<'a>,
    pub(crate) message: String,
    pub(crate) event: Event<'a>,
    pub(crate) rule: Rule<'a>,
    pub(crate) threat: Threat<'a>,
    pub(crate) dns: Dns<'a>,
    pub(crate) network: Network<'a>,
    pub(crate) related: Related<'a>,
    pub(crate) observer: Observer<'a>,
    pub(crate) tags: [&'a str; 2],
    pub(crate) fluxtap: Fluxtap<'a>,
}

#[derive(Serialize)]
pub(crate) struct Version<'a> {
    pub(crate) version: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Event<'a> {
    pub(crate) kind: &'a str,
    pub(crate) category: [&'a str; 2],
    #[serde(rename = "type")]
    pub(crate) types: [&'a str; 1],
    pub(crate) action: &'a str,
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) provider: &'a str,
    pub(crate) module: &'a str,
    pub(crate) dataset: &'a str,
    pub(crate) created: String,
    pub(crate) start: String,
    pub(crate) end: Option<String>,
    pub(crate) severity: u8,
    pub(crate) risk_score: Decimal,
    pub(crate) risk_score_norm: Decimal,
    pub(crate) reason: String,
}

#[derive(Serialize)]
pub(crate) struct Rule<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) category: &'a str,
    pub(crate) ruleset: &'a str,
    pub(crate) version: &'a str,
    pub(crate) reference: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Threat<'a> {
    pub(crate) framework: Option<&'a str>,
    pub(crate) tactic: Option<Tactic<'a>>,
    pub(crate) technique: Option<Technique<'a>>,
    pub(crate) indicator: Indicator<'a>,
    /// Left out where no list says anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) enrichments: Vec<Enrichment<'a>>,
}

#[derive(Serialize)]
pub(crate) struct Enrichment<'a> {
    pub(crate) indicator: Listed<'a>,
    pub(crate) matched: Matched<'a>,
}

#[derive(Serialize)]
pub(crate) struct Listed<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    pub(crate) name: String,
    pub(crate) provider: &'a str,
    pub(crate) description: &'a str,
    pub(crate) modified_at: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Matched<'a> {
    pub(crate) atomic: String,
    pub(crate) field: &'a str,
    pub(crate) index: &'a str,
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Tactic<'a> {
    pub(crate) id: [&'a str; 1],
    pub(crate) name: [&'a str; 1],
}

#[derive(Serialize)]
pub(crate) struct Technique<'a> {
    pub(crate) id: [&'a str; 1],
    pub(crate) name: [&'a str; 1],
    pub(crate) subtechnique: Tactic<'a>,
}

#[derive(Serialize)]
pub(crate) struct Indicator<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) confidence: &'a str,
    pub(crate) first_seen: Option<String>,
    pub(crate) last_seen: Option<String>,
    pub(crate) sightings: u32,
}

#[derive(Serialize)]
pub(crate) struct Dns<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    pub(crate) response_code: &'a str,
    pub(crate) question: Question<'a>,
    pub(crate) answers: Vec<Answer<'a>>,
    pub(crate) resolved_ip: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct Question<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) registered_domain: &'a str,
    pub(crate) subdomain: Option<&'a str>,
    pub(crate) top_level_domain: &'a str,
    #[serde(rename = "type")]
    pub(crate) qtype: Option<String>,
    pub(crate) class: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Answer<'a> {
    pub(crate) name: Option<&'a str>,
    #[serde(rename = "type")]
    pub(crate) rtype: &'a str,
    pub(crate) class: &'a str,
    pub(crate) ttl: u32,
    pub(crate) data: String,
}

#[derive(Serialize)]
pub(crate) struct Network<'a> {
    pub(crate) vlan: Option<Vlan>,
    pub(crate) transport: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Vlan {
    pub(crate) id: String,
}

#[derive(Serialize)]
pub(crate) struct Related<'a> {
    pub(crate) hosts: Vec<&'a str>,
    pub(crate) ip: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct Observer<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    pub(crate) vendor: &'a str,
    pub(crate) product: &'a str,
    pub(crate) version: &'a str,
    pub(crate) name: &'a str,
    pub(crate) ingress: Option<Ingress<'a>>,
}

impl<'a> Observer<'a> {
    /// The sensor with this name, of which as much is written as fits.
    pub(crate) fn new(name: &'a str, version: &'a str, interface: Option<&'a str>) -> Self {
        let fitted = |text| bounded(text, LABEL_OCTETS_MAX);
        let ingress = |name| Ingress { interface: Interface { name: fitted(name) } };
        Self {
            kind: "sensor",
            vendor: "fluxtap",
            product: "fluxtap",
            version: fitted(version),
            name: fitted(name),
            ingress: interface.map(ingress),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Ingress<'a> {
    pub(crate) interface: Interface<'a>,
}

#[derive(Serialize)]
pub(crate) struct Interface<'a> {
    pub(crate) name: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Fluxtap<'a> {
    pub(crate) schema: Schema<'a>,
    pub(crate) alert: Life<'a>,
    pub(crate) flux: Flux<'a>,
    pub(crate) terms: Vec<Term<'a>>,
    pub(crate) window: Window,
    pub(crate) evidence: Evidence<'a>,
    pub(crate) compare: Compare,
    pub(crate) quality: Quality<'a>,
    pub(crate) campaign: Option<Campaign<'a>>,
    pub(crate) suppression: Suppression<'a>,
    pub(crate) advisory: Vec<&'a str>,
    pub(crate) limits: &'a str,
    pub(crate) sensors: [&'a str; 1],
    pub(crate) source: Source<'a>,
}

#[derive(Serialize)]
pub(crate) struct Schema<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Life<'a> {
    pub(crate) id: &'a str,
    pub(crate) state: &'a str,
    pub(crate) revision: u32,
    pub(crate) opened: String,
    pub(crate) updated: String,
    pub(crate) closed: Option<String>,
    pub(crate) close_reason: Option<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct Flux<'a> {
    pub(crate) kind: &'a str,
    pub(crate) severity: &'a str,
    pub(crate) confidence: Decimal,
    pub(crate) likelihood_ratio: u32,
    pub(crate) score: Decimal,
    pub(crate) threshold: Decimal,
    pub(crate) ownership_factor: Decimal,
    pub(crate) openness_gate: Decimal,
    pub(crate) model: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Term<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) value: Decimal,
    pub(crate) reference: Decimal,
    pub(crate) points: Decimal,
    pub(crate) text: Option<String>,
}

impl Term<'_> {
    pub(crate) fn of(term: &fluxtap_flux::Term, text: Option<String>) -> Self {
        Self {
            id: term.id.id(),
            name: term.id.as_str(),
            value: Decimal(term.value),
            reference: Decimal(term.reference),
            points: Decimal(term.points.points()),
            text,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Window {
    pub(crate) seconds: u32,
    pub(crate) start: String,
    pub(crate) end: String,
    pub(crate) complete: bool,
}

#[derive(Serialize)]
pub(crate) struct Evidence<'a> {
    pub(crate) responses: u32,
    pub(crate) clients: u32,
    pub(crate) names: u32,
    pub(crate) ip: IpCounts,
    pub(crate) asn: Asns<'a>,
    pub(crate) country: Countries<'a>,
    pub(crate) ttl: Ttl<'a>,
    pub(crate) ns: Servers<'a>,
    pub(crate) hosts: Hosts<'a>,
    pub(crate) alias_target: Option<&'a str>,
    pub(crate) addresses: Gap,
    pub(crate) changes: u32,
    pub(crate) refreshes: u32,
    pub(crate) replaced: u32,
    pub(crate) special_use: u32,
    pub(crate) subtracted: u32,
    /// These five are left out where there is nothing to tell, which is nearly everywhere: as
    /// `null` they would take the room of an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_subnet: Option<ClientSubnet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hints: Option<Hints>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dns64: Option<Dns64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) intel: Option<Intel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rebinding: Option<Rebinding>,
    /// Left out where no setting asks for it: who does not list clients should see in the schema of
    /// his lines that there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_list: Option<ClientList<'a>>,
}

#[derive(Serialize)]
pub(crate) struct Rebinding {
    pub(crate) name: String,
    pub(crate) ip: String,
    pub(crate) ttl: u32,
}

#[derive(Serialize)]
pub(crate) struct ClientSubnet {
    pub(crate) responses: u32,
    pub(crate) share: Decimal,
    pub(crate) distinct: u32,
}

#[derive(Serialize)]
pub(crate) struct Hints {
    pub(crate) responses: u32,
    pub(crate) distinct: u32,
}

#[derive(Serialize)]
pub(crate) struct Intel {
    pub(crate) matched: u32,
    pub(crate) listed: u32,
}

#[derive(Serialize)]
pub(crate) struct Dns64 {
    pub(crate) responses: u32,
}

#[derive(Serialize)]
pub(crate) struct ClientList<'a> {
    pub(crate) mode: &'a str,
    pub(crate) ids: Vec<String>,
    pub(crate) more: u32,
}

#[derive(Serialize)]
pub(crate) struct IpCounts {
    pub(crate) distinct: u32,
    pub(crate) distinct_v4: u32,
    pub(crate) distinct_v6: u32,
    pub(crate) networks: u32,
    pub(crate) prefixes: u32,
    pub(crate) new_per_hour: Decimal,
    pub(crate) listed: Gap,
    pub(crate) truncated: Gap,
}

#[derive(Serialize)]
pub(crate) struct Asns<'a> {
    pub(crate) distinct: u32,
    pub(crate) entropy: Decimal,
    pub(crate) top: Vec<AsnShare<'a>>,
}

#[derive(Serialize)]
pub(crate) struct AsnShare<'a> {
    pub(crate) number: u32,
    pub(crate) org: Option<&'a str>,
    pub(crate) share: Decimal,
}

#[derive(Serialize)]
pub(crate) struct Countries<'a> {
    pub(crate) distinct: u32,
    pub(crate) top: Vec<CountryShare<'a>>,
}

#[derive(Serialize)]
pub(crate) struct CountryShare<'a> {
    pub(crate) iso: &'a str,
    pub(crate) share: Decimal,
}

#[derive(Serialize)]
pub(crate) struct Ttl<'a> {
    pub(crate) min: u32,
    pub(crate) p50: u32,
    pub(crate) max: u32,
    pub(crate) basis: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Servers<'a> {
    pub(crate) distinct: u32,
    pub(crate) distinct_ip: u32,
    pub(crate) changes: u32,
    pub(crate) visible: bool,
    pub(crate) names: Vec<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct Hosts<'a> {
    pub(crate) distinct: u32,
    pub(crate) names: Vec<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct Address<'a> {
    pub(crate) ip: String,
    pub(crate) asn: Option<u32>,
    pub(crate) country: Option<&'a str>,
    pub(crate) class: &'a str,
    pub(crate) first_seen: String,
    pub(crate) last_seen: String,
    pub(crate) count: u32,
}

#[derive(Serialize)]
pub(crate) struct Compare {
    pub(crate) holz2008_two_lookups: Decimal,
    pub(crate) holz2008_cumulative: Decimal,
    pub(crate) zeek_asn_ratio: Decimal,
}

impl Compare {
    pub(crate) const fn of(compare: &Comparators) -> Self {
        Self {
            holz2008_two_lookups: Decimal(compare.holz_two_lookups),
            holz2008_cumulative: Decimal(compare.holz_cumulative),
            zeek_asn_ratio: Decimal(compare.zeek_asn_ratio),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Quality<'a> {
    pub(crate) vantage: &'a str,
    pub(crate) queries_visible: Option<bool>,
    pub(crate) asn_coverage: Decimal,
    pub(crate) kind_coverage: Decimal,
    pub(crate) address_table: Option<&'a str>,
    pub(crate) observed_loss: Option<Decimal>,
    pub(crate) degraded: Vec<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct Campaign<'a> {
    pub(crate) id: &'a str,
    pub(crate) domains: u32,
    pub(crate) neighbours: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct Suppression<'a> {
    pub(crate) allowlisted: bool,
    pub(crate) cdn_addresses_subtracted: u32,
    pub(crate) zone: Option<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct Source<'a> {
    pub(crate) kind: &'a str,
    pub(crate) tunnel: Option<Tunnel<'a>>,
    pub(crate) pcap: Option<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct Tunnel<'a> {
    pub(crate) kind: &'a str,
    pub(crate) id: Option<String>,
}
