//! A small fact for each of the latest keys, in memory that grows to a limit.
//!
//! A key may lie in either of two buckets, so that both fill evenly and the memory stays small: every
//! message looks up a place at random, and what does not fit in a processor's nearest caches would be
//! waited for every time.

/// Places in a bucket, so that it fills a cache line.
const WAYS: usize = 5;

/// Buckets at the start.
const BUCKETS_AT_START: usize = 1 << 6;

/// Keys with their values from the newest to the oldest; the key 0 where there is none.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    keys: [u64; WAYS],
    values: [u32; WAYS],
}

impl Bucket {
    fn position(&self, key: u64) -> Option<usize> {
        self.keys.iter().position(|&known| known == key)
    }

    /// Puts a key in front; what stood at `from` goes, and what stood before that moves back.
    fn renew(&mut self, from: usize, key: u64, value: u32) {
        self.keys.copy_within(..from, 1);
        self.values.copy_within(..from, 1);
        (self.keys[0], self.values[0]) = (key, value);
    }
}

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
        let key = key.max(1);
        places(key, self.buckets.len()).into_iter().find_map(|at| {
            let bucket = &mut self.buckets[at];
            let place = bucket.position(key)?;
            let value = bucket.values[place];
            bucket.keys.copy_within(place + 1.., place);
            bucket.values.copy_within(place + 1.., place);
            bucket.keys[WAYS - 1] = 0;
            Some(value)
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
        let key = key.max(1);
        loop {
            let [first, second] = places(key, self.buckets.len());
            for at in [first, second] {
                let bucket = &mut self.buckets[at];
                if let Some(place) = bucket.position(key) {
                    let before = bucket.values[place];
                    bucket.renew(place, key, value);
                    return Before::Known(before);
                }
            }
            // They lie in order of time, so half of a bucket is free if its middle is.
            let has_room = |&(at, depth): &(usize, usize)| {
                let bucket = &self.buckets[at];
                bucket.keys[depth] == 0 || !is_needed(bucket.values[depth])
            };
            let (half, last) = (WAYS / 2, WAYS - 1);
            let order = [(first, half), (second, half), (first, last), (second, last)];
            let place = order.iter().find(|place| has_room(place));
            if place.is_none() && self.buckets.len() < self.buckets_max {
                self.grow();
                continue;
            }
            let bucket = &mut self.buckets[place.map_or(first, |&(at, _)| at)];
            let (other, before) = (bucket.keys[last], bucket.values[last]);
            bucket.renew(last, key, value);
            return if other == 0 { Before::Nothing } else { Before::Replaced(before) };
        }
    }

    /// Doubles the buckets: what lies in one goes to it and to the one that is new, in its order.
    #[cold]
    fn grow(&mut self) {
        let half = self.buckets.len();
        let before = std::mem::take(&mut self.buckets);
        self.buckets = vec![Bucket::default(); 2 * half];
        for (from, bucket) in before.iter().enumerate() {
            for way in (0..WAYS).rev().filter(|&way| bucket.keys[way] != 0) {
                let key = bucket.keys[way];
                let [first, second] = places(key, 2 * half);
                let at = if first % half == from { first } else { second };
                self.buckets[at].renew(WAYS - 1, key, bucket.values[way]);
            }
        }
    }
}

/// The two of so many buckets, a power of two, in which a key may lie.
#[inline]
pub(crate) const fn places(key: u64, buckets: usize) -> [usize; 2] {
    let mask = buckets - 1;
    [key as usize & mask, (key >> 32) as usize & mask]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_ring_is_that_of_naive_queues() {
        let mut ring = Ring::new(40);
        assert_eq!(ring.buckets.len(), 8);
        // Both buckets of a key are one.
        let mut naive = BTreeMap::<u64, Vec<(u64, u32)>>::new();
        let mut state = 1_u64;
        let mut seen = [0; 3];
        for step in 0..50_000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            let key = (state >> 40 & 0x7f | 0x80) * 0x1_0000_0001;
            let queue = naive.entry(key & 7).or_default();
            let known =
                queue.iter().position(|(k, _)| *k == key).map(|place| queue.remove(place).1);
            if step % 16 == 0 {
                assert_eq!(ring.remove(key), known, "{step}");
                continue;
            }
            queue.push((key, step));
            let expected = match known {
                Some(value) => Before::Known(value),
                None if queue.len() > WAYS => Before::Replaced(queue.remove(0).1),
                None => Before::Nothing,
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
        let mut ring = Ring::new(1 << 17);
        let mut state = 1_u64;
        let keys: Vec<u64> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            state ^ state >> 29
        })
        .take(130_000)
        .collect();
        let key = |step: u32| keys[step as usize];
        // Whatever is older than 500 steps is not needed: the ring stays as it began.
        for step in 0..100_000 {
            ring.insert(key(step), step, |value| value + 500 > step);
        }
        let small = ring.buckets.len();
        assert!(small <= 512, "{small}");
        for step in 100_000..130_000 {
            ring.insert(key(step), step, |_| true);
        }
        assert!(ring.buckets.len() > small && ring.buckets.len() < ring.buckets_max);
        for step in 100_000..130_000 {
            assert_eq!(ring.remove(key(step)), Some(step));
        }
        assert_eq!(ring.remove(key(129_000)), None);
    }
}
