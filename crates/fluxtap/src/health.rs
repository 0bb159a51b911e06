//! Whether the sensor does what it is there for, and why not.

use crate::summary;
use fluxtap_capture::PortStats;
use fluxtap_config::Settings;
use fluxtap_sink::SinkCounts;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back losses count.
const LOSS_WINDOW: Duration = Duration::from_secs(60);

/// Fewest packets in that time of which a share is told.
const LOSS_PACKETS_MIN: u64 = 100;

/// Least time between two changes that are told, so that a sensor on the edge does not chatter.
const CHANGE_PAUSE: Duration = Duration::from_secs(10);

/// Distance between the times of packets and the clock, in seconds, beyond which one of them is
/// wrong: zones apart, and not a pause of the process.
const CLOCK_OFF_S: f64 = 1_800.0;

/// Packets in a row with such times before that is told: the first ones after a long silence have
/// to be confirmed, and a single packet proves nothing.
const CLOCK_OFF_PACKETS: u64 = 100;

/// States of an interface in which nothing arrives.
const DOWN: [&str; 4] = ["down", "no carrier", "lowerlayerdown", "notpresent"];

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// For programs; one of [`Reason::CODES`].
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) detail: String,
}

impl Reason {
    /// Every code there is.
    pub(crate) const CODES: [&'static str; 7] = [
        "packets_lost",
        "no_dns",
        "interface_lost",
        "interface_down",
        "sink_failing",
        "clock_off",
        "reload_failed",
    ];
}

/// Looks at the counters each second and remembers what they were.
pub(crate) struct Monitor {
    loss_percent: f64,
    dns_quiet: Option<Duration>,
    interval: Option<Duration>,
    /// When, packets that came and packets that were lost up to then.
    losses: VecDeque<(Instant, u64, u64)>,
    /// Messages seen, and when their number last changed.
    messages: (u64, Instant),
    /// Packets that had come when their times last fitted the clock.
    in_time: u64,
    has_reload_failed: bool,
    reasons: Vec<Reason>,
    told: Option<(Instant, Vec<&'static str>)>,
}

/// What a look at the counters sees.
pub(crate) struct Seen<'a> {
    pub(crate) ports: &'a [PortStats],
    pub(crate) sinks: &'a [SinkCounts],
    /// DNS messages since the start.
    pub(crate) messages: u64,
    /// The time of day, in milliseconds since 1970.
    pub(crate) now_ms: u64,
    /// How far event time is behind the clock, in seconds; ahead of it, if that is negative.
    pub(crate) lag_s: Option<f64>,
    /// Day of the table of owners, as a time since 1970 in milliseconds: today is later.
    pub(crate) table_ms: Option<u64>,
}

/// How long a sink may fail before that is a reason: most failures are over with the next attempt.
const SINK_DOWN_MS: u64 = 60_000;

/// What is wrong with a sink.
fn failing(sink: &SinkCounts, now_ms: u64) -> Option<Reason> {
    let down_ms = sink.down_since_ms.map(|since| now_ms.saturating_sub(since));
    let name = &sink.name;
    let detail = if sink.is_spool_failing {
        format!("sink {name}: its spool cannot be written: {}", sink.last_fault)
    } else if let Some(down_ms) = down_ms.filter(|&ms| ms >= SINK_DOWN_MS) {
        format!(
            "sink {name}: failing for {} s, {} lines wait: {}",
            down_ms / 1_000,
            sink.waiting,
            sink.last_fault
        )
    } else {
        return None;
    };
    Some(Reason { code: "sink_failing", detail })
}

/// What a look at the counters gave reason to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    Nothing,
    /// It was time to.
    Again,
    /// It differs from what was told before.
    Change,
}

impl Monitor {
    pub(crate) fn new(settings: &Settings, now: Instant) -> Self {
        let mut monitor = Self {
            loss_percent: 0.0,
            dns_quiet: None,
            interval: None,
            losses: VecDeque::new(),
            messages: (0, now),
            in_time: 0,
            has_reload_failed: false,
            reasons: Vec::new(),
            told: None,
        };
        monitor.reload(settings);
        monitor
    }

