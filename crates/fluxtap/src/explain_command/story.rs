//! What there is to tell about the name: facts alone, for text and JSON alike.

use super::Asked;
use super::follow::Follower;
use crate::inputs::Inputs;
use crate::sensor::Sensor;
use fluxtap_engine::{AlertState, Measured, Relief, Watched, measure, relieve};
use fluxtap_flux::{Distance, FluxKind, Policy, Reckoning, Verdict, deciding, distances, explain};
use fluxtap_window::{
    DomainWindow, Evidence, Features, LeftOut, LookUps, Part, SetSeen, Subject, Threats,
};
use fluxtap_wire::Timestamp;
use std::collections::BTreeSet;

/// See the module's head.
pub(super) struct Story<'a> {
    /// The name as it was asked about, and its registrable domain; wire form.
    pub(super) name: &'a [u8],
    pub(super) domain: &'a [u8],
    pub(super) follower: &'a Follower,
    /// First and last packet time that was believed.
    pub(super) span: Option<(Timestamp, Timestamp)>,
    pub(super) found: Found<'a>,
}

/// How far there is a history.
pub(super) enum Found<'a> {
    /// In no response with facts; the names nearest to it that are.
    NeverSeen { near: Vec<String> },
    /// Only in responses without an address: a domain is tracked from its first address on.
    NoAddress,
    /// It had a history, which made room for others or was not fed for the longest window.
    Gone,
    /// There is one.
    Tracked(Box<Tracked<'a>>),
}

/// A domain with a history, measured and reckoned at one time.
pub(super) struct Tracked<'a> {
    pub(super) at: Timestamp,
    /// Whether that time was asked for; else it is when the domain was seen last.
    pub(super) is_at_asked: bool,
    pub(super) window: DomainWindow,
    pub(super) features: Features,
    /// What threat lists say of it.
    pub(super) threats: Threats,
    /// In the order of the features' subjects.
    pub(super) reckonings: Vec<Reckoning>,
    /// Which of them gives the score: the first of the highest, if any is judged among those.
    pub(super) best: Option<usize>,
    /// From each threshold, of that one.
    pub(super) distances: Option<[Distance; 3]>,
    pub(super) evidence: Evidence,
    pub(super) left_out: LeftOut,
    /// What entries of the allow list take of a finding.
    pub(super) relief: Option<Relief>,
    /// The entry that covers the whole domain, whether or not there is a finding.
    pub(super) covered_by: Option<u16>,
    pub(super) history: Vec<SetSeen>,
    pub(super) server_history: Vec<SetSeen>,
    pub(super) alert: Option<AlertState>,
    pub(super) watched: &'a Watched,
    /// The history began later than the domain was seen: an earlier one made room.
    pub(super) was_gone_before: bool,
    pub(super) outcome: Outcome,
}

/// What it comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An alert is open and was written.
    Open,
    /// An alert is open and settings let no line be written.
    Unwritten,
    /// Entries of the allow list keep a finding back.
    Suppressed,
    /// A first judgement reached a threshold, a second has to confirm it.
    Pending,
    /// There was an alert, which ended.
    Ended,
    /// The score reaches a threshold here, and no judgement had that.
    Reached,
    /// Diversity that its owners explain.
    Pool,
    /// Judged, and below all thresholds.
    Below,
    /// Measured, and with too little evidence to be judged.
    TooLittle,
    /// Nothing to measure: all of it explained, or no name seen often enough.
    NothingLeft,
}

impl Outcome {
    /// The word in JSON.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "alert_open",
            Self::Unwritten => "alert_unwritten",
            Self::Suppressed => "suppressed",
            Self::Pending => "alert_pending",
            Self::Ended => "alert_ended",
            Self::Reached => "threshold_reached",
            Self::Pool => "pool",
            Self::Below => "below_thresholds",
            Self::TooLittle => "not_judged",
            Self::NothingLeft => "nothing_to_judge",
        }
    }
}

impl<'a> Story<'a> {
    /// Everything about the name that a sensor knows behind its last packet.
    pub(super) fn of(
        asked: &'a Asked,
        until: Option<Timestamp>,
        sensor: &'a Sensor<Follower>,
        inputs: &Inputs,
    ) -> Self {
        let follower = &sensor.follower;
        let domain = &asked.domain;
        let found = match follower.hash.map(|hash| sensor.shard().window(hash, domain)) {
            Some(Some(window)) => {
                Found::Tracked(Box::new(Tracked::of(window.into_owned(), until, sensor, inputs)))
            }
            None => Found::NeverSeen { near: follower.near.found().map(str::to_owned).collect() },
            Some(None) if follower.first_address.is_none() => Found::NoAddress,
            Some(None) => Found::Gone,
        };
        let span = sensor.decoder.counts().span;
        Self { name: &asked.name, domain: &asked.domain, follower, span, found }
    }

