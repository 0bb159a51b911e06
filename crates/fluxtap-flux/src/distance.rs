//! How far a score is from a threshold, and what would close the distance.
//!
//! The key decision: nothing is worked out by a second set of formulas. A fact is changed, the
//! subject is reckoned again as a judgement reckons it, and the scores are compared.

use crate::{Floor, Policy, Reckoning, Score, TermId, history_density, reckon, servers_points};
use fluxtap_window::{Features, Part, ServerEvidence, Subject};

/// One fact of a subject that could be otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lever {
    /// The evidence of a term: more of it, or less where it takes points away.
    Term(TermId),
    /// Mixed ownership m, down to none.
    Mixed,
    /// Addresses per network, down to one.
    Density,
}

impl Lever {
    const ALL: [Self; 13] = [
        Self::Mixed,
        Self::Density,
        Self::Term(TermId::Replacement),
        Self::Term(TermId::Networks),
        Self::Term(TermId::AutonomousSystems),
        Self::Term(TermId::Prefixes),
        Self::Term(TermId::Spread),
        Self::Term(TermId::Countries),
        Self::Term(TermId::AccessShare),
        Self::Term(TermId::Snapshot),
        Self::Term(TermId::Servers),
        Self::Term(TermId::Ttl),
        Self::Term(TermId::Longevity),
    ];

    /// Name in words, that of the term where it is one.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Term(term) => term.as_str(),
            Self::Mixed => "mixed_ownership",
            Self::Density => "density",
        }
    }
}

/// A change of one fact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Which.
    pub lever: Lever,
    /// What is measured; of name servers the points they give.
    pub from: f64,
    /// What it would have to be.
    pub to: f64,
    /// The score with it, and with the steps before it.
    pub score: Score,
}

/// How far a subject is from one threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Distance {
    /// The threshold.
    pub threshold: Score,
    /// Points that are missing; 0 or less if it is reached.
    pub missing: Score,
    /// Least evidence that is not there, without which nothing is judged.
    pub floors: Vec<Floor>,
    /// Steps that close the distance, the largest first and the last one no longer than it must be;
    /// empty if nothing is missing.
    pub steps: Vec<Step>,
    /// Whether they reach the threshold.
    pub is_reached: bool,
}

/// The distance of a subject, by its position in [`Features::subjects`], from every threshold; the
/// way is the shortest in steps as far as taking the largest one first finds it. `None` if there is
/// no such subject.
#[must_use]
pub fn distances(features: &Features, policy: &Policy, index: usize) -> Option<[Distance; 3]> {
    let start = Facts {
        subject: features.subjects.get(index)?.clone(),
        servers: servers_points(features, policy),
        history_mixed: features.history_mixed,
        history_density: history_density(&features.subjects[index], features),
    };
    // What a judgement reads of other subjects is nothing, so they need not be copied each time.
    let same = features.subjects.iter().filter(|s| s.key() == start.subject.key());
    let features = Features { subjects: same.cloned().collect(), ..features.clone() };
    let case = Case { features: &features, policy, index };
    Some(policy.thresholds.map(|threshold| case.distance(&start, threshold)))
}

/// What is reckoned with.
#[derive(Clone)]
struct Facts {
    subject: Subject,
    servers: f64,
    history_mixed: Option<f64>,
    history_density: f64,
}

struct Case<'a> {
    features: &'a Features,
    policy: &'a Policy,
    index: usize,
}

impl Case<'_> {
    fn reckoning(&self, facts: &Facts) -> Reckoning {
        let features = Features {
            history_mixed: facts.history_mixed,
            history_density: facts.history_density,
            servers: self.features.servers.clone().map(|servers| ServerEvidence {
                history_density: facts.history_density,
                ..servers
            }),
            ..self.features.clone()
        };
        reckon(&facts.subject, self.index, facts.servers, &features, self.policy)
    }

    fn score(&self, facts: &Facts) -> Score {
        self.reckoning(facts).verdict.score
    }

    fn distance(&self, start: &Facts, threshold: Score) -> Distance {
        let reckoning = self.reckoning(start);
        let mut score = reckoning.verdict.score;
        let missing = Score(threshold.0 - score.0);
        let mut facts = start.clone();
        let mut steps: Vec<Step> = Vec::new();
        while score < threshold {
            let open = Lever::ALL.into_iter().filter(|l| steps.iter().all(|s| s.lever != *l));
            let best = open
                .filter_map(|lever| self.step(&facts, lever, threshold))
                .filter(|(step, _)| step.score > score)
                // Of equals the first.
                .min_by_key(|(step, _)| -step.score.0.min(threshold.0));
            let Some((step, changed)) = best else { break };
            (score, facts) = (step.score, changed);
            steps.push(step);
        }
        let floors = reckoning.floors.into_iter().filter(|floor| !floor.is_met()).collect();
        Distance { threshold, missing, floors, steps, is_reached: score >= threshold }
    }

    /// The shortest step of a lever that reaches the threshold, or its longest.
    fn step(&self, facts: &Facts, lever: Lever, threshold: Score) -> Option<(Step, Facts)> {
        let (from, path) = path(facts, lever, self.features.has_table)?;
        let mut last = None;
        for to in path {
            let mut changed = facts.clone();
            set(&mut changed, lever, to);
            let score = self.score(&changed);
            let is_enough = score >= threshold;
            last = Some((Step { lever, from, to, score }, changed));
            if is_enough {
                break;
            }
        }
        last
    }
}

