//! Any number of capture files as one stream in packet time.
//!
//! Every file is read up to its first packet, then closed; the merge opens it again when it gets
//! there. From then on the file keeps its read buffer, while its descriptor is only borrowed to
//! fill it: descriptors and buffers are bounded apart, and both can be taken away from a file and
//! restored from its offset. What is not a regular file cannot be read twice and keeps both. What
//! is compressed could only be unpacked again from its start, so it keeps its unpacker and its
//! buffer from its first packet on, and the memory of all unpackers has a limit of its own; its
//! descriptor is borrowed like any other, as the compressed bytes go on where they stopped.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fs::File;
use std::io;
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};

use fluxtap_wire::{Packet, Timestamp};
use rustix::event::{Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::folder::{self, Folder};
use crate::follow::{Follow, Part};
use crate::parser::Filled;
use crate::reader::READ_BYTES;
use crate::replay::slot::{Budget, Held, Input, Slot, Stage, Stop};
use crate::status::{FileReport, FileStatus};
use crate::unpack::{CHUNK_BYTES, Fault, Lanes};
use crate::{BATCH_BYTES_MAX, BATCH_PACKETS_MAX, Batch, Source};

mod slot;

/// Most capture files open at once, however many the system would allow.
pub const OPEN_FILES_MAX: usize = 256;

/// Descriptors of the process's soft limit that are left to everything else.
pub const DESCRIPTORS_RESERVED: usize = 32;

/// Memory for the read buffers of all files together, unless the options say otherwise. Files
/// that overlap in time share it; the least urgent buffers are dropped and read again later.
pub const BUFFERS_BYTES_MAX: usize = 32 << 20;

/// Memory for unpacking all compressed files that are read at one time. A file that would need
/// more is refused: to drop another's state would mean to unpack that again from its start, over
/// and over.
pub const UNPACKERS_BYTES_MAX: usize = 512 << 20;

/// Compressed files that are unpacked in threads of their own at one time, once they have shown to be
/// large; more are unpacked where they are read.
pub const UNPACK_THREADS_MAX: usize = 4;

/// Smallest read buffer a file gets when many share the memory.
const BUFFER_BYTES_MIN: usize = 4 << 10;
/// Read buffer to find a file's first packet.
const PEEK_BYTES: usize = 4 << 10;

/// How long a pipe without data may keep [`Source::next_batch`] waiting, in milliseconds.
const STREAM_WAIT_MS: i64 = 100;

/// Limits of a [`Replay`]; the default is right for anything but tests and tight systems.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplayOptions {
    /// Most regular files open at once, at least 1. By default [`OPEN_FILES_MAX`] or what the
    /// soft limit of the process allows after [`DESCRIPTORS_RESERVED`], whichever is less.
    pub open_files_max: Option<usize>,
    /// Memory for read buffers in bytes, by default [`BUFFERS_BYTES_MAX`]. The file being read
    /// gets what its largest record needs even if that is more.
    pub buffers_bytes_max: Option<usize>,
    /// Memory for unpacking in bytes, by default [`UNPACKERS_BYTES_MAX`]. One file may always be
    /// unpacked, within [`WINDOW_BYTES_MAX`](crate::WINDOW_BYTES_MAX).
    pub unpackers_bytes_max: Option<usize>,
    /// Most threads for unpacking, by default [`UNPACK_THREADS_MAX`].
    pub unpack_threads_max: Option<usize>,
}

/// How far a [`Replay`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes done, those of files that ended early included.
    pub bytes_done: u64,
    /// Bytes of all files; `None` when one of them is a pipe or standard input.
    pub bytes_total: Option<u64>,
    /// Files done.
    pub files_done: usize,
    /// Files named, and found in the directories that were named.
    pub files_total: usize,
}

/// Capture files merged by packet time.
///
/// Packets of equal time come in the order of their files' arguments. Within a file the order of
/// the file is kept, even where its times go back: only the files' next packets are compared. A
/// capture and the same capture cut in two files thus give the same packets in the same order, as
/// long as no packet after the cut is older than one before it.
///
/// A directory stands for the files in and below it, in the order of their paths; see
/// [`follow`](Self::follow) for one that grows.
///
/// A bad file ends alone; how each one ended is in [`report`](Self::report). A pipe without data
/// gives [`Batch::Idle`], so that the caller can stop; only opening a named pipe without a writer
/// waits for good.
#[derive(Debug)]
pub struct Replay {
    slots: Vec<Slot>,
    /// Files that are neither done nor current, by the time of their next packet; those not looked
    /// at yet come first.
    order: BinaryHeap<Reverse<Key>>,
    /// The file whose turn it was when the last batch was full.
    current: Option<usize>,
    descriptors: Descriptors,
    memory: Memory,
    bytes_done: u64,
    bytes_total: Option<u64>,
    files_done: usize,
    files_total: usize,
    /// The directories that were named, and which slots their files have.
    directories: Vec<(PathBuf, Range<usize>)>,
    growth: Option<Growth>,
}

