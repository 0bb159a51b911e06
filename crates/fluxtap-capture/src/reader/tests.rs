//! Tests of reading one capture.

use super::*;
use crate::testing::*;
use crate::{
    BLOCK_BYTES_MAX, CAPLEN_MAX, Damage, Foreign, INTERFACES_MAX, Magic, RESYNC_BYTES_MAX,
};

const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;

#[test]
fn classic_header_variants() {
    let first = owned(0, 0, b"abc", 60);
    for order in Order::BOTH {
        // (magic, version, snaplen, network, nanoseconds a tick, link)
        let rows = [
            (MICRO, (2, 4), 65_535, 1, 1_000, 1),
            (NANO, (2, 4), 65_535, 1, 1, 1),
            (MICRO, (2, 4), 0, 113, 1_000, 113),
            (MICRO, (2, 4), u32::MAX, 101, 1_000, 101),
            (MICRO, (2, 4), 1, 276, 1_000, 276),
            (MICRO, (2, 4), 65_535, 0x3400_0001, 1_000, 1),
            (MICRO, (2, 4), 65_535, 0xffff_ffff, 1_000, 0xffff),
            (MICRO, (2, 99), 65_535, 1, 1_000, 1),
        ];
        for (magic, version, snaplen, network, tick_ns, link) in rows {
            let mut file = classic_header(order, magic, version, snaplen, network);
            file.extend(classic_record(order, [1, 2, 3, 60], b"abc"));
            file.extend(classic_record(order, [u32::MAX, 999_999, 0, 0], b""));
            let (packets, ending, _) = read_all(file.as_slice());
            let row = format!("{order:?} {magic:x} {version:?} {snaplen} {network:x}");
            assert_eq!(ending, Ending::Complete, "{row}");
            let link = fluxtap_wire::LinkType(link);
            let at = |seconds: u64, ticks: u64| {
                fluxtap_wire::Timestamp(seconds * 1_000_000_000 + ticks * tick_ns)
            };
            let expected = [
                Owned { at: at(1, 2), link, ..first.clone() },
                Owned { at: at(u64::from(u32::MAX), 999_999), link, ..owned(0, 0, b"", 0) },
            ];
            assert_eq!(packets, expected, "{row}");
        }
    }
}

#[test]
fn classic_fractions_saturate() {
    for order in Order::BOTH {
        for (magic, tick_ns) in [(MICRO, 1_000), (NANO, 1)] {
            let rows = [
                (0, 0),
                (1_000_000_000 / tick_ns - 1, 1_000_000_000 - tick_ns),
                (1_000_000_000 / tick_ns, 1_000_000_000 - tick_ns),
                (0x8000_0000, 1_000_000_000 - tick_ns),
                (0xffff_ffff, 1_000_000_000 - tick_ns),
            ];
            for (fraction, expected_ns) in rows {
                let mut file = classic_header(order, magic, (2, 4), 0, 1);
                file.extend(classic_record(order, [7, fraction, 0, 0], b""));
                let (packets, ..) = read_all(file.as_slice());
                let at_ns = 7_000_000_000 + u64::from(expected_ns);
                assert_eq!(packets, [owned(at_ns, 1, b"", 0)], "{order:?} {fraction}");
            }
        }
    }
}

#[test]
fn old_versions_have_other_lengths() {
    for order in Order::BOTH {
        let file = |version, lengths: [u32; 2]| {
            let mut file = classic_header(order, MICRO, version, 65_535, 1);
            file.extend(classic_record(order, [1, 0, lengths[0], lengths[1]], b"abc"));
            let (packets, ending, _) = read_all(file.as_slice());
            (packets.first().map(|packet| (packet.bytes.clone(), packet.wire_len)), ending)
        };
        let whole = (Some((b"abc".to_vec(), 60)), Ending::Complete);
        assert_eq!(file((2, 2), [60, 3]), whole);
        assert_eq!(file((2, 3), [60, 3]), whole);
        assert_eq!(file((2, 3), [3, 60]), whole);
        assert_eq!(file((2, 4), [3, 60]), whole);
        assert_eq!(file((543, 0), [60, 3]), whole);
        for (major, minor) in [(1, 9), (3, 0), (543, 1)] {
            let what = Damage::Version { major, minor };
            let damaged = (None, Ending::Damaged { offset: 0, what });
            assert_eq!(file((major, minor), [3, 60]), damaged);
        }
    }
}

