//! Tables of the user's own and `fluxtap intel`, through the real program.

mod support;

use mmdb_writer::ipnet::IpNet;
use mmdb_writer::{Value as Field, Writer};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use support::{Run, number, text};

/// What was printed, as JSON objects, one a line.
fn objects(run: &Run) -> Vec<Value> {
    assert_eq!(run.status, 0, "{}", run.stderr);
    let lines = str::from_utf8(&run.stdout).expect("ASCII").lines();
    lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn lookup(table: &Path, subjects: &[&str]) -> (Run, Vec<Value>) {
    let flags = ["intel", "lookup", "--json", "--asn-table"].map(OsStr::new);
    let subjects = subjects.iter().map(OsStr::new);
    let run = support::run(flags.into_iter().chain([table.as_os_str()]).chain(subjects));
    let objects = objects(&run);
    (run, objects)
}

fn mmdb(rows: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut writer = Writer::new("GeoLite2-ASN");
    for (network, asn, name) in rows {
        let network: IpNet = network.parse().expect("a network");
        let record = Field::map([
            ("autonomous_system_number", Field::from(*asn)),
            ("autonomous_system_organization", Field::from(*name)),
        ]);
        writer.insert_value(network, record).expect("a good row");
    }
    writer.to_bytes().expect("a database")
}

#[test]
fn a_users_mmdb_gives_the_asn() {
    let folder = support::folder();
    let rows = [("8.8.8.0/24", 100, "MINE"), ("2001:4860::/32", 200, "MINE-6")];
    let path = support::write(&folder, "mine.mmdb", &mmdb(&rows));
    let (run, found) = lookup(&path, &["8.8.8.8", "2001:4860:4860::8888", "1.1.1.1", "10.0.0.1"]);
    assert_eq!(run.stderr, "");
    let asns: Vec<Option<u64>> = found.iter().map(|object| object["asn"].as_u64()).collect();
    assert_eq!(asns, [Some(100), Some(200), None, None]);
    assert_eq!(found[0]["org"], "MINE");
    assert_eq!(found[0]["country"], "US", "the embedded table tells countries");
    assert_eq!(found[0]["range"], serde_json::json!(["8.8.8.0", "8.8.8.255"]));
    assert_eq!(found[3]["is_special_use"], true);

    let shown = support::run([
        OsStr::new("intel"),
        "--json".as_ref(),
        "--asn-table".as_ref(),
        path.as_ref(),
    ]);
    let table = &objects(&shown)[0]["address_table"];
    assert_eq!(
        (&table["origin"], &table["owners"]["format"]),
        (&"user".into(), &"MaxMind DB GeoLite2-ASN".into())
    );
    assert_eq!(table["owners"]["age_days"], 0);
    assert_eq!(table["countries"]["from"], "embedded");
}

/// Alerts tell the owners of the user's table, and the day of its data.
#[test]
fn alerts_rest_on_the_users_table() {
    let folder = support::folder();
    let lines =
        "# date: 2026-11-01\n0.0.0.0,255.255.255.255,64999999,All of it\n::/0,64999999,All\n";
    let lines = lines.replace("::/0,", "::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,");
    let path = support::write(&folder, "all.csv", lines.as_bytes());
    let demo = support::demo();
    let args = ["--quiet".as_ref(), "--asn-table".as_ref(), path.as_os_str(), demo.as_ref()];
    let (run, stats) = support::replay(args);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert_eq!(stats["address_table_date"], "2026-11-01");
    let (embedded, _) = support::replay(["--quiet".as_ref(), demo.as_os_str()]);
    assert!(embedded.alerts().len() > run.alerts().len(), "one owner of all is no diversity");
    for alert in run.alerts() {
        assert_eq!(alert["fluxtap"]["quality"]["address_table"], "2026-11-01");
        for address in alert["fluxtap"]["addresses"].as_array().into_iter().flatten() {
            assert_eq!(address["asn"], 64_999_999);
        }
    }
}

/// With what must be said besides the file's name, and the status; nothing else may have happened.
#[test]
fn a_bad_table_starts_nothing() {
    let good = mmdb(&[("8.8.8.0/24", 100, "MINE")]);
    let rows: [(&str, &[u8], &[&str]); 7] = [
        ("empty.csv", b"", &["got 0 bytes", "download it again"]),
        ("cut.mmdb", &good[..good.len() / 2], &["binary data without the end mark", "cut off"]),
        ("short.mmdb", &good[100..], &["damaged or cut off", "download it again"]),
        (
            "cut.tsv",
            b"1.0.0.0\t1.0.0.255\t13335\tUS\tA\n1.0.1.0\t1.0.",
            &["line 2: got 2 columns", "cut off here"],
        ),
        ("down.csv", b"1.0.0.255,1.0.0.0,13335,A\n", &["line 1: got a range down"]),
        ("asn.csv", b"network,asn\n1.0.0.0/24,AS-X\n", &["line 2: got the ASN 'AS-X'"]),
        (
            "country.csv",
            b"1.0.0.0/24,AU\n",
            &["without autonomous system numbers", "as the country table"],
        ),
    ];
    let folder = support::folder();
    let stats = folder.path().join("stats.json");
    let demo = support::demo();
    for (name, bytes, parts) in rows {
        let path = support::write(&folder, name, bytes);
        let run = support::run([
            "replay".as_ref(),
            "--stats".as_ref(),
            stats.as_os_str(),
            "--asn-table".as_ref(),
            path.as_os_str(),
            demo.as_os_str(),
        ]);
        assert_eq!((run.status, run.stdout.len()), (78, 0), "{name}: {}", run.stderr);
        assert!(!stats.exists(), "{name}: counters of a run that was none");
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        run.assert_said(&["fluxtap: error: --asn-table: ", path.to_str().expect("a plain path")]);
        run.assert_said(parts);
    }
    let nowhere = folder.path().join("none.mmdb");
    for (status, args) in [
        (66, &["replay", "--asn-table", "FILE", "x.pcap"][..]),
        (66, &["intel", "--asn-table", "FILE"]),
        (66, &["intel", "lookup", "--country-table", "FILE", "8.8.8.8"]),
        (66, &["run", "-i", "lo", "--asn-table", "FILE"]),
        (2, &["replay", "--asn-table", "none", "--country-table", "FILE", "x.pcap"]),
    ] {
        let args =
            args.iter().map(|arg| if *arg == "FILE" { nowhere.as_os_str() } else { arg.as_ref() });
        let run = support::run(args);
        assert_eq!((run.status, run.stdout.len()), (status, 0), "{}", run.stderr);
        run.assert_said(&["-table: ", nowhere.to_str().expect("a plain path")]);
    }
}

#[test]
fn what_is_old_or_overlaps_or_lacks_a_family_is_said_once_and_not_in_alerts() {
    let folder = support::folder();
    let csv = b"# date: 2020-01-01\n1.0.0.0/8,100,A\n1.2.0.0/16,200,B\n";
    let path = support::write(&folder, "old.csv", csv);
    let demo = support::demo();
    let args = ["--quiet".as_ref(), "--asn-table".as_ref(), path.as_os_str(), demo.as_ref()];
    let (run, _) = support::replay(args);
    assert_eq!((run.status, run.stderr.lines().count()), (0, 3), "{}", run.stderr);
    run.assert_said(&[
        "old.csv is of 2020-01-01",
        "days old",
        "1 row overlapping others (the narrowest counts): line 3 over line 2",
        "got no IPv6 ranges",
    ]);
    let shown = support::run([OsStr::new("intel"), "--asn-table".as_ref(), path.as_ref()]);
    assert!(str::from_utf8(&shown.stdout).expect("text").contains("older than a year"));
}

/// Names in a table are chosen by others.
#[test]
fn hostile_names_reach_no_terminal() {
    let folder = support::folder();
    let csv = "8.8.8.0/24,100,\"\u{202e}gnp\u{1b}[2J\u{9b}31m\"\n::/3,1,x\n";
    let csv = csv.replace("::/3,1,x\n", "2000::/3,200,x\n");
    let path = support::write(&folder, "evil\x1b[2J.csv", csv.as_bytes());
    for args in [
        &["intel", "lookup", "--asn-table", "FILE", "8.8.8.8"][..],
        &["intel", "lookup", "--json", "--asn-table", "FILE", "8.8.8.8"],
        &["intel", "--asn-table", "FILE"],
        &["intel", "--json", "--asn-table", "FILE"],
        &["replay", "--asn-table", "FILE", "/no/such\u{202e}.pcap"],
        &["intel", "lookup", "\u{202e}\x1b[2J"],
    ] {
        let args =
            args.iter().map(|arg| if *arg == "FILE" { path.as_os_str() } else { arg.as_ref() });
        let run = support::run(args);
        let said = String::from_utf8(run.stdout).expect("text") + &run.stderr;
        let is_hostile = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.is_empty() && !said.contains(is_hostile), "{said:?}");
    }
}

