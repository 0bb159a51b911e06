//! MISP events and STIX 2.1 bundles: JSON of which a few fields matter.
//!
//! Both are trees of objects with lists of objects in them. One walker goes through both, into what
//! can hold entries and past everything else, and keeps of each object only the fields it may need;
//! so memory does not grow with the file, however it is made.
//!
//! MISP: <https://www.misp-standard.org/rfc/misp-standard-core.html>, attributes. STIX:
//! <https://docs.oasis-open.org/cti/stix/v2.1/os/stix-v2.1-os.html> section 4.7, indicators.

use crate::sink::{Sink, Why};
use crate::{Format, ListError, pattern, time};
use fluxtap_intel::{Indicator, Scope};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Lists and objects that entries can be in.
const CONTAINERS: [&str; 5] = ["Event", "response", "Attribute", "Object", "objects"];

/// Fields that are kept of an object; in this order in [`Fields`].
const FIELDS: [&str; 11] = [
    "type",
    "value",
    "to_ids",
    "deleted",
    "timestamp",
    "pattern",
    "pattern_type",
    "valid_until",
    "revoked",
    "modified",
    "publish_timestamp",
];

/// Reads either, and says which it was.
pub(crate) fn read(bytes: &[u8], sink: &mut Sink<'_>) -> Result<Format, ListError> {
    let mut walk = Walk { sink, format: None, objects: 0, stopped: None };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let walked = Walker(&mut walk).deserialize(&mut deserializer);
    let Walk { format, stopped, .. } = walk;
    if let Some(stopped) = stopped {
        return Err(stopped);
    }
    let broken =
        |error: serde_json::Error| ListError::Broken { format: "JSON", text: error.to_string() };
    walked.map_err(broken)?;
    deserializer.end().map_err(broken)?;
    format.ok_or_else(|| ListError::Broken {
        format: "list",
        text: "it is JSON and has neither an Event of MISP nor objects of STIX".to_owned(),
    })
}

/// What goes with the walker.
struct Walk<'s, 'd> {
    sink: &'s mut Sink<'d>,
    format: Option<Format>,
    /// Objects that were entries or could have been, to say where one is.
    objects: usize,
    stopped: Option<ListError>,
}

/// The fields of one object, by their position in [`FIELDS`].
#[derive(Default)]
struct Fields([Option<String>; FIELDS.len()]);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0[FIELDS.iter().position(|field| *field == name)?].as_deref()
    }

    fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }
}

impl Walk<'_, '_> {
    /// Takes what an object says, once it is over.
    fn take(&mut self, fields: &Fields) -> Result<(), ListError> {
        match (fields.get("type"), fields.get("value"), fields.get("pattern")) {
            (Some(kind), Some(value), _) if self.format == Some(Format::Misp) => {
                self.objects += 1;
                self.attribute(kind, value, fields)
            }
            (Some("indicator"), _, Some(pattern)) => {
                self.objects += 1;
                self.indicator(pattern, fields)
            }
            (None, None, None) if self.format == Some(Format::Misp) => {
                // An event, which says when it was changed or published last.
                let times = ["timestamp", "publish_timestamp"].into_iter();
                self.sink.made(times.filter_map(|n| fields.get(n).and_then(time::seconds)).max());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An attribute of MISP. Those without `to_ids` are context, and not meant for detection.
    fn attribute(&mut self, kind: &str, value: &str, fields: &Fields) -> Result<(), ListError> {
        let place = format!("attribute {}", self.objects);
        let (first, second) = value.split_once('|').unwrap_or((value, ""));
        let read = match kind {
            "domain" => Indicator::name(value, Scope::Whole),
            "hostname" => Indicator::name(value, Scope::Exact),
            "hostname|port" => Indicator::name(first, Scope::Exact),
            "domain|ip" | "ip-src" | "ip-dst" | "ip-src|port" | "ip-dst|port" | "url" => {
                Indicator::parse(first)
            }
            "AS" => Indicator::asn(value),
            _ => {
                self.sink.skip(Why::OtherFact, place, kind);
                return Ok(());
            }
        };
        if fields.is_true("deleted") || !fields.is_true("to_ids") {
            self.sink.skip(Why::NotMeant, place, value);
            return Ok(());
        }
        if kind == "domain|ip" {
            self.sink.take(Indicator::parse(second), None, &place, value)?;
        }
        self.sink.take(read, None, place, value)
    }

    /// An indicator of STIX.
    fn indicator(&mut self, pattern: &str, fields: &Fields) -> Result<(), ListError> {
        let place = format!("indicator {}", self.objects);
        self.sink.made(fields.get("modified").and_then(time::seconds));
        if fields.is_true("revoked") {
            self.sink.skip(Why::NotMeant, place, pattern);
            return Ok(());
        }
        let is_stix = fields.get("pattern_type").is_none_or(|kind| kind == "stix");
        let Some(found) = pattern::facts(pattern).filter(|_| is_stix) else {
            self.sink.skip(Why::OtherFact, place, pattern);
            return Ok(());
        };
        let until_s = fields.get("valid_until").and_then(time::end);
        for (kind, text) in found {
            let read = match kind {
                pattern::Kind::Domain => Indicator::name(&text, Scope::Whole),
                pattern::Kind::Address | pattern::Kind::Url => Indicator::parse(&text),
                pattern::Kind::System => Indicator::asn(&text),
            };
            self.sink.take(read, until_s, &place, &text)?;
        }
        Ok(())
    }

    /// What a name of a container says of the whole.
    fn note(&mut self, container: &str) {
        let format = match container {
            "objects" => Format::Stix,
            "Event" | "Attribute" | "Object" => Format::Misp,
            _ => return,
        };
        self.format.get_or_insert(format);
    }
}

/// Goes through whatever stands in a container.
struct Walker<'w, 's, 'd>(&'w mut Walk<'s, 'd>);

impl<'de> DeserializeSeed<'de> for Walker<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walker<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if CONTAINERS.contains(&&*key) {
                self.0.note(&key);
                map.next_value_seed(Walker(self.0))?;
            } else if let Some(at) = FIELDS.iter().position(|field| *field == key) {
                fields.0[at] = map.next_value_seed(Scalar)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        self.0.take(&fields).map_err(|stopped| {
            self.0.stopped = Some(stopped);
            A::Error::custom("stopped")
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Walker(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A text, or a number or a truth as text; anything else is none.
struct Scalar;

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, is_true: bool) -> Result<Self::Value, E> {
        Ok(Some(is_true.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
