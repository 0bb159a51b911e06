//! Where the addresses of a long history lie, by their hash.
//!
//! Whoever owns a domain can answer with addresses that were never seen before, as many as he likes, and
//! each would be compared with all that are known. Open addressing with a key, so that nobody can choose
//! addresses that all lie in one place.

use crate::domain::hash_bits;
use crate::track::is_v6;

/// No address lies here.
const FREE: u16 = u16::MAX;

/// See the module's head. An address is known by its position in the history.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// A power of two, so many that half of them are free; each position lies at its home or behind it,
    /// with no free place between.
    positions: Box<[u16]>,
    len: usize,
    key: u64,
}

impl Places {
    /// Of all these addresses, which are different, with room for more; at most half of what fits in 16
    /// bits.
    pub(crate) fn of(ips: impl ExactSizeIterator<Item = u128>, key: u64) -> Self {
        let size = ((ips.len() + 1) * 2).next_power_of_two();
        let mut places = Self { positions: vec![FREE; size].into(), len: 0, key };
        for ip in ips {
            places.insert(ip);
        }
        places
    }

    /// Bytes held.
    pub(crate) const fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.positions)
    }

    /// Whether there is room for a further address.
    pub(crate) const fn has_room(&self) -> bool {
        self.len < self.positions.len() / 2
    }

    /// Adds the address that stands behind all others.
    pub(crate) fn insert(&mut self, ip: u128) {
        let from = self.home(ip);
        let (before, behind) = self.positions.split_at_mut(from);
        let free = behind.iter_mut().chain(before).find(|position| **position == FREE);
        if let Some(free) = free {
            *free = self.len as u16;
            self.len += 1;
        }
    }

    /// The position of an address, if `is_at` says that it lies at one.
    pub(crate) fn find(&self, ip: u128, is_at: impl Fn(usize) -> bool) -> Option<usize> {
        let (before, behind) = self.positions.split_at(self.home(ip));
        let run = behind.iter().chain(before).take_while(|position| **position != FREE);
        run.map(|&position| usize::from(position)).find(|&position| is_at(position))
    }

    fn home(&self, ip: u128) -> usize {
        hash_bits(ip, is_v6(ip), self.key) as usize & (self.positions.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_it_is_found_and_nothing_else() {
        for count in [0, 1, 2, 33, 64, 65, 500] {
            // Of either family, side by side.
            let ip = |number: u128| match number % 3 {
                0 => 0xffff_0500_0000 + number,
                1 => (0x2a00 << 112) + (number << 64),
                _ => (0x2a00 << 112) + number,
            };
            let all: Vec<u128> = (0..count).map(ip).collect();
            let (first, rest) = all.split_at(all.len() / 2);
            let mut places = Places::of(first.iter().copied(), 7);
            for &ip in rest {
                if !places.has_room() {
                    places = Places::of(all[..places.len].iter().copied(), 7);
                }
                places.insert(ip);
            }
            assert_eq!(places.len, all.len());
            assert!(
                places.len * 2 <= places.positions.len() && places.bytes() < 80 + all.len() * 8
            );
            for (position, &known) in all.iter().enumerate() {
                assert_eq!(places.find(known, |at| all[at] == known), Some(position));
            }
            for number in count..count + 1_000 {
                assert_eq!(places.find(ip(number), |at| all[at] == ip(number)), None);
            }
        }
    }
}
