//! Makes seeds for the fuzz targets of captures: a few packets of each, the messages and names in
//! them, and one capture in every format and compression.
//!
//! ```text
//! cargo run -p fluxtap-fuzz --example seeds -- crates/fuzz/seeds pcaps/*/*.pcap*
//! ```
#![allow(clippy::print_stdout, reason = "what it made goes to whoever runs it")]

use fluxtap_capture::{CaptureReader, Next};
use fluxtap_wire::layers::{self, LINK_TYPES_READ};
use fluxtap_wire::{Carried, Layers, LinkType, Message, Packet, Timestamp};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

/// Packets of a capture that are looked at.
const PACKETS_MAX: usize = 2_000;

/// Packets of one link type, of a capture.
const PACKETS_PER_LINK_MAX: usize = 6;

/// Longest packet and message taken, in bytes.
const OCTETS_MAX: usize = 600;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("expected a folder and captures")?;
    let mut seeds = Seeds { folder, known: BTreeSet::new(), octets: 0 };
    for (number, capture) in arguments.enumerate() {
        let stem =
            capture.file_stem().ok_or("a capture has a name")?.to_string_lossy().into_owned();
        let packets = packets(&fs::read(&capture)?)?;
        seeds.of_packets(&stem, &packets)?;
        if number == 0 {
            seeds.of_formats(&packets)?;
        }
    }
    seeds.of_stories()?;
    println!("{} seeds, {} bytes", seeds.known.len(), seeds.octets);
    Ok(())
}

/// A packet that outlives its reader.
struct Owned {
    at: Timestamp,
    link: LinkType,
    bytes: Vec<u8>,
}

/// A few packets of each link type.
fn packets(capture: &[u8]) -> Result<Vec<Owned>, Box<dyn Error>> {
    let mut reader = CaptureReader::new(capture);
    let mut packets: Vec<Owned> = Vec::new();
    for _ in 0..PACKETS_MAX {
        let Next::Packet(packet) = reader.next()? else { break };
        let Packet { at, link, bytes, .. } = packet;
        let same = packets.iter().filter(|other| other.link == link);
        if bytes.len() <= OCTETS_MAX && same.count() < PACKETS_PER_LINK_MAX {
            packets.push(Owned { at, link, bytes: bytes.to_vec() });
        }
    }
    Ok(packets)
}

struct Seeds {
    folder: PathBuf,
    known: BTreeSet<(&'static str, Vec<u8>)>,
    octets: usize,
}

impl Seeds {
    fn add(
        &mut self,
        target: &'static str,
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<(), Box<dyn Error>> {
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder)?;
        if self.known.insert((target, bytes.clone())) {
            self.octets += bytes.len();
            fs::write(folder.join(name), bytes)?;
        }
        Ok(())
    }

    fn of_packets(&mut self, stem: &str, packets: &[Owned]) -> Result<(), Box<dyn Error>> {
        // A classic capture has one link type.
        let Some(first) = packets.first() else { return Ok(()) };
        let alike = packets.iter().filter(|packet| packet.link == first.link);
        self.add("whole", &format!("{stem}.pcap"), classic(alike))?;
        for (number, packet) in packets.iter().enumerate() {
            let Some(link) = LINK_TYPES_READ.iter().position(|(link, _)| *link == packet.link)
            else {
                continue;
            };
            let name = format!("{stem}-{number}");
            self.add("layers", &name, [&[link as u8, 0], &packet.bytes[..]].concat())?;
            let whole = Packet {
                at: packet.at,
                link: packet.link,
                bytes: &packet.bytes,
                wire_len: packet.bytes.len() as u32,
            };
            let Ok(Carried::Datagram(datagram)) = layers::decode(&whole, &Layers::default()) else {
                continue;
            };
            self.add("message", &name, datagram.payload.to_vec())?;
            if let Ok(message) = Message::new_checked(datagram.payload)
                && let Ok(Some(question)) = message.walk().next_question()
            {
                self.add("name", &name, question.qname.to_name().as_wire().to_vec())?;
            }
        }
        Ok(())
    }

