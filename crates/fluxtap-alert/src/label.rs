//! What those who pass a line on must know about it, without reading it.

use crate::line::event_id;
use crate::{Action, Alert};
use fluxtap_wire::name::WireText;

/// What a line is about, in words of the line itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// `event.id`: the same whenever the line is written, other for every other line.
    pub id: String,
    /// `dns.question.registered_domain`.
    pub domain: String,
    /// `fluxtap.flux.kind`.
    pub kind: &'static str,
    /// `event.severity`.
    pub severity: u8,
    /// `@timestamp`, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whether it only tells how an alert goes on: beginnings and ends are worth more.
    pub is_update: bool,
}

impl Label {
    /// The label of the line that an alert makes.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        Self {
            id: event_id(&alert.id, alert.revision, alert.action),
            domain: WireText(&alert.evidence.domain).to_string(),
            kind: alert.verdict.kind.as_str(),
            severity: alert.severity.number(),
            at_ms: alert.at.millis(),
            is_update: alert.action == Action::Ongoing,
        }
    }
}
