//! How long a timer for a due time may run.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// No timer is longer, whatever the settings say: whoever waits looks at the clock again at least this often.
pub const TIMER_MAX: Duration = Duration::from_secs(20 * 86_400);

/// How long to wait now for `instant`: at most `timer_max`, after which the rest is asked for again, and
/// zero once it has come. Fractions are kept, so a timer that ran its time has not fallen short of it.
pub fn timer_for(instant: DateTime<Utc>, now: DateTime<Utc>, timer_max: Duration) -> Duration {
    instant.signed_duration_since(now).to_std().unwrap_or(Duration::ZERO).min(timer_max.min(TIMER_MAX))
}
