//! The demonstration: three hours below two resolvers, every flux family once, the look-alikes
//! that matter, ordinary sites around them.

use fluxtap_intel::AddressClass;
use fluxtap_wire::Rtype;

use crate::address::{AddressBook, Family as Ip, NoSuchAddress, Wish};
use crate::compose::rtype;
use crate::family::{Data, Family, Kind, Owners, Rota, Rule, Target, Truth, Ttl, Turn};
use crate::fault::Faults;
use crate::place::{
    BOTS, HOMES, Place, SERVERS, SITE_HOSTS, START, USUAL_QTYPES, addresses, bots, clients,
    everywhere, fluxing_servers, homes_in, hosts, replaced_every, resolvers, systems,
};
use crate::run::{Scenario, Until};
use crate::traffic::{About, Asker, Names, Pace, View};
use crate::world::Population;

/// Length of the demonstration in seconds.
const DURATION_S: u64 = 3 * 3600;

const CLIENTS: usize = 20;

/// Clients of both resolvers; the resolvers divide them in the middle.
const ALL: std::ops::Range<usize> = 0..CLIENTS;

const ORDINARY_SITES: u32 = 300;

const A: [(Rtype, u32); 1] = [(Rtype::A, 1)];

/// Makes the demonstration.
///
/// # Errors
/// When `book` knows no address of a kind that is needed.
pub fn demo(seed: u64, book: &dyn AddressBook) -> Result<Scenario, NoSuchAddress> {
    let mut demo = Demo { place: Place::new(seed, book, 400)?, askers: Vec::new() };
    demo.add_many_address_flux()?;
    demo.add_other_flux()?;
    demo.add_delivery_networks()?;
    demo.add_pools()?;
    demo.add_customers()?;
    demo.add_ordinary_sites();
    let mut clients = clients(CLIENTS, 0.3);
    for client in clients.iter_mut().skip(DNS64_CLIENTS.start) {
        client.dns64 = true;
    }
    Ok(Scenario {
        seed,
        start: START,
        until: Until::Seconds(DURATION_S),
        world: demo.place.world,
        resolvers: resolvers(),
        clients,
        askers: demo.askers,
        view: View::Below,
        tcp_share: 0.0,
        forgeries: Vec::new(),
        faults: Faults { loss_share: 0.001, duplicate_share: 0.002, reorder_share: 0.0 },
    })
}

/// Clients in an IPv6-only network.
const DNS64_CLIENTS: std::ops::Range<usize> = CLIENTS - 2..CLIENTS;

struct Demo<'a> {
    place: Place<'a>,
    askers: Vec<Asker>,
}

