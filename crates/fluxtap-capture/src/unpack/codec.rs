//! The compressions behind one interface.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::mem;

use flate2::bufread::GzDecoder;
use liblzma::stream::{Action, CONCATENATED, Error, Status, Stream};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::{Chunk, Fault, WINDOW_BYTES_MAX};
use crate::magic::{self, Compression, Kind};

/// What [`Codec::decode`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// So many bytes came out, at least one.
    Bytes(usize),
    /// More input is needed.
    Hungry,
    /// The end of the data, which is the end of the input.
    End,
}

/// A compression that works on its chunk of the input.
pub(super) trait Codec: Send {
    /// Unpacks into `to`, which is not empty.
    ///
    /// # Errors
    ///
    /// When it cannot go on.
    fn decode(&mut self, to: &mut [u8]) -> Result<Decoded, Fault>;

    fn chunk(&self) -> &Chunk;

    fn chunk_mut(&mut self) -> &mut Chunk;

    /// Memory held beside the chunk.
    fn memory_bytes(&self) -> usize;
}

pub(super) fn new(compression: Compression, chunk: Chunk) -> Box<dyn Codec> {
    match compression {
        Compression::Gzip => Box::new(Gzip { member: GzDecoder::new(chunk), is_open: true }),
        Compression::Zstd => Box::new(Zstd::new(chunk)),
        Compression::Xz => Box::new(Xz { stream: None, fault: None, chunk }),
        Compression::Lz4 => {
            Box::new(Lz4 { state: Lz4State::Between, chunk, frames: 0, memory_bytes: 0 })
        }
    }
}

/// What an error of a reader above a chunk means.
fn outcome(error: &io::Error) -> Result<Decoded, Fault> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(Decoded::Hungry),
        io::ErrorKind::UnexpectedEof => Err(Fault::Cut),
        _ => Err(Fault::Corrupt),
    }
}

/// gzip, member by member.
struct Gzip {
    member: GzDecoder<Chunk>,
    is_open: bool,
}

impl Gzip {
    /// Goes to the next member; what pads the last one to a block of a tape is passed over.
    fn next_member(&mut self) -> Result<Option<Decoded>, Fault> {
        let chunk = self.member.get_mut();
        let zeros = chunk.data().iter().take_while(|byte| **byte == 0).count();
        chunk.consume(zeros);
        match (chunk.data(), chunk.is_end) {
            ([], true) => return Ok(Some(Decoded::End)),
            ([] | [0x1f], false) => return Ok(Some(Decoded::Hungry)),
            ([0x1f, 0x8b, ..], _) => {}
            _ => return Err(Fault::Trailing),
        }
        let chunk = mem::take(chunk);
        self.member.reset(chunk);
        self.is_open = true;
        Ok(None)
    }
}

impl Codec for Gzip {
    fn decode(&mut self, to: &mut [u8]) -> Result<Decoded, Fault> {
        loop {
            if !self.is_open
                && let Some(decoded) = self.next_member()?
            {
                return Ok(decoded);
            }
            match self.member.read(to) {
                Ok(0) => self.is_open = false,
                Ok(bytes) => return Ok(Decoded::Bytes(bytes)),
                Err(error) => return outcome(&error),
            }
        }
    }

    fn chunk(&self) -> &Chunk {
        self.member.get_ref()
    }

    fn chunk_mut(&mut self) -> &mut Chunk {
        self.member.get_mut()
    }

    fn memory_bytes(&self) -> usize {
        // A window of 32 KiB, which is held twice, and the tables of a block.
        const INFLATE_BYTES: usize = 80 << 10;
        INFLATE_BYTES
    }
}

/// Zstandard, frame by frame; skippable ones are passed over by the library.
struct Zstd {
    context: DCtx<'static>,
    chunk: Chunk,
    /// The last frame is done.
    is_between: bool,
    frames: u64,
}

