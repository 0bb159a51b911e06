//! What an operator may change: thresholds, hysteresis, floors, and what is written.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Name of the model and its constants; changes whenever a verdict could.
pub const MODEL: &str = "fluxtap-1.0";

/// When a finding becomes an alert, and which alerts are written. [`Policy::default`] is the model
/// [`MODEL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Scores that open an alert of low, medium and high severity.
    pub thresholds: [Score; 3],
    /// A score so far above the lowest threshold opens at once.
    pub sure_margin: Score,
    /// A score so far below it takes a pending opening back.
    pub doubt_margin: Score,
    /// Two judgements that open together lie at least so far apart, in seconds.
    pub confirm_s: u64,
    /// Fewest addresses of a subject that is judged.
    pub addresses_min: usize,
    /// Fewest cache fills of a subject that is judged.
    pub refreshes_min: u32,
    /// Fewest different address sets of a subject that is judged.
    pub sets_min: u32,
    /// Least time between two lines of one alert that goes on, in seconds; a higher severity does
    /// not wait.
    pub update_s: u64,
    /// Lowest severity that is written; below it alerts are followed and counted.
    pub severity_min: Severity,
    /// Which kinds are written, by position in [`FluxKind::ALL`]; the others are followed and
    /// counted.
    pub kinds: [bool; FluxKind::ALL.len()],
    /// How many of a hundred packets are lost at the moment. No setting, so no part of the model's
    /// name.
    pub lost_percent: u8,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            thresholds: [Score(110), Score(140), Score(180)],
            sure_margin: Score(40),
            doubt_margin: Score(20),
            confirm_s: 60,
            addresses_min: 5,
            refreshes_min: 3,
            sets_min: 2,
            update_s: 900,
            severity_min: Severity::Low,
            kinds: [true; FluxKind::ALL.len()],
            lost_percent: 0,
        }
    }
}

/// Longest pause between confirmation or lines that makes sense, in seconds: after a day of quiet
/// an alert has ended.
const PAUSE_S_MAX: u64 = 86_400;

/// Most packets of a hundred that are believed to be lost.
const LOST_PERCENT_MAX: u8 = 50;

/// Highest threshold that makes sense: a score hardly passes 35 points.
const THRESHOLD_MAX: Score = Score(1_000);

