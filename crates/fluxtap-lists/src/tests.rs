//! Files of every format, good ones and bad ones, and what comes of them.

use super::*;
use fluxtap_intel::{ThreatList, ThreatLists};
use std::fmt::Write as _;

/// What a file comes to: the content, and the lists with it alone.
fn read_as(
    text: &[u8],
    format: Option<Format>,
    column: Option<&str>,
) -> Result<(Content, ThreatLists), ListError> {
    let mut draft = ThreatDraft::default();
    let content = read(text, format, column, &mut draft)?;
    draft.add(ThreatList {
        name: "list".into(),
        source: "somebody".into(),
        category: "malware".into(),
        format: content.format.as_str(),
        made_s: content.made_s,
        until_s: None,
        is_alerting: false,
        entries: content.entries,
    });
    Ok((content, draft.finish()))
}

fn good(text: &str) -> (Content, ThreatLists) {
    read_as(text.as_bytes(), None, None).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn said(text: &[u8]) -> String {
    read_as(text, None, None).map(|(content, _)| content).expect_err("refused").to_string()
}

/// Which of these are listed, names and addresses.
fn listed<'a>(lists: &ThreatLists, of: &[&'a str]) -> Vec<&'a str> {
    let is_listed = |text: &&&str| match text.parse() {
        Ok(ip) => !lists.address(ip, 0, 0).is_empty(),
        Err(_) => {
            let mut wire = Vec::new();
            for label in text.split('.') {
                wire.push(label.len() as u8);
                wire.extend_from_slice(label.as_bytes());
            }
            wire.push(0);
            !lists.name(&wire, 0).is_empty()
        }
    };
    of.iter().filter(is_listed).copied().collect()
}

const DAY_S: u64 = 20_779 * 86_400;

#[test]
fn plain_lists() {
    let (content, lists) = good(
        "\u{feff}# Last updated: 2026-11-22\r\n\
         ; another mark\r\n\
         evil.example\r\n\
         198.51.100.0/24 ; SBL1\r\n\
         http://login.phish.example/a expires=2026-12-31\r\n\
         AS64500\r\n\
         \r\n\
         co.uk\r\n\
         what is that\r\n",
    );
    assert_eq!((content.format, content.entries), (Format::Plain, 4));
    assert_eq!(content.made_s, Some(DAY_S));
    assert_eq!(
        content.skipped.to_string(),
        "once no domain, address, network, AS number or URL, once a public suffix, which would \
         cover everybody's names below it: line 9 'what is that'"
    );
    let asked = ["www.evil.example", "198.51.100.7", "login.phish.example", "phish.example"];
    assert_eq!(listed(&lists, &asked), asked[..3]);
    let until_s = |at_s| lists.name(b"\x05login\x05phish\x07example\0", at_s).len();
    assert_eq!((until_s(DAY_S + 39 * 86_400), until_s(DAY_S + 40 * 86_400)), (1, 0));
    assert_eq!(lists.address("192.0.2.1".parse().expect("an address"), 64_500, 0).len(), 1);
}

#[test]
fn hosts_files() {
    let (content, lists) = good(
        "127.0.0.1 localhost localhost.localdomain\n\
         ::1 ip6-localhost ip6-loopback # own\n\
         0.0.0.0 evil.example www.bad.example # two\n\
         not an address\n",
    );
    assert_eq!((content.format, content.entries, content.skipped.total()), (Format::Hosts, 2, 1));
    let asked = ["evil.example", "www.bad.example", "www.evil.example", "127.0.0.1"];
    assert_eq!(listed(&lists, &asked), asked[..2], "such a file lists the very names");
}