#[test]
fn classic_lengths_are_not_believed() {
    for order in Order::BOTH {
        let header = classic_header(order, MICRO, (2, 4), 65_535, 1);
        let good = classic_record(order, [1, 0, 3, 3], b"abc");
        for caplen in [CAPLEN_MAX + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            let bad = classic_record(order, [1, 0, caplen, caplen], &[0; 40]);
            let file = [&header[..], &good, &bad].concat();
            let (packets, ending, _) = read_all(file.as_slice());
            assert_eq!(packets.len(), 1);
            let what = Damage::RecordTooLong { caplen };
            assert_eq!(ending, Ending::Damaged { offset: 43, what });
        }
        let data = vec![7; CAPLEN_MAX as usize];
        let most = classic_record(order, [1, 0, CAPLEN_MAX, 0], &data);
        let file = [&header[..], &most, &good].concat();
        let (packets, ending, _) = read_all(file.as_slice());
        assert_eq!((packets.len(), ending), (2, Ending::Complete));
        assert_eq!(packets[0].bytes, data);
        assert_eq!(packets[0].wire_len, 0, "stated lengths are passed on as they are");
    }
}

/// A pcapng capture with everything in it, and the packets it holds.
fn pcapng(order: Order) -> (Vec<Vec<u8>>, Vec<Owned>) {
    let other = if order == Order::Big { Order::Little } else { Order::Big };
    let offset = |order: Order, seconds: u64| match order {
        Order::Big => seconds.to_be_bytes(),
        Order::Little => seconds.to_le_bytes(),
    };
    let blocks = vec![
        section(order),
        interface(order, 1, 0, &[(2, b"eth0"), (9, &[9])]),
        interface(order, 113, 4, &[(9, &[0x80 | 10]), (14, &offset(order, 100))]),
        block(order, 5, &[0; 13]),
        enhanced(order, 0, 0x1_0000_0002, b"nanoseconds", 90),
        enhanced(order, 1, 1_536, b"", 0),
        simple(order, 5, b"short"),
        block(order, 0x8000_0bad, b""),
        obsolete(order, 1, 2_048, b"ab", 2),
        section(other),
        simple(other, 1, b"?"),
        interface(other, 101, 4, &[]),
        simple(other, 900, b"snap"),
        enhanced(other, 0, 3, b"microseconds", 12),
        enhanced(other, 1, 3, b"of no interface", 15),
    ];
    let packets = vec![
        owned(0x1_0000_0002, 1, b"nanoseconds", 90),
        owned(101_500_000_000, 113, b"", 0),
        owned(101_500_000_000, 1, b"short", 5),
        owned(102_000_000_000, 113, b"ab", 2),
        owned(102_000_000_000, 101, b"snap", 900),
        owned(3_000, 101, b"microseconds", 12),
    ];
    (blocks, packets)
}

#[test]
fn pcapng_blocks_of_every_kind() {
    for order in Order::BOTH {
        let (blocks, expected) = pcapng(order);
        let file = blocks.concat();
        let result = (expected, Ending::Complete, [2, 2]);
        assert_eq!(read_all(file.as_slice()), result);
        assert_eq!(read_all(Trickle::new(&file)), result, "byte by byte");
    }
}

#[test]
fn captures_without_packets() {
    let order = Order::Little;
    let classic = classic_header(order, MICRO, (2, 4), 0, 1);
    let described = [section(order), interface(order, 1, 0, &[])].concat();
    let orphan = [section(order), enhanced(order, 0, 0, b"x", 1)].concat();
    let rows: [(&[u8], Ending); 5] = [
        (b"", Ending::Empty),
        (&classic, Ending::HeaderOnly),
        (&described, Ending::HeaderOnly),
        (&section(order), Ending::HeaderOnly),
        (&orphan, Ending::Complete),
    ];
    for (file, expected) in rows {
        let (packets, ending, _) = read_all(file);
        assert_eq!((packets.len(), ending), (0, expected));
    }
}

