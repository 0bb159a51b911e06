//! From a captured packet to the UDP datagram on a DNS port.
//!
//! The reads are by hand: on plain Ethernet/IPv4/UDP that costs a fifth of the instructions of the
//! slice types of `etherparse`, which serves as the test oracle instead (see this module's tests).
//! A packet cut by the capture is not an error: what is there is decoded, and marked.

use crate::carried::{Datagram, Ends};
use crate::packet::{LinkType, Packet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most IPv6 extension headers walked; RFC 8200 section 4.1 orders at most eight.
pub const EXTENSION_HEADERS_MAX: u32 = 16;

/// Most ports that count as DNS ports.
pub const PORTS_MAX: usize = 16;

/// Where a packet ends that gives no DNS datagram. Each is one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketEnd {
    /// Not IPv4 or IPv6: ARP, LLC, anything else.
    NotIp,
    /// IP, but neither UDP nor TCP.
    NotUdpOrTcp,
    /// UDP or TCP, but on no DNS port.
    OtherPort,
    /// A TCP segment on a DNS port; streams are not put together.
    TcpSegment,
    /// An IP fragment; fragments are not put together, so its ports are not known.
    Fragment,
    /// Malformed: the link-layer header is not whole.
    LinkCut,
    /// Malformed: the IP header is not whole, or its version or lengths contradict themselves.
    IpHeader,
    /// Malformed: the UDP or TCP header is not whole, or the UDP length is below 8.
    TransportHeader,
    /// Refused: more than [`EXTENSION_HEADERS_MAX`] IPv6 extension headers.
    ExtensionHeaders,
    /// Refused: a link type that is not read.
    LinkType,
}

impl PacketEnd {
    /// All ends, in the order of [`PacketEnd::index`].
    pub const ALL: [Self; 10] = [
        Self::NotIp,
        Self::NotUdpOrTcp,
        Self::OtherPort,
        Self::TcpSegment,
        Self::Fragment,
        Self::LinkCut,
        Self::IpHeader,
        Self::TransportHeader,
        Self::ExtensionHeaders,
        Self::LinkType,
    ];

    /// Position in [`PacketEnd::ALL`], for counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The end as a counter name; what is before the dot is the class of the end.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotIp => "not_dns.not_ip",
            Self::NotUdpOrTcp => "not_dns.other_transport",
            Self::OtherPort => "not_dns.other_port",
            Self::TcpSegment => "unread.tcp_segment",
            Self::Fragment => "unread.fragment",
            Self::LinkCut => "malformed.link_header",
            Self::IpHeader => "malformed.ip_header",
            Self::TransportHeader => "malformed.transport_header",
            Self::ExtensionHeaders => "refused.extension_headers",
            Self::LinkType => "refused.link_type",
        }
    }

    /// Whether the packet was malformed.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        matches!(self, Self::LinkCut | Self::IpHeader | Self::TransportHeader)
    }
}

/// The ports that count as DNS ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    len: u8,
    ports: [u16; PORTS_MAX],
}

impl Ports {
    /// A set of 1 to [`PORTS_MAX`] ports; `None` for none, too many, or port 0.
    #[must_use]
    pub fn new(ports: &[u16]) -> Option<Self> {
        let mut all = [0; PORTS_MAX];
        all.get_mut(..ports.len())?.copy_from_slice(ports);
        let is_good = !ports.is_empty() && !ports.contains(&0);
        is_good.then_some(Self { len: ports.len() as u8, ports: all })
    }

    /// The ports as they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[u16] {
        self.ports.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Whether `port` is one of them.
    #[must_use]
    #[inline]
    pub fn contains(&self, port: u16) -> bool {
        self.as_slice().contains(&port)
    }
}

impl Default for Ports {
    /// Port 53 alone.
    fn default() -> Self {
        let mut ports = [0; PORTS_MAX];
        if let Some(first) = ports.first_mut() {
            *first = 53;
        }
        Self { len: 1, ports }
    }
}

