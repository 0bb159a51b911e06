//! A domain's history told in order: which set of addresses was offered when, and what changed.

use crate::domain::DomainWindow;
use crate::track::{HOST_FORGOTTEN, Run, Track, ZONE_NONE};
use fluxtap_intel::{InForce, Owner};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A stretch of time in which one host had one set of addresses of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSeen {
    /// The host in wire form; `None` if its name was forgotten to a limit.
    pub host: Option<Vec<u8>>,
    /// First fill, last fill and last response in seconds since the epoch.
    pub first_s: u32,
    /// See `first_s`.
    pub refreshed_s: u32,
    /// See `first_s`.
    pub seen_s: u32,
    /// Cache fills with this set.
    pub refreshes: u32,
    /// Responses with it.
    pub responses: u32,
    /// Highest TTL answered, in seconds.
    pub ttl_s: u32,
    /// Whether the answers are IPv6.
    pub is_v6: bool,
    /// The set is a part of a longer answer (TC=1).
    pub is_partial: bool,
    /// Curated zone that explains it, by its number.
    pub zone: Option<u16>,
    /// Entry of the allow list in force that covers the names it was asked under.
    pub allowed: Option<u16>,
    /// The set itself, by address.
    pub addresses: Vec<AddressOf>,
    /// Which of these the host did not have in the set before, or all if there was none.
    pub joined: Vec<AddressOf>,
    /// What the host had in the set before and does not have in this one.
    pub left: Vec<AddressOf>,
}

impl SetSeen {
    /// Whether the host had another set before.
    #[must_use]
    pub fn is_change(&self) -> bool {
        // A set that follows none has joined whole; what follows another without loss keeps some.
        !self.left.is_empty() || self.joined.len() < self.addresses.len()
    }
}

/// An address and who announces it, as far as that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressOf {
    /// The address.
    pub ip: IpAddr,
    /// Who announces it.
    pub owner: Owner,
}

impl DomainWindow {
    /// The address sets that are remembered, in the order in which they came up; those under names
    /// that `exempt` covers say so. What is remembered is bounded by [`crate::limits`].
    #[must_use]
    pub fn history(&self, exempt: Option<&InForce<'_>>) -> Vec<SetSeen> {
        tell(&self.answers, exempt, |host| [host, &self.name].concat())
    }

    /// The same of the name servers: the host is the server, the set its glue. Empty if their
    /// addresses were never seen, or never changed and neither did the domain's.
    #[must_use]
    pub fn server_history(&self) -> Vec<SetSeen> {
        let servers = self.servers.as_deref();
        servers.map_or_else(Vec::new, |s| tell(&s.track, None, <[u8]>::to_vec))
    }

    /// Address sets that were forgotten to a limit.
    #[must_use]
    pub const fn sets_forgotten(&self) -> u32 {
        self.answers.runs_forgotten
    }

    /// First sight in milliseconds since the epoch.
    #[must_use]
    pub const fn first_ms(&self) -> u64 {
        self.first_ms
    }
}

