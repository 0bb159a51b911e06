//! Threat lists through the real program: a list in each format, what its hits look like in alerts,
//! and what becomes of lists that are none.

mod support;

use serde_json::{Value, json};
use std::ffi::OsStr;
use std::path::Path;
use support::{Run, text};
use tempfile::TempDir;

/// A domain of the demonstration that fluxes, and hosts of others that do not.
const FLUXING: &str = "invoice-portal.test";

/// The same entry in every format: file name, format, content, and when it says it was made.
const FORMATS: [(&str, &str, &str, Option<&str>); 6] = [
    (
        "list.txt",
        "plain",
        "# Last updated: 2026-02-01\nhxxp://invoice-portal[.]test/login\n",
        Some("2026-02-01T00:00:00.000Z"),
    ),
    ("list.csv", "csv", "id,domain,expires\n1,invoice-portal.test,2030-01-01\n", None),
    ("hosts", "hosts", "127.0.0.1 localhost\n0.0.0.0 invoice-portal.test\n", None),
    (
        "rpz.zone",
        "rpz",
        "$TTL 60\n@ SOA a. b. 2026020107 1 2 3 4\ninvoice-portal.test CNAME .\n",
        Some("2026-02-01T00:00:00.000Z"),
    ),
    (
        "misp.json",
        "misp",
        r#"{"Event": {"timestamp": "1769904000", "Attribute": [
            {"type": "domain", "value": "invoice-portal.test", "to_ids": true}]}}"#,
        Some("2026-02-01T00:00:00.000Z"),
    ),
    (
        "stix.json",
        "stix",
        r#"{"type": "bundle", "objects": [{"type": "indicator", "pattern_type": "stix",
            "pattern": "[domain-name:value = 'invoice-portal.test']",
            "modified": "2026-02-01T00:00:00Z", "valid_until": "2030-01-01T00:00:00Z"}]}"#,
        Some("2026-02-01T00:00:00.000Z"),
    ),
];

/// The demonstration with lists, each `NAME FILE [OPTION…]`.
fn replay(lists: &str, more: &[&str]) -> Run {
    let demo = support::workspace().join("pcaps/demo/demo.pcap");
    let flags = ["replay", "--threat-lists", lists];
    let flags = flags.iter().chain(more).map(OsStr::new);
    support::run(flags.chain([demo.as_os_str()]))
}

fn list(folder: &TempDir, name: &str, content: &str, options: &str) -> String {
    let path = support::write(folder, name, content.as_bytes());
    format!("mine {} {options}", path.display())
}

fn of_domain<'a>(alerts: &'a [Value], domain: &str) -> Vec<&'a Value> {
    let is_of = |a: &&Value| a["dns"]["question"]["registered_domain"] == domain;
    alerts.iter().filter(is_of).collect()
}

