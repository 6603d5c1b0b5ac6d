//! What is committed together: all of a batch is there, or nothing of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use keepwell_messages::{CommandId, Event, ItemId, NumberedEvent, Refusal, Reply, ScheduleOutcome, TaskId};

use super::{ItemRecord, JournalError, TaskRecord};

/// One transition and what it tells.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Made in this order.
    pub writes: Vec<Write>,
    /// Numbered in this order.
    pub events: Vec<Event>,
    /// When it was decided: the time of all its events.
    pub at: DateTime<Utc>,
    /// The commands that it carries out, and what they are answered with. A command id is served once.
    pub served: Vec<Served>,
    /// The batches that it builds on.
    pub course: Option<Course>,
}

/// Batches of which each builds on those before it: once one has failed, all that follow fail.
#[derive(Clone, Debug, Default)]
pub struct Course {
    broken: Arc<AtomicBool>,
}

impl Course {
    /// A course of which nothing has failed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a batch of it has failed.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(super) fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.broken, &other.broken)
    }
}

impl Batch {
    /// A batch of nothing yet.
    pub fn new(at: DateTime<Utc>) -> Self {
        Self { writes: Vec::new(), events: Vec::new(), at, served: Vec::new(), course: None }
    }
}

/// A command and its answer.
pub type Served = (CommandId, Result<Reply, Refusal>);

/// One change of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A new task, or all that is known of one, its sealed snapshot included. Refused once the task has ended.
    PutTask(Box<TaskRecord>),
    /// A new item, or all that is known of one.
    PutItem(ItemRecord),
    /// The item is no more. Its history stays as long as history does.
    RemoveItem(ItemId),
    /// Every due time of an item up to this one has its outcome, or a task that will have one.
    /// It is never set back by this. Nothing happens if the item is no more: then nothing is due.
    CoverUntil(ItemId, DateTime<Utc>),
    /// The due times of an item from this one on have no outcome after all: what they had is forgotten.
    /// Nothing happens if the item is no more.
    Uncover(ItemId, DateTime<Utc>),
    /// What is told of an item's due times after this instant is forgotten; an outcome of several ends with
    /// it. Nothing else changes: the item is put with what it is covered until.
    ForgetOutcomesAfter(ItemId, DateTime<Utc>),
    /// What became of a due time, or of several. Where that is known already of one of them, what is known
    /// stays, and nothing is added.
    PutOutcome(ItemId, ScheduleOutcome),
    /// A command counts as not carried out after all: sent again, it is carried out again.
    Unserve(CommandId),
    /// Whether everything is paused.
    GloballyPaused(bool),
    /// How many backups run at once.
    MaxConcurrentTasks(u32),
    /// A task's attempt is about to put this snapshot. Refused once the task has ended.
    Sealed(TaskId, String),
}

/// A batch that is on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Its events with their numbers.
    pub events: Vec<NumberedEvent>,
}

/// Called once, on the writer's thread, when a batch's fate is known.
///
/// It keeps all other batches waiting: it hands the result on and does nothing else.
pub type Done = Box<dyn FnOnce(Result<Committed, JournalError>) + Send>;
