//! Outcomes summed up.

use crate::compare::COMPARATORS;
use crate::interval::{Interval, poisson, proportion};
use crate::outcome::{Found, Outcome, Outcomes};
use crate::truth::{Family, Label};
use serde::Serialize;
use std::collections::BTreeMap;

/// A share with its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// The share; 0 of nothing.
    pub share: f64,
    /// 95 %, exact (Clopper and Pearson).
    pub interval: Interval,
}

/// False alerts by a million domains a day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// Domains that alerted and are no flux.
    pub domains: u64,
    /// By a million domains a day.
    pub per_million: f64,
    /// 95 %, exact (Garwood); the rule of three where there is none.
    pub interval: Interval,
}

/// Middle and tail of a quantity over all that were shown; `null` where it lies among those that
/// were never found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half are not above it.
    pub p50: Option<f64>,
    /// 95 % are not above it.
    pub p95: Option<f64>,
}

/// What was found of flux.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FoundReport {
    /// Domains found at low or above.
    pub low: u64,
    /// At medium or above.
    pub medium: Share,
    /// At high.
    pub high: u64,
}

/// A family of flux.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FluxFamily {
    /// Its name.
    pub family: String,
    /// What an alert should say.
    pub kind: String,
    /// Domains of it that were seen with name servers; how many were seen is `found.medium.of`.
    pub with_servers: u64,
    /// How many alerted.
    pub found: FoundReport,
    /// Minutes from the first answer to an alert of medium.
    pub minutes: Quantiles,
    /// Changes of the address set until then.
    pub changes: Quantiles,
    /// How many comparators alerted on, in the order of [`COMPARATORS`].
    pub compared: [u64; COMPARATORS.len()],
}

/// A family of what is no flux.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenignFamily {
    /// Its name.
    pub family: String,
    /// Domains of it that were seen.
    pub domains: u64,
    /// Of these, how many alerted at low at most, at medium at most, and at high.
    pub alerted: [u64; 3],
    /// How many comparators alerted on, in the order of [`COMPARATORS`].
    pub compared: [u64; COMPARATORS.len()],
}

/// How often a kind was named for another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KindRow {
    /// The true kind.
    pub truth: String,
    /// What the last alert said; `-` without one.
    pub said: String,
    /// Domains.
    pub domains: u64,
}

/// A comparator beside the sensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Its name.
    pub name: &'static str,
    /// Flux that it finds.
    pub recall: Share,
    /// What it finds and is no flux.
    pub false_alerts: Rate,
    /// Minutes to its alert.
    pub minutes: Quantiles,
    /// False alerts of the sensor with a threshold at which it finds as much; `null` if it does
    /// not at its lowest.
    pub sensor_false_at_its_recall: Option<u64>,
    /// False alerts of the comparator with a threshold at which it finds as much as the sensor at
    /// medium.
    pub false_at_sensor_recall: u64,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Flux, in the order of the families' names.
    pub flux: Vec<FluxFamily>,
    /// What is no flux, likewise.
    pub benign: Vec<BenignFamily>,
    /// All flux together.
    pub recall: FoundReport,
    /// Minutes from the first answer to an alert of medium, over all flux.
    pub minutes: Quantiles,
    /// Changes of the address set until then.
    pub changes: Quantiles,
    /// Domains that are no flux, times days; a capture counts a day at least.
    pub benign_domain_days: f64,
    /// Alerts of medium or above.
    pub false_medium: Rate,
    /// Alerts of low.
    pub false_low: Rate,
    /// Kinds.
    pub kinds: Vec<KindRow>,
    /// Comparators.
    pub compared: Vec<Compared>,
    /// Flux domains of the truth without an answer in the capture; they are in no other figure.
    pub flux_not_shown: u64,
    /// Alert lines about domains that the truth does not name.
    pub alerts_unlabelled: u64,
    /// Domains of which comparators could not keep everything.
    pub domains_cut: u64,
}

/// Positions of severities in an outcome.
const LOW: usize = 0;
const MEDIUM: usize = 1;
const HIGH: usize = 2;

