//! The operator's allow list: read from its file, and what its entries did, said to people.

use crate::console::{self, Exit, count, grouped};
use fluxtap_engine::AllowUse;
use fluxtap_flux::FluxKind;
use fluxtap_intel::{AllowEntry, AllowList, Day};
use fluxtap_wire::shown::shown;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Largest file that is read, in bytes: as many entries as there may be, each of some length.
const FILE_OCTETS_MAX: u64 = 4 << 20;

/// Most mistakes that are said one by one.
const MISTAKES_SAID_MAX: usize = 50;

/// Entries that are listed in the summary, of those that did something and of those that did not.
const ENTRIES_SHOWN_MAX: usize = 10;

/// Columns of a reason in the summary.
const REASON_COLUMNS_MAX: usize = 60;

/// Reads a list; what is wrong is said, all of it, and ends the program.
pub(crate) fn load(path: &Path) -> Result<AllowList, Exit> {
    let place = path.display();
    let mut octets = Vec::new();
    let read = File::open(path).and_then(|f| f.take(FILE_OCTETS_MAX + 1).read_to_end(&mut octets));
    if let Err(error) = read {
        console::error(&format!(
            "--allow: cannot read {place}: {error}; name a file that exists and may be read"
        ));
        return Err(Exit::NoInput);
    }
    let text = match String::from_utf8(octets) {
        Ok(text) if text.len() as u64 <= FILE_OCTETS_MAX => text,
        Ok(_) => {
            console::error(&format!(
                "{place}: got more than {FILE_OCTETS_MAX} bytes, expected an allow list; name \
                 another file"
            ));
            return Err(Exit::BadConfig);
        }
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|octet| **octet == b'\n').count();
            console::error(&format!(
                "{place}:{line}: got bytes that are no UTF-8, expected text; save it as UTF-8"
            ));
            return Err(Exit::BadConfig);
        }
    };
    AllowList::parse(&text, &FluxKind::WORDS).map_err(|mistakes| {
        for mistake in mistakes.iter().take(MISTAKES_SAID_MAX) {
            console::error(&format!("{place}:{}: {}", mistake.line, mistake.text));
        }
        if let Some(more) = mistakes.len().checked_sub(MISTAKES_SAID_MAX).filter(|&n| n > 0) {
            console::error(&format!("{place}: and {}", count(more as u64, "more mistake")));
        }
        Exit::BadConfig
    })
}

/// Warns of entries that are no longer in force on a day.
pub(crate) fn warn_of_expired(list: &AllowList, day: Day) {
    let expired = named(list.entries().iter().filter(|entry| entry.is_expired(day)), |entry| {
        entry.expires.map_or_else(String::new, |last| format!(" (until {last})"))
    });
    if !expired.is_empty() {
        console::warning(&format!(
            "allow list: expired and no longer in force: {expired}; remove them or give them a \
             later day"
        ));
    }
}

/// What the entries of a list did up to now.
pub(crate) struct Report<'a> {
    list: &'a AllowList,
    uses: &'a [AllowUse],
    day: Day,
}

impl<'a> Report<'a> {
    /// Of a list, how often its entries mattered, and the day it is.
    pub(crate) const fn new(list: &'a AllowList, uses: &'a [AllowUse], day: Day) -> Self {
        Self { list, uses, day }
    }

    /// The counters, by entry.
    pub(crate) fn to_json(&self, suppressed: u64) -> Value {
        let by_entry: Vec<Value> = self
            .entries()
            .map(|(entry, used)| {
                json!({
                    "entry": entry.covers.to_string(),
                    "line": entry.line,
                    "reason": &*entry.reason,
                    "expires": entry.expires.map(|day| day.to_string()),
                    "expired": entry.is_expired(self.day),
                    "suppressed": used.suppressed,
                    "reduced": used.reduced,
                    "last_s": used.last.map(|at| at.millis() as f64 / 1_000.0),
                })
            })
            .collect();
        json!({
            "suppressed": suppressed,
            "entries": self.list.entries().len(),
            "entries_unused": self.unused().count(),
            "entries_expired": self.expired().count(),
            "by_entry": by_entry,
        })
    }