#[test]
fn a_hit_from_every_format_is_told_by_itself_and_with_the_flux() {
    let plain = replay("", &["--quiet"]).alerts();
    let plain_score = &of_domain(&plain, FLUXING)[0]["fluxtap"]["flux"]["score"];
    for (name, format, content, made) in FORMATS {
        let folder = support::folder();
        let spec = list(&folder, name, content, "category=phishing source=example alert=true");
        let run = replay(&spec, &["--stats", "-"]);
        assert_eq!(run.status, 0, "{name}: {}", run.stderr);
        let alerts = run.alerts();
        assert_eq!(alerts.len(), plain.len() + 1, "{name}");
        let hit = json!({
            "indicator": {
                "type": "domain-name",
                "name": FLUXING,
                "provider": "example",
                "description": "phishing",
                "modified_at": made,
            },
            "matched": {
                "atomic": FLUXING,
                "field": "dns.question.registered_domain",
                "index": "mine",
                "type": "indicator_match_rule",
            },
        });
        let lines = of_domain(&alerts, FLUXING);
        let matched = lines[0];
        assert_eq!(matched["event"]["action"], "intel-match", "{name}");
        assert_eq!(matched["fluxtap"]["flux"]["kind"], "intel_match");
        assert_eq!(matched["rule"]["id"], "fluxtap-intel-match");
        assert_eq!(
            (&matched["event"]["severity"], &matched["threat"]["technique"]),
            (&json!(1), &Value::Null)
        );
        assert_eq!(matched["threat"]["enrichments"], json!([hit]), "{name}");
        assert!(!matched["dns"]["resolved_ip"].as_array().expect("a list").is_empty());
        // The flux of the same domain says so, too, and is worth three points more.
        let flux = lines[1];
        assert_eq!(
            (&flux["event"]["action"], &flux["fluxtap"]["flux"]["kind"]),
            (&json!("flux-new"), &json!("single_flux"))
        );
        assert_eq!(flux["threat"]["enrichments"], json!([hit]), "{name}");
        assert_eq!(flux["fluxtap"]["evidence"]["intel"], json!({ "matched": 1, "listed": 1 }));
        let score = |value: &Value| value.as_f64().expect("a number");
        let gained = score(&flux["fluxtap"]["flux"]["score"]) - score(plain_score);
        assert!((gained - 3.0).abs() < 1e-9, "{name}: {gained}");
        let terms = flux["fluxtap"]["terms"].as_array().expect("terms");
        assert!(terms.iter().any(|term| term["id"] == "F13" && term["points"] == 3.0));
        let stats: Value = run
            .stderr
            .lines()
            .find_map(|line| serde_json::from_str(line).ok())
            .expect("the counters");
        let of_list = &stats["threat_lists"]["by_list"][0];
        assert_eq!((&of_list["format"], &of_list["entries"]), (&json!(format), &json!(1)));
        assert_eq!(of_list["lines"], lines.len());
        assert_eq!(stats["threat_lists"]["matches"], 1);
        run.assert_said(&["1 entry of 1 threat list; lines with a hit: mine "]);
    }
}

#[test]
fn addresses_networks_and_systems_are_told_with_what_they_are() {
    let plain = replay("", &["--quiet"]).alerts();
    let line = of_domain(&plain, FLUXING)[0];
    let rows = line["fluxtap"]["evidence"]["addresses"].as_array().expect("addresses");
    let row = rows.iter().find(|row| row["asn"].is_number()).expect("an owner");
    let (ip, asn) = (text(&row["ip"]), row["asn"].as_u64().expect("a number"));
    let folder = support::folder();
    let content = format!("{ip}\nAS{asn}\n");
    let run = replay(&list(&folder, "list.txt", &content, ""), &["--quiet"]);
    let alerts = run.alerts();
    let line = of_domain(&alerts, FLUXING)[0];
    let hits = line["threat"]["enrichments"].as_array().expect("hits");
    let found = |kind: &str| {
        let hit = hits.iter().find(|hit| hit["indicator"]["type"] == kind);
        hit.map(|hit| (text(&hit["indicator"]["name"]), text(&hit["matched"]["atomic"])))
    };
    assert_eq!(found("ipv4-addr"), Some((ip.clone(), ip)));
    assert_eq!(found("autonomous-system"), Some((format!("AS{asn}"), asn.to_string())));
    assert!(alerts.iter().all(|a| a["event"]["action"] != "intel-match"), "nobody asked for it");
    assert_eq!(line["fluxtap"]["advisory"][0], "D1");
}

#[test]
fn lists_end_by_the_time_of_the_packets() {
    // The demonstration is of March 2026.
    let lines = |content: &str, options: &str| {
        let folder = support::folder();
        let run = replay(&list(&folder, "list.txt", content, options), &["--quiet"]);
        let alerts = run.alerts();
        alerts.iter().filter(|a| a["threat"].get("enrichments").is_some()).count()
    };
    let entry = "# updated 2026-02-20\ninvoice-portal.test\n";
    assert!(lines(entry, "") > 0);
    assert!(lines(entry, "expires=2026-03-02") > 0);
    assert_eq!(lines(entry, "expires=2026-03-01"), 0);
    assert!(lines(entry, "max_age=30d") > 0);
    assert_eq!(lines(entry, "max_age=2d"), 0);
    assert_eq!(lines("invoice-portal.test expires=2026-03-01\n", ""), 0);
}

