//! The life of an alert: hysteresis, revisions, closing and reopening.

use fluxtap_flux::{Policy, Score, Severity, Verdict};
use fluxtap_wire::Timestamp;
use sha2::{Digest, Sha256};

/// A score this far above a threshold opens at once, in tenths of a point.
const SURE_MARGIN: i32 = 40;

/// A score this far below the threshold takes a pending opening back.
const DOUBT_MARGIN: i32 = 20;

/// Two judgements that open together lie at least this far apart, in seconds.
const CONFIRM_S: u64 = 60;

/// Least time between two `flux-ongoing` lines of one alert, in seconds.
const UPDATE_S: u64 = 900;

/// An alert whose domain was not seen in flux for this long has ended, in seconds.
pub(crate) const QUIET_S: u64 = 86_400;

/// A domain that fluxes again within this time of its end keeps its alert id, in seconds.
const REOPEN_S: u64 = 86_400;

/// What a line says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The alert opened.
    New,
    /// It goes on and something material changed.
    Ongoing,
    /// It ended.
    Ended(CloseReason),
    /// It began again within a day of its end.
    Reopened,
}

impl Action {
    /// As alerts name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "flux-new",
            Self::Ongoing => "flux-ongoing",
            Self::Ended(_) => "flux-ended",
            Self::Reopened => "flux-reopened",
        }
    }

    /// The state the alert is in behind it.
    #[must_use]
    pub const fn state(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ongoing => "ongoing",
            Self::Ended(_) => "ended",
            Self::Reopened => "reopened",
        }
    }
}

/// Why an alert ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// No flux for a day.
    Quiet,
    /// The domain's state had to make room.
    Evicted,
}

impl CloseReason {
    /// As alerts name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Evicted => "evicted",
        }
    }
}

/// The stage a domain's alert is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Never alerted, or forgotten.
    Quiet,
    /// One judgement was above the threshold; a second must confirm it.
    Pending { since: Timestamp },
    /// An alert is open.
    Open,
    /// It was closed.
    Closed { at: Timestamp },
}

/// A line to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What happened.
    pub action: Action,
    /// The severity of the alert.
    pub severity: Severity,
    /// The score from which on it has that severity.
    pub threshold: Score,
}

/// The alert of one domain.
///
/// Its id is `fx-` and 20 hexadecimal digits of the SHA-256 of schema major, domain and opening
/// time in milliseconds, joined by `|`; so neither the sensor nor the kind, which settles late,
/// changes it.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    stage: Stage,
    id: String,
    revision: u32,
    opened: Timestamp,
    told: Told,
    /// When a judgement last reached the lowest threshold.
    fluxed: Timestamp,
}

/// What the last line said, to know what is material.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Timestamp,
    severity: Severity,
    kind: fluxtap_flux::FluxKind,
    networks: f64,
}

/// Schema major version that goes into the id.
const SCHEMA_MAJOR: &str = "1";

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            stage: Stage::Quiet,
            id: String::new(),
            revision: 0,
            opened: Timestamp::default(),
            told: Told {
                at: Timestamp::default(),
                severity: Severity::Low,
                kind: fluxtap_flux::FluxKind::Single,
                networks: 0.0,
            },
            fluxed: Timestamp::default(),
        }
    }
}

impl Lifecycle {
    /// Takes a judgement at event time `at`; a line to be written, if there is one.
    ///
    /// An alert opens at once at a threshold plus 4 points, or when two judgements a minute apart
    /// reach the threshold with none more than 2 points below it between them.
    pub fn judged(
        &mut self,
        at: Timestamp,
        domain: &[u8],
        verdict: &Verdict,
        policy: &Policy,
    ) -> Option<Step> {
        let lowest = policy.thresholds[0];
        let severity = verdict.severity(policy);
        if severity.is_some() {
            self.fluxed = self.fluxed.max(at);
        }
        match (self.stage, severity) {
            (Stage::Open, Some(severity)) => self.ongoing(at, severity, verdict, policy),
            (Stage::Open, None) => None,
            (_, None) => {
                let is_doubt = verdict.score.0 < lowest.0 - DOUBT_MARGIN;
                if matches!(self.stage, Stage::Pending { .. }) && is_doubt {
                    self.stage = self.before_pending();
                }
                None
            }
            (stage, Some(severity)) => {
                let is_sure = verdict.score.0 >= lowest.0 + SURE_MARGIN;
                let since = match stage {
                    Stage::Pending { since } => since,
                    _ => at,
                };
                if is_sure || at.since(since) >= CONFIRM_S * Timestamp::SECOND {
                    Some(self.open(at, domain, severity, verdict, policy))
                } else {
                    self.stage = Stage::Pending { since };
                    None
                }
            }
        }
    }

