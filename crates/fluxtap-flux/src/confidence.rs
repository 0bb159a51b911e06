//! What a score says, as far as a simulation can tell.
//!
//! Two things are kept apart: how much more often flux reaches a score than what is none, which can be
//! measured in traffic with truth, and how much flux there is in a network, which nobody knows. The
//! first is a likelihood ratio; with [`PRIOR`] for the second it becomes a probability.

use crate::{Score, round2};
use fluxtap_window::Subject;

/// Share of flux that [`confidence`] assumes among the domains with enough evidence to be judged.
pub const PRIOR: f64 = 0.001;

/// The most that is printed: what a simulation did not think of is in no figure.
const CONFIDENCE_MAX: f64 = 0.99;

/// How much is known of the addresses that were judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataQuality {
    /// The kinds of at least half of the networks.
    KindsKnown,
    /// Those of fewer.
    KindsUnknown,
    /// Nothing: there is no address table.
    NoTable,
}

/// Scores with the decimal logarithm of the ratio at which flux and what is none reach them, by
/// [`DataQuality`]: between them it is interpolated, outside it stays. From `docs/calibration.md`.
pub const WEIGHTS: [[(Score, f64); 6]; 3] = [
    [
        (Score(50), 1.1),
        (Score(80), 3.19),
        (Score(110), 3.19),
        (Score(140), 3.64),
        (Score(180), 3.64),
        (Score(240), 3.64),
    ],
    [
        (Score(50), 0.74),
        (Score(80), 0.91),
        (Score(110), 1.63),
        (Score(140), 1.96),
        (Score(180), 2.43),
        (Score(240), 2.78),
    ],
    [
        (Score(50), 0.04),
        (Score(80), 0.04),
        (Score(110), 0.08),
        (Score(140), 0.11),
        (Score(180), 0.2),
        (Score(240), 0.2),
    ],
];

/// How good the data behind a subject are.
#[must_use]
pub const fn quality(subject: &Subject, has_table: bool) -> DataQuality {
    let spread = &subject.spread;
    let known = spread.access + spread.hosting + spread.education;
    match (has_table, 2 * known >= spread.networks) {
        (true, true) => DataQuality::KindsKnown,
        (true, false) => DataQuality::KindsUnknown,
        (false, _) => DataQuality::NoTable,
    }
}

/// How much more often a domain in flux reaches a score than one that is none, of those with enough
/// evidence to be judged, by [`WEIGHTS`].
#[must_use]
pub fn likelihood_ratio(score: Score, quality: DataQuality) -> f64 {
    let weights = &WEIGHTS[quality as usize];
    let of = |(knot, weight): (Score, f64)| (f64::from(knot.0), weight);
    let points = f64::from(score.0);
    let (mut below, mut above) = (of(weights[0]), of(weights[weights.len() - 1]));
    let points = points.clamp(below.0, above.0);
    for pair in weights.windows(2) {
        if (of(pair[0]).0..=of(pair[1]).0).contains(&points) {
            (below, above) = (of(pair[0]), of(pair[1]));
            break;
        }
    }
    let share = (points - below.0) / (above.0 - below.0);
    libm::round(libm::exp10(below.1 + share * (above.1 - below.1)))
}

/// The probability of flux that a ratio makes of another, by Bayes.
#[must_use]
pub fn posterior(ratio: f64, prior: f64) -> f64 {
    let odds = ratio * prior / (1.0 - prior);
    odds / (1.0 + odds)
}

/// What a ratio makes of [`PRIOR`], as alerts print it.
#[must_use]
pub fn confidence(ratio: f64) -> f64 {
    round2(posterior(ratio, PRIOR).min(CONFIDENCE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_rise_and_are_interpolated() {
        for (quality, weights) in
            [DataQuality::KindsKnown, DataQuality::KindsUnknown, DataQuality::NoTable]
                .into_iter()
                .zip(WEIGHTS)
        {
            assert!(weights.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{quality:?}");
            let ratio = |tenths| likelihood_ratio(Score(tenths), quality);
            for (knot, weight) in weights {
                assert!(
                    (ratio(knot.0).max(1.0).log10() - weight).abs() < 0.15,
                    "{quality:?} {knot:?}"
                );
            }
            let all: Vec<f64> = (-100..400).map(ratio).collect();
            assert!(all.is_sorted(), "{quality:?}");
            assert_eq!((all[0], all[499]), (ratio(50), ratio(240)), "{quality:?}");
        }
    }

    #[test]
    fn odds_are_multiplied() {
        for (ratio, prior, expect) in [(1.0, 0.5, 0.5), (9.0, 0.1, 0.5), (0.0, 0.1, 0.0)] {
            assert!((posterior(ratio, prior) - expect).abs() < 1e-9, "{ratio} {prior}");
        }
        assert!((confidence(999.0) - 0.5).abs() < 1e-9);
        assert!((confidence(1e9) - 0.99).abs() < 1e-9);
    }
}
