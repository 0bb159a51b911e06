//! What the authoritative side of a domain does, as parameters.
//!
//! Flux and look-alikes are the same few mechanisms with other numbers: a set of addresses drawn
//! from a pool, standing still, rotating by the clock or changing with every fetch. So a detector
//! cannot learn the generator's code path instead of the behaviour.
//!
//! Every answer is a pure function of seed, domain, owner and the time at which a cache fetched it.
//! Nothing is kept between answers, which is what makes a million domains cheap.

use std::net::IpAddr;

use fluxtap_wire::Name;

use crate::address::Pool;
use crate::random::{mix, scale};

/// The parameters that the domains of one kind share.
#[derive(Clone, Debug)]
pub struct Family {
    /// Name in the truth file.
    pub name: &'static str,
    /// What a detector should say.
    pub truth: Truth,
    /// One line for the truth file: what is special, no tab in it.
    pub notes: &'static str,
    /// What is at which name. The first rule whose pattern fits counts; without one the name does
    /// not exist.
    pub rules: Vec<Rule>,
    /// The zone's name servers.
    pub delegation: Delegation,
    /// DNSSEC: signatures for those who ask for them, keys at the apex, NSEC for what is missing.
    pub signed: bool,
    /// An HTTPS record (type 65) wherever there are addresses.
    pub https: bool,
}

/// What a detector should say about a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Fast flux of this kind.
    Flux(Kind),
    /// No flux, however much it may look like it.
    Benign,
    /// A provider's zone that is only reached through aliases: no row in the truth file.
    Scenery,
}

/// Kind of flux, by the names that alerts use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The addresses of the domain rotate.
    Single,
    /// The addresses of its name servers rotate as well.
    Double,
    /// The addresses of its name servers rotate, its own do not.
    NameServers,
    /// One rented address at a time, replaced some times a day.
    Rotation,
}

impl Kind {
    /// The word in the truth file, which is the one in `fluxtap.flux.kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single_flux",
            Self::Double => "double_flux",
            Self::NameServers => "ns_flux",
            Self::Rotation => "ip_rotation",
        }
    }
}

/// Data at the owners that fit a pattern.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which owners.
    pub owner: Owners,
    /// What is there.
    pub data: Data,
}

/// A pattern of owner names within a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The apex.
    Apex,
    /// One label directly below the apex.
    Label(&'static str),
    /// Every name below the apex.
    Below,
    /// The apex and every name below.
    Any,
}

impl Owners {
    /// Whether `owner`, which is at or below `apex`, fits.
    pub(crate) fn fit(self, owner: &Name, apex: &Name) -> bool {
        let (owner, apex) = (owner.as_wire(), apex.as_wire());
        let above = owner.len() - apex.len();
        match self {
            Self::Apex => above == 0,
            Self::Label(label) => above == label.len() + 1 && owner[1..above] == *label.as_bytes(),
            Self::Below => above > 0,
            Self::Any => true,
        }
    }
}

/// What is at an owner.
#[derive(Clone, Debug)]
pub enum Data {
    /// Addresses; those of IPv4 pools answer A, those of IPv6 pools AAAA.
    Addresses {
        /// The parts the set is made of.
        rotas: Vec<Rota>,
        /// TTL of the set.
        ttl: Ttl,
    },
    /// Addresses that for a share of the time are others: a site that fails over to its spare, or
    /// one whose name is poisoned in a cache.
    Either {
        /// What is there most of the time.
        usual: Vec<Rota>,
        /// What is there else; of the same address families.
        other: Vec<Rota>,
        /// Seconds for which it stays at one of them.
        window_s: u32,
        /// Windows in a thousand with the other.
        other_per_mille: u32,
        /// Whether each cache has windows of its own.
        by_resolver: bool,
        /// TTL of both.
        ttl: Ttl,
    },
    /// An alias (CNAME).
    Alias {
        /// Where it leads.
        targets: Vec<Target>,
        /// Seconds after which the next target takes its turn; 0 for always the first.
        window_s: u32,
        /// TTL of the alias.
        ttl: Ttl,
    },
    /// The IPv4 address that the owner's first label spells in decimal, as access providers name
    /// their customers.
    Spelled {
        /// TTL of the address.
        ttl: Ttl,
    },
    /// A blocking list (RFC 5782): 127.0.0.x for a share of the names, the others do not exist.
    Listed {
        /// Share of the names that is listed, in percent.
        listed_pct: u32,
        /// TTL of an entry.
        ttl: Ttl,
    },
}