    /// Lines for the summary; none without a list.
    pub(crate) fn lines(&self, suppressed: u64) -> Vec<String> {
        if self.list.is_empty() {
            return Vec::new();
        }
        let mut used: Vec<_> = self.entries().filter(|(_, used)| !used.is_unused()).collect();
        let mut lines = vec![format!(
            "  allow list  {} kept back, a domain counted once a day; {} of {} did something",
            count(suppressed, "alert"),
            grouped(used.len() as u64),
            entries(self.list.entries().len()),
        )];
        used.sort_by_key(|(_, used)| std::cmp::Reverse((used.suppressed, used.reduced)));
        for (entry, used) in used.iter().take(ENTRIES_SHOWN_MAX) {
            lines.push(format!(
                "    {} kept back and {} reduced by {} (line {}: {})",
                grouped(used.suppressed),
                grouped(used.reduced),
                entry.covers,
                entry.line,
                shown(&entry.reason, REASON_COLUMNS_MAX),
            ));
        }
        if let Some(more) = used.len().checked_sub(ENTRIES_SHOWN_MAX).filter(|&n| n > 0) {
            lines.push(format!("    and {} more", grouped(more as u64)));
        }
        lines.extend(self.idle().into_iter().map(|text| format!("    {text}")));
        lines
    }

    /// What happened since `before`, as the note for the day that is over.
    pub(crate) fn since(&self, before: &[AllowUse], over: Day) -> String {
        let old = |at: usize| before.get(at).copied().unwrap_or_default();
        let kept: Vec<(&AllowEntry, u64)> = self
            .entries()
            .enumerate()
            .map(|(at, (entry, used))| (entry, used.suppressed.saturating_sub(old(at).suppressed)))
            .filter(|&(_, suppressed)| suppressed > 0)
            .collect();
        let total: u64 = kept.iter().map(|&(_, suppressed)| suppressed).sum();
        let mut text = format!("allow list on {over}: {} kept back", count(total, "alert"));
        let by = named(kept.iter().map(|&(entry, _)| entry), |entry| {
            let suppressed = kept.iter().find(|(other, _)| std::ptr::eq(*other, entry));
            format!(" {}", suppressed.map_or(0, |&(_, suppressed)| suppressed))
        });
        if !by.is_empty() {
            text += &format!(" by {by}");
        }
        for idle in self.idle() {
            text += &format!("; {idle}");
        }
        text
    }

    /// Entries that could be removed: those that never mattered, and those that expired.
    fn idle(&self) -> Vec<String> {
        let unused = named(self.unused().map(|(entry, _)| entry), |_| String::new());
        let expired = named(self.expired().map(|(entry, _)| entry), |entry| {
            entry.expires.map_or_else(String::new, |last| format!(" (until {last})"))
        });
        [("did nothing yet", unused), ("expired", expired)]
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {names}"))
            .collect()
    }

    fn entries(&self) -> impl Iterator<Item = (&'a AllowEntry, AllowUse)> {
        let uses = self.uses;
        let used = move |at: usize| uses.get(at).copied().unwrap_or_default();
        self.list.entries().iter().enumerate().map(move |(at, entry)| (entry, used(at)))
    }

    fn unused(&self) -> impl Iterator<Item = (&'a AllowEntry, AllowUse)> {
        let day = self.day;
        self.entries().filter(move |(entry, used)| used.is_unused() && !entry.is_expired(day))
    }

    fn expired(&self) -> impl Iterator<Item = (&'a AllowEntry, AllowUse)> {
        let day = self.day;
        self.entries().filter(move |(entry, _)| entry.is_expired(day))
    }
}

/// The first few entries by what they cover, each with a remark, and how many more there are.
fn named<'a>(
    entries: impl Iterator<Item = &'a AllowEntry>,
    remark: impl Fn(&AllowEntry) -> String,
) -> String {
    let all: Vec<&AllowEntry> = entries.collect();
    let first = all.iter().take(ENTRIES_SHOWN_MAX);
    let mut names: Vec<String> =
        first.map(|entry| format!("{}{}", entry.covers, remark(entry))).collect();
    if let Some(more) = all.len().checked_sub(ENTRIES_SHOWN_MAX).filter(|&n| n > 0) {
        names.push(format!("and {} more", grouped(more as u64)));
    }
    names.join(", ")
}

/// A number of entries in words.
pub(crate) fn entries(number: usize) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{} entries", grouped(number as u64)) }
}

/// Notices when a day of event time is over.
#[derive(Debug, Default)]
pub(crate) struct Daily {
    day: Option<Day>,
    before: Vec<AllowUse>,
}

