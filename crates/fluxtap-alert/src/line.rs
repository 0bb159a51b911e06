//! An alert as one line of JSON, in the shape of the Elastic Common Schema.
//!
//! The key decision: a line never has more than [`LINE_OCTETS_MAX`] bytes, because common syslog
//! receivers cut longer ones and their JSON is then lost whole. Lists shrink until it fits, while
//! the counts beside them stay true.

use crate::shape::{
    Address, Answer, AsnShare, Asns, ClientList, Compare, Countries, CountryShare, Decimal, Dns,
    Event, Flux, Fluxtap, Hosts, Indicator, IpCounts, Life, Line, Network, Observer, Quality,
    Question, Related, Rule, Schema, Servers, Source, Suppression, Tactic, Technique, Term, Threat,
    Ttl, Tunnel, Version, Vlan, Window,
};
use crate::shares::{Shares, judged};
use crate::template::{Addresses, Gap, Template};
use crate::words::{self, bounded, rfc3339};
use crate::{Action, Alert, CampaignSeen, Clients, shape, threats};
use fluxtap_flux::{FluxKind, Severity, TermId};
use fluxtap_intel::{Intel, suffix};
use fluxtap_window::limits::CLIENTS_LISTED_MAX;
use fluxtap_window::{AddressSeen, Counted, Evidence, Spread};
use fluxtap_wire::Timestamp;
use fluxtap_wire::name::{WireText, labels};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io;

/// Longest line in bytes, the line feed included. rsyslog cuts messages at 8,096 by default; a
/// header of its own and a prefix fit beside this.
pub const LINE_OCTETS_MAX: usize = 7_000;

/// The JSON Schema (draft 2020-12) that every line is valid under.
pub const SCHEMA_JSON: &str = include_str!("../../../docs/schema/fluxtap.alert-1.schema.json");

/// Version of the schema: minor for an added field, major for one removed or retyped.
const SCHEMA_VERSION: &str = "1.0.0";

/// Longest observer and interface name and version in bytes as written; longer ones are cut.
pub(crate) const LABEL_OCTETS_MAX: usize = 64;

/// Longest name of an autonomous system's holder in characters.
pub(crate) const ORG_CHARS_MAX: usize = 40;

/// The same in bytes as written, which is more where the name is not plain ASCII.
const ORG_OCTETS_MAX: usize = 80;

/// Where the packets came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A mirror port.
    Live,
    /// Capture files. Their names stay out of the line, so that a copy gives the same line.
    Replay,
}

/// What a line says besides the alert.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Names autonomous systems and curated zones.
    pub intel: &'a Intel,
    /// Name of the sensor.
    pub observer: &'a str,
    /// The mirror port; `None` in replay.
    pub interface: Option<&'a str>,
    /// Where the packets came from.
    pub source: SourceKind,
    /// Counts the lines of the stream from 1, so that a gap shows.
    pub sequence: u64,
    /// Version of the program.
    pub version: &'a str,
    /// Name of the model with its changed settings: see [`fluxtap_flux::model_id`].
    pub model: &'a str,
    /// What is said about the clients that asked.
    pub clients: Clients<'a>,
    /// When the line is written: the time of the packet in replay, the clock's on a mirror port.
    pub created: Timestamp,
}

/// Appends the alert to `out` as one JSON object and a line feed.
///
/// The line is ASCII, has at most [`LINE_OCTETS_MAX`] bytes, depends on nothing but the arguments,
/// and is valid under [`SCHEMA_JSON`].
pub fn write_line(alert: &Alert, context: &Context<'_>, out: &mut Vec<u8>) {
    let names = Names::of(&alert.evidence);
    let shares = Shares::of(&alert.evidence);
    let room = Room::of(alert, context);
    let first = judged(&alert.evidence).take(room.left(Part::Addresses)).map(address);
    let addresses = Addresses::of(first, judged(&alert.evidence).count());
    let mut view = View { alert, context, names: &names, shares: &shares, room };
    let mut template = Template::of(&view.line());
    loop {
        let listed = view.room.left(Part::Addresses);
        let over = template.len(&addresses, listed).saturating_sub(LINE_OCTETS_MAX);
        let given_way = if over > 0 { view.room.shrink(over, &addresses) } else { None };
        match given_way {
            // Nearly always nothing else gives way, and the rest of the line stays what it is.
            Some(Part::Addresses) => {}
            Some(_) => template = Template::of(&view.line()),
            None => return template.fill(&addresses, listed, out),
        }
    }
}

