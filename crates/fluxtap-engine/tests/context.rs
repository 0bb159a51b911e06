//! Stories of what is no evidence, or evidence of something else than it looks: parts of answers,
//! hearsay, client subnets, address hints, DNS64.

mod teller;

use fluxtap_intel::{AddressClass, Intel};
use fluxtap_window::ContextSeen;
use std::net::{Ipv4Addr, Ipv6Addr};
use teller::{Story, Told, access, record, response};

const CACHE: [u8; 2] = [0x81, 0x80];
const AUTHORITY: [u8; 2] = [0x84, 0];
const RESOLVER: &str = "9.9.9.9";

/// Twenty sets of five homes, one every two and a half minutes, as `tell` tells them.
fn flux(story: &mut Story, tell: impl Fn(&mut Story, u64, &[&str])) {
    let pool = access(60);
    for step in 0..20_usize {
        let set: Vec<&str> = (0..5).map(|i| pool[(step * 5 + i) % 60].as_str()).collect();
        tell(story, step as u64 * 150, &set);
    }
}

fn plain(story: &mut Story, at_s: u64, set: &[&str]) {
    story.seen(at_s, "evil.example", RESOLVER, 150, set);
}

/// The same answer with other flags, and records behind it in the additional section.
fn with(flags: [u8; 2], mut message: Vec<u8>, additional: &[Vec<u8>]) -> Vec<u8> {
    message[2..4].copy_from_slice(&flags);
    message[11] += additional.len() as u8;
    message.extend(additional.concat());
    message
}

#[test]
fn an_alias_into_a_content_network_that_an_attacker_wrote_credits_nobody_else() {
    let told = |flags: [u8; 2]| {
        let mut story = Story::new();
        flux(&mut story, |story, at_s, set| {
            let message = response("evil.example", Some("x.akamaiedge.net"), 150, set, &[]);
            story.tell(at_s, RESOLVER, &with(flags, message, &[]));
        });
        let tracked = story.shard().table_counts().tracked;
        let behind_zones: u64 = story.shard().explained().zones.iter().sum();
        let dropped = story.observed().addresses_out_of_bailiwick;
        (tracked, behind_zones, dropped, story.end())
    };
    // His own server may say what it likes: no resolver believes it about another's name.
    assert_eq!(told(AUTHORITY), (0, 0, 100, vec![]));
    // If it says that it is a cache besides, it is believed, and evil.example alone pays for it.
    let (tracked, behind_zones, _, alerts) = told([0x85, 0x80]);
    assert_eq!((tracked, behind_zones), (1, 0));
    assert!(alerts.iter().any(|alert| alert.severity == 3), "{alerts:?}");
    assert!(alerts.iter().all(|a| (&*a.domain, &*a.host) == ("evil.example", "evil.example")));
    // What a resolver has looked up itself is what the content network said.
    assert_eq!(told(CACHE), (1, 20, 0, vec![]));
}

#[test]
fn parts_of_answers_count_and_say_nothing_about_turnover() {
    let told = |flags: [u8; 2]| {
        let mut story = Story::new();
        flux(&mut story, |story, at_s, set| {
            let message = response("evil.example", None, 150, set, &[]);
            story.tell(at_s, RESOLVER, &with(flags, message, &[]));
        });
        let partial = story.observed().responses_truncated_used;
        (partial, story.end())
    };
    let (partial, whole) = told(CACHE);
    assert_eq!(partial, 0);
    let (partial, parts) = told([0x83, 0x80]);
    assert_eq!(partial, 20);
    let last = |alerts: &[Told]| alerts.last().expect("an alert").clone();
    let (whole, parts) = (last(&whole), last(&parts));
    assert!(whole.turnover.0 > 5 && whole.turnover.1 > 20, "{whole:?}");
    assert_eq!(parts.turnover, (0, 0), "{parts:?}");
    assert!(parts.score < whole.score, "{parts:?}, {whole:?}");
    // They are taken nevertheless: between whole answers their addresses are in the evidence.
    let mut mixed = Story::new();
    flux(&mut mixed, |story, at_s, set| {
        plain(story, at_s, &set[..3]);
        let message = response("evil.example", None, 150, &set[3..], &[]);
        story.tell(at_s + 60, RESOLVER, &with([0x83, 0x80], message, &[]));
    });
    let mut whole = Story::new();
    flux(&mut whole, |story, at_s, set| plain(story, at_s, &set[..3]));
    let last = |story: Story| story.end().pop().expect("an alert").addresses;
    let (mixed, whole) = (last(mixed), last(whole));
    assert!(mixed > whole, "{mixed} addresses with parts, {whole} without");
}

