//! `fluxtap run`: a mirror port through the sensor until a signal.

use crate::allow;
use crate::checkpoint::{Checkpoints, Start};
use crate::console::{self, Exit};
use crate::inputs::Inputs;
use crate::output::{self, Output};
use crate::replay::instant;
use crate::sensor::{Sensor, Stopped};
use crate::sinks;
use crate::summary;
use crate::threat_lists;
use fluxtap_capture::{Batch, Live, LiveError, LiveOptions};
use fluxtap_config::Settings;
use fluxtap_intel::Day;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

/// Watches one interface and says how it ended.
pub(crate) fn run(settings: &Settings) -> Exit {
    let Some(interface) = &settings.interface else {
        console::error(
            "got no interface, expected one to watch; name it with --interface, or as interface \
             below [run] in the configuration",
        );
        return Exit::Usage;
    };
    if let Err(exit) = summary::check_stats(settings.stats.as_deref()) {
        return exit;
    }
    let inputs = match Inputs::open(settings) {
        Ok(inputs) => Arc::new(inputs),
        Err(exit) => return exit,
    };
    allow::warn_of_expired(inputs.intel.allow(), Day::of(output::now().secs()));
    threat_lists::warn_of_expired(inputs.intel.threats(), output::now().secs());
    let mut source = match Live::open(interface, &LiveOptions::default()) {
        Ok(source) => source,
        Err(error) => {
            console::error(&error.to_string());
            return match error {
                LiveError::NoPermission { .. } => Exit::NoPermission,
                LiveError::NoSuchInterface { .. } => Exit::NoInput,
                _ => Exit::Failed,
            };
        }
    };
    let observer = settings.sensor_name.clone().unwrap_or_else(host_name);
    let delivery = match sinks::open(settings, &host_name()) {
        Ok(delivery) => delivery,
        Err(exit) => return exit,
    };
    let output = Output::new(settings, &inputs, observer, Some(interface.clone()));
    let output = output.deliver(delivery);
    let lateness_s = settings.run_lateness_s;
    let start = match Start::new(settings, &inputs, random_key()) {
        Ok(start) => start,
        Err(exit) => return exit,
    };
    let mut checkpoints = match Checkpoints::start(settings, start.hash_key) {
        Ok(checkpoints) => checkpoints,
        Err(exit) => return exit,
    };
    let output = output.behind(start.standing.map_or(0, |standing| standing.sequence));
    let sensor = Sensor::new(settings, lateness_s, start.hash_key, &inputs, output);
    let mut sensor = match sensor.sharing(start.shards) {
        Ok(sensor) => sensor,
        Err(exit) => return exit,
    };
    let resumed = match sensor.count() {
        Ok(()) => start.standing.map(|_| sensor.tally.table.tracked),
        Err(stopped) => return stopped.exit(),
    };
    if let Err(error) = stop_on_signal(&mut source) {
        console::error(&format!("cannot watch for signals: {error}"));
        return Exit::Failed;
    }
    if !settings.is_quiet {
        console::say(&format!("fluxtap: watching {interface}; stop with SIGINT"));
        if let Some(domains) = resumed {
            let open = sensor.tally.open.len() as u64;
            console::say(&format!(
                "fluxtap: goes on with {} and {} of the checkpoint",
                console::count(domains, "domain"),
                console::count(open, "open alert"),
            ));
        }
    }
    let started = instant();
    let stopped =
        watch(&mut sensor, &mut source, lateness_s, settings.is_quiet, checkpoints.as_mut());
    let stopped = match (stopped, checkpoints) {
        (Ok(()), Some(checkpoints)) => {
            sensor.pause().and_then(|()| checkpoints.finish(&mut sensor))
        }
        (Ok(()), None) => sensor.finish().map(|()| Exit::Done),
        (Err(stopped), _) => Err(stopped),
    };
    let mut exit = match &stopped {
        Ok(exit) => *exit,
        Err(stopped) => stopped.exit(),
    };
    let stats = source.stats().ok();
    if let (Ok(_), Err(stopped)) = (&stopped, sensor.count()) {
        exit = exit.max(stopped.exit());
    }
    let counters = summary::Counters::of(&sensor, &inputs.intel, stats);
    exit = exit.max(summary::write_stats(
        settings.stats.as_deref(),
        &counters,
        &[],
        summary::Unlisted::default(),
    ));
    if !settings.is_quiet {
        summary::print_live(&counters, started.elapsed(), &sensor);
    }
    if let Some(delivery) = sensor.follower.into_delivery() {
        exit = exit.max(sinks::drain(delivery, settings));
    }
    exit
}

fn watch(
    sensor: &mut Sensor,
    source: &mut Live,
    lateness_s: u64,
    is_quiet: bool,
    mut checkpoints: Option<&mut Checkpoints>,
) -> Result<(), Stopped> {
    loop {
        if let Some(note) = sensor.daily_note()?
            && !is_quiet
        {
            console::say(&format!("fluxtap: {note}"));
        }
        match sensor.step(source)? {
            Batch::More => {}
            Batch::Idle => {
                let now = output::now();
                let late_ns = lateness_s * fluxtap_wire::Timestamp::SECOND;
                sensor.tick(fluxtap_wire::Timestamp(now.0.saturating_sub(late_ns)))?;
            }
            Batch::End => return Ok(()),
        }
        if let Some(checkpoints) = checkpoints.as_deref_mut() {
            checkpoints.step(sensor)?;
        }
    }
}

fn stop_on_signal(source: &mut Live) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = source.stop_handle();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in signals.forever() {
            stop.stop();
        }
    })?;
    Ok(())
}

/// Key of all hashes where packets come as they happen: whoever can send names must not know how
/// they hash.
pub(crate) fn random_key() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(64).collect();
    if name.is_empty() { "fluxtap".to_owned() } else { name }
}
