//! DNS messages out of a stream of bytes (RFC 1035 section 4.2.2): two bytes of length, then the
//! message.
//!
//! Where the stream was joined late or bytes are missing, the next boundary is guessed: a length
//! and a header that fit each other, a question that can be one, and then, as confirmation, a
//! message whose records end exactly where its length says.

use fluxtap_wire::{Message, Timestamp};

/// The two bytes of length and the message's header.
const HEAD_OCTETS: usize = 2 + fluxtap_wire::dns::HEADER_OCTETS;

/// Shortest question: the root name, type and class.
const QUESTION_OCTETS_MIN: usize = 5;

/// Shortest record: the root name, type, class, TTL and length.
const RECORD_OCTETS_MIN: usize = 11;

/// Most messages walked in vain in search of a boundary before a stream is taken for something else
/// than DNS. Without this limit, bytes that look like boundaries everywhere would cost their square.
const CANDIDATES_MAX: u32 = 16;

/// Most bytes searched for a boundary before a stream is taken for something else than DNS.
const SEARCHED_OCTETS_MAX: usize = 256 << 10;

/// Where messages go: when the last of their bytes was captured, the message, and whether it is cut.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(Timestamp, &[u8], bool);

/// Counters of framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FramingCounts {
    /// Boundaries found by search.
    pub(crate) resynchronised: u64,
    /// Bytes in which no message was found.
    pub(crate) skipped: u64,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The first of a length, if nothing is buffered.
    Boundary,
    /// One of so many that belong to a message which was given up.
    Inside(u64),
    /// Not known yet.
    Unknown(Search),
    /// One of a stream that is no DNS.
    Hopeless,
}

/// How long a boundary has been looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Search {
    octets: usize,
    candidates: u32,
}

impl Search {
    const fn is_hopeless(&self) -> bool {
        self.octets > SEARCHED_OCTETS_MAX || self.candidates > CANDIDATES_MAX
    }
}

/// Turns the bytes of one direction of a stream into messages.
#[derive(Debug)]
pub(crate) struct Framer {
    place: Place,
    partial: Vec<u8>,
    /// Whether a boundary was known at any time.
    was_sure: bool,
}

impl Framer {
    /// A stream that begins at a boundary.
    pub(crate) const fn at_boundary() -> Self {
        Self { place: Place::Boundary, partial: Vec::new(), was_sure: true }
    }

    /// A stream that was joined somewhere.
    pub(crate) fn at_unknown() -> Self {
        let place = Place::Unknown(Search::default());
        Self { place, partial: Vec::new(), was_sure: false }
    }

    /// Whether no boundary was ever known, and none is in sight.
    pub(crate) fn is_unread(&self) -> bool {
        !self.was_sure && self.partial.len() < HEAD_OCTETS
    }

    /// Bytes of memory it takes beside its own size.
    pub(crate) fn memory(&self) -> usize {
        self.partial.capacity()
    }

    /// Takes the bytes that follow.
    pub(crate) fn feed(
        &mut self,
        at: Timestamp,
        mut bytes: &[u8],
        counts: &mut FramingCounts,
        visit: Visit<'_>,
    ) {
        while !bytes.is_empty() {
            bytes = match self.place {
                Place::Boundary if self.partial.is_empty() => self.whole(at, bytes, counts, visit),
                Place::Boundary => self.complete(at, bytes, counts, visit),
                Place::Inside(left) => {
                    let skipped = left.min(bytes.len() as u64);
                    counts.skipped += skipped;
                    self.place = match left - skipped {
                        0 => Place::Boundary,
                        left => Place::Inside(left),
                    };
                    bytes.get(skipped as usize..).unwrap_or(&[])
                }
                Place::Unknown(search) => {
                    self.partial.extend_from_slice(bytes);
                    self.search(at, search, counts, visit);
                    &[]
                }
                Place::Hopeless => {
                    counts.skipped += bytes.len() as u64;
                    &[]
                }
            };
        }
    }

    /// Steps over `missing` bytes that will not come. A message they lie in is given out as cut.
    pub(crate) fn gap(
        &mut self,
        at: Timestamp,
        missing: u64,
        counts: &mut FramingCounts,
        visit: Visit<'_>,
    ) {
        let left = match self.place {
            Place::Inside(left) => left,
            // Too short to say how long the message is, or a boundary lost.
            Place::Boundary => self.give_up(at, counts, visit).unwrap_or(0),
            Place::Unknown(_) => {
                self.drop_partial(counts);
                0
            }
            Place::Hopeless => return,
        };
        self.place = match left.checked_sub(missing) {
            Some(0) if left > 0 => Place::Boundary,
            Some(left) if left > 0 => Place::Inside(left),
            _ => Place::Unknown(Search::default()),
        };
    }

    /// The end of the stream: what is left is given out as cut.
    pub(crate) fn end(&mut self, at: Timestamp, counts: &mut FramingCounts, visit: Visit<'_>) {
        if self.place == Place::Boundary {
            self.give_up(at, counts, visit);
        }
        self.drop_partial(counts);
        self.place = Place::Unknown(Search::default());
    }

