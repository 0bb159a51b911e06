//! All domains, in fixed partitions with a byte budget each.
//!
//! Domains that never changed lie in a slab, 84 bytes for each of their few hosts, and others in a
//! window of their own on the heap. The slab gets half of the budget at most, so that no flood of new domains pushes out
//! one that changed.

use crate::domain::{DomainWindow, Rank};
use crate::index::Index;
use crate::limits::PARTITIONS;
use crate::quiet::{PARTS_MAX, Plain, Quiet, Slab, resume};
use crate::saved::{Renumber, Saved, Saving};
use crate::share::{Share, partition_of};
use crate::track::Outcome;
use fluxtap_memory::fetch;
use fluxtap_observe::{Batch, Observation};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Domains looked at to find the one that is worth least, when room is needed.
const EVICTION_SAMPLE: usize = 8;

/// Runs from which on a domain counts as changing: an ordinary one has a set or two a host.
const CHANGING_RUNS_MIN: usize = 4;

/// Part of its budget that a partition's slab may take: one in so many bytes.
const SLAB_ONE_IN: usize = 2;

/// Observations that lie between two steps of [`Table::look_ahead`].
const AHEAD: usize = 4;

/// A domain in the table; valid until the domain is evicted or expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DomainRef {
    /// The partition.
    pub partition: u8,
    slot: u32,
    generation: u32,
}

/// What an observation did to its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The domain; `None` of one that has no window of its own, because there is nothing to judge.
    pub domain: Option<DomainRef>,
    /// There was a new cache fill.
    pub is_refreshed: bool,
    /// There was a new address set.
    pub is_changed: bool,
}

/// Counters of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// Domains in the table.
    pub tracked: u64,
    /// Bytes held by them, the index included.
    pub bytes: u64,
    /// Of these, bytes of domains that never changed; the others have a window of their own.
    pub bytes_quiet: u64,
    /// Domains that were ever taken in.
    pub admitted: u64,
    /// Domains dropped because they were not seen for the longest window.
    pub expired: u64,
    /// Domains dropped to keep the budget.
    pub evicted: u64,
    /// Of these, domains that were suspect (scored above half of the lowest threshold).
    pub evicted_suspect: u64,
    /// Of these, domains with an open alert.
    pub evicted_alerted: u64,
    /// Hosts of domains that never changed, each family for itself, dropped to keep the budget while
    /// others of the domain stayed.
    pub hosts_evicted: u64,
    /// Name-server facts about domains that had offered no address.
    pub server_facts_unused: u64,
    /// Responses with address hints alone about such domains.
    pub hint_facts_unused: u64,
}

impl TableCounts {
    /// Adds the counters of another table.
    pub const fn add(&mut self, other: &Self) {
        self.tracked += other.tracked;
        self.bytes += other.bytes;
        self.bytes_quiet += other.bytes_quiet;
        self.admitted += other.admitted;
        self.expired += other.expired;
        self.evicted += other.evicted;
        self.evicted_suspect += other.evicted_suspect;
        self.evicted_alerted += other.evicted_alerted;
        self.hosts_evicted += other.hosts_evicted;
        self.server_facts_unused += other.server_facts_unused;
        self.hint_facts_unused += other.hint_facts_unused;
    }
}

