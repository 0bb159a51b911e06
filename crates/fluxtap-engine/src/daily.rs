//! What is told of a domain once a day, besides the life of its alert.
//!
//! What may have to be told waits for the end of its second, and is told in the order of the domains
//! then; so the order of lines does not depend on batches. Limits are those of a partition, so that
//! nothing depends on how the domains are shared out: [`WAITING_MAX`], [`TOLD_MAX`].

use fluxtap_intel::Day;
use fluxtap_window::partition_of;
use std::collections::{BTreeMap, BTreeSet};

/// Most domains of a partition that wait for the end of their second.
const WAITING_MAX: usize = 1_024;

/// Most domains of a partition that are remembered to have been told of on a day.
const TOLD_MAX: usize = 4_096;

/// What may have to be told.
pub(crate) trait News: Ord + Default {
    /// What is remembered of it once it is told.
    type Note: std::fmt::Debug;

    /// The domain, wire form.
    fn domain(&self) -> &[u8];

    /// The hash of that.
    fn hash(&self) -> u64;

    /// What is remembered.
    fn note(&self) -> Self::Note;
}

/// What was told of domains, and on which day.
type Told<N> = BTreeMap<Box<[u8]>, (Day, <N as News>::Note)>;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Daily<N: News> {
    /// By the second until whose end they wait.
    waiting: BTreeSet<(u32, N)>,
    /// How many wait, by partition.
    waiting_of: BTreeMap<usize, usize>,
    /// By partition.
    told: BTreeMap<usize, Told<N>>,
}

impl<N: News> Default for Daily<N> {
    fn default() -> Self {
        Self { waiting: BTreeSet::new(), waiting_of: BTreeMap::new(), told: BTreeMap::new() }
    }
}

impl<N: News> Daily<N> {
    /// Lets news wait for the end of a second; false if there is no room.
    pub(crate) fn wait(&mut self, due_s: u32, news: N) -> bool {
        let waiting_of = self.waiting_of.entry(partition_of(news.hash())).or_default();
        let has_room = *waiting_of < WAITING_MAX;
        *waiting_of += usize::from(has_room && self.waiting.insert((due_s, news)));
        has_room
    }

    /// The first second for which something waits.
    pub(crate) fn first_s(&self) -> Option<u32> {
        self.waiting.first().map(|(due_s, _)| *due_s)
    }

    /// The last one.
    pub(crate) fn last_s(&self) -> Option<u32> {
        self.waiting.last().map(|(due_s, _)| *due_s)
    }

    /// Takes out what waits for a second or an earlier one.
    pub(crate) fn take(&mut self, due_s: u32) -> impl Iterator<Item = N> + use<N> {
        let rest = self.waiting.split_off(&(due_s + 1, N::default()));
        let due = std::mem::replace(&mut self.waiting, rest);
        for (_, news) in &due {
            let waiting_of = self.waiting_of.entry(partition_of(news.hash())).or_default();
            *waiting_of = waiting_of.saturating_sub(1);
        }
        due.into_iter().map(|(_, news)| news)
    }

    /// What was told of a domain on a day or the one before.
    pub(crate) fn told(&self, domain: &[u8], day: Day) -> Option<&N::Note> {
        let (on, note) = self.told.values().find_map(|told| told.get(domain))?;
        (on.0 + 1 >= day.0).then_some(note)
    }

    /// Whether a domain was told of on that day.
    pub(crate) fn is_told(&self, news: &N, day: Day) -> bool {
        let of_partition = self.told.get(&partition_of(news.hash()));
        let told = of_partition.and_then(|told| told.get(news.domain()));
        told.is_some_and(|(on, _)| *on == day)
    }

    /// Notes that a domain is told of; false if there is no room to remember it.
    pub(crate) fn note_told(&mut self, news: &N, day: Day) -> bool {
        let told = self.told.entry(partition_of(news.hash())).or_default();
        if told.len() >= TOLD_MAX {
            told.retain(|_, (on, _)| *on == day);
        }
        let has_room = told.len() < TOLD_MAX;
        if has_room {
            told.insert(news.domain().into(), (day, news.note()));
        }
        has_room
    }

    /// Lets everything wait for one second: time was set back.
    pub(crate) fn hasten(&mut self, due_s: u32) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting = waiting.into_iter().map(|(_, news)| (due_s, news)).collect();
    }
}
