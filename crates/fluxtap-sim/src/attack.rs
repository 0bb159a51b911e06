//! Traffic that is as expensive as somebody can make it, for measuring what that costs.
//!
//! Whoever owns a domain chooses its answers and can have any resolver ask for them, so every
//! response has its query and nothing is malformed: what is refused early would be cheap. All
//! answers come from one resolver to one client, over IPv4 in datagrams.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use fluxtap_wire::{LinkType, Packet, Rtype, Timestamp};

use crate::frame::{self, Carriage, Endpoint, Transport};
use crate::place::START;
use crate::random::Random;
use crate::run::Sink;

/// A way to be expensive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Owners and targets are one name of 127 labels, each label a pointer to the one before it.
    DeepPointers,
    /// As many different addresses as fit, all of one name.
    ManyRecords,
    /// Uncompressed owners of 255 bytes in 127 labels, none twice.
    LongNames,
    /// Questions of 127 labels below a public suffix of three, in mixed case, none twice.
    DeepNames,
    /// A registrable domain that was never seen before in every answer.
    NewDomains,
    /// One host of one domain, and five addresses that were never seen before in every answer.
    NewAddresses,
    /// One domain, and a host that was never seen before with an address that was never seen
    /// before in every answer.
    NewHosts,
    /// The same once the domain has all but one of the hosts that are remembered, each seen several
    /// times: every further one has to make room for the next.
    PassingHosts,
    /// One host with one set of addresses.
    OneDomain,
    /// 5,000 domains, each with five addresses that were never seen before in every answer.
    ManyFlux,
}

impl Attack {
    /// Every way.
    pub const ALL: [Self; 10] = [
        Self::DeepPointers,
        Self::ManyRecords,
        Self::LongNames,
        Self::DeepNames,
        Self::NewDomains,
        Self::NewAddresses,
        Self::NewHosts,
        Self::PassingHosts,
        Self::OneDomain,
        Self::ManyFlux,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeepPointers => "deep-pointers",
            Self::ManyRecords => "many-records",
            Self::LongNames => "long-names",
            Self::DeepNames => "deep-names",
            Self::NewDomains => "new-domains",
            Self::NewAddresses => "new-addresses",
            Self::NewHosts => "new-hosts",
            Self::PassingHosts => "passing-hosts",
            Self::OneDomain => "one-domain",
            Self::ManyFlux => "many-flux",
        }
    }
}

/// Largest message, in bytes: what fits into an Ethernet frame.
const MESSAGE_OCTETS: usize = 1_472;
/// Labels of one letter in the longest name (RFC 1035 section 2.3.4: 255 bytes).
const LABELS: usize = 127;
/// Hosts of a domain that are seen several times: one fewer than `HOSTS_PER_TRACK_MAX` of
/// `fluxtap-window`, which are remembered of it.
const HOSTS: u64 = 63;
/// Offset of the question's name.
const QNAME_AT: u16 = 12;

const RESOLVER: Endpoint =
    Endpoint { mac: [2, 0, 0, 0, 0, 53], ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 53)), port: 53 };
const CLIENT: [u8; 4] = [10, 0, 7, 7];

/// Makes `responses` queries with their responses, `per_s` of them in a second of event time, and
/// hands them to `sink`.
///
/// # Errors
/// What `sink` reports.
pub fn attack(
    kind: Attack,
    seed: u64,
    responses: u64,
    per_s: u32,
    sink: &mut Sink<'_>,
) -> io::Result<()> {
    let mut random = Random::new(seed, 0);
    let (mut query, mut response, mut frame) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..responses {
        compose((kind, number), &mut random, &mut query, &mut response);
        let client = Endpoint {
            mac: [2, 0, 0, 0, 7, 7],
            ip: IpAddr::V4(CLIENT.into()),
            port: 1024 + random.below(64_512) as u16,
        };
        let mut at = Timestamp(START.0 + number * Timestamp::SECOND / u64::from(per_s.max(1)));
        for (from, to, message) in [(client, RESOLVER, &query), (RESOLVER, client, &response)] {
            let carriage = Carriage { vlan: None, hops: 64, ip_id: number as u16 };
            frame::write(&mut frame, from, to, carriage, Transport::Udp, message);
            let wire_len = frame.len() as u32;
            sink(Packet { at, link: LinkType::ETHERNET, bytes: &frame, wire_len })?;
            // Microseconds are what the file holds.
            at.0 += 1_000;
        }
    }
    Ok(())
}

/// The question with this number and its answer.
fn compose(
    (kind, number): (Attack, u64),
    random: &mut Random,
    query: &mut Vec<u8>,
    response: &mut Vec<u8>,
) {
    let id = (random.bits() as u16).to_be_bytes();
    query.clear();
    query.extend_from_slice(&id);
    query.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    question((kind, number), random, query);
    query.extend_from_slice(&[0, 1, 0, 1]);
    response.clear();
    response.extend_from_slice(query);
    response[2..4].copy_from_slice(&[0x81, 0x80]);
    let records = match kind {
        Attack::DeepPointers => pointers(response),
        Attack::LongNames => long_owners(random, response),
        Attack::ManyRecords => addresses(random, response, usize::MAX, 0),
        Attack::NewAddresses | Attack::ManyFlux => addresses(random, response, 5, 0),
        Attack::DeepNames | Attack::NewDomains | Attack::NewHosts | Attack::PassingHosts => {
            addresses(random, response, 1, 60)
        }
        Attack::OneDomain => {
            for last in 1..5 {
                record(response, Rtype::A, 60, &[23, 45, 67, last]);
            }
            4
        }
    };
    response[6..8].copy_from_slice(&records.to_be_bytes());
}

