//! Features to a verdict: a pure function whose every point is printed.
//!
//! The shape (see `docs/detection.md`): diversity counts only while the set is open, so the terms
//! for networks, owners, spread and countries are multiplied by a gate; and only as far as the
//! addresses do not look like one operator's blocks or a volunteer pool, so everything that rests
//! on diversity is multiplied by an ownership factor.
//!
//! ```text
//! score = q * (g * (Fn + Fa + Fh + Fc) + Fo + Sn + F9 + F11) + F7 + F10 + N1 + N4 + N5 + F13
//! ```
//!
//! Points are tenths, rounded once per term, and the score is their sum: what is printed adds up.
//!
//! What it does not do: remember. Hysteresis and the life of an alert are the next crate's.
#![forbid(unsafe_code)]

mod confidence;
mod distance;
mod intelligence;
mod policy;
mod rotation;

pub use confidence::{
    DataQuality, PRIOR, WEIGHTS, confidence, likelihood_ratio, posterior, quality,
};
pub use distance::{Distance, Lever, Step, distances};
pub use intelligence::{matched, rebinding};
pub use policy::{FluxKind, MODEL, Policy, Score, Severity, model_id};
pub use rotation::Condition;

use fluxtap_window::{Features, Part, Subject};
use serde::{Deserialize, Serialize};

/// A term of the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TermId {
    /// Networks: `2 log2(n / 4)`, 0 to 6.
    Networks,
    /// Autonomous systems: `1.2 (n - 2)`, 0 to 6.
    AutonomousSystems,
    /// Larger prefixes, in place of autonomous systems where no table says them: `0.6 (n - 2)`,
    /// 0 to 4.5.
    Prefixes,
    /// Spread over larger prefixes: entropy from 0.33 to 0.90, 0 to 3.
    Spread,
    /// Countries: `0.7 (n - 2)`, 0 to 3.
    Countries,
    /// Openness: `4 o` from five refreshes on.
    Replacement,
    /// One single answer over unrelated access networks: 3.
    Snapshot,
    /// Share of access networks among known owners: -4 to 4.
    AccessShare,
    /// Short TTL: 1.5 to 60 s, 1 to 300 s.
    Ttl,
    /// The name servers' addresses flux too: 0 to 5.
    Servers,
    /// All addresses with one owner that is no access network: -4.
    OneOwner,
    /// Networks known for over a day, in the 7-day window: -4 to 0.
    Longevity,
    /// An open pool that stopped growing after three days: -4.
    StaticPool,
    /// Sets that follow each other: 9 for a rotation.
    Succession,
    /// One network in each answer: 1 for a rotation.
    OneAtATime,
    /// What is above the highest severity of the kind: down to just below the next threshold.
    Limit,
    /// What lists of what is bad say of the domain: 0 to 3.
    Intelligence,
    /// Targets that one name led to as an alias: `0.5 (n - 4)`, 0 to 2.5.
    Aliases,
}

impl TermId {
    /// Short id, as in the documentation's table.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Networks => "Fn",
            Self::AutonomousSystems => "Fa",
            Self::Prefixes => "Fp",
            Self::Spread => "Fh",
            Self::Countries => "Fc",
            Self::Replacement => "Fo",
            Self::Snapshot => "Sn",
            Self::AccessShare => "F7",
            Self::Ttl => "F9",
            Self::Servers => "F10",
            Self::OneOwner => "N1",
            Self::Longevity => "N4",
            Self::StaticPool => "N5",
            Self::Succession => "R1",
            Self::OneAtATime => "R2",
            Self::Limit => "N6",
            Self::Intelligence => "F13",
            Self::Aliases => "F11",
        }
    }

    /// Name in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Networks => "networks",
            Self::AutonomousSystems => "autonomous_systems",
            Self::Prefixes => "prefixes",
            Self::Spread => "spread",
            Self::Countries => "countries",
            Self::Replacement => "replacement",
            Self::Snapshot => "snapshot",
            Self::AccessShare => "access_share",
            Self::Ttl => "ttl",
            Self::Servers => "name_servers",
            Self::OneOwner => "one_owner",
            Self::Longevity => "longevity",
            Self::StaticPool => "static_pool",
            Self::Succession => "succession",
            Self::OneAtATime => "one_at_a_time",
            Self::Limit => "kind_limit",
            Self::Intelligence => "intelligence",
            Self::Aliases => "aliases",
        }
    }
}

