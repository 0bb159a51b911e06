//! Where the domains of a partition lie, by their hash.
//!
//! Open addressing, with half of the hash beside each place: a look-up waits for one cache line, and
//! asks no domain but the right one. Growing asks none at all. The entries lie in the order of their
//! hashes, so that a search ends where a higher one lies, the table can grow by a sixth in one pass, and
//! removing leaves no marks behind.

use crate::share::PARTITION_BITS;
use fluxtap_memory::fetch;

/// Places at the start.
const PLACES_MIN: usize = 16;

/// One in so many homes is free at least, so that an entry takes 9 to 11 bytes; a search ends after three
/// or four places in the mean.
const FREE_ONE_IN: usize = 7;

/// A table that is full grows by one home in so many, and a small one, where little is wasted, by half.
const GROWTH_ONE_IN: usize = 6;
const SMALL_HOMES: usize = 1 << 10;

/// Places behind the last home: nearly always enough for those that find it taken.
const ROOM_BEHIND: usize = 16;

/// Nothing lies here.
const FREE: u64 = u64::MAX;

/// Bits of a hash that are kept.
const TAG_BITS: u32 = u32::BITS;

/// See the module's head. An entry is any number but the highest.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The upper half of a hash over its entry: rising, each at its home or behind it with no free place
    /// between. The last one is free, so that every search ends.
    words: Vec<u64>,
    /// Places that are somebody's home.
    homes: usize,
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
        let behind = self.words.get(self.lower_bound(tag << TAG_BITS)..).unwrap_or_default();
        let is_it = move |word: &&u64| **word >> TAG_BITS == tag && **word != FREE;
        behind.iter().take_while(is_it).map(|word| *word as u32)
    }

    /// Has the places fetched that a look-up of this hash goes through, but for one in many.
    #[inline]
    pub(crate) fn fetch(&self, hash: u64) {
        let home = self.home(hash);
        if let Some(words) = self.words.get(home..home + ROOM_BEHIND / 2) {
            fetch(words);
        }
    }

    /// Adds an entry.
    pub(crate) fn insert(&mut self, hash: u64, entry: u32) {
        if self.homes - self.homes / FREE_ONE_IN <= self.len {
            self.grow();
        }
        let word = word(hash, entry);
        let at = self.lower_bound(word);
        let free = self.words[at..].iter().position(|word| *word == FREE).unwrap_or(0);
        self.words.copy_within(at..at + free, at + 1);
        self.words[at] = word;
        self.len += 1;
        self.end_free();
    }

    /// Takes an entry out, if it is there.
    pub(crate) fn remove(&mut self, hash: u64, entry: u32) {
        let word = word(hash, entry);
        let mut hole = self.lower_bound(word);
        if self.words.get(hole) != Some(&word) {
            return;
        }
        // What lies behind its home because places were taken moves up.
        while let Some(&next) = self.words.get(hole + 1)
            && next != FREE
            && self.home(next) <= hole
        {
            self.words[hole] = next;
            hole += 1;
        }
        self.words[hole] = FREE;
        self.len -= 1;
    }

    /// The first place at or behind a word's home where no lower one lies: its own, if it is there.
    #[inline]
    fn lower_bound(&self, word: u64) -> usize {
        let mut at = self.home(word);
        // A free place is higher than all words.
        while self.words.get(at).is_some_and(|other| *other < word) {
            at += 1;
        }
        at
    }

    /// Where the search for a hash or word begins: a partition's share of the bits is the same for all.
    #[inline]
    const fn home(&self, word: u64) -> usize {
        let own = word >> (TAG_BITS + PARTITION_BITS);
        ((own * self.homes as u64) >> (TAG_BITS - PARTITION_BITS)) as usize
    }

    /// Keeps the last place free.
    fn end_free(&mut self) {
        if self.words.last().is_some_and(|word| *word != FREE) {
            self.words.push(FREE);
        }
    }

    #[cold]
    fn grow(&mut self) {
        let one_in = if self.homes < SMALL_HOMES { 2 } else { GROWTH_ONE_IN };
        self.homes = (self.homes + self.homes / one_in).max(PLACES_MIN);
        let room = vec![FREE; self.homes + ROOM_BEHIND];
        let before = std::mem::replace(&mut self.words, room);
        let mut next = 0;
        for word in before.into_iter().filter(|word| *word != FREE) {
            next = self.home(word).max(next);
            if next == self.words.len() {
                self.words.push(FREE);
            }
            self.words[next] = word;
            next += 1;
        }
        self.end_free();
    }
}

const fn word(hash: u64, entry: u32) -> u64 {
    hash >> TAG_BITS << TAG_BITS | entry as u64
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
            // At the ends of the range as well, so that searches go on behind the last home.
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
                let words: Vec<u64> =
                    index.words.iter().copied().filter(|word| *word != FREE).collect();
                assert!(words.is_sorted() && index.words.last().is_none_or(|word| *word == FREE));
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
                longest = longest.max(index.lower_bound(hash) - index.home(hash));
            }
        }
        assert!(longest < 40, "{longest}");
        assert!(index.bytes() <= 100_000 * 11, "{}", index.bytes());
    }
}
