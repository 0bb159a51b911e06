//! DNS messages out of TCP segments (RFC 9293, RFC 7766), each direction of a connection its own.
//!
//! The key decisions: a direction needs nothing of the other, because mirrors often show only one;
//! a SYN alone costs no entry, only a number in a ring of fixed size, so that half-open connections
//! cannot push out those that carry messages; what is missing is waited for shortly and then
//! stepped over, because what a mirror dropped is never sent again.

use crate::framing::FramingCounts;
use crate::key::{Keyed, is_past};
use crate::ring::Ring;
use crate::settings::TableLimits;
use crate::stream::{Key, Out, Part, Stream};
use crate::table::{Id, Table};
use fluxtap_wire::{Datagram, Segment, Timestamp};
use std::collections::VecDeque;

/// How long a gap is waited for, in seconds: what a sender waits at first before it sends again
/// (RFC 6298 section 2).
const GAP_S: u32 = 1;

/// Connections whose SYN is remembered until data comes, 13 bytes each.
const OPENINGS_MAX: usize = 1 << 14;

/// Bytes that may be missing between a SYN and the first segment seen.
const OPENING_DISTANCE_MAX: u32 = 64 << 10;

/// Where messages go: when the last of their bytes was captured, and the message.
pub type Visit<'a> = &'a mut dyn FnMut(Timestamp, &Datagram<'_>);

/// Counters of streams. What was begun has ended, expired, was evicted, is unread or is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Directions of connections that carried data.
    pub begun: u64,
    /// Those of them whose beginning was not seen.
    pub joined_midway: u64,
    /// Those that ended by FIN or RST, or because another began in their place.
    pub ended: u64,
    /// Those in which nothing came for the time set, or that were open at the end of input.
    pub expired: u64,
    /// Those that had to make room.
    pub evicted: u64,
    /// Segments of streams whose beginning was not seen and in which nothing looked like a
    /// message; not kept.
    pub unread: u64,
    /// Those that are open.
    pub held: u64,
    /// Segments that said nothing new.
    pub retransmitted: u64,
    /// Segments of which some bytes were there before.
    pub overlapping: u64,
    /// Segments that came before their turn.
    pub out_of_order: u64,
    /// Gaps that were stepped over, those left by the capture's snap length included.
    pub gaps: u64,
    /// Message boundaries found by search, in streams joined midway or behind gaps.
    pub resynchronised: u64,
    /// Bytes in which no message was found.
    pub octets_skipped: u64,
}

impl StreamCounts {
    /// Every stream that was begun ended in one way, or is held.
    #[must_use]
    pub const fn is_conserved(&self) -> bool {
        self.begun == self.ended + self.expired + self.evicted + self.unread + self.held
    }
}

/// Turns segments into messages.
#[derive(Debug)]
pub struct Streams {
    table: Table<Stream>,
    /// Sequence numbers behind the SYNs of connections that carried no data yet.
    openings: Ring,
    /// Streams with a gap, by the time it was noticed.
    waiting: VecDeque<(Timestamp, Id, Key)>,
    waiting_max: usize,
    /// Nothing falls due before this.
    due: Timestamp,
    keyed: Keyed,
    counts: StreamCounts,
    framing: FramingCounts,
}

impl Streams {
    /// An empty table; a lifetime counts from a stream's last segment.
    #[must_use]
    pub fn new(limits: TableLimits, hash_key: u64) -> Self {
        Self {
            table: Table::new(limits),
            openings: Ring::new(OPENINGS_MAX),
            waiting: VecDeque::new(),
            waiting_max: limits.entries_max,
            due: Timestamp(u64::MAX),
            keyed: Keyed::new(hash_key),
            counts: StreamCounts::default(),
            framing: FramingCounts::default(),
        }
    }

    /// The counters.
    #[must_use]
    pub const fn counts(&self) -> StreamCounts {
        StreamCounts {
            resynchronised: self.framing.resynchronised,
            octets_skipped: self.framing.skipped,
            ..self.counts
        }
    }

    /// Bytes that the streams held take, at most [`TableLimits::bytes_max`].
    #[must_use]
    pub const fn held_octets(&self) -> usize {
        self.table.bytes()
    }

    /// Takes a segment captured at `at` when event time is `now`. Each message it completes is
    /// given to `visit` with the time at which its last byte was captured.
    pub fn take(&mut self, at: Timestamp, now: Timestamp, segment: &Segment<'_>, visit: Visit<'_>) {
        self.expire(now, visit);
        let part = Part::of(segment);
        if part.is_empty() && !part.is_syn && !part.is_end {
            return;
        }
        let key = Key::of(segment);
        let hash = self.hash(&key);
        let mut found = self.table.find(hash, |stream| stream.key == key);
        if part.is_syn {
            found = self
                .keep_if(found, visit, |stream| !stream.is_over && stream.begins_with(part.first));
            if found.is_none() {
                self.openings.insert(hash, part.first, |_| true);
            }
        }
        if part.is_empty() && (part.is_syn || found.is_none()) {
            return;
        }
        let is_near = |stream: &Stream| stream.is_near(&part);
        if part.is_empty() && !found.and_then(|id| self.table.get(id)).is_some_and(is_near) {
            return;
        }
        let id = match self.keep_if(found, visit, is_near) {
            Some(id) => id,
            None => self.begin(hash, key, part.first, now),
        };
        self.table.touch(id, now);
        let Self { table, counts, framing, .. } = self;
        if let Some(stream) = table.get_mut(id) {
            stream.take(at, &part, &mut Out { counts, framing, visit });
        }
        self.settle(id, now, visit);
        self.note_due();
    }

