//! A domain's history in numbers: what the judge reads.
//!
//! The statistics are those that a prototype on simulated and real traffic found to work; each says
//! what it answers. Networks are /24 (IPv6 /48). The families are kept apart in every statistic
//! over a sequence and joined only in counts: A and AAAA answers in turn would look like a
//! replacement at every step.

use crate::domain::{DomainWindow, Servers};
use crate::subjects::{self, Member};
use crate::threats::{Listed, WHOLE};
use crate::track::{Alias, Entry, HOST_FORGOTTEN, Run, Track, mix};
use fluxtap_intel::{AddressClass, Country, InForce, Owner};
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;

/// The windows in seconds: 15 min, 1 h, 24 h, 7 d.
pub const WINDOWS_S: [u32; 4] = [900, 3_600, 86_400, 604_800];

/// Everything the judge reads of one domain at one time.
#[derive(Clone, Debug, Default)]
pub struct Features {
    /// Seconds since the domain was first seen.
    pub age_s: u32,
    /// Every subject in every window that differs from the next shorter one: those of the domain's
    /// own addresses, then those of its name servers'.
    pub subjects: Vec<Subject>,
    /// The name servers, if any were seen with addresses.
    pub servers: Option<ServerEvidence>,
    /// Addresses per network over the whole history; 0 without subjects.
    pub history_density: f64,
    /// Smoothed mixed-ownership share over the whole history of names that ever had another set, or
    /// were seen once or twice, if the domain has fewer than 64 names and such at least 8 networks.
    pub history_mixed: Option<f64>,
    /// The history lost runs to a limit, so it does not reach back as far as its age.
    pub is_history_cut: bool,
    /// Whether owners of addresses are known at all.
    pub has_table: bool,
}

/// Which of a domain's histories something was measured in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// That of the domain's own names.
    #[default]
    Answers,
    /// That of its name servers, which may have their names elsewhere.
    Servers,
}

/// One subject of a domain in one window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Subject {
    /// Whose addresses these are.
    pub part: Part,
    /// Which subject: its position among the part's, most addresses first.
    pub index: u16,
    /// All of its names are those of name servers, which somebody looked up.
    pub is_of_servers: bool,
    /// The names seen once, those that only their answers join, or all of them, taken together.
    pub is_one_off: bool,
    /// Nothing says that these names belong together but that none of them was ever asked twice.
    pub is_unproven: bool,
    /// Length of the window in seconds.
    pub window_s: u32,
    /// Whether the history reaches back over the whole window.
    pub is_window_complete: bool,
    /// Cache fills.
    pub refreshes: u32,
    /// Different address sets.
    pub sets: u32,
    /// Steps from one set to another.
    pub changes: u32,
    /// Distinct addresses (IPv6: /64) outside content networks and provider-run zones.
    pub addresses: u32,
    /// Counts and shares over the networks of these addresses.
    pub spread: Spread,
    /// Mean networks per answer.
    pub per_answer: f64,
    /// Networks first seen in an answer to somebody who had been answered before.
    pub replaced: u32,
    /// Of these, in the later half of the refreshes.
    pub replaced_late: u32,
    /// Mean share of a set that is another after a change of it.
    pub replaced_share: f64,
    /// Openness: whether replacement goes on and explains the pool, 0 to 1.
    pub openness: f64,
    /// Neighbouring answers that share a network, over what chance explains.
    pub succession_ratio: f64,
    /// The same as a distance from chance in standard deviations.
    pub succession_z: f64,
    /// Share of networks that came back after they had been replaced.
    pub recurrence: f64,
    /// Succession: sets follow each other as a window moves over a pool, 0 to 1.
    pub succession: f64,
    /// One single answer spreads over unrelated access networks.
    pub has_snapshot: bool,
    /// Different targets that one of its names led to as an alias: registrable domains elsewhere, or
    /// hosts of the domain itself. What leads into a curated zone is no part of the subject.
    pub alias_targets: u32,
    /// TTL estimate of the zone in seconds: the highest seen.
    pub ttl_s: u32,
    /// Whether an authority stated it; else it is the highest a cache showed.
    pub is_ttl_authoritative: bool,
    /// Smoothed share of hosting and education among owners that are known.
    pub mixed: f64,
    /// Addresses per network.
    pub density: f64,
    /// Share of networks in use first seen more than a day ago (7-day window only).
    pub old_share: Option<f64>,
    /// Addresses left out because a content network or a provider-run zone owns them.
    pub subtracted: u32,
    /// Addresses left out because the operator's allow list covers them.
    pub allowed: u32,
    /// What older detectors would make of the same answers.
    pub compare: Comparators,
    /// What of it stands on lists of what is bad, once that was noted; other lists may be there when
    /// it is read again.
    #[serde(skip)]
    pub listed: Listed,
}

