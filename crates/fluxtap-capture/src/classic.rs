//! Classic pcap files (draft-ietf-opsawg-pcap): a header of 24 bytes, then records.
//!
//! The variants and how to tell them apart are those that Wireshark knows (`wiretap/libpcap.c`):
//! nanoseconds, the longer record headers of Kuznetsov's patches and of Nokia, the captures of
//! IXIA testers and of AIX.

use fluxtap_wire::{LinkType, Timestamp};

use crate::magic::Variant;
use crate::parser::{Head, Parsed, u32_at};
use crate::resync::{self, CHAIN_RECORDS, Look};
use crate::status::Damage;

/// Most bytes captured of one packet; a record that states more is taken for damage. It is the
/// largest snapshot length that libpcap allows for network interfaces.
pub const CAPLEN_MAX: u32 = 262_144;

/// Bytes of the file header.
pub(crate) const HEADER_BYTES: usize = 24;
/// Bytes of IXIA's file header, which ends with the length of all records.
const IXIA_HEADER_BYTES: usize = 28;
/// Bytes of a record header.
pub(crate) const RECORD_BYTES: usize = 16;
/// Bytes of a record header with Kuznetsov's interface, protocol and packet type.
const MODIFIED_RECORD_BYTES: usize = 24;
/// The same of his patch of 15 September 1999, with two processors besides.
const SS990915_RECORD_BYTES: usize = 28;
/// Bytes of a record header of Nokia's systems.
const NOKIA_RECORD_BYTES: usize = 20;

