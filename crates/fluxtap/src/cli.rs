//! The command line. Its flags that set something come from the table of settings.

use crate::console::{self, Exit};
use crate::intel_command::{self, IntelArgs};
use crate::{config, evaluate, explain_command, interfaces, live, output, page, replay, selftest};
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{
    Arg, ArgAction, ArgMatches, Args as _, ColorChoice, Command, FromArgMatches as _, ValueHint,
    value_parser,
};
use fluxtap_config::{Command as Sensor, Kind, SETTINGS, Setting, Value};
use fluxtap_intel::Intel;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

const ABOUT: &str =
    "Passive DNS sensor: fast-flux alerts as JSON lines from a mirror port or capture files";

/// How the program ends, and what that means.
pub(crate) const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "done, with alerts or without"),
    ("1", "failed while running (a full disk, a lost interface)"),
    ("2", "usage"),
    ("65", "an input is no capture, empty, cut off or damaged; the rest was read"),
    ("66", "an input, interface or configuration file does not exist or cannot be read"),
    ("77", "no permission to capture"),
    ("78", "bad configuration or a mistake in an allow list; nothing was started"),
    ("130", "a replay was interrupted; what was read is summed up"),
];

/// Examples of a command.
pub(crate) fn examples(command: &str) -> &'static [&'static str] {
    match command {
        "replay" => &[
            "fluxtap replay monday.pcap tuesday.pcapng.gz",
            "fluxtap replay --format text --stats stats.json captures/",
            "fluxtap replay --follow /var/spool/captures >> alerts.jsonl",
            "ssh tap tcpdump -w - port 53 | fluxtap replay -",
        ],
        "run" => &[
            "fluxtap run -i eth1 >> /var/log/fluxtap/alerts.jsonl",
            "fluxtap run -i tap-in -i tap-out --user fluxtap --health-interval 5m",
            "fluxtap run --config site.toml",
            "sudo setcap cap_net_raw+ep $(command -v fluxtap)   # to run without root",
        ],
        "interfaces" => &["fluxtap interfaces", "fluxtap interfaces --json | jq '.interfaces[0]'"],
        "selftest" => &["fluxtap selftest --sinks", "sudo fluxtap selftest -i eth1"],
        "explain" => &[
            "fluxtap explain www.example.com monday.pcap",
            "fluxtap explain example.com --at 2026-03-02T08:04:22Z captures/",
            "fluxtap explain example.com --json monday.pcap | jq .history.thresholds",
        ],
        "evaluate" => &[
            "fluxtap evaluate pcaps/demo/demo.pcap --truth pcaps/demo/truth.tsv",
            "fluxtap evaluate day.pcap --truth day.tsv --json | jq .false_medium",
            "fluxtap evaluate day.pcap --truth day.tsv --curated-zones=false --threshold-low 50",
        ],
        "check-config" => &[
            "fluxtap check-config",
            "fluxtap check-config --config new.toml && cp new.toml /etc/fluxtap/fluxtap.toml",
        ],
        "print-config" => &[
            "fluxtap print-config",
            "fluxtap print-config --config site.toml --memory 2GiB",
            "fluxtap print-config --json | jq '.settings[\"sensor.memory\"]'",
        ],
        "intel" => &[
            "fluxtap intel",
            "fluxtap intel --asn-table GeoLite2-ASN.mmdb --country-table GeoLite2-Country.mmdb",
            "fluxtap intel lookup 8.8.8.8 www.example.co.uk",
            "fluxtap intel coverage monday.pcap",
            "fluxtap intel build --asn asn-ipv4.csv --country country.mmdb --out mine.fxtb",
        ],
        "schema" => &["fluxtap schema > fluxtap.alert.schema.json"],
        "completions" => &[
            "fluxtap completions bash > /etc/bash_completion.d/fluxtap",
            "fluxtap completions zsh > ~/.zfunc/_fluxtap   # ~/.zfunc has to be in fpath",
            "fluxtap completions fish > ~/.config/fish/completions/fluxtap.fish",
        ],
        "man" => &["fluxtap man | man -l -", "fluxtap man > /usr/local/share/man/man1/fluxtap.1"],
        _ => &[],
    }
}

