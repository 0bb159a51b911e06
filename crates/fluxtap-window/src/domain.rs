//! The state of one registrable domain.

use crate::clients::Clients;
use crate::context::ContextWindow;
use crate::saved::Renumber;
use crate::track::{
    Alias, Fill, MARK_NONE, Outcome, Track, ZONE_NONE, bits_of, mix, spilled_bytes,
};
use fluxtap_intel::{Intel, sinkhole, suffix};
use fluxtap_memory::fetch;
use fluxtap_observe::{Batch, Observation, Server, Vantage};
use fluxtap_wire::Tunnel;
use fluxtap_wire::name::is_at_or_below;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The state of one registrable domain: the history of its addresses, and of its name servers'.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DomainWindow {
    pub(crate) name: SmallVec<[u8; 32]>,
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
    pub(crate) answers: Track,
    /// Name servers: the host is the server's name, the addresses are its glue.
    pub(crate) servers: Option<Box<Servers>>,
    /// Linear-counting bitmap of the clients that asked.
    pub(crate) clients: u128,
    /// The same of the names asked.
    pub(crate) names: u128,
    /// The clients that asked last, once the domain changes and if they are wanted.
    pub(crate) listed: Option<Box<Clients>>,
    /// What explains its answers, once there is anything.
    pub(crate) context: Option<Box<ContextWindow>>,
    pub(crate) responses: u32,
    pub(crate) special_use: u32,
    pub(crate) authoritative: u32,
    pub(crate) vlan: u16,
    pub(crate) tunnel: Option<Tunnel>,
    pub(crate) qtype: u16,
    /// The end of the last chain that led outside this domain, kept once addresses change.
    pub(crate) terminal: Box<[u8]>,
    /// Hash of the first name servers seen with their addresses; 0 before that.
    pub(crate) servers_hash: u32,
    /// Set by the judge's verdict; what has evidence is evicted last.
    pub(crate) rank: Rank,
    /// Whether the last judgement called it a pool.
    pub(crate) is_pool: bool,
    /// Whether the domain waits to be judged.
    pub(crate) is_queued: bool,
    pub(crate) next_judged_s: u32,
}

/// What is known of a domain's name servers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Servers {
    pub(crate) track: Track,
    /// Hashes of the name sets, in order of first sight.
    pub(crate) sets: Vec<u64>,
    /// When the set of names came up that came up last, if they are those of a sinkhole; else 0.
    pub(crate) sinkholed_s: u32,
    /// How often the set of names changed to one that was not known.
    pub(crate) set_changes: u32,
    /// Hashes of the labels in front of the domain of servers that have their names in it, to know
    /// them where somebody looks their addresses up; the last ones.
    pub(crate) own_hosts: SmallVec<[u32; 4]>,
}

/// Hosts from which on a domain may be judged though none of them changed: names seen once each are
/// taken together, and it takes three agreements to do so.
pub(crate) const HOSTS_WORTH_JUDGING: usize = 4;

/// Name-server sets remembered per domain.
const SERVER_SETS_MAX: usize = 16;

/// How long after a domain was led into a sinkhole caches may still bring up other sets, in seconds.
const SINKHOLED_GRACE_S: u32 = 3_600;

/// Name servers within the domain that are known by their names.
const OWN_HOSTS_MAX: usize = 16;

/// What a domain is worth when room is needed; the least goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rank {
    /// Nothing speaks for it.
    #[default]
    Plain,
    /// Its addresses changed a few times.
    Changing,
    /// It scored above half of the lowest threshold.
    Suspect,
    /// It has an open alert.
    Alerted,
}

/// What look-ups of owners came to. An address is looked up once for each domain that is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookUps {
    /// Addresses looked up.
    pub addresses: u64,
    /// Of these, addresses whose autonomous system is known.
    pub with_owner: u64,
    /// Addresses of content networks, by autonomous system; as many as the address table has of
    /// that kind at most.
    pub edges: BTreeMap<u32, u64>,
}

