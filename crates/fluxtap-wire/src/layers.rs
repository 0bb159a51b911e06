//! From a captured packet to what it carries on the DNS ports.
//!
//! The reads are by hand: on plain Ethernet/IPv4/UDP that costs a fifth of the instructions of the
//! slice types of `etherparse`, which serves as the test oracle instead (see this module's tests).
//! A packet cut by the capture is not an error: what is there is decoded, and marked.

mod end;
mod ether;
mod gre;
mod ip;
mod link;
mod mpls;
mod plain;
mod ports;
mod ppp;
#[cfg(test)]
mod tests;
mod transport;
mod udp_tunnels;
mod wireless;

use crate::carried::{Carried, Datagram, Ends, Fragment, Tunnel, TunnelKind};
use crate::packet::{LinkType, Packet};
pub use end::PacketEnd;
pub use ip::EXTENSION_HEADERS_MAX;
pub use link::LINK_TYPES_READ;
pub use ports::{Layers, PORTS_MAX, Ports, TUNNEL_PORTS_MAX, TunnelPorts};

/// Most packets and frames around the innermost one; a packet that has more ends as
/// [`PacketEnd::TooDeep`]. Mirrors of cloud networks make three.
pub const DEPTH_MAX: u8 = 8;

/// The datagram of a packet such as nearly all are: Ethernet with one VLAN tag or none, IP without
/// options or extension headers, UDP on a DNS port. `None` if there is anything else to it; for such a
/// one [`decode`] gives the same. It is for callers who take packets by the million: nothing of it is
/// copied when it is inlined.
#[inline(always)]
#[must_use]
pub fn plain_datagram<'a>(packet: &Packet<'a>, layers: &Layers) -> Option<Datagram<'a>> {
    if packet.link != LinkType::ETHERNET {
        return None;
    }
    plain::datagram(packet.bytes, layers)
}

/// Takes the layers around a datagram, segment or fragment off.
///
/// # Errors
/// Where the packet ends when it carries nothing on one of the DNS ports.
pub fn decode<'a>(packet: &Packet<'a>, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    match packet.link {
        LinkType::ETHERNET => ether::frame(packet.bytes, Way::default(), layers),
        link => link::packet(link, packet.bytes, Way::default(), layers),
    }
}

/// Goes on where [`decode`] gave a fragment, with the payload that was put together from it and
/// the others of its packet.
///
/// Of `head` the ends, protocol, depth and whether anything is cut count: those of any fragment
/// will do, but in IPv6 only the first one's protocol (RFC 8200 section 4.5).
///
/// # Errors
/// Where the packet ends when it carries nothing on one of the DNS ports.
pub fn resume<'a>(
    head: &Fragment<'_>,
    whole: &'a [u8],
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    ip::resume(head, whole, layers)
}

/// How a packet came to the tap, as far as its layers are off.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// Outermost VLAN id, 0 if there was no tag.
    vlan: u16,
    /// Outermost tunnel.
    tunnel: Option<Tunnel>,
    /// Packets and frames around this one.
    depth: u8,
}

impl Way {
    /// The way of a packet with these ends inside `depth` others.
    const fn to(ends: &Ends, depth: u8) -> Self {
        Self { vlan: ends.vlan, tunnel: ends.tunnel, depth }
    }

    /// Notes a VLAN tag: the outermost that has an id counts.
    const fn note_vlan(&mut self, tag: u16) {
        if self.vlan == 0 {
            self.vlan = tag & 0x0fff;
        }
    }

    /// The way one packet or frame further in.
    fn deeper(self) -> Result<Self, PacketEnd> {
        let depth = self.depth.saturating_add(1);
        if depth > DEPTH_MAX { Err(PacketEnd::TooDeep) } else { Ok(Self { depth, ..self }) }
    }

    /// The way into a tunnel.
    fn into_tunnel(self, kind: TunnelKind, id: Option<u32>) -> Result<Self, PacketEnd> {
        let tunnel = self.tunnel.or(Some(Tunnel { kind, id }));
        Self { tunnel, ..self }.deeper()
    }
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}
