//! The rules of the house that no compiler knows: who may depend on whom, who may read a clock, and
//! that the documents say so. The permission table in `docs/architecture.md` is the rule itself, so
//! that what is written and what is tested cannot part.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a crate may do besides computing, with the words in its source that show that it does.
const PERMISSIONS: [(&str, &[&str]); 9] = [
    ("clock", &["Instant", "SystemTime"]),
    ("threads", &["thread", "crossbeam_channel", "tokio"]),
    ("files", &["fs", "File", "OpenOptions"]),
    ("sockets", &["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener"]),
    // As calls: a sink is called like a stream.
    ("streams", &["stdin()", "stdout()", "stderr()", "println", "eprintln"]),
    (
        "environment",
        &[
            "env::var",
            "env::var_os",
            "env::vars_os",
            "env::args",
            "env::args_os",
            "process::Command",
        ],
    ),
    ("chance", &["RandomState", "OsRng", "getrandom"]),
    ("json", &["serde_json"]),
    ("unsafe", &["unsafe"]),
];

/// Names that only the crate which writes alerts knows; schema, documents and tests aside.
const ALERT_NAMES: [&str; 9] = [
    "risk_score",
    "resolved_ip",
    "openness_gate\"",
    "ecs.version",
    "event.action",
    "flux-new",
    "flux-ongoing",
    "flux-ended",
    "flux-reopened",
];

/// The crate that does.
const ALERT_CRATE: &str = "fluxtap-alert";

/// Longest README, in lines: it is read before anybody knows whether the rest is worth it.
const README_LINES_MAX: usize = 119;

#[test]
fn the_table_lists_every_crate() {
    let in_table: BTreeSet<String> = table().into_iter().map(|row| row.name).collect();
    let in_workspace: BTreeSet<String> = crates().into_iter().map(|c| c.name).collect();
    assert_eq!(in_table, in_workspace, "crates in the permission table, and in the workspace");
}

#[test]
fn dependencies_are_those_of_the_table() {
    let crates = crates();
    for row in table() {
        let Some(found) = crates.iter().find(|c| c.name == row.name) else { continue };
        let (ours, others) = found.split_dependencies();
        assert_eq!(ours, row.ours, "{}: crates of the workspace it uses", row.name);
        assert_eq!(others, row.others, "{}: crates of others it uses", row.name);
    }
}

#[test]
fn arrows_point_up_the_table() {
    assert_eq!(downward_arrows(&table()), Vec::<String>::new());
}

