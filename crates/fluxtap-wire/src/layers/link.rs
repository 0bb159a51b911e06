//! Link layers: what stands before the IP header.

use super::{Layers, PacketEnd, Way, ip, read_u16};
use crate::carried::Carried;
use crate::packet::LinkType;

/// Link types that [`decode`](super::decode) reads, by number and name.
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

/// An Ethernet frame.
#[inline]
pub(super) fn ethernet<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    ether_type(bytes, 12, way, layers)
}

/// A packet of any other link type.
#[inline(never)]
pub(super) fn other<'a>(
    link: LinkType,
    bytes: &'a [u8],
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let way = Way::default();
    match link {
        LinkType::LINUX_SLL => ether_type(bytes, 14, way, layers),
        LinkType::LINUX_SLL2 => cooked_v2(bytes, way, layers),
        LinkType::NULL | LinkType::LOOP => loopback(bytes, way, layers),
        LinkType::RAW
        | LinkType::RAW_BSD
        | LinkType::RAW_OPENBSD
        | LinkType::IPV4
        | LinkType::IPV6 => ip::packet(bytes, way, layers),
        _ => Err(PacketEnd::LinkType),
    }
}

/// Reads the EtherType at `at` and what follows it, behind any number of VLAN tags
/// (IEEE 802.1Q, 802.1ad and the older 0x9100 and 0x9200 for outer tags).
#[inline]
fn ether_type<'a>(
    bytes: &'a [u8],
    at: usize,
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let mut at = at;
    let mut way = way;
    loop {
        match read_u16(bytes, at).ok_or(PacketEnd::LinkCut)? {
            0x0800 | 0x86dd => {
                return ip::packet(bytes.get(at.saturating_add(2)..).unwrap_or(&[]), way, layers);
            }
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let tag = read_u16(bytes, at.saturating_add(2)).ok_or(PacketEnd::LinkCut)?;
                if way.vlan == 0 {
                    way.vlan = tag & 0x0fff;
                }
                at = at.saturating_add(4);
            }
            _ => return Err(PacketEnd::NotIp),
        }
    }
}

/// Linux cooked v2: the protocol stands first, the payload 20 bytes on.
fn cooked_v2<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let protocol = read_u16(bytes, 0).ok_or(PacketEnd::LinkCut)?;
    let payload = bytes.get(20..).ok_or(PacketEnd::LinkCut)?;
    match protocol {
        0x0800 | 0x86dd => ip::packet(payload, way, layers),
        // A tag's own two bytes come first in the payload, then the inner EtherType.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
            let vlan = read_u16(payload, 0).ok_or(PacketEnd::LinkCut)? & 0x0fff;
            ether_type(payload, 2, Way { vlan, ..way }, layers)
        }
        _ => Err(PacketEnd::NotIp),
    }
}

/// BSD loopback: a 4-byte address family whose byte order is that of the capturing host, and whose
/// number for IPv6 differs between systems. The version nibble decides; the family must agree.
fn loopback<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let (family, payload) = bytes.split_first_chunk::<4>().ok_or(PacketEnd::LinkCut)?;
    let family = match u32::from_le_bytes(*family) {
        small @ 0..=0xffff => small,
        swapped => swapped.swap_bytes(),
    };
    match family {
        2 | 10 | 24 | 28 | 30 => ip::packet(payload, way, layers),
        _ => Err(PacketEnd::NotIp),
    }
}
