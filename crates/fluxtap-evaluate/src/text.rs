//! A report for people.

use crate::compare::COMPARATORS;
use crate::report::{BenignFamily, Compared, FluxFamily, Quantiles, Rate, Report, Share};
use std::fmt::{self, Display, Formatter, Write as _};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table())
    }
}

impl Report {
    /// Tables in Markdown: flux by family, look-alikes by family, false alerts, comparators, kinds.
    fn table(&self) -> String {
        let mut text = String::new();
        self.flux_table(&mut text);
        self.benign_table(&mut text);
        self.rates(&mut text);
        self.compared_table(&mut text);
        self.kinds_table(&mut text);
        for (number, what) in [
            (self.flux_not_shown, "flux domains are not in the capture and in no figure"),
            (self.alerts_unlabelled, "alert lines are about domains that the truth does not name"),
            (self.domains_cut, "domains had more addresses than comparators keep"),
        ] {
            if number > 0 {
                line(&mut text, format_args!("\n{number} {what}."));
            }
        }
        text
    }

    fn flux_table(&self, text: &mut String) {
        if self.flux.is_empty() {
            return;
        }
        let head =
            "| flux | domains | medium+ | 95 % | low+ | minutes p50, p95 | changes p50, p95 |";
        line(text, format_args!("{head}\n|---|---|---|---|---|---|---|"));
        let all = ("**all**", &self.recall, &self.minutes, &self.changes);
        let families =
            self.flux.iter().map(|f: &FluxFamily| (&*f.family, &f.found, &f.minutes, &f.changes));
        for (name, found, minutes, changes) in families.chain([all]) {
            let Share { of, share, interval, .. } = found.medium;
            let low = found.low as f64 / of.max(1) as f64;
            line(
                text,
                format_args!(
                    "| {name} | {of} | {share:.3} | {:.3} to {:.3} | {low:.3} | {} | {} |",
                    interval.low,
                    interval.high,
                    pair(minutes, 1),
                    pair(changes, 0),
                ),
            );
        }
    }

    /// Families of which something alerted, here or with a comparator, and how many others there
    /// were.
    fn benign_table(&self, text: &mut String) {
        let is_loud = |f: &&BenignFamily| f.alerted != [0; 3] || f.compared != [0; 4];
        let (loud, quiet): (Vec<_>, Vec<_>) = self.benign.iter().partition(is_loud);
        if !loud.is_empty() {
            let names: Vec<&str> = COMPARATORS.iter().map(|c| c.as_str()).collect();
            let head = "| no flux, and alerted | domains | low | medium | high |";
            line(
                text,
                format_args!("\n{head} {} |\n{}", names.join(" | "), "|---".repeat(9) + "|"),
            );
        }
        for BenignFamily { family, domains, alerted, compared } in loud {
            let numbers: Vec<String> =
                alerted.iter().chain(compared).map(|number| number.to_string()).collect();
            line(text, format_args!("| {family} | {domains} | {} |", numbers.join(" | ")));
        }
        let names: Vec<String> =
            quiet.iter().map(|family| format!("{} {}", family.family, family.domains)).collect();
        if !names.is_empty() {
            line(text, format_args!("\nNo flux, and no alert of anybody: {}.", names.join(", ")));
        }
    }

    fn rates(&self, text: &mut String) {
        if self.benign.is_empty() {
            return;
        }
        line(
            text,
            format_args!("\n| false alerts | domains | by a million domains a day | 95 % |"),
        );
        line(text, format_args!("|---|---|---|---|"));
        for (what, rate) in [("medium and high", &self.false_medium), ("low", &self.false_low)] {
            let Rate { domains, per_million, interval } = rate;
            line(
                text,
                format_args!(
                    "| {what} | {domains} of {:.0} domain-days | {per_million:.1} | {:.1} to {:.1} |",
                    self.benign_domain_days, interval.low, interval.high
                ),
            );
        }
    }

    fn compared_table(&self, text: &mut String) {
        line(
            text,
            format_args!(
                "\n| detector | recall | false alerts (domains) | minutes p50, p95 | false alerts of fluxtap at its recall | its false alerts at the recall of fluxtap |"
            ),
        );
        line(text, format_args!("|---|---|---|---|---|---|"));
        line(
            text,
            format_args!(
                "| fluxtap, medium and high | {:.3} | {} | {} | | |",
                self.recall.medium.share,
                self.false_medium.domains,
                pair(&self.minutes, 1)
            ),
        );
        for compared in &self.compared {
            let Compared { name, recall, false_alerts, minutes, .. } = compared;
            let ours = compared.sensor_false_at_its_recall;
            let ours = ours.map_or_else(|| "not reached".to_owned(), |number| number.to_string());
            line(
                text,
                format_args!(
                    "| {name} | {:.3} | {} | {} | {ours} | {} |",
                    recall.share,
                    false_alerts.domains,
                    pair(minutes, 1),
                    compared.false_at_sensor_recall
                ),
            );
        }
    }

    fn kinds_table(&self, text: &mut String) {
        if self.kinds.is_empty() {
            return;
        }
        line(text, format_args!("\n| kind | named | domains |"));
        line(text, format_args!("|---|---|---|"));
        for kind in &self.kinds {
            line(text, format_args!("| {} | {} | {} |", kind.truth, kind.said, kind.domains));
        }
    }
}

fn line(text: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

fn pair(quantiles: &Quantiles, decimals: usize) -> String {
    let show = |value: Option<f64>| {
        value.map_or_else(|| "never".to_owned(), |value| format!("{value:.decimals$}"))
    };
    format!("{}, {}", show(quantiles.p50), show(quantiles.p95))
}
