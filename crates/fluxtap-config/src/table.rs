//! The table of settings. A new setting is a row here, and a use of its field of [`Settings`].
//!
//! A row reads: its words (a headline, then paragraphs that say what changes and when to change
//! it), its name in files, the field with its type and unit, the kind with its range, the default
//! as one writes it in a flag, and the flag. Everything else follows.

use crate::kind::Kind;
use crate::setting::{Command, Flag, Setting, settings};
use crate::sinks::SinkSettings;
use crate::value::{AddressTable, FromValue, Listen, Tenths, Value, words};
use fluxtap_intel::THREAT_LISTS_MAX;
use fluxtap_window::WINDOWS_S;
use fluxtap_window::limits::{MEMORY_MIN, PARTITIONS};
use fluxtap_wire::layers::{PORTS_MAX, TUNNEL_PORTS_MAX};
use std::path::PathBuf;

const REPLAY: &[Command] = &[Command::Replay, Command::Evaluate];
const RUN: &[Command] = &[Command::Run];
/// The commands that run packets through the sensor and write alerts.
const SENSOR: &[Command] = &[Command::Replay, Command::Run];
/// All that run packets through the sensor: for what changes verdicts and what they cost.
const JUDGES: &[Command] = &[Command::Replay, Command::Run, Command::Evaluate];

/// Largest budget accepted, in bytes: 1 TiB.
const MEMORY_MAX: u64 = 1 << 40;

/// Most interfaces of one sensor.
const INTERFACES_MAX: usize = 16;

/// Most rings of an interface.
const RINGS_MAX: u64 = 16;

/// Most entries of the curated lists that are switched off one by one.
const CURATED_OFF_MAX: usize = 1_000;

/// What is later than the shortest window could only be judged when that window is over.
const LATENESS: Kind = Kind::Duration { min_s: 0, max_s: WINDOWS_S[0] as u64 };

/// A threshold of nothing would make an alert of every domain that is judged.
const RISK: Kind = Kind::Tenths { min: Tenths(10), max: Tenths(1_000), unit: "risk" };

/// The fewest are none: that kind of tunnel is not looked into.
const TUNNEL_PORTS: Kind = Kind::Ports { min: 0, max: TUNNEL_PORTS_MAX };

/// Shares; none of anything would always be degraded.
const PERCENT: Kind = Kind::Tenths { min: Tenths(1), max: Tenths(1_000), unit: "percentage" };

const POINTS: Kind = Kind::Tenths { min: Tenths(0), max: Tenths(300), unit: "number of points" };

/// A flag without a one-letter form.
const fn flag(long: &'static str, value_name: &'static str, commands: &'static [Command]) -> Flag {
    Flag { long, short: None, value_name, commands }
}

words! {
    /// What alerts say about the clients that asked.
    Clients {
        /// how many there were
        Count = "count",
        /// a keyed hash of each, the same for the same client while the key is the same
        Hmac = "hmac",
        /// their addresses
        List = "list",
    }

    /// Whether what people read is coloured.
    Color {
        /// on a terminal, unless NO_COLOR is set
        Auto = "auto",
        /// always
        Always = "always",
        /// never
        Never = "never",
    }

    /// The form of the alerts.
    Format {
        /// one JSON object a line
        Json = "json",
        /// for people
        Text = "text",
    }

    /// The form of what is said on standard error.
    LogFormat {
        /// text on a terminal, otherwise JSON
        Auto = "auto",
        /// one JSON object a line
        Json = "json",
        /// for people
        Text = "text",
    }

    /// What a response is worth whose query was not seen.
    Pairing {
        /// nothing where queries are visible, which is learnt from the traffic
        Auto = "auto",
        /// nothing, ever
        Require = "require",
        /// as much as any other; queries are not looked at
        Ignore = "ignore",
    }

    /// When what waits for a sink is written through to the disk.
    SpoolSync {
        /// before it is sent; alerts that come together are written together
        Each = "each",
        /// once a second
        Second = "second",
        /// when the system likes
        Never = "never",
    }

    /// The least severity that is written.
    MinSeverity {
        /// all alerts
        Low = "low",
        /// medium and high
        Medium = "medium",
        /// high alone
        High = "high",
    }
}