#[test]
fn not_captures() {
    let rows: [(&[u8], Option<Foreign>); 4] = [
        (b"RTSS\x01\x01\x01\x00 and so on", Some(Foreign::NetMon)),
        (b"BZh", Some(Foreign::Bzip2)),
        (b"hello", None),
        (b"?", None),
    ];
    for (file, format) in rows {
        let expected = Ending::NotACapture { magic: Magic::of(file), format };
        assert_eq!(read_all(file), (vec![], expected, [0, 0]));
    }
}

#[test]
fn classic_cut_at_every_byte() {
    for order in Order::BOTH {
        let header = classic_header(order, MICRO, (2, 4), 65_535, 1);
        let records: Vec<_> = [3_u32, 0, 70]
            .map(|len| classic_record(order, [1 + len, 0, len, len], &vec![9; len as usize]))
            .into();
        let parts = [&[header][..], &records].concat();
        let whole: Vec<_> = [3, 0, 70]
            .map(|len| owned((1 + len) * 1_000_000_000, 1, &vec![9; len as usize], len as u32))
            .into();
        cut_everywhere(&parts, |done| whole[..done.saturating_sub(1)].to_vec());
    }
}

#[test]
fn pcapng_cut_at_every_byte() {
    for order in Order::BOTH {
        let (parts, packets) = pcapng(order);
        let packets_after = [0, 0, 0, 0, 0, 1, 2, 3, 3, 4, 4, 4, 4, 5, 6, 6];
        cut_everywhere(&parts, |done| packets[..packets_after[done]].to_vec());
    }
}

/// Cuts a capture made of `parts` at every byte; `packets_after` gives the packets that so
/// many whole parts hold.
fn cut_everywhere(parts: &[Vec<u8>], packets_after: impl Fn(usize) -> Vec<Owned>) {
    let file = parts.concat();
    for length in 0..=file.len() {
        let (mut done, mut start) = (0, 0);
        while done < parts.len() && start + parts[done].len() <= length {
            start += parts[done].len();
            done += 1;
        }
        let (packets, ending, _) = read_all(&file[..length]);
        assert_eq!(packets, packets_after(done), "cut at {length}");
        match ending {
            Ending::Empty => assert_eq!(length, 0),
            Ending::HeaderOnly => assert!(start == length && packets.is_empty()),
            Ending::Complete => assert!(start == length && !packets.is_empty()),
            Ending::Cut { offset, expected_bytes, present_bytes } => {
                assert_eq!(offset, start as u64, "cut at {length}");
                assert_eq!(present_bytes, (length - start) as u64, "cut at {length}");
                assert!(length > start && expected_bytes > present_bytes, "cut at {length}");
                assert!(expected_bytes <= parts[done].len() as u64, "cut at {length}");
            }
            other => panic!("cut at {length}: {other:?}"),
        }
    }
}

#[test]
fn block_lengths_are_not_believed() {
    for order in Order::BOTH {
        let start = [section(order), interface(order, 1, 0, &[])].concat();
        let good = enhanced(order, 0, 0, b"good", 4);
        // The smallest length that holds the fields of the type, per type.
        let types = [(0x0a0d_0d0a, 28), (1, 20), (2, 32), (3, 16), (6, 32), (77, 12)];
        for (kind, length_min) in types {
            let lengths = [0, 4, 8, 11, 13, length_min - 4, length_min + 1, 0xffff_ffff];
            for length in lengths {
                let mut bad = block(order, kind, &[0; 40]);
                bad[4..8].copy_from_slice(&order.u32(length));
                if kind == 0x0a0d_0d0a {
                    bad[8..12].copy_from_slice(&order.u32(0x1a2b_3c4d));
                }
                let file = [&start[..], &good, &bad, &good].concat();
                let (packets, ending, _, gaps) = read_with_gaps(file.as_slice());
                let offset = (start.len() + good.len()) as u64;
                let what = Damage::BlockLength { length };
                let row = format!("{order:?} type {kind:x} length {length}");
                assert_eq!((packets.len(), ending), (2, Ending::Complete), "{row}");
                let first = Some((offset, what));
                assert_eq!(gaps, Gaps { count: 1, bytes: bad.len() as u64, first }, "{row}");
            }
        }
    }
}

