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
    /// Malformed: the link-layer header is not whole.
    LinkCut,
    /// Malformed: the IP header is not whole, or its version or lengths contradict themselves.
    IpHeader,
    /// Malformed: the UDP or TCP header is not whole, or contradicts itself.
    TransportHeader,
    /// Malformed: a checksum is wrong; only if they are verified.
    Checksum,
    /// Refused: more than [`EXTENSION_HEADERS_MAX`](super::EXTENSION_HEADERS_MAX) IPv6 extension
    /// headers.
    ExtensionHeaders,
    /// Refused: a link type that is not read.
    LinkType,
}

impl PacketEnd {
    /// All ends, in the order of [`PacketEnd::index`].
    pub const ALL: [Self; 9] = [
        Self::NotIp,
        Self::NotUdpOrTcp,
        Self::OtherPort,
        Self::LinkCut,
        Self::IpHeader,
        Self::TransportHeader,
        Self::Checksum,
        Self::ExtensionHeaders,
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
            Self::LinkCut => "malformed.link_header",
            Self::IpHeader => "malformed.ip_header",
            Self::TransportHeader => "malformed.transport_header",
            Self::Checksum => "malformed.checksum",
            Self::ExtensionHeaders => "refused.extension_headers",
            Self::LinkType => "refused.link_type",
        }
    }

    /// Whether the packet was malformed.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        matches!(self, Self::LinkCut | Self::IpHeader | Self::TransportHeader | Self::Checksum)
    }
}
