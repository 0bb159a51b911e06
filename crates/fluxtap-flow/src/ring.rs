//! A small fact for each of the latest keys, in memory that grows to a limit.
//!
//! A key may lie in either of two buckets, so that both fill evenly and the memory stays small: every
//! message looks up a place at random, and what does not fit in a processor's nearest caches would be
//! waited for every time.

/// Places in a bucket, so that it fills a cache line.
const WAYS: usize = 8;

/// Buckets at the start.
const BUCKETS_AT_START: usize = 1 << 9;

/// Entries from the newest to the oldest: the upper half of the key, never 0, and the value; 0 where
/// there is none.
///
/// The lower half of the key picks the buckets, so two keys pass for one with a probability of 2^-32
/// if they share a bucket, which at most sixteen do.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket([u64; WAYS]);

/// What a key had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// This value.
    Known(u32),
    /// Nothing; it took a free place.
    Nothing,
    /// Nothing; it took the place of another key that had this value.
    Replaced(u32),
}

/// See the module's head. Keys are hashes; the oldest of a bucket gives way.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    buckets: Vec<Bucket>,
    buckets_max: usize,
}

impl Ring {
    /// A ring for about `keys_max` keys, at most 100 million.
    pub(crate) fn new(keys_max: usize) -> Self {
        let buckets_max = (keys_max.min(100_000_000) / WAYS).next_power_of_two();
        Self { buckets: vec![Bucket::default(); buckets_max.min(BUCKETS_AT_START)], buckets_max }
    }

    /// Takes a key out; its value.
    pub(crate) fn remove(&mut self, key: u64) -> Option<u32> {
        self.places(key).into_iter().find_map(|at| {
            let Bucket(entries) = &mut self.buckets[at];
            let entry = entries.iter_mut().find(|entry| tag(**entry) == tag_of(key))?;
            Some(std::mem::take(entry) as u32)
        })
    }

    /// Gives a key a value; what it had before. Below its limit the ring grows before it lets go of
    /// a value that `is_needed`.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        key: u64,
        value: u32,
        is_needed: impl Fn(u32) -> bool,
    ) -> Before {
        let new = tag_of(key) << 32 | u64::from(value);
        loop {
            let [first, second] = self.places(key);
            for at in [first, second] {
                let Bucket(entries) = &mut self.buckets[at];
                if let Some(known) = entries.iter_mut().find(|entry| tag(**entry) == tag(new)) {
                    return Before::Known(std::mem::replace(known, new) as u32);
                }
            }
            // Entries lie in order of time, so one that is not needed has none needed behind it.
            let has_room = |&(at, depth): &(usize, usize)| {
                let entry = self.buckets[at].0[depth];
                entry == 0 || !is_needed(entry as u32)
            };
            let (half, whole) = (WAYS / 2 - 1, WAYS - 1);
            let order = [(first, half), (second, half), (first, whole), (second, whole)];
            let place = order.iter().find(|place| has_room(place));
            if place.is_none() && self.buckets.len() < self.buckets_max {
                // The copies of what lies in the other half now age like everything.
                self.buckets.extend_from_within(..);
                continue;
            }
            let at = place.map_or(first, |&(at, _)| at);
            let Bucket(entries) = &mut self.buckets[at];
            let oldest = entries[WAYS - 1];
            entries.copy_within(..WAYS - 1, 1);
            entries[0] = new;
            return if oldest == 0 { Before::Nothing } else { Before::Replaced(oldest as u32) };
        }
    }

    /// The buckets in which a key may lie.
    fn places(&self, key: u64) -> [usize; 2] {
        let mask = self.buckets.len() - 1;
        [key as usize & mask, (key >> 16) as usize & mask]
    }
}

const fn tag(entry: u64) -> u64 {
    entry >> 32
}

fn tag_of(key: u64) -> u64 {
    tag(key).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_ring_is_that_of_naive_queues() {
        let mut ring = Ring::new(64);
        assert_eq!(ring.buckets.len(), 8);
        // Both buckets of a key are one.
        let mut naive = BTreeMap::<u64, Vec<(u64, u32)>>::new();
        let mut state = 1_u64;
        let mut seen = [0; 3];
        for step in 0..50_000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            let key = (state >> 40 & 0x7f | 0x80) * 0x1_0001_0001;
            let queue = naive.entry(key & 7).or_default();
            let known = queue.iter_mut().find(|(k, _)| *k == key);
            if step % 16 == 0 {
                let value = known.map(|place| std::mem::take(place).1);
                assert_eq!(ring.remove(key), value, "{step}");
                continue;
            }
            let expected = match known {
                Some((_, value)) => Before::Known(std::mem::replace(value, step)),
                None => {
                    queue.push((key, step));
                    // A removed key leaves its place in the order.
                    let first = if queue.len() > WAYS { queue.remove(0) } else { (0, 0) };
                    if first.0 == 0 { Before::Nothing } else { Before::Replaced(first.1) }
                }
            };
            assert_eq!(ring.insert(key, step, |_| true), expected, "{step}");
            seen[match expected {
                Before::Known(_) => 0,
                Before::Nothing => 1,
                Before::Replaced(_) => 2,
            }] += 1;
        }
        assert!(seen.iter().all(|&n| n >= 40), "{seen:?}");
    }

    #[test]
    fn the_key_0_is_like_any_other() {
        let mut ring = Ring::new(4);
        assert_eq!(ring.remove(0), None);
        assert_eq!(ring.insert(0, 7, |_| true), Before::Nothing);
        assert_eq!(ring.insert(0, 8, |_| true), Before::Known(7));
        assert_eq!(ring.remove(0), Some(8));
        assert_eq!(ring.remove(0), None);
    }

    #[test]
    fn the_ring_grows_for_what_is_needed_and_forgets_nothing_then() {
        let mut ring = Ring::new(1 << 16);
        let mut state = 1_u64;
        let keys: Vec<u64> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            state ^ state >> 29
        })
        .take(130_000)
        .collect();
        let key = |step: u32| keys[step as usize];
        // Whatever is older than 1,000 steps is not needed: the ring stays as it began.
        for step in 0..100_000 {
            ring.insert(key(step), step, |value| value + 1_000 > step);
        }
        let small = ring.buckets.len();
        assert_eq!(small, BUCKETS_AT_START);
        for step in 100_000..130_000 {
            ring.insert(key(step), step, |value| value + 10_000 > step);
        }
        assert!(ring.buckets.len() > small && ring.buckets.len() <= ring.buckets_max);
        for step in 120_000..130_000 {
            assert_eq!(ring.remove(key(step)), Some(step));
        }
        assert_eq!(ring.remove(key(129_000)), None);
    }
}
