//! One item's schedule: when its tasks start, and what a start finds missed.
//!
//! Whoever asks keeps one instant, the last due time that has an outcome, and
//! asks from there, never from the clock: then a clock that is set back makes
//! nothing due a second time, and one set forward skips nothing.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::due::Schedule;
use super::jitter;

/// Past its start by more than this, a due time is overdue.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(60);
/// Missed due times are counted up to this many. A daily schedule takes years to get there, one that is due
/// every minute 17 hours; after that the number tells nobody more, and a start with many items must not take
/// long.
pub const MISSED_COUNT_MAX: u64 = 1_000;

/// A schedule together with what makes it an item's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timetable {
    /// When the item is due.
    pub schedule: Schedule,
    /// The instant at which the schedule was set: `every` counts from it, and nothing is due before it.
    pub anchor: DateTime<Utc>,
    /// The item, from whose id its jitter comes.
    pub item_id: String,
}

/// A due time, and when its task starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueTime {
    /// The instant that the schedule names; outcomes are kept by it.
    pub due: DateTime<Utc>,
    /// The same instant or later by the item's jitter; always before the next due time.
    pub starts_at: DateTime<Utc>,
}

/// The due times, one or more, whose start has passed without an outcome. One task covers them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissedDueTimes {
    /// The earliest.
    pub first: DueTime,
    /// The latest; the same one if there is only one.
    pub last: DueTime,
    /// How many, or [`MISSED_COUNT_MAX`] if there are that many or more.
    pub count: u64,
    /// Whether the first should have started more than [`OVERDUE_AFTER`] ago: then the task is a catch-up.
    /// Otherwise the last due time simply runs.
    pub overdue: bool,
}

impl Timetable {
    /// The first due time after `covered_until`, the last one that has an outcome or else the anchor.
    pub fn next(&self, covered_until: DateTime<Utc>) -> Option<DueTime> {
        let due = self.schedule.next_due(covered_until.max(self.anchor), self.anchor)?;
        Some(self.start_of(due))
    }

    /// What a start at `now` finds missed after `covered_until`, the last due time that has an outcome or
    /// else the anchor. A due time that has come and whose start has not, for its jitter, is not missed: it
    /// is what [`next`](Self::next) gives after the last missed one.
    pub fn missed(&self, covered_until: DateTime<Utc>, now: DateTime<Utc>) -> Option<MissedDueTimes> {
        let covered_until = covered_until.max(self.anchor);
        let first = self.next(covered_until).filter(|first| first.starts_at <= now)?;
        let last = self.last_started(now).filter(|last| last.due >= first.due)?;
        Some(MissedDueTimes {
            first,
            last,
            count: self.schedule.count_due(covered_until, last.due, self.anchor, MISSED_COUNT_MAX),
            overdue: now
                .signed_duration_since(first.starts_at)
                .to_std()
                .is_ok_and(|late| late > OVERDUE_AFTER),
        })
    }

    /// The last due time whose start is not after `now`. Starts keep the order of due times, so it is the
    /// last due time or the one before.
    fn last_started(&self, now: DateTime<Utc>) -> Option<DueTime> {
        let latest = self.start_of(self.schedule.latest_due(now, self.anchor)?);
        if latest.starts_at <= now {
            return Some(latest);
        }
        let before = latest.due.checked_sub_signed(TimeDelta::nanoseconds(1))?;
        Some(self.start_of(self.schedule.latest_due(before, self.anchor)?))
    }

    /// The start lies in the first half of the time to the next due time, however long the jitter: the order
    /// is kept, and two tasks of one item never come close together.
    fn start_of(&self, due: DateTime<Utc>) -> DueTime {
        let jitter = self.schedule.jitter();
        if jitter.is_zero() {
            return DueTime { due, starts_at: due };
        }
        let next = self.schedule.next_due(due, self.anchor);
        let to_next =
            next.and_then(|next| next.signed_duration_since(due).to_std().ok()).unwrap_or(Duration::MAX);
        let delay = jitter::delay(&self.item_id, due, jitter.min(to_next / 2));
        let starts_at = TimeDelta::from_std(delay).ok().and_then(|delay| due.checked_add_signed(delay));
        DueTime { due, starts_at: starts_at.unwrap_or(due) }
    }
}
