//! Queries that wait for their response, in memory that grows to a limit.
//!
//! A query that is there already and was captured just before is known as a copy without a further
//! look-up, if the rest of it, of which a few bits are kept, is the same too. So is a copy of the
//! response that it has.
//!
//! A key may lie in either of two buckets, as in [`crate::ring`] and for the same reason: every packet
//! looks up a place at random, and a small table stays in a processor's nearest cache. Nearly all lie
//! in the first.

use crate::ring::places;
use fluxtap_memory::fetch;
use fluxtap_wire::Timestamp;

/// Places in a bucket, so that it fills two cache lines, which are fetched together.
const WAYS: usize = 6;

/// Buckets at the start: room for 768 queries in 16 KiB, so that where few are asked those that have
/// their response are known for some seconds too.
const BUCKETS_AT_START: usize = 1 << 7;

/// Set in a stamp once the query has its response.
const ANSWERED: u64 = 1;

/// Bits of a stamp that tell queries of one key apart: as many as times leave free.
const PRINT_BITS: u32 = 8;

/// Bits of a stamp below its time.
const BELOW_TIME: u32 = PRINT_BITS + 1;

/// Longest lifetime of a query in seconds, and longest window of copies: half of what 16 bits of
/// milliseconds can tell apart.
const LIFETIME_S_MAX: u32 = 32;

/// A query so much older than the latest was captured after the clock was set back, in microseconds.
const SET_BACK_US: u64 = 3_600 * 1_000_000;

#[derive(Clone, Debug, Default)]
#[repr(align(128))]
struct Bucket {
    /// 0 where there is none.
    keys: [u64; WAYS],
    /// When the query was captured, in microseconds, with [`PRINT_BITS`] and [`ANSWERED`] below it; 0
    /// where there is none.
    stamps: [u64; WAYS],
    /// Of those with a response its hash, and below it 16 bits of when it was captured, in
    /// milliseconds.
    responses: [u32; WAYS],
    /// The [`tag`] of each key, the first one lowest, so that a look says which may be the one.
    tags: u64,
}

impl Bucket {
    /// The place of a key, if it is there.
    #[inline]
    fn position(&self, key: u64) -> Option<usize> {
        const ONES: u64 = u64::from_ne_bytes([1; 8]);
        let differs = self.tags ^ (ONES * u64::from(tag(key)));
        // The highest bit of each byte that is 0, and of some above one; see Mycroft's test in
        // https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord
        let mut maybe = differs.wrapping_sub(ONES) & !differs & ONES << 7;
        while maybe != 0 {
            let way = maybe.trailing_zeros() as usize / 8;
            if self.keys.get(way) == Some(&key) {
                return Some(way);
            }
            maybe &= maybe - 1;
        }
        None
    }

    /// Puts a query in a place.
    #[inline]
    const fn put(&mut self, way: usize, key: u64, stamp: u64) {
        (self.keys[way], self.stamps[way]) = (key, stamp);
        let at = 8 * way as u32;
        self.tags = self.tags & !(0xff << at) | (tag(key) as u64) << at;
    }

    /// The place of the oldest of those that are over: that wait and are older than `waits_from`, or
    /// have their response and are older than `is_near_from`. A free place is older than all.
    #[inline]
    fn oldest(&self, waits_from: u64, is_near_from: u64) -> Option<usize> {
        let mut oldest = (self.stamps[0], 0);
        for way in 1..WAYS {
            let known = self.stamps[way];
            oldest = if known < oldest.0 { (known, way) } else { oldest };
        }
        // Nearly always the oldest of all is over, and then it is the one.
        if oldest.0 < if oldest.0 & ANSWERED == 0 { waits_from } else { is_near_from } {
            return Some(oldest.1);
        }
        self.oldest_of_each(waits_from, is_near_from)
    }

    /// The same by looking at each: the oldest of all may wait still, while others are over.
    #[cold]
    fn oldest_of_each(&self, waits_from: u64, is_near_from: u64) -> Option<usize> {
        let mut oldest = (u64::MAX, 0);
        for (way, &known) in self.stamps.iter().enumerate() {
            let needed_from = if known & ANSWERED == 0 { waits_from } else { is_near_from };
            let age = if known < needed_from { known } else { u64::MAX };
            oldest = if age < oldest.0 { (age, way) } else { oldest };
        }
        (oldest.0 < u64::MAX).then_some(oldest.1)
    }
}

/// What a query was to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A query that waits from now on.
    Anew,
    /// A copy of one captured just before, which waits or has its response.
    Copy,
}

