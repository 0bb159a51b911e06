//! Settings that are good each by itself and contradict each other.

use crate::mistake::Mistakes;
use crate::{AddressTable, Clients, Effective, Origin, Settings};
use fluxtap_wire::layers::TUNNEL_PORTS_MAX;

/// Looks for contradictions; each is told once, at the place of the setting that was set last.
pub(crate) fn contradictions(
    settings: &Settings,
    effective: &[Effective],
    mistakes: &mut Mistakes,
) {
    let bad: Vec<&str> = mistakes.list.iter().filter_map(|mistake| mistake.name).collect();
    let mut refuse = |pair: [&'static str; 2], how: &str| {
        if pair.iter().any(|name| bad.contains(name)) {
            return;
        }
        let [one, other] = pair.map(|name| effective.iter().find(|e| e.setting.name == name));
        let (Some(one), Some(other)) = (one, other) else { return };
        // The later layer is what somebody has just changed.
        let place = if rank(&one.origin) >= rank(&other.origin) { one } else { other };
        let said = format!("got {} and {}, {how}", told(one), told(other));
        mistakes.push(place.origin.clone(), Some(place.setting.name), said);
    };
    let thresholds = [
        ("detect.threshold_low", settings.threshold_low_risk),
        ("detect.threshold_medium", settings.threshold_medium_risk),
        ("detect.threshold_high", settings.threshold_high_risk),
    ];
    for pair in thresholds.windows(2) {
        if pair[0].1 > pair[1].1 {
            let how = "expected the second not to be lower; raise it or lower the first";
            refuse([pair[0].0, pair[1].0], how);
        }
    }
    let kinds = [
        settings.is_single_flux_told,
        settings.is_double_flux_told,
        settings.is_ns_flux_told,
        settings.is_ip_rotation_told,
    ];
    if !kinds.contains(&true) {
        let how = "expected at least one kind, because nothing could alert; switch one on";
        refuse(["detect.kinds.single_flux", "detect.kinds.double_flux"], how);
    }
    tunnel_ports(settings, &mut refuse);
    if settings.address_table == AddressTable::None && settings.country_table.is_some() {
        let how = "expected owners beside the countries; name a table of owners, or leave one out";
        refuse(["tables.asn", "tables.country"], how);
    }
    if settings.clients == Clients::Hmac && settings.client_key_file.is_none() {
        let how = "expected a key to hash clients with; name a file that holds one, or count them";
        refuse(["privacy.clients", "privacy.client_key_file"], how);
    }
}

/// A port says one thing about the packets on it.
fn tunnel_ports(settings: &Settings, refuse: &mut impl FnMut([&'static str; 2], &str)) {
    let kinds = [
        ("capture.dns_ports", &settings.dns_ports),
        ("capture.tunnels.vxlan", &settings.vxlan_ports),
        ("capture.tunnels.vxlan_gpe", &settings.vxlan_gpe_ports),
        ("capture.tunnels.geneve", &settings.geneve_ports),
        ("capture.tunnels.gtp_u", &settings.gtp_u_ports),
        ("capture.tunnels.teredo", &settings.teredo_ports),
        ("capture.tunnels.mpls", &settings.mpls_ports),
        ("capture.tunnels.gre", &settings.gre_ports),
    ];
    for (i, (one, ports)) in kinds.iter().enumerate() {
        for (other, others) in &kinds[i + 1..] {
            if ports.iter().any(|port| others.contains(port)) {
                let how = "expected no port in both; take it out of one";
                refuse([one, other], how);
            }
        }
    }
    let [_, tunnels @ ..] = kinds;
    let mut longest = tunnels;
    longest.sort_by_key(|(_, ports)| std::cmp::Reverse(ports.len()));
    if tunnels.iter().map(|(_, ports)| ports.len()).sum::<usize>() > TUNNEL_PORTS_MAX {
        let how = format!(
            "expected at most {TUNNEL_PORTS_MAX} ports of tunnels of all kinds; take some out"
        );
        refuse([longest[0].0, longest[1].0], &how);
    }
}

/// `detect.threshold_low 50 (/etc/fluxtap/fluxtap.toml:3)`.
fn told(effective: &Effective) -> String {
    let name = effective.setting.name;
    match &effective.value {
        Some(value) => format!("{name} {value} ({})", effective.origin),
        None => format!("no {name}"),
    }
}

fn rank(origin: &Origin) -> u8 {
    match origin {
        Origin::Default => 0,
        Origin::Line { .. } => 1,
        Origin::Variable(_) => 2,
        Origin::Flag(_) => 3,
    }
}
