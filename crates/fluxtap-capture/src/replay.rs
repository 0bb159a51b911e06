//! Any number of capture files as one stream in packet time.
//!
//! Every file is read up to its first packet, then closed; the merge opens it again when it gets
//! there. From then on the file keeps its read buffer, while its descriptor is only borrowed to
//! fill it: descriptors and buffers are bounded apart, and both can be taken away from a file and
//! restored from its offset. What is not a regular file cannot be read twice and keeps both.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fs::{self, File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fluxtap_wire::{LinkType, Packet, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::parser::{Parser, Step};
use crate::reader::READ_BYTES;
use crate::status::{FileReport, FileStatus};
use crate::{BATCH_BYTES_MAX, BATCH_PACKETS_MAX, Batch, Source};

/// Most capture files open at once, however many the system would allow.
pub const OPEN_FILES_MAX: usize = 256;

/// Descriptors of the process's soft limit that are left to everything else.
pub const DESCRIPTORS_RESERVED: usize = 32;

/// Memory for the read buffers of all files together, unless the options say otherwise. Files
/// that overlap in time share it; the least urgent buffers are dropped and read again later.
pub const BUFFERS_BYTES_MAX: usize = 32 << 20;

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
    /// Files named.
    pub files_total: usize,
}

/// Capture files merged by packet time.
///
/// Packets of equal time come in the order of their files' arguments. Within a file the order of
/// the file is kept, even where its times go back: only the files' next packets are compared. A
/// capture and the same capture cut in two files thus give the same packets in the same order, as
/// long as no packet after the cut is older than one before it.
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
}

/// Time of the next packet, if known, and position of the file.
type Key = (Option<Timestamp>, usize);

/// One file.
#[derive(Debug)]
struct Slot {
    path: PathBuf,
    input: Input,
    status: FileStatus,
    parser: Parser,
    file: Option<File>,
    stage: Stage,
    /// Bytes of it that are counted in `bytes_done`.
    bytes_counted: u64,
    links: BTreeSet<LinkType>,
    link_last: Option<LinkType>,
}

/// How far the merge is with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its first packet is not known.
    New,
    /// It waits for the time of its first packet.
    Peeked,
    /// Its packets are handed over.
    Reached,
}

/// What kind of thing a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// Can be closed and opened again.
    Regular { identity: Identity, size_bytes: u64 },
    /// Standard input, a pipe, a device: read once from front to back.
    Stream,
    /// Not read at all.
    None,
}

/// Device and inode.
type Identity = (u64, u64);

/// The open regular files, least recently read first.
#[derive(Debug)]
struct Descriptors {
    open: Vec<usize>,
    streams: usize,
    files_max: usize,
}

/// The sum of all read buffers.
#[derive(Debug)]
struct Memory {
    bytes: usize,
    bytes_max: usize,
    /// Files that the merge has reached and not finished: those that need a buffer.
    sharers: usize,
}

/// What is left of a batch.
struct Budget {
    packets: usize,
    bytes: u64,
}

/// Why the packets of a file stop for now.
enum Stop {
    /// The batch is full.
    Full,
    /// The next packet is of this time, and another file has an earlier one.
    Later(Timestamp),
    /// The buffer needs so many bytes.
    Need(usize),
    /// Nothing came from a pipe within [`STREAM_WAIT_MS`].
    Idle,
    /// For ever.
    Ended(FileStatus),
}

