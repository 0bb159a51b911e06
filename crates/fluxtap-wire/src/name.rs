//! Domain names: checked in place inside a message, copied out in lower case when needed.

mod check;

pub(crate) use check::{AskedName, Known, check};
use std::cmp::Ordering;
use std::fmt;

/// Longest name in wire form, the root label included (RFC 1035 section 2.3.4).
pub const NAME_OCTETS_MAX: usize = 255;

/// Most compression pointers followed in one name. No name has more labels than this, so an honest
/// encoder never needs more.
pub const POINTERS_PER_NAME_MAX: u32 = 127;

/// A name inside a message, already checked; copied out with [`NameRef::to_name`].
#[derive(Clone, Copy, Debug)]
pub struct NameRef<'a> {
    octets: &'a [u8],
    position: NamePosition,
}

/// Where a checked name's labels begin in its message: a [`NameRef`] without the borrow, to be kept
/// in buffers that outlive the message. Made valid again by [`crate::Message::name_at`] of the same
/// message; with another message it gives some other name, and still no panic. Two names of one
/// message with the same position are the same name, which spares comparing them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct NamePosition(u32);

impl NamePosition {
    /// The labels lie in one piece, the root behind them. The lower bits are the offset (16) and
    /// the length in wire form (8).
    const WHOLE: u32 = 1 << 24;

    /// `pointers` are those behind the first label.
    #[inline(always)]
    pub(crate) const fn new(at: usize, wire_len: usize, pointers: u32) -> Self {
        Self(at as u32 | (wire_len as u32) << 16 | if pointers == 0 { Self::WHOLE } else { 0 })
    }

    #[inline]
    const fn at(self) -> usize {
        self.0 as usize & 0xffff
    }

    #[inline]
    const fn wire_len(self) -> usize {
        (self.0 >> 16) as usize & 0xff
    }
}

impl fmt::Debug for NamePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {}", self.wire_len(), self.at())
    }
}

impl<'a> NameRef<'a> {
    /// The name without its borrow.
    #[must_use]
    #[inline]
    pub const fn position(&self) -> NamePosition {
        self.position
    }

    #[inline]
    pub(crate) const fn at(octets: &'a [u8], position: NamePosition) -> Self {
        Self { octets, position }
    }

    /// Length in uncompressed wire form, 1 (the root) to 255.
    #[must_use]
    #[inline]
    pub const fn wire_len(&self) -> usize {
        self.position.wire_len()
    }

    /// The wire form as it lies in the message, if it does so in one piece.
    #[inline]
    fn whole(&self) -> Option<&'a [u8]> {
        let at = self.position.at();
        let end = at.wrapping_add(self.wire_len());
        if self.position.0 & NamePosition::WHOLE != 0 { self.octets.get(at..end) } else { None }
    }

    /// The labels, from the left, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let octets = self.octets;
        let mut at = self.position.at();
        // The name was checked, so this ends; the count is a second bound that costs nothing.
        std::iter::from_fn(move || next_label(octets, &mut at)).take(NAME_OCTETS_MAX)
    }

    /// Appends the name in lower-case uncompressed wire form, root included.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        if self.position.0 & NamePosition::WHOLE != 0 {
            append_lower_case(self.octets, self.position.at(), self.wire_len(), out);
        } else {
            for (at, len) in self.stretches() {
                append_lower_case(self.octets, at, len, out);
            }
            out.push(0);
        }
    }

    /// Whether it is `wire`, which is in lower-case uncompressed wire form, ASCII case apart.
    #[must_use]
    pub fn is_wire(&self, wire: &[u8]) -> bool {
        if self.wire_len() != wire.len() {
            return false;
        }
        if let Some(whole) = self.whole() {
            return whole.eq_ignore_ascii_case(wire);
        }
        let mut rest = wire;
        for (at, len) in self.stretches() {
            let stretch = self.octets.get(at..at.saturating_add(len)).unwrap_or_default();
            // Length bytes are below 64 and so are no letters.
            match rest.split_at_checked(stretch.len()) {
                Some((head, tail)) if head.eq_ignore_ascii_case(stretch) => rest = tail,
                _ => return false,
            }
        }
        rest == [0]
    }

    /// Where the bytes of the name's labels lie, length bytes included, in pieces of some length: one up
    /// to the first pointer, one behind each pointer.
    fn stretches(&self) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        let octets = self.octets;
        let mut next = Some(self.position.at());
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
                    return Some((from, at.wrapping_sub(from)));
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

