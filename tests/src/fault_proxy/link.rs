//! A link that is not a loopback: so much time for every message, so many bytes a second each way.

use std::time::{Duration, Instant};

/// A piece that comes so soon after the last one is taken as if it had been there before: threads wake late and need
/// their time to read and write, and a link would carry a fifth less than it says.
const LAG_MAX: Duration = Duration::from_millis(5);
/// What is passed on at once takes about this long at the link's pace: a timer is not much finer.
const PIECE_TIME: Duration = Duration::from_micros(2500);
/// Small enough that counts are even.
const PIECE_BYTES_MIN: usize = 16 << 10;
/// As much as a socket takes at once.
const PIECE_BYTES_MAX: usize = 256 << 10;

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

impl Link {
    /// How much is passed on at once.
    pub(super) fn piece_bytes(self) -> usize {
        let even = self.bytes_per_second.map_or(0.0, |rate| rate as f64 * PIECE_TIME.as_secs_f64());
        (even as usize).clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX)
    }
}

impl Pace {
    pub(super) fn new(link: Link) -> Self {
        Self { bytes_per_second: link.bytes_per_second, free_at: Instant::now() }
    }

    /// When these bytes are through, if they are there at `now`.
    pub(super) fn take(&mut self, now: Instant, bytes: u64) -> Instant {
        let Some(bytes_per_second) = self.bytes_per_second else { return now };
        let needed = Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64);
        let is_next = now.saturating_duration_since(self.free_at) < LAG_MAX;
        self.free_at = if is_next { self.free_at } else { now } + needed;
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
        // Late by a little is not idle.
        assert_eq!(pace.take(after(3104), 100), after(3200));
        let unlimited = &mut Pace::new(Link::default());
        assert_eq!(unlimited.take(start, 1 << 40), start);
    }

    #[test]
    fn a_quick_link_passes_larger_pieces_on() {
        for (rate, bytes) in [(None, 16 << 10), (Some(2 << 20), 16 << 10), (Some(50_000_000), 125_000)] {
            let link = Link { latency: Duration::ZERO, bytes_per_second: rate };
            assert_eq!(link.piece_bytes(), bytes);
        }
    }
}
