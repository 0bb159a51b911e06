//! Windows, judgement and the life of alerts, in event time.

use crate::daily::News as _;
use crate::matches::{self, Match, Matches};
use crate::measure::{Measured, measure};
use crate::order::{Told, in_order};
use crate::rebinding::{self, Rebinds, Rebound};
use crate::relief::{self, AllowUse, Noted, Relief, relieve};
use fluxtap_alert::{Action, Alert, CloseReason, Lifecycle, Step};
use fluxtap_flux::{FluxKind, Policy, Pool, Score, Severity, Verdict, judge};
use fluxtap_intel::{Day, Intel};
use fluxtap_observe::{Batch, Inside, Marker, Stage};
use fluxtap_window::{
    DomainRef, DomainWindow, Evidence, LookUps, Rank, Renumber, ServerEvidence, Share, Subject,
    Table, TableCounts, ThreatMatch, WINDOWS_S, limits,
};
use fluxtap_wire::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Most domains of a partition whose alert life is remembered at a time, open, pending or lately
/// closed: 65,536 of all. Beyond it no further domain can alert, which is counted.
pub const ALERTS_PER_PARTITION_MAX: usize = 65_536 / limits::PARTITIONS;

/// Least time between two judgements of a domain with an open alert, in seconds.
const JUDGE_ALERTED_S: u32 = 60;

/// The same where the alert has the highest severity, as a share of the least time between two of its
/// lines, 1 in so many, and in seconds at most: nothing worse can be found.
const JUDGE_HIGHEST_ONE_IN: u64 = 3;
const JUDGE_HIGHEST_S_MAX: u32 = 300;

/// A domain's history delays its next judgement by a second per so many sets, so that the cost of
/// judging stays in proportion to the traffic that feeds it.
const SETS_PER_SECOND: u32 = 8;

/// Longest pause between two judgements of a domain, in seconds.
const JUDGE_PAUSE_S_MAX: u32 = 60;

/// A step back beyond this, in seconds, is time set back and not a late packet.
const JUMP_BACK_S: u64 = 3_600;

/// Seconds since the epoch count as this at most (the year 2106): there is room for pauses behind it.
const SECONDS_MAX: u32 = u32::MAX - 3_600;

/// Seconds between two sweeps of one partition each for domains that expired.
const SWEEP_S: u64 = 60;

/// Counters of the shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounts {
    /// Observations taken.
    pub observations: u64,
    /// Judgements made.
    pub judgements: u64,
    /// Alert lines.
    pub alerts: u64,
    /// Alerts that opened (`flux-new` and `flux-reopened`), by severity at that time.
    pub opened: [u64; 3],
    /// Alerts that ended.
    pub ended: u64,
    /// Domains whose diversity would have alerted, but whose owners say a pool of volunteers or of
    /// one operator.
    pub pools: u64,
    /// Of these, pools of rented servers.
    pub hosting_pools: u64,
    /// Alerts that ended because the domain was led into a sinkhole.
    pub sinkholed: u64,
    /// Findings that could not be followed because of [`ALERTS_PER_PARTITION_MAX`].
    pub alerts_refused: u64,
    /// Alerts that opened and were not written, because the policy says so, by severity.
    pub unwritten: [u64; 3],
    /// Domains whose alert the operator's allow list kept back or ended, each once a day, UTC.
    pub suppressed: u64,
    /// Lines about domains that are on a threat list which raises alerts of its own; a domain has
    /// one a day, UTC.
    pub intel_matches: u64,
    /// Such hits that the operator's allow list kept back, likewise.
    pub intel_matches_allowed: u64,
    /// Such hits that could not be followed because there were too many.
    pub intel_matches_refused: u64,
    /// Lines about domains of which a name went back and forth between addresses inside a network and
    /// outside; a domain has one a day, UTC.
    pub rebindings: u64,
    /// Those that the operator's allow list kept back, likewise.
    pub rebindings_allowed: u64,
    /// Those that could not be followed because there were too many.
    pub rebindings_refused: u64,
    /// Domains and names that were watched and had to make room.
    pub rebindings_evicted: u64,
}

impl ShardCounts {
    /// Adds the counters of another shard.
    pub fn add(&mut self, other: &Self) {
        self.observations += other.observations;
        self.judgements += other.judgements;
        self.alerts += other.alerts;
        self.ended += other.ended;
        self.pools += other.pools;
        self.hosting_pools += other.hosting_pools;
        self.sinkholed += other.sinkholed;
        self.alerts_refused += other.alerts_refused;
        self.suppressed += other.suppressed;
        self.intel_matches += other.intel_matches;
        self.intel_matches_allowed += other.intel_matches_allowed;
        self.intel_matches_refused += other.intel_matches_refused;
        self.rebindings += other.rebindings;
        self.rebindings_allowed += other.rebindings_allowed;
        self.rebindings_refused += other.rebindings_refused;
        self.rebindings_evicted += other.rebindings_evicted;
        for severity in 0..self.opened.len() {
            self.opened[severity] += other.opened[severity];
            self.unwritten[severity] += other.unwritten[severity];
        }
    }
}

/// What the curated lists explained away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    /// Answers with addresses behind a curated zone, by its number in [`Intel::zones`].
    pub zones: Vec<u64>,
    /// Addresses of domains that were judged, in the address table: how many it knows, and those of
    /// content networks.
    pub look_ups: LookUps,
}

impl Explained {
    /// Adds what they explained to another shard.
    pub fn add(&mut self, other: &Self) {
        self.zones.resize(self.zones.len().max(other.zones.len()), 0);
        for (sum, zone) in self.zones.iter_mut().zip(&other.zones) {
            *sum += zone;
        }
        self.look_ups.add(&other.look_ups);
    }
}

