//! Decoder, shard and output in one: what `replay`, `run`, `explain` and
//! `evaluate` feed.

use crate::allow::{Daily, Report};
use crate::console::{self, Exit};
use crate::inputs::Inputs;
use crate::output::{Closed, Output};
use crate::profile::Shown;
use crate::threat_lists;
use crate::workers::{Shards, Tally};
use fluxtap_alert::Alert;
use fluxtap_capture::{Batch as Fetched, Source};
use fluxtap_config::{Clients, Settings};
use fluxtap_engine::checkpoint::{Standing, renumbered};
use fluxtap_engine::{Campaigns, Decoder, Shard};
use fluxtap_flow::{FlowSettings, Pairing};
use fluxtap_intel::Day;
use fluxtap_observe::{Batch, Stage};
use fluxtap_window::limits::PARTITIONS;
use fluxtap_wire::{Layers, Ports, Timestamp, TunnelKind, TunnelPorts};
use std::io;
use std::num::NonZero;
use std::sync::Arc;

/// What follows a run.
pub(crate) trait Follow {
    /// A batch of observations, before it is applied.
    fn observed(&mut self, _batch: &Batch) {}

    /// Takes the alerts that a step gave.
    fn alerted(&mut self, alerts: &mut Vec<Alert>) -> Result<(), Closed>;

    /// All alerts have come that were due until `now`.
    fn reached(&mut self, _now: Timestamp) -> Result<(), Closed> {
        Ok(())
    }

    /// No more alerts come.
    fn finished(&mut self) -> Result<(), Closed> {
        Ok(())
    }

    /// Alerts that it made no lines of.
    fn held_back(&self) -> u64 {
        0
    }
}

impl Follow for Output {
    fn alerted(&mut self, alerts: &mut Vec<Alert>) -> Result<(), Closed> {
        self.write(alerts)
    }

    fn reached(&mut self, now: Timestamp) -> Result<(), Closed> {
        let held = self.cap.reach(now);
        self.write_held_back(held)
    }

    fn finished(&mut self) -> Result<(), Closed> {
        let held = self.cap.finish();
        self.write_held_back(held)
    }

    fn held_back(&self) -> u64 {
        self.cap.counts().lines.sum()
    }
}

/// See the module's head.
pub(crate) struct Sensor<F = Output> {
    pub(crate) decoder: Decoder,
    pub(crate) shards: Shards,
    inputs: Arc<Inputs>,
    pub(crate) follower: F,
    batch: Batch,
    /// Where its threads show what they are busy with.
    pub(crate) shown: Shown,
    alerts: Vec<Alert>,
    pub(crate) campaigns: Campaigns,
    /// Alerts that came of it so far.
    alerts_told: u64,
    /// What the shards have counted, as of [`Sensor::count`].
    pub(crate) tally: Tally,
    daily: Daily,
}

/// Why a step did not succeed.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Nothing more can be written.
    Output(Closed),
    /// The source failed.
    Source(io::Error),
    /// A worker is gone.
    Worker(io::Error),
}

impl Stopped {
    /// The exit status, said where it needs saying.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Output(closed) => closed.exit(),
            Self::Source(error) | Self::Worker(error) => {
                console::error(&error.to_string());
                Exit::Failed
            }
        }
    }
}

impl<F: Follow> Sensor<F> {
    pub(crate) fn new(
        settings: &Settings,
        lateness_s: u64,
        hash_key: u64,
        inputs: &Arc<Inputs>,
        follower: F,
    ) -> Self {
        let shown = Shown::default();
        let mut shard = shard(settings, inputs, hash_key);
        shard.set_marker(&shown.reading);
        Self {
            decoder: Decoder::new(layers(settings), &flow(settings), lateness_s, hash_key)
                .with_marker(&shown.reading),
            shards: Shards::Here(vec![shard]),
            shown,
            inputs: Arc::clone(inputs),
            follower,
            batch: Batch::default(),
            alerts: Vec::new(),
            campaigns: Campaigns::default(),
            alerts_told: 0,
            tally: Tally::default(),
            daily: Daily::default(),
        }
    }

