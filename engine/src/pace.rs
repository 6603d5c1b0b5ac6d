//! How fast bytes may go one way. Everybody who asks is served in the order of asking, in small pieces, so that
//! transfers side by side share the pace evenly.
//!
//! The arithmetic is a schedule: each piece takes the time that it takes at the wished rate, and goes when all
//! before it had theirs. Who comes after a rest finds a quarter of a second saved up, and no more.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::control::Control;
use crate::error::Result;

/// Slower than this, a pack takes hours, and a server takes the connection for dead.
pub const BYTES_PER_SECOND_MIN: u64 = 1 << 10;
/// What may be made up for after a rest: it keeps a coarse clock from costing speed, and 20 seconds within 2 %.
const SAVED_UP_MAX: Duration = Duration::from_millis(250);
/// A piece takes an eighth of a second, so that a pause is felt and turns come soon; within these bounds.
const PIECES_PER_SECOND: u64 = 8;
const PIECE_BYTES_MIN: u64 = 128;
const PIECE_BYTES_MAX: u64 = 32 << 10;

/// A limit that transfers share.
#[derive(Debug)]
pub(crate) struct Pace {
    piece_bytes: u64,
    schedule: Mutex<Schedule>,
}

impl Pace {
    /// At most `bytes_per_second`, over the long run.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        let bytes_per_second = bytes_per_second.max(BYTES_PER_SECOND_MIN);
        Self {
            piece_bytes: (bytes_per_second / PIECES_PER_SECOND).clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX),
            schedule: Mutex::new(Schedule { bytes_per_second, free_from: Instant::now() }),
        }
    }

    /// What is asked for at once.
    pub(crate) fn piece_bytes(&self) -> u64 {
        self.piece_bytes
    }

    /// Returns when so many bytes may go.
    pub(crate) async fn take(&self, bytes: u64) {
        let turn = self.schedule.lock().take(Instant::now(), bytes);
        sleep_until(turn).await;
    }

    /// Returns when so many bytes that have gone had their time; a job that is cancelled waits no longer.
    pub(crate) fn make_up_for(&self, bytes: u64, control: &Control) -> Result<()> {
        let now = Instant::now();
        let had_their_time = {
            let mut schedule = self.schedule.lock();
            schedule.take(now, bytes);
            schedule.free_from
        };
        control.sleep(had_their_time.saturating_duration_since(now))
    }
}

#[derive(Clone, Copy, Debug)]
struct Schedule {
    bytes_per_second: u64,
    /// When all that was asked for until now has had its time.
    free_from: Instant,
}

impl Schedule {
    /// When bytes that are asked for at `now` may go.
    fn take(&mut self, now: Instant, bytes: u64) -> Instant {
        let oldest = now.checked_sub(SAVED_UP_MAX).unwrap_or(now);
        let turn = self.free_from.max(oldest);
        self.free_from = turn + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn each_piece_goes_when_those_before_it_had_their_time() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut schedule = Schedule { bytes_per_second: 1000, free_from: start };
        for (now, bytes, turn) in [
            (0, 500, 0),
            (0, 100, 500),
            (100, 400, 600),
            (1000, 1000, 1000),
            (2100, 100, 2000),
            // After a rest a quarter of a second is saved up.
            (60_000, 200, 59_750),
            (60_000, 50, 59_950),
            (60_000, 1000, 60_000),
            (60_000, 1, 61_000),
        ] {
            assert_eq!(schedule.take(at(now), bytes), at(turn), "{bytes} bytes at {now} ms");
        }
    }

    #[test]
    fn pieces_fit_the_pace() {
        for (bytes_per_second, piece) in [(0, 128), (1 << 10, 128), (64 << 10, 8 << 10), (2 * MIB, 32 << 10)]
        {
            assert_eq!(Pace::new(bytes_per_second).piece_bytes(), piece);
        }
    }

    #[test]
    fn twenty_seconds_hold_what_was_wished_and_those_who_ask_share_it_evenly() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let pace = Pace::new(2 * MIB);
            let end = Instant::now() + Duration::from_secs(20);
            let go = || async {
                let mut bytes = 0;
                while Instant::now() < end {
                    pace.take(pace.piece_bytes()).await;
                    bytes += pace.piece_bytes();
                }
                bytes
            };
            let shares: [u64; 3] = futures::future::join3(go(), go(), go()).await.into();
            let sum: u64 = shares.iter().sum();
            assert!(sum.abs_diff(40 * MIB) < 2 * MIB, "{sum}");
            assert!(shares.iter().all(|share| share.abs_diff(sum / 3) < sum / 30), "{shares:?}");
        });
    }
}
