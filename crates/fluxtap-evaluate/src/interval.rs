//! Exact confidence intervals, by bisection on the distribution functions.

use libm::{exp, lgamma, log, log1p};
use serde::Serialize;

/// Bounds of a two-sided confidence interval of 95 %; the upper bound alone where nothing was
/// counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// Both bounds scaled.
    #[must_use]
    pub(crate) fn map(self, scale: impl Fn(f64) -> f64) -> Self {
        Self { low: scale(self.low), high: scale(self.high) }
    }
}

/// Probability on either side of an interval.
const TAIL: f64 = 0.025;

/// Halvings, each of which gives a bit.
const STEPS: u32 = 60;

/// The interval of a share of which `hits` of `trials` are known (Clopper and Pearson 1934). All
/// of it is possible without trials.
#[must_use]
pub fn proportion(hits: u64, trials: u64) -> Interval {
    let at_least = |share: f64| 1.0 - binomial_below(hits, trials, share);
    let at_most = |share: f64| binomial_below(hits + 1, trials, share);
    Interval {
        low: if hits == 0 { 0.0 } else { bisect(0.0, 1.0, |share| at_least(share) < TAIL) },
        high: if hits >= trials { 1.0 } else { bisect(0.0, 1.0, |share| at_most(share) > TAIL) },
    }
}

/// The interval of the mean of a Poisson distribution of which `count` was drawn (Garwood 1936).
/// For none it is the rule of three: with 95 % confidence less than 3.0 (one-sided).
#[must_use]
pub fn poisson(count: u64) -> Interval {
    if count == 0 {
        return Interval { low: 0.0, high: -log(2.0 * TAIL) };
    }
    let limit = 10.0 + 3.0 * count as f64;
    Interval {
        low: bisect(0.0, limit, |mean| 1.0 - poisson_below(count, mean) < TAIL),
        high: bisect(0.0, limit, |mean| poisson_below(count + 1, mean) > TAIL),
    }
}

/// The place between two bounds up to which `is_before` holds.
fn bisect(mut low: f64, mut high: f64, is_before: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        if is_before(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// Probability of fewer than `hits` in `trials`.
fn binomial_below(hits: u64, trials: u64, share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return if share <= 0.0 && hits > 0 || hits > trials { 1.0 } else { 0.0 };
    }
    let n = trials as f64;
    let term = |k: u64| {
        let k = k as f64;
        let ways = lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0);
        exp(ways + k * log(share) + (n - k) * log1p(-share))
    };
    (0..hits.min(trials + 1)).map(term).sum::<f64>().min(1.0)
}

/// Probability of fewer than `count`.
fn poisson_below(count: u64, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    let term = |k: u64| exp(k as f64 * log(mean) - mean - lgamma(k as f64 + 1.0));
    (0..count).map(term).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: Interval, low: f64, high: f64) {
        assert!((got.low - low).abs() < 5e-4 && (got.high - high).abs() < 5e-4, "{got:?}");
    }

    /// Figures of the published tables (Clopper and Pearson; Garwood).
    #[test]
    fn intervals_are_those_of_the_tables() {
        close(proportion(0, 10), 0.0, 0.3085);
        close(proportion(5, 10), 0.1871, 0.8129);
        close(proportion(10, 10), 0.6915, 1.0);
        close(proportion(95, 100), 0.8872, 0.9836);
        close(proportion(0, 0), 0.0, 1.0);
        close(poisson(0), 0.0, 2.9957);
        close(poisson(1), 0.0253, 5.5716);
        close(poisson(10), 4.7954, 18.3904);
        close(poisson(1000), 938.9730, 1063.9521);
    }
}
