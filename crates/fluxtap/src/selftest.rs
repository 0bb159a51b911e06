//! `fluxtap selftest`: does the engine find what it should, and does the mirror port deliver what
//! it needs?

mod port;
mod story;

use crate::console::{self, Exit};
use crate::live;
use crate::output::{self, Output};
use crate::sensor::Sensor;
use crate::{inputs::Inputs, replay, sinks};
use clap::{Arg, ArgAction, ArgMatches, Command};
use fluxtap_config::Settings;
use fluxtap_sink::SinkCounts;
use std::sync::Arc;
use std::time::Duration;

/// Longest time that sinks have for the alerts of the story.
const DELIVERY_TIME_MAX: Duration = Duration::from_secs(15);

/// Name of the sensor in alerts of the story, so that nobody takes them for real.
const OBSERVER: &str = "fluxtap-selftest";

/// The command; its interface is that of `run`.
pub(crate) fn command() -> Command {
    Command::new("selftest")
        .about(
            "Send a made-up story of flux through the engine and, with -i, say what a mirror port \
             delivers",
        )
        .arg(
            Arg::new("alerts")
                .long("alerts")
                .help("Write the alerts of the story, marked as a test, to standard output")
                .action(ArgAction::SetTrue),
        )
        .arg(
            Arg::new("sinks")
                .long("sinks")
                .help("Deliver them to the sinks of the settings, and say what arrived")
                .action(ArgAction::SetTrue),
        )
}

/// Runs what was asked for and says how it ended.
pub(crate) fn run(matches: &ArgMatches, settings: &Settings) -> Exit {
    let to = match (matches.get_flag("sinks"), matches.get_flag("alerts")) {
        (true, _) => To::Sinks,
        (false, true) => To::Stdout,
        (false, false) => To::Nobody,
    };
    let engine = engine(settings, to);
    if settings.interfaces.is_empty() {
        return engine;
    }
    engine.max(port::watch(settings))
}

/// Who gets the alerts of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Nobody,
    Stdout,
    Sinks,
}

/// The story through the real engine, with the settings in force.
fn engine(settings: &Settings, to: To) -> Exit {
    let inputs = match Inputs::open(settings) {
        Ok(inputs) => Arc::new(inputs),
        Err(exit) => return exit,
    };
    let began = replay::instant();
    let story = story::Story::new(live::random_key(), output::now());
    let mut output = Output::new(settings, &inputs, OBSERVER.to_owned(), None);
    // A spool of its own, because that of the settings may be a running sensor's.
    let spool = std::env::temp_dir().join(format!("{OBSERVER}-{}", std::process::id()));
    if to == To::Sinks {
        let settings = Settings { spool_folder: spool.clone(), ..settings.clone() };
        match sinks::open(&settings, OBSERVER) {
            Ok(delivery) => {
                sinks::told(&settings).iter().for_each(|told| console::say(told));
                output = output.deliver(delivery);
            }
            Err(exit) => return exit,
        }
    }
    let lateness_s = settings.run_lateness_s;
    let follower = story::Watcher::new(output, story.domain().to_owned(), to != To::Nobody);
    let mut sensor = Sensor::new(settings, lateness_s, live::random_key(), &inputs, follower);
    let mut source = story.into_source(settings);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let result =
        replay::read_all(&mut sensor, &mut source, &stop, |_, _| {}).and_then(|()| sensor.finish());
    if let Err(stopped) = result {
        return stopped.exit();
    }
    let counts = sensor.decoder.counts();
    let lines = sensor.follower.lines();
    let domain = sensor.follower.domain();
    let table = [
        row("packets of the story", counts.packets.to_string(), true),
        row("counters add up", yes(counts.is_conserved()), counts.is_conserved()),
        row("alert opened for the made-up flux", lines.to_string(), lines > 0),
        row(
            "alerts for its innocent neighbour",
            sensor.follower.others().to_string(),
            sensor.follower.others() == 0,
        ),
    ];
    let mut is_good = table.iter().all(|row| row.is_good);
    console::say(&format!(
        "fluxtap: engine, with {domain}, a made-up name: {} in {:.2} s",
        if is_good { "works" } else { "does not work as it should" },
        began.elapsed().as_secs_f64()
    ));
    say_rows(&table);
    if to == To::Sinks {
        let rows = delivered(&sensor.follower);
        is_good &= rows.iter().all(|row| row.is_good);
        console::say("fluxtap: sinks:");
        say_rows(&rows);
        drop(sensor);
        // What did not arrive was a test; nobody waits for it.
        let _ = std::fs::remove_dir_all(spool);
    }
    if is_good { Exit::Done } else { Exit::Failed }
}

/// Waits for the sinks, and says what arrived.
fn delivered(watcher: &story::Watcher) -> Vec<Row> {
    let began = replay::instant();
    while began.elapsed() < DELIVERY_TIME_MAX
        && watcher.sinks().iter().any(|sink| sink.waiting > 0 || sink.accepted + sink.filtered == 0)
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = |sink: &SinkCounts| {
        let all = sink.accepted + sink.filtered;
        let filtered = match sink.filtered {
            0 => String::new(),
            filtered => format!(", {filtered} held back by its filter"),
        };
        let fault = match sink.last_fault.as_str() {
            "" => String::new(),
            fault => format!(": {fault}"),
        };
        let is_good = all > 0 && sink.delivered == sink.accepted;
        let found = format!("{} of {all} lines arrived{filtered}{fault}", sink.delivered);
        row(format!("{} ({})", sink.name, sink.kind), found, is_good)
    };
    watcher.sinks().iter().map(told).collect()
}

/// A line of a report.
struct Row {
    what: String,
    found: String,
    is_good: bool,
}

fn row(what: impl Into<String>, found: impl Into<String>, is_good: bool) -> Row {
    Row { what: what.into(), found: found.into(), is_good }
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

fn say_rows(rows: &[Row]) {
    for Row { what, found, is_good } in rows {
        let mark = if *is_good { "ok  " } else { "LOOK" };
        console::say(&format!("  {mark} {what:36} {found}"));
    }
}
