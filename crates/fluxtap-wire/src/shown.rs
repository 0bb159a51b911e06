//! Text for a person: the one place that decides which characters may reach a terminal.
//!
//! Names from the wire, holders from a registry, file names and reasons are written by others.
//! What could move a cursor, forge a line, hide, or turn the direction of writing is shown as its
//! escape; letters of every script pass.

use crate::name::WireText;

/// What stands at the end of a text that was cut.
pub const CUT_MARK: &str = "...";

/// Columns of a name in a line for a person, where nothing else is said.
pub const NAME_COLUMNS_MAX: usize = 80;

/// The text with every hostile character as `\u{HEX}`: control characters, which C1's and with them
/// all ANSI sequences are among, those that turn the direction of writing, and those without a
/// width.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The same in at most `columns_max` columns; [`CUT_MARK`] says that there was more. No escape is
/// cut in the middle.
#[must_use]
pub fn shown(text: &str, columns_max: usize) -> String {
    let mut shown = escaped(text);
    if columns(&shown) <= columns_max {
        return shown;
    }
    let kept = columns_max.saturating_sub(CUT_MARK.len());
    let at = shown.char_indices().nth(kept).map_or(shown.len(), |(at, _)| at);
    shown.truncate(escape_at(&shown, at).unwrap_or(at));
    shown.push_str(CUT_MARK);
    shown
}

/// A name in wire form, as [`WireText`] writes it, in at most `columns_max` columns.
#[must_use]
pub fn shown_name(wire: &[u8], columns_max: usize) -> String {
    shown(&WireText(wire).to_string(), columns_max)
}

/// Columns a text takes that was escaped: one a character.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Where the escape begins that a cut at `at` would go through: `\DDD` of a name or `\u{HEX}`.
fn escape_at(text: &str, at: usize) -> Option<usize> {
    let begin = text.get(..at)?.rfind('\\')?;
    let escape = text.get(begin..)?;
    let len = if escape.starts_with("\\u{") { escape.find('}')?.saturating_add(1) } else { 4 };
    (begin.saturating_add(len) > at).then_some(begin)
}

/// Whether a character does more on a screen than to take a place.
#[must_use]
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Direction of writing.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // No width, or one that no ink fills.
            | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
            // Ends of a line and of a paragraph.
            | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    #[test]
    fn hostile_characters_are_escaped_and_letters_pass() {
        for (text, expect) in [
            ("a b.pcap: größer", "a b.pcap: größer"),
            ("Telefónica, Ростелеком, 日本", "Telefónica, Ростелеком, 日本"),
            ("\x1b[2J\n", "\\u{1b}[2J\\u{a}"),
            ("\u{9b}31m\x7f\r\t", "\\u{9b}31m\\u{7f}\\u{d}\\u{9}"),
            ("\u{202e}gnp.exe", "\\u{202e}gnp.exe"),
            (
                "\u{2066}a\u{2069}\u{200e}\u{200f}\u{61c}",
                "\\u{2066}a\\u{2069}\\u{200e}\\u{200f}\\u{61c}",
            ),
            ("pay\u{200b}pal\u{feff}\u{200d}", "pay\\u{200b}pal\\u{feff}\\u{200d}"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("", ""),
        ] {
            assert_eq!(escaped(text), expect, "{text:?}");
        }
        for hostile in (0..=0x10_ffff).filter_map(char::from_u32).filter(|&c| is_hostile(c)) {
            let text = escaped(&hostile.to_string());
            assert!(text.is_ascii() && !text.contains(char::is_control), "{hostile:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_with_a_mark_and_between_escapes() {
        for (text, columns_max, expect) in [
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abc..."),
            ("größer als", 8, "größe..."),
            ("\u{1b}\u{1b}", 12, "\\u{1b}\\u{1b}"),
            ("\u{1b}\u{1b}", 11, "\\u{1b}..."),
            ("a\u{1b}\u{1b}", 9, "a..."),
            ("\\027\\027\\027", 11, "\\027\\027..."),
            ("\\027\\027\\027", 10, "\\027..."),
            ("x\\027\\027\\027", 7, "x..."),
            ("abc", 0, "..."),
            ("", 0, ""),
        ] {
            let got = shown(text, columns_max);
            assert_eq!(got, expect, "{text:?} in {columns_max}");
            assert!(columns(&got) <= columns_max.max(CUT_MARK.len()));
        }
    }

    #[test]
    fn names_from_the_wire_are_ascii() {
        let name = Name::from_text("\\027[2J\\226\\128\\174gpj.evil.test").expect("a name");
        let wire = name.as_wire();
        assert_eq!(shown_name(wire, 80), "\\027\\0912j\\226\\128\\174gpj.evil.test");
        assert_eq!(shown_name(wire, 20), "\\027\\0912j\\226...");
        assert_eq!(shown_name(&[0], 80), ".");
    }
}
