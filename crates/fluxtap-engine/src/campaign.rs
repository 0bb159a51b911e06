//! Campaigns: alerted domains that share addresses of subscribers, or name servers.
//!
//! What crosses domains must not depend on how the work is shared out. So this stands behind the
//! shards, where their alerts are in one order: each line is labelled by itself and those before it.
//! When a domain comes into its first campaign by another's line, what was said of it does not name
//! that; so a `flux-ongoing` line is made of the last one of that alert, and comes behind the line that formed it, or if there
//! has been none of that alert for long enough, behind the first one then. Of two campaigns that meet
//! no line is written again.
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
use fluxtap_intel::{AddressClass, Intel, suffix};
use fluxtap_window::AddressSeen;
use fluxtap_wire::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Most domains with an open alert that are compared: with all their addresses, and the last line of
/// those that are in no campaign, some 50 MB.
pub const CAMPAIGN_DOMAINS_MAX: usize = 1_024;

/// Most addresses of a domain that are compared, the newest.
const KEYS_MAX: usize = 128;

/// Most keys of a domain: its addresses, itself, and its name servers in two ways.
const MEMBER_KEYS_MAX: usize = 1_024;

/// Most domains that are found by one address or server.
const HOLDERS_MAX: usize = 8;

/// Larger prefixes in which two domains share an address that are linked.
const PREFIXES_MIN: usize = 3;

/// Addresses a network beyond which they lie in blocks, which operators own.
const DENSITY_MAX: f64 = 1.25;

/// A domain in wire form.
type Domain = Arc<[u8]>;

/// What two domains may have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// What was said of it last, as long as that names no campaign.
    last: Option<Box<Alert>>,
}

/// Lines of an alert that are not its own doing, so that its revisions go on behind them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Retold {
    opened: Timestamp,
    lines: u32,
    /// When there was a line of it last, and whether that ended it.
    at: Timestamp,
    is_ended: bool,
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
    /// Members whose campaign was formed and is in no line of theirs, and when there may be one.
    waiting: BTreeSet<(Timestamp, Domain)>,
    retold: BTreeMap<Domain, Retold>,
    lines: u64,
    evicted: u64,
}