impl Subject {
    /// Which subject of the domain it is, in whatever window.
    #[must_use]
    pub const fn key(&self) -> (Part, u16) {
        (self.part, self.index)
    }
}

/// How networks are spread over owners and places.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Distinct networks (/24, /48).
    pub networks: u32,
    /// Distinct larger prefixes (/16, /32).
    pub prefixes: u32,
    /// Distinct autonomous systems, unknown not counted.
    pub asns: u32,
    /// Distinct countries, unknown not counted.
    pub countries: u32,
    /// Entropy of the larger prefixes over the networks, normalised to 0 … 1.
    pub entropy: f64,
    /// Networks in access providers.
    pub access: u32,
    /// Networks in hosting providers.
    pub hosting: u32,
    /// Networks in education, research and state.
    pub education: u32,
    /// Networks in hyperscale clouds, counted under hosting too.
    pub hyperscaler: u32,
    /// Networks whose owner is known by number.
    pub owned: u32,
}

/// Scores of earlier detectors on the same answers, as comparators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparators {
    /// Holz et al. 2008, `1.32 nA + 18.54 nASN`, over the last two different answers.
    pub holz_two_lookups: f64,
    /// The same over all addresses of the window.
    pub holz_cumulative: f64,
    /// The Zeek variant (jbaggs/anomalous-dns): the same times `nASN / nA`.
    pub zeek_asn_ratio: f64,
}

/// The name servers of a domain.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ServerEvidence {
    /// Distinct server names.
    pub names: u32,
    /// Distinct server addresses.
    pub addresses: u32,
    /// How often a new set of server names came up.
    pub set_changes: u32,
    /// Addresses per network over the whole history of the servers; 0 without subjects of theirs.
    pub history_density: f64,
}

impl DomainWindow {
    /// Measures the domain at `now_s`. Subjects with fewer than `addresses_min` addresses are left
    /// out, and so is what entries in `exempt` cover: names below the domain, and addresses.
    #[must_use]
    pub fn features(
        &self,
        now_s: u32,
        addresses_min: usize,
        has_table: bool,
        exempt: Option<&InForce<'_>>,
    ) -> Features {
        let networks = LazyNetworks::of(&self.answers, exempt);
        let known = self.servers.as_deref();
        let span = Span { now_s, first_s: self.first_s(), addresses_min, servers: known };
        let answers = (Part::Answers, &self.answers);
        let mut subjects = measure_all(answers, &networks, span, exempt);
        let servers = known.map(|servers| servers.measure(span, exempt, &mut subjects));
        // Both are said of subjects.
        let (mut history_density, mut history_mixed) = (0.0, None);
        if !subjects.is_empty() {
            let networks = networks.get();
            history_density = networks.density();
            let moving = networks.spread(networks.moving(&self.answers).into_iter());
            history_mixed =
                (self.names() < 64 && moving.networks >= 8).then(|| smoothed_mixed(&moving));
        }
        Features {
            age_s: now_s.saturating_sub(self.first_s()),
            subjects,
            servers,
            history_density,
            history_mixed,
            is_history_cut: self.answers.runs_forgotten > 0,
            has_table,
        }
    }

    /// The whole domain as one subject in the longest window, whatever of it can be judged: what a
    /// line shows that rests on something else.
    #[must_use]
    pub fn whole(&self, now_s: u32, exempt: Option<&InForce<'_>>) -> Subject {
        let track = &self.answers;
        let networks = Networks::of(track, exempt);
        let is_evidence = |&i: &u32| !track.runs[i as usize].is_explained(exempt);
        let runs = (0..track.runs.len() as u32).filter(is_evidence).collect();
        let addresses = track.entries.len();
        let member = &Member { runs, is_one_off: false, is_unproven: false, addresses };
        let window_s = WINDOWS_S[WINDOWS_S.len() - 1];
        let from_s = now_s.saturating_sub(window_s);
        let measure = Measure { track, networks: &networks, member, from_s, window_s, now_s };
        Subject { index: WHOLE.1, ..measure.subject() }
    }

