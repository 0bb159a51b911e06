//! Tells a story to the engine: each event is a real response packet.
#![allow(dead_code, reason = "every test program uses another part of it")]

use fluxtap_alert::{Action, Alert, HeldBack};
use fluxtap_engine::checkpoint::{self, Behind, Checkpoint, Fault, Standing};
use fluxtap_engine::{AllowUse, Campaigns, Cap, CapCounts, DecodeCounts, Decoder, Shard, in_order};
use fluxtap_flow::{FlowSettings, Pairing};
use fluxtap_flux::{FluxKind, Policy};
use fluxtap_intel::{
    AddressClass, AllowList, Curated, Indicator, Intel, ThreatDraft, ThreatList, special,
};
use fluxtap_observe::{Batch, ObserveCounts};
use fluxtap_window::limits::PARTITIONS;
use fluxtap_window::{ContextSeen, Share};
use fluxtap_wire::name::WireText;
use fluxtap_wire::{Layers, LinkType, Name, Packet, Timestamp, Tunnel};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// How late a packet may be, in seconds; what replay does by default.
const LATENESS_S: u64 = 60;

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
    pub(crate) is_allowlisted: bool,
    pub(crate) clients: Vec<IpAddr>,
    pub(crate) vlan: u16,
    pub(crate) tunnel: Option<Tunnel>,
    /// Score in tenths of a point.
    pub(crate) score: i32,
    /// Steps from set to set, and networks that took the place of others.
    pub(crate) turnover: (u32, u32),
    pub(crate) context: ContextSeen,
    /// Hits in threat lists, as `list entry`.
    pub(crate) threats: Vec<String>,
    /// The name that went back and forth, and the address inside, as `name address`.
    pub(crate) rebound: Option<String>,
    /// The campaign: its id, how many domains it has, and the others.
    pub(crate) campaign: Option<(String, u32, Vec<String>)>,
}

/// Packets through the engine.
pub(crate) struct Story {
    decoder: Decoder,
    /// They share the domains out.
    shards: Vec<Shard>,
    intel: Intel,
    batch: Batch,
    batch_max: usize,
    alerts: Vec<Alert>,
    carrier: Carrier,
    /// Counts the messages: their ids, ports and packets are different.
    told: u32,
    campaigns: Campaigns,
    lines_max: u64,
    cap: Cap,
    /// What was held back, and behind how many lines that was told.
    held_back: Vec<(usize, HeldBack)>,
}

/// What carries the responses of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Datagram,
    /// Two IP fragments, the second one first.
    Fragments,
    /// A TCP connection each, in three segments, of which one direction is seen.
    Stream,
    /// VXLAN 12, tagged with VLAN 34 inside, as a cloud mirrors packets; IPv4 only.
    Mirror,
}

const KEY: u64 = 7;
/// Stories begin at a whole hour in 2026, 2026-09-21T14:00:00Z.
pub(crate) const BEGIN_S: u64 = 1_790_000_000 / 3_600 * 3_600;

impl Story {
    pub(crate) fn new() -> Self {
        Self::made(1, 256 << 20, Pairing::Auto)
    }

    pub(crate) fn in_batches_of(packets: usize) -> Self {
        Self::made(packets, 256 << 20, Pairing::Auto)
    }

    pub(crate) fn with_memory(bytes: usize) -> Self {
        Self::made(64, bytes, Pairing::Auto)
    }

    /// Told by other rules, and with the clients listed.
    pub(crate) fn by(policy: Policy) -> Self {
        let shard = Shard::new(policy, 256 << 20, KEY).with_client_lists();
        Self { shards: vec![shard], ..Self::new() }
    }

    pub(crate) fn with_pairing(bytes: usize, pairing: Pairing) -> Self {
        Self::made(64, bytes, pairing)
    }

    /// Told to so many shards that share the domains out, each with that much memory.
    pub(crate) fn in_parts(parts: usize, bytes: usize) -> Self {
        let shards = (0..parts).map(|_| Shard::new(Policy::default(), bytes, KEY)).collect();
        Self { shards, ..Self::made(64, bytes, Pairing::Auto) }
    }

    /// The same, in batches of so many packets, and with so many alert lines an hour.
    pub(crate) fn capped(parts: usize, batch_max: usize, lines_max: u64) -> Self {
        let mut story = Self { batch_max, lines_max, ..Self::in_parts(parts, 256 << 20) };
        story.cap.set_max(lines_max);
        story
    }

    pub(crate) fn carried_by(carrier: Carrier) -> Self {
        Self { carrier, ..Self::new() }
    }

