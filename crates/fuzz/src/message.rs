//! A DNS message, whole and as cut by the capture.
//!
//! The walker finds what a naive one finds that follows the same rules and remembers nothing: the
//! same records with the same names, and the same kind of end. What is observed of a message is a
//! fact only where the message was one.

use crate::HASH_KEY;
use fluxtap_intel::Intel;
use fluxtap_observe::{Batch, MessageEnd, Observer};
use fluxtap_wire::dns::{CLASS_IN, HEADER_OCTETS, POINTERS_PER_MESSAGE_MAX};
use fluxtap_wire::name::{NAME_OCTETS_MAX, POINTERS_PER_NAME_MAX};
use fluxtap_wire::{
    DataKind, Datagram, Ends, Malformed, Message, NameRef, RecordHead, Rtype, Timestamp,
};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

static INTEL: LazyLock<Intel> = LazyLock::new(Intel::embedded);

/// See the module's head.
pub fn run(bytes: &[u8]) {
    walk(bytes);
    observe(bytes, &INTEL);
}

/// Walks a message beside the naive walker; what was found, and why the rest is malformed.
pub fn walk(octets: &[u8]) -> (Walked, Option<Malformed>) {
    let Ok(message) = Message::new_checked(octets) else {
        assert!(octets.len() < HEADER_OCTETS, "a header of {} bytes", octets.len());
        return (Walked { entries: Vec::new(), end: End::Malformed }, Some(Malformed::Cut));
    };
    let mut walked = Walked { entries: Vec::new(), end: End::Whole };
    let mut walk = message.walk();
    let mut qname = None;
    let reason = loop {
        match walk.next_question() {
            Ok(Some(question)) => {
                qname.get_or_insert(question.qname);
                let (qtype, class) = (question.qtype.0, question.qclass);
                let entry = Entry { owner: wire(question.qname), rtype: qtype, class, data: None };
                walked.entries.push(entry);
            }
            Ok(None) => break None,
            Err(reason) => break Some(reason),
        }
    };
    let reason = reason.or_else(|| {
        loop {
            match walk.next_head() {
                Ok(Some(head)) => walked.entries.push(entry(&message, &head, qname)),
                Ok(None) => break None,
                Err(reason) => break Some(reason),
            }
        }
    });
    walked.end = match reason {
        Some(_) => End::Malformed,
        None if walk.is_cut() => End::Cut,
        None => End::Whole,
    };
    assert_ne!(reason, Some(Malformed::Cut), "what is cut is no error of an entry");
    assert!(matches!(walk.next_head(), Ok(None)), "nothing behind the end");
    assert!(walk.trailing_octets() <= octets.len());
    let naive =
        Naive::walk(&octets[..octets.len().min(usize::from(u16::MAX))], message.header().counts);
    assert_eq!(walked, naive, "ours, and the naive walker's");
    (walked, reason)
}

/// What a walk found: questions, then records, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Each entry that is whole.
    pub entries: Vec<Entry>,
    /// What came behind them.
    pub end: End,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the last entry that the header promises.
    Whole,
    /// The bytes end early.
    Cut,
    /// An entry is malformed.
    Malformed,
}

/// A question, or a record with its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, in lower-case uncompressed wire form.
    pub owner: Vec<u8>,
    /// Its type.
    pub rtype: u16,
    /// Its class.
    pub class: u16,
    /// Of a record: TTL in seconds, and the data, in which a name is lower-case and uncompressed.
    pub data: Option<(u32, Vec<u8>)>,
}

fn entry(message: &Message<'_>, head: &RecordHead, qname: Option<NameRef<'_>>) -> Entry {
    let record = message.record(head);
    if let Some(qname) = qname {
        let is_same = wire(qname) == wire(record.owner);
        assert_eq!(qname == record.owner, is_same, "{qname:?}, {:?}", record.owner);
    }
    let data = match record.rdata {
        fluxtap_wire::Rdata::A(address) => {
            assert_eq!((head.data, message.ipv4(head)), (DataKind::A, Some(address)));
            address.to_vec()
        }
        fluxtap_wire::Rdata::Aaaa(address) => {
            assert_eq!((head.data, message.ipv6(head)), (DataKind::Aaaa, Some(address)));
            address.to_vec()
        }
        fluxtap_wire::Rdata::Name(name) => wire(name),
        fluxtap_wire::Rdata::Other(data) => data.to_vec(),
    };
    let (rtype, class) = (record.rtype.0, record.class);
    Entry { owner: wire(record.owner), rtype, class, data: Some((record.ttl_s, data)) }
}

/// A name of a message in wire form; all ways to read it give the same.
fn wire(name: NameRef<'_>) -> Vec<u8> {
    let whole = name.to_name();
    let mut appended = Vec::new();
    name.append_to(&mut appended);
    assert_eq!(whole.as_wire(), appended);
    assert_eq!(appended.len(), name.wire_len());
    assert!(appended.len() <= NAME_OCTETS_MAX && name.is_wire(&appended));
    appended
}

