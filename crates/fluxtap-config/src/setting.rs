//! One row of the table of settings, and the macro that makes table and [`crate::Settings`] of it.

use crate::{AT_START, Kind, SinkType, Value};

/// One setting, as the table declares it.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in files: the table's header, a dot, the key.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Its default as one writes it in a flag; `None` where it is not set unless somebody does.
    pub default: Option<&'static str>,
    /// A value to show where there is no default, likewise.
    pub example: Option<&'static str>,
    /// The words for people, a line of source each: a headline, an empty line, paragraphs.
    pub doc: &'static [&'static str],
    /// The flag that sets it, if there is one.
    pub flag: Option<Flag>,
    /// Of a setting of a sink, the types of sinks that have it; otherwise none.
    pub types: &'static [SinkType],
}

/// A flag of the command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without its dashes.
    pub long: &'static str,
    /// The one-letter form.
    pub short: Option<char>,
    /// What its value is called in the help.
    pub value_name: &'static str,
    /// The commands that have it.
    pub commands: &'static [Command],
}

/// The commands that run the sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `fluxtap replay`.
    Replay,
    /// `fluxtap run`.
    Run,
    /// `fluxtap evaluate`.
    Evaluate,
}

impl Setting {
    /// The table it stands in: `detect` of `detect.threshold_low`.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.name.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Its name in that table: `threshold_low` of `detect.threshold_low`.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, key)| key)
    }

    /// The environment variable that sets it: `FLUXTAP_DETECT_THRESHOLD_LOW`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("FLUXTAP_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// The first line of its words.
    #[must_use]
    pub fn headline(&self) -> &'static str {
        self.doc.first().map_or("", |line| line.trim())
    }

    /// Whether `run` takes it at its start alone, so that a reload does not change it.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        AT_START.contains(&self.name)
    }

    /// The paragraphs behind the headline.
    pub fn paragraphs(&self) -> impl Iterator<Item = String> {
        let lines = self.doc.get(1..).unwrap_or_default();
        let paragraphs = lines
            .split(|line| line.trim().is_empty())
            .map(|lines| lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "));
        let reload = self.is_at_start().then(|| "A reload does not change it.".to_owned());
        paragraphs.filter(|text| !text.is_empty()).chain(reload)
    }

    /// The default, or where there is none the value shown as an example, as TOML.
    #[must_use]
    pub fn shown(&self) -> String {
        self.value_of(self.default.or(self.example)).map_or_else(String::new, |v| v.to_string())
    }

    /// The default; `None` where there is none.
    #[must_use]
    pub fn default_value(&self) -> Option<Value> {
        self.value_of(self.default)
    }

    /// Reads a text of the table itself, which a test proves to be good.
    fn value_of(&self, text: Option<&str>) -> Option<Value> {
        text.and_then(|text| self.kind.parse(text).ok())
    }
}

/// Makes a table of settings and the structure that holds them, such as [`crate::SETTINGS`] and
/// [`crate::Settings`], of rows. The structure may have fields that no row fills.
macro_rules! settings {
    (
        $(#[doc = $table_doc:literal])+ $table:ident;
        $(#[doc = $struct_doc:literal])+
        $struct:ident { $($(#[doc = $also_doc:literal])+ $also:ident: $also_type:ty,)* }
        $(
        $(#[doc = $doc:literal])+
        $name:literal => $field:ident: $type:ty {
            kind: $kind:expr,
            default: $default:expr,
            $(example: $example:literal,)?
            $(flag: $flag:expr,)?
            $(types: $types:expr,)?
        }
    )+) => {
        $(#[doc = $table_doc])+
        pub const $table: &[Setting] = &[$(
            Setting {
                name: $name,
                kind: $kind,
                default: $default,
                example: settings!(@optional $($example)?),
                doc: &[$($doc),+],
                flag: settings!(@optional $($flag)?),
                types: settings!(@types $($types)?),
            },
        )+];

        $(#[doc = $struct_doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $struct {
            $($(#[doc = $doc])+ pub $field: $type,)+
            $($(#[doc = $also_doc])+ pub $also: $also_type,)*
        }

        impl $struct {
            /// Takes values in the order of the table; `None` if one is of the wrong type, which a
            /// test proves for no row, or missing.
            pub(crate) fn of(values: &[Option<Value>]) -> Option<Self> {
                let mut values = values.iter();
                Some(Self {
                    $($field: FromValue::from_value(values.next()?.as_ref())?,)+
                    $($also: Default::default(),)*
                })
            }
        }
    };
    (@optional $value:expr) => { Some($value) };
    (@optional) => { None };
    (@types $types:expr) => { $types };
    (@types) => { &[] };
}
pub(crate) use settings;
