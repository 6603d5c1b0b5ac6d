//! How a batch changes the tables, inside the transaction that the writer holds open.
//!
//! Whoever calls this undoes all of it when it fails: no function here leaves
//! half a batch on purpose, and none may be called outside a transaction.

use chrono::{DateTime, Utc};
use keepwell_messages::{Event, ItemId, ItemOwner, ScheduleOutcome, Task, TaskId, TaskState};
use rusqlite::{Connection, OptionalExtension, params};

use super::value::{self, nanoseconds};
use super::{Batch, ItemRecord, JournalError, Served, TaskRecord, Write};

/// What a batch that was applied changed beside the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Applied {
    /// Whether an item of the journal's own is another now, so that `items.json` is to follow.
    pub(super) items_changed: bool,
}

/// Makes all writes of `batch`, and keeps its events under the numbers after `last_event`.
pub(super) fn apply(
    connection: &Connection,
    batch: &Batch,
    last_event: u64,
) -> Result<Applied, JournalError> {
    let mut applied = Applied::default();
    for served in &batch.served {
        put_served(connection, served)?;
    }
    for write in &batch.writes {
        applied.items_changed |= make(connection, write)?;
    }
    for (event, number) in batch.events.iter().zip(last_event + 1..) {
        put_event(connection, batch, event, number)?;
    }
    Ok(applied)
}

/// Whether an item of the journal's own changed.
fn make(connection: &Connection, write: &Write) -> Result<bool, JournalError> {
    match write {
        Write::PutTask(record) => put_task(connection, record)?,
        Write::PutItem(record) => return put_item(connection, record),
        Write::RemoveItem(item) => return remove_item(connection, item),
        Write::CoverUntil(item, until) => {
            connection
                .prepare_cached("UPDATE items SET covered_until = max(covered_until, ?2) WHERE id = ?1")?
                .execute(params![item.0, nanoseconds(*until)?])?;
        }
        Write::Uncover(item, since) => uncover(connection, item, nanoseconds(*since)?)?,
        Write::ForgetOutcomesAfter(item, until) => forget_outcomes_after(connection, item, *until)?,
        Write::PutOutcome(item, outcome) => put_outcome(connection, item, outcome)?,
        Write::Unserve(command) => {
            connection
                .prepare_cached("DELETE FROM served WHERE command = ?1")?
                .execute([value::uuid_bytes(&command.0)])?;
        }
        Write::GloballyPaused(paused) => {
            connection.prepare_cached("UPDATE standing SET globally_paused = ?1")?.execute([paused])?;
        }
        Write::MaxConcurrentTasks(max) => {
            connection.prepare_cached("UPDATE standing SET max_concurrent_tasks = ?1")?.execute([max])?;
        }
        Write::Sealed(task, snapshot) => seal(connection, *task, snapshot)?,
    }
    Ok(false)
}

fn uncover(connection: &Connection, item: &ItemId, since: i64) -> Result<(), JournalError> {
    connection
        .prepare_cached("UPDATE items SET covered_until = min(covered_until, ?2 - 1) WHERE id = ?1")?
        .execute(params![item.0, since])?;
    connection
        .prepare_cached("DELETE FROM outcomes WHERE item = ?1 AND due >= ?2")?
        .execute(params![item.0, since])?;
    Ok(())
}

fn forget_outcomes_after(
    connection: &Connection,
    item: &ItemId,
    until: DateTime<Utc>,
) -> Result<(), JournalError> {
    let after = nanoseconds(until)?;
    // Those that are kept do not overlap: at most one began before and goes on beyond.
    let cut: Option<Vec<u8>> = connection
        .prepare_cached("SELECT outcome FROM outcomes WHERE item = ?1 AND since <= ?2 AND due > ?2")?
        .query_row(params![item.0, after], |row| row.get(0))
        .optional()?;
    connection
        .prepare_cached("DELETE FROM outcomes WHERE item = ?1 AND due > ?2")?
        .execute(params![item.0, after])?;
    match cut {
        Some(cut) => {
            let outcome: ScheduleOutcome = value::decode("an outcome", &cut)?;
            put_outcome(connection, item, &ScheduleOutcome { due: until, ..outcome })
        }
        None => Ok(()),
    }
}

fn found(rows: usize, otherwise: impl FnOnce() -> JournalError) -> Result<(), JournalError> {
    if rows == 0 { Err(otherwise()) } else { Ok(()) }
}

