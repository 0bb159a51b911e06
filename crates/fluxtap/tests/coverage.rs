//! `docs/coverage.md` says which layers are read and what proves it; here its proofs are looked up.

mod support;

use fluxtap_wire::layers::{self, LINK_TYPES_READ};
use fluxtap_wire::{Carried, Ends, Layers, LinkType, Ports, TunnelKind};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use support::{say, workspace};

/// Ports that are looked for beside that of DNS: layers do not care what they are around, and few
/// captures of rare ones have DNS in them.
const PORTS: [u16; 16] =
    [53, 22, 23, 25, 67, 80, 123, 161, 179, 443, 514, 1985, 5060, 5355, 8080, 49_153];

/// What a packet was, in the words of the table: link type, what is around it, what it carries.
type Cell = (u16, String, String);

/// One row of the table.
#[derive(Debug)]
struct Row {
    cell: Cell,
    proof: String,
}

#[test]
fn every_row_is_proven_by_what_it_names() {
    let rows = rows();
    let corpus = support::corpus();
    let tests = read("crates/fluxtap-wire/src/layers/tests/stacks.rs");
    let mut seen = BTreeMap::<&str, BTreeSet<Cell>>::new();
    let (mut proven, mut wrong) = (0, Vec::new());
    for row in &rows {
        if let Some(test) = row.proof.strip_prefix("test: ") {
            if !tests.contains(&format!("\"{test}\"")) {
                wrong.push(format!("{row:?}: no such row in the tests"));
            }
            continue;
        }
        let capture = match row.proof.strip_prefix("pcaps/") {
            Some(shipped) => workspace().join("pcaps").join(shipped),
            None => match &corpus {
                Some(corpus) => corpus.join(&row.proof),
                None => continue,
            },
        };
        let cells = seen.entry(&row.proof).or_insert_with(|| cells_of(&capture));
        if !cells.contains(&row.cell) {
            wrong.push(format!("{row:?}: the capture has only {cells:?}"));
        }
        proven += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    say(&format!("{} rows of the coverage table, {proven} proven by captures", rows.len()));
}

#[test]
fn every_link_type_and_tunnel_has_a_row() {
    let rows = rows();
    for (link, name) in LINK_TYPES_READ {
        assert!(rows.iter().any(|row| row.cell.0 == link.0), "{name} ({}): no row", link.0);
    }
    for kind in TunnelKind::ALL {
        let around = kind.as_str();
        assert!(rows.iter().any(|row| row.cell.1 == around), "{around}: no row");
    }
    for row in &rows {
        let is_read = LINK_TYPES_READ.iter().any(|(link, _)| link.0 == row.cell.0);
        assert!(is_read, "{row:?}: the link type is not read");
    }
}

/// What the packets of a capture were that carry something.
fn cells_of(capture: &Path) -> BTreeSet<Cell> {
    let bytes = fs::read(capture).unwrap_or_else(|e| panic!("{}: {e}", capture.display()));
    let layers = Layers { ports: Ports::new(&PORTS).expect("ports"), ..Layers::default() };
    let mut cells = BTreeSet::new();
    support::read(&bytes, |packet| {
        let Ok(carried) = layers::decode(&packet, &layers) else { return };
        let (ends, transport) = match &carried {
            Carried::Datagram(datagram) => (&datagram.ends, "UDP"),
            Carried::Segment(segment) => (&segment.ends, "TCP"),
            Carried::Fragment(fragment) => (&fragment.ends, "fragment"),
        };
        cells.insert(cell(packet.link, ends, transport));
    });
    cells
}

fn cell(link: LinkType, ends: &Ends, transport: &str) -> Cell {
    let around = match (ends.tunnel, ends.vlan) {
        (Some(tunnel), _) => tunnel.kind.as_str(),
        (None, 0) => "-",
        (None, _) => "VLAN",
    };
    let version = if ends.source.is_ipv4() { "IPv4" } else { "IPv6" };
    (link.0, around.to_owned(), format!("{transport} over {version}"))
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The rows of the document's table.
fn rows() -> Vec<Row> {
    let text = read("docs/coverage.md");
    let rows: Vec<Row> = text
        .lines()
        .filter_map(|line| {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, link, _, around, carries, proof, _] = columns[..] else { return None };
            let cell = (link.parse().ok()?, around.trim_matches('`').into(), carries.to_owned());
            Some(Row { cell, proof: proof.trim_matches('`').to_owned() })
        })
        .collect();
    assert!(rows.len() > 50, "{} rows", rows.len());
    rows
}

#[test]
#[ignore = "prints what the corpus has, to write the table from"]
fn print_what_the_corpus_has() {
    let corpus = support::corpus().expect("the corpus");
    let mut first = BTreeMap::<Cell, String>::new();
    for folder in ["encap", "formats", "benign"] {
        for file in support::files(&corpus, folder) {
            let name = file.strip_prefix(&corpus).expect("a file of it").display().to_string();
            for cell in cells_of(&file) {
                first.entry(cell).or_insert_with(|| name.clone());
            }
        }
    }
    for ((link, around, carries), name) in first {
        say(&format!("| {link} | | {around} | {carries} | `{name}` |"));
    }
}
