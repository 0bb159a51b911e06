//! One history of address sets: which set was offered under which host, from when to when.
//!
//! ```text
//! hosts      www.evil.example   evil.example            (names in one arena)
//! addresses  a b c d e …                                 (first and last seen, owner)
//! runs       [www: a b c | 12:00 … 12:04, 2 refreshes] [www: c d e | 12:05 …] …
//! ```
//!
//! A **refresh** is one cache fill: answers with the same host, family, set and expiry (within
//! [`EXPIRY_SLACK_S`]) are the same fill, whoever shows it. A **run** is a stretch of refreshes of
//! one host with one and the same set. What is measured later is the change from run to run, so
//! volume leaves no trace: a million answers of one fill are one refresh.
//!
//! An answer that is known needs the hosts and the runs, and nothing of the rest: what lists refer to
//! lies apart, so that few cache lines are asked for.

use crate::domain::{LookUps, hash_bits};
use crate::places::Places;
use crate::saved::Renumber;
use crate::{limits, quiet};
use fluxtap_intel::{AddressClass, InForce, Intel, Owner};
use fluxtap_memory::fetch;
use serde::{Deserialize, Serialize};
use smallvec::{Array, SmallVec};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Two expiries this close are the same cache fill: rounding and latency reach 1.2 s.
pub(crate) const EXPIRY_SLACK_S: u32 = 2;

/// Open expiries kept per run: sibling caches behind one address hold one fill each.
const EXPIRIES_PER_RUN: usize = 6;

/// Runs searched backwards for the fill an answer belongs to.
const RUNS_SEARCHED_MAX: usize = 32;

/// Addresses of a history that are compared one by one with one that is looked for.
const SEARCHED_MAX: usize = 32;

/// Host number of a run whose host was forgotten: it was seen once, and only the one-off sequence
/// of the whole domain still uses it.
pub(crate) const HOST_FORGOTTEN: u16 = u16::MAX;

/// Position of a run that is not there.
const RUN_NONE: u16 = u16::MAX;

/// Zone number of a run outside every curated zone.
pub(crate) const ZONE_NONE: u16 = u16::MAX;

/// Allow mark of a run that was seen under a name without one.
pub(crate) const MARK_NONE: u16 = u16::MAX;

/// A host name inside the domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Host {
    /// What it is known by: a keyed hash of its name.
    pub(crate) hash: u64,
    pub(crate) name_at: u32,
    pub(crate) name_len: u8,
    pub(crate) refreshes: u32,
    pub(crate) runs: u16,
    /// Position of its latest run by family, [`RUN_NONE`] without one.
    latest: [u16; 2],
    /// Observers that were answered for it by family, a bit for each of [`Track::observers`].
    answered: [u64; 2],
}

impl Host {
    /// Whether it never had more than one run of a family.
    const fn has_latest_alone(&self) -> bool {
        let [v4, v6] = self.latest;
        self.runs <= (v4 != RUN_NONE) as u16 + (v6 != RUN_NONE) as u16
    }
}

/// An address that was offered. Its owner is looked up when the domain is first judged, which most
/// never are, and again when other tables came into force.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    ip: [u8; 16],
    pub(crate) first_s: u32,
    // The table that says so may be another one when the history is read again.
    #[serde(skip, default = "unknown")]
    pub(crate) owner: Owner,
    #[serde(skip)]
    look_up: LookUp,
}

/// What is known of the owner of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LookUp {
    /// Nothing yet.
    #[default]
    Due,
    /// What tables said that are not in force any more.
    DueAgain,
    /// What the tables say.
    Done,
}

const fn unknown() -> Owner {
    Owner::UNKNOWN
}

impl Entry {
    /// The address as it was answered.
    pub(crate) fn ip(&self) -> IpAddr {
        match self.ip {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => {
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            other => IpAddr::V6(Ipv6Addr::from(other)),
        }
    }

    pub(crate) fn is_v6(&self) -> bool {
        !matches!(self.ip, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..])
    }

    /// The network: /24 for IPv4, /48 for IPv6, the families never equal.
    pub(crate) fn network(&self) -> u64 {
        match self.ip {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, _] => {
                u64::from(u32::from_be_bytes([0, a, b, c]))
            }
            [a, b, c, d, e, f, ..] => u64::from_be_bytes([1, 0, a, b, c, d, e, f]),
        }
    }

    /// The larger prefix that diversity is spread over: /16 for IPv4, /32 for IPv6.
    pub(crate) fn prefix(&self) -> u64 {
        match self.ip {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, ..] => {
                u64::from(a) << 8 | u64::from(b)
            }
            [a, b, c, d, ..] => u64::from_be_bytes([0, 0, 0, 1, a, b, c, d]),
        }
    }

    /// The unit an address counts as: itself for IPv4, its /64 for IPv6, where one subscriber has
    /// a whole /64 to draw from.
    pub(crate) fn unit(&self) -> [u8; 16] {
        let mut unit = self.ip;
        if self.is_v6() {
            unit[8..].fill(0);
        }
        unit
    }

    fn new(ip: u128, first_s: u32) -> Self {
        Self { ip: ip.to_be_bytes(), first_s, owner: Owner::UNKNOWN, look_up: LookUp::Due }
    }

    /// A keyed hash of the address.
    fn hash(&self, key: u64) -> u64 {
        hash_bits(u128::from_be_bytes(self.ip), self.is_v6(), key)
    }

    /// Whether it is an edge that a content network runs itself, which is no evidence.
    pub(crate) fn is_edge(&self) -> bool {
        self.owner.class == AddressClass::Cdn
    }

    /// The entry in force that covers the address.
    pub(crate) fn allowed_by(&self, exempt: Option<&InForce<'_>>) -> Option<u16> {
        exempt?.address(self.ip(), self.owner.asn)
    }
}

