//! One capture, byte by byte, without I/O: the owner fills the buffer, the parser says how much
//! it needs.

use fluxtap_wire::{LinkType, Packet, Timestamp};

use crate::buffer::Buffer;
use crate::classic::{self, Classic};
use crate::magic::{self, Kind, Magic};
use crate::pcapng::Pcapng;
use crate::status::{Damage, Ending};

/// The `u32` at `at` of a block whose bounds the caller has checked.
#[inline]
pub(crate) fn u32_at(data: &[u8], at: usize, big_endian: bool) -> u32 {
    let Some(four) = data.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
        debug_assert!(false, "the caller checks the bounds");
        return 0;
    };
    if big_endian { u32::from_be_bytes(*four) } else { u32::from_le_bytes(*four) }
}

/// What the start of the buffer holds.
pub(crate) enum Parsed {
    /// Less than a whole record: so many bytes are needed.
    Need(usize),
    /// A packet.
    Head(Head),
    /// A block of so many bytes without a packet, already used.
    Block(usize),
    /// A packet of so many bytes whose interface is not described.
    Orphan(usize),
    /// A block of so many bytes that need not be in memory to be stepped over.
    Skip { block_bytes: u32, big_endian: bool },
}

/// A parsed record at the start of the buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) at: Timestamp,
    /// The record states its time itself.
    pub(crate) timed: bool,
    pub(crate) link: LinkType,
    pub(crate) wire_len: u32,
    /// From the start of the record to the captured bytes.
    pub(crate) data_start: u32,
    pub(crate) caplen: u32,
    pub(crate) record_bytes: u32,
}

/// What [`Parser::step`] found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A packet is ready; it stays the answer until [`Parser::consume`].
    Packet(Head),
    /// Something without a packet was passed.
    Passed,
    /// Fill the buffer with so many bytes, or call [`Parser::finish`].
    Need(usize),
}

/// A block that is being stepped over without being held.
#[derive(Clone, Copy, Debug)]
struct Skip {
    block_offset: u64,
    block_bytes: u32,
    big_endian: bool,
    /// Bytes before the trailing length.
    left_bytes: u32,
}

#[derive(Debug)]
enum Format {
    Unknown,
    Classic(Classic),
    Pcapng(Pcapng),
}

/// The state of one capture between its bytes.
#[derive(Debug)]
pub(crate) struct Parser {
    pub(crate) buffer: Buffer,
    format: Format,
    head: Option<Head>,
    skip: Option<Skip>,
    /// Time of the last record that stated one.
    last_at: Timestamp,
    /// What the last `Step::Need` asked for.
    need: usize,
    /// Packets handed over.
    pub(crate) packets: u64,
    /// Of these, packets without a time of their own.
    pub(crate) packets_untimed: u64,
    /// Packet blocks passed over because their interface is not described.
    pub(crate) packets_skipped: u64,
}

