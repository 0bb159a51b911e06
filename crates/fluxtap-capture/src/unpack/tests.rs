//! Tests of unpacking.

use super::*;
use crate::testing::{Trickle, classic_file, pack, read_all, read_with_gaps};
use crate::{Ending, Foreign, Magic};

/// What comes out of an input, and how it ended.
fn unpack(compression: Compression, input: impl Read) -> (Vec<u8>, Result<(), Fault>) {
    drain(Unpacker::new(compression, &[], 0, None), input)
}

fn drain(mut unpacker: Unpacker, mut input: impl Read) -> (Vec<u8>, Result<(), Fault>) {
    let (mut out, mut piece) = (Vec::new(), [0; 1_000]);
    loop {
        match unpacker.unpack(&mut input, &mut piece).expect("reading memory does not fail") {
            Unpacked::Bytes(count) => out.extend_from_slice(&piece[..count]),
            Unpacked::Nothing => {}
            Unpacked::End => return (out, Ok(())),
            Unpacked::Fault(fault) => return (out, Err(fault)),
        }
    }
}

/// Bytes that neither repeat nor are quite random.
fn text(count: u32) -> Vec<u8> {
    (0..count).flat_map(|n| n.wrapping_mul(2_654_435_761).to_string().into_bytes()).collect()
}

#[test]
fn every_compression_unpacks() {
    for compression in Compression::ALL {
        for count in [0, 1, 100, 60_000] {
            let plain = text(count);
            let packed = pack(compression, &plain);
            let whole = (plain, Ok(()));
            assert_eq!(unpack(compression, packed.as_slice()), whole, "{compression:?} {count}");
            if count <= 100 {
                let trickle = unpack(compression, Trickle::new(&packed));
                assert_eq!(trickle, whole, "{compression:?} {count} byte by byte");
            }
        }
    }
}

#[test]
fn several_members_are_one() {
    for compression in Compression::ALL {
        let (a, b) = (text(700), text(30));
        let parts = [pack(compression, &a), pack(compression, b""), pack(compression, &b)];
        let whole = ([a, b].concat(), Ok(()));
        assert_eq!(unpack(compression, parts.concat().as_slice()), whole, "{compression:?}");
        let trickle = unpack(compression, Trickle::new(&parts.concat()));
        assert_eq!(trickle, whole, "{compression:?} byte by byte");
    }
}

#[test]
fn what_may_lie_around_the_data_may() {
    let plain = text(9);
    let skippable = b"\x50\x2a\x4d\x18\x05\0\0\0hello";
    let empty_skippable = b"\x5f\x2a\x4d\x18\0\0\0\0";
    for compression in [Compression::Zstd, Compression::Lz4] {
        let frame = pack(compression, &plain);
        let around = [&frame[..], skippable, empty_skippable, &frame, empty_skippable].concat();
        let whole = ([plain.clone(), plain.clone()].concat(), Ok(()));
        assert_eq!(unpack(compression, around.as_slice()), whole, "{compression:?}");
    }
    let padded = [pack(Compression::Gzip, &plain), vec![0; 512]].concat();
    assert_eq!(unpack(Compression::Gzip, padded.as_slice()), (plain.clone(), Ok(())));
    let padded = [pack(Compression::Xz, &plain), vec![0; 8]].concat();
    assert_eq!(unpack(Compression::Xz, padded.as_slice()), (plain.clone(), Ok(())));
}

#[test]
fn what_else_follows_is_told() {
    for compression in Compression::ALL {
        let plain = text(9);
        let packed = [&pack(compression, &plain)[..], b"and now for something"].concat();
        let fault = match compression {
            // The library does not tell.
            Compression::Xz => Fault::Corrupt,
            _ => Fault::Trailing,
        };
        assert_eq!(unpack(compression, packed.as_slice()), (plain, Err(fault)), "{compression:?}");
    }
}

/// A small capture, cut anywhere: packets up to the cut, where it is, and no more.
#[test]
fn compressed_captures_cut_at_every_byte() {
    let capture = classic_file(7, &(1..200).collect::<Vec<_>>());
    let (whole, ..) = read_all(capture.as_slice());
    for compression in Compression::ALL {
        let packed = pack(compression, &capture);
        let mut before = 0;
        for length in 0..packed.len() {
            let (packets, ending, _) = read_all(&packed[..length]);
            let row = format!("{compression:?} cut at {length} of {}", packed.len());
            assert_eq!(packets, whole[..packets.len()], "{row}");
            assert!(packets.len() >= before, "{row}: fewer packets than before");
            before = packets.len();
            match ending {
                Ending::Empty => assert_eq!(length, 0, "{row}"),
                Ending::Cut { present_bytes, .. } => assert!(present_bytes < 6, "{row}"),
                Ending::Packed { offset, fault: Fault::Cut, .. } => {
                    assert_eq!(offset, length as u64, "{row}");
                }
                other => panic!("{row}: {other:?}"),
            }
        }
        assert_eq!(read_all(packed.as_slice()).0.len(), 199);
        let is_by_byte = matches!(compression, Compression::Gzip | Compression::Xz);
        assert!(before > 0 || !is_by_byte, "{compression:?} gives what comes before the cut");
    }
}

