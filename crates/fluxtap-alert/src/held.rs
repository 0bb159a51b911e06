//! The line about alert lines that were not written because there were too many.

use crate::health::{SensorContext, write_fitted, write_sentence};
use crate::shape::{Decimal, Observer, Schema, Version};
use crate::words::{rfc3339, time};
use crate::{Action, Alert};
use fluxtap_flux::{Score, Severity};
use fluxtap_wire::Timestamp;
use fluxtap_wire::name::WireText;
use fluxtap_wire::shown::{NAME_COLUMNS_MAX, shown};
use serde::{Deserialize, Serialize};

/// Version of this line's schema: minor for an added field, major for one removed or retyped.
const SCHEMA_VERSION: &str = "1.0.0";

/// Most alerts that the line names.
pub const WORST_MAX: usize = 8;

/// How many lines there were, each counted once by severity and once by what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCounts {
    /// Low, medium, high.
    pub by_severity: [u64; 3],
    /// In the order of [`LineCounts::STATES`].
    pub by_state: [u64; 6],
}

impl LineCounts {
    /// What lines say, as [`Action::state`] names it.
    pub const STATES: [&'static str; 6] =
        ["new", "ongoing", "ended", "reopened", "matched", "rebound"];

    /// Counts a line.
    pub const fn note(&mut self, alert: &Alert) {
        let state = match alert.action {
            Action::New => 0,
            Action::Ongoing => 1,
            Action::Ended(_) => 2,
            Action::Reopened => 3,
            Action::Matched => 4,
            Action::Rebound => 5,
        };
        let severity = alert.severity as usize;
        self.by_severity[severity] = self.by_severity[severity].saturating_add(1);
        self.by_state[state] = self.by_state[state].saturating_add(1);
    }

    /// All of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.by_severity.iter().fold(0, |sum, lines| sum.saturating_add(*lines))
    }
}

/// An alert of which lines were held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAlert {
    /// Its id.
    pub id: String,
    /// Its domain, wire form.
    pub domain: Vec<u8>,
    /// The highest severity of those lines.
    pub severity: Severity,
    /// The highest score of them.
    pub score: Score,
    /// The campaign that the last of them named.
    pub campaign: Option<String>,
}

/// What was held back in a stretch of event time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// When this was told, in event time.
    pub at: Timestamp,
    /// Time of the first line of them.
    pub first: Timestamp,
    /// Time of the last.
    pub last: Timestamp,
    /// Lines that an hour may have.
    pub lines_max: u64,
    /// How many there were.
    pub counts: LineCounts,
    /// The alerts with the highest severity and score of which there were lines other than ends, at
    /// most [`WORST_MAX`]; of equal ones those that came first.
    pub worst: Vec<HeldAlert>,
}

impl HeldBack {
    /// Adds a line that is held back.
    pub fn note(&mut self, alert: &Alert) {
        if self.counts.sum() == 0 {
            self.first = alert.at;
        }
        self.last = alert.at;
        self.counts.note(alert);
        if matches!(alert.action, Action::Ended(_)) {
            return;
        }
        let (severity, score) = (alert.severity, alert.verdict.score);
        let campaign = alert.campaign.as_ref().map(|campaign| campaign.id.clone());
        match self.worst.iter_mut().find(|held| held.id == alert.id) {
            Some(held) => {
                held.severity = held.severity.max(severity);
                held.score = held.score.max(score);
                held.campaign = campaign;
            }
            None => {
                let (id, domain) = (alert.id.clone(), alert.evidence.domain.clone());
                self.worst.push(HeldAlert { id, domain, severity, score, campaign });
            }
        }
        // The sort is stable: of equal ones the first stay in front.
        self.worst.sort_by_key(|held| std::cmp::Reverse((held.severity, held.score)));
        self.worst.truncate(WORST_MAX);
    }
}

/// Appends the line to `out` as one JSON object and a line feed: ASCII, at most
/// [`crate::LINE_OCTETS_MAX`] bytes, and valid under [`crate::SCHEMA_JSON`]. It is written at
/// `created`.
pub fn write_held_back(
    held: &HeldBack,
    created: Timestamp,
    context: &SensorContext<'_>,
    out: &mut Vec<u8>,
) {
    write_fitted(held.worst.len(), |worst_max| line(held, created, context, worst_max), out);
}

/// Appends the same in a line for people.
pub fn write_held_back_text(held: &HeldBack, out: &mut Vec<u8>) {
    write_sentence(held.at, &message(held), out);
}

