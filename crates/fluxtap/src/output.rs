//! Alerts as lines, to standard output or to the sinks of `run`.

use crate::console::{self, Exit};
use crate::inputs::Inputs;
use crate::sinks;
use crate::summary::ascii;
use crate::terminal;
use fluxtap_alert::{
    Alert, Context, Health, HeldBack, Label, SensorContext, SourceKind, Style, write_health,
    write_health_text, write_held_back, write_held_back_text, write_line, write_text,
};
use fluxtap_config::{Clients, Format, Settings};
use fluxtap_engine::Cap;
use fluxtap_flow::Histogram;
use fluxtap_sink::{Delivery, Form, Keep, SinkCounts};
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

/// Where lines go.
enum To {
    /// Standard output, which is waited for.
    Stdout(StdoutLock<'static>),
    /// Sinks, which nobody waits for.
    Sinks(Delivery),
}

/// Writes alerts as lines, numbered.
pub(crate) struct Output {
    to: To,
    lines: Vec<u8>,
    sequence: u64,
    format: Format,
    style: Style,
    inputs: Arc<Inputs>,
    observer: String,
    interface: Option<String>,
    model: String,
    clients: Clients,
    latency: Latency,
    /// Holds back what is too much.
    pub(crate) cap: Cap,
}

/// How long after the event time of a decision its line was handed over, in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    pub(crate) times: Histogram<u64>,
    pub(crate) sum_ms: u64,
}

/// Longest latency that is told apart, in milliseconds.
const LATENCY_MS_MAX: u64 = 3_600_000;

impl Latency {
    fn new() -> Self {
        let times = Histogram::new_with_bounds(1, LATENCY_MS_MAX, 2);
        Self { times: times.expect("the bounds are good"), sum_ms: 0 }
    }