/// One printed term.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// Which.
    pub id: TermId,
    /// What was measured.
    pub value: f64,
    /// From where on it counts.
    pub reference: f64,
    /// What it adds, factors included.
    pub points: Score,
}

/// The judgement of one domain at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Sum of the terms' points.
    pub score: Score,
    /// What fluxes, if anything does.
    pub kind: FluxKind,
    /// The terms in a fixed order; those of [`judge`] are the ones that are not zero.
    pub terms: Vec<Term>,
    /// The gate g on diversity.
    pub openness_gate: f64,
    /// The factor q on everything that rests on diversity.
    pub ownership_factor: f64,
    /// Diversity alone would have alerted, and ownership is what prevents it.
    pub pool: Option<Pool>,
    /// Position in [`Features::subjects`] of what was judged.
    pub subject: usize,
    /// How much more often flux reaches such a score than what is none: see [`likelihood_ratio`].
    pub likelihood_ratio: f64,
    /// What that makes of [`PRIOR`], 0 to 0.99, two decimals.
    pub confidence: f64,
}

/// Whose pool a set of addresses is that many share on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pool {
    /// Of volunteers, or of who knows.
    Open,
    /// Of rented servers: less than a tenth of the known owners are access networks.
    Hosting,
}

impl Pool {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open_pool",
            Self::Hosting => "hosting_pool",
        }
    }
}

impl Verdict {
    /// The severity whose threshold the score reaches.
    #[must_use]
    pub fn severity(&self, policy: &Policy) -> Option<Severity> {
        if matches!(self.kind, FluxKind::Intel | FluxKind::Rebinding) {
            return Some(Severity::Low);
        }
        let [low, medium, high] = policy.thresholds;
        match self.score {
            score if score >= high => Some(Severity::High),
            score if score >= medium => Some(Severity::Medium),
            score if score >= low => Some(Severity::Low),
            _ => None,
        }
    }
}

/// Judges a domain: the highest score of its subjects over all windows; that of its own addresses
/// before that of its name servers' if it reaches a threshold.
///
/// `None` if no subject has the evidence the policy asks for.
#[must_use]
pub fn judge(features: &Features, policy: &Policy) -> Option<Verdict> {
    let servers = servers_points(features, policy);
    let judged = |subject: &&Subject| floors(subject, policy).iter().all(Floor::is_met);
    let subjects = features.subjects.iter().enumerate().filter(|(_, subject)| judged(subject));
    let verdicts = subjects.map(|(index, subject)| {
        let verdict = reckon(subject, index, servers, features, policy).verdict;
        (rank(&verdict, policy), verdict)
    });
    let (_, mut best) =
        verdicts.reduce(|best, other| if other.0 > best.0 { other } else { best })?;
    best.terms.retain(|term| term.points.0 != 0);
    Some(best)
}

/// What decides between the subjects of a domain.
fn rank(verdict: &Verdict, policy: &Policy) -> (bool, Score) {
    (verdict.kind >= FluxKind::Single && verdict.severity(policy).is_some(), verdict.score)
}

/// The position of what decides among reckonings of [`explain`]: what [`judge`] gives, or if nothing
/// can be judged what would decide else.
#[must_use]
pub fn deciding(reckonings: &[Reckoning], policy: &Policy) -> Option<usize> {
    let all = reckonings.iter().enumerate();
    let ranked = all.map(|(at, r)| ((r.is_judged(), rank(&r.verdict, policy)), at));
    let best = ranked.reduce(|best, other| if other.0 > best.0 { other } else { best });
    best.map(|(_, at)| at)
}

/// How every subject in every window was reckoned, in the order of [`Features::subjects`]: also
/// those that lack the evidence to be judged, and with the terms that gave nothing.
///
/// [`deciding`] says which of them is what [`judge`] gives.
#[must_use]
pub fn explain(features: &Features, policy: &Policy) -> Vec<Reckoning> {
    let servers = servers_points(features, policy);
    let subjects = features.subjects.iter().enumerate();
    subjects.map(|(index, s)| reckon(s, index, servers, features, policy)).collect()
}

