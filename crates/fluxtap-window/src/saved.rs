//! A partition written down, and what must be done so that it means the same later.

use crate::table::Partition;
use serde::{Deserialize, Serialize};

/// A partition as it is written down, see [`crate::Table::save`]: everything that is known of its
/// domains, and their places, so that references into it stay valid.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
pub struct Saving<'a>(pub(crate) &'a Partition);

/// A partition that was written down, see [`crate::Table::load`].
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Saved(pub(crate) Partition);

/// The numbers that curated zones and entries of the allow list have in lists that come into force,
/// by the numbers they had before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renumber {
    /// Zones; `None` for one that is there no more.
    pub zones: Vec<Option<u16>>,
    /// Entries of the allow list.
    pub marks: Vec<Option<u16>>,
}

impl Renumber {
    /// The numbers in `after` of what stands in `before`.
    #[must_use]
    pub fn between<T: PartialEq>(before: &[T], after: &[T]) -> Vec<Option<u16>> {
        let number = |entry| after.iter().position(|other| other == entry);
        before.iter().map(|entry| number(entry).and_then(|at| u16::try_from(at).ok())).collect()
    }

    /// The new number; none for none, and for what is gone.
    pub(crate) fn of(numbers: &[Option<u16>], number: u16) -> u16 {
        numbers.get(usize::from(number)).copied().flatten().unwrap_or(u16::MAX)
    }
}
