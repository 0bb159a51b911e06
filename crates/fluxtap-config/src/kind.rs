//! The types of settings: what each accepts, from a file or as plain text, and how it says no.

use crate::value::{Tenths, Value, Word, quoted};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use toml::de::DeValue;

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Longest name of a host, in characters: RFC 1035, 2.3.4.
const HOST_CHARS_MAX: usize = 253;

/// Longest URL, in characters.
const URL_CHARS_MAX: usize = 2_000;
/// Longest text, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;

/// Characters of a wrong value that are shown.
const SHOWN_CHARS_MAX: usize = 60;

/// What a setting may be, with its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Switch,
    /// A whole number.
    Count {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A duration, always written with its unit.
    Duration {
        /// The shortest, in seconds.
        min_s: u64,
        /// The longest, in seconds.
        max_s: u64,
    },
    /// A duration that may be shorter than a second, always written with its unit.
    Milliseconds {
        /// The shortest, in milliseconds.
        min_ms: u64,
        /// The longest, in milliseconds.
        max_ms: u64,
    },
    /// A size in bytes, always written with its unit.
    Size {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A number with at most one decimal.
    Tenths {
        /// The least.
        min: Tenths,
        /// The most.
        max: Tenths,
        /// What it measures, in the singular.
        unit: &'static str,
    },
    /// A list of ports.
    Ports {
        /// The fewest.
        min: usize,
        /// The most.
        max: usize,
    },
    /// One of these words.
    Word(&'static [Word]),
    /// A name of printable ASCII without spaces.
    Name,
    /// A host and a port.
    Address,
    /// A URL of HTTP or HTTPS, without user and password.
    Url,
    /// A text of one line.
    Text,
    /// An address and a port to listen on, or `none`.
    Listen,
    /// The path of a file.
    Path,
    /// One of these words, or the path of a file (`./word` for one that is called like a word).
    PathOr(&'static [Word]),
    /// A list of texts.
    Texts {
        /// The most.
        max: usize,
    },
}

impl Kind {
    /// Reads a value as it is written in a flag or a variable.
    ///
    /// # Errors
    ///
    /// Says what was got and what was expected.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Switch => text.parse().ok().map(Value::Switch),
            Self::Count { .. } => text.parse().ok().map(Value::Count),
            Self::Tenths { .. } => Tenths::parse(text).map(Value::Tenths),
            Self::Ports { .. } => Some(self.ports(items(text))?),
            Self::Texts { .. } => Some(self.texts(items(text).map(str::to_owned).collect())?),
            _ => Some(self.parse_text(text)?),
        };
        let value = value.filter(|value| self.is_in_range(value));
        value.ok_or_else(|| self.refusal(&quoted(&shortened(text))))
    }

    /// Reads a value of a TOML file.
    pub(crate) fn parse_toml(&self, value: &DeValue<'_>) -> Result<Value, String> {
        let read = match (self, value) {
            (Self::Switch, DeValue::Boolean(is_on)) => Some(Value::Switch(*is_on)),
            (Self::Count { .. }, DeValue::Integer(number)) => {
                u64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Count)
            }
            (Self::Tenths { .. }, DeValue::Integer(number)) if number.radix() == 10 => {
                Tenths::parse(number.as_str()).map(Value::Tenths)
            }
            (Self::Tenths { .. }, DeValue::Float(number)) => {
                Tenths::parse(number.as_str()).map(Value::Tenths)
            }
            (Self::Ports { .. }, DeValue::Array(ports)) => {
                let ports: Vec<String> = ports.iter().map(|port| shown(port.get_ref())).collect();
                Some(self.ports(ports.iter().map(String::as_str))?)
            }
            (Self::Texts { .. }, DeValue::Array(texts)) => {
                let texts = texts.iter().map(|text| match text.get_ref() {
                    DeValue::String(text) => Ok(text.to_string()),
                    other => Err(self.refusal(&format!("{} in the list", shown(other)))),
                });
                Some(self.texts(texts.collect::<Result<_, _>>()?)?)
            }
            (_, DeValue::String(text)) if self.is_written_as_text() => Some(self.parse_text(text)?),
            _ => None,
        };
        let read = read.filter(|value| self.is_in_range(value));
        read.ok_or_else(|| self.refusal(&shown(value)))
    }

    /// What is accepted, in words.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Duration { min_s, max_s } => format!(
                "a duration from {} to {} with its unit (s, m, h or d)",
                Value::Seconds(*min_s).plain(),
                Value::Seconds(*max_s).plain()
            ),
            Self::Milliseconds { min_ms, max_ms } => format!(
                "a duration from {} to {} with its unit (ms, s, m, h or d)",
                Value::Milliseconds(*min_ms).plain(),
                Value::Milliseconds(*max_ms).plain()
            ),
            Self::Size { min, max } => format!(
                "a size from {} to {} with its unit (KiB, MiB, GiB or TiB)",
                Value::Bytes(*min).plain(),
                Value::Bytes(*max).plain()
            ),
            Self::Tenths { min, max, unit } => {
                format!("a {unit} from {min} to {max} with at most one decimal")
            }
            Self::Ports { min, max } => format!("{min} to {max} ports from 1 to 65535"),
            Self::Word(words) => one_of(words),
            Self::Name => {
                format!("1 to {NAME_CHARS_MAX} printable ASCII characters without spaces")
            }
            Self::Address => "a host and a port with a colon between".to_owned(),
            Self::Url => {
                "an http:// or https:// URL with a host and without user and password".to_owned()
            }
            Self::Text => format!("1 to {TEXT_BYTES_MAX} bytes of text in one line"),
            Self::Listen => "an IP address with a port, or none".to_owned(),
            Self::Path => "the path of a file".to_owned(),
            Self::PathOr(words) => format!("{} or the path of a file", one_of(words)),
            Self::Texts { max } => format!("a list of at most {max} texts"),
        }
    }

    /// The words it accepts, if it is a matter of words.
    #[must_use]
    pub const fn words(&self) -> &'static [Word] {
        match self {
            Self::Word(words) | Self::PathOr(words) => words,
            _ => &[],
        }
    }

    const fn is_written_as_text(&self) -> bool {
        !matches!(
            self,
            Self::Switch
                | Self::Count { .. }
                | Self::Tenths { .. }
                | Self::Ports { .. }
                | Self::Texts { .. }
        )
    }

    /// Reads what is a text in a file too.
    fn parse_text(&self, text: &str) -> Result<Value, String> {
        let word = |words: &'static [Word]| {
            words.iter().find(|word| word.name == text).map(|word| Value::Word(word.name))
        };
        let path = || {
            let is_path = !text.is_empty() && !text.contains('\0');
            is_path.then(|| Value::Path(PathBuf::from(text)))
        };
        let value = match self {
            Self::Duration { .. } => {
                let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
                self.with_unit(text, &units)?.map(Value::Seconds)
            }
            Self::Milliseconds { .. } => {
                let units =
                    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
                self.with_unit(text, &units)?.map(Value::Milliseconds)
            }
            Self::Size { .. } => {
                let units =
                    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
                self.with_unit(text, &units)?.map(Value::Bytes)
            }
            Self::Word(words) => word(words),
            Self::Name => {
                let is_name = (1..=NAME_CHARS_MAX).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_graphic());
                is_name.then(|| Value::Text(text.to_owned()))
            }
            Self::Address => is_address(text).then(|| Value::Text(text.to_owned())),
            Self::Url => is_url(text).then(|| Value::Text(text.to_owned())),
            Self::Text => {
                let is_text = (1..=TEXT_BYTES_MAX).contains(&text.len())
                    && !text.contains(|c: char| c.is_control());
                is_text.then(|| Value::Text(text.to_owned()))
            }
            Self::Listen if text == "none" => Some(Value::Listen(None)),
            Self::Listen => text.parse().ok().map(|address| Value::Listen(Some(address))),
            Self::Path => path(),
            Self::PathOr(words) => word(words).or_else(path),
            _ => None,
        };
        let value = value.filter(|value| self.is_in_range(value));
        value.ok_or_else(|| self.refusal(&quoted(&shortened(text))))
    }

    /// A number with its unit; without one only zero, which needs none. A missing unit is not
    /// guessed: whoever writes 15 for minutes must not get seconds.
    fn with_unit(&self, text: &str, units: &[(&str, u64)]) -> Result<Option<u64>, String> {
        let (digits, unit) =
            text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let Ok(number) = digits.parse::<u64>() else { return Ok(None) };
        match factor {
            Some(factor) => Ok(number.checked_mul(factor)),
            None if unit.is_empty() && number == 0 => Ok(Some(0)),
            None if unit.is_empty() => {
                Err(self.refusal(&format!("{} without a unit", quoted(&shortened(text)))))
            }
            None => Err(self.refusal(&format!("unit '{}'", shortened(unit)))),
        }
    }

    fn ports<'a>(&self, items: impl Iterator<Item = &'a str>) -> Result<Value, String> {
        let mut ports = Vec::new();
        for item in items {
            match item.parse() {
                Ok(port) if port > 0 => ports.push(port),
                _ => return Err(self.refusal(&format!("port '{}'", shortened(item)))),
            }
        }
        let Self::Ports { min, max } = self else { return Ok(Value::Ports(ports)) };
        if (*min..=*max).contains(&ports.len()) {
            return Ok(Value::Ports(ports));
        }
        Err(self.refusal(&format!("{} ports", ports.len())))
    }

    fn texts(&self, texts: Vec<String>) -> Result<Value, String> {
        match self {
            Self::Texts { max } if texts.len() > *max => {
                Err(self.refusal(&format!("{} texts", texts.len())))
            }
            _ => Ok(Value::Texts(texts)),
        }
    }

    fn is_in_range(&self, value: &Value) -> bool {
        match (self, value) {
            (
                Self::Count { min, max } | Self::Size { min, max },
                Value::Count(n) | Value::Bytes(n),
            ) => (min..=max).contains(&n),
            (Self::Duration { min_s, max_s }, Value::Seconds(seconds)) => {
                (min_s..=max_s).contains(&seconds)
            }
            (Self::Milliseconds { min_ms, max_ms }, Value::Milliseconds(ms)) => {
                (min_ms..=max_ms).contains(&ms)
            }
            (Self::Tenths { min, max, .. }, Value::Tenths(number)) => (min..=max).contains(&number),
            _ => true,
        }
    }

    fn refusal(&self, got: &str) -> String {
        format!("got {got}, expected {}", self.expected())
    }
}

