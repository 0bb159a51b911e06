//! The small HTTP server of metrics and health.
//!
//! The key decision: by hand, because what is served are three pages to a local scraper. A request
//! has [`HEAD_BYTES_MAX`] bytes and [`REQUEST_TIME_MAX`], at most [`CONNECTIONS_MAX`] are answered at
//! a time, none is kept open; so slow, long and many clients cost a bounded amount, and the sensor
//! itself never waits for one.

use crate::console;
use crate::replay::instant;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Longest time from connecting to the end of the head, and again for taking the answer.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

/// Most requests that are answered at a time; further ones are told to come again.
const CONNECTIONS_MAX: usize = 8;

/// Pause after the system refused a connection, as when there are no descriptors left.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// An answer.
pub(crate) struct Answer {
    /// Status code with its words.
    pub(crate) status: &'static str,
    /// Media type of the body.
    pub(crate) media_type: &'static str,
    /// The body.
    pub(crate) body: String,
}

impl Answer {
    /// Plain text.
    pub(crate) fn text(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, media_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// Takes an address to serve at.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
}

/// Serves what `page` makes of a path, in threads of their own; `None` is a page that is not there.
pub(crate) fn serve(
    listener: TcpListener,
    page: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
) -> io::Result<()> {
    let page = Arc::new(page);
    let busy = Arc::new(AtomicUsize::new(0));
    let accept = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                thread::sleep(REFUSED_PAUSE);
                continue;
            };
            // A client that goes away or is too slow is its own problem.
            let Some(slot) = Slot::take(&busy) else {
                // So few bytes fit into any socket, so this does not wait.
                let _ = write(stream, &Answer::text("503 Service Unavailable", "busy\n"), true);
                continue;
            };
            let page = Arc::clone(&page);
            let started = thread::Builder::new().name("http".to_owned()).spawn(move || {
                let _slot = slot;
                let _ = answer(stream, &*page);
            });
            if started.is_err() {
                thread::sleep(REFUSED_PAUSE);
            }
        }
    };
    thread::Builder::new().name("http-accept".to_owned()).spawn(accept)?;
    Ok(())
}

/// A place among the requests that are answered.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(busy: &Arc<AtomicUsize>) -> Option<Self> {
        let slot = Self(Arc::clone(busy));
        (busy.fetch_add(1, Ordering::AcqRel) < CONNECTIONS_MAX).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn answer(mut stream: TcpStream, page: &dyn Fn(&str) -> Option<Answer>) -> io::Result<()> {
    let Some(head) = read_head(&mut stream)? else {
        let answer = Answer::text("431 Request Header Fields Too Large", "too long\n");
        return write(stream, &answer, true);
    };
    let (answer, has_body) = match request(&head) {
        Some(("GET" | "HEAD", path)) => {
            let answer =
                page(path).unwrap_or_else(|| Answer::text("404 Not Found", "no such page\n"));
            (answer, !head.starts_with(b"HEAD"))
        }
        Some(_) => (Answer::text("405 Method Not Allowed", "only GET\n"), true),
        None => (Answer::text("400 Bad Request", "no request\n"), true),
    };
    write(stream, &answer, has_body)
}

/// The head of a request, with its last line; `None` if it is too long.
fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let began = instant();
    let mut head = Vec::new();
    let mut part = [0; 1024];
    loop {
        let left = REQUEST_TIME_MAX.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The end may lie across two parts.
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(&part[..read]);
        if head[from..].windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some(head));
        }
        if head.len() > HEAD_BYTES_MAX {
            return Ok(None);
        }
    }
}

/// Method and path, without what follows a question mark.
fn request(head: &[u8]) -> Option<(&str, &str)> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_http = version.starts_with("HTTP/1.") && words.next().is_none();
    is_http.then(|| (method, target.split('?').next().unwrap_or_default()))
}

fn write(mut stream: TcpStream, answer: &Answer, has_body: bool) -> io::Result<()> {
    stream.set_write_timeout(Some(REQUEST_TIME_MAX))?;
    let Answer { status, media_type, body } = answer;
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if has_body {
        text += body;
    }
    stream.write_all(text.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)
}

/// Says why nothing can be served.
pub(crate) fn refuse(address: SocketAddr, error: &io::Error) {
    console::error(&format!(
        "--metrics: cannot listen on {address}: {error}; name another address and port, or none"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served() -> SocketAddr {
        let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let page = |path: &str| (path == "/here").then(|| Answer::text("200 OK", "it is\n"));
        serve(listener, page).expect("a thread");
        address
    }

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).expect("it listens");
        // Whoever writes more than is read may find the other end closed.
        let _ = stream.write_all(request);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn requests_and_what_is_none() {
        let address = served();
        let long = [b"GET /here HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 20_000]].concat();
        let rows: [(&[u8], &str, &str); 7] = [
            (b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "\r\n\r\nit is\n"),
            (b"GET /here?a=b HTTP/1.0\r\n\r\n", "200 OK", "\r\n\r\nit is\n"),
            (b"HEAD /here HTTP/1.1\r\n\r\n", "200 OK", "Connection: close\r\n\r\n"),
            (b"GET /there HTTP/1.1\r\n\r\n", "404", "no such page"),
            (b"POST /here HTTP/1.1\r\n\r\n", "405", "only GET"),
            (b"\xff\xfe\r\n\r\n", "400", "no request"),
            (&long, "431", "too long"),
        ];
        for (request, status, end) in rows {
            let answer = ask(address, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
            assert!(answer.trim_end().ends_with(end.trim_end()), "{status}: {answer}");
        }
    }

    /// Clients that send nothing take the places there are, and the next is told so at once.
    #[test]
    fn slow_clients_are_bounded() {
        let address = served();
        let slow: Vec<TcpStream> = (0..CONNECTIONS_MAX)
            .map(|_| {
                let mut stream = TcpStream::connect(address).expect("it listens");
                stream.write_all(b"GET /he").expect("it is read");
                stream
            })
            .collect();
        let began = instant();
        let request = b"GET /here HTTP/1.1\r\n\r\n";
        while !ask(address, request).starts_with("HTTP/1.1 503") {
            assert!(began.elapsed() < REQUEST_TIME_MAX, "the places were never taken");
        }
        drop(slow);
        while !ask(address, request).starts_with("HTTP/1.1 200") {
            assert!(began.elapsed() < 10 * REQUEST_TIME_MAX, "the places are never given back");
        }
    }
}
