use super::*;
use crate::testing::{
    AT_MS, address, alert, all_terms, context, documented, field_paths, longest_name, set_terms,
    wire,
};
use crate::{ClientKey, CloseReason, Label, ReboundSeen};
use fluxtap_flux::{Score, Term};
use fluxtap_intel::{AddressClass, Country, Indicator, Scope, ThreatHit, ThreatList};
use fluxtap_window::{ContextSeen, HostSeen, Listed, Matched, ThreatMatch};
use fluxtap_wire::TunnelKind;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::OnceLock;

fn schema() -> &'static Validator {
    static SCHEMA: OnceLock<Validator> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let schema: Value = serde_json::from_str(SCHEMA_JSON).expect("the schema is JSON");
        jsonschema::validator_for(&schema).expect("the schema is a schema")
    })
}

/// Writes the alert and checks everything that is promised of every line.
fn check(alert: &Alert, context: &Context<'_>) -> Value {
    let mut out = b"before\n".to_vec();
    write_line(alert, context, &mut out);
    let mut again = Vec::new();
    write_line(&alert.clone(), context, &mut again);
    assert_eq!(&out[7..], again, "the same twice");
    let (last, octets) = again.split_last().expect("a line");
    assert!(again.len() <= LINE_OCTETS_MAX, "{} bytes", again.len());
    assert_eq!(*last, b'\n');
    assert!(octets.iter().all(|byte| matches!(byte, b' '..=b'~')), "printable ASCII");
    let line: Value = serde_json::from_slice(octets).expect("JSON");
    let errors: Vec<String> =
        schema().iter_errors(&line).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new());
    check_sums(&line);
    check_label(&Label::of(alert), &line);
    line
}

/// What is known of a line without reading it is what it says.
fn check_label(label: &Label, line: &Value) {
    let event = &line["event"];
    assert_eq!(event["id"], label.id.as_str());
    assert_eq!(event["severity"], label.severity);
    assert_eq!(line["dns"]["question"]["registered_domain"], label.domain.as_str());
    assert_eq!(line["fluxtap"]["flux"]["kind"], label.kind);
    assert_eq!(line["@timestamp"], rfc3339(label.at_ms).as_str());
    assert_eq!(event["action"] == "flux-ongoing", label.is_update);
}

/// The numbers of a line that must agree with each other.
fn check_sums(line: &Value) {
    let tenths = |value: &Value| {
        let tenths = value.as_f64().expect("a number") * 10.0;
        assert!((tenths - tenths.round()).abs() < 1e-6, "{value} is no tenth");
        tenths.round() as i64
    };
    let flux = &line["fluxtap"];
    let terms = flux["terms"].as_array().expect("terms");
    let points: i64 = terms.iter().map(|term| tenths(&term["points"])).sum();
    assert_eq!(points, tenths(&flux["flux"]["score"]), "points add up");
    let ip = &flux["evidence"]["ip"];
    let count = |name: &str| ip[name].as_u64().expect("a count");
    assert_eq!(count("distinct"), count("distinct_v4") + count("distinct_v6"));
    let listed = flux["evidence"]["addresses"].as_array().expect("addresses").len() as u64;
    assert_eq!(count("listed"), listed);
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let mut related = list(&line["dns"]["resolved_ip"]);
    let clients = &flux["evidence"]["client_list"];
    if !clients.is_null() {
        let ids = list(&clients["ids"]);
        let all = clients["more"].as_u64().expect("a count") + ids.len() as u64;
        assert!(all >= flux["evidence"]["clients"].as_u64().expect("a count"));
        if clients["mode"] == "list" {
            related.extend(ids);
        }
    }
    assert_eq!(Value::from(related), line["related"]["ip"]);
    let domain = &line["dns"]["question"]["registered_domain"];
    let indicator = &line["threat"]["indicator"]["name"];
    assert!(indicator == domain || indicator.is_null());
}

fn raw(alert: &Alert, context: &Context<'_>) -> String {
    let mut out = Vec::new();
    write_line(alert, context, &mut out);
    String::from_utf8(out).expect("ASCII")
}

#[test]
fn the_event_id_is_the_documented_hash() {
    // printf 'fx-2afd9963e1ec33f7fb8a|3|ongoing' | sha256sum
    let id = event_id("fx-2afd9963e1ec33f7fb8a", 3, Action::Ongoing);
    assert_eq!(id, "38799929cd46fb5fe34c545baaa93889");
    let line = check(&alert(), &context(&Intel::embedded()));
    assert_eq!(line["event"]["id"], id.as_str());
}

#[test]
fn every_action_has_its_words() {
    let intel = Intel::embedded();
    for (action, closed_ms, state, message) in [
        (
            Action::New,
            None,
            "new",
            "evil-flux.test looks like single fast flux: 46 addresses in 46 networks, \
             16 autonomous systems and 7 countries within an hour; high (score 26.3)",
        ),
        (
            Action::Ongoing,
            None,
            "ongoing",
            "evil-flux.test looks like single fast flux: 46 addresses in 46 networks, \
             16 autonomous systems and 7 countries within an hour, still changing; \
             high (score 26.3)",
        ),
        (
            Action::Ended(CloseReason::Quiet),
            Some(AT_MS),
            "ended",
            "evil-flux.test no longer counts as single fast flux: ended because a day went by \
             without flux; it had shown 46 addresses in 46 networks, 16 autonomous systems and \
             7 countries within an hour; was high (score 26.3)",
        ),
        (
            Action::Ended(CloseReason::Evicted),
            Some(AT_MS),
            "ended",
            "evil-flux.test no longer counts as single fast flux: ended because its history had \
             to make room; it had shown 46 addresses in 46 networks, 16 autonomous systems and \
             7 countries within an hour; was high (score 26.3)",
        ),
        (
            Action::Reopened,
            None,
            "reopened",
            "evil-flux.test looks like single fast flux again: 46 addresses in 46 networks, \
             16 autonomous systems and 7 countries within an hour; high (score 26.3)",
        ),
    ] {
        let mut alert = alert();
        alert.action = action;
        alert.closed = closed_ms.map(|ms| Timestamp(ms * 1_000_000));
        let line = check(&alert, &context(&intel));
        let life = &line["fluxtap"]["alert"];
        assert_eq!(line["message"], message);
        assert_eq!(line["event"]["action"], action.as_str());
        assert_eq!(life["state"], state);
        let reason = match action {
            Action::Ended(reason) => Value::from(reason.as_str()),
            _ => Value::Null,
        };
        assert_eq!(life["close_reason"], reason);
        let closed = closed_ms.map_or(Value::Null, |_| Value::from("2026-11-22T13:05:10.412Z"));
        assert_eq!(life["closed"], closed);
        // An ended alert tells of the judgement that held, not of the quiet day behind it.
        let end = if closed_ms.is_some() { "09.871Z" } else { "10.412Z" };
        assert_eq!(line["fluxtap"]["window"]["end"], format!("2026-11-22T13:05:{end}"));
    }
}

