//! What of a domain's history an alert shows, and what of it was left out.

use crate::context::ContextSeen;
use crate::domain::DomainWindow;
use crate::features::{LazyNetworks, Part};
use crate::subjects;
use crate::threats::WHOLE;
use crate::track::{Run, Track, ZONE_NONE};
use fluxtap_intel::{InForce, Owner};
use fluxtap_wire::Tunnel;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What an alert shows beside the numbers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The domain, wire form.
    pub domain: Vec<u8>,
    /// The host with the most changes in the subject, wire form; the domain if there is none, as
    /// with names that were seen once each.
    pub host: Vec<u8>,
    /// Registrable domain's alias target outside the domain, wire form, empty if none.
    pub terminal: Vec<u8>,
    /// Type of the last changed answer: 1 (A) or 28 (AAAA).
    pub qtype: u16,
    /// First and last sight of the domain in milliseconds since the epoch.
    pub first_ms: u64,
    /// See `first_ms`.
    pub last_ms: u64,
    /// Responses seen.
    pub responses: u32,
    /// Distinct clients, estimated.
    pub clients: u32,
    /// The clients that asked last, the last one first; empty unless they are kept.
    pub client_list: Vec<IpAddr>,
    /// Distinct names asked, estimated.
    pub names: u32,
    /// Special-use addresses that were answered and left out.
    pub special_use: u32,
    /// What explains the answers without being evidence.
    pub context: ContextSeen,
    /// Responses with AA=1 and RA=0.
    pub authoritative: u32,
    /// Outermost VLAN id of the last response, 0 for none.
    pub vlan: u16,
    /// Outermost tunnel of the last response.
    pub tunnel: Option<Tunnel>,
    /// Addresses of the subject in the window, newest first, then by address.
    pub addresses: Vec<AddressSeen>,
    /// Hosts of the domain in the subject, most changes first.
    pub hosts: Vec<HostSeen>,
    /// Name-server names, sorted.
    pub server_names: Vec<Vec<u8>>,
    /// Lowest, median and highest TTL in seconds over the refreshes.
    pub ttl_s: [u32; 3],
    /// Whether the history lost runs to a limit inside the window.
    pub is_history_cut: bool,
}

/// What of a domain's history is left out of the evidence, by the entry that explains it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Address sets behind a curated zone, by its number.
    pub zones: BTreeMap<u16, u32>,
    /// Addresses of content networks, by autonomous system.
    pub edges: BTreeMap<u32, u32>,
    /// Address sets under names that the allow list covers, by entry.
    pub allowed_sets: BTreeMap<u16, u32>,
    /// Addresses that the allow list covers, by entry.
    pub allowed_addresses: BTreeMap<u16, u32>,
}

/// One address of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressSeen {
    /// The address.
    pub ip: IpAddr,
    /// Who announces it; not written down, because another table may be there when it is read again.
    #[serde(skip)]
    pub owner: Owner,
    /// First and last sight in seconds since the epoch.
    pub first_s: u32,
    /// See `first_s`.
    pub last_s: u32,
    /// Responses that offered it.
    pub responses: u32,
    /// TTL in seconds with which it was offered last.
    pub ttl_s: u32,
}

/// One host of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSeen {
    /// Its name, wire form.
    pub name: Vec<u8>,
    /// Runs of one address set.
    pub runs: u16,
}

