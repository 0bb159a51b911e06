//! `fluxtap intel coverage`: how many of the addresses answered in captures the tables know.

use crate::console::{self, Exit, count, grouped};
use crate::output::{self, json_line};
use crate::replay::{interrupt_flag, report};
use crate::tables;
use clap::Args;
use fluxtap_capture::{Batch as Fetched, Replay, ReplayOptions, Source as _};
use fluxtap_engine::Decoder;
use fluxtap_flow::{FlowSettings, Pairing};
use fluxtap_intel::{AddressClass, Intel};
use fluxtap_observe::Batch;
use fluxtap_wire::Layers;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Different addresses that are looked up; beyond it they are only counted.
const ADDRESSES_MAX: usize = 1 << 22;

/// How late a packet may be, in seconds.
const LATENESS_S: u64 = 86_400;

/// Networks without owner that are named.
const GAPS_NAMED: usize = 5;

/// Arguments of `intel coverage`.
#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    /// Captures (pcap, pcapng); `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    tables: tables::TableArgs,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Reads the captures and counts.
pub(crate) fn run(args: &CoverageArgs) -> Exit {
    let intel = match args.tables.load() {
        Ok(tables) => tables.intel,
        Err(exit) => return exit,
    };
    let stop = interrupt_flag();
    let mut source = Replay::open(args.files.iter().cloned(), ReplayOptions::default());
    // Addresses are counted wherever and whenever they were answered.
    let flow = FlowSettings { pairing: Pairing::Ignore, ..FlowSettings::default() };
    let mut decoder = Decoder::new(Layers::default(), &flow, LATENESS_S, 0);
    let mut seen = Seen::default();
    let mut batch = Batch::default();
    let mut exit = Exit::Done;
    loop {
        batch.clear();
        let fetched = source.next_batch(&mut |packet| decoder.decode(&packet, &intel, &mut batch));
        seen.take(&batch);
        match fetched {
            Ok(Fetched::End) => break,
            Ok(_) if stop.load(Ordering::Relaxed) => {
                exit = Exit::Interrupted;
                break;
            }
            Ok(_) => {}
            Err(error) => {
                console::error(&error.to_string());
                exit = Exit::Failed;
                break;
            }
        }
    }
    batch.clear();
    decoder.finish(&mut batch, &intel);
    seen.take(&batch);
    for file in &source.report() {
        exit = exit.max(report(file));
    }
    let coverage = Coverage::of(&seen, &intel);
    let page = if args.json { json_line(&coverage.to_json()) } else { coverage.page() };
    exit.max(output::print(&page))
}

/// Addresses that were answered.
#[derive(Default)]
struct Seen {
    addresses: BTreeSet<IpAddr>,
    answers: u64,
    over_limit: u64,
}

impl Seen {
    fn take(&mut self, batch: &Batch) {
        for observation in batch.observations() {
            for address in batch.addresses(observation) {
                self.answers += 1;
                if self.addresses.len() < ADDRESSES_MAX {
                    self.addresses.insert(address.ip);
                } else {
                    self.over_limit += u64::from(!self.addresses.contains(&address.ip));
                }
            }
        }
    }
}

/// What the tables know of them.
#[derive(Default)]
struct Coverage {
    answers: u64,
    over_limit: u64,
    v4: Share,
    v6: Share,
    with_country: u64,
    with_class: u64,
    /// Networks without owner with the addresses in them, most first.
    gaps: Vec<(IpAddr, u64)>,
}

/// Some of all.
#[derive(Clone, Copy, Default)]
struct Share {
    known: u64,
    all: u64,
}

