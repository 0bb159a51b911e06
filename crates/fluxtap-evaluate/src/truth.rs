//! The truth file: what each domain of a capture is.

use fluxtap_wire::{Name, Timestamp};
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;
use std::io::BufRead;

/// Most domains of a truth file.
pub const ROWS_MAX: usize = 20_000_000;

/// Most mistakes told of a truth file.
pub const MISTAKES_MAX: usize = 20;

/// Longest line, in bytes.
const LINE_OCTETS_MAX: u64 = 16_384;

/// Most different families.
const FAMILIES_MAX: usize = 1_000;

/// What a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// No flux, however much it may look like it.
    Benign,
    /// Fast flux.
    Flux,
}

/// A family: its name, what its domains are, and the kind an alert about them should name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Family {
    pub(crate) label: Label,
    pub(crate) name: String,
    /// Empty for what is benign.
    pub(crate) kind: String,
}

/// A line of the truth.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The registrable domain, wire form.
    pub(crate) domain: Box<[u8]>,
    /// Index into the families.
    pub(crate) family: u16,
    /// When its flux first showed, if the truth says so.
    pub(crate) start: Option<Timestamp>,
}

/// What each domain is, by name.
#[derive(Debug, Default)]
pub struct Truth {
    pub(crate) families: Vec<Family>,
    pub(crate) rows: Vec<Row>,
    index: HashTable<u32>,
}

/// Columns that have to be there, wherever they stand.
const COLUMNS: [&str; 5] = ["registered_domain", "label", "family", "kind", "first_flux_answer"];

impl Truth {
    /// Reads tab-separated text with a line of column names, as `fluxtap-sim` writes it. Further
    /// columns are ignored.
    ///
    /// # Errors
    /// What is wrong, each with its line, at most [`MISTAKES_MAX`] of them; or why reading failed.
    pub fn read(mut input: impl BufRead) -> Result<Self, Vec<String>> {
        let mut truth = Self::default();
        let mut mistakes = Vec::new();
        let mut line = Vec::new();
        let mut places = None;
        for number in 1_u64.. {
            line.clear();
            let mut limited = std::io::Read::take(&mut input, LINE_OCTETS_MAX);
            match limited.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(vec![format!("line {number}: cannot read: {error}")]),
            }
            let read = match (std::str::from_utf8(&line), &places) {
                _ if line.len() as u64 == LINE_OCTETS_MAX => {
                    Err(format!("got {LINE_OCTETS_MAX} bytes or more, expected fewer"))
                }
                (Err(_), _) => Err("got bytes that are no UTF-8, expected text".to_owned()),
                (Ok(text), None) => find_columns(text.trim_end()).map(|found| places = Some(found)),
                (Ok(text), Some(places)) => {
                    truth.add_line(text.trim_end_matches(['\r', '\n']), places)
                }
            };
            if let Err(mistake) = read {
                mistakes.push(format!("line {number}: {mistake}"));
                if places.is_none() || mistakes.len() >= MISTAKES_MAX {
                    break;
                }
            }
        }
        if mistakes.is_empty() && truth.rows.is_empty() {
            mistakes.push("got no domain, expected one a line below the column names".to_owned());
        }
        if mistakes.is_empty() { Ok(truth) } else { Err(mistakes) }
    }

    /// Number of domains.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none; never so for what was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What a domain in lower-case wire form is, and its family; `None` if nothing is said of it.
    #[must_use]
    pub fn of(&self, domain: &[u8]) -> Option<(Label, &str)> {
        let family = &self.families[usize::from(self.rows[self.find(domain)?].family)];
        Some((family.label, &family.name))
    }

    /// Sets when a domain's flux first showed, for a truth that was made before that was known.
    pub fn set_start(&mut self, domain: &[u8], at: Timestamp) {
        if let Some(position) = self.find(domain) {
            self.rows[position].start = Some(at);
        }
    }

    /// The position of a domain, wire form.
    pub(crate) fn find(&self, domain: &[u8]) -> Option<usize> {
        let same = |&row: &u32| *self.rows[row as usize].domain == *domain;
        self.index.find(hash(domain), same).map(|&row| row as usize)
    }

    fn add_line(&mut self, line: &str, places: &[usize; 5]) -> Result<(), String> {
        let fields: Vec<&str> = line.split('\t').collect();
        let field = |column: usize| {
            fields.get(places[column]).copied().ok_or_else(|| {
                let (got, name) = (fields.len(), COLUMNS[column]);
                format!("got {got} fields, expected one for the column '{name}'")
            })
        };
        let domain = Name::from_text(field(0)?)
            .ok_or_else(|| format!("got '{}', expected a domain", fields[places[0]]))?;
        let label = match field(1)? {
            "flux" => Label::Flux,
            "benign" => Label::Benign,
            other => return Err(format!("got the label '{other}', expected 'flux' or 'benign'")),
        };
        let kind = match (label, field(3)?) {
            (Label::Benign, _) => "",
            (Label::Flux, "-" | "") => {
                return Err("got no kind, expected one for what is flux".to_owned());
            }
            (Label::Flux, kind) => kind,
        };
        let family = self.family(label, field(2)?, kind)?;
        let start = match field(4)? {
            "-" | "" => None,
            text => Some(seconds(text).ok_or_else(|| {
                format!("got '{text}', expected seconds since 1970 or '-' in 'first_flux_answer'")
            })?),
        };
        self.add(Row { domain: domain.as_wire().into(), family, start })
            .map_err(|said| format!("{said}: {}", fields[places[0]]))
    }

    fn family(&mut self, label: Label, name: &str, kind: &str) -> Result<u16, String> {
        let is_it = |f: &Family| f.label == label && f.name == name && f.kind == kind;
        if let Some(known) = self.families.iter().position(is_it) {
            return Ok(known as u16);
        }
        if self.families.len() >= FAMILIES_MAX {
            return Err(format!("got more than {FAMILIES_MAX} families, expected fewer"));
        }
        self.families.push(Family { label, name: name.to_owned(), kind: kind.to_owned() });
        Ok((self.families.len() - 1) as u16)
    }

    fn add(&mut self, row: Row) -> Result<(), String> {
        if self.rows.len() >= ROWS_MAX {
            return Err(format!("got more than {ROWS_MAX} domains, expected fewer"));
        }
        if self.find(&row.domain).is_some() {
            return Err("got a domain for the second time, expected each once".to_owned());
        }
        let (position, key) = (self.rows.len() as u32, hash(&row.domain));
        self.rows.push(row);
        let rows = &self.rows;
        self.index.insert_unique(key, position, |&row| hash(&rows[row as usize].domain));
        Ok(())
    }
}

