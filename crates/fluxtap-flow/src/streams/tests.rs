//! Streams told segment by segment.

use super::*;
use crate::testing::{Dice, ends, query, response};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

const LIMITS: TableLimits = TableLimits { entries_max: 1_024, bytes_max: 4 << 20, lifetime_s: 60 };

/// The messages of every script: of a usual length, shortest, longer, with one address, a query.
fn messages() -> Vec<Vec<u8>> {
    let mut all = vec![
        response(1, "www.one.example", 3),
        query(2, "."),
        response(3, "a-longer-name-than-others.three.example", 30),
        response(4, "four.example", 1),
        query(5, "www.five.example"),
    ];
    all[1][2..4].copy_from_slice(&[0x81, 0x83]);
    all
}

/// Tells a connection, and collects what comes out: `0` is message 0, `0c7` its first 7 bytes, cut.
struct Told {
    streams: Streams,
    isn: u32,
    now: Timestamp,
    stream: Vec<u8>,
    starts: Vec<usize>,
    out: Vec<String>,
}

impl Told {
    fn new(isn: u32) -> Self {
        let (mut stream, mut starts) = (Vec::new(), Vec::new());
        for message in messages() {
            starts.push(stream.len());
            stream.extend((message.len() as u16).to_be_bytes());
            stream.extend(message);
        }
        starts.push(stream.len());
        let (streams, now) = (Streams::new(LIMITS, 7), Timestamp::from_secs(1_000));
        Self { streams, isn, now, stream, starts, out: Vec::new() }
    }

    /// Each step is `FLAGS FROM..TO SNAP`, of which all may be left out: flags `syn`, `fin`, `rst`,
    /// `xxx` (other bytes); a place is a message with an offset, as `2+14`; only the first `/SNAP`
    /// bytes were captured. Or `wait SECONDS`, or `end` of input.
    fn tell(&mut self, script: &str) {
        for step in script.split('|').map(str::trim) {
            if let Some(seconds) = step.strip_prefix("wait ") {
                self.now = self.now.plus_secs(seconds.parse().expect("seconds"));
            } else if step == "end" {
                self.finish();
            } else {
                self.segment(step);
            }
        }
    }

    fn segment(&mut self, step: &str) {
        let (mut flags, mut from, mut to, mut snap, mut is_other) = (0x10, 0, 0, None, false);
        for word in step.split_whitespace() {
            match word {
                "syn" => flags |= SYN,
                "fin" => flags |= FIN,
                "rst" => flags |= RST,
                "xxx" => is_other = true,
                _ if word.starts_with('/') => snap = Some(word[1..].parse().expect("a length")),
                _ => {
                    let (first, second) = word.split_once("..").expect("a range");
                    (from, to) = (self.place(first), self.place(second));
                }
            }
        }
        let mut payload = self.stream[from..to].to_vec();
        if is_other {
            payload.fill(0xee);
        }
        payload.truncate(snap.unwrap_or(usize::MAX));
        let first = self.isn.wrapping_add(1).wrapping_add(from as u32);
        let segment = Segment {
            ends: ends(0x0808_0808, 0x0a00_0001),
            source_port: 53,
            destination_port: 40_000,
            sequence: first.wrapping_sub(u32::from(flags & SYN != 0)),
            flags,
            payload: &payload,
            payload_len: (to - from) as u32,
        };
        let (at, known, out) = (self.now, messages(), &mut self.out);
        self.streams.take(at, at, &segment, &mut |_, datagram| out.push(name(&known, datagram)));
        let counts = self.streams.counts();
        assert!(counts.is_conserved(), "{step}: {counts:?}");
    }

    fn finish(&mut self) {
        let (known, out) = (messages(), &mut self.out);
        self.streams.finish(&mut |_, datagram| out.push(name(&known, datagram)));
        assert_eq!(self.streams.counts().held, 0);
    }

    fn place(&self, text: &str) -> usize {
        let (message, offset) = text.split_once('+').unwrap_or((text, "0"));
        let number = |text: &str| text.parse::<usize>().expect("a number");
        self.starts[number(message)] + number(offset)
    }
}

fn name(known: &[Vec<u8>], datagram: &Datagram<'_>) -> String {
    assert!(datagram.is_tcp && datagram.source_port == 53);
    let payload = datagram.payload;
    match known.iter().position(|message| message.starts_with(payload)) {
        Some(number) if datagram.is_cut => format!("{number}c{}", payload.len()),
        Some(number) if known[number].len() == payload.len() => number.to_string(),
        _ => format!("?{}", payload.len()),
    }
}

