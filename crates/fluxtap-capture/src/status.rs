//! How reading a capture ended, as values with messages.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use fluxtap_wire::LinkType;

use crate::classic::CAPLEN_MAX;
use crate::folder::DIRECTORY_FILES_MAX;
use crate::magic::{Compression, Foreign, Magic};
use crate::pcapng::{BLOCK_BYTES_MAX, INTERFACES_MAX};
use crate::resync::Gaps;
use crate::unpack::Fault;

/// How a capture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After a whole record.
    Complete,
    /// There was not a single byte.
    Empty,
    /// There was a whole file header and no packet.
    HeaderOnly,
    /// The input ends inside a record (or the file header). Everything before it was read.
    Cut {
        /// Where the unfinished record begins.
        offset: u64,
        /// Bytes the record has, as far as that can be told.
        expected_bytes: u64,
        /// Bytes of it that are there.
        present_bytes: u64,
    },
    /// A record contradicts itself, and no other was found after it. Everything before it was read,
    /// nothing after it.
    Damaged {
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        what: Damage,
    },
    /// The compressed data around the capture could not be unpacked to their end. What came out
    /// before was read.
    Packed {
        /// The compression.
        compression: Compression,
        /// How far in the compressed input.
        offset: u64,
        /// Why.
        fault: Fault,
    },
    /// The input is something else than a capture this version reads.
    NotACapture {
        /// Its first bytes.
        magic: Magic,
        /// What it seems to be.
        format: Option<Foreign>,
    },
}

/// Why a record cannot be trusted, and with it where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A version of the format with another layout.
    Version {
        /// Major version found.
        major: u16,
        /// Minor version found.
        minor: u16,
    },
    /// More captured bytes than [`CAPLEN_MAX`].
    RecordTooLong {
        /// Captured bytes stated.
        caplen: u32,
    },
    /// A record header of zeros, as a crash or a full disk leaves them.
    Zeros,
    /// Time and lengths of a record that cannot be true together, or one that nobody knows and that
    /// reaches beyond the end.
    Record,
    /// Another version of snoop than 2.
    SnoopVersion {
        /// Version found.
        version: u32,
    },
    /// A datalink of snoop that has no link type.
    SnoopLink {
        /// Datalink found.
        datalink: u32,
    },
    /// A record of snoop whose length does not fit its packet's.
    SnoopRecord {
        /// Captured bytes stated.
        caplen: u32,
        /// Record length stated.
        record_bytes: u32,
    },
    /// A pcapng section header without its byte-order magic.
    ByteOrder {
        /// The bytes found there, as a big-endian number.
        magic: u32,
    },
    /// A block length that is no multiple of 4 or too small for its type.
    BlockLength {
        /// Block length stated.
        length: u32,
    },
    /// A packet, interface or section block of more than [`BLOCK_BYTES_MAX`].
    BlockTooLong {
        /// Block length stated.
        length: u32,
    },
    /// The block lengths before and after the body differ.
    BlockTrailer {
        /// Before the body.
        leading: u32,
        /// After it.
        trailing: u32,
    },
    /// More captured bytes than the block has room for.
    PacketOverrun {
        /// Captured bytes stated.
        caplen: u32,
        /// Bytes between the packet's start and the end of its block.
        room_bytes: u32,
    },
    /// An option of an interface description that does not fit its block or its type.
    Option {
        /// Option code.
        code: u16,
        /// Option length stated.
        length: u16,
    },
    /// More interfaces in a section than [`INTERFACES_MAX`].
    TooManyInterfaces,
}