/// Of what is no evidence, only that may differ which tells of it.
fn without_context(mut alerts: Vec<Told>) -> Vec<Told> {
    for alert in &mut alerts {
        alert.context = ContextSeen::default();
    }
    alerts
}

#[test]
fn client_subnets_are_told_and_not_scored() {
    let mut bare = Story::new();
    flux(&mut bare, plain);
    let mut story = Story::new();
    flux(&mut story, |story, at_s, set| {
        let network = (at_s / 150 % 4) as u8;
        let scope = if at_s < 900 { 24 } else { 0 };
        let subnet = [0, 8, 0, 7, 0, 1, 24, scope, 78, 21, network];
        let message = response("evil.example", None, 150, set, &[]);
        story.tell(at_s, RESOLVER, &with(CACHE, message, &[record("", 41, 0, &subnet)]));
    });
    assert_eq!(story.observed().responses_by_client_subnet, 6);
    let (bare, told) = (bare.end(), story.end());
    let subnets = told.last().expect("an alert").context.client_subnets;
    assert_eq!((subnets.responses, subnets.distinct), (6, 4));
    assert_eq!(without_context(told), bare);
}

#[test]
fn address_hints_are_told_and_neither_tracked_nor_scored() {
    /// The answer to a question for HTTPS: hints alone, or nothing.
    fn service(story: &mut Story, at_s: u64, name: &str, set: &[&str]) {
        let hints: Vec<u8> =
            set.iter().flat_map(|ip| ip.parse::<Ipv4Addr>().expect("IPv4").octets()).collect();
        let data = [&[0, 1, 0, 0, 4, 0, hints.len() as u8][..], &hints].concat();
        let mut message = response(name, None, 0, &[], &[]);
        message[7] = 1;
        let at = message.len() - 3;
        message[at] = 65;
        message.extend(record(name, 65, 60, &data));
        story.tell(at_s, RESOLVER, &message);
    }
    let mut alone = Story::new();
    flux(&mut alone, |story, at_s, set| service(story, at_s, "evil.example", set));
    let counts = alone.shard().table_counts();
    assert_eq!((counts.tracked, counts.hint_facts_unused), (0, 20));
    assert_eq!(alone.observed().address_hints, 100);
    assert_eq!(alone.end(), []);

    let mut bare = Story::new();
    flux(&mut bare, plain);
    let mut beside = Story::new();
    flux(&mut beside, |story, at_s, set| {
        plain(story, at_s, set);
        service(story, at_s, "evil.example", &["8.8.8.8", "8.8.4.4"]);
    });
    // A closed set stays one, whatever its hints do.
    flux(&mut beside, |story, at_s, set| {
        story.seen(3_000 + at_s, "quiet.example", RESOLVER, 150, &["8.8.8.8"]);
        service(story, 3_000 + at_s, "quiet.example", set);
    });
    let (bare, told) = (bare.end(), beside.end());
    assert_eq!(told[0].context.hints.distinct, 2);
    assert!(told.iter().all(|alert| alert.domain == "evil.example"), "{told:?}");
    assert_eq!(without_context(told)[..bare.len()], bare);
}

/// What a DNS64 with a prefix of 96 bits makes of addresses.
fn synthesised(prefix: &str, set: &[&str]) -> Vec<String> {
    set.iter()
        .map(|ip| {
            let ip: Ipv4Addr = ip.parse().expect("IPv4");
            let prefix: Ipv6Addr = prefix.parse().expect("IPv6");
            Ipv6Addr::from_bits(prefix.to_bits() | u128::from(ip.to_bits())).to_string()
        })
        .collect()
}

/// `resolver` is asked for the name that only a DNS64 has IPv6 addresses for.
fn teach(story: &mut Story, at_s: u64, resolver: &str, prefix: &str) {
    let taught = synthesised(prefix, &["192.0.0.170", "192.0.0.171"]);
    let taught: Vec<&str> = taught.iter().map(String::as_str).collect();
    story.seen(at_s, "ipv4only.arpa", resolver, 60, &taught);
}

