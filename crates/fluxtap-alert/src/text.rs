//! An alert as a few lines for a person.

use crate::line::{degraded, kind_coverage, vantage};
use crate::page::{Page, Style};
use crate::shares::judged;
use crate::words::{self, counted, time};
use crate::{Action, Alert, Context, threats};
use fluxtap_flux::Severity;
use fluxtap_window::Evidence;
use fluxtap_wire::shown::shown_name;

/// Widest name in columns.
const NAME_COLUMNS_MAX: usize = 50;

/// Most addresses, hosts or name servers that are listed.
const LISTED_MAX: usize = 8;

/// Appends the alert to `out` as a headline and a few indented lines. An item that is wider than
/// a line, as an address with a long holder can be in a narrow terminal, is not broken.
///
/// Everything from outside is as [`fluxtap_wire::shown`] shows it, so
/// that no name can move the cursor or forge a line: names from the wire are printable ASCII,
/// holders of address space keep the letters of their language.
pub fn write_text(alert: &Alert, context: &Context<'_>, style: Style, out: &mut Vec<u8>) {
    let (verdict, evidence) = (&alert.verdict, &alert.evidence);
    let mut page = Page::new(style, out);
    headline(&mut page, alert);
    page.prose(&finding(alert));
    page.prose(&format!(
        "score {:.1} ({} from {:.1}), risk {:.1} of 100, confidence {:.2}",
        verdict.score.points(),
        alert.severity.as_str(),
        alert.threshold.points(),
        verdict.score.risk(),
        verdict.confidence
    ));
    page.list("data", data_quality(alert).into_iter(), usize::MAX);
    let term = |term: &fluxtap_flux::Term| {
        let name = term.id.as_str().replace('_', " ");
        format!("{name} {} ({:+.1})", words::value(term), term.points.points())
    };
    page.list("why", verdict.terms.iter().map(term), usize::MAX);
    page.list(
        "addresses",
        judged(evidence).map(|a| words::address(a.ip, &a.owner, context.intel)),
        LISTED_MAX,
    );
    page.list("on threat lists", alert.threats.iter().map(threats::shown_match), LISTED_MAX);
    if let Some(campaign) = &alert.campaign {
        let others = campaign.neighbours.iter().map(|n| name(n));
        page.list(&format!("campaign {} with", campaign.id), others, LISTED_MAX);
    }
    page.list("hosts", evidence.hosts.iter().map(|host| name(&host.name)), LISTED_MAX);
    page.list("name servers", evidence.server_names.iter().map(|n| name(n)), LISTED_MAX);
    let alias = Some(&evidence.terminal).filter(|name| name.len() > 1);
    page.list("alias of", alias.into_iter().map(|n| name(n)), 1);
    if evidence.first_ms > 0 {
        page.prose(&sights(evidence));
    }
    page.list("rebinding", words::rebound(alert).into_iter(), 1);
    page.list("besides", besides(evidence).into_iter(), usize::MAX);
    let clients = evidence.client_list.iter().filter_map(|&ip| context.clients.shown(ip));
    page.list("clients", clients, LISTED_MAX);
    page.list("left out", left_out(alert).into_iter(), usize::MAX);
    let degraded = degraded(alert, context);
    page.list("degraded", degraded.iter().map(|word| word.replace('_', " ")), usize::MAX);
    page.prose(&format!(
        "alert {}, line {}, opened {}",
        alert.id,
        alert.revision,
        time(alert.opened.millis())
    ));
}

/// What was seen, with what became of it.
fn finding(alert: &Alert) -> String {
    let (kind, seen) = (words::kind(alert.verdict.kind), words::seen(alert));
    match alert.action {
        Action::New => format!("{kind}: {seen}"),
        Action::Ongoing => format!("{kind}: {seen}, still changing"),
        Action::Reopened => format!("{kind} again: {seen}"),
        Action::Matched => format!("on a threat list, whatever its behaviour: {seen}"),
        Action::Rebound => kind.to_owned(),
        Action::Ended(reason) => {
            format!("{}; it had shown {kind}: {seen}", words::why_ended(reason))
        }
    }
}

/// How good what the confidence rests on is.
fn data_quality(alert: &Alert) -> Vec<String> {
    let subject = &alert.subject;
    let known = 100.0 * kind_coverage(&subject.spread);
    let mut parts = vec![
        counted(subject.changes, "change", "changes"),
        format!("kind of {known:.0} % of the networks known"),
    ];
    let whose = match vantage(&alert.evidence) {
        "cache" => "from caches",
        "authoritative" => "from authorities",
        _ => "from caches and authorities",
    };
    // A history that is gone says nothing of whose answers it was.
    parts.extend((alert.evidence.responses > 0).then(|| whose.to_owned()));
    if let Some(percent) = alert.lacking_percent.filter(|percent| *percent > 0) {
        parts.push(format!("{percent} % of responses without their query"));
    }
    parts
}

