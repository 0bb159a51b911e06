//! `fluxtap run`: mirror ports through the sensor until a signal.

use crate::allow;
use crate::checkpoint::{Checkpoints, Start};
use crate::config::Sources;
use crate::console::{self, Exit};
use crate::health::{Monitor, Seen, Tell};
use crate::inputs::Inputs;
use crate::notify::Notify;
use crate::output::{self, Output};
use crate::replay::instant;
use crate::sensor::{Sensor, Stopped};
use crate::status::{Shared, Snapshot};
use crate::{http, interfaces, sandbox, sinks, status, summary, threat_lists};
use fluxtap_alert::Health;
use fluxtap_capture::{Batch, Filter, LiveError, LiveGroup, LiveOptions, PortEvent, PortStats};
use fluxtap_config::{Effective, Loaded, Settings};
use fluxtap_intel::Day;
use fluxtap_wire::Timestamp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two looks at counters and health.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Lines of one kind that are said within [`SAID_WINDOW`]; further ones are counted.
const SAID_MAX: u32 = 10;

/// See [`SAID_MAX`].
const SAID_WINDOW: Duration = Duration::from_secs(60);

/// Watches the interfaces and says how it ended.
pub(crate) fn run(sources: Sources, loaded: Loaded) -> Exit {
    match start(sources, loaded) {
        Ok(watch) => watch.run(),
        Err(exit) => exit,
    }
}

/// Opens everything that can be refused, and gives rights away.
fn start(sources: Sources, loaded: Loaded) -> Result<Watch, Exit> {
    let settings = loaded.settings;
    if settings.interfaces.is_empty() {
        console::error(
            "got no interface, expected one to watch; name it with --interface, or in interfaces \
             below [run] in the configuration",
        );
        return Err(Exit::Usage);
    }
    summary::check_stats(settings.stats.as_deref())?;
    let inputs = Arc::new(Inputs::open(&settings)?);
    allow::warn_of_expired(inputs.intel.allow(), Day::of(output::now().secs()));
    threat_lists::warn_of_expired(inputs.intel.threats(), output::now().secs());
    let source = open(&settings)?;
    let listener = match settings.metrics_listen.0 {
        Some(address) => Some(http::bind(address).map_err(|error| {
            http::refuse(address, &error);
            Exit::Failed
        })?),
        None => None,
    };
    // What hostile packets reach comes behind this, and so do all threads, which inherit it.
    let in_force = sandbox::enter(&settings, &sources).map_err(|said| {
        console::error(&said);
        Exit::Failed
    })?;
    let (sensor, checkpoints, resumed) = sensor(&settings, &inputs)?;
    let signals = Signals::watch(&source).map_err(|error| {
        console::error(&format!("cannot watch for signals: {error}"));
        Exit::Failed
    })?;
    let shared = Arc::new(Shared::default());
    if let Some(listener) = listener {
        let shared = Arc::clone(&shared);
        http::serve(listener, move |path| status::page(path, &shared)).map_err(|error| {
            console::error(&format!("cannot start a thread to serve metrics: {error}"));
            Exit::Failed
        })?;
    }
    // What refuses a start is for the person who starts it; from here on programs read along.
    console::set_form(settings.log_format);
    say_start(&settings, &in_force, resumed.as_deref());
    let now = instant();
    Ok(Watch {
        checkpoints,
        monitor: Monitor::new(&settings, now),
        sensor,
        source,
        effective: loaded.effective,
        settings,
        sources,
        signals,
        shared,
        notify: Notify::of_environment(),
        sayings: Sayings::default(),
        started: now,
        looked: now,
        reloaded: None,
    })
}

