//! Cables, senders, recorders and daemons of the live tests.

use crate::support::{self, Run, Running};
use fluxtap_capture::{Batch, LiveGroup, LiveOptions, Source as _};
use fluxtap_wire::{LinkType, Timestamp};
use pcap::{Active, Capture};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where each daemon serves; there is one at a time, alone in its namespace.
pub(crate) const METRICS: &str = "127.0.0.1:9353";

/// What has not happened within this will not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Hands each packet of a capture to `visit`.
pub(crate) fn for_each_packet(capture: &Path, mut visit: impl FnMut(&[u8])) {
    let bytes = fs::read(capture).expect("the capture");
    support::read(&bytes, |packet| match packet.link {
        LinkType::ETHERNET => visit(packet.bytes),
        LinkType::IPV4 => visit(&[&[0; 12][..], &[8, 0], packet.bytes].concat()),
        other => panic!("got link type {other:?}, expected one that goes over a cable"),
    });
}

pub(crate) fn packets(capture: &Path) -> u64 {
    let mut packets = 0;
    for_each_packet(capture, |_| packets += 1);
    packets
}

/// Two interfaces with a cable between them, gone with the value.
pub(crate) struct Pair {
    near: &'static str,
    far: &'static str,
}

impl Pair {
    pub(crate) fn new(near: &'static str, far: &'static str) -> Self {
        ip(&["link", "add", "name", near, "type", "veth", "peer", "name", far]);
        let pair = Self { near, far };
        for end in [near, far] {
            // Nothing of its own accord: neighbours are looked for over IPv6.
            let quiet = format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6");
            let _ = fs::write(quiet, "1");
            ip(&["link", "set", end, "up", "mtu", "9000"]);
        }
        pair
    }

    pub(crate) fn set(&self, state: &str) {
        ip(&["link", "set", self.near, state]);
    }

    pub(crate) fn sender(&self) -> Capture<Active> {
        let capture = Capture::from_device(self.far).expect("an interface");
        capture.open().expect("the right to send")
    }

    pub(crate) fn send_one(&self, bytes: &[u8]) {
        thread_local! {
            static SENDERS: std::cell::RefCell<Vec<(&'static str, Capture<Active>)>> =
                const { std::cell::RefCell::new(Vec::new()) };
        }
        SENDERS.with_borrow_mut(|senders| {
            if !senders.iter().any(|(far, _)| *far == self.far) {
                senders.push((self.far, self.sender()));
            }
            let (_, sender) = senders.iter_mut().find(|(far, _)| *far == self.far).expect("one");
            sender.sendpacket(bytes).expect("a cable");
        });
    }

    /// Sends a capture's packets, at most so many in a second.
    pub(crate) fn send(&self, capture: &Path, per_second: u32) {
        let mut sender = self.sender();
        let (began, mut sent) = (now(), 0);
        for_each_packet(capture, |bytes| {
            sender.sendpacket(bytes).expect("a cable");
            sent += 1;
            let due = Duration::from_secs(1) * sent / per_second;
            thread::sleep(due.saturating_sub(began.elapsed()));
        });
    }

    /// Sends the demonstration again and again, about 40,000 packets in a second.
    pub(crate) fn load(&self) -> Load {
        let mut sender = self.sender();
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                for_each_packet(&support::demo(), |bytes| {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    sender.sendpacket(bytes).expect("a cable");
                    sent += 1;
                    if sent % 40 == 0 {
                        thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            sent
        });
        Load { stop, thread }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", self.near]).status();
    }
}

/// Packets that are sent beside everything else.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<u64>,
}

impl Load {
    /// How many were sent.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sender does not fail")
    }
}

pub(crate) fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("iproute2 is there");
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[expect(clippy::disallowed_methods, reason = "waits for a daemon")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the recorder has to tell its source the time")]
pub(crate) fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    Timestamp(since.as_nanos() as u64)
}