#[test]
fn scripts_give_the_messages_that_are_in_them() {
    let rows: &[(&str, &str, &str)] = &[
        ("a message a segment", "syn | 0..1 | 1..2 | 2..3 | 3..4 | 4..5 | fin 5..5", "0 1 2 3 4"),
        ("all in one", "syn | 0..5", "0 1 2 3 4"),
        ("length apart", "syn | 0..0+2 | 0+2..1 | 1..1+1 | 1+1..2", "0 1"),
        ("across", "syn | 0..0+20 | 0+20..1+5 | 1+5..4+3 | 4+3..5", "0 1 2 3 4"),
        ("data on the SYN", "syn 0..1 | 1..2", "0 1"),
        ("data on the SYN, twice", "syn 0..1 | syn 0..1 | 1..2", "0 1"),
        ("data on the SYN, refused and sent again", "syn 0..1 | 0..1 | 1..2", "0 1"),
        ("SYN again", "syn | syn | 0..1 | syn | 1..2", "0 1"),
        ("data on the FIN", "syn | 0..1 | fin 1..2", "0 1"),
        ("data on the RST", "syn | 0..1 | rst 1..2", "0 1"),
        ("all on one segment", "syn fin 0..5", "0 1 2 3 4"),
        ("FIN first", "syn | fin 1..2 | 0..1", "0 1"),
        ("FIN alone first", "syn | fin 2..2 | 1..2 | 0..1", "0 1"),
        ("a message that ends early", "syn | 0..1 | fin 1..1+16", "0 1c14"),
        ("too little of a message", "syn | 0..1 | fin 1..1+13", "0"),
        ("retransmitted", "syn | 0..1 | 0..1 | 0..2 | 0+3..2 | 2..3", "0 1 2"),
        (
            "retransmitted behind the end",
            "syn | 0..1 | fin 1..2 | fin 1..2 | 0..2 | fin 2..2",
            "0 1",
        ),
        ("keep-alive", "syn | 0..1 | xxx 0+10..0+11 | 1..2", "0 1"),
        ("first bytes win", "syn | 0..0+20 | xxx 0+10..0+30 | 0+20..1", "?81"),
        ("first bytes win ahead", "syn | 1..2 | xxx 0+60..2+8 | 0..0+60", "?81 1"),
        ("out of order", "syn | 3..5 | 1..2 | 2..3 | 0..1", "0 1 2 3 4"),
        ("ahead with parts of messages", "syn | 2+9..3+9 | 0..0+3 | 0+3..2+9 | 3+9..4", "0 1 2 3"),
        ("ahead twice", "syn | 1..2 | 1..2 | 1..3 | 0..1", "0 1 2"),
        ("one after another on the same ports", "syn | 0..1 | fin 1..1 | syn | 0..1", "0 0"),
    ];
    for (what, script, expected) in rows {
        // Numbers that wrap at every place of the stream.
        for isn in [0, 0x7fff_ffff, u32::MAX, u32::MAX - 10, u32::MAX - 100, u32::MAX - 500] {
            let mut told = Told::new(isn);
            told.tell(script);
            assert_eq!(told.out.join(" "), *expected, "{what} from {isn:#x}");
            let counts = told.streams.counts();
            assert_eq!((counts.joined_midway, counts.gaps), (0, 0), "{what}: {counts:?}");
        }
    }
}

#[test]
fn what_is_missing_is_stepped_over() {
    let rows: &[(&str, &str, &str)] = &[
        ("a lost message", "syn | 0..1 | 2..3 | wait 2 | 3..4", "0 2 3"),
        ("nothing comes after it", "syn | 0..1 | 2..3 | end", "0 2"),
        ("a FIN after it", "syn | 0..1 | 2..3 | fin 3..3 | wait 2 | end", "0 2"),
        ("idle", "syn | 0..1 | 2..3 | wait 70 | syn", "0 2"),
        ("within a message", "syn | 0..2+40 | 2+60..3 | 3..4 | end", "0 1 2c38 3"),
        ("end of a message lost", "syn | 0..2+40 | 3..4 | end", "0 1 2c38 3"),
        ("beginning lost", "syn | 0..1 | 2+40..4 | end", "0 3"),
        ("over the end of a message", "syn | 0..2+40 | 3+10..5 | end", "0 1 2c38 4"),
        ("half a length", "syn | 0..2+1 | 2+5..4 | end", "0 1 3"),
        ("length only", "syn | 0..2+2 | 2+5..4 | end", "0 1 3"),
        ("two gaps", "syn | 0..1 | 2..3 | 4..5 | wait 2 | syn | wait 2 | syn", "0 2 4"),
        ("the missing comes late", "syn | 0..1 | 2..3 | wait 2 | 1..2 | 3..4", "0 2 3"),
        ("the missing comes in time", "syn | 0..1 | 2..3 | wait 1 | 1..2 | 3..4", "0 1 2 3"),
        (
            "the next gap has its own second",
            "syn | 1..2 | wait 1 | 0..1 | 3..4 | wait 1 | 4..5 | 2..3",
            "0 1 2 3 4",
        ),
        ("snapped within a message", "syn | 0..2 | 2..3 /40 | 3..4", "0 1 2c38 3"),
        ("snapped within one of several", "syn | 0..5 /30", "0c28"),
        ("snapped, one each", "syn | 0..1 /30 | 1..2 /30 | 2..3 /30", "0c28 1 2c28"),
        ("snapped before the message", "syn | 0..1 | 1..2 /0 | 2..3", "0 2"),
        ("snapped over a boundary", "syn | 0..2+9 /60 | 2+9..3 | 3..4", "0c58 3"),
        ("snapped and ahead", "syn | 1..2 | 0..1 /30 | 2..3", "0c28 1 2"),
    ];
    for (what, script, expected) in rows {
        for isn in [0, u32::MAX, u32::MAX - 100, u32::MAX - 500] {
            let mut told = Told::new(isn);
            told.tell(script);
            assert_eq!(told.out.join(" "), *expected, "{what} from {isn:#x}");
        }
    }
}

