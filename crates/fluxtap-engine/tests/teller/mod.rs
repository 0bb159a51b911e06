//! Tells a story to the engine: each event is a real response packet.

use fluxtap_alert::{Action, Alert};
use fluxtap_engine::{Decoder, LATENESS_REPLAY_S, Shard};
use fluxtap_flux::Policy;
use fluxtap_intel::{AddressClass, Intel, special};
use fluxtap_observe::Batch;
use fluxtap_wire::name::WireText;
use fluxtap_wire::{Layers, LinkType, Name, Packet, Timestamp, Tunnel};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// What of an alert line a story looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) at_s: u64,
    pub(crate) domain: String,
    pub(crate) host: String,
    pub(crate) action: Action,
    pub(crate) kind: &'static str,
    pub(crate) severity: u8,
    pub(crate) id: String,
    pub(crate) revision: u32,
    pub(crate) addresses: usize,
    pub(crate) vlan: u16,
    pub(crate) tunnel: Option<Tunnel>,
}

/// Packets through the engine.
pub(crate) struct Story {
    decoder: Decoder,
    shard: Shard,
    intel: Intel,
    batch: Batch,
    batch_max: usize,
    alerts: Vec<Alert>,
    is_mirrored: bool,
}

const KEY: u64 = 7;
/// Stories begin at a whole hour in 2026.
const BEGIN_S: u64 = 1_790_000_000 / 3_600 * 3_600;

impl Story {
    pub(crate) fn new() -> Self {
        Self::made(1, 256 << 20)
    }

    pub(crate) fn in_batches_of(packets: usize) -> Self {
        Self::made(packets, 256 << 20)
    }

    pub(crate) fn with_memory(bytes: usize) -> Self {
        Self::made(64, bytes)
    }

    /// Packets come as a cloud mirrors them: in VXLAN 12, tagged with VLAN 34 inside.
    pub(crate) fn mirrored() -> Self {
        Self { is_mirrored: true, ..Self::new() }
    }

    fn made(batch_max: usize, bytes: usize) -> Self {
        Self {
            decoder: Decoder::new(Layers::default(), LATENESS_REPLAY_S, KEY),
            shard: Shard::new(Policy::default(), bytes, KEY),
            intel: Intel::embedded(),
            batch: Batch::default(),
            batch_max,
            alerts: Vec::new(),
            is_mirrored: false,
        }
    }

    /// `resolver` answers that `name` has `addresses`.
    pub(crate) fn seen(
        &mut self,
        at_s: u64,
        name: &str,
        resolver: &str,
        ttl_s: u32,
        addresses: &[&str],
    ) {
        self.tell(at_s, resolver, &response(name, None, ttl_s, addresses, &[]));
    }

    /// The same by way of an alias.
    pub(crate) fn through(
        &mut self,
        at_s: u64,
        name: &str,
        target: &str,
        resolver: &str,
        ttl_s: u32,
        addresses: &[&str],
    ) {
        self.tell(at_s, resolver, &response(name, Some(target), ttl_s, addresses, &[]));
    }

    /// The same with name servers of the registrable domain and their addresses.
    pub(crate) fn with_servers(
        &mut self,
        at_s: u64,
        name: &str,
        resolver: &str,
        ttl_s: u32,
        addresses: &[&str],
        servers: &[(String, &str)],
    ) {
        self.tell(at_s, resolver, &response(name, None, ttl_s, addresses, servers));
    }

