//! From a captured packet to what it carries on the DNS ports.
//!
//! The reads are by hand: on plain Ethernet/IPv4/UDP that costs a fifth of the instructions of the
//! slice types of `etherparse`, which serves as the test oracle instead (see this module's tests).
//! A packet cut by the capture is not an error: what is there is decoded, and marked.

mod end;
mod ip;
mod link;
mod ports;
#[cfg(test)]
mod tests;
mod transport;

use crate::carried::{Carried, Fragment, Tunnel};
use crate::packet::{LinkType, Packet};
pub use end::PacketEnd;
pub use ip::EXTENSION_HEADERS_MAX;
pub use link::LINK_TYPES_READ;
pub use ports::{Layers, PORTS_MAX, Ports, TunnelPorts};

/// Takes the layers around a datagram, segment or fragment off.
///
/// # Errors
/// Where the packet ends when it carries nothing on one of the DNS ports.
#[inline]
pub fn decode<'a>(packet: &Packet<'a>, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    match packet.link {
        LinkType::ETHERNET => link::ethernet(packet.bytes, Way::default(), layers),
        link => link::other(link, packet.bytes, layers),
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

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}
