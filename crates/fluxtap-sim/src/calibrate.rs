//! What a score says: how much more often flux reaches it than what is none.
//!
//! What is counted are domains and not judgements: a domain that is judged a thousand times at 20
//! points has reached 20 once. And shares are taken *within* flux and *within* what is none, so that
//! the figures do not depend on how much flux somebody put into the traffic; how much there is in a
//! network is a number of its own, [`fluxtap_flux::PRIOR`].
//!
//! The weights that alerts use, [`fluxtap_flux::WEIGHTS`], are those of the tuning seeds; what the
//! reporting seeds say stands beside them.

use std::collections::BTreeMap;

use fluxtap_engine::Judged;
use fluxtap_evaluate::{Label, Truth, proportion};
use fluxtap_flux::{DataQuality, PRIOR, Score, WEIGHTS, confidence, likelihood_ratio, quality};
use fluxtap_intel::Intel;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::grid::{Failed, Lists, REPORTING_SEEDS, Sensor, truth_of};
use crate::run::run;
use crate::scenarios::{Named, Scale, scenario};
use crate::svg::{Anchor, COLOURS, GREY, Svg};

/// Seeds that the weights are taken from.
pub const TUNING_SEEDS: [u64; 2] = [11, 12];

/// What stands for look-alikes that nobody thought of: half a domain that is no flux and reaches every
/// score.
const UNTHOUGHT: f64 = 0.5;

/// Families that somebody made up to frame a domain: how often that happens is no property of scores.
const FORGED: &str = "forged_";

/// Number of qualities of data that are told apart.
const QUALITIES: usize = 10;

/// How good the data behind a judgement were; one judgement is in several of these.
const QUALITY_NAMES: [&str; QUALITIES] = [
    "kinds known",
    "kinds unknown",
    "no address table",
    "1 to 3 changes",
    "4 to 9 changes",
    "10 changes and more",
    "below resolvers",
    "above resolvers",
    "30 % lost",
    "forged, whatever else",
];

/// Those in front have weights of their own and stand in the order of [`DataQuality`].
const WITH_WEIGHTS: [DataQuality; 3] =
    [DataQuality::KindsKnown, DataQuality::KindsUnknown, DataQuality::NoTable];

/// Position of what forged answers lead to.
const OF_FORGERS: usize = QUALITIES - 1;

/// Highest scores in tenths of points by label (no flux, flux), each domain once.
type Highest = [Vec<i32>; 2];

/// What seeds gave.
#[derive(Debug, Default)]
struct Gathered([Highest; QUALITIES]);

/// A row of the table.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    quality: String,
    /// Points that are reached, at least.
    points: f64,
    /// Flux that was judged with such data, and that reached them.
    flux: [u64; 2],
    /// The same of what is no flux.
    benign: [u64; 2],
    /// Share of flux among those that reached them, as the simulation mixes them, with bounds of 95 %.
    share: [f64; 3],
    /// How much more often flux reaches them, with bounds of 95 %.
    ratio: [f64; 3],
}

/// Measures both sets of seeds; Markdown, JSON and a picture.
///
/// # Errors
/// [`Failed`].
pub fn calibrate(said: &mut dyn FnMut(&str)) -> Result<Calibration, Failed> {
    let figures = Figures {
        model: fluxtap_flux::MODEL.to_owned(),
        tuning: gather(&TUNING_SEEDS, said)?.rows(),
        reporting: gather(&REPORTING_SEEDS, said)?.rows(),
    };
    Ok(figures.tell())
}

/// The same from the JSON of a calibration, with the weights that are used now.
///
/// # Errors
/// Why it is none.
pub fn tell_calibration(text: &str) -> Result<Calibration, String> {
    let figures: Figures = serde_json::from_str(text).map_err(|error| {
        format!("got no calibration, expected one of `make calibration`: {error}")
    })?;
    Ok(figures.tell())
}

/// What is written as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    model: String,
    tuning: Vec<Row>,
    reporting: Vec<Row>,
}

