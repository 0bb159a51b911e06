//! What the tests of the program share: running it, checking what must hold for every run, and
//! hand-made captures.
#![allow(dead_code, unused_imports, reason = "every test program uses another part of it")]

mod corpus;

pub(crate) use corpus::{all_files, corpus, files, say, table, workspace};
use fluxtap_capture::{CaptureReader, Ending, Next};
use fluxtap_wire::{LinkType, Packet};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// What takes longer hangs. Far beyond what the slowest machine needs.
const HANG_LIMIT: Duration = Duration::from_secs(120);

/// Link type of raw IP, the simplest for hand-made packets.
pub(crate) const RAW: u32 = 101;

/// What became of a run.
pub(crate) struct Run {
    /// Exit status.
    pub(crate) status: i32,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Run {
    /// The alerts on standard output, on which there must be nothing else.
    pub(crate) fn alerts(&self) -> Vec<Value> {
        let text = str::from_utf8(&self.stdout).expect("alerts are UTF-8");
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
        text.lines()
            .map(|line| match serde_json::from_str::<Value>(line) {
                Ok(alert) if alert["event"]["kind"] == "alert" => alert,
                other => panic!("got {other:?} on standard output, expected an alert: {line}"),
            })
            .collect()
    }

    /// What was said about each domain, by its name.
    pub(crate) fn findings(&self) -> BTreeMap<String, Finding> {
        let mut findings = BTreeMap::<String, Finding>::new();
        for alert in self.alerts() {
            let domain = text(&alert["dns"]["question"]["registered_domain"]);
            let finding = findings.entry(domain).or_default();
            finding.severity = finding.severity.max(number(&alert["event"]["severity"]));
            finding.kind = text(&alert["fluxtap"]["flux"]["kind"]);
        }
        findings
    }

    /// The domains that alerted at medium or high.
    pub(crate) fn loud_domains(&self) -> Vec<String> {
        let findings = self.findings().into_iter();
        findings.filter(|(_, finding)| finding.is_loud()).map(|(domain, _)| domain).collect()
    }

    /// Fails unless standard error has each of these.
    pub(crate) fn assert_said(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.stderr.contains(part), "got {}, expected {part:?} in it", self.stderr);
        }
    }
}

/// What was said about one domain.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    /// The highest severity: 1 low, 2 medium, 3 high.
    pub(crate) severity: u64,
    /// The kind that was named last.
    pub(crate) kind: String,
}

impl Finding {
    /// Medium or high.
    pub(crate) fn is_loud(&self) -> bool {
        self.severity >= 2
    }
}

/// The program, with nothing on standard input and everything it says kept.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluxtap"));
    // Not with the settings of the machine the tests run on.
    command.env("FLUXTAP_CONFIG", "/dev/null").env_remove("NO_COLOR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
pub(crate) fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    Running::spawn(program().args(args)).finish()
}

/// Runs `fluxtap replay` on files and checks the laws. Gives the counters with the run.
pub(crate) fn replay<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> (Run, Value) {
    replay_by(program().arg("replay").args(args), None)
}

/// Runs `fluxtap replay` with a capture on standard input and checks the laws.
pub(crate) fn replay_stdin(args: &[&str], capture: &[u8]) -> (Run, Value) {
    replay_by(program().arg("replay").args(args).stdin(Stdio::piped()), Some(capture))
}

/// Runs a command that ends in arguments of `fluxtap replay` and checks what holds for each run:
/// both laws, and as many lines as alerts, and words about those held back, were counted. Lines, so not for `--format text`.
pub(crate) fn replay_by(command: &mut Command, stdin: Option<&[u8]>) -> (Run, Value) {
    let folder = folder();
    let stats = folder.path().join("stats.json");
    let mut running = Running::spawn(command.arg("--stats").arg(&stats));
    if let Some(capture) = stdin {
        running.feed(capture);
    }
    let run = running.finish();
    let stats = read_stats(&stats, &run);
    let lines = run.stdout.iter().filter(|byte| **byte == b'\n').count();
    let told = number(&stats["alerts"]) + number(&stats["alerts_held_back"]["summaries"]);
    assert_eq!(told, lines as u64, "{}", run.stderr);
    (run, stats)
}

/// Reads the counters of a run and checks both laws.
pub(crate) fn read_stats(path: &Path, run: &Run) -> Value {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|e| panic!("no counters ({e}), status {}: {}", run.status, run.stderr));
    let stats = serde_json::from_str(&text).expect("the counters are JSON");
    assert_conserved(&stats);
    stats
}

