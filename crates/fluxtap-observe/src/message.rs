//! One walk over a response: what stands in it, before anything is decided.

use crate::batch::{Address, Batch, Glue, NameSpan, Range, Server};
use crate::{
    ADDRESSES_PER_RESPONSE_MAX, ALIASES_PER_RESPONSE_MAX, HINTS_PER_RESPONSE_MAX, ObserveCounts,
    SERVERS_PER_RESPONSE_MAX, TTL_S_MAX, Vantage,
};
use fluxtap_intel::special;
use fluxtap_wire::dns::CLASS_IN;
use fluxtap_wire::name::is_at_or_below;
use fluxtap_wire::{
    AddressHints, ClientSubnet, DataKind, Malformed, Message, NamePosition, NameRef, RecordHead,
    Rtype, Section,
};
use std::net::IpAddr;

/// Most owners that the answer's or the additional section's addresses may have in turn.
const OWNERS_PER_SECTION_MAX: usize = 32;

/// Address records in a row with one owner.
#[derive(Clone, Copy, Debug)]
struct Owned {
    owner: NamePosition,
    range: Range,
}

/// A name-server record.
#[derive(Clone, Copy, Debug)]
struct ServerRecord {
    owner: NamePosition,
    target: NamePosition,
    ttl_s: u32,
}

/// The question as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) name: NamePosition,
    pub(crate) qtype: Rtype,
    pub(crate) qclass: u16,
}

/// What a walk over one response found; kept from response to response for its buffers. The
/// addresses themselves lie in the batch already.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) asked: Option<Asked>,
    pub(crate) is_cut: bool,
    pub(crate) has_trailing_bytes: bool,
    aliases: Vec<(NamePosition, NamePosition)>,
    answers: Vec<Owned>,
    servers: Vec<ServerRecord>,
    glue: Vec<Owned>,
    answers_from: u32,
    /// Owners of service records with address hints, which lie in the batch already as well.
    services: Vec<Owned>,
    hints_from: u32,
    pub(crate) client_subnet: Option<ClientSubnet>,
}

impl Facts {
    /// Walks the whole message, so that a malformed end is found before anything is used.
    pub(crate) fn collect(
        &mut self,
        message: &Message<'_>,
        batch: &mut Batch,
        counts: &mut ObserveCounts,
    ) -> Result<(), Malformed> {
        self.aliases.clear();
        self.answers.clear();
        self.servers.clear();
        self.glue.clear();
        self.services.clear();
        self.answers_from = batch.addresses.len() as u32;
        self.hints_from = batch.hints.len() as u32;
        self.client_subnet = None;
        let mut walk = message.walk();
        self.asked = walk.next_question()?.map(|question| Asked {
            name: question.qname.position(),
            qtype: question.qtype,
            qclass: question.qclass,
        });
        while let Some(head) = walk.next_head()? {
            let fits = self.take(message, &head, batch, counts);
            counts.records_over_limit += u64::from(!fits);
        }
        self.is_cut = walk.is_cut();
        self.has_trailing_bytes = walk.trailing_octets() > 0;
        Ok(())
    }

