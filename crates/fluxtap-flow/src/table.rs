//! Entries found by a key, bounded in number and bytes, and fair between the sources of packets.

use crate::settings::TableLimits;
use fluxtap_wire::Timestamp;
use hashbrown::HashTable;

/// No source gets more than this part of the entries and of the bytes.
const SOURCE_SHARE: usize = 8;

/// Places that sources are told apart by; those that share one share its part too.
const SOURCES: usize = 1_024;

/// Least number of bytes: an eighth of them must hold the largest entry.
const BYTES_MIN: usize = 2 << 20;

/// Most entries, so that their numbers fit.
const ENTRIES_MAX: usize = 1 << 24;

const NONE: u32 = u32::MAX;

/// The number of an entry, valid until it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u32);

/// First and last entry of a chain, and what is in it.
#[derive(Clone, Copy, Debug)]
struct Chain {
    first: u32,
    last: u32,
    entries: usize,
    bytes: usize,
}

impl Chain {
    const EMPTY: Self = Self { first: NONE, last: NONE, entries: 0, bytes: 0 };
}

/// Neighbours of an entry in a chain.
#[derive(Clone, Copy, Debug)]
struct Links {
    before: u32,
    after: u32,
}

#[derive(Debug)]
struct Slot<V> {
    hash: u64,
    source: u16,
    bytes: usize,
    at: Timestamp,
    /// In the chain of all, and in that of its source.
    links: [Links; 2],
    value: Option<V>,
}

/// See the module's head. Both chains of an entry are in order of the last touch.
#[derive(Debug)]
pub(crate) struct Table<V> {
    index: HashTable<u32>,
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    all: Chain,
    sources: Box<[Chain]>,
    limits: TableLimits,
}

