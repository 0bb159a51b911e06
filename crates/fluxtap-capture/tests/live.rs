//! Live capture on the loopback interface, in a network namespace of its own. Needs root; who is
//! not is told so, loudly.

use std::env;
use std::io::Write as _;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fluxtap_capture::{Batch, Filter, LiveError, LiveGroup, LiveOptions, Source};
use fluxtap_wire::Timestamp;

/// Batches after which a packet that has not come will not come.
const BATCHES_MAX: u32 = 200;

/// Runs all tests of this file in a namespace.
#[test]
fn in_a_namespace() {
    let script = "ip link set lo up; exec \"$0\" \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net"]);
    let is_possible = unshare.arg("true").output().is_ok_and(|output| output.status.success());
    if !is_possible {
        // Not captured by the test's harness, which would swallow it.
        let text = "SKIPPED: live capture needs root or user namespaces; nothing was captured\n";
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        return;
    }
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-euc", script])
        .arg(env::current_exe().expect("this program"))
        .args(["--ignored", "--test-threads=1"])
        .status()
        .expect("unshare runs");
    assert!(status.success(), "a live test failed; what it said is above");
}

fn options(filter: &str) -> LiveOptions {
    let filter = Filter::Expression(filter.to_owned());
    LiveOptions { filter, ring_bytes: 1 << 20, ..Default::default() }
}

fn open(interface: &str, filter: &str) -> Result<LiveGroup, LiveError> {
    LiveGroup::open(&[interface.to_owned()], options(filter), now)
}

#[expect(clippy::disallowed_methods, reason = "compares the times of packets with the clock")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    Timestamp(since.as_nanos() as u64)
}

/// Sends datagrams to itself and captures them on `interface`; returns their payloads' ends.
fn capture_own_datagrams(interface: &str, count: u8) -> LiveGroup {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = socket.local_addr().expect("an address");
    let filter = format!("udp and dst port {}", to.port());
    let mut live = open(interface, &filter).expect("the right to capture");
    let start_s = now().secs();
    for n in 0..count {
        socket.send_to(&[b'!', n], to).expect("a network");
    }
    let mut payloads = Vec::new();
    for _ in 0..BATCHES_MAX {
        let batch = live
            .next_batch(&mut |packet| {
                assert_eq!(packet.link, live_link(interface));
                assert_eq!(packet.bytes.len() as u32, packet.wire_len);
                assert!((start_s..=now().secs()).contains(&packet.at.secs()), "{:?}", packet.at);
                payloads.push(*packet.bytes.last().expect("a payload"));
            })
            .expect("a working interface");
        assert_ne!(batch, Batch::End);
        if payloads.len() >= usize::from(count) {
            break;
        }
    }
    assert_eq!(payloads, (0..count).collect::<Vec<_>>());
    let stats = &live.stats()[0];
    assert!(stats.live.received >= u64::from(count), "{stats:?}");
    assert_eq!((stats.handed, stats.live.dropped_by_kernel), (u64::from(count), 0));
    live
}

fn live_link(interface: &str) -> fluxtap_wire::LinkType {
    match interface {
        "any" => fluxtap_wire::LinkType::LINUX_SLL,
        _ => fluxtap_wire::LinkType::ETHERNET,
    }
}

#[test]
#[ignore = "runs in a namespace"]
fn packets_of_an_interface() {
    capture_own_datagrams("lo", 100);
}

/// "any" has no promiscuous mode, which must not be an error.
#[test]
#[ignore = "runs in a namespace"]
fn packets_of_all_interfaces() {
    capture_own_datagrams("any", 100);
}

#[test]
#[ignore = "runs in a namespace"]
fn a_quiet_interface_is_idle_until_stopped() {
    let mut live = open("lo", "udp and port 9 and port 10").expect("the right");
    assert_eq!(live.next_batch(&mut |_| {}).expect("a working interface"), Batch::Idle);
    let stop = live.stop_handle();
    let (done, wait) = mpsc::channel();
    let reader = thread::spawn(move || {
        while live.next_batch(&mut |_| {}).expect("a working interface") != Batch::End {}
        assert_eq!(live.next_batch(&mut |_| {}).expect("a stopped capture"), Batch::End);
        done.send(()).expect("someone waits");
    });
    stop.stop();
    wait.recv_timeout(Duration::from_secs(10)).expect("it stops");
    reader.join().expect("no panic");
}

