//! Several interfaces, and several rings of each, as one source, merged by packet time.
//!
//! The key decision: with one ring packets are lent from it; with several they are copied and wait
//! until no other ring can deliver an older one, because the two directions of a tap come on two
//! interfaces, and a response that overtakes its query is taken for forged. A silent ring delays the
//! others by two of the kernel's timeouts and no more.
//!
//! An interface that goes away is tried again each second while the others go on.

use crate::live::{self, Live, LiveError, LiveOptions, LiveStats, RINGS_MAX};
use crate::ring::{Counts, Readers, Ring};
use crate::{BATCH_PACKETS_MAX, Batch, Source};
use fluxtap_wire::{Packet, Timestamp};
use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most interfaces that are watched together.
pub const INTERFACES_WATCHED_MAX: usize = 16;

/// Memory of packets of one interface that wait for others, its rings together. With more, its
/// rings are not read until some of them are handed over, and what they cannot hold the kernel
/// counts as dropped.
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
    readers: Readers,
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
    /// Its rings; those of a capture that ended, while packets of them wait.
    rings: Vec<Ring>,
    /// Why it is not open.
    reason: Option<String>,
    try_at: Timestamp,
    /// Counters of captures that ended, and how many packets of theirs were never read.
    past: LiveStats,
    past_by_ring: Vec<u64>,
    abandoned: u64,
    handed: u64,
    losses: u64,
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
    /// Packets the kernel had in its rings when the interface was lost, or when the capture ended
    /// and time was up.
    pub dropped_by_sensor: u64,
    /// Packets read of each ring.
    pub read_by_ring: Vec<u64>,
    /// Packets that are in the rings. 0 on a loopback interface, where it cannot be told: the kernel
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
        let options = LiveOptions { rings: options.rings.clamp(1, RINGS_MAX), ..options };
        let ports = interfaces.iter().map(|name| {
            let rings = open_rings(name, &options, now)?;
            Ok(Port { is_loopback: is_loopback(name), ..Port::new(name.clone(), rings) })
        });
        Ok(Self {
            ports: ports.collect::<Result<_, _>>()?,
            readers: Readers {
                timeout_ms: options.timeout_ms,
                held_bytes_max: HELD_BYTES_MAX / options.rings,
                now,
                bell: Arc::default(),
            },
            options,
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

    fn now(&self) -> Timestamp {
        (self.readers.now)()
    }

    /// Whether there is one ring alone.
    fn is_alone(&self) -> bool {
        self.ports.len() == 1 && self.options.rings == 1
    }

    /// Tries interfaces that went away, when it is time to.
    fn reopen(&mut self, now: Timestamp) {
        for port in self.ports.iter_mut().filter(|port| !port.is_open()) {
            // A clock that was set back must not keep an interface closed.
            if now < port.try_at && port.try_at.since(now) <= RETRY_NS {
                continue;
            }
            match open_rings(&port.name, &self.options, self.readers.now) {
                Ok(rings) => {
                    // Of the capture before, packets may wait.
                    port.rings.retain(|ring| ring.first_at().is_some());
                    port.rings.extend(rings);
                    port.reason = None;
                    self.events.push(PortEvent::Back { interface: port.name.clone() });
                }
                Err(error) => {
                    port.try_at = Timestamp(now.0.saturating_add(RETRY_NS));
                    port.reason = Some(error.to_string());
                }
            }
        }
    }

    /// Reads the only ring and lends what it holds, or takes over what the rings' threads have
    /// read. Says how many packets it was.
    ///
    /// Threads are started here and not with the capture: what the caller gives away between the
    /// two, they do not have.
    fn read(&mut self, now: Timestamp, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<usize> {
        let is_alone = self.is_alone();
        let mut packets = 0;
        for port in &mut self.ports {
            let mut failed = None;
            for ring in port.rings.iter_mut().filter(|ring| ring.is_open()) {
                let read = if is_alone {
                    ring.lend(visit)
                } else {
                    ring.start(&self.readers)?;
                    ring.take(&self.readers)
                };
                match read {
                    Ok(read) => packets += read,
                    Err(error) => failed = Some(error),
                }
            }
            if let Some(error) = failed {
                self.events.push(port.lose(error.to_string(), now));
            }
        }
        if is_alone {
            self.ports[0].handed += packets;
        }
        Ok(packets as usize)
    }

    /// Hands over packets that wait, as far as no older ones can come; says how many.
    fn merge(&mut self, now: Timestamp, visit: &mut dyn FnMut(Packet<'_>)) -> usize {
        let ahead = Timestamp(now.0.saturating_add(AHEAD_NS_MAX));
        let delivery_ns = self.delivery_ns();
        let mut packets = 0;
        while packets < BATCH_PACKETS_MAX {
            let rings = self.ports.iter().enumerate().flat_map(|(port, p)| {
                p.rings.iter().enumerate().map(move |(ring, r)| (r.first_at(), port, ring))
            });
            let heads = rings.filter_map(|(at, port, ring)| Some((at?, port, ring)));
            let Some((at, port, ring)) = heads.min() else { break };
            let mut all = self.ports.iter().flat_map(|port| &port.rings);
            if at <= ahead && !all.all(|ring| ring.is_known_to(at, delivery_ns)) {
                break;
            }
            let port = &mut self.ports[port];
            port.rings[ring].held().pop(visit);
            port.handed += 1;
            packets += 1;
        }
        packets
    }

    fn holds(&self) -> bool {
        self.ports.iter().flat_map(|port| &port.rings).any(|ring| ring.first_at().is_some())
    }

    fn wait(&self) -> io::Result<()> {
        let timeout_ms = self.options.timeout_ms;
        if self.is_alone() {
            return live::wait(self.ports[0].rings.iter().filter_map(Ring::live), timeout_ms);
        }
        self.readers.bell.wait(timeout_ms);
        Ok(())
    }

    /// Takes out of the rings what was captured before the stop; says whether that is all.
    ///
    /// A packet is in its ring at once but handed over a timeout later, so the rings are read on
    /// for as long.
    fn drain(&mut self, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<Batch> {
        let now = self.now();
        let drain = *self.drain.get_or_insert(Drain { since: now });
        let passed_ns = now.since(drain.since);
        let has_come = passed_ns >= self.delivery_ns();
        let rings = self.ports.iter().flat_map(|port| &port.rings);
        let are_over = has_come
            && rings.fold(true, |are_over, ring| {
                ring.finish();
                are_over && ring.is_over()
            });
        let read = self.read(now, visit)?;
        let merged = self.merge(now, visit);
        // A clock that is set back here must not make this last for ever.
        let is_over = passed_ns >= DRAIN_NS_MAX || now < drain.since;
        if is_over || (are_over && read < BATCH_PACKETS_MAX) {
            // What comes after the stop is not lost, only what there was no time for.
            self.ports.iter_mut().for_each(|port| port.close(is_over));
            while self.holds() {
                self.merge(now, visit);
            }
            return Ok(Batch::End);
        }
        if read + merged == 0 {
            self.wait()?;
        }
        Ok(Batch::More)
    }
}

/// Begins to capture with as many rings as the options say.
fn open_rings(
    interface: &str,
    options: &LiveOptions,
    now: fn() -> Timestamp,
) -> Result<Vec<Ring>, LiveError> {
    let first = Live::open(interface, options)?;
    let fanout = if options.rings > 1 { Some(first.begin_fanout()?) } else { None };
    let began = now();
    let mut rings = vec![Ring::new(first, began..began)];
    for _ in 1..options.rings {
        let began = now();
        let live = Live::open(interface, options)?;
        if let Some(fanout) = fanout {
            live.join(fanout)?;
        }
        // What came to it before it was of the group came to one of the group as well.
        rings.push(Ring::new(live, began..now()));
    }
    Ok(rings)
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
        let now = self.now();
        self.reopen(now);
        let read = self.read(now, visit)?;
        if read + self.merge(now, visit) > 0 {
            return Ok(Batch::More);
        }
        self.wait()?;
        let now = self.now();
        let read = self.read(now, visit)?;
        let merged = self.merge(now, visit);
        let is_idle = read + merged == 0 && !self.holds();
        Ok(if is_idle { Batch::Idle } else { Batch::More })
    }
}

impl Port {
    fn new(name: String, rings: Vec<Ring>) -> Self {
        Self {
            name,
            rings,
            reason: None,
            try_at: Timestamp::default(),
            past: LiveStats::default(),
            past_by_ring: Vec::new(),
            abandoned: 0,
            handed: 0,
            losses: 0,
            is_loopback: false,
        }
    }

    fn is_open(&self) -> bool {
        self.rings.iter().any(Ring::is_open)
    }

    /// Gives the capture up, with its counters kept.
    fn lose(&mut self, reason: String, now: Timestamp) -> PortEvent {
        self.close(true);
        self.losses += 1;
        self.reason = Some(reason.clone());
        self.try_at = Timestamp(now.0.saturating_add(RETRY_NS));
        PortEvent::Lost { interface: self.name.clone(), reason }
    }

    /// Ends the capture; what its rings still hold is lost, if that `is_loss`.
    fn close(&mut self, is_loss: bool) {
        let open = self.rings.iter_mut().filter(|ring| ring.is_open());
        let counts: Vec<Counts> = open.map(Ring::close).collect();
        self.past = with(self.past, &counts);
        self.past_by_ring = by_ring(&self.past_by_ring, &counts);
        if is_loss && !self.is_loopback {
            self.abandoned += counts.iter().map(Counts::in_ring).sum::<u64>();
        }
    }

    fn stats(&mut self) -> PortStats {
        let open = self.rings.iter_mut().filter(|ring| ring.is_open());
        let counts: Vec<Counts> = open.map(Ring::counts).collect();
        let in_ring = counts.iter().map(Counts::in_ring).sum();
        PortStats {
            interface: self.name.clone(),
            is_open: self.is_open(),
            lost: self.reason.clone(),
            live: with(self.past, &counts),
            handed: self.handed,
            dropped_by_sensor: self.abandoned,
            read_by_ring: by_ring(&self.past_by_ring, &counts),
            in_ring: if self.is_loopback { 0 } else { in_ring },
            held: self.rings.iter_mut().map(|ring| ring.held().len() as u64).sum(),
            losses: self.losses,
        }
    }
}

/// Counters of captures that ended, with those of rings that share an interface.
fn with(mut sum: LiveStats, rings: &[Counts]) -> LiveStats {
    for counts in rings {
        sum.received += counts.live.received;
        sum.dropped_by_kernel += counts.live.dropped_by_kernel;
    }
    // Each of the rings has the number of the whole interface.
    let of_interface = rings.iter().map(|counts| counts.live.dropped_by_interface);
    sum.dropped_by_interface += of_interface.max().unwrap_or(0);
    sum
}

/// The same of what was read of each ring.
fn by_ring(past: &[u64], rings: &[Counts]) -> Vec<u64> {
    let read = |ring: usize| rings.get(ring).map_or(0, |counts| counts.read);
    let of_past = |ring: usize| past.get(ring).copied().unwrap_or(0);
    (0..past.len().max(rings.len())).map(|ring| of_past(ring) + read(ring)).collect()
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
