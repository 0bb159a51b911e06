//! A disk without room for the spool and for a file of lines: who needs neither goes on, and nothing
//! is lost or torn for those who do.
//!
//! The test runs itself with a small file system of its own, which takes a mount namespace.

mod support;

use fluxtap_sink::{Dialect, FileOptions, Keep, Target};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use support::{Fake, check_law, http, ids, ok, open, record, sink, spool, wait};

/// Folder of the small file system.
const FOLDER: &str = "FLUXTAP_SMALL_DISK";

/// Lines that are delivered.
const LINES: u64 = 40;

#[test]
fn a_full_disk_costs_nothing_but_time() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        fill_and_empty(Path::new(&folder));
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = "mount -t tmpfs -o size=512k tmpfs \"$1\" && exec \"$2\" --exact \
                  a_full_disk_costs_nothing_but_time --nocapture";
    let isolated = |script: &str| {
        Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(folder.path())
            .arg(std::env::current_exe().expect("a path"))
            .env(FOLDER, folder.path())
            .output()
    };
    if !isolated("mount -t tmpfs tmpfs \"$1\"").is_ok_and(|done| done.status.success()) {
        let why = "got no right to mount in a namespace, expected it; run as root";
        let _ = writeln!(std::io::stderr(), "SKIPPED a_full_disk_costs_nothing_but_time: {why}");
        return;
    }
    let done = isolated(script).expect("runs");
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}

fn fill_and_empty(folder: &Path) {
    let ballast = folder.join("ballast");
    let mut file = File::create(&ballast).expect("made");
    while file.write_all(&[0; 4_096]).is_ok() {}
    drop(file);
    let path = folder.join("alerts.jsonl");
    let fake = Fake::new(|_, _| ok());
    let file =
        FileOptions { path: path.clone(), rotate_octets: None, rotate_age: None, rotate_keep: 0 };
    let sinks = [
        sink("file", Target::File(file)),
        sink("http", Target::Http(http(&fake.url, Dialect::Webhook))),
    ];
    let (delivery, said) = open(&sinks, &spool(folder));
    let delivery = delivery.expect("starts on a full disk");
    for n in 0..LINES {
        delivery.push(record(&format!("e{n}"), Keep::Always));
    }
    let counts = wait(&delivery, "a fault", |counts| counts.faults > 0 && counts.accepted == LINES);
    assert!(counts.last_fault.contains("No space left") && counts.last_fault.contains("make room"));
    assert!(counts.is_spool_failing);
    assert_eq!((counts.waiting, counts.unspooled, counts.delivered), (LINES, LINES, 0));
    wait(&delivery, "the other sink", |_| delivery.counts()[1].delivered == LINES);
    assert_eq!(fs::metadata(&path).expect("there").len(), 0, "no half line");
    fs::remove_file(ballast).expect("removed");
    let counts = wait(&delivery, "room", |counts| counts.delivered == LINES && counts.waiting == 0);
    check_law(&counts);
    let lines = fs::read_to_string(&path).expect("there");
    assert_eq!(ids(&lines), (0..LINES).map(|n| format!("e{n}")).collect::<Vec<_>>());
    // The spool is in use again.
    delivery.push(record("last", Keep::Always));
    wait(&delivery, "the spool", |counts| !counts.is_spool_failing && counts.delivered > LINES);
    let said = said.lock().expect("sound");
    let of_spool = said.iter().filter(|notice| notice.text.contains("cannot write the spool"));
    assert_eq!(of_spool.count(), 2, "once a sink: {said:#?}");
}
