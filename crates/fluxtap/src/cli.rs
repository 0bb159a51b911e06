//! The command line.

use crate::console::{self, Exit};
use crate::intel_command::{self, IntelArgs};
use crate::output::Format;
use crate::tables::{self, TableArgs};
use crate::{allow, live, replay};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use fluxtap_engine::{LATENESS_LIVE_S, LATENESS_REPLAY_S};
use fluxtap_intel::Intel;
use fluxtap_window::limits::MEMORY_MIN;
use fluxtap_wire::Ports;
use fluxtap_wire::layers::PORTS_MAX;
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Exit status:
  0   done, with alerts or without
  1   failed while running (a full disk, a lost interface)
  2   usage
  65  an input is no capture, empty, cut off or damaged; the rest was read
  66  an input or interface does not exist or cannot be read
  77  no permission to capture
  78  a setting that cannot be used: an allow list with a mistake, a damaged address table;
      nothing was started
  130 a replay was interrupted; what was read is summed up";

/// Passive DNS sensor: fast-flux alerts as JSON lines from a mirror port or capture files.
#[derive(Debug, Parser)]
#[command(name = "fluxtap", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read capture files; alerts on standard output, progress and a summary on standard error.
    #[command(after_help = "\
Examples:
  fluxtap replay monday.pcap tuesday.pcapng.gz
  fluxtap replay --format text --stats stats.json captures/
  fluxtap replay --follow /var/spool/captures >> alerts.jsonl
  ssh tap tcpdump -w - port 53 | fluxtap replay -")]
    Replay(ReplayArgs),
    /// Watch a mirror port until SIGINT or SIGTERM; needs root or CAP_NET_RAW.
    #[command(after_help = "\
Examples:
  fluxtap run -i eth1 >> /var/log/fluxtap/alerts.jsonl
  sudo setcap cap_net_raw+ep $(command -v fluxtap)   # to run without root")]
    Run(RunArgs),
    /// Show the tables and lists in force, look things up in them, and build a table.
    Intel(IntelArgs),
    /// Print the JSON Schema of the alert lines.
    Schema,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Captures (pcap, pcapng, snoop; as they are or in gzip, zstd, xz or lz4) and directories of
    /// them, merged by packet time; `-` is standard input.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Go on until SIGINT with what comes into the directories: each file once it is finished, that
    /// is unchanged for TIME (30s) while another one changed later, or for ten times as long.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true,
          default_missing_value = "30s")]
    pub(crate) follow: Option<Seconds>,
    /// How late a packet may be before its facts are left out.
    #[arg(long, value_name = "TIME", default_value_t = Seconds(LATENESS_REPLAY_S))]
    pub(crate) lateness: Seconds,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Interface the mirrored traffic arrives on.
    #[arg(short, long, value_name = "IFACE")]
    pub(crate) interface: String,
    /// How late a packet may be before its facts are left out.
    #[arg(long, value_name = "TIME", default_value_t = Seconds(LATENESS_LIVE_S))]
    pub(crate) lateness: Seconds,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Arguments of both.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// Form of the alerts: json, a line each, or text for people.
    #[arg(long, value_name = "FORM", default_value = "json")]
    pub(crate) format: Format,
    /// Write all counters as one JSON object to FILE at the end; `-` is standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) stats: Option<PathBuf>,
    /// No progress and no summary; errors and warnings are still said.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// UDP ports that carry DNS, comma-separated.
    #[arg(long = "ports", value_name = "PORTS", value_delimiter = ',', default_value = "53",
          value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// Memory for all windows; beyond it the least suspect domains go first.
    #[arg(long, value_name = "SIZE", default_value_t = Bytes(fluxtap_window::limits::MEMORY_DEFAULT))]
    pub(crate) memory: Bytes,
    #[command(flatten)]
    pub(crate) tables: TableArgs,
    /// Allow list: what is known to look like flux and is none of your business, an entry a line.
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
    /// Name of this sensor in `observer.name`; by default `replay`, or the host's name in `run`.
    #[arg(long, value_name = "NAME", value_parser = observer_name)]
    pub(crate) observer: Option<String>,
}

impl CommonArgs {
    /// The look-ups; a table or list that cannot be used ends the program.
    pub(crate) fn intel(&self) -> Result<Intel, Exit> {
        let intel = tables::load(&self.tables)?.intel;
        Ok(match &self.allow {
            Some(path) => intel.with_allow(allow::load(path)?),
            None => intel,
        })
    }

