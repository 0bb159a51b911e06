//! `fluxtap explain` through the program: its goldens, that it says what a replay says, and what it
//! makes of names, times and files that are not as they should be.
//!
//! `FLUXTAP_UPDATE_GOLDEN=1` writes what it says now.

mod support;

use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use support::{Run, number, text};

/// Runs it on the demonstration.
fn explain<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    let args: Vec<A> = args.into_iter().collect();
    let args = args.iter().map(AsRef::as_ref).chain([OsStr::new("--quiet")]);
    support::run(std::iter::once(OsStr::new("explain")).chain(args))
}

/// The object it gives about a name of the demonstration.
fn object(args: &[&str]) -> Value {
    let demo = support::demo();
    let args = args.iter().map(OsStr::new).chain([demo.as_os_str(), OsStr::new("--json")]);
    let run = explain(args);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.is_ascii() && run.stdout.ends_with(b"}\n"));
    serde_json::from_slice(&run.stdout).expect("one object")
}

/// An allow list for the flux domain of which the goldens tell twice.
const ALLOW: &str = "domain parcel-redelivery.example expires=2026-12-31 our own courier\n\
                     asn AS7018 a partner\n";

#[test]
fn goldens() {
    let folder = support::folder();
    let allow = support::write(&folder, "allow.txt", ALLOW.as_bytes());
    let allow = allow.to_str().expect("a plain path");
    let uncurated = support::write(&folder, "site.toml", b"[curated]\nzones = false\n");
    let uncurated = uncurated.to_str().expect("a plain path");
    let mut failures = Vec::new();
    for (name, args) in [
        ("flux", &["parcel-redelivery.example"][..]),
        ("flux-early", &["parcel-redelivery.example", "--at", "2026-03-02T08:10:00Z"]),
        ("double-flux", &["www.secure-login-update.test", "--at", "2026-03-02T09:00:00Z"]),
        ("ntp-pool", &["0.pool.ntp.org"]),
        ("ntp-pool-uncurated", &["ntp.org", "--config", uncurated]),
        ("vpn-pool", &["tunnelbird.example"]),
        ("cdn-customer", &["harbor-outfitters.example"]),
        ("quiet-site", &["coast-observatory.example"]),
        ("allowed", &["parcel-redelivery.example", "--allow", allow]),
        ("never-seen", &["www.parcel-redelivry.example"]),
        ("no-table", &["parcel-redelivery.example", "--asn-table", "none"]),
    ] {
        let demo = support::demo();
        let run = explain(args.iter().map(OsStr::new).chain([demo.as_os_str()]));
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{name}");
        let said = String::from_utf8(run.stdout).expect("text");
        let path = format!("crates/fluxtap/tests/expect/explain/{name}.txt");
        let path = support::workspace().join(path);
        if std::env::var_os("FLUXTAP_UPDATE_GOLDEN").is_some() {
            fs::write(&path, &said).expect("a writable folder");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if said != expected {
            let line = said.lines().zip(expected.lines()).find(|(got, expected)| got != expected);
            failures.push(format!("{}: {line:?}", path.display()));
        }
    }
    let advice = "if the change is meant: make golden-update, and read the difference";
    assert!(failures.is_empty(), "{}; {advice}", failures.join("\n"));
}

/// The same alert lines, and at the time of a line the same score, kind and terms.
#[test]
fn what_is_explained_is_what_replay_says() {
    let (run, _) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);
    let alerts = run.alerts();
    let domain_of = |alert: &Value| text(&alert["dns"]["question"]["registered_domain"]);
    for domain in run.findings().keys() {
        let told = object(&[domain]);
        let lines: Vec<&Value> = alerts.iter().filter(|a| domain_of(a) == *domain).collect();
        assert_eq!(told["alerts"].as_array().map(Vec::len), Some(lines.len()), "{domain}");
        for (line, told) in lines.iter().zip(told["alerts"].as_array().expect("a list")) {
            let life = &line["fluxtap"]["alert"];
            assert_eq!(told["at"], line["@timestamp"], "{domain}");
            assert_eq!((&told["id"], &told["revision"]), (&life["id"], &life["revision"]));
            assert_eq!(told["score"], line["fluxtap"]["flux"]["score"], "{domain}");
        }
        let highest = told["history"]["judgements"]["highest_score"].as_f64().expect("points");
        let scores = lines.iter().filter_map(|line| line["fluxtap"]["flux"]["score"].as_f64());
        assert!(scores.fold(0.0, f64::max) <= highest, "{domain}");
        let first = lines[0];
        let then = object(&[domain, "--at", &text(&first["@timestamp"])]);
        let flux = &then["history"]["flux"];
        for field in ["score", "kind", "openness_gate", "ownership_factor", "model"] {
            assert_eq!(flux[field], first["fluxtap"]["flux"][field], "{domain}: {field}");
        }
        assert_eq!(then["outcome"], "alert_open", "{domain}");
        assert_eq!(then["alerts"].as_array().map(Vec::len), Some(1), "nothing later: {domain}");
        let windows = then["history"]["windows"].as_array().expect("a list");
        let best = windows.iter().find(|w| w["decides"] == true).expect("one decides");
        let terms: Vec<Value> = best["terms"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|term| term["points"] != json!(0.0))
            .cloned()
            .collect();
        assert_eq!(json!(terms), first["fluxtap"]["terms"], "{domain}");
        assert_eq!(best["seconds"], first["fluxtap"]["window"]["seconds"], "{domain}");
    }
}

