//! The run: questions in time order through the resolvers, packets in time order to a sink.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::IpAddr;

use fluxtap_wire::{LinkType, Name, Packet, Rtype, Section, Timestamp};

use crate::compose::{Asked, Composer, Data, Record, Reply, Role};
use crate::family::{Fetch, Truth};
use crate::fault::{Fate, Faults};
use crate::frame::{self, Carriage, Endpoint, Segment, Transport};
use crate::random::Random;
use crate::resolver::{Ask, Caches, Miss, authority_answer, referral, server_addresses};
use crate::traffic::{
    About, Asker, Client, Forgery, Resolver, View, ends, missing_name, upstream_ends,
};
use crate::world::{Domain, DomainId, World};

/// Most resolvers of a scenario, each with up to 16 caches: caches are numbered in a byte.
pub(crate) const RESOLVERS_MAX: usize = 16;

/// Domain behaviours, a resolver model and faults: one seed, one capture.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Seed of everything that is left to chance.
    pub seed: u64,
    /// Time of the first possible question.
    pub start: Timestamp,
    /// What bounds the run.
    pub until: Until,
    /// The authoritative side.
    pub world: World,
    /// The resolvers.
    pub resolvers: Vec<Resolver>,
    /// The clients.
    pub clients: Vec<Client>,
    /// The streams of questions. A new one at the end leaves the others' questions as they were.
    pub askers: Vec<Asker>,
    /// Where the capture is taken.
    pub view: View,
    /// Share of the questions that go over TCP at once, 0 to 1. Who gets a truncated reply asks
    /// again over TCP if this is above 0.
    pub tcp_share: f64,
    /// What somebody forges.
    pub forgeries: Vec<Forgery>,
    /// What the capture misses.
    pub faults: Faults,
}

/// End of a run.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// No question is asked after so many seconds.
    Seconds(u64),
    /// No question is asked after so many were answered.
    Responses(u64),
}

/// Payload of a full TCP segment over Ethernet and IPv6, in bytes.
const SEGMENT_OCTETS: usize = 1440;

/// What a run made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packets handed to the sink, duplicates included.
    pub packets: u64,
    /// Responses made, lost ones included.
    pub responses: u64,
    /// Forged responses, lost ones included.
    pub forged: u64,
    /// Packets lost to a fault.
    pub lost: u64,
    /// Packets that were handed over a second time.
    pub duplicated: u64,
    /// Packets handed over behind later ones.
    pub late: u64,
    /// Most packets that waited at a time for their turn.
    pub waiting_max: usize,
    /// Cache entries at the end.
    pub cache_entries: usize,
    /// Time of the last packet.
    pub last: Timestamp,
    /// For each flux domain the time of the first response that shows an address of it in the
    /// answer section and that no fault lost.
    pub first_flux_answers: BTreeMap<DomainId, Timestamp>,
}

/// Receives the packets in the order of the capture file.
pub type Sink<'a> = dyn FnMut(Packet<'_>) -> io::Result<()> + 'a;

/// Runs a scenario. Memory depends on its domains and rates, not on how long it runs.
///
/// # Errors
/// What `sink` reports.
///
/// # Panics
/// When the scenario contradicts itself: an alias into a zone that is not there, an index out of
/// range, names longer than 255 bytes.
pub fn run(scenario: &Scenario, sink: &mut Sink<'_>) -> io::Result<Summary> {
    let mut run = Run::new(scenario);
    let start_us = scenario.start.0 / 1000;
    let mut streams: Vec<Stream> = (0_u64..)
        .zip(&scenario.askers)
        .map(|(index, _)| Stream { random: Random::new(scenario.seed, index), asked: 0 })
        .collect();
    let mut next: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    for (index, asker) in scenario.askers.iter().enumerate() {
        let wait_s = asker.pace.start_s(&mut streams[index].random);
        next.push(Reverse((start_us + (wait_s * 1e6) as u64, index)));
    }
    while let Some(Reverse((at_us, index))) = next.pop() {
        let is_over = match scenario.until {
            Until::Seconds(seconds) => at_us >= start_us + seconds * 1_000_000,
            Until::Responses(responses) => run.summary.responses >= responses,
        };
        if is_over {
            break;
        }
        run.outbox.deliver(Some(at_us), &mut run.summary, sink)?;
        let (asker, stream) = (&scenario.askers[index], &mut streams[index]);
        run.ask(at_us, asker, stream);
        let gap_us = (asker.pace.gap_s(&mut stream.random) * 1e6) as u64;
        next.push(Reverse((at_us + gap_us.max(1), index)));
    }
    run.outbox.deliver(None, &mut run.summary, sink)?;
    run.summary.cache_entries = run.caches.len();
    Ok(run.summary)
}

