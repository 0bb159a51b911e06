//! Recursive resolvers: caches whose TTLs count down, chains of aliases, negative answers; and what
//! the authorities told them.

use std::net::IpAddr;

use fluxtap_wire::{Name, Rtype, Section};
use hashbrown::HashTable;

use crate::compose::{Data as Rdata, Record, Reply, rtype};
use crate::family::{Data, Delegation, Fetch, Rota, Ttl, is_other_window};
use crate::random::{mix, mix_bytes};
use crate::world::{Domain, World, spelled_address};

/// Entries in all caches together; at the limit a random half of the live ones goes.
pub const CACHE_ENTRIES_MAX: usize = 1 << 21;

/// Fewest entries worth a search for expired ones.
const SWEPT_ENTRIES_MIN: usize = 4096;

/// Aliases followed for one question.
const CHAIN_MAX: usize = 8;

/// Time a cache needs to serve what another client's question has just fetched.
const JOINED_US: u64 = 300;

/// TTL of negative answers (the SOA's minimum, RFC 2308 section 5).
const NEGATIVE_TTL: Ttl = Ttl { max_s: 900, spread_s: 0 };

/// RCODE of a name that does not exist.
const NXDOMAIN: u8 = 3;

/// 64:ff9b::/96, the well-known prefix of RFC 6052.
const DNS64_PREFIX: u128 = 0x0064_ff9b << 96;

/// One question as a resolver gets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) at_us: u64,
    /// When the answer leaves if it is in the cache.
    pub(crate) hit_us: u64,
    /// When it leaves if not.
    pub(crate) miss_us: u64,
    pub(crate) domain: &'a Domain,
    pub(crate) qname: &'a Name,
    pub(crate) qtype: Rtype,
    pub(crate) cache: u8,
    /// Answers without NS and glue where the client did not ask for them.
    pub(crate) minimal: bool,
    pub(crate) dnssec_ok: bool,
    pub(crate) dns64: bool,
    /// By how many places sets are rotated.
    pub(crate) rotate: u64,
}

/// A set that a cache did not have: what its resolver asked an authority for.
#[derive(Clone, Debug)]
pub(crate) struct Miss {
    /// The domain whose authority knows.
    pub(crate) domain: Domain,
    /// The name asked for.
    pub(crate) owner: Name,
    /// When the cache has it.
    pub(crate) fetched_us: u64,
    /// Whether the cache did not know the domain's servers either, and asked the parent zone first.
    pub(crate) is_referred: bool,
}

/// The caches of all resolvers. Of a set only the time of its fetch is kept: what was fetched is a
/// function of that time.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    entries: HashTable<(u64, Entry)>,
    /// What the latest question made the resolver ask, if anybody wants to know.
    misses: Option<Vec<Miss>>,
    /// Number of entries at which expired ones are looked for next.
    sweep_at: usize,
    sweeps: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    fetched_us: u64,
    expires_s: u64,
}

/// How far along a chain of aliases a question is: a name and the domain it belongs to.
struct Chain {
    domain: Domain,
    owner: Name,
}

impl Caches {
    /// Empty caches that also say what they ask authorities for.
    pub(crate) fn with_misses() -> Self {
        Self { misses: Some(Vec::new()), ..Self::default() }
    }

    /// Fills `reply` and gives the time at which it leaves.
    pub(crate) fn answer(&mut self, world: &World, ask: Ask<'_>, reply: &mut Reply) -> u64 {
        reply.clear();
        reply.name(ask.qname);
        self.misses.iter_mut().for_each(Vec::clear);
        let source = Source::Cache(self);
        let mut visit = Visit { source, world, ask, ready_us: ask.hit_us, reply };
        let end = visit.follow();
        if visit.reply.records.last().is_some_and(|last| last.section == Section::Answer)
            && !ask.minimal
        {
            visit.name_servers(&end.domain, true);
        }
        visit.ready_us
    }

    /// What the latest question made the resolver ask, in the order of the chain.
    pub(crate) fn misses(&self) -> &[Miss] {
        self.misses.as_deref().unwrap_or_default()
    }

