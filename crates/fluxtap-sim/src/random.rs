//! Randomness that is the same everywhere: one pinned generator and integer hashes.
//!
//! The generator is PCG XSL RR 128/64 (MCG), `Pcg64Mcg` of the crate `rand_pcg`, whose sequence is
//! part of that crate's promise; a test pins it here too. Nothing uses a function whose last bit
//! depends on the platform's mathematics library (`ln`, `powf`, `cos`): the four basic operations
//! on `f64` are exact by IEEE 754, so a seed gives the same bytes on every machine.

use rand_core::Rng as _;
use rand_pcg::Pcg64Mcg;

/// A seeded source of random numbers.
#[derive(Clone, Debug)]
pub struct Random(Pcg64Mcg);

impl Random {
    /// The generator of `stream` under `seed`. Streams are independent of each other, so that more
    /// draws in one part of a scenario leave the others as they were.
    pub fn new(seed: u64, stream: u64) -> Self {
        let high = mix(seed, stream);
        Self(Pcg64Mcg::new(u128::from(high) << 64 | u128::from(mix(high, seed))))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A whole number below `bound`, 0 for a bound of 0. Uneven by less than `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        scale(self.bits(), bound)
    }

    /// A number of [0, 1).
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what an f64 holds exactly.
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// True with probability `share` (0 to 1).
    pub fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.unit() < share
    }

    /// An exponentially distributed number with mean 1, by von Neumann's comparisons (1951).
    pub fn exponential(&mut self) -> f64 {
        let mut whole = 0.0;
        loop {
            let first = self.unit();
            let mut last = first;
            let mut run = 1_u32;
            loop {
                let next = self.unit();
                if next >= last {
                    break;
                }
                last = next;
                run += 1;
            }
            if run % 2 == 1 {
                return whole + first;
            }
            whole += 1.0;
        }
    }

    /// A rank below `size` by a Zipf law of exponent 1 in steps of octaves: each octave of ranks is
    /// as likely as the next, and inside an octave all are equal. No table, whatever the size.
    pub fn rank(&mut self, size: u32) -> u32 {
        let size = size.max(1);
        let octaves = u32::BITS - size.leading_zeros();
        loop {
            let octave = self.below(u64::from(octaves));
            let rank = (1 << octave) - 1 + self.below(1 << octave);
            // Only the last octave can miss, by less than half.
            if rank < u64::from(size) {
                return rank as u32;
            }
        }
    }

    /// One of `items` by weight; the weights must not all be 0.
    pub fn weighted<'a, T>(&mut self, items: &'a [(T, u32)]) -> &'a T {
        by_weight(items, self.bits())
    }
}

/// The item in whose share of the weights `bits` falls.
pub(crate) fn by_weight<T>(items: &[(T, u32)], bits: u64) -> &T {
    let total: u64 = items.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut left = scale(bits, total);
    for (item, weight) in items {
        let weight = u64::from(*weight);
        if left < weight {
            return item;
        }
        left -= weight;
    }
    panic!("weights of a scenario must not all be 0")
}

/// `bits` as a number below `bound`.
pub(crate) fn scale(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

/// A hash of two numbers (the finalizer of SplitMix64): facts of the simulated world are functions
/// of the seed, so that they need no memory and no order of evaluation.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.rotate_left(32) ^ b.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let z = z ^ (z >> 31);
    // The second round separates keys that differ in both numbers by the same bits.
    let z = (z ^ a).wrapping_mul(0xd6e8_feb8_6659_fd93);
    z ^ (z >> 32)
}

/// A hash of bytes, for names.
pub(crate) fn mix_bytes(seed: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(mix(seed, bytes.len() as u64), |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(hash, u64::from_le_bytes(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_pinned() {
        let mut random = Random::new(1, 2);
        let drawn = [random.bits(), random.bits(), random.bits()];
        assert_eq!(drawn, [0x48d7_2e3f_3916_9d0f, 0xfe16_a4c4_d52b_85bd, 0xca82_1c43_c346_d9b8]);
    }

    #[test]
    fn exponential_numbers_have_mean_and_variance_one() {
        let mut random = Random::new(3, 0);
        let drawn: Vec<f64> = (0..100_000).map(|_| random.exponential()).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance =
            drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / drawn.len() as f64;
        assert!((mean - 1.0).abs() < 0.02 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn ranks_stay_below_the_size_and_fall_off_like_zipf() {
        for size in [1, 2, 3, 100, 1000, 1 << 20] {
            let mut random = Random::new(4, u64::from(size));
            assert!((0..1000).all(|_| random.rank(size) < size), "{size}");
        }
        let mut random = Random::new(5, 0);
        let mut counts = [0_u32; 1023];
        for _ in 0..100_000 {
            counts[random.rank(1023) as usize] += 1;
        }
        // Ten octaves of equal share.
        assert!((9_500..10_500).contains(&counts[0]), "{}", counts[0]);
        assert!((9_500..10_500).contains(&counts[511..].iter().sum::<u32>()));
    }

    #[test]
    fn weights_are_shares() {
        let items = [("a", 1), ("none", 0), ("b", 3)];
        let mut random = Random::new(6, 0);
        let b = (0..10_000).filter(|_| *random.weighted(&items) == "b").count();
        assert!((7_300..7_700).contains(&b), "{b}");
    }
}