#[test]
fn damaged_blocks() {
    let order = Order::Big;
    let start = [section(order), interface(order, 1, 0, &[])].concat();
    let patched = |mut block: Vec<u8>, at: usize, word: u32| {
        block[at..at + 4].copy_from_slice(&order.u32(word));
        block
    };
    let packet = enhanced(order, 0, 0, b"0123", 4);
    let (total, last) = (packet.len() as u32, packet.len() - 4);
    let large = BLOCK_BYTES_MAX + 4;
    let rows = [
        (
            patched(packet.clone(), last, total + 4),
            Damage::BlockTrailer { leading: total, trailing: total + 4 },
        ),
        (
            patched(block(order, 77, &[0; 4]), 12, 0),
            Damage::BlockTrailer { leading: 16, trailing: 0 },
        ),
        (patched(packet.clone(), 4, large), Damage::BlockTooLong { length: large }),
        (patched(packet.clone(), 20, 17), Damage::PacketOverrun { caplen: 17, room_bytes: 16 }),
        (patched(packet, 20, u32::MAX), Damage::PacketOverrun { caplen: u32::MAX, room_bytes: 16 }),
        (simple(order, 5, b"1234"), Damage::PacketOverrun { caplen: 5, room_bytes: 4 }),
        (
            enhanced(order, 0, 0, &vec![0; CAPLEN_MAX as usize + 1], 0),
            Damage::RecordTooLong { caplen: CAPLEN_MAX + 1 },
        ),
        (patched(section(order), 8, 0x1234_5678), Damage::ByteOrder { magic: 0x1234_5678 }),
        (patched(section(order), 12, 0x0002_0001), Damage::Version { major: 2, minor: 1 }),
        (interface(order, 1, 0, &[(9, &[6, 6])]), Damage::Option { code: 9, length: 2 }),
        (interface(order, 1, 0, &[(14, &[0; 4])]), Damage::Option { code: 14, length: 4 }),
        (
            patched(interface(order, 1, 0, &[(2, b"eth0")]), 16, 0x0002_000d),
            Damage::Option { code: 2, length: 13 },
        ),
    ];
    for (bad, what) in rows {
        let file = [&start[..], &bad, &[0; 64]].concat();
        let (packets, ending, _) = read_all(file.as_slice());
        let offset = start.len() as u64;
        assert_eq!((packets.len(), ending), (0, Ending::Damaged { offset, what }));
    }
}

#[test]
fn options_may_end_without_an_end() {
    let order = Order::Little;
    // The last option may fill the block, and nothing counts after the end of options.
    for tail in [&b""[..], b"\0\0\0\0junk"] {
        let mut body = [&order.u16(1)[..], &[0; 6]].concat();
        body.extend([9, 0, 1, 0, 9, 0, 0, 0]);
        body.extend(tail);
        let file =
            [section(order), block(order, 1, &body), enhanced(order, 0, 5, b"x", 1)].concat();
        let (packets, ending, _) = read_all(file.as_slice());
        assert_eq!((packets, ending), (vec![owned(5, 1, b"x", 1)], Ending::Complete));
    }
}

#[test]
fn interfaces_are_limited_and_start_again() {
    let order = Order::Little;
    let full = [section(order), interface(order, 1, 0, &[]).repeat(INTERFACES_MAX)].concat();
    let file = [&full[..], &full, &enhanced(order, 4_095, 0, b"x", 1)].concat();
    let (packets, ending, _) = read_all(file.as_slice());
    assert_eq!((packets.len(), ending), (1, Ending::Complete));
    let file = [&full[..], &interface(order, 1, 0, &[])].concat();
    let offset = full.len() as u64;
    let what = Damage::TooManyInterfaces;
    assert_eq!(read_all(file.as_slice()), (vec![], Ending::Damaged { offset, what }, [0, 0]));
}

