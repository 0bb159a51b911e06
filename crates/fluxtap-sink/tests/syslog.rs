//! Syslog receivers: rsyslog, where it is installed, over all its inputs, and such that break.

mod support;

use fluxtap_sink::{Delivery, Keep, OpenError, SinkOptions, SyslogTransport, TlsOptions};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use support::{
    Authority, PATIENCE, check_law, ids, now, open, padded, record, spool, syslog, wait,
};

const DRAIN: Duration = Duration::from_secs(20);

/// A port that nobody has.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

fn open_one(sink: SinkOptions, folder: &Path) -> Delivery {
    open(&[sink], &spool(folder)).0.expect("opens")
}

/// Whether rsyslog is there and may run with a configuration of ours; if not, says so.
fn has_rsyslog(test: &str) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rsyslog.conf");
    let text = format!(
        "module(load=\"mmjsonparse\")\naction(type=\"omfile\" file=\"{}\")\n",
        folder.path().join("out").display()
    );
    fs::write(&path, text).expect("written");
    match Command::new("rsyslogd").args(["-N1", "-f"]).arg(&path).output() {
        Ok(done) if done.status.success() => return true,
        Ok(done) => {
            skip(test, &format!("rsyslogd cannot run: {}", String::from_utf8_lossy(&done.stderr)))
        }
        Err(_) => skip(test, "got no rsyslogd, expected one to deliver to; install rsyslog"),
    }
    false
}

