//! One capture from anything that can be read.

use std::io::{self, Read};

use fluxtap_wire::Packet;

use crate::magic::Compression;
use crate::parser::{Parser, Step};
use crate::resync::Gaps;
use crate::status::Ending;

/// Bytes read ahead: few enough to stay in the processor's cache, enough to make calls rare.
pub(crate) const READ_BYTES: usize = 128 << 10;

/// Reads one capture, compressed or not, to its end.
///
/// ```
/// use fluxtap_capture::{CaptureReader, Ending, Next};
///
/// let mut reader = CaptureReader::new(std::io::empty());
/// loop {
///     match reader.next()? {
///         Next::Packet(packet) => drop(packet.bytes),
///         Next::End(ending) => break assert_eq!(ending, Ending::Empty),
///     }
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct CaptureReader<R> {
    input: R,
    parser: Parser,
    ending: Option<Ending>,
}

/// What [`CaptureReader::next`] found.
#[derive(Clone, Copy, Debug)]
pub enum Next<'a> {
    /// A packet; its bytes are lent until the next call.
    Packet(Packet<'a>),
    /// The end, and how it came. Every later call says the same.
    End(Ending),
}

impl<R: Read> CaptureReader<R> {
    /// A reader of `input` from its first byte. Needs no buffering below it.
    pub fn new(input: R) -> Self {
        Self { input, parser: Parser::new(), ending: None }
    }

    /// The next packet. Passes over blocks without one, however many there are.
    ///
    /// # Errors
    ///
    /// Those of the input, except `Interrupted`. The call can be repeated.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its buffer")]
    pub fn next(&mut self) -> io::Result<Next<'_>> {
        self.parser.consume();
        let head = loop {
            if let Some(ending) = self.ending {
                return Ok(Next::End(ending));
            }
            match self.parser.step() {
                Ok(Step::Packet(head)) => break head,
                Ok(Step::Passed) => {}
                Ok(Step::Need(need)) => {
                    self.parser.fill(&mut self.input, need, READ_BYTES)?;
                }
                Err(ending) => self.ending = Some(ending),
            }
        };
        Ok(Next::Packet(self.parser.packet(&head)))
    }

    /// Bytes of the input that were used so far.
    pub fn bytes_read(&self) -> u64 {
        self.parser.file_offset()
    }

    /// What the input is compressed with; known from the first packet on.
    pub fn compression(&self) -> Option<Compression> {
        self.parser.compression()
    }

    /// What was passed over so far because it was damaged. Offsets are those of the capture, that
    /// is of what comes out if the input is compressed.
    pub fn gaps(&self) -> Gaps {
        self.parser.gaps()
    }

    /// Packets so far that came without a time of their own (simple packet blocks) and got that
    /// of the packet before them.
    pub fn packets_untimed(&self) -> u64 {
        self.parser.packets_untimed
    }

    /// Packets so far that were passed over because their interface is not described.
    pub fn packets_skipped(&self) -> u64 {
        self.parser.packets_skipped
    }
}

#[cfg(test)]
mod tests;
