//! A link that is not a loopback: so much time for every message, so many bytes a second each way.

use std::time::{Duration, Instant};

/// What every connection has for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Added to every message's way: twice this is the time of a round trip.
    pub latency: Duration,
    /// Each way; unlimited if absent.
    pub bytes_per_second: Option<u64>,
}

/// One way of one connection: bytes leave one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes_per_second: Option<u64>,
    free_at: Instant,
}

impl Pace {
    pub(super) fn new(link: Link) -> Self {
        Self { bytes_per_second: link.bytes_per_second, free_at: Instant::now() }
    }

    /// When these bytes are through, if they are there at `now`.
    pub(super) fn take(&mut self, now: Instant, bytes: u64) -> Instant {
        let Some(bytes_per_second) = self.bytes_per_second else { return now };
        let needed = Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64);
        self.free_at = self.free_at.max(now) + needed;
        self.free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_one_after_the_other_and_no_idle_time_is_saved_up() {
        let link = Link { latency: Duration::ZERO, bytes_per_second: Some(1000) };
        let mut pace = Pace::new(link);
        let start = pace.free_at;
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        assert_eq!(pace.take(start, 500), after(500));
        assert_eq!(pace.take(start, 500), after(1000));
        assert_eq!(pace.take(after(3000), 100), after(3100));
        let unlimited = &mut Pace::new(Link::default());
        assert_eq!(unlimited.take(start, 1 << 40), start);
    }
}
