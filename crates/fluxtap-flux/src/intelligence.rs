//! What lists of what is bad are worth: never more than a few points, so that no list makes a
//! finding by itself.

use crate::{FluxKind, Score, Term, TermId, Verdict};
use fluxtap_window::Listed;

/// Most points that lists give.
const POINTS_MAX: f64 = 3.0;

/// The points of what is listed. The name itself is worth all of them, what it leads to half, an
/// address half a point up to four of them, and one whose autonomous system alone is listed a
/// quarter, up to one point: strangers are there too.
pub(crate) fn points(listed: Listed) -> f64 {
    let named = if listed.is_named { POINTS_MAX } else { 0.0 };
    let names = if listed.names > 0 { 1.5 } else { 0.0 };
    let addresses = (0.5 * f64::from(listed.addresses)).min(2.0);
    let systems = (0.25 * f64::from(listed.of_systems)).min(1.0);
    (named + names + addresses + systems).min(POINTS_MAX)
}

/// What the lists say of a domain by itself: a verdict of the kind [`FluxKind::Intel`] with that one
/// term. `None` if nothing is listed.
#[must_use]
pub fn matched(listed: Listed) -> Option<Verdict> {
    if listed.total() == 0 {
        return None;
    }
    let score = Score::of(points(listed));
    let value = f64::from(listed.total());
    let term = Term { id: TermId::Intelligence, value, reference: 0.0, points: score };
    Some(Verdict { score, terms: vec![term], ..note(FluxKind::Intel) })
}

/// What is said of a name that goes back and forth between addresses inside a network and outside: a
/// note of the kind [`FluxKind::Rebinding`], which has no score.
#[must_use]
pub const fn rebinding() -> Verdict {
    note(FluxKind::Rebinding)
}

/// A verdict of a kind that was not judged.
const fn note(kind: FluxKind) -> Verdict {
    Verdict {
        score: Score(0),
        kind,
        terms: Vec::new(),
        openness_gate: 0.0,
        ownership_factor: 0.0,
        pool: None,
        subject: 0,
        likelihood_ratio: 0.0,
        confidence: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, Severity};

    #[test]
    fn lists_are_worth_something_and_never_much() {
        let listed = |is_named, names, addresses, of_systems| Listed {
            is_named,
            names,
            addresses,
            of_systems,
        };
        for (listed, expect) in [
            (listed(false, 0, 0, 0), 0.0),
            (listed(true, 0, 0, 0), 3.0),
            (listed(false, 1, 0, 0), 1.5),
            (listed(false, 9, 0, 0), 1.5),
            (listed(false, 0, 1, 0), 0.5),
            (listed(false, 0, 500, 0), 2.0),
            (listed(false, 0, 0, 3), 0.75),
            (listed(false, 0, 0, 500), 1.0),
            (listed(false, 1, 2, 1), 2.75),
            (listed(true, 9, 500, 500), 3.0),
        ] {
            assert!((points(listed) - expect).abs() < 1e-9, "{listed:?}");
        }
    }

    #[test]
    fn a_match_is_low_whatever_its_score() {
        assert_eq!(matched(Listed::default()), None);
        let listed = Listed { addresses: 3, ..Listed::default() };
        let verdict = matched(listed).expect("a verdict");
        assert_eq!((verdict.score, verdict.terms[0].value), (Score(15), 3.0));
        assert_eq!(verdict.severity(&Policy::default()), Some(Severity::Low));
    }
}
