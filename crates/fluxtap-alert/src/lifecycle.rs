//! The life of an alert: hysteresis, revisions, closing and reopening.

use fluxtap_flux::{Policy, Score, Severity, Verdict};
use fluxtap_wire::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An alert whose domain was not seen in flux for this long has ended, in seconds.
pub(crate) const QUIET_S: u64 = 86_400;

/// A domain that fluxes again within this time of its end keeps its alert id, in seconds.
pub const REOPEN_S: u64 = 86_400;

/// What a line says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// The alert opened.
    New,
    /// It goes on and something material changed.
    Ongoing,
    /// It ended.
    Ended(CloseReason),
    /// It began again within a day of its end.
    Reopened,
    /// A list of what is bad names the domain, its names or its addresses. This is told once and
    /// has no life.
    Matched,
    /// A name of the domain went back and forth between addresses inside a network and outside. This
    /// is told once likewise.
    Rebound,
}

impl Action {
    /// Whether the line has a life of its own, with no further lines.
    #[must_use]
    pub const fn is_told_once(self) -> bool {
        matches!(self, Self::Matched | Self::Rebound)
    }

    /// As alerts name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "flux-new",
            Self::Ongoing => "flux-ongoing",
            Self::Ended(_) => "flux-ended",
            Self::Reopened => "flux-reopened",
            Self::Matched => "intel-match",
            Self::Rebound => "dns-rebinding",
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
            Self::Matched => "matched",
            Self::Rebound => "rebound",
        }
    }
}

/// Why an alert ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloseReason {
    /// No flux for a day.
    Quiet,
    /// The operator's allow list covers what was found.
    Allowlisted,
    /// The domain's state had to make room.
    Evicted,
    /// Its name servers are those of a sinkhole.
    Sinkholed,
}

impl CloseReason {
    /// As alerts name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Allowlisted => "allowlisted",
            Self::Evicted => "evicted",
            Self::Sinkholed => "sinkholed",
        }
    }
}

/// The stage a domain's alert is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A step in the life of an alert, and whether there is a line about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What happened.
    pub action: Action,
    /// The severity of the alert.
    pub severity: Severity,
    /// The score from which on it has that severity.
    pub threshold: Score,
    /// Whether the policy lets it be written; else it is only counted. An alert whose opening was
    /// written is written to its end.
    pub is_written: bool,
}

/// The alert of one domain.
///
/// Its id is `fx-` and 20 hexadecimal digits of the SHA-256 of schema major, domain and opening
/// time in milliseconds, joined by `|`; so neither the sensor nor the kind, which settles late,
/// changes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lifecycle {
    stage: Stage,
    id: String,
    revision: u32,
    opened: Timestamp,
    told: Told,
    /// How the open alert opened, until that is written.
    untold: Option<Action>,
    /// When a judgement last reached the lowest threshold.
    fluxed: Timestamp,
}

/// What the lines said so far, to know what is material.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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
            untold: None,
            fluxed: Timestamp::default(),
        }
    }
}