/// A block that is passed over costs no memory, whatever length it states.
#[test]
fn long_unknown_blocks_are_not_held() {
    let order = Order::Little;
    const CUSTOM: u32 = 0x4000_0bad;
    let long = block(order, CUSTOM, &vec![1; 3 << 20]);
    let start = [section(order), interface(order, 1, 0, &[])].concat();
    let file = [&start[..], &long, &enhanced(order, 0, 0, b"x", 1)].concat();
    let mut reader = CaptureReader::new(file.as_slice());
    assert!(matches!(reader.next().unwrap(), Next::Packet(_)));
    assert!(matches!(reader.next().unwrap(), Next::End(Ending::Complete)));
    assert!(reader.parser.buffer.memory_bytes() <= READ_BYTES);
    let endless = [&start[..], &order.u32(CUSTOM), &order.u32(0xffff_fffc), &[0; 100]].concat();
    let cut =
        Ending::Cut { offset: start.len() as u64, expected_bytes: 0xffff_fffc, present_bytes: 108 };
    assert_eq!(read_all(endless.as_slice()), (vec![], cut, [0, 0]));
}

/// Every byte of two captures set to hostile values: no panic, and what comes before the
/// byte's record is read as before.
#[test]
fn every_byte_flipped() {
    let files = [classic_file(1, &[1, 2, 3]), pcapng(Order::Big).0.concat()];
    for file in files {
        let (before, ..) = read_all(file.as_slice());
        for at in 0..file.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, !file[at]] {
                let mut bad = file.clone();
                bad[at] = value;
                let (packets, ..) = read_all(bad.as_slice());
                let whole = read_all(&file[..at]).0.len();
                let least = whole.min(packets.len());
                assert!(least == whole, "byte {at} = {value}: {least} of {whole} packets");
                assert!(packets.len() <= before.len() + 1);
                assert_eq!(packets[..whole], before[..whole], "byte {at} = {value}");
            }
        }
    }
}

#[test]
fn a_failing_input_is_an_error_that_can_be_repeated() {
    struct Failing<'a>(&'a [u8], bool);
    impl Read for Failing<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            if std::mem::take(&mut self.1) {
                return Err(io::Error::other("disk on fire"));
            }
            self.1 = true;
            let count = to.len().min(10);
            self.0.read(&mut to[..count])
        }
    }
    let file = classic_file(1, &[1, 2]);
    let mut reader = CaptureReader::new(Failing(&file, true));
    let (mut packets, mut errors) = (0, 0);
    loop {
        match reader.next() {
            Ok(Next::Packet(_)) => packets += 1,
            Ok(Next::End(ending)) => break assert_eq!(ending, Ending::Complete),
            Err(error) => {
                assert_eq!(error.to_string(), "disk on fire");
                errors += 1;
            }
        }
    }
    assert_eq!(packets, 2);
    assert!(errors > 2);
    assert_eq!(reader.bytes_read(), file.len() as u64);
}

/// A classic capture of packets at these times, with `extra` bytes in each record header.
fn with_longer_headers(order: Order, magic: u32, extra: usize, seconds: &[u32]) -> Vec<u8> {
    let mut file = classic_header(order, magic, (2, 4), 65_535, 1);
    for second in seconds {
        let data: Vec<u8> = (0..40).map(|n| n ^ *second as u8).collect();
        file.extend(classic_record(order, [*second, 999_999, 40, 60], &vec![0xee; extra]));
        file.extend(data);
    }
    file
}

#[test]
fn longer_record_headers_are_told_by_what_they_hold() {
    const MODIFIED: u32 = 0xa1b2_cd34;
    let seconds = [1_000_000, 1_000_001, 1_000_001, 1_086_000];
    let expected: Vec<Owned> = seconds
        .iter()
        .map(|second| {
            let data: Vec<u8> = (0..40).map(|n| n ^ *second as u8).collect();
            owned(u64::from(*second) * 1_000_000_000 + 999_999_000, 1, &data, 60)
        })
        .collect();
    for order in Order::BOTH {
        for (magic, extra) in [(MICRO, 0), (MICRO, 8), (MICRO, 4), (MODIFIED, 8), (MODIFIED, 12)] {
            let file = with_longer_headers(order, magic, extra, &seconds);
            let result = (expected.clone(), Ending::Complete, [0, 0]);
            assert_eq!(read_all(file.as_slice()), result, "{order:?} {magic:x} {extra}");
        }
        // Too few records to tell: the usual ones.
        for (magic, extra) in [(MICRO, 0), (MODIFIED, 8)] {
            let file = with_longer_headers(order, magic, extra, &seconds[..1]);
            assert_eq!(read_all(file.as_slice()).0, expected[..1], "{order:?} {magic:x} {extra}");
        }
    }
}

