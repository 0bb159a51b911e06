//! Packs ip-location-db CSV files into the tables that `fluxtap-intel` embeds.
//!
//! The same files and class list give the same bytes. Nothing is dropped silently: every row that
//! is left out or cut is counted, printed and explained. The packed files are decoded again before
//! they are written, so what is written can be read.

#![forbid(unsafe_code)]

mod classes;
mod merge;
mod pack;
mod rows;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use fluxtap_intel::AddressClass;
use fluxtap_intel::table::{Names, Table};

use classes::{Basis, ClassOf, Curated};
use merge::{Range, merge};
use pack::{Origin, Packed};
use rows::{Dropped, Family, Row};

/// Packs address ranges, countries, AS names and classes into the tables of fluxtap-intel.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Folder of the package `@ip-location-db/asn`, with asn-ipv4.csv and asn-ipv6.csv
    #[arg(long, value_name = "DIR")]
    asn: PathBuf,
    /// Folder of the package `@ip-location-db/asn-country`, with asn-country-ipv4.csv and -ipv6.csv
    #[arg(long, value_name = "DIR")]
    country: PathBuf,
    /// Curated classes by ASN (sensor-config/asn-classes.tsv)
    #[arg(long, value_name = "FILE")]
    classes: PathBuf,
    /// Day of the data, YYYY-MM-DD
    #[arg(long)]
    date: String,
    /// Where the data comes from, with versions, in one line
    #[arg(long)]
    source: String,
    /// Folder to write addresses.fxtb and as-names.fxtb to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Also write every ASN with its class and what decided it, for review
    #[arg(long, value_name = "FILE")]
    list_classes: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut report = String::new();
    let outcome = run(&args, &mut report);
    // The report says what happened up to a mistake, too.
    let mut ended = io::stdout().lock().write_all(report.as_bytes()).map_err(|e| e.to_string());
    if outcome.is_err() {
        ended = outcome;
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(mistake) => {
            // Nobody is left to tell if standard error is gone as well.
            let _ = writeln!(io::stderr(), "fluxtap-tables: {mistake}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, report: &mut String) -> Result<(), String> {
    let mut names = BTreeMap::new();
    let mut ranges = Vec::new();
    let mut addresses_v4 = BTreeMap::new();
    for family in [Family::V4, Family::V6] {
        let asns =
            read(&args.asn, "asn", family, report, |path| rows::asns(path, family, &mut names))?;
        let countries = read(&args.country, "asn-country", family, report, |path| {
            rows::countries(path, family)
        })?;
        if family == Family::V4 {
            for row in &asns {
                *addresses_v4.entry(row.value).or_insert(0_u64) += row.last - row.first + 1;
            }
        }
        let merged = merge(&asns, &countries, family);
        say(report, format_args!("{}: {} ranges with gaps, merged", family.as_str(), merged.len()));
        ranges.push(merged);
    }
    let curated = Curated::parse(&read_text(&args.classes)?)
        .map_err(|mistakes| format!("{}: {}", args.classes.display(), mistakes.join("\n  ")))?;
    let classes = classify(&names, &curated, &addresses_v4, report);
    let origin = Origin { date: args.date.clone(), source: args.source.clone() };
    let packed = pack::pack(&origin, &names, &classes, &ranges[0], &ranges[1])?;
    prove(&packed, &ranges[0], &ranges[1], &names)?;
    for (file, bytes) in [("addresses.fxtb", &packed.addresses), ("as-names.fxtb", &packed.names)] {
        let path = args.out.join(file);
        fs::write(&path, bytes).map_err(|e| format!("cannot write '{}': {e}", path.display()))?;
        say(report, format_args!("wrote {file}: {} bytes", bytes.len()));
    }
    if let Some(path) = &args.list_classes {
        let mut list = String::new();
        for (asn, ClassOf { class, basis, .. }) in &classes {
            let size = addresses_v4.get(asn).copied().unwrap_or(0);
            say(
                &mut list,
                format_args!(
                    "{asn}\t{}\t{}\t{size}\t{}",
                    class.as_str(),
                    basis.as_str(),
                    names[asn]
                ),
            );
        }
        fs::write(path, list).map_err(|e| format!("cannot write '{}': {e}", path.display()))?;
    }
    Ok(())
}

/// Reads one CSV file of a package and reports what was dropped of it.
fn read<V>(
    folder: &Path,
    stem: &str,
    family: Family,
    report: &mut String,
    rows: impl FnOnce(&Path) -> Result<(Vec<Row<V>>, Dropped), String>,
) -> Result<Vec<Row<V>>, String> {
    let file = format!("{stem}-{}.csv", family.as_str());
    let (rows, dropped) = rows(&folder.join(&file))?;
    say(report, format_args!("{file}: {} rows kept{dropped}", rows.len()));
    Ok(rows)
}

fn read_text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("cannot read '{}': {e}", path.display()))
}

/// Classes of all ASNs, and a report of how they came about.
fn classify(
    names: &BTreeMap<u32, String>,
    curated: &Curated,
    addresses_v4: &BTreeMap<u32, u64>,
    report: &mut String,
) -> BTreeMap<u32, ClassOf> {
    for (asn, why) in curated.misfits(names) {
        say(report, format_args!("class list: AS{asn} not applied: {why}"));
    }
    let classes: BTreeMap<u32, ClassOf> =
        names.iter().map(|(&asn, name)| (asn, classes::class_of(asn, name, curated))).collect();
    let mut sums: BTreeMap<(AddressClass, Basis), (u64, u64)> = BTreeMap::new();
    for (asn, found) in &classes {
        let sum = sums.entry((found.class, found.basis)).or_default();
        sum.0 += 1;
        sum.1 += addresses_v4.get(asn).copied().unwrap_or(0);
    }
    let all: u64 = addresses_v4.values().sum();
    for ((class, basis), (asns, addresses)) in sums {
        // Permille in integers keeps the report the same everywhere.
        let permille = addresses * 1000 / all.max(1);
        say(
            report,
            format_args!(
                "class {} by {}: {asns} ASNs, {}.{} % of the IPv4 addresses",
                class.as_str(),
                basis.as_str(),
                permille / 10,
                permille % 10
            ),
        );
    }
    classes
}

/// Decodes what was packed and looks up the first address of every range.
fn prove(
    packed: &Packed,
    v4: &[Range],
    v6: &[Range],
    names: &BTreeMap<u32, String>,
) -> Result<(), String> {
    let table = Table::decode(&packed.addresses).map_err(|e| e.to_string())?;
    for (ranges, family) in [(v4, Family::V4), (v6, Family::V6)] {
        for range in ranges {
            let ip = family.address(range.first);
            let owner = table.owner(ip);
            if (owner.asn, owner.country) != (range.asn, range.country) {
                return Err(format!("packed table answers {owner:?} for {ip}, expected {range:?}"));
            }
        }
    }
    let packed_names = Names::decode(&packed.names).map_err(|e| e.to_string())?;
    for (&asn, name) in names {
        if packed_names.get(asn) != Some(name) {
            return Err(format!("packed names lost '{name}' of AS{asn}"));
        }
    }
    Ok(())
}

fn say(report: &mut String, line: std::fmt::Arguments<'_>) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = writeln!(report, "{line}");
}
