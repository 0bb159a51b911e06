//! Many domains of each family, each with a stream of questions of its own.

use fluxtap_wire::Rtype;

use crate::family::Family;
use crate::place::Place;
use crate::random::mix;
use crate::traffic::{About, Asker, Client, Names, Pace};
use crate::world::DomainId;

/// Clients of a scenario with many domains.
pub(crate) const CLIENTS: usize = 240;

/// Questions about IPv4 alone.
pub(crate) const A: &[(Rtype, u32)] = &[(Rtype::A, 1)];

/// Questions as of dual-stack clients.
pub(crate) const BOTH: &[(Rtype, u32)] = &[(Rtype::A, 3), (Rtype::AAAA, 2)];

/// A world under construction, with who asks.
pub(crate) struct Crowd<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) askers: Vec<Asker>,
    /// Domains of each family.
    pub(crate) each: u32,
}

/// How a domain is asked about.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) names: Names,
    pub(crate) qtypes: &'static [(Rtype, u32)],
    pub(crate) pace: Pace,
    /// How many clients ask. Neighbours have different resolvers.
    pub(crate) clients: usize,
}

impl Asking {
    /// A machine of each of `clients` people calls home; together every `period_s` seconds.
    pub(crate) const fn calls(clients: usize, period_s: f64) -> Self {
        let pace = Pace::Beacon { period_s, jitter: 0.25 };
        Self { names: Names::Hosts(&["", "www"]), qtypes: A, pace, clients }
    }

    /// People ask now and then, `per_hour` times.
    pub(crate) const fn often(per_hour: f64) -> Self {
        let pace = Pace::Poisson { per_hour };
        Self { names: Names::Hosts(&["www", ""]), qtypes: BOTH, pace, clients: CLIENTS / 4 }
    }

    /// The same for other names.
    pub(crate) fn names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// The same for other types.
    pub(crate) fn qtypes(self, qtypes: &'static [(Rtype, u32)]) -> Self {
        Self { qtypes, ..self }
    }
}

impl Crowd<'_> {
    /// Adds domains of a family, named after it, and gives their numbers.
    pub(crate) fn add(&mut self, family: Family, asking: &Asking) -> std::ops::Range<DomainId> {
        let word = family.name.replace('_', "-");
        let family = self.place.world.add_family(family);
        let start = self.place.world.population_start();
        for number in 1..=self.each {
            let suffix = if number % 4 == 0 { "test" } else { "example" };
            self.ask(&format!("{word}-{number}.{suffix}"), family, asking.clone());
        }
        start..self.place.world.population_start()
    }

    /// Adds one domain of a family that was added, and who asks about it.
    pub(crate) fn ask(&mut self, apex: &str, family: usize, asking: Asking) {
        let id = self.place.world.add_domain(apex, family);
        let Asking { names, qtypes, pace, clients } = asking;
        let first = mix(u64::from(id), 7) as usize % (CLIENTS - clients + 1);
        self.askers.push(Asker {
            about: About::Domain(id),
            names,
            missing_share: 0.0,
            qtypes: qtypes.to_vec(),
            clients: first..first + clients,
            pace,
        });
    }
}

/// The clients; neighbours have different resolvers.
pub(crate) fn clients(resolvers: usize) -> Vec<Client> {
    (0..CLIENTS).map(|index| crate::place::client(index, index % resolvers, 0.2)).collect()
}
