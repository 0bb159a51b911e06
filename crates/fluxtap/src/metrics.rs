//! The counters in the text format of Prometheus.
//!
//! Labels are bounded: interfaces, and words that are in the source. No domain, no address.

use crate::health::Reason;
use crate::status::Snapshot;
use fluxtap_engine::{MESSAGE_ENDS, MESSAGE_SOURCES, PacketEnds};
use fluxtap_intel::Day;
use fluxtap_sink::SinkCounts;
use fluxtap_wire::Malformed;
use std::fmt::{Display, Write as _};

/// The text format, version 0.0.4
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper ends of the buckets of the latency, in milliseconds.
const LATENCY_BUCKETS_MS: [u64; 10] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];

/// Bytes of a page of memory, as Linux on all our platforms has them.
const PAGE_BYTES: u64 = 4_096;

/// All metrics.
pub(crate) fn text(snapshot: &Snapshot) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    capture(&mut page, snapshot);
    packets(&mut page, snapshot);
    messages(&mut page, snapshot);
    state(&mut page, snapshot);
    alerts(&mut page, snapshot);
    sinks(&mut page, snapshot);
    time(&mut page, snapshot);
    checkpoints(&mut page, snapshot);
    sensor(&mut page, snapshot);
    page.0
}

struct Page(String);

impl Page {
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help).value(name, "", value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help).value(name, "", value);
    }

    /// Begins a metric; its values follow.
    fn head(&mut self, name: &str, kind: &str, help: &str) -> &mut Self {
        let _ = write!(self.0, "# HELP fluxtap_{name} {help}\n# TYPE fluxtap_{name} {kind}\n");
        self
    }

    /// A value with its labels, written as in `{a="b"}`.
    fn value(&mut self, name: &str, labels: &str, value: impl Display) -> &mut Self {
        let _ = writeln!(self.0, "fluxtap_{name}{labels} {value}");
        self
    }

    /// One value for each word of a label.
    fn by(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (impl AsRef<str>, u64)>,
    ) {
        self.head(name, "counter", help);
        for (word, number) in values {
            let word = word.as_ref();
            self.value(name, &format!("{{{label}=\"{}\"}}", escaped(word)), number);
        }
    }
}

/// A label's value: interfaces are named by others.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn capture(page: &mut Page, snapshot: &Snapshot) {
    let ports = &snapshot.counters.ports;
    let by_port = |number: fn(&fluxtap_capture::PortStats) -> u64| {
        ports.iter().map(move |port| (port.interface.as_str(), number(port)))
    };
    page.by(
        "packets_total",
        "Packets read from an interface.",
        "interface",
        by_port(|port| port.handed),
    );
    let name = "capture_dropped_total";
    page.head(name, "counter", "Packets that were lost, and who lost them.");
    for port in ports {
        let interface = escaped(&port.interface);
        for (reason, number) in [
            ("kernel", port.live.dropped_by_kernel),
            ("interface", port.live.dropped_by_interface),
            ("sensor", port.dropped_by_sensor),
        ] {
            let labels = format!("{{interface=\"{interface}\",reason=\"{reason}\"}}");
            page.value(name, &labels, number);
        }
    }
    let losses = "Times an interface went away.";
    page.by("interface_losses_total", losses, "interface", by_port(|port| port.losses));
    page.head("interface_up", "gauge", "Whether an interface is captured.");
    for port in ports {
        let labels = format!("{{interface=\"{}\"}}", escaped(&port.interface));
        page.value("interface_up", &labels, u8::from(port.is_open));
    }
    page.head("ring_packets", "gauge", "Packets in the kernel's ring of an interface.");
    for port in ports {
        let labels = format!("{{interface=\"{}\"}}", escaped(&port.interface));
        page.value("ring_packets", &labels, port.in_ring);
    }
}

