//! The program: makes the demonstration capture and the captures for measuring.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use fluxtap_intel::Intel;
use fluxtap_sim::{Attack, BenchSize, Cell, Measured, Named, PcapWriter, Scale, Scenario, Summary};
use fluxtap_wire::Packet;
use serde::Serialize;
use serde_json::Value;

/// Seeded DNS traffic with truth, as capture files.
///
/// One seed gives one capture, byte for byte. All traffic is synthetic; addresses are drawn by
/// seed and say nothing about their owners.
#[derive(Parser)]
#[command(name = "fluxtap-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Three hours below two resolvers: each flux family, the look-alikes, ordinary sites.
    #[command(
        after_help = "Example:\n  fluxtap-sim demo --seed 1 --out demo.pcap --truth truth.tsv"
    )]
    Demo(DemoArgs),
    /// A day or a week with many domains of each flux family and look-alike, for measuring
    /// detection.
    #[command(
        after_help = "Example:\n  fluxtap-sim scenario fast-below --seed 1 --out fast.pcap --truth fast.tsv"
    )]
    Scenario(ScenarioArgs),
    /// The quality grid: every scenario through the sensor, as Markdown and JSON; takes minutes.
    #[command(
        after_help = "Example:\n  fluxtap-sim grid --md docs/quality-grid.md --json docs/quality-grid.json"
    )]
    Grid(GridArgs),
    /// The pictures of a quality grid, as SVG.
    #[command(
        after_help = "Example:\n  fluxtap-sim pictures --grid docs/quality-grid.json --out docs"
    )]
    Pictures(PicturesArgs),
    /// How much a score says: judgements with truth, counted; writes calibration.md, .json and .svg;
    /// takes minutes.
    #[command(after_help = "Example:\n  fluxtap-sim calibrate --out docs")]
    Calibrate(CalibrateArgs),
    /// A large population of domains, for measuring speed and memory.
    #[command(
        after_help = "Example:\n  fluxtap-sim bench --seed 1 --responses 1000000 --domains 200000 --out bench.pcap"
    )]
    Bench(BenchArgs),
    /// Responses that are as expensive as somebody can make them.
    #[command(
        after_help = "Example:\n  fluxtap-sim attack new-domains --seed 1 --responses 1000000 --out attack.pcap"
    )]
    Attack(AttackArgs),
    /// The ways in which `attack` can do so, one a line.
    Attacks,
}

#[derive(Args)]
struct Output {
    /// Seed of everything that is left to chance
    #[arg(long, value_name = "N")]
    seed: u64,
    /// Capture file to write (pcap, Ethernet, microseconds); replaced if it is there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args)]
struct DemoArgs {
    #[command(flatten)]
    output: Output,
    /// Truth file to write (tab-separated): what each domain is, and when its flux first shows
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
}

#[derive(Args)]
struct ScenarioArgs {
    /// Which
    name: Name,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    scale: ScaleArgs,
    /// Truth file to write as well (tab-separated): what each domain is, and when its flux first
    /// shows; needs memory for the names of all domains
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

#[derive(Args)]
struct GridArgs {
    /// Markdown file to write; replaced if it is there
    #[arg(long, value_name = "FILE")]
    md: PathBuf,
    /// JSON file to write, likewise
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
    /// Only the scenarios whose names begin so
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    /// Which half of the autonomous systems is of no known kind in the rows that say so
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    hide: u64,
}

#[derive(Args)]
struct PicturesArgs {
    /// The grid, as `fluxtap-sim grid` writes it
    #[arg(long, value_name = "FILE")]
    grid: PathBuf,
    /// Folder to write to; pictures that are there are replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args)]
struct CalibrateArgs {
    /// Folder to write to; files that are there are replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Measure nothing: take the figures of the calibration.json that is there
    #[arg(long)]
    page: bool,
}

#[derive(Args)]
struct ScaleArgs {
    /// Domains of each family of flux
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    each: u32,
    /// Domains of each look-alike
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    lookalikes: u32,
    /// Ordinary domains
    #[arg(long, value_name = "COUNT", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    domains: u32,
    /// Questions about an ordinary domain in all, on average
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    questions: u32,
}

impl ScaleArgs {
    fn scale(&self) -> Scale {
        let Self { each, lookalikes, domains, questions } = *self;
        Scale { each, lookalikes, domains, questions_per_domain: f64::from(questions) }
    }
}

/// A scenario on the command line.
#[derive(Clone, Copy)]
struct Name(Named);

impl ValueEnum for Name {
    fn value_variants<'a>() -> &'a [Self] {
        const NAMES: [Name; Named::ALL.len()] = {
            let mut names = [Name(Named::ALL[0]); Named::ALL.len()];
            let mut at = 1;
            while at < names.len() {
                names[at] = Name(Named::ALL[at]);
                at += 1;
            }
            names
        };
        &NAMES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()).help(self.0.about()))
    }
}

#[derive(Args)]
struct BenchArgs {
    #[command(flatten)]
    output: Output,
    /// Number of responses, each with its query
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    responses: u64,
    /// Number of domains; all are asked about when there are at least twice as many responses
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    domains: u32,
    /// Share of the domains that is flux, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share)]
    flux_share: f64,
    /// Event time that the responses are spread over, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 3600,
        value_parser = clap::value_parser!(u32).range(1..=31_536_000)
    )]
    duration_s: u32,
    /// Truth file to write as well; needs memory for the names of all domains
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

