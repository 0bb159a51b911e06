//! The corpus of real captures, and what tests of several crates need to look into it.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Folders of the corpus.
const FOLDERS: [&str; 5] = ["benign", "encap", "flux", "formats", "malformed"];

/// The corpus, or `None` with a message where it may be missing.
pub(crate) fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("FLUXTAP_CORPUS")
        .map_or_else(|| workspace().join("../shared/corpus"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let at = folder.display();
    assert!(
        std::env::var_os("FLUXTAP_REQUIRE_CORPUS").is_none(),
        "got no corpus at {at}, expected one: set FLUXTAP_CORPUS to its folder"
    );
    say(&format!("corpus tests skipped: no corpus at {at}; set FLUXTAP_CORPUS to its folder"));
    None
}

/// The files of one folder of the corpus.
pub(crate) fn files(corpus: &Path, folder: &str) -> Vec<PathBuf> {
    let folder = corpus.join(folder);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no files", folder.display());
    files
}

/// The files of all its folders.
pub(crate) fn all_files(corpus: &Path) -> Vec<PathBuf> {
    FOLDERS.iter().flat_map(|folder| files(corpus, folder)).collect()
}

/// Rows of a tab-separated file, by the names of its columns; lines with `#` are comments.
pub(crate) fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut lines = lines.map(|line| line.split('\t').map(str::to_owned));
    let header: Vec<String> = lines.next().expect("a header").collect();
    lines.map(|line| header.iter().cloned().zip(line).collect()).collect()
}

/// Says something that shows even when the test passes.
pub(crate) fn say(text: &str) {
    writeln!(io::stderr(), "{text}").expect("a standard error");
}

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
