//! How many restarts in how long, and the delays between them.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::retry::Backoff;

/// Restarts of one child within [`RESTARTS_WINDOW`], unless the settings say otherwise. More than the three
/// deaths that one bad message may cause ([`super::DELIVERIES_MAX`]), so that such a message and an accident
/// beside it end no supervision; few enough that what cannot be cured is said within seconds.
pub const RESTARTS_MAX: u32 = 5;

/// The time in which restarts are counted together.
pub const RESTARTS_WINDOW: Duration = Duration::from_secs(60);

/// The delays before the second and later restarts within the window: a journal that is busy for a moment
/// gets that moment, and nobody who waits for the child waits long.
pub const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(5) };

/// A child's restart intensity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// So many restarts are made within the window; the next death is final.
    pub restarts_max: u32,
    /// The window, which slides.
    pub window: Duration,
    /// The delays after the first restart of a window, which has none.
    pub backoff: Backoff,
}

impl Default for Intensity {
    fn default() -> Self {
        Self { restarts_max: RESTARTS_MAX, window: RESTARTS_WINDOW, backoff: BACKOFF }
    }
}

/// The restarts of one child that still count. Holds at most `restarts_max` instants.
pub(super) struct RestartLog {
    intensity: Intensity,
    recent: VecDeque<Instant>,
}

impl RestartLog {
    pub(super) fn new(intensity: Intensity) -> Self {
        Self { intensity, recent: VecDeque::new() }
    }

    /// The delay before the restart after a death at `now`; `None` if there is to be none.
    pub(super) fn next_restart(&mut self, now: Instant) -> Option<Duration> {
        let window = self.intensity.window;
        while self.recent.front().is_some_and(|&death| now.duration_since(death) >= window) {
            self.recent.pop_front();
        }
        let before = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if before >= self.intensity.restarts_max {
            return None;
        }
        self.recent.push_back(now);
        Some(if before == 0 { Duration::ZERO } else { self.intensity.backoff.delay(before) })
    }
}
