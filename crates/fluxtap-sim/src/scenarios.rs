//! The scenarios that detection is measured with, by name.

use crate::address::{AddressBook, NoSuchAddress};
use crate::crowd::{CLIENTS, Crowd, clients};
use crate::fault::Faults;
use crate::place::{Place, SITE_HOSTS, START, USUAL_QTYPES, many_resolvers};
use crate::run::{Scenario, Until};
use crate::traffic::{About, Asker, Names, Pace, View};
use crate::world::Population;
use crate::{lookalikes, suspects};

/// A scenario by name, and how it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// A day below six resolvers: every family of flux and every look-alike.
    Below,
    /// The same day above them.
    Above,
    /// The same below, with 30 % of the packets lost.
    Loss,
    /// The same below, with a fifth of the packets twice and a tenth late.
    Disorder,
    /// A week below: slow flux, rotation of one address, slow look-alikes.
    Week,
    /// A day below at a large network: very many ordinary domains with a few look-alikes.
    Crowd,
}

impl Named {
    /// All, in the order of the quality grid.
    pub const ALL: [Self; 6] =
        [Self::Below, Self::Above, Self::Loss, Self::Disorder, Self::Week, Self::Crowd];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Above => "above",
            Self::Loss => "loss",
            Self::Disorder => "disorder",
            Self::Week => "week",
            Self::Crowd => "crowd",
        }
    }

    /// One line about it.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Below => "a day below six resolvers, 0.1 % of packets lost, 0.2 % twice",
            Self::Above => "the same day above the resolvers",
            Self::Loss => "the same day below, 30 % of packets lost",
            Self::Disorder => "the same day below, 20 % of packets twice and 10 % late",
            Self::Week => "a week below: slow flux and slow look-alikes",
            Self::Crowd => "a day below at a large network: ordinary domains, few look-alikes",
        }
    }

    const fn days(self) -> u64 {
        if matches!(self, Self::Week) { 7 } else { 1 }
    }

    const fn view(self) -> View {
        if matches!(self, Self::Above) { View::Above } else { View::Below }
    }

    const fn faults(self) -> Faults {
        let usual = Faults { loss_share: 0.001, duplicate_share: 0.002, reorder_share: 0.0 };
        match self {
            Self::Loss => Faults { loss_share: 0.3, ..usual },
            Self::Disorder => Faults { duplicate_share: 0.2, reorder_share: 0.1, ..usual },
            _ => usual,
        }
    }
}

/// How large a scenario is.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Domains of each family of flux and of each look-alike.
    pub each: u32,
    /// Ordinary domains.
    pub domains: u32,
    /// Questions about an ordinary domain a day, on average.
    pub questions_per_domain: f64,
}

const RESOLVERS: u8 = 6;

/// Makes a scenario.
///
/// # Errors
/// When `book` knows no address of a kind that is needed.
pub fn scenario(
    named: Named,
    seed: u64,
    scale: Scale,
    book: &dyn AddressBook,
) -> Result<Scenario, NoSuchAddress> {
    let place = Place::new(seed, book, 4_096)?;
    let mut crowd = Crowd { place, askers: Vec::new(), each: scale.each };
    let mut forgeries = Vec::new();
    let mut rare = Vec::new();
    match named {
        Named::Week => {
            suspects::add_rotation(&mut crowd)?;
            lookalikes::add_slow(&mut crowd)?;
        }
        Named::Crowd => {
            suspects::add_all(&mut crowd)?;
            rare = lookalikes::in_population(&mut crowd)?;
        }
        Named::Below | Named::Above | Named::Loss | Named::Disorder => {
            suspects::add_all(&mut crowd)?;
            forgeries = lookalikes::add_all(&mut crowd)?;
        }
    }
    add_population(&mut crowd, scale, rare);
    let resolvers = many_resolvers(RESOLVERS);
    Ok(Scenario {
        seed,
        start: START,
        until: Until::Seconds(named.days() * 86_400),
        world: crowd.place.world,
        clients: clients(resolvers.len()),
        resolvers,
        askers: crowd.askers,
        view: named.view(),
        forgeries,
        faults: named.faults(),
    })
}

/// Ordinary domains, all asked about once a day, and often or seldom besides. `rare` are families
/// among them with their numbers in a million.
fn add_population(crowd: &mut Crowd<'_>, scale: Scale, rare: Vec<(usize, u32)>) {
    const MILLION: u32 = 1_000_000;
    let left = MILLION - rare.iter().map(|(_, weight)| weight).sum::<u32>();
    let ordinary = crowd.place.ordinary_sites();
    let total: u32 = ordinary.iter().map(|(_, weight)| weight).sum();
    let shares = ordinary.into_iter().map(|(family, weight)| (family, left / total * weight));
    let families = shares.chain(rare).collect();
    crowd.place.world.set_population(Population { size: scale.domains, families });
    let asker = |about, pace| Asker {
        about,
        names: Names::Hosts(&SITE_HOSTS),
        missing_share: 0.06,
        qtypes: USUAL_QTYPES.to_vec(),
        clients: 0..CLIENTS,
        pace,
    };
    let domains = f64::from(scale.domains.max(1));
    let more = (scale.questions_per_domain - 1.0).max(0.0);
    let per_hour = domains * more / 24.0;
    let sweep = Pace::Beacon { period_s: 86_400.0 / domains, jitter: 0.0 };
    crowd.askers.push(asker(About::Sweep, sweep));
    if per_hour > 0.0 {
        crowd.askers.push(asker(About::Popular, Pace::Poisson { per_hour }));
    }
}
