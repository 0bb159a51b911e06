//! A DNS response to facts: whose addresses these are, through which chain, from which vantage.
//!
//! One [`Observation`] stands for one response, because its question, its aliases and its address
//! sets only mean something together. The key decision: addresses are credited to the registrable
//! domain of the name that was **asked**, along the alias chain, and only as far as the responder
//! can know (its bailiwick). What says nothing about hosting (special-use addresses, names that
//! spell their own address) is dropped here and counted.
//!
//! What it does not do: keep state, pair queries with responses, or judge.
#![forbid(unsafe_code)]

mod batch;
mod dns64;
mod message;
mod spelled;
mod stage;

pub use batch::{
    Address, Batch, Context, Glue, Inside, NameSpan, Observation, Range, Reached, Server,
};
pub use dns64::{PREFIX_LIFETIME_S, PREFIXES_MAX, PREFIXES_PER_RESPONDER_MAX};
pub use stage::{Marker, Stage};

use dns64::Dns64;
use fluxtap_intel::{Intel, special, suffix};
use fluxtap_wire::dns::CLASS_IN;
use fluxtap_wire::name::is_at_or_below;
use fluxtap_wire::nat64::IPV4ONLY_NAME;
use fluxtap_wire::{Datagram, Header, Malformed, Message, Timestamp};
use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use message::Facts;
use spelled::{SPELLED_OCTETS_MIN, Spelling, may_spell};
use std::hash::Hasher as _;

/// Most addresses taken from one response; the widest real answer known to us has 122.
pub const ADDRESSES_PER_RESPONSE_MAX: usize = 160;

/// Most address hints taken from one response; browsers meet 4 to 8.
pub const HINTS_PER_RESPONSE_MAX: usize = 32;

/// Most name servers taken from one response; the root itself has 13.
pub const SERVERS_PER_RESPONSE_MAX: usize = 16;

/// Most aliases followed from the question; resolvers give up between 8 and 16.
pub const ALIASES_PER_RESPONSE_MAX: usize = 16;

/// Longest TTL believed, in seconds: 7 days, the cap that RFC 8767 section 4 recommends.
pub const TTL_S_MAX: u32 = 604_800;

/// Longest TTL, in seconds, of an address inside a network that is passed on: who wants a browser to
/// ask again soon must not let it keep the answer.
pub const INSIDE_TTL_S_MAX: u32 = 60;

/// Where the response was seen: what its TTLs and its bailiwick mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vantage {
    /// AA=1 and RA=0: from an authority, TTLs are the zone's.
    Authoritative,
    /// RA=1: from a cache, TTLs count down.
    Cache,
    /// Neither: a referral, or a responder that does not say.
    Unknown,
}

impl Vantage {
    const fn of(header: Header) -> Self {
        match (header.is_authoritative(), header.is_recursion_available()) {
            (_, true) => Self::Cache,
            (true, false) => Self::Authoritative,
            (false, false) => Self::Unknown,
        }
    }
}

/// Where a DNS message ends. Each is one counter, and their sum is the number of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageEnd {
    /// A response whose facts were passed on.
    Used,
    /// A query.
    Query,
    /// A response without an address, name server or address hint: an error, no data, another type,
    /// only special-use addresses, or a name below no registrable domain.
    NoAddressEvidence,
    /// Cut by the capture or by its own counts; the whole records in front of the cut were used.
    Cut,
    /// Malformed; nothing was used.
    Malformed(Malformed),
    /// Well-formed, but not a standard response to one question of class IN.
    Refused,
}

