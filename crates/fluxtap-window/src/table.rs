//! All domains, in fixed partitions with a byte budget each.

use crate::domain::{DomainWindow, Rank};
use crate::limits::PARTITIONS;
use crate::track::Outcome;
use fluxtap_observe::{Batch, Observation};
use hashbrown::HashTable;
use std::net::IpAddr;

/// Domains looked at to find the one that is worth least, when room is needed.
const EVICTION_SAMPLE: usize = 8;

/// Runs from which on a domain counts as changing: an ordinary one has a set or two a host.
const CHANGING_RUNS_MIN: usize = 4;

/// A domain in the table; valid until the domain is evicted or expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DomainRef {
    /// The partition.
    pub partition: u8,
    slot: u32,
    generation: u32,
}

/// What an observation did to its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The domain.
    pub domain: DomainRef,
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
    /// Name-server facts about domains that had offered no address.
    pub server_facts_unused: u64,
    /// Responses with address hints alone about such domains.
    pub hint_facts_unused: u64,
}

/// All domains. One owner, no locks; everything in it happens in event time.
#[derive(Debug)]
pub struct Table {
    partitions: Vec<Partition>,
    key: u64,
    bytes_per_partition: usize,
    lists_clients: bool,
    scratch: Vec<IpAddr>,
    touched: Vec<(u32, u32)>,
    /// Domains with an open alert that had to make room, until somebody takes them.
    evicted: Vec<DomainWindow>,
    counts: TableCounts,
}

#[derive(Debug, Default)]
struct Partition {
    index: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    bytes: usize,
    hand: usize,
}

#[derive(Debug, Default)]
struct Slot {
    /// The domain's hash, so that a look-up touches no domain but the right one.
    hash: u64,
    generation: u32,
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
            touched: Vec::new(),
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
        let tracked = self.partitions.iter().map(|p| p.index.len() as u64).sum();
        let bytes = self.partitions.iter().map(|p| p.total_bytes() as u64).sum();
        TableCounts { tracked, bytes, ..self.counts }
    }

    /// Takes an observation in. `None` if it only names servers, or only has address hints, of a
    /// domain that is not tracked: a domain is tracked from its first address on.
    pub fn apply(&mut self, observation: &Observation, batch: &Batch) -> Option<Applied> {
        let hash = observation.domain_hash;
        let number = partition_of(hash);
        let partition = &mut self.partitions[number];
        let name = batch.domain(observation);
        let found = partition.find(hash, name);
        let slot = match found {
            Some(slot) => slot,
            None if batch.addresses(observation).is_empty() => {
                let has_servers = !batch.servers(observation).is_empty();
                self.counts.server_facts_unused += u64::from(has_servers);
                self.counts.hint_facts_unused += u64::from(!has_servers);
                return None;
            }
            None => {
                self.counts.admitted += 1;
                partition.admit(hash, DomainWindow::new(name, observation.at.millis()))
            }
        };
        let entry = &mut partition.slots[slot as usize];
        let generation = entry.generation;
        let domain = entry.domain.as_deref_mut()?;
        let had_context = domain.context.is_some();
        let outcome =
            domain.apply(observation, batch, self.key, self.lists_clients, &mut self.scratch);
        let has_grown = outcome == Outcome::Changed || domain.context.is_some() != had_context;
        if has_grown || found.is_none() {
            let bytes = domain.bytes();
            partition.bytes = partition.bytes + bytes - entry.bytes as usize;
            entry.bytes = bytes as u32;
            let gone = partition.keep_budget(self.bytes_per_partition, slot, &mut self.counts);
            self.evicted.extend(gone);
        }
        let domain = DomainRef { partition: number as u8, slot, generation };
        Some(Applied {
            domain,
            is_refreshed: outcome != Outcome::Known,
            is_changed: outcome == Outcome::Changed,
        })
    }

    /// Touches the domains of a batch, so that they are in the caches when [`Table::apply`] comes.
    ///
    /// The loads of one pass do not wait for each other, where those of a look-up do: index, slot,
    /// domain. Returns a sum of what was touched, for the compiler to keep the loads.
    #[must_use]
    pub fn touch(&mut self, batch: &Batch) -> u64 {
        let mut touched = std::mem::take(&mut self.touched);
        touched.clear();
        touched.extend(batch.observations().iter().map(|o| {
            let number = partition_of(o.domain_hash);
            let partition = &self.partitions[number];
            let slots = &partition.slots;
            let found =
                partition.index.find(o.domain_hash, |&s| slots[s as usize].hash == o.domain_hash);
            (number as u32, found.copied().unwrap_or(u32::MAX))
        }));
        let mut sum = 0_u64;
        for &(number, slot) in &touched {
            let slots = &self.partitions[number as usize].slots;
            if let Some(domain) = slots.get(slot as usize).and_then(|s| s.domain.as_deref()) {
                sum = sum.wrapping_add(domain.touch());
            }
        }
        self.touched = touched;
        sum
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
        self.counts.expired += expired;
        expired
    }

    /// Domains with an open alert that were evicted since the last call.
    pub fn take_evicted(&mut self) -> Vec<DomainWindow> {
        std::mem::take(&mut self.evicted)
    }
}

/// The partition of a domain, from bits of its hash that the index does not use.
const fn partition_of(hash: u64) -> usize {
    (hash >> 32) as usize % PARTITIONS
}

impl Partition {
    fn find(&self, hash: u64, name: &[u8]) -> Option<u32> {
        self.index
            .find(hash, |&slot| {
                let slot = &self.slots[slot as usize];
                slot.hash == hash && slot.domain.as_deref().is_some_and(|d| *d.name == *name)
            })
            .copied()
    }