/// The bits of an address, those of an IPv4 one mapped into IPv6 (RFC 4291 section 2.5.5.2).
#[inline]
pub(crate) const fn bits_of(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// A stretch of refreshes of one host with one address set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) host: u16,
    pub(crate) zone: u16,
    /// Entry of the allow list that covers every name under which it was asked, [`MARK_NONE`]
    /// without one.
    pub(crate) mark: u16,
    pub(crate) set_len: u16,
    pub(crate) is_v6: bool,
    /// The set is a part (TC=1): it counts, but says nothing about turnover.
    pub(crate) is_partial: bool,
    /// The same observer had been given an answer for this host and family before.
    pub(crate) is_witnessed: bool,
    /// The same observer had been given an answer for any host of the domain before.
    pub(crate) is_domain_witnessed: bool,
    pub(crate) is_authoritative: bool,
    /// What led to it, if it came along an alias once the domain was changing.
    pub(crate) alias: Alias,
    pub(crate) set_at: u32,
    set_hash: u64,
    /// First refresh.
    pub(crate) first_s: u32,
    /// Last refresh.
    pub(crate) refreshed_s: u32,
    /// Last response.
    pub(crate) seen_s: u32,
    pub(crate) refreshes: u32,
    pub(crate) responses: u32,
    /// Highest TTL answered.
    pub(crate) ttl_s: u32,
    pub(crate) ttl_min_s: u32,
    pub(crate) expiries: [u32; EXPIRIES_PER_RUN],
}

/// The alias along which a set came, as 15 bits of a keyed hash: of 256 sets of one history one pair
/// is taken for the same in the mean. 0 if it came along none, or nobody looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Alias(u16);

impl Alias {
    /// From the host out of the domain, into the registrable domain of this hash.
    pub(crate) const fn out(hash: u64) -> Self {
        Self(hash as u16 | 1)
    }

    /// To the host, from the other name of the domain that has this hash.
    pub(crate) const fn from(hash: u64) -> Self {
        let even = hash as u16 & !1;
        Self(if even == 0 { 2 } else { even })
    }

    pub(crate) const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// Whether it leads to the host; else out of the domain.
    pub(crate) const fn is_inside(self) -> bool {
        self.0 & 1 == 0
    }
}

impl Run {
    /// Two names may lead to one host: what is asked under a name that no entry covers is not
    /// covered, whatever else leads there.
    fn unmark(&mut self, fill: &Fill<'_>) {
        if fill.mark == MARK_NONE {
            self.mark = MARK_NONE;
        }
    }

    /// What tells its host from others: of one that lost its name, its set.
    pub(crate) const fn whose(&self) -> (u16, u64) {
        (self.host, if self.host == HOST_FORGOTTEN { self.set_hash } else { 0 })
    }

    /// Whether a provider's zone or the allow list explains it, so that it is no evidence.
    pub(crate) fn is_explained(&self, exempt: Option<&InForce<'_>>) -> bool {
        self.zone != ZONE_NONE || self.allowed_by(exempt).is_some()
    }

    /// The entry in force that covers the names under which it was asked.
    pub(crate) fn allowed_by(&self, exempt: Option<&InForce<'_>>) -> Option<u16> {
        if self.mark == MARK_NONE { None } else { exempt?.marked(self.mark) }
    }
}

/// A fill as it comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill<'a> {
    /// What tells the host from others of this history: a part of its name, or all of it.
    pub(crate) host: &'a [u8],
    /// The keyed hash of that.
    pub(crate) host_hash: u64,
    /// The addresses as [`bits_of`] gives them: of one family, none twice.
    pub(crate) ips: &'a [u128],
    pub(crate) is_v6: bool,
    pub(crate) is_partial: bool,
    pub(crate) is_authoritative: bool,
    pub(crate) ttl_s: u32,
    pub(crate) at_ms: u64,
    pub(crate) observer: u32,
    pub(crate) zone: u16,
    pub(crate) mark: u16,
    pub(crate) key: u64,
}

