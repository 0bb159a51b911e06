//! A domain that never changed, in 84 bytes for each of its few hosts: what nearly every domain is,
//! nearly all the time.
//!
//! A [`Quiet`] is one host of a domain in one address family, seen with one address set. Those of a
//! domain hold all that its whole [`DomainWindow`] would, so that nothing is lost when something comes
//! that they cannot hold: [`resume`] makes the window of what was quiet until then. The name is not kept; a
//! quiet domain is known by its keyed 64-bit hash, which any two of a million domains share with a
//! probability of 3 in 100 million.

use crate::domain::{DomainWindow, HOSTS_WORTH_JUDGING, hash_bytes, hash_ip, servers_hash};
use crate::track::{EXPIRY_SLACK_S, Fill, MARK_NONE, Stretch, ZONE_NONE, bits_of, expiry_s};
use fluxtap_memory::fetch;
use fluxtap_observe::{Address, Batch, Observation, TTL_S_MAX, Vantage};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Most IPv4 addresses in the set; of IPv6 it is one.
const ADDRESSES_MAX: usize = 4;

/// Longest part of the host in front of the domain, in bytes of wire form: that of `www` has 4.
const HOST_OCTETS_MAX: usize = 11;

/// Cache fills that can be open at a time.
pub(crate) const EXPIRIES_MAX: usize = 2;

/// Observers that can be told apart.
pub(crate) const OBSERVERS_MAX: usize = 2;

/// Clients that can be told apart.
const CLIENTS_MAX: usize = 4;

/// Hosts that can lie here side by side: with one more a domain may be judged.
const HOSTS_MAX: usize = HOSTS_WORTH_JUDGING - 1;

/// Parts of a domain: its hosts in either family.
pub(crate) const PARTS_MAX: usize = 2 * HOSTS_MAX;

/// No client: the bitmap of clients has 128 bits.
const CLIENT_NONE: u8 = u8::MAX;

/// See the module's head. Lists are filled from the front; 0 is no address, expiry or observer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Quiet {
    /// The hash of the domain in halves, the lower first: nothing here is laid to 8 bytes.
    hash: [u32; 2],
    set: Set,
    host: [u8; HOST_OCTETS_MAX],
    flags: u8,
    first_s: u32,
    pub(crate) seen_s: u32,
    refreshed_s: u32,
    expiries: [u32; EXPIRIES_MAX],
    observers: [u32; OBSERVERS_MAX],
    /// Beside it the milliseconds of the first answer.
    ttl: Ttl,
    /// Beside it the length of the host, and above that responses that only named servers.
    ttl_min: Ttl,
    /// Keyed hash of the name servers that were seen.
    servers_hash: u32,
    /// 0 in an entry that is not used.
    refreshes: u16,
    responses: u16,
    /// Bits of the window's bitmap of clients.
    clients: [u8; CLIENTS_MAX],
}

/// A TTL in seconds, which is [`TTL_S_MAX`] at most, and above it a number for which that leaves room.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Ttl(u32);

impl Ttl {
    const BITS: u32 = 20;
    /// Bits of the number.
    const BESIDE_BITS: u32 = u32::BITS - Self::BITS;

    const fn of(seconds: u32, beside: u32) -> Self {
        Self(seconds & ((1 << Self::BITS) - 1) | beside << Self::BITS)
    }

    const fn seconds(self) -> u32 {
        self.0 & ((1 << Self::BITS) - 1)
    }

    const fn beside(self) -> u32 {
        self.0 >> Self::BITS
    }
}

const _: () = assert!(TTL_S_MAX < 1 << Ttl::BITS && 1_000 < 1 << Ttl::BESIDE_BITS);

/// Bits of the length of a host, beside which the responses lie that only named servers.
const HOST_LEN_BITS: u32 = 4;

/// As many of those as there is room for.
const SERVER_RESPONSES_MAX: u32 = (1 << (Ttl::BESIDE_BITS - HOST_LEN_BITS)) - 1;

