//! Public suffixes: where in a name the part begins that somebody registered.
//!
//! The list is the one of publicsuffix.org, both sections, compiled in by the `psl` crate.

use psl::List;
use psl::Psl as _;

use crate::labels::LastLabels;

/// The crate that holds the list, with the version that is compiled in; it follows the list by a
/// release for every change.
pub const LIST: &str = "psl 2.1.247";

/// Labels that are looked at: more than any rule of the list has (seven), and one for the domain.
const LABELS_ASKED: usize = 16;

/// Byte offset in `wire_name` at which the registrable domain starts: public suffix and one label.
///
/// `wire_name` is a lower-case uncompressed wire form (RFC 1035 section 3.1); labels may hold any
/// byte, so a label with a dot inside never counts as two. The ICANN and the private section
/// count both, and a name under no listed rule has its last label as public suffix (the default
/// rule `*`). `None` for the root, for a name that is itself a public suffix, and for bytes that
/// are no wire form. Never allocates.
///
/// ```
/// use fluxtap_intel::suffix::registrable;
/// let name = b"\x03www\x07example\x02co\x02uk\x00";
/// assert_eq!(registrable(name), Some(4));
/// assert_eq!(registrable(b"\x02co\x02uk\x00"), None);
/// ```
pub fn registrable(wire_name: &[u8]) -> Option<usize> {
    let labels = LastLabels::<LABELS_ASKED>::new_checked(wire_name)?;
    let info = List.find(labels.right_to_left());
    labels.offset_before(labels.offset_of_text_len(info.len)?)
}

/// The public suffix a name lies in or is; `None` for the root and for bytes that are no wire form.
pub fn suffix_of(wire_name: &[u8]) -> Option<Suffix> {
    let labels = LastLabels::<LABELS_ASKED>::new_checked(wire_name)?;
    let info = List.find(labels.right_to_left());
    let section = info.typ.map(|section| match section {
        psl::Type::Icann => Section::Icann,
        psl::Type::Private => Section::Private,
    });
    Some(Suffix { at: labels.offset_of_text_len(info.len)?, section })
}

/// The public suffix of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suffix {
    /// Byte offset in the name at which it starts; 0 for a name that is a public suffix itself.
    pub at: usize,
    /// Where the rule stands; `None` when no rule lists the name and the default rule `*` holds.
    pub section: Option<Section>,
}

/// Whether the name is a public suffix, and of which section; unlisted top-level names count as
/// `Icann`.
pub(crate) fn public_suffix(wire_name: &[u8]) -> Option<Section> {
    let suffix = suffix_of(wire_name).filter(|suffix| suffix.at == 0)?;
    Some(suffix.section.unwrap_or(Section::Icann))
}

/// A section of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Suffixes delegated by registries.
    Icann,
    /// Suffixes below which a private operator gives names to others.
    Private,
}

impl Section {
    /// The section as a lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Icann => "icann",
            Self::Private => "private",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in text.split('.').filter(|label| !label.is_empty()) {
            wire.push(u8::try_from(label.len()).expect("a short label"));
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        wire
    }

    #[test]
    fn names_are_cut_at_the_registrable_domain() {
        for (name, expect) in [
            ("example.com", Some("example.com")),
            ("www.example.com", Some("example.com")),
            ("a.b.c.d.example.co.uk", Some("example.co.uk")),
            ("com", None),
            ("co.uk", None),
            ("uk", None),
            (".", None),
            // Wildcard rule `*.ck` and its exception `!www.ck`.
            ("a.b.ck", Some("a.b.ck")),
            ("b.ck", None),
            ("x.www.ck", Some("www.ck")),
            ("www.ck", Some("www.ck")),
            // Private section.
            ("duckdns.org", None),
            ("me.duckdns.org", Some("me.duckdns.org")),
            ("x.me.duckdns.org", Some("me.duckdns.org")),
            // No rule at all: the default rule `*`.
            ("test", None),
            ("flux.test", Some("flux.test")),
            ("a.b.flux.example", Some("flux.example")),
            // Internationalised names travel in their ASCII form.
            ("www.xn--85x722f.com.cn", Some("xn--85x722f.com.cn")),
            ("a.xn--55qx5d.cn", Some("a.xn--55qx5d.cn")),
            ("a.b.xn--p1ai", Some("b.xn--p1ai")),
        ] {
            let name_wire = wire(name);
            let got = registrable(&name_wire).map(|offset| name_wire[offset..].to_vec());
            assert_eq!(got, expect.map(wire), "{name}");
        }
    }

    #[test]
    fn labels_in_front_of_those_that_are_looked_at_change_nothing() {
        for name in
            ["example.co.uk", "x.s3.dualstack.us-east-1.amazonaws.com", "a.b.ck", "flux.test"]
        {
            let short = wire(name);
            let domain = registrable(&short).map(|offset| &short[offset..]);
            for count in 1..100 {
                let long = [b"\x01a".repeat(count), short.clone()].concat();
                let got = registrable(&long).map(|offset| &long[offset..]);
                assert_eq!(got, domain, "{count} labels in front of {name}");
            }
        }
    }

    #[test]
    fn the_rule_of_a_name_is_told() {
        use Section::{Icann, Private};
        for (name, expect) in [
            ("www.example.co.uk", Some(("co.uk", Some(Icann)))),
            ("co.uk", Some(("co.uk", Some(Icann)))),
            ("me.duckdns.org", Some(("duckdns.org", Some(Private)))),
            ("a.flux.test", Some(("test", None))),
            ("test", Some(("test", None))),
            (".", None),
        ] {
            let name_wire = wire(name);
            let got = suffix_of(&name_wire);
            let got = got.map(|suffix| (name_wire[suffix.at..].to_vec(), suffix.section));
            assert_eq!(got, expect.map(|(text, section)| (wire(text), section)), "{name}");
        }
    }

    #[test]
    fn the_version_told_is_the_one_compiled_in() {
        let lock = include_str!("../../../Cargo.lock");
        let (name, version) = LIST.split_once(' ').expect("name and version");
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"");
        assert!(lock.contains(&entry), "Cargo.lock has another version of psl: change LIST");
    }

    #[test]
    fn a_label_is_a_label_whatever_bytes_it_holds() {
        // The label is `evil.co`, one label of seven bytes, below `uk`.
        assert_eq!(registrable(b"\x03www\x07evil.co\x02uk\x00"), Some(4));
        assert_eq!(registrable(b"\x02\x00\xff\x03\xc3\x28.\x03com\x00"), Some(3));
    }

    #[test]
    fn what_is_no_name_has_no_registrable_domain() {
        let mut long = [1_u8; 256];
        long[255] = 0;
        let deepest = {
            let mut name = [1_u8; 255];
            name[254] = 0;
            name
        };
        assert_eq!(registrable(&deepest), Some(250), "127 labels fill a name");
        for bytes in [&b""[..], b"\x03www", b"\x03com\x00\x00", b"\xc0\x0c", b"\x40", &long] {
            assert_eq!(registrable(bytes), None, "{bytes:?}");
        }
    }
}
