//! Whether every due time has exactly one outcome, or a task that will give it one.

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_actors::schedule::{Schedule, Timetable};
use keepwell_messages::{ItemId, Missed, ScheduleOutcome, ScheduleText};

/// What is due this long ago has been dealt with, whatever crashed in between.
pub const DEALT_WITH_AFTER: TimeDelta = TimeDelta::minutes(10);

/// An item's schedule since it was set.
#[derive(Clone, Debug)]
pub struct Era {
    pub schedule: ScheduleText,
    pub anchor: DateTime<Utc>,
    /// Due times until then were found right; those of the last days are looked at again.
    pub checked: DateTime<Utc>,
}

/// A shutdown or a crash takes back no outcome that is older.
const LOOK_AGAIN_AT: TimeDelta = TimeDelta::days(3);

/// Adds what is wrong. `outcomes` are the newest, the newest first; `whole` says that there are no others.
pub fn check(
    item: &ItemId,
    era: &mut Era,
    outcomes: &[ScheduleOutcome],
    whole: bool,
    live: Option<Missed>,
    now: DateTime<Utc>,
    wrong: &mut Vec<String>,
) {
    let schedule = Schedule::parse(&era.schedule).expect("it was accepted");
    let timetable = Timetable { schedule, anchor: era.anchor, item_id: item.0.clone() };
    let ranges: Vec<Missed> = outcomes
        .iter()
        .map(|outcome| Missed { since: outcome.since, due: outcome.due })
        .chain(live)
        .collect();
    let known_from = if whole { era.anchor } else { outcomes.last().map_or(era.anchor, |oldest| oldest.due) };
    let mut after = era.anchor.max(known_from).max(era.checked - LOOK_AGAIN_AT);
    while let Some(next) = timetable.next(after) {
        if next.starts_at > now - DEALT_WITH_AFTER {
            break;
        }
        after = next.due;
        let covering = ranges.iter().filter(|range| range.since <= next.due && next.due <= range.due).count();
        if covering != 1 {
            wrong.push(format!(
                "{now}: item {item} ({}): due time {} has {covering} outcomes; live {live:?}, newest {:?}",
                era.schedule.spec,
                next.due,
                outcomes.first(),
            ));
            return;
        }
    }
    era.checked = after;
}