/// What became of a fill while nothing else came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) refreshed_s: u32,
    pub(crate) seen_s: u32,
    pub(crate) refreshes: u32,
    pub(crate) responses: u32,
    pub(crate) ttl_min_s: u32,
    pub(crate) expiries: [u32; quiet::EXPIRIES_MAX],
    /// The observer beside that of the fill, 0 for none.
    pub(crate) other_observer: u32,
    /// Whether that of the fill had been answered for another host then.
    pub(crate) is_domain_witnessed: bool,
}

/// What a fill was to the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// An answer from a fill that is known.
    Known,
    /// A new fill with the set the host had.
    Refreshed,
    /// A new set.
    Changed,
}

/// Hosts that are fetched ahead: all that most domains have.
const HOSTS_FETCHED: usize = 8;

/// See the module's head.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Track {
    names: Vec<u8>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) entries: Vec<Entry>,
    /// Where they are to be found, once there can be more than [`SEARCHED_MAX`].
    #[serde(skip)]
    places: Option<Box<Places>>,
    pub(crate) runs: Vec<Run>,
    sets: Vec<u16>,
    /// Hashes of the observers that were answered; a host notes them by their position here.
    observers: SmallVec<[u32; 4]>,
    /// Observers that were answered for any host, by family.
    answered: [u64; 2],
    /// Whether a host ever got another set than it had.
    pub(crate) is_changing: bool,
    /// Runs dropped because of a limit; the history is incomplete then.
    pub(crate) runs_forgotten: u32,
    /// When the newest of them was seen.
    pub(crate) forgotten_until_s: u32,
}

impl Track {
    /// Takes one fill in.
    pub(crate) fn apply(&mut self, fill: &Fill<'_>) -> Outcome {
        let at_s = (fill.at_ms / 1_000) as u32;
        let expiry_s = expiry_s(fill.at_ms, fill.ttl_s);
        let set_hash = set_hash(fill);
        let (host, is_new_host) = self.host(fill);
        let (is_witnessed, is_domain_witnessed) = self.witness(fill, host);
        if is_new_host {
            // Nothing to search for: this is its first set.
        } else if let Some(run) = self.known_run(host, fill, set_hash, expiry_s) {
            run.seen_s = run.seen_s.max(at_s);
            run.responses = run.responses.saturating_add(1);
            run.ttl_min_s = run.ttl_min_s.min(fill.ttl_s);
            run.unmark(fill);
            return Outcome::Known;
        }
        self.hosts[usize::from(host)].refreshes += 1;
        let latest = if is_new_host { None } else { self.latest_run(host, fill.is_v6) };
        let latest_is_other = latest.is_some();
        if let Some(run) = latest
            && run.set_hash == set_hash
        {
            run.expiries[run.refreshes as usize % EXPIRIES_PER_RUN] = expiry_s;
            run.refreshes += 1;
            run.refreshed_s = run.refreshed_s.max(at_s);
            run.seen_s = run.seen_s.max(at_s);
            run.responses = run.responses.saturating_add(1);
            run.ttl_s = run.ttl_s.max(fill.ttl_s);
            run.ttl_min_s = run.ttl_min_s.min(fill.ttl_s);
            run.unmark(fill);
            return Outcome::Refreshed;
        }
        // The host has two families, and each of them a first set.
        self.is_changing |= latest_is_other;
        self.make_room(fill.ips.len());
        let set_at = self.sets.len() as u32;
        self.push_set(fill, at_s);
        let mut expiries = [0; EXPIRIES_PER_RUN];
        expiries[0] = expiry_s;
        push(
            &mut self.runs,
            Run {
                host,
                zone: fill.zone,
                mark: fill.mark,
                set_len: fill.ips.len() as u16,
                is_v6: fill.is_v6,
                is_partial: fill.is_partial,
                is_witnessed,
                is_domain_witnessed,
                is_authoritative: fill.is_authoritative,
                alias: Alias::default(),
                set_at,
                set_hash,
                first_s: at_s,
                refreshed_s: at_s,
                seen_s: at_s,
                refreshes: 1,
                responses: 1,
                ttl_s: fill.ttl_s,
                ttl_min_s: fill.ttl_s,
                expiries,
            },
        );
        let latest = (self.runs.len() - 1) as u16;
        let host = &mut self.hosts[usize::from(host)];
        host.runs = host.runs.saturating_add(1);
        host.latest[usize::from(fill.is_v6)] = latest;
        Outcome::Changed
    }

    /// Notes along which alias the newest set came.
    pub(crate) fn note_alias(&mut self, alias: Alias) {
        if let Some(run) = self.runs.last_mut() {
            run.alias = alias;
        }
    }

    /// Takes in the first fill of a host and family, and what became of it since.
    pub(crate) fn resume(&mut self, fill: &Fill<'_>, stretch: &Stretch) {
        self.apply(fill);
        let (host, _) = self.host(fill);
        if stretch.other_observer != 0 {
            self.witness(&Fill { observer: stretch.other_observer, ..*fill }, host);
        }
        self.hosts[usize::from(host)].refreshes += stretch.refreshes.saturating_sub(1);
        let Some(run) = self.latest_run(host, fill.is_v6) else { return };
        run.is_domain_witnessed = stretch.is_domain_witnessed;
        run.refreshed_s = stretch.refreshed_s;
        run.seen_s = stretch.seen_s;
        run.refreshes = stretch.refreshes;
        run.responses = stretch.responses;
        run.ttl_min_s = stretch.ttl_min_s;
        // The place behind the last is written next.
        for (back, &expiry_s) in stretch.expiries.iter().enumerate() {
            let place = stretch.refreshes as usize + EXPIRIES_PER_RUN - 1 - back;
            run.expiries[place % EXPIRIES_PER_RUN] = expiry_s;
        }
    }

