//! Settings as people give them: files, variables and flags through the program, and the commands
//! that show them.
//!
//! `FLUXTAP_UPDATE_GOLDEN=1` writes what `print-config` says now.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use support::{Run, Running, folder, number, write};
use tempfile::TempDir;

/// A file with one setting of each form.
const SITE: &str = "\
[sensor]
name = \"tap-7\"
memory = \"2GiB\"

[capture]
dns_ports = [53, 5300]

[detect]
threshold_low = 42.5
kinds.double_flux = false

[alerts]
update_interval = \"1h\"

[output]
stats = \"/tmp/a \\\"b\\\".json\"
";

/// Runs the program in a folder, so that messages name files as they are called there.
fn run(folder: &TempDir, args: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = support::program();
    command.args(args).envs(variables.iter().copied()).current_dir(folder.path());
    Running::spawn(&mut command).finish()
}

fn text(run: &Run) -> &str {
    str::from_utf8(&run.stdout).expect("text")
}

#[test]
fn check_config_says_what_was_read() {
    let folder = folder();
    write(&folder, "site.toml", SITE.as_bytes());
    let args = ["check-config", "--config", "site.toml", "--memory", "1GiB", "-q"];
    let run = run(&folder, &args, &[("FLUXTAP_RUN_LATENESS", "3s")]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let defaults = text(&run).lines().last().unwrap_or_default();
    assert!(defaults.starts_with("defaults: "), "{}", text(&run));
    let expect = "ok\n\
                  site.toml: 6 settings in force\n\
                  environment: 1 setting in force\n\
                  flags: 2 settings in force\n";
    assert_eq!(text(&run), format!("{expect}{defaults}\n"));
}

/// What sinks name is read, and nobody is reached for.
#[test]
fn check_config_reads_the_files_of_sinks() {
    let folder = folder();
    let sinks = "[[sinks]]\nname = 'hook'\ntype = 'webhook'\nurl = 'https://127.0.0.1:1/'\n\
                 ca_file = 'ca.pem'\ntoken_file = 'token'\n\
                 [[sinks]]\nname = 'log'\ntype = 'file'\npath = 'alerts.jsonl'\n";
    write(&folder, "site.toml", sinks.as_bytes());
    write(&folder, "ca.pem", b"no certificate\n");
    let args = ["check-config", "--config", "site.toml"];
    let wrong = run(&folder, &args, &[]);
    assert_eq!(wrong.status, 78, "{}", wrong.stderr);
    let expect = "fluxtap: error: sink hook: ca.pem: got no certificate, expected one or more";
    assert!(wrong.stderr.starts_with(expect), "{}", wrong.stderr);
    // Without TLS, so that it does not matter whom the system trusts.
    let plain = sinks.replace("ca_file", "#").replace("https", "http");
    write(&folder, "site.toml", plain.as_bytes());
    let wrong = run(&folder, &args, &[]);
    let expect = "fluxtap: error: sink hook: cannot read token: No such file";
    assert!(wrong.stderr.starts_with(expect), "{}", wrong.stderr);
    write(&folder, "token", b"secret\n");
    let token = folder.path().join("token");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("set");
    let open = run(&folder, &args, &[]);
    let expect = "fluxtap: warning: sink hook: token: got a secret that everybody may read (mode";
    assert!(open.status == 0 && open.stderr.starts_with(expect), "{}", open.stderr);
    fs::set_permissions(&token, fs::Permissions::from_mode(0o640)).expect("set");
    let good = run(&folder, &args, &[]);
    assert_eq!((good.status, good.stderr.as_str()), (0, ""));
    assert!(text(&good).ends_with("2 sinks: their certificates and secrets can be read\n"));
    assert!(!folder.path().join("alerts.jsonl").exists(), "nothing is written");
    let json = run(&folder, &["print-config", "--json", "--config", "site.toml"], &[]);
    let json: Value = serde_json::from_str(text(&json)).expect("JSON");
    assert_eq!(json["sinks"][1]["rotate_keep"]["value"], 7);
    assert_eq!(json["sinks"][0]["url"]["origin"]["line"], 4);
}

/// The example of the documentation, so that it stays true.
#[test]
fn all_mistakes_are_told_at_once_as_documented() {
    let folder = folder();
    let wrong = "[sensor]\n# in the wrong order\nmemroy = \"1GiB\"\n\n[replay]\nlateness = 60\n\n\
                 [detect]\nthreshold_medium = 85\n";
    write(&folder, "site.toml", wrong.as_bytes());
    let capture = support::demo();
    let stats = folder.path().join("stats.json");
    let [capture, stats_path] = [&capture, &stats].map(|p| p.to_str().expect("a plain path"));
    let config = ["--config", "site.toml"];
    for args in [
        &["check-config"][..],
        &["print-config"],
        &["replay", "--stats", stats_path, capture],
        &["run", "-i", "lo"],
    ] {
        let run = run(&folder, &[args, &config].concat(), &[]);
        assert_eq!(run.status, 78, "{args:?}: {}", run.stderr);
        assert!(run.stdout.is_empty() && !stats.exists(), "{args:?}: something was started");
        assert_eq!(run.stderr.lines().count(), 3, "{args:?}: {}", run.stderr);
        let docs = fs::read_to_string(support::workspace().join("docs/configuration.md"));
        let documented = format!("```text\n{}```\n", run.stderr);
        assert!(docs.expect("the page").contains(&documented), "docs should show {documented}");
    }
}

/// One bad file of each class beside those of the parser's own tests: what is said, and the status.
#[test]
fn files_that_cannot_be_read() {
    let folder = folder();
    write(&folder, "latin1.toml", b"[sensor]\nname = \"gr\xfc\"\n");
    write(&folder, "large.toml", &b"# a\n".repeat(300_000));
    for (path, status, parts) in [
        ("none.toml", 66, ["cannot read none.toml: No such file", "name a file that exists"]),
        (".", 66, ["cannot read .: Is a directory", "or none to run with the defaults"]),
        ("latin1.toml", 78, ["latin1.toml:2: got bytes that are no UTF-8", "save it as UTF-8"]),
        ("large.toml", 78, ["large.toml: got more than 1048576 bytes", "name another"]),
    ] {
        let by_flag = run(&folder, &["check-config", "--config", path], &[]);
        let by_variable = run(&folder, &["check-config"], &[("FLUXTAP_CONFIG", path)]);
        for run in [by_flag, by_variable] {
            assert_eq!((run.status, text(&run)), (status, ""), "{path}: {}", run.stderr);
            run.assert_said(&parts);
        }
    }
}

#[test]
fn mistakes_in_variables_are_configuration_and_in_flags_usage() {
    let folder = folder();
    let of = |args: &[&str], variables: &[(&str, &str)]| {
        let run = run(&folder, args, variables);
        (run.status, run.stderr)
    };
    let (status, said) = of(&["check-config"], &[("FLUXTAP_OUTPUT_QUITE", "1")]);
    assert_eq!(status, 78, "{said}");
    assert!(said.contains("did you mean 'FLUXTAP_OUTPUT_QUIET'?"), "{said}");
    let (status, said) = of(&["replay", "--memory", "1", "--color", "blue", "x"], &[]);
    assert_eq!((status, said.lines().count()), (2, 2), "{said}");
    assert!(said.contains("--color: got \"blue\", expected auto or always or never"), "{said}");
    let (status, said) = of(&["replay", "--threshold-low", "90", "x"], &[]);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("90 (flag --threshold-low) and detect.threshold_medium 60"), "{said}");
}

