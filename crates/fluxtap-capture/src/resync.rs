//! Going on after damage: where the next record begins that can be believed.
//!
//! Damage shows as a record that contradicts itself, and with it goes the knowledge where the next
//! one begins. It is looked for byte by byte. One header proves nothing, as packets hold anything,
//! captures too; so several must follow each other, each with a time close to the one before.

use fluxtap_wire::Timestamp;

use crate::status::Damage;

/// Most bytes passed over to find the next record. What is damaged for longer ends there.
pub const RESYNC_BYTES_MAX: u64 = 16 << 20;

/// Records that must follow each other to be believed.
pub(crate) const CHAIN_RECORDS: usize = 3;

/// Furthest a record may lie from the one before to be believed, in seconds: a day.
pub(crate) const TIME_S_MAX: u64 = 86_400;

/// Whether records begin at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// They do.
    Found,
    /// They do not.
    Nothing,
    /// So many bytes are needed to tell.
    Need(usize),
}

/// What of a capture was passed over because it was damaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many stretches.
    pub count: u64,
    /// Bytes of all of them together.
    pub bytes: u64,
    /// Where the first begins and what was wrong with it.
    pub first: Option<(u64, Damage)>,
}

impl Gaps {
    pub(crate) fn add(&mut self, offset: u64, bytes: u64, what: Damage) {
        self.count += 1;
        self.bytes += bytes;
        self.first.get_or_insert((offset, what));
    }
}

/// Whether [`CHAIN_RECORDS`] follow each other at the start of `data`, or fewer that end where the
/// input does, `is_all` of which is there then. `record` gives the time and length of the record
/// with a header, if it is sound and near another time.
pub(crate) fn chain<const HEADER: usize>(
    data: &[u8],
    last_at: Timestamp,
    is_all: bool,
    record: impl Fn(&[u8; HEADER], Timestamp) -> Option<(Timestamp, usize)>,
) -> Look {
    let (mut start, mut near) = (0, last_at);
    for found in 0..CHAIN_RECORDS {
        let header = data.get(start..).and_then(|rest| rest.first_chunk::<HEADER>());
        let Some(header) = header else {
            // After the last record of a cut file there may be a piece of the next.
            let is_end = found > 1 || (found == 1 && start == data.len());
            return match is_all {
                true if is_end => Look::Found,
                true => Look::Nothing,
                false => Look::Need(start + HEADER),
            };
        };
        let Some((at, bytes)) = record(header, near) else { return Look::Nothing };
        near = at;
        start += bytes;
    }
    Look::Found
}

/// Whether a time is close to another, or there is no other.
pub(crate) fn is_near(at: Timestamp, near: Timestamp) -> bool {
    near.0 == 0 || at.secs().abs_diff(near.secs()) <= TIME_S_MAX
}
