//! An alert as a few lines for a person.

use crate::line::{ORG_CHARS_MAX, degraded};
use crate::shares::judged;
use crate::words::{self, counted, rfc3339, shortened};
use crate::{Action, Alert, Context};
use fluxtap_window::AddressSeen;
use fluxtap_wire::Timestamp;
use fluxtap_wire::name::WireText;

/// Widest line in columns.
const COLUMNS_MAX: usize = 100;

/// Widest name in columns; a longer one is cut and ends in three dots.
const NAME_COLUMNS_MAX: usize = 50;

/// Most addresses, hosts or name servers that are listed.
const LISTED_MAX: usize = 8;

/// Appends the alert to `out` as a headline and a few indented lines of at most 100 columns.
///
/// Plain printable ASCII without colour codes: every name from the wire is escaped, so that no
/// name can move the cursor or forge a line.
pub fn write_text(alert: &Alert, context: &Context<'_>, out: &mut Vec<u8>) {
    let (verdict, evidence) = (&alert.verdict, &alert.evidence);
    let mut page = Page { out };
    page.headline(alert);
    page.prose(&finding(alert));
    page.prose(&format!(
        "score {:.1} ({} from {:.1}), risk {:.1} of 100, confidence {:.2}",
        verdict.score.points(),
        alert.severity.as_str(),
        alert.threshold.points(),
        verdict.score.risk(),
        verdict.confidence
    ));
    let term = |term: &fluxtap_flux::Term| {
        let name = term.id.as_str().replace('_', " ");
        format!("{name} {} ({:+.1})", words::value(term), term.points.points())
    };
    page.list("why", verdict.terms.iter().map(term), usize::MAX);
    page.list("addresses", judged(evidence).map(|a| address(a, context)), LISTED_MAX);
    page.list("hosts", evidence.hosts.iter().map(|host| name(&host.name)), LISTED_MAX);
    page.list("name servers", evidence.server_names.iter().map(|n| name(n)), LISTED_MAX);
    let alias = Some(&evidence.terminal).filter(|name| name.len() > 1);
    page.list("alias of", alias.into_iter().map(|n| name(n)), 1);
    page.list("left out", left_out(alert).into_iter(), usize::MAX);
    let degraded = degraded(alert, context);
    page.list("degraded", degraded.iter().map(|word| word.replace('_', " ")), usize::MAX);
    page.prose(&format!(
        "alert {}, line {}, opened {}",
        alert.id,
        alert.revision,
        time(alert.opened)
    ));
}

/// What was seen, with what became of it.
fn finding(alert: &Alert) -> String {
    let (kind, seen) = (words::kind(alert.verdict.kind), words::seen(alert));
    match alert.action {
        Action::New => format!("{kind}: {seen}"),
        Action::Ongoing => format!("{kind}: {seen}, still changing"),
        Action::Reopened => format!("{kind} again: {seen}"),
        Action::Ended(reason) => {
            format!("{}; it had shown {kind}: {seen}", words::why_ended(reason))
        }
    }
}

/// `203.0.113.7 (AS64496 Example Networks, BR, access)`, without what is not known.
fn address(seen: &AddressSeen, context: &Context<'_>) -> String {
    let owner = &seen.owner;
    let mut facts = Vec::new();
    if owner.asn != 0 {
        let org = context.intel.org(owner.asn).unwrap_or_default();
        // A holder's name comes from a registry, where anyone can write what he likes.
        let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
        let org: String = org.chars().take(ORG_CHARS_MAX).map(plain).collect();
        facts.push(format!("AS{} {org}", owner.asn).trim_end().to_owned());
    }
    facts.extend(owner.country.as_str().map(str::to_owned));
    if owner.class != fluxtap_intel::AddressClass::Unknown {
        facts.push(owner.class.as_str().to_owned());
    }
    if facts.is_empty() {
        return seen.ip.to_string();
    }
    format!("{} ({})", seen.ip, facts.join(", "))
}

/// Addresses that were answered and did not count.
fn left_out(alert: &Alert) -> Vec<String> {
    let (subtracted, special) = (alert.subject.subtracted, alert.evidence.special_use);
    let mut parts = Vec::new();
    if subtracted > 0 {
        let many = "addresses of content networks";
        parts.push(counted(subtracted, "address of a content network", many));
    }
    if special > 0 {
        parts.push(counted(special, "special-use address", "special-use addresses"));
    }
    parts
}

fn name(wire: &[u8]) -> String {
    shortened(&WireText(wire).to_string(), NAME_COLUMNS_MAX)
}

/// `2026-11-22 13:05:10Z`: a person needs no milliseconds.
fn time(at: Timestamp) -> String {
    let text = rfc3339(at.millis());
    format!("{}Z", text.get(..19).unwrap_or(&text).replace('T', " "))
}

/// Lines that keep their width.
struct Page<'a> {
    out: &'a mut Vec<u8>,
}

impl Page<'_> {
    fn headline(&mut self, alert: &Alert) {
        let severity = alert.severity.as_str().to_uppercase();
        let action = alert.action.as_str();
        let front = format!("{} {severity} {action} ", time(alert.at));
        let domain = WireText(&alert.evidence.domain).to_string();
        self.line(&format!("{front}{}", shortened(&domain, COLUMNS_MAX - front.len())));
    }

    /// An indented sentence, broken between words.
    fn prose(&mut self, text: &str) {
        self.wrapped(text.split(' '), " ");
    }

    /// A labelled list, broken between items; nothing for an empty one, and a count of what is not
    /// listed.
    fn list(&mut self, label: &str, items: impl Iterator<Item = String>, listed_max: usize) {
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

    fn wrapped<'a>(&mut self, items: impl Iterator<Item = &'a str>, between: &str) {
        let mut line = String::from("  ");
        let mut is_first = true;
        for item in items {
            if !is_first {
                line.push_str(between);
                if line.trim_end().len() + item.len() + between.len() > COLUMNS_MAX {
                    self.line(line.trim_end());
                    line = String::from("    ");
                }
            }
            line.push_str(item);
            is_first = false;
        }
        self.line(&line);
    }

    fn line(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'\n');
    }
}
