//! Address tables as settings: which file tells what, loaded before anything else starts.

use crate::console::{self, Exit};
use crate::{config, output};
use clap::Args;
use fluxtap_config::AddressTable;
use fluxtap_intel::table::Table;
use fluxtap_intel::{Day, Intel};
use fluxtap_tables::{ClassList, Content, Notes, Plan};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Age from which a table is warned of. Networks pass on by some percent in a year.
pub(crate) const AGE_DAYS_MAX: i64 = 365;

/// Which tables to use; what is not given is as configured.
#[derive(Clone, Debug, Args)]
pub(crate) struct TableArgs {
    /// Owners of addresses: embedded, none, or a FILE: MaxMind DB, CSV or TSV of ranges, or what
    /// `fluxtap intel build` wrote; by default as configured.
    #[arg(long, value_name = "TABLE")]
    asn_table: Option<AddressTable>,
    /// Countries of addresses from a FILE of such a kind, instead of those of the owners' table.
    #[arg(long, value_name = "FILE")]
    country_table: Option<PathBuf>,
}

impl TableArgs {
    /// Loads the tables.
    pub(crate) fn load(&self) -> Result<Tables, Exit> {
        let settings = config::of_files()?;
        let asn = self.asn_table.as_ref().unwrap_or(&settings.address_table);
        load(asn, self.country_table.as_deref().or(settings.country_table.as_deref()))
    }
}

/// The tables in force.
pub(crate) struct Tables {
    pub(crate) intel: Intel,
    /// Where the owners come from; `None` without a table.
    pub(crate) asn: Option<Origin>,
    /// Where the countries come from, which may be the same.
    pub(crate) country: Option<Origin>,
}

/// Where a part of the table comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `embedded`, or the path of the user's file.
    pub(crate) from: String,
    /// What kind of file it is, or what the embedded table was made from.
    pub(crate) format: String,
    /// Day of the data, as the file tells it.
    pub(crate) day: Option<Day>,
    /// Day the file was last written; `None` for the embedded table.
    pub(crate) written: Option<Day>,
    /// What was left out or changed.
    pub(crate) notes: Notes,
    /// The address family it says nothing about.
    pub(crate) lacks: Option<&'static str>,
}

impl Origin {
    fn embedded() -> Option<Self> {
        let intel = Intel::embedded();
        let info = intel.table_info()?;
        Some(Self {
            from: "embedded".to_owned(),
            format: info.source.to_owned(),
            day: info.date.and_then(Day::parse),
            written: None,
            notes: Notes::default(),
            lacks: None,
        })
    }

    fn of_file(path: &Path, content: &Content) -> Self {
        let (v4, v6) = content.families();
        Self {
            from: path.display().to_string(),
            format: content.format().to_owned(),
            day: content.day(),
            written: written(path),
            notes: content.notes().clone(),
            lacks: if !v4 {
                Some("IPv4")
            } else if !v6 {
                Some("IPv6")
            } else {
                None
            },
        }
    }

    /// Days since the data were made or, where the file does not tell, since it was written.
    pub(crate) fn age_days(&self) -> Option<i64> {
        let day = self.day.or(self.written)?;
        Some(i64::from(today().0) - i64::from(day.0))
    }
}

/// Loads the tables. Nothing may start when this fails; what is wrong is said.
pub(crate) fn load(asn: &AddressTable, country: Option<&Path>) -> Result<Tables, Exit> {
    let tables = match (asn, country) {
        (AddressTable::None, None) => {
            Tables { intel: Intel::without_table(), asn: None, country: None }
        }
        (AddressTable::None, Some(path)) => {
            console::error(&format!(
                "--country-table: got {} together with --asn-table none, expected owners beside \
                 the countries; give a file to --asn-table, or leave one of the two out",
                path.display()
            ));
            return Err(Exit::BadConfig);
        }
        (AddressTable::Embedded, None) => {
            let origin = Origin::embedded();
            Tables { intel: Intel::embedded(), asn: origin.clone(), country: origin }
        }
        (AddressTable::Embedded, Some(country)) => of_files(None, Some(country))?,
        (AddressTable::Path(asn), country) => of_files(Some(asn), country)?,
    };
    warn(&tables);
    Ok(tables)
}

/// A table of the user's files; the embedded one tells what they do not.
fn of_files(asn: Option<&Path>, country: Option<&Path>) -> Result<Tables, Exit> {
    let failed = |flag: &'static str| {
        move |reason: Refused| {
            console::error(&format!("{flag}: {}", reason.message));
            if reason.is_readable { Exit::BadConfig } else { Exit::NoInput }
        }
    };
    let asn = asn.map(|path| read_asns(path).map_err(failed("--asn-table"))).transpose()?;
    let country =
        country.map(|path| read_countries(path).map_err(failed("--country-table"))).transpose()?;
    let embedded = Intel::embedded();
    let asn_origin = asn.as_ref().map(|(origin, _)| origin.clone()).or_else(Origin::embedded);
    let country_origin = match (&asn, &country) {
        (_, Some((origin, _))) => Some(origin.clone()),
        (Some((origin, content)), None) if content.has_countries() => Some(origin.clone()),
        _ => Origin::embedded(),
    };
    let asn: Vec<Content> = asn.into_iter().map(|(_, content)| content).collect();
    let country: Vec<Content> = country.into_iter().map(|(_, content)| content).collect();
    let day = asn_origin.as_ref().and_then(|origin| origin.day);
    let table = made(asn, &country, embedded.table(), day)
        .inspect_err(|message| console::error(&format!("--asn-table: {message}")))
        .map_err(|_| Exit::BadConfig)?;
    Ok(Tables { intel: Intel::with_table(table), asn: asn_origin, country: country_origin })
}

