//! The seam between the engine and whoever runs it: start a job, steer it, be told.
//!
//! The real engine ([`Engine`]) and a simulated one implement [`JobEngine`] alike. A job runs
//! on threads of its own and reports to one sink, made for one attempt of one task, so that
//! whoever reads the reports can tell those of an attempt that is over.

mod engine;

use std::fmt;
use std::sync::Arc;

use keepwell_messages::ErrorClass;

pub use engine::{BackupJob, Engine, FirebirdRestoreJob, Job, MakeSource, RestoreJob};

use crate::archive::BackupOutcome;
use crate::control::Control;
use crate::error::Error;
use crate::id::Id;
use crate::report::ReportSink;
use crate::repository::Repositories;
use crate::restore::RestoreOutcome;

/// Which attempt of which task a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptId {
    /// The task, as its owner numbers it.
    pub task: u128,
    /// The attempt, 1 for the first.
    pub attempt: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}/{}", self.task, self.attempt)
    }
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

/// What an engine does once it may store a snapshot, or may not.
pub type AfterSealing = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Takes what one attempt tells.
pub trait JobSink: ReportSink {
    /// As [`ReportSink::snapshot_sealed`], for an engine that has no thread to block: `then` is called, once,
    /// on any thread, when the snapshot may be stored, or with the reason why not.
    fn ask_to_store(&self, id: Id, then: AfterSealing) {
        then(self.snapshot_sealed(id));
    }

    /// The attempt is over; called exactly once, last, even if a thread of it panicked.
    fn ended(&self, outcome: JobOutcome);
}

/// Runs jobs.
pub trait JobEngine: Send + Sync {
    /// What a job is made from: where, what, how. Used up by one attempt.
    type Job: Send + 'static;

    /// Starts a job and returns at once. Errors, too, arrive in [`JobSink::ended`].
    /// `attempt` names it in logs and thread names.
    fn start(&self, attempt: AttemptId, job: Self::Job, control: Control, sink: Arc<dyn JobSink>);

    /// The repositories that its jobs have open, for who reads beside them; none in an engine that only pretends.
    fn open_repositories(&self) -> Option<&Repositories> {
        None
    }
}
