//! snoop files (RFC 1761): a header of 16 bytes, then records, all big-endian.
//!
//! ```text
//!  0          4          8          12        16        20             24     record length
//!  | original | included | record   | drops   | seconds | microseconds | data and padding |
//! ```

use fluxtap_wire::{LinkType, Timestamp};

use crate::classic::CAPLEN_MAX;
use crate::parser::{Head, Parsed, u32_at};
use crate::resync::{self, Look};
use crate::status::Damage;

/// Bytes of the file header.
pub(crate) const HEADER_BYTES: usize = 16;
/// Bytes of a record header.
const RECORD_BYTES: usize = 24;
/// Most bytes of padding after a packet that are believed; writers pad to multiples of 4 or 8.
const PADDING_BYTES_MAX: u32 = 64;
const MICROSECONDS: u32 = 1_000_000;

/// What the file header says about the records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snoop {
    link: LinkType,
}

impl Snoop {
    /// Reads the file header.
    ///
    /// # Errors
    ///
    /// [`Damage::SnoopVersion`] for another version than 2, [`Damage::SnoopLink`] for a datalink
    /// that has no link type.
    pub(crate) fn new(header: &[u8; HEADER_BYTES]) -> Result<Self, Damage> {
        let version = u32_at(header, 8, true);
        if version != 2 {
            return Err(Damage::SnoopVersion { version });
        }
        let datalink = u32_at(header, 12, true);
        let link = match datalink {
            // IEEE 802.3 and Ethernet: snoop means the type field by both.
            0 | 4 => LinkType::ETHERNET,
            2 => LinkType(6),
            8 => LinkType(10),
            // Solaris: classical IP over ATM and ipnet.
            18 => LinkType(123),
            31 => LinkType(226),
            _ => return Err(Damage::SnoopLink { datalink }),
        };
        Ok(Self { link })
    }

    /// Reads the record at the start of `data`.
    ///
    /// # Errors
    ///
    /// [`Damage::RecordTooLong`] and [`Damage::SnoopRecord`] when its lengths cannot be true.
    pub(crate) fn parse(&self, data: &[u8]) -> Result<Parsed, Damage> {
        let Some(header) = data.first_chunk::<RECORD_BYTES>() else {
            return Ok(Parsed::Need(RECORD_BYTES));
        };
        let field = |at| u32_at(header, at, true);
        let (wire_len, caplen, record_bytes) = (field(0), field(4), field(8));
        if caplen > CAPLEN_MAX {
            return Err(Damage::RecordTooLong { caplen });
        }
        if !is_record_length(caplen, record_bytes) {
            return Err(Damage::SnoopRecord { caplen, record_bytes });
        }
        if data.len() < record_bytes as usize {
            return Ok(Parsed::Need(record_bytes as usize));
        }
        let at = u64::from(field(16)) * Timestamp::SECOND
            + u64::from(field(20).min(MICROSECONDS - 1)) * 1_000;
        Ok(Parsed::Head(Head {
            at: Timestamp(at),
            timed: true,
            link: self.link,
            wire_len,
            data_start: RECORD_BYTES as u32,
            caplen,
            record_bytes,
        }))
    }

    /// Whether records begin at the start of `data`, after damage.
    pub(crate) fn look(data: &[u8], last_at: Timestamp, is_all: bool) -> Look {
        resync::chain(data, last_at, is_all, record)
    }
}

/// Time and length of the record with this header, if all of it can be meant.
fn record(header: &[u8; RECORD_BYTES], near: Timestamp) -> Option<(Timestamp, usize)> {
    let field = |at| u32_at(header, at, true);
    let (wire_len, caplen, record_bytes) = (field(0), field(4), field(8));
    let at = Timestamp::from_secs(u64::from(field(16)));
    let is_sound = (1..=CAPLEN_MAX).contains(&caplen)
        && (caplen..=CAPLEN_MAX).contains(&wire_len)
        && is_record_length(caplen, record_bytes)
        && field(20) < MICROSECONDS
        && resync::is_near(at, near);
    is_sound.then_some((at, record_bytes as usize))
}

/// Whether a record of this length holds so many bytes and little more.
fn is_record_length(caplen: u32, record_bytes: u32) -> bool {
    let least = RECORD_BYTES as u32 + caplen;
    (least..=least + PADDING_BYTES_MAX).contains(&record_bytes)
}