impl Demo<'_> {
    /// A domain with one stream of questions.
    fn domain(
        &mut self,
        apex: &str,
        family: Family,
        names: Names,
        qtypes: &[(Rtype, u32)],
        clients: std::ops::Range<usize>,
        pace: Pace,
    ) {
        let family = self.place.world.add_family(family);
        let about = About::Domain(self.place.world.add_domain(apex, family));
        let (missing_share, qtypes) = (0.0, qtypes.to_vec());
        self.askers.push(Asker { about, names, missing_share, qtypes, clients, pace });
    }

    /// Several addresses an answer.
    fn add_many_address_flux(&mut self) -> Result<(), NoSuchAddress> {
        let world = self.place.pool(Ip::V4, 3000, &BOTS)?;
        let rules = everywhere(vec![bots(world, 600, 5, replaced_every(300, 5))], Ttl::fixed(300));
        let notes = "5 of 600 bots, all replaced every 300 s, TTL 300";
        let family = self.place.flux("classic", notes, rules);
        let names = Names::Hosts(&["", "www"]);
        self.domain("parcel-redelivery.example", family, names.clone(), &A, 4..14, beacon(95.0));

        let rules = everywhere(vec![bots(world, 800, 5, Turn::Fetch)], Ttl::fixed(240));
        let notes = "5 of 800 bots at random for each fetch, TTL 240";
        let family = self.place.flux("classic_random", notes, rules);
        self.domain("cheap-meds-direct.test", family, names.clone(), &A, 2..16, beacon(80.0));

        let ukraine = [
            (homes_in(&["UA"]), 770),
            (homes_in(&["RU"]), 145),
            (homes_in(&["RO"]), 50),
            (Wish::class(AddressClass::Access), 35),
        ];
        let crimeware = self.place.pool(Ip::V4, 1200, &ukraine)?;
        let ttl = Ttl { max_s: 150, spread_s: 30 };
        let rules = everywhere(vec![bots(crimeware, 1200, 10, Turn::Fetch)], ttl);
        let notes = "10 of 1200 bots, 77 % in one country, TTL 120 to 150";
        let family = self.place.flux("dark_cloud", notes, rules);
        self.domain("card-checkers.example", family, names.clone(), &A, 6..13, beacon(75.0));

        let family = self.double_flux(world);
        self.domain("secure-login-update.test", family, names.clone(), &A, 0..12, beacon(60.0));

        let decoys = self.place.pool(Ip::V4, 60, &[(systems(&[13_335, 54_113]), 1)])?;
        let turn = replaced_every(120, 4);
        let decoys = Rota { members: 60, turn, by_owner: false, ..Rota::fixed(decoys, 4) };
        let rotas = vec![bots(world, 500, 4, turn), decoys];
        let notes = "4 of 500 bots and as many addresses of delivery networks, TTL 120";
        let family = self.place.flux("cdn_diluted", notes, everywhere(rotas, Ttl::fixed(120)));
        self.domain("stream-codec-pack.example", family, names, &A, 5..15, beacon(70.0));
        Ok(())
    }

    fn double_flux(&self, pool: usize) -> Family {
        let rules = everywhere(vec![bots(pool, 700, 5, replaced_every(180, 5))], Ttl::fixed(180));
        let delegation = fluxing_servers(pool, 300, 180);
        let notes = "A (5 of 700 bots, TTL 180), NS set and NS addresses (TTL 300 and 180) rotate";
        let family = self.place.family("double", Truth::Flux(Kind::Double), notes, rules);
        Family { delegation, ..family }
    }

    /// One address an answer, an alias in front, IPv6.
    fn add_other_flux(&mut self) -> Result<(), NoSuchAddress> {
        let world = self.place.pool(Ip::V4, 2500, &BOTS)?;
        let names = Names::Hosts(&["", "www"]);
        let ttl = Ttl { max_s: 3, spread_s: 3 };
        let rules = everywhere(vec![bots(world, 2000, 1, Turn::Fetch)], ttl);
        let notes = "1 of 2000 bots for each fetch, TTL 0 to 3";
        let family = self.place.flux("one_address", notes, rules);
        self.domain("lucky-prize-draw.example", family, names.clone(), &A, 3..17, beacon(45.0));

        let set = addresses(vec![bots(world, 500, 5, Turn::Fetch)], Ttl::fixed(180));
        let alias = Data::Alias { targets: vec![Target::Apex], window_s: 0, ttl: Ttl::fixed(60) };
        let rules = vec![
            Rule { owner: Owners::Apex, data: set },
            Rule { owner: Owners::Below, data: alias },
        ];
        let notes = "random labels are aliases of the apex, which has 5 of 500 bots, TTL 180";
        let family = self.place.flux("alias_fronted", notes, rules);
        self.domain("invoice-portal.test", family, Names::Random, &A, 1..15, beacon(65.0));

        let world = self.place.pool(Ip::V6, 600, &BOTS)?;
        let rules = everywhere(vec![bots(world, 600, 4, replaced_every(180, 4))], Ttl::fixed(180));
        let notes = "AAAA alone: 4 of 600 bots, all replaced every 180 s, TTL 180";
        let family = self.place.flux("ipv6", notes, rules);
        let both = [(Rtype::AAAA, 4), (Rtype::A, 1)];
        self.domain("update-mirror-six.example", family, names, &both, 8..18, beacon(70.0));
        Ok(())
    }

    fn add_delivery_networks(&mut self) -> Result<(), NoSuchAddress> {
        self.place.add_delivery_zones()?;
        let www = Names::Hosts(&["www", "", "www"]);
        let akamai = Target::Coded { prefix: "e", zone: "dsca.akamaiedge.net" };
        let cloudfront = Target::Coded { prefix: "d", zone: "cloudfront.net" };
        let fastly = Target::Coded { prefix: "m", zone: "map.fastly.net" };
        let balancer = Target::Coded { prefix: "shop-", zone: "eu-west-1.elb.amazonaws.com" };
        let rows = [
            (
                "harbor-outfitters.example",
                "akamai",
                vec![Target::Under("edgekey.net")],
                0,
                300,
                100.0,
            ),
            ("lakeside-streaming.example", "cloudfront", vec![cloudfront], 0, 300, 60.0),
            ("pinewood-bank.example", "load_balancer", vec![balancer], 0, 300, 60.0),
            ("daily-observer.example", "multi_cdn", vec![fastly, akamai, cloudfront], 60, 30, 90.0),
        ];
        for (apex, name, targets, window_s, ttl_s, per_hour) in rows {
            let notes = match name {
                "akamai" => "two aliases to edges inside access networks, TTL 20",
                "cloudfront" => "alias to 4 addresses of one network, TTL 60",
                "load_balancer" => {
                    "alias to 8 addresses of one network, one replaced an hour, TTL 60"
                }
                _ => "alias that moves between three delivery networks every 60 s",
            };
            let family = self.place.fronted(name, notes, targets, window_s, ttl_s);
            self.domain(apex, family, www.clone(), &USUAL_QTYPES, ALL, often(per_hour));
        }
        let v4 = self.place.pool(Ip::V4, 2, &[(systems(&[13_335]), 1)])?;
        let v6 = self.place.pool(Ip::V6, 2, &[(systems(&[13_335]), 1)])?;
        let rotas = [Rota::fixed(v4, 2), Rota::fixed(v6, 2)];
        let notes = "proxied: 2 A and 2 AAAA of one network, never changing, TTL 300";
        let rules = hosts(&rotas, Ttl::fixed(300));
        let family =
            Family { https: true, ..self.place.family("proxied", Truth::Benign, notes, rules) };
        self.domain("orchard-recipes.example", family, www, &USUAL_QTYPES, ALL, often(60.0));
        Ok(())
    }

    /// Many hosts of many owners behind one name, on purpose.
    fn add_pools(&mut self) -> Result<(), NoSuchAddress> {
        let volunteers = [
            (Wish::class(AddressClass::Hosting), 45),
            (Wish::class(AddressClass::Access), 25),
            (Wish::class(AddressClass::Unknown), 18),
            (Wish::class(AddressClass::Education), 12),
        ];
        let pool = self.place.pool(Ip::V4, 250, &volunteers)?;
        let rota = Rota { members: 250, turn: Turn::Fetch, ..Rota::fixed(pool, 4) };
        let notes = "time servers of volunteers, 4 of 250 at random, TTL 130";
        let rules = everywhere(vec![rota], Ttl::fixed(130));
        let family = self.place.family("ntp_pool", Truth::Benign, notes, rules);
        let names = Names::Hosts(&["0", "1", "2", "3", ""]);
        self.domain("pool.ntp.org", family, names, &A, ALL, often(120.0));

        let volunteers =
            [(Wish::class(AddressClass::Hosting), 3), (Wish::class(AddressClass::Education), 2)];
        let pool = self.place.pool(Ip::V4, 12, &volunteers)?;
        let rota = Rota { members: 12, turn: Turn::Fetch, ..Rota::fixed(pool, 6) };
        let notes = "chat servers, 6 of the same 12 at random, TTL 300";
        let rules = everywhere(vec![rota], Ttl::fixed(300));
        let family = self.place.family("irc_round_robin", Truth::Benign, notes, rules);
        self.domain("open-chat.example", family, Names::Hosts(&["irc"]), &A, ALL, often(40.0));

        let pool = self.place.pool(Ip::V4, 120, &SERVERS)?;
        let rota = Rota { members: 120, turn: Turn::Fetch, ..Rota::fixed(pool, 2) };
        let notes = "exits of a VPN service, 2 of 120 rented servers at random, TTL 30";
        let rules = everywhere(vec![rota], Ttl::fixed(30));
        let family = self.place.family("vpn_pool", Truth::Benign, notes, rules);
        let names = Names::Hosts(&["connect"]);
        self.domain("tunnelbird.example", family, names, &A, ALL, often(80.0));
        Ok(())
    }

    /// Names with one address each, of different people.
    fn add_customers(&mut self) -> Result<(), NoSuchAddress> {
        let homes = self.place.pool(Ip::V4, 300, &HOMES)?;
        let turn = Turn::Clock { window_s: 43_200, replaced: 1 };
        let home = Rota { members: 4, turn, ..Rota::fixed(homes, 1) };
        let notes = "dynamic DNS below a listed suffix: one home, new address twice a day";
        let rules = everywhere(vec![home], Ttl::fixed(60));
        let listed = self.place.family("dynamic_dns", Truth::Benign, notes, rules.clone());
        let home_hosts = ["attic-nas", "kalle-cam", "oma-garten", "ridge-weather", "tomsgarage"];
        for host in home_hosts {
            let apex = format!("{host}.duckdns.org");
            self.domain(&apex, listed.clone(), Names::Hosts(&[""]), &A, ALL, often(12.0));
        }
        let notes = "dynamic DNS below an unlisted suffix: 40 homes, new addresses twice a day";
        let unlisted = self.place.family("dynamic_dns_unlisted", Truth::Benign, notes, rules);
        let names = Names::Numbered { prefix: "box", count: 40 };
        self.domain("dynhosts.example", unlisted, names, &A, ALL, often(60.0));

        let data = Data::Spelled { ttl: Ttl::fixed(3600) };
        let rules = vec![Rule { owner: Owners::Below, data }];
        let notes = "an access provider's names for its customers, which spell the address";
        let family = self.place.family("address_in_name", Truth::Benign, notes, rules);
        let names = Names::Spelled { prefix: "cpe-", pool: homes };
        self.domain("citycable.example", family, names, &A, ALL, often(80.0));

        let data = Data::Listed { listed_pct: 40, ttl: Ttl::fixed(300) };
        let rules = vec![Rule { owner: Owners::Below, data }];
        let notes = "blocking list: answers in 127/8, or no such name";
        let family = self.place.family("dnsbl", Truth::Benign, notes, rules);
        let names = Names::Reversed { pool: homes };
        self.domain("zen.dnsbl.example", family, names, &A, 0..4, often(120.0));

        let servers = Rota { members: 3, ..Rota::fixed(self.place.servers, 3) };
        let rules = everywhere(vec![servers], Ttl::fixed(120));
        let notes = "IPv4 alone, asked from an IPv6-only network through DNS64";
        let family = self.place.family("dns64", Truth::Benign, notes, rules);
        let names = Names::Hosts(&["www", ""]);
        let both = [(Rtype::AAAA, 3), (Rtype::A, 1)];
        self.domain("county-records.example", family, names, &both, DNS64_CLIENTS, often(40.0));
        Ok(())
    }

    fn add_ordinary_sites(&mut self) {
        let rotas = [Rota::fixed(self.place.servers, 2), Rota::fixed(self.place.servers_v6, 1)];
        let notes = "DNSSEC: signatures, DS and DNSKEY";
        let rules = hosts(&rotas, Ttl::fixed(900));
        let family = self.place.family("signed", Truth::Benign, notes, rules);
        let family = Family { signed: true, ..family };
        let names = Names::Hosts(&["", "www"]);
        let qtypes = [(Rtype::A, 4), (Rtype::AAAA, 2), (rtype::DS, 1), (rtype::DNSKEY, 1)];
        self.domain("coast-observatory.example", family, names, &qtypes, ALL, often(30.0));

        let families = self.place.ordinary_sites();
        self.place.world.set_population(Population { size: ORDINARY_SITES, families });
        let ordinary = |about, pace| Asker {
            about,
            names: Names::Hosts(&SITE_HOSTS),
            missing_share: 0.06,
            qtypes: USUAL_QTYPES.to_vec(),
            clients: ALL,
            pace,
        };
        self.askers.push(ordinary(About::Popular, often(480.0)));
        let period_s = DURATION_S as f64 / f64::from(ORDINARY_SITES + 1);
        self.askers.push(ordinary(About::Sweep, Pace::Beacon { period_s, jitter: 0.0 }));
    }
}

const fn beacon(period_s: f64) -> Pace {
    Pace::Beacon { period_s, jitter: 0.25 }
}

const fn often(per_hour: f64) -> Pace {
    Pace::Poisson { per_hour }
}