impl<V> Table<V> {
    pub(crate) fn new(limits: TableLimits) -> Self {
        let limits = TableLimits {
            entries_max: limits.entries_max.clamp(SOURCE_SHARE, ENTRIES_MAX),
            bytes_max: limits.bytes_max.max(BYTES_MIN),
            ..limits
        };
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            all: Chain::EMPTY,
            sources: vec![Chain::EMPTY; SOURCES].into(),
            limits,
        }
    }

    /// The entry with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(&V) -> bool) -> Option<Id> {
        let is_it = |&id: &u32| {
            let slot = &self.slots[id as usize];
            slot.hash == hash && slot.value.as_ref().is_some_and(&is_it)
        };
        self.index.find(hash, is_it).map(|&id| Id(id))
    }

    /// Adds an entry as the latest one. It may be one too many: see [`Table::crowding`].
    pub(crate) fn insert(&mut self, hash: u64, source: u64, at: Timestamp, value: V) -> Id {
        let links = [Links { before: NONE, after: NONE }; 2];
        let source = (source % SOURCES as u64) as u16;
        let bytes = size_of::<Slot<V>>();
        let slot = Slot { hash, source, bytes, at, links, value: Some(value) };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.index.insert_unique(hash, id, |&id| self.slots[id as usize].hash);
        self.push_back(id);
        Id(id)
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, id: Id) -> Option<V> {
        let slot = self.slots.get_mut(id.0 as usize)?;
        let value = slot.value.take()?;
        let hash = slot.hash;
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == id.0) {
            entry.remove();
        }
        self.unlink(id.0);
        self.free.push(id.0);
        Some(value)
    }

    pub(crate) fn get(&self, id: Id) -> Option<&V> {
        self.slots.get(id.0 as usize)?.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut V> {
        self.slots.get_mut(id.0 as usize)?.value.as_mut()
    }

    /// Says how much memory an entry takes beside its slot.
    pub(crate) fn set_bytes(&mut self, id: Id, bytes: usize) {
        let Some(slot) = self.slots.get_mut(id.0 as usize) else { return };
        let bytes = bytes + size_of::<Slot<V>>();
        let before = std::mem::replace(&mut slot.bytes, bytes);
        for chain in [&mut self.all, &mut self.sources[usize::from(slot.source)]] {
            chain.bytes = chain.bytes + bytes - before;
        }
    }

    /// Makes an entry the latest one.
    pub(crate) fn touch(&mut self, id: Id, at: Timestamp) {
        self.unlink(id.0);
        self.slots[id.0 as usize].at = at;
        self.push_back(id.0);
    }

    /// The entry that has not been touched for longest, and when it was.
    pub(crate) fn oldest(&self) -> Option<(Id, Timestamp)> {
        let slot = self.slots.get(self.all.first as usize)?;
        Some((Id(self.all.first), slot.at))
    }

    /// The entry that must go for `id` to stay: the oldest of the same source if that one has more
    /// than its part, else the oldest of all. May be `id` itself.
    pub(crate) fn crowding(&self, id: Id) -> Option<Id> {
        let limits = &self.limits;
        let source = &self.sources[usize::from(self.slots.get(id.0 as usize)?.source)];
        if source.entries > limits.entries_max / SOURCE_SHARE
            || source.bytes > limits.bytes_max / SOURCE_SHARE
        {
            Some(Id(source.first))
        } else if self.all.entries > limits.entries_max || self.all.bytes > limits.bytes_max {
            Some(Id(self.all.first))
        } else {
            None
        }
    }

    pub(crate) const fn lifetime_s(&self) -> u32 {
        self.limits.lifetime_s
    }

    /// Bytes of all entries, their slots included.
    pub(crate) const fn bytes(&self) -> usize {
        self.all.bytes
    }

    fn push_back(&mut self, id: u32) {
        let Slot { source, bytes, .. } = self.slots[id as usize];
        for which in 0..2 {
            let chain = if which == 0 { &mut self.all } else { &mut self.sources[source as usize] };
            let before = std::mem::replace(&mut chain.last, id);
            chain.entries += 1;
            chain.bytes += bytes;
            if before == NONE {
                chain.first = id;
            } else {
                self.slots[before as usize].links[which].after = id;
            }
            self.slots[id as usize].links[which] = Links { before, after: NONE };
        }
    }

    fn unlink(&mut self, id: u32) {
        let Slot { source, bytes, links, .. } = self.slots[id as usize];
        for (which, Links { before, after }) in links.into_iter().enumerate() {
            let chain = if which == 0 { &mut self.all } else { &mut self.sources[source as usize] };
            chain.entries -= 1;
            chain.bytes -= bytes;
            if before == NONE {
                chain.first = after;
            }
            if after == NONE {
                chain.last = before;
            }
            if before != NONE {
                self.slots[before as usize].links[which].after = after;
            }
            if after != NONE {
                self.slots[after as usize].links[which].before = before;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by a list from the oldest to the latest: hash, source, bytes, time, value.
    #[derive(Default)]
    struct Naive(Vec<(u64, u64, usize, Timestamp, u32)>);

    impl Naive {
        fn crowding(&self, value: u32, limits: TableLimits) -> Option<u32> {
            let own = self.0.iter().find(|e| e.4 == value)?.1;
            let of_source: Vec<_> = self.0.iter().filter(|e| e.1 == own).collect();
            let bytes = |list: &mut dyn Iterator<Item = usize>| list.sum::<usize>();
            if of_source.len() > limits.entries_max / SOURCE_SHARE
                || bytes(&mut of_source.iter().map(|e| e.2)) > limits.bytes_max / SOURCE_SHARE
            {
                return Some(of_source[0].4);
            }
            let is_over = self.0.len() > limits.entries_max
                || bytes(&mut self.0.iter().map(|e| e.2)) > limits.bytes_max;
            is_over.then(|| self.0[0].4)
        }
    }

    #[test]
    fn the_table_is_that_of_a_naive_list() {
        let limits = TableLimits { entries_max: 64, bytes_max: BYTES_MIN, lifetime_s: 1 };
        let mut state = 1_u32;
        let mut random = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        let (mut table, mut naive) = (Table::new(limits), Naive::default());
        let base = size_of::<Slot<u32>>();
        let mut evicted = [0, 0];
        for step in 0..40_000_u32 {
            let at = Timestamp(u64::from(step));
            // Few hashes, so that they collide, and few sources, so that they have their fill.
            let hash = u64::from(random(40));
            let source = u64::from(random(20));
            let known = naive.0.get(random(70) as usize).copied();
            let id = known.and_then(|e| table.find(e.0, |&v| v == e.4));
            assert_eq!(id.is_some(), known.is_some(), "{step}");
            let subject = match (random(4), id, known) {
                (0, Some(id), Some(entry)) => {
                    assert_eq!(table.remove(id), Some(entry.4));
                    naive.0.retain(|e| e.4 != entry.4);
                    continue;
                }
                (1, Some(id), Some(entry)) => {
                    table.touch(id, at);
                    naive.0.retain(|e| e.4 != entry.4);
                    naive.0.push((entry.0, entry.1, entry.2, at, entry.4));
                    continue;
                }
                (2, Some(id), Some(entry)) => {
                    let bytes = random(100_000) as usize;
                    table.set_bytes(id, bytes);
                    let found = naive.0.iter_mut().find(|e| e.4 == entry.4);
                    found.expect("known").2 = base + bytes;
                    (id, entry.4)
                }
                _ => {
                    naive.0.push((hash, source, base, at, step));
                    (table.insert(hash, source, at, step), step)
                }
            };
            while let Some(victim) = table.crowding(subject.0) {
                let expected = naive.crowding(subject.1, limits);
                assert_eq!(table.get(victim).copied(), expected, "{step}");
                evicted[usize::from(expected == Some(naive.0[0].4))] += 1;
                naive.0.retain(|e| Some(e.4) != expected);
                table.remove(victim);
            }
            assert_eq!(naive.crowding(subject.1, limits), None, "{step}");
            let mut next = table.all.first;
            for entry in &naive.0 {
                let slot = &table.slots[next as usize];
                assert_eq!(slot.value, Some(entry.4), "{step}");
                next = slot.links[0].after;
            }
            assert_eq!(next, NONE, "{step}");
            let oldest = table.oldest().map(|(id, at)| (*table.get(id).expect("there"), at));
            assert_eq!(oldest, naive.0.first().map(|e| (e.4, e.3)), "{step}");
            assert_eq!(table.all.entries, naive.0.len());
            assert_eq!(table.all.bytes, naive.0.iter().map(|e| e.2).sum::<usize>());
        }
        assert!(evicted.iter().all(|&n| n > 100), "{evicted:?} by source and by age");
    }
}
