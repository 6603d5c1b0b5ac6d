//! Whether and when a failed request is made again. Pure: what failed, what was spent so far and a random
//! number in, a decision out.
//!
//! Waits double, with full jitter, so that many clients do not come back at once after an outage. A server that
//! says how long to wait is waited for that long; if there is not that much time left, it is given up at once.

use std::time::{Duration, SystemTime};

use chrono::DateTime;

/// The bound of the first wait; small, since most failures are a single lost connection.
pub(super) const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// No wait of our own is longer: a server that is back should not be left alone for long.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A longer wait than this, asked for by a server, is read as this: it fits into no retry time-out anyway.
const ASKED_WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);

/// How long and how often a failed request is tried again.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct RetryLimits {
    /// Tries after the first.
    pub(in crate::store) retries_max: usize,
    /// The longest time between the first failure and the beginning of the last try.
    pub(in crate::store) timeout: Duration,
}

/// What was spent on a request that has failed until now. It is kept while a call is made again with a new
/// signature, so that this does not begin from nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effort {
    /// Tries that failed.
    failures: usize,
    /// Time since the first failure, without waits for our own pace and pauses.
    spent: Duration,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The same again after this long.
    TryAfter(Duration),
    /// No more.
    GiveUp,
}

impl Effort {
    /// Notes a try that failed after `took`.
    pub(super) fn failed(&mut self, took: Duration) {
        if self.failures > 0 {
            self.spent = self.spent.saturating_add(took);
        }
        self.failures += 1;
    }

    /// Notes a wait between tries.
    pub(super) fn waited(&mut self, wait: Duration) {
        self.spent = self.spent.saturating_add(wait);
    }

    /// Tries so far.
    pub(super) fn tries(self) -> usize {
        self.failures
    }

    /// What follows the failure that was noted last, if the same request may succeed. `asked` is what the server
    /// asks to wait, `random` is from 0 to 1.
    pub(super) fn decide(self, limits: RetryLimits, asked: Option<Duration>, random: f64) -> Decision {
        if self.failures > limits.retries_max {
            return Decision::GiveUp;
        }
        let left = limits.timeout.saturating_sub(self.spent);
        let asked = asked.unwrap_or_default();
        if left.is_zero() || asked > left {
            return Decision::GiveUp;
        }
        let own = backoff_max(self.failures).mul_f64(random.clamp(0.0, 1.0));
        Decision::TryAfter(own.max(asked).min(left))
    }
}

/// The bound of the wait after so many failures.
fn backoff_max(failures: usize) -> Duration {
    // Beyond this many the other bound holds.
    let doublings = failures.saturating_sub(1).min(16) as u32;
    BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

/// What a `Retry-After` asks for: seconds, or a date (RFC 9110, 10.2.3). `None` if it is neither.
pub(super) fn asked_wait(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that are too many for a number are a very long time.
        return Some(text.parse().map_or(ASKED_WAIT_MAX, Duration::from_secs).min(ASKED_WAIT_MAX));
    }
    let then: SystemTime = DateTime::parse_from_rfc2822(text).ok()?.into();
    Some(then.duration_since(now).unwrap_or_default().min(ASKED_WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RetryLimits = RetryLimits { retries_max: 10, timeout: Duration::from_secs(180) };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_wait_is_jittered_below_a_bound_that_doubles_or_what_the_server_asks() {
        use Decision::{GiveUp, TryAfter};
        let millis = Duration::from_millis;
        for (failures, spent, asked, random, decision) in [
            (1, 0, None, 0.0, TryAfter(millis(0))),
            (1, 0, None, 1.0, TryAfter(millis(500))),
            (2, 1, None, 1.0, TryAfter(millis(1000))),
            (3, 1, None, 0.5, TryAfter(millis(1000))),
            (7, 1, None, 1.0, TryAfter(seconds(30))),
            (10, 1, None, 1.0, TryAfter(seconds(30))),
            (11, 1, None, 1.0, GiveUp),
            (1, 0, Some(10), 0.5, TryAfter(seconds(10))),
            (7, 1, Some(10), 1.0, TryAfter(seconds(30))),
            (1, 0, Some(180), 0.5, TryAfter(seconds(180))),
            (1, 0, Some(181), 0.5, GiveUp),
            (2, 170, Some(11), 0.5, GiveUp),
            (7, 170, None, 1.0, TryAfter(seconds(10))),
            (7, 180, None, 1.0, GiveUp),
        ] {
            let effort = Effort { failures, spent: seconds(spent) };
            assert_eq!(
                effort.decide(LIMITS, asked.map(seconds), random),
                decision,
                "{effort:?} {asked:?} {random}"
            );
        }
        let none = RetryLimits { retries_max: 0, ..LIMITS };
        assert_eq!(Effort { failures: 1, spent: seconds(0) }.decide(none, None, 0.5), GiveUp);
    }

    #[test]
    fn a_first_try_that_took_long_leaves_all_the_time_for_others() {
        let mut effort = Effort::default();
        effort.failed(seconds(1000));
        assert_eq!(effort.decide(LIMITS, None, 0.0), Decision::TryAfter(Duration::ZERO));
        effort.waited(seconds(30));
        effort.failed(seconds(150));
        assert_eq!((effort.tries(), effort.decide(LIMITS, None, 0.0)), (2, Decision::GiveUp));
    }

    #[test]
    fn both_forms_of_retry_after_are_read_and_others_passed_over() {
        let now: SystemTime = DateTime::parse_from_rfc3339("2015-10-21T07:27:00Z").unwrap().into();
        for (text, wait) in [
            ("0", Some(seconds(0))),
            (" 120 ", Some(seconds(120))),
            ("99999999999999999999999", Some(ASKED_WAIT_MAX)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(seconds(60))),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(seconds(0))),
            ("Wed, 21 Oct 2099 07:00:00 GMT", Some(ASKED_WAIT_MAX)),
            ("", None),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
        ] {
            assert_eq!(asked_wait(text, now), wait, "{text}");
        }
    }
}