/// Appends a part of a line, or all of it.
pub(crate) fn append_json(part: &impl Serialize, out: &mut Vec<u8>) {
    let mut serializer = serde_json::Serializer::with_formatter(out, Ascii);
    // Fails only where a key is no string or a writer refuses; here are neither.
    part.serialize(&mut serializer).expect("strings and numbers go into memory");
}

/// The parts of a line that can be left out when it would be too long.
#[derive(Clone, Copy)]
enum Part {
    /// Addresses with their facts.
    Addresses,
    /// Autonomous systems whose holder is named.
    Orgs,
    /// Hosts of the domain.
    Hosts,
    /// Names of name servers.
    Servers,
    /// Names in `related.hosts`.
    Related,
    /// Records in `dns.answers`.
    Answers,
    /// Addresses in `dns.resolved_ip` and in `related.ip`.
    Resolved,
    /// Autonomous systems and countries.
    Tops,
    /// The alias target.
    Alias,
    /// The name that was asked, and its part below the domain.
    Asked,
    /// Texts of the terms.
    Texts,
    /// The domain as an indicator; it still stands in `dns.question.registered_domain`.
    Indicator,
    /// Clients, where they are listed.
    Clients,
    /// The tunnel the packets came in.
    Tunnel,
    /// What explains the answers.
    Context,
    /// Hits in threat lists.
    Threats,
    /// Further domains of the campaign.
    Neighbours,
}

/// What a line loses beside the entries when the first addresses are left out: that there are more is
/// said in a byte less, and their number may have a digit less.
const BESIDE_ADDRESSES_OCTETS: usize = 2;

/// How many entries of each [`Part`] are written at most.
struct Room([usize; 17]);

impl Room {
    const FULL: Self = Self([12, 5, 8, 8, 8, 6, 6, 5, 1, 1, 1, 1, CLIENTS_LISTED_MAX, 1, 1, 4, 8]);

    /// What gives way first, and how far; the rows from the second `Addresses` on are only reached
    /// by names of hundreds of escaped bytes.
    const ORDER: [(Part, usize); 25] = [
        (Part::Clients, 4),
        (Part::Addresses, 4),
        (Part::Orgs, 0),
        (Part::Hosts, 1),
        (Part::Servers, 1),
        (Part::Neighbours, 2),
        (Part::Related, 2),
        (Part::Answers, 1),
        (Part::Threats, 1),
        (Part::Addresses, 0),
        (Part::Clients, 0),
        (Part::Alias, 0),
        (Part::Servers, 0),
        (Part::Hosts, 0),
        (Part::Related, 0),
        (Part::Answers, 0),
        (Part::Threats, 0),
        (Part::Neighbours, 0),
        (Part::Texts, 0),
        (Part::Asked, 0),
        (Part::Tops, 0),
        (Part::Resolved, 0),
        (Part::Indicator, 0),
        (Part::Tunnel, 0),
        (Part::Context, 0),
    ];

    /// Room for what there is: giving up what is not there would only cost time.
    fn of(alert: &Alert, context: &Context<'_>) -> Self {
        let mut room = Self::FULL;
        let Self(entries) = &mut room;
        let evidence = &alert.evidence;
        let mut bound = |part, there: usize| {
            let entries = &mut entries[part as usize];
            *entries = there.min(*entries);
        };
        let listed = if context.clients.mode().is_some() { evidence.client_list.len() } else { 0 };
        bound(Part::Clients, listed);
        bound(Part::Hosts, evidence.hosts.len());
        bound(Part::Servers, evidence.server_names.len());
        bound(Part::Related, 2 + evidence.server_names.len());
        for part in [Part::Addresses, Part::Answers, Part::Resolved] {
            bound(part, judged(evidence).take(Self::FULL.left(part)).count());
        }
        bound(Part::Alias, usize::from(evidence.terminal.len() > 1));
        bound(Part::Tunnel, usize::from(evidence.tunnel.is_some()));
        bound(Part::Threats, alert.threats.len());
        bound(Part::Neighbours, alert.campaign.as_ref().map_or(0, |c| c.neighbours.len()));
        room
    }

