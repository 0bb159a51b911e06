//! Live capture on the loopback interface. Needs the right to capture and `lo` to be up, so it
//! runs only when asked for, best in a network namespace of its own:
//!
//! ```text
//! unshare -n sh -c 'ip link set lo up && cargo test -p fluxtap-capture --test live -- --ignored'
//! ```

use std::net::UdpSocket;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fluxtap_capture::{Batch, Live, LiveError, LiveOptions, Source};

/// Batches after which a packet that has not come will not come.
const BATCHES_MAX: u32 = 200;

fn options(filter: &str) -> LiveOptions {
    LiveOptions { filter: Some(filter.to_owned()), ring_bytes: 1 << 20, ..Default::default() }
}

#[expect(clippy::disallowed_methods, reason = "compares the times of packets with the clock")]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

/// Sends datagrams to itself and captures them on `interface`; returns their payloads' ends.
fn capture_own_datagrams(interface: &str, count: u8) -> Live {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = socket.local_addr().expect("an address");
    let filter = format!("udp and dst port {}", to.port());
    let mut live = Live::open(interface, &options(&filter)).expect("the right to capture");
    let start_s = now_s();
    for n in 0..count {
        socket.send_to(&[b'!', n], to).expect("a network");
    }
    let mut payloads = Vec::new();
    for _ in 0..BATCHES_MAX {
        let batch = live
            .next_batch(&mut |packet| {
                assert_eq!(packet.link, live_link(interface));
                assert_eq!(packet.bytes.len() as u32, packet.wire_len);
                assert!((start_s..=now_s()).contains(&packet.at.secs()), "{:?}", packet.at);
                payloads.push(*packet.bytes.last().expect("a payload"));
            })
            .expect("a working interface");
        assert_ne!(batch, Batch::End);
        if payloads.len() >= usize::from(count) {
            break;
        }
    }
    assert_eq!(payloads, (0..count).collect::<Vec<_>>());
    let stats = live.stats().expect("counters");
    assert!(stats.received >= u64::from(count), "{stats:?}");
    assert_eq!(stats.dropped_by_kernel, 0);
    live
}

fn live_link(interface: &str) -> fluxtap_wire::LinkType {
    match interface {
        "any" => fluxtap_wire::LinkType::LINUX_SLL,
        _ => fluxtap_wire::LinkType::ETHERNET,
    }
}

#[test]
#[ignore = "needs the right to capture"]
fn packets_of_an_interface() {
    capture_own_datagrams("lo", 100);
}

/// "any" has no promiscuous mode, which must not be an error.
#[test]
#[ignore = "needs the right to capture"]
fn packets_of_all_interfaces() {
    capture_own_datagrams("any", 100);
}

#[test]
#[ignore = "needs the right to capture"]
fn a_quiet_interface_is_idle_until_stopped() {
    let mut live = Live::open("lo", &options("udp and port 9 and port 10")).expect("the right");
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
#[ignore = "needs the right to capture"]
fn a_bad_filter_is_named() {
    let error = Live::open("lo", &options("port fifty")).unwrap_err();
    assert!(matches!(error, LiveError::BadFilter { .. }), "{error}");
    assert!(error.to_string().starts_with("got filter \"port fifty\", expected"), "{error}");
}
