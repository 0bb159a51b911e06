//! Composes DNS messages as servers do: name compression, EDNS, truncation at the size limit.
//!
//! Composing only: reading messages is the business of `fluxtap-wire`.

use std::net::IpAddr;

use fluxtap_wire::{Name, Rtype, Section};

use crate::random::{mix, mix_bytes};

/// Names a reply can hold; a chain of aliases plus name servers needs far fewer.
pub(crate) const NAMES_MAX: usize = 32;

/// UDP payload that both ends state in EDNS (the size agreed on DNS flag day 2020), in bytes.
pub(crate) const EDNS_OCTETS: u16 = 1232;

/// UDP payload without EDNS (RFC 1035 section 4.2.1), in bytes.
const PLAIN_OCTETS: u16 = 512;

/// Size of an OPT record without options, in bytes.
const OPT_OCTETS: usize = 11;

/// Day on which the simulated signatures were made, seconds since 1970 (2026-02-25).
const SIGNED_AT_S: u32 = 1_771_977_600;

/// Types beside those that `fluxtap-wire` names.
pub(crate) mod rtype {
    use fluxtap_wire::Rtype;

    pub(crate) const DS: Rtype = Rtype(43);
    pub(crate) const RRSIG: Rtype = Rtype(46);
    pub(crate) const NSEC: Rtype = Rtype(47);
    pub(crate) const DNSKEY: Rtype = Rtype(48);
    pub(crate) const HTTPS: Rtype = Rtype(65);
}

/// A reply before it is bytes. Records name their owners and targets by index into `names`.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) rcode: u8,
    pub(crate) names: Vec<Name>,
    pub(crate) records: Vec<Record>,
}

/// A record whose TTL is not counted down yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) section: Section,
    pub(crate) owner: u8,
    pub(crate) rtype: Rtype,
    /// Second since 1970 at which the cache drops it.
    pub(crate) expires_s: u64,
    pub(crate) data: Data,
}

/// Record data. The `u64` of the DNSSEC types is what their keys and digests are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Data {
    Address(IpAddr),
    Target(u8),
    Soa { mname: u8, minimum_s: u32 },
    Https,
    Rrsig { covered: Rtype, ttl_s: u32, signer: u8, bits: u64 },
    Nsec { next: u8 },
    Dnskey(u64),
    Ds(u64),
}

impl Reply {
    pub(crate) fn clear(&mut self) {
        self.rcode = 0;
        self.names.clear();
        self.records.clear();
    }

    /// The index of `name`, which is added unless it is there.
    pub(crate) fn name(&mut self, name: &Name) -> u8 {
        let index = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            assert!(
                self.names.len() < NAMES_MAX,
                "a simulated reply holds at most {NAMES_MAX} names"
            );
            self.names.push(*name);
            self.names.len() - 1
        });
        index as u8
    }
}

/// Who is asked, which shows in the flags of query and reply (RFC 1035 section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A recursive resolver: RD, RA.
    Resolver,
    /// An authority about its own zone: AA.
    Authority,
    /// An authority about a zone it has delegated: none of them.
    Parent,
}

impl Role {
    const fn query_flags(self) -> u16 {
        if matches!(self, Self::Resolver) { 0x0100 } else { 0 }
    }

    const fn reply_flags(self) -> u16 {
        match self {
            Self::Resolver => 0x8180,
            Self::Authority => 0x8400,
            Self::Parent => 0x8000,
        }
    }
}

/// What a query says beside its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) role: Role,
    pub(crate) id: u16,
    pub(crate) qtype: Rtype,
    /// 0x20 mixing: bit i mod 64 says whether byte i of the name is in upper case.
    pub(crate) case: u64,
    pub(crate) edns: bool,
    pub(crate) dnssec_ok: bool,
}