    fn first_s(&self) -> u32 {
        (self.first_ms / 1_000) as u32
    }
}

impl Servers {
    fn measure(
        &self,
        span: Span<'_>,
        exempt: Option<&InForce<'_>>,
        subjects: &mut Vec<Subject>,
    ) -> ServerEvidence {
        let networks = LazyNetworks::of(&self.track, exempt);
        let track = (Part::Servers, &self.track);
        let own = measure_all(track, &networks, Span { servers: None, ..span }, exempt);
        let history_density = if own.is_empty() { 0.0 } else { networks.get().density() };
        subjects.extend(own);
        ServerEvidence {
            names: self.track.hosts.len() as u32,
            addresses: self.track.entries.len() as u32,
            set_changes: self.set_changes,
            history_density,
        }
    }

    /// Whether all names of a subject of the domain's are those of its name servers.
    fn has_all(&self, track: &Track, member: &Member) -> bool {
        let hosts = member.runs.iter().map(|&i| track.runs[i as usize].host);
        hosts
            .map(|host| track.hosts.get(usize::from(host)))
            .all(|host| host.is_some_and(|host| self.own_hosts.contains(&(host.hash as u32))))
    }
}

/// The [`Networks`] of a track, which are told apart once somebody asks for them: most tracks that are
/// looked at have no subject, and are seen to have none without.
pub(crate) struct LazyNetworks<'a> {
    track: &'a Track,
    exempt: Option<&'a InForce<'a>>,
    networks: OnceCell<Networks>,
}

impl<'a> LazyNetworks<'a> {
    pub(crate) const fn of(track: &'a Track, exempt: Option<&'a InForce<'a>>) -> Self {
        Self { track, exempt, networks: OnceCell::new() }
    }

    fn get(&self) -> &Networks {
        self.networks.get_or_init(|| Networks::of(self.track, self.exempt))
    }

    /// See [`Networks::spreads`].
    pub(crate) fn is_snapshot(&self, run: u32) -> bool {
        usize::from(self.track.runs[run as usize].set_len) >= SNAPSHOT_NETWORKS_MIN
            && self.get().is_snapshot[run as usize]
    }
}

/// Fewest networks of a snapshot.
const SNAPSHOT_NETWORKS_MIN: usize = 4;

/// The networks of a track, numbered in order of first sight; an address outside the residual has
/// none.
struct Networks {
    of_entry: Vec<Option<u16>>,
    /// Whether an entry of the allow list covers the address; empty if none covers addresses.
    is_allowed: Vec<bool>,
    keys: Vec<u64>,
    prefixes: Vec<u64>,
    owners: Vec<Owner>,
    /// Distinct units (addresses, /64) of the residual.
    units: usize,
    /// The networks of every run, sorted, one run's behind the other's.
    nets: Vec<u16>,
    /// Where a run's begin; one more than there are runs.
    of_run: Vec<u32>,
    /// Whether a run's set spreads over unrelated access networks.
    is_snapshot: Vec<bool>,
}

impl Networks {
    fn of(track: &Track, exempt: Option<&InForce<'_>>) -> Self {
        let (entries, runs) = (track.entries.len(), track.runs.len());
        let mut numbers: HashTable<u16> = HashTable::with_capacity(entries);
        let offered = track.runs.iter().map(|run| track.set(run).len()).sum();
        let mut networks = Self {
            of_entry: Vec::with_capacity(entries),
            is_allowed: exempt.filter(|e| e.has_addresses()).map_or_else(Vec::new, |exempt| {
                track.entries.iter().map(|e| e.allowed_by(Some(exempt)).is_some()).collect()
            }),
            keys: Vec::with_capacity(entries),
            prefixes: Vec::with_capacity(entries),
            owners: Vec::with_capacity(entries),
            units: 0,
            nets: Vec::with_capacity(offered),
            of_run: Vec::with_capacity(runs + 1),
            is_snapshot: Vec::with_capacity(runs),
        };
        let keys = &mut networks.keys;
        for (i, entry) in track.entries.iter().enumerate() {
            if entry.is_edge() || networks.is_allowed.get(i) == Some(&true) {
                networks.of_entry.push(None);
                continue;
            }
            let key = entry.network();
            let known = numbers.find(mix(key), |&n| keys[usize::from(n)] == key).copied();
            let number = known.unwrap_or_else(|| {
                let number = keys.len() as u16;
                keys.push(key);
                networks.prefixes.push(entry.prefix());
                networks.owners.push(entry.owner);
                numbers.insert_unique(mix(key), number, |&n| mix(keys[usize::from(n)]));
                number
            });
            networks.of_entry.push(Some(number));
        }
        let is_residual = |&(i, _): &(usize, &Entry)| networks.of_entry[i].is_some();
        networks.units =
            units(track.entries.iter().enumerate().filter(is_residual).map(|(_, e)| e));
        networks.of_run.push(0);
        for run in &track.runs {
            networks.push_run(track.set(run));
        }
        let runs = 0..track.runs.len() as u32;
        networks.is_snapshot = runs.map(|i| networks.spreads(networks.of_run(i))).collect();
        networks
    }

