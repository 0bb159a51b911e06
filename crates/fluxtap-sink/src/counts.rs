//! What a sink did, for metrics, summaries and signs of life.

use crate::clock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a sink did since the start, and where it stands.
///
/// `accepted + resumed = delivered + dead_lettered + dropped.sum() + waiting` holds whenever the
/// sink rests; while it works a record may be on its way between two of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkCounts {
    /// Its name in the settings.
    pub name: String,
    /// What it is: `stdout`, `file`, `syslog`, `webhook`, `elasticsearch`, `splunk_hec`.
    pub kind: &'static str,
    /// Records that its filter let pass and that were taken in.
    pub accepted: u64,
    /// Records that its filter held back, or that have no form it delivers.
    pub filtered: u64,
    /// Records that an earlier run left in the spool.
    pub resumed: u64,
    /// Records that the receiver said yes to, as far as it can say.
    pub delivered: u64,
    /// Records that were sent once more, each time.
    pub retried: u64,
    /// Records that the receiver will never take; they are in the dead-letter file.
    pub dead_lettered: u64,
    /// Records that are lost, by reason.
    pub dropped: Dropped,
    /// Times that sending failed.
    pub faults: u64,
    /// Octets of the spool that could not be read back.
    pub damaged_octets: u64,
    /// Records that wait.
    pub waiting: u64,
    /// Those of them that wait in memory alone, and are lost if the program ends.
    pub unspooled: u64,
    /// Size of the spool on disk, in octets.
    pub spool_octets: u64,
    /// Octets that wait in memory: all of a sink without a spool, of others what the disk refused.
    pub memory_octets: u64,
    /// How long ago the oldest waiting record was accepted, in milliseconds; 0 if none waits.
    pub lag_ms: u64,
    /// When the sink began to fail, in milliseconds since 1970; `None` while it does not.
    pub down_since_ms: Option<u64>,
    /// Whether the spool cannot be written.
    pub is_spool_failing: bool,
    /// The last failure in words; empty if there was none.
    pub last_fault: String,
}

/// Records that are lost, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Updates that went, oldest first, because the spool or its memory was full.
    pub updates_for_room: u64,
    /// Records that came when everything was full of what is never dropped for others.
    pub no_room: u64,
    /// Records that came when the disk did not keep up and memory in front of it was full.
    pub disk_too_slow: u64,
    /// Records whose bytes in the spool were not what had been written.
    pub damaged: u64,
    /// Records for a receiver that has gone for good: standard output that was closed.
    pub closed: u64,
}

impl Dropped {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.updates_for_room + self.no_room + self.disk_too_slow + self.damaged + self.closed
    }
}

/// The same while it is counted: read without waiting for whoever writes to the disk.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) filtered: AtomicU64,
    pub(crate) resumed: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) dead_lettered: AtomicU64,
    pub(crate) updates_for_room: AtomicU64,
    pub(crate) no_room: AtomicU64,
    pub(crate) disk_too_slow: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) faults: AtomicU64,
    pub(crate) damaged_octets: AtomicU64,
    pub(crate) waiting: AtomicU64,
    pub(crate) unspooled: AtomicU64,
    pub(crate) spool_octets: AtomicU64,
    pub(crate) memory_octets: AtomicU64,
    /// 0 if none waits.
    pub(crate) oldest_ms: AtomicU64,
    /// 0 if it is not down.
    pub(crate) down_since_ms: AtomicU64,
    pub(crate) is_spool_failing: AtomicBool,
    pub(crate) last_fault: Mutex<String>,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn read(&self, name: &str, kind: &'static str) -> SinkCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let since = |ms: u64| if ms == 0 { 0 } else { clock::now_ms().saturating_sub(ms) };
        SinkCounts {
            name: name.to_owned(),
            kind,
            accepted: get(&self.accepted),
            filtered: get(&self.filtered),
            resumed: get(&self.resumed),
            delivered: get(&self.delivered),
            retried: get(&self.retried),
            dead_lettered: get(&self.dead_lettered),
            dropped: Dropped {
                updates_for_room: get(&self.updates_for_room),
                no_room: get(&self.no_room),
                disk_too_slow: get(&self.disk_too_slow),
                damaged: get(&self.damaged),
                closed: get(&self.closed),
            },
            faults: get(&self.faults),
            damaged_octets: get(&self.damaged_octets),
            waiting: get(&self.waiting),
            unspooled: get(&self.unspooled),
            spool_octets: get(&self.spool_octets),
            memory_octets: get(&self.memory_octets),
            lag_ms: since(get(&self.oldest_ms)),
            down_since_ms: Some(get(&self.down_since_ms)).filter(|ms| *ms > 0),
            is_spool_failing: self.is_spool_failing.load(Ordering::Relaxed),
            last_fault: self.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
