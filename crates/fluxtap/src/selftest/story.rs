//! The story: a name in fast flux and an innocent neighbour, as packets of the last hours.

use crate::output::{Closed, Output};
use crate::sensor::Follow;
use fluxtap_alert::Alert;
use fluxtap_capture::{Batch, Source};
use fluxtap_config::Settings;
use fluxtap_sink::SinkCounts;
use fluxtap_wire::name::WireText;
use fluxtap_wire::{LinkType, Packet, Timestamp};
use std::collections::VecDeque;
use std::io;

/// Length of the story, and time between two look-ups.
const STORY_S: u64 = 3 * 3_600;
const LOOK_UP_EVERY_S: u64 = 60;

/// How often the name in flux changes its addresses, how many it offers, and how long they hold.
const CHANGE_EVERY_S: u64 = 180;
const ADDRESSES: usize = 5;
const TTL_S: u32 = 120;

/// Who asks, and who answers.
const CLIENT: [u8; 4] = [10, 0, 0, 7];
const RESOLVER: [u8; 4] = [10, 0, 0, 53];

/// See the module's head.
pub(super) struct Story {
    seed: u64,
    end: Timestamp,
    domain: String,
}

impl Story {
    /// A story that ends at `end`; addresses and name follow from `seed`.
    pub(super) fn new(seed: u64, end: Timestamp) -> Self {
        Self { seed, end, domain: format!("fluxtap-selftest-{:08x}.example", seed as u32) }
    }

    /// The name in flux.
    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    /// Its packets.
    pub(super) fn into_source(self, settings: &Settings) -> Packets {
        let port = settings.dns_ports.first().copied().unwrap_or(53);
        let mut dice = Dice(self.seed);
        let neighbour = format!("neighbour-of-{}", self.domain);
        let still = [dice.address(), dice.address()];
        let mut flux = Vec::new();
        let mut frames = VecDeque::new();
        let begin_s = self.end.secs().saturating_sub(STORY_S);
        for after_s in (0..STORY_S).step_by(LOOK_UP_EVERY_S as usize) {
            if after_s % CHANGE_EVERY_S == 0 {
                flux = (0..ADDRESSES).map(|_| dice.address()).collect();
            }
            let at = Timestamp::from_secs(begin_s + after_s);
            for (name, addresses) in [(&self.domain, &flux[..]), (&neighbour, &still)] {
                let ids = dice.next();
                let id = ids as u16;
                // Clients take any port; a resolver's must not be one of them.
                let from = 1_024 + (ids >> 16) as u16 % 40_000;
                let query = frame(CLIENT, RESOLVER, [from, port], &message(id, name, None));
                frames.push_back((at, query));
                let answer = message(id, name, Some(addresses));
                let answer = frame(RESOLVER, CLIENT, [port, from], &answer);
                frames.push_back((Timestamp(at.0 + 20_000_000), answer));
            }
        }
        Packets { frames }
    }
}

/// The packets of a story.
pub(super) struct Packets {
    frames: VecDeque<(Timestamp, Vec<u8>)>,
}

impl Source for Packets {
    fn next_batch(&mut self, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<Batch> {
        let Some((at, bytes)) = self.frames.pop_front() else { return Ok(Batch::End) };
        let wire_len = bytes.len() as u32;
        visit(Packet { at, link: LinkType::ETHERNET, bytes: &bytes, wire_len });
        Ok(Batch::More)
    }
}

/// Numbers that follow from a seed (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An ordinary address: special ones would rightly not count.
    fn address(&mut self) -> [u8; 4] {
        loop {
            let address = (self.next() as u32).to_be_bytes();
            let is_low = (1..224).contains(&address[0]);
            if is_low && !fluxtap_intel::special::is_special_use(address.into()) {
                return address;
            }
        }
    }
}

/// A query, or the response with these addresses.
fn message(id: u16, name: &str, addresses: Option<&[[u8; 4]]>) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    let flags: u16 = if addresses.is_some() { 0x8180 } else { 0x0100 };
    let addresses = addresses.unwrap_or_default();
    for number in [flags, 1, addresses.len() as u16, 0, 0] {
        message.extend_from_slice(&number.to_be_bytes());
    }
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    for address in addresses {
        // A pointer to the question's name, type A, class IN.
        message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        message.extend_from_slice(&TTL_S.to_be_bytes());
        message.extend_from_slice(&[0, 4]);
        message.extend_from_slice(address);
    }
    message
}

/// Ethernet, IPv4 and UDP around a message.
fn frame(from: [u8; 4], to: [u8; 4], [source, destination]: [u16; 2], message: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let udp_len = 8 + message.len() as u16;
    let mut ip = vec![0x45, 0];
    ip.extend_from_slice(&(20 + udp_len).to_be_bytes());
    ip.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0]);
    ip.extend_from_slice(&from);
    ip.extend_from_slice(&to);
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    frame.extend_from_slice(&ip);
    // Without a checksum, which UDP over IPv4 permits.
    for number in [source, destination, udp_len, 0] {
        frame.extend_from_slice(&number.to_be_bytes());
    }
    frame.extend_from_slice(message);
    frame
}

/// Counts the alerts of the story.
pub(super) struct Watcher {
    output: Output,
    domain: String,
    is_shown: bool,
    lines: u64,
    others: u64,
}

impl Watcher {
    pub(super) fn new(output: Output, domain: String, is_shown: bool) -> Self {
        Self { output, domain, is_shown, lines: 0, others: 0 }
    }

    /// Alert lines about the name in flux.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Alert lines about anything else.
    pub(super) fn others(&self) -> u64 {
        self.others
    }

    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    /// What sinks did with the alerts.
    pub(super) fn sinks(&self) -> Vec<SinkCounts> {
        self.output.sinks()
    }
}

impl Follow for Watcher {
    fn alerted(&mut self, alerts: &mut Vec<Alert>) -> Result<(), Closed> {
        for alert in alerts.iter() {
            let name = WireText(&alert.evidence.domain).to_string();
            *if name == self.domain { &mut self.lines } else { &mut self.others } += 1;
        }
        if self.is_shown {
            return self.output.write(alerts);
        }
        alerts.clear();
        Ok(())
    }
}