/// Where a lever stands, and where it can be moved to, to its end; `None` if it is there already.
fn path(facts: &Facts, lever: Lever, has_table: bool) -> Option<(f64, Vec<f64>)> {
    /// Steps of a share or a points value on its way.
    const PARTS: u32 = 100;
    let counts = |from: u32, end: u32| {
        (from < end).then(|| (f64::from(from), (from + 1..=end).map(f64::from).collect()))
    };
    // Rounded as they are shown, so that what is shown gives what is said.
    let shares = |from: f64, end: f64| {
        let values: Vec<f64> = (1..=PARTS)
            .map(|part| super::round2(from + (end - from) * f64::from(part) / f64::from(PARTS)))
            .collect();
        ((from - end).abs() > 0.005).then_some((from, values))
    };
    let subject = &facts.subject;
    let spread = &subject.spread;
    let mixed = facts.history_mixed.map_or(subject.mixed, |whole| subject.mixed.max(whole));
    match lever {
        // Where each term has its last point: see the terms.
        Lever::Term(TermId::Networks) => counts(spread.networks, 32),
        Lever::Term(TermId::AutonomousSystems) if has_table => counts(spread.asns, 7),
        Lever::Term(TermId::Countries) if has_table => counts(spread.countries, 7),
        Lever::Term(TermId::Prefixes) if !has_table => counts(spread.prefixes, 10),
        Lever::Term(TermId::Spread) => shares(spread.entropy, 0.9_f64.max(spread.entropy)),
        Lever::Term(TermId::Replacement) => shares(subject.openness, 1.0),
        Lever::Term(TermId::Snapshot) if has_table => counts(u32::from(subject.has_snapshot), 1),
        Lever::Term(TermId::AccessShare) if has_table => shares(access_share(subject), 1.0),
        Lever::Term(TermId::Servers) if subject.part == Part::Answers => shares(facts.servers, 5.0),
        Lever::Term(TermId::Ttl) => {
            let lower = [300.0, 60.0].into_iter().filter(|&t| t < f64::from(subject.ttl_s));
            Some((f64::from(subject.ttl_s), lower.collect()))
        }
        Lever::Term(TermId::Longevity) => shares(subject.old_share?, 0.0),
        Lever::Mixed if has_table => shares(mixed, 0.0),
        Lever::Density => shares(subject.density.max(facts.history_density), 1.0),
        Lever::Mixed | Lever::Term(_) => None,
    }
}

fn access_share(subject: &Subject) -> f64 {
    let spread = &subject.spread;
    let known = spread.access + spread.hosting + spread.education;
    f64::from(spread.access) / f64::from(known.max(1))
}

