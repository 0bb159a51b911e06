//! The other rule: one or few rented addresses at a time, each of which takes over from the one
//! before.
//!
//! Such sets lack all that flux is known by: there are few addresses, in few networks of few
//! providers, and nobody's home among them. What tells them from pools, balancers and customers is
//! the order: sets follow each other far more often than chance has it, and what is gone does not
//! come back. So it takes all conditions at once, and none of them makes up for another.

use crate::{
    FluxKind, Policy, Reckoning, Score, Severity, Term, TermId, Verdict, confidence, intelligence,
    likelihood_ratio, push_limit, quality, round2,
};
use fluxtap_window::{Part, Subject};

/// Points of a rotation by itself.
const POINTS: f64 = 9.0;

/// Something that must hold for a rotation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// Of what.
    pub name: &'static str,
    /// What was measured.
    pub value: f64,
    /// What it must reach at least, or may reach at most.
    pub bound: f64,
    /// Whether it is the most that is allowed; else it is the least.
    pub is_most: bool,
}

impl Condition {
    /// Whether it holds.
    #[must_use]
    pub fn is_met(&self) -> bool {
        if self.is_most { self.value <= self.bound } else { self.value >= self.bound }
    }
}

/// Number of conditions.
const CONDITIONS: usize = 12;

/// What must hold, all at once; `density` is that of window and history.
pub(crate) fn conditions(subject: &Subject, density: f64) -> [Condition; CONDITIONS] {
    let spread = &subject.spread;
    let share = |of: u32| f64::from(of) / f64::from(spread.networks.max(1));
    let least = |name, value, bound| Condition { name, value, bound, is_most: false };
    let most = |name, value, bound| Condition { name, value, bound, is_most: true };
    [
        least("networks", spread.networks.into(), 6.0),
        least("sets", subject.sets.into(), 5.0),
        least("replaced", subject.replaced.into(), 5.0),
        most("networks_per_answer", subject.per_answer, 4.0),
        least("replaced_at_a_change", subject.replaced_share, 0.6),
        least("succession_ratio", subject.succession_ratio, 2.0),
        least("succession_deviations", subject.succession_z, 4.5),
        most("recurrence", subject.recurrence, 0.2),
        least("openness", subject.openness, 0.4),
        // Homes whose provider gives them another address now and then look the same, and so do
        // services that grow and shrink inside one large cloud. Unknown owners say neither.
        least("hosting_share", share(spread.hosting), 0.5),
        most("hyperscaler_share", share(spread.hyperscaler), 0.79),
        most("density", density, 1.5),
    ]
}

