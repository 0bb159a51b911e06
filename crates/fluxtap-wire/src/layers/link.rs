//! Link types other than Ethernet: what stands before the IP header or an EtherType.

use super::{Layers, PacketEnd, Way, ether, ip, ppp, read_u16, wireless};
use crate::carried::Carried;
use crate::packet::LinkType;

/// Link types that [`decode`](super::decode) reads, by number and name.
pub const LINK_TYPES_READ: [(LinkType, &str); 24] = [
    (LinkType::NULL, "BSD loopback"),
    (LinkType::ETHERNET, "Ethernet"),
    (LinkType::PPP, "PPP"),
    (LinkType::FDDI, "FDDI"),
    (LinkType::RAW_BSD, "raw IP"),
    (LinkType::RAW_OPENBSD, "raw IP"),
    (LinkType::PPP_SERIAL, "PPP in HDLC framing"),
    (LinkType::PPP_ETHER, "PPPoE"),
    (LinkType::RAW, "raw IP"),
    (LinkType::C_HDLC, "Cisco HDLC"),
    (LinkType::IEEE802_11, "802.11"),
    (LinkType::LOOP, "OpenBSD loopback"),
    (LinkType::LINUX_SLL, "Linux cooked v1"),
    (LinkType::PRISM, "802.11 behind Prism"),
    (LinkType::RADIOTAP, "802.11 behind radiotap"),
    (LinkType::ARCNET_LINUX, "ARCNET"),
    (LinkType::USER2, "pktap"),
    (LinkType::AVS, "802.11 behind AVS"),
    (LinkType::IPV4, "raw IPv4"),
    (LinkType::IPV6, "raw IPv6"),
    (LinkType::NFLOG, "Linux netfilter log"),
    (LinkType::IPOIB, "IP over InfiniBand"),
    (LinkType::PKTAP, "pktap"),
    (LinkType::LINUX_SLL2, "Linux cooked v2"),
];

/// A packet of any link type.
#[inline(never)]
pub(super) fn packet<'a>(
    link: LinkType,
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    match link {
        LinkType::ETHERNET => ether::inner_frame(bytes, way, layers),
        LinkType::RAW
        | LinkType::RAW_BSD
        | LinkType::RAW_OPENBSD
        | LinkType::IPV4
        | LinkType::IPV6 => ip::inner(bytes, way, layers),
        LinkType::LINUX_SLL => cooked(bytes, way, layers),
        LinkType::LINUX_SLL2 => cooked_v2(bytes, way, layers),
        LinkType::NULL | LinkType::LOOP => loopback(bytes, way, layers),
        LinkType::PPP | LinkType::PPP_SERIAL | LinkType::C_HDLC => ppp::serial(bytes, way, layers),
        LinkType::PPP_ETHER => ppp::over_ethernet(bytes, way, layers),
        LinkType::IEEE802_11 => wireless::frame(bytes, way, layers),
        LinkType::RADIOTAP => wireless::behind_radiotap(bytes, way, layers),
        LinkType::PRISM | LinkType::AVS => wireless::behind_prism(bytes, way, layers),
        // Frame control, two addresses, LLC.
        LinkType::FDDI => {
            let (kind, payload) = ether::llc(bytes.get(13..).ok_or(PacketEnd::LinkCut)?)?;
            ether::payload(kind, payload, way, layers)
        }
        // The global routing header of InfiniBand, an EtherType, two reserved bytes.
        LinkType::IPOIB => {
            let kind = read_u16(bytes, 40).ok_or(PacketEnd::LinkCut)?;
            ether::payload(kind, bytes.get(44..).ok_or(PacketEnd::LinkCut)?, way, layers)
        }
        LinkType::ARCNET_LINUX => arcnet(bytes, way, layers),
        LinkType::NFLOG => netfilter_log(bytes, way, layers),
        LinkType::PKTAP | LinkType::USER2 => pktap(bytes, way, layers),
        _ => Err(PacketEnd::LinkType),
    }
}

/// Linux cooked v1: 14 bytes, then the protocol, which is an EtherType or says that LLC follows.
fn cooked<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let protocol = read_u16(bytes, 14).ok_or(PacketEnd::LinkCut)?;
    cooked_payload(protocol, bytes.get(16..).unwrap_or(&[]), way, layers)
}

