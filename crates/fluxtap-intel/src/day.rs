//! Days of the calendar, for entries that expire.

use std::fmt;

/// A day, UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub u32);

/// Days in 400 years of the Gregorian calendar.
const DAYS_PER_ERA: u32 = 146_097;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u32 = 719_468;

impl Day {
    /// The day of a time in seconds since the epoch.
    #[must_use]
    pub fn of(at_s: u64) -> Self {
        Self(u32::try_from(at_s / 86_400).unwrap_or(u32::MAX))
    }

    /// A day written as `YYYY-MM-DD`; `None` for one that is not in the calendar, or before 1970.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
        let number = |digits: &[u8]| {
            let is_number = digits.iter().all(u8::is_ascii_digit);
            is_number.then(|| digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
        };
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *bytes else { return None };
        let (year, month, day) =
            (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
        if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        // Years from March on, so that a leap day is the last of its year and the months before it
        // repeat with 153 days in five.
        let from_march = (month + 9) % 12;
        let year = year - u32::from(month <= 2);
        let (era, of_era) = (year / 400, year % 400);
        let of_year = (153 * from_march + 2) / 5 + day - 1;
        let days = DAYS_PER_ERA * era + 365 * of_era + of_era / 4 - of_era / 100 + of_year;
        let found = Self(days - EPOCH_DAYS);
        // The 31st of a month with 30 days is a day of the next one.
        (found.to_string() == text).then_some(found)
    }

    /// Its year, its month from 1 on and its day in that from 1 on.
    #[must_use]
    pub fn date(self) -> (u64, u64, u64) {
        let day = u64::from(self.0) + u64::from(EPOCH_DAYS);
        let per_era = u64::from(DAYS_PER_ERA);
        let (era, of_era) = (day / per_era, day % per_era);
        // Leap days are taken out of the count: one in 4 years, none in 100, one in 400.
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day_of_month = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = 400 * era + year_of_era + u64::from(month <= 2);
        (year, month, day_of_month)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day_of_month) = self.date();
        write!(f, "{year:04}-{month:02}-{day_of_month:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, days) in [
            ("1970-01-01", Some(0)),
            ("1970-12-31", Some(364)),
            ("2000-02-29", Some(11_016)),
            ("2000-03-01", Some(11_017)),
            ("2026-11-22", Some(20_779)),
            ("2100-02-28", Some(47_540)),
            ("2100-02-29", None),
            ("2026-02-29", None),
            ("2026-04-31", None),
            ("2026-13-01", None),
            ("2026-00-10", None),
            ("2026-01-00", None),
            ("1969-12-31", None),
            ("2026-1-1", None),
            ("26-11-2222", None),
            ("2026/11/22", None),
            ("+026-11-22", None),
            ("", None),
        ] {
            assert_eq!(Day::parse(text).map(|day| day.0), days, "{text}");
        }
        for days in 0..60_000 {
            let text = Day(days).to_string();
            assert_eq!(Day::parse(&text), Some(Day(days)), "{text}");
        }
        assert_eq!(Day::of(1_795_352_400).to_string(), "2026-11-22");
    }
}
