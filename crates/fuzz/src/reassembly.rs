//! Fragments, told as a story: `[limits, steps...]`.
//!
//! After every step each packet that was begun has ended in one way or is held, and entries and
//! bytes are within their limits. A packet whose pieces come one after another becomes whole with its
//! last piece, of bytes that overlap the first stay, and no flood before it changes that.

use crate::HASH_KEY;
use crate::script::Script;
use fluxtap_flow::{FragmentEnd, Fragments, REASSEMBLED_OCTETS_MAX, TableLimits};
use fluxtap_wire::{Ends, Fragment, PacketEnd, Timestamp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// A table is not smaller than this: an eighth of it holds the largest packet.
const BYTES_MAX: usize = 2 << 20;

/// Fragments of one flood.
const FLOOD_MAX: usize = 64;

/// What payloads are cut from.
static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..=u16::MAX).map(|place| (place % 251) as u8).collect());

/// See the module's head.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(limits) = script.byte() else { return };
    let mut story = Story::new([8, 64, 8_192][usize::from(limits % 3)]);
    while let Some(step) = script.byte() {
        if story.step(step, &mut script).is_none() {
            break;
        }
        story.check();
    }
}

struct Story {
    fragments: Fragments,
    entries_max: usize,
    now: Timestamp,
    /// Numbers that no packet had yet.
    fresh: u32,
}

impl Story {
    fn new(entries_max: usize) -> Self {
        let limits = TableLimits { entries_max, bytes_max: BYTES_MAX, lifetime_s: 30 };
        Self {
            fragments: Fragments::new(limits, HASH_KEY),
            entries_max,
            now: Timestamp::from_secs(1_000),
            // Behind those of the few packets that steps choose from.
            fresh: 1 << 8,
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        match step & 7 {
            0..=3 => self.piece(step, script),
            4 => self.flood(script),
            5 => {
                self.now = self.now.plus_secs(u64::from(script.byte()? & 63));
                Some(())
            }
            _ => self.exchange(script),
        }
    }

    fn check(&self) {
        let counts = self.fragments.counts();
        assert!(counts.is_conserved(), "{counts:?}");
        assert!(counts.held <= self.entries_max as u64, "{counts:?}");
        let held = self.fragments.held_octets();
        assert!(held <= BYTES_MAX, "{held} bytes held, {counts:?}");
    }

    /// Any fragment of one of a few packets.
    fn piece(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        let [flags, way] = [script.byte()?, script.byte()?];
        let (offset, len) = (u32::from(script.word()?) * 8, usize::from(script.word()?));
        let fragment = Fragment {
            ends: ends(u32::from(way & 3), u32::from(way >> 2 & 1), step & 8 != 0),
            protocol: if way & 8 == 0 { 17 } else { 6 },
            identification: u32::from(way >> 4),
            offset,
            has_more: flags & 1 != 0,
            depth: flags >> 4 & 1,
            payload: &PATTERN[..len],
            is_cut: flags & 2 != 0,
        };
        let probed = (flags & 4 != 0).then_some(PacketEnd::OtherPort);
        match self.fragments.take(self.now, &fragment, |_| probed) {
            FragmentEnd::Whole(packet) => {
                let whole = packet.as_fragment();
                assert!(whole.payload.len() as u64 <= REASSEMBLED_OCTETS_MAX, "{whole:?}");
                assert_eq!((whole.ends, whole.offset, whole.has_more), (fragment.ends, 0, false));
                self.fragments.recycle(packet);
            }
            FragmentEnd::Unwanted(end) => assert_eq!(end, PacketEnd::OtherPort),
            FragmentEnd::TooLong => {
                assert!(u64::from(offset) + len as u64 > REASSEMBLED_OCTETS_MAX);
            }
            FragmentEnd::Misaligned => assert!(!fragment.is_cut),
            FragmentEnd::Kept | FragmentEnd::TooManyPieces => {}
        }
        Some(())
    }

    /// First fragments of packets from everywhere or from one source, of which no more follows.
    fn flood(&mut self, script: &mut Script<'_>) -> Option<()> {
        let (count, kind) = (script.below(FLOOD_MAX)?, script.byte()?);
        let len = usize::from(script.word()? & !7).max(8);
        for _ in 0..count {
            self.fresh += 1;
            let source = if kind & 1 == 0 { 9 } else { self.fresh };
            let fragment = Fragment {
                ends: ends(source, self.fresh, kind & 2 != 0),
                protocol: 17,
                identification: self.fresh,
                offset: u32::from(kind >> 2) * 8,
                has_more: true,
                depth: 0,
                payload: &PATTERN[..len],
                is_cut: false,
            };
            let end = self.fragments.take(self.now, &fragment, |_| None);
            assert!(matches!(end, FragmentEnd::Kept | FragmentEnd::TooLong), "{end:?}");
            self.check();
        }
        Some(())
    }

    /// A packet all of whose pieces come now, in any order, some of them more than once.
    fn exchange(&mut self, script: &mut Script<'_>) -> Option<()> {
        self.fresh += 1;
        let (whole_len, kind) = (1 + usize::from(script.byte()?) * 8, script.byte()?);
        let ends = ends(u32::from(kind & 1), self.fresh, kind & 2 != 0);
        let mut model: Vec<Option<u8>> = vec![None; whole_len];
        for turn in 0..16_u8 {
            let (from, len) = (script.below(256)? * 8, (1 + script.below(32)?) * 8);
            let from = from % whole_len.next_multiple_of(8);
            // The last turn takes what is left, so that packets do become whole.
            let (from, to) =
                if turn == 15 { (0, whole_len) } else { (from, (from + len).min(whole_len)) };
            // Each turn has bytes of its own, so that it shows whose stay.
            let payload: Vec<u8> = (from..to).map(|place| (place as u8) ^ turn << 4).collect();
            for (place, byte) in (from..to).zip(&payload) {
                model[place].get_or_insert(*byte);
            }
            let fragment = Fragment {
                ends,
                protocol: 17,
                identification: self.fresh,
                offset: from as u32,
                has_more: to < whole_len,
                depth: 0,
                payload: &payload,
                is_cut: false,
            };
            match self.fragments.take(self.now, &fragment, |_| None) {
                FragmentEnd::Whole(packet) => {
                    let whole = packet.as_fragment();
                    let expected: Option<Vec<u8>> = model.into_iter().collect();
                    assert_eq!(Some(whole.payload), expected.as_deref());
                    assert!(!whole.is_cut);
                    self.fragments.recycle(packet);
                    return Some(());
                }
                FragmentEnd::Kept => {
                    assert!(model.contains(&None), "turn {turn}: all of the packet was there");
                }
                end => panic!("turn {turn}: got {end:?}"),
            }
        }
        unreachable!("the last turn makes it whole")
    }
}

fn ends(source: u32, destination: u32, is_v6: bool) -> Ends {
    let address = |number: u32| match is_v6 {
        false => IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)),
        true => IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number))),
    };
    let (source, destination) = (address(source), address(0x1_0000 + destination));
    Ends { source, destination, vlan: 0, tunnel: None }
}