/// Takes the link, IP and UDP headers off.
///
/// # Errors
/// Where the packet ends when it holds no datagram on one of `ports`.
#[inline]
pub fn decode<'a>(packet: &Packet<'a>, ports: &Ports) -> Result<Datagram<'a>, PacketEnd> {
    let bytes = packet.bytes;
    match packet.link {
        LinkType::ETHERNET => ether_type(bytes, 12, ports),
        LinkType::LINUX_SLL => ether_type(bytes, 14, ports),
        LinkType::LINUX_SLL2 => sll2(bytes, ports),
        LinkType::NULL | LinkType::LOOP => loopback(bytes, ports),
        LinkType::RAW
        | LinkType::RAW_BSD
        | LinkType::RAW_OPENBSD
        | LinkType::IPV4
        | LinkType::IPV6 => ip(bytes, 0, ports),
        _ => Err(PacketEnd::LinkType),
    }
}

/// Link types that [`decode`] reads, by number and name.
pub const LINK_TYPES_READ: [(LinkType, &str); 10] = [
    (LinkType::NULL, "BSD loopback"),
    (LinkType::ETHERNET, "Ethernet"),
    (LinkType::RAW_BSD, "raw IP"),
    (LinkType::RAW_OPENBSD, "raw IP"),
    (LinkType::RAW, "raw IP"),
    (LinkType::LOOP, "OpenBSD loopback"),
    (LinkType::LINUX_SLL, "Linux cooked v1"),
    (LinkType::IPV4, "raw IPv4"),
    (LinkType::IPV6, "raw IPv6"),
    (LinkType::LINUX_SLL2, "Linux cooked v2"),
];

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// Reads the EtherType at `at` and what follows it, behind any number of VLAN tags
/// (IEEE 802.1Q, 802.1ad and the older 0x9100 and 0x9200 for outer tags).
#[inline]
fn ether_type<'a>(bytes: &'a [u8], at: usize, ports: &Ports) -> Result<Datagram<'a>, PacketEnd> {
    let mut at = at;
    let mut vlan = 0;
    loop {
        match read_u16(bytes, at).ok_or(PacketEnd::LinkCut)? {
            0x0800 | 0x86dd => {
                return ip(bytes.get(at.saturating_add(2)..).unwrap_or(&[]), vlan, ports);
            }
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let tag = read_u16(bytes, at.saturating_add(2)).ok_or(PacketEnd::LinkCut)?;
                if vlan == 0 {
                    vlan = tag & 0x0fff;
                }
                at = at.saturating_add(4);
            }
            _ => return Err(PacketEnd::NotIp),
        }
    }
}

/// Linux cooked v2: the protocol stands first, the payload 20 bytes on.
fn sll2<'a>(bytes: &'a [u8], ports: &Ports) -> Result<Datagram<'a>, PacketEnd> {
    let protocol = read_u16(bytes, 0).ok_or(PacketEnd::LinkCut)?;
    let payload = bytes.get(20..).ok_or(PacketEnd::LinkCut)?;
    match protocol {
        0x0800 | 0x86dd => ip(payload, 0, ports),
        // A tag's own two bytes come first in the payload, then the inner EtherType.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
            let tag = read_u16(payload, 0).ok_or(PacketEnd::LinkCut)? & 0x0fff;
            ether_type(payload, 2, ports).map(|mut datagram| {
                datagram.ends.vlan = tag;
                datagram
            })
        }
        _ => Err(PacketEnd::NotIp),
    }
}

/// BSD loopback: a 4-byte address family whose byte order is that of the capturing host, and whose
/// number for IPv6 differs between systems. The version nibble decides; the family must agree.
fn loopback<'a>(bytes: &'a [u8], ports: &Ports) -> Result<Datagram<'a>, PacketEnd> {
    let (family, payload) = bytes.split_first_chunk::<4>().ok_or(PacketEnd::LinkCut)?;
    let family = match u32::from_le_bytes(*family) {
        small @ 0..=0xffff => small,
        swapped => swapped.swap_bytes(),
    };
    match family {
        2 | 10 | 24 | 28 | 30 => ip(payload, 0, ports),
        _ => Err(PacketEnd::NotIp),
    }
}

