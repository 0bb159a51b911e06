//! Whole runs, judged from the outside: the capture is read back with the sensor's frame decoder
//! and the crate `domain`, and compared with what the scenario says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use domain::base::iana::Rcode;
use domain::base::{Message, ParsedName, Rtype};
use domain::rdata::AllRecordData;
use fluxtap_engine::{Decoder, MESSAGE_SOURCES};
use fluxtap_flow::FlowSettings;
use fluxtap_intel::{AddressClass, Intel};
use fluxtap_observe::Batch;
use fluxtap_wire::{Carried, Layers, Packet, Timestamp, layers};

use crate::address::tests::StandIn;
use crate::{
    BenchSize, Faults, Named, PcapWriter, Scale, Scenario, Summary, Until, bench, demo, run,
    scenario, write_truth,
};

/// A record as `domain` reads it: owner, type, TTL in seconds, data as text.
#[derive(Clone, Debug)]
struct Read {
    owner: String,
    rtype: Rtype,
    ttl_s: u32,
    data: String,
}

/// A message of the capture.
#[derive(Debug)]
struct Seen {
    at: Timestamp,
    resolver: IpAddr,
    client: (IpAddr, u16),
    vlan: u16,
    id: u16,
    is_response: bool,
    /// AA, RD, RA.
    flags: (bool, bool, bool),
    rcode: Rcode,
    qname: String,
    raw_qname: String,
    qtype: Rtype,
    sections: [Vec<Read>; 3],
}

impl Seen {
    fn answers(&self, rtype: Rtype) -> Vec<&Read> {
        self.sections[0].iter().filter(|record| record.rtype == rtype).collect()
    }
}

fn read_records<'a>(
    section: domain::base::message::RecordSection<'a, [u8]>,
    what: &str,
) -> Vec<Read> {
    section
        .map(|record| {
            let record = record.unwrap_or_else(|error| panic!("{what}: {error}"));
            let record = record
                .into_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>()
                .unwrap_or_else(|error| panic!("{what}: {error}"))
                .expect("all data is accepted");
            Read {
                owner: record.owner().to_string().to_lowercase(),
                rtype: record.rtype(),
                ttl_s: record.ttl().as_secs(),
                data: record.data().to_string().to_lowercase(),
            }
        })
        .filter(|record| record.rtype != Rtype::OPT)
        .collect()
}

/// Reads a packet; every message must be whole and free of left-over bytes.
fn read(packet: Packet<'_>) -> Seen {
    let carried = layers::decode(&packet, &Layers::default()).unwrap();
    let Carried::Datagram(datagram) = carried else { panic!("{carried:?}") };
    let what = format!("packet at {:?}", packet.at);
    let message = Message::from_slice(datagram.payload).unwrap();
    let question = message.sole_question().unwrap();
    let (answer, authority) = (message.answer().unwrap(), message.authority().unwrap());
    let additional = message.additional().unwrap();
    let sections = [answer, authority, additional].map(|section| read_records(section, &what));
    let is_response = message.header().qr();
    let (client, resolver) = match is_response {
        true => ((datagram.ends.destination, datagram.destination_port), datagram.ends.source),
        false => ((datagram.ends.source, datagram.source_port), datagram.ends.destination),
    };
    let header = message.header();
    let flags = (header.aa(), header.rd(), header.ra());
    let reread = fluxtap_wire::Message::new_checked(datagram.payload).unwrap();
    let mut walk = reread.walk();
    while walk.next_question().unwrap().is_some() {}
    while walk.next_record().unwrap().is_some() {}
    assert_eq!((walk.is_cut(), walk.trailing_octets()), (false, 0), "{what}");
    Seen {
        at: packet.at,
        resolver,
        client,
        vlan: datagram.ends.vlan,
        id: message.header().id(),
        is_response,
        flags,
        rcode: message.header().rcode(),
        qname: question.qname().to_string().to_lowercase(),
        raw_qname: question.qname().to_string(),
        qtype: question.qtype(),
        sections,
    }
}

fn capture(scenario: &Scenario) -> (Vec<Seen>, Summary) {
    let mut seen = Vec::new();
    let summary = run(scenario, &mut |packet| {
        seen.push(read(packet));
        Ok(())
    });
    (seen, summary.unwrap())
}