/// Linux cooked v2: the protocol stands first, the payload 20 bytes on.
fn cooked_v2<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let protocol = read_u16(bytes, 0).ok_or(PacketEnd::LinkCut)?;
    let payload = bytes.get(20..).ok_or(PacketEnd::LinkCut)?;
    cooked_payload(protocol, payload, way, layers)
}

fn cooked_payload<'a>(
    protocol: u16,
    payload: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    match protocol {
        4 => {
            let (kind, payload) = ether::llc(payload)?;
            ether::payload(kind, payload, way, layers)
        }
        ..ether::kind::LENGTHS_BELOW => Err(PacketEnd::NotIp),
        kind => ether::payload(kind, payload, way, layers),
    }
}

/// BSD loopback: a 4-byte address family whose byte order is that of the capturing host, and whose
/// number for IPv6 differs between systems. The version nibble decides; the family must agree. Some
/// systems have an EtherType in its last two bytes instead.
fn loopback<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let (family, payload) = bytes.split_first_chunk::<4>().ok_or(PacketEnd::LinkCut)?;
    let family = match u32::from_le_bytes(*family) {
        small @ 0..=0xffff => small,
        swapped => swapped.swap_bytes(),
    };
    match family {
        2 | 10 | 24 | 28 | 30 => ip::inner(payload, way, layers),
        _ => match read_u16(bytes, 2).unwrap_or(0) {
            ..ether::kind::LENGTHS_BELOW => Err(PacketEnd::NotIp),
            kind => ether::payload(kind, payload, way, layers),
        },
    }
}

/// ARCNET as Linux delivers it: two addresses, an offset, a type. IP comes as of RFC 1051, or of
/// RFC 1201 with the place of the piece and the packet's number first.
fn arcnet<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let header_len = match *bytes.get(4).ok_or(PacketEnd::LinkCut)? {
        240 => 5,
        // The first byte behind the type is 0 if the packet is whole.
        212 | 196 if bytes.get(5).is_none_or(|place| *place == 0) => 8,
        _ => return Err(PacketEnd::NotIp),
    };
    ip::inner(bytes.get(header_len..).ok_or(PacketEnd::LinkCut)?, way, layers)
}

/// The log of Linux netfilter: a family, then attributes in the byte order of the capturing host,
/// of which one is the packet (<https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html>).
fn netfilter_log<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    const PAYLOAD: u16 = 9;
    let mut rest = bytes.get(4..).ok_or(PacketEnd::LinkCut)?;
    loop {
        let (head, value) = rest.split_first_chunk::<4>().ok_or(PacketEnd::LinkCut)?;
        let [l0, l1, k0, k1] = *head;
        let (mut len, mut kind) = (u16::from_le_bytes([l0, l1]), u16::from_le_bytes([k0, k1]));
        // Kinds are small numbers; what is not was swapped.
        if kind > 0xff {
            (len, kind) = (len.swap_bytes(), kind.swap_bytes());
        }
        // The length has its own four bytes in it; attributes begin at units of four.
        let len = usize::from(len).checked_sub(4).ok_or(PacketEnd::LinkCut)?;
        if kind == PAYLOAD {
            return ip::inner(value.get(..len).unwrap_or(value), way, layers);
        }
        rest = value.get(len.next_multiple_of(4)..).ok_or(PacketEnd::LinkCut)?;
    }
}

/// Darwin's pktap: the header's length, a type (1 is a packet) and the packet's link type, in the
/// byte order of the capturing host, which has been little-endian since there is pktap.
fn pktap<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let word = |at: usize| {
        let four = bytes.get(at..).and_then(|rest| rest.first_chunk());
        four.map(|four| u32::from_le_bytes(*four)).ok_or(PacketEnd::LinkCut)
    };
    let (len, kind, link) = (word(0)?, word(4)?, word(8)?);
    let inside = bytes.get(len as usize..).ok_or(PacketEnd::LinkCut)?;
    let Some(link) = u16::try_from(link).ok().filter(|_| kind == 1 && len >= 12) else {
        return Err(PacketEnd::LinkType);
    };
    packet(LinkType(link), inside, way.deeper()?, layers)
}
