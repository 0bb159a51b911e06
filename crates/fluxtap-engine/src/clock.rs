//! Event time: which packets are in time, which are late, and when a jump is believed.

use fluxtap_wire::Timestamp;

/// A step forward beyond this, in seconds, must be confirmed by further packets: one packet with a
/// wrong time would otherwise expire everything.
const JUMP_S: u64 = 3_600;

/// Packets that must agree on a jump forward, the first one included.
const JUMP_FORWARD_PACKETS: u32 = 3;

/// Late packets in a row that agree on a time far back, upon which time is set back.
const JUMP_BACK_PACKETS: u32 = 16;

/// Counters of event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockCounts {
    /// Packets that were too late; their facts were left out.
    pub late: u64,
    /// Jumps forward of more than an hour that were confirmed.
    pub jumps_forward: u64,
    /// Packets with a time over an hour ahead that nothing confirmed; facts left out.
    pub ahead_unconfirmed: u64,
    /// Times event time was set back.
    pub jumps_back: u64,
}

/// What to do with a packet of a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// Use it.
    InTime,
    /// Count it, leave its facts out.
    Late,
    /// Keep its facts apart until the jump is confirmed.
    Ahead,
    /// Use it, and before it what was kept apart.
    AheadConfirmed,
    /// Use it, and drop what was kept apart: time went on as before.
    AheadRefuted,
}

/// The watermark: the highest event time believed.
#[derive(Clone, Debug)]
pub(crate) struct EventClock {
    watermark: Option<Timestamp>,
    lateness_s: u64,
    ahead: Option<(Timestamp, u32)>,
    behind: Option<(Timestamp, u32)>,
    counts: ClockCounts,
}

impl EventClock {
    pub(crate) fn new(lateness_s: u64) -> Self {
        Self {
            watermark: None,
            lateness_s,
            ahead: None,
            behind: None,
            counts: ClockCounts::default(),
        }
    }

    pub(crate) const fn watermark(&self) -> Option<Timestamp> {
        self.watermark
    }

    pub(crate) const fn counts(&self) -> ClockCounts {
        self.counts
    }

    /// Whether what was captured at this time comes too late to be used.
    pub(crate) fn is_late(&self, at: Timestamp) -> bool {
        self.watermark.is_some_and(|now| at.plus_secs(self.lateness_s) < now)
    }

    /// Judges a packet's time and moves the watermark.
    #[inline]
    pub(crate) fn note(&mut self, at: Timestamp) -> Timing {
        match self.watermark {
            // Time goes on as it nearly always does.
            Some(watermark)
                if at >= watermark
                    && at <= watermark.plus_secs(JUMP_S)
                    && self.ahead.is_none()
                    && self.behind.is_none() =>
            {
                self.watermark = Some(at);
                Timing::InTime
            }
            _ => self.note_other(at),
        }
    }

    fn note_other(&mut self, at: Timestamp) -> Timing {
        let Some(watermark) = self.watermark else {
            self.watermark = Some(at);
            return Timing::InTime;
        };
        if at > watermark.plus_secs(JUMP_S) {
            return self.note_ahead(at);
        }
        let timing = self.note_near(at, watermark);
        if timing == Timing::Late {
            // Says nothing about the time of others.
            return timing;
        }
        let Some((_, packets)) = self.ahead.take() else { return timing };
        self.counts.ahead_unconfirmed += u64::from(packets);
        Timing::AheadRefuted
    }

    /// The end of input: what was kept apart is all there will be, so it is used.
    pub(crate) fn end(&mut self) -> bool {
        let Some((at, _)) = self.ahead.take() else { return false };
        self.counts.jumps_forward += 1;
        self.watermark = Some(at);
        true
    }

