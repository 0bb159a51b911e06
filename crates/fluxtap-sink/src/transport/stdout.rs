//! Standard output. Nobody answers there; what the system took is delivered.

use super::{Answer, Fault, Transport};
use crate::record::Item;
use std::io::{self, ErrorKind, Write as _};

/// What the fault of a closed pipe says.
pub(crate) const PIPE_CLOSED: &str = "the reader of standard output has gone";

pub(crate) struct Stdout;

impl Transport for Stdout {
    fn send(&mut self, items: &[Item]) -> Answer {
        let lines: Vec<u8> = items.iter().flat_map(|item| item.line.iter().copied()).collect();
        let mut stdout = io::stdout().lock();
        match stdout.write_all(&lines).and_then(|()| stdout.flush()) {
            Ok(()) => Answer::taken(items.len()),
            Err(error) => {
                let said = match error.kind() {
                    ErrorKind::BrokenPipe => PIPE_CLOSED.to_owned(),
                    _ => error.to_string(),
                };
                Answer::fault(Fault { is_final: true, ..Fault::new(said) })
            }
        }
    }

    fn probe(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}
