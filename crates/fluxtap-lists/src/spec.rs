//! How an operator names a list and says what he knows of it.

use crate::Format;
use fluxtap_intel::Day;
use fluxtap_intel::nearest::did_you_mean;
use std::path::PathBuf;

/// Longest name of a list or of what it lists, in bytes, and longest source.
const WORD_OCTETS_MAX: usize = 32;
const SOURCE_OCTETS_MAX: usize = 120;

/// Names of the options.
const OPTIONS: [&str; 7] =
    ["format", "category", "source", "expires", "max_age", "alert", "column"];

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What the operator calls it.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What the file is; found out by its content where nobody says.
    pub format: Option<Format>,
    /// What it lists, such as `phishing`.
    pub category: String,
    /// Who makes it or where it is from.
    pub source: Option<String>,
    /// The last day, UTC, on which it holds.
    pub expires: Option<Day>,
    /// How old its data may get, in days.
    pub age_days_max: Option<u32>,
    /// Whether a hit raises an alert of its own.
    pub is_alerting: bool,
    /// The column of CSV with the indicators.
    pub column: Option<String>,
}

impl Spec {
    /// Reads `NAME FILE [OPTION=VALUE…]`, separated by blanks.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut words = text.split_whitespace();
        let (Some(name), Some(path)) = (words.next(), words.next()) else {
            return Err(vec![format!(
                "got '{text}', expected a name and a file, such as 'openphish \
                 /var/lib/fluxtap/openphish.txt category=phishing'"
            )]);
        };
        let mut spec = Self {
            name: name.to_owned(),
            path: path.into(),
            format: None,
            category: "unspecified".to_owned(),
            source: None,
            expires: None,
            age_days_max: None,
            is_alerting: false,
            column: None,
        };
        let mut mistakes = Vec::new();
        if let Err(said) = word(name) {
            mistakes.push(format!("name: {said}"));
        }
        let mut seen = Vec::new();
        for option in words {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            if seen.contains(&key) {
                mistakes.push(format!("{key}: got it twice, expected it once"));
            }
            seen.push(key);
            if let Err(said) = spec.set(key, value) {
                mistakes.push(said);
            }
        }
        if mistakes.is_empty() { Ok(spec) } else { Err(mistakes) }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "format" => {
                let known = Format::ALL.into_iter().find(|format| format.as_str() == value);
                let known = known.ok_or_else(|| {
                    let words = Format::ALL.map(Format::as_str);
                    let hint = did_you_mean(value, words);
                    format!("format: got '{value}', expected {}{hint}", words.join(" or "))
                })?;
                self.format = Some(known);
            }
            "category" => {
                word(value).map_err(|said| format!("category: {said}"))?;
                value.clone_into(&mut self.category);
            }
            "source" if is_printable(value, SOURCE_OCTETS_MAX) => {
                self.source = Some(value.to_owned());
            }
            "source" => {
                return Err(format!(
                    "source: got '{value}', expected 1 to {SOURCE_OCTETS_MAX} printable ASCII \
                     characters"
                ));
            }
            "expires" => {
                let day = Day::parse(value).ok_or_else(|| {
                    format!("expires: got '{value}', expected a day such as 2027-06-30")
                })?;
                self.expires = Some(day);
            }
            "max_age" => {
                let days = value.strip_suffix('d').and_then(|days| days.parse().ok());
                let days = days.filter(|days| (1..=3_650).contains(days)).ok_or_else(|| {
                    format!("max_age: got '{value}', expected days from 1d to 3650d, such as 7d")
                })?;
                self.age_days_max = Some(days);
            }
            "alert" => {
                self.is_alerting = value
                    .parse()
                    .map_err(|_| format!("alert: got '{value}', expected true or false"))?;
            }
            "column" if !value.is_empty() => self.column = Some(value.to_owned()),
            "column" => return Err("column: got none, expected the name of one".to_owned()),
            _ => {
                return Err(format!(
                    "got the option '{key}', expected {}{}",
                    OPTIONS.join(", "),
                    did_you_mean(key, OPTIONS)
                ));
            }
        }
        Ok(())
    }

    /// Until when the list holds, in seconds since the epoch, if its data was made at `made_s`.
    #[must_use]
    pub fn until_s(&self, made_s: Option<u64>) -> Option<u64> {
        let by_day = self.expires.map(|day| (u64::from(day.0) + 1) * 86_400);
        let by_age = self.age_days_max.zip(made_s).map(|(days, s)| s + u64::from(days) * 86_400);
        match (by_day, by_age) {
            (Some(day), Some(age)) => Some(day.min(age)),
            (day, age) => day.or(age),
        }
    }
}

fn word(text: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if (1..=WORD_OCTETS_MAX).contains(&text.len()) && text.chars().all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "got '{text}', expected 1 to {WORD_OCTETS_MAX} letters, digits, '-', '_' and '.' (ASCII)"
    ))
}

fn is_printable(text: &str, octets_max: usize) -> bool {
    (1..=octets_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}
