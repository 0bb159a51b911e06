//! Stories of names that go into a network and out again, and of what only looks so.

mod teller;

use fluxtap_alert::Action;
use teller::{Story, Told, access};

const INSIDE: &[&str] = &["192.168.1.1"];
const OUTSIDE: &[&str] = &["8.8.8.8"];
const PARTIES: (&str, &str) = ("9.9.9.9", "10.0.0.7");
const DAY_S: u64 = 86_400;

/// Answers for one name to one client, from a second on, one every ten seconds.
fn answers(story: &mut Story, from_s: u64, name: &str, ttl_s: u32, sets: &[&[&str]]) {
    for (set, at_s) in sets.iter().zip((from_s..).step_by(10)) {
        story.seen_by(at_s, name, PARTIES, ttl_s, set);
    }
}

fn rebounds(told: &[Told]) -> Vec<&Told> {
    told.iter().filter(|line| line.action == Action::Rebound).collect()
}

#[test]
fn a_name_that_comes_back_is_told_once_a_day() {
    let mut story = Story::in_batches_of(3);
    for from_s in (0..3_000).step_by(100) {
        let sets = [INSIDE, OUTSIDE, &["10.1.2.3", "192.168.1.2"], OUTSIDE];
        answers(&mut story, from_s, "a1.evil.example", 1, &sets);
    }
    story.keep_time(3_600, DAY_S);
    answers(&mut story, DAY_S, "b.evil.example", 60, &[&["fd00::1"], &["2600:1::8"], &["fd00::1"]]);
    assert_eq!(story.shard().counts().rebindings, 1, "the last second is not over");
    let told = story.end();
    let lines = rebounds(&told);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(told.len(), 2, "nothing else");
    let [first, second] = [lines[0], lines[1]];
    assert_eq!(
        (first.domain.as_str(), first.kind, first.severity),
        ("evil.example", "rebinding", 1)
    );
    assert_eq!((first.score, first.revision), (0, 1));
    assert_eq!(first.rebound.as_deref(), Some("a1.evil.example 192.168.1.2"));
    assert_eq!(second.rebound.as_deref(), Some("b.evil.example fd00::1"));
    assert_ne!(first.id, second.id);
}

#[test]
fn what_only_looks_like_it_is_quiet() {
    let other: &[&str] = &["8.8.4.4"];
    type Row<'a> = (&'a str, &'a str, u32, &'a [&'a [&'a str]]);
    let rows: [Row<'_>; 13] = [
        ("moved inside", "www.a.example", 30, &[OUTSIDE, other, INSIDE, INSIDE, INSIDE]),
        ("moved outside", "www.b.example", 30, &[INSIDE, INSIDE, OUTSIDE, other, OUTSIDE]),
        ("a name of a network", "www.c.example", 61, &[INSIDE, OUTSIDE, INSIDE, OUTSIDE, INSIDE]),
        (
            "both in one answer",
            "www.d.example",
            1,
            &[
                &["192.168.1.1", "8.8.8.8"],
                OUTSIDE,
                &["8.8.8.8", "192.168.1.1"],
                OUTSIDE,
                &["192.168.1.1", "8.8.8.8"],
            ],
        ),
        (
            "in between it goes nowhere",
            "www.e.example",
            1,
            &[INSIDE, &["192.168.1.1", "8.8.8.8"], INSIDE],
        ),
        ("a blocklist", "www.f.example", 1, &[&["0.0.0.0"], OUTSIDE, &["0.0.0.0"]]),
        ("a blocklist", "www.g.example", 1, &[&["127.0.0.1"], OUTSIDE, &["127.0.0.1"]]),
        ("a blocklist, IPv6", "www.h.example", 1, &[&["::"], &["2600:1::8"], &["::"]]),
        ("DNSBL", "2.0.0.10.bl.example", 1, &[&["127.0.0.2"], OUTSIDE, &["127.0.0.2"]]),
        ("it spells it", "192-168-1-1.k.plex.example", 1, &[INSIDE, OUTSIDE, INSIDE]),
        ("it spells it", "192.168.1.1.nip.example", 1, &[INSIDE, OUTSIDE, INSIDE]),
        (
            "one family inside, the other outside",
            "dns.j.example",
            10,
            &[
                &["fd3e:4f5a:5b81::1"],
                OUTSIDE,
                &["fd3e:4f5a:5b81::1"],
                OUTSIDE,
                &["fd3e:4f5a:5b81::1"],
            ],
        ),
        ("carrier NAT", "www.i.example", 1, &[&["100.64.0.1"], OUTSIDE, &["100.64.0.1"]]),
    ];
    let mut story = Story::new();
    for (what, name, ttl_s, sets) in rows {
        answers(&mut story, 0, name, ttl_s, sets);
        assert_eq!(story.alerts().len(), 0, "{what}");
    }
    // Split horizon: by client, by resolver, and by name.
    for at_s in (1_000..2_000).step_by(10) {
        story.seen_by(at_s, "www.corp.example", ("9.9.9.9", "10.0.0.7"), 1, INSIDE);
        story.seen_by(at_s, "www.corp.example", ("9.9.9.9", "10.9.0.7"), 1, OUTSIDE);
        story.seen_by(at_s + 5, "www.corp.example", ("8.8.8.8", "10.0.0.7"), 1, OUTSIDE);
        story.seen_by(at_s + 5, "shop.corp.example", ("9.9.9.9", "10.0.0.7"), 1, OUTSIDE);
    }
    // It comes back, but not within the hour.
    answers(&mut story, 3_000, "www.slow.example", 1, &[INSIDE, OUTSIDE]);
    answers(&mut story, 3_000 + 3_601, "www.slow.example", 1, &[INSIDE]);
    assert_eq!(story.shard().counts().rebindings, 0);
    assert_eq!(story.end(), []);
}

