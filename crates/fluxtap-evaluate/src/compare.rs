//! What older detectors make of the same responses.
//!
//! They stand behind our decoder, so what it drops (special-use addresses, names that spell their
//! address, forged answers) does not count for them either; that is to their advantage.

use fluxtap_intel::Intel;
use fluxtap_observe::{Batch, Observation};
use fluxtap_wire::Timestamp;
use foldhash::quality::FixedState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;

/// Score from which on Holz et al. (NDSS 2008) and the Zeek variant speak of flux.
pub const HOLZ_THRESHOLD: f64 = 142.38;

/// Weights of an address and of an autonomous system in the same paper.
const HOLZ_WEIGHTS: (f64, f64) = (1.32, 18.54);

/// Answers with a longer TTL are ignored by the Zeek variant, in seconds.
pub const ZEEK_TTL_S_MAX: u32 = 1_800;

/// It forgets a name that was not written for so long, in seconds.
const ZEEK_STATE_S: u64 = 1_860;

/// TTL from which on the naive rule ignores an answer, in seconds.
pub const NAIVE_TTL_S_MAX: u32 = 300;

/// Prefixes (/16, IPv6 /32) in 24 hours from which on it speaks of flux.
pub const NAIVE_PREFIXES_MIN: u32 = 5;

/// How long it remembers, in seconds.
const NAIVE_WINDOW_S: u64 = 86_400;

/// Most addresses kept of a domain or a host. No score of these rules depends on more to pass its
/// threshold; the sets of those that have more are counted.
pub const ADDRESSES_MAX: usize = 512;

/// Most hosts of a domain followed at a time; the one not seen longest goes.
pub const HOSTS_MAX: usize = 64;

/// A detector that is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    /// Holz et al. 2008 as published: two look-ups of a host, the second after the TTL.
    HolzTwoLookups,
    /// The same score over all answers of the domain.
    HolzCumulative,
    /// The script `an-dns-fast_flux.zeek` of `jbaggs/anomalous-dns`: the cumulative score of a
    /// name times autonomous systems over addresses, A records with a TTL of at most 30 min.
    Zeek,
    /// At least 5 prefixes in a day, answered with a TTL of at most 300 s.
    Naive,
}

/// All of them, in the order of the outcomes.
pub const COMPARATORS: [Comparator; 4] =
    [Comparator::HolzTwoLookups, Comparator::HolzCumulative, Comparator::Zeek, Comparator::Naive];

impl Comparator {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HolzTwoLookups => "holz2008_two_lookups",
            Self::HolzCumulative => "holz2008_cumulative",
            Self::Zeek => "zeek_asn_ratio",
            Self::Naive => "ttl_and_prefixes",
        }
    }

    /// Whether a score makes an alert.
    #[must_use]
    pub fn is_alert(self, score: f64) -> bool {
        match self {
            Self::Naive => score >= f64::from(NAIVE_PREFIXES_MIN),
            _ => score > HOLZ_THRESHOLD,
        }
    }
}

/// Different addresses with their autonomous systems, 0 for unknown ones.
#[derive(Debug, Default)]
struct Set {
    addresses: Vec<(IpAddr, u32)>,
    asns: Vec<u32>,
}

impl Set {
    /// False if the set is full.
    fn add(&mut self, ip: IpAddr, asn: u32) -> bool {
        if self.addresses.iter().any(|(known, _)| *known == ip) {
            return true;
        }
        if self.addresses.len() >= ADDRESSES_MAX {
            return false;
        }
        self.addresses.push((ip, asn));
        if asn != 0 && !self.asns.contains(&asn) {
            self.asns.push(asn);
        }
        true
    }

    fn score(&self) -> f64 {
        let (per_address, per_asn) = HOLZ_WEIGHTS;
        per_address * self.addresses.len() as f64 + per_asn * self.asns.len() as f64
    }

    fn clear(&mut self) {
        self.addresses.clear();
        self.asns.clear();
    }
}

/// One host of a domain: the latest look-up for Holz, and what Zeek holds of the name.
#[derive(Debug)]
struct Host {
    name: u64,
    seen: Timestamp,
    /// When the look-up that is kept has expired.
    expires: Timestamp,
    lookup: Vec<(IpAddr, u32)>,
    zeek: Set,
    zeek_written: Option<Timestamp>,
}

/// What the comparators know of a domain.
#[derive(Debug, Default)]
pub(crate) struct History {
    all: Set,
    hosts: Vec<Host>,
    prefixes: Vec<u64>,
    prefixes_since: Timestamp,
    /// Whether a set was full.
    pub(crate) is_cut: bool,
}

