//! How much history is kept, and how it is forgotten: in small steps, in the
//! transactions that the writer makes anyway.
//!
//! Between two steps a table may be longer than its bound by what the batches in
//! between added. The newest row of a table is never forgotten, and no task that
//! has not ended.

use rusqlite::{Connection, OptionalExtension};

use super::JournalError;

/// How much of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Some 30 MB; at 1,000 backups a day a reader may come back after two weeks and has missed nothing.
    pub(super) events_max: u32,
    /// A page of history shows 1,000 at most; a year of one backup an hour fits.
    pub(super) ended_tasks_max: u32,
    /// A year of six due times a day, for the question why an item did not run.
    pub(super) outcomes_of_item_max: u32,
    /// A command is sent again within minutes if at all; this many take longer than that at any rate.
    pub(super) served_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events_max: 100_000,
            ended_tasks_max: 10_000,
            outcomes_of_item_max: 2_000,
            served_max: 100_000,
        }
    }
}

/// Batches between two steps: a step then costs a small part of what they cost.
pub(super) const BATCHES_BETWEEN_STEPS: usize = 64;

/// Rows of a kind that one step forgets at most, several times what as many batches usually add.
const ROWS_A_STEP_MAX: u32 = 1_000;

/// Items whose outcomes one step looks at; the next one looks at those after them.
const ITEMS_A_STEP_MAX: usize = 8;

/// Forgets, step by step.
#[derive(Debug)]
pub(super) struct Retention {
    limits: Limits,
    /// The item that was looked at last.
    visited: String,
}

impl Retention {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, visited: String::new() }
    }

    /// One step, inside the transaction that is open.
    pub(super) fn step(&mut self, connection: &Connection) -> Result<(), JournalError> {
        let Limits { events_max, ended_tasks_max, served_max, .. } = self.limits;
        // All three are numbered without a gap, so that the newest number tells how many there are.
        for (query, rows_max) in [
            (
                "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?1
                 AND number < (SELECT min(number) FROM events) + ?2",
                events_max,
            ),
            (
                "DELETE FROM served WHERE number <= (SELECT max(number) FROM served) - ?1
                 AND number < (SELECT min(number) FROM served) + ?2",
                served_max,
            ),
            (
                "DELETE FROM tasks WHERE ended <= (SELECT completed + failed + cancelled FROM standing) - ?1
                 AND ended < (SELECT min(ended) FROM tasks WHERE ended IS NOT NULL) + ?2",
                ended_tasks_max,
            ),
        ] {
            connection.prepare_cached(query)?.execute([rows_max.max(1), ROWS_A_STEP_MAX])?;
        }
        for _ in 0..ITEMS_A_STEP_MAX {
            if !self.forget_outcomes_of_next_item(connection)? {
                break;
            }
        }
        Ok(())
    }

    /// False at the end of the items; the next call begins with the first.
    fn forget_outcomes_of_next_item(&mut self, connection: &Connection) -> Result<bool, JournalError> {
        let next: Option<String> = connection
            .prepare_cached("SELECT item FROM outcomes WHERE item > ?1 ORDER BY item LIMIT 1")?
            .query_row([&self.visited], |row| row.get(0))
            .optional()?;
        self.visited = next.unwrap_or_default();
        if self.visited.is_empty() {
            return Ok(false);
        }
        // What is left of an item that was removed goes with its last task.
        let known = connection
            .prepare_cached(
                "SELECT 1 FROM items WHERE id = ?1 UNION ALL SELECT 1 FROM tasks WHERE item = ?1",
            )?
            .exists([&self.visited])?;
        let kept_max = if known { self.limits.outcomes_of_item_max } else { 0 };
        connection
            .prepare_cached(
                "DELETE FROM outcomes WHERE item = ?1 AND due <=
                 (SELECT due FROM outcomes WHERE item = ?1 ORDER BY due DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute((&self.visited, kept_max))?;
        Ok(true)
    }
}
