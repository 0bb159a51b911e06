//! A capture file through the whole sensor: reader, decoder, windows, judgement, alert lines.
//!
//! Both laws of conservation hold after every packet, tables are within their limits, and the
//! alerts are the same however the packets are batched.

use crate::HASH_KEY;
use fluxtap_alert::{Alert, Clients, Context, LINE_OCTETS_MAX, SourceKind, write_line};
use fluxtap_capture::{CaptureReader, Next};
use fluxtap_engine::{DecodeCounts, Decoder, Shard};
use fluxtap_flow::{FlowSettings, TableLimits};
use fluxtap_flux::Policy;
use fluxtap_intel::Intel;
use fluxtap_observe::Batch;
use fluxtap_window::limits::MEMORY_MIN;
use fluxtap_wire::{Layers, Packet};
use std::sync::LazyLock;

/// Packets read of one file: a few bytes can be packed from many.
const PACKETS_MAX: u64 = 4_096;

/// How late a packet may be, in seconds.
const LATENESS_S: u64 = 60;

/// Small, so that limits are met and a sensor is soon made.
const TABLE: TableLimits = TableLimits { entries_max: 64, bytes_max: 2 << 20, lifetime_s: 30 };

static INTEL: LazyLock<Intel> = LazyLock::new(Intel::embedded);

/// See the module's head.
pub fn run(bytes: &[u8]) {
    let flow = FlowSettings {
        queries_max: 256,
        duplicates_max: 256,
        fragments: TABLE,
        streams: TABLE,
        ..FlowSettings::default()
    };
    let mut at_once = Sensor::new(&flow, &INTEL);
    let mut one_by_one = Sensor::new(&flow, &INTEL);
    let mut reader = CaptureReader::new(bytes);
    while at_once.packets < PACKETS_MAX {
        match reader.next().expect("reading memory does not fail") {
            Next::Packet(packet) => {
                at_once.take(&packet);
                one_by_one.take(&packet);
                one_by_one.apply();
                assert_within_limits(&one_by_one.decoder.counts());
            }
            Next::End(_) => break,
        }
    }
    let (counts, alerts) = at_once.finish("in one batch");
    let (again, alerts_again) = one_by_one.finish("in one batch each");
    assert_eq!(counts, again, "in one batch, and in one each");
    assert_eq!(lines(&alerts), lines(&alerts_again), "in one batch, and in one each");
}

fn assert_within_limits(counts: &DecodeCounts) {
    assert!(counts.is_conserved(), "{counts:?}");
    let held = counts.fragments.held.max(counts.streams.held);
    assert!(held <= TABLE.entries_max as u64, "{counts:?}");
}

fn lines(alerts: &[Alert]) -> Vec<u8> {
    let mut lines = Vec::new();
    for alert in alerts {
        let context = Context {
            intel: &INTEL,
            observer: "replay",
            interface: None,
            source: SourceKind::Replay,
            sequence: 1,
            version: "0",
            model: "",
            clients: Clients::Count,
            created: alert.at,
        };
        let from = lines.len();
        write_line(alert, &context, &mut lines);
        let line = &lines[from..];
        assert!(line.len() <= LINE_OCTETS_MAX && line.is_ascii(), "{} bytes", line.len());
        assert!(line.iter().filter(|byte| byte.is_ascii_control()).eq([&b'\n']));
    }
    lines
}

/// The sensor without its edges.
#[derive(Debug)]
pub struct Sensor<'a> {
    decoder: Decoder,
    shard: Shard,
    batch: Batch,
    intel: &'a Intel,
    alerts: Vec<Alert>,
    /// Packets taken.
    packets: u64,
    observations: u64,
}

impl<'a> Sensor<'a> {
    /// A sensor that has seen nothing, with the least memory there may be.
    #[must_use]
    pub fn new(flow: &FlowSettings, intel: &'a Intel) -> Self {
        Self {
            decoder: Decoder::new(Layers::default(), flow, LATENESS_S, HASH_KEY),
            shard: Shard::new(Policy::default(), MEMORY_MIN, HASH_KEY),
            batch: Batch::default(),
            intel,
            alerts: Vec::new(),
            packets: 0,
            observations: 0,
        }
    }

    /// Decodes one packet.
    pub fn take(&mut self, packet: &Packet<'_>) {
        self.packets += 1;
        self.decoder.decode(packet, self.intel, &mut self.batch);
    }

    /// Takes into the windows what was decoded.
    fn apply(&mut self) {
        self.observations += self.batch.observations().len() as u64;
        self.shard.apply(&self.batch, self.intel, &mut self.alerts);
        self.batch.clear();
    }

    /// Judges everything, and checks the laws for `what`; counters and alerts.
    #[must_use]
    pub fn finish(mut self, what: &str) -> (DecodeCounts, Vec<Alert>) {
        self.decoder.finish(&mut self.batch, self.intel);
        self.apply();
        self.shard.finish(self.intel, &mut self.alerts);
        let counts = self.decoder.counts();
        assert!(counts.is_conserved(), "{what}: {counts:?}");
        assert_eq!((counts.packets, counts.held), (self.packets, 0), "{what}: {counts:?}");
        assert_eq!(counts.streams.held, 0, "{what}: {counts:?}");
        assert_eq!(self.shard.counts().observations, self.observations, "{what}");
        (counts, self.alerts)
    }
}
