//! Syslog, RFC 5424: over UDP (RFC 5426), TCP with octet counting (RFC 6587), TLS (RFC 5425) and
//! sockets in the file system.
//!
//! No syslog receiver ever says yes. A line counts as delivered when its connection is still sound
//! [`STREAM_SETTLES`] after it was written: until then the kernel breaks a connection whose data
//! nobody acknowledges (`TCP_USER_TIMEOUT`, tcp(7)), and lines of a broken connection are sent
//! again. At a stop the connection is closed for writing, and the receiver's own close says that it
//! has read everything. A datagram is gone when it is written; a refusal that comes back within
//! [`DATAGRAM_SETTLES`] is noticed.

use super::tls::{self, Trust};
use super::{Answer, Fault, Transport, Verdict};
use crate::clock;
use crate::options::{SyslogOptions, SyslogTransport};
use crate::record::Item;
use fluxtap_alert::rfc3339;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{
    Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket,
};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long written data may stay unacknowledged before the kernel breaks the connection.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);

/// When a line on a connection that still stands counts as delivered: a little later than the
/// kernel would have broken it.
const STREAM_SETTLES: Duration = Duration::from_secs(12);

/// When a datagram that was not refused counts as delivered.
const DATAGRAM_SETTLES: Duration = Duration::from_secs(1);

/// The structured data that carries what filters need. 32473 is the number of nobody (RFC 5612):
/// the project has no enterprise number.
const DATA_NAME: &str = "fluxtap@32473";

pub(crate) struct Syslog {
    options: SyslogOptions,
    timeout: Duration,
    secure: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    link: Option<Link>,
    /// When each line that is not confirmed was written.
    sent: VecDeque<Instant>,
}

enum Link {
    Udp(UdpSocket),
    Datagram(UnixDatagram),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Unix(UnixStream),
}

impl Syslog {
    pub(crate) fn new(options: SyslogOptions, timeout: Duration) -> Result<Self, String> {
        let secure = secure(&options)?;
        Ok(Self { options, timeout, secure, link: None, sent: VecDeque::new() })
    }

    fn connect(&self) -> Result<Link, Fault> {
        match &self.options.transport {
            SyslogTransport::Udp(address) => udp(address)
                .map(Link::Udp)
                .map_err(|error| Fault::new(format!("cannot send to {address} over UDP: {error}"))),
            SyslogTransport::Tcp(address) => Ok(Link::Tcp(self.tcp(address)?)),
            SyslogTransport::Tls(address, _) => {
                let Some((config, name)) = &self.secure else {
                    return Err(Fault::new("no certificates were read"));
                };
                let mut stream = self.tcp(address)?;
                let secured = ClientConnection::new(Arc::clone(config), name.clone());
                let secured = secured.map_err(io::Error::other).and_then(|mut connection| {
                    // So that a bad certificate is known before a line is written.
                    while connection.is_handshaking() {
                        connection.complete_io(&mut stream)?;
                    }
                    Ok(connection)
                });
                match secured {
                    Ok(connection) => Ok(Link::Tls(Box::new(StreamOwned::new(connection, stream)))),
                    Err(error) => {
                        Err(Fault::new(format!("cannot speak TLS with {address}: {error}")))
                    }
                }
            }
            SyslogTransport::Unix(path) => unix(path, self.timeout).map_err(|error| {
                Fault::new(format!("cannot connect to {}: {error}", path.display()))
            }),
        }
    }

    fn tcp(&self, address: &str) -> Result<TcpStream, Fault> {
        let stream = tls::connect(address, self.timeout)?;
        let unacknowledged_ms = UNACKNOWLEDGED_MAX.as_millis() as u32;
        let set = rustix::net::sockopt::set_tcp_user_timeout(&stream, unacknowledged_ms);
        set.map_err(io::Error::from)
            .and_then(|()| stream.set_nodelay(true))
            .and_then(|()| stream.set_read_timeout(Some(self.timeout)))
            .and_then(|()| stream.set_write_timeout(Some(self.timeout)))
            .map_err(|error| Fault::new(format!("cannot set up the socket: {error}")))?;
        Ok(stream)
    }

    /// The connection is of no more use, and what was written to it not known to have arrived.
    fn broken(&mut self, said: String) -> Fault {
        self.link = None;
        self.sent.clear();
        Fault::new(said)
    }

    fn receiver(&self) -> String {
        match &self.options.transport {
            SyslogTransport::Udp(address)
            | SyslogTransport::Tcp(address)
            | SyslogTransport::Tls(address, _) => address.clone(),
            SyslogTransport::Unix(path) => path.display().to_string(),
        }
    }

    fn check(&mut self) -> Result<(), Fault> {
        let Some(link) = &mut self.link else { return Ok(()) };
        match link.is_sound() {
            Ok(()) => Ok(()),
            Err(error) => {
                let said = format!("lost the connection to {}: {error}", self.receiver());
                Err(self.broken(said))
            }
        }
    }
}

