//! Address hints in SVCB and HTTPS records (RFC 9460 section 7.3).

use crate::name::NAME_OCTETS_MAX;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Keys of the hints among the parameters (RFC 9460 section 14.3.2).
const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;

/// The addresses that a service record says its target has, so that a client may begin before it
/// has asked for them: RFC 9460 section 2.2 has the form, section 7.3 the meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressHints<'a> {
    ipv4: &'a [u8],
    ipv6: &'a [u8],
}

/// The data of a service record is not as RFC 9460 section 2.2 wants it, which makes a client throw
/// it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadService;

impl<'a> AddressHints<'a> {
    /// The hints in the data of an SVCB or HTTPS record; none if it is an alias, whose parameters
    /// mean nothing (RFC 9460 section 2.4.2).
    ///
    /// # Errors
    /// [`BadService`] if the target is no uncompressed name, the parameters do not fill the data or
    /// are not in strict order of their keys, or a list of hints is empty or ends within an address.
    pub fn in_service(data: &'a [u8]) -> Result<Self, BadService> {
        let ([p0, p1], behind) = data.split_first_chunk::<2>().ok_or(BadService)?;
        let target_len = uncompressed_len(behind).ok_or(BadService)?;
        let mut rest = behind.get(target_len..).ok_or(BadService)?;
        let mut hints = Self::default();
        let mut last: Option<u16> = None;
        while !rest.is_empty() {
            let ([k0, k1, l0, l1], values) = rest.split_first_chunk::<4>().ok_or(BadService)?;
            let len = usize::from(u16::from_be_bytes([*l0, *l1]));
            let (value, next) = values.split_at_checked(len).ok_or(BadService)?;
            let key = u16::from_be_bytes([*k0, *k1]);
            if last.is_some_and(|last| key <= last) {
                return Err(BadService);
            }
            let is_list = |octets: usize| !value.is_empty() && value.len().is_multiple_of(octets);
            match key {
                IPV4_HINT if is_list(4) => hints.ipv4 = value,
                IPV6_HINT if is_list(16) => hints.ipv6 = value,
                IPV4_HINT | IPV6_HINT => return Err(BadService),
                _ => {}
            }
            (last, rest) = (Some(key), next);
        }
        let is_alias = (*p0, *p1) == (0, 0);
        Ok(if is_alias { Self::default() } else { hints })
    }

    /// The addresses, IPv4 first, each list in its order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<'a> {
        let ipv4 = self.ipv4.as_chunks::<4>().0.iter().map(|ip| Ipv4Addr::from(*ip).into());
        let ipv6 = self.ipv6.as_chunks::<16>().0.iter().map(|ip| Ipv6Addr::from(*ip).into());
        ipv4.chain(ipv6)
    }
}

/// Length of the uncompressed name that `octets` begin with.
fn uncompressed_len(octets: &[u8]) -> Option<usize> {
    let name = octets.get(..octets.len().min(NAME_OCTETS_MAX))?;
    let mut at = 0_usize;
    loop {
        match *name.get(at)? {
            0 => return Some(at.wrapping_add(1)),
            // At most 64 behind an offset in a name.
            length @ 1..0x40 => at = at.wrapping_add(usize::from(length)).wrapping_add(1),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(key: u16, value: &[u8]) -> Vec<u8> {
        [&key.to_be_bytes(), &(value.len() as u16).to_be_bytes(), value].concat()
    }

    fn read(data: &[u8]) -> Result<Vec<String>, BadService> {
        AddressHints::in_service(data).map(|hints| hints.iter().map(|ip| ip.to_string()).collect())
    }

    #[test]
    fn hints_are_read_and_bad_services_refused() {
        let alpn = parameter(1, b"\x02h2");
        let v4 = parameter(4, &[192, 0, 2, 1, 192, 0, 2, 2]);
        let v6 = parameter(6, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let service = |parts: &[&[u8]]| [&[0, 1, 0][..], &parts.concat()].concat();
        let named = [b"\x00\x01\x03svc\x04test\x00", &v4[..]].concat();
        let both = vec!["192.0.2.1", "192.0.2.2", "2001:db8::1"];
        let good: Vec<(&str, Vec<u8>, Vec<&str>)> = vec![
            ("both lists", service(&[&alpn, &v4, &v6]), both),
            ("another target", named.clone(), vec!["192.0.2.1", "192.0.2.2"]),
            ("no parameters", service(&[]), vec![]),
            ("no hints", service(&[&alpn, &parameter(65_280, b"x")]), vec![]),
            ("an alias", [&[0, 0, 0][..], &v4].concat(), vec![]),
        ];
        for (what, data, expect) in good {
            let expect: Vec<String> = expect.into_iter().map(str::to_owned).collect();
            assert_eq!(read(&data), Ok(expect), "{what}");
        }
        let bad: Vec<(&str, Vec<u8>)> = vec![
            ("empty", vec![]),
            ("no target", vec![0, 1]),
            ("a compressed target", [&[0, 1, 0xc0, 12][..], &v4].concat()),
            ("a name of 256 bytes", [&[0, 1][..], &[1; 256], &[0]].concat()),
            ("out of order", service(&[&v4, &alpn])),
            ("a key twice", service(&[&v4, &v4])),
            ("an empty list", service(&[&parameter(4, &[])])),
            ("five bytes of IPv4", service(&[&parameter(4, &[1; 5])])),
            ("eight bytes of IPv6", service(&[&parameter(6, &[1; 8])])),
        ];
        for (what, data) in bad {
            assert_eq!(read(&data), Err(BadService), "{what}");
        }
        for end in 0..named.len() {
            // Without its parameters the record is whole.
            assert_eq!(read(&named[..end]).is_ok(), end == 12, "cut at {end}");
        }
    }
}