    /// Ends the alert if its domain has been quiet for a day.
    pub fn ticked(&mut self, at: Timestamp, policy: &Policy) -> Option<Step> {
        let is_quiet = at.since(self.fluxed) >= QUIET_S * Timestamp::SECOND;
        (self.is_open() && is_quiet).then(|| self.end(at, CloseReason::Quiet, policy))
    }

    /// Ends the alert because its state was evicted.
    pub fn evicted(&mut self, at: Timestamp, policy: &Policy) -> Option<Step> {
        self.is_open().then(|| self.end(at, CloseReason::Evicted, policy))
    }

    /// Whether an alert is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// Whether there is nothing left to remember at `at`: no open alert, none that could reopen,
    /// none pending.
    #[must_use]
    pub fn is_forgettable(&self, at: Timestamp) -> bool {
        match self.stage {
            Stage::Quiet => true,
            Stage::Open => false,
            Stage::Pending { since } => {
                let closed_long = at.since(self.told.at) >= REOPEN_S * Timestamp::SECOND;
                closed_long && at.since(since) >= QUIET_S * Timestamp::SECOND
            }
            Stage::Closed { at: closed } => at.since(closed) >= REOPEN_S * Timestamp::SECOND,
        }
    }

    /// When the alert will end unless its domain fluxes again; `None` if none is open.
    #[must_use]
    pub const fn quiet_at(&self) -> Option<Timestamp> {
        if self.is_open() { Some(self.fluxed.plus_secs(QUIET_S)) } else { None }
    }

    /// The alert's id, empty before it first opened.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Lines written of this alert.
    #[must_use]
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// When it was opened.
    #[must_use]
    pub const fn opened(&self) -> Timestamp {
        self.opened
    }

    /// When it was closed, if it is.
    #[must_use]
    pub const fn closed(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Closed { at } => Some(at),
            _ => None,
        }
    }

    /// The severity the last line said.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.told.severity
    }

    fn open(
        &mut self,
        at: Timestamp,
        domain: &[u8],
        severity: Severity,
        verdict: &Verdict,
        policy: &Policy,
    ) -> Step {
        let is_again = self.revision > 0 && at.since(self.told.at) < REOPEN_S * Timestamp::SECOND;
        if !is_again {
            self.id = alert_id(domain, at);
            self.opened = at;
            self.revision = 0;
        }
        self.stage = Stage::Open;
        let action = if is_again { Action::Reopened } else { Action::New };
        self.tell(at, severity, verdict);
        step(action, severity, policy)
    }

    /// A line when something material changed: a higher severity or another kind at once, twice
    /// the networks after a quarter of an hour.
    fn ongoing(
        &mut self,
        at: Timestamp,
        severity: Severity,
        verdict: &Verdict,
        policy: &Policy,
    ) -> Option<Step> {
        let severity = severity.max(self.told.severity);
        let is_due = at.since(self.told.at) >= UPDATE_S * Timestamp::SECOND;
        let has_risen = severity > self.told.severity;
        let has_turned = verdict.kind > self.told.kind;
        let has_grown = networks(verdict) >= 2.0 * self.told.networks;
        if has_risen || (is_due && (has_turned || has_grown)) {
            self.tell(at, severity, verdict);
            return Some(step(Action::Ongoing, severity, policy));
        }
        None
    }

    fn end(&mut self, at: Timestamp, reason: CloseReason, policy: &Policy) -> Step {
        self.stage = Stage::Closed { at };
        self.revision += 1;
        self.told.at = at;
        step(Action::Ended(reason), self.told.severity, policy)
    }

    fn tell(&mut self, at: Timestamp, severity: Severity, verdict: &Verdict) {
        self.revision += 1;
        self.told = Told { at, severity, kind: verdict.kind, networks: networks(verdict) };
    }

    fn before_pending(&self) -> Stage {
        if self.revision > 0 { Stage::Closed { at: self.told.at } } else { Stage::Quiet }
    }
}

const fn step(action: Action, severity: Severity, policy: &Policy) -> Step {
    Step { action, severity, threshold: policy.thresholds[severity as usize] }
}

fn networks(verdict: &Verdict) -> f64 {
    let term = verdict.terms.iter().find(|t| t.id == fluxtap_flux::TermId::Networks);
    term.map_or(0.0, |t| t.value)
}

fn alert_id(domain: &[u8], opened: Timestamp) -> String {
    use std::fmt::Write as _;
    let name = fluxtap_wire::name::WireText(domain);
    let text = format!("{SCHEMA_MAJOR}|{name}|{}", opened.millis());
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(10).fold("fx-".to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}
