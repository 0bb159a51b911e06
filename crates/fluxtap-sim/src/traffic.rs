//! Who asks what, and when.

use std::net::IpAddr;
use std::ops::Range;

use fluxtap_wire::{Name, Rtype};

use crate::frame::Endpoint;
use crate::random::Random;
use crate::world::{DomainId, World, child, push_base36};

/// A recursive resolver between the clients and the world.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// Its IPv4 address, from which it answers IPv4 clients and asks IPv4 servers.
    pub v4: IpAddr,
    /// Its IPv6 address when it is dual-stack; the cache behind both is one.
    pub v6: Option<IpAddr>,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Whether it leaves out NS and glue that were not asked for, as most do today.
    pub minimal: bool,
    /// Caches behind its addresses, as of a farm with one address; each question gets to any.
    pub caches: u8,
}

/// Where the traffic is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Between clients and resolvers: recursion available, TTLs that count down.
    Below,
    /// Between resolvers and authorities: whole TTLs, one exchange for each set that a cache
    /// lacked, referrals from the parent zones.
    Above,
}

/// Answers that somebody forges for whoever asks about his victims. For each question there is one
/// with a wrong id that comes before the true answer, and one that nobody asked for; from who can
/// read the questions there is a third, with everything right, that comes behind the true answer.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// The domains.
    pub victims: Range<DomainId>,
    /// Index of the IPv4 pool that the forged addresses are from.
    pub pool: usize,
    /// Addresses in a forged answer.
    pub addresses: u32,
    /// TTL of the forged answers.
    pub ttl_s: u32,
    /// Whether the forger reads the questions.
    pub is_on_path: bool,
}

/// A host with a stub resolver.
#[derive(Clone, Debug)]
pub struct Client {
    /// IPv4 address.
    pub v4: IpAddr,
    /// IPv6 address; used only towards a dual-stack resolver.
    pub v6: Option<IpAddr>,
    /// Share of its questions that go over IPv6 where it could.
    pub ipv6_share: f64,
    /// Hardware address.
    pub mac: [u8; 6],
    /// 802.1Q VLAN on the mirrored link.
    pub vlan: Option<u16>,
    /// Index of its resolver.
    pub resolver: usize,
    /// Sends EDNS.
    pub edns: bool,
    /// Asks for signatures (needs EDNS).
    pub dnssec_ok: bool,
    /// Mixes upper and lower case in names (0x20).
    pub mixes_case: bool,
    /// Gets IPv4 addresses mapped into IPv6 (DNS64, RFC 6147).
    pub dns64: bool,
}

/// A stream of questions about a domain, or about the population.
#[derive(Clone, Debug)]
pub struct Asker {
    /// What it is about.
    pub about: About,
    /// Which names.
    pub names: Names,
    /// Share of the questions for a name that does not exist in an ordinary zone.
    pub missing_share: f64,
    /// Types asked, by weight.
    pub qtypes: Vec<(Rtype, u32)>,
    /// Indexes of the clients that ask, all equally often.
    pub clients: Range<usize>,
    /// When.
    pub pace: Pace,
}

/// Subject of a stream of questions.
#[derive(Clone, Copy, Debug)]
pub enum About {
    /// One domain.
    Domain(DomainId),
    /// The population, few domains often and many seldom (Zipf).
    Popular,
    /// The population, each in its turn, so that every domain is asked about.
    Sweep,
}

/// How the asked names are made.
#[derive(Clone, Debug)]
pub enum Names {
    /// The apex (empty) or labels below it; each is asked half as often as the one before.
    Hosts(&'static [&'static str]),
    /// A random label of 6 to 12 characters.
    Random,
    /// `prefix` and a number below `count`.
    Numbered {
        /// Start of the label.
        prefix: &'static str,
        /// How many there are.
        count: u32,
    },
    /// `prefix` and an address of a pool, spelled with hyphens.
    Spelled {
        /// Start of the label.
        prefix: &'static str,
        /// Index of an IPv4 pool.
        pool: usize,
    },
    /// The octets of an address of a pool as labels, in reverse.
    Reversed {
        /// Index of an IPv4 pool.
        pool: usize,
    },
}

