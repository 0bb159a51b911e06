//! Stories of domains, told packet by packet through the real decoder and shard: what must alert,
//! and the look-alikes that must not. Most are the cases that broke a prototype of the model.

mod teller;

use fluxtap_alert::{Action, CloseReason};
use fluxtap_flow::Pairing;
use fluxtap_wire::{Tunnel, TunnelKind};
use std::collections::BTreeMap;
use teller::{BEGIN_S, Carrier, Story, Told, access, education, hosting, in_block, unknown};

/// The addresses `n` of a pool from `from` on, wrapping.
fn window(pool: &[String], from: usize, n: usize) -> Vec<&str> {
    (0..n).map(|i| pool[(from + i) % pool.len()].as_str()).collect()
}

/// A fixed pseudo-random sequence, the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn draw<'a>(&mut self, pool: &'a [String], n: usize) -> Vec<&'a str> {
        let mut picked: Vec<&str> = Vec::new();
        while picked.len() < n {
            let one = pool[self.below(pool.len())].as_str();
            if !picked.contains(&one) {
                picked.push(one);
            }
        }
        picked
    }
}

#[test]
fn classic_flux_alerts_within_a_quarter_of_an_hour() {
    let pool = access(60);
    let mut story = Story::new();
    for step in 0..6 {
        let set = window(&pool, step * 5, 5);
        story.seen(step as u64 * 150, "www.evil.example", "9.9.9.9", 150, &set);
    }
    let alerts = story.end();
    let first = alerts.first().expect("an alert");
    assert_eq!((first.domain.as_str(), first.action), ("evil.example", Action::New));
    assert!(first.at_s <= 750, "{first:?}");
    assert!(alerts.iter().any(|a| a.severity >= 2), "{alerts:?}");
}

/// Nothing worse can be found, and lines about it come every quarter of an hour at most.
#[test]
fn a_domain_whose_alert_is_high_is_judged_every_five_minutes() {
    let pool = access(600);
    let mut story = Story::new();
    let mut judgements = Vec::new();
    for step in 0..360 {
        let set = window(&pool, step * 5, 5);
        story.seen(step as u64 * 20, "www.evil.example", "9.9.9.9", 20, &set);
        judgements.push(story.shard().counts().judgements);
    }
    let late = judgements[359] - judgements[179];
    assert!((10..=13).contains(&late), "{late} in the second hour");
    assert!(story.end().iter().any(|a| a.severity == 3));
}

#[test]
fn what_a_cloud_mirrors_alerts_the_same_and_says_where_it_came_from() {
    let pool = access(60);
    let [plain, mirrored] = [Story::new(), Story::carried_by(Carrier::Mirror)].map(|mut story| {
        for step in 0..6 {
            let set = window(&pool, step * 5, 5);
            story.seen(step as u64 * 150, "www.evil.example", "9.9.9.9", 150, &set);
        }
        story.end()
    });
    assert!(!plain.is_empty());
    let tunnel = Some(Tunnel { kind: TunnelKind::Vxlan, id: Some(12) });
    let expected: Vec<Told> =
        plain.into_iter().map(|told| Told { vlan: 34, tunnel, ..told }).collect();
    assert_eq!(mirrored, expected);
}

#[test]
fn one_fill_seen_a_thousand_times_is_one_refresh() {
    let pool = access(8);
    let mut story = Story::new();
    for second in 0..1_000_u64 {
        // The same set, counting down to the same expiry, the answer's order rotating.
        let set = window(&pool, second as usize, 8);
        story.seen(second, "www.shop.example", "9.9.9.9", 1_000 - second as u32, &set);
    }
    assert_eq!(story.end(), []);
}