impl Damage {
    /// Whether what follows may be sound, so that it is worth looking for the next record.
    pub(crate) fn is_local(self) -> bool {
        !matches!(
            self,
            Self::Version { .. }
                | Self::SnoopVersion { .. }
                | Self::SnoopLink { .. }
                | Self::TooManyInterfaces
        )
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { major, minor } => {
                write!(f, "version {major}.{minor}, expected pcap 2.x or pcapng 1.x")
            }
            Self::RecordTooLong { caplen } => {
                write!(f, "a packet of {caplen} captured bytes, expected at most {CAPLEN_MAX}")
            }
            Self::Zeros => f.write_str("zeros, expected a record"),
            Self::Record => {
                f.write_str("a record that cannot be true, expected one like those before")
            }
            Self::SnoopVersion { version } => write!(f, "snoop version {version}, expected 2"),
            Self::SnoopLink { datalink } => write!(
                f,
                "snoop datalink {datalink}, expected one that has a link type: 0, 2, 4, 8, 18, 31"
            ),
            Self::SnoopRecord { caplen, record_bytes } => write!(
                f,
                "a record of {record_bytes} bytes for {caplen} captured bytes, expected 24 more \
                 and some padding"
            ),
            Self::ByteOrder { magic } => {
                write!(f, "byte-order magic {magic:08x}, expected 1a2b3c4d in either order")
            }
            Self::BlockLength { length } => write!(
                f,
                "a block length of {length}, expected a multiple of 4 that holds the block's fields"
            ),
            Self::BlockTooLong { length } => {
                write!(f, "a block length of {length}, expected at most {BLOCK_BYTES_MAX}")
            }
            Self::BlockTrailer { leading, trailing } => write!(
                f,
                "block length {trailing} after the block, expected {leading} as before it"
            ),
            Self::PacketOverrun { caplen, room_bytes } => write!(
                f,
                "a packet of {caplen} captured bytes, expected at most the {room_bytes} its block has"
            ),
            Self::Option { code, length } => write!(
                f,
                "interface option {code} with {length} bytes, expected one that fits its block and type"
            ),
            Self::TooManyInterfaces => {
                write!(f, "one more interface, expected at most {INTERFACES_MAX} in a section")
            }
        }
    }
}

/// Where a file of a [`Replay`](crate::Replay) stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileStatus {
    /// Not read to its end yet.
    Unfinished,
    /// Read to its end, such as it is.
    Read(Ending),
    /// Opening or reading it failed; what was read before that counts.
    Unreadable {
        /// Class of the failure.
        kind: io::ErrorKind,
        /// The system's words for it.
        error: String,
    },
    /// A directory in which so many files lie, none of them a capture with packets.
    NoCaptures {
        /// Files found.
        files: usize,
    },
    /// A directory of more than [`DIRECTORY_FILES_MAX`] files, of which so many were read.
    TooManyFiles,
    /// The same file (device and inode) as an earlier argument, read once.
    DuplicateOf(PathBuf),
}

/// What a file's status means for the exit status of a replay; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileClass {
    /// Read wholly, or rightly not read.
    Sound,
    /// No capture, empty, cut off or damaged (`EX_DATAERR`, 65).
    BadData,
    /// Missing or unreadable (`EX_NOINPUT`, 66).
    NoInput,
}

impl FileStatus {
    pub(crate) fn unreadable(error: &io::Error) -> Self {
        Self::Unreadable { kind: error.kind(), error: error.to_string() }
    }
}

/// What was read of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// The file as it was named; `-` is standard input.
    pub path: PathBuf,
    /// Where it stands.
    pub status: FileStatus,
    /// Packets handed over.
    pub packets: u64,
    /// Of these, packets without a time of their own (pcapng simple packet blocks), which got the
    /// time of the packet before them.
    pub packets_untimed: u64,
    /// Packets not handed over because the capture does not describe their interface.
    pub packets_skipped: u64,
    /// Bytes used, from the start of the file.
    pub bytes_read: u64,
    /// What it is compressed with.
    pub compression: Option<Compression>,
    /// Bytes of the capture that were used: those of the file, or what came out of it.
    pub bytes_unpacked: u64,
    /// What was passed over because it was damaged.
    pub gaps: Gaps,
    /// It was found in a directory that was named.
    pub is_found: bool,
    /// Link types of the packets handed over.
    pub links: BTreeSet<LinkType>,
}

impl FileReport {
    /// What the status means for the exit status. [`FileStatus::Unfinished`] is sound: the caller
    /// stopped and knows it. So is what lies in a directory without being a capture, or without
    /// having packets: nobody said that it had.
    #[must_use]
    pub fn class(&self) -> FileClass {
        match &self.status {
            _ if self.is_passed_over() => FileClass::Sound,
            FileStatus::Read(Ending::Complete)
                if self.packets_skipped > 0 || self.gaps.count > 0 =>
            {
                FileClass::BadData
            }
            FileStatus::Unfinished
            | FileStatus::DuplicateOf(_)
            | FileStatus::Read(Ending::Complete) => FileClass::Sound,
            FileStatus::Read(_) => FileClass::BadData,
            FileStatus::Unreadable { .. } => FileClass::NoInput,
            FileStatus::NoCaptures { .. } | FileStatus::TooManyFiles => FileClass::BadData,
        }
    }

