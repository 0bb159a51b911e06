//! Domain names: checked in place inside a message, copied out in lower case when needed.

use crate::dns::Malformed;
use std::cmp::Ordering;
use std::fmt;

/// Longest name in wire form, the root label included (RFC 1035 section 2.3.4).
pub const NAME_OCTETS_MAX: usize = 255;

/// Most compression pointers followed in one name. No name has more labels than this, so an honest
/// encoder never needs more.
pub const POINTERS_PER_NAME_MAX: u32 = 127;

/// Where a name that was checked ends and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Offset of the first byte behind the name as it stands in the message.
    pub(crate) next: usize,
    /// Length of the name in uncompressed wire form, 1 to 255.
    pub(crate) wire_len: u8,
    /// Pointers that were followed.
    pub(crate) pointers: u32,
}

/// Checks the name at `start`, whose bytes before the first pointer must lie below `end`.
///
/// The rules, each stricter than RFC 1035 needs and each with its reason:
/// * a pointer leads strictly below the lowest place this name has visited, so that no loop can be
///   written (peers allow a pointer back into labels of the same name; no encoder makes one);
/// * labels behind a pointer end before the run of labels that was left, so that no byte is read
///   twice for one name;
/// * a pointer into the header is malformed: there is no name there.
#[inline]
pub(crate) fn check(octets: &[u8], start: usize, end: usize) -> Result<Checked, Malformed> {
    let mut at = start;
    let mut limit = end;
    let mut lowest = start;
    let mut next = None;
    let mut wire_len: usize = 0;
    let mut pointers: u32 = 0;
    loop {
        if at >= limit {
            return Err(if next.is_some() { Malformed::NameOverlap } else { Malformed::Cut });
        }
        let Some(&length) = octets.get(at) else { return Err(Malformed::Cut) };
        if length == 0 {
            let next = next.unwrap_or(at.saturating_add(1));
            // The sum below stops at 254, so the root label always fits.
            return Ok(Checked { next, wire_len: wire_len.saturating_add(1) as u8, pointers });
        }
        if length < 0x40 {
            let step = usize::from(length).saturating_add(1);
            at = at.saturating_add(step);
            wire_len = wire_len.saturating_add(step);
            if wire_len >= NAME_OCTETS_MAX {
                return Err(Malformed::NameTooLong);
            }
        } else if length >= 0xc0 {
            let Some(&low) = octets.get(at.saturating_add(1)) else { return Err(Malformed::Cut) };
            if at.saturating_add(2) > limit {
                return Err(if next.is_some() { Malformed::NameOverlap } else { Malformed::Cut });
            }
            let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
            if target < crate::dns::HEADER_OCTETS {
                return Err(Malformed::PointerIntoHeader);
            }
            if target >= lowest {
                return Err(Malformed::PointerForward);
            }
            pointers = pointers.saturating_add(1);
            if pointers > POINTERS_PER_NAME_MAX {
                return Err(Malformed::PointersTooMany);
            }
            next.get_or_insert(at.saturating_add(2));
            limit = lowest;
            lowest = target;
            at = target;
        } else {
            return Err(Malformed::LabelType);
        }
    }
}

/// A name inside a message, already checked; copied out with [`NameRef::to_name`].
#[derive(Clone, Copy, Debug)]
pub struct NameRef<'a> {
    octets: &'a [u8],
    at: u16,
    wire_len: u8,
}

/// Where a checked name stands in its message: a [`NameRef`] without the borrow, to be kept in
/// buffers that outlive the message. Made valid again by [`crate::Message::name_at`] of the same
/// message; with another message it gives some other name, and still no panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamePosition {
    at: u16,
    wire_len: u8,
}

impl<'a> NameRef<'a> {
    /// The name without its borrow.
    #[must_use]
    pub const fn position(&self) -> NamePosition {
        NamePosition { at: self.at, wire_len: self.wire_len }
    }