/// A domain whose alert is open at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAlert {
    /// The domain, wire form.
    pub domain: Vec<u8>,
    /// The alert's id.
    pub id: String,
    /// Its severity.
    pub severity: Severity,
    /// When it was opened.
    pub opened: Timestamp,
}

/// What became of one domain that is watched while packets are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The domain, wire form.
    pub domain: Vec<u8>,
    /// Judgements of it.
    pub judgements: u64,
    /// The highest score of them, before an allow list, and when it was reached first.
    pub highest: Option<(Timestamp, Score)>,
}

impl Watched {
    fn note(&mut self, at: Timestamp, verdict: Option<&Verdict>) {
        self.judgements += 1;
        if let Some(verdict) = verdict
            && self.highest.is_none_or(|(_, score)| score < verdict.score)
        {
            self.highest = Some((at, verdict.score));
        }
    }
}

/// One judgement of a domain, for who measures what judgements are worth.
#[derive(Clone, Debug)]
pub struct Judged {
    /// When.
    pub at: Timestamp,
    /// The domain, wire form.
    pub domain: Box<[u8]>,
    /// What came out.
    pub verdict: Verdict,
    /// What was judged.
    pub subject: Subject,
}

/// The alert of one domain as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertState {
    /// Whether it is open.
    pub is_open: bool,
    /// Whether a first judgement waits to be confirmed by a second.
    pub is_pending: bool,
    /// Whether it is open and the policy lets no line be written.
    pub is_untold: bool,
    /// Its severity; the last one if it is not open.
    pub severity: Severity,
}

/// Where event time stands, and what goes round with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    now: Timestamp,
    swept: Timestamp,
    sweep_partition: u8,
    queries_visible: Option<bool>,
    lacking_percent: Option<u8>,
}

impl Moment {
    /// Event time: what was due until then was told.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }
}

/// Why a partition that was written down cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsound {
    /// The bytes are none.
    Form,
    /// They say what cannot be.
    Content,
}

/// A partition as it is written down.
#[derive(Serialize)]
struct Saving<'a> {
    windows: fluxtap_window::Saving<'a>,
    due: Vec<(u32, Vec<DomainRef>)>,
    records: Vec<(&'a [u8], &'a Record)>,
}

/// The same as it is read.
#[derive(Deserialize)]
struct Saved {
    windows: fluxtap_window::Saved,
    due: Vec<(u32, Vec<DomainRef>)>,
    records: Vec<(Box<[u8]>, Record)>,
}

/// A domain's alert and what its last line rested on.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    lifecycle: Lifecycle,
    partition: u8,
    domain: Option<DomainRef>,
    basis: Option<Basis>,
    /// By position in the allow list, which may be another one when the record is read again.
    #[serde(skip)]
    noted: Noted,
}

/// What a judgement rested on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Basis {
    verdict: Verdict,
    subject: Subject,
    servers: Option<ServerEvidence>,
    /// What threat lists said of what was judged; others may be there when the record is read again.
    #[serde(skip)]
    threats: Vec<ThreatMatch>,
    /// The kind of the finding of which entries of the allow list took a part away.
    relieved: Option<FluxKind>,
}

impl Basis {
    fn of(verdict: Verdict, measured: Measured, relieved: Option<FluxKind>) -> Self {
        let Measured { features, threats } = measured;
        let subject = features.subjects[verdict.subject].clone();
        let threats = threats.of_subject(subject.key()).cloned().collect();
        Self { verdict, subject, servers: features.servers, threats, relieved }
    }
}

/// See the crate's head.
#[derive(Debug)]
pub struct Shard {
    table: Table,
    policy: Policy,
    records: BTreeMap<Box<[u8]>, Record>,
    records_of: [usize; limits::PARTITIONS],
    /// Domains to be judged, by the second in which they may.
    due: BTreeMap<u32, Vec<DomainRef>>,
    /// Domains that are on a threat list, until that is told.
    matches: Matches,
    /// Names that were answered with addresses inside a network.
    rebinds: Rebinds,
    /// Until then every domain that is seen is looked up in the threat lists: other ones came into
    /// force, and a domain from before may be on them. Later it is forgotten, and new again.
    all_looked_up_until: Timestamp,
    /// No open alert ends before this.
    next_end: Option<Timestamp>,
    now: Timestamp,
    swept: Timestamp,
    sweep_partition: u8,
    /// What was known about queries when event time last moved.
    queries_visible: Option<bool>,
    /// And how many in a hundred responses lacked their query then.
    lacking_percent: Option<u8>,
    counts: ShardCounts,
    explained: Explained,
    /// By position in the allow list.
    allow_uses: Vec<AllowUse>,
    /// By name of the threat list; as many as ever were configured.
    list_uses: BTreeMap<Box<str>, u64>,
    watched: Option<Box<Watched>>,
    marker: Marker,
    /// Judgements since they were last taken, where somebody wants them.
    log: Option<Vec<Judged>>,
}

impl Shard {
    /// A shard that judges by `policy` and holds at most `bytes_max` bytes of windows.
    #[must_use]
    pub fn new(policy: Policy, bytes_max: usize, hash_key: u64) -> Self {
        Self {
            table: Table::new(bytes_max, hash_key),
            policy,
            records: BTreeMap::new(),
            records_of: [0; limits::PARTITIONS],
            due: BTreeMap::new(),
            matches: Matches::default(),
            rebinds: Rebinds::default(),
            all_looked_up_until: Timestamp::default(),
            next_end: None,
            now: Timestamp::default(),
            swept: Timestamp::default(),
            sweep_partition: 0,
            queries_visible: None,
            lacking_percent: None,
            counts: ShardCounts::default(),
            explained: Explained::default(),
            allow_uses: Vec::new(),
            list_uses: BTreeMap::new(),
            watched: None,
            marker: Marker::default(),
            log: None,
        }
    }

