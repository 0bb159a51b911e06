//! Windows, judgement and the life of alerts, in event time.

use fluxtap_alert::{Action, Alert, Lifecycle, Step};
use fluxtap_flux::{Policy, Severity, Verdict, judge};
use fluxtap_intel::Intel;
use fluxtap_observe::Batch;
use fluxtap_window::{
    DomainRef, DomainWindow, Evidence, Rank, ServerEvidence, Subject, Table, TableCounts,
    WINDOWS_S, limits,
};
use fluxtap_wire::Timestamp;
use std::collections::BTreeMap;

/// Most domains whose alert life is remembered at a time, open, pending or lately closed. Beyond
/// it no further domain can alert, which is counted.
pub const ALERTS_TRACKED_MAX: usize = 65_536;

/// Least time between two judgements of a domain with an open alert, in seconds.
const JUDGE_ALERTED_S: u32 = 60;

/// A domain's history delays its next judgement by a second per so many sets, so that the cost of
/// judging stays in proportion to the traffic that feeds it.
const SETS_PER_SECOND: u32 = 8;

/// Longest pause between two judgements of a domain, in seconds.
const JUDGE_PAUSE_S_MAX: u32 = 60;

/// A step back beyond this, in seconds, is time set back and not a late packet.
const JUMP_BACK_S: u64 = 3_600;

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
    /// Findings that could not be followed because of [`ALERTS_TRACKED_MAX`].
    pub alerts_refused: u64,
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

/// A domain's alert and what its last line rested on.
#[derive(Debug, Default)]
struct Record {
    lifecycle: Lifecycle,
    domain: Option<DomainRef>,
    basis: Option<(Verdict, Subject, Option<ServerEvidence>)>,
}

/// See the crate's head.
#[derive(Debug)]
pub struct Shard {
    table: Table,
    policy: Policy,
    records: BTreeMap<Box<[u8]>, Record>,
    /// Domains to be judged, by the second in which they may.
    due: BTreeMap<u32, Vec<DomainRef>>,
    /// No open alert ends before this.
    next_end: Option<Timestamp>,
    now: Timestamp,
    swept: Timestamp,
    sweep_partition: u8,
    /// What the latest observation said about queries.
    queries_visible: Option<bool>,
    counts: ShardCounts,
}

impl Shard {
    /// A shard that judges by `policy` and holds at most `bytes_max` bytes of windows.
    #[must_use]
    pub fn new(policy: Policy, bytes_max: usize, hash_key: u64) -> Self {
        Self {
            table: Table::new(bytes_max, hash_key),
            policy,
            records: BTreeMap::new(),
            due: BTreeMap::new(),
            next_end: None,
            now: Timestamp::default(),
            swept: Timestamp::default(),
            sweep_partition: 0,
            queries_visible: None,
            counts: ShardCounts::default(),
        }
    }

    /// Takes a batch in; alerts that fall due are appended to `out` in order of (time, domain).
    pub fn apply(&mut self, batch: &Batch, intel: &Intel, out: &mut Vec<Alert>) {
        std::hint::black_box(self.table.touch(batch));
        for observation in batch.observations() {
            self.tick(observation.at, intel, out);
            self.counts.observations += 1;
            self.queries_visible = observation.queries_visible;
            let Some(applied) = self.table.apply(observation, batch) else { continue };
            if !applied.is_refreshed {
                continue;
            }
            let Some(domain) = self.table.get(applied.domain) else { continue };
            // A fill that brings nothing new can confirm a suspicion, but not raise one.
            let is_reason = applied.is_changed || domain.rank() >= Rank::Suspect;
            if is_reason && domain.is_worth_judging(self.policy.addresses_min) {
                let due_s = seconds(self.now) + 1;
                // The bound is for domains that were judged before time was set back.
                let next_s = domain.next_judged_s().min(due_s + JUDGE_PAUSE_S_MAX);
                self.queue(applied.domain, due_s.max(next_s));
            }
        }
    }

    /// Moves event time to `now`: judges what is due and ends what went quiet, in order of time.
    pub fn tick(&mut self, now: Timestamp, intel: &Intel, out: &mut Vec<Alert>) {
        if now.plus_secs(JUMP_BACK_S) < self.now {
            // Time was set back: what waits for a time that will not come soon is due now.
            let waiting = std::mem::take(&mut self.due).into_values().flatten().collect();
            self.due.insert(seconds(now) + 1, waiting);
        } else if now.secs() <= self.now.secs() {
            return;
        }
        self.now = now;
        self.run_until(now, intel, out);
        self.sweep(now, out);
    }

    /// The end of input: judges everything that waits, at the time it would have been.
    pub fn finish(&mut self, intel: &Intel, out: &mut Vec<Alert>) {
        while let Some((&last_s, _)) = self.due.last_key_value() {
            self.run_until(Timestamp::from_secs(u64::from(last_s)), intel, out);
        }
        self.collect_evicted(out);
    }

