//! Look-ups in small lists by hand, and in random ones against a search through all entries.

use super::*;
use crate::labels::wire_form;
use std::collections::BTreeSet;

const AT_S: u64 = 1_795_352_400;

fn list(name: &str) -> ThreatList {
    ThreatList {
        name: name.into(),
        source: "somebody".into(),
        category: "malware".into(),
        format: "plain",
        made_s: None,
        until_s: None,
        is_alerting: false,
        entries: 0,
    }
}

fn lists(of: &[(&str, &[&str])]) -> ThreatLists {
    let mut draft = ThreatDraft::default();
    for (name, entries) in of {
        for text in *entries {
            let indicator = Indicator::parse(text).unwrap_or_else(|why| panic!("{text}: {why:?}"));
            draft.push(&indicator, None).expect("room");
        }
        draft.add(list(name));
    }
    draft.finish()
}

fn wire(text: &str) -> Box<[u8]> {
    wire_form(text).expect("a name")
}

fn told(hits: Vec<ThreatHit>) -> Vec<String> {
    hits.iter().map(|hit| format!("{} {}", hit.list.name, hit.indicator)).collect()
}

#[test]
fn indicators_are_read_as_lists_write_them() {
    for (text, expect) in [
        ("evil.example", Ok("evil.example")),
        (" WWW.Evil.Example. ", Ok("www.evil.example")),
        ("*.evil.example", Ok("*.evil.example")),
        (".evil.example", Ok("evil.example")),
        ("evil[.]example", Ok("evil.example")),
        ("hxxps://login.evil[.]example:8443/a?b", Ok("login.evil.example")),
        ("http://user:pw@evil.example#x", Ok("evil.example")),
        ("http://198.51.100.7:80/x", Ok("198.51.100.7")),
        ("http://[2001:db8::7]:80/x", Ok("2001:db8::7")),
        ("198.51.100.7:443", Ok("198.51.100.7")),
        ("evil.example:443", Ok("evil.example")),
        ("198.51.100.7", Ok("198.51.100.7")),
        ("::ffff:198.51.100.7", Ok("198.51.100.7")),
        ("198.51.100.7/24", Ok("198.51.100.0/24")),
        ("198.51.100.7/32", Ok("198.51.100.7")),
        ("2001:db8::/32", Ok("2001:db8::/32")),
        ("AS64500", Ok("AS64500")),
        ("as64500", Ok("AS64500")),
        ("as.example", Ok("as.example")),
        ("_dmarc.evil.example", Ok("_dmarc.evil.example")),
        ("0.0.0.0/0", Err(Unusable::TooWide)),
        ("2000::/3", Err(Unusable::TooWide)),
        ("co.uk", Err(Unusable::PublicSuffix)),
        ("duckdns.org", Err(Unusable::PublicSuffix)),
        ("*.duckdns.org", Err(Unusable::PublicSuffix)),
        ("localhost", Err(Unusable::NoIndicator)),
        ("", Err(Unusable::NoIndicator)),
        ("64500", Err(Unusable::NoIndicator)),
        ("198.51.100", Err(Unusable::NoIndicator)),
        ("198.51.100.256", Err(Unusable::NoIndicator)),
        ("198.51.100.7/33", Err(Unusable::NoIndicator)),
        ("<html>", Err(Unusable::NoIndicator)),
        ("b\u{fc}cher.example", Err(Unusable::NoIndicator)),
        ("http:///x", Err(Unusable::NoIndicator)),
        ("d41d8cd98f00b204e9800998ecf8427e", Err(Unusable::NoIndicator)),
    ] {
        let got = Indicator::parse(text).map(|indicator| indicator.to_string());
        assert_eq!(got.as_deref(), expect.as_ref().map(|s| &**s), "{text}");
    }
    assert_eq!(Indicator::asn("64500"), Ok(Indicator::Asn(64_500)));
    assert_eq!(Indicator::asn("0"), Err(Unusable::NoIndicator));
    assert!(Indicator::parse(&"a".repeat(5_000)).is_err());
}

