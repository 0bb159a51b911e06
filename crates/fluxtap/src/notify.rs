//! What systemd is told, by the datagrams of sd_notify(3): started, reloading, stopping, alive.

use crate::replay::instant;
use std::env;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The service manager, if there is one that wants to know.
pub(crate) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that the sensor is alive.
    watchdog: Option<Duration>,
    fed: Option<Instant>,
}

impl Notify {
    /// As the environment says.
    pub(crate) fn of_environment() -> Self {
        let usec = env::var("WATCHDOG_USEC").ok().and_then(|usec| usec.parse::<u64>().ok());
        // Another process's watchdog is none of ours.
        let is_ours =
            env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        Self {
            to: socket(),
            // Three times in the time it has, so that one late turn does no harm.
            watchdog: usec.filter(|_| is_ours).map(|usec| Duration::from_micros(usec / 3)),
            fed: None,
        }
    }

    /// The sensor captures.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// The sensor stops, and needs some time for what it still has.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    /// What the sensor does, in words.
    pub(crate) fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// The loop has turned; told as often as the manager wants to hear it.
    pub(crate) fn alive(&mut self) {
        let Some(every) = self.watchdog else { return };
        let now = instant();
        if self.fed.is_none_or(|fed| now.duration_since(fed) >= every) {
            self.fed = Some(now);
            self.send("WATCHDOG=1");
        }
    }

    /// A manager that cannot be told can do nothing about it either.
    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.to {
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

/// The socket that NOTIFY_SOCKET names: a path, or after `@` a name of the abstract namespace.
fn socket() -> Option<(UnixDatagram, SocketAddr)> {
    let name = env::var_os("NOTIFY_SOCKET")?;
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok()?,
        [b'/', ..] => SocketAddr::from_pathname(&name).ok()?,
        _ => return None,
    };
    Some((UnixDatagram::unbound().ok()?, address))
}