    /// From now on `marker` shows what it is busy with: [`Stage::Window`] or [`Stage::Judge`].
    pub fn set_marker(&mut self, marker: &Marker) {
        self.marker = marker.clone();
    }

    /// The same, which keeps the clients that asked last: see [`Table::list_clients`].
    #[must_use]
    pub fn with_client_lists(mut self) -> Self {
        self.table.list_clients();
        self
    }

    /// The same, which notes the judgements of one domain, in lower-case wire form: see
    /// [`Shard::watched`].
    #[must_use]
    pub fn with_watch(mut self, domain: &[u8]) -> Self {
        self.watched = Some(Box::new(Watched { domain: domain.to_vec(), ..Watched::default() }));
        self
    }

    /// The same, which keeps every judgement until it is taken: see [`Shard::take_log`].
    #[must_use]
    pub fn with_log(mut self) -> Self {
        self.log = Some(Vec::new());
        self
    }

    /// Goes on with another policy, and with other lists from the next call on: what was counted by
    /// position in a list begins anew, and domains that are known are looked up in threat lists when
    /// they are seen again, though they bring nothing new.
    pub fn reload(&mut self, policy: Policy) {
        self.policy = policy;
        self.all_looked_up_until = self.now.plus_secs(u64::from(WINDOWS_S[3]));
        self.allow_uses.clear();
        for record in self.records.values_mut() {
            record.noted = Noted::default();
        }
    }

    /// Where it stands in event time, which is the same for all shards that share the domains out.
    #[must_use]
    pub const fn moment(&self) -> Moment {
        let Self { now, swept, sweep_partition, queries_visible, lacking_percent, .. } = *self;
        Moment { now, swept, sweep_partition, queries_visible, lacking_percent }
    }

    /// Begins where others, whose partitions it takes over, had come to. The lists may be others by
    /// now, so it is as after [`Shard::reload`].
    pub fn resume(&mut self, moment: Moment) {
        let Moment { now, swept, sweep_partition, queries_visible, lacking_percent } = moment;
        self.now = now;
        self.all_looked_up_until = now.plus_secs(u64::from(WINDOWS_S[3]));
        self.swept = swept;
        self.sweep_partition = sweep_partition % limits::PARTITIONS as u8;
        self.queries_visible = queries_visible;
        self.lacking_percent = lacking_percent;
    }

    /// A partition written down: its windows, what waits to be judged, and its alerts.
    #[must_use]
    pub fn save(&self, partition: u8) -> Vec<u8> {
        let of_it = |domains: &[DomainRef]| -> Vec<DomainRef> {
            domains.iter().filter(|domain| domain.partition == partition).copied().collect()
        };
        let due = self.due.iter().map(|(&at_s, domains)| (at_s, of_it(domains)));
        let records = self.records.iter().filter(|(_, record)| record.partition == partition);
        let saving = Saving {
            windows: self.table.save(partition),
            due: due.filter(|(_, domains)| !domains.is_empty()).collect(),
            records: records.map(|(name, record)| (&**name, record)).collect(),
        };
        postcard::to_stdvec(&saving).unwrap_or_else(|error| {
            unreachable!("the lengths of all parts are known, and memory has no end: {error}")
        })
    }

    /// Takes a partition over that was written down.
    ///
    /// # Errors
    /// What is wrong with it; the partition is as it was then.
    pub fn load(&mut self, partition: u8, saved: &[u8], intel: &Intel) -> Result<(), Unsound> {
        let Ok((saved, [])) = postcard::take_from_bytes::<Saved>(saved) else {
            return Err(Unsound::Form);
        };
        let is_of_it = |domain: &DomainRef| domain.partition == partition;
        let mut due = saved.due.iter().flat_map(|(_, domains)| domains);
        let mut records = saved.records.iter().map(|(_, record)| record);
        if usize::from(partition) >= limits::PARTITIONS
            || saved.records.len() > ALERTS_PER_PARTITION_MAX
            || !due.all(is_of_it)
            || !records.all(|r| r.partition == partition && r.domain.as_ref().is_none_or(is_of_it))
            || !self.table.load(partition, saved.windows)
        {
            return Err(Unsound::Content);
        }
        for (at_s, domains) in saved.due {
            self.due.entry(at_s).or_default().extend(domains);
        }
        self.records_of[usize::from(partition)] = saved.records.len();
        for (name, record) in saved.records {
            if let Some(quiet_at) = record.lifecycle.quiet_at() {
                let end = whole_minute(quiet_at);
                self.next_end = Some(self.next_end.map_or(end, |next| next.min(end)));
                // A line that says it ended may come before it is judged again.
                if let Some(window) = record.domain.and_then(|domain| self.table.get_mut(domain)) {
                    window.look_up_owners(intel, &mut self.explained.look_ups);
                }
            }
            self.records.insert(name, record);
        }
        Ok(())
    }

    /// Gives what refers to curated zones and to the allow list the numbers these have in other
    /// lists, which come into force with the next call.
    pub fn renumber(&mut self, numbers: &Renumber) {
        self.table.renumber(numbers);
    }

    /// Takes a batch in; alerts that fall due are appended to `out` in order of (time, domain).
    pub fn apply(&mut self, batch: &Batch, intel: &Intel, out: &mut Vec<Alert>) {
        let mut told = Vec::new();
        self.apply_part(Share::WHOLE, batch, intel, &mut told);
        in_order(&mut told, out);
    }

