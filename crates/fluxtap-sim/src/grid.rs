//! The quality grid: scenarios through the real decoder and shard, and what came out of it.
//!
//! Packets go from the generator into the sensor without a file between; the result is that of
//! `fluxtap evaluate` over the written capture.

use std::io;

use fluxtap_alert::Alert;
use fluxtap_config::Settings;
use fluxtap_engine::{Decoder, REPLAY_HASH_KEY, Shard};
use fluxtap_evaluate::{Evaluation, Outcomes, Report, Truth};
use fluxtap_flow::FlowSettings;
use fluxtap_flux::Policy;
use fluxtap_intel::{Curated, Intel};
use fluxtap_observe::Batch;
use fluxtap_wire::{Layers, Packet, Ports};
use serde::Serialize;

use crate::address::NoSuchAddress;
use crate::run::{Scenario, Summary, run};
use crate::scenarios::{Named, Scale, scenario};
use crate::truth::write_truth;

/// Seeds that the checked-in grid reports. Nobody tunes with them.
pub const REPORTING_SEEDS: [u64; 3] = [101, 102, 103];

/// Packets decoded before the shard gets their facts.
const BATCH_PACKETS: usize = 1_024;

/// Whether the sensor uses the curated lists, of zones and of kinds of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// Both.
    Curated,
    /// Neither.
    None,
}

impl Lists {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Curated => "with lists",
            Self::None => "without lists",
        }
    }
}

/// A row of the grid.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The scenario.
    pub named: Named,
    /// How large it is.
    pub scale: Scale,
    /// The seeds whose outcomes are joined.
    pub seeds: &'static [u64],
    /// With which lists, each over the same packets.
    pub lists: &'static [Lists],
}

/// A row that was measured, with one set of lists.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The scenario.
    pub scenario: &'static str,
    /// What it is.
    pub about: &'static str,
    /// The lists.
    pub lists: &'static str,
    /// Seeds.
    pub seeds: &'static [u64],
    /// Responses that were made.
    pub responses: u64,
    /// Domains that had to make room in the sensor.
    pub evicted: u64,
    /// What came out.
    pub report: Report,
}