#[test]
fn sentences_count_properly_and_say_only_what_is_known() {
    for (numbers, window_s, expect) in [
        (
            [1, 1, 1, 1, 1],
            900,
            "1 address in 1 network, 1 autonomous system and 1 country within 15 minutes",
        ),
        ([9, 8, 7, 0, 0], 86_400, "9 addresses in 8 networks and 7 larger prefixes within a day"),
        ([9, 8, 1, 0, 0], 604_800, "9 addresses in 8 networks and 1 larger prefix within 7 days"),
        ([9, 8, 7, 6, 0], 1, "9 addresses in 8 networks and 6 autonomous systems within 1 second"),
        (
            [9, 8, 7, 0, 5],
            7_200,
            "9 addresses in 8 networks, 7 larger prefixes and 5 countries within 2 hours",
        ),
        (
            [9, 8, 7, 6, 5],
            60,
            "9 addresses in 8 networks, 6 autonomous systems and 5 countries within a minute",
        ),
    ] {
        let mut alert = alert();
        let [addresses, networks, prefixes, asns, countries] = numbers;
        alert.subject.addresses = addresses;
        alert.subject.window_s = window_s;
        let spread = &mut alert.subject.spread;
        (spread.networks, spread.prefixes) = (networks, prefixes);
        (spread.asns, spread.countries) = (asns, countries);
        assert_eq!(words::seen(&alert), expect);
    }
}

#[test]
fn the_reason_is_short_and_has_the_terms() {
    let mut alert = alert();
    assert_eq!(
        words::reason(&alert, true),
        "networks=46 autonomous_systems=16 countries=7 replacement=0.93 access_share=0.91 ttl=60"
    );
    alert.subject.spread.asns = 0;
    alert.subject.spread.countries = 0;
    set_terms(&mut alert, all_terms());
    assert_eq!(
        words::reason(&alert, true),
        "networks=46 prefixes=46 replacement=1234567.89 snapshot=1234567.89 \
         access_share=1234567.89 ttl=1234568 name_servers=1234568 aliases=1234568 \
         longevity=1234567.89 static_pool=1234567.89 kind_limit=1234567.89 \
         intelligence=1234568"
    );
}