/// What holds for every object: points add up, the first threshold is no further than the others,
/// steps end where they say, the history is told in order.
#[test]
fn objects_add_up_and_repeat() {
    for domain in ["tunnelbird.example", "open-chat.example", "invoice-portal.test", "ntp.org"] {
        let told = object(&[domain]);
        assert_eq!(told, object(&[domain]), "{domain}: not the same twice");
        let history = &told["history"];
        for window in history["windows"].as_array().expect("a list") {
            let terms = window["terms"].as_array().expect("a list").iter();
            let tenths = |value: &Value| (value.as_f64().expect("points") * 10.0).round() as i64;
            assert_eq!(terms.map(|t| tenths(&t["points"])).sum::<i64>(), tenths(&window["score"]));
        }
        let thresholds = history["thresholds"].as_array().map_or(&[][..], Vec::as_slice);
        for threshold in thresholds {
            let score = |value: &Value| value.as_f64().expect("points");
            let is_missing = score(&threshold["missing"]) > 0.0;
            let last = threshold["steps"].as_array().and_then(|steps| steps.last());
            assert_eq!(is_missing, last.is_some(), "{domain}: {threshold}");
            if let Some(last) = last {
                let is_reached = score(&last["score"]) >= score(&threshold["threshold"]);
                assert_eq!(threshold["reached_with_steps"], is_reached, "{domain}: {threshold}");
            }
        }
        let firsts: Vec<String> = history["changes"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|change| text(&change["first_seen"]))
            .collect();
        assert!(!firsts.is_empty() && firsts.is_sorted(), "{domain}");
    }
}

#[test]
fn an_allow_list_is_told_with_what_it_keeps_back() {
    let folder = support::folder();
    let file = |name: &str, text: &str| support::write(&folder, name, text.as_bytes());
    let domain = "parcel-redelivery.example";
    let with = |list: &std::path::Path| object(&[domain, "--allow", list.to_str().expect("plain")]);
    let whole = with(&file("whole", ALLOW));
    assert_eq!(whole["outcome"], "suppressed");
    assert_eq!(whole["alerts"], json!([]));
    assert!(
        whole["history"]["flux"]["score"].as_f64().expect("points") > 18.0,
        "found all the same"
    );
    let entries = whole["history"]["suppression"]["entries"].as_array().expect("a list");
    assert_eq!((&entries[0]["line"], &entries[0]["covers_domain"]), (&json!(1), &json!(true)));
    assert_eq!(entries[0]["reason"], "our own courier");
    // Addresses alone are taken away, and what is left is judged.
    let part = with(&file("part", "asn AS7018 a partner\n"));
    assert_eq!(part["outcome"], "alert_open");
    let suppression = &part["history"]["suppression"];
    assert!(suppression["score_left"].as_f64().is_some(), "{suppression}");
    assert!(number(&suppression["entries"][0]["addresses"]) > 0, "{suppression}");
    // An entry that expired, and one for another name, cover nothing.
    let over = with(&file("over", "domain parcel-redelivery.example expires=2026-03-01 over\n"));
    assert_eq!(over["outcome"], "alert_open");
    assert_eq!(over["history"]["suppression"]["entries"], json!([]));
}