/// Says that a test is left out, where the test harness does not hide it.
fn skip(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// A rsyslog of the test's own, that writes what it made of the JSON of each message to `out`.
struct Rsyslog {
    child: Child,
    configuration: PathBuf,
    out: PathBuf,
}

impl Rsyslog {
    /// Starts one with an input, given as the lines of its configuration.
    fn start(folder: &Path, input: &str) -> Self {
        let out = folder.join("received");
        let configuration = folder.join("rsyslog.conf");
        let text = format!(
            r#"global(workDirectory="{}")
module(load="mmjsonparse")
template(name="parsed" type="string"
         string="%$.parsesuccess%\t%$!id%\t%syslogfacility-text%.%syslogseverity-text%\t%structured-data%\t%msg%\n")
ruleset(name="r") {{
  action(type="mmjsonparse" cookie="")
  set $.parsesuccess = $parsesuccess;
  action(type="omfile" file="{}" template="parsed" flushInterval="1" asyncWriting="off")
}}
{input}
"#,
            folder.display(),
            out.display()
        );
        fs::write(&configuration, text).expect("written");
        let child = Self::spawn(&configuration);
        Self { child, configuration, out }
    }

    fn spawn(configuration: &Path) -> Child {
        Command::new("rsyslogd")
            .args(["-n", "-i", "NONE", "-f"])
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rsyslogd starts")
    }

    /// Killed without a chance to write anything, and started again.
    fn kill_and_start(&mut self) {
        self.kill();
        self.child = Self::spawn(&self.configuration);
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// The lines it wrote, once they are so many that something holds, or time is up.
    fn wait(&self, holds: impl Fn(&[Line]) -> bool) -> Vec<Line> {
        let started = now();
        loop {
            let text = fs::read_to_string(&self.out).unwrap_or_default();
            // What is being written is not read yet, and what one that was killed left unfinished
            // stands in front of the next line.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let unbroken = |line: &'_ str| line.rfind("OK\t").unwrap_or(0);
            let lines: Vec<Line> =
                whole.lines().map(|line| Line::parse(&line[unbroken(line)..])).collect();
            if holds(&lines) {
                return lines;
            }
            assert!(now() - started < PATIENCE, "got {} lines:\n{text}", lines.len());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What rsyslog made of a message.
struct Line {
    is_json: bool,
    id: String,
    priority: String,
    data: String,
    text: String,
}

impl Line {
    fn parse(line: &str) -> Self {
        let parts: Vec<&str> = line.splitn(5, '\t').collect();
        assert_eq!(parts.len(), 5, "{line}");
        let part = |n: usize| parts[n].to_owned();
        let (id, priority, data) = (part(1), part(2), part(3));
        Self { is_json: parts[0] == "OK", id, priority, data, text: part(4).trim().to_owned() }
    }
}

/// Sends 40 records of up to 6 kB, and holds what rsyslog parsed against them.
fn reaches_rsyslog(input: &str, folder: &Path, transport: SyslogTransport) {
    let rsyslog = Rsyslog::start(folder, input);
    let delivery = open_one(syslog("s", transport), folder);
    for n in 0..40 {
        delivery.push(padded(&format!("e{n}"), Keep::Always, n * 150));
        // UDP has no second try, and its receiver needs a moment to read.
        thread::sleep(Duration::from_millis(2));
    }
    wait(&delivery, "sending", |counts| counts.accepted == 40);
    assert_eq!(delivery.drain(DRAIN).left, []);
    let is_there = |lines: &[Line], n: usize| lines.iter().any(|line| line.id == format!("e{n}"));
    let lines = rsyslog.wait(|lines| (0..40).all(|n| is_there(lines, n)));
    for line in &lines {
        assert!(line.is_json, "rsyslog could not parse {}", line.text);
        assert_eq!(line.priority, "local0.crit");
        let data = format!(
            "[fluxtap@32473 id=\"{}\" domain=\"flux.example\" kind=\"single_flux\"]",
            line.id
        );
        assert_eq!(line.data, data);
        let n: usize = line.id[1..].parse().expect("a number");
        assert_eq!(line.text.len(), line.id.len() + 18 + n * 150, "cut: {}", line.text);
        assert_eq!(ids(&line.text), std::slice::from_ref(&line.id), "the JSON is whole");
    }
}

/// Waits until somebody accepts connections.
fn await_port(port: u16) {
    let started = now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(now() - started < PATIENCE, "nobody listens on {port}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn rsyslog_over_udp() {
    if !has_rsyslog("rsyslog_over_udp") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let port = port();
    let input = format!(
        "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"r\")"
    );
    // A refusal is noticed and the lines sent again, so it need not be up.
    reaches_rsyslog(&input, folder.path(), SyslogTransport::Udp(format!("127.0.0.1:{port}")));
}

#[test]
fn rsyslog_over_tcp() {
    if !has_rsyslog("rsyslog_over_tcp") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let port = port();
    let input = format!(
        "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"r\")"
    );
    reaches_rsyslog(&input, folder.path(), SyslogTransport::Tcp(format!("127.0.0.1:{port}")));
}

#[test]
fn rsyslog_over_a_unix_socket() {
    if !has_rsyslog("rsyslog_over_a_unix_socket") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("log");
    let input = format!(
        "module(load=\"imuxsock\" sysSock.use=\"off\")\n\
         input(type=\"imuxsock\" socket=\"{}\" createPath=\"on\" useSpecialParser=\"off\" \
         parseHostname=\"on\" ruleset=\"r\" rateLimit.interval=\"0\")",
        socket.display()
    );
    reaches_rsyslog(&input, folder.path(), SyslogTransport::Unix(socket));
}

#[test]
fn rsyslog_over_tls() {
    if !has_rsyslog("rsyslog_over_tls") {
        return;
    }
    let Some(driver) = ["gtls", "ossl"].into_iter().find(|name| has_driver(name)) else {
        let why = "got no TLS driver, expected one; install rsyslog-gnutls or rsyslog-openssl";
        skip("rsyslog_over_tls", why);
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "ca");
    let (certificate, key) = authority.sign("rsyslog", "localhost", false);
    let client = authority.sign("client", "sensor", false);
    let port = port();
    let ca = folder.path().join("ca.pem");
    let input = format!(
        "global(defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" \
         defaultNetstreamDriverKeyFile=\"{}\")\n\
         module(load=\"imtcp\" streamDriver.name=\"{driver}\" streamDriver.mode=\"1\" \
         streamDriver.authMode=\"x509/certvalid\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"r\")",
        ca.display(),
        certificate.display(),
        key.display()
    );
    let tls = TlsOptions { ca_file: Some(ca), identity: Some(client) };
    reaches_rsyslog(&input, folder.path(), SyslogTransport::Tls(format!("localhost:{port}"), tls));
}

/// Whether rsyslog has a driver for TLS.
fn has_driver(name: &str) -> bool {
    let folders = ["/usr/lib/rsyslog", "/usr/lib64/rsyslog", "/lib64/rsyslog"];
    let multiarch = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let multiarch = multiarch.map(|entry| entry.path().join("rsyslog"));
    let mut all = folders.iter().map(PathBuf::from).chain(multiarch);
    all.any(|folder| folder.join(format!("lmnsd_{name}.so")).exists())
}

/// Rsyslog is killed again and again: everything arrives, some of it more than once.
#[test]
fn a_killed_rsyslog_costs_copies_alone() {
    if !has_rsyslog("a_killed_rsyslog_costs_copies_alone") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let port = port();
    let input = format!(
        "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"r\")"
    );
    let mut rsyslog = Rsyslog::start(folder.path(), &input);
    let transport = SyslogTransport::Tcp(format!("127.0.0.1:{port}"));
    let delivery = open_one(syslog("s", transport), folder.path());
    let mut sent = 0;
    for round in 0..8 {
        await_port(port);
        for _ in 0..100 + round * 37 {
            delivery.push(record(&format!("e{sent}"), Keep::Always));
            sent += 1;
        }
        thread::sleep(Duration::from_millis(40 + round * 30));
        rsyslog.kill_and_start();
    }
    await_port(port);
    wait(&delivery, "the spool", |counts| counts.accepted == sent);
    delivery.reopen();
    let count = |lines: &[Line]| {
        let mut by_id: BTreeMap<String, u64> = BTreeMap::new();
        for line in lines {
            *by_id.entry(line.id.clone()).or_default() += 1;
        }
        by_id
    };
    let lines = rsyslog.wait(|lines| count(lines).len() as u64 == sent);
    assert!(lines.iter().all(|line| line.is_json && ids(&line.text) == [line.id.clone()]));
    assert_eq!(delivery.drain(DRAIN).left, []);
    let counts = count(&lines);
    assert!((0..sent).all(|n| counts.contains_key(&format!("e{n}"))));
}

/// A receiver takes the connection and what is written, and dies: the lines go to the next one.
#[test]
fn lines_of_a_broken_connection_are_sent_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let delivery = open_one(syslog("s", SyslogTransport::Tcp(address)), folder.path());
    delivery.push(record("a", Keep::Always));
    let (mut first, _) = listener.accept().expect("a connection");
    let mut bytes = [0; 64];
    let read = first.read(&mut bytes).expect("bytes");
    let front = String::from_utf8_lossy(&bytes[..read]).into_owned();
    let (length, message) = front.split_once(' ').expect("a count of octets");
    assert!(length.parse::<usize>().expect("a number") > 200, "{front}");
    assert!(message.starts_with("<130>1 2023-11-14T22:13:20.123Z tap fluxtap "), "{front}");
    wait(&delivery, "sending", |counts| counts.accepted == 1);
    assert_eq!(delivery.counts()[0].delivered, 0, "written is not delivered");
    drop(first);
    let (mut second, _) = listener.accept().expect("another connection");
    let counts = wait(&delivery, "a second try", |counts| counts.retried == 1);
    assert_eq!((counts.faults, counts.delivered, counts.waiting), (1, 0, 1));
    assert!(counts.last_fault.contains("lost the connection"), "{}", counts.last_fault);
    // The receiver's end of the connection is the yes.
    let drained = thread::spawn(move || delivery.drain(DRAIN).left);
    let mut text = String::new();
    second.read_to_string(&mut text).expect("to the end");
    assert!(text.contains("\"id\":\"a\""), "{text}");
    drop(second);
    assert_eq!(drained.join().expect("ended"), []);
}

/// The receiver neither reads nor closes: a stop keeps what may not have arrived.
#[test]
fn a_receiver_that_does_not_read_gets_nothing_confirmed() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let delivery = open_one(syslog("s", SyslogTransport::Tcp(address)), folder.path());
    delivery.push(record("a", Keep::Always));
    let (_silent, _) = listener.accept().expect("a connection");
    wait(&delivery, "the spool", |counts| counts.accepted == 1);
    let left = delivery.drain(Duration::from_millis(300)).left;
    assert_eq!((left[0].spooled, left[0].lost), (1, 0));
}

#[test]
fn a_refused_datagram_is_sent_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = port();
    let address = format!("127.0.0.1:{port}");
    let delivery = open_one(syslog("s", SyslogTransport::Udp(address.clone())), folder.path());
    delivery.push(record("a", Keep::Always));
    wait(&delivery, "the refusal", |counts| counts.faults > 0);
    let socket = UdpSocket::bind(address).expect("the port");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut bytes = [0; 2_048];
    let read = socket.recv(&mut bytes).expect("a datagram");
    assert!(String::from_utf8_lossy(&bytes[..read]).contains("\"id\":\"a\""));
    let counts = wait(&delivery, "settling", |counts| counts.delivered == 1 && counts.waiting == 0);
    check_law(&counts);
}

#[test]
fn a_line_no_datagram_holds_is_buried() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound").to_string();
    let delivery = open_one(syslog("s", SyslogTransport::Udp(address)), folder.path());
    delivery.push(padded("long", Keep::Always, 70_000));
    delivery.push(record("short", Keep::Always));
    let counts = wait(&delivery, "both", |c| c.dead_lettered + c.delivered == 2);
    assert_eq!((counts.dead_lettered, counts.delivered), (1, 1));
}

#[test]
fn wrong_certificates_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "ca");
    let ca_file = Some(folder.path().join("ca.pem"));
    let expired = authority.sign("expired", "localhost", true);
    let other = authority.sign("other", "siem.example", false);
    for (certificate, expect) in [(expired, "expired"), (other, "not valid for name")] {
        let (url, _) = support::tls_fake(&certificate, None);
        let address = url.trim_start_matches("https://").trim_end_matches("/in").to_owned();
        let tls = TlsOptions { ca_file: ca_file.clone(), identity: None };
        let mut required = syslog("s", SyslogTransport::Tls(address, tls));
        required.is_required = true;
        // A folder each: another test that starts a program just then holds the lock of this one for as
        // long as its child has not become that program.
        let own = tempfile::tempdir().expect("a folder");
        match open(&[required], &spool(own.path())).0 {
            Err(OpenError::Unreachable(said)) => assert!(said[0].contains(expect), "{said:?}"),
            Err(OpenError::Unusable(said)) => panic!("{expect}: {said:?}"),
            Ok(_) => panic!("{expect}: opened"),
        }
    }
    // Somebody who speaks no TLS at all.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"220 mail.example\r\n");
        }
    });
    let tls = TlsOptions { ca_file, identity: None };
    let transport = SyslogTransport::Tls(format!("localhost:{}", address.port()), tls);
    let delivery = open_one(syslog("s", transport), folder.path());
    delivery.push(record("a", Keep::Always));
    let fault = wait(&delivery, "a fault", |counts| counts.faults > 0).last_fault;
    assert!(fault.contains("cannot speak TLS with localhost"), "{fault}");
}
