//! Threat lists of the operator's choice: read from their files, told of, looked up.

use crate::console::{self, Exit, count, grouped};
use fluxtap_engine::ShardCounts;
use fluxtap_intel::{Day, Intel, ThreatDraft, ThreatHit, ThreatList, ThreatLists};
use fluxtap_lists::{ListError, Spec};
use fluxtap_wire::shown::shown;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Columns of what a file says of itself.
const TEXT_COLUMNS_MAX: usize = 300;

/// Lists that the summary names.
const LISTS_SHOWN: usize = 6;

/// What is wrong with a list, and what a program that cannot go on without it ends with.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

/// The lists, and what is to be known of them.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) lists: ThreatLists,
    /// What of them was of no use.
    pub(crate) notes: Vec<String>,
}

/// Loads all lists, or says everything that is wrong with any of them; it prints nothing, and what
/// is in force is not touched, so that whoever loads them anew can keep the old ones.
pub(crate) fn load(specs: &[String]) -> Result<Loaded, Vec<Refusal>> {
    let mut draft = ThreatDraft::default();
    let mut refusals = Vec::new();
    let mut notes = Vec::new();
    let mut names = BTreeSet::new();
    for text in specs {
        let spec = match Spec::parse(text) {
            Ok(spec) => spec,
            Err(mistakes) => {
                let texts = mistakes.into_iter().map(|said| format!("threat.lists: {said}"));
                refusals.extend(texts.map(|text| Refusal { exit: Exit::BadConfig, text }));
                continue;
            }
        };
        if !names.insert(spec.name.clone()) {
            let name = &spec.name;
            let text = format!("threat.lists: got two lists '{name}', expected a name for each");
            refusals.push(Refusal { exit: Exit::BadConfig, text });
        }
        match read(&spec, &mut draft) {
            Ok(note) => notes.extend(note),
            Err(error) => {
                let exit = match &error {
                    ListError::Io(_) => Exit::NoInput,
                    _ => Exit::BadConfig,
                };
                let what = shown(&error.to_string(), TEXT_COLUMNS_MAX);
                let text = format!("threat list {}: {}: {what}", spec.name, spec.path.display());
                refusals.push(Refusal { exit, text });
            }
        }
    }
    if refusals.is_empty() { Ok(Loaded { lists: draft.finish(), notes }) } else { Err(refusals) }
}

/// The files of the lists that can be understood.
pub(crate) fn paths(specs: &[String]) -> impl Iterator<Item = PathBuf> {
    specs.iter().filter_map(|text| Spec::parse(text).ok()).map(|spec| spec.path)
}

/// The same, said to people.
pub(crate) fn open(specs: &[String]) -> Result<ThreatLists, Exit> {
    match load(specs) {
        Ok(Loaded { lists, notes }) => {
            notes.iter().for_each(|note| console::warning(note));
            Ok(lists)
        }
        Err(refusals) => {
            refusals.iter().for_each(|refusal| console::error(&refusal.text));
            Err(refusals.into_iter().map(|r| r.exit).max().unwrap_or(Exit::BadConfig))
        }
    }
}

/// Reads one list into the draft, and says what of it was of no use.
fn read(spec: &Spec, draft: &mut ThreatDraft) -> Result<Option<String>, ListError> {
    let file = File::open(&spec.path).map_err(ListError::Io)?;
    let written_s = file.metadata().ok().and_then(|m| m.modified().ok()).and_then(seconds);
    let content = fluxtap_lists::read(file, spec.format, spec.column.as_deref(), draft)?;
    let path = spec.path.display();
    draft.add(ThreatList {
        name: spec.name.as_str().into(),
        source: spec.source.clone().unwrap_or_else(|| file_name(&spec.path)).into(),
        category: spec.category.as_str().into(),
        format: content.format.as_str(),
        made_s: content.made_s,
        // A file that does not say how old its data is, is as old as itself.
        until_s: spec.until_s(content.made_s.or(written_s)),
        is_alerting: spec.is_alerting,
        entries: content.entries,
    });
    let skipped = &content.skipped;
    Ok((skipped.total() > 0).then(|| {
        let what = shown(&skipped.to_string(), TEXT_COLUMNS_MAX);
        let entries = entries(content.entries);
        format!("threat list {}: {path}: {entries} taken, and left out {what}", spec.name)
    }))
}

