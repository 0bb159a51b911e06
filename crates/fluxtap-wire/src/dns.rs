//! The DNS message walker: every record of every section, in place, without allocation.
//!
//! ```text
//!  0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15
//! |                      ID                       |   RFC 1035 section 4.1.1
//! |QR|  opcode   |AA|TC|RD|RA| Z|AD|CD|   rcode   |
//! |      questions        |        answers        |   four 16-bit counts
//! |      authority        |       additional      |
//! ```
//!
//! A type or class it does not know is data, not an error. A message that ends early (cut by the
//! capture, or with counts that promise more than is there) gives the records that are whole and is
//! marked as cut; one that lies about its structure is malformed, and the reason is countable.

use crate::name::{self, AskedName, Known, NamePosition, NameRef};

/// Size of the message header in bytes.
pub const HEADER_OCTETS: usize = 12;

/// Most compression pointers followed in one message. An honest message needs two or three a
/// record; without this limit a 64 KiB message of records that all point into one deep chain costs
/// a hundred times its size.
pub const POINTERS_PER_MESSAGE_MAX: u32 = 16_384;

/// Why bytes are not a DNS message, or stop being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// The bytes end early. As an error of a whole message: fewer than the 12 of a header.
    Cut,
    /// A label begins with the reserved bits 01 or 10.
    LabelType,
    /// A name of more than 255 bytes.
    NameTooLong,
    /// A pointer that does not lead strictly backwards.
    PointerForward,
    /// A pointer to an offset below 12.
    PointerIntoHeader,
    /// More than [`name::POINTERS_PER_NAME_MAX`] pointers in a name.
    PointersTooMany,
    /// More than [`POINTERS_PER_MESSAGE_MAX`] pointers in a message.
    WorkLimit,
    /// Labels behind a pointer run into the labels it was reached from.
    NameOverlap,
    /// The name in the record data does not end where the record data ends.
    RdataName,
    /// An A record that has not 4 bytes, or an AAAA record that has not 16.
    RdataLength,
}

impl Malformed {
    /// All reasons, in the order of [`Malformed::index`].
    pub const ALL: [Self; 10] = [
        Self::Cut,
        Self::LabelType,
        Self::NameTooLong,
        Self::PointerForward,
        Self::PointerIntoHeader,
        Self::PointersTooMany,
        Self::WorkLimit,
        Self::NameOverlap,
        Self::RdataName,
        Self::RdataLength,
    ];

    /// Position in [`Malformed::ALL`], for counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The reason as a counter name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cut => "dns_header_cut",
            Self::LabelType => "dns_label_type",
            Self::NameTooLong => "dns_name_too_long",
            Self::PointerForward => "dns_pointer_forward",
            Self::PointerIntoHeader => "dns_pointer_into_header",
            Self::PointersTooMany => "dns_pointers_too_many",
            Self::WorkLimit => "dns_work_limit",
            Self::NameOverlap => "dns_name_overlap",
            Self::RdataName => "dns_rdata_name",
            Self::RdataLength => "dns_rdata_length",
        }
    }
}

/// A record type by number (<https://www.iana.org/assignments/dns-parameters>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rtype(pub u16);

impl Rtype {
    /// IPv4 address.
    pub const A: Self = Self(1);
    /// Name server.
    pub const NS: Self = Self(2);
    /// Alias.
    pub const CNAME: Self = Self(5);
    /// Start of authority.
    pub const SOA: Self = Self(6);
    /// Pointer, mostly from an address to a name.
    pub const PTR: Self = Self(12);
    /// IPv6 address (RFC 3596).
    pub const AAAA: Self = Self(28);
    /// Alias of a subtree (RFC 6672).
    pub const DNAME: Self = Self(39);
    /// EDNS pseudo-record (RFC 6891).
    pub const OPT: Self = Self(41);
    /// Where a service is to be had (RFC 9460).
    pub const SVCB: Self = Self(64);
    /// The same for the web.
    pub const HTTPS: Self = Self(65);
}

/// The Internet class.
pub const CLASS_IN: u16 = 1;

/// The header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Transaction id.
    pub id: u16,
    /// The 16 bits of flags as they are on the wire.
    pub flags: u16,
    /// Entries promised for question, answer, authority and additional section.
    pub counts: [u16; 4],
}

