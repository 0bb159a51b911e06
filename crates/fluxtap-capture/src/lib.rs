//! Mirror port and capture files behind one [`Source`].
//!
//! * [`Replay`] reads any number of capture files and merges them by packet time.
//! * [`LiveGroup`] reads network interfaces through libpcap, and merges them likewise.
//! * [`CaptureReader`] reads one capture from anything that implements [`std::io::Read`].
//!
//! Packets are lent to the caller straight from the read buffer or the kernel ring: nothing is
//! allocated or copied for a packet. What a capture file holds is not trusted: every length is
//! checked, every table and buffer has a named limit, and a damaged file yields what comes before
//! the damage together with the reason why it ended there.

mod buffer;
mod classic;
mod fanout;
mod filter;
mod folder;
mod follow;
mod group;
mod held;
mod live;
mod magic;
mod parser;
mod pcapng;
mod reader;
mod replay;
mod resync;
mod ring;
mod snoop;
mod status;
#[cfg(test)]
mod testing;
mod unpack;

use std::io;

use fluxtap_wire::Packet;

pub use classic::CAPLEN_MAX;
pub use filter::Filter;
pub use folder::DIRECTORY_FILES_MAX;
pub use follow::ALONE_FACTOR;
pub use group::{
    HELD_BYTES_MAX, INTERFACES_WATCHED_MAX, LiveGroup, PortEvent, PortStats, StopHandle,
};
pub use live::{Interface, Live, LiveError, LiveOptions, LiveStats, RINGS_MAX, interfaces};
pub use magic::{Compression, Foreign, Magic};
pub use pcapng::{BLOCK_BYTES_MAX, INTERFACES_MAX};
pub use reader::{CaptureReader, Next};
pub use replay::{
    BUFFERS_BYTES_MAX, DESCRIPTORS_RESERVED, OPEN_FILES_MAX, Progress, Replay, ReplayOptions,
    UNPACK_THREADS_MAX, UNPACKERS_BYTES_MAX,
};
pub use resync::{Gaps, RESYNC_BYTES_MAX};
pub use status::{Damage, Ending, FileClass, FileReport, FileStatus};
pub use unpack::{EXPANSION_FREE_BYTES, EXPANSION_MAX, Fault, WINDOW_BYTES_MAX};

/// Most packets one call of [`Source::next_batch`] hands over.
pub const BATCH_PACKETS_MAX: usize = 1024;

/// Bytes of input after which [`Source::next_batch`] of a [`Replay`] returns, whether it met
/// packets or not. The record that crosses the line is finished.
pub const BATCH_BYTES_MAX: u64 = 1 << 20;

/// Where packets come from. Replay and live capture look the same from here on.
pub trait Source {
    /// Hands the next packets to `visit`, in order, and says what comes after them.
    ///
    /// A call is bounded by [`BATCH_PACKETS_MAX`] packets and, reading files, by
    /// [`BATCH_BYTES_MAX`] bytes of input, so the caller gets the thread back to look at its
    /// clock, its signals and its counters. A packet borrows the source's buffer: `visit` copies
    /// what it wants to keep.
    ///
    /// # Errors
    ///
    /// When the source cannot go on. [`Replay`] never fails here, because a bad file must not stop
    /// the others: see [`Replay::report`].
    fn next_batch(&mut self, visit: &mut dyn FnMut(Packet<'_>)) -> io::Result<Batch>;
}

/// What to expect after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Ask again: there may be more at once.
    More,
    /// Nothing arrived from an interface or a pipe within its timeout. Ask again.
    Idle,
    /// There is no more, now and later.
    End,
}
