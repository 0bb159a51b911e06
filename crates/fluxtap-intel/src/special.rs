//! Addresses that belong to nobody in particular: the IANA special-purpose registries.
//!
//! An answer with such an address says nothing about where a host is, so it never counts towards
//! diversity. The rows are those of the registries `iana-ipv4-special-registry` and
//! `iana-ipv6-special-registry` with multicast and the withdrawn blocks added; wider rows stand
//! for the narrower ones inside them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the address lies in a special-purpose block.
///
/// An IPv4-mapped or translated address (`::ffff:0:0/96`, `64:ff9b::/96`) is special as a whole;
/// who wants the IPv4 address inside asks again with it.
#[inline]
pub fn is_special_use(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_special_v4(ip.to_bits()),
        IpAddr::V6(ip) => is_special_v6(ip.to_bits()),
    }
}

/// Whether the address is one that only hosts of the same network reach: private use, link local,
/// unique local. Loopback is none of them: what answers so is mostly a blocklist.
#[must_use]
pub const fn is_inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[inline]
fn is_special_v4(ip: u32) -> bool {
    let octet = (ip >> 24) as usize;
    // Most addresses end here: the first octet of no block.
    let may = V4_FIRST_OCTETS[octet / 64] >> (octet % 64) & 1 == 1;
    may && V4.iter().any(|block| ip & block.mask() == block.base())
}

#[inline]
fn is_special_v6(ip: u128) -> bool {
    // Most addresses end here: with the first group of no block. All are looked at, which the compiler
    // makes vectors of.
    let group = (ip >> 112) as u16;
    let is_of = |(base, mask): &(u16, u16)| group & mask == *base;
    let may = V6_FIRST_GROUPS.iter().fold(false, |may, block| may | is_of(block));
    may && V6.iter().any(|block| ip & block.mask() == block.base())
}

struct Block4(Ipv4Addr, u32);

impl Block4 {
    const fn base(&self) -> u32 {
        self.0.to_bits()
    }
    const fn mask(&self) -> u32 {
        u32::MAX << (32 - self.1)
    }
}

struct Block6(Ipv6Addr, u32);

