//! The crate `hickory-proto`: values where it accepts. It reads the data of every type it knows and
//! refuses more than we do; what it refuses is counted and not compared.

use crate::{Compared, Ours, Theirs};
use fluxtap_fuzz::message::Entry;
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, Record};

const OPT: u16 = 41;

pub(crate) fn compare(ours: &Ours, octets: &[u8]) -> Compared {
    let Some(theirs) = read(octets) else { return Compared::Refused };
    if !ours.is_whole() {
        return Compared::Differs(format!("peer\t{}", ours.why()));
    }
    let mut mine = ours.entries.iter().filter(|entry| entry.rtype != OPT || entry.data.is_none());
    assert_eq!(mine.clone().count(), theirs.entries.len(), "{octets:02x?}");
    for theirs in &theirs.entries {
        let mine = mine.next().expect("as many");
        let (ttl, data) = match (&mine.data, &theirs.data) {
            (Some((mine, data)), Some((theirs, read))) => ([mine, theirs], [data, read]),
            (None, None) => ([&0; 2], [&mine.owner, &theirs.owner]),
            _ => panic!("a question and a record: {octets:02x?}"),
        };
        let head = (&mine.owner, mine.rtype, mine.class, ttl[0]);
        assert_eq!(head, (&theirs.owner, theirs.rtype, theirs.class, ttl[1]), "{octets:02x?}");
        // What was not turned into bytes again is empty.
        assert!(data[1].is_empty() || data[0] == data[1], "{octets:02x?}");
    }
    Compared::Agreed
}

fn read(octets: &[u8]) -> Option<Theirs> {
    let message = Message::from_vec(octets).ok()?;
    let mut entries: Vec<Entry> = Vec::new();
    for query in &message.queries {
        let (rtype, class) = (query.query_type().into(), query.query_class().into());
        entries.push(Entry { owner: wire(query.name()), rtype, class, data: None });
    }
    let records = message.answers.iter().chain(&message.authorities).chain(&message.additionals);
    entries.extend(records.map(of_record));
    Some(Theirs { entries, is_whole: true })
}

fn of_record(record: &Record) -> Entry {
    let data = match &record.data {
        RData::A(address) => address.octets().to_vec(),
        RData::AAAA(address) => address.octets().to_vec(),
        RData::CNAME(name) => wire(&name.0),
        RData::NS(name) => wire(&name.0),
        RData::PTR(name) => wire(&name.0),
        _ => Vec::new(),
    };
    Entry {
        owner: wire(&record.name),
        rtype: record.record_type().into(),
        class: record.dns_class.into(),
        data: Some((record.ttl, data)),
    }
}

fn wire(name: &Name) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.iter() {
        wire.push(label.len() as u8);
        wire.extend(label.to_ascii_lowercase());
    }
    wire.push(0);
    wire
}
