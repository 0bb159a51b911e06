//! Stories of more alerts than an hour may have, and the life of those that were held back.

mod teller;

use fluxtap_alert::{Action, Alert, CloseReason, HeldBack, WORST_MAX};
use fluxtap_engine::{CAPPED_ALERTS_MAX, Cap, CapCounts};
use fluxtap_flux::Severity;
use std::collections::{BTreeMap, BTreeSet};
use teller::{BEGIN_S, Story, Told, access};

/// Domains that begin to flux together in each of the first three hours.
const FLOOD: usize = 12;

/// A flood of domains each over a pool of its own: an hour's after the other, then quiet for so long
/// that all of it ends. `restarts` are in minutes; each after a stop, or after the sensor was killed.
fn flood(story: &mut Story, restarts: &[u64], is_stop: bool) {
    let pool = access(600);
    let mut minute = 0;
    let mut tell = |story: &mut Story, until: u64| {
        while minute < until {
            for number in 0..FLOOD * 3 {
                let begins = (number / FLOOD) as u64 * 60 + 5;
                if minute < begins || minute % 3 != 0 || minute > begins + 75 {
                    continue;
                }
                let first = number * 16 + minute as usize / 3 * 5 % 16;
                let set: Vec<&str> = (0..5).map(|i| &*pool[(first + i) % pool.len()]).collect();
                let name = format!("www.flood{number}.example");
                story.seen(minute * 60 + number as u64 / 4, &name, "9.9.9.9", 100, &set);
            }
            minute += 1;
        }
    };
    for &restart in restarts {
        tell(story, restart);
        if is_stop {
            story.pause();
        }
        let written = story.written();
        story.resume(&written, 2, 256 << 20).expect("what was just written");
    }
    tell(story, 300);
    story.keep_time(300 * 60, 300 * 60 + 100_000);
}

type Ended = (Vec<Told>, Vec<(usize, HeldBack)>, CapCounts);

fn told(parts: usize, batch_max: usize, lines_max: u64) -> Ended {
    let mut story = Story::capped(parts, batch_max, lines_max);
    flood(&mut story, &[], true);
    story.end_capped()
}

/// No line may refer to an alert that nobody was told of, and revisions count the lines there are.
fn assert_whole(lines: &[Told]) {
    let mut alerts: BTreeMap<&str, (u32, bool)> = BTreeMap::new();
    for line in lines {
        let (revision, is_open) = alerts.entry(&line.id).or_default();
        *revision += 1;
        assert_eq!(line.revision, *revision, "{line:?}");
        assert_eq!(line.action == Action::New, line.revision == 1, "{line:?}");
        let opens = matches!(line.action, Action::New | Action::Reopened);
        assert_eq!(*is_open, !opens, "{line:?}");
        *is_open = !matches!(line.action, Action::Ended(_));
    }
    let open: Vec<_> = alerts.iter().filter(|(_, (_, is_open))| *is_open).collect();
    assert!(open.is_empty(), "what was told to open is told to end: {open:?}");
}

#[test]
fn what_is_over_the_cap_is_counted_and_told_in_one_line_an_hour() {
    let (all, none, _) = told(1, 64, 0);
    assert_eq!(none, []);
    assert_whole(&all);
    assert!(all.iter().filter(|line| line.action == Action::New).count() == FLOOD * 3);
    let (lines, held, counts) = told(1, 64, 8);
    assert_whole(&lines);
    let mut by_hour: BTreeMap<u64, usize> = BTreeMap::new();
    for line in lines.iter().filter(|line| !matches!(line.action, Action::Ended(_))) {
        *by_hour.entry(line.at_s / 3_600).or_default() += 1;
    }
    assert!(by_hour.values().all(|lines| *lines <= 8), "{by_hour:?}");
    assert!(by_hour.len() >= 3, "{by_hour:?}");
    // What is told to be held back is all that is missing.
    let sum: u64 = held.iter().map(|(_, held)| held.counts.sum()).sum();
    assert_eq!(sum as usize, all.len() - lines.len());
    assert_eq!((counts.lines.sum(), counts.summaries as usize), (sum, held.len()));
    for state in 0..6 {
        let of_lines: u64 = held.iter().map(|(_, held)| held.counts.by_state[state]).sum();
        assert_eq!(of_lines, counts.lines.by_state[state]);
    }
    assert_eq!(counts.lines.by_state.iter().sum::<u64>(), sum);
    // Once an hour, where the hour ends: behind all that is earlier, and in front of all later.
    for (place, held) in &held {
        let over_s = held.at.secs() - BEGIN_S;
        assert!(held.first <= held.last && held.last < held.at, "{held:?}");
        assert_eq!(over_s % 3_600, 0);
        assert!(over_s - (held.first.secs() - BEGIN_S) <= 3_600);
        assert!(lines[..*place].iter().all(|line| line.at_s < over_s), "{place} {held:?}");
        assert!(lines[*place..].iter().all(|line| line.at_s >= over_s), "{place} {held:?}");
        assert_eq!(held.lines_max, 8);
        assert!(held.worst.len() <= WORST_MAX);
        assert!(held.worst.is_sorted_by(|a, b| (a.severity, a.score) >= (b.severity, b.score)));
    }
}

