//! Tables of responses and what must come out of them.

mod context;

use super::*;
use fluxtap_wire::name::WireText;
use fluxtap_wire::{Ends, Name};
use std::fmt::Write as _;

/// A response in the making; names are not compressed.
struct Response {
    flags: u16,
    questions: Vec<Vec<u8>>,
    sections: [Vec<Vec<u8>>; 3],
}

fn wire(name: &str) -> Vec<u8> {
    Name::from_text(name).unwrap().as_wire().to_vec()
}

impl Response {
    /// Flags 0x8180: from a cache, NOERROR.
    fn new(qname: &str, qtype: u16) -> Self {
        let question = [wire(qname), qtype.to_be_bytes().to_vec(), vec![0, 1]].concat();
        Self { flags: 0x8180, questions: vec![question], sections: Default::default() }
    }

    fn flags(mut self, flags: u16) -> Self {
        self.flags = flags;
        self
    }

    /// Adds `owner TYPE ttl data` to section 0, 1 or 2.
    fn with(self, section: usize, line: &str) -> Self {
        let [owner, rtype, ttl, data] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (rtype, rdata) = match rtype {
            "A" => (1_u16, data.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec()),
            "AAAA" => (28, data.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec()),
            "NS" => (2, wire(data)),
            "CNAME" => (5, wire(data)),
            _ => (rtype.parse().unwrap(), data.as_bytes().to_vec()),
        };
        self.raw(section, owner, (rtype, 1), ttl.parse().unwrap(), &rdata)
    }

    /// Adds a record of a type and class with these bytes of data.
    fn raw(
        mut self,
        section: usize,
        owner: &str,
        (rtype, class): (u16, u16),
        ttl_s: u32,
        rdata: &[u8],
    ) -> Self {
        let mut record = wire(owner);
        record.extend(rtype.to_be_bytes());
        record.extend(class.to_be_bytes());
        record.extend(ttl_s.to_be_bytes());
        record.extend((rdata.len() as u16).to_be_bytes());
        record.extend(rdata);
        self.sections[section].push(record);
        self
    }

    fn octets(&self) -> Vec<u8> {
        let mut octets = vec![0, 7];
        octets.extend(self.flags.to_be_bytes());
        octets.extend((self.questions.len() as u16).to_be_bytes());
        for section in &self.sections {
            octets.extend((section.len() as u16).to_be_bytes());
        }
        octets.extend(self.questions.concat());
        octets.extend(self.sections.concat().concat());
        octets
    }
}

/// Bytes behind the last record, and names as long as names can be: 253 characters.
#[test]
fn oddities_are_accepted_and_counted() {
    let label = "a".repeat(63);
    let long = format!("{label}.{label}.{label}.{}.evil.example", "a".repeat(48));
    assert_eq!((long.len(), wire(&long).len()), (253, 255));
    let answer = format!("{long} A 60 5.6.7.8");
    let (end, line, _) = run(&Response::new(&long, 1).with(0, &answer).octets());
    assert_eq!((end, line), (MessageEnd::Used, format!("evil.example {long} 5.6.7.8/60")));

    let response = Response::new("evil.example", 1).with(0, "evil.example A 60 5.6.7.8");
    let trailing = [&response.octets()[..], b"trailing"].concat();
    let (end, line, counts) = run(&trailing);
    assert_eq!((end, line.as_str()), (MessageEnd::Used, "evil.example evil.example 5.6.7.8/60"));
    assert_eq!(counts.responses_with_trailing_bytes, 1);

    let (end, line, counts) = run(&response.flags(0x8380).octets());
    assert_eq!((end, line.as_str()), (MessageEnd::Used, "evil.example evil.example 5.6.7.8/60"));
    assert_eq!(counts.responses_truncated_used, 1);
}

/// What an observation says, in one line.
fn summary(batch: &Batch) -> String {
    let Some(o) = batch.observations().first() else { return "nothing".to_owned() };
    let text = |span| WireText(batch.name(span)).to_string();
    let mut line = format!("{} {}", WireText(batch.domain(o)), text(o.host));
    for address in batch.addresses(o) {
        let _ = write!(line, " {}/{}", address.ip, address.ttl_s);
    }
    if o.terminal != o.host {
        let _ = write!(line, " via {}", text(o.terminal));
    }
    if let Some(zone) = o.zone {
        let _ = write!(line, " zone {}", Intel::embedded().zones()[usize::from(zone)].name);
    }
    for server in batch.servers(o) {
        let _ = write!(line, " ns {}", text(server.name));
        for glue in batch.glue(server) {
            let _ = write!(line, "={}", glue.ip);
        }
    }
    line
}

