//! One capture, byte by byte: the parser says how much it needs, the owner lends it the input.

use std::io::{self, Read};
use std::mem;

use fluxtap_wire::{LinkType, Packet, Timestamp};

use crate::buffer::Buffer;
use crate::classic::Classic;
use crate::magic::{self, Compression, Foreign, Kind, Magic};
use crate::pcapng::Pcapng;
use crate::resync::{Gaps, Look, RESYNC_BYTES_MAX};
use crate::snoop::Snoop;
use crate::status::{Damage, Ending};
use crate::unpack::{Fault, Lanes, Unpacked, Unpacker};

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
    /// So many bytes are needed in the buffer: call [`Parser::fill`].
    Need(usize),
}

/// What [`Parser::fill`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Bytes came, or the end.
    Changed,
    /// Compressed data were read, but nothing came out yet.
    Nothing,
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
    /// Classic with longer record headers.
    Longer(Classic),
    Pcapng(Pcapng),
    Snoop(Snoop),
    /// Where the next record begins is not known.
    Lost(Box<Lost>),
}

/// The search for the next record after damage.
#[derive(Debug)]
struct Lost {
    format: Format,
    /// Where the damage begins, and what it is.
    since: u64,
    what: Damage,
    /// Where the search ends.
    give_up_at: u64,
}

/// How the bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With the input.
    Input,
    /// The compressed input cannot be unpacked any further.
    Fault(Fault),
}