    /// An answer that means nothing every ten minutes.
    pub(crate) fn keep_time(&mut self, from_s: u64, to_s: u64) {
        for at_s in (from_s..to_s).step_by(600) {
            self.seen(at_s, "clock.test", "9.9.9.9", 60, &["8.8.8.8"]);
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.shard.table_counts().bytes
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.shard.table_counts().evicted
    }

    /// Ends the story; what was alerted, in order.
    pub(crate) fn end(mut self) -> Vec<Told> {
        self.decoder.finish(&mut self.batch);
        self.apply();
        self.shard.finish(&self.intel, &mut self.alerts);
        let counts = self.decoder.counts();
        assert!(counts.is_conserved(), "{counts:?}");
        assert_eq!(counts.malformed_total(), 0);
        self.alerts.iter().map(told).collect()
    }

    fn tell(&mut self, at_s: u64, resolver: &str, message: &[u8]) {
        let mut bytes = packet(resolver.parse().unwrap(), message);
        if self.is_mirrored {
            bytes = in_vxlan(&bytes);
        }
        let packet = Packet {
            at: Timestamp::from_secs(BEGIN_S + at_s),
            link: LinkType::RAW,
            bytes: &bytes,
            wire_len: bytes.len() as u32,
        };
        self.decoder.decode(&packet, &self.intel, &mut self.batch);
        if self.batch.observations().len() >= self.batch_max {
            self.apply();
        }
    }

    fn apply(&mut self) {
        self.shard.apply(&self.batch, &self.intel, &mut self.alerts);
        self.batch.clear();
    }
}

fn told(alert: &Alert) -> Told {
    Told {
        at_s: alert.at.secs() - BEGIN_S,
        domain: WireText(&alert.evidence.domain).to_string(),
        host: WireText(&alert.evidence.host).to_string(),
        action: alert.action,
        kind: alert.verdict.kind.as_str(),
        severity: alert.severity.number(),
        id: alert.id.clone(),
        revision: alert.revision,
        addresses: alert.evidence.addresses.len(),
        vlan: alert.evidence.vlan,
        tunnel: alert.evidence.tunnel,
    }
}

fn wire(name: &str) -> Vec<u8> {
    Name::from_text(name).unwrap().as_wire().to_vec()
}

fn record(owner: &str, rtype: u16, ttl_s: u32, rdata: &[u8]) -> Vec<u8> {
    let mut bytes = wire(owner);
    bytes.extend(rtype.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl_s.to_be_bytes());
    bytes.extend((rdata.len() as u16).to_be_bytes());
    bytes.extend_from_slice(rdata);
    bytes
}

fn address(owner: &str, ttl_s: u32, ip: &str) -> Vec<u8> {
    match ip.parse().unwrap() {
        IpAddr::V4(ip) => record(owner, 1, ttl_s, &ip.octets()),
        IpAddr::V6(ip) => record(owner, 28, ttl_s, &ip.octets()),
    }
}

/// A cache's response; names are not compressed.
fn response(
    name: &str,
    target: Option<&str>,
    ttl_s: u32,
    addresses: &[&str],
    servers: &[(String, &str)],
) -> Vec<u8> {
    let domain = name.rsplitn(3, '.').take(2).collect::<Vec<_>>();
    let domain = format!("{}.{}", domain[1], domain[0]);
    let mut answers: Vec<Vec<u8>> =
        target.iter().map(|target| record(name, 5, ttl_s, &wire(target))).collect();
    answers.extend(addresses.iter().map(|ip| address(target.unwrap_or(name), ttl_s, ip)));
    let authority: Vec<Vec<u8>> =
        servers.iter().map(|(server, _)| record(&domain, 2, ttl_s, &wire(server))).collect();
    let additional: Vec<Vec<u8>> =
        servers.iter().map(|(server, ip)| address(server, ttl_s, ip)).collect();
    let mut bytes = vec![0, 1, 0x81, 0x80, 0, 1];
    for section in [&answers, &authority, &additional] {
        bytes.extend((section.len() as u16).to_be_bytes());
    }
    bytes.extend(wire(name));
    bytes.extend([0, 1, 0, 1]);
    for section in [answers, authority, additional] {
        bytes.extend(section.concat());
    }
    bytes
}

/// Raw IP and UDP around a message from `resolver`, port 53.
fn packet(resolver: IpAddr, message: &[u8]) -> Vec<u8> {
    datagram(resolver, [53, 5_120], message)
}

/// The IPv4 packet in Ethernet with a tag, in VXLAN, in raw IP.
fn in_vxlan(packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![8, 0, 0, 0, 0, 0, 12, 0];
    frame.extend([2; 12]);
    frame.extend([0x81, 0, 0, 34, 8, 0]);
    frame.extend_from_slice(packet);
    datagram(IpAddr::from([172, 16, 0, 1]), [50_000, 4_789], &frame)
}

fn datagram(source: IpAddr, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u16 + 8;
    let mut bytes = match source {
        IpAddr::V4(ip) => {
            let mut head = vec![0x45, 0];
            head.extend((len + 20).to_be_bytes());
            head.extend([0, 0, 0, 0, 64, 17, 0, 0]);
            head.extend(ip.octets());
            head.extend([10, 0, 0, 7]);
            head
        }
        IpAddr::V6(ip) => {
            let mut head = vec![0x60, 0, 0, 0];
            head.extend(len.to_be_bytes());
            head.extend([17, 64]);
            head.extend(ip.octets());
            head.extend([0xfd; 16]);
            head
        }
    };
    for word in [ports[0], ports[1], len, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// `count` addresses of a class, each in another network and as many as possible in others' hands.
fn of_class(class: AddressClass, count: usize, seed: u32) -> Vec<String> {
    let intel = Intel::embedded();
    let mut networks = BTreeSet::new();
    let mut state = seed;
    let mut found = Vec::new();
    while found.len() < count {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let ip = Ipv4Addr::from(state ^ state >> 16);
        let owner = intel.owner(IpAddr::V4(ip));
        let is_fit = owner.class == class && owner.asn != 0 && !owner.hyperscaler;
        if is_fit
            && !special::is_special_use(IpAddr::V4(ip))
            && networks.insert(u32::from(ip) >> 16)
        {
            found.push(ip.to_string());
        }
    }
    found
}

/// Addresses in access networks, each in another /16.
pub(crate) fn access(count: usize) -> Vec<String> {
    of_class(AddressClass::Access, count, 1)
}

/// Addresses at hosting providers, hyperscale clouds left out.
pub(crate) fn hosting(count: usize) -> Vec<String> {
    of_class(AddressClass::Hosting, count, 2)
}

/// Addresses of universities, research and state.
pub(crate) fn education(count: usize) -> Vec<String> {
    of_class(AddressClass::Education, count, 4)
}

/// Addresses whose owner has a number but no class.
pub(crate) fn unknown(count: usize) -> Vec<String> {
    of_class(AddressClass::Unknown, count, 3)
}

/// `count` addresses in one /24 of the access network number `index`.
pub(crate) fn in_block(index: usize, count: usize) -> Vec<String> {
    let network: Ipv4Addr = access(index + 1)[index].parse().unwrap();
    let [a, b, c, _] = network.octets();
    (0..count).map(|i| format!("{a}.{b}.{c}.{}", 10 + i)).collect()
}
