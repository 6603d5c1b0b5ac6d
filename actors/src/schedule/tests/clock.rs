//! Timers and the clocks they are measured with.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::{CLOCK_JUMP_MIN, ClockJump, ClockReading, TIMER_MAX, jump_between, timer_for};
use super::{seconds, utc};

#[test]
fn timer_waits_for_its_instant_and_at_most_20_days() {
    let now = utc("2026-01-01T00:00:00Z");
    let day = 86_400;
    let cases = [
        (now, Duration::ZERO),
        (now - seconds(1), Duration::ZERO),
        (now + seconds(1), Duration::from_secs(1)),
        (utc("2026-01-01T00:00:00.000000001Z"), Duration::from_nanos(1)),
        (now + seconds(20 * day), Duration::from_secs(1_728_000)),
        (now + seconds(20 * day + 1), TIMER_MAX),
        (DateTime::<Utc>::MAX_UTC, TIMER_MAX),
        (DateTime::<Utc>::MIN_UTC, Duration::ZERO),
    ];
    for (instant, wait) in cases {
        assert_eq!(timer_for(instant, now, TIMER_MAX), wait, "{instant}");
    }
}

#[test]
fn jump_is_what_the_wall_clock_did_beyond_the_time_that_passed() {
    let minute = Duration::from_secs(60);
    let hour = Duration::from_secs(3_600);
    let cases = [
        // (wall seconds, monotonic seconds)
        ((60, 60), ClockJump::None),
        ((119, 60), ClockJump::None),
        ((120, 60), ClockJump::Forward(minute)),
        ((1, 60), ClockJump::None),
        ((0, 60), ClockJump::Backward(minute)),
        // The lid was closed for an hour.
        ((3_660, 60), ClockJump::Forward(hour)),
        // The clock was set back by an hour.
        ((-3_540, 60), ClockJump::Backward(hour)),
        // Two looks 20 days apart, and nothing happened.
        ((1_728_000, 1_728_000), ClockJump::None),
    ];
    let start = utc("2026-03-29T00:59:30Z");
    for ((wall, monotonic), jump) in cases {
        let previous = ClockReading { wall: start, monotonic: hour };
        let now =
            ClockReading { wall: start + seconds(wall), monotonic: hour + Duration::from_secs(monotonic) };
        assert_eq!(jump_between(previous, now), jump, "{wall} s on the wall, {monotonic} s passed");
    }
    assert_eq!(CLOCK_JUMP_MIN, minute);
}

#[test]
fn readings_at_the_ends_of_their_range_are_compared_too() {
    let at = |wall, monotonic| ClockReading { wall, monotonic };
    let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    let forward = last.signed_duration_since(first).to_std().unwrap();
    let zero = Duration::ZERO;
    assert_eq!(jump_between(at(first, zero), at(last, zero)), ClockJump::Forward(forward));
    assert_eq!(jump_between(at(last, zero), at(first, zero)), ClockJump::Backward(forward));
    assert_eq!(jump_between(at(last, zero), at(first, Duration::MAX)), ClockJump::Backward(Duration::MAX));
    assert_eq!(jump_between(at(first, Duration::MAX), at(first, zero)), ClockJump::None);
}
