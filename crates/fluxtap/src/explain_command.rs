//! `fluxtap explain`: why a name alerted, or why not, from captures.
//!
//! The captures go through the same sensor as in `replay`, with the same settings, so what is
//! explained is what replay decides. One domain is followed on the way; at the end its windows are
//! reckoned once more with every part told.

mod follow;
mod json;
mod phrases;
mod story;
mod text;

use crate::cli;
use crate::console::{self, Exit};
use crate::inputs::Inputs;
use crate::output::{self, json_line};
use crate::replay::{Display, Files, interrupt_flag, read_all};
use crate::sensor::Sensor;
use clap::{Arg, ArgAction, ArgMatches, Command};
use fluxtap_capture::{Replay, ReplayOptions};
use fluxtap_config::Settings;
use fluxtap_engine::REPLAY_HASH_KEY;
use fluxtap_intel::{Day, suffix};
use fluxtap_wire::{Name, Timestamp};
use follow::{Follower, Until};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use story::Story;

/// Settings of `replay` that are about alert lines and mean nothing here.
pub(crate) const WITHOUT_FLAG: [&str; 6] = [
    "sensor.name",
    "alerts.min_severity",
    "privacy.clients",
    "privacy.client_key_file",
    "output.format",
    "output.stats",
];

/// The command without its settings.
pub(crate) fn command() -> Command {
    Command::new("explain")
        .about(
            "Tell why a name alerted, or why not: its windows, changes, terms, what was left out, \
             and what is missing to each threshold",
        )
        .arg(
            Arg::new("domain")
                .value_name("DOMAIN")
                .help("The name; of one below a registrable domain that domain is explained")
                .required(true),
        )
        .arg(
            cli::files_arg()
                .help("Captures and directories of them, as for replay; `-` is standard input"),
        )
        .arg(Arg::new("at").long("at").value_name("TIME").help(
            "As of this time of the packets: RFC 3339, as alerts have it, or seconds since the \
             epoch; by default when the name was seen last",
        ))
        .arg(
            Arg::new("json")
                .long("json")
                .help("One JSON object instead of text, with everything that is remembered")
                .action(ArgAction::SetTrue),
        )
}

/// What is asked about.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The name as it was given, lower-case wire form.
    name: Vec<u8>,
    /// Its registrable domain.
    domain: Vec<u8>,
}

impl Asked {
    fn parse(text: &str) -> Result<Self, String> {
        let hint = if text.is_ascii() { "" } else { "; write it in its ASCII form, xn--" };
        let name = Name::from_text(&text.to_ascii_lowercase()).filter(|_| text.is_ascii());
        let name = name.filter(|name| name.as_wire().len() > 1).ok_or_else(|| {
            format!("DOMAIN: got '{text}', expected a name such as www.example.com{hint}")
        })?;
        let name = name.as_wire();
        let domain = suffix::registrable(name).and_then(|at| name.get(at..)).ok_or_else(|| {
            format!(
                "DOMAIN: got '{text}', which is a public suffix, expected a domain registered \
                 below one; no other is ever judged"
            )
        })?;
        Ok(Self { name: name.to_vec(), domain: domain.to_vec() })
    }
}

/// A time as RFC 3339 or in seconds since the epoch, either with a fraction or without.
fn time(text: &str) -> Result<Timestamp, String> {
    let since_epoch = || {
        let (seconds, nanos) = fraction(text)?;
        nanoseconds(seconds.parse().ok()?, nanos)
    };
    since_epoch().or_else(|| rfc3339(text)).ok_or_else(|| {
        format!(
            "--at: got '{text}', expected a time such as 2026-03-02T08:04:22Z, \
             2026-03-02T09:04:22.5+01:00 or 1772438662"
        )
    })
}

/// What is before a decimal point, and nanoseconds behind it; digits alone.
fn fraction(text: &str) -> Option<(&str, u64)> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let nanos = format!("{:0<9}", part.get(..part.len().min(9))?).parse::<u64>().ok()?;
    (is_digits(whole) && is_digits(part)).then_some((whole, nanos))
}

/// `DATE T TIME [.FRACTION] Z|±HH:MM` (RFC 3339 section 5.6), a blank or `t` in place of the T.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = (rest.get(..at)?, rest.get(at..)?);
    let two = |text: &str| {
        let is_two = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| is_two)
    };
    let offset_s = match zone {
        "Z" | "z" => 0,
        zone => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let (hours, minutes) = (two(hours)?, two(minutes)?);
            let seconds = (hours < 24 && minutes < 60).then_some(3_600 * hours + 60 * minutes)?;
            if zone.starts_with('-') { -seconds } else { seconds }
        }
    };
    let mut parts = clock.splitn(3, ':');
    let (hours, minutes) = (two(parts.next()?)?, two(parts.next()?)?);
    let (seconds, nanos) = fraction(parts.next()?)?;
    let seconds = two(seconds)?;
    // A leap second is the first of the next minute.
    let is_clock = hours < 24 && minutes < 60 && seconds <= 60;
    let of_day = is_clock.then_some(3_600 * hours + 60 * minutes + seconds - offset_s)?;
    let seconds = 86_400 * i64::from(Day::parse(date)?.0) + of_day;
    nanoseconds(u64::try_from(seconds).ok()?, nanos)
}

