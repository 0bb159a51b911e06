//! Names checked where they lie: how long they are, and that their pointers are honest.

use super::{NAME_OCTETS_MAX, NamePosition, POINTERS_PER_NAME_MAX};
use crate::dns::{HEADER_OCTETS, Malformed};

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

#[cfg(test)]
mod tests {
    use super::*;

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