fn packets(page: &mut Page, snapshot: &Snapshot) {
    let decode = &snapshot.counters.decode;
    let help = "Where packets ended; together they are all packets.";
    page.by("packet_ends_total", help, "end", decode.packet_ends.by_name());
    let help = "Where packets ended that were put together from fragments.";
    page.by("reassembled_ends_total", help, "end", ends(&decode.reassembled_ends));
    let fragments = &decode.fragments;
    let help = "What became of packets in fragments.";
    let numbers = [
        ("whole", fragments.whole),
        ("cut", fragments.cut),
        ("not_dns", fragments.unwanted),
        ("expired", fragments.expired),
        ("evicted", fragments.evicted),
        ("refused", fragments.refused),
    ];
    page.by("fragmented_packets_total", help, "end", numbers);
    page.gauge("fragmented_packets_held", "Packets in fragments that wait.", fragments.held);
    let streams = &decode.streams;
    let help = "What became of directions of TCP connections.";
    let numbers = [
        ("ended", streams.ended),
        ("expired", streams.expired),
        ("evicted", streams.evicted),
        ("unread", streams.unread),
    ];
    page.by("tcp_streams_total", help, "end", numbers);
    page.gauge(
        "tcp_streams_held",
        "Directions of TCP connections that are followed.",
        streams.held,
    );
    page.counter("tcp_gaps_total", "Gaps in TCP streams that were stepped over.", streams.gaps);
}

