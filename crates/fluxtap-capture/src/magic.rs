//! The first bytes of an input: captures we read, and formats we only know by name.

use std::fmt;

/// Bytes of the input that are enough to tell the formats apart.
pub(crate) const SNIFF_BYTES: usize = 12;

/// Classic pcap, microseconds, as a big-endian machine writes it.
const PCAP_MICRO: [u8; 4] = [0xa1, 0xb2, 0xc3, 0xd4];
/// Classic pcap, nanoseconds, as a big-endian machine writes it.
const PCAP_NANO: [u8; 4] = [0xa1, 0xb2, 0x3c, 0x4d];
/// "Modified" pcap with longer record headers (Linux kernels with Kuznetsov's patches).
const PCAP_MODIFIED: [u8; 4] = [0xa1, 0xb2, 0xcd, 0x34];
/// Type of a pcapng section header block: the same in both byte orders.
pub(crate) const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// What the first bytes of an input say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Classic pcap.
    Classic { big_endian: bool, nanoseconds: bool },
    /// pcapng.
    Pcapng,
    /// A prefix of one of the above, all that there is.
    Prefix,
    /// Something else.
    Other(Option<Foreign>),
}

/// Tells the format of an input from its first bytes; `start` holds [`SNIFF_BYTES`] of them or
/// all there are.
pub(crate) fn sniff(start: &[u8]) -> Kind {
    let Some(first) = start.first_chunk::<4>() else {
        let reversed = |magic: [u8; 4]| [magic[3], magic[2], magic[1], magic[0]];
        let known = [PCAP_MICRO, PCAP_NANO, reversed(PCAP_MICRO), reversed(PCAP_NANO), PCAPNG];
        let prefix = known.iter().any(|magic| magic.starts_with(start));
        return if prefix { Kind::Prefix } else { Kind::Other(Foreign::sniff(start)) };
    };
    let mut reversed = *first;
    reversed.reverse();
    for (magic, big_endian) in [(*first, true), (reversed, false)] {
        match magic {
            PCAP_MICRO => return Kind::Classic { big_endian, nanoseconds: false },
            PCAP_NANO => return Kind::Classic { big_endian, nanoseconds: true },
            PCAP_MODIFIED => return Kind::Other(Some(Foreign::ModifiedPcap)),
            PCAPNG => return Kind::Pcapng,
            _ => {}
        }
    }
    Kind::Other(Foreign::sniff(start))
}

/// A format that is recognised and not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
    /// xz.
    Xz,
    /// LZ4, framed or legacy.
    Lz4,
    /// bzip2.
    Bzip2,
    /// ZIP archive.
    Zip,
    /// snoop (RFC 1761).
    Snoop,
    /// Frame Streams, the container of dnstap.
    FrameStreams,
    /// NMSG.
    Nmsg,
    /// pcap with the longer record headers of some old Linux kernels.
    ModifiedPcap,
}

impl Foreign {
    fn sniff(start: &[u8]) -> Option<Self> {
        const TABLE: [(&[u8], Foreign); 9] = [
            (&[0x1f, 0x8b], Foreign::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Foreign::Zstd),
            (&[0xfd, b'7', b'z', b'X'], Foreign::Xz),
            (&[0x04, 0x22, 0x4d, 0x18], Foreign::Lz4),
            (&[0x02, 0x21, 0x4c, 0x18], Foreign::Lz4),
            (b"BZh", Foreign::Bzip2),
            (b"PK\x03\x04", Foreign::Zip),
            (b"snoop\0\0\0", Foreign::Snoop),
            (b"NMSG", Foreign::Nmsg),
        ];
        TABLE
            .iter()
            .find(|(magic, _)| start.starts_with(magic))
            .map(|(_, format)| *format)
            .or_else(|| is_frame_streams(start).then_some(Self::FrameStreams))
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip data",
            Self::Zstd => "zstd data",
            Self::Xz => "xz data",
            Self::Lz4 => "lz4 data",
            Self::Bzip2 => "bzip2 data",
            Self::Zip => "a zip archive",
            Self::Snoop => "a snoop capture",
            Self::FrameStreams => "frame streams (dnstap)",
            Self::Nmsg => "nmsg data",
            Self::ModifiedPcap => "a modified pcap with longer record headers",
        }
    }

    /// How to go on. `file` is the name of the input as a word of a shell command.
    #[must_use]
    pub fn advice(self, file: &str) -> String {
        let unpack = |tool| format!("decompress it first: {tool} {file} | fluxtap replay -");
        match self {
            Self::Gzip => unpack("gzip -dc"),
            Self::Zstd => unpack("zstd -dc"),
            Self::Xz => unpack("xz -dc"),
            Self::Lz4 => unpack("lz4 -dc"),
            Self::Bzip2 => unpack("bzip2 -dc"),
            Self::Zip => unpack("unzip -p"),
            Self::Snoop | Self::ModifiedPcap => {
                format!("convert it first: editcap -F pcap {file} - | fluxtap replay -")
            }
            Self::FrameStreams | Self::Nmsg => {
                String::from("replay the packet capture it was made from")
            }
        }
    }
}