    /// The same for a part of the domains: as one of several shards that share them out. All of them
    /// take every batch and tick, and [`in_order`] makes one list of what they tell.
    pub fn apply_part(&mut self, share: Share, batch: &Batch, intel: &Intel, told: &mut Vec<Told>) {
        self.marker.enter(Stage::Window);
        let mut step = 0;
        let mut insides = batch.insides();
        for (number, (reached, observation)) in batch.steps().enumerate() {
            self.table.look_ahead(share, batch, number);
            for reached in reached {
                self.take_insides(&mut insides, (number, step), share, batch);
                step += 1;
                self.queries_visible = reached.queries_visible;
                self.lacking_percent = reached.lacking_percent;
                self.step(step, reached.at, intel, told);
            }
            self.take_insides(&mut insides, (number, step), share, batch);
            let Some(observation) = observation else { break };
            if !share.holds(observation.domain_hash) {
                continue;
            }
            self.counts.observations += 1;
            self.rebinds.outside(observation, batch);
            if let Some(zone) = observation.zone
                && !batch.addresses(observation).is_empty()
            {
                let zone = usize::from(zone);
                let zones = &mut self.explained.zones;
                zones.resize(zones.len().max(zone + 1), 0);
                zones[zone] += 1;
            }
            let admitted = self.table.admitted();
            let applied = self.table.apply(observation, batch);
            let is_new = self.table.admitted() != admitted;
            let is_news = is_new || applied.as_ref().is_some_and(|applied| applied.is_changed);
            if is_news || self.now < self.all_looked_up_until {
                let due_s = seconds(self.now) + 1;
                self.counts.intel_matches_refused +=
                    matches::note(&mut self.matches, observation, batch, intel, due_s);
            }
            let Some(applied) = applied else { continue };
            if !applied.is_refreshed {
                continue;
            }
            let Some(reference) = applied.domain else { continue };
            let Some(domain) = self.table.get(reference) else { continue };
            // A fill that brings nothing new can confirm a suspicion, but not raise one.
            let is_reason = applied.is_changed || domain.rank() >= Rank::Suspect;
            if is_reason && domain.is_worth_judging(self.policy.addresses_min) {
                let due_s = seconds(self.now) + 1;
                // The bound is for domains that were judged before time was set back.
                let pause_s_max = JUDGE_PAUSE_S_MAX.max(JUDGE_HIGHEST_S_MAX);
                let next_s = domain.next_judged_s().min(due_s + pause_s_max);
                self.queue(reference, due_s.max(next_s));
            }
        }
    }

    /// Takes those answers with addresses inside a network that come before the observation and the
    /// step of event time with these numbers.
    #[inline]
    fn take_insides(
        &mut self,
        insides: &mut &[Inside],
        (number, step): (usize, u32),
        share: Share,
        batch: &Batch,
    ) {
        while let Some((inside, rest)) = insides.split_first()
            && inside.is_before(number, step)
        {
            *insides = rest;
            if share.holds(inside.domain_hash)
                && let Some(rebound) = self.rebinds.inside(inside, batch)
            {
                let has_room = self.rebinds.news.wait(seconds(self.now) + 1, rebound);
                self.counts.rebindings_refused += u64::from(!has_room);
            }
        }
    }

    /// Moves event time to `now`: judges what is due and ends what went quiet, in order of time.
    pub fn tick(&mut self, now: Timestamp, intel: &Intel, out: &mut Vec<Alert>) {
        let mut told = Vec::new();
        self.tick_part(now, intel, &mut told);
        in_order(&mut told, out);
    }

    /// The same, as one of several shards: see [`Shard::apply_part`].
    pub fn tick_part(&mut self, now: Timestamp, intel: &Intel, told: &mut Vec<Told>) {
        self.step(0, now, intel, told);
    }

    /// Step `step` of event time within a batch.
    fn step(&mut self, step: u32, now: Timestamp, intel: &Intel, told: &mut Vec<Told>) {
        if now.plus_secs(JUMP_BACK_S) < self.now {
            // Time was set back: what waits for a time that will not come soon is due now.
            let waiting = std::mem::take(&mut self.due).into_values().flatten().collect();
            self.due.insert(seconds(now) + 1, waiting);
            self.matches.hasten(seconds(now) + 1);
            self.rebinds.news.hasten(seconds(now) + 1);
        } else if now.secs() <= self.now.secs() {
            return;
        }
        self.now = now;
        let mut alerts = Vec::new();
        self.collect_evicted(intel, &mut alerts);
        self.run_until(now, intel, &mut alerts);
        self.sweep(now);
        told.extend(alerts.into_iter().map(|alert| Told { step, alert }));
    }

    /// The end of input: judges everything that waits, at the time it would have been.
    pub fn finish(&mut self, intel: &Intel, out: &mut Vec<Alert>) {
        let mut told = Vec::new();
        self.finish_part(intel, &mut told);
        in_order(&mut told, out);
    }

    /// The same, as one of several shards: see [`Shard::apply_part`].
    pub fn finish_part(&mut self, intel: &Intel, told: &mut Vec<Told>) {
        let mut alerts = Vec::new();
        self.collect_evicted(intel, &mut alerts);
        while let Some(last_s) = self
            .due
            .last_key_value()
            .map(|(&s, _)| s)
            .max(self.matches.last_s())
            .max(self.rebinds.news.last_s())
        {
            let last = Timestamp::from_secs(u64::from(last_s));
            self.run_until(last, intel, &mut alerts);
        }
        told.extend(alerts.into_iter().map(|alert| Told { step: 0, alert }));
    }

    /// The counters.
    #[must_use]
    pub const fn counts(&self) -> ShardCounts {
        ShardCounts { rebindings_evicted: self.rebinds.evicted, ..self.counts }
    }