    /// The counters.
    #[must_use]
    pub const fn counts(&self) -> ShardCounts {
        self.counts
    }

    /// The counters of the windows.
    #[must_use]
    pub fn table_counts(&self) -> TableCounts {
        self.table.counts()
    }

    /// Alerts that are open, in order of their domains.
    #[must_use]
    pub fn open_alerts(&self) -> Vec<OpenAlert> {
        self.records
            .iter()
            .filter(|(_, record)| record.lifecycle.is_open())
            .map(|(domain, record)| OpenAlert {
                domain: domain.to_vec(),
                id: record.lifecycle.id().to_owned(),
                severity: record.lifecycle.severity(),
                opened: record.lifecycle.opened(),
            })
            .collect()
    }

    fn queue(&mut self, domain: DomainRef, due_s: u32) {
        if self.table.queue(domain) {
            self.due.entry(due_s).or_default().push(domain);
        }
    }

    /// Handles judgements and endings up to `now`, whichever comes first.
    fn run_until(&mut self, now: Timestamp, intel: &Intel, out: &mut Vec<Alert>) {
        loop {
            let due = self.due.first_key_value().map(|(&s, _)| Timestamp::from_secs(u64::from(s)));
            let due = due.filter(|&at| at <= now);
            let end = self.next_end.filter(|&at| at <= now);
            match (due, end) {
                (Some(due), end) if end.is_none_or(|end| due <= end) => {
                    let Some((_, domains)) = self.due.pop_first() else { return };
                    self.judge_all(due, domains, intel, out);
                }
                (_, Some(end)) => self.end_quiet(end, out),
                _ => return,
            }
        }
    }

    /// Judges the domains of one second in the order of their names.
    fn judge_all(
        &mut self,
        at: Timestamp,
        domains: Vec<DomainRef>,
        intel: &Intel,
        out: &mut Vec<Alert>,
    ) {
        self.collect_evicted(out);
        let mut named: Vec<(Box<[u8]>, DomainRef)> = domains
            .into_iter()
            .filter_map(|d| self.table.get(d).map(|window| (window.name().into(), d)))
            .collect();
        named.sort_unstable();
        for (name, domain) in named {
            self.table.unqueue(domain);
            self.judge_one(at, &name, domain, intel, out);
        }
    }

    fn judge_one(
        &mut self,
        at: Timestamp,
        name: &[u8],
        domain: DomainRef,
        intel: &Intel,
        out: &mut Vec<Alert>,
    ) {
        let Some(window) = self.table.get_mut(domain) else { return };
        window.look_up_owners(intel);
        self.counts.judgements += 1;
        let now_s = seconds(at);
        let features = window.features(now_s, self.policy.addresses_min, intel.has_table());
        let history_len = window.history_len();
        let verdict = judge(&features, &self.policy);
        let mut rank = Rank::Plain;
        let mut is_pool = false;
        if let Some(verdict) = verdict {
            is_pool = verdict.is_pool;
            if verdict.score.0 * 2 >= self.policy.thresholds[0].0 {
                rank = Rank::Suspect;
            }
            let subject = features.subjects[verdict.subject].clone();
            if self.follow(at, name, domain, verdict, subject, features.servers, out) {
                rank = Rank::Alerted;
            }
        }
        let pause_s = match rank {
            Rank::Alerted => JUDGE_ALERTED_S,
            _ => (1 + history_len / SETS_PER_SECOND).min(JUDGE_PAUSE_S_MAX),
        };
        if let Some(window) = self.table.get_mut(domain) {
            let is_new_pool = window.set_judged(now_s + pause_s, rank, is_pool);
            self.counts.pools += u64::from(is_new_pool);
        }
    }

    /// Lets the domain's alert follow the verdict; whether an alert is open then.
    #[expect(clippy::too_many_arguments, reason = "the parts of one judgement, used once")]
    fn follow(
        &mut self,
        at: Timestamp,
        name: &[u8],
        domain: DomainRef,
        verdict: Verdict,
        subject: Subject,
        servers: Option<ServerEvidence>,
        out: &mut Vec<Alert>,
    ) -> bool {
        let is_finding = verdict.severity(&self.policy).is_some();
        if !self.records.contains_key(name) {
            if !is_finding {
                return false;
            }
            if self.records.len() >= ALERTS_TRACKED_MAX {
                self.counts.alerts_refused += 1;
                return false;
            }
        }
        let record = self.records.entry(name.into()).or_default();
        let step = record.lifecycle.judged(at, name, &verdict, &self.policy);
        record.domain = Some(domain);
        if is_finding || record.basis.is_none() {
            // What was measured of the servers went into the verdict; an alert shows their counts.
            let servers = servers.map(|s| ServerEvidence { subjects: Vec::new(), ..s });
            record.basis = Some((verdict, subject, servers));
        }
        let is_open = record.lifecycle.is_open();
        if let Some(quiet_at) = record.lifecycle.quiet_at() {
            let end = whole_minute(quiet_at);
            self.next_end = Some(self.next_end.map_or(end, |next| next.min(end)));
        }
        if let Some(step) = step {
            let evidence = evidence_of(self.table.get(domain), record, name, &self.policy);
            let alert = alert_of(step, record, evidence, at, self.queries_visible);
            self.count(&alert);
            out.extend(alert);
        }
        is_open
    }