#[test]
fn lines_are_the_same_for_any_number_of_shards_and_any_batches() {
    for lines_max in [3, 8] {
        let expect = told(1, 64, lines_max);
        assert!(!expect.1.is_empty(), "{lines_max}");
        for (parts, batch_max) in [(2, 64), (3, 64), (1, 1), (3, 7)] {
            assert_eq!(told(parts, batch_max, lines_max), expect, "{parts} {batch_max}");
        }
    }
}

#[test]
fn a_restart_neither_doubles_nor_forgets() {
    let (all, ..) = told(1, 64, 0);
    let (whole, held_whole, _) = told(1, 64, 8);
    let restarts = [[20, 50], [61, 130], [200, 299]];
    for (restarts, is_stop) in restarts.into_iter().flat_map(|r| [(r, true), (r, false)]) {
        let mut story = Story::capped(1, 64, 8);
        flood(&mut story, &restarts, is_stop);
        let (lines, held, _) = story.end_capped();
        assert_eq!(lines, whole, "{restarts:?}");
        // A stop tells what was held back until then, so there may be more of these lines.
        let sum = |held: &[(usize, HeldBack)]| held.iter().map(|(_, h)| h.counts.sum()).sum();
        let (sum, sum_whole): (u64, u64) = (sum(&held), sum(&held_whole));
        assert_eq!(sum, sum_whole, "{restarts:?}");
        assert_eq!(lines.len() + sum as usize, all.len());
        assert!(held.len() >= held_whole.len());
        assert!(is_stop || held == held_whole, "{restarts:?}");
    }
}

/// Lines as they come, made of a real one.
struct Lines {
    alert: Alert,
    cap: Cap,
    told: Vec<HeldBack>,
}

impl Lines {
    fn new(lines_max: u64) -> Self {
        let pool = access(60);
        let mut story = Story::new();
        for step in 0..20 {
            let set: Vec<&str> = (0..5).map(|i| &*pool[(step * 5 + i) % 60]).collect();
            story.seen(step as u64 * 150, "www.evil.example", "9.9.9.9", 150, &set);
        }
        let mut cap = Cap::default();
        cap.set_max(lines_max);
        Self { alert: story.alerts().first().expect("an alert").clone(), cap, told: Vec::new() }
    }

    fn line(&self, id: &str, at_s: u64, action: Action, severity: Severity) -> Alert {
        let at = fluxtap_wire::Timestamp::from_secs(BEGIN_S + at_s);
        Alert { action, severity, at, id: id.to_owned(), ..self.alert.clone() }
    }

    /// What is written of a line with that revision: action and revision, if anything.
    fn tell(&mut self, line: Alert, revision: u32) -> Option<(&'static str, u32)> {
        let mut line = Alert { revision, ..line };
        self.told.extend(self.cap.turn(line.at));
        self.cap.admits(&mut line).then(|| (line.action.as_str(), line.revision))
    }

    fn many(&mut self, from: u32, number: u32, at_s: u64, severity: Severity) -> usize {
        let ids = (from..from + number).map(|number| format!("fx-{number}"));
        let lines: Vec<Alert> = ids.map(|id| self.line(&id, at_s, Action::New, severity)).collect();
        lines.into_iter().filter_map(|line| self.tell(line, 1)).count()
    }
}

const ENDED: Action = Action::Ended(CloseReason::Quiet);

#[test]
fn higher_severities_are_not_crowded_out() {
    use Severity::{High, Low, Medium};
    let mut lines = Lines::new(100);
    assert_eq!(lines.many(0, 10_000, 10, Low), 50);
    assert_eq!(lines.many(10_000, 10_000, 20, Medium), 25);
    assert_eq!(lines.many(20_000, 10_000, 30, High), 25);
    assert_eq!(lines.many(30_000, 10, 40, High), 0, "the cap is the cap");
    let held = lines.cap.turn(lines.line("", 3_600, Action::New, High).at).expect("held back");
    assert_eq!(held.counts.by_severity, [9_950, 9_975, 9_985]);
    assert_eq!(held.counts.by_state, [29_910, 0, 0, 0, 0, 0]);
    assert!(held.worst.iter().all(|held| held.severity == High));
    assert_eq!(held.worst[0].id, "fx-20025", "of equal ones the first");
    // Another order, another hour: nothing is reserved for lower ones.
    assert_eq!(lines.many(40_000, 10_000, 3_601, High), 100);
    assert_eq!(lines.many(50_000, 10, 3_602, Low), 0);
    // So few that halves and quarters are none.
    for lines_max in 1..5 {
        let mut few = Lines::new(lines_max);
        assert!(few.many(0, 10, 0, Low) >= 1, "{lines_max}");
        assert_eq!(Lines::new(lines_max).many(0, 10, 0, High), lines_max as usize);
    }
}

