//! A small fact for each of the latest keys, in memory of fixed size.

/// Places in a bucket, so that it lies in a cache line.
const WAYS: usize = 4;

#[derive(Clone, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// 0 where there is none.
    keys: [u64; WAYS],
    values: [u32; WAYS],
    /// The place that is written next: the oldest.
    next: u32,
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
    buckets: Box<[Bucket]>,
}

impl Ring {
    /// A ring for about `keys_max` keys, at most 100 million.
    pub(crate) fn new(keys_max: usize) -> Self {
        let buckets = (keys_max.min(100_000_000) / WAYS).next_power_of_two();
        Self { buckets: vec![Bucket::default(); buckets].into() }
    }

    /// Takes a key out; its value.
    pub(crate) fn remove(&mut self, key: u64) -> Option<u32> {
        let key = key.max(1);
        let mask = self.buckets.len() - 1;
        let bucket = &mut self.buckets[key as usize & mask];
        let place = bucket.keys.iter().position(|&k| k == key)?;
        bucket.keys[place] = 0;
        Some(bucket.values[place])
    }

    /// Gives a key a value; what it had before.
    #[inline]
    pub(crate) fn insert(&mut self, key: u64, value: u32) -> Before {
        let key = key.max(1);
        let mask = self.buckets.len() - 1;
        let bucket = &mut self.buckets[key as usize & mask];
        for place in 0..WAYS {
            if bucket.keys[place] == key {
                return Before::Known(std::mem::replace(&mut bucket.values[place], value));
            }
        }
        let place = bucket.next as usize % WAYS;
        bucket.next = (place as u32 + 1) % WAYS as u32;
        let key = std::mem::replace(&mut bucket.keys[place], key);
        let value = std::mem::replace(&mut bucket.values[place], value);
        if key == 0 { Before::Nothing } else { Before::Replaced(value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_ring_is_that_of_naive_queues() {
        let mut ring = Ring::new(32);
        assert_eq!(ring.buckets.len(), 8);
        let mut naive = BTreeMap::<u64, Vec<(u64, u32)>>::new();
        let mut state = 1_u64;
        let mut seen = [0; 3];
        for step in 0..50_000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            let key = state >> 40 & 0x7f | 1 << 60;
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
            assert_eq!(ring.insert(key, step), expected, "{step}");
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
        assert_eq!(ring.insert(0, 7), Before::Nothing);
        assert_eq!(ring.insert(0, 8), Before::Known(7));
        assert_eq!(ring.remove(0), Some(8));
        assert_eq!(ring.remove(0), None);
    }
}