/// Records what arrives at an interface.
pub(crate) struct Recorder {
    stop: fluxtap_capture::StopHandle,
    thread: thread::JoinHandle<()>,
    path: PathBuf,
}

impl Recorder {
    pub(crate) fn start(interface: &str, path: PathBuf) -> Self {
        let interfaces = [interface.to_owned()];
        let mut source = LiveGroup::open(&interfaces, LiveOptions::default(), wall_clock)
            .expect("the right to capture");
        let stop = source.stop_handle();
        let mut file = fs::File::create(&path).expect("a folder");
        let thread = thread::spawn(move || {
            // The head of a capture with times in nanoseconds, of Ethernet.
            let head: [u32; 6] = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 65_535, 1];
            let mut bytes: Vec<u8> = head.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let mut keep = |packet: fluxtap_wire::Packet<'_>| {
                let at = packet.at;
                let nanoseconds = (at.0 % Timestamp::SECOND) as u32;
                let len = packet.bytes.len() as u32;
                for word in [at.secs() as u32, nanoseconds, len, packet.wire_len] {
                    bytes.extend_from_slice(&word.to_ne_bytes());
                }
                bytes.extend_from_slice(packet.bytes);
            };
            while source.next_batch(&mut keep).expect("a working interface") != Batch::End {}
            file.write_all(&bytes).expect("room");
        });
        Self { stop, thread, path }
    }

    pub(crate) fn stop(self) -> PathBuf {
        self.stop.stop();
        self.thread.join().expect("the recorder does not fail");
        self.path
    }
}

/// A daemon that runs.
pub(crate) struct Daemon {
    running: Running,
    folder: tempfile::TempDir,
    said: PathBuf,
}

impl Daemon {
    /// Starts `fluxtap run` and waits until it captures.
    pub(crate) fn start(args: &[&str], config: &str) -> Self {
        let folder = open_folder();
        let path = support::write(&folder, "config.toml", config.as_bytes());
        let said = folder.path().join("said");
        let mut command = support::program();
        command.arg("run").args(args).args(["--metrics", METRICS, "--log-format", "text"]);
        command.arg("--config").arg(path).arg("--stats").arg(folder.path().join("stats.json"));
        command.stdout(fs::File::create(folder.path().join("lines")).expect("a file"));
        command.stderr(fs::File::create(&said).expect("a file"));
        let mut daemon = Self { running: Running::spawn(&mut command), folder, said };
        daemon.until("it captures", |daemon| {
            assert_eq!(
                daemon.running.child.try_wait().expect("a process"),
                None,
                "{}",
                daemon.said()
            );
            TcpStream::connect(METRICS).is_ok() && daemon.get("/healthz").0 == 200
        });
        daemon
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.child.id()
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).expect("text")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Writes its configuration anew.
    pub(crate) fn write(&self, config: &str) {
        support::write(&self.folder, "config.toml", config.as_bytes());
    }

    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let began = now();
        while !is_so(self) {
            assert!(began.elapsed() < PATIENCE, "waited in vain until {what}: {}", self.said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Status and body of a page.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(METRICS).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        let status = answer.get(9..12).and_then(|status| status.parse().ok());
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        (status.expect("a status"), body.to_owned())
    }

    /// A metric by its name with labels.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok())
    }

