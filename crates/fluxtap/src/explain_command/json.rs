//! The explanation as one JSON object, in the words of the alert: what has a field there has its
//! name here.

use super::story::{Found, Story, Tracked};
use crate::inputs::Inputs;
use fluxtap_alert::{Action, parts, rfc3339};
use fluxtap_flux::{Condition, Distance, Floor, Pool, Reckoning};
use fluxtap_intel::Intel;
use fluxtap_window::{AddressOf, Part, SetSeen, Subject, WHOLE};
use fluxtap_wire::Timestamp;
use fluxtap_wire::name::WireText;
use serde_json::{Value, json};

/// Version of the object: minor for an added field, major for one removed or retyped.
const SCHEMA_VERSION: &str = "1.0.0";

/// The whole object.
pub(super) fn of(story: &Story<'_>, inputs: &Inputs) -> Value {
    let mut object = json!({
        "schema": { "name": "fluxtap.explain", "version": SCHEMA_VERSION },
        "dns": { "question": { "name": name(story.name), "registered_domain": name(story.domain) } },
        "capture": {
            "start": story.span.map(|(first, _)| at(first)),
            "end": story.span.map(|(_, last)| at(last)),
            "responses": story.follower.responses_all,
        },
        "sights": {
            "responses": story.follower.responses,
            "responses_for_name": story.follower.responses_asked,
            "first_seen": story.follower.seen.map(|(first, _)| at(first)),
            "last_seen": story.follower.seen.map(|(_, last)| at(last)),
        },
        "alerts": alerts(story),
        "alerts_unlisted": story.follower.alerts_more,
    });
    let (outcome, near) = match &story.found {
        Found::Tracked(tracked) => (tracked.outcome.as_str(), &[][..]),
        Found::NeverSeen { near } => ("never_seen", near.as_slice()),
        Found::NoAddress => ("no_address", &[][..]),
        Found::Gone => ("history_gone", &[][..]),
    };
    object["outcome"] = outcome.into();
    object["near"] = near.into();
    object["history"] = match &story.found {
        Found::Tracked(tracked) => history(tracked, inputs),
        _ => Value::Null,
    };
    object
}

/// What is known of a domain with a history.
fn history(tracked: &Tracked<'_>, inputs: &Inputs) -> Value {
    let intel = &inputs.intel;
    let watched = tracked.watched;
    let measured = tracked.features.subjects.iter().zip(&tracked.reckonings).enumerate();
    let windows: Vec<Value> = measured
        .map(|(index, (subject, reckoning))| {
            window(subject, reckoning, tracked, tracked.best == Some(index))
        })
        .collect();
    let domain = name(tracked.window.name());
    let threats = tracked.threats.of_subject(WHOLE).map(|found| parts::threat(found, &domain));
    json!({
        "as_of": at(tracked.at),
        "as_of_basis": if tracked.is_at_asked { "asked" } else { "last_seen" },
        "first_seen": rfc3339(tracked.evidence.first_ms),
        "last_seen": rfc3339(tracked.evidence.last_ms),
        "began_anew": tracked.was_gone_before,
        "sets_forgotten": tracked.window.sets_forgotten(),
        "flux": flux(tracked, inputs),
        "judgements": {
            "count": watched.judgements,
            "highest_score": watched.highest.map(|(_, score)| score.points()),
            "highest_at": watched.highest.map(|(time, _)| at(time)),
        },
        "alert": tracked.alert.map(|alert| json!({
            "open": alert.is_open,
            "pending": alert.is_pending,
            "written": alert.is_open && !alert.is_untold,
            "severity": alert.severity.as_str(),
        })),
        "windows": windows,
        "evidence": evidence(tracked),
        "threats": threats.collect::<Vec<_>>(),
        "suppression": suppression(tracked, intel),
        "thresholds": tracked.distances.as_ref().map(|all| {
            let severities = ["low", "medium", "high"].into_iter();
            severities.zip(all).map(|(severity, d)| distance(severity, d)).collect::<Vec<_>>()
        }),
        "changes": changes(&tracked.history, intel),
        "ns_changes": changes(&tracked.server_history, intel),
    })
}

/// The verdict as of the time; null without evidence enough.
fn flux(tracked: &Tracked<'_>, inputs: &Inputs) -> Value {
    let Some(verdict) = tracked.verdict() else { return Value::Null };
    let mut flux = parts::flux(verdict, verdict.severity(&inputs.policy), &inputs.model());
    flux["pool"] = verdict.pool.map(Pool::as_str).into();
    flux
}

