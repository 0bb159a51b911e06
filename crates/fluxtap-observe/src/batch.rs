//! Observations in flat, recycled buffers: no allocation per response once they have grown.

use crate::Vantage;
use fluxtap_wire::{ClientSubnet, Ends, NameRef, Rtype, Timestamp, Tunnel};
use std::net::IpAddr;

/// A name's bytes inside [`Batch::name`]: lower-case uncompressed wire form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameSpan {
    at: u32,
    len: u8,
}

/// A run of entries in one of the batch's lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// One address of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// TTL in seconds as answered, capped at [`crate::TTL_S_MAX`].
    pub ttl_s: u32,
}

/// One name server of the asked domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its host name.
    pub name: NameSpan,
    /// TTL of the NS record in seconds.
    pub ttl_s: u32,
    /// Its addresses in the same message: entries of [`Batch::glue`].
    pub glue: Range,
}

/// One address of a name server, from the additional section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glue {
    /// The address.
    pub ip: IpAddr,
    /// TTL in seconds.
    pub ttl_s: u32,
}

/// What few responses say, and what is no evidence: it explains what else was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The clients the response holds for, if it does not hold for all.
    pub client_subnet: Option<ClientSubnet>,
    /// How many of the addresses a DNS64 had put into IPv6 ones.
    pub synthesised: u16,
    pub(crate) hints: Range,
}

/// Position of a context that is not there.
pub(crate) const CONTEXT_NONE: u32 = u32::MAX;

/// What one response says that can be evidence.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// When it was captured.
    pub at: Timestamp,
    /// Keyed hash of the registrable domain; also picks the partition.
    pub domain_hash: u64,
    /// The name asked for.
    pub asked: NameSpan,
    /// Offset in `asked` at which the registrable domain begins.
    pub domain_at: u8,
    /// The name the addresses stand under as evidence: the end of the chain if that is still in
    /// the asked domain, else the asked name itself.
    pub host: NameSpan,
    /// The end of the alias chain, context only.
    pub terminal: NameSpan,
    /// Curated zone the end of the chain (or the asked name) lies in, as a number from
    /// [`fluxtap_intel::Intel::zones`].
    pub zone: Option<u16>,
    /// Entry of the operator's allow list that covers the asked name but not its registrable
    /// domain: see [`fluxtap_intel::AllowList::mark`].
    pub allow_mark: Option<u16>,
    /// Who sent the response.
    pub responder: IpAddr,
    /// Who it was sent to.
    pub client: IpAddr,
    /// Outermost VLAN id, 0 for none.
    pub vlan: u16,
    /// Outermost tunnel, if the packet travelled in any.
    pub tunnel: Option<Tunnel>,
    /// What was asked for.
    pub qtype: Rtype,
    /// From an authority or from a cache.
    pub vantage: Vantage,
    /// TC=1: the address set is only a part.
    pub is_truncated: bool,
    /// Special-use addresses that were left out.
    pub special_use: u16,
    pub(crate) addresses: Range,
    pub(crate) servers: Range,
    /// Position in the batch's contexts, or [`CONTEXT_NONE`].
    pub(crate) context: u32,
}

impl Observation {
    /// The party whose view of the domain this is: the resolver itself below a resolver, the one
    /// that asks above it.
    #[must_use]
    pub const fn observer(&self) -> IpAddr {
        match self.vantage {
            Vantage::Cache => self.responder,
            Vantage::Authoritative | Vantage::Unknown => self.client,
        }
    }
}

/// A response with short-lived addresses that lie all inside a network, and are no evidence.
#[derive(Clone, Copy, Debug)]
pub struct Inside {
    /// How many observations, and how many event times that were reached, lie in front of it.
    place: (u32, u32),
    /// When it was captured.
    pub at: Timestamp,
    /// Keyed hash of the registrable domain.
    pub domain_hash: u64,
    /// The name asked for.
    pub asked: NameSpan,
    /// Offset in `asked` at which the registrable domain begins.
    pub domain_at: u8,
    /// Who sent the response.
    pub responder: IpAddr,
    /// Who it was sent to.
    pub client: IpAddr,
    /// The last of the addresses, with its TTL.
    pub address: Address,
}