fn run(octets: &[u8]) -> (MessageEnd, String, ObserveCounts) {
    let (mut observer, mut batch) = (Observer::new(1), Batch::default());
    let end = tell(&mut observer, 0, "9.9.9.9", octets, &mut batch);
    (end, summary(&batch), observer.counts())
}

/// Lets the observer see a message of a resolver at a second.
fn tell(
    observer: &mut Observer,
    at_s: u64,
    resolver: &str,
    octets: &[u8],
    batch: &mut Batch,
) -> MessageEnd {
    let datagram = Datagram {
        ends: Ends {
            source: resolver.parse().unwrap(),
            destination: "10.0.0.1".parse().unwrap(),
            vlan: 0,
            tunnel: None,
        },
        source_port: 53,
        destination_port: 5353,
        is_tcp: false,
        payload: octets,
        is_cut: false,
    };
    let message = Message::new_checked(octets).unwrap();
    observer.observe(Timestamp::from_secs(at_s), &datagram, &message, &Intel::embedded(), batch)
}

const AUTHORITY: u16 = 0x8400;

#[test]
fn chains_bailiwick_and_zones() {
    let new = Response::new;
    let rows: Vec<(&str, Response, &str)> = vec![
        (
            "plain",
            new("WWW.Evil.example", 1).with(0, "www.evil.example A 60 5.6.7.8"),
            "evil.example www.evil.example 5.6.7.8/60",
        ),
        (
            "chain inside the domain",
            new("x.evil.example", 1)
                .with(0, "x.evil.example CNAME 9 evil.example")
                .with(0, "evil.example A 60 5.6.7.8"),
            "evil.example evil.example 5.6.7.8/60",
        ),
        (
            "chain out of it, from a cache",
            new("w.evil.example", 1)
                .with(0, "w.evil.example CNAME 9 a.flux.test")
                .with(0, "a.flux.test A 60 5.6.7.8"),
            "evil.example w.evil.example 5.6.7.8/60 via a.flux.test",
        ),
        (
            "chain out of it, from an authority",
            new("w.evil.example", 1)
                .flags(AUTHORITY)
                .with(0, "w.evil.example CNAME 9 a.flux.test")
                .with(0, "a.flux.test A 60 5.6.7.8"),
            "nothing",
        ),
        (
            "records out of order",
            new("w.evil.example", 1)
                .with(0, "a.evil.example A 60 5.6.7.8")
                .with(0, "b.evil.example CNAME 9 a.evil.example")
                .with(0, "w.evil.example CNAME 9 b.evil.example"),
            "evil.example a.evil.example 5.6.7.8/60",
        ),
        (
            "an alias loop ends",
            new("w.evil.example", 1)
                .with(0, "w.evil.example CNAME 9 v.evil.example")
                .with(0, "v.evil.example CNAME 9 w.evil.example")
                .with(0, "w.evil.example A 60 5.6.7.8"),
            "evil.example w.evil.example 5.6.7.8/60",
        ),
        (
            "an address of another name is hearsay",
            new("w.evil.example", 1)
                .with(0, "w.evil.example A 60 5.6.7.8")
                .with(0, "www.bank.test A 60 5.6.7.9"),
            "evil.example w.evil.example 5.6.7.8/60",
        ),
        (
            "a provider's zone at the end of the chain",
            new("w.shop.example", 1)
                .with(0, "w.shop.example CNAME 9 e1.a.akamaiedge.net")
                .with(0, "e1.a.akamaiedge.net A 20 5.6.7.8"),
            "shop.example w.shop.example 5.6.7.8/20 via e1.a.akamaiedge.net zone akamaiedge.net",
        ),
        (
            "an alias into a provider's zone by who claims authority credits nobody",
            new("evil.example", 1)
                .flags(AUTHORITY)
                .with(0, "evil.example CNAME 9 x.akamaiedge.net")
                .with(0, "x.akamaiedge.net A 20 5.6.7.8")
                .with(0, "x.akamaiedge.net A 20 6.6.7.8"),
            "nothing",
        ),
        (
            "who says that he is a cache as well credits himself alone, and no zone excuses him",
            new("evil.example", 1)
                .flags(AUTHORITY | 0x0080)
                .with(0, "evil.example CNAME 9 x.akamaiedge.net")
                .with(0, "x.akamaiedge.net A 20 5.6.7.8")
                .with(0, "x.akamaiedge.net A 20 6.6.7.8"),
            "evil.example evil.example 5.6.7.8/20 6.6.7.8/20 via x.akamaiedge.net",
        ),
        (
            "a cache has followed the alias itself",
            new("evil.example", 1)
                .with(0, "evil.example CNAME 9 x.akamaiedge.net")
                .with(0, "x.akamaiedge.net A 20 5.6.7.8"),
            "evil.example evil.example 5.6.7.8/20 via x.akamaiedge.net zone akamaiedge.net",
        ),
        (
            "the provider itself",
            new("e1.akamaiedge.net", 1).flags(AUTHORITY).with(0, "e1.akamaiedge.net A 20 5.6.7.8"),
            "e1.akamaiedge.net e1.akamaiedge.net 5.6.7.8/20 zone akamaiedge.net",
        ),
        (
            "letters of either case are the same name, in answers as well",
            new("wWw.EvIl.eXaMpLe", 1)
                .with(0, "Www.eViL.ExAmPlE CNAME 9 FLUX.evil.example")
                .with(0, "flux.EVIL.example A 20 5.6.7.8"),
            "evil.example flux.evil.example 5.6.7.8/20",
        ),
        (
            "a zone cannot be claimed by naming",
            new("akamaiedge.net.evil.example", 1)
                .with(0, "akamaiedge.net.evil.example A 60 5.6.7.8"),
            "evil.example akamaiedge.net.evil.example 5.6.7.8/60",
        ),
        (
            "a private suffix keeps customers apart",
            new("me.duckdns.org", 1).with(0, "me.duckdns.org A 60 5.6.7.8"),
            "me.duckdns.org me.duckdns.org 5.6.7.8/60",
        ),
        (
            "both families",
            new("evil.example", 255)
                .with(0, "evil.example A 60 5.6.7.8")
                .with(0, "evil.example AAAA 61 2a00::1")
                .with(0, "evil.example 65 9 xyz"),
            "evil.example evil.example 5.6.7.8/60 2a00::1/61",
        ),
        (
            "special-use addresses are left out",
            new("evil.example", 1)
                .with(0, "evil.example A 60 10.0.0.1")
                .with(0, "evil.example A 60 5.6.7.8"),
            "evil.example evil.example 5.6.7.8/60",
        ),
        (
            "a list that answers 127/8",
            new("4.3.2.1.zen.example", 1).with(0, "4.3.2.1.zen.example A 60 127.0.0.2"),
            "nothing",
        ),
        (
            "a name that spells its address",
            new("ip-5-6-7-8.isp.example", 1).with(0, "ip-5-6-7-8.isp.example A 60 5.6.7.8"),
            "nothing",
        ),
        (
            "the root and suffixes have no owner",
            new("com", 1).with(0, "com A 60 5.6.7.8"),
            "nothing",
        ),
        (
            "a TTL of over a week is a week",
            new("evil.example", 1).with(0, "evil.example A 4294967295 5.6.7.8"),
            "evil.example evil.example 5.6.7.8/604800",
        ),
    ];
    for (what, response, expect) in rows {
        assert_eq!(run(&response.octets()).1, expect, "{what}");
    }
}

