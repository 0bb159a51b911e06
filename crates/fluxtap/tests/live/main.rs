//! The daemon on veth pairs, in a network namespace of its own, with an AF_PACKET sender at the
//! other ends. Needs root; who is not is told so, loudly.

mod faults;
mod net;
#[path = "../support/mod.rs"]
mod support;

use net::{
    Daemon, Pair, Recorder, for_each_packet, health_lines, lines, open_folder, packets, said,
};
use rustix::process::Signal;
use serde_json::Value;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use support::{Running, number};

/// A user without any rights.
const NOBODY: u32 = 65_534;

/// Runs all tests of this file in a namespace, one after the other.
#[test]
fn in_a_namespace() {
    let is_root = rustix::process::getuid().is_root();
    let can = || {
        let unshare = Command::new("unshare").args(["--net", "--mount", "true"]).output();
        unshare.is_ok_and(|output| output.status.success())
    };
    if !is_root || !can() {
        support::say(
            "SKIPPED: the live tests need root and `unshare --net --mount`; nothing was captured",
        );
        return;
    }
    let script = "mount -t sysfs none /sys; ip link set lo up; exec \"$0\" \"$@\"";
    let status = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-euc", script])
        .arg(env::current_exe().expect("this program"))
        .args(["--ignored", "--test-threads=1"])
        .status()
        .expect("unshare runs");
    assert!(status.success(), "a live test failed; what it said is above");
}

#[test]
#[ignore = "runs in a namespace"]
fn live_and_replay_agree() {
    for rings in ["1", "3"] {
        compare_with_replay(rings);
    }
}

/// One ring, or several that share the packets.
fn compare_with_replay(rings: &str) {
    let pair = Pair::new("fa", "fb");
    let folder = support::folder();
    let recorder = Recorder::start("fa", folder.path().join("seen.pcap"));
    let daemon = Daemon::start(&["-i", "fa", "--rings", rings], "");
    pair.send(&support::demo(), 20_000);
    daemon.wait_for("fluxtap_packets_total{interface=\"fa\"}", packets(&support::demo()));
    let (run, stats) = daemon.stop(Signal::TERM);
    let recorded = recorder.stop();
    let by_ring = stats["capture"]["interfaces"][0]["read_by_ring"].as_array().map(Vec::len);
    assert_eq!(by_ring.map(|rings| rings.to_string()).as_deref(), Some(rings), "{stats}");
    assert_eq!(number(&stats["packets"]), packets(&support::demo()), "nothing is lost: {stats}");
    let (replayed, _) = support::replay(["--quiet".as_ref(), recorded.as_os_str()]);
    // Time is as fast as packets were sent, so these are not the alerts of the capture's own time.
    let (live, replayed) = (run.alerts(), replayed.alerts());
    assert!(live.len() >= 8, "{} alerts", live.len());
    assert_eq!(
        live.iter().map(said).collect::<Vec<_>>(),
        replayed.iter().map(said).collect::<Vec<_>>()
    );
    for (live, replayed) in live.iter().zip(&replayed) {
        let risk = |alert: &Value| alert["event"]["risk_score"].as_f64().expect("a number");
        assert!((risk(live) - risk(replayed)).abs() < 3.0, "{live}\n{replayed}");
    }
}

/// Tags pass the kernel filter, and are seen as they are in a capture.
#[test]
#[ignore = "runs in a namespace"]
fn the_filter_takes_what_replay_takes() {
    let pair = Pair::new("fa", "fb");
    for case in ["vlan/vlan.pcap", "fragments/fragments.pcap", "browsing/browsing.pcap"] {
        let capture = support::workspace().join("pcaps").join(case);
        let (_, replayed) = support::replay(["--quiet".as_ref(), capture.as_os_str()]);
        let daemon = Daemon::start(&["-i", "fa"], "");
        pair.send(&capture, 2_000);
        daemon.wait_for("fluxtap_dns_messages_total{source=\"datagram\"}", {
            number(&replayed["messages_by_source"]["datagram"])
        });
        let segments = number(&replayed["packets_by_end"]["tcp_segment"]);
        daemon.wait_for("fluxtap_packet_ends_total{end=\"tcp_segment\"}", segments);
        let (_, stats) = daemon.stop(Signal::TERM);
        assert_eq!(stats["messages_by_source"], replayed["messages_by_source"], "{case}");
    }
}