/// Truth is a file of the user's; its key need not be secret.
fn hash(domain: &[u8]) -> u64 {
    FixedState::with_seed(0x7472_7574).hash_one(domain)
}

fn find_columns(line: &str) -> Result<[usize; 5], String> {
    let names: Vec<&str> = line.split('\t').collect();
    let mut places = [0; 5];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        *place = names.iter().position(|name| *name == column).ok_or_else(|| {
            format!(
                "got no column '{column}', expected the column names {}, separated by tabs",
                COLUMNS.join(", ")
            )
        })?;
    }
    Ok(places)
}

/// Seconds with up to nine decimals.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 9 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u64 = format!("{part:0<9}").parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(Timestamp::SECOND)?.checked_add(nanos).map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "registered_domain\tlabel\tfamily\tkind\tfirst_flux_answer\tnotes\n";

    fn read(lines: &str) -> Result<Truth, Vec<String>> {
        Truth::read(format!("{HEAD}{lines}").as_bytes())
    }

    #[test]
    fn lines_are_read() {
        let truth = read(
            "a.example\tflux\tclassic\tsingle_flux\t1772438418.5\tnote\r\nB.example\tbenign\tsite\t-\t-\t\n",
        )
        .unwrap();
        assert_eq!(truth.len(), 2);
        let row = &truth.rows[truth.find(b"\x01a\x07example\0").unwrap()];
        assert_eq!(row.start, Some(Timestamp(1_772_438_418_500_000_000)));
        assert_eq!(truth.families[usize::from(row.family)].kind, "single_flux");
        let row = &truth.rows[truth.find(b"\x01b\x07example\0").unwrap()];
        assert_eq!(
            (row.start, truth.families[usize::from(row.family)].label),
            (None, Label::Benign)
        );
        assert!(truth.find(b"\x01c\x07example\0").is_none());
    }

    #[test]
    fn columns_may_stand_anywhere() {
        let text = "kind\tfirst_flux_answer\tfamily\tregistered_domain\tlabel\n-\t-\tsite\ta.test\tbenign\n";
        assert_eq!(Truth::read(text.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn every_mistake_has_its_line() {
        let long = "x".repeat(LINE_OCTETS_MAX as usize);
        for (line, expect) in [
            ("a.example\tflux\tclassic", "got 3 fields"),
            ("a..example\tbenign\tsite\t-\t-", "expected a domain"),
            ("a.example\tgood\tsite\t-\t-", "got the label 'good'"),
            ("a.example\tflux\tclassic\t-\t-", "got no kind"),
            ("a.example\tflux\tclassic\tsingle_flux\tyesterday", "got 'yesterday'"),
            ("a.example\tflux\tclassic\tsingle_flux\t-1.5", "got '-1.5'"),
            ("a.example\tflux\tclassic\tsingle_flux\t1.+5", "got '1.+5'"),
            ("ok.example\tbenign\tsite\t-\t-", "for the second time"),
            (&long, "16384 bytes or more"),
        ] {
            let said = read(&format!("ok.example\tbenign\tsite\t-\t-\n{line}\n")).unwrap_err();
            assert!(said[0].starts_with("line 3: ") && said[0].contains(expect), "{said:?}");
        }
        let many = "x\n".repeat(100);
        assert_eq!(read(&many).unwrap_err().len(), MISTAKES_MAX);
        assert!(Truth::read("".as_bytes()).unwrap_err()[0].contains("no domain"));
        assert!(read("").unwrap_err()[0].contains("no domain"));
        let said = Truth::read("domain\tlabel\n".as_bytes()).unwrap_err();
        assert!(said[0].starts_with("line 1: got no column 'registered_domain'"), "{said:?}");
        assert!(Truth::read(&b"\xff\n"[..]).unwrap_err()[0].contains("UTF-8"));
    }
}
