//! A checked schedule: which instants are its due times.
//!
//! `every 4h` is elapsed time: its due times are the anchor plus whole
//! multiples of the interval, whatever clocks do and however long tasks take.
//! All other forms are civil times of the schedule's zone: each is due at the
//! first instant at which the zone's clock shows it or a later time. So one in
//! a gap is due at the first instant after the gap, one in an overlap once, the
//! first time, and civil times that fall on the same instant are one due time.
//! `*/30 * * * *` therefore rests for the second pass of an overlap.

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Datelike, SubsecRound, TimeDelta, Utc};
use chrono_tz::Tz;
use keepwell_messages::ScheduleText;

use super::civil_table::CivilTable;
use super::error::ScheduleError;
use super::jitter::JITTER_MAX;
use super::spec::{self, Recurrence};
use super::time_zone;

/// The years in which due times are looked for. Further out nothing is due: calendar arithmetic must not come
/// near the ends of what instants can express.
const YEARS: RangeInclusive<i32> = 1900..=9000;
/// No overlap is longer: the clocks of this planet differ by at most 26 hours. (The longest in these years
/// was 23 hours, Kwajalein's in 1969.)
const OVERLAP_MINUTES_MAX: usize = 26 * 60;

/// A schedule that can be relied on: it fires, in a zone that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    recurrence: Recurrence,
    time_zone: Tz,
    jitter: Duration,
}

impl Schedule {
    /// Checks a schedule as its user wrote it.
    pub fn parse(text: &ScheduleText) -> Result<Self, ScheduleError> {
        let recurrence = spec::read(&text.spec)?;
        let time_zone = time_zone::find(&text.time_zone)?;
        let seconds = text.jitter_seconds.unwrap_or(0);
        let jitter = Duration::from_secs(seconds.into());
        if jitter > JITTER_MAX {
            return Err(ScheduleError::JitterTooLong { seconds });
        }
        Ok(Self { recurrence, time_zone, jitter })
    }

    /// The zone whose civil time it is in.
    pub fn time_zone(&self) -> Tz {
        self.time_zone
    }

    /// A task starts at most this long after its due time.
    pub fn jitter(&self) -> Duration {
        self.jitter
    }

    /// The first due time strictly after `after`, in whole seconds.
    ///
    /// `anchor` is the instant from which `every` counts; it is itself no due time, and a fraction of a
    /// second in it is ignored. It has to be kept with the item: the instant at which the schedule was set,
    /// so that neither a restart nor the length of a task shifts what follows. Civil schedules do not look at
    /// it. None outside the years 1900 to 9000.
    pub fn next_due(&self, after: DateTime<Utc>, anchor: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.recurrence {
            Recurrence::Every(interval) => {
                let due = nth_due(anchor, *interval, intervals_until(after, anchor, *interval) + 1)?;
                YEARS.contains(&due.year()).then_some(due)
            }
            Recurrence::Civil(table) => next_civil(table, self.time_zone, after),
        }
    }

    /// The last due time not after `until`; see [`next_due`](Self::next_due). None before the first, and for
    /// civil schedules none outside the years 1900 to 9000.
    pub fn latest_due(&self, until: DateTime<Utc>, anchor: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.recurrence {
            Recurrence::Every(interval) => match intervals_until(until, anchor, *interval) {
                0 => None,
                count => nth_due(anchor, *interval, count),
            },
            Recurrence::Civil(table) => latest_civil(table, self.time_zone, until),
        }
    }

    /// How many due times lie after `after` and not after `until`, counted to at most `count_max`.
    pub(super) fn count_due(
        &self,
        after: DateTime<Utc>,
        until: DateTime<Utc>,
        anchor: DateTime<Utc>,
        count_max: u64,
    ) -> u64 {
        if let Recurrence::Every(interval) = self.recurrence {
            let count = intervals_until(until, anchor, interval) - intervals_until(after, anchor, interval);
            return u64::try_from(count).unwrap_or(0).min(count_max);
        }
        let due_times =
            std::iter::successors(self.next_due(after, anchor), |&due| self.next_due(due, anchor));
        due_times.take_while(|&due| due <= until).take(count_max as usize).count() as u64
    }
}

/// How many whole intervals have passed since the anchor; none before it.
fn intervals_until(instant: DateTime<Utc>, anchor: DateTime<Utc>, interval: Duration) -> i64 {
    let elapsed = instant.signed_duration_since(anchor.trunc_subsecs(0)).num_seconds().max(0);
    elapsed / interval.as_secs() as i64
}

fn nth_due(anchor: DateTime<Utc>, interval: Duration, count: i64) -> Option<DateTime<Utc>> {
    let elapsed = (interval.as_secs() as i64).checked_mul(count)?;
    anchor.trunc_subsecs(0).checked_add_signed(TimeDelta::try_seconds(elapsed)?)
}

fn next_civil(table: &CivilTable, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if !YEARS.contains(&after.year()) {
        return None;
    }
    // What the clock showed before `after` was reached before it. During the second pass of an overlap so was
    // what follows until the overlap's end: that is stepped over, as are the civil times that a gap has put
    // on `after`.
    let mut civil = after.with_timezone(&zone).naive_local();
    for _ in 0..=OVERLAP_MINUTES_MAX {
        civil = table.next_after(civil)?;
        let due = time_zone::first_instant_showing(zone, civil)?;
        if due > after {
            return Some(due);
        }
    }
    None
}

fn latest_civil(table: &CivilTable, zone: Tz, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if !YEARS.contains(&until.year()) {
        return None;
    }
    let shown = until.with_timezone(&zone).naive_local();
    let mut latest = time_zone::first_instant_showing(zone, table.latest_until(shown)?)?;
    // In the second pass of an overlap there may be later ones that its first pass has reached.
    for _ in 0..=OVERLAP_MINUTES_MAX {
        match next_civil(table, zone, latest) {
            Some(due) if due <= until => latest = due,
            _ => break,
        }
    }
    Some(latest)
}
