//! Jitter, and what a start finds missed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use keepwell_messages::ScheduleText;

use super::super::{DueTime, MISSED_COUNT_MAX, MissedDueTimes, Schedule, Timetable};
use super::{seconds, utc};

fn timetable(spec: &str, zone: &str, jitter_seconds: u32, item_id: &str) -> Timetable {
    let text = ScheduleText {
        spec: spec.into(),
        time_zone: zone.into(),
        jitter_seconds: Some(jitter_seconds).filter(|&seconds| seconds > 0),
    };
    Timetable {
        schedule: Schedule::parse(&text).unwrap(),
        anchor: utc("2026-01-01T00:00:00Z"),
        item_id: item_id.into(),
    }
}

fn plain(due: &str) -> DueTime {
    DueTime { due: utc(due), starts_at: utc(due) }
}

#[test]
fn start_finds_missed_due_times_and_whether_they_are_overdue() {
    let daily = timetable("daily 02:00", "UTC", 0, "photos");
    let minutely = timetable("every 1m", "UTC", 0, "photos");
    let covered = "2026-01-05T02:00:00Z";
    let next = "2026-01-06T02:00:00Z";
    let cases = [
        // (timetable, now, first, last, count, overdue)
        (&daily, "2026-01-05T02:00:00Z", None),
        (&daily, "2026-01-06T01:59:59.999Z", None),
        (&daily, "2026-01-06T02:00:00Z", Some((next, next, 1, false))),
        (&daily, "2026-01-06T02:01:00Z", Some((next, next, 1, false))),
        (&daily, "2026-01-06T02:01:00.001Z", Some((next, next, 1, true))),
        (&daily, "2026-01-09T01:00:00Z", Some((next, "2026-01-08T02:00:00Z", 3, true))),
        // The last of them is on time, the first is not: one task, and it is a catch-up.
        (&daily, "2026-01-09T02:00:30Z", Some((next, "2026-01-09T02:00:00Z", 4, true))),
        // Two within a minute: the later one simply runs and covers the earlier.
        (&minutely, "2026-01-05T02:02:00Z", Some(("2026-01-05T02:01:00Z", "2026-01-05T02:02:00Z", 2, false))),
        (&minutely, "2026-01-05T02:02:01Z", Some(("2026-01-05T02:01:00Z", "2026-01-05T02:02:00Z", 2, true))),
        // The clock was set back: nothing is due a second time.
        (&daily, "2026-01-03T12:00:00Z", None),
    ];
    for (timetable, now, expected) in cases {
        let expected = expected.map(|(first, last, count, overdue)| MissedDueTimes {
            first: plain(first),
            last: plain(last),
            count,
            overdue,
        });
        assert_eq!(timetable.missed(utc(covered), utc(now)), expected, "at {now}");
    }
}

#[test]
fn after_a_catch_up_the_schedule_goes_on() {
    let daily = timetable("daily 02:00", "Europe/Berlin", 0, "photos");
    let missed = daily.missed(daily.anchor, utc("2026-03-29T12:00:00Z")).unwrap();
    assert_eq!((missed.count, missed.first.due), (88, utc("2026-01-01T01:00:00Z")));
    assert_eq!(missed.last.due, utc("2026-03-29T01:00:00Z"));
    assert_eq!(daily.next(missed.last.due), Some(plain("2026-03-30T00:00:00Z")));
    assert_eq!(daily.missed(missed.last.due, utc("2026-03-29T12:00:00Z")), None);
}

#[test]
fn missed_due_times_of_years_are_counted_to_a_bound() {
    let now = utc("2036-01-01T00:00:30Z");
    let cases = [
        ("* * * * *", MISSED_COUNT_MAX, "2036-01-01T00:00:00Z"),
        ("every 1m", MISSED_COUNT_MAX, "2036-01-01T00:00:00Z"),
        ("daily 02:00", MISSED_COUNT_MAX, "2035-12-31T02:00:00Z"),
        ("monthly 31 00:00", 120, "2035-12-31T00:00:00Z"),
    ];
    for (spec, count, last) in cases {
        let timetable = timetable(spec, "UTC", 0, "photos");
        let missed = timetable.missed(timetable.anchor, now).unwrap();
        assert_eq!((missed.count, missed.last.due, missed.overdue), (count, utc(last), true), "{spec}");
    }
}