    /// Entries held, expired ones included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn find(&self, key: u64, at_us: u64) -> Option<Entry> {
        let entry = self.entries.find(key, |(known, _)| *known == key)?.1;
        // Whole seconds, as resolvers count.
        (at_us / 1_000_000 < entry.expires_s).then_some(entry)
    }

    /// Drops what has expired; the next sweep comes when the table has doubled, so that sweeping
    /// costs a constant share of storing.
    fn sweep(&mut self, now_s: u64) {
        self.entries.retain(|(_, entry)| now_s < entry.expires_s);
        if self.entries.len() > CACHE_ENTRIES_MAX / 2 {
            // LIMIT: which half goes depends on the key, not on the order of the table, and
            // differs from sweep to sweep.
            self.entries.retain(|(key, _)| mix(*key, self.sweeps) & 1 == 0);
        }
        self.sweeps += 1;
        self.sweep_at = (2 * self.entries.len()).min(CACHE_ENTRIES_MAX);
    }

    fn store(&mut self, key: u64, entry: Entry, now_s: u64) {
        if self.entries.len() >= self.sweep_at.max(SWEPT_ENTRIES_MIN) {
            self.sweep(now_s);
        }
        match self.entries.find_mut(key, |(known, _)| *known == key) {
            Some(slot) => slot.1 = entry,
            None => {
                self.entries.insert_unique(key, (key, entry), |(key, _)| *key);
            }
        }
    }
}

/// Fills `reply` with what the authority of the missed set's domain told the resolver, and counts
/// no TTL down. `ask` is the question that missed.
pub(crate) fn authority_answer(world: &World, ask: Ask<'_>, miss: &Miss, reply: &mut Reply) {
    let ask = Ask { domain: &miss.domain, qname: &miss.owner, ..ask };
    reply.clear();
    reply.name(ask.qname);
    let source = Source::Authority { fetched_us: miss.fetched_us };
    let mut visit = Visit { source, world, ask, ready_us: miss.fetched_us, reply };
    visit.follow();
    let is_answer = visit.reply.records.last().is_some_and(|r| r.section == Section::Answer);
    // Large providers leave out what was not asked for, others do not.
    let is_minimal = miss.domain.has_minimal_servers(&world.family(&miss.domain).delegation);
    if is_answer && !is_minimal {
        visit.name_servers(&miss.domain, true);
    }
}

/// Fills `reply` with what the parent zone said about the servers of the missed set's domain:
/// glue only for those within the domain.
pub(crate) fn referral(world: &World, ask: Ask<'_>, miss: &Miss, reply: &mut Reply) {
    let ask = Ask { domain: &miss.domain, qname: &miss.owner, ..ask };
    reply.clear();
    reply.name(ask.qname);
    let source = Source::Authority { fetched_us: miss.fetched_us };
    let mut visit = Visit { source, world, ask, ready_us: miss.fetched_us, reply };
    visit.name_servers(&miss.domain, false);
}

/// Where a set is from.
enum Source<'a> {
    /// The caches, which fetch what they do not have.
    Cache(&'a mut Caches),
    /// An authority, as it answers at one time.
    Authority { fetched_us: u64 },
}

/// One question on its way through a cache, or at an authority.
struct Visit<'a> {
    source: Source<'a>,
    world: &'a World,
    ask: Ask<'a>,
    ready_us: u64,
    reply: &'a mut Reply,
}

