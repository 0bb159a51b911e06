//! `fluxtap evaluate`: captures through the sensor, and what it found against what was there.

use crate::console::{self, Exit};
use crate::inputs::Inputs;
use crate::output::{self, Closed};
use crate::replay::{Display, Files, interrupt_flag, read_all};
use crate::sensor::{Follow, Sensor, Stopped};
use fluxtap_alert::Alert;
use fluxtap_capture::{Replay, ReplayOptions};
use fluxtap_config::Settings;
use fluxtap_engine::REPLAY_HASH_KEY;
use fluxtap_evaluate::{Evaluation, Truth};
use fluxtap_flux::Policy;
use fluxtap_intel::Intel;
use fluxtap_observe::Batch;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Takes facts and alerts in place of an output.
struct Scored<'a> {
    evaluation: Evaluation,
    intel: &'a Intel,
}

impl Follow for Scored<'_> {
    fn observed(&mut self, batch: &Batch) {
        self.evaluation.observe(batch, self.intel);
    }

    fn alerted(&mut self, alerts: &mut Vec<Alert>) -> Result<(), Closed> {
        alerts.drain(..).for_each(|alert| self.evaluation.alert(&alert));
        Ok(())
    }
}

/// Runs captures and prints the report; says how it ended.
pub(crate) fn run(paths: &[PathBuf], truth: &Path, is_json: bool, settings: &Settings) -> Exit {
    let truth = match read_truth(truth) {
        Ok(truth) => truth,
        Err(exit) => return exit,
    };
    let mut inputs = match Inputs::open(settings) {
        Ok(inputs) => inputs,
        Err(exit) => return exit,
    };
    // What is only not written was found all the same.
    let Policy { severity_min, kinds, .. } = Policy::default();
    inputs.policy = Policy { severity_min, kinds, ..inputs.policy };
    let inputs = Arc::new(inputs);
    let scored = Scored { evaluation: Evaluation::new(truth), intel: &inputs.intel };
    let lateness_s = settings.replay_lateness_s;
    let mut sensor = Sensor::new(settings, lateness_s, REPLAY_HASH_KEY, &inputs, scored);
    let stop = interrupt_flag();
    let mut source = Replay::open(paths.iter().cloned(), ReplayOptions::default());
    let mut display = Display::new(!settings.is_quiet);
    let stopped = read_all(&mut sensor, &mut source, &stop, |sensor, source| {
        display.show(&source.progress(), sensor);
    });
    display.clear();
    let mut files = Files::default();
    source.report().into_iter().for_each(|file| files.add(file, 0));
    files.tell_rest(source.unread());
    if let Err(Stopped::Source(error)) = stopped {
        console::error(&error.to_string());
        return files.exit.max(Exit::Failed);
    }
    if stop.load(Ordering::Relaxed) {
        return Exit::Interrupted;
    }
    let evicted = sensor.shard().table_counts().evicted;
    if evicted > 0 && !settings.is_quiet {
        let domains = console::count(evicted, "domain");
        console::warning(&format!(
            "{domains} had to make room in memory of {} bytes; --memory sets it",
            settings.memory_bytes
        ));
    }
    let report = sensor.follower.evaluation.finish().report();
    let text = match is_json {
        false => report.to_string(),
        true => match serde_json::to_string_pretty(&report) {
            Ok(text) => text + "\n",
            Err(error) => {
                console::error(&format!("cannot write the report as JSON: {error}"));
                return Exit::Failed;
            }
        },
    };
    files.exit.max(output::print(&text))
}

fn read_truth(path: &Path) -> Result<Truth, Exit> {
    let place = path.display();
    let file = File::open(path).map_err(|error| {
        console::error(&format!("--truth: cannot read {place}: {error}; check the name"));
        Exit::NoInput
    })?;
    Truth::read(BufReader::new(file)).map_err(|mistakes| {
        for mistake in mistakes {
            console::error(&format!("{place}: {mistake}"));
        }
        Exit::BadData
    })
}
