//! What became of the latest due times, and of backups that somebody asked for.

use chrono::{DateTime, SecondsFormat, Utc};
use keepwell_messages::{
    BackedUp, CancelReason, DueOutcome, Failure, ItemId, Reason, ScheduleOutcome, Task, TaskEnd, TaskId,
    Trigger,
};

use super::{Facts, advice, reason};

/// The newest first. What the task that is active was made for is not past.
pub(super) fn reasons(facts: &Facts) -> Vec<Reason> {
    let active = facts.item.active_task;
    let is_past = |outcome: &&ScheduleOutcome| match &outcome.outcome {
        DueOutcome::Ran(task) => Some(*task) != active,
        _ => true,
    };
    let due = facts.outcomes.iter().filter(is_past).map(|outcome| of_outcome(outcome, facts));
    let asked =
        facts.history.iter().filter(|task| task.trigger == Trigger::Manual).map(|task| of_asked(task, facts));
    let mut past: Vec<(DateTime<Utc>, Reason)> = due.chain(asked).collect();
    past.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    past.into_iter().map(|(_, reason)| reason).collect()
}

fn of_asked(task: &Task, facts: &Facts) -> (DateTime<Utc>, Reason) {
    let (how, advice) = end_of(task.id, facts);
    (task.changed, reason(Some(task.changed), format!("somebody had asked for a backup: {how}"), advice))
}

fn of_outcome(outcome: &ScheduleOutcome, facts: &Facts) -> (DateTime<Utc>, Reason) {
    let ScheduleOutcome { since, due, outcome, .. } = outcome;
    let several = match since == due {
        true => String::new(),
        false => format!(" (since {})", since.to_rfc3339_opts(SecondsFormat::Secs, true)),
    };
    let (text, advice) = match outcome {
        DueOutcome::Ran(task) => {
            let (how, advice) = end_of(*task, facts);
            (format!("it was due: {how}"), advice)
        }
        DueOutcome::Disabled => ("it was due, and skipped: it was disabled".into(), None),
        DueOutcome::Duplicate(task) => {
            let advice = match facts.item.active_task {
                Some(active) if active == *task => Some(format!("`keepwell cancel {task}` ends that one")),
                _ => Some("if this happens often, let it be due less often".into()),
            };
            ("it was due, and skipped: its backup before had not ended".into(), advice)
        }
        DueOutcome::GloballyPaused => ("it was due, and skipped: everything was paused".into(), None),
        DueOutcome::CoveredBy(task) => {
            let (how, advice) = match facts.item.active_task == Some(*task) {
                true => ("that has not ended".into(), None),
                false => end_of(*task, facts),
            };
            (format!("it was due while nothing ran here, and one backup made up for it: {how}"), advice)
        }
        DueOutcome::Refused(why) => {
            let advice = "correct the item or the configuration; it is tried again when it is due next";
            (format!("it was due, and could not be begun: {why}"), Some(advice.into()))
        }
    };
    (*due, reason(Some(*due), format!("{text}{several}"), advice))
}

/// How a task ended, and what to do about it.
fn end_of(task: TaskId, facts: &Facts) -> (String, Option<String>) {
    let item = &facts.item.item.id;
    let ended = facts.history.iter().find(|ended| ended.id == task);
    let latest = facts.item.latest.as_ref().filter(|latest| latest.task == task).map(|latest| &latest.end);
    match ended.and_then(|ended| ended.end.as_ref()).or(latest) {
        Some(end) => words_of(end, item),
        None => ("it ran, and how it ended is no longer kept".into(), None),
    }
}

fn words_of(end: &TaskEnd, item: &ItemId) -> (String, Option<String>) {
    match end {
        TaskEnd::BackedUp(BackedUp { errors: 0, .. }) => ("it ran, and made a snapshot".into(), None),
        TaskEnd::BackedUp(BackedUp { errors, .. }) => {
            let entries = if *errors == 1 { "1 entry".to_owned() } else { format!("{errors} entries") };
            let text = format!("it ran, and made a snapshot that lacks {entries}, which could not be read");
            let advice = format!(
                "make them readable for the user that Keepwell runs as, or exclude them; `keepwell run {item}` names them"
            );
            (text, Some(advice))
        }
        TaskEnd::Restored(_) => ("it was restored".into(), None),
        TaskEnd::Failed(Failure { class, why }) => {
            (format!("it failed: {why}"), advice::for_class(*class, item))
        }
        TaskEnd::Cancelled(CancelReason::Requested) => {
            ("somebody cancelled it".into(), Some(format!("`keepwell run {item}` backs it up now")))
        }
        TaskEnd::Cancelled(CancelReason::Shutdown) => {
            ("it was ended by a shutdown; what was due then is made up for after the next start".into(), None)
        }
        TaskEnd::Cancelled(CancelReason::ItemRemoved) => {
            ("it was cancelled, as the item was removed".into(), None)
        }
    }
}