impl Policy {
    /// What is wrong with the values or contradicts, everything at once; empty if nothing is.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut expect = |is_met: bool, text: String| {
            if !is_met {
                mistakes.push(text);
            }
        };
        let [low, medium, high] = self.thresholds.map(Score::points);
        let is_rising = 0.0 < low && low <= medium && medium <= high;
        expect(
            is_rising && self.thresholds[2] <= THRESHOLD_MAX,
            format!(
                "thresholds: got low {low}, medium {medium}, high {high}, expected points above 0 \
                 that do not fall from low to high, at most {}",
                THRESHOLD_MAX.points()
            ),
        );
        expect(
            self.sure_margin.0 >= 0,
            format!("sure_margin: got {}, expected 0 points or more", self.sure_margin.points()),
        );
        expect(
            self.doubt_margin.0 >= 0 && self.doubt_margin < self.thresholds[0],
            format!(
                "doubt_margin: got {}, expected 0 points or more and less than the low threshold \
                 of {low}",
                self.doubt_margin.points()
            ),
        );
        for (name, pause_s) in [("confirm_s", self.confirm_s), ("update_s", self.update_s)] {
            expect(
                pause_s <= PAUSE_S_MAX,
                format!("{name}: got {pause_s} s, expected at most {PAUSE_S_MAX} s"),
            );
        }
        expect(
            self.addresses_min > 0 && self.refreshes_min > 0 && self.sets_min > 0,
            format!(
                "floors: got {} addresses, {} refreshes and {} sets, expected at least 1 of each",
                self.addresses_min, self.refreshes_min, self.sets_min
            ),
        );
        expect(
            self.kinds.contains(&true),
            "kinds: got all switched off, expected one that is written at least".to_owned(),
        );
        mistakes
    }

    /// What differs from the default and can change a verdict or when an alert opens, as names and
    /// values for [`model_id`]. What is only written or not is no part of the model.
    #[must_use]
    pub fn changes(&self) -> Vec<(&'static str, String)> {
        let values = |policy: &Self| {
            let [low, medium, high] = policy.thresholds.map(|t| t.points().to_string());
            [
                ("thresholds.low", low),
                ("thresholds.medium", medium),
                ("thresholds.high", high),
                ("sure_margin", policy.sure_margin.points().to_string()),
                ("doubt_margin", policy.doubt_margin.points().to_string()),
                ("confirm_s", policy.confirm_s.to_string()),
                ("addresses_min", policy.addresses_min.to_string()),
                ("refreshes_min", policy.refreshes_min.to_string()),
                ("sets_min", policy.sets_min.to_string()),
            ]
        };
        let default = values(&Self::default());
        values(self).into_iter().zip(default).filter(|(a, b)| a != b).map(|(a, _)| a).collect()
    }

    /// The same while so many of a hundred responses lack their query, which shows how much is lost,
    /// of responses as of queries. More than half is no loss: somebody sends what nobody asked for.
    #[must_use]
    pub fn under_loss(self, lacking_percent: Option<u8>) -> Self {
        let lost_percent = lacking_percent.filter(|&lost| lost <= LOST_PERCENT_MAX).unwrap_or(0);
        Self { lost_percent, ..self }
    }

    /// Fewest cache fills of a subject that is judged and of which one answer alone says much (a
    /// snapshot). A fill is seen where neither its query nor its response was lost, so of
    /// [`Policy::refreshes_min`] only as many are asked for as loss leaves, two at least.
    #[must_use]
    pub fn refreshes_of_snapshots_min(&self) -> u32 {
        let seen = u32::from(100_u8.saturating_sub(self.lost_percent));
        let left = self.refreshes_min.saturating_mul(seen * seen).div_ceil(10_000);
        left.max(2).min(self.refreshes_min)
    }

    /// Whether an alert of this kind and severity is written.
    #[must_use]
    pub fn is_written(&self, kind: FluxKind, severity: Severity) -> bool {
        severity >= self.severity_min && self.kinds[kind as usize]
    }
}

/// The name of the model with these settings changed: [`MODEL`] without any, else with `+` and 8
/// hexadecimal digits, the first of the SHA-256 of the lines `name=value`, sorted, each with its
/// line feed. The same changes give the same name everywhere.
#[must_use]
pub fn model_id(changes: &[(&str, String)]) -> String {
    if changes.is_empty() {
        return MODEL.to_owned();
    }
    let mut lines: Vec<String> = changes.iter().map(|(n, v)| format!("{n}={v}\n")).collect();
    lines.sort_unstable();
    let digest = Sha256::digest(lines.concat().as_bytes());
    digest.iter().take(4).fold(format!("{MODEL}+"), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// Points in tenths: sums are exact, so what is printed adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

    /// The lowest score whose risk is at least `risk`; 30 points for 100 and beyond.
    #[must_use]
    pub fn of_risk(risk: f64) -> Self {
        let scores = (0..300).map(Self);
        scores.into_iter().find(|score| score.risk() >= risk).unwrap_or(Self(300))
    }
}

/// How sure the finding is meant to make an operator; not how bad it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Worth a look.
    Low,
    /// Likely.
    Medium,
    /// Hardly anything else.
    High,
}

impl Severity {
    /// All of them, the lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

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

/// What fluxes; what says more about the domain is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FluxKind {
    /// The domain's one or few addresses, rented servers, each of which takes over from another.
    Rotation,
    /// The addresses of its name servers, and none of its own that we see.
    Servers,
    /// The addresses of the domain.
    Single,
    /// The addresses of the domain and of its name servers.
    Double,
    /// Nothing that was seen to: a list names the domain, its names or its addresses.
    Intel,
    /// A note and no flux: a name goes back and forth between addresses inside a network and outside.
    Rebinding,
}

impl FluxKind {
    /// All of them; the position is the kind as a number.
    pub const ALL: [Self; 6] =
        [Self::Rotation, Self::Servers, Self::Single, Self::Double, Self::Intel, Self::Rebinding];

    /// The words of all of them, in that order.
    pub const WORDS: [&str; Self::ALL.len()] = [
        Self::Rotation.as_str(),
        Self::Servers.as_str(),
        Self::Single.as_str(),
        Self::Double.as_str(),
        Self::Intel.as_str(),
        Self::Rebinding.as_str(),
    ];

