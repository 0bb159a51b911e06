//! Kind of network of each autonomous system: a curated list first, whole words of its name then.
//!
//! A wrong `hosting` or `education` hides a botnet and a wrong `access` accuses a pool of
//! volunteers, so words that several kinds of company use ("communications", "net", "systems",
//! "internet" alone) decide nothing, and a name with words of two kinds stays unknown. `cdn` is
//! never read from a name: those addresses are subtracted, and a name costs nothing.

use std::collections::BTreeMap;

use fluxtap_intel::AddressClass;

/// What decided a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// A row of the curated list.
    Curated,
    /// The words of the name.
    Name,
    /// Nothing did: the class is unknown.
    Nothing,
}

impl Basis {
    /// What decided, in a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Curated => "list",
            Self::Name => "name",
            Self::Nothing => "nothing",
        }
    }
}

/// The class of one autonomous system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClassOf {
    pub(crate) class: AddressClass,
    pub(crate) hyperscaler: bool,
    pub(crate) basis: Basis,
}

/// Class of an ASN by the names it goes by, the best known first: by list when its row fits one of
/// them, else by the words of the first that tells.
pub(crate) fn class_of(asn: u32, names: &[&str], list: &ClassList) -> ClassOf {
    if let Some(row) = list.rows.get(&asn)
        && names.iter().any(|name| row.fits(name))
    {
        return ClassOf { class: row.class, hyperscaler: row.hyperscaler, basis: Basis::Curated };
    }
    let mut classes = names.iter().map(|name| by_name(name));
    match classes.find(|&class| class != AddressClass::Unknown) {
        Some(class) => ClassOf { class, hyperscaler: false, basis: Basis::Name },
        None => {
            let class = AddressClass::Unknown;
            ClassOf { class, hyperscaler: false, basis: Basis::Nothing }
        }
    }
}

/// The class that the words of a name tell, or `Unknown` when they tell none or several.
fn by_name(name: &str) -> AddressClass {
    let lower = name.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let has = |list: &[&str]| {
        list.iter().any(|entry| {
            // A list entry is one word or several in a row.
            let count = entry.split(' ').count();
            words.windows(count).any(|window| entry.split(' ').eq(window.iter().copied()))
        })
    };
    // "Internet" alone is no kind of company; a small firm of Brazil called so is a provider of
    // access, licensed as such.
    let is_small_provider = has(&["internet"]) && has(&["ltda", "eireli", "me", "epp"]);
    match (has(ACCESS) || is_small_provider, has(HOSTING), has(EDUCATION)) {
        (true, false, false) => AddressClass::Access,
        (false, true, false) => AddressClass::Hosting,
        (false, false, true) => AddressClass::Education,
        _ => AddressClass::Unknown,
    }
}

/// Words of companies that connect homes, offices and phones.
#[rustfmt::skip]
const ACCESS: &[&str] = &[
    "acesso", "adsl", "banda ancha", "banda larga", "broadband", "cable", "cablevision", "catv",
    "cellular", "comunicacao multimidia", "dsl", "fiber", "fibernet", "fibra", "fibras", "fibre",
    "ftth", "gpon", "internet service provider", "isp", "kabel", "mobile telecommunications",
    "multimidia", "pppoe", "provedor", "provedora", "provedores", "radio internet",
    "rural telephone", "telecable", "telecel", "telecom", "telecomm", "telecommunication",
    "telecommunications", "telecoms", "telecomunicacao", "telecomunicaciones", "telecomunicacoes",
    "telefonia", "telefonica", "telekom", "telekomunikasi", "telekomunikasyon", "telephone",
    "telephony", "televisao", "televize", "wi fi", "wifi", "wimax", "wireless", "wisp",
];

/// Words of companies that rent out machines.
#[rustfmt::skip]
const HOSTING: &[&str] = &[
    "bare metal", "baremetal", "cloud", "clouds", "colo", "colocation", "data center",
    "data centers", "data centre", "data centres", "datacenter", "datacenters", "datacentre",
    "datacentres", "hebergement", "host", "hoster", "hosters", "hosting", "hostings", "hosts",
    "hébergement", "rackspace", "server", "serverhosting", "servers", "vds", "vpn", "vps",
    "webhost", "webhosting",
];