/// Every byte of a compressed capture set to hostile values: it ends, and does not grow.
#[test]
fn every_byte_flipped_does_no_harm() {
    let capture = classic_file(7, &(1..40).collect::<Vec<_>>());
    for compression in Compression::ALL {
        let packed = pack(compression, &capture);
        let mut bad_endings = 0;
        for at in 0..packed.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, !packed[at]] {
                let mut bad = packed.clone();
                bad[at] = value;
                let (packets, ending, ..) = read_with_gaps(bad.as_slice());
                assert!(packets.len() <= 80, "{compression:?} byte {at} = {value}");
                bad_endings += u32::from(ending != Ending::Complete);
            }
        }
        assert!(bad_endings as usize > packed.len(), "{compression:?}: {bad_endings}");
    }
}

#[test]
fn one_layer_is_unpacked() {
    let capture = classic_file(7, &[1]);
    for (outer, inner) in Compression::ALL.into_iter().zip([
        Compression::Xz,
        Compression::Lz4,
        Compression::Gzip,
        Compression::Zstd,
    ]) {
        let packed = pack(inner, &capture);
        let expected =
            Ending::NotACapture { magic: Magic::of(&packed), format: Some(Foreign::Packed(inner)) };
        let twice = pack(outer, &packed);
        assert_eq!(read_all(twice.as_slice()), (vec![], expected, [0, 0]));
    }
    let nothing = pack(Compression::Gzip, b"");
    assert_eq!(read_all(nothing.as_slice()), (vec![], Ending::Empty, [0, 0]));
}

#[test]
fn windows_are_limited() {
    let plain = text(2_000);
    let zstd = |window_log: u32| {
        let mut to = zstd::Encoder::new(Vec::new(), 1).expect("memory");
        to.window_log(window_log).expect("a window");
        to.long_distance_matching(true).expect("a flag");
        io::Write::write_all(&mut to, &plain).expect("memory");
        to.finish().expect("memory")
    };
    assert_eq!(unpack(Compression::Zstd, zstd(27).as_slice()), (plain.clone(), Ok(())));
    assert_eq!(unpack(Compression::Zstd, zstd(28).as_slice()), (vec![], Err(Fault::Window)));
    let xz = |dictionary_bytes: u32| {
        let mut options = liblzma::stream::LzmaOptions::new_preset(0).expect("a preset");
        options.dict_size(dictionary_bytes);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        let check = liblzma::stream::Check::Crc32;
        let stream = liblzma::stream::Stream::new_stream_encoder(&filters, check);
        let stream = stream.expect("an encoder");
        let mut to = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        io::Write::write_all(&mut to, &plain).expect("memory");
        to.finish().expect("memory")
    };
    assert_eq!(unpack(Compression::Xz, xz(64 << 20).as_slice()), (plain.clone(), Ok(())));
    assert_eq!(unpack(Compression::Xz, xz(129 << 20).as_slice()), (vec![], Err(Fault::Window)));
}

#[test]
fn what_is_allowed_for_xz_is_what_it_takes() {
    let packed = pack(Compression::Xz, &text(100_000));
    let mut unpacker = Unpacker::new(Compression::Xz, &[], 0, None);
    let mut piece = [0; 1_000];
    let first = unpacker.unpack(&mut packed.as_slice(), &mut piece).expect("memory");
    assert_eq!(first, Unpacked::Bytes(1_000));
    // Preset 1 has a dictionary of 1 MiB.
    let taken = unpacker.memory_bytes();
    assert!((1 << 20..3 << 20).contains(&taken), "{taken} bytes");
}

/// A bomb: it stops soon after what a capture could be.
#[test]
fn expansion_is_limited() {
    let zeros = vec![0; 8 << 20];
    let frame = pack(Compression::Zstd, &zeros);
    assert!(zeros.len() / frame.len() > 2 * EXPANSION_MAX as usize, "{} bytes", frame.len());
    let mut bomb = frame.repeat(200);
    bomb.extend(b"never reached");
    let mut unpacker = Unpacker::new(Compression::Zstd, &[], 0, None);
    let (mut input, mut piece) = (bomb.as_slice(), vec![0; 128 << 10]);
    let fault = loop {
        match unpacker.unpack(&mut input, &mut piece).expect("memory") {
            Unpacked::Bytes(_) | Unpacked::Nothing => {}
            Unpacked::Fault(fault) => break fault,
            Unpacked::End => panic!("the bomb went off"),
        }
    };
    assert_eq!(fault, Fault::Expansion);
    assert!(unpacker.out_bytes <= EXPANSION_FREE_BYTES + (1 << 20), "{}", unpacker.out_bytes);
    assert!(unpacker.memory_bytes() < 16 << 20);
}

