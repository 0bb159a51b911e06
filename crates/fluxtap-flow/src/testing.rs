//! What the tests of this crate share: messages, and random numbers that are the same on every run.

use fluxtap_wire::{Ends, Name};
use std::net::{IpAddr, Ipv4Addr};

/// A fixed pseudo-random sequence.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }
}

/// From `source` to `destination`, on no VLAN.
pub(crate) fn ends(source: u32, destination: u32) -> Ends {
    let address = |number| IpAddr::V4(Ipv4Addr::from_bits(number));
    Ends { source: address(source), destination: address(destination), vlan: 0, tunnel: None }
}

/// A query for the address of a name.
pub(crate) fn query(id: u16, name: &str) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    bytes.extend(wire(name));
    bytes.extend([0, 1, 0, 1]);
    bytes
}

/// A response with so many addresses.
pub(crate) fn response(id: u16, name: &str, addresses: u8) -> Vec<u8> {
    let mut bytes = query(id, name);
    bytes[2..4].copy_from_slice(&[0x81, 0x80]);
    bytes[7] = addresses;
    // The count of answers is at 6 and 7.
    for last in 0..addresses {
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 198, 51, 100, last]);
    }
    bytes
}

/// The name with its case, which text to name would not keep.
fn wire(name: &str) -> Vec<u8> {
    let mut wire = Name::from_text(name).expect("a name").as_wire().to_vec();
    let mut at = 0;
    for label in name.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        wire[at + 1..=at + label.len()].copy_from_slice(label.as_bytes());
        at += label.len() + 1;
    }
    wire
}