    const fn left(&self, part: Part) -> usize {
        self.0[part as usize]
    }

    /// Takes away one entry, or as many of the addresses that are listed as must go at least when a
    /// line is `over` bytes too long. What of; `None` if nothing is left to take.
    fn shrink(&mut self, over: usize, addresses: &Addresses) -> Option<Part> {
        let &(part, floor) = Self::ORDER.iter().find(|&&(part, floor)| self.left(part) > floor)?;
        let entries = match part {
            Part::Addresses => {
                addresses.at_least(over.saturating_sub(BESIDE_ADDRESSES_OCTETS), self.left(part))
            }
            _ => 1,
        };
        self.0[part as usize] -= entries.min(self.left(part) - floor);
        Some(part)
    }
}

/// The names of an alert as text, each byte that is not plain as `\DDD`.
struct Names {
    domain: String,
    host: String,
    /// What of the host lies below the domain.
    subdomain: Option<String>,
    suffix: String,
    alias: Option<String>,
    hosts: Vec<String>,
    servers: Vec<String>,
}

impl Names {
    fn of(evidence: &Evidence) -> Self {
        let text = |name: &[u8]| WireText(name).to_string();
        let list = |names: &mut dyn Iterator<Item = &Vec<u8>>, part| -> Vec<String> {
            names.take(Room::FULL.left(part)).map(|name| text(name)).collect()
        };
        Self {
            domain: text(&evidence.domain),
            host: text(&evidence.host),
            subdomain: below(&evidence.host, &evidence.domain),
            suffix: text(public_suffix(&evidence.domain)),
            alias: (evidence.terminal.len() > 1).then(|| text(&evidence.terminal)),
            hosts: list(&mut evidence.hosts.iter().map(|h| &h.name), Part::Hosts),
            servers: list(&mut evidence.server_names.iter(), Part::Servers),
        }
    }
}

/// The labels of `host` below `domain` as text; `None` if it is the domain or lies elsewhere.
fn below(host: &[u8], domain: &[u8]) -> Option<String> {
    let is_below = fluxtap_wire::name::is_at_or_below(host, domain);
    let prefix = host.get(..host.len().checked_sub(domain.len())?)?;
    (is_below && !prefix.is_empty()).then(|| WireText(prefix).to_string())
}

/// What follows the first label of a registrable domain; a name that is no registrable domain is
/// all suffix.
fn public_suffix(domain: &[u8]) -> &[u8] {
    let registrable = suffix::registrable(domain).and_then(|from| domain.get(from..));
    registrable.and_then(|name| name.get(labels(name).next()?.len() + 1..)).unwrap_or(domain)
}

/// Everything one line is made of.
struct View<'a> {
    alert: &'a Alert,
    context: &'a Context<'a>,
    names: &'a Names,
    shares: &'a Shares,
    room: Room,
}