/// Counts of what was dropped from responses, and of oddities that were accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObserveCounts {
    /// Addresses dropped because they are special-use (private, loopback, documentation, …).
    pub addresses_special_use: u64,
    /// Addresses dropped because the name spells them.
    pub addresses_spelled_by_name: u64,
    /// Addresses dropped because their owner is not at the end of the chain from the question, or
    /// is outside the responder's bailiwick.
    pub addresses_out_of_bailiwick: u64,
    /// Addresses, aliases and name servers beyond the limits of one response.
    pub records_over_limit: u64,
    /// Responses with bytes behind the last record.
    pub responses_with_trailing_bytes: u64,
    /// Cut responses of which at least one fact was used.
    pub responses_cut_used: u64,
    /// Responses with TC=1 of which facts were used.
    pub responses_truncated_used: u64,
    /// TTLs above [`TTL_S_MAX`], read as that.
    pub ttl_capped: u64,
    /// Responses of which facts were used that hold for a part of the clients (RFC 7871).
    pub responses_by_client_subnet: u64,
    /// EDNS records whose options are malformed, or whose client subnet is; the rest of the
    /// response was used.
    pub edns_options_malformed: u64,
    /// Address hints of service records that were passed on.
    pub address_hints: u64,
    /// Service records (SVCB, HTTPS) that are malformed; the rest of the response was used.
    pub services_malformed: u64,
    /// Addresses that a DNS64 had put into IPv6 ones.
    pub addresses_from_dns64: u64,
    /// Prefixes of DNS64 learnt.
    pub dns64_prefixes_learnt: u64,
    /// Those beyond [`PREFIXES_PER_RESPONDER_MAX`].
    pub dns64_prefixes_refused: u64,
    /// Those that had to make room, see [`PREFIXES_MAX`].
    pub dns64_prefixes_evicted: u64,
}

/// Turns messages into observations.
#[derive(Debug)]
pub struct Observer {
    hasher: DomainHasher,
    facts: Facts,
    dns64: Dns64,
    is_learning: bool,
    marker: Marker,
    counts: ObserveCounts,
}

impl Observer {
    /// An observer whose domain keys are hashed with `hash_key`.
    #[must_use]
    pub fn new(hash_key: u64) -> Self {
        Self {
            hasher: DomainHasher::new(hash_key),
            facts: Facts::default(),
            dns64: Dns64::default(),
            is_learning: true,
            marker: Marker::default(),
            counts: ObserveCounts::default(),
        }
    }

    /// From now on `marker` shows what it is busy with.
    pub fn set_marker(&mut self, marker: Marker) {
        self.marker = marker;
    }

    /// What was dropped and accepted so far.
    #[must_use]
    pub const fn counts(&self) -> ObserveCounts {
        self.counts
    }

    /// Says whether the messages that follow come in time, so that something may be learnt from them
    /// for those behind them: the prefixes of DNS64.
    #[inline]
    pub const fn set_learning(&mut self, is_learning: bool) {
        self.is_learning = is_learning;
    }

    /// Reads one datagram's message; appends at most one observation to `batch`.
    #[inline]
    pub fn observe(
        &mut self,
        at: Timestamp,
        datagram: &Datagram<'_>,
        message: &Message<'_>,
        intel: &Intel,
        batch: &mut Batch,
    ) -> MessageEnd {
        if message.header().is_response() {
            let end = self.response(at, datagram, message, intel, batch);
            return end.unwrap_or_else(MessageEnd::Malformed);
        }
        // A query is only read far enough to count it: nothing in it is evidence.
        if message.question_octets().is_some() {
            return MessageEnd::Query;
        }
        match message.walk().next_question() {
            Err(reason) => MessageEnd::Malformed(reason),
            Ok(_) => MessageEnd::Query,
        }
    }

    /// The end of a response; its observation, if it gives one, is the batch's last. What else a response
    /// leaves in the batch's lists nobody refers to, and goes with the batch.
    fn response(
        &mut self,
        at: Timestamp,
        datagram: &Datagram<'_>,
        message: &Message<'_>,
        intel: &Intel,
        batch: &mut Batch,
    ) -> Result<MessageEnd, Malformed> {
        self.facts.collect(message, batch, &mut self.counts)?;
        let is_cut = datagram.is_cut || self.facts.is_cut;
        let is_used = self.take_observation(at, datagram, message, intel, batch).is_some();
        self.counts.responses_with_trailing_bytes += u64::from(self.facts.has_trailing_bytes);
        self.counts.responses_cut_used += u64::from(is_used && is_cut);
        self.counts.responses_truncated_used +=
            u64::from(is_used && message.header().is_truncated());
        Ok(match (is_cut, is_used) {
            (true, _) => MessageEnd::Cut,
            (_, true) => MessageEnd::Used,
            _ if self.facts.is_standard(message) => MessageEnd::NoAddressEvidence,
            _ => MessageEnd::Refused,
        })
    }

