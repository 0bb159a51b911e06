//! Compressed captures, unpacked on the way.
//!
//! An [`Unpacker`] turns the bytes of a file into the bytes of the capture in it, piece by piece,
//! with the memory that the compression's window takes and a chunk of input. It does not hold the
//! input but is lent it, reads it at most once a call and never insists: so the owner may close
//! the file in between, poll a pipe, or hand the work to another thread.

use std::fmt;
use std::io::{self, BufRead, Read};

use crate::magic::Compression;
use crate::unpack::ahead::Ahead;
use crate::unpack::codec::{Codec, Decoded};

pub(crate) use crate::unpack::ahead::Lanes;

mod ahead;
mod codec;

/// Largest window, that is memory for what later data may refer to, a compressed file may ask for.
/// It is what `zstd -d` allows unless told otherwise, and twice what `xz -9` needs.
pub const WINDOW_BYTES_MAX: u64 = 128 << 20;

/// Most bytes that come out of one that goes in, once [`EXPANSION_FREE_BYTES`] have come. Records
/// of a capture differ at least in their times, so that nothing real gets anywhere near.
pub const EXPANSION_MAX: u64 = 1_000;

/// Unpacked bytes up to which [`EXPANSION_MAX`] is not looked at.
pub const EXPANSION_FREE_BYTES: u64 = 1 << 30;

/// Unpacked bytes from which on a file is worth a thread of its own. A number of bytes and nothing
/// of the machine, since where damaged data end can depend on the pieces they are unpacked in.
const AHEAD_FROM_BYTES: u64 = 1 << 20;

/// Bytes of compressed input held.
pub(crate) const CHUNK_BYTES: usize = 32 << 10;

/// Why compressed data were not unpacked any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They end before their end is marked.
    Cut,
    /// They contradict themselves or their checksum.
    Corrupt,
    /// After their end there is something else.
    Trailing,
    /// They need more than [`WINDOW_BYTES_MAX`].
    Window,
    /// They become more than [`EXPANSION_MAX`] times as many.
    Expansion,
    /// All compressed files that are read at a time need more than
    /// [`UNPACKERS_BYTES_MAX`](crate::UNPACKERS_BYTES_MAX).
    Memory,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1 << 20;
        match self {
            Self::Cut => f.write_str(
                "the end of the file, expected more; what could be unpacked was read, copy the \
                 file again if its source is whole",
            ),
            Self::Corrupt => f.write_str(
                "data that contradict themselves or their checksum; what comes before was read, \
                 the rest was not",
            ),
            Self::Trailing => {
                f.write_str("something else after the end of the compressed data, which were read")
            }
            Self::Window => write!(
                f,
                "data that need a larger window than {} MiB; decompress them first with a tool \
                 that may use more memory",
                WINDOW_BYTES_MAX / MIB
            ),
            Self::Expansion => write!(
                f,
                "data that become more than {EXPANSION_MAX} times as many, as no capture does; \
                 what comes before was read, the rest was not"
            ),
            Self::Memory => write!(
                f,
                "the need for more memory than the {} MiB that all compressed files of one time \
                 may use together; decompress some of them first, or name fewer at once",
                crate::UNPACKERS_BYTES_MAX as u64 / MIB
            ),
        }
    }
}

/// What [`Unpacker::unpack`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unpacked {
    /// So many bytes came out, at least one.
    Bytes(usize),
    /// None came out, but there may be more: call again.
    Nothing,
    /// The end.
    End,
    /// It cannot go on.
    Fault(Fault),
}

/// One compressed input.
pub(crate) struct Unpacker {
    place: Place,
    /// Where a thread for it comes from.
    lanes: Option<Lanes>,
    /// Bytes that came out.
    out_bytes: u64,
    /// Bytes that are dropped before any are handed over.
    skip_bytes: u64,
}

/// Where the codec works.
enum Place {
    Here(Box<dyn Codec>),
    Thread(Box<Ahead>),
    /// On its way from one to the other.
    Nowhere,
}

impl Unpacker {
    /// For an input of which `start` was read already. Its first `skip_bytes` unpacked bytes are
    /// left out. A large input is unpacked in a thread if `lanes` has one.
    pub(crate) fn new(
        compression: Compression,
        start: &[u8],
        skip_bytes: u64,
        lanes: Option<Lanes>,
    ) -> Self {
        let place = Place::Here(codec::new(compression, Chunk::new(start)));
        Self { place, lanes, out_bytes: 0, skip_bytes }
    }

