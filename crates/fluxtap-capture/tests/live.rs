//! Live capture on the loopback interface, in a network namespace of its own. Needs root; who is
//! not is told so, loudly.

use std::env;
use std::io::Write as _;
use std::net::UdpSocket;
use std::process::Command;
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

#[test]
#[ignore = "runs in a namespace"]
fn a_bad_filter_is_named() {
    let error = open("lo", "port fifty").unwrap_err();
    assert!(matches!(error, LiveError::BadFilter { .. }), "{error}");
    assert!(error.to_string().starts_with("got filter \"port fifty\", expected"), "{error}");
}