fn pcap(scenario: &Scenario) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new()).unwrap();
    run(scenario, &mut |packet| writer.write(packet)).unwrap();
    writer.into_inner()
}

fn whole_demo(seed: u64) -> Scenario {
    Scenario { faults: Faults::default(), ..demo(seed, &StandIn).unwrap() }
}

fn small_bench(responses: u64, domains: u32) -> Scenario {
    let size = BenchSize { responses, domains, flux_share: 0.01, duration_s: 3600 };
    bench(11, size, &StandIn).unwrap()
}

/// The text of the truth file, split into fields.
fn truth(scenario: &Scenario, summary: &Summary) -> Vec<Vec<String>> {
    let mut text = Vec::new();
    write_truth(scenario, summary, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn one_seed_is_one_capture() {
    let first = pcap(&demo(3, &StandIn).unwrap());
    assert!(first == pcap(&demo(3, &StandIn).unwrap()));
    assert!(first != pcap(&demo(4, &StandIn).unwrap()));
    // The capture that is shipped must stay small.
    assert!((1_500_000..2_500_000).contains(&first.len()), "{}", first.len());
}

#[test]
fn every_response_has_its_query_and_the_time_runs_forward() {
    let (seen, summary) = capture(&whole_demo(3));
    let mut open = BTreeMap::new();
    let mut last = Timestamp(0);
    for message in &seen {
        assert!(message.at >= last);
        last = message.at;
        let key = (message.client, message.resolver, message.id, message.raw_qname.clone());
        if message.is_response {
            let (asked, qtype) = open.remove(&key).expect("a query before each response");
            assert_eq!(qtype, message.qtype);
            let waited_ms = message.at.since(asked) / 1_000_000;
            assert!((1..=80).contains(&waited_ms), "{waited_ms} ms for {}", message.qname);
        } else {
            open.insert(key, (message.at, message.qtype));
        }
    }
    assert!(open.is_empty());
    assert!(seen.iter().all(|message| message.flags == (false, true, message.is_response)));
    assert_eq!((summary.packets, summary.last), (seen.len() as u64, last));
    assert_eq!(summary.responses * 2, summary.packets);
}

#[test]
fn the_demonstration_has_the_variety_it_promises() {
    let (seen, _) = capture(&whole_demo(5));
    let responses: Vec<&Seen> = seen.iter().filter(|message| message.is_response).collect();
    let share = |test: &dyn Fn(&Seen) -> bool| {
        responses.iter().filter(|seen| test(seen)).count() as f64 / responses.len() as f64
    };
    let mixed = |seen: &Seen| seen.raw_qname.bytes().any(|byte| byte.is_ascii_uppercase());
    for (what, share) in [
        ("IPv6 transport", share(&|seen| seen.resolver.is_ipv6())),
        ("VLAN tag", share(&|seen| seen.vlan != 0)),
        ("0x20", share(&mixed)),
        ("NXDOMAIN", share(&|seen| seen.rcode == Rcode::NXDOMAIN)),
        ("type 65", share(&|seen| seen.qtype == Rtype::HTTPS)),
        ("AAAA", share(&|seen| seen.qtype == Rtype::AAAA)),
        ("alias", share(&|seen| !seen.answers(Rtype::CNAME).is_empty())),
        (
            "NS below an answer",
            share(&|seen| seen.sections[1].iter().any(|r| r.rtype == Rtype::NS)),
        ),
    ] {
        assert!((0.03..0.5).contains(&share), "{what}: {share}");
    }
    for rtype in [Rtype::RRSIG, Rtype::DNSKEY, Rtype::DS, Rtype::HTTPS] {
        assert!(responses.iter().any(|seen| !seen.answers(rtype).is_empty()), "{rtype}");
    }
    let clients: BTreeSet<_> =
        seen.iter().filter(|s| s.client.0.is_ipv4()).map(|seen| seen.client.0).collect();
    assert_eq!(clients.len(), 20);
}

#[test]
fn answers_hold_what_their_family_says() {
    let (seen, _) = capture(&whole_demo(6));
    let below = |apex: &str| {
        let dotted = format!(".{apex}");
        let found: Vec<&Seen> = seen
            .iter()
            .filter(|s| s.is_response && (s.qname == apex || s.qname.ends_with(&dotted)))
            .collect();
        assert!(found.len() >= 20, "{} responses for {apex}", found.len());
        found
    };
    for (apex, rtype, count, ttl_max_s) in [
        ("parcel-redelivery.example", Rtype::A, 5, 300),
        ("card-checkers.example", Rtype::A, 10, 150),
        ("lucky-prize-draw.example", Rtype::A, 1, 3),
        ("stream-codec-pack.example", Rtype::A, 8, 120),
        ("update-mirror-six.example", Rtype::AAAA, 4, 180),
        ("pool.ntp.org", Rtype::A, 4, 130),
        ("open-chat.example", Rtype::A, 6, 300),
    ] {
        for response in below(apex).iter().filter(|seen| seen.qtype == rtype) {
            let answers = response.answers(rtype);
            let different: BTreeSet<_> = answers.iter().map(|record| &record.data).collect();
            assert_eq!((answers.len(), different.len()), (count, count), "{response:?}");
            for record in answers {
                assert_eq!(record.owner, response.qname);
                assert!(record.ttl_s <= ttl_max_s, "{record:?}");
            }
        }
    }
    for response in below("invoice-portal.test") {
        let [alias] = response.answers(Rtype::CNAME)[..] else { panic!("{response:?}") };
        assert_eq!((&alias.owner, alias.data.as_str()), (&response.qname, "invoice-portal.test."));
        assert_eq!(response.answers(Rtype::A).len(), 5);
    }
    for response in below("zen.dnsbl.example") {
        match response.answers(Rtype::A)[..] {
            [record] => assert!(record.data.starts_with("127.0.0."), "{record:?}"),
            _ => assert_eq!(response.rcode, Rcode::NXDOMAIN),
        }
    }
    for response in below("citycable.example") {
        let spelled = response.qname.split('.').next().unwrap().replace('-', ".");
        assert_eq!(format!("cpe.{}", response.answers(Rtype::A)[0].data), spelled);
    }
    for response in below("county-records.example") {
        let [v4, v6] = [Rtype::A, Rtype::AAAA].map(|rtype| response.answers(rtype));
        assert_eq!(v4.len() + v6.len(), 3);
        assert!(v6.iter().all(|record| record.data.starts_with("64:ff9b::")), "{v6:?}");
    }
    let chain = |seen: &&&Seen| seen.answers(Rtype::CNAME).len() == 2 && seen.qtype == Rtype::A;
    let delivered = below("harbor-outfitters.example");
    let response = delivered.iter().find(chain).expect("an answer through two aliases");
    let owners: Vec<&str> = response.sections[0].iter().map(|r| r.owner.as_str()).collect();
    assert_eq!(
        owners[..2],
        ["www.harbor-outfitters.example", "www.harbor-outfitters.example.edgekey.net"]
    );
    assert!(owners[2].ends_with(".dsca.akamaiedge.net") && owners.len() == 4, "{owners:?}");
}

#[test]
fn double_flux_shows_in_authority_and_glue() {
    let (seen, _) = capture(&whole_demo(7));
    let apex = "secure-login-update.test";
    let shown: Vec<&Seen> = seen
        .iter()
        .filter(|s| s.is_response && s.qname.ends_with(apex) && !s.sections[1].is_empty())
        .collect();
    let mut glue_addresses = BTreeSet::new();
    let mut ns_sets = BTreeSet::new();
    for response in &shown {
        let servers: BTreeSet<_> = response.sections[1]
            .iter()
            .map(|ns| ns.data.trim_end_matches('.').to_owned())
            .collect();
        let glued: BTreeSet<_> = response.sections[2].iter().map(|r| r.owner.clone()).collect();
        assert!(response.sections[1].iter().all(|ns| ns.rtype == Rtype::NS && ns.owner == apex));
        assert_eq!((servers.len(), &servers), (3, &glued));
        glue_addresses.extend(response.sections[2].iter().map(|r| r.data.clone()));
        ns_sets.insert(servers);
    }
    assert!(shown.len() > 50 && ns_sets.len() == 2, "{} {}", shown.len(), ns_sets.len());
    assert!(glue_addresses.len() > 60, "{}", glue_addresses.len());
    let proper: BTreeSet<_> = seen
        .iter()
        .filter(|s| s.qname == "orchard-recipes.example" && !s.sections[1].is_empty())
        .flat_map(|s| s.sections[2].iter().map(|record| record.data.clone()))
        .collect();
    assert!(proper.len() <= 2, "name servers of an ordinary site stand still: {proper:?}");
}

#[test]
fn a_cached_set_stays_and_its_ttl_counts_down() {
    let (seen, _) = capture(&whole_demo(8));
    // The dual-stack resolver is one cache: its IPv4 address stands for both.
    let cache = |ip: IpAddr| if ip.is_ipv6() { "10.20.0.54".parse().unwrap() } else { ip };
    let mut cached: BTreeMap<_, (u64, BTreeSet<String>)> = BTreeMap::new();
    let (mut repeated, mut refreshed) = (0, 0);
    for response in seen.iter().filter(|message| message.is_response) {
        let mut sets: BTreeMap<_, (u32, BTreeSet<String>)> = BTreeMap::new();
        for record in response.sections.iter().flatten() {
            let is_mapped = record.data.starts_with("64:ff9b::");
            if [Rtype::RRSIG, Rtype::NSEC, Rtype::SOA].contains(&record.rtype) || is_mapped {
                continue;
            }
            let key = (cache(response.resolver), record.owner.clone(), record.rtype);
            let set = sets.entry(key).or_insert((record.ttl_s, BTreeSet::new()));
            assert_eq!(set.0, record.ttl_s, "one TTL for a set: {record:?}");
            set.1.insert(record.data.clone());
        }
        for (key, (ttl_s, set)) in sets {
            let expires_s = response.at.secs() + u64::from(ttl_s);
            match cached.get(&key) {
                // Without the answers that crossed the end of the set's life on their way.
                Some((until_s, before)) if response.at.secs() + 1 < *until_s => {
                    assert_eq!((expires_s, &set), (*until_s, before), "{key:?}");
                    repeated += 1;
                }
                Some(_) => refreshed += 1,
                None => {}
            }
            if ttl_s > 0 {
                cached.insert(key, (expires_s, set));
            }
        }
    }
    assert!(repeated > 1000 && refreshed > 500, "{repeated} {refreshed}");
}

#[test]
fn the_truth_lists_each_domain_and_when_flux_first_showed() {
    let scenario = demo(9, &StandIn).unwrap();
    let (seen, summary) = capture(&scenario);
    let rows = truth(&scenario, &summary);
    assert_eq!(rows[0], crate::COLUMNS);
    assert!(rows[1..].is_sorted());
    let flux: Vec<_> = rows.iter().filter(|row| row[1] == "flux").collect();
    let families: BTreeSet<&str> = flux.iter().map(|row| row[2].as_str()).collect();
    let expect = [
        "alias_fronted",
        "cdn_diluted",
        "classic",
        "classic_random",
        "dark_cloud",
        "double",
        "ipv6",
        "one_address",
    ];
    assert_eq!(families, BTreeSet::from(expect));
    for row in &flux {
        let first = seen.iter().find(|s| {
            s.is_response
                && s.qname.ends_with(&row[0])
                && s.sections[0].iter().any(|r| [Rtype::A, Rtype::AAAA].contains(&r.rtype))
        });
        let at = first.unwrap().at;
        assert_eq!(row[4], format!("{}.{:06}", at.secs(), at.0 / 1000 % 1_000_000), "{row:?}");
        assert_eq!(row[3], if row[2] == "double" { "double_flux" } else { "single_flux" });
    }
    let benign = rows.iter().filter(|row| row[1] == "benign").count();
    assert_eq!(flux.len() + benign + 1, rows.len());
    // Every name asked for belongs to a row.
    let domains: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    for message in &seen {
        let labels = message.qname.split('.').count();
        let suffixes = (0..labels).map(|skip| message.qname.splitn(skip + 1, '.').last().unwrap());
        assert!(suffixes.into_iter().any(|name| domains.contains(name)), "{}", message.qname);
    }
}

#[test]
fn faults_do_what_they_are_told() {
    let faults = Faults { loss_share: 0.1, duplicate_share: 0.2, reorder_share: 0.1 };
    let whole = whole_demo(10);
    let (clean, _) = capture(&whole);
    let (seen, summary) = capture(&Scenario { faults, ..whole });
    let sent = clean.len() as f64;
    let near = |count: u64, share: f64| (count as f64 / sent - share).abs() < 0.02;
    assert!(near(summary.lost, 0.1) && near(summary.duplicated, 0.18), "{summary:?}");
    assert_eq!(seen.len() as u64, clean.len() as u64 - summary.lost + summary.duplicated);
    let backwards = seen.windows(2).filter(|pair| pair[1].at < pair[0].at).count();
    assert!(near(summary.late, 0.11) && backwards > 500, "{summary:?} {backwards}");
}

#[test]
fn bench_traffic_has_its_mix_and_streams() {
    let scenario = Scenario { tcp_share: 0.0, ..small_bench(40_000, 8_000) };
    let (seen, summary) = capture(&scenario);
    let responses: Vec<&Seen> = seen.iter().filter(|message| message.is_response).collect();
    assert_eq!((summary.responses, responses.len()), (40_000, 40_000));
    let share = |test: &dyn Fn(&Seen) -> bool| {
        responses.iter().filter(|seen| test(seen)).count() as f64 / responses.len() as f64
    };
    for (what, is, expect) in [
        ("IPv6", share(&|seen| seen.resolver.is_ipv6()), 0.20),
        ("NXDOMAIN", share(&|seen| seen.rcode == Rcode::NXDOMAIN), 0.15),
        ("type 65", share(&|seen| seen.qtype == Rtype::HTTPS), 0.10),
    ] {
        assert!((is - expect).abs() < 0.01, "{what}: {is}");
    }
    assert!(share(&|seen| !seen.answers(Rtype::CNAME).is_empty()) > 0.05);
    let domains = |seen: &Seen| seen.qname.rsplitn(3, '.').take(2).collect::<Vec<_>>().join(" ");
    let asked: BTreeSet<String> = responses.iter().map(|seen| domains(seen)).collect();
    assert_eq!(asked.len(), 8_000);
    let flux = truth(&scenario, &summary).iter().filter(|row| row[1] == "flux").count();
    assert!((60..100).contains(&flux), "{flux}");
    // Only packets on their way are held: a matter of the rate, 11 a second here.
    assert!(summary.waiting_max < 30, "{}", summary.waiting_max);
}

#[test]
fn connections_hold_whole_messages() {
    let scenario = Scenario { tcp_share: 0.3, ..small_bench(3_000, 300) };
    let mut decoder = Decoder::new(Layers::default(), &FlowSettings::default(), 60, 7);
    let (intel, mut batch) = (Intel::embedded(), Batch::default());
    let summary = run(&scenario, &mut |packet| {
        decoder.decode(&packet, &intel, &mut batch);
        batch.clear();
        Ok(())
    })
    .unwrap();
    decoder.finish(&mut batch, &intel);
    let counts = decoder.counts();
    assert!(counts.is_conserved());
    assert_eq!((counts.packets, counts.responses), (summary.packets, summary.responses));
    assert_eq!((counts.gate.paired, counts.malformed_total()), (summary.responses, 0));
    let by_source: Vec<_> = MESSAGE_SOURCES.iter().zip(counts.message_sources).collect();
    let streams: u64 =
        by_source.iter().filter(|(name, _)| **name != "datagram").map(|(_, count)| count).sum();
    assert!((1_700..2_000).contains(&streams), "{by_source:?}");
}

#[test]
fn a_longer_run_of_the_same_rate_holds_no_more() {
    let measure = |responses, seconds| {
        let size = BenchSize { responses, domains: 500, flux_share: 0.01, duration_s: seconds };
        let summary = run(&bench(1, size, &StandIn).unwrap(), &mut |_| Ok(())).unwrap();
        (summary.waiting_max, summary.cache_entries)
    };
    let (short, long) = (measure(20_000, 3600), measure(160_000, 8 * 3600));
    assert!(long.0 <= short.0 * 2, "{short:?} {long:?}");
    assert!(long.1 < short.1 * 4, "{short:?} {long:?}");
}

#[test]
fn a_failing_sink_ends_the_run() {
    let mut left = 10;
    let ended = run(&small_bench(1000, 100), &mut |_| {
        left -= 1;
        if left == 0 { Err(std::io::Error::other("full")) } else { Ok(()) }
    });
    assert_eq!((ended.unwrap_err().to_string().as_str(), left), ("full", 0));
    let nothing = Scenario { until: Until::Seconds(0), ..small_bench(1000, 100) };
    assert_eq!(run(&nothing, &mut |_| Ok(())).unwrap().packets, 0);
}

/// The first hour of a scenario with one domain of each family, nothing lost.
fn first_hour(name: &str) -> Scenario {
    let scale = Scale { each: 1, lookalikes: 1, domains: 50, questions_per_domain: 4.0 };
    let named = Named::find(name).unwrap();
    let whole = scenario(named, 5, scale, &Intel::embedded()).unwrap();
    Scenario { faults: Faults::default(), until: Until::Seconds(3_600), ..whole }
}

fn addresses(response: &Seen) -> Vec<IpAddr> {
    let of = |rtype| response.answers(rtype).into_iter().map(|r| r.data.parse().unwrap());
    of(Rtype::A).chain(of(Rtype::AAAA)).collect()
}

/// Answers with addresses, of one domain.
fn answers_of<'a>(seen: &'a [Seen], apex: &str) -> Vec<&'a Seen> {
    let is_of = |s: &&Seen| s.is_response && s.qname.ends_with(apex) && !addresses(s).is_empty();
    let found: Vec<&Seen> = seen.iter().filter(is_of).collect();
    assert!(found.len() >= 8, "{} answers of {apex}", found.len());
    found
}