    /// The same, with the domains shared out among these shards, each in a thread of its own.
    pub(crate) fn sharing(mut self, shards: Vec<Shard>) -> Result<Self, Exit> {
        let workers = shards.len();
        let shards = Shards::new(shards, &self.inputs, &mut self.shown).map_err(|error| {
            console::error(&format!(
                "cannot start {workers} workers: {error}; --workers sets how many there are"
            ));
            Exit::Failed
        })?;
        Ok(Self { shards, ..self })
    }

    /// The same, which notes the judgements of one domain: see [`Shard::with_watch`].
    pub(crate) fn watching(self, domain: &[u8]) -> Self {
        let Shards::Here(shards) = self.shards else { unreachable!("what watches has no workers") };
        let watching = shards.into_iter().map(|shard| shard.with_watch(domain)).collect();
        Self { shards: Shards::Here(watching), ..self }
    }

    /// The same, which goes on with these campaigns.
    pub(crate) fn among(self, campaigns: Campaigns) -> Self {
        Self { campaigns, ..self }
    }

    /// The only shard of a sensor without workers.
    pub(crate) fn shard(&self) -> &Shard {
        self.shards.single().expect("who asks for it has no workers")
    }

    /// Counts together what the shards have counted.
    pub(crate) fn count(&mut self) -> Result<(), Stopped> {
        self.tally = self.shards.tally(&mut self.alerts).map_err(Stopped::Worker)?;
        self.tell()
    }

    /// Goes on with other lists, tables and thresholds.
    pub(crate) fn reload(&mut self, inputs: &Arc<Inputs>) -> Result<(), Stopped> {
        let numbers = Arc::new(renumbered(&self.inputs.intel, &inputs.intel));
        self.shards.reload(inputs, &numbers, &mut self.alerts).map_err(Stopped::Worker)?;
        self.inputs = Arc::clone(inputs);
        self.daily = Daily::default();
        self.tell()
    }

    /// What is to be said about the allow list now that a day of event time is over.
    pub(crate) fn daily_note(&mut self) -> Result<Option<String>, Stopped> {
        let Some(now) = self.decoder.watermark() else { return Ok(None) };
        let day = Day::of(now.secs());
        if !self.daily.is_due(day) {
            return Ok(None);
        }
        self.count()?;
        Ok(self.daily.turn(day, self.inputs.intel.allow(), &self.tally.allow_uses))
    }

    /// What the entries of the allow list did, as of [`Sensor::count`].
    pub(crate) fn allow_report(&self) -> Report<'_> {
        let day = Day::of(self.decoder.watermark().unwrap_or_default().secs());
        Report::new(self.inputs.intel.allow(), &self.tally.allow_uses, day)
    }

    /// What threat lists did up to now, as a line for people.
    pub(crate) fn threat_line(&self) -> Option<String> {
        threat_lists::line(&self.inputs.intel, &self.tally.list_uses)
    }

    /// Takes the source's next batch through to the alerts.
    pub(crate) fn step(&mut self, source: &mut impl Source) -> Result<Fetched, Stopped> {
        let (decoder, batch, intel) = (&mut self.decoder, &mut self.batch, &self.inputs.intel);
        let fetched = source
            .next_batch(&mut |packet| decoder.decode(&packet, intel, batch))
            .map_err(Stopped::Source)?;
        self.apply()?;
        Ok(fetched)
    }

    /// Moves event time on while nothing arrives.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Result<(), Stopped> {
        self.shards.tick(now, &self.inputs, &mut self.alerts).map_err(Stopped::Worker)?;
        self.tell()
    }

    /// The end of input: what still waits is judged.
    pub(crate) fn finish(&mut self) -> Result<(), Stopped> {
        self.drain()?;
        self.shards.finish(&self.inputs, &mut self.alerts).map_err(Stopped::Worker)?;
        self.tell()?;
        self.follower.finished().map_err(Stopped::Output)
    }

    /// The end of input, after which another sensor goes on: what waits to be judged waits on.
    pub(crate) fn pause(&mut self) -> Result<(), Stopped> {
        self.drain()?;
        self.count()?;
        self.follower.finished().map_err(Stopped::Output)
    }

    /// A partition of what is known, written down.
    pub(crate) fn save(&mut self, partition: u8) -> Result<Vec<u8>, Stopped> {
        let saved = self.shards.save(partition, &mut self.alerts).map_err(Stopped::Worker)?;
        self.tell()?;
        Ok(saved)
    }

    /// Alert lines that came of it so far.
    pub(crate) fn lines_told(&self) -> u64 {
        self.alerts_told - self.follower.held_back()
    }

    /// What it knows by.
    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The end of input at a time: what waits for a later one waits on.
    pub(crate) fn finish_at(&mut self, now: Timestamp) -> Result<(), Stopped> {
        self.drain()?;
        self.tick(now)
    }

    fn drain(&mut self) -> Result<(), Stopped> {
        self.decoder.finish(&mut self.batch, &self.inputs.intel);
        self.apply()
    }

    fn apply(&mut self) -> Result<(), Stopped> {
        self.follower.observed(&self.batch);
        let Self { shards, batch, inputs, alerts, .. } = self;
        shards.apply(batch, inputs, alerts).map_err(Stopped::Worker)?;
        self.tell()?;
        self.shown.reading.enter(Stage::Read);
        Ok(())
    }

    fn tell(&mut self) -> Result<(), Stopped> {
        self.shown.reading.enter(Stage::Write);
        self.campaigns.label_all(&mut self.alerts, self.inputs.policy.update_s);
        self.alerts_told += self.alerts.len() as u64;
        let written = self.follower.alerted(&mut self.alerts);
        let written = written.and_then(|()| self.follower.reached(self.shards.reached()));
        written.map_err(Stopped::Output)
    }
}

