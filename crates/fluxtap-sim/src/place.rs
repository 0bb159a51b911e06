//! What scenarios share: pools by kind of network, the usual resolvers and clients, ordinary sites.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fluxtap_intel::AddressClass;
use fluxtap_wire::{Rtype, Timestamp};

use crate::address::{AddressBook, Family as Ip, NoSuchAddress, Pool, Wish};
use crate::compose::rtype;
use crate::family::{
    Data, Delegation, Family, Kind, NsNames, Owners, Rota, Rule, Target, Truth, Ttl, Turn,
};
use crate::random::{Random, mix};
use crate::traffic::{Client, Resolver};
use crate::world::World;

/// Event time at which the scenarios begin: Monday 2 March 2026, 08:00 UTC.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_772_438_400);

/// Networks where bots are: access by far, some whose kind nobody knows, a few rented servers.
pub(crate) const BOTS: [(Wish, u32); 3] = [
    (Wish::class(AddressClass::Access), 85),
    (Wish::class(AddressClass::Unknown), 12),
    (Wish::class(AddressClass::Hosting), 3),
];

/// Networks of rented servers.
pub(crate) const SERVERS: [(Wish, u32); 1] = [(Wish::class(AddressClass::Hosting), 1)];

/// Networks of homes and offices.
pub(crate) const HOMES: [(Wish, u32); 1] = [(Wish::class(AddressClass::Access), 1)];

/// Types that people's machines ask for.
pub(crate) const USUAL_QTYPES: [(Rtype, u32); 5] =
    [(Rtype::A, 58), (Rtype::AAAA, 26), (rtype::HTTPS, 12), (rtype::DS, 2), (rtype::DNSKEY, 2)];

/// Addresses of networks in the given systems.
pub(crate) const fn systems(asns: &'static [u32]) -> Wish {
    Wish { class: None, countries: &[], asns }
}

/// Access networks in the given countries.
pub(crate) const fn homes_in(countries: &'static [&'static str]) -> Wish {
    Wish { countries, ..Wish::class(AddressClass::Access) }
}

/// A world under construction.
pub(crate) struct Place<'a> {
    pub(crate) world: World,
    book: &'a dyn AddressBook,
    seed: u64,
    /// Servers of ordinary sites, IPv4.
    pub(crate) servers: usize,
    /// The same, IPv6.
    pub(crate) servers_v6: usize,
}

impl<'a> Place<'a> {
    /// Starts a world with `servers` IPv4 addresses for ordinary sites and a quarter as many IPv6
    /// ones, which take long to find.
    pub(crate) fn new(
        seed: u64,
        book: &'a dyn AddressBook,
        servers: usize,
    ) -> Result<Self, NoSuchAddress> {
        let world = World::new(seed);
        let mut place = Self { world, book, seed, servers: 0, servers_v6: 0 };
        place.servers = place.pool(Ip::V4, servers, &SERVERS)?;
        place.servers_v6 = place.pool(Ip::V6, servers / 4, &SERVERS)?;
        Ok(place)
    }

    /// Draws a pool; each has a random sequence of its own.
    pub(crate) fn pool(
        &mut self,
        family: Ip,
        size: usize,
        wishes: &[(Wish, u32)],
    ) -> Result<usize, NoSuchAddress> {
        let pool = self.draw(family, size, wishes)?;
        Ok(self.world.add_pool(pool))
    }

    /// Draws a pool and keeps groups of `group` addresses of one autonomous system, in the order of
    /// the systems' numbers.
    pub(crate) fn grouped_pool(
        &mut self,
        family: Ip,
        size: usize,
        wishes: &[(Wish, u32)],
        group: usize,
    ) -> Result<usize, NoSuchAddress> {
        let pool = self.draw(family, size, wishes)?.grouped(self.book, group);
        Ok(self.world.add_pool(pool))
    }

    /// Draws a pool of `blocks` times `size` IPv4 addresses that lie next to each other.
    pub(crate) fn block_pool(
        &mut self,
        blocks: usize,
        wishes: &[(Wish, u32)],
        size: u32,
    ) -> Result<usize, NoSuchAddress> {
        let pool = self.draw(Ip::V4, blocks, wishes)?.in_blocks(size);
        Ok(self.world.add_pool(pool))
    }

    fn draw(&self, family: Ip, size: usize, wishes: &[(Wish, u32)]) -> Result<Pool, NoSuchAddress> {
        let number = self.world.pool_count() as u64;
        let mut random = Random::new(mix(self.seed, 0x706f_6f6c), number);
        Pool::draw(self.book, &mut random, family, size, wishes)
    }

    /// A family with the DNS of one of many providers, and nothing special about it.
    pub(crate) fn family(
        &self,
        name: &'static str,
        truth: Truth,
        notes: &'static str,
        rules: Vec<Rule>,
    ) -> Family {
        let delegation = Delegation {
            names: NsNames::Provider { count: 12 },
            ttl: Ttl::fixed(86_400),
            glue: Rota::fixed(self.servers, 1),
            glue_ttl: Ttl::fixed(86_400),
        };
        Family { name, truth, notes, rules, delegation, signed: false, https: false }
    }

