//! What resembles flux and is none, many domains of each.
//!
//! None of the names below is in the curated lists, but for the zones of [`Place`] that aliases
//! lead to and the one pool of time servers: a look-alike that only its name saves proves nothing.
//!
//! [`Place`]: crate::place::Place

use fluxtap_intel::AddressClass;

use crate::address::{Family as Ip, NoSuchAddress, Wish};
use crate::crowd::{A, Asking, BOTH, Crowd};
use crate::family::{Data, Family, Owners, Rota, Rule, Target, Truth, Ttl, Turn};
use crate::place::{BOTS, HOMES, SERVERS, everywhere, hosts, replaced_every, systems};
use crate::traffic::{Forgery, Names};

/// Who runs volunteer services: rented servers, homes, universities, and who knows.
const VOLUNTEERS: [(Wish, u32); 4] = [
    (Wish::class(AddressClass::Hosting), 45),
    (Wish::class(AddressClass::Access), 25),
    (Wish::class(AddressClass::Unknown), 18),
    (Wish::class(AddressClass::Education), 12),
];

/// Servers of few mid-size providers, as a service that rents from several has them.
const SEVERAL_PROVIDERS: [u32; 8] = [24940, 16276, 14061, 20473, 63949, 9009, 60068, 51167];

/// Adds every family that shows within a day.
pub(crate) fn add_all(crowd: &mut Crowd<'_>) -> Result<Vec<Forgery>, NoSuchAddress> {
    crowd.place.add_delivery_zones()?;
    add_pools(crowd)?;
    add_delivery(crowd)?;
    add_balancers(crowd)?;
    add_customers(crowd)?;
    add_moves(crowd)?;
    add_attacked(crowd)
}

/// Adds the families whose sets change in hours or days.
pub(crate) fn add_week(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    crowd.place.add_delivery_zones()?;
    add_pools(crowd)?;
    add_balancers(crowd)?;
    add_customers(crowd)?;
    add_moves(crowd)
}

/// Families for a large population, with the share of it in a million domains. The shares are
/// assumptions: nobody publishes how common these are.
pub(crate) fn in_population(crowd: &mut Crowd<'_>) -> Result<Vec<(usize, u32)>, NoSuchAddress> {
    let pools = Services::draw(crowd)?;
    let balancers = Balancers::draw(crowd)?;
    let seldom = replaced_every(43_200, 1);
    let homes = crowd.place.pool(Ip::V4, 8_000, &HOMES)?;
    let home = Rota { members: 4, turn: seldom, by_owner: false, ..Rota::fixed(homes, 1) };
    let home = everywhere(vec![home], Ttl::fixed(60));
    let notes = "one home with a name of its own, new address twice a day, TTL 60";
    let home = crowd.place.family("home_server", Truth::Benign, notes, home);
    let rows = [
        (home, 5_000),
        (pools.volunteers(crowd), 50),
        (pools.vpn(crowd), 100),
        (pools.chat(crowd), 100),
        (pools.trackers(crowd), 100),
        (balancers.one_cloud(crowd), 10_000),
        (balancers.autoscaling(crowd), 3_000),
        (balancers.several_clouds(crowd), 1_000),
        (balancers.regional(crowd), 2_000),
        (balancers.own_delivery(crowd), 100),
        (failover(crowd), 1_000),
        (migration(crowd), 2_000),
    ];
    Ok(rows.into_iter().map(|(f, weight)| (crowd.place.world.add_family(f), weight)).collect())
}

fn benign(
    crowd: &Crowd<'_>,
    name: &'static str,
    notes: &'static str,
    rota: Rota,
    ttl_s: u32,
) -> Family {
    crowd.place.family(name, Truth::Benign, notes, everywhere(vec![rota], Ttl::fixed(ttl_s)))
}

/// Many hosts of many owners behind one name, on purpose.
struct Services {
    volunteers: usize,
    servers: usize,
    few_providers: usize,
}