impl Visit<'_> {
    /// Follows the aliases from the question to data or a negative answer.
    fn follow(&mut self) -> Chain {
        let mut at = Chain { domain: *self.ask.domain, owner: *self.ask.qname };
        for _ in 0..CHAIN_MAX {
            let data = self.world.data(&at.domain, &at.owner);
            let Some(Data::Alias { targets, window_s, ttl }) = data else {
                self.end(&at, data);
                return at;
            };
            let key = self.key(&at.owner, Rtype::CNAME);
            let entry = self.fetch(&at, key, *ttl);
            let turn = (entry.fetched_us / 1_000_000).checked_div(u64::from(*window_s));
            let target = targets[turn.unwrap_or(0) as usize % targets.len()];
            let target = target.name(&at.domain, &at.owner);
            let named = self.reply.name(&target);
            self.push(Section::Answer, &at.owner, Rtype::CNAME, entry, Rdata::Target(named));
            self.sign(Section::Answer, &at, Rtype::CNAME, *ttl, entry);
            at.owner = target;
            if !fluxtap_wire::name::is_at_or_below(target.as_wire(), at.domain.apex.as_wire()) {
                if matches!(self.source, Source::Authority { .. }) {
                    // Another authority's business.
                    return at;
                }
                let zone = self.world.zone_of(&target);
                at.domain = *zone.unwrap_or_else(|| panic!("scenario: no zone for alias {target}"));
            }
        }
        at
    }

    /// Puts what is at the end of the chain.
    fn end(&mut self, at: &Chain, data: Option<&Data>) {
        let key = self.key(&at.owner, self.ask.qtype);
        let found = match data {
            Some(Data::Addresses { rotas, ttl }) => self.addresses(at, key, *ttl, |_| rotas),
            Some(Data::Either { usual, other, window_s, other_per_mille, by_resolver, ttl }) => {
                let cache = if *by_resolver { u64::from(self.ask.cache) } else { 0 };
                let key_of_windows = mix(at.domain.salt(), cache);
                self.addresses(at, key, *ttl, |fetch| {
                    let key = key_of_windows;
                    let is_other = is_other_window(key, *window_s, *other_per_mille, fetch);
                    if is_other { other } else { usual }
                })
            }
            Some(Data::Spelled { ttl }) => match spelled_address(&at.owner) {
                Some(ip) if self.ask.qtype == Rtype::A => self.one_address(at, key, ip, *ttl),
                _ => false,
            },
            Some(Data::Listed { listed_pct, ttl }) => {
                let listing = mix_bytes(at.domain.salt(), at.owner.as_wire());
                if listing % 100 >= u64::from(*listed_pct) {
                    return self.negative(at, key, true);
                }
                let code = [2, 3, 4, 10, 11][(listing >> 32) as usize % 5];
                self.ask.qtype == Rtype::A
                    && self.one_address(at, key, [127, 0, 0, code].into(), *ttl)
            }
            Some(Data::Alias { .. }) => false,
            None => return self.negative(at, key, true),
        };
        if !found && !self.other_types(at, key) {
            self.negative(at, key, false);
        }
    }

    /// The address set of the asked type, made from IPv4 for DNS64; false if there is none. `rotas`
    /// says what the set is made of; the address families are always the same.
    fn addresses<'r>(
        &mut self,
        at: &Chain,
        key: u64,
        ttl: Ttl,
        rotas: impl Fn(Fetch) -> &'r [Rota],
    ) -> bool {
        let first = Fetch { at_us: self.ask.at_us, cache: self.ask.cache };
        let has =
            |ipv6| rotas(first).iter().any(|rota| self.world.pool(rota.pool).is_ipv6() == ipv6);
        let (ipv6, mapped) = match self.ask.qtype {
            Rtype::A if has(false) => (false, false),
            Rtype::AAAA if has(true) => (true, false),
            Rtype::AAAA if self.ask.dns64 && has(false) => (false, true),
            _ => return false,
        };
        // Both views of a DNS64 resolver share the fetched A records.
        let key = if mapped { self.key(&at.owner, Rtype::A) } else { key };
        let entry = self.fetch(at, key, ttl);
        let fetch = Fetch { at_us: entry.fetched_us, cache: self.ask.cache };
        let owner = self.reply.name(&at.owner);
        let hash = mix_bytes(0, at.owner.as_wire());
        let first = self.reply.records.len();
        for rota in rotas(fetch) {
            let pool = self.world.pool(rota.pool);
            if pool.is_ipv6() != ipv6 {
                continue;
            }
            rota.select(pool, at.domain.salt(), hash, fetch, |ip| {
                let data = Rdata::Address(if mapped { dns64(ip) } else { ip });
                let (section, expires_s) = (Section::Answer, entry.expires_s);
                let record = Record { section, owner, rtype: self.ask.qtype, expires_s, data };
                self.reply.records.push(record);
            });
        }
        let set = &mut self.reply.records[first..];
        set.rotate_left(self.ask.rotate as usize % set.len().max(1));
        if !mapped {
            self.sign(Section::Answer, at, self.ask.qtype, ttl, entry);
        }
        true
    }

    fn one_address(&mut self, at: &Chain, key: u64, ip: IpAddr, ttl: Ttl) -> bool {
        let entry = self.fetch(at, key, ttl);
        self.push(Section::Answer, &at.owner, Rtype::A, entry, Rdata::Address(ip));
        true
    }

    /// HTTPS records and the apex's DNSSEC types; false if there is nothing of the asked type.
    fn other_types(&mut self, at: &Chain, key: u64) -> bool {
        let family = self.world.family(&at.domain);
        let is_apex = at.owner == at.domain.apex;
        let bits = at.domain.salt();
        let (data, ttl) = match self.ask.qtype {
            rtype::HTTPS if family.https => (Rdata::Https, Ttl::fixed(300)),
            rtype::DNSKEY if family.signed && is_apex => (Rdata::Dnskey(bits), Ttl::fixed(3600)),
            rtype::DS if family.signed && is_apex => (Rdata::Ds(bits), Ttl::fixed(86_400)),
            _ => return false,
        };
        let entry = self.fetch(at, key, ttl);
        self.push(Section::Answer, &at.owner, self.ask.qtype, entry, data);
        self.sign(Section::Answer, at, self.ask.qtype, ttl, entry);
        true
    }

    /// No such name, or nothing of the asked type: SOA, and the proof where it is asked for.
    fn negative(&mut self, at: &Chain, key: u64, missing: bool) {
        let family = self.world.family(&at.domain);
        let entry = self.fetch(at, key, NEGATIVE_TTL);
        let mut server = at.domain.apex;
        at.domain.name_servers(&family.delegation, entry.fetched_us, |name| server = name);
        let mname = self.reply.name(&server);
        let soa = Rdata::Soa { mname, minimum_s: NEGATIVE_TTL.max_s };
        self.push(Section::Authority, &at.domain.apex, Rtype::SOA, entry, soa);
        if family.signed && self.ask.dnssec_ok {
            let apex = Chain { domain: at.domain, owner: at.domain.apex };
            self.sign(Section::Authority, &apex, Rtype::SOA, NEGATIVE_TTL, entry);
            // One NSEC stands for the proof: its size and type matter here, nobody validates it.
            let next = self.reply.name(&apex.owner);
            self.push(Section::Authority, &apex.owner, rtype::NSEC, entry, Rdata::Nsec { next });
            self.sign(Section::Authority, &apex, rtype::NSEC, NEGATIVE_TTL, entry);
        }
        self.reply.rcode = if missing { NXDOMAIN } else { 0 };
    }

    /// NS set of a zone, with the addresses of its servers; those of servers elsewhere only
    /// `with_all`.
    fn name_servers(&mut self, domain: &Domain, with_all: bool) {
        let world = self.world;
        let delegation = &world.family(domain).delegation;
        let key = self.key(&domain.apex, Rtype::NS);
        let entry = self.fetch_aside(key, delegation.ttl);
        let first = self.reply.records.len();
        domain.name_servers(delegation, entry.fetched_us, |name| {
            let target = Rdata::Target(self.reply.name(&name));
            self.push(Section::Authority, &domain.apex, Rtype::NS, entry, target);
        });
        for index in first..self.reply.records.len() {
            let Rdata::Target(target) = self.reply.records[index].data else { continue };
            let host = self.reply.names[usize::from(target)];
            // Hosts of a DNS provider are the same for all of its customers.
            let inside = fluxtap_wire::name::is_at_or_below(host.as_wire(), domain.apex.as_wire());
            if !inside && !with_all {
                continue;
            }
            let entry = self.fetch_aside(self.key(&host, Rtype::A), delegation.glue_ttl);
            let fetch = Fetch { at_us: entry.fetched_us, cache: self.ask.cache };
            server_addresses(world, domain, delegation, &host, fetch, |ip| {
                let rtype = if ip.is_ipv4() { Rtype::A } else { Rtype::AAAA };
                self.push(Section::Additional, &host, rtype, entry, Rdata::Address(ip));
            });
        }
    }

    /// A signature over the set just put, for a signed zone and a client that asks for it.
    fn sign(&mut self, section: Section, at: &Chain, covered: Rtype, ttl: Ttl, entry: Entry) {
        if self.ask.dnssec_ok && self.world.family(&at.domain).signed {
            let signer = self.reply.name(&at.domain.apex);
            let bits = mix(at.domain.salt(), entry.fetched_us);
            let data = Rdata::Rrsig { covered, ttl_s: ttl.max_s, signer, bits };
            self.push(section, &at.owner, rtype::RRSIG, entry, data);
        }
    }

    fn push(&mut self, section: Section, owner: &Name, rtype: Rtype, entry: Entry, data: Rdata) {
        let owner = self.reply.name(owner);
        let record = Record { section, owner, rtype, expires_s: entry.expires_s, data };
        self.reply.records.push(record);
    }

    fn key(&self, owner: &Name, rtype: Rtype) -> u64 {
        mix_bytes(u64::from(rtype.0) << 8 | u64::from(self.ask.cache), owner.as_wire())
    }

    /// The cached set, or one that is fetched now and delays the answer.
    fn fetch(&mut self, at: &Chain, key: u64, ttl: Ttl) -> Entry {
        let (asked_us, miss_us) = (self.ask.at_us, self.ask.miss_us);
        match &mut self.source {
            Source::Authority { fetched_us } => fresh(key, ttl, *fetched_us),
            Source::Cache(caches) => {
                if let Some(entry) = caches.find(key, asked_us) {
                    // Another client's question may still be waiting for the same set.
                    self.ready_us = self.ready_us.max(entry.fetched_us + JOINED_US);
                    return entry;
                }
                self.ready_us = self.ready_us.max(miss_us);
                self.note_miss(at);
                self.insert(key, ttl, miss_us)
            }
        }
    }

    /// Notes what the resolver has to ask; what one authority answers with the set before is not
    /// asked again.
    fn note_miss(&mut self, at: &Chain) {
        let key = delegation_key(&at.domain, self.ask.cache);
        let Source::Cache(caches) = &mut self.source else { return };
        let is_referred = caches.find(key, self.ask.at_us).is_none();
        let Some(misses) = &mut caches.misses else { return };
        if misses.last().is_some_and(|last| last.domain.apex == at.domain.apex) {
            return;
        }
        let fetched_us = self.ask.miss_us;
        misses.push(Miss { domain: at.domain, owner: at.owner, fetched_us, is_referred });
        if is_referred {
            let ttl = self.world.family(&at.domain).delegation.ttl;
            self.insert(key, ttl, fetched_us);
        }
    }

    /// The cached set, or one that the resolver learned beside the answer.
    fn fetch_aside(&mut self, key: u64, ttl: Ttl) -> Entry {
        match &mut self.source {
            Source::Authority { fetched_us } => fresh(key, ttl, *fetched_us),
            Source::Cache(caches) => {
                let cached = caches.find(key, self.ask.at_us);
                cached.unwrap_or_else(|| self.insert(key, ttl, self.ready_us))
            }
        }
    }

    fn insert(&mut self, key: u64, ttl: Ttl, fetched_us: u64) -> Entry {
        let entry = fresh(key, ttl, fetched_us);
        if let Source::Cache(caches) = &mut self.source
            && entry.expires_s > fetched_us / 1_000_000
        {
            caches.store(key, entry, self.ask.at_us / 1_000_000);
        }
        entry
    }
}

