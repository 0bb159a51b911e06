//! Packets told fragment by fragment.

use super::*;
use crate::testing::{Dice, ends};
use std::collections::BTreeMap;

const LIMITS: TableLimits = TableLimits { entries_max: 1_024, bytes_max: 4 << 20, lifetime_s: 30 };

/// A payload whose every eight bytes are different.
fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 8 * 37 + i) as u8).collect()
}

/// Tells fragments `FROM..TO`, with `+` if more follow, `/N` if only `N` bytes were captured, `x`
/// if the bytes are others, `#N` with another identification; or `wait SECONDS`. What comes out is
/// `FROM..TO` without a cut, `..TO c` with one, and the name of what was refused.
fn tell(fragments: &mut Fragments, script: &str) -> String {
    let whole = payload(67_000);
    let mut now = Timestamp::from_secs(1_000);
    let mut out = Vec::new();
    for step in script.split('|').map(str::trim) {
        if let Some(seconds) = step.strip_prefix("wait ") {
            now = now.plus_secs(seconds.parse().expect("seconds"));
            continue;
        }
        let mut fragment = Fragment {
            ends: ends(1, 2),
            protocol: 17,
            identification: 5,
            offset: 0,
            has_more: false,
            depth: 0,
            payload: &[],
            is_cut: false,
        };
        let mut bytes = Vec::new();
        for word in step.split_whitespace() {
            let number = |text: &str| text.parse::<usize>().expect("a number");
            match word.split_at(1) {
                ("+", _) => fragment.has_more = true,
                ("x", _) => bytes.fill(0xee),
                ("#", id) => fragment.identification = number(id) as u32,
                ("/", len) => {
                    bytes.truncate(number(len));
                    fragment.is_cut = true;
                }
                _ => {
                    let (from, to) = word.split_once("..").expect("a range");
                    let (from, to) = (number(from), number(to));
                    fragment.offset = from as u32;
                    bytes = whole[from..to].to_vec();
                }
            }
        }
        let fragment = Fragment { payload: &bytes, ..fragment };
        match fragments.take(now, &fragment, |_| None) {
            FragmentEnd::Kept => {}
            FragmentEnd::Whole(packet) => {
                let head = packet.as_fragment();
                assert_eq!((head.ends, head.protocol, head.offset), (ends(1, 2), 17, 0));
                let is_right = head.payload == &whole[..head.payload.len()];
                let cut = if head.is_cut { "c" } else { "" };
                let wrong = if is_right { "" } else { "x" };
                out.push(format!("{}{cut}{wrong}", head.payload.len()));
                fragments.recycle(packet);
            }
            other => out.push(format!("{other:?}")),
        }
        let counts = fragments.counts();
        assert!(counts.is_conserved(), "{step}: {counts:?}");
    }
    out.join(" ")
}

#[test]
fn scripts_give_the_packets_that_are_in_them() {
    let rows: &[(&str, &str, &str, [u64; 2])] = &[
        ("in order", "0..1480 + | 1480..2000", "2000", [0, 0]),
        ("out of order", "1480..2000 | 0..1480 +", "2000", [0, 0]),
        ("three in every order", "16..24 + | 24..30 | 0..16 +", "30", [0, 0]),
        ("tiny", "0..8 + | 8..16 + | 16..17", "17", [0, 0]),
        ("copies", "0..8 + | 0..8 + | 8..9 | 8..9 | 0..8 +", "9", [3, 0]),
        ("overlapping, first wins", "0..16 + | 8..24 + x | 24..30", "30x", [0, 1]),
        ("overlapped, first wins", "8..24 + | 0..16 + x | 24..30", "30x", [0, 1]),
        ("a copy with other bytes", "0..16 + | 0..16 + x | 16..20", "20", [1, 0]),
        ("around others", "8..16 + | 0..24 + x | 24..30", "30x", [0, 1]),
        ("two ends, first wins", "0..8 + | 16..24 | 16..20 | 8..16 +", "24", [1, 1]),
        ("bytes behind the end", "0..8 + | 8..12 | 8..16 +", "12", [1, 0]),
        (
            "the end before known bytes",
            "16..24 + | 8..12 | 0..8 + | 8..16 + | 24..32",
            "32",
            [0, 2],
        ),
        ("another packet in between", "0..8 + | 0..8 + #6 | 8..9 | 8..10 #6", "9 10", [0, 0]),
        ("the number again, later", "0..8 + | 8..9 | wait 2 | 0..8 + | 8..10", "9 10", [0, 0]),
        ("too late", "0..8 + | wait 31 | 8..9", "", [0, 0]),
        ("alone", "0..9", "9", [0, 0]),
        ("first cut", "0..1480 + /60 | 1480..2000", "60c", [1, 0]),
        ("second cut", "0..1480 + | 1480..2000 /60", "1540c", [0, 0]),
        ("second cut, first", "1480..2000 /60 | 0..1480 +", "1540c", [0, 0]),
        ("all cut, last first", "1480..2000 /60 | 0..1480 + /60", "60c", [0, 0]),
        ("cut to nothing", "0..8 + | 8..16 /0", "8c", [0, 0]),
        ("longest", "0..65528 + | 65528..65535", "65535", [0, 0]),
        ("too long", "65528..65536", "TooLong", [0, 0]),
        ("far too long", "65528..67000 + | 0..8 +", "TooLong", [0, 0]),
        ("no multiple of 8", "0..9 +", "Misaligned", [0, 0]),
        ("empty", "0..0 + | 8..8", "Misaligned Misaligned", [0, 0]),
    ];
    for (what, script, expected, [duplicate, overlapping]) in rows {
        let mut fragments = Fragments::new(LIMITS, 7);
        let out = tell(&mut fragments, script);
        assert_eq!(out, *expected, "{what}");
        let counts = fragments.counts();
        assert_eq!((counts.duplicate, counts.overlapping), (*duplicate, *overlapping), "{what}");
    }
}