/// Frame Streams begin with an escape (a zero length), the length of a control frame and its
/// type: START of a file, READY of a socket.
fn is_frame_streams(start: &[u8]) -> bool {
    const CONTROL_FRAME_BYTES_MAX: u32 = 512;
    let word = |at: usize| {
        start.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes)
    };
    let (Some(0), Some(length), Some(control)) = (word(0), word(4), word(8)) else {
        return false;
    };
    (4..=CONTROL_FRAME_BYTES_MAX).contains(&length) && (1..=5).contains(&control)
}

/// The first bytes of an input, at most four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Magic {
    bytes: [u8; 4],
    count: u8,
}

impl Magic {
    /// The first bytes of `input`, at most four.
    #[must_use]
    pub fn of(input: &[u8]) -> Self {
        let mut bytes = [0; 4];
        let mut count = 0;
        for (to, from) in bytes.iter_mut().zip(input) {
            *to = *from;
            count += 1;
        }
        Self { bytes, count }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.count)]
    }
}

impl fmt::Display for Magic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.bytes().iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_their_first_bytes() {
        let classic = |big_endian, nanoseconds| Kind::Classic { big_endian, nanoseconds };
        let other = |format| Kind::Other(Some(format));
        let rows: &[(&[u8], Kind)] = &[
            (b"\xa1\xb2\xc3\xd4", classic(true, false)),
            (b"\xd4\xc3\xb2\xa1", classic(false, false)),
            (b"\xa1\xb2\x3c\x4d", classic(true, true)),
            (b"\x4d\x3c\xb2\xa1", classic(false, true)),
            (b"\x0a\x0d\x0d\x0a", Kind::Pcapng),
            (b"\xa1\xb2\xcd\x34", other(Foreign::ModifiedPcap)),
            (b"\x34\xcd\xb2\xa1", other(Foreign::ModifiedPcap)),
            (b"\x1f\x8b\x08\x00", other(Foreign::Gzip)),
            (b"\x28\xb5\x2f\xfd", other(Foreign::Zstd)),
            (b"\xfd7zXZ\0", other(Foreign::Xz)),
            (b"\x04\x22\x4d\x18", other(Foreign::Lz4)),
            (b"\x02\x21\x4c\x18", other(Foreign::Lz4)),
            (b"BZh9", other(Foreign::Bzip2)),
            (b"PK\x03\x04", other(Foreign::Zip)),
            (b"snoop\0\0\0\0\0\0\x02", other(Foreign::Snoop)),
            (b"NMSG\0\0\0\x02", other(Foreign::Nmsg)),
            (b"\0\0\0\0\0\0\0\x22\0\0\0\x02", other(Foreign::FrameStreams)),
            (b"\0\0\0\0\0\0\0\x22\0\0\0\x09", Kind::Other(None)),
            (b"\0\0\0\0\0\0\x22\0\0\0\0\x02", Kind::Other(None)),
            (b"\0\0\0\0\0\0\0\x22", Kind::Other(None)),
            (b"snoop", Kind::Other(None)),
            (b"GET / HTTP/1", Kind::Other(None)),
            (b"\xd4", Kind::Prefix),
            (b"\x0a\x0d\x0d", Kind::Prefix),
            (b"\x1f\x8b", other(Foreign::Gzip)),
            (b"x", Kind::Other(None)),
        ];
        for (start, expected) in rows {
            assert_eq!(sniff(start), *expected, "{start:02x?}");
        }
    }

    #[test]
    fn magic_shows_what_is_there() {
        assert_eq!(Magic::of(b"\x1f\x8b\x08\x00\x99").to_string(), "1f 8b 08 00");
        assert_eq!(Magic::of(b"\x1f").to_string(), "1f");
    }
}