/// Campaigns as they are written down.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SavedCampaigns {
    members: Vec<SavedMember>,
    /// By position in the members.
    holders: Vec<(Key, Vec<u32>)>,
    campaigns: Vec<(u32, SavedCampaign)>,
    campaigns_made: u32,
    waiting: Vec<(Timestamp, Box<[u8]>)>,
    retold: Vec<(Box<[u8]>, Retold)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedMember {
    domain: Box<[u8]>,
    opened: Timestamp,
    at: Timestamp,
    keys: Vec<Key>,
    campaign: Option<u32>,
    last: Option<Box<Alert>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedCampaign {
    id: String,
    founded: Timestamp,
    founder: Box<[u8]>,
}

impl Campaigns {
    /// Labels lines, which come in their order, each by what it says and what those before it said;
    /// lines about campaigns that were formed are put in behind. Of one alert there are at least
    /// `pause_s` seconds between such a line and the one before.
    pub fn label_all(&mut self, alerts: &mut Vec<Alert>, pause_s: u64) {
        let mut at = 0;
        while let Some(alert) = alerts.get_mut(at) {
            at += 1;
            self.label(alert, pause_s);
            let now = alert.at;
            while let Some(news) = self.news(now) {
                alerts.insert(at, news);
                at += 1;
            }
        }
    }

    fn label(&mut self, alert: &mut Alert, pause_s: u64) {
        let domain: Domain = alert.evidence.domain.as_slice().into();
        if let Some(retold) = self.retold.get_mut(&domain)
            && retold.opened == alert.opened
            && !alert.action.is_told_once()
        {
            alert.revision = alert.revision.saturating_add(retold.lines);
            retold.at = alert.at;
            retold.is_ended = matches!(alert.action, Action::Ended(_));
        }
        match alert.action {
            Action::New | Action::Ongoing | Action::Reopened => {
                let formed = self.open(alert.at, &domain, alert.opened, keys(alert));
                alert.campaign = self.of_member(&domain);
                self.waiting.retain(|(_, waiting)| *waiting != domain);
                for (told, other) in formed {
                    self.waiting.insert((told.plus_secs(pause_s), other));
                }
                if let Some(member) = self.members.get_mut(&domain) {
                    member.last = alert.campaign.is_none().then(|| Box::new(alert.clone()));
                }
            }
            Action::Ended(_) => {
                alert.campaign = self.of_member(&domain);
                self.remove(&domain);
            }
            Action::Matched | Action::Rebound => {}
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

    /// Lines that were made because a campaign was formed.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// The next line that may be made at `now` because a campaign was formed.
    fn news(&mut self, now: Timestamp) -> Option<Alert> {
        while self.waiting.first().is_some_and(|(due, _)| *due <= now) {
            let (_, domain) = self.waiting.pop_first()?;
            let Some(campaign) = self.of_member(&domain) else { continue };
            let Some(member) = self.members.get_mut(&domain) else { continue };
            let Some(last) = member.last.take() else { continue };
            member.at = now;
            let mut news = Alert { action: Action::Ongoing, at: now, ..*last };
            news.campaign = Some(campaign);
            news.is_campaign_news = true;
            news.revision = news.revision.saturating_add(1);
            self.note_retold(&domain, &news);
            self.lines += 1;
            return Some(news);
        }
        None
    }

    fn note_retold(&mut self, domain: &Domain, news: &Alert) {
        if self.retold.len() == CAMPAIGN_DOMAINS_MAX && !self.retold.contains_key(domain) {
            // Of an alert that goes on, the next line would have a revision that was there before.
            let oldest = self.retold.iter().min_by_key(|(_, retold)| (!retold.is_ended, retold.at));
            let oldest = oldest.map(|(domain, _)| domain.clone());
            if let Some(oldest) = oldest {
                self.retold.remove(&oldest);
            }
        }
        let before = self.retold.get(domain).filter(|retold| retold.opened == news.opened);
        let lines = before.map_or(0, |retold| retold.lines) + 1;
        let retold = Retold { opened: news.opened, lines, at: news.at, is_ended: false };
        self.retold.insert(domain.clone(), retold);
    }

    /// Written down, for a sensor that is to go on.
    #[must_use]
    pub fn save(&self) -> SavedCampaigns {
        let positions: BTreeMap<&Domain, u32> = self.members.keys().zip(0..).collect();
        let members = self.members.iter().map(|(domain, member)| SavedMember {
            domain: (**domain).into(),
            opened: member.opened,
            at: member.at,
            keys: member.keys.clone(),
            campaign: member.campaign,
            last: member.last.clone(),
        });
        let of = |holders: &[Domain]| -> Vec<u32> {
            holders.iter().filter_map(|domain| positions.get(domain).copied()).collect()
        };
        let campaigns = self.campaigns.iter().map(|(&number, Campaign { id, founder, .. })| {
            let (founded, founder) = (founder.0, (*founder.1).into());
            (number, SavedCampaign { id: id.clone(), founded, founder })
        });
        SavedCampaigns {
            members: members.collect(),
            holders: self.holders.iter().map(|(key, held)| (key.clone(), of(held))).collect(),
            campaigns: campaigns.collect(),
            campaigns_made: self.campaigns_made,
            waiting: self.waiting.iter().map(|(due, d)| (*due, (**d).into())).collect(),
            retold: self.retold.iter().map(|(d, retold)| ((**d).into(), *retold)).collect(),
        }
    }

    /// Goes on with what was written down; `None` if it says what cannot be.
    #[must_use]
    pub fn load(saved: SavedCampaigns, intel: &Intel) -> Option<Self> {
        let SavedCampaigns { members, holders, campaigns, campaigns_made, waiting, retold } = saved;
        if members.len() > CAMPAIGN_DOMAINS_MAX || retold.len() > CAMPAIGN_DOMAINS_MAX {
            return None;
        }
        let names: Vec<Domain> = members.iter().map(|member| (*member.domain).into()).collect();
        let mut loaded = Self { campaigns_made, ..Self::default() };
        for (number, SavedCampaign { id, founded, founder }) in campaigns {
            let founder = (founded, (*founder).into());
            let campaign = Campaign { id, founder, domains: BTreeSet::new() };
            if number > campaigns_made || loaded.campaigns.insert(number, campaign).is_some() {
                return None;
            }
        }
        for (member, name) in members.into_iter().zip(&names) {
            let SavedMember { opened, at, keys, campaign, mut last, .. } = member;
            for seen in last.iter_mut().flat_map(|last| &mut last.evidence.addresses) {
                seen.owner = intel.owner(seen.ip);
            }
            if let Some(number) = campaign {
                loaded.campaigns.get_mut(&number)?.domains.insert(name.clone());
            }
            let is_sound = keys.len() <= MEMBER_KEYS_MAX
                && last.as_ref().is_none_or(|last| *last.evidence.domain == **name);
            let member = Member { opened, at, keys, campaign, last };
            if !is_sound || loaded.members.insert(name.clone(), member).is_some() {
                return None;
            }
        }
        for (key, positions) in holders {
            let holders: Option<Vec<Domain>> =
                positions.iter().map(|&at| names.get(at as usize).cloned()).collect();
            let holders = holders.filter(|h| !h.is_empty() && h.len() <= HOLDERS_MAX)?;
            // What nobody gives back would stay for ever.
            let is_held = |d: &Domain| loaded.members.get(d).is_some_and(|m| m.keys.contains(&key));
            if !holders.iter().all(is_held) || loaded.holders.insert(key, holders).is_some() {
                return None;
            }
        }
        loaded.waiting = waiting.into_iter().map(|(due, d)| (due, (*d).into())).collect();
        loaded.retold = retold.into_iter().map(|(d, retold)| ((*d).into(), retold)).collect();
        loaded.campaigns.values().all(|c| c.domains.len() >= 2).then_some(loaded)
    }

    /// Lets go of the domains whose alert is not open: of a sensor that was killed the alerts are
    /// older than the campaigns, for what is written down first was written while it went on.
    pub fn keep_open(&mut self, open: &BTreeSet<(Vec<u8>, Timestamp)>) {
        let is_gone = |(domain, member): (&Domain, &Member)| {
            (!open.contains(&(domain.to_vec(), member.opened))).then(|| domain.clone())
        };
        let gone: Vec<Domain> = self.members.iter().filter_map(is_gone).collect();
        gone.iter().for_each(|domain| self.remove(domain));
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

    /// Takes a domain in, or what is new of it; others that are in their first campaign now, and when
    /// there was a line about them last.
    fn open(
        &mut self,
        at: Timestamp,
        domain: &Domain,
        opened: Timestamp,
        keys: Vec<Key>,
    ) -> Vec<(Timestamp, Domain)> {
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
        self.members.insert(domain.clone(), Member { opened, at, keys, campaign, last: None });
        let is_alone = |other: &&Domain| {
            self.members.get(*other).is_some_and(|member| member.campaign.is_none())
        };
        let alone: Vec<Domain> = linked.iter().filter(is_alone).cloned().collect();
        linked.iter().for_each(|other| self.join(domain, other));
        let told = |other: Domain| Some((self.members.get(&other)?.at, other));
        alone.into_iter().filter_map(told).collect()
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
        self.waiting.retain(|(_, waiting)| waiting != domain);
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
