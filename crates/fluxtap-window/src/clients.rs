//! The clients that asked for a domain last: kept only where a setting asks for it.

use crate::limits::CLIENTS_LISTED_MAX;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// The clients that asked last, each once, at most [`CLIENTS_LISTED_MAX`]. Of a fixed size, so that
/// what a domain takes does not change with every answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Clients {
    ips: [IpAddr; CLIENTS_LISTED_MAX],
    len: u8,
}

impl Clients {
    pub(crate) const fn new() -> Self {
        Self { ips: [IpAddr::V4(Ipv4Addr::UNSPECIFIED); CLIENTS_LISTED_MAX], len: 0 }
    }

    /// Puts a client in front; the one that asked longest ago goes if there is no room.
    pub(crate) fn note(&mut self, client: IpAddr) {
        let len = usize::from(self.len);
        let known = self.ips[..len].iter().position(|ip| *ip == client);
        let place = known.unwrap_or_else(|| {
            let len = (len + 1).min(CLIENTS_LISTED_MAX);
            self.len = len as u8;
            len - 1
        });
        self.ips[place] = client;
        self.ips[..=place].rotate_right(1);
    }

    pub(crate) fn is_sound(&self) -> bool {
        usize::from(self.len) <= CLIENTS_LISTED_MAX
    }

    /// The one that asked last first.
    pub(crate) fn as_slice(&self) -> &[IpAddr] {
        &self.ips[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_clients_are_kept_each_once() {
        let ip = |n: u8| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
        let mut clients = Clients::new();
        assert!(clients.as_slice().is_empty());
        for n in [1, 2, 3, 2, 2, 1] {
            clients.note(ip(n));
        }
        assert_eq!(clients.as_slice(), [1, 2, 3].map(ip));
        let mut model: Vec<IpAddr> = clients.as_slice().to_vec();
        for step in 0..1_000_u32 {
            let client = ip((step * step % 61 % 23) as u8);
            clients.note(client);
            model.retain(|ip| *ip != client);
            model.insert(0, client);
            model.truncate(CLIENTS_LISTED_MAX);
            assert_eq!(clients.as_slice(), model, "step {step}");
        }
    }
}
