//! What goes wrong around a sensor that runs: disks, receivers, lists and settings that are bad.

use crate::net::{Daemon, Disk, Pair, Receiver, open_folder, packets};
use crate::support::{self, Running, number};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A domain of the demonstration that does nothing special.
const PLAIN_DOMAIN: &str = "amber-craft2t.example";

/// Bytes of the disk of [`a_full_disk_costs_nothing_but_time`].
const DISK_BYTES: u64 = 4 << 20;

fn sink(name: &str, kind: &str, rest: &str) -> String {
    format!("[[sinks]]\nname = \"{name}\"\ntype = \"{kind}\"\n{rest}\n")
}

fn spool(folder: &Path) -> String {
    format!("[spool]\nfolder = \"{}\"\n", folder.display())
}

/// Lines that a file sink wrote, every one of them whole.
fn written(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("lines");
    assert!(text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
}

/// Neither the spool nor the file of alerts can be written for a while: the sensor lives, says so,
/// and delivers all of it once there is room.
#[test]
#[ignore = "runs in a namespace"]
fn a_full_disk_costs_nothing_but_time() {
    let pair = Pair::new("fa", "fb");
    let disk = Disk::new(DISK_BYTES);
    let alerts = disk.path().join("alerts.jsonl");
    let file = sink("log", "file", &format!("path = \"{}\"", alerts.display()));
    let config = spool(&disk.path().join("spool")) + &file;
    let daemon = Daemon::start(&["-i", "fa", "--user", "nobody"], &config);
    let ballast = disk.fill();
    pair.send(&support::demo(), 20_000);
    daemon.wait_for("fluxtap_alert_lines_total", 8);
    daemon.wait_for_ready("sink_failing");
    assert_eq!(daemon.get("/healthz").0, 200, "it captures");
    assert!(daemon.metric("fluxtap_sink_waiting{sink=\"log\"}").expect("a metric") >= 8.0);
    assert_eq!(
        daemon.metric("fluxtap_sink_events_total{sink=\"log\",result=\"dropped\"}"),
        Some(0.0)
    );
    fs::remove_file(ballast).expect("our file");
    daemon.wait_for("fluxtap_sink_waiting{sink=\"log\"}", 0);
    daemon.wait_for("fluxtap_degraded{reason=\"sink_failing\"}", 0);
    let (run, stats) = daemon.stop(Signal::TERM);
    run.assert_said(&["sink log: "]);
    let sink = &stats["sinks"][0];
    assert_eq!((&sink["delivered"], &sink["waiting"]), (&sink["accepted"], &0.into()), "{stats}");
    let lines = written(&alerts);
    assert_eq!(lines.len() as u64, number(&sink["delivered"]));
    let is_alert = |line: &&Value| line["event"]["kind"] == "alert";
    assert_eq!(lines.iter().filter(is_alert).count() as u64, number(&stats["alerts"]));
    let ids: BTreeSet<String> =
        lines.iter().map(|line| support::text(&line["event"]["id"])).collect();
    assert_eq!(ids.len(), lines.len(), "each line once");
}

/// A receiver that is away at the start gets what it missed; it keeps nobody from starting unless
/// the settings say so.
#[test]
#[ignore = "runs in a namespace"]
fn receivers_that_are_away_at_the_start() {
    let pair = Pair::new("fa", "fb");
    let folder = open_folder();
    let away = "127.0.0.1:19999";
    let url = format!("url = \"http://{away}/in\"\n");
    let config = spool(&folder.path().join("spool")) + &sink("hook", "webhook", &url);
    let daemon = Daemon::start(&["-i", "fa"], &config);
    pair.send(&support::demo(), 20_000);
    daemon.wait_for("fluxtap_alert_lines_total", 8);
    daemon.wait_for_said("sink hook: cannot post to http://127.0.0.1:19999/in");
    let receiver = Receiver::start(away);
    daemon.signal(Signal::HUP);
    daemon.wait_for("fluxtap_sink_waiting{sink=\"hook\"}", 0);
    let (_, stats) = daemon.stop(Signal::TERM);
    assert_eq!(receiver.stop() as u64, number(&stats["sinks"][0]["delivered"]), "{stats}");
}

/// What cannot be used is refused with a status and words that say what to do.
#[test]
#[ignore = "runs in a namespace"]
fn sinks_and_spools_that_cannot_be_used_are_refused() {
    let _pair = Pair::new("fa", "fb");
    let folder = open_folder();
    let folder = folder.path();
    fs::write(folder.join("ca.pem"), "no certificate\n").expect("a place to write");
    let good = spool(&folder.join("spool"));
    let tls = |file: &str| {
        let ca = folder.join(file);
        sink(
            "t",
            "syslog",
            &format!(
                "transport = \"tls\"\naddress = \"127.0.0.1:1\"\nca_file = \"{}\"",
                ca.display()
            ),
        )
    };
    let hook = sink("h", "webhook", "url = \"http://127.0.0.1:1/\"\nrequired = true");
    let cases: [(String, i32, &[&str]); 5] = [
        (
            spool(Path::new("/proc/spool")) + &sink("f", "file", "path = \"/tmp/a\""),
            78,
            &["/proc/spool", "spool.folder"],
        ),
        (good.clone() + &tls("ca.pem"), 78, &["ca.pem: got no certificate, expected one or more"]),
        (good.clone() + &tls("none.pem"), 78, &["sink t", "none.pem", "No such file"]),
        (good.clone() + &hook, 69, &["required sink h cannot be reached", "Connection refused"]),
        (
            good + &sink("f", "file", "path = \"/proc/alerts.jsonl\"\nrequired = true"),
            69,
            &["sink f", "/proc/alerts.jsonl"],
        ),
    ];
    for (config, status, said) in cases {
        let path = folder.join("config.toml");
        fs::write(&path, &config).expect("a place to write");
        let mut command = support::program();
        command.args(["run", "-i", "fa", "--metrics", "none", "--config"]).arg(&path);
        let run = Running::spawn(&mut command).finish();
        assert_eq!(run.status, status, "{config}\n{}", run.stderr);
        run.assert_said(said);
        assert!(run.stdout.is_empty());
    }
}

/// Lists are read again though the sensor is another user by then and shut in; one that is bad
/// leaves those in force that were.
#[test]
#[ignore = "runs in a namespace"]
fn lists_are_reloaded_inside_the_sandbox() {
    let pair = Pair::new("fa", "fb");
    let folder = open_folder();
    let lists = folder.path().join("lists");
    fs::create_dir(&lists).expect("a folder");
    let list = lists.join("bad.txt");
    // As one that fetches lists does: aside, then in the place of the old.
    let replace = |text: &str| {
        let aside = lists.join("new");
        fs::write(&aside, text).expect("a place to write");
        fs::rename(&aside, &list).expect("the place of the old");
    };
    replace("elsewhere.example\n");
    let config = format!("[threat]\nlists = [\"mine {} alert=true\"]\n", list.display());
    let daemon = Daemon::start(&["-i", "fa", "--user", "nobody"], &config);
    let hits = |daemon: &Daemon| {
        let lines = daemon.lines();
        let of_list = lines.iter().filter(|line| line["fluxtap"]["flux"]["kind"] == "intel_match");
        let domain = |line: &Value| support::text(&line["dns"]["question"]["registered_domain"]);
        of_list.map(domain).collect::<Vec<_>>()
    };
    let demo = packets(&support::demo());
    let read = "fluxtap_packets_total{interface=\"fa\"}";
    pair.send(&support::demo(), 20_000);
    daemon.wait_for(read, demo);
    assert_eq!(hits(&daemon), [""; 0]);
    replace(&format!("{PLAIN_DOMAIN}\n"));
    daemon.signal(Signal::HUP);
    daemon.wait_for_said("reloaded configuration, lists and tables");
    pair.send(&support::demo(), 20_000);
    daemon.wait_for(read, 2 * demo);
    daemon.wait_for_line("intel_match");
    assert_eq!(hits(&daemon), [PLAIN_DOMAIN]);
    fs::remove_file(&list).expect("our file");
    daemon.signal(Signal::HUP);
    daemon.wait_for_ready("reload_failed");
    daemon.wait_for_said("threat list mine: ");
    replace("other.example\n");
    daemon.signal(Signal::HUP);
    daemon.wait_for("fluxtap_config_last_reload_successful", 1);
    let (run, _) = daemon.stop(Signal::TERM);
    run.assert_said(&["No such file", "the old one stays in force"]);
}

/// Each metric has a row in the documentation, and each row a metric.
#[test]
#[ignore = "runs in a namespace"]
fn every_metric_is_in_the_documentation() {
    let pair = Pair::new("fa", "fb");
    let folder = open_folder();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let file = sink("log", "file", &format!("path = \"{}\"", path("alerts.jsonl")));
    let config = spool(&folder.path().join("spool")) + &file;
    let checkpoint = path("checkpoint");
    let args = ["-i", "fa", "--checkpoint", &checkpoint, "--checkpoint-interval", "1s"];
    let daemon = Daemon::start(&args, &config);
    pair.send(&support::demo(), 20_000);
    daemon.wait_for("fluxtap_packets_total{interface=\"fa\"}", packets(&support::demo()));
    daemon.wait_for("fluxtap_checkpoints_total{result=\"written\"}", 1);
    let (_, page) = daemon.get("/metrics");
    let told: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE fluxtap_")?.split_whitespace().next())
        .collect();
    let text = fs::read_to_string(support::workspace().join("docs/operations.md"));
    let text = text.expect("the page");
    // Rows name the first in full and the others from the underscore on, with labels in braces.
    let section = text.split("\n## ").find(|part| part.starts_with("Metrics")).expect("it");
    let documented: BTreeSet<&str> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|names| names.split('`').skip(1).step_by(2))
        .map(|name| name.split('{').next().expect("a name"))
        .map(|name| name.trim_start_matches("fluxtap").trim_start_matches('_'))
        .collect();
    assert_eq!(told, documented, "metrics served, and in docs/operations.md");
    daemon.stop(Signal::TERM);
}
