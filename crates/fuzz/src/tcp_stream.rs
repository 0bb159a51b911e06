//! TCP segments, told as a story: `[limits, steps...]`.
//!
//! After every step each stream that was begun has ended in one way or is held, and entries and bytes
//! are within their limits; at the end nothing is held. A connection that is seen from its first
//! packet gives exactly its messages, however they are cut into segments and in whatever order these
//! come, as long as nothing is missing for more than a second; no flood before it changes that.

use crate::HASH_KEY;
use crate::script::Script;
use fluxtap_flow::{Streams, TableLimits};
use fluxtap_wire::{Datagram, Ends, Segment, Timestamp};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

/// A table is not smaller than this: an eighth of it holds the largest stream.
const BYTES_MAX: usize = 2 << 20;

/// Segments of one flood.
const FLOOD_MAX: usize = 64;

/// Segments of a connection that is seen whole.
const TURNS: u8 = 16;

/// For so long a gap is waited for, in nanoseconds.
const GAP_NS: u64 = Timestamp::SECOND;

/// What payloads are cut from: messages with their lengths, again and again.
static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| framed(40).into_iter().cycle().take(1 << 17).collect());

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// See the module's head.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(limits) = script.byte() else { return };
    let mut story = Story::new([8, 64, 16_384][usize::from(limits % 3)]);
    while let Some(step) = script.byte() {
        if story.step(step, &mut script).is_none() {
            break;
        }
        story.check();
    }
    story.streams.finish(&mut assert_message);
    let counts = story.streams.counts();
    assert!(counts.is_conserved() && counts.held == 0, "{counts:?}");
    assert_eq!(story.streams.held_octets(), 0);
}

struct Story {
    streams: Streams,
    entries_max: usize,
    now: Timestamp,
    /// Numbers that no connection had yet.
    fresh: u32,
}