/// The score of one subject in one window with all its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Reckoning {
    /// What comes out. Its terms are all there are, in a fixed order; those that do not apply have
    /// 0 points.
    pub verdict: Verdict,
    /// What there must be at least for the subject to be judged: addresses, refreshes, sets.
    pub floors: [Floor; 3],
    /// The gate on diversity and what set it.
    pub gate: Gate,
    /// The ownership factor and what set it.
    pub ownership: Ownership,
    /// What a rotation takes, see [`FluxKind::Rotation`].
    pub conditions: [Condition; 12],
}

impl Reckoning {
    /// Whether there is the evidence to judge it.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.floors.iter().all(Floor::is_met)
    }
}

/// Least evidence of one sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Of what, as the field of [`Subject`].
    pub name: &'static str,
    /// How much there is.
    pub value: u64,
    /// How much there must be.
    pub minimum: u64,
}

impl Floor {
    /// Whether there is enough.
    #[must_use]
    pub const fn is_met(&self) -> bool {
        self.value >= self.minimum
    }
}

/// The gate g on diversity and its parts, in the order in which they act.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate {
    /// The gate, 0 to 1, not rounded.
    pub value: f64,
    /// Too few refreshes to tell openness: 0.7 instead.
    pub is_undecided: bool,
    /// Openness o, which otherwise makes `0.25 + 0.75 o`.
    pub openness: f64,
    /// Nobody was seen to be given something new: at most 0.3.
    pub is_unwitnessed: bool,
    /// A snapshot that no operator owns holds it open: at least 0.6.
    pub is_held_open: bool,
}

/// The ownership factor q and its parts: `(1 - pool) (1 - blocks)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ownership {
    /// The factor, 0.0225 to 1, not rounded.
    pub value: f64,
    /// Mixed ownership m, the larger of the subject's and the whole history's.
    pub mixed: f64,
    /// What mixed ownership takes, less where sets follow each other.
    pub pool: f64,
    /// Density d, the larger of the subject's and the whole history's.
    pub density: f64,
    /// What density takes.
    pub blocks: f64,
}

/// What a subject must have at least to be judged.
fn floors(subject: &Subject, policy: &Policy) -> [Floor; 3] {
    let floor = |name, value: u32, minimum: u64| Floor { name, value: value.into(), minimum };
    let refreshes_min = if subject.has_snapshot {
        policy.refreshes_of_snapshots_min()
    } else {
        policy.refreshes_min
    };
    [
        floor("addresses", subject.addresses, policy.addresses_min as u64),
        floor("refreshes", subject.refreshes, refreshes_min.into()),
        floor("sets", subject.sets, policy.sets_min.into()),
    ]
}

fn reckon(
    subject: &Subject,
    index: usize,
    servers: f64,
    features: &Features,
    policy: &Policy,
) -> Reckoning {
    let is_of_servers = subject.part == Part::Servers;
    // Addresses of servers cannot support themselves.
    let servers = if is_of_servers || subject.is_of_servers { 0.0 } else { servers };
    let mixed = match features.history_mixed {
        _ if !features.has_table => 0.0,
        Some(whole) if !is_of_servers => subject.mixed.max(whole),
        _ => subject.mixed,
    };
    let density = subject.density.max(history_density(subject, features));
    let ownership = ownership(subject, mixed, density);
    let gate = gate(subject, mixed);
    let mut terms = subject_terms(subject, features, gate.value, ownership.value);
    let mut push = |id, value, reference, points| {
        terms.push(Term { id, value, reference, points: Score::of(points) });
    };
    let server_addresses = features.servers.as_ref().map_or(0, |s| s.addresses);
    push(TermId::Servers, f64::from(server_addresses), 6.0, servers);
    let targets = f64::from(subject.alias_targets);
    let of_aliases = (0.5 * (targets - 4.0)).clamp(0.0, 2.5);
    push(TermId::Aliases, targets, 4.0, ownership.value * of_aliases);
    push_counter_evidence(subject, features, &mut push);
    let listed = subject.listed;
    push(TermId::Intelligence, f64::from(listed.total()), 0.0, intelligence::points(listed));
    let kind = match servers {
        _ if is_of_servers || subject.is_of_servers => FluxKind::Servers,
        points if points >= DOUBLE_FLUX_POINTS => FluxKind::Double,
        _ if subject.alias_targets >= DOUBLE_FLUX_TARGETS => FluxKind::Double,
        _ => FluxKind::Single,
    };
    // What clients were told when they looked the servers up is as good as any other answer.
    if is_of_servers {
        push_limit(&mut terms, Severity::Medium, policy);
    } else if subject.is_unproven {
        push_limit(&mut terms, Severity::Low, policy);
    }
    let score = Score(terms.iter().map(|t| t.points.0).sum());
    let without_ownership: f64 =
        subject_terms(subject, features, gate.value, 1.0).iter().map(|t| t.points.points()).sum();
    let is_pool = score < policy.thresholds[0]
        && mixed >= POOL_MIXED_MIN
        && without_ownership >= policy.thresholds[0].points();
    let spread = &subject.spread;
    let is_hosted = 10 * spread.access < spread.access + spread.hosting + spread.education;
    let ratio = likelihood_ratio(score, quality(subject, features.has_table));
    let verdict = Verdict {
        score,
        kind,
        openness_gate: round2(gate.value),
        ownership_factor: round2(ownership.value),
        pool: is_pool.then_some(if is_hosted { Pool::Hosting } else { Pool::Open }),
        subject: index,
        likelihood_ratio: ratio,
        confidence: confidence(ratio),
        terms,
    };
    let floors = floors(subject, policy);
    let conditions = rotation::conditions(subject, density);
    let by_flux = Reckoning { verdict, floors, gate, ownership, conditions };
    rotation::reckon(by_flux, subject, features.has_table, policy)
}