    /// Messages that lie whole in `bytes`; the rest is buffered.
    fn whole<'a>(
        &mut self,
        at: Timestamp,
        bytes: &'a [u8],
        counts: &mut FramingCounts,
        visit: Visit<'_>,
    ) -> &'a [u8] {
        let mut rest = bytes;
        while let Some((message, next)) = split_message(rest) {
            if message.is_empty() {
                counts.skipped += 2;
            } else {
                visit(at, message, false);
            }
            rest = next;
        }
        self.partial.extend_from_slice(rest);
        &[]
    }

    /// Completes the buffered message; returns the bytes behind it.
    fn complete<'a>(
        &mut self,
        at: Timestamp,
        bytes: &'a [u8],
        counts: &mut FramingCounts,
        visit: Visit<'_>,
    ) -> &'a [u8] {
        let needed = message_end(&self.partial).unwrap_or(2) - self.partial.len();
        let (taken, rest) = bytes.split_at_checked(needed).unwrap_or((bytes, &[]));
        self.partial.extend_from_slice(taken);
        if let Some((message, _)) = split_message(&self.partial) {
            if message.is_empty() {
                counts.skipped += 2;
            } else {
                visit(at, message, false);
            }
            // Given back: a stream that waits between two messages costs no buffer.
            self.partial = Vec::new();
        }
        rest
    }

    /// Gives the buffered beginning of a message out as cut; returns how many bytes of it are
    /// missing, if that is known.
    fn give_up(
        &mut self,
        at: Timestamp,
        counts: &mut FramingCounts,
        visit: Visit<'_>,
    ) -> Option<u64> {
        let end = message_end(&self.partial);
        let missing = end.map(|end| (end - self.partial.len()) as u64);
        if self.partial.len() >= HEAD_OCTETS {
            visit(at, self.partial.get(2..).unwrap_or(&[]), true);
            self.partial = Vec::new();
        } else {
            self.drop_partial(counts);
        }
        missing
    }

    fn drop_partial(&mut self, counts: &mut FramingCounts) {
        counts.skipped += self.partial.len() as u64;
        self.partial = Vec::new();
    }

    /// Looks for a boundary in what is buffered.
    fn search(
        &mut self,
        at: Timestamp,
        mut search: Search,
        counts: &mut FramingCounts,
        visit: Visit<'_>,
    ) {
        let mut partial = std::mem::take(&mut self.partial);
        let mut from = 0;
        while let Some(rest) = partial.get(from..).filter(|rest| rest.len() >= HEAD_OCTETS) {
            if is_plausible(rest) {
                let Some((message, behind)) = split_message(rest) else { break };
                if is_sound(message) {
                    counts.resynchronised += 1;
                    counts.skipped += from as u64;
                    self.place = Place::Boundary;
                    self.was_sure = true;
                    visit(at, message, false);
                    self.feed(at, behind, counts, visit);
                    return;
                }
                search.candidates += 1;
            }
            from += 1;
            search.octets += 1;
            if search.is_hopeless() {
                counts.skipped += partial.len() as u64;
                self.place = Place::Hopeless;
                return;
            }
        }
        counts.skipped += from as u64;
        partial.drain(..from);
        self.partial = partial;
        self.place = Place::Unknown(search);
    }
}

/// Where the message that begins here with its length ends.
fn message_end(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|length| 2 + usize::from(u16::from_be_bytes(*length)))
}

/// The first message and what is behind it, if it is whole.
fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (message, rest) = bytes.split_at_checked(message_end(bytes)?)?;
    Some((message.get(2..)?, rest))
}

/// Whether a length and a message with one question can begin here. `bytes` has a header at least.
fn is_plausible(bytes: &[u8]) -> bool {
    let Some(head) = bytes.first_chunk::<HEAD_OCTETS>() else { return false };
    let [_, _, _, _, _, _, q0, q1, ..] = *head;
    // Rejects nearly everything that is no header.
    if (q0, q1) != (0, 1) {
        return false;
    }
    let Some(end) = message_end(bytes) else { return false };
    let octets = bytes.get(2..end.min(bytes.len())).unwrap_or(&[]);
    let Ok(message) = Message::new_checked(octets) else { return false };
    let header = message.header();
    let [_, answers, authority, additional] = header.counts.map(usize::from);
    let records = answers + authority + additional;
    // Opcodes and response codes beyond are unassigned; bit 6 is reserved (RFC 6895 section 2).
    let is_header = header.opcode() <= 6 && header.rcode() <= 11 && header.flags & 0x0040 == 0;
    let is_query = header.is_response() || answers == 0;
    let least = HEAD_OCTETS + QUESTION_OCTETS_MIN + records * RECORD_OCTETS_MIN;
    is_header && is_query && least <= end && is_question(&message, octets.len() + 2 < end)
}

/// Whether the question is one, as far as it is there.
fn is_question(message: &Message<'_>, is_cut: bool) -> bool {
    match message.walk().next_question() {
        // Internet, Chaos, Hesiod, none and any (RFC 6895 section 3.2).
        Ok(Some(question)) => matches!(question.qclass, 1 | 3 | 4 | 254 | 255),
        Ok(None) => is_cut,
        Err(_) => false,
    }
}

/// Whether every record that the header promises is there and nothing else is.
fn is_sound(octets: &[u8]) -> bool {
    let Ok(message) = Message::new_checked(octets) else { return false };
    let mut walk = message.walk();
    loop {
        match walk.next_record() {
            Ok(Some(_)) => {}
            Ok(None) => return !walk.is_cut() && walk.trailing_octets() == 0,
            Err(_) => return false,
        }
    }
}
