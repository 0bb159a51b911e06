//! What the operator's allow list makes of a finding.
//!
//! The key decision: an allow list makes no finding. What is one is judged a second time without
//! what entries cover, and what is left counts; so no entry can raise an alert by making what is
//! left look purer than the whole, and what is not found anyway costs nothing.

use crate::measure::{Measured, measure};
use fluxtap_flux::{Policy, Verdict, judge};
use fluxtap_intel::Intel;
use fluxtap_window::DomainWindow;
use fluxtap_wire::Timestamp;
use std::collections::BTreeSet;

/// A finding that entries of the allow list cover, wholly or in part.
#[derive(Clone, Debug)]
pub struct Relief {
    /// The entries that took part, by position in the list.
    pub entries: BTreeSet<u16>,
    /// Whether an entry covers the whole domain.
    pub is_whole: bool,
    /// What was measured and judged without what they cover; nothing if that is the whole domain,
    /// or too little is left to be judged.
    pub rest: Option<(Measured, Verdict)>,
}

impl Relief {
    /// An entry covers the whole domain.
    pub(crate) fn whole(entry: u16) -> Self {
        Self { entries: BTreeSet::from([entry]), is_whole: true, rest: None }
    }

    /// Whether what is left is no finding.
    #[must_use]
    pub fn is_suppressed(&self, policy: &Policy) -> bool {
        self.rest.as_ref().is_none_or(|(_, verdict)| verdict.severity(policy).is_none())
    }
}

/// What the entries in force at `now_s` for the kind of a finding take away of it; `None` if that
/// makes no difference.
#[must_use]
pub fn relieve(
    window: &DomainWindow,
    finding: &Verdict,
    now_s: u32,
    policy: &Policy,
    intel: &Intel,
) -> Option<Relief> {
    let allow = intel.allow();
    if allow.is_empty() {
        return None;
    }
    let exempt = allow.in_force(now_s.into(), finding.kind as usize);
    if let Some(entry) = exempt.name(window.name()) {
        return Some(Relief::whole(entry));
    }
    let entries = window.exempted(&exempt);
    if entries.is_empty() {
        return None;
    }
    let measured = measure(window, now_s, policy, intel, Some(&exempt));
    let rest = judge(&measured.features, policy);
    if rest.as_ref() == Some(finding) {
        return None;
    }
    Some(Relief { entries, is_whole: false, rest: rest.map(|verdict| (measured, verdict)) })
}

/// How often an entry of the allow list mattered. A domain counts once a day, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllowUse {
    /// Domains whose alert it kept back or ended.
    pub suppressed: u64,
    /// Domains that alerted all the same, by what is left.
    pub reduced: u64,
    /// When it last did either.
    pub last: Option<Timestamp>,
}

impl AllowUse {
    /// Adds what it was used for in another shard.
    pub fn add(&mut self, other: &Self) {
        self.suppressed += other.suppressed;
        self.reduced += other.reduced;
        self.last = self.last.max(other.last);
    }

    /// Whether it never mattered.
    #[must_use]
    pub const fn is_unused(&self) -> bool {
        self.last.is_none()
    }
}

/// Notes that an entry did something which is no alert kept back.
pub(crate) fn note_use(uses: &mut Vec<AllowUse>, entry: u16, at: Timestamp) {
    if uses.len() <= usize::from(entry) {
        uses.resize(usize::from(entry) + 1, AllowUse::default());
    }
    let of_entry = &mut uses[usize::from(entry)];
    of_entry.last = of_entry.last.max(Some(at));
}

/// What entries of the allow list did to one domain on one day, so that it counts once.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    day: u64,
    entries: BTreeSet<(u16, bool)>,
}

impl Noted {
    /// Notes that entries suppressed or reduced the domain's finding, and counts those that did not
    /// do so before on this day. Whether the domain newly counts as suppressed.
    pub(crate) fn note(
        &mut self,
        at: Timestamp,
        entries: &BTreeSet<u16>,
        is_suppressed: bool,
        uses: &mut Vec<AllowUse>,
    ) -> bool {
        let day = day(at);
        if day != self.day {
            *self = Self { day, entries: BTreeSet::new() };
        }
        let is_first = !self.entries.iter().any(|&(_, suppressed)| suppressed);
        for &entry in entries {
            note_use(uses, entry, at);
            let of_entry = &mut uses[usize::from(entry)];
            if self.entries.insert((entry, is_suppressed)) {
                of_entry.suppressed += u64::from(is_suppressed);
                of_entry.reduced += u64::from(!is_suppressed);
            }
        }
        is_suppressed && is_first
    }

    /// Whether it says nothing any more at `now`.
    pub(crate) fn is_forgettable(&self, now: Timestamp) -> bool {
        self.entries.is_empty() || day(now) != self.day
    }
}

/// The day of a time, counted from the epoch.
const fn day(at: Timestamp) -> u64 {
    at.secs() / 86_400
}