impl Inside {
    /// Whether it comes before the observation with that number and the next event time, when so many
    /// were reached.
    #[must_use]
    pub const fn is_before(&self, observation: usize, reached: u32) -> bool {
        self.place.0 as usize <= observation && self.place.1 <= reached
    }
}

/// Event time that was reached, and what held then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// How many observations lie in front of it.
    observations: u32,
    /// The time.
    pub at: Timestamp,
    /// Whether queries were visible beside the responses; `None` if nobody looked.
    pub queries_visible: Option<bool>,
    /// Of the responses lately, how many in a hundred lacked their query, while queries are visible.
    pub lacking_percent: Option<u8>,
}

/// Observations of a run of packets, in packet order.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) items: Vec<Observation>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) servers: Vec<Server>,
    pub(crate) glue: Vec<Glue>,
    pub(crate) hints: Vec<IpAddr>,
    contexts: Vec<Context>,
    insides: Vec<Inside>,
    names: Vec<u8>,
    times: Vec<Reached>,
}

impl Batch {
    /// The observations.
    #[must_use]
    pub fn observations(&self) -> &[Observation] {
        &self.items
    }

    /// Notes that event time reached `at`, whatever the packet held: what waits for a time must not
    /// wait for the next observation.
    pub fn reach(
        &mut self,
        at: Timestamp,
        queries_visible: Option<bool>,
        lacking_percent: Option<u8>,
    ) {
        let observations = self.items.len() as u32;
        self.times.push(Reached { observations, at, queries_visible, lacking_percent });
    }

    /// The observations, each behind the event times that were reached before it; at the end those
    /// that were reached behind the last.
    pub fn steps(&self) -> impl Iterator<Item = (&[Reached], Option<&Observation>)> {
        let mut times = self.times.as_slice();
        (0..self.items.len() + 1).map(move |i| {
            // One by one: between two observations there is hardly ever any.
            let is_before = |reached: &&Reached| reached.observations as usize <= i;
            let before = times.iter().take_while(is_before).count();
            let (reached, later) = times.split_at(before);
            times = later;
            (reached, self.items.get(i))
        })
    }

    /// Addresses of `observation`, IPv4 and IPv6 mixed as they were answered.
    #[must_use]
    pub fn addresses(&self, observation: &Observation) -> &[Address] {
        slice(&self.addresses, observation.addresses)
    }

    /// Name servers of `observation`.
    #[must_use]
    pub fn servers(&self, observation: &Observation) -> &[Server] {
        slice(&self.servers, observation.servers)
    }

    /// Addresses of `server` from the same message.
    #[must_use]
    pub fn glue(&self, server: &Server) -> &[Glue] {
        slice(&self.glue, server.glue)
    }

    /// What `observation` has besides; most have nothing.
    #[must_use]
    #[inline]
    pub fn context(&self, observation: &Observation) -> Option<&Context> {
        // A place that is none lies behind all others.
        self.contexts.get(observation.context as usize)
    }

    /// Addresses that service records (SVCB, HTTPS) suggest: a client may try them before it has
    /// asked for the real ones (RFC 9460 section 7.3).
    #[must_use]
    pub fn hints(&self, context: &Context) -> &[IpAddr] {
        slice(&self.hints, context.hints)
    }

    /// Responses with addresses inside a network, in packet order.
    #[must_use]
    pub fn insides(&self) -> &[Inside] {
        &self.insides
    }

    /// The name that was asked for there, and where its registrable domain begins, in wire form.
    #[must_use]
    pub fn name_inside(&self, inside: &Inside) -> (&[u8], &[u8]) {
        let asked = self.name(inside.asked);
        (asked, asked.get(usize::from(inside.domain_at)..).unwrap_or(&[0]))
    }