    fn made(batch_max: usize, bytes: usize, pairing: Pairing) -> Self {
        let flow = FlowSettings { pairing, ..FlowSettings::default() };
        Self {
            decoder: Decoder::new(Layers::default(), &flow, LATENESS_S, KEY),
            shards: vec![Shard::new(Policy::default(), bytes, KEY)],
            intel: Intel::embedded(),
            batch: Batch::default(),
            batch_max,
            alerts: Vec::new(),
            carrier: Carrier::Datagram,
            told: 0,
            campaigns: Campaigns::default(),
            lines_max: 0,
            cap: Cap::default(),
            held_back: Vec::new(),
        }
    }

    /// From now on the operator allows what these lines say.
    pub(crate) fn allow(&mut self, text: &str) {
        self.apply();
        let list = AllowList::parse(text, &FluxKind::WORDS);
        let list = list.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        self.intel = self.intel.clone().with_allow(list);
    }

    /// From now on these are the threat lists: names, whether they raise alerts, entries.
    pub(crate) fn list(&mut self, lists: &[(&str, bool, &[&str])]) {
        self.apply();
        let mut draft = ThreatDraft::default();
        for &(name, is_alerting, entries) in lists {
            for entry in entries {
                let indicator = Indicator::parse(entry);
                let indicator = indicator.unwrap_or_else(|why| panic!("{entry}: {why:?}"));
                draft.push(&indicator, None).expect("room");
            }
            draft.add(ThreatList {
                name: name.into(),
                source: "somebody".into(),
                category: "phishing".into(),
                format: "plain",
                made_s: None,
                until_s: None,
                is_alerting,
                entries: entries.len(),
            });
        }
        self.intel = self.intel.clone().with_threats(draft.finish());
    }

    /// What was allowed and listed anew came by a reload.
    pub(crate) fn reload(&mut self) {
        self.apply();
        self.shards.iter_mut().for_each(|shard| shard.reload(Policy::default()));
    }

    /// From now on the curated lists are used like this.
    pub(crate) fn curate(&mut self, curated: Curated) {
        self.intel = Intel::embedded().with_curated(curated);
    }

    /// How often the entries mattered so far: suppressed and reduced, by entry.
    pub(crate) fn uses(&mut self) -> Vec<(u64, u64)> {
        self.apply();
        let mut uses = self.shards[0].allow_uses().to_vec();
        uses.resize(self.intel.allow().entries().len(), AllowUse::default());
        uses.iter().map(|entry| (entry.suppressed, entry.reduced)).collect()
    }

    /// What is known, written down.
    pub(crate) fn written(&mut self) -> Vec<u8> {
        self.apply();
        let of = self.shards.len();
        let mut bytes = checkpoint::begin(KEY, &self.intel);
        for number in 0..PARTITIONS {
            let saved = self.shards[Share::owner(number, of)].save(number as u8);
            bytes.extend(checkpoint::partition(number as u8, &saved));
        }
        let standing = Standing { moment: self.shards[0].moment(), sequence: 0 };
        bytes.extend(checkpoint::end(&standing, &self.campaigns.save(), &self.cap.save()));
        bytes
    }

