//! The authoritative side: which domains there are and what is at a name.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use fluxtap_intel::suffix;
use fluxtap_wire::{Name, name};

use crate::address::Pool;
use crate::family::{Data, Delegation, Family, NsNames, Rule, Target};
use crate::random::{by_weight, mix, mix_bytes};

/// Number of a domain: first the listed ones, then the population.
pub type DomainId = u32;

/// All domains and the addresses they use.
#[derive(Clone, Debug, Default)]
pub struct World {
    seed: u64,
    families: Vec<Family>,
    domains: Vec<Domain>,
    by_apex: BTreeMap<Vec<u8>, DomainId>,
    population: Option<Population>,
    pools: Vec<Pool>,
}

/// One domain: a family and what tells it from others of the family.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    /// Name of the zone's apex.
    pub apex: Name,
    /// Index of its family.
    pub family: usize,
    salt: u64,
}

/// Many domains that exist only as a rule: the n-th is derived when somebody asks for it.
#[derive(Clone, Debug)]
pub struct Population {
    /// How many.
    pub size: u32,
    /// Index of a family and its weight.
    pub families: Vec<(usize, u32)>,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Adds a pool and gives its index.
    pub fn add_pool(&mut self, pool: Pool) -> usize {
        self.pools.push(pool);
        self.pools.len() - 1
    }

    /// Adds a family and gives its index.
    pub fn add_family(&mut self, family: Family) -> usize {
        self.families.push(family);
        self.families.len() - 1
    }

    /// Adds a domain of a family.
    ///
    /// # Panics
    /// When `apex` is no name, is there already, or comes after the population was set: a mistake
    /// in the scenario.
    pub fn add_domain(&mut self, apex: &str, family: usize) -> DomainId {
        assert!(self.population.is_none(), "the listed domains come before the population");
        let apex = parse(apex);
        let id = self.domains.len() as DomainId;
        let known = self.by_apex.insert(apex.as_wire().to_vec(), id);
        assert!(known.is_none(), "domain {apex} is twice in the scenario");
        self.domains.push(Domain { apex, family, salt: mix_bytes(self.seed, apex.as_wire()) });
        id
    }

    /// Sets the population, whose domains are numbered from [`World::population_start`].
    pub fn set_population(&mut self, population: Population) {
        self.population = Some(population);
    }

    /// Number of the population's first domain.
    pub fn population_start(&self) -> DomainId {
        self.domains.len() as DomainId
    }

    /// Size of the population.
    pub fn population_size(&self) -> u32 {
        self.population.as_ref().map_or(0, |population| population.size)
    }

    /// All domain numbers.
    pub fn ids(&self) -> std::ops::Range<DomainId> {
        0..self.population_start() + self.population_size()
    }

    /// A domain.
    ///
    /// # Panics
    /// When there is none of that number.
    pub fn domain(&self, id: DomainId) -> Domain {
        if let Some(domain) = self.domains.get(id as usize) {
            return *domain;
        }
        let rank = id - self.population_start();
        let population = self.population.as_ref().filter(|population| rank < population.size);
        let population = population.expect("a domain number below the end of World::ids");
        let salt = mix(self.seed ^ 0x706f_7075_6c61, u64::from(rank));
        let family = *by_weight(&population.families, mix(salt, 1));
        Domain { apex: invented_name(salt, rank), family, salt }
    }

    /// The family of a domain.
    pub fn family(&self, domain: &Domain) -> &Family {
        &self.families[domain.family]
    }

    /// Number of pools.
    pub fn pool_count(&self) -> usize {
        self.pools.len()
    }

    /// A pool.
    pub fn pool(&self, index: usize) -> &Pool {
        &self.pools[index]
    }

    /// A server of the zone above a domain: one of the first pool.
    ///
    /// # Panics
    /// When the world has no pool.
    pub(crate) fn parent_server(&self, domain: &Domain) -> IpAddr {
        let pool = self.pool(0).addresses();
        pool[mix(mix(domain.salt, 5) % 4, 6) as usize % pool.len()]
    }

    /// The listed domain whose zone holds `owner`.
    pub(crate) fn zone_of(&self, owner: &Name) -> Option<&Domain> {
        let mut rest = owner.as_wire();
        while let Some((&length @ 1.., _)) = rest.split_first() {
            if let Some(&id) = self.by_apex.get(rest) {
                return self.domains.get(id as usize);
            }
            rest = &rest[1 + usize::from(length)..];
        }
        None
    }

    /// What is at `owner`, a name at or below the domain's apex; `None` when it does not exist.
    pub(crate) fn data(&self, domain: &Domain, owner: &Name) -> Option<&Data> {
        let rules = &self.family(domain).rules;
        let fits = |rule: &&Rule| rule.owner.fit(owner, &domain.apex);
        rules.iter().find(fits).map(|rule| &rule.data)
    }
}