/// The commands that take settings, and the commands of the sensor whose flags they take.
const CONFIGURED: [(&str, &[Sensor]); 7] = [
    ("replay", &[Sensor::Replay]),
    ("run", &[Sensor::Run]),
    ("selftest", &[Sensor::Run]),
    ("explain", &[Sensor::Replay]),
    ("evaluate", &[Sensor::Evaluate]),
    ("check-config", &[Sensor::Replay, Sensor::Run]),
    ("print-config", &[Sensor::Replay, Sensor::Run]),
];

/// The whole command line.
pub(crate) fn command() -> Command {
    let status = EXIT_STATUS.iter().map(|(status, meaning)| format!("\n  {status:3} {meaning}"));
    Command::new("fluxtap")
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(format!("Exit status:{}", status.collect::<String>()))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .color(color_asked(std::env::args_os()))
        .subcommands(commands().map(completed))
}

/// A command with its examples and, where it takes settings, their flags.
fn completed(command: Command) -> Command {
    let examples = examples(command.get_name()).iter().map(|line| format!("\n  {line}"));
    let examples = format!("Examples:{}", examples.collect::<String>());
    let sensors = CONFIGURED.iter().find(|(name, _)| *name == command.get_name());
    let command = command.after_help(examples);
    match sensors {
        Some((name, sensors)) => {
            let flags = flags_of(sensors).filter(|setting| has_flag(name, setting));
            flags.map(flag_arg).fold(command.arg(config_arg()), Command::arg)
        }
        None => command,
    }
}

fn commands() -> [Command; 12] {
    [
        Command::new("replay")
            .about(
                "Read capture files; alerts on standard output, progress and a summary on standard \
                 error",
            )
            .arg(files_arg())
            .arg(follow_arg())
            .arg(profile_arg()),
        Command::new("run")
            .about("Watch mirror ports until SIGINT or SIGTERM; needs root or CAP_NET_RAW"),
        Command::new("interfaces")
            .about("List what can be captured, and how it is; needs no rights")
            .arg(
                Arg::new("json")
                    .long("json")
                    .help("As one JSON object in place of a table")
                    .action(ArgAction::SetTrue),
            ),
        selftest::command(),
        explain_command::command(),
        Command::new("evaluate")
            .about(
                "Replay captures of which the truth is known: recall, false alerts, time to \
                 detect, and what older detectors find",
            )
            .arg(files_arg())
            .arg(
                Arg::new("truth")
                    .long("truth")
                    .value_name("FILE")
                    .value_hint(ValueHint::FilePath)
                    .value_parser(value_parser!(PathBuf))
                    .required(true)
                    .help("What each domain is (tab-separated), as fluxtap-sim writes it"),
            )
            .arg(
                Arg::new("json")
                    .long("json")
                    .help("As one JSON object in place of tables")
                    .action(ArgAction::SetTrue),
            ),
        IntelArgs::augment_args(Command::new("intel"))
            .about("Show the tables and lists in force, look things up in them, and build a table"),
        Command::new("check-config")
            .about("Check the configuration: all mistakes at once, or `ok` and what was read"),
        Command::new("print-config")
            .about("Print the settings in force and where each came from, as TOML")
            .arg(
                Arg::new("json")
                    .long("json")
                    .help("As JSON, with the origin of each value")
                    .action(ArgAction::SetTrue),
            ),
        Command::new("schema").about("Print the JSON Schema of the alert lines"),
        Command::new("completions").about("Print the completions for a shell").arg(
            Arg::new("shell")
                .value_name("SHELL")
                .help("The shell")
                .value_parser(["bash", "zsh", "fish"])
                .required(true),
        ),
        Command::new("man").about("Print the manual page, for all commands and settings"),
    ]
}

pub(crate) fn files_arg() -> Arg {
    Arg::new("files")
        .help(
            "Captures (pcap, pcapng, snoop; as they are or in gzip, zstd, xz or lz4) and \
             directories of them, merged by packet time; `-` is standard input",
        )
        .value_name("FILE|DIR")
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .num_args(1..)
        .required(true)
}

fn files(matches: &ArgMatches) -> Vec<PathBuf> {
    matches.get_many::<PathBuf>("files").into_iter().flatten().cloned().collect()
}

