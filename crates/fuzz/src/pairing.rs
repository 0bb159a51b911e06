//! Queries, responses and copies of them, told as a story: `[settings, steps...]`.
//!
//! Every response with a question counts in one way. With a few queries, so that none has to make
//! room, each verdict is that of naive maps.

use crate::HASH_KEY;
use crate::script::Script;
use fluxtap_flow::{FlowSettings, Gate, Pairing, Verdict};
use fluxtap_wire::{Datagram, Ends, Message, Timestamp};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

const LIFETIME_S: u32 = 10;
const WINDOW_MS: u32 = 500;

/// See the module's head.
pub fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(settings) = script.byte() else { return };
    let is_small = settings & 8 != 0;
    let settings = FlowSettings {
        pairing: [Pairing::Auto, Pairing::Require, Pairing::Ignore][usize::from(settings & 3) % 3],
        queries_max: if is_small { 8 } else { 4_096 },
        query_lifetime_s: LIFETIME_S,
        duplicate_window_ms: if settings & 4 == 0 { WINDOW_MS } else { 0 },
        duplicates_max: if is_small { 8 } else { 4_096 },
        ..FlowSettings::default()
    };
    let mut story = Story {
        gate: Gate::new(&settings, HASH_KEY),
        settings,
        model: (!is_small).then(Model::default),
        now: Timestamp::from_secs(1_000),
        counted: 0,
    };
    while let Some(step) = script.byte() {
        if story.step(step, &mut script).is_none() {
            break;
        }
    }
}

struct Story {
    gate: Gate,
    settings: FlowSettings,
    /// Where no table is so small that it overflows.
    model: Option<Model>,
    now: Timestamp,
    /// Responses that were looked up.
    counted: u64,
}

/// A query that was seen.
struct Query {
    asked_us: u64,
    payload: Vec<u8>,
    /// When its response was seen last, in milliseconds, and all bytes of that.
    response: Option<(u64, Vec<u8>)>,
}

/// What was seen, by all that tells it from others.
#[derive(Default)]
struct Model {
    queries: BTreeMap<(u8, Vec<u8>), Query>,
    /// When a message without a query was seen last, in milliseconds.
    messages: BTreeMap<(u8, Vec<u8>), u64>,
}

impl Story {
    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        match step & 7 {
            0..=3 => self.message(step, script),
            // A few milliseconds, and more than any window and lifetime.
            4 => {
                self.now.0 += u64::from(script.byte()?) * 10_000_000;
                Some(())
            }
            5 => {
                self.now = self.now.plus_secs(u64::from(script.byte()?));
                Some(())
            }
            6 => self.traffic(step, script),
            _ => {
                let count = usize::from(script.byte()?);
                self.judge(step, script.take(count));
                Some(())
            }
        }
    }

    /// One of a few messages: a query, or a response with one of a few answers.
    fn message(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        let [flags, content] = [script.byte()?, script.byte()?];
        let message = message(flags & 1 != 0, content >> 6, content & 1, flags >> 6 & 1);
        self.judge(step, &message);
        Some(())
    }

    /// So much of it that it shows whether queries are visible: pairs, or responses alone.
    fn traffic(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        let [count, kind] = [script.byte()?, script.byte()?];
        for _ in 0..count {
            self.now.0 += Timestamp::SECOND;
            for is_response in [false, true] {
                if is_response || kind & 1 == 0 {
                    self.judge(step, &message(is_response, 0, 0, 0));
                }
            }
        }
        Some(())
    }

    fn judge(&mut self, step: u8, payload: &[u8]) {
        let is_response = payload.get(2).is_some_and(|flags| flags & 0x80 != 0);
        let client = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, step >> 6 & 1)), 40_000);
        let server = (IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9)), 53);
        let (from, to) = if is_response { (server, client) } else { (client, server) };
        let datagram = Datagram {
            ends: Ends { source: from.0, destination: to.0, vlan: 0, tunnel: None },
            source_port: from.1,
            destination_port: to.1,
            is_tcp: step & 0x80 != 0,
            payload,
            is_cut: false,
        };
        let Ok(message) = Message::new_checked(payload) else { return };
        let was_visible = self.gate.queries_visible() == Some(true);
        let before = self.gate.counts();
        let verdict = self.gate.judge(self.now, self.now, &datagram, &message);
        let after = self.gate.counts();
        let found = [
            after.paired - before.paired,
            after.lacking - before.lacking,
            after.answered_before - before.answered_before,
        ];
        self.counted += found.iter().sum::<u64>();
        assert!(found.iter().sum::<u64>() <= u64::from(is_response), "{found:?}");
        assert_eq!(self.gate.response_times().len(), after.paired);
        match verdict {
            Verdict::Use => assert_eq!(found[2], 0),
            Verdict::Duplicate => assert_eq!(found, [0; 3]),
            Verdict::Unsolicited => {
                assert!(found == [0, 0, 1] || found == [0, 1, 0] && was_visible, "{found:?}");
            }
        }
        let Some(model) = &mut self.model else { return };
        // Of messages with other than one question the flags and the count of questions change places
        // unseen: they carry no evidence, and are told apart well enough.
        if message.header().counts[0] != 1 {
            return;
        }
        if after.queries_evicted > 0 || after.duplicates_evicted > 0 {
            self.model = None;
            return;
        }
        let expected =
            model.judge(step >> 6, self.now, payload, &self.settings, was_visible, verdict);
        match expected {
            Some(expected) => assert_eq!(verdict, expected, "{payload:02x?}"),
            None => self.model = None,
        }
    }
}

