//! What a checkpoint costs: many domains, one answer each, then their partitions written down one by
//! one, and taken up again.
//!
//! ```text
//! cargo run --release -p fluxtap-engine --example checkpoint -- DOMAINS
//! ```
#![allow(clippy::print_stdout, reason = "what it finds out goes to whoever runs it")]
#![allow(clippy::disallowed_methods, reason = "it measures with a stopwatch")]

use fluxtap_engine::checkpoint::{self, Checkpoint, Standing};
use fluxtap_engine::{Decoder, SavedCampaigns, SavedCap, Shard};
use fluxtap_flow::FlowSettings;
use fluxtap_flux::Policy;
use fluxtap_intel::Intel;
use fluxtap_observe::Batch;
use fluxtap_window::limits::PARTITIONS;
use fluxtap_wire::{Layers, LinkType, Packet, Timestamp};
use std::error::Error;
use std::time::{Duration, Instant};

const KEY: u64 = 7;
const MEMORY: usize = 2 << 30;

/// One in so many domains changes its addresses, and is kept in full.
const CHANGING_ONE_IN: u64 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let domains: u64 = std::env::args().nth(1).ok_or("expected a number of domains")?.parse()?;
    let intel = Intel::embedded();
    let mut decoder = Decoder::new(Layers::default(), &FlowSettings::default(), 60, KEY);
    let mut shard = Shard::new(Policy::default(), MEMORY, KEY);
    let (mut batch, mut alerts) = (Batch::default(), Vec::new());
    for turn in 0..3 {
        for number in (0..domains).filter(|number| turn == 0 || number % CHANGING_ONE_IN == 0) {
            let bytes = response(number, turn);
            let at =
                Timestamp(1_790_000_000 * Timestamp::SECOND + (turn * domains + number) * 50_000);
            let packet = Packet { at, link: LinkType::RAW, bytes: &bytes, wire_len: 0 };
            decoder.decode(&packet, &intel, &mut batch);
            if batch.observations().len() >= 256 {
                shard.apply(&batch, &intel, &mut alerts);
                batch.clear();
            }
        }
    }
    shard.apply(&batch, &intel, &mut alerts);
    let counts = shard.table_counts();
    println!("{} domains in {} MiB", counts.tracked, counts.bytes >> 20);
    let mut written = checkpoint::begin(KEY, &intel);
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    for number in 0..PARTITIONS as u8 {
        let started = Instant::now();
        let saved = shard.save(number);
        let frame = checkpoint::partition(number, &saved);
        longest = longest.max(started.elapsed());
        written.extend(frame);
    }
    let standing = Standing { moment: shard.moment(), sequence: 0 };
    written.extend(checkpoint::end(&standing, &SavedCampaigns::default(), &SavedCap::default()));
    println!(
        "written: {} MiB in {:?}, longest pause {longest:?}",
        written.len() >> 20,
        begun.elapsed()
    );
    let begun = Instant::now();
    let mut shards = [Shard::new(Policy::default(), MEMORY, KEY)];
    Checkpoint::open(&written[..], written.len() as u64)
        .and_then(|checkpoint| checkpoint.load(&mut shards, &intel))
        .map_err(|fault| fault.to_string())?;
    println!("taken up: {} domains in {:?}", shards[0].table_counts().tracked, begun.elapsed());
    Ok(())
}

/// An answer in raw IP, over UDP: `www.dNUMBER.test` has an address that changes with the turn.
fn response(number: u64, turn: u64) -> Vec<u8> {
    let label = format!("d{number:x}");
    let mut dns = vec![(number >> 8) as u8, number as u8, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    dns.extend(b"\x03www");
    dns.push(label.len() as u8);
    dns.extend(label.as_bytes());
    dns.extend(b"\x04test\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04");
    dns.extend([5, (number >> 8) as u8, number as u8, 1 + turn as u8]);
    let len = 28 + dns.len();
    let mut bytes = vec![0x45, 0, (len >> 8) as u8, len as u8, 0, 0, 0, 0, 64, 17, 0, 0];
    bytes.extend([9, 9, 9, 9, 10, 0, 0, 7, 0, 53, 20, 0]);
    bytes.extend([((len - 20) >> 8) as u8, (len - 20) as u8, 0, 0]);
    bytes.extend(dns);
    bytes
}