#[test]
fn captures_of_ixia_and_aix() {
    for order in Order::BOTH {
        for (magic, tick_ns) in [(0x1c00_01ac, 1), (0x1c00_01ab, 1_000)] {
            let mut file = classic_header(order, magic, (2, 4), 65_535, 1);
            file.extend(order.u32(19));
            file.extend(classic_record(order, [7, 5, 3, 60], b"abc"));
            let expected = vec![owned(7_000_000_000 + 5 * tick_ns, 1, b"abc", 60)];
            assert_eq!(read_all(file.as_slice()), (expected, Ending::Complete, [0, 0]));
        }
        for (interface, link) in [(6, 1), (9, 6), (15, 10), (24, 0)] {
            let mut file = classic_header(order, MICRO, (2, 2), 65_535, interface);
            file.extend(classic_record(order, [7, 123_456_789, 60, 3], b"abc"));
            let expected = vec![owned(7_123_456_789, link, b"abc", 60)];
            assert_eq!(read_all(file.as_slice()), (expected, Ending::Complete, [0, 0]));
        }
    }
}

/// A snoop capture of packets at these seconds.
fn snoop(datalink: u32, seconds: &[u32]) -> Vec<u8> {
    let order = Order::Big;
    let mut file = [b"snoop\0\0\0", &order.u32(2)[..], &order.u32(datalink)].concat();
    for second in seconds {
        for word in [60, 5, 24 + 5 + 3, 0, *second, 17] {
            file.extend(order.u32(word));
        }
        file.extend(b"hello\0\0\0");
    }
    file
}

#[test]
fn snoop_captures() {
    let packets = |link| -> Vec<Owned> {
        [5, 6].map(|second| owned(second * 1_000_000_000 + 17_000, link, b"hello", 60)).into()
    };
    for (datalink, link) in [(0, 1), (4, 1), (2, 6), (8, 10), (18, 123), (31, 226)] {
        let file = snoop(datalink, &[5, 6]);
        assert_eq!(read_all(file.as_slice()), (packets(link), Ending::Complete, [0, 0]));
        assert_eq!(read_all(Trickle::new(&file)).0.len(), 2);
    }
    let damaged = |what| (vec![], Ending::Damaged { offset: 0, what }, [0, 0]);
    let unknown = snoop(17, &[5]);
    assert_eq!(read_all(unknown.as_slice()), damaged(Damage::SnoopLink { datalink: 17 }));
    let mut later = snoop(4, &[5]);
    later[11] = 3;
    assert_eq!(read_all(later.as_slice()), damaged(Damage::SnoopVersion { version: 3 }));
    let parts: Vec<Vec<u8>> =
        [snoop(4, &[])].into_iter().chain([5, 6].map(|s| snoop(4, &[s])[16..].to_vec())).collect();
    cut_everywhere(&parts, |done| packets(1)[..done.saturating_sub(1)].to_vec());
}