    /// What the curated lists explained away.
    #[must_use]
    pub const fn explained(&self) -> &Explained {
        &self.explained
    }

    /// How often entries of the allow list mattered, by position in it; those behind the last that
    /// did are not there.
    #[must_use]
    pub fn allow_uses(&self) -> &[AllowUse] {
        &self.allow_uses
    }

    /// Lines that told of a hit in a threat list, by the list's name; those of which none did are
    /// not there.
    #[must_use]
    pub const fn list_uses(&self) -> &BTreeMap<Box<str>, u64> {
        &self.list_uses
    }

    /// The counters of the windows.
    #[must_use]
    pub fn table_counts(&self) -> TableCounts {
        self.table.counts()
    }

    /// Alerts that are open and were written, in order of their domains.
    #[must_use]
    pub fn open_alerts(&self) -> Vec<OpenAlert> {
        self.records
            .iter()
            .filter(|(_, r)| r.lifecycle.is_open() && !r.lifecycle.is_untold())
            .map(|(domain, record)| OpenAlert {
                domain: domain.to_vec(),
                id: record.lifecycle.id().to_owned(),
                severity: record.lifecycle.severity(),
                opened: record.lifecycle.opened(),
            })
            .collect()
    }

    /// The policy as it is while as much is lost as now.
    #[must_use]
    pub fn policy_now(&self) -> Policy {
        self.policy.under_loss(self.lacking_percent)
    }

    /// What became of the domain that is watched.
    #[must_use]
    pub fn watched(&self) -> Option<&Watched> {
        self.watched.as_deref()
    }

