//! Whether the wall clock jumped between two looks at it.
//!
//! A machine that slept, a clock that was set and a clock that NTP stepped all
//! look the same: wall time and monotonic time went on by different amounts.
//! (On Linux the monotonic clock stands still while the machine sleeps.) After
//! a jump the scheduler does what it does at a start. Changes to summer time
//! and back are no jumps: instants are UTC.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A smaller difference is drift. Clocks that NTP slews differ by at most half a millisecond a second, 30 ms
/// between two looks a minute apart; and a due time that is up to this late still runs on time.
pub const CLOCK_JUMP_MIN: Duration = Duration::from_secs(60);

/// What was noted under a time further ahead than this was noted under a wrong clock, as one is whose battery is
/// empty. A smaller difference is believed: a clock that was set back by so much makes nothing due twice.
pub const BELIEVED_AHEAD: TimeDelta = TimeDelta::days(1);

/// The instant, or `now` if it lies further ahead than [`BELIEVED_AHEAD`].
pub fn believed(instant: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    if instant.signed_duration_since(now) > BELIEVED_AHEAD { now } else { instant }
}

/// Both clocks, read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The wall clock.
    pub wall: DateTime<Utc>,
    /// The monotonic clock: time since an arbitrary start, the same for every reading.
    pub monotonic: Duration,
}

/// What the wall clock did beyond the time that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockJump {
    /// Nothing worth noticing.
    None,
    /// It went forward by so much more, at least [`CLOCK_JUMP_MIN`].
    Forward(Duration),
    /// It went forward by so much less, or back, at least [`CLOCK_JUMP_MIN`].
    Backward(Duration),
}

/// Compares two readings. A monotonic clock that seems to have run backwards counts as one that stood still.
pub fn jump_between(previous: ClockReading, now: ClockReading) -> ClockJump {
    let passed =
        TimeDelta::from_std(now.monotonic.saturating_sub(previous.monotonic)).unwrap_or(TimeDelta::MAX);
    let shown = now.wall.signed_duration_since(previous.wall);
    let Some(excess) = shown.checked_sub(&passed) else {
        // Only a monotonic clock that claims millions of years takes this out of range.
        return ClockJump::Backward(Duration::MAX);
    };
    match (excess.to_std(), excess.abs().to_std()) {
        (Ok(forward), _) if forward >= CLOCK_JUMP_MIN => ClockJump::Forward(forward),
        (Err(_), Ok(backward)) if backward >= CLOCK_JUMP_MIN => ClockJump::Backward(backward),
        _ => ClockJump::None,
    }
}