    /// Looks up the owners that are not known yet, and counts what came of it; those that were known
    /// by other tables are counted already.
    pub(crate) fn look_up_owners(&mut self, intel: &Intel, counts: &mut LookUps) {
        for entry in self.entries.iter_mut().filter(|entry| entry.look_up != LookUp::Done) {
            entry.owner = intel.owner(entry.ip());
            if mem::replace(&mut entry.look_up, LookUp::Done) == LookUp::DueAgain {
                continue;
            }
            counts.addresses += 1;
            counts.with_owner += u64::from(entry.owner.asn != 0);
            if entry.is_edge() {
                *counts.edges.entry(entry.owner.asn).or_default() += 1;
            }
        }
    }

    /// The addresses of a run, as positions in `entries`.
    pub(crate) fn set(&self, run: &Run) -> &[u16] {
        let at = run.set_at as usize;
        &self.sets[at..at + usize::from(run.set_len)]
    }

    /// A host's name as it was applied.
    pub(crate) fn host_name(&self, host: &Host) -> &[u8] {
        let at = host.name_at as usize;
        &self.names[at..at + usize::from(host.name_len)]
    }

    /// Has the hosts fetched that are looked through for one.
    pub(crate) fn fetch_hosts(&self) {
        fetch(&self.hosts[..self.hosts.len().min(HOSTS_FETCHED)]);
    }

    /// Has the latest run of a host and family fetched.
    pub(crate) fn fetch_run(&self, host_hash: u64, is_v6: bool) {
        let host = self.hosts.iter().find(|host| host.hash == host_hash);
        let latest = host.map_or(RUN_NONE, |host| host.latest[usize::from(is_v6)]);
        if let Some(run) = self.runs.get(usize::from(latest)) {
            fetch(run);
        }
    }

    /// Whether all that refers to something refers to what is there. What was read from outside must
    /// be asked, for the rest relies on it.
    pub(crate) fn is_sound(&self) -> bool {
        let has_name = |host: &Host| {
            let end = host.name_at as usize + usize::from(host.name_len);
            end <= self.names.len()
        };
        let is_run = |at: u16| at == RUN_NONE || usize::from(at) < self.runs.len();
        let has_host =
            |run: &Run| run.host == HOST_FORGOTTEN || usize::from(run.host) < self.hosts.len();
        let has_set = |run: &Run| {
            let end = run.set_at as usize + usize::from(run.set_len);
            end <= self.sets.len() && run.refreshes > 0
        };
        self.hosts.len() <= limits::HOSTS_PER_TRACK_MAX
            && self.entries.len() <= limits::ADDRESSES_PER_TRACK_MAX
            && self.runs.len() <= limits::RUNS_PER_TRACK_MAX
            && self.observers.len() <= limits::OBSERVERS_PER_TRACK_MAX
            && self
                .hosts
                .iter()
                .all(|host| has_name(host) && host.latest.iter().all(|&at| is_run(at)))
            && self.runs.iter().all(|run| has_host(run) && has_set(run))
            && self.sets.iter().all(|&entry| usize::from(entry) < self.entries.len())
    }

