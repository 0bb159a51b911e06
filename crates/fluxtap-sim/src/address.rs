//! Where simulated hosts live: pools of ordinary unicast addresses, drawn by seed and kept when the
//! address table says that they are of the wanted kind.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fluxtap_intel::{AddressClass, Intel, Owner, special};

use crate::random::{Random, by_weight};

/// Candidates drawn for one address before a pool gives up. The rarest wish of the shipped
/// scenarios, one autonomous system, needs some thousands.
pub const DRAWS_PER_ADDRESS_MAX: u32 = 500_000;

/// Who owns an address. The scenarios ask the table of `fluxtap-intel`; tests bring their own.
pub trait AddressBook {
    /// The owner of `ip`.
    fn owner(&self, ip: IpAddr) -> Owner;
}

impl AddressBook for Intel {
    fn owner(&self, ip: IpAddr) -> Owner {
        Self::owner(self, ip)
    }
}

/// What an address of a pool must be. An empty list or `None` means: anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Kind of network.
    pub class: Option<AddressClass>,
    /// Country codes, one of which it must have.
    pub countries: &'static [&'static str],
    /// Autonomous systems, one of which must announce it.
    pub asns: &'static [u32],
}

impl Wish {
    /// Any network of a class.
    pub const fn class(class: AddressClass) -> Self {
        Self { class: Some(class), countries: &[], asns: &[] }
    }

    fn is_met_by(&self, owner: &Owner) -> bool {
        self.class.is_none_or(|class| class == owner.class)
            && (self.asns.is_empty() || self.asns.contains(&owner.asn))
            && (self.countries.is_empty()
                || owner.country.as_str().is_some_and(|code| self.countries.contains(&code)))
    }
}

/// Addresses of one family from which domains draw.
#[derive(Clone, Debug)]
pub struct Pool {
    addresses: Vec<IpAddr>,
}

impl Pool {
    /// Draws `size` different addresses, each for one of the weighted wishes.
    ///
    /// # Errors
    /// [`NoSuchAddress`] when [`DRAWS_PER_ADDRESS_MAX`] candidates in a row are not wanted.
    pub fn draw(
        book: &dyn AddressBook,
        random: &mut Random,
        family: Family,
        size: usize,
        wishes: &[(Wish, u32)],
    ) -> Result<Self, NoSuchAddress> {
        let mut addresses = Vec::with_capacity(size);
        let mut taken = BTreeSet::new();
        while addresses.len() < size {
            let wish = by_weight(wishes, random.bits());
            let found = (0..DRAWS_PER_ADDRESS_MAX)
                .map(|_| family.candidate(random))
                .find(|ip| {
                    !special::is_special_use(*ip)
                        && wish.is_met_by(&book.owner(*ip))
                        && !taken.contains(ip)
                })
                .ok_or(NoSuchAddress { family, wish: *wish })?;
            taken.insert(found);
            addresses.push(found);
        }
        Ok(Self { addresses })
    }

    /// The same addresses in groups of `size` that one autonomous system announces; what is left
    /// over of a system goes.
    #[must_use]
    pub fn grouped(mut self, book: &dyn AddressBook, size: usize) -> Self {
        self.addresses.sort_by_cached_key(|ip| book.owner(*ip).asn);
        let systems = self.addresses.chunk_by(|a, b| book.owner(*a).asn == book.owner(*b).asn);
        let whole = systems.flat_map(|system| system.chunks_exact(size).flatten());
        Self { addresses: whole.copied().collect() }
    }

    /// Each IPv4 address replaced by the `size` that are next to each other around it, as an
    /// operator owns them; `size` is a power of two, at most 64.
    #[must_use]
    pub fn in_blocks(self, size: u32) -> Self {
        let blocks = self.addresses.into_iter().flat_map(|ip| match ip {
            IpAddr::V4(ip) => {
                // Neither the first nor the last of a /24, with its network and broadcast numbers.
                let network = ip.to_bits() & !0xff;
                let last = network + 256 - 2 * size;
                let first = (ip.to_bits() & !(size - 1)).clamp(network + size, last);
                (first..first + size).map(|bits| IpAddr::from(Ipv4Addr::from(bits))).collect()
            }
            IpAddr::V6(_) => vec![ip],
        });
        Self { addresses: blocks.collect() }
    }

