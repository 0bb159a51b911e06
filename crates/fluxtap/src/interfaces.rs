//! `fluxtap interfaces`: what can be captured, and how it is. Everything here any user may read.

use crate::console::{self, Exit, grouped};
use crate::output::{self, json_line};
use fluxtap_wire::shown::shown;
use serde_json::{Value, json};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What the kernel tells of each interface.
const SYSTEM: &str = "/sys/class/net";

/// Columns of the addresses in the table, of which there may be many.
const ADDRESSES_COLUMNS_MAX: usize = 48;

/// An interface.
struct Row {
    name: String,
    /// In the kernel's words; `None` for what is no network device of its own, as `any`.
    state: Option<String>,
    driver: Option<String>,
    hardware_address: Option<String>,
    addresses: Vec<IpAddr>,
    speed_mbit_s: Option<u64>,
    mtu_bytes: Option<u64>,
    is_promiscuous: Option<bool>,
    packets: Option<u64>,
    dropped: Option<u64>,
}

/// Lists the interfaces, as one JSON object or as a table.
pub(crate) fn run(is_json: bool) -> Exit {
    let known = match fluxtap_capture::interfaces() {
        Ok(known) => known,
        Err(error) => {
            console::error(&error.to_string());
            return Exit::Failed;
        }
    };
    let rows: Vec<Row> = known
        .into_iter()
        .map(|interface| Row::read(Path::new(SYSTEM), interface.name, interface.addresses))
        // libpcap also knows sources that are no network: USB, the log of netfilter, D-Bus.
        .filter(|row| row.state.is_some() || row.name == "any")
        .collect();
    if is_json {
        let rows: Vec<Value> = rows.iter().map(Row::to_json).collect();
        return output::print(&json_line(&json!({ "interfaces": rows })));
    }
    output::print(&console::page(&table(&rows)))
}

/// The state of an interface as the table has it; `None` if the kernel tells nothing of it.
pub(crate) fn link(name: &str) -> Option<String> {
    // A name that leads elsewhere is none of an interface.
    if name.contains('/') {
        return None;
    }
    Row::read(Path::new(SYSTEM), name.to_owned(), Vec::new()).state
}

impl Row {
    fn read(system: &Path, name: String, addresses: Vec<IpAddr>) -> Self {
        let folder = system.join(&name);
        let text = |file: &str| {
            let text = fs::read_to_string(folder.join(file)).ok()?;
            Some(text.trim().to_owned())
        };
        let number = |file: &str| text(file)?.parse::<u64>().ok();
        let driver = fs::read_link(folder.join("device/driver")).ok();
        let driver = driver.as_ref().and_then(|path| path.file_name()).map(PathBuf::from);
        let flags = text("flags")
            .and_then(|flags| u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok());
        Self {
            state: state(text("operstate"), flags),
            driver: driver.map(|name| name.display().to_string()),
            hardware_address: text("address").filter(|address| !address.is_empty()),
            speed_mbit_s: number("speed"),
            mtu_bytes: number("mtu"),
            is_promiscuous: flags.map(|flags| flags & IFF_PROMISC != 0),
            packets: number("statistics/rx_packets"),
            dropped: number("statistics/rx_dropped").map(|dropped| {
                dropped.saturating_add(number("statistics/rx_missed_errors").unwrap_or_default())
            }),
            name,
            addresses,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "state": self.state,
            "driver": self.driver,
            "hardware_address": self.hardware_address,
            "addresses": self.addresses,
            "speed_mbit_s": self.speed_mbit_s,
            "mtu_bytes": self.mtu_bytes,
            "promiscuous": self.is_promiscuous,
            "packets_received": self.packets,
            "packets_dropped": self.dropped,
        })
    }
}

/// Flags of netdevice(7): the interface is up; it takes packets that are for others.
const IFF_UP: u32 = 0x1;
const IFF_PROMISC: u32 = 0x100;

/// The state in one word. Devices without a carrier to sense, such as loopback, are `unknown` to
/// the kernel; whether somebody set them up is known all the same.
fn state(operstate: Option<String>, flags: Option<u32>) -> Option<String> {
    match (operstate?.as_str(), flags) {
        ("unknown", Some(flags)) if flags & IFF_UP != 0 => Some("up".to_owned()),
        ("unknown", Some(_)) => Some("down".to_owned()),
        ("down", Some(flags)) if flags & IFF_UP != 0 => Some("no carrier".to_owned()),
        (other, _) => Some(other.to_owned()),
    }
}

fn table(rows: &[Row]) -> Vec<String> {
    let head = ["NAME", "STATE", "DRIVER", "MBIT/S", "PACKETS", "DROPPED", "ADDRESSES"];
    let mut cells = vec![head.map(str::to_owned)];
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for row in rows {
        let addresses: Vec<String> = row.addresses.iter().map(IpAddr::to_string).collect();
        let addresses = if addresses.is_empty() { "-".to_owned() } else { addresses.join(" ") };
        cells.push([
            row.name.clone(),
            or_dash(row.state.clone()),
            or_dash(row.driver.clone()),
            or_dash(row.speed_mbit_s.map(grouped)),
            or_dash(row.packets.map(grouped)),
            or_dash(row.dropped.map(grouped)),
            shown(&addresses, ADDRESSES_COLUMNS_MAX),
        ]);
    }
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(widths).enumerate().map(|(i, (cell, width))| match i {
            // Numbers stand under each other.
            3..=5 => format!("{cell:>width$}"),
            _ => format!("{cell:width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_in_one_word() {
        let state = |text: &str, flags| state(Some(text.to_owned()), Some(flags));
        assert_eq!(state("up", 0x1003).as_deref(), Some("up"));
        assert_eq!(state("unknown", 0x9).as_deref(), Some("up"));
        assert_eq!(state("unknown", 0x8).as_deref(), Some("down"));
        assert_eq!(state("down", 0x1003).as_deref(), Some("no carrier"));
        assert_eq!(state("down", 0x1002).as_deref(), Some("down"));
        assert_eq!(super::state(None, None), None);
    }

    #[test]
    fn what_the_kernel_tells_is_read_and_what_is_missing_is_a_dash() {
        let folder = tempfile::tempdir().expect("a folder");
        let device = folder.path().join("eth1");
        fs::create_dir_all(device.join("statistics")).expect("a folder");
        for (file, text) in [
            ("operstate", "up\n"),
            ("flags", "0x1103\n"),
            ("address", "02:00:00:00:00:01\n"),
            ("speed", "10000\n"),
            ("mtu", "9000\n"),
            ("statistics/rx_packets", "1234567\n"),
            ("statistics/rx_dropped", "5\n"),
            ("statistics/rx_missed_errors", "7\n"),
        ] {
            fs::write(device.join(file), text).expect("a file");
        }
        let address = "192.0.2.1".parse().expect("an address");
        let rows = [
            Row::read(folder.path(), "eth1".to_owned(), vec![address]),
            Row::read(folder.path(), "any".to_owned(), Vec::new()),
        ];
        assert_eq!(
            table(&rows),
            [
                "NAME  STATE  DRIVER  MBIT/S    PACKETS  DROPPED  ADDRESSES",
                "eth1  up     -       10,000  1,234,567       12  192.0.2.1",
                "any   -      -            -          -        -  -",
            ]
        );
        let json = rows[0].to_json();
        assert_eq!((&json["promiscuous"], &json["packets_dropped"]), (&json!(true), &json!(12)));
        assert_eq!(json["addresses"], json!(["192.0.2.1"]));
    }
}
