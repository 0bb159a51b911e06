//! The first bytes of an input: captures and compressions we read, and formats we only know by
//! name.

use std::fmt;

/// Bytes of the input that are enough to tell the formats apart.
pub(crate) const SNIFF_BYTES: usize = 12;

/// Classic pcap, microseconds, as a big-endian machine writes it.
const PCAP_MICRO: [u8; 4] = [0xa1, 0xb2, 0xc3, 0xd4];
/// Classic pcap, nanoseconds, as a big-endian machine writes it.
const PCAP_NANO: [u8; 4] = [0xa1, 0xb2, 0x3c, 0x4d];
/// "Modified" pcap with longer record headers (Linux kernels with Kuznetsov's patches).
const PCAP_MODIFIED: [u8; 4] = [0xa1, 0xb2, 0xcd, 0x34];
/// The captures of IXIA testers ("lcap"), by the hardware: a longer file header, nanoseconds.
const PCAP_IXIA_HARDWARE: [u8; 4] = [0x1c, 0x00, 0x01, 0xac];
/// The same by IXIA's software: microseconds.
const PCAP_IXIA_SOFTWARE: [u8; 4] = [0x1c, 0x00, 0x01, 0xab];
/// Two magics that libpcap reserves for variants whose records it does not know either.
const PCAP_RESERVED: [[u8; 4]; 2] = [[0xa1, 0xb2, 0x34, 0xcd], [0xa1, 0x2b, 0x3c, 0x4d]];
/// Type of a pcapng section header block: the same in both byte orders.
pub(crate) const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// Identification pattern of snoop (RFC 1761).
const SNOOP: &[u8] = b"snoop\0\0\0";

/// What the first bytes of an input say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Classic pcap.
    Classic { big_endian: bool, variant: Variant },
    /// pcapng.
    Pcapng,
    /// snoop.
    Snoop,
    /// Compressed data that are unpacked on the way.
    Packed(Compression),
    /// A prefix of one of the above, all that there is.
    Prefix,
    /// Something else.
    Other(Option<Foreign>),
}

/// The kinds of classic pcap that have a magic of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Micro,
    Nano,
    Modified,
    IxiaHardware,
    IxiaSoftware,
}

/// Tells the format of an input from its first bytes; `start` holds [`SNIFF_BYTES`] of them or
/// all there are.
pub(crate) fn sniff(start: &[u8]) -> Kind {
    const VARIANTS: [([u8; 4], Variant); 5] = [
        (PCAP_MICRO, Variant::Micro),
        (PCAP_NANO, Variant::Nano),
        (PCAP_MODIFIED, Variant::Modified),
        (PCAP_IXIA_HARDWARE, Variant::IxiaHardware),
        (PCAP_IXIA_SOFTWARE, Variant::IxiaSoftware),
    ];
    let reversed = |[a, b, c, d]: [u8; 4]| [d, c, b, a];
    if let Some(compression) = Compression::sniff(start) {
        return Kind::Packed(compression);
    }
    let Some(first) = start.first_chunk::<4>() else {
        let known = VARIANTS.iter().flat_map(|(magic, _)| [*magic, reversed(*magic)]);
        let is_prefix = known.chain([PCAPNG]).any(|magic| magic.starts_with(start))
            || is_packed_prefix(start)
            || SNOOP.starts_with(start);
        return if is_prefix { Kind::Prefix } else { Kind::Other(Foreign::sniff(start)) };
    };
    for (magic, big_endian) in [(*first, true), (reversed(*first), false)] {
        if let Some((_, variant)) = VARIANTS.iter().find(|(known, _)| *known == magic) {
            return Kind::Classic { big_endian, variant: *variant };
        }
        if PCAP_RESERVED.contains(&magic) {
            return Kind::Other(Some(Foreign::ReservedPcap));
        }
    }
    if *first == PCAPNG {
        Kind::Pcapng
    } else if start.starts_with(SNOOP) {
        Kind::Snoop
    } else if is_packed_prefix(start) || SNOOP.starts_with(start) {
        Kind::Prefix
    } else {
        Kind::Other(Foreign::sniff(start))
    }
}

/// Whether `start` is a beginning of a compression's magic.
fn is_packed_prefix(start: &[u8]) -> bool {
    Compression::ALL.iter().any(|compression| compression.magic().starts_with(start))
}