impl Zstd {
    fn new(chunk: Chunk) -> Self {
        let mut context = DCtx::create();
        let set = context.set_parameter(DParameter::WindowLogMax(WINDOW_BYTES_MAX.ilog2()));
        debug_assert!(set.is_ok(), "the library takes windows of up to 2 GiB");
        Self { context, chunk, is_between: true, frames: 0 }
    }

    fn fault(&self, code: usize) -> Fault {
        // ZSTD_ErrorCode, stable since 1.0: errors are returned as negative numbers.
        const PREFIX_UNKNOWN: usize = 10;
        const WINDOW_TOO_LARGE: usize = 16;
        match 0_usize.wrapping_sub(code) {
            WINDOW_TOO_LARGE => Fault::Window,
            PREFIX_UNKNOWN if self.frames > 0 => Fault::Trailing,
            _ => Fault::Corrupt,
        }
    }
}

impl Codec for Zstd {
    fn decode(&mut self, to: &mut [u8]) -> Result<Decoded, Fault> {
        loop {
            let mut output = OutBuffer::around(&mut *to);
            let mut input = InBuffer::around(self.chunk.data());
            let result = self.context.decompress_stream(&mut output, &mut input);
            let (used, bytes) = (input.pos(), output.pos());
            self.chunk.consume(used);
            let hint = result.map_err(|code| self.fault(code))?;
            if used > 0 || bytes > 0 {
                self.is_between = hint == 0;
                self.frames += u64::from(self.is_between);
            }
            if bytes > 0 {
                return Ok(Decoded::Bytes(bytes));
            }
            if self.chunk.data().is_empty() {
                let is_end = self.chunk.is_end && self.is_between;
                return Ok(if is_end { Decoded::End } else { Decoded::Hungry });
            }
        }
    }

    fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    fn chunk_mut(&mut self) -> &mut Chunk {
        &mut self.chunk
    }

    fn memory_bytes(&self) -> usize {
        self.context.sizeof()
    }
}

/// xz, all streams and the padding between them; the library knows how.
struct Xz {
    /// From the first use on, because it can fail.
    stream: Option<Stream>,
    /// What is told after the last bytes are handed over.
    fault: Option<Fault>,
    chunk: Chunk,
}

impl Xz {
    /// Memory is allowed in steps of this, so that what is allowed says what is used.
    const STEP_BYTES: u64 = 1 << 20;

    /// Allows as much more memory as the data need; the library takes no limit below that.
    fn raise_limit(stream: &mut Stream) -> Result<(), Fault> {
        (stream.memlimit()..=WINDOW_BYTES_MAX)
            .step_by(Self::STEP_BYTES as usize)
            .skip(1)
            .find(|limit| stream.set_memlimit(*limit).is_ok())
            .map(|_| ())
            .ok_or(Fault::Window)
    }
}

impl Codec for Xz {
    fn decode(&mut self, to: &mut [u8]) -> Result<Decoded, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let new = Stream::new_stream_decoder(Self::STEP_BYTES, CONCATENATED);
                none.insert(new.map_err(|_| Fault::Memory)?)
            }
        };
        loop {
            let action = if self.chunk.is_end { Action::Finish } else { Action::Run };
            let before = (stream.total_in(), stream.total_out());
            let result = stream.process(self.chunk.data(), to, action);
            let used = (stream.total_in() - before.0) as usize;
            let bytes = (stream.total_out() - before.1) as usize;
            self.chunk.consume(used);
            match result {
                Err(Error::MemLimit) => Self::raise_limit(stream)?,
                Err(Error::Mem) => self.fault = Some(Fault::Memory),
                Err(_) => self.fault = Some(Fault::Corrupt),
                Ok(_) => {}
            }
            match (result, self.fault) {
                _ if bytes > 0 => return Ok(Decoded::Bytes(bytes)),
                (_, Some(fault)) => return Err(fault),
                (Ok(Status::StreamEnd), _) => return Ok(Decoded::End),
                (Ok(_), _) if used == 0 => return Ok(Decoded::Hungry),
                _ => {}
            }
        }
    }

    fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    fn chunk_mut(&mut self) -> &mut Chunk {
        &mut self.chunk
    }

    fn memory_bytes(&self) -> usize {
        self.stream.as_ref().map_or(0, |stream| stream.memlimit() as usize)
    }
}