/// The asked name, to the end of `out`.
fn question((kind, number): (Attack, u64), random: &mut Random, out: &mut Vec<u8>) {
    let fresh = format!("{:016x}", random.bits());
    match kind {
        Attack::DeepNames => {
            // What the label of 8 and the suffix leave of 255 bytes.
            for _ in 0..LABELS - 16 {
                let letter = if random.chance(0.5) { b'A' } else { b'a' };
                labels(out, &[&[letter + random.below(26) as u8]]);
            }
            labels(out, &[&fresh.as_bytes()[..8], b"city", b"kawasaki", b"jp"]);
        }
        Attack::NewDomains => labels(out, &[fresh.as_bytes(), b"com"]),
        Attack::PassingHosts if number < 4 * HOSTS => {
            labels(out, &[format!("host{}", number % HOSTS).as_bytes(), b"attack", b"com"]);
        }
        Attack::NewHosts | Attack::PassingHosts => {
            labels(out, &[fresh.as_bytes(), b"attack", b"com"]);
        }
        Attack::ManyFlux => {
            labels(out, &[format!("flux{}", random.below(5_000)).as_bytes(), b"com"]);
        }
        _ => labels(out, &[b"www", b"attack", b"com"]),
    }
    out.push(0);
}

fn labels(out: &mut Vec<u8>, labels: &[&[u8]]) {
    for label in labels {
        out.push(label.len() as u8);
        out.extend_from_slice(label);
    }
}

/// As many A records of the asked name as fit, `most` at most; how many.
fn addresses(random: &mut Random, out: &mut Vec<u8>, most: usize, ttl_s: u32) -> u16 {
    let mut count = 0;
    while usize::from(count) < most && out.len() + 16 <= MESSAGE_OCTETS {
        // Public unicast, spread over all of it.
        let first = [1, 23, 45, 62, 77, 81, 93, 109, 151, 176][random.below(10) as usize];
        let rest = (random.bits() as u32).to_be_bytes();
        record(out, Rtype::A, ttl_s, &[first, rest[0], rest[1], rest[2]]);
        count += 1;
    }
    count
}

/// A record of the asked name.
fn record(out: &mut Vec<u8>, rtype: Rtype, ttl_s: u32, data: &[u8]) {
    out.extend_from_slice(&(0xc000 | QNAME_AT).to_be_bytes());
    tail(out, rtype, ttl_s, data);
}

/// A record behind its owner.
fn tail(out: &mut Vec<u8>, rtype: Rtype, ttl_s: u32, data: &[u8]) {
    out.extend_from_slice(&rtype.0.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&ttl_s.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
}

/// A record of an unknown type whose data are a ladder of pointers down to the asked name, then as
/// many aliases as fit, owner and target being the top of the ladder.
fn pointers(out: &mut Vec<u8>) -> u16 {
    const UNKNOWN: Rtype = Rtype(65_280);
    let mut ladder = Vec::new();
    let data_at = out.len() as u16 + 12;
    let mut rung_at = QNAME_AT;
    // The asked name has three labels and 16 bytes; the rungs have two bytes of name each.
    for _ in 0..(255 - 16) / 2 {
        let at = data_at + ladder.len() as u16;
        ladder.extend_from_slice(&[1, b'a']);
        ladder.extend_from_slice(&(0xc000 | rung_at).to_be_bytes());
        rung_at = at;
    }
    record(out, UNKNOWN, 60, &ladder);
    let mut count = 1;
    let top = (0xc000 | rung_at).to_be_bytes();
    while out.len() + 14 <= MESSAGE_OCTETS {
        out.extend_from_slice(&top);
        tail(out, Rtype::CNAME, 60, &top);
        count += 1;
    }
    count
}

/// As many A records as fit whose owners are long, without compression.
fn long_owners(random: &mut Random, out: &mut Vec<u8>) -> u16 {
    let mut count = 0;
    while out.len() + 255 + 14 <= MESSAGE_OCTETS {
        for _ in 0..LABELS {
            out.extend_from_slice(&[1, b'a' + random.below(26) as u8]);
        }
        out.push(0);
        tail(out, Rtype::A, 60, &[23, 45, 67, 89]);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use fluxtap_wire::{Carried, Layers, Message, layers};

    use super::*;

    #[test]
    fn every_attack_is_a_whole_message() {
        for kind in Attack::ALL {
            let mut responses = 0;
            let read = |packet: Packet<'_>| {
                let Ok(Carried::Datagram(datagram)) = layers::decode(&packet, &Layers::default())
                else {
                    panic!("{kind:?}: no datagram");
                };
                let message = Message::new_checked(datagram.payload).expect("a header");
                let mut walk = message.walk();
                let mut records = 0;
                let mut name_octets = 0;
                while let Some(question) = walk.next_question().expect("a question") {
                    name_octets = question.qname.to_name().as_wire().len();
                }
                while let Some(record) = walk.next_record().expect("a record") {
                    records += 1;
                    name_octets = name_octets.max(record.owner.to_name().as_wire().len());
                }
                assert_eq!((walk.is_cut(), walk.trailing_octets()), (false, 0), "{kind:?}");
                if datagram.source_port == 53 {
                    responses += 1;
                    let (records_min, name_octets_min) = match kind {
                        Attack::DeepPointers => (60, 254),
                        Attack::ManyRecords => (85, 16),
                        Attack::LongNames => (5, 255),
                        Attack::DeepNames => (1, 240),
                        _ => (1, 10),
                    };
                    assert!(records >= records_min, "{kind:?}: {records} records");
                    assert!(name_octets >= name_octets_min, "{kind:?}: {name_octets} bytes");
                }
                Ok(())
            };
            let mut read = read;
            attack(kind, 1, 20, 1_000, &mut read).unwrap();
            assert_eq!(responses, 20);
        }
    }
}
