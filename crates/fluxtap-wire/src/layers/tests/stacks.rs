//! Every layer and tunnel around one datagram: where it is read, where it is malformed, and what
//! is left of it when it is cut.

use super::*;
use crate::carried::{Tunnel, TunnelKind as Kind};

/// What the datagram inside carries.
const PAYLOAD: &[u8] = b"an answer";

/// The VLAN id that [`vlan`] puts in its tag.
const VLAN: u16 = 77;

/// The packet inside: IPv4 and UDP from port 53.
pub(super) fn ip4() -> Vec<u8> {
    frame(PAYLOAD)[14..].to_vec()
}

/// The same over IPv6, to port 53.
pub(super) fn ip6() -> Vec<u8> {
    frame_v6(PAYLOAD)[14..].to_vec()
}

pub(super) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An Ethernet frame with an EtherType, or a length.
pub(super) fn eth(kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[0x02; 12], &kind.to_be_bytes(), payload])
}

/// A VLAN tag and the EtherType behind it.
pub(super) fn vlan(kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&(0x6000 | VLAN).to_be_bytes(), &kind.to_be_bytes(), payload])
}

/// An outer IPv4 packet.
pub(super) fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let [l0, l1] = len.to_be_bytes();
    let head = [0x45, 0, l0, l1, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    join(&[&head, payload])
}

/// An outer IPv6 packet.
pub(super) fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (payload.len() as u16).to_be_bytes();
    join(&[&[0x60, 0, 0, 0, l0, l1, next, 64], &[0xfd; 32], payload])
}

/// An outer UDP datagram in IPv4, in Ethernet.
pub(super) fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    let words = [49_152, port, len, 0].map(u16::to_be_bytes);
    eth(0x0800, &v4(17, &join(&[words.as_flattened(), payload])))
}

/// GRE with these flags and fields, in IPv4, in Ethernet.
pub(super) fn gre(flags: u16, protocol: u16, rest: &[u8]) -> Vec<u8> {
    eth(0x0800, &v4(47, &join(&[&flags.to_be_bytes(), &protocol.to_be_bytes(), rest])))
}