/// Words of schools, research and the state.
#[rustfmt::skip]
const EDUCATION: &[&str] = &[
    "academia", "academic", "academy of sciences", "air force", "army", "college", "colleges",
    "county government", "county of", "county office", "department of defense", "dod", "education",
    "educational", "escola", "gobierno", "gouvernement", "government", "governo", "hochschule",
    "institute of technology", "instituto federal", "instituto nacional", "kementerian",
    "ministerie", "ministerio", "ministerstvo", "ministry", "national laboratory", "navy",
    "pemerintah", "politechnika", "politecnico", "politeknik", "polytechnic", "prefeitura",
    "research network", "school", "schools", "state of", "tribunal", "universidad", "universidade",
    "universita", "universitaet", "universitas", "universitat", "universite", "universiteit",
    "universitesi", "universities", "university", "universität", "université", "univerzita",
    "univerzitet", "uniwersytet", "üniversitesi",
];

/// The curated list of classes, `sensor-config/asn-classes.tsv`.
#[derive(Debug)]
pub struct ClassList {
    rows: BTreeMap<u32, ClassRow>,
}

#[derive(Debug)]
struct ClassRow {
    class: AddressClass,
    hyperscaler: bool,
    name: String,
}

impl ClassRow {
    /// A number can pass to another company: a row counts while the name it was written for does.
    fn fits(&self, name: &str) -> bool {
        name.to_lowercase().contains(&self.name)
    }
}

impl ClassList {
    /// The list that is compiled in.
    ///
    /// # Errors
    /// As [`ClassList::parse`]; a test sees to it that there are none.
    pub fn embedded() -> Result<Self, Vec<String>> {
        Self::parse(include_str!("../../../sensor-config/asn-classes.tsv"))
    }

    /// Rows by class, in the order of the classes.
    pub fn counts(&self) -> Vec<(AddressClass, usize)> {
        let mut counts = BTreeMap::new();
        for row in self.rows.values() {
            *counts.entry(row.class).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// Reads lines of tab-separated `asn class flag name reason`.
    ///
    /// # Errors
    /// All mistakes at once, each with its line.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut rows = BTreeMap::new();
        let mut mistakes = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let outcome = parse_line(line).and_then(|(asn, row)| match rows.insert(asn, row) {
                None => Ok(()),
                Some(_) => Err(format!("got AS{asn} a second time, expected it once")),
            });
            if let Err(mistake) = outcome {
                mistakes.push(format!("line {}: {mistake}", index + 1));
            }
        }
        if mistakes.is_empty() { Ok(Self { rows }) } else { Err(mistakes) }
    }

    /// Rows that fit none of the names their ASN goes by, with the reason.
    pub(crate) fn misfits<'a>(&self, names_of: impl Fn(u32) -> Vec<&'a str>) -> Vec<(u32, String)> {
        let misfit = |(&asn, row): (&u32, &ClassRow)| match &names_of(asn)[..] {
            [] => Some((asn, "it announces nothing in this data".to_owned())),
            names if names.iter().any(|name| row.fits(name)) => None,
            [name, ..] => {
                Some((asn, format!("got the name '{name}', expected '{}' in it", row.name)))
            }
        };
        self.rows.iter().filter_map(misfit).collect()
    }
}