    fn push_run(&mut self, set: &[u16]) {
        let from = self.nets.len();
        self.nets.extend(set.iter().filter_map(|&e| self.of_entry[usize::from(e)]));
        self.nets[from..].sort_unstable();
        let mut kept = from;
        for i in from..self.nets.len() {
            if i == from || self.nets[i] != self.nets[kept - 1] {
                self.nets[kept] = self.nets[i];
                kept += 1;
            }
        }
        self.nets.truncate(kept);
        self.of_run.push(kept as u32);
    }

    /// The networks of the run at position `i`, sorted.
    fn of_run(&self, i: u32) -> &[u16] {
        let i = i as usize;
        &self.nets[self.of_run[i] as usize..self.of_run[i + 1] as usize]
    }

    /// Whether a set with these networks is a snapshot: at least 4 networks in 4 /16 and 3 autonomous
    /// systems, 30 % or more of them in access networks and at most 15 % in hosting or education.
    fn spreads(&self, nets: &[u16]) -> bool {
        let owners = || nets.iter().map(|&net| &self.owners[usize::from(net)]);
        let share = |classes: &[AddressClass]| {
            owners().filter(|owner| classes.contains(&owner.class)).count() as f64
                / nets.len() as f64
        };
        let asns = owners().map(|owner| u64::from(owner.asn)).filter(|&asn| asn != 0);
        let prefixes = nets.iter().map(|&net| self.prefixes[usize::from(net)]);
        nets.len() >= SNAPSHOT_NETWORKS_MIN
            && share(&[AddressClass::Access]) >= 0.3
            && share(&[AddressClass::Hosting, AddressClass::Education]) <= 0.15
            && has_distinct::<3>(asns)
            && has_distinct::<4>(prefixes)
    }

    /// Networks that were offered under names which are no fixed ones of others: those that ever
    /// had another set, and those seen once or twice. A pool is not made mixed by neighbours that
    /// stand still.
    fn moving(&self, track: &Track) -> Vec<usize> {
        let mut sets = vec![[0_u32; 2]; track.hosts.len()];
        for run in &track.runs {
            if let Some(sets) = sets.get_mut(usize::from(run.host)) {
                sets[usize::from(run.is_v6)] += 1;
            }
        }
        let mut is_in = vec![false; self.keys.len()];
        for (i, run) in (0..).zip(&track.runs) {
            let sets = sets.get(usize::from(run.host)).map(|sets| sets[usize::from(run.is_v6)]);
            if sets != Some(1) || run.refreshes <= 2 {
                self.of_run(i).iter().for_each(|&net| is_in[usize::from(net)] = true);
            }
        }
        (0..is_in.len()).filter(|&net| is_in[net]).collect()
    }

    /// Addresses per network over the whole history.
    fn density(&self) -> f64 {
        self.units as f64 / self.keys.len().max(1) as f64
    }

