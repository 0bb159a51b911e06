//! What the tests of delivery share: records, sinks, and receivers that fail as they are told.
#![allow(dead_code, reason = "each test file uses a part of it")]

use flate2::read::GzDecoder;
use fluxtap_sink::{
    Auth, Delivery, Dialect, Filter, Form, HttpOptions, Keep, Notice, OpenError, Record,
    SinkCounts, SinkOptions, SpoolOptions, Sync, SyslogOptions, SyslogTransport, Target, Tell,
    TlsOptions,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Hang limit of everything that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn record(id: &str, keep: Keep) -> Record {
    padded(id, keep, 200)
}

/// A record whose line is about so long.
pub(crate) fn padded(id: &str, keep: Keep, octets: usize) -> Record {
    let line = format!("{{\"id\":\"{id}\",\"pad\":\"{}\"}}\n", "x".repeat(octets));
    Record {
        id: id.to_owned(),
        domain: "flux.example".to_owned(),
        kind: "single_flux".to_owned(),
        severity: Some(3),
        at_ms: 1_700_000_000_123,
        keep,
        forms: [line.clone().into_bytes().into(), Arc::from([]), Arc::from([])],
    }
}

pub(crate) fn sink(name: &str, target: Target) -> SinkOptions {
    SinkOptions {
        name: name.to_owned(),
        form: Form::Json,
        filter: Filter::default(),
        is_required: false,
        timeout: Duration::from_secs(1),
        target,
    }
}

pub(crate) fn http(url: &str, dialect: Dialect) -> HttpOptions {
    HttpOptions {
        url: url.to_owned(),
        host: "tap".to_owned(),
        dialect,
        tls: TlsOptions::default(),
        token_file: None,
        auth: Auth::Bearer,
        batch_records: 8,
        batch_octets: 1 << 20,
        batch_wait: Duration::ZERO,
        is_gzip: false,
        proxy: None,
    }
}

pub(crate) fn syslog(name: &str, transport: SyslogTransport) -> SinkOptions {
    let options = SyslogOptions { transport, facility: 16, host: "tap".to_owned() };
    sink(name, Target::Syslog(options))
}

pub(crate) fn spool(folder: &Path) -> SpoolOptions {
    SpoolOptions { folder: folder.join("spool"), octets_max: 64 << 20, sync: Sync::Each }
}

/// What sinks said.
pub(crate) type Said = Arc<Mutex<Vec<Notice>>>;

pub(crate) fn open(
    sinks: &[SinkOptions],
    spool: &SpoolOptions,
) -> (Result<Delivery, OpenError>, Said) {
    let said = Said::default();
    let to = Arc::clone(&said);
    let tell: Tell = Arc::new(move |notice: &Notice| {
        to.lock().expect("not poisoned").push(notice.clone());
    });
    (Delivery::open(sinks, spool, &tell), said)
}

/// Waits until something holds of the counts of the first sink.
pub(crate) fn wait(
    delivery: &Delivery,
    what: &str,
    holds: impl Fn(&SinkCounts) -> bool,
) -> SinkCounts {
    let started = now();
    loop {
        let counts = delivery.counts().swap_remove(0);
        if holds(&counts) {
            return counts;
        }
        assert!(now() - started < PATIENCE, "waited for {what}: {counts:#?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The law: nothing that was accepted is unaccounted for.
pub(crate) fn check_law(counts: &SinkCounts) {
    let ends = counts.delivered + counts.dead_lettered + counts.dropped.sum() + counts.waiting;
    assert_eq!(counts.accepted + counts.resumed, ends, "{counts:#?}");
}

#[allow(clippy::disallowed_methods, reason = "tests wait in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The ids of lines of JSON, in their order.
pub(crate) fn ids(lines: &str) -> Vec<String> {
    let id = |line: &str| {
        let value: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        value["id"].as_str().expect("an id").to_owned()
    };
    lines.lines().filter(|line| !line.is_empty()).map(id).collect()
}

/// How a fake receiver answers a request.
pub(crate) enum Reply {
    /// With a status, further header lines, and a body.
    Answer(u16, &'static str, String),
    /// Closes without a word.
    Close,
    /// Sends half of an answer and closes.
    Half,
    /// Says nothing for longer than anybody waits.
    Hang,
    /// Sends an endless answer, a byte at a time.
    Drip,
}

pub(crate) fn ok() -> Reply {
    Reply::Answer(200, "", "{}".to_owned())
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) at: Instant,
    pub(crate) was_gzip: bool,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// A receiver that answers its n-th request, from 0 on, as a function says.
pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Fake {
    pub(crate) fn new(answer: impl Fn(usize, &Request) -> Reply + Send + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a port"), answer)
    }

    pub(crate) fn on(
        listener: TcpListener,
        answer: impl Fn(usize, &Request) -> Reply + Send + 'static,
    ) -> Self {
        let url = format!("http://{}/in", listener.local_addr().expect("bound"));
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, ended) = (Arc::clone(&requests), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                serve(stream, &seen, &answer);
            }
        });
        Self { url, requests, stop }
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let address = self.url.trim_start_matches("http://").trim_end_matches("/in");
        let _ = TcpStream::connect(address);
    }
}

/// One connection; every answer ends it.
fn serve<S: Read + Write + Send + 'static>(
    stream: S,
    seen: &Mutex<Vec<Request>>,
    answer: &impl Fn(usize, &Request) -> Reply,
) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read_request(&mut stream) else { return };
    let number = {
        let mut seen = seen.lock().expect("not poisoned");
        seen.push(request.clone());
        seen.len() - 1
    };
    let mut stream = stream.into_inner();
    match answer(number, &request) {
        Reply::Answer(code, headers, body) => {
            let front = format!("HTTP/1.1 {code} X\r\nConnection: close\r\n{headers}");
            let _ = write!(stream, "{front}Content-Length: {}\r\n\r\n{body}", body.len());
        }
        Reply::Close => {}
        Reply::Half => {
            let _ = write!(stream, "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nhalf");
        }
        // In threads of their own: the next request is served meanwhile.
        Reply::Hang => {
            thread::spawn(move || {
                thread::sleep(PATIENCE);
                drop(stream);
            });
            return;
        }
        Reply::Drip => {
            thread::spawn(move || {
                let _ = write!(stream, "HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n");
                while stream.write_all(b" ").and_then(|()| stream.flush()).is_ok() {
                    thread::sleep(Duration::from_millis(100));
                }
            });
            return;
        }
    }
    let _ = stream.flush();
}

