//! Decoder, shard and what takes their alerts in one: what `replay`, `run` and `evaluate` feed.

use crate::allow::{Daily, Report};
use crate::inputs::Inputs;
use crate::output::{Closed, Output};
use fluxtap_alert::Alert;
use fluxtap_capture::{Batch as Fetched, Source};
use fluxtap_config::{Clients, Settings};
use fluxtap_engine::{Decoder, Shard};
use fluxtap_flow::FlowSettings;
use fluxtap_intel::{Day, Intel};
use fluxtap_observe::Batch;
use fluxtap_wire::{Layers, Ports, Timestamp};

/// Takes what the sensor finds.
pub(crate) trait Receiver {
    /// Takes the facts of a run of packets and the alerts they led to, and leaves no alert.
    fn take(&mut self, batch: &Batch, alerts: &mut Vec<Alert>) -> Result<(), Closed>;
}

impl Receiver for Output<'_> {
    fn take(&mut self, _: &Batch, alerts: &mut Vec<Alert>) -> Result<(), Closed> {
        self.write(alerts)
    }
}

/// See the module's head.
pub(crate) struct Sensor<'a, R = Output<'a>> {
    pub(crate) decoder: Decoder,
    pub(crate) shard: Shard,
    intel: &'a Intel,
    receiver: R,
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

impl<'a, R: Receiver> Sensor<'a, R> {
    pub(crate) fn new(
        settings: &Settings,
        lateness_s: u64,
        hash_key: u64,
        inputs: &'a Inputs,
        receiver: R,
    ) -> Self {
        let ports = Ports::new(&settings.dns_ports).expect("the table bounds them likewise");
        let layers = Layers { ports, ..Layers::default() };
        let shard = Shard::new(inputs.policy, settings.memory_bytes, hash_key);
        let shard =
            if settings.clients == Clients::Count { shard } else { shard.with_client_lists() };
        Self {
            decoder: Decoder::new(layers, &FlowSettings::default(), lateness_s, hash_key),
            shard,
            intel: &inputs.intel,
            receiver,
            batch: Batch::default(),
            alerts: Vec::new(),
            daily: Daily::default(),
        }
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
        self.batch.clear();
        self.shard.tick(now, self.intel, &mut self.alerts);
        self.hand_over()
    }

    /// The end of input: what still waits is judged.
    pub(crate) fn finish(&mut self) -> Result<(), Stopped> {
        self.batch.clear();
        self.decoder.finish(&mut self.batch, self.intel);
        self.apply()?;
        self.batch.clear();
        self.shard.finish(self.intel, &mut self.alerts);
        self.hand_over()
    }

    fn apply(&mut self) -> Result<(), Stopped> {
        self.shard.apply(&self.batch, self.intel, &mut self.alerts);
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<(), Stopped> {
        self.receiver.take(&self.batch, &mut self.alerts).map_err(Stopped::Output)
    }

    /// What took the alerts, when there will be none any more.
    pub(crate) fn into_receiver(self) -> R {
        self.receiver
    }
}
