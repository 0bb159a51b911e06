//! The labels of a wire-form name, with random access from the right.

/// Labels in a name of 255 bytes, the root not counted (RFC 1035 section 2.3.4).
const LABELS_MAX: usize = 127;

/// The longest name in wire form, final zero included (RFC 1035 section 2.3.4).
pub(crate) const NAME_LEN_MAX: usize = 255;

/// A checked name and where its labels start.
pub(crate) struct Labels<'a> {
    name: &'a [u8],
    starts: [u8; LABELS_MAX],
    count: usize,
}

impl<'a> Labels<'a> {
    /// `None` unless `name` is exactly one uncompressed wire-form name.
    pub(crate) fn new_checked(name: &'a [u8]) -> Option<Self> {
        if name.len() > NAME_LEN_MAX {
            return None;
        }
        let mut starts = [0; LABELS_MAX];
        let mut count = 0;
        let mut at = 0;
        loop {
            match *name.get(at)? {
                0 if at + 1 == name.len() => return Some(Self { name, starts, count }),
                len @ 1..=63 => {
                    // At most 127 labels of two bytes and more fit before byte 254, where only
                    // the final zero is left.
                    *starts.get_mut(count)? = u8::try_from(at).ok()?;
                    count += 1;
                    at += 1 + usize::from(len);
                }
                _ => return None,
            }
        }
    }

    /// The labels without their length bytes, top-level label first.
    pub(crate) fn right_to_left(&self) -> impl Iterator<Item = &'a [u8]> {
        let name = self.name;
        self.starts[..self.count].iter().rev().map(move |&start| {
            let start = usize::from(start);
            &name[start + 1..start + 1 + usize::from(name[start])]
        })
    }

    /// Offset of the suffix that would take `text_len` bytes if written with dots between labels.
    ///
    /// In wire form each label costs one length byte, in text one dot, save the first.
    pub(crate) fn offset_of_text_len(&self, text_len: usize) -> Option<usize> {
        if text_len == 0 { None } else { self.name.len().checked_sub(text_len + 2) }
    }

    /// Offset of the label that ends where the one at `offset` starts.
    pub(crate) fn offset_before(&self, offset: usize) -> Option<usize> {
        let starts = &self.starts[..self.count];
        let index = starts.iter().rposition(|&start| usize::from(start) == offset)?;
        starts.get(index.checked_sub(1)?).map(|&start| usize::from(start))
    }

    /// Offsets at which the last `depth_max` labels start, longest suffix first.
    pub(crate) fn offsets(&self, depth_max: usize) -> impl Iterator<Item = usize> {
        let first = self.count.saturating_sub(depth_max);
        self.starts[first..self.count].iter().map(|&start| usize::from(start))
    }

    /// Offset at which the last `count` labels start; `None` when there are fewer.
    pub(crate) fn offset_from_right(&self, count: usize) -> Option<usize> {
        let starts = &self.starts[..self.count];
        starts.get(self.count.checked_sub(count)?).map(|&start| usize::from(start))
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
