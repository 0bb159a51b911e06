//! MPLS label stacks (RFC 3032).

use super::{Layers, PacketEnd, Way, ether, ip, read_u16};
use crate::carried::{Carried, TunnelKind};

/// The label that says that the next is a random one, to spread flows (RFC 6790).
const ENTROPY_FOLLOWS: u32 = 7;

/// A label stack and what is at its bottom.
///
/// Nothing in the stack says what that is. A first nibble of 4 or 6 is IP by convention, of 1
/// management traffic (RFC 4928, 5586); anything else is a pseudowire with Ethernet, behind a
/// control word (RFC 4448) or without one.
pub(super) fn stack<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let mut rest = bytes;
    let (mut id, mut last) = (0, 0);
    let inside = loop {
        let (entry, behind) = rest.split_first_chunk().ok_or(PacketEnd::LinkCut)?;
        let entry = u32::from_be_bytes(*entry);
        let label = entry >> 12;
        if last != ENTROPY_FOLLOWS && label != ENTROPY_FOLLOWS {
            id = label;
        }
        last = label;
        rest = behind;
        if entry & 0x100 != 0 {
            break behind;
        }
    };
    let way = way.into_tunnel(TunnelKind::Mpls, Some(id))?;
    if is_ip(inside) {
        return ip::inner(inside, way, layers);
    }
    let behind_control_word = match inside {
        [first, _, _, _, frame @ ..] if first >> 4 == 0 => frame,
        _ => &[],
    };
    if ether::is_likely(behind_control_word) {
        return ether::inner_frame(behind_control_word, way, layers);
    }
    if ether::is_likely(inside) {
        return ether::inner_frame(inside, way, layers);
    }
    Err(PacketEnd::NotIp)
}

/// Whether this is an IP packet and not the address of an Ethernet card that begins alike.
fn is_ip(bytes: &[u8]) -> bool {
    let len = match bytes.first().map(|first| first >> 4) {
        Some(4) => read_u16(bytes, 2).map(usize::from),
        Some(6) => read_u16(bytes, 4).map(|len| usize::from(len).saturating_add(40)),
        _ => return false,
    };
    // A capture may have cut the packet, so a length beyond its end alone proves nothing.
    len.is_some_and(|len| len <= bytes.len()) || !ether::is_likely(bytes)
}
