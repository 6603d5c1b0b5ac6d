//! The state that a start begins from, read in one go.
//!
//! A value among it that does not decode makes the whole journal a damaged one.
//! A damaged value in history does not: it fails the question that meets it.

use std::collections::BTreeMap;

use keepwell_messages::{ItemId, LatestEnd, Task};
use rusqlite::{Connection, OptionalExtension, Row};

use super::value::{self, count, time};
use super::{EndedCounts, ItemRecord, JournalError, Kept, Settings, TaskRecord};

pub(super) fn load(connection: &Connection) -> Result<Kept, JournalError> {
    Ok(Kept { items: load_all_items(connection)?, ..load_without_items(connection)? })
}

/// As [`load`], but for the items.
pub(super) fn load_without_items(connection: &Connection) -> Result<Kept, JournalError> {
    let (settings, ended) = load_standing(connection)?;
    Ok(Kept {
        tasks: load_active_tasks(connection)?,
        items: Vec::new(),
        latest_ends: load_latest_ends(connection)?,
        settings,
        last_event: last_event(connection)?,
        ended,
    })
}

/// By id.
pub(super) fn load_all_items(connection: &Connection) -> Result<Vec<ItemRecord>, JournalError> {
    load_items(connection, "SELECT record, covered_until FROM items ORDER BY id")
}

/// Of pruned events the newest is never one, so the table knows.
pub(super) fn last_event(connection: &Connection) -> Result<u64, JournalError> {
    let number: Option<i64> = connection.query_row("SELECT max(number) FROM events", (), |row| row.get(0))?;
    count("the number of the newest event", number.unwrap_or(0))
}

fn load_standing(connection: &Connection) -> Result<(Settings, EndedCounts), JournalError> {
    let query = "SELECT globally_paused, max_concurrent_tasks, completed, failed, cancelled FROM standing";
    let row = |row: &Row| {
        let settings = Settings { globally_paused: row.get(0)?, max_concurrent_tasks: row.get(1)? };
        Ok((settings, [row.get(2)?, row.get(3)?, row.get(4)?]))
    };
    let (settings, [completed, failed, cancelled]) = connection
        .query_row(query, (), row)
        .optional()?
        .ok_or_else(|| JournalError::Damaged("its settings are gone".into()))?;
    let ended = EndedCounts {
        completed: count("the count of completed tasks", completed)?,
        failed: count("the count of failed tasks", failed)?,
        cancelled: count("the count of cancelled tasks", cancelled)?,
    };
    Ok((settings, ended))
}

fn load_active_tasks(connection: &Connection) -> Result<Vec<TaskRecord>, JournalError> {
    let mut statement =
        connection.prepare("SELECT record, sealed FROM tasks WHERE ended IS NULL ORDER BY id")?;
    let mut rows = statement.query(())?;
    let mut tasks = Vec::new();
    while let Some(row) = rows.next()? {
        tasks.push(task_record(row)?);
    }
    Ok(tasks)
}

/// From the columns `record` and `sealed`, in this order.
pub(super) fn task_record(row: &Row) -> Result<TaskRecord, JournalError> {
    let (task, item) = value::decode("a task", row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
    Ok(TaskRecord { task, item, sealed: row.get(1)? })
}

/// From the columns `record` and `covered_until` of `query`.
pub(super) fn load_items(connection: &Connection, query: &str) -> Result<Vec<ItemRecord>, JournalError> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(())?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let record = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        let (item, owner, anchor) = value::decode("an item", record)?;
        items.push(ItemRecord { item, owner, anchor, covered_until: time(row.get(1)?) });
    }
    Ok(items)
}

/// In one go over the ended tasks, of which there are fewer than there may be items.
fn load_latest_ends(connection: &Connection) -> Result<BTreeMap<ItemId, LatestEnd>, JournalError> {
    // The columns beside a `max` are those of the row that has it.
    let mut statement = connection.prepare(
        "SELECT record, sealed, item, max(ended) FROM tasks
         WHERE ended IS NOT NULL AND EXISTS (SELECT 1 FROM items WHERE id = tasks.item) GROUP BY item",
    )?;
    let mut rows = statement.query(())?;
    let mut latest_ends = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let item = ItemId(row.get(2)?);
        match task_record(row).map(|record| record.task) {
            Ok(Task { id: task, changed: at, end: Some(end), .. }) => {
                latest_ends.insert(item, LatestEnd { task, at, end });
            }
            Ok(_) => tracing::warn!(%item, "its latest task ended without saying how"),
            // A part of history: no reason to give up tasks that have not ended.
            Err(error) => tracing::warn!(%item, %error, "how it ended last is not known"),
        }
    }
    Ok(latest_ends)
}