/// How often and since when the domain was seen.
fn sights(evidence: &Evidence) -> String {
    format!(
        "seen in {} to {} for {} since {}",
        counted(evidence.responses, "response", "responses"),
        counted(evidence.clients, "client", "clients"),
        counted(evidence.names, "name", "names"),
        time(evidence.first_ms)
    )
}

/// What explains the answers, or adds to them, and was not scored.
fn besides(evidence: &Evidence) -> Vec<String> {
    let context = &evidence.context;
    let responses = |number| counted(number, "response", "responses");
    let mut parts = Vec::new();
    if context.client_subnets.responses > 0 {
        let subnets = counted(context.client_subnets.distinct, "client network", "client networks");
        let of = responses(context.client_subnets.responses);
        parts.push(format!("{of} made for {subnets}"));
    }
    if context.hints.responses > 0 {
        let hints = counted(context.hints.distinct, "address hint", "address hints");
        parts.push(format!("{} with {hints}", responses(context.hints.responses)));
    }
    if context.dns64_responses > 0 {
        parts.push(format!("{} by way of DNS64", responses(context.dns64_responses)));
    }
    parts
}

/// Addresses that were answered and did not count.
fn left_out(alert: &Alert) -> Vec<String> {
    let (subtracted, special) = (alert.subject.subtracted, alert.evidence.special_use);
    let mut parts = Vec::new();
    if subtracted > 0 {
        let many = "addresses of content networks";
        parts.push(counted(subtracted, "address of a content network", many));
    }
    if alert.subject.allowed > 0 {
        let many = "addresses on the allow list";
        parts.push(counted(alert.subject.allowed, "address on the allow list", many));
    }
    if special > 0 {
        parts.push(counted(special, "special-use address", "special-use addresses"));
    }
    parts
}

fn name(wire: &[u8]) -> String {
    shown_name(wire, NAME_COLUMNS_MAX)
}

/// The line that everything else is indented under.
fn headline(page: &mut Page<'_>, alert: &Alert) {
    let severity = alert.severity.as_str().to_uppercase();
    let (time, action) = (time(alert.at.millis()), alert.action.as_str());
    let front = format!("{time} {severity} {action} ").len();
    let domain = shown_name(&alert.evidence.domain, page.columns().saturating_sub(front));
    let severity = colored(&severity, alert.severity, page.is_colored());
    page.line(&format!("{time} {severity} {action} {domain}"));
}

