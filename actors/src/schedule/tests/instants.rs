//! Due times written out by hand, in UTC, where clocks change.

use chrono::{DateTime, Utc};

use super::{due_times, schedule, utc};

/// A schedule, its zone, and consecutive due times; they are asked for from just before the first.
type Case = (&'static str, &'static str, &'static [&'static str]);

fn check(cases: &[Case]) {
    for (spec, zone, expected) in cases {
        let expected: Vec<DateTime<Utc>> = expected.iter().map(|instant| utc(instant)).collect();
        let schedule = schedule(spec, zone);
        let due = due_times(&schedule, expected[0] - super::seconds(1), expected.len());
        assert_eq!(due, expected, "{spec} in {zone}");
        let last = expected[expected.len() - 1];
        assert_eq!(schedule.latest_due(last, expected[0]), Some(last), "{spec} in {zone}");
    }
}

#[test]
fn due_time_in_a_gap_runs_at_the_first_instant_after_it() {
    check(&[
        (
            "daily 02:30",
            "Europe/Berlin",
            &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
        ),
        (
            "weekly sun 02:00",
            "Europe/Berlin",
            &["2026-03-22T01:00:00Z", "2026-03-29T01:00:00Z", "2026-04-05T00:00:00Z"],
        ),
        (
            "30 2 * * *",
            "America/New_York",
            &["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
        ),
        // 02:00 to 02:30: a summer time of half an hour.
        (
            "daily 02:15",
            "Australia/Lord_Howe",
            &["2026-10-02T15:45:00Z", "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"],
        ),
        // Clocks changed at 00:01.
        (
            "daily 00:30",
            "America/St_Johns",
            &["2010-03-13T04:00:00Z", "2010-03-14T03:31:00Z", "2010-03-15T03:00:00Z"],
        ),
        // Midnight itself did not exist.
        (
            "daily 00:00",
            "America/Sao_Paulo",
            &["2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"],
        ),
    ]);
}

#[test]
fn civil_times_that_a_gap_puts_on_one_instant_are_one_due_time() {
    check(&[
        // 01:30, then 02:00, 02:30 and 03:00 at once, then 03:30.
        (
            "*/30 * * * *",
            "Europe/Berlin",
            &["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
        ),
        (
            "15,45 2 * * *",
            "Europe/Berlin",
            &["2026-03-28T01:45:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:15:00Z"],
        ),
        (
            "0 2,3 * * *",
            "Europe/Berlin",
            &["2026-03-28T02:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"],
        ),
    ]);
}

#[test]
fn due_time_in_an_overlap_runs_once_the_first_time() {
    check(&[
        (
            "daily 02:30",
            "Europe/Berlin",
            &["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        ),
        (
            "daily 01:30",
            "America/New_York",
            &["2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
        ),
        // 01:30 to 02:00 came twice.
        (
            "daily 01:45",
            "Australia/Lord_Howe",
            &["2026-04-03T14:45:00Z", "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"],
        ),
        // Saturday's last hour came twice.
        (
            "daily 23:30",
            "America/Sao_Paulo",
            &["2018-02-17T01:30:00Z", "2018-02-18T01:30:00Z", "2018-02-19T02:30:00Z"],
        ),
        // 02:00 and 02:30 in the first pass, nothing in the second, then 03:00.
        (
            "*/30 * * * *",
            "Europe/Berlin",
            &["2026-10-24T23:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"],
        ),
    ]);
}

#[test]
fn search_from_the_second_pass_of_an_overlap_repeats_nothing() {
    let half_hourly = schedule("*/30 * * * *", "Europe/Berlin");
    for after in
        ["2026-10-25T01:00:00Z", "2026-10-25T01:29:59Z", "2026-10-25T01:30:00Z", "2026-10-25T01:59:59Z"]
    {
        let after = utc(after);
        assert_eq!(half_hourly.next_due(after, after), Some(utc("2026-10-25T02:00:00Z")), "after {after}");
        assert_eq!(half_hourly.latest_due(after, after), Some(utc("2026-10-25T00:30:00Z")), "until {after}");
    }
}

#[test]
fn zones_off_the_full_hour_keep_their_minutes() {
    check(&[
        ("daily 02:00", "Asia/Kolkata", &["2026-06-30T20:30:00Z", "2026-07-01T20:30:00Z"]),
        ("0 2 * * *", "Asia/Kathmandu", &["2026-06-30T20:15:00Z", "2026-07-01T20:15:00Z"]),
        ("daily 02:00", "Australia/Eucla", &["2026-06-30T17:15:00Z", "2026-07-01T17:15:00Z"]),
        ("monthly 1 00:10", "Pacific/Chatham", &["2026-06-30T11:25:00Z", "2026-07-31T11:25:00Z"]),
    ]);
}

#[test]
fn zones_that_changed_their_rules() {
    check(&[
        // Samoa crossed the date line: the 30th of December 2011 did not exist.
        (
            "daily 02:00",
            "Pacific/Apia",
            &["2011-12-29T12:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T12:00:00Z", "2011-12-31T12:00:00Z"],
        ),
        (
            "weekly fri 03:30",
            "Pacific/Apia",
            &["2011-12-23T13:30:00Z", "2011-12-30T10:00:00Z", "2012-01-05T13:30:00Z"],
        ),
        // North Korea went back by half an hour in 2015 and forward again in 2018.
        (
            "daily 23:45",
            "Asia/Pyongyang",
            &["2015-08-13T14:45:00Z", "2015-08-14T14:45:00Z", "2015-08-15T15:15:00Z"],
        ),
        (
            "daily 23:45",
            "Asia/Pyongyang",
            &["2018-05-03T15:15:00Z", "2018-05-04T15:00:00Z", "2018-05-05T14:45:00Z"],
        ),
        // Turkey left summer time in 2015, two weeks late, and never again.
        (
            "daily 03:30",
            "Europe/Istanbul",
            &["2015-11-07T00:30:00Z", "2015-11-08T00:30:00Z", "2015-11-09T01:30:00Z"],
        ),
        (
            "daily 03:30",
            "Europe/Istanbul",
            &["2016-10-29T00:30:00Z", "2016-10-30T00:30:00Z", "2016-10-31T00:30:00Z"],
        ),
        (
            "daily 03:30",
            "Europe/Istanbul",
            &["2016-11-05T00:30:00Z", "2016-11-06T00:30:00Z", "2016-11-07T00:30:00Z"],
        ),
        // Morocco goes back for Ramadan.
        (
            "daily 02:30",
            "Africa/Casablanca",
            &["2026-02-14T01:30:00Z", "2026-02-15T01:30:00Z", "2026-02-16T02:30:00Z"],
        ),
        (
            "daily 02:30",
            "Africa/Casablanca",
            &["2026-03-21T02:30:00Z", "2026-03-22T02:00:00Z", "2026-03-23T01:30:00Z"],
        ),
        // Brazil has had no summer time since 2019.
        (
            "daily 00:00",
            "America/Sao_Paulo",
            &["2019-11-02T03:00:00Z", "2019-11-03T03:00:00Z", "2019-11-04T03:00:00Z"],
        ),
    ]);
}

#[test]
fn every_counts_elapsed_time_from_its_anchor_whatever_clocks_do() {
    // A fraction of a second is not the anchor's: a store that drops it changes nothing.
    for anchor in ["2026-03-28T20:00:07Z", "2026-03-28T20:00:07.9Z"].map(utc) {
        let schedule = schedule("every 4h", "Europe/Berlin");
        let expected = ["2026-03-29T00:00:07Z", "2026-03-29T04:00:07Z", "2026-03-29T08:00:07Z"]
            .map(|due| Some(utc(due)));
        let after = [anchor, utc("2026-03-29T00:00:07Z"), utc("2026-03-29T08:00:06.999Z")];
        assert_eq!(after.map(|after| schedule.next_due(after, anchor)), expected);
        // However long ago the anchor is, and before it too.
        assert_eq!(schedule.next_due(utc("1970-01-01T00:00:00Z"), anchor), expected[0]);
        assert_eq!(schedule.next_due(utc("2036-03-28T00:00:06Z"), anchor), Some(utc("2036-03-28T00:00:07Z")));
        assert_eq!(
            schedule.latest_due(utc("2026-03-29T00:00:06Z"), anchor),
            None,
            "the anchor is no due time"
        );
        assert_eq!(schedule.latest_due(utc("2026-03-29T07:59:59Z"), anchor), expected[1]);
    }
}

#[test]
fn day_that_a_month_lacks_is_its_last() {
    check(&[
        (
            "monthly 31 04:00",
            "UTC",
            &[
                "2027-12-31T04:00:00Z",
                "2028-01-31T04:00:00Z",
                "2028-02-29T04:00:00Z",
                "2028-03-31T04:00:00Z",
                "2028-04-30T04:00:00Z",
            ],
        ),
        (
            "monthly 30 04:00",
            "UTC",
            &["2027-01-30T04:00:00Z", "2027-02-28T04:00:00Z", "2027-03-30T04:00:00Z"],
        ),
        (
            "monthly 29 04:00",
            "UTC",
            &["2100-01-29T04:00:00Z", "2100-02-28T04:00:00Z", "2100-03-29T04:00:00Z"],
        ),
        // Cron lines mean the date as it is written.
        ("0 4 31 * *", "UTC", &["2028-01-31T04:00:00Z", "2028-03-31T04:00:00Z", "2028-05-31T04:00:00Z"]),
    ]);
}

#[test]
fn leap_day_comes_when_there_is_one() {
    check(&[
        ("0 4 29 2 *", "UTC", &["2028-02-29T04:00:00Z", "2032-02-29T04:00:00Z", "2036-02-29T04:00:00Z"]),
        ("0 4 29 2 *", "UTC", &["2096-02-29T04:00:00Z", "2104-02-29T04:00:00Z"]),
        // The longest that any schedule rests.
        ("0 4 29 2 +mon", "UTC", &["2072-02-29T04:00:00Z", "2112-02-29T04:00:00Z"]),
    ]);
}

#[test]
fn outside_the_calendar_nothing_is_due() {
    let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    for spec in ["every 366d", "daily 02:00", "* * * * *"] {
        for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago"] {
            let schedule = schedule(spec, zone);
            let anchor = utc("2026-01-01T00:00:00Z");
            assert_eq!(schedule.next_due(last, anchor), None, "{spec}");
            assert_eq!(schedule.latest_due(first, anchor), None, "{spec}");
        }
    }
    let schedule = schedule("every 366d", "UTC");
    assert_eq!([first, last].map(|after| schedule.next_due(after, last)), [None, None]);
}