/// State of one asker.
struct Stream {
    random: Random,
    asked: u64,
}

struct Run<'a> {
    scenario: &'a Scenario,
    caches: Caches,
    composer: Composer,
    misses: Vec<Miss>,
    reply: Reply,
    outbox: Outbox,
    summary: Summary,
}

/// A question on the wire.
#[derive(Clone, Copy)]
struct Flight {
    client: Endpoint,
    resolver: Endpoint,
    vlan: Option<u16>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            caches: match scenario.view {
                View::Below => Caches::default(),
                View::Above => Caches::with_misses(),
            },
            composer: Composer::default(),
            misses: Vec::new(),
            reply: Reply::default(),
            outbox: Outbox::new(scenario.seed, scenario.faults),
            summary: Summary::default(),
        }
    }

    /// One question and what it sets going, put into the outbox.
    fn ask(&mut self, at_us: u64, asker: &Asker, stream: &mut Stream) {
        let Scenario { world, resolvers, clients, .. } = self.scenario;
        let random = &mut stream.random;
        let id = subject(world, asker.about, stream.asked, random);
        stream.asked += 1;
        let domain = world.domain(id);
        let qname = if random.chance(asker.missing_share) {
            missing_name(&domain.apex, random)
        } else {
            asker.names.draw(world, &domain.apex, random)
        };
        let span = (asker.clients.end - asker.clients.start) as u64;
        let client = &clients[asker.clients.start + random.below(span) as usize];
        let resolver = &resolvers[client.resolver];
        let [from, to] = ends(client, resolver, random);
        let flight = Flight { client: from, resolver: to, vlan: client.vlan };
        let asked = Asked {
            role: Role::Resolver,
            id: random.bits() as u16,
            qtype: *random.weighted(&asker.qtypes),
            case: if client.mixes_case { random.bits() } else { 0 },
            edns: client.edns,
            dnssec_ok: client.edns && client.dnssec_ok,
        };
        let ask = Ask {
            at_us,
            hit_us: at_us + 1_000 + random.below(2_000),
            miss_us: at_us + 8_000 + random.below(72_000),
            domain: &domain,
            qname: &qname,
            qtype: asked.qtype,
            cache: cache_asked(client.resolver, resolver, random),
            minimal: resolver.minimal,
            dnssec_ok: asked.dnssec_ok,
            dns64: client.dns64,
            rotate: random.below(1 << 20),
        };
        let ready_us = self.caches.answer(world, ask, &mut self.reply);
        match self.scenario.view {
            View::Below => {
                let now_s = ready_us / 1_000_000;
                let exchange =
                    Exchange { about: id, qname: &qname, asked, flight, at_us, ready_us, now_s };
                self.exchange(&exchange, &domain, random);
            }
            View::Above => self.ask_authorities(id, ask, resolver, random),
        }
    }

    /// What the resolver asked upstream, one after the other while the client waited.
    fn ask_authorities(
        &mut self,
        id: DomainId,
        ask: Ask<'_>,
        resolver: &Resolver,
        random: &mut Random,
    ) {
        let world = &self.scenario.world;
        self.misses.clear();
        self.misses.extend_from_slice(self.caches.misses());
        let misses = std::mem::take(&mut self.misses);
        let exchanges = 2 * misses.len() as u64;
        let step_us = (ask.miss_us - ask.at_us) / (exchanges + 1);
        // Resolvers validate, and so ask for signatures; mapping for DNS64 is their own business.
        let ask = Ask { dnssec_ok: true, dns64: false, ..ask };
        for (index, miss) in (0..).zip(&misses) {
            for (place, role) in [(0, Role::Parent), (1, Role::Authority)] {
                if role == Role::Parent && !miss.is_referred {
                    continue;
                }
                let server = match role {
                    Role::Parent => world.parent_server(&miss.domain),
                    _ => first_server(world, miss, ask.cache),
                };
                let [from, to] = upstream_ends(resolver, server, random);
                let flight = Flight { client: from, resolver: to, vlan: None };
                let (asked_id, qtype) = (random.bits() as u16, ask.qtype);
                let asked =
                    Asked { role, id: asked_id, qtype, case: 0, edns: true, dnssec_ok: true };
                let at_us = ask.at_us + (2 * index + place) * step_us + 200;
                match role {
                    Role::Parent => referral(world, ask, miss, &mut self.reply),
                    _ => authority_answer(world, ask, miss, &mut self.reply),
                }
                let exchange = Exchange {
                    about: id,
                    qname: &miss.owner,
                    asked,
                    flight,
                    at_us,
                    ready_us: at_us + step_us * 9 / 10,
                    now_s: miss.fetched_us / 1_000_000,
                };
                self.exchange(&exchange, &miss.domain, random);
            }
        }
        self.misses = misses;
    }

    /// Puts a query and its reply into the outbox, and what is forged beside them. `answering` is
    /// the domain whose data the reply holds first.
    fn exchange(&mut self, exchange: &Exchange<'_>, answering: &Domain, random: &mut Random) {
        let Exchange { about, qname, asked, flight, at_us, ready_us, now_s } = *exchange;
        let tcp_share = self.scenario.tcp_share;
        // Nothing is drawn where there is no TCP, so that those scenarios stay as they are.
        let mut over_tcp = tcp_share > 0.0 && random.chance(tcp_share);
        let mut arrived = false;
        if !over_tcp {
            let query = self.composer.query(qname, asked);
            self.outbox.put(at_us, flight, true, query, &mut self.summary);
            let octets = self.composer.reply(asked, &self.reply, now_s);
            over_tcp = tcp_share > 0.0 && octets[2] & 0x02 != 0;
            arrived = self.outbox.put(ready_us, flight, false, octets, &mut self.summary);
            self.summary.responses += 1;
        }
        if over_tcp {
            arrived |= self.over_tcp(exchange, random);
        }
        let is_flux = matches!(self.scenario.world.family(answering).truth, Truth::Flux(_));
        if is_flux && arrived && self.has_address() {
            let at = Timestamp(ready_us * 1000);
            let first = self.summary.first_flux_answers.entry(about).or_insert(at);
            *first = at.min(*first);
        }
        let forgeries = &self.scenario.forgeries;
        if let Some(forgery) = forgeries.iter().find(|forgery| forgery.victims.contains(&about)) {
            self.forge(forgery, exchange, random);
        }
    }

    /// Puts a connection with a query and its whole reply into the outbox: opened, asked, answered
    /// in segments and closed by the client. False if a fault lost a part of the reply.
    fn over_tcp(&mut self, exchange: &Exchange<'_>, random: &mut Random) -> bool {
        let Exchange { qname, asked, mut flight, ready_us, now_s, .. } = *exchange;
        flight.client.port = 1024 + random.below(64_512) as u16;
        let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes(), message].concat();
        let query = framed(self.composer.query(qname, asked));
        let reply = framed(self.composer.whole_reply(asked, &self.reply, now_s));
        let mut connection = Connection {
            flight,
            at_us: ready_us,
            next: [random.bits() as u32, random.bits() as u32],
        };
        let mut send = |is_query: bool, flags: u8, payload: &[u8]| {
            connection.send(&mut self.outbox, is_query, flags, payload, &mut self.summary)
        };
        send(true, Segment::SYN, &[]);
        send(false, Segment::SYN | Segment::ACK, &[]);
        send(true, Segment::PSH | Segment::ACK, &query);
        let mut arrived = true;
        for part in reply.chunks(SEGMENT_OCTETS) {
            arrived &= send(false, Segment::PSH | Segment::ACK, part);
        }
        send(true, Segment::FIN | Segment::ACK, &[]);
        send(false, Segment::FIN | Segment::ACK, &[]);
        self.summary.responses += 1;
        arrived
    }

    /// Puts forged replies beside a true one.
    fn forge(&mut self, forgery: &Forgery, exchange: &Exchange<'_>, random: &mut Random) {
        let Exchange { asked, flight, at_us, ready_us, .. } = *exchange;
        if asked.qtype != Rtype::A {
            return;
        }
        let pool = self.scenario.world.pool(forgery.pool).addresses();
        for copy in 0..if forgery.is_on_path { 3 } else { 2 } {
            self.reply.clear();
            let owner = self.reply.name(exchange.qname);
            for _ in 0..forgery.addresses {
                let address = pool[random.below(pool.len() as u64) as usize];
                self.reply.records.push(Record {
                    section: Section::Answer,
                    owner,
                    rtype: Rtype::A,
                    expires_s: exchange.now_s + u64::from(forgery.ttl_s),
                    data: Data::Address(address),
                });
            }
            let strange = asked.id.wrapping_add(1 + random.below(0xfffe) as u16);
            let (mut flight, id, sent_us) = match copy {
                0 => (flight, strange, at_us + (ready_us - at_us) / 2),
                1 => (flight, strange, ready_us + 5_000),
                _ => (flight, asked.id, ready_us + 2_000),
            };
            if copy == 1 {
                flight.client.port = 1024 + random.below(64_512) as u16;
            }
            let asked = Asked { id, ..asked };
            let octets = self.composer.reply(asked, &self.reply, exchange.now_s);
            self.outbox.put(sent_us, flight, false, octets, &mut self.summary);
            self.summary.forged += 1;
        }
    }

    /// Whether the reply's answer section holds an address.
    fn has_address(&self) -> bool {
        let address = |rtype| rtype == Rtype::A || rtype == Rtype::AAAA;
        let answers = self.reply.records.iter();
        answers.take_while(|r| r.section == Section::Answer).any(|r| address(r.rtype))
    }
}

