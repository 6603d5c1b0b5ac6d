//! When an item is due: the rules, without a clock, a timer or an actor.
//!
//! - [`Schedule`] is a checked `ScheduleText`: it names the due time after, or
//!   the last one until, any instant.
//! - [`Timetable`] adds the item: when a task starts for a due time (jitter),
//!   and which due times a start finds missed.
//! - [`timer_for`] and [`jump_between`] are for whoever waits: how long to wait
//!   at once, and whether the wall clock jumped meanwhile.
//!
//! Every function is total: no input panics, and every search has a bound. Due
//! times of one schedule rise strictly; none is ever given twice.

mod civil_table;
mod clock_jump;
mod cron_line;
mod due;
mod error;
mod jitter;
mod spec;
mod time_zone;
mod timer;
mod timetable;

#[cfg(test)]
mod tests;

pub use clock_jump::{BELIEVED_AHEAD, CLOCK_JUMP_MIN, ClockJump, ClockReading, believed, jump_between};
pub use due::Schedule;
pub use error::{CronField, ScheduleError};
pub use jitter::JITTER_MAX;
pub use spec::{INTERVAL_MAX, INTERVAL_MIN};
pub use timer::{TIMER_MAX, timer_for};
pub use timetable::{DueTime, MISSED_COUNT_MAX, MissedDueTimes, OVERDUE_AFTER, Timetable};
