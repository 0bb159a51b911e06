//! The sinks of `run`: settings to delivery, alerts to records, and what delivery has to say.

use crate::console::{self, Exit};
use crate::output::Closed;
use fluxtap_alert::Label;
use fluxtap_config::{
    Format, MinSeverity, Settings, SinkAuth, SinkSettings, SinkTransport, SinkType, SpoolSync,
};
use fluxtap_sink::{
    Auth, Delivery, Dialect, FileOptions, Filter, Form, Gone, HttpOptions, Keep, Left, Notice,
    OpenError, Record, SinkCounts, SinkOptions, SpoolOptions, Sync, SyslogOptions, SyslogTransport,
    Target, Tell, TlsOptions,
};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

/// Opens delivery: to the sinks of the settings, or to standard output alone where there are none.
/// What goes wrong later is said on standard error.
pub(crate) fn open(settings: &Settings, host: &str) -> Result<Delivery, Exit> {
    warn_of_open_secrets(settings);
    let (tell, options): (Tell, _) = (Arc::new(tell), options(settings, host));
    Delivery::open(&options, &spool(settings), &tell).map_err(|error| {
        let (said, exit) = match error {
            OpenError::Unusable(said) => (said, Exit::BadConfig),
            OpenError::Unreachable(said) => (said, Exit::Unavailable),
        };
        said.iter().for_each(|said| console::error(said));
        exit
    })
}

/// Where alerts go, where settings say so: `fluxtap: alerts go to siem (syslog)`.
pub(crate) fn told(settings: &Settings) -> Option<String> {
    let options = options(settings, "");
    let told = options.iter().map(|sink| format!("{} ({})", sink.name, sink.target.kind()));
    let told: Vec<String> = told.collect();
    let told = format!("fluxtap: alerts go to {}", told.join(", "));
    (!settings.sinks.is_empty()).then_some(told)
}

/// Reads the files that sinks name; every mistake is said.
pub(crate) fn check(settings: &Settings) -> Result<(), Exit> {
    warn_of_open_secrets(settings);
    let said = Delivery::check(&options(settings, ""));
    said.iter().for_each(|said| console::error(said));
    if said.is_empty() { Ok(()) } else { Err(Exit::BadConfig) }
}

/// Secrets and keys are for the sensor's user, and at most its group.
fn warn_of_open_secrets(settings: &Settings) {
    for sink in &settings.sinks {
        for path in [&sink.token_file, &sink.key_file].into_iter().flatten() {
            let mode = fs::metadata(path).map_or(0, |found| found.mode() & 0o777);
            if mode & 0o007 != 0 {
                console::warning(&format!(
                    "sink {}: {}: got a secret that everybody may read (mode {mode:03o}), \
                     expected 600 or 640; chmod it",
                    sink.name,
                    path.display()
                ));
            }
        }
    }
}

/// Delivers what waits, for as long as the settings allow, and says what is left; with the counters
/// of the sinks that the settings name.
pub(crate) fn drain(delivery: Delivery, settings: &Settings) -> (Exit, Vec<SinkCounts>) {
    let gone = delivery.stdout_gone().is_some();
    let mut exit = Exit::Done;
    let drained = delivery.drain(Duration::from_secs(settings.drain_s));
    if !settings.is_quiet && !settings.sinks.is_empty() {
        drained.counts.iter().for_each(|counts| console::say(&summary(counts)));
    }
    for Left { sink, spooled, lost } in drained.left {
        if spooled > 0 {
            console::warning(&format!(
                "sink {sink}: {} not delivered; the next start goes on with them",
                console::count(spooled, "line")
            ));
        }
        if lost > 0 && !gone {
            console::error(&format!(
                "sink {sink}: {} lost, because nothing but memory held them",
                console::count(lost, "line")
            ));
            exit = Exit::Failed;
        }
    }
    (exit, if settings.sinks.is_empty() { Vec::new() } else { drained.counts })
}

