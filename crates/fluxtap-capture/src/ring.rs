//! One ring of the kernel, and how it is read.
//!
//! The key decision: a ring that is alone is read where its packets are used, which lends them; one
//! of several is read by a thread of its own, which copies them, so that each is emptied while the
//! decoder works. The thread says up to which time it knows the ring, and that is all that a merge
//! by time needs to know.

use crate::BATCH_PACKETS_MAX;
use crate::held::Held;
use crate::live::{self, Live, LiveStats};
use fluxtap_wire::{Packet, Timestamp};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a reader is to do.
const READ_ON: u8 = 0;
/// End when the ring is empty.
const FINISH: u8 = 1;
/// End at once.
const QUIT: u8 = 2;

/// Least time between two looks at the counters of a ring, in nanoseconds: libpcap opens files of
/// the system for each.
const COUNT_EVERY_NS: u64 = 200_000_000;

/// How the readers of a group work.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    /// The longest wait for packets.
    pub(crate) timeout_ms: u32,
    /// Memory of packets of one ring that wait, in bytes; with more, it is not read.
    pub(crate) held_bytes_max: usize,
    pub(crate) now: fn() -> Timestamp,
    pub(crate) bell: Arc<Bell>,
}

impl Readers {
    /// The thread's queue is taken over as a whole behind what was taken over before.
    fn queue_bytes_max(&self) -> usize {
        self.held_bytes_max / 3
    }
}

