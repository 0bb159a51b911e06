//! What can be set, with its limits and defaults.

/// What a response without a visible query is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pairing {
    /// It builds no state where queries are visible, which is learnt from the traffic.
    #[default]
    Auto,
    /// It never builds state.
    Require,
    /// Queries are not looked at.
    Ignore,
}

/// Settings of reassembly, pairing and duplicates. Numbers beyond what a table can have are read as
/// the nearest that it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowSettings {
    /// What a response without a visible query is worth.
    pub pairing: Pairing,
    /// Queries that can wait for their response at a time, 21 bytes each.
    pub queries_max: usize,
    /// How long a query waits, in seconds of event time.
    pub query_lifetime_s: u32,
    /// How long after a datagram its copy is still known as one, in milliseconds of event time; 0
    /// lets copies count.
    pub duplicate_window_ms: u32,
    /// Datagrams remembered to know their copies, of those that have no pair, 13 bytes each.
    pub duplicates_max: usize,
    /// Limits of the packets that arrive in fragments; the time is counted from the first one.
    pub fragments: TableLimits,
    /// Limits of the TCP streams, each way its own; the time is counted from the last segment.
    pub streams: TableLimits,
}

/// Limits of a table. No source of packets gets more than an eighth of the entries and the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLimits {
    /// Most entries.
    pub entries_max: usize,
    /// Most bytes, what is held and what it takes to hold it.
    pub bytes_max: usize,
    /// How long an entry lives, in seconds of event time.
    pub lifetime_s: u32,
}

impl Default for FlowSettings {
    /// Three times what a mirror of 100,000 queries a second with a tenth of a second to the
    /// response needs; at most 38 MiB in all.
    fn default() -> Self {
        Self {
            pairing: Pairing::Auto,
            // Unanswered ones stay for their lifetime: at 100,000 queries a second a quarter of
            // them may go unanswered.
            queries_max: 1 << 18,
            // Resolvers and stubs give up between 2 and 10 s.
            query_lifetime_s: 10,
            // Mirrors deliver copies within milliseconds, captures of two taps within what their
            // clocks differ; clients repeat a query after a second at the earliest (RFC 1035
            // section 4.2.1 asks for 2 to 5 s), and such a repetition is a query again.
            duplicate_window_ms: 500,
            duplicates_max: 1 << 17,
            fragments: TableLimits {
                entries_max: 8_192,
                bytes_max: 16 << 20,
                // RFC 1122 section 3.3.2 asks hosts for 60 s, Linux waits for 30; pieces that get
                // to a tap do so within milliseconds.
                lifetime_s: 30,
            },
            // Shorter than the lateness of a replay, so that what is left of a stream is not late.
            streams: TableLimits { entries_max: 16_384, bytes_max: 16 << 20, lifetime_s: 30 },
        }
    }
}
