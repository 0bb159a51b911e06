//! Where layers and tunnels end that are malformed, that carry something else, or that only look
//! like a tunnel.

use super::stacks::*;
use super::*;
use crate::carried::TunnelKind;

/// The end of an Ethernet frame.
fn end(what: &str, bytes: &[u8], expect: PacketEnd) {
    assert_eq!(carried(LinkType::ETHERNET, bytes), Err(expect), "{what}");
}

#[test]
fn below_ip() {
    let inner = eth(0x0800, &ip4());
    let llc = |head: &[u8]| eth(60, &[head, &ip4()].concat());
    let session = |patch: fn(&mut Vec<u8>)| eth(0x8864, &patched(pppoe(&[0, 0x21, 0x45]), patch));
    let rows = [
        ("spanning tree", llc(&[0x42, 0x42, 3]), PacketEnd::NotIp),
        ("SNAP of Cisco", llc(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0]), PacketEnd::NotIp),
        ("no LLC", eth(2, &[0xaa, 0xaa]), PacketEnd::LinkCut),
        ("LLC whose length ends in it", eth(3, &snap(0x0800, &ip4())), PacketEnd::NotIp),
        ("neither length nor EtherType", eth(0x05f0, &ip4()), PacketEnd::NotIp),
        ("discovery of PPPoE", eth(0x8863, &pppoe(&[0, 0x21, 0x45])), PacketEnd::NotIp),
        ("PPPoE, padding", session(|b| b[1] = 0xa7), PacketEnd::NotIp),
        ("PPPoE, version 2", session(|b| b[0] = 0x21), PacketEnd::NotIp),
        ("PPPoE, empty", session(|b| b[5] = 0), PacketEnd::LinkCut),
        ("PPP, link control", eth(0x8864, &pppoe(&[0xc0, 0x21, 1, 1])), PacketEnd::NotIp),
        ("PPP, encrypted", eth(0x8864, &pppoe(&[0, 0xfd, 0x90, 0])), PacketEnd::Encrypted),
        ("MACsec, encrypted", eth(0x88e5, &[0x0c, 0, 0, 0, 0, 1, 8, 0]), PacketEnd::Encrypted),
        ("MPLS without a bottom", eth(0x8847, &[0; 64]), PacketEnd::LinkCut),
        ("MPLS, management", eth(0x8847, &labels(&[13], &[0x10, 0, 0, 7])), PacketEnd::NotIp),
        ("MPLS, anything", eth(0x8847, &labels(&[17], &[0xab; 40])), PacketEnd::NotIp),
        ("MPLS, IP of version 4 cut", eth(0x8847, &labels(&[17], &[0x45])), PacketEnd::IpHeader),
        ("a frame cut in the backbone", eth(0x88e7, &inner[..12]), PacketEnd::LinkCut),
    ];
    for (what, bytes, expect) in rows {
        end(what, &bytes, expect);
    }
}

