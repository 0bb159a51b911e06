//! What explains a domain's answers without being evidence: counted, shown, never scored.

use crate::domain::{hash_ip, linear_count};
use crate::track::mix;
use fluxtap_observe::{Batch, Context};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Something counted by response and by what differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Responses that had it.
    pub responses: u32,
    /// Different ones, by linear counting over 128 bits.
    pub distinct: u32,
}

/// What of a domain's history explains the answers, over the whole of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextSeen {
    /// Answers that held for a part of the clients, and the different parts (RFC 7871).
    pub client_subnets: Counted,
    /// Responses with address hints in service records, and the different addresses (RFC 9460).
    pub hints: Counted,
    /// Responses whose addresses a DNS64 had put into IPv6 ones.
    pub dns64_responses: u32,
}

/// The same as it is kept, for the few domains that have any of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ContextWindow {
    subnet_responses: u32,
    hint_responses: u32,
    dns64_responses: u32,
    subnets: u128,
    hints: u128,
}

impl ContextWindow {
    /// Takes in what stands beside an answer, or beside none.
    pub(crate) fn note(&mut self, context: &Context, is_answer: bool, batch: &Batch, key: u64) {
        let subnet = context.client_subnet.filter(|_| is_answer);
        if let Some((address, len)) = subnet.and_then(|subnet| subnet.scope()) {
            self.subnet_responses = self.subnet_responses.saturating_add(1);
            // A network of IPv4 is another one than that of the same bits in IPv6.
            let family = u64::from(address.is_ipv6()) << 8;
            self.subnets |= 1 << (mix(hash_ip(address, key) ^ family ^ u64::from(len)) % 128);
        }
        let hints: &[IpAddr] = batch.hints(context);
        self.hint_responses = self.hint_responses.saturating_add(u32::from(!hints.is_empty()));
        for &ip in hints {
            self.hints |= 1 << (hash_ip(ip, key) % 128);
        }
        let is_synthesised = context.synthesised > 0;
        self.dns64_responses = self.dns64_responses.saturating_add(u32::from(is_synthesised));
    }

    pub(crate) fn seen(&self) -> ContextSeen {
        let counted = |responses, bitmap| Counted { responses, distinct: linear_count(bitmap) };
        ContextSeen {
            client_subnets: counted(self.subnet_responses, self.subnets),
            hints: counted(self.hint_responses, self.hints),
            dns64_responses: self.dns64_responses,
        }
    }
}