impl Replay {
    /// Prepares to read `paths`, `-` being standard input. Looks at what they are, reads nothing
    /// yet and never blocks: what is missing, no file or named twice is in
    /// [`report`](Self::report) from here on.
    pub fn open(paths: impl IntoIterator<Item = PathBuf>, options: ReplayOptions) -> Self {
        let mut slots: Vec<Slot> = paths.into_iter().map(Slot::new).collect();
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
            order,
            current: None,
            descriptors: Descriptors { open: Vec::new(), streams, files_max },
            memory: Memory {
                bytes: 0,
                bytes_max: options.buffers_bytes_max.unwrap_or(BUFFERS_BYTES_MAX),
                sharers: 0,
            },
            bytes_done: 0,
            bytes_total: (streams == 0).then_some(size_bytes),
            slots,
        }
    }

    /// What was read of each file so far, in the order of the arguments.
    #[must_use]
    pub fn report(&self) -> Vec<FileReport> {
        self.slots.iter().map(Slot::report).collect()
    }

    /// How far it is; cheap enough to ask after every batch. It moves between batches only.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            // A file that is still being written may have grown.
            bytes_done: self.bytes_done.min(self.bytes_total.unwrap_or(u64::MAX)),
            bytes_total: self.bytes_total,
            files_done: self.files_done,
            files_total: self.slots.len(),
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
                Ok(0) => return Stop::Ended(FileStatus::Read(self.slots[index].parser.finish())),
                Ok(_) => {}
                Err(error) => return Stop::Ended(unreadable(&error)),
            }
        }
    }

    /// Reads more of a file, opening it if need be; returns how much came. `WouldBlock` when
    /// nothing came from a stream within its time.
    fn refill(&mut self, index: usize, need: usize) -> io::Result<usize> {
        self.acquire(index)?;
        let slot = &mut self.slots[index];
        slot.await_data()?;
        let Some(file) = &mut slot.file else {
            return Ok(0);
        };
        let buffer = &mut slot.parser.buffer;
        let before = buffer.memory_bytes();
        let want = match slot.stage {
            Stage::New => PEEK_BYTES,
            _ => self.memory.share_bytes(),
        };
        let read = buffer.fill(file, need, want);
        self.memory.changed(before, buffer.memory_bytes());
        if self.memory.bytes > self.memory.bytes_max {
            self.shed();
        }
        read
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

    /// Drops the buffers that are needed last until half of the memory is free. Streams keep
    /// theirs, they cannot be read again; so does the file whose turn it is.
    fn shed(&mut self) {
        let mut waiting: Vec<Key> = self.order.iter().map(|Reverse(key)| *key).collect();
        waiting.sort_unstable();
        while let Some((_, index)) = waiting.pop()
            && self.memory.bytes > self.memory.bytes_max / 2
        {
            self.park(index);
        }
    }

    /// Takes buffer and descriptor away from a regular file; it continues at its offset.
    fn park(&mut self, index: usize) {
        if self.slots[index].is_regular() {
            self.close(index);
            let parser = &mut self.slots[index].parser;
            self.memory.changed(parser.buffer.memory_bytes(), 0);
            parser.unload();
        }
    }

    fn end(&mut self, index: usize, status: FileStatus) {
        self.close(index);
        let slot = &mut self.slots[index];
        slot.status = status;
        self.memory.sharers -= usize::from(slot.stage == Stage::Reached);
        self.memory.changed(slot.parser.buffer.memory_bytes(), 0);
        slot.parser.retire();
        // What a bad file leaves unread is done as well, or the progress would never be full.
        let bytes_end = slot.size_bytes().max(slot.parser.buffer.offset());
        self.bytes_done += bytes_end.saturating_sub(slot.bytes_counted);
        slot.bytes_counted = bytes_end;
        self.files_done += 1;
    }
}

