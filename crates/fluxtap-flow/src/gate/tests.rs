//! Messages told one by one.

use super::*;
use crate::testing::{Dice, ends, query, response};
use Verdict::{Duplicate, Unsolicited, Use};
use fluxtap_wire::Ends;

const CLIENT: u32 = 0x0a00_0001;
const SERVER: u32 = 0x0808_0808;

fn gate(pairing: Pairing) -> Gate {
    Gate::new(&FlowSettings { pairing, ..FlowSettings::default() }, 7)
}

/// A message from the client's port 4000 or from port 53 of the server.
fn datagram(payload: &[u8]) -> Datagram<'_> {
    let is_response = payload[2] & 0x80 != 0;
    let (source, destination) = if is_response { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
    let (source_port, destination_port) = if is_response { (53, 4_000) } else { (4_000, 53) };
    let ends = ends(source, destination);
    Datagram { ends, source_port, destination_port, is_tcp: false, payload, is_cut: false }
}

fn judge(gate: &mut Gate, at_ms: u64, datagram: &Datagram<'_>) -> Verdict {
    let at = Timestamp::from_secs(1_000);
    let at = Timestamp(at.0 + at_ms * 1_000_000);
    let message = Message::new_checked(datagram.payload).expect("a header");
    gate.judge(at, at, datagram, &message)
}

