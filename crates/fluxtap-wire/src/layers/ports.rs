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
        self.as_slice().contains(&port)
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
    /// Port 0, which nothing uses, fills up; apart from the kinds, so that one look compares all.
    ports: [u16; TUNNEL_PORTS_MAX],
    kinds: [TunnelKind; TUNNEL_PORTS_MAX],
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
        Self { ports: [0; TUNNEL_PORTS_MAX], kinds: [TunnelKind::Ip; TUNNEL_PORTS_MAX] };

    /// Up to [`TUNNEL_PORTS_MAX`] ports; `None` for more, for port 0, for a port named twice, and
    /// for kinds that are not among [`TunnelPorts::KINDS`].
    #[must_use]
    pub fn new(tunnels: &[(TunnelKind, u16)]) -> Option<Self> {
        let mut all = Self::NONE;
        for (i, &(kind, port)) in tunnels.iter().enumerate() {
            if port == 0 || all.kind(port).is_some() || !Self::KINDS.contains(&kind) {
                return None;
            }
            *all.ports.get_mut(i)? = port;
            *all.kinds.get_mut(i)? = kind;
        }
        Some(all)
    }

    /// What wraps packets on `port`.
    #[must_use]
    #[inline]
    pub fn kind(&self, port: u16) -> Option<TunnelKind> {
        // Most ports are none of these: they are compared all at once, without a branch for each.
        if port == 0 || !self.ports.iter().fold(false, |is_one, one| is_one | (*one == port)) {
            return None;
        }
        let at = self.ports.iter().position(|one| *one == port)?;
        self.kinds.get(at).copied()
    }
}

impl Default for TunnelPorts {
    /// Those of [`TunnelPorts::REGISTERED`].
    fn default() -> Self {
        Self::new(&Self::REGISTERED).unwrap_or(Self::NONE)
    }
}
