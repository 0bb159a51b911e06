//! Domain names: checked in place inside a message, copied out in lower case when needed.

use crate::dns::{HEADER_OCTETS, Malformed};
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
    /// Pointers that were followed.
    pub(crate) pointers: u32,
    /// The name without the pointers in front of it.
    pub(crate) position: NamePosition,
}

/// The name of a message's only question, read when the message is taken: it lies in one piece
/// behind the header, and the rest of an answer points into it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AskedName {
    /// Length in wire form; 0 if there is no such name.
    len: u8,
    /// A bit for each of its first 64 bytes: whether a label begins there. Further ones are walked.
    label_starts: u64,
}

impl AskedName {
    /// The name at the start of the question section, if it is whole, and type and class behind it.
    #[inline]
    pub(crate) fn find(octets: &[u8]) -> Option<Self> {
        let rest = octets.get(HEADER_OCTETS..)?;
        let name = rest.get(..rest.len().min(NAME_OCTETS_MAX))?;
        let (mut at, mut label_starts) = (0_usize, 0_u64);
        loop {
            match *name.get(at)? {
                0 => break,
                length @ 1..0x40 => {
                    label_starts |= u64::from(at < 64) << (at & 63);
                    // At most 64 behind an offset in a name.
                    at = at.wrapping_add(usize::from(length)).wrapping_add(1);
                }
                _ => return None,
            }
        }
        let len = at.wrapping_add(1);
        (rest.len() >= len.wrapping_add(4)).then_some(Self { len: len as u8, label_starts })
    }

    /// Its length in wire form, if there is one.
    #[inline]
    pub(crate) const fn wire_len(self) -> Option<usize> {
        if self.len == 0 { None } else { Some(self.len as usize) }
    }

    #[inline]
    pub(crate) const fn position(self) -> NamePosition {
        NamePosition::new(HEADER_OCTETS, self.len as usize, 0)
    }

    /// The name that begins with the label at this offset in the message.
    #[inline]
    fn parent_at(self, at: usize) -> Option<KnownName> {
        let within = at.wrapping_sub(HEADER_OCTETS);
        if within >= 64 || self.label_starts >> within & 1 == 0 {
            return None;
        }
        let len = usize::from(self.len);
        let position = NamePosition::new(at, len.wrapping_sub(within), 0);
        Some(KnownName { position, run_end: HEADER_OCTETS.wrapping_add(len) as u16, pointers: 0 })
    }
}

/// Names of one message that were checked lately, by where their labels begin: nearly every name of
/// an answer ends in a pointer to one of them, and need not be walked again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    asked: AskedName,
    names: [KnownName; 16],
}

/// All zero: none, for no name begins in the header.
#[derive(Clone, Copy, Debug, Default)]
struct KnownName {
    position: NamePosition,
    /// Behind the root or the pointer that ends the run of labels it begins with.
    run_end: u16,
    /// Pointers behind that run.
    pointers: u8,
}

impl Known {
    /// What is known of a message before its records are read.
    #[inline]
    pub(crate) fn of(asked: AskedName) -> Self {
        Self { asked, ..Self::default() }
    }

    #[inline]
    pub(crate) const fn asked(&self) -> AskedName {
        self.asked
    }

    #[inline]
    fn find(&self, at: usize) -> Option<KnownName> {
        let is_it = |known: &KnownName| known.position.at() == at && known.run_end != 0;
        let parent = self.asked.parent_at(at);
        parent.or_else(|| self.names.get(at & 15).copied().filter(is_it))
    }

    #[inline]
    fn note(&mut self, name: KnownName) {
        if let Some(slot) = self.names.get_mut(name.position.at() & 15) {
            *slot = name;
        }
    }

