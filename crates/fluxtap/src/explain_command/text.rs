//! The explanation for a person.

use super::phrases::{brief, entry_text, floor_noun, lines, points, signed, way, window_facts};
use super::story::{Found, Outcome, Story, Tracked};
use crate::console::{count, grouped};
use crate::inputs::Inputs;
use crate::terminal;
use fluxtap_alert::threats::shown_match;
use fluxtap_alert::words::{self, time};
use fluxtap_alert::{Action, Page, Style};
use fluxtap_flux::{FluxKind, Reckoning, Term, Verdict};
use fluxtap_intel::Intel;
use fluxtap_window::{Part, SetSeen, WHOLE};
use fluxtap_wire::shown::{NAME_COLUMNS_MAX, shown, shown_name};
use std::collections::BTreeSet;

/// Widest name inside a line, and what else stands in such a line.
pub(super) const NAME_COLUMNS: usize = 50;
const BESIDE_NAME_COLUMNS: usize = 42;

/// Columns of a reason that a list gives.
pub(super) const REASON_COLUMNS: usize = 60;

/// Most names, addresses of one change, and lines of the alert that are listed.
pub(super) const LISTED_MAX: usize = 8;

/// Sets that are told, the first ones and the last ones; JSON has all.
const FIRST_SETS: usize = 2;
const LAST_SETS: usize = 5;

/// The whole text.
pub(super) fn of(story: &Story<'_>, inputs: &Inputs) -> String {
    let columns = terminal::columns(&std::io::stdout()).unwrap_or(Style::default().columns);
    page(story, inputs, columns)
}

