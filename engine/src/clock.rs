//! Where time comes from, so that tests can bring their own.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, FixedOffset, Local, Offset, TimeZone, Utc};

/// A source of wall-clock time and of the local zone.
pub trait Clock: Send + Sync {
    /// The wall clock, which may jump.
    fn now(&self) -> SystemTime;

    /// Seconds east of UTC in the user's zone at `unix_seconds`.
    fn local_offset_seconds(&self, unix_seconds: i64) -> i32;

    /// Blocks the calling thread for `duration`.
    fn sleep(&self, duration: Duration);

    /// The wall clock in the user's zone.
    fn now_local(&self) -> DateTime<FixedOffset> {
        let utc: DateTime<Utc> = self.now().into();
        let seconds = self.local_offset_seconds(utc.timestamp());
        let offset = FixedOffset::east_opt(seconds).unwrap_or_else(|| Utc.fix());
        utc.with_timezone(&offset)
    }
}

/// The machine's clock and zone.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn local_offset_seconds(&self, unix_seconds: i64) -> i32 {
        match Local.timestamp_opt(unix_seconds, 0) {
            chrono::LocalResult::Single(time) | chrono::LocalResult::Ambiguous(time, _) => {
                time.offset().fix().local_minus_utc()
            }
            chrono::LocalResult::None => 0,
        }
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