#[test]
fn six_caches_on_one_moving_window_do_not_close_it() {
    // The set moves on every twenty minutes; in between dozens of fills bring nothing new.
    let pool = access(80);
    let mut story = Story::new();
    for minute in 0..120_u64 {
        let set = window(&pool, (minute / 20) as usize * 6, 6);
        let resolver = format!("9.9.9.{}", minute % 6);
        story.seen(minute * 60, "evil.example", &resolver, 300, &set);
    }
    let alerts = story.end();
    assert!(alerts.iter().any(|a| a.severity >= 2), "{alerts:?}");
}

#[test]
fn a_set_seen_through_both_addresses_of_a_resolver_is_no_succession() {
    // Volunteers: random 4 of a mixed pool, every fill shown by a dual-stack resolver twice.
    let mut pool = access(60);
    pool.extend(hosting(50));
    let mut dice = Dice(7);
    let mut story = Story::new();
    for step in 0..48_u64 {
        let set = dice.draw(&pool, 4);
        story.seen(step * 150, "ntp.volunteers.example", "9.9.9.9", 150, &set);
        story.seen(step * 150 + 1, "ntp.volunteers.example", "2620:fe::9", 149, &set);
    }
    let alerts = story.end();
    assert!(alerts.iter().all(|a| a.severity < 2), "{alerts:?}");
}

#[test]
fn a_load_balancer_with_a_region_for_each_resolver_is_quiet() {
    // Diverse, pure, and never repeated between resolvers; but nobody is ever given another set.
    let pool: Vec<String> = access(10)
        .into_iter()
        .zip(unknown(30).chunks(3))
        .flat_map(|(known, rest)| [&[known], rest].concat())
        .collect();
    let mut story = Story::new();
    for step in 0..200_usize {
        let resolver = step % 10;
        let set = window(&pool, resolver * 4, 4);
        let name = format!("9.9.9.{resolver}");
        story.seen(step as u64 * 60, "global.example", &name, 60, &set);
    }
    assert_eq!(story.end(), []);
}

#[test]
fn ipv4_and_ipv6_in_turn_are_no_replacement() {
    let v4 = access(4);
    let v6: Vec<String> = (0..4).map(|i| format!("2a02:{i:x}00::1")).collect();
    let mut story = Story::new();
    for step in 0..100_usize {
        let pool = if step % 2 == 0 { &v4 } else { &v6 };
        story.seen(step as u64 * 40, "dual.example", "9.9.9.9", 60, &window(pool, 0, 4));
    }
    assert_eq!(story.end(), []);
}

#[test]
fn one_fluxing_host_among_two_thousand_strangers_is_found_and_named() {
    let homes = access(400);
    let pool = access(60);
    let mut story = Story::new();
    for step in 0..2_000_usize {
        let at = step as u64 * 3;
        let customer = format!("home{}.dyn.example", step % 500);
        story.seen(at, &customer, "9.9.9.9", 60, &[&homes[step % 400]]);
        if step % 50 == 0 {
            let set = window(&pool, step / 50 * 5, 5);
            story.seen(at, "evil.dyn.example", "9.9.9.9", 120, &set);
        }
    }
    let alerts = story.end();
    let last = alerts.last().expect("an alert");
    assert_eq!(last.host, "evil.dyn.example", "{alerts:?}");
    assert!(last.severity >= 2);
}

#[test]
fn a_zone_of_customers_with_an_address_each_is_quiet() {
    let homes = access(400);
    let mut story = Story::new();
    for step in 0..1_200_usize {
        let customer = format!("home{}.dyn.example", step % 400);
        story.seen(step as u64 * 7, &customer, "9.9.9.9", 60, &[&homes[step % 400]]);
    }
    assert_eq!(story.end(), []);
}

#[test]
fn names_that_spell_their_address_are_quiet() {
    let homes = access(300);
    let mut story = Story::new();
    for (step, home) in homes.iter().enumerate() {
        let name = format!("host-{}.isp.example", home.replace('.', "-"));
        story.seen(step as u64 * 9, &name, "9.9.9.9", 3_600, &[home]);
    }
    assert_eq!(story.end(), []);
}