impl Lifecycle {
    /// Takes a judgement at event time `at`; what happens then, if anything does.
    ///
    /// An alert opens at once at the lowest threshold plus [`Policy::sure_margin`], or when two
    /// judgements [`Policy::confirm_s`] apart reach the threshold with none more than
    /// [`Policy::doubt_margin`] below it between them. What the policy does not let be written
    /// opens all the same; it is written as opened when it comes to be.
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
                let is_doubt = verdict.score.0 < lowest.0 - policy.doubt_margin.0;
                if matches!(self.stage, Stage::Pending { .. }) && is_doubt {
                    self.stage = self.before_pending();
                }
                None
            }
            (stage, Some(severity)) => {
                let is_sure = verdict.score.0 >= lowest.0 + policy.sure_margin.0;
                let since = match stage {
                    Stage::Pending { since } => since,
                    _ => at,
                };
                if is_sure || at.since(since) >= policy.confirm_s * Timestamp::SECOND {
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

    /// What was found is covered by an allow list: ends the alert if it is open, and takes a pending
    /// opening back.
    pub fn allowlisted(&mut self, at: Timestamp, policy: &Policy) -> Option<Step> {
        if matches!(self.stage, Stage::Pending { .. }) {
            self.stage = self.before_pending();
        }
        self.is_open().then(|| self.end(at, CloseReason::Allowlisted, policy))
    }

    /// The domain was taken over: ends the alert if it is open, and takes a pending opening back.
    pub fn sinkholed(&mut self, at: Timestamp, policy: &Policy) -> Option<Step> {
        if matches!(self.stage, Stage::Pending { .. }) {
            self.stage = self.before_pending();
        }
        self.is_open().then(|| self.end(at, CloseReason::Sinkholed, policy))
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

    /// Whether a judgement reached the threshold that a second one has to confirm.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self.stage, Stage::Pending { .. })
    }

    /// Whether an alert is open of which there is no line.
    #[must_use]
    pub const fn is_untold(&self) -> bool {
        self.is_open() && self.untold.is_some()
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

    /// When a judgement last found flux.
    #[must_use]
    pub const fn fluxed(&self) -> Timestamp {
        self.fluxed
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
        self.untold = Some(action);
        self.tell(at, severity, verdict, policy, action)
    }

    /// A step when something material changed: a higher severity at once; a worse kind or twice the
    /// networks no sooner than [`Policy::update_s`] after the last line.
    fn ongoing(
        &mut self,
        at: Timestamp,
        severity: Severity,
        verdict: &Verdict,
        policy: &Policy,
    ) -> Option<Step> {
        let severity = severity.max(self.told.severity);
        let is_due = at.since(self.told.at) >= policy.update_s * Timestamp::SECOND;
        let has_risen = severity > self.told.severity;
        let has_turned = verdict.kind > self.told.kind;
        let networks = networks(verdict);
        let has_grown = networks > 0.0 && networks >= 2.0 * self.told.networks;
        // An opening that was not written waits for nothing but to be one that is.
        let is_opening = self.untold.is_some() && policy.is_written(verdict.kind, severity);
        if !is_opening && !has_risen && !(is_due && (has_turned || has_grown)) {
            return None;
        }
        // What was said once stays said: another window or subject with fewer networks, or without
        // that term, must not make the same news again.
        let said = self.told;
        let step = self.tell(at, severity, verdict, policy, Action::Ongoing);
        self.told.kind = self.told.kind.max(said.kind);
        self.told.networks = self.told.networks.max(said.networks);
        Some(step)
    }

    fn end(&mut self, at: Timestamp, reason: CloseReason, policy: &Policy) -> Step {
        self.stage = Stage::Closed { at };
        // The end of what nobody was told of is no news.
        let is_written = self.untold.take().is_none();
        self.revision += u32::from(is_written);
        self.told.at = at;
        let severity = self.told.severity;
        let threshold = policy.thresholds[severity as usize];
        Step { action: Action::Ended(reason), severity, threshold, is_written }
    }

    /// Notes what a line says, or would say.
    fn tell(
        &mut self,
        at: Timestamp,
        severity: Severity,
        verdict: &Verdict,
        policy: &Policy,
        action: Action,
    ) -> Step {
        self.told = Told { at, severity, kind: verdict.kind, networks: networks(verdict) };
        let is_written = policy.is_written(verdict.kind, severity);
        let mut action = action;
        if is_written {
            self.revision += 1;
            action = self.untold.take().unwrap_or(action);
        }
        Step { action, severity, threshold: policy.thresholds[severity as usize], is_written }
    }

    fn before_pending(&self) -> Stage {
        if self.revision > 0 { Stage::Closed { at: self.told.at } } else { Stage::Quiet }
    }
}

/// Networks that score; 0 where they give no points, for then the term is not there.
fn networks(verdict: &Verdict) -> f64 {
    let term = verdict.terms.iter().find(|t| t.id == fluxtap_flux::TermId::Networks);
    term.map_or(0.0, |t| t.value)
}

/// The id of a line that tells of a hit in a list alone, of the same form: made of schema major,
/// domain, beginning of the day (UTC) in milliseconds and the word `intel`, so that it is not that of
/// an alert of flux, and the same if a sensor that was started anew tells the same day of it again.
#[must_use]
pub fn match_id(domain: &[u8], at: Timestamp) -> String {
    daily_id(domain, at, "intel")
}

/// The id of a line that tells of rebinding alone, made likewise with the word `rebinding`.
#[must_use]
pub fn rebinding_id(domain: &[u8], at: Timestamp) -> String {
    daily_id(domain, at, "rebinding")
}

fn daily_id(domain: &[u8], at: Timestamp, word: &str) -> String {
    const DAY_MS: u64 = 86_400_000;
    let name = fluxtap_wire::name::WireText(domain);
    let day_ms = at.millis() / DAY_MS * DAY_MS;
    hashed_id("fx-", &format!("{SCHEMA_MAJOR}|{name}|{day_ms}|{word}"))
}

/// The id of a campaign, `fc-` and 20 digits made likewise of the domain whose alert opened first,
/// with the word `campaign`.
#[must_use]
pub fn campaign_id(domain: &[u8], opened: Timestamp) -> String {
    let name = fluxtap_wire::name::WireText(domain);
    hashed_id("fc-", &format!("{SCHEMA_MAJOR}|{name}|{}|campaign", opened.millis()))
}

fn alert_id(domain: &[u8], opened: Timestamp) -> String {
    let name = fluxtap_wire::name::WireText(domain);
    hashed_id("fx-", &format!("{SCHEMA_MAJOR}|{name}|{}", opened.millis()))
}

fn hashed_id(prefix: &str, text: &str) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(10).fold(prefix.to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fluxtap_flux::{FluxKind, Term, TermId};

    const DAY_S: u64 = 86_400;
    const DOMAIN: &[u8] = b"\x04flux\x04test\x00";

    /// What a script does at a second.
    enum Do {
        /// A judgement with a score in tenths, of single flux over ten networks.
        Score(i32),
        /// The same, of a kind and over as many networks; 0 for a verdict without that term.
        Judge(i32, FluxKind, f64),
        /// Time passes.
        Tick,
        /// The domain's state makes room.
        Evict,
        /// An allow list covers what was found.
        Allow,
    }
    use Do::{Allow, Evict, Judge, Score as Scored, Tick};

    fn verdict(score: i32, kind: FluxKind, networks: f64) -> Verdict {
        let networks_term = Term {
            id: TermId::Networks,
            value: networks,
            reference: 4.0,
            points: Score(if networks > 4.0 { 10 } else { 0 }),
        };
        Verdict {
            score: Score(score),
            kind,
            terms: if networks > 4.0 { vec![networks_term] } else { vec![] },
            openness_gate: 1.0,
            ownership_factor: 1.0,
            pool: None,
            subject: 0,
            likelihood_ratio: 9_000.0,
            confidence: 0.9,
        }
    }

    fn apply(life: &mut Lifecycle, at: Timestamp, what: &Do, policy: &Policy) -> Option<Step> {
        let (score, kind, networks) = match *what {
            Tick => return life.ticked(at, policy),
            Evict => return life.evicted(at, policy),
            Allow => return life.allowlisted(at, policy),
            Scored(score) => (score, FluxKind::Single, 10.0),
            Judge(score, kind, networks) => (score, kind, networks),
        };
        life.judged(at, DOMAIN, &verdict(score, kind, networks), policy)
    }

    fn check(name: &str, script: &[(u64, Do, &str)]) -> Lifecycle {
        check_by(&Policy::default(), name, script)
    }

    /// Runs a script and compares what happened, as `action severity`, in brackets if it is not
    /// written, or an empty text.
    fn check_by(policy: &Policy, name: &str, script: &[(u64, Do, &str)]) -> Lifecycle {
        let mut life = Lifecycle::default();
        let mut revision = 0;
        for (index, (at_s, what, expect)) in script.iter().enumerate() {
            let at = Timestamp::from_secs(1_000_000 + at_s);
            let step = apply(&mut life, at, what, policy);
            let got = step.map_or_else(String::new, |step| {
                let threshold = policy.thresholds[step.severity as usize];
                assert_eq!(step.threshold, threshold, "{name}, row {index}: threshold");
                assert_eq!(life.severity(), step.severity, "{name}, row {index}: severity");
                let words = format!("{} {}", step.action.as_str(), step.severity.as_str());
                if step.is_written { words } else { format!("({words})") }
            });
            assert_eq!(got, *expect, "{name}, row {index}");
            match step.filter(|s| s.is_written).map(|s| s.action) {
                None => {}
                Some(Action::New) => revision = 1,
                Some(_) => revision += 1,
            }
            assert_eq!(life.revision(), revision, "{name}, row {index}: revision");
            let is_closed_now = matches!(step.map(|s| s.action), Some(Action::Ended(_)));
            assert_eq!(life.closed() == Some(at), is_closed_now, "{name}, row {index}: closed");
        }
        life
    }

    #[test]
    fn opening() {
        check("4 points above the threshold are enough", &[(0, Scored(150), "flux-new medium")]);
        check("a tenth less is not", &[(0, Scored(149), ""), (59, Scored(149), "")]);
        check("far above", &[(0, Scored(300), "flux-new high")]);
        check(
            "at the threshold twice",
            &[(0, Scored(110), ""), (59, Scored(110), ""), (60, Scored(110), "flux-new low")],
        );
        check(
            "the second may come late",
            &[(0, Scored(110), ""), (40_000, Scored(111), "flux-new low")],
        );
        check(
            "a sure one need not wait",
            &[(0, Scored(110), ""), (1, Scored(180), "flux-new high")],
        );
        check(
            "below the threshold nothing opens",
            &[(0, Scored(109), ""), (600, Scored(109), ""), (1_200, Tick, ""), (1_300, Evict, "")],
        );
    }

    #[test]
    fn doubt_takes_a_pending_opening_back() {
        check(
            "2 points below leave it pending",
            &[(0, Scored(110), ""), (30, Scored(90), ""), (60, Scored(110), "flux-new low")],
        );
        check(
            "a tenth more takes it back",
            &[
                (0, Scored(110), ""),
                (30, Scored(89), ""),
                (60, Scored(110), ""),
                (120, Scored(110), "flux-new low"),
            ],
        );
    }

    #[test]
    fn ongoing_is_said_rarely() {
        use FluxKind::{Double, Single};
        check(
            "the same again is no news",
            &[(0, Scored(200), "flux-new high"), (900, Scored(200), ""), (9_000, Scored(290), "")],
        );
        check(
            "a higher severity is said at once, a lower one never",
            &[
                (0, Judge(150, Single, 10.0), "flux-new medium"),
                (1, Judge(180, Single, 10.0), "flux-ongoing high"),
                (2_000, Judge(120, Single, 10.0), ""),
                (4_000, Judge(180, Single, 10.0), ""),
            ],
        );
        check(
            "twice the networks, after a quarter of an hour",
            &[
                (0, Judge(200, Single, 10.0), "flux-new high"),
                (899, Judge(200, Single, 20.0), ""),
                (900, Judge(200, Single, 19.0), ""),
                (901, Judge(200, Single, 20.0), "flux-ongoing high"),
                (1_800, Judge(200, Single, 40.0), ""),
                (1_801, Judge(200, Single, 40.0), "flux-ongoing high"),
            ],
        );
        check(
            "double flux, after a quarter of an hour",
            &[
                (0, Judge(200, Single, 10.0), "flux-new high"),
                (10, Judge(200, Double, 10.0), ""),
                (900, Judge(200, Double, 10.0), "flux-ongoing high"),
                (1_800, Judge(200, Single, 10.0), ""),
                (2_700, Judge(200, Double, 10.0), ""),
            ],
        );
        check(
            "a verdict without the networks term has not grown",
            &[
                (0, Judge(200, Single, 0.0), "flux-new high"),
                (900, Judge(200, Single, 0.0), ""),
                (1_800, Judge(200, Single, 0.0), ""),
                (2_700, Judge(200, Single, 6.0), "flux-ongoing high"),
            ],
        );
        check(
            "what was said stays said",
            &[
                (0, Judge(150, Double, 40.0), "flux-new medium"),
                (10, Judge(200, Single, 0.0), "flux-ongoing high"),
                (2_000, Judge(200, Double, 40.0), ""),
                (3_000, Judge(200, Double, 80.0), "flux-ongoing high"),
            ],
        );
    }

    #[test]
    fn an_alert_ends_after_a_quiet_day() {
        let life = check(
            "quiet",
            &[
                (0, Scored(200), "flux-new high"),
                (100, Scored(120), ""),
                // Below the threshold: seen, but not in flux.
                (5_000, Scored(60), ""),
                (DAY_S + 99, Tick, ""),
                (DAY_S + 100, Tick, "flux-ended high"),
                (DAY_S + 101, Tick, ""),
            ],
        );
        assert!(!life.is_open());
        assert_eq!(life.quiet_at(), None);
        check("evicted", &[(0, Scored(200), "flux-new high"), (7, Evict, "flux-ended high")]);
        let reasons = [CloseReason::Quiet, CloseReason::Allowlisted, CloseReason::Evicted];
        assert_eq!(reasons.map(CloseReason::as_str), ["quiet", "allowlisted", "evicted"]);
    }

    #[test]
    fn what_an_allow_list_covers_ends_and_opens_nothing() {
        check(
            "open",
            &[
                (0, Scored(200), "flux-new high"),
                (100, Allow, "flux-ended high"),
                (200, Allow, ""),
                // The entry has expired.
                (300, Scored(200), "flux-reopened high"),
            ],
        );
        check(
            "pending",
            &[
                (0, Scored(110), ""),
                (30, Allow, ""),
                (60, Scored(110), ""),
                (119, Scored(110), ""),
                (120, Scored(110), "flux-new low"),
            ],
        );
    }

    #[test]
    fn what_is_below_the_written_severity_is_followed_and_told_when_it_rises() {
        let policy = Policy { severity_min: Severity::Medium, ..Policy::default() };
        let life = check_by(
            &policy,
            "rises",
            &[
                (0, Scored(110), ""),
                (60, Scored(110), "(flux-new low)"),
                (100, Scored(150), "flux-new medium"),
                (200, Scored(110), ""),
                (300, Scored(200), "flux-ongoing high"),
                (DAY_S + 300, Tick, "flux-ended high"),
                // Reopened below, and risen later.
                (DAY_S + 400, Scored(110), ""),
                (DAY_S + 460, Scored(110), "(flux-reopened low)"),
                (DAY_S + 500, Scored(180), "flux-reopened high"),
            ],
        );
        assert_eq!(life.opened().secs(), 1_000_060, "opened when it was found, not when told");
        let life = check_by(
            &policy,
            "ends without a word",
            &[
                (0, Scored(110), ""),
                (60, Scored(110), "(flux-new low)"),
                (DAY_S + 60, Tick, "(flux-ended low)"),
                (DAY_S + 100, Scored(150), "flux-new medium"),
            ],
        );
        assert_eq!(life.opened().secs(), 1_000_100 + DAY_S, "nobody was told of the first");
    }

    #[test]
    fn a_kind_that_is_off_is_followed_and_told_when_it_turns() {
        use FluxKind::{Double, Single};
        check_by(
            &Policy { kinds: FluxKind::ALL.map(|k| k != Single), ..Policy::default() },
            "single flux off",
            &[
                (0, Judge(200, Single, 10.0), "(flux-new high)"),
                (900, Judge(200, Single, 20.0), "(flux-ongoing high)"),
                (1_000, Judge(200, Double, 20.0), "flux-new high"),
                (1_100, Evict, "flux-ended high"),
            ],
        );
        check_by(
            &Policy { kinds: FluxKind::ALL.map(|k| k != Double), ..Policy::default() },
            "double flux off: what was told is told to its end",
            &[
                (0, Judge(150, Single, 10.0), "flux-new medium"),
                (900, Judge(200, Double, 10.0), "(flux-ongoing high)"),
                (1_000, Evict, "flux-ended high"),
            ],
        );
    }

    #[test]
    fn hysteresis_and_the_pause_between_lines_are_the_policys() {
        let policy = Policy {
            sure_margin: Score(100),
            doubt_margin: Score(0),
            confirm_s: 10,
            update_s: 60,
            ..Policy::default()
        };
        check_by(
            &policy,
            "own margins",
            &[
                (0, Scored(200), ""),
                (5, Scored(109), ""),
                (10, Scored(200), ""),
                (20, Scored(200), "flux-new high"),
                (79, Judge(200, FluxKind::Double, 10.0), ""),
                (80, Judge(200, FluxKind::Double, 10.0), "flux-ongoing high"),
            ],
        );
        check_by(&policy, "sure", &[(0, Scored(210), "flux-new high")]);
    }

    #[test]
    fn an_open_alert_says_when_it_will_end() {
        let life = check("open", &[(0, Scored(200), "flux-new high"), (50, Scored(115), "")]);
        assert_eq!(life.quiet_at(), Some(Timestamp::from_secs(1_000_050 + DAY_S)));
    }

    #[test]
    fn flux_within_a_day_of_the_end_keeps_the_id() {
        let end_s = DAY_S;
        let script = |again_s| {
            let action = if again_s < end_s + DAY_S { "flux-reopened low" } else { "flux-new low" };
            [
                (0, Scored(200), "flux-new high"),
                (end_s, Tick, "flux-ended high"),
                (again_s - 60, Scored(110), ""),
                (again_s, Scored(110), action),
            ]
        };
        let first = check("opened", &script(end_s + 61)[..1]);
        let again = check("within a day", &script(end_s + DAY_S - 1));
        assert_eq!((again.id(), again.revision()), (first.id(), 3));
        assert_eq!(again.opened(), first.opened());
        let later = check("a day later", &script(end_s + DAY_S));
        assert_ne!(later.id(), first.id());
        assert_eq!((later.revision(), later.opened().secs()), (1, 1_000_000 + end_s + DAY_S));
    }

    #[test]
    fn a_doubted_reopening_leaves_the_alert_closed() {
        let life = check(
            "doubt",
            &[
                (0, Scored(200), "flux-new high"),
                (10, Evict, "flux-ended high"),
                (20, Scored(110), ""),
                (30, Scored(50), ""),
                (90, Scored(110), ""),
                (100, Scored(50), ""),
            ],
        );
        assert_eq!(life.closed(), Some(Timestamp::from_secs(1_000_010)));
    }

    #[test]
    fn the_id_is_made_of_domain_and_opening_time_alone() {
        let open = |at_ms: u64, domain: &[u8], score, kind| {
            let at = Timestamp(at_ms * 1_000_000);
            let mut life = Lifecycle::default();
            life.judged(at, domain, &verdict(score, kind, 10.0), &Policy::default());
            life.id().to_owned()
        };
        let id = open(1_764_000_000_123, DOMAIN, 200, FluxKind::Single);
        // printf '1|flux.test|1764000000123' | sha256sum
        assert_eq!(id, "fx-ac298d8caa0f891f0853");
        assert_eq!(id, open(1_764_000_000_123, DOMAIN, 160, FluxKind::Double));
        assert_ne!(id, open(1_764_000_000_124, DOMAIN, 200, FluxKind::Single));
        assert_ne!(id, open(1_764_000_000_123, b"\x04flax\x04test\x00", 200, FluxKind::Single));
    }

    #[test]
    fn what_may_be_forgotten() {
        let at = |s| Timestamp::from_secs(1_000_000 + s);
        assert!(Lifecycle::default().is_forgettable(at(0)));
        let open = check("open", &[(0, Scored(200), "flux-new high")]);
        assert!(!open.is_forgettable(at(100 * DAY_S)));
        let closed =
            check("closed", &[(0, Scored(200), "flux-new high"), (5, Evict, "flux-ended high")]);
        assert!(!closed.is_forgettable(at(5 + DAY_S - 1)));
        assert!(closed.is_forgettable(at(5 + DAY_S)));
        let pending = check("pending", &[(0, Scored(110), "")]);
        assert!(!pending.is_forgettable(at(DAY_S - 1)));
        assert!(pending.is_forgettable(at(DAY_S)));
    }

    #[test]
    fn time_that_runs_back_opens_and_ends_nothing() {
        check(
            "back",
            &[
                (1_000, Scored(110), ""),
                (0, Scored(110), ""),
                (1_030, Scored(110), ""),
                (1_060, Scored(110), "flux-new low"),
                (0, Tick, ""),
                (0, Scored(200), "flux-ongoing high"),
            ],
        );
    }
}
