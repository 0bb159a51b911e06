//! The queue of one sink, between the thread that fills it and the one that empties it: the spool
//! on disk, and memory behind it for what the disk does not take.

use crate::clock;
use crate::counts::{Counters, add};
use crate::notice::Teller;
use crate::record::Item;
use crate::spool::{Refused, Spool};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two attempts to write to a disk that failed, while no line comes that would.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// Most octets that wait in memory behind a spool, or without one.
pub(crate) const MEMORY_OCTETS_MAX: usize = 16 << 20;

/// See the module's head.
pub(crate) struct Lane {
    pub(crate) counters: Arc<Counters>,
    teller: Teller,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    spool: Option<Spool>,
    /// What the spool did not take, in order; without a spool everything. While it holds anything
    /// nothing goes to the spool past it.
    memory: VecDeque<Item>,
    memory_octets: usize,
    /// The next number, if there is no spool that counts.
    next_seq: u64,
    /// The last record that was handed out.
    lent_to: u64,
    orders: Orders,
    is_closed: bool,
}

/// What the emptying thread is asked to do besides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Orders {
    /// Open files, certificates and tokens anew, and do not wait any more.
    pub(crate) reopen: bool,
    /// Deliver what is there until then, and end.
    pub(crate) stop_by: Option<Instant>,
}

/// What came of waiting for records.
pub(crate) enum Next {
    /// Records behind the last ones.
    Items(Vec<Item>),
    /// The time is up, or there are orders.
    Nothing,
    /// The end: everything was handed out, or the limit is reached.
    End,
}

impl Lane {
    pub(crate) fn new(spool: Option<Spool>, counters: Arc<Counters>, teller: Teller) -> Self {
        let lane = Self {
            counters,
            teller,
            state: Mutex::new(State {
                next_seq: spool.as_ref().map_or(1, Spool::next_seq),
                lent_to: 0,
                spool,
                memory: VecDeque::new(),
                memory_octets: 0,
                orders: Orders::default(),
                is_closed: false,
            }),
            changed: Condvar::new(),
        };
        lane.publish(&lane.lock());
        lane
    }

    /// Takes records in, in order; `is_synced` waits until the disk has them. What was left in
    /// memory before goes to disk first, if that can be written again.
    pub(crate) fn fill(&self, items: Vec<Item>, is_synced: bool) {
        let mut state = self.lock();
        let count = items.len() as u64;
        if state.is_closed {
            add(&self.counters.closed, count);
            add(&self.counters.accepted, count);
            return;
        }
        self.settle(&mut state);
        for item in items {
            self.take(&mut state, item);
        }
        // A good one says nothing: there may have been nothing to sync.
        if is_synced
            && let Some(spool) = &mut state.spool
            && let Err(error) = spool.sync()
        {
            self.spool_did(Err(error));
        }
        self.publish(&state);
        // Only now: who sees it there knows that it is in the queue.
        add(&self.counters.accepted, count);
        drop(state);
        self.changed.notify_all();
    }

