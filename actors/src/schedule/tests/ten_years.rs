//! Ten years of every form in many zones, against an oracle that walks through
//! them by quarters of an hour and looks only at the zone's clock: a civil time
//! is due when the clock first shows it or has gone past it.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use croner::Cron;

use super::{schedule, seconds, utc};

const QUARTER_SECONDS: i64 = 900;
const DECADES: [(&str, &str); 2] =
    [("2011-12-01T00:00:00Z", "2021-12-01T00:00:00Z"), ("2021-12-01T00:00:00Z", "2031-12-01T00:00:00Z")];
/// Zones with gaps and overlaps of an hour, of half an hour, of a day, at midnight, without any, on either
/// half of the globe, and off the full hour. All of them change on a quarter of an hour.
const ZONES: [Tz; 20] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::Europe__London,
    Tz::Europe__Istanbul,
    Tz::Europe__Volgograd,
    Tz::Africa__Casablanca,
    Tz::Africa__Cairo,
    Tz::America__New_York,
    Tz::America__Sao_Paulo,
    Tz::America__Caracas,
    Tz::America__Havana,
    Tz::America__St_Johns,
    Tz::Asia__Kolkata,
    Tz::Asia__Kathmandu,
    Tz::Asia__Pyongyang,
    Tz::Asia__Gaza,
    Tz::Australia__Lord_Howe,
    Tz::Antarctica__Troll,
    Tz::Pacific__Apia,
    Tz::Pacific__Chatham,
];

/// Whether a civil time, in whole quarters of an hour, is one of a schedule's.
type Rule = Box<dyn Fn(NaiveDateTime) -> bool>;

fn is_last_of_month(civil: NaiveDateTime) -> bool {
    (civil + TimeDelta::days(1)).month() != civil.month()
}

fn at(civil: NaiveDateTime, hour: u32, minute: u32) -> bool {
    (civil.hour(), civil.minute()) == (hour, minute)
}

fn forms() -> Vec<(&'static str, Rule)> {
    let cron = |line: &'static str| -> (&'static str, Rule) {
        let cron: Cron = line.parse().unwrap();
        (line, Box::new(move |civil| cron.is_time_matching(&civil).unwrap()))
    };
    vec![
        ("daily 02:30", Box::new(|civil| at(civil, 2, 30))),
        ("daily 00:00", Box::new(|civil| at(civil, 0, 0))),
        ("weekly sun 02:15", Box::new(|civil| civil.weekday() == Weekday::Sun && at(civil, 2, 15))),
        ("weekly fri 23:45", Box::new(|civil| civil.weekday() == Weekday::Fri && at(civil, 23, 45))),
        ("monthly 31 01:45", Box::new(|civil| is_last_of_month(civil) && at(civil, 1, 45))),
        ("monthly 1 00:00", Box::new(|civil| civil.day() == 1 && at(civil, 0, 0))),
        cron("15 * * * *"),
        cron("30 1-3 * * *"),
        cron("0 */5 * * *"),
        cron("0,45 0,2,23 * 3-11 sat,sun"),
        cron("0 4 29 2 *"),
        cron("0 0 13 * fri"),
        cron("15 2 L * *"),
        cron("0 1 1W * *"),
        cron("30 3 * * 0#2"),
        cron("30 2 * 3,10 7L"),
    ]
}

fn civil_at(quarter: i64) -> NaiveDateTime {
    DateTime::from_timestamp(quarter * QUARTER_SECONDS, 0).unwrap().naive_utc()
}

/// The quarters that the zone's clock shows at `start` and at every quarter until `end`.
fn quarters_shown(zone: Tz, start: DateTime<Utc>, end: DateTime<Utc>) -> Vec<i64> {
    let quarters = start.timestamp() / QUARTER_SECONDS..=end.timestamp() / QUARTER_SECONDS;
    let shown = quarters
        .map(|quarter| zone.from_utc_datetime(&civil_at(quarter)).naive_local().and_utc().timestamp());
    shown
        .inspect(|shown| assert_eq!(shown % QUARTER_SECONDS, 0, "{zone}"))
        .map(|shown| shown / QUARTER_SECONDS)
        .collect()
}

/// The instants after `start` at which the clock first gets to, or past, a civil time in `is_in`, which
/// begins with the quarter `first`.
fn walk(start: DateTime<Utc>, quarters_shown: &[i64], first: i64, is_in: &[bool]) -> Vec<DateTime<Utc>> {
    let mut due = Vec::new();
    let mut reached = quarters_shown[0];
    for (instant, &shown) in quarters_shown.iter().enumerate() {
        if shown > reached {
            if is_in[(reached + 1 - first) as usize..=(shown - first) as usize].contains(&true) {
                due.push(start + seconds(instant as i64 * QUARTER_SECONDS));
            }
            reached = shown;
        }
    }
    due
}

#[test]
fn ten_years_of_every_civil_form_have_each_civil_time_once_and_in_order() {
    for (start, end) in DECADES.map(|(start, end)| (utc(start), utc(end))) {
        let first = start.timestamp() / QUARTER_SECONDS - 26 * 4;
        let last = end.timestamp() / QUARTER_SECONDS + 26 * 4;
        let forms = forms().into_iter().map(|(spec, rule)| {
            let is_in: Vec<bool> = (first..=last).map(|quarter| rule(civil_at(quarter))).collect();
            (spec, is_in)
        });
        let forms: Vec<_> = forms.collect();
        for zone in ZONES {
            let quarters_shown = quarters_shown(zone, start, end);
            for (spec, is_in) in &forms {
                let expected = walk(start, &quarters_shown, first, is_in);
                check(spec, zone, (start, end), &expected);
            }
        }
    }
}

fn check(spec: &str, zone: Tz, (start, end): (DateTime<Utc>, DateTime<Utc>), expected: &[DateTime<Utc>]) {
    assert!(!expected.is_empty(), "{spec} in {zone}");
    let schedule = schedule(spec, zone.name());
    let mut previous = start;
    for &due in expected {
        assert_eq!(schedule.next_due(previous, start), Some(due), "{spec} in {zone} after {previous}");
        previous = due;
    }
    assert!(schedule.next_due(previous, start) > Some(end), "{spec} in {zone} after {previous}");
    // All of a rarer form; a form that is due every hour has gone through several changes by then.
    for pair in expected.windows(2).take(5_000) {
        let latest = [pair[1], pair[1] - seconds(1)].map(|until| schedule.latest_due(until, start));
        assert_eq!(latest, [Some(pair[1]), Some(pair[0])], "{spec} in {zone}");
    }
}

#[test]
fn ten_years_of_every_interval_are_evenly_spaced() {
    for (spec, interval) in
        [("every 25m", 1_500), ("every 4h", 14_400), ("every 1d", 86_400), ("every 2w", 1_209_600)]
    {
        for zone in [Tz::UTC, Tz::Europe__Berlin, Tz::Pacific__Apia] {
            let schedule = schedule(spec, zone.name());
            for (start, end) in DECADES.map(|(start, end)| (utc(start), utc(end))) {
                let mut due = start;
                while due < end {
                    let next = schedule.next_due(due, start);
                    assert_eq!(next, Some(due + seconds(interval)), "{spec} in {zone} after {due}");
                    assert_eq!(schedule.latest_due(due + seconds(interval), start), next, "{spec}");
                    due += seconds(interval);
                }
            }
        }
    }
}