    fn note_near(&mut self, at: Timestamp, watermark: Timestamp) -> Timing {
        if at >= watermark {
            self.watermark = Some(at);
            self.behind = None;
            return Timing::InTime;
        }
        if !self.is_late(at) {
            self.behind = None;
            return Timing::InTime;
        }
        let agrees = |first: Timestamp| {
            at.since(first) <= JUMP_S * Timestamp::SECOND
                && first.since(at) <= JUMP_S * Timestamp::SECOND
        };
        let packets = match self.behind {
            Some((first, packets)) if agrees(first) => packets + 1,
            _ => 1,
        };
        if packets >= JUMP_BACK_PACKETS {
            self.behind = None;
            self.counts.jumps_back += 1;
            self.watermark = Some(at);
            return Timing::InTime;
        }
        self.behind = Some((at, packets));
        self.counts.late += 1;
        Timing::Late
    }

    fn note_ahead(&mut self, at: Timestamp) -> Timing {
        let packets = match self.ahead {
            Some((first, packets)) if at.since(first) <= JUMP_S * Timestamp::SECOND => packets + 1,
            // A second jump from the first one's time: what was kept is as good as confirmed by
            // the order of times, and must not be lost.
            Some((first, packets)) if at > first => packets + 1,
            Some((_, packets)) => {
                self.counts.ahead_unconfirmed += u64::from(packets);
                self.ahead = Some((at, 1));
                return Timing::Ahead;
            }
            None => 1,
        };
        if packets >= JUMP_FORWARD_PACKETS {
            self.ahead = None;
            self.counts.jumps_forward += 1;
            self.watermark = Some(at);
            return Timing::AheadConfirmed;
        }
        self.ahead = Some((at, packets));
        Timing::Ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times in seconds and what each packet must be taken for.
    fn check(script: &[(u64, Timing)]) -> ClockCounts {
        let mut clock = EventClock::new(60);
        for (i, &(at_s, expect)) in script.iter().enumerate() {
            assert_eq!(clock.note(Timestamp::from_secs(at_s)), expect, "packet {i} at {at_s}");
        }
        clock.counts()
    }

    #[test]
    fn late_packets_are_counted() {
        use Timing::{InTime, Late};
        let counts = check(&[(1000, InTime), (1100, InTime), (1040, InTime), (1039, Late)]);
        assert_eq!(counts.late, 1);
    }

    #[test]
    fn a_jump_forward_needs_three_packets() {
        use Timing::{Ahead, AheadConfirmed, AheadRefuted, InTime, Late};
        let counts = check(&[
            (1000, InTime),
            (90_000, Ahead),
            (90_001, Ahead),
            (90_001, AheadConfirmed),
            (90_002, InTime),
        ]);
        assert_eq!((counts.jumps_forward, counts.ahead_unconfirmed), (1, 0));
        let counts =
            check(&[(1000, InTime), (90_000, Ahead), (1001, AheadRefuted), (1002, InTime)]);
        assert_eq!((counts.jumps_forward, counts.ahead_unconfirmed), (0, 1));
        let script = [(1000, InTime), (90_000, Ahead), (1, Late), (1001, AheadRefuted)];
        assert_eq!(check(&script).ahead_unconfirmed, 1, "a late packet refutes nothing");
    }

    #[test]
    fn sparse_traffic_with_hours_between_packets_goes_on() {
        use Timing::{Ahead, AheadConfirmed, InTime};
        check(&[
            (0, InTime),
            (10_000, Ahead),
            (20_000, Ahead),
            (30_000, AheadConfirmed),
            (40_000, Ahead),
        ]);
    }

    #[test]
    fn time_far_back_is_believed_after_sixteen_packets() {
        let mut script = vec![(100_000, Timing::InTime)];
        script.extend((0..15).map(|i| (1_000 + i, Timing::Late)));
        script.push((1_015, Timing::InTime));
        script.push((1_016, Timing::InTime));
        let counts = check(&script);
        assert_eq!((counts.jumps_back, counts.late), (1, 15));
    }

    #[test]
    fn what_waits_at_the_end_of_input_is_used() {
        let mut clock = EventClock::new(60);
        clock.note(Timestamp::from_secs(1));
        clock.note(Timestamp::from_secs(9_000));
        assert!(clock.end());
        assert_eq!(clock.watermark(), Some(Timestamp::from_secs(9_000)));
        assert!(!clock.end());
    }
}