const _: () = assert!(HOST_OCTETS_MAX < 1 << HOST_LEN_BITS);

const IS_V6: u8 = 1;
const IS_AUTHORITATIVE: u8 = 2;
/// Its first observer had been answered for another host of the domain, in this family.
const IS_DOMAIN_WITNESSED: u8 = 4;
/// Above it lies the number of the part in the order in which those of a domain came.
const NUMBER_BIT: u8 = 8;
const NUMBER_MAX: u8 = u8::MAX / NUMBER_BIT;

/// Addresses of one family: IPv4 in order, or one of IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Set([u8; 16]);

impl Set {
    fn of(addresses: &[Address]) -> Option<(Self, bool)> {
        let mut octets = [0; 16];
        if let [Address { ip: IpAddr::V6(ip), .. }] = addresses {
            return Some((Self(ip.octets()), true));
        }
        let mut words = [u32::MAX; ADDRESSES_MAX];
        let words = words.get_mut(..addresses.len())?;
        for (word, address) in words.iter_mut().zip(addresses) {
            let IpAddr::V4(ip) = address.ip else { return None };
            *word = ip.to_bits();
        }
        words.sort_unstable();
        let mut last = None;
        let mut at = 0;
        for &word in words.iter() {
            if last.replace(word) != Some(word) {
                octets[at..at + 4].copy_from_slice(&word.to_be_bytes());
                at += 4;
            }
        }
        Some((Self(octets), false))
    }

    /// The addresses, as the history of a window wants them.
    fn ips(self, is_v6: bool) -> ([u128; ADDRESSES_MAX], usize) {
        let mut ips = [0; ADDRESSES_MAX];
        if is_v6 {
            ips[0] = u128::from_be_bytes(self.0);
            return (ips, 1);
        }
        let mut len = 0;
        for octets in self.0.as_chunks::<4>().0.iter().filter(|octets| **octets != [0; 4]) {
            ips[len] = bits_of(IpAddr::from(*octets));
            len += 1;
        }
        (ips, len)
    }
}

/// An observation that a quiet domain can hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<'a> {
    hash: u64,
    /// `None` if it only names servers.
    set: Option<Set>,
    is_v6: bool,
    is_authoritative: bool,
    host: &'a [u8],
    at_ms: u64,
    ttl_s: u32,
    observer: u32,
    client: u8,
    servers_hash: u32,
}

impl<'a> Plain<'a> {
    /// `None` if there is more to it than a quiet domain can hold.
    #[inline]
    pub(crate) fn of(observation: &Observation, batch: &'a Batch, key: u64) -> Option<Self> {
        let addresses = batch.addresses(observation);
        let is_special = observation.is_truncated
            || observation.special_use > 0
            || observation.zone.is_some()
            || observation.allow_mark.is_some()
            || batch.context(observation).is_some()
            || observation.asked != observation.host;
        let host_len = usize::from(observation.domain_at);
        if is_special || host_len > HOST_OCTETS_MAX || addresses.len() > ADDRESSES_MAX {
            return None;
        }
        let set = if addresses.is_empty() { None } else { Some(Set::of(addresses)?) };
        let servers = batch.servers(observation);
        Some(Self {
            hash: observation.domain_hash,
            set: set.map(|(set, _)| set),
            is_v6: set.is_some_and(|(_, is_v6)| is_v6),
            is_authoritative: observation.vantage == Vantage::Authoritative,
            host: batch.name(observation.host).get(..host_len)?,
            at_ms: observation.at.millis(),
            ttl_s: addresses.iter().map(|address| address.ttl_s).min().unwrap_or(0),
            observer: (hash_ip(observation.observer(), key) as u32).max(1),
            client: (hash_ip(observation.client, key) % 128) as u8,
            servers_hash: if servers.is_empty() { 0 } else { servers_hash(servers, batch, key) },
        })
    }
}

