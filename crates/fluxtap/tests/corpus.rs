//! Real captures and hostile bytes, most of which may not be shipped: flux is found, ordinary
//! traffic stays quiet, nothing panics or hangs, and both laws of conservation hold for all.
//!
//! The corpus is looked for in `FLUXTAP_CORPUS`, then beside the workspace. Without it these tests
//! say so and pass; with `FLUXTAP_REQUIRE_CORPUS` they fail.

mod support;

use fluxtap_capture::Ending;
use fluxtap_flow::FlowSettings;
use fluxtap_fuzz::message;
use fluxtap_fuzz::whole::Sensor;
use fluxtap_intel::Intel;
use fluxtap_wire::layers::LINK_TYPES_READ;
use fluxtap_wire::{LinkType, Packet};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use support::{Run, corpus, files, read, say, table};

/// The real flux capture, and what is known of its domains.
const FLUX: &str = "flux/Juddinnn-FYP-1__FluXOR_168.95.1_Attack.A.pcap";
const FLUX_LABELS: &str = "flux/fluxor.labels.tsv";

/// Programs at a time.
const THREADS: usize = 2;

#[test]
fn real_flux_is_found_and_what_is_listed_beside_it_is_not() {
    let Some(corpus) = corpus() else { return };
    let (run, _) = support::replay(["--quiet".as_ref(), corpus.join(FLUX).as_os_str()]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let findings = run.findings();
    // Found and all, by label.
    let mut labels = BTreeMap::<String, [usize; 2]>::new();
    for row in table(&corpus.join(FLUX_LABELS)) {
        let (domain, label) = (&row["registered_domain"], &row["label"]);
        let is_loud = findings.get(domain).is_some_and(support::Finding::is_loud);
        let [found, all] = labels.entry(label.clone()).or_default();
        *found += usize::from(is_loud);
        *all += 1;
        let prefixes: u32 = row["distinct_16"].parse().expect("a number");
        // The labels count the domain's own addresses; all were listed as flux in their time, and
        // servers of some were in flux while the domain itself stood still.
        let is_of_servers = findings.get(domain).is_some_and(|finding| finding.kind == "ns_flux");
        let is_false = is_loud && !is_of_servers && label == "listed-not-flux" && prefixes < 5;
        assert!(!is_false, "{domain}: {:?} with {prefixes} /16", findings[domain]);
    }
    say(&format!("found and all, by label: {labels:?}"));
    let [found, all] = labels["flux"];
    assert!(all > 100, "{all} domains are labelled flux");
    assert!(found * 100 >= all * 98, "{found} of {all} flux domains");
}

#[test]
fn attacks_that_are_not_flux_stay_quiet() {
    let Some(corpus) = corpus() else { return };
    let mut files = files(&corpus, "flux");
    files.retain(|file| !file.ends_with(Path::new(FLUX).file_name().expect("a name")));
    assert_quiet(&corpus, files);
}

#[test]
fn ordinary_traffic_stays_quiet() {
    let Some(corpus) = corpus() else { return };
    assert_quiet(&corpus, files(&corpus, "benign"));
}

#[test]
fn encapsulated_traffic_stays_quiet() {
    let Some(corpus) = corpus() else { return };
    assert_quiet(&corpus, files(&corpus, "encap"));
}

#[test]
fn all_file_formats_are_read_or_refused() {
    let Some(corpus) = corpus() else { return };
    assert_quiet(&corpus, files(&corpus, "formats"));
}

#[test]
fn malformed_captures_do_no_harm() {
    let Some(corpus) = corpus() else { return };
    assert_quiet(&corpus, files(&corpus, "malformed"));
}

/// Runs the program on each file alone: no alert of medium or high, the exit status the file
/// deserves, the packets that others count in it, and (in every run) both laws.
fn assert_quiet(corpus: &Path, files: Vec<PathBuf>) {
    let manifest: BTreeMap<String, String> = table(&corpus.join("MANIFEST.tsv"))
        .into_iter()
        .map(|mut row| {
            (row.remove("file").expect("a file"), row.remove("packets").expect("packets"))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut counts = Tally::default();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let name =
                file.strip_prefix(corpus).expect("a file of the corpus").display().to_string();
            let (run, stats) = support::replay(["--quiet".as_ref(), file.as_os_str()]);
            assert_eq!(run.loud_domains(), [""; 0], "{name}");
            assert_deserved_status(file, &run, &stats);
            // Their count of packets, where the file is whole and was looked into.
            let is_known = stats["files"][0]["compression"].is_null() && !name.ends_with(".snoop");
            if is_known
                && let Some(Ok(packets)) = manifest.get(&name).map(|packets| packets.parse::<u64>())
                && run.status == 0
            {
                assert_eq!(stats["packets"], packets, "{name}");
            }
            counts.add(&run, &stats);
        }
        counts
    };
    let counts = thread::scope(|scope| {
        let workers = [(); THREADS].map(|()| scope.spawn(worker));
        workers.map(|worker| worker.join().expect("no file fails"))
    });
    let folder = files[0].parent().expect("a folder").display();
    let [files, bad, packets, responses, low] = counts
        .iter()
        .fold([0; 5], |sum, tally| std::array::from_fn(|index| sum[index] + tally.0[index]));
    say(&format!(
        "{folder}: {files} files ({bad} with status 65), {packets} packets, {responses} responses, \
         {low} domains at low"
    ));
}

/// Files, files with status 65, packets, responses, domains that alerted at low.
#[derive(Default)]
struct Tally([u64; 5]);

impl Tally {
    fn add(&mut self, run: &Run, stats: &Value) {
        let more = [
            1,
            u64::from(run.status == 65),
            support::number(&stats["packets"]),
            support::number(&stats["dns_responses"]),
            run.findings().len() as u64,
        ];
        self.0.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
}

/// The status is 65 exactly when the file does not end well or holds nothing that can be read.
fn assert_deserved_status(file: &Path, run: &Run, stats: &Value) {
    let read = read(&fs::read(file).expect("a readable file"), |_| {});
    let is_readable = |link: &LinkType| LINK_TYPES_READ.iter().any(|(known, _)| known == link);
    let is_sound = read.ending == Ending::Complete
        && read.packets_skipped == 0
        && read.gaps == 0
        && (read.packets == 0 || read.links.iter().any(is_readable));
    let name = file.display();
    assert_eq!(run.status, if is_sound { 0 } else { 65 }, "{name}: {}", run.stderr);
    assert_eq!(run.stderr.contains("error"), !is_sound, "{name}: {}", run.stderr);
    assert_eq!(stats["packets"], read.packets, "{name}");
}

/// A sensor with small tables: thousands are made, and they are sooner ready.
fn sensor(intel: &Intel) -> Sensor<'_> {
    let flow = FlowSettings { queries_max: 4_096, duplicates_max: 4_096, ..Default::default() };
    Sensor::new(&flow, intel)
}

/// Bytes decoded for one capture, at most: beyond it not every byte is a place to cut.
const CUT_BYTES_MAX: usize = 24 << 20;

/// Packets decoded for one capture with a shortened snap length, at most.
const SNAP_PACKETS_MAX: usize = 60_000;

/// Ordinary captures of all kinds: what is shipped, and some of the corpus where it is there.
fn ordinary_captures() -> Vec<(String, Vec<u8>)> {
    let mut captures: Vec<(String, Vec<u8>)> = [
        "cooked-v2/cooked-v2.pcap",
        "vlan/vlan.pcap",
        "fragments/fragments.pcap",
        "interfaces/interfaces.pcapng",
        "browsing/browsing.pcap",
        "root-referrals/root-referrals.pcap",
        "demo/demo.pcap",
    ]
    .map(|name| {
        let bytes = fs::read(support::workspace().join("pcaps").join(name)).expect("a capture");
        (name.to_owned(), bytes)
    })
    .into();
    // The demonstration is too long to be cut often; its beginning has everything in it.
    let demo = &mut captures.last_mut().expect("the demonstration").1;
    demo.truncate(support::records(demo)[400].start);
    let more = [
        "benign/netboxlabs-pktvisor__src.tests.fixtures.dnssec.pcap",
        "benign/zeek-zeek__dns-edns-ecs.pcap",
        "encap/arkime-arkime__v6.pcap",
        "flux/elcabezzonn-Pcaps__capture-Mon-02-13-17-17-15-34_Empire.dnsonly.pcap",
    ];
    for name in corpus().iter().flat_map(|corpus| more.map(|name| corpus.join(name))) {
        captures.push((name.display().to_string(), fs::read(&name).expect("a capture")));
    }
    captures
}

/// The smallest prime that keeps `size` squared over twice the stride below a limit; 1 if all fit.
fn stride(work: usize, limit: usize) -> usize {
    let is_prime = |n: &usize| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (1..).filter(is_prime).find(|stride| work / stride <= limit).expect("primes go on")
}

/// Captures cut at every byte, or as many as the time allows.
#[test]
fn truncated_captures_do_no_harm() {
    let mut cuts = 0;
    for (name, capture) in ordinary_captures() {
        let stride = stride(capture.len() * capture.len() / 2, CUT_BYTES_MAX);
        cuts += support::within_limit(move || cut_everywhere(&name, &capture, stride));
    }
    say(&format!("{cuts} cut captures"));
}

fn cut_everywhere(name: &str, capture: &[u8], stride: usize) -> usize {
    let intel = Intel::embedded();
    let (mut packets_before, mut cuts) = (0, 0);
    for end in (0..=capture.len()).step_by(stride).chain([capture.len()]) {
        let mut sensor = sensor(&intel);
        let read = read(&capture[..end], |packet| sensor.take(&packet));
        let (counts, _) = sensor.finish(&format!("{name} cut at {end}"));
        assert_eq!(counts.packets, read.packets, "{name} cut at {end}");
        assert!(read.packets >= packets_before, "{name} cut at {end}: fewer packets than before");
        packets_before = read.packets;
        cuts += 1;
    }
    assert!(packets_before > 0, "{name} has packets");
    cuts
}

/// Captures with each packet cut at every length, as a snap length does.
#[test]
fn captures_with_any_snap_length_do_no_harm() {
    let mut lengths = 0;
    for (name, capture) in ordinary_captures() {
        lengths += support::within_limit(move || snap_everywhere(&name, &capture));
    }
    say(&format!("{lengths} snap lengths"));
}

fn snap_everywhere(name: &str, capture: &[u8]) -> usize {
    let intel = Intel::embedded();
    let mut longest = 0;
    let packets = read(capture, |packet| longest = longest.max(packet.bytes.len())).packets;
    let stride = stride(longest * packets as usize, SNAP_PACKETS_MAX);
    let (mut messages_before, mut lengths) = (0, 0);
    for snap in (0..=longest).step_by(stride) {
        let mut sensor = sensor(&intel);
        read(capture, |packet| {
            let bytes = &packet.bytes[..packet.bytes.len().min(snap)];
            sensor.take(&Packet { bytes, ..packet });
        });
        let (counts, _) = sensor.finish(&format!("{name} snapped to {snap}"));
        assert_eq!(counts.packets, packets, "{name} snapped to {snap}");
        assert!(counts.messages >= messages_before, "{name} snapped to {snap}: fewer messages");
        messages_before = counts.messages;
        lengths += 1;
    }
    lengths
}

/// DNS messages that were made to break decoders, and every beginning of them.
#[test]
fn hostile_messages_do_no_harm() {
    let Some(corpus) = corpus() else { return };
    let mut files = files(&corpus, "malformed");
    files.retain(|file| file.extension().is_none_or(|e| e != "pcap" && e != "pcapng"));
    assert!(files.len() > 100, "{} messages", files.len());
    let count = files.len();
    let walked = support::within_limit(move || {
        let intel = Intel::embedded();
        let mut walked = 0;
        for file in files {
            let bytes = fs::read(&file).expect("a readable file");
            let stride = stride(bytes.len() * bytes.len() / 2, CUT_BYTES_MAX / 8);
            for end in (0..=bytes.len()).step_by(stride).chain([bytes.len()]) {
                message::walk(&bytes[..end]);
                message::observe(&bytes[..end], &intel);
                walked += 1;
            }
        }
        walked
    });
    say(&format!("{count} messages, {walked} beginnings of them"));
}