    /// Nothing in it that could be evidence.
    pub(crate) const fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.servers.is_empty() && self.services.is_empty()
    }

    /// False if a limit left the record out.
    fn take(
        &mut self,
        message: &Message<'_>,
        head: &RecordHead,
        batch: &mut Batch,
        counts: &mut ObserveCounts,
    ) -> bool {
        let ip = match head.data {
            DataKind::Other => return self.take_other(message, head, batch, counts),
            DataKind::Name => return self.take_name(head, counts),
            DataKind::A => message.ipv4(head).map(IpAddr::from),
            DataKind::Aaaa => message.ipv6(head).map(IpAddr::from),
        };
        let Some(ip) = ip else { return true };
        match head.section {
            Section::Answer => {
                let at = batch.addresses.len();
                let fits = at - (self.answers_from as usize) < ADDRESSES_PER_RESPONSE_MAX
                    && extend_run(&mut self.answers, message, head.owner, at as u32);
                if fits {
                    batch.addresses.push(Address { ip, ttl_s: capped(head.ttl_s, counts) });
                }
                fits
            }
            Section::Additional if special::is_special_use(ip) => {
                counts.addresses_special_use += 1;
                true
            }
            Section::Additional => {
                let fits = extend_run(&mut self.glue, message, head.owner, batch.glue.len() as u32);
                if fits {
                    batch.glue.push(Glue { ip, ttl_s: capped(head.ttl_s, counts) });
                }
                fits
            }
            Section::Authority => true,
        }
    }

    #[inline]
    fn take_other(
        &mut self,
        message: &Message<'_>,
        head: &RecordHead,
        batch: &mut Batch,
        counts: &mut ObserveCounts,
    ) -> bool {
        match head.rtype {
            // Most EDNS records carry no options.
            Rtype::OPT if !message.data(head).is_empty() => {
                self.take_options(message.data(head), counts);
                true
            }
            Rtype::SVCB | Rtype::HTTPS
                if head.section == Section::Answer && head.class == CLASS_IN =>
            {
                self.take_service(message, head, batch, counts)
            }
            _ => true,
        }
    }

    fn take_options(&mut self, options: &[u8], counts: &mut ObserveCounts) {
        match ClientSubnet::in_options(options) {
            Ok(found) => self.client_subnet = self.client_subnet.or(found),
            Err(_) => counts.edns_options_malformed += 1,
        }
    }

    /// Takes the address hints of a service record; one that a client throws away is counted.
    fn take_service(
        &mut self,
        message: &Message<'_>,
        head: &RecordHead,
        batch: &mut Batch,
        counts: &mut ObserveCounts,
    ) -> bool {
        let Ok(hints) = AddressHints::in_service(message.data(head)) else {
            counts.services_malformed += 1;
            return true;
        };
        for ip in hints.iter() {
            if special::is_special_use(ip) {
                counts.addresses_special_use += 1;
                continue;
            }
            let at = batch.hints.len();
            if at - (self.hints_from as usize) >= HINTS_PER_RESPONSE_MAX
                || !extend_run(&mut self.services, message, head.owner, at as u32)
            {
                return false;
            }
            batch.hints.push(ip);
        }
        true
    }

    fn take_name(&mut self, head: &RecordHead, counts: &mut ObserveCounts) -> bool {
        let (owner, target) = (head.owner, head.target);
        match (head.section, head.rtype) {
            (Section::Answer, Rtype::CNAME) if self.aliases.len() < ALIASES_PER_RESPONSE_MAX => {
                self.aliases.push((owner, target));
            }
            (Section::Answer | Section::Authority, Rtype::NS)
                if self.servers.len() < SERVERS_PER_RESPONSE_MAX =>
            {
                let ttl_s = capped(head.ttl_s, counts);
                self.servers.push(ServerRecord { owner, target, ttl_s });
            }
            (Section::Answer, Rtype::CNAME) | (Section::Answer | Section::Authority, Rtype::NS) => {
                return false;
            }
            _ => {}
        }
        true
    }

    /// The end of the alias chain from the question. Above a resolver it is followed only inside
    /// `domain`: an alias out of it is another server's business, and what stands here about its
    /// target is hearsay.
    pub(crate) fn terminal(
        &self,
        message: &Message<'_>,
        asked: NamePosition,
        vantage: Vantage,
        domain: &[u8],
    ) -> NamePosition {
        let mut current = asked;
        for _ in 0..self.aliases.len() {
            let alias = self.aliases.iter().find(|(owner, _)| is_same(message, *owner, current));
            let Some(&(_, target)) = alias else { break };
            if vantage != Vantage::Cache {
                let target = message.name_at(target).to_name();
                if !is_at_or_below(target.as_wire(), domain) {
                    break;
                }
            }
            current = target;
        }
        current
    }

    /// Keeps the addresses that stand under `terminal` and drops the others. Returns where they
    /// begin; they reach to the end of the list.
    pub(crate) fn keep_addresses(
        &self,
        message: &Message<'_>,
        terminal: NamePosition,
        batch: &mut Batch,
        counts: &mut ObserveCounts,
    ) -> u32 {
        let Self { answers, answers_from, .. } = self;
        counts.addresses_out_of_bailiwick +=
            keep_owned(message, answers, terminal, *answers_from, &mut batch.addresses);
        *answers_from
    }

    /// The same with address hints.
    pub(crate) fn keep_hints(
        &self,
        message: &Message<'_>,
        terminal: NamePosition,
        batch: &mut Batch,
        counts: &mut ObserveCounts,
    ) -> Range {
        let Self { services, hints_from, .. } = self;
        if !services.is_empty() {
            counts.addresses_out_of_bailiwick +=
                keep_owned(message, services, terminal, *hints_from, &mut batch.hints);
        }
        Range { from: *hints_from, to: batch.hints.len() as u32 }
    }

    /// Keeps the name servers of a zone that is the asked name's registrable domain (whose wire
    /// form has `domain_len` bytes) or lies between it and the asked name, each with its glue.
    pub(crate) fn keep_servers(
        &self,
        message: &Message<'_>,
        asked: NameSpan,
        domain_len: usize,
        batch: &mut Batch,
    ) -> Range {
        let from = batch.servers.len() as u32;
        let mut zone: Option<(NamePosition, bool)> = None;
        for record in &self.servers {
            let is_zone = match zone {
                Some((known, is_zone)) if is_same(message, known, record.owner) => is_zone,
                _ => is_zone_of(&message.name_at(record.owner), batch.name(asked), domain_len),
            };
            zone = Some((record.owner, is_zone));
            if !is_zone {
                continue;
            }
            // Compression makes the same name the same place nearly always.
            let by_place = |run: &&Owned| run.owner == record.target;
            let by_name = |run: &&Owned| is_same(message, run.owner, record.target);
            let glue = self.glue.iter().find(by_place).or_else(|| self.glue.iter().find(by_name));
            let glue = glue.map_or_else(Range::default, |run| run.range);
            let target = message.name_at(record.target);
            let name = batch.push_name_of(&target);
            batch.servers.push(Server { name, ttl_s: record.ttl_s, glue });
        }
        Range { from, to: batch.servers.len() as u32 }
    }
}

