//! A TOML file to values with their lines.

use crate::kind::shortened;
use crate::mistake::{MISTAKES_MAX, Mistakes, Origin};
use crate::{SETTINGS, SINK_SETTINGS, Setting, Value};
use fluxtap_intel::nearest::nearest;
use std::collections::BTreeSet;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// A longer name is like none; the cost of comparing grows with its length.
const NAME_BYTES_MAX: usize = 100;

/// A value of a file.
pub(crate) struct Entry {
    pub(crate) index: usize,
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// A sink of a file: the values of its table.
pub(crate) struct SinkEntry {
    pub(crate) line: usize,
    /// By their place in [`SINK_SETTINGS`].
    pub(crate) entries: Vec<Entry>,
    /// The settings whose values were refused.
    pub(crate) refused: Vec<&'static str>,
}

/// The key of the list of sinks.
const SINKS: &str = "sinks";

/// Reads the settings in `text`, the file `path`; what is wrong goes to `mistakes`, in the order
/// of its lines.
pub(crate) fn read(
    path: &str,
    text: &str,
    mistakes: &mut Mistakes,
) -> (Vec<Entry>, Vec<SinkEntry>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    let line_ends = line_ends.map(|(at, _)| at).collect();
    let mut reader =
        Reader { text, line_ends, entries: Vec::new(), sinks: Vec::new(), mistakes: Vec::new() };
    let syntax: Vec<_> =
        errors.iter().map(|error| reader.syntax(error.message(), error.span())).collect();
    reader.walk("", table.get_ref());
    // What is read from a broken line, or into a table whose header is broken, is a guess, and no
    // second mistake.
    let broken: BTreeSet<usize> = syntax.iter().map(|(line, _, _)| *line).collect();
    let mut lines = (1..).zip(text.lines());
    let header = lines
        .find(|(line, text)| broken.contains(line) && text.trim_start().starts_with('['))
        .map_or(usize::MAX, |(line, _)| line);
    reader.mistakes.retain(|(line, _, _)| *line < header && !broken.contains(line));
    reader.mistakes.extend(syntax);
    reader.mistakes.sort_by_key(|(line, _, _)| *line);
    for (line, name, said) in reader.mistakes {
        mistakes.push(Origin::Line { path: path.to_owned(), line }, name, said);
    }
    (reader.entries, reader.sinks)
}

/// Line, setting, what is said.
type Said = (usize, Option<&'static str>, String);

struct Reader<'a> {
    text: &'a str,
    line_ends: Vec<usize>,
    entries: Vec<Entry>,
    sinks: Vec<SinkEntry>,
    mistakes: Vec<Said>,
}

impl Reader<'_> {
    fn walk(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = match section {
                "" => key.get_ref().to_string(),
                section => format!("{section}.{}", key.get_ref()),
            };
            let line = self.line(key.span());
            let position = SETTINGS.iter().position(|setting| setting.name == name);
            match (position, value.get_ref()) {
                (Some(index), value) => {
                    let entry = self.take(SETTINGS, index, line, value);
                    self.entries.extend(entry);
                }
                (None, value) if name == SINKS => self.sinks(line, value),
                (None, DeValue::Table(inner)) if is_section(&name) || !inner.is_empty() => {
                    self.walk(&name, inner);
                }
                (None, _) if is_section(&name) => {
                    let said = format!(
                        "got a value for '{name}', expected a table; write [{name}] and its \
                         settings below"
                    );
                    self.mistakes.push((line, None, said));
                }
                (None, _) => self.unknown(line, &name, SETTINGS),
            }
        }
    }

    /// `[[sinks]]`: a list of tables.
    fn sinks(&mut self, line: usize, value: &DeValue<'_>) {
        let tables: Option<Vec<_>> = match value {
            DeValue::Array(values) if !values.is_empty() => values
                .iter()
                .map(|value| Some((value.get_ref().as_table()?, value.span())))
                .collect(),
            _ => None,
        };
        let Some(tables) = tables else {
            let said = "got a value for 'sinks', expected tables; write [[sinks]] above the \
                        settings of each sink";
            self.mistakes.push((line, None, said.to_owned()));
            return;
        };
        for (table, span) in tables {
            let line = self.line(span);
            let (mut entries, mut refused) = (Vec::new(), Vec::new());
            for (key, value) in table {
                let name = format!("{SINKS}.{}", key.get_ref());
                let line = self.line(key.span());
                match SINK_SETTINGS.iter().position(|setting| setting.name == name) {
                    Some(index) => match self.take(SINK_SETTINGS, index, line, value.get_ref()) {
                        Some(entry) => entries.push(entry),
                        None => refused.push(SINK_SETTINGS[index].name),
                    },
                    None => self.unknown(line, &name, SINK_SETTINGS),
                }
            }
            self.sinks.push(SinkEntry { line, entries, refused });
        }
    }

    fn unknown(&mut self, line: usize, name: &str, known: &'static [Setting]) {
        // Beyond the limit nobody sees the suggestion, which takes time to find.
        if self.mistakes.len() >= MISTAKES_MAX {
            self.mistakes.push((line, None, String::new()));
            return;
        }
        let way = way_on(name, known.iter().map(|setting| setting.name));
        let got = shortened(name);
        let said = format!("got the unknown setting '{got}', expected a known one; {way}");
        self.mistakes.push((line, None, said));
    }

    fn take(
        &mut self,
        table: &'static [Setting],
        index: usize,
        line: usize,
        value: &DeValue<'_>,
    ) -> Option<Entry> {
        let setting = &table[index];
        match setting.kind.parse_toml(value) {
            Ok(value) => Some(Entry { index, line, value }),
            Err(said) => {
                let example = format!("{said}; as in {} = {}", setting.key(), setting.shown());
                self.mistakes.push((line, Some(setting.name), example));
                None
            }
        }
    }

    /// What is wrong with the form of a line.
    fn syntax(&self, message: &str, span: Option<Range<usize>>) -> Said {
        let span = span.unwrap_or_default();
        let line = self.line(span.clone());
        let got = self.text.get(span).unwrap_or_default();
        let said = if message == "duplicate key" {
            format!(
                "got '{}' a second time, expected each setting and each table once; merge the \
                 two",
                shortened(got)
            )
        } else {
            format!(
                "got no TOML: {}; mend the line, see https://toml.io",
                message.replace('\n', ", ")
            )
        };
        (line, None, said)
    }

    fn line(&self, span: Range<usize>) -> usize {
        1 + self.line_ends.partition_point(|end| *end < span.start)
    }
}

fn is_section(name: &str) -> bool {
    let is_below = |setting: &Setting| {
        setting.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
    };
    SETTINGS.iter().any(is_below)
}

/// How to go on from a name that nobody knows: with the nearest known one, or the one whose key is
/// nearest, in whatever section it is.
pub(crate) fn way_on<'a>(got: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let key = |name: &'a str| name.rsplit('.').next().unwrap_or(name);
    let got_key = got.rsplit('.').next().unwrap_or(got);
    let meant = if got.len() > NAME_BYTES_MAX { None } else { nearest(got, known.clone()) };
    let meant = meant.or_else(|| {
        let near = if got_key.len() > NAME_BYTES_MAX {
            None
        } else {
            nearest(got_key, known.clone().map(key))
        };
        near.and_then(|near| known.clone().find(|name| key(name) == near))
    });
    match meant {
        Some(known) => format!("did you mean '{known}'?"),
        None => "`fluxtap print-config` lists them all".to_owned(),
    }
}