impl Quiet {
    /// The part that begins with this answer, beside the `others` of its domain. `None` if the answer
    /// has no addresses, or if the domain would have more than can lie here.
    pub(crate) fn new(first: &Plain<'_>, others: &[&Self]) -> Option<Self> {
        let is_new = |at: &usize| others[..*at].iter().all(|o| o.host() != others[*at].host());
        let hosts = (0..others.len()).filter(is_new).count();
        let is_new_host = others.iter().all(|other| other.host() != first.host);
        let number = others.iter().map(|other| other.number() + 1).max().unwrap_or(0);
        if hosts + usize::from(is_new_host) > HOSTS_MAX || number > NUMBER_MAX {
            return None;
        }
        let is_witnessed = others
            .iter()
            .any(|other| other.is_v6() == first.is_v6 && other.observers.contains(&first.observer));
        let at_s = (first.at_ms / 1_000) as u32;
        let mut host = [0; HOST_OCTETS_MAX];
        host.get_mut(..first.host.len())?.copy_from_slice(first.host);
        let mut clients = [CLIENT_NONE; CLIENTS_MAX];
        clients[0] = first.client;
        Some(Self {
            hash: [first.hash as u32, (first.hash >> 32) as u32],
            set: first.set?,
            host,
            first_s: at_s,
            seen_s: at_s,
            refreshed_s: at_s,
            expiries: [expiry_s(first.at_ms, first.ttl_s), 0],
            observers: [first.observer, 0],
            ttl: Ttl::of(first.ttl_s, (first.at_ms % 1_000) as u32),
            ttl_min: Ttl::of(first.ttl_s, first.host.len() as u32),
            servers_hash: first.servers_hash,
            refreshes: 1,
            responses: 1,
            clients,
            flags: (u8::from(first.is_v6) * IS_V6)
                | (u8::from(first.is_authoritative) * IS_AUTHORITATIVE)
                | (u8::from(is_witnessed) * IS_DOMAIN_WITNESSED)
                | (number * NUMBER_BIT),
        })
    }

    /// Whether an answer, or one that only names servers, is about this part.
    #[inline]
    pub(crate) fn is_of(&self, plain: &Plain<'_>) -> bool {
        plain.host == self.host() && (plain.set.is_none() || plain.is_v6 == self.is_v6())
    }

    /// Whether the name servers of an answer, if it names any, are those that are known here, if any
    /// are.
    #[inline]
    pub(crate) const fn agrees_on_servers(&self, plain: &Plain<'_>) -> bool {
        plain.servers_hash == self.servers_hash || plain.servers_hash == 0 || self.servers_hash == 0
    }

    /// Takes in what belongs to it. False, and nothing happened, if it cannot hold that: the set is
    /// another one, or there is no room.
    #[inline]
    pub(crate) fn take(&mut self, plain: &Plain<'_>) -> bool {
        let is_same = plain.set.is_none_or(|set| set == self.set)
            && plain.host == self.host()
            && plain.is_authoritative == self.is_authoritative()
            && self.agrees_on_servers(plain);
        let has_room = self.refreshes < u16::MAX
            && self.responses < u16::MAX
            && self.server_responses() < SERVER_RESPONSES_MAX;
        let place_of = |list: &[u32], value| list.iter().position(|&v| v == value || v == 0);
        let client = self.clients.iter().position(|&c| c == plain.client || c == CLIENT_NONE);
        let (Some(client), true) = (client, is_same && has_room) else { return false };
        if plain.set.is_some() {
            let Some(observer) = place_of(&self.observers, plain.observer) else { return false };
            let at_s = (plain.at_ms / 1_000) as u32;
            let expiry_s = expiry_s(plain.at_ms, plain.ttl_s);
            if self.expiries.iter().all(|e| *e == 0 || e.abs_diff(expiry_s) > EXPIRY_SLACK_S) {
                // A new fill; what has run out nobody can answer from any more.
                let is_over = |e: &u32| e.saturating_add(EXPIRY_SLACK_S) < at_s;
                let Some(place) = self.expiries.iter().position(is_over) else { return false };
                self.expiries[place] = expiry_s;
                self.refreshes += 1;
                self.refreshed_s = self.refreshed_s.max(at_s);
                self.ttl = Ttl::of(self.ttl.seconds().max(plain.ttl_s), self.ttl.beside());
            }
            self.observers[observer] = plain.observer;
            self.seen_s = self.seen_s.max(at_s);
            let ttl_min_s = self.ttl_min.seconds().min(plain.ttl_s);
            self.ttl_min = Ttl::of(ttl_min_s, self.ttl_min.beside());
            self.responses += 1;
        } else {
            let beside = self.ttl_min.beside() + (1 << HOST_LEN_BITS);
            self.ttl_min = Ttl::of(self.ttl_min.seconds(), beside);
        }
        self.clients[client] = plain.client;
        self.servers_hash = self.servers_hash.max(plain.servers_hash);
        true
    }

