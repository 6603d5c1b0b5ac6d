//! A machine that sleeps every day between two civil times.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use keepwell_actors::schedule::Schedule;
use keepwell_messages::ScheduleText;

use crate::exit::Failure;

/// From one time of day to another, as `22:00-07:00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SleepHours {
    from: String,
    until: String,
}

impl FromStr for SleepHours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} are no hours of sleep: write them as 22:00-07:00");
        let (from, until) = text.split_once('-').ok_or_else(wrong)?;
        for time in [from, until] {
            daily(time, Tz::UTC).map_err(|_| wrong())?;
        }
        if from == until {
            return Err(format!("{text} is the whole day: nothing would ever run"));
        }
        Ok(Self { from: from.into(), until: until.into() })
    }
}

/// Hours of sleep in a zone's civil time, across its changes to and from summer time.
#[derive(Clone, Debug)]
pub struct SleepTimes {
    sleeps: Schedule,
    wakes: Schedule,
}

impl SleepTimes {
    /// In the civil time of `zone`.
    pub fn new(hours: &SleepHours, zone: Tz) -> Result<Self, Failure> {
        Ok(Self { sleeps: daily(&hours.from, zone)?, wakes: daily(&hours.until, zone)? })
    }

    /// When the machine wakes, if it sleeps at `now`.
    pub fn wakes_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let slept = self.sleeps.latest_due(now, now)?;
        let wakes = self.wakes.next_due(slept, slept)?;
        (wakes > now).then_some(wakes)
    }

    /// When it goes to sleep after `now`.
    pub fn next(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.sleeps.next_due(now, now)
    }
}

fn daily(time: &str, zone: Tz) -> Result<Schedule, Failure> {
    let text =
        ScheduleText { spec: format!("daily {time}"), time_zone: zone.name().into(), jitter_seconds: None };
    Schedule::parse(&text).map_err(|error| Failure::usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        format!("{}:00Z", text.replace(' ', "T")).parse().unwrap()
    }

    #[test]
    fn sleep_begins_and_ends_at_its_civil_times_whatever_the_clocks_do() {
        let times = |hours: &str| SleepTimes::new(&hours.parse().unwrap(), Tz::Europe__Berlin).unwrap();
        let night = times("22:00-07:00");
        for (now, wakes) in [
            ("2026-01-10 20:59", None),
            ("2026-01-10 21:00", Some("2026-01-11 06:00")),
            ("2026-01-11 05:59", Some("2026-01-11 06:00")),
            ("2026-01-11 06:00", None),
            // The night of the change is an hour shorter, and the one in autumn an hour longer.
            ("2026-03-28 21:00", Some("2026-03-29 05:00")),
            ("2026-10-24 20:00", Some("2026-10-25 06:00")),
        ] {
            assert_eq!(night.wakes_after(utc(now)), wakes.map(utc), "{now}");
        }
        assert_eq!(night.next(utc("2026-01-10 21:00")), Some(utc("2026-01-11 21:00")));
        let noon = times("12:00-13:30");
        assert_eq!(noon.wakes_after(utc("2026-07-01 10:30")), Some(utc("2026-07-01 11:30")));
        assert_eq!(noon.wakes_after(utc("2026-07-01 11:30")), None);
    }

    #[test]
    fn hours_that_are_none_are_refused() {
        for text in ["", "22:00", "22-7", "25:00-07:00", "22:00-07:60", "07:00-07:00"] {
            assert!(text.parse::<SleepHours>().is_err(), "{text}");
        }
    }
}