impl Outcomes {
    /// Sums up.
    #[must_use]
    pub fn report(&self) -> Report {
        let of_label = |label| {
            self.list.iter().filter(move |o| self.families[usize::from(o.family)].label == label)
        };
        let flux: Vec<&Outcome> = of_label(Label::Flux).collect();
        let benign: Vec<&Outcome> = of_label(Label::Benign).collect();
        let medium = count(&benign, |o| o.found[MEDIUM].is_some());
        let low = count(&benign, |o| o.found[LOW].is_some()) - medium;
        Report {
            flux: self.families_of(Label::Flux).into_iter().map(flux_family).collect(),
            benign: self.families_of(Label::Benign).into_iter().map(benign_family).collect(),
            recall: found(&flux),
            minutes: minutes(&flux, |o| o.found[MEDIUM].map(|found| found.after_s)),
            changes: changes(&flux),
            benign_domain_days: self.benign_domain_days,
            false_medium: self.rate(medium),
            false_low: self.rate(low),
            kinds: self.kinds(&flux),
            compared: self.compared(&flux, &benign),
            flux_not_shown: self.flux_not_shown,
            alerts_unlabelled: self.alerts_unlabelled,
            domains_cut: self.domains_cut,
        }
    }

    /// The families of a label in the order of their names, each with its domains.
    fn families_of(&self, label: Label) -> Vec<(&Family, Vec<&Outcome>)> {
        let mut by_family: BTreeMap<_, Vec<&Outcome>> = BTreeMap::new();
        for outcome in &self.list {
            let family = &self.families[usize::from(outcome.family)];
            if family.label == label {
                by_family.entry(family).or_default().push(outcome);
            }
        }
        by_family.into_iter().collect()
    }

    fn kinds(&self, flux: &[&Outcome]) -> Vec<KindRow> {
        let mut rows: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for outcome in flux {
            let truth = self.families[usize::from(outcome.family)].kind.as_str();
            let said = outcome.kind.map_or("-", |kind| self.kinds[usize::from(kind)].as_str());
            *rows.entry((truth, said)).or_default() += 1;
        }
        let row = |((truth, said), domains): ((&str, &str), u64)| KindRow {
            truth: truth.to_owned(),
            said: said.to_owned(),
            domains,
        };
        rows.into_iter().map(row).collect()
    }

    fn compared(&self, flux: &[&Outcome], benign: &[&Outcome]) -> Vec<Compared> {
        let ours = count(flux, |o| o.found[MEDIUM].is_some());
        let compared = |(place, comparator): (usize, &crate::Comparator)| {
            let alerted = |o: &Outcome| o.compared_after_s[place].is_some();
            let theirs = count(flux, alerted);
            let our_threshold = threshold(flux, theirs, |o| o.score);
            let their_threshold = threshold(flux, ours, |o| o.compared[place]);
            let is_reached = our_threshold > 0.0;
            Compared {
                name: comparator.as_str(),
                recall: share(theirs, flux.len() as u64),
                false_alerts: self.rate(count(benign, alerted)),
                minutes: minutes(flux, |o| o.compared_after_s[place]),
                sensor_false_at_its_recall: is_reached
                    .then(|| count(benign, |o| o.score >= our_threshold)),
                false_at_sensor_recall: count(benign, |o| o.compared[place] >= their_threshold),
            }
        };
        COMPARATORS.iter().enumerate().map(compared).collect()
    }

    fn rate(&self, domains: u64) -> Rate {
        let millions = self.benign_domain_days / 1e6;
        let scale = if millions > 0.0 { 1.0 / millions } else { 0.0 };
        Rate {
            domains,
            per_million: rounded(domains as f64 * scale),
            interval: poisson(domains).map(|bound| rounded(bound * scale)),
        }
    }
}