#[test]
fn random_names_over_one_fluxing_set_are_found() {
    // Every name is asked once; the set behind the wildcard moves on every two minutes.
    let pool = access(120);
    let mut story = Story::new();
    for step in 0..120_usize {
        let set = window(&pool, step / 8 * 5, 5);
        let name = format!("x{step}q.evil.example");
        story.seen(step as u64 * 15, &name, "9.9.9.9", 120, &set);
    }
    let alerts = story.end();
    assert!(alerts.iter().any(|a| a.severity >= 2), "{alerts:?}");
}

#[test]
fn a_closed_ring_of_ten_is_quiet() {
    // A chat network: ten hosts in ten networks of every sort.
    let pool = [hosting(4), education(3), access(3)].concat();
    let mut story = Story::new();
    for step in 0..150_usize {
        let set = window(&pool, step * 3, 3);
        story.seen(step as u64 * 120, "irc.example", "9.9.9.9", 120, &set);
    }
    let alerts = story.end();
    assert!(alerts.iter().all(|a| a.severity < 2), "{alerts:?}");
}

#[test]
fn a_pool_of_rented_servers_is_quiet() {
    let pool = hosting(70);
    let mut dice = Dice(3);
    let mut story = Story::new();
    for step in 0..200_u64 {
        let set = dice.draw(&pool, 2);
        story.seen(step * 60, "vpn.example", "9.9.9.9", 60, &set);
    }
    let alerts = story.end();
    assert!(alerts.iter().all(|a| a.severity < 2), "{alerts:?}");
}

#[test]
fn a_migration_seen_by_eight_resolvers_is_quiet() {
    let (old, new) = (hosting(6), access(6));
    let mut story = Story::new();
    for step in 0..80_usize {
        let pool = if step < 40 { &old } else { &new };
        let resolver = format!("9.9.9.{}", step % 8);
        story.seen(step as u64 * 300, "moved.example", &resolver, 300, &window(pool, 0, 6));
    }
    assert_eq!(story.end(), []);
}

#[test]
fn blocks_of_one_operator_inside_access_networks_are_quiet() {
    // Content edges at access providers: a few addresses in each network, all in use for long.
    let blocks: Vec<Vec<String>> = (0..20).map(|i| in_block(i, 4)).collect();
    let mut dice = Dice(11);
    let mut story = Story::new();
    for step in 0..200_u64 {
        let block = &blocks[dice.below(blocks.len())];
        let set = dice.draw(block, 2);
        story.seen(step * 60, "video.example", "9.9.9.9", 30, &set);
    }
    let alerts = story.end();
    assert!(alerts.iter().all(|a| a.severity < 2), "{alerts:?}");
}

#[test]
fn flux_of_which_most_owners_are_unknown_is_found() {
    let known = access(40);
    let unknown = unknown(60);
    let mut story = Story::new();
    for step in 0..20_usize {
        let mut set = window(&known, step * 2, 2);
        set.extend(window(&unknown, step * 3, 3));
        story.seen(step as u64 * 150, "evil.example", "9.9.9.9", 150, &set);
    }
    let alerts = story.end();
    assert!(alerts.iter().any(|a| a.severity >= 2), "{alerts:?}");
}

#[test]
fn a_provider_run_zone_explains_itself_and_cannot_be_claimed_by_naming() {
    let pool = access(200);
    let mut customer = Story::new();
    let mut pretender = Story::new();
    for step in 0..40_usize {
        let set = window(&pool, step * 5, 5);
        let at = step as u64 * 60;
        customer.through(at, "www.shop.example", "e7.a.akamaiedge.net", "9.9.9.9", 20, &set);
        pretender.seen(at, "e7.akamaiedge.net.evil.example", "9.9.9.9", 20, &set);
    }
    assert_eq!(customer.end(), []);
    assert!(pretender.end().iter().any(|a| a.severity >= 2));
}