/// The reckoning by this rule if it gives more than the other did.
pub(crate) fn reckon(
    other: Reckoning,
    subject: &Subject,
    has_table: bool,
    policy: &Policy,
) -> Reckoning {
    let holds = other.conditions.iter().all(Condition::is_met);
    if subject.part == Part::Servers || !holds {
        return other;
    }
    let spread = &subject.spread;
    let mut terms = Vec::with_capacity(6);
    let mut push = |id, value: f64, reference, points: f64| {
        terms.push(Term { id, value: round2(value), reference, points: Score::of(points) });
    };
    push(TermId::Succession, subject.succession_ratio, 2.0, POINTS);
    let networks = f64::from(spread.networks);
    push(TermId::Networks, networks, 3.0, (0.4 * (networks - 3.0)).clamp(0.0, 3.0));
    let owners = f64::from(spread.asns);
    push(TermId::AutonomousSystems, owners, 1.0, f64::from(u8::from(spread.asns >= 2)));
    let is_one = subject.per_answer < 1.5;
    push(TermId::OneAtATime, subject.per_answer, 1.5, f64::from(u8::from(is_one)));
    let listed = subject.listed;
    push(TermId::Intelligence, f64::from(listed.total()), 0.0, intelligence::points(listed));
    push_limit(&mut terms, Severity::Medium, policy);
    let score = Score(terms.iter().map(|t| t.points.0).sum());
    if score <= other.verdict.score {
        return other;
    }
    let ratio = likelihood_ratio(score, quality(subject, has_table));
    let verdict = Verdict {
        score,
        kind: FluxKind::Rotation,
        terms,
        openness_gate: 1.0,
        ownership_factor: 1.0,
        pool: None,
        likelihood_ratio: ratio,
        confidence: confidence(ratio),
        ..other.verdict
    };
    Reckoning { verdict, ..other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::features;
    use crate::{explain, judge};
    use fluxtap_window::Spread;

    /// One of ten rented servers after the other.
    fn rotating() -> Subject {
        Subject {
            window_s: 604_800,
            refreshes: 60,
            sets: 10,
            changes: 9,
            addresses: 10,
            spread: Spread {
                networks: 10,
                prefixes: 9,
                asns: 2,
                countries: 2,
                entropy: 0.9,
                hosting: 10,
                owned: 10,
                ..Spread::default()
            },
            per_answer: 1.0,
            replaced: 9,
            replaced_late: 4,
            replaced_share: 1.0,
            openness: 0.9,
            succession_ratio: 7.0,
            succession_z: 12.0,
            succession: 1.0,
            ttl_s: 300,
            mixed: 0.8,
            density: 1.0,
            ..Subject::default()
        }
    }

    fn judged(subject: Subject) -> Option<Verdict> {
        judge(&features(vec![subject]), &Policy::default())
    }

    #[test]
    fn one_server_after_the_other_is_a_rotation() {
        let verdict = judged(rotating()).expect("a verdict");
        assert_eq!((verdict.kind, verdict.score), (FluxKind::Rotation, Score(138)));
        let sum: i32 = verdict.terms.iter().map(|t| t.points.0).sum();
        assert_eq!(sum, verdict.score.0);
        let spread = Spread { networks: 40, hosting: 40, ..rotating().spread };
        let long = judged(Subject { spread, ..rotating() }).expect("a verdict");
        assert_eq!((long.kind, long.score), (FluxKind::Rotation, Score(140)), "medium at most");
    }

    #[test]
    fn no_condition_makes_up_for_another() {
        let of = |spread: fn(&mut Spread)| {
            let mut subject = rotating();
            spread(&mut subject.spread);
            subject
        };
        let without = [
            ("networks", of(|s| (s.networks, s.hosting) = (5, 5))),
            ("sets", Subject { sets: 4, ..rotating() }),
            ("replaced", Subject { replaced: 4, ..rotating() }),
            ("networks_per_answer", Subject { per_answer: 4.1, ..rotating() }),
            ("replaced_at_a_change", Subject { replaced_share: 0.5, ..rotating() }),
            ("succession_ratio", Subject { succession_ratio: 1.9, ..rotating() }),
            ("succession_deviations", Subject { succession_z: 4.4, ..rotating() }),
            ("recurrence", Subject { recurrence: 0.3, ..rotating() }),
            ("openness", Subject { openness: 0.3, ..rotating() }),
            ("hosting_share", of(|s| s.hosting = 4)),
            ("hyperscaler_share", of(|s| s.hyperscaler = 8)),
            ("density", Subject { density: 1.6, ..rotating() }),
        ];
        for (name, subject) in without {
            let features = features(vec![subject]);
            let reckoning = &explain(&features, &Policy::default())[0];
            let missing: Vec<&str> =
                reckoning.conditions.iter().filter(|c| !c.is_met()).map(|c| c.name).collect();
            assert_eq!(missing, [name]);
            assert_ne!(reckoning.verdict.kind, FluxKind::Rotation, "{name}");
        }
    }

    #[test]
    fn servers_have_no_rotation_of_their_own() {
        let verdict = judged(Subject { part: Part::Servers, ..rotating() }).expect("a verdict");
        assert_eq!(verdict.kind, FluxKind::Servers);
    }
}
