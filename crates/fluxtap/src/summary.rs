//! What was seen and what became of it: `--stats` for programs, the summary for people.

use crate::console::{self, Exit, count, grouped};
use crate::sensor::Sensor;
use crate::{sinks, threat_lists};
use fluxtap_alert::LineCounts;
use fluxtap_capture::{Compression, FileReport, PortStats, Progress};
use fluxtap_engine::{
    CapCounts, ClockCounts, DecodeCounts, Explained, MESSAGE_ENDS, MESSAGE_SOURCES, OpenAlert,
    PacketEnds, ShardCounts,
};
use fluxtap_flow::Histogram;
use fluxtap_intel::Intel;
use fluxtap_observe::ObserveCounts;
use fluxtap_sink::SinkCounts;
use fluxtap_window::TableCounts;
use fluxtap_wire::shown::{NAME_COLUMNS_MAX, shown_name};
use fluxtap_wire::{Malformed, Timestamp};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

/// Open alerts the summary names before it only counts.
const OPEN_ALERTS_SHOWN: usize = 20;

/// Zones and autonomous systems of the curated lists that the summary names.
const CURATED_SHOWN: usize = 4;

/// Files that are too many to be listed one by one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Unlisted {
    pub(crate) files: u64,
    pub(crate) packets: u64,
}

/// All counters at one moment.
pub(crate) struct Counters {
    pub(crate) decode: DecodeCounts,
    pub(crate) clock: ClockCounts,
    pub(crate) observe: ObserveCounts,
    pub(crate) shard: ShardCounts,
    pub(crate) cap: CapCounts,
    pub(crate) table: TableCounts,
    pub(crate) table_date: Option<String>,
    /// Addresses looked up in the address table, and those with an owner.
    pub(crate) look_ups: (u64, u64),
    /// The interfaces; none in replay.
    pub(crate) ports: Vec<PortStats>,
    /// The sinks, once they are drained.
    pub(crate) sinks: Vec<SinkCounts>,
    pub(crate) open: usize,
    pub(crate) allow: Value,
    pub(crate) threat_lists: Value,
    pub(crate) campaigns: Value,
    pub(crate) curated: Curated,
    pub(crate) queries_visible: Option<bool>,
    pub(crate) response_times: ResponseTimes,
}

/// Times from query to response, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct ResponseTimes {
    pub(crate) count: u64,
    pub(crate) p50: u64,
    pub(crate) p95: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

impl ResponseTimes {
    fn of(times: &Histogram<u64>) -> Self {
        Self {
            count: times.len(),
            p50: times.value_at_quantile(0.5),
            p95: times.value_at_quantile(0.95),
            p99: times.value_at_quantile(0.99),
            max: times.max(),
        }
    }
}

impl Counters {
    pub(crate) fn of(sensor: &Sensor, ports: Vec<PortStats>) -> Self {
        let (intel, tally) = (&sensor.inputs().intel, &sensor.tally);
        Self {
            decode: sensor.decoder.counts(),
            clock: sensor.decoder.clock_counts(),
            observe: sensor.decoder.observe_counts(),
            shard: ShardCounts { alerts: sensor.lines_told(), ..tally.shard },
            cap: sensor.follower.cap.counts(),
            table: tally.table,
            table_date: intel.table_info().and_then(|t| t.date).map(str::to_owned),
            look_ups: {
                let look_ups = &tally.explained.look_ups;
                (look_ups.addresses, look_ups.with_owner)
            },
            ports,
            sinks: Vec::new(),
            open: tally.open.len(),
            allow: sensor.allow_report().to_json(tally.shard.suppressed),
            threat_lists: threat_lists::to_json(intel, &tally.list_uses, &tally.shard),
            campaigns: json!({
                "open": sensor.campaigns.len(),
                "lines": sensor.campaigns.lines(),
                "domains_evicted": sensor.campaigns.evicted(),
            }),
            curated: Curated::of(&tally.explained, intel),
            queries_visible: sensor.decoder.queries_visible(),
            response_times: ResponseTimes::of(&sensor.decoder.response_times()),
        }
    }

