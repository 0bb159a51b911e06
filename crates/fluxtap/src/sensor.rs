//! Decoder, shard and output in one: what `replay`, `run`, `explain` and
//! `evaluate` feed.

use crate::allow::{Daily, Report};
use crate::console::{self, Exit};
use crate::inputs::Inputs;
use crate::output::{Closed, Output};
use fluxtap_alert::Alert;
use fluxtap_capture::{Batch as Fetched, Source};
use fluxtap_config::{Clients, Settings};
use fluxtap_engine::{Decoder, Shard};
use fluxtap_flow::{FlowSettings, Pairing};
use fluxtap_intel::{Day, Intel};
use fluxtap_observe::Batch;
use fluxtap_wire::{Layers, Ports, Timestamp, TunnelKind, TunnelPorts};

/// What follows a run.
pub(crate) trait Follow {
    /// A batch of observations, before it is applied.
    fn observed(&mut self, _batch: &Batch) {}

    /// Takes the alerts that a step gave.
    fn alerted(&mut self, alerts: &mut Vec<Alert>) -> Result<(), Closed>;
}

impl Follow for Output<'_> {
    fn alerted(&mut self, alerts: &mut Vec<Alert>) -> Result<(), Closed> {
        self.write(alerts)
    }
}

/// See the module's head.
pub(crate) struct Sensor<'a, F = Output<'a>> {
    pub(crate) decoder: Decoder,
    pub(crate) shard: Shard,
    intel: &'a Intel,
    pub(crate) follower: F,
    batch: Batch,
    alerts: Vec<Alert>,
    daily: Daily,
}

/// Why a step did not succeed.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Nothing more can be written.
    Output(Closed),
    /// The source failed.
    Source(std::io::Error),
}

impl Stopped {
    /// The exit status, said where it needs saying.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Output(closed) => closed.exit(),
            Self::Source(error) => {
                console::error(&error.to_string());
                Exit::Failed
            }
        }
    }
}

impl<'a, F: Follow> Sensor<'a, F> {
    pub(crate) fn new(
        settings: &Settings,
        lateness_s: u64,
        hash_key: u64,
        inputs: &'a Inputs,
        follower: F,
    ) -> Self {
        let shard = Shard::new(inputs.policy, settings.memory_bytes, hash_key);
        let shard =
            if settings.clients == Clients::Count { shard } else { shard.with_client_lists() };
        Self {
            decoder: Decoder::new(layers(settings), &flow(settings), lateness_s, hash_key),
            shard,
            intel: &inputs.intel,
            follower,
            batch: Batch::default(),
            alerts: Vec::new(),
            daily: Daily::default(),
        }
    }

    /// The same, which notes the judgements of one domain: see [`Shard::with_watch`].
    pub(crate) fn watching(self, domain: &[u8]) -> Self {
        Self { shard: self.shard.with_watch(domain), ..self }
    }

    /// What is to be said about the allow list now that a day of event time is over.
    pub(crate) fn daily_note(&mut self) -> Option<String> {
        let day = Day::of(self.decoder.watermark()?.secs());
        self.daily.turn(day, self.intel.allow(), self.shard.allow_uses())
    }

    /// What the entries of the allow list did up to now.
    pub(crate) fn allow_report(&self) -> Report<'_> {
        let day = Day::of(self.decoder.watermark().unwrap_or_default().secs());
        Report::new(self.intel.allow(), self.shard.allow_uses(), day)
    }

    /// Takes the source's next batch through to the alerts.
    pub(crate) fn step(&mut self, source: &mut impl Source) -> Result<Fetched, Stopped> {
        self.batch.clear();
        let (decoder, batch, intel) = (&mut self.decoder, &mut self.batch, self.intel);
        let fetched = source
            .next_batch(&mut |packet| decoder.decode(&packet, intel, batch))
            .map_err(Stopped::Source)?;
        self.apply()?;
        Ok(fetched)
    }

    /// Moves event time on while nothing arrives.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Result<(), Stopped> {
        self.shard.tick(now, self.intel, &mut self.alerts);
        self.follower.alerted(&mut self.alerts).map_err(Stopped::Output)
    }

    /// The end of input: what still waits is judged.
    pub(crate) fn finish(&mut self) -> Result<(), Stopped> {
        self.drain()?;
        self.shard.finish(self.intel, &mut self.alerts);
        self.follower.alerted(&mut self.alerts).map_err(Stopped::Output)
    }

    /// The end of input at a time: what waits for a later one waits on.
    pub(crate) fn finish_at(&mut self, now: Timestamp) -> Result<(), Stopped> {
        self.drain()?;
        self.tick(now)
    }

    fn drain(&mut self) -> Result<(), Stopped> {
        self.batch.clear();
        self.decoder.finish(&mut self.batch, self.intel);
        self.apply()
    }

    fn apply(&mut self) -> Result<(), Stopped> {
        self.follower.observed(&self.batch);
        self.shard.apply(&self.batch, self.intel, &mut self.alerts);
        self.follower.alerted(&mut self.alerts).map_err(Stopped::Output)
    }
}

/// What of the layers is set.
fn layers(settings: &Settings) -> Layers {
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
    Layers {
        ports: Ports::new(&settings.dns_ports).expect("the table bounds them likewise"),
        tunnels: TunnelPorts::new(&tunnels).expect("contradictions were refused"),
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
