//! The next due times of a schedule that is looked at, not kept.

use chrono::{DateTime, FixedOffset, Offset, TimeZone, Utc};
use keepwell_messages::{DueTimes, GetDueTimes, Refusal};

use crate::schedule::Schedule;

/// The due times that are asked for. `every` counts from `now`, as it would if the schedule were set now.
///
/// # Errors
/// [`Refusal::Invalid`] with what is wrong with the schedule.
pub(crate) fn due_times(asked: &GetDueTimes, now: DateTime<Utc>) -> Result<DueTimes, Refusal> {
    let schedule = Schedule::parse(&asked.schedule).map_err(|error| Refusal::Invalid(error.to_string()))?;
    let zone = schedule.time_zone();
    let mut due_times: Vec<DateTime<FixedOffset>> = Vec::new();
    let mut after = asked.after.unwrap_or(now);
    while due_times.len() < asked.limit.min(DueTimes::MAX) as usize {
        let Some(due) = schedule.next_due(after, now) else { break };
        let offset = zone.offset_from_utc_datetime(&due.naive_utc()).fix();
        due_times.push(due.with_timezone(&offset));
        after = due;
    }
    Ok(DueTimes { due_times })
}

#[cfg(test)]
mod tests {
    use keepwell_messages::ScheduleText;

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn due_times_are_in_the_civil_time_of_the_schedules_zone() {
        let now = utc("2026-10-24T00:00:30Z");
        for (spec, after, limit, expected) in [
            // The clocks go back on the 25th.
            (
                "daily 02:30",
                None,
                3,
                &["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"][..],
            ),
            ("daily 02:30", Some("2026-10-24T00:30:00Z"), 1, &["2026-10-25T02:30:00+02:00"]),
            ("every 4h", None, 2, &["2026-10-24T06:00:30+02:00", "2026-10-24T10:00:30+02:00"]),
            ("0 3 29 2 *", None, 1, &["2028-02-29T03:00:00+01:00"]),
            ("daily 02:30", Some("8999-12-31T00:00:00Z"), 0, &[]),
        ] {
            let schedule =
                ScheduleText { spec: spec.into(), time_zone: "Europe/Berlin".into(), jitter_seconds: None };
            let asked = GetDueTimes { schedule, after: after.map(utc), limit };
            let shown = due_times(&asked, now).unwrap().due_times;
            let shown: Vec<String> = shown.iter().map(DateTime::to_rfc3339).collect();
            assert_eq!(shown, expected, "{spec}");
        }
    }

    #[test]
    fn a_page_is_bounded_and_what_is_wrong_is_told_in_the_parsers_words() {
        let text = |spec: &str, zone: &str| ScheduleText {
            spec: spec.into(),
            time_zone: zone.into(),
            jitter_seconds: None,
        };
        let now = utc("2026-10-24T00:00:00Z");
        let asked = |schedule| GetDueTimes { schedule, after: None, limit: u32::MAX };
        let many = due_times(&asked(text("* * * * *", "UTC")), now).unwrap().due_times;
        assert_eq!(many.len(), DueTimes::MAX as usize);
        for wrong in
            [text("dayly 02:00", "UTC"), text("daily 02:00", "Europe/Berlín"), text("0 3 30 2 *", "UTC")]
        {
            let words = Schedule::parse(&wrong).unwrap_err().to_string();
            assert_eq!(due_times(&asked(wrong), now), Err(Refusal::Invalid(words)));
        }
    }
}
