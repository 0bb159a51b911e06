//! Lists of what is bad, as those who make them publish them: what a file says of domains, addresses,
//! networks and autonomous systems, into the look-ups of `fluxtap-intel`.
//!
//! [`read`] tells the formats apart by content: one indicator a line, CSV, hosts files, RPZ zones,
//! MISP events and STIX 2.1 bundles. [`Spec`] is how an operator names a list and says what he
//! knows of it.
//!
//! The key decision: lists are made by others and are never all clean, so a line of no use is
//! counted and the list is taken. But a list of which more is useless than useful is not the list
//! that was meant, and one without any entry is most often a download that failed: both are refused.
//!
//! What it does not do: open files, unpack them, or know what time it is.
//!
//! Limits: [`FILE_OCTETS_MAX`], [`ENTRIES_MAX`] a list; JSON is read as it comes, and nested as deep
//! as `serde_json` allows, 128 levels.
#![forbid(unsafe_code)]

mod csv;
mod json;
mod lines;
mod pattern;
mod sink;
mod spec;
mod time;
mod zone;

use fluxtap_intel::ThreatDraft;
use std::fmt;
use std::io::{self, Read as _};

use sink::Sink;
pub use sink::{Skipped, Why};
pub use spec::Spec;

/// Most bytes a file may have.
pub const FILE_OCTETS_MAX: u64 = 128 << 20;

/// Most entries that are taken from one list; more is refused, not cut off.
pub const ENTRIES_MAX: usize = 2_000_000;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One indicator a line.
    Plain,
    /// Fields with separators, most often with a line that names them.
    Csv,
    /// A hosts file: an address, and names that it is to answer for.
    Hosts,
    /// A response policy zone: what resolvers take to block names.
    Rpz,
    /// One or more events of MISP.
    Misp,
    /// A bundle of STIX 2.1, or what a TAXII server sends.
    Stix,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Plain, Self::Csv, Self::Hosts, Self::Rpz, Self::Misp, Self::Stix];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Csv => "csv",
            Self::Hosts => "hosts",
            Self::Rpz => "rpz",
            Self::Misp => "misp",
            Self::Stix => "stix",
        }
    }
}

/// What came of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What it is.
    pub format: Format,
    /// When its data was made, in seconds since the epoch, where it says so.
    pub made_s: Option<u64>,
    /// Entries that were taken.
    pub entries: usize,
    /// What was of no use.
    pub skipped: Skipped,
}

/// Why a list is refused.
#[derive(Debug)]
pub enum ListError {
    /// The file cannot be read.
    Io(io::Error),
    /// It is longer than [`FILE_OCTETS_MAX`].
    TooLong,
    /// It is packed: what as, and what unpacks it.
    Packed(&'static str, &'static str),
    /// It is of a format, and broken.
    Broken {
        /// Which.
        format: &'static str,
        /// How, and where.
        text: String,
    },
    /// It has no entry.
    Empty(Format),
    /// There is no room for all of it.
    TooMany,
    /// More of it is useless than useful.
    Useless {
        /// What it was read as.
        format: Format,
        /// Entries that could be taken.
        entries: usize,
        /// What could not.
        skipped: Skipped,
    },
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot read it: {error}; check name and permissions"),
            Self::TooLong => write!(
                f,
                "got more than {FILE_OCTETS_MAX} bytes, expected a list; name another file or \
                 split it"
            ),
            Self::Packed(kind, tool) => {
                write!(f, "got {kind}, expected it unpacked; run `{tool}` on it first")
            }
            Self::Broken { format, text } => {
                write!(f, "got broken {format}: {text}; fetch it anew")
            }
            Self::Empty(format) => write!(
                f,
                "got no entry, read as {}, expected one at least; a download that failed leaves \
                 such a file",
                format.as_str()
            ),
            Self::TooMany => write!(
                f,
                "got more than {ENTRIES_MAX} entries, or more than {} with the lists before it; \
                 name a shorter list",
                fluxtap_intel::THREAT_ENTRIES_MAX
            ),
            Self::Useless { format, entries, skipped } => write!(
                f,
                "got {entries} entries and {} lines or objects of no use, read as {}, expected a \
                 list; {skipped}; say what it is with format=, or fetch it anew",
                skipped.total(),
                format.as_str()
            ),
        }
    }
}

/// Reads a list into a draft, which has its entries then; the caller ends the list with what it
/// knows of it ([`ThreatDraft::add`]). `column` names the column of CSV that has the indicators.
///
/// # Errors
/// The reasons of [`ListError`], without the file's name. The draft is of no use then.
pub fn read(
    from: impl io::Read,
    format: Option<Format>,
    column: Option<&str>,
    draft: &mut ThreatDraft,
) -> Result<Content, ListError> {
    let mut bytes = Vec::new();
    from.take(FILE_OCTETS_MAX + 1).read_to_end(&mut bytes).map_err(ListError::Io)?;
    if bytes.len() as u64 > FILE_OCTETS_MAX {
        return Err(ListError::TooLong);
    }
    if let Some((kind, tool)) = fluxtap_tables::packed(&bytes) {
        return Err(ListError::Packed(kind, tool));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut sink = Sink::new(draft);
    let format = match format.unwrap_or_else(|| lines::format_of(bytes, column)) {
        Format::Plain => lines::plain(bytes, &mut sink).map(|()| Format::Plain),
        Format::Hosts => lines::hosts(bytes, &mut sink).map(|()| Format::Hosts),
        Format::Csv => csv::read(bytes, column, &mut sink).map(|()| Format::Csv),
        Format::Rpz => zone::read(bytes, &mut sink).map(|()| Format::Rpz),
        Format::Misp | Format::Stix => json::read(bytes, &mut sink),
    }?;
    sink.finish(format)
}

#[cfg(test)]
mod tests;
