//! What a mirror port delivers, in a table to act on.

use super::{Row, row, say_rows, yes};
use crate::console::{self, Exit, grouped};
use crate::live;
use crate::output;
use crate::replay::instant;
use crate::sensor;
use fluxtap_capture::{Batch, Filter, LiveGroup, LiveOptions, Source as _};
use fluxtap_config::Settings;
use fluxtap_flow::{FlowSettings, Gate, Verdict};
use fluxtap_wire::{
    Carried, Datagram, Layers, Message, Packet, PacketEnd, Ports, TunnelKind, layers,
};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// How long the port is watched.
const WATCHED: Duration = Duration::from_secs(25);

/// The port of DNS over TLS and over QUIC (RFC 7858, RFC 9250).
const ENCRYPTED_PORT: u16 = 853;

/// The port of DNS over HTTPS (RFC 8484), and of everything else on the web.
const WEB_PORT: u16 = 443;

/// Public resolvers at whose addresses nothing but DNS is asked over HTTPS, as those who run them
/// publish: Cloudflare, Google, Quad9, OpenDNS and AdGuard (their pages, 23 November 2026). Others
/// cannot be told from the web.
const RESOLVERS: [IpAddr; 16] = [
    IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)),
    IpAddr::V4(Ipv4Addr::new(1, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4)),
    IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9)),
    IpAddr::V4(Ipv4Addr::new(149, 112, 112, 112)),
    IpAddr::V4(Ipv4Addr::new(208, 67, 222, 222)),
    IpAddr::V4(Ipv4Addr::new(208, 67, 220, 220)),
    IpAddr::V4(Ipv4Addr::new(94, 140, 14, 14)),
    IpAddr::V4(Ipv4Addr::new(94, 140, 15, 15)),
    IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111)),
    IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1001)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844)),
    IpAddr::V6(Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe)),
    IpAddr::V6(Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 9)),
];

/// Most VLAN ids that are named.
const VLANS_NAMED_MAX: usize = 8;

/// DNS messages beyond which shares mean something.
const MESSAGES_MIN: u64 = 20;

/// What was seen.
struct Seen {
    layers: Layers,
    encrypted: Layers,
    web: Layers,
    gate: Gate,
    packets: u64,
    queries: u64,
    responses: u64,
    duplicates: u64,
    over_tcp: u64,
    cut: u64,
    ipv6: u64,
    not_dns: u64,
    malformed: u64,
    encrypted_packets: u64,
    https_packets: u64,
    vlans: BTreeSet<u16>,
    tunnels: BTreeSet<TunnelKind>,
}

/// Watches the interfaces and says what they deliver.
pub(super) fn watch(settings: &Settings) -> Exit {
    // All packets: what a filter leaves out cannot be told.
    let options = LiveOptions { filter: Filter::Everything, ..live::options(settings) };
    let mut source = match LiveGroup::open(&settings.interfaces, options, output::now) {
        Ok(source) => source,
        Err(error) => return live::refused(&error),
    };
    let names = settings.interfaces.join(", ");
    console::say(&format!("fluxtap: watching {names} for {} s", WATCHED.as_secs()));
    let mut seen = Seen::new(settings);
    let began = instant();
    while began.elapsed() < WATCHED {
        match source.next_batch(&mut |packet| seen.take(&packet)) {
            Ok(Batch::End) => break,
            Ok(_) => {}
            Err(error) => {
                console::error(&error.to_string());
                return Exit::Failed;
            }
        }
    }
    let lost = crate::summary::lost(&source.stats()).iter().sum::<u64>();
    let rows = seen.rows(lost);
    console::say(&format!("fluxtap: {names} in {} s:", began.elapsed().as_secs()));
    say_rows(&rows);
    if rows.iter().all(|row| row.is_good) { Exit::Done } else { Exit::Failed }
}

impl Seen {
    fn new(settings: &Settings) -> Self {
        let layers = sensor::layers(settings);
        let at = |port| {
            let ports = Ports::new(&[port]).expect("one port is few enough");
            Layers { ports, ..layers }
        };
        Self {
            encrypted: at(ENCRYPTED_PORT),
            web: at(WEB_PORT),
            layers,
            gate: Gate::new(&FlowSettings::default(), live::random_key()),
            packets: 0,
            queries: 0,
            responses: 0,
            duplicates: 0,
            over_tcp: 0,
            cut: 0,
            ipv6: 0,
            not_dns: 0,
            malformed: 0,
            encrypted_packets: 0,
            https_packets: 0,
            vlans: BTreeSet::new(),
            tunnels: BTreeSet::new(),
        }
    }