/// What there is besides if directories are followed.
#[derive(Debug)]
struct Growth {
    follow: Follow,
    /// When the directories were looked at last.
    now: Timestamp,
    /// Slots of files that are done, to be used again.
    free: Vec<usize>,
    /// What was read of those, until somebody asks.
    ended: Vec<FileReport>,
    /// What could not be looked at, told once.
    told: BTreeSet<PathBuf>,
}

/// Time of the next packet, if known, and position of the file.
type Key = (Option<Timestamp>, usize);

/// The open regular files, least recently read first.
#[derive(Debug)]
struct Descriptors {
    open: Vec<usize>,
    streams: usize,
    files_max: usize,
}

/// The sum of all read buffers, and of what unpacking takes.
#[derive(Debug)]
struct Memory {
    bytes: usize,
    bytes_max: usize,
    /// Files that the merge has reached and not finished: those that need a buffer.
    sharers: usize,
    unpackers_bytes: usize,
    unpackers_bytes_max: usize,
    lanes: Lanes,
}

impl Replay {
    /// Prepares to read `paths`, `-` being standard input. Looks at what they are, lists
    /// directories, reads nothing yet and never blocks: what is missing, no file or named twice is
    /// in [`report`](Self::report) from here on.
    pub fn open(paths: impl IntoIterator<Item = PathBuf>, options: ReplayOptions) -> Self {
        let (mut slots, mut directories) = (Vec::new(), Vec::new());
        for path in paths {
            let slot = Slot::named(path);
            if slot.input == Input::Directory {
                let start = slots.len();
                push_folder(&mut slots, &slot.path);
                directories.push((slot.path, start..slots.len()));
            } else {
                slots.push(slot);
            }
        }
        Self { directories, ..Self::new(slots, options) }
    }

    /// Prepares to read `paths`, and the directories among them for ever: each file once when it
    /// is finished, which [`look`](Self::look) finds out. A file is finished when it has not
    /// changed for `settle_s` seconds and another in its directory changed later, or else for
    /// [`ALONE_FACTOR`](crate::ALONE_FACTOR) times as long. What a file grows by after that is
    /// read in the same way. Where a file lies beside a compressed copy of it (`.gz`, `.zst`,
    /// `.xz`, `.lz4`), the copy is not read.
    ///
    /// The end never comes; when all is read, [`Source::next_batch`] waits a moment and gives
    /// [`Batch::Idle`].
    pub fn follow(
        paths: impl IntoIterator<Item = PathBuf>,
        settle_s: u64,
        options: ReplayOptions,
    ) -> Self {
        let (roots, slots): (Vec<Slot>, Vec<Slot>) =
            paths.into_iter().map(Slot::named).partition(|slot| slot.input == Input::Directory);
        let roots = roots.into_iter().map(|slot| slot.path).collect();
        let growth = Growth {
            follow: Follow::new(roots, settle_s),
            now: Timestamp(0),
            free: Vec::new(),
            ended: Vec::new(),
            told: BTreeSet::new(),
        };
        Self { growth: Some(growth), bytes_total: None, ..Self::new(slots, options) }
    }