impl Transport for Syslog {
    fn send(&mut self, items: &[Item]) -> Answer {
        if let Err(fault) = self.check() {
            return Answer::fault(fault);
        }
        let mut link = match self.link.take().map_or_else(|| self.connect(), Ok) {
            Ok(link) => link,
            Err(fault) => return Answer::fault(fault),
        };
        let mut answer = Answer::default();
        for item in items {
            match link.write(&message(item, &self.options)) {
                Ok(()) => {
                    self.sent.push_back(clock::instant());
                    answer.verdicts.push(Verdict::Sent);
                }
                Err(error)
                    if error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()) =>
                {
                    let said = format!("{} octets are too long for a datagram", item.line.len());
                    answer.verdicts.push(Verdict::Refused(said));
                }
                Err(error) => {
                    let said = format!("cannot write to {}: {error}", self.receiver());
                    return Answer::fault(self.broken(said));
                }
            }
        }
        match link.flush() {
            Ok(()) => {
                self.link = Some(link);
                answer
            }
            Err(error) => {
                let said = format!("cannot write to {}: {error}", self.receiver());
                Answer::fault(self.broken(said))
            }
        }
    }

    fn confirmed(&mut self) -> Result<usize, Fault> {
        self.check()?;
        let Some(link) = &self.link else { return Ok(0) };
        let (now, settles) = (clock::instant(), link.settles());
        let is_settled = |at: &Instant| now.duration_since(*at) >= settles;
        let settled = self.sent.partition_point(is_settled);
        self.sent.drain(..settled);
        Ok(settled)
    }

    fn finish(&mut self, limit: Duration) -> bool {
        let is_sound = self.check().is_ok();
        let Some(link) = self.link.take().filter(|_| is_sound) else { return false };
        link.finish(limit)
    }

    fn reopen(&mut self) -> Result<(), String> {
        self.secure = secure(&self.options)?;
        Ok(())
    }

    fn probe(&mut self) -> Result<(), Fault> {
        self.connect().map(drop)
    }
}

impl Link {
    fn settles(&self) -> Duration {
        match self {
            Self::Udp(_) | Self::Datagram(_) => DATAGRAM_SETTLES,
            // The peer is on this machine: its end is seen at once.
            Self::Unix(_) => DATAGRAM_SETTLES,
            Self::Tcp(_) | Self::Tls(_) => STREAM_SETTLES,
        }
    }

    fn write(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).map(drop),
            Self::Datagram(socket) => socket.send(message).map(drop),
            Self::Tcp(stream) => stream.write_all(&counted(message)),
            Self::Tls(stream) => stream.write_all(&counted(message)),
            Self::Unix(stream) => stream.write_all(&[message, b"\n"].concat()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }

    /// Whether the other end is still there, as far as this one knows. Does not wait.
    fn is_sound(&mut self) -> io::Result<()> {
        let closed = || io::Error::new(ErrorKind::ConnectionReset, "the receiver closed it");
        let still = |read: io::Result<usize>| match read {
            Ok(0) => Err(closed()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        };
        match self {
            Self::Udp(socket) => socket.take_error()?.map_or(Ok(()), Err),
            Self::Datagram(socket) => socket.take_error()?.map_or(Ok(()), Err),
            Self::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                let read = stream.read(&mut [0; 512]);
                stream.set_nonblocking(false)?;
                still(read)
            }
            Self::Unix(stream) => {
                stream.set_nonblocking(true)?;
                let read = stream.read(&mut [0; 512]);
                stream.set_nonblocking(false)?;
                still(read)
            }
            Self::Tls(stream) => {
                stream.sock.set_nonblocking(true)?;
                let read = stream.conn.read_tls(&mut stream.sock);
                stream.sock.set_nonblocking(false)?;
                still(read)?;
                let state = stream.conn.process_new_packets().map_err(io::Error::other)?;
                if state.peer_has_closed() { Err(closed()) } else { Ok(()) }
            }
        }
    }

