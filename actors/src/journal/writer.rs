//! The one thread that writes: it takes all batches that wait, commits them in
//! one transaction, and then tells each of its fate, in order.
//!
//! A batch that fails is taken back to its savepoint and leaves its neighbours
//! alone. Where the transaction itself fails, every batch of the group is tried
//! again in a transaction of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keepwell_messages::NumberedEvent;
use rusqlite::Connection;

use super::apply::{self, Applied};
use super::folder::Folder;
use super::queue::{Job, Queue};
use super::retention::{BATCHES_BETWEEN_STEPS, Retention};
use super::{Batch, Committed, Course, JournalError, items_file};

/// What happened to one batch of a group: its event numbers follow this one.
type Fate = Result<u64, JournalError>;

/// See the module.
pub(super) struct Writer {
    connection: Connection,
    last_event: u64,
    retention: Retention,
    batches_since_step: usize,
    /// `items.json` is behind the journal.
    items_file_stale: bool,
    transactions: Arc<AtomicU64>,
    /// Last, so that the lock is given back after everything else.
    folder: Folder,
}

impl Writer {
    pub(super) fn new(
        folder: Folder,
        connection: Connection,
        last_event: u64,
        retention: Retention,
        transactions: Arc<AtomicU64>,
    ) -> Self {
        Self {
            connection,
            last_event,
            retention,
            batches_since_step: 0,
            // It may have missed the last change, if that was cut short.
            items_file_stale: true,
            transactions,
            folder,
        }
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self, queue: &Queue) {
        let _abandon = AbandonAtEnd(queue);
        self.follow_with_items_file();
        while let Some(jobs) = queue.take_all() {
            self.write_group(jobs);
        }
        self.finish();
    }

    fn write_group(&mut self, jobs: Vec<Job>) {
        let batches: Vec<&Batch> = jobs.iter().map(|job| &job.batch).collect();
        let fates = match self.write_together(&batches) {
            Ok(fates) => fates,
            Err(error) if jobs.len() == 1 => vec![Err(error)],
            Err(_) => batches.iter().map(|batch| self.write_alone(batch)).collect(),
        };
        break_courses(&batches, &fates);
        self.follow_with_items_file();
        for (job, fate) in jobs.into_iter().zip(fates) {
            tell(job, fate);
        }
    }

    fn write_alone(&mut self, batch: &Batch) -> Fate {
        let fate = self.write_together(&[batch]).and_then(|mut fates| match fates.pop() {
            Some(fate) => fate,
            None => Err(JournalError::Closed),
        });
        break_courses(&[batch], std::slice::from_ref(&fate));
        fate
    }

    /// One transaction. Fails as a whole if that does, and then nothing of any batch is there.
    fn write_together(&mut self, batches: &[&Batch]) -> Result<Vec<Fate>, JournalError> {
        let last_event = self.last_event;
        let mut applied = Applied::default();
        let written = self.try_write_together(batches, &mut applied);
        if written.is_ok() {
            self.transactions.fetch_add(1, Ordering::Relaxed);
            self.items_file_stale |= applied.items_changed;
        } else {
            self.last_event = last_event;
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "the journal's transaction cannot be taken back");
            }
        }
        written
    }

    fn try_write_together(
        &mut self,
        batches: &[&Batch],
        applied: &mut Applied,
    ) -> Result<Vec<Fate>, JournalError> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
        let mut fates = Vec::with_capacity(batches.len());
        // Marked as broken when the fate is final, for this transaction may be taken back.
        let mut broken: Vec<&Course> = Vec::new();
        for batch in batches {
            let course = batch.course.as_ref();
            if course.is_some_and(|course| {
                course.is_broken() || broken.iter().any(|broken| broken.is_same_as(course))
            }) {
                fates.push(Err(JournalError::CourseBroken));
                continue;
            }
            let fate = self.write_at_savepoint(batch, applied)?;
            if fate.is_err() {
                broken.extend(course);
            }
            fates.push(fate);
        }
        self.batches_since_step += batches.len();
        if self.batches_since_step >= BATCHES_BETWEEN_STEPS {
            // Reset first: if the step fails, the batches are tried again without one.
            self.batches_since_step = 0;
            self.retention.step(&self.connection)?;
        }
        self.connection.prepare_cached("COMMIT")?.execute(())?;
        Ok(fates)
    }

    /// The outer error is the transaction's, the inner one the batch's own.
    fn write_at_savepoint(&mut self, batch: &Batch, applied: &mut Applied) -> Result<Fate, JournalError> {
        self.connection.prepare_cached("SAVEPOINT batch")?.execute(())?;
        let fate = match apply::apply(&self.connection, batch, self.last_event) {
            Ok(by_batch) => {
                let before_first = self.last_event;
                self.last_event += batch.events.len() as u64;
                applied.items_changed |= by_batch.items_changed;
                Ok(before_first)
            }
            // SQLite itself took the whole transaction back, as it does on a full disk.
            Err(error) if self.connection.is_autocommit() => return Err(error),
            Err(error) => {
                self.connection.prepare_cached("ROLLBACK TO batch")?.execute(())?;
                Err(error)
            }
        };
        self.connection.prepare_cached("RELEASE batch")?.execute(())?;
        Ok(fate)
    }

    /// A file that cannot be written does not undo what is committed: it is told, and tried with the next group.
    fn follow_with_items_file(&mut self) {
        if !self.items_file_stale {
            return;
        }
        match items_file::write(&self.folder, &self.connection) {
            Ok(()) => self.items_file_stale = false,
            Err(error) => tracing::warn!(%error, "items.json is behind the journal"),
        }
    }

    fn finish(mut self) {
        self.follow_with_items_file();
        let checkpoint = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
        if let Err(error) = checkpoint {
            // Nothing is lost: the log stays, and the next opening reads it.
            tracing::warn!(%error, "the journal's log could not be folded into it");
        }
    }
}

/// What builds on a batch that failed is not to be written.
fn break_courses(batches: &[&Batch], fates: &[Fate]) {
    for (batch, fate) in batches.iter().zip(fates) {
        if let (Some(course), Err(_)) = (&batch.course, fate) {
            course.break_off();
        }
    }
}

/// However the writer ends, a panic included, nobody waits for it any longer.
struct AbandonAtEnd<'a>(&'a Queue);

impl Drop for AbandonAtEnd<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// A listener that panics does not take the writer with it.
fn tell(mut job: Job, fate: Fate) {
    let fate = fate.map(|before_first| {
        let at = job.batch.at;
        let events = std::mem::take(&mut job.batch.events).into_iter().zip(before_first + 1..);
        let events = events.map(|(event, number)| NumberedEvent { number, at, event }).collect();
        Committed { events }
    });
    if catch_unwind(AssertUnwindSafe(|| job.tell(fate))).is_err() {
        tracing::error!("whoever waited for a batch of the journal panicked");
    }
}