    fn take(&mut self, packet: &Packet<'_>) {
        self.packets += 1;
        match layers::decode(packet, &self.layers) {
            Ok(Carried::Datagram(datagram)) => self.datagram(packet, &datagram),
            Ok(Carried::Segment(segment)) => {
                self.over_tcp += u64::from(!segment.payload.is_empty());
                self.way(&segment.ends);
            }
            Ok(Carried::Fragment(_)) => {}
            Err(PacketEnd::OtherPort) => {
                self.not_dns += 1;
                let is_encrypted = layers::decode(packet, &self.encrypted).is_ok();
                self.encrypted_packets += u64::from(is_encrypted);
                self.https_packets += u64::from(self.is_dns_over_https(packet));
            }
            Err(end) if end.is_malformed() => self.malformed += 1,
            Err(_) => self.not_dns += 1,
        }
    }

    /// Whether one end is the port of the web at a resolver known for nothing else.
    fn is_dns_over_https(&self, packet: &Packet<'_>) -> bool {
        let ends = match layers::decode(packet, &self.web) {
            Ok(Carried::Datagram(datagram)) => datagram.ends,
            Ok(Carried::Segment(segment)) => segment.ends,
            _ => return false,
        };
        RESOLVERS.contains(&ends.source) || RESOLVERS.contains(&ends.destination)
    }

    fn datagram(&mut self, packet: &Packet<'_>, datagram: &Datagram<'_>) {
        self.way(&datagram.ends);
        self.cut += u64::from(datagram.is_cut);
        let Ok(message) = Message::new_checked(datagram.payload) else {
            self.malformed += 1;
            return;
        };
        if self.gate.judge(packet.at, packet.at, datagram, &message) == Verdict::Duplicate {
            self.duplicates += 1;
        } else if message.header().is_response() {
            self.responses += 1;
        } else {
            self.queries += 1;
        }
    }

    fn way(&mut self, ends: &fluxtap_wire::Ends) {
        self.ipv6 += u64::from(ends.source.is_ipv6());
        if ends.vlan != 0 {
            self.vlans.insert(ends.vlan);
        }
        self.tunnels.extend(ends.tunnel.map(|tunnel| tunnel.kind));
    }

    /// What was seen, what it should be, and what to do where it is not.
    fn rows(&self, lost: u64) -> Vec<Row> {
        let messages = self.queries + self.responses;
        let told = |number: u64, is_good: bool, advice: &str| {
            let number = grouped(number);
            if is_good { number } else { format!("{number}: {advice}") }
        };
        let has_packets = self.packets > 0;
        let mut rows = vec![row(
            "packets",
            told(self.packets, has_packets, "is the mirror session on, and to this port?"),
            has_packets,
        )];
        if !has_packets {
            return rows;
        }
        let has_dns = messages > 0;
        let advice = "mirror the ports of resolvers and clients, or see --ports";
        rows.push(row("DNS messages over UDP", told(messages, has_dns, advice), has_dns));
        if has_dns {
            rows.extend(self.dns_rows(&told));
        }
        rows.push(row("DNS segments over TCP", grouped(self.over_tcp), true));
        rows.push(row("other packets", grouped(self.not_dns), true));
        let is_clean = self.malformed * 100 <= self.packets;
        let advice = "see whether the mirror cuts packets, or has a header we do not know";
        rows.push(row("malformed packets", told(self.malformed, is_clean, advice), is_clean));
        let is_complete = lost * 100 <= self.packets;
        let advice = "see --ring, and docs/operations.md on sizing";
        rows.push(row("packets lost", told(lost, is_complete, advice), is_complete));
        let advice = "these clients' questions stay unseen; docs/operations.md says what to do";
        let encrypted = self.encrypted_packets + self.https_packets;
        let all = (encrypted + messages + self.over_tcp).max(1);
        let found = format!(
            "{} on port 853, {} over HTTPS to well-known resolvers, {:.1} % of all DNS packets",
            grouped(self.encrypted_packets),
            grouped(self.https_packets),
            encrypted as f64 * 100.0 / all as f64
        );
        let found = if encrypted == 0 { "none".to_owned() } else { format!("{found}: {advice}") };
        rows.push(row("encrypted DNS, in packets", found, true));
        rows
    }

