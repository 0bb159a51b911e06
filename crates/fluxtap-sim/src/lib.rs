//! Seeded DNS traffic with truth: flux families and look-alikes, below and above recursive resolvers.
//!
//! A [`Scenario`] is a world of domain behaviours, a model of resolvers and clients, a view, and
//! what goes wrong or is forged. [`run`] turns it into packets in the order of a capture file and
//! hands them to a sink: a [`PcapWriter`], or whatever reads packets. **One seed, one capture, byte
//! for byte, on every machine**: the generator is pinned (`Pcg64Mcg` of `rand_pcg`), and no function
//! is used whose result depends on the platform.
//!
//! The key decision: what a server answers is a pure function of seed, name and time. Nothing but
//! the caches and the packets on their way is held, so memory does not grow with the length of a
//! run, flux and look-alikes are one mechanism with different numbers, and what an authority told a
//! cache can be said again.
//!
//! ```text
//! Asker ──question──► Caches ──miss──► World (families x domains, pools)
//!   │                   │                │
//!   │ View::Below       │                │ View::Above
//!   └────── Composer, frame, Outbox (time order), Faults ──Packet──► sink
//! ```
//!
//! [`scenario`] makes the named scenarios that detection is measured with, [`measure`] runs one
//! through the sensor.
//!
//! Addresses are drawn by seed from ordinary unicast space and kept when the address table gives
//! them the wanted class; the traffic is synthetic and says nothing about their owners.
//!
//! What it does not do: fragments, tunnels, and TCP but in [`bench()`].
#![forbid(unsafe_code)]

mod address;
mod attack;
mod bench;
mod calibrate;
#[cfg(test)]
mod capture_tests;
mod compose;
mod crowd;
mod demo;
mod family;
mod fault;
mod frame;
mod grid;
mod lookalikes;
mod pcap;
mod pictures;
mod place;
mod random;
mod resolver;
mod run;
mod scenarios;
mod suspects;
mod svg;
mod traffic;
mod truth;
mod world;

pub use address::{
    AddressBook, DRAWS_PER_ADDRESS_MAX, Family as AddressFamily, NoSuchAddress, Pool, Wish,
};
pub use attack::{Attack, attack};
pub use bench::{BenchSize, bench};
pub use calibrate::{Calibration, TUNING_SEEDS, calibrate, tell_calibration};
pub use demo::demo;
pub use family::{
    Data, Delegation, Family, Kind, NsNames, Owners, Rota, Rule, Target, Truth, Ttl, Turn,
};
pub use fault::Faults;
pub use grid::{Cell, Failed, Lists, Measured, REPORTING_SEEDS, full_grid, measure, quick_cell};
pub use pcap::PcapWriter;
pub use pictures::pictures;
pub use random::Random;
pub use resolver::CACHE_ENTRIES_MAX;
pub use run::{Scenario, Sink, Summary, Until, run};
pub use scenarios::{Named, Scale, scenario};
pub use traffic::{About, Asker, Client, Forgery, Names, Pace, Resolver, View};
pub use truth::{COLUMNS, write_truth};
pub use world::{Domain, DomainId, Population, World};