    /// Pushes the observation the collected facts amount to; `None` if they are evidence of nothing.
    fn take_observation(
        &mut self,
        at: Timestamp,
        datagram: &Datagram<'_>,
        message: &Message<'_>,
        intel: &Intel,
        batch: &mut Batch,
    ) -> Option<()> {
        let header = message.header();
        let facts = &self.facts;
        if facts.is_empty() || header.rcode() != 0 || !facts.is_standard(message) {
            return None;
        }
        let question = facts.asked?;
        let vantage = Vantage::of(header);
        let asked = batch.push_name_of(&message.name_at(question.name));
        self.marker.enter(Stage::Split);
        let domain_at = suffix::registrable(batch.name(asked))?;
        let domain = batch.name(asked).get(domain_at..)?;
        let domain_len = domain.len();
        let domain_hash = self.hasher.hash(domain);
        self.marker.enter(Stage::Facts);
        let end = facts.terminal(message, question.name, vantage, domain);
        let terminal =
            if end == question.name { asked } else { batch.push_name_of(&message.name_at(end)) };
        let from = facts.keep_addresses(message, end, batch, &mut self.counts);
        if batch.name(asked) == IPV4ONLY_NAME {
            // What this name has says something about the resolver, and nothing about hosting.
            if self.is_learning && vantage == Vantage::Cache {
                let answered = &batch.addresses[from as usize..];
                self.dns64.learn_all(at, datagram.ends.source, answered, &mut self.counts);
            }
            return None;
        }
        let teacher = (vantage == Vantage::Cache).then_some(datagram.ends.source);
        let synthesised = self.dns64.map_back(at, teacher, &mut batch.addresses[from as usize..]);
        self.counts.addresses_from_dns64 += u64::from(synthesised);
        let (special_use, inside) =
            drop_meaningless(asked, domain_at, terminal, from, batch, &mut self.counts);
        if let Some(address) = inside {
            batch.push_inside(at, domain_hash, (asked, domain_at), &datagram.ends, address);
        }
        let addresses = Range { from, to: batch.addresses.len() as u32 };
        let servers = facts.keep_servers(message, asked, domain_len, batch);
        let hints = facts.keep_hints(message, end, batch, &mut self.counts);
        if [addresses, servers, hints].iter().all(|range| range.from == range.to) {
            return None;
        }
        let client_subnet = facts.client_subnet.filter(|subnet| subnet.scope().is_some());
        self.counts.responses_by_client_subnet += u64::from(client_subnet.is_some());
        self.counts.address_hints += u64::from(hints.to - hints.from);
        let context = batch.push_context(Context { client_subnet, synthesised, hints });
        let is_inside = terminal == asked || {
            let domain = batch.name(asked).get(domain_at..)?;
            is_at_or_below(batch.name(terminal), domain)
        };
        let zone = zone_of(header, vantage, [asked, terminal], is_inside, intel, batch);
        batch.items.push(Observation {
            at,
            domain_hash,
            asked,
            domain_at: domain_at as u8,
            host: if is_inside { terminal } else { asked },
            terminal,
            zone,
            allow_mark: intel.allow().mark(batch.name(asked), domain_at),
            responder: datagram.ends.source,
            client: datagram.ends.destination,
            vlan: datagram.ends.vlan,
            tunnel: datagram.ends.tunnel,
            qtype: question.qtype,
            vantage,
            is_truncated: header.is_truncated(),
            special_use,
            addresses,
            servers,
            context,
        });
        Some(())
    }
}

/// The hash of a registrable domain, in lower-case wire form, as observations of an [`Observer`] with
/// this key have it.
#[must_use]
pub fn domain_hash(hash_key: u64, domain: &[u8]) -> u64 {
    DomainHasher::new(hash_key).hash(domain)
}

/// Hashes with a key of which all constants of the function are made, not only its start: whoever
/// registers domains must not be able to choose where they land.
#[derive(Clone, Debug)]
struct DomainHasher {
    seeds: SharedSeed,
    start: u64,
}

