//! Several rings of the kernel that share one interface's packets (packet(7), `PACKET_FANOUT`).
//!
//! Packets go by the hash of their flow, both directions to the same ring, and to the next ring
//! that has room when theirs is full. Nothing relies on who goes where: what the rings hold is
//! merged by time. Therefore the kernel is not asked to put fragments together either.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// A group of rings: id, way and flags, as the kernel tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fanout(c_int);

impl Fanout {
    /// Makes a group of this socket alone, under an id nobody else has.
    ///
    /// # Errors
    ///
    /// The system's, for one that is no packet socket or a kernel before Linux 4.12.
    pub(crate) fn begin(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = libc::PACKET_FANOUT_FLAG_ROLLOVER | libc::PACKET_FANOUT_FLAG_UNIQUEID;
        let way = (libc::PACKET_FANOUT_HASH | flags) as c_int;
        Self(way << 16).join(socket)?;
        Self::of(socket)
    }

    /// Adds a socket of the same interface.
    ///
    /// # Errors
    ///
    /// The system's, for one that is in a group already or captures another interface.
    #[allow(unsafe_code, reason = "no crate at hand offers this option of sockets")]
    pub(crate) fn join(self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let (level, option) = (libc::SOL_PACKET, libc::PACKET_FANOUT);
        let value: *const c_int = &raw const self.0;
        let len = size_of::<c_int>() as libc::socklen_t;
        // SAFETY: the descriptor is open while it is borrowed; the kernel reads `len` bytes of
        // `value`, which is alive and has as many.
        let status = unsafe {
            libc::setsockopt(socket.as_raw_fd(), level, option, value.cast::<c_void>(), len)
        };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The group a socket is in.
    #[allow(unsafe_code, reason = "no crate at hand offers this option of sockets")]
    fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let (level, option) = (libc::SOL_PACKET, libc::PACKET_FANOUT);
        let mut value: c_int = 0;
        let mut len = size_of::<c_int>() as libc::socklen_t;
        // SAFETY: the descriptor is open while it is borrowed; the kernel writes at most `len` bytes
        // to `value`, which is alive and has as many, and how many they were to `len`.
        let status = unsafe {
            let value = (&raw mut value).cast::<c_void>();
            libc::getsockopt(socket.as_raw_fd(), level, option, value, &raw mut len)
        };
        if status == 0 { Ok(Self(value)) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    #[test]
    fn what_is_no_packet_socket_is_refused() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        assert!(Fanout::begin(socket.as_fd()).is_err());
        assert!(Fanout::of(socket.as_fd()).is_err());
    }
}
