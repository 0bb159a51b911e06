//! Whether queries are visible beside responses, learnt from the responses themselves.
//!
//! Every response votes: its query was seen, or not. Queries are visible once half of the responses
//! of a while have theirs and what lacks one looks like loss, and stay so until responses with a
//! query become rare *and* those without are many. Both are counted in event time, because what an
//! attacker can do is to add packets.
//!
//! **What looks like loss:** packets that a mirror drops are those of all servers alike. Where it
//! shows one direction of some links alone, the responses of some servers always lack their query;
//! if those are more than a tenth, queries do not count as visible, and nobody is refused.
//!
//! * **Forged queries** do not vote, because nothing answers them.
//! * **Forged responses**, where queries are visible, cannot take away what real responses show: as
//!   many of them as before have a query. So it is the pace of those that counts, not their share.
//!   A site that grows quiet slowly is followed, while no forged responses are about.
//! * **Forged pairs**, where queries are not visible, could make them seem so, and real responses
//!   would be refused. That takes a pair for each real response during a whole round, in the name of
//!   the servers that answer, and a quarter of that for as long as it is to last: after the pairs
//!   stop, one round ends it. In the counters it shows as unsolicited responses in masses.
//!
//! What remains: a flood of forged responses from the first second on, as many as real ones or from
//! servers that are asked nothing, keeps queries from being found visible, and one that outlasts a fall of the traffic to under a quarter ends it. The alerts then
//! say that queries were not visible; an operator who knows better sets [`crate::Pairing::Require`].

use fluxtap_wire::Timestamp;

/// Least votes of a round upon which queries can become visible.
const VOTES_MIN: u64 = 100;

/// Of so many responses one may lack its query where queries are visible, whatever the reason.
const LACKING_ONE_IN: u64 = 10;

/// Of so many responses one may lack its query by loss.
const LOST_ONE_IN: u64 = 2;

/// Servers are told apart by as many bits of the hash of their address as make this number.
const GROUPS: usize = 32;

/// Of so many responses of a group of servers fewer than one has its query where their queries pass
/// elsewhere.
const ONE_SIDED_ONE_IN: u32 = 20;

/// Fewest responses without a query upon which that is said of a group: of half of the packets lost,
/// 3 in 100 groups would look so.
const ONE_SIDED_MIN: u32 = 5;

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
    /// Of each group of servers, while queries are not known to be visible.
    groups: [Group; GROUPS],
    /// Times that queries became visible, and ceased to be.
    changes: u64,
    /// Percent of the responses of the last round that lacked their query, while queries are visible.
    lacking_percent: Option<u8>,
}

/// Votes of the responses of some servers.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    paired: u32,
    lacking: u32,
}

impl Group {
    /// Whether hardly ever a query to these servers is seen.
    const fn is_one_sided(self) -> bool {
        self.lacking >= ONE_SIDED_MIN
            && self.paired.saturating_mul(ONE_SIDED_ONE_IN) < self.paired + self.lacking
    }
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
            groups: [Group { paired: 0, lacking: 0 }; GROUPS],
            changes: 0,
            lacking_percent: None,
        }
    }

    pub(crate) const fn lacking_percent(&self) -> Option<u8> {
        self.lacking_percent
    }

    pub(crate) const fn is_visible(&self) -> bool {
        self.is_visible
    }

    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Takes the vote of a response when event time is `now`; `server` gives a keyed hash of the address
    /// it is from.
    #[inline]
    pub(crate) fn vote(&mut self, now: Timestamp, is_paired: bool, server: impl Fn() -> u64) {
        if self.last != Timestamp(0) {
            self.lasted_ns += now.since(self.last).min(STEP_S_MAX * Timestamp::SECOND);
        }
        self.last = now;
        self.paired += u64::from(is_paired);
        self.lacking += u64::from(!is_paired);
        if !self.is_visible {
            let group = &mut self.groups[server() as usize % GROUPS];
            group.paired += u32::from(is_paired);
            group.lacking += u32::from(!is_paired);
        }
        if self.lasted_ns >= self.due_ns {
            self.judge();
        }
    }

    /// Whether what lacks a query is little, or loss of packets explains all but little of it.
    fn is_clear(&self, votes: u64) -> bool {
        let one_sided = self.groups.iter().filter(|group| group.is_one_sided());
        let elsewhere: u64 = one_sided.map(|group| u64::from(group.lacking)).sum();
        self.lacking * LOST_ONE_IN <= votes && elsewhere * LACKING_ONE_IN <= votes
    }

    fn judge(&mut self) {
        let votes = self.paired + self.lacking;
        let is_clear = self.is_clear(votes);
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
        self.lacking_percent =
            (votes > 0).then(|| (100 * self.lacking).div_ceil(votes).min(100) as u8);
        (self.lasted_ns, self.paired, self.lacking) = (0, 0, 0);
        self.groups = [Group::default(); GROUPS];
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
                    let server = u64::from(i);
                    if i < paired {
                        self.0.vote(now, true, || server);
                    }
                    if i < lacking {
                        self.0.vote(now, false, || server);
                    }
                });
                self.1 += 1;
                seen.push(self.0.is_visible());
            }
            seen
        }

        #[track_caller]
        fn always(&mut self, seconds: u64, paired: u32, lacking: u32, expected: bool) {
            let seen = self.pass(seconds, paired, lacking);
            assert!(seen.iter().all(|&is| is == expected), "{paired} and {lacking}: {seen:?}");
        }

        /// Seconds until queries are visible, or are not.
        #[track_caller]
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
        Tap::new().always(1_000, 400, 600, false);
    }

    /// Votes of servers, each with a share of responses that have their query, in percent.
    fn servers(shares: &[u64], rounds: u64) -> Visibility {
        let mut visibility = Visibility::new();
        let mut dice = 1_u64;
        for step in 0..rounds * 20 {
            for (server, share) in (0..).zip(shares) {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
                let now = Timestamp(1_000_000_000_000 + step * Timestamp::SECOND / 2);
                visibility.vote(now, (dice >> 33) % 100 < *share, || server);
            }
        }
        visibility
    }

    #[test]
    fn loss_is_told_from_links_of_which_one_direction_is_mirrored() {
        for (shares, is_visible) in [
            // A mirror that loses 30 % of all packets, and one that loses 45 %.
            (&[70; 12][..], true),
            (&[55; 12], true),
            // One resolver in three, and in six, whose queries pass elsewhere.
            (&[100, 100, 100, 100, 0, 0], false),
            (&[100, 100, 100, 100, 100, 0], false),
            // One in twelve is what strays are.
            (&[100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 0], true),
            // Loss, and one direction of some links.
            (&[80, 80, 80, 80, 0, 0], false),
            (&[0; 12], false),
        ] {
            assert_eq!(servers(shares, 40).is_visible(), is_visible, "{shares:?}");
        }
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
        // Ten real responses a second without queries: 9 pairs beside them are not enough.
        Tap::new().always(1_000, 9, 10, false);
        // A burst of pairs is not, either.
        let mut tap = Tap::new();
        tap.always(60, 0, 10, false);
        tap.always(1, 50, 10, false);
        tap.always(60, 0, 10, false);
        // Ten times as many for a round are; as soon as they cease, a round ends it.
        assert!(tap.until(100, 10, true) <= 21);
        assert!(tap.until(0, 10, false) <= 121);
        // Nor does it help to let a few trickle on: a quarter of the real ones at least.
        tap.until(100, 10, true);
        assert!(tap.until(2, 10, false) <= 181);
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
