//! Where packets end that carry nothing towards the DNS ports.

/// Where a packet ends that carries neither a datagram or segment on a DNS port nor a fragment.
/// Each is one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketEnd {
    /// Not IPv4 or IPv6: ARP, LLC, anything else.
    NotIp,
    /// IP, but neither UDP nor TCP.
    NotUdpOrTcp,
    /// UDP or TCP, but on no DNS port.
    OtherPort,
    /// An ICMP error that quotes a packet on a DNS port.
    IcmpQuote,
    /// Multicast DNS (RFC 6762), port 5353.
    Mdns,
    /// Link-local multicast name resolution (RFC 4795), port 5355.
    Llmnr,
    /// The name service of NetBIOS (RFC 1002), port 137.
    Nbns,
    /// Unread: encrypted below UDP and TCP, as by IPsec, MACsec or 802.11.
    Encrypted,
    /// Unread: several packets in one 802.11 frame.
    Aggregate,
    /// Malformed: the link-layer header is not whole.
    LinkCut,
    /// Malformed: the IP header is not whole, or its version or lengths contradict themselves.
    IpHeader,
    /// Malformed: the UDP or TCP header is not whole, or contradicts itself.
    TransportHeader,
    /// Malformed: the header of a tunnel is not whole.
    TunnelHeader,
    /// Malformed: a checksum is wrong; only if they are verified.
    Checksum,
    /// Refused: more than [`EXTENSION_HEADERS_MAX`](super::EXTENSION_HEADERS_MAX) IPv6 extension
    /// headers.
    ExtensionHeaders,
    /// Refused: more than [`DEPTH_MAX`](super::DEPTH_MAX) packets in packets.
    TooDeep,
    /// Refused: a link type that is not read.
    LinkType,
}

impl PacketEnd {
    /// All ends, in the order of [`PacketEnd::index`].
    pub const ALL: [Self; 17] = [
        Self::NotIp,
        Self::NotUdpOrTcp,
        Self::OtherPort,
        Self::IcmpQuote,
        Self::Mdns,
        Self::Llmnr,
        Self::Nbns,
        Self::Encrypted,
        Self::Aggregate,
        Self::LinkCut,
        Self::IpHeader,
        Self::TransportHeader,
        Self::TunnelHeader,
        Self::Checksum,
        Self::ExtensionHeaders,
        Self::TooDeep,
        Self::LinkType,
    ];

    /// Position in [`PacketEnd::ALL`], for counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The end as a counter name; what is before the dot is the class of the end.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotIp => "not_dns.not_ip",
            Self::NotUdpOrTcp => "not_dns.other_transport",
            Self::OtherPort => "not_dns.other_port",
            Self::IcmpQuote => "not_dns.icmp_quote",
            Self::Mdns => "not_dns.mdns",
            Self::Llmnr => "not_dns.llmnr",
            Self::Nbns => "not_dns.nbns",
            Self::Encrypted => "unread.encrypted",
            Self::Aggregate => "unread.aggregate",
            Self::LinkCut => "malformed.link_header",
            Self::IpHeader => "malformed.ip_header",
            Self::TransportHeader => "malformed.transport_header",
            Self::TunnelHeader => "malformed.tunnel_header",
            Self::Checksum => "malformed.checksum",
            Self::ExtensionHeaders => "refused.extension_headers",
            Self::TooDeep => "refused.depth",
            Self::LinkType => "refused.link_type",
        }
    }

    /// The end of a datagram or segment that has no DNS port.
    pub(super) const fn of_ports(source: u16, destination: u16) -> Self {
        match (source, destination) {
            (5353, _) | (_, 5353) => Self::Mdns,
            (5355, _) | (_, 5355) => Self::Llmnr,
            (137, _) | (_, 137) => Self::Nbns,
            _ => Self::OtherPort,
        }
    }

    /// Whether the packet was malformed.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        use PacketEnd::*;
        matches!(self, LinkCut | IpHeader | TransportHeader | TunnelHeader | Checksum)
    }
}