#[test]
fn a_built_table_says_what_its_files_say() {
    let folder = support::folder();
    let asn = support::write(&folder, "asn.mmdb", &mmdb(&[("8.8.8.0/24", 100, "MINE")]));
    let v6 = support::write(&folder, "asn6.csv", b"2001:4860::/32,200,SIX\n");
    let country = support::write(&folder, "cc.csv", b"8.8.8.0/24,FR\n2001:4860::/32,JP\n");
    let out = folder.path().join("mine.fxtb");
    let build = |out: &Path, asn: &Path| {
        support::run([
            "intel".as_ref(),
            "build".as_ref(),
            "--asn".as_ref(),
            asn.as_os_str(),
            "--asn".as_ref(),
            v6.as_os_str(),
            "--country".as_ref(),
            country.as_os_str(),
            "--date".as_ref(),
            "2026-11-01".as_ref(),
            "--out".as_ref(),
            out.as_os_str(),
        ])
    };
    let run = build(&out, &asn);
    assert_eq!((run.status, run.stdout.len()), (0, 0), "{}", run.stderr);
    run.assert_said(&["read ", "MaxMind DB GeoLite2-ASN, 1 ranges", "wrote ", "of 2026-11-01"]);
    let (_, found) = lookup(&out, &["8.8.8.8", "2001:4860::1", "1.1.1.1"]);
    let facts: Vec<(Option<u64>, Option<&str>)> =
        found.iter().map(|object| (object["asn"].as_u64(), object["country"].as_str())).collect();
    assert_eq!(facts, [(Some(100), Some("FR")), (Some(200), Some("JP")), (None, None)]);
    let first = fs::read(&out).expect("a table");
    assert_eq!(build(&out, &asn).status, 0, "over one that was built before");
    assert!(fs::read(&out).expect("a table") == first, "the same files give the same bytes");

    let capture = support::write(&folder, "a.pcap", &support::quiet_capture(1_000, 3));
    let before = fs::read(&capture).expect("a capture");
    let run = build(&capture, &asn);
    assert_eq!(run.status, 2, "{}", run.stderr);
    run.assert_said(&["--out: got ", "holds something else than a table"]);
    assert!(fs::read(&capture).expect("a capture") == before);
    assert_eq!(build(&out, &folder.path().join("none")).status, 66);
    assert_eq!(build(&out, &country).status, 65);
    assert!(fs::read(&out).expect("a table") == first, "a failed build leaves the old table");
    let run = build(Path::new("/no/such/folder/x"), &asn);
    assert_eq!(run.status, 1, "{}", run.stderr);
}

