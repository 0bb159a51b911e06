//! `fluxtap selftest`: does the engine find what it should, and does the mirror port deliver what
//! it needs?

mod port;
mod story;

use crate::console::{self, Exit};
use crate::live;
use crate::output::{self, Output};
use crate::sensor::Sensor;
use crate::{inputs::Inputs, replay};
use clap::{Arg, ArgAction, ArgMatches, Command};
use fluxtap_config::Settings;
use std::sync::Arc;

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
}

/// Runs what was asked for and says how it ended.
pub(crate) fn run(matches: &ArgMatches, settings: &Settings) -> Exit {
    let engine = engine(settings, matches.get_flag("alerts"));
    if settings.interfaces.is_empty() {
        return engine;
    }
    engine.max(port::watch(settings))
}

/// The story through the real engine, with the settings in force.
fn engine(settings: &Settings, is_shown: bool) -> Exit {
    let inputs = match Inputs::open(settings) {
        Ok(inputs) => Arc::new(inputs),
        Err(exit) => return exit,
    };
    let began = replay::instant();
    let story = story::Story::new(live::random_key(), output::now());
    let output = Output::new(settings, &inputs, OBSERVER.to_owned(), None);
    let lateness_s = settings.run_lateness_s;
    let follower = story::Watcher::new(output, story.domain().to_owned(), is_shown);
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
    let is_good = table.iter().all(|row| row.is_good);
    console::say(&format!(
        "fluxtap: engine, with {domain}, a made-up name: {} in {:.2} s",
        if is_good { "works" } else { "does not work as it should" },
        began.elapsed().as_secs_f64()
    ));
    say_rows(&table);
    if is_good { Exit::Done } else { Exit::Failed }
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