fn window(subject: &Subject, reckoning: &Reckoning, tracked: &Tracked<'_>, is_best: bool) -> Value {
    let spread = &subject.spread;
    let (gate, ownership) = (&reckoning.gate, &reckoning.ownership);
    let start = tracked.at.millis().saturating_sub(1_000 * u64::from(subject.window_s));
    json!({
        "part": match subject.part {
            Part::Answers => "names",
            Part::Servers => "name_servers",
        },
        "subject": subject.index,
        "one_off_names": subject.is_one_off,
        "seconds": subject.window_s,
        "start": rfc3339(start),
        "end": at(tracked.at),
        "complete": subject.is_window_complete,
        "judged": reckoning.is_judged(),
        "decides": is_best,
        "score": reckoning.verdict.score.points(),
        "kind": reckoning.verdict.kind.as_str(),
        "terms": parts::terms(&reckoning.verdict, subject),
        "floors": floors(&reckoning.floors),
        "gate": {
            "value": decimal(gate.value),
            "openness": decimal(gate.openness),
            "undecided": gate.is_undecided,
            "unwitnessed": gate.is_unwitnessed,
            "held_open": gate.is_held_open,
        },
        "ownership": {
            "factor": decimal(ownership.value),
            "mixed": decimal(ownership.mixed),
            "pool_takes": decimal(ownership.pool),
            "density": decimal(ownership.density),
            "density_takes": decimal(ownership.blocks),
        },
        "rotation": conditions(&reckoning.conditions),
        "ip": {
            "distinct": subject.addresses,
            "networks": spread.networks,
            "prefixes": spread.prefixes,
        },
        "asn": { "distinct": spread.asns },
        "country": { "distinct": spread.countries },
        "networks_by_class": {
            "access": spread.access,
            "hosting": spread.hosting,
            "education": spread.education,
        },
        "refreshes": subject.refreshes,
        "sets": subject.sets,
        "changes": subject.changes,
        "replaced": subject.replaced,
        "subtracted": subject.subtracted,
        "ttl": {
            "max": subject.ttl_s,
            "basis": if subject.is_ttl_authoritative { "authoritative" } else { "cache_max" },
        },
        "compare": parts::compare(subject),
    })
}

fn evidence(tracked: &Tracked<'_>) -> Value {
    let evidence = &tracked.evidence;
    let servers = tracked.features.servers.as_ref();
    let alias = Some(&evidence.terminal).filter(|wire| wire.len() > 1);
    json!({
        "responses": evidence.responses,
        "clients": evidence.clients,
        "names": evidence.names,
        "special_use": evidence.special_use,
        "hosts": evidence.hosts.iter().map(|host| name(&host.name)).collect::<Vec<_>>(),
        "alias_target": alias.map(|wire| name(wire)),
        "ns": {
            "visible": servers.is_some(),
            "distinct": servers.map_or(0, |s| s.names),
            "distinct_ip": servers.map_or(0, |s| s.addresses),
            "changes": servers.map_or(0, |s| s.set_changes),
            "names": tracked.servers().into_iter().map(name).collect::<Vec<_>>(),
        },
    })
}

/// What was subtracted or kept back, by the entry that says so.
fn suppression(tracked: &Tracked<'_>, intel: &Intel) -> Value {
    let left_out = &tracked.left_out;
    let zones: Vec<Value> = left_out
        .zones
        .iter()
        .filter_map(|(&at, sets)| {
            let zone = intel.zones().get(usize::from(at))?;
            Some(json!({ "zone": &*zone.name, "reason": &*zone.reason, "sets": sets }))
        })
        .collect();
    let edges: Vec<Value> = left_out
        .edges
        .iter()
        .map(|(&asn, addresses)| {
            json!({ "asn": asn, "org": intel.org(asn), "addresses": addresses })
        })
        .collect();
    let entries = intel.allow().entries().iter().enumerate().filter_map(|(at, entry)| {
        let at = at as u16;
        let takes_part = tracked.relief.as_ref().is_some_and(|r| r.entries.contains(&at));
        let covers_domain = tracked.covered_by == Some(at);
        let sets = left_out.allowed_sets.get(&at).copied().unwrap_or(0);
        let addresses = left_out.allowed_addresses.get(&at).copied().unwrap_or(0);
        (takes_part || covers_domain || sets > 0 || addresses > 0).then(|| {
            json!({
                "entry": entry.covers.to_string(),
                "line": entry.line,
                "reason": &*entry.reason,
                "expires": entry.expires.map(|day| day.to_string()),
                "takes_part": takes_part,
                "covers_domain": covers_domain,
                "sets": sets,
                "addresses": addresses,
            })
        })
    });
    let rest = tracked.relief.as_ref().and_then(|relief| relief.rest.as_ref());
    json!({
        "allowlisted": tracked.relief.is_some(),
        "score_left": rest.map(|(_, verdict)| verdict.score.points()),
        "entries": entries.collect::<Vec<_>>(),
        "zones": zones,
        "content_networks": edges,
    })
}

