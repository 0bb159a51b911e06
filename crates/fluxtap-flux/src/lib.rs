//! Features to a verdict: a pure function whose every point is printed.
//!
//! The shape (see `docs/detection.md`): diversity counts only while the set is open, so the terms
//! for networks, owners, spread and countries are multiplied by a gate; and only as far as the
//! addresses do not look like one operator's blocks or a volunteer pool, so everything that rests
//! on diversity is multiplied by an ownership factor.
//!
//! ```text
//! score = q * (g * (Fn + Fa + Fh + Fc) + Fo + Sn + F9) + F7 + F10 + N1 + N4 + N5
//! ```
//!
//! Points are tenths, rounded once per term, and the score is their sum: what is printed adds up.
//!
//! What it does not do: remember. Hysteresis and the life of an alert are the next crate's.
#![forbid(unsafe_code)]

use fluxtap_window::{Features, ServerEvidence, Subject};

/// Thresholds and floors of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Scores that open an alert of low, medium and high severity.
    pub thresholds: [Score; 3],
    /// Fewest addresses of a subject that is judged.
    pub addresses_min: usize,
    /// Fewest cache fills of a subject that is judged.
    pub refreshes_min: u32,
    /// Fewest different address sets of a subject that is judged.
    pub sets_min: u32,
}

/// Name of the model and its constants; changes whenever a verdict could.
pub const MODEL: &str = "fluxtap-1.0";

impl Default for Policy {
    fn default() -> Self {
        Self {
            thresholds: [Score(110), Score(140), Score(180)],
            addresses_min: 5,
            refreshes_min: 3,
            sets_min: 2,
        }
    }
}

/// Points in tenths: sums are exact, so what is printed adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(pub i32);

impl Score {
    /// Rounds to tenths, halves away from zero.
    #[must_use]
    pub fn of(points: f64) -> Self {
        Self(libm::round(points * 10.0) as i32)
    }

    /// The value in points.
    #[must_use]
    pub fn points(self) -> f64 {
        f64::from(self.0) / 10.0
    }

    /// The score on the fixed scale from 0 to 100 that alerts carry as risk: 11, 14 and 18 points
    /// are 40, 60 and 80; linear between them, from 0 and up to 100 at 30 points.
    #[must_use]
    pub fn risk(self) -> f64 {
        const KNOTS: [(f64, f64); 5] =
            [(0.0, 0.0), (11.0, 40.0), (14.0, 60.0), (18.0, 80.0), (30.0, 100.0)];
        let points = self.points().clamp(0.0, 30.0);
        let risk = KNOTS.windows(2).find(|pair| points <= pair[1].0).map_or(100.0, |pair| {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            y0 + (points - x0) / (x1 - x0) * (y1 - y0)
        });
        libm::round(risk * 10.0) / 10.0
    }
}

/// How sure the finding is meant to make an operator; not how bad it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look.
    Low,
    /// Likely.
    Medium,
    /// Hardly anything else.
    High,
}

impl Severity {
    /// 1 low, 2 medium, 3 high.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What fluxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FluxKind {
    /// The addresses of the domain.
    Single,
    /// The addresses of the domain and of its name servers.
    Double,
}

impl FluxKind {
    /// The kind as alerts name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single_flux",
            Self::Double => "double_flux",
        }
    }
}

/// A term of the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
        }
    }
}

/// One printed term.
#[derive(Clone, Copy, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Sum of the terms' points.
    pub score: Score,
    /// What fluxes, if anything does.
    pub kind: FluxKind,
    /// The terms that are not zero, in a fixed order.
    pub terms: Vec<Term>,
    /// The gate g on diversity.
    pub openness_gate: f64,
    /// The factor q on everything that rests on diversity.
    pub ownership_factor: f64,
    /// Diversity alone would have alerted, ownership says a pool of volunteers or of one operator.
    pub is_pool: bool,
    /// Position in [`Features::subjects`] of what was judged.
    pub subject: usize,
    /// 0 to 1, two decimals; a fixed map of score and evidence, not calibrated yet.
    pub confidence: f64,
}

impl Verdict {
    /// The severity whose threshold the score reaches.
    #[must_use]
    pub fn severity(&self, policy: &Policy) -> Option<Severity> {
        let [low, medium, high] = policy.thresholds;
        match self.score {
            score if score >= high => Some(Severity::High),
            score if score >= medium => Some(Severity::Medium),
            score if score >= low => Some(Severity::Low),
            _ => None,
        }
    }
}

/// Judges a domain: the highest score of its subjects over all windows.
///
/// `None` if no subject has the evidence the policy asks for.
#[must_use]
pub fn judge(features: &Features, policy: &Policy) -> Option<Verdict> {
    let servers = features.servers.as_ref().map_or(0.0, |s| servers_points(s, features));
    let mut best: Option<Verdict> = None;
    for (index, subject) in features.subjects.iter().enumerate() {
        if (subject.addresses as usize) < policy.addresses_min
            || subject.refreshes < policy.refreshes_min
            || subject.sets < policy.sets_min
        {
            continue;
        }
        let verdict = judge_subject(subject, index, servers, features, policy);
        if best.as_ref().is_none_or(|b| verdict.score > b.score) {
            best = Some(verdict);
        }
    }
    best
}