impl Model {
    /// The verdict that is right; `None` where hashes of a few bits took two messages for one.
    fn judge(
        &mut self,
        way: u8,
        now: Timestamp,
        payload: &[u8],
        settings: &FlowSettings,
        is_visible: bool,
        verdict: Verdict,
    ) -> Option<Verdict> {
        let message = Message::new_checked(payload).ok()?;
        let header = message.header();
        let window_ms = u64::from(settings.duplicate_window_ms);
        let question = message.question_octets().filter(|_| header.opcode() == 0);
        let question = question.filter(|_| settings.pairing != Pairing::Ignore);
        let key = question.map(|question| (way, [&payload[..2], question].concat()));
        let (now_us, now_ms) = (now.0 / 1_000, now.millis());
        if let Some(key) = key.clone().filter(|_| !header.is_response()) {
            if let Some(query) = self.queries.get(&key)
                && window_ms > 0
                && now_us - query.asked_us <= window_ms * 1_000
            {
                // Other bytes beside id and question are told apart nearly always.
                return (query.payload == payload).then_some(Verdict::Duplicate);
            }
            let query = Query { asked_us: now_us, payload: payload.to_vec(), response: None };
            self.queries.insert(key, query);
            return Some(Verdict::Use);
        }
        let query = key.as_ref().and_then(|key| self.queries.get_mut(key));
        let lifetime_us = u64::from(LIFETIME_S) * 1_000_000;
        if let Some(query) = query.filter(|query| now_us - query.asked_us <= lifetime_us) {
            let Some((seen_ms, response)) = &mut query.response else {
                query.response = Some((now_ms, payload.to_vec()));
                let took_us = now_us - query.asked_us;
                let is_unusual = took_us == 0 || took_us > window_ms * 1_000;
                let is_copy =
                    is_unusual && is_copy(&mut self.messages, way, payload, now_ms, window_ms);
                return Some(if is_copy { Verdict::Duplicate } else { Verdict::Use });
            };
            let is_near = window_ms > 0 && now_ms - *seen_ms <= window_ms;
            if is_near && response != payload {
                // Told apart nearly always, too.
                return (verdict == Verdict::Unsolicited).then_some(verdict);
            }
            if is_near {
                *seen_ms = now_ms;
            }
            return Some(if is_near { Verdict::Duplicate } else { Verdict::Unsolicited });
        }
        if is_copy(&mut self.messages, way, payload, now_ms, window_ms) {
            return Some(Verdict::Duplicate);
        }
        Some(if key.is_some() && is_visible { Verdict::Unsolicited } else { Verdict::Use })
    }
}

/// Whether a message came just before; it is noted.
fn is_copy(
    messages: &mut BTreeMap<(u8, Vec<u8>), u64>,
    way: u8,
    payload: &[u8],
    now_ms: u64,
    window_ms: u64,
) -> bool {
    let before = messages.insert((way, payload.to_vec()), now_ms);
    window_ms > 0 && before.is_some_and(|before| now_ms - before <= window_ms)
}

/// A query for the address of a name, or a response to it.
fn message(is_response: bool, id: u8, name: u8, answer: u8) -> Vec<u8> {
    let flags = if is_response { 0x81 } else { 0x01 };
    let mut message = vec![0, id, flags, 0, 0, 1, 0, u8::from(is_response), 0, 0, 0, 0];
    message.extend([1, b'a' + name, 7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0, 0, 1, 0, 1]);
    if is_response {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 198, 51, 100, answer]);
    }
    message
}
