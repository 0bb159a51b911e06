//! `fluxtap evaluate` through the real program, on captures whose truth is known.

mod support;

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use support::Run;

fn truth() -> PathBuf {
    support::workspace().join("pcaps/demo/truth.tsv")
}

fn evaluate(capture: &Path, truth: &Path, flags: &[&str]) -> Run {
    let fixed = [OsStr::new("evaluate"), capture.as_os_str(), "--truth".as_ref(), truth.as_ref()];
    support::run(fixed.into_iter().chain(flags.iter().map(OsStr::new)))
}

fn report(run: &Run) -> Value {
    assert_eq!(run.status, 0, "{}", run.stderr);
    serde_json::from_slice(&run.stdout).expect("one JSON object")
}

#[test]
fn the_demonstration_is_found_and_nothing_else() {
    let report = report(&evaluate(&support::demo(), &truth(), &["--json"]));
    let all = &report["recall"]["medium"];
    assert_eq!((&all["count"], &all["of"]), (&8.into(), &8.into()));
    assert_eq!(report["false_medium"]["domains"], 0);
    assert!(report["false_medium"]["interval"]["high"].as_f64() > Some(1_000.0), "{report}");
    assert!(report["minutes"]["p95"].as_f64() < Some(20.0), "{report}");
    let said: Vec<_> = report["kinds"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (row["truth"].as_str(), row["said"].as_str(), row["domains"].as_u64()))
        .collect();
    let same = |kind, domains| (Some(kind), Some(kind), Some(domains));
    assert_eq!(said, [same("double_flux", 1), same("single_flux", 7)]);
    let cumulative = &report["compared"][1];
    assert_eq!(cumulative["name"], "holz2008_cumulative");
    assert!(cumulative["false_alerts"]["domains"].as_u64() >= Some(3), "{cumulative}");
}

#[test]
fn a_wrong_truth_shows_as_misses_and_false_alerts() {
    let folder = support::folder();
    let text = fs::read_to_string(truth()).expect("the truth");
    let swapped = text
        .replace(
            "card-checkers.example\tflux\tdark_cloud\tsingle_flux",
            "card-checkers.example\tbenign\tdark_cloud\t-",
        )
        .replace(
            "pinewood-bank.example\tbenign\tload_balancer\t-",
            "pinewood-bank.example\tflux\tload_balancer\tsingle_flux",
        )
        .lines()
        .filter(|line| !line.starts_with("update-mirror-six.example"))
        .map(|line| line.to_owned() + "\n")
        .collect::<String>();
    let truth = support::write(&folder, "truth.tsv", swapped.as_bytes());
    let report = report(&evaluate(&support::demo(), &truth, &["--json"]));
    let all = &report["recall"]["medium"];
    assert_eq!((&all["count"], &all["of"]), (&6.into(), &7.into()));
    assert_eq!(report["false_medium"]["domains"], 1);
    assert!(report["alerts_unlabelled"].as_u64() >= Some(1));
}

#[test]
fn settings_reach_the_sensor() {
    let flags = ["--json", "--threshold-low=96", "--threshold-medium=97", "--threshold-high=98"];
    let strict = report(&evaluate(&support::demo(), &truth(), &flags));
    assert!(strict["recall"]["low"].as_u64() < Some(8), "{strict}");
    let without = evaluate(
        &support::demo(),
        &truth(),
        &["--json", "--curated-asns=false", "--curated-zones=false"],
    );
    assert!(report(&without)["false_medium"]["domains"].as_u64() > Some(0), "pools alert then");
}

#[test]
fn a_table_is_printed_for_people() {
    let run = evaluate(&support::demo(), &truth(), &[]);
    let text = String::from_utf8(run.stdout).expect("text");
    for line in [
        "| dark_cloud | 1 | 1.000 | 0.025 to 1.000 |",
        "| **all** | 8 | 1.000 |",
        "| medium and high | 0 of",
    ] {
        assert!(text.contains(line), "no '{line}' in\n{text}");
    }
}

#[test]
fn what_is_wrong_with_the_truth_is_said() {
    let folder = support::folder();
    let missing = evaluate(&support::demo(), &folder.path().join("none.tsv"), &[]);
    assert_eq!(missing.status, 66);
    assert!(missing.stderr.contains("--truth: cannot read"), "{}", missing.stderr);
    let bad = support::write(&folder, "bad.tsv", b"domain\tkind\n");
    let bad = evaluate(&support::demo(), &bad, &[]);
    assert_eq!((bad.status, bad.stdout.len()), (65, 0));
    assert!(bad.stderr.contains("bad.tsv: line 1: got no column"), "{}", bad.stderr);
    let none = evaluate(&folder.path().join("none.pcap"), &truth(), &[]);
    assert_eq!(none.status, 66, "{}", none.stderr);
}
