//! What lists of what is bad say of a domain: of itself and its names, and of each subject's hosts
//! and addresses.

use crate::domain::DomainWindow;
use crate::features::{Features, LazyNetworks, Part};
use crate::limits::SUBJECTS_MAX;
use crate::subjects;
use fluxtap_intel::{InForce, Indicator, ThreatHit, ThreatLists};
use std::net::IpAddr;

/// Most hits that are kept of a domain, to be shown; the counts beside them are of all.
pub const THREAT_MATCHES_MAX: usize = 64;

/// The whole domain as a subject, whatever of it can be judged.
pub const WHOLE: (Part, u16) = (Part::Answers, u16::MAX - 1);

/// The bit of what is said of the domain, and so of its name servers too.
const OF_DOMAIN: u32 = 1 << 31;

/// What was found on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// The registrable domain.
    Domain,
    /// A host of it, wire form.
    Host(Vec<u8>),
    /// The name outside the domain that it is an alias of, wire form.
    Alias(Vec<u8>),
    /// One of its name servers, wire form.
    Server(Vec<u8>),
    /// An address of a name server.
    ServerAddress(IpAddr),
    /// An address.
    Address(IpAddr),
    /// The autonomous system of an address.
    System(u32),
}

/// One hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreatMatch {
    /// What was found.
    pub matched: Matched,
    /// On which list, by which entry.
    pub hit: ThreatHit,
}

/// How much of one subject is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The domain, or a host of the subject.
    pub is_named: bool,
    /// Names that it leads to: the alias target, and name servers by name or address.
    pub names: u32,
    /// Addresses.
    pub addresses: u32,
    /// Further addresses, whose autonomous system is.
    pub of_systems: u32,
}

impl Listed {
    /// Everything that is listed.
    #[must_use]
    pub fn total(self) -> u32 {
        u32::from(self.is_named) + self.names + self.addresses + self.of_systems
    }
}

/// All that lists say of a domain at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Threats {
    whole: Listed,
    /// What is said of the domain and of its name servers.
    servers: Listed,
    /// By number of the subject.
    listed: Vec<Listed>,
    /// Each with a bit for every subject that it is about.
    matches: Vec<(u32, ThreatMatch)>,
}

impl Threats {
    /// Whether nothing is listed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.matches.is_empty()
    }

    /// How much of a subject is listed, or of [`WHOLE`]; of one that is not among those that were
    /// looked at, nothing.
    #[must_use]
    pub fn listed(&self, subject: (Part, u16)) -> Listed {
        match subject {
            WHOLE => self.whole,
            (Part::Servers, _) => self.servers,
            (Part::Answers, index) => {
                self.listed.get(usize::from(index)).copied().unwrap_or_default()
            }
        }
    }

    /// The hits of a subject, or of [`WHOLE`]: of the domain, its hosts, what they lead to, then of
    /// the addresses as they were first seen.
    pub fn of_subject(&self, subject: (Part, u16)) -> impl Iterator<Item = &ThreatMatch> {
        let bit = match subject {
            (Part::Servers, _) => OF_DOMAIN,
            (Part::Answers, index) => 1_u32.checked_shl(index.into()).unwrap_or(0),
        };
        let is_of = move |subjects: u32| subject == WHOLE || subjects & bit != 0;
        self.matches.iter().filter(move |found| is_of(found.0)).map(|(_, found)| found)
    }
}

impl Features {
    /// Notes how much of each subject is listed.
    pub fn note_threats(&mut self, threats: &Threats) {
        for subject in self.subjects.iter_mut().filter(|_| !threats.is_empty()) {
            subject.listed = threats.listed(subject.key());
        }
    }
}

/// What a hit is about.
enum About {
    Domain,
    Host(usize),
    Entry(usize),
}

impl DomainWindow {
    /// Takes a name for the end of its aliases, where none is known: that of a domain that never
    /// changed is not kept.
    pub fn assume_alias(&mut self, target: &[u8]) {
        if self.terminal.len() <= 1 {
            self.terminal = target.into();
        }
    }