impl Services {
    fn draw(crowd: &mut Crowd<'_>) -> Result<Self, NoSuchAddress> {
        let place = &mut crowd.place;
        Ok(Self {
            volunteers: place.pool(Ip::V4, 4_000, &VOLUNTEERS)?,
            servers: place.pool(Ip::V4, 2_000, &SERVERS)?,
            few_providers: place.pool(Ip::V4, 2_000, &[(systems(&SEVERAL_PROVIDERS), 1)])?,
        })
    }

    fn volunteers(&self, crowd: &Crowd<'_>) -> Family {
        let notes = "time servers of volunteers, 4 of 1500 at random, TTL 130, zone not listed";
        let rota = Rota { members: 1500, turn: Turn::Fetch, ..Rota::fixed(self.volunteers, 4) };
        benign(crowd, "volunteers", notes, rota, 130)
    }

    fn vpn(&self, crowd: &Crowd<'_>) -> Family {
        let notes = "exits of a VPN service, 1 of 200 rented servers at random, TTL 30";
        let rota = Rota { members: 200, turn: Turn::Fetch, ..Rota::fixed(self.few_providers, 1) };
        benign(crowd, "vpn", notes, rota, 30)
    }

    fn chat(&self, crowd: &Crowd<'_>) -> Family {
        let notes = "chat servers of volunteers, 6 of the same 15 at random, TTL 300";
        let rota = Rota { members: 15, turn: Turn::Fetch, ..Rota::fixed(self.volunteers, 6) };
        benign(crowd, "chat_round_robin", notes, rota, 300)
    }

    fn trackers(&self, crowd: &Crowd<'_>) -> Family {
        let notes = "mirrors of volunteers, all 12 in each answer, TTL 600";
        benign(crowd, "mirrors", notes, Rota::fixed(self.volunteers, 12), 600)
    }
}

fn add_pools(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    let pools = Services::draw(crowd)?;
    let names = Names::Hosts(&["0", "1", "2", "3", ""]);
    let rota = Rota { members: 1500, turn: Turn::Fetch, ..Rota::fixed(pools.volunteers, 4) };
    let notes = "time servers of volunteers in the zone that is listed, 4 of 1500, TTL 130";
    let listed = benign(crowd, "ntp_pool", notes, rota, 130);
    let listed = crowd.place.world.add_family(listed);
    crowd.ask("pool.ntp.org", listed, Asking::often(120.0).names(names.clone()).qtypes(A));
    let unlisted = pools.volunteers(crowd);
    crowd.add(unlisted, &Asking::often(60.0).names(names).qtypes(A));

    let volunteers = [
        (Wish::class(AddressClass::Hosting), 45),
        (Wish::class(AddressClass::Access), 40),
        (Wish::class(AddressClass::Education), 15),
    ];
    let v6 = crowd.place.pool(Ip::V6, 700, &volunteers)?;
    let rota = Rota { members: 600, turn: Turn::Fetch, ..Rota::fixed(v6, 4) };
    let notes = "volunteers with IPv6, 4 of 600 at random, TTL 130";
    let family = benign(crowd, "volunteers_v6", notes, rota, 130);
    crowd.add(family, &Asking::often(60.0));

    let rota = Rota { members: 800, turn: Turn::Fetch, ..Rota::fixed(pools.volunteers, 25) };
    let notes = "seeds of a peer-to-peer network, 25 of 800 volunteers at random, TTL 3600";
    let family = benign(crowd, "peer_seeds", notes, rota, 3_600);
    crowd.add(family, &Asking::often(6.0).qtypes(A));

    let family = pools.chat(crowd);
    crowd.add(family, &Asking::often(30.0).qtypes(A));
    let family = pools.trackers(crowd);
    crowd.add(family, &Asking::often(30.0).qtypes(A));
    let family = pools.vpn(crowd);
    crowd.add(family, &Asking::often(60.0).qtypes(A));
    let rota = Rota { members: 120, turn: Turn::Fetch, ..Rota::fixed(pools.servers, 2) };
    let notes = "relays, 2 of 120 rented servers of any provider at random, TTL 60";
    let family = benign(crowd, "relays", notes, rota, 60);
    crowd.add(family, &Asking::often(60.0).qtypes(A));
    Ok(())
}