/// All domains. One owner, no locks; everything in it happens in event time.
#[derive(Debug)]
pub struct Table {
    partitions: Vec<Partition>,
    key: u64,
    bytes_per_partition: usize,
    lists_clients: bool,
    scratch: Vec<u128>,
    /// Scratch of [`Table::look_ahead`]: the batch's observations, as far as it has come.
    coming: Vec<Coming>,
    /// Domains with an open alert that had to make room, until somebody takes them.
    evicted: Vec<DomainWindow>,
    counts: TableCounts,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Partition {
    #[serde(skip)]
    index: Index,
    slab: Slab,
    /// Parts in the slab beside the first of their domain.
    #[serde(skip)]
    doubled: u64,
    slots: Vec<Slot>,
    free: Vec<u32>,
    #[serde(skip)]
    bytes: usize,
    hand: usize,
    slab_hand: u32,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Slot {
    /// The domain's hash, so that a look-up touches no domain but the right one.
    hash: u64,
    generation: u32,
    #[serde(skip)]
    bytes: u32,
    domain: Option<Box<DomainWindow>>,
}

impl Table {
    /// An empty table that holds at most `bytes_max` bytes, its hashes keyed with `key`.
    #[must_use]
    pub fn new(bytes_max: usize, key: u64) -> Self {
        Self {
            partitions: (0..PARTITIONS).map(|_| Partition::default()).collect(),
            key,
            bytes_per_partition: bytes_max / PARTITIONS,
            lists_clients: false,
            scratch: Vec::new(),
            coming: Vec::new(),
            evicted: Vec::new(),
            counts: TableCounts::default(),
        }
    }

    /// From now on the clients that asked last are kept, [`crate::limits::CLIENTS_LISTED_MAX`] a domain
    /// that changes; otherwise they are only counted.
    pub const fn list_clients(&mut self) {
        self.lists_clients = true;
    }

    /// The counters as they are now.
    #[must_use]
    pub fn counts(&self) -> TableCounts {
        let tracked = self.partitions.iter().map(|p| p.index.len() as u64 - p.doubled).sum();
        let bytes = self.partitions.iter().map(|p| p.total_bytes() as u64).sum();
        let bytes_quiet = self.partitions.iter().map(|p| p.slab.bytes() as u64).sum();
        TableCounts { tracked, bytes, bytes_quiet, ..self.counts }
    }

    /// Domains that were ever taken in.
    #[must_use]
    pub const fn admitted(&self) -> u64 {
        self.counts.admitted
    }

    /// Takes an observation in. `None` if it brought nothing that was not known, or the domain itself:
    /// a domain that never changed, or one that is not tracked, because it only ever had name servers
    /// or address hints.
    pub fn apply(&mut self, observation: &Observation, batch: &Batch) -> Option<Applied> {
        let number = partition_of(observation.domain_hash);
        let partition = &mut self.partitions[number];
        let budget = self.bytes_per_partition;
        let name = batch.domain(observation);
        let slot = match partition.find(observation.domain_hash, name) {
            Found::Window(slot) => Some(slot),
            Found::Quiet(parts) => {
                if parts.is_empty() && batch.addresses(observation).is_empty() {
                    let has_servers = !batch.servers(observation).is_empty();
                    self.counts.server_facts_unused += u64::from(has_servers);
                    self.counts.hint_facts_unused += u64::from(!has_servers);
                    return None;
                }
                let plain = Plain::of(observation, batch, self.key);
                match plain.and_then(|plain| partition.hold(&plain, &parts)) {
                    Some(Held::Known) => return None,
                    Some(Held::New(quiet)) => {
                        partition.admit_quiet(quiet, budget, &mut self.counts);
                        let gone = partition.keep_budget(budget, None, &mut self.counts);
                        self.evicted.extend(gone);
                        let known = Applied { domain: None, is_refreshed: true, is_changed: true };
                        return (!parts.is_empty()).then_some(known);
                    }
                    None => None,
                }
            }
        };
        let is_new = slot.is_none();
        let slot =
            slot.unwrap_or_else(|| partition.admit(observation, name, self.key, &mut self.counts));
        let entry = &mut partition.slots[slot as usize];
        let generation = entry.generation;
        let domain = entry.domain.as_deref_mut()?;
        let had_context = domain.context.is_some();
        let outcome =
            domain.apply(observation, batch, self.key, self.lists_clients, &mut self.scratch);
        let has_grown = outcome == Outcome::Changed || domain.context.is_some() != had_context;
        if has_grown || is_new {
            let bytes = domain.bytes();
            partition.bytes = partition.bytes + bytes - entry.bytes as usize;
            entry.bytes = bytes as u32;
            let gone = partition.keep_budget(budget, Some(slot), &mut self.counts);
            self.evicted.extend(gone);
        }
        let domain = DomainRef { partition: number as u8, slot, generation };
        Some(Applied {
            domain: Some(domain),
            is_refreshed: outcome != Outcome::Known,
            is_changed: outcome == Outcome::Changed,
        })
    }

    /// Has what the observations behind number `at` of a batch need fetched into the nearest cache, so
    /// that it is there when [`Table::apply`] comes. To be called before each of them, from 0 on.
    ///
    /// What a look-up needs lies behind each other: index, place, window, its hosts, the run of one.
    /// So there are steps, and each is taken as much ahead of the next as memory takes to answer.
    /// Domains of other shares are left alone.
    pub fn look_ahead(&mut self, share: Share, batch: &Batch, at: usize) {
        let observations = batch.observations();
        if at == 0 {
            self.coming.clear();
        }
        let reached = observations.len().min(at + 5 * AHEAD + 1);
        for observation in observations.get(self.coming.len()..reached).unwrap_or_default() {
            let coming = Coming::of(observation, share);
            self.coming.push(coming);
            if let Some(partition) = self.partitions.get(usize::from(coming.partition)) {
                partition.index.fetch(coming.domain_hash);
            }
        }
        self.step_ahead(at, 4, |partition, coming, _| partition.fetch_places(coming));
        self.step_ahead(at, 3, |partition, coming, _| partition.fetch_window(coming));
        self.step_ahead(at, 2, |partition, coming, _| partition.fetch_hosts(coming));
        let key = self.key;
        self.step_ahead(at, 1, |partition, coming, number| {
            if let Some(observation) = observations.get(number) {
                partition.fetch_run(coming, observation, batch, key);
            }
        });
    }

    /// Takes a step of [`Table::look_ahead`] for the observation that lies so many steps ahead; before the
    /// first one for those too that had nobody ahead of them to do it.
    #[inline]
    fn step_ahead(
        &mut self,
        at: usize,
        steps: usize,
        step: impl Fn(&Partition, &mut Coming, usize),
    ) {
        let ahead = at + steps * AHEAD;
        let mut number = if at == 0 { 0 } else { ahead };
        while number <= ahead
            && let Some(coming) = self.coming.get_mut(number)
        {
            if let Some(partition) = self.partitions.get(usize::from(coming.partition)) {
                step(partition, coming, number);
            }
            number += 1;
        }
    }

    /// The domain behind a reference, unless it is gone.
    #[must_use]
    pub fn get(&self, domain: DomainRef) -> Option<&DomainWindow> {
        let slot =
            self.partitions[usize::from(domain.partition)].slots.get(domain.slot as usize)?;
        slot.domain.as_deref().filter(|_| slot.generation == domain.generation)
    }

    /// The same, to note a judgement.
    pub fn get_mut(&mut self, domain: DomainRef) -> Option<&mut DomainWindow> {
        let partition = &mut self.partitions[usize::from(domain.partition)];
        let slot = partition.slots.get_mut(domain.slot as usize)?;
        slot.domain.as_deref_mut().filter(|_| slot.generation == domain.generation)
    }

    /// Marks a domain as waiting to be judged; false if it waits already or is gone.
    pub fn queue(&mut self, domain: DomainRef) -> bool {
        self.get_mut(domain).is_some_and(|d| !std::mem::replace(&mut d.is_queued, true))
    }

    /// Takes the mark off.
    pub fn unqueue(&mut self, domain: DomainRef) {
        if let Some(domain) = self.get_mut(domain) {
            domain.is_queued = false;
        }
    }

    /// Drops domains not seen since `before_ms`, in one partition; returns how many.
    pub fn expire(&mut self, partition: u8, before_ms: u64) -> u64 {
        let partition = &mut self.partitions[usize::from(partition)];
        let mut expired = 0;
        for slot in 0..partition.slots.len() {
            let domain = partition.slots[slot].domain.as_ref();
            if domain.is_some_and(|d| d.last_ms < before_ms && d.rank < Rank::Alerted) {
                partition.remove(slot as u32);
                expired += 1;
            }
        }
        for at in 0..partition.slab.places() {
            let quiet = partition.slab.get(at).filter(|quiet| quiet.is_used());
            if quiet.is_some_and(|quiet| u64::from(quiet.seen_s) * 1_000 < before_ms) {
                expired += u64::from(partition.remove_quiet(at));
            }
        }
        self.counts.expired += expired;
        expired
    }

    /// The domain of a name, whether it ever changed or not.
    #[must_use]
    pub fn window(&self, domain_hash: u64, name: &[u8]) -> Option<Cow<'_, DomainWindow>> {
        let partition = &self.partitions[partition_of(domain_hash)];
        match partition.find(domain_hash, name) {
            Found::Window(slot) => {
                partition.slots[slot as usize].domain.as_deref().map(Cow::Borrowed)
            }
            Found::Quiet(parts) => {
                let quiets = parts.iter().filter_map(|at| partition.slab.get(*at)).cloned();
                resume(name, quiets.collect(), self.key).map(Cow::Owned)
            }
        }
    }

    /// A partition as it is to be written down.
    #[must_use]
    pub fn save(&self, partition: u8) -> Saving<'_> {
        Saving(&self.partitions[usize::from(partition)])
    }