impl Header {
    /// QR: the message is a response.
    #[must_use]
    pub const fn is_response(self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// The operation; 0 is a standard query.
    #[must_use]
    pub const fn opcode(self) -> u8 {
        (self.flags >> 11 & 0x0f) as u8
    }

    /// AA: the responder says it is an authority for the question.
    #[must_use]
    pub const fn is_authoritative(self) -> bool {
        self.flags & 0x0400 != 0
    }

    /// TC: the sender cut the message.
    #[must_use]
    pub const fn is_truncated(self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// RA: the responder offers recursion.
    #[must_use]
    pub const fn is_recursion_available(self) -> bool {
        self.flags & 0x0080 != 0
    }

    /// The response code's lower four bits; 0 is NOERROR, 3 NXDOMAIN.
    #[must_use]
    pub const fn rcode(self) -> u8 {
        (self.flags & 0x000f) as u8
    }
}

/// The section a record stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What was asked for, with the aliases that lead there.
    Answer,
    /// Name servers of the zone, or its SOA.
    Authority,
    /// What may help: glue, EDNS.
    Additional,
}

/// A DNS message whose header is there.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    octets: &'a [u8],
    header: Header,
    asked: AskedName,
}

/// One entry of the question section.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Name asked for.
    pub qname: NameRef<'a>,
    /// Type asked for.
    pub qtype: Rtype,
    /// Class asked for.
    pub qclass: u16,
}

/// One resource record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Section it stands in.
    pub section: Section,
    /// Name it belongs to.
    pub owner: NameRef<'a>,
    /// Its type.
    pub rtype: Rtype,
    /// Its class; for OPT the sender's UDP payload size.
    pub class: u16,
    /// Its TTL in seconds as it is on the wire, not capped; for OPT flags.
    pub ttl_s: u32,
    /// Its data.
    pub rdata: Rdata<'a>,
}

/// A record by its place in the message: what a walk over many needs, to be copied cheaply.
/// [`Message::record`] makes it a [`Record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// Section it stands in.
    pub section: Section,
    /// Name it belongs to.
    pub owner: NamePosition,
    /// Its type.
    pub rtype: Rtype,
    /// Its class; for OPT the sender's UDP payload size.
    pub class: u16,
    /// Its TTL in seconds as it is on the wire, not capped; for OPT flags.
    pub ttl_s: u32,
    /// What its data was found to be.
    pub data: DataKind,
    /// The name in its data, if it is one.
    pub target: NamePosition,
    at: u16,
    len: u16,
}

/// What the data of a record was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// The 4 bytes of an A record in class IN.
    A,
    /// The 16 bytes of an AAAA record in class IN.
    Aaaa,
    /// The target of a CNAME, NS, PTR or DNAME record.
    Name,
    /// Anything else, known or not.
    Other,
}