impl LookUps {
    /// Adds what other look-ups came to.
    pub fn add(&mut self, other: &Self) {
        self.addresses += other.addresses;
        self.with_owner += other.with_owner;
        for (&asn, edges) in &other.edges {
            *self.edges.entry(asn).or_default() += edges;
        }
    }
}

impl DomainWindow {
    pub(crate) fn new(name: &[u8], at_ms: u64) -> Self {
        Self {
            name: SmallVec::from_slice(name),
            first_ms: at_ms,
            last_ms: at_ms,
            answers: Track::default(),
            servers: None,
            clients: 0,
            names: 0,
            listed: None,
            context: None,
            responses: 0,
            special_use: 0,
            authoritative: 0,
            vlan: 0,
            tunnel: None,
            qtype: 0,
            terminal: Box::default(),
            servers_hash: 0,
            rank: Rank::Plain,
            is_pool: false,
            is_queued: false,
            next_judged_s: 0,
        }
    }

    /// The registrable domain in lower-case wire form.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// When it was seen last, in milliseconds since the epoch.
    #[must_use]
    pub const fn last_ms(&self) -> u64 {
        self.last_ms
    }

    /// Earliest second at which it may be judged again.
    #[must_use]
    pub const fn next_judged_s(&self) -> u32 {
        self.next_judged_s
    }

    /// Whether it could possibly have evidence: fewer addresses than the floor of the model, or a
    /// few hosts none of which ever changed, are not worth a judgement. The same of its name servers.
    #[must_use]
    pub fn is_worth_judging(&self, addresses_min: usize) -> bool {
        let are_servers_worth = |servers: &Servers| {
            servers.track.is_changing && servers.track.entries.len() >= addresses_min
        };
        self.could_change() && self.answers.entries.len() >= addresses_min
            || self.servers.as_deref().is_some_and(are_servers_worth)
    }

    fn could_change(&self) -> bool {
        self.answers.is_changing || self.answers.hosts.len() >= HOSTS_WORTH_JUDGING
    }

    /// See [`crate::Table::renumber`].
    pub(crate) fn renumber(&mut self, numbers: &Renumber) {
        self.answers.renumber(numbers);
        self.answers.forget_owners();
        if let Some(servers) = &mut self.servers {
            servers.track.renumber(numbers);
            servers.track.forget_owners();
        }
    }

    /// Looks up who owns the addresses, as far as that was not done before, and adds what came of
    /// it to `counts`.
    pub fn look_up_owners(&mut self, intel: &Intel, counts: &mut LookUps) {
        self.answers.look_up_owners(intel, counts);
        if let Some(servers) = &mut self.servers {
            servers.track.look_up_owners(intel, counts);
        }
    }

    /// Notes the outcome of a judgement: when the next may come, how dear the domain is when room
    /// is needed, and whether it looks like a pool. True if it newly does.
    pub const fn set_judged(&mut self, next_judged_s: u32, rank: Rank, is_pool: bool) -> bool {
        let is_new_pool = is_pool && !self.is_pool;
        self.next_judged_s = next_judged_s;
        self.rank = rank;
        self.is_pool |= is_pool;
        is_new_pool
    }

    /// Whether its name servers are those of a sinkhole by now, all of them, and no set of addresses
    /// came up since, but for an hour in which caches run out: who names such servers and goes on has
    /// gained nothing.
    #[must_use]
    pub fn is_sinkholed(&self) -> bool {
        let since_s = self.servers.as_deref().map_or(0, |servers| servers.sinkholed_s);
        let newest_s = self.answers.runs.iter().map(|run| run.first_s).max().unwrap_or(0);
        since_s > 0 && newest_s <= since_s + SINKHOLED_GRACE_S
    }

