//! A capture file of any format, compressed or not: `[size of reads, bytes of the file...]`.
//!
//! It gives the same packets, whatever the sizes of the reads it comes in, none of them longer than
//! a packet can be, and its end stays its end.

use fluxtap_capture::{CAPLEN_MAX, CaptureReader, Ending, Gaps, Next};
use fluxtap_wire::{LinkType, Timestamp};
use std::io::{self, Read};

/// Packets read of one file: a few bytes can be packed from many.
const PACKETS_MAX: usize = 4_096;

/// Formats whose records are known by their magic alone: pcapng, snoop, nanoseconds of either order.
const FIXED_MAGICS: [u32; 4] = [0x0a0d_0d0a, 0x736e_6f6f, 0xa1b2_3c4d, 0x4d3c_b2a1];

/// With other magics the first records say how long their headers are, as many of them as the first
/// read brings. So that brings all that a small file has.
const FIRST_OCTETS: usize = 1 << 16;

/// See the module's head.
pub fn run(bytes: &[u8]) {
    let [size, file @ ..] = bytes else { return };
    let whole = Seen::of(file);
    let magic = file.first_chunk().copied().unwrap_or_default();
    let first = if FIXED_MAGICS.contains(&u32::from_be_bytes(magic)) { 0 } else { FIRST_OCTETS };
    let size = 1 + usize::from(*size);
    let pieces = Pieces { rest: file, first, size, is_interrupted: false };
    let in_pieces = Seen::of(pieces);
    if whole.is_packed_badly() || in_pieces.is_packed_badly() {
        // The libraries give nothing out of the piece of input that has the fault in it.
        let both = whole.packets.iter().zip(&in_pieces.packets);
        assert!(both.into_iter().all(|(one, other)| one == other), "{whole:?}, {in_pieces:?}");
        return;
    }
    assert_eq!(whole, in_pieces, "read at once, and in pieces");
}

/// All that a reader says of a file.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    packets: Vec<(Timestamp, LinkType, Vec<u8>, u32)>,
    /// `None` if there may be more. With the bytes used, unless they were unpacked: how far ahead
    /// that is done depends on the sizes of the reads.
    ending: Option<(Ending, Option<u64>)>,
    packets_untimed: u64,
    packets_skipped: u64,
    gaps: Gaps,
}

impl Seen {
    fn of(input: impl Read) -> Self {
        let mut reader = CaptureReader::new(input);
        let mut packets = Vec::new();
        let mut ending = None;
        while ending.is_none() && packets.len() < PACKETS_MAX {
            match reader.next().expect("reading memory does not fail") {
                Next::Packet(packet) => {
                    assert!(packet.bytes.len() <= CAPLEN_MAX as usize, "{}", packet.bytes.len());
                    let bytes = packet.bytes.to_vec();
                    packets.push((packet.at, packet.link, bytes, packet.wire_len));
                }
                Next::End(found) => ending = Some(found),
            }
        }
        let ending = ending.map(|ending| {
            let again = reader.next().expect("nothing is read any more");
            assert!(matches!(again, Next::End(again) if again == ending), "{again:?}");
            let ending = match ending {
                // What it seems to be is a guess by what was read of it so far.
                Ending::NotACapture { magic, .. } => Ending::NotACapture { magic, format: None },
                ending => ending,
            };
            (ending, reader.compression().is_none().then(|| reader.bytes_read()))
        });
        Self {
            packets,
            ending,
            packets_untimed: reader.packets_untimed(),
            packets_skipped: reader.packets_skipped(),
            gaps: reader.gaps(),
        }
    }

    /// The compressed data around the capture are damaged.
    const fn is_packed_badly(&self) -> bool {
        matches!(self.ending, Some((Ending::Packed { .. }, _)))
    }
}

/// Gives at most `size` bytes a time, but `first` with the first, and an interruption before each.
struct Pieces<'a> {
    rest: &'a [u8],
    first: usize,
    size: usize,
    is_interrupted: bool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.is_interrupted = !self.is_interrupted;
        if self.is_interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = to.len().min(self.size.max(std::mem::take(&mut self.first)));
        self.rest.read(&mut to[..count])
    }
}
