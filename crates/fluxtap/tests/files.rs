//! Compressed captures, directories, and directories that grow, through the program.

mod support;

use std::fs::{self, File, FileTimes};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;
use support::{Running, number};

/// A cut compressed file: everything before the cut, where it is, status 65.
#[test]
fn a_cut_compressed_file_gives_what_comes_before_the_cut() {
    let folder = support::folder();
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let all = support::records(&capture).len() as u64;
    for (suffix, packed) in support::packed(&capture) {
        let half = packed.len() / 2;
        let path = support::write(&folder, &format!("cut.{suffix}"), &packed[..half]);
        let (run, stats) = support::replay(["--quiet".as_ref(), path.as_os_str()]);
        assert_eq!(run.status, 65, "{suffix}: {}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{suffix}: {}", run.stderr);
        run.assert_said(&[path.to_str().expect("a plain path"), "data: at byte ", "expected more"]);
        let packets = number(&stats["packets"]);
        assert!(0 < packets && packets < all, "{suffix}: {packets} of {all} packets");
        let file = &stats["files"][0];
        let (read, unpacked) = (number(&file["bytes_read"]), number(&file["bytes_unpacked"]));
        assert!(read <= half as u64 && unpacked > read, "{suffix}: {file}");
    }
}

/// Garbage in the middle of a capture costs what it covers, and is told with its place.
#[test]
fn garbage_in_a_capture_is_passed_over_and_told() {
    let folder = support::folder();
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let records = support::records(&capture);
    let at = records[records.len() / 2].start;
    let bad = [&capture[..at], &[0; 4_096], &capture[at..]].concat();
    let path = support::write(&folder, "bad.pcap", &bad);
    let (run, stats) = support::replay(["--quiet".as_ref(), path.as_os_str()]);
    assert_eq!(run.status, 65, "{}", run.stderr);
    run.assert_said(&[
        &format!("at byte {at}: got zeros"),
        "passed over 4096 damaged bytes in 1 place",
    ]);
    assert_eq!(number(&stats["packets"]), records.len() as u64);
    assert_eq!(
        (&stats["files"][0]["gaps"], &stats["files"][0]["gap_bytes"]),
        (&1.into(), &4096.into())
    );
    let (whole, _) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);
    assert!(run.stdout == whole.stdout, "the same alerts");
}

