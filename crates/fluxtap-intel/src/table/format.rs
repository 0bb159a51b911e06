//! The packed file: header, source line, one zstd frame.
//!
//! ```text
//!  0  magic "FXTB"        4  version   5  kind 'A' or 'N'   6  zero, 2 bytes
//!  8  date, 10 ASCII bytes, YYYY-MM-DD                     18  zero, 2 bytes
//! 20  ranges_v4          24  ranges_v6                     28  owners
//! 32  asns               36  countries                     40  body_len, unpacked
//! 44  source_len         48  checksum, 8 bytes             56  source, then the zstd frame
//! ```
//!
//! Numbers are little-endian, four bytes unless said otherwise. The checksum is FNV-1a (64 bit)
//! over the whole file with its own eight bytes left out; it finds damage, not forgery.
//!
//! The body of an address table (`A`), planes one after the other:
//!
//! ```text
//! countries x 2 bytes
//! asns      x LEB128 difference to the one before   |  asns x class byte (bit 7: hyperscaler)
//! owners    x LEB128 difference of the ASN's place (0 = no ASN, else index + 1)
//! owners    x country byte (0 = none, else index + 1)
//! ranges_v4 x LEB128 difference of starts           |  3 planes of owner index, low byte first
//! ranges_v6 x the same over the upper 64 bits       |  3 planes of owner index
//! ```
//!
//! The body of a name table (`N`): asns x LEB128 difference, then asns x UTF-8 name and newline.

use std::fmt;

/// First bytes of every packed table.
pub const MAGIC: [u8; 4] = *b"FXTB";
/// Version of the layout this crate reads and writes.
pub const VERSION: u8 = 1;
/// Bytes before the source line.
pub const HEADER_LEN: usize = 56;
/// Largest unpacked body; the present one is 5 MB.
pub const BODY_LEN_MAX: u32 = 32 << 20;
/// Longest source line, in bytes.
pub const SOURCE_LEN_MAX: u32 = 256;
/// Bit of a class byte that marks a hyperscaler.
pub const HYPERSCALER_BIT: u8 = 0x80;

const CHECKSUM_AT: usize = 48;

/// What a packed file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Address ranges to owners.
    Addresses = b'A',
    /// Autonomous system numbers to names.
    Names = b'N',
}

/// The counts and origin of a packed table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the file holds.
    pub kind: Kind,
    /// Day of the data, `YYYY-MM-DD`.
    pub date: Box<str>,
    /// Where the data comes from, at most [`SOURCE_LEN_MAX`] bytes.
    pub source: Box<str>,
    /// IPv4 ranges, gaps included.
    pub ranges_v4: u32,
    /// IPv6 ranges, gaps included.
    pub ranges_v6: u32,
    /// Different pairs of ASN and country.
    pub owners: u32,
    /// Autonomous systems.
    pub asns: u32,
    /// Countries.
    pub countries: u32,
    /// Bytes of the body before compression.
    pub body_len: u32,
}

/// Why a packed table was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// Shorter than its header says, with the bytes got and expected.
    Short {
        /// Bytes there are.
        got: usize,
        /// Bytes there must be at least.
        expected: usize,
    },
    /// The first bytes are not [`MAGIC`].
    NotATable,
    /// A layout this crate does not know.
    Version {
        /// Version found.
        got: u8,
    },
    /// A table of names where one of addresses was expected, or the other way round.
    Kind {
        /// Kind byte found.
        got: u8,
    },
    /// The bytes are not those that were written.
    Checksum,
    /// A header field outside its limits.
    Header {
        /// Name of the field.
        field: &'static str,
    },
    /// The compressed body does not unpack to the promised length.
    Body,
    /// A part of the body breaks a rule of the layout.
    Part {
        /// Name of the part.
        part: &'static str,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Short { got, expected } => {
                write!(f, "packed table: got {got} bytes, expected at least {expected}")?;
            }
            Self::NotATable => f.write_str("packed table: expected it to begin with 'FXTB'")?,
            Self::Version { got } => {
                write!(f, "packed table: got version {got}, expected {VERSION}")?
            }
            Self::Kind { got } => {
                write!(f, "packed table: got kind {got:#04x}, expected the other one")?
            }
            Self::Checksum => f.write_str("packed table: checksum differs, the file is damaged")?,
            Self::Header { field } => {
                write!(f, "packed table: header field '{field}' is out of range")?
            }
            Self::Body => {
                f.write_str("packed table: body does not unpack to the promised length")?
            }
            Self::Part { part } => write!(f, "packed table: part '{part}' breaks the layout")?,
        }
        f.write_str("; regenerate it with `make intel-table`")
    }
}