fn flux_family((family, outcomes): (&Family, Vec<&Outcome>)) -> FluxFamily {
    FluxFamily {
        family: family.name.clone(),
        kind: family.kind.clone(),
        with_servers: count(&outcomes, |o| o.has_servers),
        found: found(&outcomes),
        minutes: minutes(&outcomes, |o| o.found[MEDIUM].map(|found| found.after_s)),
        changes: changes(&outcomes),
        compared: alerted(&outcomes),
    }
}

fn benign_family((family, outcomes): (&Family, Vec<&Outcome>)) -> BenignFamily {
    let from = |level: usize| count(&outcomes, |o| o.found[level].is_some());
    let (low, medium, high) = (from(LOW), from(MEDIUM), from(HIGH));
    BenignFamily {
        family: family.name.clone(),
        domains: outcomes.len() as u64,
        alerted: [low - medium, medium - high, high],
        compared: alerted(&outcomes),
    }
}

/// On how many each comparator alerted.
fn alerted(outcomes: &[&Outcome]) -> [u64; COMPARATORS.len()] {
    std::array::from_fn(|place| count(outcomes, |o| o.compared_after_s[place].is_some()))
}

/// The highest threshold at which `wanted` of the domains are found; infinite for none.
fn threshold(flux: &[&Outcome], wanted: u64, score: impl Fn(&Outcome) -> f64) -> f64 {
    let mut scores: Vec<f64> = flux.iter().map(|o| score(o)).collect();
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    match wanted as usize {
        0 => f64::INFINITY,
        wanted => scores.get(wanted - 1).copied().unwrap_or(f64::INFINITY),
    }
}

fn count(outcomes: &[&Outcome], is_counted: impl Fn(&Outcome) -> bool) -> u64 {
    outcomes.iter().filter(|outcome| is_counted(outcome)).count() as u64
}

fn found(outcomes: &[&Outcome]) -> FoundReport {
    let from = |level: usize| count(outcomes, |o| o.found[level].is_some());
    let medium = share(from(MEDIUM), outcomes.len() as u64);
    FoundReport { low: from(LOW), medium, high: from(HIGH) }
}

fn share(count: u64, of: u64) -> Share {
    let share = if of == 0 { 0.0 } else { count as f64 / of as f64 };
    Share { count, of, share: rounded(share), interval: proportion(count, of).map(rounded) }
}

/// To four decimals: more would be no information, and noise in a difference.
fn rounded(value: f64) -> f64 {
    libm::round(value * 1e4) / 1e4
}

fn minutes(outcomes: &[&Outcome], after_s: impl Fn(&Outcome) -> Option<f64>) -> Quantiles {
    quantiles(outcomes.iter().map(|o| after_s(o).map(|seconds| seconds / 60.0)).collect())
}

fn changes(outcomes: &[&Outcome]) -> Quantiles {
    let changes = |found: Found| f64::from(found.changes);
    quantiles(outcomes.iter().map(|o| o.found[MEDIUM].map(changes)).collect())
}

