//! Which entries of the curated lists are used: both lists can be switched off, whole or by entry.

use crate::nearest::did_you_mean;
use crate::{AddressClass, Owner, Zone};
use std::collections::BTreeSet;

static CLASSES: &str = include_str!("../../../sensor-config/asn-classes.tsv");

/// What of the curated lists is switched off; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curated {
    are_zones_off: bool,
    are_asns_off: bool,
    zones_off: BTreeSet<Box<str>>,
    asns_off: BTreeSet<u32>,
    /// All that are listed, if the list is off.
    asns_listed: BTreeSet<u32>,
    /// Of every two autonomous systems the kind of one is forgotten; which, this number says.
    hiding: Option<u64>,
}

impl Curated {
    /// The lists of zones and of autonomous systems used or not, and entries of either that are
    /// not: zones as listed, autonomous systems as `AS13335`.
    ///
    /// # Errors
    /// Every name in `off` that no list has, with the nearest that one has.
    pub fn new(zones: bool, asns: bool, off: &[impl AsRef<str>]) -> Result<Self, Vec<String>> {
        let mut curated = Self { are_zones_off: !zones, are_asns_off: !asns, ..Self::default() };
        if !asns {
            curated.asns_listed = asns_listed().collect();
        }
        let mut mistakes = Vec::new();
        for name in off.iter().map(AsRef::as_ref) {
            if !curated.switch_off(name) {
                let asns: Vec<String> = asns_listed().map(|asn| format!("AS{asn}")).collect();
                let zones = crate::Intel::zones_listed().iter().map(|zone| &*zone.name);
                let hint = did_you_mean(name, zones.chain(asns.iter().map(String::as_str)));
                mistakes.push(format!(
                    "curated.off: got '{name}', expected a zone of curated-zones.tsv or a number \
                     of asn-classes.tsv such as AS13335{hint}"
                ));
            }
        }
        if mistakes.is_empty() { Ok(curated) } else { Err(mistakes) }
    }

    /// The same, to measure what kinds are worth: half of the autonomous systems, chosen by `seed`, are
    /// of no known kind.
    #[must_use]
    pub fn hiding_half(self, seed: u64) -> Self {
        Self { hiding: Some(seed), ..self }
    }

    /// What differs from the default, as names and values for the name of the model.
    #[must_use]
    pub fn changes(&self) -> Vec<(&'static str, String)> {
        let mut changes = Vec::new();
        if self.are_zones_off {
            changes.push(("curated.zones", "false".to_owned()));
        }
        if self.are_asns_off {
            changes.push(("curated.asns", "false".to_owned()));
        }
        let zones = self.zones_off.iter().map(ToString::to_string);
        let off: Vec<String> =
            zones.chain(self.asns_off.iter().map(|a| format!("AS{a}"))).collect();
        if !off.is_empty() {
            changes.push(("curated.off", off.join(",")));
        }
        changes
    }

    /// Whether a zone is used.
    pub(crate) fn has_zone(&self, zone: &Zone) -> bool {
        !self.are_zones_off && !self.zones_off.contains(&zone.name)
    }

    /// The owner as far as the list of kinds is used: what is listed is of no known kind without it;
    /// what is not has its kind from the words of its name, as ever.
    pub(crate) fn owner(&self, owner: Owner) -> Owner {
        let is_hidden = self.hiding.is_some_and(|seed| is_in_half(owner.asn, seed));
        if is_hidden || self.asns_listed.contains(&owner.asn) || self.asns_off.contains(&owner.asn)
        {
            return Owner { class: AddressClass::Unknown, hyperscaler: false, ..owner };
        }
        owner
    }

    /// False if no list has the name.
    fn switch_off(&mut self, name: &str) -> bool {
        let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
        let asn = name.strip_prefix("as").and_then(|digits| digits.parse().ok());
        if let Some(asn) = asn.filter(|&asn| asns_listed().any(|listed| listed == asn)) {
            self.asns_off.insert(asn);
            return true;
        }
        let zones = crate::Intel::zones_listed();
        let zone = zones.iter().find(|zone| *zone.name == *name);
        zone.is_some_and(|zone| {
            self.zones_off.insert(zone.name.clone());
            true
        })
    }
}

/// Whether a number is in the half of all that a seed chooses.
const fn is_in_half(asn: u32, seed: u64) -> bool {
    // The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    let value = (seed ^ (asn as u64) << 32).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (value ^ value >> 31) & 1 == 0
}

/// The numbers of the list of kinds of network.
fn asns_listed() -> impl Iterator<Item = u32> {
    CLASSES.lines().filter_map(|line| line.split('\t').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Intel;
    use crate::labels::wire_form;

    fn curated(zones: bool, asns: bool, off: &[&str]) -> Curated {
        Curated::new(zones, asns, off).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    }

    #[test]
    fn lists_and_entries_are_switched_off() {
        let cloudfront = wire_form("d1.cloudfront.net").expect("a name");
        let akamai = wire_form("e1.dscb.akamaiedge.net").expect("a name");
        let sees = |curated: Curated| {
            let intel = Intel::embedded().with_curated(curated);
            let class = |ip: &str| intel.owner(ip.parse().expect("an address")).class.as_str();
            (
                intel.zone(&cloudfront).is_some(),
                intel.zone(&akamai).is_some(),
                class("1.1.1.1"),
                class("73.0.0.1"),
            )
        };
        assert_eq!(sees(Curated::default()), (true, true, "cdn", "access"));
        assert_eq!(sees(curated(true, true, &[])), (true, true, "cdn", "access"));
        assert_eq!(sees(curated(false, true, &[])), (false, false, "cdn", "access"));
        assert_eq!(sees(curated(true, false, &[])), (true, true, "unknown", "unknown"));
        let one = curated(true, true, &["CloudFront.net.", "as13335"]);
        assert_eq!(sees(one.clone()), (false, true, "unknown", "access"));
        assert_eq!(one.changes(), [("curated.off", "cloudfront.net,AS13335".to_owned())]);
        assert_eq!(Curated::default().changes(), []);
        assert_eq!(curated(false, false, &[]).changes().len(), 2);
    }

    #[test]
    fn a_seed_hides_half_of_the_kinds() {
        for seed in 0..4 {
            let hidden = (1..=10_000).filter(|&asn| is_in_half(asn, seed)).count();
            assert!((4_800..5_200).contains(&hidden), "{seed}: {hidden}");
        }
        let of = |seed| {
            let intel = Intel::embedded().with_curated(Curated::default().hiding_half(seed));
            intel.owner("73.0.0.1".parse().expect("an address"))
        };
        let seen: BTreeSet<&str> = (0..8).map(|seed| of(seed).class.as_str()).collect();
        assert_eq!(Vec::from_iter(seen), ["access", "unknown"]);
        assert!((0..8).all(|seed| of(seed).asn == 7_922));
    }

    #[test]
    fn an_unknown_entry_is_refused_with_the_nearest() {
        let off = ["cloudfront.com", "AS13336", "evil.example", "cloudfront.net", "0", ""];
        let mistakes = Curated::new(true, true, &off).expect_err("unknown names");
        assert_eq!(mistakes.len(), 5, "{mistakes:?}");
        assert!(mistakes[0].ends_with("did you mean 'cloudfront.net'?"), "{mistakes:?}");
        assert!(mistakes[1].contains("did you mean 'AS1333"), "{mistakes:?}");
        assert!(mistakes[2].ends_with("such as AS13335"), "{mistakes:?}");
    }
}