/// The two directions of a tap on two interfaces: a response never overtakes its query.
#[test]
#[ignore = "runs in a namespace"]
fn two_directions_on_two_interfaces() {
    let (queries, responses) = (Pair::new("fa", "fb"), Pair::new("fc", "fd"));
    let daemon = Daemon::start(&["-i", "fa", "-i", "fc", "--pairing", "require"], "");
    let mut sent = 0;
    for_each_packet(&support::demo(), |bytes| {
        // Port 53 is that of the destination in queries; the capture is Ethernet, IPv4 and UDP.
        let is_query = bytes.get(36..38) == Some(&[0, 53]);
        let pair = if is_query { &queries } else { &responses };
        pair.send_one(bytes);
        sent += 1;
        if sent % 20 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    });
    thread::sleep(Duration::from_secs(1));
    let (_, stats) = daemon.stop(Signal::INT);
    assert_eq!(number(&stats["packets"]), sent);
    let unsolicited = number(&stats["messages_by_end"]["unsolicited"]);
    // Responses whose query is not in the capture either.
    let (_, replayed) = support::replay([
        "--quiet".as_ref(),
        "--pairing".as_ref(),
        "require".as_ref(),
        support::demo().as_os_str(),
    ]);
    let expect = number(&replayed["messages_by_end"]["unsolicited"]);
    assert!(unsolicited <= expect + 5, "{unsolicited} unsolicited, {expect} in the capture");
}

#[test]
#[ignore = "runs in a namespace"]
fn an_interface_that_goes_and_comes_back() {
    let pair = Pair::new("fa", "fb");
    let steady = Pair::new("fc", "fd");
    let daemon = Daemon::start(&["-i", "fa", "-i", "fc", "--rings", "2", "--user", "nobody"], "");
    drop(pair);
    daemon.wait_for_ready("interface_lost");
    // A silent and a lost interface do not stall the other.
    steady.send(&support::demo(), 20_000);
    daemon.wait_for("fluxtap_packets_total{interface=\"fc\"}", packets(&support::demo()));
    assert_eq!(daemon.get("/healthz").0, 200, "one interface is captured");
    let pair = Pair::new("fa", "fb");
    daemon.wait_for("fluxtap_interface_up{interface=\"fa\"}", 1);
    pair.send(&support::demo(), 20_000);
    daemon.wait_for("fluxtap_packets_total{interface=\"fa\"}", packets(&support::demo()));
    pair.set("down");
    daemon.wait_for_ready("interface_down");
    pair.set("up");
    pair.send(&support::demo(), 20_000);
    daemon.wait_for("fluxtap_packets_total{interface=\"fa\"}", 2 * packets(&support::demo()));
    let (run, stats) = daemon.stop(Signal::TERM);
    run.assert_said(&["interface fa: lost: ", "interface fa: captured again"]);
    assert_eq!(stats["capture"]["interfaces"][0]["times_lost"], 1, "{stats}");
    let health: Vec<Value> = health_lines(&run);
    let codes: Vec<&str> = health
        .iter()
        .filter_map(|line| line["fluxtap"]["health"]["reasons"][0]["code"].as_str())
        .collect();
    assert!(codes.contains(&"interface_lost"), "{codes:?}");
    // Alerts and lines about the sensor are counted together.
    let sequence = lines(&run).into_iter().map(|line| number(&line["event"]["sequence"]));
    assert_eq!(sequence.collect::<Vec<_>>(), (1..=lines(&run).len() as u64).collect::<Vec<_>>());
}

