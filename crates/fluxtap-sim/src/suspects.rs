//! Flux families with their evasions, many domains of each.
//!
//! Parameters are those of known operations where some are published, and round numbers between
//! them where not; the notes in the truth file say what each family does.

use fluxtap_intel::AddressClass;
use fluxtap_wire::Rtype;

use crate::address::{Family as Ip, NoSuchAddress, Wish};
use crate::crowd::{Asking, Crowd};
use crate::family::{Data, Delegation, Family, Kind, Owners, Rota, Rule, Target, Truth, Ttl, Turn};
use crate::place::{
    BOTS, addresses, bots, everywhere, fluxing_servers, homes_in, replaced_every, systems,
};
use crate::traffic::{Names, Pace};

/// Access providers that botnets were reported from, for those that are in few of them.
const FEW_ISPS: [u32; 22] = [
    6849, 15895, 25229, 13188, 8708, 9050, 8866, 13124, 12389, 8402, 9829, 24560, 45609, 45899,
    7552, 18403, 28573, 26599, 7738, 18881, 9121, 8452,
];

/// Rented servers and homes, as sold by those who host whatever pays.
const BULLETPROOF: [(Wish, u32); 3] = [
    (Wish::class(AddressClass::Access), 60),
    (Wish::class(AddressClass::Hosting), 30),
    (Wish::class(AddressClass::Unknown), 10),
];

/// A botnet with a large share of rented servers.
const MIXED: [(Wish, u32); 3] = [
    (Wish::class(AddressClass::Access), 50),
    (Wish::class(AddressClass::Hosting), 40),
    (Wish::class(AddressClass::Unknown), 10),
];

/// Providers of rented servers, without those so large that customers come and go by themselves.
const RENTED: [u32; 9] = [14061, 20473, 24940, 16276, 51167, 9009, 197695, 9123, 49505];

const AAAA: &[(Rtype, u32)] = &[(Rtype::AAAA, 4), (Rtype::A, 1)];

/// What the families draw from.
struct Pools {
    world: usize,
    world_v6: usize,
    ukraine: usize,
    few_isps: usize,
    grouped: usize,
    mixed: usize,
    bulletproof: usize,
    decoys: usize,
}

impl Pools {
    fn draw(crowd: &mut Crowd<'_>) -> Result<Self, NoSuchAddress> {
        let place = &mut crowd.place;
        let ukraine = [(homes_in(&["UA"]), 77), (homes_in(&["RU"]), 15), (homes_in(&["RO"]), 8)];
        Ok(Self {
            world: place.pool(Ip::V4, 12_000, &BOTS)?,
            world_v6: place.pool(Ip::V6, 1_500, &BOTS)?,
            ukraine: place.pool(Ip::V4, 3_000, &ukraine)?,
            few_isps: place.pool(Ip::V4, 3_000, &[(systems(&FEW_ISPS), 1)])?,
            grouped: place.grouped_pool(Ip::V4, 8_000, &BOTS, 8)?,
            mixed: place.pool(Ip::V4, 4_000, &MIXED)?,
            bulletproof: place.pool(Ip::V4, 2_000, &BULLETPROOF)?,
            decoys: place.pool(Ip::V4, 120, &[(systems(&[13_335, 54_113]), 1)])?,
        })
    }
}

/// Adds the families that change their set within the hour.
pub(crate) fn add_fast(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    let pools = Pools::draw(crowd)?;
    add_plain(crowd, &pools);
    add_placed(crowd, &pools);
    add_aliased(crowd, &pools);
    add_named(crowd, &pools);
    add_evasive(crowd, &pools);
    add_servers(crowd, &pools);
    add_turning(crowd, &pools);
    Ok(())
}

/// Adds ten of those families, each of which is found within the hour.
pub(crate) fn add_sure(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    let pools = Pools::draw(crowd)?;
    add_plain(crowd, &pools);
    add_placed(crowd, &pools);
    add_aliased(crowd, &pools);
    Ok(())
}

/// Adds the families that take a day.
pub(crate) fn add_slow(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    let pools = Pools::draw(crowd)?;
    add_seldom(crowd, &pools);
    Ok(())
}