/// The compression around the capture.
#[derive(Debug)]
struct Packing {
    compression: Compression,
    /// None while what was read ahead is forgotten.
    unpacker: Option<Box<Unpacker>>,
    /// Furthest offset in the compressed input.
    offset: u64,
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
    end: Option<End>,
    packing: Option<Packing>,
    /// Where a thread for unpacking comes from, if it may have one.
    pub(crate) lanes: Option<Lanes>,
    gaps: Gaps,
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
            end: None,
            packing: None,
            lanes: None,
            gaps: Gaps::default(),
            packets: 0,
            packets_untimed: 0,
            packets_skipped: 0,
        }
    }

    /// Goes on by at most one record or block.
    ///
    /// # Errors
    ///
    /// How the capture ended; there is nothing to read after it.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<Step, Ending> {
        if let Some(head) = self.head {
            return Ok(Step::Packet(head));
        }
        let parsed = match &mut self.format {
            Format::Classic(classic) => classic.parse_plain(self.buffer.data(), self.last_at),
            Format::Pcapng(pcapng) if self.skip.is_none() => {
                pcapng.parse(self.buffer.data(), self.last_at)
            }
            _ => return self.step_aside(),
        };
        self.take(parsed)
    }

    /// Hands over packets that lie whole in the buffer one after the other, as long as they are the
    /// usual records of a classic file, `is_due` says so of their time, and neither `packets_max` nor
    /// `bytes_max` is reached. Whatever stops it is for [`step`](Self::step) to look at; returns how
    /// many packets there were, and their link type.
    #[inline]
    pub(crate) fn hand_over_usual(
        &mut self,
        packets_max: usize,
        bytes_max: u64,
        is_due: impl Fn(Timestamp) -> bool,
        visit: &mut dyn FnMut(Packet<'_>),
    ) -> (usize, LinkType) {
        let (Format::Classic(classic), None) = (&self.format, self.head) else {
            return (0, LinkType::NULL);
        };
        let mut rest = self.buffer.data();
        let whole_bytes = rest.len();
        let mut packets = 0;
        while packets < packets_max && ((whole_bytes - rest.len()) as u64) < bytes_max {
            let Ok(Parsed::Head(head)) = classic.parse_plain(rest, self.last_at) else { break };
            if !is_due(head.at) {
                break;
            }
            let Some((record, behind)) = rest.split_at_checked(head.record_bytes as usize) else {
                break;
            };
            let bytes = record.get(head.data_start as usize..).unwrap_or_default();
            visit(Packet { at: head.at, link: head.link, bytes, wire_len: head.wire_len });
            self.last_at = head.at;
            rest = behind;
            packets += 1;
        }
        let used_bytes = whole_bytes - rest.len();
        let link = classic.link();
        self.packets += packets as u64;
        self.buffer.consume(used_bytes);
        (packets, link)
    }

    /// Packets are nearly all there is, so whatever else is parsed is kept out of their way.
    #[inline(always)]
    fn take(&mut self, parsed: Result<Parsed, Damage>) -> Result<Step, Ending> {
        let Ok(Parsed::Head(head)) = parsed else {
            return self.take_other(parsed);
        };
        self.last_at = head.at;
        self.head = Some(head);
        Ok(Step::Packet(head))
    }

    #[cold]
    fn take_other(&mut self, parsed: Result<Parsed, Damage>) -> Result<Step, Ending> {
        match parsed {
            Ok(Parsed::Head(_)) => Ok(Step::Passed),
            Ok(Parsed::Need(need)) => self.want(need),
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
            Err(what) => self.lose(self.buffer.offset(), what),
        }
    }

    /// Reads once from `input` and gives the buffer at least something of the `need` bytes that it
    /// needs, preferably of the `want` it may have.
    ///
    /// # Errors
    ///
    /// Those of `input`. The call can be repeated.
    pub(crate) fn fill(
        &mut self,
        input: &mut impl Read,
        need: usize,
        want: usize,
    ) -> io::Result<Filled> {
        let Some(packing) = &mut self.packing else {
            if self.buffer.fill(input, need, want)? == 0 {
                self.end = Some(End::Input);
            }
            return Ok(Filled::Changed);
        };
        let compression = packing.compression;
        let (done_bytes, lanes) = (self.buffer.offset(), self.lanes.clone());
        let unpacker = packing
            .unpacker
            .get_or_insert_with(|| Box::new(Unpacker::new(compression, &[], done_bytes, lanes)));
        let unpacked = unpacker.unpack(input, self.buffer.room(need, want))?;
        packing.offset = packing.offset.max(unpacker.offset());
        match unpacked {
            Unpacked::Bytes(count) => self.buffer.written(count),
            Unpacked::Nothing => return Ok(Filled::Nothing),
            Unpacked::End => self.end = Some(End::Input),
            Unpacked::Fault(fault) => {
                if fault == Fault::Cut {
                    packing.offset = unpacker.read_bytes();
                }
                self.end = Some(End::Fault(fault));
            }
        }
        Ok(Filled::Changed)
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

    /// Forgets what was read ahead; the owner continues to read at
    /// [`file_position`](Self::file_position). What is compressed is unpacked again from its start.
    pub(crate) fn unload(&mut self) {
        self.head = None;
        self.end = None;
        self.buffer.unload();
        if let Some(packing) = &mut self.packing {
            packing.unpacker = None;
        }
    }

    /// Frees all memory of a capture that is not read any further; the counters stay.
    pub(crate) fn retire(&mut self) {
        self.unload();
        self.format = Format::Unknown;
    }

    /// Ends a capture that may not be unpacked any further; what came out last is not used.
    pub(crate) fn stop_unpacking(&mut self, fault: Fault) {
        self.buffer.consume(usize::MAX);
        self.end = Some(End::Fault(fault));
    }

    /// Where in the file reading goes on.
    pub(crate) fn file_position(&self) -> u64 {
        match &self.packing {
            None => self.buffer.offset() + self.buffer.available() as u64,
            Some(packing) => packing.unpacker.as_ref().map_or(0, |unpacker| unpacker.read_bytes()),
        }
    }

    /// Bytes of the file that were used.
    pub(crate) fn file_offset(&self) -> u64 {
        self.packing.as_ref().map_or(self.buffer.offset(), |packing| packing.offset)
    }

    /// The compression around the capture, once that is known.
    pub(crate) fn compression(&self) -> Option<Compression> {
        self.packing.as_ref().map(|packing| packing.compression)
    }

    /// Memory for unpacking, in bytes.
    pub(crate) fn unpacker_bytes(&self) -> usize {
        let unpacker = self.packing.as_ref().and_then(|packing| packing.unpacker.as_ref());
        unpacker.map_or(0, |unpacker| unpacker.memory_bytes())
    }

    /// What was passed over because it was damaged.
    pub(crate) fn gaps(&self) -> Gaps {
        self.gaps
    }

    /// Asks for more input, or ends where there is no more.
    fn want(&mut self, need: usize) -> Result<Step, Ending> {
        self.need = need;
        if self.end.is_none() {
            return Ok(Step::Need(need));
        }
        // Garbage that happens to state a length beyond the end must not hide what follows it.
        let data = self.buffer.data();
        let is_likely = match &self.format {
            Format::Classic(classic) | Format::Longer(classic) => {
                classic.is_likely(data, self.last_at)
            }
            Format::Pcapng(pcapng) => pcapng.is_likely(data),
            _ => true,
        };
        if is_likely { Err(self.ending()) } else { self.lose(self.buffer.offset(), Damage::Record) }
    }

    /// What the capture is when there is no more input although more is wanted.
    fn ending(&self) -> Ending {
        if let (Some(End::Fault(fault)), Some(packing)) = (self.end, &self.packing) {
            let Packing { compression, offset, .. } = *packing;
            return Ending::Packed { compression, offset, fault };
        }
        let present_bytes = self.buffer.available() as u64;
        if let Some(skip) = self.skip {
            return Ending::Cut {
                offset: skip.block_offset,
                expected_bytes: u64::from(skip.block_bytes),
                present_bytes: self.buffer.offset() - skip.block_offset + present_bytes,
            };
        }
        match self.format {
            Format::Unknown if present_bytes == 0 => Ending::Empty,
            _ if present_bytes > 0 => Ending::Cut {
                offset: self.buffer.offset(),
                expected_bytes: self.need as u64,
                present_bytes,
            },
            _ if self.packets == 0 && self.packets_skipped == 0 => Ending::HeaderOnly,
            _ => Ending::Complete,
        }
    }

    /// The steps that are no usual record.
    #[cold]
    fn step_aside(&mut self) -> Result<Step, Ending> {
        let parsed = match &mut self.format {
            Format::Longer(classic) => classic.parse(self.buffer.data(), self.last_at),
            Format::Snoop(snoop) => snoop.parse(self.buffer.data()),
            Format::Lost(_) => return self.search(),
            Format::Unknown => return self.begin(),
            Format::Classic(_) | Format::Pcapng(_) => return self.step_skip(),
        };
        self.take(parsed)
    }

    /// The start of the file.
    fn begin(&mut self) -> Result<Step, Ending> {
        let start = self.buffer.data();
        if start.is_empty() || (start.len() < magic::SNIFF_BYTES && self.end.is_none()) {
            return self.want(magic::SNIFF_BYTES);
        }
        let (format, header_bytes) = match magic::sniff(start) {
            Kind::Packed(compression) => return self.begin_unpacking(compression),
            Kind::Prefix => return self.want(magic::SNIFF_BYTES),
            Kind::Other(format) => return Err(self.foreign(format)),
            Kind::Pcapng => (Ok(Format::Pcapng(Pcapng::default())), 0),
            Kind::Snoop => match start.first_chunk() {
                None => return self.want(crate::snoop::HEADER_BYTES),
                Some(header) => (Snoop::new(header).map(Format::Snoop), crate::snoop::HEADER_BYTES),
            },
            Kind::Classic { big_endian, variant } => {
                let header_bytes = Classic::header_bytes(variant);
                if start.len() < header_bytes {
                    return self.want(header_bytes);
                }
                let format = Classic::new(start, big_endian, variant).map(|classic| {
                    if classic.is_plain() {
                        Format::Classic(classic)
                    } else {
                        Format::Longer(classic)
                    }
                });
                (format, header_bytes)
            }
        };
        self.format = format.map_err(|what| Ending::Damaged { offset: 0, what })?;
        self.buffer.consume(header_bytes);
        Ok(Step::Passed)
    }

    /// The input is compressed: what was read of it goes to an unpacker, and the buffer gets what
    /// comes out.
    fn begin_unpacking(&mut self, compression: Compression) -> Result<Step, Ending> {
        if self.packing.is_some() {
            return Err(self.foreign(Some(Foreign::Packed(compression))));
        }
        let start = mem::take(&mut self.buffer);
        let unpacker =
            Some(Box::new(Unpacker::new(compression, start.data(), 0, self.lanes.clone())));
        self.packing = Some(Packing { compression, unpacker, offset: 0 });
        self.end = None;
        self.want(magic::SNIFF_BYTES)
    }

    fn foreign(&self, format: Option<Foreign>) -> Ending {
        let start = self.buffer.data();
        let format = format.or_else(|| Foreign::sniff_more(start));
        Ending::NotACapture { magic: Magic::of(start), format }
    }

    /// Steps over a block in pieces, then compares its two lengths.
    fn step_skip(&mut self) -> Result<Step, Ending> {
        let Some(skip) = &mut self.skip else {
            return Ok(Step::Passed);
        };
        let now = self.buffer.available().min(skip.left_bytes as usize);
        self.buffer.consume(now);
        skip.left_bytes -= now as u32;
        let need = if skip.left_bytes > 0 { 1 } else { 4 };
        let Skip { block_offset, block_bytes, big_endian, left_bytes } = *skip;
        let Some(trailer) = self.buffer.data().first_chunk::<4>() else {
            return self.want(need);
        };
        debug_assert_eq!(left_bytes, 0, "the buffer is used up before the block is");
        let trailing = u32_at(trailer, 0, big_endian);
        self.skip = None;
        if trailing != block_bytes {
            return self
                .lose(block_offset, Damage::BlockTrailer { leading: block_bytes, trailing });
        }
        self.buffer.consume(4);
        Ok(Step::Passed)
    }

    /// Damage at `since`: looks for where it goes on, unless nothing could be made of it.
    #[cold]
    fn lose(&mut self, since: u64, what: Damage) -> Result<Step, Ending> {
        if !what.is_local() {
            return Err(Ending::Damaged { offset: since, what });
        }
        let mut format = mem::replace(&mut self.format, Format::Unknown);
        if let Format::Pcapng(pcapng) = &mut format {
            pcapng.note_gap();
        }
        let give_up_at = self.buffer.offset() + RESYNC_BYTES_MAX;
        self.format = Format::Lost(Box::new(Lost { format, since, what, give_up_at }));
        // Whatever is here, it is no record.
        self.buffer.consume(1);
        self.search()
    }

    /// Looks through the buffer for the next record.
    fn search(&mut self) -> Result<Step, Ending> {
        let Format::Lost(lost) = &mut self.format else {
            return Ok(Step::Passed);
        };
        let (data, is_all) = (self.buffer.data(), self.end.is_some());
        let look = |data: &[u8]| match &lost.format {
            Format::Classic(classic) | Format::Longer(classic) => {
                classic.look(data, self.last_at, is_all)
            }
            Format::Snoop(_) => Snoop::look(data, self.last_at, is_all),
            Format::Pcapng(pcapng) => pcapng.look(data, is_all),
            Format::Unknown | Format::Lost(_) => Look::Nothing,
        };
        let found = (0..data.len())
            .map(|at| (at, look(&data[at..])))
            .find(|(_, look)| *look != Look::Nothing);
        let (at, look) = found.unwrap_or((data.len(), Look::Need(1)));
        self.buffer.consume(at);
        let &mut Lost { since, what, give_up_at, .. } = &mut **lost;
        match look {
            _ if self.buffer.offset() > give_up_at => Err(Ending::Damaged { offset: since, what }),
            Look::Found => {
                self.format = mem::replace(&mut lost.format, Format::Unknown);
                self.gaps.add(since, self.buffer.offset() - since, what);
                Ok(Step::Passed)
            }
            Look::Need(need) if !is_all => {
                self.need = need;
                Ok(Step::Need(need))
            }
            _ => match self.end {
                Some(End::Fault(_)) => Err(self.ending()),
                _ => Err(Ending::Damaged { offset: since, what }),
            },
        }
    }
}