/// LZ4, frame by frame.
struct Lz4 {
    state: Lz4State,
    chunk: Chunk,
    frames: u64,
    memory_bytes: usize,
}

enum Lz4State {
    Between,
    /// So many bytes of a skippable frame are left.
    Skip(usize),
    Frame(lz4::Decoder<Lent>),
}

/// The chunk while the library reads from it; it gives no other way to change its reader.
#[derive(Default)]
struct Lent(Cell<Chunk>);

impl Read for Lent {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.get_mut().read(to)
    }
}

impl Lz4 {
    /// Begins the next frame, or finds the end.
    fn next_frame(&mut self) -> Result<Option<Decoded>, Fault> {
        /// Magic and length of a skippable frame; magic and descriptor of another.
        const START_BYTES: usize = 8;
        let start = self.chunk.data();
        if start.is_empty() && self.chunk.is_end {
            return Ok(Some(Decoded::End));
        }
        let Some(start) = start.first_chunk::<START_BYTES>() else {
            return Ok(Some(Decoded::Hungry));
        };
        if magic::is_skippable_frame(start) {
            let length = u32::from_le_bytes([start[4], start[5], start[6], start[7]]);
            self.chunk.consume(START_BYTES);
            self.state = Lz4State::Skip(length as usize);
            return Ok(None);
        }
        if magic::sniff(start) != Kind::Packed(Compression::Lz4) {
            return Err(if self.frames > 0 { Fault::Trailing } else { Fault::Corrupt });
        }
        self.memory_bytes = frame_memory_bytes(start[5]);
        let decoder = lz4::Decoder::new(Lent::default()).map_err(|_| Fault::Memory)?;
        self.state = Lz4State::Frame(decoder);
        Ok(None)
    }
}

/// What the library takes for a frame: a block as it comes, and with what came before as it goes.
/// `descriptor` is the byte with the largest size of a block.
fn frame_memory_bytes(descriptor: u8) -> usize {
    const HISTORY_BYTES: usize = 128 << 10;
    let block_bytes = match descriptor >> 4 & 7 {
        4 => 64 << 10,
        5 => 256 << 10,
        6 => 1 << 20,
        _ => 4 << 20,
    };
    2 * block_bytes + HISTORY_BYTES
}

impl Codec for Lz4 {
    fn decode(&mut self, to: &mut [u8]) -> Result<Decoded, Fault> {
        loop {
            match &mut self.state {
                Lz4State::Between => {
                    if let Some(decoded) = self.next_frame()? {
                        return Ok(decoded);
                    }
                }
                Lz4State::Skip(0) => self.state = Lz4State::Between,
                Lz4State::Skip(left) => {
                    let now = self.chunk.data().len().min(*left);
                    *left -= now;
                    self.chunk.consume(now);
                    if now == 0 {
                        return Ok(Decoded::Hungry);
                    }
                }
                Lz4State::Frame(decoder) => {
                    decoder.reader().0.set(mem::take(&mut self.chunk));
                    let read = decoder.read(to);
                    self.chunk = decoder.reader().0.take();
                    match read {
                        Ok(0) => {
                            let done = mem::replace(&mut self.state, Lz4State::Between);
                            if let Lz4State::Frame(decoder) = done
                                && decoder.finish().1.is_err()
                            {
                                return Err(Fault::Cut);
                            }
                            self.frames += 1;
                        }
                        Ok(bytes) => return Ok(Decoded::Bytes(bytes)),
                        Err(error) => return outcome(&error),
                    }
                }
            }
        }
    }

    fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    fn chunk_mut(&mut self) -> &mut Chunk {
        &mut self.chunk
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}
