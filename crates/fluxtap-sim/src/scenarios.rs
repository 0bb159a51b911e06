//! The scenarios that detection is measured with, by name.

use crate::address::{AddressBook, NoSuchAddress};
use crate::crowd::{CLIENTS, Crowd, clients};
use crate::fault::Faults;
use crate::place::{Place, SITE_HOSTS, START, USUAL_QTYPES, many_resolvers};
use crate::run::{Scenario, Until};
use crate::traffic::{About, Asker, Names, Pace, View};
use crate::world::Population;
use crate::{lookalikes, suspects};

/// What a scenario shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// Three hours: flux that changes its set within the hour, all look-alikes.
    Fast,
    /// A day: flux that changes or shows seldom, all look-alikes.
    Slow,
    /// A week: rotation of one address, flux of name servers, look-alikes that change in hours.
    Week,
    /// A day at a large network: very many domains, look-alikes as rare as they are thought to be,
    /// one domain of each flux family.
    Crowd,
    /// An hour: very many domains that are asked about once, a few in flux between them.
    Flood,
}

/// What is between the traffic and the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tap {
    Below,
    Above,
    Loss,
    Disorder,
}

/// A scenario by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    name: &'static str,
    about: &'static str,
    subject: Subject,
    tap: Tap,
}

impl Named {
    /// All: those of the quality grid in its order, then the others.
    pub const ALL: [Self; 11] = [
        Self::new("fast-below", "3 h below six resolvers: fast flux", Subject::Fast, Tap::Below),
        Self::new("fast-above", "the same above the resolvers", Subject::Fast, Tap::Above),
        Self::new("fast-loss", "the same below, 30 % of packets lost", Subject::Fast, Tap::Loss),
        Self::new(
            "fast-disorder",
            "the same below, 20 % of packets twice and 10 % late",
            Subject::Fast,
            Tap::Disorder,
        ),
        Self::new("slow-below", "24 h below six resolvers: slow flux", Subject::Slow, Tap::Below),
        Self::new("slow-above", "the same above the resolvers", Subject::Slow, Tap::Above),
        Self::new("slow-loss", "the same below, 30 % of packets lost", Subject::Slow, Tap::Loss),
        Self::new("week-below", "7 d below: rotation, name servers", Subject::Week, Tap::Below),
        Self::new("week-above", "the same above the resolvers", Subject::Week, Tap::Above),
        Self::new("crowd", "24 h below at a large network", Subject::Crowd, Tap::Below),
        Self::new("flood", "1 h below, for very many domains", Subject::Flood, Tap::Below),
    ];

    const fn new(name: &'static str, about: &'static str, subject: Subject, tap: Tap) -> Self {
        Self { name, about, subject, tap }
    }

    /// The scenario of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|named| named.name == name)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.name
    }

    /// One line about it.
    #[must_use]
    pub const fn about(self) -> &'static str {
        self.about
    }

    /// Whether the quality grid has it.
    #[must_use]
    pub const fn is_in_grid(self) -> bool {
        !matches!(self.subject, Subject::Flood)
    }

    /// How long it is, in seconds.
    #[must_use]
    pub const fn duration_s(self) -> u64 {
        match self.subject {
            Subject::Fast => 3 * 3_600,
            Subject::Flood => 3_600,
            Subject::Slow | Subject::Crowd => 86_400,
            Subject::Week => 7 * 86_400,
        }
    }

    const fn faults(self) -> Faults {
        let usual = Faults { loss_share: 0.001, duplicate_share: 0.002, reorder_share: 0.0 };
        match self.tap {
            Tap::Loss => Faults { loss_share: 0.3, ..usual },
            Tap::Disorder => Faults { duplicate_share: 0.2, reorder_share: 0.1, ..usual },
            Tap::Below | Tap::Above => usual,
        }
    }
}

/// How large a scenario is.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Domains of each family of flux.
    pub each: u32,
    /// Domains of each look-alike.
    pub lookalikes: u32,
    /// Ordinary domains.
    pub domains: u32,
    /// Questions about an ordinary domain in all, on average.
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
    match named.subject {
        Subject::Fast => {
            suspects::add_fast(&mut crowd)?;
            crowd.each = scale.lookalikes;
            forgeries = lookalikes::add_all(&mut crowd)?;
        }
        Subject::Slow => {
            suspects::add_slow(&mut crowd)?;
            crowd.each = scale.lookalikes;
            forgeries = lookalikes::add_all(&mut crowd)?;
        }
        Subject::Week => {
            suspects::add_week(&mut crowd)?;
            crowd.each = scale.lookalikes;
            lookalikes::add_week(&mut crowd)?;
        }
        Subject::Crowd => {
            suspects::add_fast(&mut crowd)?;
            suspects::add_slow(&mut crowd)?;
            rare = lookalikes::in_population(&mut crowd)?;
        }
        Subject::Flood => suspects::add_sure(&mut crowd)?,
    }
    add_population(&mut crowd, named, scale, rare);
    let resolvers = many_resolvers(RESOLVERS);
    Ok(Scenario {
        seed,
        start: START,
        until: Until::Seconds(named.duration_s()),
        world: crowd.place.world,
        clients: clients(resolvers.len()),
        resolvers,
        askers: crowd.askers,
        view: if named.tap == Tap::Above { View::Above } else { View::Below },
        tcp_share: 0.0,
        forgeries,
        faults: named.faults(),
    })
}

/// Ordinary domains, all asked about once, and often or seldom besides. `rare` are families
/// among them with their numbers in a million.
fn add_population(crowd: &mut Crowd<'_>, named: Named, scale: Scale, rare: Vec<(usize, u32)>) {
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
    let duration_s = named.duration_s() as f64;
    // A little faster than needed, so that the end does not cut the last domain off.
    let sweep = Pace::Beacon { period_s: 0.98 * duration_s / domains, jitter: 0.0 };
    crowd.askers.push(asker(About::Sweep, sweep));
    let more = domains * (scale.questions_per_domain - 1.0).max(0.0);
    if more > 0.0 {
        let pace = Pace::Poisson { per_hour: more * 3_600.0 / duration_s };
        crowd.askers.push(asker(About::Popular, pace));
    }
}
