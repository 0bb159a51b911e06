//! The settings of sinks: `[[sinks]]`, a table for each, any number of them.

use crate::document::SinkEntry;
use crate::kind::Kind;
use crate::load::{Effective, LoadedSink};
use crate::mistake::{Mistakes, Origin};
use crate::setting::{Setting, settings};
use crate::table::{Format, MinSeverity};
use crate::value::{FromValue, Value, words};
use std::path::PathBuf;

/// Most sinks; each has a thread and a spool.
const SINKS_MAX: usize = 64;

/// Most kinds of lines a filter names.
const KINDS_MAX: usize = 16;

const ALL: &[SinkType] = &[
    SinkType::Stdout,
    SinkType::LogFile,
    SinkType::Syslog,
    SinkType::Webhook,
    SinkType::Elasticsearch,
    SinkType::SplunkHec,
];
const FILE: &[SinkType] = &[SinkType::LogFile];
const SYSLOG: &[SinkType] = &[SinkType::Syslog];
const HTTP: &[SinkType] = &[SinkType::Webhook, SinkType::Elasticsearch, SinkType::SplunkHec];
/// Those that reach for somebody.
const REMOTE: &[SinkType] =
    &[SinkType::Syslog, SinkType::Webhook, SinkType::Elasticsearch, SinkType::SplunkHec];

/// Words that `kinds` accepts: those of `fluxtap.flux.kind`, and those of lines about the sensor and
/// about lines that were held back.
const KINDS: &[&str] = &[
    "single_flux",
    "double_flux",
    "ns_flux",
    "ip_rotation",
    "hosting_pool",
    "intel_match",
    "rebinding",
    "sensor_health",
    "alerts_held_back",
];

words! {
    /// What a sink delivers to.
    SinkType {
        /// standard output, without a spool
        Stdout = "stdout",
        /// a file that lines are appended to
        LogFile = "file",
        /// a syslog receiver, RFC 5424
        Syslog = "syslog",
        /// an HTTP server that takes lines of JSON
        Webhook = "webhook",
        /// the bulk API of Elasticsearch or OpenSearch
        Elasticsearch = "elasticsearch",
        /// the HTTP Event Collector of Splunk
        SplunkHec = "splunk_hec",
    }

    /// How a syslog receiver is reached.
    SinkTransport {
        /// datagrams; nobody says whether they arrive
        Udp = "udp",
        /// a connection with octet counting, RFC 6587
        Tcp = "tcp",
        /// the same over TLS, RFC 5425
        Tls = "tls",
        /// a socket in the file system, such as /dev/log
        Unix = "unix",
    }

    /// What the secret of a sink is.
    SinkAuth {
        /// a token, RFC 6750
        Bearer = "bearer",
        /// `user:password`, RFC 7617
        Basic = "basic",
        /// a key of Elasticsearch, encoded as it hands them out
        Apikey = "apikey",
        /// a token of Splunk
        Splunk = "splunk",
    }

    /// Facility of syslog messages; the numbers are those of RFC 5424, 6.2.1.
    Facility {
        /// 1
        User = "user",
        /// 3
        Daemon = "daemon",
        /// 4
        Auth = "auth",
        /// 13
        Audit = "audit",
        /// 16
        Local0 = "local0",
        /// 17
        Local1 = "local1",
        /// 18
        Local2 = "local2",
        /// 19
        Local3 = "local3",
        /// 20
        Local4 = "local4",
        /// 21
        Local5 = "local5",
        /// 22
        Local6 = "local6",
        /// 23
        Local7 = "local7",
    }
}

impl Facility {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Daemon => 3,
            Self::Auth => 4,
            Self::Audit => 13,
            // The local ones follow each other, as they do here.
            local => 16 + (local as u8 - Self::Local0 as u8),
        }
    }
}