#[test]
fn print_config_says_where_values_came_from() {
    let folder = folder();
    write(&folder, "site.toml", SITE.as_bytes());
    let args = ["print-config", "--config", "site.toml", "--lateness", "5s", "--format=text"];
    let variables = [("FLUXTAP_SENSOR_NAME", "tap-8"), ("FLUXTAP_PRIVACY_CLIENTS", "")];
    let toml = run(&folder, &args, &variables);
    assert_eq!((toml.status, toml.stderr.as_str()), (0, ""));
    let golden = support::workspace().join("crates/fluxtap/tests/expect/print-config.toml");
    if std::env::var_os("FLUXTAP_UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &toml.stdout).expect("a writable folder");
    }
    let expected = fs::read_to_string(&golden).expect("the golden file");
    assert_eq!(text(&toml), expected, "if the change is meant: make golden-update");

    // What is printed is a good file that says the same.
    write(&folder, "printed.toml", &toml.stdout);
    let again = run(&folder, &["print-config", "--config", "printed.toml"], &[]);
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(text(&again)), values(text(&toml)));

    let json = run(&folder, &[&args[..], &["--json"]].concat(), &variables);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let file = |line: u64| json!({ "kind": "file", "file": "site.toml", "line": line });
    for (name, value, origin) in [
        ("sensor.memory", json!("2GiB"), file(3)),
        ("capture.dns_ports", json!([53, 5300]), file(6)),
        ("detect.threshold_low", json!(42.5), file(9)),
        ("detect.kinds.double_flux", json!(false), file(10)),
        ("alerts.update_interval", json!("1h"), file(13)),
        ("output.stats", json!("/tmp/a \"b\".json"), file(16)),
        ("output.format", json!("text"), json!({ "kind": "flag", "flag": "--format" })),
        ("run.lateness", json!("5s"), json!({ "kind": "flag", "flag": "--lateness" })),
        (
            "sensor.name",
            json!("tap-8"),
            json!({ "kind": "environment", "variable": "FLUXTAP_SENSOR_NAME" }),
        ),
        ("privacy.clients", json!("count"), json!({ "kind": "default" })),
        ("privacy.client_key_file", Value::Null, json!({ "kind": "default" })),
    ] {
        let got = &json["settings"][name];
        assert_eq!(got, &json!({ "value": value, "origin": origin }), "{name}");
    }
}

