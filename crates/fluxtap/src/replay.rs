//! `fluxtap replay`: capture files through the sensor, in event time.

use crate::console::{self, Exit};
use crate::inputs::Inputs;
use crate::live;
use crate::output::{self, Output};
use crate::profile::Profile;
use crate::sensor::{self, Follow, Sensor, Stopped};
use crate::summary;
use crate::terminal;
use fluxtap_capture::{
    Batch, FileClass, FileReport, FileStatus, Progress, Replay, ReplayOptions, Source,
};
use fluxtap_config::Settings;
use fluxtap_engine::REPLAY_HASH_KEY;
use fluxtap_wire::layers::LINK_TYPES_READ;
use fluxtap_wire::{LinkType, Timestamp};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Sensor name in replay, so that alerts do not depend on the machine.
const OBSERVER: &str = "replay";

/// Least time between two progress lines.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Least time between two looks at directories that are followed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Files that `--stats` lists of directories that are followed, which have no end; those beyond are
/// summed up.
const FILES_LISTED_MAX: usize = 1_000;

/// Runs a replay and says how it ended.
///
/// With `follow_s` directories are followed, and a file is finished when unchanged for that long.
/// With `is_profiled` it says where the time went.
pub(crate) fn run(
    paths: &[PathBuf],
    follow_s: Option<u64>,
    is_profiled: bool,
    settings: &Settings,
) -> Exit {
    let checked = check_follow(paths, follow_s);
    if let Err(exit) = checked.and_then(|()| summary::check_stats(settings.stats.as_deref())) {
        return exit;
    }
    let inputs = match Inputs::open(settings) {
        Ok(inputs) => Arc::new(inputs),
        Err(exit) => return exit,
    };
    let observer = settings.sensor_name.clone().unwrap_or_else(|| OBSERVER.to_owned());
    let output = Output::new(settings, &inputs, observer, None);
    let lateness_s = settings.replay_lateness_s;
    // What is followed has no end that would make its alerts the same.
    let hash_key = if follow_s.is_some() { live::random_key() } else { REPLAY_HASH_KEY };
    let sensor = Sensor::new(settings, lateness_s, hash_key, &inputs, output);
    let mut sensor = match sensor.sharing(sensor::shards(settings, &inputs, hash_key)) {
        Ok(sensor) => sensor,
        Err(exit) => return exit,
    };
    let profile = is_profiled.then(|| Profile::start(&sensor.shown));
    let stop = interrupt_flag();
    let (paths, options) = (paths.iter().cloned(), ReplayOptions::default());
    let mut source = match follow_s {
        Some(settle_s) => Replay::follow(paths, settle_s, options),
        None => Replay::open(paths, options),
    };
    let mut display = Display::new(!settings.is_quiet);
    let mut files = Files::default();
    let stopped = match follow_s {
        Some(_) => follow(
            &mut sensor,
            &mut source,
            &stop,
            &mut display,
            &mut files,
            settings.replay_lateness_s,
        ),
        None => read_all(&mut sensor, &mut source, &stop, |sensor, source| {
            display.show(&source.progress(), sensor);
        })
        .and_then(|()| sensor.finish()),
    };
    display.clear();
    let is_interrupted = stop.load(Ordering::Relaxed) && follow_s.is_none();
    let mut exit = match &stopped {
        Ok(()) if is_interrupted => Exit::Interrupted,
        Ok(()) => Exit::Done,
        Err(stopped) => stopped.exit(),
    };
    source.report().into_iter().for_each(|file| files.add(file, usize::MAX));
    files.tell_rest(source.unread());
    exit = exit.max(files.exit);
    // Where nothing more can be written that was said already.
    let counted = sensor.count();
    if let (Ok(()), Err(stopped)) = (&stopped, counted) {
        exit = exit.max(stopped.exit());
    }
    let counters = summary::Counters::of(&sensor, Vec::new());
    let stats = settings.stats.as_deref();
    exit = exit.max(summary::write_stats(stats, &counters, &files.listed, files.unlisted));
    if !settings.is_quiet {
        let elapsed = display.started.elapsed();
        summary::print(&counters, &source.progress(), elapsed, is_interrupted, &sensor);
    }
    if let Some(profile) = profile {
        profile.tell();
    }
    // The process ends here; taking a million domains apart one by one would only delay it.
    std::mem::forget(sensor);
    exit
}

/// Without a directory there is nothing to follow.
fn check_follow(paths: &[PathBuf], follow_s: Option<u64>) -> Result<(), Exit> {
    if follow_s.is_none() || paths.iter().any(|path| path.is_dir()) {
        return Ok(());
    }
    console::error("--follow: got no directory, expected one at least to follow");
    Err(Exit::Usage)
}