/// The counters of the sinks, for programs.
pub(crate) fn to_json(sinks: &[SinkCounts]) -> Value {
    let sink = |counts: &SinkCounts| {
        json!({
            "name": counts.name,
            "type": counts.kind,
            "accepted": counts.accepted,
            "filtered": counts.filtered,
            "resumed": counts.resumed,
            "delivered": counts.delivered,
            "retried": counts.retried,
            "dead_lettered": counts.dead_lettered,
            "dropped": {
                "updates_for_room": counts.dropped.updates_for_room,
                "no_room": counts.dropped.no_room,
                "disk_too_slow": counts.dropped.disk_too_slow,
                "damaged": counts.dropped.damaged,
                "closed": counts.dropped.closed,
            },
            "faults": counts.faults,
            "waiting": counts.waiting,
            "spool_octets": counts.spool_octets,
            "lag_ms": counts.lag_ms,
        })
    };
    sinks.iter().map(sink).collect()
}

/// A line of the summary at the end: `  sink        log: 8 delivered, 2 waiting`.
fn summary(counts: &SinkCounts) -> String {
    let numbers = [
        (counts.retried, "sent again"),
        (counts.filtered, "held back by its filter"),
        (counts.dead_lettered, "dead letters"),
        (counts.dropped.sum(), "dropped"),
        (counts.waiting, "waiting"),
    ];
    let told = numbers.iter().filter(|(number, _)| *number > 0);
    let told: String =
        told.map(|(number, what)| format!(", {} {what}", console::grouped(*number))).collect();
    format!("  sink        {}: {} delivered{told}", counts.name, console::grouped(counts.delivered))
}

/// Whether the run is to end because standard output was all there was, and takes nothing.
pub(crate) fn closed(delivery: &Delivery) -> Option<Closed> {
    if delivery.counts().len() > 1 {
        return None;
    }
    Some(match delivery.stdout_gone()? {
        Gone::Closed => Closed::Pipe,
        Gone::Failed(said) => Closed::Failed(io::Error::other(said)),
    })
}

/// A line as all sinks take it; forms that [`Delivery::wants`] not are empty.
pub(crate) fn record(label: Label, forms: [Vec<u8>; 3]) -> Record {
    Record {
        id: label.id,
        domain: label.domain,
        kind: label.kind.to_owned(),
        severity: Some(label.severity),
        at_ms: label.at_ms,
        keep: if label.is_update { Keep::WhileThereIsRoom } else { Keep::Always },
        forms: forms.map(Arc::from),
    }
}

/// A line that is not about a domain, as all sinks take it: no filter for alerts holds it back.
pub(crate) fn own_record(
    kind: &str,
    id: String,
    at_ms: u64,
    keep: Keep,
    forms: [Vec<u8>; 3],
) -> Record {
    Record {
        id,
        domain: String::new(),
        kind: kind.to_owned(),
        severity: None,
        at_ms,
        keep,
        forms: forms.map(Arc::from),
    }
}

/// What a sink has to say, as any other word for people.
fn tell(notice: &Notice) {
    let text = format!("sink {}: {}", notice.sink, notice.text);
    if notice.is_warning {
        console::warning(&text);
    } else {
        console::say(&format!("fluxtap: {text}"));
    }
}

/// Where undelivered lines wait.
pub(crate) fn spool(settings: &Settings) -> SpoolOptions {
    SpoolOptions {
        folder: settings.spool_folder.clone(),
        octets_max: settings.spool_octets,
        sync: match settings.spool_sync {
            SpoolSync::Each => Sync::Each,
            SpoolSync::Second => Sync::Second,
            SpoolSync::Never => Sync::Never,
        },
    }
}