#[test]
fn an_alert_ends_after_a_quiet_day_and_begins_again_under_its_id() {
    let pool = access(400);
    let mut story = Story::new();
    let mut at = 0;
    let mut flux = |story: &mut Story, from_s: u64, step0: usize| {
        for step in 0..8_usize {
            at = from_s + step as u64 * 150;
            let set = window(&pool, (step0 + step) * 5, 5);
            story.seen(at, "evil.example", "9.9.9.9", 150, &set);
        }
        at
    };
    let stopped = flux(&mut story, 0, 0);
    // Something else keeps event time going.
    story.keep_time(stopped, stopped + 90_000);
    flux(&mut story, stopped + 90_000, 10);
    let alerts = story.end();
    let actions: Vec<&str> = alerts.iter().map(|a| a.action.as_str()).collect();
    assert_eq!(actions.first(), Some(&"flux-new"), "{alerts:?}");
    assert!(actions.contains(&"flux-ended"), "{alerts:?}");
    assert!(actions.contains(&"flux-reopened"), "{alerts:?}");
    assert!(alerts.iter().all(|a| a.id == alerts[0].id), "{alerts:?}");
    // The line that says it ended still shows what it was.
    assert!(alerts.iter().all(|a| a.addresses >= 5), "{alerts:?}");
    let revisions: Vec<u32> = alerts.iter().map(|a| a.revision).collect();
    assert_eq!(revisions, (1..=alerts.len() as u32).collect::<Vec<_>>());
}

#[test]
fn flux_of_the_name_servers_makes_it_double() {
    let pool = access(120);
    let mut story = Story::new();
    for step in 0..20_usize {
        let set = window(&pool, step * 5, 5);
        let servers: Vec<(String, &str)> = (0..4)
            .map(|i| (format!("ns{i}.evil.example"), pool[(step * 4 + i + 60) % 120].as_str()))
            .collect();
        let at = step as u64 * 150;
        story.with_servers(at, "www.evil.example", "9.9.9.9", 150, &set, &servers);
    }
    let alerts = story.end();
    assert_eq!(alerts.last().map(|a| a.kind), Some("double_flux"), "{alerts:?}");
}

#[test]
fn flux_behind_an_alias_that_is_led_elsewhere_each_time_is_double() {
    let pool = access(120);
    let mut story = Story::new();
    for step in 0..30_usize {
        let set = window(&pool, step * 5, 5);
        let mut seen = |name: &str, target: &str, set: &[&str]| {
            story.through(step as u64 * 150, name, target, "9.9.9.9", 150, set);
        };
        seen("www.evil.example", &format!("x.front{}.example", step % 8), &set);
        // Into one domain, however many names of it; and between few.
        seen("www.balanced.example", &format!("x{step}.provider.example"), &set);
        seen("www.moved.example", &format!("x.cdn{}.example", step % 4), &set);
        // To names of its own, none of which comes again.
        let fresh = format!("x{step}.own.example");
        seen("www.own.example", &fresh, &window(&pool, step, 1));
        // The same by as many names: each is a customer's.
        seen(&format!("n{step}.zone.example"), &format!("x{step}.zone.example"), &set[..1]);
    }
    let mut last = BTreeMap::new();
    for alert in story.end() {
        last.insert(alert.domain.clone(), alert.kind);
    }
    let expect = [
        ("balanced.example", "single_flux"),
        ("evil.example", "double_flux"),
        ("moved.example", "single_flux"),
        ("own.example", "double_flux"),
    ];
    assert_eq!(last, expect.map(|(domain, kind)| (domain.to_owned(), kind)).into());
}

#[test]
fn names_with_answers_over_homes_of_strangers_are_one_story() {
    let pool = access(120);
    let mut story = Story::new();
    for step in 0..4_usize {
        // Twelve hours lie between two answers, which have neither name nor resolver in common.
        let at = step as u64 * 43_200;
        let resolver = format!("9.9.9.{step}");
        story.seen(
            at,
            &format!("n{step}.evil.example"),
            &resolver,
            300,
            &window(&pool, step * 5, 5),
        );
        let home = [pool[60 + step].as_str()];
        story.seen(at, &format!("n{step}.homes.example"), &resolver, 300, &home);
    }
    let alerts = story.end();
    assert!(!alerts.is_empty() && alerts.iter().all(|a| a.domain == "evil.example"), "{alerts:?}");
}