    /// Records behind `seq`, at most so many and about so many octets. Waits for the first until
    /// `until`, and for orders; with `None` for as long as it takes.
    pub(crate) fn next(
        &self,
        seq: u64,
        count: usize,
        octets: usize,
        until: Option<Instant>,
    ) -> Next {
        let mut state = self.lock();
        loop {
            let items = self.behind(&mut state, seq, count, octets);
            if let Some(last) = items.last() {
                state.lent_to = state.lent_to.max(last.seq);
                return Next::Items(items);
            }
            if state.orders.reopen || state.is_closed {
                return Next::Nothing;
            }
            if state.orders.stop_by.is_some() {
                return Next::End;
            }
            let now = clock::instant();
            let is_failing = self.counters.is_spool_failing.load(Ordering::Relaxed);
            match until.map(|until| until.saturating_duration_since(now)) {
                Some(Duration::ZERO) => return Next::Nothing,
                // Nothing waits in memory that would try the disk again.
                rest if is_failing => {
                    state = self.wait(state, rest.unwrap_or(PROBE_EVERY).min(PROBE_EVERY));
                    self.probe(&state);
                }
                Some(rest) => {
                    state = self.wait(state, rest);
                }
                None => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Waits until so many records wait, but not past `until` and not past orders.
    pub(crate) fn await_more(&self, until: Instant, count: u64) {
        let mut state = self.lock();
        loop {
            let rest = until.saturating_duration_since(clock::instant());
            let is_enough = self.counters.waiting.load(Ordering::Relaxed) >= count;
            let has_orders = state.orders.reopen || state.orders.stop_by.is_some();
            if rest.is_zero() || is_enough || has_orders {
                return;
            }
            state = self.wait(state, rest);
        }
    }

    /// The receiver has everything up to `seq`.
    pub(crate) fn ack(&self, seq: u64) {
        let mut state = self.lock();
        while state.memory.front().is_some_and(|item| item.seq <= seq) {
            let gone = state.memory.pop_front().map_or(0, |item| item.octets());
            state.memory_octets -= gone;
        }
        if let Some(spool) = &mut state.spool {
            let saved = spool.ack(seq);
            if let Err(error) = saved {
                self.teller.warn_at_times(&format!(
                    "cannot save how far delivery is: {error}; after a crash lines would be sent \
                     once more"
                ));
            }
        }
        self.publish(&state);
    }

    /// Waits a while, but not past orders.
    pub(crate) fn pause(&self, wait: Duration) {
        let until = clock::instant() + wait;
        let mut state = self.lock();
        loop {
            let limit = state.orders.stop_by.map_or(until, |by| by.min(until));
            let rest = limit.saturating_duration_since(clock::instant());
            if rest.is_zero() || state.orders.reopen {
                return;
            }
            state = self.wait(state, rest);
        }
    }

    /// What is asked for; asking for files to be opened anew is taken back with it.
    pub(crate) fn orders(&self) -> Orders {
        let mut state = self.lock();
        let orders = state.orders;
        state.orders.reopen = false;
        orders
    }

    /// Asks the emptying thread for something.
    pub(crate) fn order(&self, give: impl FnOnce(&mut Orders)) {
        give(&mut self.lock().orders);
        self.changed.notify_all();
    }

    /// The receiver has gone for good: what waits is lost, and what will come.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        add(&self.counters.closed, state.memory.len() as u64);
        state.memory.clear();
        state.memory_octets = 0;
        self.publish(&state);
    }

    /// Whether the receiver has gone for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// The last sequence number the receiver has.
    pub(crate) fn cursor(&self) -> u64 {
        self.lock().spool.as_ref().map_or(0, Spool::cursor)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what waits in memory to the spool, as far as that takes it.
    fn settle(&self, state: &mut State) {
        let Some(spool) = &mut state.spool else { return };
        while let Some(item) = state.memory.front() {
            // The emptying thread may know it by its number already.
            spool.skip_to(item.seq);
            if self.append(spool, item, state.lent_to).is_some() {
                return;
            }
            let moved = state.memory.pop_front().map_or(0, |item| item.octets());
            state.memory_octets -= moved;
        }
    }

    fn take(&self, state: &mut State, mut item: Item) {
        if state.memory.is_empty()
            && let Some(spool) = &mut state.spool
        {
            match self.append(spool, &item, state.lent_to) {
                None => {
                    state.next_seq = spool.next_seq();
                    return;
                }
                Some(_) => state.next_seq = state.next_seq.max(spool.next_seq()),
            }
        }
        item.seq = state.next_seq;
        state.next_seq += 1;
        self.remember(state, item);
    }

    /// Appends to the spool; what it does not take is returned.
    fn append(&self, spool: &mut Spool, item: &Item, lent_to: u64) -> Option<()> {
        let (dropped, refused) = match spool.append(item, lent_to) {
            Ok(dropped) => {
                self.spool_did(Ok(()));
                (dropped, None)
            }
            Err((dropped, refused)) => (dropped, Some(refused)),
        };
        if dropped > 0 {
            add(&self.counters.updates_for_room, dropped);
            self.teller.warn_at_times(&format!(
                "the spool is full: {dropped} updates were dropped, the oldest first; beginnings \
                 and ends of alerts stay"
            ));
        }
        match refused? {
            Refused::Full => self.teller.warn_at_times(
                "the spool is full of beginnings and ends of alerts: further ones wait in memory; \
                 see to the receiver, or raise spool.size",
            ),
            Refused::Disk(error) => self.spool_did(Err(error)),
        }
        Some(())
    }

    /// Keeps a record in memory; there updates go first as well.
    fn remember(&self, state: &mut State, item: Item) {
        let octets = item.octets();
        while state.memory_octets + octets > MEMORY_OCTETS_MAX {
            let lent_to = state.lent_to;
            let goes = |item: &Item| item.is_update && item.seq > lent_to;
            if let Some(at) = state.memory.iter().position(goes) {
                let gone = state.memory.remove(at).map_or(0, |item| item.octets());
                state.memory_octets -= gone;
                add(&self.counters.updates_for_room, 1);
                self.teller.warn_at_times("memory is full: updates are dropped, the oldest first");
            } else {
                let counter = if item.is_update {
                    &self.counters.updates_for_room
                } else {
                    &self.counters.no_room
                };
                add(counter, 1);
                self.teller.warn_at_times(
                    "spool and memory are full: alerts are lost; see to the receiver and the disk",
                );
                return;
            }
        }
        state.memory_octets += octets;
        state.memory.push_back(item);
    }

    fn behind(&self, state: &mut State, seq: u64, count: usize, octets: usize) -> Vec<Item> {
        if state.is_closed {
            return Vec::new();
        }
        let mut items = Vec::new();
        if let Some(spool) = &mut state.spool {
            let damaged;
            (items, damaged) = spool.read(seq, count, octets);
            if damaged > 0 {
                add(&self.counters.damaged, damaged);
                self.teller.warn(&format!(
                    "{damaged} lines could not be read back from the spool and are lost; see to \
                     the disk"
                ));
                self.publish(state);
            }
        }
        if items.is_empty() {
            let behind = state.memory.iter().skip_while(|item| item.seq <= seq);
            let mut total = 0;
            for item in behind.take(count) {
                if total >= octets && total > 0 {
                    break;
                }
                total += item.line.len();
                items.push(item.clone());
            }
        }
        items
    }

    /// Finds out whether a disk that failed can be written again.
    fn probe(&self, state: &State) {
        if state.memory.is_empty()
            && let Some(spool) = &state.spool
            && spool.probe().is_ok()
        {
            self.spool_did(Ok(()));
        }
    }

    /// Notes whether the disk does what it should, and says so when that changes.
    fn spool_did(&self, result: std::io::Result<()>) {
        let was_failing = self.counters.is_spool_failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !was_failing => self.teller.warn(&format!(
                "cannot write the spool: {error}; lines wait in memory until it can be written, \
                 and are lost if the sensor ends before"
            )),
            Ok(()) if was_failing => self.teller.note("the spool can be written again"),
            _ => {}
        }
    }

    fn publish(&self, state: &State) {
        let spool = state.spool.as_ref();
        let set = |counter: &std::sync::atomic::AtomicU64, number| {
            counter.store(number, Ordering::Relaxed);
        };
        let in_memory = state.memory.len() as u64;
        set(&self.counters.waiting, spool.map_or(0, Spool::waiting) + in_memory);
        set(&self.counters.unspooled, in_memory);
        set(&self.counters.spool_octets, spool.map_or(0, Spool::octets));
        set(&self.counters.memory_octets, state.memory_octets as u64);
        let oldest = spool.and_then(Spool::oldest_ms);
        let oldest = oldest.or_else(|| state.memory.front().map(|item| item.accepted_ms));
        set(&self.counters.oldest_ms, oldest.unwrap_or(0));
    }
}
