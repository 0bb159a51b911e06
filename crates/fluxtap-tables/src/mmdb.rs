//! MaxMind DB files: each network with the ASN and the country of its record.
//!
//! The tree is walked once and becomes ranges. Layouts differ by provider; a record is asked for
//! every field that is known, in order, so files that mix them are read as well:
//!
//! | field | whose |
//! |---|---|
//! | `autonomous_system_number`, `autonomous_system_organization` | MaxMind GeoLite2 ASN, DB-IP ASN Lite, ip-location-db |
//! | `asn` (`AS13335`), `as_name` or `name` | IPinfo |
//! | `country.iso_code`, else `registered_country.iso_code` | MaxMind GeoLite2 Country and City, DB-IP Country Lite |
//! | `country_code` | IPinfo Lite, ip-location-db |
//! | `country` as text | IPinfo before Lite |
//!
//! See <https://dev.maxmind.com/geoip/docs/databases/asn/>,
//! <https://db-ip.com/db/format/ip-to-country-lite/mmdb.html> and
//! <https://ipinfo.io/developers/ipinfo-lite-database>.

use std::collections::BTreeMap;
use std::net::IpAddr;

use fluxtap_intel::{Country, Day};
use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions, path};

use crate::row::Span;
use crate::{Content, Data, Facts, InputError, Taker, asn_of, country_of};

/// What stands before the description of a MaxMind DB, at its end.
const MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";

/// Where the mark is searched: the format allows 128 KiB behind it.
const MARK_SEARCHED: usize = (128 << 10) + MARK.len();

/// Most networks for each node of a tree, those without data included. A sound tree has one more
/// than nodes and repeats a part of them; one that was made to be walked for ever is given up here.
const NETWORKS_PER_NODE_MAX: u64 = 16;

/// The parts of IPv6 that are given out (RFC 4291 section 2.4), and all of IPv4.
const WALKED: [&str; 2] = ["0.0.0.0/0", "2000::/3"];

/// Networks of IPv6 under which many files repeat all of IPv4: Teredo (RFC 4380) and 6to4
/// (RFC 3056), with prefix length.
const ALIASES: [(u128, u32); 2] = [(0x2001_0000 << 96, 32), (0x2002 << 112, 16)];

/// Whether the bytes have the mark where a MaxMind DB has it.
pub(crate) fn is_mmdb(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(MARK_SEARCHED)..];
    tail.windows(MARK.len()).any(|window| window == MARK)
}

/// Reads all networks.
pub(crate) fn read(bytes: &[u8]) -> Result<Content, InputError> {
    let reader = Reader::from_source(bytes).map_err(damaged)?;
    let metadata = reader.metadata();
    let mut taker = Taker::new();
    let networks_left = NETWORKS_PER_NODE_MAX * (u64::from(metadata.node_count) + 1);
    let mut walk = Walk { networks_left, ..Walk::default() };
    for whole in WALKED {
        let is_v6 = whole.contains(':');
        if is_v6 && metadata.ip_version == 4 {
            continue;
        }
        let whole = whole.parse().map_err(|_| InputError::Mmdb("no such network".to_owned()))?;
        // Networks without data as well, so that each step is seen here and can be counted.
        let options =
            WithinOptions::default().include_aliased_networks().include_networks_without_data();
        for found in reader.within(whole, options).map_err(damaged)? {
            walk.step(&found.map_err(damaged)?, is_v6, &mut taker)?;
        }
    }
    if !walk.has_asns && !walk.has_countries {
        let database_type = metadata.database_type.clone();
        return Err(InputError::MmdbFields { database_type });
    }
    let facts = Facts {
        asns: walk.has_asns.then_some(taker.asns),
        countries: walk.has_countries.then_some(taker.countries),
        names: taker.names,
    };
    Ok(Content {
        format: format!("MaxMind DB {}", metadata.database_type),
        // A time beyond the calendar is none.
        day: Day::parse(&Day::of(metadata.build_epoch).to_string()),
        notes: taker.notes,
        data: Data::Rows(facts),
    })
}