/// What a response found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Its query, captured so many microseconds before.
    Query(u64),
    /// Its query, which has this response already, captured just before.
    Copy,
    /// Its query, which has another response already.
    Answered,
    /// No query.
    Nothing,
}

/// See the module's head. A key is the keyed hash of everything that a query and its response
/// share.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    buckets: Vec<Bucket>,
    buckets_max: usize,
    lifetime_us: u64,
    /// A message captured less than so many microseconds from another is a copy of it.
    copies_within_us: u64,
    /// The latest time of a query, as in its stamp.
    latest: u64,
    evicted: u64,
    copies_evicted: u64,
}

impl Pairs {
    /// Room for about `queries_max` queries (at most 100 million) that wait for `lifetime_s`, and are
    /// known as copies of each other within `copy_window_ms`; 0 lets copies be queries.
    pub(crate) fn new(queries_max: usize, lifetime_s: u32, copy_window_ms: u32) -> Self {
        let buckets_max = (queries_max.min(100_000_000) / WAYS).next_power_of_two();
        let copies_within_us = match copy_window_ms.min(LIFETIME_S_MAX * 1_000 - 1) {
            0 => 0,
            window_ms => u64::from(window_ms) * 1_000 + 1,
        };
        Self {
            buckets: vec![Bucket::default(); buckets_max.min(BUCKETS_AT_START)],
            buckets_max,
            lifetime_us: u64::from(lifetime_s.min(LIFETIME_S_MAX)) * 1_000_000,
            copies_within_us,
            latest: 0,
            evicted: 0,
            copies_evicted: 0,
        }
    }

    /// Queries that had to make room while they waited.
    pub(crate) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Answered queries forgotten so early that a copy of them could have passed.
    pub(crate) const fn copies_evicted(&self) -> u64 {
        self.copies_evicted
    }

    /// Lets a query wait, unless it is a copy; one that is repeated later, or with another `print`,
    /// which is a hash of what is not in the key, waits anew. Expired queries
    /// give way first, with those that have their response and can have no copy any more; then the
    /// others that have it, and then those that wait longest.
    #[inline]
    pub(crate) fn ask(&mut self, key: u64, print: u8, captured: Timestamp) -> Asked {
        let key = key.max(1);
        let stamp = stamp(captured) | u64::from(print) << 1;
        if time(stamp).saturating_add(SET_BACK_US) < self.latest {
            self.forget();
        }
        self.latest = self.latest.max(time(stamp));
        let both = places(key, self.buckets.len());
        for at in both {
            let bucket = &mut self.buckets[at];
            if let Some(way) = bucket.position(key) {
                let before = bucket.stamps[way];
                let is_near = time(before).abs_diff(time(stamp)) < self.copies_within_us;
                if is_near && print_of(before) == print {
                    return Asked::Copy;
                }
                bucket.stamps[way] = stamp;
                return Asked::Anew;
            }
        }
        // Every stamp that stands for something is above 0.
        let waits_from = stamp.saturating_sub(self.lifetime_us << BELOW_TIME).max(1);
        let is_near_from = stamp.saturating_sub(self.copies_within_us << BELOW_TIME).max(1);
        let room = |at: usize| Some((at, self.buckets[at].oldest(waits_from, is_near_from)?));
        let (at, way) = match room(both[0]).or_else(|| room(both[1])) {
            Some(place) => place,
            None if self.buckets.len() < self.buckets_max => {
                self.grow();
                return self.ask(key, print, captured);
            }
            None => self.evict(both),
        };
        self.buckets[at].put(way, key, stamp);
        Asked::Anew
    }

    /// Makes room in two full buckets: the query goes that is missed least, one that has its response,
    /// else the oldest.
    #[cold]
    fn evict(&mut self, buckets: [usize; 2]) -> (usize, usize) {
        let stamp = |&(at, way): &(usize, usize)| self.buckets[at].stamps[way];
        let all = buckets.into_iter().flat_map(|at| (0..WAYS).map(move |way| (at, way)));
        let least = all.min_by_key(|place| (stamp(place) & ANSWERED == 0, stamp(place)));
        let place = least.unwrap_or((buckets[0], 0));
        let has_response = stamp(&place) & ANSWERED != 0;
        self.copies_evicted += u64::from(has_response);
        self.evicted += u64::from(!has_response);
        place
    }

