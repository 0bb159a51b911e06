//! Traffic for measuring: a large population under a realistic mix of questions.

use fluxtap_wire::Rtype;

use crate::address::{AddressBook, Family as Ip, NoSuchAddress};
use crate::compose::rtype;
use crate::family::{
    Data, Delegation, Family, Kind, NsNames, Owners, Rota, Rule, Target, Truth, Ttl, Turn,
};
use crate::fault::Faults;
use crate::place::{
    BOTS, Place, SITE_HOSTS, START, addresses, bots, clients, everywhere, replaced_every, resolvers,
};
use crate::run::{Scenario, Until};
use crate::traffic::{About, Asker, Names, Pace, View};
use crate::world::Population;

/// Size of the traffic.
#[derive(Clone, Copy, Debug)]
pub struct BenchSize {
    /// Responses, each with its query.
    pub responses: u64,
    /// Domains in the population.
    pub domains: u32,
    /// Share of the domains that is flux, 0 to 1.
    pub flux_share: f64,
    /// Event time the responses are spread over, in seconds.
    pub duration_s: u32,
}

const CLIENTS: usize = 4096;

/// Shares of questions as seen at large resolvers: for missing names and over IPv6.
const MISSING_SHARE: f64 = 0.15;
const IPV6_SHARE: f64 = 0.20;

/// Share of the questions that go over TCP at once; truncated replies come on top of them.
const TCP_SHARE: f64 = 0.01;

/// Types by weight in percent; type 65 is what browsers ask beside each address.
const QTYPES: [(Rtype, u32); 5] =
    [(Rtype::A, 62), (Rtype::AAAA, 26), (rtype::HTTPS, 10), (rtype::DS, 1), (rtype::DNSKEY, 1)];

/// Makes the scenario: every domain is asked about once in its turn (for at most half of the
/// responses), the other questions follow the domains' popularity.
///
/// # Errors
/// When `book` knows no address of a kind that is needed.
pub fn bench(
    seed: u64,
    size: BenchSize,
    book: &dyn AddressBook,
) -> Result<Scenario, NoSuchAddress> {
    let mut place = Place::new(seed, book, 4096)?;
    let mut families = Vec::new();
    let ordinary = 1_000_000.0 * (1.0 - size.flux_share);
    for (family, weight) in place.ordinary_sites() {
        families.push((family, (ordinary * f64::from(weight) / 100.0) as u32));
    }
    for (family, weight) in flux_families(&mut place)? {
        families.push((family, (1_000_000.0 * size.flux_share * f64::from(weight) / 100.0) as u32));
    }
    place.world.set_population(Population { size: size.domains, families });
    let asker = |about, pace| Asker {
        about,
        names: Names::Hosts(&SITE_HOSTS),
        missing_share: MISSING_SHARE,
        qtypes: QTYPES.to_vec(),
        clients: 0..CLIENTS,
        pace,
    };
    let per_hour = 3600.0 / f64::from(size.duration_s);
    let swept = f64::from(size.domains).min(size.responses as f64 / 2.0);
    let popular = size.responses as f64 - swept;
    // A little faster than needed, so that the last domain is not cut off by the count.
    let sweep = Pace::Beacon { period_s: 0.98 * f64::from(size.duration_s) / swept, jitter: 0.0 };
    let askers = vec![
        asker(About::Popular, Pace::Poisson { per_hour: popular * per_hour }),
        asker(About::Sweep, sweep),
    ];
    Ok(Scenario {
        seed,
        start: START,
        until: Until::Responses(size.responses),
        world: place.world,
        resolvers: resolvers(),
        clients: clients(CLIENTS, IPV6_SHARE),
        askers,
        view: View::Below,
        tcp_share: TCP_SHARE,
        forgeries: Vec::new(),
        faults: Faults::default(),
    })
}

/// Flux families with their weights in percent.
fn flux_families(place: &mut Place<'_>) -> Result<Vec<(usize, u32)>, NoSuchAddress> {
    let pool = place.pool(Ip::V4, 16_384, &BOTS)?;
    let classic = everywhere(vec![bots(pool, 600, 5, replaced_every(300, 5))], Ttl::fixed(300));
    let ttl = Ttl { max_s: 150, spread_s: 30 };
    let ten = everywhere(vec![bots(pool, 1200, 10, Turn::Fetch)], ttl);
    let one = everywhere(vec![bots(pool, 2000, 1, Turn::Fetch)], Ttl { max_s: 3, spread_s: 3 });
    let alias = Data::Alias { targets: vec![Target::Apex], window_s: 0, ttl: Ttl::fixed(60) };
    let set = addresses(vec![bots(pool, 500, 5, Turn::Fetch)], Ttl::fixed(180));
    let fronted =
        vec![Rule { owner: Owners::Apex, data: set }, Rule { owner: Owners::Below, data: alias }];
    let glue = Rota { by_owner: true, ..bots(pool, 700, 1, replaced_every(300, 1)) };
    let double = Family {
        delegation: Delegation {
            names: NsNames::Own { shown: 3, of: 6, window_s: 300 },
            ttl: Ttl::fixed(300),
            glue,
            glue_ttl: Ttl::fixed(180),
        },
        ..place.family("double", Truth::Flux(Kind::Double), "", classic.clone())
    };
    let families = [
        (place.flux("classic", "", classic), 40),
        (place.flux("dark_cloud", "", ten), 20),
        (place.flux("one_address", "", one), 15),
        (place.flux("alias_fronted", "", fronted), 15),
        (double, 10),
    ];
    Ok(families.map(|(family, weight)| (place.world.add_family(family), weight)).to_vec())
}
