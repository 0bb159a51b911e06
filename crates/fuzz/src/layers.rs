//! One packet of any link type: `[link type, settings, bytes of the packet...]`.
//!
//! What comes out lies in what went in, is on a DNS port, and is the same every time. Verified
//! checksums only ever take packets away. A packet in a packet lies deeper than it.

use fluxtap_wire::layers::{self, DEPTH_MAX, LINK_TYPES_READ};
use fluxtap_wire::{
    Carried, Fragment, Layers, LinkType, Packet, PacketEnd, Ports, Timestamp, TunnelPorts,
};

/// Settings: checksums are verified.
const VERIFY: u8 = 1;
/// Settings: further DNS ports.
const PORTS: u8 = 2;
/// Settings: no tunnels in UDP.
const NO_TUNNELS: u8 = 4;

/// See the module's head.
pub fn run(bytes: &[u8]) {
    let [link, settings, bytes @ ..] = bytes else { return };
    let link = LINK_TYPES_READ
        .get(usize::from(*link))
        .map_or(LinkType(u16::from(*link)), |(link, _)| *link);
    let layers = Layers {
        is_checksum_verified: settings & VERIFY != 0,
        ports: if settings & PORTS == 0 {
            Ports::default()
        } else {
            Ports::new(&[53, 5353, 8053]).expect("three ports")
        },
        tunnels: if settings & NO_TUNNELS == 0 {
            TunnelPorts::default()
        } else {
            TunnelPorts::NONE
        },
    };
    let wire_len = bytes.len() as u32;
    let packet = Packet { at: Timestamp(0), link, bytes, wire_len };
    let found = layers::decode(&packet, &layers);
    assert_eq!(found, layers::decode(&packet, &layers), "the same again");
    if let Some(plain) = layers::plain_datagram(&packet, &layers) {
        assert_eq!(found, Ok(Carried::Datagram(plain)), "at fixed places");
    }
    if layers.is_checksum_verified && found.is_ok() {
        let layers = Layers { is_checksum_verified: false, ..layers };
        assert_eq!(found, layers::decode(&packet, &layers), "without looking at checksums");
    }
    check(&found, bytes, &layers, 0);
}

/// What comes out of `bytes`, which lay in `depth` packets.
fn check(found: &Result<Carried<'_>, PacketEnd>, bytes: &[u8], layers: &Layers, depth: u8) {
    match found {
        Ok(Carried::Datagram(datagram)) => {
            assert!(!datagram.is_tcp);
            assert_lies_in(datagram.payload, bytes);
            assert_port(datagram.source_port, datagram.destination_port, layers);
        }
        Ok(Carried::Segment(segment)) => {
            assert_lies_in(segment.payload, bytes);
            assert_port(segment.source_port, segment.destination_port, layers);
            assert!(segment.payload_len as usize >= segment.payload.len(), "{segment:?}");
        }
        Ok(Carried::Fragment(fragment)) => {
            assert_lies_in(fragment.payload, bytes);
            assert!(fragment.offset.is_multiple_of(8) && fragment.offset < 1 << 16);
            assert!(fragment.has_more || fragment.offset > 0, "no fragment at all: {fragment:?}");
            assert!(fragment.depth >= depth && fragment.depth <= DEPTH_MAX, "{fragment:?}");
            resume(fragment, layers);
        }
        Err(end) => assert_eq!(PacketEnd::ALL[end.index()], *end),
    }
}

/// Takes a fragment for the whole of its packet.
fn resume(fragment: &Fragment<'_>, layers: &Layers) {
    let whole = fragment.payload;
    let found = layers::resume(fragment, whole, layers);
    if let Ok(Carried::Fragment(inner)) = &found {
        assert!(inner.depth > fragment.depth, "{inner:?} in {fragment:?}");
    }
    check(&found, whole, layers, fragment.depth);
}

fn assert_lies_in(payload: &[u8], bytes: &[u8]) {
    let (outer, inner) = (bytes.as_ptr_range(), payload.as_ptr_range());
    assert!(payload.is_empty() || outer.start <= inner.start && inner.end <= outer.end);
}

fn assert_port(source: u16, destination: u16, layers: &Layers) {
    assert!(layers.ports.contains(source) || layers.ports.contains(destination));
}