fn page(story: &Story<'_>, inputs: &Inputs, columns: usize) -> String {
    let mut out = Vec::new();
    let mut page = Page::new(Style { columns, is_colored: false }, &mut out);
    let page = &mut page;
    match &story.found {
        Found::Tracked(tracked) => {
            headline(page, story, outcome(tracked.outcome));
            let text = Text { story, tracked, inputs };
            text.tell(page);
        }
        Found::NeverSeen { near } => {
            headline(page, story, "never seen");
            tell_below(page, story);
            page.prose(&format!(
                "no response with an address or a name server of it {}",
                among(story)
            ));
            page.list("near names", near.iter().map(|name| shown(name, NAME_COLUMNS)), usize::MAX);
        }
        Found::NoAddress => {
            headline(page, story, "not tracked");
            tell_below(page, story);
            page.prose(&format!(
                "{} told name servers of it and none an address, {}; a domain is tracked from its \
                 first address on",
                count(story.follower.responses, "response"),
                among(story)
            ));
        }
        Found::Gone => {
            headline(page, story, "its history is gone");
            tell_below(page, story);
            tell_sight(page, story);
            page.prose(
                "it made room for other domains, which --memory with more would prevent, or was \
                 not seen for 7 days; --at with a time before tells what was known then",
            );
            tell_alerts(page, story);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The line that everything else is indented under.
fn headline(page: &mut Page<'_>, story: &Story<'_>, what: &str) {
    let room = page.columns().saturating_sub(what.len() + 2);
    page.line(&format!("{}: {what}", shown_name(story.domain, room.min(NAME_COLUMNS_MAX))));
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "an alert is open",
        Outcome::Unwritten => "an alert is open, and not written",
        Outcome::Suppressed => "no alert, kept back",
        Outcome::Pending => "no alert yet",
        Outcome::Ended => "no alert any more",
        Outcome::Reached => "no alert so far",
        Outcome::Pool => "no alert, a pool",
        Outcome::Below => "no alert",
        Outcome::TooLittle => "no alert, too little evidence",
        Outcome::NothingLeft => "no alert, nothing to judge",
    }
}

/// A name as wide as a line has room for beside other words.
fn name(page: &Page<'_>, wire: &[u8]) -> String {
    shown_name(wire, page.columns().saturating_sub(BESIDE_NAME_COLUMNS).min(NAME_COLUMNS))
}

/// `among 12 responses from ... to ...`
fn among(story: &Story<'_>) -> String {
    let Some((first, last)) = story.span else { return "among no packet at all".to_owned() };
    format!(
        "among {} with such facts from {} to {}",
        count(story.follower.responses_all, "response"),
        time(first.millis()),
        time(last.millis())
    )
}

fn tell_below(page: &mut Page<'_>, story: &Story<'_>) {
    if story.is_below() {
        page.prose(&format!(
            "this is the registrable domain of {}, for which {} came; names below a domain are \
             judged with it",
            name(page, story.name),
            count(story.follower.responses_asked, "response")
        ));
    }
}

fn tell_sight(page: &mut Page<'_>, story: &Story<'_>) {
    if let Some((first, last)) = story.follower.seen {
        page.prose(&format!(
            "seen in {} from {} to {}",
            count(story.follower.responses, "response"),
            time(first.millis()),
            time(last.millis())
        ));
    }
}

fn tell_alerts(page: &mut Page<'_>, story: &Story<'_>) {
    let told = &story.follower.alerts;
    if told.is_empty() {
        return;
    }
    let texts = told.iter().map(|told| {
        let reason = match told.action {
            Action::Ended(reason) => format!(" ({})", reason.as_str()),
            _ => String::new(),
        };
        format!(
            "{} {}{reason}: {} {}, score {:.1}, alert {}",
            time(told.at.millis()),
            told.action.as_str(),
            told.severity.as_str(),
            told.kind.as_str().replace('_', " "),
            told.score.points(),
            told.id
        )
    });
    lines(page, "alert lines", texts);
    if story.follower.alerts_more > 0 {
        page.prose(&format!("and {} more", grouped(story.follower.alerts_more)));
    }
}

/// The factors of the score by the rule of flux, and what set them.
fn tell_factors(page: &mut Page<'_>, reckoning: &Reckoning) {
    let gate = &reckoning.gate;
    let mut parts = Vec::new();
    if gate.is_undecided {
        parts.push("too few refreshes to tell openness, which makes it 0.70".to_owned());
    } else {
        parts.push(format!(
            "openness {:.2} makes it {:.2}",
            gate.openness,
            0.25 + 0.75 * gate.openness
        ));
    }
    if gate.is_unwitnessed {
        parts.push("nobody was seen to be given something new: at most 0.30".to_owned());
    }
    if gate.is_held_open {
        parts.push("a snapshot holds it open: at least 0.60".to_owned());
    }
    let label = format!("gate {:.2} on networks, owners, spread and countries", gate.value);
    page.prose(&format!("{label}: {}", parts.join(", ")));
    let ownership = &reckoning.ownership;
    let parts = [
        format!("mixed ownership {:.2} takes {:.2}", ownership.mixed, ownership.pool),
        format!(
            "{:.2} addresses a network take {:.2}{}",
            ownership.density,
            ownership.blocks,
            if ownership.pool > 0.0 && ownership.blocks > 0.0 { " of what is left" } else { "" }
        ),
    ];
    let label = format!("ownership factor {:.2} on these and openness", ownership.value);
    page.prose(&format!("{label}: {}", parts.join(", ")));
}

/// Conditions of a rotation that may be missing for it to be worth a word.
const ALMOST_MAX: usize = 3;

/// What a rotation takes and is not there, if that is not much.
fn tell_rotation(page: &mut Page<'_>, reckoning: &Reckoning) {
    let missing =
        reckoning.conditions.iter().filter(|condition| !condition.is_met()).map(|condition| {
            let (name, is) = (
                condition.name.replace('_', " "),
                if condition.is_most { "most" } else { "least" },
            );
            format!("{name} {:.2} where it takes at {is} {:.2}", condition.value, condition.bound)
        });
    let missing: Vec<String> = missing.collect();
    if missing.is_empty() {
        page.prose("rotation: all conditions hold");
    } else if missing.len() <= ALMOST_MAX {
        lines(page, "no rotation of addresses", missing.into_iter());
    }
}

struct Text<'a> {
    story: &'a Story<'a>,
    tracked: &'a Tracked<'a>,
    inputs: &'a Inputs,
}

impl Text<'_> {
    fn tell(&self, page: &mut Page<'_>) {
        tell_below(page, self.story);
        page.prose(&self.why());
        self.tell_time(page);
        tell_alerts(page, self.story);
        self.tell_windows(page);
        self.tell_terms(page);
        self.tell_servers(page);
        self.tell_threats(page);
        self.tell_left_out(page);
        self.tell_allow(page);
        self.tell_distances(page);
        self.tell_changes(page, "changes of the set", &self.tracked.history);
        self.tell_changes(page, "changes of name servers' addresses", &self.tracked.server_history);
    }

    fn intel(&self) -> &Intel {
        &self.inputs.intel
    }

    /// The headline's reason.
    fn why(&self) -> String {
        let tracked = self.tracked;
        let policy = &self.inputs.policy;
        let [low, ..] = policy.thresholds.map(|threshold| threshold.points());
        let of_verdict = |verdict: &Verdict| match verdict.severity(policy) {
            Some(severity) => format!("score {}, {}", points(verdict), severity.as_str()),
            None => format!("score {}, low from {low:.1}", points(verdict)),
        };
        let score = tracked.verdict().map_or_else(|| "no score".to_owned(), of_verdict);
        let alert = tracked.alert.map_or("", |alert| alert.severity.as_str());
        match tracked.outcome {
            Outcome::Open => format!("its alert is {alert}; {score} as of the time below"),
            Outcome::Unwritten => format!(
                "{score}; the least severity that is written, or the kinds, let no line be written"
            ),
            Outcome::Suppressed => {
                format!("{score}, of which entries of the allow list leave no finding")
            }
            Outcome::Pending => format!(
                "{score}; an alert opens at {:.1}, or when a judgement {} later reaches the low \
                 threshold as well",
                policy.thresholds[0].points() + policy.sure_margin.points(),
                words::span(policy.confirm_s as u32)
            ),
            Outcome::Ended => format!("its alert has ended; {score}"),
            Outcome::Reached => {
                format!("{score} as of the time below, which no judgement found so far")
            }
            Outcome::Pool => format!(
                "{score}; its diversity would have alerted, but its owners say volunteers or one \
                 operator"
            ),
            Outcome::Below => score,
            Outcome::TooLittle => {
                let missing = self.floors().map(|text| format!(" {text}")).collect::<Vec<_>>();
                let left_out = &tracked.left_out;
                let is_part = !(left_out.zones.is_empty() && left_out.edges.is_empty());
                let besides = if is_part { ", besides what is left out" } else { "" };
                format!("not judged: it has{}{besides}", missing.join(","))
            }
            Outcome::NothingLeft => self.why_nothing(),
        }
    }

    fn floors(&self) -> impl Iterator<Item = String> {
        let reckoning = self.tracked.reckoning().map(|(reckoning, _)| reckoning);
        reckoning.into_iter().flat_map(|r| r.floors).filter(|floor| !floor.is_met()).map(|floor| {
            let noun = floor_noun(floor.value, floor.name);
            format!("{} {noun} where it takes {}", grouped(floor.value), floor.minimum)
        })
    }

    fn why_nothing(&self) -> String {
        let sets = self.tracked.history.len();
        let explained = self.tracked.history.iter().filter(|set| set.zone.is_some()).count();
        if explained == sets {
            return "all of its addresses were answered behind curated zones, where only the \
                    zone's operator sets them"
                .to_owned();
        }
        "no name of it was answered more than twice or with a second set, and these names do not \
         agree in time"
            .to_owned()
    }

    fn tell_time(&self, page: &mut Page<'_>) {
        let tracked = self.tracked;
        let basis = if tracked.is_at_asked { "as asked" } else { "when it was seen last" };
        page.prose(&format!("as of {}, {basis}", time(tracked.at.millis())));
        let evidence = &tracked.evidence;
        page.prose(&format!(
            "seen in {} to {} for {} from {} to {}",
            words::counted(evidence.responses, "response", "responses"),
            words::counted(evidence.clients, "client", "clients"),
            words::counted(evidence.names, "name", "names"),
            time(evidence.first_ms),
            time(evidence.last_ms)
        ));
        if tracked.was_gone_before
            && let Some(first) = self.story.follower.first_address
        {
            page.prose(&format!(
                "an earlier history, from {} on, made room for other domains or was not fed for 7 \
                 days",
                time(first.millis())
            ));
        }
        if tracked.window.sets_forgotten() > 0 {
            page.prose(&format!(
                "{} of its history were forgotten to its limits",
                count(tracked.window.sets_forgotten().into(), "address set")
            ));
        }
        let watched = tracked.watched;
        page.prose(&match watched.highest {
            Some((at, score)) => format!(
                "judged {}, the highest score {:.1} at {}",
                count(watched.judgements, "time"),
                score.points(),
                time(at.millis())
            ),
            None if watched.judgements > 0 => {
                format!(
                    "looked at {}, never with evidence enough",
                    count(watched.judgements, "time")
                )
            }
            None => "never judged: it had too few addresses, or never another set".to_owned(),
        });
    }

    /// The windows of the names that give the score, and the other names in a line.
    fn tell_windows(&self, page: &mut Page<'_>) {
        let tracked = self.tracked;
        let Some((_, subject)) = tracked.reckoning() else { return };
        let hosts: Vec<String> =
            tracked.evidence.hosts.iter().map(|host| name(page, &host.name)).collect();
        let label = match subject.part {
            Part::Servers => "name servers, by their addresses",
            Part::Answers if subject.is_one_off => "names taken together",
            Part::Answers => "names",
        };
        page.list(label, hosts.into_iter(), LISTED_MAX);
        page.prose("windows:");
        page.indent(4);
        let measured = || tracked.features.subjects.iter().zip(&tracked.reckonings);
        for (of_window, reckoning) in measured().filter(|(s, _)| s.key() == subject.key()) {
            let judged = if reckoning.is_judged() { "" } else { " (not judged)" };
            let front = format!("score {}{judged}", points(&reckoning.verdict));
            let items = std::iter::once(front).chain(window_facts(of_window));
            page.list(&words::span(of_window.window_s), items, usize::MAX);
        }
        page.indent(2);
        let others: BTreeSet<(Part, u16)> =
            measured().map(|(s, _)| s.key()).filter(|&key| key != subject.key()).collect();
        let highest = measured()
            .filter(|(s, r)| s.key() != subject.key() && r.is_judged())
            .map(|(_, r)| r.verdict.score)
            .max();
        if !others.is_empty() {
            let highest = highest.map_or("none of them judged".to_owned(), |score| {
                format!("the highest score of them {:.1}", score.points())
            });
            page.prose(&format!(
                "besides {} that share no address, {highest}",
                count(others.len() as u64, "group") + " of names"
            ));
        }
    }

    fn tell_terms(&self, page: &mut Page<'_>) {
        let Some((reckoning, subject)) = self.tracked.reckoning() else { return };
        let verdict = &reckoning.verdict;
        page.prose(&format!("terms, over {}:", words::span(subject.window_s)));
        page.line(&format!("    {:24} {:>8} {:>9} {:>6}", "", "value", "reference", "points"));
        for term in &verdict.terms {
            let reference = words::value(&Term { value: term.reference, ..*term });
            page.line(&format!(
                "    {:3} {:20} {:>8} {reference:>9} {:>6}",
                term.id.id(),
                term.id.as_str().replace('_', " "),
                words::value(term),
                signed(term.points.points())
            ));
        }
        page.line(&format!("    {:24} {:>25}", "score", points(verdict)));
        if verdict.kind != FluxKind::Rotation {
            tell_factors(page, reckoning);
        }
        tell_rotation(page, reckoning);
        if !self.intel().has_table() {
            page.prose("there is no address table: owners, countries and kinds are not known");
        }
    }

    fn tell_servers(&self, page: &mut Page<'_>) {
        let tracked = self.tracked;
        let names: Vec<String> =
            tracked.servers().into_iter().map(|server| name(page, server)).collect();
        page.list("name servers", names.into_iter(), LISTED_MAX);
        match &tracked.features.servers {
            Some(servers) => page.prose(&format!(
                "{} of name servers; the set of their names changed {}",
                words::counted(servers.addresses, "address", "addresses"),
                count(servers.set_changes.into(), "time")
            )),
            None => page.prose(
                "name servers: no addresses of any, or neither they nor the domain's ever changed",
            ),
        }
        let alias = Some(&tracked.evidence.terminal).filter(|name| name.len() > 1);
        let alias = alias.map(|target| name(page, target));
        page.list("alias of", alias.into_iter(), 1);
    }

    fn tell_threats(&self, page: &mut Page<'_>) {
        let lists = self.intel().threats().lists().len();
        if lists == 0 {
            return;
        }
        let hits: Vec<String> = self.tracked.threats.of_subject(WHOLE).map(shown_match).collect();
        if hits.is_empty() {
            page.prose(&format!("threat lists: on none of {lists}"));
        } else {
            lines(page, "threat lists", hits.into_iter());
        }
    }

    fn tell_left_out(&self, page: &mut Page<'_>) {
        let left_out = &self.tracked.left_out;
        let zones = left_out.zones.iter().map(|(&zone, &sets)| {
            let sets = words::counted(sets, "address set", "address sets");
            match self.intel().zones().get(usize::from(zone)) {
                Some(zone) => format!(
                    "{sets} behind the curated zone {} ({})",
                    shown(&zone.name, NAME_COLUMNS),
                    shown(&zone.reason, REASON_COLUMNS)
                ),
                None => sets,
            }
        });
        let edges = left_out.edges.iter().map(|(&asn, &addresses)| {
            let org = shown(self.intel().org(asn).unwrap_or_default(), REASON_COLUMNS);
            let addresses = words::counted(addresses, "address", "addresses");
            format!("{addresses} of the content network AS{asn} {org}").trim_end().to_owned()
        });
        let special = self.tracked.evidence.special_use;
        let special = (special > 0)
            .then(|| words::counted(special, "special-use address", "special-use addresses"));
        let items: Vec<String> = zones.chain(edges).chain(special).collect();
        if items.is_empty() {
            page.prose("left out: nothing");
        } else {
            lines(page, "left out", items.into_iter());
        }
    }

    fn tell_allow(&self, page: &mut Page<'_>) {
        let tracked = self.tracked;
        let entries = self.intel().allow().entries();
        if entries.is_empty() {
            return;
        }
        let entry = |at: u16| entries.get(usize::from(at)).map(entry_text);
        match &tracked.relief {
            Some(relief) => {
                lines(page, "allow list", relief.entries.iter().filter_map(|&at| entry(at)));
                page.prose(&match &relief.rest {
                    _ if relief.is_whole => "these cover the whole domain".to_owned(),
                    Some((_, verdict)) => {
                        format!("what these leave has a score of {}", points(verdict))
                    }
                    None => "what these leave is too little to be judged".to_owned(),
                });
            }
            None => {
                let left_out = &tracked.left_out;
                let parts = left_out.allowed_sets.keys().chain(left_out.allowed_addresses.keys());
                let covering: BTreeSet<u16> =
                    tracked.covered_by.iter().chain(parts).copied().collect();
                if covering.is_empty() {
                    page.prose("allow list: no entry covers any of it");
                    return;
                }
                lines(page, "allow list", covering.into_iter().filter_map(entry));
                page.prose("these had nothing to keep back: there is no finding");
            }
        }
    }

    /// How far it is from each threshold, and what would close the distance.
    fn tell_distances(&self, page: &mut Page<'_>) {
        let Some(distances) = &self.tracked.distances else {
            page.prose("terms, gate and distance to the thresholds: nothing is left to measure");
            return;
        };
        page.prose("distance to the thresholds:");
        page.indent(4);
        for (name, distance) in ["low", "medium", "high"].into_iter().zip(distances) {
            let label = format!("{name} from {:.1}", distance.threshold.points());
            page.prose(&format!("{label}: {}", way(distance)));
        }
        page.indent(2);
    }

    fn tell_changes(&self, page: &mut Page<'_>, label: &str, history: &[SetSeen]) {
        if history.is_empty() {
            return;
        }
        let changes = history.iter().filter(|set| set.is_change()).count();
        if changes == 0 {
            let sets = words::counted(history.len() as u32, "set", "sets");
            page.prose(&format!("{label}: none in {sets} of addresses"));
            return;
        }
        let sets = words::counted(history.len() as u32, "set", "sets");
        page.prose(&format!("{label}: {} among {sets} of addresses:", grouped(changes as u64)));
        let last = history.len().saturating_sub(LAST_SETS).max(FIRST_SETS);
        for set in history.iter().take(FIRST_SETS) {
            self.tell_set(page, set);
        }
        page.indent(4);
        if let Some(between) = last.checked_sub(FIRST_SETS).filter(|&sets| sets > 0) {
            let sets = words::counted(between as u32, "further set", "further sets");
            page.prose(&format!("... {sets}, which --json has ..."));
        }
        for set in history.iter().skip(last) {
            self.tell_set(page, set);
        }
        page.indent(2);
    }

    fn tell_set(&self, page: &mut Page<'_>, set: &SetSeen) {
        let host = set.host.as_deref().map_or("(forgotten)".to_owned(), |host| name(page, host));
        let family = if set.is_v6 { "AAAA" } else { "A" };
        let mut facts = vec![
            format!("+{} -{}", set.joined.len(), set.left.len()),
            format!("{} in all", set.addresses.len()),
            format!("TTL {}", set.ttl_s),
            words::counted(set.refreshes, "refresh", "refreshes"),
        ];
        if set.seen_s > set.first_s {
            facts.push(format!("until {}", time(1_000 * u64::from(set.seen_s))));
        }
        if set.is_partial {
            facts.push("cut by the answer (TC)".to_owned());
        }
        if let Some(zone) = set.zone.and_then(|at| self.intel().zones().get(usize::from(at))) {
            facts.push(format!("behind {}", shown(&zone.name, NAME_COLUMNS)));
        }
        if let Some(at) = set.allowed
            && let Some(entry) = self.intel().allow().entries().get(usize::from(at))
        {
            facts.push(format!("allowed by line {}", entry.line));
        }
        page.indent(4);
        let at = time(1_000 * u64::from(set.first_s));
        page.list(&format!("{at} {host} {family}"), facts.into_iter(), usize::MAX);
        page.indent(6);
        page.list("joined", set.joined.iter().map(brief), LISTED_MAX);
        page.list("left", set.left.iter().map(|a| a.ip.to_string()), LISTED_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Asked;
    use super::super::follow::{Follower, Until};
    use super::*;
    use crate::replay::read_all;
    use crate::sensor::Sensor;
    use fluxtap_capture::{Replay, ReplayOptions};
    use fluxtap_config::Settings;
    use fluxtap_wire::shown::{columns, escaped};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// What is told about a name of the demonstration in a terminal of these widths.
    fn told(domain: &str, widths: &[usize]) -> Vec<String> {
        let settings = Settings::default();
        let inputs = Arc::new(Inputs::open(&settings).expect("the defaults"));
        let asked = Asked::parse(domain).expect("a name");
        let follower = Follower::of(asked.domain.clone(), asked.name.clone());
        let mut sensor =
            Sensor::new(&settings, 60, fluxtap_engine::REPLAY_HASH_KEY, &inputs, follower)
                .watching(&asked.domain);
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps/demo/demo.pcap");
        let mut source = Until::new(Replay::open([demo], ReplayOptions::default()), None, 60);
        let read = read_all(&mut sensor, &mut source, &AtomicBool::new(false), |_, _| {});
        read.and_then(|()| sensor.finish()).expect("a capture");
        let story = Story::of(&asked, None, &sensor, &inputs);
        widths.iter().map(|&columns| page(&story, &inputs, columns)).collect()
    }

    #[test]
    fn lines_keep_to_the_width_and_to_ascii() {
        let widths = [0, 60, 80, 100, 140];
        for domain in [
            "www.parcel-redelivery.example",
            "a.very.long.name.below.it.which.nobody.asked.for.invoice-portal.test",
            "harbor-outfitters.example",
            "ntp.org",
            "tunnelbird.example",
            "dynhosts.example",
            "never-seen-by-anybody-at-all.example",
        ] {
            for (asked, text) in widths.into_iter().zip(told(domain, &widths)) {
                let room = asked.max(Style::COLUMNS_MIN);
                for (index, line) in text.lines().enumerate() {
                    let holder_is_long = line.contains(" of the content network ");
                    let is_room = columns(line) <= room || holder_is_long;
                    assert!(is_room, "{} of {room}: {line}", columns(line));
                    assert_eq!((escaped(line).as_str(), line.trim_end()), (line, line));
                    assert_eq!(line.starts_with("  "), index > 0, "one headline: {line}");
                }
            }
        }
    }
}