impl Source for Replay {
    fn next_batch(&mut self, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<Batch> {
        let mut budget = Budget { packets: BATCH_PACKETS_MAX, bytes: BATCH_BYTES_MAX };
        loop {
            let next = self.current.take();
            let Some(index) = next.or_else(|| self.order.pop().map(|Reverse((_, index))| index))
            else {
                return Ok(Batch::End);
            };
            let stop = self.run(index, &mut budget, visit);
            let slot = &mut self.slots[index];
            let offset = slot.parser.buffer.offset();
            self.bytes_done += offset.saturating_sub(slot.bytes_counted);
            slot.bytes_counted = offset.max(slot.bytes_counted);
            match stop {
                Stop::Ended(status) => self.end(index, status),
                Stop::Later(at) => {
                    if slot.stage == Stage::New {
                        slot.stage = Stage::Peeked;
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

impl Slot {
    fn new(path: PathBuf) -> Self {
        let mut slot = Self {
            path,
            input: Input::None,
            status: FileStatus::Unfinished,
            parser: Parser::new(),
            file: None,
            stage: Stage::New,
            bytes_counted: 0,
            links: BTreeSet::new(),
            link_last: None,
        };
        if let Err(error) = slot.inspect() {
            slot.status = unreadable(&error);
        }
        slot
    }

    /// Finds out what the path names.
    fn inspect(&mut self) -> io::Result<()> {
        let stdin = self.path == Path::new("-");
        if stdin {
            // A descriptor of its own, because the standard one has a buffer and a lock above it.
            self.file = Some(File::from(io::stdin().as_fd().try_clone_to_owned()?));
            self.input = Input::Stream;
            return Ok(());
        }
        let metadata = fs::metadata(&self.path)?;
        if metadata.is_dir() {
            self.status = FileStatus::Directory;
        } else if metadata.is_file() {
            let identity = identity(&metadata);
            self.input = Input::Regular { identity, size_bytes: metadata.len() };
        } else {
            self.input = Input::Stream;
        }
        Ok(())
    }

    /// Device and inode of what will be read.
    fn identity(&self) -> Option<Identity> {
        match (self.input, &self.file) {
            (Input::Regular { identity, .. }, _) => Some(identity),
            (Input::Stream, Some(file)) => file.metadata().ok().as_ref().map(identity),
            (Input::Stream, None) => fs::metadata(&self.path).ok().as_ref().map(identity),
            (Input::None, _) => None,
        }
    }

    fn is_regular(&self) -> bool {
        matches!(self.input, Input::Regular { .. })
    }

    fn size_bytes(&self) -> u64 {
        match self.input {
            Input::Regular { size_bytes, .. } => size_bytes,
            Input::Stream | Input::None => 0,
        }
    }

    /// Waits until a stream has data or has ended, but not for good: a read would go on through
    /// signals.
    fn await_data(&self) -> io::Result<()> {
        let (Input::Stream, Some(file)) = (self.input, &self.file) else { return Ok(()) };
        let timeout = Timespec { tv_sec: 0, tv_nsec: STREAM_WAIT_MS * 1_000_000 };
        match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a newly opened file and goes to where the buffer ends.
    fn restore(&mut self, mut file: File) -> io::Result<()> {
        let buffer = &self.parser.buffer;
        let position = buffer.offset() + buffer.available() as u64;
        if let Input::Regular { identity: before, .. } = self.input
            && position > 0
        {
            if identity(&file.metadata()?) != before {
                return Err(io::Error::other(
                    "got another file under this name than before, expected it to stay in place \
                     while it is read",
                ));
            }
            file.seek(SeekFrom::Start(position))?;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Goes on to the first packet.
    fn peek(&mut self, budget: &Budget) -> Stop {
        let full_at = self.parser.buffer.offset().saturating_add(budget.bytes);
        loop {
            if self.parser.buffer.offset() >= full_at {
                return Stop::Full;
            }
            match self.parser.step() {
                Ok(Step::Packet(head)) => return Stop::Later(head.at),
                Ok(Step::Passed) => {}
                Ok(Step::Need(need)) => return Stop::Need(need),
                Err(ending) => return Stop::Ended(FileStatus::Read(ending)),
            }
        }
    }

    /// Hands over packets until another file is due, the batch is full or the buffer is used up.
    fn hand_over(
        &mut self,
        index: usize,
        next: Option<Key>,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Packet<'_>),
    ) -> Stop {
        let full_at = self.parser.buffer.offset().saturating_add(budget.bytes);
        loop {
            if budget.packets == 0 || self.parser.buffer.offset() >= full_at {
                return Stop::Full;
            }
            match self.parser.step() {
                Ok(Step::Packet(head)) => {
                    if next.is_some_and(|next| (Some(head.at), index) > next) {
                        return Stop::Later(head.at);
                    }
                    if self.link_last != Some(head.link) {
                        self.link_last = Some(head.link);
                        self.links.insert(head.link);
                    }
                    visit(self.parser.packet(&head));
                    self.parser.consume();
                    budget.packets -= 1;
                }
                Ok(Step::Passed) => {}
                Ok(Step::Need(need)) => return Stop::Need(need),
                Err(ending) => return Stop::Ended(FileStatus::Read(ending)),
            }
        }
    }

    fn report(&self) -> FileReport {
        FileReport {
            path: self.path.clone(),
            status: self.status.clone(),
            packets: self.parser.packets,
            packets_untimed: self.parser.packets_untimed,
            packets_skipped: self.parser.packets_skipped,
            bytes_read: self.parser.buffer.offset(),
            links: self.links.clone(),
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

    fn changed(&mut self, before_bytes: usize, after_bytes: usize) {
        self.bytes = self.bytes - before_bytes + after_bytes;
    }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
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

fn unreadable(error: &io::Error) -> FileStatus {
    FileStatus::Unreadable { kind: error.kind(), error: error.to_string() }
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
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::thread;

    use tempfile::TempDir;

    use super::*;
    use crate::testing::*;
    use crate::{Damage, Ending, FileClass, Foreign, Magic};

    /// Files in a folder that goes away.
    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(TempDir::new().expect("a temporary folder"))
        }

        fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, bytes).expect("a writable folder");
            path
        }
    }

    /// Reads to the end and checks what must hold after every batch.
    fn drain(replay: &mut Replay) -> Vec<Owned> {
        let mut packets = Vec::new();
        let mut done = (0, 0);
        loop {
            let before = packets.len();
            let batch = replay.next_batch(&mut |packet| packets.push(packet.into())).unwrap();
            assert!(packets.len() - before <= BATCH_PACKETS_MAX);
            let open = replay.slots.iter().filter(|slot| slot.file.is_some()).count();
            let streams = replay.descriptors.streams;
            assert!(open <= replay.descriptors.files_max.max(streams + 1), "{open} files open");
            let held = |slot: &Slot| slot.parser.buffer.memory_bytes();
            assert_eq!(replay.slots.iter().map(held).sum::<usize>(), replay.memory.bytes);
            for slot in replay.slots.iter().filter(|slot| slot.input == Input::Stream) {
                let read = slot.stage != Stage::New && slot.status == FileStatus::Unfinished;
                assert!(!read || slot.file.is_some(), "a stream was closed");
            }
            assert!(replay.descriptors.open.iter().all(|index| replay.slots[*index].is_regular()));
            let memory_max = replay.memory.bytes_max + READ_BYTES;
            assert!(replay.memory.bytes <= memory_max, "{} bytes held", replay.memory.bytes);
            let reached = replay.slots.iter().filter(|slot| slot.stage == Stage::Reached);
            let unfinished = reached.filter(|slot| slot.status == FileStatus::Unfinished);
            assert_eq!(unfinished.count(), replay.memory.sharers);
            let progress = replay.progress();
            assert!(done <= (progress.bytes_done, progress.files_done), "progress goes back");
            done = (progress.bytes_done, progress.files_done);
            if batch == Batch::End {
                assert_eq!(progress.files_done, progress.files_total);
                assert!(progress.bytes_total.is_none_or(|total| total == progress.bytes_done));
                assert_eq!((replay.memory.bytes, open), (0, 0));
                return packets;
            }
        }
    }

    fn replay(paths: &[PathBuf], options: ReplayOptions) -> (Vec<Owned>, Vec<FileReport>) {
        let mut replay = Replay::open(paths.iter().cloned(), options);
        let packets = drain(&mut replay);
        (packets, replay.report())
    }

    fn packet(tag: u8, second: u64) -> Owned {
        owned(second * 1_000_000_000, 1, &[tag, second as u8], 2)
    }

    #[test]
    fn merges_by_time_then_by_argument() {
        let folder = Folder::new();
        let a = folder.write("a", &classic_file(b'a', &[1, 4, 4, 9]));
        let b = folder.write("b", &classic_file(b'b', &[2, 4, 3, 8]));
        let c = folder.write("c", &classic_file(b'c', &[0, 4]));
        let sequence = |paths: &[PathBuf]| {
            let (packets, reports) = replay(paths, ReplayOptions::default());
            assert!(reports.iter().all(|report| report.class() == FileClass::Sound));
            assert_eq!(reports.iter().map(|report| report.packets).sum::<u64>(), 10);
            let text =
                |packet: &Owned| format!("{}{}", char::from(packet.bytes[0]), packet.bytes[1]);
            packets.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        let [a, b, c] = [a, b, c];
        let abc = sequence(&[a.clone(), b.clone(), c.clone()]);
        assert_eq!(abc, "c0 a1 b2 a4 a4 b4 b3 c4 b8 a9", "b's step back stays where b has it");
        assert_eq!(sequence(&[c, b, a]), "c0 a1 b2 c4 b4 b3 a4 a4 b8 a9");
    }

    /// A capture, and the same capture cut in two after any packet: the same packets. Named the
    /// other way round too, unless the cut goes through packets of the same time.
    #[test]
    fn a_capture_cut_in_two_is_the_same() {
        let folder = Folder::new();
        let order = Order::Little;
        let capture = |numbers: std::ops::Range<u32>| {
            let mut bytes = classic_header(order, 0xa1b2_c3d4, (2, 4), 0, 1);
            for n in numbers {
                bytes.extend(classic_record(order, [n / 3, 0, 1, 1], &[n as u8]));
            }
            bytes
        };
        let whole = folder.write("whole", &capture(0..60));
        let (expected, _) = replay(&[whole], ReplayOptions::default());
        assert_eq!(expected.len(), 60);
        for at in 0..=60 {
            let first = folder.write("first", &capture(0..at));
            let second = folder.write("second", &capture(at..60));
            let in_order = replay(&[first.clone(), second.clone()], ReplayOptions::default()).0;
            assert_eq!(in_order, expected, "cut after {at}");
            let turned = replay(&[second, first], ReplayOptions::default()).0;
            assert_eq!(turned == expected, at % 3 == 0, "cut after {at}, turned round");
        }
    }

    /// Files that all overlap, so that every packet is in another file than the one before.
    fn interleaved(folder: &Folder, files: u32, rounds: u32) -> (Vec<PathBuf>, Vec<Owned>) {
        let paths = (0..files)
            .map(|file| {
                let seconds: Vec<u32> = (0..rounds).map(|round| round * files + file).collect();
                folder.write(&format!("{file:05}"), &classic_file(file as u8, &seconds))
            })
            .collect();
        let expected =
            (0..files * rounds).map(|n| packet((n % files) as u8, u64::from(n))).collect();
        (paths, expected)
    }

    #[test]
    fn few_descriptors_suffice_for_many_files() {
        let folder = Folder::new();
        let (paths, expected) = interleaved(&folder, 50, 400);
        for open_files_max in [0, 1, 2, 49, 50] {
            let options =
                ReplayOptions { open_files_max: Some(open_files_max), ..Default::default() };
            let (packets, reports) = replay(&paths, options);
            assert_eq!(packets, expected, "{open_files_max} descriptors");
            assert!(reports.iter().all(|report| report.packets == 400));
        }
    }

    #[test]
    fn little_memory_suffices_for_many_files() {
        let folder = Folder::new();
        let order = Order::Little;
        let record_bytes = 20_000;
        let paths: Vec<_> = (0..40_u32)
            .map(|file| {
                let mut bytes = classic_header(order, 0xa1b2_c3d4, (2, 4), 0, 1);
                for round in 0..4 {
                    let data = vec![file as u8; record_bytes];
                    let words = [round * 40 + file, 0, record_bytes as u32, 0];
                    bytes.extend(classic_record(order, words, &data));
                }
                folder.write(&file.to_string(), &bytes)
            })
            .collect();
        let bytes_max = 100_000;
        let options = ReplayOptions { open_files_max: Some(3), buffers_bytes_max: Some(bytes_max) };
        let mut replay = Replay::open(paths, options);
        let packets = drain(&mut replay);
        let files: Vec<u8> = packets.iter().map(|packet| packet.bytes[0]).collect();
        assert_eq!(files, (0..160).map(|n| (n % 40) as u8).collect::<Vec<_>>());
        assert!(packets.iter().all(|packet| packet.bytes.len() == record_bytes));
    }

    #[test]
    fn thousands_of_files_in_sequence() {
        let folder = Folder::new();
        let paths: Vec<_> = (0..3_000_u32)
            .map(|file| folder.write(&file.to_string(), &classic_file(0, &[file, file])))
            .collect();
        let shuffled: Vec<_> = (0..3_000).map(|n| paths[n * 1_013 % 3_000].clone()).collect();
        let options = ReplayOptions { open_files_max: Some(2), ..Default::default() };
        let (packets, _) = replay(&shuffled, options);
        let expected: Vec<_> = (0..6_000).map(|n| packet(0, n / 2)).collect();
        assert_eq!(packets, expected);
    }

    #[test]
    fn a_bad_file_ends_alone() {
        let folder = Folder::new();
        let good = classic_file(b'g', &[1, 5]);
        let mut damaged = classic_file(b'd', &[2, 3]);
        damaged[24 + 18 + 8..][..4].copy_from_slice(&[0xff; 4]);
        let first = folder.write("good", &good);
        let linked = folder.0.path().join("linked");
        std::os::unix::fs::symlink(&first, &linked).expect("a folder for links");
        let paths = [
            first.clone(),
            folder.0.path().join("missing"),
            folder.0.path().to_owned(),
            folder.write("empty", b""),
            folder.write("header", &good[..24]),
            folder.write("gzip", b"\x1f\x8b\x08\x00 and so on"),
            folder.write("cut", &good[..50]),
            folder.write("damaged", &damaged),
            linked,
            first.clone(),
        ];
        let (packets, reports) = replay(&paths, ReplayOptions::default());
        let expected = [packet(b'g', 1), packet(b'g', 1), packet(b'd', 2), packet(b'g', 5)];
        assert_eq!(packets, expected);
        let what = Damage::RecordTooLong { caplen: u32::MAX };
        let gzip = Magic::of(b"\x1f\x8b\x08\x00");
        let error = io::Error::from(Errno::NOENT).to_string();
        let duplicate = FileStatus::DuplicateOf(first);
        let expected = [
            FileStatus::Read(Ending::Complete),
            FileStatus::Unreadable { kind: io::ErrorKind::NotFound, error },
            FileStatus::Directory,
            FileStatus::Read(Ending::Empty),
            FileStatus::Read(Ending::HeaderOnly),
            FileStatus::Read(Ending::NotACapture { magic: gzip, format: Some(Foreign::Gzip) }),
            FileStatus::Read(Ending::Cut { offset: 42, expected_bytes: 16, present_bytes: 8 }),
            FileStatus::Read(Ending::Damaged { offset: 42, what }),
            duplicate.clone(),
            duplicate,
        ];
        let statuses: Vec<_> = reports.iter().map(|report| report.status.clone()).collect();
        assert_eq!(statuses, expected);
        let counts: Vec<_> = reports.iter().map(|report| report.packets).collect();
        assert_eq!(counts, [2, 0, 0, 0, 0, 0, 1, 1, 0, 0]);
        assert_eq!(reports[0].bytes_read, good.len() as u64);
        assert_eq!(reports[0].links, BTreeSet::from([LinkType::ETHERNET]));
        assert_eq!(reports.iter().map(FileReport::class).max(), Some(FileClass::NoInput));
    }

    #[test]
    fn what_cannot_be_read_is_known_at_once() {
        let folder = Folder::new();
        let paths = [folder.0.path().join("missing"), folder.write("good", b"")];
        let replay = Replay::open(paths, ReplayOptions::default());
        let reports = replay.report();
        assert!(matches!(reports[0].status, FileStatus::Unreadable { .. }));
        assert_eq!(reports[1].status, FileStatus::Unfinished);
        assert_eq!(replay.progress().files_done, 1);
    }

    #[test]
    fn no_files_end_at_once() {
        let (packets, reports) = replay(&[], ReplayOptions::default());
        assert_eq!((packets.len(), reports.len()), (0, 0));
    }

    /// Two files and a pipe take turns, with one descriptor and next to no memory.
    #[test]
    fn pipes_are_merged_and_never_closed() {
        let folder = Folder::new();
        let turn = |first: u32| -> Vec<u32> { (0..4_000).map(|n| 3 * n + first).collect() };
        let a = folder.write("a", &classic_file(0, &turn(0)));
        let b = folder.write("b", &classic_file(2, &turn(2)));
        let (from, mut to) = io::pipe().expect("a pipe");
        let pipe = PathBuf::from(format!("/proc/self/fd/{}", from.as_raw_fd()));
        let options = ReplayOptions { open_files_max: Some(1), buffers_bytes_max: Some(1) };
        let mut replay = Replay::open([a, pipe.clone(), b, pipe], options);
        assert_eq!(replay.progress().bytes_total, None);
        let writer = thread::spawn(move || {
            let bytes = classic_file(1, &turn(1));
            bytes.chunks(7).for_each(|chunk| to.write_all(chunk).expect("a reader"));
        });
        let packets = drain(&mut replay);
        // The replay opens the pipe by its descriptor, so this end must live until it has.
        drop(from);
        writer.join().expect("the writer has written");
        assert_eq!(packets, (0..12_000).map(|n| packet((n % 3) as u8, n)).collect::<Vec<_>>());
        let reports = replay.report();
        assert!(reports[..3].iter().all(|report| report.packets == 4_000));
        assert!(matches!(reports[3].status, FileStatus::DuplicateOf(_)));
    }

    #[test]
    fn a_file_replaced_while_read_is_not_mixed_up() {
        let folder = Folder::new();
        let seconds: Vec<u32> = (0..3_000).collect();
        let path = folder.write("a", &classic_file(b'a', &seconds));
        let other = folder.write("b", &classic_file(b'b', &seconds));
        let options = ReplayOptions { open_files_max: Some(1), buffers_bytes_max: Some(1) };
        let mut replay = Replay::open([path.clone(), other.clone()], options);
        assert_eq!(replay.next_batch(&mut |_| {}).unwrap(), Batch::More);
        let new = folder.write("new", &classic_file(b'n', &seconds));
        fs::rename(new, path).expect("a writable folder");
        drain(&mut replay);
        let reports = replay.report();
        let FileStatus::Unreadable { error, .. } = &reports[0].status else {
            panic!("{:?}", reports[0].status);
        };
        assert!(error.contains("another file"), "{error}");
        assert_eq!(reports[1].status, FileStatus::Read(Ending::Complete));
        assert_eq!(reports[1].packets, 3_000);
    }

    /// A batch comes back even from a file that has megabytes without a packet.
    #[test]
    fn a_batch_is_bounded_in_bytes() {
        let folder = Folder::new();
        let order = Order::Little;
        let start = [section(order), interface(order, 1, 0, &[])].concat();
        let long = block(order, 77, &vec![0; 5 << 20]);
        let one = enhanced(order, 0, 0, b"x", 1);
        let path = folder.write("a", &[&start[..], &one, &long, &one].concat());
        let mut replay = Replay::open([path], ReplayOptions::default());
        let mut counts = Vec::new();
        loop {
            let mut count = 0;
            let before = replay.progress().bytes_done;
            let batch = replay.next_batch(&mut |_| count += 1).unwrap();
            let bytes = replay.progress().bytes_done - before;
            assert!(bytes <= BATCH_BYTES_MAX + READ_BYTES as u64, "{bytes} bytes in a batch");
            counts.push(count);
            if batch == Batch::End {
                break;
            }
        }
        assert_eq!(counts.iter().sum::<u32>(), 2);
        assert!(counts.len() > 4, "{counts:?}");
    }
}
