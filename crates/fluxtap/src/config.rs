//! Where the settings come from: files, environment and flags; and the commands that show them.

use crate::cli;
use crate::console::{self, Exit, count};
use crate::inputs::Inputs;
use crate::output;
use crate::sinks;
use crate::threat_lists;
use clap::ArgMatches;
use fluxtap_config::{
    Command as Sensor, Effective, Layer, Loaded, LoadedSink, Origin, Settings, Value, load,
};
use serde_json::{Map, json};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The folder of the default configuration.
pub(crate) const FOLDER: &str = "/etc/fluxtap";

/// The file in it.
pub(crate) const FILE: &str = "fluxtap.toml";

/// The folder in it whose files are laid over that file in the order of their names.
pub(crate) const FOLDER_OF_PARTS: &str = "conf.d";

/// Names a file in place of the default ones, as `--config` does.
pub(crate) const VARIABLE: &str = "FLUXTAP_CONFIG";

/// Largest file that is read, in bytes; one with every setting has some thousands.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Most files that are read from the folder of parts.
const PARTS_MAX: usize = 1_000;

/// What was read.
pub(crate) struct Read {
    /// The settings in force.
    pub(crate) loaded: Loaded,
    /// The files, in the order they were laid over each other.
    files: Vec<String>,
}

/// Where the settings come from: what the command line says of it. The files are read each time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    named: Option<PathBuf>,
    flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// What a command line names, and the flags it gives to the commands of the sensor.
    pub(crate) fn of(matches: &ArgMatches, sensors: &[Sensor]) -> Self {
        let named = matches.get_one::<PathBuf>("config").cloned();
        Self { named, flags: cli::flags_given(matches, sensors) }
    }

    /// Reads all layers; mistakes are said, all of them.
    pub(crate) fn read(&self) -> Result<Read, Exit> {
        read_layers(self.file(), self.flags.clone())
    }

    /// The file that takes the place of the default ones.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let variable = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
        self.named.clone().or_else(|| variable().map(PathBuf::from))
    }
}

/// The settings without any flag, for what only looks at them.
pub(crate) fn of_files() -> Result<Settings, Exit> {
    Ok(Sources::default().read()?.loaded.settings)
}

fn read_layers(named: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Result<Read, Exit> {
    let paths = match named {
        Some(path) => vec![path],
        None => default_files(Path::new(FOLDER)).map_err(|text| {
            console::error(&text);
            Exit::NoInput
        })?,
    };
    let mut layers = Vec::new();
    let mut exit = Exit::Done;
    for path in &paths {
        match read_file(path) {
            Ok(text) => layers.push(Layer::Toml { path: path.display().to_string(), text }),
            Err((failure, text)) => {
                console::error(&text);
                exit = exit.max(failure);
            }
        }
    }
    match environment() {
        Ok(variables) => layers.push(Layer::Environment(variables)),
        Err(failure) => exit = exit.max(failure),
    }
    layers.push(Layer::Flags(flags));
    match load(&layers) {
        Ok(loaded) if exit == Exit::Done => {
            let files = paths.iter().map(|path| path.display().to_string()).collect();
            Ok(Read { loaded, files })
        }
        Ok(_) => Err(exit),
        Err(mistakes) => {
            for mistake in &mistakes.list {
                console::error(&mistake.to_string());
            }
            if mistakes.more > 0 {
                console::error(&format!("and {}", count(mistakes.more as u64, "more mistake")));
            }
            let all_in_flags = mistakes.are_all_in_flags();
            Err(exit.max(if all_in_flags { Exit::Usage } else { Exit::BadConfig }))
        }
    }
}

/// The default file and its parts, as far as they exist.
fn default_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |path: &Path, error: &io::Error| {
        format!("cannot read {}: {error}; permit it, or name another with --config", path.display())
    };
    let mut files = Vec::new();
    let main = folder.join(FILE);
    match main.try_exists() {
        Ok(true) => files.push(main),
        Ok(false) => {}
        Err(error) => return Err(cannot(&main, &error)),
    }
    let parts = folder.join(FOLDER_OF_PARTS);
    let entries = match fs::read_dir(&parts) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(cannot(&parts, &error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| cannot(&parts, &error))?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        // Hidden ones are what editors leave behind.
        if name.ends_with(b".toml") && !name.starts_with(b".") {
            names.push(path);
        }
    }
    if names.len() > PARTS_MAX {
        let (got, folder) = (names.len(), parts.display());
        return Err(format!(
            "got {got} files in {folder}, expected at most {PARTS_MAX}; merge some"
        ));
    }
    names.sort();
    files.append(&mut names);
    Ok(files)
}

/// The text of a file, or the status and what to say.
fn read_file(path: &Path) -> Result<String, (Exit, String)> {
    let place = path.display();
    let cannot = |error: io::Error| {
        let text = format!(
            "--config: cannot read {place}: {error}; name a file that exists and may be read, or \
             none to run with the defaults"
        );
        (Exit::NoInput, text)
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let text = format!(
            "{place}: got more than {FILE_BYTES_MAX} bytes, expected a file of settings; name \
             another"
        );
        return Err((Exit::BadConfig, text));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let text =
            format!("{place}:{line}: got bytes that are no UTF-8, expected text; save it as UTF-8");
        (Exit::BadConfig, text)
    })
}

