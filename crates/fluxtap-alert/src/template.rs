//! A line in which room is left for the addresses.
//!
//! They give way first when a line would be too long, and how many remain depends on all that stands
//! beside them. So that is written once, and they are laid in when their number is known, with what
//! says how many they are.

use crate::line::append_json;
use crate::shape::{Address, Line};
use serde::{Serialize, Serializer};

/// Stands for what is laid in later. A line has three, in this order: how many addresses are listed,
/// whether there are more, and the list itself.
pub(crate) struct Gap;

/// How a gap is written: no JSON text has this character, since strings escape it.
const GAP: char = '\u{1}';

impl Serialize for Gap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&[GAP as u8])
    }
}

/// Addresses as JSON, one behind the other with commas between them.
pub(crate) struct Addresses {
    json: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// How many there are, written or not.
    count: usize,
}

impl Addresses {
    /// The first ones, of so many.
    pub(crate) fn of<'a>(first: impl Iterator<Item = Address<'a>>, count: usize) -> Self {
        let (mut json, mut ends) = (Vec::new(), Vec::new());
        for address in first {
            if !json.is_empty() {
                json.push(b',');
            }
            append_json(&address, &mut json);
            ends.push(json.len());
        }
        Self { json, ends, count }
    }

    /// How many of the last of `listed` make up for so many bytes, each with its comma, none too many:
    /// at least one.
    pub(crate) fn at_least(&self, octets: usize, listed: usize) -> usize {
        let end = self.first(listed).len();
        let is_enough = |entries: &usize| end - self.first(listed - entries).len() >= octets;
        (1..listed).find(is_enough).unwrap_or(listed.max(1))
    }

    fn first(&self, listed: usize) -> &[u8] {
        let end = listed.checked_sub(1).and_then(|last| self.ends.get(last));
        &self.json[..end.copied().unwrap_or_default()]
    }

    /// What is laid in when so many are listed.
    fn gaps(&self, listed: usize) -> [Vec<u8>; 3] {
        let is_truncated = listed < self.count;
        [
            listed.to_string().into_bytes(),
            is_truncated.to_string().into_bytes(),
            [b"[", self.first(listed), b"]"].concat(),
        ]
    }
}

/// See the module's head.
pub(crate) struct Template(String);

impl Template {
    pub(crate) fn of(line: &Line<'_>) -> Self {
        let mut json = Vec::new();
        append_json(line, &mut json);
        json.push(b'\n');
        Self(String::from_utf8(json).expect("ASCII"))
    }

    /// Bytes of the line when the first `listed` addresses are laid in.
    pub(crate) fn len(&self, addresses: &Addresses, listed: usize) -> usize {
        let gaps = addresses.gaps(listed);
        self.0.len() - gaps.len() + gaps.iter().map(Vec::len).sum::<usize>()
    }

    /// Appends that line to `out`.
    pub(crate) fn fill(&self, addresses: &Addresses, listed: usize, out: &mut Vec<u8>) {
        let mut gaps = addresses.gaps(listed).into_iter();
        for part in self.0.split(GAP) {
            out.extend_from_slice(part.as_bytes());
            out.extend(gaps.next().unwrap_or_default());
        }
    }
}