    /// Goes on with what was written down, in so many shards.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn resume(
        &mut self,
        written: &[u8],
        parts: usize,
        bytes: usize,
    ) -> Result<(), Fault> {
        self.apply();
        let opened = Checkpoint::open(written, written.len() as u64)?;
        assert_eq!(opened.hash_key(), KEY);
        let mut shards: Vec<Shard> =
            (0..parts).map(|_| Shard::new(Policy::default(), bytes, KEY)).collect();
        let Behind { campaigns, mut cap, .. } = opened.load(&mut shards, &self.intel)?;
        cap.set_max(self.lines_max);
        (self.campaigns, self.cap) = (campaigns, cap);
        self.shards = shards;
        Ok(())
    }

    /// The only shard, for its counters.
    pub(crate) fn shard(&mut self) -> &Shard {
        self.apply();
        &self.shards[0]
    }

    /// A client asks `resolver`, which answers 20 ms later.
    pub(crate) fn answered(
        &mut self,
        at_s: u64,
        name: &str,
        resolver: &str,
        ttl_s: u32,
        addresses: &[&str],
    ) {
        self.told += 1;
        let mut message = response(name, None, ttl_s, addresses, &[]);
        message[..2].copy_from_slice(&(self.told as u16).to_be_bytes());
        let mut question = message[..12 + wire(name).len() + 4].to_vec();
        question[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        let (server, port) = (resolver.parse().unwrap(), 1_024 + self.told as u16 % 60_000);
        self.packet(at_s * 1_000, &datagram((CLIENT, port), (server, 53), &question));
        self.packet(at_s * 1_000 + 20, &datagram((server, 53), (CLIENT, port), &message));
    }

    /// Somebody pretends to be a resolver; `chance` picks which, to which port, with which id.
    pub(crate) fn forged(&mut self, at_s: u64, name: &str, chance: u64, addresses: &[&str]) {
        let mut message = response(name, None, 60, addresses, &[]);
        message[..2].copy_from_slice(&(chance as u16).to_be_bytes());
        let server = IpAddr::V4(Ipv4Addr::from_bits(0x0900_0000 | (chance >> 32) as u32 >> 8));
        let port = (chance >> 16) as u16;
        self.packet(at_s * 1_000 + 500, &datagram((server, 53), (CLIENT, port), &message));
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

    /// The same to another client.
    pub(crate) fn seen_by(
        &mut self,
        at_s: u64,
        name: &str,
        (resolver, client): (&str, &str),
        ttl_s: u32,
        addresses: &[&str],
    ) {
        self.told += 1;
        let mut message = response(name, None, ttl_s, addresses, &[]);
        message[..2].copy_from_slice(&(self.told as u16).to_be_bytes());
        let [server, client] = [resolver, client].map(|text| text.parse().unwrap());
        self.packet(at_s * 1_000, &datagram((server, 53), (client, 5_120), &message));
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
        self.shards.iter().map(|shard| shard.table_counts().bytes).sum()
    }

    /// What was alerted so far, as the engine has it.
    pub(crate) fn alerts(&mut self) -> &[Alert] {
        self.apply();
        &self.alerts
    }

    pub(crate) fn tracked(&self) -> u64 {
        self.shards.iter().map(|shard| shard.table_counts().tracked).sum()
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.shards.iter().map(|shard| shard.table_counts().evicted).sum()
    }

    /// Ends the story; what was alerted, in order.
    pub(crate) fn end(self) -> Vec<Told> {
        self.end_with_counts().0
    }

    /// The same with the counters.
    pub(crate) fn end_with_counts(mut self) -> (Vec<Told>, DecodeCounts) {
        self.decoder.finish(&mut self.batch, &self.intel);
        self.apply();
        let mut all = Vec::new();
        self.shards.iter_mut().for_each(|shard| shard.finish_part(&self.intel, &mut all));
        self.take(&mut all);
        let counts = self.decoder.counts();
        assert!(counts.is_conserved(), "{counts:?}");
        assert_eq!(counts.malformed_total(), 0);
        (self.alerts.iter().map(told).collect(), counts)
    }

    /// The lines, and what was held back with how many lines in front of where that is told.
    pub(crate) fn end_capped(mut self) -> (Vec<Told>, Vec<(usize, HeldBack)>, CapCounts) {
        self.decoder.finish(&mut self.batch, &self.intel);
        self.apply();
        let mut all = Vec::new();
        self.shards.iter_mut().for_each(|shard| shard.finish_part(&self.intel, &mut all));
        self.take(&mut all);
        self.pause();
        (self.alerts.iter().map(told).collect(), self.held_back, self.cap.counts())
    }

    /// What was held back is told, as at a stop.
    pub(crate) fn pause(&mut self) {
        self.apply();
        let held = self.cap.finish();
        self.held_back.extend(held.map(|held| (self.alerts.len(), held)));
    }

    /// What was dropped and accepted inside responses so far.
    pub(crate) fn observed(&self) -> ObserveCounts {
        self.decoder.observe_counts()
    }

    /// `resolver` sends a message.
    pub(crate) fn tell(&mut self, at_s: u64, resolver: &str, message: &[u8]) {
        self.told += 1;
        let resolver: IpAddr = resolver.parse().unwrap();
        let packets = match self.carrier {
            Carrier::Datagram => vec![datagram((resolver, 53), (CLIENT, 5_120), message)],
            Carrier::Fragments => fragments(resolver, self.told as u16, message),
            Carrier::Mirror => {
                let (source, client) = ((resolver, 53), (CLIENT, 5_120));
                vec![in_vxlan(&datagram(source, client, message))]
            }
            Carrier::Stream => segments(resolver, 1_024 + self.told as u16 % 60_000, message),
        };
        for packet in packets {
            self.packet(at_s * 1_000, &packet);
        }
    }

    fn packet(&mut self, at_ms: u64, bytes: &[u8]) {
        let packet = Packet {
            at: Timestamp((BEGIN_S * 1_000 + at_ms) * 1_000_000),
            link: LinkType::RAW,
            bytes,
            wire_len: bytes.len() as u32,
        };
        self.decoder.decode(&packet, &self.intel, &mut self.batch);
        if self.batch.observations().len() >= self.batch_max {
            self.apply();
        }
    }

    fn apply(&mut self) {
        let mut all = Vec::new();
        let of = self.shards.len();
        for (number, shard) in self.shards.iter_mut().enumerate() {
            shard.apply_part(Share::new(number, of), &self.batch, &self.intel, &mut all);
        }
        self.take(&mut all);
        self.batch.clear();
    }

    /// Puts what shards told in order, names campaigns and holds back what is too much.
    fn take(&mut self, all: &mut Vec<fluxtap_engine::Told>) {
        let mut alerts = Vec::new();
        in_order(all, &mut alerts);
        self.campaigns.label_all(&mut alerts, Policy::default().update_s);
        for mut alert in alerts {
            let held = self.cap.turn(alert.at);
            self.held_back.extend(held.map(|held| (self.alerts.len(), held)));
            if self.cap.admits(&mut alert) {
                self.alerts.push(alert);
            }
        }
        let held = self.cap.reach(self.shards[0].moment().now());
        self.held_back.extend(held.map(|held| (self.alerts.len(), held)));
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
        is_allowlisted: alert.is_allowlisted,
        clients: alert.evidence.client_list.clone(),
        vlan: alert.evidence.vlan,
        tunnel: alert.evidence.tunnel,
        score: alert.verdict.score.0,
        turnover: (alert.subject.changes, alert.subject.replaced),
        context: alert.evidence.context,
        campaign: alert.campaign.as_ref().map(|campaign| {
            let others = campaign.neighbours.iter().map(|name| WireText(name).to_string());
            (campaign.id.clone(), campaign.domains, others.collect())
        }),
        rebound: alert
            .rebound
            .as_ref()
            .map(|rebound| format!("{} {}", WireText(&rebound.name), rebound.ip)),
        threats: alert
            .threats
            .iter()
            .map(|found| format!("{} {}", found.hit.list.name, found.hit.indicator))
            .collect(),
    }
}

fn wire(name: &str) -> Vec<u8> {
    Name::from_text(name).unwrap().as_wire().to_vec()
}

pub(crate) fn record(owner: &str, rtype: u16, ttl_s: u32, rdata: &[u8]) -> Vec<u8> {
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
pub(crate) fn response(
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

/// The IPv4 packet in Ethernet with a tag, in VXLAN, in raw IP.
fn in_vxlan(packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![8, 0, 0, 0, 0, 0, 12, 0];
    frame.extend([2; 12]);
    frame.extend([0x81, 0, 0, 34, 8, 0]);
    frame.extend_from_slice(packet);
    let mirror = IpAddr::from([172, 16, 0, 1]);
    datagram((mirror, 50_000), (CLIENT, 4_789), &frame)
}

/// Who asks; over IPv6 it is fdfd:….
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

/// Raw IP around a payload; `fragment` is the word of flags and offset, IPv4 only.
fn ip(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    fragment: (u16, u16),
    payload: &[u8],
) -> Vec<u8> {
    let len = payload.len() as u16;
    let mut bytes = match source {
        IpAddr::V4(_) => vec![0x45, 0],
        IpAddr::V6(_) => vec![0x60, 0, 0, 0],
    };
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes.extend((len + 20).to_be_bytes());
            bytes.extend(fragment.0.to_be_bytes());
            bytes.extend(fragment.1.to_be_bytes());
            bytes.extend([64, protocol, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (source, _) => {
            bytes.extend(len.to_be_bytes());
            bytes.extend([protocol, 64]);
            match source {
                IpAddr::V4(ip) => bytes.extend(ip.to_ipv6_mapped().octets()),
                IpAddr::V6(ip) => bytes.extend(ip.octets()),
            }
            bytes.extend([0xfd; 16]);
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

fn udp(source: u16, destination: u16, message: &[u8]) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend((message.len() as u16 + 8).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend_from_slice(message);
    bytes
}

fn datagram(source: (IpAddr, u16), destination: (IpAddr, u16), message: &[u8]) -> Vec<u8> {
    ip(source.0, destination.0, 17, (0, 0), &udp(source.1, destination.1, message))
}

fn fragments(resolver: IpAddr, number: u16, message: &[u8]) -> Vec<Vec<u8>> {
    let whole = udp(53, 5_120, message);
    let (first, second) = whole.split_at(24);
    let fragment = |flags_offset, part| ip(resolver, CLIENT, 17, (number, flags_offset), part);
    vec![fragment(3, second), fragment(0x2000, first)]
}

fn segments(resolver: IpAddr, port: u16, message: &[u8]) -> Vec<Vec<u8>> {
    let framed = [&(message.len() as u16).to_be_bytes()[..], message].concat();
    let segment = |sequence: u32, flags: u8, payload: &[u8]| {
        let mut bytes = [53_u16.to_be_bytes(), port.to_be_bytes()].concat();
        bytes.extend(sequence.to_be_bytes());
        bytes.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend_from_slice(payload);
        ip(resolver, CLIENT, 6, (0, 0), &bytes)
    };
    let isn = u32::MAX - 5;
    vec![
        segment(isn, 0x12, &[]),
        segment(isn.wrapping_add(1), 0x10, &framed[..1]),
        segment(isn.wrapping_add(2), 0x11, &framed[1..]),
    ]
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