#[test]
fn a_response_needs_its_query() {
    let asked = query(7, "Www.Example.com");
    let answer = response(7, "Www.Example.com", 2);
    let base = datagram(&answer);
    let with = |change: &dyn Fn(&mut Datagram<'_>)| {
        let mut datagram = base;
        change(&mut datagram);
        datagram
    };
    let (other_id, other_case, other_name) = (
        response(8, "Www.Example.com", 2),
        response(7, "www.example.com", 2),
        response(7, "Www.Example.org", 2),
    );
    let mut other_type = answer.clone();
    other_type[30] = 28;
    let rows: &[(&str, Datagram<'_>, Verdict)] = &[
        ("the answer", base, Use),
        ("another id", datagram(&other_id), Unsolicited),
        ("another case", datagram(&other_case), Unsolicited),
        ("another name", datagram(&other_name), Unsolicited),
        ("another type", datagram(&other_type), Unsolicited),
        ("another port", with(&|d| d.destination_port = 4_001), Unsolicited),
        ("another server's port", with(&|d| d.source_port = 54), Unsolicited),
        ("another server", with(&|d| d.ends = ends(SERVER + 1, CLIENT)), Unsolicited),
        ("another client", with(&|d| d.ends = ends(SERVER, CLIENT + 1)), Unsolicited),
        ("over TCP", with(&|d| d.is_tcp = true), Unsolicited),
        ("another VLAN", with(&|d| d.ends = Ends { vlan: 9, ..d.ends }), Use),
    ];
    for (what, datagram_of_row, expected) in rows {
        let mut gate = gate(Pairing::Require);
        assert_eq!(judge(&mut gate, 0, &datagram(&asked)), Use, "{what}");
        assert_eq!(judge(&mut gate, 20, datagram_of_row), *expected, "{what}");
        let is_paired = *expected == Use;
        assert_eq!(gate.counts().paired, u64::from(is_paired), "{what}");
        assert_eq!(gate.response_times().len(), u64::from(is_paired), "{what}");
        if is_paired {
            assert!((20_000..20_200).contains(&gate.response_times().max()));
        }
        // Where nobody looks, it is used in any case.
        assert_eq!(judge(&mut self::gate(Pairing::Ignore), 0, datagram_of_row), Use, "{what}");
    }
}

#[test]
fn a_second_answer_is_poison_or_a_copy() {
    for pairing in [Pairing::Auto, Pairing::Require] {
        let mut gate = gate(pairing);
        let (asked, answer) = (query(7, "a.example"), response(7, "a.example", 2));
        let poison = response(7, "a.example", 3);
        assert_eq!(judge(&mut gate, 0, &datagram(&asked)), Use);
        assert_eq!(judge(&mut gate, 9, &datagram(&answer)), Use);
        assert_eq!(judge(&mut gate, 10, &datagram(&answer)), Duplicate);
        assert_eq!(judge(&mut gate, 11, &datagram(&poison)), Unsolicited);
        // Asked again, it is answered again.
        assert_eq!(judge(&mut gate, 2_000, &datagram(&asked)), Use);
        assert_eq!(judge(&mut gate, 2_009, &datagram(&answer)), Use);
        let counts = gate.counts();
        assert_eq!((counts.paired, counts.answered_before, counts.lacking), (2, 1, 0));
    }
}

/// Its query may be forgotten before its copies come, and a copy may come before its query.
#[test]
fn a_copy_of_a_slow_or_an_early_response_is_known() {
    let (asked, answer) = (query(7, "a.example"), response(7, "a.example", 2));
    let mut slow = gate(Pairing::Auto);
    assert_eq!(judge(&mut slow, 0, &datagram(&asked)), Use);
    assert_eq!(judge(&mut slow, 600, &datagram(&answer)), Use);
    for id in 100..5_000 {
        assert_eq!(judge(&mut slow, 601, &datagram(&query(id, "b.example"))), Use);
    }
    assert_eq!(judge(&mut slow, 700, &datagram(&answer)), Duplicate);
    assert_eq!(slow.counts().lacking, 0);
    let mut early = gate(Pairing::Auto);
    assert_eq!(judge(&mut early, 0, &datagram(&answer)), Use, "queries are not visible yet");
    assert_eq!(judge(&mut early, 1, &datagram(&asked)), Use);
    assert_eq!(judge(&mut early, 1, &datagram(&answer)), Duplicate);
}

/// As a resolver asks again that got no use out of the first answer.
#[test]
fn a_query_with_other_options_is_no_copy() {
    let mut gate = gate(Pairing::Require);
    let (asked, answer) = (query(7, "a.example"), response(7, "a.example", 2));
    let mut again = asked.clone();
    again[11] = 1;
    again.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    let other = response(7, "a.example", 3);
    let told = [&asked, &asked, &answer, &again, &again, &other].into_iter().zip(0..);
    let told = told.map(|(payload, ms)| judge(&mut gate, ms, &datagram(payload)));
    assert_eq!(told.collect::<Vec<_>>(), [Use, Duplicate, Use, Use, Duplicate, Use]);
}

#[test]
fn messages_without_one_question_are_nobodys_business() {
    let mut gate = gate(Pairing::Require);
    let mut none = response(1, "a.example", 1);
    none[5] = 0;
    let mut two = response(2, "a.example", 1);
    two[5] = 2;
    let mut update = response(3, "a.example", 1);
    update[2] = 0xa8;
    let mut pointer = response(4, "a.example", 1);
    pointer[12] = 0xc0;
    for payload in [&none, &two, &update, &pointer] {
        assert_eq!(judge(&mut gate, 0, &datagram(payload)), Use, "{payload:?}");
    }
}

#[test]
fn copies_are_known_for_a_short_while() {
    let answer = response(7, "a.example", 2);
    let base = datagram(&answer);
    let tagged = Datagram { ends: Ends { vlan: 5, ..base.ends }, ..base };
    let elsewhere = Datagram { ends: ends(SERVER, CLIENT + 1), ..base };
    let mut changed = answer.clone();
    *changed.last_mut().expect("a byte") ^= 1;
    let mut longer = answer.clone();
    longer.push(0);
    let rows: &[(&str, u64, Datagram<'_>, Verdict)] = &[
        ("at once", 0, base, Duplicate),
        ("on another VLAN", 3, tagged, Duplicate),
        ("within the window", 500, base, Duplicate),
        ("behind the window", 501, base, Use),
        ("to somebody else", 1, elsewhere, Use),
        ("other bytes", 1, datagram(&changed), Use),
        ("more bytes", 1, datagram(&longer), Use),
    ];
    for (what, later_ms, second, expected) in rows {
        let mut gate = gate(Pairing::Ignore);
        assert_eq!(judge(&mut gate, 1_000, &base), Use);
        assert_eq!(judge(&mut gate, 1_000 + later_ms, second), *expected, "{what}");
        // The order in which two taps deliver does not matter.
        let mut gate = self::gate(Pairing::Ignore);
        assert_eq!(judge(&mut gate, 1_000 + later_ms, second), Use);
        assert_eq!(judge(&mut gate, 1_000, &base), *expected, "{what}");
    }
    let settings = FlowSettings { duplicate_window_ms: 0, ..FlowSettings::default() };
    let mut gate = Gate::new(&settings, 7);
    for _ in 0..3 {
        assert_eq!(judge(&mut gate, 0, &base), Use, "switched off");
    }
}

/// A mirror that delivers each packet twice, and one that does so a little later.
#[test]
fn a_doubled_mirror_is_as_good_as_a_single_one() {
    for delay in [0, 1] {
        let mut gate = gate(Pairing::Auto);
        let mut verdicts = [0; 3];
        for id in 0..2_000_u16 {
            let (asked, answer) = (query(id, "a.example"), response(id, "a.example", 2));
            let at = u64::from(id) * 10;
            for (at, payload) in
                [(at, &asked), (at + delay, &asked), (at + 2, &answer), (at + 2 + delay, &answer)]
            {
                verdicts[judge(&mut gate, at, &datagram(payload)) as usize] += 1;
            }
        }
        assert_eq!(verdicts, [4_000, 4_000, 0]);
        assert_eq!(gate.queries_visible(), Some(true));
    }
}

#[test]
fn without_queries_everything_is_used() {
    let mut gate = gate(Pairing::Auto);
    for id in 0..5_000_u16 {
        let answer = response(id, "a.example", 2);
        assert_eq!(judge(&mut gate, u64::from(id) * 10, &datagram(&answer)), Use);
    }
    assert_eq!(gate.queries_visible(), Some(false));
}

/// Real queries and responses among forged ones from everywhere, once queries are visible.
#[test]
fn forged_messages_neither_pass_nor_hinder() {
    let mut gate = gate(Pairing::Auto);
    let mut dice = Dice(1);
    let mut forged_used = 0;
    for id in 0..20_000_u32 {
        let at_ms = u64::from(id) * 5;
        let (asked, answer) = (query(id as u16, "a.example"), response(id as u16, "a.example", 2));
        assert_eq!(judge(&mut gate, at_ms, &datagram(&asked)), Use);
        for _ in 0..if id > 4_000 { 20 } else { 0 } {
            let forged = response(dice.next() as u16, "a.example", 4);
            let source = ends(dice.next() as u32, CLIENT);
            let forged = Datagram { ends: source, ..datagram(&forged) };
            forged_used += u32::from(judge(&mut gate, at_ms, &forged) == Use);
            let question = query(dice.next() as u16, "b.example");
            let question =
                Datagram { ends: ends(dice.next() as u32, SERVER), ..datagram(&question) };
            judge(&mut gate, at_ms, &question);
        }
        assert_eq!(judge(&mut gate, at_ms + 4, &datagram(&answer)), Use, "{id}");
    }
    assert_eq!(forged_used, 0);
    let counts = gate.counts();
    assert_eq!((counts.paired, counts.visibility_changes), (20_000, 1), "{counts:?}");
}
