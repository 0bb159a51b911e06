//! How long to wait before the next try: exponential with full jitter, so that many sensors do not
//! return to a receiver at one moment; see M. Brooker, "Exponential Backoff And Jitter",
//! <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.

use std::time::Duration;

/// The longest first wait.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait of all.
const MOST: Duration = Duration::from_secs(60);

/// Longest wait that a receiver can ask for.
const ASKED_MOST: Duration = Duration::from_secs(600);

/// Counts failures since the last success.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after a further failure. What the receiver asked for is kept to, up to ten
    /// minutes, and a little added, so that not everybody comes at once.
    pub(crate) fn next(&mut self, asked: Option<Duration>, chance: u64) -> Duration {
        let most = FIRST.saturating_mul(1 << self.failures.min(20)).min(MOST);
        self.failures = self.failures.saturating_add(1);
        let jitter = most.mul_f64(chance as f64 / u64::MAX as f64);
        match asked {
            Some(asked) => asked.min(ASKED_MOST) + jitter.min(FIRST),
            None => jitter,
        }
    }

    /// A success: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_are_drawn_below() {
        let mut backoff = Backoff::default();
        let most: Vec<u64> =
            (0..9).map(|_| backoff.next(None, u64::MAX).as_millis() as u64).collect();
        assert_eq!(most, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(backoff.next(None, 0), Duration::ZERO);
        assert_eq!(backoff.next(None, u64::MAX / 2).as_secs(), 30);
        backoff.reset();
        assert_eq!(backoff.next(None, u64::MAX), FIRST);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.next(None, u64::MAX), MOST);
    }

    #[test]
    fn what_a_receiver_asks_for_is_the_least_but_bounded() {
        let mut backoff = Backoff::default();
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(backoff.next(asked(7), 0), Duration::from_secs(7));
        assert!(backoff.next(asked(7), u64::MAX) <= Duration::from_millis(7_500));
        assert_eq!(backoff.next(asked(1 << 40), 0), ASKED_MOST);
    }
}