impl Parser {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Buffer::default(),
            format: Format::Unknown,
            head: None,
            skip: None,
            last_at: Timestamp(0),
            need: magic::SNIFF_BYTES,
            packets: 0,
            packets_untimed: 0,
            packets_skipped: 0,
        }
    }

    /// Goes on by at most one record or block.
    ///
    /// # Errors
    ///
    /// [`Ending::NotACapture`] or [`Ending::Damaged`]; there is nothing to read after it.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<Step, Ending> {
        if let Some(head) = self.head {
            return Ok(Step::Packet(head));
        }
        let parsed = match &mut self.format {
            Format::Classic(classic) => classic.parse(self.buffer.data()),
            Format::Pcapng(pcapng) if self.skip.is_none() => {
                pcapng.parse(self.buffer.data(), self.last_at)
            }
            _ => return self.step_aside(),
        };
        match parsed {
            Ok(Parsed::Head(head)) => {
                self.last_at = head.at;
                self.head = Some(head);
                Ok(Step::Packet(head))
            }
            Ok(Parsed::Need(need)) => {
                self.need = need;
                Ok(Step::Need(need))
            }
            Ok(Parsed::Block(bytes)) => {
                self.buffer.consume(bytes);
                Ok(Step::Passed)
            }
            Ok(Parsed::Orphan(bytes)) => {
                self.packets_skipped += 1;
                self.buffer.consume(bytes);
                Ok(Step::Passed)
            }
            Ok(Parsed::Skip { block_bytes, big_endian }) => {
                let (block_offset, left_bytes) = (self.buffer.offset(), block_bytes - 4);
                self.skip = Some(Skip { block_offset, block_bytes, big_endian, left_bytes });
                self.step_skip()
            }
            Err(what) => Err(Ending::Damaged { offset: self.buffer.offset(), what }),
        }
    }

    /// The packet of the last [`Step::Packet`], lent from the buffer.
    #[inline]
    pub(crate) fn packet(&self, head: &Head) -> Packet<'_> {
        let start = head.data_start as usize;
        let captured = self.buffer.data().get(start..start + head.caplen as usize);
        debug_assert!(captured.is_some(), "the whole record is in the buffer");
        let bytes = captured.unwrap_or_default();
        Packet { at: head.at, link: head.link, bytes, wire_len: head.wire_len }
    }

    /// Counts the packet of the last [`Step::Packet`] and goes past it.
    #[inline]
    pub(crate) fn consume(&mut self) {
        if let Some(head) = self.head.take() {
            self.packets += 1;
            self.packets_untimed += u64::from(!head.timed);
            self.buffer.consume(head.record_bytes as usize);
        }
    }

    /// Forgets what was read ahead. The owner continues to fill from the buffer's offset.
    pub(crate) fn unload(&mut self) {
        self.head = None;
        self.buffer.unload();
    }

    /// Frees all memory of a capture that is not read any further; the counters stay.
    pub(crate) fn retire(&mut self) {
        self.unload();
        self.format = Format::Unknown;
    }

    /// What the capture is when the input ends here although [`step`](Self::step) wants more.
    pub(crate) fn finish(&self) -> Ending {
        let present_bytes = self.buffer.available() as u64;
        if let Some(skip) = self.skip {
            return Ending::Cut {
                offset: skip.block_offset,
                expected_bytes: u64::from(skip.block_bytes),
                present_bytes: self.buffer.offset() - skip.block_offset + present_bytes,
            };
        }
        let cut = Ending::Cut {
            offset: self.buffer.offset(),
            expected_bytes: self.need as u64,
            present_bytes,
        };
        match self.format {
            Format::Unknown if present_bytes == 0 => Ending::Empty,
            Format::Unknown => match magic::sniff(self.buffer.data()) {
                Kind::Other(format) => {
                    Ending::NotACapture { magic: Magic::of(self.buffer.data()), format }
                }
                Kind::Prefix | Kind::Classic { .. } | Kind::Pcapng => cut,
            },
            _ if present_bytes > 0 => cut,
            _ if self.packets == 0 && self.packets_skipped == 0 => Ending::HeaderOnly,
            _ => Ending::Complete,
        }
    }

    /// The steps that are not a record: the start of the file and blocks too large to hold.
    fn step_aside(&mut self) -> Result<Step, Ending> {
        if self.skip.is_some() {
            return self.step_skip();
        }
        let start = self.buffer.data();
        if start.len() < magic::SNIFF_BYTES {
            self.need = magic::SNIFF_BYTES;
            return Ok(Step::Need(self.need));
        }
        match magic::sniff(start) {
            Kind::Classic { big_endian, nanoseconds } => {
                let Some(header) = start.first_chunk() else {
                    self.need = classic::HEADER_BYTES;
                    return Ok(Step::Need(self.need));
                };
                let classic = Classic::new(header, big_endian, nanoseconds)
                    .map_err(|what| Ending::Damaged { offset: 0, what })?;
                self.buffer.consume(classic::HEADER_BYTES);
                self.format = Format::Classic(classic);
            }
            Kind::Pcapng => self.format = Format::Pcapng(Pcapng::default()),
            // Only what is shorter than a magic can be a prefix of one.
            Kind::Prefix => {
                return Err(Ending::NotACapture { magic: Magic::of(start), format: None });
            }
            Kind::Other(format) => {
                return Err(Ending::NotACapture { magic: Magic::of(start), format });
            }
        }
        Ok(Step::Passed)
    }

    /// Steps over a block in pieces, then compares its two lengths.
    fn step_skip(&mut self) -> Result<Step, Ending> {
        let Some(skip) = &mut self.skip else {
            return Ok(Step::Passed);
        };
        let now = self.buffer.available().min(skip.left_bytes as usize);
        self.buffer.consume(now);
        skip.left_bytes -= now as u32;
        self.need = if skip.left_bytes > 0 { 1 } else { 4 };
        let Some(trailer) = self.buffer.data().first_chunk::<4>() else {
            return Ok(Step::Need(self.need));
        };
        let trailing = u32_at(trailer, 0, skip.big_endian);
        let Skip { block_offset, block_bytes, .. } = *skip;
        if trailing != block_bytes {
            let what = Damage::BlockTrailer { leading: block_bytes, trailing };
            return Err(Ending::Damaged { offset: block_offset, what });
        }
        self.buffer.consume(4);
        self.skip = None;
        Ok(Step::Passed)
    }
}
