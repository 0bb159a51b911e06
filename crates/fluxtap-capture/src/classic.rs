//! Classic pcap files (draft-ietf-opsawg-pcap): a header of 24 bytes, then records.

use fluxtap_wire::{LinkType, Timestamp};

use crate::parser::{Head, Parsed, u32_at};
use crate::status::Damage;

/// Most bytes captured of one packet; a record that states more is taken for damage. It is the
/// largest snapshot length that libpcap allows for network interfaces.
pub const CAPLEN_MAX: u32 = 262_144;

/// Bytes of the file header.
pub(crate) const HEADER_BYTES: usize = 24;
/// Bytes of a record header.
const RECORD_BYTES: usize = 16;

/// What the file header says about the records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classic {
    big_endian: bool,
    nanoseconds_per_tick: u64,
    link: LinkType,
    lengths: Lengths,
}

/// Order of the two lengths in a record. Files of version 2.3 and before may have them the other
/// way round, depending on the program that wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    OriginalFirst,
    SmallerIsCaptured,
}

impl Classic {
    /// Reads the file header. The snapshot length is not used: many writers leave 0 or nonsense
    /// there, and each record states its own length.
    ///
    /// # Errors
    ///
    /// [`Damage::Version`] for versions other than 2, whose records are not known.
    pub(crate) fn new(
        header: &[u8; HEADER_BYTES],
        big_endian: bool,
        nanoseconds: bool,
    ) -> Result<Self, Damage> {
        let version = u32_at(header, 4, big_endian);
        let (first, second) = ((version >> 16) as u16, (version & 0xffff) as u16);
        let (major, minor) = if big_endian { (first, second) } else { (second, first) };
        let lengths = match (major, minor) {
            // 543.0 is what DG/UX wrote.
            (2, 0..=2) | (543, 0) => Lengths::OriginalFirst,
            (2, 3) => Lengths::SmallerIsCaptured,
            (2, _) => Lengths::CapturedFirst,
            _ => return Err(Damage::Version { major, minor }),
        };
        // The upper bits hold the length of the frame check sequence and reserved flags.
        let link = (u32_at(header, 20, big_endian) & 0xffff) as u16;
        Ok(Self {
            big_endian,
            nanoseconds_per_tick: if nanoseconds { 1 } else { 1_000 },
            link: LinkType(link),
            lengths,
        })
    }

    /// Reads the record at the start of `data`.
    ///
    /// # Errors
    ///
    /// [`Damage::RecordTooLong`] when it states more captured bytes than [`CAPLEN_MAX`].
    #[inline]
    pub(crate) fn parse(&self, data: &[u8]) -> Result<Parsed, Damage> {
        let Some(header) = data.first_chunk::<RECORD_BYTES>() else {
            return Ok(Parsed::Need(RECORD_BYTES));
        };
        let field = |at| u32_at(header, at, self.big_endian);
        let (mut caplen, mut wire_len) = (field(8), field(12));
        let swap = match self.lengths {
            Lengths::CapturedFirst => false,
            Lengths::OriginalFirst => true,
            Lengths::SmallerIsCaptured => caplen > wire_len,
        };
        if swap {
            (caplen, wire_len) = (wire_len, caplen);
        }
        if caplen > CAPLEN_MAX {
            return Err(Damage::RecordTooLong { caplen });
        }
        let record_bytes = RECORD_BYTES + caplen as usize;
        if data.len() < record_bytes {
            return Ok(Parsed::Need(record_bytes));
        }
        // Seconds are unsigned: until 2106. A fraction of more than a second is nonsense and must
        // not move the clock by minutes; it saturates. Neither can overflow.
        let fraction_ns = u64::from(field(4)) * self.nanoseconds_per_tick;
        let at = u64::from(field(0)) * Timestamp::SECOND
            + fraction_ns.min(Timestamp::SECOND - self.nanoseconds_per_tick);
        Ok(Parsed::Head(Head {
            at: Timestamp(at),
            timed: true,
            link: self.link,
            wire_len,
            data_start: RECORD_BYTES as u32,
            caplen,
            record_bytes: record_bytes as u32,
        }))
    }
}
