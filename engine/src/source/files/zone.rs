//! The local zone's offset at an instant, cheaply: the clock is asked twice for a day
//! that has one offset, and each time for the few days that change theirs.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::clock::Clock;
use crate::format::Timestamp;

const DAY_SECONDS: i64 = 86_400;

/// Days kept: 45 years. Files that are spread over more are looked up anew.
const DAYS_MAX: usize = 16_384;

/// The offsets seen so far.
pub(super) struct ZoneOffsets {
    clock: Arc<dyn Clock>,
    /// `None` for a day with more than one offset.
    days: RwLock<HashMap<i64, Option<i32>>>,
}

impl ZoneOffsets {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, days: RwLock::default() }
    }

    pub(super) fn timestamp(&self, seconds: i64, nanoseconds: u64) -> Timestamp {
        // The kernel's nanoseconds are below 1,000,000,000; a broken file system's may not be.
        let nanoseconds = u32::try_from(nanoseconds).map_or(0, |n| n.min(999_999_999));
        Timestamp { seconds, nanoseconds, offset_seconds: self.offset_at(seconds) }
    }

    fn offset_at(&self, seconds: i64) -> i32 {
        let day = seconds.div_euclid(DAY_SECONDS);
        let known = self.days.read().get(&day).copied();
        let offset = known.unwrap_or_else(|| self.learn(day));
        offset.unwrap_or_else(|| self.clock.local_offset_seconds(seconds))
    }

    fn learn(&self, day: i64) -> Option<i32> {
        let first = day.saturating_mul(DAY_SECONDS);
        let offset = self.clock.local_offset_seconds(first);
        let last = self.clock.local_offset_seconds(first.saturating_add(DAY_SECONDS - 1));
        let offset = Some(offset).filter(|offset| *offset == last);
        let mut days = self.days.write();
        if days.len() >= DAYS_MAX {
            days.clear();
        }
        days.insert(day, offset);
        offset
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, SystemTime};

    use super::*;

    /// An hour more from noon of the second day on.
    #[derive(Default)]
    struct ChangingClock(AtomicU32);

    impl Clock for ChangingClock {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }

        fn local_offset_seconds(&self, unix_seconds: i64) -> i32 {
            self.0.fetch_add(1, Ordering::Relaxed);
            if unix_seconds < DAY_SECONDS * 3 / 2 { 3_600 } else { 7_200 }
        }

        fn sleep(&self, _: Duration) {}
    }

    #[test]
    fn offsets_are_exact_on_the_day_of_a_change_and_cached_on_others() {
        let clock = Arc::new(ChangingClock::default());
        let zone = ZoneOffsets::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let change = DAY_SECONDS * 3 / 2;
        for (seconds, expected) in
            [(-1, 3_600), (0, 3_600), (change - 1, 3_600), (change, 7_200), (DAY_SECONDS * 2, 7_200)]
        {
            assert_eq!(zone.timestamp(seconds, 5).offset_seconds, expected, "{seconds}");
        }
        let asked = clock.0.load(Ordering::Relaxed);
        (0..1_000).for_each(|seconds| {
            let _ = zone.timestamp(seconds, 0);
        });
        assert_eq!(clock.0.load(Ordering::Relaxed), asked);
    }
}
