//! What IP packets carry: UDP and TCP headers, and other packets.

use super::ip::{self, protocol};
use super::{Layers, PacketEnd, Way, ether, gre, mpls, read_u16, udp_tunnels};
use crate::carried::{Carried, Datagram, Ends, Segment, TunnelKind};
use std::net::IpAddr;

/// What an IP header stands before.
#[derive(Clone, Copy)]
pub(super) struct Inside<'a> {
    /// The captured part.
    pub(super) bytes: &'a [u8],
    /// Length on the wire in bytes.
    pub(super) wire_len: usize,
    /// Whether the ends of the header may not be those that checksums cover.
    pub(super) is_rerouted: bool,
}

impl Inside<'_> {
    /// Whether more was on the wire than was captured.
    #[inline]
    pub(super) const fn is_cut(&self) -> bool {
        self.wire_len > self.bytes.len()
    }

    /// What is behind the first `len` bytes, if as many were captured.
    pub(super) fn skip(self, len: usize) -> Option<Self> {
        let bytes = self.bytes.get(len..)?;
        Some(Self { bytes, wire_len: self.wire_len.saturating_sub(len), ..self })
    }
}

/// Whether packets of this protocol can carry something.
pub(super) const fn is_read(protocol: u8) -> bool {
    use protocol::*;
    matches!(protocol, UDP | TCP | IPV4 | IPV6 | GRE | ETHER_IP | MPLS | AUTHENTICATION)
}

/// What an IP packet of this protocol carries.
#[inline]
pub(super) fn inside<'a>(
    protocol: u8,
    inside: Inside<'a>,
    ends: Ends,
    depth: u8,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    match protocol {
        protocol::UDP => udp(inside, ends, depth, layers),
        protocol::TCP => tcp(inside, ends, layers),
        _ => other(protocol, inside, ends, depth, layers),
    }
}

/// What an IP packet carries that is neither UDP nor TCP: other packets, or nothing.
#[inline(never)]
fn other<'a>(
    protocol: u8,
    inside: Inside<'a>,
    ends: Ends,
    depth: u8,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let way = Way::to(&ends, depth);
    let bytes = inside.bytes;
    match protocol {
        protocol::IPV4 | protocol::IPV6 => {
            ip::inner(bytes, way.into_tunnel(TunnelKind::Ip, None)?, layers)
        }
        protocol::GRE => gre::packet(bytes, way, layers),
        // EtherIP (RFC 3378): two bytes, then a frame.
        protocol::ETHER_IP => {
            let frame = bytes.get(2..).ok_or(PacketEnd::TunnelHeader)?;
            ether::inner_frame(frame, way.into_tunnel(TunnelKind::Ip, None)?, layers)
        }
        protocol::MPLS => mpls::stack(bytes, way, layers),
        protocol::AUTHENTICATION => ip::behind_headers(protocol, inside, ends, depth, layers),
        protocol::ENCRYPTED => Err(PacketEnd::Encrypted),
        protocol::ICMP | protocol::ICMP_V6 => Err(icmp(protocol, bytes, way, layers)),
        _ => Err(PacketEnd::NotUdpOrTcp),
    }
}

/// The end of an ICMP message: an error that quotes a packet on a DNS port is told apart.
fn icmp(protocol: u8, bytes: &[u8], way: Way, layers: &Layers) -> PacketEnd {
    let is_error = match (protocol, bytes.first()) {
        // RFC 792: unreachable, source quench, redirect, time exceeded, parameter problem.
        (protocol::ICMP, Some(3 | 4 | 5 | 11 | 12)) => true,
        // RFC 4443: unreachable, too big, time exceeded, parameter problem.
        (protocol::ICMP_V6, Some(1..=4)) => true,
        _ => false,
    };
    let quoted = bytes.get(8..).filter(|_| is_error);
    let (Some(quoted), Ok(way)) = (quoted, way.deeper()) else { return PacketEnd::NotUdpOrTcp };
    match ip::inner(quoted, way, layers) {
        // Quotes are short: of TCP often nothing but the ports is there.
        Ok(Carried::Datagram(_) | Carried::Segment(_)) | Err(PacketEnd::TransportHeader) => {
            PacketEnd::IcmpQuote
        }
        Ok(Carried::Fragment(_)) | Err(_) => PacketEnd::NotUdpOrTcp,
    }
}

/// A UDP datagram (RFC 768).
#[inline]
fn udp<'a>(
    inside: Inside<'a>,
    ends: Ends,
    depth: u8,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let bytes = inside.bytes;
    let (source_port, destination_port) = ports(bytes)?;
    if !layers.ports.contains(source_port) && !layers.ports.contains(destination_port) {
        if !layers.tunnels.is_special(source_port, destination_port) {
            return Err(PacketEnd::OtherPort);
        }
        return off_port([source_port, destination_port], inside, &ends, depth, layers);
    }
    let stated = match usize::from(read_u16(bytes, 4).ok_or(PacketEnd::TransportHeader)?) {
        // A jumbo datagram (RFC 2675 section 4).
        0 => inside.wire_len,
        1..8 => return Err(PacketEnd::TransportHeader),
        len => len,
    };
    let payload = bytes.get(8..stated.min(bytes.len())).ok_or(PacketEnd::TransportHeader)?;
    if layers.is_checksum_verified && !is_sound(protocol::UDP, 6, stated, inside, &ends) {
        return Err(PacketEnd::Checksum);
    }
    Ok(Carried::Datagram(Datagram {
        ends,
        source_port,
        destination_port,
        is_tcp: false,
        payload,
        is_cut: stated > bytes.len(),
    }))
}