/// Adds the families that take days, and those of which name servers tell most.
pub(crate) fn add_week(crowd: &mut Crowd<'_>) -> Result<(), NoSuchAddress> {
    let pools = Pools::draw(crowd)?;
    add_servers(crowd, &pools);
    // In the order of their systems, so that neighbours are of one to three.
    let rented = crowd.place.grouped_pool(Ip::V4, 3_000, &[(systems(&RENTED), 1)], 1)?;
    let rota = Rota {
        members: 60,
        turn: replaced_every(21_600, 1),
        by_owner: false,
        ..Rota::fixed(rented, 1)
    };
    let notes = "any label: 1 rented server, replaced every 6 h, TTL 300";
    let rules = everywhere(vec![rota], Ttl::fixed(300));
    let family = crowd.place.family("ip_rotation", Truth::Flux(Kind::Rotation), notes, rules);
    crowd.add(family, &Asking::calls(3, 900.0).names(Names::Random));

    let notes = "apex and www: 1 rented server, replaced every 12 h, TTL 1800";
    let rota = Rota { turn: replaced_every(43_200, 1), ..rota };
    let rules = everywhere(vec![rota], Ttl::fixed(1800));
    let kind = Truth::Flux(Kind::Rotation);
    let family = crowd.place.family("ip_rotation_slow", kind, notes, rules);
    crowd.add(family, &Asking::calls(3, 1_800.0));
    Ok(())
}

fn single(
    crowd: &Crowd<'_>,
    name: &'static str,
    notes: &'static str,
    rota: Rota,
    ttl: Ttl,
) -> Family {
    crowd.place.flux(name, notes, everywhere(vec![rota], ttl))
}

/// Botnets all over the world.
fn add_plain(crowd: &mut Crowd<'_>, pools: &Pools) {
    let world = pools.world;
    let notes = "5 of 600 bots, all replaced every 150 s, TTL 150; one client asks every minute";
    let rota = bots(world, 600, 5, replaced_every(150, 5));
    let family = single(crowd, "classic", notes, rota, Ttl::fixed(150));
    crowd.add(family, &Asking::calls(1, 60.0));

    let notes = "5 of 600 bots, all replaced every 300 s, TTL 300; seen through several caches";
    let rota = bots(world, 600, 5, replaced_every(300, 5));
    let family = single(crowd, "classic_caches", notes, rota, Ttl::fixed(300));
    crowd.add(family, &Asking::calls(12, 90.0));

    let notes = "5 of 800 bots at random for each fetch, TTL 240";
    let family =
        single(crowd, "classic_random", notes, bots(world, 800, 5, Turn::Fetch), Ttl::fixed(240));
    crowd.add(family, &Asking::calls(6, 90.0));

    let notes = "10 of 1500 bots at random for each fetch, TTL 120 to 150";
    let ttl = Ttl { max_s: 150, spread_s: 30 };
    let family = single(crowd, "many_addresses", notes, bots(world, 1500, 10, Turn::Fetch), ttl);
    crowd.add(family, &Asking::calls(6, 90.0));

    let notes = "1 of 2000 bots for each fetch, TTL 0 to 3";
    let ttl = Ttl { max_s: 3, spread_s: 3 };
    let family = single(crowd, "one_address", notes, bots(world, 2000, 1, Turn::Fetch), ttl);
    crowd.add(family, &Asking::calls(6, 120.0));

    let notes = "AAAA alone: 4 of 600 bots, all replaced every 180 s, TTL 180";
    let rota = bots(pools.world_v6, 600, 4, replaced_every(180, 4));
    let family = single(crowd, "aaaa", notes, rota, Ttl::fixed(180));
    crowd.add(family, &Asking::calls(6, 90.0).qtypes(AAAA));
}

/// Botnets in one country or few networks.
fn add_placed(crowd: &mut Crowd<'_>, pools: &Pools) {
    let ttl = Ttl { max_s: 150, spread_s: 30 };
    let notes = "10 of 1200 bots at random for each fetch, 77 % in one country, TTL 120 to 150";
    let rota = bots(pools.ukraine, 1200, 10, Turn::Fetch);
    let family = single(crowd, "one_country", notes, rota, ttl);
    crowd.add(family, &Asking::calls(6, 90.0));

    let notes = "4 of 400 bots of 22 access providers, at random for each fetch, TTL 60";
    let rota = bots(pools.few_isps, 400, 4, Turn::Fetch);
    let family = single(crowd, "few_isps", notes, rota, Ttl::fixed(60));
    crowd.add(family, &Asking::calls(6, 90.0));
}

