//! Tasks and items in words, for the verbs that list them.

use chrono::{DateTime, Local, Utc};
use keepwell_messages::{CancelReason, PendingReason, Task, TaskEnd, TaskKind, TaskState, Trigger};

use crate::quantities::{shown_bytes, shown_duration};

/// What a task works on.
pub fn subject(kind: &TaskKind) -> String {
    match kind {
        TaskKind::Backup(item) => item.to_string(),
        TaskKind::Restore(request) => format!("restore of {}", request.snapshot),
    }
}

/// Where a task stands: its state, and why if it waits.
pub fn state(task: &Task) -> String {
    match (&task.pending, task.state) {
        (Some(PendingReason::Queued), _) => "queued".into(),
        (Some(PendingReason::Resuming), _) => "queued, goes on next".into(),
        (Some(PendingReason::Retry(retry)), _) => format!("retries at {}", shown_instant(retry.at)),
        (Some(PendingReason::WaitingForNetwork), _) => "waits for the network".into(),
        (Some(PendingReason::Paused), _) => "paused before it began".into(),
        (None, state) => state.to_string(),
    }
}

/// Its attempt, once it is not the first.
pub fn attempt(task: &Task) -> String {
    if task.attempt == 0 { String::new() } else { format!("{} of {}", task.attempt, task.attempts_max) }
}

/// How far a running task is.
pub fn progress(task: &Task) -> String {
    let Some(progress) = task.progress.as_ref().filter(|_| !task.state.is_end()) else {
        return String::new();
    };
    let files = match progress.totals_final {
        true => format!("{}/{} files", progress.files_done, progress.files_total),
        false => format!("{} files", progress.files_done),
    };
    let rate = match task.state {
        TaskState::Running => format!(", {}/s", shown_bytes(progress.bytes_per_second)),
        _ => String::new(),
    };
    format!("{files}, {}{rate}", shown_bytes(progress.bytes_done))
}

/// Why it was made.
pub fn trigger(task: &Task) -> String {
    match task.trigger {
        Trigger::Manual => "asked for".into(),
        Trigger::Due(due) => format!("due {}", shown_instant(due)),
        Trigger::CatchUp(missed) => format!("missed {}", shown_instant(missed.due)),
    }
}

/// How it ended.
pub fn end(end: &TaskEnd) -> String {
    match end {
        TaskEnd::BackedUp(done) => {
            let errors = match done.errors {
                0 => String::new(),
                errors => format!(", {errors} entries could not be read"),
            };
            format!(
                "{} in {} files, {} new{errors}",
                shown_bytes(done.bytes),
                done.files,
                shown_bytes(done.bytes_new)
            )
        }
        TaskEnd::Restored(done) => {
            let errors = match done.errors {
                0 => String::new(),
                errors => format!(", {errors} entries could not be restored"),
            };
            format!("{} files restored, {}{errors}", done.files_restored, shown_bytes(done.bytes_written))
        }
        TaskEnd::Failed(failure) => failure.why.clone(),
        TaskEnd::Cancelled(CancelReason::Requested) => "cancelled by a command".into(),
        TaskEnd::Cancelled(CancelReason::Shutdown) => {
            "cancelled by a shutdown; made up for at the next start".into()
        }
        TaskEnd::Cancelled(CancelReason::ItemRemoved) => "cancelled: its item was removed".into(),
    }
}

/// An instant in this machine's civil time; without the date if that is today.
pub fn shown_instant(at: DateTime<Utc>) -> String {
    let (at, today) = (at.with_timezone(&Local), Local::now().date_naive());
    let format = if at.date_naive() == today { "%H:%M:%S" } else { "%F %H:%M" };
    at.format(format).to_string()
}

/// How long from now, or ago.
pub fn shown_from_now(at: DateTime<Utc>) -> String {
    let left = at - Utc::now();
    match left.to_std() {
        Ok(left) => format!("in {}", shown_duration(left)),
        Err(_) => format!("{} ago", shown_duration((-left).to_std().unwrap_or_default())),
    }
}