#[test]
fn streams_are_joined_midway() {
    let rows: &[(&str, &str, &str)] = &[
        ("at a boundary", "0..1 | 1..3 | 3..5", "0 1 2 3 4"),
        ("at a boundary, in parts", "0..0+30 | 0+30..1 | 1..2", "0 1"),
        ("inside a message", "2+40..4 | 4..5", "3 4"),
        ("inside, the rest apart", "2+40..3 | 3..4 | 4..5", "3 4"),
        ("inside, next boundary split", "2+40..3+40 | 3+40..5", "3 4"),
        ("only the middle", "2+40..2+80 | 2+80..2+120", ""),
        ("on the FIN", "fin 3..4", "3"),
        ("bytes of something else", "xxx 0..3 | xxx 3..5 | end", ""),
        ("after a FIN without the SYN", "syn | 0..1 | fin 1..1 | 2..3", "0 2"),
    ];
    for (what, script, expected) in rows {
        let mut told = Told::new(u32::MAX - 100);
        told.tell(script);
        assert_eq!(told.out.join(" "), *expected, "{what}");
    }
}

#[test]
fn counts_say_what_happened() {
    let mut told = Told::new(5);
    told.tell("syn | 0..1 | 0..1 | 0..2 | 4..5 | 3..4 | wait 2 | end");
    assert_eq!(told.out.join(" "), "0 1 3 4");
    let counts = told.streams.counts();
    let expected = StreamCounts {
        begun: 1,
        expired: 1,
        retransmitted: 1,
        overlapping: 1,
        out_of_order: 2,
        gaps: 1,
        resynchronised: 1,
        ..StreamCounts::default()
    };
    assert_eq!(counts, expected);
    let mut told = Told::new(5);
    told.tell("2+300..3+4 | xxx 3..4 | 2+300..4 | fin 4..4");
    assert_eq!(told.out.join(" "), "3");
    let counts = told.streams.counts();
    assert_eq!((counts.begun, counts.unread, counts.ended), (3, 2, 1), "{counts:?}");
}

/// Two shortest messages in up to four segments, split everywhere and in every order.
#[test]
fn every_split_in_every_order_gives_the_same_messages() {
    let (first, second) = (query(1, "."), query(2, "a."));
    let stream: Vec<u8> = [&first, &second]
        .iter()
        .flat_map(|m| [&(m.len() as u16).to_be_bytes()[..], m].concat())
        .collect();
    let mut streams = Streams::new(LIMITS, 7);
    let mut runs = 0_u32;
    let len = stream.len();
    for a in 1..len {
        for b in a..len {
            for c in (b..len).step_by(if b == a { len } else { 1 }) {
                let parts = [0..a, a..b, b..c, c..len];
                for order in orders() {
                    runs += 1;
                    let mut out = Vec::new();
                    let mut tell = |sequence, flags, payload: &[u8]| {
                        let segment = Segment {
                            ends: ends(runs, 1),
                            source_port: 53,
                            destination_port: 9,
                            sequence,
                            flags,
                            payload,
                            payload_len: payload.len() as u32,
                        };
                        let now = Timestamp::from_secs(1);
                        streams.take(now, now, &segment, &mut |_, datagram| {
                            assert!(!datagram.is_cut);
                            out.push(datagram.payload.to_vec());
                        });
                    };
                    tell(u32::MAX - 9, SYN, &[]);
                    for range in order.map(|part| parts[part].clone()) {
                        tell((u32::MAX - 8).wrapping_add(range.start as u32), 0, &stream[range]);
                    }
                    let is_good = out.len() == 2 && out[0] == first && out[1] == second;
                    assert!(is_good, "{parts:?} in the order {order:?}: {out:?}");
                }
            }
        }
    }
    assert!(runs > 100_000, "{runs}");
    let counts = streams.counts();
    assert_eq!((counts.gaps, counts.octets_skipped), (0, 0));
    assert!(counts.is_conserved() && counts.held <= 1_024, "{counts:?}");
}

