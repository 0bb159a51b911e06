//! Collects what a capture shows and what the sensor says, by domain.

use crate::compare::{COMPARATORS, History};
use crate::outcome::{Found, Outcome, Outcomes, days, position};
use crate::truth::{Label, Truth};
use fluxtap_alert::{Action, Alert};
use fluxtap_flux::Severity;
use fluxtap_intel::Intel;
use fluxtap_observe::{Batch, Observation};
use fluxtap_wire::Timestamp;
use foldhash::quality::FixedState;
use std::hash::BuildHasher as _;

/// Most different address sets counted until a domain is found.
pub const SETS_MAX: usize = 4_096;

/// What is known of a domain of the truth.
#[derive(Debug, Default)]
struct Followed {
    /// First answer with an address.
    first: Option<Timestamp>,
    has_servers: bool,
    /// First alert from low, medium and high on, with the sets seen until then.
    found: [Option<(Timestamp, u32)>; 3],
    score: f64,
    kind: Option<u8>,
    /// Hashes of the address sets of a flux domain and when each was first seen, until it is found
    /// at high.
    sets: Vec<(u64, Timestamp)>,
    history: Option<Box<History>>,
    compared: [f64; COMPARATORS.len()],
    compared_at: [Option<Timestamp>; COMPARATORS.len()],
}

/// See the crate's head.
#[derive(Debug)]
pub struct Evaluation {
    truth: Truth,
    domains: Vec<Followed>,
    kinds: Vec<String>,
    span: Option<(Timestamp, Timestamp)>,
    alerts_unlabelled: u64,
}

impl Evaluation {
    /// Begins with what is true.
    #[must_use]
    pub fn new(truth: Truth) -> Self {
        let domains = std::iter::repeat_with(Followed::default).take(truth.len()).collect();
        Self { truth, domains, kinds: Vec::new(), span: None, alerts_unlabelled: 0 }
    }

    /// Takes what the decoder made of a run of packets; the alerts that it led to come after it.
    pub fn observe(&mut self, batch: &Batch, intel: &Intel) {
        for observation in batch.observations() {
            let at = observation.at;
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first.min(at), last.max(at)));
            if let Some(position) = self.truth.find(batch.domain(observation)) {
                let row = &self.truth.rows[position];
                let label = self.truth.families[usize::from(row.family)].label;
                self.domains[position].observe(observation, batch, intel, label);
            }
        }
    }

    /// Takes an alert, in the order in which they were raised.
    pub fn alert(&mut self, alert: &Alert) {
        let Some(row) = self.truth.find(&alert.evidence.domain) else {
            self.alerts_unlabelled += 1;
            return;
        };
        let domain = &mut self.domains[row];
        // What a list of others says is no finding, nor is rebinding.
        if matches!(alert.action, Action::Ended(_)) || alert.action.is_told_once() {
            return;
        }
        let kind = alert.verdict.kind.as_str();
        domain.kind = Some(position(&mut self.kinds, kind.to_owned()) as u8);
        domain.score = domain.score.max(alert.verdict.score.points());
        let reached = match alert.severity {
            Severity::Low => 1,
            Severity::Medium => 2,
            Severity::High => 3,
        };
        // What was seen since then may be here already: batches end where they end.
        let sets = domain.sets.iter().filter(|(_, first)| *first <= alert.at).count() as u32;
        for found in &mut domain.found[..reached] {
            found.get_or_insert((alert.at, sets));
        }
    }

    /// Sets when a domain's flux first showed, where the truth did not know it yet.
    pub fn set_start(&mut self, domain: &[u8], at: Timestamp) {
        self.truth.set_start(domain, at);
    }

    /// The end of the capture.
    #[must_use]
    pub fn finish(self) -> Outcomes {
        let Self { truth, domains, kinds, span, alerts_unlabelled } = self;
        let mut outcomes =
            Outcomes { families: truth.families, kinds, alerts_unlabelled, ..Outcomes::default() };
        let mut benign = 0_u64;
        for (row, domain) in truth.rows.iter().zip(domains) {
            let label = outcomes.families[usize::from(row.family)].label;
            let Some(first) = domain.first else {
                outcomes.flux_not_shown += u64::from(label == Label::Flux);
                continue;
            };
            benign += u64::from(label == Label::Benign);
            let start = row.start.unwrap_or(first);
            let after_s = |at: Timestamp| at.since(start) as f64 / 1e9;
            let found = domain.found.map(|found| {
                found.map(|(at, sets)| Found {
                    after_s: if label == Label::Flux { after_s(at) } else { 0.0 },
                    changes: sets.saturating_sub(1),
                })
            });
            outcomes.domains_cut += u64::from(domain.history.is_some_and(|it| it.is_cut));
            outcomes.list.push(Outcome {
                family: row.family,
                found,
                score: domain.score,
                kind: domain.kind,
                has_servers: domain.has_servers,
                compared: domain.compared,
                compared_after_s: domain.compared_at.map(|at| at.map(after_s)),
            });
        }
        outcomes.benign_domain_days = benign as f64 * days(span);
        outcomes
    }
}

impl Followed {
    fn observe(&mut self, observation: &Observation, batch: &Batch, intel: &Intel, label: Label) {
        self.has_servers |= !batch.servers(observation).is_empty();
        let addresses = batch.addresses(observation);
        if addresses.is_empty() {
            return;
        }
        self.first.get_or_insert(observation.at);
        if label == Label::Flux && self.found[2].is_none() {
            // The sum does not depend on the order of the addresses.
            let of = |ip| FixedState::with_seed(2).hash_one(ip);
            let set = addresses.iter().fold(0_u64, |sum, a| sum.wrapping_add(of(a.ip)));
            let is_new = !self.sets.iter().any(|(known, _)| *known == set);
            if is_new && self.sets.len() < SETS_MAX {
                self.sets.push((set, observation.at));
            }
        }
        let history = self.history.get_or_insert_default();
        let scores = history.take(observation, batch, intel);
        for (place, comparator) in COMPARATORS.iter().enumerate() {
            self.compared[place] = self.compared[place].max(scores[place]);
            if comparator.is_alert(scores[place]) {
                self.compared_at[place].get_or_insert(observation.at);
            }
        }
    }
}
