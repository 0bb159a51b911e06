//! Stories of threat lists: what a hit adds to a verdict, what it raises by itself, and what keeps it
//! back.

mod teller;

use fluxtap_alert::Action;
use teller::{Story, Told, access, hosting};

/// Sets of five that move over a pool, one every 150 s, as flux does.
fn flux(story: &mut Story, name: &str, pool: &[String], from_s: u64, steps: u64) {
    for step in 0..steps {
        let first = (from_s / 150 + step) as usize * 5;
        let set: Vec<&str> = (0..5).map(|i| pool[(first + i) % pool.len()].as_str()).collect();
        story.seen(from_s + step * 150, name, "9.9.9.9", 150, &set);
    }
}

fn matches(alerts: &[Told]) -> Vec<&Told> {
    alerts.iter().filter(|alert| alert.action == Action::Matched).collect()
}

fn first_flux(alerts: &[Told]) -> &Told {
    alerts.iter().find(|alert| alert.action == Action::New).expect("an alert of flux")
}

#[test]
fn a_hit_adds_its_points_to_a_verdict_and_is_told() {
    let pool = access(60);
    let run = |entries: &[&str]| {
        let mut story = Story::new();
        story.list(&[("one", false, entries), ("two", false, &["other.example"])]);
        flux(&mut story, "www.evil.example", &pool, 0, 20);
        let uses = story.shard().list_uses().clone();
        (story.end(), uses)
    };
    let (plain, uses) = run(&["other.example"]);
    assert!(uses.is_empty() && matches(&plain).is_empty());
    let named = run(&["evil.example"]).0;
    assert_eq!(first_flux(&named).score, first_flux(&plain).score + 30, "3 points");
    assert_eq!(first_flux(&named).threats, ["one evil.example"]);
    // The host by itself is as good; another host is not, and an address is half a point.
    let (host, uses) = run(&["https://www.evil.example/login"]);
    assert_eq!(first_flux(&host).score, first_flux(&plain).score + 30);
    assert_eq!(uses.get("one").copied(), Some(host.len() as u64), "{uses:?}");
    let other = run(&["mail.evil.example"]).0;
    assert_eq!(first_flux(&other).score, first_flux(&plain).score);
    let address = run(&[&pool[0]]).0;
    assert_eq!(first_flux(&address).score, first_flux(&plain).score + 5);
    // Whatever is listed, it is no more than 3 points.
    let mut all: Vec<&str> = pool.iter().map(String::as_str).collect();
    all.push("evil.example");
    let all = run(&all).0;
    assert_eq!(first_flux(&all).score, first_flux(&plain).score + 30);
}

#[test]
fn lists_alone_make_no_finding() {
    let steady = hosting(5);
    let set: Vec<&str> = steady.iter().map(String::as_str).collect();
    let mut story = Story::new();
    let entries: Vec<&str> = set.iter().copied().chain(["evil.example"]).collect();
    story.list(&[("one", false, &entries)]);
    for at_s in (0..7_200).step_by(150) {
        story.seen(at_s, "www.evil.example", "9.9.9.9", 150, &set);
    }
    assert_eq!(story.end(), []);
}

#[test]
fn an_alerting_list_tells_once_a_day_even_of_a_domain_seen_once() {
    let day_s = 86_400;
    let mut story = Story::in_batches_of(7);
    story.list(&[
        ("phish", true, &["evil.example", "192.0.0.0/16", "ns.bad.example"]),
        ("quiet", false, &["evil.example", "calm.example"]),
    ]);
    story.seen(0, "login.evil.example", "9.9.9.9", 60, &["8.8.8.8"]);
    story.seen(0, "www.good.example", "9.9.9.9", 60, &["8.8.4.4"]);
    story.seen(1, "www.calm.example", "9.9.9.9", 60, &["8.8.4.4"]);
    story.seen(1, "www.host.example", "9.9.9.9", 60, &["192.0.66.2"]);
    story.through(2, "www.alias.example", "x.evil.example", "9.9.9.9", 60, &["8.8.8.8"]);
    // It changes all day, and is told once.
    for step in 0..50 {
        let address = format!("8.8.8.{step}");
        story.seen(10 + step * 120, "login.evil.example", "9.9.9.9", 60, &[&address]);
    }
    story.keep_time(6_600, day_s);
    story.seen(day_s, "login.evil.example", "9.9.9.9", 60, &["8.8.1.1"]);
    assert_eq!(story.shard().counts().intel_matches, 3, "the last second is not over");
    let alerts = story.end();
    assert_eq!(matches(&alerts).len(), alerts.len());
    let told: Vec<(&str, &[String])> =
        alerts.iter().map(|a| (a.domain.as_str(), a.threats.as_slice())).collect();
    assert_eq!(
        told,
        [
            ("evil.example", &["phish evil.example".into(), "quiet evil.example".into()][..]),
            ("host.example", &["phish 192.0.0.0/16".into()]),
            ("alias.example", &["phish evil.example".into(), "quiet evil.example".into()]),
            ("evil.example", &["phish evil.example".into(), "quiet evil.example".into()]),
        ]
    );
    assert!(alerts.iter().all(|a| a.kind == "intel_match" && a.severity == 1), "{alerts:?}");
    assert_eq!((alerts[0].addresses, alerts[0].score), (1, 30));
    assert_ne!(alerts[0].id, alerts[3].id);
}

