//! A network interface through libpcap.

use std::error::Error;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;

use fluxtap_wire::{LinkType, Packet, Timestamp};
use pcap::{Active, Capture, Device, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::BATCH_PACKETS_MAX;
use crate::fanout::Fanout;
use crate::filter::Filter;

/// How many interfaces a message names before it only counts.
const NAMED_MAX: usize = 16;

/// Most rings of one interface.
pub const RINGS_MAX: usize = 16;

/// How to capture.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// What the kernel hands over.
    pub filter: Filter,
    /// Whether the interface is asked for packets that are not for this host. The sensor of a
    /// mirror port needs them; an interface without that mode is captured as it is.
    pub is_promiscuous: bool,
    /// Bytes captured of each packet, at most.
    pub snaplen: u32,
    /// Bytes of a ring of the kernel. It must hold what arrives while this process does not run.
    pub ring_bytes: u32,
    /// Rings that share an interface's packets, each read by a thread of its own; one alone is
    /// read by whoever asks for packets. 0 is taken as 1, more than [`RINGS_MAX`] as that.
    pub rings: usize,
    /// How long the kernel may hold packets back to deliver them together, and a quiet interface
    /// may keep [`crate::Source::next_batch`] waiting. 0 is taken as 1.
    pub timeout_ms: u32,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            filter: Filter::Everything,
            is_promiscuous: true,
            snaplen: 65_535,
            ring_bytes: 32 << 20,
            rings: 1,
            timeout_ms: 50,
        }
    }
}

/// A capture that runs.
pub struct Live {
    capture: Capture<Active>,
    interface: String,
    link: LinkType,
    nanoseconds: bool,
    stats: LiveStats,
    /// The counters as libpcap gave them last, 32 bits wide.
    raw: [u32; 3],
}

/// Counters since the capture began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveStats {
    /// Packets that passed the filter. Whether those dropped by the kernel are among them depends
    /// on the system; on Linux they are.
    pub received: u64,
    /// Packets lost because the ring was full.
    pub dropped_by_kernel: u64,
    /// Packets lost by the interface or its driver.
    pub dropped_by_interface: u64,
}

impl Live {
    /// Begins to capture on `interface`.
    ///
    /// # Errors
    ///
    /// [`LiveError`] by what there is to do about it.
    pub fn open(interface: &str, options: &LiveOptions) -> Result<Self, LiveError> {
        let mut capture = match activate(interface, options, options.is_promiscuous) {
            // The crate takes libpcap's warning that there is no promiscuous mode (as on the
            // interface "any") for an error.
            Err(detail) if options.is_promiscuous && detail.contains("romiscuous mode") => {
                activate(interface, options, false)
            }
            result => result,
        }
        .map_err(|detail| LiveError::new(interface, detail))?;
        let number = capture.get_datalink().0;
        let link = u16::try_from(number).map(LinkType).map_err(|_| LiveError::Other {
            interface: interface.to_owned(),
            detail: format!("got link type {number}, expected at most {}", u16::MAX),
        })?;
        if let Some(filter) = options.filter.expression(link) {
            capture
                .filter(&filter, true)
                .map_err(|error| LiveError::BadFilter { filter, detail: detail(error) })?;
        }
        let mut live = Self {
            nanoseconds: is_nanoseconds(&capture),
            capture,
            interface: interface.to_owned(),
            link,
            stats: LiveStats::default(),
            raw: [0; 3],
        };
        // What came before the filter was in force was counted and thrown away.
        if live.stats().is_ok() {
            live.stats = LiveStats::default();
        }
        Ok(live)
    }

    /// The link type of all packets of this interface.
    #[must_use]
    pub fn link(&self) -> LinkType {
        self.link
    }

    /// Begins a group of captures that share the packets of the interface.
    ///
    /// # Errors
    ///
    /// [`LiveError::Other`] with the system's words.
    pub(crate) fn begin_fanout(&self) -> Result<Fanout, LiveError> {
        Fanout::begin(self.capture.as_fd()).map_err(|error| self.no_fanout(&error))
    }