#[test]
fn flux_of_the_name_servers_alone_is_told_as_that() {
    let pool = access(120);
    let mut story = Story::new();
    for step in 0..20_usize {
        let servers: Vec<(String, &str)> = (0..3)
            .map(|i| (format!("ns{i}.evil.example"), pool[(step * 3 + i) % 120].as_str()))
            .collect();
        let at = step as u64 * 300;
        story.with_servers(at, "www.evil.example", "9.9.9.9", 300, &["8.8.8.8"], &servers);
        let ones: Vec<(String, &str)> =
            (0..2).map(|i| (format!("ns{i}.shop.example"), pool[i].as_str())).collect();
        story.with_servers(at, "www.shop.example", "9.9.9.9", 300, &["8.8.4.4"], &ones);
    }
    let alerts = story.end();
    let last = alerts.last().expect("an alert");
    // Its own address stands still, so it is no more than medium, however much its servers move.
    assert_eq!((last.kind, last.severity), ("ns_flux", 2), "{alerts:?}");
    assert!(last.host.starts_with("ns") && last.addresses >= 5, "{last:?}");
    assert!(alerts.iter().all(|a| a.domain == "evil.example"), "{alerts:?}");
}

#[test]
fn servers_that_somebody_looks_up_count_as_their_glue_would() {
    let pool = access(120);
    for (is_own_in_flux, kind) in [(true, "double_flux"), (false, "ns_flux")] {
        let mut story = Story::new();
        for step in 0..20_usize {
            let at = step as u64 * 150;
            let own = if is_own_in_flux { window(&pool, step * 5, 5) } else { vec!["8.8.8.8"] };
            // The first answers name the servers, and never again with an address.
            let servers: Vec<(String, &str)> = (0..2)
                .map(|i| (format!("ns{i}.evil.example"), ["8.8.1.1", "8.8.2.2"][step.min(1)]))
                .collect();
            let told = if step < 2 { &servers[..] } else { &[] };
            story.with_servers(at, "www.evil.example", "9.9.9.9", 150, &own, told);
            let server = window(&pool, step + 60, 1);
            story.seen(at + 20, "ns0.evil.example", "9.9.9.9", 150, &server);
        }
        let alerts = story.end();
        assert_eq!(alerts.last().map(|a| a.kind), Some(kind), "{alerts:?}");
        assert_eq!(alerts.last().map(|a| a.severity), Some(3), "{alerts:?}");
    }
}

#[test]
fn rented_servers_that_follow_each_other_are_a_rotation() {
    let hosts = hosting(30);
    let mut story = Story::new();
    // Every label leads to one server, for six hours; the others differ in one thing each.
    for half_hour in 0..7 * 48_usize {
        let at = half_hour as u64 * 1_800;
        let epoch = half_hour / 12;
        let mut seen = |name: &str, ip: &str| story.seen(at, name, "9.9.9.9", 300, &[ip]);
        seen(&format!("x{half_hour}.moves.example"), &hosts[epoch]);
        // Four that take turns.
        seen("www.spare.example", &hosts[epoch % 4]);
        // Another server for each answer.
        seen("www.exits.example", &hosts[half_hour * 7 % 30]);
    }
    let alerts = story.end();
    let [first, ..] = &alerts[..] else { panic!("nothing alerted") };
    assert_eq!((first.domain.as_str(), first.kind), ("moves.example", "ip_rotation"));
    assert!((5 * 21_600..3 * 86_400).contains(&first.at_s), "{first:?}");
    assert!(alerts.iter().all(|a| a.domain == "moves.example" && a.severity <= 2), "{alerts:?}");
}

