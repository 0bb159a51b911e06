//! Layers of values to the settings in force: flags over environment over files over defaults.

use crate::document::{self, way_on};
use crate::mistake::{Mistakes, Origin};
use crate::sinks::{self, SinkSettings};
use crate::{SETTINGS, Setting, Settings, Value, check, sections};

/// A place values come from, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A file: its name for people, and what is in it.
    Toml {
        /// As it is named in messages.
        path: String,
        /// TOML.
        text: String,
    },
    /// The variables of the environment, whatever their names.
    Environment(Vec<(String, String)>),
    /// Flags, each with the name of the setting it sets.
    Flags(Vec<(&'static str, String)>),
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// Its row in the table.
    pub setting: &'static Setting,
    /// Its value; `None` if it is not set and has no default.
    pub value: Option<Value>,
    /// Where the value came from.
    pub origin: Origin,
}

impl Effective {
    /// The settings of a table as they are before anything is set.
    pub(crate) fn defaults(table: &'static [Setting]) -> Vec<Self> {
        let unset = |setting: &'static Setting| Self {
            setting,
            value: setting.default_value(),
            origin: Origin::Default,
        };
        table.iter().map(unset).collect()
    }
}

/// What came of the layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// For the program.
    pub settings: Settings,
    /// For people, in the order of [`SETTINGS`].
    pub effective: Vec<Effective>,
    /// The sinks for people, in the order of [`Settings::sinks`].
    pub sinks: Vec<LoadedSink>,
}

/// A sink for people.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedSink {
    /// For the program.
    pub settings: SinkSettings,
    /// What of it is set or has a default, in the order of [`crate::SINK_SETTINGS`].
    pub effective: Vec<Effective>,
}

