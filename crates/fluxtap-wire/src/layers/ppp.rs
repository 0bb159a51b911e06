//! PPP and the ways in which it comes.

use super::{Layers, PacketEnd, Way, ether, ip, mpls, read_u16};
use crate::carried::{Carried, TunnelKind};

/// A PPP frame (RFC 1661), with or without the address and control of HDLC-like framing
/// (RFC 1662), with a protocol field of two bytes or one.
pub(super) fn frame<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let bytes = bytes.strip_prefix(&[0xff, 0x03]).unwrap_or(bytes);
    let (protocol, payload) = match *bytes {
        [short, ref payload @ ..] if short & 1 != 0 => (u16::from(short), payload),
        [p0, p1, ref payload @ ..] => (u16::from_be_bytes([p0, p1]), payload),
        _ => return Err(PacketEnd::LinkCut),
    };
    // <https://www.iana.org/assignments/ppp-numbers>
    match protocol {
        0x0021 | 0x0057 => ip::inner(payload, way, layers),
        0x0281 | 0x0283 => mpls::stack(payload, way, layers),
        // Encrypted, or compressed, which is how MPPE encrypts (RFC 3078).
        0x0053 | 0x0055 | 0x00fb | 0x00fd => Err(PacketEnd::Encrypted),
        _ => Err(PacketEnd::NotIp),
    }
}

/// A frame of a serial line: PPP, or what Cisco puts in HDLC, which begins with an address of 0x0f
/// (unicast) or 0x8f (broadcast) and has an EtherType.
pub(super) fn serial<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    match *bytes {
        [0x0f | 0x8f, _, k0, k1, ref payload @ ..] => {
            let kind = u16::from_be_bytes([k0, k1]);
            if kind < ether::kind::LENGTHS_BELOW {
                return Err(PacketEnd::NotIp);
            }
            ether::payload(kind, payload, way, layers)
        }
        _ => frame(bytes, way, layers),
    }
}

/// A PPPoE packet (RFC 2516 section 4) of the session stage.
pub(super) fn over_ethernet<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let [version_type, code, s0, s1, l0, l1, payload @ ..] = bytes else {
        return Err(PacketEnd::LinkCut);
    };
    if *version_type != 0x11 || *code != 0 {
        return Err(PacketEnd::NotIp);
    }
    let session = u32::from(u16::from_be_bytes([*s0, *s1]));
    let len = usize::from(u16::from_be_bytes([*l0, *l1]));
    let way = way.into_tunnel(TunnelKind::Pppoe, Some(session))?;
    frame(payload.get(..len).unwrap_or(payload), way, layers)
}

/// PPP behind the enhanced GRE of PPTP (RFC 2637 section 4.1); `flags` are the first two bytes of
/// the GRE header, `bytes` what follows its protocol type.
pub(super) fn in_enhanced_gre<'a>(
    flags: u16,
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let len = usize::from(read_u16(bytes, 0).ok_or(PacketEnd::TunnelHeader)?);
    let call = read_u16(bytes, 2).ok_or(PacketEnd::TunnelHeader)?;
    let has_sequence = flags & 0x1000 != 0;
    let has_acknowledgement = flags & 0x0080 != 0;
    if !has_sequence {
        // An acknowledgement alone.
        return Err(PacketEnd::NotIp);
    }
    let payload = bytes.get(if has_acknowledgement { 12 } else { 8 }..);
    let payload = payload.ok_or(PacketEnd::TunnelHeader)?;
    let way = way.into_tunnel(TunnelKind::Gre, Some(call.into()))?;
    frame(payload.get(..len).unwrap_or(payload), way, layers)
}
