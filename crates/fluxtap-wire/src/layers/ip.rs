//! IPv4 and IPv6 headers.

use super::transport::{self, Inside};
use super::{Layers, PacketEnd, Way, read_u16};
use crate::carried::{Carried, Ends, Fragment};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most IPv6 extension headers walked; RFC 8200 section 4.1 orders at most eight.
pub const EXTENSION_HEADERS_MAX: u32 = 16;

/// Protocol numbers that mean something here (<https://www.iana.org/assignments/protocol-numbers>).
pub(super) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IPV4: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const GRE: u8 = 47;
    pub(crate) const ENCRYPTED: u8 = 50;
    pub(crate) const AUTHENTICATION: u8 = 51;
    pub(crate) const ICMP_V6: u8 = 58;
    pub(crate) const DESTINATION_OPTIONS: u8 = 60;
    pub(crate) const ETHER_IP: u8 = 97;
    pub(crate) const MOBILITY: u8 = 135;
    pub(crate) const MPLS: u8 = 137;
    pub(crate) const HIP: u8 = 139;
    pub(crate) const SHIM6: u8 = 140;
}

/// An IP packet; its first nibble says of which version.
#[inline]
pub(super) fn packet<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    match bytes.first().map(|b| b >> 4) {
        Some(4) => ipv4(bytes, way, layers),
        Some(6) => ipv6(bytes, way, layers),
        _ => Err(PacketEnd::IpHeader),
    }
}

/// An IP packet behind anything else than plain Ethernet; apart from [`packet`], so that its code
/// stays out of the way of most packets.
#[inline(never)]
pub(super) fn inner<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    packet(bytes, way, layers)
}

/// See [`super::resume`].
pub(super) fn resume<'a>(
    head: &Fragment<'_>,
    whole: &'a [u8],
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let wire_len = whole.len().saturating_add(usize::from(head.is_cut));
    let inside = Inside { bytes: whole, wire_len, is_rerouted: false };
    let carried = match head.ends.source {
        IpAddr::V4(_) => transport::inside(head.protocol, inside, head.ends, head.depth, layers),
        IpAddr::V6(_) => behind_headers(head.protocol, inside, head.ends, head.depth, layers),
    };
    match carried? {
        // A packet has one fragment header (RFC 8200 section 4.1). With several, each packet put
        // together could complete the next, as deep as there is room for.
        Carried::Fragment(inner) if inner.depth == head.depth => Err(PacketEnd::IpHeader),
        carried => Ok(carried),
    }
}

#[inline]
fn ipv4<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let head = bytes.first_chunk::<20>().ok_or(PacketEnd::IpHeader)?;
    let [version_ihl, _, l0, l1, i0, i1, f0, f1, _, protocol, _, _, addresses @ ..] = *head;
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
    let payload = bytes.get(header_len..total_len.min(bytes.len())).ok_or(PacketEnd::IpHeader)?;
    if layers.is_checksum_verified && !is_header_sound(bytes, header_len) {
        return Err(PacketEnd::Checksum);
    }
    let ends = Ends {
        source: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        destination: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        vlan: way.vlan,
        tunnel: way.tunnel,
    };
    let wire_len = total_len.saturating_sub(header_len);
    // Options may hold a source route.
    let inside = Inside { bytes: payload, wire_len, is_rerouted: header_len > 20 };
    // More-fragments flag or an offset.
    let piece = u16::from_be_bytes([f0, f1]) & 0x3fff;
    if piece != 0 {
        let identification = u32::from(u16::from_be_bytes([i0, i1]));
        let piece = Piece {
            identification,
            offset: u32::from(piece & 0x1fff) << 3,
            has_more: piece & 0x2000 != 0,
        };
        return fragment(protocol, piece, inside, ends, way.depth);
    }
    transport::inside(protocol, inside, ends, way.depth, layers)
}

/// Whether the header's checksum is right, or 0 because a network card was to compute it.
#[cold]
fn is_header_sound(bytes: &[u8], header_len: usize) -> bool {
    let header = bytes.get(..header_len).unwrap_or(&[]);
    read_u16(header, 10) == Some(0) || transport::sum_of(header, 0) == 0xffff
}