#[test]
fn settings_reach_the_sensor() {
    let folder = folder();
    let config = "[sensor]\nname = \"tap-9\"\n[output]\nquiet = true\nstats = \"stats.json\"\n";
    write(&folder, "site.toml", config.as_bytes());
    let demo = support::demo().canonicalize().expect("the demonstration");
    let demo = demo.to_str().expect("a plain path");
    let plain = run(&folder, &["replay", "--config", "site.toml", demo], &[]);
    assert_eq!((plain.status, plain.stderr.as_str()), (0, ""));
    let alerts = plain.alerts();
    assert!(alerts.iter().all(|alert| alert["observer"]["name"] == "tap-9"));
    let stats = support::read_stats(&folder.path().join("stats.json"), &plain);
    assert_eq!(number(&stats["alerts"]), alerts.len() as u64);

    let replay = |variables: &[(&str, &str)]| {
        let run = run(&folder, &["replay", "--config", "site.toml", demo], variables);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{variables:?}");
        run.alerts()
    };
    let count = |alerts: &[Value], at: &str, value: &str| {
        alerts.iter().filter(|alert| alert.pointer(at).expect("a field") == value).count()
    };
    let (severity, kind) = ("/fluxtap/flux/severity", "/fluxtap/flux/kind");
    let model = "/fluxtap/flux/model";
    let calm = replay(&[("FLUXTAP_DETECT_THRESHOLD_HIGH", "99.9")]);
    assert!(count(&calm, severity, "high") < count(&alerts, severity, "high"));
    assert!(calm[0].pointer(model) != alerts[0].pointer(model), "another model: {}", calm[0]);
    let severe = replay(&[("FLUXTAP_ALERTS_MIN_SEVERITY", "high")]);
    assert!(!severe.is_empty() && count(&severe, severity, "high") == severe.len());
    assert_eq!(severe[0].pointer(model), alerts[0].pointer(model), "what is written is no model");
    let double = replay(&[("FLUXTAP_DETECT_KINDS_SINGLE_FLUX", "false")]);
    assert!(!double.is_empty() && count(&double, kind, "double_flux") == double.len());
    let sparing = replay(&[("FLUXTAP_ALERTS_UPDATE_INTERVAL", "1d")]);
    let ongoing = |alerts: &[Value]| count(alerts, "/event/action", "flux-ongoing");
    assert!(ongoing(&sparing) < ongoing(&alerts), "fewer updates");
    let unsure = replay(&[("FLUXTAP_DETECT_SURE_MARGIN", "30")]);
    let at = |alerts: &[Value]| alerts[0]["@timestamp"].to_string();
    assert!(at(&unsure) > at(&alerts), "the first alert waits to be confirmed");
    let plain = replay(&[("FLUXTAP_CURATED_ZONES", "false")]);
    assert!(plain[0].pointer(model) != alerts[0].pointer(model), "without the curated zones");
}

#[test]
fn mistakes_in_what_settings_point_to_are_told_together() {
    let folder = folder();
    write(&folder, "allow.txt", b"com\n");
    let config = "[allow]\nfile = \"allow.txt\"\n[curated]\noff = [\"cloudfront.com\"]\n\
                  [detect]\ndoubt_margin = 11\n\
                  [privacy]\nclients = \"hmac\"\nclient_key_file = \"none\"\n";
    write(&folder, "site.toml", config.as_bytes());
    let run = run(&folder, &["check-config", "--config", "site.toml"], &[]);
    assert_eq!((run.status, text(&run)), (78, ""), "{}", run.stderr);
    run.assert_said(&[
        "curated.off: got 'cloudfront.com'",
        "allow.txt:1: ",
        "doubt_margin: got 11",
        "privacy.client_key_file: none: cannot read the key",
    ]);
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let folder = folder();
    let demo = support::demo().canonicalize().expect("the demonstration");
    let demo = demo.to_str().expect("a plain path");
    let text_of = |more: &[&str], variables: &[(&str, &str)]| {
        let args = ["replay", "--quiet", "--format", "text", demo];
        text(&run(&folder, &[&args[..], more].concat(), variables)).to_owned()
    };
    let plain = text_of(&[], &[]);
    assert!(!plain.contains('\x1b') && plain.contains(" HIGH "));
    let colored = text_of(&["--color", "always"], &[("NO_COLOR", "1")]);
    assert!(colored.contains("\x1b[1;31mHIGH\x1b[0m"), "an explicit wish goes over NO_COLOR");
    let codes = ["\x1b[1;31m", "\x1b[33m", "\x1b[36m", "\x1b[0m"];
    assert_eq!(codes.iter().fold(colored, |text, code| text.replace(code, "")), plain);
    assert_eq!(text_of(&["--color=never"], &[("FLUXTAP_OUTPUT_COLOR", "always")]), plain);
    let help = run(&folder, &["replay", "--color", "always", "--help"], &[]);
    assert!(text(&help).contains('\x1b'), "help as well");
}