#[test]
#[ignore = "runs in a namespace"]
fn signals_under_load() {
    let pair = Pair::new("fa", "fb");
    let daemon = Daemon::start(&["-i", "fa", "--rings", "2"], "[detect]\nthreshold_low = 40\n");
    let load = pair.load();
    daemon.wait_for("fluxtap_packets_total{interface=\"fa\"}", 10_000);
    daemon.write("[detect]\nthreshold_low = 90\nthreshold_medium = 91\nthreshold_high = 92\n");
    daemon.signal(Signal::HUP);
    daemon.wait_for("fluxtap_config_last_reload_successful", 1);
    daemon.wait_for_said("reloaded configuration, lists and tables");
    daemon.write("[detect]\nthreshold_low = \"high\"\n");
    daemon.signal(Signal::HUP);
    daemon.wait_for_ready("reload_failed");
    daemon.write("[sensor]\nmemory = \"1GiB\"\nname = \"renamed\"\n");
    daemon.signal(Signal::HUP);
    daemon.wait_for("fluxtap_config_last_reload_successful", 1);
    daemon.wait_for_said("reload: sensor.memory changed and stay as they were");
    daemon.signal(Signal::USR1);
    daemon.wait_for_said("fluxtap: running after");
    let (run, stats) = daemon.stop(Signal::TERM);
    let sent = load.stop();
    run.assert_said(&["threshold_low", "the old one stays in force", "fluxtap: stopped after"]);
    // Everything that the kernel had delivered was read, and nothing was lost on the way.
    let port = &stats["capture"]["interfaces"][0];
    assert_eq!(number(&port["dropped_by_sensor"]), 0, "{stats}");
    assert_eq!(port["read"], stats["packets"], "{stats}");
    let (packets, kernel) = (number(&stats["packets"]), number(&port["dropped_by_kernel"]));
    assert!(
        packets > 10_000 && packets + kernel <= sent,
        "{packets} read of {sent}, {kernel} dropped"
    );
}

/// What is sent before SIGTERM is read, though the kernel may not have delivered it yet.
#[test]
#[ignore = "runs in a namespace"]
fn a_stop_drains_the_ring() {
    let pair = Pair::new("fa", "fb");
    for rings in ["1", "2", "1", "4"] {
        let daemon = Daemon::start(&["-i", "fa", "--rings", rings], "");
        pair.send(&support::demo(), 1_000_000);
        let (_, stats) = daemon.stop(Signal::TERM);
        assert_eq!(number(&stats["packets"]), packets(&support::demo()), "{stats}");
    }
}

/// Open alerts go on under their ids, and lines are numbered on.
#[test]
#[ignore = "runs in a namespace"]
fn a_restart_goes_on_with_what_was_known() {
    let pair = Pair::new("fa", "fb");
    let folder = open_folder();
    let checkpoint = folder.path().join("checkpoint");
    let args = ["-i", "fa", "--checkpoint", checkpoint.to_str().expect("UTF-8")];
    let run = |lines| {
        let daemon = Daemon::start(&args, "");
        pair.send(&support::demo(), 20_000);
        daemon.wait_for("fluxtap_packets_total{interface=\"fa\"}", packets(&support::demo()));
        // What came last is judged when time goes on.
        daemon.wait_for("fluxtap_alert_lines_total", lines);
        daemon.stop(Signal::TERM)
    };
    let id = |alert: &Value| support::text(&alert["fluxtap"]["alert"]["id"]);
    let sequence = |alert: &Value| number(&alert["event"]["sequence"]);
    let (first, stats) = run(8);
    let opened: Vec<String> = first.alerts().iter().map(id).collect();
    let open = number(&stats["alerts_open"]);
    assert!(open >= 8, "{stats}");
    let (second, stats) = run(0);
    second.assert_said(&["fluxtap: goes on with", &format!("{open} open alerts")]);
    assert!(number(&stats["alerts_open"]) >= open, "{stats}");
    let last = first.alerts().iter().map(sequence).max().expect("alerts");
    let known = |alert: &&Value| opened.contains(&id(alert));
    assert!(second.alerts().iter().all(|alert| sequence(alert) > last));
    assert!(second.alerts().iter().filter(known).all(|alert| said(alert)[1] != "\"flux-new\""));
    let mode = fs::metadata(&checkpoint).expect("the checkpoint").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "names and addresses are in it");
    // Cut in the middle it is set aside, and the sensor begins without it.
    let bytes = fs::read(&checkpoint).expect("bytes");
    fs::write(&checkpoint, &bytes[..bytes.len() / 2]).expect("a place to write");
    let (third, _) = run(8);
    third.assert_said(&["it ends early", "is kept as", "checkpoint.bad"]);
    assert!(third.alerts().iter().any(|alert| said(alert)[1] == "\"flux-new\""));
    assert_eq!(fs::read(checkpoint.with_extension("bad")).expect("it").len(), bytes.len() / 2);
}

