//! What the HTTP server tells: the loop's answer to a request for its state.
//!
//! The key decision: nothing is kept up to date for a scraper. A request asks the loop, which looks
//! between two batches and makes a snapshot; so an answer proves that the loop turns, and when it
//! does not, that is the answer.

use crate::checkpoint::CheckpointCounts;
use crate::health::Reason;
use crate::http::Answer;
use crate::metrics;
use crate::output::Latency;
use crate::summary::Counters;
use fluxtap_sink::SinkCounts;
use fluxtap_wire::Timestamp;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Longest time that the loop may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// The state of a run at a moment.
pub(crate) struct Snapshot {
    pub(crate) counters: Counters,
    /// Whether an interface is captured.
    pub(crate) is_capturing: bool,
    /// What is wrong.
    pub(crate) reasons: Vec<Reason>,
    pub(crate) latency: Latency,
    /// How far event time is behind the clock; `None` before the first packet.
    pub(crate) lag_s: Option<f64>,
    pub(crate) uptime_s: f64,
    /// When it was last reloaded, and whether that went well.
    pub(crate) reloaded: Option<(Timestamp, bool)>,
    pub(crate) allow_entries: u64,
    /// What became of checkpoints, if any are written.
    pub(crate) checkpoints: Option<CheckpointCounts>,
    pub(crate) sinks: Vec<SinkCounts>,
    /// Bytes held by the tables of fragments and of TCP streams.
    pub(crate) held_octets: [usize; 2],
}

/// Between the loop and those who ask.
#[derive(Default)]
pub(crate) struct Shared {
    is_wanted: AtomicBool,
    latest: Mutex<(u64, Option<Arc<Snapshot>>)>,
    published: Condvar,
}

impl Shared {
    /// Whether somebody waits for a snapshot.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted.swap(false, Ordering::AcqRel)
    }

    /// Hands a snapshot to all who wait.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.0 += 1;
        latest.1 = Some(Arc::new(snapshot));
        drop(latest);
        self.published.notify_all();
    }

    /// A snapshot made after this was called; `None` if the loop does not answer.
    fn ask(&self) -> Option<Arc<Snapshot>> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = latest.0;
        self.is_wanted.store(true, Ordering::Release);
        let (latest, _) = self
            .published
            .wait_timeout_while(latest, ANSWER_TIME_MAX, |latest| latest.0 == before)
            .unwrap_or_else(PoisonError::into_inner);
        (latest.0 != before).then(|| latest.1.clone()).flatten()
    }
}

/// The page of a path.
pub(crate) fn page(path: &str, shared: &Shared) -> Option<Answer> {
    const UNAVAILABLE: &str = "503 Service Unavailable";
    if !["/", "/metrics", "/healthz", "/readyz"].contains(&path) {
        return None;
    }
    if path == "/" {
        return Some(Answer::text("200 OK", "fluxtap: /metrics /healthz /readyz\n"));
    }
    let Some(snapshot) = shared.ask() else {
        let body = format!("the loop did not answer within {} s\n", ANSWER_TIME_MAX.as_secs());
        return Some(Answer::text(UNAVAILABLE, body));
    };
    Some(match path {
        "/metrics" => Answer {
            status: "200 OK",
            media_type: metrics::MEDIA_TYPE,
            body: metrics::text(&snapshot),
        },
        "/healthz" if snapshot.is_capturing => Answer::text("200 OK", "capturing\n"),
        "/healthz" => Answer::text(UNAVAILABLE, "no interface is captured\n"),
        _ => {
            let reasons = snapshot.reasons.iter();
            let reasons: Vec<_> =
                reasons.map(|r| json!({ "code": r.code, "detail": r.detail })).collect();
            let is_ready = reasons.is_empty();
            Answer {
                status: if is_ready { "200 OK" } else { UNAVAILABLE },
                media_type: "application/json",
                body: format!("{}\n", json!({ "ready": is_ready, "reasons": reasons })),
            }
        }
    })
}