impl Figures {
    fn tell(&self) -> Calibration {
        Calibration {
            markdown: markdown(&self.tuning, &self.reporting),
            picture: picture(&self.tuning, &self.reporting),
            value: json!(self),
        }
    }
}

/// What came out, to be written.
#[derive(Debug)]
pub struct Calibration {
    /// A page.
    pub markdown: String,
    /// The figures.
    pub value: Value,
    /// The same as a picture, SVG.
    pub picture: String,
}

/// Scenarios that are measured: those of hours that differ in what the sensor gets to see. In days the
/// same look-alikes come again, and of the crowd they would be too few to be counted.
fn cells() -> impl Iterator<Item = (Named, Scale)> {
    let scale = |each, lookalikes, domains, questions_per_domain| Scale {
        each,
        lookalikes,
        domains,
        questions_per_domain,
    };
    let cells = [
        ("fast-below", scale(10, 30, 1_000, 3.0)),
        ("fast-above", scale(10, 30, 1_000, 3.0)),
        ("fast-loss", scale(10, 30, 1_000, 3.0)),
    ];
    cells.into_iter().filter_map(|(name, scale)| Some((Named::find(name)?, scale)))
}

fn gather(seeds: &[u64], said: &mut dyn FnMut(&str)) -> Result<Gathered, Failed> {
    let book = Intel::embedded();
    let mut gathered = Gathered::default();
    for (named, scale) in cells() {
        for &seed in seeds {
            let scenario = scenario(named, seed, scale, &book).map_err(Failed::Address)?;
            let lists = [Lists::Curated, Lists::None, Lists::NoTable];
            // Without the lists kinds are unknown, which the usual traffic has hardly any of.
            let lists = &lists[..if named.as_str() == "fast-below" { 3 } else { 1 }];
            let mut sensors = Vec::new();
            for &lists in lists {
                let truth = truth_of(&scenario).map_err(Failed::Io)?;
                let sensor = Sensor::new(lists, None).with_log();
                sensors.push((sensor, Domains::of(named, lists, truth)));
            }
            run(&scenario, &mut |packet| {
                for (sensor, domains) in &mut sensors {
                    sensor.take(&packet);
                    domains.take(sensor.judged());
                }
                Ok(())
            })
            .map_err(Failed::Io)?;
            for (mut sensor, mut domains) in sensors {
                sensor.end();
                domains.take(sensor.judged());
                gathered.add(domains);
            }
        }
        said(&format!("calibrated with {}\n", named.as_str()));
    }
    Ok(gathered)
}

/// The highest score of each domain of one capture, by quality of data.
struct Domains {
    named: Named,
    lists: Lists,
    truth: Truth,
    /// By domain and quality: whether it is flux, and its score in tenths.
    highest: BTreeMap<Measure, (bool, i32)>,
}

type Measure = (Box<[u8]>, usize);

impl Domains {
    const fn of(named: Named, lists: Lists, truth: Truth) -> Self {
        Self { named, lists, truth, highest: BTreeMap::new() }
    }

    fn take(&mut self, judged: Vec<Judged>) {
        for Judged { domain, verdict, subject, .. } in judged {
            let Some((label, family)) = self.truth.of(&domain) else { continue };
            let of_kinds = quality(&subject, self.lists != Lists::NoTable);
            let changes = match subject.changes {
                0..=3 => 3,
                4..=9 => 4,
                _ => 5,
            };
            let tap = match self.named.as_str().split('-').nth(1) {
                Some("below") => 6,
                Some("above") => 7,
                _ => 8,
            };
            let of_kinds_alone = [of_kinds as usize];
            let all = [of_kinds as usize, changes, tap];
            let qualities: &[usize] = match of_kinds {
                _ if family.starts_with(FORGED) => &[OF_FORGERS],
                DataQuality::KindsKnown => &all,
                // What else is told is of data that are good in this respect.
                DataQuality::KindsUnknown | DataQuality::NoTable => &of_kinds_alone,
            };
            for &quality in qualities {
                let highest = self.highest.entry((domain.clone(), quality));
                let (_, score) = highest.or_insert((label == Label::Flux, i32::MIN));
                *score = (*score).max(verdict.score.0);
            }
        }
    }
}

