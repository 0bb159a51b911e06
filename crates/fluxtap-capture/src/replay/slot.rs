//! One file of a merge.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use fluxtap_wire::{LinkType, Packet, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Key, STREAM_WAIT_MS};
use crate::folder::{Identity, identity};
use crate::follow::{Finished, Part, Stat};
use crate::parser::{Filled, Parser, Step};
use crate::status::{FileReport, FileStatus};

/// What is left of a batch.
pub(super) struct Budget {
    pub(super) packets: usize,
    pub(super) bytes: u64,
}

/// Why the packets of a file stop for now.
pub(super) enum Stop {
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

/// One file.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) path: PathBuf,
    pub(super) input: Input,
    pub(super) status: FileStatus,
    pub(super) parser: Parser,
    pub(super) file: Option<File>,
    pub(super) stage: Stage,
    /// What it holds, as it was counted last.
    pub(super) held: Held,
    /// Bytes of it that are counted in `bytes_done`.
    pub(super) bytes_counted: u64,
    /// It was found in a directory.
    is_found: bool,
    /// It lies in a directory that is followed.
    pub(super) is_followed: bool,
    /// The time of its first packet, and what of it was read before it grew.
    pub(super) part: Part,
    /// Packets of that part that are still to be passed over.
    repeat: u64,
    links: BTreeSet<LinkType>,
    link_last: Option<LinkType>,
}

/// How far the merge is with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its first packet is not known.
    New,
    /// It waits for the time of its first packet.
    Peeked,
    /// Its packets are handed over.
    Reached,
}

/// What kind of thing a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Can be closed and opened again.
    Regular { identity: Identity, size_bytes: u64 },
    /// Standard input, a pipe, a device: read once from front to back.
    Stream,
    /// To be listed.
    Directory,
    /// Not read at all.
    None,
}

/// An input that has nothing yet.
struct NothingNow;

impl Read for NothingNow {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Memory of a file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) buffer_bytes: usize,
    pub(super) unpacker_bytes: usize,
}

impl Held {
    pub(super) fn of(parser: &Parser) -> Self {
        Self { buffer_bytes: parser.buffer.memory_bytes(), unpacker_bytes: parser.unpacker_bytes() }
    }
}

impl Slot {
    /// An argument.
    pub(super) fn named(path: PathBuf) -> Self {
        let mut slot = Self::empty(path);
        if let Err(error) = slot.inspect() {
            slot.status = FileStatus::unreadable(&error);
        }
        slot
    }

    /// A file in a directory.
    pub(super) fn found(path: PathBuf, metadata: &Metadata) -> Self {
        let input = Input::Regular { identity: identity(metadata), size_bytes: metadata.len() };
        Self { input, is_found: true, ..Self::empty(path) }
    }

    /// A file in a directory that is followed.
    pub(super) fn followed(finished: Finished) -> Self {
        let Finished { path, stat, part } = finished;
        let Stat { identity, size_bytes, .. } = stat;
        let input = Input::Regular { identity, size_bytes };
        Self { input, is_found: true, is_followed: true, part, ..Self::empty(path) }
    }

    /// What is not read, for a reason that is known already.
    pub(super) fn told(path: PathBuf, status: FileStatus) -> Self {
        Self { status, ..Self::empty(path) }
    }

