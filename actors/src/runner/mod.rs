//! What does an attempt's work: the engine, told by names what items and restores mean.
//!
//! Actors know repositories, sources and targets by name only. A [`Workshop`] turns an attempt into a job of
//! the engine; [`EngineRunner`] runs it on any [`JobEngine`], the real one or a simulated one.

mod firebird;
mod places;

use std::collections::BTreeMap;
use std::sync::Arc;

use keepwell_engine::control::Control;
use keepwell_engine::error::Error;
use keepwell_engine::job::{AttemptId, JobEngine, JobOutcome, JobSink};
use keepwell_messages::{Item, TaskId, TaskKind};

use crate::suggestion::nearest;

pub use firebird::FirebirdDatabase;
pub use places::{MakeNamedSource, Places};

/// One attempt of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The task.
    pub task: TaskId,
    /// 1 for its first attempt.
    pub attempt: u32,
    /// What it does.
    pub kind: TaskKind,
    /// The item as it was when the task was made; none for a restore.
    pub item: Option<Item>,
    /// The snapshot that an attempt before this one sealed and may have stored, by its id.
    pub sealed: Option<String>,
}

/// Starts attempts.
pub trait Runner: Send + Sync + 'static {
    /// Whether a task of this kind can be attempted at all: its names are known, its target is allowed. Looks
    /// at no file and no network. The error says what is wrong, and what to do.
    fn accepts(&self, kind: &TaskKind, item: Option<&Item>) -> Result<(), String>;

    /// Starts an attempt and returns at once. Errors, too, arrive in [`JobSink::ended`].
    fn start(&self, attempt: Attempt, control: Control, sink: Arc<dyn JobSink>);
}

/// Makes jobs of attempts.
pub trait Workshop<J>: Send + Sync + 'static {
    /// As [`Runner::accepts`].
    fn accepts(&self, kind: &TaskKind, item: Option<&Item>) -> Result<(), String>;

    /// The job. Neither blocks nor looks at files: what has to is done by the job itself.
    fn job(&self, attempt: &Attempt) -> Result<J, Error>;
}

/// Runs attempts on an engine.
pub struct EngineRunner<E: JobEngine> {
    engine: E,
    workshop: Arc<dyn Workshop<E::Job>>,
}

impl<E: JobEngine> EngineRunner<E> {
    /// Attempts become jobs in `workshop` and are run by `engine`.
    pub fn new(engine: E, workshop: impl Workshop<E::Job>) -> Self {
        Self { engine, workshop: Arc::new(workshop) }
    }
}

impl<E: JobEngine + 'static> Runner for EngineRunner<E> {
    fn accepts(&self, kind: &TaskKind, item: Option<&Item>) -> Result<(), String> {
        self.workshop.accepts(kind, item)
    }

    fn start(&self, attempt: Attempt, control: Control, sink: Arc<dyn JobSink>) {
        match self.workshop.job(&attempt) {
            Ok(job) => {
                let id = AttemptId { task: attempt.task.as_u128(), attempt: attempt.attempt };
                self.engine.start(id, job, control, sink);
            }
            Err(error) => sink.ended(JobOutcome::Failed(error)),
        }
    }
}

/// What a name in the configuration stands for, or the words for one that stands for nothing.
fn of_name<'a, T>(kind: &str, name: &str, known: &'a BTreeMap<String, T>) -> Result<&'a T, String> {
    known.get(name).ok_or_else(|| match nearest(name, known.keys().map(String::as_str)) {
        Some(near) => format!("there is no {kind} {name}; did you mean {near}?"),
        None => format!("there is no {kind} {name} in the configuration"),
    })
}