#[test]
fn a_name_that_was_never_seen_or_has_no_history() {
    let told = object(&["a.b.parcel-redelivry.example"]);
    assert_eq!((&told["outcome"], &told["history"]), (&json!("never_seen"), &Value::Null));
    assert_eq!(told["near"][0], "parcel-redelivery.example");
    let question = &told["dns"]["question"];
    assert_eq!(question["name"], "a.b.parcel-redelivry.example");
    assert_eq!(question["registered_domain"], "parcel-redelivry.example");
    assert_eq!(object(&["entirely-elsewhere.org"])["near"], json!([]));
    // Before the first packet nothing was seen, though it comes later.
    let early = object(&["parcel-redelivery.example", "--at", "2026-03-02T08:00:00Z"]);
    assert_eq!(
        (&early["outcome"], &early["capture"]["start"]),
        (&json!("never_seen"), &Value::Null)
    );
    // Long after the end all windows are empty, and the alert has ended.
    let late = object(&["parcel-redelivery.example", "--at", "2026-03-04T12:00:00Z"]);
    assert_eq!(late["outcome"], "alert_ended");
    let last = late["alerts"].as_array().and_then(|lines| lines.last()).expect("a line");
    assert_eq!((&last["action"], &last["close_reason"]), (&json!("flux-ended"), &json!("quiet")));
}

/// A domain of one answer among so many others that its history makes room.
#[test]
fn a_history_that_made_room_is_said_to_be_gone() {
    let folder = support::folder();
    let mut packets = Vec::new();
    let mut answer = |at_ms: u64, name: &str, host: u8| {
        let message = support::response(1, name, 60, &[Ipv4Addr::new(78, 21, 82, host)]);
        packets.push((at_ms * 1_000, support::datagram(&message)));
    };
    answer(1_000_000, "www.early.example", 1);
    for n in 0..150_000 {
        answer(1_000_001 + n / 10, &format!("www.flood{n}.example"), 2);
    }
    let gone = support::write(&folder, "gone.pcap", &support::capture(support::RAW, &packets));
    let run = |path: &std::path::Path| {
        let args = ["early.example", "--json", "--memory", "16MiB"].map(OsStr::new);
        let run = explain(args.into_iter().chain([path.as_os_str()]));
        assert_eq!(run.status, 0, "{}", run.stderr);
        serde_json::from_slice::<Value>(&run.stdout).expect("an object")
    };
    let told = run(&gone);
    assert_eq!((&told["outcome"], &told["history"]), (&json!("history_gone"), &Value::Null));
    assert_eq!(told["sights"]["responses"], 1);
    let message = support::response(1, "www.early.example", 60, &[Ipv4Addr::new(78, 21, 82, 3)]);
    packets.push((1_020_000_000, support::datagram(&message)));
    let anew = support::write(&folder, "anew.pcap", &support::capture(support::RAW, &packets));
    assert_eq!(run(&anew)["history"]["began_anew"], true);
    let text = explain([OsStr::new("early.example"), "--memory=16MiB".as_ref(), gone.as_os_str()]);
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(text.starts_with("early.example: its history is gone\n"), "{text}");
}