    /// The judgements since the last call, in their order. Who asked for them takes them behind each
    /// batch; nothing else bounds them.
    pub fn take_log(&mut self) -> Vec<Judged> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The windows of a domain by its hash, as observations have it, and its name in lower-case
    /// wire form.
    #[must_use]
    pub fn window(&self, domain_hash: u64, domain: &[u8]) -> Option<Cow<'_, DomainWindow>> {
        self.table.window(domain_hash, domain)
    }

    /// The alert of a domain, in lower-case wire form; `None` if nothing of it is remembered.
    #[must_use]
    pub fn alert_state(&self, domain: &[u8]) -> Option<AlertState> {
        let lifecycle = &self.records.get(domain)?.lifecycle;
        Some(AlertState {
            is_open: lifecycle.is_open(),
            is_pending: lifecycle.is_pending(),
            is_untold: lifecycle.is_untold(),
            severity: lifecycle.severity(),
        })
    }

    fn queue(&mut self, domain: DomainRef, due_s: u32) {
        if self.table.queue(domain) {
            self.due.entry(due_s).or_default().push(domain);
        }
    }

    /// Handles judgements and endings up to `now`, whichever comes first.
    fn run_until(&mut self, now: Timestamp, intel: &Intel, out: &mut Vec<Alert>) {
        loop {
            let due_s = self.due.first_key_value().map(|(&s, _)| s);
            let due_s = due_s.into_iter().chain(self.matches.first_s());
            let due_s = due_s.chain(self.rebinds.news.first_s()).min();
            let due = due_s.map(|s| (s, Timestamp::from_secs(u64::from(s))));
            let due = due.filter(|&(_, at)| at <= now);
            let end = self.next_end.filter(|&at| at <= now);
            match (due, end) {
                (Some((due_s, at)), end) if end.is_none_or(|end| at <= end) => {
                    self.marker.enter(Stage::Judge);
                    self.judge_all(due_s, intel, out);
                    self.marker.enter(Stage::Window);
                }
                (_, Some(end)) => self.end_quiet(end, intel, out),
                _ => return,
            }
        }
    }

    /// Judges the domains that are due in one second in the order of their names.
    fn judge_all(&mut self, due_s: u32, intel: &Intel, out: &mut Vec<Alert>) {
        let at = Timestamp::from_secs(u64::from(due_s));
        // Both by the second they wait for: that may lie behind the last one that `seconds` knows.
        let domains = self.due.remove(&due_s).unwrap_or_default();
        let matched = self.matches.take(due_s);
        let mut named: Vec<(Box<[u8]>, Reason)> = domains
            .into_iter()
            .filter_map(|d| self.table.get(d).map(|w| (w.name().into(), Reason::Due(d))))
            .collect();
        named.extend(matched.map(|found| (found.domain().into(), Reason::Matched(found))));
        let rebound = self.rebinds.news.take(due_s);
        named.extend(rebound.map(|found| (found.domain().into(), Reason::Rebound(found))));
        named.sort_unstable();
        for (name, reason) in named {
            match reason {
                Reason::Due(domain) => {
                    self.table.unqueue(domain);
                    self.judge_one(at, &name, domain, intel, out);
                }
                Reason::Matched(found) => self.tell_match(at, &found, intel, out),
                Reason::Rebound(found) => self.tell_rebinding(at, &found, intel, out),
            }
        }
    }

    /// Tells that a domain is on a threat list, once a day, unless the allow list covers it.
    fn tell_match(&mut self, at: Timestamp, found: &Match, intel: &Intel, out: &mut Vec<Alert>) {
        let day = Day::of(at.secs());
        if self.matches.is_told(found, day) {
            return;
        }
        let Some(window) = self.table.window(found.hash(), found.domain()) else { return };
        let exempt = intel.allow().in_force(at.secs(), FluxKind::Intel as usize);
        let covered = exempt.name(found.domain());
        let alert = match covered {
            Some(_) => None,
            None => match matches::alert(window.into_owned(), found, at, intel, &exempt) {
                Some(alert) => Some(alert),
                None => return,
            },
        };
        if !self.matches.note_told(found, day) {
            self.counts.intel_matches_refused += 1;
            return;
        }
        if let Some(entry) = covered {
            self.counts.intel_matches_allowed += 1;
            relief::note_use(&mut self.allow_uses, entry, at);
        }
        alert.into_iter().for_each(|alert| self.tell_once(alert, out));
    }

    /// Tells that a name of a domain went back and forth, likewise.
    fn tell_rebinding(
        &mut self,
        at: Timestamp,
        found: &Rebound,
        intel: &Intel,
        out: &mut Vec<Alert>,
    ) {
        let day = Day::of(at.secs());
        if self.rebinds.news.is_told(found, day) {
            return;
        }
        let Some(window) = self.table.window(found.hash(), found.domain()) else { return };
        let exempt = intel.allow().in_force(at.secs(), FluxKind::Rebinding as usize);
        let covered = exempt.name(found.domain());
        let alert = rebinding::alert(window.into_owned(), found, at, intel, &exempt);
        if !self.rebinds.news.note_told(found, day) {
            self.counts.rebindings_refused += 1;
            return;
        }
        match covered {
            Some(entry) => {
                self.counts.rebindings_allowed += 1;
                relief::note_use(&mut self.allow_uses, entry, at);
            }
            None => self.tell_once(alert, out),
        }
    }

    /// Hands on a line that has no further ones, if it is written.
    fn tell_once(&mut self, alert: Alert, out: &mut Vec<Alert>) {
        let severity = alert.severity;
        let is_written = self.policy.is_written(alert.verdict.kind, severity);
        let step = Step { action: alert.action, severity, threshold: alert.threshold, is_written };
        self.tell(step, Some(alert).filter(|_| is_written), out);
    }

    fn judge_one(
        &mut self,
        at: Timestamp,
        name: &[u8],
        domain: DomainRef,
        intel: &Intel,
        out: &mut Vec<Alert>,
    ) {
        let policy = self.policy_now();
        let Some(window) = self.table.get_mut(domain) else { return };
        if window.is_sinkholed() {
            let next_s = seconds(at) + JUDGE_PAUSE_S_MAX;
            window.set_judged(next_s, Rank::Suspect, false);
            self.end_sinkholed(at, name, domain, intel, out);
            return;
        }
        window.look_up_owners(intel, &mut self.explained.look_ups);
        self.counts.judgements += 1;
        let now_s = seconds(at);
        let measured = measure(window, now_s, &policy, intel, None);
        let history_len = window.history_len();
        let mut rank = Rank::Plain;
        let mut pool = None;
        let verdict = judge(&measured.features, &policy);
        if let Some(watched) = self.watched.as_deref_mut().filter(|w| w.domain == name) {
            watched.note(at, verdict.as_ref());
        }
        if let (Some(log), Some(verdict)) = (&mut self.log, &verdict) {
            let subject = measured.features.subjects[verdict.subject].clone();
            log.push(Judged { at, domain: name.into(), verdict: verdict.clone(), subject });
        }
        if let Some(verdict) = &verdict {
            pool = verdict.pool;
            // What an allow list suppresses is followed like any other suspicion.
            if verdict.score.0 * 2 >= policy.thresholds[0].0 {
                rank = Rank::Suspect;
            }
        }
        let finding = verdict.as_ref().filter(|verdict| verdict.severity(&policy).is_some());
        let relief = match finding {
            Some(it) => relieve(window, it, now_s, &policy, intel),
            None => self.covered(at, name, intel),
        };
        let is_open = match (relief, verdict) {
            (Some(relief), verdict) => {
                let kind = verdict.map(|verdict| verdict.kind);
                self.follow_rest(at, name, domain, kind, relief, intel, out)
            }
            (None, Some(verdict)) => {
                let basis = Basis::of(verdict, measured, None);
                self.follow(at, name, domain, basis, intel, out)
            }
            (None, None) => false,
        };
        if is_open {
            rank = Rank::Alerted;
        }
        let pause_s = self.pause_s(rank, name, history_len);
        if let Some(window) = self.table.get_mut(domain) {
            let is_new_pool = window.set_judged(now_s + pause_s, rank, pool.is_some());
            self.counts.pools += u64::from(is_new_pool);
            self.counts.hosting_pools += u64::from(is_new_pool && pool == Some(Pool::Hosting));
        }
    }

    /// How long a domain of a rank is not judged again, in seconds.
    fn pause_s(&self, rank: Rank, name: &[u8], history_len: u32) -> u32 {
        if rank != Rank::Alerted {
            return (1 + history_len / SETS_PER_SECOND).min(JUDGE_PAUSE_S_MAX);
        }
        let severity = self.records.get(name).map(|record| record.lifecycle.severity());
        let share_s = u32::try_from(self.policy.update_s / JUDGE_HIGHEST_ONE_IN);
        match severity {
            Some(Severity::High) => {
                share_s.unwrap_or(u32::MAX).clamp(JUDGE_ALERTED_S, JUDGE_HIGHEST_S_MAX)
            }
            _ => JUDGE_ALERTED_S,
        }
    }

    /// Ends the alert of a domain that somebody took over.
    fn end_sinkholed(
        &mut self,
        at: Timestamp,
        name: &[u8],
        domain: DomainRef,
        intel: &Intel,
        out: &mut Vec<Alert>,
    ) {
        let Some(record) = self.records.get_mut(name) else { return };
        if let Some(step) = record.lifecycle.sinkholed(at, &self.policy) {
            self.counts.sinkholed += 1;
            let window = self.table.get(domain);
            let alert = alert_of(step, record, window, name, at, &self.policy, intel);
            self.tell(step, alert, out);
        }
    }

    /// The entry of the allow list that covers a domain with an open alert, though nothing is found
    /// now: it need not stay open for a day because the entry came when the flux was over.
    fn covered(&self, at: Timestamp, name: &[u8], intel: &Intel) -> Option<Relief> {
        let record = self.records.get(name).filter(|record| record.lifecycle.is_open())?;
        let kind = record.basis.as_ref()?.verdict.kind;
        let entry = intel.allow().in_force(at.secs(), kind as usize).name(name)?;
        Some(Relief::whole(entry))
    }

    /// Lets the domain's alert follow what an allow list leaves of a finding of a kind; whether an
    /// alert is open then.
    #[expect(clippy::too_many_arguments, reason = "the parts of one judgement, used once")]
    fn follow_rest(
        &mut self,
        at: Timestamp,
        name: &[u8],
        domain: DomainRef,
        kind: Option<FluxKind>,
        relief: Relief,
        intel: &Intel,
        out: &mut Vec<Alert>,
    ) -> bool {
        let is_suppressed = relief.is_suppressed(&self.policy);
        let Some(record) = record(&mut self.records, &mut self.records_of, name, domain) else {
            self.counts.alerts_refused += 1;
            return false;
        };
        let is_open = record.lifecycle.is_open();
        // An alert that rests on what entries leave is followed by that, and goes quiet like any
        // other; it does not end whenever that falls below the threshold.
        let rests_on_rest = record.basis.as_ref().is_some_and(|basis| basis.relieved.is_some());
        let is_over = relief.is_whole || (is_suppressed && is_open && !rests_on_rest);
        let is_kept_back = is_suppressed && (is_over || !is_open);
        let is_new = record.noted.note(at, &relief.entries, is_kept_back, &mut self.allow_uses);
        self.counts.suppressed += u64::from(is_new);
        if is_over {
            if let Some(step) = record.lifecycle.allowlisted(at, &self.policy) {
                let window = self.table.get(domain);
                let alert = alert_of(step, record, window, name, at, &self.policy, intel);
                self.tell(step, alert, out);
            }
            return false;
        }
        match relief.rest {
            Some((measured, verdict)) => {
                let basis = Basis::of(verdict, measured, kind);
                self.follow(at, name, domain, basis, intel, out)
            }
            None => is_open,
        }
    }

    /// Lets the domain's alert follow a judgement; whether an alert is open then.
    fn follow(
        &mut self,
        at: Timestamp,
        name: &[u8],
        domain: DomainRef,
        basis: Basis,
        intel: &Intel,
        out: &mut Vec<Alert>,
    ) -> bool {
        let is_finding = basis.verdict.severity(&self.policy).is_some();
        if !is_finding && !self.records.contains_key(name) {
            return false;
        }
        let Some(record) = record(&mut self.records, &mut self.records_of, name, domain) else {
            self.counts.alerts_refused += 1;
            return false;
        };
        let step = record.lifecycle.judged(at, name, &basis.verdict, &self.policy);
        if is_finding || record.basis.is_none() {
            record.basis = Some(basis);
        }
        let is_open = record.lifecycle.is_open();
        if let Some(quiet_at) = record.lifecycle.quiet_at() {
            let end = whole_minute(quiet_at);
            self.next_end = Some(self.next_end.map_or(end, |next| next.min(end)));
        }
        if let Some(step) = step {
            let window = self.table.get(domain);
            let alert = alert_of(step, record, window, name, at, &self.policy, intel);
            self.tell(step, alert, out);
        }
        is_open
    }

    /// Ends the alerts that are quiet at `at`, in the order of their domains.
    fn end_quiet(&mut self, at: Timestamp, intel: &Intel, out: &mut Vec<Alert>) {
        let mut next: Option<Timestamp> = None;
        let mut ended = Vec::new();
        for (name, record) in &mut self.records {
            // Each ends at its own minute, not with whichever happens to end before.
            let is_due = record.lifecycle.quiet_at().is_some_and(|quiet| whole_minute(quiet) <= at);
            let step = if is_due { record.lifecycle.ticked(at, &self.policy) } else { None };
            if let Some(step) = step {
                let window = record.domain.and_then(|d| self.table.get(d));
                let alert = alert_of(step, record, window, name, at, &self.policy, intel);
                ended.push((step, alert));
                if let Some(window) = record.domain.and_then(|d| self.table.get_mut(d)) {
                    let next_judged_s = window.next_judged_s();
                    window.set_judged(next_judged_s, Rank::Suspect, false);
                }
            } else if let Some(quiet_at) = record.lifecycle.quiet_at() {
                let end = whole_minute(quiet_at);
                next = Some(next.map_or(end, |n| n.min(end)));
            }
        }
        self.next_end = next;
        for (step, alert) in ended {
            self.tell(step, alert, out);
        }
    }

    /// Ends the alerts of domains whose state had to make room.
    fn collect_evicted(&mut self, intel: &Intel, out: &mut Vec<Alert>) {
        let at = self.now;
        let mut gone = self.table.take_evicted();
        gone.sort_by(|a, b| a.name().cmp(b.name()));
        for window in gone {
            let name = window.name();
            let Some(record) = self.records.get_mut(name) else { continue };
            if let Some(step) = record.lifecycle.evicted(at, &self.policy) {
                let alert = alert_of(step, record, Some(&window), name, at, &self.policy, intel);
                self.tell(step, alert, out);
            }
        }
    }

    /// Once a minute drops what was not seen for the longest window, a partition at a time; after
    /// a longer gap all of them.
    fn sweep(&mut self, now: Timestamp) {
        if self.swept == Timestamp::default() {
            self.swept = now;
        }
        let minutes = now.since(self.swept) / (SWEEP_S * Timestamp::SECOND);
        if minutes == 0 {
            return;
        }
        self.swept = now;
        let longest_ms = u64::from(WINDOWS_S[3]) * 1_000;
        let before_ms = now.millis().saturating_sub(longest_ms);
        for _ in 0..minutes.min(limits::PARTITIONS as u64) {
            self.table.expire(self.sweep_partition, before_ms);
            self.rebinds.expire(self.sweep_partition, now);
            self.sweep_partition = (self.sweep_partition + 1) % limits::PARTITIONS as u8;
        }
        if self.sweep_partition == 0 || minutes > limits::PARTITIONS as u64 {
            let records_of = &mut self.records_of;
            self.records.retain(|_, record| {
                let stays =
                    !record.lifecycle.is_forgettable(now) || !record.noted.is_forgettable(now);
                records_of[usize::from(record.partition)] -= usize::from(!stays);
                stays
            });
        }
    }

    /// Counts a step, and hands on its alert if it is written.
    fn tell(&mut self, step: Step, alert: Option<Alert>, out: &mut Vec<Alert>) {
        let alert = alert.map(|alert| Alert {
            queries_visible: self.queries_visible,
            lacking_percent: self.lacking_percent,
            rebound: self
                .rebinds
                .news
                .told(&alert.evidence.domain, Day::of(alert.at.secs()))
                .cloned(),
            ..alert
        });
        let severity = step.severity as usize;
        match (step.action, &alert) {
            (Action::New | Action::Reopened, Some(_)) => self.counts.opened[severity] += 1,
            (Action::New | Action::Reopened, None) => self.counts.unwritten[severity] += 1,
            (Action::Ended(_), Some(_)) => self.counts.ended += 1,
            (Action::Matched, Some(_)) => self.counts.intel_matches += 1,
            (Action::Rebound, Some(_)) => self.counts.rebindings += 1,
            (Action::Matched | Action::Rebound, None) => self.counts.unwritten[severity] += 1,
            (Action::Ended(_) | Action::Ongoing, _) => {}
        }
        let lists: BTreeSet<&str> = alert.iter().flat_map(|a| &a.threats).map(list_name).collect();
        for list in lists {
            match self.list_uses.get_mut(list) {
                Some(lines) => *lines += 1,
                None => drop(self.list_uses.insert(list.into(), 1)),
            }
        }
        self.counts.alerts += u64::from(alert.is_some());
        out.extend(alert);
    }
}