    /// Ends the alerts that are quiet at `at`, in the order of their domains.
    fn end_quiet(&mut self, at: Timestamp, out: &mut Vec<Alert>) {
        let mut next: Option<Timestamp> = None;
        let mut ended = Vec::new();
        for (name, record) in &mut self.records {
            if let Some(step) = record.lifecycle.ticked(at, &self.policy) {
                let window = record.domain.and_then(|d| self.table.get(d));
                let evidence = evidence_of(window, record, name, &self.policy);
                ended.extend(alert_of(step, record, evidence, at, self.queries_visible));
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
        for alert in ended {
            self.count(&Some(alert.clone()));
            out.push(alert);
        }
    }

    /// Ends the alerts of domains whose state had to make room.
    fn collect_evicted(&mut self, out: &mut Vec<Alert>) {
        let at = self.now;
        let mut gone = self.table.take_evicted();
        gone.sort_by(|a, b| a.name().cmp(b.name()));
        for window in gone {
            let Some(record) = self.records.get_mut(window.name()) else { continue };
            if let Some(step) = record.lifecycle.evicted(at, &self.policy) {
                let evidence = evidence_of(Some(&window), record, window.name(), &self.policy);
                let alert = alert_of(step, record, evidence, at, self.queries_visible);
                self.count(&alert);
                out.extend(alert);
            }
        }
    }

    /// Once a minute drops what was not seen for the longest window, a partition at a time; after
    /// a longer gap all of them.
    fn sweep(&mut self, now: Timestamp, out: &mut Vec<Alert>) {
        if self.swept == Timestamp::default() {
            self.swept = now;
        }
        let minutes = now.since(self.swept) / (SWEEP_S * Timestamp::SECOND);
        if minutes == 0 {
            return;
        }
        self.swept = now;
        self.collect_evicted(out);
        let longest_ms = u64::from(WINDOWS_S[3]) * 1_000;
        let before_ms = now.millis().saturating_sub(longest_ms);
        for _ in 0..minutes.min(limits::PARTITIONS as u64) {
            self.table.expire(self.sweep_partition, before_ms);
            self.sweep_partition = (self.sweep_partition + 1) % limits::PARTITIONS as u8;
        }
        if self.sweep_partition == 0 || minutes > limits::PARTITIONS as u64 {
            self.records.retain(|_, record| !record.lifecycle.is_forgettable(now));
        }
    }

    fn count(&mut self, alert: &Option<Alert>) {
        let Some(alert) = alert else { return };
        self.counts.alerts += 1;
        match alert.action {
            Action::New | Action::Reopened => {
                self.counts.opened[alert.severity as usize] += 1;
            }
            Action::Ended(_) => self.counts.ended += 1,
            Action::Ongoing => {}
        }
    }
}

/// The next whole minute: alerts end together then, so that looking through them all to find those
/// that end is done once a minute at most.
const fn whole_minute(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.secs().div_ceil(60).saturating_add(1).saturating_mul(60))
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.secs()).unwrap_or(u32::MAX - 1)
}

fn evidence_of(
    window: Option<&DomainWindow>,
    record: &Record,
    name: &[u8],
    policy: &Policy,
) -> Evidence {
    let (index, window_s) =
        record.basis.as_ref().map_or((0, WINDOWS_S[3]), |(_, s, _)| (s.index, s.window_s));
    match window {
        // As of the last finding: a line that says the flux ended still shows what it was.
        Some(window) => {
            let fluxed_s = seconds(record.lifecycle.fluxed());
            window.evidence(index, window_s, fluxed_s, policy.addresses_min)
        }
        None => Evidence { domain: name.to_vec(), host: name.to_vec(), ..Evidence::default() },
    }
}

fn alert_of(
    step: Step,
    record: &Record,
    evidence: Evidence,
    at: Timestamp,
    queries_visible: Option<bool>,
) -> Option<Alert> {
    let (verdict, subject, servers) = record.basis.clone()?;
    Some(Alert {
        action: step.action,
        at,
        id: record.lifecycle.id().to_owned(),
        revision: record.lifecycle.revision(),
        opened: record.lifecycle.opened(),
        closed: record.lifecycle.closed(),
        severity: step.severity,
        threshold: step.threshold,
        verdict,
        subject,
        servers,
        evidence,
        queries_visible,
    })
}