/// The sensor with its sinks, workers and checkpoints; and what it goes on with, in words.
fn sensor(
    settings: &Settings,
    inputs: &Arc<Inputs>,
) -> Result<(Sensor, Option<Checkpoints>, Option<String>), Exit> {
    let delivery = sinks::open(settings, &host_name())?;
    let interfaces = settings.interfaces.join(",");
    let output = Output::new(settings, inputs, observer(settings), Some(interfaces));
    let start = Start::new(settings, inputs, random_key())?;
    let checkpoints = Checkpoints::start(settings, start.hash_key)?;
    let sequence = start.standing.map_or(0, |standing| standing.sequence);
    let output = output.deliver(delivery).behind(sequence).capped_by(start.cap, settings);
    let sensor = Sensor::new(settings, settings.run_lateness_s, start.hash_key, inputs, output);
    let mut sensor = sensor.among(start.campaigns).sharing(start.shards)?;
    sensor.count().map_err(|stopped| stopped.exit())?;
    let resumed = start.standing.map(|_| {
        format!(
            "goes on with {} and {} of the checkpoint",
            console::count(sensor.tally.table.tracked, "domain"),
            console::count(sensor.tally.open.len() as u64, "open alert"),
        )
    });
    Ok((sensor, checkpoints, resumed))
}

fn open(settings: &Settings) -> Result<LiveGroup, Exit> {
    let mut interfaces: Vec<String> = Vec::new();
    for interface in &settings.interfaces {
        if !interfaces.contains(interface) {
            interfaces.push(interface.clone());
        }
    }
    LiveGroup::open(&interfaces, options(settings), output::now).map_err(|error| refused(&error))
}

/// How the settings want to capture.
pub(crate) fn options(settings: &Settings) -> LiveOptions {
    let filter = match settings.filter.as_str() {
        "auto" => Filter::Ports {
            dns: settings.dns_ports.clone(),
            tunnels: crate::sensor::tunnels(settings).into_iter().map(|(_, port)| port).collect(),
        },
        "none" => Filter::Everything,
        text => Filter::Expression(text.to_owned()),
    };
    LiveOptions {
        filter,
        is_promiscuous: settings.is_promiscuous,
        rings: settings.rings,
        ring_bytes: u32::try_from(settings.ring_bytes).unwrap_or(u32::MAX),
        ..LiveOptions::default()
    }
}

/// Says why an interface cannot be captured.
pub(crate) fn refused(error: &LiveError) -> Exit {
    console::error(&error.to_string());
    match error {
        LiveError::NoPermission { .. } => Exit::NoPermission,
        LiveError::NoSuchInterface { .. } => Exit::NoInput,
        LiveError::BadFilter { .. } => Exit::BadConfig,
        _ => Exit::Failed,
    }
}

fn say_start(settings: &Settings, in_force: &str, resumed: Option<&str>) {
    if settings.is_quiet {
        return;
    }
    let interfaces = settings.interfaces.join(", ");
    console::say(&format!("fluxtap: watching {interfaces}; stop with SIGINT or SIGTERM"));
    if let Some(resumed) = resumed {
        console::say(&format!("fluxtap: {resumed}"));
    }
    if let Some(told) = sinks::told(settings) {
        console::say(&told);
    }
    console::say(&format!("fluxtap: in force: {in_force}"));
    if let Some(address) = settings.metrics_listen.0 {
        console::say(&format!("fluxtap: metrics at http://{address}/metrics"));
    }
}

/// A run.
struct Watch {
    sensor: Sensor,
    source: LiveGroup,
    settings: Settings,
    effective: Vec<Effective>,
    sources: Sources,
    signals: Signals,
    shared: Arc<Shared>,
    notify: Notify,
    checkpoints: Option<Checkpoints>,
    monitor: Monitor,
    sayings: Sayings,
    started: Instant,
    looked: Instant,
    /// The last reload: when, and whether it went well.
    reloaded: Option<(Timestamp, bool)>,
}

