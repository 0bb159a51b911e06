//! The packet as a capture source hands it over.

use serde::{Deserialize, Serialize};

/// A point of event time: nanoseconds since the Unix epoch, UTC, from the capture header.
///
/// The core never reads a clock; every duration in it is a difference of two of these.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Nanoseconds in a second.
    pub const SECOND: u64 = 1_000_000_000;

    /// The time `seconds` after the epoch, saturating.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(Self::SECOND))
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0 / Self::SECOND
    }

    /// Whole milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// This time plus `seconds`, saturating.
    #[must_use]
    pub const fn plus_secs(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(Self::SECOND)))
    }

    /// Nanoseconds from `earlier` to this, 0 if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A link type by its number in the tcpdump.org registry
/// (<https://www.tcpdump.org/linktypes.html>), as capture files and libpcap state it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a 4-byte address family in the byte order of the capturing host.
    pub const NULL: Self = Self(0);
    /// Ethernet II and 802.3.
    pub const ETHERNET: Self = Self(1);
    /// PPP, with HDLC-like framing or without.
    pub const PPP: Self = Self(9);
    /// FDDI.
    pub const FDDI: Self = Self(10);
    /// Raw IP as some BSDs number it (`DLT_RAW`).
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP as OpenBSD numbers it (`DLT_RAW`).
    pub const RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC-like framing, or Cisco's HDLC.
    pub const PPP_SERIAL: Self = Self(50);
    /// PPPoE, without the Ethernet header.
    pub const PPP_ETHER: Self = Self(51);
    /// Raw IP, version from the first nibble.
    pub const RAW: Self = Self(101);
    /// Cisco's HDLC.
    pub const C_HDLC: Self = Self(104);
    /// 802.11.
    pub const IEEE802_11: Self = Self(105);
    /// OpenBSD loopback: a 4-byte address family in network order.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture v1.
    pub const LINUX_SLL: Self = Self(113);
    /// 802.11 behind a Prism header.
    pub const PRISM: Self = Self(119);
    /// 802.11 behind a radiotap header.
    pub const RADIOTAP: Self = Self(127);
    /// ARCNET as Linux delivers it.
    pub const ARCNET_LINUX: Self = Self(129);
    /// Reserved for private use; on Darwin it was [`LinkType::PKTAP`].
    pub const USER2: Self = Self(149);
    /// 802.11 behind an AVS header.
    pub const AVS: Self = Self(163);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// The log of Linux netfilter.
    pub const NFLOG: Self = Self(239);
    /// IP over InfiniBand, behind a global routing header.
    pub const IPOIB: Self = Self(242);
    /// Darwin's capture with the process and a link type for each packet.
    pub const PKTAP: Self = Self(258);
    /// Linux "cooked" capture v2.
    pub const LINUX_SLL2: Self = Self(276);
}

/// One captured packet, borrowed from the source's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When it was captured.
    pub at: Timestamp,
    /// What the first byte belongs to.
    pub link: LinkType,
    /// The captured bytes; fewer than `wire_len` when the capture cut the packet.
    pub bytes: &'a [u8],
    /// Length on the wire in bytes, as the capture states it.
    pub wire_len: u32,
}
