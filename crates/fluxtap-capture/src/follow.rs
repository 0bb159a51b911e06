//! A directory that grows: which files are there, and which of them are finished.
//!
//! Nothing says that a capture is finished but its rest. A file is taken for finished when it has
//! not changed for a while, and another one in its directory changed later; without such another,
//! when it has not changed for [`ALONE_FACTOR`] times as long. The first half is what rotation
//! looks like, whoever rotates; the second is for the last file before its writer stopped. A writer
//! that pauses longer is not lost either: a file that grows after it was read is read on.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fluxtap_wire::Timestamp;

use crate::folder::{self, Folder, Found, Identity};

/// How much longer a file must rest if none in its directory changed after it.
pub const ALONE_FACTOR: u64 = 10;

/// Files whose delay is remembered, from their first packet to their end.
const LAGS_MAX: usize = 16;

/// Suffixes of a file that another program compresses when it is done. The compressed file is the
/// same capture, and must not be read again.
const PACKED_SUFFIXES: [&str; 4] = ["gz", "zst", "xz", "lz4"];

/// The files of growing directories. Bounded by what lies in them, which is bounded by
/// [`folder::DIRECTORY_FILES_MAX`]: what is gone is forgotten.
#[derive(Debug)]
pub(crate) struct Follow {
    roots: Vec<PathBuf>,
    settle_ns: u64,
    /// By path without the suffix of a compression.
    seen: BTreeMap<PathBuf, Seen>,
    /// From the first packet of a file to when it was found finished, in nanoseconds, of the last
    /// ones.
    lags: VecDeque<u64>,
    /// Files that were gone before they were finished.
    pub(crate) vanished: u64,
}

/// What tells whether a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) identity: Identity,
    pub(crate) size_bytes: u64,
    modified: Timestamp,
}

/// A file in the directory.
#[derive(Debug)]
struct Seen {
    path: PathBuf,
    stat: Stat,
    first_seen: Timestamp,
    unchanged_since: Timestamp,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Not finished; what is done of it, if it was read before.
    Growing(Option<Done>),
    /// Being read, as it was then.
    Queued(Stat),
    /// Read.
    Done(Done),
}

/// What was read of a file.
#[derive(Clone, Copy, Debug)]
struct Done {
    stat: Stat,
    part: Part,
}

/// The part of a file that was read before it grew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Time of its first packet, which tells whether it is the same capture still.
    pub(crate) first_at: Option<Timestamp>,
    pub(crate) packets: u64,
}

/// A file that is to be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) path: PathBuf,
    pub(crate) stat: Stat,
    pub(crate) part: Part,
}

impl Follow {
    pub(crate) fn new(roots: Vec<PathBuf>, settle_s: u64) -> Self {
        Self {
            roots,
            settle_ns: settle_s.saturating_mul(Timestamp::SECOND),
            seen: BTreeMap::new(),
            lags: VecDeque::new(),
            vanished: 0,
        }
    }

    /// Lists the directories. Of links to files nothing is known here: they point to what is
    /// written now, and the file itself is there too.
    pub(crate) fn list(&self) -> Folder {
        let mut all = Folder::default();
        for root in &self.roots {
            let Folder { files, unreadable, is_cut } = folder::list(root);
            all.files.extend(files.into_iter().filter(|found| !found.is_link));
            all.unreadable.extend(unreadable);
            all.is_cut |= is_cut;
        }
        all
    }

    /// Compares what lies there at `now` with what was there before; returns the files that are
    /// finished since, in the order of their paths.
    pub(crate) fn look(&mut self, files: Vec<Found>, now: Timestamp) -> Vec<Finished> {
        let here = by_key(files);
        let mut newest = BTreeMap::<PathBuf, Timestamp>::new();
        for (path, stat) in here.values() {
            let directory = path.parent().unwrap_or(Path::new("")).to_owned();
            let modified = newest.entry(directory).or_default();
            *modified = stat.modified.max(*modified);
        }
        self.forget_gone(&here);
        for (key, (path, stat)) in here {
            self.note(key, path, stat, now);
        }
        let settle_ns = self.settle_ns;
        let mut finished = Vec::new();
        for seen in self.seen.values_mut() {
            let State::Growing(done) = seen.state else { continue };
            let directory = seen.path.parent().unwrap_or(Path::new(""));
            let is_alone = newest.get(directory).is_none_or(|newest| *newest <= seen.stat.modified);
            let factor = if is_alone { ALONE_FACTOR } else { 1 };
            if now.since(seen.unchanged_since) >= settle_ns.saturating_mul(factor) {
                seen.state = State::Queued(seen.stat);
                // A file that is another one now, or shorter, was written anew.
                let part = done.filter(|done| {
                    done.stat.identity == seen.stat.identity
                        && done.stat.size_bytes <= seen.stat.size_bytes
                });
                finished.push(Finished {
                    path: seen.path.clone(),
                    stat: seen.stat,
                    part: part.map(|done| done.part).unwrap_or_default(),
                });
            }
        }
        finished
    }