settings! {
    /// Every setting of a sink.
    SINK_SETTINGS;
    /// The settings of one sink in force, each in the unit its name ends in.
    SinkSettings {}

    /// Its name in messages, metrics and the spool; each sink has its own.
    "sinks.name" => name: String {
        kind: Kind::Name,
        default: None,
        example: "siem",
        types: ALL,
    }

    /// What it delivers to.
    "sinks.type" => kind: SinkType {
        kind: Kind::Word(SinkType::WORDS),
        default: None,
        example: "syslog",
        types: ALL,
    }

    /// Form of its lines; text is for `stdout`, `file` and `webhook`.
    "sinks.format" => format: Format {
        kind: Kind::Word(Format::WORDS),
        default: Some("json"),
        types: ALL,
    }

    /// The least severity it delivers; lines without one always pass.
    "sinks.severity" => severity: MinSeverity {
        kind: Kind::Word(MinSeverity::WORDS),
        default: Some("low"),
        types: ALL,
    }

    /// The kinds it delivers; none means all.
    ///
    /// They are those of `fluxtap.flux.kind`, `sensor_health` for lines about the sensor itself, and
    /// `alerts_held_back` for those that say how many alert lines were too many.
    "sinks.kinds" => kinds: Vec<String> {
        kind: Kind::Texts { max: KINDS_MAX },
        default: Some(""),
        types: ALL,
    }

    /// Whether `run` refuses to start, with status 69, when its receiver cannot be reached.
    "sinks.required" => is_required: bool {
        kind: Kind::Switch,
        default: Some("false"),
        types: ALL,
    }

    /// Longest that one exchange with the receiver may take.
    "sinks.timeout" => timeout_s: u64 {
        kind: Kind::Duration { min_s: 1, max_s: 300 },
        default: Some("10s"),
        types: REMOTE,
    }

    /// The file, or the socket of `transport = "unix"`.
    "sinks.path" => path: Option<PathBuf> {
        kind: Kind::Path,
        default: None,
        example: "/var/log/fluxtap/alerts.jsonl",
        types: &[SinkType::LogFile, SinkType::Syslog],
    }

    /// Rotate the file before it grows beyond this; without it nothing but age rotates.
    "sinks.rotate_size" => rotate_octets: Option<u64> {
        kind: Kind::Size { min: 1 << 16, max: 1 << 40 },
        default: None,
        example: "100MiB",
        types: FILE,
    }

    /// Rotate the file when it is this old, at the next line; without it nothing but size rotates.
    "sinks.rotate_age" => rotate_age_s: Option<u64> {
        kind: Kind::Duration { min_s: 60, max_s: 366 * 86_400 },
        default: None,
        example: "1d",
        types: FILE,
    }

    /// How many rotated files are kept: `alerts.jsonl.1` is the youngest.
    "sinks.rotate_keep" => rotate_keep: u64 {
        kind: Kind::Count { min: 0, max: 10_000 },
        default: Some("7"),
        types: FILE,
    }

    /// How the syslog receiver is reached.
    "sinks.transport" => transport: SinkTransport {
        kind: Kind::Word(SinkTransport::WORDS),
        default: Some("udp"),
        types: SYSLOG,
    }

    /// Where the syslog receiver listens, unless it is a socket in the file system.
    "sinks.address" => address: Option<String> {
        kind: Kind::Address,
        default: None,
        example: "siem.example:6514",
        types: SYSLOG,
    }

    /// Facility of the messages.
    "sinks.facility" => facility: Facility {
        kind: Kind::Word(Facility::WORDS),
        default: Some("local0"),
        types: SYSLOG,
    }

    /// Where batches are posted to.
    ///
    /// Of `elasticsearch` it is the server alone: index and `_bulk` are appended.
    /// Of `splunk_hec` it is the whole address, ending in `/services/collector/event`.
    "sinks.url" => url: Option<String> {
        kind: Kind::Url,
        default: None,
        example: "https://siem.example:9200",
        types: HTTP,
    }

    /// Index or data stream.
    "sinks.index" => index: Option<String> {
        kind: Kind::Name,
        default: None,
        example: "logs-fluxtap.alert-default",
        types: &[SinkType::Elasticsearch, SinkType::SplunkHec],
    }

    /// Source type of events.
    "sinks.sourcetype" => sourcetype: String {
        kind: Kind::Name,
        default: Some("fluxtap:alert"),
        types: &[SinkType::SplunkHec],
    }

    /// File with the secret on its first line.
    ///
    /// It is read at the start, at a reload, and when the receiver refuses the secret.
    "sinks.token_file" => token_file: Option<PathBuf> {
        kind: Kind::Path,
        default: None,
        example: "/etc/fluxtap/siem.token",
        types: HTTP,
    }

    /// What the secret is.
    ///
    /// Without it `bearer` for a webhook, `apikey` for Elasticsearch, `splunk` for Splunk.
    "sinks.auth" => auth: Option<SinkAuth> {
        kind: Kind::Word(SinkAuth::WORDS),
        default: None,
        example: "basic",
        types: HTTP,
    }

    /// Certificates of the authorities that are trusted, PEM; without it those of the system.
    "sinks.ca_file" => ca_file: Option<PathBuf> {
        kind: Kind::Path,
        default: None,
        example: "/etc/fluxtap/ca.pem",
        types: REMOTE,
    }

    /// Our own certificate and those above it, PEM, where the receiver asks for one.
    "sinks.cert_file" => cert_file: Option<PathBuf> {
        kind: Kind::Path,
        default: None,
        example: "/etc/fluxtap/sensor.pem",
        types: REMOTE,
    }

    /// The key of that certificate, PEM.
    "sinks.key_file" => key_file: Option<PathBuf> {
        kind: Kind::Path,
        default: None,
        example: "/etc/fluxtap/sensor.key",
        types: REMOTE,
    }

    /// Most lines of a batch.
    "sinks.batch_lines" => batch_lines: u64 {
        kind: Kind::Count { min: 1, max: 10_000 },
        default: Some("500"),
        types: HTTP,
    }

    /// About the size of a batch at most, before compression.
    "sinks.batch_size" => batch_octets: u64 {
        kind: Kind::Size { min: 1 << 14, max: 64 << 20 },
        default: Some("4MiB"),
        types: HTTP,
    }

    /// How long a batch waits for more lines.
    "sinks.batch_wait" => batch_wait_ms: u64 {
        kind: Kind::Milliseconds { min_ms: 0, max_ms: 60_000 },
        default: Some("1s"),
        types: HTTP,
    }

    /// Whether batches are compressed with gzip.
    ///
    /// Elasticsearch and Splunk take that, not every webhook does.
    "sinks.gzip" => is_gzip: bool {
        kind: Kind::Switch,
        default: Some("false"),
        types: HTTP,
    }

    /// The proxy to go through, `http://host:port`.
    ///
    /// Variables of the environment are not looked at.
    "sinks.proxy" => proxy: Option<String> {
        kind: Kind::Url,
        default: None,
        example: "http://proxy.example:3128",
        types: HTTP,
    }
}

