//! The line about the sensor itself, so that silence differs from peace.

use crate::line::{LABEL_OCTETS_MAX, LINE_OCTETS_MAX, append_json, hex};
use crate::shape::{Decimal, Observer, Schema, Version};
use crate::words::{bounded, rfc3339};
use fluxtap_wire::Timestamp;
use fluxtap_wire::shown::shown;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Version of this line's schema: minor for an added field, major for one removed or retyped.
const SCHEMA_VERSION: &str = "1.0.0";

/// Longest words about a reason in characters.
const DETAIL_CHARS_MAX: usize = 200;

/// How the sensor is at a moment.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// When.
    pub at: Timestamp,
    /// What is wrong, as a code for programs and words for people; nothing of a healthy sensor.
    pub reasons: Vec<(&'static str, String)>,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Packets handed to the decoder.
    pub packets: u64,
    /// Packets lost by the kernel, by interfaces, and by the sensor itself.
    pub lost: [u64; 3],
    /// DNS messages.
    pub messages: u64,
    /// Of these, responses.
    pub responses: u64,
    /// How far event time is behind the clock, in seconds; `None` before the first packet.
    pub lag_s: Option<f64>,
    /// Domains tracked.
    pub domains: u64,
    /// Bytes of state.
    pub state_bytes: u64,
    /// Open alerts.
    pub alerts_open: u64,
}

/// What a line that is not about a domain says besides.
#[derive(Clone, Copy, Debug)]
pub struct SensorContext<'a> {
    /// Name of the sensor.
    pub observer: &'a str,
    /// The mirror ports.
    pub interface: Option<&'a str>,
    /// Counts the lines of the stream, those of alerts included.
    pub sequence: u64,
    /// Version of the program.
    pub version: &'a str,
}

impl<'a> SensorContext<'a> {
    /// `event.id` of the line with this time: the same whenever it is written, other for every other
    /// line.
    #[must_use]
    pub fn line_id(&self, at: Timestamp) -> String {
        let observer = bounded(self.observer, LABEL_OCTETS_MAX);
        let id = Sha256::digest(format!("{observer}|{}|{}", self.sequence, at.0));
        hex(&id[..16])
    }

    pub(crate) fn observer(&self) -> Observer<'a> {
        Observer::new(self.observer, self.version, self.interface)
    }
}

/// Appends the line to `out` as one JSON object and a line feed: ASCII, at most
/// [`LINE_OCTETS_MAX`] bytes, and valid under [`crate::SCHEMA_JSON`].
pub fn write_health(health: &Health, context: &SensorContext<'_>, out: &mut Vec<u8>) {
    // Sixteen interfaces with long words may be lost at a time, so words give way.
    write_fitted(health.reasons.len(), |reasons_max| line(health, context, reasons_max), out);
}

/// Appends the same in a line for people.
pub fn write_health_text(health: &Health, context: &SensorContext<'_>, out: &mut Vec<u8>) {
    write_sentence(health.at, &message(health, context), out);
}

/// Appends the line that is made with as many entries of its list as there are, or with fewer until
/// it fits.
pub(crate) fn write_fitted<L: Serialize>(
    entries: usize,
    line: impl Fn(usize) -> L,
    out: &mut Vec<u8>,
) {
    let from = out.len();
    for entries_max in (0..=entries).rev() {
        out.truncate(from);
        append_json(&line(entries_max), out);
        out.push(b'\n');
        if out.len() - from <= LINE_OCTETS_MAX {
            return;
        }
    }
}

/// Appends a sentence with its time, for people.
pub(crate) fn write_sentence(at: Timestamp, sentence: &str, out: &mut Vec<u8>) {
    let text = format!("{} {sentence}", rfc3339(at.millis()));
    out.extend_from_slice(shown(&text, LINE_OCTETS_MAX).as_bytes());
    out.push(b'\n');
}

fn message(health: &Health, context: &SensorContext<'_>) -> String {
    let observer = bounded(context.observer, LABEL_OCTETS_MAX);
    match health.reasons.first() {
        None => format!("sensor {observer} is well"),
        Some((_, detail)) => {
            let more = match health.reasons.len() {
                1 => String::new(),
                reasons => format!("; and {} more", reasons - 1),
            };
            format!("sensor {observer} is degraded: {}{more}", detail_of(detail))
        }
    }
}

fn detail_of(detail: &str) -> String {
    detail.chars().take(DETAIL_CHARS_MAX).collect()
}