impl Coverage {
    fn of(seen: &Seen, intel: &Intel) -> Self {
        let mut coverage =
            Self { answers: seen.answers, over_limit: seen.over_limit, ..Self::default() };
        let mut gaps = BTreeMap::<IpAddr, u64>::new();
        for &ip in &seen.addresses {
            let owner = intel.owner(ip);
            let share = if ip.is_ipv4() { &mut coverage.v4 } else { &mut coverage.v6 };
            share.all += 1;
            if owner.asn == 0 {
                *gaps.entry(network_of(ip)).or_default() += 1;
            } else {
                share.known += 1;
            }
            coverage.with_country += u64::from(owner.country.as_str().is_some());
            coverage.with_class += u64::from(owner.class != AddressClass::Unknown);
        }
        coverage.gaps = gaps.into_iter().collect();
        coverage.gaps.sort_by_key(|&(network, addresses)| (u64::MAX - addresses, network));
        coverage.gaps.truncate(GAPS_NAMED);
        coverage
    }

    fn all(&self) -> Share {
        Share { known: self.v4.known + self.v6.known, all: self.v4.all + self.v6.all }
    }

    fn page(&self) -> String {
        let all = self.all();
        let mut lines = vec![
            format!(
                "{} different addresses in {}; special-use addresses are left out",
                grouped(all.all),
                count(self.answers, "answer")
            ),
            format!("  with owner     {}", all.text()),
            format!("    IPv4         {}", self.v4.text()),
            format!("    IPv6         {}", self.v6.text()),
            format!("  with country   {}", Share { known: self.with_country, ..all }.text()),
            format!("  with class     {}", Share { known: self.with_class, ..all }.text()),
        ];
        if self.over_limit > 0 {
            lines.push(format!(
                "  not looked up  {} sights of addresses beyond the first {}",
                grouped(self.over_limit),
                grouped(ADDRESSES_MAX as u64)
            ));
        }
        for (network, addresses) in &self.gaps {
            let gap = gap_text(*network);
            lines.push(format!("  no owner in    {gap}: {}", grouped(*addresses)));
        }
        console::page(&lines)
    }

    fn to_json(&self) -> Value {
        let all = self.all();
        let share = |share: Share| json!({ "addresses": share.all, "with_owner": share.known });
        let gaps = self.gaps.iter().map(
            |(network, addresses)| json!({ "network": gap_text(*network), "addresses": addresses }),
        );
        json!({
            "answers": self.answers,
            "addresses": all.all,
            "addresses_over_limit": self.over_limit,
            "with_owner": all.known,
            "with_country": self.with_country,
            "with_class": self.with_class,
            "ipv4": share(self.v4),
            "ipv6": share(self.v6),
            "gaps": gaps.collect::<Vec<_>>(),
        })
    }
}

impl Share {
    fn text(self) -> String {
        // Permille in integers: never 100.0 % unless it is all.
        let permille = self.known * 1000 / self.all.max(1);
        let (whole, tenth) = (permille / 10, permille % 10);
        format!("{} of {} ({whole}.{tenth} %)", grouped(self.known), grouped(self.all))
    }
}

/// The /16 of an IPv4 and the /32 of an IPv6 address, the sizes most blocks are given out in.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => std::net::Ipv4Addr::from_bits(ip.to_bits() & 0xffff_0000).into(),
        IpAddr::V6(ip) => std::net::Ipv6Addr::from_bits(ip.to_bits() >> 96 << 96).into(),
    }
}

fn gap_text(network: IpAddr) -> String {
    format!("{network}/{}", if network.is_ipv4() { 16 } else { 32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_once_and_gaps_are_named() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let seen = Seen {
            addresses: ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "240.1.2.3", "240.1.9.9"]
                .map(ip)
                .into(),
            answers: 9,
            over_limit: 0,
        };
        let coverage = Coverage::of(&seen, &Intel::embedded());
        let page = coverage.page();
        for part in [
            "5 different addresses in 9 answers",
            "with owner     3 of 5 (60.0 %)",
            "IPv4         2 of 4 (50.0 %)",
            "IPv6         1 of 1 (100.0 %)",
            "no owner in    240.1.0.0/16: 2",
        ] {
            assert!(page.contains(part), "{page}");
        }
        let json = coverage.to_json();
        assert_eq!((&json["with_owner"], &json["ipv4"]["addresses"]), (&3.into(), &4.into()));
        let none = Coverage::of(&Seen::default(), &Intel::embedded()).page();
        assert!(none.contains("0 of 0 (0.0 %)"), "{none}");
    }
}