#[inline]
fn ip<'a>(bytes: &'a [u8], vlan: u16, ports: &Ports) -> Result<Datagram<'a>, PacketEnd> {
    match bytes.first().map(|b| b >> 4) {
        Some(4) => ipv4(bytes, vlan, ports),
        Some(6) => ipv6(bytes, vlan, ports),
        _ => Err(PacketEnd::IpHeader),
    }
}

#[inline]
fn ipv4<'a>(bytes: &'a [u8], vlan: u16, ports: &Ports) -> Result<Datagram<'a>, PacketEnd> {
    let head = bytes.first_chunk::<20>().ok_or(PacketEnd::IpHeader)?;
    let [version_ihl, _, l0, l1, _, _, f0, f1, _, protocol, _, _, addresses @ ..] = *head;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
    let header_len = usize::from(version_ihl & 0x0f).saturating_mul(4);
    let total_len = match usize::from(u16::from_be_bytes([l0, l1])) {
        // Segmentation offload leaves 0 in packets captured on the sending host.
        0 => bytes.len(),
        len => len,
    };
    if header_len < 20 || total_len < header_len {
        return Err(PacketEnd::IpHeader);
    }
    if protocol != 6 && protocol != 17 {
        return Err(PacketEnd::NotUdpOrTcp);
    }
    // More-fragments flag or an offset.
    if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return Err(PacketEnd::Fragment);
    }
    let end = total_len.min(bytes.len());
    let payload = bytes.get(header_len..end).ok_or(PacketEnd::IpHeader)?;
    let source = IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3));
    let destination = IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3));
    transport(payload, protocol, Ends { source, destination, vlan }, total_len > end, ports)
}

fn ipv6<'a>(bytes: &'a [u8], vlan: u16, ports: &Ports) -> Result<Datagram<'a>, PacketEnd> {
    let head = bytes.first_chunk::<40>().ok_or(PacketEnd::IpHeader)?;
    let [_, _, _, _, l0, l1, next, _, addresses @ ..] = *head;
    let (Some(source), Some(destination)) =
        (addresses.first_chunk::<16>(), addresses.last_chunk::<16>())
    else {
        return Err(PacketEnd::IpHeader);
    };
    let end = match usize::from(u16::from_be_bytes([l0, l1])) {
        // A jumbogram, or offload again.
        0 => bytes.len(),
        len => len.saturating_add(40),
    };
    let is_cut = end > bytes.len();
    let payload = bytes.get(40..end.min(bytes.len())).unwrap_or(&[]);
    let (protocol, payload) = extension_headers(next, payload)?;
    let ends = Ends {
        source: IpAddr::V6(Ipv6Addr::from(*source)),
        destination: IpAddr::V6(Ipv6Addr::from(*destination)),
        vlan,
    };
    transport(payload, protocol, ends, is_cut, ports)
}

/// Walks IPv6 extension headers (RFC 8200 section 4, RFC 4302) to the transport protocol.
fn extension_headers(first: u8, payload: &[u8]) -> Result<(u8, &[u8]), PacketEnd> {
    let mut next = first;
    let mut rest = payload;
    for _ in 0..EXTENSION_HEADERS_MAX {
        let len = match next {
            6 | 17 => return Ok((next, rest)),
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6: units of 8 bytes.
            0 | 43 | 60 | 135 | 139 | 140 => {
                usize::from(*rest.get(1).ok_or(PacketEnd::IpHeader)?).saturating_add(1) << 3
            }
            // Authentication header: units of 4 bytes, minus two.
            51 => usize::from(*rest.get(1).ok_or(PacketEnd::IpHeader)?).saturating_add(2) << 2,
            44 => {
                let offset_flags = read_u16(rest, 2).ok_or(PacketEnd::IpHeader)?;
                // An atomic fragment (RFC 6946) is a whole packet: offset 0, no more.
                if offset_flags & 0xfff9 != 0 {
                    return Err(PacketEnd::Fragment);
                }
                8
            }
            _ => return Err(PacketEnd::NotUdpOrTcp),
        };
        next = *rest.first().ok_or(PacketEnd::IpHeader)?;
        rest = rest.get(len..).ok_or(PacketEnd::IpHeader)?;
    }
    Err(PacketEnd::ExtensionHeaders)
}

