//! What a setting can hold, once it has been read.

use crate::kind::Kind;
use fluxtap_wire::shown::is_hostile;
use std::fmt::{self, Display, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A value as it was read; `Display` writes it as TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// True or false.
    Switch(bool),
    /// A whole number.
    Count(u64),
    /// A duration in seconds.
    Seconds(u64),
    /// A duration in milliseconds.
    Milliseconds(u64),
    /// A size in bytes.
    Bytes(u64),
    /// A number with one decimal.
    Tenths(Tenths),
    /// Ports, in the order they were given.
    Ports(Vec<u16>),
    /// One of a closed list of words.
    Word(&'static str),
    /// A text.
    Text(String),
    /// Where to listen; `None` is nowhere.
    Listen(Option<SocketAddr>),
    /// A file or folder.
    Path(PathBuf),
    /// Several texts.
    Texts(Vec<String>),
}

impl Value {
    /// As it is written in a flag or a variable: without quotes and brackets.
    #[must_use]
    pub fn plain(&self) -> String {
        let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(",");
        match self {
            Self::Switch(is_on) => is_on.to_string(),
            Self::Count(number) => number.to_string(),
            Self::Seconds(seconds) => duration(*seconds),
            Self::Milliseconds(ms) if ms % 1_000 == 0 => duration(ms / 1_000),
            Self::Milliseconds(ms) => format!("{ms}ms"),
            Self::Bytes(bytes) => size(*bytes),
            Self::Tenths(number) => number.to_string(),
            Self::Ports(ports) => list(&mut ports.iter().map(u16::to_string)),
            Self::Word(word) => (*word).to_owned(),
            Self::Text(text) => text.clone(),
            Self::Listen(None) => "none".to_owned(),
            Self::Listen(Some(address)) => address.to_string(),
            Self::Path(path) => path.display().to_string(),
            Self::Texts(texts) => list(&mut texts.iter().cloned()),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &mut dyn Iterator<Item = String>| {
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        };
        f.write_str(&match self {
            Self::Switch(_) | Self::Count(_) | Self::Tenths(_) => self.plain(),
            Self::Ports(ports) => list(&mut ports.iter().map(u16::to_string)),
            Self::Texts(texts) => list(&mut texts.iter().map(|text| quoted(text))),
            _ => quoted(&self.plain()),
        })
    }
}

/// A text as a basic string of TOML.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A text with escapes in place of what could take over a terminal or end a line.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\U{:08x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// A duration in the largest unit that divides it.
fn duration(seconds: u64) -> String {
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let unit = units.into_iter().find(|(factor, _)| seconds > 0 && seconds.is_multiple_of(*factor));
    let (factor, unit) = unit.unwrap_or((1, 's'));
    format!("{}{unit}", seconds / factor)
}

/// A size in the largest unit that divides it.
fn size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.into_iter().find(|(bits, _)| bytes > 0 && bytes.is_multiple_of(1 << *bits));
    let (bits, unit) = unit.unwrap_or((0, "B"));
    format!("{}{unit}", bytes >> bits)
}

/// A number with one decimal, held in tenths, so that it is what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tenths(pub i32);

impl Tenths {
    /// Reads `40`, `40.5` or `-3`; `None` for more than one decimal, or anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimal) = text.split_once('.').unwrap_or((text, "0"));
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(digits) || !is_number(decimal) || decimal.len() > 1 {
            return None;
        }
        let whole_tenths = digits.parse::<i32>().ok()?.checked_mul(10)?;
        let magnitude = whole_tenths.checked_add(decimal.parse().ok()?)?;
        Some(Self(if whole.starts_with('-') { -magnitude } else { magnitude }))
    }
}

impl Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, tenth) = (self.0.unsigned_abs() / 10, self.0.unsigned_abs() % 10);
        match tenth {
            0 => write!(f, "{sign}{whole}"),
            tenth => write!(f, "{sign}{whole}.{tenth}"),
        }
    }
}

/// A word of a closed list, with what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// As it is written.
    pub name: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
}

/// What a field of [`crate::Settings`] can be read from.
pub(crate) trait FromValue: Sized {
    /// `None` if the value is of another type; a test proves that no row of the table has that.
    fn from_value(value: Option<&Value>) -> Option<Self>;
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value {
            None => Some(None),
            some => T::from_value(some).map(Some),
        }
    }
}

/// Implements [`FromValue`] for types that one kind of value holds as it is.
macro_rules! from_value {
    ($($type:ty: $pattern:pat => $read:expr;)+) => {
        $(impl FromValue for $type {
            fn from_value(value: Option<&Value>) -> Option<Self> {
                match value? {
                    $pattern => $read,
                    _ => None,
                }
            }
        })+
    };
}