/// A datagram on no DNS port: a tunnel, or nothing.
#[inline(never)]
fn off_port<'a>(
    [source_port, destination_port]: [u16; 2],
    inside: Inside<'a>,
    ends: &Ends,
    depth: u8,
    layers: &Layers,
) -> Result<Carried<'a>, PacketEnd> {
    let kind = layers.tunnels.kind(destination_port).or_else(|| layers.tunnels.kind(source_port));
    let Some(kind) = kind else { return Err(PacketEnd::of_ports(source_port, destination_port)) };
    let stated = usize::from(read_u16(inside.bytes, 4).ok_or(PacketEnd::TransportHeader)?);
    let stated = if stated == 0 { inside.wire_len } else { stated };
    let payload = inside.bytes.get(8..stated.min(inside.bytes.len()));
    let payload = payload.ok_or(PacketEnd::TransportHeader)?;
    if layers.is_checksum_verified && !is_sound(protocol::UDP, 6, stated, inside, ends) {
        return Err(PacketEnd::Checksum);
    }
    udp_tunnels::payload(kind, payload, Way::to(ends, depth), layers)
}

/// A TCP segment (RFC 9293 section 3.1). Options that the capture cut are not missed.
#[inline(never)]
fn tcp<'a>(inside: Inside<'a>, ends: Ends, layers: &Layers) -> Result<Carried<'a>, PacketEnd> {
    let (source_port, destination_port) = ports(inside.bytes)?;
    if !layers.ports.contains(source_port) && !layers.ports.contains(destination_port) {
        return Err(PacketEnd::of_ports(source_port, destination_port));
    }
    let head = inside.bytes.first_chunk::<20>().ok_or(PacketEnd::TransportHeader)?;
    let [_, _, _, _, q0, q1, q2, q3, _, _, _, _, offset, flags, ..] = *head;
    let header_len = usize::from(offset >> 4).saturating_mul(4);
    if header_len < 20 || header_len > inside.wire_len {
        return Err(PacketEnd::TransportHeader);
    }
    if layers.is_checksum_verified && !is_sound(protocol::TCP, 16, inside.wire_len, inside, &ends) {
        return Err(PacketEnd::Checksum);
    }
    Ok(Carried::Segment(Segment {
        ends,
        source_port,
        destination_port,
        sequence: u32::from_be_bytes([q0, q1, q2, q3]),
        flags,
        payload: inside.bytes.get(header_len..).unwrap_or(&[]),
        payload_len: u32::try_from(inside.wire_len.saturating_sub(header_len)).unwrap_or(u32::MAX),
    }))
}

/// Source and destination port, which stand at the same place in both.
#[inline]
fn ports(bytes: &[u8]) -> Result<(u16, u16), PacketEnd> {
    let [s0, s1, d0, d1] = *bytes.first_chunk().ok_or(PacketEnd::TransportHeader)?;
    Ok((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
}

/// Whether the checksum at `at` over the first `len` bytes is right. One that cannot be told passes:
/// 0 (not computed, or left to the network card), bytes that are cut off, ends that are not those
/// of the header.
#[cold]
fn is_sound(protocol: u8, at: usize, len: usize, inside: Inside<'_>, ends: &Ends) -> bool {
    let Some(covered) = inside.bytes.get(..len).filter(|_| !inside.is_rerouted) else {
        return true;
    };
    if read_u16(covered, at) == Some(0) {
        return true;
    }
    // The pseudo-header (RFC 768; RFC 8200 section 8.1).
    let length = len as u32;
    let mut sum = (length >> 16).saturating_add(length & 0xffff).saturating_add(protocol.into());
    for end in [ends.source, ends.destination] {
        sum = u32::from(match end {
            IpAddr::V4(ip) => sum_of(&ip.octets(), sum),
            IpAddr::V6(ip) => sum_of(&ip.octets(), sum),
        });
    }
    sum_of(covered, sum) == 0xffff
}

/// The ones' complement sum of 16-bit words (RFC 1071) on top of `start`; all ones if they hold
/// a checksum that is right.
pub(super) fn sum_of(bytes: &[u8], start: u32) -> u16 {
    let (words, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |&byte| u64::from(byte) << 8);
    let words = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>();
    let mut sum = words.saturating_add(last).saturating_add(start.into());
    while let carry @ 1.. = sum >> 16 {
        sum = (sum & 0xffff).saturating_add(carry);
    }
    sum as u16
}