    /// Waits until a metric has a value; where that is a number of packets, or more.
    pub(crate) fn wait_for(&self, name: &str, value: u64) {
        let began = now();
        loop {
            let got = self.metric(name);
            let is_counter = name.contains("_total");
            let is_so =
                |got: f64| if is_counter { got >= value as f64 } else { got == value as f64 };
            if got.is_some_and(is_so) {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{name} is {got:?}, expected {value}: {}",
                self.said()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until it is not ready for a reason.
    pub(crate) fn wait_for_ready(&self, code: &str) {
        let name = format!("fluxtap_degraded{{reason=\"{code}\"}}");
        self.wait_for(&name, 1);
        let (status, body) = self.get("/readyz");
        assert!(status == 503 && body.contains(code), "{status}: {body}");
    }

    pub(crate) fn wait_for_said(&self, part: &str) {
        let began = now();
        while !self.said().contains(part) {
            assert!(began.elapsed() < PATIENCE, "it did not say {part:?}: {}", self.said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it has written to standard output up to now; a line that is being written is left out.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("lines")).expect("lines");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for a line of a kind.
    pub(crate) fn wait_for_line(&self, kind: &str) {
        let began = now();
        while !self.lines().iter().any(|line| line["fluxtap"]["flux"]["kind"] == kind) {
            assert!(began.elapsed() < PATIENCE, "no line of kind {kind}: {}", self.said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it without a chance to do anything.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.running.child.wait().expect("an end");
    }

    /// Stops it, which has to go well; gives what it wrote, and its counters.
    pub(crate) fn stop(self, signal: Signal) -> (Run, Value) {
        self.signal(signal);
        let run = self.running.finish();
        let stderr = fs::read_to_string(&self.said).expect("text");
        let stdout = fs::read(self.folder.path().join("lines")).expect("lines");
        let run = Run { status: run.status, stdout, stderr };
        assert_eq!(run.status, 0, "{}", run.stderr);
        let stats = support::read_stats(&self.folder.path().join("stats.json"), &run);
        (run, stats)
    }
}

/// A small file system in memory, gone with the value.
pub(crate) struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    pub(crate) fn new(bytes: u64) -> Self {
        let folder = support::folder();
        let size = format!("size={bytes},mode=0777");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path());
        assert!(command.status().expect("mount is there").success(), "no tmpfs");
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the room; gives the file that does.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = fs::File::create(&path).expect("room for a file");
        for bytes in [65_536, 4_096, 1] {
            while file.write_all(&vec![0; bytes]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// An HTTP receiver that says yes to everything, one request a connection.
pub(crate) struct Receiver {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<usize>,
}

impl Receiver {
    pub(crate) fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut lines = 0;
            while !is_over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => lines += take_request(stream),
                    Err(_) => thread::sleep(Duration::from_millis(10)),
                }
            }
            lines
        });
        Self { stop, thread }
    }

    /// How many lines came.
    pub(crate) fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the receiver does not fail")
    }
}

/// Reads a request to its end and says yes; how many lines it had.
fn take_request(stream: TcpStream) -> usize {
    stream.set_nonblocking(false).expect("a socket");
    let mut reader = BufReader::new(&stream);
    let mut octets = 0;
    loop {
        let mut line = String::new();
        // A connection that is only a look whether anybody is there has no request.
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return 0;
        }
        let line = line.to_ascii_lowercase();
        if let Some(length) = line.strip_prefix("content-length:") {
            octets = length.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; octets];
    reader.read_exact(&mut body).expect("the body");
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    (&stream).write_all(answer.as_bytes()).expect("somebody listens");
    body.iter().filter(|&&byte| byte == b'\n').count()
}

/// A folder that a daemon that became another user may write to.
pub(crate) fn open_folder() -> tempfile::TempDir {
    let folder = support::folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("our folder");
    folder
}

/// What an alert says that two captures of the same packets must agree in. The kernel stamps each
/// packet once for each capture, some microseconds apart, so a second may begin between the two.
pub(crate) fn said(alert: &Value) -> [String; 4] {
    let text = |pointer: &str| alert.pointer(pointer).expect(pointer).to_string();
    [
        text("/dns/question/registered_domain"),
        text("/event/action"),
        text("/fluxtap/flux/kind"),
        text("/fluxtap/flux/severity"),
    ]
}

/// All lines of a run.
pub(crate) fn lines(run: &Run) -> Vec<Value> {
    let text = str::from_utf8(&run.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The lines of a run about the sensor itself.
pub(crate) fn health_lines(run: &Run) -> Vec<Value> {
    let is_health = |line: &Value| line["event"]["dataset"] == "fluxtap.health";
    lines(run).into_iter().filter(is_health).collect()
}
