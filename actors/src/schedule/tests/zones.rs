//! The instant that a civil time stands for, at every change of every zone's
//! clock, against nothing but the clock.

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::super::time_zone::first_instant_showing;
use super::{seconds, utc};

/// Zones have no two changes within fewer days that undo each other.
const STEP_DAYS: i64 = 5;

fn shown(zone: Tz, instant: DateTime<Utc>) -> NaiveDateTime {
    zone.from_utc_datetime(&instant.naive_utc()).naive_local()
}

fn offset(zone: Tz, instant: DateTime<Utc>) -> TimeDelta {
    shown(zone, instant) - instant.naive_utc()
}

/// The first instant of every new offset.
fn changes_of(zone: Tz) -> Vec<DateTime<Utc>> {
    let mut changes = Vec::new();
    let mut instant = utc("1970-01-01T00:00:00Z");
    while instant < utc("2105-01-01T00:00:00Z") {
        let next = instant + TimeDelta::days(STEP_DAYS);
        if offset(zone, instant) != offset(zone, next) {
            let (mut before, mut after) = (instant, next);
            while after - before > seconds(1) {
                let middle = before + seconds((after - before).num_seconds() / 2);
                if offset(zone, middle) == offset(zone, before) {
                    before = middle;
                } else {
                    after = middle;
                }
            }
            changes.push(after);
        }
        instant = next;
    }
    changes
}

#[test]
fn civil_time_stands_for_the_first_instant_that_shows_it_or_a_later_one() {
    let mut gaps = 0;
    let mut overlaps = 0;
    for zone in TZ_VARIANTS {
        for change in changes_of(zone) {
            let old = offset(zone, change - seconds(1));
            let new = offset(zone, change);
            let (from, to) = ((change + old).naive_utc(), (change + new).naive_utc());
            let (low, high) = (from.min(to), from.max(to));
            if from < to {
                gaps += 1
            } else {
                overlaps += 1
            }
            let middle = low + (high - low) / 2;
            let around = [low, middle, high].into_iter();
            for civil in around.flat_map(|civil| [-3_601, -1, 0, 1, 3_601].map(|by| civil + seconds(by))) {
                // With the old offset if its clock got that far before the change, else with the new one from
                // the change on.
                let expected = if civil < from { civil - old } else { (civil - new).max(change.naive_utc()) };
                let instant = first_instant_showing(zone, civil).map(|instant| instant.naive_utc());
                assert_eq!(instant, Some(expected), "{civil} in {zone}, changed at {change}");
            }
        }
    }
    assert!(gaps > 10_000 && overlaps > 10_000, "{gaps} gaps, {overlaps} overlaps");
}
