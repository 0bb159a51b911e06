//! What the kernel is asked to leave out: packets that are certain to carry no DNS.
//!
//! The key decision: the filter only takes out plain IP packets with other ports. Whatever has tags
//! beyond the second, labels, tunnels, fragments or extension headers passes, because a program of
//! the kernel cannot walk it, and a filter that loses what the decoder would read is worse than none.

use fluxtap_wire::LinkType;

/// Which packets the kernel hands over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All.
    Everything,
    /// Those that may concern these ports.
    Ports {
        /// UDP and TCP ports of DNS.
        dns: Vec<u16>,
        /// UDP ports of tunnels that are looked into.
        tunnels: Vec<u16>,
    },
    /// Those that an expression in libpcap's language takes (pcap-filter(7)). A filter on ports
    /// misses fragments, and tagged frames unless it also has a `vlan` branch.
    Expression(String),
}

impl Filter {
    /// The expression for an interface of this link type; `None` where all packets are taken.
    #[must_use]
    pub fn expression(&self, link: LinkType) -> Option<String> {
        match self {
            Self::Everything => None,
            Self::Expression(text) => Some(text.clone()),
            Self::Ports { dns, tunnels } => by_ports(dns, tunnels, link),
        }
    }
}

/// Tags that the word `vlan` of libpcap steps over.
const TAGS: &str = "ether proto 0x8100 or ether proto 0x88a8 or ether proto 0x9100";

/// What is neither IP nor asks for addresses: labels, PPPoE, further tags, frames of the link layer.
const OTHER: &str = "not ip and not ip6 and not arp";

