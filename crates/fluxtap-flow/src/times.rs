//! Response times, counted where a histogram of two significant digits has its places, with a few
//! instructions each; the histogram is made when somebody asks.

use hdrhistogram::Histogram;

/// Significant digits that are kept.
const DIGITS: u8 = 2;

/// Places up to the first doubling, for two digits: twice a hundred, as a power of two.
const PLACES: u64 = 256;

/// See the module's head.
#[derive(Clone, Debug)]
pub(crate) struct ResponseTimes {
    longest_us: u64,
    counts: Box<[u64]>,
}

impl ResponseTimes {
    /// Times up to `longest_us`; what is longer than its doubling counts as that.
    pub(crate) fn new(longest_us: u64) -> Self {
        // Up to the end of the doubling, as the histogram has it.
        Self { longest_us, counts: vec![0; place((longest_us + 1).next_power_of_two())].into() }
    }

    /// Counts a time in microseconds.
    #[inline]
    pub(crate) fn note(&mut self, us: u64) {
        let own = place(us);
        let at = if own < self.counts.len() { own } else { place(self.longest_us) };
        self.counts[at] += 1;
    }

    /// All times that were counted, in microseconds.
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        let mut times = Histogram::new_with_max(self.longest_us, DIGITS).unwrap_or_else(|_| {
            unreachable!("two digits and a maximum of a second or more are allowed")
        });
        for (place, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            times.saturating_record_n(least(place), count);
        }
        times
    }
}

/// The place of a time: each doubling has as many as half of what lies below it had.
#[inline]
const fn place(us: u64) -> usize {
    let doublings = (us | (PLACES - 1)).ilog2() - (PLACES - 1).ilog2();
    doublings as usize * (PLACES as usize / 2) + (us >> doublings) as usize
}

/// The least time that has this place.
const fn least(place: usize) -> u64 {
    let half = PLACES as usize / 2;
    let doublings = (place / half).saturating_sub(1);
    ((place - doublings * half) as u64) << doublings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_a_histogram_tells() {
        let longest_us = 10_000_000;
        let mut times = ResponseTimes::new(longest_us);
        let mut histogram = Histogram::new_with_max(longest_us, DIGITS).expect("bounds");
        let mut state = 1_u64;
        for step in 0..200_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            let us = if step < 2_000 { step } else { (state >> 33) >> (state >> 59) };
            times.note(us);
            histogram.saturating_record(us);
            assert!(least(place(us)) <= us && place(least(place(us))) == place(us), "{us}");
        }
        let told = times.histogram();
        assert_eq!((told.len(), told.max()), (histogram.len(), histogram.max()));
        let counts = |times: &Histogram<u64>| -> Vec<(u64, u64)> {
            let recorded = times.iter_recorded();
            recorded.map(|v| (v.value_iterated_to(), v.count_at_value())).collect()
        };
        assert_eq!(counts(&told), counts(&histogram));
        assert_eq!(ResponseTimes::new(longest_us).histogram().len(), 0);
    }
}
