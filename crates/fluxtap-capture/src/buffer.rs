//! The one buffer of a capture file: a window that slides over its bytes.

use std::io::{self, Read};

/// A contiguous window over the input, from the first unconsumed byte onwards.
///
/// It holds at most the larger of what one record needs and what the owner wants to read ahead.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the input of `bytes[start]`.
    offset: u64,
}

impl Buffer {
    /// The bytes that were read and not yet consumed.
    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// How many bytes were read and not yet consumed.
    pub(crate) fn available(&self) -> usize {
        self.end - self.start
    }

    /// Offset in the input of the first byte of [`data`](Self::data).
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Lets go of the first `count` bytes, at most of those that are there.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.available());
        self.start += count;
        self.offset += count as u64;
    }

    /// Forgets what was read ahead and frees the memory; the input must then be read again from
    /// [`offset`](Self::offset).
    pub(crate) fn unload(&mut self) {
        self.bytes = Vec::new();
        self.start = 0;
        self.end = 0;
    }

    /// Makes room for `need` bytes in one piece, preferably `want`, and lends what is free of it
    /// to be written from its start; [`written`](Self::written) says how far.
    pub(crate) fn room(&mut self, need: usize, want: usize) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = need.max(want).max(self.end + 1);
        if self.bytes.len() < room {
            self.bytes.reserve_exact(room - self.bytes.len());
            self.bytes.resize(room, 0);
        } else if self.bytes.len() / 2 > room {
            self.bytes.truncate(room);
            self.bytes.shrink_to_fit();
        }
        &mut self.bytes[self.end..]
    }

    /// Takes the first `count` bytes of the room as read.
    pub(crate) fn written(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Makes [`room`](Self::room) and reads once.
    /// Returns how many bytes came, 0 at the end of the input.
    ///
    /// # Errors
    ///
    /// Those of `input`, except `Interrupted`, which is tried again.
    pub(crate) fn fill(
        &mut self,
        input: &mut impl Read,
        need: usize,
        want: usize,
    ) -> io::Result<usize> {
        let room = self.room(need, want);
        loop {
            match input.read(room) {
                Ok(count) => {
                    self.written(count);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slides_grows_and_shrinks() {
        let input: Vec<u8> = (0..200).collect();
        let mut rest = input.as_slice();
        let mut buffer = Buffer::default();
        assert_eq!(buffer.fill(&mut rest, 1, 16).unwrap(), 16);
        buffer.consume(10);
        assert_eq!((buffer.offset(), buffer.data()), (10, &input[10..16]));
        assert_eq!(buffer.fill(&mut rest, 1, 16).unwrap(), 10, "fills up what was consumed");
        assert_eq!(buffer.data(), &input[10..26]);
        assert_eq!(buffer.fill(&mut rest, 100, 16).unwrap(), 84, "grows to what a record needs");
        assert_eq!(buffer.data(), &input[10..110]);
        assert_eq!(buffer.memory_bytes(), 100);
        buffer.consume(95);
        buffer.fill(&mut rest, 1, 16).unwrap();
        assert_eq!(buffer.memory_bytes(), 16, "and back");
        assert_eq!((buffer.offset(), buffer.data()), (105, &input[105..121]));
        buffer.consume(usize::MAX);
        assert_eq!((buffer.offset(), buffer.available()), (121, 0));
        buffer.unload();
        assert_eq!((buffer.offset(), buffer.memory_bytes()), (121, 0));
    }

    #[test]
    fn end_of_input_is_zero() {
        let mut buffer = Buffer::default();
        assert_eq!(buffer.fill(&mut io::empty(), 4, 16).unwrap(), 0);
        assert_eq!(buffer.data(), b"");
    }
}