/// The word in the colour of the severity: bold red, yellow, cyan.
fn colored(word: &str, severity: Severity, is_colored: bool) -> String {
    let code = match severity {
        _ if !is_colored => return word.to_owned(),
        Severity::High => "1;31",
        Severity::Medium => "33",
        Severity::Low => "36",
    };
    format!("\x1b[{code}m{word}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CloseReason;
    use crate::testing::{alert, all_terms, context, longest_name, set_terms, wire};
    use fluxtap_flux::FluxKind;
    use fluxtap_intel::{AddressClass, Intel};
    use fluxtap_window::{ContextSeen, Counted, HostSeen};
    use fluxtap_wire::shown::columns;

    /// Writes the alert and checks what is promised of every text.
    fn text(alert: &Alert, context: &Context<'_>) -> String {
        let mut out = Vec::new();
        write_text(alert, context, Style::default(), &mut out);
        let text = String::from_utf8(out).expect("ASCII");
        assert!(text.ends_with('\n'));
        for (index, line) in text.lines().enumerate() {
            assert!(columns(line) <= Style::default().columns, "{} columns: {line}", columns(line));
            assert_eq!(fluxtap_wire::shown::escaped(line), line);
            assert_eq!(line.starts_with("  "), index > 0, "one headline: {line}");
            assert_eq!(line.trim_end(), line);
        }
        text
    }

    #[test]
    fn an_alert_reads_well() {
        let mut alert = alert();
        alert.evidence.addresses.truncate(10);
        alert.evidence.addresses[0].owner.asn = 15_169;
        alert.evidence.addresses[1].owner = fluxtap_intel::Owner::UNKNOWN;
        alert.evidence.addresses[2].owner.class = AddressClass::Cdn;
        alert.evidence.special_use = 2;
        alert.evidence.context = ContextSeen {
            client_subnets: Counted { responses: 103, distinct: 17 },
            hints: Counted { responses: 1, distinct: 1 },
            dns64_responses: 7,
        };
        alert.subject.subtracted = 1;
        let intel = Intel::embedded();
        alert.queries_visible = None;
        assert_eq!(text(&alert, &context(&intel)), EXPECTED);
    }

    const EXPECTED: &str = "\
2026-11-22 13:05:10Z HIGH flux-ongoing evil-flux.test
  single fast flux: 46 addresses in 46 networks, 16 autonomous systems and 7 countries within an
    hour, still changing
  score 26.3 (high from 18.0), risk 93.8 of 100, confidence 0.92
  data: 9 changes, kind of 98 % of the networks known, from caches,
    3 % of responses without their query
  why: networks 46 (+5.7), autonomous systems 16 (+5.7), spread 0.96 (+2.8), countries 7 (+2.9),
    replacement 0.93 (+3.7), access share 0.91 (+4.0), ttl 60 (+1.5)
  addresses: 240.0.0.1 (AS15169 Google LLC, BR, access), 240.1.11.2,
    240.3.33.4 (AS64505, UA, access), 240.4.44.5 (AS64496, BR, access),
    2001:db8:2c::5 (AS64496, TR, access), 240.5.55.6 (AS64505, KR, access),
    240.6.66.7 (AS64500, AR, access), 240.7.77.8 (AS64497, BR, access), and 1 more
  hosts: www.evil-flux.test, evil-flux.test
  name servers: ns1.evil-flux.test
  seen in 412 responses to 17 clients for 2 names since 2026-11-22 12:31:02Z
  besides: 103 responses made for 17 client networks, 1 response with 1 address hint,
    7 responses by way of DNS64
  left out: 1 address of a content network, 2 special-use addresses
  degraded: queries not paired
  alert fx-2afd9963e1ec33f7fb8a, line 3, opened 2026-11-22 12:58:00Z
";

    #[test]
    fn a_narrow_terminal_gets_narrow_lines() {
        let mut alert = alert();
        alert.evidence.domain = longest_name(b'a');
        for (asked, columns) in [(0, 60), (60, 60), (80, 80), (140, 140)] {
            let mut out = Vec::new();
            let style = Style { columns: asked, is_colored: false };
            write_text(&alert, &context(&Intel::without_table()), style, &mut out);
            let text = String::from_utf8(out).expect("ASCII");
            let widest = text.lines().map(str::len).max().expect("lines");
            assert!((columns - 15..=columns).contains(&widest), "{widest} of {columns}: {text}");
        }
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let intel = Intel::without_table();
        for (severity, code) in
            [(Severity::Low, "36"), (Severity::Medium, "33"), (Severity::High, "1;31")]
        {
            let alert = Alert { severity, ..alert() };
            let mut out = Vec::new();
            let style = Style { is_colored: true, ..Style::default() };
            write_text(&alert, &context(&intel), style, &mut out);
            let colored = String::from_utf8(out).expect("ASCII");
            let word = severity.as_str().to_uppercase();
            let with_colour = format!("\x1b[{code}m{word}\x1b[0m");
            assert!(colored.contains(&with_colour), "{colored}");
            assert_eq!(colored.replacen(&with_colour, &word, 1), text(&alert, &context(&intel)));
        }
    }

    #[test]
    fn an_alert_without_evidence_is_short() {
        let mut alert = alert();
        alert.action = Action::Ended(CloseReason::Quiet);
        alert.verdict.kind = FluxKind::Double;
        alert.evidence = Evidence { domain: wire("a.test"), ..Evidence::default() };
        set_terms(&mut alert, vec![]);
        let intel = Intel::embedded();
        assert_eq!(text(&alert, &context(&intel)), SHORT);
    }

    const SHORT: &str = "\
2026-11-22 13:05:10Z HIGH flux-ended a.test
  ended because a day went by without flux; it had shown double fast flux: 46 addresses in 46
    networks, 16 autonomous systems and 7 countries within an hour
  score 0.0 (high from 18.0), risk 0.0 of 100, confidence 0.92
  data: 9 changes, kind of 98 % of the networks known, 3 % of responses without their query
  alert fx-2afd9963e1ec33f7fb8a, line 3, opened 2026-11-22 12:58:00Z
";

    #[test]
    fn every_action_has_its_words() {
        let intel = Intel::without_table();
        for (action, expect) in [
            (Action::New, "single fast flux: 46 addresses"),
            (Action::Ongoing, "within an hour, still changing"),
            (Action::Reopened, "single fast flux again: 46 addresses"),
            (Action::Ended(CloseReason::Quiet), "ended because a day went by without flux; it had"),
            (Action::Ended(CloseReason::Evicted), "its history had to make room; it had shown"),
        ] {
            let alert = Alert { action, ..alert() };
            let text = text(&alert, &context(&intel));
            let flat = text.replace("\n    ", " ");
            assert!(flat.contains(expect), "{text}");
            assert!(text.lines().next().is_some_and(|line| line.contains(action.as_str())));
        }
    }

    #[test]
    fn names_from_the_wire_cannot_leave_their_place() {
        let intel = Intel::embedded();
        for name in [
            longest_name(0),
            longest_name(b'a'),
            longest_name(0x1b),
            wire("\\027[2J\\013\\010forged: line.test"),
            wire("\\226\\128\\174gpj.test"),
            vec![],
            vec![0],
        ] {
            let mut alert = alert();
            alert.evidence.domain.clone_from(&name);
            alert.evidence.terminal.clone_from(&name);
            alert.evidence.hosts = vec![HostSeen { name: name.clone(), runs: 1 }; 64];
            alert.evidence.server_names = vec![name; 64];
            set_terms(&mut alert, all_terms());
            let text = text(&alert, &context(&intel));
            assert!(text.is_ascii() && text.lines().count() < 40, "{text}");
            assert!(text.contains("and 56 more"), "{text}");
        }
    }
}