/// The rings of one interface have each packet once, in the order of time, and in none is what came
/// while they were opened; what they hold at a stop is handed over.
#[test]
#[ignore = "runs in a namespace"]
fn several_rings_share_the_packets() {
    const FLOWS: usize = 64;
    const PACKETS: usize = 20_000;
    const AT_THE_STOP: usize = 2_000;
    const BEFORE: usize = 1 << 24;
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = receiver.local_addr().expect("an address");
    let senders: Vec<UdpSocket> =
        (0..FLOWS).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
    let send = |number: usize| {
        let payload = (number as u32).to_be_bytes();
        senders[number % FLOWS].send_to(&payload, to).expect("a network");
    };
    let options = LiveOptions {
        rings: 4,
        ring_bytes: 16 << 20,
        ..options(&format!("udp and dst port {}", to.port()))
    };
    let is_open = AtomicBool::new(false);
    let mut live = thread::scope(|scope| {
        // Packets while rings are opened, of which none may come twice.
        scope.spawn(|| {
            for number in BEFORE.. {
                if is_open.load(Ordering::Acquire) {
                    break;
                }
                send(number);
                thread::sleep(Duration::from_micros(20));
            }
        });
        let live = LiveGroup::open(&["lo".to_owned()], options, now).expect("the right");
        is_open.store(true, Ordering::Release);
        live
    });
    let mut seen = Vec::new();
    let mut last = Timestamp::default();
    let mut next_batch = |live: &mut LiveGroup, seen: &mut Vec<usize>| {
        let batch = live.next_batch(&mut |packet| {
            assert!(packet.at >= last, "{:?} after {last:?}", packet.at);
            last = packet.at;
            let payload = packet.bytes.last_chunk().expect("a payload");
            seen.push(u32::from_be_bytes(*payload) as usize);
        });
        batch.expect("a working interface")
    };
    for number in 0..PACKETS {
        send(number);
        if number % 500 == 499 {
            next_batch(&mut live, &mut seen);
        }
    }
    let mut batches = 0;
    while seen.last() != Some(&(PACKETS - 1)) {
        next_batch(&mut live, &mut seen);
        batches += 1;
        assert!(batches < BATCHES_MAX, "{:?}", live.stats());
    }
    let has_several = |live: &mut LiveGroup| {
        let by_ring = &live.stats()[0].read_by_ring;
        by_ring.len() == 4 && by_ring.iter().filter(|&&read| read > 0).count() > 1
    };
    let mut batches = 0;
    while !has_several(&mut live) {
        next_batch(&mut live, &mut seen);
        batches += 1;
        assert!(batches < BATCHES_MAX, "{:?}", live.stats());
    }
    for number in PACKETS..PACKETS + AT_THE_STOP {
        send(number);
    }
    live.stop_handle().stop();
    while next_batch(&mut live, &mut seen) != Batch::End {}
    let before: Vec<usize> = seen.iter().copied().filter(|&number| number >= BEFORE).collect();
    assert!(before.is_sorted_by(|a, b| a < b), "{before:?}");
    seen.retain(|&number| number < BEFORE);
    let stats = &live.stats()[0];
    assert_eq!((stats.live.dropped_by_kernel, stats.dropped_by_sensor), (0, 0), "{stats:?}");
    assert_eq!(seen.len(), PACKETS + AT_THE_STOP, "{stats:?}");
    let wrong = seen.iter().enumerate().find(|(index, number)| index != *number);
    assert_eq!(wrong, None, "{stats:?}");
}

/// What [`jumping`] adds to the clock, in seconds.
static JUMP_S: AtomicI64 = AtomicI64::new(0);

/// A clock that is set while packets come; those have the kernel's times.
fn jumping() -> Timestamp {
    let jump_ns = JUMP_S.load(Ordering::Acquire) * 1_000_000_000;
    Timestamp(now().0.saturating_add_signed(jump_ns))
}

/// A clock that is set by hours, forward and back, neither holds packets up nor puts them out of
/// order, and a stop comes to its end.
#[test]
#[ignore = "runs in a namespace"]
fn a_clock_that_is_set_costs_no_packet() {
    const JUMPS_S: [i64; 6] = [0, 3 * 3_600, -3 * 3_600, 7 * 86_400, -20 * 365 * 86_400, 0];
    const PACKETS: u32 = 300;
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = receiver.local_addr().expect("an address");
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let options = LiveOptions { rings: 2, ..options(&format!("udp and dst port {}", to.port())) };
    let interfaces = ["lo".to_owned()];
    let mut live = LiveGroup::open(&interfaces, options, jumping).expect("the right");
    let mut seen: Vec<u32> = Vec::new();
    let next_batch = |live: &mut LiveGroup, seen: &mut Vec<u32>| {
        let batch = live.next_batch(&mut |packet| {
            let payload = packet.bytes.last_chunk().expect("a payload");
            seen.push(u32::from_be_bytes(*payload));
        });
        batch.expect("a working interface")
    };
    for (round, jump_s) in JUMPS_S.into_iter().enumerate() {
        JUMP_S.store(jump_s, Ordering::Release);
        let first = round as u32 * PACKETS;
        for number in first..first + PACKETS {
            sender.send_to(&number.to_be_bytes(), to).expect("a network");
        }
        for _ in 0..BATCHES_MAX {
            next_batch(&mut live, &mut seen);
            if seen.len() as u32 == first + PACKETS {
                break;
            }
        }
        assert_eq!(seen.len() as u32, first + PACKETS, "after a jump of {jump_s} s");
    }
    assert!(seen.is_sorted(), "out of order");
    live.stop_handle().stop();
    for _ in 0..BATCHES_MAX {
        if next_batch(&mut live, &mut seen) == Batch::End {
            return;
        }
    }
    panic!("the stop does not end");
}

#[test]
#[ignore = "runs in a namespace"]
fn a_bad_filter_is_named() {
    let error = open("lo", "port fifty").unwrap_err();
    assert!(matches!(error, LiveError::BadFilter { .. }), "{error}");
    assert!(error.to_string().starts_with("got filter \"port fifty\", expected"), "{error}");
}
