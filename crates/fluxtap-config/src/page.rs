//! The pages that people read, made from the table: the file with every setting, the chapter of
//! the documentation, and the settings in force.

use crate::value::escaped;
use crate::{Loaded, SETTINGS, SINK_SETTINGS, Setting, SinkType, sections};
use std::fmt::Write as _;

/// Widest line of the file with every setting, in columns.
const COLUMNS_MAX: usize = 100;

const FILE_HEAD: &str = "\
# The settings of fluxtap, each with its default, or an example where it has none, commented out.
#
# This file is made from the table of settings in crates/fluxtap-config/src/table.rs.
# Copy it to /etc/fluxtap/fluxtap.toml, or lay a file with a few of these lines into
# /etc/fluxtap/conf.d/; `fluxtap check-config` finds what is wrong in them.
# Flags go over environment variables, these over conf.d/*.toml (the later name wins), these over
# fluxtap.toml, and that over the defaults.
";

/// The end of that file: there is no default to show, so there are examples, whose settings
/// [`chapter`] explains.
const SINKS: &str = r#"
# Where alerts are delivered to, a table for each; docs/delivery.md has a recipe for each type.
# Without any, `run` writes to standard output alone.

#[[sinks]]
#name = "console"
#type = "stdout"
#format = "text"

#[[sinks]]
#name = "log"
#type = "file"
#path = "/var/log/fluxtap/alerts.jsonl"
#rotate_size = "100MiB"

#[[sinks]]
#name = "collector"
#type = "syslog"
#transport = "tls"
#address = "siem.example:6514"
#ca_file = "/etc/fluxtap/ca.pem"

#[[sinks]]
#name = "hook"
#type = "webhook"
#url = "https://hook.example/alerts"
#token_file = "/etc/fluxtap/hook.token"
#severity = "medium"

#[[sinks]]
#name = "elastic"
#type = "elasticsearch"
#url = "https://elastic.example:9200"
#index = "logs-fluxtap.alert-default"
#token_file = "/etc/fluxtap/elastic.token"
#gzip = true

#[[sinks]]
#name = "splunk"
#type = "splunk_hec"
#url = "https://splunk.example:8088/services/collector/event"
#token_file = "/etc/fluxtap/splunk.token"
"#;

/// The file with every setting commented out. With the `#` in front of the settings taken away it
/// is a good file.
#[must_use]
pub fn file() -> String {
    let mut text = FILE_HEAD.to_owned();
    for section in sections() {
        let _ = write!(text, "\n[{section}]\n");
        for setting in of_section(section) {
            text.push('\n');
            comment(&mut text, setting.headline());
            for paragraph in setting.paragraphs() {
                comment(&mut text, &paragraph);
            }
            for word in setting.kind.words() {
                comment(&mut text, &format!("  {}: {}", word.name, word.meaning.trim()));
            }
            comment(&mut text, &format!("Accepted: {}.", setting.kind.expected()));
            let _ = writeln!(text, "#{} = {}", setting.key(), setting.shown());
        }
    }
    text + SINKS
}

/// A chapter of Markdown with all settings: a table of each section and the words of each setting.
#[must_use]
pub fn chapter() -> String {
    let mut text = String::new();
    for section in sections() {
        let _ = write!(text, "### `[{section}]`\n\n");
        text += "| setting | what it is | default | accepted | flag |\n|---|---|---|---|---|\n";
        for setting in of_section(section) {
            let flag = setting.flag.as_ref();
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {} |",
                setting.name,
                setting.headline(),
                setting.default_value().map_or("none".to_owned(), |v| format!("`{v}`")),
                setting.kind.expected(),
                flag.map_or("none".to_owned(), |flag| format!("`--{}`", flag.long)),
            );
        }
        text.push('\n');
        for setting in of_section(section) {
            words(&mut text, setting);
        }
    }
    text += &sinks();
    format!("{}\n", text.trim_end())
}

/// The part of the chapter on `[[sinks]]`.
fn sinks() -> String {
    let mut text = "### `[[sinks]]`\n\n".to_owned();
    text += "A table for each sink, any number of them; those of all files are taken together.\n\n";
    text += "| setting | what it is | default | accepted | types |\n|---|---|---|---|---|\n";
    for setting in SINK_SETTINGS {
        let words = |types: &[SinkType]| {
            let word = |t: &SinkType| SinkType::WORDS.get(*t as usize).map(|word| word.name);
            types.iter().filter_map(word).collect::<Vec<_>>().join(", ")
        };
        let is_of_all = setting.types.len() == SinkType::WORDS.len();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            setting.key(),
            setting.headline(),
            setting.default_value().map_or("none".to_owned(), |v| format!("`{v}`")),
            setting.kind.expected(),
            if is_of_all { "all".to_owned() } else { words(setting.types) },
        );
    }
    text.push('\n');
    for setting in SINK_SETTINGS {
        words(&mut text, setting);
    }
    text
}