/// Sites behind delivery networks.
fn add_delivery(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    let fastly = Target::Coded { prefix: "m", zone: "map.fastly.net" };
    let akamai = Target::Coded { prefix: "e", zone: "dsca.akamaiedge.net" };
    let cloudfront = Target::Coded { prefix: "d", zone: "cloudfront.net" };
    let notes = "two aliases to edges inside access networks, TTL 20";
    let family = crowd.place.fronted("edges", notes, vec![Target::Under("edgekey.net")], 0, 300);
    crowd.add(family, &Asking::often(60.0));
    let notes = "alias that moves between three delivery networks every 60 s";
    let targets = vec![fastly, akamai, cloudfront];
    let family = crowd.place.fronted("several_networks", notes, targets, 60, 30);
    crowd.add(family, &Asking::often(60.0));

    let pool = crowd.place.pool(Ip::V4, 200, &[(systems(&[60_068]), 1)])?;
    let rota = Rota { members: 40, turn: Turn::Fetch, ..Rota::fixed(pool, 1) };
    let notes = "1 of 40 edges of one network at random, TTL 1";
    let family = benign(crowd, "short_ttl_edges", notes, rota, 1);
    crowd.add(family, &Asking::often(60.0));

    let family = Balancers::draw(crowd)?.own_delivery(crowd);
    crowd.add(family, &Asking::often(60.0));
    add_turning(crowd)
}

/// Names of one balancer.
const BALANCER: &str = "balancer.example";

/// Delivery networks that nobody curated.
const NETWORKS: [&str; 4] =
    ["delivery-1.example", "delivery-2.example", "delivery-3.example", "delivery-4.test"];

/// Sites whose alias turns: within the zone of one balancer, and between networks on nobody's list.
fn add_turning(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    let cloud = crowd.place.pool(Ip::V4, 600, &[(systems(&[16_509]), 1)])?;
    let servers = crowd.place.pool(Ip::V4, 400, &SERVERS)?;
    let of_owner = Rota { members: 12, turn: replaced_every(600, 2), ..Rota::fixed(cloud, 2) };
    crowd.place.zone(BALANCER, everywhere(vec![of_owner], Ttl::fixed(60)));
    for zone in NETWORKS {
        let edges = Rota { members: 40, turn: Turn::Fetch, ..Rota::fixed(servers, 4) };
        crowd.place.zone(zone, everywhere(vec![edges], Ttl::fixed(30)));
    }
    let prefixes = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let targets = prefixes.map(|prefix| Target::Coded { prefix, zone: BALANCER }).to_vec();
    let notes = "alias of one of 8 names of one cloud's balancer, another every 300 s, TTL 60";
    let family = crowd.place.fronted("balanced_names", notes, targets, 300, 60);
    crowd.add(family, &Asking::often(60.0));
    let targets = NETWORKS.map(|zone| Target::Coded { prefix: "e", zone }).to_vec();
    let notes = "alias that moves between four delivery networks on no list every 10 min, TTL 60";
    let family = crowd.place.fronted("unlisted_networks", notes, targets, 600, 60);
    crowd.add(family, &Asking::often(60.0));
    Ok(())
}

/// Load balancers, within and across providers and regions.
struct Balancers {
    amazon: usize,
    several: usize,
    edges: usize,
}

impl Balancers {
    fn draw(crowd: &mut Crowd<'_>) -> Result<Self, NoSuchAddress> {
        let place = &mut crowd.place;
        let edges =
            [(Wish::class(AddressClass::Access), 9), (Wish::class(AddressClass::Hosting), 1)];
        Ok(Self {
            amazon: place.pool(Ip::V4, 1_500, &[(systems(&[16_509]), 1)])?,
            several: place.pool(Ip::V4, 1_500, &[(systems(&[16_509, 8_075, 396_982]), 1)])?,
            edges: place.block_pool(1_000, &edges, 8)?,
        })
    }

    fn one_cloud(&self, crowd: &Crowd<'_>) -> Family {
        let turn = Turn::Clock { window_s: 3_600, replaced: 1 };
        let rota = Rota { members: 12, turn, ..Rota::fixed(self.amazon, 8) };
        let notes = "8 addresses of one cloud, one replaced an hour, TTL 60, name of its own";
        benign(crowd, "one_cloud", notes, rota, 60)
    }