#[test]
fn names_are_found_at_and_below_an_entry() {
    let lists = lists(&[
        ("one", &["evil.example", "*.below.example", "login.shared.example", "evil.example"]),
        ("two", &["evil.example", "https://host.shared.example/x", "home.duckdns.org"]),
    ]);
    assert_eq!(lists.len(), 6, "what a list says twice it says once");
    for (name, expect) in [
        ("evil.example", &["one evil.example", "two evil.example"][..]),
        ("a.b.evil.example", &["one evil.example", "two evil.example"]),
        ("xevil.example", &[]),
        ("below.example", &[]),
        ("a.below.example", &["one *.below.example"]),
        ("shared.example", &[]),
        ("login.shared.example", &["one login.shared.example"]),
        ("a.login.shared.example", &["one login.shared.example"]),
        ("host.shared.example", &["two host.shared.example"]),
        ("a.host.shared.example", &[]),
        ("home.duckdns.org", &["two home.duckdns.org"]),
        ("other.duckdns.org", &[]),
        ("org", &[]),
    ] {
        assert_eq!(told(lists.name(&wire(name), AT_S)), expect, "{name}");
    }
    assert_eq!(lists.name(&[9, b'x', 0], AT_S), []);
    assert_eq!(ThreatLists::default().name(&wire("evil.example"), AT_S), []);
}

#[test]
fn addresses_are_found_by_every_network_around_them() {
    let lists = lists(&[
        ("one", &["198.18.0.0/15", "198.18.7.9", "198.18.7.0/24", "2001:db8::/32", "AS64500"]),
        ("two", &["198.18.7.0/24", "198.18.9.0/24", "AS64500"]),
    ]);
    for (ip, asn, expect) in [
        (
            "198.18.7.9",
            0,
            &["one 198.18.7.9", "two 198.18.7.0/24", "one 198.18.7.0/24", "one 198.18.0.0/15"][..],
        ),
        (
            "::ffff:198.18.7.255",
            0,
            &["two 198.18.7.0/24", "one 198.18.7.0/24", "one 198.18.0.0/15"],
        ),
        ("198.19.255.255", 0, &["one 198.18.0.0/15"]),
        ("198.20.0.0", 0, &[]),
        ("198.17.255.255", 64_500, &["one AS64500", "two AS64500"]),
        ("2001:db8:1::1", 64_501, &["one 2001:db8::/32"]),
        ("2001:db9::1", 0, &[]),
        ("0.0.0.0", 0, &[]),
        ("255.255.255.255", 0, &[]),
    ] {
        let ip = ip.parse().expect("an address");
        assert_eq!(told(lists.address(ip, asn, AT_S)), expect, "{ip}");
    }
}

#[test]
fn entries_and_lists_end() {
    let mut draft = ThreatDraft::default();
    let evil = Indicator::parse("evil.example").expect("a name");
    let address = Indicator::parse("198.18.7.9").expect("an address");
    for until_s in [Some(100), Some(200), None, Some(50)] {
        draft.push(&address, until_s).expect("room");
    }
    draft.push(&evil, Some(100)).expect("room");
    draft.push(&evil, Some(200)).expect("room");
    draft.add(list("ends"));
    draft.push(&evil, None).expect("room");
    draft.add(ThreatList { until_s: Some(300), ..list("ended") });
    let lists = draft.finish();
    let at = |at_s| told(lists.name(&wire("evil.example"), at_s));
    assert_eq!(at(199), ["ends evil.example", "ended evil.example"]);
    assert_eq!(at(200), ["ended evil.example"]);
    assert_eq!(at(300), [""; 0]);
    let ip = "198.18.7.9".parse().expect("an address");
    assert_eq!(told(lists.address(ip, 0, u64::MAX)), ["ends 198.18.7.9"], "the later end counts");
    assert_eq!(lists.name(&wire("evil.example"), 0)[0].until_s, Some(200));
}

