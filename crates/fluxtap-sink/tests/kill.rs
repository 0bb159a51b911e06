//! Kill -9, of who delivers and of who receives, again and again: what was received is everything
//! that was emitted, and more only by copies with the same id.
//!
//! The test runs itself as the process to kill. Emitted counts what that process saw accepted, and
//! wrote to a file before it went on.

mod support;

use fluxtap_sink::{Dialect, FileOptions, Keep, SyslogTransport, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use support::{Fake, PATIENCE, Reply, http, ids, now, ok, open, record, sink, spool, syslog, wait};

/// Folder of the process that is killed; the addresses of its receivers.
const FOLDER: &str = "FLUXTAP_KILL_FOLDER";
const HTTP: &str = "FLUXTAP_KILL_HTTP";
const TCP: &str = "FLUXTAP_KILL_TCP";

/// How often who delivers is killed.
const ROUNDS: u64 = 14;

/// Lines that were received, with how often.
type Received = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

#[test]
fn nothing_that_was_emitted_is_lost() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        deliver(Path::new(&folder));
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let by_http = Received::default();
    let store = Arc::clone(&by_http);
    // It keeps what it got, and then as often as not says nothing of it.
    let fake = Fake::new(move |n, request| {
        keep(&store, &request.body);
        if n % 3 == 1 { Reply::Close } else { ok() }
    });
    let by_tcp = Received::default();
    let receiver = Receiver::start(Arc::clone(&by_tcp));
    let start = |rounds: &str| {
        Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "nothing_that_was_emitted_is_lost", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(HTTP, &fake.url)
            .env(TCP, receiver.address.to_string())
            .env("FLUXTAP_KILL_ENDS", rounds)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("runs")
    };
    for round in 0..ROUNDS {
        let mut child = start("never");
        // Long enough for the first to begin, and a different moment each time.
        await_growth(&folder.path().join("emitted"), &mut child);
        thread::sleep(Duration::from_millis(round * 37 % 211));
        if round % 3 == 0 {
            receiver.kill();
        }
        child.kill().expect("killed");
        child.wait().expect("gone");
    }
    let mut last = start("soon");
    let started = now();
    while last.try_wait().expect("a child").is_none() {
        assert!(now() - started < PATIENCE, "the last one does not end");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(last.wait().expect("gone").success());
    let text = fs::read_to_string(folder.path().join("emitted")).expect("there");
    let emitted: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    // One at least of each round, and those of the last.
    assert!(emitted.len() as u64 >= ROUNDS + 20, "got {} lines", emitted.len());
    let by_file = Received::default();
    keep_lines(&by_file, &fs::read(folder.path().join("alerts.jsonl")).expect("there"));
    for (name, received) in [("http", &by_http), ("tcp", &by_tcp), ("file", &by_file)] {
        let received = received.lock().expect("sound");
        for id in &emitted {
            assert!(received.contains_key(*id), "{name}: {id} was lost");
        }
        assert!(received.values().all(|lines| lines.len() == 1), "{name}: an id of two lines");
    }
}

/// What the process does until it is killed: pushes lines, and notes those that were accepted.
fn deliver(folder: &Path) {
    let of = |name: &str| std::env::var(name).expect("set");
    let file = FileOptions {
        path: folder.join("alerts.jsonl"),
        rotate_octets: None,
        rotate_age: None,
        rotate_keep: 0,
    };
    let sinks = [
        sink("file", Target::File(file)),
        sink("http", Target::Http(http(&of(HTTP), Dialect::Webhook))),
        syslog("tcp", SyslogTransport::Tcp(of(TCP))),
    ];
    let (delivery, _) = open(&sinks, &spool(folder));
    let delivery = delivery.expect("opens");
    let path = folder.join("emitted");
    let before = fs::read_to_string(&path).unwrap_or_default().lines().count();
    let mut emitted = OpenOptions::new().append(true).create(true).open(path).expect("a file");
    // Ids of another process must not come again.
    let run = format!("{}-{before}", std::process::id());
    let end = if of("FLUXTAP_KILL_ENDS") == "soon" { 20 } else { u64::MAX };
    for n in 0..end {
        let id = format!("{run}-{n}");
        delivery.push(record(&id, Keep::Always));
        wait(&delivery, "the spools", |_| {
            delivery.counts().iter().all(|counts| counts.accepted == n + 1)
        });
        // Should a killed one have left half a line, it ends here.
        let line = if n == 0 { format!("\n{id}\n") } else { format!("{id}\n") };
        emitted.write_all(line.as_bytes()).expect("written");
    }
    assert_eq!(delivery.drain(PATIENCE).left, []);
}

fn await_growth(path: &PathBuf, child: &mut Child) {
    let size = || fs::metadata(path).map_or(0, |found| found.len());
    let (before, started) = (size(), now());
    while size() == before {
        assert!(child.try_wait().expect("a child").is_none(), "it ended by itself");
        assert!(now() - started < PATIENCE, "nothing is emitted");
        thread::sleep(Duration::from_millis(2));
    }
}

fn keep(received: &Received, text: &str) {
    let mut received = received.lock().expect("sound");
    for line in text.lines() {
        let id = ids(line).swap_remove(0);
        received.entry(id).or_default().insert(line.to_owned());
    }
}

/// Lines of a file, which a kill may have cut, but not mixed.
fn keep_lines(received: &Received, bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        if line.ends_with('}') {
            keep(received, line);
        }
    }
}

/// A syslog receiver that can be killed: its connections break, and what it had not read is gone.
struct Receiver {
    address: SocketAddr,
    is_killed: Arc<AtomicBool>,
}

impl Receiver {
    fn start(received: Received) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let is_killed = Arc::new(AtomicBool::new(false));
        let killed = Arc::clone(&is_killed);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let wait = Some(Duration::from_millis(10));
                stream.set_read_timeout(wait).expect("set");
                let mut stream = BufReader::new(stream);
                // Messages are read one by one, so a kill leaves some in the socket.
                while !killed.swap(false, Ordering::Relaxed) {
                    match read_message(&mut stream) {
                        Ok(Some(line)) => keep(&received, &line),
                        Ok(None) => break,
                        Err(()) => {}
                    }
                }
            }
        });
        Self { address, is_killed }
    }

    fn kill(&self) {
        self.is_killed.store(true, Ordering::Relaxed);
    }
}

/// The text of the next message with its count of octets; nothing at the end, or no time yet.
fn read_message(stream: &mut BufReader<std::net::TcpStream>) -> Result<Option<String>, ()> {
    match stream.fill_buf() {
        Ok([]) => return Ok(None),
        Ok(_) => {}
        Err(_) => return Err(()),
    }
    let mut count = Vec::new();
    if stream.read_until(b' ', &mut count).is_err() {
        return Ok(None);
    }
    let count = String::from_utf8_lossy(&count).trim().parse().unwrap_or(0);
    let mut message = vec![0; count];
    if stream.read_exact(&mut message).is_err() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&message).into_owned();
    let at = text.find("] {").map_or(0, |at| at + 2);
    Ok(Some(text[at..].to_owned()))
}
