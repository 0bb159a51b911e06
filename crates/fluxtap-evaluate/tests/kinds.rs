//! How often the kinds of networks are right, over 200 autonomous systems that were classed by hand, and
//! what the size and shape of announced space would add.

use fluxtap_evaluate::proportion;
use fluxtap_intel::{AddressClass, Intel};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

static BY_HAND: &str = include_str!("data/asn-kinds.tsv");
static DOCUMENTATION: &str = include_str!("../../../docs/detection.md");

/// The table the list was drawn from; another has other systems.
const TABLE_DATE: &str = "2026-06-17";

/// Least announced addresses of each size, largest first, and how many systems of it there are.
const SIZES: [u64; 4] = [1 << 20, 1 << 16, 1 << 13, 1 << 8];
const OF_EACH_SIZE: usize = 50;

/// What the table says of an autonomous system.
#[derive(Default)]
struct Announced {
    class: AddressClass,
    v4_addresses: u64,
    v4_ranges: u64,
    v6_ranges: u64,
    countries: BTreeMap<String, u64>,
}

impl Announced {
    /// Share of the IPv4 addresses in the country that has most of them.
    fn in_one_country(&self) -> f64 {
        let most = self.countries.values().max().copied().unwrap_or(0);
        most as f64 / self.v4_addresses.max(1) as f64
    }
}

fn announced(intel: &Intel) -> BTreeMap<u32, Announced> {
    let table = intel.table().expect("the embedded table");
    let mut systems: BTreeMap<u32, Announced> = BTreeMap::new();
    let starts = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    for mut ip in starts {
        loop {
            let (owner, (first, last)) = (table.owner(ip), table.range(ip));
            let system = systems.entry(owner.asn).or_default();
            system.class = owner.class;
            ip = match (first, last) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    let addresses = u64::from(last.to_bits() - first.to_bits()) + 1;
                    system.v4_addresses += addresses;
                    system.v4_ranges += 1;
                    let country = owner.country.as_str().unwrap_or_default().to_owned();
                    *system.countries.entry(country).or_default() += addresses;
                    let Some(next) = last.to_bits().checked_add(1) else { break };
                    Ipv4Addr::from_bits(next).into()
                }
                (_, IpAddr::V6(last)) => {
                    system.v6_ranges += 1;
                    let Some(next) = last.to_bits().checked_add(1) else { break };
                    Ipv6Addr::from_bits(next).into()
                }
                _ => unreachable!("a range is of one family"),
            };
        }
    }
    systems.remove(&0);
    systems
}

fn by_hand() -> Vec<(u32, &'static str)> {
    let lines = BY_HAND.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            assert_eq!(columns.len(), 4, "{line}");
            (columns[0].parse().expect("a number"), columns[1])
        })
        .collect()
}

/// A share with its interval, as the documentation has it.
fn told(hits: usize, of: usize) -> String {
    let bounds = proportion(hits as u64, of as u64);
    format!("{hits} of {of} | {:.2} to {:.2}", bounds.low, bounds.high)
}

#[test]
fn kinds_are_right_as_often_as_the_documentation_says() {
    let intel = Intel::embedded();
    let systems = announced(&intel);
    let mut rows = Vec::new();
    for kind in ["access", "hosting", "education"] {
        let says = |asn: u32| systems.get(&asn).map_or("", |system| system.class.as_str());
        let said: Vec<&str> =
            by_hand().iter().filter(|(asn, _)| says(*asn) == kind).map(|(_, hand)| *hand).collect();
        let right = said.iter().filter(|hand| **hand == kind).count();
        let there = by_hand().iter().filter(|(_, hand)| *hand == kind).count();
        rows.push(format!("| {kind} | {} | {} |", told(right, said.len()), told(right, there)));
        assert!(100 * right >= 95 * said.len(), "{kind}: {right} of {}", said.len());
    }
    // What size and shape would say of those whose kind is not known.
    type Rule = fn(&Announced) -> bool;
    let rules: [(&str, Rule); 4] = [
        ("2^20 addresses and more", |s| s.v4_addresses >= 1 << 20),
        ("2^16 and more, 95 % of them in one country, IPv6", |s| {
            s.v4_addresses >= 1 << 16 && s.v6_ranges > 0 && s.in_one_country() > 0.95
        }),
        ("2^13 to 2^16 in 5 ranges and more, 95 % of them in one country, IPv6", |s| {
            (1 << 13..1 << 16).contains(&s.v4_addresses)
                && s.v4_ranges >= 5
                && s.v6_ranges > 0
                && s.in_one_country() > 0.95
        }),
        ("ranges of 2^13 and more on average, IPv6", |s| {
            s.v4_addresses >= s.v4_ranges << 13 && s.v6_ranges > 0
        }),
    ];
    for (name, rule) in rules {
        let hands = by_hand();
        let fitting = hands.iter().filter(|(asn, _)| {
            systems.get(asn).is_some_and(|s| s.class == AddressClass::Unknown && rule(s))
        });
        let fitting: Vec<&str> = fitting.map(|(_, hand)| *hand).collect();
        let access = fitting.iter().filter(|hand| **hand == "access").count();
        rows.push(format!("| {name} | {} |", told(access, fitting.len())));
    }
    if intel.table_info().and_then(|table| table.date) == Some(TABLE_DATE) {
        for row in rows {
            assert!(DOCUMENTATION.contains(&row), "docs/detection.md lacks: {row}");
        }
    }
}

#[test]
fn the_list_is_the_draw_it_says_it_is() {
    let intel = Intel::embedded();
    if intel.table_info().and_then(|table| table.date) != Some(TABLE_DATE) {
        return;
    }
    let systems = announced(&intel);
    let mut drawn = Vec::new();
    let mut above = u64::MAX;
    for least in SIZES {
        let of_size = systems.iter().filter(|(_, s)| (least..above).contains(&s.v4_addresses));
        let mut hashed: Vec<_> =
            of_size.map(|(asn, _)| (Sha256::digest(format!("fluxtap {asn}")), *asn)).collect();
        hashed.sort_unstable();
        drawn.extend(hashed.iter().take(OF_EACH_SIZE).map(|(_, asn)| *asn));
        above = least;
    }
    assert_eq!(drawn, by_hand().iter().map(|(asn, _)| *asn).collect::<Vec<_>>());
    for (_, kind) in by_hand() {
        assert!(["access", "hosting", "education", "other"].contains(&kind), "{kind}");
    }
}
