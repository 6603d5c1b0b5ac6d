//! A runner that is listened to: entries that could not be read are named as `backup` names them, and the
//! engine's own error is kept, which knows more than the failure that the journal keeps of it.

use std::sync::Arc;

use keepwell_actors::runner::{Attempt, KnownNames, RepositoryReader, Runner};
use keepwell_engine::control::Control;
use keepwell_engine::error::Result;
use keepwell_engine::id::Id;
use keepwell_engine::job::{AfterSealing, JobOutcome, JobSink};
use keepwell_engine::report::{Problem, ReportSink};
use keepwell_messages::{Item, Progress, TaskKind};
use parking_lot::Mutex;

use crate::exit::Failure;
use crate::output::Output;
use crate::progress::tell_problem;

/// See the module.
pub struct ObservedRunner {
    runner: Arc<dyn Runner>,
    output: Arc<Output>,
    latest: LatestFailure,
}

/// How the attempt failed that ended last.
pub type LatestFailure = Arc<Mutex<Option<Failure>>>;

impl ObservedRunner {
    /// Listens to `runner`.
    pub fn new(runner: Arc<dyn Runner>, output: Arc<Output>) -> Self {
        Self { runner, output, latest: Arc::default() }
    }

    /// Where the latest failure will be.
    pub fn latest_failure(&self) -> LatestFailure {
        self.latest.clone()
    }
}

impl Runner for ObservedRunner {
    fn accepts(&self, kind: &TaskKind, item: Option<&Item>) -> Result<(), String> {
        self.runner.accepts(kind, item)
    }

    fn start(&self, attempt: Attempt, control: Control, sink: Arc<dyn JobSink>) {
        *self.latest.lock() = None;
        let sink = ObservedSink { sink, output: self.output.clone(), latest: self.latest.clone() };
        self.runner.start(attempt, control, Arc::new(sink));
    }

    fn names(&self) -> KnownNames {
        self.runner.names()
    }

    fn reader(&self) -> Option<&dyn RepositoryReader> {
        self.runner.reader()
    }
}

struct ObservedSink {
    sink: Arc<dyn JobSink>,
    output: Arc<Output>,
    latest: LatestFailure,
}

impl ReportSink for ObservedSink {
    fn progress(&self, progress: &Progress) {
        self.sink.progress(progress);
    }

    fn problem(&self, problem: &Problem) {
        tell_problem(&self.output, "archival", problem);
        self.sink.problem(problem);
    }

    fn snapshot_sealed(&self, id: Id) -> Result<()> {
        self.sink.snapshot_sealed(id)
    }

    fn wants_totals(&self) -> bool {
        self.sink.wants_totals()
    }
}

impl JobSink for ObservedSink {
    fn ask_to_store(&self, id: Id, then: AfterSealing) {
        self.sink.ask_to_store(id, then);
    }

    fn ended(&self, outcome: JobOutcome) {
        if let JobOutcome::Failed(error) = &outcome {
            *self.latest.lock() = Some(Failure::of(error));
        }
        self.sink.ended(outcome);
    }
}
