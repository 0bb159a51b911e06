//! The program as people and scripts meet it: messages, exit statuses, counters, signals.

mod support;

use rustix::process::{Signal, geteuid};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use support::{RAW, Running, number};

/// A user without rights, to run as where the tests run as root.
const NOBODY: u32 = 65_534;

/// Bad content, with what must be said of it besides the file's name: what was got, what was
/// expected, how to go on.
#[test]
fn each_bad_content_has_its_message() {
    let good = support::quiet_capture(1_000, 3);
    let rows: [(&str, &[u8], [&str; 3]); 17] = [
        ("empty", b"", ["got 0 bytes", "expected a capture", "check the program or disk"]),
        (
            "header",
            &good[..support::FILE_HEADER_OCTETS],
            ["got a capture without packets", "expected some", "check the interface and filter"],
        ),
        (
            "half a header",
            &good[..20],
            ["at byte 0: got 20 bytes", "expected 24", "copy the file again"],
        ),
        (
            "request.txt",
            b"GET / HTTP/1.1\r\n",
            ["begins with 47 45 54 20", "expected pcap, pcapng or snoop", "convert it first"],
        ),
        ("a.pcap.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", cut("gzip data: at byte 10")),
        ("a.pcap.zst", b"\x28\xb5\x2f\xfd\x04\0\x61\x01", cut("zstd data: at byte 8")),
        ("a.pcap.xz", b"\xfd7zXZ\0\0\x04\xe6\xd6", cut("xz data: at byte 10")),
        ("a.pcap.lz4", b"\x04\x22\x4d\x18\x64\x40", cut("lz4 data: at byte 6")),
        ("old.lz4", b"\x02\x21\x4c\x18\0\0\0\0", unpack("the legacy format", "lz4 -dc")),
        ("a.pcap.bz2", b"BZh91AY&SY", unpack("got bzip2 data", "bzip2 -dc")),
        ("a.zip", b"PK\x03\x04\x14\0\0\0", unpack("got a zip archive", "unzip -p")),
        (
            "a.snoop",
            b"snoop\0\0\0\0\0\0\x02\0\0\0\x11",
            ["at byte 0: got snoop datalink 17", "expected one that has a link type", "was not"],
        ),
        (
            "a.dnstap",
            b"\0\0\0\0\0\0\0\x22\0\0\0\x02\0\0\0\x01",
            [
                "(dnstap)",
                "expected pcap, pcapng or snoop",
                "replay the packet capture it was made from",
            ],
        ),
        (
            "a.nmsg",
            b"NMSG\0\0\0\x02",
            ["got nmsg data", "expected pcap, pcapng or snoop", "replay the packet capture"],
        ),
        (
            "netmon.cap",
            b"GMBU\0\x02\x01\0",
            ["got a Microsoft Network Monitor capture", "expected pcap, pcapng", "editcap -F pcap"],
        ),
        (
            "future.pcap",
            b"\xd4\xc3\xb2\xa1\x07\0\x01\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x01\0\0\0",
            ["at byte 0: got version 7.1", "expected pcap 2.x", "the rest was not"],
        ),
        (
            "interrupted.pcapng",
            b"\x0a\x0d\x0d\x0a\x1c\0\0\0",
            ["at byte 0: got 8 bytes", "expected 12", "copy the file again"],
        ),
    ];
    for (name, content, [got, expected, advice]) in rows {
        let folder = support::folder();
        let path = support::write(&folder, name, content);
        let (run, stats) = support::replay(["--quiet".as_ref(), path.as_os_str()]);
        assert_eq!(run.status, 65, "{name}: {}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{name}: {}", run.stderr);
        assert!(run.stderr.starts_with("fluxtap: error: "), "{name}: {}", run.stderr);
        run.assert_said(&[path.to_str().expect("a plain path"), got, expected, advice]);
        assert_eq!(stats["packets"], 0, "{name}");
    }
}

fn cut(got: &str) -> [&str; 3] {
    [got, "expected more", "copy the file again"]
}

fn unpack<'a>(got: &'a str, tool: &'a str) -> [&'a str; 3] {
    [got, "expected pcap, pcapng or snoop", tool]
}

