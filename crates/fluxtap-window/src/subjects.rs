//! Subjects: the parts of a domain that share a pool of addresses.
//!
//! A zone of strangers (dynamic DNS, customers, an ISP's hosts) looks like perfect flux if its names
//! are thrown together, because *names* bring the addresses. So hosts that were seen repeatedly are
//! joined only where they share an address, and names seen once are taken together only if
//! different names agree in time, which a wildcard in flux does and a zone of customers does not.
//! And if hardly a name of the domain keeps its addresses for an hour, all of them are one subject:
//! customers keep theirs for longer, all but few of them.

use crate::limits::SUBJECTS_MAX;
use crate::track::{HOST_FORGOTTEN, Run, Track};
use fluxtap_intel::InForce;

/// Runs that belong together, as positions in the track, in order of their first refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) runs: Vec<u32>,
    /// The names seen once, or all of them, taken together.
    pub(crate) is_one_off: bool,
    /// Nothing says that the names belong together but that none of them was ever asked twice.
    pub(crate) is_unproven: bool,
    pub(crate) addresses: usize,
}

/// Splits a track into its subjects with at least `addresses_min` addresses, those with the most
/// first, at most [`SUBJECTS_MAX`]. What a provider's zone or `exempt` explains is in none.
pub(crate) fn split(
    track: &Track,
    addresses_min: usize,
    exempt: Option<&InForce<'_>>,
) -> Vec<Member> {
    if is_restless(track, exempt) {
        let all = 0..track.runs.len() as u32;
        let mut runs: Vec<u32> =
            all.filter(|&i| !track.runs[i as usize].is_explained(exempt)).collect();
        runs.sort_by_key(|&i| (track.runs[i as usize].first_s, i));
        let addresses = distinct(track, &runs);
        let all = Member { addresses, runs, is_one_off: true, is_unproven: false };
        return Vec::from_iter((all.addresses >= addresses_min).then_some(all));
    }
    let is_repeat: Vec<bool> = track.hosts.iter().map(|h| h.refreshes > 2 || h.runs > 1).collect();
    let mut joined = Joined::new(track.hosts.len());
    let mut holder = vec![HOST_FORGOTTEN; track.entries.len()];
    for run in &track.runs {
        // What a provider's zone serves is shared by strangers and joins nobody.
        let is_repeat = is_repeat.get(usize::from(run.host)).copied().unwrap_or(false);
        if !is_repeat || run.is_explained(exempt) {
            continue;
        }
        for &entry in track.set(run) {
            let holder = &mut holder[usize::from(entry)];
            if *holder == HOST_FORGOTTEN {
                *holder = run.host;
            } else {
                joined.join(*holder, run.host);
            }
        }
    }
    let mut by_host: Vec<Vec<u32>> = vec![Vec::new(); track.hosts.len()];
    let mut one_off = Vec::new();
    for (i, run) in track.runs.iter().enumerate() {
        if run.is_explained(exempt) {
            continue;
        }
        if is_repeat.get(usize::from(run.host)).copied().unwrap_or(false) {
            by_host[usize::from(joined.root(run.host))].push(i as u32);
        } else {
            one_off.push(i as u32);
        }
    }
    let mut members: Vec<Member> = by_host
        .into_iter()
        .map(|runs| {
            let addresses = distinct(track, &runs);
            Member { runs, is_one_off: false, is_unproven: false, addresses }
        })
        .collect();
    one_off.sort_by_key(|&i| (track.runs[i as usize].first_s, i));
    let agrees = agrees_in_time(track, &one_off);
    let addresses = distinct(track, &one_off);
    if agrees || looks_made_up(track, &one_off, addresses) {
        members.push(Member { runs: one_off, is_one_off: true, is_unproven: !agrees, addresses });
    }
    members.retain(|member| member.addresses >= addresses_min);
    members.sort_by_key(|m| (usize::MAX - m.addresses, m.runs.first().copied()));
    members.truncate(SUBJECTS_MAX);
    for member in &mut members {
        member.runs.sort_by_key(|&i| (track.runs[i as usize].first_s, i));
    }
    members
}

/// Longest time in seconds between two answers for one name that are compared: addresses that people
/// are given by their providers change after hours at the earliest, all but few of them.
const RESTLESS_S: u32 = 3_600;

/// Fewest answers for a name within that time of the one before.
const RESTLESS_MIN: u32 = 5;