/// A query with its reply, and who exchanges them when.
struct Exchange<'a> {
    about: DomainId,
    qname: &'a Name,
    asked: Asked,
    flight: Flight,
    at_us: u64,
    ready_us: u64,
    /// The second to which the reply's TTLs are counted down.
    now_s: u64,
}

/// A TCP connection of a client to a resolver.
struct Connection {
    flight: Flight,
    at_us: u64,
    /// Sequence numbers of the client's and the resolver's next byte.
    next: [u32; 2],
}

impl Connection {
    /// Sends a segment a little after the last one; false if a fault lost it.
    fn send(
        &mut self,
        outbox: &mut Outbox,
        is_query: bool,
        flags: u8,
        payload: &[u8],
        summary: &mut Summary,
    ) -> bool {
        let [own, other] = if is_query { [0, 1] } else { [1, 0] };
        let is_first = flags & Segment::ACK == 0;
        let acknowledged = if is_first { 0 } else { self.next[other] };
        let segment = Segment { sequence: self.next[own], acknowledged, flags };
        let control = u32::from(flags & (Segment::SYN | Segment::FIN) != 0);
        self.next[own] = self.next[own].wrapping_add(payload.len() as u32 + control);
        self.at_us += 150;
        let transport = Transport::Tcp(segment);
        outbox.send(self.at_us, self.flight, is_query, transport, payload, summary)
    }
}