#[test]
fn packets_of_an_unknown_link_type_are_counted_and_said() {
    let folder = support::folder();
    let packets = [(1_000_000, vec![0; 60]), (2_000_000, vec![1; 60])];
    let path = support::write(&folder, "usb.pcap", &support::capture(147, &packets));
    let (run, stats) = support::replay(["--quiet".as_ref(), path.as_os_str()]);
    assert_eq!(run.status, 65, "{}", run.stderr);
    let name = path.to_str().expect("a plain path");
    run.assert_said(&[name, "got packets of link type 147", "1 (Ethernet)", "276 (Linux cooked"]);
    run.assert_said(&["editcap -T"]);
    assert_eq!(stats["packets_by_end"]["refused.link_type"], 2);
}

/// One interface that is not read does not make the others a failure, but is said.
#[test]
fn one_unknown_link_type_among_others_is_a_warning() {
    let folder = support::folder();
    let block = |kind: u32, body: &[u8]| {
        let total = body.len() as u32 + 12;
        let mut block = [kind, total].into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>();
        block.extend(body);
        block.extend(total.to_le_bytes());
        block
    };
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let on = |interface: u32| -> Vec<u8> { words(&[interface, 0, 1_000_000, 0, 0]) };
    let section: Vec<u8> = words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]);
    let bytes = [
        block(0x0a0d_0d0a, &section),
        block(1, &words(&[1, 0])),
        block(1, &words(&[147, 0])),
        block(6, &on(0)),
        block(6, &on(1)),
    ]
    .concat();
    let path = support::write(&folder, "two.pcapng", &bytes);
    let (run, stats) = support::replay(["--quiet".as_ref(), path.as_os_str()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.assert_said(&["fluxtap: warning: ", "got packets of link type 147", "refused.link_type"]);
    assert_eq!(stats["packets_by_end"]["refused.link_type"], 1);
    assert_eq!(stats["packets_by_end"]["malformed.link_header"], 1, "an Ethernet frame of 0 bytes");
}

#[test]
fn inputs_that_cannot_be_read() {
    let folder = support::folder();
    let at = |name: &str| folder.path().join(name);
    let _socket = UnixListener::bind(at("socket")).expect("a socket");
    let rows = [
        (at("missing.pcap"), vec!["No such file", "check the name"]),
        (at("socket"), vec!["cannot be read"]),
        // Opens, but the first page of no process can be read.
        (Path::new("/proc/self/mem").to_owned(), vec!["cannot be read"]),
    ];
    for (path, parts) in rows {
        let (run, stats) = support::replay(["--quiet".as_ref(), path.as_os_str()]);
        assert_eq!(run.status, 66, "{}", run.stderr);
        run.assert_said(&[path.to_str().expect("a plain path")]);
        run.assert_said(&parts);
        assert_eq!(stats["packets"], 0);
    }
}

#[test]
fn a_file_without_permission_to_read_it() {
    let folder = support::folder();
    let path = support::write(&folder, "secret.pcap", &support::quiet_capture(1_000, 3));
    let everyone = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(folder.path(), everyone(0o755)).expect("our folder");
    fs::set_permissions(&path, everyone(0)).expect("our file");
    let mut command = support::program();
    command.args(["replay", "--quiet"]).arg(&path);
    let Some(running) = spawn_without_rights(&mut command) else { return };
    let run = running.finish();
    assert_eq!(run.status, 66, "{}", run.stderr);
    run.assert_said(&[
        path.to_str().expect("a plain path"),
        "Permission denied",
        "who may read it",
    ]);
}

/// Starts the program as a user without rights, `None` with a message where that user cannot
/// reach the program.
fn spawn_without_rights(command: &mut Command) -> Option<Running> {
    if !geteuid().is_root() {
        return Some(Running::spawn(command));
    }
    match Running::try_spawn(command.uid(NOBODY).gid(NOBODY)) {
        Ok(running) => Some(running),
        Err(error) => {
            support::say(&format!(
                "skipped: user {NOBODY} cannot run {}: {error}",
                env!("CARGO_BIN_EXE_fluxtap")
            ));
            None
        }
    }
}

#[test]
fn a_file_named_twice_is_read_once() {
    let folder = support::folder();
    let path = support::write(&folder, "a.pcap", &support::quiet_capture(1_000, 5));
    let hard = folder.path().join("hard.pcap");
    fs::hard_link(&path, &hard).expect("a link");
    let soft = folder.path().join("soft.pcap");
    std::os::unix::fs::symlink(&path, &soft).expect("a link");
    let name = path.to_str().expect("a plain path");
    for other in [&path, &hard, &soft] {
        let (run, stats) = support::replay(["--quiet".as_ref(), path.as_os_str(), other.as_ref()]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        run.assert_said(&["fluxtap: warning: ", "is the same file as", name, "read once"]);
        assert_eq!(stats["packets"], 5);
    }
}

/// Three thousand files whose times overlap, with 64 descriptors for everything.
#[test]
fn more_files_than_descriptors() {
    const FILES: u64 = 3_000;
    let folder = support::folder();
    for file in 0..FILES {
        let packets = [0, 1].map(|round| {
            let message =
                support::response(1, "www.site.example", 60, &[Ipv4Addr::new(1, 1, 1, 1)]);
            (1_000_000 * (10_000 + round * FILES + file), support::datagram(&message))
        });
        support::write(&folder, &format!("{file}.pcap"), &support::capture(RAW, &packets));
    }
    let mut command = Command::new("sh");
    command
        .current_dir(folder.path())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .args(["-c", "ulimit -n 64; exec \"$@\" *.pcap", "sh", env!("CARGO_BIN_EXE_fluxtap")])
        .args(["replay", "--quiet"]);
    // The files come last, so the counters' file is named before them.
    let stats = support::folder();
    let stats = stats.path().join("stats.json");
    let run = Running::spawn(command.arg("--stats").arg(&stats)).finish();
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let stats = support::read_stats(&stats, &run);
    assert_eq!(stats["packets"], 2 * FILES);
    assert_eq!(stats["event_time"]["packets_late"], 0, "merged in order of time");
    assert_eq!(stats["event_time"]["jumps_back"], 0, "merged in order of time");
}

#[test]
fn a_bad_file_among_good_ones_stops_nothing() {
    let folder = support::folder();
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let [first, second] = halves(&capture);
    let first = support::write(&folder, "first.pcap", &first);
    let second = support::write(&folder, "second.pcap", &second);
    let text = support::write(&folder, "notes.txt", b"not a capture");
    let missing = folder.path().join("missing.pcap");
    let (whole, _) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);

    let quiet = Path::new("--quiet");
    let (run, stats) = support::replay([quiet, &first, &text, &second]);
    assert_eq!(run.status, 65, "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stdout == whole.stdout, "the good files give what they give alone");
    let (run, _) = support::replay([quiet, &missing, &first, &text, &second]);
    assert_eq!(run.status, 66, "the highest of 66, 0, 65 and 0: {}", run.stderr);
    run.assert_said(&["missing.pcap", "notes.txt"]);
    assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
    assert!(run.stdout == whole.stdout, "the good files give what they give alone");
    let statuses = stats["files"].as_array().expect("a list of files");
    let packets: Vec<u64> = statuses.iter().map(|file| number(&file["packets"])).collect();
    assert_eq!(packets.len(), 3);
    assert!(packets[0] > 0 && packets[1] == 0 && packets[2] > 0, "{packets:?}");
}

/// A profile shows every thread, and changes nothing but what is said.
#[test]
fn a_profile_says_where_the_time_went() {
    let (plain, _) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);
    for (workers, rows) in [("1", 1), ("2", 3)] {
        let demo = support::demo();
        let profiled: [&OsStr; 5] = [
            "--quiet".as_ref(),
            "--profile".as_ref(),
            "--workers".as_ref(),
            workers.as_ref(),
            demo.as_os_str(),
        ];
        let (run, _) = support::replay(profiled);
        assert!(run.status == 0 && run.stdout == plain.stdout, "{}", run.stderr);
        run.assert_said(&["where the time went", "read  layers    pair   facts"]);
        let shares = |line: &str| -> Vec<f64> {
            line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        let is_row = |line: &&str| line.contains("reading ") || line.contains("worker ");
        let lines: Vec<&str> = run.stderr.lines().filter(is_row).collect();
        assert_eq!(lines.len(), rows, "{}", run.stderr);
        for line in lines {
            // The last nine; a worker's number comes before them.
            let all = shares(line);
            let sum: f64 = all[all.len() - 9..].iter().sum();
            assert!((99.0..101.0).contains(&sum), "{line}");
        }
        assert_eq!(run.stderr.contains("queue wait"), rows > 1, "{}", run.stderr);
    }
}

/// A capture cut in two at a record.
fn halves(capture: &[u8]) -> [Vec<u8>; 2] {
    let records = support::records(capture);
    let cut = records[records.len() / 2].start;
    let second = [&capture[..support::FILE_HEADER_OCTETS], &capture[cut..]].concat();
    [capture[..cut].to_vec(), second]
}

/// Everything before the cut counts, and the message says where it is.
#[test]
fn a_cut_off_file_gives_what_comes_before_the_cut() {
    let folder = support::folder();
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let records = support::records(&capture);
    let last = records[records.len() * 3 / 5];
    let before = support::write(&folder, "before.pcap", &capture[..last.start]);
    let (expected, expected_stats) = support::replay(["--quiet".as_ref(), before.as_os_str()]);
    assert_eq!((expected.status, expected.stderr.as_str()), (0, ""));
    assert!(!expected.alerts().is_empty(), "a cut that leaves something to compare");
    // Inside the record's header, between header and packet, and one byte before its end.
    for cut in [last.start + 1, last.start + 16, last.end - 1] {
        let path = support::write(&folder, "cut.pcap", &capture[..cut]);
        let (run, stats) = support::replay(["--quiet".as_ref(), path.as_os_str()]);
        assert_eq!(run.status, 65, "{}", run.stderr);
        let at = format!(
            "ends inside the record at byte {}: got {} bytes",
            last.start,
            cut - last.start
        );
        run.assert_said(&["cut.pcap", &at, "what comes before was read", "copy the file again"]);
        assert!(run.stdout == expected.stdout, "cut at {cut}: other alerts");
        assert_eq!(stats["packets"], expected_stats["packets"]);
    }
}

#[test]
fn usage_errors() {
    let rows: [(&[&str], &str); 16] = [
        (&[], "Usage"),
        (&["replay"], "<FILE|DIR>"),
        (&["replay", "--ports", "0", "a"], "--ports"),
        (&["replay", "--ports", "65536", "a"], "--ports"),
        (&["replay", "--ports", "domain", "a"], "--ports"),
        (&["replay", "--ports", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "a"], "got 17 ports"),
        (&["replay", "--memory", "1KiB", "a"], "--memory"),
        (&["replay", "--memory", "5MB", "a"], "got unit 'MB', expected a size from 16MiB to 1TiB"),
        (&["replay", "--memory", "9999999999GiB", "a"], "--memory"),
        (&["replay", "--lateness", "5w", "a"], "got unit 'w', expected a duration from 0s to 15m"),
        (&["replay", "--lateness", "2d", "a"], "expected a duration from 0s to 15m"),
        (&["replay", "--format", "xml", "a"], "expected json or text"),
        (&["replay", "--observer", "two words", "a"], "expected 1 to 64 printable"),
        (&["replay", "--no-such-option", "a"], "--no-such-option"),
        (&["run"], "--interface"),
        (&["rerun"], "rerun"),
    ];
    for (args, part) in rows {
        let run = support::run(args);
        assert_eq!(run.status, 2, "{args:?}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{args:?}");
        run.assert_said(&[part]);
    }
}

#[test]
fn a_full_disk_on_standard_output() {
    let folder = support::folder();
    let stats = folder.path().join("stats.json");
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let mut command = support::program();
    command.args(["replay", "--quiet", "--stats"]).args([&stats, &support::demo()]).stdout(full);
    let run = Running::spawn(&mut command).finish();
    assert_eq!(run.status, 1, "{}", run.stderr);
    run.assert_said(&["fluxtap: error: standard output: cannot write", "No space left"]);
    run.assert_said(&["make room or write elsewhere"]);
    let stats = support::read_stats(&stats, &run);
    assert!(number(&stats["packets"]) > 0);
}

#[test]
fn a_full_disk_for_the_counters() {
    let run = support::run(["replay", "--stats", "/dev/full", path_text(&support::demo())]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    run.assert_said(&["--stats: cannot write /dev/full", "No space left"]);
    assert!(!run.alerts().is_empty(), "the alerts are there all the same");
}

#[test]
fn a_closed_pipe_is_success() {
    let demo = support::demo();
    let rows: [&[&str]; 4] = [
        &["replay", "--quiet", path_text(&demo)],
        &["replay", "--quiet", "--format", "text", path_text(&demo)],
        &["schema"],
        &["--version"],
    ];
    for args in rows {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let run = Running::spawn(support::program().args(args).stdout(writer)).finish();
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{args:?}");
    }
}

/// As in `fluxtap replay … | head -1`: the reader leaves while more is to come.
#[test]
fn a_pipe_that_closes_later_is_success() {
    let folder = support::folder();
    let stats = folder.path().join("stats.json");
    let mut command = support::program();
    command.args(["replay", "--quiet", "--stats"]).args([&stats, &support::demo()]);
    let mut running = Running::spawn(&mut command);
    let mut stdout = BufReader::with_capacity(64, running.child.stdout.take().expect("a pipe"));
    stdout.read_line(&mut String::new()).expect("a first alert");
    drop(stdout);
    let run = running.finish();
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    support::read_stats(&stats, &run);
}

/// SIGINT and SIGTERM while packets still arrive: the summary of what was read, and status 130.
#[test]
fn an_interrupted_replay_sums_up() {
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let packets_all = support::records(&capture).len() as u64;
    for signal in [Signal::INT, Signal::TERM] {
        let (mut running, mut stdin, folder) = start_half_fed(&capture);
        running.signal(signal);
        // More packets than one batch holds, written until the program has enough.
        let _ = stdin.write_all(&capture[capture.len() / 2..]);
        drop(stdin);
        assert_interrupted(running.finish_with(folder.path()), packets_all);
    }
}

/// The same while nothing arrives, as when the writer of the pipe is stuck.
#[test]
fn an_interrupted_replay_ends_though_its_input_is_idle() {
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let packets_all = support::records(&capture).len() as u64;
    let (mut running, stdin, folder) = start_half_fed(&capture);
    running.signal(Signal::INT);
    let interrupted = running.finish_with(folder.path());
    drop(stdin);
    assert_interrupted(interrupted, packets_all);
}

/// Starts a replay of standard input and gives it half of a capture; returns when the program has
/// told of a first alert, so it is in the middle.
fn start_half_fed(capture: &[u8]) -> (Fed, std::process::ChildStdin, tempfile::TempDir) {
    let folder = support::folder();
    let mut command = support::program();
    command.args(["replay", "--stats"]).arg(folder.path().join("stats.json")).arg("-");
    let mut running = Running::spawn(command.stdin(std::process::Stdio::piped()));
    let mut stdin = running.stdin();
    let stdout = running.child.stdout.take().expect("a pipe");
    let half = capture[..capture.len() / 2].to_vec();
    // Whatever the program writes must be taken, or both would wait for each other.
    let (told, first) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut text = String::new();
        stdout.read_line(&mut text).expect("a first alert");
        let _ = told.send(());
        stdout.read_to_string(&mut text).expect("alerts are UTF-8");
        text
    });
    stdin.write_all(&half).expect("a reader");
    first.recv().expect("a first alert");
    (Fed { running: Some(running), reader: Some(reader) }, stdin, folder)
}

/// A program whose standard output is read beside it.
struct Fed {
    running: Option<Running>,
    reader: Option<std::thread::JoinHandle<String>>,
}

impl Fed {
    fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("it runs").signal(signal);
    }

    fn finish_with(&mut self, folder: &Path) -> (support::Run, Value) {
        let mut run = self.running.take().expect("it runs").finish();
        let reader = self.reader.take().expect("it was started");
        run.stdout = reader.join().expect("the reader does not fail").into_bytes();
        let stats = support::read_stats(&folder.join("stats.json"), &run);
        (run, stats)
    }
}

