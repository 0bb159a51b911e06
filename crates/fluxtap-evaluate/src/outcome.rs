//! One record for each domain that was seen, and many of them.

use crate::compare::COMPARATORS;
use crate::truth::Family;
use fluxtap_wire::Timestamp;

/// What the sensor found of a domain, from a severity on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// Seconds from the first flux answer to the alert; 0 for what is no flux.
    pub after_s: f64,
    /// Different address sets that had been seen then, without the first.
    pub changes: u32,
}

/// One domain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Index into the families of [`Outcomes`].
    pub(crate) family: u16,
    /// From low, medium and high on.
    pub(crate) found: [Option<Found>; 3],
    /// Highest score of an alert, 0 without one.
    pub(crate) score: f64,
    /// Position of the last alert's kind in the kinds of [`Outcomes`].
    pub(crate) kind: Option<u8>,
    /// Whether name servers were seen.
    pub(crate) has_servers: bool,
    /// Highest score of each comparator.
    pub(crate) compared: [f64; COMPARATORS.len()],
    /// Seconds to the first alert of each comparator.
    pub(crate) compared_after_s: [Option<f64>; COMPARATORS.len()],
}

/// The domains of one or more captures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    pub(crate) families: Vec<Family>,
    pub(crate) kinds: Vec<String>,
    pub(crate) list: Vec<Outcome>,
    /// Days of each domain: a capture counts a day at least, because a domain alerts once in it.
    pub(crate) benign_domain_days: f64,
    /// Flux domains of the truth that the capture does not show.
    pub(crate) flux_not_shown: u64,
    /// Alert lines about domains that the truth does not name.
    pub(crate) alerts_unlabelled: u64,
    /// Domains of which comparators could not keep everything.
    pub(crate) domains_cut: u64,
}

impl Outcomes {
    /// Adds those of another capture.
    pub fn join(&mut self, other: Self) {
        let families: Vec<u16> = other
            .families
            .into_iter()
            .map(|family| position(&mut self.families, family) as u16)
            .collect();
        let kinds: Vec<u8> =
            other.kinds.into_iter().map(|kind| position(&mut self.kinds, kind) as u8).collect();
        self.list.extend(other.list.into_iter().map(|outcome| Outcome {
            family: families[usize::from(outcome.family)],
            kind: outcome.kind.map(|kind| kinds[usize::from(kind)]),
            ..outcome
        }));
        self.benign_domain_days += other.benign_domain_days;
        self.flux_not_shown += other.flux_not_shown;
        self.alerts_unlabelled += other.alerts_unlabelled;
        self.domains_cut += other.domains_cut;
    }
}

/// The position of a value in a list, to which it is added if it is not there.
pub(crate) fn position<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    list.iter().position(|known| *known == value).unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    })
}

/// Days that a capture stands for.
pub(crate) fn days(span: Option<(Timestamp, Timestamp)>) -> f64 {
    const DAY_S: f64 = 86_400.0;
    let seconds = span.map_or(0.0, |(first, last)| last.since(first) as f64 / 1e9);
    libm::round(seconds / DAY_S).max(1.0)
}