/// An MPLS label stack with these labels.
pub(super) fn labels(labels: &[u32], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (i, label) in labels.iter().enumerate() {
        let bottom = if i + 1 == labels.len() { 0x100 } else { 0 };
        bytes.extend((label << 12 | bottom | 64).to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// A PPPoE packet of session 0x1234.
pub(super) fn pppoe(ppp: &[u8]) -> Vec<u8> {
    join(&[&[0x11, 0, 0x12, 0x34], &(ppp.len() as u16).to_be_bytes(), ppp])
}

/// An 802.11 frame with this control, flags and rest of the header.
pub(super) fn wifi(control: u8, flags: u8, more_header: &[u8], body: &[u8]) -> Vec<u8> {
    join(&[&[control, flags, 0, 0], &[0x02; 18], &[0x10, 0], more_header, body])
}

/// SNAP with an EtherType.
pub(super) fn snap(kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[0xaa, 0xaa, 3, 0, 0, 0], &kind.to_be_bytes(), payload])
}

/// A packet that carries [`PAYLOAD`].
struct Row {
    what: &'static str,
    link: LinkType,
    bytes: Vec<u8>,
    vlan: u16,
    tunnel: Option<Tunnel>,
}

fn row(what: &'static str, link: LinkType, bytes: Vec<u8>) -> Row {
    Row { what, link, bytes, vlan: 0, tunnel: None }
}

fn tunnel(what: &'static str, bytes: Vec<u8>, kind: Kind, id: Option<u32>) -> Row {
    let tunnel = Some(Tunnel { kind, id });
    Row { tunnel, ..row(what, LinkType::ETHERNET, bytes) }
}

impl Row {
    fn tagged(self) -> Self {
        Self { vlan: VLAN, ..self }
    }

    fn of(self, link: LinkType) -> Self {
        Self { link, ..self }
    }
}

fn good_rows() -> Vec<Row> {
    let mut rows = links();
    rows.extend(wireless());
    rows.extend(below_ip());
    rows.extend(in_ip());
    rows.extend(in_udp());
    rows.extend(nested());
    rows
}

fn links() -> Vec<Row> {
    let sll = |protocol: u16| join(&[&[0; 14], &protocol.to_be_bytes()]);
    let sll2 = |protocol: u16| join(&[&protocol.to_be_bytes(), &[0; 18]]);
    let nflog = |swap: bool| {
        let word = |n: u16| if swap { n.to_be_bytes() } else { n.to_le_bytes() };
        // Eight bytes of a prefix of five, then the packet.
        let prefix = join(&[&word(9), &word(10), b"rule\0", &[0; 3]]);
        let packet = join(&[&word(4 + ip4().len() as u16), &word(9), &ip4()]);
        join(&[&[2, 0, 0, 7], &prefix, &packet])
    };
    let pktap = |link: u32, packet: &[u8]| {
        join(&[&[108_u32, 1, link].map(u32::to_le_bytes).concat(), &[0; 96], packet])
    };
    vec![
        row("raw, IPv4", LinkType::RAW, ip4()),
        row("raw, IPv6", LinkType::RAW_BSD, ip6()),
        row("raw of OpenBSD", LinkType::RAW_OPENBSD, ip6()),
        row("IPv4", LinkType::IPV4, ip4()),
        row("IPv6", LinkType::IPV6, ip6()),
        row("cooked", LinkType::LINUX_SLL, join(&[&sll(0x0800), &ip4()])),
        row("cooked, LLC", LinkType::LINUX_SLL, join(&[&sll(4), &snap(0x0800, &ip4())])),
        row("cooked, VLAN", LinkType::LINUX_SLL, join(&[&sll(0x8100), &vlan(0x86dd, &ip6())]))
            .tagged(),
        row("cooked v2", LinkType::LINUX_SLL2, join(&[&sll2(0x86dd), &ip6()])),
        row("cooked v2, LLC", LinkType::LINUX_SLL2, join(&[&sll2(4), &snap(0x0800, &ip4())])),
        row("cooked v2, VLAN", LinkType::LINUX_SLL2, join(&[&sll2(0x8100), &vlan(0x0800, &ip4())]))
            .tagged(),
        row("loopback, little-endian", LinkType::NULL, join(&[&[2, 0, 0, 0], &ip4()])),
        row("loopback, big-endian", LinkType::NULL, join(&[&[0, 0, 0, 30], &ip6()])),
        row("loopback, EtherType", LinkType::NULL, join(&[&[15, 0, 8, 0], &ip4()])),
        row("loopback of OpenBSD", LinkType::LOOP, join(&[&[0, 0, 0, 24], &ip6()])),
        row("PPP", LinkType::PPP, join(&[&[0, 0x21], &ip4()])),
        row("PPP, short protocol", LinkType::PPP, join(&[&[0x21], &ip4()])),
        row("PPP, HDLC framing", LinkType::PPP_SERIAL, join(&[&[0xff, 3, 0, 0x57], &ip6()])),
        row("Cisco HDLC as PPP", LinkType::PPP_SERIAL, join(&[&[0x0f, 0, 8, 0], &ip4()])),
        row("Cisco HDLC", LinkType::C_HDLC, join(&[&[0x8f, 0, 0x86, 0xdd], &ip6()])),
        tunnel("PPPoE alone", pppoe(&join(&[&[0, 0x21], &ip4()])), Kind::Pppoe, Some(0x1234))
            .of(LinkType::PPP_ETHER),
        row("FDDI", LinkType::FDDI, join(&[&[0x50], &[2; 12], &snap(0x0800, &ip4())])),
        row("InfiniBand", LinkType::IPOIB, join(&[&[0; 40], &[0x86, 0xdd, 0, 0], &ip6()])),
        row("ARCNET, RFC 1051", LinkType::ARCNET_LINUX, join(&[&[1, 2, 0, 0, 240], &ip4()])),
        row(
            "ARCNET, RFC 1201",
            LinkType::ARCNET_LINUX,
            join(&[&[1, 2, 0, 0, 212, 0, 0, 9], &ip4()]),
        ),
        row("netfilter log", LinkType::NFLOG, nflog(false)),
        row("netfilter log, big-endian", LinkType::NFLOG, nflog(true)),
        row("pktap, Ethernet", LinkType::PKTAP, pktap(1, &eth(0x0800, &ip4()))),
        row("pktap, raw", LinkType::USER2, pktap(101, &ip6())),
    ]
}

fn wireless() -> Vec<Row> {
    let llc = snap(0x0800, &ip4());
    let plain = || wifi(0x08, 1, &[], &llc);
    let wifi_of = |what, bytes: Vec<u8>| row(what, LinkType::IEEE802_11, bytes);
    let subframe = join(&[&[2; 12], &(llc.len() as u16).to_be_bytes(), &llc]);
    let radiotap = |present: &[u32], fields: &[u8], frame: &[u8]| {
        let words = present.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        let len = (4 + words.len() + fields.len()) as u16;
        join(&[&[0, 0], &len.to_le_bytes(), &words, fields, frame])
    };
    let padded = wifi(0x88, 2, &[0, 0, 0xaa, 0xaa], &llc);
    let time = [&[9; 8][..], &[0x20]].concat();
    // Two words of what is present make the header unaligned, so four bytes fill up.
    let time_behind_two = [&[0; 4][..], &[9; 8], &[0x20]].concat();
    let radiotap_of = |what, bytes: Vec<u8>| row(what, LinkType::RADIOTAP, bytes);
    let prism = |len: [u8; 4], link| row("", link, join(&[&[0; 4], &len, &[7; 136], &plain()]));
    vec![
        wifi_of("802.11 to the access point", plain()),
        wifi_of("802.11, QoS", wifi(0x88, 2, &[5, 0], &llc)),
        wifi_of("802.11, QoS and HT control", wifi(0x88, 0x82, &[5, 0, 1, 2, 3, 4], &llc)),
        wifi_of("802.11 between access points", wifi(0x08, 3, &[2; 6], &llc)),
        wifi_of("802.11, four addresses and QoS", wifi(0x88, 3, &[2, 2, 2, 2, 2, 2, 0, 0], &llc)),
        wifi_of("802.11, one aggregated", wifi(0x88, 2, &[0x80, 0], &subframe)),
        radiotap_of("radiotap", radiotap(&[0], &[], &plain())),
        radiotap_of("radiotap, padded", radiotap(&[2], &[0x20], &padded)),
        radiotap_of("radiotap, time and padded", radiotap(&[3], &time, &padded)),
        radiotap_of("radiotap, two words", radiotap(&[0x8000_0003, 0], &time_behind_two, &padded)),
        Row { what: "Prism", ..prism([144, 0, 0, 0], LinkType::PRISM) },
        Row { what: "Prism, big-endian", ..prism([0, 0, 0, 144], LinkType::PRISM) },
        Row { what: "AVS", ..prism([0, 0, 0, 144], LinkType::AVS) },
    ]
}

fn below_ip() -> Vec<Row> {
    let ethernet = |what, bytes: Vec<u8>| row(what, LinkType::ETHERNET, bytes);
    let inner = eth(0x0800, &ip4());
    let llc = snap(0x0800, &ip4());
    let mac_clear = |flags: u8, more: &[u8]| {
        join(&[&[flags, 0, 0, 0, 0, 1], more, &[8, 0], &ip4(), &[0xee; 16]])
    };
    let mpls = |what, bytes: Vec<u8>, id| tunnel(what, eth(0x8847, &bytes), Kind::Mpls, Some(id));
    let mut rows = vec![
        ethernet("Ethernet", eth(0x0800, &ip4())),
        ethernet("802.3, SNAP", eth(llc.len() as u16, &llc)),
        ethernet("802.3, SNAP of a bridge", {
            let llc = patched(llc.clone(), |b| b[5] = 0xf8);
            eth(llc.len() as u16, &llc)
        }),
        ethernet("802.3, IP in LLC", eth(3 + ip4().len() as u16, &join(&[&[6, 6, 3], &ip4()]))),
        ethernet("VLAN and SNAP", eth(0x8100, &vlan(llc.len() as u16, &llc))).tagged(),
        ethernet("a tag that is only a priority", {
            eth(0x8100, &join(&[&[0x60, 0, 0x81, 0], &vlan(0x0800, &ip4())]))
        })
        .tagged(),
        ethernet("VN-Tag", eth(0x8926, &join(&[&[1, 2, 3, 4, 0x81, 0], &vlan(0x0800, &ip4())])))
            .tagged(),
        ethernet("E-Tag", eth(0x893f, &join(&[&[1, 2, 3, 4, 5, 6, 0x86, 0xdd], &ip6()]))),
        ethernet("Cisco metadata", eth(0x8909, &join(&[&[1, 1, 0, 1, 0, 9, 8, 0], &ip4()]))),
        ethernet("MACsec, signed", eth(0x88e5, &mac_clear(0x00, &[]))),
        ethernet("MACsec, signed, with a channel", eth(0x88e5, &mac_clear(0x20, &[3; 8]))),
        tunnel(
            "backbone bridge",
            eth(0x88e7, &join(&[&[0, 0, 1, 2], &inner])),
            Kind::Backbone,
            Some(0x102),
        ),
        ethernet("Ethernet in Ethernet", eth(0x6558, &inner)),
        mpls("MPLS", labels(&[17], &ip4()), 17),
        mpls("MPLS, five labels", labels(&[100, 200, 300, 400, 500], &ip6()), 500),
        mpls("MPLS, entropy label", labels(&[100, 7, 99_999], &ip4()), 100),
        mpls("pseudowire", labels(&[16, 18], &join(&[&[0; 4], &inner])), 18),
        mpls("pseudowire without control word", labels(&[18], &inner), 18),
        tunnel("MPLS from upstream", eth(0x8848, &labels(&[19], &ip4())), Kind::Mpls, Some(19)),
    ];
    // Cards whose addresses begin as an IP packet does.
    for (what, first) in [("a card 4…", 0x4c), ("a card 6…", 0x60)] {
        let frame =
            patched(inner.clone(), |b| b[..6].copy_from_slice(&[first, 0, 0xff, 0xff, 0xff, 0xff]));
        rows.push(mpls(what, labels(&[18], &frame), 18));
    }
    for (what, ppp) in [
        ("PPPoE", join(&[&[0, 0x21], &ip4()])),
        ("PPPoE, IPv6", join(&[&[0, 0x57], &ip6()])),
        ("PPPoE, MPLS", join(&[&[2, 0x81], &labels(&[17], &ip4())])),
    ] {
        rows.push(tunnel(what, eth(0x8864, &pppoe(&ppp)), Kind::Pppoe, Some(0x1234)));
    }
    rows
}

fn in_ip() -> Vec<Row> {
    let inner = eth(0x0800, &ip4());
    let ip = |what, bytes: Vec<u8>| tunnel(what, bytes, Kind::Ip, None);
    let gre_of = |what, bytes: Vec<u8>, id| tunnel(what, bytes, Kind::Gre, id);
    let erspan = |what, bytes: Vec<u8>, id| tunnel(what, bytes, Kind::Erspan, id);
    let erspan_iii = |kinds: u16, rest: &[u8]| {
        let head = [0x20, VLAN as u8, 0x04, 9, 1, 2, 3, 4, 0, 0];
        gre(0x1000, 0x22eb, &join(&[&[0, 0, 0, 5], &head, &kinds.to_be_bytes(), rest]))
    };
    let pptp = |flags: u16, more: &[u8], ppp: &[u8]| {
        let len = (ppp.len() as u16).to_be_bytes();
        gre(flags | 0x2001, 0x880b, &join(&[&len, &[0, 42], more, ppp]))
    };
    let key = [0, 1, 2, 3];
    vec![
        ip("IPv4 in IPv4", eth(0x0800, &v4(4, &ip4()))),
        ip("IPv6 in IPv4", eth(0x0800, &v4(41, &ip6()))),
        ip("IPv4 in IPv6", eth(0x86dd, &v6(4, &ip4()))),
        ip("IPv6 in IPv6", eth(0x86dd, &v6(41, &ip6()))),
        ip("IPv6 in IPv6 behind options", {
            eth(0x86dd, &v6(60, &join(&[&[41, 0, 1, 4, 0, 0, 0, 0], &ip6()])))
        }),
        ip("EtherIP", eth(0x0800, &v4(97, &join(&[&[0x30, 0], &inner])))),
        tunnel("MPLS in IP", eth(0x0800, &v4(137, &labels(&[17], &ip4()))), Kind::Mpls, Some(17)),
        row(
            "authentication header in IPv4",
            LinkType::ETHERNET,
            eth(0x0800, &{
                let head = patched(ip4()[..20].to_vec(), |b| (b[3], b[9]) = (b[3] + 24, 51));
                join(&[&head, &[17, 4], &[0; 22], &ip4()[20..]])
            }),
        ),
        gre_of("GRE", gre(0, 0x0800, &ip4()), None),
        gre_of("GRE, IPv6", gre(0, 0x86dd, &ip6()), None),
        gre_of("GRE, key", gre(0x2000, 0x0800, &join(&[&key, &ip4()])), Some(0x10203)),
        gre_of(
            "GRE, checksum, key and sequence",
            gre(0xb000, 0x0800, &join(&[&[0; 4], &key, &[0; 4], &ip4()])),
            Some(0x10203),
        ),
        gre_of(
            "GRE, source routes",
            gre(0x4000, 0x0800, &join(&[&[0; 4], &[8, 0, 0, 4, 1, 2, 3, 4], &[0; 4], &ip4()])),
            None,
        ),
        gre_of("GRE, Ethernet", gre(0x2000, 0x6558, &join(&[&key, &inner])), Some(0x10203)),
        gre_of("GRE, MPLS", gre(0, 0x8847, &labels(&[17], &ip4())), None),
        gre_of("GRE, PPP", gre(0, 0x880b, &join(&[&[0xff, 3, 0, 0x21], &ip4()])), None),
        gre_of("GRE, WCCP", gre(0, 0x883e, &ip4()), None),
        gre_of("GRE, WCCP 2", gre(0, 0x883e, &join(&[&[0; 4], &ip4()])), None),
        gre_of(
            "GRE, access point",
            gre(0, 0x8200, &wifi(0x08, 2, &[], &snap(0x0800, &ip4()))),
            None,
        ),
        gre_of("PPTP", pptp(0x1000, &[0; 4], &join(&[&[0xff, 3, 0, 0x21], &ip4()])), Some(42)),
        gre_of("PPTP, acknowledging", pptp(0x1080, &[0; 8], &join(&[&[0x21], &ip4()])), Some(42)),
        erspan("ERSPAN I", gre(0, 0x88be, &inner), None),
        erspan(
            "ERSPAN II",
            gre(
                0x1000,
                0x88be,
                &join(&[&[0; 4], &[0x10, VLAN as u8, 0x0c, 9, 0, 0, 0, 0], &inner]),
            ),
            Some(9),
        )
        .tagged(),
        erspan("ERSPAN III", erspan_iii(0, &inner), Some(9)).tagged(),
        erspan("ERSPAN III, more header", erspan_iii(1, &join(&[&[0; 8], &inner])), Some(9))
            .tagged(),
        erspan("ERSPAN III, IP", erspan_iii(2 << 10, &ip4()), Some(9)).tagged(),
    ]
}

fn in_udp() -> Vec<Row> {
    let inner = eth(0x0800, &ip4());
    let vxlan = |flags: u8, next: u8, rest: &[u8]| join(&[&[flags, 0, 0, next, 0, 2, 1, 0], rest]);
    let geneve = |options: &[u8], kind: u16, rest: &[u8]| {
        let words = (options.len() / 4) as u8;
        join(&[&[words, 0], &kind.to_be_bytes(), &[0, 2, 1, 0], options, rest])
    };
    let gtp = |flags: u8, rest: &[u8]| {
        let len = (rest.len() as u16).to_be_bytes();
        join(&[&[0x30 | flags, 0xff], &len, &[0, 0, 2, 1], rest])
    };
    let id = Some(0x201);
    let vxlan_of = |what, port, bytes: Vec<u8>| tunnel(what, udp(port, &bytes), Kind::Vxlan, id);
    let gpe_of = |what, bytes: Vec<u8>| tunnel(what, udp(4790, &bytes), Kind::VxlanGpe, id);
    let geneve_of = |what, bytes: Vec<u8>| tunnel(what, udp(6081, &bytes), Kind::Geneve, id);
    let gtp_of = |what, bytes: Vec<u8>| tunnel(what, udp(2152, &bytes), Kind::GtpU, id);
    let teredo_of = |what, bytes: Vec<u8>| tunnel(what, udp(3544, &bytes), Kind::Teredo, None);
    let origin = [0, 0, 1, 2, 3, 4, 5, 6];
    let authentication = join(&[&[0, 1, 2, 3], &[9; 5], &[8; 8], &[0]]);
    vec![
        vxlan_of("VXLAN", 4789, vxlan(0x08, 0, &inner)),
        vxlan_of("VXLAN of old Linux", 8472, vxlan(0x08, 0, &inner)),
        vxlan_of("VXLAN, other bits set", 4789, vxlan(0xff, 0xff, &inner)),
        vxlan_of("VXLAN, VLAN inside", 4789, vxlan(8, 0, &eth(0x8100, &vlan(0x0800, &ip4()))))
            .tagged(),
        gpe_of("VXLAN-GPE, IPv4", vxlan(0x0c, 1, &ip4())),
        gpe_of("VXLAN-GPE, IPv6", vxlan(0x0c, 2, &ip6())),
        gpe_of("VXLAN-GPE, Ethernet", vxlan(0x0c, 3, &inner)),
        gpe_of("VXLAN-GPE, no kind", vxlan(0x08, 0, &inner)),
        gpe_of("VXLAN-GPE, kind without its flag", vxlan(0x08, 1, &ip4())),
        gpe_of("VXLAN-GPE, MPLS", vxlan(0x0c, 5, &labels(&[17], &ip4()))),
        geneve_of("GENEVE", geneve(&[], 0x6558, &inner)),
        geneve_of("GENEVE, options", geneve(&[7; 12], 0x6558, &inner)),
        geneve_of("GENEVE, IPv6", geneve(&[7; 4], 0x86dd, &ip6())),
        gtp_of("GTP-U", gtp(0, &ip4())),
        gtp_of("GTP-U, sequence", gtp(2, &join(&[&[0, 1, 0, 9], &ip6()]))),
        gtp_of("GTP-U, extensions", {
            let extensions = [0, 0, 0, 0x85, 1, 7, 7, 0x85, 2, 7, 7, 7, 7, 7, 7, 0];
            gtp(4, &join(&[&extensions, &ip4()]))
        }),
        gtp_of("GTP-U, Ethernet", gtp(0, &inner)),
        teredo_of("Teredo", ip6()),
        teredo_of("Teredo, origin", join(&[&origin, &ip6()])),
        teredo_of("Teredo, authentication and origin", join(&[&authentication, &origin, &ip6()])),
        tunnel("MPLS in UDP", udp(6635, &labels(&[17], &ip4())), Kind::Mpls, Some(17)),
        tunnel("GRE in UDP", udp(4754, &join(&[&[0, 0, 8, 0], &ip4()])), Kind::Gre, None),
    ]
}

/// What mirrors of real networks make of it; the outermost tunnel and tag count.
fn nested() -> Vec<Row> {
    let vxlan = join(&[&[8, 0, 0, 0, 0, 2, 1, 0], &eth(0x0800, &ip4())]);
    let mirrored = eth(0x8100, &vlan(0x0800, &udp(4789, &vxlan)[14..]));
    let erspan = join(&[&[0; 4], &[0x10, 0, 0, 9, 0, 0, 0, 0], &mirrored]);
    let session = pppoe(&join(&[&[0, 0x21], &v4(41, &ip6())]));
    vec![
        tunnel("VXLAN mirrored by ERSPAN", gre(0x1000, 0x88be, &erspan), Kind::Erspan, Some(9))
            .tagged(),
        tunnel("IPv6 in IPv4 over PPPoE", eth(0x8864, &session), Kind::Pppoe, Some(0x1234)),
        Row {
            tunnel: Some(Tunnel { kind: Kind::Vxlan, id: Some(0x201) }),
            ..row("VXLAN, two tags outside", LinkType::ETHERNET, {
                let inner = join(&[&[0, 5, 8, 0], &udp(4789, &vxlan)[14..]]);
                eth(0x88a8, &vlan(0x8100, &inner))
            })
        }
        .tagged(),
    ]
}

#[test]
fn every_layer_comes_off() {
    let mut names = std::collections::BTreeSet::new();
    for Row { what, link, bytes, vlan, tunnel } in good_rows() {
        assert!(names.insert(what), "{what} is there twice");
        let datagram = run(link, &bytes).unwrap_or_else(|end| panic!("{what}: {end:?}"));
        assert_eq!((datagram.payload, datagram.is_cut), (PAYLOAD, false), "{what}");
        let source: &[&str] = &["198.51.100.1", "101:101:101:101:101:101:101:101"];
        assert!(source.contains(&datagram.ends.source.to_string().as_str()), "{what}");
        assert_eq!((datagram.ends.vlan, datagram.ends.tunnel), (vlan, tunnel), "{what}");
    }
    // A link type without a row is not proven to be read.
    let rows = good_rows();
    for (link, name) in LINK_TYPES_READ {
        assert!(rows.iter().any(|row| row.link == link), "{link:?}, {name}: no row");
    }
    for kind in Kind::ALL {
        let is_there = rows.iter().any(|row| row.tunnel.is_some_and(|tunnel| tunnel.kind == kind));
        assert!(is_there, "{kind:?}: no row");
    }
}

#[test]
fn every_beginning_of_every_layer_is_cut_and_nothing_else() {
    for Row { what, link, bytes, vlan, tunnel } in good_rows() {
        let mut was_read = false;
        for len in 0..bytes.len() {
            match run(link, &bytes[..len]) {
                Ok(datagram) => {
                    // What a signature follows is whole before the last byte.
                    let is_whole = datagram.payload == PAYLOAD;
                    assert!(datagram.is_cut || is_whole, "{what} cut to {len}");
                    assert!(PAYLOAD.starts_with(datagram.payload), "{what} cut to {len}");
                    assert_eq!((datagram.ends.vlan, datagram.ends.tunnel), (vlan, tunnel));
                    was_read = true;
                }
                Err(end) => {
                    assert!(!was_read, "{what} cut to {len}: {end:?}, but less was read");
                    // Without enough of it a tunnel in UDP is not known from other datagrams, nor a
                    // pseudowire from anything.
                    let is_fine = end.is_malformed()
                        || matches!(end, PacketEnd::OtherPort | PacketEnd::NotIp);
                    assert!(is_fine, "{what} cut to {len}: {end:?}");
                }
            }
        }
        assert!(was_read, "{what}");
    }
}

#[test]
fn any_byte_of_any_layer_may_be_wrong() {
    let verified = Layers { is_checksum_verified: true, ..Layers::default() };
    for Row { what, link, bytes, .. } in good_rows() {
        for at in 0..bytes.len() {
            for byte in [0, 1, 0x0f, 0x45, 0x60, 0x7f, 0x80, 0xff, bytes[at] ^ 0x10] {
                let mut wrong = bytes.clone();
                wrong[at] = byte;
                for layers in [&Layers::default(), &verified] {
                    // It must neither panic nor hang; what it carries lies inside the packet.
                    match with(layers, link, &wrong) {
                        Ok(Carried::Datagram(d)) => assert!(d.payload.len() <= wrong.len()),
                        Ok(Carried::Segment(s)) => assert!(s.payload.len() <= wrong.len()),
                        Ok(Carried::Fragment(f)) => {
                            assert!(f.depth <= DEPTH_MAX, "{what}");
                            let _ = resume(&f, f.payload, layers);
                        }
                        Err(_) => {}
                    }
                }
            }
        }
    }
}
