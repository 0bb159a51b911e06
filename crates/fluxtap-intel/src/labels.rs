//! The labels of a wire-form name, with random access from the right.

/// Labels in a name of 255 bytes, the root not counted (RFC 1035 section 2.3.4).
const LABELS_MAX: usize = 127;

/// The longest name in wire form, final zero included (RFC 1035 section 2.3.4).
pub(crate) const NAME_LEN_MAX: usize = 255;

/// A checked name and where its labels start.
pub(crate) type Labels<'a> = LastLabels<'a, LABELS_MAX>;

/// A checked name and where its last `KEPT` labels start: who needs few does not wait for room for all
/// of them to be cleared.
pub(crate) struct LastLabels<'a, const KEPT: usize> {
    name: &'a [u8],
    /// That of a label stands at its number modulo `KEPT`.
    starts: [u8; KEPT],
    count: usize,
}

impl<'a, const KEPT: usize> LastLabels<'a, KEPT> {
    /// `None` unless `name` is exactly one uncompressed wire-form name.
    pub(crate) fn new_checked(name: &'a [u8]) -> Option<Self> {
        if name.len() > NAME_LEN_MAX {
            return None;
        }
        let mut starts = [0; KEPT];
        let mut count = 0;
        let mut at = 0;
        loop {
            match *name.get(at)? {
                0 if at + 1 == name.len() => return Some(Self { name, starts, count }),
                len @ 1..=63 => {
                    // The name has at most 255 bytes.
                    starts[count % KEPT] = at as u8;
                    count += 1;
                    at += 1 + usize::from(len);
                }
                _ => return None,
            }
        }
    }

    /// Offsets at which the labels start that are kept, the last label first.
    fn starts(&self) -> impl ExactSizeIterator<Item = usize> + DoubleEndedIterator {
        let kept = self.count.saturating_sub(KEPT)..self.count;
        kept.rev().map(|number| usize::from(self.starts[number % KEPT]))
    }

    /// The labels without their length bytes, top-level label first.
    pub(crate) fn right_to_left(&self) -> impl Iterator<Item = &'a [u8]> {
        let name = self.name;
        self.starts().map(move |start| &name[start + 1..start + 1 + usize::from(name[start])])
    }

    /// Offset of the suffix that would take `text_len` bytes if written with dots between labels.
    ///
    /// In wire form each label costs one length byte, in text one dot, save the first.
    pub(crate) fn offset_of_text_len(&self, text_len: usize) -> Option<usize> {
        if text_len == 0 { None } else { self.name.len().checked_sub(text_len + 2) }
    }

    /// Offset of the label that ends where the one at `offset` starts.
    pub(crate) fn offset_before(&self, offset: usize) -> Option<usize> {
        let mut starts = self.starts();
        starts.find(|&start| start == offset)?;
        starts.next()
    }

    /// Offsets at which the last `depth_max` labels start, longest suffix first.
    pub(crate) fn offsets(&self, depth_max: usize) -> impl Iterator<Item = usize> {
        self.starts().take(depth_max).rev()
    }

    /// Offset at which the last `count` labels start; `None` when there are fewer.
    pub(crate) fn offset_from_right(&self, count: usize) -> Option<usize> {
        self.starts().nth(count.checked_sub(1)?)
    }
}

/// Host-name text to wire form; lower-case letters, digits, hyphen and underscore only.
pub(crate) fn wire_form(name: &str) -> Option<Box<[u8]>> {
    let mut wire = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let is_plain =
            label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if !is_plain || label.is_empty() || label.len() > 63 {
            return None;
        }
        wire.push(u8::try_from(label.len()).ok()?);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    (wire.len() <= NAME_LEN_MAX).then(|| wire.into())
}