#[test]
fn evasions_are_what_their_notes_say() {
    let intel = Intel::embedded();
    let (seen, summary) = capture(&first_hour("fast-below"));
    let asns = |response: &Seen| -> BTreeSet<u32> {
        addresses(response).into_iter().map(|ip| intel.owner(ip).asn).collect()
    };
    let grouped = answers_of(&seen, "asn-grouped-1.example");
    assert!(grouped.iter().all(|response| asns(response).len() == 1));
    let different: BTreeSet<_> = grouped.iter().flat_map(|response| asns(response)).collect();
    assert!(different.len() > 5, "{different:?}");
    for response in answers_of(&seen, "cdn-padded-1.example") {
        let classes = addresses(response).into_iter().map(|ip| intel.owner(ip).class);
        assert_eq!(classes.filter(|class| *class == AddressClass::Cdn).count(), 4);
    }
    let few: BTreeSet<_> =
        answers_of(&seen, "few-isps-1.example").iter().flat_map(|r| asns(r)).collect();
    assert!((8..=22).contains(&few.len()), "{few:?}");
    let one_off = answers_of(&seen, "one-off-labels-1.example");
    let names: BTreeSet<_> = one_off.iter().map(|response| &response.qname).collect();
    assert_eq!(names.len(), one_off.len());
    assert!(one_off.iter().all(|response| response.answers(Rtype::A)[0].ttl_s == 0));
    for response in answers_of(&seen, "random-alias-1.example") {
        assert_eq!(response.answers(Rtype::CNAME)[0].data, "random-alias-1.example.");
    }
    for response in answers_of(&seen, "aaaa-1.example") {
        assert_eq!(response.answers(Rtype::AAAA).len(), 4);
    }
    let tenants = answers_of(&seen, "one-tenant-1.example");
    let moving = tenants.iter().filter(|r| r.qname.starts_with("n7.")).flat_map(|r| addresses(r));
    assert!(moving.collect::<BTreeSet<_>>().len() > 10);
    let blocks: BTreeSet<_> = answers_of(&seen, "unlisted-edges-1.example")
        .iter()
        .map(|response| {
            let networks: BTreeSet<_> = addresses(response).iter().map(slash_24).collect();
            assert_eq!(networks.len(), 1);
            networks
        })
        .collect();
    assert!(blocks.len() > 3, "{blocks:?}");
    // Only who listens knows the right id, and comes behind the true answer.
    let mut forged_all = 0;
    for (apex, is_on_path) in
        [("forged-off-path-1.example", false), ("forged-on-path-1.example", true)]
    {
        let forged: Vec<&Seen> = answers_of(&seen, apex)
            .into_iter()
            .filter(|response| addresses(response).len() == 5)
            .collect();
        forged_all += forged.len() as u64;
        let asked = |f: &Seen| {
            let same = |s: &&Seen| (s.client, s.id) == (f.client, f.id);
            seen.iter().filter(same).map(|s| s.is_response).collect::<Vec<bool>>()
        };
        let late = forged.iter().filter(|f| asked(f) == [false, true, true]).count();
        assert!(late * 3 == if is_on_path { forged.len() } else { 0 }, "{apex}: {late}");
        assert!(forged.len() > 20, "{apex}: {}", forged.len());
    }
    assert_eq!(forged_all, summary.forged);
}

