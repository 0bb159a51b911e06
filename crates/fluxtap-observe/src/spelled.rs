//! Names that spell their own address: `ip-192-0-2-7.isp.example`, `7.2.0.192.dyn.example`,
//! `c0000207.cust.example`. They bring a new address with every new name, which looks like flux in
//! every respect but one: no name ever changes.

use std::net::{IpAddr, Ipv4Addr};

/// Most digit groups remembered of a name; an address needs four in a row.
const GROUPS_MAX: usize = 48;

/// Fewest bytes, length bytes included, that labels in front of a domain need to spell an address:
/// `1.2.3.4` as four labels or as one with hyphens.
pub(crate) const SPELLED_OCTETS_MIN: usize = 8;

/// Whether a name (wire form) can spell an address at all: with four digits, or with a digit and
/// eight hexadecimal digits in a row. (Of the addresses, one in 2,500 is spelled in hexadecimal
/// without a digit; it is not worth a look at every name.)
pub(crate) fn may_spell(name: &[u8]) -> bool {
    // At most 255 bytes, so the counts fit; and the compiler makes vector code of them.
    let (digits, letters) = name.iter().fold((0_u8, 0_u8), |(digits, letters), &byte| {
        let is_digit = byte.wrapping_sub(b'0') < 10;
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 6;
        (digits.wrapping_add(u8::from(is_digit)), letters.wrapping_add(u8::from(is_letter)))
    });
    digits >= 4 || (digits > 0 && digits.saturating_add(letters) >= 8 && has_hex_run(name))
}

fn has_hex_run(name: &[u8]) -> bool {
    name.split(|byte| !byte.is_ascii_hexdigit()).any(|run| run.len() >= 8)
}

/// What a name spells: its runs of decimal digits and of eight hexadecimal digits.
pub(crate) struct Spelling {
    decimal: [u16; GROUPS_MAX],
    decimals: usize,
    hex: [u32; 8],
    hexes: usize,
}

/// Stands for a digit group that is no 16-bit number, and so no part of an address.
const TOO_LARGE: u16 = u16::MAX;

impl Spelling {
    /// Reads the labels of `name` (wire form).
    pub(crate) fn of(name: &[u8]) -> Self {
        let mut spelling = Self { decimal: [0; GROUPS_MAX], decimals: 0, hex: [0; 8], hexes: 0 };
        for label in fluxtap_wire::name::labels(name) {
            for run in label.split(|b| !b.is_ascii_digit()).filter(|run| !run.is_empty()) {
                spelling.push_decimal(run);
            }
            for run in label.split(|b| !b.is_ascii_hexdigit()).filter(|run| run.len() >= 8) {
                for eight in run.windows(8) {
                    spelling.push_hex(eight);
                }
            }
        }
        spelling
    }

    /// Whether it spells `ip`. IPv6 is not looked for: generated names write it in too many ways.
    pub(crate) fn spells(&self, ip: IpAddr) -> bool {
        let IpAddr::V4(ip) = ip else { return false };
        self.spells_v4(ip)
    }

    fn spells_v4(&self, ip: Ipv4Addr) -> bool {
        let octets = ip.octets().map(u16::from);
        let mut reversed = octets;
        reversed.reverse();
        let value = u32::from(ip);
        self.hex.iter().take(self.hexes).any(|&h| h == value || h == value.swap_bytes())
            || self.decimal[..self.decimals]
                .windows(4)
                .any(|groups| groups == octets || groups == reversed)
    }

    fn push_decimal(&mut self, run: &[u8]) {
        let value = run.iter().fold(0_u32, |v, b| (v * 10 + u32::from(b - b'0')).min(1 << 20));
        if let Some(slot) = self.decimal.get_mut(self.decimals) {
            *slot = u16::try_from(value).unwrap_or(TOO_LARGE);
            self.decimals += 1;
        }
    }

    fn push_hex(&mut self, eight: &[u8]) {
        let text = std::str::from_utf8(eight).unwrap_or_default();
        if let (Ok(value), Some(slot)) =
            (u32::from_str_radix(text, 16), self.hex.get_mut(self.hexes))
        {
            *slot = value;
            self.hexes += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fluxtap_wire::Name;

    #[test]
    fn spelled_addresses() {
        for (name, ip, expect) in [
            ("ip-192-0-2-7.isp.test", "192.0.2.7", true),
            ("192.0.2.7.isp.test", "192.0.2.7", true),
            ("7.2.0.192.isp.test", "192.0.2.7", true),
            ("x007-002-000-192y.isp.test", "192.0.2.7", true),
            ("c0000207.cust.test", "192.0.2.7", true),
            ("070200c0.cust.test", "192.0.2.7", true),
            ("host-c0000207-x.cust.test", "192.0.2.7", true),
            ("c0000208.cust.test", "192.0.2.7", false),
            ("ip-192-0-2-8.isp.test", "192.0.2.7", false),
            ("192-0-2.isp.test", "192.0.2.7", false),
            ("www.isp.test", "192.0.2.7", false),
            ("99999999999999999999.1.2.3.test", "192.0.2.7", false),
        ] {
            let name = Name::from_text(name).unwrap();
            let spelling = Spelling::of(name.as_wire());
            assert!(!expect || may_spell(name.as_wire()), "{name}");
            assert_eq!(spelling.spells(ip.parse().unwrap()), expect, "{name} {ip}");
        }
    }

    #[test]
    fn a_name_of_digits_alone_stays_within_bounds() {
        let name = Name::from_text(&["1"; 127].join(".")).unwrap();
        assert!(!Spelling::of(name.as_wire()).spells("192.0.2.1".parse().unwrap()));
        let name = Name::from_text(&"deadbeef".repeat(7)).unwrap();
        assert!(Spelling::of(name.as_wire()).spells("222.173.190.239".parse().unwrap()));
    }
}