    pub(crate) const fn at(octets: &'a [u8], position: NamePosition) -> Self {
        Self { octets, at: position.at, wire_len: position.wire_len }
    }

    pub(crate) fn new(octets: &'a [u8], at: usize, checked: Checked) -> Self {
        // A DNS message has at most 65,535 bytes, so every offset in one fits.
        Self { octets, at: at as u16, wire_len: checked.wire_len }
    }

    /// Length in uncompressed wire form, 1 (the root) to 255.
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        self.wire_len as usize
    }

    /// Where the name's labels begin, after a leading pointer if there is one. Two names of one
    /// message with the same anchor are the same name, which spares comparing them.
    #[must_use]
    pub fn anchor(&self) -> u16 {
        let at = usize::from(self.at);
        match (self.octets.get(at), self.octets.get(at.saturating_add(1))) {
            (Some(&high), Some(&low)) if high >= 0xc0 => u16::from_be_bytes([high & 0x3f, low]),
            _ => self.at,
        }
    }

    /// The labels, from the left, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let octets = self.octets;
        let mut at = usize::from(self.at);
        // The name was checked, so this ends; the count is a second bound that costs nothing.
        std::iter::from_fn(move || next_label(octets, &mut at)).take(NAME_OCTETS_MAX)
    }

    /// Appends the name in lower-case uncompressed wire form, root included.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let from = out.len();
        for stretch in self.stretches() {
            out.extend_from_slice(stretch);
        }
        out.push(0);
        // Length bytes are below 64 and so are no letters.
        if let Some(copied) = out.get_mut(from..) {
            copied.make_ascii_lowercase();
        }
    }

    /// Whether it is `wire`, which is in lower-case uncompressed wire form, ASCII case apart.
    #[must_use]
    pub fn is_wire(&self, wire: &[u8]) -> bool {
        if self.wire_len() != wire.len() {
            return false;
        }
        let mut rest = wire;
        for stretch in self.stretches() {
            // Length bytes are below 64 and so are no letters.
            match rest.split_at_checked(stretch.len()) {
                Some((head, tail)) if head.eq_ignore_ascii_case(stretch) => rest = tail,
                _ => return false,
            }
        }
        rest == [0]
    }

    /// The bytes of the name's labels, length bytes included, in pieces as they lie in the message:
    /// one up to the first pointer, one behind each pointer.
    fn stretches(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let octets = self.octets;
        let mut next = Some(usize::from(self.at));
        let mut pieces = 0_u32;
        std::iter::from_fn(move || {
            loop {
                let from = next?;
                let mut at = from;
                next = loop {
                    match octets.get(at).copied() {
                        Some(length @ 1..0x40) => {
                            at = at.saturating_add(usize::from(length)).saturating_add(1);
                        }
                        Some(high @ 0xc0..) => {
                            let low = *octets.get(at.saturating_add(1))?;
                            break Some(usize::from(u16::from_be_bytes([high & 0x3f, low])));
                        }
                        _ => break None,
                    }
                };
                // The name was checked, so this ends; the count is a second bound.
                pieces = pieces.saturating_add(1);
                if pieces > POINTERS_PER_NAME_MAX.saturating_add(1) {
                    return None;
                }
                if at > from {
                    return octets.get(from..at);
                }
            }
        })
    }

    /// The name in lower case, uncompressed.
    #[must_use]
    pub fn to_name(&self) -> Name {
        let mut name = Name::root();
        for label in self.labels() {
            name.push_label(label);
        }
        name
    }
}

