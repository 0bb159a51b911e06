//! A process that really runs out of descriptors. Alone in its test program, because the limit
//! holds for the whole process.

use std::fs::{self, File};
use std::path::PathBuf;

use fluxtap_capture::{Batch, FileClass, Replay, ReplayOptions, Source};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

const FILES: u32 = 200;
const ROUNDS: u32 = 500;

#[test]
fn files_are_closed_when_the_system_has_no_more() {
    let folder = TempDir::new().expect("a temporary folder");
    let paths: Vec<PathBuf> = (0..FILES)
        .map(|file| {
            let path = folder.path().join(file.to_string());
            fs::write(&path, capture(file)).expect("a writable folder");
            path
        })
        .collect();
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).expect("a lower limit");

    // The default leaves room for others.
    let default = ReplayOptions::default();
    let used = read_in_order(Replay::open(paths.clone(), default));
    assert!(used <= 40, "{used} descriptors");

    // A limit that is set too high is found out by trying, even with three descriptors left.
    let mut taken = Vec::new();
    while let Ok(file) = File::open(&paths[0]) {
        taken.push(file);
    }
    taken.truncate(taken.len() - 3);
    let options = ReplayOptions { open_files_max: Some(1_000), ..Default::default() };
    read_in_order(Replay::open(paths, options));
}

/// A capture whose packets lie between those of all the others.
fn capture(file: u32) -> Vec<u8> {
    let header = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0, 1];
    let records = (0..ROUNDS).flat_map(|round| [round * FILES + file, 0, 4, 4, file]);
    header.into_iter().chain(records).flat_map(u32::to_le_bytes).collect()
}

/// Reads all packets and returns the highest descriptor that was seen in use.
fn read_in_order(mut replay: Replay) -> usize {
    let (mut packets, mut highest) = (0, 0);
    loop {
        let batch = replay
            .next_batch(&mut |packet| {
                assert_eq!(packet.at.secs(), packets);
                packets += 1;
            })
            .expect("a replay does not fail");
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            highest = highest.max(entries.count());
        }
        if batch == Batch::End {
            break;
        }
    }
    assert_eq!(packets, u64::from(FILES * ROUNDS));
    assert!(replay.report().iter().all(|report| report.class() == FileClass::Sound));
    highest
}