    /// The hash of the domain.
    pub(crate) const fn hash(&self) -> u64 {
        let [low, high] = self.hash;
        (high as u64) << 32 | low as u64
    }

    /// Whether the entry is used.
    pub(crate) const fn is_used(&self) -> bool {
        self.refreshes > 0
    }

    pub(crate) const fn is_v6(&self) -> bool {
        self.flags & IS_V6 != 0
    }

    const fn is_authoritative(&self) -> bool {
        self.flags & IS_AUTHORITATIVE != 0
    }

    pub(crate) const fn number(&self) -> u8 {
        self.flags / NUMBER_BIT
    }

    const fn host_len(&self) -> usize {
        (self.ttl_min.beside() & ((1 << HOST_LEN_BITS) - 1)) as usize
    }

    fn host(&self) -> &[u8] {
        &self.host[..self.host_len().min(HOST_OCTETS_MAX)]
    }

    /// Responses that only named servers, beside the others.
    const fn server_responses(&self) -> u32 {
        self.ttl_min.beside() >> HOST_LEN_BITS
    }

    const fn first_ms(&self) -> u64 {
        self.first_s as u64 * 1_000 + self.ttl.beside() as u64
    }

    fn pour(&self, window: &mut DomainWindow, key: u64) {
        let (ips, len) = self.set.ips(self.is_v6());
        let host_hash = hash_bytes(self.host(), key);
        let fill = Fill {
            host: self.host(),
            host_hash,
            ips: &ips[..len],
            is_v6: self.is_v6(),
            is_partial: false,
            is_authoritative: self.is_authoritative(),
            ttl_s: self.ttl.seconds(),
            at_ms: self.first_ms(),
            observer: self.observers[0],
            zone: ZONE_NONE,
            mark: MARK_NONE,
            key,
        };
        window.answers.resume(
            &fill,
            &Stretch {
                refreshed_s: self.refreshed_s,
                seen_s: self.seen_s,
                refreshes: u32::from(self.refreshes),
                responses: u32::from(self.responses),
                ttl_min_s: self.ttl_min.seconds(),
                expiries: self.expiries,
                other_observer: self.observers[1],
                is_domain_witnessed: self.flags & IS_DOMAIN_WITNESSED != 0,
            },
        );
        window.last_ms = window.last_ms.max(u64::from(self.seen_s) * 1_000);
        let responses = u32::from(self.responses) + self.server_responses();
        window.responses = window.responses.saturating_add(responses);
        if self.is_authoritative() {
            window.authoritative = window.authoritative.saturating_add(responses);
        }
        window.names |= 1 << (host_hash % 128);
        for client in self.clients.iter().filter(|client| **client != CLIENT_NONE) {
            window.clients |= 1 << client;
        }
        if window.servers_hash == 0 {
            window.servers_hash = self.servers_hash;
        }
        window.qtype = if self.is_v6() { 28 } else { 1 };
    }
}