fn parse_line(line: &str) -> Result<(u32, ClassRow), String> {
    let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
    let [asn, class, flag, name, reason] = columns[..] else {
        return Err(format!(
            "got {} columns, expected 'asn class flag name reason' separated by tabs",
            columns.len()
        ));
    };
    let asn = asn.parse().map_err(|_| format!("asn: got '{asn}', expected a number"))?;
    let class = AddressClass::from_word(class).ok_or_else(|| {
        format!("class: got '{class}', expected unknown, access, hosting, cdn or education")
    })?;
    let hyperscaler = match flag {
        "-" => false,
        "hyperscaler" if class == AddressClass::Hosting => true,
        _ => {
            return Err(format!("flag: got '{flag}', expected '-' or, for hosting, 'hyperscaler'"));
        }
    };
    if name.is_empty() || reason.is_empty() {
        return Err("got an empty name or reason, expected both".into());
    }
    Ok((asn, ClassRow { class, hyperscaler, name: name.to_lowercase() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_decide_and_doubt_decides_nothing() {
        use AddressClass::{Access, Education, Hosting, Unknown};
        for (name, expect) in [
            ("Example Telecom Ltda", Access),
            ("EXAMPLE INTERNET EIRELI - ME", Access),
            ("Example Banda Larga S.A.", Access),
            ("Rural Telephone Cooperative", Access),
            ("Example Hosting GmbH", Hosting),
            ("Example Data Center, LLC", Hosting),
            ("University of Example", Education),
            ("Ministry of Examples", Education),
            // Parts of words and words that several kinds of company use.
            ("Hostile Takeover Inc.", Unknown),
            ("Telecommuters United", Unknown),
            ("Wirelessly LLC", Unknown),
            ("Example Communications", Unknown),
            ("Example Internet", Unknown),
            ("Example Bank of Data", Unknown),
            ("One Hungary Ltd.", Unknown),
            ("", Unknown),
            // Two kinds at once.
            ("Example Telecom and Hosting", Unknown),
            ("University Cloud", Unknown),
            // A name alone never makes a CDN.
            ("Content Delivery Network CDN", Unknown),
        ] {
            assert_eq!(by_name(name), expect, "{name}");
        }
    }

    #[test]
    fn a_row_of_the_list_wins_while_the_name_fits() {
        let list = "# comment\n64500\tcdn\t-\tEdge\tits own edges\n\
            64501\thosting\thyperscaler\tBig Cloud\trented\n";
        let curated = ClassList::parse(list).expect("a good list");
        let found = class_of(64500, &["EDGE Telecom"], &curated);
        assert_eq!((found.class, found.basis), (AddressClass::Cdn, Basis::Curated));
        let found = class_of(64500, &["Example Telecom"], &curated);
        assert_eq!((found.class, found.basis), (AddressClass::Access, Basis::Name));
        let found = class_of(64501, &["Big Cloud Inc"], &curated);
        assert!(found.hyperscaler);
        // Another provider of tables writes names in another way; ours is the second witness.
        let found = class_of(64501, &["BIGCLD-02", "Big Cloud Inc"], &curated);
        assert_eq!((found.class, found.hyperscaler), (AddressClass::Hosting, true));
        let found = class_of(1, &["EXMPL-AS", "Example Telecom"], &curated);
        assert_eq!((found.class, found.basis), (AddressClass::Access, Basis::Name));
        let found = class_of(1, &["Example Hosting", "Example Telecom"], &curated);
        assert_eq!(found.class, AddressClass::Hosting);
        let names = |asn| if asn == 64500 { vec!["Example Telecom"] } else { Vec::new() };
        assert_eq!(
            curated.misfits(names),
            [
                (64500, "got the name 'Example Telecom', expected 'edge' in it".to_owned()),
                (64501, "it announces nothing in this data".to_owned()),
            ]
        );
    }

    #[test]
    fn the_embedded_list_is_sound() {
        let curated = ClassList::embedded().expect("a good list");
        let counts = curated.counts();
        assert!(counts.iter().any(|&(class, rows)| class == AddressClass::Cdn && rows > 10));
        assert_eq!(counts.iter().map(|(_, rows)| rows).sum::<usize>(), curated.rows.len());
    }

    #[test]
    fn every_mistake_of_the_list_is_named() {
        let list = "AS1\tcdn\t-\ta\tb\n2\tedge\t-\ta\tb\n3\tcdn\thyperscaler\ta\tb\n4\tcdn\t-\t\tb\n\
            5\tcdn\t-\ta\n6\tcdn\t-\ta\tb\n6\tcdn\t-\ta\tb\n";
        let mistakes = ClassList::parse(list).expect_err("a list of mistakes");
        let starts = [
            "line 1: asn",
            "line 2: class",
            "line 3: flag",
            "line 4: got an empty",
            "line 5: got 4 columns",
            "line 7: got AS6",
        ];
        assert_eq!(mistakes.len(), starts.len(), "{mistakes:?}");
        for (mistake, start) in mistakes.iter().zip(starts) {
            assert!(mistake.starts_with(start), "{mistake}");
        }
    }
}
