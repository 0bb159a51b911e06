//! `fluxtap intel`: what the look-ups rest on, single look-ups, coverage, and tables of one's own.

mod build;
mod coverage;
mod lookup;

use crate::console::{self, Exit, count, grouped};
use crate::output::{self, json_line};
use crate::tables::{self, AGE_DAYS_MAX, Origin, TableArgs, Tables};
use clap::{Args, Subcommand};
use fluxtap_intel::{Intel, ZoneKind, suffix};
use serde_json::{Value, json};

/// Arguments of `intel`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct IntelArgs {
    #[command(subcommand)]
    command: Option<IntelCommand>,
    #[command(flatten)]
    tables: TableArgs,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum IntelCommand {
    /// Tell what is known of addresses and names.
    #[command(after_help = "\
Examples:
  fluxtap intel lookup 8.8.8.8 2001:4860:4860::8888
  fluxtap intel lookup --json d111111abcdef8.cloudfront.net
  fluxtap intel lookup --asn-table GeoLite2-ASN.mmdb 203.0.113.7")]
    Lookup(lookup::LookupArgs),
    /// Tell how many of the addresses answered in captures the tables know.
    #[command(after_help = "\
Examples:
  fluxtap intel coverage monday.pcap tuesday.pcap
  fluxtap intel coverage --asn-table mine.fxtb --json monday.pcap")]
    Coverage(coverage::CoverageArgs),
    /// Make one compact table from downloaded files; it loads at once.
    #[command(after_help = "\
Examples:
  fluxtap intel build --asn GeoLite2-ASN.mmdb --country GeoLite2-Country.mmdb --out mine.fxtb
  fluxtap intel build --asn ip2asn-combined.tsv --out mine.fxtb
  fluxtap intel build --asn asn-ipv4.csv --asn asn-ipv6.csv \\
      --country asn-country-ipv4.csv --country asn-country-ipv6.csv --out mine.fxtb
Then: fluxtap run --asn-table mine.fxtb -i eth1")]
    Build(build::BuildArgs),
}

/// Runs the command.
pub(crate) fn run(args: &IntelArgs) -> Exit {
    match &args.command {
        Some(IntelCommand::Lookup(args)) => lookup::run(args),
        Some(IntelCommand::Coverage(args)) => coverage::run(args),
        Some(IntelCommand::Build(args)) => build::run(args),
        None => show(args),
    }
}

fn show(args: &IntelArgs) -> Exit {
    let tables = match args.tables.load() {
        Ok(tables) => tables,
        Err(exit) => return exit,
    };
    if args.json {
        return output::print(&json_line(&as_json(&tables)));
    }
    let mut lines = table_lines(&tables);
    lines.push(format!("public suffixes  {}, both sections", suffix::LIST));
    let zones = Zones::of(&tables.intel);
    lines.push(format!(
        "curated zones    {} ({} cdn, {} pool), the newest of {}; embedded",
        grouped(zones.entries),
        grouped(zones.cdn),
        grouped(zones.pool),
        zones.newest
    ));
    lines.push(format!("ASN classes      {}; embedded", class_line()));
    output::print(&console::page(&lines))
}

fn table_lines(tables: &Tables) -> Vec<String> {
    let Some(info) = tables.intel.table_info() else {
        return vec!["address table    none: networks are told apart by prefix".to_owned()];
    };
    let mut lines = vec![format!(
        "address table    {}: {} IPv4 and {} IPv6 ranges, {} autonomous systems, {} bytes",
        info.origin,
        grouped(info.ranges_v4.into()),
        grouped(info.ranges_v6.into()),
        grouped(info.asns.into()),
        grouped(info.bytes as u64),
    )];
    let origin = |what: &str, origin: &Option<Origin>, lines: &mut Vec<String>| {
        let Some(origin) = origin else { return };
        lines.push(format!("  {what:14} {}: {}", origin.from, origin.format));
        lines.push(format!("  {:14} {}", "", age(origin)));
        if origin.notes != Default::default() {
            lines.push(format!("  {:14} {}", "", origin.notes));
        }
    };
    if tables.asn == tables.country {
        origin("from", &tables.asn, &mut lines);
    } else {
        origin("owners from", &tables.asn, &mut lines);
        origin("countries from", &tables.country, &mut lines);
    }
    lines
}

fn age(origin: &Origin) -> String {
    let day = match (&origin.day, &origin.written) {
        (Some(day), _) => format!("of {day}"),
        (None, Some(written)) => format!("of an unknown day, the file was written on {written}"),
        (None, None) => "of an unknown day".to_owned(),
    };
    let Some(days) = origin.age_days() else { return day };
    let is_old = if days > AGE_DAYS_MAX { ": older than a year, replace it" } else { "" };
    format!("{day}, {} old{is_old}", count(days.max(0).unsigned_abs(), "day"))
}

fn class_line() -> String {
    let Ok(curated) = tables::classes(None) else { return "none".to_owned() };
    let counts = curated.counts();
    let all: usize = counts.iter().map(|(_, rows)| rows).sum();
    let parts: Vec<String> =
        counts.iter().map(|(class, rows)| format!("{rows} {}", class.as_str())).collect();
    format!("{} ({})", grouped(all as u64), parts.join(", "))
}

/// The curated zones in figures.
struct Zones {
    entries: u64,
    cdn: u64,
    pool: u64,
    newest: String,
}

impl Zones {
    fn of(intel: &Intel) -> Self {
        let zones = intel.zones();
        let of_kind = |kind| zones.iter().filter(|zone| zone.kind == kind).count() as u64;
        Self {
            entries: zones.len() as u64,
            cdn: of_kind(ZoneKind::Cdn),
            pool: of_kind(ZoneKind::Pool),
            newest: zones.iter().map(|zone| &*zone.added).max().unwrap_or_default().to_owned(),
        }
    }
}

fn as_json(tables: &Tables) -> Value {
    let origin = |origin: &Option<Origin>| {
        origin.as_ref().map(|origin| {
            let notes = &origin.notes;
            json!({
                "from": origin.from,
                "format": origin.format,
                "date": origin.day.map(|day| day.to_string()),
                "written": origin.written.map(|day| day.to_string()),
                "age_days": origin.age_days(),
                "is_old": origin.age_days().is_some_and(|days| days > AGE_DAYS_MAX),
                "left_out": {
                    "rows_with_reserved_asn": notes.reserved,
                    "rows_below_64": notes.below_64,
                    "rows_trimmed": notes.trimmed,
                    "rows_renamed": notes.renamed,
                    "rows_overlapping": notes.overlaps.rows,
                },
            })
        })
    };
    let table = tables.intel.table_info().map(|info| {
        json!({
            "origin": info.origin,
            "date": info.date,
            "source": info.source,
            "ranges_v4": info.ranges_v4,
            "ranges_v6": info.ranges_v6,
            "asns": info.asns,
            "bytes": info.bytes,
            "owners": origin(&tables.asn),
            "countries": origin(&tables.country),
        })
    });
    let zones = Zones::of(&tables.intel);
    let classes = tables::classes(None).map(|curated| curated.counts()).unwrap_or_default();
    let classes: serde_json::Map<String, Value> =
        classes.iter().map(|(class, rows)| (class.as_str().to_owned(), (*rows).into())).collect();
    json!({
        "address_table": table,
        "public_suffixes": { "list": suffix::LIST },
        "curated_zones": {
            "origin": "embedded",
            "entries": zones.entries,
            "cdn": zones.cdn,
            "pool": zones.pool,
            "newest": zones.newest,
        },
        "asn_classes": { "origin": "embedded", "entries": classes },
    })
}