#[test]
fn a_line_never_refers_to_what_was_not_written() {
    use Action::{New, Ongoing, Reopened};
    use Severity::High;
    let mut l = Lines::new(1);
    // Two alerts open; there is room for one.
    assert_eq!(l.tell(l.line("a", 0, New, High), 1), Some(("flux-new", 1)));
    assert_eq!(l.tell(l.line("b", 1, New, High), 1), None);
    assert_eq!(l.tell(l.line("a", 2, Ongoing, High), 2), None);
    assert_eq!(l.tell(l.line("b", 3, Ongoing, High), 2), None);
    // The end of what was told is told, though there is no room; that of the other is not.
    assert_eq!(l.tell(l.line("a", 4, ENDED, High), 3), Some(("flux-ended", 2)));
    assert_eq!(l.tell(l.line("b", 5, ENDED, High), 3), None);
    // Both again: what was told goes on, and the other is new to whoever reads.
    assert_eq!(l.tell(l.line("a", 3_600, Reopened, High), 4), Some(("flux-reopened", 3)));
    assert_eq!(l.tell(l.line("b", 7_200, Reopened, High), 4), Some(("flux-new", 1)));
    assert_eq!(l.tell(l.line("b", 10_800, Ongoing, High), 5), Some(("flux-ongoing", 2)));
    assert_eq!(l.tell(l.line("b", 10_801, ENDED, High), 6), Some(("flux-ended", 3)));
    // A reopening that is held back makes what follows a reopening, or nothing.
    assert_eq!(l.tell(l.line("b", 10_802, Reopened, High), 7), None);
    assert_eq!(l.tell(l.line("b", 10_803, ENDED, High), 8), None);
    assert_eq!(l.tell(l.line("b", 10_804, Reopened, High), 9), None);
    assert_eq!(l.tell(l.line("b", 14_400, Ongoing, High), 10), Some(("flux-reopened", 4)));
    // A hit in a threat list has no further lines: it is held back or not.
    assert_eq!(l.tell(l.line("m", 14_401, Action::Matched, High), 1), None);
    assert_eq!(l.tell(l.line("m", 18_000, Action::Matched, High), 1), Some(("intel-match", 1)));
    let sum: u64 = l.told.iter().map(|held| held.counts.sum()).sum();
    let rest = l.cap.finish().map_or(0, |held| held.counts.sum());
    assert_eq!(sum + rest, l.cap.counts().lines.sum());
    assert_eq!(l.cap.counts().lines.by_state, [1, 2, 2, 2, 1, 0]);
}

#[test]
fn as_many_alerts_are_remembered_as_can_be_open() {
    let mut lines = Lines::new(1);
    let number = CAPPED_ALERTS_MAX as u32;
    assert_eq!(lines.many(0, number + 1, 0, Severity::High), 1);
    // They end while as many others open, and those that ended make room.
    for id in 1..=1_000 {
        assert_eq!(lines.tell(lines.line(&format!("fx-{id}"), 60, ENDED, Severity::High), 2), None);
        assert_eq!(lines.many(number + id, 1, 60, Severity::High), 0);
    }
    assert_eq!(lines.cap.counts().alerts_evicted, 1_000);
    let open = format!("fx-{}", number + 1_000);
    let end = lines.line(&open, 61, ENDED, Severity::High);
    assert_eq!(lines.tell(end, 2), None, "it is still known that nobody was told of it");
    // A day later what ended is forgotten, and another life of that domain has another id.
    lines.cap.turn(lines.line("", 90_000, ENDED, Severity::High).at);
    lines.cap.keep_open(&BTreeSet::from(["fx-5000".to_owned()]));
    lines.cap.set_max(0);
    // What was open when it was written down, and not when the alerts were, may be open again.
    let again = lines.line("fx-5002", 90_100, Action::Reopened, Severity::High);
    assert_eq!(lines.tell(again, 2), Some(("flux-new", 1)), "nobody was told of it");
    lines.cap.turn(lines.line("", 180_000, ENDED, Severity::High).at);
    for (id, expect) in [("fx-5000", Some(("flux-new", 1))), ("fx-5001", Some(("flux-ongoing", 2)))]
    {
        let line = lines.line(id, 180_001, Action::Ongoing, Severity::High);
        assert_eq!(lines.tell(line, 2), expect, "{id}");
    }
}