    /// Where the messages ended.
    fn messages_by_end(&self) -> Value {
        let mut ends = Map::new();
        for (name, number) in MESSAGE_ENDS.iter().zip(self.decode.message_ends) {
            ends.insert((*name).to_owned(), number.into());
        }
        for reason in Malformed::ALL {
            let name = format!("malformed.{}", reason.as_str());
            ends.insert(name, self.decode.malformed[reason.index()].into());
        }
        ends.insert("held".to_owned(), self.decode.held.into());
        Value::Object(ends)
    }

    /// Alert lines that were too many.
    fn held_back(&self) -> Value {
        let CapCounts { lines, summaries, alerts_evicted } = self.cap;
        let by_state = LineCounts::STATES.iter().zip(lines.by_state);
        let by_state: Map<String, Value> =
            by_state.map(|(state, lines)| ((*state).to_owned(), lines.into())).collect();
        json!({
            "lines": lines.sum(),
            "by_severity": by_severity(lines.by_severity),
            "by_state": by_state,
            "summaries": summaries,
            "alerts_evicted": alerts_evicted,
        })
    }

    /// Packets in fragments: what was begun is the sum of what follows up to `held`.
    fn fragmented(&self) -> Value {
        let counts = &self.decode.fragments;
        json!({
            "begun": counts.begun,
            "whole": counts.whole,
            "cut": counts.cut,
            "not_dns": counts.unwanted,
            "expired": counts.expired,
            "evicted": counts.evicted,
            "refused": counts.refused,
            "held": counts.held,
            "by_end": by_end(&self.decode.reassembled_ends),
            "fragments_duplicate": counts.duplicate,
            "fragments_overlapping": counts.overlapping,
        })
    }

    /// Directions of TCP connections: what was begun is the sum of what follows up to `held`.
    fn tcp_streams(&self) -> Value {
        let counts = &self.decode.streams;
        json!({
            "begun": counts.begun,
            "ended": counts.ended,
            "expired": counts.expired,
            "evicted": counts.evicted,
            "unread": counts.unread,
            "held": counts.held,
            "joined_midway": counts.joined_midway,
            "segments_retransmitted": counts.retransmitted,
            "segments_overlapping": counts.overlapping,
            "segments_out_of_order": counts.out_of_order,
            "gaps": counts.gaps,
            "resynchronised": counts.resynchronised,
            "octets_skipped": counts.octets_skipped,
        })
    }

    /// What the interfaces delivered and lost, each and together; null in replay.
    fn capture(&self) -> Value {
        if self.ports.is_empty() {
            return Value::Null;
        }
        let port = |port: &PortStats| {
            json!({
                "interface": port.interface,
                "received": port.live.received,
                "read": port.handed,
                "read_by_ring": port.read_by_ring,
                "dropped_by_kernel": port.live.dropped_by_kernel,
                "dropped_by_interface": port.live.dropped_by_interface,
                "dropped_by_sensor": port.dropped_by_sensor,
                "times_lost": port.losses,
            })
        };
        let [kernel, interface, sensor] = lost(&self.ports);
        json!({
            "received": self.ports.iter().map(|port| port.live.received).sum::<u64>(),
            "dropped_by_kernel": kernel,
            "dropped_by_interface": interface,
            "dropped_by_sensor": sensor,
            "interfaces": self.ports.iter().map(port).collect::<Vec<_>>(),
        })
    }

    /// Responses and the queries they answer.
    fn pairing(&self) -> Value {
        let gate = &self.decode.gate;
        json!({
            "queries_visible": self.queries_visible,
            "visibility_changes": gate.visibility_changes,
            "paired": gate.paired,
            "lacking_query": gate.lacking,
            "answered_before": gate.answered_before,
            "queries_evicted": gate.queries_evicted,
        })
    }