    /// Has owners looked up again, as other tables may know others.
    pub(crate) fn forget_owners(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.look_up == LookUp::Done) {
            entry.look_up = LookUp::DueAgain;
        }
    }

    /// Gives the numbers of zones and marks of other lists to the runs; see
    /// [`crate::Table::renumber`].
    pub(crate) fn renumber(&mut self, numbers: &Renumber) {
        for run in &mut self.runs {
            run.zone = Renumber::of(&numbers.zones, run.zone);
            run.mark = Renumber::of(&numbers.marks, run.mark);
        }
    }

    /// Heap bytes held.
    pub(crate) fn heap_bytes(&self) -> usize {
        heap_bytes(&self.names)
            + heap_bytes(&self.hosts)
            + heap_bytes(&self.entries)
            + heap_bytes(&self.runs)
            + heap_bytes(&self.sets)
            + spilled_bytes(&self.observers)
            + self.places.as_ref().map_or(0, |places| places.bytes())
    }

    /// The run and open expiry this answer belongs to, if its fill is known: nearly always the
    /// latest of its host, else one that a sibling cache still answers from.
    fn known_run(
        &mut self,
        host: u16,
        fill: &Fill<'_>,
        set_hash: u64,
        expiry_s: u32,
    ) -> Option<&mut Run> {
        let is_it = |run: &Run| {
            run.set_hash == set_hash
                && run.host == host
                && run.is_v6 == fill.is_v6
                && run.expiries.iter().any(|e| e.abs_diff(expiry_s) <= EXPIRY_SLACK_S)
        };
        let known = &self.hosts[usize::from(host)];
        let latest = usize::from(known.latest[usize::from(fill.is_v6)]);
        let at = match self.runs.get(latest) {
            Some(run) if is_it(run) => latest,
            // Nearly no host ever had another set: no need to look through the runs of all of them.
            Some(_) if known.has_latest_alone() => return None,
            Some(_) => {
                let from = self.runs.len().saturating_sub(RUNS_SEARCHED_MAX);
                from + self.runs[from..].iter().rposition(is_it)?
            }
            // Without a latest run there is none at all.
            None => return None,
        };
        self.runs.get_mut(at)
    }

    fn latest_run(&mut self, host: u16, is_v6: bool) -> Option<&mut Run> {
        let latest = self.hosts[usize::from(host)].latest[usize::from(is_v6)];
        self.runs.get_mut(usize::from(latest))
    }

    /// The number of the fill's host, and whether it had none before.
    fn host(&mut self, fill: &Fill<'_>) -> (u16, bool) {
        if let Some(index) = self.hosts.iter().position(|host| host.hash == fill.host_hash) {
            return (index as u16, false);
        }
        if self.hosts.len() >= limits::HOSTS_PER_TRACK_MAX {
            self.forget_hosts();
        }
        let name_at = self.names.len() as u32;
        self.names.extend_from_slice(fill.host);
        push(
            &mut self.hosts,
            Host {
                hash: fill.host_hash,
                name_at,
                name_len: fill.host.len() as u8,
                refreshes: 0,
                runs: 0,
                latest: [RUN_NONE; 2],
                answered: [0; 2],
            },
        );
        ((self.hosts.len() - 1) as u16, true)
    }

    /// Makes room for names: first those seen once lose their name and keep their runs, for the
    /// one-off sequence; if all repeat, the half with the fewest sets goes, runs included. A
    /// fluxing host among busy stable ones has the most sets and stays.
    fn forget_hosts(&mut self) {
        let is_one_off = |host: &Host| host.refreshes <= 1;
        let kept = self.hosts.iter().position(is_one_off).unwrap_or(self.hosts.len());
        if kept < self.hosts.len() && self.hosts[kept..].iter().all(is_one_off) {
            self.forget_last_hosts(kept);
        } else {
            self.forget_any_hosts();
        }
    }

    fn forget_any_hosts(&mut self) {
        let is_one_off = |host: &Host| host.refreshes <= 1;
        let has_one_offs = self.hosts.iter().any(is_one_off);
        let median = if has_one_offs { 0 } else { self.median_runs() };
        let mut dropped_over = self.hosts.len() / 2;
        let mut number_of = vec![HOST_FORGOTTEN; self.hosts.len()];
        let mut names = Vec::with_capacity(self.names.len());
        let mut kept = 0;
        for (i, number) in number_of.iter_mut().enumerate() {
            let host = &mut self.hosts[i];
            let goes = if has_one_offs {
                is_one_off(host)
            } else {
                host.runs <= median && dropped_over > 0
            };
            if goes {
                dropped_over = dropped_over.saturating_sub(1);
                continue;
            }
            let name = &self.names[host.name_at as usize..][..usize::from(host.name_len)];
            host.name_at = names.len() as u32;
            names.extend_from_slice(name);
            *number = kept as u16;
            self.hosts.swap(kept, i);
            kept += 1;
        }
        self.hosts.truncate(kept);
        self.names = names;
        let renumber = |host: u16| number_of.get(usize::from(host)).copied();
        if !has_one_offs {
            self.runs.retain(|run| {
                run.host == HOST_FORGOTTEN || renumber(run.host) != Some(HOST_FORGOTTEN)
            });
        }
        for run in &mut self.runs {
            run.host = renumber(run.host).unwrap_or(HOST_FORGOTTEN);
        }
        // With all runs there, sets and entries are what they refer to, and the latest ones are the same.
        if !has_one_offs {
            self.rebuild();
        }
    }

    /// The same if the one-offs came behind all others, as one does that makes room for the next: no
    /// other host gets another number, so nothing but their own runs is touched.
    fn forget_last_hosts(&mut self, kept: usize) {
        for at in self.hosts[kept..].iter().flat_map(|host| host.latest) {
            if let Some(run) = self.runs.get_mut(usize::from(at)) {
                run.host = HOST_FORGOTTEN;
            }
        }
        self.hosts.truncate(kept);
        let end = |host: &Host| host.name_at as usize + usize::from(host.name_len);
        self.names.truncate(self.hosts.iter().map(end).max().unwrap_or(0));
    }

    /// The runs that a host has in the middle, of all hosts in order of their runs.
    fn median_runs(&self) -> u16 {
        let mut by_runs: Vec<u16> = self.hosts.iter().map(|host| host.runs).collect();
        by_runs.sort_unstable();
        by_runs.get(by_runs.len() / 2).copied().unwrap_or(0)
    }

    /// Notes that this observer was answered; whether it had been, for the host and for the domain.
    fn witness(&mut self, fill: &Fill<'_>, host: u16) -> (bool, bool) {
        let known = self.observers.iter().position(|&o| o == fill.observer);
        let number = match known {
            Some(number) => number,
            // LIMIT: a domain asked through more observers than this counts further ones as new,
            // which can only make it look more closed than it is.
            None if self.observers.len() >= limits::OBSERVERS_PER_TRACK_MAX => {
                return (false, false);
            }
            None => {
                self.observers.push(fill.observer);
                self.observers.len() - 1
            }
        };
        let bit = 1 << number;
        let of_host = &mut self.hosts[usize::from(host)].answered[usize::from(fill.is_v6)];
        let of_domain = &mut self.answered[usize::from(fill.is_v6)];
        let was = (*of_host & bit != 0, *of_domain & bit != 0);
        *of_host |= bit;
        *of_domain |= bit;
        was
    }

    /// Appends a set to the sets, and what is new in it to the entries.
    fn push_set(&mut self, fill: &Fill<'_>, at_s: u32) {
        self.lay_places(fill.ips.len(), fill.key);
        for &ip in fill.ips {
            let entry = Entry::new(ip, at_s);
            let place = self.place_of(&entry, fill.key).unwrap_or_else(|| {
                push(&mut self.entries, entry);
                if let Some(places) = &mut self.places {
                    places.insert(entry.hash(fill.key));
                }
                self.entries.len() - 1
            });
            push(&mut self.sets, place as u16);
        }
    }

    /// Sees to it that entries can be found by their hash if there may be many when so many come.
    fn lay_places(&mut self, coming: usize, key: u64) {
        let entries_max = self.entries.len() + coming;
        let has_room = self.places.as_ref().is_some_and(|places| places.has_room(coming));
        if entries_max > SEARCHED_MAX && !has_room {
            let hashes = self.entries.iter().map(|entry| entry.hash(key));
            self.places = Some(Box::new(Places::of(hashes, entries_max)));
        }
    }

    /// The position of the entry with this address.
    fn place_of(&self, wanted: &Entry, key: u64) -> Option<usize> {
        let is_it = |entry: &Entry| entry.ip == wanted.ip;
        match &self.places {
            None => self.entries.iter().position(is_it),
            Some(places) => {
                places.find(wanted.hash(key), |at| self.entries.get(at).is_some_and(is_it))
            }
        }
    }

    /// Drops the oldest runs, and the addresses that only they held, when a limit is reached.
    fn make_room(&mut self, coming: usize) {
        let has_runs = self.runs.len() < limits::RUNS_PER_TRACK_MAX;
        if has_runs && self.entries.len() + coming <= limits::ADDRESSES_PER_TRACK_MAX {
            return;
        }
        let target = limits::ADDRESSES_PER_TRACK_MAX / 4 * 3;
        let mut step = self.runs.len() / 4 + 1;
        loop {
            // By last sight, not by age: a set that is still served is not history.
            let mut by_seen: Vec<(u32, usize)> =
                self.runs.iter().enumerate().map(|(i, r)| (r.seen_s, i)).collect();
            by_seen.sort_unstable();
            let mut goes = vec![false; self.runs.len()];
            for &(seen_s, i) in by_seen.iter().take(step) {
                goes[i] = true;
                self.forgotten_until_s = self.forgotten_until_s.max(seen_s);
                self.runs_forgotten += 1;
            }
            let mut flags = goes.iter();
            self.runs.retain(|_| !flags.next().copied().unwrap_or(false));
            self.rebuild();
            if self.runs.is_empty() || self.entries.len() + coming <= target {
                return;
            }
            step = self.runs.len() / 4 + 1;
        }
    }

    /// Lays sets and entries anew so that they hold what the runs refer to and nothing else, and
    /// finds each host's latest run again.
    fn rebuild(&mut self) {
        let mut number_of = vec![u16::MAX; self.entries.len()];
        let mut entries = Vec::new();
        let mut sets = Vec::new();
        for run in &mut self.runs {
            let at = run.set_at as usize;
            let old = &self.sets[at..at + usize::from(run.set_len)];
            run.set_at = sets.len() as u32;
            for &index in old {
                let number = &mut number_of[usize::from(index)];
                if *number == u16::MAX {
                    *number = entries.len() as u16;
                    entries.push(self.entries[usize::from(index)]);
                }
                sets.push(*number);
            }
        }
        self.entries = entries;
        self.places = None;
        self.sets = sets;
        for host in &mut self.hosts {
            host.latest = [RUN_NONE; 2];
        }
        for (at, run) in self.runs.iter().enumerate() {
            if let Some(host) = self.hosts.get_mut(usize::from(run.host)) {
                host.latest[usize::from(run.is_v6)] = at as u16;
            }
        }
    }
}

