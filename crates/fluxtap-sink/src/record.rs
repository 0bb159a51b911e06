//! What is delivered: a line in the forms that sinks ask for, and what must be known about it
//! beside. The names of its fields are the business of whoever made the line.

use std::sync::Arc;

/// Longest line that is taken, in octets; alert lines are held below 7,000, text is longer.
pub const LINE_OCTETS_MAX: usize = 1 << 18;

/// Longest id, domain and kind, in octets; longer ones are cut.
const WORD_OCTETS_MAX: usize = 255;

/// Version of the encoding in front of each body.
const VERSION: u8 = 1;

/// Octets of a body in front of its words.
const FRONT_OCTETS: usize = 20;

/// The forms a line can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// One JSON object and a newline.
    Json,
    /// For people, of fixed width and without colour; may be several lines.
    Text,
    /// For people at the terminal behind standard output, as wide and coloured as that is.
    Terminal,
}

/// How a record fares when there is no room for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is never given up for another: beginnings and ends of alerts.
    Always,
    /// It goes, oldest first, when a newer record needs its place: updates and signs of life.
    WhileThereIsRoom,
}

/// One line to deliver to every sink whose filter lets it pass.
#[derive(Clone, Debug)]
pub struct Record {
    /// Names this line, so that receivers can tell a second copy from a second line.
    pub id: String,
    /// The domain it is about; may be empty.
    pub domain: String,
    /// Its kind, which filters know.
    pub kind: String,
    /// 1 low, 2 medium, 3 high; `None` passes every filter of severity.
    pub severity: Option<u8>,
    /// Its time, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whether it may be given up for another.
    pub keep: Keep,
    /// The line in the forms that [`crate::Delivery::wants`], by [`Form`]; others stay empty. A
    /// sink whose form is empty passes the record over.
    pub forms: [Arc<[u8]>; 3],
}

impl Record {
    /// The line in a form.
    #[must_use]
    pub fn form(&self, form: Form) -> &Arc<[u8]> {
        &self.forms[form as usize]
    }

    /// Octets it takes while it waits in memory.
    pub(crate) fn octets(&self) -> usize {
        let words = self.id.len() + self.domain.len() + self.kind.len();
        size_of::<Self>() + words + self.forms.iter().map(|form| form.len()).sum::<usize>()
    }
}

/// A record as one sink keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its place in the order of this sink, from 1 on.
    pub(crate) seq: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub(crate) accepted_ms: u64,
    pub(crate) at_ms: u64,
    pub(crate) is_update: bool,
    pub(crate) severity: Option<u8>,
    pub(crate) id: String,
    pub(crate) domain: String,
    pub(crate) kind: String,
    pub(crate) line: Arc<[u8]>,
}

impl Item {
    pub(crate) fn new(record: &Record, form: Form, accepted_ms: u64) -> Self {
        Self {
            seq: 0,
            accepted_ms,
            at_ms: record.at_ms,
            is_update: record.keep == Keep::WhileThereIsRoom,
            severity: record.severity,
            id: cut(&record.id).to_owned(),
            domain: cut(&record.domain).to_owned(),
            kind: cut(&record.kind).to_owned(),
            line: Arc::clone(record.form(form)),
        }
    }

    /// The line without its end.
    pub(crate) fn text(&self) -> &[u8] {
        self.line.strip_suffix(b"\n").unwrap_or(&self.line)
    }

    /// Octets it takes while it waits in memory.
    pub(crate) fn octets(&self) -> usize {
        size_of::<Self>() + self.line.len() + self.id.len() + self.domain.len() + self.kind.len()
    }

    /// Appends everything but the sequence number.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        to.push(VERSION);
        to.push(u8::from(self.is_update));
        to.push(self.severity.map_or(0, |severity| severity.saturating_add(1)));
        to.push(0);
        to.extend_from_slice(&self.accepted_ms.to_le_bytes());
        to.extend_from_slice(&self.at_ms.to_le_bytes());
        for word in [&self.id, &self.domain, &self.kind] {
            // Words are cut to this length when they come in.
            to.push(u8::try_from(word.len()).unwrap_or(u8::MAX));
            to.extend_from_slice(cut(word).as_bytes());
        }
        to.extend_from_slice(&self.line);
    }

    /// Reads what [`Self::encode`] wrote; `None` if it did not.
    pub(crate) fn decode(seq: u64, body: &[u8]) -> Option<Self> {
        let (front, mut rest) = body.split_at_checked(FRONT_OCTETS)?;
        if front[0] != VERSION || front[1] > 1 {
            return None;
        }
        let number = |at: usize| front[at..at + 8].try_into().ok().map(u64::from_le_bytes);
        let mut word = || {
            let (length, after) = rest.split_first()?;
            let (word, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            String::from_utf8(word.to_vec()).ok()
        };
        Some(Self {
            seq,
            is_update: front[1] == 1,
            severity: front[2].checked_sub(1),
            accepted_ms: number(4)?,
            at_ms: number(12)?,
            id: word()?,
            domain: word()?,
            kind: word()?,
            line: rest.into(),
        })
    }
}

/// The text up to the longest that is kept.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(WORD_OCTETS_MAX)]
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record with a line of its own.
    pub(crate) fn record(id: &str, keep: Keep, octets: usize) -> Record {
        let line = format!("{{\"id\":\"{id}\",\"pad\":\"{}\"}}\n", "x".repeat(octets));
        let line: Arc<[u8]> = line.into_bytes().into();
        Record {
            id: id.to_owned(),
            domain: "flux.example".to_owned(),
            kind: "single_flux".to_owned(),
            severity: Some(3),
            at_ms: 1_700_000_000_123,
            keep,
            forms: [Arc::clone(&line), Arc::clone(&line), line],
        }
    }

    pub(crate) fn item(seq: u64, keep: Keep, octets: usize) -> Item {
        Item { seq, ..Item::new(&record(&format!("e{seq}"), keep, octets), Form::Json, 5) }
    }

    #[test]
    fn items_are_read_back() {
        let mut bare = item(7, Keep::WhileThereIsRoom, 0);
        bare.severity = None;
        bare.domain.clear();
        bare.line = b"".as_slice().into();
        let mut long = item(8, Keep::Always, 9);
        long.id = "é".repeat(127);
        for item in [item(6, Keep::Always, 3), bare, long] {
            let mut body = Vec::new();
            item.encode(&mut body);
            assert_eq!(Item::decode(item.seq, &body), Some(item));
        }
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let cut = Item::new(&record(&"é".repeat(200), Keep::Always, 0), Form::Json, 0);
        assert_eq!(cut.id, "é".repeat(127));
    }

    #[test]
    fn no_bytes_are_read_beyond_the_end() {
        let mut body = Vec::new();
        item(1, Keep::Always, 3).encode(&mut body);
        for length in 0..FRONT_OCTETS + 3 {
            assert_eq!(Item::decode(1, &body[..length]), None, "{length}");
        }
        body[0] = 9;
        assert_eq!(Item::decode(1, &body), None, "another version");
    }
}