    fn new(mut slots: Vec<Slot>, options: ReplayOptions) -> Self {
        mark_duplicates(&mut slots);
        let waiting = |slot: &Slot| slot.status == FileStatus::Unfinished;
        let order = (0..slots.len())
            .filter(|index| waiting(&slots[*index]))
            .map(|index| Reverse((None, index)))
            .collect::<BinaryHeap<_>>();
        let files_max = options.open_files_max.unwrap_or_else(open_files_max);
        let streams = slots.iter().filter(|slot| slot.input == Input::Stream).count();
        let size_bytes = slots.iter().map(Slot::size_bytes).fold(0, u64::saturating_add);
        Self {
            files_done: slots.len() - order.len(),
            files_total: slots.len(),
            order,
            current: None,
            descriptors: Descriptors { open: Vec::new(), streams, files_max },
            memory: Memory {
                bytes: 0,
                bytes_max: options.buffers_bytes_max.unwrap_or(BUFFERS_BYTES_MAX),
                sharers: 0,
                unpackers_bytes: 0,
                unpackers_bytes_max: options.unpackers_bytes_max.unwrap_or(UNPACKERS_BYTES_MAX),
                lanes: Lanes::new(options.unpack_threads_max.unwrap_or(UNPACK_THREADS_MAX)),
            },
            bytes_done: 0,
            bytes_total: (streams == 0).then_some(size_bytes),
            directories: Vec::new(),
            growth: None,
            slots,
        }
    }

    /// Looks for finished files in the directories that are followed, at the time of day `now`.
    pub fn look(&mut self, now: Timestamp) {
        let Some(growth) = &mut self.growth else { return };
        growth.now = now;
        let Folder { files, unreadable, is_cut } = growth.follow.list();
        for (path, error) in unreadable {
            if growth.told.len() < folder::DIRECTORY_FILES_MAX && growth.told.insert(path.clone()) {
                growth.ended.push(Slot::told(path, FileStatus::unreadable(&error)).report());
            }
        }
        let limit = PathBuf::from("directories that are followed");
        if is_cut && growth.told.insert(limit.clone()) {
            growth.ended.push(Slot::told(limit, FileStatus::TooManyFiles).report());
        }
        for finished in growth.follow.look(files, now) {
            let slot = Slot::followed(finished);
            let index = match growth.free.pop() {
                Some(index) => {
                    self.slots[index] = slot;
                    index
                }
                None => {
                    self.slots.push(slot);
                    self.slots.len() - 1
                }
            };
            self.files_total += 1;
            self.order.push(Reverse((None, index)));
        }
    }