    fn admit(&mut self, hash: u64, domain: DomainWindow) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        entry.bytes = 0;
        entry.hash = hash;
        entry.domain = Some(Box::new(domain));
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |&s| slots[s as usize].hash);
        slot
    }

    fn remove(&mut self, slot: u32) -> Option<Box<DomainWindow>> {
        let entry = &mut self.slots[slot as usize];
        let domain = entry.domain.take()?;
        entry.generation += 1;
        self.bytes -= entry.bytes as usize;
        entry.bytes = 0;
        if let Ok(found) = self.index.find_entry(entry.hash, |&s| s == slot) {
            found.remove();
        }
        self.free.push(slot);
        Some(domain)
    }

    fn total_bytes(&self) -> usize {
        self.bytes
            + self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.index.capacity() * (size_of::<u32>() + 1)
    }

    /// Evicts until the budget holds: of a few domains under the clock hand the one with the least
    /// evidence goes, among equals the one not seen for longest; never `keep`, which was just
    /// written. Returns those that had an open alert.
    fn keep_budget(
        &mut self,
        budget: usize,
        keep: u32,
        counts: &mut TableCounts,
    ) -> Vec<DomainWindow> {
        let mut alerted = Vec::new();
        while self.total_bytes() > budget && self.index.len() > 1 {
            let mut victim: Option<(Rank, u64, u32)> = None;
            let mut looked = 0;
            for _ in 0..self.slots.len() {
                self.hand = (self.hand + 1) % self.slots.len();
                let Some(domain) = &self.slots[self.hand].domain else { continue };
                if self.hand as u32 == keep {
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
    use crate::LeftOut;
    use fluxtap_intel::{AllowList, Intel};
    use fluxtap_observe::Observer;
    use fluxtap_wire::{Datagram, Ends, Name, Timestamp};
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
        Observer::new(3).observe(at, &datagram, intel, &mut batch);
        batch
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
            domain = table.apply(&batch.observations()[0], &batch).map(|applied| applied.domain);
        }
        let window = table.get_mut(domain.unwrap()).unwrap();
        let mut edges = BTreeMap::new();
        window.look_up_owners(&intel, &mut edges);
        assert_eq!(edges, BTreeMap::from([(13_335, 1)]));
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
        let applied = table.apply(&batch.observations()[0], &batch).unwrap();
        let zones = table.get(applied.domain).unwrap().left_out(None).zones;
        let (&zone, &sets) = zones.first_key_value().unwrap();
        assert_eq!((&*intel.zones()[usize::from(zone)].name, sets), ("akamaiedge.net", 1));
    }

    /// Random domains against a naive map: a domain is found or was counted out, what is found has
    /// every response since it was admitted, and the bytes are what the domains add up to.
    #[test]
    fn the_table_agrees_with_a_map_and_holds_its_budget() {
        let budget = 64 * 16_384;
        let mut table = Table::new(budget, 3);
        let mut model: BTreeMap<String, (DomainRef, u32)> = BTreeMap::new();
        let mut state = 1_u64;
        for step in 0..20_000_u64 {
            state = crate::track::mix(state);
            let name = format!("w.d{}.test", state % 6_000);
            let batch = observed(&name, [5, (state >> 20) as u8, 1, 1], 1_000 + step);
            let admitted = table.counts().admitted;
            let applied = table.apply(&batch.observations()[0], &batch).unwrap();
            let is_new = table.counts().admitted > admitted;
            let known = model.get(&name).filter(|(domain, _)| table.get(*domain).is_some());
            assert_eq!(is_new, known.is_none(), "{name}");
            let responses = if is_new { 1 } else { known.map_or(0, |(_, n)| n + 1) };
            assert_eq!(table.get(applied.domain).map(DomainWindow::responses), Some(responses));
            model.insert(name, (applied.domain, responses));
            if step % 4_000 == 3_999 {
                let before_ms = (1_000 + step - 3_000) * 1_000;
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
        let alive = model.values().filter(|(domain, _)| table.get(*domain).is_some()).count();
        assert_eq!(alive as u64, counts.tracked);
    }

    #[test]
    fn what_has_evidence_is_evicted_last() {
        let mut table = Table::new(64 * 16_384, 3);
        let mut dear = Vec::new();
        for i in 0..64 {
            let batch = observed(&format!("w.dear{i}.test"), [5, 1, 1, 1], 1_000);
            let applied = table.apply(&batch.observations()[0], &batch).unwrap();
            let rank = if i % 2 == 0 { Rank::Alerted } else { Rank::Suspect };
            table.get_mut(applied.domain).unwrap().set_judged(0, rank, false);
            dear.push(applied.domain);
        }
        for i in 0..20_000 {
            let batch = observed(&format!("w.flood{i}.test"), [5, 1, 1, 1], 2_000);
            table.apply(&batch.observations()[0], &batch).unwrap();
        }
        assert!(table.counts().evicted > 10_000);
        assert!(dear.iter().all(|&domain| table.get(domain).is_some()));
        assert!(table.take_evicted().is_empty());
    }

    #[test]
    fn facts_about_servers_alone_admit_nothing() {
        let mut table = Table::new(crate::limits::MEMORY_MIN, 3);
        let (referral, answer) =
            (referred("d.test", 1_000), observed("d.test", [5, 1, 1, 1], 1_001));
        assert_eq!(table.apply(&referral.observations()[0], &referral), None);
        assert_eq!((table.counts().server_facts_unused, table.counts().tracked), (1, 0));
        assert!(table.apply(&answer.observations()[0], &answer).is_some());
        assert!(table.apply(&referral.observations()[0], &referral).is_some());
        assert_eq!((table.counts().server_facts_unused, table.counts().tracked), (1, 1));
    }
}