    /// Takes a part in a group.
    ///
    /// # Errors
    ///
    /// [`LiveError::Other`] with the system's words.
    pub(crate) fn join(&self, fanout: Fanout) -> Result<(), LiveError> {
        fanout.join(self.capture.as_fd()).map_err(|error| self.no_fanout(&error))
    }

    fn no_fanout(&self, error: &io::Error) -> LiveError {
        LiveError::Other {
            interface: self.interface.clone(),
            detail: format!("several rings: {error}; do with one"),
        }
    }

    /// The counters now. libpcap counts in 32 bits, so ask at least once every 4 billion packets.
    ///
    /// # Errors
    ///
    /// When the system does not give them; the capture itself may still work.
    pub fn stats(&mut self) -> io::Result<LiveStats> {
        let stat = self.capture.stats().map_err(|error| {
            io::Error::other(format!(
                "interface {}: got no counters from libpcap: {}",
                self.interface,
                detail(error)
            ))
        })?;
        let now = [stat.received, stat.dropped, stat.if_dropped];
        let totals = [
            &mut self.stats.received,
            &mut self.stats.dropped_by_kernel,
            &mut self.stats.dropped_by_interface,
        ];
        for ((total, before), now) in totals.into_iter().zip(&mut self.raw).zip(now) {
            *total += u64::from(counted_since(*before, now));
            *before = now;
        }
        Ok(self.stats)
    }

    /// The counters as they were asked for last.
    pub(crate) const fn stats_before(&self) -> LiveStats {
        self.stats
    }

    /// Hands over what the ring holds, a batch at most; says how much it was.
    ///
    /// # Errors
    ///
    /// When the interface goes away or down, in libpcap's words.
    pub(crate) fn dispatch(&mut self, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<usize> {
        let (link, nanoseconds) = (self.link, self.nanoseconds);
        let handled = self.capture.dispatch(Some(BATCH_PACKETS_MAX), |packet| {
            visit(Packet {
                at: timestamp(packet.header.ts.tv_sec, packet.header.ts.tv_usec, nanoseconds),
                link,
                bytes: packet.data,
                wire_len: packet.header.len,
            });
        });
        handled.map_err(|error| {
            io::Error::other(format!(
                "interface {}: capture failed: {}; check that the interface exists and is up",
                self.interface,
                detail(error)
            ))
        })
    }
}

/// Waits until the kernel delivers for one of the captures, or `timeout_ms` are over. libpcap's own
/// timeout does not cover this: on Linux it only runs from the first packet on.
pub(crate) fn wait<'a>(lives: impl Iterator<Item = &'a Live>, timeout_ms: u32) -> io::Result<()> {
    let timeout_ms = i64::from(timeout_ms.max(1));
    let timeout = Timespec { tv_sec: timeout_ms / 1_000, tv_nsec: timeout_ms % 1_000 * 1_000_000 };
    let mut descriptors: Vec<PollFd<'_>> =
        lives.map(|live| PollFd::new(&live.capture, PollFlags::IN)).collect();
    match poll(&mut descriptors, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("interface", &self.interface)
            .field("link", &self.link)
            .field("nanoseconds", &self.nanoseconds)
            .finish_non_exhaustive()
    }
}

/// Why a capture cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveError {
    /// There is no interface of that name.
    NoSuchInterface {
        /// The name.
        interface: String,
        /// Those there are.
        available: Vec<String>,
    },
    /// The process may not capture.
    NoPermission {
        /// The interface.
        interface: String,
        /// libpcap's words.
        detail: String,
    },
    /// The interface is down.
    InterfaceDown {
        /// The interface.
        interface: String,
    },
    /// libpcap does not understand the filter.
    BadFilter {
        /// The filter.
        filter: String,
        /// libpcap's words.
        detail: String,
    },
    /// Anything else.
    Other {
        /// The interface.
        interface: String,
        /// libpcap's words.
        detail: String,
    },
}

