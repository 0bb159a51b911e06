//! pcapng files (draft-ietf-opsawg-pcapng): sections of typed blocks.
//!
//! ```text
//!  0        4        8                     total-4    total
//!  | type   | total  | body, padded to 4   | total    |
//! ```

use fluxtap_wire::{LinkType, Timestamp};

use crate::classic::CAPLEN_MAX;
use crate::magic::PCAPNG;
use crate::parser::{Head, Parsed, u32_at};
use crate::resync::{CHAIN_RECORDS, Look};
use crate::status::Damage;

/// Most interfaces one section may describe. A section that describes more is taken for damage.
pub const INTERFACES_MAX: usize = 4_096;

/// Most bytes of a block that must be in memory as a whole: a packet of [`CAPLEN_MAX`] and as
/// much again for its options. Blocks that are known to hold no packet may be of any length; those
/// of a type nobody knows may not, because they are more likely garbage.
pub const BLOCK_BYTES_MAX: u32 = 2 * CAPLEN_MAX;

const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type and length before the body, length after it.
const FRAME_BYTES: u32 = 12;

/// The section that is being read.
#[derive(Debug, Default)]
pub(crate) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Described>,
    /// Something of the section was passed over. Descriptions of interfaces may have been lost, so
    /// those that come now have numbers nobody knows.
    has_gap: bool,
}

/// What an interface description block says.
#[derive(Clone, Copy, Debug)]
struct Described {
    link: LinkType,
    snaplen: u32,
    clock: Clock,
}

impl Pcapng {
    /// Reads the block at the start of `data`; a packet without a time of its own gets `last_at`.
    ///
    /// # Errors
    ///
    /// The damage that makes it impossible to trust what follows.
    pub(crate) fn parse(&mut self, data: &[u8], last_at: Timestamp) -> Result<Parsed, Damage> {
        const PREFIX_BYTES: usize = 12;
        let Some(prefix) = data.first_chunk::<PREFIX_BYTES>() else {
            return Ok(Parsed::Need(PREFIX_BYTES));
        };
        let section = prefix.starts_with(&PCAPNG);
        if section {
            self.big_endian = byte_order(prefix)?;
        }
        let (kind, total) =
            (u32_at(prefix, 0, self.big_endian), u32_at(prefix, 4, self.big_endian));
        let body_bytes_min = match kind {
            _ if section => 16,
            INTERFACE => 8,
            SIMPLE_PACKET => 4,
            ENHANCED_PACKET | OBSOLETE_PACKET => 20,
            _ => 0,
        };
        if total < FRAME_BYTES + body_bytes_min || !total.is_multiple_of(4) {
            return Err(Damage::BlockLength { length: total });
        }
        if body_bytes_min == 0 && is_known(kind) {
            return Ok(Parsed::Skip { block_bytes: total, big_endian: self.big_endian });
        }
        if total > BLOCK_BYTES_MAX {
            return Err(Damage::BlockTooLong { length: total });
        }
        let bytes = total as usize;
        let Some(block) = data.get(..bytes) else {
            return Ok(Parsed::Need(bytes));
        };
        let trailing = u32_at(block, bytes - 4, self.big_endian);
        if trailing != total {
            return Err(Damage::BlockTrailer { leading: total, trailing });
        }
        match kind {
            _ if section => self.begin_section(block),
            INTERFACE => self.describe_interface(block),
            SIMPLE_PACKET => self.simple_packet(block, last_at),
            ENHANCED_PACKET => self.packet(block, u32_at(block, 8, self.big_endian)),
            OBSOLETE_PACKET => self.packet(block, u32::from(self.u16_at(block, 8))),
            _ => Ok(Parsed::Block(bytes)),
        }
    }

    /// Notes that a part of the section is not known.
    pub(crate) fn note_gap(&mut self) {
        self.has_gap = true;
    }

    /// Whether the block at the start of `data` may be one although the input ends inside it.
    pub(crate) fn is_likely(&self, data: &[u8]) -> bool {
        data.len() < FRAME_BYTES as usize
            || data.starts_with(&PCAPNG)
            || is_known(u32_at(data, 0, self.big_endian))
    }

    /// Whether blocks begin at the start of `data`, after damage: a section, or [`CHAIN_RECORDS`]
    /// blocks that follow each other, or fewer that end where the input does.
    pub(crate) fn look(&self, data: &[u8], is_all: bool) -> Look {
        let mut start = 0;
        for found in 0..CHAIN_RECORDS {
            let rest = data.get(start..).unwrap_or_default();
            let Some(prefix) = rest.first_chunk::<{ FRAME_BYTES as usize }>() else {
                let is_end = found > 1 || (found == 1 && start == data.len());
                return match is_all {
                    true if is_end => Look::Found,
                    true => Look::Nothing,
                    false => Look::Need(start + FRAME_BYTES as usize),
                };
            };
            let is_section = prefix.starts_with(&PCAPNG);
            let big_endian = match byte_order(prefix) {
                Ok(big_endian) if is_section => big_endian,
                Err(_) if is_section => return Look::Nothing,
                _ => self.big_endian,
            };
            let (kind, total) = (u32_at(prefix, 0, big_endian), u32_at(prefix, 4, big_endian));
            let is_sound = (FRAME_BYTES..=BLOCK_BYTES_MAX).contains(&total)
                && total.is_multiple_of(4)
                && (is_section || is_known(kind));
            if !is_sound {
                return Look::Nothing;
            }
            let bytes = total as usize;
            let Some(block) = rest.get(..bytes) else {
                let cut = if found > 1 { Look::Found } else { Look::Nothing };
                return if is_all { cut } else { Look::Need(start + bytes) };
            };
            if u32_at(block, bytes - 4, big_endian) != total {
                return Look::Nothing;
            }
            if is_section {
                return Look::Found;
            }
            start += bytes;
        }
        Look::Found
    }