/// Lays the layers over the defaults, each over those before it.
///
/// # Errors
///
/// All mistakes of all layers, also in values that a later layer replaces: they would count when
/// it is gone. Contradictions are looked for between values that are good each by itself.
pub fn load(layers: &[Layer]) -> Result<Loaded, Mistakes> {
    let mut mistakes = Mistakes::default();
    let mut effective = Effective::defaults(SETTINGS);
    let mut sinks = Vec::new();
    for layer in layers {
        for (index, value, origin) in read(layer, &mut mistakes, &mut sinks) {
            effective[index].value = Some(value);
            effective[index].origin = origin;
        }
    }
    let values: Vec<Option<Value>> = effective.iter().map(|e| e.value.clone()).collect();
    let settings = Settings::of(&values).expect("a test proves that each row's type fits its kind");
    check::contradictions(&settings, &effective, &mut mistakes);
    sinks::one_stdout_and_each_name_once(&sinks, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let settings =
        Settings { sinks: sinks.iter().map(|sink| sink.settings.clone()).collect(), ..settings };
    Ok(Loaded { settings, effective, sinks })
}

impl Default for Settings {
    fn default() -> Self {
        load(&[]).expect("a test proves that the defaults are good").settings
    }
}

/// The values of a layer; its sinks are added to those of the layers below.
fn read(
    layer: &Layer,
    mistakes: &mut Mistakes,
    sinks: &mut Vec<LoadedSink>,
) -> Vec<(usize, Value, Origin)> {
    match layer {
        Layer::Toml { path, text } => {
            let (entries, of_sinks) = document::read(path, text, mistakes);
            sinks.extend(of_sinks.into_iter().filter_map(|sink| sinks::load(path, sink, mistakes)));
            let with_origin = |entry: document::Entry| {
                let origin = Origin::Line { path: path.clone(), line: entry.line };
                (entry.index, entry.value, origin)
            };
            entries.into_iter().map(with_origin).collect()
        }
        Layer::Environment(variables) => read_environment(variables, mistakes),
        Layer::Flags(flags) => {
            let read = |(name, text): &(&'static str, String)| {
                let index = SETTINGS.iter().position(|setting| setting.name == *name)?;
                let flag = SETTINGS[index].flag.as_ref()?.long;
                let as_in = |shown: String| match SETTINGS[index].kind {
                    crate::Kind::Switch => format!("--{flag}={shown}"),
                    _ => format!("--{flag} {shown}"),
                };
                parse(index, text, Origin::Flag(flag), as_in, mistakes)
            };
            flags.iter().filter_map(read).collect()
        }
    }
}

/// Variables that are empty count as not set: that is how one takes them back for one command.
fn read_environment(
    variables: &[(String, String)],
    mistakes: &mut Mistakes,
) -> Vec<(usize, Value, Origin)> {
    let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    let mut values = Vec::new();
    for (name, text) in variables.iter().filter(|(_, text)| !text.is_empty()) {
        if let Some(index) = known.iter().position(|variable| variable == name) {
            let as_in = |shown: String| format!("{name}={shown}");
            values.extend(parse(index, text, Origin::Variable(name.clone()), as_in, mistakes));
        } else if is_meant_for_us(name) {
            let way = way_on(name, known.iter().map(String::as_str));
            let said = format!("got a variable that sets nothing, expected a known one; {way}");
            mistakes.push(Origin::Variable(name.clone()), None, said);
        }
    }
    values
}

/// Whether the name begins like that of a setting. Others that only begin with FLUXTAP are left
/// alone: container platforms set FLUXTAP_SERVICE_HOST and the like for a service of that name.
fn is_meant_for_us(name: &str) -> bool {
    let of_section = |section: &str| format!("FLUXTAP_{}_", section.to_uppercase());
    sections().any(|section| !section.contains('.') && name.starts_with(&of_section(section)))
}

fn parse(
    index: usize,
    text: &str,
    origin: Origin,
    as_in: impl Fn(String) -> String,
    mistakes: &mut Mistakes,
) -> Option<(usize, Value, Origin)> {
    let setting = &SETTINGS[index];
    match setting.kind.parse(text) {
        Ok(value) => Some((index, value, origin)),
        Err(said) => {
            let shown = setting.default.or(setting.example).unwrap_or_default().to_owned();
            let said = format!("{said}; as in {}", as_in(shown));
            mistakes.push(origin, Some(setting.name), said);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, MISTAKES_MAX, Tenths, setting};

    fn file(path: &str, text: &str) -> Layer {
        Layer::Toml { path: path.to_owned(), text: text.to_owned() }
    }

    fn environment(variables: &[(&str, &str)]) -> Layer {
        let owned = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Layer::Environment(owned.collect())
    }

    fn flags(flags: &[(&'static str, &str)]) -> Layer {
        Layer::Flags(flags.iter().map(|(name, text)| (*name, (*text).to_owned())).collect())
    }

    /// Value and origin of a setting as `print-config` tells them.
    fn told(loaded: &Loaded, name: &str) -> String {
        let effective = loaded.effective.iter().find(|e| e.setting.name == name).expect("a row");
        let value = effective.value.as_ref().map_or("none".to_owned(), Value::to_string);
        format!("{value} from {}", effective.origin)
    }

    /// Each source alone, and each pair: the one further down the list wins.
    #[test]
    fn precedence() {
        let name = "detect.threshold_low";
        let layers = [
            (file("a.toml", "[detect]\nthreshold_low = 31"), "31 from a.toml:2"),
            (file("b.toml", "\ndetect.threshold_low = 32"), "32 from b.toml:2"),
            (
                environment(&[("FLUXTAP_DETECT_THRESHOLD_LOW", "33")]),
                "33 from environment FLUXTAP_DETECT_THRESHOLD_LOW",
            ),
            (flags(&[(name, "34")]), "34 from flag --threshold-low"),
        ];
        assert_eq!(told(&load(&[]).expect("defaults"), name), "40 from default");
        for (low, (layer, expect)) in layers.iter().enumerate() {
            let alone = load(std::slice::from_ref(layer)).expect("good");
            assert_eq!(told(&alone, name), *expect);
            assert_eq!(told(&alone, "detect.threshold_medium"), "60 from default");
            for (above, expect) in &layers[low + 1..] {
                let both = load(&[layer.clone(), above.clone()]).expect("good");
                assert_eq!(told(&both, name), *expect);
            }
        }
    }

    #[test]
    fn values_reach_their_fields() {
        let text = "\u{feff}# all forms of a table\nsensor = { name = 'a', memory = \"1GiB\" }\n\
                    capture.dns_ports = [53, 5_300]\n[detect.kinds]\nsingle_flux = false\n\
                    [output]\r\nformat = \"\"\"text\"\"\"\r\nstats = '-'\n";
        let variables = [
            ("FLUXTAP_DETECT_THRESHOLD_HIGH", "90.5"),
            ("FLUXTAP_OUTPUT_STATS", ""),
            ("FLUXTAP_SERVICE_HOST", "10.0.0.1"),
            ("PATH", "/bin"),
        ];
        let layers = [file("a", text), environment(&variables), flags(&[("output.quiet", "true")])];
        let settings = load(&layers).expect("good").settings;
        let expect = Settings {
            sensor_name: Some("a".to_owned()),
            memory_bytes: 1 << 30,
            dns_ports: vec![53, 5_300],
            is_single_flux_told: false,
            format: Format::Text,
            stats: Some("-".into()),
            threshold_high_risk: Tenths(905),
            is_quiet: true,
            ..Settings::default()
        };
        assert_eq!(settings, expect);
    }

    /// What is said of one wrong file; the number of mistakes, and what is said at each.
    fn check(text: &str, expect: &[&str]) {
        let mistakes = load(&[file("f.toml", text)]).expect_err(text);
        let said: Vec<String> = mistakes.list.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), expect.len(), "{text}: {said:#?}");
        for (said, expect) in said.iter().zip(expect) {
            for part in expect.split(" .. ") {
                assert!(said.contains(part), "{text}: got {said}, expected {part:?} in it");
            }
        }
        assert!(!mistakes.are_all_in_flags());
    }

    #[test]
    fn each_class_of_mistake_has_its_message() {
        check(
            "[detect]\nthreshold_lo = 1",
            &[
                "f.toml:2: got the unknown setting 'detect.threshold_lo' .. mean 'detect.threshold_low'?",
            ],
        );
        check(
            "[detekt]\nthreshold_low = 1",
            &["f.toml:2: got the .. mean 'detect.threshold_low'?"],
        );
        check(
            "quiet = true",
            &["f.toml:1: got the unknown setting 'quiet' .. mean 'output.quiet'?"],
        );
        check(
            "[weather]",
            &["f.toml:1: got the unknown setting 'weather' .. `fluxtap print-config`"],
        );
        check(
            "[[detect]]\nthreshold_low = 1",
            &["f.toml:1: got a value for 'detect' .. write [detect]"],
        );
        check("detect = 7", &["f.toml:1: got a value for 'detect' .. write [detect]"]);
        check(
            "[detect]\nthreshold_low = \"high\"",
            &[
                "f.toml:2: detect.threshold_low: got \"high\", expected a risk .. as in threshold_low = 40",
            ],
        );
        check("detect.threshold_low = { a = 1 }", &["f.toml:1: detect.threshold_low: got a table"]);
        check(
            "[replay]\nlateness = \"2h\"",
            &[
                "f.toml:2: replay.lateness: got \"2h\", expected a duration from 0s to 15m .. = \"1m\"",
            ],
        );
        check("[replay]\nlateness = 60", &["got 60, expected a duration .. its unit .. = \"1m\""]);
        check(
            "[output]\nquiet = true\n\nquiet = false",
            &["f.toml:4: got 'quiet' a second time, expected each setting .. merge the two"],
        );
        check("[output]\n[run]\n[output]", &["f.toml:3: got 'output' a second time"]);
        check("[output]\nquiet = tru", &["f.toml:2: got no TOML: .. mend the line"]);
        check("[output\nquiet = true", &["f.toml:1: got no TOML: .. mend the line"]);
    }

    /// Also those that a layer above would hide, and those behind a broken line.
    #[test]
    fn all_mistakes_are_told_at_once_in_order() {
        let text = "[output]\nquiet = 7\nformat = \"xml\nstats = \"\"\n[sensor]\nmemry = 1\n";
        let layers = [
            file("a.toml", text),
            file("b.toml", "[output]\nquiet = 8"),
            environment(&[("FLUXTAP_OUTPUT_QUIET", "9"), ("FLUXTAP_OUTPUT_QUIT", "1")]),
            flags(&[("output.quiet", "10"), ("sensor.memory", "1")]),
        ];
        let mistakes = load(&layers).expect_err("mistakes").list;
        let said: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        let fronts = [
            "a.toml:2: output.quiet: got 7",
            "a.toml:3: got no TOML",
            "a.toml:4: output.stats: got \"\"",
            "a.toml:6: got the unknown setting 'sensor.memry'",
            "b.toml:2: output.quiet: got 8",
            "FLUXTAP_OUTPUT_QUIET: got \"9\", expected true or false; as in FLUXTAP_OUTPUT_QUIET=false",
            "FLUXTAP_OUTPUT_QUIT: got a variable that sets nothing",
            "--quiet: got \"10\", expected true or false; as in --quiet=false",
            "--memory: got \"1\" without a unit",
        ];
        assert_eq!(said.len(), fronts.len(), "{said:#?}");
        for (said, front) in said.iter().zip(fronts) {
            assert!(said.starts_with(front), "got {said}, expected {front}");
        }
    }

    #[test]
    fn contradictions_name_both_sides() {
        check(
            "[detect]\nthreshold_low = 60.1\nthreshold_high = 55",
            &[
                "f.toml:2: .. got detect.threshold_low 60.1 (f.toml:2) and detect.threshold_medium 60 (default)",
                "f.toml:3: .. got detect.threshold_medium 60 (default) and detect.threshold_high 55 .. raise",
            ],
        );
        check(
            "privacy.clients = \"hmac\"",
            &[
                "f.toml:1: .. privacy.clients \"hmac\" (f.toml:1) and no privacy.client_key_file .. a key",
            ],
        );
        check(
            "[detect.kinds]\nsingle_flux = false\ndouble_flux = false\nns_flux = false\nip_rotation = false",
            &["f.toml:2: .. detect.kinds.single_flux false .. nothing could alert"],
        );
        check(
            "[tables]\nasn = \"none\"\ncountry = \"c.mmdb\"",
            &[
                "f.toml:2: .. tables.asn \"none\" (f.toml:2) and tables.country \"c.mmdb\" .. owners",
            ],
        );
        check(
            "[capture]\ndns_ports = [53, 4789]\n[capture.tunnels]\ngeneve = [6081, 8472]",
            &[
                "f.toml:2: .. dns_ports [53, 4789] (f.toml:2) and capture.tunnels.vxlan [4789, 8472] (default) .. no port in both",
                "f.toml:4: .. tunnels.vxlan [4789, 8472] (default) and capture.tunnels.geneve [6081, 8472] (f.toml:4) .. no port in both",
            ],
        );
        check(
            "capture.tunnels.gre = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
            &["f.toml:1: .. tunnels.gre [1, 2, .. at most 16 ports of tunnels of all kinds"],
        );
        // A value that is refused is not compared.
        check("[detect]\nthreshold_low = 101\nthreshold_medium = 20", &["f.toml:2: .. got 101"]);
    }

    #[test]
    fn mistakes_in_flags_alone_are_usage() {
        let of = |layers: &[Layer]| load(layers).expect_err("mistakes").are_all_in_flags();
        assert!(of(&[flags(&[("sensor.memory", "1")])]));
        assert!(of(&[flags(&[("detect.threshold_low", "70")])]));
        assert!(!of(&[file("a", "a"), flags(&[("sensor.memory", "1")])]));
        assert!(!of(&[environment(&[("FLUXTAP_SENSOR_MEMORY", "1")])]));
    }

    #[test]
    fn hostile_files_are_bounded() {
        let many: String = (0..50_000).map(|n| format!("a{n} = 1\n")).collect();
        let mistakes = load(&[file("f", &many)]).expect_err("mistakes");
        assert_eq!((mistakes.list.len(), mistakes.more), (MISTAKES_MAX, 50_000 - MISTAKES_MAX));
        let deep = format!("a = {}1{}", "[".repeat(10_000), "]".repeat(10_000));
        let dotted = format!("{}b = 1", "a.".repeat(400_000));
        let header = format!("[{}b]\nc = 1", "a.".repeat(400_000));
        let equals = "=\n".repeat(300_000);
        let long = format!("{} = 1", "a".repeat(100_000));
        for text in [deep, dotted, header, equals, long, "\0".repeat(1_000), "=".repeat(1_000)] {
            let mistakes = load(&[file("f", &text)]).expect_err("mistakes");
            let said = mistakes.list.first().expect("one").to_string();
            assert!(said.len() < 1_000, "{} characters are said", said.len());
        }
    }

    #[test]
    fn every_row_can_be_found() {
        for row in SETTINGS {
            assert_eq!(setting(row.name), Some(row));
        }
        assert_eq!(setting("detect"), None);
    }
}
