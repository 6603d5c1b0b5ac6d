//! Tests of the rules of time: tables of hand-written instants, and oracles
//! that know nothing but which civil time a zone's clock shows at an instant.

mod clock;
mod instants;
mod random;
mod ten_years;
mod timetable;
mod words;
mod zones;

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_messages::ScheduleText;

use super::{Schedule, ScheduleError};

fn parse(spec: &str, time_zone: &str) -> Result<Schedule, ScheduleError> {
    Schedule::parse(&ScheduleText { spec: spec.into(), time_zone: time_zone.into(), jitter_seconds: None })
}

fn schedule(spec: &str, time_zone: &str) -> Schedule {
    parse(spec, time_zone).unwrap_or_else(|error| panic!("{error}"))
}

fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_utc()
}

fn seconds(seconds: i64) -> TimeDelta {
    TimeDelta::seconds(seconds)
}

/// The first `count` due times after `after`, which is the anchor too.
fn due_times(schedule: &Schedule, after: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
    std::iter::successors(schedule.next_due(after, after), |&due| schedule.next_due(due, after))
        .take(count)
        .collect()
}
