//! IPv4 addresses inside IPv6 ones (RFC 6052), and the prefix found out from an answer (RFC 7050).

use crate::bits::leading_bits;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The lengths that a prefix can have (RFC 6052 section 2.2).
pub const PREFIX64_LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

/// The name whose IPv6 addresses only a DNS64 makes, lower-case wire form (RFC 7050 section 2.2).
pub const IPV4ONLY_NAME: &[u8] = b"\x08ipv4only\x04arpa\x00";

/// The addresses that this name has (RFC 7050 section 2.2).
const IPV4ONLY_ADDRESSES: [Ipv4Addr; 2] =
    [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

/// The block of prefixes that networks choose from without asking anybody (RFC 8215).
const LOCAL_USE: u128 = 0x0064_ff9b_0001 << 80;

/// Byte 8 of the address, bits 64 to 71, which is always zero (RFC 6052 section 2.2).
const RESERVED: u128 = 0xff << 56;

/// The IPv4 address behind the well-known prefix, or behind one of 96 bits for local use. Which
/// length a network chose for its local use cannot be seen, and shorter ones leave zeros at the end
/// of the address: such an address is none until its prefix was learnt.
#[must_use]
#[inline]
pub fn well_known(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    if bits >> 96 != 0x0064_ff9b {
        return None;
    }
    let is_local = leading_bits(bits, 48) == LOCAL_USE && bits << 104 != 0;
    let local = if is_local { Prefix64::new(address, 96) } else { None };
    local.unwrap_or(Prefix64::WELL_KNOWN).embedded(address)
}

/// A prefix behind which a NAT64 puts the whole of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix64 {
    bits: u128,
    len: u8,
}

impl Prefix64 {
    /// The well-known prefix, `64:ff9b::/96` (RFC 6052 section 2.1).
    pub const WELL_KNOWN: Self = Self { bits: 0x0064_ff9b << 96, len: 96 };

    /// The prefix of `len` bits that the address begins with; `None` if there is none of that
    /// length, or its reserved byte is not zero.
    #[must_use]
    pub fn new(address: Ipv6Addr, len: u8) -> Option<Self> {
        let bits = leading_bits(address.to_bits(), len);
        let is_prefix = PREFIX64_LENGTHS.contains(&len) && bits & RESERVED == 0;
        is_prefix.then_some(Self { bits, len })
    }

    /// The prefix that made this address of [`IPV4ONLY_NAME`]: at one place that RFC 6052 knows
    /// stands one of the name's two addresses. Nothing but zeros follows it, so there is no second
    /// such place, which RFC 7050 section 3 warns of.
    #[must_use]
    pub fn learn(address: Ipv6Addr) -> Option<Self> {
        PREFIX64_LENGTHS.iter().find_map(|&len| {
            let prefix = Self::new(address, len)?;
            IPV4ONLY_ADDRESSES.contains(&prefix.embedded(address)?).then_some(prefix)
        })
    }