#[test]
fn nothing_is_due_before_the_anchor() {
    let daily = timetable("daily 02:00", "UTC", 0, "photos");
    let long_ago = utc("1980-01-01T00:00:00Z");
    assert_eq!(daily.next(long_ago), Some(plain("2026-01-01T02:00:00Z")));
    assert_eq!(daily.missed(long_ago, utc("2026-01-02T12:00:00Z")).unwrap().count, 2);
    assert_eq!(daily.missed(long_ago, utc("2025-06-01T00:00:00Z")), None);
}

#[test]
fn jitter_is_the_same_again_and_different_for_others() {
    let photos = timetable("daily 02:00", "UTC", 3_600, "photos");
    let due = utc("2026-01-01T02:00:00Z");
    let first = photos.next(photos.anchor).unwrap();
    assert_eq!(first.due, due);
    // Computed elsewhere and written out, because a later version has to find what an earlier one chose.
    assert_eq!(first.starts_at, due + seconds(58 * 60 + 28));
    let other = timetable("daily 02:00", "UTC", 3_600, "mail");
    assert_ne!(other.next(other.anchor).unwrap().starts_at, first.starts_at);
    let second = photos.next(due).unwrap();
    assert_ne!(second.starts_at - second.due, first.starts_at - first.due);
}

#[test]
fn jitter_spreads_over_its_whole_length_and_not_beyond() {
    let mut delays = Vec::new();
    for item in 0..2_000 {
        let timetable = timetable("daily 02:00", "UTC", 9, &format!("item-{item}"));
        let due = timetable.next(timetable.anchor).unwrap();
        delays.push((due.starts_at - due.due).num_seconds());
    }
    for second in 0..=9 {
        // 200 are expected; 100 would be seven standard deviations away.
        let count = delays.iter().filter(|&&delay| delay == second).count();
        assert!((100..300).contains(&count), "{count} delays of {second} s");
    }
    assert!(delays.iter().all(|delay| (0..=9).contains(delay)));
}

#[test]
fn jitter_longer_than_the_interval_keeps_the_order_of_starts() {
    for spec in ["every 1m", "*/5 * * * *", "0 2,3 * * *", "daily 02:30", "59 23,0 * * *"] {
        let timetable = timetable(spec, "Europe/Berlin", 86_400, "photos");
        let mut due = timetable.next(utc("2026-03-27T00:00:00Z")).unwrap();
        for _ in 0..2_000 {
            let next = timetable.next(due.due).unwrap();
            let delay = (due.starts_at - due.due).to_std().unwrap();
            let to_next = (next.due - due.due).to_std().unwrap();
            assert!(delay <= to_next / 2, "{spec}: {delay:?} after {}", due.due);
            assert!(delay <= Duration::from_secs(86_400), "{spec}");
            due = next;
        }
    }
}

#[test]
fn due_time_that_waits_for_its_jitter_is_not_missed() {
    let timetable = timetable("daily 02:00", "UTC", 36_000, "photos");
    let mut covered = timetable.anchor;
    for _ in 0..100 {
        let due = timetable.next(covered).unwrap();
        let missed_at = |now: DateTime<Utc>| timetable.missed(covered, now);
        if due.starts_at > due.due {
            assert_eq!(missed_at(due.due), None);
            assert_eq!(missed_at(due.starts_at - seconds(1)), None);
        }
        let missed = |overdue| Some(MissedDueTimes { first: due, last: due, count: 1, overdue });
        assert_eq!(missed_at(due.starts_at), missed(false));
        assert_eq!(missed_at(due.starts_at + seconds(60)), missed(false));
        assert_eq!(missed_at(due.starts_at + seconds(61)), missed(true));
        // The next one has come by then, and waits: only this one is missed.
        let next = timetable.next(due.due).unwrap();
        if next.starts_at > next.due {
            assert_eq!(missed_at(next.starts_at - seconds(1)), missed(true));
        }
        assert_eq!(missed_at(next.starts_at).unwrap().count, 2);
        covered = due.due;
    }
}
