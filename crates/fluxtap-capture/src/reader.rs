//! One capture from anything that can be read.

use std::io::{self, Read};

use fluxtap_wire::Packet;

use crate::parser::{Parser, Step};
use crate::status::Ending;

/// Bytes read ahead: few enough to stay in the processor's cache, enough to make calls rare.
pub(crate) const READ_BYTES: usize = 128 << 10;

/// Reads one capture, classic pcap or pcapng, to its end.
///
/// ```
/// use fluxtap_capture::{CaptureReader, Ending, Next};
///
/// let mut reader = CaptureReader::new(std::io::empty());
/// loop {
///     match reader.next()? {
///         Next::Packet(packet) => drop(packet.bytes),
///         Next::End(ending) => break assert_eq!(ending, Ending::Empty),
///     }
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct CaptureReader<R> {
    input: R,
    parser: Parser,
    ending: Option<Ending>,
}

/// What [`CaptureReader::next`] found.
#[derive(Clone, Copy, Debug)]
pub enum Next<'a> {
    /// A packet; its bytes are lent until the next call.
    Packet(Packet<'a>),
    /// The end, and how it came. Every later call says the same.
    End(Ending),
}

impl<R: Read> CaptureReader<R> {
    /// A reader of `input` from its first byte. Needs no buffering below it.
    pub fn new(input: R) -> Self {
        Self { input, parser: Parser::new(), ending: None }
    }

    /// The next packet. Passes over blocks without one, however many there are.
    ///
    /// # Errors
    ///
    /// Those of the input, except `Interrupted`. The call can be repeated.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its buffer")]
    pub fn next(&mut self) -> io::Result<Next<'_>> {
        self.parser.consume();
        let head = loop {
            if let Some(ending) = self.ending {
                return Ok(Next::End(ending));
            }
            match self.parser.step() {
                Ok(Step::Packet(head)) => break head,
                Ok(Step::Passed) => {}
                Ok(Step::Need(need)) => {
                    if self.parser.buffer.fill(&mut self.input, need, READ_BYTES)? == 0 {
                        self.ending = Some(self.parser.finish());
                    }
                }
                Err(ending) => self.ending = Some(ending),
            }
        };
        Ok(Next::Packet(self.parser.packet(&head)))
    }

    /// Bytes of the input that were used so far.
    pub fn bytes_read(&self) -> u64 {
        self.parser.buffer.offset()
    }

    /// Packets so far that came without a time of their own (simple packet blocks) and got that
    /// of the packet before them.
    pub fn packets_untimed(&self) -> u64 {
        self.parser.packets_untimed
    }

    /// Packets so far that were passed over because their interface is not described.
    pub fn packets_skipped(&self) -> u64 {
        self.parser.packets_skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use crate::{BLOCK_BYTES_MAX, CAPLEN_MAX, Damage, Foreign, INTERFACES_MAX, Magic};

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
                let file = [&header[..], &good, &bad, &good].concat();
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
            (b"\x28\xb5\x2f\xfd\x04\x00\x61\x01\x00\x99\xe9\xd8\x51", Some(Foreign::Zstd)),
            (b"\x1f\x8b", Some(Foreign::Gzip)),
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
                .map(|len| classic_record(order, [len, 0, len, len], &vec![9; len as usize]))
                .into();
            let parts = [&[header][..], &records].concat();
            let whole: Vec<_> = [3, 0, 70]
                .map(|len| owned(len * 1_000_000_000, 1, &vec![9; len as usize], len as u32))
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
                    let (packets, ending, _) = read_all(file.as_slice());
                    let offset = (start.len() + good.len()) as u64;
                    let what = Damage::BlockLength { length };
                    let row = format!("{order:?} type {kind:x} length {length}");
                    assert_eq!(packets.len(), 1, "{row}");
                    assert_eq!(ending, Ending::Damaged { offset, what }, "{row}");
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
            (
                patched(packet, 20, u32::MAX),
                Damage::PacketOverrun { caplen: u32::MAX, room_bytes: 16 },
            ),
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
        let long = block(order, 77, &vec![1; 3 << 20]);
        let start = [section(order), interface(order, 1, 0, &[])].concat();
        let file = [&start[..], &long, &enhanced(order, 0, 0, b"x", 1)].concat();
        let mut reader = CaptureReader::new(file.as_slice());
        assert!(matches!(reader.next().unwrap(), Next::Packet(_)));
        assert!(matches!(reader.next().unwrap(), Next::End(Ending::Complete)));
        assert!(reader.parser.buffer.memory_bytes() <= READ_BYTES);
        let endless = [&start[..], &order.u32(77), &order.u32(0xffff_fffc), &[0; 100]].concat();
        let cut = Ending::Cut {
            offset: start.len() as u64,
            expected_bytes: 0xffff_fffc,
            present_bytes: 108,
        };
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
}
