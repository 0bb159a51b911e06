//! One walk over a response: what stands in it, before anything is decided.

use crate::batch::{Address, Batch, Glue, Range, Server};
use crate::{
    ADDRESSES_PER_RESPONSE_MAX, ALIASES_PER_RESPONSE_MAX, ObserveCounts, SERVERS_PER_RESPONSE_MAX,
    TTL_S_MAX, Vantage,
};
use fluxtap_intel::special;
use fluxtap_wire::name::is_at_or_below;
use fluxtap_wire::{Malformed, Message, Name, NameRef, Question, Rdata, Record, Rtype, Section};
use std::net::IpAddr;

/// A list of fixed room on the stack; what does not fit is told, not kept.
pub(crate) struct Few<T, const N: usize> {
    items: [Option<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> Few<T, N> {
    const fn new() -> Self {
        Self { items: [None; N], len: 0 }
    }

    fn push(&mut self, item: T) -> bool {
        let Some(slot) = self.items.get_mut(self.len) else { return false };
        *slot = Some(item);
        self.len += 1;
        true
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.items[..self.len].iter().flatten()
    }
}

/// An address record with the owner it was found under.
#[derive(Clone, Copy)]
struct Owned<'a> {
    owner: NameRef<'a>,
    from: u32,
    to: u32,
}

/// A name-server record.
#[derive(Clone, Copy)]
struct ServerRecord<'a> {
    owner: NameRef<'a>,
    target: NameRef<'a>,
    ttl_s: u32,
}

/// What a walk over one response found. Addresses lie in the batch already, glue behind them.
pub(crate) struct Facts<'a> {
    pub(crate) question: Option<Question<'a>>,
    pub(crate) is_cut: bool,
    pub(crate) has_trailing_bytes: bool,
    aliases: Few<(NameRef<'a>, NameRef<'a>), ALIASES_PER_RESPONSE_MAX>,
    /// Runs of answer addresses with one owner.
    answers: Few<Owned<'a>, 16>,
    servers: Few<ServerRecord<'a>, SERVERS_PER_RESPONSE_MAX>,
    /// Runs of additional addresses with one owner.
    glue: Few<Owned<'a>, 32>,
    answers_from: u32,
}

impl<'a> Facts<'a> {
    /// Walks the whole message, so that a malformed end is found before anything is used.
    pub(crate) fn collect(
        message: &Message<'a>,
        batch: &mut Batch,
        counts: &mut ObserveCounts,
    ) -> Result<Self, Malformed> {
        let mut walk = message.walk();
        let mut facts = Self {
            question: walk.next_question()?,
            is_cut: false,
            has_trailing_bytes: false,
            aliases: Few::new(),
            answers: Few::new(),
            servers: Few::new(),
            glue: Few::new(),
            answers_from: batch.addresses.len() as u32,
        };
        while let Some(record) = walk.next_record()? {
            facts.take(&record, batch, counts);
        }
        facts.is_cut = walk.is_cut();
        facts.has_trailing_bytes = walk.trailing_octets() > 0;
        Ok(facts)
    }

    /// Nothing in it that could be evidence.
    pub(crate) const fn is_empty(&self) -> bool {
        self.answers.len == 0 && self.servers.len == 0
    }

    fn take(&mut self, record: &Record<'a>, batch: &mut Batch, counts: &mut ObserveCounts) {
        let fits = match (record.section, record.rdata) {
            (_, Rdata::Other(_)) => true,
            (Section::Answer, Rdata::A(ip)) => {
                self.take_answer(record, IpAddr::from(ip), batch, counts)
            }
            (Section::Answer, Rdata::Aaaa(ip)) => {
                self.take_answer(record, IpAddr::from(ip), batch, counts)
            }
            (Section::Additional, Rdata::A(ip)) => {
                self.take_glue(record, IpAddr::from(ip), batch, counts)
            }
            (Section::Additional, Rdata::Aaaa(ip)) => {
                self.take_glue(record, IpAddr::from(ip), batch, counts)
            }
            (Section::Answer, Rdata::Name(target)) if record.rtype == Rtype::CNAME => {
                self.aliases.push((record.owner, target))
            }
            (Section::Answer | Section::Authority, Rdata::Name(target))
                if record.rtype == Rtype::NS =>
            {
                let ttl_s = capped(record.ttl_s, counts);
                self.servers.push(ServerRecord { owner: record.owner, target, ttl_s })
            }
            _ => true,
        };
        counts.records_over_limit += u64::from(!fits);
    }