    /// Whether a name below the registrable domain was asked about.
    pub(super) fn is_below(&self) -> bool {
        self.name != self.domain
    }
}

impl<'a> Tracked<'a> {
    fn of(
        mut window: DomainWindow,
        until: Option<Timestamp>,
        sensor: &'a Sensor<Follower>,
        inputs: &Inputs,
    ) -> Self {
        let (intel, policy) = (&inputs.intel, &sensor.shard().policy_now());
        // What was never judged has no owners yet.
        window.look_up_owners(intel, &mut LookUps::default());
        // A change is judged when its second is over.
        let last = Timestamp::from_secs(window.last_ms() / 1_000 + 1);
        let at = until.unwrap_or(last);
        let now_s = u32::try_from(at.secs()).unwrap_or(u32::MAX - 1);
        // Also those that are too small to be judged; subjects are numbered by size, so the larger
        // ones have the same numbers as in a judgement.
        let all = Policy { addresses_min: 1, ..*policy };
        let Measured { features, threats } = measure(&window, now_s, &all, intel, None);
        let reckonings = explain(&features, policy);
        let best = deciding(&reckonings, policy);
        let verdict = best.map(|index| &reckonings[index]).filter(|r| r.is_judged());
        let verdict = verdict.map(|reckoning| &reckoning.verdict);
        let finding = verdict.filter(|verdict| verdict.severity(policy).is_some());
        let relief = finding.and_then(|it| relieve(&window, it, now_s, policy, intel));
        let kind = verdict.map_or(FluxKind::Single, |verdict| verdict.kind);
        let exempt = intel.allow().in_force(at.secs(), kind as usize);
        let (subject, window_s) = best.map_or(((Part::Answers, u16::MAX), 0), |index| {
            let subject = &features.subjects[index];
            (subject.key(), subject.window_s)
        });
        let watched = sensor.shard().watched().expect("the command watches the domain");
        let alert = sensor.shard().alert_state(window.name());
        let first = sensor.follower.first_address;
        let mut tracked = Self {
            at,
            is_at_asked: until.is_some(),
            distances: best.and_then(|index| distances(&features, policy, index)),
            evidence: window.evidence(subject, window_s, now_s, 1, None),
            left_out: window.left_out(Some(&exempt)),
            relief,
            covered_by: exempt.name(window.name()),
            history: window.history(Some(&exempt)),
            server_history: window.server_history(),
            was_gone_before: first.is_some_and(|first| first.millis() < window.first_ms()),
            window,
            features,
            threats,
            reckonings,
            best,
            alert,
            watched,
            outcome: Outcome::NothingLeft,
        };
        tracked.outcome = tracked.outcome(policy, !sensor.follower.alerts.is_empty());
        tracked
    }

    /// What gives the score, with the subject it is of.
    pub(super) fn reckoning(&self) -> Option<(&Reckoning, &Subject)> {
        let index = self.best?;
        Some((&self.reckonings[index], &self.features.subjects[index]))
    }

    /// The verdict, where there is evidence enough for one.
    pub(super) fn verdict(&self) -> Option<&Verdict> {
        self.reckoning().filter(|(r, _)| r.is_judged()).map(|(r, _)| &r.verdict)
    }

    /// The name servers that were seen in the history, wire form.
    pub(super) fn servers(&self) -> BTreeSet<&[u8]> {
        self.evidence.server_names.iter().map(Vec::as_slice).collect()
    }

    fn outcome(&self, policy: &Policy, has_alerts: bool) -> Outcome {
        let is = |of: fn(&AlertState) -> bool| self.alert.as_ref().is_some_and(of);
        let is_suppressed = self.relief.as_ref().is_some_and(|r| r.is_suppressed(policy));
        let verdict = self.verdict();
        match verdict {
            _ if is(|alert| alert.is_untold) => Outcome::Unwritten,
            _ if is(|alert| alert.is_open) => Outcome::Open,
            _ if is_suppressed => Outcome::Suppressed,
            _ if is(|alert| alert.is_pending) => Outcome::Pending,
            _ if has_alerts => Outcome::Ended,
            Some(verdict) if verdict.severity(policy).is_some() => Outcome::Reached,
            Some(verdict) if verdict.pool.is_some() => Outcome::Pool,
            Some(_) => Outcome::Below,
            None if self.best.is_some() => Outcome::TooLittle,
            None => Outcome::NothingLeft,
        }
    }
}