#[test]
fn other_link_types() {
    let llc = snap(0x0800, &ip4());
    let several = [&[2; 12], &40_u16.to_be_bytes()[..], &[0; 100]].concat();
    let rows = [
        ("802.11 beacon", LinkType::IEEE802_11, wifi(0x80, 0, &[], &llc), PacketEnd::NotIp),
        ("802.11 without data", LinkType::IEEE802_11, wifi(0x48, 0, &[], &[]), PacketEnd::NotIp),
        ("802.11 protected", LinkType::IEEE802_11, wifi(8, 0x41, &[], &llc), PacketEnd::Encrypted),
        (
            "802.11, later piece",
            LinkType::IEEE802_11,
            patched(wifi(8, 1, &[], &llc), |b| b[22] |= 1),
            PacketEnd::NotIp,
        ),
        (
            "802.11, several aggregated",
            LinkType::IEEE802_11,
            wifi(0x88, 2, &[0x80, 0], &several),
            PacketEnd::Aggregate,
        ),
        ("radiotap, version 1", LinkType::RADIOTAP, vec![1, 0, 8, 0, 0], PacketEnd::LinkCut),
        ("radiotap beyond the packet", LinkType::RADIOTAP, vec![0, 0, 9, 0], PacketEnd::LinkCut),
        ("Prism beyond the packet", LinkType::PRISM, vec![0; 8], PacketEnd::LinkCut),
        ("PPP, nothing", LinkType::PPP, vec![0xff, 3], PacketEnd::LinkCut),
        (
            "Cisco HDLC, keep-alive",
            LinkType::C_HDLC,
            vec![0x8f, 0, 0x80, 0x35, 0],
            PacketEnd::NotIp,
        ),
        ("ARCNET, ARP", LinkType::ARCNET_LINUX, vec![1, 2, 0, 0, 213, 0], PacketEnd::NotIp),
        ("ARCNET, piece", LinkType::ARCNET_LINUX, vec![1, 2, 0, 0, 212, 3], PacketEnd::NotIp),
        ("netfilter log without packet", LinkType::NFLOG, vec![2, 0, 0, 0], PacketEnd::LinkCut),
        (
            "netfilter log, attribute of 3",
            LinkType::NFLOG,
            vec![2, 0, 0, 0, 3, 0, 9, 0, 0x45],
            PacketEnd::LinkCut,
        ),
        ("loopback, other family", LinkType::NULL, vec![7, 0, 0, 0, 0x45], PacketEnd::NotIp),
        ("cooked, netlink", LinkType::LINUX_SLL, vec![0; 40], PacketEnd::NotIp),
    ];
    for (what, link, bytes, expect) in rows {
        assert_eq!(carried(link, &bytes), Err(expect), "{what}");
    }
    let pktap = |len: u32, kind: u32, link: u32| {
        [&[len, kind, link].map(u32::to_le_bytes).concat(), &ip4()[..]].concat()
    };
    for (what, bytes, expect) in [
        ("unknown", pktap(12, 1, 147), PacketEnd::LinkType),
        ("no packet", pktap(12, 2, 101), PacketEnd::LinkType),
        ("header within header", pktap(11, 1, 101), PacketEnd::LinkType),
        ("beyond the packet", pktap(1 << 30, 1, 101), PacketEnd::LinkCut),
    ] {
        assert_eq!(carried(LinkType::PKTAP, &bytes), Err(expect), "pktap, {what}");
    }
}

#[test]
fn in_ip() {
    let rows = [
        ("GRE, version 2", gre(2, 0x0800, &ip4()), PacketEnd::NotIp),
        ("GRE, cut in the key", gre(0x2000, 0x0800, &[0; 3]), PacketEnd::TunnelHeader),
        ("GRE, routes without end", gre(0x4000, 0x0800, &[4; 40]), PacketEnd::TunnelHeader),
        ("GRE, keep-alive", gre(0, 0, &[]), PacketEnd::NotIp),
        ("GRE, ARP", gre(0, 0x0806, &[0; 28]), PacketEnd::NotIp),
        ("PPTP, acknowledgement", gre(0x2081, 0x880b, &[0; 8]), PacketEnd::NotIp),
        ("PPTP, cut", gre(0x3001, 0x880b, &[0, 9, 0, 1, 0]), PacketEnd::TunnelHeader),
        ("ERSPAN II, cut", gre(0x1000, 0x88be, &[0; 11]), PacketEnd::TunnelHeader),
        ("ERSPAN III, cut", gre(0x1000, 0x22eb, &[0; 15]), PacketEnd::TunnelHeader),
        ("ERSPAN, no frame", gre(0, 0x88be, &[0; 13]), PacketEnd::LinkCut),
        ("EtherIP, cut", eth(0x0800, &v4(97, &[0x30])), PacketEnd::TunnelHeader),
        ("IPsec", eth(0x0800, &v4(50, &[0; 40])), PacketEnd::Encrypted),
        ("IPsec over IPv6", eth(0x86dd, &v6(50, &[0; 40])), PacketEnd::Encrypted),
        ("IP in IP of version 0", eth(0x0800, &v4(4, &[0; 40])), PacketEnd::IpHeader),
        ("SCTP", eth(0x0800, &v4(132, &[0; 40])), PacketEnd::NotUdpOrTcp),
    ];
    for (what, bytes, expect) in rows {
        end(what, &bytes, expect);
    }
}