    fn empty(path: PathBuf) -> Self {
        Self {
            path,
            input: Input::None,
            status: FileStatus::Unfinished,
            parser: Parser::new(),
            file: None,
            stage: Stage::New,
            held: Held::default(),
            bytes_counted: 0,
            is_found: false,
            is_followed: false,
            part: Part::default(),
            repeat: 0,
            links: BTreeSet::new(),
            link_last: None,
        }
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
            self.input = Input::Directory;
        } else if metadata.is_file() {
            let identity = identity(&metadata);
            self.input = Input::Regular { identity, size_bytes: metadata.len() };
        } else {
            self.input = Input::Stream;
        }
        Ok(())
    }

    /// Device and inode of what will be read.
    pub(super) fn identity(&self) -> Option<Identity> {
        match (self.input, &self.file) {
            (Input::Regular { identity, .. }, _) => Some(identity),
            (Input::Stream, Some(file)) => file.metadata().ok().as_ref().map(identity),
            (Input::Stream, None) => fs::metadata(&self.path).ok().as_ref().map(identity),
            (Input::Directory | Input::None, _) => None,
        }
    }

    pub(super) fn is_regular(&self) -> bool {
        matches!(self.input, Input::Regular { .. })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        match self.input {
            Input::Regular { size_bytes, .. } => size_bytes,
            Input::Stream | Input::Directory | Input::None => 0,
        }
    }

    /// Reads once and gives the buffer more. What an unpacker still has of a stream comes before
    /// anything is waited for: there may be nothing more for long.
    pub(super) fn fill(&mut self, need: usize, want: usize) -> io::Result<Filled> {
        if self.input == Input::Stream && self.parser.compression().is_some() {
            match self.parser.fill(&mut NothingNow, need, want) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                filled => return filled,
            }
        }
        self.await_data()?;
        let Some(file) = &mut self.file else {
            return Err(io::Error::other("got no open file, expected one"));
        };
        self.parser.fill(file, need, want)
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

    /// Whether buffer and descriptor may be taken away, to be read again later. To unpack what was
    /// unpacked once already would cost the more the further the file is, so that is only done
    /// after the first packet.
    pub(super) fn can_park(&self) -> bool {
        self.is_regular() && (self.parser.compression().is_none() || self.stage != Stage::Reached)
    }

    /// Takes a newly opened file and goes to where reading stopped.
    pub(super) fn restore(&mut self, mut file: File) -> io::Result<()> {
        let position = self.parser.file_position();
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

    /// Goes on to the first packet that was not handed over yet.
    pub(super) fn peek(&mut self, budget: &Budget) -> Stop {
        let full_at = self.parser.buffer.offset().saturating_add(budget.bytes);
        loop {
            if self.parser.buffer.offset() >= full_at {
                return Stop::Full;
            }
            match self.parser.step() {
                Ok(Step::Packet(head)) => {
                    if self.parser.packets == 0 {
                        let is_same = self.part.first_at == Some(head.at);
                        self.repeat = if is_same { self.part.packets } else { 0 };
                        self.part = Part { first_at: Some(head.at), packets: self.repeat };
                    }
                    if self.repeat == 0 {
                        return Stop::Later(head.at);
                    }
                    self.repeat -= 1;
                    self.parser.consume();
                }
                Ok(Step::Passed) => {}
                Ok(Step::Need(need)) => return Stop::Need(need),
                Err(ending) => return Stop::Ended(FileStatus::Read(ending)),
            }
        }
    }

    /// Hands over packets until another file is due, the batch is full or the buffer is used up.
    pub(super) fn hand_over(
        &mut self,
        index: usize,
        next: Option<Key>,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Packet<'_>),
    ) -> Stop {
        let full_at = self.parser.buffer.offset().saturating_add(budget.bytes);
        loop {
            let left_bytes = full_at.saturating_sub(self.parser.buffer.offset());
            let is_due = |at| next.is_none_or(|next| (Some(at), index) <= next);
            let (packets, link) =
                self.parser.hand_over_usual(budget.packets, left_bytes, is_due, visit);
            budget.packets -= packets;
            if packets > 0 {
                self.note_link(link);
            }
            if budget.packets == 0 || self.parser.buffer.offset() >= full_at {
                return Stop::Full;
            }
            match self.parser.step() {
                Ok(Step::Packet(head)) => {
                    if !is_due(head.at) {
                        return Stop::Later(head.at);
                    }
                    self.note_link(head.link);
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

    #[inline]
    fn note_link(&mut self, link: LinkType) {
        if self.link_last != Some(link) {
            self.link_last = Some(link);
            self.links.insert(link);
        }
    }

    pub(super) fn report(&self) -> FileReport {
        FileReport {
            path: self.path.clone(),
            status: self.status.clone(),
            packets: self.parser.packets - (self.part.packets - self.repeat),
            packets_untimed: self.parser.packets_untimed,
            packets_skipped: self.parser.packets_skipped,
            bytes_read: self.parser.file_offset(),
            compression: self.parser.compression(),
            bytes_unpacked: self.parser.buffer.offset(),
            gaps: self.parser.gaps(),
            is_found: self.is_found,
            links: self.links.clone(),
        }
    }
}