    /// How dear the domain is when room is needed.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        self.rank
    }

    /// Sets of the domain's history, which a judgement's cost grows with.
    #[must_use]
    pub fn history_len(&self) -> u32 {
        let of_servers = self.servers.as_ref().map_or(0, |s| s.track.runs.len());
        (self.answers.runs.len() + of_servers) as u32
    }

    /// Number of responses seen.
    #[must_use]
    pub const fn responses(&self) -> u32 {
        self.responses
    }

    /// Distinct clients, by linear counting (Whang et al. 1990) over 128 bits: exact to a few,
    /// within 10 % up to 150, at most 621.
    #[must_use]
    pub fn clients(&self) -> u32 {
        linear_count(self.clients)
    }

    /// Distinct names asked, counted likewise.
    #[must_use]
    pub fn names(&self) -> u32 {
        linear_count(self.names)
    }

    /// Whether it could have come about; see [`crate::Table::load`].
    pub(crate) fn is_sound(&self) -> bool {
        let is_name = fluxtap_wire::Name::from_wire(&self.name).is_some();
        let clients = self.listed.as_deref().is_none_or(Clients::is_sound);
        let servers = self.servers.as_deref();
        let servers = servers.is_none_or(|s| s.track.is_sound() && s.sets.len() <= SERVER_SETS_MAX);
        is_name && clients && servers && self.answers.is_sound()
    }

    /// Has the hosts fetched into the nearest cache, and what taking in an answer needs of the name
    /// servers.
    pub(crate) fn fetch_hosts(&self) {
        if let Some(servers) = self.servers.as_deref() {
            fetch(&servers.own_hosts);
        }
        self.answers.fetch_hosts();
    }

    /// The same with the run that an observation is nearly always of.
    pub(crate) fn fetch_run(&self, observation: &Observation, batch: &Batch, key: u64) {
        if let Some(address) = batch.addresses(observation).first() {
            let host_hash = hash_bytes(self.front(batch.name(observation.host)), key);
            self.answers.fetch_run(host_hash, address.ip.is_ipv6());
        }
    }

    /// The labels of a name of the domain that stand in front of it.
    fn front<'a>(&self, name: &'a [u8]) -> &'a [u8] {
        &name[..name.len() - self.name.len().min(name.len())]
    }

    /// Bytes held, the entry itself included.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + spilled_bytes(&self.name)
            + self.terminal.len()
            + self.listed.as_ref().map_or(0, |_| size_of::<Clients>())
            + self.context.as_ref().map_or(0, |_| size_of::<ContextWindow>())
            + self.answers.heap_bytes()
            + self.servers.as_ref().map_or(0, |s| {
                size_of::<Servers>()
                    + s.track.heap_bytes()
                    + s.sets.capacity() * size_of::<u64>()
                    + spilled_bytes(&s.own_hosts)
            })
    }

    /// Takes an observation in; `ips` is scratch. Returns the strongest outcome of its parts.
    /// With `lists_clients` the clients are kept as soon as the domain could have evidence.
    pub(crate) fn apply(
        &mut self,
        observation: &Observation,
        batch: &Batch,
        key: u64,
        lists_clients: bool,
        ips: &mut Vec<u128>,
    ) -> Outcome {
        if let Some(context) = batch.context(observation) {
            // Hints alone are no answer.
            let is_answer =
                !batch.addresses(observation).is_empty() || !batch.servers(observation).is_empty();
            self.context.get_or_insert_default().note(context, is_answer, batch, key);
            if !is_answer {
                return Outcome::Known;
            }
        }
        let at_ms = observation.at.millis();
        self.last_ms = self.last_ms.max(at_ms);
        self.responses = self.responses.saturating_add(1);
        self.special_use = self.special_use.saturating_add(u32::from(observation.special_use));
        (self.vlan, self.tunnel) = (observation.vlan, observation.tunnel);
        let is_authoritative = observation.vantage == Vantage::Authoritative;
        self.authoritative = self.authoritative.saturating_add(u32::from(is_authoritative));
        self.clients |= 1 << (hash_ip(observation.client, key) % 128);
        // The host inside the domain, told by the labels in front of it.
        let host = self.front(batch.name(observation.host));
        let host_hash = hash_bytes(host, key);
        let asked_hash = if observation.asked == observation.host {
            host_hash
        } else {
            hash_bytes(self.front(batch.name(observation.asked)), key)
        };
        self.names |= 1 << (asked_hash % 128);
        let mut strongest = self.apply_answers(observation, batch, (host, host_hash), key, ips);
        if !batch.servers(observation).is_empty() && self.are_servers_kept(observation, batch, key)
        {
            strongest = strongest.max(self.apply_servers(observation, batch, key, ips));
        }
        if lists_clients && (self.listed.is_some() || self.could_change()) {
            self.listed.get_or_insert_with(|| Box::new(Clients::new())).note(observation.client);
        }
        strongest
    }

    fn apply_answers(
        &mut self,
        observation: &Observation,
        batch: &Batch,
        (host, host_hash): (&[u8], u64),
        key: u64,
        ips: &mut Vec<u128>,
    ) -> Outcome {
        let addresses = batch.addresses(observation);
        let observer = hash_ip(observation.observer(), key) as u32;
        let mut strongest = Outcome::Known;
        for is_v6 in [false, true] {
            let mut ttl_s = u32::MAX;
            ips.clear();
            for address in addresses.iter().filter(|a| a.ip.is_ipv6() == is_v6) {
                ips.push(bits_of(address.ip));
                ttl_s = ttl_s.min(address.ttl_s);
            }
            if ips.is_empty() {
                continue;
            }
            let fill = Fill {
                host,
                host_hash,
                ips: unique(ips),
                is_v6,
                is_partial: observation.is_truncated,
                is_authoritative: observation.vantage == Vantage::Authoritative,
                ttl_s,
                at_ms: observation.at.millis(),
                observer,
                zone: observation.zone.unwrap_or(ZONE_NONE),
                mark: observation.allow_mark.unwrap_or(MARK_NONE),
                key,
            };
            let mut outcome = self.answers.apply(&fill);
            if outcome == Outcome::Changed {
                self.qtype = if is_v6 { 28 } else { 1 };
                if observation.terminal != observation.asked && self.could_change() {
                    self.note_alias(observation, batch, key);
                }
            }
            // A server's address that somebody looked up is what glue would say of it.
            if let Some(servers) = self.servers.as_deref_mut()
                && servers.own_hosts.contains(&(fill.host_hash as u32))
            {
                let name = batch.name(observation.host);
                let host_hash = hash_bytes(name, key);
                outcome = outcome.max(servers.track.apply(&Fill { host: name, host_hash, ..fill }));
            }
            strongest = strongest.max(outcome);
        }
        strongest
    }

    /// Notes the alias along which the newest set came.
    fn note_alias(&mut self, observation: &Observation, batch: &Batch, key: u64) {
        let terminal = batch.name(observation.terminal);
        let alias = if observation.terminal == observation.host {
            Alias::from(hash_bytes(batch.name(observation.asked), key))
        } else {
            replace(&mut self.terminal, terminal);
            let registrable = suffix::registrable(terminal).and_then(|at| terminal.get(at..));
            Alias::out(hash_bytes(registrable.unwrap_or(terminal), key))
        };
        self.answers.note_alias(alias);
    }

    /// Whether the name servers are worth a history: not while they and the domain's addresses
    /// are as they were first seen, which is all there ever is to most domains.
    fn are_servers_kept(&mut self, observation: &Observation, batch: &Batch, key: u64) -> bool {
        if self.servers.is_some() || self.answers.is_changing {
            return true;
        }
        let hash = servers_hash(batch.servers(observation), batch, key);
        if self.servers_hash == 0 {
            self.servers_hash = hash;
        }
        self.servers_hash != hash
    }

    fn apply_servers(
        &mut self,
        observation: &Observation,
        batch: &Batch,
        key: u64,
        ips: &mut Vec<u128>,
    ) -> Outcome {
        let at_ms = observation.at.millis();
        let servers = self.servers.get_or_insert_with(Box::default);
        // Who runs the zone that was asked runs its servers; where an alias leads says nothing of them.
        let is_asked = observation.terminal == observation.host;
        let zone = observation.zone.filter(|_| is_asked).unwrap_or(ZONE_NONE);
        let list = batch.servers(observation);
        servers.note_set(list, batch, key, (at_ms / 1_000) as u32);
        servers.note_own(list, batch, &self.name, key);
        let mut strongest = Outcome::Known;
        for server in list {
            let glue = batch.glue(server);
            let name = batch.name(server.name);
            let host_hash = hash_bytes(name, key);
            for is_v6 in [false, true] {
                let of_family = glue.iter().filter(|g| g.ip.is_ipv6() == is_v6);
                let Some(ttl_s) = of_family.clone().map(|g| g.ttl_s).min() else { continue };
                ips.clear();
                ips.extend(of_family.map(|g| bits_of(g.ip)));
                let fill = Fill {
                    host: name,
                    host_hash,
                    ips: unique(ips),
                    is_v6,
                    is_partial: false,
                    is_authoritative: false,
                    ttl_s,
                    at_ms,
                    // Glue comes by way of many servers; whoever asks, it is one story.
                    observer: 0,
                    zone,
                    mark: MARK_NONE,
                    key,
                };
                strongest = strongest.max(servers.track.apply(&fill));
            }
        }
        strongest
    }
}

