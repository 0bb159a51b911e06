//! `fluxtap replay`: capture files through the sensor, in event time.

use crate::cli::ReplayArgs;
use crate::console::{self, Exit};
use crate::output::Output;
use crate::sensor::{Sensor, Stopped};
use crate::summary;
use fluxtap_capture::{Batch, FileClass, FileReport, FileStatus, Progress, Replay, ReplayOptions};
use fluxtap_flux::Policy;
use fluxtap_wire::LinkType;
use fluxtap_wire::layers::LINK_TYPES_READ;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Key of all hashes in replay: fixed, so that the same capture gives the same alerts whatever is
/// evicted.
const HASH_KEY: u64 = 0x666c_7578_7461_7001;

/// Sensor name in replay, so that alerts do not depend on the machine.
const OBSERVER: &str = "replay";

/// Least time between two progress lines.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Runs a replay and says how it ended.
pub(crate) fn run(args: &ReplayArgs) -> Exit {
    if let Err(exit) = summary::check_stats(args.common.stats.as_deref()) {
        return exit;
    }
    let intel = match args.common.intel() {
        Ok(intel) => intel,
        Err(exit) => return exit,
    };
    let observer = args.common.observer.clone().unwrap_or_else(|| OBSERVER.to_owned());
    let policy = Policy::default();
    let output = Output::new(args.common.format, &intel, observer, None, &policy);
    let sensor = Sensor::new(&args.common, policy, args.lateness.0, HASH_KEY, &intel, output);
    let mut sensor = match sensor {
        Ok(sensor) => sensor,
        Err(exit) => return exit,
    };
    let stop = interrupt_flag();
    let mut source = Replay::open(args.files.iter().cloned(), ReplayOptions::default());
    let mut display = Display::new(!args.common.quiet);
    let stopped = read_all(&mut sensor, &mut source, &stop, &mut display);
    display.clear();
    let is_interrupted = stop.load(Ordering::Relaxed);
    let mut exit = match &stopped {
        Ok(()) if is_interrupted => Exit::Interrupted,
        Ok(()) => Exit::Done,
        Err(Stopped::Output(closed)) => closed.exit(),
        Err(Stopped::Source(error)) => {
            console::error(&error.to_string());
            Exit::Failed
        }
    };
    let files = source.report();
    for file in &files {
        exit = exit.max(report(file));
    }
    let counters = summary::Counters::of(&sensor, &intel, None);
    exit = exit.max(summary::write_stats(args.common.stats.as_deref(), &counters, &files));
    if !args.common.quiet {
        let elapsed = display.started.elapsed();
        summary::print(&counters, &files, &source.progress(), elapsed, is_interrupted, &sensor);
    }
    // The process ends here; taking a million domains apart one by one would only delay it.
    std::mem::forget(sensor);
    exit
}

fn read_all(
    sensor: &mut Sensor<'_>,
    source: &mut Replay,
    stop: &AtomicBool,
    display: &mut Display,
) -> Result<(), Stopped> {
    while !stop.load(Ordering::Relaxed) {
        if sensor.step(source)? == Batch::End {
            break;
        }
        display.show(&source.progress(), sensor);
    }
    sensor.finish()
}

/// Set by the first SIGINT or SIGTERM; the second ends the program at once.
fn interrupt_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Registration fails for signals that cannot be caught only, and these can.
        let _ = signal_hook::flag::register_conditional_shutdown(
            signal,
            Exit::Interrupted as i32,
            Arc::clone(&flag),
        );
        let _ = signal_hook::flag::register(signal, Arc::clone(&flag));
    }
    flag
}

/// Says what was wrong with a file, and what that means for the exit status.
fn report(file: &FileReport) -> Exit {
    let unread: Vec<LinkType> = file
        .links
        .iter()
        .copied()
        .filter(|link| !LINK_TYPES_READ.iter().any(|(read, _)| read == link))
        .collect();
    let exit = match file.class() {
        FileClass::Sound => Exit::Done,
        FileClass::BadData => Exit::BadData,
        FileClass::NoInput => Exit::NoInput,
    };
    if exit != Exit::Done {
        console::error(&file.to_string());
    } else if matches!(file.status, FileStatus::DuplicateOf(_)) {
        console::warning(&file.to_string());
    }
    if unread.is_empty() {
        return exit;
    }
    let got: Vec<String> = unread.iter().map(|link| link.0.to_string()).collect();
    let expected: Vec<String> =
        LINK_TYPES_READ.iter().map(|(link, name)| format!("{} ({name})", link.0)).collect();
    let text = format!(
        "{}: got packets of link type {}, expected {}; convert them with `editcap -T` or capture \
         on another interface",
        file.path.display(),
        got.join(", "),
        expected.join(", ")
    );
    if unread.len() == file.links.len() {
        console::error(&text);
        return exit.max(Exit::BadData);
    }
    console::warning(&format!("{text} (they are counted under refused.link_type)"));
    exit
}

/// The progress line, shown only to somebody who watches.
struct Display {
    is_shown: bool,
    started: Instant,
    last: Instant,
    is_dirty: bool,
}

impl Display {
    fn new(is_wanted: bool) -> Self {
        let started = instant();
        Self {
            is_shown: is_wanted && console::is_watched(),
            started,
            last: started,
            is_dirty: false,
        }
    }

    fn show(&mut self, progress: &Progress, sensor: &Sensor<'_>) {
        if !self.is_shown {
            return;
        }
        let now = instant();
        if now.duration_since(self.last) < PROGRESS_EVERY {
            return;
        }
        self.last = now;
        self.is_dirty = true;
        let elapsed = now.duration_since(self.started).as_secs_f64();
        let counts = sensor.decoder.counts();
        let alerts = sensor.shard.counts().alerts;
        console::put(&format!(
            "\r{}\x1b[K",
            line(progress, elapsed, counts.packets, counts.responses, alerts)
        ));
    }

    fn clear(&self) {
        if self.is_dirty {
            console::put("\r\x1b[K");
        }
    }
}

/// The progress line: share of bytes, speed, alerts, time left.
fn line(progress: &Progress, elapsed_s: f64, packets: u64, responses: u64, alerts: u64) -> String {
    let rate = |n: u64| console::grouped((n as f64 / elapsed_s.max(0.001)) as u64);
    let mut line = match progress.bytes_total {
        Some(total) if total > 0 => {
            let share = progress.bytes_done as f64 / total as f64;
            let left_s = elapsed_s * (1.0 - share) / share.max(0.001);
            format!("{:5.1} %, {:.0} s left", share * 100.0, left_s)
        }
        _ => format!("{} MB", progress.bytes_done / 1_000_000),
    };
    line += &format!(
        " | {} packets/s, {} responses/s | {}",
        rate(packets),
        rate(responses),
        console::count(alerts, "alert line")
    );
    line
}

pub(crate) fn instant() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "elapsed time for people; nothing in alerts")]
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_line() {
        let progress = |bytes_total| Progress {
            bytes_done: 250_000_000,
            bytes_total,
            files_done: 0,
            files_total: 1,
        };
        assert_eq!(
            line(&progress(Some(1_000_000_000)), 2.0, 4_000_000, 1_000, 1),
            " 25.0 %, 6 s left | 2,000,000 packets/s, 500 responses/s | 1 alert line"
        );
        assert_eq!(
            line(&progress(None), 2.0, 0, 0, 2),
            "250 MB | 0 packets/s, 0 responses/s | 2 alert lines"
        );
        assert!(line(&progress(Some(0)), 0.0, 0, 0, 0).contains("packets/s"));
    }
}