fn damaged(error: MaxMindDbError) -> InputError {
    InputError::Mmdb(error.to_string())
}

/// The state of a walk.
#[derive(Default)]
struct Walk {
    networks_left: u64,
    /// What the record at each offset says: most records stand for many networks.
    records: BTreeMap<usize, (u32, Country)>,
    has_asns: bool,
    has_countries: bool,
}

impl Walk {
    fn step(
        &mut self,
        found: &LookupResult<'_, &[u8]>,
        is_v6: bool,
        taker: &mut Taker,
    ) -> Result<(), InputError> {
        let Some(left) = self.networks_left.checked_sub(1) else {
            return Err(InputError::Mmdb("a tree with more branches than nodes".to_owned()));
        };
        self.networks_left = left;
        let Some(offset) = found.offset() else { return Ok(()) };
        let network = found.network().map_err(damaged)?;
        let span = match (network.ip(), is_v6) {
            // A record above the place where IPv4 begins holds all of it.
            (IpAddr::V6(_), false) => Span::of_network(IpAddr::from([0; 4]), 0),
            (IpAddr::V6(ip), true) if is_alias(ip.to_bits(), network.prefix().into()) => None,
            (ip, _) => Span::of_network(ip, network.prefix().into()),
        };
        let Some(span) = span else { return Ok(()) };
        let (asn, country) = match self.records.get(&offset) {
            Some(&known) => known,
            None => self.record(found, offset, taker)?,
        };
        taker.take(span, 0, asn, country)
    }

    /// Reads a record that was not met before.
    fn record(
        &mut self,
        found: &LookupResult<'_, &[u8]>,
        offset: usize,
        taker: &mut Taker,
    ) -> Result<(u32, Country), InputError> {
        let asn = asn(found)?;
        let country = country(found)?;
        self.has_asns |= asn.is_some();
        self.has_countries |= country.is_some();
        let record = (asn.unwrap_or(0), country.unwrap_or(Country::UNKNOWN));
        if record.0 != 0 {
            let paths: [&[PathElement<'_>]; 3] =
                [&path!["autonomous_system_organization"], &path!["as_name"], &path!["name"]];
            for path in paths {
                if let Some(name) = lenient(found.decode_path::<&str>(path))? {
                    taker.name(record.0, name);
                    break;
                }
            }
        }
        self.records.insert(offset, record);
        Ok(record)
    }
}

fn asn(found: &LookupResult<'_, &[u8]>) -> Result<Option<u32>, InputError> {
    for path in [path!["autonomous_system_number"], path!["asn"]] {
        if let Some(asn) = lenient(found.decode_path::<u32>(&path))? {
            return Ok(Some(asn));
        }
        if let Some(text) = lenient(found.decode_path::<&str>(&path))? {
            return match asn_of(text) {
                Some(asn) => Ok(Some(asn)),
                None if text.is_empty() => Ok(Some(0)),
                None => Err(InputError::Mmdb(format!("a record with the ASN '{text}'"))),
            };
        }
    }
    Ok(None)
}

fn country(found: &LookupResult<'_, &[u8]>) -> Result<Option<Country>, InputError> {
    let paths: [&[PathElement<'_>]; 4] = [
        &path!["country", "iso_code"],
        &path!["registered_country", "iso_code"],
        &path!["country_code"],
        &path!["country"],
    ];
    for path in paths {
        if let Some(text) = lenient(found.decode_path::<&str>(path))? {
            return match country_of(text) {
                Some(country) => Ok(Some(country)),
                None => Err(InputError::Mmdb(format!("a record with the country '{text}'"))),
            };
        }
    }
    Ok(None)
}

/// A field of another type than asked for is one of another layout.
fn lenient<T>(field: Result<Option<T>, MaxMindDbError>) -> Result<Option<T>, InputError> {
    match field {
        Err(MaxMindDbError::Decoding { .. }) => Ok(None),
        field => field.map_err(damaged),
    }
}

fn is_alias(ip: u128, prefix_len: u32) -> bool {
    ALIASES.iter().any(|&(alias, len)| prefix_len >= len && (ip ^ alias) >> (128 - len) == 0)
}
