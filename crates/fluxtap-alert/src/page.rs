//! Lines for a person that keep to the width of where they are read.

use fluxtap_wire::shown::columns;

/// How the text is laid out, which depends on where it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Widest line in columns; at least [`Style::COLUMNS_MIN`] are taken.
    pub columns: usize,
    /// Whether the severity is coloured; it is a word all the same.
    pub is_colored: bool,
}

impl Style {
    /// Fewer columns would not hold a headline.
    pub const COLUMNS_MIN: usize = 60;
}

impl Default for Style {
    /// What a file gets: 100 columns, no colour.
    fn default() -> Self {
        Self { columns: 100, is_colored: false }
    }
}

/// Text of lines that are no wider than asked, written into memory. What is written has to be escaped
/// already, see [`fluxtap_wire::shown`].
#[derive(Debug)]
pub struct Page<'a> {
    columns: usize,
    is_colored: bool,
    indent: usize,
    out: &'a mut Vec<u8>,
}

impl<'a> Page<'a> {
    /// A page that is appended to `out`.
    pub fn new(style: Style, out: &'a mut Vec<u8>) -> Self {
        let columns = style.columns.max(Style::COLUMNS_MIN);
        Self { columns, is_colored: style.is_colored, indent: 2, out }
    }

    /// Columns of a line.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Whether words may be coloured.
    #[must_use]
    pub const fn is_colored(&self) -> bool {
        self.is_colored
    }

    /// From now on sentences and lists begin in this column, 2 before that; what follows their
    /// first line stands two further in.
    pub const fn indent(&mut self, columns: usize) {
        self.indent = columns;
    }

    /// A sentence, broken between words.
    pub fn prose(&mut self, text: &str) {
        self.wrapped(text.split(' '), " ");
    }

    /// A labelled list, broken between items; nothing for an empty one, and a count of what is not
    /// listed.
    pub fn list(&mut self, label: &str, items: impl Iterator<Item = String>, listed_max: usize) {
        let mut items: Vec<String> = items.collect();
        let Some(front) = items.first_mut() else { return };
        front.insert_str(0, &format!("{label}: "));
        let more = items.len().saturating_sub(listed_max);
        items.truncate(listed_max);
        if more > 0 {
            items.push(format!("and {more} more"));
        }
        self.wrapped(items.iter().map(String::as_str), ", ");
    }

    /// A line as it is.
    pub fn line(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'\n');
    }

    fn wrapped<'b>(&mut self, items: impl Iterator<Item = &'b str>, between: &str) {
        let mut line = " ".repeat(self.indent);
        let mut is_first = true;
        for item in items {
            if !is_first {
                line.push_str(between);
                let between = columns(between);
                if columns(line.trim_end()) + columns(item) + between > self.columns {
                    self.line(line.trim_end());
                    line = " ".repeat(self.indent + 2);
                }
            }
            line.push_str(item);
            is_first = false;
        }
        self.line(&line);
    }
}