/// Turns queries and replies into bytes; keeps its buffers.
#[derive(Debug, Default)]
pub(crate) struct Composer {
    octets: Vec<u8>,
    /// Hash of each name suffix written so far, with its offset.
    suffixes: Vec<(u64, u16)>,
    /// Offsets of the names of a reply; 0 until written.
    written: [u16; NAMES_MAX],
    counts: [u16; 4],
}

impl Composer {
    pub(crate) fn query(&mut self, qname: &Name, asked: Asked) -> &[u8] {
        self.begin(asked.id, asked.role.query_flags());
        self.question(qname, asked);
        self.finish(asked, 0)
    }

    /// The reply as it is sent at second `now_s`, with TTLs counted down to then.
    pub(crate) fn reply(&mut self, asked: Asked, reply: &Reply, now_s: u64) -> &[u8] {
        let limit = if asked.edns { EDNS_OCTETS } else { PLAIN_OCTETS };
        self.reply_within(limit.into(), asked, reply, now_s)
    }

    /// The same as it is sent over TCP.
    pub(crate) fn whole_reply(&mut self, asked: Asked, reply: &Reply, now_s: u64) -> &[u8] {
        self.reply_within(u16::MAX.into(), asked, reply, now_s)
    }

    fn reply_within(&mut self, limit: usize, asked: Asked, reply: &Reply, now_s: u64) -> &[u8] {
        self.begin(asked.id, asked.role.reply_flags() | u16::from(reply.rcode));
        // The question's name is the first of the reply.
        self.question(&reply.names[0], asked);
        self.written[0] = 12;
        let limit = limit - if asked.edns { OPT_OCTETS } else { 0 };
        let mut truncated = 0;
        for record in &reply.records {
            let before = self.octets.len();
            self.record(record, &reply.names, now_s);
            if self.octets.len() > limit {
                self.octets.truncate(before);
                // RFC 2181 section 9: TC only where an answer is missing, not for what was a help.
                truncated = if record.section == Section::Answer { 0x0200 } else { 0 };
                break;
            }
            self.counts[1 + record.section as usize] += 1;
        }
        self.finish(asked, truncated)
    }

    fn begin(&mut self, id: u16, flags: u16) {
        self.octets.clear();
        self.suffixes.clear();
        self.written = [0; NAMES_MAX];
        self.counts = [0; 4];
        self.put16(id);
        self.put16(flags);
        self.octets.extend_from_slice(&[0; 8]);
    }

    fn question(&mut self, qname: &Name, asked: Asked) {
        let at = self.octets.len();
        self.compressed(qname);
        let end = self.octets.len();
        for (index, byte) in self.octets[at..end].iter_mut().enumerate() {
            // Length bytes are below 64 and no letters.
            if asked.case >> (index % 64) & 1 == 1 {
                byte.make_ascii_uppercase();
            }
        }
        self.put16(asked.qtype.0);
        self.put16(1);
        self.counts[0] = 1;
    }

    /// Writes the OPT record and the counts.
    fn finish(&mut self, asked: Asked, extra_flags: u16) -> &[u8] {
        if asked.edns {
            // RFC 6891 section 6.1: root owner, payload size as class, flags in the TTL.
            self.octets.extend_from_slice(&[0, 0, Rtype::OPT.0 as u8]);
            self.put16(EDNS_OCTETS);
            self.put32(if asked.dnssec_ok { 0x8000 } else { 0 });
            self.put16(0);
            self.counts[3] += 1;
        }
        self.octets[2] |= (extra_flags >> 8) as u8;
        for (place, count) in self.octets[4..12].chunks_exact_mut(2).zip(self.counts) {
            place.copy_from_slice(&count.to_be_bytes());
        }
        &self.octets
    }