fn line<'a>(health: &'a Health, context: &SensorContext<'a>, reasons_max: usize) -> Line<'a> {
    let at = rfc3339(health.at.millis());
    Line {
        timestamp: at.clone(),
        ecs: Version { version: "8.11.0" },
        message: message(health, context),
        event: Event {
            kind: "state",
            category: ["host"],
            types: ["info"],
            action: "sensor-health",
            outcome: if health.reasons.is_empty() { "success" } else { "failure" },
            id: context.line_id(health.at),
            sequence: context.sequence,
            provider: "fluxtap",
            module: "fluxtap",
            dataset: "fluxtap.health",
            created: at,
        },
        observer: context.observer(),
        tags: ["fluxtap", "sensor-health"],
        fluxtap: Fluxtap {
            schema: Schema { name: "fluxtap.health", version: SCHEMA_VERSION },
            health: State {
                status: if health.reasons.is_empty() { "ok" } else { "degraded" },
                reasons: health
                    .reasons
                    .iter()
                    .take(reasons_max)
                    .map(|(code, detail)| Reason { code, detail: detail_of(detail) })
                    .collect(),
                uptime_s: health.uptime_s,
                packets: health.packets,
                packets_lost: Lost {
                    kernel: health.lost[0],
                    interface: health.lost[1],
                    sensor: health.lost[2],
                },
                dns_messages: health.messages,
                dns_responses: health.responses,
                event_time_lag_s: health.lag_s.map(Decimal),
                domains_tracked: health.domains,
                state_bytes: health.state_bytes,
                alerts_open: health.alerts_open,
            },
        },
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
    category: [&'a str; 1],
    #[serde(rename = "type")]
    types: [&'a str; 1],
    action: &'a str,
    outcome: &'a str,
    id: String,
    sequence: u64,
    provider: &'a str,
    module: &'a str,
    dataset: &'a str,
    created: String,
}

#[derive(Serialize)]
struct Fluxtap<'a> {
    schema: Schema<'a>,
    health: State<'a>,
}

#[derive(Serialize)]
struct State<'a> {
    status: &'a str,
    reasons: Vec<Reason<'a>>,
    uptime_s: u64,
    packets: u64,
    packets_lost: Lost,
    dns_messages: u64,
    dns_responses: u64,
    event_time_lag_s: Option<Decimal>,
    domains_tracked: u64,
    state_bytes: u64,
    alerts_open: u64,
}

#[derive(Serialize)]
struct Reason<'a> {
    code: &'a str,
    detail: String,
}

#[derive(Serialize)]
struct Lost {
    kernel: u64,
    interface: u64,
    sensor: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{documented, field_paths};
    use serde_json::{Value, json};

    const CONTEXT: SensorContext<'_> = SensorContext {
        observer: "tap-7",
        interface: Some("eth1,eth2"),
        sequence: 12,
        version: "0.1.0",
    };

    fn degraded() -> Health {
        Health {
            at: Timestamp(1_795_352_710_412_000_000),
            reasons: vec![
                ("no_dns", "no DNS was seen for 600 s".to_owned()),
                ("interface_lost", "interface eth2 is lost: \u{1b}[31mdown\u{202e}".to_owned()),
            ],
            uptime_s: 3_600,
            packets: 5_000,
            lost: [1, 2, 3],
            messages: 4_000,
            responses: 2_000,
            lag_s: Some(0.25),
            domains: 70,
            state_bytes: 1 << 20,
            alerts_open: 2,
        }
    }

    fn written(health: &Health) -> (String, Value) {
        let mut line = Vec::new();
        write_health(health, &CONTEXT, &mut line);
        let text = String::from_utf8(line).expect("ASCII");
        let value = serde_json::from_str(&text).expect("JSON");
        (text, value)
    }

    #[test]
    fn lines_are_valid_and_say_what_is_wrong() {
        let schema: Value = serde_json::from_str(crate::SCHEMA_JSON).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let well = Health { lag_s: None, reasons: Vec::new(), ..degraded() };
        for health in [degraded(), well, Health::default()] {
            let (text, value) = written(&health);
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{text}: {errors:?}");
            assert!(text.ends_with("}\n") && text.is_ascii() && !text.contains('\u{1b}'));
        }
        let (_, value) = written(&degraded());
        assert_eq!(
            value["message"],
            "sensor tap-7 is degraded: no DNS was seen for 600 s; and 1 more"
        );
        assert_eq!(value["event"]["action"], "sensor-health");
        assert_eq!(value["event"]["outcome"], "failure");
        let health = &value["fluxtap"]["health"];
        assert_eq!(health["status"], "degraded");
        assert_eq!(health["reasons"][0]["code"], "no_dns");
        assert_eq!(health["packets_lost"], json!({ "kernel": 1, "interface": 2, "sensor": 3 }));
        // A health line is no alert and the other way round.
        let mut mixed = value.clone();
        mixed["event"]["dataset"] = json!("fluxtap.alert");
        assert!(!validator.is_valid(&mixed));
        mixed["event"]["dataset"] = json!("fluxtap.health");
        mixed["fluxtap"]["health"]["status"] = json!("fine");
        assert!(!validator.is_valid(&mixed));
    }

    #[test]
    fn the_documentation_has_every_field_and_no_other() {
        let schema: Value = serde_json::from_str(crate::SCHEMA_JSON).expect("JSON");
        let mut paths = Vec::new();
        field_paths(&schema, &schema["$defs"]["health"], "", &mut paths);
        paths.sort();
        let format = include_str!("../../../docs/alert-format.md");
        let (_, chapter) = format.split_once("\n## The sensor itself\n").expect("a chapter");
        let (chapter, _) = chapter.split_once("\n## ").expect("a chapter behind it");
        assert_eq!(documented(chapter), paths);
    }

    #[test]
    fn the_longest_words_fit() {
        let reasons = vec![("interface_lost", "\u{202e}".repeat(5_000)); 40];
        let (text, value) = written(&Health { reasons, ..degraded() });
        assert!(text.len() <= LINE_OCTETS_MAX, "{}", text.len());
        assert!(!value["fluxtap"]["health"]["reasons"].as_array().expect("a list").is_empty());
    }

    #[test]
    fn the_line_for_people_cannot_take_over_a_terminal() {
        let mut text = Vec::new();
        let mut health = degraded();
        health.reasons.remove(0);
        write_health_text(&health, &CONTEXT, &mut text);
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("sensor tap-7 is degraded: interface eth2 is lost"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.ends_with('\n'), "{text:?}");
    }
}