    /// The spread of some networks, each given once.
    fn spread(&self, networks: impl Iterator<Item = usize>) -> Spread {
        let mut spread = Spread::default();
        let most = networks.size_hint().1.unwrap_or(0);
        let mut asns = Vec::with_capacity(most);
        let mut countries: Vec<Country> = Vec::with_capacity(most);
        let mut prefixes = Vec::with_capacity(most);
        for i in networks {
            let owner = &self.owners[i];
            spread.networks += 1;
            prefixes.push(self.prefixes[i]);
            if owner.asn != 0 {
                spread.owned += 1;
                asns.push(owner.asn);
            }
            if owner.country.as_str().is_some() {
                countries.push(owner.country);
            }
            match owner.class {
                AddressClass::Access => spread.access += 1,
                AddressClass::Hosting => spread.hosting += 1,
                AddressClass::Education => spread.education += 1,
                AddressClass::Cdn | AddressClass::Unknown => {}
            }
            spread.hyperscaler += u32::from(owner.hyperscaler);
        }
        spread.asns = distinct(&mut asns);
        spread.countries = distinct(&mut countries);
        prefixes.sort_unstable();
        let of_prefix = prefixes.chunk_by(|a, b| a == b).map(|same| same.len() as u32);
        spread.prefixes = of_prefix.clone().count() as u32;
        spread.entropy = normalised_entropy(of_prefix, spread.networks);
        spread
    }
}

/// Whether there are so many different ones among them; without a list of them, because every set of
/// a history is asked.
fn has_distinct<const N: usize>(numbers: impl Iterator<Item = u64>) -> bool {
    let mut known = [0; N];
    let mut count = 0;
    for number in numbers {
        if !known[..count].contains(&number) {
            known[count] = number;
            count += 1;
            if count == N {
                return true;
            }
        }
    }
    false
}

fn distinct<T: Ord>(list: &mut Vec<T>) -> u32 {
    list.sort_unstable();
    list.dedup();
    list.len() as u32
}

/// Distinct units among addresses that are all different: IPv4 addresses, and /64s of IPv6.
fn units<'a>(entries: impl Iterator<Item = &'a Entry>) -> usize {
    let mut v4 = 0;
    let mut v6 = Vec::new();
    for entry in entries {
        if entry.is_v6() {
            v6.push(entry.unit());
        } else {
            v4 += 1;
        }
    }
    v4 + distinct(&mut v6) as usize
}

/// Entropy of `counts` over `log2(total)`: 1 when all differ, 0 when all are one.
fn normalised_entropy(counts: impl Iterator<Item = u32>, total: u32) -> f64 {
    if total < 2 {
        return 0.0;
    }
    let total = f64::from(total);
    // From libm, not from the platform: the last bit must not depend on the machine.
    let bits_of = |count: u32| {
        let share = f64::from(count) / total;
        -share * libm::log2(share)
    };
    // Most prefixes hold one network.
    let of_one = bits_of(1);
    let bits: f64 = counts.map(|count| if count == 1 { of_one } else { bits_of(count) }).sum();
    bits / libm::log2(total)
}

/// `(h n + 1) / ((a + h + e) n + 4)` with h meaning hosting and education: four pseudo-networks,
/// so that three refreshes cannot prove purity.
fn smoothed_mixed(spread: &Spread) -> f64 {
    let impure = f64::from(spread.hosting + spread.education);
    (impure + 1.0) / (f64::from(spread.access) + impure + 4.0)
}

/// The time of a measurement, and what is measured at all.
#[derive(Clone, Copy)]
struct Span<'a> {
    now_s: u32,
    /// First sight of the domain.
    first_s: u32,
    addresses_min: usize,
    /// What is known of its name servers.
    servers: Option<&'a Servers>,
}

fn measure_all(
    (part, track): (Part, &Track),
    networks: &LazyNetworks<'_>,
    Span { now_s, first_s, addresses_min, servers }: Span<'_>,
    exempt: Option<&InForce<'_>>,
) -> Vec<Subject> {
    let mut measured = Vec::new();
    let members = subjects::split(part, track, networks, addresses_min, exempt);
    for (index, member) in members.iter().enumerate() {
        let is_of_servers = servers.is_some_and(|servers| servers.has_all(track, member));
        let mut runs_before = 0;
        for window_s in WINDOWS_S {
            let from_s = now_s.saturating_sub(window_s);
            let runs = member.runs.iter().filter(|&&i| track.runs[i as usize].seen_s >= from_s);
            let count = runs.count();
            // A longer window without further runs would give the same numbers again.
            if count == runs_before {
                continue;
            }
            runs_before = count;
            let networks = networks.get();
            let mut subject =
                Measure { track, networks, member, from_s, window_s, now_s }.subject();
            (subject.part, subject.index) = (part, index as u16);
            subject.is_of_servers = is_of_servers;
            subject.is_window_complete = first_s <= from_s
                && (track.runs_forgotten == 0 || track.forgotten_until_s < from_s);
            measured.push(subject);
        }
    }
    measured
}