/// Why a row could not be measured.
#[derive(Debug)]
pub enum Failed {
    /// The address table lacks something.
    Address(NoSuchAddress),
    /// Writing the truth failed, or the sensor did.
    Io(io::Error),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failed {}

/// The grid as it is checked in, without the row of the test.
#[must_use]
pub fn full_grid() -> Vec<Cell> {
    let scale = |each, lookalikes, domains, questions_per_domain| Scale {
        each,
        lookalikes,
        domains,
        questions_per_domain,
    };
    Named::ALL
        .into_iter()
        .map(|named| Cell {
            named,
            scale: match named.as_str() {
                "crowd" => scale(2, 0, 1_400_000, 3.0),
                name if name.starts_with("fast") => scale(25, 20, 5_000, 4.0),
                name if name.starts_with("slow") => scale(16, 10, 5_000, 4.0),
                _ => scale(6, 5, 1_000, 10.0),
            },
            seeds: &REPORTING_SEEDS,
            lists: match named.as_str() {
                "crowd" | "fast-below" => &[Lists::Curated, Lists::None],
                _ => &[Lists::Curated],
            },
        })
        .collect()
}

/// The part of the grid that is small enough for a test.
#[must_use]
pub fn quick_cell() -> Cell {
    let scale = Scale { each: 2, lookalikes: 2, domains: 300, questions_per_domain: 4.0 };
    let (seeds, lists) = (&REPORTING_SEEDS[..1], &[Lists::Curated]);
    Cell { named: Named::ALL[0], scale, seeds, lists }
}

/// Measures a row.
///
/// # Errors
/// [`Failed`].
pub fn measure(cell: &Cell) -> Result<Vec<Measured>, Failed> {
    let lists = cell.lists;
    let book = Intel::embedded();
    let mut measured: Vec<Measured> = Vec::new();
    let mut joined: Vec<Outcomes> = lists.iter().map(|_| Outcomes::default()).collect();
    for &seed in cell.seeds {
        let scenario = scenario(cell.named, seed, cell.scale, &book).map_err(Failed::Address)?;
        for (place, done) in drive(&scenario, lists).map_err(Failed::Io)?.into_iter().enumerate() {
            joined[place].join(done.outcomes);
            if measured.len() <= place {
                measured.push(Measured {
                    scenario: cell.named.as_str(),
                    about: cell.named.about(),
                    lists: lists[place].as_str(),
                    seeds: cell.seeds,
                    responses: 0,
                    evicted: 0,
                    report: Outcomes::default().report(),
                });
            }
            measured[place].responses += done.summary.responses;
            measured[place].evicted += done.evicted;
        }
    }
    for (row, outcomes) in measured.iter_mut().zip(joined) {
        row.report = outcomes.report();
    }
    Ok(measured)
}

/// What one sensor made of one capture.
struct Done {
    outcomes: Outcomes,
    summary: Summary,
    evicted: u64,
}

/// Runs a scenario through a sensor for each of the lists.
fn drive(scenario: &Scenario, lists: &[Lists]) -> io::Result<Vec<Done>> {
    let mut text = Vec::new();
    write_truth(scenario, &Summary::default(), &mut text)?;
    let mut sensors = Vec::new();
    for lists in lists {
        let truth = Truth::read(text.as_slice())
            .map_err(|mistakes| io::Error::other(mistakes.join("; ")))?;
        sensors.push(Sensor::new(*lists, truth));
    }
    drop(text);
    let summary = run(scenario, &mut |packet| {
        sensors.iter_mut().for_each(|sensor| sensor.take(&packet));
        Ok(())
    })?;
    Ok(sensors.into_iter().map(|sensor| sensor.finish(scenario, summary.clone())).collect())
}

/// The sensor as `fluxtap replay` runs it, with its default settings.
struct Sensor {
    intel: Intel,
    decoder: Decoder,
    shard: Shard,
    batch: Batch,
    packets: usize,
    alerts: Vec<Alert>,
    evaluation: Evaluation,
}

impl Sensor {
    fn new(lists: Lists, truth: Truth) -> Self {
        let settings = Settings::default();
        let off: [&str; 0] = [];
        let curated = Curated::new(lists == Lists::Curated, lists == Lists::Curated, &off);
        let curated = curated.expect("nothing is switched off by name");
        let ports = Ports::new(&settings.dns_ports).expect("the default ports are valid");
        let layers = Layers { ports, ..Layers::default() };
        let lateness_s = settings.replay_lateness_s;
        Self {
            intel: Intel::embedded().with_curated(curated),
            decoder: Decoder::new(layers, &FlowSettings::default(), lateness_s, REPLAY_HASH_KEY),
            shard: Shard::new(Policy::default(), settings.memory_bytes, REPLAY_HASH_KEY),
            batch: Batch::default(),
            packets: 0,
            alerts: Vec::new(),
            evaluation: Evaluation::new(truth),
        }
    }

    fn take(&mut self, packet: &Packet<'_>) {
        self.decoder.decode(packet, &self.intel, &mut self.batch);
        self.packets += 1;
        if self.packets >= BATCH_PACKETS {
            self.apply();
        }
    }

    fn apply(&mut self) {
        self.shard.apply(&self.batch, &self.intel, &mut self.alerts);
        self.evaluation.observe(&self.batch, &self.intel);
        self.alerts.drain(..).for_each(|alert| self.evaluation.alert(&alert));
        self.batch.clear();
        self.packets = 0;
    }

    fn finish(mut self, scenario: &Scenario, summary: Summary) -> Done {
        self.decoder.finish(&mut self.batch, &self.intel);
        self.apply();
        self.shard.finish(&self.intel, &mut self.alerts);
        self.alerts.drain(..).for_each(|alert| self.evaluation.alert(&alert));
        for (&id, &at) in &summary.first_flux_answers {
            let domain = scenario.world.domain(id).registered();
            self.evaluation.set_start(domain.as_wire(), at);
        }
        let evicted = self.shard.table_counts().evicted;
        Done { outcomes: self.evaluation.finish(), summary, evicted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is checked in says what the sensor does today. The rest of the grid takes minutes and
    /// is made by `make quality`.
    #[test]
    fn the_quick_row_is_the_one_that_is_checked_in() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/quality-grid.json");
        let text = std::fs::read_to_string(path).expect("docs/quality-grid.json");
        let grid: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let measured = measure(&quick_cell()).expect("a row");
        let got = serde_json::to_value(&measured[0]).expect("JSON");
        assert_eq!(
            grid["quick"], got,
            "if the change is meant: make quality, and read the difference"
        );
    }
}