#[test]
fn errors_of_icmp_quote_and_are_no_messages() {
    let quote = |kind: u8, ip: &[u8]| v4(1, &[&[kind, 0, 0, 0, 0, 0, 0, 0], ip].concat());
    let quote_v6 = |kind: u8, ip: &[u8]| v6(58, &[&[kind, 0, 0, 0, 0, 0, 0, 0], ip].concat());
    let tcp = &tcp_frame(b"x")[14..];
    let other = &patched(ip4(), |b| b[21] = 54);
    let rows = [
        ("answer", quote(3, &ip4()), PacketEnd::IcmpQuote),
        ("nothing but the ports", quote(11, &ip4()[..24]), PacketEnd::IcmpQuote),
        ("the beginning of TCP", quote(3, &tcp[..28]), PacketEnd::IcmpQuote),
        ("other port", quote(3, other), PacketEnd::NotUdpOrTcp),
        ("cut in the IP header", quote(3, &ip4()[..12]), PacketEnd::NotUdpOrTcp),
        ("echo with such a payload", quote(8, &ip4()), PacketEnd::NotUdpOrTcp),
        ("a quoted quote", quote(3, &quote(3, &ip4())), PacketEnd::NotUdpOrTcp),
        ("empty", v4(1, &[]), PacketEnd::NotUdpOrTcp),
        ("IPv6", quote_v6(1, &ip6()), PacketEnd::IcmpQuote),
        ("IPv6, neighbours", quote_v6(135, &ip6()), PacketEnd::NotUdpOrTcp),
    ];
    for (what, ip, expect) in rows {
        assert_eq!(carried(LinkType::RAW, &ip), Err(expect), "{what}");
    }
}

#[test]
fn relatives_of_dns_are_told_apart() {
    let from_to = |source: u16, destination: u16| {
        let mut bytes = ip4();
        bytes[20..22].copy_from_slice(&source.to_be_bytes());
        bytes[22..24].copy_from_slice(&destination.to_be_bytes());
        bytes
    };
    for (port, expect) in [
        (5353, PacketEnd::Mdns),
        (5355, PacketEnd::Llmnr),
        (137, PacketEnd::Nbns),
        (138, PacketEnd::OtherPort),
    ] {
        for (source, destination) in [(port, port), (port, 40_000), (40_000, port)] {
            let bytes = from_to(source, destination);
            assert_eq!(carried(LinkType::RAW, &bytes), Err(expect), "{source} {destination}");
            let tcp = patched(bytes, |b| b[9] = 6);
            assert_eq!(carried(LinkType::RAW, &tcp), Err(expect), "{source} {destination}");
        }
        // A client may have any port, and DNS may be looked for on any.
        assert!(carried(LinkType::RAW, &from_to(53, port)).is_ok());
        let layers = Layers { ports: Ports::new(&[port]).unwrap(), ..Layers::default() };
        assert!(with(&layers, LinkType::RAW, &from_to(port, port)).is_ok());
    }
}