    /// What the lists say at `now_s` of the domain and of its subjects with at least
    /// `addresses_min` addresses, without what entries in `exempt` cover. Addresses of content
    /// networks say nothing: strangers share them.
    #[must_use]
    pub fn threats(
        &self,
        lists: &ThreatLists,
        now_s: u32,
        addresses_min: usize,
        exempt: Option<&InForce<'_>>,
    ) -> Threats {
        if lists.is_empty() {
            return Threats::default();
        }
        let at_s = u64::from(now_s);
        let mut found: Vec<(About, Matched, Vec<ThreatHit>)> = Vec::new();
        let mut push = |about, matched, hits: Vec<ThreatHit>| {
            if !hits.is_empty() {
                found.push((about, matched, hits));
            }
        };
        push(About::Domain, Matched::Domain, lists.name(&self.name, at_s));
        let track = &self.answers;
        let has_names_below = lists.has_below(&self.name);
        for (i, host) in track.hosts.iter().enumerate().filter(|_| has_names_below) {
            let name = [track.host_name(host), &self.name].concat();
            // What the domain is listed for was told of the domain.
            if name != *self.name {
                let mut hits = lists.name(&name, at_s);
                hits.retain(
                    |hit| !matches!(&hit.indicator, Indicator::Name(n, _) if **n == *self.name),
                );
                push(About::Host(i), Matched::Host(name), hits);
            }
        }
        if self.terminal.len() > 1 {
            let hits = lists.name(&self.terminal, at_s);
            push(About::Domain, Matched::Alias(self.terminal.to_vec()), hits);
        }
        for servers in self.servers.iter().map(|servers| &servers.track) {
            for host in &servers.hosts {
                let name = servers.host_name(host).to_vec();
                let hits = lists.name(&name, at_s);
                push(About::Domain, Matched::Server(name), hits);
            }
            for entry in servers.entries.iter().filter(|_| lists.has_addresses()) {
                if entry.allowed_by(exempt).is_none() {
                    let hits = lists.address(entry.ip(), 0, at_s);
                    push(About::Domain, Matched::ServerAddress(entry.ip()), hits);
                }
            }
        }
        for (i, entry) in track.entries.iter().enumerate().filter(|_| lists.has_addresses()) {
            if !entry.is_edge() && entry.allowed_by(exempt).is_none() {
                let hits = lists.address(entry.ip(), entry.owner.asn, at_s);
                push(About::Entry(i), Matched::Address(entry.ip()), hits);
            }
        }
        if found.is_empty() {
            Threats::default()
        } else {
            self.sorted(found, addresses_min, exempt)
        }
    }

    /// The hits by subject.
    fn sorted(
        &self,
        found: Vec<(About, Matched, Vec<ThreatHit>)>,
        addresses_min: usize,
        exempt: Option<&InForce<'_>>,
    ) -> Threats {
        let track = &self.answers;
        let networks = LazyNetworks::of(track, exempt);
        let members = subjects::split(Part::Answers, track, &networks, addresses_min, exempt);
        let all = OF_DOMAIN | ((1_u32 << members.len().min(SUBJECTS_MAX)) - 1);
        let (mut of_host, mut of_entry) =
            (vec![0_u32; track.hosts.len()], vec![0_u32; track.entries.len()]);
        for (number, member) in members.iter().enumerate() {
            for run in member.runs.iter().map(|&i| &track.runs[i as usize]) {
                if let Some(bits) = of_host.get_mut(usize::from(run.host)) {
                    *bits |= 1 << number;
                }
                track.set(run).iter().for_each(|&e| of_entry[usize::from(e)] |= 1 << number);
            }
        }
        let mut threats =
            Threats { listed: vec![Listed::default(); members.len()], ..Threats::default() };
        for (about, matched, hits) in found {
            let subjects = match about {
                About::Domain => all,
                About::Host(i) => of_host[i],
                About::Entry(i) => of_entry[i],
            };
            let is_of_system = hits.iter().all(|hit| matches!(hit.indicator, Indicator::Asn(_)));
            threats.whole.count(&matched, is_of_system);
            if subjects & OF_DOMAIN != 0 {
                threats.servers.count(&matched, is_of_system);
            }
            for (number, listed) in threats.listed.iter_mut().enumerate() {
                if subjects >> number & 1 == 1 {
                    listed.count(&matched, is_of_system);
                }
            }
            for hit in hits {
                threats.keep(&matched, hit, subjects);
            }
        }
        threats
    }
}

impl Listed {
    fn count(&mut self, matched: &Matched, is_of_system: bool) {
        match matched {
            Matched::Domain | Matched::Host(_) => self.is_named = true,
            Matched::Alias(_) | Matched::Server(_) | Matched::ServerAddress(_) => self.names += 1,
            Matched::Address(_) if is_of_system => self.of_systems += 1,
            Matched::Address(_) | Matched::System(_) => self.addresses += 1,
        }
    }
}

impl Threats {
    /// Keeps a hit to be shown; a system once, however many addresses it has.
    fn keep(&mut self, matched: &Matched, hit: ThreatHit, subjects: u32) {
        let matched = match hit.indicator {
            Indicator::Asn(number) => Matched::System(number),
            _ => matched.clone(),
        };
        let found = ThreatMatch { matched, hit };
        if let Some((known, _)) = self.matches.iter_mut().find(|(_, known)| *known == found) {
            *known |= subjects;
        } else if self.matches.len() < THREAT_MATCHES_MAX {
            self.matches.push((subjects, found));
        }
    }
}