/// Record data, typed where flux evidence needs it.
#[derive(Clone, Copy, Debug)]
pub enum Rdata<'a> {
    /// An A record in class IN.
    A([u8; 4]),
    /// An AAAA record in class IN.
    Aaaa([u8; 16]),
    /// The target of a CNAME, NS, PTR or DNAME record.
    Name(NameRef<'a>),
    /// Anything else, known or not, as bytes.
    Other(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Takes bytes as a message.
    ///
    /// # Errors
    /// [`Malformed::Cut`] if there are fewer than 12 bytes. Bytes beyond 65,535 cannot belong to
    /// a DNS message and are left off.
    #[inline]
    pub fn new_checked(octets: &'a [u8]) -> Result<Self, Malformed> {
        let octets = octets.get(..octets.len().min(usize::from(u16::MAX))).unwrap_or(octets);
        let Some((head, _)) = octets.split_first_chunk::<HEADER_OCTETS>() else {
            return Err(Malformed::Cut);
        };
        let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
        let [i0, i1, f0, f1, q0, q1, a0, a1, n0, n1, r0, r1] = *head;
        let header = Header {
            id: word(i0, i1),
            flags: word(f0, f1),
            counts: [word(q0, q1), word(a0, a1), word(n0, n1), word(r0, r1)],
        };
        let asked = if header.counts[0] == 1 { AskedName::find(octets) } else { None };
        Ok(Self { octets, header, asked: asked.unwrap_or_default() })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> Header {
        self.header
    }

    /// The question as it stands on the wire (name, type and class), if the message has exactly one
    /// and it is whole. Nothing lies before its name, so the name has no pointers.
    #[must_use]
    #[inline]
    pub fn question_octets(&self) -> Option<&'a [u8]> {
        // It was looked for where there is exactly one.
        let end = self.asked.wire_len()?.wrapping_add(HEADER_OCTETS + 4);
        self.octets.get(HEADER_OCTETS..end)
    }

    /// A name of this message whose position was kept.
    #[must_use]
    pub const fn name_at(&self, position: NamePosition) -> NameRef<'a> {
        NameRef::at(self.octets, position)
    }

    /// A record of this message, from its head.
    #[must_use]
    pub fn record(&self, head: &RecordHead) -> Record<'a> {
        let rdata = match head.data {
            DataKind::A => self.ipv4(head).map_or(Rdata::Other(&[]), Rdata::A),
            DataKind::Aaaa => self.ipv6(head).map_or(Rdata::Other(&[]), Rdata::Aaaa),
            DataKind::Name => Rdata::Name(self.name_at(head.target)),
            DataKind::Other => Rdata::Other(self.data(head)),
        };
        Record {
            section: head.section,
            owner: self.name_at(head.owner),
            rtype: head.rtype,
            class: head.class,
            ttl_s: head.ttl_s,
            rdata,
        }
    }

    /// The address of an A record of this message.
    #[must_use]
    #[inline]
    pub fn ipv4(&self, head: &RecordHead) -> Option<[u8; 4]> {
        self.data(head).first_chunk().copied()
    }

    /// The address of an AAAA record of this message.
    #[must_use]
    #[inline]
    pub fn ipv6(&self, head: &RecordHead) -> Option<[u8; 16]> {
        self.data(head).first_chunk().copied()
    }

    /// The data of a record of this message as it stands on the wire.
    #[must_use]
    #[inline]
    pub fn data(&self, head: &RecordHead) -> &'a [u8] {
        let at = usize::from(head.at);
        self.octets.get(at..at.saturating_add(usize::from(head.len))).unwrap_or(&[])
    }

    /// Starts a walk at the question section.
    #[must_use]
    #[inline]
    pub fn walk(&self) -> Walk<'a> {
        let [questions, left, authority, additional] = self.header.counts;
        Walk {
            octets: self.octets,
            at: HEADER_OCTETS,
            questions,
            section: Section::Answer,
            left,
            later: [authority, additional],
            pointers: 0,
            is_cut: false,
            repeated: Repeated::of(self.asked),
            known: Known::of(self.asked),
        }
    }
}

/// A walk over a message: first the questions, then the records, each once.
///
/// After a malformed entry the walk is over; after a cut the records before it stand.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    octets: &'a [u8],
    at: usize,
    questions: u16,
    /// The section that is walked, and entries left in it and in those behind it.
    section: Section,
    left: u16,
    later: [u16; 2],
    pointers: u32,
    is_cut: bool,
    repeated: Repeated,
    known: Known,
}

/// The last owner that was a pointer and nothing else: most records have the same as the one before,
/// and it is as good there, being further away from where it points to.
#[derive(Clone, Copy, Debug)]
struct Repeated {
    /// The two bytes of it; more than fits in two, if there is none.
    pointer: u32,
    /// Pointers that it takes, itself included.
    pointers: u32,
    position: NamePosition,
}

impl Repeated {
    /// Before the first record: a pointer to the question's name.
    #[inline]
    fn of(asked: AskedName) -> Self {
        let pointer =
            if asked.wire_len().is_some() { 0xc000 | HEADER_OCTETS as u32 } else { u32::MAX };
        Self { pointer, pointers: 1, position: asked.position() }
    }
}