    /// Unpacks into `to`, which is not empty, reading from `input` at most once.
    ///
    /// # Errors
    ///
    /// Those of `input`. The call can be repeated.
    pub(crate) fn unpack(&mut self, input: &mut impl Read, to: &mut [u8]) -> io::Result<Unpacked> {
        if self.out_bytes >= AHEAD_FROM_BYTES
            && let Some(lanes) = self.lanes.take()
        {
            self.go_ahead(&lanes);
        }
        let (decoded, is_at_end) = match &mut self.place {
            Place::Here(codec) => {
                let mut decoded = codec.decode(to);
                if decoded == Ok(Decoded::Hungry) && codec.chunk().has_room() {
                    codec.chunk_mut().fill(input)?;
                    decoded = codec.decode(to);
                }
                (decoded, codec.chunk().is_end)
            }
            Place::Thread(ahead) => (ahead.unpack(input, to)?, ahead.is_at_end()),
            Place::Nowhere => (Err(Fault::Corrupt), true),
        };
        Ok(match decoded {
            Ok(Decoded::Bytes(bytes)) => self.hand_over(to, bytes),
            Ok(Decoded::Hungry) if is_at_end => Unpacked::Fault(Fault::Cut),
            Ok(Decoded::Hungry) => Unpacked::Nothing,
            Ok(Decoded::End) => Unpacked::End,
            Err(fault) => Unpacked::Fault(fault),
        })
    }

    /// Takes the codec to a thread, once, if there is one left.
    fn go_ahead(&mut self, lanes: &Lanes) {
        self.place = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Here(codec) => match Ahead::new(codec, lanes) {
                Ok(ahead) => Place::Thread(Box::new(ahead)),
                Err(codec) => Place::Here(codec),
            },
            other => other,
        };
    }

    fn hand_over(&mut self, to: &mut [u8], bytes: usize) -> Unpacked {
        self.out_bytes += bytes as u64;
        let ratio = self.out_bytes / self.offset().max(1);
        if self.out_bytes > EXPANSION_FREE_BYTES && ratio >= EXPANSION_MAX {
            return Unpacked::Fault(Fault::Expansion);
        }
        let skip = self.skip_bytes.min(bytes as u64);
        self.skip_bytes -= skip;
        if skip == bytes as u64 {
            return Unpacked::Nothing;
        }
        to.copy_within(skip as usize..bytes, 0);
        Unpacked::Bytes(bytes - skip as usize)
    }

    /// Bytes of the input that were used.
    pub(crate) fn offset(&self) -> u64 {
        match &self.place {
            Place::Here(codec) => codec.chunk().offset(),
            Place::Thread(ahead) => ahead.offset(),
            Place::Nowhere => 0,
        }
    }

    /// Bytes of the input that were read, where reading must go on.
    pub(crate) fn read_bytes(&self) -> u64 {
        match &self.place {
            Place::Here(codec) => codec.chunk().read_bytes,
            Place::Thread(ahead) => ahead.read_bytes(),
            Place::Nowhere => 0,
        }
    }

    /// Memory held, in bytes, rather a little more than less.
    pub(crate) fn memory_bytes(&self) -> usize {
        match &self.place {
            Place::Here(codec) => codec.memory_bytes() + codec.chunk().bytes.len(),
            Place::Thread(ahead) => ahead.memory_bytes(),
            Place::Nowhere => 0,
        }
    }
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").field("out_bytes", &self.out_bytes).finish_non_exhaustive()
    }
}

/// A piece of the input. To read beyond it is [`io::ErrorKind::WouldBlock`] until the owner has
/// filled it again, and the end of the input only when the owner has met it.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    read_bytes: u64,
    is_end: bool,
}

impl Chunk {
    fn new(start: &[u8]) -> Self {
        let mut bytes = start.to_vec();
        bytes.resize(start.len().max(CHUNK_BYTES), 0);
        Self { bytes, start: 0, end: start.len(), read_bytes: start.len() as u64, is_end: false }
    }

    fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn offset(&self) -> u64 {
        self.read_bytes - self.data().len() as u64
    }

    /// Whether there is room for more input, and more may come.
    fn has_room(&self) -> bool {
        !self.is_end && self.data().len() < self.bytes.len()
    }

    /// Whether less than half of what it can hold is left.
    fn is_low(&self) -> bool {
        !self.is_end && self.data().len() < self.bytes.len() / 2
    }

    /// Makes it hold so many bytes, or more.
    fn grow(&mut self, bytes: usize) {
        self.bytes.resize(self.bytes.len().max(bytes), 0);
    }

    /// Reads once.
    fn fill(&mut self, input: &mut impl Read) -> io::Result<()> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let count = loop {
            match input.read(&mut self.bytes[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.end += count;
        self.read_bytes += count as u64;
        self.is_end = count == 0;
        Ok(())
    }
}

impl Read for Chunk {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Chunk {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.data().is_empty() && !self.is_end {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.data())
    }

    fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }
}

#[cfg(test)]
mod tests;