impl Domain {
    /// The registrable domain: public suffix and one label; the apex where that is a suffix itself.
    pub fn registered(&self) -> Name {
        let wire = self.apex.as_wire();
        let start = suffix::registrable(wire).unwrap_or(0);
        Name::from_wire(&wire[start..]).unwrap_or(self.apex)
    }

    /// What the domain's own choices are hashed with.
    pub(crate) const fn salt(&self) -> u64 {
        self.salt
    }

    /// Whether the zone's servers answer without NS and glue that nobody asked for.
    pub(crate) const fn has_minimal_servers(&self, delegation: &Delegation) -> bool {
        matches!(delegation.names, NsNames::Provider { .. }) && self.salt >> 40 & 1 == 1
    }

    /// Calls `each` with the names of the zone's name servers at a time.
    pub(crate) fn name_servers(
        &self,
        delegation: &Delegation,
        fetched_us: u64,
        mut each: impl FnMut(Name),
    ) {
        match delegation.names {
            NsNames::Provider { count } => {
                let provider = mix(self.salt, 2) % u64::from(count.max(1));
                let zone = format!("dns-{provider}");
                for host in ["ns1", "ns2"] {
                    each(short_name([host, &zone, "example"]));
                }
            }
            NsNames::Own { shown, of, window_s } => {
                let epoch = (fetched_us / 1_000_000).checked_div(u64::from(window_s)).unwrap_or(0);
                for place in 0..u64::from(shown) {
                    let number = 1 + (epoch * u64::from(shown) + place) % u64::from(of);
                    each(child(format!("ns{number}").as_bytes(), &self.apex));
                }
            }
        }
    }
}

impl Target {
    /// The target of the alias at `owner`.
    pub(crate) fn name(self, domain: &Domain, owner: &Name) -> Name {
        match self {
            Self::Apex => domain.apex,
            Self::Under(zone) => {
                let zone = parse(zone);
                let mut name = Name::root();
                let mut labels = name::labels(owner.as_wire()).chain(name::labels(zone.as_wire()));
                let whole = labels.all(|label| name.push_label(label));
                assert!(whole, "names of a scenario are short: {owner} under {zone}");
                name
            }
            Self::Coded { prefix, zone } => {
                let mut label = prefix.as_bytes().to_vec();
                push_base36(&mut label, mix_bytes(domain.salt, owner.as_wire()) >> 24);
                child(&label, &parse(zone))
            }
        }
    }
}

/// The IPv4 address that the last four numbers in the owner's first label spell.
pub(crate) fn spelled_address(owner: &Name) -> Option<IpAddr> {
    let label = std::str::from_utf8(name::labels(owner.as_wire()).next()?).ok()?;
    let mut parts = label.rsplitn(5, '-').map(str::parse::<u8>);
    let mut octets = [0; 4];
    for place in octets.iter_mut().rev() {
        *place = parts.next()?.ok()?;
    }
    Some(Ipv4Addr::from(octets).into())
}

/// `label` below `parent`.
pub(crate) fn child(label: &[u8], parent: &Name) -> Name {
    let mut name = Name::root();
    let mut whole = name.push_label(label);
    for label in name::labels(parent.as_wire()) {
        whole &= name.push_label(label);
    }
    assert!(
        whole,
        "names of a scenario are short: a label of {} bytes below {parent}",
        label.len()
    );
    name
}

/// A name of three labels that are known to be short.
fn short_name(labels: [&str; 3]) -> Name {
    let mut name = Name::root();
    for label in labels {
        name.push_label(label.as_bytes());
    }
    name
}

/// A name written in a scenario.
pub(crate) fn parse(text: &str) -> Name {
    Name::from_text(text).unwrap_or_else(|| panic!("scenario: got '{text}', expected a name"))
}

const FIRST_WORDS: [&str; 32] = [
    "amber", "birch", "cedar", "copper", "coral", "dawn", "delta", "ember", "fern", "flint",
    "gale", "granite", "harbor", "hazel", "indigo", "ivory", "juniper", "lark", "linden", "maple",
    "meadow", "north", "ocean", "olive", "pine", "quiet", "river", "silver", "stone", "summit",
    "violet", "willow",
];

const SECOND_WORDS: [&str; 32] = [
    "arts", "bakery", "books", "cafe", "clinic", "craft", "cycles", "dental", "design", "energy",
    "farm", "films", "forum", "garden", "games", "kitchen", "labs", "legal", "market", "media",
    "motors", "music", "news", "photo", "print", "school", "shop", "sports", "studio", "tools",
    "travel", "works",
];

/// A made-up name; the number in it keeps the names of a population apart.
fn invented_name(salt: u64, rank: u32) -> Name {
    let mut label = Vec::with_capacity(24);
    label.extend_from_slice(FIRST_WORDS[salt as usize % 32].as_bytes());
    if salt >> 16 & 1 == 1 {
        label.push(b'-');
    }
    label.extend_from_slice(SECOND_WORDS[(salt >> 8) as usize % 32].as_bytes());
    push_base36(&mut label, u64::from(rank));
    let mut name = Name::root();
    name.push_label(&label);
    name.push_label(if salt >> 17 & 3 == 0 { b"test" } else { b"example" });
    name
}