#[test]
fn what_does_not_look_like_a_tunnel_is_none() {
    let inner = eth(0x0800, &ip4());
    let head = |head: &[u8], rest: &[u8]| [head, rest].concat();
    let rows = [
        ("VXLAN without its flag", 4789, head(&[0xf7, 0, 0, 0, 0, 0, 1, 0], &inner)),
        ("VXLAN without a frame", 4789, head(&[8, 0, 0, 0, 0, 0, 1, 0], &inner[..13])),
        ("VXLAN, cut", 4789, vec![8, 0, 0]),
        ("VXLAN-GPE, version 1", 4790, head(&[0x1c, 0, 0, 1, 0, 0, 1, 0], &ip4())),
        ("GENEVE, version 1", 6081, head(&[0x40, 0, 0x65, 0x58, 0, 0, 1, 0], &inner)),
        ("GENEVE, options beyond it", 6081, head(&[0x3f, 0, 8, 0, 0, 0, 1, 0], &ip4())),
        ("GENEVE, a length", 6081, head(&[0, 0, 0, 60, 0, 0, 1, 0], &ip4())),
        ("GTP-U, version 2", 2152, head(&[0x48, 0xff, 0, 0, 0, 0, 0, 1], &ip4())),
        ("GTP'", 2152, head(&[0x20, 0xff, 0, 0, 0, 0, 0, 1], &ip4())),
        ("GTP-U, echo", 2152, head(&[0x32, 1, 0, 0, 0, 0, 0, 1], &ip4())),
        (
            "GTP-U, empty extension",
            2152,
            head(&[0x34, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0], &ip4()),
        ),
        (
            "GTP-U, extension beyond it",
            2152,
            head(&[0x34, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], &[99; 40]),
        ),
        ("GTP-U, anything", 2152, head(&[0x30, 0xff, 0, 0, 0, 0, 0, 1], &[0xab; 40])),
        ("Teredo, IPv4", 3544, ip4()),
        ("Teredo, bubble", 3544, patched(ip6()[..40].to_vec(), |b| b[4..6].fill(0))),
        ("Teredo, authentication beyond it", 3544, vec![0, 1, 255, 255, 0]),
        ("nothing", 2152, vec![]),
        ("MPLS, anything", 6635, vec![0xab; 40]),
        ("MPLS, no bottom", 6635, vec![0; 40]),
        ("MPLS, nearly IP", 6635, labels(&[17], &[0x41; 40])),
        ("GRE, version 1", 4754, head(&[0, 1, 8, 0], &ip4())),
        ("GRE, source routes", 4754, head(&[0x40, 0, 8, 0], &ip4())),
        ("GRE, a length", 4754, head(&[0, 0, 0, 60], &ip4())),
    ];
    for (what, port, payload) in rows {
        end(what, &udp(port, &payload), PacketEnd::OtherPort);
    }
    end("VXLAN-GPE, service chain", &udp(4790, &[0x0c, 0, 0, 4, 0, 0, 1, 0]), PacketEnd::NotIp);
    end("management", &udp(4790, &[0x0d, 0, 0, 1, 0, 0, 1, 0]), PacketEnd::NotIp);
    end("length 7", &patched(udp(4789, &[]), |b| b[39] = 7), PacketEnd::TransportHeader);
}

#[test]
fn tunnel_ports_are_settings_and_dns_goes_first() {
    let vxlan = [&[8, 0, 0, 0, 0, 0, 1, 0], &eth(0x0800, &ip4())[..]].concat();
    let tunnels = TunnelPorts::new(&[(TunnelKind::Vxlan, 9999)]).unwrap();
    let layers = Layers { tunnels, ..Layers::default() };
    let is_read = |layers: &Layers, bytes: &[u8]| with(layers, LinkType::ETHERNET, bytes).is_ok();
    assert!(is_read(&layers, &udp(9999, &vxlan)));
    assert!(!is_read(&layers, &udp(4789, &vxlan)));
    let none = Layers { tunnels: TunnelPorts::NONE, ..layers };
    assert!(!is_read(&none, &udp(4789, &vxlan)));
    assert!(!is_read(&none, &udp(0, &vxlan)), "port 0 is none");
    // An answer to a client whose port is that of a tunnel.
    let answer = patched(ip4(), |b| b[22..24].copy_from_slice(&4789_u16.to_be_bytes()));
    assert!(matches!(
        carried(LinkType::RAW, &answer),
        Ok(Carried::Datagram(d)) if d.destination_port == 4789
    ));
    let kind = TunnelKind::Vxlan;
    assert_eq!(TunnelPorts::new(&[(kind, 0)]), None);
    assert_eq!(TunnelPorts::new(&[(kind, 1), (TunnelKind::Geneve, 1)]), None);
    assert_eq!(TunnelPorts::new(&[(TunnelKind::Pppoe, 1)]), None);
    let many: Vec<_> = (1..=17).map(|port| (kind, port)).collect();
    assert!(TunnelPorts::new(&many[..TUNNEL_PORTS_MAX]).is_some());
    assert_eq!(TunnelPorts::new(&many), None);
    for kind in TunnelPorts::KINDS {
        assert!(TunnelPorts::new(&[(kind, 1)]).is_some());
    }
}

