//! Cost of the look-ups on the path of every observation: `cargo bench -p fluxtap-intel`.
//!
//! Plain wall time over many calls: good to see a factor, not a percent.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program needs the clock and tells a person what it saw"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use fluxtap_intel::{Intel, special, suffix};

const CALLS: u32 = 4_000_000;
/// Power of two, large enough that the addresses do not sit in the caches of the table.
const INPUTS: usize = 1 << 16;

fn main() {
    let intel = Intel::embedded();
    let start = Instant::now();
    let info = intel.table_info().expect("the embedded table");
    println!("unpack table     {:>8.1} ms  {info:?}", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    black_box(intel.org(15169));
    println!("unpack names     {:>8.1} ms", start.elapsed().as_secs_f64() * 1e3);

    let mut state = 1_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 32
    };
    let v4: Vec<IpAddr> =
        (0..INPUTS).map(|_| Ipv4Addr::from_bits(draw() as u32 % 0xe000_0000).into()).collect();
    // Most of IPv6 is empty: draw below the blocks that are given out.
    let blocks = [0x2001_0000, 0x2400_0000, 0x2600_0000, 0x2804_0000, 0x2a00_0000];
    let v6: Vec<IpAddr> = (0..INPUTS)
        .map(|place| blocks[place % blocks.len()] + draw() % 0x4_0000)
        .map(|high| Ipv6Addr::from_bits(u128::from(high) << 96).into())
        .collect();
    measure("owner, v4", &v4, |&ip| intel.owner(ip).asn);
    measure("owner, v4 again", &v4[..64], |&ip| intel.owner(ip).asn);
    measure("owner, v6", &v6, |&ip| intel.owner(ip).asn);
    measure("special use, v4", &v4, |&ip| u32::from(special::is_special_use(ip)));
    measure("special use, v6", &v6, |&ip| u32::from(special::is_special_use(ip)));

    let names: Vec<Vec<u8>> = [
        "www.example.com",
        "a.b.c.d.example.co.uk",
        "e1234.dscb.akamaiedge.net",
        "x7.flux.example",
        "0.de.pool.ntp.org",
        "host.name.duckdns.org",
        "cdn.static.assets.shop.example.com.br",
        "one.two.three.four.five.six.seven.eight.example.net",
    ]
    .map(wire)
    .into();
    measure("registrable", &names, |name| suffix::registrable(name).map_or(0, |at| at as u32));
    measure("zone", &names, |name| u32::from(intel.zone(name).is_some()));
    let deep = vec![wire(&vec!["a"; 127].join("."))];
    measure("registrable, deep", &deep, |name| suffix::registrable(name).map_or(0, |at| at as u32));
    measure("zone, deep", &deep, |name| u32::from(intel.zone(name).is_some()));
}

fn measure<T>(what: &str, inputs: &[T], call: impl Fn(&T) -> u32) {
    let mut sum = 0_u32;
    let start = Instant::now();
    for place in 0..CALLS as usize {
        sum = sum.wrapping_add(call(black_box(&inputs[place % inputs.len()])));
    }
    let ns = start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS);
    println!("{what:<18} {ns:>6.1} ns a call  (sum {sum})");
}

fn wire(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.') {
        wire.push(u8::try_from(label.len()).expect("a short label"));
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}
