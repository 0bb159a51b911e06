//! Standard input as a capture. Alone in its test program, because there is only one.

use std::io::Write;
use std::path::PathBuf;
use std::{fs, io, thread};

use fluxtap_capture::{Batch, Ending, FileStatus, Replay, ReplayOptions, Source};
use tempfile::TempDir;

/// A capture of empty packets at these seconds, on a link type of its own.
fn capture(link: u32, seconds: &[u32]) -> Vec<u8> {
    let header = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0, link];
    let records = seconds.iter().flat_map(|second| [*second, 0, 0, 0]);
    header.into_iter().chain(records).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn standard_input_is_merged_with_files() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, capture(1, &[2, 4])).expect("a writable folder");
    let (from, mut to) = io::pipe().expect("a pipe");
    rustix::stdio::dup2_stdin(&from).expect("a standard input");
    drop(from);
    let writer = thread::spawn(move || {
        to.write_all(&capture(101, &[1, 3, 5])).expect("a reader");
        to.write_all(&[0; 7]).expect("a reader");
    });

    let paths = ["-", "-"].map(PathBuf::from).into_iter().chain([file]);
    let mut replay = Replay::open(paths, ReplayOptions::default());
    assert_eq!(replay.progress().bytes_total, None);
    let mut seen = Vec::new();
    while replay
        .next_batch(&mut |packet| seen.push((packet.at.secs(), packet.link.0)))
        .expect("a replay does not fail")
        != Batch::End
    {}
    writer.join().expect("the writer has written");

    assert_eq!(seen, [(1, 101), (2, 1), (3, 101), (4, 1), (5, 101)]);
    let statuses: Vec<_> = replay.report().into_iter().map(|report| report.status).collect();
    let cut = Ending::Cut { offset: 72, expected_bytes: 16, present_bytes: 7 };
    let expected = [
        FileStatus::Read(cut),
        FileStatus::DuplicateOf(PathBuf::from("-")),
        FileStatus::Read(Ending::Complete),
    ];
    assert_eq!(statuses, expected);
}