impl<'a> View<'a> {
    fn line(&self) -> Line<'a> {
        Line {
            timestamp: rfc3339(self.alert.at.millis()),
            ecs: Version { version: "8.11.0" },
            message: words::message(self.alert, &self.names.domain),
            event: self.event(),
            rule: self.rule(),
            threat: self.threat(),
            dns: self.dns(),
            network: self.network(),
            related: self.related(),
            observer: self.observer(),
            tags: [self.category(), "dns"],
            fluxtap: self.fluxtap(),
        }
    }

    fn event(&self) -> Event<'a> {
        let alert = self.alert;
        let risk = Decimal(alert.verdict.score.risk());
        Event {
            kind: "alert",
            category: ["network", "intrusion_detection"],
            types: ["info"],
            action: alert.action.as_str(),
            id: event_id(&alert.id, alert.revision, alert.action),
            sequence: self.context.sequence,
            provider: "fluxtap",
            module: "fluxtap",
            dataset: "fluxtap.alert",
            created: rfc3339(self.context.created.millis()),
            start: rfc3339(self.window_start_ms().max(alert.evidence.first_ms)),
            end: seen_at(alert.evidence.last_ms),
            severity: alert.severity.number(),
            risk_score: risk,
            risk_score_norm: risk,
            reason: words::reason(alert, self.room.left(Part::Texts) > 0),
        }
    }

    fn rule(&self) -> Rule<'a> {
        let (id, name) = match self.alert.verdict.kind {
            FluxKind::Rotation => ("fluxtap-ip-rotation", "Fast flux: address rotation"),
            FluxKind::Servers => ("fluxtap-ns-flux", "Fast flux: name-server flux"),
            FluxKind::Single => ("fluxtap-single-flux", "Fast flux: single flux"),
            FluxKind::Double => ("fluxtap-double-flux", "Fast flux: double flux"),
            FluxKind::Intel => ("fluxtap-intel-match", "Threat list: a listed name or address"),
            FluxKind::Rebinding => {
                ("fluxtap-dns-rebinding", "DNS rebinding: into a network and back")
            }
        };
        Rule {
            id,
            name,
            category: self.category(),
            ruleset: "fluxtap-default",
            version: "1",
            reference: "https://www.cisa.gov/news-events/cybersecurity-advisories/aa25-093a",
        }
    }

    fn threat(&self) -> Threat<'a> {
        let evidence = &self.alert.evidence;
        let technique = Technique {
            id: ["T1568"],
            name: ["Dynamic Resolution"],
            subtechnique: Tactic { id: ["T1568.001"], name: ["Fast Flux DNS"] },
        };
        let tactic = Tactic { id: ["TA0011"], name: ["Command and Control"] };
        let listed = self.alert.threats.iter().take(self.room.left(Part::Threats));
        Threat {
            // What a list says by itself shows no technique.
            framework: self.is_flux().then_some("MITRE ATT&CK"),
            tactic: self.is_flux().then_some(tactic),
            technique: self.is_flux().then_some(technique),
            enrichments: listed
                .map(|found| threats::enrichment(found, &self.names.domain))
                .collect(),
            indicator: Indicator {
                kind: "domain-name",
                name: (self.room.left(Part::Indicator) > 0).then_some(&self.names.domain),
                confidence: match self.alert.severity {
                    Severity::Low => "Low",
                    Severity::Medium => "Medium",
                    Severity::High => "High",
                },
                first_seen: seen_at(evidence.first_ms),
                last_seen: seen_at(evidence.last_ms),
                sightings: evidence.responses,
            },
        }
    }

    /// Whether flux was found, and not only a hit in a list, or a name that rebinds.
    fn is_flux(&self) -> bool {
        !self.alert.action.is_told_once()
    }

    fn category(&self) -> &'static str {
        match self.alert.verdict.kind {
            FluxKind::Intel => "threat-intel",
            FluxKind::Rebinding => "dns-rebinding",
            _ => "fast-flux",
        }
    }

    fn dns(&self) -> Dns<'a> {
        let is_asked_told = self.room.left(Part::Asked) > 0;
        let host = is_asked_told.then_some(self.names.host.as_str());
        let answer = |seen: &AddressSeen| Answer {
            name: host,
            rtype: if seen.ip.is_ipv4() { "A" } else { "AAAA" },
            class: "IN",
            ttl: seen.ttl_s,
            data: seen.ip.to_string(),
        };
        Dns {
            kind: "answer",
            response_code: "NOERROR",
            question: Question {
                name: host,
                registered_domain: &self.names.domain,
                subdomain: self.names.subdomain.as_deref().filter(|_| is_asked_told),
                top_level_domain: &self.names.suffix,
                qtype: match self.alert.evidence.qtype {
                    0 => None,
                    1 => Some("A".to_owned()),
                    28 => Some("AAAA".to_owned()),
                    other => Some(format!("TYPE{other}")),
                },
                class: "IN",
            },
            answers: self.newest(Part::Answers).map(answer).collect(),
            resolved_ip: self.resolved(),
        }
    }

    /// The newest judged addresses, as many as the part has room for.
    fn newest(&self, part: Part) -> impl Iterator<Item = &'a AddressSeen> + use<'a> {
        judged(&self.alert.evidence).take(self.room.left(part))
    }

    fn resolved(&self) -> Vec<String> {
        self.newest(Part::Resolved).map(|seen| seen.ip.to_string()).collect()
    }

    fn network(&self) -> Network<'a> {
        let vlan = self.alert.evidence.vlan;
        Network { vlan: (vlan != 0).then(|| Vlan { id: vlan.to_string() }), transport: "udp" }
    }

    fn related(&self) -> Related<'a> {
        let mut hosts: Vec<&str> = Vec::new();
        let own = [&self.names.domain, &self.names.host];
        for name in own.into_iter().chain(&self.names.servers) {
            if hosts.len() < self.room.left(Part::Related) && !hosts.contains(&name.as_str()) {
                hosts.push(name);
            }
        }
        let mut ip = self.resolved();
        if matches!(self.context.clients, Clients::List) {
            let listed = self.clients().map_or_else(Vec::new, |clients| clients.ids);
            ip.extend(listed);
        }
        Related { hosts, ip }
    }

    /// The clients that asked last, as far as the setting lets them be listed.
    fn clients(&self) -> Option<ClientList<'a>> {
        // Where no room is left for a client, their count stands elsewhere in the line.
        let mode = self.context.clients.mode().filter(|_| self.room.left(Part::Clients) > 0)?;
        let evidence = &self.alert.evidence;
        let listed = evidence.client_list.iter().take(self.room.left(Part::Clients));
        let ids: Vec<String> =
            listed.filter_map(|&client| self.context.clients.shown(client)).collect();
        // Clients are counted by estimate, which may be below what is listed.
        let known = evidence.clients.max(evidence.client_list.len() as u32);
        Some(ClientList { mode, more: known.saturating_sub(ids.len() as u32), ids })
    }

    fn observer(&self) -> Observer<'a> {
        let Context { observer, version, interface, .. } = *self.context;
        Observer::new(observer, version, interface)
    }

    fn fluxtap(&self) -> Fluxtap<'a> {
        let is_tunnel_told = self.room.left(Part::Tunnel) > 0;
        let tunnel = self.alert.evidence.tunnel.filter(|_| is_tunnel_told);
        Fluxtap {
            schema: Schema { name: "fluxtap.alert", version: SCHEMA_VERSION },
            alert: self.life(),
            flux: self.flux(),
            terms: self.terms(),
            window: Window {
                seconds: self.alert.subject.window_s,
                start: rfc3339(self.window_start_ms()),
                end: rfc3339(self.window_end_ms()),
                complete: self.alert.subject.is_window_complete,
            },
            evidence: self.evidence(),
            compare: Compare::of(&self.alert.subject.compare),
            quality: self.quality(),
            campaign: self.campaign(),
            suppression: self.suppression(),
            advisory: self.advisory(),
            limits: match self.alert.verdict.kind {
                FluxKind::Intel => {
                    "a list of others names it; says nothing about how the name behaves"
                }
                FluxKind::Rebinding => {
                    "what one client was told of the name; says nothing about what came of it"
                }
                _ => {
                    "flux-like behaviour of the name; says nothing about who owns the addresses or \
                     what was served"
                }
            },
            sensors: [bounded(self.context.observer, LABEL_OCTETS_MAX)],
            source: Source {
                kind: match self.context.source {
                    SourceKind::Live => "live",
                    SourceKind::Replay => "replay",
                },
                tunnel: tunnel.map(|tunnel| Tunnel {
                    kind: tunnel.kind.as_str(),
                    id: tunnel.id.map(|id| id.to_string()),
                }),
                pcap: None,
            },
        }
    }

    fn campaign(&self) -> Option<shape::Campaign<'a>> {
        let CampaignSeen { id, domains, neighbours } = self.alert.campaign.as_ref()?;
        let neighbours = neighbours.iter().take(self.room.left(Part::Neighbours));
        let neighbours = neighbours.map(|name| WireText(name).to_string()).collect();
        Some(shape::Campaign { id, domains: *domains, neighbours })
    }

    fn life(&self) -> Life<'a> {
        let alert = self.alert;
        Life {
            id: &alert.id,
            state: alert.action.state(),
            revision: alert.revision,
            opened: rfc3339(alert.opened.millis()),
            updated: rfc3339(alert.at.millis()),
            closed: alert.closed.map(|at| rfc3339(at.millis())),
            close_reason: match alert.action {
                Action::Ended(reason) => Some(reason.as_str()),
                _ => None,
            },
        }
    }

    fn flux(&self) -> Flux<'a> {
        let verdict = &self.alert.verdict;
        Flux {
            kind: verdict.kind.as_str(),
            severity: self.alert.severity.as_str(),
            confidence: Decimal(verdict.confidence),
            likelihood_ratio: verdict.likelihood_ratio as u32,
            score: Decimal(verdict.score.points()),
            threshold: Decimal(self.alert.threshold.points()),
            ownership_factor: Decimal(verdict.ownership_factor),
            openness_gate: Decimal(verdict.openness_gate),
            model: self.context.model,
        }
    }

    fn terms(&self) -> Vec<Term<'a>> {
        let has_texts = self.room.left(Part::Texts) > 0;
        let subject = &self.alert.subject;
        let terms = self.alert.verdict.terms.iter();
        terms.map(|term| Term::of(term, has_texts.then(|| words::term(term, subject)))).collect()
    }

    fn evidence(&self) -> shape::Evidence<'a> {
        let (subject, evidence) = (&self.alert.subject, &self.alert.evidence);
        let (context, has_context) = (&evidence.context, self.room.left(Part::Context) > 0);
        shape::Evidence {
            responses: evidence.responses,
            clients: evidence.clients,
            names: evidence.names,
            ip: self.ip_counts(),
            asn: self.asns(),
            country: self.countries(),
            ttl: Ttl {
                min: evidence.ttl_s[0],
                p50: evidence.ttl_s[1],
                max: evidence.ttl_s[2],
                basis: if subject.is_ttl_authoritative { "authoritative" } else { "cache_max" },
            },
            ns: self.servers(),
            hosts: Hosts {
                distinct: evidence.hosts.len() as u32,
                names: first(&self.names.hosts, self.room.left(Part::Hosts)),
            },
            alias_target: self.names.alias.as_deref().filter(|_| self.room.left(Part::Alias) > 0),
            addresses: Gap,
            changes: subject.changes,
            refreshes: subject.refreshes,
            replaced: subject.replaced,
            special_use: evidence.special_use,
            subtracted: subject.subtracted.saturating_add(subject.allowed),
            client_subnet: client_subnet(evidence).filter(|_| has_context),
            hints: Some(context.hints)
                .filter(|hints| has_context && hints.responses > 0)
                .map(|hints| shape::Hints { responses: hints.responses, distinct: hints.distinct }),
            dns64: Some(context.dns64_responses)
                .filter(|&responses| has_context && responses > 0)
                .map(|responses| shape::Dns64 { responses }),
            intel: Some(subject.listed.total())
                .filter(|&matched| has_context && matched > 0)
                .map(|matched| shape::Intel { matched, listed: self.alert.threats.len() as u32 }),
            rebinding: self.alert.rebound.as_ref().filter(|_| has_context).map(|rebound| {
                let name = WireText(&rebound.name).to_string();
                shape::Rebinding { name, ip: rebound.ip.to_string(), ttl: rebound.ttl_s }
            }),
            client_list: self.clients(),
        }
    }

    fn ip_counts(&self) -> IpCounts {
        let (subject, shares) = (&self.alert.subject, self.shares);
        let start_s = self.window_start_ms() / 1_000;
        let new = judged(&self.alert.evidence).filter(|a| u64::from(a.first_s) >= start_s).count();
        IpCounts {
            distinct: shares.addresses_v4 + shares.addresses_v6,
            distinct_v4: shares.addresses_v4,
            distinct_v6: shares.addresses_v6,
            networks: subject.spread.networks,
            prefixes: subject.spread.prefixes,
            new_per_hour: Decimal(new as f64 * 3_600.0 / f64::from(subject.window_s.max(1))),
            listed: Gap,
            truncated: Gap,
        }
    }

    fn asns(&self) -> Asns<'a> {
        let org = |number| {
            let name = self.context.intel.org(number)?;
            let end = name.char_indices().nth(ORG_CHARS_MAX).map_or(name.len(), |(at, _)| at);
            Some(bounded(&name[..end], ORG_OCTETS_MAX))
        };
        let top = self.shares.asns.iter().take(self.room.left(Part::Tops)).enumerate();
        Asns {
            distinct: self.alert.subject.spread.asns,
            entropy: Decimal(self.shares.asn_entropy()),
            top: top
                .map(|(rank, &(number, networks))| AsnShare {
                    number,
                    org: org(number).filter(|_| rank < self.room.left(Part::Orgs)),
                    share: Decimal(self.shares.share(networks)),
                })
                .collect(),
        }
    }

    fn countries(&self) -> Countries<'a> {
        let top = self.shares.countries.iter().take(self.room.left(Part::Tops));
        Countries {
            distinct: self.alert.subject.spread.countries,
            top: top
                .filter_map(|(country, networks)| {
                    let share = Decimal(self.shares.share(*networks));
                    Some(CountryShare { iso: country.as_str()?, share })
                })
                .collect(),
        }
    }

    fn servers(&self) -> Servers<'a> {
        let servers = self.alert.servers.as_ref();
        Servers {
            distinct: servers.map_or(0, |s| s.names),
            distinct_ip: servers.map_or(0, |s| s.addresses),
            changes: servers.map_or(0, |s| s.set_changes),
            visible: servers.is_some(),
            names: first(&self.names.servers, self.room.left(Part::Servers)),
        }
    }

    fn quality(&self) -> Quality<'a> {
        let spread = &self.alert.subject.spread;
        let coverage = f64::from(spread.owned) / f64::from(spread.networks.max(1));
        Quality {
            vantage: vantage(&self.alert.evidence),
            queries_visible: self.alert.queries_visible,
            asn_coverage: Decimal(coverage),
            kind_coverage: Decimal(kind_coverage(spread)),
            address_table: self.context.intel.table_info().and_then(|table| table.date),
            observed_loss: self.alert.lacking_percent.map(|it| Decimal(f64::from(it) / 100.0)),
            degraded: degraded(self.alert, self.context),
        }
    }

    fn suppression(&self) -> Suppression<'a> {
        let (intel, evidence) = (self.context.intel, &self.alert.evidence);
        let zone = intel.zone(&evidence.terminal).or_else(|| intel.zone(&evidence.host));
        Suppression {
            allowlisted: self.alert.is_allowlisted,
            cdn_addresses_subtracted: self.alert.subject.subtracted,
            zone: zone.map(|zone| bounded(&zone.name, LABEL_OCTETS_MAX)),
        }
    }

    /// The detection techniques of the advisory (AA25-093A) that the alert rests on.
    fn advisory(&self) -> Vec<&'a str> {
        let has = |ids: &[TermId]| self.alert.verdict.terms.iter().any(|t| ids.contains(&t.id));
        let techniques = [
            ("D1", has(&[TermId::Intelligence])),
            ("D2", self.is_flux()),
            ("D3", has(&[TermId::Ttl])),
            ("D4", has(&[TermId::AutonomousSystems, TermId::Countries])),
            ("D6", self.is_flux()),
        ];
        techniques.into_iter().filter(|(_, applies)| *applies).map(|(name, _)| name).collect()
    }

    fn window_start_ms(&self) -> u64 {
        self.window_end_ms().saturating_sub(1_000 * u64::from(self.alert.subject.window_s))
    }

    /// When the judgement was made that the line tells of. An ended alert tells of the last one
    /// that held, which was made when the domain was last seen.
    fn window_end_ms(&self) -> u64 {
        match (self.alert.action, self.alert.evidence.last_ms) {
            (Action::Ended(_), last_ms) if last_ms > 0 => last_ms,
            // Of a campaign that was formed as well: nothing was judged for it.
            (_, last_ms) if last_ms > 0 && self.alert.is_campaign_news => last_ms,
            _ => self.alert.at.millis(),
        }
    }
}

