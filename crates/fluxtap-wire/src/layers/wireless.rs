//! 802.11 data frames and the headers that captures put before them.

use super::{Layers, PacketEnd, Way, ether, read_u32};
use crate::carried::Carried;

/// First frame-control byte: the type in bits 2 and 3, the subtype above.
mod control {
    pub(super) const TYPE: u8 = 0x0c;
    pub(super) const DATA: u8 = 0x08;
    /// Subtypes without a payload.
    pub(super) const NO_DATA: u8 = 0x40;
    /// Subtypes with a QoS field.
    pub(super) const QOS: u8 = 0x80;
}

/// Second frame-control byte.
mod flag {
    pub(super) const BETWEEN_ACCESS_POINTS: u8 = 0x03;
    pub(super) const PROTECTED: u8 = 0x40;
    pub(super) const ORDER: u8 = 0x80;
}

/// An 802.11 frame (IEEE 802.11 section 9.2); data frames carry LLC.
pub(super) fn frame<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    padded_frame(bytes, false, way, layers)
}

/// The same; `is_padded` if the header was filled up to units of 4 bytes.
fn padded_frame<'a>(
    bytes: &'a [u8],
    is_padded: bool,
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let [control, flags, ..] = *bytes else { return Err(PacketEnd::LinkCut) };
    if control & control::TYPE != control::DATA || control & control::NO_DATA != 0 {
        return Err(PacketEnd::NotIp);
    }
    if flags & flag::PROTECTED != 0 {
        return Err(PacketEnd::Encrypted);
    }
    let has_qos = control & control::QOS != 0;
    let mut len = 24_usize;
    if flags & flag::BETWEEN_ACCESS_POINTS == flag::BETWEEN_ACCESS_POINTS {
        len = len.saturating_add(6);
    }
    let qos_at = len;
    if has_qos {
        len = len.saturating_add(if flags & flag::ORDER == 0 { 2 } else { 6 });
    }
    if is_padded {
        len = len.next_multiple_of(4);
    }
    let body = bytes.get(len..).ok_or(PacketEnd::LinkCut)?;
    // Of a frame in pieces only the first begins with LLC.
    let piece = bytes.get(22).ok_or(PacketEnd::LinkCut)? & 0x0f;
    if piece != 0 {
        return Err(PacketEnd::NotIp);
    }
    let is_aggregate = has_qos && bytes.get(qos_at).is_some_and(|qos| qos & 0x80 != 0);
    let body = if is_aggregate { only_subframe(body)? } else { body };
    let (kind, payload) = ether::llc(body)?;
    ether::payload(kind, payload, way, layers)
}

/// The body of the subframe of an A-MSDU (IEEE 802.11 section 9.3.2.2.2) that has one only: two
/// addresses, the length, the body. Those with several would be several packets.
fn only_subframe(bytes: &[u8]) -> Result<&[u8], PacketEnd> {
    let (head, rest) = bytes.split_first_chunk::<14>().ok_or(PacketEnd::LinkCut)?;
    let [.., l0, l1] = *head;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    // What fills up the last subframe, and a checksum, may follow.
    if rest.len() > len.saturating_add(14) {
        return Err(PacketEnd::Aggregate);
    }
    Ok(rest.get(..len).unwrap_or(rest))
}

/// Radiotap (<https://www.radiotap.org>): a version, the header's length, and words that say which
/// fields follow.
pub(super) fn behind_radiotap<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let [0, _, l0, l1, ..] = *bytes else { return Err(PacketEnd::LinkCut) };
    let len = usize::from(u16::from_le_bytes([l0, l1]));
    let (header, rest) = bytes.split_at_checked(len).ok_or(PacketEnd::LinkCut)?;
    let is_padded = radiotap_flags(header).is_some_and(|flags| flags & 0x20 != 0);
    padded_frame(rest, is_padded, way, layers)
}

/// The flags of a radiotap header, if it has any: the second field, behind a time of 8 bytes.
fn radiotap_flags(header: &[u8]) -> Option<u8> {
    let mut words = header.get(4..)?.chunks_exact(4);
    let first = u32::from_le_bytes(words.next()?.try_into().ok()?);
    let mut at = 8_usize;
    // The highest bit says that another such word follows.
    let mut word = first;
    while word & 0x8000_0000 != 0 {
        word = u32::from_le_bytes(words.next()?.try_into().ok()?);
        at = at.checked_add(4)?;
    }
    if first & 1 != 0 {
        at = at.next_multiple_of(8).checked_add(8)?;
    }
    header.get(at).filter(|_| first & 2 != 0).copied()
}

/// Prism: a number, then the header's length in the byte order of the capturing host. Some drivers
/// put AVS under this link type.
pub(super) fn behind_prism<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let stated = read_u32(bytes, 4).ok_or(PacketEnd::LinkCut)?;
    // A header is shorter than 64 KiB, so what is longer was swapped.
    let len = if stated < 0x1_0000 { stated } else { stated.swap_bytes() };
    let rest = bytes.get(len as usize..).filter(|_| len >= 8);
    frame(rest.ok_or(PacketEnd::LinkCut)?, way, layers)
}