/// Target of an alias.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// The apex of the same domain.
    Apex,
    /// The asked name itself, put below `zone` as some providers do.
    Under(&'static str),
    /// A label of `prefix` and a code derived from the owner, below `zone`.
    Coded {
        /// Start of the label.
        prefix: &'static str,
        /// The provider's zone.
        zone: &'static str,
    },
}

/// TTL in seconds: up to `max_s`, down to `max_s - spread_s` by chance.
#[derive(Clone, Copy, Debug)]
pub struct Ttl {
    /// Largest value.
    pub max_s: u32,
    /// How far below it can be.
    pub spread_s: u32,
}

impl Ttl {
    /// Always the same.
    pub const fn fixed(ttl_s: u32) -> Self {
        Self { max_s: ttl_s, spread_s: 0 }
    }

    pub(crate) fn at(self, key: u64, fetched_us: u64) -> u32 {
        let below = scale(mix(key, fetched_us), u64::from(self.spread_s) + 1);
        self.max_s - below as u32
    }
}

/// The zone's NS set and where those hosts are.
#[derive(Clone, Debug)]
pub struct Delegation {
    /// Names of the servers.
    pub names: NsNames,
    /// TTL of the NS set.
    pub ttl: Ttl,
    /// Addresses of a name-server host.
    pub glue: Rota,
    /// TTL of those addresses.
    pub glue_ttl: Ttl,
}

/// Names of name servers.
#[derive(Clone, Copy, Debug)]
pub enum NsNames {
    /// `ns1` and `ns2` below one of `count` DNS providers.
    Provider {
        /// Number of providers among which the domains are spread.
        count: u32,
    },
    /// `ns1` to `nsN` below the domain itself.
    Own {
        /// Names in an NS set, at most 8.
        shown: u32,
        /// N.
        of: u32,
        /// Seconds after which the next names take their turn; 0 for never.
        window_s: u32,
    },
}

/// How a set of addresses is chosen from a pool.
#[derive(Clone, Copy, Debug)]
pub struct Rota {
    /// Index of the pool in the world.
    pub pool: usize,
    /// Members of the pool that one domain (or owner, see `by_owner`) uses, from a place in the
    /// pool of its own; at most the pool's size.
    pub members: u32,
    /// Addresses in a set, at most 32.
    pub pick: u32,
    /// When the set changes.
    pub turn: Turn,
    /// Whether members are machines that people switch on and off: each is on for 4 to 12 hours a
    /// day and only those that are on get into a set.
    pub diurnal: bool,
    /// Whether each owner has a set of its own; else the domain has one.
    pub by_owner: bool,
    /// Whether each resolver gets a set of its own, as from a service with regions.
    pub by_resolver: bool,
    /// Members in a group from which a whole set comes, such as those of one owner (see
    /// [`Pool::grouped`]); 0 for no groups. Divides `members` and the pool, and is no less than
    /// `pick`.
    pub grouped: u32,
}

/// When a set of addresses changes.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    /// Never: the first `pick` members.
    Never,
    /// With every fetch: a random choice.
    Fetch,
    /// By the clock.
    Clock {
        /// Seconds between changes.
        window_s: u32,
        /// Addresses replaced at a change; `pick` for all of them.
        replaced: u32,
    },
}

/// Draws for one place of a set before whoever is next in the pool gets it.
const DRAWS_PER_PLACE: u64 = 24;

/// When and for whom a set is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetch {
    pub(crate) at_us: u64,
    pub(crate) cache: u8,
}

impl Rota {
    /// All `pick` members, always on, always the same.
    pub const fn fixed(pool: usize, pick: u32) -> Self {
        Self {
            pool,
            members: pick,
            pick,
            turn: Turn::Never,
            diurnal: false,
            by_owner: true,
            by_resolver: false,
            grouped: 0,
        }
    }