    /// Puts what was written down in the place of a partition: from then on its references are
    /// valid again. False, and nothing happened, if there is something in it that cannot be.
    ///
    /// The owners of addresses are looked up again when a domain is judged next, for the table may
    /// be another one.
    #[must_use]
    pub fn load(&mut self, partition: u8, saved: Saved) -> bool {
        let of_partition = |hash| partition_of(hash) == usize::from(partition);
        let mut written = saved.0;
        let [gone, hosts_gone] = written.keep_newest(self.bytes_per_partition / SLAB_ONE_IN);
        let Some(revived) = written.revived(of_partition) else { return false };
        self.counts.evicted += gone;
        self.counts.hosts_evicted += hosts_gone;
        self.partitions[usize::from(partition)] = revived;
        let gone = self.partitions[usize::from(partition)].keep_budget(
            self.bytes_per_partition,
            None,
            &mut self.counts,
        );
        self.evicted.extend(gone);
        true
    }

    /// Gives what refers to curated zones and to the allow list the numbers these have in other
    /// lists, which come into force, and has owners looked up anew in the tables that do.
    pub fn renumber(&mut self, numbers: &Renumber) {
        for slot in self.partitions.iter_mut().flat_map(|partition| &mut partition.slots) {
            if let Some(domain) = &mut slot.domain {
                domain.renumber(numbers);
            }
        }
    }

    /// Domains with an open alert that were evicted since the last call.
    pub fn take_evicted(&mut self) -> Vec<DomainWindow> {
        std::mem::take(&mut self.evicted)
    }
}

/// Where a domain lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Slot(u32),
    Slab(u32),
}

/// The parts of a domain that lie in the slab.
type Parts = SmallVec<[u32; PARTS_MAX]>;

/// What is known of a domain.
enum Found {
    /// The slot of its window.
    Window(u32),
    /// Its parts in the slab; of a domain that is not known there are none.
    Quiet(Parts),
}

/// What an answer is to the slab.
enum Held {
    /// One of a part that is there, which has taken it.
    Known,
    /// The first of a further part.
    New(Quiet),
}

/// The same as the index has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed(u32);

impl Packed {
    const IN_SLAB: u32 = 1 << 31;

    /// What the index has nowhere.
    const NONE: Self = Self(u32::MAX);

    const fn place(self) -> Place {
        if self.0 & Self::IN_SLAB == 0 {
            Place::Slot(self.0)
        } else {
            Place::Slab(self.0 & !Self::IN_SLAB)
        }
    }
}

/// An observation that [`Table::look_ahead`] has reached.
#[derive(Clone, Copy, Debug)]
struct Coming {
    domain_hash: u64,
    /// Where the window of the domain may lie.
    place: Packed,
    /// The domain's partition; one there is not, if it belongs to another share.
    partition: u8,
}

impl Coming {
    #[inline]
    fn of(observation: &Observation, share: Share) -> Self {
        let domain_hash = observation.domain_hash;
        let is_ours = share.holds(domain_hash);
        let partition = if is_ours { partition_of(domain_hash) } else { PARTITIONS };
        Self { domain_hash, place: Packed::NONE, partition: partition as u8 }
    }
}

