//! Which messages may build state: no copies, and no responses that nobody asked for.

use crate::key::Keyed;
use crate::pairs::{Asked, Found, Pairs};
use crate::ring::{Before, Ring};
use crate::settings::{FlowSettings, Pairing};
use crate::times::ResponseTimes;
use crate::visibility::Visibility;
use fluxtap_wire::dns::HEADER_OCTETS;
use fluxtap_wire::{Datagram, Header, Message, Timestamp};
use hdrhistogram::Histogram;
use std::net::IpAddr;

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Use it.
    Use,
    /// It is a copy of a message that was seen just before.
    Duplicate,
    /// A response to no query that was seen, or a second one to the same.
    Unsolicited,
}

/// Counters of the gate; all but the first three are about what was forgotten too early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateCounts {
    /// Responses whose query was seen.
    pub paired: u64,
    /// Responses whose query was not seen, whether they were used or not.
    pub lacking: u64,
    /// Second responses to the same query.
    pub answered_before: u64,
    /// Times that queries became visible, and ceased to be.
    pub visibility_changes: u64,
    /// Queries that had to make room while they waited for their response.
    pub queries_evicted: u64,
    /// Messages forgotten so early that a copy could have passed.
    pub duplicates_evicted: u64,
}

/// See the module's head. Its tables double up to their limits when they would lose something that
/// is needed; nothing is allocated per message.
#[derive(Debug)]
pub struct Gate {
    keyed: Keyed,
    pairing: Pairing,
    pairs: Option<Pairs>,
    visibility: Visibility,
    duplicates: Option<Ring>,
    duplicate_window_ms: u32,
    response_times: ResponseTimes,
    counts: GateCounts,
}

impl Gate {
    /// A gate that has seen nothing.
    #[must_use]
    pub fn new(settings: &FlowSettings, hash_key: u64) -> Self {
        let window_ms = settings.duplicate_window_ms;
        let pairs = || Pairs::new(settings.queries_max, settings.query_lifetime_s, window_ms);
        let duplicates = || Ring::new(settings.duplicates_max);
        let longest_us = 1_000_000 * u64::from(settings.query_lifetime_s.max(1));
        Self {
            keyed: Keyed::new(hash_key),
            pairing: settings.pairing,
            pairs: (settings.pairing != Pairing::Ignore).then(pairs),
            visibility: Visibility::new(),
            duplicates: (window_ms > 0).then(duplicates),
            duplicate_window_ms: window_ms,
            response_times: ResponseTimes::new(longest_us),
            counts: GateCounts::default(),
        }
    }

    /// Judges the message of a datagram that was captured at `at` when event time is `now`.
    ///
    /// A message is a copy if every byte of it is that of the other: by a hash of 64 bits, but for the
    /// bytes beside id and question of a query, where 8 are enough, and of a second response to a query
    /// that was seen, where 16 are: it is used in no case.
    #[inline]
    pub fn judge(
        &mut self,
        at: Timestamp,
        now: Timestamp,
        datagram: &Datagram<'_>,
        message: &Message<'_>,
    ) -> Verdict {
        let header = message.header();
        let question = message.question_octets().unwrap_or(&[]);
        let pair = self.pair(datagram, header, question);
        if let Some(pairs) = &self.pairs {
            pairs.fetch(pair);
        }
        let print = self.print(pair, datagram.payload, header, question.len());
        let has_pair = !question.is_empty() && header.opcode() == 0;
        if let Some(pairs) = self.pairs.as_mut().filter(|_| has_pair) {
            if header.is_response() {
                let found = pairs.answer(pair, print as u16, at);
                return self.answer(found, print, datagram.ends.source, at, now);
            }
            return match pairs.ask(pair, print as u8, at) {
                Asked::Copy => Verdict::Duplicate,
                Asked::Anew => Verdict::Use,
            };
        }
        if self.is_copy(print, at) { Verdict::Duplicate } else { Verdict::Use }
    }