    /// A family of single flux.
    pub(crate) fn flux(&self, name: &'static str, notes: &'static str, rules: Vec<Rule>) -> Family {
        self.family(name, Truth::Flux(Kind::Single), notes, rules)
    }

    /// A provider's zone that others' aliases lead to.
    pub(crate) fn zone(&mut self, apex: &str, rules: Vec<Rule>) {
        let family = self.family("provider_zone", Truth::Scenery, "", rules);
        let family = self.world.add_family(family);
        self.world.add_domain(apex, family);
    }

    /// Zones of providers of delivery and balancing, which sites' aliases lead to.
    pub(crate) fn add_delivery_zones(&mut self) -> Result<(), NoSuchAddress> {
        let edges = [(Wish::class(AddressClass::Access), 4), (systems(&[20_940]), 1)];
        let edges = self.pool(Ip::V4, 24, &edges)?;
        let turn = Turn::Clock { window_s: 600, replaced: 1 };
        let edges = Rota { members: 24, turn, by_resolver: true, ..Rota::fixed(edges, 2) };
        self.zone("akamaiedge.net", everywhere(vec![edges], Ttl::fixed(20)));
        let data = Data::Alias {
            targets: vec![Target::Coded { prefix: "e", zone: "dsca.akamaiedge.net" }],
            window_s: 0,
            ttl: Ttl::fixed(21_600),
        };
        self.zone("edgekey.net", vec![Rule { owner: Owners::Below, data }]);

        let amazon = self.pool(Ip::V4, 120, &[(systems(&[16_509]), 1)])?;
        let turn = Turn::Clock { window_s: 1800, replaced: 1 };
        let points = Rota { members: 40, turn, ..Rota::fixed(amazon, 4) };
        self.zone("cloudfront.net", everywhere(vec![points], Ttl::fixed(60)));
        let turn = Turn::Clock { window_s: 3600, replaced: 1 };
        let balancers = Rota { members: 12, turn, ..Rota::fixed(amazon, 8) };
        self.zone("elb.amazonaws.com", everywhere(vec![balancers], Ttl::fixed(60)));
        let fastly = self.pool(Ip::V4, 8, &[(systems(&[54_113]), 1)])?;
        self.zone("fastly.net", everywhere(vec![Rota::fixed(fastly, 4)], Ttl::fixed(30)));
        Ok(())
    }

    /// A family of sites whose `www` is an alias; with several targets they take turns.
    pub(crate) fn fronted(
        &self,
        name: &'static str,
        notes: &'static str,
        targets: Vec<Target>,
        window_s: u32,
        ttl_s: u32,
    ) -> Family {
        let data = Data::Alias { targets, window_s, ttl: Ttl::fixed(ttl_s) };
        let mut rules = hosts(&[Rota::fixed(self.servers, 1)], Ttl::fixed(3600));
        rules.insert(0, Rule { owner: Owners::Label("www"), data });
        self.family(name, Truth::Benign, notes, rules)
    }

    /// Ordinary sites with their weights: stable, several hosts each.
    pub(crate) fn ordinary_sites(&mut self) -> Vec<(usize, u32)> {
        let edges = Rota { members: 6, ..Rota::fixed(self.servers, 2) };
        let edge = vec![Rule { owner: Owners::Any, data: addresses(vec![edges], Ttl::fixed(60)) }];
        let edge = self.family("edge_zone", Truth::Scenery, "", edge);
        let edge = self.world.add_family(edge);
        self.world.add_domain("edge-delivery.example", edge);

        let both = [Rota::fixed(self.servers, 1), Rota::fixed(self.servers_v6, 1)];
        let notes = "stable addresses, one for each host";
        let plain = self.family("site", Truth::Benign, notes, hosts(&both[..1], Ttl::fixed(3600)));
        let modern = Family {
            https: true,
            ..self.family(
                "site_ipv6",
                Truth::Benign,
                "as site, with AAAA and HTTPS",
                hosts(&both, Ttl::fixed(300)),
            )
        };
        let signed = Family {
            signed: true,
            ..self.family(
                "site_signed",
                Truth::Benign,
                "as site, DNSSEC",
                hosts(&both, Ttl::fixed(1800)),
            )
        };
        let mut rules = hosts(&both[..1], Ttl::fixed(600));
        let targets = vec![Target::Coded { prefix: "c", zone: "edge-delivery.example" }];
        let alias = Data::Alias { targets, window_s: 0, ttl: Ttl::fixed(300) };
        rules.insert(0, Rule { owner: Owners::Label("www"), data: alias });
        let notes = "www is an alias into the zone of a delivery network";
        let delivered = self.family("site_delivered", Truth::Benign, notes, rules);
        let weighted = [(plain, 55), (modern, 20), (delivered, 20), (signed, 5)];
        weighted.map(|(family, weight)| (self.world.add_family(family), weight)).to_vec()
    }
}