#[test]
fn many_pieces_are_refused() {
    let mut fragments = Fragments::new(LIMITS, 7);
    let script: Vec<String> =
        (0..=PIECES_PER_PACKET_MAX).map(|i| format!("{}..{} +", i * 16, i * 16 + 8)).collect();
    assert_eq!(tell(&mut fragments, &script.join(" | ")), "TooManyPieces");
    let counts = fragments.counts();
    assert_eq!((counts.begun, counts.refused, counts.held), (1, 1, 0));
}

#[test]
fn what_the_first_fragment_shows_to_be_no_dns_is_forgotten() {
    let mut fragments = Fragments::new(LIMITS, 7);
    let bytes = payload(16);
    let mut take = |offset, has_more| {
        let fragment = Fragment {
            ends: ends(1, 2),
            protocol: 17,
            identification: 5,
            offset,
            has_more,
            depth: 0,
            payload: &bytes,
            is_cut: false,
        };
        let probe = |first: &Fragment<'_>| (first.offset == 0).then_some(PacketEnd::OtherPort);
        let end = fragments.take(Timestamp::from_secs(1), &fragment, probe);
        (matches!(end, FragmentEnd::Unwanted(PacketEnd::OtherPort)), fragments.counts())
    };
    assert!(!take(16, true).0);
    assert!(take(0, true).0);
    let (is_unwanted, counts) = take(32, false);
    assert!(is_unwanted);
    assert_eq!((counts.begun, counts.unwanted, counts.held), (1, 1, 0));
}

#[test]
fn ipv6_takes_the_protocol_of_the_first_fragment() {
    let mut fragments = Fragments::new(LIMITS, 7);
    let bytes = payload(16);
    let address =
        |last| std::net::IpAddr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    let ends = Ends { source: address(1), destination: address(2), ..ends(0, 0) };
    let mut take = |protocol, offset| {
        let fragment = Fragment {
            ends,
            protocol,
            identification: 0x1234_5678,
            offset,
            has_more: offset == 0,
            depth: 0,
            payload: &bytes,
            is_cut: false,
        };
        match fragments.take(Timestamp::from_secs(1), &fragment, |_| None) {
            FragmentEnd::Whole(packet) => Some(packet.as_fragment().protocol),
            _ => None,
        }
    };
    assert_eq!(take(60, 16), None);
    assert_eq!(take(17, 0), Some(17));
}

/// Random fragments of a few packets against bytes kept one by one.
#[test]
fn packets_are_those_of_a_naive_map() {
    let mut dice = Dice(1);
    let mut whole = 0;
    for round in 0..20_000 {
        let mut fragments = Fragments::new(LIMITS, 7);
        let mut naive = BTreeMap::<usize, u8>::new();
        let mut end = None;
        for _ in 0..12 {
            let from = dice.below(6) * 8;
            let has_more = from < 32 || dice.below(2) == 0;
            let len = if has_more { 8 + dice.below(2) * 8 } else { 1 + dice.below(8) };
            let bytes: Vec<u8> = (0..len).map(|_| dice.next() as u8).collect();
            let fragment = Fragment {
                ends: ends(1, 2),
                protocol: 17,
                identification: 5,
                offset: from as u32,
                has_more,
                depth: 0,
                payload: &bytes,
                is_cut: false,
            };
            for (place, byte) in (from..).zip(&bytes) {
                naive.entry(place).or_insert(*byte);
            }
            let last = naive.last_key_value().map_or(0, |(place, _)| place + 1);
            if !has_more && end.is_none() && last <= from + len {
                end = Some(from + len);
            }
            let expected = end.filter(|end| (0..*end).all(|place| naive.contains_key(&place)));
            let got = fragments.take(Timestamp::from_secs(1), &fragment, |_| None);
            match (got, expected) {
                (FragmentEnd::Whole(packet), Some(end)) => {
                    let expected: Vec<u8> = (0..end).map(|place| naive[&place]).collect();
                    assert_eq!(packet.as_fragment().payload, expected, "{round}");
                    whole += 1;
                    break;
                }
                (FragmentEnd::Kept, None) => {}
                other => panic!("{round}: {other:?}"),
            }
        }
    }
    assert!(whole > 1_000, "{whole}");
}

/// Real packets arrive while others send fragments that never become whole.
#[test]
fn floods_leave_real_packets_alone() {
    let mut fragments = Fragments::new(LIMITS, 7);
    let mut dice = Dice(1);
    let bytes = payload(1_480);
    let mut seen = 0;
    for round in 0..500_u32 {
        let now = Timestamp(u64::from(round) * 1_000_000);
        let mut take = |source, identification, offset, has_more| {
            let fragment = Fragment {
                ends: ends(source, 2),
                protocol: 17,
                identification,
                offset,
                has_more,
                depth: 0,
                payload: &bytes,
                is_cut: false,
            };
            matches!(fragments.take(now, &fragment, |_| None), FragmentEnd::Whole(_))
        };
        assert!(!take(1, round, 0, true));
        for _ in 0..100 {
            assert!(!take(dice.next() as u32, dice.next() as u32, 1_480, true));
        }
        for id in 0..1_000 {
            assert!(!take(0x0505_0505, round << 10 | id, 1_480, true));
        }
        seen += u32::from(take(1, round, 1_480, false));
    }
    assert_eq!(seen, 500);
    let counts = fragments.counts();
    assert!(counts.is_conserved() && counts.held <= 1_024, "{counts:?}");
    assert!(counts.evicted > 500_000, "{counts:?}");
}