/// The record of a domain, or a new one if there is room for it.
fn record<'a>(
    records: &'a mut BTreeMap<Box<[u8]>, Record>,
    records_of: &mut [usize; limits::PARTITIONS],
    name: &[u8],
    domain: DomainRef,
) -> Option<&'a mut Record> {
    let of_partition = &mut records_of[usize::from(domain.partition)];
    if !records.contains_key(name) {
        if *of_partition >= ALERTS_PER_PARTITION_MAX {
            return None;
        }
        *of_partition += 1;
    }
    let record = records.entry(name.into()).or_default();
    (record.partition, record.domain) = (domain.partition, Some(domain));
    Some(record)
}

/// Why a domain is looked at.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    /// It changed, and may be judged.
    Due(DomainRef),
    /// A threat list may have it.
    Matched(Match),
    /// A name of it came back to an address inside a network.
    Rebound(Rebound),
}

fn list_name(found: &ThreatMatch) -> &str {
    &found.hit.list.name
}

/// The next whole minute: alerts end together then, so that looking through them all to find those
/// that end is done once a minute at most.
const fn whole_minute(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.secs().div_ceil(60).saturating_add(1).saturating_mul(60))
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.secs()).unwrap_or(SECONDS_MAX).min(SECONDS_MAX)
}

