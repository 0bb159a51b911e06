//! What each part of the way of a response costs alone, over the traffic of `fluxtap-sim bench`:
//! `cargo bench -p fluxtap-sim`.
//!
//! Every part gets what the one before it made, in the same order, and nothing else runs meanwhile;
//! so caches are warmer than in the whole, and the parts add up to less. Wall time, the least of
//! some rounds: good to see a factor, not a percent.

#![allow(clippy::print_stdout, reason = "what it finds out goes to whoever runs it")]
#![allow(clippy::disallowed_methods, reason = "it measures with a stopwatch")]

use std::hint::black_box;
use std::time::Instant;

use fluxtap_engine::{Decoder, REPLAY_HASH_KEY, Shard, measure};
use fluxtap_flow::FlowSettings;
use fluxtap_flux::{Policy, judge};
use fluxtap_intel::{Intel, suffix};
use fluxtap_observe::Batch;
use fluxtap_sim::{BenchSize, Scenario, bench, run};
use fluxtap_window::{DomainRef, Table};
use fluxtap_wire::{Carried, Layers, LinkType, Message, Packet, Timestamp, layers};

const ROUNDS: usize = 5;
const RESPONSES: u64 = 150_000;
const DOMAINS: u32 = 30_000;
/// Packets a batch, as a replay makes them.
const BATCH: usize = 256;
const MEMORY: usize = 512 << 20;

fn main() {
    let intel = Intel::embedded();
    let packets = traffic(&intel);
    let packets: Vec<Packet<'_>> = packets.iter().map(|(at, bytes)| packet(*at, bytes)).collect();
    println!("{} packets, {RESPONSES} responses, {DOMAINS} domains\n", packets.len());

    least("layers", "packet", packets.len(), || {
        let layers = Layers::default();
        let decoded = packets.iter().filter(|packet| {
            layers::plain_datagram(packet, &layers).is_some()
                || layers::decode(packet, &layers).is_ok()
        });
        decoded.count()
    });
    let messages = messages(&packets);
    let records: usize = messages.iter().map(|octets| walk(octets)).sum();
    least("walker", "message", messages.len(), || messages.iter().map(|m| walk(m)).sum());
    least("walker", "record", records, || messages.iter().map(|m| walk(m)).sum());
    let names = questions(&messages);
    least("suffix split", "name", names.len(), || {
        names.iter().filter_map(|name| suffix::registrable(name)).count()
    });
    least("decoding, all of it", "packet", packets.len(), || decode(&packets, &intel).len());

    let batches = decode(&packets, &intel);
    let observations = batches.iter().map(|batch| batch.observations().len()).sum();
    least("windows", "observation", observations, || windows(&batches).1.len());
    least("windows and judgement", "observation", observations, || {
        let mut shard = Shard::new(Policy::default(), MEMORY, REPLAY_HASH_KEY);
        let mut alerts = Vec::new();
        batches.iter().for_each(|batch| shard.apply(batch, &intel, &mut alerts));
        shard.finish(&intel, &mut alerts);
        alerts.len()
    });
    let (table, changed) = windows(&batches);
    let policy = Policy::default();
    let now_s = packets.last().map_or(0, |packet| packet.at.secs() as u32);
    least("measuring and judging", "changed domain", changed.len(), || {
        let windows = changed.iter().filter_map(|domain| table.get(*domain));
        let measured = windows.map(|window| measure(window, now_s, &policy, &intel, None));
        measured.filter(|measured| judge(&measured.features, &policy).is_some()).count()
    });
}

fn traffic(intel: &Intel) -> Vec<(Timestamp, Vec<u8>)> {
    let size =
        BenchSize { responses: RESPONSES, domains: DOMAINS, flux_share: 0.01, duration_s: 3_600 };
    let scenario: Scenario = bench(1, size, intel).expect("the embedded table has every class");
    let mut packets = Vec::new();
    let sink = &mut |packet: Packet<'_>| {
        packets.push((packet.at, packet.bytes.to_vec()));
        Ok(())
    };
    run(&scenario, sink).expect("memory takes every packet");
    packets
}

fn packet(at: Timestamp, bytes: &[u8]) -> Packet<'_> {
    Packet { at, link: LinkType::ETHERNET, bytes, wire_len: bytes.len() as u32 }
}

/// The messages in datagrams.
fn messages<'a>(packets: &[Packet<'a>]) -> Vec<&'a [u8]> {
    let decoded = packets.iter().map(|packet| layers::decode(packet, &Layers::default()));
    let datagram = |carried| match carried {
        Ok(Carried::Datagram(datagram)) => Some(datagram.payload),
        _ => None,
    };
    decoded.filter_map(datagram).collect()
}

/// Walks a whole message; how many records.
fn walk(octets: &[u8]) -> usize {
    let mut records = 0;
    if let Ok(message) = Message::new_checked(octets) {
        let mut walk = message.walk();
        while let Ok(Some(question)) = walk.next_question() {
            black_box(question.qtype);
        }
        while let Ok(Some(head)) = walk.next_head() {
            black_box(&head);
            records += 1;
        }
    }
    records
}

/// The asked names in wire form.
fn questions(messages: &[&[u8]]) -> Vec<Vec<u8>> {
    let name = |octets: &&[u8]| {
        let message = Message::new_checked(octets).ok()?;
        let question = message.walk().next_question().ok()??;
        Some(question.qname.to_name().as_wire().to_vec())
    };
    messages.iter().filter_map(name).collect()
}

fn decode(packets: &[Packet<'_>], intel: &Intel) -> Vec<Batch> {
    let flow = FlowSettings::default();
    let mut decoder = Decoder::new(Layers::default(), &flow, 60, REPLAY_HASH_KEY);
    let of = |packets: &[Packet<'_>]| {
        let mut batch = Batch::default();
        packets.iter().for_each(|packet| decoder.decode(packet, intel, &mut batch));
        batch
    };
    packets.chunks(BATCH).map(of).collect()
}

/// A table with all observations, and the domains that changed, once each.
fn windows(batches: &[Batch]) -> (Table, Vec<DomainRef>) {
    let mut table = Table::new(MEMORY, REPLAY_HASH_KEY);
    let mut changed = Vec::new();
    for batch in batches {
        for observation in batch.observations() {
            if let Some(applied) = table.apply(observation, batch)
                && applied.is_changed
                && let Some(domain) = applied.domain
                && table.queue(domain)
            {
                changed.push(domain);
            }
        }
    }
    (table, changed)
}

/// Prints the least time that `call` takes, by thing it deals with.
fn least(what: &str, thing: &str, things: usize, call: impl Fn() -> usize) {
    let mut best_ns = f64::MAX;
    let mut sum = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        sum = black_box(call());
        best_ns = best_ns.min(start.elapsed().as_secs_f64() * 1e9);
    }
    let ns = best_ns / things.max(1) as f64;
    println!("{what:<22} {ns:>8.1} ns a {thing}  ({things}; sum {sum})");
}