impl<'a> Walk<'a> {
    /// The next question, `None` when there is no more.
    ///
    /// # Errors
    /// The reason when the question is malformed.
    #[inline]
    pub fn next_question(&mut self) -> Result<Option<Question<'a>>, Malformed> {
        if self.is_cut || self.questions == 0 {
            return Ok(None);
        }
        self.questions = self.questions.saturating_sub(1);
        let start = self.at;
        match self.question(start) {
            Ok(question) => Ok(Some(question)),
            Err(Malformed::Cut) => {
                self.end_cut(start);
                Ok(None)
            }
            Err(reason) => {
                self.end_malformed();
                Err(reason)
            }
        }
    }

    /// The next record, `None` when there is no more. Skips questions not asked for.
    ///
    /// # Errors
    /// The reason when the record is malformed; the walk is over then.
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, Malformed> {
        let head = self.next_head()?;
        // The header's fields play no part in reading a record.
        let header = Header { id: 0, flags: 0, counts: [0; 4] };
        let message = Message { octets: self.octets, header, asked: AskedName::default() };
        Ok(head.map(|head| message.record(&head)))
    }

    /// The same, as a head alone.
    ///
    /// # Errors
    /// The reason when the record is malformed; the walk is over then.
    #[inline(always)]
    pub fn next_head(&mut self) -> Result<Option<RecordHead>, Malformed> {
        while self.questions > 0 {
            self.next_question()?;
        }
        while self.left == 0 {
            let [next, last] = self.later;
            self.section = match self.section {
                Section::Answer => Section::Authority,
                Section::Authority => Section::Additional,
                Section::Additional => return Ok(None),
            };
            (self.left, self.later) = (next, [last, 0]);
        }
        self.left = self.left.saturating_sub(1);
        let start = self.at;
        match self.head(start, self.section) {
            Ok(head) => Ok(Some(head)),
            Err(Malformed::Cut) => {
                self.end_cut(start);
                Ok(None)
            }
            Err(reason) => {
                self.end_malformed();
                Err(reason)
            }
        }
    }

    /// Whether the message ended before its counts were met.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Bytes behind the last entry read; 0 after a cut or a malformed entry.
    #[must_use]
    pub const fn trailing_octets(&self) -> usize {
        if self.is_cut { 0 } else { self.octets.len().saturating_sub(self.at) }
    }

    fn end_cut(&mut self, at: usize) {
        self.is_cut = true;
        self.end();
        self.at = at;
    }

    fn end_malformed(&mut self) {
        self.end();
        self.at = self.octets.len();
    }

    fn end(&mut self) {
        self.questions = 0;
        self.left = 0;
        self.later = [0; 2];
    }

    #[inline(always)]
    fn name(&mut self, at: usize, end: usize) -> Result<(NamePosition, usize), Malformed> {
        let checked = name::check(self.octets, at, end, &mut self.known)?;
        self.count_pointers(checked.pointers)?;
        Ok((checked.position, checked.next))
    }

    /// The owner at `start`, where it ends, and what is behind it.
    fn owner(&mut self, start: usize) -> Result<(NamePosition, usize, &'a [u8]), Malformed> {
        let rest = self.octets.get(start..).unwrap_or(&[]);
        if let Some((pointer, behind)) = rest.split_first_chunk()
            && pointer[0] >= 0xc0
            && let Some((position, pointers)) = self.known.pointed_to(*pointer, start)
        {
            self.count_pointers(pointers)?;
            self.repeated = Repeated { pointer: two(pointer), pointers, position };
            return Ok((position, start.wrapping_add(2), behind));
        }
        let (position, next) = self.name(start, self.octets.len())?;
        Ok((position, next, self.octets.get(next..).unwrap_or(&[])))
    }

    #[inline(always)]
    fn count_pointers(&mut self, pointers: u32) -> Result<(), Malformed> {
        self.pointers = self.pointers.saturating_add(pointers);
        if self.pointers > POINTERS_PER_MESSAGE_MAX { Err(Malformed::WorkLimit) } else { Ok(()) }
    }

    #[inline]
    fn question(&mut self, start: usize) -> Result<Question<'a>, Malformed> {
        let (qname, at) = match self.known.asked().wire_len() {
            // The only one, so it is not read again.
            Some(len) => (self.known.asked().position(), start.wrapping_add(len)),
            None => self.name(start, self.octets.len())?,
        };
        let Some([t0, t1, c0, c1]) = self.octets.get(at..).and_then(|b| b.first_chunk::<4>())
        else {
            return Err(Malformed::Cut);
        };
        self.at = at.saturating_add(4);
        Ok(Question {
            qname: NameRef::at(self.octets, qname),
            qtype: Rtype(u16::from_be_bytes([*t0, *t1])),
            qclass: u16::from_be_bytes([*c0, *c1]),
        })
    }

    #[inline(always)]
    fn head(&mut self, start: usize, section: Section) -> Result<RecordHead, Malformed> {
        let rest = self.octets.get(start..).unwrap_or(&[]);
        let (owner, at, fixed) = match rest.split_first_chunk() {
            Some((pointer, behind)) if self.repeated.pointer == two(pointer) => {
                self.count_pointers(self.repeated.pointers)?;
                (self.repeated.position, start.wrapping_add(2), behind)
            }
            // The root, as EDNS has it.
            Some(([0, _], _)) => {
                let next = start.wrapping_add(1);
                (NamePosition::new(start, 1, 0), next, rest.get(1..).unwrap_or(&[]))
            }
            _ => self.owner(start)?,
        };
        let Some([t0, t1, c0, c1, l0, l1, l2, l3, r0, r1]) = fixed.first_chunk() else {
            return Err(Malformed::Cut);
        };
        let rtype = Rtype(u16::from_be_bytes([*t0, *t1]));
        let class = u16::from_be_bytes([*c0, *c1]);
        let from = at.wrapping_add(10);
        let len = u16::from_be_bytes([*r0, *r1]);
        let end = from.wrapping_add(usize::from(len));
        if end > self.octets.len() {
            return Err(Malformed::Cut);
        }
        let mut target = NamePosition::default();
        let data = match rtype {
            // Other classes have other address formats (CHAOS A is a name and a number).
            Rtype::A if class == CLASS_IN => {
                if len != 4 {
                    return Err(Malformed::RdataLength);
                }
                DataKind::A
            }
            Rtype::AAAA if class == CLASS_IN => {
                if len != 16 {
                    return Err(Malformed::RdataLength);
                }
                DataKind::Aaaa
            }
            // Dynamic updates and their answers carry these types with empty data (RFC 2136).
            Rtype::CNAME | Rtype::NS | Rtype::PTR | Rtype::DNAME if len > 0 => {
                target = match self.name(from, end) {
                    Ok((name, next)) if next == end => name,
                    // The data is all there, so a name that does not fit in it is a lie, not a cut.
                    Ok(_) | Err(Malformed::Cut) => return Err(Malformed::RdataName),
                    Err(reason) => return Err(reason),
                };
                DataKind::Name
            }
            _ => DataKind::Other,
        };
        self.at = end;
        Ok(RecordHead {
            section,
            owner,
            rtype,
            class,
            ttl_s: u32::from_be_bytes([*l0, *l1, *l2, *l3]),
            data,
            target,
            // A message has at most 65,535 bytes, so an offset in one fits.
            at: from as u16,
            len,
        })
    }
}