/// Whenever it is killed, a whole checkpoint is there.
#[test]
#[ignore = "runs in a namespace"]
fn a_kill_never_spoils_the_checkpoint() {
    let pair = Pair::new("fa", "fb");
    let folder = open_folder();
    let checkpoint = folder.path().join("checkpoint");
    let path = checkpoint.to_str().expect("UTF-8");
    let args = ["-i", "fa", "--checkpoint", path, "--checkpoint-interval", "1s"];
    let daemon = Daemon::start(&args, "");
    pair.send(&support::demo(), 20_000);
    daemon.wait_for("fluxtap_alert_lines_total", 8);
    let written = "fluxtap_checkpoints_total{result=\"written\"}";
    daemon.wait_for(written, 1);
    daemon.kill();
    let load = pair.load();
    for round in 0..8 {
        let daemon = Daemon::start(&args, "");
        assert!(daemon.said().contains("goes on with"), "round {round}: {}", daemon.said());
        if round % 2 == 0 {
            daemon.wait_for(written, 1);
        }
        thread::sleep(Duration::from_millis(round * 137));
        daemon.kill();
    }
    load.stop();
    let daemon = Daemon::start(&args, "");
    let (run, stats) = daemon.stop(Signal::TERM);
    assert!(!run.stderr.contains("is kept as"), "{}", run.stderr);
    assert!(number(&stats["alerts_open"]) >= 8, "{stats}");
}

#[test]
#[ignore = "runs in a namespace"]
fn a_checkpoint_that_cannot_be_written_is_refused_at_the_start() {
    let _pair = Pair::new("fa", "fb");
    for path in ["/proc/checkpoint", "/nonexistent/checkpoint"] {
        let run = support::run(["run", "-i", "fa", "--checkpoint", path]);
        assert_eq!(run.status, 78, "{}", run.stderr);
        run.assert_said(&[path, "cannot write beside it", "--checkpoint"]);
    }
}

#[test]
#[ignore = "runs in a namespace"]
fn memory_stays_flat_under_load() {
    let pair = Pair::new("fa", "fb");
    let daemon = Daemon::start(&["-i", "fa"], "");
    let load = pair.load();
    let metric = "fluxtap_packets_total{interface=\"fa\"}";
    daemon.wait_for(metric, 100_000);
    let before = daemon.metric("fluxtap_resident_memory_bytes").expect("a metric");
    daemon.wait_for(metric, 400_000);
    let after = daemon.metric("fluxtap_resident_memory_bytes").expect("a metric");
    load.stop();
    let (_, stats) = daemon.stop(Signal::TERM);
    assert_eq!(stats["is_conserved"], true);
    assert!(after < before * 1.1 + 16e6, "{before} bytes became {after}");
}

