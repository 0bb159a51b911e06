//! Unpacking in a thread of its own, one piece ahead of who reads.
//!
//! The codec travels: it is sent to the thread with an empty piece, and comes back with the piece
//! filled and room for more input. While the thread fills one piece the other is read. What comes
//! out, and where, does not depend on which of both is faster.

use std::io::{self, Read};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::Fault;
use super::codec::{Codec, Decoded};
use crate::reader::READ_BYTES;

/// Compressed input held by a codec in a thread.
const CHUNK_BYTES: usize = 128 << 10;

/// How many threads there may be; shared by all that take one.
#[derive(Clone, Debug)]
pub(crate) struct Lanes(Arc<AtomicUsize>);

/// The right to a thread, given back when dropped.
#[derive(Debug)]
pub(super) struct Lane(Arc<AtomicUsize>);

impl Lanes {
    pub(crate) fn new(threads_max: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(threads_max)))
    }

    pub(super) fn take(&self) -> Option<Lane> {
        let less = |left: usize| left.checked_sub(1);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok().then(|| Lane(Arc::clone(&self.0)))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What goes to the thread and comes back.
struct Work {
    codec: Box<dyn Codec>,
    piece: Vec<u8>,
    /// What filling the piece ended with; of no meaning on the way to the thread.
    decoded: Result<Decoded, Fault>,
}

/// A codec with its thread.
pub(super) struct Ahead {
    to_thread: SyncSender<Work>,
    from_thread: Receiver<Work>,
    /// What is with the thread is none of ours.
    idle: Option<Box<dyn Codec>>,
    /// The piece that is read, and how much of it is left.
    piece: Vec<u8>,
    start: usize,
    end: usize,
    spare: Vec<u8>,
    /// What comes behind the piece, once it is not just more.
    then: Option<Result<Decoded, Fault>>,
    offset: u64,
    read_bytes: u64,
    memory_bytes: usize,
    _lane: Lane,
}

impl Ahead {
    /// Takes a codec to a thread; gives it back if there may be or can be none.
    pub(super) fn new(mut codec: Box<dyn Codec>, lanes: &Lanes) -> Result<Self, Box<dyn Codec>> {
        let Some(lane) = lanes.take() else { return Err(codec) };
        let (to_thread, jobs) = sync_channel::<Work>(1);
        let (results, from_thread) = sync_channel(1);
        let work = move || {
            for mut work in jobs {
                work.decoded = work.codec.decode(&mut work.piece);
                if results.send(work).is_err() {
                    return;
                }
            }
        };
        let named = thread::Builder::new().name("unpack".into());
        if named.spawn(work).is_err() {
            return Err(codec);
        }
        codec.chunk_mut().grow(CHUNK_BYTES);
        let mut ahead = Self {
            to_thread,
            from_thread,
            idle: None,
            piece: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            spare: vec![0; READ_BYTES],
            then: None,
            offset: 0,
            read_bytes: 0,
            memory_bytes: 0,
            _lane: lane,
        };
        ahead.note(codec.as_ref());
        ahead.idle = Some(codec);
        Ok(ahead)
    }

    /// See [`super::Unpacker::unpack`].
    pub(super) fn unpack(
        &mut self,
        input: &mut impl Read,
        to: &mut [u8],
    ) -> io::Result<Result<Decoded, Fault>> {
        let mut may_read = true;
        loop {
            if self.start < self.end {
                let count = to.len().min(self.end - self.start);
                to[..count].copy_from_slice(&self.piece[self.start..self.start + count]);
                self.start += count;
                return Ok(Ok(Decoded::Bytes(count)));
            }
            match self.then {
                Some(Ok(Decoded::Hungry)) => {
                    let Some(codec) = &mut self.idle else { return Ok(Err(Fault::Corrupt)) };
                    if !codec.chunk().has_room() || !may_read {
                        return Ok(Ok(Decoded::Hungry));
                    }
                    may_read = false;
                    codec.chunk_mut().fill(input)?;
                    self.read_bytes = codec.chunk().read_bytes;
                    self.then = None;
                }
                Some(end) => return Ok(end),
                None => {}
            }
            self.send();
            self.receive(input, &mut may_read);
        }
    }

    /// Gives the codec to the thread, unless it is there.
    fn send(&mut self) {
        let Some(codec) = self.idle.take() else { return };
        let piece = mem::take(&mut self.spare);
        let work = Work { codec, piece, decoded: Ok(Decoded::Hungry) };
        // If the thread is gone, receiving says so.
        let _ = self.to_thread.send(work);
    }

    /// Waits for a piece, and has the thread go on with the next one.
    fn receive(&mut self, input: &mut impl Read, may_read: &mut bool) {
        let Ok(Work { mut codec, piece, decoded }) = self.from_thread.recv() else {
            // A library that panics has met data that it does not understand.
            self.then = Some(Err(Fault::Corrupt));
            return;
        };
        self.note(codec.as_ref());
        let Ok(Decoded::Bytes(count)) = decoded else {
            self.spare = piece;
            self.idle = Some(codec);
            self.then = Some(decoded);
            return;
        };
        (self.start, self.end) = (0, count);
        self.spare = mem::replace(&mut self.piece, piece);
        // Input in time, so that the thread seldom comes back for it alone. What cannot be read now
        // is read, or told, when it is needed.
        if *may_read && codec.chunk().is_low() {
            *may_read = false;
            let _ = codec.chunk_mut().fill(input);
            self.read_bytes = codec.chunk().read_bytes;
        }
        self.idle = Some(codec);
        self.send();
    }

    fn note(&mut self, codec: &dyn Codec) {
        let chunk = codec.chunk();
        (self.offset, self.read_bytes) = (chunk.offset(), chunk.read_bytes);
        self.memory_bytes = codec.memory_bytes() + chunk.bytes.len() + 2 * READ_BYTES;
    }

    /// Whether the input is used up to its marked or unmarked end.
    pub(super) fn is_at_end(&self) -> bool {
        self.idle.as_ref().is_some_and(|codec| codec.chunk().is_end)
    }

    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Bytes of the input that were read.
    pub(super) const fn read_bytes(&self) -> u64 {
        self.read_bytes
    }
}