impl std::error::Error for TableError {}

impl Header {
    /// Reads and checks the header; returns it with the compressed body.
    ///
    /// # Errors
    /// Every reason of [`TableError`] but `Body` and `Part`.
    pub fn parse(bytes: &[u8], kind: Kind) -> Result<(Self, &[u8]), TableError> {
        let Some(fixed) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(TableError::Short { got: bytes.len(), expected: HEADER_LEN });
        };
        if fixed[..4] != MAGIC {
            return Err(TableError::NotATable);
        }
        if fixed[4] != VERSION {
            return Err(TableError::Version { got: fixed[4] });
        }
        if fixed[5] != kind as u8 {
            return Err(TableError::Kind { got: fixed[5] });
        }
        let written = u64::from_le_bytes(array(fixed, CHECKSUM_AT));
        if checksum(bytes) != written {
            return Err(TableError::Checksum);
        }
        let number = |at| u32::from_le_bytes(array(fixed, at));
        let source_len = number(44);
        if source_len > SOURCE_LEN_MAX {
            return Err(TableError::Header { field: "source_len" });
        }
        let rest = &bytes[HEADER_LEN..];
        let Some((source, frame)) = rest.split_at_checked(source_len as usize) else {
            let expected = HEADER_LEN + source_len as usize;
            return Err(TableError::Short { got: bytes.len(), expected });
        };
        let header = Self {
            kind,
            date: text(&fixed[8..18], "date")?,
            source: text(source, "source")?,
            ranges_v4: number(20),
            ranges_v6: number(24),
            owners: number(28),
            asns: number(32),
            countries: number(36),
            body_len: number(40),
        };
        header.check()?;
        Ok((header, frame))
    }

    /// The whole file: header, source line, compressed body.
    ///
    /// # Errors
    /// [`TableError::Header`] when a field is outside its limits.
    pub fn write(&self, frame: &[u8]) -> Result<Vec<u8>, TableError> {
        self.check()?;
        let source_len = u32::try_from(self.source.len())
            .map_err(|_| TableError::Header { field: "source_len" })?;
        let mut out = Vec::with_capacity(HEADER_LEN + self.source.len() + frame.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, self.kind as u8, 0, 0]);
        out.extend_from_slice(self.date.as_bytes());
        out.extend_from_slice(&[0, 0]);
        for number in [
            self.ranges_v4,
            self.ranges_v6,
            self.owners,
            self.asns,
            self.countries,
            self.body_len,
            source_len,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(self.source.as_bytes());
        out.extend_from_slice(frame);
        let sum = checksum(&out);
        out[CHECKSUM_AT..HEADER_LEN].copy_from_slice(&sum.to_le_bytes());
        Ok(out)
    }

    /// Counts against the length of the body, so that they bound what is allocated.
    fn check(&self) -> Result<(), TableError> {
        let wrong = |field| Err(TableError::Header { field });
        if self.body_len > BODY_LEN_MAX {
            return wrong("body_len");
        }
        for (count, field) in [
            (self.ranges_v4, "ranges_v4"),
            (self.ranges_v6, "ranges_v6"),
            (self.owners, "owners"),
            (self.asns, "asns"),
        ] {
            if count > self.body_len {
                return wrong(field);
            }
        }
        // One byte holds a country, three an owner.
        if self.countries > 255 {
            return wrong("countries");
        }
        if self.owners > 1 << 24 {
            return wrong("owners");
        }
        if self.source.len() > SOURCE_LEN_MAX as usize {
            return wrong("source_len");
        }
        let date = self.date.as_bytes();
        let is_date = date.len() == 10
            && date.iter().enumerate().all(|(place, byte)| match place {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if is_date { Ok(()) } else { wrong("date") }
    }
}

/// FNV-1a, 64 bit, over a file with the bytes of its checksum left out.
///
/// Each step is a bijection of the state, so any change of a single byte is found.
fn checksum(file: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for part in [&file[..CHECKSUM_AT], &file[HEADER_LEN..]] {
        for &byte in part {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    sum
}

fn array<const N: usize>(fixed: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&fixed[at..at + N]);
    out
}

fn text(bytes: &[u8], field: &'static str) -> Result<Box<str>, TableError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => Ok(text.into()),
        _ => Err(TableError::Header { field }),
    }
}
