//! Where the domains of a partition lie, by their hash.
//!
//! Open addressing, with half of the hash beside each place: a look-up waits for one cache line, and
//! asks no domain but the right one. Growing asks none at all. The places lie in the order of their
//! hashes, so that the table can grow by half, and removing leaves no marks behind.

use crate::share::PARTITION_BITS;
use fluxtap_memory::fetch;

/// Places at the start, and least room beside a larger number of entries: a quarter.
const PLACES_MIN: usize = 16;

/// Nothing lies here.
const FREE: u64 = u64::MAX;

/// Bits of a hash that are kept.
const TAG_BITS: u32 = u32::BITS;

/// See the module's head. An entry is any number but the highest.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The upper half of a hash over its entry.
    words: Vec<u64>,
    len: usize,
}

impl Index {
    /// How many entries there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Heap bytes held.
    pub(crate) const fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    /// The entries of this hash, and now and then one of another hash: the entry must know its own.
    #[inline]
    pub(crate) fn of(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let tag = hash >> TAG_BITS;
        let mut at = self.home(tag);
        // There is always a free place; of an empty table there is none.
        std::iter::from_fn(move || {
            loop {
                let word = self.words.get(at).copied().filter(|word| *word != FREE)?;
                at = self.behind(at);
                if word >> TAG_BITS == tag {
                    return Some(word as u32);
                }
            }
        })
    }

    /// Has the place fetched where a look-up of this hash begins.
    #[inline]
    pub(crate) fn fetch(&self, hash: u64) {
        if let Some(word) = self.words.get(self.home(hash >> TAG_BITS)) {
            fetch(word);
        }
    }

    /// Adds an entry.
    pub(crate) fn insert(&mut self, hash: u64, entry: u32) {
        if self.words.len() * 3 <= (self.len + 1) * 4 {
            self.grow();
        }
        self.put(hash >> TAG_BITS << TAG_BITS | u64::from(entry));
        self.len += 1;
    }

    /// Takes an entry out, if it is there.
    pub(crate) fn remove(&mut self, hash: u64, entry: u32) {
        let word = hash >> TAG_BITS << TAG_BITS | u64::from(entry);
        let mut hole = self.home(hash >> TAG_BITS);
        while self.words.get(hole).is_some_and(|other| *other != FREE && *other != word) {
            hole = self.behind(hole);
        }
        if self.words.get(hole) != Some(&word) {
            return;
        }
        // What was put behind the hole because this place was taken moves up.
        let mut at = self.behind(hole);
        while self.words[at] != FREE {
            if self.distance(self.home(self.words[at] >> TAG_BITS), at) >= self.distance(hole, at) {
                self.words[hole] = self.words[at];
                hole = at;
            }
            at = self.behind(at);
        }
        self.words[hole] = FREE;
        self.len -= 1;
    }

    /// Where the search for a tag begins: a partition's share of the bits is the same for all.
    #[inline]
    const fn home(&self, tag: u64) -> usize {
        let own = tag >> PARTITION_BITS;
        ((own * self.words.len() as u64) >> (TAG_BITS - PARTITION_BITS)) as usize
    }

    #[inline]
    const fn behind(&self, at: usize) -> usize {
        if at + 1 < self.words.len() { at + 1 } else { 0 }
    }

    /// Steps from one place to another.
    const fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.words.len() - from }
    }

    fn put(&mut self, word: u64) {
        let mut at = self.home(word >> TAG_BITS);
        while self.words[at] != FREE {
            at = self.behind(at);
        }
        self.words[at] = word;
    }

    #[cold]
    fn grow(&mut self) {
        let places = (self.words.len() / 2 * 3).max(PLACES_MIN);
        let before = std::mem::replace(&mut self.words, vec![FREE; places]);
        before.into_iter().filter(|word| *word != FREE).for_each(|word| self.put(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::mix;
    use std::collections::BTreeSet;

    /// Random hashes, many of which share their upper half or lie side by side, against a set.
    #[test]
    fn what_is_in_it_is_found_and_nothing_else() {
        for seed in 0..8_u64 {
            let (mut index, mut naive) = (Index::default(), BTreeSet::new());
            let mut state = seed;
            let mut dice = |bound: u64| {
                state = mix(state);
                state % bound
            };
            // At the ends of the range as well, so that searches go round.
            let spread = [1, 50, 3_000][seed as usize % 3];
            for step in 0..20_000_u32 {
                let own = dice(spread) * ((1 << 26) / spread) + dice(3);
                let hash = (own.min((1 << 26) - 1) << 6 | 5) << 32 | dice(2);
                let is_there = naive.iter().find(|(known, _)| *known == hash).copied();
                match is_there {
                    Some((_, entry)) if dice(2) == 0 => {
                        index.remove(hash, entry);
                        naive.remove(&(hash, entry));
                    }
                    _ if naive.len() < 400 => {
                        index.insert(hash, step);
                        naive.insert((hash, step));
                    }
                    _ => index.remove(hash, u32::MAX - 1),
                }
                assert_eq!(index.len(), naive.len());
                let mut found: Vec<u32> = index.of(hash).collect();
                found.sort_unstable();
                let same = |other: u64| other >> TAG_BITS == hash >> TAG_BITS;
                let known: BTreeSet<u32> =
                    naive.iter().filter(|(h, _)| same(*h)).map(|(_, entry)| *entry).collect();
                assert_eq!(found, known.into_iter().collect::<Vec<_>>(), "{seed} {step}");
            }
            for (hash, entry) in naive {
                assert!(index.of(hash).any(|found| found == entry));
                index.remove(hash, entry);
                assert!(index.of(hash).all(|found| found != entry));
            }
            assert!(index.len() == 0 && index.words.iter().all(|word| *word == FREE));
        }
    }

    /// However many there are, a search ends soon, and there are not many places more.
    #[test]
    fn searches_are_short_and_room_is_not_wasted() {
        let mut index = Index::default();
        let mut longest = 0;
        for n in 0..100_000_u64 {
            let hash = mix(n) & !(63 << 32);
            index.insert(hash, n as u32);
            if n >= 1_000 && n.is_multiple_of(97) {
                let start = index.home(hash >> TAG_BITS);
                let places = index.words.iter().cycle().skip(start);
                longest = longest.max(places.take_while(|word| **word != FREE).count());
            }
        }
        assert!(longest < 300, "{longest}");
        assert!(index.bytes() <= 100_000 * 16, "{}", index.bytes());
    }
}