/// Host names of ordinary sites, the most asked first.
pub(crate) const SITE_HOSTS: [&str; 7] = ["www", "", "mail", "api", "img", "login", "static"];

/// Addresses at the apex and at each of [`SITE_HOSTS`].
pub(crate) fn hosts(rotas: &[Rota], ttl: Ttl) -> Vec<Rule> {
    let owner = |host: &&'static str| match *host {
        "" => Owners::Apex,
        host => Owners::Label(host),
    };
    let rule = |owner| Rule { owner, data: addresses(rotas.to_vec(), ttl) };
    SITE_HOSTS.iter().map(owner).map(rule).collect()
}

pub(crate) const fn addresses(rotas: Vec<Rota>, ttl: Ttl) -> Data {
    Data::Addresses { rotas, ttl }
}

/// One set for every name of the domain.
pub(crate) fn everywhere(rotas: Vec<Rota>, ttl: Ttl) -> Vec<Rule> {
    vec![Rule { owner: Owners::Any, data: addresses(rotas, ttl) }]
}

/// Bots: `pick` of those of `members` that are on.
pub(crate) const fn bots(pool: usize, members: u32, pick: u32, turn: Turn) -> Rota {
    let diurnal = true;
    Rota { members, turn, diurnal, by_owner: false, ..Rota::fixed(pool, pick) }
}

/// A set that is replaced as a whole every `window_s` seconds.
pub(crate) const fn replaced_every(window_s: u32, pick: u32) -> Turn {
    Turn::Clock { window_s, replaced: pick }
}

/// Six name servers on bots, three at a time; the set turns every `window_s` seconds as do the
/// hosts' addresses.
pub(crate) const fn fluxing_servers(pool: usize, window_s: u32, glue_ttl_s: u32) -> Delegation {
    let glue = Rota { by_owner: true, ..bots(pool, 700, 1, replaced_every(window_s, 1)) };
    let names = NsNames::Own { shown: 3, of: 6, window_s };
    let (ttl, glue_ttl) = (Ttl::fixed(window_s), Ttl::fixed(glue_ttl_s));
    Delegation { names, ttl, glue, glue_ttl }
}

/// Two resolvers: one with IPv4 alone that adds NS and glue, one with both families that does not.
pub(crate) fn resolvers() -> Vec<Resolver> {
    let mac = |last| [0x02, 0x53, 0, 0, 0, last];
    vec![
        Resolver {
            v4: Ipv4Addr::new(10, 20, 0, 53).into(),
            v6: None,
            mac: mac(1),
            minimal: false,
            caches: 1,
        },
        Resolver {
            v4: Ipv4Addr::new(10, 20, 0, 54).into(),
            v6: Some(network_v6(0, 0x54)),
            mac: mac(2),
            minimal: true,
            caches: 1,
        },
    ]
}

/// `count` resolvers, at most 16. Every second is dual-stack and leaves out NS and glue; every
/// third has four caches behind its address.
pub(crate) fn many_resolvers(count: u8) -> Vec<Resolver> {
    let resolver = |index: u8| Resolver {
        v4: Ipv4Addr::new(10, 20, 0, 60 + index).into(),
        v6: (index % 2 == 1).then(|| network_v6(0, 0x60 + u16::from(index))),
        mac: [0x02, 0x53, 0, 0, 0, 0x60 + index],
        minimal: index % 2 == 1,
        caches: if index % 3 == 2 { 4 } else { 1 },
    };
    (0..count).map(resolver).collect()
}

/// `count` clients, the first half at the first resolver. `ipv6_share` is the share of all
/// questions that go over IPv6, at most a half.
pub(crate) fn clients(count: usize, ipv6_share: f64) -> Vec<Client> {
    (0..count).map(|index| client(index, usize::from(index >= count / 2), ipv6_share)).collect()
}

/// A client; only those of odd resolvers have IPv6, and use it for twice `ipv6_share`.
pub(crate) fn client(index: usize, resolver: usize, ipv6_share: f64) -> Client {
    let [high, low] = (index as u16 + 256).to_be_bytes();
    Client {
        v4: Ipv4Addr::new(10, 20, high, low).into(),
        v6: (resolver % 2 == 1).then(|| network_v6(1, index as u16)),
        ipv6_share: ipv6_share * 2.0,
        mac: [0x02, 0x20, 0, 0, high, low],
        vlan: (index % 4 == 1).then_some(120),
        resolver,
        edns: !index.is_multiple_of(7),
        dnssec_ok: index % 5 == 2,
        mixes_case: index % 10 == 3,
        dns64: false,
    }
}

/// An address of the simulated site: a unique local one (RFC 4193).
fn network_v6(subnet: u16, host: u16) -> IpAddr {
    Ipv6Addr::new(0xfd5c, 0x7a31, 0x09e4, subnet, 0, 0, 0, host).into()
}
