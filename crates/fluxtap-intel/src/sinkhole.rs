//! Sinkholes: name servers that taken-over domains are led to.
//!
//! The list is compiled in, short, and every row has its source: whoever is on it could hide flux.

use crate::labels::{Labels, wire_form};
use std::sync::LazyLock;

static LIST: &str = include_str!("../../../sensor-config/sinkholes.tsv");

/// The zones in wire form.
static ZONES: LazyLock<Vec<Box<[u8]>>> =
    LazyLock::new(|| rows().filter_map(|[zone, ..]| wire_form(zone)).collect());

/// Whether a host, in lower-case wire form, is a name server of sinkholed domains alone.
#[must_use]
pub fn is_server(name: &[u8]) -> bool {
    let Some(labels) = Labels::new_checked(name) else { return false };
    ZONES.iter().any(|zone| {
        let at = name.len().checked_sub(zone.len()).filter(|&at| at > 0);
        at.is_some_and(|at| name.ends_with(zone) && labels.offsets(usize::MAX).any(|o| o == at))
    })
}

fn rows() -> impl Iterator<Item = [&'static str; 4]> {
    let rows = LIST.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|line| line.split('\t').collect::<Vec<_>>().try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_says_where_it_is_from() {
        let lines = LIST.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!((rows().count(), ZONES.len()), (lines, lines));
        for [zone, operator, source, added] in rows() {
            assert!(!operator.is_empty() && !source.is_empty(), "{zone}");
            assert!(crate::Day::parse(added).is_some(), "{zone}: {added}");
        }
    }

    #[test]
    fn servers_are_known_by_their_zone() {
        for (name, expect) in [
            ("sc-a.sinkhole.shadowserver.org", true),
            ("sinkhole.shadowserver.org", false),
            ("mysinkhole.shadowserver.org", false),
            ("ns1.shadowserver.org", false),
            ("ns1.microsoftinternetsafety.net", true),
            ("ns1.microsoftinternetsafety.net.evil.example", false),
        ] {
            assert_eq!(is_server(&wire_form(name).expect("a name")), expect, "{name}");
        }
    }
}
