//! What can be wrong with a schedule, and what to write instead.
//!
//! Every text quotes what was written and names a valid example. What is quoted
//! is escaped and bounded in length, so that it can be shown and logged as it is.

use std::fmt;

use super::jitter::JITTER_MAX;
use super::spec::{INTERVAL_MAX, INTERVAL_MIN, SPEC_BYTES_MAX};

/// A schedule that is refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Nothing was written.
    #[error("the schedule is empty: write {FORMS}")]
    SpecEmpty,
    /// More was written than any schedule needs.
    #[error("the schedule is {bytes} bytes long, at most {SPEC_BYTES_MAX} are read: write {FORMS}")]
    SpecTooLong {
        /// Its length.
        bytes: usize,
    },
    /// It begins like no form that is known.
    #[error("{spec:?} is no schedule: write {FORMS}")]
    FormUnknown {
        /// The schedule.
        spec: String,
    },
    /// A known form with too few or too many words.
    #[error("{spec:?} has too few or too many words: write it like `{example}`")]
    WordCount {
        /// The schedule.
        spec: String,
        /// A valid schedule of this form.
        example: &'static str,
    },
    /// What follows `every` is not a number and a unit.
    #[error(
        "{text:?} is no interval: write a whole number and s, m, h, d or w (seconds to weeks), like `every 4h`"
    )]
    IntervalMalformed {
        /// What follows `every`.
        text: String,
    },
    /// Shorter than [`INTERVAL_MIN`].
    #[error("{text:?} is too short an interval: at least {} s, like `every 1m`", INTERVAL_MIN.as_secs())]
    IntervalTooShort {
        /// What follows `every`.
        text: String,
    },
    /// Longer than [`INTERVAL_MAX`].
    #[error("{text:?} is too long an interval: at most {} days, like `every 52w`", INTERVAL_MAX.as_secs() / 86_400)]
    IntervalTooLong {
        /// What follows `every`.
        text: String,
    },
    /// A time of day that no clock shows, or that is written otherwise.
    #[error("{text:?} is no time of day: write hours 0 to 23 and two digits of minutes 00 to 59, like 02:00")]
    TimeOfDayInvalid {
        /// What stands where the time of day belongs.
        text: String,
    },
    /// Not the name of a weekday.
    #[error("{text:?} is no weekday: write one of mon, tue, wed, thu, fri, sat, sun")]
    WeekdayUnknown {
        /// What stands where the weekday belongs.
        text: String,
    },
    /// No month has this day.
    #[error("{text:?} is no day of a month: write 1 to 31; 31 is the last day of shorter months")]
    DayOfMonthInvalid {
        /// What stands where the day belongs.
        text: String,
    },
    /// A cron line without exactly five fields.
    #[error(
        "a cron line has five fields (minute, hour, day of month, month, day of week), like `0 3 * * *`; \
         {spec:?} has {count}"
    )]
    CronFieldCount {
        /// The line.
        spec: String,
        /// How many fields it has.
        count: usize,
    },
    /// One field of a cron line.
    #[error("{text:?} is no {field} of a cron line: write {}", .field.allowed())]
    CronFieldInvalid {
        /// The field.
        field: CronField,
        /// What stands there.
        text: String,
    },
    /// A name like `@reboot`.
    #[error("{spec:?} is no schedule: write @hourly, @daily, @weekly, @monthly or @yearly")]
    CronNicknameUnknown {
        /// The name.
        spec: String,
    },
    /// No date matches: no month that is named has such a day.
    #[error("{spec:?} never fires: no date matches its day and month")]
    NeverFires {
        /// The cron line.
        spec: String,
    },
    /// No zone was named.
    #[error("the time zone is empty: write an IANA name like Europe/Berlin, or UTC")]
    TimeZoneEmpty,
    /// Not a name in the IANA database.
    #[error("there is no time zone {name:?}: {}", suggestion(.nearest))]
    TimeZoneUnknown {
        /// The name, cut to a length that can be shown.
        name: String,
        /// The zone that was probably meant.
        nearest: Option<&'static str>,
    },
    /// Longer than [`JITTER_MAX`].
    #[error("a jitter of {seconds} s is too long: at most {} s", JITTER_MAX.as_secs())]
    JitterTooLong {
        /// The jitter.
        seconds: u32,
    },
}

const FORMS: &str = "a cron line like `0 3 * * *`, or one of `every 4h`, `daily 02:00`, `weekly sun 03:30`, \
                     `monthly 1 04:00`";

fn suggestion(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("did you mean {name}?"),
        None => "write an IANA name like Europe/Berlin, or UTC".into(),
    }
}

/// A field of a cron line, in the order in which they stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CronField {
    /// The first.
    Minute,
    /// The second.
    Hour,
    /// The third.
    DayOfMonth,
    /// The fourth.
    Month,
    /// The fifth.
    DayOfWeek,
}

impl CronField {
    /// All of them, in the order of the line.
    pub const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek];

    /// The largest number that the field may hold.
    pub(super) fn max(self) -> u32 {
        match self {
            Self::Minute => 59,
            Self::Hour => 23,
            Self::DayOfMonth => 31,
            Self::Month => 12,
            Self::DayOfWeek => 7,
        }
    }

    fn allowed(self) -> &'static str {
        match self {
            Self::Minute => "0 to 59, *, a list, a range, or a step of at most 59 like */15",
            Self::Hour => "0 to 23, *, a list, a range, or a step of at most 23 like */4",
            Self::DayOfMonth => {
                "1 to 31, L for the last day, 15W for the nearest workday, *, a list, a range, or a step"
            }
            Self::Month => "1 to 12 or jan to dec, *, a list, a range, or a step of at most 12",
            Self::DayOfWeek => {
                "0 to 7 (0 and 7 are Sunday) or sun to sat, 1#2 for the second Monday, 5L for the last Friday, *, a list, or a range"
            }
        }
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of the month",
            Self::Month => "month",
            Self::DayOfWeek => "day of the week",
        })
    }
}