/// Least room a list is given: what an ordinary host has, one of each family.
const ROOM_MIN: usize = 2;

/// Pushes with modest growth: doubling would waste more than it holds.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 2 + 1).max(ROOM_MIN));
    }
    list.push(item);
}

const fn heap_bytes<T>(list: &Vec<T>) -> usize {
    list.capacity() * size_of::<T>()
}

/// Heap bytes of a list that has room for a few inside.
pub(crate) fn spilled_bytes<A: Array>(list: &SmallVec<A>) -> usize {
    if list.spilled() { list.capacity() * size_of::<A::Item>() } else { 0 }
}

/// A hash of the set that does not depend on the order of the answer. Keyed, so that nobody can
/// choose sets that pass for the same.
fn set_hash(fill: &Fill<'_>) -> u64 {
    let (family, start) = (fill.is_v6, u64::from(fill.is_partial));
    fill.ips.iter().fold(start, |sum, &ip| sum.wrapping_add(hash_bits(ip, family, fill.key)))
}

/// When an answer seen at `at_ms` runs out, in seconds.
#[inline]
pub(crate) const fn expiry_s(at_ms: u64, ttl_s: u32) -> u32 {
    ((at_ms + ttl_s as u64 * 1_000 + 500) / 1_000) as u32
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A fixed pseudo-random sequence.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = mix(self.0);
            self.0 % bound
        }
    }

    fn ips(numbers: &[u32]) -> Vec<u128> {
        numbers.iter().map(|n| bits_of(Ipv4Addr::from(0x0500_0000 + n).into())).collect()
    }

    fn fill<'a>(host: &'a [u8], ips: &'a [u128], at_s: u64, ttl_s: u32) -> Fill<'a> {
        Fill {
            host,
            host_hash: host.iter().fold(0, |hash, b| mix(hash ^ u64::from(*b))),
            ips,
            is_v6: false,
            is_partial: false,
            is_authoritative: false,
            ttl_s,
            at_ms: at_s * 1_000,
            observer: 1,
            zone: ZONE_NONE,
            mark: MARK_NONE,
            key: 9,
        }
    }

    #[test]
    fn an_address_is_entered_once_however_long_the_history() {
        let mut dice = Dice(3);
        let (mut track, mut naive) = (Track::default(), Vec::new());
        for step in 0..60 {
            let count = if step % 3 == 0 { 5 } else { 17 + dice.below(60) };
            let mut numbers: Vec<u32> = (0..count).map(|_| dice.below(300) as u32).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let set = ips(&numbers);
            track.push_set(&fill(b"w", &set, 0, 0), step);
            for ip in set {
                let known = naive.iter().position(|seen| *seen == ip);
                let place = known.unwrap_or_else(|| {
                    naive.push(ip);
                    naive.len() - 1
                });
                let pushed = track.sets.remove(0);
                assert_eq!(usize::from(pushed), place, "step {step}: {ip}");
            }
        }
        assert!(track.sets.is_empty() && track.places.is_some());
        assert!(naive.len() > 200 && track.entries.iter().map(|e| bits_of(e.ip())).eq(naive));
    }

    #[test]
    fn answers_refreshes_and_changes_are_told_apart() {
        use Outcome::{Changed, Known, Refreshed};
        let (a, reversed, b) = (ips(&[1, 2, 3]), ips(&[3, 2, 1]), ips(&[4, 5, 6]));
        let script: [(u64, &[u128], u32, Outcome); 12] = [
            (0, &a, 100, Changed),
            (40, &a, 60, Known),
            (50, &reversed, 51, Known),
            (60, &a, 42, Known),
            (60, &a, 43, Refreshed),
            (100, &a, 100, Refreshed),
            (110, &b, 100, Changed),
            // A sibling cache still answers from the older fill.
            (120, &a, 80, Known),
            (130, &b, 80, Known),
            // And fetches the old set again: a step back is a change.
            (150, &a, 100, Changed),
            (150, &a, 0, Refreshed),
            (151, &a, 0, Known),
        ];
        let mut track = Track::default();
        for (i, (at_s, set, ttl_s, expect)) in script.into_iter().enumerate() {
            assert_eq!(track.apply(&fill(b"w", set, at_s, ttl_s)), expect, "step {i}");
        }
        assert_eq!(track.runs.len(), 3);
        assert_eq!(track.entries.len(), 6);
        assert!(track.is_changing);
    }

    #[test]
    fn a_million_answers_of_one_fill_take_no_room() {
        let set = ips(&[1, 2]);
        let mut track = Track::default();
        track.apply(&fill(b"w", &set, 0, 1_000));
        let bytes = track.heap_bytes();
        for i in 1..100_000_u32 {
            track.apply(&fill(b"w", &set, u64::from(i / 100), 1_000 - i / 100));
        }
        assert_eq!((track.runs.len(), track.runs[0].refreshes), (1, 1));
        assert_eq!(track.runs[0].responses, 100_000);
        assert_eq!(track.heap_bytes(), bytes);
    }

    #[test]
    fn witnesses_are_told_by_observer_host_and_family() {
        let (a, b) = (ips(&[1]), ips(&[2]));
        let mut track = Track::default();
        let mut apply = |host: &[u8], set: &[u128], observer| {
            let fill = Fill { observer, ..fill(host, set, 0, 60) };
            track.apply(&fill);
            let run = track.runs.last().unwrap();
            (run.is_witnessed, run.is_domain_witnessed)
        };
        assert_eq!(apply(b"w", &a, 1), (false, false));
        assert_eq!(apply(b"w", &b, 2), (false, false));
        assert_eq!(apply(b"w", &ips(&[3]), 2), (true, true));
        assert_eq!(apply(b"x", &b, 1), (false, true));
        for observer in 10..200 {
            apply(b"w", &ips(&[observer]), observer);
        }
        // Beyond the limit an observer is a stranger every time.
        assert_eq!(apply(b"w", &ips(&[901]), 150), (false, false));
        assert_eq!(apply(b"w", &ips(&[900]), 1), (true, true));
    }

    #[test]
    fn hosts_that_came_last_go_as_any_others_do() {
        for seed in 0..200_u64 {
            let mut dice = Dice(seed);
            let mut track = Track::default();
            let repeating = dice.below(60);
            for step in 0..dice.below(400) {
                let host = format!("h{}", step % (repeating + 1)).into_bytes();
                track.apply(&fill(&host, &ips(&[dice.below(9) as u32]), step * 40, 30));
            }
            track.hosts.iter_mut().for_each(|host| host.refreshes += 1);
            for step in 0..1 + dice.below(3) {
                let host = format!("once{}", "x".repeat(step as usize)).into_bytes();
                track.apply(&fill(&host, &ips(&[dice.below(9) as u32]), 20_000 + step, 30));
            }
            let mut other = track.clone();
            track.forget_hosts();
            other.forget_any_hosts();
            assert_eq!(format!("{track:?}"), format!("{other:?}"), "seed {seed}");
            assert!(track.runs.iter().any(|run| run.host == HOST_FORGOTTEN), "seed {seed}");
        }
    }

    /// Random fills against a naive list of what was applied: whatever is forgotten, a run that is
    /// there has the addresses and the host it came with, and no limit is passed.
    #[test]
    fn what_is_kept_is_right_and_within_limits() {
        for seed in 0..6_u64 {
            let mut dice = Dice(seed);
            let mut track = Track::default();
            let mut applied: BTreeMap<(u32, Vec<u8>), Vec<u128>> = BTreeMap::new();
            let (hosts, addresses) = ([3, 90, 2_000][seed as usize % 3], 40 + seed * 400);
            for step in 0..6_000_u64 {
                let host = format!("h{}", dice.below(hosts)).into_bytes();
                let first = dice.below(addresses) as u32;
                let set = ips(&[first, first + 1, first + 7][..1 + dice.below(3) as usize]);
                let outcome = track.apply(&fill(&host, &set, step * 10, dice.below(3) as u32 * 40));
                if outcome == Outcome::Changed {
                    applied.insert(((step * 10) as u32, host), set);
                }
                assert!(track.hosts.len() <= limits::HOSTS_PER_TRACK_MAX);
                assert!(track.runs.len() <= limits::RUNS_PER_TRACK_MAX);
                assert!(track.entries.len() <= limits::ADDRESSES_PER_TRACK_MAX);
                if step % 500 != 499 {
                    continue;
                }
                // Whatever went, the rest lies as if it had just been laid anew.
                let lies = |track: &Track| {
                    let ips: Vec<_> = track.entries.iter().map(|entry| entry.ip).collect();
                    let latest: Vec<_> = track.hosts.iter().map(|host| host.latest).collect();
                    let at: Vec<_> = track.runs.iter().map(|run| run.set_at).collect();
                    (ips, latest, at, track.sets.clone())
                };
                let mut anew = track.clone();
                anew.rebuild();
                assert_eq!(lies(&anew), lies(&track), "seed {seed}, step {step}");
                for at in 0..track.entries.len() {
                    let place = track.place_of(&track.entries[at], 9);
                    assert_eq!(place, Some(at), "seed {seed}, step {step}");
                }
                for (at, run) in track.runs.iter().enumerate() {
                    let set: Vec<u128> = track
                        .set(run)
                        .iter()
                        .map(|&e| bits_of(track.entries[usize::from(e)].ip()))
                        .collect();
                    let expect = match track.hosts.get(usize::from(run.host)) {
                        Some(host) => {
                            let later = track.runs[at + 1..].iter().any(|r| r.host == run.host);
                            assert!(later || usize::from(host.latest[0]) == at, "latest run");
                            applied.get(&(run.first_s, track.host_name(host).to_vec()))
                        }
                        None => applied.iter().find(|(k, _)| k.0 == run.first_s).map(|(_, v)| v),
                    };
                    assert_eq!(Some(&set), expect, "seed {seed}, step {step}, run {at}");
                }
            }
            assert!(track.runs_forgotten > 0 || hosts == 3, "seed {seed}: no limit was reached");
        }
    }
}