    fn autoscaling(&self, crowd: &Crowd<'_>) -> Family {
        let turn = Turn::Clock { window_s: 1_200, replaced: 1 };
        let rota = Rota { members: 300, turn, ..Rota::fixed(self.amazon, 5) };
        let notes = "5 addresses of one cloud, a fresh one every 20 min, TTL 60";
        benign(crowd, "autoscaling", notes, rota, 60)
    }

    fn several_clouds(&self, crowd: &Crowd<'_>) -> Family {
        let turn = Turn::Clock { window_s: 600, replaced: 2 };
        let rota = Rota { members: 24, turn, ..Rota::fixed(self.several, 4) };
        let notes = "4 of 24 addresses in three clouds, two replaced every 10 min, TTL 60";
        benign(crowd, "several_clouds", notes, rota, 60)
    }

    fn regional(&self, crowd: &Crowd<'_>) -> Family {
        let turn = replaced_every(14_400, 3);
        let rota = Rota { members: 40, turn, by_resolver: true, ..Rota::fixed(self.several, 3) };
        let notes =
            "3 addresses for each resolver's region, in three clouds, moved every 4 h, TTL 60";
        benign(crowd, "regional_balancer", notes, rota, 60)
    }

    /// A delivery network on nobody's list, with blocks of edges inside access networks.
    fn own_delivery(&self, crowd: &Crowd<'_>) -> Family {
        let turn = replaced_every(300, 2);
        let rota = Rota {
            members: 160,
            turn,
            by_resolver: true,
            grouped: 8,
            ..Rota::fixed(self.edges, 2)
        };
        let notes = "2 addresses of one of 20 blocks inside access networks for each resolver, changed every 5 min, TTL 30";
        benign(crowd, "unlisted_edges", notes, rota, 30)
    }
}

fn add_balancers(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    let balancers = Balancers::draw(crowd)?;
    for family in [
        balancers.one_cloud(crowd),
        balancers.autoscaling(crowd),
        balancers.several_clouds(crowd),
        balancers.regional(crowd),
    ] {
        crowd.add(family, &Asking::often(40.0));
    }
    Ok(())
}

/// Names of different people below one domain.
fn add_customers(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    let homes = crowd.place.pool(Ip::V4, 4_000, &HOMES)?;
    let turn = replaced_every(43_200, 1);
    let home = Rota { members: 4, turn, ..Rota::fixed(homes, 1) };
    let rules = everywhere(vec![home], Ttl::fixed(60));
    let notes = "dynamic DNS below a listed suffix: one home, new address twice a day, TTL 60";
    let family = crowd.place.family("dynamic_dns", Truth::Benign, notes, rules.clone());
    let family = crowd.place.world.add_family(family);
    for number in 1..=crowd.each {
        let asking = Asking::often(12.0).names(Names::Hosts(&[""])).qtypes(A);
        crowd.ask(&format!("home-{number}.duckdns.org"), family, asking);
    }
    let notes = "dynamic DNS below a suffix that is not listed: 400 homes, TTL 60";
    let family = crowd.place.family("dynamic_dns_unlisted", Truth::Benign, notes, rules);
    let asking = Asking::often(60.0).qtypes(A);
    crowd.add(family, &asking.clone().names(Names::Numbered { prefix: "box", count: 400 }));

    let rules = vec![Rule { owner: Owners::Below, data: Data::Spelled { ttl: Ttl::fixed(3600) } }];
    let notes = "an access provider's names for its customers, which spell the address";
    let family = crowd.place.family("address_in_name", Truth::Benign, notes, rules);
    crowd.add(family, &asking.clone().names(Names::Spelled { prefix: "cpe-", pool: homes }));

    let customer = Rota::fixed(homes, 1);
    let notes = "an access provider's names for its customers, which do not spell the address";
    let family = benign(crowd, "customer_names", notes, customer, 3_600);
    crowd.add(family, &asking.clone().names(Names::Numbered { prefix: "cust-", count: 2_000 }));

    let data = Data::Listed { listed_pct: 40, ttl: Ttl::fixed(300) };
    let notes = "blocking list: answers in 127/8, or no such name";
    let rules = vec![Rule { owner: Owners::Below, data }];
    let family = crowd.place.family("blocking_list", Truth::Benign, notes, rules);
    crowd.add(family, &asking.clone().names(Names::Reversed { pool: homes }));

    let tenants = crowd.place.pool(Ip::V4, 4_000, &SERVERS)?;
    let rota = Rota { members: 3, turn: replaced_every(28_800, 1), ..Rota::fixed(tenants, 1) };
    let notes = "a platform: 300 customers on servers of their own choice, moved every 8 h, TTL 60";
    let family = benign(crowd, "tenants", notes, rota, 60);
    crowd.add(family, &asking.clone().names(Names::Numbered { prefix: "app", count: 300 }));

    let farm = Rota { by_owner: false, ..Rota::fixed(crowd.place.servers, 3) };
    let notes = "a wildcard: any label has the same 3 addresses, TTL 300";
    let family = benign(crowd, "wildcard", notes, farm, 300);
    crowd.add(family, &asking.names(Names::Random));
    Ok(())
}

