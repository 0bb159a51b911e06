//! Parts of a line as JSON of their own, for what tells of a domain without an alert.

use crate::shape::{Compare, Decimal, Term};
use crate::threats::enrichment;
use crate::words;
use fluxtap_flux::{Severity, Verdict};
use fluxtap_window::{Subject, ThreatMatch};
use serde::Serialize;
use serde_json::{Value, json};

/// The verdict with the fields of `fluxtap.flux`, but for the threshold of an alert, and with its
/// risk; `severity` is that whose threshold the score reaches.
#[must_use]
pub fn flux(verdict: &Verdict, severity: Option<Severity>, model: &str) -> Value {
    json!({
        "kind": verdict.kind.as_str(),
        "severity": severity.map(Severity::as_str),
        "confidence": Decimal(verdict.confidence),
        "likelihood_ratio": verdict.likelihood_ratio as u32,
        "score": Decimal(verdict.score.points()),
        "risk_score": Decimal(verdict.score.risk()),
        "ownership_factor": Decimal(verdict.ownership_factor),
        "openness_gate": Decimal(verdict.openness_gate),
        "model": model,
    })
}

/// All terms as in `fluxtap.terms`, those of 0 points too.
#[must_use]
pub fn terms(verdict: &Verdict, subject: &Subject) -> Value {
    let terms = verdict.terms.iter();
    value(&terms.map(|t| Term::of(t, Some(words::term(t, subject)))).collect::<Vec<_>>())
}

/// What older detectors make of a subject, as in `fluxtap.compare`.
#[must_use]
pub fn compare(subject: &Subject) -> Value {
    value(&Compare::of(&subject.compare))
}

/// A hit in a threat list about a domain, as in `threat.enrichments`.
#[must_use]
pub fn threat(found: &ThreatMatch, domain: &str) -> Value {
    value(&enrichment(found, domain))
}

fn value(part: &impl Serialize) -> Value {
    // Fails only where a key is no string or a number is none; here are neither.
    serde_json::to_value(part).unwrap_or_default()
}