/// Both laws of conservation, and that nothing is kept back at the end.
pub(crate) fn assert_conserved(stats: &Value) {
    let of = |key: &str| number(&stats[key]);
    assert_eq!(sum(&stats["packets_by_end"]), of("packets"), "{stats}");
    assert_eq!(sum(&stats["messages_by_end"]), of("dns_messages"), "{stats}");
    assert_eq!(of("dns_queries") + of("dns_responses"), of("dns_messages"), "{stats}");
    assert_eq!(sum(&stats["messages_by_source"]), of("dns_messages"), "{stats}");
    let sources = &stats["messages_by_source"];
    assert_eq!(stats["packets_by_end"]["dns_message"], sources["datagram"], "{stats}");
    let fragmented = &stats["fragmented"];
    assert_eq!(fragmented["by_end"]["dns_message"], sources["fragments"], "{stats}");
    let part = |of: &Value, keys: &[&str]| keys.iter().map(|key| number(&of[key])).sum::<u64>();
    let whole = part(fragmented, &["whole", "cut"]);
    assert_eq!(whole, sum(&fragmented["by_end"]), "{stats}");
    let lost = ["not_dns", "expired", "evicted", "refused", "held"];
    assert_eq!(number(&fragmented["begun"]), whole + part(fragmented, &lost), "{stats}");
    let streams = &stats["tcp_streams"];
    let closed = part(streams, &["ended", "expired", "evicted", "unread"]);
    assert_eq!((number(&streams["begun"]), number(&streams["held"])), (closed, 0), "{stats}");
    assert_eq!(stats["is_conserved"], true, "{stats}");
    assert_eq!(stats["messages_by_end"]["held"], 0, "{stats}");
    let files = stats["files"].as_array().expect("a list of files");
    if !files.is_empty() {
        let listed = files.iter().map(|file| number(&file["packets"])).sum::<u64>();
        let read = listed + number(&stats["files_unlisted"]["packets"]);
        assert_eq!(read, of("packets"), "every packet of every file is counted: {stats}");
    }
    let is_malformed = |key: &String| key.starts_with("malformed");
    let malformed = ["packets_by_end", "messages_by_end"]
        .iter()
        .flat_map(|law| stats[law].as_object().expect("an object"))
        .filter(|(key, _)| is_malformed(key))
        .map(|(_, count)| number(count));
    assert_eq!(malformed.sum::<u64>(), of("malformed"), "{stats}");
    for key in ["domains_tracked", "alerts"] {
        of(key);
    }
}

/// The sum of an object's numbers.
pub(crate) fn sum(counters: &Value) -> u64 {
    counters.as_object().expect("an object of counters").values().map(number).sum()
}

/// A counter.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("got {value}, expected a counter"))
}

/// A text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("got {value}, expected a text")).to_owned()
}

/// A program that runs, and is killed when it hangs or nobody waits for it any more.
pub(crate) struct Running {
    /// The process; its pipes may be taken.
    pub(crate) child: Child,
    /// Tells the watchdog that the process has ended.
    ended: mpsc::Sender<()>,
    watchdog: thread::JoinHandle<bool>,
    feeder: Option<thread::JoinHandle<()>>,
}

impl Running {
    /// Starts it.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::try_spawn(command).unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    /// Starts it where that may not be allowed.
    pub(crate) fn try_spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let (ended, end) = mpsc::channel();
        let watchdog = thread::spawn(move || {
            let hangs = end.recv_timeout(HANG_LIMIT).is_err();
            if hangs {
                // Its process may have ended in this moment.
                let _ = kill_process(pid, Signal::KILL);
            }
            hangs
        });
        Ok(Self { child, ended, watchdog, feeder: None })
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Its standard input.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("standard input is a pipe")
    }

    /// Writes to its standard input beside everything else, then closes it.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut stdin = self.stdin();
        let bytes = bytes.to_vec();
        self.feeder = Some(thread::spawn(move || {
            // A program that ends early closes its end; what it made of that shows in the run.
            let _ = stdin.write_all(&bytes);
        }));
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Run {
        let output = self.child.wait_with_output().expect("its output can be read");
        let _ = self.ended.send(());
        let hung = self.watchdog.join().expect("the watchdog does not fail");
        let stderr = String::from_utf8(output.stderr).expect("messages are UTF-8");
        assert!(!hung, "it hung for {HANG_LIMIT:?} and was killed; it said: {stderr}");
        if let Some(feeder) = self.feeder {
            feeder.join().expect("the feeder does not fail");
        }
        let status = output.status.code();
        let status = status.unwrap_or_else(|| panic!("{}: {stderr}", output.status));
        Run { status, stdout: output.stdout, stderr: without_age(&stderr) }
    }
}

/// What was said but for the age of the embedded table: that warning comes with the years.
fn without_age(stderr: &str) -> String {
    let is_age =
        |line: &&str| line.starts_with("fluxtap: warning: the embedded address table is of");
    stderr.split_inclusive('\n').filter(|line| !is_age(line)).collect()
}

/// Does work that could hang, in a thread of its own.
pub(crate) fn within_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let worker = thread::spawn(move || done.send(work()));
    match result.recv_timeout(HANG_LIMIT) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("got no end within {HANG_LIMIT:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(worker.join().expect_err("it ended without a result"))
        }
    }
}

/// A folder that goes away with the value.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A file in a folder.
pub(crate) fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a writable folder");
    path
}