#[test]
fn what_is_in_force_is_shown() {
    let run = support::run(["intel"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let page = String::from_utf8(run.stdout).expect("text");
    for part in [
        "address table    embedded: ",
        "ip-location-db",
        "days old",
        "public suffixes  psl ",
        "curated zones ",
        "ASN classes ",
    ] {
        assert!(page.contains(part), "{page}");
    }
    let shown = &objects(&support::run(["intel", "--json"]))[0];
    let (_, stats) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);
    assert_eq!(shown["address_table"]["date"], stats["address_table_date"]);
    assert!(number(&shown["curated_zones"]["entries"]) > 50, "{shown}");
    assert!(number(&shown["asn_classes"]["entries"]["cdn"]) > 10, "{shown}");
    let none = objects(&support::run(["intel", "--json", "--asn-table", "none"]));
    assert_eq!(none[0]["address_table"], Value::Null);
}

#[test]
fn addresses_and_names_are_looked_up() {
    let run = support::run([
        "intel",
        "lookup",
        "--json",
        "8.8.8.8",
        "WWW.Example.co.uk.",
        "x.cloudfront.net",
        "com",
    ]);
    let found = objects(&run);
    assert_eq!((&found[0]["asn"], &found[0]["is_hyperscaler"]), (&15_169.into(), &true.into()));
    assert_eq!(found[1]["registrable_domain"], "example.co.uk");
    assert_eq!(found[1]["public_suffix"], "co.uk");
    assert_eq!(found[2]["curated_zone"]["zone"], "cloudfront.net");
    assert!(!text(&found[2]["curated_zone"]["reason"]).is_empty());
    assert_eq!(found[3]["registrable_domain"], Value::Null);
    let run = support::run(["intel", "lookup", "8.8.8.8", "no name"]);
    assert_eq!(run.status, 0, "a blank is a byte of a label like others: {}", run.stderr);
    let run = support::run(["intel", "lookup", "8.8.8.8", "a..b"]);
    assert_eq!((run.status, run.stdout.len()), (2, 0), "{}", run.stderr);
    run.assert_said(&["got 'a..b', expected an address or a name"]);
}

#[test]
fn coverage_counts_the_addresses_of_captures() {
    let demo = support::demo();
    let run =
        support::run(["intel".as_ref(), "coverage".as_ref(), "--json".as_ref(), demo.as_os_str()]);
    let found = &objects(&run)[0];
    let of = |key: &str| number(&found[key]);
    assert!(of("with_owner") > 0 && of("with_owner") < of("addresses"), "{found}");
    assert!(of("addresses") < of("answers"), "{found}");
    let families = ["ipv4", "ipv6"].map(|key| number(&found[key]["addresses"]));
    assert_eq!(families[0] + families[1], of("addresses"));
    let run = support::run(["intel", "coverage", "--asn-table", "none", "/no/such.pcap"]);
    assert_eq!(run.status, 66, "{}", run.stderr);
}