    /// The ports; more than fit are a usage error.
    pub(crate) fn ports(&self) -> Result<Ports, Exit> {
        Ports::new(&self.ports).ok_or_else(|| {
            console::error(&format!(
                "--ports: got {} ports, expected 1 to {PORTS_MAX}",
                self.ports.len()
            ));
            Exit::Usage
        })
    }
}

/// A duration in whole seconds, written as `90`, `90s`, `15m`, `1h` or `2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) u64);

/// Longest lateness accepted, in seconds.
const SECONDS_MAX: u64 = 86_400;

impl std::str::FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = split_unit(text);
        let factor = match unit {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(format!("got unit '{unit}', expected s, m, h or d, as in 90s")),
        };
        let value: u64 = digits.parse().map_err(|_| "expected a number, as in 90s".to_owned())?;
        match value.checked_mul(factor) {
            Some(seconds) if seconds <= SECONDS_MAX => Ok(Self(seconds)),
            _ => Err("expected 0s to 1d".to_owned()),
        }
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}s", self.0)
    }
}

/// A size in bytes, written as `64MiB`, `1GiB` or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) usize);

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = split_unit(text);
        let shift = match unit {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err(format!("got unit '{unit}', expected KiB, MiB or GiB, as in 512MiB")),
        };
        let value: u64 =
            digits.parse().map_err(|_| "expected a number, as in 512MiB".to_owned())?;
        let bytes = value.checked_mul(1 << shift).and_then(|b| usize::try_from(b).ok());
        match bytes {
            Some(bytes) if (MEMORY_MIN..=MEMORY_MAX).contains(&bytes) => Ok(Self(bytes)),
            _ => Err(format!("expected {} to {}", Self(MEMORY_MIN), Self(MEMORY_MAX))),
        }
    }
}

/// Largest budget accepted: 1 TiB.
const MEMORY_MAX: usize = 1 << 40;

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            bytes if bytes.is_multiple_of(1 << 30) => write!(f, "{}GiB", bytes >> 30),
            bytes if bytes.is_multiple_of(1 << 20) => write!(f, "{}MiB", bytes >> 20),
            bytes => write!(f, "{bytes}"),
        }
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn observer_name(text: &str) -> Result<String, String> {
    let is_good =
        !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic());
    is_good
        .then(|| text.to_owned())
        .ok_or_else(|| "expected 1 to 64 printable ASCII characters without spaces".to_owned())
}

/// The version with what verdicts rest on. Not given to clap, which would want it at every start.
fn version() -> String {
    let mut text = format!("fluxtap {}", env!("CARGO_PKG_VERSION"));
    if let Some(table) = Intel::embedded().table_info() {
        text += &format!(
            "\nmodel {}\naddress table {} of {}: {} IPv4 and {} IPv6 ranges, {} autonomous systems\n\
             table source {}\n",
            fluxtap_flux::MODEL,
            table.origin,
            table.date.unwrap_or("an unknown day"),
            table.ranges_v4,
            table.ranges_v6,
            table.asns,
            table.source,
        );
    }
    text
}

/// Parses the command line and runs it.
pub(crate) fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            return crate::output::print(&version());
        }
        Err(error) => return console::usage(&error),
    };
    match cli.command {
        Command::Replay(args) => replay::run(&args),
        Command::Run(args) => live::run(&args),
        Command::Intel(args) => intel_command::run(&args),
        Command::Schema => crate::output::print(fluxtap_alert::SCHEMA_JSON),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn units() {
        for (text, expect) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("1h", Some(3600)),
            ("1d", Some(86_400)),
            ("2d", None),
            ("", None),
            ("s", None),
            ("-1", None),
            ("5w", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(text.parse::<Seconds>().ok().map(|s| s.0), expect, "{text}");
        }
        for (text, expect) in [
            ("512MiB", Some(512 << 20)),
            ("1GiB", Some(1 << 30)),
            ("33554432", Some(32 << 20)),
            ("1KiB", None),
            ("5MB", None),
            ("", None),
            ("9999999999GiB", None),
        ] {
            assert_eq!(text.parse::<Bytes>().ok().map(|b| b.0), expect, "{text}");
        }
        assert_eq!(Bytes(512 << 20).to_string(), "512MiB");
    }
}