/// Not a setting: it makes another run of this one.
fn follow_arg() -> Arg {
    const SETTLE: Kind = Kind::Duration { min_s: 0, max_s: 86_400 };
    Arg::new("follow")
        .long("follow")
        .value_name("TIME")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("30s")
        .value_parser(|text: &str| match SETTLE.parse(text) {
            Ok(Value::Seconds(seconds)) => Ok(seconds),
            Ok(_) => Err(format!("got '{text}', expected {}", SETTLE.expected())),
            Err(said) => Err(said),
        })
        .help(
            "Go on until SIGINT with what comes into the directories: each file once it is \
             finished, that is unchanged for TIME (30s) while another one changed later, or for \
             ten times as long",
        )
}

/// Not a setting either: it is about one run.
fn profile_arg() -> Arg {
    Arg::new("profile").long("profile").action(ArgAction::SetTrue).help(
        "Say at the end where the time went: how often each thread was seen reading, decoding, \
         judging, ...",
    )
}

/// What `--color` asks for, of help and of mistakes on the command line: they are printed before
/// any flag is read.
fn color_asked(args: impl Iterator<Item = OsString>) -> ColorChoice {
    let mut asked = ColorChoice::Auto;
    let mut is_value = false;
    for arg in args {
        let value = match arg.to_str() {
            Some(text) if is_value => Some(text),
            Some(text) => text.strip_prefix("--color="),
            None => None,
        };
        asked = match value {
            Some("always") => ColorChoice::Always,
            Some("never") => ColorChoice::Never,
            _ => asked,
        };
        is_value = arg == "--color";
    }
    asked
}

/// The settings with a flag for one of the commands, each flag once.
fn flags_of(sensors: &[Sensor]) -> impl Iterator<Item = &'static Setting> {
    let has = |setting: &Setting| {
        setting.flag.as_ref().is_some_and(|f| f.commands.iter().any(|c| sensors.contains(c)))
    };
    let mut flags: Vec<&'static Setting> = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| has(setting)) {
        if !flags.iter().any(|known| long(known) == long(setting)) {
            flags.push(setting);
        }
    }
    flags.into_iter()
}

/// Whether a command has the flag of a setting that its sensor has.
fn has_flag(command: &str, setting: &Setting) -> bool {
    command != "explain" || !explain_command::WITHOUT_FLAG.contains(&setting.name)
}

fn long(setting: &Setting) -> Option<&'static str> {
    setting.flag.as_ref().map(|flag| flag.long)
}

fn config_arg() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .help(format!(
            "Settings [default: {0}/{1} and {0}/{2}/*.toml, if they exist] [env: {3}]",
            config::FOLDER,
            config::FILE,
            config::FOLDER_OF_PARTS,
            config::VARIABLE
        ))
}

/// The flag of a setting. What it is given is read with everything else, so that all mistakes are
/// told at once.
fn flag_arg(setting: &'static Setting) -> Arg {
    let flag = setting.flag.as_ref().expect("only settings with a flag are asked for");
    let headline = setting.headline().trim_end_matches('.');
    let default = setting.default.map(|text| format!(" [default: {text}]")).unwrap_or_default();
    let paragraphs: String = setting.paragraphs().map(|text| format!("{text}\n\n")).collect();
    let arg = Arg::new(flag.long)
        .long(flag.long)
        .value_name(flag.value_name)
        .value_parser(Unread(setting.kind))
        .help(format!("{headline}{default}"))
        .long_help(format!(
            "{headline}{default}\n\n{paragraphs}[setting: {}] [env: {}]",
            setting.name,
            setting.variable()
        ));
    let arg = match flag.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match setting.kind {
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::Ports { .. } | Kind::Texts { .. } => arg.action(ArgAction::Append),
        Kind::Path | Kind::PathOr(_) => arg.value_hint(ValueHint::FilePath),
        _ => arg,
    }
}

/// Takes any text, and knows the words that are meant for help and completions.
#[derive(Clone)]
struct Unread(Kind);