/// The term that keeps a finding at a severity: a part of what it is about is not seen, so an alert
/// says where to look and not what is certain.
fn push_limit(terms: &mut Vec<Term>, most: Severity, policy: &Policy) {
    let score: i32 = terms.iter().map(|t| t.points.0).sum();
    let threshold = |severity: usize| policy.thresholds.get(severity).map_or(i32::MAX, |t| t.0);
    let highest = threshold(most as usize).max(threshold(most as usize + 1) - 1);
    let points = Score((highest - score).min(0));
    let (value, reference) = (Score(score).points(), Score(highest).points());
    terms.push(Term { id: TermId::Limit, value, reference, points });
}

/// Addresses per network over the whole history of the subject's part.
fn history_density(subject: &Subject, features: &Features) -> f64 {
    match (subject.part, &features.servers) {
        (Part::Servers, Some(servers)) => servers.history_density,
        _ => features.history_density,
    }
}

/// Points of the name-server term from which on the flux is double.
const DOUBLE_FLUX_POINTS: f64 = 2.5;

/// Targets of one alias from which on the flux is double: who changes between delivery networks that
/// nobody curated has a few.
const DOUBLE_FLUX_TARGETS: u32 = 5;

/// Mixed-ownership share from which on an open set counts as a pool.
const POOL_MIXED_MIN: f64 = 0.2;

/// The factor q: falls to 0.15 as hosting and education take a quarter of the known owners (a
/// volunteer pool), unless sets follow each other as flux does; and likewise as addresses lie in
/// blocks, which operators own and botnets do not.
fn ownership(subject: &Subject, mixed: f64, density: f64) -> Ownership {
    let pool = 0.85 * ((mixed - 0.10) / 0.14).clamp(0.0, 1.0) * (1.0 - subject.succession);
    let blocks =
        if subject.addresses >= 6 { 0.85 * ((density - 1.25) / 0.75).clamp(0.0, 1.0) } else { 0.0 };
    Ownership { value: (1.0 - pool) * (1.0 - blocks), mixed, pool, density, blocks }
}

/// Refreshes below which openness cannot be told.
const REFRESHES_OPEN_MIN: u32 = 5;

/// The gate g: how far the set is open. Undecided while there are few refreshes; nearly shut when
/// nobody was seen to be given something new; held open by a snapshot that no operator owns.
fn gate(subject: &Subject, mixed: f64) -> Gate {
    let openness = subject.openness;
    let is_undecided = subject.refreshes < REFRESHES_OPEN_MIN;
    let is_unwitnessed = subject.replaced < 2;
    let is_held_open = subject.has_snapshot && mixed < 0.12;
    let mut value = if is_undecided { 0.7 } else { (0.25 + 0.75 * openness).clamp(0.25, 1.0) };
    if is_unwitnessed {
        value = value.min(0.3);
    }
    if is_held_open {
        value = value.max(0.6);
    }
    Gate { value, is_undecided, openness, is_unwitnessed, is_held_open }
}

