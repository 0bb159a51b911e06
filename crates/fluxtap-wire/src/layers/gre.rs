//! GRE (RFC 2784, 2890, 1701) and what is particular about its payloads.

use super::{Layers, PacketEnd, Way, ether, ip, ppp, read_u16, read_u32, wireless};
use crate::carried::{Carried, TunnelKind};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const VERSION: u16 = 0x0007;

/// Protocol types of GRE that are no EtherTypes, or whose payload begins with more than the
/// EtherType says.
mod kind {
    pub(super) const ERSPAN_III: u16 = 0x22eb;
    pub(super) const PPP: u16 = 0x880b;
    pub(super) const WCCP: u16 = 0x883e;
    pub(super) const ERSPAN: u16 = 0x88be;
    /// Frames of Aruba access points: one type for each of their queues.
    pub(super) const ARUBA: std::ops::RangeInclusive<u16> = 0x8200..=0x8370;
}

/// A GRE header and what follows it.
#[inline(never)]
pub(super) fn packet<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let flags = read_u16(bytes, 0).ok_or(PacketEnd::TunnelHeader)?;
    let protocol = read_u16(bytes, 2).ok_or(PacketEnd::TunnelHeader)?;
    let behind = bytes.get(4..).unwrap_or(&[]);
    match flags & VERSION {
        0 => {}
        1 => return ppp::in_enhanced_gre(flags, behind, way, layers),
        _ => return Err(PacketEnd::NotIp),
    }
    let (key, payload) = options(flags, behind).ok_or(PacketEnd::TunnelHeader)?;
    match protocol {
        kind::ERSPAN if flags & SEQUENCE != 0 => return erspan_ii(payload, way, layers),
        kind::ERSPAN => {
            let way = way.into_tunnel(TunnelKind::Erspan, None)?;
            return ether::inner_frame(payload, way, layers);
        }
        kind::ERSPAN_III => return erspan_iii(payload, way, layers),
        _ => {}
    }
    let way = way.into_tunnel(TunnelKind::Gre, key)?;
    match protocol {
        kind::PPP => ppp::frame(payload, way, layers),
        kind::WCCP => ip::inner(without_redirect(payload), way, layers),
        ether::kind::TRANSPARENT_ETHERNET => ether::inner_frame(payload, way, layers),
        aruba if kind::ARUBA.contains(&aruba) && aruba & 0x0f == 0 => {
            wireless::frame(payload, way, layers)
        }
        ..ether::kind::LENGTHS_BELOW => Err(PacketEnd::NotIp),
        _ => ether::payload(protocol, payload, way, layers),
    }
}

/// Takes the optional fields of version 0 off: the key and the payload.
fn options(flags: u16, bytes: &[u8]) -> Option<(Option<u32>, &[u8])> {
    let mut rest = bytes;
    if flags & (CHECKSUM | ROUTING) != 0 {
        rest = rest.get(4..)?;
    }
    let mut key = None;
    if flags & KEY != 0 {
        key = Some(read_u32(rest, 0)?);
        rest = rest.get(4..)?;
    }
    if flags & SEQUENCE != 0 {
        rest = rest.get(4..)?;
    }
    // Source routes (RFC 1701): the last has no length. Each takes bytes off.
    let mut is_more = flags & ROUTING != 0;
    while is_more {
        let len = usize::from(*rest.get(3)?);
        rest = rest.get(len.saturating_add(4)..)?;
        is_more = len != 0;
    }
    Some((key, rest))
}

/// ERSPAN type II (draft-foschiano-erspan): 8 bytes, then the mirrored frame.
fn erspan_ii<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let (way, frame) = erspan(bytes, 8, way)?;
    ether::inner_frame(frame, way, layers)
}

/// ERSPAN type III (ibidem): 12 bytes, 8 more if the last bit says so, then the mirrored frame, or
/// an IP packet.
fn erspan_iii<'a>(bytes: &'a [u8], way: Way, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let kinds = read_u16(bytes, 10).ok_or(PacketEnd::TunnelHeader)?;
    let (way, frame) = erspan(bytes, if kinds & 1 == 0 { 12 } else { 20 }, way)?;
    match (kinds >> 10) & 0x1f {
        2 => ip::inner(frame, way, layers),
        _ => ether::inner_frame(frame, way, layers),
    }
}

/// What both types have in common: the VLAN in which the mirrored port was, and the session.
fn erspan(bytes: &[u8], header_len: usize, way: Way) -> Result<(Way, &[u8]), PacketEnd> {
    let frame = bytes.get(header_len..).ok_or(PacketEnd::TunnelHeader)?;
    let vlan = read_u16(bytes, 0).ok_or(PacketEnd::TunnelHeader)?;
    let session = read_u16(bytes, 2).ok_or(PacketEnd::TunnelHeader)? & 0x03ff;
    let mut way = way.into_tunnel(TunnelKind::Erspan, Some(session.into()))?;
    way.note_vlan(vlan);
    Ok((way, frame))
}

/// Takes the redirect header off that version 2 of WCCP puts before the packet
/// (draft-wilson-wrec-wccp-v2); it cannot begin as IPv4 does.
fn without_redirect(bytes: &[u8]) -> &[u8] {
    match bytes {
        [first, _, _, _, packet @ ..] if first >> 4 != 4 => packet,
        _ => bytes,
    }
}
