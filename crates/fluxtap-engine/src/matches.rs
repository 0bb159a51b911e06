//! Domains that are on a threat list which raises alerts of its own.
//!
//! Looked for when a domain brings something new: its first address, a further host, another set.
//! What may be listed waits for the end of its second ([`Daily`]), and is looked up once more in what
//! is known of the domain then.

use crate::daily::{Daily, News};
use fluxtap_alert::{Action, Alert, match_id};
use fluxtap_flux::{Score, Severity, matched};
use fluxtap_intel::{InForce, Intel, ThreatHit};
use fluxtap_observe::{Batch, Observation};
use fluxtap_window::{DomainWindow, LookUps, Subject, WHOLE};
use fluxtap_wire::Timestamp;

/// Domains that are to be looked up, and were told of.
pub(crate) type Matches = Daily<Match>;

/// A domain that may be listed.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Match {
    /// Wire form.
    domain: Box<[u8]>,
    /// The hash of that.
    hash: u64,
    /// The name outside it that it was an alias of, wire form; empty without one.
    alias: Box<[u8]>,
}

impl News for Match {
    type Note = ();

    fn domain(&self) -> &[u8] {
        &self.domain
    }

    fn hash(&self) -> u64 {
        self.hash
    }

    fn note(&self) -> Self::Note {}
}

/// Notes the domain of an observation if an alerting list has one of its names or addresses; returns
/// how many could not be noted for want of room: 0 or 1.
pub(crate) fn note(
    matches: &mut Matches,
    observation: &Observation,
    batch: &Batch,
    intel: &Intel,
    due_s: u32,
) -> u64 {
    if !intel.threats().is_alerting() || !is_listed(observation, batch, intel) {
        return 0;
    }
    let is_alias = observation.terminal != observation.host;
    let alias = if is_alias { batch.name(observation.terminal) } else { &[] };
    let (domain, hash) = (batch.domain(observation).into(), observation.domain_hash);
    u64::from(!matches.wait(due_s, Match { domain, hash, alias: alias.into() }))
}

fn is_listed(observation: &Observation, batch: &Batch, intel: &Intel) -> bool {
    let (lists, at_s) = (intel.threats(), observation.at.secs());
    let is_alerting = |hits: Vec<ThreatHit>| hits.iter().any(|hit| hit.list.is_alerting);
    let asked = batch.name(observation.asked);
    if is_alerting(lists.name(asked, at_s))
        || is_alerting(lists.name(batch.domain(observation), at_s))
    {
        return true;
    }
    let terminal = observation.terminal;
    if terminal != observation.host && is_alerting(lists.name(batch.name(terminal), at_s)) {
        return true;
    }
    let mut addresses = batch.addresses(observation).iter();
    lists.has_addresses()
        && addresses.any(|a| is_alerting(lists.address(a.ip, intel.owner(a.ip).asn, at_s)))
}

/// The line about a domain, if an alerting list still has it without what the allow list covers.
pub(crate) fn alert(
    mut window: DomainWindow,
    found: &Match,
    at: Timestamp,
    intel: &Intel,
    exempt: &InForce<'_>,
) -> Option<Alert> {
    window.look_up_owners(intel, &mut LookUps::default());
    window.assume_alias(&found.alias);
    let now_s = u32::try_from(at.secs()).unwrap_or(u32::MAX);
    let threats = window.threats(intel.threats(), now_s, 1, Some(exempt));
    if !threats.of_subject(WHOLE).any(|found| found.hit.list.is_alerting) {
        return None;
    }
    let listed = threats.listed(WHOLE);
    let subject = Subject { listed, ..window.whole(now_s, Some(exempt)) };
    let evidence = window.evidence(WHOLE, subject.window_s, now_s, 1, Some(exempt));
    Some(Alert {
        action: Action::Matched,
        at,
        id: match_id(window.name(), at),
        revision: 1,
        opened: at,
        closed: None,
        severity: Severity::Low,
        threshold: Score(0),
        verdict: matched(listed)?,
        subject,
        servers: None,
        evidence,
        threats: threats.of_subject(WHOLE).cloned().collect(),
        campaign: None,
        is_campaign_news: false,
        is_allowlisted: false,
        rebound: None,
        queries_visible: None,
        lacking_percent: None,
    })
}
