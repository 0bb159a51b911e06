//! Stories of what an operator says: what an allow list keeps back and what cannot hide behind it,
//! lists that are switched off, and other rules for what is written.

mod teller;

use fluxtap_alert::{Action, CloseReason};
use fluxtap_flux::{FluxKind, Policy, Score, Severity};
use fluxtap_intel::{Curated, Intel};
use std::collections::BTreeSet;
use std::net::IpAddr;
use teller::{Story, Told, access, hosting};

/// Sets of five that move over a pool, one every 150 s, told by `tell(story, second, set)`.
fn flux(
    story: &mut Story,
    pool: &[String],
    from_s: u64,
    steps: u64,
    tell: impl Fn(&mut Story, u64, &[&str]),
) {
    for step in 0..steps {
        let first = (from_s / 150 + step) as usize * 5;
        let set: Vec<&str> = (0..5).map(|i| pool[(first + i) % pool.len()].as_str()).collect();
        tell(story, from_s + step * 150, &set);
    }
}

fn seen(name: &'static str) -> impl Fn(&mut Story, u64, &[&str]) {
    move |story, at_s, set| story.seen(at_s, name, "9.9.9.9", 150, set)
}

fn actions(alerts: &[Told]) -> Vec<Action> {
    alerts.iter().map(|alert| alert.action).collect()
}

/// The autonomous systems of addresses, by the embedded table.
fn asns<'a>(addresses: impl IntoIterator<Item = &'a String>) -> BTreeSet<u32> {
    let intel = Intel::embedded();
    let owner = |ip: &String| intel.owner(ip.parse().expect("an address")).asn;
    addresses.into_iter().map(owner).collect()
}

fn allow_asns(asns: &BTreeSet<u32>) -> String {
    asns.iter().map(|asn| format!("asn AS{asn} a partner\n")).collect()
}

#[test]
fn an_allowed_domain_is_kept_back_tracked_and_counted() {
    let pool = access(60);
    let mut story = Story::new();
    story.allow(
        "domain ours.example our own network\n\
         domain other.example never seen\n",
    );
    flux(&mut story, &pool, 0, 20, seen("www.ours.example"));
    flux(&mut story, &pool, 10, 20, seen("www.evil.example"));
    assert_eq!(story.uses(), [(1, 0), (0, 0)], "one domain on one day");
    // The next day it counts again.
    flux(&mut story, &pool, 86_400, 20, seen("www.ours.example"));
    assert_eq!(story.uses(), [(2, 0), (0, 0)]);
    assert!(story.shard().allow_uses()[0].last.is_some());
    assert_eq!(story.shard().counts().suppressed, 2);
    assert!(story.shard().table_counts().tracked >= 2, "still tracked");
    let alerts = story.end();
    assert!(alerts.iter().any(|a| a.domain == "evil.example"), "{alerts:?}");
    assert!(alerts.iter().all(|a| a.domain != "ours.example"), "{alerts:?}");
}

#[test]
fn an_entry_that_expires_in_the_middle_lets_go() {
    // The stories begin at 14:00 of the 21st, so its last day ends ten hours later.
    const MIDNIGHT_S: u64 = 36_000;
    let pool = access(60);
    let mut story = Story::new();
    story.allow("domain evil.example expires=2026-09-21 until the contract ends\n");
    flux(&mut story, &pool, MIDNIGHT_S - 3_000, 40, seen("www.evil.example"));
    assert_eq!(story.uses(), [(1, 0)]);
    let alerts = story.end();
    let first = alerts.first().expect("an alert");
    assert_eq!(first.action, Action::New);
    assert!((MIDNIGHT_S..MIDNIGHT_S + 300).contains(&first.at_s), "{first:?}");
}

#[test]
fn an_alert_ends_when_an_entry_begins_to_cover_it() {
    let pool = access(60);
    let entry = "domain evil.example it was ours all along\n";
    let mut story = Story::new();
    flux(&mut story, &pool, 0, 10, seen("www.evil.example"));
    story.allow(entry);
    flux(&mut story, &pool, 1_500, 30, seen("www.evil.example"));
    assert_eq!(story.uses(), [(1, 0)]);
    let alerts = story.end();
    let ended = Action::Ended(CloseReason::Allowlisted);
    assert_eq!(alerts.first().map(|a| a.action), Some(Action::New));
    let last = alerts.last().expect("an end");
    assert_eq!((last.action, last.is_allowlisted), (ended, true));
    assert!((1_300..1_700).contains(&last.at_s), "{last:?}");
    assert_eq!(alerts.iter().filter(|a| a.action == ended).count(), 1, "{alerts:?}");

    // Also when nothing is found any more, because servers came that make it look like a pool: no
    // need to wait for a quiet day.
    let mut story = Story::new();
    flux(&mut story, &pool, 0, 10, seen("www.evil.example"));
    let servers = hosting(40);
    let steady: Vec<&str> = servers.iter().map(String::as_str).collect();
    for at_s in (7_200..14_400).step_by(300) {
        story.seen(at_s, "www.evil.example", "9.9.9.9", 60, &steady);
    }
    story.allow(entry);
    story.seen(14_400, "www.evil.example", "9.9.9.9", 60, &steady);
    story.keep_time(14_500, 15_000);
    let last = story.end().pop().expect("an end");
    assert_eq!(last.action, ended);
    assert!(last.at_s < 14_600, "{last:?}");
}

