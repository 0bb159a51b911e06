//! What follows an EtherType: tags of all kinds, LLC, and the tunnels below IP.

use super::{Layers, PacketEnd, Way, ip, mpls, ppp, read_u16, read_u32};
use crate::carried::{Carried, TunnelKind};

/// EtherTypes that mean something here
/// (<https://www.iana.org/assignments/ieee-802-numbers>, IEEE 802.1).
pub(super) mod kind {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const TRANSPARENT_ETHERNET: u16 = 0x6558;
    pub(crate) const VLAN: u16 = 0x8100;
    pub(crate) const IPV6: u16 = 0x86dd;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(crate) const PPPOE_SESSION: u16 = 0x8864;
    pub(crate) const VLAN_SERVICE: u16 = 0x88a8;
    pub(crate) const MAC_SECURITY: u16 = 0x88e5;
    pub(crate) const BACKBONE: u16 = 0x88e7;
    pub(crate) const CISCO_METADATA: u16 = 0x8909;
    pub(crate) const VN_TAG: u16 = 0x8926;
    pub(crate) const E_TAG: u16 = 0x893f;
    pub(crate) const VLAN_OLD: u16 = 0x9100;
    pub(crate) const VLAN_OLDER: u16 = 0x9200;
    /// Below this the field is the length of an LLC frame (IEEE 802.3 section 3.2.6).
    pub(crate) const LENGTHS_BELOW: u16 = 0x0600;
}

/// An Ethernet frame.
#[inline]
pub(super) fn frame<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let mut kind = read_u16(bytes, 12).ok_or(PacketEnd::LinkCut)?;
    let mut inside = bytes.get(14..).unwrap_or(&[]);
    let mut way = way;
    // One tag is as common as none on a trunk.
    if kind == kind::VLAN {
        let (tag, behind) = inside.split_first_chunk::<4>().ok_or(PacketEnd::LinkCut)?;
        let [t0, t1, k0, k1] = *tag;
        way.note_vlan(u16::from_be_bytes([t0, t1]));
        (kind, inside) = (u16::from_be_bytes([k0, k1]), behind);
    }
    match kind {
        kind::IPV4 | kind::IPV6 => ip::packet(inside, way, layers),
        _ => payload(kind, inside, way, layers),
    }
}

/// An Ethernet frame inside something else.
pub(super) fn inner_frame<'a>(
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let kind = read_u16(bytes, 12).ok_or(PacketEnd::LinkCut)?;
    payload(kind, bytes.get(14..).unwrap_or(&[]), way, layers)
}

/// What follows an EtherType, any number of tags first.
#[inline(never)]
pub(super) fn payload<'a>(
    kind: u16,
    bytes: &'a [u8],
    way: Way,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let (mut kind, mut bytes, mut way) = (kind, bytes, way);
    // Every round takes bytes off.
    loop {
        // Where the next EtherType stands and how long the header is that ends with it.
        let at = match kind {
            kind::IPV4 | kind::IPV6 => return ip::inner(bytes, way, layers),
            kind::VLAN | kind::VLAN_SERVICE | kind::VLAN_OLD | kind::VLAN_OLDER => {
                let tag = read_u16(bytes, 0).ok_or(PacketEnd::LinkCut)?;
                way.note_vlan(tag);
                2
            }
            kind::MPLS | kind::MPLS_UPSTREAM => return mpls::stack(bytes, way, layers),
            kind::PPPOE_SESSION => return ppp::over_ethernet(bytes, way, layers),
            kind::VN_TAG => 4,
            kind::E_TAG | kind::CISCO_METADATA => 6,
            kind::MAC_SECURITY => mac_security(bytes)?,
            // IEEE 802.1ah: 4 bytes with the service's number, then the customer's frame.
            kind::BACKBONE => {
                let id = read_u32(bytes, 0).ok_or(PacketEnd::LinkCut)? & 0x00ff_ffff;
                let way = way.into_tunnel(TunnelKind::Backbone, Some(id))?;
                return inner_frame(bytes.get(4..).unwrap_or(&[]), way, layers);
            }
            kind::TRANSPARENT_ETHERNET => return inner_frame(bytes, way.deeper()?, layers),
            len if len < kind::LENGTHS_BELOW => {
                let frame = bytes.get(..usize::from(len)).unwrap_or(bytes);
                (kind, bytes) = llc(frame)?;
                continue;
            }
            _ => return Err(PacketEnd::NotIp),
        };
        kind = read_u16(bytes, at).ok_or(PacketEnd::LinkCut)?;
        bytes = bytes.get(at.saturating_add(2)..).unwrap_or(&[]);
    }
}

/// Takes the LLC header (IEEE 802.2), and SNAP's if it is there, off: EtherType and payload.
pub(super) fn llc(bytes: &[u8]) -> Result<(u16, &[u8]), PacketEnd> {
    match *bytes {
        // SNAP with an EtherType (RFC 1042); 0000f8 is the same behind some bridges (802.1H).
        [0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, k0, k1, ref payload @ ..] => {
            Ok((u16::from_be_bytes([k0, k1]), payload))
        }
        // IP straight in LLC.
        [0x06, 0x06, 0x03, ref payload @ ..] => Ok((kind::IPV4, payload)),
        [_, _, _, ..] => Err(PacketEnd::NotIp),
        _ => Err(PacketEnd::LinkCut),
    }
}

/// Where the EtherType stands behind a MACsec tag (IEEE 802.1AE) if the rest is only signed.
fn mac_security(bytes: &[u8]) -> Result<usize, PacketEnd> {
    let flags = *bytes.first().ok_or(PacketEnd::LinkCut)?;
    let is_changed = flags & 0x0c != 0;
    let has_channel = flags & 0x20 != 0;
    match (is_changed, has_channel) {
        (true, _) => Err(PacketEnd::Encrypted),
        (_, false) => Ok(6),
        (_, true) => Ok(14),
    }
}

/// Whether these bytes look like an Ethernet frame that carries IP, tagged or not. For places where
/// nothing says what follows.
pub(super) fn is_likely(bytes: &[u8]) -> bool {
    let version = bytes.get(14).map(|byte| byte >> 4);
    match read_u16(bytes, 12) {
        Some(kind::IPV4) => version == Some(4),
        Some(kind::IPV6) => version == Some(6),
        Some(kind) => matches!(
            kind,
            kind::VLAN | kind::VLAN_SERVICE | kind::PPPOE_SESSION | kind::MPLS | 0x0806
        ),
        None => false,
    }
}