    fn record(&mut self, record: &Record, names: &[Name], now_s: u64) {
        self.indexed(record.owner, names);
        self.put16(record.rtype.0);
        self.put16(1);
        self.put32(record.expires_s.saturating_sub(now_s) as u32);
        let length_at = self.octets.len();
        self.put16(0);
        self.data(record, names);
        let length = (self.octets.len() - length_at - 2) as u16;
        self.octets[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    fn data(&mut self, record: &Record, names: &[Name]) {
        match record.data {
            Data::Address(IpAddr::V4(ip)) => self.octets.extend_from_slice(&ip.octets()),
            Data::Address(IpAddr::V6(ip)) => self.octets.extend_from_slice(&ip.octets()),
            Data::Target(target) => self.indexed(target, names),
            Data::Soa { mname, minimum_s } => {
                self.indexed(mname, names);
                self.octets.extend_from_slice(b"\x0ahostmaster");
                self.indexed(record.owner, names);
                for field in [2_026_030_201, 7200, 3600, 1_209_600, minimum_s] {
                    self.put32(field);
                }
            }
            // RFC 9460: priority 1, target the owner itself, alpn h3 and h2.
            Data::Https => {
                self.octets.extend_from_slice(b"\0\x01\0\0\x01\0\x06\x02h3\x02h2");
            }
            Data::Rrsig { covered, ttl_s, signer, bits } => {
                let labels = fluxtap_wire::name::labels(names[usize::from(record.owner)].as_wire());
                self.put16(covered.0);
                self.octets.extend_from_slice(&[13, labels.count() as u8]);
                self.put32(ttl_s);
                self.put32(SIGNED_AT_S + 14 * 86_400);
                self.put32(SIGNED_AT_S);
                self.put16(bits as u16);
                // RFC 4034 section 3.1.7: the signer's name must not be compressed.
                self.octets.extend_from_slice(names[usize::from(signer)].as_wire());
                self.noise(bits, 64);
            }
            Data::Nsec { next } => {
                self.octets.extend_from_slice(names[usize::from(next)].as_wire());
                // Types A, RRSIG and NSEC (RFC 4034 section 4.1.2).
                self.octets.extend_from_slice(&[0, 6, 0x40, 0, 0, 0, 0, 3]);
            }
            Data::Dnskey(bits) => {
                self.octets.extend_from_slice(&[1, 1, 3, 13]);
                self.noise(bits, 64);
            }
            Data::Ds(bits) => {
                self.put16(bits as u16);
                self.octets.extend_from_slice(&[13, 2]);
                self.noise(bits, 32);
            }
        }
    }

    /// Writes a name of the reply: the first time its labels, later a pointer.
    fn indexed(&mut self, index: u8, names: &[Name]) {
        let index = usize::from(index);
        if self.written[index] != 0 {
            self.put16(0xc000 | self.written[index]);
            return;
        }
        let at = self.octets.len();
        if at < 0x4000 {
            self.written[index] = at as u16;
        }
        self.compressed(&names[index]);
    }

    /// Writes a name with its longest known suffix as a pointer (RFC 1035 section 4.1.4), without
    /// regard to case, and remembers its new suffixes.
    fn compressed(&mut self, name: &Name) {
        let wire = name.as_wire();
        let mut at = 0;
        while wire[at] != 0 {
            let hash = mix_bytes(0, &wire[at..]);
            if let Some((_, offset)) = self.suffixes.iter().find(|(known, _)| *known == hash) {
                let offset = *offset;
                self.put16(0xc000 | offset);
                return;
            }
            let here = self.octets.len();
            if here < 0x4000 {
                self.suffixes.push((hash, here as u16));
            }
            let end = at + 1 + usize::from(wire[at]);
            self.octets.extend_from_slice(&wire[at..end]);
            at = end;
        }
        self.octets.push(0);
    }

    fn noise(&mut self, bits: u64, octets: u64) {
        for index in 0..octets / 8 {
            self.octets.extend_from_slice(&mix(bits, index).to_be_bytes());
        }
    }

    fn put16(&mut self, value: u16) {
        self.octets.extend_from_slice(&value.to_be_bytes());
    }

    fn put32(&mut self, value: u32) {
        self.octets.extend_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use fluxtap_wire::{Message, Rdata};

    use super::*;

    const PLAIN: Asked = Asked {
        role: Role::Resolver,
        id: 7,
        qtype: Rtype::A,
        case: 0,
        edns: false,
        dnssec_ok: false,
    };

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    /// A reply of `count` addresses at the asked name and one name server.
    fn addresses(count: u8) -> Reply {
        let mut reply = Reply::default();
        let owner = reply.name(&name("www.site.example"));
        for last in 0..count {
            let data = Data::Address([192, 0, 2, last].into());
            let (section, rtype) = (Section::Answer, Rtype::A);
            reply.records.push(Record { section, owner, rtype, expires_s: 100, data });
        }
        let owner = reply.name(&name("site.example"));
        let data = Data::Target(reply.name(&name("ns1.site.example")));
        let (section, rtype) = (Section::Authority, Rtype::NS);
        reply.records.push(Record { section, owner, rtype, expires_s: 100, data });
        reply
    }

    #[test]
    fn names_are_written_once() {
        let mut composer = Composer::default();
        let octets = composer.reply(PLAIN, &addresses(2), 40).to_vec();
        let question = b"\x03www\x04site\x07example\0\0\x01\0\x01";
        // Pointers: 12 is the asked name, 16 its parent.
        let record =
            |last| [b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02", &[last][..]].concat();
        let expect = [
            b"\0\x07\x81\x80\0\x01\0\x02\0\x01\0\0".as_slice(),
            question,
            &record(0),
            &record(1),
            b"\xc0\x10\0\x02\0\x01\0\0\0\x3c\0\x06\x03ns1\xc0\x10",
        ]
        .concat();
        assert_eq!(octets, expect);
    }

    #[test]
    fn flags_say_who_answers() {
        for (role, query, reply) in [
            (Role::Resolver, [1, 0], [0x81, 0x80]),
            (Role::Authority, [0, 0], [0x84, 0]),
            (Role::Parent, [0, 0], [0x80, 0]),
        ] {
            let mut composer = Composer::default();
            let asked = Asked { role, ..PLAIN };
            assert_eq!(composer.query(&name("site.example"), asked)[2..4], query, "{role:?}");
            assert_eq!(composer.reply(asked, &addresses(1), 40)[2..4], reply, "{role:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said() {
        // Bytes of a plain reply: 34 to the end of the question, 16 an address, 18 the NS record.
        for (count, edns, truncated, counts) in [
            (28, false, false, [1, 28, 1, 0]),
            (29, false, false, [1, 29, 0, 0]),
            (30, false, true, [1, 29, 0, 0]),
            (30, true, false, [1, 30, 1, 1]),
            (80, true, true, [1, 74, 0, 1]),
        ] {
            let mut composer = Composer::default();
            let octets = composer.reply(Asked { edns, ..PLAIN }, &addresses(count), 40);
            assert!(octets.len() <= if edns { 1232 } else { 512 });
            let header = Message::new_checked(octets).unwrap().header();
            assert_eq!(
                (header.is_truncated(), header.counts),
                (truncated, counts),
                "{count} {edns}"
            );
        }
    }

    #[test]
    fn mixed_case_stays_in_the_question_and_ttls_end_at_zero() {
        let mut composer = Composer::default();
        let asked = Asked { case: u64::MAX, ..PLAIN };
        assert!(
            composer.query(&name("www.site.example"), asked).ends_with(b"EXAMPLE\0\0\x01\0\x01")
        );
        let octets = composer.reply(asked, &addresses(1), 400);
        let message = Message::new_checked(octets).unwrap();
        let mut walk = message.walk();
        let question = walk.next_question().unwrap().unwrap();
        let record = walk.next_record().unwrap().unwrap();
        assert_eq!((record.ttl_s, record.owner == question.qname), (0, true));
        assert!(matches!(record.rdata, Rdata::A([192, 0, 2, 0])));
    }
}
