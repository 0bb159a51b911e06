//! The most alert lines an hour of event time may have.
//!
//! Whoever can register or forge domains decides how many alerts there are, and must not drown what
//! reads them. So this stands behind the shards and the campaigns, where all lines are in one order:
//! what is over the cap of an hour is counted and told in one line when that hour is over, and
//! depends on the lines alone, not on batches, workers or speed.
//!
//! * The last quarter of an hour's lines is for high severity alone, the quarter before it for medium
//!   and high: a flood of lower ones leaves room for higher ones.
//! * The end of an alert that was told is always written, and takes no room from others: who keeps a
//!   list of what is open must not keep it open for ever.
//! * An alert whose opening was held back is told as opened by its next line for which there is
//!   room, and its end is held back if none was: no line refers to one that nobody has.
//! * Lines that were held back are not counted in the revisions of their alert.
//!
//! Limits: [`CAPPED_ALERTS_MAX`].

use fluxtap_alert::{Action, Alert, HeldBack, LineCounts, REOPEN_S};
use fluxtap_flux::Severity;
use fluxtap_wire::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most alerts of which lines were held back that are remembered; as many as can be open, so that
/// those go first that have ended, and of these the one that ended longest ago.
pub const CAPPED_ALERTS_MAX: usize = 65_536;

const HOUR_S: u64 = 3_600;

/// The id of an alert.
type Id = Box<str>;

/// An alert of which lines were held back.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Capped {
    /// How many.
    lines: u32,
    /// How it opened, until that is written.
    untold: Option<Action>,
    /// When it ended, unless it is open.
    ended: Option<Timestamp>,
}

/// What was held back so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapCounts {
    /// Lines.
    pub lines: LineCounts,
    /// Lines that told of them.
    pub summaries: u64,
    /// Alerts that had to make room; a further line of one may refer to what was not written.
    pub alerts_evicted: u64,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Cap {
    /// Lines that an hour may have; 0 for as many as there are.
    lines_max: u64,
    /// The hour of the last line, counted from the epoch.
    hour: u64,
    /// Lines of it that were written, ends apart.
    lines: u64,
    /// What of it was held back and is not told.
    held: HeldBack,
    alerts: BTreeMap<Id, Capped>,
    /// Those of them that have ended, and when.
    ended: BTreeSet<(Timestamp, Id)>,
    counts: CapCounts,
}

/// The cap as it is written down.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SavedCap {
    hour: u64,
    lines: u64,
    held: HeldBack,
    alerts: Vec<(Id, Capped)>,
}

impl Cap {
    /// From now on an hour may have so many lines; 0 for as many as there are.
    pub const fn set_max(&mut self, lines_max: u64) {
        self.lines_max = lines_max;
    }

    /// What was held back so far.
    #[must_use]
    pub const fn counts(&self) -> CapCounts {
        self.counts
    }

    /// Whether a line, which is the next in their order, is to be written; it is changed then if
    /// lines before it were not. [`Cap::turn`] comes first.
    pub fn admits(&mut self, alert: &mut Alert) -> bool {
        let capped = self.alerts.get(&*alert.id).copied().unwrap_or_default();
        let is_end = matches!(alert.action, Action::Ended(_));
        let is_written =
            if is_end { capped.untold.is_none() } else { self.has_room(alert.severity) };
        let mut next = Capped { ended: is_end.then_some(alert.at), ..capped };
        if is_written {
            alert.revision = alert.revision.saturating_sub(capped.lines);
            if let Some(opening) = next.untold.take() {
                alert.action = opening;
                // To whom this is the first line, all of it is new.
                alert.is_campaign_news = false;
            }
            self.lines = self.lines.saturating_add(u64::from(!is_end));
        } else {
            if matches!(alert.action, Action::New | Action::Reopened) {
                next.untold = capped.untold.or(Some(alert.action));
            }
            next.lines = next.lines.saturating_add(1);
            self.counts.lines.note(alert);
            self.held.lines_max = self.lines_max;
            self.held.note(alert);
        }
        if next.lines > 0 && !alert.action.is_told_once() {
            self.remember(&alert.id, next);
        }
        is_written
    }