/// The sink of a table of a file, if it has no mistakes.
pub(crate) fn load(path: &str, sink: SinkEntry, mistakes: &mut Mistakes) -> Option<LoadedSink> {
    let at = |line| Origin::Line { path: path.to_owned(), line };
    let mut effective = Effective::defaults(SINK_SETTINGS);
    let refused = sink.refused;
    for entry in sink.entries {
        effective[entry.index].value = Some(entry.value);
        effective[entry.index].origin = at(entry.line);
    }
    let value = |name: &str| effective.iter().find(|e| e.setting.key() == name)?.value.clone();
    let Some(kind) = SinkType::from_value(value("type").as_ref()) else {
        if !refused.contains(&"sinks.type") {
            let said = "got a sink without a type, expected one; as in type = \"syslog\"";
            mistakes.push(at(sink.line), None, said.to_owned());
        }
        return None;
    };
    let before = mistakes.list.len() + mistakes.more;
    for alien in effective.iter().filter(|e| !e.setting.types.contains(&kind)) {
        if alien.origin != Origin::Default {
            let word = value("type").map_or(String::new(), |value| value.plain());
            let said =
                format!("got it for a sink of type {word}, expected none there; take it out");
            mistakes.push(alien.origin.clone(), Some(alien.setting.name), said);
        }
    }
    for name in needs(kind, value("transport").as_ref()) {
        // What was refused was there.
        let row = SINK_SETTINGS.iter().find(|row| row.name == *name && !refused.contains(name));
        if let Some(row) = row.filter(|row| value(row.key()).is_none()) {
            let (key, shown) = (row.key(), row.shown());
            let said = format!("got a sink without {key}, which it needs; as in {key} = {shown}");
            mistakes.push(at(sink.line), None, said);
        }
    }
    contradictions(kind, &effective, mistakes);
    if mistakes.list.len() + mistakes.more > before {
        return None;
    }
    let values: Vec<Option<Value>> = SINK_SETTINGS
        .iter()
        .map(|row| effective.iter().find(|e| e.setting.name == row.name)?.value.clone())
        .collect();
    let settings = SinkSettings::of(&values)?;
    effective.retain(|e| e.setting.types.contains(&kind));
    Some(LoadedSink { settings, effective })
}