impl Servers {
    fn note_set(&mut self, list: &[Server], batch: &Batch, key: u64, at_s: u32) {
        let hash = list
            .iter()
            .fold(0_u64, |sum, server| sum.wrapping_add(hash_bytes(batch.name(server.name), key)));
        if self.sets.contains(&hash) {
            return;
        }
        if !self.sets.is_empty() {
            self.set_changes = self.set_changes.saturating_add(1);
        }
        if self.sets.len() >= SERVER_SETS_MAX {
            self.sets.remove(0);
        }
        self.sets.push(hash);
        let is_sinkhole = list.iter().all(|server| sinkhole::is_server(batch.name(server.name)));
        self.sinkholed_s = if is_sinkhole { at_s } else { 0 };
    }

    /// Remembers which of the servers have their names in `domain`.
    fn note_own(&mut self, list: &[Server], batch: &Batch, domain: &[u8], key: u64) {
        for name in list.iter().map(|server| batch.name(server.name)) {
            let front = name.len().saturating_sub(domain.len());
            if front == 0 || !is_at_or_below(name, domain) {
                continue;
            }
            let hash = hash_bytes(&name[..front], key) as u32;
            if !self.own_hosts.contains(&hash) {
                if self.own_hosts.len() >= OWN_HOSTS_MAX {
                    self.own_hosts.remove(0);
                }
                self.own_hosts.push(hash);
            }
        }
    }
}