#[inline]
fn transport<'a>(
    bytes: &'a [u8],
    protocol: u8,
    ends: Ends,
    is_cut: bool,
    ports: &Ports,
) -> Result<Datagram<'a>, PacketEnd> {
    let head = bytes.first_chunk::<4>().ok_or(PacketEnd::TransportHeader)?;
    let [s0, s1, d0, d1] = *head;
    let source_port = u16::from_be_bytes([s0, s1]);
    let destination_port = u16::from_be_bytes([d0, d1]);
    if !ports.contains(source_port) && !ports.contains(destination_port) {
        return Err(PacketEnd::OtherPort);
    }
    if protocol == 6 {
        return Err(PacketEnd::TcpSegment);
    }
    let stated = match usize::from(read_u16(bytes, 4).ok_or(PacketEnd::TransportHeader)?) {
        // A jumbo datagram (RFC 2675 section 4).
        0 => bytes.len(),
        1..8 => return Err(PacketEnd::TransportHeader),
        len => len,
    };
    let payload = bytes.get(8..stated.min(bytes.len())).ok_or(PacketEnd::TransportHeader)?;
    Ok(Datagram {
        ends,
        source_port,
        destination_port,
        is_tcp: false,
        payload,
        is_cut: is_cut || stated > bytes.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Timestamp;
    use etherparse::PacketBuilder;

    fn run(link: LinkType, bytes: &[u8]) -> Result<Datagram<'_>, PacketEnd> {
        let packet = Packet { at: Timestamp(0), link, bytes, wire_len: bytes.len() as u32 };
        decode(&packet, &Ports::default())
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
            let end = run(LinkType(number), &ip4);
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
            ("first fragment", patched(v4(), |b| b[20] = 0x20), PacketEnd::Fragment),
            ("later fragment", patched(v4(), |b| b[21] = 9), PacketEnd::Fragment),
            ("tcp on 53", patched(v4(), |b| b[23] = 6), PacketEnd::TcpSegment),
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
        let mut fragment = frame_v6(b"x");
        fragment[20] = 44;
        fragment.splice(54..54, [17, 0, 0, 1, 0, 0, 0, 9]);
        assert_eq!(run(LinkType::ETHERNET, &fragment), Err(PacketEnd::Fragment));
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

    #[test]
    fn any_bytes_are_survived_and_etherparse_agrees_where_it_finds_udp() {
        // A fixed linear congruential generator: the mutations are the same on every run.
        let mut state = 0x2545_f491_u32;
        let mut random = |bound: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % bound
        };
        let seeds = [frame(&[7; 40]), frame_v6(&[7; 40])];
        let mut agreed = 0;
        for round in 0..40_000 {
            let mut bytes = seeds[round % 2].clone();
            for _ in 0..random(4) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            bytes.truncate(bytes.len() - random(8));
            let ours = run(LinkType::ETHERNET, &bytes);
            let Ok(theirs) = etherparse::LaxSlicedPacket::from_ethernet(&bytes) else { continue };
            let is_fragment = theirs.net.as_ref().is_some_and(|net| match net {
                etherparse::LaxNetSlice::Ipv4(ip) => ip.payload().fragmented,
                etherparse::LaxNetSlice::Ipv6(ip) => ip.payload().fragmented,
                etherparse::LaxNetSlice::Arp(_) => false,
            });
            if let (Some(etherparse::TransportSlice::Udp(udp)), false) =
                (theirs.transport, is_fragment)
                && [udp.source_port(), udp.destination_port()].contains(&53)
            {
                match ours {
                    Ok(datagram) => assert_eq!(datagram.payload, udp.payload(), "round {round}"),
                    // It forgives lengths that contradict themselves; to us they are malformed.
                    Err(PacketEnd::IpHeader | PacketEnd::TransportHeader) => continue,
                    Err(end) => panic!("round {round}: {end:?}, {bytes:02x?}"),
                }
                agreed += 1;
            }
        }
        assert!(agreed > 20_000, "{agreed}");
    }
}