#[test]
fn a_domain_that_is_led_into_a_sinkhole_is_over() {
    let pool = access(120);
    let servers = |zone: &str| -> Vec<(String, &str)> {
        (0..2).map(|i| (format!("ns{i}.{zone}"), ["8.8.1.1", "8.8.2.2"][i])).collect()
    };
    // One domain is taken over; another only says so, and goes on.
    for goes_on in [false, true] {
        let mut story = Story::new();
        for step in 0..60_usize {
            let is_taken = step >= 20;
            let zone = if is_taken { "sinkhole.shadowserver.org" } else { "evil.example" };
            let set = match is_taken && !goes_on {
                true => vec!["8.8.4.4"],
                false => window(&pool, step * 5, 5),
            };
            let at = step as u64 * 150;
            story.with_servers(at, "www.evil.example", "9.9.9.9", 150, &set, &servers(zone));
        }
        let alerts = story.end();
        let actions: Vec<Action> = alerts.iter().map(|alert| alert.action).collect();
        let ended = Action::Ended(CloseReason::Sinkholed);
        let at = alerts.iter().find(|alert| alert.action == ended).expect("an end").at_s;
        assert!((20 * 150..22 * 150).contains(&at), "{alerts:?}");
        assert_eq!(actions.contains(&Action::Reopened), goes_on, "{alerts:?}");
    }
}

#[test]
fn a_platform_with_one_customer_in_flux_is_told_by_him() {
    // Nineteen stand still on rented servers, and are no reason to take the one for a pool.
    let (bots, rented) = (access(200), hosting(19));
    let mut story = Story::new();
    for step in 0..30_usize {
        for (name, server) in rented.iter().enumerate() {
            let at = step as u64 * 400 + name as u64;
            story.seen(at, &format!("n{name}.platform.example"), "9.9.9.9", 300, &[server]);
        }
        let set = window(&bots, step * 5, 5);
        story.seen(step as u64 * 400 + 30, "n77.platform.example", "9.9.9.9", 180, &set);
    }
    let alerts = story.end();
    let first = alerts.first().expect("an alert");
    assert_eq!(first.host, "n77.platform.example");
    assert!(alerts.iter().any(|a| a.severity >= 2), "{alerts:?}");
}

#[test]
fn names_that_never_keep_an_address_for_an_hour_are_one_subject() {
    let pool = access(200);
    let [mut many, mut homes, mut made_up] = [Story::new(), Story::new(), Story::new()];
    for minute in 0..60_usize {
        let at = minute as u64 * 60;
        // Twelve names that are asked every twelve minutes, and have two new addresses each time.
        let set = window(&pool, minute * 2, 2);
        many.seen(at, &format!("n{}.evil.example", minute % 12), "9.9.9.9", 120, &set);
        // The same of people at home, one in four of whom got another address.
        let home = if (minute / 12 + minute) % 4 == 0 { 12 + minute } else { minute % 12 };
        let name = format!("n{}.homes.example", minute % 12);
        homes.seen(at, &name, "9.9.9.9", 120, &[&pool[home]]);
        // And names that are asked once, each with an address that is worth no cache.
        let name = format!("x{minute}.evil.example");
        made_up.seen(at, &name, "9.9.9.9", 0, &[&pool[minute]]);
    }
    let [many, homes, made_up] = [many, homes, made_up].map(Story::end);
    let first = many.first().expect("an alert");
    assert!(first.at_s <= 25 * 60, "{first:?}");
    assert!(many.iter().any(|a| a.severity >= 2), "{many:?}");
    assert_eq!(homes, []);
    // Nothing but that nobody asked twice tells these from customers: low, whatever the score.
    assert!(!made_up.is_empty() && made_up.iter().all(|a| a.severity == 1), "{made_up:?}");
}

