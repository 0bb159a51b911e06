//! What of the layers an operator can set.

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

/// The UDP ports behind which packets travel inside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelPorts {
    /// VXLAN (RFC 7348).
    pub vxlan: Ports,
    /// VXLAN with other payloads than Ethernet (draft-ietf-nvo3-vxlan-gpe).
    pub vxlan_gpe: Ports,
    /// GENEVE (RFC 8926).
    pub geneve: Ports,
    /// GTP, user plane (3GPP TS 29.281).
    pub gtp_u: Ports,
    /// Teredo (RFC 4380).
    pub teredo: Ports,
}

impl Default for TunnelPorts {
    /// The registered ports, and 8472 which Linux used for VXLAN before there was one.
    fn default() -> Self {
        let set = |ports: &[u16]| Ports::new(ports).unwrap_or(Ports::NONE);
        Self {
            vxlan: set(&[4789, 8472]),
            vxlan_gpe: set(&[4790]),
            geneve: set(&[6081]),
            gtp_u: set(&[2152]),
            teredo: set(&[3544]),
        }
    }
}