#[test]
fn allowed_systems_are_taken_out_and_what_is_left_is_judged() {
    let pool = access(60);
    // All but a few addresses belong to partners: too little is left.
    let has_own =
        |ip: &&String| pool.iter().filter(|other| asns([*other]) == asns([*ip])).count() == 1;
    let strangers = asns(pool.iter().filter(has_own).take(3));
    assert_eq!(strangers.len(), 3);
    let partners: BTreeSet<u32> = asns(&pool).difference(&strangers).copied().collect();
    let mut story = Story::new();
    story.allow(&allow_asns(&partners));
    flux(&mut story, &pool, 0, 20, seen("www.evil.example"));
    assert!(story.uses().iter().all(|&(_, reduced)| reduced == 0));
    assert!(story.uses().iter().any(|&(suppressed, _)| suppressed == 1));
    assert_eq!(story.end(), []);

    // A few are allowed: the others alert, and the allowed ones are not shown.
    let partners = asns(&pool[..2]);
    let mut story = Story::new();
    story.allow(&allow_asns(&partners));
    flux(&mut story, &pool, 0, 20, seen("www.evil.example"));
    assert!(story.uses().iter().all(|&(suppressed, _)| suppressed == 0), "{:?}", story.uses());
    let alerts = story.end();
    let last = alerts.last().expect("an alert");
    assert!(last.severity >= 2, "{alerts:?}");
    assert!(last.addresses <= 60 - 2, "{alerts:?}");
}

#[test]
fn one_allowed_address_among_bad_ones_forgives_none_of_them() {
    let pool = access(60);
    let allowed = &hosting(1)[0];
    let tell = |story: &mut Story, at_s: u64, set: &[&str]| {
        let set: Vec<&str> = set.iter().copied().chain([allowed.as_str()]).collect();
        story.seen(at_s, "www.evil.example", "9.9.9.9", 150, &set);
    };
    let mut story = Story::new();
    story.allow(&format!("address {allowed} our server\nnetwork 192.0.2.0/24 ours\n"));
    flux(&mut story, &pool, 0, 20, tell);
    let alerts = story.end();
    assert!(alerts.iter().any(|a| a.severity >= 2), "{alerts:?}");
}

#[test]
fn nobody_hides_behind_an_allowed_name() {
    let pool = access(60);
    let entries = "domain allowed.example our content network\n";
    // By pointing to it.
    let mut story = Story::new();
    story.allow(entries);
    flux(&mut story, &pool, 0, 20, |story, at_s, set| {
        story.through(at_s, "www.evil.example", "cdn.allowed.example", "9.9.9.9", 150, set);
    });
    let alerts = story.end();
    assert!(alerts.iter().any(|a| a.domain == "evil.example" && a.severity >= 2), "{alerts:?}");
    // By naming its name servers.
    let mut story = Story::new();
    story.allow(entries);
    flux(&mut story, &pool, 0, 20, |story, at_s, set| {
        let servers = [("ns1.allowed.example".to_owned(), pool[0].as_str())];
        story.with_servers(at_s, "www.evil.example", "9.9.9.9", 150, set, &servers);
    });
    let alerts = story.end();
    assert!(alerts.iter().any(|a| a.domain == "evil.example" && a.severity >= 2), "{alerts:?}");
    // By a name that contains it.
    let mut story = Story::new();
    story.allow(entries);
    flux(&mut story, &pool, 0, 20, seen("allowed.example.evil.example"));
    assert!(story.end().iter().any(|a| a.domain == "evil.example"));
}