fn judge_subject(
    subject: &Subject,
    index: usize,
    servers: f64,
    features: &Features,
    policy: &Policy,
) -> Verdict {
    let mixed = match features.history_mixed {
        _ if !features.has_table => 0.0,
        Some(whole) => subject.mixed.max(whole),
        None => subject.mixed,
    };
    let density = subject.density.max(features.history_density);
    let ownership = ownership_factor(subject, mixed, density);
    let gate = openness_gate(subject, mixed);
    let mut terms = subject_terms(subject, features, gate, ownership);
    let mut push = |id, value, reference, points| {
        terms.push(Term { id, value, reference, points: Score::of(points) });
    };
    if let Some(server) = &features.servers {
        push(TermId::Servers, f64::from(server.addresses), 6.0, servers);
    }
    push_counter_evidence(subject, features, &mut push);
    terms.retain(|term| term.points.0 != 0);
    let score = Score(terms.iter().map(|t| t.points.0).sum());
    let without_ownership: f64 =
        subject_terms(subject, features, gate, 1.0).iter().map(|t| t.points.points()).sum();
    Verdict {
        score,
        kind: if servers >= DOUBLE_FLUX_POINTS { FluxKind::Double } else { FluxKind::Single },
        openness_gate: round2(gate),
        ownership_factor: round2(ownership),
        is_pool: score < policy.thresholds[0]
            && mixed >= POOL_MIXED_MIN
            && without_ownership >= policy.thresholds[0].points(),
        subject: index,
        confidence: confidence(score, subject),
        terms,
    }
}

/// Points of the name-server term from which on the flux is double.
const DOUBLE_FLUX_POINTS: f64 = 2.5;

/// Mixed-ownership share from which on an open set counts as a pool.
const POOL_MIXED_MIN: f64 = 0.2;

/// The factor q: falls to 0.15 as hosting and education take a quarter of the known owners (a
/// volunteer pool), unless sets follow each other as flux does; and likewise as addresses lie in
/// blocks, which operators own and botnets do not.
fn ownership_factor(subject: &Subject, mixed: f64, density: f64) -> f64 {
    let pool = 0.85 * ((mixed - 0.10) / 0.14).clamp(0.0, 1.0) * (1.0 - subject.succession);
    let blocks =
        if subject.addresses >= 6 { 0.85 * ((density - 1.25) / 0.75).clamp(0.0, 1.0) } else { 0.0 };
    (1.0 - pool) * (1.0 - blocks)
}

/// The gate g: how far the set is open. Undecided while there are few refreshes; nearly shut when
/// nobody was seen to be given something new; held open by a snapshot that no operator owns.
fn openness_gate(subject: &Subject, mixed: f64) -> f64 {
    let mut gate =
        if subject.refreshes < 5 { 0.7 } else { (0.25 + 0.75 * subject.openness).clamp(0.25, 1.0) };
    if subject.replaced < 2 {
        gate = gate.min(0.3);
    }
    if subject.has_snapshot && mixed < 0.12 {
        gate = gate.max(0.6);
    }
    gate
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
    if subject.refreshes >= 5 {
        push(TermId::Replacement, subject.openness, 0.0, ownership * 4.0 * subject.openness);
    }
    if subject.has_snapshot {
        push(TermId::Snapshot, 1.0, 0.0, ownership * 3.0);
    }
    let known = f64::from(spread.access + spread.hosting + spread.education);
    if known > 0.0 {
        let share = f64::from(spread.access) / known;
        let weight = (1.2 * known / networks.max(1.0)).min(1.0);
        push(TermId::AccessShare, share, 0.5, (8.0 * (share - 0.5)).clamp(-4.0, 4.0) * weight);
    }
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
    if spread.asns == 1 && spread.owned == spread.networks && spread.access == 0 {
        push(TermId::OneOwner, 1.0, 1.0, -4.0);
    }
    if let Some(old_share) = subject.old_share {
        push(TermId::Longevity, round2(old_share), 0.0, -4.0 * old_share);
    }
    let networks_in = |window_s: u32| {
        let of_subject = features.subjects.iter().filter(|s| s.index == subject.index);
        of_subject.filter(|s| s.window_s <= window_s).map(|s| s.spread.networks).max()
    };
    if features.age_s >= 3 * 86_400
        && !features.is_history_cut
        && let (Some(week), Some(day)) = (networks_in(604_800), networks_in(86_400))
        && f64::from(week) < 1.3 * f64::from(day)
    {
        push(TermId::StaticPool, f64::from(week) / f64::from(day.max(1)), 1.3, -4.0);
    }
}

/// The name-server term: the servers' addresses are scored by the same formula, and what is above
/// six points counts half, up to five.
fn servers_points(servers: &ServerEvidence, features: &Features) -> f64 {
    let of_servers = Features {
        history_density: servers.history_density,
        history_mixed: None,
        has_table: features.has_table,
        ..Features::default()
    };
    let best = servers
        .subjects
        .iter()
        .map(|subject| {
            let mixed = if features.has_table { subject.mixed } else { 0.0 };
            let density = subject.density.max(servers.history_density);
            let ownership = ownership_factor(subject, mixed, density);
            let gate = openness_gate(subject, mixed);
            let terms = subject_terms(subject, &of_servers, gate, ownership);
            terms.iter().filter(|t| t.id != TermId::Ttl).map(|t| t.points.points()).sum::<f64>()
        })
        .fold(0.0, f64::max);
    ((best - 6.0) / 2.0).clamp(0.0, 5.0)
}

/// A fixed map, not a calibrated probability: a logistic curve in the score, less while there are
/// few changes to go by.
fn confidence(score: Score, subject: &Subject) -> f64 {
    let by_score = 1.0 / (1.0 + libm::exp(-(score.points() - 11.0) / 3.0));
    let by_evidence = (0.7 + 0.05 * f64::from(subject.changes)).min(1.0);
    round2((by_score * by_evidence).min(0.99))
}

fn round2(value: f64) -> f64 {
    libm::round(value * 100.0) / 100.0
}