/// What a sink cannot do without.
fn needs(kind: SinkType, transport: Option<&Value>) -> &'static [&'static str] {
    let is_unix = transport == Some(&Value::Word("unix"));
    match kind {
        SinkType::Stdout => &["sinks.name"],
        SinkType::LogFile => &["sinks.name", "sinks.path"],
        SinkType::Syslog if is_unix => &["sinks.name", "sinks.path"],
        SinkType::Syslog => &["sinks.name", "sinks.address"],
        SinkType::Webhook | SinkType::SplunkHec => &["sinks.name", "sinks.url"],
        SinkType::Elasticsearch => &["sinks.name", "sinks.url", "sinks.index"],
    }
}

/// Values that are good each by itself and contradict each other, or the type.
fn contradictions(kind: SinkType, effective: &[Effective], mistakes: &mut Mistakes) {
    let find = |name: &str| effective.iter().find(|e| e.setting.key() == name);
    let value = |name: &str| find(name).and_then(|e| e.value.as_ref());
    let mut refuse = |name: &str, said: &str| {
        if let Some(e) = find(name) {
            mistakes.push(e.origin.clone(), Some(e.setting.name), said.to_owned());
        }
    };
    if let Some(Value::Text(name)) = value("name") {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if !name.chars().all(plain) {
            let said = "got other characters than letters, digits, _ and -, expected a name that \
                        a folder can have; rename it";
            refuse("name", said);
        }
    }
    if let Some(Value::Texts(kinds)) = value("kinds")
        && let Some(unknown) = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str()))
    {
        let said = format!("got '{unknown}', expected of {}", KINDS.join(", "));
        refuse("kinds", &said);
    }
    let is_text = value("format") == Some(&Value::Word("text"));
    if is_text && !matches!(kind, SinkType::Stdout | SinkType::LogFile | SinkType::Webhook) {
        let said = "got text, expected json for this type; its receiver reads lines of JSON";
        refuse("format", said);
    }
    for (one, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if value(one).is_some() && value(other).is_none() {
            refuse(one, &format!("got it without {other}, expected both; name the other too"));
        }
    }
    let is_secure = match kind {
        SinkType::Syslog => value("transport") == Some(&Value::Word("tls")),
        _ => value("url").is_none_or(|url| url.plain().starts_with("https:")),
    };
    for name in ["ca_file", "cert_file"] {
        if value(name).is_some() && !is_secure {
            let how = if kind == SinkType::Syslog { "transport = \"tls\"" } else { "https://" };
            refuse(
                name,
                &format!("got it for a sink without TLS, expected {how}; set it, or take this out"),
            );
        }
    }
    if kind == SinkType::Syslog {
        let is_unix = value("transport") == Some(&Value::Word("unix"));
        let other = if is_unix { "address" } else { "path" };
        if value(other).is_some() {
            refuse(other, "got it for a transport that has none, expected none; take it out");
        }
    }
}