impl History {
    /// Takes an answer with addresses and gives the scores that it leads to, by position in
    /// [`COMPARATORS`].
    pub(crate) fn take(
        &mut self,
        observation: &Observation,
        batch: &Batch,
        intel: &Intel,
    ) -> [f64; 4] {
        let mut answer: Vec<(IpAddr, u32)> = Vec::new();
        let mut ttl_s = u32::MAX;
        for address in batch.addresses(observation) {
            ttl_s = ttl_s.min(address.ttl_s);
            let known = self.all.addresses.iter().find(|(ip, _)| *ip == address.ip);
            let asn = known.map_or_else(|| intel.owner(address.ip).asn, |known| known.1);
            answer.push((address.ip, asn));
        }
        for &(ip, asn) in &answer {
            self.is_cut |= !self.all.add(ip, asn);
        }
        let naive = self.naive(observation.at, ttl_s, &answer);
        let cumulative = self.all.score();
        let name = FixedState::with_seed(1).hash_one(batch.name(observation.terminal));
        let host = self.host(name, observation.at);
        let two = host.two_lookups(observation.at, ttl_s, &answer);
        let zeek = host.zeek(observation.at, ttl_s, &answer);
        [two, cumulative, zeek, naive]
    }

    fn naive(&mut self, at: Timestamp, ttl_s: u32, answer: &[(IpAddr, u32)]) -> f64 {
        if at.since(self.prefixes_since) >= NAIVE_WINDOW_S * Timestamp::SECOND {
            self.prefixes.clear();
            self.prefixes_since = at;
        }
        if ttl_s <= NAIVE_TTL_S_MAX {
            for prefix in answer.iter().map(|(ip, _)| prefix(*ip)) {
                if !self.prefixes.contains(&prefix) {
                    if self.prefixes.len() < ADDRESSES_MAX {
                        self.prefixes.push(prefix);
                    } else {
                        self.is_cut = true;
                    }
                }
            }
        }
        self.prefixes.len() as f64
    }

    fn host(&mut self, name: u64, at: Timestamp) -> &mut Host {
        let position = self.hosts.iter().position(|host| host.name == name);
        let position = position.unwrap_or_else(|| {
            let host = Host {
                name,
                seen: at,
                expires: Timestamp::default(),
                lookup: Vec::new(),
                zeek: Set::default(),
                zeek_written: None,
            };
            if self.hosts.len() < HOSTS_MAX {
                self.hosts.push(host);
                return self.hosts.len() - 1;
            }
            let oldest = self.hosts.iter().enumerate().min_by_key(|(_, host)| host.seen);
            let oldest = oldest.map_or(0, |(position, _)| position);
            self.hosts[oldest] = host;
            oldest
        });
        let host = &mut self.hosts[position];
        host.seen = at;
        host
    }
}

impl Host {
    /// The score of this look-up with the one before, if the TTL lies between them; else 0.
    fn two_lookups(&mut self, at: Timestamp, ttl_s: u32, answer: &[(IpAddr, u32)]) -> f64 {
        if !self.lookup.is_empty() && at < self.expires {
            return 0.0;
        }
        let mut both = Set::default();
        for &(ip, asn) in self.lookup.iter().chain(answer) {
            both.add(ip, asn);
        }
        let is_second = !self.lookup.is_empty();
        self.lookup.clear();
        self.lookup.extend_from_slice(answer);
        self.expires = at.plus_secs(u64::from(ttl_s));
        if is_second { both.score() } else { 0.0 }
    }

    fn zeek(&mut self, at: Timestamp, ttl_s: u32, answer: &[(IpAddr, u32)]) -> f64 {
        if ttl_s > ZEEK_TTL_S_MAX {
            return 0.0;
        }
        if self.zeek_written.is_some_and(|t| at.since(t) > ZEEK_STATE_S * Timestamp::SECOND) {
            self.zeek.clear();
        }
        let mut highest: f64 = 0.0;
        for &(ip, asn) in answer.iter().filter(|(ip, _)| ip.is_ipv4()) {
            // The first address of a name begins its record and is not scored.
            let is_scored = !self.zeek.addresses.is_empty();
            self.zeek.add(ip, asn);
            self.zeek_written = Some(at);
            if is_scored {
                let ratio = self.zeek.asns.len() as f64 / self.zeek.addresses.len() as f64;
                let score = ratio * self.zeek.score();
                highest = highest.max(score);
                if score > HOLZ_THRESHOLD {
                    // What was found is forgotten and begins anew.
                    self.zeek.clear();
                }
            }
        }
        highest
    }
}