impl Gathered {
    fn add(&mut self, domains: Domains) {
        for ((_, quality), (is_flux, score)) in domains.highest {
            self.0[quality][usize::from(is_flux)].push(score);
        }
    }

    fn rows(&self) -> Vec<Row> {
        let knots = WEIGHTS[0].iter().map(|&(score, _)| score);
        let of_quality = |quality: usize| knots.clone().map(move |score| self.row(quality, score));
        (0..QUALITIES).flat_map(of_quality).collect()
    }

    fn row(&self, quality: usize, score: Score) -> Row {
        let [benign, flux] = &self.0[quality];
        let reached = |scores: &[i32]| {
            [scores.len(), scores.iter().filter(|&&highest| highest >= score.0).count()]
                .map(|n| n as u64)
        };
        let (flux, benign) = (reached(flux), reached(benign));
        let among = proportion(flux[1], flux[1] + benign[1]);
        let share = flux[1] as f64 / (flux[1] + benign[1]).max(1) as f64;
        let (of_flux, of_benign) = (proportion(flux[1], flux[0]), proportion(benign[1], benign[0]));
        let ratio = (flux[1] as f64 / flux[0].max(1) as f64)
            / ((benign[1] as f64 + UNTHOUGHT) / (benign[0] as f64 + UNTHOUGHT));
        let bounds =
            [of_flux.low / of_benign.high.max(1e-9), of_flux.high / of_benign.low.max(1e-9)];
        Row {
            quality: QUALITY_NAMES[quality].to_owned(),
            points: score.points(),
            flux,
            benign,
            share: [share, among.low, among.high].map(|share| libm::round(share * 1e4) / 1e4),
            ratio: [ratio, bounds[0], bounds[1].min(1e9)]
                .map(|ratio| libm::round(ratio * 10.0) / 10.0),
        }
    }
}

fn markdown(tuning: &[Row], reporting: &[Row]) -> String {
    let mut text = format!(
        "# What a score says\n\nMade by `make calibration`; do not edit.\n\
         Model `{}`, all traffic synthetic; [detection.md](detection.md#confidence) says what the figures \
         mean.\n\n![How much more often flux reaches a score](calibration.svg)\n\n\
         ## The weights\n\nThe *ratio* is what alerts have as `fluxtap.flux.likelihood_ratio`: taken from \
         tuning seeds {TUNING_SEEDS:?}, and held against reporting seeds {REPORTING_SEEDS:?}, which nothing \
         was tuned with.\n`confidence` is what it makes of {PRIOR} of the judged domains being flux.\n\n\
         | data | score from | ratio | confidence | on reporting seeds, 95 % |\n|---|---|---|---|---|\n",
        fluxtap_flux::MODEL,
    );
    for (row, other) in tuning.iter().zip(reporting) {
        let Some(of) =
            WITH_WEIGHTS.into_iter().find(|of| QUALITY_NAMES[*of as usize] == row.quality)
        else {
            continue;
        };
        let ratio = likelihood_ratio(Score::of(row.points), of);
        let [_, low, high] = other.ratio;
        text += &format!(
            "| {} | {} | {ratio} | {:.2} | {low:.1} to {} |\n",
            row.quality,
            row.points,
            confidence(ratio),
            if other.benign[1] > 0 { format!("{high:.1}") } else { "any".to_owned() },
        );
    }
    for (title, rows) in [("Tuning seeds", tuning), ("Reporting seeds", reporting)] {
        text += &format!(
            "\n## {title}\n\n| data | score from | flux that reached it | of | no flux that reached it | of \
             | share of flux among them | 95 % |\n|---|---|---|---|---|---|---|---|\n"
        );
        for Row { quality, points, flux, benign, share, .. } in rows {
            text += &format!(
                "| {quality} | {points} | {} | {} | {} | {} | {:.4} | {:.4} to {:.4} |\n",
                flux[1], flux[0], benign[1], benign[0], share[0], share[1], share[2],
            );
        }
    }
    text
}

