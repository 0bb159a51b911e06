//! DNS messages out of captures, and mutations of them.

use crate::support::{all_files, corpus, workspace};
use fluxtap_capture::{CaptureReader, Next};
use fluxtap_flow::{FlowSettings, FragmentEnd, Fragments, Streams};
use fluxtap_wire::{Carried, Datagram, Fragment, Layers, Segment, Timestamp, layers};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longer ones are left out of a mutation: `dns-parser` needs their square.
const MUTATED_OCTETS_MAX: usize = 4_096;

/// The captures that are shipped, and all files of the corpus.
pub(crate) fn captures() -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let pcaps = entries(&workspace().join("pcaps"));
    let shipped = pcaps.filter(|path| path.is_dir()).flat_map(|folder| entries(&folder));
    let is_capture =
        |path: &PathBuf| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng");
    let files = shipped.filter(is_capture).chain(corpus().into_iter().flat_map(|c| all_files(&c)));
    let files: Vec<PathBuf> = files.collect();
    files.into_iter().map(|file| {
        let bytes = fs::read(&file).expect("a readable file");
        (file, bytes)
    })
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.expect("an entry").path())
}

/// Every different message in them, and those that lie there as files of their own.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let mut messages = BTreeSet::new();
    for (file, bytes) in captures() {
        let extension = file.extension().unwrap_or_default();
        let is_message = ["bin", "pkt", "raw"].iter().any(|one| extension == *one);
        if is_message && bytes.len() <= usize::from(u16::MAX) {
            messages.insert(bytes);
        } else {
            of_capture(&bytes, &mut messages);
        }
    }
    messages.into_iter().collect()
}

fn of_capture(capture: &[u8], messages: &mut BTreeSet<Vec<u8>>) {
    let settings = FlowSettings::default();
    let (layers, key) = (Layers::default(), 1);
    let mut fragments = Fragments::new(settings.fragments, key);
    let mut streams = Streams::new(settings.streams, key);
    let mut reader = CaptureReader::new(capture);
    let mut keep = |_: Timestamp, datagram: &Datagram<'_>| {
        messages.insert(datagram.payload.to_vec());
    };
    while let Next::Packet(packet) = reader.next().expect("reading memory does not fail") {
        let at = packet.at;
        let mut segment = |segment: &Segment<'_>, keep| streams.take(at, at, segment, keep);
        match layers::decode(&packet, &layers) {
            Ok(Carried::Datagram(datagram)) => keep(at, &datagram),
            Ok(Carried::Segment(found)) => segment(&found, &mut keep),
            Ok(Carried::Fragment(fragment)) => {
                let probe = |_: &Fragment<'_>| None;
                let FragmentEnd::Whole(packet) = fragments.take(at, &fragment, probe) else {
                    continue;
                };
                let whole = packet.as_fragment();
                match layers::resume(&whole, whole.payload, &layers) {
                    Ok(Carried::Datagram(datagram)) => keep(at, &datagram),
                    Ok(Carried::Segment(found)) => segment(&found, &mut keep),
                    _ => {}
                }
            }
            Err(_) => {}
        }
    }
    streams.finish(&mut keep);
}

/// A fixed pseudo-random sequence (the multiplier is Knuth's).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// One that belongs to these bytes (FNV-1a).
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 ^ self.0 >> 29) >> 33) as usize % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

/// A message with one to four changes, as damage and as malice would make them.
pub(crate) fn mutate(message: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut octets = message[..message.len().min(MUTATED_OCTETS_MAX)].to_vec();
    for _ in 0..=dice.below(4) {
        if octets.is_empty() {
            break;
        }
        let at = dice.below(octets.len());
        match dice.below(8) {
            0 => octets[at] = dice.byte(),
            1 => octets[at] ^= 1 << dice.below(8),
            2 => octets.truncate(at),
            3 => {
                octets.remove(at);
            }
            4 => octets.insert(at, dice.byte()),
            // A pointer, mostly to somewhere in front of it.
            5 => {
                let target =
                    if dice.below(4) == 0 { dice.below(octets.len() + 4) } else { dice.below(at) };
                let pointer = [0xc0 | (target >> 8) as u8 & 0x3f, target as u8];
                let room = octets.len() - at;
                octets.splice(at..at + room.min(2), pointer);
            }
            // A number of one or two bytes that is off by a little: lengths and counts.
            6 => {
                let place =
                    if dice.below(2) == 0 { at } else { (4 + dice.below(8)).min(octets.len() - 1) };
                octets[place] = octets[place].wrapping_add(dice.below(5) as u8).wrapping_sub(2);
            }
            // The end of another message.
            _ => {
                let from = at.min(other.len());
                octets.truncate(at);
                octets.extend(&other[from..other.len().min(MUTATED_OCTETS_MAX)]);
            }
        }
    }
    octets
}
