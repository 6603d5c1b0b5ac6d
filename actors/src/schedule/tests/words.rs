//! What can be written, and what is said about what cannot.

use chrono_tz::TZ_VARIANTS;
use keepwell_messages::ScheduleText;

use super::super::{CronField, Schedule, ScheduleError};
use super::{due_times, parse, schedule, utc};

#[test]
fn every_form_is_read_in_any_case_and_spacing() {
    let cases = [
        ("every 4h", "2026-01-01T04:00:00Z"),
        ("  EVERY   90M ", "2026-01-01T01:30:00Z"),
        ("every 60s", "2026-01-01T00:01:00Z"),
        ("every 1m", "2026-01-01T00:01:00Z"),
        ("every 2d", "2026-01-03T00:00:00Z"),
        ("every 52w", "2026-12-31T00:00:00Z"),
        ("every 366d", "2027-01-02T00:00:00Z"),
        ("daily 02:00", "2026-01-01T02:00:00Z"),
        ("Daily 2:00", "2026-01-01T02:00:00Z"),
        ("daily 00:00", "2026-01-02T00:00:00Z"),
        ("daily 23:59", "2026-01-01T23:59:00Z"),
        ("weekly sun 03:30", "2026-01-04T03:30:00Z"),
        ("weekly Thursday 00:01", "2026-01-01T00:01:00Z"),
        ("monthly 1 04:00", "2026-01-01T04:00:00Z"),
        ("monthly 01 00:00", "2026-02-01T00:00:00Z"),
        ("0 3 * * *", "2026-01-01T03:00:00Z"),
        ("*/7 * * * *", "2026-01-01T00:07:00Z"),
        ("59 23 31 dec *", "2026-12-31T23:59:00Z"),
        ("0 3 * * 7", "2026-01-04T03:00:00Z"),
        ("0 3 * * mon-fri", "2026-01-01T03:00:00Z"),
        ("0 3 13 * fri", "2026-01-02T03:00:00Z"),
        ("0 3 13 * +fri", "2026-02-13T03:00:00Z"),
        ("0 3 L * *", "2026-01-31T03:00:00Z"),
        ("0 3 1W 8 *", "2026-08-03T03:00:00Z"),
        ("0 3 * * 5L", "2026-01-30T03:00:00Z"),
        ("0 3 * * 1#2", "2026-01-12T03:00:00Z"),
        ("0 3 29 2 +mon", "2044-02-29T03:00:00Z"),
        ("@daily", "2026-01-02T00:00:00Z"),
        ("@hourly", "2026-01-01T01:00:00Z"),
    ];
    for (spec, first) in cases {
        let due = due_times(&schedule(spec, " UTC "), utc("2026-01-01T00:00:00Z"), 1);
        assert_eq!(due, [utc(first)], "{spec}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_write_instead() {
    let cases = [
        ("", "the schedule is empty: write a cron line"),
        (" \t ", "is empty"),
        ("fortnightly", "\"fortnightly\" is no schedule: write a cron line"),
        ("every", "\"every\" has too few or too many words: write it like `every 4h`"),
        ("every 4 h", "`every 4h`"),
        ("daily", "`daily 02:00`"),
        ("daily 02:00 03:00", "`daily 02:00`"),
        ("weekly sun", "`weekly sun 03:30`"),
        ("monthly 04:00", "`monthly 1 04:00`"),
        ("every 4", "\"4\" is no interval"),
        ("every h", "\"h\" is no interval"),
        ("every -4h", "\"-4h\" is no interval"),
        ("every 1.5h", "\"1.5h\" is no interval"),
        ("every 4x", "\"4x\" is no interval"),
        ("every 4ℎ", "is no interval"),
        ("every 0s", "\"0s\" is too short an interval: at least 60 s, like `every 1m`"),
        ("every 59s", "too short"),
        ("every 367d", "\"367d\" is too long an interval: at most 366 days"),
        ("every 53w", "too long"),
        ("every 99999999999999999999999w", "too long"),
        ("daily 25:00", "\"25:00\" is no time of day: write hours 0 to 23"),
        ("daily 24:00", "no time of day"),
        ("daily 02:60", "no time of day"),
        ("daily 2:0", "no time of day"),
        ("daily +2:00", "no time of day"),
        ("daily 02:00:00", "no time of day"),
        ("daily 2am", "no time of day"),
        ("weekly sonntag 03:30", "\"sonntag\" is no weekday: write one of mon"),
        ("monthly 32 04:00", "\"32\" is no day of a month: write 1 to 31"),
        ("monthly 0 04:00", "no day of a month"),
        ("monthly last 04:00", "31 is the last day"),
        (
            "0 3 * *",
            "five fields (minute, hour, day of month, month, day of week), like `0 3 * * *`; \"0 3 * *\" has 4",
        ),
        ("0 0 3 * * *", "has 6"),
        ("60 3 * * *", "\"60\" is no minute of a cron line: write 0 to 59"),
        ("0 25 * * *", "\"25\" is no hour of a cron line: write 0 to 23"),
        ("0 3 32 * *", "\"32\" is no day of the month of a cron line: write 1 to 31"),
        ("0 3 * 13 *", "\"13\" is no month of a cron line"),
        ("0 3 * * 8", "\"8\" is no day of the week of a cron line"),
        ("0 3 * * someday", "\"someday\" is no day of the week"),
        ("1,,2 3 * * *", "\"1,,2\" is no minute"),
        ("0 3, * * *", "\"3,\" is no hour"),
        (
            "*/90 * * * *",
            "\"*/90\" is no minute of a cron line: write 0 to 59, *, a list, a range, or a step of at most 59",
        ),
        ("0 5-3 * * *", "\"5-3\" is no hour"),
        ("*/0 * * * *", "\"*/0\" is no minute"),
        ("x * * * *", "\"x\" is no minute"),
        ("@reboot", "write @hourly, @daily"),
        ("0 3 30 2 *", "\"0 3 30 2 *\" never fires"),
        ("0 3 31 4,6,9,11 *", "never fires"),
        ("0 3 * * L", "never fires"),
        ("daily \u{1b}[2J", "\"\\u{1b}[2J\" is no time of day"),
    ];
    for (spec, said) in cases {
        let error = parse(spec, "UTC").expect_err(spec).to_string();
        assert!(error.contains(said), "{spec:?}: {error}");
    }
    let long = "0,".repeat(1_000) + "0 * * * *";
    assert_eq!(parse(&long, "UTC"), Err(ScheduleError::SpecTooLong { bytes: long.len() }));
}

#[test]
fn error_names_the_field_of_a_cron_line() {
    for (field, spec) in
        CronField::ALL.into_iter().zip(["99 * * * *", "* 99 * * *", "* * 99 * *", "* * * 99 *", "* * * * 99"])
    {
        assert_eq!(
            parse(spec, "UTC"),
            Err(ScheduleError::CronFieldInvalid { field, text: "99".into() }),
            "{spec}"
        );
    }
}

#[test]
fn unknown_zone_is_refused_with_the_one_that_was_meant() {
    let cases = [
        ("Europe/Berln", Some("Europe/Berlin")),
        ("europe/berlin", Some("Europe/Berlin")),
        ("Berlin", Some("Europe/Berlin")),
        ("Germany/Berlin", Some("Europe/Berlin")),
        ("America/New York", Some("America/New_York")),
        ("new york", Some("America/New_York")),
        ("Asia/Calcuta", Some("Asia/Calcutta")),
        ("Kathmandou", Some("Asia/Kathmandu")),
        ("utc", Some("UTC")),
        ("PST", None),
        ("GMT+2", None),
        ("UTC+02:00", None),
        ("+02:00", None),
        ("somewhere", None),
        ("\u{1b}", None),
    ];
    for (name, nearest) in cases {
        let expected = ScheduleError::TimeZoneUnknown { name: name.into(), nearest };
        assert_eq!(parse("daily 02:00", name), Err(expected), "{name}");
    }
    assert_eq!(parse("daily 02:00", "  "), Err(ScheduleError::TimeZoneEmpty));
    let said = parse("daily 02:00", "Europe/Berln").unwrap_err().to_string();
    assert_eq!(said, "there is no time zone \"Europe/Berln\": did you mean Europe/Berlin?");
    let long = parse("daily 02:00", &"ä".repeat(10_000)).unwrap_err().to_string();
    assert!(long.len() < 300, "{long}");
}

#[test]
fn every_zone_of_the_database_is_found() {
    for zone in TZ_VARIANTS {
        assert_eq!(schedule("daily 02:00", zone.name()).time_zone(), zone);
    }
}

#[test]
fn jitter_is_bounded() {
    let with = |jitter_seconds| {
        Schedule::parse(&ScheduleText { spec: "every 4h".into(), time_zone: "UTC".into(), jitter_seconds })
    };
    assert_eq!(with(None).unwrap().jitter().as_secs(), 0);
    assert_eq!(with(Some(86_400)).unwrap().jitter().as_secs(), 86_400);
    assert_eq!(with(Some(86_401)), Err(ScheduleError::JitterTooLong { seconds: 86_401 }));
}