#[test]
fn an_entry_below_a_domain_covers_names_below_it_alone() {
    let pool = access(60);
    let entries = "domain pool.shop.example the download pool\n";
    let mut story = Story::new();
    story.allow(entries);
    flux(&mut story, &pool, 0, 20, seen("eu.pool.shop.example"));
    assert_eq!(story.uses(), [(1, 0)]);
    assert_eq!(story.end(), []);
    // Random names below it, asked once each, of which most are forgotten.
    let mut story = Story::new();
    story.allow(entries);
    for step in 0..200_u64 {
        let name = format!("r{step}.pool.shop.example");
        let first = step as usize / 4 * 3;
        let set: Vec<&str> = (0..4).map(|i| pool[(first + i) % 60].as_str()).collect();
        story.seen(step * 40, &name, "9.9.9.9", 40, &set);
    }
    assert_eq!(story.uses(), [(1, 0)]);
    assert_eq!(story.end(), []);
    // A name beside it alerts, and shows its own addresses only.
    let mut story = Story::new();
    story.allow(entries);
    for step in 0..20_u64 {
        let set = |pool: &[String]| -> Vec<String> {
            (0..5).map(|i| pool[(step as usize * 5 + i) % pool.len()].clone()).collect()
        };
        let (ours, evil) = (set(&pool[..30]), set(&pool[30..]));
        let text = |set: &[String]| -> Vec<&'static str> {
            set.iter().map(|ip| &*ip.clone().leak()).collect()
        };
        story.seen(step * 150, "eu.pool.shop.example", "9.9.9.9", 150, &text(&ours));
        story.seen(step * 150, "www.shop.example", "9.9.9.9", 150, &text(&evil));
    }
    let alerts = story.end();
    assert!(alerts.last().is_some_and(|a| a.host == "www.shop.example"), "{alerts:?}");
    assert!(alerts.iter().all(|a| a.addresses <= 30), "{alerts:?}");
    // A name that leads to a covered one is not covered itself.
    let mut story = Story::new();
    story.allow(entries);
    flux(&mut story, &pool, 0, 20, |story, at_s, set| {
        story.seen(at_s, "eu.pool.shop.example", "9.9.9.9", 150, set);
        story.through(at_s, "www.shop.example", "eu.pool.shop.example", "9.9.9.9", 150, set);
    });
    assert!(story.end().iter().any(|a| a.domain == "shop.example" && a.severity >= 2));
}

#[test]
fn an_entry_for_a_kind_covers_that_kind() {
    let pool = access(120);
    let tell = |story: &mut Story, at_s: u64, set: &[&str]| {
        // The servers stand still until the domain has alerted.
        let step = (at_s as usize / 150).saturating_sub(8);
        let servers: Vec<(String, &str)> = (0..4)
            .map(|i| (format!("ns{i}.evil.example"), pool[(step * 4 + i + 60) % 120].as_str()))
            .collect();
        story.with_servers(at_s, "www.evil.example", "9.9.9.9", 150, set, &servers);
    };
    let told = |entry: &str| {
        let mut story = Story::new();
        story.allow(entry);
        flux(&mut story, &pool, 0, 20, tell);
        story.end()
    };
    let single = told("domain evil.example kinds=single_flux a test\n");
    assert!(single.iter().all(|a| a.kind == "double_flux") && !single.is_empty(), "{single:?}");
    let double = told("domain evil.example kinds=double_flux a test\n");
    assert_eq!(double.first().map(|a| a.kind), Some("single_flux"));
    let ended = Action::Ended(CloseReason::Allowlisted);
    assert_eq!(double.last().map(|a| a.action), Some(ended), "{double:?}");
}

/// An alert that rests on what an allow list leaves is followed by that: when that looks like a pool
/// for a while, the alert is not over and over again ended and reopened.
#[test]
fn an_alert_on_what_is_left_does_not_flap() {
    let homes = access(120);
    let of = |ip: &String| asns([ip]).into_iter().next().expect("an owner");
    // Partners are half of the owners, so that no owner is on both sides.
    let owners: Vec<u32> = asns(&homes).into_iter().collect();
    let is_partner =
        |ip: &&String| owners.iter().position(|&asn| asn == of(ip)) < Some(owners.len() / 2);
    let (ours, theirs): (Vec<&String>, Vec<&String>) = homes.iter().partition(is_partner);
    let servers = hosting(60);
    let partners: BTreeSet<u32> = owners[..owners.len() / 2].iter().copied().collect();
    let mut story = Story::new();
    story.allow(&allow_asns(&partners));
    for step in 0..90_usize {
        let from = |pool: &[&String], n: usize| -> Vec<String> {
            (0..n).map(|i| pool[(step * n + i) % pool.len()].clone()).collect()
        };
        let mut set = from(&ours, 4);
        set.extend(from(&theirs, 2));
        // Later servers of strangers come and go among them.
        if (20..60).contains(&step) && step % 4 < 2 {
            set.extend(from(&servers.iter().collect::<Vec<_>>(), 1));
        }
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        story.seen(step as u64 * 150, "www.evil.example", "9.9.9.9", 150, &set);
    }
    let alerts = story.end();
    assert_eq!(alerts.first().map(|a| a.action), Some(Action::New), "{alerts:?}");
    assert!(alerts.iter().all(|a| a.is_allowlisted), "{alerts:?}");
    let ended = |a: &Told| matches!(a.action, Action::Ended(_) | Action::Reopened);
    assert!(!alerts.iter().any(ended), "{alerts:?}");
}