    /// Notes a name that begins with a run of `labels` bytes of labels, the first of them of
    /// `first` bytes, and the name above it: the second name server of a zone points there.
    #[inline]
    fn note_both(&mut self, name: KnownName, first: u8, labels: usize) {
        self.note(name);
        let step = usize::from(first).wrapping_add(1);
        if step < labels {
            let (at, len) = (name.position.at(), name.position.wire_len());
            let inner = u32::from(name.pointers);
            let position = NamePosition::new(at.wrapping_add(step), len.wrapping_sub(step), inner);
            self.note(KnownName { position, ..name });
        }
    }

    /// The name that a pointer at `start` leads to, if it is known, and the pointers it takes.
    #[inline]
    pub(crate) fn pointed_to(&self, pointer: [u8; 2], start: usize) -> Option<(NamePosition, u32)> {
        let [high, low] = pointer;
        let rest = self.find(usize::from(u16::from_be_bytes([high & 0x3f, low])))?;
        let is_good =
            usize::from(rest.run_end) <= start && u32::from(rest.pointers) < POINTERS_PER_NAME_MAX;
        is_good.then(|| (rest.position, u32::from(rest.pointers).wrapping_add(1)))
    }
}

/// Checks the name at `start`, whose bytes before the first pointer must lie below `end`; `known`
/// are names of the same message that were checked before.
///
/// The rules, each stricter than RFC 1035 needs and each with its reason:
/// * a pointer leads strictly below the lowest place this name has visited, so that no loop can be
///   written (peers allow a pointer back into labels of the same name; no encoder makes one);
/// * labels behind a pointer end before the run of labels that was left, so that no byte is read
///   twice for one name;
/// * a pointer into the header is malformed: there is no name there.
#[inline]
pub(crate) fn check(
    octets: &[u8],
    start: usize,
    end: usize,
    known: &mut Known,
) -> Result<Checked, Malformed> {
    // One bound for the end of the name and for its length. Offsets are far from wrapping.
    let room = octets.get(..end.min(start.wrapping_add(NAME_OCTETS_MAX))).unwrap_or(octets);
    let mut at = start;
    let last = loop {
        match room.get(at) {
            Some(&length @ 1..0x40) => at = at.wrapping_add(usize::from(length)).wrapping_add(1),
            Some(&last) => break last,
            None if at.wrapping_sub(start) >= NAME_OCTETS_MAX => {
                return Err(Malformed::NameTooLong);
            }
            None => return Err(Malformed::Cut),
        }
    };
    let labels = at.wrapping_sub(start);
    if last == 0 {
        let next = at.wrapping_add(1);
        let position = NamePosition::new(start, labels.wrapping_add(1), 0);
        if labels == 0 {
            // Nothing points to the root.
            return Ok(Checked { next, pointers: 0, position });
        }
        let name = KnownName { position, run_end: next as u16, pointers: 0 };
        known.note_both(name, first_of(room, start), labels);
        return Ok(Checked { next, pointers: 0, position });
    }
    // A pointer to a known name, as nearly all are.
    let next = at.wrapping_add(2);
    if last >= 0xc0
        && next <= end
        && let Some(&low) = octets.get(at.wrapping_add(1))
        && let Some((rest, pointers)) = known.pointed_to([last, low], start)
    {
        if labels == 0 {
            return Ok(Checked { next, pointers, position: rest });
        }
        let wire_len = labels.wrapping_add(rest.wire_len());
        if wire_len <= NAME_OCTETS_MAX {
            let position = NamePosition::new(start, wire_len, pointers);
            let name = KnownName { position, run_end: next as u16, pointers: pointers as u8 };
            known.note_both(name, first_of(room, start), labels);
            return Ok(Checked { next, pointers, position });
        }
    }
    follow(octets, start, labels, end, known)
}

/// The length of the first label of a name that was found to have one.
#[inline]
fn first_of(octets: &[u8], start: usize) -> u8 {
    octets.get(start).copied().unwrap_or(0)
}

