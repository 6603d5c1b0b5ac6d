//! A recurring civil time as one small table: which minutes, hours and months,
//! and, for each shape of a month, which days.
//!
//! A month has one of 28 shapes: 28 to 31 days, and a weekday on its first.
//! Which days a rule means depends on nothing else, so `daily`, `weekly`,
//! `monthly` and every cron line become the same table, searched by the same
//! few bit operations. A parsed cron line of croner holds a byte for each of
//! 5,000 years; the table is 128 bytes, which counts with 100,000 items.
//!
//! Civil times here are dates and times without a zone, in whole minutes.

use std::cmp::Ordering;
use std::iter::successors;
use std::sync::LazyLock;

use chrono::{Datelike, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// A date that comes back at all comes back within this time: the rarest, the 29th of February on a given
/// weekday, takes 40 years across a year like 2100, as from Monday in 2072 to Monday in 2112.
const SEARCH_MONTHS_MAX: usize = 41 * 12;
const SHORTEST_MONTH: u32 = 28;

/// The first day of one month of every shape: the calendar goes through all of them in 28 years among which
/// every fourth is a leap year.
static MONTH_OF_EVERY_SHAPE: LazyLock<Vec<NaiveDate>> = LazyLock::new(|| {
    let first = NaiveDate::from_ymd_opt(2000, 1, 1);
    let mut months: Vec<_> = successors(first, |&first| start_of_next_month(first)).take(28 * 12).collect();
    months.sort_by_key(|&first| shape_of(first));
    months.dedup_by_key(|first| shape_of(*first));
    months
});

/// The recurring civil times of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CivilTable {
    minutes: u64,
    hours: u32,
    months: u16,
    days: [[u32; 7]; 4],
}

impl CivilTable {
    /// The table of the minutes, hours and months (from 1) that are affirmed, on the affirmed days.
    /// `day_is_in` is asked about every day of one month of each shape, whatever the month.
    pub(super) fn new(
        minute_is_in: impl Fn(u32) -> bool,
        hour_is_in: impl Fn(u32) -> bool,
        month_is_in: impl Fn(u32) -> bool,
        day_is_in: impl Fn(NaiveDate) -> bool,
    ) -> Self {
        let mut days = [[0; 7]; 4];
        for &first in MONTH_OF_EVERY_SHAPE.iter() {
            let (length, weekday) = shape_of(first);
            let dates = first.iter_days().take(first.num_days_in_month().into());
            days[length][weekday] =
                dates.filter(|&date| day_is_in(date)).fold(0, |bits, date| bits | 1 << date.day());
        }
        Self {
            minutes: (0..60)
                .filter(|&minute| minute_is_in(minute))
                .fold(0, |bits, minute| bits | 1 << minute),
            hours: (0..24).filter(|&hour| hour_is_in(hour)).fold(0, |bits, hour| bits | 1 << hour),
            months: (1..=12).filter(|&month| month_is_in(month)).fold(0, |bits, month| bits | 1 << month),
            days,
        }
    }

    /// The table of one time of day, in whole minutes, on the affirmed days.
    pub(super) fn once_a_day(time: NaiveTime, day_is_in: impl Fn(NaiveDate) -> bool) -> Self {
        Self::new(|minute| minute == time.minute(), |hour| hour == time.hour(), |_| true, day_is_in)
    }

    /// The first of its times that is later than `after`; none if there never is one, or if the calendar
    /// ends.
    pub(super) fn next_after(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        let (day, time) = (after.date(), after.time());
        let mut first = day.with_day(1)?;
        for _ in 0..SEARCH_MONTHS_MAX {
            let mut days = self.days_of(first);
            while days != 0 {
                let candidate = first.with_day(days.trailing_zeros())?;
                let found = match candidate.cmp(&day) {
                    Ordering::Less => None,
                    Ordering::Equal => self.first_time_after(time),
                    Ordering::Greater => self.first_time_from(0, 0),
                };
                if let Some(found) = found {
                    return Some(candidate.and_time(found));
                }
                days &= days - 1;
            }
            first = start_of_next_month(first)?;
        }
        None
    }

    /// The last of its times that is not later than `until`; none if there never was one, or if the calendar
    /// begins.
    pub(super) fn latest_until(&self, until: NaiveDateTime) -> Option<NaiveDateTime> {
        let (day, time) = (until.date(), until.time());
        let mut first = day.with_day(1)?;
        for _ in 0..SEARCH_MONTHS_MAX {
            let mut days = self.days_of(first);
            while days != 0 {
                let last = days.ilog2();
                let candidate = first.with_day(last)?;
                let found = match candidate.cmp(&day) {
                    Ordering::Less => self.last_time_until(23, 59),
                    Ordering::Equal => self.last_time_until(time.hour(), time.minute()),
                    Ordering::Greater => None,
                };
                if let Some(found) = found {
                    return Some(candidate.and_time(found));
                }
                days &= !(1 << last);
            }
            first = first.pred_opt()?.with_day(1)?;
        }
        None
    }

    fn days_of(&self, first: NaiveDate) -> u32 {
        if self.months & 1 << first.month() == 0 {
            return 0;
        }
        let (length, weekday) = shape_of(first);
        self.days[length][weekday]
    }

    fn first_time_after(&self, time: NaiveTime) -> Option<NaiveTime> {
        match time.minute() {
            59 => self.first_time_from(time.hour() + 1, 0),
            minute => self.first_time_from(time.hour(), minute + 1),
        }
    }

    /// `hour` may be 24: there is no such time.
    fn first_time_from(&self, hour: u32, minute: u32) -> Option<NaiveTime> {
        let in_this_hour = if self.hours & 1 << hour == 0 { 0 } else { self.minutes >> minute << minute };
        if in_this_hour != 0 {
            return NaiveTime::from_hms_opt(hour, in_this_hour.trailing_zeros(), 0);
        }
        let later_hours = self.hours >> (hour + 1) << (hour + 1);
        NaiveTime::from_hms_opt(later_hours.trailing_zeros(), self.minutes.trailing_zeros(), 0)
    }

    fn last_time_until(&self, hour: u32, minute: u32) -> Option<NaiveTime> {
        let until_minute = u64::MAX >> (63 - minute);
        let in_this_hour = if self.hours & 1 << hour == 0 { 0 } else { self.minutes & until_minute };
        if in_this_hour != 0 {
            return NaiveTime::from_hms_opt(hour, in_this_hour.ilog2(), 0);
        }
        let earlier_hours = self.hours & ((1 << hour) - 1);
        NaiveTime::from_hms_opt(earlier_hours.checked_ilog2()?, self.minutes.checked_ilog2()?, 0)
    }
}

/// The indexes of a month's shape: its length, and the weekday of `first`, its first day.
fn shape_of(first: NaiveDate) -> (usize, usize) {
    let length = u32::from(first.num_days_in_month());
    ((length - SHORTEST_MONTH) as usize, first.weekday().num_days_from_monday() as usize)
}

fn start_of_next_month(first: NaiveDate) -> Option<NaiveDate> {
    first.checked_add_months(Months::new(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_a_month_has_one_example() {
        let shapes: Vec<_> = MONTH_OF_EVERY_SHAPE.iter().map(|&first| shape_of(first)).collect();
        let all: Vec<_> = (0..4).flat_map(|length| (0..7).map(move |weekday| (length, weekday))).collect();
        assert_eq!(shapes, all);
    }
}
