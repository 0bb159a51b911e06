//! Whether queries are visible beside responses, learnt from the responses themselves.
//!
//! Every response votes: its query was seen, or not. Queries are visible once nearly all responses
//! of a while have theirs, and stay so until responses with a query become rare *and* those without
//! are many. Both are counted in event time, because what an attacker can do is to add packets:
//!
//! * **Forged queries** do not vote, because nothing answers them.
//! * **Forged responses**, where queries are visible, cannot take away what real responses show: as
//!   many of them as before have a query. So it is the pace of those that counts, not their share.
//!   A site that grows quiet slowly is followed, while no forged responses are about.
//! * **Forged pairs**, where queries are not visible, could make them seem so, and real responses
//!   would be refused. That takes nine pairs for each real response during a whole round, and a
//!   quarter of that for as long as it is to last: after the pairs stop, one round ends it. In the
//!   counters it shows as unsolicited responses in masses.
//!
//! What remains: a flood of forged responses from the first second on keeps queries from being found
//! visible, and one that outlasts a fall of the traffic to under a quarter ends it. The alerts then
//! say that queries were not visible; an operator who knows better sets [`crate::Pairing::Require`].

use fluxtap_wire::Timestamp;

/// Least votes of a round upon which queries can become visible.
const VOTES_MIN: u64 = 100;

/// Of so many responses one may lack its query where queries are visible.
const LACKING_ONE_IN: u64 = 10;

/// Least event time of a round before queries are visible, in seconds.
const LEARN_S: u64 = 10;

/// Least event time of a round while they are, in seconds.
const HOLD_S: u64 = 60;

/// A round lasts until so many responses with a query are expected in it.
const EXPECTED: f64 = 32.0;

/// Queries are no longer visible when less than this part of the expected responses has one.
const HOLD_SHARE: f64 = 0.25;

/// Least responses without a query upon which they are no longer: a few strays in a quiet hour say
/// nothing.
const LACKING_MIN: u64 = 32;

/// Event time between two votes counts for this many seconds at most: nothing is learnt from
/// silence.
const STEP_S_MAX: u64 = 60;

/// See the module's head.
#[derive(Clone, Debug)]
pub(crate) struct Visibility {
    is_visible: bool,
    /// Responses with a query in a nanosecond, when that was last sure.
    pace: f64,
    last: Timestamp,
    lasted_ns: u64,
    /// How long the round lasts at least.
    due_ns: u64,
    paired: u64,
    lacking: u64,
    /// Times that queries became visible, and ceased to be.
    changes: u64,
}

impl Visibility {
    pub(crate) const fn new() -> Self {
        Self {
            is_visible: false,
            pace: 0.0,
            last: Timestamp(0),
            lasted_ns: 0,
            due_ns: LEARN_S * Timestamp::SECOND,
            paired: 0,
            lacking: 0,
            changes: 0,
        }
    }

    pub(crate) const fn is_visible(&self) -> bool {
        self.is_visible
    }

    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Takes the vote of a response when event time is `now`.
    #[inline]
    pub(crate) fn vote(&mut self, now: Timestamp, is_paired: bool) {
        if self.last != Timestamp(0) {
            self.lasted_ns += now.since(self.last).min(STEP_S_MAX * Timestamp::SECOND);
        }
        self.last = now;
        self.paired += u64::from(is_paired);
        self.lacking += u64::from(!is_paired);
        if self.lasted_ns >= self.due_ns {
            self.judge();
        }
    }

