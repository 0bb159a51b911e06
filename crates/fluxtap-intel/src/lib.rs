//! Look-ups about names and addresses: public suffixes, address to owner, curated zones.
//!
//! Everything needed is compiled in, so that the sensor starts with nothing but itself; there are
//! no files, no clock and no network here. The address table is used where it lies in the program:
//! nothing is unpacked, and only the pages that are looked at are read. A table of the user's own
//! ([`Table::open`], [`Table::build`]) takes its place whole.
//!
//! What the table says is a hint: it is months old, the registries know owners and not hosts, and
//! an unknown network is neutral. No detection may need it.
//!
//! Limits: a table has at most [`table::format::OWNERS_MAX`] owners, a zone list at most
//! [`ZONES_MAX`] zones.

#![forbid(unsafe_code)]

mod allow;
mod curated;
mod day;
mod labels;
pub mod nearest;
mod owner;
pub mod sinkhole;
pub mod special;
pub mod suffix;
pub mod table;
mod threat;
mod zones;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

pub use allow::{
    ALLOW_ENTRIES_MAX, ALLOW_LINE_OCTETS_MAX, AllowEntry, AllowList, AllowMistake, Covers, InForce,
};
pub use curated::Curated;
pub use day::Day;
pub use owner::{AddressClass, Country, Owner};
use table::Table;
pub use threat::{
    Indicator, Scope, THREAT_ENTRIES_MAX, THREAT_LISTS_MAX, ThreatDraft, ThreatHit, ThreatList,
    ThreatLists, TooMany, Unusable,
};
pub use zones::{Mistake, ParseError, ZONES_MAX, Zone, ZoneKind, Zones};

static EMBEDDED_TABLE: &[u8] = include_bytes!("../data/addresses.fxtb");
static EMBEDDED_ZONES: &str = include_str!("../../../sensor-config/curated-zones.tsv");

/// All look-ups behind one handle: cheap to build and to clone, free to share between threads.
#[derive(Clone, Debug)]
pub struct Intel {
    table: Option<Arc<Table>>,
    curated: Curated,
    allow: Arc<AllowList>,
    threats: Arc<ThreatLists>,
}

impl Intel {
    /// Look-ups with the table that is compiled in.
    pub fn embedded() -> Self {
        Self {
            table: embedded_table().cloned(),
            curated: Curated::default(),
            allow: Arc::default(),
            threats: Arc::default(),
        }
    }

    /// Look-ups with a table of the user's.
    pub fn with_table(table: Table) -> Self {
        Self { table: Some(Arc::new(table)), ..Self::embedded() }
    }

    /// Look-ups without any address table: every owner is [`Owner::UNKNOWN`].
    pub fn without_table() -> Self {
        Self { table: None, ..Self::embedded() }
    }

    /// The same with other use of the curated lists.
    #[must_use]
    pub fn with_curated(self, curated: Curated) -> Self {
        Self { curated, ..self }
    }

    /// The same with the operator's allow list.
    #[must_use]
    pub fn with_allow(self, allow: AllowList) -> Self {
        Self { allow: Arc::new(allow), ..self }
    }

    /// The same with lists of what is bad.
    #[must_use]
    pub fn with_threats(self, threats: ThreatLists) -> Self {
        Self { threats: Arc::new(threats), ..self }
    }

    /// How the curated lists are used.
    #[must_use]
    pub const fn curated(&self) -> &Curated {
        &self.curated
    }

    /// The operator's allow list; empty without one.
    #[must_use]
    pub fn allow(&self) -> &AllowList {
        &self.allow
    }

    /// The lists of what is bad; empty without any.
    #[must_use]
    pub fn threats(&self) -> &ThreatLists {
        &self.threats
    }

    /// Whether owners can be told; an alert made without says so.
    pub fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// The table in use.
    pub fn table(&self) -> Option<&Table> {
        self.table.as_deref()
    }

    /// Who announces the address, where it is registered, and what kind of network that is.
    ///
    /// IPv6 is told apart down to /64; special-use addresses are not looked up differently, ask
    /// [`special::is_special_use`] first.
    pub fn owner(&self, ip: IpAddr) -> Owner {
        self.table().map_or(Owner::UNKNOWN, |table| self.curated.owner(table.owner(ip)))
    }

    /// The name of an autonomous system, for alerts.
    pub fn org(&self, asn: u32) -> Option<&str> {
        self.table()?.name(asn)
    }

    /// Origin, age and size of the table in use; `None` without one.
    pub fn table_info(&self) -> Option<TableInfo<'_>> {
        let table = self.table()?;
        let header = table.header();
        Some(TableInfo {
            origin: if table.is_embedded() { "embedded" } else { "user" },
            source: &header.source,
            date: header.date.as_deref(),
            ranges_v4: header.ranges_v4,
            ranges_v6: header.ranges_v6,
            asns: header.asns,
            bytes: table.as_bytes().len(),
        })
    }

    /// The curated zone that a name in lower-case wire form is equal to or below, of those that are
    /// used.
    pub fn zone(&self, wire_name: &[u8]) -> Option<&Zone> {
        embedded_zones().as_ref().ok()?.find(wire_name, |zone| self.curated.has_zone(zone))
    }

    /// All curated zones, used or not, sorted by wire form.
    pub fn zones(&self) -> &[Zone] {
        Self::zones_listed()
    }

    fn zones_listed() -> &'static [Zone] {
        embedded_zones().as_ref().map_or(&[], Zones::as_slice)
    }
}