fn assert_interrupted((run, stats): (support::Run, Value), packets_all: u64) {
    assert_eq!(run.status, 130, "{}", run.stderr);
    run.assert_said(&["fluxtap: interrupted after 0 of 1 file", "responses", "alerts"]);
    assert!(!run.stderr.contains("error"), "{}", run.stderr);
    assert!(number(&stats["packets"]) < packets_all, "it stopped early: {stats}");
    assert_eq!(run.alerts().len() as u64, number(&stats["alerts"]));
    assert_eq!(stats["files"][0]["status"], "-: not read to the end");
}

/// What others' scripts rely on; the laws are checked by all runs.
#[test]
fn counters_to_a_file_and_to_standard_error() {
    let demo = support::demo();
    let (run, stats) = support::replay(["--quiet".as_ref(), demo.as_os_str()]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(number(&stats["dns_queries"]) > 0 && number(&stats["dns_responses"]) > 0, "{stats}");
    assert!(number(&stats["domains_tracked"]) > 0, "{stats}");
    assert_eq!(stats["malformed"], 0);
    assert_eq!(number(&stats["alerts"]), run.alerts().len() as u64);

    let said = support::run(["replay", "--quiet", "--stats", "-", path_text(&demo)]);
    assert_eq!(said.status, 0);
    let on_stderr: Value = serde_json::from_str(&said.stderr).expect("nothing but one object");
    assert_eq!(on_stderr, stats, "the same counters, whatever the way");
    assert_eq!(said.stdout, run.stdout);

    let run = support::run(["replay", "--stats", "/no/such/folder/x", path_text(&demo)]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    run.assert_said(&["--stats: cannot write /no/such/folder/x", "No such file", "name a file"]);
}

/// In `fluxtap replay --stats *.pcap` the first capture is where the counters would go.
#[test]
fn counters_do_not_overwrite_a_capture() {
    let folder = support::folder();
    let capture = support::quiet_capture(1_000, 3);
    let first = support::write(&folder, "a.pcap", &capture);
    let second = support::write(&folder, "b.pcap", &capture);
    let run = support::run(["replay", "--stats", path_text(&first), path_text(&second)]);
    assert_eq!(run.status, 2, "{}", run.stderr);
    run.assert_said(&["--stats: got", "a.pcap", "expected a new file", "name another"]);
    assert!(fs::read(&first).expect("the capture") == capture, "the capture is lost");

    let counters = folder.path().join("counters.json");
    for _ in 0..2 {
        let run = support::run(["replay", "--stats", path_text(&counters), path_text(&second)]);
        assert_eq!(run.status, 0, "its own counters may be replaced: {}", run.stderr);
        support::read_stats(&counters, &run);
    }
}

#[test]
fn quiet_is_quiet_and_otherwise_there_is_a_summary() {
    let demo = support::demo();
    let (quiet, _) = support::replay(["--quiet".as_ref(), demo.as_os_str()]);
    assert_eq!(quiet.stderr, "");
    let (run, stats) = support::replay([&demo]);
    let packets = grouped(number(&stats["packets"]));
    run.assert_said(&["fluxtap: read 1 of 1 file", &format!("{packets} packets"), "open"]);
    assert!(!run.stderr.contains('\x1b'), "no terminal, no control characters: {}", run.stderr);
    assert!(run.stdout == quiet.stdout, "the summary is not among the alerts");
    run.alerts();
}

fn grouped(number: u64) -> String {
    if number < 1_000 {
        number.to_string()
    } else {
        format!("{},{:03}", number / 1_000, number % 1_000)
    }
}

#[test]
fn options_reach_what_they_are_for() {
    let demo = support::demo();
    let demo = path_text(&demo);
    let (plain, _) = support::replay(["--quiet", demo]);

    let (named, _) = support::replay(["--quiet", "--observer", "tap-7", demo]);
    assert!(named.alerts().iter().all(|alert| alert["observer"]["name"] == "tap-7"));
    assert!(plain.alerts().iter().all(|alert| alert["observer"]["name"] == "replay"));

    let (bare, stats) = support::replay(["--quiet", "--asn-table", "none", demo]);
    assert!(!bare.loud_domains().is_empty(), "prefixes alone must do");
    assert_eq!(stats["address_table_date"], Value::Null);
    for alert in bare.alerts() {
        let quality = &alert["fluxtap"]["quality"];
        assert_eq!(quality["address_table"], Value::Null);
        assert!(quality["degraded"].to_string().contains("no_address_table"), "{quality}");
    }

    let (elsewhere, stats) = support::replay(["--quiet", "--ports", "9,19", demo]);
    assert_eq!((elsewhere.status, stats["dns_messages"].as_u64()), (0, Some(0)));
    // Clients' ports are drawn at random, so a few are those of LLMNR or of a tunnel.
    let ends = stats["packets_by_end"].as_object().expect("an object");
    let ended = ends.iter().filter(|(end, _)| end.starts_with("not_dns."));
    let ended = ended.filter_map(|(_, count)| count.as_u64());
    assert_eq!(Some(ended.sum()), stats["packets"].as_u64());

    let (small, stats) = support::replay(["--quiet", "--memory", "16MiB", demo]);
    assert!(small.stdout == plain.stdout, "nothing has to go");
    assert!(number(&stats["windows"]["bytes"]) <= 16 << 20, "{stats}");
}

#[test]
fn text_is_for_people() {
    let run = support::run(["replay", "--quiet", "--format", "text", path_text(&support::demo())]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let text = String::from_utf8(run.stdout).expect("text");
    let (json, _) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);
    for domain in json.findings().keys() {
        assert!(text.contains(domain), "{domain} is missing");
    }
    assert!(!text.contains('{') && !text.contains('\x1b'), "neither JSON nor control characters");
}

#[test]
fn the_schema_is_a_json_schema() {
    let run = support::run(["schema"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let schema: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&schema).expect("valid under its meta-schema");
    let shipped = support::workspace().join("docs/schema/fluxtap.alert-1.schema.json");
    assert!(run.stdout == fs::read(shipped).expect("the schema"), "the one in docs/schema");
}

#[test]
fn the_version_shows_what_verdicts_rest_on() {
    let run = support::run(["--version"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let text = String::from_utf8(run.stdout).expect("text");
    assert!(text.starts_with(&format!("fluxtap {}\n", env!("CARGO_PKG_VERSION"))), "{text}");
    let (_, stats) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);
    let date = support::text(&stats["address_table_date"]);
    assert_eq!(date.split('-').map(str::len).collect::<Vec<_>>(), [4, 2, 2], "{date}");
    let line = text.lines().find(|line| line.starts_with("address table")).expect("a table");
    assert!(line.contains(&date), "{line}");
    assert!(text.contains("\nmodel fluxtap-"), "{text}");
}

#[test]
fn help_goes_to_standard_output() {
    for args in [
        &["--help"][..],
        &["replay", "--help"],
        &["run", "--help"],
        &["explain", "--help"],
        &["intel", "--help"],
        &["intel", "lookup", "--help"],
        &["intel", "coverage", "--help"],
        &["intel", "build", "--help"],
    ] {
        let run = support::run(args);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{args:?}");
        let text = String::from_utf8(run.stdout).expect("text");
        assert!(text.contains("Usage"), "{args:?}");
        assert!(args.len() == 1 || text.contains("Examples:\n  fluxtap "), "{args:?}");
    }
}

/// A file's name is chosen by others and must not take over the terminal.
#[test]
fn control_characters_in_file_names_are_escaped() {
    let folder = support::folder();
    let link = support::capture(147, &[(1_000_000, vec![0; 60])]);
    for (name, content) in [("\x1b[2Jlink", &link[..]), ("\x1b[2Jempty", b"")] {
        let path = support::write(&folder, name, content);
        let run = support::run(["replay".as_ref(), "--quiet".as_ref(), path.as_os_str()]);
        assert_eq!(run.status, 65, "{}", run.stderr);
        assert!(!run.stderr.contains('\x1b'), "{:?}", run.stderr);
        run.assert_said(&["\\u{1b}[2J"]);
    }
    let stats = folder.path().join("\x1b[2J/none");
    let demo = support::demo();
    let run =
        support::run(["replay".as_ref(), "--stats".as_ref(), stats.as_os_str(), demo.as_ref()]);
    assert_eq!(run.status, 1, "{}", run.stderr);
    assert!(!run.stderr.contains('\x1b'), "{:?}", run.stderr);
}

#[test]
fn an_interface_that_does_not_exist() {
    let run = support::run(["run", "-i", "no-such-if"]);
    assert_eq!(run.status, 66, "{}", run.stderr);
    run.assert_said(&["fluxtap: error: got interface \"no-such-if\", expected one of: ", "lo"]);
    assert!(run.stdout.is_empty());
}

/// Needs no rights, and loopback is everywhere.
#[test]
fn interfaces_are_listed() {
    let run = support::run(["interfaces"]);
    let table = String::from_utf8(run.stdout).expect("text");
    assert!(table.starts_with("NAME") && table.contains("\nlo "), "{table}");
    let run = support::run(["interfaces", "--json"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let list: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let is_lo = |row: &&Value| row["name"] == "lo";
    let lo = list["interfaces"].as_array().expect("a list").iter().find(is_lo);
    assert!(lo.expect("loopback")["mtu_bytes"].as_u64() > Some(1_000), "{list}");
}

/// The story alerts, is marked as a test, and reaches a sink without touching the spool of others.
#[test]
fn the_self_test_finds_its_own_story() {
    let folder = support::folder();
    let path = folder.path().join("alerts.jsonl");
    let sink =
        format!("[[sinks]]\nname = \"log\"\ntype = \"file\"\npath = {:?}\n", path_text(&path));
    let config = support::write(&folder, "config.toml", sink.as_bytes());
    let run = support::run(["selftest", "--sinks", "--config", path_text(&config)]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    run.assert_said(&[": works in", "ok   alert opened for the made-up flux", "ok   log (file)"]);
    let lines = fs::read_to_string(&path).expect("the sink wrote");
    assert!(lines.lines().count() > 0);
    for line in lines.lines() {
        let alert: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(alert["observer"]["name"], "fluxtap-selftest");
        let domain = support::text(&alert["dns"]["question"]["registered_domain"]);
        assert!(
            domain.starts_with("fluxtap-selftest-") && domain.ends_with(".example"),
            "{domain}"
        );
    }
    // With thresholds that nothing reaches it says that something is wrong.
    let high = ["--threshold-low=99.8", "--threshold-medium=99.9", "--threshold-high=100"];
    let run = support::run(["selftest"].iter().chain(&high));
    assert_eq!(run.status, 1, "{}", run.stderr);
    run.assert_said(&["does not work as it should", "LOOK alert opened"]);
}

#[test]
fn capturing_without_permission() {
    let Some(running) = spawn_without_rights(support::program().args(["run", "-i", "lo"])) else {
        return;
    };
    let run = running.finish();
    assert_eq!(run.status, 77, "{}", run.stderr);
    run.assert_said(&["interface lo: no permission to capture", "setcap cap_net_raw+ep"]);
}

/// Responses that tell each story.
const STORY_RESPONSES: u16 = 8;

/// Two flux stories over the loopback interface, the second sent when the first has alerted: then
/// all packets of the first have certainly been read.
#[test]
fn a_live_run_alerts_and_counts() {
    let folder = support::folder();
    let stats = folder.path().join("stats.json");
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a port");
    // Not port 53, which may be taken.
    let resolver = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = resolver.local_addr().expect("an address").port().to_string();
    let mut command = support::program();
    command.args(["run", "-i", "lo", "--ports", &port, "--lateness", "0s", "--metrics", "none"]);
    command.args(["--log-format", "text", "--stats"]).arg(&stats);
    let mut running = Running::spawn(&mut command);
    let mut stderr = BufReader::new(running.child.stderr.take().expect("a pipe"));
    let mut said = String::new();
    stderr.read_line(&mut said).expect("messages are UTF-8");
    if said.contains("no permission to capture") {
        support::say(&format!("skipped: the live test needs the right to capture: {said}"));
        assert_eq!(running.finish().status, 77);
        return;
    }
    assert_eq!(said, "fluxtap: watching lo; stop with SIGINT or SIGTERM\n");
    let mut stdout = BufReader::new(running.child.stdout.take().expect("a pipe"));
    let addresses = access_addresses();
    for name in ["first-story.example", "second-story.example"] {
        for (n, set) in (0..STORY_RESPONSES).zip(addresses.chunks_exact(5)) {
            let message = support::response(n, name, 1 + u32::from(n), set);
            let to = receiver.local_addr().expect("an address");
            resolver.send_to(&message, to).expect("a network");
        }
        let alert = alert_of(name, &mut stdout);
        assert_eq!(alert["event"]["action"], "flux-new");
        assert_eq!(alert["observer"]["ingress"]["interface"]["name"], "lo");
    }
    running.signal(Signal::INT);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("alerts are UTF-8");
    stderr.read_to_string(&mut said).expect("messages are UTF-8");
    let run = running.finish();
    assert_eq!(run.status, 0, "{said}");
    for part in ["fluxtap: stopped after", "packets read", "responses", "first-story.example"] {
        assert!(said.contains(part), "got {said}, expected {part:?} in it");
    }
    let stats = support::read_stats(&stats, &run);
    let (sent, responses) = (u64::from(STORY_RESPONSES), number(&stats["dns_responses"]));
    assert!((sent + 1..=2 * sent).contains(&responses), "{stats}");
    assert!(number(&stats["capture"]["received"]) >= 2 * sent, "{stats}");
}

/// The next alert of a domain.
fn alert_of(domain: &str, stdout: &mut impl io::BufRead) -> Value {
    let alerts = stdout.lines().map(|line| {
        let line = line.expect("alerts are UTF-8");
        serde_json::from_str::<Value>(&line).expect("an alert")
    });
    let mut alerts = alerts.filter(|alert| alert["dns"]["question"]["registered_domain"] == domain);
    alerts.next().unwrap_or_else(|| panic!("got no alert of {domain}"))
}

/// Addresses of access networks that share no /16, from the demonstration's alerts.
fn access_addresses() -> Vec<Ipv4Addr> {
    let (run, _) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);
    let mut by_prefix = std::collections::BTreeMap::new();
    for alert in run.alerts() {
        for seen in alert["fluxtap"]["evidence"]["addresses"].as_array().expect("a list") {
            let ip = support::text(&seen["ip"]).parse::<Ipv4Addr>();
            if let (Ok(ip), "access") = (ip, support::text(&seen["class"]).as_str()) {
                by_prefix.insert([ip.octets()[0], ip.octets()[1]], ip);
            }
        }
    }
    assert!(by_prefix.len() >= 5 * usize::from(STORY_RESPONSES), "{} addresses", by_prefix.len());
    by_prefix.into_values().collect()
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