/// The walker as its rules say it, without the shortcuts of the one it is compared with.
struct Naive<'a> {
    octets: &'a [u8],
    at: usize,
    pointers: u32,
}

impl<'a> Naive<'a> {
    fn walk(octets: &'a [u8], counts: [u16; 4]) -> Walked {
        let mut naive = Self { octets, at: HEADER_OCTETS, pointers: 0 };
        let mut entries = Vec::new();
        let [questions, others @ ..] = counts.map(u32::from);
        let records: u32 = others.iter().sum();
        for number in 0..questions + records {
            match naive.entry(number >= questions) {
                Ok(entry) => entries.push(entry),
                Err(end) => return Walked { entries, end },
            }
        }
        Walked { entries, end: End::Whole }
    }

    fn entry(&mut self, is_record: bool) -> Result<Entry, End> {
        let (owner, at) = self.name(self.at, self.octets.len())?;
        self.at = at;
        let (rtype, class) = (self.u16()?, self.u16()?);
        if !is_record {
            return Ok(Entry { owner, rtype, class, data: None });
        }
        let ttl_s = u32::from(self.u16()?) << 16 | u32::from(self.u16()?);
        let len = usize::from(self.u16()?);
        let (from, end) = (self.at, self.at + len);
        let data = self.octets.get(from..end).ok_or(End::Cut)?;
        self.at = end;
        let data = match (Rtype(rtype), class) {
            (Rtype::A, CLASS_IN) if len != 4 => return Err(End::Malformed),
            (Rtype::AAAA, CLASS_IN) if len != 16 => return Err(End::Malformed),
            (Rtype::CNAME | Rtype::NS | Rtype::PTR | Rtype::DNAME, _) if len > 0 => {
                match self.name(from, end) {
                    Ok((name, next)) if next == end => name,
                    _ => return Err(End::Malformed),
                }
            }
            _ => data.to_vec(),
        };
        Ok(Entry { owner, rtype, class, data: Some((ttl_s, data)) })
    }

    fn u16(&mut self) -> Result<u16, End> {
        let word = self.octets.get(self.at..self.at + 2).ok_or(End::Cut)?;
        self.at += 2;
        Ok(u16::from_be_bytes([word[0], word[1]]))
    }

    /// The name at `start` whose own bytes lie before `end`, and where it ends.
    fn name(&mut self, start: usize, end: usize) -> Result<(Vec<u8>, usize), End> {
        let (mut name, mut next, mut pointers) = (Vec::new(), None, 0);
        let (mut at, mut limit, mut lowest) = (start, end, start);
        loop {
            // What runs into the labels that were left overlaps them; only the first run can be cut.
            let early = if next.is_some() { End::Malformed } else { End::Cut };
            let byte = *self.octets.get(at).filter(|_| at < limit).ok_or(early)?;
            match byte {
                0 => {
                    name.push(0);
                    self.pointers += pointers;
                    if self.pointers > POINTERS_PER_MESSAGE_MAX {
                        return Err(End::Malformed);
                    }
                    return Ok((name, next.unwrap_or(at + 1)));
                }
                1..0x40 => {
                    let behind = at + 1 + usize::from(byte);
                    // With the root that has to follow.
                    if name.len() + (behind - at) + 1 > NAME_OCTETS_MAX {
                        return Err(End::Malformed);
                    }
                    let label = self.octets.get(at..behind).ok_or(early)?;
                    name.extend(label.to_ascii_lowercase());
                    at = behind;
                }
                0x40..0xc0 => return Err(End::Malformed),
                0xc0.. => {
                    let low = *self.octets.get(at + 1).filter(|_| at + 2 <= limit).ok_or(early)?;
                    let target = usize::from(byte & 0x3f) << 8 | usize::from(low);
                    pointers += 1;
                    let is_sound = (HEADER_OCTETS..lowest).contains(&target);
                    if !is_sound || pointers > POINTERS_PER_NAME_MAX {
                        return Err(End::Malformed);
                    }
                    next.get_or_insert(at + 2);
                    (limit, lowest, at) = (lowest, target, target);
                }
            }
        }
    }
}

/// Observes a message, whole and as cut by the capture: facts only where that was its end.
pub fn observe(payload: &[u8], intel: &Intel) {
    let Ok(message) = Message::new_checked(payload) else { return };
    for is_cut in [false, true] {
        let datagram = Datagram {
            ends: Ends {
                source: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53)),
                destination: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
                vlan: 0,
                tunnel: None,
            },
            source_port: 53,
            destination_port: 40_000,
            is_tcp: false,
            payload,
            is_cut,
        };
        let mut batch = Batch::default();
        let mut observer = Observer::new(HASH_KEY);
        let end = observer.observe(Timestamp(0), &datagram, &message, intel, &mut batch);
        let expected = match end {
            MessageEnd::Used => 1..=1,
            MessageEnd::Cut => 0..=1,
            _ => 0..=0,
        };
        let facts = batch.observations().len();
        assert!(expected.contains(&facts), "{end:?} with {facts} facts");
    }
}
