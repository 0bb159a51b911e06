//! Stories of campaigns: alerted domains that share addresses or name servers, and those that do not.

mod teller;

use fluxtap_alert::{Action, Alert, CloseReason};
use fluxtap_engine::{CAMPAIGN_DOMAINS_MAX, Campaigns};
use fluxtap_wire::{Name, Timestamp};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use teller::{Story, Told, access};

/// Sets of five that move over a pool, one every 150 s, as flux does; with name servers.
fn flux(story: &mut Story, name: &str, pool: &[String], from_s: u64, servers: &[(String, &str)]) {
    for step in 0..20 {
        let first = (from_s / 150 + step) as usize * 5;
        let set: Vec<&str> = (0..5).map(|i| pool[(first + i) % pool.len()].as_str()).collect();
        story.with_servers(from_s + step * 150, name, "9.9.9.9", 150, &set, servers);
    }
}

/// The campaign of a domain's first line: how many domains it has, and the others.
fn first(alerts: &[Told], domain: &str) -> Option<(String, u32, Vec<String>)> {
    let line = alerts.iter().find(|a| a.domain == domain && a.action == Action::New);
    line.unwrap_or_else(|| panic!("no alert of {domain}: {alerts:?}")).campaign.clone()
}

#[test]
fn domains_over_one_pool_are_one_campaign_and_others_are_not() {
    let pool = access(120);
    let (shared, other) = pool.split_at(60);
    let mut story = Story::new();
    flux(&mut story, "www.evil.example", shared, 0, &[]);
    flux(&mut story, "www.bad.example", shared, 3_600, &[]);
    flux(&mut story, "www.alone.example", other, 7_200, &[]);
    flux(&mut story, "www.worse.example", shared, 10_800, &[]);
    let alerts = story.end();
    assert_eq!(first(&alerts, "evil.example"), None, "nothing was known to share");
    let (id, domains, others) = first(&alerts, "bad.example").expect("a campaign");
    assert_eq!((domains, others.as_slice()), (2, &["evil.example".to_owned()][..]));
    assert_eq!(first(&alerts, "alone.example"), None);
    // What was said of the first names none, so it is said again, once and behind the line that formed
    // the campaign.
    let formed = alerts.iter().position(|a| a.domain == "bad.example").expect("a line");
    let news = |a: &&Told| a.domain == "evil.example" && a.campaign.is_some();
    let told: Vec<&Told> = alerts.iter().filter(news).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].action, Action::Ongoing);
    assert_eq!(&alerts[formed + 1], told[0]);
    let revisions: Vec<u32> =
        alerts.iter().filter(|a| a.domain == "evil.example").map(|a| a.revision).collect();
    assert_eq!(revisions, (1..=revisions.len() as u32).collect::<Vec<_>>());
    let (same, domains, others) = first(&alerts, "worse.example").expect("a campaign");
    assert_eq!((same, domains), (id, 3));
    assert_eq!(others, ["bad.example", "evil.example"]);
}

#[test]
fn the_order_and_the_batches_make_no_difference() {
    let pool = access(60);
    let told = |batch: usize| {
        let mut story = Story::in_batches_of(batch);
        flux(&mut story, "www.evil.example", &pool, 0, &[]);
        flux(&mut story, "www.bad.example", &pool, 3_600, &[]);
        story.end()
    };
    assert_eq!(told(1), told(64));
}

#[test]
fn a_name_server_below_another_domain_links_and_a_provider_s_does_not() {
    let pool = access(180);
    let server = |name: &str| vec![(name.to_owned(), "8.8.8.8")];
    let mut story = Story::new();
    flux(&mut story, "www.evil.example", &pool[..60], 0, &server("ns1.provider.example"));
    flux(&mut story, "www.bad.example", &pool[60..120], 3_600, &server("ns1.evil.example"));
    flux(&mut story, "www.alone.example", &pool[120..], 7_200, &server("ns1.provider.example"));
    let alerts = story.end();
    let (_, domains, others) = first(&alerts, "bad.example").expect("a campaign");
    assert_eq!((domains, others.as_slice()), (2, &["evil.example".to_owned()][..]));
    assert_eq!(first(&alerts, "alone.example"), None, "both only have it from a provider");
}

