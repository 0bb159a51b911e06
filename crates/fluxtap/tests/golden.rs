//! Every case in `pcaps/` through the program, compared byte for byte, and the same alerts on
//! every way packets can come in.
//!
//! `FLUXTAP_UPDATE_GOLDEN=1` writes what the program says now into the cases.

mod support;

use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use support::{number, text};

/// Longest alert line that common syslog receivers do not cut.
const LINE_OCTETS_MAX: usize = 7_000;

/// One folder of `pcaps/`.
struct Case {
    folder: PathBuf,
    captures: Vec<PathBuf>,
}

/// All cases, in the order of their names. A folder that lacks a part guards nothing, so it fails.
fn cases() -> Vec<Case> {
    let root = support::workspace().join("pcaps");
    let entries = fs::read_dir(&root).expect("pcaps/");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    let cases: Vec<Case> = folders.into_iter().map(Case::of).collect();
    assert!(cases.len() > 1, "got {} cases in {}", cases.len(), root.display());
    cases
}

impl Case {
    fn of(folder: PathBuf) -> Self {
        let entries = fs::read_dir(&folder).expect("a readable folder");
        let mut captures: Vec<PathBuf> = entries
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
            .collect();
        captures.sort();
        let name = folder.display();
        assert!(!captures.is_empty(), "{name}: got no capture, expected a *.pcap or *.pcapng");
        let readme = fs::read_to_string(folder.join("README.md"));
        let readme = readme.unwrap_or_else(|e| panic!("{name}: README.md: {e}"));
        let has_origin = readme.contains("How it was made") || readme.contains("| licence |");
        assert!(has_origin, "{name}: README.md says neither how it was made nor its licence");
        Self { folder, captures }
    }

    /// Compares a file of the case, or writes it.
    fn check(&self, file: &str, got: &[u8]) -> Result<(), String> {
        let path = self.folder.join(file);
        if std::env::var_os("FLUXTAP_UPDATE_GOLDEN").is_some() {
            fs::write(&path, got).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            return Ok(());
        }
        let advice = "if the change is meant: make golden-update, and read the difference";
        let expected = fs::read(&path).map_err(|e| format!("{}: {e}; {advice}", path.display()))?;
        if got == expected {
            return Ok(());
        }
        let (got, expected) = (String::from_utf8_lossy(got), String::from_utf8_lossy(&expected));
        Err(format!("{}: {}; {advice}", path.display(), first_difference(&got, &expected)))
    }
}

/// The first line that differs, and in it the first fields.
fn first_difference(got: &str, expected: &str) -> String {
    let same = got.lines().zip(expected.lines()).take_while(|(g, e)| g == e).count();
    let [got_line, expected_line] = [got, expected].map(|text| text.lines().nth(same));
    let at = format!("line {} of {}", same + 1, expected.lines().count());
    let parse = |line: Option<&str>| line.and_then(|line| serde_json::from_str(line).ok());
    match (parse(got_line), parse(expected_line)) {
        (Some(got), Some(expected)) => {
            let mut fields = Vec::new();
            differences("", &got, &expected, &mut fields);
            format!("{at}: {}", fields.join(", "))
        }
        _ => format!("{at}: got {got_line:?}, expected {expected_line:?}"),
    }
}

fn differences(at: &str, got: &Value, expected: &Value, fields: &mut Vec<String>) {
    /// More is no help.
    const FIELDS_MAX: usize = 8;
    if got == expected || fields.len() >= FIELDS_MAX {
        return;
    }
    match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => {
            let keys = got.keys().chain(expected.keys().filter(|key| !got.contains_key(*key)));
            for key in keys {
                let of = |object: &Map<String, Value>| object.get(key).cloned().unwrap_or_default();
                differences(&format!("{at}/{key}"), &of(got), &of(expected), fields);
            }
        }
        (Value::Array(got), Value::Array(expected)) if got.len() == expected.len() => {
            for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
                differences(&format!("{at}/{index}"), got, expected, fields);
            }
        }
        _ => fields.push(format!("{at} got {got}, expected {expected}")),
    }
}