/// The steps of [`Table::look_ahead`] behind the first.
impl Partition {
    fn fetch_places(&self, coming: &mut Coming) {
        for packed in self.index.of(coming.domain_hash) {
            match Packed(packed).place() {
                Place::Slab(at) => self.slab.fetch(at),
                Place::Slot(slot) => {
                    coming.place = Packed(packed);
                    if let Some(slot) = self.slots.get(slot as usize) {
                        fetch(slot);
                    }
                }
            }
        }
    }

    fn fetch_window(&self, coming: &Coming) {
        if let Some(domain) = self.window_of(coming) {
            fetch(domain);
        }
    }

    fn fetch_hosts(&self, coming: &Coming) {
        if let Some(domain) = self.window_of(coming) {
            domain.fetch_hosts();
        }
    }

    fn fetch_run(&self, coming: &Coming, observation: &Observation, batch: &Batch, key: u64) {
        if let Some(domain) = self.window_of(coming) {
            domain.fetch_run(observation, batch, key);
        }
    }

    /// The window of a domain at the place that was found for it, unless it is gone.
    fn window_of(&self, coming: &Coming) -> Option<&DomainWindow> {
        let slot = self.slots.get(coming.place.0 as usize)?;
        slot.domain.as_deref().filter(|_| slot.hash == coming.domain_hash)
    }
}

impl Partition {
    /// Where the domain lies.
    #[inline]
    fn find(&self, hash: u64, name: &[u8]) -> Found {
        let mut parts = SmallVec::new();
        for packed in self.index.of(hash) {
            match Packed(packed).place() {
                Place::Slot(slot) => {
                    let entry = &self.slots[slot as usize];
                    let is_it = |domain: &DomainWindow| *domain.name == *name;
                    if entry.hash == hash && entry.domain.as_deref().is_some_and(is_it) {
                        return Found::Window(slot);
                    }
                }
                Place::Slab(at) => {
                    let is_it = self.slab.get(at).is_some_and(|quiet| quiet.hash() == hash);
                    if is_it && parts.len() < PARTS_MAX {
                        parts.push(at);
                    }
                }
            }
        }
        Found::Quiet(parts)
    }

    /// Takes an answer into the slab, where `parts` of its domain lie; `None`, and nothing happened, if
    /// it cannot lie there.
    #[inline]
    fn hold(&mut self, plain: &Plain<'_>, parts: &Parts) -> Option<Held> {
        let of_slab = |at: &u32| self.slab.get(*at);
        if !parts.iter().filter_map(of_slab).all(|part| part.agrees_on_servers(plain)) {
            return None;
        }
        match parts.iter().find(|at| of_slab(at).is_some_and(|part| part.is_of(plain))) {
            Some(at) => self.slab.get_mut(*at)?.take(plain).then_some(Held::Known),
            None => {
                let others: SmallVec<[&Quiet; PARTS_MAX]> =
                    parts.iter().filter_map(of_slab).collect();
                Quiet::new(plain, &others).map(Held::New)
            }
        }
    }

    /// A part of the domain that lies in the slab.
    fn find_quiet(&self, hash: u64) -> Option<u32> {
        self.index.of(hash).find_map(|packed| match Packed(packed).place() {
            Place::Slab(at) => self.slab.get(at).filter(|quiet| quiet.hash() == hash).map(|_| at),
            Place::Slot(_) => None,
        })
    }

    /// Takes a domain, or a further part of one, into the slab.
    fn admit_quiet(&mut self, quiet: Quiet, budget: usize, counts: &mut TableCounts) {
        let hash = quiet.hash();
        if self.slab.is_full() && self.slab.bytes_grown() > budget / SLAB_ONE_IN {
            self.evict_quiet(counts);
        }
        if self.find_quiet(hash).is_some() {
            self.doubled += 1;
        } else {
            counts.admitted += 1;
        }
        let at = self.slab.insert(quiet);
        self.index.insert(hash, at | Packed::IN_SLAB);
    }

    /// Gives a domain a window of its own; it may have been quiet until now.
    fn admit(&mut self, o: &Observation, name: &[u8], key: u64, counts: &mut TableCounts) -> u32 {
        let hash = o.domain_hash;
        let mut quiets = Vec::new();
        while let Some(at) = self.find_quiet(hash) {
            let quiet = self.slab.get(at).cloned();
            self.remove_quiet(at);
            quiets.extend(quiet);
        }
        counts.admitted += u64::from(quiets.is_empty());
        let window = resume(name, quiets, key);
        let window = window.unwrap_or_else(|| DomainWindow::new(name, o.at.millis()));
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        entry.bytes = 0;
        entry.hash = hash;
        entry.domain = Some(Box::new(window));
        self.index.insert(hash, slot);
        slot
    }

    /// Takes one part of a quiet domain out; whether the domain is gone with it.
    fn remove_quiet(&mut self, at: u32) -> bool {
        let Some(quiet) = self.slab.remove(at) else { return false };
        self.index.remove(quiet.hash(), at | Packed::IN_SLAB);
        let has_other = self.find_quiet(quiet.hash()).is_some();
        self.doubled -= u64::from(has_other);
        !has_other
    }

    /// Of a few places under the slab's hand, frees the one not seen for longest.
    fn evict_quiet(&mut self, counts: &mut TableCounts) {
        let mut victim: Option<(u32, u32)> = None;
        for _ in 0..EVICTION_SAMPLE {
            self.slab_hand = (self.slab_hand + 1) % self.slab.places().max(1);
            if let Some(quiet) = self.slab.get(self.slab_hand).filter(|quiet| quiet.is_used()) {
                let worth = (quiet.seen_s, self.slab_hand);
                victim = Some(victim.map_or(worth, |v| v.min(worth)));
            }
        }
        if let Some((_, at)) = victim {
            let is_last = self.remove_quiet(at);
            counts.evicted += u64::from(is_last);
            counts.hosts_evicted += u64::from(!is_last);
        }
    }

