//! What the sensor found against what was there: recall by family, false alerts, time to detect,
//! kinds, and what older detectors make of the same responses.
//!
//! An [`Evaluation`] is given the truth, then every batch of observations and every alert, in the
//! order in which they came; it ends as [`Outcomes`], one for each domain that was seen, which can
//! be joined with those of other captures and summed up in a [`Report`].
//!
//! The key decision: everything is counted by **domain**, and the truth bounds what is held. What
//! the truth does not name is counted and not followed, so memory grows with the truth and not with
//! the capture.
//!
//! What it does not do: read files, run the sensor, or decide what is good enough.
#![forbid(unsafe_code)]

mod compare;
mod evaluation;
mod interval;
mod outcome;
mod report;
mod text;
mod truth;

pub use compare::{
    ADDRESSES_MAX, COMPARATORS, Comparator, HOLZ_THRESHOLD, HOSTS_MAX, NAIVE_PREFIXES_MIN,
    NAIVE_TTL_S_MAX, ZEEK_TTL_S_MAX,
};
pub use evaluation::{Evaluation, SETS_MAX};
pub use interval::{Interval, poisson, proportion};
pub use outcome::{Found, Outcome, Outcomes};
pub use report::{
    BenignFamily, Compared, FluxFamily, FoundReport, KindRow, Quantiles, Rate, Report, Share,
};
pub use truth::{Label, MISTAKES_MAX, ROWS_MAX, Truth};