/// The alert of a step, if it is written.
fn alert_of(
    step: Step,
    record: &Record,
    window: Option<&DomainWindow>,
    name: &[u8],
    at: Timestamp,
    policy: &Policy,
    intel: &Intel,
) -> Option<Alert> {
    let basis = record.basis.as_ref().filter(|_| step.is_written)?;
    let is_covered = matches!(step.action, Action::Ended(CloseReason::Allowlisted));
    Some(Alert {
        action: step.action,
        at,
        id: record.lifecycle.id().to_owned(),
        revision: record.lifecycle.revision(),
        opened: record.lifecycle.opened(),
        closed: record.lifecycle.closed(),
        severity: step.severity,
        threshold: step.threshold,
        verdict: basis.verdict.clone(),
        subject: basis.subject.clone(),
        threats: basis.threats.clone(),
        servers: basis.servers.clone(),
        evidence: evidence_of(basis, record.lifecycle.fluxed(), window, name, policy, intel),
        campaign: None,
        is_campaign_news: false,
        is_allowlisted: is_covered || basis.relieved.is_some(),
        rebound: None,
        queries_visible: None,
        lacking_percent: None,
    })
}

/// What was seen as of the last finding, at `fluxed`: a line that says the flux ended still shows
/// what it was.
fn evidence_of(
    basis: &Basis,
    fluxed: Timestamp,
    window: Option<&DomainWindow>,
    name: &[u8],
    policy: &Policy,
    intel: &Intel,
) -> Evidence {
    let Some(window) = window else {
        return Evidence { domain: name.to_vec(), host: name.to_vec(), ..Evidence::default() };
    };
    let exempt = basis.relieved.map(|kind| intel.allow().in_force(fluxed.secs(), kind as usize));
    let (key, window_s) = (basis.subject.key(), basis.subject.window_s);
    window.evidence(key, window_s, seconds(fluxed), policy.addresses_min, exempt.as_ref())
}