#[test]
fn sources_do_what_the_table_allows() {
    let crates = crates();
    for row in table() {
        let Some(found) = crates.iter().find(|c| c.name == row.name) else { continue };
        let sources = found.shipped_sources();
        assert!(!sources.is_empty(), "{}: no sources at {}", row.name, found.folder.display());
        for (permission, words) in PERMISSIONS {
            let uses = uses_of(words, &sources);
            if row.may.contains(permission) {
                assert!(
                    !uses.is_empty(),
                    "{} may '{permission}' and does not: take it out of the table",
                    row.name
                );
            } else {
                assert_eq!(uses, Vec::<String>::new(), "{} may not '{permission}'", row.name);
            }
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_where_the_table_does_not_allow_it() {
    let crates = crates();
    for row in table().iter().filter(|row| !row.may.contains("unsafe")) {
        let Some(found) = crates.iter().find(|c| c.name == row.name) else { continue };
        for root in ["lib.rs", "main.rs"].map(|root| found.folder.join("src").join(root)) {
            if root.exists() {
                let forbids = read(&root).lines().any(|line| line == "#![forbid(unsafe_code)]");
                assert!(forbids, "{}: no line '#![forbid(unsafe_code)]'", root.display());
            }
        }
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for found in crates() {
        let manifest = read(&found.folder.join("Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true\n"), "{}: other lints", found.name);
    }
}

#[test]
fn alert_names_live_in_one_crate() {
    for found in crates() {
        let sources = found.shipped_sources();
        let uses = uses_of(&ALERT_NAMES, &sources);
        if found.name == ALERT_CRATE {
            assert!(!uses.is_empty(), "{ALERT_CRATE} knows none of its names: the list is stale");
        } else {
            assert_eq!(uses, Vec::<String>::new(), "alert names in {}", found.name);
        }
    }
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let architecture = architecture();
    let reasons = section(&architecture, "## Dependencies, and why each");
    let missing: BTreeSet<String> = crates()
        .iter()
        .flat_map(|c| c.dependencies.iter().map(|(name, _)| name.clone()))
        .filter(|name| !name.starts_with("fluxtap"))
        .filter(|name| !reasons.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(missing, BTreeSet::new(), "dependencies without a reason in docs/architecture.md");
}

#[test]
fn the_readme_is_short() {
    let lines = read(&workspace().join("README.md")).lines().count();
    assert!(lines <= README_LINES_MAX, "got {lines} lines, expected at most {README_LINES_MAX}");
}

#[test]
fn the_alert_in_the_readme_is_what_the_program_says() {
    let output = Command::new(env!("CARGO_BIN_EXE_fluxtap"))
        .args(["replay", "--quiet", "--format", "text", "pcaps/demo/demo.pcap"])
        .env("FLUXTAP_CONFIG", "/dev/null")
        .current_dir(workspace())
        .output()
        .expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("text");
    // An alert begins at the left edge, its further lines are indented.
    let further = text.lines().skip(1).take_while(|line| line.starts_with(' ')).count();
    let first: Vec<&str> = text.lines().take(1 + further).collect();
    assert!(further > 0, "no alert: {text}");
    let expect = format!("```text\n{}\n```\n", first.join("\n"));
    let readme = read(&workspace().join("README.md"));
    assert!(readme.contains(&expect), "README.md should show:\n{expect}");
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut broken = Vec::new();
    let mut links = 0;
    for document in documents() {
        let folder = document.parent().expect("a document lies in a folder");
        for target in links_of(&read(&document)) {
            links += 1;
            if !folder.join(&target).exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(links > 0, "no links found: the search is broken");
    assert_eq!(broken, Vec::<String>::new());
}

/// A row of the permission table.
#[derive(Debug)]
struct Row {
    name: String,
    ours: BTreeSet<String>,
    others: BTreeSet<String>,
    may: BTreeSet<String>,
}

/// The permission table, in its order.
fn table() -> Vec<Row> {
    rows(section(&architecture(), "## Permission table"))
}

fn rows(section: &str) -> Vec<Row> {
    let words = |cell: &str| -> BTreeSet<String> {
        let words = cell.split(',').map(|word| word.trim().trim_matches('`').to_owned());
        words.filter(|word| !word.is_empty() && word != "-").collect()
    };
    let rows: Vec<Row> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let [name, ours, others, may] = cells[..] else { panic!("four cells: {line}") };
            let name = name.trim().trim_matches('`').to_owned();
            let row = Row { name, ours: words(ours), others: words(others), may: words(may) };
            for word in &row.may {
                assert!(PERMISSIONS.iter().any(|(p, _)| p == word), "no permission '{word}'");
            }
            row
        })
        .collect();
    assert!(!rows.is_empty(), "no rows in the permission table");
    rows
}

/// Dependencies on a crate of the workspace that does not stand above in the table.
fn downward_arrows(rows: &[Row]) -> Vec<String> {
    let mut above = BTreeSet::new();
    let mut found = Vec::new();
    for row in rows {
        let wrong = row.ours.iter().filter(|name| !above.contains(*name));
        found.extend(wrong.map(|name| format!("{} -> {name}", row.name)));
        above.insert(row.name.clone());
    }
    found
}

/// A crate of the workspace.
#[derive(Debug)]
struct Crate {
    name: String,
    folder: PathBuf,
    /// Name, and whether it is in the shipped code (not for tests or builds alone).
    dependencies: Vec<(String, bool)>,
}

impl Crate {
    fn split_dependencies(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let shipped = self.dependencies.iter().filter(|(_, is_shipped)| *is_shipped);
        shipped.map(|(name, _)| name.clone()).partition(|name| name.starts_with("fluxtap"))
    }

    /// Files below `src` with the code that is not for tests.
    fn shipped_sources(&self) -> BTreeMap<PathBuf, String> {
        let files = rust_files(&self.folder.join("src"));
        let mut of_tests = BTreeSet::new();
        let mut sources = BTreeMap::new();
        for file in files {
            let (code, modules) = without_tests(&read(&file));
            let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
                Some("lib" | "main" | "mod") | None => file.parent().map(Path::to_path_buf),
                Some(_) => Some(file.with_extension("")),
            };
            let folder = folder.unwrap_or_default();
            of_tests.extend(modules.iter().map(|m| folder.join(format!("{m}.rs"))));
            sources.insert(file, code);
        }
        sources.retain(|file, _| !of_tests.contains(file));
        sources
    }
}

/// The crates as cargo sees them.
fn crates() -> Vec<Crate> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON from cargo");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    list(&metadata["packages"])
        .iter()
        .map(|package| Crate {
            name: text(&package["name"]),
            folder: PathBuf::from(text(&package["manifest_path"]))
                .parent()
                .expect("a manifest lies in a folder")
                .to_path_buf(),
            dependencies: list(&package["dependencies"])
                .iter()
                .map(|d| (text(&d["name"]), d["kind"].is_null()))
                .collect(),
        })
        .collect()
}

/// The code without comment lines and without what `#[cfg(test)]` guards, and the names of modules
/// that are for tests and lie in files of their own. Relies on formatted code: a module at the left
/// edge ends with a brace at the left edge.
fn without_tests(source: &str) -> (String, Vec<String>) {
    let mut code = String::new();
    let mut modules = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        if line.trim() != "#[cfg(test)]" {
            code += line;
            code.push('\n');
            continue;
        }
        let item = lines.next().unwrap_or_default();
        let module = item.rsplit_once("mod ").map(|(_, rest)| rest);
        match module.map(|rest| (rest.strip_suffix(';'), rest.ends_with(" {"))) {
            Some((Some(name), _)) => modules.push(name.to_owned()),
            Some((None, true)) => {
                let _ = lines.by_ref().find(|line| *line == "}").expect("the module's end");
            }
            _ => panic!("behind #[cfg(test)]: got '{item}', expected a module"),
        }
    }
    (code, modules)
}

/// Where one of `words` stands as a word of its own: file, word and line of code.
fn uses_of(words: &[&str], sources: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let mut uses = Vec::new();
    for (file, code) in sources {
        for line in code.lines() {
            for word in words.iter().filter(|word| has_word(line, word)) {
                uses.push(format!("{}: '{word}' in: {}", file.display(), line.trim()));
            }
        }
    }
    uses
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !is_part(before.chars().next_back()) && !is_part(after.chars().next())
    })
}

