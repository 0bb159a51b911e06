//! Names that go back and forth between addresses inside a network and outside of it, which is how
//! DNS rebinding turns a browser against the network it stands in.
//!
//! One resolver (or authority) tells one client an address inside with a short TTL, then one outside,
//! and then one inside again for the same name, all within [`RETURN_S`]. What else looks so does not
//! come back: split horizon tells a client always the same, a blocklist or a captive portal begins
//! or ends once, and a name that is inside in one family and outside in the other stays so. Loopback
//! and `0.0.0.0` do not count, because blocklists answer so; nor do names that spell the address they
//! have.
//!
//! Nothing is kept of a name before it was answered with an address inside. Limits are those of a
//! partition: [`DOMAINS_MAX`], [`PAIRS_MAX`].

use crate::daily::{Daily, News};
use fluxtap_alert::{Action, Alert, ReboundSeen, rebinding_id};
use fluxtap_flux::{Score, Severity, rebinding};
use fluxtap_intel::{InForce, Intel};
use fluxtap_observe::{Batch, Inside, Observation};
use fluxtap_window::limits::PARTITIONS;
use fluxtap_window::{DomainWindow, LookUps, Subject, WHOLE, partition_of};
use fluxtap_wire::Timestamp;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Most domains of a partition that are watched. Of more one goes of which no name has gone outside yet,
/// as most never do, and of those the one that was answered with an address inside longest ago.
const DOMAINS_MAX: usize = 64;

/// Most names of a domain with who answered whom; likewise.
const PAIRS_MAX: usize = 8;

/// Time within which a name goes out and comes back, in seconds.
const RETURN_S: u64 = 3_600;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Rebinds {
    /// By partition, and by the hash of the domain.
    watched: BTreeMap<usize, BTreeMap<u64, Vec<Watched>>>,
    /// A bit for each partition in which there is anything.
    partitions: u64,
    /// Domains that are to be told of, and were.
    pub(crate) news: Daily<Rebound>,
    /// Domains and names that had to make room.
    pub(crate) evicted: u64,
}

const _: () = assert!(PARTITIONS <= 64, "a bit for each partition");

/// A name that one party answered another with an address inside.
#[derive(Debug)]
struct Watched {
    name: Box<[u8]>,
    responder: IpAddr,
    client: IpAddr,
    is_v6: bool,
    /// When, the last time.
    inside: Timestamp,
    /// Whether an answer with an address outside followed.
    is_outside: bool,
}

/// A domain with a name that came back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rebound {
    domain: Box<[u8]>,
    hash: u64,
    name: Box<[u8]>,
    ip: IpAddr,
    ttl_s: u32,
}

impl Default for Rebound {
    fn default() -> Self {
        let ip = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        Self { domain: Box::default(), hash: 0, name: Box::default(), ip, ttl_s: 0 }
    }
}

impl News for Rebound {
    type Note = ReboundSeen;

    fn domain(&self) -> &[u8] {
        &self.domain
    }

    fn hash(&self) -> u64 {
        self.hash
    }

    fn note(&self) -> ReboundSeen {
        ReboundSeen { name: self.name.to_vec(), ip: self.ip, ttl_s: self.ttl_s }
    }
}