/// Taking the servers out of a pool of volunteers leaves what looks like homes alone.
#[test]
fn an_allow_list_raises_no_alert() {
    let (homes, servers) = (access(60), hosting(50));
    let partners = asns(&servers);
    let told = |entries: &str| {
        let mut story = Story::new();
        story.allow(entries);
        for step in 0..48_usize {
            let set: Vec<&str> = (0..4)
                .map(|i| {
                    let n = step * 17 + i * 31;
                    if (n / 7) % 2 == 0 { &homes[n % 60] } else { &servers[n % 50] }.as_str()
                })
                .collect();
            story.seen(step as u64 * 150, "pool.volunteers.example", "9.9.9.9", 150, &set);
        }
        story.end()
    };
    assert_eq!(told(""), []);
    assert_eq!(told(&allow_asns(&partners)), []);
}

#[test]
fn a_curated_zone_explains_unless_it_is_switched_off() {
    let pool = access(60);
    let told = |curated: Curated| {
        let mut story = Story::new();
        story.curate(curated);
        flux(&mut story, &pool, 0, 20, |story, at_s, set| {
            story.through(at_s, "www.shop.example", "d1.cloudfront.net", "9.9.9.9", 150, set);
        });
        let answers: u64 = story.shard().explained().zones.iter().sum();
        (answers, !story.end().is_empty())
    };
    assert_eq!(told(Curated::default()), (20, false));
    let off = |zones, off: &[&str]| Curated::new(zones, true, off).expect("known names");
    assert_eq!(told(off(false, &[])), (0, true));
    assert_eq!(told(off(true, &["cloudfront.net"])), (0, true));
    assert_eq!(told(off(true, &["akamai.net"])), (20, false));
}

#[test]
fn edges_are_counted_by_the_system_that_runs_them_unless_it_is_switched_off() {
    let pool = access(60);
    let told = |curated: Curated| {
        let mut story = Story::new();
        story.curate(curated);
        flux(&mut story, &pool, 0, 20, |story, at_s, set| {
            let set: Vec<&str> = set.iter().copied().chain(["1.1.1.1", "1.0.0.1"]).collect();
            story.seen(at_s, "www.evil.example", "9.9.9.9", 150, &set);
        });
        let edges = story.shard().explained().look_ups.edges.clone();
        edges.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(told(Curated::default()), [(13_335, 2)]);
    assert_eq!(told(Curated::new(true, true, &["AS13335"]).expect("known")), []);
    assert_eq!(told(Curated::new(true, false, &[""; 0]).expect("known")), []);
}

#[test]
fn what_is_not_written_is_followed_and_counted() {
    let pool = access(60);
    let told = |policy: Policy| {
        let mut story = Story::by(policy);
        flux(&mut story, &pool, 0, 20, seen("www.evil.example"));
        let unwritten = story.shard().counts().unwritten;
        (unwritten, story.shard().open_alerts().len(), actions(&story.end()))
    };
    let (unwritten, open, lines) = told(Policy::default());
    assert_eq!((unwritten, open, lines.first()), ([0; 3], 1, Some(&Action::New)));
    let kinds_off =
        Policy { kinds: FluxKind::ALL.map(|kind| kind != FluxKind::Single), ..Policy::default() };
    let (unwritten, open, lines) = told(kinds_off);
    assert_eq!((unwritten.iter().sum::<u64>(), open, lines), (1, 0, vec![]));
    // Thresholds far above: nothing is found at all.
    let thresholds = [Score(400), Score(500), Score(600)];
    assert_eq!(told(Policy { thresholds, ..Policy::default() }), ([0; 3], 0, vec![]));
    // The first line is the opening, whenever it may be written.
    let thresholds = [Score(110), Score(140), Score(240)];
    let policy = Policy { severity_min: Severity::High, thresholds, ..Policy::default() };
    let (unwritten, open, lines) = told(policy);
    assert_eq!((unwritten.iter().sum::<u64>(), open), (1, 1));
    assert_eq!(lines.first(), Some(&Action::New));
}

#[test]
fn clients_are_kept_where_they_are_asked_for() {
    let pool = access(60);
    let told = |mut story: Story| {
        flux(&mut story, &pool, 0, 20, seen("www.evil.example"));
        story.end().pop().expect("an alert").clients
    };
    assert_eq!(told(Story::new()), Vec::<IpAddr>::new());
    assert_eq!(told(Story::by(Policy::default())), ["10.0.0.7".parse::<IpAddr>().expect("one")]);
}