fn orders() -> Vec<[usize; 4]> {
    let mut orders = Vec::new();
    for a in 0..4 {
        for b in 0..4 {
            for c in 0..4 {
                let d = 6_usize.wrapping_sub(a + b + c);
                if a != b && a != c && b != c && d < 4 {
                    orders.push([a, b, c, d]);
                }
            }
        }
    }
    assert_eq!(orders.len(), 24);
    orders
}

/// What a host that opens connections, or sends anything, can do to the others: nothing.
#[test]
fn floods_leave_real_streams_alone() {
    let message = response(9, "real.example", 30);
    let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    let mut dice = Dice(1);
    let mut streams = Streams::new(LIMITS, 7);
    let mut seen = 0;
    for round in 0..200_u32 {
        let now = Timestamp(u64::from(round) * 10_000_000);
        let mut tell = |source, sequence, flags, payload: &[u8]| {
            let segment = Segment {
                ends: ends(source, 7),
                source_port: 53,
                destination_port: 1_024 + round as u16,
                sequence,
                flags,
                payload,
                payload_len: payload.len() as u32,
            };
            streams.take(now, now, &segment, &mut |_, datagram| {
                seen += u32::from(datagram.payload == message);
            });
        };
        tell(1, 99, SYN, &[]);
        tell(1, 100, 0, &framed[..100]);
        // From everywhere: half-open connections, and bytes that mean nothing.
        for _ in 0..1_000 {
            tell(dice.next() as u32, dice.next() as u32, SYN, &[]);
            tell(dice.next() as u32, dice.next() as u32, 0, &framed[40..]);
        }
        // From one host: messages that never end.
        for port in 0..500_u32 {
            tell(0x0505_0505, port << 16, 0, &framed[..framed.len() - 1]);
        }
        tell(1, 200, FIN, &framed[100..]);
    }
    assert_eq!(seen, 200);
    let counts = streams.counts();
    assert!(counts.is_conserved(), "{counts:?}");
    assert!(counts.held <= 1_024 && counts.unread > 190_000, "{counts:?}");
}

/// Any bytes, cut and flagged in any way, are survived, and the limits hold.
#[test]
fn any_segments_are_survived() {
    let told = Told::new(0);
    let mut dice = Dice(3);
    let limits = TableLimits { entries_max: 64, bytes_max: 0, lifetime_s: 3 };
    let mut streams = Streams::new(limits, 7);
    let (mut seen, mut cut) = (0, 0);
    for step in 0..300_000_u64 {
        let now = Timestamp(step * 20_000_000);
        let from = dice.below(told.stream.len());
        let mut payload = told.stream[from..].to_vec();
        payload.truncate(dice.below(400));
        for _ in 0..dice.below(3) / 2 * dice.below(4) {
            if let Some(byte) = payload.get_mut(dice.below(400)) {
                *byte = dice.next() as u8;
            }
        }
        let payload_len = payload.len() as u32 + u32::from(dice.below(9) == 0) * dice.next() as u32;
        let segment = Segment {
            ends: ends(dice.below(100) as u32, 1),
            source_port: 53,
            destination_port: 9,
            sequence: (from as u32).wrapping_sub(dice.below(2) as u32 * 100),
            flags: if dice.below(8) == 0 { dice.next() as u8 } else { 0x10 },
            payload: &payload,
            payload_len,
        };
        streams.take(now, now, &segment, &mut |at, datagram| {
            assert!(at <= now);
            seen += 1;
            cut += u32::from(datagram.is_cut);
        });
        let counts = streams.counts();
        assert!(counts.is_conserved() && counts.held <= 64, "{counts:?}");
    }
    let counts = streams.counts();
    let all = [counts.ended, counts.expired, counts.evicted, counts.unread, counts.overlapping];
    let more = [counts.retransmitted, counts.out_of_order, counts.gaps, counts.resynchronised];
    assert!(all.iter().chain(&more).all(|&n| n > 100), "{counts:?}");
    assert!(seen > 1_000 && cut > 100, "{seen}, {cut} of them cut");
}