/// The items of a list in a flag or a variable; an empty text is an empty list.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(move |_| !text.trim().is_empty())
}

/// `host:port` or `[address]:port`.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match inner {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_host(host),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(text: &str) -> bool {
    let is_of_host = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (1..=HOST_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_of_host)
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest.filter(|_| text.bytes().all(|b| b.is_ascii_graphic())) else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    text.len() <= URL_CHARS_MAX
        && !rest.contains('#')
        && (is_address(authority) || is_address(&format!("{authority}:1")))
}

fn one_of(words: &[Word]) -> String {
    words.iter().map(|word| word.name).collect::<Vec<_>>().join(" or ")
}

/// The text, cut where it is too long to be shown.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// A value of a file as it was written, as far as that is short.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(&shortened(text)),
        DeValue::Integer(number) => shortened(&number.to_string()),
        DeValue::Float(number) => shortened(&number.to_string()),
        DeValue::Boolean(is_on) => is_on.to_string(),
        DeValue::Datetime(time) => shortened(&time.to_string()),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Kind = Kind::Duration { min_s: 1, max_s: 86_400 };
    const SIZE: Kind = Kind::Size { min: 1 << 20, max: 1 << 40 };
    const RISK: Kind = Kind::Tenths { min: Tenths(0), max: Tenths(1_000), unit: "risk" };
    const MILLISECONDS: Kind = Kind::Milliseconds { min_ms: 1, max_ms: 10_000 };
    const PORTS: Kind = Kind::Ports { min: 1, max: 3 };
    const COUNT: Kind = Kind::Count { min: 1, max: 9 };
    const WORDS: &[Word] =
        &[Word { name: "json", meaning: "" }, Word { name: "text", meaning: "" }];

    /// What is read, as TOML, or a part of what is said.
    #[test]
    fn plain_values() {
        let rows: &[(Kind, &str, Result<&str, &str>)] = &[
            (Kind::Switch, "true", Ok("true")),
            (Kind::Switch, "yes", Err("got \"yes\", expected true or false")),
            (COUNT, "9", Ok("9")),
            (COUNT, "10", Err("got \"10\", expected a whole number from 1 to 9")),
            (COUNT, "-1", Err("got \"-1\"")),
            (DURATION, "90s", Ok("\"90s\"")),
            (DURATION, "3600s", Ok("\"1h\"")),
            (DURATION, "1d", Ok("\"1d\"")),
            (DURATION, "0", Err("got \"0\", expected a duration from 1s to 1d with its unit")),
            (DURATION, "90", Err("got \"90\" without a unit")),
            (DURATION, "5w", Err("got unit 'w', expected a duration from 1s to 1d")),
            (DURATION, "1.5h", Err("got unit '.5h'")),
            (DURATION, "-1s", Err("got \"-1s\"")),
            (DURATION, "2d", Err("got \"2d\"")),
            (DURATION, "", Err("got \"\"")),
            (DURATION, "99999999999999999999s", Err("got \"99999999999999999999s\"")),
            (DURATION, "18446744073709551615d", Err("got")),
            (SIZE, "512MiB", Ok("\"512MiB\"")),
            (SIZE, "1024GiB", Ok("\"1TiB\"")),
            (SIZE, "5MB", Err("got unit 'MB', expected a size from 1MiB to 1TiB with its unit")),
            (SIZE, "512", Err("got \"512\" without a unit")),
            (SIZE, "2TiB", Err("got \"2TiB\"")),
            (SIZE, "9999999999999TiB", Err("got")),
            (RISK, "40.5", Ok("40.5")),
            (RISK, "100.1", Err("got \"100.1\", expected a risk from 0 to 100")),
            (RISK, "40.55", Err("with at most one decimal")),
            (PORTS, "53, 5300", Ok("[53, 5300]")),
            (MILLISECONDS, "500ms", Ok("\"500ms\"")),
            (MILLISECONDS, "10s", Ok("\"10s\"")),
            (MILLISECONDS, "1m", Err("expected a duration from 1ms to 10s with its unit (ms, s,")),
            (MILLISECONDS, "0", Err("got \"0\", expected")),
            (MILLISECONDS, "500", Err("got \"500\" without a unit")),
            (DURATION, "500ms", Err("got unit 'ms'")),
            (Kind::Ports { min: 0, max: 3 }, "", Ok("[]")),
            (PORTS, "0", Err("got port '0', expected 1 to 3 ports from 1 to 65535")),
            (PORTS, "65536", Err("got port '65536'")),
            (PORTS, "53,", Err("got port ''")),
            (PORTS, "", Err("got 0 ports")),
            (PORTS, "1,2,3,4", Err("got 4 ports")),
            (Kind::Word(WORDS), "text", Ok("\"text\"")),
            (Kind::Word(WORDS), "xml", Err("got \"xml\", expected json or text")),
        ];
        for (kind, text, expect) in rows {
            check(text, kind.parse(text), *expect);
        }
    }

    /// The same of names, addresses and other texts.
    #[test]
    fn plain_texts() {
        let long = "a".repeat(65);
        let rows: &[(Kind, &str, Result<&str, &str>)] = &[
            (Kind::Name, "tap-7", Ok("\"tap-7\"")),
            (Kind::Name, "two words", Err("got \"two words\", expected 1 to 64 printable ASCII")),
            (Kind::Name, "größe", Err("got")),
            (Kind::Name, &long, Err("...\", expected 1 to 64")),
            (Kind::Address, "siem.example:514", Ok("\"siem.example:514\"")),
            (Kind::Address, "[::1]:514", Ok("\"[::1]:514\"")),
            (Kind::Address, "::1:514", Err("expected a host and a port with a colon between")),
            (Kind::Address, "siem.example", Err("expected a host and a port")),
            (Kind::Address, "siem.example:0", Err("expected a host and a port")),
            (Kind::Address, ":514", Err("expected a host and a port")),
            (Kind::Address, "tcp://siem:514", Err("expected a host and a port")),
            (Kind::Url, "https://[::1]:9200/a?b=c", Ok("\"https://[::1]:9200/a?b=c\"")),
            (Kind::Url, "http://siem.example", Ok("\"http://siem.example\"")),
            (Kind::Url, "siem.example", Err("expected an http:// or https:// URL")),
            (Kind::Url, "https://", Err("expected an http:// or https:// URL")),
            (Kind::Url, "https://u:p@siem.example", Err("without user and password")),
            (Kind::Url, "https://siem.example/#a", Err("expected an http:// or https:// URL")),
            (Kind::Url, "https://siem.example/a b", Err("expected an http:// or https:// URL")),
            (Kind::Text, "udp and port 53", Ok("\"udp and port 53\"")),
            (Kind::Text, "", Err("got \"\", expected 1 to 4096 bytes of text in one line")),
            (Kind::Text, "a\nb", Err("of text in one line")),
            (Kind::Listen, "none", Ok("\"none\"")),
            (Kind::Listen, "[::1]:9353", Ok("\"[::1]:9353\"")),
            (Kind::Listen, "localhost:9353", Err("expected an IP address with a port, or none")),
            (Kind::Listen, "127.0.0.1", Err("expected an IP address with a port, or none")),
            (Kind::Path, "/a b", Ok("\"/a b\"")),
            (Kind::Path, "", Err("expected the path of a file")),
            (Kind::PathOr(WORDS), "json", Ok("\"json\"")),
            (Kind::PathOr(WORDS), "./json", Ok("\"./json\"")),
            (Kind::PathOr(WORDS), "", Err("expected json or text or the path of a file")),
            (Kind::Texts { max: 2 }, "a,b c", Ok("[\"a\", \"b c\"]")),
            (Kind::Texts { max: 2 }, "", Ok("[]")),
            (Kind::Texts { max: 2 }, "a,b,c", Err("got 3 texts, expected a list of at most 2")),
        ];
        for (kind, text, expect) in rows {
            check(text, kind.parse(text), *expect);
        }
    }

    #[test]
    fn values_of_files() {
        let rows: &[(Kind, &str, Result<&str, &str>)] = &[
            (Kind::Switch, "true", Ok("true")),
            (Kind::Switch, "\"true\"", Err("got \"true\", expected true or false")),
            (Kind::Switch, "1", Err("got 1, expected true or false")),
            (COUNT, "0x9", Ok("9")),
            (COUNT, "1.0", Err("got 1.0, expected a whole number")),
            (DURATION, "\"90s\"", Ok("\"90s\"")),
            (DURATION, "90", Err("got 90, expected a duration from 1s to 1d with its unit")),
            (DURATION, "[\"1h\"]", Err("got a list")),
            (DURATION, "07:32:00", Err("got 07:32:00")),
            (SIZE, "\"1GiB\"", Ok("\"1GiB\"")),
            (RISK, "40", Ok("40")),
            (RISK, "4_0.5", Ok("40.5")),
            (RISK, "\"40\"", Err("got \"40\", expected a risk")),
            (RISK, "nan", Err("got nan")),
            (RISK, "inf", Err("got inf")),
            (RISK, "0x28", Err("got 0x28")),
            (PORTS, "[53, 5300]", Ok("[53, 5300]")),
            (PORTS, "[]", Err("got 0 ports")),
            (PORTS, "53", Err("got 53, expected 1 to 3 ports")),
            (PORTS, "[53, \"dns\"]", Err("got port '\"dns\"'")),
            (Kind::Word(WORDS), "\"json\"", Ok("\"json\"")),
            (Kind::Word(WORDS), "{ a = 1 }", Err("got a table, expected json or text")),
            (Kind::Path, "\"a\\u0000b\"", Err("got \"a\\U00000000b\", expected the path")),
            (Kind::Texts { max: 2 }, "[\"a\", \"b\"]", Ok("[\"a\", \"b\"]")),
            (Kind::Texts { max: 2 }, "[\"a\", 7]", Err("got 7 in the list")),
        ];
        for (kind, text, expect) in rows {
            let value = DeValue::parse(text).expect("TOML");
            check(text, kind.parse_toml(value.get_ref()), *expect);
        }
    }

    fn check(text: &str, got: Result<Value, String>, expect: Result<&str, &str>) {
        match (got, expect) {
            (Ok(value), Ok(toml)) => assert_eq!(value.to_string(), toml, "{text}"),
            (Err(said), Err(part)) => assert!(said.contains(part), "{text}: {said}"),
            (got, expect) => panic!("{text}: got {got:?}, expected {expect:?}"),
        }
    }
}
