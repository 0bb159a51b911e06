//! The same lines and the same counters, whatever number of workers share the domains out.

mod support;

use std::fs;
use std::path::PathBuf;
use support::{files, say};

/// What is compared: one thread for all, and workers fewer and more than there are processors.
const WORKERS: [&str; 4] = ["1", "2", "3", "8"];

/// Lines and counters of a replay, for each number of workers.
fn assert_same(what: &str, captures: &[PathBuf], memory: &str) {
    let runs = WORKERS.map(|workers| {
        let mut args: Vec<&str> = vec!["--quiet", "--workers", workers, "--memory", memory];
        args.extend(captures.iter().map(|path| path.to_str().expect("UTF-8")));
        let (run, mut stats) = support::replay(args);
        // Another number of threads reads other files, and counts no other packets.
        stats.as_object_mut().expect("an object").remove("files");
        (run, stats)
    });
    let (first, counters) = &runs[0];
    for ((run, stats), workers) in runs.iter().zip(WORKERS).skip(1) {
        assert!(run.stdout == first.stdout, "{what}: {workers} workers tell other lines than one");
        assert_eq!((run.status, &run.stderr), (first.status, &first.stderr), "{what}: {workers}");
        assert_eq!(stats, counters, "{what}: {workers} workers");
    }
    assert!(captures.is_empty() || support::number(&counters["packets"]) > 0, "{what}: no packets");
}

#[test]
fn every_case_is_told_alike_by_any_number_of_workers() {
    let root = support::workspace().join("pcaps");
    let mut folders: Vec<PathBuf> = fs::read_dir(&root)
        .expect("pcaps/")
        .map(|entry| entry.expect("a folder").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(folders.len() > 1, "got {} cases", folders.len());
    for folder in folders {
        assert_same(&folder.display().to_string(), std::slice::from_ref(&folder), "512MiB");
    }
}

#[test]
fn the_corpus_is_told_alike_by_any_number_of_workers() {
    let Some(corpus) = support::corpus() else { return };
    for folder in ["flux", "benign", "encap", "formats"] {
        // The least memory there may be, so that what makes room for others is part of it.
        assert_same(folder, &files(&corpus, folder), "16MiB");
    }
    say("workers: the corpus is told alike");
}

#[test]
fn a_number_of_workers_that_cannot_be_is_refused() {
    for wrong in ["0", "65", "many"] {
        let run = support::run(["replay", "--workers", wrong, "x.pcap"]);
        assert_eq!(run.status, 2, "{}", run.stderr);
        run.assert_said(&["--workers", wrong, "64"]);
    }
}

#[test]
fn the_reader_may_go_while_workers_work() {
    use std::io::Read as _;
    use std::process::Stdio;
    let capture = support::demo();
    let mut command = support::program();
    command.args(["replay", "--quiet", "--workers", "3"]).arg(capture).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    let mut first = [0; 1];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("an alert");
    // The pipe is closed here; a closed pipe is success.
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}