#[test]
fn depth_is_bounded_whatever_is_nested() {
    type Wrap<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let wrap =
        |ip: &[u8], times: usize, by: Wrap<'_>| (0..times).fold(ip.to_vec(), |inner, _| by(&inner));
    let ways: [(&str, Wrap<'_>); 6] = [
        ("IP", &|ip| v4(4, ip)),
        ("GRE", &|ip| gre(0, 0x0800, ip)[14..].to_vec()),
        ("Ethernet in GRE", &|ip| gre(0, 0x6558, &eth(0x0800, ip))[14..].to_vec()),
        ("MPLS", &|ip| v4(137, &labels(&[17], ip))),
        ("GTP-U", &|ip| udp(2152, &[&[0x30, 0xff, 0, 0, 0, 0, 0, 1], ip].concat())[14..].to_vec()),
        ("VXLAN", &|ip| {
            udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0], &eth(0x0800, ip)[..]].concat())[14..].to_vec()
        }),
    ];
    let depth = usize::from(DEPTH_MAX);
    for (what, by) in ways {
        assert!(carried(LinkType::RAW, &wrap(&ip4(), depth, by)).is_ok(), "{what}");
        for times in [depth + 1, 200] {
            let bytes = wrap(&ip4(), times, by);
            assert_eq!(carried(LinkType::RAW, &bytes), Err(PacketEnd::TooDeep), "{what} {times}");
        }
    }
    // What is below IP has no lengths, so a packet can be nothing else.
    for (what, piece) in [
        ("Ethernet in Ethernet", eth(0x6558, &[])),
        ("backbone", join(&[&eth(0x88e7, &[]), &[0; 4]])),
        (
            "PPPoE and MPLS",
            eth(
                0x8864,
                &join(&[&pppoe(&[0; 0xff00]).as_slice()[..6], &[2, 0x81], &labels(&[17], &[])]),
            ),
        ),
    ] {
        end(what, &piece.repeat(4_000), PacketEnd::TooDeep);
    }
    // Tags and SNAP are not packets in packets: they only take bytes off.
    let tags = eth(0x8100, &join(&[&[0, 1, 0x81, 0].repeat(60_000), &vlan(0x0800, &ip4())]));
    assert!(carried(LinkType::ETHERNET, &tags).is_ok());
    let snaps = join(&[&snap(0xff, &[]).repeat(30_000), &snap(0x0800, &ip4())]);
    assert!(carried(LinkType::ETHERNET, &eth(0x05dc, &snaps)).is_err());
    // A fragment knows how deep it was.
    let fragment = patched(v4(4, &ip4()), |b| b[6] = 0x20);
    let nested = wrap(&fragment, 3, &|ip| v4(4, ip));
    let Ok(Carried::Fragment(head)) = carried(LinkType::RAW, &nested) else { panic!() };
    assert_eq!((head.depth, head.protocol), (3, 4));
    assert!(resume(&head, &ip4(), &Layers::default()).is_ok());
    let deepest = Fragment { depth: DEPTH_MAX, ..head };
    assert_eq!(resume(&deepest, &ip4(), &Layers::default()), Err(PacketEnd::TooDeep));
}
