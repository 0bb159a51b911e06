//! Subjects: the parts of a domain that share a pool of addresses.
//!
//! A zone of strangers (dynamic DNS, customers, an ISP's hosts) looks like perfect flux if its names
//! are thrown together, because *names* bring the addresses. So hosts that were seen repeatedly are
//! joined only where they share an address, and names seen once are taken together only if
//! different names agree in time, which a wildcard in flux does and a zone of customers does not.
//! And if hardly a name of the domain keeps its addresses for an hour, all of them are one subject:
//! customers keep theirs for longer, all but few of them.
//!
//! Hosts with answers over unrelated access networks are one subject though they share none of them:
//! a stranger's name leads to the stranger's home. So are hosts of the domain that one name led to,
//! each for a while. And name servers are no strangers to each other, because one zone names them
//! all: those that move are one subject.

use crate::features::{LazyNetworks, Part};
use crate::limits::SUBJECTS_MAX;
use crate::track::{Alias, HOST_FORGOTTEN, Run, Track};
use fluxtap_intel::InForce;

/// Runs that belong together, as positions in the track, in order of their first refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) runs: Vec<u32>,
    /// The names seen once, those that only their answers join, or all of them, taken together.
    pub(crate) is_one_off: bool,
    /// Nothing says that the names belong together but that none of them was ever asked twice.
    pub(crate) is_unproven: bool,
    pub(crate) addresses: usize,
}

/// Splits the track of a part into its subjects with at least `addresses_min` addresses, those with
/// the most first, at most [`SUBJECTS_MAX`]. What a provider's zone or `exempt` explains is in none.
pub(crate) fn split(
    part: Part,
    track: &Track,
    networks: &LazyNetworks<'_>,
    addresses_min: usize,
    exempt: Option<&InForce<'_>>,
) -> Vec<Member> {
    let is_evidence = |&i: &u32| !track.runs[i as usize].is_explained(exempt);
    let evidence: Vec<u32> = (0..track.runs.len() as u32).filter(is_evidence).collect();
    let mut members = Vec::new();
    // Most tracks offer too few addresses, even if none of them came twice.
    let offered = evidence.iter().map(|&i| usize::from(track.runs[i as usize].set_len));
    if offered.sum::<usize>() < addresses_min {
        return members;
    }
    if is_restless(track, exempt) {
        members.push(Member::of(track, evidence, true));
    } else {
        let split = Split::of(part, track, networks, &evidence);
        // One place for each host, and one for the names seen once.
        let mut offered = vec![0; track.hosts.len() + 1];
        let mut places = Vec::with_capacity(evidence.len());
        for &i in &evidence {
            let (place, is_pool) = match split.whose(track, networks, i) {
                Whose::Host(root) => (usize::from(root), false),
                Whose::Pool(root) => (usize::from(root), true),
                Whose::OneOff => (track.hosts.len(), false),
            };
            places.push((place, is_pool));
            offered[place] += usize::from(track.runs[i as usize].set_len);
        }
        // Neither do most of these, and their runs are not gathered.
        let may_be_enough = |place: &usize| offered[*place] >= addresses_min;
        let gathered = |place: usize| -> Vec<u32> {
            let all = evidence.iter().zip(&places);
            all.filter(|(_, (of_run, _))| *of_run == place).map(|(&i, _)| i).collect()
        };
        for place in (0..track.hosts.len()).filter(may_be_enough) {
            let is_pool = places.contains(&(place, true));
            members.push(Member::of(track, gathered(place), is_pool));
        }
        if may_be_enough(&track.hosts.len()) {
            let one_off = Member::of(track, gathered(track.hosts.len()), true);
            let agrees = agrees_in_time(track, &one_off.runs);
            if agrees || looks_made_up(track, &one_off) {
                members.push(Member { is_unproven: !agrees, ..one_off });
            }
        }
    }
    members.retain(|member| member.addresses >= addresses_min);
    members.sort_by_key(|m| (usize::MAX - m.addresses, m.runs.first().copied()));
    members.truncate(SUBJECTS_MAX);
    members
}

impl Member {
    fn of(track: &Track, mut runs: Vec<u32>, is_one_off: bool) -> Self {
        runs.sort_by_key(|&i| (track.runs[i as usize].first_s, i));
        let addresses = distinct(track, &runs);
        Self { runs, is_one_off, is_unproven: false, addresses }
    }
}

/// To whom a run belongs.
enum Whose {
    /// To a host that was seen repeatedly and those that share addresses with it, by one of them.
    Host(u16),
    /// The same of hosts that only their answers join, or the name that led to them.
    Pool(u16),
    /// To the names seen once.
    OneOff,
}

/// Hosts from which on those that one name led to are its pool: fewer are a site and its spare.
const LED_TO_MIN: usize = 3;

/// Which hosts belong together.
struct Split {
    joined: Joined,
    /// Hosts that are more than a name seen once.
    is_repeat: Vec<bool>,
    /// One host of each pool.
    pools: Vec<u16>,
    /// One host of those with answers over unrelated access networks, if there are several.
    unrelated: Option<u16>,
    /// One host of those that a name led to, by its alias.
    led_to: Vec<(Alias, u16)>,
}