#[test]
fn name_servers_and_glue() {
    let rows: Vec<(&str, Response, &str)> = vec![
        (
            "from a cache, with glue",
            Response::new("w.evil.example", 1)
                .with(0, "w.evil.example A 60 5.6.7.8")
                .with(1, "evil.example NS 60 ns1.flux.test")
                .with(1, "evil.example NS 60 ns2.flux.test")
                .with(2, "ns2.flux.test A 60 6.6.6.6")
                .with(2, "ns1.flux.test A 60 7.7.7.7"),
            "evil.example w.evil.example 5.6.7.8/60 ns ns1.flux.test=7.7.7.7 ns ns2.flux.test=6.6.6.6",
        ),
        (
            "a referral: glue is no answer",
            Response::new("w.evil.example", 1)
                .flags(0x8000)
                .with(1, "evil.example NS 60 ns1.evil.example")
                .with(2, "ns1.evil.example A 60 5.6.7.8"),
            "evil.example w.evil.example ns ns1.evil.example=5.6.7.8",
        ),
        (
            "a referral from the root",
            Response::new("w.evil.example", 1)
                .flags(0x8000)
                .with(1, "example NS 60 a.nic.example")
                .with(2, "a.nic.example A 60 5.6.7.8"),
            "nothing",
        ),
        (
            "name servers of somebody else",
            Response::new("w.evil.example", 1)
                .with(1, "bank.test NS 60 ns1.evil.example")
                .with(2, "ns1.evil.example A 60 5.6.7.8"),
            "nothing",
        ),
        (
            "glue for a name that is no server here",
            Response::new("w.evil.example", 1)
                .with(1, "evil.example NS 60 ns1.evil.example")
                .with(2, "ns9.evil.example A 60 5.6.7.8"),
            "evil.example w.evil.example ns ns1.evil.example",
        ),
        (
            "asked for the servers themselves",
            Response::new("evil.example", 2)
                .with(0, "evil.example NS 60 ns1.evil.example")
                .with(2, "ns1.evil.example A 60 5.6.7.8"),
            "evil.example evil.example ns ns1.evil.example=5.6.7.8",
        ),
        (
            "special-use glue is left out",
            Response::new("evil.example", 2)
                .with(0, "evil.example NS 60 ns1.evil.example")
                .with(2, "ns1.evil.example A 60 10.5.6.7"),
            "evil.example evil.example ns ns1.evil.example",
        ),
    ];
    for (what, response, expect) in rows {
        assert_eq!(run(&response.octets()).1, expect, "{what}");
    }
}

