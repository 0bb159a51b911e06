mod ends;
mod stacks;

use super::*;
use crate::carried::{Datagram, Segment};
use crate::packet::Timestamp;
use etherparse::PacketBuilder;
use std::net::IpAddr;

fn carried(link: LinkType, bytes: &[u8]) -> Result<Carried<'_>, PacketEnd> {
    with(&Layers::default(), link, bytes)
}

fn with<'a>(layers: &Layers, link: LinkType, bytes: &'a [u8]) -> Result<Carried<'a>, PacketEnd> {
    let packet = Packet { at: Timestamp(0), link, bytes, wire_len: bytes.len() as u32 };
    decode(&packet, layers)
}

/// What `carried` gives where it has to be a datagram.
fn run(link: LinkType, bytes: &[u8]) -> Result<Datagram<'_>, PacketEnd> {
    carried(link, bytes).map(|carried| match carried {
        Carried::Datagram(datagram) => datagram,
        other => panic!("{other:?}"),
    })
}

/// An Ethernet frame with IPv4 and UDP from port 53, built by etherparse.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([198, 51, 100, 1], [203, 0, 113, 9], 64)
        .udp(53, 4242)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

fn frame_v6(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6([1; 16], [2; 16], 64)
        .udp(4242, 53)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

/// The frame with `patch` applied.
fn patched(mut bytes: Vec<u8>, patch: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    patch(&mut bytes);
    bytes
}

#[test]
fn plain_and_tagged_frames() {
    let plain = frame(b"hello");
    let datagram = run(LinkType::ETHERNET, &plain).unwrap();
    assert_eq!(datagram.payload, b"hello");
    assert_eq!((datagram.source_port, datagram.destination_port), (53, 4242));
    assert_eq!(datagram.ends.source, "198.51.100.1".parse::<IpAddr>().unwrap());
    assert_eq!((datagram.ends.vlan, datagram.is_cut), (0, false));
    for tags in 1..6 {
        let mut tagged = plain[..12].to_vec();
        for i in 0..tags {
            let kind: u16 = [0x88a8, 0x9100, 0x8100, 0x9200, 0x8100][i];
            tagged.extend(kind.to_be_bytes());
            tagged.extend((0x2000 + 100 + i as u16).to_be_bytes());
        }
        tagged.extend_from_slice(&plain[12..]);
        let datagram = run(LinkType::ETHERNET, &tagged).unwrap();
        assert_eq!((datagram.payload, datagram.ends.vlan), (&b"hello"[..], 100), "{tags} tags");
    }
}

#[test]
fn other_link_types() {
    let ip4 = frame(b"x")[14..].to_vec();
    let ip6 = frame_v6(b"x")[14..].to_vec();
    let with = |head: &[u8], ip: &[u8]| [head, ip].concat();
    let sll = |protocol: u16| [&[0; 14][..], &protocol.to_be_bytes()].concat();
    let sll2 = |protocol: u16| [&protocol.to_be_bytes()[..], &[0; 18]].concat();
    for (what, link, bytes) in [
        ("raw 4", LinkType::RAW, ip4.clone()),
        ("raw 6", LinkType::RAW_BSD, ip6.clone()),
        ("ipv4", LinkType::IPV4, ip4.clone()),
        ("ipv6", LinkType::IPV6, ip6.clone()),
        ("cooked 4", LinkType::LINUX_SLL, with(&sll(0x0800), &ip4)),
        ("cooked 6", LinkType::LINUX_SLL, with(&sll(0x86dd), &ip6)),
        (
            "cooked, tagged",
            LinkType::LINUX_SLL,
            with(&[&sll(0x8100)[..], &[0, 7, 8, 0]].concat(), &ip4),
        ),
        ("cooked v2 4", LinkType::LINUX_SLL2, with(&sll2(0x0800), &ip4)),
        (
            "cooked v2, tagged",
            LinkType::LINUX_SLL2,
            with(&[&sll2(0x8100)[..], &[0, 7, 0x86, 0xdd]].concat(), &ip6),
        ),
        ("loopback little", LinkType::NULL, with(&[2, 0, 0, 0], &ip4)),
        ("loopback big", LinkType::NULL, with(&[0, 0, 0, 30], &ip6)),
        ("loop", LinkType::LOOP, with(&[0, 0, 0, 24], &ip6)),
    ] {
        let datagram = run(link, &bytes);
        assert_eq!(datagram.map(|d| d.payload.to_vec()), Ok(b"x".to_vec()), "{what}");
    }
    for number in 0..400 {
        let is_read = LINK_TYPES_READ.iter().any(|(link, _)| link.0 == number);
        let end = carried(LinkType(number), &ip4);
        assert_eq!(end == Err(PacketEnd::LinkType), !is_read, "{number}");
    }
}

#[test]
fn ends_by_reason() {
    let v4 = || frame(b"x");
    let v6 = || frame_v6(b"x");
    let rows: Vec<(&str, Vec<u8>, PacketEnd)> = vec![
        ("empty", vec![], PacketEnd::LinkCut),
        ("arp", patched(v4(), |b| b[13] = 6), PacketEnd::NotIp),
        ("version 5", patched(v4(), |b| b[14] = 0x55), PacketEnd::IpHeader),
        ("ihl 4", patched(v4(), |b| b[14] = 0x44), PacketEnd::IpHeader),
        ("ihl beyond the packet", patched(v4(), |b| b[14] = 0x4f), PacketEnd::IpHeader),
        (
            "total length below header",
            patched(v4(), |b| b[16..18].copy_from_slice(&[0, 19])),
            PacketEnd::IpHeader,
        ),
        ("icmp", patched(v4(), |b| b[23] = 1), PacketEnd::NotUdpOrTcp),
        (
            "fragment of icmp",
            patched(v4(), |b| {
                b[20] = 0x20;
                b[23] = 1;
            }),
            PacketEnd::NotUdpOrTcp,
        ),
        ("other port", patched(v4(), |b| b[35] = 54), PacketEnd::OtherPort),
        (
            "udp length 7",
            patched(v4(), |b| b[38..40].copy_from_slice(&[0, 7])),
            PacketEnd::TransportHeader,
        ),
        ("cut in the ports", patched(v4(), |b| b.truncate(37)), PacketEnd::TransportHeader),
        ("cut in the ip header", patched(v4(), |b| b.truncate(30)), PacketEnd::IpHeader),
        ("v6 cut", patched(v6(), |b| b.truncate(50)), PacketEnd::IpHeader),
        ("v6 icmp", patched(v6(), |b| b[20] = 58), PacketEnd::NotUdpOrTcp),
        (
            "v6 endless options",
            patched(v6(), |b| {
                b[20] = 60;
                b.truncate(54);
                b.extend([60, 0, 0, 0, 0, 0, 0, 0].repeat(40));
                b[18..20].copy_from_slice(&[1, 64]);
            }),
            PacketEnd::ExtensionHeaders,
        ),
        (
            "v6 option beyond the packet",
            patched(v6(), |b| {
                b[20] = 0;
                b[55] = 200;
            }),
            PacketEnd::IpHeader,
        ),
    ];
    for (what, bytes, expect) in rows {
        assert_eq!(run(LinkType::ETHERNET, &bytes), Err(expect), "{what}");
    }
}

#[test]
fn extension_headers_and_atomic_fragments_are_walked() {
    for (what, first, chain) in [
        ("hop-by-hop", 0_u8, vec![17, 0, 1, 4, 0, 0, 0, 0]),
        ("routing of 16 bytes", 43, [&[17, 1][..], &[0; 14]].concat()),
        ("authentication", 51, [&[17, 4][..], &[0; 22]].concat()),
        ("atomic fragment", 44, vec![17, 0, 0, 0, 1, 2, 3, 4]),
        ("two", 60, vec![44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0, 1, 2, 3, 4]),
    ] {
        let mut bytes = frame_v6(b"x");
        bytes[20] = first;
        let udp = bytes.split_off(54);
        let len = (chain.len() + udp.len()) as u16;
        bytes[18..20].copy_from_slice(&len.to_be_bytes());
        bytes.extend(chain);
        bytes.extend(udp);
        assert_eq!(run(LinkType::ETHERNET, &bytes).map(|d| d.payload), Ok(&b"x"[..]), "{what}");
    }
}

/// The IP packets of `frame` and `frame_v6` in pieces of 16 bytes.
fn pieces(payload: &[u8]) -> [Vec<Vec<u8>>; 2] {
    let v4 = frame(payload);
    let v4 = v4[34..].chunks(16).enumerate().map(|(i, piece)| {
        let mut bytes = v4[..34].to_vec();
        let has_more = (i + 1) * 16 < payload.len() + 8;
        bytes[16..18].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
        bytes[18..20].copy_from_slice(&[0xab, 0xcd]);
        let place = (i as u16 * 2) | if has_more { 0x2000 } else { 0 };
        bytes[20..22].copy_from_slice(&place.to_be_bytes());
        bytes.extend(piece);
        bytes
    });
    let v6 = frame_v6(payload);
    let v6 = v6[54..].chunks(16).enumerate().map(|(i, piece)| {
        let mut bytes = v6[..54].to_vec();
        let has_more = (i + 1) * 16 < payload.len() + 8;
        bytes[18..20].copy_from_slice(&(8 + piece.len() as u16).to_be_bytes());
        bytes[20] = 44;
        let place = (i as u16 * 16) | u16::from(has_more);
        bytes.extend([17, 0, (place >> 8) as u8, place as u8, 0xfe, 0xdc, 0xba, 0x98]);
        bytes.extend(piece);
        bytes
    });
    [v4.collect(), v6.collect()]
}

#[test]
fn fragments_say_where_they_belong_and_the_whole_goes_on() {
    let payload: Vec<u8> = (0..100).collect();
    for (pieces, identification) in pieces(&payload).into_iter().zip([0xabcd, 0xfedc_ba98]) {
        let mut whole = Vec::new();
        let mut head = None;
        for (i, bytes) in pieces.iter().enumerate() {
            let Ok(Carried::Fragment(fragment)) = carried(LinkType::ETHERNET, bytes) else {
                panic!("{bytes:02x?}")
            };
            assert_eq!(fragment.offset, i as u32 * 16);
            assert_eq!(fragment.has_more, i + 1 < pieces.len());
            assert_eq!((fragment.identification, fragment.protocol), (identification, 17));
            assert_eq!((fragment.depth, fragment.is_cut), (0, false));
            whole.extend(fragment.payload);
            head.get_or_insert(fragment);
            let cut = carried(LinkType::ETHERNET, &bytes[..bytes.len() - 1]);
            assert!(matches!(cut, Ok(Carried::Fragment(Fragment { is_cut: true, .. }))));
        }
        let head = head.unwrap();
        for is_cut in [false, true] {
            let resumed = resume(&Fragment { is_cut, ..head }, &whole, &Layers::default());
            let Ok(Carried::Datagram(datagram)) = resumed else { panic!("{resumed:?}") };
            assert_eq!((datagram.payload, datagram.ends), (&payload[..], head.ends));
            assert!(!datagram.is_cut, "the UDP length says that it is whole");
        }
        let cut = resume(&head, &whole[..90], &Layers::default());
        assert!(matches!(cut, Ok(Carried::Datagram(Datagram { is_cut: true, .. }))), "{cut:?}");
        let icmp = resume(&Fragment { protocol: 1, ..head }, &whole, &Layers::default());
        assert_eq!(icmp, Err(PacketEnd::NotUdpOrTcp));
    }
}

#[test]
fn extension_headers_may_be_inside_the_fragments() {
    let ip = frame_v6(b"x");
    let mut fragment = ip[..54].to_vec();
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &ip[54..]].concat();
    fragment[18..20].copy_from_slice(&(8 + options.len() as u16).to_be_bytes());
    fragment[20] = 44;
    fragment.extend([60, 0, 0, 1, 0, 0, 0, 7]);
    fragment.extend(&options);
    let Ok(Carried::Fragment(head)) = carried(LinkType::ETHERNET, &fragment) else { panic!() };
    assert_eq!((head.protocol, head.payload), (60, &options[..]));
    let resumed = resume(&head, &options, &Layers::default());
    assert!(matches!(resumed, Ok(Carried::Datagram(d)) if d.payload == b"x"), "{resumed:?}");
}