/// One subject in one window, being measured.
struct Measure<'a> {
    track: &'a Track,
    networks: &'a Networks,
    member: &'a Member,
    from_s: u32,
    window_s: u32,
    now_s: u32,
}

/// A run with its residual networks.
#[derive(Clone, Copy)]
struct Step<'a> {
    run: &'a Run,
    /// Its position in the track.
    at: u32,
    nets: &'a [u16],
}

impl Measure<'_> {
    fn subject(&self) -> Subject {
        let steps = self.steps();
        let mut is_in = vec![false; self.networks.keys.len()];
        for step in &steps {
            for &net in step.nets {
                is_in[usize::from(net)] = true;
            }
        }
        let spread = self.networks.spread((0..is_in.len()).filter(|&net| is_in[net]));
        let (units, subtracted, allowed) = self.units(&steps);
        let refreshes: u32 = steps.iter().map(|s| s.run.refreshes).sum();
        let offered: f64 =
            steps.iter().map(|s| f64::from(s.run.refreshes) * s.nets.len() as f64).sum();
        let turnover = turnover(&steps);
        let mut subject = Subject {
            is_one_off: self.member.is_one_off,
            is_unproven: self.member.is_unproven,
            window_s: self.window_s,
            refreshes,
            sets: distinct_sets(&steps),
            changes: turnover.0,
            replaced_share: turnover.1,
            addresses: units,
            per_answer: offered / f64::from(refreshes.max(1)),
            mixed: smoothed_mixed(&spread),
            density: f64::from(units) / f64::from(spread.networks.max(1)),
            has_snapshot: steps.iter().any(|step| self.networks.is_snapshot[step.at as usize]),
            alias_targets: alias_targets(&steps),
            ttl_s: steps.iter().map(|s| s.run.ttl_s).max().unwrap_or(0),
            is_ttl_authoritative: steps.iter().any(|s| s.run.is_authoritative),
            old_share: self.old_share(&steps),
            subtracted,
            allowed,
            compare: self.compare(&steps),
            spread,
            ..Subject::default()
        };
        self.measure_replacement(&steps, &mut subject);
        self.measure_succession(&steps, &mut subject);
        subject
    }

    fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = Vec::with_capacity(self.member.runs.len());
        let runs = self.member.runs.iter().map(|&i| (i, &self.track.runs[i as usize]));
        let runs = runs.filter(|(_, run)| run.seen_s >= self.from_s);
        steps.extend(runs.map(|(at, run)| Step { run, at, nets: self.networks.of_run(at) }));
        steps
    }

    /// Distinct units of the residual, addresses of content networks that were subtracted, and
    /// addresses that the allow list covers.
    fn units(&self, steps: &[Step<'_>]) -> (u32, u32, u32) {
        let mut is_in = vec![false; self.track.entries.len()];
        for &entry in steps.iter().flat_map(|step| self.track.set(step.run)) {
            is_in[usize::from(entry)] = true;
        }
        let Networks { of_entry, is_allowed, .. } = self.networks;
        let chosen = self.track.entries.iter().enumerate().filter(|&(i, _)| is_in[i]);
        let left_out = chosen.clone().filter(|&(i, _)| of_entry[i].is_none()).count();
        let allowed = is_allowed.iter().zip(&is_in).filter(|&(a, b)| *a && *b).count();
        let units = units(chosen.filter(|&(i, _)| of_entry[i].is_some()).map(|(_, entry)| entry));
        (units as u32, (left_out - allowed) as u32, allowed as u32)
    }

    /// Witnessed replacement: new networks in answers to somebody who had been answered before. A
    /// resolver that keeps its region, a customer that keeps its address and a new name witness
    /// nothing. `openness = min(2 w_late / w, 1) * min(1.3 w / (n - k), 1)`, 0 if w < 2.
    fn measure_replacement(&self, steps: &[Step<'_>], subject: &mut Subject) {
        let mut is_known = vec![false; self.networks.keys.len()];
        // What was offered before the window is not new in it.
        for &i in &self.member.runs {
            let run = &self.track.runs[i as usize];
            if run.seen_s < self.from_s {
                for &net in self.networks.of_run(i) {
                    is_known[usize::from(net)] = true;
                }
            }
        }
        let half = f64::from(subject.refreshes) / 2.0;
        let mut refreshes_before = 0;
        for step in steps {
            let is_witnessed = if self.member.is_one_off {
                step.run.is_domain_witnessed
            } else {
                step.run.is_witnessed
            };
            // A run that began before the window, or whose beginnings were forgotten, shows
            // nothing new in it.
            let is_new = step.run.first_s >= self.from_s;
            for &net in step.nets {
                if std::mem::replace(&mut is_known[usize::from(net)], true) {
                    continue;
                }
                if is_new && is_witnessed && !step.run.is_partial {
                    subject.replaced += 1;
                    subject.replaced_late += u32::from(f64::from(refreshes_before) >= half);
                }
            }
            refreshes_before += step.run.refreshes;
        }
        if subject.replaced >= 2 {
            let replaced = f64::from(subject.replaced);
            let to_explain = f64::from(subject.spread.networks) - subject.per_answer;
            let share = if to_explain > 0.0 { 1.3 * replaced / to_explain } else { 1.0 };
            let lateness = 2.0 * f64::from(subject.replaced_late) / replaced;
            subject.openness = lateness.clamp(0.0, 1.0) * share.clamp(0.0, 1.0);
        }
    }

    /// Succession by a runs test: neighbouring refreshes share networks far more often than the
    /// networks' frequencies explain, and what is gone stays gone. Random draws from a pool give a
    /// ratio near 1, a window that moves over a pool 3 to 8.
    fn measure_succession(&self, steps: &[Step<'_>], subject: &mut Subject) {
        let mut adjacent = 0.0;
        let mut expected = 0.0;
        let mut overlaps = 0_u32;
        let mut recurring = 0_u32;
        for is_v6 in [false, true] {
            let family: Vec<&Step<'_>> = steps
                .iter()
                .filter(|s| s.run.is_v6 == is_v6 && !s.run.is_partial && !s.nets.is_empty())
                .collect();
            let refreshes: u32 = family.iter().map(|s| s.run.refreshes).sum();
            let mut offers = vec![0_u32; self.networks.keys.len()];
            let mut returns = Returns::new(self.networks.keys.len(), 2 * subject.ttl_s + 60);
            let mut previous: &[u16] = &[];
            for step in &family {
                let within = step.run.refreshes - 1;
                let both = step.nets.iter().filter(|n| previous.binary_search(n).is_ok()).count();
                adjacent += f64::from(within) * step.nets.len() as f64 + both as f64;
                overlaps += within + u32::from(both > 0);
                for &net in step.nets {
                    offers[usize::from(net)] += step.run.refreshes;
                }
                returns.note(step);
                previous = step.nets;
            }
            recurring += returns.count();
            let pairs: f64 =
                offers.iter().map(|&c| f64::from(c) * f64::from(c.saturating_sub(1))).sum();
            expected += pairs / f64::from(refreshes.max(1));
        }
        let networks = f64::from(subject.spread.networks.max(1));
        subject.succession_ratio = if expected > 0.0 { adjacent / expected } else { 0.0 };
        subject.succession_z = (adjacent - expected) / (expected + 1.0).sqrt();
        subject.recurrence = f64::from(recurring) / networks;
        let overlaps_min = (f64::from(subject.refreshes) / 4.0).max(4.0);
        let is_cloud = f64::from(subject.spread.hyperscaler) >= 0.7 * networks;
        if f64::from(overlaps) >= overlaps_min && !is_cloud {
            subject.succession = ((subject.succession_z - 2.5) / 2.0).clamp(0.0, 1.0)
                * ((subject.succession_ratio - 1.5) / 2.0).clamp(0.0, 1.0)
                * (1.0 - 2.0 * subject.recurrence).clamp(0.0, 1.0);
        }
    }

    /// In the 7-day window: the share of networks in use that were first seen over a day ago.
    fn old_share(&self, steps: &[Step<'_>]) -> Option<f64> {
        if self.window_s < WINDOWS_S[3] {
            return None;
        }
        let yesterday = self.now_s.saturating_sub(WINDOWS_S[2]);
        let mut is_old = vec![None; self.networks.keys.len()];
        for step in steps {
            for &net in step.nets {
                let slot = &mut is_old[usize::from(net)];
                *slot = Some(slot.unwrap_or(false) || step.run.first_s < yesterday);
            }
        }
        let known = is_old.iter().flatten().count();
        let old = is_old.iter().flatten().filter(|&&old| old).count();
        (known > 0).then(|| old as f64 / known as f64)
    }

    fn compare(&self, steps: &[Step<'_>]) -> Comparators {
        let last_two = &steps[steps.len().saturating_sub(2)..];
        let (two_addresses, two_asns) = self.raw_counts(last_two);
        let (addresses, asns) = self.raw_counts(steps);
        let holz = |addresses: f64, asns: f64| 1.32 * addresses + 18.54 * asns;
        Comparators {
            holz_two_lookups: holz(two_addresses, two_asns),
            holz_cumulative: holz(addresses, asns),
            zeek_asn_ratio: holz(addresses, asns) * asns / addresses.max(1.0),
        }
    }

    /// Addresses and autonomous systems with nothing subtracted.
    fn raw_counts(&self, steps: &[Step<'_>]) -> (f64, f64) {
        let mut is_in = vec![false; self.track.entries.len()];
        for &entry in steps.iter().flat_map(|step| self.track.set(step.run)) {
            is_in[usize::from(entry)] = true;
        }
        let entries = self.track.entries.iter().zip(&is_in).filter(|&(_, &is_in)| is_in);
        let mut asns = Vec::with_capacity(self.track.entries.len());
        asns.extend(entries.clone().map(|(entry, _)| entry.owner.asn).filter(|&asn| asn != 0));
        (entries.count() as f64, f64::from(distinct(&mut asns)))
    }
}

/// The most targets that one name led to. Those of different names do not add up: each of a zone's
/// customers may have an alias of its own.
fn alias_targets(steps: &[Step<'_>]) -> u32 {
    let mut hosts_of: Vec<(Alias, (u16, u64))> = Vec::new();
    let mut domains_of: Vec<(u16, Alias)> = Vec::new();
    for Step { run, .. } in steps.iter().filter(|s| s.run.alias.is_some() && !s.nets.is_empty()) {
        if run.alias.is_inside() {
            hosts_of.push((run.alias, run.whose()));
        } else if run.host != HOST_FORGOTTEN {
            domains_of.push((run.host, run.alias));
        }
    }
    hosts_of.sort_unstable();
    hosts_of.dedup();
    domains_of.sort_unstable();
    domains_of.dedup();
    let hosts = hosts_of.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).max();
    let domains = domains_of.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).max();
    hosts.max(domains).unwrap_or(0) as u32
}

fn distinct_sets(steps: &[Step<'_>]) -> u32 {
    let mut sets: Vec<&[u16]> =
        steps.iter().map(|s| s.nets).filter(|nets| !nets.is_empty()).collect();
    distinct(&mut sets)
}

/// Steps from one residual set to a different one, the families apart, and the mean share of a set
/// that was not in the one before.
fn turnover(steps: &[Step<'_>]) -> (u32, f64) {
    let mut changes = 0_u32;
    let mut replaced = 0.0;
    for is_v6 in [false, true] {
        let family = steps.iter().filter(|s| s.run.is_v6 == is_v6 && !s.run.is_partial);
        let nets: Vec<&[u16]> = family.map(|s| s.nets).collect();
        for pair in nets.windows(2).filter(|pair| pair[0] != pair[1]) {
            let new = pair[1].iter().filter(|n| pair[0].binary_search(n).is_err()).count();
            changes += 1;
            replaced += new as f64 / pair[1].len().max(1) as f64;
        }
    }
    (changes, replaced / f64::from(changes.max(1)))
}

/// Networks that came back after more than four other refreshes and a stated time.
struct Returns {
    last: Vec<Option<(u32, u32)>>,
    has_returned: Vec<bool>,
    refreshes: u32,
    gap_s: u32,
}

impl Returns {
    fn new(networks: usize, gap_s: u32) -> Self {
        Self {
            last: vec![None; networks],
            has_returned: vec![false; networks],
            refreshes: 0,
            gap_s,
        }
    }

    fn note(&mut self, step: &Step<'_>) {
        let end = self.refreshes + step.run.refreshes;
        for &net in step.nets {
            let net = usize::from(net);
            if let Some((refresh, seen_s)) = self.last[net]
                && self.refreshes - refresh > 4
                && step.run.first_s.saturating_sub(seen_s) > self.gap_s
            {
                self.has_returned[net] = true;
            }
            self.last[net] = Some((end, step.run.refreshed_s));
        }
        self.refreshes = end;
    }

    fn count(&self) -> u32 {
        self.has_returned.iter().filter(|&&r| r).count() as u32
    }
}