/// By nearest rank; `None` stands for infinity.
fn quantiles(mut values: Vec<Option<f64>>) -> Quantiles {
    values
        .sort_unstable_by(|a, b| a.unwrap_or(f64::INFINITY).total_cmp(&b.unwrap_or(f64::INFINITY)));
    let at = |share: f64| {
        let rank = libm::ceil(share * values.len() as f64) as usize;
        values.get(rank.saturating_sub(1)).copied().flatten().map(rounded)
    };
    Quantiles { p50: at(0.5), p95: at(0.95) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(label: Label, name: &str) -> Family {
        let kind = if label == Label::Flux { "single_flux" } else { "" };
        Family { label, name: name.to_owned(), kind: kind.to_owned() }
    }

    fn outcome(family: u16, score: f64, holz: f64) -> Outcome {
        let found =
            |from: f64| (score >= from).then_some(Found { after_s: 60.0 * score, changes: 3 });
        let alert = |score: f64| (score > 142.38).then_some(30.0);
        Outcome {
            family,
            found: [found(11.0), found(14.0), found(18.0)],
            score: if score >= 11.0 { score } else { 0.0 },
            kind: (score >= 11.0).then_some(0),
            compared: [holz, 0.0, 0.0, 0.0],
            compared_after_s: [alert(holz), None, None, None],
            ..Outcome::default()
        }
    }

    fn outcomes(list: Vec<Outcome>) -> Outcomes {
        Outcomes {
            families: vec![family(Label::Flux, "classic"), family(Label::Benign, "pool")],
            kinds: vec!["single_flux".to_owned()],
            list,
            benign_domain_days: 1_000.0,
            ..Outcomes::default()
        }
    }

    #[test]
    fn a_report_counts_what_there_was() {
        let report = outcomes(vec![
            outcome(0, 20.0, 300.0),
            outcome(0, 15.0, 150.0),
            outcome(0, 12.0, 100.0),
            outcome(0, 5.0, 200.0),
            outcome(1, 14.5, 160.0),
            outcome(1, 0.0, 120.0),
            outcome(1, 11.5, 90.0),
        ])
        .report();
        let FoundReport { low, medium, high } = report.recall;
        assert_eq!((low, medium.count, high), (3, 2, 1));
        assert_eq!(report.benign[0].alerted, [1, 1, 0]);
        assert_eq!(
            (report.flux[0].compared, report.benign[0].compared),
            ([3, 0, 0, 0], [1, 0, 0, 0])
        );
        assert_eq!((report.recall.medium.share, report.recall.medium.of), (0.5, 4));
        assert_eq!((report.false_medium.domains, report.false_medium.per_million), (1, 1_000.0));
        assert_eq!(report.false_low.domains, 1);
        assert_eq!(report.minutes, Quantiles { p50: Some(20.0), p95: None });
        assert_eq!(report.changes, Quantiles { p50: Some(3.0), p95: None });
        let kinds: Vec<_> = report.kinds.iter().map(|k| (&*k.said, k.domains)).collect();
        assert_eq!(kinds, [("-", 1), ("single_flux", 3)]);
        let holz = &report.compared[0];
        assert_eq!((holz.recall.count, holz.false_alerts.domains), (3, 1));
        // For three of four the sensor has to go down to 12 points, where it is wrong once.
        assert_eq!(holz.sensor_false_at_its_recall, Some(1));
        // For the sensor's two of four the comparator can go up to 200, where it is never wrong.
        assert_eq!(holz.false_at_sensor_recall, 0);
        let zeek = &report.compared[2];
        assert_eq!((zeek.recall.count, zeek.sensor_false_at_its_recall), (0, Some(0)));
        assert_eq!(zeek.false_at_sensor_recall, 3);
    }

    #[test]
    fn what_the_sensor_never_finds_is_no_threshold() {
        let report = outcomes(vec![outcome(0, 5.0, 150.0), outcome(0, 12.0, 150.0)]).report();
        assert_eq!(report.compared[0].sensor_false_at_its_recall, None);
    }

    #[test]
    fn captures_join_by_name() {
        let mut both = outcomes(vec![outcome(0, 20.0, 0.0)]);
        let other = Outcomes {
            families: vec![family(Label::Benign, "pool"), family(Label::Flux, "classic")],
            kinds: vec!["double_flux".to_owned(), "single_flux".to_owned()],
            ..outcomes(vec![outcome(1, 20.0, 0.0), outcome(0, 0.0, 0.0)])
        };
        both.join(other);
        let report = both.report();
        assert_eq!((report.flux.len(), report.flux[0].found.medium.of), (1, 2));
        assert_eq!((report.benign[0].domains, report.benign_domain_days), (1, 2_000.0));
        let said: Vec<_> = report.kinds.iter().map(|k| (&*k.said, k.domains)).collect();
        assert_eq!(said, [("double_flux", 1), ("single_flux", 1)]);
    }

    #[test]
    fn nothing_at_all_is_a_report_too() {
        let report = Outcomes::default().report();
        assert_eq!((report.recall.medium.of, report.false_medium.per_million), (0, 0.0));
        assert_eq!(report.minutes, Quantiles { p50: None, p95: None });
        serde_json::to_string(&report).expect("no number that JSON lacks");
    }
}
