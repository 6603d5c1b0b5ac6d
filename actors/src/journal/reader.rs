//! Questions to the journal: each on a connection of its own, beside the writer.
//!
//! A reader sees what is committed, and neither waits for the writer nor keeps it
//! waiting. Every answer is bounded in rows and in bytes.

use std::path::PathBuf;

use keepwell_messages::{
    CommandId, Events, History, ItemId, NumberedEvent, PAGE_MAX, Refusal, Reply, ScheduleOutcomes, TaskId,
};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::load::task_record;
use super::value::{self, count};
use super::{JournalError, Served, TaskRecord, schema};

/// Connections kept for the next question: more questions at once than this are rare, and opening takes
/// well under a millisecond.
const CONNECTIONS_IDLE_MAX: usize = 4;

/// Encoded bytes after which an answer ends early; ordinary pages stay far below.
const PAGE_BYTES_MAX: usize = 16 << 20;

/// Connections for reading.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    /// A connection that failed is not used again.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_for_reading(&self.path)?,
        };
        let answer = question(&connection)?;
        let mut idle = self.idle.lock();
        if idle.len() < CONNECTIONS_IDLE_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }

    /// Closes what waits, so that the writer's connection can be the last.
    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }
}

pub(super) fn served(
    connection: &Connection,
    command: CommandId,
) -> Result<Option<Result<Reply, Refusal>>, JournalError> {
    let answer: Option<Vec<u8>> = connection
        .prepare_cached("SELECT answer FROM served WHERE command = ?1")?
        .query_row([value::uuid_bytes(&command.0)], |row| row.get(0))
        .optional()?;
    answer.map(|bytes| value::decode("an answer", &bytes)).transpose()
}

pub(super) fn latest_served(connection: &Connection, limit: u32) -> Result<Vec<Served>, JournalError> {
    page(connection, "SELECT answer, command FROM served ORDER BY number DESC LIMIT ?1", [limit], |row| {
        let id = uuid::Uuid::from_slice(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)
            .map_err(|error| JournalError::Damaged(format!("a command's id: {error}")))?;
        Ok((CommandId(id), value::decode("an answer", blob(row)?)?))
    })
}

pub(super) fn task(connection: &Connection, task: TaskId) -> Result<Option<TaskRecord>, JournalError> {
    let mut statement = connection.prepare_cached("SELECT record, sealed FROM tasks WHERE id = ?1")?;
    let mut rows = statement.query([value::uuid_bytes(&task.0)])?;
    rows.next()?.map(task_record).transpose()
}

pub(super) fn history(
    connection: &Connection,
    item: Option<&ItemId>,
    before: Option<TaskId>,
    limit: u32,
) -> Result<History, JournalError> {
    // Both statements see the same state: the task `before` may be forgotten at any time.
    let state = connection.unchecked_transaction()?;
    let end = match before {
        Some(before) => number_of_end(&state, before)?,
        None => i64::MAX,
    };
    let limit = limit.min(PAGE_MAX);
    let task = |row: &Row| task_record(row).map(|record| record.task);
    let tasks = match item {
        Some(item) => page(
            &state,
            "SELECT record, sealed FROM tasks WHERE item = ?1 AND ended < ?2 ORDER BY ended DESC LIMIT ?3",
            (&item.0, end, limit),
            task,
        ),
        None => page(
            &state,
            "SELECT record, sealed FROM tasks WHERE ended IS NOT NULL AND ended < ?1 ORDER BY ended DESC LIMIT ?2",
            (end, limit),
            task,
        ),
    }?;
    Ok(History { tasks })
}

/// A task's number in the order of ends. Nothing ended before one that is forgotten, which is below all numbers;
/// one that has not ended will end after all that have.
fn number_of_end(connection: &Connection, task: TaskId) -> Result<i64, JournalError> {
    let ended: Option<Option<i64>> = connection
        .prepare_cached("SELECT ended FROM tasks WHERE id = ?1")?
        .query_row([value::uuid_bytes(&task.0)], |row| row.get(0))
        .optional()?;
    Ok(ended.map_or(0, |ended| ended.unwrap_or(i64::MAX)))
}

pub(super) fn outcomes(
    connection: &Connection,
    item: &ItemId,
    limit: u32,
) -> Result<ScheduleOutcomes, JournalError> {
    let outcomes = page(
        connection,
        "SELECT outcome FROM outcomes WHERE item = ?1 ORDER BY due DESC LIMIT ?2",
        (&item.0, limit.min(PAGE_MAX)),
        |row| value::decode("an outcome", blob(row)?),
    )?;
    Ok(ScheduleOutcomes { outcomes })
}

pub(super) fn events(connection: &Connection, after: u64, limit: u32) -> Result<Events, JournalError> {
    // Both statements see the same state, so what `oldest_kept` says holds for the page.
    let state = connection.unchecked_transaction()?;
    let events = page(
        &state,
        "SELECT event, number FROM events WHERE number > ?1 ORDER BY number LIMIT ?2",
        (i64::try_from(after).unwrap_or(i64::MAX), limit.min(PAGE_MAX)),
        |row| {
            let number = count("an event's number", row.get(1)?)?;
            let (at, event) = value::decode("an event", blob(row)?)?;
            Ok(NumberedEvent { number, at, event })
        },
    )?;
    let oldest: Option<i64> = state.query_row("SELECT min(number) FROM events", (), |row| row.get(0))?;
    Ok(Events { events, oldest_kept: count("an event's number", oldest.unwrap_or(1))? })
}

fn blob<'row>(row: &'row Row) -> Result<&'row [u8], JournalError> {
    Ok(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)
}

/// Rows until their values, in the first column, reach [`PAGE_BYTES_MAX`].
fn page<T>(
    connection: &Connection,
    query: &str,
    parameters: impl Params,
    read: impl Fn(&Row) -> Result<T, JournalError>,
) -> Result<Vec<T>, JournalError> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(parameters)?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while bytes < PAGE_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        bytes += blob(row)?.len();
        page.push(read(row)?);
    }
    Ok(page)
}