/// Garbage between records of every format: what follows is found again, and what was lost told.
#[test]
fn garbage_between_records_is_passed_over() {
    let noise: Vec<u8> =
        (0..3_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let first_s = 1_700_000_000;
    let seconds: Vec<u32> = (first_s..first_s + 8).collect();
    let order = Order::Little;
    let mut blocks = vec![[section(order), interface(order, 1, 0, &[])].concat()];
    blocks
        .extend(seconds.iter().map(|s| enhanced(order, 0, u64::from(*s) * 1_000_000, b"data", 4)));
    let split = |file: Vec<u8>, start: usize| -> Vec<Vec<u8>> {
        let bytes = (file.len() - start) / seconds.len();
        let records = file[start..].chunks(bytes).map(<[u8]>::to_vec);
        [file[..start].to_vec()].into_iter().chain(records).collect()
    };
    let classic = split(classic_file(7, &seconds), 24);
    let modified = split(with_longer_headers(order, 0xa1b2_cd34, 8, &seconds), 24);
    for parts in [classic, modified, blocks, split(snoop(4, &seconds), 16)] {
        assert_eq!(parts.len(), 9);
        let (whole, ..) = read_all(parts.concat().as_slice());
        for garbage in [&noise[..1], &noise[..7], &noise[..500], &noise, &[0; 4_096], &[0xff; 333]]
        {
            let before = parts[..4].concat();
            let file = [&before[..], garbage, &parts[4..].concat()].concat();
            let (packets, ending, _, gaps) = read_with_gaps(file.as_slice());
            let row = format!("{:02x?} {} bytes", &parts[0][..4], garbage.len());
            assert_eq!(ending, Ending::Complete, "{row}");
            assert_eq!(packets[..3], whole[..3], "{row}");
            assert_eq!(packets[packets.len() - 5..], whole[3..], "{row}");
            assert!(packets.len() <= 9, "{row}: {} packets of 8", packets.len());
            let (offset, _) = gaps.first.expect("a gap");
            assert!(offset >= before.len() as u64, "{row}: {gaps:?}");
            assert!(gaps.bytes <= garbage.len() as u64, "{row}: {gaps:?}");
            assert_eq!(read_with_gaps(Trickle::new(&file)).3, gaps, "{row} byte by byte");
        }
    }
}

/// A length that reaches beyond the end must not hide what follows, and a capture that is only cut
/// is searched for nothing.
#[test]
fn garbage_before_the_end_hides_nothing() {
    let first_s = 1_700_000_000;
    let seconds: Vec<u32> = (first_s..first_s + 6).collect();
    let file = classic_file(7, &seconds);
    let mut bad = file.clone();
    // The length of the third packet, which is not in keeping with its length on the wire.
    bad[24 + 2 * 18 + 8..][..4].copy_from_slice(&200_000_u32.to_le_bytes());
    let (packets, ending, _, gaps) = read_with_gaps(bad.as_slice());
    assert_eq!((packets.len(), ending), (5, Ending::Complete));
    assert_eq!(gaps, Gaps { count: 1, bytes: 18, first: Some((60, Damage::Record)) });
    let (_, ending, _, gaps) = read_with_gaps(&file[..file.len() - 1]);
    assert!(matches!(ending, Ending::Cut { .. }), "{ending:?}");
    assert_eq!(gaps, Gaps::default());
}

/// After a gap nobody knows which number an interface has that is described then.
#[test]
fn interfaces_described_after_a_gap_are_not_trusted() {
    let order = Order::Big;
    let blocks = [
        section(order),
        interface(order, 1, 0, &[]),
        vec![0xff; 40],
        enhanced(order, 0, 5, b"known", 5),
        interface(order, 101, 0, &[]),
        enhanced(order, 1, 6, b"whose?", 6),
        section(order),
        interface(order, 113, 0, &[]),
        enhanced(order, 0, 7, b"new", 3),
    ];
    let (packets, ending, counts, gaps) = read_with_gaps(blocks.concat().as_slice());
    let expected = vec![owned(5_000, 1, b"known", 5), owned(7_000, 113, b"new", 3)];
    assert_eq!((packets, ending, counts), (expected, Ending::Complete, [0, 1]));
    assert_eq!((gaps.count, gaps.bytes), (1, 40));
}

/// Damage without an end is given up, and costs no memory.
#[test]
fn the_search_is_bounded() {
    let first_s = 1_700_000_000;
    let good = classic_file(7, &[first_s, first_s + 1, first_s + 2]);
    let garbage = vec![0xff; RESYNC_BYTES_MAX as usize + 1_000];
    let file = [&good[..], &garbage, &good[24..]].concat();
    let mut reader = CaptureReader::new(file.as_slice());
    let mut packets = 0;
    let ending = loop {
        match reader.next().expect("memory") {
            Next::Packet(_) => packets += 1,
            Next::End(ending) => break ending,
        }
    };
    let what = Damage::RecordTooLong { caplen: u32::MAX };
    assert_eq!((packets, ending), (3, Ending::Damaged { offset: good.len() as u64, what }));
    assert!(reader.parser.buffer.memory_bytes() <= 4 * CAPLEN_MAX as usize);
    let file = [&good[..], &garbage[..1 << 20], &good[24..]].concat();
    assert_eq!(read_all(file.as_slice()).0.len(), 6);
}
