//! The cap on alert lines through the real program.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::{number, text};

/// The demonstration with so many alert lines an hour, and `more` flags.
fn replay(lines_max: &str, more: &[&str]) -> (support::Run, Value) {
    let demo = support::demo();
    let flags = ["--alerts-per-hour", lines_max].into_iter().chain(more.iter().copied());
    support::replay(flags.map(str::as_ref).chain([demo.as_os_str()]))
}

fn dataset(line: &Value) -> &str {
    line["event"]["dataset"].as_str().expect("text")
}

fn lines(run: &support::Run) -> Vec<Value> {
    let text = str::from_utf8(&run.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn what_is_held_back_is_told_and_counted() {
    let (all, stats_all) = replay("0", &[]);
    let (run, stats) = replay("2", &[]);
    run.assert_said(&["lines held back because an hour had too many", "alerts.per_hour"]);
    assert_eq!(number(&stats_all["alerts_held_back"]["lines"]), 0);
    let (all, lines) = (lines(&all), lines(&run));
    assert!(all.iter().all(|line| dataset(line) == "fluxtap.alert"));
    let (held, alerts): (Vec<&Value>, Vec<&Value>) =
        lines.iter().partition(|line| dataset(line) == "fluxtap.held_back");
    assert_eq!(held.len() as u64, number(&stats["alerts_held_back"]["summaries"]));
    let told = |pointer: &str| -> u64 {
        held.iter().map(|line| number(line.pointer(pointer).expect(pointer))).sum()
    };
    let missing = (all.len() - alerts.len()) as u64;
    assert!(missing > 0, "{all:?}");
    assert_eq!(told("/fluxtap/held_back/lines"), missing);
    assert_eq!(number(&stats["alerts"]), alerts.len() as u64);
    for part in ["by_severity", "by_state"] {
        for (word, lines) in stats["alerts_held_back"][part].as_object().expect("an object") {
            assert_eq!(told(&format!("/fluxtap/held_back/{part}/{word}")), number(lines), "{word}");
        }
        assert_eq!(support::sum(&stats["alerts_held_back"][part]), missing, "{part}");
    }
    // No line is missing by its number, and none of an alert that is there.
    let mut revisions: BTreeMap<String, u64> = BTreeMap::new();
    for (line, sequence) in lines.iter().zip(1..) {
        assert_eq!(line["event"]["sequence"], sequence);
        if dataset(line) == "fluxtap.alert" {
            let alert = &line["fluxtap"]["alert"];
            let revision = revisions.entry(text(&alert["id"])).or_default();
            *revision += 1;
            assert_eq!(number(&alert["revision"]), *revision, "{line}");
        }
    }
    // The worst are alerts that the whole run knows.
    let worst = held[0]["fluxtap"]["held_back"]["worst"].as_array().expect("a list");
    for worst in worst {
        let is_it = |line: &&Value| line["fluxtap"]["alert"]["id"] == worst["id"];
        let line = all.iter().find(is_it).unwrap_or_else(|| panic!("{worst}"));
        assert_eq!(worst["domain"], line["dns"]["question"]["registered_domain"]);
    }
    assert!(!worst.is_empty());
}

#[test]
fn it_is_the_same_for_any_number_of_workers() {
    let (first, counters) = replay("2", &["--quiet", "--workers", "1"]);
    for workers in ["2", "3"] {
        let (run, stats) = replay("2", &["--quiet", "--workers", workers]);
        assert!(run.stdout == first.stdout, "{workers} workers tell other lines than one");
        assert_eq!(stats["alerts_held_back"], counters["alerts_held_back"], "{workers}");
    }
}

#[test]
fn the_line_is_as_it_was() {
    let (run, _) = replay("2", &[]);
    let path = support::workspace().join("crates/fluxtap/tests/expect/held-back.json");
    let line = lines(&run).into_iter().find(|line| dataset(line) == "fluxtap.held_back");
    let mut line = line.expect("a line");
    line["observer"]["version"] = json!("");
    let said = serde_json::to_string_pretty(&line).expect("JSON") + "\n";
    if std::env::var_os("FLUXTAP_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &said).expect("a writable folder");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        said, expected,
        "if the change is meant: make golden-update, and read the difference"
    );
    let demo = support::demo();
    let flags = ["replay", "--alerts-per-hour", "2", "--format", "text"];
    let text = support::run(flags.map(str::as_ref).into_iter().chain([demo.as_os_str()]));
    let text = String::from_utf8(text.stdout).expect("text");
    let told = text.lines().filter(|line| line.contains("held back from")).count();
    assert!(told > 0, "{text}");
}