/// What there is to say of a setting beside its row.
fn words(text: &mut String, setting: &Setting) {
    let meanings = setting.kind.words();
    let paragraphs: Vec<String> = setting.paragraphs().collect();
    if meanings.is_empty() && paragraphs.is_empty() {
        return;
    }
    let _ = write!(text, "**`{}`**\n\n", setting.name);
    for word in meanings {
        let _ = writeln!(text, "* `{}`: {}", word.name, word.meaning.trim());
    }
    if !meanings.is_empty() {
        text.push('\n');
    }
    for paragraph in paragraphs {
        // One sentence a line, as in all documents.
        let _ = write!(text, "{}\n\n", paragraph.replace(". ", ".\n"));
    }
}

/// The settings in force as TOML, each with a comment that says where it came from.
#[must_use]
pub fn effective(loaded: &Loaded) -> String {
    let mut text = String::new();
    for section in sections() {
        let between = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{between}[{section}]");
        for effective in loaded.effective.iter().filter(|e| e.setting.section() == section) {
            let origin = escaped(&effective.origin.to_string());
            let _ = match &effective.value {
                Some(value) => writeln!(text, "{} = {value}  # {origin}", effective.setting.key()),
                None => writeln!(text, "# {} is not set", effective.setting.key()),
            };
        }
    }
    for sink in &loaded.sinks {
        text += "\n[[sinks]]\n";
        for effective in &sink.effective {
            let origin = escaped(&effective.origin.to_string());
            if let Some(value) = &effective.value {
                let _ = writeln!(text, "{} = {value}  # {origin}", effective.setting.key());
            }
        }
    }
    text
}

fn of_section(section: &str) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.section() == section)
}

/// Appends a comment, broken between words.
fn comment(text: &mut String, words: &str) {
    let mut line = "#".to_owned();
    for word in words.split(' ') {
        if line.len() + 1 + word.len() > COLUMNS_MAX {
            let _ = writeln!(text, "{line}");
            line = "#".to_owned();
        }
        line.push(' ');
        line += word;
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layer, Origin, load};

    fn read(text: &str) -> Loaded {
        let layer = Layer::Toml { path: "f".to_owned(), text: text.to_owned() };
        load(&[layer]).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:#?}"))
    }

    #[test]
    fn the_file_changes_nothing_and_uncommented_sets_everything_as_it_was() {
        let text = file();
        assert!(text.lines().all(|line| line.len() <= COLUMNS_MAX));
        let text = text.strip_suffix(SINKS).expect("sinks at the end");
        let untouched = read(text);
        assert!(untouched.effective.iter().all(|e| e.origin == Origin::Default));
        let is_setting = |line: &&str| line.starts_with('#') && !line.starts_with("# ");
        let settings = text.lines().filter(is_setting).filter(|line| line.len() > 1).count();
        assert_eq!(settings, SETTINGS.len());
        let lines = text.lines().map(|line| if is_setting(&line) { &line[1..] } else { line });
        let set = read(&lines.collect::<Vec<_>>().join("\n"));
        for (before, after) in untouched.effective.iter().zip(&set.effective) {
            assert!(matches!(after.origin, Origin::Line { .. }), "{}", after.setting.name);
            if before.value.is_some() {
                assert_eq!(before.value, after.value, "{}", after.setting.name);
            }
        }
    }

    #[test]
    fn the_examples_of_sinks_are_good_and_of_every_type() {
        assert!(read(SINKS).settings.sinks.is_empty());
        let lines = SINKS.lines().filter(|line| !line.starts_with("# "));
        let uncommented: Vec<&str> = lines.map(|line| line.trim_start_matches('#')).collect();
        let loaded = read(&uncommented.join("\n"));
        let types: Vec<&str> =
            loaded.settings.sinks.iter().map(|s| SinkType::WORDS[s.kind as usize].name).collect();
        assert_eq!(types, SinkType::WORDS.iter().map(|word| word.name).collect::<Vec<_>>());
        let again = read(&effective(&loaded));
        assert_eq!(again.settings, loaded.settings, "what is in force is read back");
    }

    #[test]
    fn what_is_in_force_can_be_read_back() {
        let layers = [
            Layer::Toml {
                path: "a\nb = 1".to_owned(),
                text: "[output]\nstats = \"a\\\"\\n\\u202e\"\n[sensor]\nname = \"n\"".to_owned(),
            },
            Layer::Flags(vec![("detect.threshold_low", "39.5".to_owned())]),
        ];
        let loaded = load(&layers).expect("good");
        let text = effective(&loaded);
        assert!(text.contains("name = \"n\"  # a\\U0000000ab = 1:4\n"), "{text}");
        assert!(text.contains("threshold_low = 39.5  # flag --threshold-low\n"), "{text}");
        assert!(text.contains("threshold_high = 80  # default\n"), "{text}");
        assert!(text.contains("# client_key_file is not set\n"), "{text}");
        assert_eq!(read(&text).settings, loaded.settings);
    }

    #[test]
    fn the_chapter_has_every_setting_and_word() {
        let text = chapter();
        for setting in SETTINGS {
            assert!(text.contains(&format!("| `{}` |", setting.name)), "{}", setting.name);
            for word in setting.kind.words() {
                assert!(text.contains(&format!("* `{}`: ", word.name)), "{}", word.name);
            }
            if let Some(flag) = &setting.flag {
                assert!(text.contains(&format!("| `--{}` |", flag.long)), "{}", flag.long);
            }
        }
    }
}