impl LiveError {
    /// Finds out why `interface` cannot be opened: libpcap's codes do not get through to here, and
    /// its words differ between versions, so what can be looked up is looked up.
    fn new(interface: &str, detail: String) -> Self {
        Self::classify(interface, detail, &interfaces().unwrap_or_default())
    }

    fn classify(interface: &str, detail: String, known: &[Interface]) -> Self {
        let interface = interface.to_owned();
        let lower = detail.to_lowercase();
        let denied = ["permission", "permitted", "cap_net_raw"];
        match known.iter().find(|known| known.name == interface) {
            None if !known.is_empty() => Self::NoSuchInterface {
                interface,
                available: known.iter().map(|known| known.name.clone()).collect(),
            },
            _ if denied.iter().any(|word| lower.contains(word)) => {
                Self::NoPermission { interface, detail }
            }
            Some(known) if !known.up && lower.contains("not up") => {
                Self::InterfaceDown { interface }
            }
            _ => Self::Other { interface, detail },
        }
    }
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchInterface { interface, available } => {
                let named = available.len().min(NAMED_MAX);
                write!(
                    f,
                    "got interface {interface:?}, expected one of: {}",
                    available[..named].join(", ")
                )?;
                match available.len() - named {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::NoPermission { interface, detail } => write!(
                f,
                "interface {interface}: no permission to capture ({detail}); run as root or give \
                 the program the right: setcap cap_net_raw+ep on its file"
            ),
            Self::InterfaceDown { interface } => write!(
                f,
                "interface {interface}: is down, expected it to be up: ip link set {interface} up"
            ),
            Self::BadFilter { filter, detail } => write!(
                f,
                "got filter {filter:?}, expected an expression as in pcap-filter(7): {detail}"
            ),
            Self::Other { interface, detail } => {
                write!(f, "interface {interface}: cannot capture: {detail}")
            }
        }
    }
}

impl Error for LiveError {}

/// An interface that libpcap knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, as [`Live::open`] takes it.
    pub name: String,
    /// What the system says about it.
    pub description: Option<String>,
    /// It is up.
    pub up: bool,
    /// It is a loopback interface.
    pub loopback: bool,
    /// The addresses it has.
    pub addresses: Vec<IpAddr>,
}

/// The interfaces of this system; needs no permission.
///
/// # Errors
///
/// When libpcap cannot list them.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let devices = Device::list().map_err(|error| {
        io::Error::other(format!("got no list of interfaces from libpcap: {}", detail(error)))
    })?;
    Ok(devices
        .into_iter()
        .map(|device| Interface {
            up: device.flags.is_up(),
            loopback: device.flags.is_loopback(),
            addresses: device.addresses.iter().map(|address| address.addr).collect(),
            name: device.name,
            description: device.desc,
        })
        .collect())
}

fn activate(
    interface: &str,
    options: &LiveOptions,
    promiscuous: bool,
) -> Result<Capture<Active>, String> {
    let clamp = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    Capture::from_device(interface)
        .map_err(detail)?
        .promisc(promiscuous)
        // Immediate mode would make libpcap fall back to TPACKET_V2, a wake-up for each packet.
        .immediate_mode(false)
        .timeout(clamp(options.timeout_ms.max(1)))
        .snaplen(clamp(options.snaplen))
        .buffer_size(clamp(options.ring_bytes))
        .precision(Precision::Nano)
        .open()
        .and_then(Capture::setnonblock)
        .map_err(detail)
}

/// Whether the sub-second part of the capture's times is in nanoseconds: they are asked for, and
/// an interface that does not offer them silently stays at microseconds.
#[allow(unsafe_code, reason = "the pcap crate has no getter for the precision")]
fn is_nanoseconds(capture: &Capture<Active>) -> bool {
    unsafe extern "C" {
        fn pcap_get_tstamp_precision(handle: *mut c_void) -> c_int;
    }
    // SAFETY: the handle is that of an open capture, which `capture` keeps alive; the function
    // (libpcap 1.5 and later) only reads one field of it.
    let precision = unsafe { pcap_get_tstamp_precision(capture.as_ptr().cast()) };
    precision == Precision::Nano as c_int
}

