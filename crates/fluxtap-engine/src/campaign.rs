//! Campaigns: alerted domains that share addresses of subscribers, or name servers.
//!
//! What crosses domains must not depend on how the work is shared out. So this stands behind the
//! shards, where their alerts are in one order: each line is labelled by itself and those before it.
//! A line that was written before its campaign was known is not written again; the next line of that
//! alert has it.
//!
//! Two domains are linked that share addresses in three larger prefixes (/16, IPv6 /32), or of which
//! one has a name server below the other, or that share a name server that fluxes itself. Only
//! addresses of access networks and of nobody in particular link: hosting and content networks are
//! shared by strangers. A domain whose addresses lie in blocks links by servers alone. Whoever is
//! linked, in one step or several, is in one campaign.
//!
//! Limits: [`CAMPAIGN_DOMAINS_MAX`], of which the one told of longest ago goes first; [`KEYS_MAX`]
//! addresses a domain; [`HOLDERS_MAX`] domains an address or a server, the first ones.

use fluxtap_alert::{Action, Alert, CampaignSeen, campaign_id};
use fluxtap_flux::TermId;
use fluxtap_intel::{AddressClass, suffix};
use fluxtap_window::AddressSeen;
use fluxtap_wire::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Most domains with an open alert that are compared: with all their addresses some 20 MB.
pub const CAMPAIGN_DOMAINS_MAX: usize = 1_024;

/// Most addresses of a domain that are compared, the newest.
const KEYS_MAX: usize = 128;

/// Most domains that are found by one address or server.
const HOLDERS_MAX: usize = 8;

/// Larger prefixes in which two domains share an address that are linked.
const PREFIXES_MIN: usize = 3;

/// Addresses a network beyond which they lie in blocks, which operators own.
const DENSITY_MAX: f64 = 1.25;

/// A domain in wire form.
type Domain = Arc<[u8]>;

/// What two domains may have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// An address, or the /64 of one, with its larger prefix in front.
    Address(u32, u128),
    /// A name server that fluxes, wire form.
    Server(Box<[u8]>),
    /// The domain itself, for those with name servers below it.
    Own(Box<[u8]>),
    /// The domain that a name server is below.
    ServedBy(Box<[u8]>),
}

#[derive(Debug)]
struct Member {
    opened: Timestamp,
    /// When there was a line about it last.
    at: Timestamp,
    keys: Vec<Key>,
    /// Number of its campaign, if it has one.
    campaign: Option<u32>,
}

#[derive(Debug)]
struct Campaign {
    id: String,
    /// Its first domain, by which it is named.
    founder: (Timestamp, Domain),
    domains: BTreeSet<Domain>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Campaigns {
    members: BTreeMap<Domain, Member>,
    holders: BTreeMap<Key, Vec<Domain>>,
    campaigns: BTreeMap<u32, Campaign>,
    campaigns_made: u32,
    evicted: u64,
}

impl Campaigns {
    /// Labels a line by what it says and what those before it said; lines come in their order.
    pub fn label(&mut self, alert: &mut Alert) {
        let domain: Domain = alert.evidence.domain.as_slice().into();
        match alert.action {
            Action::New | Action::Ongoing | Action::Reopened => {
                self.open(alert.at, &domain, alert.opened, keys(alert));
                alert.campaign = self.of_member(&domain);
            }
            Action::Ended(_) => {
                alert.campaign = self.of_member(&domain);
                self.remove(&domain);
            }
            Action::Matched => {}
        }
    }

    /// Campaigns that there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.campaigns.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.campaigns.is_empty()
    }