fn message(held: &HeldBack) -> String {
    let [low, medium, high] = held.counts.by_severity;
    let lines = match held.counts.sum() {
        1 => "1 alert line was".to_owned(),
        lines => format!("{lines} alert lines were"),
    };
    let worst = held.worst.first().map_or_else(String::new, |held| {
        let name = WireText(&held.domain).to_string();
        format!(", the worst {} ({})", shown(&name, NAME_COLUMNS_MAX), held.severity.as_str())
    });
    format!(
        "{lines} held back from {} to {}: {high} high, {medium} medium, {low} low{worst}; an hour \
         may have {} (alerts.per_hour), so raise that or alerts.min_severity if this is no attack",
        time(held.first.millis()),
        time(held.last.millis()),
        held.lines_max,
    )
}

fn line<'a>(
    held: &'a HeldBack,
    created: Timestamp,
    context: &SensorContext<'a>,
    worst_max: usize,
) -> Line<'a> {
    let [low, medium, high] = held.counts.by_severity;
    let [new, ongoing, ended, reopened, matched, rebound] = held.counts.by_state;
    let severity = match (low, medium, high) {
        (_, _, 1..) => Severity::High,
        (_, 1.., _) => Severity::Medium,
        _ => Severity::Low,
    };
    Line {
        timestamp: rfc3339(held.at.millis()),
        ecs: Version { version: "8.11.0" },
        message: message(held),
        event: Event {
            kind: "event",
            category: ["network", "intrusion_detection"],
            types: ["info"],
            action: "alerts-held-back",
            id: context.line_id(held.at),
            sequence: context.sequence,
            provider: "fluxtap",
            module: "fluxtap",
            dataset: "fluxtap.held_back",
            created: rfc3339(created.millis()),
            start: rfc3339(held.first.millis()),
            end: rfc3339(held.last.millis()),
            severity: severity.number(),
        },
        observer: context.observer(),
        tags: ["fluxtap", "alerts-held-back"],
        fluxtap: Fluxtap {
            schema: Schema { name: "fluxtap.held_back", version: SCHEMA_VERSION },
            held_back: Held {
                lines: held.counts.sum(),
                lines_per_hour_max: held.lines_max,
                by_severity: BySeverity { low, medium, high },
                by_state: ByState { new, ongoing, ended, reopened, matched, rebound },
                worst: held.worst.iter().take(worst_max).map(worst).collect(),
            },
        },
    }
}

fn worst(held: &HeldAlert) -> Worst<'_> {
    Worst {
        domain: WireText(&held.domain).to_string(),
        id: &held.id,
        severity: held.severity.as_str(),
        risk_score: Decimal(held.score.risk()),
        campaign: held.campaign.as_deref(),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: String,
    ecs: Version<'a>,
    message: String,
    event: Event<'a>,
    observer: Observer<'a>,
    tags: [&'a str; 2],
    fluxtap: Fluxtap<'a>,
}

#[derive(Serialize)]
struct Event<'a> {
    kind: &'a str,
    category: [&'a str; 2],
    #[serde(rename = "type")]
    types: [&'a str; 1],
    action: &'a str,
    id: String,
    sequence: u64,
    provider: &'a str,
    module: &'a str,
    dataset: &'a str,
    created: String,
    start: String,
    end: String,
    severity: u8,
}

#[derive(Serialize)]
struct Fluxtap<'a> {
    schema: Schema<'a>,
    held_back: Held<'a>,
}

#[derive(Serialize)]
struct Held<'a> {
    lines: u64,
    lines_per_hour_max: u64,
    by_severity: BySeverity,
    by_state: ByState,
    worst: Vec<Worst<'a>>,
}

#[derive(Serialize)]
struct BySeverity {
    low: u64,
    medium: u64,
    high: u64,
}

#[derive(Serialize)]
struct ByState {
    new: u64,
    ongoing: u64,
    ended: u64,
    reopened: u64,
    matched: u64,
    rebound: u64,
}

