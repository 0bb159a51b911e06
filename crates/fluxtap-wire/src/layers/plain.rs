//! The packets that nearly all are, read at fixed places: Ethernet with one VLAN tag or none, IP
//! without options or extension headers, UDP on a DNS port. Whatever is otherwise is for
//! [`super::ether`] and the layers behind it, which read these packets too and say the same.

use super::ether::kind;
use super::ip::protocol;
use super::{Layers, read_u16};
use crate::carried::{Datagram, Ends};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the headers of Ethernet, IPv4 without options, IPv6 and UDP.
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;

/// The datagram of a plain frame; `None` if there is anything else to it.
#[inline(always)]
pub(super) fn datagram<'a>(frame: &'a [u8], layers: &Layers) -> Option<Datagram<'a>> {
    if layers.is_checksum_verified {
        return None;
    }
    // Of a tagged frame the last four bytes of the addresses and the tag are left off, so that what
    // follows stands at the same places.
    let (vlan, frame) = match read_u16(frame, 12)? {
        kind::VLAN => (read_u16(frame, 14)? & 0x0fff, frame.get(4..)?),
        _ => (0, frame),
    };
    let head = frame.first_chunk::<{ ETHERNET + IPV4 + UDP }>()?;
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        k0,
        k1,
        version_ihl,
        _,
        l0,
        l1,
        _,
        _,
        f0,
        f1,
        _,
        next,
        ..,
    ] = *head;
    let is_whole = u16::from_be_bytes([f0, f1]) & 0x3fff == 0;
    match (u16::from_be_bytes([k0, k1]), version_ihl) {
        (kind::IPV4, 0x45) if next == protocol::UDP && is_whole => {
            let [.., s0, s1, s2, s3, d0, d1, d2, d3, p0, p1, q0, q1, u0, u1, _, _] = *head;
            let ends = Ends {
                source: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
                destination: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
                vlan,
                tunnel: None,
            };
            let ports = [u16::from_be_bytes([p0, p1]), u16::from_be_bytes([q0, q1])];
            let inside_len = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(IPV4)?;
            let behind = frame.get(ETHERNET.wrapping_add(IPV4)..)?;
            udp(behind, inside_len, ends, ports, u16::from_be_bytes([u0, u1]), layers)
        }
        (kind::IPV6, 0x60..=0x6f) => ipv6(frame, vlan, layers),
        _ => None,
    }
}

fn ipv6<'a>(frame: &'a [u8], vlan: u16, layers: &Layers) -> Option<Datagram<'a>> {
    let head = frame.get(ETHERNET..)?.first_chunk::<{ IPV6 + UDP }>()?;
    let [_, _, _, _, l0, l1, protocol::UDP, _, addresses @ .., p0, p1, q0, q1, u0, u1, _, _] =
        *head
    else {
        return None;
    };
    let ends = Ends {
        source: IpAddr::V6(Ipv6Addr::from(*addresses.first_chunk::<16>()?)),
        destination: IpAddr::V6(Ipv6Addr::from(*addresses.last_chunk::<16>()?)),
        vlan,
        tunnel: None,
    };
    let ports = [u16::from_be_bytes([p0, p1]), u16::from_be_bytes([q0, q1])];
    let inside_len = usize::from(u16::from_be_bytes([l0, l1]));
    let behind = frame.get(ETHERNET.wrapping_add(IPV6)..)?;
    udp(behind, inside_len, ends, ports, u16::from_be_bytes([u0, u1]), layers)
}

/// The datagram whose header begins `behind`, of which `inside_len` bytes belong to the packet and
/// `stated` to the datagram.
#[inline(always)]
fn udp<'a>(
    behind: &'a [u8],
    inside_len: usize,
    ends: Ends,
    [source_port, destination_port]: [u16; 2],
    stated: u16,
    layers: &Layers,
) -> Option<Datagram<'a>> {
    let stated = usize::from(stated);
    let is_dns = layers.ports.contains(source_port) || layers.ports.contains(destination_port);
    // A length of 0 is one that offload or a jumbogram left out.
    if !is_dns || inside_len < UDP || stated < UDP {
        return None;
    }
    let captured = inside_len.min(behind.len());
    let payload = behind.get(UDP..stated.min(captured))?;
    let is_cut = stated > captured;
    Some(Datagram { ends, source_port, destination_port, is_tcp: false, payload, is_cut })
}

#[cfg(test)]
mod tests {
    use super::super::{Carried, Way, ether};
    use super::*;

    /// A frame of IPv4 or IPv6 with a query in it, tagged or not.
    fn frame(is_v6: bool, is_tagged: bool) -> Vec<u8> {
        let mut frame = vec![2; 12];
        if is_tagged {
            frame.extend([0x81, 0, 0x60, 7]);
        }
        let udp = [0x9c, 0x40, 0, 53, 0, 20, 0, 0, 0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        if is_v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 17, 64]);
            frame.extend([[0x20; 16], [0x30; 16]].concat());
        } else {
            frame.extend([8, 0, 0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 17, 0, 0]);
            frame.extend([10, 0, 0, 1, 9, 9, 9, 9]);
        }
        frame.extend(udp);
        frame
    }

    /// Every byte of every frame with every value, every cut, and bytes behind the packet: what is
    /// read at fixed places is what the layers one by one make of it.
    #[test]
    fn what_is_plain_is_what_the_layers_say() {
        let mut plain = 0;
        let mut compare = |bytes: &[u8], layers: &Layers| {
            let Some(datagram) = datagram(bytes, layers) else { return };
            plain += 1;
            match ether::frame(bytes, Way::default(), layers) {
                Ok(Carried::Datagram(other)) => {
                    assert_eq!(format!("{datagram:?}"), format!("{other:?}"), "{bytes:02x?}");
                }
                other => panic!("{other:?} of {bytes:02x?}"),
            }
        };
        let layers = Layers::default();
        for (is_v6, is_tagged) in [(false, false), (false, true), (true, false), (true, true)] {
            let whole = frame(is_v6, is_tagged);
            for cut in 0..=whole.len() {
                compare(&whole[..cut], &layers);
                for at in 12..cut {
                    for value in [0, 1, 4, 5, 0x0f, 0x10, 0x1f, 0x20, 0x40, 0x45, 0x60, 0x81, 0xff]
                    {
                        let mut changed = whole[..cut].to_vec();
                        changed[at] = value;
                        compare(&changed, &layers);
                        changed[at] = whole[at].wrapping_add(value);
                        compare(&changed, &layers);
                    }
                }
            }
            compare(&[&whole[..], &[0; 6]].concat(), &layers);
        }
        assert!(plain > 10_000, "{plain}");
        let verified = Layers { is_checksum_verified: true, ..layers };
        assert!(datagram(&frame(false, false), &verified).is_none(), "that is for the layers");
    }
}