    fn take_answer(
        &mut self,
        record: &Record<'a>,
        ip: IpAddr,
        batch: &mut Batch,
        counts: &mut ObserveCounts,
    ) -> bool {
        let at = batch.addresses.len();
        if at - self.answers_from as usize >= ADDRESSES_PER_RESPONSE_MAX
            || !extend_run(&mut self.answers, record.owner, at as u32)
        {
            return false;
        }
        batch.addresses.push(Address { ip, ttl_s: capped(record.ttl_s, counts) });
        true
    }

    fn take_glue(
        &mut self,
        record: &Record<'a>,
        ip: IpAddr,
        batch: &mut Batch,
        counts: &mut ObserveCounts,
    ) -> bool {
        if special::is_special_use(ip) {
            counts.addresses_special_use += 1;
            return true;
        }
        if !extend_run(&mut self.glue, record.owner, batch.glue.len() as u32) {
            return false;
        }
        batch.glue.push(Glue { ip, ttl_s: capped(record.ttl_s, counts) });
        true
    }

    /// The end of the alias chain from the question. Above a resolver it is followed only inside
    /// `domain`: an alias out of it is another server's business, and what stands here about its
    /// target is hearsay.
    pub(crate) fn terminal(
        &self,
        qname: NameRef<'a>,
        vantage: Vantage,
        domain: &[u8],
    ) -> NameRef<'a> {
        let mut current = qname;
        for _ in 0..ALIASES_PER_RESPONSE_MAX {
            let Some((_, target)) = self.aliases.iter().find(|(owner, _)| *owner == current) else {
                break;
            };
            if vantage != Vantage::Cache && !is_at_or_below(target.to_name().as_wire(), domain) {
                break;
            }
            current = *target;
        }
        current
    }

    /// Keeps the addresses that stand under `terminal` and drops the others. Returns where they
    /// begin; they reach to the end of the list.
    pub(crate) fn keep_addresses(
        &self,
        terminal: &NameRef<'_>,
        batch: &mut Batch,
        counts: &mut ObserveCounts,
    ) -> Range {
        let mut kept = self.answers_from as usize;
        for run in self.answers.iter() {
            let (from, to) = (run.from as usize, run.to as usize);
            if run.owner == *terminal {
                batch.addresses.copy_within(from..to, kept);
                kept += to - from;
            } else {
                counts.addresses_out_of_bailiwick += u64::from(run.to - run.from);
            }
        }
        batch.addresses.truncate(kept);
        Range { from: self.answers_from, to: kept as u32 }
    }

    /// Keeps the name servers of a zone that is the asked name's registrable domain (whose wire
    /// form has `domain_len` bytes) or lies between it and the asked name, each with its glue.
    pub(crate) fn keep_servers(&self, asked: &Name, domain_len: usize, batch: &mut Batch) -> Range {
        let from = batch.servers.len() as u32;
        let mut zone: Option<(NameRef<'_>, bool)> = None;
        for record in self.servers.iter() {
            let is_zone = match zone {
                Some((owner, is_zone)) if owner == record.owner => is_zone,
                _ => {
                    let owner = record.owner.to_name();
                    let is_zone = owner.as_wire().len() >= domain_len
                        && is_at_or_below(asked.as_wire(), owner.as_wire());
                    zone = Some((record.owner, is_zone));
                    is_zone
                }
            };
            if !is_zone {
                continue;
            }
            let glue = match self.glue.iter().find(|run| run.owner == record.target) {
                Some(run) => Range { from: run.from, to: run.to },
                None => Range::default(),
            };
            let name = record.target.to_name();
            let name = batch.push_name(name.as_wire());
            batch.servers.push(Server { name, ttl_s: record.ttl_s, glue });
        }
        Range { from, to: batch.servers.len() as u32 }
    }
}

/// Adds entry `at` to the run of `owner`, which is the last one unless the owners interleave.
/// False if there is no room for a further run.
fn extend_run<'a, const N: usize>(
    runs: &mut Few<Owned<'a>, N>,
    owner: NameRef<'a>,
    at: u32,
) -> bool {
    if let Some(Some(last)) = runs.len.checked_sub(1).and_then(|i| runs.items.get_mut(i))
        && last.owner == owner
    {
        last.to = at + 1;
        return true;
    }
    runs.push(Owned { owner, from: at, to: at + 1 })
}

fn capped(ttl_s: u32, counts: &mut ObserveCounts) -> u32 {
    if ttl_s > TTL_S_MAX {
        counts.ttl_capped += 1;
        return TTL_S_MAX;
    }
    ttl_s
}