    /// Calls `each` with every address of the set that a fetch gets. `salt` is the domain's,
    /// `owner` a hash of the owner name.
    pub(crate) fn select(
        &self,
        pool: &Pool,
        salt: u64,
        owner: u64,
        fetch: Fetch,
        mut each: impl FnMut(IpAddr),
    ) {
        let addresses = pool.addresses();
        let mut key = mix(salt, self.pool as u64);
        if self.by_owner {
            key = mix(key, owner);
        }
        let group = self.grouped.max(1) as usize;
        let start = scale(key, addresses.len() as u64) as usize / group * group;
        if self.by_resolver {
            key = mix(key, u64::from(fetch.cache));
        }
        let mut chosen = [u32::MAX; 32];
        for place in 0..self.pick as usize {
            let member = match self.turn {
                Turn::Never => place as u32,
                _ => self.member(key, fetch, place as u64, &chosen[..place]),
            };
            chosen[place] = member;
            each(addresses[(start + member as usize) % addresses.len()]);
        }
    }

    /// The member in a place of the set: drawn again while it is offline or already chosen.
    fn member(&self, key: u64, fetch: Fetch, place: u64, chosen: &[u32]) -> u32 {
        let (sequence, born_us) = match self.turn {
            Turn::Clock { window_s, replaced } => {
                let window_us = u64::from(window_s) * 1_000_000;
                // Domains do not change in step.
                let shifted_us = fetch.at_us + scale(mix(key, 1), window_us);
                let epoch = shifted_us / window_us;
                (epoch * u64::from(replaced) + place, epoch * window_us)
            }
            _ => (mix(fetch.at_us, u64::from(fetch.cache)) ^ place, fetch.at_us),
        };
        let draw = mix(key, sequence);
        let (first, among) = match self.grouped {
            0 => (0, self.members),
            group => {
                let drawn = mix(mix(key, 3), mix(born_us, u64::from(fetch.cache) * self.cached()));
                (scale(drawn, u64::from(self.members / group)) as u32 * group, group)
            }
        };
        let mut member = 0;
        for attempt in 0..DRAWS_PER_PLACE {
            member = first + scale(mix(draw, attempt), u64::from(among)) as u32;
            if !chosen.contains(&member)
                && (!self.diurnal || is_online(mix(key, 2), member, born_us))
            {
                return member;
            }
        }
        (0..among)
            .map(|step| first + (member - first + step) % among)
            .find(|candidate| !chosen.contains(candidate))
            .unwrap_or(member)
    }
}

impl Rota {
    /// 1 if each cache's fetch is a draw of its own, else 0.
    const fn cached(&self) -> u64 {
        matches!(self.turn, Turn::Fetch) as u64
    }
}

/// Whether a machine is switched on: once a day, from an hour of its own, for 4 to 12 hours.
fn is_online(key: u64, member: u32, at_us: u64) -> bool {
    const DAY_S: u64 = 86_400;
    let habits = mix(key, u64::from(member));
    let (from_s, for_s) = (habits % DAY_S, 4 * 3600 + (habits >> 32) % (8 * 3600));
    (at_us / 1_000_000 + from_s) % DAY_S < for_s
}