fn put_served(connection: &Connection, (command, answer): &Served) -> Result<(), JournalError> {
    let answer = value::encode("an answer", answer)?;
    let rows = connection
        .prepare_cached("INSERT INTO served (command, answer) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![value::uuid_bytes(&command.0), answer])?;
    found(rows, || JournalError::AlreadyServed(*command))
}

fn put_event(connection: &Connection, batch: &Batch, event: &Event, number: u64) -> Result<(), JournalError> {
    let number = i64::try_from(number).map_err(|_| {
        JournalError::Damaged("the number of the newest event is the largest there is".into())
    })?;
    let value = value::encode("an event", &(batch.at, event))?;
    connection
        .prepare_cached("INSERT INTO events (number, event) VALUES (?1, ?2)")?
        .execute(params![number, value])?;
    Ok(())
}

fn put_task(connection: &Connection, record: &TaskRecord) -> Result<(), JournalError> {
    let task = &record.task;
    refuse_if_ended(connection, task.id)?;
    let ended = count_end(connection, task.state)?;
    let kept = Task { progress: None, ..task.clone() };
    let value = value::encode("a task", &(kept, &record.item))?;
    connection
        .prepare_cached(
            "INSERT INTO tasks (id, item, ended, sealed, record) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET ended = ?3, sealed = ?4, record = ?5",
        )?
        .execute(params![
            value::uuid_bytes(&task.id.0),
            record.item_id().map(|item| &item.0),
            ended,
            record.sealed,
            value
        ])?;
    Ok(())
}

/// The task's number in the order of ends, if the state is one.
fn count_end(connection: &Connection, state: TaskState) -> Result<Option<i64>, JournalError> {
    let (completed, failed, cancelled) = match state {
        TaskState::Pending | TaskState::Running | TaskState::Paused => return Ok(None),
        TaskState::Completed => (1, 0, 0),
        TaskState::Failed => (0, 1, 0),
        TaskState::Cancelled => (0, 0, 1),
    };
    let number = connection
        .prepare_cached(
            "UPDATE standing
             SET completed = completed + ?1, failed = failed + ?2, cancelled = cancelled + ?3
             RETURNING completed + failed + cancelled",
        )?
        .query_row([completed, failed, cancelled], |row| row.get(0))?;
    Ok(Some(number))
}

fn seal(connection: &Connection, task: TaskId, snapshot: &str) -> Result<(), JournalError> {
    refuse_if_ended(connection, task)?;
    let rows = connection
        .prepare_cached("UPDATE tasks SET sealed = ?2 WHERE id = ?1")?
        .execute(params![value::uuid_bytes(&task.0), snapshot])?;
    found(rows, || JournalError::UnknownTask(task))
}

fn refuse_if_ended(connection: &Connection, task: TaskId) -> Result<(), JournalError> {
    let ended = connection
        .prepare_cached("SELECT 1 FROM tasks WHERE id = ?1 AND ended IS NOT NULL")?
        .exists([value::uuid_bytes(&task.0)])?;
    if ended { Err(JournalError::TaskHasEnded(task)) } else { Ok(()) }
}

/// Whether `items.json` is to follow. Also how a new journal takes in the items of that file.
pub(super) fn put_item(connection: &Connection, record: &ItemRecord) -> Result<bool, JournalError> {
    let ItemRecord { item, owner, anchor, covered_until } = record;
    let of_journal = *owner == ItemOwner::Journal;
    let was_of_journal: Option<bool> = connection
        .prepare_cached("SELECT of_journal FROM items WHERE id = ?1")?
        .query_row([&item.id.0], |row| row.get(0))
        .optional()?;
    let value = value::encode("an item", &(item, owner, anchor))?;
    connection
        .prepare_cached(
            "INSERT INTO items (id, of_journal, covered_until, record) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET of_journal = ?2, covered_until = ?3, record = ?4",
        )?
        .execute(params![item.id.0, of_journal, nanoseconds(*covered_until)?, value])?;
    Ok(of_journal || was_of_journal.unwrap_or(false))
}

fn remove_item(connection: &Connection, item: &ItemId) -> Result<bool, JournalError> {
    connection
        .prepare_cached("DELETE FROM items WHERE id = ?1 RETURNING of_journal")?
        .query_row([&item.0], |row| row.get(0))
        .optional()?
        .ok_or_else(|| JournalError::UnknownItem(item.clone()))
}

fn put_outcome(
    connection: &Connection,
    item: &ItemId,
    outcome: &ScheduleOutcome,
) -> Result<(), JournalError> {
    let (since, due) = (nanoseconds(outcome.since)?, nanoseconds(outcome.due)?);
    // Those that are kept do not overlap, so the first that ends at or after `since` is the only one to ask.
    let next_since: Option<i64> = connection
        .prepare_cached("SELECT since FROM outcomes WHERE item = ?1 AND due >= ?2 ORDER BY due LIMIT 1")?
        .query_row(params![item.0, since], |row| row.get(0))
        .optional()?;
    if next_since.is_some_and(|next_since| next_since <= due) {
        // An end of a task must not be refused for ever because of a defect elsewhere.
        tracing::error!(%item, due = %outcome.due, "what became of a due time is known already, and stays");
        return Ok(());
    }
    let value = value::encode("an outcome", outcome)?;
    connection
        .prepare_cached("INSERT INTO outcomes (item, due, since, outcome) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![item.0, due, since, value])?;
    Ok(())
}