/// Changes one fact, and with it what cannot stay as it is.
fn set(facts: &mut Facts, lever: Lever, to: f64) {
    let subject = &mut facts.subject;
    let spread = &mut subject.spread;
    match lever {
        Lever::Term(TermId::Networks) => {
            // Further networks are of the kinds that are there, and as dense.
            let factor = to / f64::from(spread.networks.max(1));
            let scaled = |count: u32| libm::round(f64::from(count) * factor) as u32;
            let counts = [
                &mut spread.access,
                &mut spread.hosting,
                &mut spread.education,
                &mut spread.hyperscaler,
                &mut spread.owned,
                &mut subject.addresses,
            ];
            counts.into_iter().for_each(|count| *count = scaled(*count));
            spread.networks = to as u32;
        }
        Lever::Term(TermId::AutonomousSystems) => spread.asns = to as u32,
        Lever::Term(TermId::Prefixes) => spread.prefixes = to as u32,
        Lever::Term(TermId::Countries) => spread.countries = to as u32,
        Lever::Term(TermId::Spread) => spread.entropy = to,
        Lever::Term(TermId::Replacement) => {
            subject.openness = to;
            subject.replaced = subject.replaced.max(2);
            subject.refreshes = subject.refreshes.max(super::REFRESHES_OPEN_MIN);
        }
        Lever::Term(TermId::Snapshot) => subject.has_snapshot = to > 0.0,
        Lever::Term(TermId::AccessShare) => {
            let known = spread.access + spread.hosting + spread.education;
            let known = if known == 0 { spread.networks } else { known };
            spread.access = libm::round(f64::from(known) * to) as u32;
            spread.hosting = known - spread.access;
            spread.education = 0;
        }
        Lever::Term(TermId::Servers) => facts.servers = to,
        Lever::Term(TermId::Ttl) => subject.ttl_s = to as u32,
        Lever::Term(TermId::Longevity) => subject.old_share = Some(to),
        Lever::Mixed => {
            subject.mixed = to;
            facts.history_mixed = facts.history_mixed.map(|_| to);
        }
        Lever::Density => {
            subject.density = to;
            facts.history_density = to;
        }
        Lever::Term(
            TermId::OneOwner
            | TermId::StaticPool
            | TermId::Succession
            | TermId::OneAtATime
            | TermId::Limit
            | TermId::Intelligence
            | TermId::Aliases,
        ) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain;
    use crate::tests::{features, fluxing};
    use fluxtap_window::Spread;

    /// Checks what holds for every distance; gives the levers of each.
    fn levers(features: &Features) -> [Vec<Lever>; 3] {
        let policy = Policy::default();
        let score = explain(features, &policy)[0].verdict.score;
        let all = distances(features, &policy, 0).expect("a subject");
        for (distance, threshold) in all.iter().zip(policy.thresholds) {
            assert_eq!(
                (distance.threshold, distance.missing.0),
                (threshold, threshold.0 - score.0)
            );
            let mut last = score;
            for step in &distance.steps {
                assert!(step.score > last && step.from != step.to, "{distance:?}");
                assert!(last < threshold, "one step too many: {distance:?}");
                last = step.score;
            }
            assert_eq!(distance.is_reached, last >= threshold, "{distance:?}");
        }
        all.map(|distance| distance.steps.iter().map(|step| step.lever).collect())
    }

    #[test]
    fn what_is_reached_is_no_distance() {
        assert_eq!(levers(&features(vec![fluxing()])), [vec![], vec![], vec![]]);
        assert_eq!(distances(&features(vec![]), &Policy::default(), 0), None);
    }

    #[test]
    fn a_pool_is_told_to_be_held_by_its_owners_and_a_closed_set_by_its_gate() {
        let pool = features(vec![Subject { mixed: 0.5, ..fluxing() }]);
        assert_eq!(levers(&pool)[2], [Lever::Mixed]);
        let blocks = features(vec![Subject { density: 2.0, ..fluxing() }]);
        assert_eq!(levers(&blocks)[2], [Lever::Density]);
        let closed = features(vec![Subject { openness: 0.0, replaced: 0, ..fluxing() }]);
        let [low, _, high] = levers(&closed);
        assert_eq!(
            (low, high[0]),
            (vec![Lever::Term(TermId::Replacement)], Lever::Term(TermId::Replacement))
        );
    }

    #[test]
    fn the_last_step_is_no_longer_than_it_must_be() {
        let few = Subject {
            spread: Spread { networks: 6, ..fluxing().spread },
            addresses: 6,
            ..fluxing()
        };
        let policy = Policy { thresholds: [Score(230); 3], ..Policy::default() };
        let features = features(vec![few]);
        let [distance, ..] = distances(&features, &policy, 0).expect("a subject");
        let [step] = distance.steps[..] else { panic!("{distance:?}") };
        assert_eq!(step.lever, Lever::Term(TermId::Networks));
        assert!(step.to < 32.0 && step.score >= Score(230), "{step:?}");
    }

    /// Nothing known, nothing seen: it ends, and says what cannot be reached.
    #[test]
    fn an_empty_subject_has_a_way_or_says_there_is_none() {
        let mut nothing = features(vec![Subject::default()]);
        levers(&nothing);
        nothing.has_table = false;
        levers(&nothing);
        let policy = Policy { thresholds: [Score(1_000); 3], ..Policy::default() };
        let [distance, ..] = distances(&nothing, &policy, 0).expect("a subject");
        assert!(!distance.is_reached && !distance.steps.is_empty(), "{distance:?}");
        let floors: Vec<&str> = distance.floors.iter().map(|floor| floor.name).collect();
        assert_eq!(floors, ["addresses", "refreshes", "sets"]);
    }
}