fn ends(ends: &PacketEnds) -> impl Iterator<Item = (&'static str, u64)> + use<'_> {
    ends.by_name()
}

fn messages(page: &mut Page, snapshot: &Snapshot) {
    let counters = &snapshot.counters;
    let decode = &counters.decode;
    let help = "DNS messages by what they came in.";
    let sources = MESSAGE_SOURCES.into_iter().zip(decode.message_sources);
    page.by("dns_messages_total", help, "source", sources);
    page.counter("dns_responses_total", "DNS responses.", decode.responses);
    let help = "Where DNS messages ended; with the malformed ones and those held they are all.";
    page.by(
        "dns_message_ends_total",
        help,
        "end",
        MESSAGE_ENDS.into_iter().zip(decode.message_ends),
    );
    let malformed =
        Malformed::ALL.iter().map(|reason| (reason.as_str(), decode.malformed[reason.index()]));
    page.by("dns_malformed_total", "Malformed DNS messages.", "reason", malformed);
    page.gauge("dns_messages_held", "DNS messages whose time waits to be confirmed.", decode.held);
    let help = "Whether every packet and every message is in exactly one counter.";
    page.gauge("is_conserved", help, u8::from(decode.is_conserved()));
    if let Some(is_visible) = counters.queries_visible {
        let help = "Whether queries are visible beside the responses.";
        page.gauge("queries_visible", help, u8::from(is_visible));
    }
    page.counter("dns_paired_total", "Responses with their query.", decode.gate.paired);
    let help = "Queries that made room before their response came.";
    page.counter("dns_queries_evicted_total", help, decode.gate.queries_evicted);
    let times = &counters.response_times;
    let name = "dns_response_time_seconds";
    page.head(name, "summary", "Time from query to response since the start.");
    for (quantile, us) in [("0.5", times.p50), ("0.95", times.p95), ("0.99", times.p99)] {
        page.value(name, &format!("{{quantile=\"{quantile}\"}}"), us as f64 / 1e6);
    }
    page.value(&format!("{name}_count"), "", times.count);
}

fn state(page: &mut Page, snapshot: &Snapshot) {
    let (table, shard) = (&snapshot.counters.table, &snapshot.counters.shard);
    page.gauge("domains_tracked", "Domains whose history is kept.", table.tracked);
    page.head("state_bytes", "gauge", "Memory of the state that input can grow, by what it is.");
    let [fragments, streams] = snapshot.held_octets;
    let tiers = [
        ("quiet", table.bytes_quiet),
        ("full", table.bytes - table.bytes_quiet),
        ("fragments", fragments as u64),
        ("tcp_streams", streams as u64),
    ];
    for (tier, bytes) in tiers {
        page.value("state_bytes", &format!("{{tier=\"{tier}\"}}"), bytes);
    }
    page.counter("domains_admitted_total", "Domains that were taken in.", table.admitted);
    page.counter(
        "domains_expired_total",
        "Domains not seen for the longest window.",
        table.expired,
    );
    let unsuspicious = table.evicted - table.evicted_suspect - table.evicted_alerted;
    let help = "Domains that made room for others, by what was known of them.";
    let numbers = [
        ("none", unsuspicious),
        ("suspect", table.evicted_suspect),
        ("alerted", table.evicted_alerted),
    ];
    page.by("domains_evicted_total", help, "rank", numbers);
    let help = "Hosts that made room while others of their domain, which never changed, stayed.";
    page.counter("hosts_evicted_total", help, table.hosts_evicted);
    page.counter("observations_total", "Responses that changed state.", shard.observations);
    page.counter("judgements_total", "Judgements of domains.", shard.judgements);
}

fn alerts(page: &mut Page, snapshot: &Snapshot) {
    let shard = &snapshot.counters.shard;
    let words = ["low", "medium", "high"];
    page.counter("alert_lines_total", "Alert lines written.", shard.alerts);
    let help = "Alerts that opened, by severity at that time.";
    page.by("alerts_opened_total", help, "severity", words.into_iter().zip(shard.opened));
    let help = "Alerts that opened and were not written, because the settings say so.";
    page.by("alerts_unwritten_total", help, "severity", words.into_iter().zip(shard.unwritten));
    page.counter("alerts_ended_total", "Alerts that ended.", shard.ended);
    page.gauge("alerts_open", "Alerts that are open.", snapshot.counters.open);
    let help = "Findings that could not be followed because too many alerts are remembered.";
    page.counter("alerts_refused_total", help, shard.alerts_refused);
    let help = "Domains whose alert the allow list kept back, each once a day.";
    page.counter("alerts_suppressed_total", help, shard.suppressed);
    let help = "Domains with a name that went back and forth between a network and outside.";
    page.counter("rebindings_total", help, shard.rebindings);
    let help = "The same that could not be told because there were too many.";
    page.counter("rebindings_refused_total", help, shard.rebindings_refused);
    let help = "Domains and names watched for that which had to make room.";
    page.counter("rebindings_evicted_total", help, shard.rebindings_evicted);
    let help = "Alert lines that were held back because an hour had too many.";
    let held = snapshot.counters.cap.lines.by_severity;
    page.by("alerts_held_back_total", help, "severity", words.into_iter().zip(held));
    let latency = &snapshot.latency;
    let name = "alert_latency_seconds";
    page.head(name, "histogram", "Time from the event time of a decision to its line.");
    let lines = latency.times.len();
    for ms in LATENCY_BUCKETS_MS {
        let labels = format!("{{le=\"{}\"}}", ms as f64 / 1e3);
        page.value(&format!("{name}_bucket"), &labels, latency.times.count_between(0, ms));
    }
    page.value(&format!("{name}_bucket"), "{le=\"+Inf\"}", lines);
    page.value(&format!("{name}_sum"), "", latency.sum_ms as f64 / 1e3);
    page.value(&format!("{name}_count"), "", lines);
}

fn sinks(page: &mut Page, snapshot: &Snapshot) {
    if snapshot.sinks.is_empty() {
        return;
    }
    let name = "sink_events_total";
    page.head(name, "counter", "What became of lines, by sink.");
    for sink in &snapshot.sinks {
        for (result, number) in [
            ("accepted", sink.accepted),
            ("filtered", sink.filtered),
            ("resumed", sink.resumed),
            ("delivered", sink.delivered),
            ("retried", sink.retried),
            ("dead_lettered", sink.dead_lettered),
            ("dropped", sink.dropped.sum()),
        ] {
            let labels = format!("{{sink=\"{}\",result=\"{result}\"}}", escaped(&sink.name));
            page.value(name, &labels, number);
        }
    }
    type Gauge = (&'static str, &'static str, fn(&SinkCounts) -> f64);
    let gauges: [Gauge; 4] = [
        ("sink_lag_seconds", "Age of the oldest line that waits.", |s| s.lag_ms as f64 / 1e3),
        ("sink_waiting", "Lines that wait.", |s| s.waiting as f64),
        ("spool_bytes", "Size of the spool on disk.", |s| s.spool_octets as f64),
        ("sink_up", "Whether the last attempt to send went well.", |s| {
            f64::from(u8::from(s.down_since_ms.is_none()))
        }),
    ];
    for (name, help, value) in gauges {
        page.head(name, "gauge", help);
        for sink in &snapshot.sinks {
            page.value(name, &format!("{{sink=\"{}\"}}", escaped(&sink.name)), value(sink));
        }
    }
}

fn time(page: &mut Page, snapshot: &Snapshot) {
    if let Some(lag_s) = snapshot.lag_s {
        page.gauge("event_time_lag_seconds", "How far event time is behind the clock.", lag_s);
    }
    let clock = &snapshot.counters.clock;
    page.counter("packets_late_total", "Packets that came too late to be used.", clock.late);
    let help = "Packets with a time far ahead that nothing confirmed.";
    page.counter("packets_ahead_total", help, clock.ahead_unconfirmed);
    let jumps = [("forward", clock.jumps_forward), ("back", clock.jumps_back)];
    page.by("time_jumps_total", "Jumps of event time.", "direction", jumps);
}

fn checkpoints(page: &mut Page, snapshot: &Snapshot) {
    let Some(counts) = &snapshot.checkpoints else { return };
    let results = [("written", counts.written), ("failed", counts.failed)];
    page.by("checkpoints_total", "Checkpoints, by how they went.", "result", results);
    page.gauge("checkpoint_bytes", "Size of the last checkpoint.", counts.bytes);
    if let Some(last) = counts.last {
        let help = "Time since the last checkpoint was complete.";
        page.gauge("checkpoint_age_seconds", help, last.elapsed().as_secs_f64());
    }
    let help = "Longest time that packets waited for a piece of a checkpoint.";
    page.gauge("checkpoint_pause_seconds", help, counts.longest_pause.as_secs_f64());
}

fn sensor(page: &mut Page, snapshot: &Snapshot) {
    let name = "build_info";
    let labels = format!(
        "{{version=\"{}\",model=\"{}\"}}",
        env!("CARGO_PKG_VERSION"),
        escaped(fluxtap_flux::MODEL)
    );
    page.head(name, "gauge", "What runs.").value(name, &labels, 1);
    page.gauge("uptime_seconds", "Time since the start.", snapshot.uptime_s);
    if let Some(bytes) = resident_bytes() {
        page.gauge("resident_memory_bytes", "Memory of the process.", bytes);
    }
    let (at_s, is_good) = match snapshot.reloaded {
        Some((at, is_good)) => (at.secs(), is_good),
        None => (0, true),
    };
    let help = "Whether the last reload went well; 1 before the first.";
    page.gauge("config_last_reload_successful", help, u8::from(is_good));
    let help = "When the configuration was last reloaded; 0 before the first.";
    page.gauge("config_last_reload_timestamp_seconds", help, at_s);
    page.gauge("allow_list_entries", "Entries of the allow list.", snapshot.allow_entries);
    let day = snapshot.counters.table_date.as_deref().and_then(Day::parse);
    if let Some(day) = day {
        let help = "Day of the data of the address table.";
        page.gauge("address_table_timestamp_seconds", help, i64::from(day.0) * 86_400);
    }
    let name = "degraded";
    page.head(name, "gauge", "Whether the sensor is degraded, by reason.");
    for code in Reason::CODES {
        let is_so = snapshot.reasons.iter().any(|reason| reason.code == code);
        page.value(name, &format!("{{reason=\"{code}\"}}"), u8::from(is_so));
    }
}

/// Memory of this process, as /proc tells it.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
    }
}