    /// The addresses in the order in which they were drawn.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether these are IPv6 addresses.
    pub fn is_ipv6(&self) -> bool {
        self.addresses.first().is_some_and(IpAddr::is_ipv6)
    }
}

/// Address family of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// First 16 bits of the /12 blocks in use by the regional registries (IANA, "IPv6 Global Unicast
/// Address Assignments"), where a random address has a fair chance of being announced.
const IPV6_BLOCKS: [u16; 5] = [0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00];

impl Family {
    fn candidate(self, random: &mut Random) -> IpAddr {
        match self {
            Self::V4 => {
                let [a, b, c, d] = (random.bits() as u32).to_be_bytes();
                // Network and broadcast numbers of a /24 look wrong in an answer.
                Ipv4Addr::new(a, b, c, d.clamp(1, 254)).into()
            }
            Self::V6 => {
                let block = IPV6_BLOCKS[random.below(IPV6_BLOCKS.len() as u64) as usize];
                let network = u64::from(block) << 48 | random.bits() >> 12;
                Ipv6Addr::from(u128::from(network) << 64 | u128::from(random.bits())).into()
            }
        }
    }
}

/// No address of the wanted kind was found.
#[derive(Clone, Copy, Debug)]
pub struct NoSuchAddress {
    family: Family,
    wish: Wish,
}

impl fmt::Display for NoSuchAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, wish } = self;
        write!(
            f,
            "address table: got no {family:?} address of class {}, country {:?}, asn {:?} in {DRAWS_PER_ADDRESS_MAX} draws; the scenario needs a table that knows some",
            wish.class.map_or("any", AddressClass::as_str),
            wish.countries,
            wish.asns
        )
    }
}

impl std::error::Error for NoSuchAddress {}

#[cfg(test)]
pub(crate) mod tests {
    use fluxtap_intel::Country;

    use super::*;
    use crate::random::mix_bytes;

    /// A table for tests: class, country and system are functions of the first 16 bits.
    pub(crate) struct StandIn;

    impl AddressBook for StandIn {
        fn owner(&self, ip: IpAddr) -> Owner {
            let hash = match ip {
                IpAddr::V4(ip) => mix_bytes(4, &ip.octets()[..2]),
                IpAddr::V6(ip) => mix_bytes(6, &ip.octets()[..4]),
            };
            let class = match hash % 10 {
                0..5 => AddressClass::Access,
                5..7 => AddressClass::Hosting,
                7 => AddressClass::Cdn,
                8 => AddressClass::Education,
                _ => AddressClass::Unknown,
            };
            let countries = [*b"UA", *b"RU", *b"RO", *b"DE", *b"US", *b"BR", *b"IN", *b"VN"];
            let country = Country::from_code(countries[(hash >> 8) as usize % countries.len()]);
            let cdn = [13_335, 16_509, 54_113, 20_940];
            let asn = match class {
                AddressClass::Cdn | AddressClass::Hosting => cdn[(hash >> 16) as usize % cdn.len()],
                _ => 1 + (hash >> 16) as u32 % 60_000,
            };
            Owner { asn, country: country.unwrap_or_default(), class, hyperscaler: false }
        }
    }

    #[test]
    fn pools_hold_what_was_wished_for_and_nothing_twice() {
        let mut random = Random::new(1, 1);
        let ukraine = Wish { countries: &["UA"], ..Wish::class(AddressClass::Access) };
        for family in [Family::V4, Family::V6] {
            let pool = Pool::draw(&StandIn, &mut random, family, 300, &[(ukraine, 1)]).unwrap();
            let different: BTreeSet<_> = pool.addresses().iter().collect();
            assert_eq!((different.len(), pool.is_ipv6()), (300, family == Family::V6));
            for &ip in pool.addresses() {
                let owner = StandIn.owner(ip);
                assert_eq!(owner.class, AddressClass::Access, "{ip}");
                assert_eq!(owner.country.as_str(), Some("UA"), "{ip}");
                assert!(!special::is_special_use(ip), "{ip}");
            }
        }
    }

    #[test]
    fn a_wish_that_nobody_meets_is_an_error() {
        let nowhere = Wish { countries: &["ZZ"], ..Wish::default() };
        let drawn = Pool::draw(&StandIn, &mut Random::new(1, 1), Family::V4, 1, &[(nowhere, 1)]);
        let message = drawn.unwrap_err().to_string();
        assert!(message.contains(r#"country ["ZZ"]"#), "{message}");
    }
}