/// When questions are asked.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Every `period_s` seconds, shifted by up to `jitter` of it each time, as malware calls home.
    Beacon {
        /// Mean seconds between questions.
        period_s: f64,
        /// Largest shift as a share of the period, 0 to 1.
        jitter: f64,
    },
    /// At random, as people do (Poisson).
    Poisson {
        /// Mean number of questions in an hour.
        per_hour: f64,
    },
}

impl Pace {
    /// Seconds until the first question: somewhere within the first gap.
    pub(crate) fn start_s(self, random: &mut Random) -> f64 {
        match self {
            Self::Beacon { period_s, .. } => period_s * random.unit(),
            Self::Poisson { .. } => self.gap_s(random),
        }
    }

    /// Seconds from one question to the next.
    pub(crate) fn gap_s(self, random: &mut Random) -> f64 {
        match self {
            Self::Beacon { period_s, jitter } => {
                period_s * (1.0 + jitter * (2.0 * random.unit() - 1.0))
            }
            Self::Poisson { per_hour } => random.exponential() * 3600.0 / per_hour,
        }
    }
}

impl Names {
    /// The next name to ask for at or below `apex`.
    pub(crate) fn draw(&self, world: &World, apex: &Name, random: &mut Random) -> Name {
        match self {
            Self::Hosts(hosts) => {
                let index = (random.bits().trailing_zeros() as usize).min(hosts.len() - 1);
                match hosts[index] {
                    "" => *apex,
                    host => child(host.as_bytes(), apex),
                }
            }
            Self::Random => child(&random_label(random, 6, 12), apex),
            Self::Numbered { prefix, count } => {
                let number = random.below(u64::from(*count));
                child(format!("{prefix}{number}").as_bytes(), apex)
            }
            Self::Spelled { prefix, pool } => {
                let [a, b, c, d] = pick_v4(world, *pool, random);
                child(format!("{prefix}{a}-{b}-{c}-{d}").as_bytes(), apex)
            }
            Self::Reversed { pool } => {
                let octets = pick_v4(world, *pool, random);
                octets.iter().fold(*apex, |name, octet| child(octet.to_string().as_bytes(), &name))
            }
        }
    }
}

/// A name of letters and digits that no rule of an ordinary zone fits.
pub(crate) fn missing_name(apex: &Name, random: &mut Random) -> Name {
    child(&random_label(random, 8, 14), apex)
}

fn random_label(random: &mut Random, octets_min: usize, octets_max: usize) -> Vec<u8> {
    let length = octets_min + random.below((octets_max - octets_min + 1) as u64) as usize;
    let mut label = Vec::with_capacity(32);
    push_base36(&mut label, random.bits());
    // 64 bits give 12 or 13 digits; a second number covers small ones.
    push_base36(&mut label, random.bits());
    label.truncate(length);
    label
}

fn pick_v4(world: &World, pool: usize, random: &mut Random) -> [u8; 4] {
    let addresses = world.pool(pool).addresses();
    match addresses[random.below(addresses.len() as u64) as usize] {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(ip) => panic!("scenario: got {ip} in pool {pool}, expected IPv4 addresses"),
    }
}

/// Both ends of a question, client first; over IPv6 when the client has it and chance says so.
pub(crate) fn ends(client: &Client, resolver: &Resolver, random: &mut Random) -> [Endpoint; 2] {
    let port = 1024 + random.below(64_512) as u16;
    let (from, to) = match (client.v6, resolver.v6) {
        (Some(from), Some(to)) if random.chance(client.ipv6_share) => (from, to),
        _ => (client.v4, resolver.v4),
    };
    [Endpoint { mac: client.mac, ip: from, port }, Endpoint { mac: resolver.mac, ip: to, port: 53 }]
}

/// Both ends of a resolver's own question, the resolver first.
pub(crate) fn upstream_ends(
    resolver: &Resolver,
    server: IpAddr,
    random: &mut Random,
) -> [Endpoint; 2] {
    let port = 1024 + random.below(64_512) as u16;
    let ip = match (server, resolver.v6) {
        (IpAddr::V6(_), Some(v6)) => v6,
        _ => resolver.v4,
    };
    [
        Endpoint { mac: resolver.mac, ip, port },
        Endpoint { mac: UPSTREAM_ROUTER, ip: server, port: 53 },
    ]
}

/// Hardware address of the router behind which all authorities are.
const UPSTREAM_ROUTER: [u8; 6] = [0x02, 0x01, 0, 0, 0, 1];