impl Sensor {
    /// Where it stands, for a sensor that is to go on.
    pub(crate) fn standing(&mut self) -> Result<Standing, Stopped> {
        let moment = self.shards.moment(&mut self.alerts).map_err(Stopped::Worker)?;
        self.tell()?;
        Ok(Standing { moment, sequence: self.follower.sequence() })
    }
}

/// As many shards as there are to be workers.
pub(crate) fn shards(settings: &Settings, inputs: &Inputs, hash_key: u64) -> Vec<Shard> {
    (0..workers(settings)).map(|_| shard(settings, inputs, hash_key)).collect()
}

fn shard(settings: &Settings, inputs: &Inputs, hash_key: u64) -> Shard {
    let shard = Shard::new(inputs.policy, settings.memory_bytes, hash_key);
    if settings.clients == Clients::Count { shard } else { shard.with_client_lists() }
}

/// How many workers there are to be: one for each processor unless it is set, and never more than
/// there are partitions to share out.
fn workers(settings: &Settings) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
    settings.workers.unwrap_or_else(processors).min(PARTITIONS)
}

/// The ports of tunnels that are looked into.
pub(crate) fn tunnels(settings: &Settings) -> Vec<(TunnelKind, u16)> {
    let kinds = [
        (TunnelKind::Vxlan, &settings.vxlan_ports),
        (TunnelKind::VxlanGpe, &settings.vxlan_gpe_ports),
        (TunnelKind::Geneve, &settings.geneve_ports),
        (TunnelKind::GtpU, &settings.gtp_u_ports),
        (TunnelKind::Teredo, &settings.teredo_ports),
        (TunnelKind::Mpls, &settings.mpls_ports),
        (TunnelKind::Gre, &settings.gre_ports),
    ];
    let mut tunnels: Vec<(TunnelKind, u16)> = Vec::new();
    for (kind, ports) in kinds {
        for &port in ports {
            // A port that is written twice in one list is meant once.
            if !tunnels.contains(&(kind, port)) {
                tunnels.push((kind, port));
            }
        }
    }
    tunnels
}

/// What of the layers is set.
pub(crate) fn layers(settings: &Settings) -> Layers {
    Layers {
        ports: Ports::new(&settings.dns_ports).expect("the table bounds them likewise"),
        tunnels: TunnelPorts::new(&tunnels(settings)).expect("contradictions were refused"),
        is_checksum_verified: settings.has_checksums_verified,
    }
}

/// What of pairing and duplicates is set.
fn flow(settings: &Settings) -> FlowSettings {
    let window_ms = settings.duplicate_window_ms as u32;
    FlowSettings {
        pairing: match settings.pairing {
            fluxtap_config::Pairing::Auto => Pairing::Auto,
            fluxtap_config::Pairing::Require => Pairing::Require,
            fluxtap_config::Pairing::Ignore => Pairing::Ignore,
        },
        duplicate_window_ms: if settings.are_duplicates_dropped { window_ms } else { 0 },
        ..FlowSettings::default()
    }
}
