//! Every seed, and with them all that fuzzers ever found, through its target.

use fluxtap_fuzz::TARGETS;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[test]
fn seeds_break_no_promise() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut folders: Vec<_> = entries(&seeds);
    for (name, run) in TARGETS {
        let folder = seeds.join(name);
        folders.retain(|other| *other != folder);
        let files = entries(&folder);
        assert!(!files.is_empty(), "no seeds in {}", folder.display());
        for file in files {
            let bytes = fs::read(&file).expect("a readable seed");
            assert!(catch_unwind(|| run(&bytes)).is_ok(), "{} fails", file.display());
        }
    }
    assert!(folders.is_empty(), "seeds of no target: {folders:?}");
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}
