//! The crate `dns-parser`: names, TTLs and the data of the types it knows, where it accepts. One
//! record of a type it does not know makes it refuse the whole message, so it is often silent.

use crate::{Compared, Ours};
use dns_parser::{Name, Packet, RData, ResourceRecord};
use fluxtap_fuzz::message::Entry;

const OPT: u16 = 41;

pub(crate) fn compare(ours: &Ours, octets: &[u8]) -> Compared {
    let Ok(packet) = Packet::parse(octets) else { return Compared::Refused };
    if !ours.is_whole() {
        return Compared::Differs(format!("peer\t{}", ours.why()));
    }
    let (mut records, questions): (Vec<&Entry>, Vec<&Entry>) =
        ours.entries.iter().partition(|entry| entry.data.is_some());
    // The one of the additional section stands apart.
    if packet.opt.is_some() {
        let place = records.iter().rposition(|entry| entry.rtype == OPT).expect("an OPT");
        records.remove(place);
    }
    assert_eq!(questions.len(), packet.questions.len(), "{octets:02x?}");
    for (ours, theirs) in questions.into_iter().zip(&packet.questions) {
        let theirs = (theirs_text(&theirs.qname), theirs.qtype as u16);
        assert_eq!((text(&ours.owner), ours.rtype), theirs, "{octets:02x?}");
    }
    let theirs = packet.answers.iter().chain(&packet.nameservers).chain(&packet.additional);
    assert_eq!(records.len(), theirs.clone().count(), "{octets:02x?}");
    for (ours, theirs) in records.into_iter().zip(theirs) {
        same_record(ours, theirs, octets);
    }
    Compared::Agreed
}

fn same_record(ours: &Entry, theirs: &ResourceRecord<'_>, octets: &[u8]) {
    let (ttl_s, data) = ours.data.as_ref().expect("a record");
    assert_eq!(text(&ours.owner), theirs_text(&theirs.name), "{octets:02x?}");
    // It reads a TTL with the top bit set as 0 (RFC 2181 section 8).
    let ttl_s = if *ttl_s > i32::MAX as u32 { 0 } else { *ttl_s };
    assert_eq!(ttl_s, theirs.ttl, "{octets:02x?}");
    let (rtype, is_same) = match &theirs.data {
        RData::A(address) => (1, data[..] == address.0.octets()),
        RData::AAAA(address) => (28, data[..] == address.0.octets()),
        RData::CNAME(name) => (5, text(data) == theirs_text(&name.0)),
        RData::NS(name) => (2, text(data) == theirs_text(&name.0)),
        RData::PTR(name) => (12, text(data) == theirs_text(&name.0)),
        RData::Unknown(bytes) => (ours.rtype, data == bytes),
        _ => (ours.rtype, true),
    };
    assert!(rtype == ours.rtype && is_same, "{ours:?}, {theirs:?} in {octets:02x?}");
}

/// As it writes a name, but for a dot where a pointer leads to the root.
fn theirs_text(name: &Name<'_>) -> String {
    name.to_string().trim_end_matches('.').to_ascii_lowercase()
}

/// The same of a name of ours: labels as they are, dots between them.
fn text(wire: &[u8]) -> String {
    let labels = fluxtap_wire::name::labels(wire);
    let labels: Vec<_> = labels.map(|label| String::from_utf8_lossy(label)).collect();
    labels.join(".").trim_end_matches('.').to_owned()
}
