//! What an answer over HTTP means for the lines of a batch. A receiver is believed when its whole
//! answer says yes, not when its status does.

use super::{Answer, Fault, Verdict};
use crate::options::Dialect;
use serde_json::Value;
use std::time::Duration;

/// Characters of an answer that are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// Codes of Splunk's HTTP Event Collector that are about the sink and not about an event: those of
/// tokens, the index and channels; see "Possible error codes" in
/// <https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector>.
const SPLUNK_SINK_CODES: &[i64] = &[1, 2, 3, 4, 7, 10, 11, 14];

/// What came back.
pub(crate) struct Status {
    pub(crate) code: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) date: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// The meaning of an answer for a batch of so many lines.
pub(crate) fn judge(dialect: &Dialect, count: usize, status: &Status) -> Answer {
    if (200..300).contains(&status.code) {
        return match dialect {
            Dialect::Webhook => Answer::taken(count),
            Dialect::Elasticsearch { .. } => bulk(count, status),
            Dialect::SplunkHec { .. } => splunk(count, status),
        };
    }
    let said = format!("answered {}: {}", status.code, shown(&status.body));
    let is_about_lines = match status.code {
        400 | 422 => !is_about_sink(dialect, status),
        // Of more than one line each may be short enough.
        413 => true,
        _ => false,
    };
    if is_about_lines {
        return refused(count, said);
    }
    Answer::fault(Fault { wait: retry_after(status), ..Fault::new(said) })
}

/// Some line of the batch is not wanted: one alone is known to be the one.
fn refused(count: usize, said: String) -> Answer {
    match count {
        1 => Answer { verdicts: vec![Verdict::Refused(said)], ..Answer::default() },
        _ => Answer { is_too_much: true, ..Answer::default() },
    }
}

/// The bulk API answers each document, and always with 200.
fn bulk(count: usize, status: &Status) -> Answer {
    let answer: Value = serde_json::from_slice(&status.body).unwrap_or_default();
    let items = answer["items"].as_array().filter(|items| items.len() == count);
    let Some(items) = items else {
        let said = format!(
            "answered {} without a result for each of {count} documents: {}",
            status.code,
            shown(&status.body)
        );
        return Answer::fault(Fault::new(said));
    };
    let mut fault = None;
    let verdicts = items.iter().map(|item| {
        let created = &item["create"];
        let code = created["status"].as_u64().unwrap_or(0);
        let said = format!("answered {code} for a document: {}", shown_value(&created["error"]));
        match code {
            // 409: it is there already.
            200..300 | 409 => Verdict::Taken,
            400 | 413 | 422 => Verdict::Refused(said),
            _ => {
                fault
                    .get_or_insert_with(|| Fault { wait: retry_after(status), ..Fault::new(said) });
                Verdict::Later
            }
        }
    });
    let verdicts = verdicts.collect();
    Answer { verdicts, fault, is_too_much: false }
}

/// Splunk says `{"text":"Success","code":0}`, and its errors have codes as well.
fn splunk(count: usize, status: &Status) -> Answer {
    if splunk_code(status) == Some(0) {
        return Answer::taken(count);
    }
    let said = format!("answered {} without its code 0: {}", status.code, shown(&status.body));
    Answer::fault(Fault::new(said))
}

/// Whether a refusal is about the sink's settings, which dead letters would not mend.
fn is_about_sink(dialect: &Dialect, status: &Status) -> bool {
    matches!(dialect, Dialect::SplunkHec { .. })
        && splunk_code(status).is_some_and(|code| SPLUNK_SINK_CODES.contains(&code))
}

fn splunk_code(status: &Status) -> Option<i64> {
    serde_json::from_slice::<Value>(&status.body).ok()?["code"].as_i64()
}

/// Seconds or a date (RFC 9110, 10.2.3). The receiver's clock is not ours, so a date only says
/// something beside that of the answer itself.
fn retry_after(status: &Status) -> Option<Duration> {
    let wait = status.retry_after.as_ref()?.trim();
    if let Ok(seconds) = wait.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(wait).ok()?;
    let answered = httpdate::parse_http_date(status.date.as_ref()?.trim()).ok()?;
    Some(until.duration_since(answered).unwrap_or_default())
}

/// The front of an answer, on one line.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN_CHARS_MAX)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None if text.is_empty() => "nothing".to_owned(),
        None => text,
    }
}

fn shown_value(value: &Value) -> String {
    shown(value.to_string().as_bytes())
}