#[test]
fn a_known_domain_is_told_when_a_list_that_is_loaded_later_has_it() {
    let mut story = Story::new();
    story.list(&[("phish", true, &["other.example"])]);
    for at_s in [0, 100] {
        story.seen(at_s, "login.evil.example", "9.9.9.9", 60, &["8.8.8.8"]);
    }
    story.list(&[("phish", true, &["evil.example"])]);
    story.seen(200, "login.evil.example", "9.9.9.9", 60, &["8.8.8.8"]);
    assert_eq!(story.shard().counts().intel_matches, 0, "nothing of it is new");
    story.reload();
    for at_s in [300, 400, 500] {
        story.seen(at_s, "login.evil.example", "9.9.9.9", 60, &["8.8.8.8"]);
    }
    let alerts = story.end();
    assert_eq!(matches(&alerts).len(), 1, "{alerts:?}");
    assert_eq!(matches(&alerts)[0].threats, ["phish evil.example"]);
}

/// A list that came while the sensor stood still is looked up for what was known before.
#[test]
fn a_restart_looks_known_domains_up_anew() {
    const MEMORY: usize = 32 << 20;
    let mut story = Story::in_parts(1, MEMORY);
    story.seen(100, "login.evil.example", "9.9.9.9", 60, &["8.8.8.8"]);
    let written = story.written();
    story.list(&[("phish", true, &["evil.example"])]);
    story.resume(&written, 2, MEMORY).expect("what was just written");
    for at_s in [300, 400, 500] {
        story.seen(at_s, "login.evil.example", "9.9.9.9", 60, &["8.8.8.8"]);
    }
    let alerts = story.end();
    assert_eq!(matches(&alerts).len(), 1, "{alerts:?}");
    // Told again on the same day, it would have the same id.
    let mut again = Story::in_parts(1, MEMORY);
    again.list(&[("phish", true, &["evil.example"])]);
    again.seen(2_000, "login.evil.example", "9.9.9.9", 60, &["8.8.8.8"]);
    let again = again.end();
    assert_eq!(matches(&again)[0].id, matches(&alerts)[0].id);
}

#[test]
fn flux_and_phishing_meet_in_one_line() {
    let pool = access(60);
    let mut story = Story::new();
    story.list(&[("phish", true, &["https://login.evil.example/"])]);
    flux(&mut story, "login.evil.example", &pool, 0, 20);
    let alerts = story.end();
    assert_eq!(matches(&alerts).len(), 1);
    assert_eq!(alerts[0].action, Action::Matched, "at its first sight");
    let flux = first_flux(&alerts);
    assert_eq!(
        (flux.kind, flux.threats.as_slice()),
        ("single_flux", &["phish login.evil.example".to_owned()][..])
    );
    assert_ne!(flux.id, alerts[0].id);
}

#[test]
fn the_allow_list_wins() {
    let pool = access(60);
    let listed: Vec<&str> = pool.iter().map(String::as_str).collect();
    let mut story = Story::new();
    story.list(&[("one", true, &listed), ("two", true, &["evil.example"])]);
    story.allow("domain evil.example ours\n");
    flux(&mut story, "www.evil.example", &pool, 0, 20);
    assert_eq!(story.uses(), [(1, 0)]);
    assert_eq!(story.end(), []);
    // Addresses that are allowed are no hits either.
    let mut story = Story::new();
    story.list(&[("one", true, &["8.8.0.0/16"])]);
    story.allow("address 8.8.8.8 the resolver\n");
    story.seen(0, "www.evil.example", "9.9.9.9", 60, &["8.8.8.8"]);
    story.seen(0, "www.other.example", "9.9.9.9", 60, &["8.8.8.8", "8.8.4.4"]);
    let alerts = story.end();
    assert_eq!(alerts.len(), 1);
    assert_eq!((alerts[0].domain.as_str(), alerts[0].addresses), ("other.example", 1));
}

#[test]
fn addresses_of_content_networks_are_no_hits() {
    let mut story = Story::new();
    story.list(&[("one", true, &["1.1.1.0/24", "AS13335"])]);
    story.seen(0, "www.evil.example", "9.9.9.9", 60, &["1.1.1.1"]);
    assert_eq!(story.end(), [], "strangers share them");
}