/// Our variables; what is no text is said.
fn environment() -> Result<Vec<(String, String)>, Exit> {
    let mut variables = Vec::new();
    let mut exit = Exit::Done;
    for (name, text) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("FLUXTAP_")) else {
            continue;
        };
        match text.into_string() {
            Ok(text) => variables.push((name.to_owned(), text)),
            Err(_) => {
                console::error(&format!(
                    "{name}: got bytes that are no UTF-8, expected text; set it anew or unset it"
                ));
                exit = Exit::BadConfig;
            }
        }
    }
    if exit == Exit::Done { Ok(variables) } else { Err(exit) }
}

/// `fluxtap check-config`, after all layers were found to be good: opens what they point to.
pub(crate) fn check(read: &Read) -> Exit {
    let inputs = match Inputs::open(&read.loaded.settings) {
        Ok(inputs) => inputs,
        Err(exit) => return exit,
    };
    if let Err(exit) = sinks::check(&read.loaded.settings) {
        return exit;
    }
    let in_force = |is_of: &dyn Fn(&Origin) -> bool| {
        let settings = read.loaded.effective.iter().filter(|e| is_of(&e.origin)).count();
        format!("{} in force", count(settings as u64, "setting"))
    };
    let mut text = "ok\n".to_owned();
    for file in &read.files {
        let of_file = |o: &Origin| matches!(o, Origin::Line { path, .. } if path == file);
        text += &format!("{file}: {}\n", in_force(&of_file));
    }
    if read.files.is_empty() {
        text +=
            &format!("no file: there is neither {FOLDER}/{FILE} nor one in {FOLDER_OF_PARTS}\n");
    }
    text += &format!("environment: {}\n", in_force(&|o| matches!(o, Origin::Variable(_))));
    text += &format!("flags: {}\n", in_force(&|o| matches!(o, Origin::Flag(_))));
    text += &format!("defaults: {}\n", in_force(&|o| matches!(o, Origin::Default)));
    let entries = inputs.intel.allow().entries().len();
    if let Some(path) = &read.loaded.settings.allow_file {
        text += &format!("{}: {entries} entries of the allow list\n", path.display());
    }
    if !read.loaded.sinks.is_empty() {
        let sinks = count(read.loaded.sinks.len() as u64, "sink");
        text += &format!("{sinks}: their certificates and secrets can be read\n");
    }
    for list in inputs.intel.threats().lists() {
        text += &format!("{}: {}\n", list.source, threat_lists::told(list));
    }
    output::print(&text)
}

/// `fluxtap print-config`.
pub(crate) fn print(loaded: &Loaded, is_json: bool) -> Exit {
    if is_json {
        let settings: Map<String, serde_json::Value> = loaded
            .effective
            .iter()
            .map(|effective| (effective.setting.name.to_owned(), as_json(effective)))
            .collect();
        let of_sink = |sink: &LoadedSink| -> serde_json::Value {
            let key = |e: &Effective| (e.setting.key().to_owned(), as_json(e));
            sink.effective.iter().map(key).collect::<Map<_, _>>().into()
        };
        let sinks: Vec<serde_json::Value> = loaded.sinks.iter().map(of_sink).collect();
        let all = json!({ "settings": settings, "sinks": sinks });
        return output::print(&format!("{all:#}\n"));
    }
    output::print(&fluxtap_config::page::effective(loaded))
}

/// A value with its origin; what has a unit is a text with it, as in a file.
fn as_json(effective: &Effective) -> serde_json::Value {
    let value = effective.value.as_ref().map(|value| match value {
        Value::Switch(is_on) => json!(is_on),
        Value::Count(number) => json!(number),
        Value::Tenths(number) => json!(f64::from(number.0) / 10.0),
        Value::Ports(ports) => json!(ports),
        Value::Texts(texts) => json!(texts),
        value => json!(value.plain()),
    });
    let origin = match &effective.origin {
        Origin::Default => json!({ "kind": "default" }),
        Origin::Line { path, line } => json!({ "kind": "file", "file": path, "line": line }),
        Origin::Variable(name) => json!({ "kind": "environment", "variable": name }),
        Origin::Flag(name) => json!({ "kind": "flag", "flag": format!("--{name}") }),
    };
    json!({ "value": value, "origin": origin })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_files_are_the_main_one_and_its_parts_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let files = || {
            let files = default_files(root).expect("readable");
            let names = files.iter().map(|path| path.strip_prefix(root).expect("below it"));
            names.map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert!(default_files(&root.join("none")).expect("missing is fine").is_empty());
        assert!(files().is_empty());
        fs::create_dir(root.join("conf.d")).expect("a folder");
        for name in ["20-b.toml", "10-z.toml", ".10-a.toml", "10-a.toml~", "README", "5.toml"] {
            fs::write(root.join("conf.d").join(name), "").expect("a file");
        }
        let parts = ["conf.d/10-z.toml", "conf.d/20-b.toml", "conf.d/5.toml"];
        assert_eq!(files(), parts);
        fs::write(root.join("fluxtap.toml"), "").expect("a file");
        assert_eq!(files(), [&["fluxtap.toml"][..], &parts].concat());
        for n in 0..PARTS_MAX {
            fs::write(root.join(format!("conf.d/{n:04}.toml")), "").expect("a file");
        }
        let said = default_files(root).expect_err("too many");
        assert!(said.contains("got 1003 files in"), "{said}");
    }
}
