//! What does an attempt's work: the engine, told by names what items and restores mean.
//!
//! Actors know repositories, sources and targets by name only. A [`Workshop`] turns an attempt into a job of
//! the engine; [`EngineRunner`] runs it on any [`JobEngine`], the real one or a simulated one. What is asked of
//! repositories goes the same way, past the actors: a [`RepositoryReader`] reads by names.

mod firebird;
mod places;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;

use keepwell_engine::control::Control;
use keepwell_engine::error::Error;
use keepwell_engine::job::{AttemptId, JobEngine, JobOutcome, JobSink};
use keepwell_engine::query::KeptOpen;
use keepwell_engine::repository::RepositoryAddress;
use keepwell_messages::{Item, TaskId, TaskKind};

use crate::suggestion::nearest;

pub use firebird::FirebirdDatabase;
pub use places::{MakeNamedSource, Places};
pub use reading::{KnownNames, RepositoryQuestion, RepositoryReader, WantedFile};
pub(crate) use reading::{no_repositories, refusal_of};

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

    /// The names that mean something here. A runner that says nothing of them knows none.
    fn names(&self) -> KnownNames {
        KnownNames::default()
    }

    /// What reads in the repositories; absent if there are none that could be read in.
    fn reader(&self) -> Option<&dyn RepositoryReader> {
        None
    }
}

/// Makes jobs of attempts.
pub trait Workshop<J>: Send + Sync + 'static {
    /// As [`Runner::accepts`].
    fn accepts(&self, kind: &TaskKind, item: Option<&Item>) -> Result<(), String>;

    /// The job. Neither blocks nor looks at files: what has to is done by the job itself.
    fn job(&self, attempt: &Attempt) -> Result<J, Error>;

    /// How to get at the repository of this name. The error says what is wrong, and what to do.
    fn repository(&self, name: &str) -> Result<RepositoryAddress, String>;

    /// The names that mean something here.
    fn names(&self) -> KnownNames;
}

/// Runs attempts on an engine.
pub struct EngineRunner<E: JobEngine> {
    engine: E,
    workshop: Arc<dyn Workshop<E::Job>>,
    kept_open: KeptOpen,
}

impl<E: JobEngine> EngineRunner<E> {
    /// Attempts become jobs in `workshop` and are run by `engine`.
    pub fn new(engine: E, workshop: impl Workshop<E::Job>) -> Self {
        Self { engine, workshop: Arc::new(workshop), kept_open: KeptOpen::default() }
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

    fn names(&self) -> KnownNames {
        self.workshop.names()
    }

    fn reader(&self) -> Option<&dyn RepositoryReader> {
        self.engine.open_repositories().map(|_| self as &dyn RepositoryReader)
    }
}

/// What a name in the configuration stands for, or the words for one that stands for nothing.
fn of_name<'a, T>(kind: &str, name: &str, known: &'a BTreeMap<String, T>) -> Result<&'a T, String> {
    known.get(name).ok_or_else(|| match nearest(name, known.keys().map(String::as_str)) {
        Some(near) => format!("there is no {kind} {name}; did you mean {near}?"),
        None => format!("there is no {kind} {name} in the configuration"),
    })
}
