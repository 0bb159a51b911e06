//! Tunnels in UDP. Nothing but the port says that a datagram is one, so each has to look like it.

use super::{Layers, PacketEnd, Way, ether, gre, ip, mpls, read_u16, read_u32};
use crate::carried::{Carried, TunnelKind};

/// Bytes of an Ethernet header.
const FRAME_HEADER_LEN: usize = 14;

/// Bytes of an IPv6 header.
const IPV6_HEADER_LEN: usize = 40;

/// What is inside a datagram on a port of tunnels of this kind; [`PacketEnd::OtherPort`] if it does
/// not look like one.
#[inline(never)]
pub(super) fn payload<'a>(
    kind: TunnelKind,
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let carried = match kind {
        TunnelKind::Vxlan => vxlan(bytes, way, layers),
        TunnelKind::VxlanGpe => vxlan_gpe(bytes, way, layers),
        TunnelKind::Geneve => geneve(bytes, way, layers),
        TunnelKind::GtpU => gtp_u(bytes, way, layers),
        TunnelKind::Teredo => teredo(bytes, way, layers),
        TunnelKind::Mpls => labels(bytes, way, layers),
        TunnelKind::Gre => gre_packet(bytes, way, layers),
        TunnelKind::Ip | TunnelKind::Erspan | TunnelKind::Pppoe | TunnelKind::Backbone => None,
    };
    carried.unwrap_or(Err(PacketEnd::OtherPort))
}

/// MPLS (RFC 7510), in which nothing but what is inside can be told from anything else.
fn labels<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Option<Result<Carried<'a>, PacketEnd>> {
    match mpls::stack(bytes, way, layers) {
        Err(PacketEnd::LinkCut | PacketEnd::NotIp | PacketEnd::IpHeader) => None,
        inside => Some(inside),
    }
}

/// GRE (RFC 8086): version 0 without the flags that are no more in use, and an EtherType.
fn gre_packet<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Option<Result<Carried<'a>, PacketEnd>> {
    let is_gre = read_u16(bytes, 0)? & 0x4fff == 0;
    let has_kind = read_u16(bytes, 2)? >= ether::kind::LENGTHS_BELOW;
    (is_gre && has_kind).then(|| gre::packet(bytes, way, layers))
}

/// VXLAN (RFC 7348 section 5): the flag that the VNI is valid, and a frame. Other bits are to be
/// ignored.
fn vxlan<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Option<Result<Carried<'a>, PacketEnd>> {
    let is_valid = bytes.first()? & 0x08 != 0;
    let vni = read_u32(bytes, 4)? >> 8;
    let frame = bytes.get(8..).filter(|frame| is_valid && frame.len() >= FRAME_HEADER_LEN)?;
    let way = way.into_tunnel(TunnelKind::Vxlan, Some(vni));
    Some(way.and_then(|way| ether::inner_frame(frame, way, layers)))
}

/// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe section 3): as VXLAN, but the payload may be of another
/// kind, and may be management traffic. The flag that the kind is stated is not asked for: senders
/// leave it out, and without a kind it is Ethernet.
fn vxlan_gpe<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Option<Result<Carried<'a>, PacketEnd>> {
    let (flags, next) = (*bytes.first()?, *bytes.get(3)?);
    let vni = read_u32(bytes, 4)? >> 8;
    let inside = bytes.get(8..)?;
    let (is_valid, is_management) = (flags & 8 != 0, flags & 1 != 0);
    if !is_valid || flags & 0x30 != 0 {
        return None;
    }
    let enter = || way.into_tunnel(TunnelKind::VxlanGpe, Some(vni));
    Some(match (is_management, next) {
        (false, 1 | 2) => enter().and_then(|way| ip::inner(inside, way, layers)),
        (false, 0 | 3) => enter().and_then(|way| ether::inner_frame(inside, way, layers)),
        (false, 5) => enter().and_then(|way| mpls::stack(inside, way, layers)),
        _ => Err(PacketEnd::NotIp),
    })
}

/// GENEVE (RFC 8926 section 3.4): version 0, options in units of 4 bytes, an EtherType.
fn geneve<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Option<Result<Carried<'a>, PacketEnd>> {
    let first = *bytes.first()?;
    let kind = read_u16(bytes, 2)?;
    let vni = read_u32(bytes, 4)? >> 8;
    let options_len = usize::from(first & 0x3f).saturating_mul(4);
    let inside = bytes.get(options_len.saturating_add(8)..)?;
    if first >> 6 != 0 || kind < ether::kind::LENGTHS_BELOW {
        return None;
    }
    let way = way.into_tunnel(TunnelKind::Geneve, Some(vni));
    Some(way.and_then(|way| match kind {
        ether::kind::TRANSPARENT_ETHERNET => ether::inner_frame(inside, way, layers),
        _ => ether::payload(kind, inside, way, layers),
    }))
}

/// GTP, user plane (3GPP TS 29.281 section 5): version 1 of GTP proper, a message that carries a
/// packet, optional fields, and extension headers in units of 4 bytes.
fn gtp_u<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Option<Result<Carried<'a>, PacketEnd>> {
    let [flags, kind, _, _, i0, i1, i2, i3, rest @ ..] = bytes else { return None };
    if flags >> 4 != 0b0011 || *kind != 0xff {
        return None;
    }
    let teid = u32::from_be_bytes([*i0, *i1, *i2, *i3]);
    let mut inside = rest;
    if flags & 0x07 != 0 {
        let [_, _, _, next, behind @ ..] = inside else { return None };
        let mut next = if flags & 0x04 == 0 { 0 } else { *next };
        inside = behind;
        // Each takes at least 4 bytes off, its own number of the next one among them.
        while next != 0 {
            let len = usize::from(*inside.first()?).checked_mul(4).filter(|len| *len > 0)?;
            next = *inside.get(len.saturating_sub(1))?;
            inside = inside.get(len..)?;
        }
    }
    let is_ip = matches!(inside.first()? >> 4, 4 | 6);
    if !is_ip && !ether::is_likely(inside) {
        return None;
    }
    let way = way.into_tunnel(TunnelKind::GtpU, Some(teid));
    Some(way.and_then(|way| match is_ip {
        true => ip::inner(inside, way, layers),
        false => ether::inner_frame(inside, way, layers),
    }))
}

/// Teredo (RFC 4380 section 5.1.1): IPv6, perhaps behind authentication and an origin.
fn teredo<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Option<Result<Carried<'a>, PacketEnd>> {
    let mut rest = bytes;
    if let [0, 1, client_len, authentication_len, ..] = *rest {
        let len = usize::from(client_len).saturating_add(usize::from(authentication_len));
        rest = rest.get(len.saturating_add(13)..)?;
    }
    if let [0, 0, _, _, _, _, _, _, behind @ ..] = rest {
        rest = behind;
    }
    let len = usize::from(read_u16(rest, 4)?);
    let is_ipv6 = rest.first()? >> 4 == 6 && rest.len() >= IPV6_HEADER_LEN;
    // Trailers may follow (RFC 6081), and the capture may have cut it: the length decides nothing.
    if !is_ipv6 || len == 0 {
        return None;
    }
    let way = way.into_tunnel(TunnelKind::Teredo, None);
    Some(way.and_then(|way| ip::inner(rest, way, layers)))
}