    fn dns_rows(&self, told: &dyn Fn(u64, bool, &str) -> String) -> Vec<Row> {
        let messages = self.queries + self.responses;
        let has_both = messages < MESSAGES_MIN || (self.queries > 0 && self.responses > 0);
        let advice = match (self.queries, self.responses) {
            (_, 0) => "no responses, and flux is in them: mirror both directions",
            _ => "no queries, so forged responses cannot be told: mirror both directions",
        };
        let both =
            format!("{} queries, {} responses", grouped(self.queries), grouped(self.responses));
        let both = if has_both { both } else { format!("{both}: {advice}") };
        let all = messages + self.duplicates;
        let is_single = self.duplicates * 10 <= all;
        let advice = "the mirror delivers packets twice (they count once): mirror one direction of \
                      each port, or a VLAN and not its ports as well";
        let is_whole = self.cut * 100 <= all;
        let vlans: Vec<String> =
            self.vlans.iter().take(VLANS_NAMED_MAX).map(u16::to_string).collect();
        let vlans = match self.vlans.len() {
            0 => "none".to_owned(),
            many if many > VLANS_NAMED_MAX => format!("{} and more", vlans.join(", ")),
            _ => vlans.join(", "),
        };
        let tunnels: Vec<&str> = self.tunnels.iter().map(|kind| kind.as_str()).collect();
        let tunnels = if tunnels.is_empty() { "none".to_owned() } else { tunnels.join(", ") };
        vec![
            row("both directions", both, has_both),
            row("copies of messages", told(self.duplicates, is_single, advice), is_single),
            row(
                "messages cut by the mirror",
                told(self.cut, is_whole, "raise its snap length"),
                is_whole,
            ),
            row("DNS over IPv6", yes(self.ipv6 > 0), true),
            row("VLANs with DNS", vlans, true),
            row("tunnels with DNS", tunnels, true),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fluxtap_capture::{Replay, ReplayOptions};
    use std::path::Path;

    fn seen(case: &str) -> Seen {
        let pcaps = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../pcaps"));
        let mut source = Replay::open([pcaps.join(case)], ReplayOptions::default());
        let mut seen = Seen::new(&Settings::default());
        let take = &mut |packet: Packet<'_>| seen.take(&packet);
        while source.next_batch(take).expect("files do not fail here") != Batch::End {}
        seen
    }

    fn told(rows: &[Row], what: &str) -> (String, bool) {
        let row = rows.iter().find(|row| row.what == what);
        let row = row.unwrap_or_else(|| panic!("no row {what}"));
        (row.found.clone(), row.is_good)
    }

    #[test]
    fn a_good_mirror_and_a_bad_one() {
        let good = seen("demo/demo.pcap").rows(0);
        assert!(good.iter().all(|row| row.is_good));
        assert!(told(&good, "both directions").0.ends_with(" responses"));
        let none = Seen::new(&Settings::default()).rows(0);
        assert_eq!(none.len(), 1, "without packets there is nothing else to say");
        assert_eq!(
            told(&none, "packets"),
            ("0: is the mirror session on, and to this port?".to_owned(), false)
        );
        let mut seen = seen("demo/demo.pcap");
        (seen.queries, seen.encrypted_packets, seen.https_packets) = (0, 7, 2);
        let bad = seen.rows(seen.packets);
        assert!(told(&bad, "both directions").0.contains("no queries, so forged"));
        assert!(!told(&bad, "packets lost").1);
        let encrypted = told(&bad, "encrypted DNS, in packets").0;
        assert!(encrypted.starts_with("7 on port 853, 2 over HTTPS to well-known"), "{encrypted}");
        assert!(encrypted.contains(" % of all DNS packets: these clients"), "{encrypted}");
    }

    #[test]
    fn dns_over_https_is_known_by_the_resolver() {
        let frame = |to: [u8; 4], port: u16| {
            let mut bytes = vec![0; 12];
            bytes.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 7]);
            bytes.extend(to);
            bytes.extend([0xc0, 0]);
            bytes.extend(port.to_be_bytes());
            bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
            bytes
        };
        let mut seen = Seen::new(&Settings::default());
        let others = [([8, 8, 8, 8], 80), ([192, 0, 2, 1], 443), ([9, 9, 9, 9], 853)];
        for (to, port) in others.into_iter().chain([([9, 9, 9, 9], 443)]) {
            let bytes = frame(to, port);
            let (at, wire_len) = (fluxtap_wire::Timestamp(0), bytes.len() as u32);
            seen.take(&Packet {
                at,
                link: fluxtap_wire::LinkType::ETHERNET,
                bytes: &bytes,
                wire_len,
            });
        }
        assert_eq!((seen.not_dns, seen.encrypted_packets, seen.https_packets), (4, 1, 1));
    }

    #[test]
    fn tags_are_told() {
        let rows = seen("vlan").rows(0);
        assert_ne!(told(&rows, "VLANs with DNS").0, "none");
    }
}
