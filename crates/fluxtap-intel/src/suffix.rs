//! Public suffixes: where in a name the part begins that somebody registered.
//!
//! The list is the one of publicsuffix.org, both sections, compiled in by the `psl` crate.

use psl::List;
use psl::Psl as _;

use crate::labels::Labels;

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
    let labels = Labels::new_checked(wire_name)?;
    let info = List.find(labels.right_to_left());
    labels.offset_before(labels.offset_of_text_len(info.len)?)
}

/// Whether the name is a public suffix, and of which section.
pub(crate) fn public_suffix(wire_name: &[u8]) -> Option<Section> {
    let labels = Labels::new_checked(wire_name)?;
    let info = List.find(labels.right_to_left());
    if labels.offset_of_text_len(info.len)? != 0 {
        return None;
    }
    Some(match info.typ {
        Some(psl::Type::Private) => Section::Private,
        _ => Section::Icann,
    })
}

/// The section of the list that holds a rule; unlisted top-level names count as `Icann`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Icann,
    Private,
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