/// A compression that is recognised by its first bytes and unpacked on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip (RFC 1952), of any number of members.
    Gzip,
    /// Zstandard (RFC 8878), of any number of frames.
    Zstd,
    /// xz, of any number of streams.
    Xz,
    /// LZ4 frames, of any number.
    Lz4,
}

impl Compression {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Gzip, Self::Zstd, Self::Xz, Self::Lz4];

    /// What it is called; also what follows the dot in the names of its files, more or less.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
        }
    }

    const fn magic(self) -> &'static [u8] {
        match self {
            Self::Gzip => &[0x1f, 0x8b],
            Self::Zstd => &[0x28, 0xb5, 0x2f, 0xfd],
            Self::Xz => &[0xfd, b'7', b'z', b'X', b'Z', 0],
            Self::Lz4 => &[0x04, 0x22, 0x4d, 0x18],
        }
    }

    /// The compression whose data begin like this. A skippable frame, which zstd and LZ4 share, is
    /// taken for zstd's: `pzstd` and seekable archives begin with one.
    fn sniff(start: &[u8]) -> Option<Self> {
        let found =
            Self::ALL.into_iter().find(|compression| start.starts_with(compression.magic()));
        found.or_else(|| is_skippable_frame(start).then_some(Self::Zstd))
    }
}

/// Whether `start` has the magic of a skippable frame of zstd and LZ4: 0x184d2a50 to 0x184d2a5f.
pub(crate) fn is_skippable_frame(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// A format that is recognised and not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Compressed data within compressed data: one layer is unpacked, no more.
    Packed(Compression),
    /// LZ4 in its legacy format.
    Lz4Legacy,
    /// bzip2.
    Bzip2,
    /// compress(1).
    Compress,
    /// ZIP archive.
    Zip,
    /// 7-Zip archive.
    SevenZip,
    /// tar archive.
    Tar,
    /// Frame Streams, the container of dnstap.
    FrameStreams,
    /// NMSG.
    Nmsg,
    /// pcap under a magic that libpcap reserves for variants nobody describes.
    ReservedPcap,
    /// Microsoft Network Monitor, version 1 or 2.
    NetMon,
    /// nettl of HP-UX.
    Nettl,
    /// btsnoop: Bluetooth.
    Btsnoop,
    /// NetXRay and Sniffer for Windows.
    NetXray,
    /// Sniffer of DOS times.
    Sniffer,
    /// Network Instruments Observer.
    Observer,
    /// Visual Networks.
    VisualNetworks,
    /// Tektronix K12.
    K12,
    /// Accellent 5Views.
    FiveViews,
    /// Endace's extensible record format.
    Erf,
}

impl Foreign {
    fn sniff(start: &[u8]) -> Option<Self> {
        const TABLE: [(&[u8], Foreign); 18] = [
            (&[0x02, 0x21, 0x4c, 0x18], Foreign::Lz4Legacy),
            (b"BZh", Foreign::Bzip2),
            (&[0x1f, 0x9d], Foreign::Compress),
            (b"PK\x03\x04", Foreign::Zip),
            (b"7z\xbc\xaf\x27\x1c", Foreign::SevenZip),
            (b"NMSG", Foreign::Nmsg),
            (b"RTSS", Foreign::NetMon),
            (b"GMBU", Foreign::NetMon),
            (b"\x54\x52\x00\x64\x00", Foreign::Nettl),
            (b"\0\0\0\x01\0\0\0\0\0\x07\xd0\0", Foreign::Nettl),
            (b"btsnoop\0", Foreign::Btsnoop),
            (b"VL\0\0", Foreign::NetXray),
            (b"XCP\0", Foreign::NetXray),
            (b"TRSNIFF data", Foreign::Sniffer),
            (b"ObserverPktB", Foreign::Observer),
            (b"\x05VNF", Foreign::VisualNetworks),
            (b"\0\0\x02\0\x12\x05\0\x10", Foreign::K12),
            (b"\xaa\xaa\xaa\xaa", Foreign::FiveViews),
        ];
        TABLE
            .iter()
            .find(|(magic, _)| start.starts_with(magic))
            .map(|(_, format)| *format)
            .or_else(|| is_frame_streams(start).then_some(Self::FrameStreams))
    }

