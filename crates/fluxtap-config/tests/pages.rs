//! The pages made from the table of settings are those in the repository.
//!
//! `GOLDEN_UPDATE=1` writes them anew.

use fluxtap_config::{Kind, SETTINGS, page};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the made part of the documentation begins; it goes on to the end of the file.
const HEADING: &str = "\n## All settings\n\n";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares a file with what it should be, or writes it.
fn check(path: &Path, expected: &str) {
    if std::env::var_os("GOLDEN_UPDATE").is_some() {
        fs::write(path, expected).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return;
    }
    let got = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let differs = got.lines().zip(expected.lines()).position(|(got, expected)| got != expected);
    assert!(
        got == expected,
        "{} is stale from line {}: make golden-update",
        path.display(),
        differs.map_or(got.lines().count().min(expected.lines().count()), |line| line) + 1
    );
}

#[test]
fn the_file_with_every_setting_is_fresh() {
    check(&workspace().join("sensor-config/fluxtap.toml"), &page::file());
}

#[test]
fn the_documentation_is_fresh() {
    let path = workspace().join("docs/configuration.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (head, _) = text.split_once(HEADING).expect("a heading for the settings");
    check(&path, &format!("{head}{HEADING}{}", page::chapter()));
    // What is said of units by hand is said of all units there are.
    for setting in SETTINGS {
        let expected = setting.kind.expected();
        let (Kind::Duration { .. } | Kind::Milliseconds { .. } | Kind::Size { .. }) = setting.kind
        else {
            continue;
        };
        let (_, units) = expected.split_once("its unit (").expect("units in brackets");
        let units = units.trim_end_matches(')').split([',', ' ']);
        for unit in units.filter(|unit| !["", "or"].contains(unit)) {
            assert!(head.contains(&format!("`{unit}`")), "{unit} is missing");
        }
    }
}