    fn judge(&mut self) {
        let votes = self.paired + self.lacking;
        let is_clear = self.lacking * LACKING_ONE_IN <= votes;
        if self.is_visible {
            let expected = self.pace * self.lasted_ns as f64;
            let held = expected * HOLD_SHARE;
            if is_clear {
                self.pace = self.paired as f64 / self.lasted_ns as f64;
            } else if (self.paired as f64) < held {
                if self.lacking < LACKING_MIN {
                    return;
                }
                self.is_visible = false;
                self.changes += 1;
            }
        } else {
            if votes < VOTES_MIN {
                return;
            }
            if is_clear {
                self.is_visible = true;
                self.changes += 1;
                self.pace = self.paired as f64 / self.lasted_ns as f64;
            }
        }
        (self.lasted_ns, self.paired, self.lacking) = (0, 0, 0);
        self.due_ns = if self.is_visible {
            (HOLD_S * Timestamp::SECOND).max((EXPECTED / self.pace) as u64)
        } else {
            LEARN_S * Timestamp::SECOND
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tap in which so many responses a second have a query and lack one.
    struct Tap(Visibility, u64);

    impl Tap {
        fn new() -> Self {
            Self(Visibility::new(), 1_000)
        }

        /// Lets `seconds` pass; whether queries are visible after each.
        fn pass(&mut self, seconds: u64, paired: u32, lacking: u32) -> Vec<bool> {
            let mut seen = Vec::new();
            for _ in 0..seconds {
                let now = Timestamp::from_secs(self.1);
                (0..paired.max(lacking)).for_each(|i| {
                    if i < paired {
                        self.0.vote(now, true);
                    }
                    if i < lacking {
                        self.0.vote(now, false);
                    }
                });
                self.1 += 1;
                seen.push(self.0.is_visible());
            }
            seen
        }

        fn always(&mut self, seconds: u64, paired: u32, lacking: u32, expected: bool) {
            let seen = self.pass(seconds, paired, lacking);
            assert!(seen.iter().all(|&is| is == expected), "{paired} and {lacking}: {seen:?}");
        }

        /// Seconds until queries are visible, or are not.
        fn until(&mut self, paired: u32, lacking: u32, expected: bool) -> usize {
            let seen = self.pass(20_000, paired, lacking);
            let at = seen.iter().position(|&is| is == expected).expect("a change");
            assert!(seen[at..].iter().all(|&is| is == expected), "it flutters");
            at
        }
    }

    #[test]
    fn queries_are_learnt_to_be_visible() {
        assert!(Tap::new().until(1_000, 0, true) <= 11);
        assert!(Tap::new().until(1_000, 100, true) <= 11);
        assert!(Tap::new().until(1, 0, true) <= 101);
        Tap::new().always(1_000, 0, 1_000, false);
        Tap::new().always(1_000, 700, 300, false);
    }

    #[test]
    fn forged_responses_do_not_end_it() {
        for pace in [1, 20, 1_000] {
            let mut tap = Tap::new();
            tap.until(pace, 0, true);
            tap.always(3_000, pace, 50 * pace.max(100), true);
            // Half of the traffic ceases, too.
            tap.always(3_000, pace.div_ceil(2), 50 * pace.max(100), true);
        }
    }

    #[test]
    fn a_quiet_night_and_its_strays_do_not_end_it() {
        let mut tap = Tap::new();
        tap.until(1_000, 0, true);
        for pace in [500, 100, 20, 4, 1] {
            tap.always(3_000, pace, 0, true);
        }
        tap.always(20, 0, 1, true);
        tap.always(2_000, 1, 0, true);
        // And then forged ones in that night.
        tap.always(2_000, 1, 5_000, true);
    }

    #[test]
    fn a_mirror_that_loses_its_queries_is_noticed() {
        let mut tap = Tap::new();
        tap.until(1_000, 10, true);
        assert!(tap.until(0, 1_000, false) <= 121);
        assert!(tap.until(1_000, 0, true) <= 12);
        assert_eq!(tap.0.changes(), 3);
    }

    #[test]
    fn forged_pairs_blind_nobody_for_longer_than_they_last() {
        // Ten real responses a second without queries: 89 pairs beside them are not enough.
        Tap::new().always(1_000, 89, 10, false);
        // A burst of pairs is not, either.
        let mut tap = Tap::new();
        tap.always(60, 0, 10, false);
        tap.always(1, 80, 10, false);
        tap.always(60, 0, 10, false);
        // Ten times as many for a round are; as soon as they cease, a round ends it.
        assert!(tap.until(100, 10, true) <= 21);
        assert!(tap.until(0, 10, false) <= 121);
        // Nor does it help to let them trickle on.
        tap.until(100, 10, true);
        assert!(tap.until(20, 10, false) <= 121);
    }

    #[test]
    fn time_that_stands_still_jumps_or_goes_back_is_survived() {
        let mut tap = Tap::new();
        tap.until(100, 0, true);
        tap.1 += 80 * 86_400;
        tap.always(1_000, 100, 0, true);
        tap.1 -= 40 * 86_400;
        tap.always(1_000, 100, 0, true);
        assert!(tap.until(0, 100, false) <= 121);
    }
}