/// An Ethernet frame with IPv4 and a TCP segment with one option, to port 53.
fn tcp_frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([198, 51, 100, 1], [203, 0, 113, 9], 64)
        .tcp(4242, 53, 0x0102_0304, 1000)
        .syn()
        .options(&[etherparse::TcpOptionElement::MaximumSegmentSize(1460)])
        .unwrap()
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

#[test]
fn segments_on_dns_ports() {
    let whole = tcp_frame(b"0123456789");
    let segment = |bytes: &[u8]| match carried(LinkType::ETHERNET, bytes) {
        Ok(Carried::Segment(Segment { sequence, flags, payload, payload_len, .. })) => {
            Ok((sequence, flags, payload.to_vec(), payload_len))
        }
        Ok(other) => panic!("{other:?}"),
        Err(end) => Err(end),
    };
    let expect = |payload: &[u8]| Ok((0x0102_0304, 2, payload.to_vec(), 10));
    assert_eq!(segment(&whole), expect(b"0123456789"));
    assert_eq!(segment(&patched(whole.clone(), |b| b.extend([0; 9]))), expect(b"0123456789"));
    assert_eq!(segment(&whole[..whole.len() - 3]), expect(b"0123456"));
    assert_eq!(segment(&whole[..whole.len() - 12]), expect(b""), "cut in the options");
    let cut = &whole[..whole.len() - 15];
    assert_eq!(segment(cut), Err(PacketEnd::TransportHeader), "cut before the options");
    let rows = [
        ("header of 16 bytes", 46, 0x40, PacketEnd::TransportHeader),
        ("header longer than the packet", 46, 0xf0, PacketEnd::TransportHeader),
        ("other port", 37, 54, PacketEnd::OtherPort),
    ];
    for (what, at, byte, end) in rows {
        assert_eq!(segment(&patched(whole.clone(), |b| b[at] = byte)), Err(end), "{what}");
    }
}