    /// What the windows hold and held.
    fn windows(&self) -> Value {
        json!({
            "observations": self.shard.observations,
            "judgements": self.shard.judgements,
            "bytes": self.table.bytes,
            "domains_admitted": self.table.admitted,
            "domains_expired": self.table.expired,
            "domains_evicted": self.table.evicted,
            "domains_evicted_suspect": self.table.evicted_suspect,
            "domains_evicted_alerted": self.table.evicted_alerted,
            "hosts_evicted": self.table.hosts_evicted,
            "server_facts_unused": self.table.server_facts_unused,
            "hint_facts_unused": self.table.hint_facts_unused,
        })
    }

    fn to_json(&self, files: &[FileReport], unlisted: Unlisted) -> Value {
        let decode = &self.decode;
        let time = |at: Option<Timestamp>| at.map(|at| at.millis() as f64 / 1_000.0);
        let files: Vec<Value> = files.iter().map(file_json).collect();
        let mut all = json!({
            "packets": decode.packets,
            "dns_messages": decode.messages,
            "dns_queries": decode.messages - decode.responses,
            "dns_responses": decode.responses,
            "malformed": decode.malformed_total(),
            "domains_tracked": self.table.tracked,
            "alerts": self.shard.alerts,
            "alerts_opened": by_severity(self.shard.opened),
            "alerts_ended": self.shard.ended,
            "alerts_open": self.open,
            "alerts_refused": self.shard.alerts_refused,
            "alerts_unwritten": by_severity(self.shard.unwritten),
            "alerts_held_back": self.held_back(),
            "allow": self.allow,
            "threat_lists": self.threat_lists,
            "campaigns": self.campaigns,
            "curated": self.curated.to_json(),
            "pools": self.shard.pools,
            "hosting_pools": self.shard.hosting_pools,
            "sinkholed": self.shard.sinkholed,
            "rebinding": {
                "told": self.shard.rebindings,
                "allowed": self.shard.rebindings_allowed,
                "refused": self.shard.rebindings_refused,
                "evicted": self.shard.rebindings_evicted,
            },
            "is_conserved": decode.is_conserved(),
            "packets_by_end": by_end(&decode.packet_ends),
            "messages_by_end": self.messages_by_end(),
            "messages_by_source": Value::Object(
                MESSAGE_SOURCES
                    .iter()
                    .zip(decode.message_sources)
                    .map(|(name, number)| ((*name).to_owned(), number.into()))
                    .collect(),
            ),
            "pairing": self.pairing(),
            "duplicates_evicted": decode.gate.duplicates_evicted,
            "response_time_us": {
                "count": self.response_times.count,
                "p50": self.response_times.p50,
                "p95": self.response_times.p95,
                "p99": self.response_times.p99,
                "max": self.response_times.max,
            },
            "fragmented": self.fragmented(),
            "tcp_streams": self.tcp_streams(),
            "event_time": {
                "first_s": time(decode.span.map(|s| s.0)),
                "last_s": time(decode.span.map(|s| s.1)),
                "packets_late": self.clock.late,
                "packets_ahead_unconfirmed": self.clock.ahead_unconfirmed,
                "jumps_forward": self.clock.jumps_forward,
                "jumps_back": self.clock.jumps_back,
            },
            "responses": responses_json(&self.observe),
            "dns64_prefixes": {
                "learnt": self.observe.dns64_prefixes_learnt,
                "refused": self.observe.dns64_prefixes_refused,
                "evicted": self.observe.dns64_prefixes_evicted,
            },
            "windows": self.windows(),
            "capture": self.capture(),
            "address_table_date": self.table_date,
            "address_table_coverage": {
                "addresses": self.look_ups.0,
                "with_owner": self.look_ups.1,
            },
            "files": files,
            "files_unlisted": { "files": unlisted.files, "packets": unlisted.packets },
        });
        if !self.sinks.is_empty() {
            all["sinks"] = sinks::to_json(&self.sinks);
        }
        all
    }
}

fn by_severity([low, medium, high]: [u64; 3]) -> Value {
    json!({ "low": low, "medium": medium, "high": high })
}

/// Packets lost by the kernel, by interfaces, and by the sensor.
pub(crate) fn lost(ports: &[PortStats]) -> [u64; 3] {
    ports.iter().fold([0; 3], |[kernel, interface, sensor], port| {
        let live = &port.live;
        [
            kernel + live.dropped_by_kernel,
            interface + live.dropped_by_interface,
            sensor + port.dropped_by_sensor,
        ]
    })
}