settings! {
    /// Every setting that stands alone, those of one section together.
    SETTINGS;
    /// The settings in force, each in the unit its name ends in.
    Settings {
        /// The sinks, in the order they stand in files.
        sinks: Vec<SinkSettings>,
    }

    /// Name of this sensor, as alerts carry it in `observer.name`.
    ///
    /// Without it alerts of `run` carry the name of the host, those of `replay` the word `replay`,
    /// so that a capture gives the same lines on every machine.
    "sensor.name" => sensor_name: Option<String> {
        kind: Kind::Name,
        default: None,
        example: "tap-7",
        flag: Flag { long: "observer", short: None, value_name: "NAME", commands: SENSOR },
    }

    /// Memory for all windows; beyond it the domains with the least evidence go first.
    ///
    /// A domain that does not change takes some 100 bytes for each of its first three hosts.
    /// `domains_evicted_suspect` and `domains_evicted_alerted` in the counters say when it is too
    /// little.
    "sensor.memory" => memory_bytes: usize {
        kind: Kind::Size { min: MEMORY_MIN as u64, max: MEMORY_MAX },
        default: Some("512MiB"),
        flag: flag("memory", "SIZE", JUDGES),
    }

    /// Threads that keep the windows and judge; one more reads and decodes.
    ///
    /// Without it there is one for each processor.
    /// With 1 all is done in one thread.
    /// The alerts are the same for any number.
    "sensor.workers" => workers: Option<usize> {
        kind: Kind::Count { min: 1, max: PARTITIONS as u64 },
        default: None,
        example: "2",
        flag: flag("workers", "N", SENSOR),
    }

    /// UDP ports that carry DNS.
    ///
    /// What has none of them at either end is counted as `not_dns.other_port` and not read.
    "capture.dns_ports" => dns_ports: Vec<u16> {
        kind: Kind::Ports { min: 1, max: PORTS_MAX },
        default: Some("53"),
        flag: flag("ports", "PORTS", JUDGES),
    }

    /// Whether the checksums of packets are verified.
    ///
    /// A packet with a wrong IPv4, UDP or TCP checksum is counted as `malformed.checksum` then, and
    /// left out.
    /// Mirrors often show packets before the network card computed theirs, so see first whether
    /// the counter stays low.
    "capture.verify_checksums" => has_checksums_verified: bool {
        kind: Kind::Switch,
        default: Some("false"),
        flag: flag("verify-checksums", "true|false", SENSOR),
    }

    /// UDP ports of VXLAN.
    ///
    /// What is inside such packets is read as if it had been mirrored itself; what does not look
    /// like the tunnel of its port is counted as `not_dns.other_port`.
    /// All kinds together may have 16 ports, none of them twice and none that carries DNS; an empty
    /// list switches a kind off.
    "capture.tunnels.vxlan" => vxlan_ports: Vec<u16> {
        kind: TUNNEL_PORTS,
        default: Some("4789,8472"),
    }

    /// UDP ports of VXLAN-GPE.
    "capture.tunnels.vxlan_gpe" => vxlan_gpe_ports: Vec<u16> {
        kind: TUNNEL_PORTS,
        default: Some("4790"),
    }

    /// UDP ports of GENEVE.
    "capture.tunnels.geneve" => geneve_ports: Vec<u16> {
        kind: TUNNEL_PORTS,
        default: Some("6081"),
    }

    /// UDP ports of GTP-U, the user plane of mobile networks.
    "capture.tunnels.gtp_u" => gtp_u_ports: Vec<u16> {
        kind: TUNNEL_PORTS,
        default: Some("2152"),
    }

    /// UDP ports of Teredo.
    "capture.tunnels.teredo" => teredo_ports: Vec<u16> {
        kind: TUNNEL_PORTS,
        default: Some("3544"),
    }

    /// UDP ports of MPLS in UDP.
    "capture.tunnels.mpls" => mpls_ports: Vec<u16> {
        kind: TUNNEL_PORTS,
        default: Some("6635"),
    }

    /// UDP ports of GRE in UDP.
    "capture.tunnels.gre" => gre_ports: Vec<u16> {
        kind: TUNNEL_PORTS,
        default: Some("4754"),
    }

    /// What a response is worth whose query was not seen.
    ///
    /// Where both directions are mirrored, a response that nobody asked for is forged or late, and
    /// must not build evidence; it is counted as `unsolicited`.
    /// With `auto` the sensor finds out by itself whether it sees the queries, and alerts say what it
    /// found.
    /// Set `require` where you know that it does, and `ignore` where queries and responses come by
    /// ways so different that they cannot be matched.
    "flow.pairing" => pairing: Pairing {
        kind: Kind::Word(Pairing::WORDS),
        default: Some("auto"),
        flag: flag("pairing", "WORD", SENSOR),
    }

    /// Whether copies of a message count once.
    ///
    /// A mirror port of a whole switch delivers many packets twice.
    "flow.duplicates" => are_duplicates_dropped: bool {
        kind: Kind::Switch,
        default: Some("true"),
        flag: flag("drop-duplicates", "true|false", SENSOR),
    }

    /// How long after a message the same message is still a copy.
    ///
    /// Copies of a mirror come within milliseconds, those of two taps within what their clocks
    /// differ; clients ask again after a second at the earliest, and that is a question of its own.
    "flow.duplicate_window" => duplicate_window_ms: u64 {
        kind: Kind::Milliseconds { min_ms: 1, max_ms: 10_000 },
        default: Some("500ms"),
    }

    /// How late a packet may be before its facts are left out.
    ///
    /// In `replay` files of several taps may differ by as much as the clocks of the taps do.
    /// Packets that were too late are counted in `packets_late`.
    "replay.lateness" => replay_lateness_s: u64 {
        kind: LATENESS,
        default: Some("1m"),
        flag: flag("lateness", "TIME", REPLAY),
    }

    /// Interfaces the mirrored traffic arrives on.
    ///
    /// `run` needs one at least, here or as a flag, which may be repeated.
    /// Packets of several are merged by time, so the two directions of a tap may come on two.
    /// One that goes away later is tried again each second.
    "run.interfaces" => interfaces: Vec<String> {
        kind: Kind::Texts { max: INTERFACES_MAX },
        default: Some(""),
        flag: Flag { long: "interface", short: Some('i'), value_name: "IFACE", commands: RUN },
    }

    /// Rings of the kernel that share the packets of each interface (`PACKET_FANOUT`).
    ///
    /// With more than one, each is emptied by a thread of its own, a burst that fills one goes to
    /// the next, and a network card with several queues need not wait for one ring.
    /// It is for mirrors of some 100,000 packets a second and more; each packet is copied once more
    /// then, and alerts come up to 0.2 s later.
    "run.rings" => rings: usize {
        kind: Kind::Count { min: 1, max: RINGS_MAX },
        default: Some("1"),
        flag: flag("rings", "N", RUN),
    }

    /// Memory of each ring of the kernel.
    ///
    /// It holds what arrives while the sensor is busy or not scheduled; `dropped_by_kernel` in the
    /// counters says when it is too small.
    /// At 1 Gbit/s of DNS 32 MiB last for a quarter of a second.
    "run.ring" => ring_bytes: usize {
        kind: Kind::Size { min: 1 << 20, max: 1 << 30 },
        default: Some("32MiB"),
        flag: flag("ring", "SIZE", RUN),
    }

    /// Whether interfaces are put into promiscuous mode.
    ///
    /// Without it packets for other hosts, which is what a mirror port delivers, are left out by the
    /// interface.
    "run.promiscuous" => is_promiscuous: bool {
        kind: Kind::Switch,
        default: Some("true"),
        flag: flag("promiscuous", "true|false", RUN),
    }

    /// Packets the kernel hands over: `auto`, `none` (all), or an expression as in pcap-filter(7).
    ///
    /// With `auto` it leaves out plain IP packets that have none of the ports of DNS and of tunnels.
    /// Tags, labels, tunnels, fragments and IPv6 extension headers pass.
    /// An expression of your own is used as it is: `port 53` loses tagged frames and fragments.
    "run.filter" => filter: String {
        kind: Kind::Text,
        default: Some("auto"),
        flag: flag("filter", "BPF", RUN),
    }

    /// User the sensor becomes once the interfaces are open; for those who start it as root.
    ///
    /// Its own group goes with it, and of root's rights only that to capture stays, to open an
    /// interface again that went away.
    /// Configuration, lists and tables must be readable for this user, because SIGHUP reads them
    /// again.
    "run.user" => user: Option<String> {
        kind: Kind::Name,
        default: None,
        example: "fluxtap",
        flag: flag("user", "NAME", RUN),
    }

    /// Start without shutting the sensor in; to find out whether a fault is the sandbox's.
    ///
    /// The sandbox is what the start says: no new privileges, the files that are needed (landlock),
    /// and no system calls that start programs or change the system (seccomp).
    "run.no_sandbox" => is_unsandboxed: bool {
        kind: Kind::Switch,
        default: Some("false"),
        flag: flag("no-sandbox", "true|false", RUN),
    }

    /// How late a packet may be before its facts are left out.
    ///
    /// While the interface of `run` is idle, time goes on this much behind the clock, so alerts
    /// wait as long.
    "run.lateness" => run_lateness_s: u64 {
        kind: LATENESS,
        default: Some("2s"),
        flag: flag("lateness", "TIME", RUN),
    }

    /// File in which `run` keeps what it knows, to go on with after a restart.
    ///
    /// Without it a sensor that starts knows nothing, and its open alerts are forgotten.
    /// It is read at the start, written at the interval below and at the end, and holds the names
    /// and addresses of the windows.
    "checkpoint.file" => checkpoint_file: Option<PathBuf> {
        kind: Kind::Path,
        default: None,
        example: "/var/lib/fluxtap/checkpoint",
        flag: flag("checkpoint", "FILE", RUN),
    }

    /// Time between two checkpoints: what a sensor that is killed forgets at most.
    "checkpoint.interval" => checkpoint_interval_s: u64 {
        kind: Kind::Duration { min_s: 1, max_s: 86_400 },
        default: Some("5m"),
        flag: flag("checkpoint-interval", "TIME", RUN),
    }

    /// Where `run` serves `/metrics`, `/healthz` and `/readyz`: an address and a port, or `none`.
    ///
    /// There is no encryption and no password, so listen on loopback and let a proxy do the rest.
    "metrics.listen" => metrics_listen: Listen {
        kind: Kind::Listen,
        default: Some("127.0.0.1:9353"),
        flag: flag("metrics", "ADDR:PORT", RUN),
    }

    /// Share of packets lost within a minute that makes the sensor degraded, in percent.
    ///
    /// Packets lost by the kernel, by the interface and by the sensor itself count.
    "health.drops" => health_drops_percent: Tenths {
        kind: PERCENT,
        default: Some("1"),
    }

    /// How long no DNS may be seen before the sensor says that it is degraded; 0s is for ever.
    "health.dns_quiet" => health_dns_quiet_s: u64 {
        kind: Kind::Duration { min_s: 0, max_s: 604_800 },
        default: Some("10m"),
    }

    /// How often a line about the sensor's health is written; 0s is on a change alone.
    ///
    /// It stands among the alerts; set this where nobody reads the metrics: silence is then a fault,
    /// and not peace.
    "health.interval" => health_interval_s: u64 {
        kind: Kind::Duration { min_s: 0, max_s: 604_800 },
        default: Some("0s"),
        flag: flag("health-interval", "TIME", RUN),
    }

    /// Form of what `run` says on standard error.
    "log.format" => log_format: LogFormat {
        kind: Kind::Word(LogFormat::WORDS),
        default: Some("auto"),
        flag: flag("log-format", "FORM", RUN),
    }

    /// Table of the owners of addresses: autonomous systems, countries, kinds of network.
    ///
    /// A file may be a MaxMind DB, CSV or TSV of ranges, or what `fluxtap intel build` wrote.
    /// `fluxtap intel` shows what is in force, and how old it is.
    "tables.asn" => address_table: AddressTable {
        kind: Kind::PathOr(AddressTable::WORDS),
        default: Some("embedded"),
        flag: flag("asn-table", "TABLE", JUDGES),
    }

    /// Table of the countries of addresses, instead of those of the owners' table.
    ///
    /// A file of such a kind.
    "tables.country" => country_table: Option<PathBuf> {
        kind: Kind::Path,
        default: None,
        example: "/var/lib/fluxtap/country.mmdb",
        flag: flag("country-table", "FILE", JUDGES),
    }

    /// Allow list: what is known to look like flux and is none of your business, an entry a line.
    ///
    /// Its head says how entries are written: `sensor-config/allow.txt`.
    /// What it keeps back is tracked and counted all the same.
    "allow.file" => allow_file: Option<PathBuf> {
        kind: Kind::Path,
        default: None,
        example: "/etc/fluxtap/allow.txt",
        flag: flag("allow", "FILE", JUDGES),
    }

    /// Threat lists: domains, addresses, networks and autonomous systems that others say are bad.
    ///
    /// Each is written `NAME FILE [OPTION=VALUE]...`, for example
    /// `openphish /var/lib/fluxtap/openphish.txt category=phishing max_age=2d alert=true`.
    /// Formats and options are in `docs/threat-lists.md`.
    /// A hit adds at most 3 points to a score; with `alert=true` it is told by itself, too.
    "threat.lists" => threat_lists: Vec<String> {
        kind: Kind::Texts { max: THREAT_LISTS_MAX },
        default: Some(""),
        flag: flag("threat-lists", "LISTS", JUDGES),
    }

    /// Whether the list of curated zones is used: content delivery, load balancers, pools.
    ///
    /// Without it customers of such zones can look like flux.
    "curated.zones" => has_curated_zones: bool {
        kind: Kind::Switch,
        default: Some("true"),
        flag: flag("curated-zones", "true|false", JUDGES),
    }

    /// Whether the list of the kinds of autonomous systems is used.
    ///
    /// Without it kinds come from the words of a system's name alone.
    "curated.asns" => has_curated_asns: bool {
        kind: Kind::Switch,
        default: Some("true"),
        flag: flag("curated-asns", "true|false", JUDGES),
    }

    /// Entries of the curated lists that are not used.
    ///
    /// Zones as they are listed, autonomous systems as `AS13335`.
    "curated.off" => curated_off: Vec<String> {
        kind: Kind::Texts { max: CURATED_OFF_MAX },
        default: Some(""),
    }

    /// Risk from which on an alert of low severity opens.
    ///
    /// Risk is `event.risk_score`, a fixed map of the score onto 0 to 100.
    /// Lowering it finds more and earlier, and more of what is none.
    "detect.threshold_low" => threshold_low_risk: Tenths {
        kind: RISK,
        default: Some("40"),
        flag: flag("threshold-low", "RISK", JUDGES),
    }

    /// Risk from which on an alert is of medium severity.
    ///
    /// It may not be below `detect.threshold_low`.
    "detect.threshold_medium" => threshold_medium_risk: Tenths {
        kind: RISK,
        default: Some("60"),
        flag: flag("threshold-medium", "RISK", JUDGES),
    }

    /// Risk from which on an alert is of high severity.
    ///
    /// It may not be below `detect.threshold_medium`.
    "detect.threshold_high" => threshold_high_risk: Tenths {
        kind: RISK,
        default: Some("80"),
        flag: flag("threshold-high", "RISK", JUDGES),
    }

    /// Points above the low threshold from which on an alert opens at the first judgement.
    ///
    /// With fewer, a second judgement has to confirm the first.
    /// Points are those of the score: with the model as it is, 11, 14 and 18 points are risks of
    /// 40, 60 and 80.
    "detect.sure_margin" => sure_margin_points: Tenths {
        kind: POINTS,
        default: Some("4"),
    }

    /// Points below the low threshold at which an opening that waits to be confirmed is taken back.
    "detect.doubt_margin" => doubt_margin_points: Tenths {
        kind: POINTS,
        default: Some("2"),
    }

    /// Least time between the two judgements that open an alert together.
    "detect.confirm_after" => confirm_after_s: u64 {
        kind: Kind::Duration { min_s: 0, max_s: 86_400 },
        default: Some("1m"),
    }

    /// Whether flux of the domain's own addresses is told.
    ///
    /// What is switched off is tracked and judged all the same, and counted in `alerts_unwritten`.
    "detect.kinds.single_flux" => is_single_flux_told: bool {
        kind: Kind::Switch,
        default: Some("true"),
    }

    /// Whether flux of the addresses of domain and name servers is told.
    "detect.kinds.double_flux" => is_double_flux_told: bool {
        kind: Kind::Switch,
        default: Some("true"),
    }

    /// Whether flux of the name servers' addresses alone is told.
    "detect.kinds.ns_flux" => is_ns_flux_told: bool {
        kind: Kind::Switch,
        default: Some("true"),
    }

    /// Whether rotation of single addresses of rented servers is told.
    "detect.kinds.ip_rotation" => is_ip_rotation_told: bool {
        kind: Kind::Switch,
        default: Some("true"),
    }

    /// Whether names that go back and forth between addresses inside a network and outside are told.
    ///
    /// That is how DNS rebinding works; it is told at low severity, once a day for each domain.
    "detect.kinds.rebinding" => is_rebinding_told: bool {
        kind: Kind::Switch,
        default: Some("true"),
    }

    /// The least severity that is written.
    ///
    /// An alert below it is followed and counted in `alerts_unwritten`; when it rises, it is
    /// written from then on.
    "alerts.min_severity" => min_severity: MinSeverity {
        kind: Kind::Word(MinSeverity::WORDS),
        default: Some("low"),
        flag: flag("min-severity", "WORD", SENSOR),
    }

    /// Least time between two `flux-ongoing` lines of one alert.
    ///
    /// A higher severity is told at once.
    "alerts.update_interval" => update_interval_s: u64 {
        kind: Kind::Duration { min_s: 60, max_s: 86_400 },
        default: Some("15m"),
    }

    /// Alert lines that an hour of event time may have at most; 0 for as many as there are.
    ///
    /// Whoever registers or forges many domains could drown what reads the alerts.
    /// The last quarter is for high severity alone and the one before it for medium and high; ends of
    /// alerts that were told are always written.
    /// What is over it is counted in `alerts_held_back` and told in one line when the hour is over.
    "alerts.per_hour" => alert_lines_per_hour: u64 {
        kind: Kind::Count { min: 0, max: 1_000_000_000 },
        default: Some("1000"),
        flag: flag("alerts-per-hour", "N", SENSOR),
    }

    /// What alerts say about the clients that asked.
    ///
    /// Client addresses are personal data in many places; find out before they are listed.
    "privacy.clients" => clients: Clients {
        kind: Kind::Word(Clients::WORDS),
        default: Some("count"),
        flag: flag("clients", "WORD", SENSOR),
    }

    /// File with the key that `privacy.clients = "hmac"` hashes with: 16 to 4096 bytes.
    ///
    /// The key is never printed.
    /// `head -c 32 /dev/urandom > key && chmod 600 key` makes one; whoever has it can find out
    /// which client is behind a hash.
    "privacy.client_key_file" => client_key_file: Option<PathBuf> {
        kind: Kind::Path,
        default: None,
        example: "/etc/fluxtap/client.key",
        flag: flag("client-key-file", "FILE", SENSOR),
    }

    /// Form of the alerts.
    "output.format" => format: Format {
        kind: Kind::Word(Format::WORDS),
        default: Some("json"),
        flag: flag("format", "FORM", SENSOR),
    }

    /// Whether what people read is coloured.
    ///
    /// Nothing is told by colour alone.
    "output.color" => color: Color {
        kind: Kind::Word(Color::WORDS),
        default: Some("auto"),
        flag: flag("color", "WHEN", SENSOR),
    }

    /// No progress and no summary; errors and warnings are still said.
    "output.quiet" => is_quiet: bool {
        kind: Kind::Switch,
        default: Some("false"),
        flag: Flag { long: "quiet", short: Some('q'), value_name: "true|false", commands: JUDGES },
    }

    /// Write all counters as one JSON object to this file at the end; `-` is standard error.
    "output.stats" => stats: Option<PathBuf> {
        kind: Kind::Path,
        default: None,
        example: "/var/lib/fluxtap/stats.json",
        flag: flag("stats", "FILE", SENSOR),
    }

    /// Folder in which undelivered alerts of sinks wait, a folder for each sink.
    ///
    /// Only sinks other than `stdout` have one.
    /// It must not be shared by two sensors.
    "spool.folder" => spool_folder: PathBuf {
        kind: Kind::Path,
        default: Some("/var/lib/fluxtap/spool"),
    }

    /// How much may wait for one sink on disk.
    ///
    /// When it is full, updates of alerts go first, the oldest first; beginnings and ends never go
    /// to make room.
    /// An alert line takes 3 to 7 KiB.
    "spool.size" => spool_octets: u64 {
        kind: Kind::Size { min: 1 << 20, max: 1 << 40 },
        default: Some("256MiB"),
    }

    /// When alerts in the spool are made safe from a loss of power.
    ///
    /// A crash of fluxtap alone loses none.
    "spool.sync" => spool_sync: SpoolSync {
        kind: Kind::Word(SpoolSync::WORDS),
        default: Some("each"),
    }

    /// How long a stop waits for sinks to deliver; what is left waits in the spool.
    "spool.drain" => drain_s: u64 {
        kind: Kind::Duration { min_s: 0, max_s: 600 },
        default: Some("10s"),
    }
}