#[test]
fn checksums_are_verified_if_asked() {
    let layers = Layers { is_checksum_verified: true, ..Layers::default() };
    let link = LinkType::ETHERNET;
    // Frame, offset of the transport checksum, offset of the IP header's.
    let frames = [
        ("udp", frame(b"odd"), 40, Some(24)),
        ("udp over ipv6", frame_v6(b"even"), 60, None),
        ("tcp", tcp_frame(b"odd"), 50, Some(24)),
    ];
    for (what, whole, at, of_ip) in frames {
        assert!(with(&layers, link, &whole).is_ok(), "{what}");
        for at in [Some(at), of_ip].into_iter().flatten() {
            let wrong = patched(whole.clone(), |b| b[at] ^= 0x10);
            assert_eq!(with(&layers, link, &wrong), Err(PacketEnd::Checksum), "{what} at {at}");
            assert!(carried(link, &wrong).is_ok(), "{what}: not verified unless asked for");
            let offloaded = patched(whole.clone(), |b| b[at..at + 2].fill(0));
            assert!(with(&layers, link, &offloaded).is_ok(), "{what}: left to the card");
        }
        let payload = patched(whole.clone(), |b| *b.last_mut().unwrap() ^= 1);
        assert_eq!(with(&layers, link, &payload), Err(PacketEnd::Checksum), "{what}");
        let cut = &payload[..payload.len() - 1];
        assert!(with(&layers, link, cut).is_ok(), "{what}: it cannot be told");
        let padded = patched(whole, |b| b.extend([1; 7]));
        assert!(with(&layers, link, &padded).is_ok(), "{what}: padding is not covered");
    }
    for pieces in pieces(b"any payload that is long enough for three pieces") {
        let mut whole = Vec::new();
        let mut head = None;
        for bytes in &pieces {
            // The IPv4 header was patched, its checksum was not.
            let Ok(Carried::Fragment(fragment)) = carried(link, bytes) else { panic!() };
            whole.extend(fragment.payload);
            head.get_or_insert(fragment);
        }
        assert!(resume(&head.unwrap(), &whole, &layers).is_ok());
        whole[20] ^= 1;
        assert_eq!(resume(&head.unwrap(), &whole, &layers), Err(PacketEnd::Checksum));
    }
}

#[test]
fn cut_padded_and_offloaded_packets() {
    let whole = frame(b"0123456789");
    let cut = run(LinkType::ETHERNET, &whole[..whole.len() - 4]).unwrap();
    assert_eq!((cut.payload, cut.is_cut), (&b"012345"[..], true));
    let padded = patched(whole.clone(), |b| b.extend([0; 18]));
    let datagram = run(LinkType::ETHERNET, &padded).unwrap();
    assert_eq!((datagram.payload, datagram.is_cut), (&b"0123456789"[..], false));
    let offloaded = patched(whole, |b| b[16..18].copy_from_slice(&[0, 0]));
    let datagram = run(LinkType::ETHERNET, &offloaded).unwrap();
    assert_eq!((datagram.payload, datagram.is_cut), (&b"0123456789"[..], false));
}
