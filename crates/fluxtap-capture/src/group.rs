//! Several interfaces as one source, merged by packet time.
//!
//! The key decision: with one interface packets are lent from the kernel's ring; with several they
//! are copied and wait until no other interface can deliver an older one, because the two directions
//! of a tap come on two interfaces, and a response that overtakes its query is taken for forged.
//! A silent interface delays the others by two of the kernel's timeouts and no more.
//!
//! An interface that goes away is tried again each second while the others go on.

use crate::held::Held;
use crate::live::{self, Live, LiveError, LiveOptions, LiveStats};
use crate::{BATCH_PACKETS_MAX, Batch, Source};
use fluxtap_wire::{Packet, Timestamp};
use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most interfaces that are watched together.
pub const INTERFACES_WATCHED_MAX: usize = 16;

/// Memory of packets of one interface that wait for others. With more, its ring is not read until
/// some of them are handed over, and what the ring cannot hold the kernel counts as dropped.
pub const HELD_BYTES_MAX: usize = 32 << 20;

/// Time between two attempts to open an interface that went away, in nanoseconds.
const RETRY_NS: u64 = Timestamp::SECOND;

/// Longest time that emptying the rings takes at a stop, in nanoseconds.
const DRAIN_NS_MAX: u64 = 5 * Timestamp::SECOND;

/// A packet so far ahead of the clock, in nanoseconds, was stamped before the clock was set back,
/// and is not waited for.
const AHEAD_NS_MAX: u64 = Timestamp::SECOND;

/// See the module's head.
pub struct LiveGroup {
    ports: Vec<Port>,
    options: LiveOptions,
    now: fn() -> Timestamp,
    stop: Arc<AtomicBool>,
    drain: Option<Drain>,
    events: Vec<PortEvent>,
}

/// The emptying of the rings after a stop.
#[derive(Clone, Copy, Debug)]
struct Drain {
    since: Timestamp,
}

/// One interface.
struct Port {
    name: String,
    live: Option<Live>,
    /// Why it is not open.
    reason: Option<String>,
    try_at: Timestamp,
    /// Counters of captures that ended, and how many packets of theirs were never read.
    past: LiveStats,
    abandoned: u64,
    /// Packets read of the present capture.
    read: u64,
    handed: u64,
    losses: u64,
    held: Held,
    is_loopback: bool,
}

/// What became of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortEvent {
    /// It cannot be captured any more; it is tried again each second.
    Lost {
        /// The interface.
        interface: String,
        /// Why, in libpcap's words.
        reason: String,
    },
    /// It is captured again.
    Back {
        /// The interface.
        interface: String,
    },
}

/// An interface and its counters since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortStats {
    /// The interface.
    pub interface: String,
    /// Why it is not captured now; `None` while it is.
    pub lost: Option<String>,
    /// What the kernel and the interface counted.
    pub live: LiveStats,
    /// Packets handed over.
    pub handed: u64,
    /// Whether it is captured now.
    pub is_open: bool,
    /// Packets the kernel had in its ring when the interface was lost, or when the capture ended
    /// and time was up.
    pub dropped_by_sensor: u64,
    /// Packets that are in the ring. 0 on a loopback interface, where it cannot be told: the kernel
    /// counts each packet in both directions, and libpcap delivers one.
    pub in_ring: u64,
    /// Packets that wait for those of other interfaces.
    pub held: u64,
    /// Times the interface was lost.
    pub losses: u64,
}

impl LiveGroup {
    /// Begins to capture on all of `interfaces`; `now` tells the time of day, which this crate
    /// cannot.
    ///
    /// # Errors
    ///
    /// That of the first interface that cannot be opened.
    pub fn open(
        interfaces: &[String],
        options: LiveOptions,
        now: fn() -> Timestamp,
    ) -> Result<Self, LiveError> {
        let known = live::interfaces().unwrap_or_default();
        let is_loopback = |name: &String| known.iter().any(|i| i.loopback && i.name == *name);
        let ports = interfaces.iter().map(|name| {
            let live = Live::open(name, &options)?;
            Ok(Port { is_loopback: is_loopback(name), ..Port::new(name.clone(), live) })
        });
        Ok(Self {
            ports: ports.collect::<Result<_, _>>()?,
            options,
            now,
            stop: Arc::default(),
            drain: None,
            events: Vec::new(),
        })
    }

