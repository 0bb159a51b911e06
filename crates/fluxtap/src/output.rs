//! Alerts to standard output.

use crate::console::{self, Exit};
use crate::inputs::Inputs;
use crate::summary::ascii;
use crate::terminal;
use fluxtap_alert::{Alert, Context, SourceKind, Style, write_line, write_text};
use fluxtap_config::{Clients, Format, Settings};
use fluxtap_wire::Timestamp;
use std::io::{self, ErrorKind, StdoutLock, Write};
use std::sync::Arc;
use std::time::SystemTime;

/// Why nothing more can be written.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The reader has gone, and wants no more.
    Pipe,
    /// Writing failed.
    Failed(io::Error),
}

impl Closed {
    /// The exit status, said where it needs saying.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Pipe => Exit::Done,
            Self::Failed(error) => {
                console::error(&format!(
                    "standard output: cannot write: {error}; make room or write elsewhere, \
                     then run it again"
                ));
                Exit::Failed
            }
        }
    }
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::Pipe } else { Self::Failed(error) }
    }
}

/// Writes alerts to standard output, numbered.
pub(crate) struct Output {
    stdout: StdoutLock<'static>,
    lines: Vec<u8>,
    sequence: u64,
    format: Format,
    style: Style,
    inputs: Arc<Inputs>,
    observer: String,
    interface: Option<String>,
    model: String,
    clients: Clients,
}

impl Output {
    pub(crate) fn new(
        settings: &Settings,
        inputs: &Arc<Inputs>,
        observer: String,
        interface: Option<String>,
    ) -> Self {
        let stdout = io::stdout().lock();
        let style = Style {
            columns: terminal::columns(&stdout).unwrap_or(Style::default().columns),
            is_colored: terminal::is_colored(settings.color, &stdout),
        };
        Self {
            stdout,
            lines: Vec::new(),
            sequence: 0,
            format: settings.format,
            style,
            inputs: Arc::clone(inputs),
            observer,
            interface,
            model: inputs.model(),
            clients: settings.clients,
        }
    }

    /// Writes whole lines and hands them to the system: an alert does not wait in a buffer.
    pub(crate) fn write(&mut self, alerts: &mut Vec<Alert>) -> Result<(), Closed> {
        if alerts.is_empty() {
            return Ok(());
        }
        self.lines.clear();
        for alert in alerts.drain(..) {
            self.sequence += 1;
            let is_live = self.interface.is_some();
            let context = Context {
                intel: &self.inputs.intel,
                observer: &self.observer,
                interface: self.interface.as_deref(),
                source: if is_live { SourceKind::Live } else { SourceKind::Replay },
                sequence: self.sequence,
                version: env!("CARGO_PKG_VERSION"),
                model: &self.model,
                clients: self.inputs.clients(self.clients),
                created: if is_live { now() } else { alert.at },
            };
            match self.format {
                Format::Json => write_line(&alert, &context, &mut self.lines),
                Format::Text => write_text(&alert, &context, self.style, &mut self.lines),
            }
        }
        self.stdout.write_all(&self.lines)?;
        self.stdout.flush()?;
        Ok(())
    }
}

/// The wall clock as event time.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the program, at its edge")]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// An object as one line that is all ASCII.
pub(crate) fn json_line(value: &serde_json::Value) -> String {
    ascii(&value.to_string()) + "\n"
}

/// Prints a text that was asked for.
pub(crate) fn print(text: &str) -> Exit {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Exit::Done,
        Err(error) => Closed::from(error).exit(),
    }
}