#[test]
fn csv_files() {
    // As abuse.ch writes them: the names of the columns in a comment, blanks before quotes.
    let (content, lists) = good(
        "################\n\
         # Last updated: 2026-11-22 13:00:00 (UTC), all times UTC #\n\
         # id,dateadded,url,url_status\n\
         \"1\", \"2026-11-22\", \"http://198.51.100.7:8080/a,b\", \"online\"\n\
         \"2\", \"2026-11-22\", \"https://evil.example/x\", \"online\"\n",
    );
    assert_eq!((content.format, content.entries), (Format::Csv, 2), "{content:?}");
    assert_eq!(content.made_s, Some(DAY_S + 46_800));
    assert_eq!(listed(&lists, &["evil.example"]), ["evil.example"]);

    let (content, lists) =
        good("id;Domain-Name;expires\n1;\"evil.example\";2026-11-22\n2;bad.example;\n3;x y;\n");
    assert_eq!((content.format, content.entries, content.skipped.total()), (Format::Csv, 2, 1));
    assert_eq!(lists.name(b"\x04evil\x07example\0", DAY_S + 86_399).len(), 1);
    assert_eq!(lists.name(b"\x04evil\x07example\0", DAY_S + 86_400).len(), 0);
    assert_eq!(lists.name(b"\x03bad\x07example\0", DAY_S + 86_400).len(), 1);

    let (content, lists) = good("asn\tname\n64500\tSomebody\n");
    assert_eq!((content.format, content.entries), (Format::Csv, 1));
    assert_eq!(lists.address("192.0.2.1".parse().expect("an address"), 64_500, 0).len(), 1);

    // A comment with commas names no columns.
    assert_eq!(good("# domain, updated daily\nevil.example\n").0.format, Format::Plain);
    // Without names the first field that can be one is, if somebody says what the file is.
    let (content, _) =
        read_as(b"1,evil.example,x\n2,bad.example,y\n", Some(Format::Csv), None).expect("CSV");
    assert_eq!((content.entries, content.skipped.total()), (2, 0));
    let (content, _) =
        read_as(b"c2,victim\nevil.example,good.example\n", None, Some("C2")).expect("CSV");
    assert_eq!(content.entries, 1);
    let error = read_as(b"a,b\n1,2\n", None, Some("c")).expect_err("no such column");
    assert!(error.to_string().contains("no line names a column 'c'"), "{error}");
}

#[test]
fn policy_zones() {
    let (content, lists) = good(
        "$TTL 300\n\
         @ IN SOA localhost. root.localhost. (\n\
         \t2026112201 ; serial\n\
         \t3600 600 86400 300 )\n\
         \tIN NS localhost.\n\
         evil.example 60 IN CNAME .\n\
         *.evil.example CNAME .\n\
         \tTXT \"a (text; in quotes\"\n\
         ok.evil.example CNAME rpz-passthru.\n\
         garden.example CNAME walled.garden.example.\n\
         local.example A 192.0.2.1\n\
         24.0.100.51.198.rpz-ip CNAME .\n\
         48.zz.1.db8.2001.rpz-ip CNAME *.\n\
         ns.bad.example.rpz-nsdname CNAME .\n\
         32.7.2.0.192.rpz-nsip CNAME .\n\
         32.9.9.9.9.rpz-client-ip CNAME .\n\
         99.0.0.0.0.rpz-ip CNAME .\n\
         $INCLUDE other.zone\n",
    );
    assert_eq!((content.format, content.made_s), (Format::Rpz, Some(DAY_S)));
    assert_eq!(
        content.skipped.by_reason().map(|(_, count)| count).collect::<Vec<_>>(),
        [1, 1, 2],
        "{}",
        content.skipped
    );
    let asked = [
        "evil.example",
        "a.evil.example",
        "garden.example",
        "local.example",
        "198.51.100.200",
        "2001:db8:1:ffff::1",
        "ns.bad.example",
        "192.0.2.7",
        "www.garden.example",
        "bad.example",
        "9.9.9.9",
        "walled.garden.example",
    ];
    assert_eq!(listed(&lists, &asked), asked[..8]);

    // Names of the zone written out, by an origin or by its SOA.
    for zone in [
        "$ORIGIN rpz.example.net.\n@ SOA a. b. 1 2 3 4 5\nevil.example CNAME .\n\
         bad.example.rpz.example.net. CNAME .\n",
        "rpz.example.net. 60 IN SOA a. b. 1 2 3 4 5\n\
         evil.example.rpz.example.net. 60 IN CNAME .\n\
         bad.example.RPZ.example.net. 60 IN CNAME .\n",
    ] {
        let (content, lists) = good(zone);
        assert_eq!((content.entries, content.made_s), (2, None), "{zone}");
        assert_eq!(listed(&lists, &["evil.example", "bad.example"]).len(), 2, "{zone}");
    }
    // A zone may be empty.
    assert_eq!(good("$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.\n").0.entries, 0);
}

