//! The seam between the engine and whoever runs it: start a job, steer it, be told.
//!
//! The real engine and a simulated one implement [`JobEngine`] alike. A job runs
//! on threads of its own; its reports carry the task and attempt that it was
//! started for, so that a reader can ignore those of an attempt that is over.

use keepwell_messages::ErrorClass;

use crate::archive::BackupOutcome;
use crate::control::Control;
use crate::error::Error;
use crate::id::Id;
use crate::report::ReportSink;
use crate::restore::RestoreOutcome;

/// Which attempt of which task a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptId {
    /// The task, as its owner numbers it.
    pub task: u128,
    /// The attempt, 1 for the first.
    pub attempt: u32,
}

/// How a job ended.
#[derive(Debug)]
pub enum JobOutcome {
    /// A snapshot was stored.
    BackedUp(Box<BackupOutcome>),
    /// Files were written back.
    Restored(RestoreOutcome),
    /// It failed, or was cancelled.
    Failed(Error),
}

impl JobOutcome {
    /// The class of the failure, if it is one.
    pub fn failure_class(&self) -> Option<ErrorClass> {
        match self {
            Self::Failed(error) => Some(error.class()),
            _ => None,
        }
    }
}

/// Takes what a job tells, with the attempt it belongs to.
pub trait JobSink: ReportSink {
    /// The job is over; called exactly once, last, even if a thread of it panicked.
    fn ended(&self, attempt: AttemptId, outcome: JobOutcome);
}

/// Runs jobs.
pub trait JobEngine: Send + Sync {
    /// What a job is made from: where, what, how.
    type Job: Send + 'static;

    /// Starts a job and returns at once. Errors, too, arrive in [`JobSink::ended`].
    fn start(&self, attempt: AttemptId, job: Self::Job, control: Control, sink: std::sync::Arc<dyn JobSink>);

    /// Whether the snapshot of this id is stored: asked after a crash, before an attempt is repeated.
    fn holds_snapshot(&self, job: &Self::Job, id: Id) -> Result<bool, Error>;
}