impl Daily {
    /// Whether it is another day than when the last note was asked for.
    pub(crate) fn is_due(&self, day: Day) -> bool {
        self.day != Some(day)
    }

    /// The note about the day that is over, when it newly is.
    pub(crate) fn turn(&mut self, day: Day, list: &AllowList, uses: &[AllowUse]) -> Option<String> {
        let over = self.day.replace(day).filter(|over| *over < day && !list.is_empty())?;
        let note = Report::new(list, uses, day).since(&self.before, over);
        self.before = uses.to_vec();
        Some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fluxtap_wire::Timestamp;

    fn list(text: &str) -> AllowList {
        AllowList::parse(text, &FluxKind::WORDS).expect("a list")
    }

    fn used(suppressed: u64, reduced: u64) -> AllowUse {
        let last = (suppressed + reduced > 0).then_some(Timestamp::from_secs(1_795_352_710));
        AllowUse { suppressed, reduced, last }
    }

    const DAY: Day = Day(20_779);

    const LIST: &str = "\
domain cdn.example our own \u{202e}network
asn AS64500 a partner
domain idle.example nobody asks for it
domain old.example expires=2026-11-21 over
domain seldom.example expires=2026-11-21 over, and it had mattered
";

    #[test]
    fn the_summary_says_what_entries_did_and_which_did_nothing() {
        let list = list(LIST);
        let uses = [used(2, 0), used(0, 1), used(0, 0), used(0, 0), used(7, 0)];
        let lines = Report::new(&list, &uses, DAY).lines(9);
        assert_eq!(
            lines,
            [
                "  allow list  9 alerts kept back, a domain counted once a day; 3 of 5 entries did \
                 something",
                "    7 kept back and 0 reduced by domain seldom.example (line 5: over, and it had \
                 mattered)",
                "    2 kept back and 0 reduced by domain cdn.example (line 1: our own \
                 \\u{202e}network)",
                "    0 kept back and 1 reduced by asn AS64500 (line 2: a partner)",
                "    did nothing yet: domain idle.example",
                "    expired: domain old.example (until 2026-11-21), domain seldom.example (until \
                 2026-11-21)",
            ]
        );
        assert!(Report::new(&AllowList::default(), &[], DAY).lines(0).is_empty());
    }

    #[test]
    fn a_day_that_is_over_is_noted_once() {
        let list = list(LIST);
        let mut daily = Daily::default();
        let day = |days: u32| Day(DAY.0 + days);
        assert_eq!(daily.turn(day(0), &list, &[]), None);
        assert_eq!(daily.turn(day(0), &list, &[used(2, 0)]), None);
        let note = daily.turn(day(1), &list, &[used(2, 0)]).expect("a note");
        let begin = "allow list on 2026-11-22: 2 alerts kept back by domain cdn.example 2; did \
                     nothing yet: asn AS64500, domain idle.example; expired: ";
        assert!(note.starts_with(begin), "{note}");
        assert_eq!(daily.turn(day(1), &list, &[used(3, 0)]), None);
        let note = daily.turn(day(4), &list, &[used(3, 0), used(0, 2)]).expect("a note");
        assert!(note.starts_with("allow list on 2026-11-23: 1 alert kept back by "), "{note}");
        // Time that was set back says nothing about a day.
        assert_eq!(daily.turn(day(2), &list, &[]), None);
        let note = daily.turn(day(9), &list, &[used(3, 0), used(0, 2)]).expect("a note");
        assert!(note.starts_with("allow list on 2026-11-24: 0 alerts kept back; did"), "{note}");
        assert_eq!(Daily::default().turn(day(1), &AllowList::default(), &[]), None);
    }

    #[test]
    fn long_lists_are_cut_and_the_rest_is_counted() {
        let text: String = (0..30).map(|i| format!("domain d{i}.example x\n")).collect();
        let list = list(&text);
        let lines = Report::new(&list, &[used(1, 0); 15], DAY).lines(15);
        assert_eq!(lines.len(), 1 + ENTRIES_SHOWN_MAX + 2, "{lines:?}");
        assert_eq!(lines[11], "    and 5 more");
        assert!(lines[12].ends_with("domain d24.example, and 5 more"), "{lines:?}");
        let json = Report::new(&list, &[used(1, 0); 15], DAY).to_json(15);
        assert_eq!(json["by_entry"].as_array().map(Vec::len), Some(30));
        assert_eq!((&json["entries_unused"], &json["suppressed"]), (&json!(15), &json!(15)));
    }
}