/// Settings of `run` that a reload cannot change: what they say is done at the start, or what they
/// size is there already.
pub const AT_START: &[&str] = &[
    "sensor.memory",
    "sensor.workers",
    "capture.dns_ports",
    "capture.verify_checksums",
    "capture.tunnels.vxlan",
    "capture.tunnels.vxlan_gpe",
    "capture.tunnels.geneve",
    "capture.tunnels.gtp_u",
    "capture.tunnels.teredo",
    "capture.tunnels.mpls",
    "capture.tunnels.gre",
    "flow.pairing",
    "flow.duplicates",
    "flow.duplicate_window",
    "run.interfaces",
    "run.rings",
    "run.ring",
    "run.promiscuous",
    "run.filter",
    "run.user",
    "run.no_sandbox",
    "run.lateness",
    "checkpoint.file",
    "checkpoint.interval",
    "metrics.listen",
    "log.format",
    "privacy.clients",
    "output.stats",
    "spool.folder",
    "spool.size",
    "spool.sync",
    "spool.drain",
];

/// The tables that settings stand in, in the order of the table.
pub fn sections() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    SETTINGS.iter().map(Setting::section).filter(move |section| {
        let is_next = *section != last;
        last = section;
        is_next
    })
}

/// The row of a setting.
#[must_use]
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A row whose type does not fit its kind, or whose default is refused, fails here.
    #[test]
    fn the_defaults_are_good() {
        for setting in SETTINGS {
            let name = setting.name;
            let shown = setting.default.or(setting.example);
            let shown = shown.unwrap_or_else(|| panic!("{name}: neither default nor example"));
            let value = setting.kind.parse(shown).unwrap_or_else(|said| panic!("{name}: {said}"));
            assert_eq!(value.plain(), shown, "{name}: as it is told");
            assert_eq!(setting.shown(), value.to_string(), "{name}");
            // The one value besides the defaults: it must fit the field as well.
            let mut values: Vec<_> = SETTINGS.iter().map(Setting::default_value).collect();
            let index = SETTINGS.iter().position(|s| s.name == name).expect("a row");
            values[index] = Some(value);
            assert!(Settings::of(&values).is_some(), "{name}: kind and type of field differ");
        }
        let settings = Settings::default();
        assert_eq!((settings.memory_bytes, settings.is_quiet), (512 << 20, false));
        assert_eq!(settings.dns_ports, [53]);
    }

    #[test]
    fn names_are_unambiguous_and_sections_stay_together() {
        let names: BTreeSet<&str> = SETTINGS.iter().map(|s| s.name).collect();
        assert_eq!(names.len(), SETTINGS.len(), "a name twice");
        let variables: BTreeSet<String> = SETTINGS.iter().map(Setting::variable).collect();
        assert_eq!(variables.len(), SETTINGS.len(), "a variable twice");
        let told: Vec<&str> = sections().collect();
        assert_eq!(told.len(), told.iter().collect::<BTreeSet<_>>().len(), "a section twice");
        for setting in SETTINGS {
            assert!(!setting.section().is_empty(), "{}: no section", setting.name);
            assert!(!names.contains(setting.section()), "{}: below a setting", setting.name);
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
            assert!(setting.name.chars().all(plain), "{}: needs quotes", setting.name);
        }
    }

    #[test]
    fn settings_that_take_a_restart_exist() {
        assert!(AT_START.iter().all(|name| setting(name).is_some()));
    }

    /// Two settings may share a flag if no command has both.
    #[test]
    fn flags_are_unambiguous() {
        for command in [Command::Replay, Command::Run, Command::Evaluate] {
            let flags = SETTINGS.iter().filter_map(|setting| setting.flag.as_ref());
            let flags: Vec<&Flag> = flags.filter(|f| f.commands.contains(&command)).collect();
            let longs: BTreeSet<&str> = flags.iter().map(|flag| flag.long).collect();
            assert_eq!(longs.len(), flags.len(), "{command:?}");
            let shorts: Vec<char> = flags.iter().filter_map(|flag| flag.short).collect();
            assert_eq!(shorts.iter().collect::<BTreeSet<_>>().len(), shorts.len(), "{command:?}");
        }
    }

    #[test]
    fn the_words_for_people_are_there() {
        for setting in SETTINGS {
            let headline = setting.headline();
            assert!(headline.ends_with('.') && headline.len() <= 100, "{}", setting.name);
            assert!(setting.doc.get(1).is_none_or(|line| line.is_empty()), "{}", setting.name);
        }
    }
}
