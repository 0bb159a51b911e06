//! Which of the partitions somebody owns.

use crate::limits::PARTITIONS;

/// A share of the partitions. Shares with the same `of` do not overlap, and are all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// A bit for each partition.
    mask: u64,
}

const _: () = assert!(PARTITIONS == u64::BITS as usize, "a bit for each");

impl Share {
    /// All of them.
    pub const WHOLE: Self = Self { mask: u64::MAX };

    /// Share `number` of `of`, counted from 0.
    ///
    /// # Panics
    /// If `number` is not below `of`, or `of` is more than there are partitions.
    #[must_use]
    pub const fn new(number: usize, of: usize) -> Self {
        assert!(number < of && of <= PARTITIONS, "a share among so many");
        let mut mask = 0;
        let mut partition = number;
        while partition < PARTITIONS {
            mask |= 1 << partition;
            partition += of;
        }
        Self { mask }
    }

    /// The number of the share, of so many, that has a partition.
    #[must_use]
    pub const fn owner(partition: usize, of: usize) -> usize {
        partition % of
    }

    /// Whether the domain with this hash, as observations have it, belongs to it.
    #[must_use]
    #[inline]
    pub const fn holds(self, domain_hash: u64) -> bool {
        self.mask >> partition_of(domain_hash) & 1 != 0
    }
}

/// Bits of a hash that say the partition: the lowest ones of its upper half.
pub(crate) const PARTITION_BITS: u32 = PARTITIONS.trailing_zeros();

/// The partition of a domain, from bits of its hash that the index does not use.
#[must_use]
#[inline]
pub const fn partition_of(hash: u64) -> usize {
    (hash >> 32) as usize % PARTITIONS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_all_partitions() {
        for of in 1..=PARTITIONS {
            let shares: Vec<Share> = (0..of).map(|number| Share::new(number, of)).collect();
            for partition in 0..PARTITIONS as u64 {
                let owners = shares.iter().filter(|share| share.holds(partition << 32)).count();
                let owner = Share::owner(partition as usize, of);
                assert!(shares[owner].holds(partition << 32));
                assert_eq!(owners, 1, "partition {partition} of {of}");
            }
            let sizes = shares.iter().map(|share| share.mask.count_ones());
            let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
            assert!(most - least <= 1, "{of} shares have {least} to {most} partitions");
        }
        assert_eq!(Share::new(0, 1), Share::WHOLE);
    }
}
