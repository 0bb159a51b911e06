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

/// Whether there are eight hexadecimal digits in a row. The last place of a run is looked at first: what
/// is none there rules out all runs with that place in them.
fn has_hex_run(name: &[u8]) -> bool {
    let mut from = 0;
    while let Some(run) = name.get(from..).and_then(|rest| rest.first_chunk::<8>()) {
        match run.iter().rposition(|byte| !byte.is_ascii_hexdigit()) {
            Some(other) => from += other + 1,
            None => return true,
        }
    }
    false
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
    /// Reads the labels of `name` (wire form), each byte once: names of a hundred labels come as well.
    pub(crate) fn of(name: &[u8]) -> Self {
        let mut spelling = Self { decimal: [0; GROUPS_MAX], decimals: 0, hex: [0; 8], hexes: 0 };
        // The digits just read as a number, and hexadecimal digits: how many, and the last eight.
        let (mut decimal, mut hex) = (None, (0, 0_u32));
        let mut label_end = 0;
        for (at, &byte) in name.iter().enumerate() {
            let is_length = at == label_end;
            let digit = byte.wrapping_sub(b'0');
            let letter = (byte | 0x20).wrapping_sub(b'a');
            if is_length {
                label_end += 1 + usize::from(byte);
            }
            if !is_length && digit < 10 {
                decimal = Some((decimal.unwrap_or(0) * 10 + u32::from(digit)).min(1 << 20));
                hex = (hex.0 + 1, hex.1 << 4 | u32::from(digit));
            } else {
                spelling.push_decimal(decimal.take());
                let is_hex = !is_length && letter < 6;
                hex =
                    if is_hex { (hex.0 + 1, hex.1 << 4 | u32::from(letter + 10)) } else { (0, 0) };
            }
            if hex.0 >= 8 {
                spelling.push_hex(hex.1);
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

    #[inline]
    fn push_decimal(&mut self, number: Option<u32>) {
        if let (Some(number), Some(slot)) = (number, self.decimal.get_mut(self.decimals)) {
            *slot = u16::try_from(number).unwrap_or(TOO_LARGE);
            self.decimals += 1;
        }
    }

    fn push_hex(&mut self, number: u32) {
        if let Some(slot) = self.hex.get_mut(self.hexes) {
            *slot = number;
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

    /// The groups of the name by its labels.
    fn naive(name: &Name) -> (Vec<u16>, Vec<u32>) {
        let number = |text: &str| text.parse::<u64>().map_or(TOO_LARGE, |n| n.min(0xffff) as u16);
        let (mut decimal, mut hex) = (Vec::new(), Vec::new());
        for label in fluxtap_wire::name::labels(name.as_wire()) {
            let text: String = label.iter().map(|&byte| char::from(byte)).collect();
            let digits = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
            decimal.extend(digits.map(number));
            for run in text.split(|c: char| !c.is_ascii_hexdigit()) {
                hex.extend(run.as_bytes().windows(8).map(|eight| {
                    u32::from_str_radix(std::str::from_utf8(eight).unwrap(), 16).unwrap()
                }));
            }
        }
        decimal.truncate(GROUPS_MAX);
        hex.truncate(8);
        (decimal, hex)
    }

    #[test]
    fn what_a_name_spells_is_what_its_labels_do() {
        let mut state = 1_u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            (state >> 33) as usize % bound
        };
        let mut longest = [0; 2];
        for _ in 0..20_000 {
            let mut name = Name::root();
            // The length of a label of 48 to 57 bytes is a digit itself.
            let (label_max, kinds) = ([1, 4, 12, 57][below(4)], [&b"0189"[..], b"09af", b"5afgz-"]);
            let bytes = kinds[below(3)];
            for _ in 0..below(130) {
                let label: Vec<u8> =
                    (0..1 + below(label_max)).map(|_| bytes[below(bytes.len())]).collect();
                name.push_label(&label);
            }
            let spelling = Spelling::of(name.as_wire());
            let (decimal, hex) = naive(&name);
            assert_eq!(spelling.decimal[..spelling.decimals], decimal, "{name}");
            assert_eq!(spelling.hex[..spelling.hexes], hex, "{name}");
            longest = [longest[0].max(decimal.len()), longest[1].max(hex.len())];
        }
        assert_eq!(longest, [GROUPS_MAX, 8]);
    }

    #[test]
    fn a_run_of_eight_is_found_wherever_it_lies() {
        let naive =
            |name: &[u8]| name.split(|byte| !byte.is_ascii_hexdigit()).any(|run| run.len() >= 8);
        let mut found = [0; 2];
        for number in 0..1_u32 << 20 {
            // Every pattern of twenty bytes.
            let name: [u8; 20] =
                std::array::from_fn(|at| if number >> at & 1 == 0 { b'x' } else { b'C' });
            let has_run = has_hex_run(&name);
            assert_eq!(has_run, naive(&name), "{number:b}");
            found[usize::from(has_run)] += 1;
        }
        assert!(found.iter().all(|&n| n > 10_000), "{found:?}");
        assert!(!has_hex_run(b"") && !has_hex_run(b"1234567") && has_hex_run(b"abcdef90"));
    }

    #[test]
    fn a_name_of_digits_alone_stays_within_bounds() {
        let name = Name::from_text(&["1"; 127].join(".")).unwrap();
        assert!(!Spelling::of(name.as_wire()).spells("192.0.2.1".parse().unwrap()));
        let name = Name::from_text(&"deadbeef".repeat(7)).unwrap();
        assert!(Spelling::of(name.as_wire()).spells("222.173.190.239".parse().unwrap()));
    }
}