impl PartialEq for NameRef<'_> {
    /// Equality without regard to ASCII case (RFC 4343).
    fn eq(&self, other: &Self) -> bool {
        if self.wire_len != other.wire_len {
            return false;
        }
        let is_one_message = std::ptr::eq(self.octets, other.octets);
        let (mut mine, mut theirs) = (usize::from(self.at), usize::from(other.at));
        // Both were checked, so this ends: each has at most 128 labels.
        for _ in 0..NAME_OCTETS_MAX {
            mine = behind_pointers(self.octets, mine);
            theirs = behind_pointers(other.octets, theirs);
            // Compression makes equal endings the same place.
            if is_one_message && mine == theirs {
                return true;
            }
            match (next_label(self.octets, &mut mine), next_label(other.octets, &mut theirs)) {
                (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
                (None, None) => return true,
                _ => return false,
            }
        }
        false
    }
}

/// Where the next label or root is: `at`, or what the pointers there lead to.
#[inline]
fn behind_pointers(octets: &[u8], at: usize) -> usize {
    let mut at = at;
    for _ in 0..=POINTERS_PER_NAME_MAX {
        match (octets.get(at), octets.get(at.saturating_add(1))) {
            (Some(&high), Some(&low)) if high >= 0xc0 => {
                at = usize::from(u16::from_be_bytes([high & 0x3f, low]));
            }
            _ => break,
        }
    }
    at
}

/// The label at `at`, behind a pointer if there is one, and steps over it; `None` at the root.
#[inline]
fn next_label<'a>(octets: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let start = behind_pointers(octets, *at);
    let length = *octets.get(start)?;
    let from = start.saturating_add(1);
    *at = from.saturating_add(usize::from(length));
    octets.get(from..*at).filter(|label| !label.is_empty())
}

/// A domain name in lower-case, uncompressed wire form on the stack: length-prefixed labels and
/// the root, at most 255 bytes. Bytes outside ASCII are kept as they are.
#[derive(Clone, Copy)]
pub struct Name {
    len: u8,
    octets: [u8; NAME_OCTETS_MAX],
}

impl Name {
    /// The root name.
    #[must_use]
    pub const fn root() -> Self {
        Self { len: 1, octets: [0; NAME_OCTETS_MAX] }
    }

    /// A name from wire form that is uncompressed; lower-cases it. `None` if it is no name.
    #[must_use]
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let mut name = Self::root();
        let mut rest = wire;
        loop {
            let (&length, tail) = rest.split_first()?;
            if length == 0 {
                return tail.is_empty().then_some(name);
            }
            if length >= 0x40 {
                return None;
            }
            let label = tail.get(..usize::from(length))?;
            if !name.push_label(label) {
                return None;
            }
            rest = tail.get(usize::from(length)..)?;
        }
    }

    /// A name from presentation form (RFC 1035 section 5.1: `\.` and `\DDD` escapes, a final dot
    /// is optional). `None` for an empty or overlong label or name.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').filter(|t| !t.ends_with('\\')).unwrap_or(text);
        let mut name = Self::root();
        if text.is_empty() {
            return Some(name);
        }
        let mut label = [0_u8; 63];
        let mut len = 0_usize;
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            let byte = match byte {
                b'.' => {
                    if len == 0 || !name.push_label(label.get(..len)?) {
                        return None;
                    }
                    len = 0;
                    continue;
                }
                b'\\' => {
                    let first = bytes.next()?;
                    if first.is_ascii_digit() {
                        let digits = [first, bytes.next()?, bytes.next()?];
                        std::str::from_utf8(&digits).ok()?.parse().ok()?
                    } else {
                        first
                    }
                }
                other => other,
            };
            *label.get_mut(len)? = byte;
            len = len.saturating_add(1);
        }
        (len > 0 && name.push_label(label.get(..len)?)).then_some(name)
    }

    /// Appends a label below the root; false (and no change) if the name would be too long.
    pub fn push_label(&mut self, label: &[u8]) -> bool {
        let at = usize::from(self.len).saturating_sub(1);
        let end = at.saturating_add(1).saturating_add(label.len());
        if label.is_empty() || label.len() > 63 || end >= NAME_OCTETS_MAX {
            return false;
        }
        if let Some((first, rest)) = self.octets.get_mut(at..end).and_then(<[u8]>::split_first_mut)
        {
            *first = label.len() as u8;
            rest.copy_from_slice(label);
            rest.make_ascii_lowercase();
        }
        if let Some(root) = self.octets.get_mut(end) {
            *root = 0;
        }
        self.len = end.saturating_add(1) as u8;
        true
    }

    /// The wire form, root label included.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or(&[0])
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::root()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_wire() == other.as_wire()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_wire().cmp(other.as_wire())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&WireText(self.as_wire()), f)
    }
}