/// A directory with captures in several forms: the same alerts, and what is no capture is told
/// once.
#[test]
fn a_directory_stands_for_its_captures() {
    let folder = support::folder();
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let records = support::records(&capture);
    let header = &capture[..support::FILE_HEADER_OCTETS];
    let quarter = records.len() / 4;
    fs::create_dir(folder.path().join("deep")).expect("a writable folder");
    for (n, records) in records.chunks(quarter + 1).enumerate() {
        let (first, last) = (records[0], records[records.len() - 1]);
        let part = [header, &capture[first.start..last.end]].concat();
        let (suffix, packed) = support::packed(&part).into_iter().nth(n).expect("four parts");
        // Against the order of their times.
        support::write(&folder, &format!("deep/{}.{suffix}", 9 - n), &packed);
    }
    support::write(&folder, "README", b"captured on the third floor");
    support::write(&folder, "checksums", b"d41d8cd98f00b204e9800998ecf8427e");
    support::write(&folder, ".hidden", b"?");
    let (run, stats) = support::replay(["--quiet".as_ref(), folder.path().as_os_str()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    run.assert_said(&["fluxtap: warning: passed over 2 files", "README"]);
    assert_eq!(stats["files"].as_array().expect("a list").len(), 6);
    let (whole, _) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);
    assert!(run.stdout == whole.stdout, "the same alerts");

    let empty = support::folder();
    let (run, _) = support::replay(["--quiet".as_ref(), empty.path().as_os_str()]);
    assert_eq!(run.status, 65, "{}", run.stderr);
    run.assert_said(&["got a directory without files", "expected captures in it"]);
}

#[test]
fn following_needs_a_directory() {
    let demo = support::demo();
    let run = support::run(["replay".as_ref(), "--follow".as_ref(), demo.as_os_str()]);
    assert_eq!(run.status, 2, "{}", run.stderr);
    run.assert_said(&["--follow: got no directory", "expected one"]);
}

/// Halves of the demonstration that come one after the other: the same alerts as from the whole,
/// and SIGINT ends with the summary.
#[test]
fn a_directory_that_grows_is_followed_until_sigint() {
    let folder = support::folder();
    let counters = support::folder();
    let stats = counters.path().join("stats.json");
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let records = support::records(&capture);
    let middle = records[records.len() / 2].start;
    let second = [&capture[..support::FILE_HEADER_OCTETS], &capture[middle..]].concat();
    // So long after it that all alerts end: the last lines come with the last file.
    let later_s = records[records.len() - 1].at_us / 1_000_000 + 30 * 86_400;
    let later = support::quiet_capture(later_s, 5);
    let later = support::write(&counters, "later.pcap", &later);
    let whole = support::replay([Path::new("--quiet"), &support::demo(), &later]).0.alerts();
    assert_eq!(whole.last().expect("alerts")["event"]["action"], "flux-ended");

    let mut command = support::program();
    command.args(["replay", "--follow=1s", "--stats"]).arg(&stats).arg(folder.path());
    let mut running = Running::spawn(&mut command);
    let stdout = BufReader::new(running.child.stdout.take().expect("a pipe"));
    let mut alerts = stdout.lines().map(|line| -> Value {
        serde_json::from_str(&line.expect("alerts are UTF-8")).expect("an alert")
    });
    write_old(folder.path(), "1.pcap", &capture[..middle]);
    let mut got = vec![alerts.next().expect("an alert of the first half")];
    let [(_, second), ..] = support::packed(&second);
    write_old(folder.path(), "2.pcap.gz", &second);
    write_old(folder.path(), "3.pcap", &fs::read(later).expect("a capture"));
    got.extend(alerts.by_ref().take(whole.len() - 1));
    running.signal(Signal::INT);
    assert_eq!(alerts.count(), 0, "more alerts than from the whole");
    let run = running.finish();
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.assert_said(&["fluxtap: read 3 of 3 files"]);
    assert_eq!(steps(&got), steps(&whole));
    let stats = support::read_stats(&stats, &run);
    assert_eq!(number(&stats["packets"]), records.len() as u64 + 5);
}

/// What happened to which alert. The rest of the lines has counts that are estimates, and the order
/// of one moment, which hang on a key that is drawn anew for what has no end.
fn steps(alerts: &[Value]) -> Vec<String> {
    let fields = ["/fluxtap/alert/id", "/fluxtap/alert/revision", "/event/action", "/@timestamp"];
    let mut steps: Vec<String> = alerts
        .iter()
        .map(|alert| fields.map(|field| alert.pointer(field).expect(field).to_string()).join(" "))
        .collect();
    steps.sort();
    steps
}

/// Puts a file in a folder that was finished long ago.
fn write_old(folder: &Path, name: &str, bytes: &[u8]) {
    let hidden = folder.join(format!(".{name}"));
    fs::write(&hidden, bytes).expect("a writable folder");
    let file = File::options().append(true).open(&hidden).expect("a file");
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_times(FileTimes::new().set_modified(old)).expect("times");
    fs::rename(hidden, folder.join(name)).expect("a writable folder");
}

/// A tap whose clock is set by hours and back, in the middle of the demonstration: time follows both
/// jumps, all flux is found, and every packet and message is accounted for.
#[test]
fn a_clock_that_is_set_is_followed_and_counted() {
    const JUMP_US: u64 = 5 * 3_600 * 1_000_000;
    let demo = fs::read(support::demo()).expect("the demonstration");
    let records = support::records(&demo);
    let mut jumping = demo[..support::FILE_HEADER_OCTETS].to_vec();
    let third = records.len() / 3;
    for (index, record) in records.iter().enumerate() {
        let at_us = record.at_us + if index / third == 1 { JUMP_US } else { 0 };
        jumping.extend_from_slice(&((at_us / 1_000_000) as u32).to_le_bytes());
        jumping.extend_from_slice(&demo[record.start + 4..record.end]);
    }
    let folder = support::folder();
    let path = support::write(&folder, "jumping.pcap", &jumping);
    let (plain, _) = support::replay([support::demo()]);
    let (run, stats) = support::replay([&path]);
    assert_eq!((run.status, number(&stats["packets"])), (0, records.len() as u64));
    let time = &stats["event_time"];
    assert_eq!((&time["jumps_forward"], &time["jumps_back"]), (&1.into(), &1.into()), "{stats}");
    let domains = |run: &support::Run| run.findings().into_keys().collect::<Vec<_>>();
    assert_eq!(domains(&run), domains(&plain));
}