/// Sorts and removes repetitions, which some servers put into one answer.
fn unique(ips: &mut Vec<u128>) -> &[u128] {
    if ips.len() > 1 {
        ips.sort_unstable();
        ips.dedup();
    }
    ips
}

fn replace(slot: &mut Box<[u8]>, value: &[u8]) {
    if **slot != *value {
        *slot = value.into();
    }
}

pub(crate) fn linear_count(bitmap: u128) -> u32 {
    let zeros = f64::from(bitmap.count_zeros().max(1));
    libm::round(128.0 * libm::log(128.0 / zeros)) as u32
}

/// A hash of name servers with their addresses that does not depend on their order; never 0.
pub(crate) fn servers_hash(servers: &[Server], batch: &Batch, key: u64) -> u32 {
    let sum = servers.iter().fold(0_u64, |sum, server| {
        let name = hash_name(batch.name(server.name), key);
        let glue = batch.glue(server).iter();
        sum.wrapping_add(mix(glue.fold(name, |sum, glue| sum.wrapping_add(hash_ip(glue.ip, key)))))
    });
    (sum as u32).max(1)
}

/// The hash of a name by 16 bytes at a time, the last of which may overlap those in front: every response
/// that names servers has several to hash.
fn hash_name(name: &[u8], key: u64) -> u64 {
    let step = |state: u64, block: &[u8; 16]| {
        let words = u128::from_le_bytes(*block);
        let product = u128::from(words as u64 ^ state)
            * u128::from((words >> 64) as u64 ^ key.rotate_left(32));
        product as u64 ^ (product >> 64) as u64
    };
    match name.last_chunk::<16>() {
        Some(last) => {
            let blocks = name.as_chunks::<16>().0;
            step(blocks.iter().fold(key ^ name.len() as u64, step), last)
        }
        None => hash_bytes(name, key),
    }
}