/// Flux behind aliases.
fn add_aliased(crowd: &mut Crowd<'_>, pools: &Pools) {
    let world = pools.world;
    let fronted = |label: Owners| {
        let set = addresses(vec![bots(world, 500, 5, Turn::Fetch)], Ttl::fixed(180));
        let alias = Data::Alias { targets: vec![Target::Apex], window_s: 0, ttl: Ttl::fixed(60) };
        vec![Rule { owner: Owners::Apex, data: set }, Rule { owner: label, data: alias }]
    };
    let notes = "www is an alias of the apex, which has 5 of 500 bots, TTL 180";
    let family = crowd.place.flux("cname_fronted", notes, fronted(Owners::Label("www")));
    crowd.add(family, &Asking::calls(6, 90.0).names(Names::Hosts(&["www"])));

    let notes = "random labels are aliases of the apex, which has 5 of 500 bots, TTL 180";
    let family = crowd.place.flux("random_alias", notes, fronted(Owners::Below));
    crowd.add(family, &Asking::calls(6, 90.0).names(Names::Random));
}

/// Domains that aliases of one operation lead to.
const FRONTS: [&str; 12] = [
    "front-1.example",
    "front-2.example",
    "front-3.example",
    "front-4.test",
    "front-5.example",
    "front-6.example",
    "front-7.example",
    "front-8.test",
    "front-9.example",
    "front-10.example",
    "front-11.example",
    "front-12.test",
];

/// Flux behind aliases that turn.
fn add_turning(crowd: &mut Crowd<'_>, pools: &Pools) {
    let set = || everywhere(vec![bots(pools.world, 500, 5, Turn::Fetch)], Ttl::fixed(180));
    for front in FRONTS {
        crowd.place.zone(front, set());
    }
    let targets = FRONTS.map(|zone| Target::Coded { prefix: "x", zone }).to_vec();
    let data = Data::Alias { targets, window_s: 300, ttl: Ttl::fixed(60) };
    let mut rules = set();
    rules.insert(0, Rule { owner: Owners::Label("www"), data });
    let notes = "www is an alias of one of 12 domains, another every 300 s; each has 5 of 500 bots";
    let family = crowd.place.family("alias_rotation", Truth::Flux(Kind::Double), notes, rules);
    crowd.add(family, &Asking::calls(6, 90.0).names(Names::Hosts(&["www"])));
}

/// Flux behind many names.
fn add_named(crowd: &mut Crowd<'_>, pools: &Pools) {
    let world = pools.world;
    let notes = "random labels asked once, 1 of 2000 bots each, TTL 0";
    let family =
        single(crowd, "one_off_labels", notes, bots(world, 2000, 1, Turn::Fetch), Ttl::fixed(0));
    crowd.add(family, &Asking::calls(6, 120.0).names(Names::Random));

    let notes = "40 names, each with 3 of 600 bots of its own, replaced every 300 s, TTL 300";
    let rota = Rota { by_owner: true, ..bots(world, 600, 3, replaced_every(300, 3)) };
    let family = single(crowd, "many_names", notes, rota, Ttl::fixed(300));
    let names = Names::Numbered { prefix: "n", count: 40 };
    crowd.add(family, &Asking::calls(12, 60.0).names(names));

    let notes =
        "one customer of a platform is in flux (5 of 500 bots, TTL 180), the others stand still";
    let tenant = Rota { turn: Turn::Never, diurnal: false, ..Rota::fixed(crowd.place.servers, 1) };
    let set = addresses(vec![bots(world, 500, 5, Turn::Fetch)], Ttl::fixed(180));
    let rules = vec![
        Rule { owner: Owners::Label("n7"), data: set },
        Rule { owner: Owners::Below, data: addresses(vec![tenant], Ttl::fixed(600)) },
    ];
    let family = crowd.place.flux("one_tenant", notes, rules);
    crowd.add(family, &Asking::calls(30, 20.0).names(Names::Numbered { prefix: "n", count: 20 }));
}