from_value! {
    bool: Value::Switch(is_on) => Some(*is_on);
    u64: Value::Count(number) | Value::Seconds(number) | Value::Milliseconds(number)
        | Value::Bytes(number) => Some(*number);
    usize: Value::Count(number) | Value::Bytes(number) => usize::try_from(*number).ok();
    Tenths: Value::Tenths(number) => Some(*number);
    Vec<u16>: Value::Ports(ports) => Some(ports.clone());
    String: Value::Text(text) => Some(text.clone());
    PathBuf: Value::Path(path) => Some(path.clone());
    Vec<String>: Value::Texts(texts) => Some(texts.clone());
}

/// Where to listen; nowhere is an answer too, so this is not read as a setting without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

impl FromValue for Listen {
    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::Listen(address) => Some(Self(*address)),
            _ => None,
        }
    }
}

/// Declares an enumeration whose variants are the words of a setting, each with its meaning: the
/// documentation of the variant.
macro_rules! words {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident { $($(#[doc = $meaning:literal])+ $variant:ident = $word:literal,)+ }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub enum $name {
                $($(#[doc = $meaning])+ $variant,)+
            }

            impl $name {
                /// The words, in order, with their meaning.
                pub const WORDS: &'static [$crate::Word] = &[
                    $($crate::Word { name: $word, meaning: concat!($($meaning),+) },)+
                ];
            }

            impl $crate::value::FromValue for $name {
                fn from_value(value: Option<&$crate::Value>) -> Option<Self> {
                    match value? {
                        $($crate::Value::Word($word) => Some(Self::$variant),)+
                        _ => None,
                    }
                }
            }
        )+
    };
}
pub(crate) use words;

/// Where the owners of addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressTable {
    /// The table that is compiled in.
    Embedded,
    /// Nowhere: networks alone count.
    None,
    /// A file of the user's.
    Path(PathBuf),
}

impl AddressTable {
    /// The words beside a file's path, with their meaning.
    pub const WORDS: &'static [Word] = &[
        Word { name: "embedded", meaning: " the one that is compiled in" },
        Word { name: "none", meaning: " networks alone count, and alerts say `degraded`" },
    ];
}

impl FromValue for AddressTable {
    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::Word("embedded") => Some(Self::Embedded),
            Value::Word("none") => Some(Self::None),
            Value::Path(path) => Some(Self::Path(path.clone())),
            _ => None,
        }
    }
}

impl FromStr for AddressTable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = Kind::PathOr(Self::WORDS);
        let value = kind.parse(text)?;
        Self::from_value(Some(&value)).ok_or_else(|| format!("expected {}", kind.expected()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_toml_and_plain() {
        let rows = [
            (Value::Switch(true), "true", "true"),
            (Value::Seconds(0), "\"0s\"", "0s"),
            (Value::Seconds(90), "\"90s\"", "90s"),
            (Value::Seconds(5_400), "\"90m\"", "90m"),
            (Value::Seconds(172_800), "\"2d\"", "2d"),
            (Value::Milliseconds(500), "\"500ms\"", "500ms"),
            (Value::Milliseconds(120_000), "\"2m\"", "2m"),
            (Value::Bytes(512 << 20), "\"512MiB\"", "512MiB"),
            (Value::Bytes(1 << 40), "\"1TiB\"", "1TiB"),
            (Value::Bytes(1_000), "\"1000B\"", "1000B"),
            (Value::Tenths(Tenths(400)), "40", "40"),
            (Value::Tenths(Tenths(-5)), "-0.5", "-0.5"),
            (Value::Ports(vec![53, 5_300]), "[53, 5300]", "53,5300"),
            (
                Value::Text("a\"b\\\n\u{202e}".into()),
                r#""a\"b\\\U0000000a\U0000202e""#,
                "a\"b\\\n\u{202e}",
            ),
            (Value::Texts(vec!["a".into(), "b c".into()]), "[\"a\", \"b c\"]", "a,b c"),
        ];
        for (value, toml, plain) in rows {
            assert_eq!((value.to_string().as_str(), value.plain().as_str()), (toml, plain));
        }
    }

    #[test]
    fn tenths() {
        for (text, expect) in [
            ("40", Some(400)),
            ("40.5", Some(405)),
            ("-3.2", Some(-32)),
            ("-0.5", Some(-5)),
            ("0", Some(0)),
            ("40.55", None),
            ("40.", None),
            (".5", None),
            ("--4", None),
            ("+4", None),
            ("4e1", None),
            ("nan", None),
            ("99999999999", None),
            ("214748364.8", None),
            ("", None),
        ] {
            assert_eq!(Tenths::parse(text).map(|n| n.0), expect, "{text}");
        }
    }
}