/// What the curated lists explained away, most first.
pub(crate) struct Curated {
    zones: Vec<(String, u64)>,
    edges: Vec<(String, u64)>,
}

impl Curated {
    fn of(explained: &Explained, intel: &Intel) -> Self {
        let sorted = |mut list: Vec<(String, u64)>| {
            list.retain(|(_, number)| *number > 0);
            // The sort is stable and the lists in order.
            list.sort_by_key(|&(_, number)| std::cmp::Reverse(number));
            list
        };
        let zones = intel.zones().iter().zip(&explained.zones);
        let edges = explained.look_ups.edges.iter();
        Self {
            zones: sorted(zones.map(|(zone, &n)| (zone.name.to_string(), n)).collect()),
            edges: sorted(edges.map(|(asn, &n)| (format!("AS{asn}"), n)).collect()),
        }
    }

    fn to_json(&self) -> Value {
        let object = |list: &[(String, u64)]| -> Map<String, Value> {
            list.iter().map(|(name, number)| (name.clone(), (*number).into())).collect()
        };
        json!({ "answers_by_zone": object(&self.zones), "addresses_by_asn": object(&self.edges) })
    }

    fn print(&self) {
        let total = |list: &[(String, u64)]| list.iter().map(|(_, n)| n).sum::<u64>();
        let top = |list: &[(String, u64)]| {
            let first = list.iter().take(CURATED_SHOWN);
            let mut top: Vec<String> =
                first.map(|(name, number)| format!("{name} {}", grouped(*number))).collect();
            if let Some(more) = list.len().checked_sub(CURATED_SHOWN).filter(|&n| n > 0) {
                top.push(format!("and {} more", grouped(more as u64)));
            }
            top.join(", ")
        };
        if !self.zones.is_empty() {
            let answers = count(total(&self.zones), "answer");
            console::say(&format!("  curated     {answers} behind zones: {}", top(&self.zones)));
        }
        if !self.edges.is_empty() {
            let number = total(&self.edges);
            let noun = if number == 1 { "address" } else { "addresses" };
            console::say(&format!(
                "  curated     {} {noun} of content networks: {}",
                grouped(number),
                top(&self.edges)
            ));
        }
    }
}

/// Where packets ended, the law of conservation spelled out.
fn by_end(ends: &PacketEnds) -> Value {
    let ends = ends.by_name().map(|(name, number)| (name.to_owned(), number.into()));
    Value::Object(ends.collect())
}

/// Refuses a file for the counters that holds something else: in `--stats *.pcap` the shell puts
/// the first capture there, and it would be lost.
pub(crate) fn check_stats(path: Option<&Path>) -> Result<(), Exit> {
    let Some(path) = path.filter(|path| path.is_file()) else { return Ok(()) };
    let mut first = [0];
    let read = File::open(path).and_then(|mut file| file.read(&mut first));
    if !matches!(read, Ok(1)) || first == *b"{" {
        return Ok(());
    }
    console::error(&format!(
        "--stats: got {}, which holds something else than counters, expected a new file or one \
         that --stats wrote before; name another",
        path.display()
    ));
    Err(Exit::Usage)
}

/// Writes the counters to `path`, `-` being standard error; nowhere without one.
pub(crate) fn write_stats(
    path: Option<&Path>,
    counters: &Counters,
    files: &[FileReport],
    unlisted: Unlisted,
) -> Exit {
    let Some(path) = path else { return Exit::Done };
    let mut text = ascii(&counters.to_json(files, unlisted).to_string());
    text.push('\n');
    if path == Path::new("-") {
        console::put(&text);
        return Exit::Done;
    }
    let written = File::create(path).and_then(|mut f| f.write_all(text.as_bytes()));
    match written {
        Ok(()) => Exit::Done,
        Err(error) => {
            console::error(&format!(
                "--stats: cannot write {}: {error}; name a file in a folder you may write to",
                path.display()
            ));
            Exit::Failed
        }
    }
}

