//! Our decoders and others: of DNS messages the same records with the same names, TTLs and addresses,
//! of packets the same payload between the same ends; on all that the captures have, and on mutations
//! of it.
//!
//! Where they differ, `data/disagreements.tsv` says who accepts what and why; a difference without a
//! row fails, and so does a row that nothing needs any more.

mod dns_parser;
mod domain;
mod etherparse;
mod hickory;
mod messages;
#[path = "../../../fluxtap/tests/support/corpus.rs"]
#[allow(dead_code, reason = "others use other parts of it")]
mod support;

use fluxtap_fuzz::message::{End, Entry, walk};
use fluxtap_wire::Malformed;
use std::collections::{BTreeMap, BTreeSet};
use support::{corpus, say, table, workspace};

/// Mutations of each message.
const MUTATIONS: usize = 8;

/// Of so many messages the slow peers are asked about one.
const SLOW_ONE_IN: usize = 2;

/// How a peer read a message that it accepts, or the entries before the error.
struct Theirs {
    /// Questions and records; OPT may be left out.
    entries: Vec<Entry>,
    is_whole: bool,
}

/// What both say of one input.
enum Compared {
    /// The same.
    Agreed,
    /// The peer refuses it, as peers with stricter rules for data we do not look into do.
    Refused,
    /// A row of the table.
    Differs(String),
}

/// Our view of a message.
struct Ours {
    entries: Vec<Entry>,
    end: End,
    reason: Option<Malformed>,
}

impl Ours {
    fn of(octets: &[u8]) -> Self {
        let (walked, reason) = walk(octets);
        Self { entries: walked.entries, end: walked.end, reason }
    }

    fn is_whole(&self) -> bool {
        self.end == End::Whole
    }

    /// Why we do not accept it, as the table spells it.
    fn why(&self) -> &'static str {
        match (self.end, self.reason) {
            (End::Whole, _) => "-",
            (_, Some(reason)) => reason.as_str(),
            (_, None) => "cut",
        }
    }
}

type Peer = (&'static str, fn(&Ours, &[u8]) -> Compared);

const PEERS: [Peer; 3] = [
    ("domain", domain::compare),
    ("hickory-proto", hickory::compare),
    ("dns-parser", dns_parser::compare),
];

/// What was counted of one peer.
#[derive(Debug, Default)]
struct Tally {
    agreed: u64,
    refused: u64,
    differs: BTreeMap<String, u64>,
}

impl Tally {
    fn count(&mut self, compared: Compared) {
        match compared {
            Compared::Agreed => self.agreed += 1,
            Compared::Refused => self.refused += 1,
            Compared::Differs(what) => *self.differs.entry(what).or_default() += 1,
        }
    }
}

#[test]
fn peers_read_the_same_or_the_difference_has_a_reason() {
    let is_whole = corpus().is_some();
    let messages = messages::all();
    assert!(messages.len() > if is_whole { 20_000 } else { 500 }, "{} messages", messages.len());
    let mut real: [Tally; 3] = Default::default();
    let mut mutated: [Tally; 3] = Default::default();
    for (number, message) in messages.iter().enumerate() {
        compare(message, true, &mut real);
        // Of its own, so that further captures change little.
        let mut dice = messages::Dice::of(message);
        for turn in 0..MUTATIONS {
            let other = &messages[(number + turn + 1) % messages.len()];
            let octets = messages::mutate(message, other, &mut dice);
            compare(&octets, (number + turn) % SLOW_ONE_IN == 0, &mut mutated);
        }
    }
    for ((peer, _), (real, mutated)) in PEERS.iter().zip(real.iter().zip(&mutated)) {
        say(&format!("{peer}, real: {real:?}"));
        say(&format!("{peer}, mutated: {mutated:?}"));
        assert!(real.agreed > 300 && mutated.agreed > 300, "{peer} was hardly asked");
    }
    for ((peer, _), (real, mutated)) in PEERS.iter().zip(real.iter().zip(&mutated)) {
        assert_expected(peer, real, mutated);
    }
}

/// The differences from a peer are those of the table.
fn assert_expected(peer: &str, real: &Tally, mutated: &Tally) {
    let keys = |tally: &Tally| tally.differs.keys().cloned().collect::<Vec<_>>();
    let (real, mutated) = (keys(real), keys(mutated));
    let rows = real.iter().map(|what| format!("{peer}\treal\t{what}"));
    let found: BTreeSet<String> =
        rows.chain(mutated.iter().map(|what| format!("{peer}\tmutated\t{what}"))).collect();
    let expected = expected(peer);
    let new: Vec<_> = found.iter().filter(|what| !expected.contains_key(*what)).collect();
    assert!(new.is_empty(), "differences without a row in disagreements.tsv: {new:#?}");
    // Without the corpus there are too few inputs to meet every difference.
    let is_missed = |(what, is_rare): &(&String, &bool)| !**is_rare && !found.contains(*what);
    let gone: Vec<_> = expected.iter().filter(is_missed).filter(|_| corpus().is_some()).collect();
    assert!(gone.is_empty(), "rows of disagreements.tsv that nothing needs: {gone:#?}");
}

fn compare(octets: &[u8], is_slow_asked: bool, tallies: &mut [Tally; 3]) {
    let ours = Ours::of(octets);
    for (place, (_, compare)) in PEERS.iter().enumerate() {
        if place > 0 && !is_slow_asked {
            break;
        }
        tallies[place].count(compare(&ours, octets));
    }
}

/// The rows of a peer: peer, inputs, who accepts, our reason; and whether it need not be met.
fn expected(peer: &str) -> BTreeMap<String, bool> {
    let rows = table(&workspace().join("crates/fuzz/tests/data/disagreements.tsv"));
    let row = |row: &BTreeMap<String, String>| {
        assert!(!row["why"].is_empty(), "{row:?} has no reason");
        let key = ["peer", "inputs", "accepts", "ours"].map(|column| row[column].clone());
        (key.join("\t"), row["seen"] == "rarely")
    };
    rows.iter().filter(|row| row["peer"] == peer).map(row).collect()
}
