//! What of the layers an operator can set.

use crate::carried::TunnelKind;

/// Most ports of one kind.
pub const PORTS_MAX: usize = 16;

/// What [`decode`](super::decode) needs to know beside the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// The ports that count as DNS ports.
    pub ports: Ports,
    /// The UDP ports that count as ends of tunnels.
    pub tunnels: TunnelPorts,
    /// Whether packets with wrong IPv4, UDP or TCP checksums are refused. Mirrors often show
    /// packets before the network card computed theirs, so this is off unless asked for.
    pub is_checksum_verified: bool,
}

/// A few ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    len: u8,
    ports: [u16; PORTS_MAX],
}

impl Ports {
    /// No port at all.
    pub const NONE: Self = Self { len: 0, ports: [0; PORTS_MAX] };

    /// A set of 1 to [`PORTS_MAX`] ports; `None` for none, too many, or port 0.
    #[must_use]
    pub fn new(ports: &[u16]) -> Option<Self> {
        let mut all = [0; PORTS_MAX];
        all.get_mut(..ports.len())?.copy_from_slice(ports);
        let is_good = !ports.is_empty() && !ports.contains(&0);
        is_good.then_some(Self { len: ports.len() as u8, ports: all })
    }

    /// The ports as they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[u16] {
        self.ports.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Whether `port` is one of them.
    #[must_use]
    #[inline]
    pub fn contains(&self, port: u16) -> bool {
        let [first, ..] = self.ports;
        // Nearly always the only one; a place that is not used holds 0.
        first == port && port != 0 || self.len > 1 && self.as_slice().contains(&port)
    }
}

impl Default for Ports {
    /// Port 53 alone.
    fn default() -> Self {
        Self::new(&[53]).unwrap_or(Self::NONE)
    }
}

/// Most UDP ports of tunnels.
pub const TUNNEL_PORTS_MAX: usize = 16;

/// The UDP ports behind which packets travel inside others, each with what wraps them.
///
/// A DNS port at the other end goes first: such a datagram is DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelPorts {
    /// Port 0, which nothing uses, fills up.
    ports: [(u16, TunnelKind); TUNNEL_PORTS_MAX],
    filter: Filter,
}

impl TunnelPorts {
    /// Kinds of tunnels that travel in UDP.
    pub const KINDS: [TunnelKind; 7] = [
        TunnelKind::Vxlan,
        TunnelKind::VxlanGpe,
        TunnelKind::Geneve,
        TunnelKind::GtpU,
        TunnelKind::Teredo,
        TunnelKind::Mpls,
        TunnelKind::Gre,
    ];

    /// The registered ports, and 8472 which Linux used for VXLAN before there was one: RFC 7348,
    /// draft-ietf-nvo3-vxlan-gpe, RFC 8926, 3GPP TS 29.281, RFC 4380, RFC 7510, RFC 8086.
    pub const REGISTERED: [(TunnelKind, u16); 8] = [
        (TunnelKind::Vxlan, 4789),
        (TunnelKind::Vxlan, 8472),
        (TunnelKind::VxlanGpe, 4790),
        (TunnelKind::Geneve, 6081),
        (TunnelKind::GtpU, 2152),
        (TunnelKind::Teredo, 3544),
        (TunnelKind::Mpls, 6635),
        (TunnelKind::Gre, 4754),
    ];

    /// No tunnels in UDP.
    pub const NONE: Self =
        Self { ports: [(0, TunnelKind::Ip); TUNNEL_PORTS_MAX], filter: Filter::RELATIVES };

    /// Up to [`TUNNEL_PORTS_MAX`] ports; `None` for more, for port 0, for a port named twice, and
    /// for kinds that are not among [`TunnelPorts::KINDS`].
    #[must_use]
    pub fn new(tunnels: &[(TunnelKind, u16)]) -> Option<Self> {
        let mut all = Self::NONE;
        for (i, &(kind, port)) in tunnels.iter().enumerate() {
            if port == 0 || all.kind(port).is_some() || !Self::KINDS.contains(&kind) {
                return None;
            }
            *all.ports.get_mut(i)? = (port, kind);
            all.filter.add(port);
        }
        Some(all)
    }

    /// What wraps packets on `port`.
    #[must_use]
    #[inline]
    pub fn kind(&self, port: u16) -> Option<TunnelKind> {
        if !self.filter.may_have(port) {
            return None;
        }
        let found = self.ports.iter().find(|(one, _)| *one == port && port != 0);
        found.map(|(_, kind)| *kind)
    }

    /// Whether one of these may be a port of tunnels or of a relative of DNS; most datagrams are
    /// told by it to be neither.
    #[inline]
    pub(super) fn is_special(&self, source: u16, destination: u16) -> bool {
        self.filter.may_have(source) || self.filter.may_have(destination)
    }
}

/// A bit for each port modulo 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Filter([u64; 4]);

impl Filter {
    /// The ports that [`PacketEnd`](super::PacketEnd) has names for: 137, 5353 and 5355.
    const RELATIVES: Self = Self([0, 0, 1 << (137 & 63), 1 << (5353 & 63) | 1 << (5355 & 63)]);

    fn add(&mut self, port: u16) {
        if let Some(word) = self.0.get_mut(usize::from(port >> 6 & 3)) {
            *word |= 1 << (port & 63);
        }
    }

    #[inline]
    fn may_have(&self, port: u16) -> bool {
        self.0.get(usize::from(port >> 6 & 3)).is_some_and(|word| word >> (port & 63) & 1 != 0)
    }
}

impl Default for TunnelPorts {
    /// Those of [`TunnelPorts::REGISTERED`].
    fn default() -> Self {
        Self::new(&Self::REGISTERED).unwrap_or(Self::NONE)
    }
}