/// Keeps of the entries from `from` on those in runs of `terminal`; how many were dropped.
fn keep_owned<T: Copy>(
    message: &Message<'_>,
    runs: &[Owned],
    terminal: NamePosition,
    from: u32,
    list: &mut Vec<T>,
) -> u64 {
    let mut kept = from as usize;
    let mut dropped = 0;
    for run in runs {
        let (from, to) = (run.range.from as usize, run.range.to as usize);
        if is_same(message, run.owner, terminal) {
            if from != kept {
                list.copy_within(from..to, kept);
            }
            kept += to - from;
        } else {
            dropped += (to - from) as u64;
        }
    }
    list.truncate(kept);
    dropped
}

/// Whether `owner` is an ancestor of `asked`, or the same, and no shorter than `domain_len`.
fn is_zone_of(owner: &NameRef<'_>, asked: &[u8], domain_len: usize) -> bool {
    let len = owner.wire_len();
    let tail = asked.len().checked_sub(len).and_then(|at| asked.get(at..));
    // The registrable domain begins at a label; any other tail must be shown to.
    tail.is_some_and(|tail| {
        len >= domain_len
            && owner.is_wire(tail)
            && (len == domain_len || is_at_or_below(asked, tail))
    })
}

/// Adds entry `at` to the run of the record's owner, which is the last one unless owners
/// interleave. False if there is no room for a further run.
fn extend_run(runs: &mut Vec<Owned>, message: &Message<'_>, owner: NamePosition, at: u32) -> bool {
    if let Some(last) = runs.last_mut()
        && is_same(message, last.owner, owner)
    {
        last.range.to = at + 1;
        return true;
    }
    let has_room = runs.len() < OWNERS_PER_SECTION_MAX;
    if has_room {
        runs.push(Owned { owner, range: Range { from: at, to: at + 1 } });
    }
    has_room
}

/// Whether two names of one message are the same, ASCII case apart. Compression makes it the same
/// place nearly always.
#[inline]
fn is_same(message: &Message<'_>, a: NamePosition, b: NamePosition) -> bool {
    a == b || message.name_at(a) == message.name_at(b)
}

fn capped(ttl_s: u32, counts: &mut ObserveCounts) -> u32 {
    if ttl_s > TTL_S_MAX {
        counts.ttl_capped += 1;
        return TTL_S_MAX;
    }
    ttl_s
}
