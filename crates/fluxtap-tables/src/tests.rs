//! Whole files: each format gives the right owner, and each bad one its message.

use super::*;
use fluxtap_intel::{AddressClass, Intel};
use mmdb_writer::ipnet::IpNet;
use mmdb_writer::{IpVersion, RecordSize, Value, Writer};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

fn content(bytes: &[u8]) -> Content {
    read(bytes).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(bytes: &[u8]) -> String {
    match read(bytes) {
        Err(error) => error.to_string(),
        Ok(content) => panic!("taken as {}", content.format()),
    }
}

/// A table of these files alone.
fn table(asn: &[&[u8]], country: &[&[u8]]) -> Table {
    table_with(asn, country, None)
}

fn table_with(asn: &[&[u8]], country: &[&[u8]], fallback: Option<&Table>) -> Table {
    let read_all = |files: &[&[u8]]| files.iter().map(|bytes| content(bytes)).collect::<Vec<_>>();
    let (asn, country) = (read_all(asn), read_all(country));
    let classes = ClassList::embedded().expect("a good list");
    let plan = Plan {
        asn: &asn,
        country: &country,
        fallback,
        classes: &classes,
        day: Day::parse("2026-11-22"),
        source: "test",
    };
    make(&plan).expect("a table").table
}

fn owner(table: &Table, ip: &str) -> Owner {
    table.owner(ip.parse().expect("an address"))
}

fn said(table: &Table, ip: &str) -> (u32, String, String) {
    let owner = owner(table, ip);
    let country = owner.country.as_str().unwrap_or("").to_owned();
    (owner.asn, table.name(owner.asn).unwrap_or("").to_owned(), country)
}

/// What GeoLite2 ASN and DB-IP ASN Lite say of a network.
fn asn_record(asn: u32, name: &str) -> Value {
    Value::map([
        ("autonomous_system_number", Value::from(asn)),
        ("autonomous_system_organization", Value::from(name)),
    ])
}

fn mmdb(kind: &str, rows: &[(&str, Value)]) -> Vec<u8> {
    let built = SystemTime::UNIX_EPOCH + Duration::from_secs(1_781_654_400);
    let mut writer = Writer::builder(kind).build_epoch(built).build();
    for (network, value) in rows {
        let network: IpNet = network.parse().expect("a network");
        writer.insert_value(network, value.clone()).expect("a good row");
    }
    writer.to_bytes().expect("a database")
}

fn asn_mmdb() -> Vec<u8> {
    mmdb(
        "GeoLite2-ASN",
        &[
            ("1.0.0.0/24", asn_record(13_335, "CLOUDFLARENET")),
            ("8.8.8.0/24", asn_record(15_169, "GOOGLE")),
            ("80.128.0.0/11", asn_record(3_320, "Deutsche Telekom AG")),
            ("2001:4860::/32", asn_record(15_169, "GOOGLE")),
            ("2003::/19", asn_record(3_320, "Deutsche Telekom AG")),
        ],
    )
}

#[test]
fn a_mmdb_of_a_known_writer_gives_the_right_asn() {
    let bytes = asn_mmdb();
    let read = content(&bytes);
    assert_eq!((read.has_asns(), read.has_countries()), (true, false));
    assert_eq!((read.format(), read.day()), ("MaxMind DB GeoLite2-ASN", Day::parse("2026-06-17")));
    assert_eq!(read.ranges(), (5, 0));
    let table = table(&[&bytes], &[]);
    for (ip, asn, name) in [
        ("1.0.0.0", 13_335, "CLOUDFLARENET"),
        ("1.0.0.255", 13_335, "CLOUDFLARENET"),
        ("1.0.1.0", 0, ""),
        ("0.255.255.255", 0, ""),
        ("8.8.8.8", 15_169, "GOOGLE"),
        ("80.159.255.255", 3_320, "Deutsche Telekom AG"),
        ("80.160.0.0", 0, ""),
        ("2001:4860:4860::8888", 15_169, "GOOGLE"),
        ("2003:1f:ffff::1", 3_320, "Deutsche Telekom AG"),
        ("2003:2000::", 0, ""),
        // IPv4 under IPv6, where the writer repeats it for Teredo, 6to4 and mapped addresses.
        ("2002:808:808::1", 0, ""),
        ("2001:0:808:808::1", 0, ""),
        ("::ffff:8.8.8.8", 0, ""),
    ] {
        assert_eq!(said(&table, ip), (asn, name.to_owned(), String::new()), "{ip}");
    }
    // Their reader says the same of the same file.
    let reader = maxminddb::Reader::from_source(&bytes[..]).expect("a database");
    for ip in ["1.0.0.7", "8.8.8.8", "80.130.0.1", "2003::1", "1.0.1.0"] {
        let ip: IpAddr = ip.parse().expect("an address");
        let theirs = reader.lookup(ip).expect("a look-up");
        let theirs = theirs.decode_path::<u32>(&maxminddb::path!["autonomous_system_number"]);
        assert_eq!(table.owner(ip).asn, theirs.expect("a number").unwrap_or(0), "{ip}");
    }
}

#[test]
fn trees_of_all_sizes_and_of_ipv4_alone_are_read() {
    for size in [RecordSize::Bits24, RecordSize::Bits28, RecordSize::Bits32] {
        for version in [IpVersion::V4, IpVersion::V6] {
            let mut writer =
                Writer::builder("Test-ASN").ip_version(version).record_size(size).build();
            let networks = ["9.9.9.0/24", "149.112.112.0/24"];
            for network in networks {
                let network: IpNet = network.parse().expect("a network");
                writer.insert_value(network, asn_record(19_281, "QUAD9")).expect("a good row");
            }
            let table = table(&[&writer.to_bytes().expect("a database")], &[]);
            let asns = ["9.9.8.255", "9.9.9.9", "149.112.112.112", "149.112.113.0"]
                .map(|ip| owner(&table, ip).asn);
            assert_eq!(asns, [0, 19_281, 19_281, 0], "{size:?} {version:?}");
        }
    }
}

#[test]
fn the_fields_of_each_provider_are_known() {
    let text = |text: &str| Value::from(text);
    let iso = |code: &str| Value::map([("iso_code", text(code))]);
    for (what, record, asn, name, country) in [
        ("GeoLite2 Country, DB-IP Country Lite", Value::map([("country", iso("AU"))]), 0, "", "AU"),
        ("GeoLite2 Country, anycast", Value::map([("registered_country", iso("US"))]), 0, "", "US"),
        ("ip-location-db country", Value::map([("country_code", text("jp"))]), 0, "", "JP"),
        (
            "IPinfo Lite",
            Value::map([
                ("asn", text("AS13335")),
                ("as_name", text("Cloudflare, Inc.")),
                ("as_domain", text("cloudflare.com")),
                ("country", text("Australia")),
                ("country_code", text("AU")),
            ]),
            13_335,
            "Cloudflare, Inc.",
            "AU",
        ),
        (
            "IPinfo country ASN",
            Value::map([
                ("asn", text("AS2519")),
                ("as_name", text("ARTERIA")),
                ("country", text("JP")),
                ("country_name", text("Japan")),
            ]),
            2_519,
            "ARTERIA",
            "JP",
        ),
        (
            "IPinfo ASN",
            Value::map([
                ("asn", text("AS7018")),
                ("name", text("AT&T")),
                ("route", text("12.0.0.0/9")),
            ]),
            7_018,
            "AT&T",
            "",
        ),
        (
            "GeoLite2 City beside an ASN of our own",
            Value::map([
                ("city", Value::map([("names", Value::map([("en", text("Berlin"))]))])),
                ("country", iso("DE")),
                ("autonomous_system_number", Value::from(3_320_u32)),
            ]),
            3_320,
            "",
            "DE",
        ),
    ] {
        let bytes = mmdb("Test", &[("1.2.3.0/24", record)]);
        let content = content(&bytes);
        assert_eq!((content.has_asns(), content.has_countries()), (asn != 0, !country.is_empty()));
        let table = table(&[&bytes], &[]);
        assert_eq!(said(&table, "1.2.3.4"), (asn, name.to_owned(), country.to_owned()), "{what}");
    }
}

#[test]
fn a_mmdb_of_another_kind_is_refused() {
    let record = Value::map([("connection_type", Value::from("Cellular"))]);
    let message = refusal(&mmdb("GeoIP2-Connection-Type", &[("1.0.0.0/8", record)]));
    for part in
        ["got a MaxMind DB of type 'GeoIP2-Connection-Type'", "expected 'autonomous_", "use an ASN"]
    {
        assert!(message.contains(part), "{message}");
    }
    for (field, value, expect) in [
        ("asn", "ASX", "a record with the ASN 'ASX'"),
        ("country_code", "Germany", "a record with the country 'Germany'"),
    ] {
        let record = Value::map([(field, Value::from(value))]);
        let message = refusal(&mmdb("Test", &[("1.0.0.0/8", record)]));
        assert!(message.contains(expect), "{message}");
    }
}

/// Nothing in here may panic, loop or give more than the file has; each way of cutting and a great
/// many of changing are tried.
#[test]
fn a_damaged_mmdb_never_panics_or_loops() {
    let good = asn_mmdb();
    let mut kinds = std::collections::BTreeMap::<&str, u32>::new();
    for len in 0..good.len() {
        let kind = match read(&good[..len]) {
            Ok(_) => "taken",
            Err(InputError::Empty) => "empty",
            Err(InputError::Binary) => "no mark",
            Err(InputError::Mmdb(_)) => "damaged",
            Err(error) => panic!("cut at {len}: {error}"),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    assert_eq!(kinds.get("taken"), None, "a cut loses the description at the end: {kinds:?}");
    assert!(kinds["no mark"] > 1_000 && kinds["damaged"] > 50, "{kinds:?}");

    let mut state = 5_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((state >> 33) % below as u64) as usize
    };
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..6_000 {
        let mut bytes = good.clone();
        for _ in 0..=draw(4) {
            let at = draw(bytes.len());
            bytes[at] = draw(256) as u8;
        }
        match read(&bytes[..]) {
            Ok(content) => {
                taken += 1;
                assert!(content.ranges().0 <= ROWS_MAX);
            }
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 100 && refused > 100, "{taken} taken, {refused} refused");
}

/// A tree in which both branches of each node lead to the next has as many leaves as there are
/// addresses. It is built by hand, no writer would.
#[test]
fn a_tree_to_be_walked_for_ever_is_given_up() {
    let good = asn_mmdb();
    let mark = good.windows(MARK_LEN).rposition(|w| w == b"\xab\xcd\xefMaxMind.com");
    let description = &good[mark.expect("a mark")..];
    let nodes =
        maxminddb::Reader::from_source(&good[..]).expect("a database").metadata().node_count;
    for leaf_is_data in [false, true] {
        let mut bytes = Vec::new();
        for node in 0..nodes {
            // As many levels as an address has bits, the rest of the nodes unused.
            let next = match node {
                0..127 => node + 1,
                _ if leaf_is_data => nodes + 16,
                _ => nodes,
            };
            let record = &next.to_be_bytes()[1..];
            bytes.extend([record, record].concat());
        }
        bytes.extend([0; 16]);
        // An empty map as the only record.
        bytes.push(0xe0);
        bytes.extend(description);
        let message = refusal(&bytes);
        assert!(message.contains("damaged"), "{message}");
    }
}

const MARK_LEN: usize = b"\xab\xcd\xefMaxMind.com".len();

#[test]
fn lines_of_each_layout_give_the_same_owner() {
    let asn: [&[u8]; 6] = [
        b"1.0.0.0,1.0.0.255,13335,\"Cloudflare, Inc.\"\n2606:4700::,2606:4700:ffff:ffff:ffff:ffff:ffff:ffff,13335,\"Cloudflare, Inc.\"\n",
        b"network,autonomous_system_number,autonomous_system_organization\n1.0.0.0/24,13335,\"Cloudflare, Inc.\"\n2606:4700::/32,13335,\"Cloudflare, Inc.\"",
        b"1.0.0.0\t1.0.0.255\t13335\tUS\tCloudflare, Inc.\r\n1.0.1.0\t1.0.3.255\t0\tNone\tNot routed\r\n2606:4700::\t2606:4700:ffff:ffff:ffff:ffff:ffff:ffff\t13335\tUS\tCloudflare, Inc.\r\n",
        b"# date: 2026-11-01\n\n16777216;16777471;AS13335;Cloudflare, Inc.\n50543257672059871404715951523469721600;50543257751288033918980289117013671935;AS13335;Cloudflare, Inc.\n",
        b"\xef\xbb\xbfas_name|asn|cidr\nCloudflare, Inc.|AS13335|1.0.0.0/24\nCloudflare, Inc.|AS13335|2606:4700::/32\n",
        b"network,country,country_code,continent,continent_code,asn,as_name,as_domain\n1.0.0.0/24,Australia,AU,Oceania,OC,AS13335,\"Cloudflare, Inc.\",cloudflare.com\n2606:4700::/32,United States,US,North America,NA,AS13335,\"Cloudflare, Inc.\",cloudflare.com\n1.0.1.0/24,China,CN,Asia,AS,,,\n",
    ];
    for bytes in asn {
        let text = String::from_utf8_lossy(bytes);
        let table = table(&[bytes], &[b"1.0.0.0,1.0.0.255,AU\n2606:4700::,2606:4700::ffff,US\n"]);
        let name = "Cloudflare, Inc.".to_owned();
        assert_eq!(said(&table, "1.0.0.1"), (13_335, name.clone(), "AU".to_owned()), "{text}");
        let said_v6 = said(&table, "2606:4700:ffff::1");
        assert_eq!(said_v6, (13_335, name, String::new()), "{text}");
        assert_eq!(owner(&table, "1.0.1.0").asn, 0, "{text}");
        assert_eq!(owner(&table, "1.0.0.1").class, AddressClass::Cdn, "by the class list: {text}");
    }
    assert_eq!(content(asn[3]).day(), Day::parse("2026-11-01"));
    assert!(content(asn[2]).has_countries(), "iptoasn tells both");
    assert_eq!(said(&table(&[asn[2]], &[]), "1.0.0.1").2, "US");
}

#[test]
fn bad_lines_are_named_and_nothing_is_used() {
    for (bytes, parts) in [
        (&b""[..], &["got 0 bytes", "expected a MaxMind DB", "download it again"][..]),
        (b"\n\n# nothing\n", &["got no line with a range", "expected"]),
        (b"network,asn\n", &["got no line with a range"]),
        (b"\x1f\x8b\x08\0", &["got gzip data", "gzip -d"]),
        (b"PK\x03\x04....", &["got a zip archive", "unzip"]),
        (b"\x7fELF\0\0\0", &["got binary data", "expected a MaxMind DB", "cut off"]),
        (b"GET / HTTP/1.1\n", &["first line: got 'GET / HTTP/1.1'", "expected columns"]),
        (b"<html>,</html>\n1,2\n", &["line 1: got '<html>,</html>'", "names of columns"]),
        (b"1.0.0.0,1.0.0.255,Hello,World\n", &["none has autonomous system numbers or countries"]),
        (
            b"network,geoname_id,registered_country_geoname_id\n1.0.0.0/24,2077456,2077456\n",
            &["got 3 columns", "geoname ids alone"],
        ),
        (
            b"1.0.0.0,1.0.0.255,13335,A\n1.0.1.255,1.0.1.0,13335,A\n",
            &[
                "line 2: got a range down from 1.0.1.255 to 1.0.1.0",
                "expected its lowest address first",
            ],
        ),
        (
            b"1.0.0.0,1.0.0.255,13335,A\n1.0.1.0,2001::,13335,A\n1.0.1.x,1.0.2.0,1,A\n",
            &[
                "line 2: got a range from 1.0.1.0 to 2001::",
                "one family; line 3: got '1.0.1.x', expected an address",
            ],
        ),
        (
            b"network,asn\n1.0.0.0/24,1\n\n1.0.1.0/24,AS99999999999\n",
            &["line 4: got the ASN 'AS99999999999'", "4294967295"],
        ),
        (
            b"1.0.0.0/24,1\n1.0.1.1/24,2\n",
            &["line 2: got the network '1.0.1.1/24'", "without bits below"],
        ),
        (b"1.0.0.0/24,1\n1.0.1.0/33,2\n", &["line 2: got the network '1.0.1.0/33'"]),
        (
            b"network,cc\n1.0.0.0/24,Germany\n",
            &["line 2: got the country 'Germany'", "two letters"],
        ),
        (
            b"1.0.0.0,1.0.0.255,1,\"A\n1.0.1.0,1.0.1.255,2,B\n",
            &["line 1: got a quotation mark that is not closed"],
        ),
        // Cut off inside the number: without the count of columns it would be another AS.
        (
            b"1.0.0.0,1.0.0.255,13335,A\n1.0.1.0,1.0.1.255,133",
            &["line 2: got 3 columns, expected at least 4", "cut off here"],
        ),
        (b"1.0.0.0\t1.0.0.255\t13335\tUS\tA\n1.0.1.0\t1.0.", &["line 2: got 2 columns"]),
    ] {
        let message = refusal(bytes);
        for part in parts {
            assert!(message.contains(part), "got {message}, expected {part:?} in it");
        }
    }
    let many: String = (0..20).map(|n| format!("1.0.{n}.0/24,{n}\n1.0.{n}.1/24,{n}\n")).collect();
    let message = refusal(many.as_bytes());
    assert!(message.contains("line 10: ") && !message.contains("line 12: "), "{message}");
    assert!(message.contains("and 15 more; correct or download"), "{message}");
}

/// A line of any bytes is refused or taken, and a file cut anywhere as well.
#[test]
fn damaged_lines_never_panic() {
    let good = b"1.0.0.0,1.0.0.255,13335,\"Cloudflare, Inc.\"\n2606:4700::/32,x\n\xff\xfe,\"\n";
    for len in 0..good.len() {
        let _ = read(&good[..len]);
    }
    let mut state = 9_u64;
    for _ in 0..20_000 {
        let mut bytes = good.to_vec();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (state >> 40) as usize % bytes.len();
            bytes[at] = (state >> 33) as u8;
        }
        let _ = read(&bytes[..]);
    }
}

#[test]
fn what_rules_leave_out_is_counted() {
    let bytes = b"1.0.0.0/8,100,A\n1.2.0.0/16,200,B\n1.2.3.0/24,100,A\n2.0.0.0/8,64512,P\n\
        2606:4700::/32,100,Z\n2001:7fe::53/128,300,R\n2001:7fd::1/127,300,R\n\
        2001:500::/65,300,R\n";
    let bytes = String::from_utf8_lossy(bytes).replace("2001:7fd::1/127,300,R\n", "");
    let content = content(bytes.as_bytes());
    let notes = content.notes().to_string();
    for part in [
        "1 row with an ASN nobody can hold",
        "2 rows that cover no whole /64",
        "1 row with another name",
        "2 rows overlapping others (the narrowest counts): line 2 over line 1, line 3 over line 2",
    ] {
        assert!(notes.contains(part), "{notes}");
    }
    let table = table(&[bytes.as_bytes()], &[]);
    let asns = ["1.0.0.1", "1.2.0.1", "1.2.3.4", "1.2.4.0", "1.3.0.0", "2.0.0.1"]
        .map(|ip| owner(&table, ip).asn);
    assert_eq!(asns, [100, 200, 100, 200, 100, 0]);
    assert_eq!(Notes::default().to_string(), "");
}

#[test]
fn several_files_become_one_table() {
    let v4 = b"1.0.0.0,1.0.0.255,100,A\n";
    let v6 = b"2606:4700::/32,100,A\n";
    let table =
        table(&[v4, v6, b"1.0.0.128/25,200,B\n"], &[b"1.0.0.0/24,AU\n", &asn_country_mmdb()]);
    assert_eq!(said(&table, "1.0.0.1"), (100, "A".to_owned(), "AU".to_owned()));
    assert_eq!(said(&table, "1.0.0.129"), (200, "B".to_owned(), "AU".to_owned()));
    assert_eq!(said(&table, "2606:4700::1"), (100, "A".to_owned(), "US".to_owned()));
}

fn asn_country_mmdb() -> Vec<u8> {
    let country =
        |code: &str| Value::map([("country", Value::map([("iso_code", Value::from(code))]))]);
    mmdb("GeoLite2-Country", &[("2606:4700::/32", country("US")), ("9.0.0.0/8", country("FR"))])
}

#[test]
fn the_embedded_table_tells_what_no_file_does() {
    let intel = Intel::embedded();
    let embedded = intel.table().expect("a table");
    // Another provider's name for the same AS: class and name of ours are the second witness.
    let mine = table_with(&[b"8.8.8.0/24,15169,GOOGLE\n9.9.9.0/24,19281,\n"], &[], Some(embedded));
    let google = owner(&mine, "8.8.8.8");
    assert_eq!((google.class, google.hyperscaler), (AddressClass::Hosting, true));
    assert_eq!(google.country.as_str(), Some("US"), "countries come from the embedded table");
    assert_eq!(mine.name(15_169), Some("GOOGLE"), "the file's own name is shown");
    assert_eq!(mine.name(19_281), embedded.name(19_281));
    assert_eq!(owner(&mine, "1.1.1.1").asn, 0, "a file of ASNs replaces them all");
    assert_eq!(owner(&mine, "1.1.1.1").country.as_str(), Some("AU"));
    let countries = table_with(&[], &[b"8.8.8.0/24,FR\n"], Some(embedded));
    assert_eq!(said(&countries, "8.8.8.8").2, "FR");
    assert_eq!(owner(&countries, "8.8.8.8").asn, 15_169);
    assert_eq!(owner(&countries, "1.1.1.1").country.as_str(), None);
    let alone = table(&[b"8.8.8.0/24,15169,GOOGLE\n"], &[]);
    let google = owner(&alone, "8.8.8.8");
    assert_eq!((google.class, google.country.as_str()), (AddressClass::Unknown, None));
}

#[test]
fn a_table_made_here_is_a_file_like_others() {
    let made = table(&[b"1.0.0.0/24,100,A\n"], &[b"1.0.0.0/25,AU\n"]);
    let read = content(made.as_bytes());
    assert_eq!(read.families(), (true, false));
    assert_eq!(content(b"2606:4700::/32,100\n").families(), (false, true));
    assert_eq!(content(&asn_mmdb()).families(), (true, true));
    assert_eq!((read.has_asns(), read.has_countries(), read.ranges()), (true, true, (2, 1)));
    assert_eq!((read.format(), read.day()), ("table made by fluxtap", Day::parse("2026-11-22")));
    let again = table(&[made.as_bytes()], &[b"1.0.0.0/24,FR\n"]);
    assert_eq!(said(&again, "1.0.0.1"), (100, "A".to_owned(), "FR".to_owned()));
    assert_eq!(read.into_table().expect("a table").as_bytes(), made.as_bytes());
    assert!(content(b"1.0.0.0/24,100,A\n").into_table().is_err());
    let mut damaged = made.as_bytes().to_vec();
    damaged[50] ^= 1;
    assert!(refusal(&damaged).contains("checksum"), "{}", refusal(&damaged));
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let make = || table(&[&asn_mmdb()], &[b"1.0.0.0/24,AU\n"]).as_bytes().to_vec();
    assert_eq!(make(), make());
}

#[test]
fn files_are_read_to_their_limit_and_failures_are_told() {
    struct Endless;
    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            into.fill(b'1');
            Ok(into.len())
        }
    }
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    assert!(matches!(read_within(Endless, 1_000), Err(InputError::TooLong)));
    assert_eq!(read_within(&[b'1'; 1_000][..], 1_000).expect("no more").len(), 1_000);
    let message = read(Broken).expect_err("a failure").to_string();
    assert_eq!(message, "cannot read it: the disk is gone");
}

#[test]
fn fields_are_read_as_they_are_written() {
    for (text, expect) in [
        ("13335", Some(13_335)),
        ("AS13335", Some(13_335)),
        ("as1", Some(1)),
        ("4294967295", Some(u32::MAX)),
        ("4294967296", None),
        ("AS", None),
        ("", None),
        ("+1", None),
        ("1.1", None),
        ("éé", None),
    ] {
        assert_eq!(asn_of(text), expect, "{text}");
    }
    for (text, expect) in [
        ("AU", Some(Some("AU"))),
        ("au", Some(Some("AU"))),
        ("EU", Some(Some("EU"))),
        ("", Some(None)),
        ("-", Some(None)),
        ("ZZ", Some(None)),
        ("None", Some(None)),
        ("A1", Some(None)),
        ("1A", None),
        ("AUS", None),
        ("é", None),
    ] {
        let got = country_of(text);
        assert_eq!(got.as_ref().map(Country::as_str), expect, "{text}");
    }
}
