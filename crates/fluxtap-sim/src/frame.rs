//! Puts a payload into an Ethernet frame: optional 802.1Q tag, IPv4 or IPv6, UDP or TCP, checksums.

use std::net::IpAddr;

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Hardware address.
    pub(crate) mac: [u8; 6],
    /// Network address.
    pub(crate) ip: IpAddr,
    /// UDP or TCP port.
    pub(crate) port: u16,
}

/// What a frame carries beside its two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carriage {
    /// 802.1Q VLAN identifier.
    pub(crate) vlan: Option<u16>,
    /// IPv4 TTL or IPv6 hop limit.
    pub(crate) hops: u8,
    /// IPv4 identification.
    pub(crate) ip_id: u16,
}

/// What is between the network and the payload.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    Udp,
    Tcp(Segment),
}

/// The changing part of a TCP header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) flags: u8,
}

impl Segment {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
}

impl Transport {
    /// The protocol number, and where in the header the checksum is.
    const fn numbers(self) -> (u8, usize) {
        match self {
            Self::Udp => (17, 6),
            Self::Tcp(_) => (6, 16),
        }
    }

    fn write_header(self, out: &mut Vec<u8>, from: Endpoint, to: Endpoint, payload_len: usize) {
        out.extend_from_slice(&from.port.to_be_bytes());
        out.extend_from_slice(&to.port.to_be_bytes());
        match self {
            Self::Udp => {
                out.extend_from_slice(&((8 + payload_len) as u16).to_be_bytes());
                out.extend_from_slice(&[0, 0]);
            }
            Self::Tcp(segment) => {
                out.extend_from_slice(&segment.sequence.to_be_bytes());
                out.extend_from_slice(&segment.acknowledged.to_be_bytes());
                out.extend_from_slice(&[0x50, segment.flags, 0xff, 0xff, 0, 0, 0, 0]);
            }
        }
    }

    const fn header_len(self) -> usize {
        match self {
            Self::Udp => 8,
            Self::Tcp(_) => 20,
        }
    }
}

/// Writes the frame into `out`, which is cleared first. Both ends must be of one address family.
pub(crate) fn write(
    out: &mut Vec<u8>,
    from: Endpoint,
    to: Endpoint,
    carriage: Carriage,
    transport: Transport,
    payload: &[u8],
) {
    out.clear();
    out.extend_from_slice(&to.mac);
    out.extend_from_slice(&from.mac);
    if let Some(vlan) = carriage.vlan {
        out.extend_from_slice(&[0x81, 0]);
        out.extend_from_slice(&vlan.to_be_bytes());
    }
    let (protocol, checksum_at) = transport.numbers();
    let len = (transport.header_len() + payload.len()) as u16;
    let pseudo = match (from.ip, to.ip) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[0x08, 0]);
            write_ipv4(out, from.octets(), to.octets(), carriage, protocol, len);
            sum(&from.octets()) + sum(&to.octets())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            out.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(&[protocol, carriage.hops]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            sum(&from.octets()) + sum(&to.octets())
        }
        _ => panic!("both ends of a simulated flow have the same address family"),
    };
    let at = out.len();
    transport.write_header(out, from, to, payload.len());
    out.extend_from_slice(payload);
    let total = pseudo + u64::from(protocol) + u64::from(len) + sum(&out[at..]);
    // RFC 768: a computed 0 is sent as all ones, since 0 means that there is no checksum.
    let checksum = match (fold(total), transport) {
        (0, Transport::Udp) => u16::MAX,
        (other, _) => other,
    };
    out[at + checksum_at..at + checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
}

fn write_ipv4(
    out: &mut Vec<u8>,
    from: [u8; 4],
    to: [u8; 4],
    carriage: Carriage,
    protocol: u8,
    len: u16,
) {
    let at = out.len();
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&(20 + len).to_be_bytes());
    out.extend_from_slice(&carriage.ip_id.to_be_bytes());
    out.extend_from_slice(&[0x40, 0, carriage.hops, protocol, 0, 0]);
    out.extend_from_slice(&from);
    out.extend_from_slice(&to);
    let checksum = fold(sum(&out[at..]));
    out[at + 10..at + 12].copy_from_slice(&checksum.to_be_bytes());
}

/// Sum of 16-bit words; an odd last byte is the high one (RFC 1071).
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let whole: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    whole + rest.first().map_or(0, |&last| u64::from(last) << 8)
}

fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

#[cfg(test)]
mod tests {
    use fluxtap_wire::{Carried, Layers, LinkType, Packet, Timestamp, layers};

    use super::*;

    fn frame(from: &str, to: &str, vlan: Option<u16>, payload: &[u8]) -> Vec<u8> {
        let end = |ip: &str, port| Endpoint { mac: [2; 6], ip: ip.parse().unwrap(), port };
        let mut out = vec![1, 2, 3];
        let carriage = Carriage { vlan, hops: 64, ip_id: 0x1234 };
        write(&mut out, end(from, 5353), end(to, 53), carriage, Transport::Udp, payload);
        out
    }

    #[test]
    fn the_sensor_reads_what_was_written() {
        for (from, to, vlan) in [
            ("10.0.0.1", "10.0.0.53", None),
            ("10.0.0.1", "10.0.0.53", Some(120)),
            ("fd00::1", "fd00::53", None),
            ("fd00::1", "fd00::53", Some(4094)),
        ] {
            let bytes = frame(from, to, vlan, b"a payload");
            let packet = Packet {
                at: Timestamp(0),
                link: LinkType::ETHERNET,
                bytes: &bytes,
                wire_len: bytes.len() as u32,
            };
            let carried = layers::decode(&packet, &Layers::default()).unwrap();
            let Carried::Datagram(datagram) = carried else { panic!("{carried:?}") };
            assert_eq!(datagram.payload, b"a payload", "{from} {vlan:?}");
        }
    }

    #[test]
    fn checksums_add_up() {
        let bytes = frame("192.0.2.1", "198.51.100.2", None, b"odd");
        assert_eq!(fold(sum(&bytes[14..34])), 0, "ipv4 header");
        let pseudo = sum(&bytes[26..34]) + 17 + sum(&bytes[38..40]);
        assert_eq!(fold(pseudo + sum(&bytes[34..])), 0, "udp over ipv4");
        let bytes = frame("fd00::1", "fd00::2", None, b"even");
        let pseudo = sum(&bytes[22..54]) + 17 + sum(&bytes[58..60]);
        assert_eq!(fold(pseudo + sum(&bytes[54..])), 0, "udp over ipv6");
    }
}
