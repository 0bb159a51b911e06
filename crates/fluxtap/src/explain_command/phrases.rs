//! The facts of an explanation as phrases for a person.

use super::text::{LISTED_MAX, NAME_COLUMNS, REASON_COLUMNS};
use crate::console::grouped;
use fluxtap_alert::{Page, words};
use fluxtap_flux::{Distance, Lever, Step, Term, TermId, Verdict};
use fluxtap_intel::{AddressClass, AllowEntry};
use fluxtap_window::{AddressOf, Subject};
use fluxtap_wire::shown::shown;

/// `203.0.113.7 (AS64496 BR access)`, without what is not known.
pub(super) fn brief(address: &AddressOf) -> String {
    let owner = &address.owner;
    let asn = (owner.asn != 0).then(|| format!("AS{}", owner.asn));
    let class = (owner.class != AddressClass::Unknown).then_some(owner.class.as_str());
    let country = owner.country.as_str();
    let facts: Vec<&str> = asn.as_deref().into_iter().chain(country).chain(class).collect();
    if facts.is_empty() {
        return address.ip.to_string();
    }
    format!("{} ({})", address.ip, facts.join(" "))
}

pub(super) fn window_facts(subject: &Subject) -> [String; 7] {
    let spread = &subject.spread;
    let counted = words::counted;
    [
        counted(subject.addresses, "address", "addresses"),
        counted(spread.networks, "network", "networks"),
        counted(spread.asns, "autonomous system", "autonomous systems"),
        counted(spread.countries, "country", "countries"),
        counted(subject.refreshes, "refresh", "refreshes"),
        counted(subject.changes, "change", "changes") + " of the set",
        format!("{} replaced", counted(subject.replaced, "network", "networks")),
    ]
}

/// A label, and below it each item as a sentence, [`LISTED_MAX`] at most.
pub(super) fn lines(page: &mut Page<'_>, label: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.collect();
    page.prose(&format!("{label}:"));
    page.indent(4);
    for item in items.iter().take(LISTED_MAX) {
        page.prose(item);
    }
    if let Some(more) = items.len().checked_sub(LISTED_MAX).filter(|&n| n > 0) {
        page.prose(&format!("and {more} more"));
    }
    page.indent(2);
}

/// The name of a floor for a number of it: `address`, `addresses`.
pub(super) fn floor_noun(number: u64, name: &str) -> &str {
    let one = name.strip_suffix("es").or_else(|| name.strip_suffix('s')).unwrap_or(name);
    if number == 1 { one } else { name }
}

/// What is missing to a threshold and what would close that.
pub(super) fn way(distance: &Distance) -> String {
    let floors = distance.floors.iter().map(|floor| {
        let more = floor.minimum - floor.value;
        format!("{} more {}", grouped(more), floor_noun(more, floor.name))
    });
    let floors: Vec<String> = floors.collect();
    let floors = if floors.is_empty() {
        String::new()
    } else {
        format!("not judged without {}; ", floors.join(" and "))
    };
    let missing = distance.missing.points();
    if distance.missing.0 <= 0 {
        return format!("{floors}reached, by {:.1}", -missing);
    }
    let steps: Vec<String> = distance.steps.iter().map(step).collect();
    let steps = steps.join(", then ");
    let Some(last) = distance.steps.last() else {
        return format!("{floors}{missing:.1} missing; no fact by itself would close that");
    };
    let score = last.score.points();
    if distance.is_reached {
        format!("{floors}{missing:.1} missing; {steps} would make it {score:.1}")
    } else {
        format!("{floors}{missing:.1} missing; even {steps} would make it {score:.1} only")
    }
}

pub(super) fn step(step: &Step) -> String {
    let number = |value: f64| match step.lever {
        Lever::Term(id) => {
            words::value(&Term { id, value, reference: 0.0, points: Default::default() })
        }
        Lever::Mixed | Lever::Density => format!("{value:.2}"),
    };
    let name = step.lever.as_str().replace('_', " ");
    if step.lever == Lever::Term(TermId::Servers) {
        return format!("name servers that flux too ({:+.1})", step.to - step.from);
    }
    format!("{name} {} instead of {}", number(step.to), number(step.from))
}

pub(super) fn entry_text(entry: &AllowEntry) -> String {
    let until = entry.expires.map_or_else(String::new, |day| format!(", until {day}"));
    format!(
        "{} (line {}{until}: {})",
        shown(&entry.covers.to_string(), NAME_COLUMNS),
        entry.line,
        shown(&entry.reason, REASON_COLUMNS)
    )
}

pub(super) fn points(verdict: &Verdict) -> String {
    format!("{:.1}", verdict.score.points())
}

/// With its sign, and nothing for nothing.
pub(super) fn signed(points: f64) -> String {
    if points == 0.0 { "0.0".to_owned() } else { format!("{points:+.1}") }
}