#[test]
fn keys_come_from_files_and_are_never_shown() {
    const KEY: &str = "0123456789abcdef-secret";
    let folder = folder();
    let config = "[privacy]\nclients = \"hmac\"\nclient_key_file = \"client.key\"\n";
    write(&folder, "site.toml", config.as_bytes());
    let check = |command: &str| run(&folder, &[command, "--config", "site.toml"], &[]);
    let missing = check("check-config");
    assert_eq!(missing.status, 66, "{}", missing.stderr);
    missing.assert_said(&["privacy.client_key_file: client.key: cannot read", "make one"]);

    let path = write(&folder, "client.key", b"short\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our file");
    let short = check("check-config");
    assert_eq!(short.status, 78, "{}", short.stderr);
    short.assert_said(&["got a key of 5 bytes, expected 16 to 4096", "head -c 32 /dev/urandom"]);
    write(&folder, "client.key", &[b'k'; 5_000]);
    let long = check("check-config");
    assert_eq!(long.status, 78, "{}", long.stderr);
    long.assert_said(&["got a key of more than 4096 bytes"]);

    write(&folder, "client.key", format!("{KEY}\n").as_bytes());
    let good = check("check-config");
    assert_eq!((good.status, good.stderr.as_str()), (0, ""));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("our file");
    let open = check("check-config");
    assert_eq!(open.status, 0);
    open.assert_said(&["warning: privacy.client_key_file: client.key: got a key that others may"]);
    let demo = support::demo().canonicalize().expect("the demonstration");
    let demo = demo.to_str().expect("a plain path");
    let replayed = run(&folder, &["replay", "-q", "--config", "site.toml", demo], &[]);
    assert_eq!(replayed.status, 0, "{}", replayed.stderr);
    let clients = |run: &Run| run.alerts()[0]["fluxtap"]["evidence"]["client_list"].clone();
    assert_eq!(clients(&replayed)["mode"], "hmac");
    for run in [good, open, check("print-config"), replayed] {
        assert!(!text(&run).contains("secret") && !run.stderr.contains("secret"));
    }
    let listed = run(&folder, &["replay", "-q", "--clients", "list", demo], &[]);
    assert_eq!(clients(&listed)["mode"], "list");
    let counted = run(&folder, &["replay", "-q", demo], &[]);
    assert_eq!(clients(&counted), Value::Null);
}

#[test]
fn each_command_explains_itself() {
    let folder = folder();
    let help = run(&folder, &["--help"], &[]);
    let commands =
        text(&help).split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let lines = commands.expect("commands").lines().filter(|line| !line.starts_with("   "));
    let commands: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"replay") && commands.contains(&"completions"), "{commands:?}");
    for command in commands {
        let run = run(&folder, &[command, "--help"], &[]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{command}");
        let text = text(&run);
        let (_, examples) = text.split_once("\nExamples:\n").expect("examples");
        assert!(examples.contains(&format!("fluxtap {command}")), "{command}: {examples}");
    }
}

/// That they have every flag is tested beside the code that makes them.
#[test]
fn completions_and_the_manual_page_go_to_standard_output() {
    let folder = folder();
    for (args, front) in [
        (&["completions", "bash"][..], "_fluxtap()"),
        (&["completions", "zsh"], "#compdef fluxtap"),
        (&["completions", "fish"], "complete -c fluxtap"),
        (&["man"], ".TH fluxtap 1"),
    ] {
        let run = run(&folder, args, &[]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{args:?}");
        assert!(text(&run).contains(front) && text(&run).contains("threshold"), "{args:?}");
    }
    let other = run(&folder, &["completions", "tcsh"], &[]);
    assert_eq!(other.status, 2);
    other.assert_said(&["tcsh", "[possible values: bash, zsh, fish]"]);
}

/// The file with every setting is good as it is shipped.
#[test]
fn the_shipped_file_is_good() {
    let shipped = support::workspace().join("sensor-config/fluxtap.toml");
    let shipped: &Path = &shipped;
    let args = ["check-config".as_ref(), "--config".as_ref(), shipped.as_os_str()];
    let run = support::run(args);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(text(&run).contains("fluxtap.toml: 0 settings in force\n"), "{}", text(&run));
}