/// libpcap's own words, without the crate's in front.
fn detail(error: pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) if text.is_empty() => String::from("libpcap gives no reason"),
        pcap::Error::PcapError(text) => text,
        other => other.to_string(),
    }
}

fn timestamp(seconds: i64, fraction: i64, nanoseconds: bool) -> Timestamp {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let fraction = u64::try_from(fraction).unwrap_or(0);
    let factor = if nanoseconds { 1 } else { 1_000 };
    let whole = seconds.saturating_mul(Timestamp::SECOND);
    Timestamp(whole.saturating_add(fraction.saturating_mul(factor)))
}

/// What a 32-bit counter has counted between two looks. It wraps; some drivers also set it back.
fn counted_since(before: u32, now: u32) -> u32 {
    const HALF: u32 = 1 << 31;
    let counted = now.wrapping_sub(before);
    if now < before && counted >= HALF { now } else { counted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, up: bool) -> Interface {
        let (description, addresses) = (None, Vec::new());
        Interface { name: name.to_owned(), description, up, loopback: false, addresses }
    }

    #[test]
    fn errors_by_what_to_do() {
        let known = [interface("eth0", true), interface("eth1", false)];
        let message = |name, detail: &str, known: &[Interface]| {
            LiveError::classify(name, detail.to_owned(), known).to_string()
        };
        assert_eq!(
            message("eht0", "No such device", &known),
            "got interface \"eht0\", expected one of: eth0, eth1"
        );
        let denied = "socket: Operation not permitted";
        assert_eq!(
            message("eth0", denied, &known),
            "interface eth0: no permission to capture (socket: Operation not permitted); run as \
             root or give the program the right: setcap cap_net_raw+ep on its file"
        );
        assert!(message("eth1", denied, &known).contains("no permission"));
        assert_eq!(
            message("eth1", "That device is not up", &known),
            "interface eth1: is down, expected it to be up: ip link set eth1 up"
        );
        assert_eq!(
            message("eth0", "no memory", &known),
            "interface eth0: cannot capture: no memory"
        );
        assert_eq!(message("eth1", "no bus", &known), "interface eth1: cannot capture: no bus");
        assert_eq!(message("eth0", "no list", &[]), "interface eth0: cannot capture: no list");
        let many: Vec<_> = (0..20).map(|n| interface(&format!("v{n}"), true)).collect();
        assert!(message("x", "", &many).ends_with("v14, v15 and 4 more"));
    }

    #[test]
    fn a_missing_interface_is_named() {
        let error = Live::open("fluxtap-none", &LiveOptions::default()).unwrap_err();
        // Where the list of interfaces is not to be had either, the reason is libpcap's.
        match error {
            LiveError::NoSuchInterface { interface, available } => {
                assert_eq!(interface, "fluxtap-none");
                assert!(!available.is_empty());
            }
            other => assert!(interfaces().unwrap_or_default().is_empty(), "{other}"),
        }
    }

    #[test]
    fn counters_wrap_and_reset() {
        assert_eq!(counted_since(5, 9), 4);
        assert_eq!(counted_since(u32::MAX - 1, 3), 5, "wrapped");
        assert_eq!(counted_since(1_000, 10), 10, "set back");
        assert_eq!(counted_since(0, u32::MAX), u32::MAX);
    }

    #[test]
    fn times_in_both_precisions() {
        assert_eq!(timestamp(1, 5, true), Timestamp(1_000_000_005));
        assert_eq!(timestamp(1, 5, false), Timestamp(1_000_005_000));
        assert_eq!(timestamp(-1, -1, false), Timestamp(0));
        assert_eq!(timestamp(i64::MAX, i64::MAX, false), Timestamp(u64::MAX));
    }
}