#[test]
fn times_are_rfc_3339() {
    for (millis, expect) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (86_399_999, "1970-01-01T23:59:59.999Z"),
        (86_400_000, "1970-01-02T00:00:00.000Z"),
        (68_169_600_000, "1972-02-29T00:00:00.000Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (978_220_800_000, "2000-12-31T00:00:00.000Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
        (AT_MS, "2026-11-22T13:05:10.412Z"),
        (2_147_483_648_000, "2038-01-19T03:14:08.000Z"),
        (4_107_456_000_000, "2100-02-28T00:00:00.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (4_294_967_295_000, "2106-02-07T06:28:15.000Z"),
        (u64::MAX / 1_000_000, "2554-07-21T23:34:33.709Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (u64::MAX, "9999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(rfc3339(millis), expect);
    }
    // Day by day against the calendar's own rule, 1970 to 2106.
    let (mut year, mut month, mut day) = (1970, 1, 1);
    for days in 0..50_000_u64 {
        let text = rfc3339(days * 86_400_000);
        assert_eq!(text, format!("{year:04}-{month:02}-{day:02}T00:00:00.000Z"));
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 => 28 + u32::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        day += 1;
        if day > length {
            (day, month) = (1, month + 1);
        }
        if month > 12 {
            (month, year) = (1, year + 1);
        }
    }
}

#[test]
fn numbers_keep_their_type() {
    for (value, expect) in [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (-0.001, "0.0"),
        (46.0, "46.0"),
        (26.3, "26.3"),
        (-4.0, "-4.0"),
        (0.005, "0.01"),
        (1e-9, "0.0"),
        (412.984_999, "412.98"),
        (f64::NAN, "0.0"),
        (f64::INFINITY, "1000000000000.0"),
        (f64::NEG_INFINITY, "-1000000000000.0"),
        (f64::MAX, "1000000000000.0"),
    ] {
        assert_eq!(serde_json::to_string(&Decimal(value)).expect("a number"), expect);
    }
    for tenths in -2_000..2_000 {
        let text = serde_json::to_string(&Decimal(Score(tenths).points())).expect("a number");
        let digits: String = text.chars().filter(|c| *c != '.').collect();
        assert_eq!(digits.parse(), Ok(tenths), "{text}");
    }
}

#[test]
fn names_are_taken_apart_at_the_registrable_domain() {
    for (host, domain, subdomain, suffix) in [
        ("www.evil.com", "evil.com", Some("www"), "com"),
        ("a.b.evil.co.uk", "evil.co.uk", Some("a.b"), "co.uk"),
        ("evil.co.uk", "evil.co.uk", None, "co.uk"),
        ("me.duckdns.org", "me.duckdns.org", None, "duckdns.org"),
        ("elsewhere.test", "evil.com", None, "com"),
        ("xevil.com", "evil.com", None, "com"),
        ("a.com", "com", Some("a"), "com"),
        ("a.test", ".", Some("a.test"), "."),
        ("a\\.b.evil.com", "evil.com", Some("a\\046b"), "com"),
    ] {
        let mut alert = alert();
        (alert.evidence.host, alert.evidence.domain) = (wire(host), wire(domain));
        let line = check(&alert, &context(&Intel::embedded()));
        let question = &line["dns"]["question"];
        assert_eq!(question["subdomain"].as_str(), subdomain, "{host}");
        assert_eq!(question["top_level_domain"], suffix, "{host}");
    }
}

#[test]
fn the_outermost_tunnel_is_said() {
    for kind in TunnelKind::ALL {
        for id in [None, Some(0), Some(u32::MAX)] {
            let mut alert = alert();
            alert.evidence.tunnel = Some(fluxtap_wire::Tunnel { kind, id });
            let line = check(&alert, &context(&Intel::without_table()));
            let id = id.map_or(Value::Null, |id| id.to_string().into());
            let expected = serde_json::json!({ "kind": kind.as_str(), "id": id });
            assert_eq!(line["fluxtap"]["source"]["tunnel"], expected);
        }
    }
}

#[test]
fn what_is_absent_is_null() {
    let intel = Intel::without_table();
    let mut alert = alert();
    alert.evidence =
        Evidence { domain: wire("a.test"), host: wire("a.test"), ..Evidence::default() };
    alert.servers = None;
    alert.queries_visible = None;
    alert.lacking_percent = None;
    let bare = Context { interface: None, ..context(&intel) };
    let line = check(&alert, &bare);
    for path in [
        "/network/vlan",
        "/observer/ingress",
        "/event/end",
        "/threat/indicator/first_seen",
        "/threat/indicator/last_seen",
        "/dns/question/type",
        "/dns/question/subdomain",
        "/fluxtap/alert/closed",
        "/fluxtap/evidence/alias_target",
        "/fluxtap/quality/queries_visible",
        "/fluxtap/quality/address_table",
        "/fluxtap/quality/observed_loss",
        "/fluxtap/campaign",
        "/fluxtap/suppression/zone",
        "/fluxtap/source/tunnel",
        "/fluxtap/source/pcap",
    ] {
        assert_eq!(line.pointer(path), Some(&Value::Null), "{path}");
    }
    assert_eq!(line["fluxtap"]["evidence"]["ns"]["visible"], false);
    assert_eq!(line["fluxtap"]["evidence"]["ip"]["truncated"], false);
}

#[test]
fn addresses_of_content_networks_are_counted_and_never_listed() {
    let intel = Intel::without_table();
    let mut alert = alert();
    alert.evidence.addresses = (0..4).map(|i| address(i, i % 2 == 1)).collect();
    alert.evidence.addresses[0].owner.class = AddressClass::Cdn;
    alert.subject.subtracted = 1;
    let line = check(&alert, &context(&intel));
    let edge = alert.evidence.addresses[0].ip.to_string();
    assert!(!line.to_string().contains(&format!("\"{edge}\"")));
    let evidence = &line["fluxtap"]["evidence"];
    assert_eq!((&evidence["ip"]["distinct"], &evidence["subtracted"]), (&3.into(), &1.into()));
    assert_eq!(line["fluxtap"]["suppression"]["cdn_addresses_subtracted"], 1);
    assert_eq!(line["dns"]["answers"][0]["type"], "AAAA");
    assert_eq!(line["dns"]["answers"][1]["type"], "A");
}

#[test]
fn owners_and_places_are_shares_of_networks() {
    let mut evidence = Evidence { addresses: vec![], ..Evidence::default() };
    let mut add = |ip: &str, asn, country: Option<[u8; 2]>| {
        let mut seen = address(0, false);
        seen.ip = ip.parse().expect("an address");
        seen.owner.asn = asn;
        seen.owner.country = country.and_then(Country::from_code).unwrap_or(Country::UNKNOWN);
        evidence.addresses.push(seen);
    };
    // Three addresses of one network count once; so do two of one /64.
    add("240.0.0.1", 64_500, Some(*b"BR"));
    add("240.0.0.2", 64_500, Some(*b"BR"));
    add("240.0.0.3", 64_500, Some(*b"BR"));
    add("240.0.1.1", 64_499, Some(*b"VN"));
    add("240.0.2.1", 64_499, Some(*b"BR"));
    add("2001:db8:1::1", 64_501, Some(*b"AR"));
    add("2001:db8:1::2", 64_501, Some(*b"AR"));
    add("240.0.3.1", 0, None);
    let shares = Shares::of(&evidence);
    assert_eq!((shares.addresses_v4, shares.addresses_v6, shares.networks), (6, 1, 5));
    assert_eq!(shares.asns, [(64_499, 2), (64_500, 1), (64_501, 1)]);
    let countries: Vec<(Option<&str>, u32)> =
        shares.countries.iter().map(|(c, n)| (c.as_str(), *n)).collect();
    assert_eq!(countries, [(Some("BR"), 2), (Some("AR"), 1), (Some("VN"), 1)]);
    assert_eq!((shares.share(2), shares.asn_entropy()), (0.4, 1.5));
    assert_eq!(Shares::of(&Evidence::default()), Shares::default());
    assert_eq!((Shares::default().share(0), Shares::default().asn_entropy()), (0.0, 0.0));
}

#[test]
fn holders_are_named_by_the_table() {
    let mut alert = alert();
    for (index, asn) in [15_169, 3_320, 7_922].into_iter().enumerate() {
        alert.evidence.addresses[index].owner.asn = asn;
    }
    alert.evidence.addresses.truncate(3);
    let line = check(&alert, &context(&Intel::embedded()));
    let top = &line["fluxtap"]["evidence"]["asn"]["top"];
    assert_eq!(top[2]["number"], 15_169);
    assert_eq!(top[2]["org"], "Google LLC");
    assert_eq!(top[2]["share"], 0.33);
    let without = check(&alert, &context(&Intel::without_table()));
    assert_eq!(without["fluxtap"]["evidence"]["asn"]["top"][2]["org"], Value::Null);
}

#[test]
fn what_the_judgement_had_to_do_without_is_said() {
    let (table, none) = (Intel::embedded(), Intel::without_table());
    for (intel, queries_visible, is_cut, owned, expect) in [
        (&table, Some(true), false, 46, &[][..]),
        (&table, Some(true), false, 23, &[]),
        (&table, Some(true), false, 22, &["low_asn_coverage"]),
        (&table, None, false, 46, &["queries_not_paired"]),
        (&table, Some(false), true, 46, &["answers_only", "history_truncated"]),
        (&none, None, false, 0, &["no_address_table", "queries_not_paired"]),
    ] {
        let mut alert = alert();
        alert.evidence.is_history_cut = is_cut;
        alert.subject.spread.owned = owned;
        alert.queries_visible = queries_visible;
        let line = check(&alert, &context(intel));
        assert_eq!(line["fluxtap"]["quality"]["degraded"], Value::from(expect.to_vec()));
        assert!(expect.is_sorted());
    }
}

#[test]
fn vantage_advisory_rule_and_confidence() {
    let intel = Intel::without_table();
    for (authoritative, expect) in
        [(0, "cache"), (1, "mixed"), (411, "mixed"), (412, "authoritative")]
    {
        let mut alert = alert();
        alert.evidence.authoritative = authoritative;
        let line = check(&alert, &context(&intel));
        assert_eq!(line["fluxtap"]["quality"]["vantage"], expect);
    }
    let all = alert().verdict.terms;
    let of = |ids: &[TermId]| all.iter().filter(|t| ids.contains(&t.id)).copied().collect();
    for (terms, expect) in [
        (of(&[TermId::Networks]), vec!["D2", "D6"]),
        (of(&[TermId::Ttl]), vec!["D2", "D3", "D6"]),
        (of(&[TermId::Countries]), vec!["D2", "D4", "D6"]),
        (of(&[TermId::AutonomousSystems]), vec!["D2", "D4", "D6"]),
        (all.clone(), vec!["D2", "D3", "D4", "D6"]),
        (
            [TermId::Prefixes, TermId::Succession, TermId::OneAtATime]
                .map(|id| Term { id, value: 1.0, reference: 2.0, points: Score(10) })
                .to_vec(),
            vec!["D2", "D6"],
        ),
    ] {
        let mut alert = alert();
        set_terms(&mut alert, terms);
        let line = check(&alert, &context(&intel));
        assert_eq!(line["fluxtap"]["advisory"], Value::from(expect));
    }
    for (kind, severity, rule, kind_word, number, confidence) in [
        (FluxKind::Rotation, Severity::Low, "fluxtap-ip-rotation", "ip_rotation", 1, "Low"),
        (FluxKind::Servers, Severity::Medium, "fluxtap-ns-flux", "ns_flux", 2, "Medium"),
        (FluxKind::Single, Severity::Low, "fluxtap-single-flux", "single_flux", 1, "Low"),
        (FluxKind::Double, Severity::Medium, "fluxtap-double-flux", "double_flux", 2, "Medium"),
        (FluxKind::Double, Severity::High, "fluxtap-double-flux", "double_flux", 3, "High"),
    ] {
        let mut alert = alert();
        (alert.verdict.kind, alert.severity) = (kind, severity);
        let line = check(&alert, &context(&intel));
        assert_eq!(line["rule"]["id"], rule);
        assert_eq!(line["fluxtap"]["flux"]["kind"], kind_word);
        assert_eq!(line["fluxtap"]["flux"]["severity"], severity.as_str());
        assert_eq!(line["event"]["severity"], number);
        assert_eq!(line["threat"]["indicator"]["confidence"], confidence);
    }
}

#[test]
fn a_curated_zone_at_the_end_of_the_chain_is_named() {
    let intel = Intel::embedded();
    for (terminal, zone) in
        [("e1234.dscb.akamaiedge.net", Some("akamaiedge.net")), ("elsewhere.test", None)]
    {
        let mut alert = alert();
        alert.evidence.terminal = wire(terminal);
        let line = check(&alert, &context(&intel));
        assert_eq!(line["fluxtap"]["suppression"]["zone"].as_str(), zone);
        assert_eq!(line["fluxtap"]["evidence"]["alias_target"], terminal);
    }
}

#[test]
fn replay_says_nothing_about_machine_or_file() {
    let intel = Intel::embedded();
    let replay = Context {
        source: SourceKind::Replay,
        interface: None,
        created: Timestamp(AT_MS * 1_000_000),
        ..context(&intel)
    };
    let line = check(&alert(), &replay);
    assert_eq!(line["fluxtap"]["source"]["kind"], "replay");
    assert_eq!(line["event"]["created"], line["@timestamp"]);
}

#[test]
fn lists_shrink_and_counts_stay() {
    let intel = Intel::embedded();
    let mut alert = alert();
    let usual = check(&alert, &context(&intel));
    let ip = &usual["fluxtap"]["evidence"]["ip"];
    assert!(ip["listed"].as_u64().is_some_and(|listed| listed >= 8), "{ip}");
    assert_eq!((&ip["truncated"], &ip["distinct"]), (&true.into(), &46.into()));
    let mut small = alert.clone();
    small.evidence.addresses.truncate(8);
    let all = check(&small, &context(&intel));
    let ip = &all["fluxtap"]["evidence"]["ip"];
    assert_eq!((&ip["truncated"], &ip["listed"]), (&false.into(), &8.into()));
    crowd(&mut alert, b"n");
    let crowded = check(&alert, &context(&intel));
    let evidence = &crowded["fluxtap"]["evidence"];
    let listed = evidence["ip"]["listed"].as_u64().expect("a count");
    assert!((1..12).contains(&listed), "{listed} addresses are left");
    assert_eq!(evidence["ip"]["distinct"], 512);
    assert_eq!(evidence["ip"]["truncated"], true);
    assert_eq!(evidence["hosts"]["distinct"], 64);
    assert_eq!(evidence["ns"]["distinct"], 64);
    assert!(evidence["hosts"]["names"].as_array().is_some_and(|names| !names.is_empty()));
}

/// Fills every list: 64 hosts, 64 name servers, 512 IPv6 addresses.
fn crowd(alert: &mut Alert, label: &[u8]) {
    let name = |index: u8| {
        let mut name = vec![2 + label.len() as u8, b'a' + index / 26, b'a' + index % 26];
        name.extend_from_slice(label);
        name.extend_from_slice(&wire("evil-flux.test"));
        name
    };
    alert.evidence.addresses = (0..512).map(|i| address(i, true)).collect();
    alert.evidence.hosts = (0..64).map(|i| HostSeen { name: name(i), runs: 3 }).collect();
    alert.evidence.server_names = (64..128).map(name).collect();
    if let Some(servers) = &mut alert.servers {
        servers.names = 64;
    }
}

/// Names that were made to break whatever reads them.
fn hostile_names() -> Vec<Vec<u8>> {
    vec![
        vec![],
        vec![0],
        vec![63],
        b"\x05ab".to_vec(),
        wire("\\000\\001\\027[31mred\\013\\010.test"),
        wire("\\\"\\\\\\\"},{\\\".test"),
        wire("\\226\\128\\174gpj\\226\\128\\172.test"),
        wire("\\195\\040\\255\\254.test"),
        wire("a\\.b\\.com.test"),
        wire("\\127\\032\\092u0000.test"),
        longest_name(b'a'),
        longest_name(0),
        longest_name(b'"'),
        longest_name(0xff),
        longest_name(b'\\'),
        std::iter::repeat_n([1, 7], 127).flatten().chain([0]).collect(),
    ]
}

#[test]
fn hostile_names_stay_inside_their_fields() {
    let (table, none) = (Intel::embedded(), Intel::without_table());
    for name in hostile_names() {
        for is_domain in [false, true] {
            for is_crowded in [false, true] {
                let mut alert = alert();
                if is_crowded {
                    crowd(&mut alert, &[0xe2, 0x80, 0xae, b'"', 0x1b]);
                    set_terms(&mut alert, all_terms());
                }
                alert.evidence.terminal.clone_from(&name);
                alert.evidence.server_names.push(name.clone());
                alert.evidence.hosts.insert(0, HostSeen { name: name.clone(), runs: 9 });
                alert.evidence.host.clone_from(&name);
                if is_domain {
                    alert.evidence.domain.clone_from(&name);
                }
                let context = context(if is_crowded { &table } else { &none });
                let line = check(&alert, &context);
                let expect = WireText(&alert.evidence.domain).to_string();
                assert_eq!(line["dns"]["question"]["registered_domain"], expect.as_str());
            }
        }
    }
}

#[test]
fn the_longest_registrable_domain_is_written_whole() {
    let intel = Intel::embedded();
    let label = [&[63_u8][..], &[0; 63]].concat();
    let mut alert = alert();
    crowd(&mut alert, &[0; 61]);
    set_terms(&mut alert, all_terms());
    alert.evidence.domain = [&label[..], &label, &[0]].concat();
    alert.evidence.host = longest_name(0);
    let line = check(&alert, &context(&intel));
    let name = WireText(&alert.evidence.domain).to_string();
    assert_eq!(name.len(), 2 * 63 * 4 + 1);
    assert_eq!(line["threat"]["indicator"]["name"], name.as_str());
    assert_eq!(line["dns"]["resolved_ip"].as_array().map(Vec::len), Some(6));
}

#[test]
fn the_longest_line_there_can_be_fits() {
    let intel = Intel::embedded();
    for name in hostile_names() {
        let mut alert = alert();
        crowd(&mut alert, &[0; 61]);
        set_terms(&mut alert, all_terms());
        alert.threats = vec![longest_threat(&name); 64];
        alert.campaign = Some(CampaignSeen {
            id: crate::campaign_id(&name, alert.at),
            domains: u32::MAX,
            neighbours: vec![name.clone(); CampaignSeen::NEIGHBOURS_MAX],
        });
        alert.subject.listed =
            Listed { is_named: true, names: 1, addresses: u32::MAX / 4, of_systems: u32::MAX / 4 };
        alert.action = Action::Ended(CloseReason::Evicted);
        alert.closed = Some(Timestamp(u64::MAX));
        alert.at = Timestamp(u64::MAX);
        alert.revision = u32::MAX;
        alert.verdict.kind = FluxKind::Double;
        let subject = &mut alert.subject;
        (subject.addresses, subject.changes, subject.refreshes) = (u32::MAX, u32::MAX, u32::MAX);
        (subject.replaced, subject.subtracted, subject.window_s) = (u32::MAX, u32::MAX, u32::MAX);
        subject.replaced_late = u32::MAX;
        subject.compare.holz_cumulative = f64::MAX;
        subject.compare.holz_two_lookups = f64::NAN;
        subject.compare.zeek_asn_ratio = f64::NEG_INFINITY;
        let spread = &mut subject.spread;
        (spread.networks, spread.prefixes) = (u32::MAX, u32::MAX);
        (spread.asns, spread.countries) = (u32::MAX, u32::MAX);
        spread.owned = 0;
        let evidence = &mut alert.evidence;
        (evidence.responses, evidence.clients, evidence.names) = (u32::MAX, u32::MAX, u32::MAX);
        (evidence.ttl_s, evidence.vlan, evidence.qtype) = ([u32::MAX; 3], 4_095, u16::MAX);
        evidence.tunnel =
            Some(fluxtap_wire::Tunnel { kind: TunnelKind::Backbone, id: Some(u32::MAX) });
        (evidence.first_ms, evidence.special_use) = (u64::MAX, u32::MAX);
        evidence.is_history_cut = true;
        let most = Counted { responses: u32::MAX, distinct: 621 };
        evidence.context =
            ContextSeen { client_subnets: most, hints: most, dns64_responses: u32::MAX };
        (evidence.domain, evidence.host) = (name.clone(), name.clone());
        evidence.terminal = wire("x.akamaiedge.net");
        for seen in &mut evidence.addresses {
            (seen.responses, seen.ttl_s) = (u32::MAX, u32::MAX);
            seen.owner.asn = u32::MAX - seen.last_s % 7;
        }
        evidence.client_list = (0..CLIENTS_LISTED_MAX).map(longest_client).collect();
        let long = "\u{1f480}\u{202e}\"\\\u{7}".repeat(50);
        let context = Context {
            observer: &long,
            interface: Some(&long),
            version: &long,
            sequence: u64::MAX,
            created: Timestamp(u64::MAX),
            ..context(&intel)
        };
        alert.queries_visible = None;
        check(&alert, &context);
        let key = ClientKey::new(&[7; 32]).expect("a key");
        for clients in [Clients::List, Clients::Hmac(&key)] {
            check(&alert, &Context { clients, ..context });
        }
    }
}

#[test]
fn context_is_told_where_it_was_seen_and_takes_no_room_where_not() {
    let (mut alert, intel) = (alert(), Intel::embedded());
    let line = check(&alert, &context(&intel));
    let names = ["client_subnet", "hints", "dns64"];
    assert!(names.iter().all(|name| line["fluxtap"]["evidence"].get(name).is_none()));
    let counted = |responses, distinct| Counted { responses, distinct };
    alert.evidence.context =
        ContextSeen { client_subnets: counted(103, 17), hints: counted(3, 4), dns64_responses: 7 };
    let scored = line["fluxtap"]["flux"].clone();
    let line = check(&alert, &context(&intel));
    let evidence = &line["fluxtap"]["evidence"];
    let subnet = json!({ "responses": 103, "share": 0.25, "distinct": 17 });
    assert_eq!(evidence["client_subnet"], subnet);
    assert_eq!(evidence["hints"], json!({ "responses": 3, "distinct": 4 }));
    assert_eq!(evidence["dns64"], json!({ "responses": 7 }));
    assert_eq!(line["fluxtap"]["flux"], scored);
}

/// A hit whose every text is as long as it gets.
fn longest_threat(name: &[u8]) -> ThreatMatch {
    let long: Box<str> = "\u{1f480}\u{202e}\"\\\u{7}".repeat(50).into();
    let list = ThreatList {
        name: long.clone(),
        source: long.clone(),
        category: long,
        format: "plain",
        made_s: Some(u64::MAX),
        until_s: Some(u64::MAX),
        is_alerting: true,
        entries: usize::MAX,
    };
    let indicator = Indicator::Name(longest_name(b'a').into(), Scope::Below);
    let hit = ThreatHit { list: list.into(), indicator, until_s: Some(u32::MAX) };
    ThreatMatch { matched: Matched::Host(name.to_vec()), hit }
}

#[test]
fn a_campaign_is_told_with_the_other_domains() {
    let intel = Intel::embedded();
    let mut alert = alert();
    let id = crate::campaign_id(&alert.evidence.domain, alert.opened);
    assert_eq!((id.len(), &id[..3]), (23, "fc-"));
    let neighbours = vec![wire("more-flux.test"), wire("other-flux.test")];
    alert.campaign = Some(CampaignSeen { id: id.clone(), domains: 3, neighbours });
    let line = check(&alert, &context(&intel));
    let expect = json!({
        "id": id, "domains": 3, "neighbours": ["more-flux.test", "other-flux.test"],
    });
    assert_eq!(line["fluxtap"]["campaign"], expect);
}

#[test]
fn a_hit_in_a_threat_list_is_told_in_the_words_of_ecs() {
    let intel = Intel::embedded();
    let list = |made_s| ThreatList {
        name: "openphish".into(),
        source: "openphish.example".into(),
        category: "phishing".into(),
        format: "plain",
        made_s,
        until_s: None,
        is_alerting: true,
        entries: 7,
    };
    let hit = |made_s, matched, text: &str| {
        let indicator = Indicator::parse(text).expect("an indicator");
        let hit = ThreatHit { list: list(made_s).into(), indicator, until_s: None };
        ThreatMatch { matched, hit }
    };
    let mut alert = alert();
    let absent = check(&alert, &context(&intel));
    assert!(absent["threat"].get("enrichments").is_none());
    assert!(absent["fluxtap"]["evidence"].get("intel").is_none());
    let ip = "192.0.2.7".parse().expect("an address");
    let server = wire("ns1.evil.test");
    alert.threats = vec![
        hit(Some(1_795_352_400), Matched::Domain, "evil-flux.test"),
        hit(None, Matched::Address(ip), "192.0.2.0/24"),
        hit(None, Matched::System(64_500), "AS64500"),
        hit(None, Matched::Server(server), "*.evil.test"),
        hit(None, Matched::ServerAddress(ip), "192.0.2.7"),
    ];
    alert.subject.listed = Listed { is_named: true, names: 2, addresses: 1, of_systems: 3 };
    let line = check(&alert, &context(&intel));
    let rows: Vec<[&str; 4]> = line["threat"]["enrichments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| {
            let text = |path| row.pointer(path).and_then(Value::as_str).expect("a text");
            [
                text("/indicator/type"),
                text("/indicator/name"),
                text("/matched/atomic"),
                text("/matched/field"),
            ]
        })
        .collect();
    assert_eq!(
        rows,
        [
            ["domain-name", "evil-flux.test", "evil-flux.test", "dns.question.registered_domain"],
            ["ipv4-addr", "192.0.2.0/24", "192.0.2.7", "dns.resolved_ip"],
            ["autonomous-system", "AS64500", "64500", "fluxtap.evidence.asn.top.number"],
            ["domain-name", "*.evil.test", "ns1.evil.test", "fluxtap.evidence.ns.names"],
        ]
    );
    let first = &line["threat"]["enrichments"][0];
    assert_eq!(first["indicator"]["modified_at"], "2026-11-22T13:00:00.000Z");
    assert_eq!(first["indicator"]["provider"], "openphish.example");
    assert_eq!(
        (&first["matched"]["index"], &first["indicator"]["description"]),
        (&"openphish".into(), &"phishing".into())
    );
    assert_eq!(line["fluxtap"]["evidence"]["intel"], json!({ "matched": 7, "listed": 5 }));

    // By itself it shows no technique.
    alert.action = Action::Matched;
    alert.verdict.kind = FluxKind::Intel;
    let line = check(&alert, &context(&intel));
    for part in ["framework", "tactic", "technique"] {
        assert_eq!(line["threat"][part], Value::Null, "{part}");
    }
    assert_eq!(line["tags"], json!(["threat-intel", "dns"]));
    let message = line["message"].as_str().expect("a text");
    assert!(
        message.starts_with(
            "evil-flux.test is on a threat list: the domain on openphish (phishing) by \
             evil-flux.test and 4 more; "
        ),
        "{message}"
    );
}

#[test]
fn rebinding_is_a_note_in_an_alert_and_a_line_by_itself() {
    let intel = Intel::embedded();
    let mut alert = alert();
    assert!(check(&alert, &context(&intel))["fluxtap"]["evidence"].get("rebinding").is_none());
    let ip = "192.168.1.1".parse().expect("an address");
    alert.rebound = Some(ReboundSeen { name: wire("x.evil-flux.test"), ip, ttl_s: 1 });
    let expect = json!({ "name": "x.evil-flux.test", "ip": "192.168.1.1", "ttl": 1 });
    let line = check(&alert, &context(&intel));
    assert_eq!(line["fluxtap"]["evidence"]["rebinding"], expect);
    assert_eq!(line["tags"], json!(["fast-flux", "dns"]));

    // By itself it shows no technique, and has no score.
    alert.action = Action::Rebound;
    alert.severity = Severity::Low;
    alert.threshold = Score(0);
    alert.verdict = fluxtap_flux::rebinding();
    let line = check(&alert, &context(&intel));
    assert_eq!(line["fluxtap"]["evidence"]["rebinding"], expect);
    assert_eq!(line["threat"]["technique"], Value::Null);
    assert_eq!(line["tags"], json!(["dns-rebinding", "dns"]));
    assert_eq!(
        (&line["event"]["risk_score"], &line["event"]["severity"]),
        (&json!(0.0), &json!(1))
    );
    assert_eq!(
        line["message"],
        "evil-flux.test looks like DNS rebinding: x.evil-flux.test left a network for addresses \
         outside and came back to 192.168.1.1 (TTL 1 s) for one client; low"
    );
    // The longest name fits.
    let name = longest_name(0x1b);
    alert.evidence.domain.clone_from(&name);
    alert.rebound = Some(ReboundSeen { name, ip, ttl_s: 1 });
    check(&alert, &context(&intel));
}

/// An address of a client whose text is as long as an address's gets.
fn longest_client(index: usize) -> IpAddr {
    let ip = IpAddr::V6(Ipv6Addr::from(u128::MAX - index as u128));
    assert_eq!(ip.to_string().len(), 39);
    ip
}

#[test]
fn clients_are_listed_only_where_the_setting_says_so() {
    let intel = Intel::embedded();
    let key = ClientKey::new(b"0123456789abcdef").expect("a key");
    let mut alert = alert();
    alert.evidence.client_list = vec!["10.0.0.7".parse().expect("an address"); 1];
    let with = |clients| check(&alert, &Context { clients, ..context(&intel) });
    let raw = |clients| raw(&alert, &Context { clients, ..context(&intel) });
    let counted = with(Clients::Count);
    assert!(counted["fluxtap"]["evidence"].get("client_list").is_none());
    let hashed = &with(Clients::Hmac(&key))["fluxtap"]["evidence"]["client_list"];
    let hash = key.hash(alert.evidence.client_list[0]);
    assert_eq!(*hashed, serde_json::json!({ "mode": "hmac", "ids": [hash], "more": 16 }));
    assert!(!raw(Clients::Count).contains("10.0.0.7"));
    assert!(!raw(Clients::Hmac(&key)).contains("10.0.0.7"));
    let listed = with(Clients::List);
    let clients = &listed["fluxtap"]["evidence"]["client_list"];
    assert_eq!(*clients, serde_json::json!({ "mode": "list", "ids": ["10.0.0.7"], "more": 16 }));
    assert_eq!(
        listed["related"]["ip"].as_array().and_then(|ips| ips.last()),
        Some(&"10.0.0.7".into())
    );
    // The estimate may be below what is known for certain.
    alert.evidence.clients = 0;
    let clients = &check(&alert, &Context { clients: Clients::List, ..context(&intel) });
    assert_eq!(clients["fluxtap"]["evidence"]["client_list"]["more"], 0);
}

#[test]
fn what_an_allow_list_took_away_is_said() {
    let intel = Intel::embedded();
    let mut alert = alert();
    (alert.subject.allowed, alert.subject.subtracted) = (3, 2);
    alert.is_allowlisted = true;
    let line = check(&alert, &context(&intel));
    assert_eq!(line["fluxtap"]["suppression"]["allowlisted"], true);
    assert_eq!(line["fluxtap"]["suppression"]["cdn_addresses_subtracted"], 2);
    assert_eq!(line["fluxtap"]["evidence"]["subtracted"], 5);
    alert.action = Action::Ended(CloseReason::Allowlisted);
    let line = check(&alert, &context(&intel));
    assert_eq!(line["fluxtap"]["alert"]["close_reason"], "allowlisted");
    let message = line["message"].as_str().expect("a text");
    assert!(message.contains("ended because the allow list covers it"), "{message}");
}

#[test]
fn a_changed_model_is_named() {
    let intel = Intel::embedded();
    let line = check(&alert(), &Context { model: "fluxtap-1.0+0a1b2c3d", ..context(&intel) });
    assert_eq!(line["fluxtap"]["flux"]["model"], "fluxtap-1.0+0a1b2c3d");
}

#[test]
fn text_beyond_ascii_is_escaped_and_comes_back() {
    let intel = Intel::without_table();
    let observer = "d\u{fc}ne-\u{202e}\u{1f4a7}\u{7f}\u{85}\"\\";
    let context = Context { observer, ..context(&intel) };
    let line = check(&alert(), &context);
    assert_eq!(line["observer"]["name"], observer);
    assert_eq!(line["fluxtap"]["sensors"][0], observer);
    assert!(raw(&alert(), &context).contains(r#""d\u00fcne-\u202e\ud83d\udca7\u007f\u0085\"\\""#));
    for (text, octets_max, expect) in [
        ("plain", 5, "plain"),
        ("plain", 4, "plai"),
        ("a\"b", 2, "a"),
        ("a\u{fc}b", 6, "a"),
        ("a\u{fc}b", 7, "a\u{fc}"),
        ("\u{1f4a7}", 11, ""),
        ("\u{1f4a7}", 12, "\u{1f4a7}"),
    ] {
        assert_eq!(bounded(text, octets_max), expect);
    }
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

    fn name(&mut self) -> Vec<u8> {
        let mut name = Vec::new();
        for _ in 0..self.roll(5) {
            let length = 1 + self.roll(62);
            if name.len() as u64 + length > 250 {
                break;
            }
            name.push(length as u8);
            let is_plain = self.roll(2) == 0;
            for _ in 0..length {
                let byte = self.roll(256) as u8;
                name.push(if is_plain { b'a' + byte % 26 } else { byte });
            }
        }
        name.push(0);
        name
    }
}

#[test]
fn whatever_the_evidence_the_line_is_valid() {
    let (table, none) = (Intel::embedded(), Intel::without_table());
    for seed in 1..=200 {
        let mut dice = Dice(seed);
        let mut alert = alert();
        alert.evidence.domain = dice.name();
        alert.evidence.host = dice.name();
        alert.evidence.terminal = dice.name();
        alert.evidence.server_names = (0..dice.roll(20)).map(|_| dice.name()).collect();
        alert.evidence.hosts =
            (0..dice.roll(20)).map(|_| HostSeen { name: dice.name(), runs: 1 }).collect();
        let count = dice.roll(100) as u32;
        alert.evidence.addresses = (0..count).map(|i| address(i, dice.roll(2) == 0)).collect();
        let mut terms = all_terms();
        terms.retain(|_| dice.roll(2) == 0);
        for term in &mut terms {
            term.points = Score(dice.roll(200) as i32 - 60);
        }
        set_terms(&mut alert, terms);
        alert.action = match dice.roll(4) {
            0 => Action::New,
            1 => Action::Ongoing,
            2 => Action::Reopened,
            _ => Action::Ended(CloseReason::Quiet),
        };
        let intel = if dice.roll(2) == 0 { &table } else { &none };
        let result = std::panic::catch_unwind(|| check(&alert, &context(intel)));
        assert!(result.is_ok(), "seed {seed}: {alert:?}");
    }
}

#[test]
fn the_schema_is_closed_and_complete() {
    let schema: Value = serde_json::from_str(SCHEMA_JSON).expect("JSON");
    let id = schema["$id"].as_str().expect("an id");
    assert!(id.contains(SCHEMA_VERSION), "{id}");
    assert!(jsonschema::meta::is_valid(&schema));
    let mut objects = 0;
    walk(&schema, &mut |node| {
        let Some(properties) = node.get("properties").and_then(Value::as_object) else { return };
        objects += 1;
        assert_eq!(node["additionalProperties"], false, "{node}");
        let mut required: Vec<&str> =
            node["required"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        required.sort_unstable();
        let may_lack = |node: &Value| {
            let marks = ["opt-in: ", "if seen: "];
            let text = node["description"].as_str().unwrap_or_default();
            marks.iter().any(|mark| text.starts_with(mark))
        };
        let always = properties.iter().filter(|(_, node)| !may_lack(node)).map(|(name, _)| name);
        assert_eq!(required, always.collect::<Vec<_>>());
    });
    assert!(objects > 35, "{objects} objects");
}

fn walk<'a>(node: &'a Value, visit: &mut dyn FnMut(&'a Value)) {
    visit(node);
    match node {
        Value::Object(map) => map.values().for_each(|child| walk(child, visit)),
        Value::Array(list) => list.iter().for_each(|child| walk(child, visit)),
        _ => {}
    }
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let good = check(&alert(), &context(&Intel::embedded()));
    for (path, wrong) in [
        ("/@timestamp", Value::from("2026-11-22T13:05:10Z")),
        ("/event/risk_score", Value::from(100.1)),
        ("/event/severity", Value::from(4)),
        ("/event/action", Value::from("flux-gone")),
        ("/event/id", Value::from("38799929CD46FB5FE34C545BAAA93889")),
        ("/event/sequence", Value::from(-1)),
        ("/fluxtap/alert/id", Value::from("fx-1")),
        ("/fluxtap/alert/close_reason", Value::from("bored")),
        ("/fluxtap/flux/kind", Value::from("triple_flux")),
        ("/fluxtap/evidence/addresses/0/class", Value::from("cdn")),
        ("/dns/question/registered_domain", Value::from("Evil.test")),
        ("/dns/question/registered_domain", Value::Null),
        ("/dns/resolved_ip/0", Value::from("evil.test")),
        ("/fluxtap/terms/0/points", Value::from("5.7")),
        ("/network/vlan", Value::from("210")),
        ("/fluxtap/source/tunnel", Value::from("vxlan")),
    ] {
        let mut line = good.clone();
        let place = line.pointer_mut(path).unwrap_or_else(|| panic!("{path} is there"));
        *place = wrong;
        assert!(!schema().is_valid(&line), "{path}");
    }
    let mut line = good;
    line["fluxtap"]["flux"]["extra"] = Value::Null;
    assert!(!schema().is_valid(&line));
}

const FORMAT_MD: &str = include_str!("../../../../docs/alert-format.md");

#[test]
fn the_documentation_has_every_field_and_no_other() {
    let schema: Value = serde_json::from_str(SCHEMA_JSON).expect("JSON");
    let mut paths = Vec::new();
    field_paths(&schema, &schema, "", &mut paths);
    paths.sort();
    let (_, fields) = FORMAT_MD.split_once("\n## Fields\n").expect("a chapter of fields");
    assert_eq!(documented(fields), paths);
}

/// Against the definition, with every byte that matters at every place of fragments of any length.
#[test]
fn what_is_plain_is_found_by_words_as_by_bytes() {
    for len in 0..40 {
        let mut fragment = vec![b'~'; len];
        assert!(is_plain(&fragment));
        for at in 0..len {
            for byte in [b' ', 0x7e, 0x7f, 0x80, 0xfe, 0xff] {
                fragment[at] = byte;
                let plain = fragment.iter().all(|byte| (b' '..=b'~').contains(byte));
                assert_eq!(is_plain(&fragment), plain, "{byte:#x} at {at} of {len}");
            }
            fragment[at] = b'~';
        }
    }
}

/// However many addresses are laid in, the line is as long as was said, and says how many they are.
#[test]
fn a_template_takes_as_many_addresses_as_are_laid_in() {
    let (alert, intel) = (alert(), Intel::embedded());
    let context = context(&intel);
    let (names, shares) = (Names::of(&alert.evidence), Shares::of(&alert.evidence));
    let room = Room::of(&alert, &context);
    let view = View { alert: &alert, context: &context, names: &names, shares: &shares, room };
    let count = judged(&alert.evidence).count();
    let addresses = Addresses::of(judged(&alert.evidence).map(super::address), count);
    let template = Template::of(&view.line());
    assert!(count > 2);
    for listed in 0..=count {
        let mut out = Vec::new();
        template.fill(&addresses, listed, &mut out);
        assert_eq!(out.len(), template.len(&addresses, listed));
        let line: Value = serde_json::from_slice(&out).expect("JSON");
        let evidence = &line["fluxtap"]["evidence"];
        assert_eq!(evidence["addresses"].as_array().map(Vec::len), Some(listed));
        assert_eq!(evidence["ip"]["listed"], listed);
        assert_eq!(evidence["ip"]["truncated"], listed < count);
    }
}

/// JSON with one field or entry a row, in the order in which they come: a map would lose it.
fn pretty(json: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut begins_row, mut is_in_string, mut is_escaped) = (0, false, false, false);
    for c in json.trim_end().chars() {
        if is_in_string {
            out.push(c);
            is_in_string = c != '"' || is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        let is_end = matches!(c, ']' | '}');
        depth -= usize::from(is_end);
        // Nothing lies in an empty list.
        if begins_row != is_end {
            out.push_str(&format!("\n{:1$}", "", 2 * depth));
        }
        out.push(c);
        begins_row = matches!(c, '[' | '{' | ',');
        depth += usize::from(matches!(c, '[' | '{'));
        out.push_str(if c == ':' { " " } else { "" });
        is_in_string = c == '"';
    }
    out
}

/// The example of the documentation is the line of the alert that the tests begin with, one field
/// a row. `GOLDEN_UPDATE=1 cargo test -p fluxtap-alert` writes it anew.
#[test]
fn the_documented_example_is_what_is_written() {
    let (alert, intel) = (alert(), Intel::embedded());
    let context = context(&intel);
    check(&alert, &context);
    let (names, shares) = (Names::of(&alert.evidence), Shares::of(&alert.evidence));
    let room = Room([3, 5, 8, 8, 8, 2, 2, 2, 1, 1, 1, 1, 0, 1, 1, 0, 0]);
    let judged = || judged(&alert.evidence);
    let addresses = Addresses::of(judged().take(3).map(super::address), judged().count());
    let view = View { alert: &alert, context: &context, names: &names, shares: &shares, room };
    let mut line = Vec::new();
    Template::of(&view.line()).fill(&addresses, 3, &mut line);
    let line = pretty(str::from_utf8(&line).expect("ASCII"));
    let (head, rest) = FORMAT_MD.split_once("```json\n").expect("an example");
    let (example, tail) = rest.split_once("\n```").expect("its end");
    if std::env::var_os("GOLDEN_UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/alert-format.md");
        std::fs::write(path, format!("{head}```json\n{line}\n```{tail}")).expect("a file to write");
        return;
    }
    assert_eq!(example, line, "docs/alert-format.md is stale: see this test's comment");
}
