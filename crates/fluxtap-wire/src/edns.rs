//! Options of EDNS (RFC 6891 section 6.1.2): the client subnet (RFC 7871).

use crate::bits::leading_bits;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The option's code (RFC 7871 section 6).
const CLIENT_SUBNET: u16 = 8;

/// The client subnet of a message, as RFC 7871 section 6 lays it out:
///
/// ```text
/// |             FAMILY              |   1 IPv4, 2 IPv6
/// | SOURCE PREFIX-LEN | SCOPE PREFIX-LEN |
/// | ADDRESS...                      |   only the bytes that the source prefix needs
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientSubnet {
    /// The client's address as far as it was told, the rest zero.
    pub address: IpAddr,
    /// Leading bits of the address that were told.
    pub source_len: u8,
    /// Leading bits of the address that the response holds for; 0 if it holds for everybody, and in
    /// queries.
    pub scope_len: u8,
}

/// Why there is no client subnet to be had from an OPT record, though it is there: the options do
/// not fill the record, or the option is not as RFC 7871 section 6 wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOption;

impl ClientSubnet {
    /// The client subnet among the options that are the data of an OPT record; `None` if there is
    /// none. The first one counts.
    ///
    /// # Errors
    /// [`BadOption`] if options do not fit the data, the family is unknown, a prefix is longer than
    /// an address, or the address is not the bytes of the source prefix with zeros behind it.
    pub fn in_options(options: &[u8]) -> Result<Option<Self>, BadOption> {
        let mut rest = options;
        while !rest.is_empty() {
            let ([c0, c1, l0, l1], behind) = rest.split_first_chunk::<4>().ok_or(BadOption)?;
            let len = usize::from(u16::from_be_bytes([*l0, *l1]));
            let (data, next) = behind.split_at_checked(len).ok_or(BadOption)?;
            if u16::from_be_bytes([*c0, *c1]) == CLIENT_SUBNET {
                return Self::new_checked(data).map(Some).ok_or(BadOption);
            }
            rest = next;
        }
        Ok(None)
    }

    /// The network that the response holds for: the address as far as both prefixes reach, and the
    /// length of that. `None` if it holds for everybody.
    #[must_use]
    pub fn scope(&self) -> Option<(IpAddr, u8)> {
        let len = self.scope_len.min(self.source_len);
        let address = match self.address {
            IpAddr::V4(ip) => {
                let bits = leading_bits(u128::from(ip.to_bits()) << 96, len);
                IpAddr::V4(Ipv4Addr::from_bits((bits >> 96) as u32))
            }
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(leading_bits(ip.to_bits(), len))),
        };
        (self.scope_len > 0).then_some((address, len))
    }

    fn new_checked(data: &[u8]) -> Option<Self> {
        let ([f0, f1, source_len, scope_len], told) = data.split_first_chunk::<4>()?;
        let family = u16::from_be_bytes([*f0, *f1]);
        let bits_max = match family {
            1 => 32,
            2 => 128,
            _ => return None,
        };
        let octets = usize::from(source_len.div_ceil(8));
        if *source_len > bits_max || *scope_len > bits_max || told.len() != octets {
            return None;
        }
        let mut all = [0; 16];
        all.get_mut(..octets)?.copy_from_slice(told);
        let bits = u128::from_be_bytes(all);
        if leading_bits(bits, *source_len) != bits {
            return None;
        }
        let address = if family == 1 {
            IpAddr::V4(Ipv4Addr::from_bits((bits >> 96) as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        };
        Some(Self { address, source_len: *source_len, scope_len: *scope_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An option with its code and length in front.
    fn option(code: u16, data: &[u8]) -> Vec<u8> {
        [&code.to_be_bytes(), &(data.len() as u16).to_be_bytes(), data].concat()
    }

    #[test]
    fn client_subnets() {
        let good: [(&str, &[u8], Option<&str>); 7] = [
            ("/24 that holds for the /20", &[0, 1, 24, 20, 198, 51, 100], Some("198.51.96.0/20")),
            ("scope wider than told", &[0, 1, 24, 32, 198, 51, 100], Some("198.51.100.0/24")),
            ("for everybody", &[0, 1, 24, 0, 198, 51, 100], None),
            ("nothing told", &[0, 1, 0, 0], None),
            ("nothing told, still a scope", &[0, 2, 0, 1], Some("::/0")),
            ("IPv6", &[0, 2, 56, 48, 0x20, 1, 0xd, 0xb8, 0, 1, 2], Some("2001:db8:1::/48")),
            ("odd bits", &[0, 1, 9, 9, 10, 0x80], Some("10.128.0.0/9")),
        ];
        for (what, data, expect) in good {
            let subnet = ClientSubnet::in_options(&option(8, data)).expect(what);
            let scope = subnet.expect("the option").scope();
            let scope = scope.map(|(ip, len)| format!("{ip}/{len}"));
            assert_eq!(scope.as_deref(), expect, "{what}");
        }
        let bad: [(&str, &[u8]); 10] = [
            ("bits behind the prefix", &[0, 1, 9, 9, 10, 0xc0]),
            ("a byte too many", &[0, 1, 24, 24, 1, 2, 3, 0]),
            ("a byte too few", &[0, 1, 24, 24, 1, 2]),
            ("a long IPv4 prefix", &[0, 1, 33, 0, 1, 2, 3, 4, 0]),
            ("a long IPv4 scope", &[0, 1, 24, 33, 1, 2, 3]),
            ("a long IPv6 scope", &[0, 2, 8, 129, 32]),
            ("no family", &[0, 0, 0, 0]),
            ("another family", &[0, 3, 0, 0]),
            ("no prefix lengths", &[0, 1, 24]),
            ("empty", &[]),
        ];
        for (what, data) in bad {
            assert_eq!(ClientSubnet::in_options(&option(8, data)), Err(BadOption), "{what}");
        }
    }

    #[test]
    fn options_are_walked_and_cut_ones_refused() {
        let subnet = option(8, &[0, 1, 8, 8, 10]);
        let cookie = option(10, &[7; 8]);
        let found = ClientSubnet::in_options(&[&cookie[..], &subnet, &cookie].concat());
        assert_eq!(found.unwrap().unwrap().scope().unwrap().1, 8);
        assert_eq!(ClientSubnet::in_options(&[]), Ok(None));
        assert_eq!(ClientSubnet::in_options(&[cookie.clone(), cookie.clone()].concat()), Ok(None));
        // The first one counts, whatever follows it.
        let two = [subnet.clone(), option(8, &[])].concat();
        assert!(ClientSubnet::in_options(&two).is_ok());
        let options = [cookie, subnet].concat();
        for end in 1..options.len() {
            let got = ClientSubnet::in_options(&options[..end]);
            // Only at the border of two options does a cut leave none.
            assert_eq!(got, if end == 12 { Ok(None) } else { Err(BadOption) }, "cut at {end}");
        }
    }
}