#[test]
fn every_message_has_one_end() {
    let good = || Response::new("evil.example", 1).with(0, "evil.example A 60 5.6.7.8");
    let octets = good().octets();
    let mut two = good();
    two.questions.push(two.questions[0].clone());
    let mut chaos = good();
    let last = chaos.questions[0].len() - 1;
    chaos.questions[0][last] = 3;
    let mut bad_name = octets.clone();
    bad_name[12] = 0x80;
    let rows: Vec<(&str, Vec<u8>, MessageEnd)> = vec![
        ("used", octets.clone(), MessageEnd::Used),
        ("query", good().flags(0x0100).octets(), MessageEnd::Query),
        ("nxdomain", good().flags(0x8183).octets(), MessageEnd::NoAddressEvidence),
        ("no data", Response::new("evil.example", 28).octets(), MessageEnd::NoAddressEvidence),
        ("notify", good().flags(0xa180).octets(), MessageEnd::Refused),
        ("two questions", two.octets(), MessageEnd::Refused),
        ("class chaos", chaos.octets(), MessageEnd::Refused),
        ("cut in the question", octets[..20].to_vec(), MessageEnd::Cut),
        ("cut in the answer", octets[..octets.len() - 1].to_vec(), MessageEnd::Cut),
        ("bad name", bad_name, MessageEnd::Malformed(Malformed::LabelType)),
        (
            "a query with a bad name",
            [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[0x80]].concat(),
            MessageEnd::Malformed(Malformed::LabelType),
        ),
    ];
    for (what, octets, expect) in rows {
        assert_eq!(run(&octets).0, expect, "{what}");
    }
}

#[test]
fn a_cut_answer_gives_its_whole_records_and_a_malformed_one_nothing() {
    let response = Response::new("evil.example", 1)
        .with(0, "evil.example A 60 5.6.7.8")
        .with(0, "evil.example A 60 5.6.7.9");
    let mut octets = response.octets();
    let (end, line, counts) = run(&octets[..octets.len() - 1]);
    assert_eq!((end, line.as_str()), (MessageEnd::Cut, "evil.example evil.example 5.6.7.8/60"));
    assert_eq!(counts.responses_cut_used, 1);
    let at = octets.len() - 5;
    octets[at] = 3;
    octets.pop();
    assert_eq!(run(&octets).0, MessageEnd::Malformed(Malformed::RdataLength));
    assert_eq!(run(&octets).1, "nothing");
}

#[test]
fn what_one_response_can_bring_is_bounded() {
    let mut wide = Response::new("evil.example", 1);
    for i in 0..250_u32 {
        let ip = std::net::Ipv4Addr::from(0x0505_0000 + i);
        wide = wide.with(0, &format!("evil.example A 60 {ip}"));
        wide = wide.with(1, &format!("evil.example NS 60 ns{i}.evil.example"));
        wide = wide.with(2, &format!("ns{i}.evil.example A 60 {ip}"));
        wide = wide.with(0, &format!("x{i}.evil.example CNAME 60 y.evil.example"));
    }
    let (end, line, counts) = run(&wide.octets());
    assert_eq!(end, MessageEnd::Used);
    assert_eq!(line.matches(" ns ").count(), SERVERS_PER_RESPONSE_MAX);
    assert!(counts.records_over_limit > 500, "{counts:?}");
    assert!(line.matches("/60").count() <= ADDRESSES_PER_RESPONSE_MAX);
}
