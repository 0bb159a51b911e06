//! The layers that etherparse knows, read by both: Ethernet, tags, MACsec, Linux cooked v1, IP with
//! its extensions, fragments, UDP and TCP. Mutated, so that what is wrong is compared as well.

use super::stacks::*;
use super::*;
use etherparse::{LaxNetSlice, LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice};

/// What both say of a packet.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Datagram { ends: [IpAddr; 2], ports: [u16; 2], payload: Vec<u8> },
    Segment { ends: [IpAddr; 2], ports: [u16; 2], sequence: u32, payload: Vec<u8> },
    Fragment { ends: [IpAddr; 2], offset: u32, has_more: bool, payload: Vec<u8> },
}

impl Seen {
    fn ours(carried: &Carried<'_>) -> Self {
        let ends = |ends: &Ends| [ends.source, ends.destination];
        match carried {
            Carried::Datagram(d) => Self::Datagram {
                ends: ends(&d.ends),
                ports: [d.source_port, d.destination_port],
                payload: d.payload.to_vec(),
            },
            Carried::Segment(s) => Self::Segment {
                ends: ends(&s.ends),
                ports: [s.source_port, s.destination_port],
                sequence: s.sequence,
                payload: s.payload.to_vec(),
            },
            Carried::Fragment(f) => Self::Fragment {
                ends: ends(&f.ends),
                offset: f.offset,
                has_more: f.has_more,
                payload: f.payload.to_vec(),
            },
        }
    }

    /// A datagram or segment on port 53.
    fn of_transport(transport: &TransportSlice<'_>, ends: [IpAddr; 2]) -> Option<Self> {
        let (ports, seen) = match transport {
            TransportSlice::Udp(udp) => {
                let ports = [udp.source_port(), udp.destination_port()];
                (ports, Self::Datagram { ends, ports, payload: udp.payload().to_vec() })
            }
            TransportSlice::Tcp(tcp) => {
                let ports = [tcp.source_port(), tcp.destination_port()];
                let (sequence, payload) = (tcp.sequence_number(), tcp.payload().to_vec());
                (ports, Self::Segment { ends, ports, sequence, payload })
            }
            _ => return None,
        };
        ports.contains(&53).then_some(seen)
    }
}

/// What etherparse sees in a packet, and the id in the first tag.
fn theirs(link: LinkType, bytes: &[u8]) -> Option<(Seen, u16)> {
    if link == LinkType::LINUX_SLL {
        // There is no lax form for it, so this is for packets that are whole.
        let packet = SlicedPacket::from_linux_sll(bytes).ok()?;
        let ends = match packet.net.as_ref()? {
            NetSlice::Ipv4(ip) if !ip.payload().fragmented => {
                let header = ip.header();
                [header.source_addr().into(), header.destination_addr().into()]
            }
            NetSlice::Ipv6(ip) if !ip.payload().fragmented => {
                let header = ip.header();
                [header.source_addr().into(), header.destination_addr().into()]
            }
            _ => return None,
        };
        return Some((Seen::of_transport(packet.transport.as_ref()?, ends)?, 0));
    }
    let packet = match link {
        LinkType::ETHERNET => LaxSlicedPacket::from_ethernet(bytes).ok()?,
        _ => LaxSlicedPacket::from_ip(bytes).ok()?,
    };
    let vlan = packet.vlan_ids().first().map_or(0, |id| id.value());
    let ends = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let ends = [header.source_addr().into(), header.destination_addr().into()];
            if ip.payload().fragmented {
                let is_read = [6, 17].contains(&ip.payload_ip_number().0);
                return is_read.then(|| {
                    let offset = u32::from(header.fragments_offset().value()) * 8;
                    let payload = ip.payload().payload.to_vec();
                    let has_more = header.more_fragments();
                    (Seen::Fragment { ends, offset, has_more, payload }, vlan)
                });
            }
            ends
        }
        LaxNetSlice::Ipv6(ip) if !ip.payload().fragmented => {
            let header = ip.header();
            [header.source_addr().into(), header.destination_addr().into()]
        }
        _ => return None,
    };
    Some((Seen::of_transport(packet.transport.as_ref()?, ends)?, vlan))
}

