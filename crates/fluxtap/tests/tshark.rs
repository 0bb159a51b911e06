//! DNS responses in every capture of the corpus, counted by us and by tshark.
//!
//! What tshark counts is recorded in `data/tshark-counts.tsv`, so that the comparison needs no
//! tshark; where the same version is installed, some of it is counted again. `FLUXTAP_UPDATE_TSHARK=ours` writes what we count now into that table,
//! `FLUXTAP_UPDATE_TSHARK=all` what the installed tshark counts as well. The reasons for
//! differences are written by hand; a difference without one fails.

mod support;

use fluxtap_engine::Decoder;
use fluxtap_flow::FlowSettings;
use fluxtap_intel::Intel;
use fluxtap_observe::Batch;
use fluxtap_wire::Layers;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};
use support::{all_files, corpus, say, table};

/// Frames with responses; what ICMP errors quote are none.
const FILTER: &str =
    "dns.flags.response == 1 && (udp.port == 53 || tcp.port == 53) && !icmp && !icmpv6";

/// Of so many files an installed tshark counts one again: it takes half a second for each.
const COUNTED_AGAIN_ONE_IN: usize = 16;

/// Files at a time.
const THREADS: usize = 2;

/// One row of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counted {
    tshark: u64,
    ours: u64,
    reason: String,
}

#[test]
fn responses_are_those_of_tshark_or_the_difference_has_a_reason() {
    let Some(corpus) = corpus() else { return };
    let recorded = recorded();
    let update = env::var("FLUXTAP_UPDATE_TSHARK").unwrap_or_default();
    let counted = count(&corpus, |file, name| Counted {
        ours: ours(file),
        tshark: match update.as_str() {
            "all" => tshark(file),
            _ => recorded.get(name).map_or(0, |row| row.tshark),
        },
        reason: recorded.get(name).map(|row| row.reason.clone()).unwrap_or_default(),
    });
    if !update.is_empty() {
        write(&counted);
    }
    let mut wrong = Vec::new();
    for (name, now) in &counted {
        let then = recorded.get(name).cloned().unwrap_or_default();
        if update.is_empty() && then.ours != now.ours {
            wrong.push(format!("{name}: got {} responses, expected {}", now.ours, then.ours));
        }
        if (now.ours == now.tshark) != now.reason.is_empty() {
            wrong.push(format!(
                "{name}: got {} responses and the reason {:?}, tshark counts {}: \
                 write or delete the reason in the table",
                now.ours, now.reason, now.tshark
            ));
        }
    }
    let gone = recorded.keys().filter(|name| !counted.contains_key(*name));
    wrong.extend(gone.map(|name| format!("{name}: in the table, but not in the corpus")));
    let advice = "FLUXTAP_UPDATE_TSHARK=ours writes the counts of today into the table";
    assert!(wrong.is_empty(), "{}\n{advice}", wrong.join("\n"));
    let sum = |count: fn(&Counted) -> u64| counted.values().map(count).sum::<u64>();
    let differ = counted.values().filter(|row| row.ours != row.tshark).count();
    say(&format!(
        "{} responses of ours, {} of tshark, in {} files; {differ} files differ",
        sum(|row| row.ours),
        sum(|row| row.tshark),
        counted.len()
    ));
}

#[test]
fn an_installed_tshark_counts_what_is_recorded() {
    let Some(corpus) = corpus() else { return };
    let version = Command::new("tshark").arg("--version").output();
    let Ok(version) = version else { return say("no tshark: what is recorded of it serves") };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let table = fs::read_to_string(path()).expect("the table");
    let recorded_of = table.split("what tshark ").nth(1).and_then(|rest| rest.split(' ').next());
    let recorded_of = recorded_of.expect("the table names the version");
    if version.split_whitespace().nth(2) != Some(recorded_of) {
        let first = version.lines().next().unwrap_or_default();
        return say(&format!("got {first}, the counts are of {recorded_of}: not compared"));
    }
    for (name, row) in recorded().iter().step_by(COUNTED_AGAIN_ONE_IN) {
        assert_eq!(tshark(&corpus.join(name)), row.tshark, "{name}");
    }
}

/// Counts in every file, by its name in the corpus; those without responses are left out.
fn count(corpus: &Path, one: impl Fn(&Path, &str) -> Counted + Sync) -> BTreeMap<String, Counted> {
    let files: Vec<PathBuf> = all_files(corpus);
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut counted = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let name = file.strip_prefix(corpus).expect("a file of the corpus");
            let name = name.to_str().expect("a name of ASCII").to_owned();
            let row = one(file, &name);
            if row.ours + row.tshark > 0 {
                counted.push((name, row));
            }
        }
        counted
    };
    thread::scope(|scope| {
        let workers = [(); THREADS].map(|()| scope.spawn(worker));
        workers.into_iter().flat_map(|worker| worker.join().expect("no file fails")).collect()
    })
}

/// Responses that the decoder finds.
fn ours(file: &Path) -> u64 {
    let intel = Intel::without_table();
    let mut decoder = Decoder::new(Layers::default(), &FlowSettings::default(), 60, 1);
    let mut batch = Batch::default();
    support::read(&fs::read(file).expect("a readable file"), |packet| {
        decoder.decode(&packet, &intel, &mut batch);
        batch.clear();
    });
    decoder.finish(&mut batch, &intel);
    decoder.counts().responses
}

/// Responses that tshark finds: messages, of which a frame may have several.
fn tshark(file: &Path) -> u64 {
    let mut command = Command::new("tshark");
    command.args(["-n", "-Y", FILTER, "-T", "fields", "-e", "dns.flags.response"]).arg("-r");
    let output = command.arg(file).output().expect("tshark is installed");
    // Its status says nothing: it also fails at the end of a file that is cut off.
    let text = String::from_utf8(output.stdout).expect("numbers");
    let flags = text.split([',', '\n']);
    flags.filter(|flag| ["1", "True"].contains(flag)).count() as u64
}

fn path() -> PathBuf {
    support::workspace().join("crates/fluxtap/tests/data/tshark-counts.tsv")
}

fn recorded() -> BTreeMap<String, Counted> {
    let number = |text: &str| text.parse().unwrap_or_else(|e| panic!("{text:?}: {e}"));
    let rows = table(&path()).into_iter().map(|mut row| {
        let (tshark, ours) = (number(&row["tshark"]), number(&row["ours"]));
        let reason = row.remove("reason").unwrap_or_default();
        (row.remove("file").expect("a file"), Counted { tshark, ours, reason })
    });
    rows.collect()
}

/// Writes the table anew below its comments.
fn write(counted: &BTreeMap<String, Counted>) {
    let before = fs::read_to_string(path()).expect("the table");
    let comments = before.lines().filter(|line| line.starts_with('#'));
    let header = "file\ttshark\tours\treason";
    let rows = counted
        .iter()
        .map(|(name, row)| format!("{name}\t{}\t{}\t{}", row.tshark, row.ours, row.reason));
    let lines = comments.map(str::to_owned).chain([header.to_owned()]).chain(rows);
    let text: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
    fs::write(path(), text).expect("a writable table");
}