    /// A name in lower-case uncompressed wire form.
    #[must_use]
    pub fn name(&self, span: NameSpan) -> &[u8] {
        let at = span.at as usize;
        self.names.get(at..at + usize::from(span.len)).unwrap_or(&[0])
    }

    /// The registrable domain of `observation`, in wire form.
    #[must_use]
    pub fn domain(&self, observation: &Observation) -> &[u8] {
        self.name(observation.asked).get(usize::from(observation.domain_at)..).unwrap_or(&[0])
    }

    /// Moves everything from `other` to the end of this batch, and empties it.
    pub fn append(&mut self, other: &mut Self) {
        let [items, addresses, servers, glue, names, hints, contexts] = [
            self.items.len(),
            self.addresses.len(),
            self.servers.len(),
            self.glue.len(),
            self.names.len(),
            self.hints.len(),
            self.contexts.len(),
        ]
        .map(|len| len as u32);
        let moved = |span: NameSpan| NameSpan { at: span.at + names, ..span };
        let shifted = |range: Range, by| Range { from: range.from + by, to: range.to + by };
        self.names.extend_from_slice(&other.names);
        self.addresses.extend_from_slice(&other.addresses);
        self.glue.extend_from_slice(&other.glue);
        self.hints.extend_from_slice(&other.hints);
        let context = |c: &Context| Context { hints: shifted(c.hints, hints), ..*c };
        self.contexts.extend(other.contexts.iter().map(context));
        self.servers.extend(other.servers.iter().map(|server| Server {
            name: moved(server.name),
            glue: shifted(server.glue, glue),
            ..*server
        }));
        self.items.extend(other.items.iter().map(|o| Observation {
            asked: moved(o.asked),
            host: moved(o.host),
            terminal: moved(o.terminal),
            addresses: shifted(o.addresses, addresses),
            servers: shifted(o.servers, servers),
            context: if o.context == CONTEXT_NONE { o.context } else { o.context + contexts },
            ..*o
        }));
        let reached = self.times.len() as u32;
        self.insides.extend(other.insides.iter().map(|inside| Inside {
            place: (inside.place.0 + items, reached),
            asked: moved(inside.asked),
            ..*inside
        }));
        other.clear();
    }

    /// Empties the batch and keeps its buffers.
    pub fn clear(&mut self) {
        let Self { items, addresses, servers, glue, hints, contexts, insides, names, times } = self;
        items.clear();
        addresses.clear();
        servers.clear();
        glue.clear();
        hints.clear();
        contexts.clear();
        insides.clear();
        names.clear();
        times.clear();
    }

    pub(crate) fn push_name_of(&mut self, name: &NameRef<'_>) -> NameSpan {
        let at = self.names.len() as u32;
        name.append_to(&mut self.names);
        NameSpan { at, len: name.wire_len() as u8 }
    }

    /// Keeps a context, unless there is nothing in it; its position.
    pub(crate) fn push_context(&mut self, context: Context) -> u32 {
        let is_empty = context.hints.from == context.hints.to;
        if is_empty && context.client_subnet.is_none() && context.synthesised == 0 {
            return CONTEXT_NONE;
        }
        self.contexts.push(context);
        (self.contexts.len() - 1) as u32
    }

    /// Keeps that a name was answered with an address inside a network.
    pub(crate) fn push_inside(
        &mut self,
        at: Timestamp,
        domain_hash: u64,
        (asked, domain_at): (NameSpan, usize),
        ends: &Ends,
        address: Address,
    ) {
        let place = (self.items.len() as u32, self.times.len() as u32);
        let domain_at = domain_at as u8;
        let (responder, client) = (ends.source, ends.destination);
        let inside =
            Inside { place, at, domain_hash, asked, domain_at, responder, client, address };
        self.insides.push(inside);
    }
}

fn slice<T>(list: &[T], range: Range) -> &[T] {
    list.get(range.from as usize..range.to as usize).unwrap_or(&[])
}