/// A site that fails over to a spare elsewhere now and then.
fn failover(crowd: &Crowd<'_>) -> Family {
    let [usual, other] = [2, 3].map(|members| Rota {
        members,
        turn: Turn::Never,
        by_owner: false,
        ..Rota::fixed(crowd.place.servers, members)
    });
    let data = Data::Either {
        usual: vec![usual],
        other: vec![other],
        window_s: 1_800,
        other_per_mille: 150,
        by_resolver: false,
        ttl: Ttl::fixed(60),
    };
    let rules = vec![Rule { owner: Owners::Any, data }];
    let notes = "two servers, every now and then three for half an hour, TTL 60";
    crowd.place.family("failover", Truth::Benign, notes, rules)
}

/// A site that moves, and sites of which several move at once.
fn migration(crowd: &Crowd<'_>) -> Family {
    let turn = replaced_every(259_200, 2);
    let rota = Rota { members: 200, turn, ..Rota::fixed(crowd.place.servers, 2) };
    let notes = "every host moves to two other servers once in three days, TTL 300";
    crowd.place.family("migration", Truth::Benign, notes, hosts(&[rota], Ttl::fixed(300)))
}

fn add_moves(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    for family in [failover(crowd), migration(crowd)] {
        crowd.add(family, &Asking::often(40.0).qtypes(BOTH));
    }
    Ok(())
}

/// Sites about which somebody lies.
fn add_attacked(crowd: &mut Crowd<'_>) -> Result<Vec<Forgery>, NoSuchAddress> {
    let bots = crowd.place.pool(Ip::V4, 4_000, &BOTS)?;
    let site = Rota { by_owner: false, ..Rota::fixed(crowd.place.servers, 2) };
    let mut forgeries = Vec::new();
    for (name, notes, is_on_path) in [
        (
            "forged_off_path",
            "two addresses that stay; beside every true answer two forged ones, by who guesses",
            false,
        ),
        (
            "forged_on_path",
            "two addresses that stay; beside every true answer three forged ones, by who listens",
            true,
        ),
    ] {
        let family = benign(crowd, name, notes, site, 300);
        let victims = crowd.add(family, &Asking::often(40.0).qtypes(A));
        forgeries.push(Forgery { victims, pool: bots, addresses: 5, ttl_s: 300, is_on_path });
    }
    let forged = Rota { by_owner: false, ..Rota::fixed(bots, 2) };
    let data = Data::Either {
        usual: vec![site],
        other: vec![forged],
        window_s: 600,
        other_per_mille: 7,
        by_resolver: true,
        ttl: Ttl::fixed(300),
    };
    let notes = "two addresses that stay; each cache holds two forged ones for ten minutes a day";
    let rules = vec![Rule { owner: Owners::Any, data }];
    let family = crowd.place.family("poisoned_cache", Truth::Benign, notes, rules);
    crowd.add(family, &Asking::often(40.0).qtypes(A));
    Ok(forgeries)
}