#[test]
fn who_ended_is_in_no_campaign_any_more() {
    let pool = access(60);
    let mut story = Story::new();
    flux(&mut story, "www.evil.example", &pool, 0, &[]);
    flux(&mut story, "www.bad.example", &pool, 3_600, &[]);
    story.keep_time(7_200, 3 * 86_400);
    flux(&mut story, "www.worse.example", &pool, 3 * 86_400, &[]);
    let alerts = story.end();
    let ended = |domain: &str| {
        let is_it = |a: &&Told| a.domain == domain && matches!(a.action, Action::Ended(_));
        alerts.iter().find(is_it).expect("an end").campaign.clone()
    };
    let (_, domains, others) = ended("evil.example").expect("a campaign");
    assert_eq!((domains, others.as_slice()), (2, &["bad.example".to_owned()][..]));
    assert_eq!(ended("bad.example"), None, "it was left alone");
    assert_eq!(first(&alerts, "worse.example"), None);
}

#[test]
fn a_campaign_goes_on_behind_a_restart() {
    let pool = access(60);
    let told = |is_restarted: bool| {
        let mut story = Story::new();
        flux(&mut story, "www.evil.example", &pool, 0, &[]);
        flux(&mut story, "www.bad.example", &pool, 3_600, &[]);
        if is_restarted {
            let written = story.written();
            story.resume(&written, 3, 256 << 20).expect("a checkpoint that is read");
        }
        flux(&mut story, "www.worse.example", &pool, 7_200, &[]);
        story.keep_time(12_000, 3 * 86_400);
        story.end()
    };
    let (whole, restarted) = (told(false), told(true));
    assert!(whole.iter().filter(|a| a.campaign.is_some()).count() >= 5, "{whole:?}");
    assert_eq!(whole, restarted);
}

#[test]
fn news_of_a_campaign_wait_until_there_was_no_line_for_a_while() {
    let pool = access(60);
    let mut story = Story::new();
    flux(&mut story, "www.evil.example", &pool, 0, &[]);
    // Its first line comes while that of the other is fresh.
    flux(&mut story, "www.bad.example", &pool, 150, &[]);
    flux(&mut story, "www.alone.example", &access(180)[120..], 3_600, &[]);
    let alerts = story.end();
    let (_, domains, _) = first(&alerts, "bad.example").expect("a campaign");
    assert_eq!(domains, 2);
    let lines: Vec<&Told> = alerts.iter().filter(|a| a.domain == "evil.example").collect();
    let news = lines.iter().position(|a| a.campaign.is_some()).expect("a line that names it");
    let pause_s = lines[news].at_s - lines[news - 1].at_s;
    assert!(pause_s >= 900 || lines[news].severity > lines[news - 1].severity, "{pause_s} s");
}

/// Lines as shards tell them, made of a real one.
struct Lines(Alert);

impl Lines {
    fn new() -> Self {
        let mut story = Story::new();
        flux(&mut story, "www.evil.example", &access(60), 0, &[]);
        Self(story.alerts().first().expect("an alert").clone())
    }

    /// A line of a domain whose addresses are those of a pool, in five larger prefixes.
    fn of(&self, domain: &str, pool: u32, action: Action, at_s: u64, revision: u32) -> Alert {
        let mut alert = self.0.clone();
        alert.evidence.domain = Name::from_text(domain).expect("a name").as_wire().to_vec();
        alert.evidence.addresses.truncate(5);
        assert_eq!(alert.evidence.addresses.len(), 5);
        for (seen, number) in alert.evidence.addresses.iter_mut().zip(0..) {
            seen.ip = IpAddr::V4(Ipv4Addr::from_bits((0x0100 + pool * 5 + number) << 16 | 7));
        }
        Alert { action, revision, at: self.at(at_s), opened: self.0.at, ..alert }
    }

