//! What reading a capture costs before anything is done with its packets: libpcap's
//! `pcap_next_ex` loop or this crate's replay, one FILE a run.
//!
//! ```text
//! cargo run --release -p fluxtap-capture --example floor -- libpcap|own FILE
//! ```

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;

use fluxtap_capture::{Batch, FileClass, Replay, ReplayOptions, Source};
use pcap::{Capture, Precision};
use rustix::time::{ClockId, clock_gettime};

/// What was read, and a sum over it that keeps the compiler from leaving the reading out.
#[derive(Default)]
struct Total {
    packets: u64,
    bytes: u64,
    sum: u64,
}

impl Total {
    fn add(&mut self, at: u64, packet: &[u8]) {
        self.packets += 1;
        self.bytes += packet.len() as u64;
        let edge = |byte: Option<&u8>| u64::from(byte.copied().unwrap_or(0));
        self.sum = self.sum.wrapping_add(at ^ edge(packet.first()) ^ edge(packet.last()));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reader, file] = arguments.as_slice() else {
        return Err("expected two arguments: libpcap or own, and a capture file".into());
    };
    let before = cpu_s();
    let total = match reader.as_str() {
        "libpcap" => read_with_libpcap(file)?,
        "own" => read_with_replay(file)?,
        other => return Err(format!("got reader {other}, expected libpcap or own").into()),
    };
    let cpu_s = cpu_s() - before;
    let Total { packets, bytes, sum } = total;
    writeln!(
        io::stdout(),
        "reader={reader} packets={packets} bytes={bytes} sum={sum:016x} cpu_s={cpu_s:.4}"
    )?;
    Ok(())
}

fn read_with_libpcap(file: &str) -> Result<Total, Box<dyn Error>> {
    let mut total = Total::default();
    let mut capture = Capture::from_file_with_precision(file, Precision::Nano)?;
    loop {
        match capture.next_packet() {
            Ok(packet) => {
                let ts = packet.header.ts;
                total.add((ts.tv_sec * 1_000_000_000 + ts.tv_usec) as u64, packet.data);
            }
            Err(pcap::Error::NoMorePackets) => return Ok(total),
            Err(error) => return Err(error.into()),
        }
    }
}

fn read_with_replay(file: &str) -> Result<Total, Box<dyn Error>> {
    let mut total = Total::default();
    let mut replay = Replay::open([PathBuf::from(file)], ReplayOptions::default());
    while replay.next_batch(&mut |packet| total.add(packet.at.0, packet.bytes))? != Batch::End {}
    match replay.report().first() {
        Some(report) if report.class() != FileClass::Sound => Err(report.to_string().into()),
        _ => Ok(total),
    }
}

/// User and system time of this process.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