const MISP: &str = r#"{"response": [{"Event": {
    "id": "7", "info": "a campaign", "timestamp": "1795305600",
    "Orgc": {"name": "somebody", "value": "x"},
    "Attribute": [
        {"type": "domain", "value": "evil.example", "to_ids": true, "timestamp": "1"},
        {"type": "hostname", "value": "c2.shared.example", "to_ids": "1"},
        {"type": "domain", "value": "context.example", "to_ids": false},
        {"type": "domain", "value": "gone.example", "to_ids": true, "deleted": true},
        {"type": "md5", "value": "d41d8cd98f00b204e9800998ecf8427e", "to_ids": true},
        {"value": "2001:db8::7", "to_ids": true, "type": "ip-dst", "Tag": [{"name": "x"}]},
        {"type": "AS", "value": "AS64500", "to_ids": true}
    ],
    "Object": [{"name": "domain-ip", "Attribute": [
        {"type": "domain|ip", "value": "pair.example|198.51.100.7", "to_ids": true},
        {"type": "ip-dst|port", "value": "198.51.100.8|443", "to_ids": true},
        {"type": "url", "value": "https://phish.example/a?b=|", "to_ids": true}
    ]}],
    "RelatedEvent": [{"Event": {"Attribute": [
        {"type": "domain", "value": "other.example", "to_ids": true}]}}]
}}]}"#;

