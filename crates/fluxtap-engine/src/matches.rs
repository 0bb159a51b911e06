//! Domains that are on a threat list which raises alerts of its own.
//!
//! Looked for when a domain brings something new: its first address, a further host, another set.
//! What may be listed waits for the end of its second, and is looked up once more in what is known
//! of the domain then; so the order of lines does not depend on batches.
//!
//! Limits are those of a partition, so that nothing depends on how the domains are shared out:
//! [`WAITING_MAX`], [`TOLD_MAX`].

use fluxtap_alert::{Action, Alert, match_id};
use fluxtap_flux::{Score, Severity, matched};
use fluxtap_intel::{Day, InForce, Intel, ThreatHit};
use fluxtap_observe::{Batch, Observation};
use fluxtap_window::{DomainWindow, LookUps, Subject, WHOLE, partition_of};
use fluxtap_wire::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Most domains of a partition that wait for the end of their second.
const WAITING_MAX: usize = 1_024;

/// Most domains of a partition that are remembered to have been told of on a day.
const TOLD_MAX: usize = 4_096;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// By the second until whose end they wait.
    waiting: BTreeSet<(u32, Match)>,
    /// How many wait, by partition.
    waiting_of: BTreeMap<usize, usize>,
    /// Domains that were told of, and on which day, by partition.
    told: BTreeMap<usize, BTreeMap<Box<[u8]>, Day>>,
}

/// A domain that may be listed.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Match {
    /// Wire form.
    pub(crate) domain: Box<[u8]>,
    /// The hash of that.
    pub(crate) hash: u64,
    /// The name outside it that it was an alias of, wire form; empty without one.
    alias: Box<[u8]>,
}

impl Matches {
    /// Notes the domain of an observation if an alerting list has one of its names or addresses;
    /// returns how many could not be noted for want of room: 0 or 1.
    pub(crate) fn note(
        &mut self,
        observation: &Observation,
        batch: &Batch,
        intel: &Intel,
        due_s: u32,
    ) -> u64 {
        if !intel.threats().is_alerting() || !is_listed(observation, batch, intel) {
            return 0;
        }
        let partition = partition_of(observation.domain_hash);
        let waiting_of = self.waiting_of.entry(partition).or_default();
        if *waiting_of >= WAITING_MAX {
            return 1;
        }
        let is_alias = observation.terminal != observation.host;
        let alias = if is_alias { batch.name(observation.terminal) } else { &[] };
        let (domain, hash) = (batch.domain(observation).into(), observation.domain_hash);
        let is_new = self.waiting.insert((due_s, Match { domain, hash, alias: alias.into() }));
        *waiting_of += usize::from(is_new);
        0
    }

    /// The first second for which something waits.
    pub(crate) fn first_s(&self) -> Option<u32> {
        self.waiting.first().map(|(due_s, ..)| *due_s)
    }

    /// The last one.
    pub(crate) fn last_s(&self) -> Option<u32> {
        self.waiting.last().map(|(due_s, ..)| *due_s)
    }

    /// Takes out what waits for a second or an earlier one.
    pub(crate) fn take(&mut self, due_s: u32) -> impl Iterator<Item = Match> + use<> {
        let rest = self.waiting.split_off(&(due_s + 1, Match::default()));
        let due = std::mem::replace(&mut self.waiting, rest);
        for (_, found) in &due {
            let waiting_of = self.waiting_of.entry(partition_of(found.hash)).or_default();
            *waiting_of = waiting_of.saturating_sub(1);
        }
        due.into_iter().map(|(_, found)| found)
    }

    /// Whether a domain was told of on that day.
    pub(crate) fn is_told(&self, found: &Match, day: Day) -> bool {
        let of_partition = self.told.get(&partition_of(found.hash));
        of_partition.and_then(|told| told.get(&found.domain)) == Some(&day)
    }

    /// Notes that a domain is told of; false if there is no room to remember it.
    pub(crate) fn note_told(&mut self, found: &Match, day: Day) -> bool {
        let told = self.told.entry(partition_of(found.hash)).or_default();
        if told.len() >= TOLD_MAX {
            told.retain(|_, on| *on == day);
        }
        let has_room = told.len() < TOLD_MAX;
        if has_room {
            told.insert(found.domain.clone(), day);
        }
        has_room
    }

    /// Lets everything wait for one second: time was set back.
    pub(crate) fn hasten(&mut self, due_s: u32) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting = waiting.into_iter().map(|(_, found)| (due_s, found)).collect();
    }
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
        queries_visible: None,
        lacking_percent: None,
    })
}