/// Whether a window of a name is one of `per_mille` in a thousand.
pub(crate) fn is_other_window(key: u64, window_s: u32, per_mille: u32, fetch: Fetch) -> bool {
    let window = fetch.at_us / 1_000_000 / u64::from(window_s.max(1));
    scale(mix(mix(key, 4), window), 1000) < u64::from(per_mille)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::address::{Family as Ip, Wish, tests::StandIn};
    use crate::random::Random;

    fn pool(size: usize) -> Pool {
        let any = [(Wish::default(), 1)];
        Pool::draw(&StandIn, &mut Random::new(9, 9), Ip::V4, size, &any).unwrap()
    }

    fn set(rota: Rota, pool: &Pool, at_s: u64, cache: u8) -> BTreeSet<IpAddr> {
        let fetch = Fetch { at_us: at_s * 1_000_000, cache };
        let mut set = BTreeSet::new();
        rota.select(pool, 5, 6, fetch, |ip| {
            set.insert(ip);
        });
        set
    }

    #[test]
    fn sets_turn_as_their_rota_says() {
        let pool = pool(200);
        let rota = Rota { members: 200, by_owner: false, ..Rota::fixed(0, 5) };
        let check = |turn, common_after_window| {
            let rota = Rota { turn, ..rota };
            // The middle of a window: 300 s is the window of the clock rows.
            let start = (0..300).find(|s| set(rota, &pool, *s, 0) != set(rota, &pool, s + 1, 0));
            let at = start.map_or(0, |start| start + 1);
            let now = set(rota, &pool, at, 0);
            assert_eq!(now.len(), 5, "{turn:?}");
            let common = |at| now.intersection(&set(rota, &pool, at, 0)).count();
            assert_eq!(common(at + 300), common_after_window, "{turn:?}");
            common(at + 200)
        };
        assert_eq!(check(Turn::Never, 5), 5);
        assert_eq!(check(Turn::Clock { window_s: 300, replaced: 5 }, 0), 5);
        assert_eq!(check(Turn::Clock { window_s: 300, replaced: 1 }, 4), 5);
        assert!(check(Turn::Fetch, 0) < 5);
    }

    #[test]
    fn machines_come_and_go_within_a_day() {
        let pool = pool(100);
        let rota = Rota { members: 100, diurnal: true, turn: Turn::Fetch, ..Rota::fixed(0, 10) };
        let seen_in_hour = |hour: u64| -> BTreeSet<IpAddr> {
            (0..60).flat_map(|minute| set(rota, &pool, hour * 3600 + minute * 60, 0)).collect()
        };
        let (day, night) = (seen_in_hour(10), seen_in_hour(22));
        // 8 hours of 24 on average: a third of the pool, and hardly the same at the other time.
        assert!((20..55).contains(&day.len()), "{}", day.len());
        assert!(day.intersection(&night).count() < 12);
    }

    #[test]
    fn regions_owners_and_small_pools() {
        let pool = pool(40);
        let turn = Turn::Clock { window_s: 86_400, replaced: 2 };
        let rota = Rota { turn, members: 40, by_resolver: true, ..Rota::fixed(0, 2) };
        assert_ne!(set(rota, &pool, 50, 0), set(rota, &pool, 50, 1));
        assert_eq!(set(rota, &pool, 50, 1), set(rota, &pool, 60, 1));
        // A set as large as its members is all of them, whatever the draws.
        let all = Rota { turn: Turn::Fetch, members: 6, diurnal: true, ..Rota::fixed(0, 6) };
        assert_eq!(set(all, &pool, 77, 0).len(), 6);
    }

    #[test]
    fn a_grouped_set_comes_from_one_group() {
        let pool = pool(40);
        let place = |ip: &IpAddr| pool.addresses().iter().position(|known| known == ip).unwrap();
        for turn in [Turn::Fetch, Turn::Clock { window_s: 60, replaced: 3 }] {
            let rota = Rota { members: 40, turn, grouped: 4, ..Rota::fixed(0, 3) };
            let groups: BTreeSet<usize> = (0..100)
                .map(|minute| {
                    let set = set(rota, &pool, minute * 60, 0);
                    let groups: BTreeSet<usize> = set.iter().map(|ip| place(ip) / 4).collect();
                    assert_eq!((set.len(), groups.len()), (3, 1), "{set:?}");
                    *groups.first().unwrap()
                })
                .collect();
            assert!(groups.len() > 7, "{groups:?}");
        }
    }

    #[test]
    fn other_windows_come_as_often_as_they_should() {
        let others = |per_mille| {
            let at = |window: u64| Fetch { at_us: window * 60_000_000, cache: 0 };
            (0..10_000).filter(|&w| is_other_window(7, 60, per_mille, at(w))).count()
        };
        assert_eq!((others(0), others(1000)), (0, 10_000));
        assert!((150..250).contains(&others(20)), "{}", others(20));
    }

    #[test]
    fn owner_patterns() {
        let apex = Name::from_text("site.example").unwrap();
        let name = |text: &str| Name::from_text(text).unwrap();
        for (pattern, owner, expect) in [
            (Owners::Apex, "site.example", true),
            (Owners::Apex, "www.site.example", false),
            (Owners::Label("www"), "www.site.example", true),
            (Owners::Label("www"), "site.example", false),
            (Owners::Label("www"), "xww.site.example", false),
            (Owners::Label("www"), "www.www.site.example", false),
            (Owners::Below, "a.b.site.example", true),
            (Owners::Below, "site.example", false),
            (Owners::Any, "site.example", true),
        ] {
            assert_eq!(pattern.fit(&name(owner), &apex), expect, "{pattern:?} {owner}");
        }
    }
}