    /// The formats that more than [`SNIFF_BYTES`] are needed to tell, from as many of an input's
    /// first bytes as there are.
    pub(crate) fn sniff_more(start: &[u8]) -> Option<Self> {
        const TAR_MAGIC_AT: usize = 257;
        let is_tar = start.get(TAR_MAGIC_AT..).is_some_and(|rest| rest.starts_with(b"ustar"));
        if is_tar { Some(Self::Tar) } else { is_erf(start).then_some(Self::Erf) }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packed(Compression::Gzip) => "gzip data within compressed data",
            Self::Packed(Compression::Zstd) => "zstd data within compressed data",
            Self::Packed(Compression::Xz) => "xz data within compressed data",
            Self::Packed(Compression::Lz4) => "lz4 data within compressed data",
            Self::Lz4Legacy => "lz4 data in the legacy format",
            Self::Bzip2 => "bzip2 data",
            Self::Compress => "data of compress(1)",
            Self::Zip => "a zip archive",
            Self::SevenZip => "a 7-Zip archive",
            Self::Tar => "a tar archive",
            Self::FrameStreams => "frame streams (dnstap)",
            Self::Nmsg => "nmsg data",
            Self::ReservedPcap => "a pcap variant whose records are not documented",
            Self::NetMon => "a Microsoft Network Monitor capture",
            Self::Nettl => "an HP-UX nettl trace",
            Self::Btsnoop => "a btsnoop capture of Bluetooth",
            Self::NetXray => "a NetXRay or Sniffer capture",
            Self::Sniffer => "a DOS Sniffer capture",
            Self::Observer => "a Network Instruments Observer capture",
            Self::VisualNetworks => "a Visual Networks capture",
            Self::K12 => "a Tektronix K12 capture",
            Self::FiveViews => "an Accellent 5Views capture",
            Self::Erf => "an Endace ERF capture",
        }
    }

    /// How to go on. `file` is the name of the input as a word of a shell command.
    #[must_use]
    pub fn advice(self, file: &str) -> String {
        let unpack = |tool| format!("decompress it first: {tool} {file} | fluxtap replay -");
        match self {
            Self::Packed(_) => String::from(
                "one layer is unpacked and no more, so decompress it once and replay the result",
            ),
            Self::Lz4Legacy => unpack("lz4 -dc"),
            Self::Bzip2 => unpack("bzip2 -dc"),
            Self::Compress => unpack("gzip -dc"),
            Self::Zip => unpack("unzip -p"),
            Self::SevenZip => unpack("7z x -so"),
            Self::Tar => {
                format!("unpack it and replay the folder: tar -xf {file} -C FOLDER")
            }
            Self::FrameStreams | Self::Nmsg | Self::Btsnoop => {
                String::from("replay the packet capture it was made from")
            }
            Self::ReservedPcap
            | Self::NetMon
            | Self::Nettl
            | Self::NetXray
            | Self::Sniffer
            | Self::Observer
            | Self::VisualNetworks
            | Self::K12
            | Self::FiveViews
            | Self::Erf => {
                format!("convert it first: editcap -F pcap {file} - | fluxtap replay -")
            }
        }
    }
}

