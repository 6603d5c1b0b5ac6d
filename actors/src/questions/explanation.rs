//! Why an item's backup runs, waits, or did not run: pure, from what is known of it to sentences for people.
//!
//! What is so now comes first: its task, then what its schedule says. Then what became of its latest due times, and of
//! backups that somebody asked for, the newest first. Advice names commands of `keepwell`.

mod advice;
mod past;
mod present;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use keepwell_messages::{ItemExplanation, ItemNow, Reason, ScheduleOutcome, Task};

use crate::manager::ItemStanding;

/// Outcomes that are looked at: more are told by `get-schedule-outcomes`.
pub(crate) const OUTCOMES_LOOKED_AT: u32 = 20;
/// Ended tasks that are looked at.
pub(crate) const TASKS_LOOKED_AT: u32 = 40;
/// What is told of the past: as much as is read at a glance.
const PAST_TOLD_MAX: usize = 5;

/// What is known of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What the clock shows.
    pub(crate) now: DateTime<Utc>,
    /// The item.
    pub(crate) item: ItemNow,
    /// Its task that has not ended.
    pub(crate) standing: ItemStanding,
    /// What became of its due times, the newest first.
    pub(crate) outcomes: Vec<ScheduleOutcome>,
    /// Its tasks that ended, the newest first.
    pub(crate) history: Vec<Task>,
}

/// Explains.
pub(crate) fn explain(mut facts: Facts) -> ItemExplanation {
    // It was asked for a moment later, and may have ended or begun since.
    facts.item.active_task = facts.standing.active.as_ref().map(|place| place.task.id);
    let mut reasons = present::reasons(&facts);
    reasons.extend(past::reasons(&facts).into_iter().take(PAST_TOLD_MAX));
    ItemExplanation { item: facts.item, reasons }
}

fn reason(at: Option<DateTime<Utc>>, text: impl Into<String>, advice: Option<String>) -> Reason {
    Reason { at, text: text.into(), advice }
}