fn by_ports(dns: &[u16], tunnels: &[u16], link: LinkType) -> Option<String> {
    let port = |transport: &str, port: &u16| format!("{transport} port {port}");
    let udp = dns.iter().chain(tunnels).map(|number| port("udp", number));
    let ports: Vec<String> = udp.chain(dns.iter().map(|number| port("tcp", number))).collect();
    let ports = ports.join(" or ");
    // Of IP the protocols that carry nothing for us: ICMP, TCP, UDP and ESP; the latter two with
    // other ports alone. In IPv6 all of them only where they follow the fixed header at once.
    let ip = format!(
        "({ports} or (ip and (ip[6:2] & 0x1fff != 0 or \
         (ip[9] != 1 and ip[9] != 6 and ip[9] != 17 and ip[9] != 50))) or \
         (ip6 and ip6[6] != 6 and ip6[6] != 17 and ip6[6] != 50 and ip6[6] != 58))"
    );
    match link {
        // `vlan` moves where everything behind it looks, so each branch goes one tag further in.
        LinkType::ETHERNET => {
            let untagged = format!("{ip} or ({OTHER} and not ({TAGS}))");
            let twice = format!("vlan and ({ip} or ({OTHER}))");
            Some(format!("{untagged} or (vlan and ({untagged} or ({twice})))"))
        }
        LinkType::LINUX_SLL | LinkType::LINUX_SLL2 => Some(format!("{ip} or ({OTHER})")),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::IPV4 | LinkType::IPV6 => Some(ip),
        // What the words of libpcap mean on other links is not the same everywhere.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Replay, ReplayOptions, Source as _};
    use fluxtap_wire::{Layers, Packet, Ports, TunnelKind, TunnelPorts, layers};
    use pcap::{BpfProgram, Capture, Linktype};
    use std::path::PathBuf;

    fn made() -> Filter {
        Filter::Ports { dns: vec![53], tunnels: vec![4789, 8472, 2152] }
    }

    fn compiled(filter: &Filter, link: LinkType) -> Option<BpfProgram> {
        let text = filter.expression(link)?;
        let dead = Capture::dead(Linktype(i32::from(link.0))).expect("a handle");
        Some(dead.compile(&text, true).unwrap_or_else(|error| panic!("{link:?}: {error}: {text}")))
    }

    fn ethernet(tags: &[u16], ethertype: u16, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        for tag in tags {
            frame.extend_from_slice(&tag.to_be_bytes());
            frame.extend_from_slice(&[0, 7]);
        }
        frame.extend_from_slice(&ethertype.to_be_bytes());
        frame.extend_from_slice(rest);
        frame
    }

    fn ipv4(protocol: u8, fragment: u16, ports: [u16; 2]) -> Vec<u8> {
        let mut packet =
            vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        for port in ports {
            packet.extend_from_slice(&port.to_be_bytes());
        }
        packet.extend_from_slice(&[0; 20]);
        packet
    }

    fn ipv6(next: u8, ports: [u16; 2]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[6] = next;
        for port in ports {
            packet.extend_from_slice(&port.to_be_bytes());
        }
        packet.extend_from_slice(&[0; 20]);
        packet
    }

    #[test]
    fn plain_packets_with_other_ports_are_left_out_and_nothing_else() {
        let program = compiled(&made(), LinkType::ETHERNET).expect("a filter");
        let (dns, web) = ([53, 40_000], [443, 40_000]);
        for (packet, expect, what) in [
            (ethernet(&[], 0x0800, &ipv4(17, 0, dns)), true, "DNS over UDP"),
            (ethernet(&[], 0x0800, &ipv4(6, 0, dns)), true, "DNS over TCP"),
            (ethernet(&[], 0x0800, &ipv4(17, 0x2000, dns)), true, "its first fragment"),
            (ethernet(&[], 0x0800, &ipv4(17, 100, web)), true, "a later fragment"),
            (ethernet(&[], 0x0800, &ipv4(17, 0, [40_000, 4789])), true, "VXLAN"),
            (ethernet(&[], 0x0800, &ipv4(6, 0, [40_000, 4789])), false, "its port in TCP"),
            (ethernet(&[], 0x0800, &ipv4(47, 0, web)), true, "GRE"),
            (ethernet(&[], 0x0800, &ipv4(17, 0, web)), false, "QUIC"),
            (ethernet(&[], 0x0800, &ipv4(6, 0, web)), false, "the web"),
            (ethernet(&[], 0x0800, &ipv4(1, 0, dns)), false, "ICMP"),
            (ethernet(&[], 0x86dd, &ipv6(17, dns)), true, "DNS over IPv6"),
            (ethernet(&[], 0x86dd, &ipv6(44, web)), true, "a fragment of IPv6"),
            (ethernet(&[], 0x86dd, &ipv6(0, web)), true, "an extension header"),
            (ethernet(&[], 0x86dd, &ipv6(6, web)), false, "the web over IPv6"),
            (ethernet(&[], 0x0806, &[0; 28]), false, "ARP"),
            (ethernet(&[], 0x8847, &[0; 40]), true, "MPLS"),
            (ethernet(&[], 0x8864, &[0; 40]), true, "PPPoE"),
            (ethernet(&[0x8100], 0x0800, &ipv4(17, 0, dns)), true, "DNS with a tag"),
            (ethernet(&[0x8100], 0x0800, &ipv4(17, 100, web)), true, "a tagged fragment"),
            (ethernet(&[0x8100], 0x0800, &ipv4(6, 0, web)), false, "the web with a tag"),
            (ethernet(&[0x88a8, 0x8100], 0x0800, &ipv4(17, 0, dns)), true, "DNS with two tags"),
            (ethernet(&[0x88a8, 0x8100], 0x86dd, &ipv6(17, dns)), true, "the same over IPv6"),
            (ethernet(&[0x88a8, 0x8100], 0x0800, &ipv4(6, 0, web)), false, "the web with two"),
            (ethernet(&[0x88a8, 0x8100, 0x8100], 0x0800, &ipv4(6, 0, web)), true, "three tags"),
            (ethernet(&[0x8100], 0x8847, &[0; 40]), true, "MPLS with a tag"),
        ] {
            assert_eq!(program.filter(&packet), expect, "{what}");
        }
    }

    #[test]
    fn the_longest_filter_fits_into_the_kernel() {
        let ports = (1..=16).collect();
        let filter = Filter::Ports { dns: (101..=116).collect(), tunnels: ports };
        let program = compiled(&filter, LinkType::ETHERNET).expect("a filter");
        // BPF_MAXINSNS of Linux; with more, libpcap would filter in this process.
        assert!(program.get_instructions().len() <= 4_096);
    }

    /// Every packet of the shipped captures that the decoder makes something of has to pass.
    #[test]
    fn no_packet_that_is_decoded_is_filtered_out() {
        let pcaps = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../pcaps"));
        let tunnels =
            [(TunnelKind::Vxlan, 4789), (TunnelKind::Vxlan, 8472), (TunnelKind::GtpU, 2152)];
        let layers = Layers {
            ports: Ports::new(&[53]).expect("a port"),
            tunnels: TunnelPorts::new(&tunnels).expect("three ports"),
            is_checksum_verified: false,
        };
        let folders = std::fs::read_dir(pcaps).expect("the shipped captures");
        let paths = folders.map(|folder| folder.expect("readable").path()).filter(|p| p.is_dir());
        let mut source = Replay::open(paths, ReplayOptions::default());
        let (mut passed, mut filtered) = (0_u64, 0_u64);
        let mut programs: Vec<(LinkType, Option<BpfProgram>)> = Vec::new();
        let mut look = |packet: Packet<'_>| {
            if !programs.iter().any(|(link, _)| *link == packet.link) {
                programs.push((packet.link, compiled(&made(), packet.link)));
            }
            let known = programs.iter().find(|(link, _)| *link == packet.link);
            let program = known.and_then(|(_, program)| program.as_ref());
            let is_taken = program.is_none_or(|program| program.filter(packet.bytes));
            if layers::decode(&packet, &layers).is_ok() {
                assert!(is_taken, "{packet:?}");
            }
            *if is_taken { &mut passed } else { &mut filtered } += 1;
        };
        while source.next_batch(&mut look).expect("files do not fail here") != Batch::End {}
        assert!(passed > 1_000 && filtered > 0, "{passed} passed, {filtered} filtered");
    }
}
