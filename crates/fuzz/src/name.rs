//! A name outside a message, in wire form and as text.
//!
//! A name written as text is the same name when it is read again; what is shown of it has nothing
//! that could move a cursor, and is no wider than was asked for.

use fluxtap_intel::suffix;
use fluxtap_wire::name::{NAME_OCTETS_MAX, is_at_or_below, labels};
use fluxtap_wire::shown::{CUT_MARK, columns, escaped, shown, shown_name};
use fluxtap_wire::{Message, Name};

/// See the module's head.
pub fn run(bytes: &[u8]) {
    if let Some(name) = Name::from_wire(bytes) {
        assert!(name.as_wire().eq_ignore_ascii_case(bytes));
        check(&name);
        in_a_message(bytes, &name);
    }
    let text = String::from_utf8_lossy(bytes);
    if let Some(name) = Name::from_text(&text) {
        check(&name);
    }
    check_shown(&text);
}

fn check(name: &Name) {
    let wire = name.as_wire();
    assert!((1..=NAME_OCTETS_MAX).contains(&wire.len()));
    assert!(!wire.iter().any(u8::is_ascii_uppercase));
    let text = name.to_string();
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    assert_eq!(Name::from_text(&text), Some(*name), "{text}");
    assert_eq!(Name::from_wire(wire), Some(*name), "{text}");
    // All that the name lies below, itself first.
    let mut at = 0;
    let mut pushed = Name::root();
    for label in labels(wire) {
        assert!(is_at_or_below(wire, &wire[at..]), "{text} at {at}");
        assert!(at == 0 || !is_at_or_below(&wire[at..], wire), "{text} at {at}");
        at += 1 + label.len();
        assert!(pushed.push_label(label));
    }
    assert_eq!((at + 1, pushed), (wire.len(), *name));
    assert!(is_at_or_below(wire, &[0]));
    check_suffix(wire);
    assert!(columns(&shown_name(wire, 30)) <= 30);
}

/// The registrable domain is one label and the public suffix, and its own registrable domain.
fn check_suffix(wire: &[u8]) {
    let suffix = suffix::suffix_of(wire);
    assert_eq!(suffix.is_none(), wire == [0], "{wire:?}");
    let Some(at) = suffix::registrable(wire) else {
        assert!(suffix.is_none_or(|suffix| suffix.at == 0), "{wire:?}");
        return;
    };
    let suffix_at = suffix.expect("what is registrable has a suffix").at;
    assert_eq!(at + 1 + usize::from(wire[at]), suffix_at, "{wire:?}");
    assert_eq!(suffix::registrable(&wire[at..]), Some(0), "{wire:?}");
    assert_eq!(suffix::registrable(&wire[suffix_at..]), None, "{wire:?}");
}

/// The same name as the question of a message.
fn in_a_message(bytes: &[u8], name: &Name) {
    let message = [&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], bytes, &[0, 1, 0, 1]].concat();
    let message = Message::new_checked(&message).expect("a header");
    let question = message.walk().next_question().expect("a sound name").expect("a question");
    assert_eq!(question.qname.to_name(), *name);
    assert!(question.qname.is_wire(name.as_wire()));
    assert_eq!(message.question_octets(), Some(&[bytes, &[0, 1, 0, 1]].concat()[..]));
}

fn check_shown(text: &str) {
    let whole = escaped(text);
    assert!(!whole.chars().any(char::is_control), "{whole:?}");
    assert_eq!(escaped(&whole), whole, "nothing is left to escape");
    for columns_max in [0, 3, 8, 80] {
        let short = shown(text, columns_max);
        assert!(columns(&short) <= columns_max.max(CUT_MARK.len()), "{short:?}");
        let kept = short.strip_suffix(CUT_MARK).unwrap_or(&short);
        assert!(whole.starts_with(kept), "{short:?} of {whole:?}");
    }
}