    /// After the clock was set back nothing that waits can be told from what is to come.
    #[cold]
    fn forget(&mut self) {
        self.buckets.fill(Bucket::default());
        self.latest = 0;
    }

    /// Doubles the buckets: what lies in one goes to it or to the one that is new.
    #[cold]
    fn grow(&mut self) {
        let half = self.buckets.len();
        self.buckets.extend_from_within(..);
        for (at, bucket) in self.buckets.iter_mut().enumerate() {
            for way in 0..WAYS {
                let [first, second] = places(bucket.keys[way], 2 * half);
                let stays = if first % half == at % half { first == at } else { second == at };
                if !stays {
                    bucket.put(way, 0, 0);
                }
            }
        }
    }

    /// Has those places fetched where a key may lie.
    #[inline]
    pub(crate) fn fetch(&self, key: u64) {
        let [first, second] = places(key.max(1), self.buckets.len());
        fetch(&self.buckets[first]);
        fetch(&self.buckets[second].tags);
    }

    /// What a response captured at `at`, of which `print` is a hash, answers.
    #[inline]
    pub(crate) fn answer(&mut self, key: u64, print: u16, at: Timestamp) -> Found {
        let key = key.max(1);
        let both = places(key, self.buckets.len());
        let found = both.into_iter().find_map(|at| Some((at, self.buckets[at].position(key)?)));
        let Some((at_bucket, way)) = found else { return Found::Nothing };
        let bucket = &mut self.buckets[at_bucket];
        let known = bucket.stamps[way];
        // Not earlier than the query, except for what the clocks of two taps differ.
        let took_us = time(stamp(at)).saturating_sub(time(known));
        if took_us > self.lifetime_us {
            return Found::Nothing;
        }
        let response = u32::from(print) << 16 | u32::from(at.millis() as u16);
        let before = bucket.responses[way];
        if known & ANSWERED == 0 {
            bucket.stamps[way] |= ANSWERED;
            bucket.responses[way] = response;
            return Found::Query(took_us);
        }
        // The milliseconds wrap: both responses came within a lifetime of the query.
        let between_ms = (response as u16).wrapping_sub(before as u16) as i16;
        let is_near = u64::from(between_ms.unsigned_abs()) * 1_000 < self.copies_within_us;
        if is_near && before >> 16 == u32::from(print) {
            bucket.responses[way] = response;
            return Found::Copy;
        }
        Found::Answered
    }
}

/// Bits of a key that choose no bucket.
const fn tag(key: u64) -> u8 {
    (key >> 56) as u8
}

/// Never 0, and never [`ANSWERED`]. All times fit: nanoseconds in 64 bits are microseconds in 54.
const fn stamp(at: Timestamp) -> u64 {
    (at.0 / 1_000 + 1) << BELOW_TIME
}

const fn time(stamp: u64) -> u64 {
    stamp >> BELOW_TIME
}