/// The sinks, as delivery wants them.
pub(crate) fn options(settings: &Settings, host: &str) -> Vec<SinkOptions> {
    if settings.sinks.is_empty() {
        return vec![SinkOptions {
            name: "stdout".to_owned(),
            form: form(settings.format, true),
            filter: Filter::default(),
            is_required: false,
            timeout: Duration::ZERO,
            target: Target::Stdout,
        }];
    }
    let option = |sink: &SinkSettings| SinkOptions {
        name: sink.name.clone(),
        form: form(sink.format, sink.kind == SinkType::Stdout),
        filter: Filter {
            severity_min: match sink.severity {
                MinSeverity::Low => 1,
                MinSeverity::Medium => 2,
                MinSeverity::High => 3,
            },
            kinds: sink.kinds.clone(),
        },
        is_required: sink.is_required,
        timeout: Duration::from_secs(sink.timeout_s),
        target: target(sink, host),
    };
    settings.sinks.iter().map(option).collect()
}

fn form(format: Format, is_stdout: bool) -> Form {
    match format {
        Format::Json => Form::Json,
        Format::Text if is_stdout => Form::Terminal,
        Format::Text => Form::Text,
    }
}

fn target(sink: &SinkSettings, host: &str) -> Target {
    // What a type needs is there: the settings were checked for it.
    let path = sink.path.clone().unwrap_or_default();
    let http = |dialect| Target::Http(http(sink, host, dialect));
    match sink.kind {
        SinkType::Stdout => Target::Stdout,
        SinkType::LogFile => Target::File(FileOptions {
            path,
            rotate_octets: sink.rotate_octets,
            rotate_age: sink.rotate_age_s.map(Duration::from_secs),
            rotate_keep: sink.rotate_keep as u32,
        }),
        SinkType::Syslog => {
            let address = sink.address.clone().unwrap_or_default();
            Target::Syslog(SyslogOptions {
                transport: match sink.transport {
                    SinkTransport::Udp => SyslogTransport::Udp(address),
                    SinkTransport::Tcp => SyslogTransport::Tcp(address),
                    SinkTransport::Tls => SyslogTransport::Tls(address, tls(sink)),
                    SinkTransport::Unix => SyslogTransport::Unix(path),
                },
                facility: sink.facility.number(),
                host: host.to_owned(),
            })
        }
        SinkType::Webhook => http(Dialect::Webhook),
        SinkType::Elasticsearch => {
            http(Dialect::Elasticsearch { index: sink.index.clone().unwrap_or_default() })
        }
        SinkType::SplunkHec => http(Dialect::SplunkHec {
            index: sink.index.clone(),
            sourcetype: sink.sourcetype.clone(),
        }),
    }
}

fn http(sink: &SinkSettings, host: &str, dialect: Dialect) -> HttpOptions {
    let auth = sink.auth.unwrap_or(match dialect {
        Dialect::Webhook => SinkAuth::Bearer,
        Dialect::Elasticsearch { .. } => SinkAuth::Apikey,
        Dialect::SplunkHec { .. } => SinkAuth::Splunk,
    });
    HttpOptions {
        url: sink.url.clone().unwrap_or_default(),
        host: host.to_owned(),
        dialect,
        tls: tls(sink),
        token_file: sink.token_file.clone(),
        auth: match auth {
            SinkAuth::Bearer => Auth::Bearer,
            SinkAuth::Basic => Auth::Basic,
            SinkAuth::Apikey => Auth::ApiKey,
            SinkAuth::Splunk => Auth::Splunk,
        },
        batch_records: sink.batch_lines as usize,
        batch_octets: sink.batch_octets as usize,
        batch_wait: Duration::from_millis(sink.batch_wait_ms),
        is_gzip: sink.is_gzip,
        proxy: sink.proxy.clone(),
    }
}