    /// Up to when nothing more can be expected at the time of day `now`, if directories are
    /// followed and all that was finished is read: the files come with the delay of their
    /// rotation, and that is taken from the last ones.
    #[must_use]
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        let growth = self.growth.as_ref()?;
        if self.current.is_some() || !self.order.is_empty() {
            return None;
        }
        growth.follow.quiet_until(now)
    }

    /// Files in directories that are followed which are not finished or not read to their end, and
    /// files that were gone before they were finished.
    #[must_use]
    pub fn unread(&self) -> (u64, u64) {
        let follow = self.growth.as_ref().map(|growth| &growth.follow);
        follow.map_or((0, 0), |follow| (follow.unread(), follow.vanished))
    }

    /// The reports of files in directories that are followed which ended since the last call.
    /// They are in no [`report`](Self::report), or it would grow for ever.
    pub fn take_ended(&mut self) -> Vec<FileReport> {
        self.growth.as_mut().map(|growth| mem::take(&mut growth.ended)).unwrap_or_default()
    }

    /// What was read of each file so far, in the order of the arguments.
    #[must_use]
    pub fn report(&self) -> Vec<FileReport> {
        let free: BTreeSet<usize> =
            self.growth.iter().flat_map(|growth| growth.free.iter().copied()).collect();
        let in_use = self.slots.iter().enumerate().filter(|(index, _)| !free.contains(index));
        let mut reports: Vec<FileReport> = in_use.map(|(_, slot)| slot.report()).collect();
        for (path, slots) in &self.directories {
            if reports[slots.clone()].iter().all(FileReport::is_passed_over) {
                let status = FileStatus::NoCaptures { files: slots.len() };
                reports.push(Slot::told(path.clone(), status).report());
            }
        }
        reports
    }

    /// How far it is; cheap enough to ask after every batch. It moves between batches only.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            // A file that is still being written may have grown.
            bytes_done: self.bytes_done.min(self.bytes_total.unwrap_or(u64::MAX)),
            bytes_total: self.bytes_total,
            files_done: self.files_done,
            files_total: self.files_total,
        }
    }

    /// Hands over packets of one file while it has the earliest.
    fn run(
        &mut self,
        index: usize,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Packet<'_>),
    ) -> Stop {
        let next = self.order.peek().map(|Reverse(key)| *key);
        if self.slots[index].stage == Stage::Peeked {
            self.slots[index].stage = Stage::Reached;
            self.memory.sharers += 1;
        }
        loop {
            let slot = &mut self.slots[index];
            let before = slot.parser.buffer.offset();
            let stop = match slot.stage {
                Stage::New => slot.peek(budget),
                _ => slot.hand_over(index, next, budget, visit),
            };
            let used_bytes = slot.parser.buffer.offset() - before;
            budget.bytes = budget.bytes.saturating_sub(used_bytes);
            let Stop::Need(need) = stop else {
                return stop;
            };
            match self.refill(index, need) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Stop::Idle,
                Ok(Filled::Changed) => {}
                // What is unpacked to nothing is work too.
                Ok(Filled::Nothing) => {
                    budget.bytes = budget.bytes.saturating_sub(CHUNK_BYTES as u64);
                }
                Err(error) => return Stop::Ended(FileStatus::unreadable(&error)),
            }
        }
    }

    /// Reads more of a file, opening it if need be. `WouldBlock` when nothing came from a stream
    /// within its time.
    fn refill(&mut self, index: usize, need: usize) -> io::Result<Filled> {
        self.acquire(index)?;
        let slot = &mut self.slots[index];
        let want = match slot.stage {
            Stage::New => PEEK_BYTES,
            _ => self.memory.share_bytes(),
        };
        slot.parser.lanes.get_or_insert_with(|| self.memory.lanes.clone());
        let filled = slot.fill(need, want);
        let parser = &mut slot.parser;
        self.memory.changed(&mut slot.held, Held::of(parser));
        let unpackers_bytes = self.memory.unpackers_bytes;
        let is_alone = unpackers_bytes == parser.unpacker_bytes();
        if unpackers_bytes > self.memory.unpackers_bytes_max && !is_alone {
            parser.stop_unpacking(Fault::Memory);
        }
        if self.memory.bytes > self.memory.bytes_max {
            self.shed();
        }
        filled
    }

    /// Makes sure that a file is open and stands where its buffer ends.
    fn acquire(&mut self, index: usize) -> io::Result<()> {
        let regular = self.slots[index].is_regular();
        if self.slots[index].file.is_none() {
            while regular && self.descriptors.is_full() && self.close_one() {}
            let file = loop {
                match File::open(&self.slots[index].path) {
                    Err(error) if out_of_descriptors(&error) && self.close_one() => {}
                    opened => break opened?,
                }
            };
            self.slots[index].restore(file)?;
        }
        // Streams stay off the list of what may be closed.
        if regular {
            self.descriptors.touch(index);
        }
        Ok(())
    }

    /// Closes the file that was not read for the longest time; `false` if there is none.
    fn close_one(&mut self) -> bool {
        let Some(index) = self.descriptors.open.first().copied() else {
            return false;
        };
        self.close(index);
        true
    }

    fn close(&mut self, index: usize) {
        self.descriptors.forget(index);
        self.slots[index].file = None;
    }

    /// Drops the buffers that are needed last until half of the memory is free. Streams and
    /// compressed files keep theirs, they cannot be read again; so does the file whose turn it is.
    fn shed(&mut self) {
        let mut waiting: Vec<Key> = self.order.iter().map(|Reverse(key)| *key).collect();
        waiting.sort_unstable();
        while let Some((_, index)) = waiting.pop()
            && self.memory.bytes > self.memory.bytes_max / 2
        {
            self.park(index);
        }
    }

    /// Takes buffer and descriptor away from a file where that can be; it continues at its offset.
    fn park(&mut self, index: usize) {
        if self.slots[index].can_park() {
            self.close(index);
            let slot = &mut self.slots[index];
            self.memory.changed(&mut slot.held, Held::default());
            slot.parser.unload();
        }
    }

    /// Nothing is left to read, for now at least.
    fn wait(&self) -> io::Result<Batch> {
        if self.growth.is_none() {
            return Ok(Batch::End);
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: STREAM_WAIT_MS * 1_000_000 };
        match poll(&mut [], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(Batch::Idle),
            Err(error) => Err(error.into()),
        }
    }

    fn end(&mut self, index: usize, status: FileStatus) {
        self.close(index);
        let slot = &mut self.slots[index];
        slot.status = status;
        self.memory.sharers -= usize::from(slot.stage == Stage::Reached);
        self.memory.changed(&mut slot.held, Held::default());
        slot.parser.retire();
        // What a bad file leaves unread is done as well, or the progress would never be full.
        let bytes_end = slot.size_bytes().max(slot.parser.file_offset());
        self.bytes_done += bytes_end.saturating_sub(slot.bytes_counted);
        slot.bytes_counted = bytes_end;
        self.files_done += 1;
        if let Some(growth) = &mut self.growth
            && slot.is_followed
        {
            let part = Part { packets: slot.parser.packets, ..slot.part };
            growth.follow.done(&slot.path, part);
            growth.ended.push(slot.report());
            growth.free.push(index);
        }
    }
}

