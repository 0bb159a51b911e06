//! Names, in the order of a hash of their registrable domain and then of their bytes.

use super::{Ends, Indicator, NO_END, Scope, Tag, TooMany};
use crate::labels::Labels;
use crate::suffix::registrable;
use std::cmp::Ordering;
use std::ops::Range;

/// See the module's head; four arrays side by side, so that a search touches only hashes.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Hashes of registrable domains, sorted.
    keys: Box<[u32]>,
    /// Where each name begins in the arena; it ends with its root label.
    at: Box<[u32]>,
    /// The list, and behind [`SCOPE_BIT`] the scope.
    of: Box<[u8]>,
    ends: Ends,
    arena: Box<[u8]>,
}

/// Lists are fewer than fit below it.
const SCOPE_BIT: u8 = 6;

impl Names {
    pub(super) const fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let rows = size_of_val(&*self.keys) + size_of_val(&*self.at) + size_of_val(&*self.of);
        rows + self.ends.bytes() + self.arena.len()
    }

    /// The entries that cover a name, from the registrable domain downwards.
    pub(super) fn find(&self, wire: &[u8]) -> impl Iterator<Item = (Tag, Indicator)> {
        let domain_at = if self.keys.is_empty() { None } else { registrable(wire) };
        let rows = domain_at.map_or(0..0, |at| self.rows(&wire[at..]));
        // Nothing is listed of nearly every domain, and its labels need not be found.
        let labels = if rows.is_empty() { None } else { Labels::new_checked(wire) };
        let suffixes: Vec<usize> = labels.iter().flat_map(|l| l.offsets(usize::MAX)).collect();
        let suffixes = suffixes.into_iter().rev().skip_while(move |&at| Some(at) > domain_at);
        suffixes.flat_map(move |at| self.covering(rows.clone(), &wire[at..], at == 0))
    }

    /// Whether an entry is at or below a registrable domain; for names with its hash, which is
    /// hardly ever wrong.
    pub(super) fn has_below(&self, domain: &[u8]) -> bool {
        !self.rows(domain).is_empty()
    }

    /// The entries with the hash of a registrable domain.
    fn rows(&self, domain: &[u8]) -> Range<usize> {
        let key = key(domain);
        let from = self.keys.partition_point(|&k| k < key);
        from..from + self.keys[from..].partition_point(|&k| k == key)
    }

    /// The entries of a name among rows, as far as they cover it or names below it.
    fn covering(
        &self,
        rows: Range<usize>,
        name: &[u8],
        is_itself: bool,
    ) -> impl Iterator<Item = (Tag, Indicator)> {
        let (mut from, mut end) = (rows.start, rows.end);
        while from < end {
            let middle = usize::midpoint(from, end);
            match self.compare(middle, name) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal | Ordering::Greater => end = middle,
            }
        }
        let name: Box<[u8]> = name.into();
        let same = (from..rows.end).map_while({
            let name = name.clone();
            move |row| (self.compare(row, &name) == Ordering::Equal).then_some(row)
        });
        same.filter_map(move |row| {
            let scope = self.scope(row);
            let covers = scope == Scope::Whole || (scope == Scope::Exact) == is_itself;
            let list = self.of[row] & ((1 << SCOPE_BIT) - 1);
            let tag = Tag { list, until_s: self.ends.get(row) };
            covers.then(|| (tag, Indicator::Name(name.clone(), scope)))
        })
    }

    fn scope(&self, row: usize) -> Scope {
        match self.of[row] >> SCOPE_BIT {
            0 => Scope::Exact,
            1 => Scope::Below,
            _ => Scope::Whole,
        }
    }

    /// The name of a row compared with another.
    fn compare(&self, row: usize, name: &[u8]) -> Ordering {
        let from = self.at[row] as usize;
        let there = self.arena.get(from..).unwrap_or_default();
        // No wire form is the beginning of another, so as many bytes decide.
        there[..name.len().min(there.len())].cmp(name)
    }
}

/// FNV-1a, 64 bits folded to 32. Whoever writes a list may aim at collisions: they are told apart by
/// a search over the names.
fn key(domain: &[u8]) -> u32 {
    let hash = domain.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 32) as u32 ^ hash as u32
}

/// Names while they are read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    rows: Vec<Row>,
    arena: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    key: u32,
    at: u32,
    len: u8,
    scope: Scope,
    tag: Tag,
}

impl Draft {
    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn push(&mut self, wire: &[u8], scope: Scope, tag: Tag) -> Result<(), TooMany> {
        let Some(domain_at) = registrable(wire) else { return Ok(()) };
        let at = u32::try_from(self.arena.len()).map_err(|_| TooMany)?;
        self.arena.extend_from_slice(wire);
        let (key, len) = (key(&wire[domain_at..]), wire.len() as u8);
        self.rows.push(Row { key, at, len, scope, tag });
        Ok(())
    }

    pub(super) fn finish(self, lists: usize) -> Names {
        let Self { mut rows, arena } = self;
        let name = |row: &Row| &arena[row.at as usize..][..usize::from(row.len)];
        rows.retain(|row| usize::from(row.tag.list) < lists);
        rows.sort_unstable_by(|a, b| {
            let by_name = a.key.cmp(&b.key).then_with(|| name(a).cmp(name(b)));
            let of = |row: &Row| (row.tag.list, row.scope, NO_END - row.tag.until_s);
            by_name.then_with(|| of(a).cmp(&of(b)))
        });
        rows.dedup_by(|b, a| {
            let is_same = a.key == b.key && a.tag.list == b.tag.list && name(a) == name(b);
            is_same && a.scope == b.scope
        });
        let mut sorted = Vec::with_capacity(arena.len());
        let mut at = Vec::with_capacity(rows.len());
        for row in &rows {
            at.push(sorted.len() as u32);
            sorted.extend_from_slice(name(row));
        }
        Names {
            keys: rows.iter().map(|row| row.key).collect(),
            at: at.into(),
            of: rows.iter().map(|row| row.tag.list | (row.scope as u8) << SCOPE_BIT).collect(),
            ends: Ends::of(rows.iter().map(|row| row.tag.until_s)),
            arena: sorted.into(),
        }
    }
}
