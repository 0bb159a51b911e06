//! The bytes of an address table, made to be used where they lie.
//!
//! ```text
//!  0  magic "FXTB"        4  version   5  zero, 3 bytes
//!  8  date, 10 ASCII bytes, YYYY-MM-DD, or zeros           18  zero, 2 bytes
//! 20  ranges_v4          24  ranges_v6                     28  owners
//! 32  asns               36  text_len                      40  source_len
//! 44  zero, 4 bytes      48  checksum, 8 bytes             56  source
//! then, without gaps:
//! v4_index   65,537 x u32       ranges that start below each /16, and all of them
//! v4_starts  ranges_v4 x u16    lower half of the first address
//! v4_owners  ranges_v4 x u24    place in the owners
//! v6_starts  ranges_v6 x u64    upper 64 bits of the first address
//! v6_owners  ranges_v6 x u24
//! owners     owners x 8 bytes   ASN u32, country 2 letters or zeros, class (bit 7: hyperscaler), zero
//! name_asns  asns x u32
//! name_ends  asns x u32         where each name ends in the text
//! text       text_len bytes     names of autonomous systems, UTF-8
//! ```
//!
//! Numbers are little-endian and nothing is aligned. A range ends where the next begins, the first
//! begins at zero, and addresses nobody announces are ranges without ASN and country. The checksum
//! finds damage, not forgery: FNV-1a (64 bit) over words of eight bytes of the whole file, its own
//! word left out and the last word filled up with zeros.
//!
//! Nothing is compressed, so opening costs nothing and only the pages that are looked at are read.
//! It makes the file three to four times as large as a packed one.

use std::fmt;
use std::ops::Range;

use crate::day::Day;

/// First bytes of every table.
pub const MAGIC: [u8; 4] = *b"FXTB";
/// Version of the layout this crate reads and writes.
pub const VERSION: u8 = 2;
/// Bytes before the source line.
pub const HEADER_LEN: usize = 56;
/// Longest source line, in bytes.
pub const SOURCE_LEN_MAX: u32 = 512;
/// Most different owners: three bytes tell them apart.
pub const OWNERS_MAX: u32 = 1 << 24;
/// Bit of a class byte that marks a hyperscaler.
pub const HYPERSCALER_BIT: u8 = 0x80;
/// Entries of the IPv4 index: the upper halves of an address, and one for the end.
pub(crate) const INDEX_LEN: usize = (1 << 16) + 1;

const CHECKSUM_AT: usize = 48;

/// The counts and origin of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Day of the data, `YYYY-MM-DD`, where it is known.
    pub date: Option<Box<str>>,
    /// Where the data comes from, at most [`SOURCE_LEN_MAX`] bytes without control characters.
    pub source: Box<str>,
    /// IPv4 ranges, gaps included.
    pub ranges_v4: u32,
    /// IPv6 ranges, gaps included.
    pub ranges_v6: u32,
    /// Different owners.
    pub owners: u32,
    /// Autonomous systems with a name.
    pub asns: u32,
    /// Bytes of all names.
    pub text_len: u32,
}

/// Why a table was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// Shorter or longer than its header says.
    Length {
        /// Bytes there are.
        got: usize,
        /// Bytes there must be.
        expected: u64,
    },
    /// The first bytes are not [`MAGIC`].
    NotATable,
    /// A layout this crate does not know.
    Version {
        /// Version found.
        got: u8,
    },
    /// The bytes are not those that were written.
    Checksum,
    /// A header field outside its limits.
    Header {
        /// Name of the field.
        field: &'static str,
    },
    /// A part breaks a rule of the layout.
    Part {
        /// Name of the part.
        part: &'static str,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("address table: ")?;
        match *self {
            Self::Length { got, expected } => {
                write!(f, "got {got} bytes, expected {expected}: it is cut off or damaged")?;
            }
            Self::NotATable => f.write_str("expected it to begin with 'FXTB'")?,
            Self::Version { got } => write!(f, "got version {got}, expected {VERSION}")?,
            Self::Checksum => f.write_str("got another checksum than expected: it is damaged")?,
            Self::Header { field } => {
                write!(f, "got a header field '{field}' outside its limits")?;
            }
            Self::Part { part } => write!(f, "got a part '{part}' that breaks the layout")?,
        }
        f.write_str("; copy it again, or make it anew with `fluxtap intel build`")
    }
}

impl std::error::Error for TableError {}