/// Members without anything in them are work that comes back to the caller.
#[test]
fn nothing_is_unpacked_in_pieces() {
    let packed = pack(Compression::Gzip, b"").repeat(20_000);
    let mut unpacker = Unpacker::new(Compression::Gzip, &[], 0, None);
    let (mut input, mut piece, mut calls) = (packed.as_slice(), [0; 10], 0);
    while unpacker.unpack(&mut input, &mut piece).expect("memory") == Unpacked::Nothing {
        calls += 1;
    }
    assert!(calls + 1 >= packed.len() / CHUNK_BYTES, "{calls} calls");
}

#[test]
fn unpacked_bytes_can_be_left_out() {
    let plain = text(20_000);
    for compression in Compression::ALL {
        let packed = pack(compression, &plain);
        for skip in [1, 999, 50_000, plain.len()] {
            let mut unpacker = Unpacker::new(compression, &[], skip as u64, None);
            let (mut input, mut piece, mut out) = (packed.as_slice(), [0; 777], Vec::new());
            loop {
                match unpacker.unpack(&mut input, &mut piece).expect("memory") {
                    Unpacked::Bytes(count) => out.extend_from_slice(&piece[..count]),
                    Unpacked::Nothing => {}
                    Unpacked::End => break,
                    Unpacked::Fault(fault) => panic!("{fault}"),
                }
            }
            assert_eq!(out, plain[skip..], "{compression:?} without {skip}");
        }
    }
}

/// An input that has nothing at every other call.
struct Halting<'a>(&'a [u8], bool);

impl Read for Halting<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = to.len().min(30_000);
        self.0.read(&mut to[..count])
    }
}

#[test]
fn a_thread_unpacks_the_same() {
    let plain = text(700_000);
    for compression in Compression::ALL {
        let packed = pack(compression, &plain);
        let mut broken = packed.clone();
        broken[packed.len() / 4 * 3..].fill(0x55);
        let parts = [&packed[..], &pack(compression, b"more")].concat();
        for (what, input) in [
            ("whole", &packed[..]),
            ("cut", &packed[..packed.len() - 1_000]),
            ("broken", &broken),
            ("members", &parts),
            ("trailing", &[&packed[..], b"and now for something"].concat()),
        ] {
            let (here, here_end) = unpack(compression, input);
            let lanes = Lanes::new(1);
            let unpacker = Unpacker::new(compression, &[], 0, Some(lanes.clone()));
            let (there, there_end) = drain(unpacker, input);
            assert_eq!(there_end, here_end, "{compression:?} {what}");
            // What a library unpacked before a fault in the same piece is lost.
            let same = here.len().min(there.len());
            assert!(here[..same] == there[..same], "{compression:?} {what}");
            assert!(same as u64 > AHEAD_FROM_BYTES, "{compression:?} {what}: {same}");
            if here_end.is_ok() {
                assert_eq!(here.len(), there.len(), "{compression:?} {what}");
            }
            assert!(lanes.take().is_some(), "the thread is given back");
        }
        // Somebody who waits for more input gets on, and loses nothing.
        let mut unpacker = Unpacker::new(compression, &[], 0, Some(Lanes::new(1)));
        let (mut out, mut piece, mut input) = (Vec::new(), [0; 5_000], Halting(&packed, false));
        let mut halts = 0;
        loop {
            match unpacker.unpack(&mut input, &mut piece) {
                Ok(Unpacked::Bytes(count)) => out.extend_from_slice(&piece[..count]),
                Ok(Unpacked::Nothing) => {}
                Ok(Unpacked::End) => break,
                Ok(Unpacked::Fault(fault)) => panic!("{compression:?}: {fault}"),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    halts += 1;
                }
            }
        }
        assert!(out == plain, "{compression:?}");
        assert!(halts > 3, "{compression:?}: {halts}");
        assert_eq!(unpacker.read_bytes(), packed.len() as u64);
        assert_eq!(unpacker.offset(), packed.len() as u64);
    }
}

#[test]
fn threads_are_few() {
    let (plain, lanes) = (text(300_000), Lanes::new(1));
    let packed = pack(Compression::Gzip, &plain);
    let mut unpackers: Vec<_> = (0..3)
        .map(|_| {
            let unpacker = Unpacker::new(Compression::Gzip, &[], 0, Some(lanes.clone()));
            (unpacker, &packed[..], Vec::new())
        })
        .collect();
    let mut piece = vec![0; 100_000];
    for _ in 0..20 {
        for (unpacker, input, out) in &mut unpackers {
            if let Ok(Unpacked::Bytes(count)) = unpacker.unpack(input, &mut piece) {
                out.extend_from_slice(&piece[..count]);
            }
        }
    }
    let in_threads = unpackers.iter().filter(|(u, ..)| matches!(u.place, Place::Thread(_)));
    assert_eq!(in_threads.count(), 1);
    for (unpacker, input, mut out) in unpackers {
        let (rest, end) = drain(unpacker, input);
        out.extend(rest);
        assert!(out == plain && end.is_ok());
    }
}