const fn two(octets: &[u8; 2]) -> u32 {
    u16::from_be_bytes(*octets) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header with the given counts, then `body`.
    fn message(counts: [u16; 4], body: &[u8]) -> Vec<u8> {
        let mut octets = vec![0x12, 0x34, 0x81, 0x80];
        for count in counts {
            octets.extend(count.to_be_bytes());
        }
        octets.extend_from_slice(body);
        octets
    }

    const QUESTION: &[u8] = b"\x01a\x04test\x00\x00\x01\x00\x01";

    fn record(owner: &[u8], rtype: u16, class: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
        let mut r = owner.to_vec();
        r.extend(rtype.to_be_bytes());
        r.extend(class.to_be_bytes());
        r.extend(ttl.to_be_bytes());
        r.extend((rdata.len() as u16).to_be_bytes());
        r.extend_from_slice(rdata);
        r
    }

    /// Walks all; a line a record, then how it ended.
    fn walked(octets: &[u8]) -> Vec<String> {
        let message = match Message::new_checked(octets) {
            Ok(message) => message,
            Err(reason) => return vec![format!("{reason:?}")],
        };
        let mut walk = message.walk();
        let mut lines = Vec::new();
        loop {
            match walk.next_record() {
                Ok(Some(r)) => {
                    let data = match r.rdata {
                        Rdata::A(a) => std::net::Ipv4Addr::from(a).to_string(),
                        Rdata::Aaaa(a) => std::net::Ipv6Addr::from(a).to_string(),
                        Rdata::Name(n) => n.to_name().to_string(),
                        Rdata::Other(b) => format!("{} bytes", b.len()),
                    };
                    let owner = r.owner.to_name();
                    lines.push(format!("{:?} {owner} {} {} {data}", r.section, r.rtype.0, r.ttl_s));
                }
                Ok(None) => break,
                Err(reason) => {
                    lines.push(format!("{reason:?}"));
                    break;
                }
            }
        }
        if walk.is_cut() {
            lines.push("cut".to_owned());
        }
        if walk.trailing_octets() > 0 {
            lines.push(format!("{} trailing", walk.trailing_octets()));
        }
        lines
    }

    #[test]
    fn the_question_as_it_stands() {
        let long = [&[63; 64][..], &[63; 64], &[63; 64], &[61; 62], &[0, 0, 1, 0, 1]].concat();
        let too_long = [&[63; 64][..], &[63; 64], &[63; 64], &[62; 63], &[0, 0, 1, 0, 1]].concat();
        type Row<'a> = (&'a str, Vec<u8>, Option<&'a [u8]>);
        let rows: Vec<Row<'_>> = vec![
            ("one", message([1, 0, 0, 0], QUESTION), Some(QUESTION)),
            (
                "what follows it",
                message([1, 1, 0, 0], &[QUESTION, b"more"].concat()),
                Some(QUESTION),
            ),
            ("the root", message([1, 0, 0, 0], &[0, 0, 2, 0, 1]), Some(&[0, 0, 2, 0, 1])),
            (
                "its case",
                message([1, 0, 0, 0], b"\x01A\0\0\x01\0\x01"),
                Some(b"\x01A\0\0\x01\0\x01"),
            ),
            ("255 bytes", message([1, 0, 0, 0], &long), Some(&long)),
            ("256 bytes", message([1, 0, 0, 0], &too_long), None),
            ("none", message([0; 4], QUESTION), None),
            ("two", message([2, 0, 0, 0], &[QUESTION, QUESTION].concat()), None),
            ("a pointer", message([1, 0, 0, 0], &[0xc0, 12, 0, 1, 0, 1]), None),
            ("cut in the class", message([1, 0, 0, 0], &QUESTION[..QUESTION.len() - 1]), None),
            ("cut in the name", message([1, 0, 0, 0], &QUESTION[..4]), None),
        ];
        for (what, octets, expected) in rows {
            let question = Message::new_checked(&octets).unwrap().question_octets();
            assert_eq!(question, expected, "{what}");
        }
    }

    /// To the question's name.
    const POINTER: &[u8] = &[0xc0, 12];

    fn address() -> Vec<u8> {
        record(POINTER, 1, 1, 60, &[192, 0, 2, 1])
    }

    /// The question, then records.
    fn with(records: &[Vec<u8>], counts: [u16; 4]) -> Vec<u8> {
        message(counts, &[QUESTION, &records.concat()].concat())
    }

    fn assert_walks(rows: &[(&str, Vec<u8>, Vec<&str>)]) {
        for (what, octets, expect) in rows {
            assert_eq!(walked(octets), *expect, "{what}");
        }
    }

    #[test]
    fn records_of_every_kind() {
        let (p, a) = (POINTER, address());
        assert_walks(&[
            ("header only", message([0; 4], b""), vec![]),
            ("eleven bytes", message([0; 4], b"")[..11].to_vec(), vec!["Cut"]),
            (
                "an A",
                with(std::slice::from_ref(&a), [1, 1, 0, 0]),
                vec!["Answer a.test 1 60 192.0.2.1"],
            ),
            (
                "unknown type, class and top-bit TTL are data",
                with(
                    &[record(p, 65, 1, 1, b"xyz"), record(p, 0xfffe, 77, u32::MAX, b""), a.clone()],
                    [1, 3, 0, 0],
                ),
                vec![
                    "Answer a.test 65 1 3 bytes",
                    "Answer a.test 65534 4294967295 0 bytes",
                    "Answer a.test 1 60 192.0.2.1",
                ],
            ),
            (
                "all sections",
                with(
                    &[
                        record(p, 5, 1, 9, &[1, b'B', 0xc0, 14]),
                        record(p, 2, 1, 9, p),
                        record(&[0], 41, 4096, 0, b""),
                    ],
                    [1, 1, 1, 1],
                ),
                vec![
                    "Answer a.test 5 9 b.test",
                    "Authority a.test 2 9 a.test",
                    "Additional . 41 0 0 bytes",
                ],
            ),
        ]);
    }

    #[test]
    fn records_and_counts_that_are_wrong() {
        let (p, a) = (POINTER, address());
        assert_walks(&[
            (
                "A of 3 bytes",
                with(&[record(p, 1, 1, 1, &[1, 2, 3])], [1, 1, 0, 0]),
                vec!["RdataLength"],
            ),
            (
                "A of 3 bytes, class CHAOS",
                with(&[record(p, 1, 3, 1, &[1, 2, 3])], [1, 1, 0, 0]),
                vec!["Answer a.test 1 1 3 bytes"],
            ),
            (
                "AAAA of 4 bytes",
                with(&[record(p, 28, 1, 1, &[1, 2, 3, 4])], [1, 1, 0, 0]),
                vec!["RdataLength"],
            ),
            (
                "an owner at offset 0, where the header is",
                with(&[record(&[0xc0, 0], 1, 1, 1, &[192, 0, 2, 1])], [1, 1, 0, 0]),
                vec!["PointerIntoHeader"],
            ),
            (
                "CNAME shorter than its data",
                with(&[record(p, 5, 1, 1, &[0xc0, 12, 0])], [1, 1, 0, 0]),
                vec!["RdataName"],
            ),
            (
                "CNAME longer than its data",
                with(&[record(p, 5, 1, 1, &[3, b'x'])], [1, 1, 0, 0]),
                vec!["RdataName"],
            ),
            (
                "empty NS data of an update",
                with(&[record(p, 2, 254, 0, b"")], [1, 1, 0, 0]),
                vec!["Answer a.test 2 0 0 bytes"],
            ),
            (
                "count too high",
                with(std::slice::from_ref(&a), [1, 2, 0, 0]),
                vec!["Answer a.test 1 60 192.0.2.1", "cut"],
            ),
            (
                "count too low",
                with(&[a.clone(), a.clone()], [1, 1, 0, 0]),
                vec!["Answer a.test 1 60 192.0.2.1", "16 trailing"],
            ),
            (
                "two questions",
                message([2, 1, 0, 0], &[QUESTION, QUESTION, &a].concat()),
                vec!["Answer a.test 1 60 192.0.2.1"],
            ),
            (
                "a bad name after a good record",
                with(&[a.clone(), vec![0x80]], [1, 2, 0, 0]),
                vec!["Answer a.test 1 60 192.0.2.1", "LabelType"],
            ),
        ]);
    }

    #[test]
    fn every_truncation_gives_the_whole_records_and_says_cut() {
        let mut body = QUESTION.to_vec();
        let mut ends = vec![];
        for i in 0..4_u8 {
            body.extend(record(&[0xc0, 12], 1, 1, 60, &[192, 0, 2, i]));
            ends.push(12 + body.len());
        }
        let whole = message([1, 4, 0, 0], &body);
        for len in 12..whole.len() {
            let lines = walked(&whole[..len]);
            let records = ends.iter().filter(|&&end| end <= len).count();
            assert_eq!(lines.len(), records + 1, "{len}");
            assert_eq!(lines.last().map(String::as_str), Some("cut"), "{len}");
        }
        assert_eq!(walked(&whole).len(), 4);
    }

    #[test]
    fn work_per_message_is_bounded() {
        // A TXT record whose data is a chain of 126 pointers, each to the one before, then as many
        // records as the counts allow that all take the end of the chain as their owner.
        let mut octets = message([0, 4000, 0, 0], &[]);
        let chain_at = octets.len() + 11;
        let mut chain = vec![0_u8];
        for i in 0..126_usize {
            let target = chain_at + if i == 0 { 0 } else { 1 + 2 * (i - 1) };
            chain.extend([0xc0 | (target >> 8) as u8, target as u8]);
        }
        octets.extend(record(&[0], 16, 1, 0, &chain));
        let target = chain_at + 1 + 2 * 125;
        let owner = [0xc0 | (target >> 8) as u8, target as u8];
        for _ in 0..3999 {
            octets.extend(record(&owner, 16, 1, 0, b""));
        }
        assert_eq!(walked(&octets).last().map(String::as_str), Some("WorkLimit"));
    }
}