impl Rebinds {
    /// Takes an answer with addresses inside a network; what came back with it, if anything did.
    pub(crate) fn inside(&mut self, inside: &Inside, batch: &Batch) -> Option<Rebound> {
        let (name, domain) = batch.name_inside(inside);
        let partition = partition_of(inside.domain_hash);
        self.partitions |= 1 << partition;
        let domains = self.watched.entry(partition).or_default();
        if !domains.contains_key(&inside.domain_hash) && domains.len() >= DOMAINS_MAX {
            let worth = |watched: &[Watched]| watched.iter().map(Watched::worth).max();
            let least = domains.iter().min_by_key(|(_, watched)| worth(watched));
            let least = least.map(|(hash, _)| *hash);
            least.iter().for_each(|least| drop(domains.remove(least)));
            self.evicted += 1;
        }
        let watched = domains.entry(inside.domain_hash).or_default();
        let parties = (inside.responder, inside.client);
        let is_v6 = inside.address.ip.is_ipv6();
        let is_it = |watched: &&mut Watched| watched.is_of(name, parties) && watched.is_v6 == is_v6;
        if let Some(known) = watched.iter_mut().find(is_it) {
            let is_back = known.is_outside && inside.at.since(known.inside) <= RETURN_S * SECOND;
            (known.inside, known.is_outside) = (inside.at, false);
            return is_back.then(|| Rebound {
                domain: domain.into(),
                hash: inside.domain_hash,
                name: name.into(),
                ip: inside.address.ip,
                ttl_s: inside.address.ttl_s,
            });
        }
        if watched.len() >= PAIRS_MAX {
            let least = watched.iter().enumerate().min_by_key(|(_, watched)| watched.worth());
            let least = least.map_or(0, |(place, _)| place);
            watched.remove(least);
            self.evicted += 1;
        }
        let (responder, client) = parties;
        let name = name.into();
        let inside = inside.at;
        watched.push(Watched { name, responder, client, is_v6, inside, is_outside: false });
        None
    }

    /// Takes what was answered besides; nearly always nothing of the partition is watched.
    #[inline]
    pub(crate) fn outside(&mut self, observation: &Observation, batch: &Batch) {
        let partition = partition_of(observation.domain_hash);
        if self.partitions >> partition & 1 == 1 {
            self.note_outside(partition, observation, batch);
        }
    }

    fn note_outside(&mut self, partition: usize, observation: &Observation, batch: &Batch) {
        let domains = self.watched.get_mut(&partition);
        let Some(watched) = domains.and_then(|d| d.get_mut(&observation.domain_hash)) else {
            return;
        };
        // One answer with addresses of both sorts goes nowhere.
        let addresses = batch.addresses(observation);
        if observation.special_use > 0 {
            return;
        }
        let name = batch.name(observation.asked);
        let parties = (observation.responder, observation.client);
        for watched in watched.iter_mut().filter(|watched| watched.is_of(name, parties)) {
            watched.is_outside |= addresses.iter().any(|a| a.ip.is_ipv6() == watched.is_v6);
        }
    }

    /// Lets go of what cannot come back in time any more.
    pub(crate) fn expire(&mut self, partition: u8, now: Timestamp) {
        let partition = usize::from(partition);
        let Some(domains) = self.watched.get_mut(&partition) else { return };
        domains.retain(|_, watched| {
            watched.retain(|watched| now.since(watched.inside) <= RETURN_S * SECOND);
            !watched.is_empty()
        });
        if domains.is_empty() {
            self.watched.remove(&partition);
            self.partitions &= !(1 << partition);
        }
    }
}

const SECOND: u64 = Timestamp::SECOND;

impl Watched {
    fn is_of(&self, name: &[u8], parties: (IpAddr, IpAddr)) -> bool {
        (self.responder, self.client) == parties && *self.name == *name
    }

    /// What it is worth when room is needed; the least goes first.
    const fn worth(&self) -> (bool, Timestamp) {
        (self.is_outside, self.inside)
    }
}

/// The line about a domain.
pub(crate) fn alert(
    mut window: DomainWindow,
    found: &Rebound,
    at: Timestamp,
    intel: &Intel,
    exempt: &InForce<'_>,
) -> Alert {
    window.look_up_owners(intel, &mut LookUps::default());
    let now_s = u32::try_from(at.secs()).unwrap_or(u32::MAX);
    let subject: Subject = window.whole(now_s, Some(exempt));
    let evidence = window.evidence(WHOLE, subject.window_s, now_s, 1, Some(exempt));
    Alert {
        action: Action::Rebound,
        at,
        id: rebinding_id(window.name(), at),
        revision: 1,
        opened: at,
        closed: None,
        severity: Severity::Low,
        threshold: Score(0),
        verdict: rebinding(),
        subject,
        servers: None,
        evidence,
        threats: Vec::new(),
        campaign: None,
        is_campaign_news: false,
        is_allowlisted: false,
        rebound: Some(found.note()),
        queries_visible: None,
        lacking_percent: None,
    }
}