impl Watch {
    fn run(mut self) -> Exit {
        self.notify.ready(&format!("capturing on {}", self.settings.interfaces.join(", ")));
        let stopped = self.watch();
        self.notify.stopping();
        let stopped = match (stopped, self.checkpoints.take()) {
            (Ok(()), Some(checkpoints)) => {
                self.sensor.pause().and_then(|()| checkpoints.finish(&mut self.sensor))
            }
            (Ok(()), None) => self.sensor.finish().map(|()| Exit::Done),
            (Err(stopped), _) => Err(stopped),
        };
        let mut exit = match &stopped {
            Ok(exit) => *exit,
            Err(stopped) => stopped.exit(),
        };
        if let (Ok(_), Err(stopped)) = (&stopped, self.sensor.count()) {
            exit = exit.max(stopped.exit());
        }
        let ports = self.source.stats();
        let mut counters = summary::Counters::of(&self.sensor, ports);
        if !self.settings.is_quiet {
            summary::print_live("stopped", &counters, self.started.elapsed(), &self.sensor);
        }
        let (path, unlisted) = (self.settings.stats.as_deref(), summary::Unlisted::default());
        if let Some(delivery) = self.sensor.follower.into_delivery() {
            // A second signal ends the wait for sinks, and no counter must go with it.
            if path.is_some_and(|path| path != Path::new("-")) {
                exit = exit.max(summary::write_stats(path, &counters, &[], unlisted));
            }
            let (drained, sinks) = sinks::drain(delivery, &self.settings);
            exit = exit.max(drained);
            counters.sinks = sinks;
        }
        exit.max(summary::write_stats(path, &counters, &[], unlisted))
    }

    fn watch(&mut self) -> Result<(), Stopped> {
        loop {
            match self.sensor.step(&mut self.source)? {
                Batch::More => {}
                Batch::Idle => {
                    let late_ns = self.settings.run_lateness_s * Timestamp::SECOND;
                    self.sensor.tick(Timestamp(output::now().0.saturating_sub(late_ns)))?;
                }
                Batch::End => return Ok(()),
            }
            if let Some(checkpoints) = &mut self.checkpoints {
                checkpoints.step(&mut self.sensor)?;
            }
            self.notify.alive();
            if self.signals.reload.swap(false, Ordering::AcqRel) {
                self.reload()?;
            }
            if self.signals.state.swap(false, Ordering::AcqRel) {
                self.say_state()?;
            }
            let now = instant();
            if now.duration_since(self.looked) >= LOOK_EVERY {
                self.looked = now;
                self.look(now)?;
            }
            if self.shared.is_wanted() {
                self.sensor.count()?;
                let ports = self.source.stats();
                self.shared.publish(self.snapshot(ports));
            }
        }
    }

    /// What is done once a second.
    fn look(&mut self, now: Instant) -> Result<(), Stopped> {
        if let Some(note) = self.sensor.daily_note()?
            && !self.settings.is_quiet
        {
            console::say(&format!("fluxtap: {note}"));
        }
        for event in self.source.take_events() {
            let (site, text) = match event {
                PortEvent::Lost { interface, reason } => (
                    "lost",
                    format!("interface {interface}: lost: {reason}; trying again each second"),
                ),
                PortEvent::Back { interface } => {
                    ("back", format!("interface {interface}: captured again"))
                }
            };
            self.sayings.warn(now, site, &text);
        }
        let ports = self.source.stats();
        let messages = self.sensor.decoder.counts().messages;
        let sinks = self.sensor.follower.sinks();
        let table = self.sensor.inputs().intel.table_info().and_then(|table| table.date);
        let table = table.and_then(Day::parse);
        let seen = Seen {
            ports: &ports,
            sinks: &sinks,
            messages,
            now_ms: output::now().millis(),
            lag_s: self.lag_s(),
            table_ms: table.map(|day| u64::from(day.0) * 86_400_000),
        };
        let tell = self.monitor.look(now, &seen, interfaces::link);
        if tell == Tell::Nothing {
            return Ok(());
        }
        self.sensor.count()?;
        let health = self.health(&ports);
        if tell == Tell::Change {
            self.say_health(now);
        }
        self.sensor.follower.write_health(&health).map_err(Stopped::Output)
    }