/// ERF has no magic, so its first two records must make sense: a record is a time of 8 bytes, a
/// type, flags, its length, a loss counter or colour, and the length on the wire
/// (<https://www.endace.com/erf-extensible-record-format-types.pdf>).
fn is_erf(start: &[u8]) -> bool {
    const HEADER_BYTES: usize = 16;
    const TYPE_MAX: u8 = 48;
    let record = |at: usize| {
        let header = start.get(at..)?.first_chunk::<HEADER_BYTES>()?;
        let seconds = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let length = usize::from(u16::from_be_bytes([header[10], header[11]]));
        let kind = header[8] & 0x7f;
        let is_sound = (1..=TYPE_MAX).contains(&kind) && length > HEADER_BYTES;
        is_sound.then_some((seconds, length))
    };
    let Some((first_s, length)) = record(0) else { return false };
    record(length).is_some_and(|(second_s, _)| first_s.abs_diff(second_s) <= 3_600)
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
        let classic = |big_endian, variant| Kind::Classic { big_endian, variant };
        let other = |format| Kind::Other(Some(format));
        let rows: &[(&[u8], Kind)] = &[
            (b"\xa1\xb2\xc3\xd4", classic(true, Variant::Micro)),
            (b"\xd4\xc3\xb2\xa1", classic(false, Variant::Micro)),
            (b"\xa1\xb2\x3c\x4d", classic(true, Variant::Nano)),
            (b"\x4d\x3c\xb2\xa1", classic(false, Variant::Nano)),
            (b"\xa1\xb2\xcd\x34", classic(true, Variant::Modified)),
            (b"\x34\xcd\xb2\xa1", classic(false, Variant::Modified)),
            (b"\x1c\x00\x01\xac", classic(true, Variant::IxiaHardware)),
            (b"\xab\x01\x00\x1c", classic(false, Variant::IxiaSoftware)),
            (b"\xa1\xb2\x34\xcd", other(Foreign::ReservedPcap)),
            (b"\x4d\x3c\x2b\xa1", other(Foreign::ReservedPcap)),
            (b"\x0a\x0d\x0d\x0a", Kind::Pcapng),
            (b"snoop\0\0\0\0\0\0\x02", Kind::Snoop),
            (b"\x1f\x8b\x08\x00", Kind::Packed(Compression::Gzip)),
            (b"\x28\xb5\x2f\xfd", Kind::Packed(Compression::Zstd)),
            (b"\x5e\x2a\x4d\x18", Kind::Packed(Compression::Zstd)),
            (b"\xfd7zXZ\0", Kind::Packed(Compression::Xz)),
            (b"\x04\x22\x4d\x18", Kind::Packed(Compression::Lz4)),
            (b"\x02\x21\x4c\x18", other(Foreign::Lz4Legacy)),
            (b"\x60\x2a\x4d\x18", Kind::Other(None)),
            (b"BZh9", other(Foreign::Bzip2)),
            (b"PK\x03\x04", other(Foreign::Zip)),
            (b"NMSG\0\0\0\x02", other(Foreign::Nmsg)),
            (b"GMBU\x00\x02", other(Foreign::NetMon)),
            (b"\0\0\0\0\0\0\0\x22\0\0\0\x02", other(Foreign::FrameStreams)),
            (b"\0\0\0\0\0\0\0\x22\0\0\0\x09", Kind::Other(None)),
            (b"\0\0\0\0\0\0\x22\0\0\0\0\x02", Kind::Other(None)),
            (b"\0\0\0\0\0\0\0\x22", Kind::Other(None)),
            (b"snoop", Kind::Prefix),
            (b"snoopy and friends", Kind::Other(None)),
            (b"GET / HTTP/1", Kind::Other(None)),
            (b"\xd4", Kind::Prefix),
            (b"\x0a\x0d\x0d", Kind::Prefix),
            (b"\x1f", Kind::Prefix),
            (b"\xfd7", Kind::Prefix),
            (b"\x1f\x8b", Kind::Packed(Compression::Gzip)),
            (b"x", Kind::Other(None)),
        ];
        for (start, expected) in rows {
            assert_eq!(sniff(start), *expected, "{start:02x?}");
        }
    }

    #[test]
    fn formats_without_a_magic_at_the_front() {
        let erf = |seconds: u32, kind: u8, length: u16| {
            let mut record = vec![0; usize::from(length)];
            record[4..8].copy_from_slice(&seconds.to_le_bytes());
            record[8] = kind;
            record[10..12].copy_from_slice(&length.to_be_bytes());
            record
        };
        let first = erf(1_700_000_000, 2, 80);
        let good = [first.clone(), erf(1_700_000_001, 2, 60)].concat();
        assert_eq!(Foreign::sniff_more(&good), Some(Foreign::Erf));
        let far = [first.clone(), erf(1_800_000_000, 2, 60)].concat();
        assert_eq!(Foreign::sniff_more(&far), None);
        assert_eq!(Foreign::sniff_more(&first), None, "one record proves nothing");
        assert_eq!(Foreign::sniff_more(&[0; 600]), None);
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(Foreign::sniff_more(&tar), Some(Foreign::Tar));
    }

    #[test]
    fn magic_shows_what_is_there() {
        assert_eq!(Magic::of(b"\x1f\x8b\x08\x00\x99").to_string(), "1f 8b 08 00");
        assert_eq!(Magic::of(b"\x1f").to_string(), "1f");
    }
}
