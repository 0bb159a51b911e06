//! The crate `domain`: acceptance and every value, exactly.

use crate::{Compared, Ours, Theirs};
use domain::base::message::RecordSection;
use domain::base::name::ToName;
use domain::base::rdata::UnknownRecordData;
use domain::base::record::ParsedRecord;
use domain::base::wire::ParseError;
use domain::base::{Message, ParsedName, Question, Rtype};
use domain::rdata::{Aaaa, Cname, Dname, Ns, Ptr};
use fluxtap_fuzz::message::Entry;

pub(crate) fn compare(ours: &Ours, octets: &[u8]) -> Compared {
    let theirs = read(octets);
    let is_same = ours.entries == theirs.entries;
    match (ours.is_whole(), theirs.is_whole) {
        (true, true) if is_same => Compared::Agreed,
        // What comes before the fault is compared as well, where the same entry is at fault.
        (false, false) if is_same => Compared::Agreed,
        (false, false) if ours.entries.len() < theirs.entries.len() => {
            assert!(theirs.entries.starts_with(&ours.entries), "{octets:02x?}");
            Compared::Differs(format!("further\t{}", ours.why()))
        }
        (false, true) => {
            assert!(theirs.entries.starts_with(&ours.entries), "{octets:02x?}");
            Compared::Differs(format!("peer\t{}", ours.why()))
        }
        (true, false) => Compared::Differs("ours\t-".to_owned()),
        _ => panic!("{:?}\nand\n{:?}\nof {octets:02x?}", ours.entries, theirs.entries),
    }
}

/// The entries up to the first error.
fn read(octets: &[u8]) -> Theirs {
    let mut entries = Vec::new();
    let is_whole = read_all(octets, &mut entries).is_ok();
    Theirs { entries, is_whole }
}

fn read_all(octets: &[u8], entries: &mut Vec<Entry>) -> Result<(), ParseError> {
    let message = Message::from_slice(octets).map_err(|_| ParseError::ShortInput)?;
    let mut questions = message.question();
    for question in questions.by_ref() {
        entries.push(of_question(&question?));
    }
    let mut section: Option<RecordSection<'_, [u8]>> = Some(questions.answer()?);
    while let Some(mut records) = section {
        for record in records.by_ref() {
            entries.push(of_record(&record?)?);
        }
        section = records.next_section()?;
    }
    Ok(())
}

fn of_question(question: &Question<ParsedName<&[u8]>>) -> Entry {
    let (rtype, class) = (question.qtype().to_int(), question.qclass().to_int());
    Entry { owner: wire(question.qname()), rtype, class, data: None }
}

fn of_record(record: &ParsedRecord<'_, [u8]>) -> Result<Entry, ParseError> {
    type Name<'a> = ParsedName<&'a [u8]>;
    let (rtype, class) = (record.rtype(), record.class().to_int());
    let data = match rtype {
        Rtype::A if class == 1 => {
            let record = record.to_record::<domain::rdata::A>()?.expect("its type");
            record.data().addr().octets().to_vec()
        }
        Rtype::AAAA if class == 1 => {
            let record = record.to_record::<Aaaa>()?.expect("its type");
            record.data().addr().octets().to_vec()
        }
        Rtype::CNAME if record.rdlen() > 0 => {
            wire(record.to_record::<Cname<Name<'_>>>()?.expect("its type").data().cname())
        }
        Rtype::NS if record.rdlen() > 0 => {
            wire(record.to_record::<Ns<Name<'_>>>()?.expect("its type").data().nsdname())
        }
        Rtype::PTR if record.rdlen() > 0 => {
            wire(record.to_record::<Ptr<Name<'_>>>()?.expect("its type").data().ptrdname())
        }
        Rtype::DNAME if record.rdlen() > 0 => {
            wire(record.to_record::<Dname<Name<'_>>>()?.expect("its type").data().dname())
        }
        _ => {
            let record = record.to_record::<UnknownRecordData<&[u8]>>()?.expect("any type");
            record.data().data().to_vec()
        }
    };
    let (owner, rtype) = (wire(record.owner()), rtype.to_int());
    Ok(Entry { owner, rtype, class, data: Some((record.ttl().as_secs(), data)) })
}

fn wire(name: impl ToName) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.iter_labels() {
        wire.push(label.len() as u8);
        wire.extend(label.as_slice().to_ascii_lowercase());
    }
    wire
}