/// Whether names that are asked again within an hour hardly ever have an address they had, but ones
/// that the domain never offered before: in at least 5 cases, and 4 of 5. Only answers count to who
/// had been answered for the domain before: a service with regions has another set for each resolver.
fn is_restless(track: &Track, exempt: Option<&InForce<'_>>) -> bool {
    let mut latest = vec![[None::<&Run>; 2]; track.hosts.len()];
    let mut is_offered = vec![false; track.entries.len()];
    let mut repeated = 0_u32;
    let mut renewed = 0_u32;
    let mut runs: Vec<&Run> = track.runs.iter().filter(|r| !r.is_explained(exempt)).collect();
    runs.sort_by_key(|run| run.first_s);
    for run in runs {
        // Further fills of the same set.
        repeated += run.refreshes - 1;
        let set = track.set(run);
        let is_new = set.iter().all(|&entry| !is_offered[usize::from(entry)]);
        set.iter().for_each(|&entry| is_offered[usize::from(entry)] = true);
        let Some(latest) = latest.get_mut(usize::from(run.host)) else { continue };
        let before = latest[usize::from(run.is_v6)].replace(run);
        let is_soon = |b: &Run| run.first_s.saturating_sub(b.refreshed_s) <= RESTLESS_S;
        if run.is_domain_witnessed && before.is_some_and(is_soon) {
            repeated += 1;
            renewed += u32::from(is_new);
        }
    }
    repeated >= RESTLESS_MIN && 5 * renewed >= 4 * repeated
}

/// Names from which on those asked once each, with an address each that nobody keeps, are looked at.
const MADE_UP_MIN: usize = 12;

/// Highest TTL of such an address in seconds: an answer for one question.
const MADE_UP_TTL_S: u32 = 5;

/// Whether names seen once look like made up for one question each: at least 12, hardly an address
/// twice, and none with a TTL that is worth a cache. What else would tell them from a zone of
/// customers takes a name that is asked twice.
fn looks_made_up(track: &Track, runs: &[u32], addresses: usize) -> bool {
    let is_for_one = |&i: &u32| {
        let run = &track.runs[i as usize];
        run.ttl_s <= MADE_UP_TTL_S && run.refreshes == 1 && run.set_len == 1
    };
    runs.len() >= MADE_UP_MIN && 10 * addresses >= 9 * runs.len() && runs.iter().all(is_for_one)
}

/// Whether neighbouring answers under different names share addresses far more than chance: in at
/// least 3 cases, in 12 % of the steps, and 2.5 times what the addresses' frequencies explain.
fn agrees_in_time(track: &Track, runs: &[u32]) -> bool {
    let mut cases = 0.0;
    let mut steps = 0.0;
    let mut shared = 0.0;
    let mut chance = 0.0;
    for is_v6 in [false, true] {
        let family = runs.iter().filter(|&&i| track.runs[i as usize].is_v6 == is_v6);
        let mut offers = vec![0_u32; track.entries.len()];
        let mut previous: &[u16] = &[];
        let mut refreshes = 0_u32;
        for &i in family {
            let set = track.set(&track.runs[i as usize]);
            let both = set.iter().filter(|entry| previous.contains(entry)).count();
            steps += f64::from(u8::from(refreshes > 0));
            cases += f64::from(u8::from(both > 0));
            shared += both as f64;
            for &entry in set {
                offers[usize::from(entry)] += 1;
            }
            refreshes += 1;
            previous = set;
        }
        let pairs: f64 =
            offers.iter().map(|&c| f64::from(c) * f64::from(c.saturating_sub(1))).sum();
        chance += pairs / f64::from(refreshes.max(1));
    }
    cases >= 3.0 && cases >= 0.12 * steps && shared >= 2.5 * chance
}

fn distinct(track: &Track, runs: &[u32]) -> usize {
    let mut is_in = vec![false; track.entries.len()];
    for &i in runs {
        for &entry in track.set(&track.runs[i as usize]) {
            is_in[usize::from(entry)] = true;
        }
    }
    is_in.iter().filter(|&&x| x).count()
}

/// Union-find over host numbers, the smaller number being the root.
struct Joined(Vec<u16>);

impl Joined {
    fn new(len: usize) -> Self {
        Self((0..len as u16).collect())
    }

    fn root(&self, mut host: u16) -> u16 {
        while self.0[usize::from(host)] != host {
            host = self.0[usize::from(host)];
        }
        host
    }

    fn join(&mut self, a: u16, b: u16) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[usize::from(a.max(b))] = a.min(b);
    }
}