    /// Section header block: interfaces count from 0 again.
    fn begin_section(&mut self, block: &[u8]) -> Result<Parsed, Damage> {
        let (major, minor) = (self.u16_at(block, 12), self.u16_at(block, 14));
        if major != 1 {
            return Err(Damage::Version { major, minor });
        }
        self.interfaces.clear();
        self.has_gap = false;
        Ok(Parsed::Block(block.len()))
    }

    fn describe_interface(&mut self, block: &[u8]) -> Result<Parsed, Damage> {
        const OPTIONS_START: usize = 16;
        const IF_TSRESOL: u16 = 9;
        const IF_TSOFFSET: u16 = 14;
        if self.interfaces.len() >= INTERFACES_MAX {
            return Err(Damage::TooManyInterfaces);
        }
        let mut clock = Clock::default();
        let mut options = &block[OPTIONS_START..block.len() - 4];
        while let Some((code, length)) = self.option_header(options) {
            let padded = usize::from(length).next_multiple_of(4);
            let overrun = Damage::Option { code, length };
            let value = options.get(4..4 + usize::from(length)).ok_or(overrun)?;
            match (code, value) {
                (IF_TSRESOL, &[resolution]) => clock.resolution = Resolution::new(resolution),
                (IF_TSOFFSET, value) => {
                    let eight = value.try_into().map_err(|_| overrun)?;
                    clock.offset_s = if self.big_endian {
                        i64::from_be_bytes(eight)
                    } else {
                        i64::from_le_bytes(eight)
                    };
                }
                (IF_TSRESOL, _) => return Err(overrun),
                _ => {}
            }
            options = options.get(4 + padded..).unwrap_or_default();
        }
        if self.has_gap {
            return Ok(Parsed::Block(block.len()));
        }
        let link = LinkType(self.u16_at(block, 8));
        let snaplen = u32_at(block, 12, self.big_endian);
        self.interfaces.push(Described { link, snaplen, clock });
        Ok(Parsed::Block(block.len()))
    }

    /// Code and length of the next option; `None` at the end of the options.
    fn option_header(&self, options: &[u8]) -> Option<(u16, u16)> {
        let header = options.first_chunk::<4>()?;
        let (code, length) = (self.u16_at(header, 0), self.u16_at(header, 2));
        (code != 0).then_some((code, length))
    }

    /// Enhanced packet block, and the obsolete packet block that differs in how it states the
    /// interface.
    fn packet(&self, block: &[u8], interface: u32) -> Result<Parsed, Damage> {
        const DATA_START: u32 = 28;
        let Some(described) = self.interfaces.get(interface as usize) else {
            return Ok(Parsed::Orphan(block.len()));
        };
        let field = |at| u32_at(block, at, self.big_endian);
        let ticks = u64::from(field(12)) << 32 | u64::from(field(16));
        let head = head(block, described.link, DATA_START, field(20), field(24))?;
        Ok(Parsed::Head(Head { at: described.clock.timestamp(ticks), ..head }))
    }

    /// Simple packet block: belongs to interface 0, is cut to its snapshot length, has no time.
    fn simple_packet(&self, block: &[u8], last_at: Timestamp) -> Result<Parsed, Damage> {
        const DATA_START: u32 = 12;
        let Some(described) = self.interfaces.first() else {
            return Ok(Parsed::Orphan(block.len()));
        };
        let wire_len = u32_at(block, 8, self.big_endian);
        let caplen = match described.snaplen {
            0 => wire_len,
            snaplen => wire_len.min(snaplen),
        };
        let head = head(block, described.link, DATA_START, caplen, wire_len)?;
        Ok(Parsed::Head(Head { at: last_at, timed: false, ..head }))
    }

    fn u16_at(&self, data: &[u8], at: usize) -> u16 {
        let Some(two) = data.get(at..).and_then(|rest| rest.first_chunk::<2>()) else {
            debug_assert!(false, "the caller checks the bounds");
            return 0;
        };
        if self.big_endian { u16::from_be_bytes(*two) } else { u16::from_le_bytes(*two) }
    }
}