/// One of the caches behind a resolver's address.
fn cache_asked(index: usize, resolver: &Resolver, random: &mut Random) -> u8 {
    let sibling = match resolver.caches {
        0 | 1 => 0,
        caches => random.below(u64::from(caches)),
    };
    (sibling * RESOLVERS_MAX as u64 + index as u64) as u8
}

/// Where the first of a domain's name servers is when a cache fetches.
fn first_server(world: &World, miss: &Miss, cache: u8) -> IpAddr {
    let delegation = &world.family(&miss.domain).delegation;
    let fetch = Fetch { at_us: miss.fetched_us, cache };
    let mut host = None;
    miss.domain.name_servers(delegation, miss.fetched_us, |name| host = host.or(Some(name)));
    let mut found = None;
    if let Some(host) = host {
        server_addresses(world, &miss.domain, delegation, &host, fetch, |ip| {
            found = found.or(Some(ip));
        });
    }
    found.unwrap_or_else(|| world.parent_server(&miss.domain))
}

/// The domain a question is about.
fn subject(world: &World, about: About, asked: u64, random: &mut Random) -> DomainId {
    let size = world.population_size();
    match about {
        About::Domain(id) => id,
        About::Popular => world.population_start() + random.rank(size),
        About::Sweep => world.population_start() + (asked % u64::from(size.max(1))) as u32,
    }
}