/// Targets of the links to files in a Markdown text.
fn links_of(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .map(|target| target.split('#').next().unwrap_or_default().to_owned())
        .collect()
}

/// The part of a document under a heading of the second level.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, rest) = document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| {
        panic!("docs/architecture.md has no heading '{heading}'");
    });
    rest.split("\n## ").next().unwrap_or(rest)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

fn architecture() -> String {
    read(&workspace().join("docs/architecture.md"))
}

fn documents() -> Vec<PathBuf> {
    let root = workspace();
    let mut folders = vec![root.clone(), root.join("docs"), root.join("sensor-config")];
    let pcaps = root.join("pcaps");
    folders.extend(entries(&pcaps).into_iter().filter(|path| path.is_dir()));
    folders.push(pcaps);
    let files = folders.iter().flat_map(|folder| entries(folder));
    files.filter(|path| has_extension(path, "md")).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in entries(folder) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if has_extension(&path, "rs") {
            files.push(path);
        }
    }
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e == extension)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The checks themselves: each finds what it is there to find.
mod checks {
    use super::*;

    const SOURCE: &str = "\
//! Says std::fs in a comment.
use std::fs;

#[cfg(test)]
mod testing;

fn now() -> Instant {
    // Not an Instant.
    Instants::unsafe_code()
}

#[cfg(test)]
mod tests {
    use std::thread;
    fn nested() {
    }
}
fn behind() {}
";

    #[test]
    fn code_for_tests_and_comments_are_left_out() {
        let (code, modules) = without_tests(SOURCE);
        assert_eq!(modules, ["testing"]);
        let kept: Vec<&str> = code.lines().filter(|line| !line.is_empty()).collect();
        let expect = [
            "use std::fs;",
            "fn now() -> Instant {",
            "    Instants::unsafe_code()",
            "}",
            "fn behind() {}",
        ];
        assert_eq!(kept, expect);
    }

    #[test]
    fn words_are_found_whole() {
        let sources = BTreeMap::from([(PathBuf::from("a.rs"), without_tests(SOURCE).0)]);
        let count = |words: &[&str]| uses_of(words, &sources).len();
        assert_eq!(count(&["Instant", "SystemTime"]), 1);
        assert_eq!(count(&["fs", "File"]), 1);
        assert_eq!(count(&["unsafe"]), 0);
        assert_eq!(count(&["thread"]), 0);
    }

    #[test]
    fn an_arrow_down_the_table_is_found() {
        let rows =
            rows("| `a` | - | `x` | - |\n| `b` | `a`, `c` | - | clock |\n| `c` | - | - | - |");
        assert_eq!(downward_arrows(&rows), ["b -> c"]);
        assert_eq!(rows[0].others, BTreeSet::from(["x".to_owned()]));
        assert_eq!(rows[1].may, BTreeSet::from(["clock".to_owned()]));
    }

    #[test]
    #[should_panic(expected = "no permission 'magic'")]
    fn an_unknown_permission_is_refused() {
        let _ = rows("| `a` | - | - | magic |");
    }

    #[test]
    fn links_to_files_are_found() {
        let text = "[a](docs/a.md) [b](https://b.example/) [c](#c) and [d](d.md#part)";
        assert_eq!(links_of(text), ["docs/a.md", "d.md"]);
    }
}
