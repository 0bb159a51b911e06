//! Every capture of the corpus, read by this crate and by libpcap: the same packets.

#[path = "../../fluxtap/tests/support/corpus.rs"]
#[allow(dead_code, reason = "others use other parts of it")]
mod support;

use std::fs;
use std::path::Path;

use fluxtap_capture::{CaptureReader, Damage, Ending, Next};
use pcap::{Capture, Precision};
use support::{all_files, corpus, say};

/// What both readers are asked for.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Nanoseconds, modulo 2^32 seconds: libpcap reads the seconds of classic files as signed.
    at: u128,
    wire_len: u32,
    bytes: Vec<u8>,
}

impl Seen {
    fn new(at_ns: i128, wire_len: u32, bytes: &[u8]) -> Self {
        const WRAP: i128 = (1 << 32) * 1_000_000_000;
        Self { at: at_ns.rem_euclid(WRAP) as u128, wire_len, bytes: bytes.to_vec() }
    }
}

/// What this crate reads.
struct Ours {
    packets: Vec<Seen>,
    untimed: Vec<usize>,
    ending: Ending,
    skipped: u64,
    /// Packets before the first damage that was passed over.
    before_gap: Option<usize>,
    /// The first damage.
    damage: Option<Damage>,
    /// Only our reader looks into it.
    is_ours_alone: bool,
    /// Snapshot length in the header of a classic file.
    snaplen: Option<u32>,
}

#[test]
fn same_packets_as_libpcap() {
    let Some(corpus) = corpus() else { return };
    let files = all_files(&corpus);
    let (mut compared, mut packets, mut refused) = (0, 0, 0);
    for file in &files {
        let ours = read_ours(file);
        match Capture::from_file_with_precision(file, Precision::Nano) {
            Ok(capture) => {
                packets += compare(file, &ours, capture);
                compared += 1;
            }
            Err(error) => {
                refused += 1;
                assert_refusal_agrees(file, &ours, &error.to_string());
            }
        }
    }
    say(&format!("{compared} files, {packets} packets compared, {refused} refused by libpcap"));
    assert!(compared > 0 && packets > 0, "{} files are no corpus", files.len());
}

fn read_ours(file: &Path) -> Ours {
    let mut reader = CaptureReader::new(fs::File::open(file).expect("a readable corpus file"));
    let mut ours = Ours {
        packets: Vec::new(),
        untimed: Vec::new(),
        ending: Ending::Empty,
        skipped: 0,
        before_gap: None,
        damage: None,
        is_ours_alone: fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"snoop\0\0\0")),
        snaplen: snaplen(file),
    };
    loop {
        let untimed = reader.packets_untimed();
        let next = reader.next().expect("a readable corpus file");
        match next {
            Next::Packet(packet) => {
                let at_ns = i128::from(packet.at.0);
                ours.packets.push(Seen::new(at_ns, packet.wire_len, packet.bytes));
            }
            Next::End(ending) => {
                ours.ending = ending;
                ours.damage = reader.gaps().first.map(|(_, what)| what).or(match ending {
                    Ending::Damaged { what, .. } => Some(what),
                    _ => None,
                });
                ours.skipped = reader.packets_skipped();
                ours.is_ours_alone |= reader.compression().is_some();
                return ours;
            }
        }
        if reader.gaps().count > 0 && ours.before_gap.is_none() {
            ours.before_gap = Some(ours.packets.len() - 1);
        }
        // The packet before this one has been counted by now.
        if reader.packets_untimed() > untimed {
            ours.untimed.push(ours.packets.len() - 2);
        }
    }
}

fn snaplen(file: &Path) -> Option<u32> {
    let bytes = fs::read(file).ok()?;
    let field = bytes.get(16..20)?.try_into().ok()?;
    Some(if bytes[0] == 0xa1 { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) })
}

/// Compares packet by packet up to where libpcap stops; returns how many.
fn compare(file: &Path, ours: &Ours, mut capture: Capture<pcap::Offline>) -> usize {
    let name = file.display();
    let mut count = 0;
    loop {
        match capture.next_packet() {
            Ok(theirs) => {
                // Zeros may be empty packets of 1970 to libpcap; to us they are no records.
                if theirs.header.caplen == 0 && ours.damage == Some(Damage::Zeros) {
                    return count;
                }
                let Some(our) = ours.packets.get(count) else {
                    panic!("{name}: libpcap has a packet {count}, we ended {:?}", ours.ending);
                };
                let ts = theirs.header.ts;
                let at_ns = i128::from(ts.tv_sec) * 1_000_000_000 + i128::from(ts.tv_usec);
                let mut theirs = Seen::new(at_ns, theirs.header.len, theirs.data);
                // Where a record holds more than the snapshot length of its file, libpcap leaves
                // the rest out. It was captured: we hand it over.
                if theirs.bytes.len() < our.bytes.len() {
                    assert_eq!(Some(theirs.bytes.len() as u32), ours.snaplen, "{name}: {count}");
                    theirs.bytes.extend_from_slice(&our.bytes[theirs.bytes.len()..]);
                }
                // libpcap leaves simple packet blocks in 1970, and hands on fractions of more than
                // a second, where ours saturate.
                let nonsense = !(0..1_000_000_000).contains(&ts.tv_usec)
                    && our.at / 1_000_000_000 == u128::from(ts.tv_sec as u32);
                if nonsense || (theirs.at == 0 && ours.untimed.contains(&count)) {
                    theirs.at = our.at;
                }
                assert_eq!(*our, theirs, "{name}: packet {count}");
                count += 1;
            }
            Err(pcap::Error::NoMorePackets) => {
                assert_eq!(count, ours.packets.len(), "{name}: libpcap ended");
                let whole = matches!(ours.ending, Ending::Complete | Ending::HeaderOnly);
                assert!(whole, "{name}: libpcap ended, we say {:?}", ours.ending);
                return count;
            }
            Err(error) => {
                assert_stop_agrees(file, ours, count, &error.to_string());
                return count;
            }
        }
    }
}

/// libpcap stopped after `count` packets: so did we, unless it is a thing only libpcap cannot do.
fn assert_stop_agrees(file: &Path, ours: &Ours, count: usize, error: &str) {
    let limits = ["different from the type of the first", "different from the snapshot length"];
    if limits.iter().any(|limit| error.contains(limit)) {
        return;
    }
    let name = file.display();
    let bad = matches!(ours.ending, Ending::Cut { .. } | Ending::Damaged { .. });
    let whole = ours.packets.len() == count && (bad || ours.skipped > 0);
    let agrees = whole || ours.before_gap == Some(count);
    assert!(
        agrees,
        "{name}: libpcap stops after {count} packets with {error:?}, we have {} packets and {:?}",
        ours.packets.len(),
        ours.ending
    );
}

/// libpcap does not even open the file: we must not take it for a whole capture, unless it is a
/// minor version that only libpcap is strict about, or something that only we read.
fn assert_refusal_agrees(file: &Path, ours: &Ours, error: &str) {
    let minors = ["unsupported pcap savefile version 2.", "unsupported pcapng savefile version 1."];
    if minors.iter().any(|minor| error.contains(minor)) {
        return;
    }
    let name = file.display();
    assert!(
        ours.is_ours_alone || (ours.packets.is_empty() && ours.ending != Ending::Complete),
        "{name}: libpcap refuses it with {error:?}, we have {} packets and {:?}",
        ours.packets.len(),
        ours.ending
    );
}