    fn at(&self, seconds: u64) -> Timestamp {
        self.0.at.plus_secs(seconds)
    }
}

const PAUSE_S: u64 = 900;

fn label(campaigns: &mut Campaigns, alert: Alert) -> Vec<Alert> {
    let mut lines = vec![alert];
    campaigns.label_all(&mut lines, PAUSE_S);
    lines
}

const ENDED: Action = Action::Ended(CloseReason::Quiet);

#[test]
fn a_campaign_that_breaks_up_leaves_news_for_the_next_one() {
    let (lines, mut campaigns) = (Lines::new(), Campaigns::default());
    label(&mut campaigns, lines.of("a.example", 0, Action::New, 0, 1));
    // It forms a campaign, and is over before that may be said of the first.
    assert_eq!(label(&mut campaigns, lines.of("b.example", 0, Action::New, 10, 1)).len(), 1);
    label(&mut campaigns, lines.of("b.example", 0, ENDED, 20, 2));
    assert_eq!(label(&mut campaigns, lines.of("z.example", 9, Action::New, 1_000, 1)).len(), 1);
    let told = label(&mut campaigns, lines.of("c.example", 0, Action::New, 2_000, 1));
    assert_eq!(told.len(), 2, "the first is said to be in it");
    assert_eq!((told[1].revision, told[1].action), (2, Action::Ongoing));
    assert_eq!(told[1].campaign.as_ref().map(|c| c.domains), Some(2));
}

#[test]
fn revisions_go_on_however_many_other_lines_there_were() {
    let (lines, mut campaigns) = (Lines::new(), Campaigns::default());
    label(&mut campaigns, lines.of("a.example", 0, Action::New, 0, 1));
    let told = label(&mut campaigns, lines.of("b.example", 0, Action::New, PAUSE_S, 1));
    assert_eq!((told.len(), told[1].revision), (2, 2), "news of the first");
    // As many others get news as are remembered, and end.
    for number in 0..CAMPAIGN_DOMAINS_MAX as u32 + 10 {
        let [one, other] = ["x", "y"].map(|letter| format!("{letter}{number}.example"));
        let at_s = 2_000 + u64::from(number) * 2 * PAUSE_S;
        let pool = 1 + number;
        label(&mut campaigns, lines.of(&one, pool, Action::New, at_s, 1));
        let told = label(&mut campaigns, lines.of(&other, pool, Action::New, at_s + PAUSE_S, 1));
        assert_eq!(told.len(), 2, "{number}");
        label(&mut campaigns, lines.of(&one, pool, ENDED, at_s + PAUSE_S + 1, 2));
        label(&mut campaigns, lines.of(&other, pool, ENDED, at_s + PAUSE_S + 1, 2));
    }
    let told = label(&mut campaigns, lines.of("a.example", 0, Action::Ongoing, 9_000_000, 2));
    assert_eq!(told[0].revision, 3, "2 was the news");
}

#[test]
fn who_is_not_open_is_let_go() {
    let (lines, mut campaigns) = (Lines::new(), Campaigns::default());
    label(&mut campaigns, lines.of("a.example", 0, Action::New, 0, 1));
    label(&mut campaigns, lines.of("b.example", 0, Action::New, 1, 1));
    let open = |domains: &[&str]| -> BTreeSet<(Vec<u8>, Timestamp)> {
        let name = |domain: &&str| Name::from_text(domain).expect("a name").as_wire().to_vec();
        domains.iter().map(|domain| (name(domain), lines.at(0))).collect()
    };
    campaigns.keep_open(&open(&["a.example", "b.example"]));
    assert_eq!(campaigns.len(), 1);
    campaigns.keep_open(&open(&["a.example"]));
    assert!(campaigns.is_empty(), "one domain is no campaign");
    let told = label(&mut campaigns, lines.of("c.example", 0, Action::New, 2, 1));
    assert_eq!(told[0].campaign.as_ref().map(|c| c.domains), Some(2), "without the other");
}
