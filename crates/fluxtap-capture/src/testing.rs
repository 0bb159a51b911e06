//! Hand-made captures for the tests of this crate.

use std::io::{self, Read, Write};

use fluxtap_wire::{LinkType, Timestamp};

use crate::{CaptureReader, Compression, Ending, Gaps, Next};

/// A packet that outlives its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) at: Timestamp,
    pub(crate) link: LinkType,
    pub(crate) bytes: Vec<u8>,
    pub(crate) wire_len: u32,
}

impl From<fluxtap_wire::Packet<'_>> for Owned {
    fn from(packet: fluxtap_wire::Packet<'_>) -> Self {
        let bytes = packet.bytes.to_vec();
        Self { at: packet.at, link: packet.link, bytes, wire_len: packet.wire_len }
    }
}

pub(crate) fn owned(at_ns: u64, link: u16, bytes: &[u8], wire_len: u32) -> Owned {
    Owned { at: Timestamp(at_ns), link: LinkType(link), bytes: bytes.to_vec(), wire_len }
}

/// All packets of a capture, how it ended, and its counts of untimed and skipped packets.
pub(crate) fn read_all(input: impl Read) -> (Vec<Owned>, Ending, [u64; 2]) {
    let (packets, ending, counts, _) = read_with_gaps(input);
    (packets, ending, counts)
}

/// The same and what was passed over.
pub(crate) fn read_with_gaps(input: impl Read) -> (Vec<Owned>, Ending, [u64; 2], Gaps) {
    let mut reader = CaptureReader::new(input);
    let mut packets = Vec::new();
    let ending = loop {
        match reader.next().expect("reading memory does not fail") {
            Next::Packet(packet) => packets.push(Owned::from(packet)),
            Next::End(ending) => break ending,
        }
    };
    let Next::End(again) = reader.next().expect("nothing is read any more") else {
        panic!("a packet after the end");
    };
    assert_eq!(again, ending, "the end stays the end");
    let counts = [reader.packets_untimed(), reader.packets_skipped()];
    (packets, ending, counts, reader.gaps())
}

/// Compresses with the settings of the command line tools.
pub(crate) fn pack(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    match compression {
        Compression::Gzip => {
            let mut to = flate2::GzBuilder::new()
                .filename("name")
                .write(&mut packed, flate2::Compression::default());
            to.write_all(bytes).expect("memory");
            to.finish().expect("memory");
        }
        Compression::Zstd => {
            packed = zstd::encode_all(bytes, 3).expect("memory");
        }
        Compression::Xz => {
            let mut to = liblzma::write::XzEncoder::new(&mut packed, 1);
            to.write_all(bytes).expect("memory");
            to.finish().expect("memory");
        }
        Compression::Lz4 => {
            let mut to = lz4::EncoderBuilder::new().build(&mut packed).expect("memory");
            to.write_all(bytes).expect("memory");
            to.finish().1.expect("memory");
        }
    }
    packed
}

/// Gives one byte a time and an interruption before each, as the worst pipe would.
pub(crate) struct Trickle<'a> {
    rest: &'a [u8],
    interrupt: bool,
}

impl<'a> Trickle<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest, interrupt: true }
    }
}

impl Read for Trickle<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if !self.interrupt {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = to.len().min(1);
        self.rest.read(&mut to[..count])
    }
}

/// Writes numbers in one byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Big,
    Little,
}

impl Order {
    pub(crate) const BOTH: [Self; 2] = [Self::Big, Self::Little];

    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Big => value.to_be_bytes(),
            Self::Little => value.to_le_bytes(),
        }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Big => value.to_be_bytes(),
            Self::Little => value.to_le_bytes(),
        }
    }

    fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| self.u32(*word)).collect()
    }
}

/// A classic file header.
pub(crate) fn classic_header(
    order: Order,
    magic: u32,
    version: (u16, u16),
    snaplen: u32,
    network: u32,
) -> Vec<u8> {
    let mut bytes = order.u32(magic).to_vec();
    bytes.extend(order.u16(version.0));
    bytes.extend(order.u16(version.1));
    bytes.extend(order.words(&[0, 0, snaplen, network]));
    bytes
}

/// A classic record header with whatever lengths, then `data`.
pub(crate) fn classic_record(order: Order, words: [u32; 4], data: &[u8]) -> Vec<u8> {
    let mut bytes = order.words(&words);
    bytes.extend(data);
    bytes
}

/// An ordinary Ethernet capture: microseconds, little-endian, packets at these seconds, whose
/// bytes are `tag` and the second.
pub(crate) fn classic_file(tag: u8, seconds: &[u32]) -> Vec<u8> {
    let order = Order::Little;
    let mut bytes = classic_header(order, 0xa1b2_c3d4, (2, 4), 65_535, 1);
    for second in seconds {
        let data = [tag, *second as u8];
        bytes.extend(classic_record(order, [*second, 0, 2, 2], &data));
    }
    bytes
}

/// A pcapng block: the body is padded and framed.
pub(crate) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let total = padded as u32 + 12;
    let mut bytes = order.words(&[kind, total]);
    bytes.extend(body);
    bytes.resize(8 + padded, 0);
    bytes.extend(order.u32(total));
    bytes
}

pub(crate) fn section(order: Order) -> Vec<u8> {
    let mut body = order.words(&[0x1a2b_3c4d]);
    body.extend(order.u16(1));
    body.extend(order.u16(0));
    body.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, &body)
}

/// An interface description with raw options (code, value); the end of options is added.
pub(crate) fn interface(
    order: Order,
    link: u16,
    snaplen: u32,
    options: &[(u16, &[u8])],
) -> Vec<u8> {
    let mut body = order.u16(link).to_vec();
    body.extend([0, 0]);
    body.extend(order.u32(snaplen));
    for (code, value) in options {
        body.extend(order.u16(*code));
        body.extend(order.u16(value.len() as u16));
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    if !options.is_empty() {
        body.extend([0; 4]);
    }
    block(order, 1, &body)
}

/// An enhanced packet block with a comment after the packet.
pub(crate) fn enhanced(order: Order, on: u32, ticks: u64, data: &[u8], wire_len: u32) -> Vec<u8> {
    let words = [on, (ticks >> 32) as u32, ticks as u32, data.len() as u32, wire_len];
    let mut body = order.words(&words);
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(order.u16(1));
    body.extend(order.u16(3));
    body.extend(b"why\0\0\0\0\0");
    block(order, 6, &body)
}

/// The packet block that came before the enhanced one.
pub(crate) fn obsolete(order: Order, on: u16, ticks: u64, data: &[u8], wire_len: u32) -> Vec<u8> {
    let mut body = order.u16(on).to_vec();
    body.extend(order.u16(7));
    let words = [(ticks >> 32) as u32, ticks as u32, data.len() as u32, wire_len];
    body.extend(order.words(&words));
    body.extend(data);
    block(order, 2, &body)
}

pub(crate) fn simple(order: Order, wire_len: u32, data: &[u8]) -> Vec<u8> {
    let mut body = order.u32(wire_len).to_vec();
    body.extend(data);
    block(order, 3, &body)
}