/// A table that was made before is used as it is; anything else is made into one.
fn made(
    mut asn: Vec<Content>,
    country: &[Content],
    fallback: Option<&Table>,
    day: Option<Day>,
) -> Result<Table, String> {
    let is_whole = asn.first().is_some_and(Content::has_countries);
    if country.is_empty()
        && is_whole
        && let Some(only) = asn.pop()
    {
        match only.into_table() {
            Ok(table) => return Ok(table),
            Err(content) => asn.push(*content),
        }
    }
    let classes = classes(None)?;
    let source: Vec<&str> = asn.iter().chain(country).map(Content::format).collect();
    let source = source.join(", ");
    let plan = Plan { asn: &asn, country, fallback, classes: &classes, day, source: &source };
    fluxtap_tables::make(&plan).map(|made| made.table).map_err(|error| error.to_string())
}

/// The list of classes, from a file or the one that is compiled in.
pub(crate) fn classes(path: Option<&Path>) -> Result<ClassList, String> {
    let Some(path) = path else {
        return ClassList::embedded().map_err(|mistakes| mistakes.join("; "));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{}: cannot read it: {error}", path.display()))?;
    ClassList::parse(&text)
        .map_err(|mistakes| format!("{}: {}", path.display(), mistakes.join("; ")))
}

/// Why a file of the user's is not used.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What is wrong, with the file's name.
    pub(crate) message: String,
    /// Whether it could be read at all.
    pub(crate) is_readable: bool,
}

/// Reads a file that has to tell autonomous systems.
pub(crate) fn read_asns(path: &Path) -> Result<(Origin, Content), Refused> {
    let (origin, content) = read(path)?;
    if content.has_asns() {
        return Ok((origin, content));
    }
    Err(Refused {
        message: format!(
            "{}: got {} without autonomous system numbers, expected some; if it tells countries, \
             give it as the country table",
            origin.from, origin.format
        ),
        is_readable: true,
    })
}

/// Reads a file that has to tell countries.
pub(crate) fn read_countries(path: &Path) -> Result<(Origin, Content), Refused> {
    let (origin, content) = read(path)?;
    if content.has_countries() {
        return Ok((origin, content));
    }
    Err(Refused {
        message: format!(
            "{}: got {} without countries, expected some; if it tells autonomous systems, give it \
             as the ASN table",
            origin.from, origin.format
        ),
        is_readable: true,
    })
}

fn read(path: &Path) -> Result<(Origin, Content), Refused> {
    let file = File::open(path).map_err(|error| Refused {
        message: format!(
            "{}: cannot read it: {error}; check the path and its permissions",
            path.display()
        ),
        is_readable: false,
    })?;
    let content = fluxtap_tables::read(file).map_err(|error| Refused {
        message: format!("{}: {error}", path.display()),
        is_readable: !matches!(error, fluxtap_tables::InputError::Io(_)),
    })?;
    Ok((Origin::of_file(path, &content), content))
}

/// Says once what should be known about the tables: overlaps, what they lack, and age.
fn warn(tables: &Tables) {
    let mut origins: Vec<&Origin> = tables.asn.iter().chain(&tables.country).collect();
    origins.dedup();
    for origin in origins {
        if origin.notes.overlaps.rows > 0 {
            console::warning(&format!("{}: {}", origin.from, origin.notes));
        }
        if let Some(family) = origin.lacks {
            console::warning(&format!(
                "{}: got no {family} ranges, so {family} addresses will have no owner or country \
                 from it; put several files together with `fluxtap intel build`",
                origin.from
            ));
        }
        if let Some(age_days) = origin.age_days().filter(|&days| days > AGE_DAYS_MAX) {
            console::warning(&old(origin, age_days));
        }
    }
}

fn old(origin: &Origin, age_days: i64) -> String {
    let day = origin.day.or(origin.written).map(|day| day.to_string()).unwrap_or_default();
    let what = if origin.from == "embedded" {
        "the embedded address table".to_owned()
    } else {
        format!("the address table {}", origin.from)
    };
    format!(
        "{what} is of {day}, {} days old: owners and countries may have changed; download a newer \
         one and give it to --asn-table, see `fluxtap intel --help`",
        console::grouped(age_days.unsigned_abs())
    )
}

/// The day a file was last written.
fn written(path: &Path) -> Option<Day> {
    let at = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    Some(Day::of(at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs()))
}

/// The day it is, UTC.
fn today() -> Day {
    Day::of(output::now().secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_names_a_table_or_a_file() {
        for (text, expect) in [
            ("embedded", Some(AddressTable::Embedded)),
            ("none", Some(AddressTable::None)),
            ("./none", Some(AddressTable::Path("./none".into()))),
            ("a.mmdb", Some(AddressTable::Path("a.mmdb".into()))),
            ("", None),
        ] {
            let got = text.parse::<AddressTable>().ok();
            assert_eq!(got, expect, "{text}");
        }
    }

    #[test]
    fn an_old_table_says_its_day_and_what_to_do() {
        let origin = Origin {
            from: "a.csv".to_owned(),
            format: "comma-separated lines".to_owned(),
            day: None,
            written: Day::parse("2020-02-01"),
            notes: Notes::default(),
            lacks: None,
        };
        assert!(origin.age_days().is_some_and(|days| days > 2_000));
        let text = old(&origin, 2_400);
        for part in ["a.csv is of 2020-02-01", "2,400 days old", "--asn-table"] {
            assert!(text.contains(part), "{text}");
        }
        let told = Origin { day: Some(today()), ..origin };
        assert_eq!(told.age_days(), Some(0), "the day of the data goes before that of the file");
    }
}