/// Appends `len` bytes of labels that lie at `at`, in lower case.
///
/// Whole blocks are copied wherever there are so many bytes, and what is too much goes again: to copy
/// bytes by their count, and to read again what was just written in other pieces, takes longer.
#[inline]
fn append_lower_case(octets: &[u8], at: usize, len: usize, out: &mut Vec<u8>) {
    const BLOCK: usize = 32;
    let end = out.len().saturating_add(len);
    let mut rest = octets.get(at..).unwrap_or_default();
    // Length bytes are below 64 and so are no letters.
    while out.len() < end {
        let Some((block, behind)) = rest.split_first_chunk::<BLOCK>() else {
            out.extend(rest.iter().map(u8::to_ascii_lowercase));
            break;
        };
        out.extend_from_slice(&block.map(|octet| octet.to_ascii_lowercase()));
        rest = behind;
    }
    out.truncate(end);
}

impl PartialEq for NameRef<'_> {
    /// Equality without regard to ASCII case (RFC 4343).
    fn eq(&self, other: &Self) -> bool {
        if self.wire_len() != other.wire_len() {
            return false;
        }
        let is_one_message = std::ptr::eq(self.octets, other.octets);
        let (mut mine, mut theirs) = (self.position.at(), other.position.at());
        if let (Some(a), Some(b)) =
            (first_four(self.octets, mine), first_four(other.octets, theirs))
            && differs_early(a, b)
        {
            return false;
        }
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

fn first_four(octets: &[u8], at: usize) -> Option<[u8; 4]> {
    octets.get(at..)?.first_chunk().copied()
}

/// Whether two names differ in the length of their first label or in its first three bytes, as
/// `ns1` and `ns2` do. Bytes that differ in the bit of the case alone are left to a closer look.
#[inline]
fn differs_early(a: [u8; 4], b: [u8; 4]) -> bool {
    const CASE: u32 = u32::from_be_bytes([0, 0x20, 0x20, 0x20]);
    let [length, ..] = a;
    length != b[0] || (length >= 3 && u32::from_be_bytes(a) | CASE != u32::from_be_bytes(b) | CASE)
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

    #[test]
    fn blocks_are_as_their_bytes() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        for from in 0..all.len() {
            for len in (0..all.len() - from).filter(|len| *len < 70 || from + len == all.len()) {
                let mut out = b"X".to_vec();
                append_lower_case(&all, from, len, &mut out);
                assert_eq!(out[0], b'X');
                assert_eq!(out[1..], all[from..from + len].to_ascii_lowercase(), "{from} {len}");
            }
        }
    }

    #[test]
    fn names_in_a_message_compare_without_case() {
        let mut octets = vec![0; 12];
        octets.extend(b"\x03WwW\x04TeSt\x00\x03www\x04test\x00\x04TEST\x00");
        octets.extend(b"\x03wwv\x04test\x00\x01w\x04test\x00\x01W\xc0\x1a\x01w\xc0\x30");
        let name = |at| {
            let checked = check(&octets, at, octets.len(), &mut Known::default()).unwrap();
            NameRef::at(&octets, checked.position)
        };
        assert_eq!(name(12), name(22));
        assert!(name(12) != name(32));
        assert!(name(12) != name(38));
        // What follows a short label may be written otherwise.
        assert_eq!(name(48), name(56));
        assert!(name(56) != name(60));
        assert_eq!(name(12).to_name().to_string(), "www.test");
    }
}