fn address(seen: &AddressSeen) -> Address<'_> {
    Address {
        ip: seen.ip.to_string(),
        asn: (seen.owner.asn != 0).then_some(seen.owner.asn),
        country: seen.owner.country.as_str(),
        class: seen.owner.class.as_str(),
        first_seen: rfc3339(1_000 * u64::from(seen.first_s)),
        last_seen: rfc3339(1_000 * u64::from(seen.last_s)),
        count: seen.responses,
    }
}

fn client_subnet(evidence: &Evidence) -> Option<shape::ClientSubnet> {
    let Counted { responses, distinct } = evidence.context.client_subnets;
    let share = f64::from(responses) / f64::from(evidence.responses.max(1));
    (responses > 0).then_some(shape::ClientSubnet { responses, share: Decimal(share), distinct })
}

fn first(names: &[String], count: usize) -> Vec<&str> {
    names.iter().take(count).map(String::as_str).collect()
}

/// A time of sight; `None` for a domain whose history is gone.
fn seen_at(millis: u64) -> Option<String> {
    (millis > 0).then(|| rfc3339(millis))
}

/// Whose answers were seen: those of authorities, of caches, or of both.
pub(crate) fn vantage(evidence: &Evidence) -> &'static str {
    match evidence.authoritative {
        0 => "cache",
        authoritative if authoritative >= evidence.responses => "authoritative",
        _ => "mixed",
    }
}

