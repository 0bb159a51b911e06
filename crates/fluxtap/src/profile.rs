//! Where the time goes (`replay --profile`): somebody looks once a millisecond what each thread is
//! busy with, and counts.
//!
//! Threads say what they do by a store, whether anybody looks or not; so what is measured is what runs
//! otherwise, and nothing of it reads a clock. What a look cannot see is why: a thread that the system
//! does not let run is still at what it does.

use crate::console;
use fluxtap_flow::Histogram;
use fluxtap_observe::{Marker, Stage};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Time between two looks. No whole millisecond, so as not to keep step with anything.
const LOOK_EVERY: Duration = Duration::from_micros(997);

/// What the threads of a sensor show of themselves.
#[derive(Clone)]
pub(crate) struct Shown {
    /// The thread that reads and decodes.
    pub(crate) reading: Marker,
    /// The workers, if there are any.
    pub(crate) workers: Vec<Marker>,
    /// How long jobs waited for workers to take them.
    pub(crate) waits: Waits,
}

/// How long something waited, in microseconds.
#[derive(Clone)]
pub(crate) struct Waits(Arc<Mutex<Histogram<u64>>>);

impl Default for Shown {
    fn default() -> Self {
        // Waits of up to an hour, to three digits; longer ones count as one.
        const HOUR_US: u64 = 3_600_000_000;
        let waits = Histogram::new_with_max(HOUR_US, 3).expect("the bounds are in order");
        Self {
            reading: Marker::default(),
            workers: Vec::new(),
            waits: Waits(Arc::new(Mutex::new(waits))),
        }
    }
}

impl Waits {
    pub(crate) fn note(&self, waited: Duration) {
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waits.saturating_record(waited.as_micros() as u64);
    }
}

/// Looks by the stage they found, a thread each.
type Looks = Vec<[u64; Stage::ALL.len()]>;

/// Somebody who looks.
pub(crate) struct Profile {
    names: Vec<String>,
    waits: Waits,
    is_over: Arc<AtomicBool>,
    looking: Option<JoinHandle<Looks>>,
}

impl Profile {
    /// Begins to look. Without a thread for it there is nothing to tell.
    pub(crate) fn start(shown: &Shown) -> Self {
        let markers: Vec<Marker> =
            [&shown.reading].into_iter().chain(&shown.workers).cloned().collect();
        let mut names = vec!["reading".to_owned()];
        names.extend((0..shown.workers.len()).map(|number| format!("worker {number}")));
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let look = move || {
            let mut looks = vec![[0; Stage::ALL.len()]; markers.len()];
            // Once at least, however short the run.
            loop {
                thread::sleep(LOOK_EVERY);
                for (looks, marker) in looks.iter_mut().zip(&markers) {
                    looks[marker.stage() as usize] += 1;
                }
                if seen.load(Ordering::Relaxed) {
                    return looks;
                }
            }
        };
        let looking = thread::Builder::new().name("profile".into()).spawn(look).ok();
        Self { names, waits: shown.waits.clone(), is_over, looking }
    }

    /// Stops looking, and tells what was seen.
    pub(crate) fn tell(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let looks = self.looking.and_then(|looking| looking.join().ok());
        let Some(looks) = looks else {
            return console::warning("the profile could not be made: the system gives no thread");
        };
        table(&self.names, &looks).iter().for_each(|line| console::say(line));
        let waits = self.waits.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !waits.is_empty() {
            console::say(&format!(
                "  queue wait  {} µs median, {} µs of 99 in 100, {} µs at most; {} jobs",
                console::grouped(waits.value_at_quantile(0.5)),
                console::grouped(waits.value_at_quantile(0.99)),
                console::grouped(waits.max()),
                console::grouped(waits.len()),
            ));
        }
    }
}

/// The shares in percent, a line a thread.
fn table(names: &[String], looks: &Looks) -> Vec<String> {
    let sums: Vec<u64> = looks.iter().map(|looks| looks.iter().sum()).collect();
    let total = sums.first().copied().unwrap_or_default();
    let heads: String = Stage::ALL.map(|stage| format!("{:>8}", stage.as_str())).concat();
    let mut lines = vec![format!(
        "fluxtap: where the time went, in percent of {} looks, one a millisecond",
        console::grouped(total)
    )];
    lines.push(format!("  {:10}{heads}", ""));
    for ((name, looks), sum) in names.iter().zip(looks).zip(sums) {
        let share = |count: &u64| *count as f64 * 100.0 / sum.max(1) as f64;
        let cells: String = looks.iter().map(|count| format!("{:>8.1}", share(count))).collect();
        lines.push(format!("  {name:10}{cells}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_each_thread() {
        let mut looks = vec![[0; Stage::ALL.len()]; 2];
        looks[0][Stage::Read as usize] = 1;
        looks[0][Stage::Facts as usize] = 3;
        looks[1][Stage::Wait as usize] = 4;
        let lines = table(&["reading".to_owned(), "worker 0".to_owned()], &looks);
        assert_eq!(
            lines[1..],
            [
                "                read  layers    pair   facts   split  window   judge   write    wait",
                "  reading       25.0     0.0     0.0    75.0     0.0     0.0     0.0     0.0     0.0",
                "  worker 0       0.0     0.0     0.0     0.0     0.0     0.0     0.0     0.0   100.0",
            ]
        );
    }

    #[test]
    fn what_is_shown_is_seen() {
        let shown = Shown { workers: vec![Marker::default()], ..Shown::default() };
        shown.reading.enter(Stage::Judge);
        shown.workers[0].enter(Stage::Wait);
        let profile = Profile::start(&shown);
        profile.is_over.store(true, Ordering::Relaxed);
        let looks = profile.looking.and_then(|looking| looking.join().ok()).unwrap();
        let sums: Vec<u64> = looks.iter().map(|looks| looks.iter().sum()).collect();
        assert!(sums.len() == 2 && sums[0] == sums[1] && sums[0] > 0, "{sums:?}");
        assert_eq!(looks[0][Stage::Judge as usize], sums[0]);
        assert_eq!(looks[1][Stage::Wait as usize], sums[1]);
    }
}