/// Labels of a name in uncompressed wire form, from the left, without the root.
pub fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (&length, tail) = rest.split_first()?;
        let length = usize::from(length);
        if length == 0 || length > tail.len() {
            return None;
        }
        let (label, behind) = tail.split_at(length);
        rest = behind;
        Some(label)
    })
}

/// Whether `name` is `ancestor` or lies below it; both lower-case uncompressed wire form.
#[must_use]
pub fn is_at_or_below(name: &[u8], ancestor: &[u8]) -> bool {
    let mut rest = name;
    while rest.len() >= ancestor.len() {
        if rest == ancestor {
            return true;
        }
        let Some(&length) = rest.first() else { return false };
        if length == 0 {
            return false;
        }
        match rest.get(usize::from(length).saturating_add(1)..) {
            Some(tail) => rest = tail,
            None => return false,
        }
    }
    false
}

/// Shows a name in uncompressed wire form as text: lower case, no final dot, every byte that is not
/// a letter, digit, hyphen or underscore as `\DDD` (RFC 1035 section 5.1), so that nothing from the
/// wire can reach a terminal or a log as a control sequence. The root is `.`.
#[derive(Clone, Copy, Debug)]
pub struct WireText<'a>(pub &'a [u8]);

impl fmt::Display for WireText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let mut is_first = true;
        for label in labels(self.0) {
            if !is_first {
                f.write_char('.')?;
            }
            is_first = false;
            for &byte in label {
                if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
                    f.write_char(char::from(byte.to_ascii_lowercase()))?;
                } else {
                    write!(f, "\\{byte:03}")?;
                }
            }
        }
        if is_first { f.write_char('.') } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_round(text: &str) -> String {
        Name::from_text(text).map_or_else(|| "no name".to_owned(), |n| n.to_string())
    }

    #[test]
    fn text_forms() {
        for (input, expect) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            (".", "."),
            ("", "."),
            ("a..b", "no name"),
            (".a", "no name"),
            ("\\000\\255.test", "\\000\\255.test"),
            ("a\\.b.test", "a\\046b.test"),
            ("a\\", "no name"),
            ("\\256.test", "no name"),
            ("_dmarc.x-y.test", "_dmarc.x-y.test"),
            ("\u{1b}[31m.test", "\\027\\09131m.test"),
        ] {
            assert_eq!(text_round(input), expect, "{input:?}");
        }
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        assert_eq!(Name::from_text(&longest).map(|n| n.as_wire().len()), Some(255));
        let too_long = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(62));
        assert_eq!(Name::from_text(&too_long), None);
        assert_eq!(Name::from_text(&"a".repeat(64)), None);
    }

    #[test]
    fn ancestors() {
        let wire = |t: &str| Name::from_text(t).unwrap().as_wire().to_vec();
        for (name, ancestor, expect) in [
            ("a.b.test", "b.test", true),
            ("b.test", "b.test", true),
            ("ab.test", "b.test", false),
            ("b.test", "a.b.test", false),
            ("anything.test", ".", true),
            ("akamaiedge.net.evil.test", "akamaiedge.net", false),
        ] {
            assert_eq!(is_at_or_below(&wire(name), &wire(ancestor)), expect, "{name} {ancestor}");
        }
        assert!(!is_at_or_below(&[5, b'a'], &[1, b'a', 0]));
    }

    /// One row: a message tail behind a 12-byte header, the offset of the name, what must come out.
    fn check_row(tail: &[u8], at: usize) -> Result<(usize, u8), Malformed> {
        let mut octets = vec![0; 12];
        octets.extend_from_slice(tail);
        check(&octets, at, octets.len()).map(|c| (c.next, c.wire_len))
    }

    #[test]
    fn pointer_and_length_rules() {
        type Row<'a> = (&'a str, &'a [u8], usize, Result<(usize, u8), Malformed>);
        let mut longest = Vec::new();
        for label in [63_usize, 63, 63, 61] {
            longest.push(label as u8);
            longest.extend(std::iter::repeat_n(b'x', label));
        }
        let mut too_long = longest.clone();
        longest.push(0);
        too_long[192] = 62;
        too_long.extend([b'x', 0]);

        let rows: &[Row<'_>] = &[
            ("root", &[0], 12, Ok((13, 1))),
            ("one label", &[1, b'a', 0], 12, Ok((15, 3))),
            ("pointer back", &[1, b'a', 0, 1, b'b', 0xc0, 12], 15, Ok((19, 5))),
            ("pointer to itself", &[0xc0, 12], 12, Err(Malformed::PointerForward)),
            ("pointer forward", &[0xc0, 14, 0], 12, Err(Malformed::PointerForward)),
            ("to its own start", &[1, b'a', 0xc0, 12], 12, Err(Malformed::PointerForward)),
            ("into its own labels", &[3, 1, b'a', 0, 0xc0, 13], 12, Err(Malformed::PointerForward)),
            (
                "two that point at each other",
                &[0xc0, 14, 0xc0, 12],
                14,
                Err(Malformed::PointerForward),
            ),
            ("into the header", &[0xc0, 11], 12, Err(Malformed::PointerIntoHeader)),
            (
                "overlap of the run left",
                &[3, b'x', 1, b'a', 0xc0, 12],
                14,
                Err(Malformed::NameOverlap),
            ),
            ("label type 01", &[0x40, 0], 12, Err(Malformed::LabelType)),
            ("label type 10", &[0x80, 0], 12, Err(Malformed::LabelType)),
            ("cut in a label", &[5, b'a'], 12, Err(Malformed::Cut)),
            ("cut in a pointer", &[0xc0], 12, Err(Malformed::Cut)),
            ("no root", &[1, b'a'], 12, Err(Malformed::Cut)),
            ("length 255", &longest, 12, Ok((12 + 255, 255))),
            ("length 256", &too_long, 12, Err(Malformed::NameTooLong)),
        ];
        for (what, tail, at, expect) in rows {
            assert_eq!(check_row(tail, *at), *expect, "{what}");
        }
    }

    #[test]
    fn pointer_count_is_bounded() {
        // A chain of pointers, each to the one before; the first name is the root.
        let chain = |n: usize| {
            let mut octets = vec![0; 13];
            for i in 0..n {
                let target = if i == 0 { 12 } else { 13 + 2 * (i - 1) };
                octets.extend([0xc0 | (target >> 8) as u8, target as u8]);
            }
            let start = 13 + 2 * (n - 1);
            check(&octets, start, octets.len()).map(|c| c.pointers)
        };
        assert_eq!(chain(127), Ok(127));
        assert_eq!(chain(128), Err(Malformed::PointersTooMany));
    }

    #[test]
    fn names_in_a_message_compare_without_case() {
        let mut octets = vec![0; 12];
        octets.extend(b"\x03WwW\x04TeSt\x00\x03www\x04test\x00\x04TEST\x00");
        let name = |at| NameRef::new(&octets, at, check(&octets, at, octets.len()).unwrap());
        assert_eq!(name(12), name(22));
        assert!(name(12) != name(32));
        assert_eq!(name(12).to_name().to_string(), "www.test");
    }
}
