//! Where the entries of a long history lie, by a hash.
//!
//! Whoever owns a domain can answer with addresses that were never seen before, as many as he likes, and
//! each would be compared with all that are known. Open addressing in 16 bits a place: the table is laid
//! anew whenever old entries went, and takes a fifth less time for a message full of addresses than with
//! `hashbrown`.

/// No entry lies here.
const FREE: u16 = u16::MAX;

/// See the module's head. An entry is known by its position, the first being 0.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// A power of two, so many that half of them are free; each position lies at its home or behind it,
    /// with no free place between. Behind the last comes the first.
    positions: Box<[u16]>,
    len: usize,
}

impl Places {
    /// Of entries with these hashes, with room for `len_max`, which is at most half of what fits in 16
    /// bits.
    pub(crate) fn of(hashes: impl Iterator<Item = u64>, len_max: usize) -> Self {
        let size = (len_max.max(1) * 2).next_power_of_two();
        let mut places = Self { positions: vec![FREE; size].into(), len: 0 };
        hashes.for_each(|hash| places.insert(hash));
        places
    }

    /// Bytes held.
    pub(crate) const fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.positions)
    }

    /// Whether there is room for so many more.
    pub(crate) const fn has_room(&self, coming: usize) -> bool {
        self.len + coming <= self.positions.len() / 2
    }

    /// Adds the entry behind all others; to be called where there is room.
    pub(crate) fn insert(&mut self, hash: u64) {
        let (before, behind) = self.positions.split_at_mut(self.home(hash));
        let free = behind.iter_mut().chain(before).find(|position| **position == FREE);
        if let Some(free) = free {
            *free = self.len as u16;
            self.len += 1;
        }
    }

    /// The position of an entry with this hash that `is_it`.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let (before, behind) = self.positions.split_at(self.home(hash));
        let run = behind.iter().chain(before).take_while(|position| **position != FREE);
        run.map(|&position| usize::from(position)).find(|&position| is_it(position))
    }

    const fn home(&self, hash: u64) -> usize {
        hash as usize & (self.positions.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::mix;

    #[test]
    fn what_is_in_it_is_found_and_nothing_else() {
        // Hashes that are spread, that nearly all begin at one place, and that run on behind the last.
        let spreads: [fn(u64) -> u64; 3] =
            [mix, |number| number % 3, |number| (number % 3).wrapping_sub(2)];
        for spread in spreads {
            for len_max in [0, 1, 2, 33, 64, 65, 512] {
                let hash = |number: usize| spread(number as u64 + 2);
                let mut places = Places::of((0..len_max / 2).map(hash), len_max);
                (len_max / 2..len_max).for_each(|number| {
                    assert!(places.has_room(1));
                    places.insert(hash(number));
                });
                assert!(places.positions.len() >= 2 * len_max && places.bytes() < 80 + len_max * 8);
                for number in 0..len_max {
                    assert_eq!(places.find(hash(number), |at| at == number), Some(number));
                }
                // Whoever has the same home is asked, and nobody twice.
                for number in len_max..len_max + 20 {
                    let mut asked = std::cell::RefCell::new(Vec::new());
                    let found = places.find(hash(number), |at| {
                        asked.borrow_mut().push(at);
                        false
                    });
                    let asked = asked.get_mut();
                    let is_asked = |at: &usize| asked.contains(at);
                    let same = (0..len_max).filter(|&other| hash(other) == hash(number));
                    assert_eq!((found, same.filter(|at| !is_asked(at)).count()), (None, 0));
                    asked.sort_unstable();
                    assert!(asked.is_sorted_by(|a, b| a < b), "{asked:?}");
                }
            }
        }
    }
}
