//! The words of a schedule, read: `every`, `daily`, `weekly`, `monthly`, or a
//! cron line.
//!
//! Bounds what it reads before it looks at it, ignores case and the amount of
//! white space, and refuses whatever it would have to guess at.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveTime, Weekday};

use super::civil_table::CivilTable;
use super::cron_line;
use super::error::ScheduleError;

/// The shortest interval that `every` takes: the grain of cron lines, and the time within which a due time
/// still counts as on time. A backup that is due more often than it can be late could only ever be behind.
pub const INTERVAL_MIN: Duration = Duration::from_secs(60);
/// The longest interval that `every` takes, a leap year. What is rarer is asked for by its date.
pub const INTERVAL_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The longest schedule that is read. A cron line that lists every minute and hour has 250 bytes.
pub(super) const SPEC_BYTES_MAX: usize = 512;

/// What a schedule asks for, before it is known in which zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recurrence {
    /// Elapsed time, whatever clocks show.
    Every(Duration),
    /// Civil times.
    Civil(CivilTable),
}

/// Reads a schedule. One that never fires is an error.
pub(super) fn read(spec: &str) -> Result<Recurrence, ScheduleError> {
    if spec.len() > SPEC_BYTES_MAX {
        return Err(ScheduleError::SpecTooLong { bytes: spec.len() });
    }
    let spec = spec.trim();
    let words: Vec<&str> = spec.split_whitespace().collect();
    let Some(form) = words.first() else { return Err(ScheduleError::SpecEmpty) };
    let word_count = |example| ScheduleError::WordCount { spec: spec.into(), example };
    match (form.to_ascii_lowercase().as_str(), &words[1..]) {
        ("every", [interval]) => read_interval(interval).map(Recurrence::Every),
        ("every", _) => Err(word_count("every 4h")),
        ("daily", [time]) => Ok(Recurrence::Civil(CivilTable::once_a_day(read_time_of_day(time)?, |_| true))),
        ("daily", _) => Err(word_count("daily 02:00")),
        ("weekly", [weekday, time]) => read_weekly(weekday, time).map(Recurrence::Civil),
        ("weekly", _) => Err(word_count("weekly sun 03:30")),
        ("monthly", [day, time]) => read_monthly(day, time).map(Recurrence::Civil),
        ("monthly", _) => Err(word_count("monthly 1 04:00")),
        _ if looks_like_cron(&words) => read_cron(spec).map(Recurrence::Civil),
        _ => Err(ScheduleError::FormUnknown { spec: spec.into() }),
    }
}

fn read_interval(text: &str) -> Result<Duration, ScheduleError> {
    let malformed = || ScheduleError::IntervalMalformed { text: text.into() };
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
    let (number, unit) = text.split_at(digits);
    let unit_seconds: u64 = match unit.to_ascii_lowercase().as_str() {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(malformed()),
    };
    if number.is_empty() {
        return Err(malformed());
    }
    // Digits alone fail to parse only where there are too many of them.
    let seconds = number.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit_seconds);
    match Duration::from_secs(seconds) {
        interval if interval < INTERVAL_MIN => Err(ScheduleError::IntervalTooShort { text: text.into() }),
        interval if interval > INTERVAL_MAX => Err(ScheduleError::IntervalTooLong { text: text.into() }),
        interval => Ok(interval),
    }
}

fn read_weekly(weekday: &str, time: &str) -> Result<CivilTable, ScheduleError> {
    let weekday: Weekday =
        weekday.parse().map_err(|_| ScheduleError::WeekdayUnknown { text: weekday.into() })?;
    Ok(CivilTable::once_a_day(read_time_of_day(time)?, |date| date.weekday() == weekday))
}

fn read_monthly(day: &str, time: &str) -> Result<CivilTable, ScheduleError> {
    let number = read_digits(day, 1..=2).filter(|number| (1..=31).contains(number));
    let number = number.ok_or_else(|| ScheduleError::DayOfMonthInvalid { text: day.into() })?;
    let time = read_time_of_day(time)?;
    Ok(CivilTable::once_a_day(time, |date| date.day() == number.min(date.num_days_in_month().into())))
}

fn read_time_of_day(text: &str) -> Result<NaiveTime, ScheduleError> {
    text.split_once(':')
        .and_then(|(hour, minute)| Some((read_digits(hour, 1..=2)?, read_digits(minute, 2..=2)?)))
        .and_then(|(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0))
        .ok_or_else(|| ScheduleError::TimeOfDayInvalid { text: text.into() })
}

/// A number of so many decimal digits and no sign.
fn read_digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let is_digits = lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

fn looks_like_cron(words: &[&str]) -> bool {
    words.len() == 5
        || words
            .first()
            .is_some_and(|word| word.starts_with(['*', '@']) || word.starts_with(char::is_numeric))
}

fn read_cron(line: &str) -> Result<CivilTable, ScheduleError> {
    let table = cron_line::read(line)?;
    // Any date would do: the Gregorian calendar repeats, and what comes once comes again within the search's
    // bound.
    match table.next_after(DateTime::UNIX_EPOCH.naive_utc()) {
        Some(_) => Ok(table),
        None => Err(ScheduleError::NeverFires { spec: line.into() }),
    }
}