    fn say_health(&mut self, now: Instant) {
        let reasons: Vec<&str> =
            self.monitor.reasons().iter().map(|reason| reason.detail.as_str()).collect();
        if reasons.is_empty() {
            self.notify.status("capturing");
            self.sayings.warn(now, "health", "the sensor is well again");
        } else {
            let reasons = reasons.join("; ");
            self.notify.status(&format!("degraded: {reasons}"));
            self.sayings.warn(now, "health", &format!("the sensor is degraded: {reasons}"));
        }
    }

    fn health(&self, ports: &[PortStats]) -> Health {
        let decode = self.sensor.decoder.counts();
        let tally = &self.sensor.tally;
        let reasons = self.monitor.reasons().iter();
        Health {
            at: output::now(),
            reasons: reasons.map(|reason| (reason.code, reason.detail.clone())).collect(),
            uptime_s: self.started.elapsed().as_secs(),
            packets: decode.packets,
            lost: summary::lost(ports),
            messages: decode.messages,
            responses: decode.responses,
            lag_s: self.lag_s(),
            domains: tally.table.tracked,
            state_bytes: tally.table.bytes,
            alerts_open: tally.open.len() as u64,
        }
    }

    /// How far event time is behind the clock, in seconds.
    fn lag_s(&self) -> Option<f64> {
        let (now, watermark) = (output::now(), self.sensor.decoder.watermark()?);
        let ns = now.since(watermark) as f64 - watermark.since(now) as f64;
        Some(ns / Timestamp::SECOND as f64)
    }

    fn snapshot(&self, ports: Vec<PortStats>) -> Snapshot {
        Snapshot {
            is_capturing: ports.iter().any(|port| port.is_open),
            reasons: self.monitor.reasons().to_vec(),
            latency: self.sensor.follower.latency().clone(),
            lag_s: self.lag_s(),
            uptime_s: self.started.elapsed().as_secs_f64(),
            reloaded: self.reloaded,
            held_octets: self.sensor.decoder.held_octets(),
            sinks: self.sensor.follower.sinks(),
            allow_entries: self.sensor.inputs().intel.allow().entries().len() as u64,
            checkpoints: self.checkpoints.as_ref().map(|checkpoints| checkpoints.counts),
            counters: summary::Counters::of(&self.sensor, ports),
        }
    }

    fn say_state(&mut self) -> Result<(), Stopped> {
        self.sensor.count()?;
        let ports = self.source.stats();
        let counters = summary::Counters::of(&self.sensor, ports);
        summary::print_live("running", &counters, self.started.elapsed(), &self.sensor);
        for reason in self.monitor.reasons() {
            console::say(&format!("  degraded    {}", reason.detail));
        }
        Ok(())
    }

    /// Reads everything anew and goes on with it, if it is good; otherwise as before.
    fn reload(&mut self) -> Result<(), Stopped> {
        let read = self.sources.read().and_then(|read| {
            let inputs = Inputs::open(&read.loaded.settings)?;
            sinks::check(&read.loaded.settings)?;
            Ok((read.loaded, Arc::new(inputs)))
        });
        let is_good = read.is_ok();
        self.reloaded = Some((output::now(), is_good));
        self.monitor.note_reload(is_good);
        match read {
            Ok((loaded, inputs)) => self.swap(loaded, &inputs)?,
            Err(_) => console::error(
                "reload: what is said above is wrong with the new configuration, so the old one \
                 stays in force; mend it and send SIGHUP again",
            ),
        }
        Ok(())
    }