    fn forget_gone(&mut self, here: &BTreeMap<PathBuf, (PathBuf, Stat)>) {
        let mut vanished = 0;
        self.seen.retain(|key, seen| {
            let stays = here.contains_key(key) || matches!(seen.state, State::Queued(_));
            vanished += u64::from(!stays && matches!(seen.state, State::Growing(None)));
            stays
        });
        self.vanished += vanished;
    }

    fn note(&mut self, key: PathBuf, path: PathBuf, stat: Stat, now: Timestamp) {
        let Some(seen) = self.seen.get_mut(&key) else {
            // Moved here or there before: how long it has rested is known from its own time.
            let unchanged_since = stat.modified.min(now);
            let state = State::Growing(None);
            let first_seen = now;
            self.seen.insert(key, Seen { path, stat, first_seen, unchanged_since, state });
            return;
        };
        if seen.stat == stat && seen.path == path {
            return;
        }
        // Compressed by another program after it was read.
        let is_packed_now = seen.path != path && path != key;
        seen.path = path;
        seen.stat = stat;
        seen.unchanged_since = now;
        match &mut seen.state {
            State::Done(Done { stat: known, .. }) | State::Queued(known) if is_packed_now => {
                *known = stat;
            }
            State::Done(done) => seen.state = State::Growing(Some(*done)),
            State::Growing(_) | State::Queued(_) => {}
        }
    }

    /// Notes that a file was read to its end, or as far as that went.
    pub(crate) fn done(&mut self, path: &Path, part: Part) {
        let Some(seen) = self.seen.get_mut(&key_of(path)) else { return };
        let State::Queued(stat) = seen.state else { return };
        let done = Done { stat, part };
        // It may have changed while it was read.
        seen.state = if seen.stat == stat { State::Done(done) } else { State::Growing(Some(done)) };
    }

    /// Notes the first packet of a file that is read now.
    pub(crate) fn reached(&mut self, first_at: Timestamp, now: Timestamp) {
        if self.lags.len() == LAGS_MAX {
            self.lags.pop_front();
        }
        self.lags.push_back(now.since(first_at));
    }

    /// Up to when nothing more can be expected if nothing is being read: files come with the delay
    /// that the last ones had, and what grows now began when it was first seen.
    pub(crate) fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        let lag = self.lags.iter().max()?;
        let growing = self.seen.values().filter(|seen| matches!(seen.state, State::Growing(_)));
        let first_seen = growing.map(|seen| seen.first_seen).min();
        let usual = Timestamp(now.0.saturating_sub(*lag));
        Some(first_seen.map_or(usual, |first_seen| first_seen.min(usual)))
    }

    /// Files that are not finished.
    pub(crate) fn growing(&self) -> u64 {
        self.seen.values().filter(|seen| matches!(seen.state, State::Growing(_))).count() as u64
    }
}

impl Stat {
    pub(crate) fn new(metadata: &Metadata) -> Self {
        let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
        let fraction = u64::try_from(metadata.mtime_nsec()).unwrap_or(0);
        let modified = Timestamp(Timestamp::from_secs(seconds).0.saturating_add(fraction));
        Self { identity: folder::identity(metadata), size_bytes: metadata.len(), modified }
    }
}

/// The files by their keys. Where a file lies beside its compressed copy, the file counts.
fn by_key(files: Vec<Found>) -> BTreeMap<PathBuf, (PathBuf, Stat)> {
    let mut here = BTreeMap::new();
    for Found { path, metadata, .. } in files {
        let key = key_of(&path);
        let is_plain = key == path;
        let stat = Stat::new(&metadata);
        if is_plain {
            here.insert(key, (path, stat));
        } else {
            here.entry(key).or_insert((path, stat));
        }
    }
    here
}

/// A path without the suffix of a compression.
fn key_of(path: &Path) -> PathBuf {
    let suffix = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    if PACKED_SUFFIXES.contains(&suffix) { path.with_extension("") } else { path.to_owned() }
}