/// The rest of [`check`] for a name with a pointer, behind the `labels` bytes in front of it.
fn follow(
    octets: &[u8],
    start: usize,
    labels: usize,
    end: usize,
    known: &mut Known,
) -> Result<Checked, Malformed> {
    let mut at = start.wrapping_add(labels);
    let mut limit = end;
    let mut lowest = start;
    let mut next = None;
    let mut wire_len = labels;
    let mut pointers: u32 = 0;
    // Where the name's own labels begin, end, and how many pointers lie in front of them.
    let mut begins = start;
    let mut run_end = 0;
    let mut leading: u32 = 0;
    loop {
        if at >= limit {
            return Err(if next.is_some() { Malformed::NameOverlap } else { Malformed::Cut });
        }
        let Some(&length) = octets.get(at) else { return Err(Malformed::Cut) };
        if length == 0 {
            // The sum below stops at 254, so the root label always fits.
            wire_len = wire_len.wrapping_add(1);
            at = at.wrapping_add(1);
            break;
        }
        if length < 0x40 {
            let step = usize::from(length).wrapping_add(1);
            at = at.wrapping_add(step);
            wire_len = wire_len.wrapping_add(step);
            if wire_len >= NAME_OCTETS_MAX {
                return Err(Malformed::NameTooLong);
            }
            continue;
        }
        if length < 0xc0 {
            return Err(Malformed::LabelType);
        }
        let Some(&low) = octets.get(at.wrapping_add(1)) else { return Err(Malformed::Cut) };
        let behind = at.wrapping_add(2);
        if behind > limit {
            return Err(if next.is_some() { Malformed::NameOverlap } else { Malformed::Cut });
        }
        let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
        if target < HEADER_OCTETS {
            return Err(Malformed::PointerIntoHeader);
        }
        if target >= lowest {
            return Err(Malformed::PointerForward);
        }
        pointers = pointers.wrapping_add(1);
        next.get_or_insert(behind);
        if wire_len == 0 {
            begins = target;
            leading = pointers;
        } else if run_end == 0 {
            run_end = behind;
        }
        let rest = known.find(target).filter(|rest| usize::from(rest.run_end) <= lowest);
        if let Some(rest) = rest {
            if wire_len == 0 {
                run_end = usize::from(rest.run_end);
            }
            wire_len = wire_len.wrapping_add(rest.position.wire_len());
            if wire_len > NAME_OCTETS_MAX {
                return Err(Malformed::NameTooLong);
            }
            pointers = pointers.wrapping_add(u32::from(rest.pointers));
        }
        if pointers > POINTERS_PER_NAME_MAX {
            return Err(Malformed::PointersTooMany);
        }
        if rest.is_some() {
            break;
        }
        limit = lowest;
        lowest = target;
        at = target;
    }
    let run_end = if run_end == 0 { at } else { run_end };
    let inner = pointers.wrapping_sub(leading);
    let position = NamePosition::new(begins, wire_len, inner);
    // A DNS message has at most 65,535 bytes and a name at most 127 pointers.
    known.note(KnownName { position, run_end: run_end as u16, pointers: inner as u8 });
    Ok(Checked { next: next.unwrap_or(at), pointers, position })
}

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
        let from = out.len();
        if let Some(whole) = self.whole() {
            out.extend_from_slice(whole);
        } else {
            for stretch in self.stretches() {
                out.extend_from_slice(stretch);
            }
            out.push(0);
        }
        // Length bytes are below 64 and so are no letters.
        make_lower_case(out.get_mut(from..).unwrap_or_default());
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

/// [`[u8]::make_ascii_lowercase`] for the length of names: in blocks that the compiler makes vectors
/// of. The last block overlaps the one before it, which changes nothing: lower case stays lower case.
#[inline]
fn make_lower_case(octets: &mut [u8]) {
    if octets.len() >= 16 {
        in_blocks::<16>(octets);
    } else if octets.len() >= 8 {
        in_blocks::<8>(octets);
    } else {
        octets.make_ascii_lowercase();
    }
}