#[test]
fn misp_events() {
    let (content, lists) = good(MISP);
    assert_eq!((content.format, content.entries), (Format::Misp, 8), "{content:?}");
    assert_eq!(content.made_s, Some(1_795_305_600));
    let asked = [
        "www.evil.example",
        "c2.shared.example",
        "2001:db8::7",
        "pair.example",
        "198.51.100.7",
        "198.51.100.8",
        "phish.example",
        "context.example",
        "gone.example",
        "other.example",
        "www.phish.example",
    ];
    assert_eq!(listed(&lists, &asked), asked[..7]);
    // What its server answers to a search for attributes.
    let (content, _) = good(
        r#"{"response": {"Attribute": [{"type": "domain", "value": "a.example", "to_ids": 1}]}}"#,
    );
    assert_eq!((content.format, content.entries), (Format::Misp, 1));
    assert_eq!(good(r#"{"Event": {"Attribute": []}}"#).0.entries, 0, "an event may be empty");
}

#[test]
fn stix_bundles() {
    let indicator = |more: &str, pattern: &str| {
        format!(
            r#"{{"type": "indicator", "spec_version": "2.1", "pattern_type": "stix",
                "modified": "2026-11-22T13:00:00.000Z", "pattern": "{pattern}"{more}}}"#
        )
    };
    let text = format!(
        r#"{{"type": "bundle", "id": "bundle--1", "objects": [
            {{"type": "identity", "name": "somebody"}}, {}, {}, {}, {}, {},
            {{"type": "domain-name", "value": "seen.example"}}]}}"#,
        indicator("", "[domain-name:value = 'evil.example']"),
        indicator(
            r#", "valid_until": "2026-11-23T00:00:00Z""#,
            "[domain-name:value = 'a.example']"
        ),
        indicator(r#", "revoked": true"#, "[domain-name:value = 'b.example']"),
        indicator("", "[file:size = 1]"),
        indicator("", "[ipv4-addr:value IN ('198.51.100.7', '198.51.100.8')]"),
    );
    let (content, lists) = good(&text);
    assert_eq!((content.format, content.entries), (Format::Stix, 4), "{content:?}");
    assert_eq!((content.made_s, content.skipped.total()), (Some(DAY_S + 46_800), 2));
    let asked = ["evil.example", "a.example", "198.51.100.8", "b.example", "seen.example"];
    assert_eq!(listed(&lists, &asked), asked[..3]);
    assert_eq!(lists.name(b"\x01a\x07example\0", DAY_S + 86_400).len(), 0, "it has ended");
    assert_eq!(good(r#"{"more": false, "objects": []}"#).0.format, Format::Stix);
}

#[test]
fn what_is_no_list_is_refused_and_said() {
    for (text, expect) in [
        (&b""[..], "got no entry, read as plain"),
        (b"# a comment\n", "got no entry, read as plain"),
        (b"<html>\n<body>\n404 not found\n</body>\n", "got 0 entries and 4 lines or objects of no"),
        (b"\x1f\x8b\x08\x00", "got gzip data, expected it unpacked; run `gzip -d` on it first"),
        (b"PK\x03\x04....", "got a zip archive"),
        (b"{\"a\": 1}", "neither an Event of MISP nor objects of STIX"),
        (b"{\"Event\": ", "got broken JSON: EOF while parsing"),
        (b"{\"Event\": {}} x", "got broken JSON: trailing characters"),
        (b"[1, 2]", "got broken JSON: invalid type: integer `1`, expected an object"),
        (b"domain,x\n", "got no entry, read as csv"),
        (b"\xff\xfe\x00\n\xff\n\xff\n", "3 times bytes that are no UTF-8"),
    ] {
        let got = said(text);
        assert!(got.contains(expect), "{:?}: {got}", String::from_utf8_lossy(text));
    }
    let deep = format!("{{\"Event\": {}", "{\"Event\":".repeat(10_000));
    assert!(said(deep.as_bytes()).contains("recursion limit exceeded"));
    let deep = format!("{{\"Event\": {}", "[".repeat(10_000));
    assert!(said(deep.as_bytes()).contains("recursion limit exceeded"));
    // Depth that is only passed over takes a byte a level.
    let deep = format!("{{\"x\": {}{}, \"Event\": {{}}}}", "[".repeat(99_999), "]".repeat(99_999));
    assert_eq!(good(&deep).0.entries, 0);
    let long = io::repeat(b'a');
    let error = read(long, None, None, &mut ThreatDraft::default()).expect_err("too long");
    assert!(matches!(error, ListError::TooLong), "{error}");
}

#[test]
fn a_list_with_too_many_entries_is_refused_whole() {
    let text = (0..=ENTRIES_MAX).fold(String::new(), |mut text, i| {
        let _ = writeln!(text, "10.{}.{}.{}", i >> 16 & 255, i >> 8 & 255, i & 255);
        text
    });
    assert!(said(text.as_bytes()).contains("got more than 2000000 entries"));
}

#[test]
fn lists_are_named_by_operators() {
    let spec = Spec::parse(
        "phish /var/lib/phish.csv format=csv category=phishing source=https://phish.example \
         expires=2027-06-30 max_age=7d alert=true column=url",
    )
    .expect("a list");
    assert_eq!((spec.name.as_str(), spec.category.as_str()), ("phish", "phishing"));
    assert_eq!((spec.format, spec.is_alerting), (Some(Format::Csv), true));
    assert_eq!(spec.until_s(Some(DAY_S)), Some(DAY_S + 7 * 86_400));
    assert_eq!(spec.until_s(None), Some((20_999 + 1) * 86_400), "to the end of its last day");
    for (text, expect) in [
        ("phish", "got 'phish', expected a name and a file"),
        ("ph/ish /x", "name: got 'ph/ish', expected 1 to 32 letters"),
        ("a /x format=cvs", "format: got 'cvs', expected plain or csv"),
        ("a /x format=cvs", "did you mean 'csv'?"),
        ("a /x category=", "category: got ''"),
        ("a /x expires=soon", "expires: got 'soon', expected a day"),
        ("a /x max_age=1w", "max_age: got '1w', expected days"),
        ("a /x alert=yes", "alert: got 'yes', expected true or false"),
        ("a /x alerts=true", "got the option 'alerts', expected format, "),
        ("a /x alert=true alert=true", "alert: got it twice"),
        ("a /x column=", "column: got none"),
        ("a /x source=\u{fc}", "source: got"),
    ] {
        let mistakes = Spec::parse(text).expect_err(text);
        assert!(mistakes.iter().any(|said| said.contains(expect)), "{text}: {mistakes:?}");
    }
    assert_eq!(Spec::parse("a /x format=x alert=x y=z").expect_err("three").len(), 3);
}

/// Whatever the bytes, it ends, without a panic.
#[test]
fn damaged_files_are_read_or_refused() {
    let samples = [
        "# id,url,expires\n1,http://evil.example/x,2026-11-22\n2,\"a\"\"b\",\n",
        "$TTL 300\n@ IN SOA a. b. ( 1\n 2 3 4 5 )\n48.zz.1.db8.2001.rpz-ip CNAME .\n",
        "0.0.0.0 evil.example # x\n",
        MISP,
        r#"{"objects": [{"type": "indicator", "pattern": "[url:value = 'http://a.example\\'']"}]}"#,
    ];
    let mut state = 7_u64;
    let mut roll = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..4_000 {
        let mut bytes = samples[roll(samples.len())].as_bytes().to_vec();
        for _ in 0..=roll(4) {
            let at = roll(bytes.len());
            match roll(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = roll(256) as u8,
                2 => bytes.insert(at, b"([{\"'.:;,\n\\ "[roll(12)]),
                _ => drop(bytes.drain(at..(at + 1 + roll(9)).min(bytes.len()))),
            }
            if bytes.is_empty() {
                break;
            }
        }
        for format in std::iter::once(None).chain(Format::ALL.map(Some)) {
            let _ = read_as(&bytes, format, None);
        }
    }
}
