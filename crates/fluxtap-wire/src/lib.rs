//! Bytes from the network to typed views: link layers, tunnels, IP, UDP, TCP, DNS messages.
//!
//! Everything here is pure and borrows its input: no allocation, no clock, no I/O. Hostile bytes
//! give a countable reason, never a panic, and every loop is bounded by a named limit or takes bytes
//! off the packet.
//!
//! The key decision is our own walker for DNS messages ([`dns`]): it reads every record of every
//! section and treats an unknown type as data, where the usual parsers reject the whole message.
//!
//! Apart from that stands [`shown`]: how text from outside is shown to a person.
//!
//! What it does not do: put fragments or TCP streams together, or judge what an answer means.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

mod bits;
pub mod carried;
pub mod dns;
pub mod edns;
pub mod layers;
pub mod name;
pub mod nat64;
pub mod packet;
pub mod service;
pub mod shown;

pub use carried::{Carried, Datagram, Ends, Fragment, Segment, Tunnel, TunnelKind};
pub use dns::{
    DataKind, Header, Malformed, Message, Question, Rdata, Record, RecordHead, Rtype, Section, Walk,
};
pub use edns::ClientSubnet;
pub use layers::{Layers, PacketEnd, Ports, TunnelPorts};
pub use name::{Name, NamePosition, NameRef};
pub use nat64::Prefix64;
pub use packet::{LinkType, Packet, Timestamp};
pub use service::AddressHints;