fn distance(severity: &str, distance: &Distance) -> Value {
    let steps: Vec<Value> = distance
        .steps
        .iter()
        .map(|step| {
            json!({
                "name": step.lever.as_str(),
                "from": decimal(step.from),
                "to": decimal(step.to),
                "score": step.score.points(),
            })
        })
        .collect();
    json!({
        "severity": severity,
        "threshold": distance.threshold.points(),
        "missing": distance.missing.points(),
        "floors": floors(&distance.floors),
        "steps": steps,
        "reached_with_steps": distance.is_reached,
    })
}

fn floors(floors: &[Floor]) -> Vec<Value> {
    let floor = |floor: &Floor| {
        json!({
            "name": floor.name,
            "value": floor.value,
            "minimum": floor.minimum,
            "met": floor.is_met(),
        })
    };
    floors.iter().map(floor).collect()
}

fn conditions(conditions: &[Condition]) -> Vec<Value> {
    let condition = |condition: &Condition| {
        json!({
            "name": condition.name,
            "value": decimal(condition.value),
            "bound": decimal(condition.bound),
            "is": if condition.is_most { "most" } else { "least" },
            "met": condition.is_met(),
        })
    };
    conditions.iter().map(condition).collect()
}

fn changes(history: &[SetSeen], intel: &Intel) -> Vec<Value> {
    let seconds = |at_s: u32| rfc3339(1_000 * u64::from(at_s));
    let list = |list: &[AddressOf]| list.iter().map(address).collect::<Vec<_>>();
    let change = |set: &SetSeen| {
        let zone = set.zone.and_then(|at| intel.zones().get(usize::from(at)));
        let allowed = set.allowed.and_then(|at| intel.allow().entries().get(usize::from(at)));
        json!({
            "host": set.host.as_deref().map(name),
            "type": if set.is_v6 { "AAAA" } else { "A" },
            "first_seen": seconds(set.first_s),
            "last_refreshed": seconds(set.refreshed_s),
            "last_seen": seconds(set.seen_s),
            "refreshes": set.refreshes,
            "responses": set.responses,
            "ttl": set.ttl_s,
            "truncated": set.is_partial,
            "zone": zone.map(|zone| &*zone.name),
            "allowed_by_line": allowed.map(|entry| entry.line),
            "addresses": set.addresses.iter().map(|a| a.ip.to_string()).collect::<Vec<_>>(),
            "joined": list(&set.joined),
            "left": list(&set.left),
        })
    };
    history.iter().map(change).collect()
}

fn address(address: &AddressOf) -> Value {
    json!({
        "ip": address.ip.to_string(),
        "asn": (address.owner.asn != 0).then_some(address.owner.asn),
        "country": address.owner.country.as_str(),
        "class": address.owner.class.as_str(),
    })
}

fn alerts(story: &Story<'_>) -> Vec<Value> {
    let line = |told: &super::follow::AlertTold| {
        json!({
            "at": at(told.at),
            "action": told.action.as_str(),
            "close_reason": match told.action {
                Action::Ended(reason) => Some(reason.as_str()),
                _ => None,
            },
            "id": told.id,
            "revision": told.revision,
            "severity": told.severity.as_str(),
            "kind": told.kind.as_str(),
            "score": told.score.points(),
        })
    };
    story.follower.alerts.iter().map(line).collect()
}

fn name(wire: &[u8]) -> String {
    WireText(wire).to_string()
}

fn at(time: Timestamp) -> String {
    rfc3339(time.millis())
}

/// Two decimals, as in alerts.
fn decimal(value: f64) -> f64 {
    (value * 100.0).round() / 100.0 + 0.0
}