/// Share of the networks whose kind is known.
pub(crate) fn kind_coverage(spread: &Spread) -> f64 {
    let known = spread.access + spread.hosting + spread.education;
    f64::from(known) / f64::from(spread.networks.max(1))
}

/// What the judgement had to do without, as sorted words.
pub(crate) fn degraded(alert: &Alert, context: &Context<'_>) -> Vec<&'static str> {
    let spread = &alert.subject.spread;
    let has_table = context.intel.has_table();
    let words = [
        ("answers_only", alert.queries_visible == Some(false)),
        ("history_truncated", alert.evidence.is_history_cut),
        ("low_asn_coverage", has_table && 2 * spread.owned < spread.networks),
        ("no_address_table", !has_table),
        ("queries_not_paired", alert.queries_visible.is_none()),
    ];
    words.into_iter().filter(|(_, applies)| *applies).map(|(word, _)| word).collect()
}

/// The id of a line, the same whenever and wherever it is written: what a receiver drops
/// duplicates by.
pub(crate) fn event_id(alert_id: &str, revision: u32, action: Action) -> String {
    let digest = Sha256::digest(format!("{alert_id}|{revision}|{}", action.state()));
    hex(&digest[..16])
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes JSON that is all printable ASCII: whatever a terminal, a syslog relay or a reader of
/// right-to-left text could take for more than a letter is escaped.
pub(crate) struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if is_plain(fragment.as_bytes()) {
            return writer.write_all(fragment.as_bytes());
        }
        let is_plain = |c: char| matches!(c, ' '..='~');
        let mut rest = fragment;
        while let Some((at, odd)) = rest.char_indices().find(|&(_, c)| !is_plain(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in odd.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + odd.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    /// No line has bytes of its own: what is written as such is left as it is, see [`Gap`].
    fn write_byte_array<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        value: &[u8],
    ) -> io::Result<()> {
        writer.write_all(value)
    }
}

/// Whether a fragment, which has no control characters below the space, has none above `~` either. Most
/// have some ten bytes: they are looked at by words.
fn is_plain(fragment: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // The highest bit of a byte comes up where it was, or with one more: DEL. One that carries was.
    let odd = |word: [u8; 8]| {
        let word = u64::from_ne_bytes(word);
        (word | word.wrapping_add(ONES)) & ONES << 7
    };
    let (words, rest) = fragment.as_chunks::<8>();
    let odds = words.iter().fold(0, |odds, word| odds | odd(*word));
    match fragment.last_chunk() {
        Some(last) => odds | odd(*last) == 0,
        None => rest.iter().all(|&byte| byte < 0x7f),
    }
}

#[cfg(test)]
mod tests;