/// Whether a block of this type is worth believing after damage: those of the draft, and custom
/// blocks.
fn is_known(kind: u32) -> bool {
    const DECRYPTION_SECRETS: u32 = 10;
    const CUSTOM: [u32; 2] = [0x0bad, 0x4000_0bad];
    (INTERFACE..=DECRYPTION_SECRETS).contains(&kind) || CUSTOM.contains(&kind)
}

/// The packet of a block whose captured bytes begin at `data_start`; its time is for the caller.
fn head(
    block: &[u8],
    link: LinkType,
    data_start: u32,
    caplen: u32,
    wire_len: u32,
) -> Result<Head, Damage> {
    let record_bytes = block.len() as u32;
    let room_bytes = record_bytes - data_start - 4;
    if caplen > room_bytes {
        return Err(Damage::PacketOverrun { caplen, room_bytes });
    }
    if caplen > CAPLEN_MAX {
        return Err(Damage::RecordTooLong { caplen });
    }
    let at = Timestamp::default();
    Ok(Head { at, timed: true, link, wire_len, data_start, caplen, record_bytes })
}

/// Whether a section header says big-endian.
fn byte_order(prefix: &[u8; 12]) -> Result<bool, Damage> {
    const BYTE_ORDER: u32 = 0x1a2b_3c4d;
    match u32_at(prefix, 8, true) {
        BYTE_ORDER => Ok(true),
        magic if magic.swap_bytes() == BYTE_ORDER => Ok(false),
        magic => Err(Damage::ByteOrder { magic }),
    }
}

/// From the ticks of an interface to time.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    resolution: Resolution,
    offset_s: i64,
}

/// What one tick is, in the form that is cheapest to apply.
#[derive(Clone, Copy, Debug)]
enum Resolution {
    /// So many nanoseconds.
    Multiple(u64),
    /// One nanosecond holds so many ticks.
    Fraction(u64),
    /// 2 to the minus so many seconds.
    Binary(u8),
}

impl Default for Resolution {
    /// Microseconds, when the interface does not say.
    fn default() -> Self {
        Self::Multiple(1_000)
    }
}

impl Resolution {
    /// Reads the value of `if_tsresol`.
    fn new(value: u8) -> Self {
        let exponent = value & 0x7f;
        if value & 0x80 != 0 {
            Self::Binary(exponent)
        } else if exponent <= 9 {
            Self::Multiple(10_u64.pow(u32::from(9 - exponent)))
        } else {
            // With finer ticks than that, all they can count is less than a nanosecond.
            let divisor = 10_u64.checked_pow(u32::from(exponent - 9));
            divisor.map_or(Self::Multiple(0), Self::Fraction)
        }
    }
}

impl Clock {
    /// The time `ticks` stands for, saturating at both ends of what a timestamp can hold.
    fn timestamp(self, ticks: u64) -> Timestamp {
        let since = match self.resolution {
            Resolution::Multiple(factor) => ticks.saturating_mul(factor),
            Resolution::Fraction(divisor) => ticks / divisor,
            Resolution::Binary(exponent) => {
                let scaled = u128::from(ticks) * u128::from(Timestamp::SECOND);
                u64::try_from(scaled >> exponent).unwrap_or(u64::MAX)
            }
        };
        if self.offset_s == 0 {
            return Timestamp(since);
        }
        let offset = i128::from(self.offset_s) * i128::from(Timestamp::SECOND);
        let at = (i128::from(since) + offset).max(0);
        Timestamp(u64::try_from(at).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_to_time() {
        const MAX: u64 = u64::MAX;
        // (if_tsresol, if_tsoffset, ticks, nanoseconds)
        let rows = [
            (6, 0, 1_500_000, 1_500_000_000),
            (9, 0, 1_500_000_000, 1_500_000_000),
            (3, 0, 1_500, 1_500_000_000),
            (0, 0, 2, 2_000_000_000),
            (12, 0, 1_999, 1),
            (28, 0, MAX, 1),
            (29, 0, MAX, 0),
            (127, 0, MAX, 0),
            (0x80, 0, 3, 3_000_000_000),
            (0x80 | 10, 0, 1_536, 1_500_000_000),
            (0x80 | 20, 0, 1, 953),
            (0x80 | 64, 0, MAX, 999_999_999),
            (0x80 | 127, 0, MAX, 0),
            (0, 0, MAX, MAX),
            (0x80, 0, MAX, MAX),
            (6, 10, 1, 10_000_001_000),
            (6, -1, 1_500_000, 500_000_000),
            (6, -2, 1_500_000, 0),
            (6, i64::MIN, MAX, 0),
            (6, i64::MAX, 0, MAX),
            (6, i64::MAX, MAX, MAX),
        ];
        for (resolution, offset_s, ticks, expected) in rows {
            let clock = Clock { resolution: Resolution::new(resolution), offset_s };
            let at = clock.timestamp(ticks);
            assert_eq!(at, Timestamp(expected), "{resolution:#x} {offset_s} {ticks}");
        }
        assert_eq!(Clock::default().timestamp(7), Timestamp(7_000));
    }
}
