//! The quality grid: scenarios through the real decoder and shard, and what came out of it.
//!
//! Packets go from the generator into the sensor without a file between; the result is that of
//! `fluxtap evaluate` over the written capture.

use std::io;

use fluxtap_alert::Alert;
use fluxtap_config::Settings;
use fluxtap_engine::{Decoder, Judged, REPLAY_HASH_KEY, Shard};
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
    /// Neither, and nobody's addresses are known.
    NoTable,
    /// Both, but the kind of half of the autonomous systems is forgotten; which, a seed says.
    HalfHidden(u64),
}

impl Lists {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Curated => "with lists",
            Self::None => "without lists",
            Self::NoTable => "without an address table",
            Self::HalfHidden(_) => "half of the kinds hidden",
        }
    }
}

/// A row of the grid.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The scenario.
    pub named: Named,
    /// How large it is.
    pub scale: Scale,
    /// The seeds whose outcomes are joined.
    pub seeds: &'static [u64],
    /// With which lists, each over the same packets.
    pub lists: Vec<Lists>,
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

/// The grid as it is checked in, without the row of the test; `hiding` chooses the half of the
/// autonomous systems whose kind is forgotten in the rows that say so.
#[must_use]
pub fn full_grid(hiding: u64) -> Vec<Cell> {
    let scale = |each, lookalikes, domains, questions_per_domain| Scale {
        each,
        lookalikes,
        domains,
        questions_per_domain,
    };
    Named::ALL
        .into_iter()
        .filter(|named| named.is_in_grid())
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
                "fast-below" => vec![Lists::Curated, Lists::None, Lists::HalfHidden(hiding)],
                "crowd" => vec![Lists::Curated, Lists::None],
                "slow-below" => vec![Lists::Curated, Lists::HalfHidden(hiding)],
                _ => vec![Lists::Curated],
            },
        })
        .collect()
}

/// The part of the grid that is small enough for a test.
#[must_use]
pub fn quick_cell() -> Cell {
    let scale = Scale { each: 2, lookalikes: 2, domains: 300, questions_per_domain: 4.0 };
    Cell { named: Named::ALL[0], scale, seeds: &REPORTING_SEEDS[..1], lists: vec![Lists::Curated] }
}

/// Measures a row.
///
/// # Errors
/// [`Failed`].
pub fn measure(cell: &Cell) -> Result<Vec<Measured>, Failed> {
    let lists = cell.lists.as_slice();
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
    let mut sensors = Vec::new();
    for lists in lists {
        sensors.push(Sensor::new(*lists, Some(truth_of(scenario)?)));
    }
    let summary = run(scenario, &mut |packet| {
        sensors.iter_mut().for_each(|sensor| sensor.take(&packet));
        Ok(())
    })?;
    Ok(sensors.into_iter().map(|sensor| sensor.finish(scenario, summary.clone())).collect())
}

/// What is true of a scenario, as far as it is known before it ran.
pub(crate) fn truth_of(scenario: &Scenario) -> io::Result<Truth> {
    let mut text = Vec::new();
    write_truth(scenario, &Summary::default(), &mut text)?;
    Truth::read(text.as_slice()).map_err(|mistakes| io::Error::other(mistakes.join("; ")))
}

/// The sensor as `fluxtap replay` runs it, with its default settings.
pub(crate) struct Sensor {
    intel: Intel,
    decoder: Decoder,
    shard: Shard,
    batch: Batch,
    packets: usize,
    alerts: Vec<Alert>,
    evaluation: Option<Evaluation>,
}

impl Sensor {
    /// A sensor whose lines are held against the truth, if there is one.
    pub(crate) fn new(lists: Lists, truth: Option<Truth>) -> Self {
        let settings = Settings::default();
        let off: [&str; 0] = [];
        let are_used = matches!(lists, Lists::Curated | Lists::HalfHidden(_));
        let curated = Curated::new(are_used, are_used, &off);
        let mut curated = curated.expect("nothing is switched off by name");
        if let Lists::HalfHidden(seed) = lists {
            curated = curated.hiding_half(seed);
        }
        let ports = Ports::new(&settings.dns_ports).expect("the default ports are valid");
        let layers = Layers { ports, ..Layers::default() };
        let lateness_s = settings.replay_lateness_s;
        let intel = match lists {
            Lists::NoTable => Intel::without_table(),
            Lists::Curated | Lists::None | Lists::HalfHidden(_) => Intel::embedded(),
        };
        Self {
            intel: intel.with_curated(curated),
            decoder: Decoder::new(layers, &FlowSettings::default(), lateness_s, REPLAY_HASH_KEY),
            shard: Shard::new(Policy::default(), settings.memory_bytes, REPLAY_HASH_KEY),
            batch: Batch::default(),
            packets: 0,
            alerts: Vec::new(),
            evaluation: truth.map(Evaluation::new),
        }
    }

    /// The same, which keeps its judgements until [`Sensor::judged`] takes them.
    pub(crate) fn with_log(mut self) -> Self {
        self.shard = self.shard.with_log();
        self
    }

    /// The judgements since the last call.
    pub(crate) fn judged(&mut self) -> Vec<Judged> {
        self.shard.take_log()
    }

    pub(crate) fn take(&mut self, packet: &Packet<'_>) {
        self.decoder.decode(packet, &self.intel, &mut self.batch);
        self.packets += 1;
        if self.packets >= BATCH_PACKETS {
            self.apply();
        }
    }

    fn apply(&mut self) {
        self.shard.apply(&self.batch, &self.intel, &mut self.alerts);
        if let Some(evaluation) = &mut self.evaluation {
            evaluation.observe(&self.batch, &self.intel);
        }
        self.note_alerts();
        self.batch.clear();
        self.packets = 0;
    }

    /// Judges what waits at the end of the packets.
    pub(crate) fn end(&mut self) {
        self.decoder.finish(&mut self.batch, &self.intel);
        self.apply();
        self.shard.finish(&self.intel, &mut self.alerts);
        self.note_alerts();
    }

    fn note_alerts(&mut self) {
        for alert in self.alerts.drain(..) {
            if let Some(evaluation) = &mut self.evaluation {
                evaluation.alert(&alert);
            }
        }
    }

    fn finish(mut self, scenario: &Scenario, summary: Summary) -> Done {
        self.end();
        let evicted = self.shard.table_counts().evicted;
        let outcomes = self.evaluation.map_or_else(Outcomes::default, |mut evaluation| {
            for (&id, &at) in &summary.first_flux_answers {
                let domain = scenario.world.domain(id).registered();
                evaluation.set_start(domain.as_wire(), at);
            }
            evaluation.finish()
        });
        Done { outcomes, summary, evicted }
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
