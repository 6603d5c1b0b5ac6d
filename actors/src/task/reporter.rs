//! What a worker tells its task's actor, from threads of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;

use actix::{Addr, Message};
use keepwell_engine::error::{Error, Result};
use keepwell_engine::id::Id;
use keepwell_engine::job::{AfterSealing, JobOutcome, JobSink};
use keepwell_engine::report::{Problem, ReportSink};
use keepwell_messages::{BackedUp, Failure, Progress, Refusal, Restored, TaskEnd};
use parking_lot::Mutex;

use super::{TaskActor, WorkerId};
use crate::board::AttemptOutcome;

/// Entries that could not be read, or written, that are named in the log for each attempt; all are counted.
const PROBLEMS_LOGGED_MAX: u64 = 100;

/// Called once with whether the snapshot may be stored; dropped uncalled if nobody is there to say so.
pub(super) type Go = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// The longest reason of a failure that is kept: it stands in the journal several times.
const WHY_BYTES_MAX: usize = 4096;

/// What a worker tells.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) enum WorkerTold {
    Progress(Progress),
    /// The worker waits for `go` before it stores the snapshot.
    Sealed {
        snapshot: String,
        go: Go,
    },
    Ended(AttemptOutcome),
}

/// The sink of one attempt. It is dropped when the worker's last thread has ended.
pub(super) struct Reporter {
    worker: WorkerId,
    actor: Addr<TaskActor>,
    problems: AtomicU64,
    working: Working,
}

impl Reporter {
    pub(super) fn new(worker: WorkerId, actor: Addr<TaskActor>, working: Working) -> Self {
        working.begin();
        Self { worker, actor, problems: AtomicU64::new(0), working }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.working.gone();
    }
}

impl ReportSink for Reporter {
    fn progress(&self, progress: &Progress) {
        // The newest value only. If the mailbox is full or closed there is no use for it.
        let _ = self.actor.try_send(WorkerTold::Progress(progress.clone()));
    }

    fn problem(&self, problem: &Problem) {
        let count = self.problems.fetch_add(1, Ordering::Relaxed);
        if count < PROBLEMS_LOGGED_MAX {
            let Problem { path, why, is_error } = problem;
            tracing::warn!(task = %self.worker.task, path, why, is_error, "an entry is not backed up or restored");
        } else if count == PROBLEMS_LOGGED_MAX {
            tracing::warn!(task = %self.worker.task, "further entries are counted and not named");
        }
    }

    fn snapshot_sealed(&self, id: Id) -> Result<()> {
        let (sender, answer) = sync_channel(1);
        self.ask_to_store(id, Box::new(move |answer| drop(sender.send(answer))));
        // The channel closes if the actor is dead, or dies before it answers.
        answer.recv().unwrap_or(Err(Error::Cancelled))
    }

    fn wants_totals(&self) -> bool {
        true
    }
}

impl JobSink for Reporter {
    fn ask_to_store(&self, id: Id, then: AfterSealing) {
        let go = move |answer: Result<(), Refusal>| {
            let not_noted = |refusal| Error::Crashed(format!("its snapshot could not be noted: {refusal}"));
            then(answer.map_err(not_noted));
        };
        self.actor.do_send(WorkerTold::Sealed { snapshot: id.to_hex(), go: Box::new(go) });
    }

    fn ended(&self, outcome: JobOutcome) {
        // If the actor is dead its death was told, and that is how the attempt ended.
        self.actor.do_send(WorkerTold::Ended(outcome_of(outcome)));
    }
}

fn outcome_of(outcome: JobOutcome) -> AttemptOutcome {
    match outcome {
        JobOutcome::BackedUp(backup) => {
            let summary = backup.snapshot.summary.as_ref();
            let count = |of: fn(&keepwell_engine::format::SnapshotSummary) -> u64| summary.map_or(0, of);
            AttemptOutcome::Done(TaskEnd::BackedUp(BackedUp {
                snapshot: backup.id.to_hex(),
                files: count(|summary| summary.total_files_processed),
                bytes: count(|summary| summary.total_bytes_processed),
                bytes_new: count(|summary| summary.data_added),
                bytes_stored: count(|summary| summary.data_added_packed),
                errors: backup.errors,
            }))
        }
        JobOutcome::Restored(restore) => AttemptOutcome::Done(TaskEnd::Restored(Restored {
            files_restored: restore.files_restored,
            files_unchanged: restore.files_unchanged,
            bytes_written: restore.bytes_written,
            errors: restore.errors,
        })),
        JobOutcome::Failed(error) => {
            let mut why = error.to_string();
            why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
            let failure = Failure { class: error.class(), why };
            match error.is_elsewhere() {
                true => AttemptOutcome::FailedElsewhere(failure),
                false => AttemptOutcome::Failed(failure),
            }
        }
    }
}

/// Whether a worker works, was fenced, or is gone; counts those that are fenced and not gone.
#[derive(Clone)]
pub(super) struct Working {
    standing: Arc<Mutex<Standing>>,
    fenced_workers: Arc<AtomicU32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    NotBegun,
    Works,
    Fenced,
    Gone,
}

impl Working {
    pub(super) fn new(fenced_workers: Arc<AtomicU32>) -> Self {
        Self { standing: Arc::new(Mutex::new(Standing::NotBegun)), fenced_workers }
    }

    fn begin(&self) {
        *self.standing.lock() = Standing::Works;
    }

    pub(super) fn fence(&self) {
        let mut standing = self.standing.lock();
        if *standing == Standing::Works {
            *standing = Standing::Fenced;
            self.fenced_workers.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn gone(&self) {
        let before = std::mem::replace(&mut *self.standing.lock(), Standing::Gone);
        if before == Standing::Fenced {
            self.fenced_workers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
