//! What a packet carries towards the DNS ports, once the layers around it are off.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The two ends of an IP packet and the way on which the tap saw it.
///
/// Where packets travel inside others, the addresses are those of the innermost one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Outermost VLAN id, 0 if there is no tag.
    pub vlan: u16,
    /// Outermost tunnel, if the packet travelled in any.
    pub tunnel: Option<Tunnel>,
}

/// A tunnel that packets travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tunnel {
    /// What wraps the packets.
    pub kind: TunnelKind,
    /// What tells this tunnel from others of its kind, if the packet says so.
    pub id: Option<u32>,
}

/// What wraps packets, and what tells one such tunnel from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TunnelKind {
    /// IPv4, IPv6 or Ethernet straight in IP (RFC 2003, 2473, 4213, 3378); without an id.
    Ip,
    /// GRE (RFC 2784); the id is the key, or the call id of version 1 (RFC 2637), if there is one.
    Gre,
    /// ERSPAN in GRE; the id is the session's, but type I has none.
    Erspan,
    /// VXLAN (RFC 7348); the id is the VNI.
    Vxlan,
    /// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe); the id is the VNI.
    VxlanGpe,
    /// GENEVE (RFC 8926); the id is the VNI.
    Geneve,
    /// GTP, user plane (3GPP TS 29.281); the id is the TEID.
    GtpU,
    /// Teredo (RFC 4380); without an id.
    Teredo,
    /// PPPoE (RFC 2516); the id is the session's.
    Pppoe,
    /// MPLS (RFC 3032); the id is the label at the bottom of the stack, which names the service.
    Mpls,
    /// Provider backbone bridge (IEEE 802.1ah); the id is the service's.
    Backbone,
}

impl TunnelKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Ip,
        Self::Gre,
        Self::Erspan,
        Self::Vxlan,
        Self::VxlanGpe,
        Self::Geneve,
        Self::GtpU,
        Self::Teredo,
        Self::Pppoe,
        Self::Mpls,
        Self::Backbone,
    ];

    /// The kind as alerts spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::VxlanGpe => "vxlan_gpe",
            Self::Geneve => "geneve",
            Self::GtpU => "gtp_u",
            Self::Teredo => "teredo",
            Self::Pppoe => "pppoe",
            Self::Mpls => "mpls",
            Self::Backbone => "backbone_bridge",
        }
    }
}

/// What is left of a packet when its layers are off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried<'a> {
    /// A UDP datagram with a DNS port at one end.
    Datagram(Datagram<'a>),
    /// A TCP segment with a DNS port at one end.
    Segment(Segment<'a>),
    /// A piece of an IP packet; whether it concerns DNS is known when the packet is whole.
    Fragment(Fragment<'a>),
}

/// One DNS message as it was carried: a UDP datagram, or a message out of a TCP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Addresses and the way to the tap.
    pub ends: Ends,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Whether it came over TCP.
    pub is_tcp: bool,
    /// The captured part of the payload; for TCP without the two bytes of length.
    pub payload: &'a [u8],
    /// Whether the payload on the wire was longer than what was captured.
    pub is_cut: bool,
}

/// One TCP segment (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Addresses and the way to the tap.
    pub ends: Ends,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number of the first byte of the payload, or of the SYN.
    pub sequence: u32,
    /// The flags of the header's 14th byte: FIN 0x01, SYN 0x02, RST 0x04, ACK 0x10.
    pub flags: u8,
    /// The captured part of the payload.
    pub payload: &'a [u8],
    /// Length of the payload on the wire in bytes; more than `payload` holds when it was cut.
    pub payload_len: u32,
}

/// One fragment of an IP packet (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Addresses of the fragmented packet and the way to the tap.
    pub ends: Ends,
    /// The protocol or next header that the whole payload begins with.
    pub protocol: u8,
    /// Identification, 16 bits in IPv4 and 32 in IPv6.
    pub identification: u32,
    /// Where in the whole payload this piece begins, in bytes; a multiple of 8.
    pub offset: u32,
    /// Whether more pieces follow behind this one.
    pub has_more: bool,
    /// How many packets were around this one.
    pub depth: u8,
    /// The captured part of the piece.
    pub payload: &'a [u8],
    /// Whether the piece on the wire was longer than what was captured.
    pub is_cut: bool,
}