/// Appends a number with the digits 0-9 and a-z.
pub(crate) fn push_base36(label: &mut Vec<u8>, mut number: u64) {
    let start = label.len();
    loop {
        label.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    label[start..].reverse();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::{Owners, Rota, Truth, Ttl};

    fn family(rules: Vec<Rule>) -> Family {
        let delegation = Delegation {
            names: NsNames::Own { shown: 3, of: 5, window_s: 60 },
            ttl: Ttl::fixed(60),
            glue: Rota::fixed(0, 1),
            glue_ttl: Ttl::fixed(60),
        };
        Family {
            name: "some",
            truth: Truth::Benign,
            notes: "",
            rules,
            delegation,
            signed: false,
            https: false,
        }
    }

    #[test]
    fn names_lead_to_their_zone() {
        let mut world = World::new(1);
        let some = world.add_family(family(Vec::new()));
        for apex in ["cdn.example", "eu.cdn.example", "other.example"] {
            world.add_domain(apex, some);
        }
        for (owner, zone) in [
            ("a.b.cdn.example", Some("cdn.example")),
            ("a.eu.cdn.example", Some("eu.cdn.example")),
            ("eu.cdn.example", Some("eu.cdn.example")),
            ("notcdn.example", None),
            ("example", None),
        ] {
            let found = world.zone_of(&parse(owner)).map(|domain| domain.apex);
            assert_eq!(found, zone.map(parse), "{owner}");
        }
    }

    #[test]
    fn a_population_is_different_names_in_the_given_shares() {
        let mut world = World::new(7);
        let [a, b] = [world.add_family(family(Vec::new())), world.add_family(family(Vec::new()))];
        world.add_domain("listed.example", a);
        world.set_population(Population { size: 20_000, families: vec![(a, 99), (b, 1)] });
        let domains: Vec<Domain> = world.ids().map(|id| world.domain(id)).collect();
        let names: std::collections::BTreeSet<Name> = domains.iter().map(|d| d.apex).collect();
        assert_eq!(names.len(), 20_001);
        let rare = domains.iter().filter(|domain| domain.family == b).count();
        assert!((150..250).contains(&rare), "{rare}");
        assert!(domains.iter().all(|domain| domain.registered() == domain.apex));
    }

    #[test]
    fn targets_servers_and_spelled_addresses() {
        let mut world = World::new(1);
        let some = world.add_family(family(Vec::new()));
        let id = world.add_domain("pool.site.example", some);
        let domain = world.domain(id);
        assert_eq!(domain.registered(), parse("site.example"));
        let owner = parse("www.pool.site.example");
        assert_eq!(Target::Apex.name(&domain, &owner), domain.apex);
        let under = Target::Under("edge.test").name(&domain, &owner);
        assert_eq!(under, parse("www.pool.site.example.edge.test"));
        let coded = Target::Coded { prefix: "d", zone: "cdn.test" };
        assert_eq!(coded.name(&domain, &owner), coded.name(&domain, &owner));
        assert_ne!(coded.name(&domain, &owner), coded.name(&domain, &domain.apex));
        let servers = |at_s: u64| {
            let mut names = Vec::new();
            let delegation = &world.family(&domain).delegation;
            domain.name_servers(delegation, at_s * 1_000_000, |name| names.push(name.to_string()));
            names.join(" ")
        };
        assert_eq!(servers(0), "ns1.pool.site.example ns2.pool.site.example ns3.pool.site.example");
        assert_eq!(
            servers(60),
            "ns4.pool.site.example ns5.pool.site.example ns1.pool.site.example"
        );
        for (owner, expect) in [
            ("cpe-81-2-3-40.isp.example", Some("81.2.3.40")),
            ("81-2-3-40.isp.example", Some("81.2.3.40")),
            ("cpe-81-2-300-40.isp.example", None),
            ("www.isp.example", None),
        ] {
            let expect = expect.map(|ip: &str| ip.parse().unwrap());
            assert_eq!(spelled_address(&parse(owner)), expect, "{owner}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let spelled = |max_s| Data::Spelled { ttl: Ttl::fixed(max_s) };
        let mut world = World::new(1);
        let rules = vec![
            Rule { owner: Owners::Label("www"), data: spelled(1) },
            Rule { owner: Owners::Below, data: spelled(2) },
        ];
        let some = world.add_family(family(rules));
        let id = world.add_domain("site.example", some);
        let ttl = |owner| match world.data(&world.domain(id), &parse(owner)) {
            Some(Data::Spelled { ttl }) => Some(ttl.max_s),
            _ => None,
        };
        assert_eq!(ttl("www.site.example"), Some(1));
        assert_eq!(ttl("mail.site.example"), Some(2));
        assert_eq!(ttl("site.example"), None);
    }
}