    /// The kind as alerts name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rotation => "ip_rotation",
            Self::Servers => "ns_flux",
            Self::Single => "single_flux",
            Self::Double => "double_flux",
            Self::Intel => "intel_match",
            Self::Rebinding => "rebinding",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_named_by_what_was_changed() {
        let id = |change: fn(&mut Policy)| {
            let mut policy = Policy::default();
            change(&mut policy);
            model_id(&policy.changes())
        };
        assert_eq!(id(|_| ()), "fluxtap-1.0");
        // printf 'thresholds.low=12\n' | sha256sum
        let low = id(|p| p.thresholds[0] = Score(120));
        assert_eq!(low, "fluxtap-1.0+74866d1d");
        assert_eq!(low, id(|p| p.thresholds[0] = Score::of(12.0)));
        let mut others = std::collections::BTreeSet::from([MODEL.to_owned(), low]);
        let changes: [fn(&mut Policy); 9] = [
            |p| p.thresholds[0] = Score(121),
            |p| p.thresholds[1] = Score(120),
            |p| p.thresholds[2] = Score(120),
            |p| p.sure_margin = Score(20),
            |p| p.doubt_margin = Score(40),
            |p| p.confirm_s = 900,
            |p| p.addresses_min = 3,
            |p| p.refreshes_min = 5,
            |p| p.sets_min = 3,
        ];
        for (i, change) in changes.into_iter().enumerate() {
            assert!(others.insert(id(change)), "change {i} has the name of another");
        }
        // What is only written or not changes no verdict.
        assert_eq!(id(|p| p.severity_min = Severity::High), MODEL);
        assert_eq!(id(|p| p.kinds[0] = false), MODEL);
        assert_eq!(id(|p| p.update_s = 60), MODEL);
        // Names of settings elsewhere take part, in any order.
        let [a, b] = [("a", "1".to_owned()), ("b", "2".to_owned())];
        assert_eq!(model_id(&[a.clone(), b.clone()]), model_id(&[b, a]));
    }

    #[test]
    fn mistakes_are_found_all_at_once() {
        assert_eq!(Policy::default().mistakes(), Vec::<String>::new());
        let wrong = Policy {
            thresholds: [Score(150), Score(140), Score(180)],
            sure_margin: Score(-1),
            doubt_margin: Score(150),
            confirm_s: 86_401,
            update_s: 100_000,
            sets_min: 0,
            kinds: [false; FluxKind::ALL.len()],
            ..Policy::default()
        };
        let mistakes = wrong.mistakes();
        let names = ["thresholds", "sure_margin", "doubt_margin", "confirm_s", "update_s"];
        for (name, mistake) in names.into_iter().chain(["floors", "kinds"]).zip(&mistakes) {
            assert!(mistake.starts_with(&format!("{name}: got ")), "{name}: {mistake}");
            assert!(mistake.contains("expected "), "{mistake}");
        }
        assert_eq!(mistakes.len(), 7, "{mistakes:?}");
        let alone = |policy: Policy| policy.mistakes().len();
        assert_eq!(alone(Policy { thresholds: [Score(0); 3], ..Policy::default() }), 2);
        assert_eq!(alone(Policy { thresholds: [Score(110); 3], ..Policy::default() }), 0);
        let high = [Score(110), Score(140), Score(2_000)];
        assert_eq!(alone(Policy { thresholds: high, ..Policy::default() }), 1);
    }

    #[test]
    fn risk_is_a_fixed_map_of_the_score() {
        for (tenths, risk) in [
            (-50, 0.0),
            (0, 0.0),
            (110, 40.0),
            (140, 60.0),
            (180, 80.0),
            (300, 100.0),
            (400, 100.0),
        ] {
            assert!((Score(tenths).risk() - risk).abs() < 1e-9, "{tenths}");
        }
        for (risk, tenths) in [
            (0.0, 0),
            (40.0, 110),
            (40.1, 111),
            (60.0, 140),
            (80.0, 180),
            (100.0, 300),
            (200.0, 300),
        ] {
            assert_eq!(Score::of_risk(risk), Score(tenths), "{risk}");
        }
    }
}