/// Two sinks must not share a spool, a word in messages, or standard output.
pub(crate) fn one_stdout_and_each_name_once(sinks: &[LoadedSink], mistakes: &mut Mistakes) {
    for (i, sink) in sinks.iter().enumerate() {
        let place = |name: &str| {
            let effective = sink.effective.iter().find(|e| e.setting.key() == name);
            effective.map(|e| (e.origin.clone(), e.setting.name))
        };
        let Some((name_at, name_row)) = place("name") else { continue };
        let Some((type_at, type_row)) = place("type") else { continue };
        let (name, kind) = (&sink.settings.name, sink.settings.kind);
        let earlier = &sinks[..i];
        if earlier.iter().any(|other| other.settings.name == *name) {
            let said =
                format!("got a second sink called {name}, expected each name once; rename it");
            mistakes.push(name_at.clone(), Some(name_row), said);
        }
        let is_stdout = |sink: &LoadedSink| sink.settings.kind == SinkType::Stdout;
        if kind == SinkType::Stdout && earlier.iter().any(is_stdout) {
            let said = "got standard output a second time, expected it once; take one out";
            mistakes.push(type_at, Some(type_row), said.to_owned());
        }
        if i == SINKS_MAX {
            let said = format!("got more than {SINKS_MAX} sinks, expected fewer; take some out");
            mistakes.push(name_at, Some(name_row), said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layer, Loaded, load};

    fn read(texts: &[&str]) -> Result<Loaded, Vec<String>> {
        let layer = |(i, text): (usize, &&str)| Layer::Toml {
            path: format!("{i}.toml"),
            text: (*text).to_owned(),
        };
        let layers: Vec<Layer> = texts.iter().enumerate().map(layer).collect();
        load(&layers).map_err(|mistakes| mistakes.list.iter().map(ToString::to_string).collect())
    }

    /// What is said of a wrong file, in order; each begins and goes on as expected.
    fn check(text: &str, expect: &[&str]) {
        let said = read(&[text]).expect_err(text);
        assert_eq!(said.len(), expect.len(), "{text}: {said:#?}");
        for (said, expect) in said.iter().zip(expect) {
            for part in expect.split(" .. ") {
                assert!(said.contains(part), "{text}: got {said}, expected {part:?} in it");
            }
        }
    }

    #[test]
    fn sinks_of_all_files_are_taken_together_in_order() {
        let first = "[[sinks]]\nname = 'a'\ntype = 'stdout'\n[[sinks]]\nname = 'b'\ntype = 'file'\npath = '/b'";
        let second = "sinks = [{ name = 'c', type = 'syslog', transport = 'unix', path = '/dev/log', kinds = ['sensor_health'] }]";
        let loaded = read(&[first, "sensor.name = 'n'", second]).expect("good");
        let sinks = &loaded.settings.sinks;
        let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!((sinks[1].rotate_keep, sinks[1].path.clone()), (7, Some("/b".into())));
        assert_eq!((sinks[2].transport, sinks[2].facility.number()), (SinkTransport::Unix, 16));
        assert_eq!(sinks[2].kinds, ["sensor_health"]);
        let of_b = &loaded.sinks[1].effective;
        let path = of_b.iter().find(|e| e.setting.key() == "path").expect("there");
        assert_eq!(path.origin.to_string(), "0.toml:7");
        assert!(of_b.iter().all(|e| e.setting.key() != "url"), "not of this type");
    }

    #[test]
    fn each_class_of_mistake_has_its_message() {
        check(
            "[[sinks]]\nname = 'a'",
            &["0.toml:1: got a sink without a type, expected one; as in type = \"syslog\""],
        );
        check(
            "[[sinks]]\ntype = 'file'",
            &[
                "0.toml:1: got a sink without name, which it needs; as in name = \"siem\"",
                "0.toml:1: got a sink without path",
            ],
        );
        check(
            "[[sinks]]\nname = 'a'\ntype = 'sislog'",
            &["0.toml:3: sinks.type: got \"sislog\", expected stdout or file or"],
        );
        check(
            "[[sinks]]\nname = 'a'\ntype = 'file'\npath = '/a'\nurl = 'http://a'",
            &["0.toml:5: sinks.url: got it for a sink of type file .. take it out"],
        );
        check(
            "[[sinks]]\nname = 'a'\ntype = 'webhook'\nurl = 'a.example'",
            &["0.toml:4: sinks.url: got \"a.example\", expected an http:// or https:// URL"],
        );
        check(
            "[[sinks]]\nname = 'a'\ntype = 'webhook'\nurll = 'http://a'",
            &[
                "0.toml:4: got the unknown setting 'sinks.urll' .. did you mean 'sinks.url'?",
                "0.toml:1: got a sink without url",
            ],
        );
        check("[sinks]\nname = 'a'", &["0.toml:1: got a value for 'sinks' .. write [[sinks]]"]);
        check("sinks = 7", &["0.toml:1: got a value for 'sinks' .. write [[sinks]]"]);
        check("sinks = []", &["0.toml:1: got a value for 'sinks' .. write [[sinks]]"]);
        check("sinks = [7]", &["0.toml:1: got a value for 'sinks' .. write [[sinks]]"]);
    }

    #[test]
    fn contradictions_are_told() {
        let hook = "[[sinks]]\nname = 'a'\ntype = 'webhook'\nurl = 'http://a'\n";
        let syslog = "[[sinks]]\nname = 'a'\ntype = 'syslog'\naddress = 'a:514'\n";
        let rows = [
            (
                hook,
                "ca_file = '/ca'",
                "sinks.ca_file: got it for a sink without TLS, expected https",
            ),
            (hook, "key_file = '/k'", "sinks.key_file: got it without cert_file, expected both"),
            (syslog, "ca_file = '/ca'", "for a sink without TLS, expected transport = \"tls\""),
            (syslog, "path = '/a'", "sinks.path: got it for a transport that has none"),
            (syslog, "format = 'text'", "sinks.format: got text, expected json for this type"),
            (hook, "kinds = ['flux']", "sinks.kinds: got 'flux', expected of single_flux, double"),
        ];
        for (front, line, said) in rows {
            check(&format!("{front}{line}"), &[&format!("0.toml:5: .. {said}")]);
        }
        check(
            "[[sinks]]\nname = '../a'\ntype = 'stdout'",
            &["0.toml:2: sinks.name: got other characters than letters"],
        );
        check(
            "[[sinks]]\nname = 'a'\ntype = 'stdout'\n[[sinks]]\nname = 'a'\ntype = 'stdout'",
            &["0.toml:5: sinks.name: got a second sink called a", "0.toml:6: .. a second time"],
        );
        let many: String = (0..SINKS_MAX + 1)
            .map(|n| format!("[[sinks]]\nname = 's{n}'\ntype = 'file'\npath = '/a'\n"))
            .collect();
        check(&many, &["got more than 64 sinks"]);
    }

    /// A row whose type does not fit its kind, or whose example is refused, fails here.
    #[test]
    fn the_rows_are_good() {
        for row in SINK_SETTINGS {
            let shown =
                row.default.or(row.example).unwrap_or_else(|| panic!("{}: no value", row.name));
            let value = row.kind.parse(shown).unwrap_or_else(|said| panic!("{}: {said}", row.name));
            assert_eq!(value.plain(), shown, "{}: as it is told", row.name);
            let example = |row: &Setting| row.kind.parse(row.default.or(row.example)?).ok();
            let values: Vec<Option<Value>> = SINK_SETTINGS.iter().map(example).collect();
            assert!(SinkSettings::of(&values).is_some(), "{}: kind and type differ", row.name);
            assert!(!row.types.is_empty(), "{}: of no type", row.name);
            let headline = row.headline();
            assert!(headline.ends_with('.') && headline.len() <= 100, "{}", row.name);
        }
    }

    #[test]
    fn facilities_have_their_numbers() {
        for word in Facility::WORDS {
            let facility = Facility::from_value(Some(&Value::Word(word.name))).expect("a word");
            assert_eq!(facility.number().to_string(), word.meaning.trim(), "{}", word.name);
        }
    }
}