    /// Domains that had to make room.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn of_member(&self, domain: &Domain) -> Option<CampaignSeen> {
        let campaign = self.campaigns.get(&self.members.get(domain)?.campaign?)?;
        Some(seen(campaign.id.clone(), &campaign.domains, domain))
    }

    /// Members that a domain with these keys is linked to.
    fn linked(&self, domain: &Domain, keys: &[Key]) -> BTreeSet<Domain> {
        let mut linked = BTreeSet::new();
        let mut shared: BTreeMap<&Domain, BTreeSet<u32>> = BTreeMap::new();
        for key in keys {
            let there = match key {
                Key::Own(name) => Key::ServedBy(name.clone()),
                Key::ServedBy(name) => Key::Own(name.clone()),
                same => same.clone(),
            };
            let holders = self.holders.get(&there).into_iter().flatten();
            for holder in holders.filter(|holder| *holder != domain) {
                match key {
                    Key::Address(prefix, _) => {
                        shared.entry(holder).or_default().insert(*prefix);
                    }
                    _ => drop(linked.insert(holder.clone())),
                }
            }
        }
        let by_address = shared.into_iter().filter(|(_, prefixes)| prefixes.len() >= PREFIXES_MIN);
        linked.extend(by_address.map(|(holder, _)| holder.clone()));
        linked
    }

    /// Takes a domain in, or what is new of it.
    fn open(&mut self, at: Timestamp, domain: &Domain, opened: Timestamp, keys: Vec<Key>) {
        let campaign = self.members.get(domain).and_then(|member| member.campaign);
        if let Some(member) = self.members.remove(domain) {
            self.release(domain, &member.keys);
        } else if self.members.len() == CAMPAIGN_DOMAINS_MAX {
            let oldest = self.members.iter().min_by_key(|(_, member)| member.at);
            let oldest = oldest.map(|(domain, _)| domain.clone());
            oldest.iter().for_each(|oldest| self.remove(oldest));
            self.evicted += 1;
        }
        let linked = self.linked(domain, &keys);
        for key in &keys {
            let holders = self.holders.entry(key.clone()).or_default();
            if holders.len() < HOLDERS_MAX {
                holders.push(domain.clone());
            }
        }
        self.members.insert(domain.clone(), Member { opened, at, keys, campaign });
        linked.iter().for_each(|other| self.join(domain, other));
    }

    /// Puts two members into one campaign, that of the first founder.
    fn join(&mut self, one: &Domain, other: &Domain) {
        let (one, other) = (self.campaign_of(one), self.campaign_of(other));
        let (Some(one), Some(other)) = (one, other) else { return };
        if one == other {
            return;
        }
        let founder = |number: u32| self.campaigns.get(&number).map(|c| c.founder.clone());
        let (kept, gone) = if founder(one) <= founder(other) { (one, other) } else { (other, one) };
        let Some(gone) = self.campaigns.remove(&gone) else { return };
        for domain in &gone.domains {
            if let Some(member) = self.members.get_mut(domain) {
                member.campaign = Some(kept);
            }
        }
        if let Some(kept) = self.campaigns.get_mut(&kept) {
            kept.domains.extend(gone.domains);
        }
    }

    /// The campaign of a member, which is made where there is none.
    fn campaign_of(&mut self, domain: &Domain) -> Option<u32> {
        let member = self.members.get_mut(domain)?;
        if let Some(number) = member.campaign {
            return Some(number);
        }
        self.campaigns_made += 1;
        let number = self.campaigns_made;
        member.campaign = Some(number);
        let founder = (member.opened, domain.clone());
        let id = campaign_id(domain, founder.0);
        let domains = BTreeSet::from([domain.clone()]);
        self.campaigns.insert(number, Campaign { id, founder, domains });
        Some(number)
    }

    fn remove(&mut self, domain: &Domain) {
        let Some(member) = self.members.remove(domain) else { return };
        self.release(domain, &member.keys);
        let Some(number) = member.campaign else { return };
        let Some(campaign) = self.campaigns.get_mut(&number) else { return };
        campaign.domains.remove(domain);
        // One domain is no campaign.
        if campaign.domains.len() < 2 {
            for last in &campaign.domains {
                if let Some(member) = self.members.get_mut(last) {
                    member.campaign = None;
                }
            }
            self.campaigns.remove(&number);
        }
    }

    fn release(&mut self, domain: &Domain, keys: &[Key]) {
        for key in keys {
            if let Some(holders) = self.holders.get_mut(key) {
                holders.retain(|holder| holder != domain);
                if holders.is_empty() {
                    self.holders.remove(key);
                }
            }
        }
    }
}

/// What a line says of a campaign: how many domains, and the others, in the order of their names.
fn seen(id: String, domains: &BTreeSet<Domain>, own: &Domain) -> CampaignSeen {
    let others = domains.iter().filter(|domain| *domain != own);
    CampaignSeen {
        id,
        domains: domains.len() as u32,
        neighbours: others.take(CampaignSeen::NEIGHBOURS_MAX).map(|d| d.to_vec()).collect(),
    }
}

/// What of an alert can be shared.
fn keys(alert: &Alert) -> Vec<Key> {
    let evidence = &alert.evidence;
    let mut keys = BTreeSet::from([Key::Own(evidence.domain.as_slice().into())]);
    if alert.subject.density <= DENSITY_MAX {
        let carries = |seen: &&AddressSeen| {
            matches!(seen.owner.class, AddressClass::Access | AddressClass::Unknown)
        };
        let addresses = evidence.addresses.iter().filter(carries).take(KEYS_MAX);
        keys.extend(addresses.map(|seen| address_key(seen.ip)));
    }
    let are_in_flux = alert.verdict.terms.iter().any(|t| t.id == TermId::Servers && t.points.0 > 0);
    for server in &evidence.server_names {
        if are_in_flux {
            keys.insert(Key::Server(server.as_slice().into()));
        }
        let domain = suffix::registrable(server).and_then(|at| server.get(at..));
        if let Some(domain) = domain.filter(|domain| *domain != evidence.domain) {
            keys.insert(Key::ServedBy(domain.into()));
        }
    }
    keys.into_iter().collect()
}

/// An address, or the /64 of one, which one subscriber has.
fn address_key(ip: IpAddr) -> Key {
    match ip {
        IpAddr::V4(ip) => Key::Address(ip.to_bits() >> 16, ip.to_bits().into()),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            // Above every prefix of IPv4, so that the families never meet.
            Key::Address((bits >> 96) as u32 | 1 << 31, bits >> 64)
        }
    }
}