impl TypedValueParser for Unread {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = self.0.words().iter();
        // Where a file's name will do as well, the words are not all that is possible.
        let is_closed = matches!(self.0, Kind::Word(_));
        let values = words.map(|word| PossibleValue::new(word.name).help(word.meaning.trim()));
        is_closed.then(|| Box::new(values) as Box<dyn Iterator<Item = PossibleValue>>)
    }
}

/// What the flags say, each with the name of the setting; of one flag that several commands have,
/// the settings of all of `sensors`.
pub(crate) fn flags_given(matches: &ArgMatches, sensors: &[Sensor]) -> Vec<(&'static str, String)> {
    let mut given = Vec::new();
    for setting in SETTINGS {
        let Some(flag) = &setting.flag else { continue };
        if flag.commands.iter().any(|command| sensors.contains(command))
            // Not every command has the flags of all settings of its sensor.
            && let Ok(Some(texts)) = matches.try_get_many::<String>(flag.long)
        {
            let texts: Vec<&str> = texts.map(String::as_str).collect();
            given.push((setting.name, texts.join(",")));
        }
    }
    given
}

/// The version with what verdicts rest on. Not given to clap, which would want it at every start,
/// and unpacking the table takes tens of milliseconds.
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
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            return output::print(&version());
        }
        Err(error) => return console::usage(&error),
    };
    let (name, matches) = matches.subcommand().expect("clap asks for a command");
    match CONFIGURED.iter().find(|(configured, _)| *configured == name) {
        Some((_, sensors)) => run_configured(name, matches, sensors),
        None => match name {
            "completions" => {
                let shell = matches.get_one::<String>("shell").and_then(|name| name.parse().ok());
                page::completions(shell.expect("clap takes shells alone"))
            }
            "man" => page::man(),
            "interfaces" => interfaces::run(matches.get_flag("json")),
            "intel" => match IntelArgs::from_arg_matches(matches) {
                Ok(args) => intel_command::run(&args),
                Err(error) => console::usage(&error),
            },
            _ => output::print(fluxtap_alert::SCHEMA_JSON),
        },
    }
}

/// Runs a command that takes settings.
fn run_configured(name: &str, matches: &ArgMatches, sensors: &[Sensor]) -> Exit {
    let sources = config::Sources::of(matches, sensors);
    let read = match sources.read() {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    match name {
        "replay" => {
            let follow_s = matches.get_one::<u64>("follow").copied();
            let is_profiled = matches.get_flag("profile");
            replay::run(&files(matches), follow_s, is_profiled, &read.loaded.settings)
        }
        "evaluate" => {
            let truth = matches.get_one::<PathBuf>("truth").expect("clap requires it");
            let is_json = matches.get_flag("json");
            evaluate::run(&files(matches), truth, is_json, &read.loaded.settings)
        }
        "run" => live::run(sources, read.loaded),
        "selftest" => selftest::run(matches, &read.loaded.settings),
        "explain" => explain_command::run(matches, &read.loaded.settings),
        "check-config" => config::check(&read),
        _ => config::print(&read.loaded, matches.get_flag("json")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn help_is_coloured_as_asked() {
        for (line, expect) in [
            ("replay a", ColorChoice::Auto),
            ("replay --color never a", ColorChoice::Never),
            ("--color=always --help", ColorChoice::Always),
            ("replay --color=always --color never", ColorChoice::Never),
            ("replay --color", ColorChoice::Auto),
            ("replay never", ColorChoice::Auto),
        ] {
            assert_eq!(color_asked(line.split(' ').map(OsString::from)), expect, "{line}");
        }
    }

    #[test]
    fn flags_of_both_commands_set_what_both_have() {
        let line =
            ["fluxtap", "print-config", "--lateness", "5s", "-q", "--ports", "1", "--ports=2"];
        let matches = command().try_get_matches_from(line).expect("good");
        let (_, matches) = matches.subcommand().expect("a command");
        let given = flags_given(matches, CONFIGURED[5].1);
        let expect = [
            ("capture.dns_ports", "1,2"),
            ("replay.lateness", "5s"),
            ("run.lateness", "5s"),
            ("output.quiet", "true"),
        ];
        assert_eq!(given, expect.map(|(name, text)| (name, text.to_owned())));
    }
}