#[test]
fn there_is_room_for_so_much_and_no_more() {
    let mut draft = ThreatDraft::default();
    let evil = Indicator::parse("evil.example").expect("a name");
    for _ in 0..THREAT_LISTS_MAX {
        draft.push(&evil, None).expect("room");
        draft.add(list("one"));
    }
    assert_eq!(draft.push(&evil, None), Err(TooMany));
    let lists = draft.finish();
    assert_eq!(lists.lists().len(), THREAT_LISTS_MAX);
    assert_eq!(lists.name(&wire("evil.example"), AT_S).len(), THREAT_LISTS_MAX);
    let mut draft = ThreatDraft::default();
    for number in 0..THREAT_ENTRIES_MAX {
        draft.push(&Indicator::Asn(number as u32), None).expect("room");
    }
    assert_eq!(draft.push(&evil, None), Err(TooMany));
    // A list that was never ended is not there.
    assert!(draft.finish().is_empty());
}

/// A small generator of pseudo-random numbers (xorshift), so that a failure names its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// One of few names, so that entries meet.
    fn name(&mut self) -> String {
        let labels = (0..=self.roll(3)).map(|_| format!("n{}", self.roll(3)));
        let labels: Vec<String> = labels.collect();
        format!("{}.example", labels.join("."))
    }

    fn ip(&mut self) -> IpAddr {
        let bits = u128::from(self.roll(64)) << 120 | u128::from(self.roll(4)) << 90;
        match self.roll(2) {
            0 => std::net::Ipv4Addr::from_bits((bits >> 96) as u32).into(),
            _ => std::net::Ipv6Addr::from_bits(bits | 1 << 127).into(),
        }
    }
}

#[test]
fn what_is_found_is_what_a_search_through_all_entries_finds() {
    for seed in 1..=60 {
        let mut dice = Dice(seed);
        let mut draft = ThreatDraft::default();
        let mut all: Vec<(u8, Indicator)> = Vec::new();
        for number in 0..3_u8 {
            for _ in 0..40 {
                let scope = [Scope::Exact, Scope::Below, Scope::Whole][dice.roll(3) as usize];
                let indicator = match dice.roll(3) {
                    0 => Indicator::name(&dice.name(), scope),
                    1 => Ok(Indicator::Asn(1 + dice.roll(9) as u32)),
                    _ => Indicator::network(dice.ip(), 16 + dice.roll(17) as u8),
                };
                let indicator = indicator.expect("an indicator");
                draft.push(&indicator, None).expect("room");
                all.push((number, indicator));
            }
            draft.add(list(&number.to_string()));
        }
        let lists = draft.finish();
        let expect = |covers: &dyn Fn(&Indicator) -> bool| -> BTreeSet<String> {
            let found = all.iter().filter(|(_, indicator)| covers(indicator));
            found.map(|(number, indicator)| format!("{number} {indicator:?}")).collect()
        };
        let got = |hits: Vec<ThreatHit>| -> BTreeSet<String> {
            let count = hits.len();
            let all: BTreeSet<String> =
                hits.iter().map(|h| format!("{} {:?}", h.list.name, h.indicator)).collect();
            assert_eq!(all.len(), count, "one twice");
            all
        };
        for _ in 0..100 {
            let name = wire(&dice.name());
            let is_at = |entry: &[u8]| *entry == *name;
            let is_below = |entry: &[u8]| name.ends_with(entry) && !is_at(entry);
            let by_name = expect(&|indicator| match indicator {
                Indicator::Name(entry, Scope::Exact) => is_at(entry),
                Indicator::Name(entry, Scope::Below) => is_below(entry),
                Indicator::Name(entry, Scope::Whole) => is_at(entry) || is_below(entry),
                _ => false,
            });
            assert_eq!(got(lists.name(&name, AT_S)), by_name, "seed {seed}");
            let (ip, asn) = (dice.ip(), dice.roll(9) as u32);
            let by_address = expect(&|indicator| match indicator {
                Indicator::Network(first, bits) => {
                    first.is_ipv4() == ip.is_ipv4() && crate::allow::network_of(ip, *bits) == *first
                }
                Indicator::Asn(number) => *number == asn && asn > 0,
                Indicator::Name(..) => false,
            });
            assert_eq!(got(lists.address(ip, asn, AT_S)), by_address, "seed {seed}");
        }
    }
}