fn tell(
    track: &Track,
    exempt: Option<&InForce<'_>>,
    name_of: impl Fn(&[u8]) -> Vec<u8>,
) -> Vec<SetSeen> {
    let mut runs: Vec<&Run> = track.runs.iter().collect();
    // Runs are kept in the order they came in, which packets that are a little late disturb.
    runs.sort_by_key(|run| run.first_s);
    let mut latest: BTreeMap<(u16, bool), &Run> = BTreeMap::new();
    let set_of = |run: &Run| track.set(run).iter().copied().collect::<BTreeSet<u16>>();
    let listed = |entries: &mut dyn Iterator<Item = u16>| {
        let mut list: Vec<AddressOf> = entries
            .map(|at| &track.entries[usize::from(at)])
            .map(|entry| AddressOf { ip: entry.ip(), owner: entry.owner })
            .collect();
        list.sort_unstable_by_key(|address| address.ip);
        list
    };
    let mut history = Vec::with_capacity(runs.len());
    for run in runs {
        let set = set_of(run);
        let is_known = run.host != HOST_FORGOTTEN;
        let before = if is_known { latest.insert((run.host, run.is_v6), run) } else { None };
        let before = before.map(set_of).unwrap_or_default();
        history.push(SetSeen {
            host: track.hosts.get(usize::from(run.host)).map(|h| name_of(track.host_name(h))),
            first_s: run.first_s,
            refreshed_s: run.refreshed_s,
            seen_s: run.seen_s,
            refreshes: run.refreshes,
            responses: run.responses,
            ttl_s: run.ttl_s,
            is_v6: run.is_v6,
            is_partial: run.is_partial,
            zone: (run.zone != ZONE_NONE).then_some(run.zone),
            allowed: run.allowed_by(exempt),
            addresses: listed(&mut set.iter().copied()),
            joined: listed(&mut set.difference(&before).copied()),
            left: listed(&mut before.difference(&set).copied()),
        });
    }
    history
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::{Fill, MARK_NONE, bits_of};

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn told(sets: &[(&[u8], &[&str], u64)]) -> Vec<SetSeen> {
        let mut track = Track::default();
        for &(host, texts, at_s) in sets {
            let is_v6 = ips(texts)[0].is_ipv6();
            let ips: Vec<u128> = ips(texts).into_iter().map(bits_of).collect();
            track.apply(&Fill {
                host,
                host_hash: u64::from(host[1]),
                ips: &ips,
                is_v6,
                is_partial: false,
                is_authoritative: false,
                ttl_s: 60,
                at_ms: at_s * 1_000,
                observer: 1,
                zone: ZONE_NONE,
                mark: MARK_NONE,
                key: 9,
            });
        }
        tell(&track, None, |host| [host, b"\x01d\x04test\x00"].concat())
    }

    #[test]
    fn what_joined_and_what_left_is_told_by_host_and_family() {
        let (a, b) = (&b"\x01a"[..], &b"\x01b"[..]);
        let history = told(&[
            (a, &["5.1.1.2", "5.1.1.1"], 1_000),
            (b, &["5.9.9.9"], 1_010),
            (a, &["2a00::1"], 1_020),
            // A fill of the same set, and one that came in late.
            (a, &["5.1.1.1", "5.1.1.2"], 1_100),
            (a, &["5.1.1.2", "5.1.1.3"], 1_200),
            (b, &["5.9.9.8"], 1_190),
        ]);
        let list = |list: &[AddressOf]| -> Vec<IpAddr> { list.iter().map(|a| a.ip).collect() };
        let got: Vec<_> = history
            .iter()
            .map(|set| (set.first_s, set.refreshes, list(&set.joined), list(&set.left)))
            .collect();
        let expect = [
            (1_000, 2, ips(&["5.1.1.1", "5.1.1.2"]), ips(&[])),
            (1_010, 1, ips(&["5.9.9.9"]), ips(&[])),
            (1_020, 1, ips(&["2a00::1"]), ips(&[])),
            (1_190, 1, ips(&["5.9.9.8"]), ips(&["5.9.9.9"])),
            (1_200, 1, ips(&["5.1.1.3"]), ips(&["5.1.1.1"])),
        ];
        assert_eq!(got, expect);
        assert_eq!(history[0].host.as_deref(), Some(&b"\x01a\x01d\x04test\x00"[..]));
        assert_eq!(
            (history[0].refreshed_s, history[0].seen_s, history[0].responses),
            (1_100, 1_100, 2)
        );
        assert_eq!(list(&history[4].addresses), ips(&["5.1.1.2", "5.1.1.3"]));
        assert!(history[2].is_v6 && !history[4].is_v6);
        let changes: Vec<bool> = history.iter().map(SetSeen::is_change).collect();
        assert_eq!(changes, [false, false, false, true, true]);
    }

    #[test]
    fn a_forgotten_host_has_no_set_before() {
        let names: Vec<[u8; 2]> = (0..65).map(|n| [1, n]).collect();
        let sets: Vec<(&[u8], &[&str], u64)> = names
            .iter()
            .map(|name| (&name[..], &["5.1.1.1"][..], 1_000 + u64::from(name[1])))
            .collect();
        let history = told(&sets);
        assert_eq!(history.len(), 65);
        assert!(history[0].host.is_none() && history[64].host.is_some());
        assert!(history.iter().all(|set| set.joined.len() == 1 && set.left.is_empty()));
    }
}