fn ipv6<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
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
    let inside = Inside {
        bytes: bytes.get(40..end.min(bytes.len())).unwrap_or(&[]),
        wire_len: end.saturating_sub(40),
        is_rerouted: false,
    };
    let ends = Ends {
        source: IpAddr::V6(Ipv6Addr::from(*source)),
        destination: IpAddr::V6(Ipv6Addr::from(*destination)),
        vlan: way.vlan,
        tunnel: way.tunnel,
    };
    if next == protocol::UDP {
        return transport::inside(next, inside, ends, way.depth, layers);
    }
    behind_headers(next, inside, ends, way.depth, layers)
}

/// Walks IPv6 extension headers (RFC 8200 section 4, RFC 4302) to what they stand before; of IPv4
/// the authentication header, which may stand there as well.
#[inline(never)]
pub(super) fn behind_headers<'a>(
    first: u8,
    inside: Inside<'a>,
    ends: Ends,
    depth: u8,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let mut next = first;
    let mut inside = inside;
    for _ in 0..EXTENSION_HEADERS_MAX {
        if !is_extension_header(next) {
            return transport::inside(next, inside, ends, depth, layers);
        }
        let [then, len, ..] = inside.bytes else { return Err(PacketEnd::IpHeader) };
        let len = match next {
            protocol::FRAGMENT => {
                let piece = Piece::of_ipv6(inside.bytes).ok_or(PacketEnd::IpHeader)?;
                // An atomic fragment (RFC 6946) is a whole packet: offset 0, no more.
                if piece.has_more || piece.offset != 0 {
                    let inside = inside.skip(8).ok_or(PacketEnd::IpHeader)?;
                    return fragment(*then, piece, inside, ends, depth);
                }
                8
            }
            // Units of 4 bytes, minus two.
            protocol::AUTHENTICATION => usize::from(*len).saturating_add(2) << 2,
            // Units of 8 bytes, minus one.
            _ => usize::from(*len).saturating_add(1) << 3,
        };
        // Checksums cover the ends of the whole journey, which may stand in these.
        inside.is_rerouted |= matches!(next, protocol::ROUTING | protocol::DESTINATION_OPTIONS);
        next = *then;
        inside = inside.skip(len).ok_or(PacketEnd::IpHeader)?;
    }
    Err(PacketEnd::ExtensionHeaders)
}

const fn is_extension_header(next: u8) -> bool {
    use protocol::*;
    matches!(
        next,
        HOP_BY_HOP
            | ROUTING
            | FRAGMENT
            | AUTHENTICATION
            | DESTINATION_OPTIONS
            | MOBILITY
            | HIP
            | SHIM6
    )
}

/// What a fragment says of its place.
struct Piece {
    identification: u32,
    offset: u32,
    has_more: bool,
}

impl Piece {
    /// Of an IPv6 fragment header (RFC 8200 section 4.5).
    fn of_ipv6(header: &[u8]) -> Option<Self> {
        let [_, _, o0, o1, i0, i1, i2, i3] = *header.first_chunk()?;
        let place = u16::from_be_bytes([o0, o1]);
        Some(Self {
            identification: u32::from_be_bytes([i0, i1, i2, i3]),
            offset: u32::from(place & 0xfff8),
            has_more: place & 1 != 0,
        })
    }
}

/// A fragment, unless its protocol rules out that the whole packet carries anything.
#[cold]
fn fragment<'a>(
    protocol: u8,
    piece: Piece,
    inside: Inside<'a>,
    ends: Ends,
    depth: u8,
) -> Result<Carried<'a>, PacketEnd> {
    let is_more_header =
        ends.source.is_ipv6() && is_extension_header(protocol) && protocol != protocol::FRAGMENT;
    if !is_more_header && !transport::is_read(protocol) {
        return Err(PacketEnd::NotUdpOrTcp);
    }
    Ok(Carried::Fragment(Fragment {
        ends,
        protocol,
        identification: piece.identification,
        offset: piece.offset,
        has_more: piece.has_more,
        depth,
        payload: inside.bytes,
        is_cut: inside.is_cut(),
    }))
}