    /// Goes on with other limits.
    pub(crate) fn reload(&mut self, settings: &Settings) {
        let some = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
        self.loss_percent = f64::from(settings.health_drops_percent.0) / 10.0;
        self.dns_quiet = some(settings.health_dns_quiet_s);
        self.interval = some(settings.health_interval_s);
    }

    /// Notes whether the last attempt to reload went well.
    pub(crate) fn note_reload(&mut self, is_good: bool) {
        self.has_reload_failed = !is_good;
    }

    /// What is wrong, as of the last look.
    pub(crate) fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// Looks at the counters.
    ///
    /// `link` tells the state of an interface that is there, as [`crate::interfaces::link`] does.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        seen: &Seen<'_>,
        link: impl Fn(&str) -> Option<String>,
    ) -> Tell {
        let (ports, messages) = (seen.ports, seen.messages);
        if messages != self.messages.0 {
            self.messages = (messages, now);
        }
        let mut reasons = Vec::new();
        reasons.extend(self.losses(now, ports));
        reasons.extend(self.silence(now));
        let lost = ports.iter().filter_map(|port| Some((&port.interface, port.lost.as_ref()?)));
        reasons.extend(lost.map(|(interface, why)| Reason {
            code: "interface_lost",
            detail: format!("interface {interface} is lost: {why}"),
        }));
        // The kernel goes on capturing when such an interface comes up again.
        let down = ports.iter().filter(|port| port.is_open).filter_map(|port| {
            let state = link(&port.interface).filter(|state| DOWN.contains(&state.as_str()))?;
            let detail = format!("interface {} is not up: {state}", port.interface);
            Some(Reason { code: "interface_down", detail })
        });
        reasons.extend(down);
        reasons.extend(seen.sinks.iter().filter_map(|sink| failing(sink, seen.now_ms)));
        reasons.extend(self.clock_off(seen));
        if self.has_reload_failed {
            let detail = "the last reload failed; the settings from before are in force".to_owned();
            reasons.push(Reason { code: "reload_failed", detail });
        }
        self.reasons = reasons;
        self.told_by(now)
    }

    /// What is to be told, and notes that it is.
    fn told_by(&mut self, now: Instant) -> Tell {
        let codes: Vec<&'static str> = self.reasons.iter().map(|reason| reason.code).collect();
        let tell = match &self.told {
            // A sensor that starts well says so only where it is asked to say anything.
            None if codes.is_empty() && self.interval.is_none() => Tell::Nothing,
            None if codes.is_empty() => Tell::Again,
            None => Tell::Change,
            Some((at, told)) if *told != codes && now.duration_since(*at) >= CHANGE_PAUSE => {
                Tell::Change
            }
            Some((at, _)) if self.interval.is_some_and(|i| now.duration_since(*at) >= i) => {
                Tell::Again
            }
            Some(_) => Tell::Nothing,
        };
        if tell != Tell::Nothing {
            self.told = Some((now, codes));
        }
        tell
    }

    fn losses(&mut self, now: Instant, ports: &[PortStats]) -> Option<Reason> {
        let lost = summary::lost(ports).iter().sum::<u64>();
        let came = ports.iter().map(|port| port.handed).sum::<u64>() + lost;
        while self.losses.get(1).is_some_and(|&(at, _, _)| now.duration_since(at) >= LOSS_WINDOW) {
            self.losses.pop_front();
        }
        self.losses.push_back((now, came, lost));
        let &(_, came_before, lost_before) = self.losses.front()?;
        let (came, lost) = (came - came_before.min(came), lost - lost_before.min(lost));
        let percent = lost as f64 * 100.0 / came.max(1) as f64;
        (came >= LOSS_PACKETS_MIN && percent >= self.loss_percent).then(|| Reason {
            code: "packets_lost",
            detail: format!("{percent:.1} % of {came} packets were lost within a minute"),
        })
    }

    /// Whether the clock, or that of the packets, cannot be right.
    fn clock_off(&mut self, seen: &Seen<'_>) -> Option<Reason> {
        let handed = seen.ports.iter().map(|port| port.handed).sum::<u64>();
        let lag_s = seen.lag_s.unwrap_or(0.0);
        if lag_s.abs() < CLOCK_OFF_S {
            self.in_time = handed;
        }
        let detail = if handed - self.in_time.min(handed) >= CLOCK_OFF_PACKETS {
            let side = if lag_s > 0.0 { "behind" } else { "ahead of" };
            format!("times of packets are {:.0} s {side} the clock", lag_s.abs())
        } else if seen.table_ms.is_some_and(|table_ms| seen.now_ms < table_ms) {
            "the clock stands before the day of the table of owners".to_owned()
        } else {
            return None;
        };
        Some(Reason { code: "clock_off", detail })
    }

    fn silence(&self, now: Instant) -> Option<Reason> {
        let silent = now.duration_since(self.messages.1);
        let quiet = self.dns_quiet.filter(|quiet| silent >= *quiet)?;
        Some(Reason {
            code: "no_dns",
            detail: format!("no DNS was seen for {} s, expected some within that", quiet.as_secs()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::instant;
    use fluxtap_capture::LiveStats;

    fn port(handed: u64, dropped_by_kernel: u64, lost: Option<&str>) -> PortStats {
        PortStats {
            interface: "eth1".to_owned(),
            lost: lost.map(str::to_owned),
            live: LiveStats { dropped_by_kernel, ..LiveStats::default() },
            handed,
            dropped_by_sensor: 0,
            read_by_ring: vec![handed],
            in_ring: 0,
            held: 0,
            losses: 0,
            is_open: lost.is_none(),
        }
    }

    fn look(
        monitor: &mut Monitor,
        now: Instant,
        port: PortStats,
        messages: u64,
        link: fn(&str) -> Option<String>,
    ) -> Tell {
        let seen = Seen {
            ports: &[port],
            sinks: &[],
            messages,
            now_ms: 0,
            lag_s: Some(2.0),
            table_ms: None,
        };
        monitor.look(now, &seen, link)
    }

    #[test]
    fn sinks_that_fail_for_long_are_a_reason() {
        let sink = SinkCounts {
            name: "siem".to_owned(),
            waiting: 7,
            last_fault: "connection refused".to_owned(),
            ..SinkCounts::default()
        };
        assert_eq!(failing(&sink, 1 << 40), None);
        let down = SinkCounts { down_since_ms: Some(1_000), ..sink.clone() };
        assert_eq!(failing(&down, 60_999), None);
        let reason = failing(&down, 61_000).expect("a reason");
        assert_eq!(reason.detail, "sink siem: failing for 60 s, 7 lines wait: connection refused");
        let full = SinkCounts { is_spool_failing: true, ..sink };
        assert!(failing(&full, 0).is_some());
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_a_reason() {
        let mut monitor = Monitor::new(&Settings::default(), instant());
        let mut said = |handed, lag_s, now_ms| {
            let (ports, table_ms) = (&[port(handed, 0, None)][..], Some(1_000));
            let seen = Seen { ports, sinks: &[], messages: 0, now_ms, lag_s, table_ms };
            monitor.clock_off(&seen).map(|reason| reason.detail)
        };
        assert_eq!(said(0, None, 1_000), None);
        assert_eq!(said(5_000, Some(1_799.0), 1_000), None);
        assert_eq!(said(5_000, Some(9_999.0), 1_000), None, "silence is no wrong clock");
        assert_eq!(said(5_099, Some(3.2e8), 1_000), None);
        let years = said(5_100, Some(3.2e8), 1_000).expect("years");
        assert_eq!(years, "times of packets are 320000000 s behind the clock");
        assert!(said(5_200, Some(-3_600.0), 1_000).expect("an hour").contains("ahead of"));
        assert_eq!(said(5_201, Some(2.0), 1_000), None, "well again");
        assert!(
            said(5_202, Some(2.0), 999).expect("a day in the past").contains("table of owners")
        );
    }

    fn up(_: &str) -> Option<String> {
        Some("up".to_owned())
    }

    fn codes(monitor: &Monitor) -> Vec<&'static str> {
        monitor.reasons().iter().map(|reason| reason.code).collect()
    }

    #[test]
    fn losses_count_for_a_minute() {
        let began = instant();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut monitor = Monitor::new(&Settings::default(), began);
        assert_eq!(look(&mut monitor, at(0), port(0, 0, None), 1, up), Tell::Nothing);
        assert_eq!(look(&mut monitor, at(1), port(1_000, 9, None), 2, up), Tell::Nothing, "0.9 %");
        assert_eq!(look(&mut monitor, at(2), port(1_990, 21, None), 3, up), Tell::Change, "1 %");
        assert_eq!(codes(&monitor), ["packets_lost"]);
        assert!(monitor.reasons()[0].detail.starts_with("1.0 % of 2011 packets"));
        for second in 3..62 {
            let tell = look(&mut monitor, at(second), port(1_990 + second, 21, None), second, up);
            assert_eq!(tell, Tell::Nothing, "second {second}");
        }
        assert_eq!(look(&mut monitor, at(63), port(3_000, 21, None), 99, up), Tell::Change);
        assert_eq!(codes(&monitor), [""; 0], "the minute with the losses is over");
        // Of a few packets no share is told.
        let mut monitor = Monitor::new(&Settings::default(), began);
        look(&mut monitor, at(0), port(0, 0, None), 1, up);
        assert_eq!(look(&mut monitor, at(1), port(50, 40, None), 2, up), Tell::Nothing);
    }

    #[test]
    fn silence_lost_interfaces_and_failed_reloads_are_told_and_told_off() {
        let began = instant();
        let at = |seconds| began + Duration::from_secs(seconds);
        let settings = Settings { health_interval_s: 3_600, ..Settings::default() };
        let mut monitor = Monitor::new(&settings, began);
        assert_eq!(
            look(&mut monitor, at(1), port(0, 0, None), 5, up),
            Tell::Again,
            "the first word"
        );
        monitor.note_reload(false);
        assert_eq!(
            look(&mut monitor, at(2), port(0, 0, None), 5, up),
            Tell::Nothing,
            "not at once"
        );
        assert_eq!(look(&mut monitor, at(12), port(0, 0, Some("gone")), 5, up), Tell::Change);
        assert_eq!(codes(&monitor), ["interface_lost", "reload_failed"]);
        monitor.note_reload(true);
        assert_eq!(look(&mut monitor, at(601), port(0, 0, None), 5, up), Tell::Change);
        assert_eq!(codes(&monitor), ["no_dns"]);
        assert_eq!(look(&mut monitor, at(612), port(0, 0, None), 6, up), Tell::Change);
        assert_eq!(codes(&monitor), [""; 0]);
        let unplugged = |_: &str| Some("no carrier".to_owned());
        assert_eq!(look(&mut monitor, at(650), port(0, 0, None), 7, unplugged), Tell::Change);
        assert_eq!(monitor.reasons()[0].detail, "interface eth1 is not up: no carrier");
        assert_eq!(look(&mut monitor, at(680), port(0, 0, None), 7, up), Tell::Change);
        assert_eq!(look(&mut monitor, at(700), port(0, 0, None), 7, up), Tell::Nothing);
        assert_eq!(look(&mut monitor, at(680 + 3_600), port(0, 0, None), 8, up), Tell::Again);
    }

    #[test]
    fn all_codes_are_listed() {
        let mut codes = Reason::CODES.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::CODES.len());
    }
}