#[derive(Args)]
struct AttackArgs {
    /// In which way
    #[arg(value_parser = PossibleValuesParser::new(Attack::ALL.map(Attack::as_str)))]
    kind: String,
    #[command(flatten)]
    output: Output,
    /// Number of responses, each with its query
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    responses: u64,
    /// Responses in a second of event time
    #[arg(long, value_name = "COUNT", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=900_000))]
    per_s: u32,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("got '{text}', expected a number from 0 to 1")),
    }
}

fn main() -> ExitCode {
    match make(&Cli::parse().command) {
        Ok(done) => {
            say(&done);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("fluxtap-sim: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Makes what was asked for and gives the lines that say what was written.
fn make(command: &Command) -> Result<String, String> {
    match command {
        Command::Grid(args) => make_grid(args),
        Command::Attack(args) => make_attack(args),
        Command::Attacks => list_attacks(),
        Command::Pictures(args) => make_pictures(args),
        Command::Calibrate(args) => make_calibration(args),
        Command::Demo(_) | Command::Scenario(_) | Command::Bench(_) => make_capture(command),
    }
}

fn list_attacks() -> Result<String, String> {
    let list: String = Attack::ALL.iter().map(|attack| format!("{}\n", attack.as_str())).collect();
    io::stdout().write_all(list.as_bytes()).map_err(|error| format!("standard output: {error}"))?;
    Ok(String::new())
}

fn make_capture(command: &Command) -> Result<String, String> {
    let book = Intel::embedded();
    let (output, scenario, truth) = match command {
        Command::Grid(_)
        | Command::Attack(_)
        | Command::Attacks
        | Command::Pictures(_)
        | Command::Calibrate(_) => {
            unreachable!("these make no capture")
        }
        Command::Demo(args) => {
            let scenario = fluxtap_sim::demo(args.output.seed, &book);
            (&args.output, scenario, Some(&args.truth))
        }
        Command::Scenario(args) => {
            let scenario =
                fluxtap_sim::scenario(args.name.0, args.output.seed, args.scale.scale(), &book);
            (&args.output, scenario, args.truth.as_ref())
        }
        Command::Bench(args) => {
            let size = BenchSize {
                responses: args.responses,
                domains: args.domains,
                flux_share: args.flux_share,
                duration_s: args.duration_s,
            };
            (&args.output, fluxtap_sim::bench(args.output.seed, size, &book), args.truth.as_ref())
        }
    };
    let scenario = scenario.map_err(|error| error.to_string())?;
    let summary = write_capture(&scenario, &output.out).map_err(|error| at(&output.out, &error))?;
    let mut done = format!(
        "wrote {}: {} packets, {} responses (seed {}; {} lost, {} twice)\n",
        output.out.display(),
        summary.packets,
        summary.responses,
        scenario.seed,
        summary.lost,
        summary.duplicated,
    );
    if let Some(path) = truth {
        write_truth(&scenario, &summary, path).map_err(|error| at(path, &error))?;
        done += &format!(
            "wrote {}: {} flux domains shown\n",
            path.display(),
            summary.first_flux_answers.len()
        );
    }
    Ok(done)
}

fn make_attack(args: &AttackArgs) -> Result<String, String> {
    let Output { seed, out } = &args.output;
    let kind = Attack::ALL.into_iter().find(|kind| kind.as_str() == args.kind);
    let kind = kind.ok_or_else(|| format!("got attack {}, expected a known one", args.kind))?;
    let write = || {
        let mut writer = PcapWriter::new(BufWriter::with_capacity(1 << 20, File::create(out)?))?;
        let sink = &mut |packet: Packet<'_>| writer.write(packet);
        fluxtap_sim::attack(kind, *seed, args.responses, args.per_s, sink)?;
        writer.into_inner().flush()
    };
    write().map_err(|error| at(out, &error))?;
    Ok(format!("wrote {}: {} responses (seed {seed})\n", out.display(), args.responses))
}

/// Measures the rows and writes both files anew behind each, so that nothing measured is lost.
fn make_grid(args: &GridArgs) -> Result<String, String> {
    let row = |cell: &Cell| {
        let rows = fluxtap_sim::measure(cell).map_err(|error| error.to_string())?;
        say(&format!("measured {}\n", cell.named.as_str()));
        Ok::<_, String>(rows)
    };
    let quick = row(&fluxtap_sim::quick_cell())?.remove(0);
    let mut grid = Grid { model: fluxtap_flux::MODEL, quick, rows: Vec::new() };
    grid.write(args)?;
    for cell in fluxtap_sim::full_grid(args.hide) {
        if cell.named.as_str().starts_with(&args.only) {
            grid.rows.extend(row(&cell)?);
            grid.write(args)?;
        }
    }
    Ok(format!("wrote {} and {}\n", args.md.display(), args.json.display()))
}

fn make_pictures(args: &PicturesArgs) -> Result<String, String> {
    let text = std::fs::read_to_string(&args.grid)
        .map_err(|error| format!("cannot read '{}': {error}", args.grid.display()))?;
    let grid: Value = serde_json::from_str(&text)
        .map_err(|error| format!("cannot read '{}': {error}", args.grid.display()))?;
    let mut done = String::new();
    for (name, picture) in fluxtap_sim::pictures(&grid)? {
        done += &written(&args.out.join(name), &picture)?;
    }
    Ok(done)
}

fn make_calibration(args: &CalibrateArgs) -> Result<String, String> {
    let made = if args.page {
        let path = args.out.join("calibration.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot read '{}': {error}", path.display()))?;
        fluxtap_sim::tell_calibration(&text)?
    } else {
        fluxtap_sim::calibrate(&mut say).map_err(|error| error.to_string())?
    };
    let json = lines(&made.value, CALIBRATION_DEPTH) + "\n";
    let mut done = String::new();
    for (name, text) in [
        ("calibration.md", &made.markdown),
        ("calibration.json", &json),
        ("calibration.svg", &made.picture),
    ] {
        done += &written(&args.out.join(name), text)?;
    }
    Ok(done)
}

/// Writes a file and says so.
fn written(path: &Path, text: &str) -> Result<String, String> {
    std::fs::write(path, text).map_err(|error| at(path, &error))?;
    Ok(format!("wrote {}\n", path.display()))
}

/// How deep the JSON of the calibration is broken into lines: down to a row.
const CALIBRATION_DEPTH: u32 = 3;

/// How deep the JSON of the grid is broken into lines: down to a family.
const JSON_DEPTH: u32 = 5;

/// JSON with a line for each value of the uppermost `depth` levels, so that a difference shows
/// what changed and no more.
fn lines(value: &Value, depth: u32) -> String {
    let inner = |value| lines(value, depth - 1);
    let (open, items, close): (_, Vec<String>, _) = match value {
        Value::Array(list) if depth > 0 && !list.is_empty() => {
            ('[', list.iter().map(inner).collect(), ']')
        }
        Value::Object(object) if depth > 0 && !object.is_empty() => {
            let item =
                |(name, value)| format!("{}: {}", Value::from(String::clone(name)), inner(value));
            ('{', object.iter().map(item).collect(), '}')
        }
        other => return other.to_string(),
    };
    format!("{open}\n{}\n{close}", items.join(",\n"))
}

/// The checked-in grid.
#[derive(Serialize)]
struct Grid {
    model: &'static str,
    /// What a test measures again.
    quick: Measured,
    rows: Vec<Measured>,
}

impl Grid {
    fn write(&self, args: &GridArgs) -> Result<(), String> {
        let value = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let text = lines(&value, JSON_DEPTH) + "\n";
        std::fs::write(&args.json, text).map_err(|error| at(&args.json, &error))?;
        std::fs::write(&args.md, self.markdown()).map_err(|error| at(&args.md, &error))
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "# The quality grid\n\nMade by `make quality`; do not edit.\n\
             Model `{}`, all traffic synthetic, from seeds that nothing was tuned with; \
             [detection.md](detection.md#the-quality-grid) says what the figures mean.\n",
            self.model
        );
        for row in &self.rows {
            let Measured { scenario, about, lists, seeds, responses, evicted, report } = row;
            text += &format!(
                "\n## {scenario}, {lists}\n\n{about}; seeds {seeds:?}, {responses} responses, \
                 {evicted} domains evicted.\n\n{report}"
            );
        }
        text
    }
}

fn write_capture(scenario: &Scenario, path: &Path) -> io::Result<Summary> {
    let mut writer = PcapWriter::new(BufWriter::with_capacity(1 << 20, File::create(path)?))?;
    let summary = fluxtap_sim::run(scenario, &mut |packet| writer.write(packet))?;
    writer.into_inner().flush()?;
    Ok(summary)
}

fn write_truth(scenario: &Scenario, summary: &Summary, path: &Path) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    fluxtap_sim::write_truth(scenario, summary, &mut out)?;
    out.flush()
}

fn at(path: &Path, error: &io::Error) -> String {
    format!("cannot write '{}': {error}", path.display())
}

/// Tells a person; standard output stays free. Nothing can be done about a closed stderr.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        for (text, is_share) in
            [("0", true), ("1", true), ("0.01", true), ("1.1", false), ("NaN", false)]
        {
            assert_eq!(share(text).is_ok(), is_share, "{text}");
        }
    }
}