#[test]
fn forged_glue_for_somebody_else_is_not_his() {
    // evil.example names bank.example's servers in its own answers.
    let pool = access(120);
    let mut story = Story::new();
    for step in 0..20_usize {
        let servers: Vec<(String, &str)> = (0..4)
            .map(|i| (format!("ns{i}.bank.example"), pool[(step * 4 + i) % 120].as_str()))
            .collect();
        let at = step as u64 * 150;
        story.with_servers(at, "www.evil.example", "9.9.9.9", 150, &["8.8.8.8"], &servers);
        story.seen(at, "www.bank.example", "9.9.9.9", 150, &["1.2.3.4"]);
    }
    let alerts = story.end();
    let said = alerts.iter().all(|a| (a.domain.as_str(), a.kind) == ("evil.example", "ns_flux"));
    assert!(said && !alerts.is_empty(), "{alerts:?}");
}

/// Seconds since the epoch are kept in 32 bits. What is stamped behind them is judged in the last one
/// they have, and a capture of it ends.
#[test]
fn a_capture_stamped_behind_the_year_2106_is_judged_and_ends() {
    let pool = access(60);
    let mut story = Story::new();
    let start_s = u64::from(u32::MAX) - BEGIN_S - 900;
    for step in 0..12 {
        let set = window(&pool, step * 5, 5);
        story.seen(start_s + step as u64 * 150, "www.evil.example", "9.9.9.9", 150, &set);
    }
    let alerts = story.end();
    assert!(alerts.iter().any(|a| a.domain == "evil.example"), "{alerts:?}");
}

#[test]
fn the_size_of_batches_does_not_show() {
    let pool = access(200);
    let tell = |batch: usize| {
        let mut story = Story::in_batches_of(batch);
        for step in 0..200_usize {
            let domain = step % 7;
            let set = window(&pool, step * 5 + domain, 5);
            let name = format!("www.evil{domain}.example");
            story.seen(step as u64 * 13, &name, "9.9.9.9", 60, &set);
        }
        story.end()
    };
    let whole = tell(usize::MAX);
    assert!(whole.len() >= 7, "{whole:?}");
    for batch in [1, 3, 64] {
        assert_eq!(tell(batch), whole, "batches of {batch}");
    }
}

#[test]
fn a_flood_of_random_domains_displaces_no_flux_and_holds_the_budget() {
    let pool = access(300);
    let budget = 16 << 20;
    let mut story = Story::with_memory(budget);
    let mut dice = Dice(5);
    for step in 0..180_000_usize {
        let at = step as u64 / 60;
        let name = format!("w.{:x}{:x}.test", dice.below(1 << 30), step);
        story.seen(at, &name, "9.9.9.9", 300, &["8.8.4.4"]);
        if step % 9_000 == 0 {
            let turn = step / 9_000;
            story.seen(at, "www.evil.example", "9.9.9.9", 100, &window(&pool, turn * 5, 5));
        }
        if step % 30_000 == 29_999 {
            assert!(story.bytes() <= budget as u64, "{} bytes", story.bytes());
        }
    }
    assert!(story.evicted() > 10_000, "{}", story.evicted());
    let alerts = story.end();
    assert!(alerts.iter().any(|a| a.domain == "evil.example" && a.severity >= 2), "{alerts:?}");
}

/// Forty domains in flux, some of them over for days, in a flood that makes alerted ones give way.
#[test]
fn any_number_of_shards_tells_the_same_in_the_same_order() {
    let pool = access(300);
    let tell = |parts| {
        let mut story = Story::in_parts(parts, 2 << 20);
        let mut dice = Dice(5);
        for step in 0..60_000_usize {
            // Every fourth hour is quiet, and two days are.
            let at = (step / 1_000 * 1_200 + step % 1_000 + step / 30_000 * 200_000) as u64;
            let name = format!("w{}.{:x}{:x}.test", step % 9, dice.below(1 << 30), step % 7_000);
            story.seen(at, &name, "9.9.9.9", 300, &[&pool[step % 300]]);
            if step % 10 == 0 {
                let (turn, number) = (step / 400, step / 10 % 40);
                let name = format!("www.evil{number}.example");
                story.seen(at, &name, "9.9.9.9", 100, &window(&pool, (turn + number) * 5, 5));
            }
        }
        let evicted = story.evicted();
        (story.end(), evicted)
    };
    let (one, evicted) = tell(1);
    assert!(evicted > 10_000, "{evicted}");
    for action in [Action::Ended(CloseReason::Evicted), Action::Ended(CloseReason::Quiet)] {
        assert!(one.iter().any(|told| told.action == action), "nothing was {action:?}");
    }
    for parts in [3, 64] {
        let (many, evicted_of_many) = tell(parts);
        assert_eq!((many == one, evicted_of_many), (true, evicted), "{parts} shards");
    }
}