fn entries(number: usize) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{} entries", grouped(number as u64)) }
}

fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Warns of lists that no longer hold at a time.
pub(crate) fn warn_of_expired(lists: &ThreatLists, at_s: u64) {
    for list in lists.lists() {
        if let Some(until_s) = list.until_s.filter(|&until_s| until_s <= at_s) {
            console::warning(&format!(
                "threat list {}: it held until {} and says nothing any more; fetch it anew, or \
                 give it a later end",
                list.name,
                fluxtap_alert::words::time(until_s.saturating_mul(1_000))
            ));
        }
    }
}

/// What a list is, in a line.
pub(crate) fn told(list: &ThreatList) -> String {
    let made = list.made_s.map(|s| format!(", made {}", Day::of(s)));
    let until = list
        .until_s
        .map(|s| format!(", holds until {}", fluxtap_alert::words::time(s.saturating_mul(1_000))));
    format!(
        "{} of the threat list {} ({}, {}{}{}{})",
        entries(list.entries),
        list.name,
        list.category,
        list.format,
        made.unwrap_or_default(),
        until.unwrap_or_default(),
        if list.is_alerting { ", alerts" } else { "" }
    )
}

/// What a hit says, for people: `openphish (phishing): evil.example, until 2026-12-31`.
pub(crate) fn shown_hit(hit: &ThreatHit) -> String {
    let until = hit.until_s.map_or_else(String::new, |s| {
        format!(", until {}", fluxtap_alert::words::time(u64::from(s) * 1_000))
    });
    let text = format!("{} ({}): {}{until}", hit.list.name, hit.list.category, hit.indicator);
    shown(&text, TEXT_COLUMNS_MAX)
}

/// The same for programs.
pub(crate) fn hit_json(hit: &ThreatHit) -> Value {
    let time = |s: u64| fluxtap_alert::rfc3339(s.saturating_mul(1_000));
    json!({
        "list": &*hit.list.name,
        "source": &*hit.list.source,
        "category": &*hit.list.category,
        "indicator": hit.indicator.to_string(),
        "made": hit.list.made_s.map(time),
        "until": hit.until_s.map(u64::from).or(hit.list.until_s).map(time),
    })
}

/// The counters, by list; `lines` is by name.
pub(crate) fn to_json(
    intel: &Intel,
    lines: &BTreeMap<Box<str>, u64>,
    counts: &ShardCounts,
) -> Value {
    let time = |s: u64| fluxtap_alert::rfc3339(s.saturating_mul(1_000));
    let lists = intel.threats().lists().iter().map(|list| {
        json!({
            "list": &*list.name,
            "source": &*list.source,
            "category": &*list.category,
            "format": list.format,
            "entries": list.entries,
            "made": list.made_s.map(time),
            "until": list.until_s.map(time),
            "lines": lines.get(&list.name).copied().unwrap_or(0),
        })
    });
    json!({
        "entries": intel.threats().len(),
        "bytes": intel.threats().bytes(),
        "matches": counts.intel_matches,
        "matches_allowed": counts.intel_matches_allowed,
        "matches_refused": counts.intel_matches_refused,
        "by_list": lists.collect::<Vec<_>>(),
    })
}

/// The line of the summary; none without a list.
pub(crate) fn line(intel: &Intel, lines: &BTreeMap<Box<str>, u64>) -> Option<String> {
    let lists = intel.threats().lists();
    if lists.is_empty() {
        return None;
    }
    let mut used: Vec<(&str, u64)> = lines.iter().map(|(name, &lines)| (&**name, lines)).collect();
    used.sort_by_key(|&(_, lines)| std::cmp::Reverse(lines));
    let mut told: Vec<String> =
        used.iter().take(LISTS_SHOWN).map(|(name, n)| format!("{name} {}", grouped(*n))).collect();
    if let Some(more) = used.len().checked_sub(LISTS_SHOWN).filter(|&n| n > 0) {
        told.push(format!("and {more} more"));
    }
    let told = if told.is_empty() { "none".to_owned() } else { told.join(", ") };
    Some(format!(
        "  lists       {} of {}; lines with a hit: {told}",
        entries(intel.threats().len()),
        count(lists.len() as u64, "threat list")
    ))
}
