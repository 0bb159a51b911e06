//! The crate `etherparse`: the layers it knows, which are Ethernet, tags, MACsec, Linux cooked v1, IP
//! with its extensions, fragments, UDP and TCP. On every packet of the captures, and on mutations of
//! packets of each kind, so that what is wrong is compared as well.

use crate::messages::{Dice, captures};
use crate::{Compared, Tally, assert_expected, say};
use etherparse::{LaxNetSlice, LaxSlicedPacket, NetSlice, SlicedPacket, TransportSlice};
use fluxtap_capture::{CaptureReader, Next};
use fluxtap_wire::layers::{self, LINK_TYPES_READ};
use fluxtap_wire::{Carried, Ends, Layers, LinkType, Packet, Timestamp};
use std::net::IpAddr;
use std::{fs, path::Path};

/// Mutations of each packet that etherparse knows all of.
const MUTATIONS: usize = 7_000;

/// Mutations of a packet of a capture.
const REAL_MUTATIONS: usize = 2;

#[test]
fn etherparse_sees_the_same() {
    let mut mutated = Tally::default();
    let mut dice = Dice(1);
    for (name, link, seed) in seeds() {
        let agreed = mutated.agreed;
        for _ in 0..MUTATIONS {
            compare(link, &mutate(&seed, &mut dice), &mut mutated);
        }
        assert!(mutated.agreed - agreed > 500, "{name}: {}", mutated.agreed - agreed);
    }
    let mut real = Tally::default();
    for (_, capture) in captures() {
        let mut reader = CaptureReader::new(&capture[..]);
        while let Next::Packet(packet) = reader.next().expect("reading memory does not fail") {
            if !is_known(packet.link) {
                continue;
            }
            compare(packet.link, packet.bytes, &mut real);
            for _ in 0..REAL_MUTATIONS {
                compare(packet.link, &mutate(packet.bytes, &mut dice), &mut mutated);
            }
        }
    }
    say(&format!("etherparse, real: {real:?}"));
    say(&format!("etherparse, mutated: {mutated:?}"));
    assert_expected("etherparse", &real, &mutated);
}

/// Packets of each kind that both know, by name.
fn seeds() -> Vec<(String, LinkType, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/layers");
    let mut seeds: Vec<_> = fs::read_dir(folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("an entry"))
        .filter_map(|entry| {
            let name = entry.file_name().into_string().expect("a name of ASCII");
            let bytes = name.starts_with("known-").then(|| fs::read(entry.path()));
            let bytes = bytes?.expect("a readable seed");
            Some((name, LINK_TYPES_READ[usize::from(bytes[0])].0, bytes[2..].to_vec()))
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() > 10, "{} packets", seeds.len());
    seeds
}

fn is_known(link: LinkType) -> bool {
    matches!(
        link,
        LinkType::ETHERNET
            | LinkType::RAW
            | LinkType::RAW_BSD
            | LinkType::RAW_OPENBSD
            | LinkType::IPV4
            | LinkType::IPV6
            | LinkType::LINUX_SLL
    )
}

/// Up to three other bytes, and up to seven less.
fn mutate(packet: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = packet.to_vec();
    for _ in 0..dice.below(4).min(bytes.len()) {
        let at = dice.below(bytes.len());
        bytes[at] = dice.below(256) as u8;
    }
    bytes.truncate(bytes.len().saturating_sub(dice.below(8)));
    bytes
}

fn compare(link: LinkType, bytes: &[u8], tally: &mut Tally) {
    let is_short_macsec =
        matches!(bytes.get(12..16), Some([0x88, 0xe5, _, short]) if short & 0x3f != 0);
    if link == LinkType::ETHERNET && is_short_macsec {
        // It cuts the frame at MACsec's own length for short frames, we at that of the IP header.
        return;
    }
    let packet = Packet { at: Timestamp(0), link, bytes, wire_len: bytes.len() as u32 };
    let ours = layers::decode(&packet, &Layers::default());
    tally.count(match (ours, theirs(link, bytes)) {
        (_, None) => Compared::Refused,
        (Ok(carried), Some((theirs, vlan))) => {
            let ends = match &carried {
                Carried::Datagram(d) => d.ends,
                Carried::Segment(s) => s.ends,
                Carried::Fragment(f) => f.ends,
            };
            if Seen::ours(&carried) != theirs {
                panic!("{:?}\nand\n{theirs:?}\nof {link:?} {bytes:02x?}", Seen::ours(&carried));
            }
            // Of tags whose id is 0 we take the next.
            assert!(vlan == 0 || ends.vlan == vlan, "{ends:?}, {vlan} of {bytes:02x?}");
            Compared::Agreed
        }
        (Err(end), Some(_)) => Compared::Differs(format!("peer\t{}", end.as_str())),
    });
}

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