/// Names of others cannot take over the terminal, nor can arguments.
#[test]
fn hostile_names_are_escaped() {
    let folder = support::folder();
    let name = "\x1b[2J\n\u{7f}.evil.example";
    let packets: Vec<_> = (0..5_u8)
        .map(|n| {
            let message = support::response(u16::from(n), name, 60, &[Ipv4Addr::new(78, 21, n, 1)]);
            (1_000_000_000 + u64::from(n) * 100_000_000, support::datagram(&message))
        })
        .collect();
    let path = support::write(&folder, "hostile.pcap", &support::capture(support::RAW, &packets));
    let run = explain([OsStr::new("evil.example"), path.as_os_str()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let said = String::from_utf8(run.stdout).expect("text");
    assert!(said.is_ascii() && !said.contains('\x1b'), "{said:?}");
    assert!(said.contains("\\027\\0912j\\010\\127.evil.example"), "{said}");
    let run = explain([OsStr::new("evil.example"), "--json".as_ref(), path.as_os_str()]);
    assert!(run.stdout.is_ascii() && !run.stdout.contains(&0x1b));
    for args in [["\x1b[2J..x", "a.pcap"], ["a.test", "--at=\x1b[2J"]] {
        let run = explain(args.into_iter().chain(["a.pcap"]));
        assert_eq!((run.status, run.stdout.len()), (2, 0));
        assert!(!run.stderr.contains('\x1b'), "{:?}", run.stderr);
        run.assert_said(&["fluxtap: error: ", "got '\\u{1b}[2J", "expected "]);
    }
}

#[test]
fn files_that_fail_have_the_status_they_have_in_a_replay() {
    let folder = support::folder();
    let demo = fs::read(support::demo()).expect("the demonstration");
    let cut = support::write(&folder, "cut.pcap", &demo[..demo.len() - 10]);
    let empty = support::write(&folder, "empty.pcap", b"");
    let missing = folder.path().join("missing.pcap");
    for (path, status) in [(&cut, 65), (&empty, 65), (&missing, 66)] {
        let args = [OsStr::new("tunnelbird.example"), path.as_os_str()];
        let run = explain(args);
        let (replay, _) = support::replay(["--quiet".as_ref(), path.as_os_str()]);
        assert_eq!((run.status, run.status), (status, replay.status), "{}", run.stderr);
        assert_eq!(run.stderr, replay.stderr, "the same words");
        assert!(!run.stdout.is_empty(), "what was read is explained");
    }
    for args in [&["com", "a.pcap"][..], &["a.test"], &["a.test", "--at", "noon", "a.pcap"], &[]] {
        let run = explain(args);
        assert_eq!((run.status, run.stdout.len()), (2, 0), "{args:?}: {}", run.stderr);
    }
    let run = explain(["a.test", "--allow", "/no/such/list", "a.pcap"]);
    assert_eq!(run.status, 66, "{}", run.stderr);
}

/// Reading ends behind the time that is asked for, and nothing behind it is known.
#[test]
fn a_time_ends_reading() {
    let folder = support::folder();
    let capture = fs::read(support::demo()).expect("the demonstration");
    let records = support::records(&capture);
    const AT_S: u64 = 1_772_440_200;
    let behind = records.iter().position(|r| r.at_us > AT_S * 1_000_000).expect("later packets");
    let early = support::write(&folder, "early.pcap", &capture[..records[behind].start]);
    let at = AT_S.to_string();
    let domain = "parcel-redelivery.example";
    let of_part = explain([
        OsStr::new(domain),
        "--json".as_ref(),
        "--at".as_ref(),
        at.as_ref(),
        early.as_os_str(),
    ]);
    let of_part: Value = serde_json::from_slice(&of_part.stdout).expect("an object");
    assert_eq!(object(&[domain, "--at", &at]), of_part);
    assert_eq!(of_part["history"]["as_of"], "2026-03-02T08:30:00.000Z");
    // Damage behind that time is not met.
    let mut damaged = capture.clone();
    damaged.truncate(capture.len() - 10);
    let damaged = support::write(&folder, "damaged.pcap", &damaged);
    let run = explain([OsStr::new(domain), "--at".as_ref(), at.as_ref(), damaged.as_os_str()]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
}
