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

    /// Files that are not finished, or not read to their end.
    pub(crate) fn unread(&self) -> u64 {
        self.seen.values().filter(|seen| !matches!(seen.state, State::Done(_))).count() as u64
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

#[cfg(test)]
mod tests {
    use std::fs::{self, File, FileTimes};
    use std::time::{Duration, SystemTime};

    use tempfile::TempDir;

    use super::*;

    const SETTLE_S: u64 = 30;

    /// A directory in which time is what the test says.
    struct Directory {
        root: TempDir,
        follow: Follow,
    }

    impl Directory {
        fn new() -> Self {
            let root = TempDir::new().expect("a temporary folder");
            let follow = Follow::new(vec![root.path().to_owned()], SETTLE_S);
            Self { root, follow }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn write(&self, name: &str, bytes: &[u8], at_s: u64) {
            fs::write(self.at(name), bytes).expect("a writable folder");
            let file = File::options().append(true).open(self.at(name)).expect("a file");
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(at_s);
            file.set_times(FileTimes::new().set_modified(modified)).expect("times");
        }

        /// Names of what is finished at a time, with the packets that were read before.
        fn look(&mut self, at_s: u64) -> Vec<(String, u64)> {
            let files = self.follow.list().files;
            let finished = self.follow.look(files, Timestamp::from_secs(at_s));
            let name = |path: &Path| {
                path.strip_prefix(self.root.path()).expect("below").display().to_string()
            };
            finished.iter().map(|file| (name(&file.path), file.part.packets)).collect()
        }

        fn done(&mut self, name: &str, packets: u64) {
            let part = Part { first_at: Some(Timestamp::from_secs(1)), packets };
            self.follow.done(&self.at(name), part);
        }
    }

    fn named(names: &[&str]) -> Vec<(String, u64)> {
        names.iter().map(|name| ((*name).to_owned(), 0)).collect()
    }

    #[test]
    fn rotated_files_are_finished_when_the_next_one_is_written() {
        let mut directory = Directory::new();
        directory.write("0", b"a", 1_000);
        assert_eq!(directory.look(1_000), []);
        assert_eq!(directory.look(1_040), [], "rests, but nothing came after it");
        directory.write("0", b"ab", 1_050);
        directory.write("1", b"c", 1_060);
        assert_eq!(directory.look(1_060), []);
        assert_eq!(directory.look(1_089), [], "30 s after it was seen to change");
        assert_eq!(directory.look(1_090), named(&["0"]));
        assert_eq!(directory.look(1_091), [], "once");
        directory.done("0", 2);
        assert_eq!(directory.look(1_359), []);
        assert_eq!(directory.look(1_360), named(&["1"]), "ten times as long when alone");
        directory.done("1", 1);
        assert_eq!(directory.look(9_999), []);
        assert_eq!((directory.follow.unread(), directory.follow.vanished), (0, 0));
    }

    #[test]
    fn what_lay_there_before_is_finished_at_once() {
        let mut directory = Directory::new();
        for (name, at_s) in [("b", 1_000), ("a", 1_500), ("writing", 2_000)] {
            directory.write(name, b"x", at_s);
        }
        assert_eq!(directory.look(2_001), named(&["a", "b"]));
        // A time in the future counts from when it is seen.
        directory.write("future", b"x", 99_999);
        assert_eq!(directory.look(2_002), []);
        assert_eq!(directory.look(2_029), []);
        assert_eq!(directory.look(2_030), named(&["writing"]));
    }

    #[test]
    fn what_grows_after_it_was_read_is_read_on() {
        let mut directory = Directory::new();
        directory.write("a", b"half", 1_000);
        assert_eq!(directory.look(1_000), []);
        assert_eq!(directory.look(1_300), named(&["a"]));
        directory.write("a", b"half and half", 1_310);
        assert_eq!(directory.look(1_310), [], "while it is read");
        directory.done("a", 7);
        assert_eq!(directory.look(1_320), []);
        assert_eq!(directory.look(1_610), [("a".to_owned(), 7)]);
        directory.done("a", 9);
        // Shorter is another capture: tcpdump -W writes the same names over and over.
        directory.write("a", b"new", 1_700);
        assert_eq!(directory.look(1_700), []);
        assert_eq!(directory.look(2_000), named(&["a"]));
    }

    #[test]
    fn a_file_that_is_compressed_afterwards_is_the_same() {
        let mut directory = Directory::new();
        directory.write("a.pcap", b"capture", 1_000);
        directory.look(1_000);
        assert_eq!(directory.look(1_300), named(&["a.pcap"]));
        directory.done("a.pcap", 3);
        directory.write("a.pcap.gz", b"capt", 1_301);
        assert_eq!(directory.look(1_301), []);
        fs::remove_file(directory.at("a.pcap")).expect("a writable folder");
        assert_eq!(directory.look(1_400), []);
        assert_eq!(directory.look(9_000), [], "read already");
        // Compressed before it was read: read like any other.
        directory.write("b.pcap", b"capture", 9_000);
        assert_eq!(directory.look(9_000), []);
        fs::remove_file(directory.at("b.pcap")).expect("a writable folder");
        directory.write("b.pcap.zst", b"capt", 9_001);
        assert_eq!(directory.look(9_001), []);
        assert_eq!(directory.look(9_301), named(&["b.pcap.zst"]));
    }

    #[test]
    fn what_is_gone_is_forgotten_and_counted_if_unread() {
        let mut directory = Directory::new();
        for name in ["read", "unread"] {
            directory.write(name, b"x", 1_000);
        }
        directory.look(1_000);
        assert_eq!(directory.look(1_300), named(&["read", "unread"]));
        directory.done("read", 1);
        directory.done("unread", 1);
        directory.write("short-lived", b"x", 1_301);
        assert_eq!(directory.look(1_301), []);
        for name in ["read", "unread", "short-lived"] {
            fs::remove_file(directory.at(name)).expect("a writable folder");
        }
        assert_eq!(directory.look(1_302), []);
        assert_eq!(directory.follow.vanished, 1);
        assert!(directory.follow.seen.is_empty());
    }

    #[test]
    fn event_time_waits_for_files_as_late_as_the_last_ones() {
        let mut directory = Directory::new();
        let at = Timestamp::from_secs;
        assert_eq!(directory.follow.quiet_until(at(5_000)), None, "nothing is known yet");
        directory.follow.reached(at(4_000), at(4_100));
        directory.follow.reached(at(4_060), at(4_190));
        assert_eq!(directory.follow.quiet_until(at(5_000)), Some(at(4_870)));
        // What is being written began when it was first seen, at the latest.
        directory.write("growing", b"x", 4_500);
        directory.look(4_500);
        assert_eq!(directory.follow.quiet_until(at(5_000)), Some(at(4_500)));
        for _ in 0..LAGS_MAX {
            directory.follow.reached(at(9_000), at(9_001));
        }
        assert_eq!(directory.follow.lags.len(), LAGS_MAX);
        assert_eq!(directory.follow.quiet_until(at(4_450)), Some(at(4_449)));
    }
}