#[inline]
fn in_blocks<const LEN: usize>(octets: &mut [u8]) {
    octets.as_chunks_mut::<LEN>().0.iter_mut().for_each(|block| block.make_ascii_lowercase());
    if let Some(last) = octets.last_chunk_mut::<LEN>() {
        last.make_ascii_lowercase();
    }
}

impl PartialEq for NameRef<'_> {
    /// Equality without regard to ASCII case (RFC 4343).
    fn eq(&self, other: &Self) -> bool {
        if self.wire_len() != other.wire_len() {
            return false;
        }
        let is_one_message = std::ptr::eq(self.octets, other.octets);
        let (mut mine, mut theirs) = (self.position.at(), other.position.at());
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
        check(&octets, at, octets.len(), &mut Known::default())
            .map(|c| (c.next, c.position.wire_len() as u8))
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
            check(&octets, start, octets.len(), &mut Known::default()).map(|c| c.pointers)
        };
        assert_eq!(chain(127), Ok(127));
        assert_eq!(chain(128), Err(Malformed::PointersTooMany));
    }

    #[test]
    fn blocks_are_as_their_bytes() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        for from in 0..all.len() {
            for len in
                [0, 1, 7, 8, 9, 15, 16, 23, 64].into_iter().filter(|len| from + len < all.len())
            {
                let mut octets = all[from..from + len].to_vec();
                make_lower_case(&mut octets);
                assert_eq!(octets, all[from..from + len].to_ascii_lowercase());
            }
        }
    }

    #[test]
    fn names_in_a_message_compare_without_case() {
        let mut octets = vec![0; 12];
        octets.extend(b"\x03WwW\x04TeSt\x00\x03www\x04test\x00\x04TEST\x00");
        let name = |at| {
            let checked = check(&octets, at, octets.len(), &mut Known::default()).unwrap();
            NameRef::at(&octets, checked.position)
        };
        assert_eq!(name(12), name(22));
        assert!(name(12) != name(32));
        assert_eq!(name(12).to_name().to_string(), "www.test");
    }

    #[test]
    fn what_is_known_changes_no_verdict() {
        // A fixed linear congruential generator: the messages are the same on every run.
        let mut state = 0x1234_5678_u32;
        let mut random = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        let (mut good, mut bad, mut shared) = (0, 0, 0);
        for _ in 0..20_000 {
            let mut octets = vec![0; 12];
            let mut known = Known::default();
            let mut starts: Vec<usize> = Vec::new();
            for _ in 0..12 {
                let start = octets.len();
                for _ in 0..random(3) {
                    let len = 1 + random(3) as usize;
                    octets.push(len as u8);
                    // Bytes that are lengths and pointers too, for pointers into labels.
                    octets.extend((0..len).map(|_| [1, b'a', 0xc0, 13][random(4) as usize]));
                }
                match starts.get(random(24) as usize) {
                    Some(&at) => octets.extend([0xc0, (at as u32 + random(3)) as u8]),
                    None => octets.push(0),
                }
                let with = check(&octets, start, octets.len(), &mut known);
                let without = check(&octets, start, octets.len(), &mut Known::default());
                assert_eq!(with, without, "{octets:?} at {start}");
                if starts.is_empty() {
                    // Type and class, or they are missing: then it is no name asked for.
                    octets.extend([0; 4]);
                    known = Known::of(AskedName::find(&octets).unwrap_or_default());
                }
                starts.push(start);
                match with {
                    Ok(checked) if checked.pointers > 0 => shared += 1,
                    Ok(_) => good += 1,
                    // A walk is over after a malformed name.
                    Err(_) => {
                        bad += 1;
                        break;
                    }
                }
            }
        }
        assert!(good > 10_000 && bad > 10_000 && shared > 10_000, "{good} {bad} {shared}");
    }
}