/// A set as it is when it is fetched.
fn fresh(key: u64, ttl: Ttl, fetched_us: u64) -> Entry {
    let ttl_s = u64::from(ttl.at(key, fetched_us));
    Entry { fetched_us, expires_s: fetched_us / 1_000_000 + ttl_s }
}

/// Under which a cache knows that it knows a domain's servers.
fn delegation_key(domain: &Domain, cache: u8) -> u64 {
    mix(mix_bytes(0x6e73, domain.apex.as_wire()), u64::from(cache))
}

/// Calls `each` with the addresses of one of a domain's name servers.
pub(crate) fn server_addresses(
    world: &World,
    domain: &Domain,
    delegation: &Delegation,
    host: &Name,
    fetch: Fetch,
    each: impl FnMut(IpAddr),
) {
    let inside = fluxtap_wire::name::is_at_or_below(host.as_wire(), domain.apex.as_wire());
    let salt = if inside { domain.salt() } else { 0 };
    let hash = mix_bytes(0, host.as_wire());
    delegation.glue.select(world.pool(delegation.glue.pool), salt, hash, fetch, each);
}

fn dns64(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V6((DNS64_PREFIX | u128::from(ip.to_bits())).into()),
        IpAddr::V6(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_lets_go_of_what_expired_and_then_of_half() {
        let mut caches = Caches::default();
        let entry = |expires_s| Entry { fetched_us: 0, expires_s };
        let key = |number: usize| mix(1, number as u64);
        for number in 0..CACHE_ENTRIES_MAX / 2 {
            caches.store(key(number), entry(if number % 4 == 0 { 1000 } else { 10 }), 0);
        }
        assert_eq!(caches.len(), CACHE_ENTRIES_MAX / 2);
        caches.store(key(CACHE_ENTRIES_MAX), entry(1000), 10);
        assert_eq!(caches.len(), CACHE_ENTRIES_MAX / 8 + 1);
        assert!(caches.find(key(4), 999_999_999).is_some());
        assert!(caches.find(key(4), 1_000_000_000).is_none());
        for number in 0..2 * CACHE_ENTRIES_MAX {
            caches.store(key(number), entry(1000), 20);
            assert!(caches.len() <= CACHE_ENTRIES_MAX);
        }
        assert!(caches.len() > CACHE_ENTRIES_MAX / 4);
        assert!(caches.find(key(2 * CACHE_ENTRIES_MAX - 1), 0).is_some());
    }
}