impl Header {
    /// Reads and checks the header, and the length of the whole against it.
    ///
    /// # Errors
    /// Every reason of [`TableError`] but `Checksum` and `Part`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Self, Sections), TableError> {
        let Some(fixed) = bytes.first_chunk::<HEADER_LEN>() else {
            let is_start = bytes.starts_with(&MAGIC);
            let (got, expected) = (bytes.len(), HEADER_LEN as u64);
            return Err(match is_start {
                true => TableError::Length { got, expected },
                false => TableError::NotATable,
            });
        };
        if fixed[..4] != MAGIC {
            return Err(TableError::NotATable);
        }
        if fixed[4] != VERSION {
            return Err(TableError::Version { got: fixed[4] });
        }
        let number = |at: usize| {
            u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let source_len = number(40);
        if source_len > SOURCE_LEN_MAX {
            return Err(TableError::Header { field: "source_len" });
        }
        let source_end = HEADER_LEN + source_len as usize;
        let source = bytes
            .get(HEADER_LEN..source_end)
            .ok_or(TableError::Length { got: bytes.len(), expected: source_end as u64 })?;
        let header = Self {
            date: if fixed[8..18] == [0; 10] { None } else { Some(text(&fixed[8..18], "date")?) },
            source: text(source, "source")?,
            ranges_v4: number(20),
            ranges_v6: number(24),
            owners: number(28),
            asns: number(32),
            text_len: number(36),
        };
        header.check()?;
        let sections = header.sections(source_end);
        let expected = sections.text.end;
        let got = bytes.len();
        match usize::try_from(expected) {
            Ok(len) if len == got => Ok((header, sections.narrowed())),
            _ => Err(TableError::Length { got, expected }),
        }
    }

    /// The header's bytes with the source line, the checksum still zero.
    pub(crate) fn write(&self) -> Result<Vec<u8>, TableError> {
        self.check()?;
        let mut out = Vec::with_capacity(HEADER_LEN + self.source.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        out.extend_from_slice(self.date.as_deref().map_or(&[0; 10], str::as_bytes));
        out.extend_from_slice(&[0, 0]);
        let source_len = u32::try_from(self.source.len()).unwrap_or(u32::MAX);
        for number in
            [self.ranges_v4, self.ranges_v6, self.owners, self.asns, self.text_len, source_len, 0]
        {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(self.source.as_bytes());
        Ok(out)
    }

    fn check(&self) -> Result<(), TableError> {
        let wrong = |field| Err(TableError::Header { field });
        if self.ranges_v4 == 0 {
            return wrong("ranges_v4");
        }
        if self.ranges_v6 == 0 {
            return wrong("ranges_v6");
        }
        if self.owners > OWNERS_MAX {
            return wrong("owners");
        }
        if self.source.len() > SOURCE_LEN_MAX as usize || self.source.chars().any(char::is_control)
        {
            return wrong("source");
        }
        if self.date.as_deref().is_some_and(|date| Day::parse(date).is_none()) {
            return wrong("date");
        }
        Ok(())
    }

    /// Where the parts lie in a file whose source line ends at `at`.
    fn sections(&self, at: usize) -> Sections<u64> {
        let mut at = at as u64;
        let mut take = |count: u32, size: u64| {
            let from = at;
            // Far from overflow: counts have 32 bits and entries at most eight bytes.
            at += u64::from(count) * size;
            from..at
        };
        Sections {
            v4_index: take(INDEX_LEN as u32, 4),
            v4_starts: take(self.ranges_v4, 2),
            v4_owners: take(self.ranges_v4, 3),
            v6_starts: take(self.ranges_v6, 8),
            v6_owners: take(self.ranges_v6, 3),
            owners: take(self.owners, 8),
            name_asns: take(self.asns, 4),
            name_ends: take(self.asns, 4),
            text: take(self.text_len, 1),
        }
    }
}

/// Where each part lies in the file.
#[derive(Clone, Debug)]
pub(crate) struct Sections<T = usize> {
    pub(crate) v4_index: Range<T>,
    pub(crate) v4_starts: Range<T>,
    pub(crate) v4_owners: Range<T>,
    pub(crate) v6_starts: Range<T>,
    pub(crate) v6_owners: Range<T>,
    pub(crate) owners: Range<T>,
    pub(crate) name_asns: Range<T>,
    pub(crate) name_ends: Range<T>,
    pub(crate) text: Range<T>,
}

impl Sections<u64> {
    /// The same places as indices, once the whole is known to be in memory.
    fn narrowed(self) -> Sections {
        let narrow = |range: Range<u64>| range.start as usize..range.end as usize;
        Sections {
            v4_index: narrow(self.v4_index),
            v4_starts: narrow(self.v4_starts),
            v4_owners: narrow(self.v4_owners),
            v6_starts: narrow(self.v6_starts),
            v6_owners: narrow(self.v6_owners),
            owners: narrow(self.owners),
            name_asns: narrow(self.name_asns),
            name_ends: narrow(self.name_ends),
            text: narrow(self.text),
        }
    }
}

/// Writes the checksum into a file that is complete otherwise.
pub(crate) fn seal(file: &mut [u8]) {
    let sum = checksum(file);
    file[CHECKSUM_AT..HEADER_LEN].copy_from_slice(&sum.to_le_bytes());
}

/// Whether the bytes are those that were sealed.
pub(crate) fn is_sealed(file: &[u8]) -> bool {
    file.get(CHECKSUM_AT..HEADER_LEN) == Some(&checksum(file).to_le_bytes())
}

/// Each step is a bijection of the state, so any change within one word is found.
fn checksum(file: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    let (words, rest) = file.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for (place, word) in words.iter().chain([&last]).enumerate() {
        if place != CHECKSUM_AT / 8 {
            sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    sum
}

fn text(bytes: &[u8], field: &'static str) -> Result<Box<str>, TableError> {
    std::str::from_utf8(bytes).map(Into::into).map_err(|_| TableError::Header { field })
}