    /// The IPv4 address inside an address with this prefix; `None` for any other address, and for
    /// one whose reserved byte or whose bits behind the IPv4 address are not zero: nobody who
    /// follows RFC 6052 makes it.
    #[must_use]
    #[inline]
    pub fn embedded(&self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let bits = address.to_bits();
        if leading_bits(bits, self.len) != self.bits || bits & RESERVED != 0 {
            return None;
        }
        // Without the reserved byte, which the IPv4 address steps over, 120 bits are left.
        let joined = bits >> 64 << 56 | u128::from(bits as u64);
        let from = if self.len > 64 { self.len.wrapping_sub(8) } else { self.len };
        let behind = 88_u32.wrapping_sub(u32::from(from));
        let is_end_zero = leading_bits(joined << 8, from.wrapping_add(32)) == joined << 8;
        is_end_zero.then_some(Ipv4Addr::from_bits((joined >> behind) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(text: &str) -> Ipv6Addr {
        text.parse().expect("an IPv6 address")
    }

    /// The table of RFC 6052 section 2.4, with one prefix of each length.
    const TABLE: [(&str, u8, &str); 7] = [
        ("2001:db8::", 32, "2001:db8:c000:221::"),
        ("2001:db8:100::", 40, "2001:db8:1c0:2:21::"),
        ("2001:db8:122::", 48, "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::", 96, "2001:db8:122:344::192.0.2.33"),
        ("64:ff9b::", 96, "64:ff9b::192.0.2.33"),
    ];

    #[test]
    fn addresses_of_every_length() {
        for (prefix, len, address) in TABLE {
            let (prefix, address) =
                (Prefix64::new(v6(prefix), len).expect("a prefix"), v6(address));
            assert_eq!(prefix.embedded(address), Some(Ipv4Addr::new(192, 0, 2, 33)), "/{len}");
            let flipped = |bit: u32| Ipv6Addr::from_bits(address.to_bits() ^ 1 << (127 - bit));
            for bit in 0..128 {
                let is_ours = |bit: u32| {
                    let from = u32::from(len);
                    let to = if (33..96).contains(&from) { from + 40 } else { from + 32 };
                    (from..to).contains(&bit) && !(64..72).contains(&bit)
                };
                let other = prefix.embedded(flipped(bit));
                assert_eq!(other.is_some(), is_ours(bit), "/{len}, bit {bit}: {other:?}");
                assert_ne!(other, Some(Ipv4Addr::new(192, 0, 2, 33)), "/{len}, bit {bit}");
            }
        }
        assert_eq!(Prefix64::WELL_KNOWN, Prefix64::new(v6("64:ff9b::"), 96).unwrap());
        assert_eq!(Prefix64::new(v6("2001:db8::"), 33), None);
        assert_eq!(Prefix64::new(v6("2001:db8:0:0:100::"), 96), None);
    }

    #[test]
    fn well_known_prefixes() {
        let rows = [
            ("64:ff9b::5.6.7.8", Some("5.6.7.8")),
            ("64:ff9b::", Some("0.0.0.0")),
            ("64:ff9b::1:5.6.7.8", None),
            ("64:ff9b:1::5.6.7.8", Some("5.6.7.8")),
            ("64:ff9b:1:fffe::5.6.7.8", Some("5.6.7.8")),
            ("64:ff9b:1:fffe:ff00::5.6.7.8", None),
            // With prefixes of 48, 56 and 64 bits.
            ("64:ff9b:1:506:7:800::", None),
            ("64:ff9b:1:5:6:708::", None),
            ("64:ff9b:1:0:5:607:800::", None),
            ("64:ff9b:2::5.6.7.8", None),
            ("64:ff9a::5.6.7.8", None),
            ("2a00::5.6.7.8", None),
        ];
        for (address, expect) in rows {
            let found = well_known(v6(address)).map(|ip| ip.to_string());
            assert_eq!(found.as_deref(), expect, "{address}");
        }
    }

    #[test]
    fn prefixes_are_learnt_from_the_name_with_known_addresses() {
        let rows = [
            ("64:ff9b::192.0.0.170", Some(96)),
            ("2a01:1234:5::192.0.0.171", Some(96)),
            ("2a01:1234:c000:aa::192.0.0.170", Some(96)),
            ("2a01:1234:c000:aa::", Some(32)),
            ("2a01:1234:56c0:0:aa::", Some(40)),
            ("2a01:1234:5678:c000:0:ab00::", Some(48)),
            ("2a01:1234:5678:9ac0:0:ab::", Some(56)),
            ("2a01:1234:5678:9abc:c0:0:aa00::", Some(64)),
            ("fd64::192.0.0.170", Some(96)),
            // Not the address, not zeros around it, or at a place that no prefix ends at.
            ("64:ff9b::192.0.0.172", None),
            ("2a01:1234:5::1:192.0.0.170", Some(96)),
            ("2a01:1234:c000:aa::1", None),
            ("2a01:1234:5678:9abc:100::192.0.0.170", None),
            ("2a01:c000:aa::", None),
            ("2a01::c000:aa:0", None),
        ];
        for (address, expect) in rows {
            let address = v6(address);
            let learnt = Prefix64::learn(address);
            assert_eq!(learnt.map(|prefix| prefix.len), expect, "{address}");
            if let Some(prefix) = learnt {
                let found = prefix.embedded(address).expect("what it was learnt from");
                assert!(IPV4ONLY_ADDRESSES.contains(&found), "{address}: {found}");
            }
        }
    }
}