#[test]
#[ignore = "runs in a namespace"]
fn what_cannot_be_captured_is_said() {
    let _pair = Pair::new("fa", "fb");
    let fails = |args: &[&str], status: i32, said: &[&str]| {
        let run = support::run(["run"].iter().chain(args));
        assert_eq!(run.status, status, "{}", run.stderr);
        run.assert_said(said);
        assert!(run.stdout.is_empty());
    };
    fails(&["-i", "nothere"], 66, &["got interface \"nothere\", expected one of: "]);
    fails(&["-i", "fa", "-i", "nothere"], 66, &["got interface \"nothere\""]);
    fails(&["-i", "fa", "--filter", "port fifty"], 78, &["got filter \"port fifty\", expected"]);
    fails(&["-i", "fa", "--user", "no-such-user"], 1, &["--user: got \"no-such-user\", expected"]);
    fails(
        &["-i", "fa", "--metrics", "192.0.2.1:1"],
        1,
        &["--metrics: cannot listen on 192.0.2.1:1"],
    );
    // As a user without rights, from a place that this user may reach.
    let folder = support::folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("our folder");
    let copy = folder.path().join("fluxtap");
    fs::copy(env!("CARGO_BIN_EXE_fluxtap"), &copy).expect("room for a copy");
    let mut command = Command::new(copy);
    command.args(["run", "-i", "fa", "--metrics", "none"]).uid(NOBODY).gid(NOBODY);
    command.env("FLUXTAP_CONFIG", "/dev/null").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = Running::spawn(&mut command).finish();
    assert_eq!(run.status, 77, "{}", run.stderr);
    run.assert_said(&["interface fa: no permission to capture", "setcap cap_net_raw+ep"]);
}

#[test]
#[ignore = "runs in a namespace"]
fn rights_are_given_away_and_the_start_says_so() {
    let _pair = Pair::new("fa", "fb");
    let daemon = Daemon::start(&["-i", "fa", "--user", "nobody"], "");
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("a process");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}: {status}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), ["65534"; 4]);
    // Bit 13 is CAP_NET_RAW.
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        assert_eq!(field(set), ["0000000000002000"], "{set}");
    }
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), (vec!["1"], vec!["2"]));
    let (run, _) = daemon.stop(Signal::TERM);
    run.assert_said(&[
        "in force: user nobody (65534); rights: CAP_NET_RAW alone; no new privileges",
    ]);
    let daemon = Daemon::start(&["-i", "fa", "--no-sandbox"], "");
    let (run, _) = daemon.stop(Signal::TERM);
    run.assert_said(&["no sandbox, as asked for"]);
}

#[test]
#[ignore = "runs in a namespace"]
fn health_is_told_and_silence_is_no_peace() {
    let pair = Pair::new("fa", "fb");
    let config = "[health]\ndns_quiet = \"2s\"\ninterval = \"1s\"\n";
    let daemon = Daemon::start(&["-i", "fa"], config);
    assert_eq!(daemon.get("/healthz"), (200, "capturing\n".to_owned()));
    assert_eq!(daemon.get("/").0, 200);
    assert_eq!(daemon.get("/none").0, 404);
    daemon.wait_for_ready("no_dns");
    let (status, body) = daemon.get("/readyz");
    assert_eq!(status, 503, "{body}");
    pair.send(&support::demo(), 20_000);
    daemon.wait_for("fluxtap_degraded{reason=\"no_dns\"}", 0);
    let (run, _) = daemon.stop(Signal::TERM);
    let health = health_lines(&run);
    let statuses: Vec<&str> =
        health.iter().filter_map(|line| line["fluxtap"]["health"]["status"].as_str()).collect();
    assert!(statuses.contains(&"ok") && statuses.contains(&"degraded"), "{statuses:?}");
    let schema = fs::read(support::workspace().join("docs/schema/fluxtap.alert-1.schema.json"));
    let schema: Value = serde_json::from_slice(&schema.expect("the schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    assert!(lines(&run).iter().all(|line| validator.is_valid(line)));
}
