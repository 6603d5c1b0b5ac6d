//! Signs of life for a service manager that wants them (`WatchdogSec=` of systemd): given as long as the actors answer.
//!
//! A refusal is an answer: with a journal on a full disk everything is refused, and nothing hangs that a new start
//! would set right.

use std::time::Duration;

use keepwell_actors::Handle;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

/// Asked more often, the actors would have little else to do.
const ASKED_EVERY_MIN: Duration = Duration::from_millis(100);

/// Gives them, if they are wanted.
pub async fn keep_alive(handle: Handle) {
    let mut wanted_within_micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut wanted_within_micros) {
        return;
    }
    let rhythm = Rhythm::of(Duration::from_micros(wanted_within_micros));
    let mut turn = interval(rhythm.asked_every);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        match timeout(rhythm.answered_within, handle.lives()).await {
            Ok(true) => super::tell_service_manager(&[NotifyState::Watchdog]),
            Ok(false) | Err(_) => warn!("the actors do not answer; the service manager gets no sign of life"),
        }
    }
}

/// How often the actors are asked, and how long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rhythm {
    asked_every: Duration,
    answered_within: Duration,
}

impl Rhythm {
    /// Of signs that are wanted within a time: after one answer that does not come there is time for another.
    fn of(wanted_within: Duration) -> Self {
        Self {
            asked_every: (wanted_within / 4).max(ASKED_EVERY_MIN),
            answered_within: (wanted_within / 2).max(ASKED_EVERY_MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_leaves_time_for_another_one_before_a_sign_is_missed() {
        for wanted_within in [400, 1_000, 30_000, 600_000].map(Duration::from_millis) {
            let Rhythm { asked_every, answered_within } = Rhythm::of(wanted_within);
            assert_eq!(asked_every, wanted_within / 4);
            // A sign, then an answer that does not come, then one that takes a while.
            assert!(asked_every + answered_within + asked_every <= wanted_within, "{wanted_within:?}");
        }
        assert_eq!(Rhythm::of(Duration::from_millis(1)).asked_every, ASKED_EVERY_MIN);
    }
}
