//! Times as lists write them.

use fluxtap_intel::Day;

/// Seconds since the epoch of `2026-11-22`, `2026-11-22 13:00:00`, with `T`, `UTC`, `Z` or a fraction
/// too, or of a number of seconds; another zone than UTC is not read.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    if !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (day, rest) = (Day::parse(text.get(..10)?)?, text.get(10..)?);
    let start_s = u64::from(day.0) * 86_400;
    let clock = rest.trim_start_matches(['T', 't', ' ']);
    let clock = clock.trim_end_matches("UTC").trim_end_matches(['Z', 'z', ' ']);
    if clock.is_empty() {
        return Some(start_s);
    }
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let mut parts = clock.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = parts.next().unwrap_or(Some(0))?;
    let is_clock = hours < 24 && minutes < 60 && seconds <= 60;
    is_clock.then_some(start_s + 3_600 * hours + 60 * minutes + seconds)
}

/// The end of what holds until a time: the end of the day, where only a day is said.
pub(crate) fn end(text: &str) -> Option<u64> {
    let text = text.trim();
    match Day::parse(text) {
        Some(day) => Some((u64::from(day.0) + 1) * 86_400),
        None => seconds(text),
    }
}

/// When a list was made, by a comment in its head such as `# Last updated: 2026-11-22 13:00 UTC`.
pub(crate) fn of_comment(comment: &str) -> Option<u64> {
    const WORDS: [&str; 5] = ["updated", "modified", "generated", "created", "date"];
    let lower = comment.to_ascii_lowercase();
    if !WORDS.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let begins = comment.match_indices("20").filter_map(|(at, _)| comment.get(at..));
    let mut days = begins.filter(|rest| rest.get(..10).is_some_and(|d| Day::parse(d).is_some()));
    let rest = days.next()?;
    let clock = rest.get(..19).and_then(seconds);
    clock.or_else(|| rest.get(..10).and_then(seconds))
}

/// When a zone was made, by its serial: `YYYYMMDDnn` as is usual, or seconds since the epoch.
pub(crate) fn of_serial(serial: &str) -> Option<u64> {
    /// 2001-09-09, before which there were no policy zones.
    const SECONDS_MIN: u64 = 1_000_000_000;
    if serial.len() != 10 || !serial.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = (serial.get(..4)?, serial.get(4..8)?);
    let day = Day::parse(&format!("{year}-{}-{}", rest.get(..2)?, rest.get(2..)?));
    // As seconds, what looks like a day of these years is in the years from 2033 on.
    match day.filter(|_| serial.starts_with("20")) {
        Some(day) => Some(u64::from(day.0) * 86_400),
        None => serial.parse().ok().filter(|&s| s >= SECONDS_MIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 20_779 * 86_400;

    #[test]
    fn times_are_read() {
        for (text, expect) in [
            ("2026-11-22", Some(DAY_S)),
            ("2026-11-22T13:00:00Z", Some(DAY_S + 46_800)),
            ("2026-11-22T13:00:00.123456Z", Some(DAY_S + 46_800)),
            ("2026-11-22 13:00:05 UTC", Some(DAY_S + 46_805)),
            ("2026-11-22 13:00", Some(DAY_S + 46_800)),
            ("1795352400", Some(1_795_352_400)),
            ("2026-11-22T13:00:00+01:00", None),
            ("2026-11-22T25:00:00Z", None),
            ("2026-13-22", None),
            ("tomorrow", None),
            ("17953524001", None),
            ("2026-11-2\u{fc}", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expect, "{text}");
        }
        assert_eq!(end("2026-11-22"), Some(DAY_S + 86_400), "to the end of the day");
        assert_eq!(end("2026-11-22 13:00:00"), Some(DAY_S + 46_800));
    }

    #[test]
    fn lists_say_when_they_were_made() {
        for (text, expect) in [
            ("# Last updated: 2026-11-22 13:00:00 UTC  #", Some(DAY_S + 46_800)),
            ("# Generated on 2026-11-22", Some(DAY_S)),
            ("# DATE: 2026-11-22T13:00:00Z", Some(DAY_S + 46_800)),
            ("# Copyright 2020-2026, updated on 2026-11-22", Some(DAY_S)),
            ("# (c) 2026-11-22", None),
            ("# updated daily", None),
        ] {
            assert_eq!(of_comment(text), expect, "{text}");
        }
        assert_eq!(of_serial("2026112207"), Some(DAY_S));
        assert_eq!(of_serial("1795352400"), Some(1_795_352_400));
        assert_eq!(of_serial("42"), None);
        assert_eq!(of_serial("2026139901"), Some(2_026_139_901), "no day, so seconds");
    }
}
