//! The truth file: what each domain of a capture is.

use std::io::{self, Write};

use fluxtap_wire::Timestamp;

use crate::family::Truth;
use crate::run::{Scenario, Summary};

/// Names of the columns.
pub const COLUMNS: [&str; 6] =
    ["registered_domain", "label", "family", "kind", "first_flux_answer", "notes"];

/// Writes the truth as tab-separated text: a line with the [`COLUMNS`], then one line a registrable
/// domain in the order of the names.
///
/// `label` is `flux` or `benign`; `kind` is what an alert should say and `first_flux_answer` the
/// time (seconds since 1970, six decimals) of the first response in the capture that shows the
/// flux, both `-` for benign domains and for flux that nobody asked about.
///
/// Needs memory for the lines of all domains, unlike the run.
///
/// # Errors
/// What `out` reports.
pub fn write_truth(scenario: &Scenario, summary: &Summary, out: &mut impl Write) -> io::Result<()> {
    let world = &scenario.world;
    let mut lines: Vec<String> = world
        .ids()
        .filter_map(|id| {
            let domain = world.domain(id);
            let family = world.family(&domain);
            let first = summary.first_flux_answers.get(&id).copied();
            let (label, kind, first) = match family.truth {
                Truth::Scenery => return None,
                Truth::Benign => ("benign", "-", None),
                Truth::Flux(kind) => ("flux", kind.as_str(), first),
            };
            let first = first.map_or_else(|| "-".to_owned(), seconds);
            let (name, family, notes) = (domain.registered(), family.name, family.notes);
            Some(format!("{name}\t{label}\t{family}\t{kind}\t{first}\t{notes}\n"))
        })
        .collect();
    lines.sort_unstable();
    writeln!(out, "{}", COLUMNS.join("\t"))?;
    lines.iter().try_for_each(|line| out.write_all(line.as_bytes()))
}

fn seconds(at: Timestamp) -> String {
    format!("{}.{:06}", at.secs(), at.0 / 1000 % 1_000_000)
}