fn tls(sink: &SinkSettings) -> TlsOptions {
    TlsOptions {
        ca_file: sink.ca_file.clone(),
        identity: sink.cert_file.clone().zip(sink.key_file.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_what_is_not_nothing() {
        let mut counts =
            SinkCounts { name: "log".to_owned(), delivered: 1_234, ..SinkCounts::default() };
        assert_eq!(summary(&counts), "  sink        log: 1,234 delivered");
        (counts.retried, counts.dropped.no_room, counts.waiting) = (2, 3, 4);
        let expect = "  sink        log: 1,234 delivered, 2 sent again, 3 dropped, 4 waiting";
        assert_eq!(summary(&counts), expect);
    }

    /// Every setting of a sink reaches what it is for.
    #[test]
    fn settings_become_options() {
        let text = "[[sinks]]\nname = 'a'\ntype = 'syslog'\ntransport = 'tls'\naddress = 'h:1'\n\
                    facility = 'local3'\nca_file = 'ca'\ncert_file = 'c'\nkey_file = 'k'\n\
                    timeout = '3s'\nrequired = true\nseverity = 'high'\nkinds = ['ns_flux']\n\
                    [[sinks]]\nname = 'b'\ntype = 'file'\nformat = 'text'\npath = '/b'\n\
                    rotate_size = '1MiB'\nrotate_age = '1d'\nrotate_keep = 3\n\
                    [[sinks]]\nname = 'c'\ntype = 'splunk_hec'\nurl = 'https://h/'\n\
                    token_file = 't'\nindex = 'i'\nsourcetype = 's'\ngzip = true\n\
                    batch_lines = 7\nbatch_size = '64KiB'\nbatch_wait = '20ms'\n\
                    proxy = 'http://p:1'\n\
                    [[sinks]]\nname = 'd'\ntype = 'elasticsearch'\nurl = 'http://h'\nindex = 'i'\n\
                    auth = 'basic'\n\
                    [[sinks]]\nname = 'e'\ntype = 'stdout'\nformat = 'text'\n";
        let layer = fluxtap_config::Layer::Toml { path: "f".to_owned(), text: text.to_owned() };
        let settings = fluxtap_config::load(&[layer]).expect("good").settings;
        let sinks = options(&settings, "tap");
        let identity = Some(("c".into(), "k".into()));
        let tls = TlsOptions { ca_file: Some("ca".into()), identity };
        let Target::Http(http) = &sinks[2].target else { panic!("{:?}", sinks[2]) };
        let expect = SinkOptions {
            name: "a".to_owned(),
            form: Form::Json,
            filter: Filter { severity_min: 3, kinds: vec!["ns_flux".to_owned()] },
            is_required: true,
            timeout: Duration::from_secs(3),
            target: Target::Syslog(SyslogOptions {
                transport: SyslogTransport::Tls("h:1".to_owned(), tls),
                facility: 19,
                host: "tap".to_owned(),
            }),
        };
        assert_eq!(sinks[0], expect);
        let file = FileOptions {
            path: "/b".into(),
            rotate_octets: Some(1 << 20),
            rotate_age: Some(Duration::from_secs(86_400)),
            rotate_keep: 3,
        };
        assert_eq!((sinks[1].form, &sinks[1].target), (Form::Text, &Target::File(file)));
        let expect = HttpOptions {
            url: "https://h/".to_owned(),
            host: "tap".to_owned(),
            dialect: Dialect::SplunkHec { index: Some("i".to_owned()), sourcetype: "s".to_owned() },
            tls: TlsOptions::default(),
            token_file: Some("t".into()),
            auth: Auth::Splunk,
            batch_records: 7,
            batch_octets: 64 << 10,
            batch_wait: Duration::from_millis(20),
            is_gzip: true,
            proxy: Some("http://p:1".to_owned()),
        };
        assert_eq!(*http, expect);
        let Target::Http(http) = &sinks[3].target else { panic!("{:?}", sinks[3]) };
        assert_eq!(http.auth, Auth::Basic);
        assert_eq!((sinks[4].form, &sinks[4].target), (Form::Terminal, &Target::Stdout));
        let alone = options(&Settings::default(), "tap");
        assert_eq!((alone.len(), alone[0].form), (1, Form::Json));
    }
}