impl DomainHasher {
    fn new(hash_key: u64) -> Self {
        Self { seeds: SharedSeed::from_u64(hash_key), start: hash_key.rotate_left(32) }
    }

    #[inline]
    fn hash(&self, domain: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.start, &self.seeds);
        hasher.write(domain);
        hasher.finish()
    }
}

/// The curated zone that explains where the chain from the asked name ends.
fn zone_of(
    header: Header,
    vantage: Vantage,
    [asked, terminal]: [NameSpan; 2],
    is_inside: bool,
    intel: &Intel,
    batch: &Batch,
) -> Option<u16> {
    // Who claims authority for an alias has none for where it leads: a provider's zone there is
    // what he wrote, even if he says that he is a cache as well.
    let is_hearsay = header.is_authoritative() && !is_inside;
    let of_end = if is_hearsay { None } else { zone_number(intel, batch.name(terminal)) };
    of_end.or_else(|| {
        // Above a resolver the chain is not followed out of the asked domain.
        let is_above = vantage != Vantage::Cache && terminal != asked;
        is_above.then(|| zone_number(intel, batch.name(asked))).flatten()
    })
}

/// Drops special-use addresses and those that the asked name or the chain's end spells.
/// Returns how many were special-use; and the last, if all that was answered lies inside a network, is
/// spelled by no name and lives for [`INSIDE_TTL_S_MAX`] at most.
fn drop_meaningless(
    asked: NameSpan,
    domain_at: usize,
    terminal: NameSpan,
    from: u32,
    batch: &mut Batch,
    counts: &mut ObserveCounts,
) -> (u16, Option<Address>) {
    let from = from as usize;
    if from == batch.addresses.len() {
        return (0, None);
    }
    let asked_spells = domain_at >= SPELLED_OCTETS_MIN && may_spell(batch.name(asked));
    let terminal_spells = terminal != asked && may_spell(batch.name(terminal));
    let is_special_use = |address: &Address| special::is_special_use(address.ip);
    if !asked_spells && !terminal_spells && !batch.addresses[from..].iter().any(is_special_use) {
        return (0, None);
    }
    let spelling_of = |span| Spelling::of(batch.name(span));
    let spellings =
        [asked_spells.then(|| spelling_of(asked)), terminal_spells.then(|| spelling_of(terminal))];
    let mut special_use = 0_u16;
    let mut spelled = 0;
    let mut kept = from;
    let is_spelled = |ip| spellings.iter().flatten().any(|spelling| spelling.spells(ip));
    let is_inside = |address: &Address| {
        let lives_short = address.ttl_s <= INSIDE_TTL_S_MAX;
        lives_short && special::is_inside(address.ip) && !is_spelled(address.ip)
    };
    let answered = &batch.addresses[from..];
    let inside = answered.last().copied().filter(|_| answered.iter().all(is_inside));
    for i in from..batch.addresses.len() {
        let address = batch.addresses[i];
        if is_special_use(&address) {
            special_use = special_use.saturating_add(1);
        } else if is_spelled(address.ip) {
            spelled += 1;
        } else {
            batch.addresses[kept] = address;
            kept += 1;
        }
    }
    batch.addresses.truncate(kept);
    counts.addresses_special_use += u64::from(special_use);
    counts.addresses_spelled_by_name += spelled;
    (special_use, inside)
}

/// The curated zone a name lies in, as its position in [`Intel::zones`].
fn zone_number(intel: &Intel, name: &[u8]) -> Option<u16> {
    let zone = intel.zone(name)?;
    intel.zones().iter().position(|z| std::ptr::eq(z, zone)).and_then(|i| u16::try_from(i).ok())
}

impl Facts {
    /// A standard query's response (opcode 0) to exactly one question of class IN.
    fn is_standard(&self, message: &Message<'_>) -> bool {
        let header = message.header();
        header.opcode() == 0
            && header.counts[0] == 1
            && self.asked.is_none_or(|asked| asked.qclass == CLASS_IN)
    }
}

#[cfg(test)]
mod tests;