impl Source for Replay {
    fn next_batch(&mut self, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<Batch> {
        let mut budget = Budget { packets: BATCH_PACKETS_MAX, bytes: BATCH_BYTES_MAX };
        loop {
            let next = self.current.take();
            let Some(index) = next.or_else(|| self.order.pop().map(|Reverse((_, index))| index))
            else {
                return self.wait();
            };
            let stop = self.run(index, &mut budget, visit);
            let slot = &mut self.slots[index];
            let offset = slot.parser.file_offset();
            self.bytes_done += offset.saturating_sub(slot.bytes_counted);
            slot.bytes_counted = offset.max(slot.bytes_counted);
            match stop {
                Stop::Ended(status) => self.end(index, status),
                Stop::Later(at) => {
                    if slot.stage == Stage::New {
                        slot.stage = Stage::Peeked;
                        if let Some(growth) = &mut self.growth
                            && slot.is_followed
                        {
                            growth.follow.reached(at, growth.now);
                        }
                        self.park(index);
                    }
                    self.order.push(Reverse((Some(at), index)));
                }
                Stop::Full | Stop::Need(_) => {
                    self.current = Some(index);
                    return Ok(Batch::More);
                }
                Stop::Idle => {
                    self.current = Some(index);
                    return Ok(Batch::Idle);
                }
            }
        }
    }
}

impl Descriptors {
    /// Whether another regular file must wait for one to be closed.
    fn is_full(&self) -> bool {
        self.open.len() >= self.files_max.saturating_sub(self.streams).max(1)
    }

    /// Notes that a file was read now. The list is as short as the limit.
    fn touch(&mut self, index: usize) {
        match self.open.iter().position(|open| *open == index) {
            Some(at) => self.open[at..].rotate_left(1),
            None => self.open.push(index),
        }
    }

    fn forget(&mut self, index: usize) {
        self.open.retain(|open| *open != index);
    }
}

impl Memory {
    /// What a file may read ahead. Half of the memory is shared out, so that the files that were
    /// reached when there were fewer, or hold a large record, do not make it overflow at once.
    fn share_bytes(&self) -> usize {
        (self.bytes_max / 2 / self.sharers.max(1)).clamp(BUFFER_BYTES_MIN, READ_BYTES)
    }

    /// Notes that a file holds `after` from now on.
    fn changed(&mut self, held: &mut Held, after: Held) {
        self.bytes = self.bytes - held.buffer_bytes + after.buffer_bytes;
        self.unpackers_bytes = self.unpackers_bytes - held.unpacker_bytes + after.unpacker_bytes;
        *held = after;
    }
}

/// Adds what lies in a directory.
fn push_folder(slots: &mut Vec<Slot>, path: &Path) {
    let Folder { files, unreadable, is_cut } = folder::list(path);
    slots.extend(files.into_iter().map(|found| Slot::found(found.path, &found.metadata)));
    slots.extend(
        unreadable
            .into_iter()
            .map(|(path, error)| Slot::told(path, FileStatus::unreadable(&error))),
    );
    if is_cut {
        slots.push(Slot::told(path.to_owned(), FileStatus::TooManyFiles));
    }
}

/// Leaves the first of several arguments that name the same file.
fn mark_duplicates(slots: &mut [Slot]) {
    let mut first_of = BTreeMap::new();
    for index in 0..slots.len() {
        let Some(identity) = slots[index].identity() else {
            continue;
        };
        let first = *first_of.entry(identity).or_insert(index);
        if first != index {
            slots[index].status = FileStatus::DuplicateOf(slots[first].path.clone());
            slots[index].input = Input::None;
            slots[index].file = None;
        }
    }
}

fn out_of_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn open_files_max() -> usize {
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let soft = usize::try_from(soft).unwrap_or(usize::MAX);
    soft.saturating_sub(DESCRIPTORS_RESERVED).clamp(1, OPEN_FILES_MAX)
}

#[cfg(test)]
mod tests;
