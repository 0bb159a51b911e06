//! What a judgement reads of a domain: its history in numbers, and what threat lists say of it.

use fluxtap_flux::Policy;
use fluxtap_intel::{InForce, Intel};
use fluxtap_window::{DomainWindow, Features, Threats};

/// See the module's head.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The history, with how much of it is listed.
    pub features: Features,
    /// The lists that say so.
    pub threats: Threats,
}

/// Measures a domain at `now_s`, without what entries in `exempt` cover.
#[must_use]
pub fn measure(
    window: &DomainWindow,
    now_s: u32,
    policy: &Policy,
    intel: &Intel,
    exempt: Option<&InForce<'_>>,
) -> Measured {
    let addresses_min = policy.addresses_min;
    let mut features = window.features(now_s, addresses_min, intel.has_table(), exempt);
    let threats = window.threats(intel.threats(), now_s, addresses_min, exempt);
    features.note_threats(&threats);
    Measured { features, threats }
}