    fn note(&mut self, from: Timestamp, to: Timestamp) {
        let ms = (to.since(from) / 1_000_000).min(LATENCY_MS_MAX);
        self.times.saturating_record(ms);
        self.sum_ms += ms;
    }
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
            to: To::Stdout(stdout),
            lines: Vec::new(),
            sequence: 0,
            format: settings.format,
            style,
            inputs: Arc::clone(inputs),
            observer,
            interface,
            model: inputs.model(),
            clients: settings.clients,
            latency: Latency::new(),
            cap: Cap::default(),
        }
        .capped_by(Cap::default(), settings)
    }

    /// The same, which goes on with what this cap held back, by the settings.
    pub(crate) fn capped_by(mut self, cap: Cap, settings: &Settings) -> Self {
        self.cap = cap;
        self.cap.set_max(settings.alert_lines_per_hour);
        self
    }

    /// Goes on with other settings and lists; sinks reopen their files.
    pub(crate) fn reload(&mut self, settings: &Settings, inputs: &Arc<Inputs>, observer: String) {
        self.format = settings.format;
        self.cap.set_max(settings.alert_lines_per_hour);
        self.inputs = Arc::clone(inputs);
        self.model = inputs.model();
        self.observer = observer;
        if let To::Sinks(delivery) = &self.to {
            delivery.reopen();
        }
    }

    /// Latencies of the lines of a mirror port.
    pub(crate) const fn latency(&self) -> &Latency {
        &self.latency
    }

    /// What sinks did and where they stand; none where lines go to standard output.
    pub(crate) fn sinks(&self) -> Vec<SinkCounts> {
        match &self.to {
            To::Sinks(delivery) => delivery.counts(),
            To::Stdout(_) => Vec::new(),
        }
    }

    /// Whether anybody still wants lines.
    fn check_open(&self) -> Result<(), Closed> {
        match &self.to {
            To::Sinks(delivery) => sinks::closed(delivery).map_or(Ok(()), Err),
            To::Stdout(_) => Ok(()),
        }
    }

    /// Writes a line about the sensor itself among the alerts.
    pub(crate) fn write_health(&mut self, health: &Health) -> Result<(), Closed> {
        let (kind, keep) = ("sensor_health", Keep::WhileThereIsRoom);
        self.write_own(kind, keep, health.at, |form, context, line| match form {
            Form::Json => write_health(health, context, line),
            Form::Text | Form::Terminal => write_health_text(health, context, line),
        })
    }

    /// Writes a line about lines that were held back, if there were any.
    pub(crate) fn write_held_back(&mut self, held: Option<HeldBack>) -> Result<(), Closed> {
        let Some(held) = held else { return Ok(()) };
        let created = if self.interface.is_some() { now() } else { held.at };
        self.write_own(
            "alerts_held_back",
            Keep::Always,
            held.at,
            |form, context, line| match form {
                Form::Json => write_held_back(&held, created, context, line),
                Form::Text | Form::Terminal => write_held_back_text(&held, line),
            },
        )
    }

    /// Writes a line that is not about a domain, which `write` makes in a form.
    fn write_own(
        &mut self,
        kind: &str,
        keep: Keep,
        at: Timestamp,
        write: impl Fn(Form, &SensorContext<'_>, &mut Vec<u8>),
    ) -> Result<(), Closed> {
        self.check_open()?;
        self.sequence += 1;
        let context = SensorContext {
            observer: &self.observer,
            interface: self.interface.as_deref(),
            sequence: self.sequence,
            version: env!("CARGO_PKG_VERSION"),
        };
        let form = |form| {
            let mut line = Vec::new();
            write(form, &context, &mut line);
            line
        };
        match &mut self.to {
            To::Sinks(delivery) => {
                let forms = [Form::Json, Form::Text, Form::Terminal].map(form);
                let id = context.line_id(at);
                delivery.push(sinks::own_record(kind, id, at.millis(), keep, forms));
            }
            To::Stdout(stdout) => {
                let is_json = self.format == Format::Json;
                stdout.write_all(&form(if is_json { Form::Json } else { Form::Text }))?;
                stdout.flush()?;
            }
        }
        Ok(())
    }

    /// The same with its lines to sinks instead, of which standard output may be one.
    pub(crate) fn deliver(self, delivery: Delivery) -> Self {
        Self { to: To::Sinks(delivery), ..self }
    }

    /// The number of the last line.
    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The same, which numbers its lines behind this one.
    pub(crate) fn behind(self, sequence: u64) -> Self {
        Self { sequence, ..self }
    }

    /// The sinks, if lines go to them.
    pub(crate) fn into_delivery(self) -> Option<Delivery> {
        match self.to {
            To::Sinks(delivery) => Some(delivery),
            To::Stdout(_) => None,
        }
    }

    /// Writes whole lines of what the cap lets through and hands them on: an alert does not wait in a
    /// buffer.
    pub(crate) fn write(&mut self, alerts: &mut Vec<Alert>) -> Result<(), Closed> {
        self.check_open()?;
        self.lines.clear();
        for mut alert in alerts.drain(..) {
            if let Some(held) = self.cap.turn(alert.at) {
                self.flush()?;
                self.write_held_back(Some(held))?;
            }
            if self.cap.admits(&mut alert) {
                self.add(&alert);
            }
        }
        self.flush()
    }

    /// Adds the line of an alert to those that are to be handed on; sinks take it at once.
    fn add(&mut self, alert: &Alert) {
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
        if is_live {
            self.latency.note(alert.at, context.created);
        }
        match (&self.to, self.format) {
            (To::Sinks(delivery), _) => {
                let forms = forms(delivery, alert, &context, self.style);
                delivery.push(sinks::record(Label::of(alert), forms));
            }
            (_, Format::Json) => write_line(alert, &context, &mut self.lines),
            (_, Format::Text) => write_text(alert, &context, self.style, &mut self.lines),
        }
    }

    fn flush(&mut self) -> Result<(), Closed> {
        if let To::Stdout(stdout) = &mut self.to
            && !self.lines.is_empty()
        {
            stdout.write_all(&self.lines)?;
            stdout.flush()?;
            self.lines.clear();
        }
        Ok(())
    }
}

/// An alert in the forms that sinks want.
fn forms(delivery: &Delivery, alert: &Alert, context: &Context<'_>, style: Style) -> [Vec<u8>; 3] {
    [Form::Json, Form::Text, Form::Terminal].map(|form| {
        let mut line = Vec::new();
        match form {
            form if !delivery.wants(form) => {}
            Form::Json => write_line(alert, context, &mut line),
            Form::Text => write_text(alert, context, Style::default(), &mut line),
            Form::Terminal => write_text(alert, context, style, &mut line),
        }
        line
    })
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