fn nanoseconds(seconds: u64, nanos: u64) -> Option<Timestamp> {
    seconds.checked_mul(Timestamp::SECOND)?.checked_add(nanos).map(Timestamp)
}

/// What is asked and as of when. Not read by clap, whose mistakes repeat what they got as it is.
fn question(matches: &ArgMatches) -> Result<(Asked, Option<Timestamp>), String> {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let asked = Asked::parse(text("domain").unwrap_or_default())?;
    Ok((asked, text("at").map(time).transpose()?))
}

/// Reads the captures and explains the name.
pub(crate) fn run(matches: &ArgMatches, settings: &Settings) -> Exit {
    let (asked, until) = match question(matches) {
        Ok(question) => question,
        Err(mistake) => {
            console::error(&mistake);
            return Exit::Usage;
        }
    };
    let paths = matches.get_many::<PathBuf>("files").into_iter().flatten().cloned();
    let inputs = match Inputs::open(settings) {
        Ok(inputs) => Arc::new(inputs),
        Err(exit) => return exit,
    };
    let lateness_s = settings.replay_lateness_s;
    let follower = Follower::of(asked.domain.clone(), asked.name.clone());
    let mut sensor = Sensor::new(settings, lateness_s, REPLAY_HASH_KEY, &inputs, follower)
        .watching(&asked.domain);
    let stop = interrupt_flag();
    let replay = Replay::open(paths, ReplayOptions::default());
    let mut source = Until::new(replay, until, lateness_s);
    let mut display = Display::new(!settings.is_quiet);
    let read = read_all(&mut sensor, &mut source, &stop, |sensor, source| {
        display.show(&source.replay.progress(), sensor);
    });
    let ended = read.and_then(|()| match until {
        Some(at) => sensor.finish_at(at),
        None => sensor.finish(),
    });
    display.clear();
    let mut exit = match &ended {
        Ok(()) if stop.load(Ordering::Relaxed) => Exit::Interrupted,
        Ok(()) => Exit::Done,
        Err(stopped) => stopped.exit(),
    };
    let mut files = Files::default();
    source.replay.report().into_iter().for_each(|file| files.add(file, 0));
    files.tell_rest(source.replay.unread());
    exit = exit.max(files.exit);
    if exit == Exit::Interrupted {
        console::warning("interrupted: what follows is told from what was read");
    }
    let story = Story::of(&asked, until, &sensor, &inputs);
    let page = if matches.get_flag("json") {
        json_line(&json::of(&story, &inputs))
    } else {
        text::of(&story, &inputs)
    };
    exit = exit.max(output::print(&page));
    // The process ends here; taking a million domains apart one by one would only delay it.
    std::mem::forget(sensor);
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        const AT: u64 = 1_772_438_662_000_000_000;
        for (text, expect) in [
            ("1772438662", Some(AT)),
            ("1772438662.25", Some(AT + 250_000_000)),
            ("0", Some(0)),
            ("2026-03-02T08:04:22Z", Some(AT)),
            ("2026-03-02t08:04:22.000z", Some(AT)),
            ("2026-03-02 08:04:22.123456789123Z", Some(AT + 123_456_789)),
            ("2026-03-02T09:34:22+01:30", Some(AT)),
            ("2026-03-01T23:04:22-09:00", Some(AT)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000_000_000)),
            ("1969-12-31T23:59:59Z", None),
            ("1970-01-01T00:00:00+00:01", None),
            ("2026-03-02", None),
            ("2026-03-02T08:04:22", None),
            ("2026-03-02T24:04:22Z", None),
            ("2026-02-30T08:04:22Z", None),
            ("2026-03-02T08:04Z", None),
            ("2026-03-02T08:04:+2Z", None),
            ("2026-03-02T08:04:22.Z", None),
            ("2026-03-02T08:04:22+1:00", None),
            ("-1", None),
            ("1e9", None),
            ("1.", None),
            ("", None),
            ("99999999999999999999", None),
            ("18446744073", Some(18_446_744_073_000_000_000)),
            ("18446744073.9", None),
            ("18446744074", None),
            ("2026-03-0ü2T08:04:22Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(time(text).ok().map(|at| at.0), expect, "{text}");
        }
    }

    #[test]
    fn names_are_brought_to_their_registrable_domain() {
        let wire = |text: &str| Name::from_text(text).expect("a name").as_wire().to_vec();
        for (text, expect) in [
            ("WWW.Example.CO.UK.", Some("example.co.uk")),
            ("a.b.duckdns.org", Some("b.duckdns.org")),
            ("\\027[2j.evil.test", Some("evil.test")),
            ("co.uk", None),
            ("duckdns.org", None),
            ("", None),
            (".", None),
            ("a..b", None),
            ("bücher.example", None),
        ] {
            let got = Asked::parse(text).ok().map(|asked| asked.domain);
            assert_eq!(got, expect.map(wire), "{text}");
        }
        let mistake = |text: &str| Asked::parse(text).expect_err("a mistake");
        assert!(mistake("co.uk").contains("public suffix"));
        assert!(mistake("bücher.example").contains("xn--"));
    }
}