/// The terms that rest on the subject's addresses.
fn subject_terms(subject: &Subject, features: &Features, gate: f64, ownership: f64) -> Vec<Term> {
    let spread = &subject.spread;
    let networks = f64::from(spread.networks);
    let open = gate * ownership;
    let mut terms = Vec::with_capacity(12);
    let mut push = |id, value: f64, reference, points: f64| {
        terms.push(Term { id, value: round2(value), reference, points: Score::of(points) });
    };
    let of_networks = (2.0 * libm::log2(networks / 4.0)).clamp(0.0, 6.0);
    push(TermId::Networks, networks, 4.0, open * of_networks);
    if features.has_table {
        let asns = f64::from(spread.asns);
        push(TermId::AutonomousSystems, asns, 2.0, open * (1.2 * (asns - 2.0)).clamp(0.0, 6.0));
    } else {
        let prefixes = f64::from(spread.prefixes);
        push(TermId::Prefixes, prefixes, 2.0, open * (0.6 * (prefixes - 2.0)).clamp(0.0, 4.5));
    }
    let of_spread = ((spread.entropy - 0.33) / 0.57 * 3.0).clamp(0.0, 3.0);
    push(TermId::Spread, spread.entropy, 0.33, open * of_spread);
    let countries = f64::from(spread.countries);
    push(TermId::Countries, countries, 2.0, open * (0.7 * (countries - 2.0)).clamp(0.0, 3.0));
    let of_openness =
        if subject.refreshes >= REFRESHES_OPEN_MIN { 4.0 * subject.openness } else { 0.0 };
    push(TermId::Replacement, subject.openness, 0.0, ownership * of_openness);
    let snapshot = f64::from(u8::from(subject.has_snapshot));
    push(TermId::Snapshot, snapshot, 0.0, ownership * 3.0 * snapshot);
    let known = f64::from(spread.access + spread.hosting + spread.education);
    // Without a known owner the share says nothing, and its weight is 0.
    let share = f64::from(spread.access) / known.max(1.0);
    let weight = (1.2 * known / networks.max(1.0)).min(1.0);
    push(TermId::AccessShare, share, 0.5, (8.0 * (share - 0.5)).clamp(-4.0, 4.0) * weight);
    let of_ttl = match subject.ttl_s {
        0..=60 => 1.5,
        61..=300 => 1.0,
        _ => 0.0,
    };
    push(TermId::Ttl, f64::from(subject.ttl_s), 300.0, ownership * of_ttl);
    terms
}

fn push_counter_evidence(
    subject: &Subject,
    features: &Features,
    push: &mut impl FnMut(TermId, f64, f64, f64),
) {
    let spread = &subject.spread;
    let has_one_owner = spread.asns == 1 && spread.owned == spread.networks && spread.access == 0;
    push(TermId::OneOwner, f64::from(spread.asns), 1.0, if has_one_owner { -4.0 } else { 0.0 });
    let old_share = subject.old_share.unwrap_or(0.0);
    push(TermId::Longevity, round2(old_share), 0.0, -4.0 * old_share);
    let networks_in = |window_s: u32| {
        let of_subject = features.subjects.iter().filter(|s| s.key() == subject.key());
        of_subject.filter(|s| s.window_s <= window_s).map(|s| s.spread.networks).max()
    };
    let (week, day) = (networks_in(604_800).unwrap_or(0), networks_in(86_400).unwrap_or(0));
    let has_stopped = features.age_s >= 3 * 86_400
        && !features.is_history_cut
        && f64::from(week) < 1.3 * f64::from(day);
    push(
        TermId::StaticPool,
        f64::from(week) / f64::from(day.max(1)),
        1.3,
        if has_stopped { -4.0 } else { 0.0 },
    );
}

/// The name-server term: the servers' addresses are scored by the same formula, and what is above
/// six points counts half, up to five.
fn servers_points(features: &Features, policy: &Policy) -> f64 {
    let is_it =
        |s: &&Subject| s.part == Part::Servers && s.addresses as usize >= policy.addresses_min;
    let points = features.subjects.iter().filter(is_it).map(|subject| {
        let mixed = if features.has_table { subject.mixed } else { 0.0 };
        let density = subject.density.max(history_density(subject, features));
        let ownership = ownership(subject, mixed, density).value;
        let gate = gate(subject, mixed).value;
        let terms = subject_terms(subject, features, gate, ownership);
        terms.iter().filter(|t| t.id != TermId::Ttl).map(|t| t.points.points()).sum::<f64>()
    });
    ((points.fold(0.0, f64::max) - 6.0) / 2.0).clamp(0.0, 5.0)
}