/// Origin, age and size of an address table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableInfo<'a> {
    /// Who provided the table: `embedded` or `user`.
    pub origin: &'static str,
    /// The data it was made from, with versions.
    pub source: &'a str,
    /// Day of the data, `YYYY-MM-DD`, where it is known.
    pub date: Option<&'a str>,
    /// IPv4 ranges, gaps included.
    pub ranges_v4: u32,
    /// IPv6 ranges, gaps included.
    pub ranges_v6: u32,
    /// Autonomous systems with a name.
    pub asns: u32,
    /// Bytes in memory.
    pub bytes: usize,
}

// The embedded data cannot fail to open: tests see to it. Should it ever, the sensor runs on as
// one without a table, which alerts and `table_info` show, rather than not at all.

fn embedded_table() -> Option<&'static Arc<Table>> {
    static TABLE: OnceLock<Option<Arc<Table>>> = OnceLock::new();
    TABLE.get_or_init(|| Table::embedded(EMBEDDED_TABLE).ok().map(Arc::new)).as_ref()
}

fn embedded_zones() -> &'static Result<Zones, Vec<ParseError>> {
    static ZONES: OnceLock<Result<Zones, Vec<ParseError>>> = OnceLock::new();
    ZONES.get_or_init(|| Zones::parse(EMBEDDED_ZONES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in text.split('.') {
            wire.push(u8::try_from(label.len()).expect("a short label"));
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        wire
    }

    #[test]
    fn the_embedded_data_decodes() {
        assert_eq!(Table::open(EMBEDDED_TABLE.to_vec()).err(), None);
        assert_eq!(embedded_zones().as_ref().err(), None);
        let intel = Intel::embedded();
        assert!(intel.has_table());
        let info = intel.table_info().expect("a table");
        assert_eq!((info.origin, info.date.map(str::len)), ("embedded", Some(10)));
        assert!(
            info.ranges_v4 > 300_000 && info.ranges_v6 > 100_000 && info.asns > 70_000,
            "{info:?}"
        );
        assert!(!intel.zones().is_empty());
    }

    #[test]
    fn facts_that_outlive_a_refresh() {
        use AddressClass::{Access, Cdn, Education, Hosting, Unknown};
        let intel = Intel::embedded();
        for (ip, asn, country, class, hyperscaler) in [
            ("8.8.8.8", 15169, "US", Hosting, true),
            ("1.1.1.1", 13335, "AU", Cdn, false),
            ("2001:4860:4860::8888", 15169, "US", Hosting, true),
            ("2606:4700:4700::1111", 13335, "US", Cdn, false),
            ("9.9.9.9", 19281, "US", Unknown, false),
            ("193.0.6.139", 3333, "NL", Unknown, false),
            ("18.9.22.69", 3, "US", Education, false),
            ("80.128.0.1", 3320, "DE", Access, false),
            ("73.0.0.1", 7922, "US", Access, false),
            ("2003::1", 3320, "DE", Access, false),
        ] {
            let owner = intel.owner(ip.parse().expect("an address"));
            let got = (owner.asn, owner.country.as_str(), owner.class, owner.hyperscaler);
            assert_eq!(got, (asn, Some(country), class, hyperscaler), "{ip}");
        }
        for ip in ["0.0.0.0", "10.0.0.1", "255.255.255.255", "::1", "fe80::1", "::ffff:8.8.8.8"] {
            assert_eq!(intel.owner(ip.parse().expect("an address")), Owner::UNKNOWN, "{ip}");
        }
        assert_eq!(intel.org(15169), Some("Google LLC"));
        assert_eq!(intel.org(0), None);
    }

    #[test]
    fn without_a_table_nothing_is_claimed() {
        let intel = Intel::without_table();
        assert!(!intel.has_table());
        assert_eq!(intel.owner("8.8.8.8".parse().expect("an address")), Owner::UNKNOWN);
        assert_eq!((intel.org(15169), intel.table_info()), (None, None));
        // Zones are names, they need no table.
        assert!(intel.zone(&wire("0.pool.ntp.org")).is_some());
    }

    #[test]
    fn zones_of_operators_are_known_and_those_of_customers_are_not() {
        let intel = Intel::embedded();
        for (name, expect) in [
            ("e1234.dscb.akamaiedge.net", Some(ZoneKind::Cdn)),
            ("d111111abcdef8.cloudfront.net", Some(ZoneKind::Cdn)),
            ("web-1.eu-west-1.elb.amazonaws.com", Some(ZoneKind::Cdn)),
            ("web-1.elb.eu-west-1.amazonaws.com", Some(ZoneKind::Cdn)),
            ("3.de.pool.ntp.org", Some(ZoneKind::Pool)),
            ("x9.seed.bitcoin.sipa.be", Some(ZoneKind::Pool)),
            ("akamaiedge.net.evil.example", None),
            ("ntp.org", None),
            ("shop.trafficmanager.net", None),
            ("a.akadns.net", None),
            ("host.duckdns.org", None),
            ("app.workers.dev", None),
            ("app.herokudns.com", None),
            ("site.azurewebsites.net", None),
            ("www.example.com.cdn.cloudflare.net", None),
            ("ec2-1-2-3-4.eu-west-1.compute.amazonaws.com", None),
        ] {
            assert_eq!(intel.zone(&wire(name)).map(|zone| zone.kind), expect, "{name}");
        }
    }
}