impl DomainWindow {
    /// What an alert about a subject, by its part and its position, or about [`WHOLE`], in a window
    /// shows, if it was measured with `exempt`.
    #[must_use]
    pub fn evidence(
        &self,
        (part, index): (Part, u16),
        window_s: u32,
        now_s: u32,
        addresses_min: usize,
        exempt: Option<&InForce<'_>>,
    ) -> Evidence {
        let from_s = now_s.saturating_sub(window_s);
        let servers = self.servers.as_deref().map(|servers| &servers.track);
        let (track, suffix) = match (part, servers) {
            (Part::Servers, Some(track)) => (track, &[][..]),
            _ => (&self.answers, &self.name[..]),
        };
        let networks = LazyNetworks::of(track, exempt);
        let members = subjects::split(part, track, &networks, addresses_min, exempt);
        let runs: Vec<&Run> = match members.get(usize::from(index)) {
            Some(member) => member
                .runs
                .iter()
                .map(|&i| &track.runs[i as usize])
                .filter(|r| r.seen_s >= from_s)
                .collect(),
            None if (part, index) == WHOLE => {
                let runs = track.runs.iter().filter(|run| !run.is_explained(exempt));
                runs.filter(|run| run.seen_s >= from_s).collect()
            }
            None => Vec::new(),
        };
        let mut hosts: Vec<HostSeen> = runs
            .iter()
            .filter_map(|r| track.hosts.get(usize::from(r.host)))
            .map(|h| HostSeen { name: [track.host_name(h), suffix].concat(), runs: h.runs })
            .collect();
        hosts.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.name.cmp(&b.name)));
        hosts.dedup();
        let host = hosts.first().map_or_else(|| self.name.to_vec(), |h| h.name.clone());
        let mut server_names: Vec<Vec<u8>> = servers.map_or_else(Vec::new, |track| {
            track.hosts.iter().map(|h| track.host_name(h).to_vec()).collect()
        });
        server_names.sort();
        Evidence {
            domain: self.name.to_vec(),
            host,
            terminal: self.terminal.to_vec(),
            qtype: runs
                .last()
                .filter(|_| part == Part::Servers)
                .map_or(self.qtype, |run| if run.is_v6 { 28 } else { 1 }),
            first_ms: self.first_ms,
            last_ms: self.last_ms,
            responses: self.responses,
            clients: self.clients(),
            client_list: self.listed.as_ref().map_or_else(Vec::new, |c| c.as_slice().to_vec()),
            names: self.names(),
            special_use: self.special_use,
            context: self.context.as_ref().map_or_else(ContextSeen::default, |c| c.seen()),
            authoritative: self.authoritative,
            vlan: self.vlan,
            tunnel: self.tunnel,
            addresses: addresses_seen(track, &runs, exempt),
            hosts,
            server_names,
            ttl_s: ttl_quantiles(&runs),
            is_history_cut: track.runs_forgotten > 0 && track.forgotten_until_s >= from_s,
        }
    }

    /// The entries in `exempt` that cover a name or an address in the history, each once, by
    /// position. An entry that covers the whole domain is not among them.
    #[must_use]
    pub fn exempted(&self, exempt: &InForce<'_>) -> BTreeSet<u16> {
        let servers = self.servers.as_deref().map(|servers| &servers.track);
        let tracks = std::iter::once(&self.answers).chain(servers);
        let exempt = Some(exempt);
        tracks
            .flat_map(|track| {
                let runs = track.runs.iter().filter_map(|run| run.allowed_by(exempt));
                runs.chain(track.entries.iter().filter_map(|entry| entry.allowed_by(exempt)))
            })
            .collect()
    }

    /// What of the history is left out of the evidence, and which list says so.
    #[must_use]
    pub fn left_out(&self, exempt: Option<&InForce<'_>>) -> LeftOut {
        let mut left_out = LeftOut::default();
        for run in &self.answers.runs {
            if run.zone != ZONE_NONE {
                *left_out.zones.entry(run.zone).or_default() += 1;
            } else if let Some(entry) = run.allowed_by(exempt) {
                *left_out.allowed_sets.entry(entry).or_default() += 1;
            }
        }
        for entry in &self.answers.entries {
            if let Some(allowed) = entry.allowed_by(exempt) {
                *left_out.allowed_addresses.entry(allowed).or_default() += 1;
            } else if entry.is_edge() {
                *left_out.edges.entry(entry.owner.asn).or_default() += 1;
            }
        }
        left_out
    }
}

fn addresses_seen(track: &Track, runs: &[&Run], exempt: Option<&InForce<'_>>) -> Vec<AddressSeen> {
    let mut seen: BTreeMap<u16, AddressSeen> = BTreeMap::new();
    for run in runs {
        for &index in track.set(run) {
            let entry = &track.entries[usize::from(index)];
            if entry.allowed_by(exempt).is_some() {
                continue;
            }
            let address = seen.entry(index).or_insert(AddressSeen {
                ip: entry.ip(),
                owner: entry.owner,
                first_s: entry.first_s,
                last_s: run.seen_s,
                responses: 0,
                ttl_s: run.ttl_s,
            });
            address.responses = address.responses.saturating_add(run.responses);
            if run.seen_s >= address.last_s {
                address.last_s = run.seen_s;
                address.ttl_s = run.ttl_s;
            }
        }
    }
    let mut list: Vec<AddressSeen> = seen.into_values().collect();
    list.sort_by(|a, b| b.last_s.cmp(&a.last_s).then(a.ip.cmp(&b.ip)));
    list
}

fn ttl_quantiles(runs: &[&Run]) -> [u32; 3] {
    let mut highest: Vec<u32> = runs.iter().map(|r| r.ttl_s).collect();
    highest.sort_unstable();
    let lowest = runs.iter().map(|r| r.ttl_min_s).min().unwrap_or(0);
    let median = highest.get(highest.len() / 2).copied().unwrap_or(0);
    [lowest, median, highest.last().copied().unwrap_or(0)]
}