    /// Whether it was found in a directory and is no capture, or one without packets.
    #[must_use]
    pub fn is_passed_over(&self) -> bool {
        self.is_found
            && matches!(
                self.status,
                FileStatus::Read(Ending::NotACapture { .. } | Ending::Empty | Ending::HeaderOnly)
            )
    }

    /// What an offset counts, if not the bytes of the file.
    fn of_the_unpacked(&self) -> &'static str {
        if self.compression.is_some() { " of the unpacked data" } else { "" }
    }

    fn write_ending(&self, f: &mut fmt::Formatter<'_>, ending: Ending) -> fmt::Result {
        let unpacked = self.of_the_unpacked();
        match ending {
            Ending::Complete => f.write_str("read to the end"),
            Ending::Empty => f.write_str(
                "got 0 bytes, expected a capture; check the program or disk that wrote it",
            ),
            Ending::HeaderOnly => f.write_str(
                "got a capture without packets, expected some; check the interface and filter \
                 it was made with",
            ),
            Ending::Cut { offset, expected_bytes, present_bytes } => write!(
                f,
                "ends inside the record at byte {offset}{unpacked}: got {present_bytes} bytes, expected \
                 {expected_bytes} or more; what comes before was read, copy the file again if its \
                 source is whole"
            ),
            Ending::Damaged { offset, what } => write!(
                f,
                "damaged at byte {offset}{unpacked}: got {what}; what comes before was read, the \
                 rest was not"
            ),
            Ending::Packed { compression, offset, fault } => {
                write!(f, "{} data: at byte {offset}, got {fault}", compression.name())
            }
            Ending::NotACapture { magic, format: Some(format) } => write!(
                f,
                "got {} (first bytes {magic}), expected pcap, pcapng or snoop; {}",
                format.name(),
                format.advice(&shell_word(&self.path))
            ),
            Ending::NotACapture { magic, format: None } => write!(
                f,
                "got a file that begins with {magic}, expected pcap, pcapng or snoop; convert it first, \
                 for example: editcap -F pcap {} - | fluxtap replay -",
                shell_word(&self.path)
            ),
        }
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", printable(&self.path))?;
        match &self.status {
            FileStatus::Unfinished => f.write_str("not read to the end")?,
            FileStatus::Read(ending) => self.write_ending(f, *ending)?,
            FileStatus::Unreadable { error, .. } if self.bytes_read > 0 => {
                write!(f, "reading failed at byte {}: {error}", self.bytes_read)?;
            }
            FileStatus::Unreadable { kind, error } => {
                write!(f, "cannot be read: {error}")?;
                match kind {
                    io::ErrorKind::NotFound => f.write_str("; check the name")?,
                    io::ErrorKind::PermissionDenied => f.write_str("; check who may read it")?,
                    _ => {}
                }
            }
            FileStatus::NoCaptures { files: 0 } => {
                f.write_str("got a directory without files, expected captures in it")?;
            }
            FileStatus::NoCaptures { files } => write!(
                f,
                "got a directory of {files} files, none of them a capture with packets, expected \
                 some"
            )?,
            FileStatus::TooManyFiles => write!(
                f,
                "got a directory of more than {DIRECTORY_FILES_MAX} files, which are too many at \
                 once; those beyond were not read, name parts of it"
            )?,
            FileStatus::DuplicateOf(first) => {
                write!(f, "is the same file as {} and was read once", printable(first))?;
            }
        }
        if let Some((offset, what)) = self.gaps.first {
            let places = if self.gaps.count == 1 { "place" } else { "places" };
            write!(
                f,
                "; passed over {} damaged bytes in {} {places}, first at byte {offset}{}: got {what}",
                self.gaps.bytes,
                self.gaps.count,
                self.of_the_unpacked()
            )?;
        }
        if self.packets_skipped > 0 {
            write!(
                f,
                "; {} packets were passed over, the capture does not describe their interface",
                self.packets_skipped
            )?;
        }
        Ok(())
    }
}