impl Story {
    fn new(entries_max: usize) -> Self {
        let limits = TableLimits { entries_max, bytes_max: BYTES_MAX, lifetime_s: 30 };
        Self {
            streams: Streams::new(limits, HASH_KEY),
            entries_max,
            now: Timestamp::from_secs(1_000),
            fresh: 0,
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        match step & 7 {
            0..=2 => self.segment(step, script),
            3 => self.own_bytes(step, script),
            4 => self.flood(script),
            5 => {
                // Up to 64 s, in steps of an eighth.
                let eighths = u64::from(script.word()? & 511);
                self.now.0 += eighths * (Timestamp::SECOND / 8);
                Some(())
            }
            _ => self.connection(script),
        }
    }

    fn check(&self) {
        let counts = self.streams.counts();
        assert!(counts.is_conserved(), "{counts:?}");
        assert!(counts.held <= self.entries_max as u64, "{counts:?}");
        let held = self.streams.held_octets();
        assert!(held <= BYTES_MAX, "{held} bytes held, {counts:?}");
    }

    /// Any segment of one of a few connections, with a part of the pattern.
    fn segment(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        let (flags, sequence) = (script.byte()?, u32::from(script.word()?));
        let (len, hole) = (usize::from(script.word()?), u32::from(script.byte()?));
        let at = sequence as usize % (1 << 16);
        self.take(step, flags, sequence, &PATTERN[at..at + len], hole);
        Some(())
    }

    /// The same with bytes of the script itself.
    fn own_bytes(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        let (flags, sequence) = (script.byte()?, u32::from(script.word()?));
        let len = usize::from(script.byte()?);
        let payload = script.take(len);
        self.take(step, flags, sequence, payload, 0);
        Some(())
    }

    fn take(&mut self, step: u8, flags: u8, sequence: u32, payload: &[u8], hole: u32) {
        let segment = Segment {
            ends: ends(u32::from(step >> 3 & 3), 1),
            source_port: 53,
            destination_port: 40_000 + u16::from(step >> 5),
            // Near the place where numbers wrap.
            sequence: sequence.wrapping_sub(1 << 15),
            flags,
            payload,
            payload_len: payload.len() as u32 + hole,
        };
        self.streams.take(self.now, self.now, &segment, &mut assert_message);
    }

    /// Segments of connections from everywhere or from one source, of which no more follows.
    fn flood(&mut self, script: &mut Script<'_>) -> Option<()> {
        let (count, kind, len) = (script.below(FLOOD_MAX)?, script.byte()?, script.word()?);
        for _ in 0..count {
            self.fresh += 1;
            let source = if kind & 1 == 0 { 9 } else { self.fresh };
            let mut tell = |flags, sequence, payload: &[u8]| {
                let segment = Segment {
                    ends: ends(source, self.fresh),
                    source_port: 53,
                    destination_port: 9,
                    sequence,
                    flags,
                    payload,
                    payload_len: payload.len() as u32,
                };
                self.streams.take(self.now, self.now, &segment, &mut assert_message);
            };
            if kind & 2 == 0 {
                tell(SYN, 0, &[]);
            }
            if kind & 4 == 0 {
                // With a gap before it, if so asked, that is never filled.
                tell(ACK, 1 + u32::from(kind >> 3), &PATTERN[..usize::from(len)]);
            }
            self.check();
        }
        Some(())
    }

    /// A connection seen from its first packet to its last, in any order.
    fn connection(&mut self, script: &mut Script<'_>) -> Option<()> {
        self.fresh += 1;
        let (kind, isn) = (script.byte()?, u32::from(script.word()?) << 16 | 0xff00);
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..=kind & 3 {
            let message = framed(usize::from(script.byte()?));
            expected.push(message[2..].to_vec());
            stream.extend(message);
        }
        let mut got = Vec::new();
        let segment = Segment {
            ends: ends(u32::from(kind >> 2 & 3), self.fresh),
            source_port: 53,
            destination_port: 7,
            sequence: isn,
            flags: SYN,
            payload: &[],
            payload_len: 0,
        };
        // Streams of the flood may end at the same time.
        self.streams.take(self.now, self.now, &segment, &mut assert_message);
        let mut missing = vec![true; stream.len()];
        // Since when there is something behind a gap.
        let mut gap_since: Option<Timestamp> = None;
        for turn in 0..TURNS {
            let (from, len) = (usize::from(script.byte()?), 1 + usize::from(script.byte()?));
            let wait = u64::from(script.byte()?) * (GAP_NS / 256);
            if gap_since.is_none_or(|since| (self.now.0 + wait) - since.0 < GAP_NS) {
                self.now.0 += wait;
            }
            let from = from * 4 % stream.len();
            let (from, to) = match turn + 1 == TURNS {
                true => (0, stream.len()),
                false => (from, (from + len).min(stream.len())),
            };
            let payload = &stream[from..to];
            let is_last = to == stream.len() && kind & 0x10 != 0;
            let segment = Segment {
                sequence: isn.wrapping_add(1).wrapping_add(from as u32),
                flags: if is_last { ACK | FIN } else { ACK },
                payload,
                payload_len: payload.len() as u32,
                ..segment
            };
            self.streams.take(self.now, self.now, &segment, &mut |at, datagram| {
                assert_message(at, datagram);
                if (datagram.ends, datagram.destination_port) == (segment.ends, 7) {
                    assert!(!datagram.is_cut, "turn {turn}");
                    got.push(datagram.payload.to_vec());
                }
            });
            missing[from..to].fill(false);
            let first = missing.iter().position(|missing| *missing);
            let is_gap = first.is_some_and(|first| missing[first..].contains(&false));
            gap_since = is_gap.then(|| gap_since.unwrap_or(self.now));
            let so_far = expected_before(&expected, first.unwrap_or(stream.len()));
            assert_eq!(got.len(), so_far, "turn {turn}: messages");
            assert!(got.iter().eq(&expected[..so_far]), "turn {turn}: other messages");
        }
        Some(())
    }
}

/// How many messages lie in so many bytes of their stream.
fn expected_before(messages: &[Vec<u8>], octets: usize) -> usize {
    let mut end = 0;
    messages
        .iter()
        .take_while(|message| {
            end += 2 + message.len();
            end <= octets
        })
        .count()
}

fn assert_message(_: Timestamp, datagram: &Datagram<'_>) {
    assert!(datagram.is_tcp && !datagram.payload.is_empty());
    assert!(datagram.payload.len() <= usize::from(u16::MAX));
}

/// A query for the root, with so many bytes behind it, and its length before it.
fn framed(behind: usize) -> Vec<u8> {
    let mut framed = (17 + behind as u16).to_be_bytes().to_vec();
    framed.extend([behind as u8, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
    framed.resize(framed.len() + behind, 0xaa);
    framed
}

fn ends(source: u32, destination: u32) -> Ends {
    let address = |number: u32| IpAddr::V4(Ipv4Addr::from_bits(number));
    let (source, destination) = (address(0x0a00_0000 + source), address(0x0b00_0000 + destination));
    Ends { source, destination, vlan: 0, tunnel: None }
}
