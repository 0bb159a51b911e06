//! What the settings make of the model, and what they point to: opened and checked before anything
//! is started, by `check-config` as by the commands that run the sensor.

use crate::console::{self, Exit};
use crate::{allow, tables, threat_lists};
use fluxtap_alert::{CLIENT_KEY_OCTETS_MIN, ClientKey, Clients as ClientsShown};
use fluxtap_config::{Clients, MinSeverity, Settings, Tenths};
use fluxtap_flux::{FluxKind, Policy, Score, Severity, model_id};
use fluxtap_intel::{Curated, Intel};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Longest key accepted, in bytes.
const KEY_BYTES_MAX: usize = 4_096;

/// See the module's head.
pub(crate) struct Inputs {
    /// Look-ups by address and name.
    pub(crate) intel: Intel,
    /// Thresholds, hysteresis, and what is written.
    pub(crate) policy: Policy,
    /// The key that clients are hashed with, if they are.
    client_key: Option<ClientKey>,
}

impl Inputs {
    /// Opens everything; what cannot be used is said, all of it.
    pub(crate) fn open(settings: &Settings) -> Result<Self, Exit> {
        let mut exit = Exit::Done;
        let mut kept = |failure: Exit| exit = exit.max(failure);
        let intel = intel(settings).map_err(&mut kept);
        let policy = policy(settings).map_err(&mut kept);
        let client_key = client_key(settings).map_err(&mut kept);
        match (intel, policy, client_key) {
            (Ok(intel), Ok(policy), Ok(client_key)) => Ok(Self { intel, policy, client_key }),
            _ => Err(exit),
        }
    }

    /// Name of the model with its changed settings.
    pub(crate) fn model(&self) -> String {
        model_id(&[self.policy.changes(), self.intel.curated().changes()].concat())
    }

    /// What alerts say about clients.
    pub(crate) const fn clients(&self, clients: Clients) -> ClientsShown<'_> {
        match (clients, &self.client_key) {
            (Clients::List, _) => ClientsShown::List,
            (Clients::Hmac, Some(key)) => ClientsShown::Hmac(key),
            (Clients::Hmac, None) | (Clients::Count, _) => ClientsShown::Count,
        }
    }
}

/// The look-ups, with the operator's lists.
fn intel(settings: &Settings) -> Result<Intel, Exit> {
    let intel = tables::load(&settings.address_table, settings.country_table.as_deref());
    let (zones, asns) = (settings.has_curated_zones, settings.has_curated_asns);
    let curated = Curated::new(zones, asns, &settings.curated_off).map_err(refused);
    let allow = settings.allow_file.as_deref().map(allow::load).transpose();
    let threats = threat_lists::open(&settings.threat_lists);
    match (intel, curated, allow, threats) {
        (Ok(tables), Ok(curated), Ok(allow), Ok(threats)) => {
            let intel = tables.intel.with_curated(curated).with_threats(threats);
            Ok(intel.with_allow(allow.unwrap_or_default()))
        }
        (intel, curated, allow, threats) => {
            let failed = intel.err().max(curated.err()).max(allow.err()).max(threats.err());
            Err(failed.unwrap_or(Exit::BadConfig))
        }
    }
}

/// The model with its settings.
fn policy(settings: &Settings) -> Result<Policy, Exit> {
    let points = |tenths: Tenths| Score(tenths.0);
    let thresholds =
        [settings.threshold_low_risk, settings.threshold_medium_risk, settings.threshold_high_risk];
    let policy = Policy {
        thresholds: thresholds.map(|risk| Score::of_risk(f64::from(risk.0) / 10.0)),
        sure_margin: points(settings.sure_margin_points),
        doubt_margin: points(settings.doubt_margin_points),
        confirm_s: settings.confirm_after_s,
        update_s: settings.update_interval_s,
        severity_min: match settings.min_severity {
            MinSeverity::Low => Severity::Low,
            MinSeverity::Medium => Severity::Medium,
            MinSeverity::High => Severity::High,
        },
        kinds: FluxKind::ALL.map(|kind| match kind {
            FluxKind::Rotation => settings.is_ip_rotation_told,
            FluxKind::Servers => settings.is_ns_flux_told,
            FluxKind::Single => settings.is_single_flux_told,
            FluxKind::Double => settings.is_double_flux_told,
            // Each list says for itself whether it raises alerts.
            FluxKind::Intel => true,
            FluxKind::Rebinding => settings.is_rebinding_told,
        }),
        ..Policy::default()
    };
    match policy.mistakes() {
        mistakes if mistakes.is_empty() => Ok(policy),
        mistakes => Err(refused(mistakes)),
    }
}

/// Says mistakes that only the model or the lists can find.
fn refused(mistakes: Vec<String>) -> Exit {
    for mistake in mistakes {
        console::error(&mistake);
    }
    Exit::BadConfig
}

/// The key, if clients are hashed.
fn client_key(settings: &Settings) -> Result<Option<ClientKey>, Exit> {
    let path = settings.client_key_file.as_deref();
    let Some(path) = path.filter(|_| settings.clients == Clients::Hmac) else { return Ok(None) };
    read_key(path).map(Some).map_err(|(exit, said)| {
        console::error(&format!("privacy.client_key_file: {}: {said}", path.display()));
        exit
    })
}

/// Reads a key; one line end behind it does not belong to it, so that an editor may write it.
fn read_key(path: &Path) -> Result<ClientKey, (Exit, String)> {
    let cannot = |error: io::Error| {
        (Exit::NoInput, format!("cannot read the key: {error}; make one, or permit to read it"))
    };
    let file = File::open(path).map_err(cannot)?;
    let mode = file.metadata().map_err(cannot)?.mode() & 0o777;
    let mut bytes = Vec::new();
    file.take(KEY_BYTES_MAX as u64 + 2).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    let key = ClientKey::new(&bytes).filter(|_| bytes.len() <= KEY_BYTES_MAX).ok_or_else(|| {
        let got = match bytes.len() {
            len if len > KEY_BYTES_MAX => format!("more than {KEY_BYTES_MAX}"),
            len => len.to_string(),
        };
        let said = format!(
            "got a key of {got} bytes, expected {CLIENT_KEY_OCTETS_MIN} to {KEY_BYTES_MAX}; make \
             one with `head -c 32 /dev/urandom`"
        );
        (Exit::BadConfig, said)
    })?;
    if mode & 0o077 != 0 {
        console::warning(&format!(
            "privacy.client_key_file: {}: got a key that others may read (mode {mode:03o}), \
             expected 600; chmod 600 it",
            path.display()
        ));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The defaults are written in the table of settings, and the model has its own.
    #[test]
    fn the_default_settings_are_the_model() {
        assert_eq!(policy(&Settings::default()), Ok(Policy::default()));
    }

    #[test]
    fn every_kind_has_its_switch() {
        let has_lists = |kind: &FluxKind| *kind == FluxKind::Intel;
        for kind in FluxKind::ALL.into_iter().filter(|kind| !has_lists(kind)) {
            let name = format!("detect.kinds.{}", kind.as_str());
            assert!(fluxtap_config::setting(&name).is_some(), "{name} is missing");
        }
    }
}