/// The /16, of IPv6 the /32.
fn prefix(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => u64::from(ip.to_bits() >> 16),
        IpAddr::V6(ip) => 1 << 32 | (ip.to_bits() >> 96) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_secs(1_772_438_400);

    /// `count` addresses spread over `asns` autonomous systems.
    fn spread(count: u32, asns: u32) -> Vec<(IpAddr, u32)> {
        let ip = |n: u32| IpAddr::from((0x0b00_0000 + (n << 8)).to_be_bytes());
        (0..count).map(|n| (ip(n), 1 + n % asns)).collect()
    }

    fn set(addresses: &[(IpAddr, u32)]) -> Set {
        let mut set = Set::default();
        for &(ip, asn) in addresses {
            set.add(ip, asn);
        }
        set
    }

    fn host() -> Host {
        History::default().hosts_of_one()
    }

    impl History {
        fn hosts_of_one(mut self) -> Host {
            self.host(1, T0);
            self.hosts.remove(0)
        }
    }

    /// What was known of the published formulas before this was written.
    #[test]
    fn scores_are_those_that_were_computed_by_hand() {
        let round = |score: f64| (score * 10.0).round() / 10.0;
        assert_eq!(round(set(&spread(10, 7)).score()), 143.0);
        assert_eq!(round(set(&spread(60, 4)).score()), 153.4);
        assert_eq!(round(set(&spread(200, 20)).score()), 634.8);
        assert!(set(&spread(94, 1)).score() > HOLZ_THRESHOLD);
        assert!(set(&spread(93, 1)).score() < HOLZ_THRESHOLD);
    }

    #[test]
    fn zeek_goes_blind_as_a_set_in_few_networks_grows() {
        let score = |count, asns| {
            // One address an answer: the state as it would be if nothing had been found before.
            let mut host = host();
            host.zeek = set(&spread(count - 1, asns));
            host.zeek(T0, 60, &spread(count, asns)[count as usize - 1..])
        };
        assert!((score(8, 8) - 158.9).abs() < 0.05, "{}", score(8, 8));
        assert!((score(200, 20) - 63.5).abs() < 0.05, "{}", score(200, 20));
        assert!((score(40, 22) - 253.4).abs() < 0.05, "{}", score(40, 22));
    }

    #[test]
    fn zeek_forgets_ignores_and_never_scores_the_first() {
        let mut host = host();
        assert_eq!(host.zeek(T0, 60, &spread(1, 1)), 0.0);
        assert!(host.zeek(T0.plus_secs(1_860), 60, &spread(2, 2)) > 0.0);
        assert_eq!(host.zeek(T0.plus_secs(1_860), 1_801, &spread(30, 30)), 0.0);
        assert_eq!(host.zeek.addresses.len(), 2);
        assert_eq!(host.zeek(T0.plus_secs(3_721), 60, &spread(1, 1)), 0.0);
        let v6 = ["2001:db8::1", "2001:db8:1::1"].map(|ip| (ip.parse().unwrap(), 1));
        assert_eq!(host.zeek(T0.plus_secs(3_722), 60, &v6), 0.0);
    }

    #[test]
    fn two_lookups_lie_a_ttl_apart() {
        let mut host = host();
        let (first, second) = (spread(5, 5), &spread(10, 10)[5..]);
        assert_eq!(host.two_lookups(T0, 300, &first), 0.0);
        assert_eq!(host.two_lookups(T0.plus_secs(299), 300, second), 0.0);
        let score = host.two_lookups(T0.plus_secs(300), 300, second);
        assert!((score - (13.2 + 185.4)).abs() < 1e-9, "{score}");
        let score = host.two_lookups(T0.plus_secs(600), 300, second);
        assert!((score - (6.6 + 92.7)).abs() < 1e-9, "{score}");
    }

    #[test]
    fn the_naive_rule_counts_prefixes_of_a_day_and_short_ttls() {
        let mut history = History::default();
        let far = |n: u8| vec![(IpAddr::from([11, n, 0, 1]), 1)];
        for n in 0..4 {
            assert_eq!(history.naive(T0, 300, &far(n)), f64::from(n + 1));
        }
        assert_eq!(history.naive(T0, 301, &far(9)), 4.0);
        assert!(Comparator::Naive.is_alert(history.naive(T0, 1, &far(4))));
        assert_eq!(history.naive(T0.plus_secs(NAIVE_WINDOW_S), 1, &far(5)), 1.0);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut history = History::default();
        for n in 0..1_000 {
            history.host(n, T0.plus_secs(n));
        }
        assert_eq!(history.hosts.len(), HOSTS_MAX);
        assert!(history.hosts.iter().all(|host| host.name >= 1_000 - HOSTS_MAX as u64));
        let mut full = set(&spread(ADDRESSES_MAX as u32, 4));
        assert!(full.add(spread(1, 1)[0].0, 1));
        assert!(!full.add([12, 0, 0, 1].into(), 9));
        assert_eq!((full.addresses.len(), full.asns.len()), (ADDRESSES_MAX, 4));
    }
}