    /// Moves on to the hour of the line that comes next; what is to be told of the hour before.
    pub fn turn(&mut self, at: Timestamp) -> Option<HeldBack> {
        let hour = at.secs() / HOUR_S;
        if hour == self.hour {
            return None;
        }
        let over = Timestamp::from_secs(self.hour.saturating_add(1).saturating_mul(HOUR_S));
        (self.hour, self.lines) = (hour, 0);
        while let Some((ended, _)) = self.ended.first()
            && ended.plus_secs(REOPEN_S) <= at
            && let Some((_, id)) = self.ended.pop_first()
        {
            self.alerts.remove(&id);
        }
        // Where time was set back, its end is nothing that was reached.
        self.told(if at < over { self.held.last } else { over })
    }

    /// The same where no line may come for long: all lines up to `now` have come. Time that was set
    /// back is for the next line to say.
    pub fn reach(&mut self, now: Timestamp) -> Option<HeldBack> {
        if now.secs() / HOUR_S > self.hour { self.turn(now) } else { None }
    }

    /// What is to be told of an hour that is not over, at the end of all lines.
    pub fn finish(&mut self) -> Option<HeldBack> {
        self.told(self.held.last)
    }

    /// Written down, for a sensor that is to go on.
    #[must_use]
    pub fn save(&self) -> SavedCap {
        let alerts = self.alerts.iter().map(|(id, capped)| (id.clone(), *capped)).collect();
        SavedCap { hour: self.hour, lines: self.lines, held: self.held.clone(), alerts }
    }

    /// Goes on with what was written down; `None` if it says what cannot be.
    #[must_use]
    pub fn load(saved: SavedCap) -> Option<Self> {
        let SavedCap { hour, lines, held, alerts } = saved;
        if alerts.len() > CAPPED_ALERTS_MAX || held.worst.len() > fluxtap_alert::WORST_MAX {
            return None;
        }
        let len = alerts.len();
        let ended = alerts.iter().filter_map(|(id, capped)| Some((capped.ended?, id.clone())));
        let ended = ended.collect();
        let alerts: BTreeMap<Id, Capped> = alerts.into_iter().collect();
        let is_sound = alerts.len() == len;
        is_sound.then(|| Self { hour, lines, held, alerts, ended, ..Self::default() })
    }

    /// Takes the alerts that are not among the open ones as ended in the last hour: of a sensor that was
    /// killed the alerts are older than this, for what is written down first was written while it went
    /// on. One that is reopened goes on with the numbers that receivers know.
    pub fn keep_open(&mut self, open: &BTreeSet<String>) {
        let at = Timestamp::from_secs(self.hour.saturating_mul(HOUR_S));
        for (id, capped) in &mut self.alerts {
            if capped.ended.is_none() && !open.contains(&**id) {
                capped.ended = Some(at);
                self.ended.insert((at, id.clone()));
            }
        }
    }

    fn has_room(&self, severity: Severity) -> bool {
        let max = self.lines_max;
        let mark = match severity {
            Severity::Low => max - max / 2,
            Severity::Medium => max - max / 4,
            Severity::High => max,
        };
        max == 0 || self.lines < mark
    }

    fn remember(&mut self, id: &str, capped: Capped) {
        let before = self.alerts.get(id).map(|before| before.ended);
        if before.is_none() && self.alerts.len() >= CAPPED_ALERTS_MAX {
            self.counts.alerts_evicted += 1;
            // Without one that has ended, there are more alerts than can be.
            let Some((_, oldest)) = self.ended.pop_first() else { return };
            self.alerts.remove(&oldest);
        }
        if let Some(ended) = before.flatten() {
            self.ended.remove(&(ended, id.into()));
        }
        if let Some(ended) = capped.ended {
            self.ended.insert((ended, id.into()));
        }
        self.alerts.insert(id.into(), capped);
    }

    fn told(&mut self, at: Timestamp) -> Option<HeldBack> {
        if self.held.counts.sum() == 0 {
            return None;
        }
        self.counts.summaries += 1;
        Some(HeldBack { at, ..std::mem::take(&mut self.held) })
    }
}
