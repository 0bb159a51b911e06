//! Words for people, on standard error, and the exit status.

use crate::output::{self, json_line};
use fluxtap_config::LogFormat;
use fluxtap_wire::shown::escaped;
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;

/// How the program ends; the numbers are those of sysexits.h where it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done.
    #[default]
    Done = 0,
    /// Failed while running.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// An input is no capture, empty, cut off or damaged.
    BadData = 65,
    /// An input does not exist or cannot be read.
    NoInput = 66,
    /// The receiver of a required sink cannot be reached.
    Unavailable = 69,
    /// No permission to capture.
    NoPermission = 77,
    /// The configuration, or a list or table of the operator's, has mistakes.
    BadConfig = 78,
    /// A replay was interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// How urgent a line is; the numbers are those of syslog(3), which journald reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// The form of lines on standard error.
#[derive(Clone, Copy, Debug, Default)]
struct Form {
    is_json: bool,
    /// In front stands the level as journald takes it.
    has_priority: bool,
}

/// Text for people until a daemon says otherwise.
static FORM: OnceLock<Form> = OnceLock::new();

/// Sets the form of all further lines; for a daemon, whose lines programs read.
pub(crate) fn set_form(format: LogFormat) {
    let is_json = match format {
        LogFormat::Auto => !is_watched(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let has_priority = std::env::var_os("JOURNAL_STREAM").is_some() && !is_watched();
    let _ = FORM.set(Form { is_json, has_priority });
}

/// Says what went wrong.
pub(crate) fn error(text: &str) {
    emit(Level::Error, &format!("fluxtap: error: {text}"), text);
}

/// Says what should be known but stops nothing.
pub(crate) fn warning(text: &str) {
    emit(Level::Warning, &format!("fluxtap: warning: {text}"), text);
}

/// Says a line of a summary, or what a daemon did.
pub(crate) fn say(line: &str) {
    emit(Level::Info, line, line.trim_start().trim_start_matches("fluxtap: "));
}

/// Writes a line to standard error, in its form. Whoever closed it does not want to read it. File
/// and interface names are chosen by others: what would take over a terminal is escaped.
fn emit(level: Level, line: &str, message: &str) {
    let form = FORM.get().copied().unwrap_or_default();
    let priority = if form.has_priority { format!("<{}>", level as u8) } else { String::new() };
    let line = if form.is_json {
        let level = match level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        };
        json_line(&json!({
            "@timestamp": fluxtap_alert::rfc3339(output::now().millis()),
            "log": { "level": level },
            "message": message,
        }))
    } else {
        escaped(line) + "\n"
    };
    let _ = std::io::stderr().lock().write_all((priority + &line).as_bytes());
}

/// Writes text as it is, for the progress line.
pub(crate) fn put(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Lines for standard output. What others chose, in names and files, is escaped.
pub(crate) fn page(lines: &[String]) -> String {
    lines.iter().map(|line| escaped(line) + "\n").collect()
}

/// Whether somebody watches standard error.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Prints what clap has to say: help and version on standard output, mistakes on standard error.
pub(crate) fn usage(error: &clap::Error) -> Exit {
    let is_mistake = error.use_stderr();
    match error.print() {
        Ok(()) if is_mistake => Exit::Usage,
        Err(e) if !is_mistake && e.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed,
        _ if is_mistake => Exit::Usage,
        _ => Exit::Done,
    }
}

/// A number with thousands separated by commas.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun, in the plural where it belongs.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (number, expect) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), expect);
        }
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(2_000, "file"), "2,000 files");
    }
}