fn round2(value: f64) -> f64 {
    libm::round(value * 100.0) / 100.0
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use fluxtap_window::Spread;

    /// A subject in flux: many networks in as many hands, and replacement goes on.
    pub(crate) fn fluxing() -> Subject {
        Subject {
            window_s: 900,
            refreshes: 8,
            sets: 6,
            changes: 6,
            addresses: 30,
            spread: Spread {
                networks: 30,
                prefixes: 30,
                asns: 12,
                countries: 6,
                entropy: 1.0,
                access: 28,
                hosting: 2,
                owned: 30,
                ..Spread::default()
            },
            replaced: 20,
            replaced_late: 10,
            openness: 0.9,
            ttl_s: 120,
            mixed: 0.1,
            density: 1.0,
            ..Subject::default()
        }
    }

    pub(crate) fn features(subjects: Vec<Subject>) -> Features {
        Features { subjects, has_table: true, history_density: 1.0, ..Features::default() }
    }

    #[test]
    fn what_is_explained_is_what_is_judged() {
        let policy = Policy::default();
        let quiet = Subject { refreshes: 2, addresses: 3, ..fluxing() };
        let closed = Subject { openness: 0.1, replaced: 1, ..fluxing() };
        let features = features(vec![quiet, closed, fluxing()]);
        let reckonings = explain(&features, &policy);
        let verdict = judge(&features, &policy).expect("a verdict");
        assert_eq!((verdict.subject, verdict.severity(&policy)), (2, Some(Severity::High)));
        assert!(verdict.terms.iter().all(|t| t.points != Score(0)));
        let mut explained = reckonings[2].verdict.clone();
        explained.terms.retain(|t| t.points != Score(0));
        assert_eq!(explained, verdict);
        for reckoning in &reckonings {
            let sum: i32 = reckoning.verdict.terms.iter().map(|t| t.points.0).sum();
            assert_eq!(sum, reckoning.verdict.score.0);
            let mut ids: Vec<TermId> = reckoning.verdict.terms.iter().map(|t| t.id).collect();
            // All there are, save that prefixes stand in for autonomous systems without a table.
            assert_eq!(ids.len(), 14, "{ids:?}");
            ids.dedup();
            assert_eq!(ids.len(), 14, "{ids:?}");
        }
        assert_eq!(
            reckonings.iter().map(Reckoning::is_judged).collect::<Vec<_>>(),
            [false, true, true]
        );
        let missing: Vec<&str> =
            reckonings[0].floors.iter().filter(|f| !f.is_met()).map(|f| f.name).collect();
        assert_eq!(missing, ["addresses", "refreshes"]);
    }

    #[test]
    fn the_gate_says_what_set_it() {
        for (subject, value, undecided, unwitnessed, held_open) in [
            (fluxing(), 0.925, false, false, false),
            (Subject { refreshes: 4, ..fluxing() }, 0.7, true, false, false),
            (Subject { refreshes: 4, replaced: 1, ..fluxing() }, 0.3, true, true, false),
            (Subject { replaced: 0, openness: 0.0, ..fluxing() }, 0.25, false, true, false),
            (Subject { replaced: 0, has_snapshot: true, ..fluxing() }, 0.6, false, true, true),
        ] {
            let gate = gate(&subject, subject.mixed);
            assert!((gate.value - value).abs() < 1e-9, "{gate:?}");
            let parts = (gate.is_undecided, gate.is_unwitnessed, gate.is_held_open);
            assert_eq!(parts, (undecided, unwitnessed, held_open), "{gate:?}");
        }
    }

    #[test]
    fn ownership_says_what_it_took_and_for_what() {
        let pool = ownership(&fluxing(), 0.24, 1.0);
        assert!((pool.pool - 0.85).abs() < 1e-9 && pool.blocks == 0.0, "{pool:?}");
        let moving = Subject { succession: 1.0, ..fluxing() };
        assert!((ownership(&moving, 0.5, 1.0).value - 1.0).abs() < 1e-9);
        let blocks = ownership(&fluxing(), 0.0, 2.0);
        assert!((blocks.value - 0.15).abs() < 1e-9 && blocks.pool == 0.0, "{blocks:?}");
    }
}