#[test]
fn lines_are_the_same_for_any_number_of_shards_and_any_batches() {
    let told = |parts: usize, batch_max: usize| {
        let mut story = Story::capped(parts, batch_max, 0);
        for step in 0..60 {
            for number in 0..9_u64 {
                let name = format!("w{number}.evil{}.example", number % 5);
                let set = if (step + number) % 3 == 0 { INSIDE } else { OUTSIDE };
                story.seen_by(step * 7 + number / 3, &name, PARTIES, 1, set);
            }
            let pool = access(300);
            let set: Vec<&str> = (0..5).map(|i| &*pool[step as usize * 5 + i]).collect();
            story.seen(step * 7, "www.flux.example", "9.9.9.9", 5, &set);
        }
        story.end()
    };
    let expect = told(1, 64);
    assert_eq!(rebounds(&expect).len(), 5, "{expect:?}");
    assert!(expect.iter().any(|line| line.action == Action::New), "{expect:?}");
    for (parts, batch_max) in [(2, 64), (3, 64), (1, 1), (3, 7), (1, 1_000)] {
        assert_eq!(told(parts, batch_max), expect, "{parts} {batch_max}");
    }
}

#[test]
fn an_alert_of_the_domain_says_it_too_and_the_allow_list_keeps_the_line_back() {
    let pool = access(120);
    let tell = |allow: &str| {
        let mut story = Story::new();
        story.allow(allow);
        answers(&mut story, 0, "x.evil.example", 1, &[INSIDE, OUTSIDE, INSIDE]);
        for step in 0..24 {
            let set: Vec<&str> = (0..5).map(|i| &*pool[step * 5 + i]).collect();
            story.seen(60 + step as u64 * 60, "www.evil.example", "9.9.9.9", 60, &set);
        }
        let counts = story.shard().counts();
        (story.end(), counts.rebindings, counts.rebindings_allowed)
    };
    let (told, rebindings, allowed) = tell("");
    assert_eq!((rebindings, allowed), (1, 0));
    let flux = told.iter().find(|line| line.action == Action::New).expect("an alert");
    assert_eq!(flux.rebound.as_deref(), Some("x.evil.example 192.168.1.1"));
    assert_eq!(flux.kind, "single_flux", "rebinding is no flux, and scores nothing");
    let (kept, rebindings, allowed) =
        tell("domain evil.example kinds=rebinding our own forwarder\n");
    assert_eq!((rebindings, allowed), (0, 1));
    assert_eq!(kept.len(), told.len() - 1, "the flux is told all the same");
}

#[test]
fn what_is_watched_is_bounded_and_what_goes_is_counted() {
    let mut story = Story::new();
    for name in ["www.first.example", "www.second.example"] {
        answers(&mut story, 0, name, 1, &[INSIDE, OUTSIDE]);
    }
    // More domains than are watched, each with more names than are.
    for number in 0..20_000_u64 {
        let name = format!("n{}.d{}.example", number % 10, number / 10 % 10_000);
        story.seen_by(10 + number / 1_000, &name, PARTIES, 1, INSIDE);
    }
    for number in 0..10_000_u64 {
        let name = format!("www.e{number}.example");
        story.seen_by(40 + number / 1_000, &name, PARTIES, 1, INSIDE);
    }
    let evicted = story.shard().counts().rebindings_evicted;
    // 2,000 domains with two names too many, and of 12,002 domains all but 64 in each partition.
    assert!(evicted >= 4_000 + 12_002 - 64 * 64, "{evicted}");
    answers(&mut story, 60, "www.first.example", 1, &[INSIDE]);
    story.keep_time(61, 63);
    assert_eq!(story.alerts().len(), 1, "those that never went outside made room");
    for number in 0..10_000_u64 {
        let name = format!("www.f{number}.example");
        answers(&mut story, 70, &name, 1, &[INSIDE, OUTSIDE]);
    }
    answers(&mut story, 90, "www.second.example", 1, &[INSIDE]);
    story.keep_time(91, 93);
    assert_eq!(story.alerts().len(), 1, "it had to make room");
    assert_eq!(story.shard().counts().rebindings_refused, 0);
    // And what comes and goes alone is told.
    story.keep_time(600, 4_000);
    answers(&mut story, 4_000, "www.last.example", 1, &[INSIDE, OUTSIDE, INSIDE]);
    let told = story.end();
    assert_eq!(rebounds(&told).len(), 2, "{told:?}");
}