const fn print_of(stamp: u64) -> u8 {
    (stamp >> 1) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Dice;
    use std::collections::BTreeMap;

    const SECOND: u64 = Timestamp::SECOND;

    #[test]
    fn a_query_has_one_response_within_its_lifetime() {
        let mut pairs = Pairs::new(64, 10, 0);
        let at = |s| Timestamp(s * SECOND);
        assert_eq!(pairs.answer(5, 0, at(1)), Found::Nothing);
        pairs.ask(5, 0, at(1));
        assert_eq!(pairs.answer(6, 0, at(1)), Found::Nothing);
        assert_eq!(pairs.answer(5, 0, at(2)), Found::Query(1_000_000));
        assert_eq!(pairs.answer(5, 0, at(3)), Found::Answered);
        pairs.ask(5, 0, at(4));
        assert_eq!(pairs.answer(5, 0, at(4)), Found::Query(0));
        pairs.ask(5, 0, at(5));
        assert_eq!(pairs.answer(5, 0, at(16)), Found::Nothing, "expired");
        pairs.ask(0, 0, Timestamp(0));
        assert_eq!(
            pairs.answer(0, 0, Timestamp(0)),
            Found::Query(0),
            "key and time 0 are like any"
        );
    }

    /// Whatever waits, is answered or free: the quick look finds what the one at each finds.
    #[test]
    fn the_oldest_is_the_same_by_either_look() {
        let mut dice = Dice(1);
        let mut found = [0; 3];
        for _ in 0..50_000 {
            let mut bucket = Bucket::default();
            for way in 0..WAYS {
                bucket.stamps[way] = [0, 1, 1][dice.below(3)] * (2 + dice.below(40) as u64);
            }
            let (waits_from, is_near_from) = (1 + dice.below(20) as u64, 1 + dice.below(45) as u64);
            let each = bucket.oldest_of_each(waits_from, is_near_from);
            assert_eq!(bucket.oldest(waits_from, is_near_from), each, "{bucket:?}");
            let least = bucket.stamps.iter().min();
            found[match each {
                Some(way) if Some(&bucket.stamps[way]) == least => 0,
                Some(_) => 1,
                None => 2,
            }] += 1;
        }
        assert!(found.iter().all(|&n| n > 100), "{found:?}");
    }

    /// As long as no bucket is full, the table is a map.
    #[test]
    fn the_table_is_that_of_a_naive_map() {
        let mut pairs = Pairs::new(1 << 12, 10, 0);
        let mut naive = BTreeMap::<u64, (u64, bool)>::new();
        let mut state = 1_u64;
        let mut found = [0; 3];
        for step in 0..100_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            // 300 keys spread over all buckets.
            let key = (state >> 33) % 300;
            let key = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let at = Timestamp(step * SECOND / 50);
            if state >> 62 == 0 {
                pairs.ask(key, 0, at);
                naive.insert(key, (at.0, false));
                continue;
            }
            let expected = match naive.get_mut(&key) {
                Some((asked, answered)) if (at.0 - *asked) / 1_000 <= 10_000_000 => {
                    let took_us = at.0 / 1_000 - *asked / 1_000;
                    let before = std::mem::replace(answered, true);
                    if before { Found::Answered } else { Found::Query(took_us) }
                }
                _ => Found::Nothing,
            };
            assert_eq!(pairs.answer(key, 0, at), expected, "{step}");
            found[match expected {
                Found::Query(_) => 0,
                Found::Answered | Found::Copy => 1,
                Found::Nothing => 2,
            }] += 1;
        }
        assert_eq!(pairs.evicted(), 0);
        assert!(found.iter().all(|&n| n > 1_000), "{found:?}");
    }

    #[test]
    fn a_full_bucket_lets_go_what_is_needed_least() {
        let mut pairs = Pairs::new(WAYS, 10, 0);
        let at = |s| Timestamp(s * SECOND);
        for key in 1..=6 {
            pairs.ask(key, 0, at(key));
        }
        pairs.answer(3, 0, at(6));
        pairs.ask(7, 0, at(7));
        assert_eq!(pairs.evicted(), 0, "the answered one went");
        assert_eq!(pairs.answer(3, 0, at(7)), Found::Nothing);
        pairs.ask(8, 0, at(8));
        assert_eq!(pairs.evicted(), 1, "the one that waited longest went");
        assert_eq!(pairs.answer(1, 0, at(8)), Found::Nothing);
        assert_eq!(pairs.answer(2, 0, at(8)), Found::Query(6_000_000));
        for key in 9..=13 {
            pairs.ask(key, 0, at(30));
        }
        assert_eq!(pairs.evicted(), 1, "expired ones are not missed");
    }

    /// What was stamped before the clock was set back would be younger than all that comes.
    #[test]
    fn a_clock_that_was_set_back_leaves_nothing_behind() {
        let mut pairs = Pairs::new(WAYS, 10, 500);
        let later = 2 * SET_BACK_US / 1_000_000;
        for key in 1..=6 {
            pairs.ask(key, 0, Timestamp(later * SECOND));
        }
        pairs.answer(1, 0, Timestamp(later * SECOND));
        for key in 11..=16 {
            pairs.ask(key, 0, Timestamp(SECOND));
        }
        assert_eq!((pairs.evicted(), pairs.copies_evicted()), (0, 0));
        assert_eq!(pairs.answer(11, 0, Timestamp(SECOND)), Found::Query(0));
        // A packet may be late.
        pairs.ask(17, 0, Timestamp(30 * SECOND));
        pairs.ask(18, 0, Timestamp(20 * SECOND));
        assert_eq!(pairs.answer(17, 0, Timestamp(30 * SECOND)), Found::Query(0));
    }

    #[test]
    fn a_copy_is_known_whether_its_query_waits_or_not() {
        let mut pairs = Pairs::new(WAYS, 10, 500);
        let at = |ms: u64| at_ms(1_000 + ms);
        assert_eq!(pairs.ask(1, 0, at(0)), Asked::Anew);
        assert_eq!(pairs.ask(1, 0, at(500)), Asked::Copy);
        assert_eq!(pairs.ask(1, 7, at(1)), Asked::Anew, "with other options");
        assert_eq!(pairs.ask(1, 7, at(2)), Asked::Copy);
        assert_eq!(pairs.ask(1, 0, at(0)), Asked::Anew);
        assert_eq!(pairs.answer(1, 0, at(20)), Found::Query(20_000));
        assert_eq!(pairs.ask(1, 0, at(30)), Asked::Copy);
        assert_eq!(pairs.answer(1, 1, at(40)), Found::Answered, "the copy asked nothing");
        // Of two taps one may be late.
        assert_eq!(pairs.ask(2, 0, at(400)), Asked::Anew);
        assert_eq!(pairs.ask(2, 0, at(0)), Asked::Copy);
        // Behind the window it is a query again.
        assert_eq!(pairs.ask(1, 0, at(501)), Asked::Anew);
        assert_eq!(pairs.answer(1, 0, at(502)), Found::Query(1_000));
        // In a full bucket an answered query goes before those that wait, and is missed as a copy.
        for key in 3..=7 {
            pairs.ask(key, 0, at(510));
        }
        assert_eq!((pairs.evicted(), pairs.copies_evicted()), (0, 1));
        assert_eq!(pairs.ask(1, 0, at(520)), Asked::Anew);
        assert_eq!((pairs.evicted(), pairs.copies_evicted()), (1, 1));
        assert_eq!(pairs.ask(0, 0, Timestamp(0)), Asked::Anew, "a free place is no copy");
    }

    #[test]
    fn a_second_response_is_a_copy_or_another() {
        let mut pairs = Pairs::new(WAYS, 10, 500);
        let at = |ms: u64| at_ms(60_000 + ms);
        pairs.ask(1, 0, at(0));
        assert_eq!(pairs.answer(1, 7, at(10)), Found::Query(10_000));
        assert_eq!(pairs.answer(1, 7, at(9)), Found::Copy, "late");
        assert_eq!(pairs.answer(1, 8, at(11)), Found::Answered, "other bytes");
        assert_eq!(pairs.answer(1, 7, at(509)), Found::Copy);
        assert_eq!(pairs.answer(1, 7, at(1_009)), Found::Copy, "a copy of the copy");
        assert_eq!(pairs.answer(1, 7, at(1_510)), Found::Answered, "behind the window");
        assert_eq!(pairs.ask(1, 0, at(2_000)), Asked::Anew);
        assert_eq!(pairs.answer(1, 7, at(2_001)), Found::Query(1_000));
        let mut pairs = Pairs::new(WAYS, 10, 0);
        pairs.ask(1, 0, at(0));
        pairs.answer(1, 7, at(10));
        assert_eq!(pairs.answer(1, 7, at(10)), Found::Answered, "copies count");
    }

    /// 64 queries wait while a flood of a million asks from everywhere: those that ask last, as
    /// real ones do at any moment, are still known.
    #[test]
    fn a_flood_of_queries_leaves_the_latest() {
        let mut pairs = Pairs::new(1 << 16, 10, 0);
        let mut state = 1_u64;
        let mut matched = 0;
        for round in 0..64_u64 {
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
                state ^ state >> 29
            };
            let real = random();
            pairs.ask(real, 0, at_ms(round));
            for _ in 0..16_000 {
                pairs.ask(random(), 0, at_ms(round));
            }
            matched += u32::from(pairs.answer(real, 0, at_ms(round)) == Found::Query(0));
        }
        assert!(matched >= 60, "{matched} of 64");
        assert!(pairs.evicted() > 900_000, "{}", pairs.evicted());
    }

    const fn at_ms(ms: u64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    #[test]
    fn the_table_grows_for_those_that_wait_and_loses_none() {
        let mut pairs = Pairs::new(1 << 16, 10, 0);
        let key = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // A thousand wait at a time: the table stays small.
        for n in 0..50_000 {
            pairs.ask(key(n), 0, at_ms(n));
            if n >= 1_000 {
                assert_eq!(pairs.answer(key(n - 1_000), 0, at_ms(n)), Found::Query(1_000_000));
            }
        }
        assert!(pairs.buckets.len() <= 512, "{}", pairs.buckets.len());
        for n in 60_000..80_000 {
            pairs.ask(key(n), 0, at_ms(60_000));
        }
        let found = |n| pairs.answer(key(n), 0, at_ms(60_000));
        assert!((60_000..80_000).map(found).all(|found| found == Found::Query(0)));
        assert_eq!(pairs.evicted(), 0);
    }
}