#[test]
fn flux_in_fragments_and_over_tcp_is_the_same_flux() {
    let pool = access(60);
    let tell = |carrier| {
        let mut story = Story::carried_by(carrier);
        for step in 0..20 {
            let set = window(&pool, step * 5, 5);
            story.seen(step as u64 * 150, "www.evil.example", "9.9.9.9", 150, &set);
        }
        story.end_with_counts()
    };
    let (expected, _) = tell(Carrier::Datagram);
    assert!(expected.iter().any(|a| a.severity >= 2), "{expected:?}");
    for carrier in [Carrier::Fragments, Carrier::Stream] {
        let (alerts, counts) = tell(carrier);
        assert_eq!(alerts, expected, "{carrier:?}");
        let [_, fragments, streams] = counts.message_sources;
        assert_eq!((fragments + streams, counts.messages), (20, 20), "{counts:?}");
    }
}

/// A bank and a flux domain, each asked for all the time, on a mirror that shows queries; and
/// beside them so many forged answers, half for the bank and half for domains that do not exist.
fn forgery(pairing: Pairing, answers: u32) -> (Story, u32) {
    const SECONDS: u64 = 6_000;
    let pool = access(200);
    let mut story = Story::with_pairing(16 << 20, pairing);
    let mut dice = Dice(9);
    let mut forged = 0;
    for at in 0..SECONDS {
        for resolver in 0..10 {
            let resolver = format!("9.9.9.{resolver}");
            story.answered(at, "www.bank.example", &resolver, 300, &["8.8.8.8", "8.8.4.4"]);
        }
        if at % 150 == 0 {
            let set = window(&pool, at as usize / 150 * 5, 5);
            story.answered(at, "www.evil.example", "9.9.9.9", 150, &set);
        }
        // It begins when it is known that queries are visible.
        while u64::from(forged) * SECONDS < u64::from(answers) * at.saturating_sub(60) {
            let chance = (dice.below(1 << 31) as u64) << 31 | dice.below(1 << 31) as u64;
            let set = dice.draw(&pool, 5);
            let stranger = format!("w.{chance:x}.test");
            let name = if forged % 2 == 0 { "www.bank.example" } else { &stranger };
            story.forged(at, name, chance, &set);
            forged += 1;
        }
    }
    (story, forged)
}

#[test]
fn forged_answers_neither_alert_nor_push_real_flux_out() {
    let flux_alone = forgery(Pairing::Auto, 0).0.end();
    assert!(flux_alone.iter().any(|a| a.domain == "evil.example" && a.severity >= 2));
    assert!(flux_alone.iter().all(|a| a.domain == "evil.example"), "{flux_alone:?}");
    let (story, forged) = forgery(Pairing::Auto, FORGED);
    let (alerts, counts) = story.end_with_counts();
    assert_eq!(alerts, flux_alone);
    assert_eq!((counts.gate.lacking, counts.gate.visibility_changes), (u64::from(forged), 1));
    // Used, they would do both.
    let (alerts, _) = forgery(Pairing::Ignore, 20_000).0.end_with_counts();
    assert!(alerts.iter().any(|a| a.domain == "bank.example"), "{alerts:?}");
}

/// How many answers the story above forges; `docs/testing.md` has the figures of a million.
const FORGED: u32 = 200_000;