    fn swap(&mut self, loaded: Loaded, inputs: &Arc<Inputs>) -> Result<(), Stopped> {
        let mut unchanged: Vec<&str> = self
            .effective
            .iter()
            .zip(&loaded.effective)
            .filter(|(old, new)| old.setting.is_at_start() && old.value != new.value)
            .map(|(old, _)| old.setting.name)
            .collect();
        if loaded.settings.sinks != self.settings.sinks {
            unchanged.push("sinks");
        }
        let settings = at_start_kept(loaded.settings, &self.settings);
        self.sensor.reload(inputs)?;
        self.sensor.follower.reload(&settings, inputs, observer(&settings));
        self.monitor.reload(&settings);
        allow::warn_of_expired(inputs.intel.allow(), Day::of(output::now().secs()));
        threat_lists::warn_of_expired(inputs.intel.threats(), output::now().secs());
        self.settings = settings;
        console::say(&format!(
            "fluxtap: reloaded configuration, lists and tables; {} in the allow list",
            allow::entries(inputs.intel.allow().entries().len())
        ));
        if !unchanged.is_empty() {
            console::warning(&format!(
                "reload: {} changed and stay as they were; restart to change them",
                unchanged.join(", ")
            ));
        }
        Ok(())
    }
}

/// New settings with those of the start that are still looked at while running.
fn at_start_kept(new: Settings, old: &Settings) -> Settings {
    Settings {
        interfaces: old.interfaces.clone(),
        run_lateness_s: old.run_lateness_s,
        clients: old.clients,
        stats: old.stats.clone(),
        sinks: old.sinks.clone(),
        drain_s: old.drain_s,
        ..new
    }
}

/// What signals ask for.
struct Signals {
    reload: Arc<AtomicBool>,
    state: Arc<AtomicBool>,
}

impl Signals {
    fn watch(source: &LiveGroup) -> std::io::Result<Self> {
        let stop = source.stop_handle().flag();
        for signal in [SIGINT, SIGTERM] {
            // Whoever asks a second time does not want to wait for the rings.
            flag::register_conditional_shutdown(signal, Exit::Failed as i32, Arc::clone(&stop))?;
            flag::register(signal, Arc::clone(&stop))?;
        }
        let signals = Self { reload: Arc::default(), state: Arc::default() };
        flag::register(SIGHUP, Arc::clone(&signals.reload))?;
        flag::register(SIGUSR1, Arc::clone(&signals.state))?;
        Ok(signals)
    }
}

/// Lines that a flapping interface could say for ever.
#[derive(Default)]
struct Sayings {
    by_site: BTreeMap<&'static str, Said>,
}

struct Said {
    since: Instant,
    lines: u32,
    withheld: u64,
}

impl Sayings {
    fn warn(&mut self, now: Instant, site: &'static str, text: &str) {
        if let Some(withheld) = self.admit(now, site) {
            let more = match withheld {
                0 => String::new(),
                _ => format!(" ({} like this were not said)", console::count(withheld, "line")),
            };
            console::warning(&format!("{text}{more}"));
        }
    }

    /// Whether a line may be said, and how many were not before it.
    fn admit(&mut self, now: Instant, site: &'static str) -> Option<u64> {
        let said = self.by_site.entry(site).or_insert(Said { since: now, lines: 0, withheld: 0 });
        if now.duration_since(said.since) >= SAID_WINDOW {
            (said.since, said.lines) = (now, 0);
        }
        said.lines += 1;
        if said.lines > SAID_MAX {
            said.withheld += 1;
            return None;
        }
        Some(std::mem::take(&mut said.withheld))
    }
}

/// Key of all hashes where packets come as they happen: whoever can send names must not know how
/// they hash.
pub(crate) fn random_key() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn observer(settings: &Settings) -> String {
    settings.sensor_name.clone().unwrap_or_else(host_name)
}

fn host_name() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    let name: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
    if name.is_empty() { "fluxtap".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_kind_are_limited_and_counted() {
        let began = instant();
        let mut sayings = Sayings::default();
        for _ in 0..SAID_MAX {
            assert_eq!(sayings.admit(began, "lost"), Some(0));
        }
        assert_eq!(sayings.admit(began, "lost"), None);
        assert_eq!(sayings.admit(began, "lost"), None);
        assert_eq!(sayings.admit(began, "back"), Some(0), "another kind");
        assert_eq!(sayings.admit(began + SAID_WINDOW, "lost"), Some(2));
        assert_eq!(sayings.admit(began + SAID_WINDOW, "lost"), Some(0));
    }
}