    /// What a response is worth that found this.
    #[inline]
    fn answer(
        &mut self,
        found: Found,
        print: u64,
        server: IpAddr,
        at: Timestamp,
        now: Timestamp,
    ) -> Verdict {
        match found {
            // Its query is forgotten before its copies may come, or a copy came before the query.
            Found::Query(took_us)
                if (took_us == 0 || took_us > self.duplicate_window_us())
                    && self.is_copy(print, at) =>
            {
                Verdict::Duplicate
            }
            Found::Query(took_us) => {
                self.counts.paired += 1;
                self.response_times.note(took_us);
                self.visibility.vote(now, true, || self.keyed.source(server));
                Verdict::Use
            }
            Found::Copy => Verdict::Duplicate,
            // A query that was seen has one response, wherever queries are visible otherwise.
            Found::Answered => {
                self.counts.answered_before += 1;
                Verdict::Unsolicited
            }
            Found::Nothing if self.is_copy(print, at) => Verdict::Duplicate,
            Found::Nothing => {
                self.counts.lacking += 1;
                let is_refused = self.queries_visible() == Some(true);
                self.visibility.vote(now, false, || self.keyed.source(server));
                if is_refused { Verdict::Unsolicited } else { Verdict::Use }
            }
        }
    }

    /// The hash of a message of which `pair` is the hash of its ends, id and question.
    #[inline]
    fn print(&self, pair: u64, payload: &[u8], header: Header, question_len: usize) -> u64 {
        let (_, counts) = payload.split_at_checked(4).unwrap_or_default();
        let counts = counts.first_chunk().map_or(0, |counts| u64::from_be_bytes(*counts));
        // The flags are laid over the count of questions, which is 1.
        let start = pair ^ counts ^ u64::from(header.flags) << 48;
        let rest = payload.get(HEADER_OCTETS + question_len..).unwrap_or(&[]);
        self.keyed.with_octets(start, rest)
    }

    const fn duplicate_window_us(&self) -> u64 {
        1_000 * self.duplicate_window_ms as u64
    }

    /// Whether a message with this hash came just before.
    #[inline]
    fn is_copy(&mut self, print: u64, at: Timestamp) -> bool {
        let Some(duplicates) = &mut self.duplicates else { return false };
        // The milliseconds wrap every 49 days; what is older has long lost its place.
        let at_ms = at.millis() as u32;
        let distance = |other: u32| (at_ms.wrapping_sub(other) as i32).unsigned_abs();
        let is_near = |other| distance(other) <= self.duplicate_window_ms;
        match duplicates.insert(print, at_ms, is_near) {
            Before::Known(other) => is_near(other),
            Before::Replaced(other) => {
                self.counts.duplicates_evicted += u64::from(is_near(other));
                false
            }
            Before::Nothing => false,
        }
    }

    /// The hash of all that a query and its response share.
    #[inline]
    fn pair(&self, datagram: &Datagram<'_>, header: Header, question: &[u8]) -> u64 {
        let Datagram { ends, source_port, destination_port, .. } = datagram;
        let (client, server, ports) = if header.is_response() {
            (&ends.destination, &ends.source, both(*destination_port, *source_port))
        } else {
            (&ends.source, &ends.destination, both(*source_port, *destination_port))
        };
        let id = u64::from(datagram.is_tcp) << 16 | u64::from(header.id);
        self.keyed.with_octets(self.keyed.pair(client, server, id << 32 | ports), question)
    }

    /// Whether queries are visible beside the responses; `None` if nobody looks.
    #[must_use]
    pub const fn queries_visible(&self) -> Option<bool> {
        match self.pairing {
            Pairing::Auto => Some(self.visibility.is_visible()),
            Pairing::Require => Some(true),
            Pairing::Ignore => None,
        }
    }

    /// Of the responses of the last minute or more, how many in a hundred lacked their query, rounded up:
    /// what the mirror lost, and what was forged. `None` while queries are not visible, or nobody looks.
    #[must_use]
    pub const fn lacking_percent(&self) -> Option<u8> {
        match self.queries_visible() {
            Some(true) => self.visibility.lacking_percent(),
            _ => None,
        }
    }

    /// The counters.
    #[must_use]
    pub fn counts(&self) -> GateCounts {
        GateCounts {
            visibility_changes: self.visibility.changes(),
            queries_evicted: self.pairs.as_ref().map_or(0, Pairs::evicted),
            duplicates_evicted: self.counts.duplicates_evicted
                + self.pairs.as_ref().map_or(0, Pairs::copies_evicted),
            ..self.counts
        }
    }

    /// Times from query to response in microseconds.
    #[must_use]
    pub fn response_times(&self) -> Histogram<u64> {
        self.response_times.histogram()
    }
}

/// Two ports as one number.
const fn both(first: u16, second: u16) -> u64 {
    (first as u64) << 16 | second as u64
}

#[cfg(test)]
mod tests;
