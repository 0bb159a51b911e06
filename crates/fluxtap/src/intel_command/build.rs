//! `fluxtap intel build`: one table from downloaded files.

use crate::console::{self, Exit, grouped};
use crate::tables::{self, Origin, Refused};
use clap::Args;
use fluxtap_intel::table::Table;
use fluxtap_intel::table::format::MAGIC;
use fluxtap_intel::{AddressClass, Day, Intel};
use fluxtap_tables::{Basis, ClassList, Content, Made, Plan, make};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Arguments of `intel build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// File that tells autonomous systems: MaxMind DB, CSV or TSV; give it again for further
    /// files, such as IPv4 and IPv6 apart.
    #[arg(long, required = true, value_name = "FILE")]
    asn: Vec<PathBuf>,
    /// File that tells countries, if those of --asn do not; may be given again.
    #[arg(long, value_name = "FILE")]
    country: Vec<PathBuf>,
    /// Where to write the table.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Day of the data; by default the one the first file of --asn tells, else when it was written.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    date: Option<Day>,
    /// Where the data comes from, in one line; by default the names of the files.
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// Classes by ASN instead of the list that is compiled in.
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Do not take names, and countries without a file, from the embedded table.
    #[arg(long)]
    no_embedded: bool,
    /// Also write each ASN with its class and what decided it, for review.
    #[arg(long, value_name = "FILE")]
    list_classes: Option<PathBuf>,
}

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).ok_or_else(|| "expected a day such as 2026-06-17".to_owned())
}

/// Builds, writes and reports.
pub(crate) fn run(args: &BuildArgs) -> Exit {
    match build(args) {
        Ok(()) => Exit::Done,
        Err((exit, message)) => {
            console::error(&format!("intel build: {message}"));
            exit
        }
    }
}

/// A failure with the exit status that says of what kind it is.
type Failure = (Exit, String);

fn build(args: &BuildArgs) -> Result<(), Failure> {
    check_out(&args.out)?;
    let (asn_origins, asn) = read_all(&args.asn, tables::read_asns)?;
    let (country_origins, country) = read_all(&args.country, tables::read_countries)?;
    let first = asn_origins.first();
    let day = args.date.or_else(|| first.and_then(|o| o.day.or(o.written)));
    let source = args.source.clone().unwrap_or_else(|| {
        let origins = asn_origins.iter().chain(&country_origins);
        let names: Vec<String> =
            origins.map(|o| format!("{} ({})", base(&o.from), o.format)).collect();
        names.join(", ")
    });
    let classes = tables::classes(args.classes.as_deref()).map_err(|m| (Exit::BadData, m))?;
    let embedded = Intel::embedded();
    let plan = Plan {
        asn: &asn,
        country: &country,
        fallback: embedded.table().filter(|_| !args.no_embedded),
        classes: &classes,
        day,
        source: &source,
    };
    let made = make(&plan).map_err(|error| (Exit::BadData, error.to_string()))?;
    write(&args.out, made.table.as_bytes())?;
    if let Some(path) = &args.list_classes {
        write(path, list(&made).as_bytes())?;
    }
    report(&made, &classes);
    let header = made.table.header();
    console::say(&format!(
        "wrote {}: {} IPv4 and {} IPv6 ranges, {} autonomous systems, of {}, {} bytes",
        args.out.display(),
        grouped(header.ranges_v4.into()),
        grouped(header.ranges_v6.into()),
        grouped(header.asns.into()),
        header.date.as_deref().unwrap_or("an unknown day"),
        grouped(made.table.as_bytes().len() as u64),
    ));
    Ok(())
}

fn read_all(
    paths: &[PathBuf],
    read: fn(&Path) -> Result<(Origin, Content), Refused>,
) -> Result<(Vec<Origin>, Vec<Content>), Failure> {
    let mut files = (Vec::new(), Vec::new());
    for path in paths {
        let (origin, content) = read(path).map_err(|refused| {
            let exit = if refused.is_readable { Exit::BadData } else { Exit::NoInput };
            (exit, refused.message)
        })?;
        let (asns, countries) = content.ranges();
        let notes = content.notes().to_string();
        let notes = if notes.is_empty() { notes } else { format!("; {notes}") };
        console::say(&format!(
            "read {}: {}, {} ranges of autonomous systems, {} of countries{notes}",
            path.display(),
            content.format(),
            grouped(asns as u64),
            grouped(countries as u64),
        ));
        files.0.push(origin);
        files.1.push(content);
    }
    Ok(files)
}

/// The name of a file without its folders: those are of this machine.
fn base(path: &str) -> String {
    let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| path.to_owned())
}

/// Refuses to write over a file that is no table: an argument in the wrong place would be lost.
fn check_out(path: &Path) -> Result<(), Failure> {
    let mut start = [0; MAGIC.len()];
    match File::open(path).and_then(|mut file| file.read(&mut start)) {
        Ok(0) | Err(_) => Ok(()),
        Ok(_) if start == MAGIC => Ok(()),
        Ok(_) => Err((
            Exit::Usage,
            format!(
                "--out: got {}, which holds something else than a table, expected a new file or \
                 one that was built before; name another",
                path.display()
            ),
        )),
    }
}

/// Writes a file whole or not at all: a sensor may be about to read it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        let message = format!(
            "cannot write {}: {error}; name a file in a folder you may write to",
            path.display()
        );
        (Exit::Failed, message)
    })
}

/// Says how the classes came about, and what of the list was not applied.
fn report(made: &Made, classes: &ClassList) {
    if made.overlaps.rows > 0 {
        console::say(&format!(
            "{} rows of one file overlap those of another (the narrowest counts)",
            grouped(made.overlaps.rows)
        ));
    }
    for (asn, why) in &made.misfits {
        console::say(&format!("class list: AS{asn} not applied: {why}"));
    }
    let rows: usize = classes.counts().iter().map(|(_, rows)| rows).sum();
    console::say(&format!(
        "class list: {} of {} rows applied",
        grouped((rows - made.misfits.len()) as u64),
        grouped(rows as u64)
    ));
    let mut sums: BTreeMap<(AddressClass, Basis), (u64, u64)> = BTreeMap::new();
    for found in &made.classified {
        let sum = sums.entry((found.class, found.basis)).or_default();
        sum.0 += 1;
        sum.1 += found.addresses_v4;
    }
    let all: u64 = sums.values().map(|(_, addresses)| addresses).sum();
    for ((class, basis), (asns, addresses)) in sums {
        // Permille in integers keeps the report the same everywhere.
        let permille = addresses * 1000 / all.max(1);
        console::say(&format!(
            "class {} by {}: {} ASNs, {}.{} % of the IPv4 addresses",
            class.as_str(),
            basis.as_str(),
            grouped(asns),
            permille / 10,
            permille % 10
        ));
    }
}

/// Each ASN with class, reason, size and name, a line each.
fn list(made: &Made) -> String {
    let name = |table: &Table, asn| table.name(asn).unwrap_or_default().to_owned();
    let line = |found: &fluxtap_tables::Classified| {
        format!(
            "{}\t{}\t{}\t{}\t{}\n",
            found.asn,
            found.class.as_str(),
            found.basis.as_str(),
            found.addresses_v4,
            name(&made.table, found.asn)
        )
    };
    made.classified.iter().map(line).collect()
}