impl Block6 {
    const fn base(&self) -> u128 {
        self.0.to_bits()
    }
    const fn mask(&self) -> u128 {
        u128::MAX << (128 - self.1)
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix_len: u32) -> Block4 {
    Block4(Ipv4Addr::new(a, b, c, d), prefix_len)
}

const fn v6(segments: [u16; 4], low: u64, prefix_len: u32) -> Block6 {
    let [a, b, c, d] = segments;
    let high = (a as u128) << 48 | (b as u128) << 32 | (c as u128) << 16 | d as u128;
    Block6(Ipv6Addr::from_bits(high << 64 | low as u128), prefix_len)
}

#[rustfmt::skip]
const V4: [Block4; 19] = [
    v4(0, 0, 0, 0, 8),        // RFC 791 section 3.2: "this network"
    v4(10, 0, 0, 0, 8),       // RFC 1918: private use
    v4(100, 64, 0, 0, 10),    // RFC 6598: shared address space (carrier NAT)
    v4(127, 0, 0, 0, 8),      // RFC 1122 section 3.2.1.3: loopback
    v4(169, 254, 0, 0, 16),   // RFC 3927: link local
    v4(172, 16, 0, 0, 12),    // RFC 1918: private use
    v4(192, 0, 0, 0, 24),     // RFC 6890 section 2.1: IETF protocol assignments
    v4(192, 0, 2, 0, 24),     // RFC 5737: documentation (TEST-NET-1)
    v4(192, 31, 196, 0, 24),  // RFC 7535: AS112
    v4(192, 52, 193, 0, 24),  // RFC 7450: automatic multicast tunnelling
    v4(192, 88, 99, 0, 24),   // RFC 7526: 6to4 relay anycast, withdrawn
    v4(192, 168, 0, 0, 16),   // RFC 1918: private use
    v4(192, 175, 48, 0, 24),  // RFC 7534: AS112, direct delegation
    v4(198, 18, 0, 0, 15),    // RFC 2544: benchmarking
    v4(198, 51, 100, 0, 24),  // RFC 5737: documentation (TEST-NET-2)
    v4(203, 0, 113, 0, 24),   // RFC 5737: documentation (TEST-NET-3)
    v4(224, 0, 0, 0, 4),      // RFC 5771: multicast
    v4(240, 0, 0, 0, 4),      // RFC 1112 section 4: reserved
    v4(255, 255, 255, 255, 32), // RFC 8190: limited broadcast
];

#[rustfmt::skip]
const V6: [Block6; 17] = [
    v6([0, 0, 0, 0], 0, 96),               // RFC 4291 section 2.5: ::, ::1, IPv4-compatible (withdrawn)
    v6([0, 0, 0, 0], 0xffff_0000_0000, 96), // RFC 4291 section 2.5.5.2: IPv4-mapped
    v6([0x64, 0xff9b, 0, 0], 0, 96),       // RFC 6052: IPv4/IPv6 translation
    v6([0x64, 0xff9b, 1, 0], 0, 48),       // RFC 8215: local-use translation
    v6([0x100, 0, 0, 0], 0, 64),           // RFC 6666: discard only
    v6([0x100, 0, 0, 1], 0, 64),           // RFC 9780: dummy prefix
    v6([0x2001, 0, 0, 0], 0, 23),          // RFC 2928: IETF protocol assignments (Teredo, ORCHID, DET)
    v6([0x2001, 0xdb8, 0, 0], 0, 32),      // RFC 3849: documentation
    v6([0x2002, 0, 0, 0], 0, 16),          // RFC 3056: 6to4
    v6([0x2620, 0x4f, 0x8000, 0], 0, 48),  // RFC 7534: AS112, direct delegation
    v6([0x3ffe, 0, 0, 0], 0, 16),          // RFC 3701: 6bone, withdrawn
    v6([0x3fff, 0, 0, 0], 0, 20),          // RFC 9637: documentation
    v6([0x5f00, 0, 0, 0], 0, 16),          // RFC 9602: segment routing identifiers
    v6([0xfc00, 0, 0, 0], 0, 7),           // RFC 4193: unique local
    v6([0xfe80, 0, 0, 0], 0, 10),          // RFC 4291 section 2.5.6: link local
    v6([0xfec0, 0, 0, 0], 0, 10),          // RFC 3879: site local, withdrawn
    v6([0xff00, 0, 0, 0], 0, 8),           // RFC 4291 section 2.7: multicast
];

/// The first group of each block of [`V6`], and its part of the mask.
const V6_FIRST_GROUPS: [(u16, u16); V6.len()] = {
    let mut groups = [(0, 0); V6.len()];
    let mut row = 0;
    while row < V6.len() {
        groups[row] = ((V6[row].base() >> 112) as u16, (V6[row].mask() >> 112) as u16);
        row += 1;
    }
    groups
};

/// One bit for each first octet that some block of [`V4`] touches.
const V4_FIRST_OCTETS: [u64; 4] = {
    let mut bits = [0_u64; 4];
    let mut row = 0;
    while row < V4.len() {
        let first = V4[row].base() >> 24;
        let last = (V4[row].base() | !V4[row].mask()) >> 24;
        let mut octet = first as usize;
        while octet <= last as usize {
            bits[octet / 64] |= 1 << (octet % 64);
            octet += 1;
        }
        row += 1;
    }
    bits
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_of_every_block() {
        // First and last address of a block are special; `before` and `after` are not.
        let rows = [
            ("", "0.0.0.0", "0.255.255.255", "1.0.0.0"),
            ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
            ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
            ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
            ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
            ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
            ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
            ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
            ("192.31.195.255", "192.31.196.0", "192.31.196.255", "192.31.197.0"),
            ("192.52.192.255", "192.52.193.0", "192.52.193.255", "192.52.194.0"),
            ("192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
            ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
            ("192.175.47.255", "192.175.48.0", "192.175.48.255", "192.175.49.0"),
            ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
            ("198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
            ("203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
            ("223.255.255.255", "224.0.0.0", "255.255.255.255", ""),
            ("", "::", "::ffff:ffff", "::1:0:0"),
            ("::fffe:ffff:ffff", "::ffff:0:0", "::ffff:ffff:ffff", "::1:0:0:0"),
            ("64:ff9a:ffff::", "64:ff9b::", "64:ff9b::ffff:ffff", "64:ff9b::1:0:0"),
            ("64:ff9b:0:ffff::", "64:ff9b:1::", "64:ff9b:1:ffff::1", "64:ff9b:2::"),
            ("ff:ffff::", "100::", "100::1:ffff:ffff:ffff:ffff", "100:0:0:2::"),
            ("2000:ffff::", "2001::", "2001:1ff:ffff::1", "2001:200::"),
            ("2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:ffff::", "2002::", "2002:ffff:ffff::1", "2003::"),
            ("2620:4f:7fff::", "2620:4f:8000::", "2620:4f:8000:ffff::1", "2620:4f:8001::"),
            ("3ffd:ffff::", "3ffe::", "3fff:fff:ffff::1", "3fff:1000::"),
            ("5eff:ffff::", "5f00::", "5f00:ffff::1", "5f01::"),
            ("fbff:ffff::", "fc00::", "fdff:ffff::1", "fe00::"),
            ("fe7f:ffff::", "fe80::", "feff:ffff::1", ""),
            ("", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""),
        ];
        for (before, first, last, after) in rows {
            let special = |text: &str| is_special_use(text.parse().expect("an address"));
            assert!(special(first), "{first}");
            assert!(special(last), "{last}");
            for outside in [before, after] {
                assert!(outside.is_empty() || !special(outside), "{outside}");
            }
        }
    }

    #[test]
    fn ordinary_addresses_are_not_special() {
        for text in ["8.8.8.8", "1.1.1.1", "192.0.1.1", "2001:4860:4860::8888", "2a00:1450::1"] {
            assert!(!is_special_use(text.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn what_is_inside_is_special_and_loopback_is_not_inside() {
        let rows = ["10.0.0.1", "172.16.0.1", "172.31.255.1", "192.168.0.1", "169.254.169.254"];
        for text in rows.into_iter().chain(["fd00::1", "fe80::1"]) {
            let ip = text.parse().expect("an address");
            assert!(is_inside(ip) && is_special_use(ip), "{text}");
        }
        let rows = ["127.0.0.1", "0.0.0.0", "100.64.0.1", "172.32.0.1", "8.8.8.8", "::", "::1"];
        for text in rows.into_iter().chain(["::ffff:10.0.0.1", "2001:db8::1"]) {
            assert!(!is_inside(text.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn the_octet_filter_changes_nothing() {
        for high in 0..=u16::MAX {
            for low in [0_u32, 0x0200, 0x6300, 0x6400, 0x7100, 0xc400, 0xffff] {
                let ip = u32::from(high) << 16 | low;
                let naive = V4.iter().any(|block| ip & block.mask() == block.base());
                assert_eq!(is_special_v4(ip), naive, "{ip:#x}");
            }
        }
    }

    #[test]
    fn the_group_filter_changes_nothing() {
        for group in 0..=u16::MAX {
            for next in [0_u16, 0x4f, 0xdb8, 0x1ff, 0x200, 0xff9b, 0xffff] {
                for third in [0_u16, 1, 0x8000, 0xffff] {
                    let ip = u128::from(group) << 112 | u128::from(next) << 96;
                    let ip = ip | u128::from(third) << 80;
                    let naive = V6.iter().any(|block| ip & block.mask() == block.base());
                    assert_eq!(is_special_v6(ip), naive, "{ip:#x}");
                }
            }
        }
    }

    #[test]
    fn no_block_has_bits_below_its_mask() {
        assert!(V4.iter().all(|block| block.base() & !block.mask() == 0));
        assert!(V6.iter().all(|block| block.base() & !block.mask() == 0));
    }
}