    /// Before this there is nothing to do for [`Streams::expire`].
    #[must_use]
    #[inline]
    pub const fn due(&self) -> Timestamp {
        self.due
    }

    /// When event time is `now`: steps over gaps that stay, and ends streams that are idle.
    pub fn expire(&mut self, now: Timestamp, visit: Visit<'_>) {
        while let Some(&(since, id, key)) = self.waiting.front() {
            if !is_past(since, now, GAP_S) && self.waiting.len() <= self.waiting_max {
                break;
            }
            self.waiting.pop_front();
            let Self { table, counts, framing, .. } = self;
            // The number may be another stream's by now, and the gap another one.
            let is_it =
                |stream: &&mut Stream| stream.key == key && stream.waiting_since == Some(since);
            if let Some(stream) = table.get_mut(id).filter(is_it) {
                stream.waiting_since = None;
                stream.step_over(&mut Out { counts, framing, visit });
                self.settle(id, now, visit);
            }
        }
        while let Some((id, at)) = self.table.oldest() {
            if !is_past(at, now, self.table.lifetime_s()) {
                break;
            }
            let is_open = self.close(id, visit);
            self.counts.expired += u64::from(is_open);
        }
        self.note_due();
    }

    /// The end of input: gives out what is left, from the stream idle for longest on.
    pub fn finish(&mut self, visit: Visit<'_>) {
        while let Some((id, _)) = self.table.oldest() {
            let is_open = self.close(id, visit);
            self.counts.expired += u64::from(is_open);
        }
        self.waiting.clear();
        self.note_due();
    }

    fn note_due(&mut self) {
        let never = Timestamp(u64::MAX);
        let step =
            self.waiting.front().map_or(never, |(since, ..)| since.plus_secs(u64::from(GAP_S)));
        let lifetime_s = u64::from(self.table.lifetime_s());
        let idle = self.table.oldest().map_or(never, |(_, at)| at.plus_secs(lifetime_s));
        self.due = step.min(idle);
    }

    fn hash(&self, key: &Key) -> u64 {
        let ports = u64::from(key.source_port) << 16 | u64::from(key.destination_port);
        self.keyed.way(&key.ends, ports)
    }

    /// The stream if it is there and `is_it` holds; otherwise another one takes its place.
    fn keep_if(
        &mut self,
        found: Option<Id>,
        visit: Visit<'_>,
        is_it: impl Fn(&Stream) -> bool,
    ) -> Option<Id> {
        let id = found?;
        if self.table.get(id).is_some_and(is_it) {
            return Some(id);
        }
        let is_open = self.close(id, visit);
        self.counts.ended += u64::from(is_open);
        None
    }

    fn begin(&mut self, hash: u64, key: Key, first: u32, now: Timestamp) -> Id {
        let opening = self.openings.remove(hash);
        let opening = opening.filter(|next| first.wrapping_sub(*next) <= OPENING_DISTANCE_MAX);
        self.counts.begun += 1;
        self.counts.held += 1;
        self.counts.joined_midway += u64::from(opening.is_none());
        let stream = Stream::new(key, opening.unwrap_or(first), opening.is_some());
        self.table.insert(hash, self.keyed.source(key.ends.source), now, stream)
    }

    /// After a change: ends what has reached its end, waits for gaps, keeps the limits.
    fn settle(&mut self, id: Id, now: Timestamp, visit: Visit<'_>) {
        let Self { table, counts, framing, .. } = self;
        let Some(stream) = table.get_mut(id) else { return };
        let out = &mut Out { counts, framing, visit };
        while stream.is_full() {
            stream.step_over(out);
        }
        if !stream.is_over && stream.is_unread() {
            table.remove(id);
            self.counts.unread += 1;
            self.counts.held -= 1;
            return;
        }
        if !stream.is_over && stream.has_ended() {
            stream.finish(out);
            stream.is_over = true;
            self.counts.ended += 1;
            self.counts.held -= 1;
        }
        if !stream.has_gap() {
            stream.waiting_since = None;
        } else if stream.waiting_since.is_none() {
            stream.waiting_since = Some(now);
            self.waiting.push_back((now, id, stream.key));
        }
        let memory = stream.memory();
        self.table.set_bytes(id, memory);
        while let Some(victim) = self.table.crowding(id) {
            let is_open = self.close(victim, visit);
            self.counts.evicted += u64::from(is_open);
        }
    }

    /// Takes a stream out and gives out what is left of it; whether it was still open.
    fn close(&mut self, id: Id, visit: Visit<'_>) -> bool {
        let Some(mut stream) = self.table.remove(id) else { return false };
        if stream.is_over {
            return false;
        }
        self.counts.held -= 1;
        let Self { counts, framing, .. } = self;
        stream.finish(&mut Out { counts, framing, visit });
        true
    }
}

#[cfg(test)]
mod tests;