    /// Closes for writing and waits until the receiver has read to the end and closes as well.
    fn finish(self, limit: Duration) -> bool {
        let until = clock::instant() + limit;
        let ended = |stream: &mut dyn FnMut(Duration) -> io::Result<usize>| loop {
            let rest = until.saturating_duration_since(clock::instant());
            if rest.is_zero() {
                return false;
            }
            match stream(rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        };
        match self {
            Self::Udp(_) | Self::Datagram(_) => true,
            Self::Tcp(mut stream) => {
                stream.shutdown(Shutdown::Write).is_ok()
                    && ended(&mut |rest| {
                        stream.set_read_timeout(Some(rest))?;
                        stream.read(&mut [0; 512])
                    })
            }
            Self::Unix(mut stream) => {
                stream.shutdown(Shutdown::Write).is_ok()
                    && ended(&mut |rest| {
                        stream.set_read_timeout(Some(rest))?;
                        stream.read(&mut [0; 512])
                    })
            }
            Self::Tls(mut stream) => {
                stream.conn.send_close_notify();
                let is_told = stream.flush().and_then(|()| stream.sock.shutdown(Shutdown::Write));
                is_told.is_ok()
                    && ended(&mut |rest| {
                        stream.sock.set_read_timeout(Some(rest))?;
                        stream.conn.read_tls(&mut stream.sock)
                    })
            }
        }
    }
}

fn secure(
    options: &SyslogOptions,
) -> Result<Option<(Arc<ClientConfig>, ServerName<'static>)>, String> {
    match &options.transport {
        SyslogTransport::Tls(address, tls) => {
            Ok(Some((Trust::read(tls)?.config, tls::server_name(address)?)))
        }
        _ => Ok(None),
    }
}

fn udp(address: &str) -> io::Result<UdpSocket> {
    let mut last = io::Error::other("no address has that name");
    for found in address.to_socket_addrs()? {
        let any = match found {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any)?;
        match socket.connect(found) {
            Ok(()) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A socket of datagrams, or a stream where it is one.
fn unix(path: &Path, timeout: Duration) -> io::Result<Link> {
    let datagram = UnixDatagram::unbound()?;
    match datagram.connect(path) {
        Ok(()) => {
            datagram.set_write_timeout(Some(timeout))?;
            Ok(Link::Datagram(datagram))
        }
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(timeout))?;
            Ok(Link::Unix(stream))
        }
        Err(error) => Err(error),
    }
}

/// RFC 6587, 3.4.1.
fn counted(message: &[u8]) -> Vec<u8> {
    let mut framed = format!("{} ", message.len()).into_bytes();
    framed.extend_from_slice(message);
    framed
}

/// One message of RFC 5424; its text is the line.
fn message(item: &Item, options: &SyslogOptions) -> Vec<u8> {
    let priority = u16::from(options.facility) * 8 + severity(item.severity);
    let data = |name: &str, value: &str| match value {
        "" => String::new(),
        value => format!(" {name}=\"{}\"", escaped(value)),
    };
    let mut message = format!(
        "<{priority}>1 {} {} fluxtap {} {} [{DATA_NAME}{}{}{}] ",
        rfc3339(item.at_ms),
        header(&options.host, 255),
        std::process::id(),
        header(&item.kind, 32),
        data("id", &item.id),
        data("domain", &item.domain),
        data("kind", &item.kind),
    )
    .into_bytes();
    message.extend_from_slice(item.text());
    message
}

/// The severity of RFC 5424 for ours: critical, warning, notice; informational without one.
fn severity(ours: Option<u8>) -> u16 {
    match ours {
        None | Some(0) => 6,
        Some(1) => 5,
        Some(2) => 4,
        Some(_) => 2,
    }
}

/// A field of the header: printable ASCII, at most so many characters, `-` for none.
fn header(text: &str, chars_max: usize) -> String {
    let field: String = text.chars().filter(char::is_ascii_graphic).take(chars_max).collect();
    if field.is_empty() { "-".to_owned() } else { field }
}

/// RFC 5424, 6.3.3.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Keep;
    use crate::record::tests::item;

    fn options() -> SyslogOptions {
        SyslogOptions {
            transport: SyslogTransport::Udp("127.0.0.1:1".to_owned()),
            facility: 16,
            host: "tap 7".to_owned(),
        }
    }

    fn text(item: &Item) -> String {
        String::from_utf8(message(item, &options())).expect("text")
    }

    #[test]
    fn messages_are_those_of_rfc_5424() {
        let mut item = item(1, Keep::Always, 1);
        let pid = std::process::id();
        let expect = format!(
            "<130>1 2023-11-14T22:13:20.123Z tap7 fluxtap {pid} single_flux \
             [fluxtap@32473 id=\"e1\" domain=\"flux.example\" kind=\"single_flux\"] \
             {{\"id\":\"e1\",\"pad\":\"x\"}}"
        );
        assert_eq!(text(&item), expect);
        item.domain = "a]\\\"b".to_owned();
        assert!(text(&item).contains("domain=\"a\\]\\\\\\\"b\""), "{}", text(&item));
        (item.id, item.domain, item.kind) = Default::default();
        assert!(text(&item).contains(" - [fluxtap@32473] {"), "{}", text(&item));
    }

    #[test]
    fn severities() {
        let mut item = item(1, Keep::Always, 1);
        for (ours, front) in [(None, "<134>"), (Some(1), "<133>"), (Some(2), "<132>")] {
            item.severity = ours;
            assert!(text(&item).starts_with(front), "{ours:?}");
        }
    }

    #[test]
    fn octets_are_counted() {
        assert_eq!(counted("<1>é".as_bytes()), "5 <1>é".as_bytes());
    }
}