/// Packets of all kinds that both know.
fn seeds() -> Vec<(LinkType, Vec<u8>)> {
    let long = [7; 40];
    let (ip4, ip6, tcp) = (&frame(&long)[14..], &frame_v6(&long)[14..], &tcp_frame(&long)[14..]);
    let tag = |id: u16, kind: u16| [id.to_be_bytes(), kind.to_be_bytes()].concat();
    let options = patched(ip6.to_vec(), |b| {
        (b[5], b[6]) = (b[5] + 16, 0);
        b.splice(40..40, [60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0]);
    });
    let mut seeds = vec![
        (LinkType::ETHERNET, eth(0x0800, ip4)),
        (LinkType::ETHERNET, eth(0x86dd, ip6)),
        (LinkType::ETHERNET, eth(0x0800, tcp)),
        (LinkType::ETHERNET, eth(0x8100, &join(&[&tag(5, 0x0800), ip4]))),
        (LinkType::ETHERNET, eth(0x88a8, &join(&[&tag(6, 0x8100), &tag(7, 0x86dd), ip6]))),
        (LinkType::ETHERNET, {
            eth(0x88a8, &join(&[&tag(6, 0x9100), &tag(7, 0x8100), &tag(8, 0x0800), ip4]))
        }),
        (LinkType::ETHERNET, eth(0x88e5, &join(&[&[0, 0, 0, 0, 0, 1, 8, 0], ip4]))),
        (LinkType::RAW, ip4.to_vec()),
        (LinkType::RAW, options),
        (LinkType::RAW, tcp.to_vec()),
        (LinkType::LINUX_SLL, join(&[&[0, 0, 0, 1, 0, 6], &[2; 8], &[8, 0], ip4])),
        (LinkType::LINUX_SLL, join(&[&[0, 0, 0, 1, 0, 6], &[2; 8], &[0x86, 0xdd], ip6])),
    ];
    let [v4, _] = pieces(&long);
    seeds.extend(v4.into_iter().map(|piece| (LinkType::ETHERNET, piece)));
    seeds
}

#[test]
fn etherparse_sees_the_same() {
    // A fixed linear congruential generator: the mutations are the same on every run.
    let mut state = 0x2545_f491_u32;
    let mut random = |bound: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % bound
    };
    let seeds = seeds();
    let mut agreed = vec![0; seeds.len()];
    for round in 0..100_000 {
        let (link, seed) = &seeds[round % seeds.len()];
        let mut bytes = seed.clone();
        for _ in 0..random(4) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(bytes.len() - random(8));
        // It cuts the frame at MACsec's own length for short frames, we at that of the IP header.
        if bytes[12..14] == [0x88, 0xe5] && bytes[15] & 0x3f != 0 {
            continue;
        }
        let ours = carried(*link, &bytes);
        let Some((theirs, vlan)) = theirs(*link, &bytes) else { continue };
        match ours {
            Ok(carried) => {
                assert_eq!(Seen::ours(&carried), theirs, "round {round}: {bytes:02x?}");
                let ends = match carried {
                    Carried::Datagram(d) => d.ends,
                    Carried::Segment(s) => s.ends,
                    Carried::Fragment(f) => f.ends,
                };
                // Of tags whose id is 0 we take the next.
                assert!(vlan == 0 || ends.vlan == vlan, "round {round}: {bytes:02x?}");
                agreed[round % seeds.len()] += 1;
            }
            // It forgives lengths that contradict themselves; to us they are malformed.
            Err(PacketEnd::IpHeader | PacketEnd::TransportHeader) => {}
            Err(end) => panic!("round {round}: {end:?}, {bytes:02x?}"),
        }
    }
    assert!(agreed.iter().all(|&count| count > 500), "{agreed:?}");
}