    /// A handle that ends this capture from another thread or a signal handler.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { stop: Arc::clone(&self.stop) }
    }

    /// What became of interfaces since this was asked last.
    pub fn take_events(&mut self) -> Vec<PortEvent> {
        mem::take(&mut self.events)
    }

    /// The interfaces with their counters now. libpcap counts in 32 bits, so ask at least once
    /// every 4 billion packets.
    pub fn stats(&mut self) -> Vec<PortStats> {
        self.ports.iter_mut().map(Port::stats).collect()
    }

    /// How long the kernel may keep a packet before it delivers it, in nanoseconds: it looks once
    /// in a timeout, and hands over what did not change since it looked last.
    fn delivery_ns(&self) -> u64 {
        u64::from(self.options.timeout_ms.max(1)) * 2_000_000 + 20_000_000
    }

    /// Tries interfaces that went away, when it is time to.
    fn reopen(&mut self, now: Timestamp) {
        for port in self.ports.iter_mut().filter(|port| port.live.is_none()) {
            // A clock that was set back must not keep an interface closed.
            if now < port.try_at && port.try_at.since(now) <= RETRY_NS {
                continue;
            }
            match Live::open(&port.name, &self.options) {
                Ok(live) => {
                    (port.live, port.reason, port.read) = (Some(live), None, 0);
                    self.events.push(PortEvent::Back { interface: port.name.clone() });
                }
                Err(error) => {
                    port.try_at = Timestamp(now.0.saturating_add(RETRY_NS));
                    port.reason = Some(error.to_string());
                }
            }
        }
    }

    /// Reads what the rings hold; lends it on at once where nothing has to wait. Says how many
    /// packets were read.
    fn read(&mut self, now: Timestamp, visit: &mut dyn FnMut(Packet<'_>)) -> usize {
        let is_alone = self.ports.len() == 1;
        let mut packets = 0;
        for port in &mut self.ports {
            let Some(live) = &mut port.live else { continue };
            if port.held.bytes() > HELD_BYTES_MAX {
                continue;
            }
            let (held, mut read) = (&mut port.held, 0);
            let dispatched = live.dispatch(&mut |packet| {
                read += 1;
                if is_alone { visit(packet) } else { held.push(&packet) }
            });
            port.read += read;
            port.handed += if is_alone { read } else { 0 };
            packets += read as usize;
            if let Err(error) = dispatched {
                self.events.push(port.lose(error.to_string(), now));
            }
        }
        packets
    }

    /// Hands over packets that wait, as far as no older ones can come; says how many.
    fn merge(&mut self, now: Timestamp, visit: &mut dyn FnMut(Packet<'_>)) -> usize {
        let delivered = Timestamp(now.0.saturating_sub(self.delivery_ns()));
        let ahead = Timestamp(now.0.saturating_add(AHEAD_NS_MAX));
        let mut packets = 0;
        while packets < BATCH_PACKETS_MAX {
            let heads = self.ports.iter().enumerate();
            let heads = heads.filter_map(|(i, port)| Some((port.held.first_at()?, i)));
            let Some((at, first)) = heads.min() else { break };
            let is_known = |port: &Port| port.live.is_none() || port.held.len() > 0;
            if at > delivered && at <= ahead && !self.ports.iter().all(is_known) {
                break;
            }
            let port = &mut self.ports[first];
            port.held.pop(visit);
            port.handed += 1;
            packets += 1;
        }
        packets
    }

    fn holds(&self) -> bool {
        self.ports.iter().any(|port| port.held.len() > 0)
    }

    fn wait(&mut self) -> io::Result<()> {
        let timeout_ms = self.options.timeout_ms;
        live::wait(self.ports.iter().filter_map(|port| port.live.as_ref()), timeout_ms)
    }

    /// Takes out of the rings what was captured before the stop; says whether that is all.
    ///
    /// A packet is in its ring at once but handed over a timeout later, so the rings are read on
    /// for as long.
    fn drain(&mut self, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<Batch> {
        let now = (self.now)();
        let drain = *self.drain.get_or_insert(Drain { since: now });
        let read = self.read(now, visit);
        let merged = self.merge(now, visit);
        let passed_ns = now.since(drain.since);
        // A clock that is set back here must not make this last for ever.
        let is_over = passed_ns >= DRAIN_NS_MAX || now < drain.since;
        if is_over || (passed_ns >= self.delivery_ns() && read < BATCH_PACKETS_MAX) {
            self.merge_rest(visit);
            // What comes after the stop is not lost, only what there was no time for.
            self.ports.iter_mut().for_each(|port| port.close(is_over));
            return Ok(Batch::End);
        }
        if read + merged == 0 {
            self.wait()?;
        }
        Ok(Batch::More)
    }

    fn merge_rest(&mut self, visit: &mut dyn FnMut(Packet<'_>)) {
        while self.holds() {
            self.merge(Timestamp(u64::MAX), visit);
        }
    }
}

impl Source for LiveGroup {
    /// [`Batch::Idle`] when nothing came within the timeout, [`Batch::End`] once
    /// [`StopHandle::stop`] was called and the rings are empty of what came before.
    ///
    /// # Errors
    ///
    /// When the system cannot wait for packets. An interface that goes away is no error.
    fn next_batch(&mut self, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<Batch> {
        if self.stop.load(Ordering::Acquire) {
            return self.drain(visit);
        }
        let now = (self.now)();
        self.reopen(now);
        let read = self.read(now, visit);
        if read + self.merge(now, visit) > 0 {
            return Ok(Batch::More);
        }
        self.wait()?;
        let now = (self.now)();
        let read = self.read(now, visit);
        let merged = self.merge(now, visit);
        let is_idle = read + merged == 0 && !self.holds();
        Ok(if is_idle { Batch::Idle } else { Batch::More })
    }
}

impl Port {
    fn new(name: String, live: Live) -> Self {
        Self {
            name,
            live: Some(live),
            reason: None,
            try_at: Timestamp::default(),
            past: LiveStats::default(),
            abandoned: 0,
            read: 0,
            handed: 0,
            losses: 0,
            held: Held::default(),
            is_loopback: false,
        }
    }

    /// Gives the capture up, with its counters kept.
    fn lose(&mut self, reason: String, now: Timestamp) -> PortEvent {
        self.close(true);
        self.losses += 1;
        self.reason = Some(reason.clone());
        self.try_at = Timestamp(now.0.saturating_add(RETRY_NS));
        PortEvent::Lost { interface: self.name.clone(), reason }
    }

    /// Ends the capture; what its ring still holds is lost, if that `is_loss`.
    fn close(&mut self, is_loss: bool) {
        let (live, in_ring) = self.counted();
        self.past = live;
        self.abandoned += if is_loss { in_ring } else { 0 };
        (self.live, self.read) = (None, 0);
    }

    /// The counters of all captures, and the packets in the ring of the present one.
    fn counted(&mut self) -> (LiveStats, u64) {
        let Some(live) = &mut self.live else { return (self.past, 0) };
        // Where the interface is gone, what was counted last is all there is.
        let now = live.stats().unwrap_or_else(|_| live.stats_before());
        let in_ring = now.received.saturating_sub(now.dropped_by_kernel + self.read);
        let sum = LiveStats {
            received: self.past.received + now.received,
            dropped_by_kernel: self.past.dropped_by_kernel + now.dropped_by_kernel,
            dropped_by_interface: self.past.dropped_by_interface + now.dropped_by_interface,
        };
        (sum, if self.is_loopback { 0 } else { in_ring })
    }

    fn stats(&mut self) -> PortStats {
        let (live, in_ring) = self.counted();
        PortStats {
            interface: self.name.clone(),
            is_open: self.live.is_some(),
            lost: self.reason.clone(),
            live,
            handed: self.handed,
            dropped_by_sensor: self.abandoned,
            in_ring,
            held: self.held.len() as u64,
            losses: self.losses,
        }
    }
}

impl fmt::Debug for LiveGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.ports.iter().map(|port| port.name.as_str()).collect();
        f.debug_struct("LiveGroup").field("interfaces", &names).finish_non_exhaustive()
    }
}

/// Ends a [`LiveGroup`] from another thread or a signal handler.
#[derive(Clone, Debug)]
pub struct StopHandle {
    stop: Arc<AtomicBool>,
}

impl StopHandle {
    /// Makes [`Source::next_batch`] empty the rings and return [`Batch::End`] then. Harmless when
    /// the capture is gone.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// The flag itself, for a signal handler to set.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }
}