fn read_request<S: Read>(stream: &mut BufReader<S>) -> Option<Request> {
    let mut first = String::new();
    stream.read_line(&mut first).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let of = |name: &str| headers.iter().find(|(of, _)| of.eq_ignore_ascii_case(name));
    let length = of("Content-Length").and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let was_gzip = of("Content-Encoding").is_some_and(|(_, value)| value == "gzip");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    if was_gzip {
        let mut plain = Vec::new();
        GzDecoder::new(&body[..]).read_to_end(&mut plain).expect("gzip");
        body = plain;
    }
    let body = String::from_utf8(body).expect("text");
    Some(Request { path, headers, body, at: now(), was_gzip })
}

/// An authority of the tests, and what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    /// Its own certificate is the file `NAME.pem`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
        fs::write(folder.join(format!("{name}.pem")), issuer.pem()).expect("written");
        Self { issuer, folder: folder.to_owned() }
    }

    /// Signs a certificate for a host, in `NAME.pem` and `NAME.key`; an expired one ended in 2001.
    pub(crate) fn sign(&self, name: &str, host: &str, is_expired: bool) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
        params.distinguished_name.push(rcgen::DnType::CommonName, host);
        if is_expired {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let file = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        fs::write(file("pem"), certificate.pem()).expect("written");
        fs::write(file("key"), key.serialize_pem()).expect("written");
        (file("pem"), file("key"))
    }
}

/// A receiver behind TLS that says yes to everything, and whom it asks for a certificate.
pub(crate) fn tls_fake(
    certificate: &(PathBuf, PathBuf),
    clients: Option<&Path>,
) -> (String, Arc<Mutex<Vec<Request>>>) {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    let read = |path: &Path| {
        CertificateDer::pem_file_iter(path).expect("a file").map(|c| c.expect("PEM")).collect()
    };
    let chain: Vec<CertificateDer<'static>> = read(&certificate.0);
    let key = PrivateKeyDer::from_pem_file(&certificate.1).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            let authorities: Vec<CertificateDer<'static>> = read(path);
            roots.add_parsable_certificates(authorities);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
        None => builder.with_no_client_auth(),
    };
    let config = Arc::new(builder.with_single_cert(chain, key).expect("a configuration"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://localhost:{}/in", listener.local_addr().expect("bound").port());
    let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
    let seen = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("one");
            serve(rustls::StreamOwned::new(connection, stream), &seen, &|_, _| ok());
        }
    });
    (url, requests)
}