/// JSON whose strings are ASCII: it may go to a terminal, and file names are chosen by others.
pub(crate) fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            text.push(c);
        } else {
            // Outside strings JSON is ASCII, so this is in one.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// The summary of a replay.
pub(crate) fn print(
    counters: &Counters,
    progress: &Progress,
    elapsed: Duration,
    is_interrupted: bool,
    sensor: &Sensor,
) {
    let verb = if is_interrupted { "interrupted after" } else { "read" };
    let seconds = elapsed.as_secs_f64();
    console::say(&format!(
        "fluxtap: {verb} {} of {}, {} ({:.1} MB), in {seconds:.1} s",
        grouped(progress.files_done as u64),
        count(progress.files_total as u64, "file"),
        count(counters.decode.packets, "packet"),
        progress.bytes_done as f64 / 1e6,
    ));
    print_counters(counters, sensor);
}

/// The summary of a live run, at its end or in between.
pub(crate) fn print_live(verb: &str, counters: &Counters, elapsed: Duration, sensor: &Sensor) {
    console::say(&format!(
        "fluxtap: {verb} after {:.0} s, {}",
        elapsed.as_secs_f64(),
        count(counters.decode.packets, "packet"),
    ));
    for port in &counters.ports {
        console::say(&format!(
            "  {:11} {} read; {} dropped by the kernel, {} by the interface, {} by the sensor",
            port.interface,
            count(port.handed, "packet"),
            grouped(port.live.dropped_by_kernel),
            grouped(port.live.dropped_by_interface),
            grouped(port.dropped_by_sensor),
        ));
    }
    print_counters(counters, sensor);
}

fn print_counters(counters: &Counters, sensor: &Sensor) {
    let decode = &counters.decode;
    if let Some((first, last)) = decode.span {
        console::say(&format!(
            "  event time  {} to {}",
            fluxtap_alert::rfc3339(first.millis()),
            fluxtap_alert::rfc3339(last.millis())
        ));
    }
    console::say(&format!(
        "  DNS         {}, {}; {}",
        count(decode.responses, "response"),
        if decode.messages - decode.responses == 1 {
            "1 query".to_owned()
        } else {
            format!("{} queries", grouped(decode.messages - decode.responses))
        },
        nonzero(
            MESSAGE_ENDS
                .iter()
                .zip(decode.message_ends)
                .filter(|(name, _)| **name != "query")
                .map(|(name, n)| (name.replace(['_', '.'], " "), n))
        ),
    ));
    console::say(&format!(
        "  other       {}",
        nonzero(
            decode
                .packet_ends
                .by_name()
                .filter(|(name, _)| *name != "dns_message")
                .map(|(name, number)| (name.replace(['_', '.'], " "), number))
                .chain([("malformed dns".to_owned(), decode.malformed.iter().sum::<u64>())])
        ),
    ));
    print_pairing(counters);
    let late = counters.clock.late + counters.clock.ahead_unconfirmed;
    if late > 0 || counters.clock.jumps_back > 0 {
        console::say(&format!(
            "  time        {}, {} back",
            count(late, "packet") + " out of time",
            count(counters.clock.jumps_back, "jump"),
        ));
    }
    console::say(&format!(
        "  domains     {} tracked in {:.1} MB, {} evicted; {} of volunteers or one operator",
        grouped(counters.table.tracked),
        counters.table.bytes as f64 / 1e6,
        grouped(counters.table.evicted),
        count(counters.shard.pools, "pool"),
    ));
    counters.curated.print();
    for line in sensor.allow_report().lines(counters.shard.suppressed) {
        console::say(&line);
    }
    if let Some(line) = sensor.threat_line() {
        console::say(&line);
    }
    print_alerts(counters, &sensor.tally.open);
    if !decode.is_conserved() {
        console::error(
            "the counters do not add up: this is a mistake in fluxtap, please report it with the \
             output of --stats",
        );
    }
}

fn print_pairing(counters: &Counters) {
    let queries = match counters.queries_visible {
        Some(true) => "queries visible",
        Some(false) => "queries not visible",
        None => "queries not looked at",
    };
    let times = &counters.response_times;
    let milliseconds = |us: u64| us as f64 / 1_000.0;
    let times = match times.count {
        0 => String::new(),
        _ => format!(
            "; {} paired, response time {:.1} ms median, {:.1} ms p95, {:.1} ms p99, {:.1} ms at most",
            grouped(times.count),
            milliseconds(times.p50),
            milliseconds(times.p95),
            milliseconds(times.p99),
            milliseconds(times.max),
        ),
    };
    console::say(&format!("  pairing     {queries}{times}"));
}

fn print_alerts(counters: &Counters, open: &[OpenAlert]) {
    let [low, medium, high] = counters.shard.opened;
    console::say(&format!(
        "  alerts      {} opened ({high} high, {medium} medium, {low} low at that time), {} ended, \
         {} open",
        grouped(low + medium + high),
        grouped(counters.shard.ended),
        grouped(open.len() as u64),
    ));
    let unwritten: u64 = counters.shard.unwritten.iter().sum();
    if unwritten > 0 {
        console::say(&format!(
            "    besides {} that settings let go unwritten",
            count(unwritten, "opening")
        ));
    }
    if counters.shard.rebindings > 0 {
        let domains = count(counters.shard.rebindings, "domain");
        console::say(&format!("    besides {domains} told of for DNS rebinding"));
    }
    let held = counters.cap.lines;
    if held.sum() > 0 {
        let [low, medium, high] = held.by_severity.map(grouped);
        console::say(&format!(
            "    {} held back because an hour had too many: {high} high, {medium} medium, {low} low; \
             see alerts.per_hour",
            count(held.sum(), "line"),
        ));
    }
    let mut shown: Vec<&OpenAlert> = open.iter().collect();
    shown.sort_by_key(|alert| (u8::MAX - alert.severity.number(), alert.opened, &alert.domain));
    for alert in shown.iter().take(OPEN_ALERTS_SHOWN) {
        console::say(&format!(
            "    {:6} {} since {}",
            alert.severity.as_str(),
            shown_name(&alert.domain, NAME_COLUMNS_MAX),
            fluxtap_alert::rfc3339(alert.opened.millis()),
        ));
    }
    if let Some(more) = open.len().checked_sub(OPEN_ALERTS_SHOWN).filter(|&n| n > 0) {
        console::say(&format!("    and {} more", grouped(more as u64)));
    }
}

/// The counters that are not zero, with their names; `none` if all are.
fn nonzero(counters: impl Iterator<Item = (String, u64)>) -> String {
    let parts: Vec<String> = counters
        .filter(|(_, number)| *number > 0)
        .map(|(name, number)| format!("{} {name}", grouped(number)))
        .collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// What became of a file.
fn file_json(file: &FileReport) -> Value {
    json!({
        "path": file.path.display().to_string(),
        "status": file.to_string(),
        "packets": file.packets,
        "packets_untimed": file.packets_untimed,
        "packets_skipped": file.packets_skipped,
        "bytes_read": file.bytes_read,
        "compression": file.compression.map(Compression::name),
        "bytes_unpacked": file.bytes_unpacked,
        "gaps": file.gaps.count,
        "gap_bytes": file.gaps.bytes,
    })
}

/// What was dropped from responses, and what was odd about them.
fn responses_json(observe: &ObserveCounts) -> Value {
    json!({
        "cut_used": observe.responses_cut_used,
        "truncated_used": observe.responses_truncated_used,
        "with_trailing_bytes": observe.responses_with_trailing_bytes,
        "addresses_special_use": observe.addresses_special_use,
        "addresses_spelled_by_name": observe.addresses_spelled_by_name,
        "addresses_out_of_bailiwick": observe.addresses_out_of_bailiwick,
        "records_over_limit": observe.records_over_limit,
        "ttl_capped": observe.ttl_capped,
        "by_client_subnet": observe.responses_by_client_subnet,
        "edns_options_malformed": observe.edns_options_malformed,
        "address_hints": observe.address_hints,
        "services_malformed": observe.services_malformed,
        "addresses_from_dns64": observe.addresses_from_dns64,
    })
}