#[test]
fn flux_behind_a_dns64_is_the_flux_it_is() {
    let mut bare = Story::new();
    flux(&mut bare, plain);
    let bare = bare.end();
    let told = |prefix: &str, teacher: Option<&str>| {
        let mut story = Story::new();
        if let Some(teacher) = teacher {
            teach(&mut story, 0, teacher, prefix);
        }
        flux(&mut story, |story, at_s, set| {
            let set = synthesised(prefix, set);
            plain(story, at_s, &set.iter().map(String::as_str).collect::<Vec<_>>());
        });
        story.end()
    };
    let of_the_network = "2a01:4f8:64::";
    for (prefix, teacher) in [
        ("64:ff9b::", None),
        ("64:ff9b:1:fffe::", None),
        (of_the_network, Some(RESOLVER)),
        ("fd64::", Some(RESOLVER)),
    ] {
        let alerts = told(prefix, teacher);
        assert!(alerts.iter().all(|alert| alert.context.dns64_responses > 0), "{prefix}");
        assert_eq!(without_context(alerts), bare, "{prefix}");
    }
    // What nobody taught, or only another, is one network.
    assert_eq!(told(of_the_network, None), []);
    assert_eq!(told(of_the_network, Some("8.8.8.8")), []);
}

/// Addresses in access networks of IPv6, each in another /32.
fn homes_v6(count: usize) -> Vec<String> {
    let intel = Intel::embedded();
    let candidates = (0..0x10_0000_u128).map(|n| 0x2a00 << 112 | n << 96 | 0x1_0000 | n << 32);
    let is_home = |ip: &Ipv6Addr| intel.owner((*ip).into()).class == AddressClass::Access;
    let homes = candidates.map(Ipv6Addr::from_bits).filter(is_home);
    let homes: Vec<String> = homes.step_by(7).take(count).map(|ip| ip.to_string()).collect();
    assert_eq!(homes.len(), count);
    homes
}

#[test]
fn a_prefix_that_somebody_made_up_hides_no_flux() {
    let homes = homes_v6(60);
    let home = |n: usize| homes[n % 60].clone();
    let told = |poison: &dyn Fn(&mut Story)| {
        let mut story = Story::new();
        poison(&mut story);
        for step in 0..20_usize {
            let set: Vec<String> = (0..5).map(|i| home(step * 5 + i)).collect();
            plain(
                &mut story,
                10 + step as u64 * 150,
                &set.iter().map(String::as_str).collect::<Vec<_>>(),
            );
        }
        story.end()
    };
    let bare = told(&|_| {});
    let prefix_of = |n: usize| {
        let ip: Ipv6Addr = home(n).parse().expect("IPv6");
        Ipv6Addr::from_bits(ip.to_bits() >> 32 << 32).to_string()
    };
    let poisoned = told(&|story| {
        (0..20).for_each(|n| teach(story, 0, RESOLVER, &prefix_of(n)));
        let counts = story.observed();
        assert_eq!((counts.dns64_prefixes_learnt, counts.dns64_prefixes_refused), (4, 32));
    });
    let short = told(&|story| {
        // An answer that makes the /32 of a home a prefix.
        let taught = |n: usize| {
            let ip: Ipv6Addr = home(n).parse().expect("IPv6");
            Ipv6Addr::from_bits(ip.to_bits() >> 96 << 96 | 0xc000_00aa << 64).to_string()
        };
        let taught: Vec<String> = (0..8).map(taught).collect();
        let taught: Vec<&str> = taught.iter().map(String::as_str).collect();
        story.seen(0, "ipv4only.arpa", RESOLVER, 60, &taught);
        assert_eq!(story.observed().dns64_prefixes_learnt, 4);
    });
    assert!(!bare.is_empty());
    for (what, alerts) in [("of 96 bits", poisoned), ("short", short)] {
        assert_eq!(alerts.len(), bare.len(), "{what}: {alerts:?}");
        assert_eq!(alerts[0].action, bare[0].action, "{what}");
    }
}

/// A message whose time waits to be confirmed teaches nothing to those that come in time.
#[test]
fn nothing_is_learnt_out_of_time() {
    let mut story = Story::new();
    plain(&mut story, 0, &["8.8.8.8"]);
    teach(&mut story, 90_000, RESOLVER, "2a01:4f8:64::");
    plain(&mut story, 1, &["8.8.8.8"]);
    plain(&mut story, 1_000, &["8.8.8.8"]);
    teach(&mut story, 100, RESOLVER, "2a01:4f8:64::");
    assert_eq!(story.observed().dns64_prefixes_learnt, 0);
    teach(&mut story, 1_001, RESOLVER, "2a01:4f8:64::");
    assert_eq!(story.observed().dns64_prefixes_learnt, 1);
}
