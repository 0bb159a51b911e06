//! What an entry names, and how lists write it.

use crate::allow::{BITS_MIN, asn_number, bits_of, network_of, unmapped};
use crate::labels::{Labels, wire_form};
use crate::suffix::suffix_of;
use std::fmt;
use std::net::IpAddr;

/// Longest text that is read as one indicator, in bytes; URLs may be long.
const TEXT_OCTETS_MAX: usize = 4_096;

/// Which names an entry covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Scope {
    /// The name alone.
    Exact,
    /// The names below it alone.
    Below,
    /// Both.
    Whole,
}

/// What an entry of a list names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indicator {
    /// A name in lower-case wire form, and how far it reaches.
    Name(Box<[u8]>, Scope),
    /// Addresses that share this many leading bits; the others are 0. IPv4 in an IPv6 form is IPv4.
    Network(IpAddr, u8),
    /// An autonomous system.
    Asn(u32),
}

/// Why a text is of no use as an indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unusable {
    /// It is none.
    NoIndicator,
    /// It is a public suffix, below which are everybody's names.
    PublicSuffix,
    /// It is a network wider than /8, or /16 of IPv6.
    TooWide,
}

impl Unusable {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::NoIndicator, Self::PublicSuffix, Self::TooWide];

    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoIndicator => "no domain, address, network, AS number or URL",
            Self::PublicSuffix => "a public suffix, which would cover everybody's names below it",
            Self::TooWide => "a network wider than /8, or /16 of IPv6",
        }
    }
}

impl Indicator {
    /// Reads a domain, an address, a network, an autonomous system (`AS64500`) or a URL, of which
    /// its host alone counts. Takes what people write to keep others from clicking
    /// (`hxxp://evil[.]example`), a port behind an address, and `*.` or `.` before a name.
    ///
    /// # Errors
    /// Says why it is of no use.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        let text = text.trim();
        if text.is_empty() || text.len() > TEXT_OCTETS_MAX {
            return Err(Unusable::NoIndicator);
        }
        if text.contains("[.]") {
            return Self::parse(&text.replace("[.]", "."));
        }
        if let Some((_, rest)) = text.split_once("://") {
            return Self::of_host(url_host(rest));
        }
        if let Ok(ip) = text.parse() {
            return Self::network(ip, bits_of(ip));
        }
        if let Some((ip, bits)) = text.split_once('/')
            && let (Ok(ip), Ok(bits)) = (ip.parse(), bits.parse())
        {
            return Self::network(ip, bits);
        }
        if let Some(number) = asn_number(text).filter(|_| !text.starts_with(|c| c <= '9')) {
            return Ok(Self::Asn(number));
        }
        match text.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => Self::of_host(host),
            _ => Self::name(text, Scope::Whole),
        }
    }

    /// Reads the number of an autonomous system, with `AS` before it or without.
    ///
    /// # Errors
    /// Says that it is none.
    pub fn asn(text: &str) -> Result<Self, Unusable> {
        asn_number(text.trim()).map(Self::Asn).ok_or(Unusable::NoIndicator)
    }

    /// A name as text, with the final dot or without; `*.` before it means the names below it, a
    /// dot what `scope` says.
    ///
    /// # Errors
    /// Refuses what is no host name, and public suffixes, which cover everybody's names.
    pub fn name(text: &str, scope: Scope) -> Result<Self, Unusable> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (name, scope) = match name.strip_prefix("*.") {
            Some(below) => (below, Scope::Below),
            None => (name.strip_prefix('.').unwrap_or(&name), scope),
        };
        let wire = wire_form(name).ok_or(Unusable::NoIndicator)?;
        // What ends in a number is an address that was cut or mistyped (RFC 3696 section 2).
        let last = name.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Unusable::NoIndicator);
        }
        match suffix_of(&wire) {
            Some(suffix) if suffix.at > 0 => Ok(Self::Name(wire, scope)),
            Some(suffix) if suffix.section.is_some() => Err(Unusable::PublicSuffix),
            // One label that nobody delegates below is a word.
            _ => Err(Unusable::NoIndicator),
        }
    }

    /// Addresses that share the first bits with one.
    ///
    /// # Errors
    /// Refuses networks that cover a great part of all addresses.
    pub fn network(ip: IpAddr, bits: u8) -> Result<Self, Unusable> {
        if bits > bits_of(ip) {
            return Err(Unusable::NoIndicator);
        }
        let (ip, bits) = unmapped(ip, bits);
        if bits < BITS_MIN[usize::from(ip.is_ipv6())] {
            return Err(Unusable::TooWide);
        }
        Ok(Self::Network(network_of(ip, bits), bits))
    }

    /// One host: the name alone, and not what is below it.
    fn of_host(host: &str) -> Result<Self, Unusable> {
        match host.trim_matches(['[', ']']).parse() {
            Ok(ip) => Self::network(ip, bits_of(ip)),
            Err(_) => Self::name(host, Scope::Exact),
        }
    }
}

/// The host of a URL behind its scheme (RFC 3986 section 3.2).
fn url_host(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    }
}

impl fmt::Display for Indicator {
    /// As a list would write it: `evil.example`, `*.evil.example`, `192.0.2.7`, `192.0.2.0/24`,
    /// `AS64500`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(wire, scope) => {
                f.write_str(if *scope == Scope::Below { "*." } else { "" })?;
                let labels = Labels::new_checked(wire);
                let labels: Vec<&[u8]> = labels.iter().flat_map(Labels::right_to_left).collect();
                for (i, label) in labels.iter().rev().enumerate() {
                    // They were read from plain letters, digits, hyphens and underscores.
                    let label = std::str::from_utf8(label).unwrap_or("?");
                    write!(f, "{}{label}", if i > 0 { "." } else { "" })?;
                }
                Ok(())
            }
            Self::Network(ip, bits) if *bits == bits_of(*ip) => write!(f, "{ip}"),
            Self::Network(ip, bits) => write!(f, "{ip}/{bits}"),
            Self::Asn(number) => write!(f, "AS{number}"),
        }
    }
}