/// Ratios as logarithms, with their intervals: tuning seeds, reporting seeds, and the line through
/// them that is used.
fn picture(tuning: &[Row], reporting: &[Row]) -> String {
    const PANEL: f64 = 250.0;
    const TOP: (f64, f64) = (50.0, 230.0);
    let mut svg = Svg::new(PANEL * WITH_WEIGHTS.len() as f64 + 20.0);
    let title = "How much more often flux reaches a score than what is none";
    svg.text(8.0, 18.0, Anchor::Start, "#000", title);
    svg.key(440.0, 18.0, &[("tuning", COLOURS[0]), ("reporting", COLOURS[1]), ("used", GREY)]);
    let y = |ratio: f64| {
        let share = (libm::log10(ratio.max(0.1)) + 1.0) / 6.0;
        TOP.1 - (TOP.1 - TOP.0) * share.min(1.0)
    };
    for (panel, of) in WITH_WEIGHTS.into_iter().enumerate() {
        let left = 40.0 + PANEL * panel as f64;
        let x = |points: f64| left + (points - 4.0) * 9.0;
        svg.text(left, 38.0, Anchor::Start, "#000", QUALITY_NAMES[of as usize]);
        for tick in [0.1, 1.0, 10.0, 100.0, 1_000.0, 10_000.0] {
            svg.line((left, y(tick)), (left + 190.0, y(tick)), "#eeeeee", 1.0);
            svg.text(left - 4.0, y(tick) + 4.0, Anchor::End, GREY, tick);
        }
        for tick in [5.0, 8.0, 11.0, 14.0, 18.0, 24.0] {
            svg.text(x(tick), TOP.1 + 14.0, Anchor::Middle, GREY, tick);
        }
        let curve = (50..=240).step_by(5).map(|tenths| {
            let score = Score(tenths);
            (x(score.points()), y(likelihood_ratio(score, of)))
        });
        svg.curve(&curve.collect::<Vec<_>>(), GREY);
        for (place, rows) in [tuning, reporting].into_iter().enumerate() {
            for row in rows.iter().filter(|row| row.quality == QUALITY_NAMES[of as usize]) {
                let at = x(row.points) - 2.0 + 4.0 * place as f64;
                let [ratio, low, high] = row.ratio;
                svg.line((at, y(low)), (at, y(high)), COLOURS[place], 1.0);
                svg.dot(at, y(ratio), COLOURS[place]);
            }
        }
    }
    svg.finish(TOP.1 + 24.0, title)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The weights that the tuning seeds give.
    fn weights(figures: &Figures) -> Vec<Vec<(Score, f64)>> {
        let of_quality = |of: DataQuality| {
            let rows =
                figures.tuning.iter().filter(|row| row.quality == QUALITY_NAMES[of as usize]);
            let mut most = 0.0_f64;
            rows.map(|row| {
                most = most.max(libm::log10(row.ratio[0].max(1.0)));
                (Score::of(row.points), libm::round(most * 100.0) / 100.0)
            })
            .collect()
        };
        WITH_WEIGHTS.into_iter().map(of_quality).collect()
    }

    #[test]
    fn the_weights_and_the_page_are_those_of_the_calibration_that_is_checked_in() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/calibration.");
        let read = |kind: &str| std::fs::read_to_string(format!("{docs}{kind}")).expect(kind);
        let figures: Figures = serde_json::from_str(&read("json")).expect("a calibration");
        let used: Vec<Vec<(Score, f64)>> = WEIGHTS.map(Vec::from).into();
        assert_eq!(weights(&figures), used, "left: what fluxtap_flux::WEIGHTS should be");
        let told = figures.tell();
        assert!(told.markdown == read("md"), "make calibration-page");
        assert!(told.picture == read("svg"), "make calibration-page");
    }
}