pub(crate) fn hash_ip(ip: IpAddr, key: u64) -> u64 {
    hash_bits(bits_of(ip), ip.is_ipv6(), key)
}

/// The hash of an address of this family as [`bits_of`] gives it.
#[inline]
pub(crate) fn hash_bits(bits: u128, is_v6: bool, key: u64) -> u64 {
    if is_v6 {
        mix(bits as u64 ^ mix((bits >> 64) as u64 ^ key))
    } else {
        mix(bits as u64 & 0xffff_ffff ^ key)
    }
}

pub(crate) fn hash_bytes(bytes: &[u8], key: u64) -> u64 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let state = chunks.iter().fold(key, |state, chunk| mix(state ^ u64::from_le_bytes(*chunk)));
    mix(state ^ short_word(rest) ^ (bytes.len() as u64) << 56)
}

/// Up to 7 bytes as a number, the first the lowest. They are read in pieces that overlap, which is
/// much less than to copy so few by their count.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let behind = 8 * (bytes.len() - 4);
        return u64::from(u32::from_le_bytes(*first))
            | u64::from(u32::from_le_bytes(*last)) << behind;
    }
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return 0 };
    let half = bytes.len() / 2;
    u64::from(first)
        | u64::from(bytes[half]) << (8 * half)
        | u64::from(last) << (8 * (bytes.len() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Lists that come into force number their zones and entries anew, in either history.
    #[test]
    fn both_histories_are_renumbered() {
        let ips = [bits_of(IpAddr::from([192, 0, 2, 1]))];
        let fill = Fill {
            host: b"\x02ns",
            host_hash: 7,
            ips: &ips,
            is_v6: false,
            is_partial: false,
            is_authoritative: false,
            ttl_s: 60,
            at_ms: 1_000,
            observer: 1,
            zone: 0,
            mark: 1,
            key: 3,
        };
        let mut window = DomainWindow::new(b"\x01a\x04test\0", 1_000);
        window.answers.apply(&fill);
        window.servers.get_or_insert_with(Box::default).track.apply(&fill);
        window.renumber(&Renumber { zones: vec![None, Some(0)], marks: vec![None, Some(0)] });
        let servers = window.servers.as_deref().map(|servers| &servers.track);
        for track in [Some(&window.answers), servers].into_iter().flatten() {
            assert_eq!((track.runs[0].zone, track.runs[0].mark), (ZONE_NONE, 0));
        }
    }

    /// Whatever byte of a name changes, or the order of its blocks, changes the hash.
    #[test]
    fn every_byte_of_a_name_counts() {
        let name: Vec<u8> = (0..80).collect();
        let mut hashes = BTreeSet::from([hash_name(&name, 3), hash_name(&name, 4)]);
        for len in 0..name.len() {
            hashes.insert(hash_name(&name[..len], 3));
            let mut other = name.clone();
            other[len] ^= 0x20;
            hashes.insert(hash_name(&other, 3));
        }
        for block in 1..5 {
            let mut other = name.clone();
            other.rotate_left(16 * block);
            hashes.insert(hash_name(&other, 3));
        }
        assert_eq!(hashes.len(), 2 + 2 * name.len() + 4);
    }

    #[test]
    fn few_bytes_are_one_number() {
        let bytes = [1, 0xf2, 3, 0xf4, 5, 0xf6, 7];
        for len in 0..=bytes.len() {
            let mut copied = [0; 8];
            copied[..len].copy_from_slice(&bytes[..len]);
            assert_eq!(short_word(&bytes[..len]), u64::from_le_bytes(copied), "{len}");
        }
    }
}