    fn remove(&mut self, slot: u32) -> Option<Box<DomainWindow>> {
        let entry = &mut self.slots[slot as usize];
        let domain = entry.domain.take()?;
        entry.generation += 1;
        self.bytes -= entry.bytes as usize;
        entry.bytes = 0;
        self.index.remove(entry.hash, slot);
        self.free.push(slot);
        Some(domain)
    }

    /// Makes a slab that was written under a larger budget as small as it may be now: the parts not
    /// seen for longest go. Says how many domains went with them, and how many went of domains that
    /// stay. Nothing in the index refers to the slab yet.
    fn keep_newest(&mut self, bytes_max: usize) -> [u64; 2] {
        if self.slab.bytes() <= bytes_max || !self.slab.is_sound() {
            return [0; 2];
        }
        let places = 0..self.slab.places();
        let used = places.filter_map(|at| self.slab.get(at).filter(|quiet| quiet.is_used()));
        let mut parts: Vec<Quiet> = used.cloned().collect();
        let domains =
            |parts: &[Quiet]| -> BTreeSet<u64> { parts.iter().map(|quiet| quiet.hash()).collect() };
        parts.sort_by_key(|quiet| (Reverse(quiet.seen_s), quiet.hash(), quiet.number()));
        let gone = parts.split_off(parts.len().min(Slab::parts_in(bytes_max)));
        let kept = domains(&parts);
        let hosts_gone = gone.iter().filter(|quiet| kept.contains(&quiet.hash())).count();
        let domains_gone = domains(&gone).difference(&kept).count();
        self.slab = Slab::default();
        self.slab_hand = 0;
        for quiet in parts {
            self.slab.insert(quiet);
        }
        [domains_gone as u64, hosts_gone as u64]
    }

    /// The partition as it works, if all in it holds together.
    fn revived(mut self, is_mine: impl Fn(u64) -> bool) -> Option<Self> {
        let slots = self.slots.len();
        let is_free =
            |slot: &u32| self.slots.get(*slot as usize).is_some_and(|s| s.domain.is_none());
        if slots > Packed::IN_SLAB as usize
            || !self.slab.is_sound()
            || !self.free.iter().all(is_free)
            || self.hand > slots
        {
            return None;
        }
        for slot in 0..slots as u32 {
            let entry = &mut self.slots[slot as usize];
            let Some(domain) = &entry.domain else { continue };
            if !is_mine(entry.hash) || !domain.is_sound() {
                return None;
            }
            let bytes = domain.bytes();
            entry.bytes = bytes as u32;
            self.bytes += bytes;
            self.index.insert(entry.hash, slot);
        }
        for at in 0..self.slab.places() {
            let Some(hash) = self.slab.get(at).filter(|quiet| quiet.is_used()).map(Quiet::hash)
            else {
                continue;
            };
            if !is_mine(hash) {
                return None;
            }
            self.doubled += u64::from(self.find_quiet(hash).is_some());
            self.index.insert(hash, at | Packed::IN_SLAB);
        }
        Some(self)
    }

    fn total_bytes(&self) -> usize {
        self.bytes
            + self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.index.bytes()
            + self.slab.bytes()
    }

    /// Evicts windows until the budget holds: of a few under the clock hand the one with the least
    /// evidence goes, among equals the one not seen for longest; never `keep`, which was just
    /// written. Returns those that had an open alert. The slab keeps its part by itself.
    fn keep_budget(
        &mut self,
        budget: usize,
        keep: Option<u32>,
        counts: &mut TableCounts,
    ) -> Vec<DomainWindow> {
        let mut alerted = Vec::new();
        while self.total_bytes() > budget {
            let mut victim: Option<(Rank, u64, u32)> = None;
            let mut looked = 0;
            for _ in 0..self.slots.len() {
                self.hand = (self.hand + 1) % self.slots.len();
                let Some(domain) = &self.slots[self.hand].domain else { continue };
                if Some(self.hand as u32) == keep {
                    continue;
                }
                let worth = (domain.worth(), domain.last_ms, self.hand as u32);
                victim = Some(victim.map_or(worth, |v| v.min(worth)));
                looked += 1;
                if looked == EVICTION_SAMPLE {
                    break;
                }
            }
            let Some((worth, _, slot)) = victim else { break };
            counts.evicted += 1;
            counts.evicted_suspect += u64::from(worth == Rank::Suspect);
            if let Some(domain) = self.remove(slot)
                && worth == Rank::Alerted
            {
                counts.evicted_alerted += 1;
                alerted.push(*domain);
            }
        }
        alerted
    }
}