/// A path without the control characters that would take over a terminal.
fn printable(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// A path as one word of a shell command, or `FILE` where that cannot be printed.
fn shell_word(path: &Path) -> String {
    let Some(text) = path.to_str().filter(|text| *text != "-" && !text.contains(char::is_control))
    else {
        return String::from("FILE");
    };
    let here = if text.starts_with('-') { "./" } else { "" };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:=@%".contains(c);
    if text.chars().all(plain) {
        format!("{here}{text}")
    } else {
        format!("'{here}{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(path: &str, status: FileStatus) -> FileReport {
        FileReport {
            path: PathBuf::from(path),
            status,
            packets: 0,
            packets_untimed: 0,
            packets_skipped: 0,
            bytes_read: 0,
            compression: None,
            bytes_unpacked: 0,
            gaps: Gaps::default(),
            is_found: false,
            links: BTreeSet::new(),
        }
    }

    fn message(path: &str, status: FileStatus) -> String {
        report(path, status).to_string()
    }

    #[test]
    fn messages_say_how_to_go_on() {
        let bzip2 = Ending::NotACapture { magic: Magic::of(b"BZh9"), format: Some(Foreign::Bzip2) };
        assert_eq!(
            message("a.bz2", FileStatus::Read(bzip2)),
            "a.bz2: got bzip2 data (first bytes 42 5a 68 39), expected pcap, pcapng or snoop; \
             decompress it first: bzip2 -dc a.bz2 | fluxtap replay -"
        );
        let compression = Compression::Zstd;
        let cut = Ending::Packed { compression, offset: 99, fault: Fault::Cut };
        assert_eq!(
            message("a.zst", FileStatus::Read(cut)),
            "a.zst: zstd data: at byte 99, got the end of the file, expected more; what could be \
             unpacked was read, copy the file again if its source is whole"
        );
        let cut = Ending::Cut { offset: 24, expected_bytes: 100, present_bytes: 16 };
        assert_eq!(
            message("a b.pcap", FileStatus::Read(cut)),
            "a b.pcap: ends inside the record at byte 24: got 16 bytes, expected 100 or more; \
             what comes before was read, copy the file again if its source is whole"
        );
        let what = Damage::BlockTrailer { leading: 32, trailing: 0 };
        assert_eq!(
            message("x", FileStatus::Read(Ending::Damaged { offset: 7, what })),
            "x: damaged at byte 7: got block length 0 after the block, expected 32 as before it; \
             what comes before was read, the rest was not"
        );
    }

    #[test]
    fn hostile_file_names_stay_data() {
        let rows = [
            ("plain-1.pcap", "plain-1.pcap", "plain-1.pcap"),
            ("-", "-", "FILE"),
            ("-rf", "-rf", "./-rf"),
            ("a;rm b", "a;rm b", "'a;rm b'"),
            ("it's", "it's", r"'it'\''s'"),
            ("\u{1b}[2Jx", "\\u{1b}[2Jx", "FILE"),
        ];
        for (path, printed, word) in rows {
            assert_eq!(printable(Path::new(path)), printed);
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }

    #[test]
    fn classes_order_by_exit_status() {
        let class =
            |status, packets_skipped| FileReport { packets_skipped, ..report("x", status) }.class();
        let unreadable =
            FileStatus::Unreadable { kind: io::ErrorKind::NotFound, error: String::new() };
        assert_eq!(class(FileStatus::Read(Ending::Complete), 0), FileClass::Sound);
        assert_eq!(class(FileStatus::Read(Ending::Complete), 1), FileClass::BadData);
        assert_eq!(class(FileStatus::Read(Ending::HeaderOnly), 0), FileClass::BadData);
        assert_eq!(class(FileStatus::DuplicateOf(PathBuf::new()), 0), FileClass::Sound);
        assert_eq!(class(unreadable, 0), FileClass::NoInput);
        assert!(FileClass::Sound < FileClass::BadData && FileClass::BadData < FileClass::NoInput);
    }
}