/// Wakes whoever waits for any of the readers.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn ring(&self) {
        *lock(&self.has_rung) = true;
        self.rings.notify_one();
    }

    /// Waits until it has rung since it was waited for last, or time is up.
    pub(crate) fn wait(&self, timeout_ms: u32) {
        let has_rung = lock(&self.has_rung);
        let timeout = Duration::from_millis(u64::from(timeout_ms.max(1)));
        let waited = self.rings.wait_timeout_while(has_rung, timeout, |has_rung| !*has_rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// A thread that panicked left a state behind that is as good as any: all of it is counts and
/// packets.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See the module's head.
pub(crate) struct Ring {
    /// Where it is read here, or not yet by its thread.
    live: Option<Live>,
    reader: Option<Reader>,
    /// Packets stamped within are not of this ring alone, and left out.
    shared_before: Range<Timestamp>,
    /// Packets that wait, and up to when all that the ring was given is among them or was before.
    held: Held,
    known: Timestamp,
    counts: Counts,
}

/// What was counted of a ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) live: LiveStats,
    /// Packets read of it.
    pub(crate) read: u64,
}

impl Counts {
    /// Packets in it that were not read.
    pub(crate) fn in_ring(&self) -> u64 {
        self.live.received.saturating_sub(self.live.dropped_by_kernel + self.read)
    }

    fn count(&mut self, live: &mut Live) {
        // Where the interface is gone, what was counted last is all there is.
        self.live = live.stats().unwrap_or_else(|_| live.stats_before());
    }
}

/// A thread that reads.
struct Reader {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    has_room: Condvar,
    order: AtomicU8,
}

#[derive(Default)]
struct State {
    held: Held,
    known: Timestamp,
    counts: Counts,
    failed: Option<String>,
    is_over: bool,
}

impl Ring {
    /// A ring whose packets within `shared_before` other rings have as well.
    pub(crate) fn new(live: Live, shared_before: Range<Timestamp>) -> Self {
        Self {
            live: Some(live),
            reader: None,
            shared_before,
            held: Held::default(),
            known: Timestamp::default(),
            counts: Counts::default(),
        }
    }

    /// Has it read by a thread, if it is not.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn start(&mut self, readers: &Readers) -> io::Result<()> {
        let Some(live) = self.live.take() else { return Ok(()) };
        let state = Mutex::new(State { counts: self.counts, ..State::default() });
        let order = AtomicU8::new(READ_ON);
        let shared = Arc::new(Shared { state, has_room: Condvar::new(), order });
        let work = Work {
            live,
            shared_before: self.shared_before.clone(),
            readers: readers.clone(),
            shared: Arc::clone(&shared),
            read: self.counts.read,
            counted_at: Timestamp::default(),
        };
        let thread = thread::Builder::new().name("ring".to_owned()).spawn(move || work.run())?;
        self.reader = Some(Reader { shared, thread });
        Ok(())
    }

    /// Lends what it holds to `visit`, a batch at most; says how much it was.
    ///
    /// # Errors
    ///
    /// When the interface goes away or down.
    pub(crate) fn lend(&mut self, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<u64> {
        let Some(live) = &mut self.live else { return Ok(0) };
        let mut read = 0;
        let dispatched = live.dispatch(&mut |packet| {
            read += 1;
            visit(packet);
        });
        self.counts.read += read;
        dispatched.map(|_| read)
    }

    /// Takes over what its thread has read, to wait for other rings; says how many packets.
    ///
    /// # Errors
    ///
    /// When the interface goes away or down.
    pub(crate) fn take(&mut self, readers: &Readers) -> io::Result<u64> {
        let Some(reader) = &self.reader else { return Ok(0) };
        if self.held.bytes() > readers.queue_bytes_max() {
            return Ok(0);
        }
        let mut state = lock(&reader.shared.state);
        let packets = state.held.len() as u64;
        self.held.append(&mut state.held);
        (self.known, self.counts) = (state.known, state.counts);
        if packets > 0 {
            reader.shared.has_room.notify_one();
        }
        if let Some(failed) = state.failed.take() {
            return Err(io::Error::other(failed));
        }
        // Others would wait for it for ever.
        if reader.thread.is_finished() && !state.is_over {
            let said =
                "the thread that reads it ended; this is a fault of fluxtap, please report it";
            return Err(io::Error::other(said));
        }
        Ok(packets)
    }

    /// Packets taken over that wait.
    pub(crate) fn held(&mut self) -> &mut Held {
        &mut self.held
    }

    /// When the first of those was captured.
    pub(crate) fn first_at(&self) -> Option<Timestamp> {
        self.held.first_at()
    }

    /// Whether no packet can come of it that is older than `at`; the kernel delivers what it has
    /// within `delivery_ns`.
    pub(crate) fn is_known_to(&self, at: Timestamp, delivery_ns: u64) -> bool {
        self.held.len() > 0 || at.0 <= self.known.0.saturating_sub(delivery_ns)
    }

    /// Has its thread end when it is empty.
    pub(crate) fn finish(&self) {
        if let Some(reader) = &self.reader {
            reader.shared.order.store(FINISH, Ordering::Release);
        }
    }

    /// Whether its thread has ended, or there is none.
    pub(crate) fn is_over(&self) -> bool {
        self.reader.as_ref().is_none_or(|reader| lock(&reader.shared.state).is_over)
    }

    /// Whether it is captured.
    pub(crate) fn is_open(&self) -> bool {
        self.live.is_some() || self.reader.is_some()
    }

    /// The capture, where it is read here.
    pub(crate) fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    /// What was counted up to now.
    pub(crate) fn counts(&mut self) -> Counts {
        if let Some(live) = &mut self.live {
            self.counts.count(live);
        } else if let Some(reader) = &self.reader {
            self.counts = lock(&reader.shared.state).counts;
        }
        self.counts
    }

    /// Ends the capture; what was counted of it. Packets that were read stay.
    pub(crate) fn close(&mut self) -> Counts {
        let counts = match self.reader.take() {
            Some(Reader { shared, thread }) => {
                shared.order.store(QUIT, Ordering::Release);
                shared.has_room.notify_one();
                // One that panicked has said so on standard error, and is over all the same.
                let _ = thread.join();
                let mut state = lock(&shared.state);
                self.held.append(&mut state.held);
                state.counts
            }
            None => self.counts(),
        };
        (self.live, self.known, self.counts) = (None, Timestamp(u64::MAX), Counts::default());
        counts
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.close();
    }
}

/// A thread's own.
struct Work {
    live: Live,
    shared_before: Range<Timestamp>,
    readers: Readers,
    shared: Arc<Shared>,
    read: u64,
    counted_at: Timestamp,
}

impl Work {
    /// Reads until told to end, or the interface is gone.
    fn run(mut self) {
        let mut held = Held::default();
        loop {
            let order = self.shared.order.load(Ordering::Acquire);
            let began = (self.readers.now)();
            let mut packets = 0;
            let (read, shared_before) = (&mut packets, &self.shared_before);
            let dispatched = self.live.dispatch(&mut |packet| {
                *read += 1;
                if !shared_before.contains(&packet.at) {
                    held.push(&packet);
                }
            });
            self.read += packets;
            let is_empty = packets < BATCH_PACKETS_MAX as u64;
            let is_over = dispatched.is_err() || order == QUIT || (order == FINISH && is_empty);
            self.hand_over(&mut held, (began, is_empty), dispatched.err(), is_over);
            if is_over {
                return;
            }
            if is_empty {
                // A failure shows at the next look at the ring.
                let _ = live::wait([&self.live].into_iter(), self.readers.timeout_ms);
            }
        }
    }

    /// Gives away what was read since a time, and whether that was all; waits while it is too much.
    fn hand_over(
        &mut self,
        held: &mut Held,
        (began, is_empty): (Timestamp, bool),
        failed: Option<io::Error>,
        is_over: bool,
    ) {
        let mut state = lock(&self.shared.state);
        let is_news = held.len() > 0 || is_over;
        state.held.append(held);
        if is_empty {
            state.known = began;
        }
        // A clock that was set back must not keep the counters still.
        let is_due = began < self.counted_at || began.since(self.counted_at) >= COUNT_EVERY_NS;
        if is_due || is_over {
            self.counted_at = began;
            state.counts.read = self.read;
            state.counts.count(&mut self.live);
        }
        state.failed = failed.map(|error| error.to_string());
        state.is_over = is_over;
        if is_news {
            self.readers.bell.ring();
        }
        let order = &self.shared.order;
        let is_full = |state: &mut State| {
            let is_too_much = state.held.bytes() > self.readers.queue_bytes_max();
            is_too_much && order.load(Ordering::Acquire) != QUIT
        };
        let timeout = Duration::from_millis(u64::from(self.readers.timeout_ms.max(1)));
        while !is_over && is_full(&mut state) {
            let waited = self.shared.has_room.wait_timeout(state, timeout);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.counts.read = self.read;
            state.counts.count(&mut self.live);
        }
    }
}
