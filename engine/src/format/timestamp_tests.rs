//! Times as Go writes and reads them, at the ends of the calendar too.

use proptest::prelude::*;

use super::timestamp::{DAY_SECONDS, OFFSET_MINUTES_MAX, days_from_civil};
use super::{ParseTimestampError, Timestamp};

fn at(seconds: i64, nanoseconds: u32, offset_seconds: i32) -> Timestamp {
    Timestamp { seconds, nanoseconds, offset_seconds }
}

#[test]
fn times_are_written_and_read_as_go_does() {
    let cases = [
        (at(0, 0, 0), "1970-01-01T00:00:00Z"),
        (at(1_136_239_445, 0, -25_200), "2006-01-02T15:04:05-07:00"),
        (at(1_136_239_445, 999_999_999, 0), "2006-01-02T22:04:05.999999999Z"),
        (at(1_136_239_445, 120_000_000, 0), "2006-01-02T22:04:05.12Z"),
        (at(1_136_239_445, 1, 19_800), "2006-01-03T03:34:05.000000001+05:30"),
        (at(-1, 500_000_000, 0), "1969-12-31T23:59:59.5Z"),
        (at(-1, 0, 3600), "1970-01-01T00:59:59+01:00"),
        (at(951_782_400, 0, 0), "2000-02-29T00:00:00Z"),
        (at(-2_203_891_200, 0, 0), "1900-03-01T00:00:00Z"),
        (at(-12_219_292_800, 0, 0), "1582-10-15T00:00:00Z"),
        (Timestamp::GO_ZERO, "0001-01-01T00:00:00Z"),
        (at(-62_167_219_200, 0, 0), "0000-01-01T00:00:00Z"),
        (at(253_402_300_799, 999_999_999, 0), "9999-12-31T23:59:59.999999999Z"),
        (at(0, 0, 86_340), "1970-01-01T23:59:00+23:59"),
        (at(0, 0, -86_340), "1969-12-31T00:01:00-23:59"),
        (at(0, 0, -1800), "1969-12-31T23:30:00-00:30"),
    ];
    for (time, text) in cases {
        assert_eq!(time.to_string(), text);
        assert_eq!(Timestamp::parse_rfc3339(text), Ok(time), "{text}");
    }
}

#[test]
fn years_outside_four_digits_are_brought_inside() {
    let cases = [
        // 29 February of the years -4 and -400 stays: year 0 is a leap year.
        (at(days_from_civil(-4, 2, 29) * DAY_SECONDS, 5, 0), "0000-02-29T00:00:00.000000005Z"),
        (at(days_from_civil(-1, 12, 31) * DAY_SECONDS, 0, 0), "0000-12-31T00:00:00Z"),
        (at(days_from_civil(10_000, 1, 1) * DAY_SECONDS, 0, 0), "9999-01-01T00:00:00Z"),
        (at(days_from_civil(10_000, 2, 29) * DAY_SECONDS, 0, 0), "9999-03-01T00:00:00Z"),
        // The year is that of the zone.
        (at(253_402_300_799, 0, 3600), "9999-01-01T00:59:59+01:00"),
    ];
    for (time, text) in cases {
        assert_eq!(time.to_string(), text);
    }
}

#[test]
fn an_offset_with_seconds_keeps_the_instant() {
    for (offset, text) in [
        (3208, "1970-01-01T00:53:00+00:53"),
        (-3208, "1969-12-31T23:07:00-00:53"),
        (59, "1970-01-01T00:00:00Z"),
        (i32::MAX, "1970-01-01T23:59:00+23:59"),
        (i32::MIN, "1969-12-31T00:01:00-23:59"),
    ] {
        let time = at(0, 0, offset);
        assert_eq!(time.to_string(), text);
        assert!(Timestamp::parse_rfc3339(text).unwrap().same_instant(&time), "{text}");
    }
}

#[test]
fn what_go_refuses_is_refused() {
    for text in [
        "",
        "null",
        "2006-01-02",
        "2006-01-02T15:04:05",
        "2006-01-02 15:04:05Z",
        "2006-01-02t15:04:05z",
        "2006-01-02T15:04:05.Z",
        "2006-01-02T15:04:05,5Z",
        "2006-01-02T15:04:60Z",
        "2006-01-02T24:00:00Z",
        "2006-01-02T5:04:05Z",
        "2006-02-29T15:04:05Z",
        "2006-13-02T15:04:05Z",
        "2006-00-02T15:04:05Z",
        "2006-01-00T15:04:05Z",
        "-006-01-02T15:04:05Z",
        "+2006-01-02T15:04:05Z",
        "12006-01-02T15:04:05Z",
        "2006-01-02T15:04:05+24:00",
        "2006-01-02T15:04:05+01:60",
        "2006-01-02T15:04:05+0100",
        "2006-01-02T15:04:05+01",
        "2006-01-02T15:04:05Zx",
        "2006-01-02T15:04:05ZZ",
        "2006-01-02T15:04:0€",
    ] {
        assert_eq!(Timestamp::parse_rfc3339(text), Err(ParseTimestampError), "{text:?}");
    }
}

#[test]
fn other_spellings_that_go_takes_are_read() {
    for (text, time) in [
        ("1970-01-01T00:00:00+00:00", at(0, 0, 0)),
        ("1970-01-01T00:00:00-00:00", at(0, 0, 0)),
        ("1970-01-01T00:00:00.1234567899Z", at(0, 123_456_789, 0)),
        ("1970-01-01T00:00:00.500Z", at(0, 500_000_000, 0)),
    ] {
        assert_eq!(Timestamp::parse_rfc3339(text), Ok(time), "{text}");
    }
}

#[test]
fn the_ends_of_the_range_are_written_without_overflow() {
    for seconds in [i64::MIN, i64::MAX] {
        let text = at(seconds, u32::MAX, i32::MAX).to_string();
        assert!(Timestamp::parse_rfc3339(&text).is_ok(), "{text}");
    }
}

#[test]
fn system_times_before_1970_come_back() {
    for (seconds, nanoseconds) in [(-1, 1), (-1, 0), (-2, 999_999_999), (0, 0), (0, 1), (-86_400, 5)] {
        let time = Timestamp::from_unix(seconds, nanoseconds);
        assert_eq!(Timestamp::from(time.to_system_time().unwrap()), time);
    }
}

proptest! {
    #[test]
    fn every_storable_time_comes_back(
        seconds in -62_167_219_200i64 + 86_400..253_402_300_800 - 86_400,
        nanoseconds in 0u32..1_000_000_000,
        minutes in -OFFSET_MINUTES_MAX..=OFFSET_MINUTES_MAX,
    ) {
        let time = at(seconds, nanoseconds, minutes * 60);
        prop_assert_eq!(Timestamp::parse_rfc3339(&time.to_string()), Ok(time));
    }

    #[test]
    fn dates_agree_with_chrono(days in -719_528i64..2_932_897) {
        let date = chrono::DateTime::from_timestamp(days * DAY_SECONDS, 0).unwrap();
        let expected = date.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        prop_assert_eq!(at(days * DAY_SECONDS, 0, 0).to_string(), expected);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[0-9TZ:.+€-]{0,40}") {
        let _ = Timestamp::parse_rfc3339(&text);
    }
}