impl Split {
    fn of(part: Part, track: &Track, networks: &LazyNetworks<'_>, evidence: &[u32]) -> Self {
        let mut split = Self {
            joined: Joined::new(track.hosts.len()),
            is_repeat: track.hosts.iter().map(|h| h.refreshes > 2 || h.runs > 1).collect(),
            pools: Vec::new(),
            unrelated: None,
            led_to: Vec::new(),
        };
        if part == Part::Servers {
            split.joined.join_all(moving(track, evidence));
        }
        let runs = || evidence.iter().map(|&i| (i, &track.runs[i as usize]));
        // A stranger's name leads to the stranger's home, and not to several people's.
        let snapshots =
            runs().filter(|&(i, _)| networks.is_snapshot(i)).map(|(_, run)| run.whose());
        split.unrelated = split.pool(snapshots.collect(), 2);
        let inside = runs().filter(|(_, run)| run.alias.is_some() && run.alias.is_inside());
        let mut led_to: Vec<_> = inside.map(|(_, run)| (run.alias, run.whose())).collect();
        led_to.sort_unstable();
        for of_name in led_to.chunk_by(|a, b| a.0 == b.0) {
            let hosts = of_name.iter().map(|&(_, host)| host).collect();
            let pool = split.pool(hosts, LED_TO_MIN);
            split.led_to.extend(pool.map(|host| (of_name[0].0, host)));
        }
        split.join_holders(track, evidence);
        split
    }

    /// Makes hosts, as [`Run::whose`] tells them apart, one pool if there are so many of them, and
    /// gives one that has a name.
    fn pool(&mut self, mut hosts: Vec<(u16, u64)>, least: usize) -> Option<u16> {
        hosts.sort_unstable();
        hosts.dedup();
        if hosts.len() < least {
            return None;
        }
        let named = hosts.into_iter().map(|(host, _)| host).filter(|&host| host != HOST_FORGOTTEN);
        let hosts: Vec<u16> = named.collect();
        hosts.iter().for_each(|&host| self.is_repeat[usize::from(host)] = true);
        self.joined.join_all(hosts.iter().copied());
        self.pools.extend(hosts.first());
        hosts.first().copied()
    }

    /// Joins the hosts that share an address.
    fn join_holders(&mut self, track: &Track, evidence: &[u32]) {
        let mut holder = vec![HOST_FORGOTTEN; track.entries.len()];
        for run in evidence.iter().map(|&i| &track.runs[i as usize]) {
            if !self.is_repeat(run.host) {
                continue;
            }
            for &entry in track.set(run) {
                let holder = &mut holder[usize::from(entry)];
                if *holder == HOST_FORGOTTEN {
                    *holder = run.host;
                } else {
                    self.joined.join(*holder, run.host);
                }
            }
        }
    }

    fn is_repeat(&self, host: u16) -> bool {
        self.is_repeat.get(usize::from(host)).copied().unwrap_or(false)
    }

    fn whose(&self, track: &Track, networks: &LazyNetworks<'_>, i: u32) -> Whose {
        let run = &track.runs[i as usize];
        if self.is_repeat(run.host) {
            let root = self.joined.root(run.host);
            let is_pool = self.pools.iter().any(|&host| self.joined.root(host) == root);
            return if is_pool { Whose::Pool(root) } else { Whose::Host(root) };
        }
        let led_to = self.led_to.iter().find(|(alias, _)| *alias == run.alias);
        let unrelated = self.unrelated.filter(|_| networks.is_snapshot(i));
        match led_to.map(|&(_, host)| host).or(unrelated) {
            Some(host) if run.host == HOST_FORGOTTEN => Whose::Pool(self.joined.root(host)),
            _ => Whose::OneOff,
        }
    }
}

/// The hosts that ever had another set of a family than before.
fn moving(track: &Track, evidence: &[u32]) -> impl Iterator<Item = u16> {
    let mut sets = vec![[0_u32; 2]; track.hosts.len()];
    for run in evidence.iter().map(|&i| &track.runs[i as usize]) {
        if let Some(sets) = sets.get_mut(usize::from(run.host)) {
            sets[usize::from(run.is_v6)] += 1;
        }
    }
    (0..).zip(sets).filter(|(_, sets)| sets.iter().any(|&sets| sets > 1)).map(|(host, _)| host)
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
fn looks_made_up(track: &Track, Member { runs, addresses, .. }: &Member) -> bool {
    let is_for_one = |&i: &u32| {
        let run = &track.runs[i as usize];
        run.ttl_s <= MADE_UP_TTL_S && run.refreshes == 1 && run.set_len == 1
    };
    runs.len() >= MADE_UP_MIN && 10 * *addresses >= 9 * runs.len() && runs.iter().all(is_for_one)
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

    fn join_all(&mut self, mut hosts: impl Iterator<Item = u16>) {
        let Some(first) = hosts.next() else { return };
        hosts.for_each(|host| self.join(first, host));
    }

    fn join(&mut self, a: u16, b: u16) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[usize::from(a.max(b))] = a.min(b);
    }
}
