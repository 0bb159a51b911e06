//! What is set about pairing, copies, checksums and tunnels, and what alerts tell besides, through
//! the real binary.

mod support;

use fluxtap_intel::{AddressClass, Intel};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use support::RAW;
use tempfile::TempDir;

/// Replays packets, one a second, with these settings; standard output's alerts, and the counters.
fn replay(folder: &TempDir, settings: &str, packets: &[Vec<u8>]) -> (Vec<Value>, Value) {
    let timed: Vec<_> =
        (1_790_000_000_u64..).map(|s| s * 1_000_000).zip(packets.iter().cloned()).collect();
    let capture = support::write(folder, "capture.pcap", &support::capture(RAW, &timed));
    let config = support::write(folder, "site.toml", settings.as_bytes());
    let args = ["--quiet".as_ref(), "--config".as_ref(), config.as_path(), capture.as_path()];
    let (run, stats) = support::replay(args.map(Path::as_os_str));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{settings}");
    (run.alerts(), stats)
}

fn response(id: u16) -> Vec<u8> {
    support::response(id, "www.site.example", 300, &[Ipv4Addr::new(78, 21, 82, 128)])
}

/// A packet in VXLAN 12 to a port, in raw IP.
fn in_vxlan(port: u16, packet: &[u8]) -> Vec<u8> {
    let frame = [&[8, 0, 0, 0, 0, 0, 12, 0][..], &[2; 12], &[8, 0], packet].concat();
    let mut outer = support::datagram(&frame);
    outer[20..22].copy_from_slice(&50_000_u16.to_be_bytes());
    outer[22..24].copy_from_slice(&port.to_be_bytes());
    outer
}

#[test]
fn settings_of_the_decoder_do_what_they_say() {
    let folder = support::folder();
    let plain: Vec<Vec<u8>> = (0..40).map(|id| support::datagram(&response(id))).collect();
    let same: Vec<Vec<u8>> = (0..40).map(|_| support::datagram(&response(7))).collect();
    let tunnelled: Vec<Vec<u8>> = plain.iter().map(|packet| in_vxlan(7_777, packet)).collect();
    let registered: Vec<Vec<u8>> = plain.iter().map(|packet| in_vxlan(4_789, packet)).collect();
    // A UDP checksum of zero is none, which is not wrong.
    let mut wrong = plain.clone();
    wrong.iter_mut().for_each(|packet| packet[26..28].copy_from_slice(&[0xde, 0xad]));
    let used = |n: u64| json!({ "response_used": n });
    let rows: [(&str, &[Vec<u8>], Value); 15] = [
        ("", &plain, used(40)),
        ("flow.pairing = \"auto\"", &plain, used(40)),
        ("flow.pairing = \"require\"", &plain, json!({ "response_used": 0, "unsolicited": 40 })),
        ("flow.pairing = \"ignore\"", &plain, used(40)),
        // A second apart they are no copies, until they are said to be.
        ("", &same, used(40)),
        ("flow.duplicate_window = \"1s\"", &same, json!({ "response_used": 1, "duplicate": 39 })),
        ("flow.duplicate_window = \"999ms\"", &same, used(40)),
        ("[flow]\nduplicates = false\nduplicate_window = \"1s\"", &same, used(40)),
        ("capture.verify_checksums = true", &plain, used(40)),
        ("capture.verify_checksums = false", &wrong, used(40)),
        ("capture.verify_checksums = true", &wrong, json!({ "malformed.checksum": 40 })),
        ("", &registered, used(40)),
        ("capture.tunnels.vxlan = []", &registered, json!({ "not_dns.other_port": 40 })),
        ("", &tunnelled, json!({ "not_dns.other_port": 40 })),
        ("capture.tunnels.vxlan = [7777, 4789, 7777]", &tunnelled, used(40)),
    ];
    for (settings, packets, expect) in rows {
        let (_, stats) = replay(&folder, settings, packets);
        for (end, number) in expect.as_object().expect("an object") {
            let of_messages = stats["messages_by_end"].get(end);
            let got = of_messages.or_else(|| stats["packets_by_end"].get(end));
            assert_eq!(got, Some(number), "{settings}: {end}");
        }
    }
    // What is known about queries is said in the counters, and in alerts.
    for (word, expect) in
        [("auto", json!(false)), ("require", json!(true)), ("ignore", json!(null))]
    {
        let (_, stats) = replay(&folder, &format!("flow.pairing = \"{word}\""), &plain);
        assert_eq!(stats["pairing"]["queries_visible"], expect, "{word}");
    }
}

#[test]
fn a_port_that_would_mean_two_things_is_refused() {
    let folder = support::folder();
    let config = support::write(&folder, "site.toml", b"capture.tunnels.geneve = [6081, 53]\n");
    let run = support::run(["check-config", "--config", config.to_str().expect("a path")]);
    assert_eq!(run.status, 78, "{}", run.stderr);
    run.assert_said(&["capture.dns_ports [53] (default)", "capture.tunnels.geneve [6081, 53]"]);
}

/// Addresses in access networks, each in another /16.
fn homes(count: usize) -> Vec<Ipv4Addr> {
    let intel = Intel::embedded();
    let mut networks = BTreeSet::new();
    let all = (0..u32::MAX).map(|n| Ipv4Addr::from(n.wrapping_mul(2_654_435_761)));
    all.filter(|ip| intel.owner(IpAddr::V4(*ip)).class == AddressClass::Access)
        .filter(|ip| networks.insert(ip.to_bits() >> 16))
        .take(count)
        .collect()
}

#[test]
fn an_alert_tells_of_client_subnets_and_scores_as_without() {
    let folder = support::folder();
    let homes = homes(60);
    let packets = |scope: Option<u8>| -> Vec<Vec<u8>> {
        let step = |n: usize| {
            let set: Vec<Ipv4Addr> = (0..5).map(|i| homes[(n / 60 * 5 + i) % 60]).collect();
            let mut message = support::response(n as u16, "www.evil.example", 60, &set);
            if let Some(scope) = scope {
                // An EDNS record with the client subnet 78.21.n.0/24.
                message[11] = 1;
                message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11]);
                message.extend([0, 8, 0, 7, 0, 1, 24, scope, 78, 21, n as u8 % 4]);
            }
            support::datagram(&message)
        };
        (0..1_200).map(step).collect()
    };
    let last = |scope| {
        let (mut alerts, stats) = replay(&folder, "", &packets(scope));
        (alerts.pop().expect("an alert"), stats)
    };
    let (bare, stats) = last(None);
    assert_eq!(stats["responses"]["by_client_subnet"], 0);
    let (alert, stats) = last(Some(24));
    assert_eq!(stats["responses"]["by_client_subnet"], 1_200);
    let responses = &alert["fluxtap"]["evidence"]["responses"];
    let expect = json!({ "responses": responses, "share": 1.0, "distinct": 4 });
    assert_eq!(alert["fluxtap"]["evidence"]["client_subnet"], expect);
    assert_eq!(alert["fluxtap"]["flux"], bare["fluxtap"]["flux"]);
    assert_eq!(alert["fluxtap"]["terms"], bare["fluxtap"]["terms"]);
    // For everybody is for everybody.
    let (alert, _) = last(Some(0));
    assert_eq!(alert, bare);
}