    /// The same packets in every format that is read.
    fn of_formats(&mut self, packets: &[Owned]) -> Result<(), Box<dyn Error>> {
        let classic = classic(packets);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&classic)?;
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&classic)?;
        let mut lz4 = lz4::EncoderBuilder::new().build(Vec::new())?;
        lz4.write_all(&classic)?;
        let (lz4, ended) = lz4.finish();
        ended?;
        let files = [
            ("gzip", gzip.finish()?),
            ("zstd", zstd::encode_all(&classic[..], 3)?),
            ("xz", xz.finish()?),
            ("lz4", lz4),
            ("snoop", snoop(packets)),
            ("pcapng", pcapng(packets)),
            ("classic", classic),
        ];
        for (name, bytes) in files {
            self.add("capture_reader", name, [&[16], &bytes[..]].concat())?;
            self.add("whole", name, bytes)?;
        }
        Ok(())
    }

    /// Short stories for the tables.
    fn of_stories(&mut self) -> Result<(), Box<dyn Error>> {
        // A number of bytes that is enough for each step there is, twice over.
        let steps = |first: u8| -> Vec<u8> {
            let mut bytes = vec![first];
            for step in [6, 4, 0, 5, 1, 6, 4, 5, 3, 7, 2] {
                bytes.push(step);
                bytes.extend((0..52_u8).map(|place| place.wrapping_mul(37) ^ step ^ first));
            }
            bytes
        };
        for target in ["reassembly", "tcp_stream", "pairing"] {
            for settings in [0, 1, 2, 4, 8, 9] {
                self.add(target, &format!("steps-{settings}"), steps(settings))?;
            }
        }
        let mut pairs = vec![0];
        for second in 0..40_u8 {
            // A query, its response, a copy of that, and time.
            pairs.extend([0, 0, 0, 0, 1, 0, 0, 1, 0, 4, 30 + second]);
        }
        self.add("pairing", "pairs", pairs)
    }
}

fn classic<'a>(packets: impl IntoIterator<Item = &'a Owned>) -> Vec<u8> {
    let mut packets = packets.into_iter().peekable();
    let link = packets.peek().map_or(1, |packet| u32::from(packet.link.0));
    let mut bytes: Vec<u8> = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    for packet in packets {
        let (second, rest) = (packet.at.secs(), packet.at.0 % Timestamp::SECOND);
        let len = packet.bytes.len() as u32;
        for word in [second as u32, (rest / 1_000) as u32, len, len] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(&packet.bytes);
    }
    bytes
}

/// RFC 1761; the link type of Ethernet is 4.
fn snoop(packets: &[Owned]) -> Vec<u8> {
    let mut bytes = b"snoop\0\0\0".to_vec();
    bytes.extend([2_u32, 4].into_iter().flat_map(u32::to_be_bytes));
    for packet in packets {
        let padded = packet.bytes.len().next_multiple_of(4);
        let len = packet.bytes.len() as u32;
        let rest = (packet.at.0 % Timestamp::SECOND / 1_000) as u32;
        for word in [len, len, 24 + padded as u32, 0, packet.at.secs() as u32, rest] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(&packet.bytes);
        bytes.resize(bytes.len() + padded - packet.bytes.len(), 0);
    }
    bytes
}

fn pcapng(packets: &[Owned]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let padded = body.len().next_multiple_of(4);
        let total = (padded as u32 + 12).to_le_bytes();
        bytes.extend(kind.to_le_bytes().into_iter().chain(total));
        bytes.extend(body);
        bytes.resize(bytes.len() + padded - body.len(), 0);
        bytes.extend(total);
    };
    let words =
        |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    block(1, &words(&[u32::from(packets.first().map_or(1, |packet| packet.link.0)), 65_535]));
    for packet in packets {
        let ticks = packet.at.0 / 1_000;
        let len = packet.bytes.len() as u32;
        let mut body = words(&[0, (ticks >> 32) as u32, ticks as u32, len, len]);
        body.extend(&packet.bytes);
        block(6, &body);
        block(3, &[&words(&[len]), &packet.bytes[..]].concat());
    }
    bytes
}