/// Packets waiting for their time; holds no more than are on their way.
struct Outbox {
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Buffers of packets that have left.
    spare: Vec<Vec<u8>>,
    random: Random,
    faults: Faults,
    /// Packets put so far; keeps the order of packets of one time.
    count: u64,
    /// Packets held back by the reorder fault, by the count of delivered packets that frees them.
    late: BTreeMap<(u64, u64), Waiting>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    at_us: u64,
    count: u64,
    octets: Vec<u8>,
}

impl Outbox {
    fn new(seed: u64, faults: Faults) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            spare: Vec::new(),
            random: Random::new(seed, u64::MAX),
            faults,
            count: 0,
            late: BTreeMap::new(),
        }
    }

    /// Sends a message of the client or of the resolver in a datagram; false if a fault lost it.
    fn put(
        &mut self,
        at_us: u64,
        flight: Flight,
        is_query: bool,
        message: &[u8],
        summary: &mut Summary,
    ) -> bool {
        self.send(at_us, flight, is_query, Transport::Udp, message, summary)
    }

    /// Sends a packet of the client or of the resolver; false if a fault lost it.
    fn send(
        &mut self,
        at_us: u64,
        flight: Flight,
        is_query: bool,
        transport: Transport,
        payload: &[u8],
        summary: &mut Summary,
    ) -> bool {
        let fate = self.faults.fate(&mut self.random);
        let ip_id = self.random.bits() as u16;
        let (from, to) = match is_query {
            true => (flight.client, flight.resolver),
            false => (flight.resolver, flight.client),
        };
        let carriage = Carriage { vlan: flight.vlan, hops: if is_query { 63 } else { 64 }, ip_id };
        let copies: &[u64] = match fate {
            Fate::Lost => {
                summary.lost += 1;
                return false;
            }
            Fate::Whole => &[0],
            Fate::Twice(gap_us) => {
                summary.duplicated += 1;
                &[0, gap_us]
            }
        };
        for later_us in copies {
            let mut octets = self.spare.pop().unwrap_or_default();
            frame::write(&mut octets, from, to, carriage, transport, payload);
            self.count += 1;
            let waiting = Waiting { at_us: at_us + later_us, count: self.count, octets };
            self.waiting.push(Reverse(waiting));
        }
        summary.waiting_max = summary.waiting_max.max(self.waiting.len() + self.late.len());
        true
    }

    /// Hands over what was sent before `until_us`; everything if that is `None`.
    fn deliver(
        &mut self,
        until_us: Option<u64>,
        summary: &mut Summary,
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        while let Some(Reverse(first)) = self.waiting.peek() {
            if until_us.is_some_and(|until_us| first.at_us >= until_us) {
                break;
            }
            let Some(Reverse(first)) = self.waiting.pop() else { break };
            match self.faults.delay(&mut self.random) {
                0 => self.hand_over(first, summary, sink)?,
                behind => {
                    summary.late += 1;
                    self.late.insert((summary.packets + behind, first.count), first);
                }
            }
            while let Some(entry) = self.late.first_entry() {
                if entry.key().0 > summary.packets {
                    break;
                }
                let late = entry.remove();
                self.hand_over(late, summary, sink)?;
            }
        }
        if until_us.is_none() {
            while let Some((_, late)) = self.late.pop_first() {
                self.hand_over(late, summary, sink)?;
            }
        }
        Ok(())
    }

    fn hand_over(
        &mut self,
        packet: Waiting,
        summary: &mut Summary,
        sink: &mut Sink<'_>,
    ) -> io::Result<()> {
        let at = Timestamp(packet.at_us * 1000);
        summary.packets += 1;
        summary.last = summary.last.max(at);
        let wire_len = packet.octets.len() as u32;
        sink(Packet { at, link: LinkType::ETHERNET, bytes: &packet.octets, wire_len })?;
        self.spare.push(packet.octets);
        Ok(())
    }
}