/// The window of a domain that was quiet until now; `None` of nothing.
pub(crate) fn resume(name: &[u8], mut quiets: Vec<Quiet>, key: u64) -> Option<DomainWindow> {
    quiets.sort_by_key(|quiet| (quiet.number(), quiet.first_ms()));
    let mut window = DomainWindow::new(name, quiets.first()?.first_ms());
    quiets.iter().for_each(|quiet| quiet.pour(&mut window, key));
    Some(window)
}

/// Quiet domains in blocks, so that growing moves none of them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Slab {
    blocks: Vec<Box<[Quiet]>>,
    free: Vec<u32>,
}

/// Entries of a block: so many that where the blocks lie stays in a near cache, and few enough that what
/// is free of the last is little.
const BLOCK: usize = 128;

/// Bytes of a block and of the pointer to it.
const BLOCK_BYTES: usize = BLOCK * size_of::<Quiet>() + size_of::<Box<[Quiet]>>();

impl Slab {
    pub(crate) fn get(&self, at: u32) -> Option<&Quiet> {
        self.blocks.get(at as usize / BLOCK)?.get(at as usize % BLOCK)
    }

    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut Quiet> {
        self.blocks.get_mut(at as usize / BLOCK)?.get_mut(at as usize % BLOCK)
    }

    /// Has a place fetched into the nearest cache.
    #[inline]
    pub(crate) fn fetch(&self, at: u32) {
        if let Some(quiet) = self.get(at) {
            fetch(quiet);
        }
    }

    /// Places there are, used or free.
    pub(crate) fn places(&self) -> u32 {
        (self.blocks.len() * BLOCK) as u32
    }

    pub(crate) fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES + self.free.capacity() * size_of::<u32>()
    }

    /// How many parts it can hold in so many bytes.
    pub(crate) const fn parts_in(bytes: usize) -> usize {
        // Its list of free places grows by more than it has to.
        const FREE_BYTES: usize = 4 * BLOCK * size_of::<u32>();
        bytes.saturating_sub(FREE_BYTES) / BLOCK_BYTES * BLOCK
    }

    /// Bytes it will have with one block more.
    pub(crate) fn bytes_grown(&self) -> usize {
        self.bytes() + BLOCK_BYTES
    }

    /// Whether a further one would take more memory.
    pub(crate) const fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Whether it could have come about; see [`crate::Table::load`].
    pub(crate) fn is_sound(&self) -> bool {
        let places = self.blocks.len() * BLOCK;
        let used = |quiet: &&Quiet| quiet.is_used();
        let is_free = |at: &u32| self.get(*at).is_some_and(|quiet| !quiet.is_used());
        let is_whole = |quiet: &Quiet| quiet.host_len() <= HOST_OCTETS_MAX;
        let quiets = || self.blocks.iter().flat_map(|block| block.iter());
        self.blocks.iter().all(|block| block.len() == BLOCK)
            && places <= 1 << 30
            && quiets().filter(used).all(is_whole)
            && self.free.len() + quiets().filter(used).count() == places
            && self.free.iter().all(is_free)
    }

    pub(crate) fn insert(&mut self, quiet: Quiet) -> u32 {
        if self.free.is_empty() {
            let places = self.places();
            self.blocks.push(vec![Quiet::default(); BLOCK].into());
            self.free.extend((places..places + BLOCK as u32).rev());
        }
        let at = self.free.pop().unwrap_or_default();
        if let Some(place) = self.get_mut(at) {
            *place = quiet;
        }
        // The next one is taken soon, and nobody had a reason to look there.
        if let Some(&next) = self.free.last() {
            self.fetch(next);
        }
        at
    }

    pub(crate) fn remove(&mut self, at: u32) -> Option<Quiet> {
        let quiet = std::mem::take(self.get_mut(at).filter(|quiet| quiet.is_used())?);
        self.free.push(at);
        Some(quiet)
    }
}