#[test]
fn lists_are_checked_before_anything_starts() {
    let folder = support::folder();
    let good = list(&folder, "good.txt", "evil.example\nwhat is that\nco.uk\n", "category=c2");
    let check = |lists: &str| {
        let config = format!("[threat]\nlists = [{lists}]\n");
        let path = support::write(&folder, "fluxtap.toml", config.as_bytes());
        support::run(["check-config".as_ref(), "--config".as_ref(), path.as_os_str()])
    };
    let run = check(&format!("\"{good}\""));
    assert_eq!(run.status, 0, "{}", run.stderr);
    let stdout = str::from_utf8(&run.stdout).expect("text");
    assert!(stdout.contains("good.txt: 1 entry of the threat list mine (c2, plain)"), "{stdout}");
    run.assert_said(&["1 entry taken, and left out once no domain", "line 2 'what is that'"]);

    let html = support::write(&folder, "404.txt", b"<html>\n<h1>404</h1>\n</html>\n");
    let packed = support::write(&folder, "list.gz", b"\x1f\x8b\x08\x00");
    let empty = support::write(&folder, "empty.txt", b"");
    let quoted =
        |name: &str, path: &Path, more: &str| format!("\"{name} {}{more}\"", path.display());
    let all = [
        quoted("html", &html, ""),
        quoted("packed", &packed, ""),
        quoted("empty", &empty, ""),
        quoted("typo", &empty, " categry=x"),
        quoted("gone", Path::new("/nonexistent/list"), ""),
        quoted("gone", &html, ""),
    ];
    let run = check(&all.join(", "));
    assert_eq!(run.status, 78, "{}", run.stderr);
    run.assert_said(&[
        "threat list html: ",
        "got 0 entries and 3 lines or objects of no use, read as plain",
        "threat list packed: ",
        "got gzip data, expected it unpacked; run `gzip -d` on it first",
        "threat list empty: ",
        "a download that failed leaves such a file",
        "got the option 'categry', expected format, category,",
        "did you mean 'category'?",
        "threat list gone: /nonexistent/list: cannot read it: No such file",
        "got two lists 'gone'",
    ]);
    assert_eq!(check(&quoted("gone", Path::new("/nonexistent/list"), "")).status, 66);
}

#[test]
fn lookup_and_explain_tell_hits() {
    let folder = support::folder();
    let content = "invoice-portal.test\n198.18.0.0/15\nAS15169 expires=2100-01-01\n";
    let spec = list(&folder, "list.txt", content, "category=c2");
    let lookup = |more: &[&str]| {
        let flags = ["intel", "lookup", "--threat-lists", &spec];
        let run = support::run(flags.iter().chain(more).map(OsStr::new));
        assert_eq!(run.status, 0, "{}", run.stderr);
        String::from_utf8(run.stdout).expect("text")
    };
    let told = lookup(&["www.invoice-portal.test", "8.8.8.8", "good.example"]);
    for part in [
        "  threat lists         mine (c2): invoice-portal.test\n",
        "  threat lists         mine (c2): AS15169, until 2100-01-02 00:00:00Z\n",
        "  threat lists         on none of 1\n",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let object: Value = serde_json::from_str(&lookup(&["--json", "198.18.7.9"])).expect("JSON");
    assert_eq!(object["threat_lists"][0]["indicator"], "198.18.0.0/15");
    assert_eq!(object["threat_lists"][0]["list"], "mine");

    let demo = support::workspace().join("pcaps/demo/demo.pcap");
    let explain = |more: &[&str]| {
        let flags = ["explain", "--quiet", "--threat-lists", &spec];
        let flags = flags.iter().chain(more);
        let run = support::run(flags.map(OsStr::new).chain([FLUXING.as_ref(), demo.as_os_str()]));
        assert_eq!(run.status, 0, "{}", run.stderr);
        String::from_utf8(run.stdout).expect("text")
    };
    let told = explain(&[]);
    assert!(
        told.contains("  threat lists:\n    the domain on mine (c2) by invoice-portal.test\n"),
        "{told}"
    );
    assert!(told.contains("    F13 intelligence                2         0   +3.0\n"), "{told}");
    let object: Value = serde_json::from_str(&explain(&["--json"])).expect("JSON");
    let hit = &object["history"]["threats"][0];
    assert_eq!(
        (&hit["matched"]["atomic"], &hit["matched"]["index"]),
        (&json!(FLUXING), &json!("mine"))
    );
}