/// The same bytes in each compression, with the suffix of their files.
pub(crate) fn packed(bytes: &[u8]) -> [(&'static str, Vec<u8>); 4] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).expect("memory");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    xz.write_all(bytes).expect("memory");
    let mut lz4 = lz4::EncoderBuilder::new().build(Vec::new()).expect("memory");
    lz4.write_all(bytes).expect("memory");
    let (lz4, ended) = lz4.finish();
    ended.expect("memory");
    [
        ("gz", gzip.finish().expect("memory")),
        ("zst", zstd::encode_all(bytes, 1).expect("memory")),
        ("xz", xz.finish().expect("memory")),
        ("lz4", lz4),
    ]
}

/// The demonstration capture.
pub(crate) fn demo() -> PathBuf {
    workspace().join("pcaps/demo/demo.pcap")
}

/// What a capture's bytes hold.
pub(crate) struct ReadCapture {
    pub(crate) ending: Ending,
    pub(crate) packets: u64,
    pub(crate) packets_skipped: u64,
    pub(crate) gaps: u64,
    pub(crate) links: Vec<LinkType>,
}

/// Reads a capture that lies in memory.
pub(crate) fn read(capture: &[u8], mut visit: impl FnMut(Packet<'_>)) -> ReadCapture {
    let mut reader = CaptureReader::new(capture);
    let (mut packets, mut links) = (0, Vec::new());
    loop {
        match reader.next().expect("reading memory does not fail") {
            Next::Packet(packet) => {
                packets += 1;
                if links.last() != Some(&packet.link) {
                    links.push(packet.link);
                }
                visit(packet);
            }
            Next::End(ending) => {
                let packets_skipped = reader.packets_skipped();
                let gaps = reader.gaps().count;
                return ReadCapture { ending, packets, packets_skipped, gaps, links };
            }
        }
    }
}

/// Octets of a classic capture's file header.
pub(crate) const FILE_HEADER_OCTETS: usize = 24;

/// Octets of a record's header in it.
const RECORD_HEADER_OCTETS: usize = 16;

/// A record of a classic little-endian capture: where it is and when it was captured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// Offset of its header.
    pub(crate) start: usize,
    /// Offset behind its last byte.
    pub(crate) end: usize,
    /// Microseconds since the epoch.
    pub(crate) at_us: u64,
}

/// The records of a classic little-endian capture with microseconds, as the demonstration is one.
pub(crate) fn records(capture: &[u8]) -> Vec<Record> {
    assert_eq!(capture[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "a capture of that form");
    let word = |at: usize| {
        u32::from_le_bytes(capture[at..at + 4].try_into().expect("four bytes of a whole record"))
    };
    let mut records = Vec::new();
    let mut start = FILE_HEADER_OCTETS;
    while start < capture.len() {
        let end = start + RECORD_HEADER_OCTETS + word(start + 8) as usize;
        let at_us = u64::from(word(start)) * 1_000_000 + u64::from(word(start + 4));
        records.push(Record { start, end, at_us });
        start = end;
    }
    records
}

/// A classic capture of packets at these microseconds.
pub(crate) fn capture(link: u32, packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let header = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link];
    let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
    for (at_us, packet) in packets {
        let len = packet.len() as u32;
        let words = [(at_us / 1_000_000) as u32, (at_us % 1_000_000) as u32, len, len];
        bytes.extend(words.into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(packet);
    }
    bytes
}

/// A DNS response from a cache: the addresses of a name.
pub(crate) fn response(id: u16, name: &str, ttl_s: u32, addresses: &[Ipv4Addr]) -> Vec<u8> {
    let mut message = Vec::new();
    for word in [id, 0x8180, 1, addresses.len() as u16, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    for address in addresses {
        message.extend([0xc0, 12, 0, 1, 0, 1]);
        message.extend(ttl_s.to_be_bytes());
        message.extend([0, 4]);
        message.extend(address.octets());
    }
    message
}

/// An IPv4 packet with a UDP datagram from port 53; checksums are 0, as sending hosts leave them.
pub(crate) fn datagram(payload: &[u8]) -> Vec<u8> {
    let udp_len = payload.len() as u16 + 8;
    let mut packet = vec![0x45, 0];
    packet.extend((udp_len + 20).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 53, 192, 0, 2, 1]);
    for word in [53, 40_000, udp_len, 0] {
        packet.extend(word.to_be_bytes());
    }
    packet.extend(payload);
    packet
}

/// A capture of so many responses for a name with one address, one a second from `from_s` on.
pub(crate) fn quiet_capture(from_s: u64, responses: u16) -> Vec<u8> {
    let packets: Vec<_> = (0..responses)
        .map(|n| {
            let message = response(n, "www.site.example", 300, &[Ipv4Addr::new(78, 21, 82, 128)]);
            ((from_s + u64::from(n)) * 1_000_000, datagram(&message))
        })
        .collect();
    capture(RAW, &packets)
}