impl DomainWindow {
    fn worth(&self) -> Rank {
        let is_changing = self.answers.runs.len() > CHANGING_RUNS_MIN;
        self.rank.max(if is_changing { Rank::Changing } else { Rank::Plain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LeftOut, LookUps};
    use fluxtap_intel::{AllowList, Intel};
    use fluxtap_observe::Observer;
    use fluxtap_wire::{Datagram, Ends, Message, Name, Timestamp};
    use std::collections::BTreeMap;

    /// A cache's answer to `name` with one address, as an observation.
    fn observed(name: &str, ip: [u8; 4], at_s: u64) -> Batch {
        let record = [&[0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &ip].concat();
        observe(name, [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &record, at_s)
    }

    /// A referral for `name` that says it serves itself, without an address.
    fn referred(name: &str, at_s: u64) -> Batch {
        let record = [0, 2, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12];
        observe(name, [0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0], &record, at_s)
    }

    /// A message about `name` with one record, whose owner is the name too.
    fn observe(name: &str, flags_counts: [u8; 10], record: &[u8], at_s: u64) -> Batch {
        observe_by(&Intel::without_table(), name, flags_counts, record, at_s)
    }

    fn observe_by(
        intel: &Intel,
        name: &str,
        flags_counts: [u8; 10],
        record: &[u8],
        at_s: u64,
    ) -> Batch {
        let name = Name::from_text(name).unwrap();
        let mut octets = vec![0, 1];
        octets.extend(flags_counts);
        octets.extend(name.as_wire());
        octets.extend([0, 1, 0, 1, 0xc0, 12]);
        octets.extend(record);
        let datagram = Datagram {
            ends: Ends {
                source: "9.9.9.9".parse().unwrap(),
                destination: "10.0.0.1".parse().unwrap(),
                vlan: 0,
                tunnel: None,
            },
            source_port: 53,
            destination_port: 4000,
            is_tcp: false,
            payload: &octets,
            is_cut: false,
        };
        let mut batch = Batch::default();
        let at = Timestamp::from_secs(at_s);
        let message = Message::new_checked(&octets).unwrap();
        Observer::new(3).observe(at, &datagram, &message, intel, &mut batch);
        batch
    }

    /// The same for what changed, so that it has a window of its own.
    fn changed(table: &mut Table, name: &str, at_s: u64) -> DomainRef {
        let mut last = None;
        for (ip, at_s) in [([5, 1, 1, 1], at_s), ([5, 2, 1, 1], at_s + 1)] {
            let batch = observed(name, ip, at_s);
            last = table.apply(&batch.observations()[0], &batch);
        }
        last.unwrap().domain.unwrap()
    }

    #[test]
    fn owners_are_those_of_the_tables_in_force() {
        let mut table = Table::new(crate::limits::MEMORY_MIN, 3);
        let edge = [0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 1, 1, 1, 1];
        let flags = [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        let intel = Intel::embedded();
        let mut domain = None;
        for (at_s, last) in [(1_000, 1), (1_100, 2)] {
            let record = [&edge[..13], &[last]].concat();
            let batch = observe_by(&intel, "www.shop.test", flags, &record, at_s);
            domain =
                table.apply(&batch.observations()[0], &batch).and_then(|applied| applied.domain);
        }
        let domain = domain.unwrap();
        let mut counts = LookUps::default();
        let mut look_up = |table: &mut Table, intel: &Intel| {
            let window = table.get_mut(domain).unwrap();
            window.look_up_owners(intel, &mut counts);
            let asns = window.answers.entries.iter().map(|entry| entry.owner.asn);
            (asns.collect::<Vec<_>>(), counts.addresses)
        };
        assert_eq!(look_up(&mut table, &intel), (vec![13_335, 13_335], 2));
        let none = Intel::without_table();
        assert_eq!(look_up(&mut table, &none), (vec![13_335, 13_335], 2), "they are known");
        table.renumber(&Renumber::default());
        assert_eq!(look_up(&mut table, &none), (vec![0, 0], 2), "counted once");
    }

    #[test]
    fn what_is_left_out_is_told_by_the_entry_that_explains_it() {
        let list = "domain pool.shop.test ours\naddress 5.1.1.1 a server\nasn AS13335 edges\n";
        let list = AllowList::parse(list, &["single_flux"]).unwrap();
        let intel = Intel::embedded().with_allow(list);
        let mut table = Table::new(crate::limits::MEMORY_MIN, 3);
        let mut domain = None;
        for (at_s, name, ip) in [
            (1_000, "www.shop.test", [5, 1, 1, 1]),
            (1_100, "www.shop.test", [1, 1, 1, 1]),
            (1_200, "a.pool.shop.test", [5, 2, 1, 1]),
            (1_300, "b.pool.shop.test", [5, 3, 1, 1]),
            (1_400, "www.shop.test", [5, 4, 1, 1]),
        ] {
            let record = [&[0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &ip].concat();
            let flags = [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
            let batch = observe_by(&intel, name, flags, &record, at_s);
            domain =
                table.apply(&batch.observations()[0], &batch).and_then(|applied| applied.domain);
        }
        let window = table.get_mut(domain.unwrap()).unwrap();
        let mut counts = LookUps::default();
        window.look_up_owners(&intel, &mut counts);
        let edges = BTreeMap::from([(13_335, 1)]);
        assert_eq!((counts.addresses, &counts.edges), (5, &edges));
        assert!((1..=5).contains(&counts.with_owner), "{counts:?}");
        window.look_up_owners(&intel, &mut counts);
        assert_eq!(counts.addresses, 5, "each is looked up once");
        let none = window.left_out(None);
        assert_eq!(none, LeftOut { edges: BTreeMap::from([(13_335, 1)]), ..LeftOut::default() });
        let exempt = intel.allow().in_force(1_400, 0);
        let left_out = window.left_out(Some(&exempt));
        assert_eq!(left_out.allowed_sets, BTreeMap::from([(0, 2)]));
        assert_eq!(left_out.allowed_addresses, BTreeMap::from([(1, 1), (2, 1)]));
        assert!(left_out.edges.is_empty() && left_out.zones.is_empty(), "{left_out:?}");
        assert_eq!(window.exempted(&exempt), [0, 1, 2].into());

        let record = [0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 5, 1, 1, 1];
        let flags = [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        let batch = observe_by(&intel, "e1.dscb.akamaiedge.net", flags, &record, 1_500);
        let observation = &batch.observations()[0];
        table.apply(observation, &batch);
        let window = table.window(observation.domain_hash, batch.domain(observation)).unwrap();
        let zones = window.left_out(None).zones;
        let (&zone, &sets) = zones.first_key_value().unwrap();
        assert_eq!((&*intel.zones()[usize::from(zone)].name, sets), ("akamaiedge.net", 1));
    }

    /// Random domains against a naive map: a domain is found or was counted out, what is found has
    /// every response since it was admitted, and the budget holds.
    #[test]
    fn the_table_agrees_with_a_map_and_holds_its_budget() {
        let budget = 64 * 32_768;
        let mut table = Table::new(budget, 3);
        let mut model: BTreeMap<String, u32> = BTreeMap::new();
        let mut state = 1_u64;
        for step in 0..60_000_u64 {
            state = crate::track::mix(state);
            // Every third domain changes, the others never do.
            let number = state % 24_000;
            let name = format!("w.d{number}.test");
            let last = if number.is_multiple_of(3) { (state >> 20) as u8 } else { 1 };
            let batch = observed(&name, [5, last, 1, 1], 1_000 + step);
            let observation = &batch.observations()[0];
            let domain = batch.domain(observation);
            let before = table.counts();
            let was = table.window(observation.domain_hash, domain).map(|w| w.responses());
            if was.is_some() {
                assert_eq!(was, model.get(&name).copied(), "{name}");
            }
            table.apply(observation, &batch);
            assert_eq!(table.counts().admitted - before.admitted, u64::from(was.is_none()));
            let is = table.window(observation.domain_hash, domain).map(|w| w.responses());
            assert_eq!(is, Some(was.unwrap_or(0) + 1), "{name}");
            model.insert(name, was.unwrap_or(0) + 1);
            if step % 4_000 == 3_999 {
                let before_ms = (1_000 + step).saturating_sub(15_000) * 1_000;
                for partition in 0..PARTITIONS {
                    table.expire(partition as u8, before_ms);
                }
            }
            let counts = table.counts();
            assert!(counts.bytes <= budget as u64, "{counts:?}");
            assert_eq!(counts.tracked + counts.evicted + counts.expired, counts.admitted);
        }
        let counts = table.counts();
        assert!(counts.evicted > 1_000 && counts.expired > 20, "{counts:?}");
        let is_there = |name: &String| {
            let batch = observed(name, [5, 1, 1, 1], 1_000);
            let observation = &batch.observations()[0];
            table.window(observation.domain_hash, batch.domain(observation)).is_some()
        };
        let alive = model.keys().filter(|name| is_there(name)).count();
        assert_eq!(alive as u64, counts.tracked);
    }

    /// Whatever is seen of a domain, its window is that of one that was never in the slab.
    #[test]
    fn a_quiet_domain_forgets_nothing() {
        let mut is_quiet = [0; 2];
        for seed in 1..400_u64 {
            let mut table = Table::new(crate::limits::MEMORY_MIN, 3);
            let mut whole: Option<DomainWindow> = None;
            let mut state = seed;
            let mut dice = |bound: u64| {
                state = crate::track::mix(state);
                state % bound
            };
            let (rare, mut at_s) = (2 + seed % 40, 1_000);
            for _ in 0..24 {
                at_s += dice(100);
                let batch = sight(at_s, rare, &mut dice);
                let Some(observation) = batch.observations().first() else { continue };
                table.apply(observation, &batch);
                if whole.is_none() && batch.addresses(observation).is_empty() {
                    continue;
                }
                let name = batch.domain(observation);
                let window =
                    whole.get_or_insert_with(|| DomainWindow::new(name, observation.at.millis()));
                window.apply(observation, &batch, 3, false, &mut Vec::new());
                let mine = table.window(observation.domain_hash, name).unwrap();
                is_quiet[usize::from(matches!(mine, Cow::Owned(_)))] += 1;
                assert_eq!(comparable(&mine), comparable(window), "seed {seed}");
            }
        }
        assert!(is_quiet.iter().all(|&n| n > 1_000), "{is_quiet:?}");
    }

    /// An answer about one domain: mostly one of the same two sets, now and then something else.
    fn sight(at_s: u64, rare: u64, dice: &mut impl FnMut(u64) -> u64) -> Batch {
        let other_host = dice(rare) == 0;
        let mut is_rare = || dice(rare * 8) == 0;
        let (other_set, is_alone, is_cut, is_authority) =
            (is_rare(), is_rare(), is_rare(), is_rare());
        let others = ["a.longer-host.d.test", "a.d.test", "d.test", "mail.d.test"];
        let name = if other_host { others[dice(4) as usize] } else { "w.d.test" };
        let ttl = [0, 0, 0, 30 + 60 * dice(2) as u8];
        let mut record = Vec::new();
        let mut answers = 0;
        if is_alone {
            record.extend([0, 2, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12]);
        } else if dice(3) == 0 {
            answers = 1;
            record.extend([0, 28, 0, 1]);
            record.extend(ttl);
            record.extend([0, 16, 0x2a, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
            record.push(u8::from(other_set));
        } else {
            answers = 1 + dice(2) as u8;
            for number in (0..answers).rev() {
                if !record.is_empty() {
                    record.extend([0xc0, 12]);
                }
                record.extend([0, 1, 0, 1]);
                record.extend(ttl);
                record.extend([0, 4, 5, u8::from(other_set), 1, number * (1 - other_set as u8)]);
            }
            answers = if record.is_empty() { 0 } else { answers };
        }
        let flags = [
            if is_authority { 0x84 } else { 0x81 } | u8::from(is_cut) << 1,
            if is_authority { 0 } else { 0x80 },
        ];
        let counts = [0, 1, 0, answers, 0, u8::from(is_alone), 0, 0];
        let flags_counts = [&flags[..], &counts].concat().try_into().unwrap();
        observe(name, flags_counts, &record, at_s)
    }

    /// All of a window but cache fills that ran out, and when the last response came that was no
    /// answer with addresses.
    fn comparable(window: &DomainWindow) -> String {
        let mut window = window.clone();
        window.last_ms = u64::from(window.answers.runs.iter().map(|run| run.seen_s).max().unwrap());
        window.answers.runs.iter_mut().for_each(|run| run.expiries = Default::default());
        format!("{window:?}")
    }

    #[test]
    fn what_has_evidence_is_evicted_last() {
        let mut table = Table::new(64 * 32_768, 3);
        let mut dear = Vec::new();
        for i in 0..64 {
            let domain = changed(&mut table, &format!("w.dear{i}.test"), 1_000);
            let rank = if i % 2 == 0 { Rank::Alerted } else { Rank::Suspect };
            table.get_mut(domain).unwrap().set_judged(0, rank, false);
            dear.push(domain);
        }
        for i in 0..20_000 {
            changed(&mut table, &format!("w.flood{i}.test"), 2_000);
        }
        assert!(table.counts().evicted > 10_000);
        assert!(dear.iter().all(|&domain| table.get(domain).is_some()));
        assert!(table.take_evicted().is_empty());
    }

    /// A domain that changed stays, however many come that never do.
    #[test]
    fn a_flood_of_new_domains_pushes_out_none_that_changed() {
        let budget = 64 * 32_768;
        let mut table = Table::new(budget, 3);
        let early: Vec<_> =
            (0..300).map(|i| changed(&mut table, &format!("w.e{i}.test"), 1_000)).collect();
        for i in 0..60_000 {
            let batch = observed(&format!("w.flood{i}.test"), [5, 1, 1, 1], 2_000 + i / 100);
            assert_eq!(table.apply(&batch.observations()[0], &batch), None);
        }
        let counts = table.counts();
        assert!(counts.evicted > 40_000 && counts.bytes <= budget as u64, "{counts:?}");
        assert!(early.iter().all(|&domain| table.get(domain).is_some()));
    }

    /// Where hosts go one by one, each is in a counter or still there.
    #[test]
    fn hosts_that_make_room_are_counted() {
        let budget = 64 * 16_384;
        let mut table = Table::new(budget, 3);
        let mut hosts = 0;
        for i in 0..12_000 {
            for host in ["w", "x"] {
                let name = format!("{host}.d{i}.test");
                let batch = observed(&name, [5, 1, 1, 1], 1_000 + i);
                let applied = table.apply(&batch.observations()[0], &batch);
                assert_eq!(applied.and_then(|applied| applied.domain), None, "quiet");
                hosts += 1;
            }
        }
        let counts = table.counts();
        let kept: usize = table
            .partitions
            .iter()
            .map(|p| (0..p.slab.places()).filter(|at| p.slab.get(*at).unwrap().is_used()).count())
            .sum();
        assert!(counts.hosts_evicted > 1_000 && counts.evicted > 1_000, "{counts:?}");
        // The last host of a domain goes with the domain.
        assert_eq!(kept as u64 + counts.hosts_evicted + counts.evicted, hosts, "{counts:?}");
    }

    /// What a domain that never changed takes, index and gaps included, just after the index grew too.
    #[test]
    fn a_quiet_domain_takes_96_bytes_at_most() {
        let mut table = Table::new(256 << 20, 3);
        let mut most = 0.0_f64;
        for number in 1..=600_000 {
            let batch = observed(&format!("w.d{number}.test"), [5, 1, 1, 1], 1_000);
            table.apply(&batch.observations()[0], &batch);
            if number >= 480_000 && number % 4_000 == 0 {
                let counts = table.counts();
                assert_eq!(counts.tracked, number);
                most = most.max(counts.bytes as f64 / counts.tracked as f64);
            }
        }
        assert!((84.0..=96.0).contains(&most), "{most}");
    }

    #[test]
    fn facts_about_servers_alone_admit_nothing() {
        let mut table = Table::new(crate::limits::MEMORY_MIN, 3);
        let (referral, answer) =
            (referred("d.test", 1_000), observed("d.test", [5, 1, 1, 1], 1_001));
        assert_eq!(table.apply(&referral.observations()[0], &referral), None);
        assert_eq!((table.counts().server_facts_unused, table.counts().tracked), (1, 0));
        table.apply(&answer.observations()[0], &answer);
        table.apply(&referral.observations()[0], &referral);
        assert_eq!((table.counts().server_facts_unused, table.counts().tracked), (1, 1));
        let observation = &answer.observations()[0];
        let window = table.window(observation.domain_hash, answer.domain(observation));
        assert_eq!(window.map(|window| window.responses()), Some(2), "the second referral counts");
    }
}
