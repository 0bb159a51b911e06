//! What floods cost: packets from random sources through the decoder, real traffic in between, and
//! the most memory the process ever had.
//!
//! ```text
//! cargo run --release -p fluxtap-engine --example flood -- fragments|syns|segments|queries|responses COUNT
//! ```
#![allow(clippy::print_stdout, reason = "what it finds out goes to whoever runs it")]

use fluxtap_engine::Decoder;
use fluxtap_flow::FlowSettings;
use fluxtap_intel::Intel;
use fluxtap_observe::Batch;
use fluxtap_wire::{Layers, LinkType, Packet, Timestamp};
use std::error::Error;

/// Packets of the flood between two real ones.
const BETWEEN: u64 = 200;

/// Packets of the flood in a second of event time: so real ones are 2 ms apart.
const PACE: u64 = 100_000;

const SERVER: [u8; 4] = [9, 9, 9, 9];
const CLIENT: [u8; 4] = [10, 0, 0, 7];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, count] = arguments.as_slice() else {
        return Err("expected two arguments: a kind of flood, and a count".into());
    };
    let count: u64 = count.parse()?;
    let mut flood = Flood::new();
    // Real traffic alone, until queries are known to be visible.
    for _ in 0..3_000 {
        flood.now_ns += Timestamp::SECOND / 100;
        for packet in flood.exchange() {
            flood.packet(&packet);
        }
    }
    println!("{kind}: {} MiB before", peak_kib()? / 1_024);
    let before = flood.decoder.counts();
    let mut real = Vec::new().into_iter();
    let mut exchanges = 0;
    for sent in 0..count {
        flood.now_ns += Timestamp::SECOND / PACE;
        flood.send(kind)?;
        if sent % BETWEEN == 0 {
            if real.len() == 0 {
                exchanges += 1;
                real = flood.exchange().into_iter();
            }
            real.next().iter().for_each(|packet| flood.packet(packet));
        }
        if sent % (count / 4).max(1) == 0 {
            println!("{sent}: {} MiB", peak_kib()? / 1_024);
        }
    }
    real.for_each(|packet| flood.packet(&packet));
    println!("{count}: {} MiB", peak_kib()? / 1_024);
    let after = flood.decoder.counts();
    let paired = after.gate.paired - before.gate.paired;
    println!("real responses paired: {paired} of {}", 3 * exchanges);
    println!("queries visible: {:?}", flood.decoder.queries_visible());
    println!("{:#?}\n{:#?}\n{:#?}", after.gate, after.fragments, after.streams);
    assert!(after.is_conserved());
    Ok(())
}

struct Flood {
    decoder: Decoder,
    intel: Intel,
    batch: Batch,
    now_ns: u64,
    state: u64,
    exchanges: u32,
}

impl Flood {
    fn new() -> Self {
        Self {
            decoder: Decoder::new(Layers::default(), &FlowSettings::default(), 60, 7),
            intel: Intel::embedded(),
            batch: Batch::default(),
            now_ns: 1_790_000_000 * Timestamp::SECOND,
            state: 1,
            exchanges: 0,
        }
    }

    fn random(&mut self) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.state ^ self.state >> 29
    }

    fn packet(&mut self, bytes: &[u8]) {
        let at = Timestamp(self.now_ns);
        let packet = Packet { at, link: LinkType::RAW, bytes, wire_len: bytes.len() as u32 };
        self.decoder.decode(&packet, &self.intel, &mut self.batch);
        self.batch.clear();
    }

    /// Packets of three queries and their responses: one in a datagram, one in two fragments, one
    /// over TCP, there and back in three segments.
    fn exchange(&mut self) -> Vec<Vec<u8>> {
        self.exchanges += 1;
        let id = self.exchanges as u16;
        let port = 1_024 + (self.exchanges % 60_000) as u16;
        let (query, response) = (message(id, false), message(id, true));
        let whole = udp(53, port + 1, &response);
        let [high, low] = id.to_be_bytes();
        let mut packets = vec![
            ip(CLIENT, SERVER, 17, [0; 4], &udp(port, 53, &query)),
            ip(CLIENT, SERVER, 17, [0; 4], &udp(port + 1, 53, &query)),
            ip(SERVER, CLIENT, 17, [high, low, 0x20, 0], &whole[..24]),
            ip(SERVER, CLIENT, 17, [0; 4], &udp(53, port, &response)),
            ip(SERVER, CLIENT, 17, [high, low, 0, 3], &whole[24..]),
        ];
        for (source, to, ports, message) in
            [(CLIENT, SERVER, [port, 53], &query), (SERVER, CLIENT, [53, port], &response)]
        {
            let framed = [&(message.len() as u16).to_be_bytes()[..], message].concat();
            let isn = self.random() as u32;
            for (sequence, flags, part) in [
                (isn, 0x02, &framed[..0]),
                (isn.wrapping_add(1), 0x10, &framed[..20]),
                (isn.wrapping_add(21), 0x11, &framed[20..]),
            ] {
                packets.push(ip(source, to, 6, [0; 4], &tcp(ports, sequence, flags, part)));
            }
        }
        packets
    }

    fn send(&mut self, kind: &str) -> Result<(), Box<dyn Error>> {
        let (chance, other) = (self.random(), self.random());
        let stranger = (chance as u32 | 1 << 24).to_be_bytes();
        let [id, port] = [(other >> 16) as u16, (other >> 32) as u16 | 1_024];
        let [high, low] = id.to_be_bytes();
        let junk = [0xee; 1_000];
        let bytes = match kind {
            "fragments" => ip(stranger, CLIENT, 17, [high, low, 0x20, 100], &junk),
            "syns" => ip(stranger, CLIENT, 6, [0; 4], &tcp([port, 53], other as u32, 2, &[])),
            // The beginning of a message that looks as if it would go on.
            "segments" => {
                let framed = [&[0xff, 0xff][..], &message(id, true)].concat();
                ip(stranger, CLIENT, 6, [0; 4], &tcp([53, port], other as u32, 0x10, &framed))
            }
            "queries" => ip(stranger, SERVER, 17, [0; 4], &udp(port, 53, &message(id, false))),
            "responses" => ip(stranger, CLIENT, 17, [0; 4], &udp(53, port, &message(id, true))),
            _ => return Err(format!("got {kind}, expected a kind of flood").into()),
        };
        self.packet(&bytes);
        Ok(())
    }
}

fn message(id: u16, is_response: bool) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend(if is_response { [0x81, 0x80] } else { [1, 0] });
    bytes.extend([0, 1, 0, u8::from(is_response) * 3, 0, 0, 0, 0]);
    bytes.extend(b"\x03www\x04bank\x07example\0\0\x01\0\x01");
    for last in 0..u8::from(is_response) * 3 {
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 8, 8, 8, last]);
    }
    bytes
}

fn udp(source: u16, destination: u16, message: &[u8]) -> Vec<u8> {
    let len = message.len() as u16 + 8;
    let head = [source.to_be_bytes(), destination.to_be_bytes(), len.to_be_bytes(), [0; 2]];
    [&head.concat(), message].concat()
}

fn tcp([source, destination]: [u16; 2], sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Raw IPv4; `fragment` is identification, flags and offset.
fn ip(source: [u8; 4], to: [u8; 4], protocol: u8, fragment: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (payload.len() as u16 + 20).to_be_bytes();
    let [i0, i1, f0, f1] = fragment;
    let head = [0x45, 0, l0, l1, i0, i1, f0, f1, 64, protocol, 0, 0];
    [&head[..], &source, &to, payload].concat()
}

/// The most memory the process ever had, in KiB, as Linux counts it.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