fn slash_24(ip: &IpAddr) -> [u8; 3] {
    let IpAddr::V4(ip) = ip else { panic!("{ip}") };
    let [a, b, c, _] = ip.octets();
    [a, b, c]
}

#[test]
fn above_resolvers_authorities_answer_and_parents_refer() {
    let (seen, _) = capture(&first_hour("fast-above"));
    let (mut referrals, mut answers) = (0, 0);
    for message in seen.iter().filter(|m| !m.qname.contains("forged")) {
        let has = |section: usize, rtype| {
            message.sections[section].iter().any(|record: &Read| record.rtype == rtype)
        };
        match (message.is_response, message.flags) {
            (false, flags) => assert_eq!(flags, (false, false, false)),
            (true, (true, false, false)) => {
                assert!(!message.sections[0].is_empty() || has(1, Rtype::SOA), "{message:?}");
                answers += 1;
            }
            (true, flags) => {
                assert_eq!(flags, (false, false, false));
                assert!(message.sections[0].is_empty() && has(1, Rtype::NS), "{message:?}");
                referrals += 1;
            }
        }
    }
    assert!(referrals > 50 && answers > 1_000, "{referrals} {answers}");
    // No answer is from a cache: TTLs are whole, and each asks one domain's servers.
    for (apex, ttl_s) in [("classic-1.example", 150), ("few-isps-1.example", 60)] {
        let found = answers_of(&seen, apex);
        assert!(found.iter().all(|r| r.answers(Rtype::A).iter().all(|a| a.ttl_s == ttl_s)));
    }
    for response in answers_of(&seen, "cname-fronted-1.example") {
        assert!(response.answers(Rtype::CNAME).len() <= 1);
        assert!(response.answers(Rtype::A).iter().all(|a| a.owner == "cname-fronted-1.example"));
    }
    let servers: BTreeSet<IpAddr> =
        answers_of(&seen, "double-1.example").iter().map(|response| response.resolver).collect();
    assert!(servers.len() > 5, "{servers:?}");
    let stable: BTreeSet<IpAddr> =
        answers_of(&seen, "classic-1.example").iter().map(|response| response.resolver).collect();
    assert_eq!(stable.len(), 1);
}

#[test]
fn every_scenario_has_its_families() {
    let families = |name: &str| -> [BTreeSet<String>; 2] {
        let rows = truth(&first_hour(name), &Summary::default());
        ["flux", "benign"].map(|label| {
            rows.iter().filter(|row| row[1] == label).map(|row| row[2].clone()).collect()
        })
    };
    let ([fast, _], [slow, lookalikes]) = (families("fast-below"), families("slow-below"));
    let [week, _] = families("week-below");
    assert!(fast.is_disjoint(&slow) && fast.len() == 19, "{fast:?}");
    assert_eq!(slow.len(), 4, "{slow:?}");
    assert!(["ip_rotation", "ns_flux", "double"].iter().all(|name| week.contains(*name)));
    let all: BTreeSet<_> = fast.union(&slow).cloned().collect();
    assert_eq!(families("crowd")[0], all);
    assert!(lookalikes.len() > 25, "{lookalikes:?}");
}