/// What the file header says about the records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classic {
    big_endian: bool,
    ticks_per_second: u32,
    nanoseconds_per_tick: u32,
    link: LinkType,
    lengths: Lengths,
    /// Snapshot length. Many writers leave 0 or nonsense there, so it is only looked at where it
    /// takes more to believe a record.
    snaplen: u32,
    /// Bytes of a record's header.
    record_bytes: usize,
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
    /// Bytes of the file header of a variant.
    pub(crate) const fn header_bytes(variant: Variant) -> usize {
        match variant {
            Variant::IxiaHardware | Variant::IxiaSoftware => IXIA_HEADER_BYTES,
            Variant::Micro | Variant::Nano | Variant::Modified => HEADER_BYTES,
        }
    }

    /// Reads the file header at the start of `data`, which has at least as many bytes as the
    /// variant's. What else is there serves to tell apart the lengths of record headers that go by
    /// one magic.
    ///
    /// # Errors
    ///
    /// [`Damage::Version`] for versions other than 2, whose records are not known.
    pub(crate) fn new(data: &[u8], big_endian: bool, variant: Variant) -> Result<Self, Damage> {
        let version = u32_at(data, 4, big_endian);
        let (first, second) = ((version >> 16) as u16, (version & 0xffff) as u16);
        let (major, minor) = if big_endian { (first, second) } else { (second, first) };
        let lengths = match (major, minor) {
            // 543.0 is what DG/UX wrote.
            (2, 0..=2) | (543, 0) => Lengths::OriginalFirst,
            (2, 3) => Lengths::SmallerIsCaptured,
            (2, _) => Lengths::CapturedFirst,
            _ => return Err(Damage::Version { major, minor }),
        };
        let network = u32_at(data, 20, big_endian);
        let aix = aix_link(network).filter(|_| (major, minor) == (2, 2));
        let is_nano = matches!(variant, Variant::Nano | Variant::IxiaHardware) || aix.is_some();
        let (ticks_per_second, nanoseconds_per_tick) =
            if is_nano { (1_000_000_000, 1) } else { (1_000_000, 1_000) };
        let plain = Self {
            big_endian,
            ticks_per_second,
            nanoseconds_per_tick,
            // The upper bits hold the length of the frame check sequence and reserved flags.
            link: aix.unwrap_or(LinkType((network & 0xffff) as u16)),
            lengths,
            snaplen: u32_at(data, 16, big_endian),
            record_bytes: RECORD_BYTES,
        };
        let (usual_bytes, others): (usize, &[usize]) = match variant {
            Variant::Micro if aix.is_none() => {
                (RECORD_BYTES, &[MODIFIED_RECORD_BYTES, NOKIA_RECORD_BYTES])
            }
            Variant::Modified => (MODIFIED_RECORD_BYTES, &[SS990915_RECORD_BYTES]),
            _ => return Ok(plain),
        };
        let usual = Self { record_bytes: usual_bytes, ..plain };
        let records = data.get(Self::header_bytes(variant)..).unwrap_or_default();
        if usual.fits(records) {
            return Ok(usual);
        }
        let mut others =
            others.iter().map(|record_bytes| Self { record_bytes: *record_bytes, ..plain });
        let other = others.find(|other| other.look(records, Timestamp(0), false) == Look::Found);
        Ok(other.unwrap_or(usual))
    }

    /// What the packets' first bytes belong to.
    pub(crate) const fn link(&self) -> LinkType {
        self.link
    }

    /// Whether the records are the usual ones, that [`parse_plain`](Self::parse_plain) reads.
    pub(crate) fn is_plain(&self) -> bool {
        self.record_bytes == RECORD_BYTES
    }

    /// Whether the first records make sense with these headers, as far as they are there.
    fn fits(&self, records: &[u8]) -> bool {
        let mut rest = records;
        for _ in 0..CHAIN_RECORDS {
            let Some(header) = rest.first_chunk::<RECORD_BYTES>() else { break };
            let (caplen, wire_len) = self.lengths(header);
            let fraction = u32_at(header, 4, self.big_endian);
            if fraction >= self.ticks_per_second || caplen > CAPLEN_MAX || caplen > wire_len {
                return false;
            }
            rest = rest.get(self.record_bytes + caplen as usize..).unwrap_or_default();
        }
        true
    }

    /// Captured and original length.
    #[inline]
    fn lengths(&self, header: &[u8; RECORD_BYTES]) -> (u32, u32) {
        let [_, _, first, second] = self.words(header);
        self.in_order(first, second)
    }

    /// The four numbers of a record header as they follow each other.
    #[inline(always)]
    fn words(&self, header: &[u8; RECORD_BYTES]) -> [u32; 4] {
        let words = u128::from_le_bytes(*header);
        let words =
            [words as u32, (words >> 32) as u32, (words >> 64) as u32, (words >> 96) as u32];
        if self.big_endian { words.map(u32::swap_bytes) } else { words }
    }

    #[inline(always)]
    fn in_order(&self, first: u32, second: u32) -> (u32, u32) {
        let swap = match self.lengths {
            Lengths::CapturedFirst => false,
            Lengths::OriginalFirst => true,
            Lengths::SmallerIsCaptured => first > second,
        };
        if swap { (second, first) } else { (first, second) }
    }

    /// Reads the record at the start of `data`, with a header of the usual length. `last_at` is
    /// the time of the record before, if there was one.
    ///
    /// # Errors
    ///
    /// [`Damage::RecordTooLong`] when it states more captured bytes than [`CAPLEN_MAX`];
    /// [`Damage::Zeros`] and [`Damage::Record`] for what only a damaged file holds.
    #[inline]
    pub(crate) fn parse_plain(&self, data: &[u8], last_at: Timestamp) -> Result<Parsed, Damage> {
        self.parse_with(data, last_at, RECORD_BYTES)
    }

    /// The same for headers of any length.
    ///
    /// # Errors
    ///
    /// Those of [`parse_plain`](Self::parse_plain).
    pub(crate) fn parse(&self, data: &[u8], last_at: Timestamp) -> Result<Parsed, Damage> {
        self.parse_with(data, last_at, self.record_bytes)
    }

    #[inline(always)]
    fn parse_with(
        &self,
        data: &[u8],
        last_at: Timestamp,
        header_bytes: usize,
    ) -> Result<Parsed, Damage> {
        let Some(header) = data.first_chunk::<RECORD_BYTES>() else {
            return Ok(Parsed::Need(header_bytes));
        };
        let [seconds, mut fraction, first, second] = self.words(header);
        let (caplen, wire_len) = self.in_order(first, second);
        // One comparison for both ends: 0 is as rare as too many.
        if caplen.wrapping_sub(1) >= CAPLEN_MAX {
            if caplen != 0 {
                return Err(Damage::RecordTooLong { caplen });
            }
            if header == &[0; RECORD_BYTES] {
                return Err(Damage::Zeros);
            }
        }
        // A fraction of more than a second is nonsense and must not move the clock by minutes; it
        // saturates, unless more is wrong with the record.
        if fraction >= self.ticks_per_second {
            self.suspect(seconds, caplen, wire_len, last_at)?;
            fraction = self.ticks_per_second - 1;
        }
        let record_bytes = header_bytes + caplen as usize;
        if data.len() < record_bytes {
            return Ok(Parsed::Need(record_bytes));
        }
        // Seconds are unsigned: until 2106.
        let at = u64::from(seconds) * Timestamp::SECOND
            + u64::from(fraction) * u64::from(self.nanoseconds_per_tick);
        Ok(Parsed::Head(Head {
            at: Timestamp(at),
            timed: true,
            link: self.link,
            wire_len,
            data_start: header_bytes as u32,
            caplen,
            record_bytes: record_bytes as u32,
        }))
    }

    /// A record whose fraction is nonsense: damage, if its time and lengths are nonsense too.
    #[cold]
    fn suspect(
        &self,
        seconds: u32,
        caplen: u32,
        wire_len: u32,
        last_at: Timestamp,
    ) -> Result<(), Damage> {
        let at = Timestamp::from_secs(u64::from(seconds));
        if !resync::is_near(at, last_at) && (caplen > wire_len || self.is_beyond_snaplen(caplen)) {
            return Err(Damage::Record);
        }
        Ok(())
    }

    /// Whether more was captured than the file header allows, if what it says can be meant.
    fn is_beyond_snaplen(&self, caplen: u32) -> bool {
        const SNAPLEN_MIN: u32 = 64;
        self.snaplen >= SNAPLEN_MIN && caplen > self.snaplen
    }

    /// Whether the record at the start of `data`, whose header is whole, may be read although the
    /// input ends inside it.
    pub(crate) fn is_likely(&self, data: &[u8], last_at: Timestamp) -> bool {
        data.first_chunk::<RECORD_BYTES>().is_none_or(|h| self.record(h, last_at).is_some())
    }

    /// Whether records begin at the start of `data`, after damage.
    pub(crate) fn look(&self, data: &[u8], last_at: Timestamp, is_all: bool) -> Look {
        resync::chain(data, last_at, is_all, |header, near| self.record(header, near))
    }

    /// Time and length of the record with this header, if all of it can be meant. `near` is a time
    /// it must not be far from, 0 for none.
    fn record(&self, header: &[u8; RECORD_BYTES], near: Timestamp) -> Option<(Timestamp, usize)> {
        let (caplen, wire_len) = self.lengths(header);
        let (seconds, fraction) =
            (u32_at(header, 0, self.big_endian), u32_at(header, 4, self.big_endian));
        let at = Timestamp::from_secs(u64::from(seconds));
        let is_sound = (1..=CAPLEN_MAX).contains(&caplen)
            && (caplen..=CAPLEN_MAX).contains(&wire_len)
            && !self.is_beyond_snaplen(caplen)
            && fraction < self.ticks_per_second
            && resync::is_near(at, near);
        is_sound.then_some((at, self.record_bytes + caplen as usize))
    }
}

/// AIX writes interface types (RFC 1573) in place of link types, and nanoseconds, under version
/// 2.2. As link types the four are rings, PPP and SLIP, which that version hardly ever held.
fn aix_link(network: u32) -> Option<LinkType> {
    match network {
        6 => Some(LinkType::ETHERNET),
        9 => Some(LinkType(6)),
        15 => Some(LinkType(10)),
        24 => Some(LinkType(0)),
        _ => None,
    }
}