/// Takes a source through the sensor, to its end or until the signal.
pub(crate) fn read_all<F: Follow, S: Source>(
    sensor: &mut Sensor<F>,
    source: &mut S,
    stop: &AtomicBool,
    mut show: impl FnMut(&Sensor<F>, &S),
) -> Result<(), Stopped> {
    while !stop.load(Ordering::Relaxed) {
        if sensor.step(source)? == Batch::End {
            break;
        }
        show(sensor, source);
    }
    Ok(())
}

/// Reads what comes into directories, until the signal. While nothing comes, event time goes on as
/// far as no file can come any more that is older.
fn follow(
    sensor: &mut Sensor,
    source: &mut Replay,
    stop: &AtomicBool,
    display: &mut Display,
    files: &mut Files,
    lateness_s: u64,
) -> Result<(), Stopped> {
    let mut looked = None;
    while !stop.load(Ordering::Relaxed) {
        if looked.is_none_or(|at| instant().duration_since(at) >= LOOK_EVERY) {
            source.look(output::now());
            looked = Some(instant());
        }
        let batch = sensor.step(source)?;
        for file in source.take_ended() {
            display.clear();
            files.add(file, FILES_LISTED_MAX);
        }
        if batch == Batch::Idle
            && let Some(until) = source.quiet_until(output::now())
        {
            let until = Timestamp(until.0.saturating_sub(lateness_s * Timestamp::SECOND));
            // Captures of the past are not pulled into the present, and time is not set back.
            let span = sensor.decoder.counts().span;
            if span.is_some_and(|(_, last)| until > last) {
                sensor.tick(until)?;
            }
        }
        display.show(&source.progress(), sensor);
    }
    sensor.finish()
}

/// What became of the files.
#[derive(Default)]
pub(crate) struct Files {
    /// What they mean for the exit status.
    pub(crate) exit: Exit,
    /// Files in directories that are no captures with packets, and what the first of them is.
    passed_over: u64,
    first_passed_over: Option<String>,
    /// What `--stats` lists, and the sum of what it does not.
    listed: Vec<FileReport>,
    unlisted: summary::Unlisted,
}

impl Files {
    /// Says what was wrong with a file, and lists it among at most `listed_max`.
    pub(crate) fn add(&mut self, file: FileReport, listed_max: usize) {
        if file.is_passed_over() {
            self.passed_over += 1;
            self.first_passed_over.get_or_insert_with(|| file.to_string());
        }
        self.exit = self.exit.max(report(&file));
        if self.listed.len() < listed_max {
            self.listed.push(file);
        } else {
            self.unlisted.files += 1;
            self.unlisted.packets += file.packets;
        }
    }

    /// Says once what holds for many files: those passed over, not finished, and gone.
    pub(crate) fn tell_rest(&self, (unread, vanished): (u64, u64)) {
        let files = |number| console::count(number, "file");
        let was = |number| files(number) + if number == 1 { " was" } else { " were" };
        if let Some(first) = &self.first_passed_over {
            let text = format!(
                "passed over {} in directories without packets, the first: {first}",
                files(self.passed_over)
            );
            console::warning(&text);
        }
        if unread > 0 {
            console::warning(&format!("stopped before {} finished and read", was(unread)));
        }
        if vanished > 0 {
            console::warning(&format!(
                "did not read {} that disappeared unfinished; leave captures in place for longer",
                files(vanished)
            ));
        }
    }
}

/// Set by the first SIGINT or SIGTERM; the second ends the program at once.
pub(crate) fn interrupt_flag() -> Arc<AtomicBool> {
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
pub(crate) fn report(file: &FileReport) -> Exit {
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
    } else if matches!(file.status, FileStatus::DuplicateOf(_)) && !file.is_found {
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
pub(crate) struct Display {
    is_shown: bool,
    started: Instant,
    last: Instant,
    is_dirty: bool,
}

impl Display {
    pub(crate) fn new(is_wanted: bool) -> Self {
        let started = instant();
        Self {
            is_shown: is_wanted && console::is_watched(),
            started,
            last: started,
            is_dirty: false,
        }
    }

    pub(crate) fn show<F: Follow>(&mut self, progress: &Progress, sensor: &Sensor<F>) {
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
        let alerts = sensor.lines_told();
        let line = line(progress, elapsed, counts.packets, counts.responses, alerts);
        // A line that wraps could not be taken back; one column stays free for the cursor.
        let columns = terminal::columns(&std::io::stderr()).map_or(usize::MAX, |n| n - 1);
        let shown: String = line.chars().take(columns).collect();
        console::put(&format!("\r{shown}\x1b[K"));
    }

    pub(crate) fn clear(&self) {
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