#[derive(Serialize)]
struct Worst<'a> {
    domain: String,
    id: &'a str,
    severity: &'a str,
    risk_score: Decimal,
    campaign: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{alert, documented, field_paths, longest_name};
    use crate::{CampaignSeen, LINE_OCTETS_MAX, SCHEMA_JSON};
    use serde_json::{Value, json};

    const CONTEXT: SensorContext<'_> = SensorContext {
        observer: "tap-7",
        interface: Some("eth1"),
        sequence: 12,
        version: "0.1.0",
    };

    fn some() -> HeldBack {
        let mut held = HeldBack { lines_max: 100, ..HeldBack::default() };
        let base = alert();
        for (number, severity) in [(1, Severity::Low), (2, Severity::High), (3, Severity::Low)] {
            let mut line = Alert { action: Action::New, severity, ..base.clone() };
            line.id = format!("fx-{number:020}");
            line.at = base.at.plus_secs(number);
            held.note(&line);
        }
        let campaign =
            CampaignSeen { id: format!("fc-{:020}", 7), domains: 2, neighbours: Vec::new() };
        let ongoing = Alert {
            id: format!("fx-{:020}", 3),
            severity: Severity::Medium,
            campaign: Some(campaign),
            at: base.at.plus_secs(60),
            ..base.clone()
        };
        held.note(&ongoing);
        let ended = Action::Ended(crate::CloseReason::Quiet);
        held.note(&Alert { action: ended, severity: Severity::Low, ..ongoing });
        HeldBack { at: base.at.plus_secs(600), ..held }
    }

    fn written(held: &HeldBack) -> (String, Value) {
        let mut line = Vec::new();
        write_held_back(held, held.at.plus_secs(2), &CONTEXT, &mut line);
        let text = String::from_utf8(line).expect("ASCII");
        let value = serde_json::from_str(&text).expect("JSON");
        (text, value)
    }

    #[test]
    fn the_line_is_valid_and_says_what_was_held_back() {
        let schema: Value = serde_json::from_str(SCHEMA_JSON).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let (text, value) = written(&some());
        let errors: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{text}: {errors:?}");
        assert!(text.ends_with("}\n") && text.is_ascii());
        assert_eq!(
            value["message"],
            "5 alert lines were held back from 2026-11-22 13:05:11Z to 2026-11-22 13:06:10Z: 1 high, \
             1 medium, 3 low, the worst evil-flux.test (high); an hour may have 100 \
             (alerts.per_hour), so raise that or alerts.min_severity if this is no attack"
        );
        assert_eq!(value["event"]["severity"], 3);
        assert_eq!(value["event"]["start"], "2026-11-22T13:05:11.412Z");
        let held = &value["fluxtap"]["held_back"];
        assert_eq!(held["by_severity"], json!({ "low": 3, "medium": 1, "high": 1 }));
        let by_state = json!({ "new": 3, "ongoing": 1, "ended": 1, "reopened": 0, "matched": 0, "rebound": 0 });
        assert_eq!(held["by_state"], by_state);
        let worst: Vec<&Value> =
            held["worst"].as_array().expect("a list").iter().map(|w| &w["severity"]).collect();
        assert_eq!(worst, ["high", "medium", "low"], "an alert is there once, at its highest");
        assert_eq!(held["worst"][1]["campaign"], format!("fc-{:020}", 7));
        // It is no alert and the other way round.
        let mut mixed = value.clone();
        mixed["event"]["dataset"] = json!("fluxtap.alert");
        assert!(!validator.is_valid(&mixed));
    }

    #[test]
    fn the_documentation_has_every_field_and_no_other() {
        let schema: Value = serde_json::from_str(SCHEMA_JSON).expect("JSON");
        let mut paths = Vec::new();
        field_paths(&schema, &schema["$defs"]["held_back"], "", &mut paths);
        paths.sort();
        let format = include_str!("../../../docs/alert-format.md");
        let (_, chapter) =
            format.split_once("\n## Lines that were held back\n").expect("a chapter");
        let (chapter, _) = chapter.split_once("\n## ").expect("a chapter behind it");
        assert_eq!(documented(chapter), paths);
    }

    #[test]
    fn the_longest_names_fit_and_only_the_worst_are_named() {
        let schema: Value = serde_json::from_str(SCHEMA_JSON).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let mut held = HeldBack::default();
        for number in 0..1_000 {
            let mut line = Alert { id: format!("fx-{number:020}"), ..alert() };
            line.evidence.domain = longest_name(0x1b);
            line.verdict.score = Score(number % 500);
            held.note(&line);
        }
        assert_eq!(held.worst.len(), WORST_MAX);
        assert!(held.worst.iter().all(|held| held.score.0 >= 496), "{held:?}");
        let (text, value) = written(&held);
        assert!(text.len() <= LINE_OCTETS_MAX && validator.is_valid(&value), "{text}");
        assert!(!value["fluxtap"]["held_back"]["worst"].as_array().expect("a list").is_empty());
        let mut text = Vec::new();
        write_held_back_text(&held, &mut text);
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("1000 alert lines were held back") && !text.contains('\u{1b}'));
    }
}