/// What is done so that detectors look elsewhere.
fn add_evasive(crowd: &mut Crowd<'_>, pools: &Pools) {
    let turn = replaced_every(120, 4);
    let decoys = Rota { members: 60, turn, by_owner: false, ..Rota::fixed(pools.decoys, 4) };
    let notes = "4 of 500 bots and as many addresses of delivery networks, TTL 120";
    let rules = everywhere(vec![bots(pools.world, 500, 4, turn), decoys], Ttl::fixed(120));
    let family = crowd.place.flux("cdn_padded", notes, rules);
    crowd.add(family, &Asking::calls(6, 90.0));

    let notes = "5 of 400 bots, each answer from one network, replaced every 180 s, TTL 180";
    let rota = Rota { grouped: 8, ..bots(pools.grouped, 400, 5, replaced_every(180, 5)) };
    let family = single(crowd, "asn_grouped", notes, rota, Ttl::fixed(180));
    crowd.add(family, &Asking::calls(6, 90.0));

    let notes = "4 of 600 bots at random for each fetch, 40 % of them rented servers, TTL 180";
    let rota = bots(pools.mixed, 600, 4, Turn::Fetch);
    let family = single(crowd, "mixed_owners", notes, rota, Ttl::fixed(180));
    crowd.add(family, &Asking::calls(6, 90.0));
}

/// What shows little, or changes slowly.
fn add_seldom(crowd: &mut Crowd<'_>, pools: &Pools) {
    let notes = "5 of 600 bots, all replaced every 1800 s, TTL 1800";
    let rota = bots(pools.world, 600, 5, replaced_every(1800, 5));
    let family = single(crowd, "high_ttl", notes, rota, Ttl::fixed(1800));
    crowd.add(family, &Asking::calls(6, 600.0));

    let notes = "5 of 600 bots, all replaced every 300 s, TTL 300; about 12 responses a day";
    let rota = bots(pools.world, 600, 5, replaced_every(300, 5));
    let family = single(crowd, "low_volume", notes, rota, Ttl::fixed(300));
    crowd.add(family, &Asking::calls(3, 7_600.0));

    let notes = "3 of 80 homes and rented servers, all replaced every 90 min, TTL 300";
    let rota = Rota { diurnal: false, ..bots(pools.bulletproof, 80, 3, replaced_every(5_400, 3)) };
    let family = single(crowd, "slow_bulletproof", notes, rota, Ttl::fixed(300));
    crowd.add(family, &Asking::calls(4, 300.0));

    let notes = "5 of 600 bots, one replaced an hour, TTL 3600";
    let rota = bots(pools.world, 600, 5, Turn::Clock { window_s: 3_600, replaced: 1 });
    let family = single(crowd, "slow_drip", notes, rota, Ttl::fixed(3_600));
    crowd.add(family, &Asking::calls(4, 900.0));
}

/// Flux of name servers.
fn add_servers(crowd: &mut Crowd<'_>, pools: &Pools) {
    let world = pools.world;
    let rules = everywhere(vec![bots(world, 700, 5, replaced_every(180, 5))], Ttl::fixed(180));
    let notes = "5 of 700 bots, TTL 180; NS set and NS addresses turn every 300 s";
    let family = crowd.place.family("double", Truth::Flux(Kind::Double), notes, rules);
    crowd.add(with_servers(family, fluxing_servers(world, 300, 180)), &Asking::calls(6, 90.0));

    let rules = everywhere(vec![Rota::fixed(crowd.place.servers, 1)], Ttl::fixed(300));
    let notes = "one address that stays; NS set and NS addresses are bots and turn every 600 s";
    let family = crowd.place.family("ns_flux", Truth::Flux(Kind::NameServers), notes, rules);
    let pace = Pace::Beacon { period_s: 300.0, jitter: 0.25 };
    let asking = Asking { pace, ..Asking::calls(8, 300.0) };
    crowd.add(with_servers(family, fluxing_servers(world, 600, 300)), &asking);
}

fn with_servers(family: Family, delegation: Delegation) -> Family {
    Family { delegation, ..family }
}