#[test]
fn every_case_says_what_it_is_expected_to_say() {
    let validator = validator();
    let mut failures = Vec::new();
    for case in cases() {
        let quiet = Path::new("--quiet");
        let args = std::iter::once(quiet).chain(case.captures.iter().map(PathBuf::as_path));
        let (run, stats) = support::replay(args);
        let name = case.folder.display();
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{name}");
        for (line, alert) in run.stdout.split(|byte| *byte == b'\n').zip(run.alerts()) {
            assert!(line.len() < LINE_OCTETS_MAX, "{name}: a line of {} bytes", line.len());
            assert_valid(&validator, &alert);
            assert_adds_up(&alert);
        }
        failures.extend(case.check("expect.jsonl", &run.stdout).err());
        failures.extend(case.check("expect.stats.json", &counters(&stats)).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The counters that belong to the capture: not those of memory, which may change any time.
fn counters(stats: &Value) -> Vec<u8> {
    let mut kept = Map::new();
    for key in ["packets", "dns_messages", "dns_queries", "dns_responses", "malformed"] {
        kept.insert(key.to_owned(), stats[key].clone());
    }
    for key in ["domains_tracked", "alerts", "alerts_opened", "pools", "event_time", "responses"] {
        kept.insert(key.to_owned(), stats[key].clone());
    }
    for law in ["packets_by_end", "messages_by_end"] {
        let ends = stats[law].as_object().expect("an object").iter();
        let ends: Map<_, _> = ends
            .filter(|(_, count)| **count != json!(0))
            .map(|(end, count)| (end.clone(), count.clone()))
            .collect();
        kept.insert(law.to_owned(), Value::Object(ends));
    }
    let mut text = serde_json::to_string_pretty(&Value::Object(kept)).expect("counters");
    text.push('\n');
    text.into_bytes()
}

fn validator() -> jsonschema::Validator {
    let path = support::workspace().join("docs/schema/fluxtap.alert-1.schema.json");
    let schema = serde_json::from_slice(&fs::read(path).expect("the schema")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a JSON Schema")
}

fn assert_valid(validator: &jsonschema::Validator, alert: &Value) {
    let errors: Vec<String> = validator
        .iter_errors(alert)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{alert}: {}", errors.join("\n"));
}

/// The points of the terms as printed, with one decimal, add up to the score as printed.
fn assert_adds_up(alert: &Value) {
    let tenths = |value: &Value| {
        let tenths = value.as_f64().expect("a number") * 10.0;
        assert!((tenths - tenths.round()).abs() < 1e-6, "{value} has more than one decimal");
        tenths.round() as i64
    };
    let terms = alert["fluxtap"]["terms"].as_array().expect("a list of terms");
    assert!(!terms.is_empty(), "an alert without a reason: {alert}");
    let points: i64 = terms.iter().map(|term| tenths(&term["points"])).sum();
    assert_eq!(points, tenths(&alert["fluxtap"]["flux"]["score"]), "{alert}");
}

/// A schema that accepts everything would prove nothing.
#[test]
fn the_schema_refuses_what_is_no_alert() {
    let validator = validator();
    let (run, _) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);
    let alert = run.alerts().remove(0);
    assert!(validator.is_valid(&alert));
    let fields = [
        "/@timestamp",
        "/dns/question/registered_domain",
        "/event/action",
        "/event/risk_score",
        "/event/severity",
        "/fluxtap/flux/severity",
        "/fluxtap/flux/kind",
        "/fluxtap/alert/id",
    ];
    for field in fields {
        let (parent, key) = field.rsplit_once('/').expect("a pointer");
        let mut missing = alert.clone();
        let object = missing.pointer_mut(parent).and_then(Value::as_object_mut);
        assert!(object.expect("an object").remove(key).is_some(), "{field} is not there");
        assert!(!validator.is_valid(&missing), "valid without {field}");
        let mut retyped = alert.clone();
        *retyped.pointer_mut(field).expect("a field") = json!([]);
        assert!(!validator.is_valid(&retyped), "valid with a list as {field}");
    }
}

/// All flux of the demonstration is found and rightly named, and nothing else is.
#[test]
fn the_demonstration_tells_the_truth() {
    let path = support::workspace().join("pcaps/demo/truth.tsv");
    let truth = fs::read_to_string(path).expect("the truth");
    let mut lines = truth.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let column = |name| header.iter().position(|column| *column == name).expect("a column");
    let [domain, label, kind] = ["registered_domain", "label", "kind"].map(column);
    let (run, _) = support::replay(["--quiet".as_ref(), support::demo().as_os_str()]);
    let findings = run.findings();
    let (mut flux, mut benign) = (0, 0);
    for row in lines {
        let finding = findings.get(row[domain]);
        let is_loud = finding.is_some_and(support::Finding::is_loud);
        if row[label] == "flux" {
            flux += 1;
            assert!(is_loud, "{}: got {finding:?}, expected an alert", row[domain]);
            assert_eq!(finding.expect("an alert").kind, row[kind], "{}", row[domain]);
        } else {
            benign += 1;
            assert!(!is_loud, "{}: got {finding:?}, expected none", row[domain]);
        }
    }
    assert!(flux >= 8 && benign >= 300, "{flux} flux, {benign} benign");
    assert!(findings.keys().all(|domain| truth.contains(domain.as_str())), "{findings:?}");
}

/// Two runs, the capture in two files, these in either order, standard input, and each
/// compression: the same bytes.
#[test]
fn the_way_of_the_packets_changes_nothing() {
    let folder = support::folder();
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let [first, second] = halves_in_order(&capture);
    let first = support::write(&folder, "b.pcap", &first);
    let second = support::write(&folder, "a.pcap", &second);
    let quiet = Path::new("--quiet");
    let (whole, stats) = support::replay([quiet, &support::demo()]);
    assert!(!whole.stdout.is_empty());
    let ways = [
        ("again", support::replay([quiet, &support::demo()])),
        ("in two files", support::replay([quiet, &first, &second])),
        ("the later file first", support::replay([quiet, &second, &first])),
        ("standard input", support::replay_stdin(&["--quiet", "-"], &capture)),
        ("with a summary", support::replay([&support::demo()])),
    ];
    let packed = support::packed(&capture).map(|(suffix, bytes)| {
        let path = support::write(&folder, &format!("demo.{suffix}"), &bytes);
        (suffix, support::replay([quiet, &path]))
    });
    for (way, (run, way_stats)) in ways.into_iter().chain(packed) {
        assert_eq!(run.status, 0, "{way}: {}", run.stderr);
        assert!(run.stdout == whole.stdout, "{way}: other alerts");
        assert_eq!(counters(&way_stats), counters(&stats), "{way}: other counters");
    }
}

/// Packets dealt to three files in turn, as several taps write them.
#[test]
fn files_are_merged_by_time() {
    const FILES: usize = 3;
    let folder = support::folder();
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let mut parts = vec![capture[..support::FILE_HEADER_OCTETS].to_vec(); FILES];
    // Packets of one time stay together: their order is that of the files.
    let (mut file, mut at_us) = (0, 0);
    for record in support::records(&capture) {
        if record.at_us != at_us {
            (file, at_us) = ((file + 1) % FILES, record.at_us);
        }
        parts[file].extend(&capture[record.start..record.end]);
    }
    let paths: Vec<PathBuf> = (0..FILES)
        .map(|file| support::write(&folder, &format!("{file}.pcap"), &parts[file]))
        .collect();
    let (whole, _) = support::replay([&support::demo()]);
    for order in [[0, 1, 2], [2, 0, 1]] {
        let (run, _) = support::replay(order.map(|file| &paths[file]));
        assert!(run.stdout == whole.stdout, "{order:?}: other alerts");
    }
}

/// A capture that ends right behind the packet that makes the first alert gives that alert: the
/// end of input is judged like the passing of time.
#[test]
fn the_end_of_input_is_judged() {
    let folder = support::folder();
    let capture = fs::read(support::demo()).expect("the demonstration capture");
    let (whole, _) = support::replay([&support::demo()]);
    let first = whole.stdout.split_inclusive(|byte| *byte == b'\n').next().expect("an alert");
    let alert: Value = serde_json::from_slice(first).expect("an alert");
    let last_seen = text(&alert["event"]["end"]);
    let records = support::records(&capture);
    // The last packet of the evidence is the last one of its millisecond or before.
    let behind = records.iter().position(|record| rfc3339(record.at_us) > last_seen);
    let end = records[behind.expect("packets behind the first alert")].start;
    let path = support::write(&folder, "end.pcap", &capture[..end]);
    let (run, stats) = support::replay([&path]);
    assert!(run.stdout == first, "got {}", String::from_utf8_lossy(&run.stdout));
    assert_eq!(number(&stats["alerts"]), 1);
}

/// A time of the demonstration's day as alerts write it.
fn rfc3339(at_us: u64) -> String {
    /// 2026-03-02T00:00:00Z.
    const DAY_S: u64 = 1_772_409_600;
    let ms = at_us / 1_000 - DAY_S * 1_000;
    let [h, m, s] = [ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60];
    format!("2026-03-02T{h:02}:{m:02}:{s:02}.{:03}Z", ms % 1_000)
}

/// A capture cut in two where no packet behind the cut is older than one before it.
fn halves_in_order(capture: &[u8]) -> [Vec<u8>; 2] {
    let records = support::records(capture);
    let middle = records.len() / 2;
    let cut = (middle..records.len())
        .find(|&cut| {
            let before = records[..cut].iter().map(|record| record.at_us).max();
            let behind = records[cut..].iter().map(|record| record.at_us).min();
            before < behind
        })
        .expect("a place to cut");
    let at = records[cut].start;
    let second = [&capture[..support::FILE_HEADER_OCTETS], &capture[at..]].concat();
    [capture[..at].to_vec(), second]
}
