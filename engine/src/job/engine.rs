//! The real engine: each job on a thread of its own, all on shared repositories and the same cores.
//!
//! Restores go first: while one runs, backups compute on half of the cores, at least one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use super::{AttemptId, JobEngine, JobOutcome, JobSink};
use crate::archive::{self, BackupOptions, BackupOutcome};
use crate::compute::ComputeSlots;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::repository::{
    Recovered, Repositories, Repository, RepositoryAddress, RepositoryOptions, SnapshotChoice,
};
use crate::restore::{self, FirebirdTarget, RestoreOptions, Subtree, find_subtree, restore_firebird};
use crate::source::Source;

/// What a job is to do.
pub enum Job {
    /// Make a snapshot.
    Backup(BackupJob),
    /// Write one back.
    Restore(RestoreJob),
    /// Make a Firebird database of one.
    RestoreFirebird(FirebirdRestoreJob),
}

/// A snapshot to be made.
pub struct BackupJob {
    /// Where it is stored.
    pub repository: RepositoryAddress,
    /// Makes what is backed up: a new source for each attempt.
    pub source: MakeSource,
    /// How.
    pub options: BackupOptions,
    /// The snapshot that an attempt before this one sealed, and may have stored without anybody's learning
    /// of it. If it is stored it is the outcome, and nothing is read.
    pub sealed_before: Option<Id>,
}

/// Makes a source, on the job's own thread: it may block, and a panic in it is the job's.
pub type MakeSource = Box<dyn FnOnce() -> Result<Box<dyn Source>> + Send>;

/// A snapshot, or part of it, to be written back.
pub struct RestoreJob {
    /// Where it is stored.
    pub repository: RepositoryAddress,
    /// The beginning of an id, or `latest`.
    pub snapshot: String,
    /// What `latest` chooses from.
    pub choice: SnapshotChoice,
    /// The folder or entry inside the snapshot; all of it if empty.
    pub path: Vec<u8>,
    /// The folder that takes it.
    pub target: PathBuf,
    /// How.
    pub options: RestoreOptions,
}

/// A dump in a snapshot that is to become a Firebird database.
pub struct FirebirdRestoreJob {
    /// Where it is stored.
    pub repository: RepositoryAddress,
    /// The beginning of an id, or `latest`.
    pub snapshot: String,
    /// What `latest` chooses from.
    pub choice: SnapshotChoice,
    /// The dump inside the snapshot; its only one if empty.
    pub path: Vec<u8>,
    /// The database.
    pub target: FirebirdTarget,
}

/// Runs backups and restores. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    repositories: Repositories,
    backups: ComputeSlots,
    restores: ComputeSlots,
    restores_running: Mutex<usize>,
}

impl Engine {
    /// An engine that opens repositories with `options` and computes on all cores of the machine.
    pub fn new(options: RepositoryOptions) -> Self {
        Self {
            shared: Arc::new(Shared {
                repositories: Repositories::new(options),
                backups: ComputeSlots::of_this_machine(),
                restores: ComputeSlots::of_this_machine(),
                restores_running: Mutex::new(0),
            }),
        }
    }

    /// The repositories that its jobs use.
    pub fn repositories(&self) -> &Repositories {
        &self.shared.repositories
    }
}

impl JobEngine for Engine {
    type Job = Job;

    fn start(&self, attempt: AttemptId, job: Job, control: Control, sink: Arc<dyn JobSink>) {
        let shared = self.shared.clone();
        let told = sink.clone();
        let run = move || {
            let _span = tracing::info_span!("job", %attempt).entered();
            let worked = catch_unwind(AssertUnwindSafe(|| shared.run(job, &control, &*sink)));
            let outcome = worked.unwrap_or_else(|panic| Err(Error::Crashed(panic_text(&*panic))));
            sink.ended(outcome.unwrap_or_else(JobOutcome::Failed));
        };
        if let Err(error) = thread::Builder::new().name("keepwell-job".into()).spawn(run) {
            told.ended(JobOutcome::Failed(Error::Crashed(format!("no thread for the job: {error}"))));
        }
    }

    fn open_repositories(&self) -> Option<&Repositories> {
        Some(&self.shared.repositories)
    }
}

impl Shared {
    fn run(&self, job: Job, control: &Control, sink: &dyn JobSink) -> Result<JobOutcome> {
        control.checkpoint()?;
        match job {
            Job::Backup(backup) => self.back_up(backup, control, sink),
            Job::Restore(restore) => {
                let _first = RestoresFirst::begin(self);
                self.restore(&restore, control, sink)
            }
            Job::RestoreFirebird(restore) => {
                let _first = RestoresFirst::begin(self);
                self.restore_firebird(&restore, control, sink)
            }
        }
    }

    fn back_up(&self, job: BackupJob, control: &Control, sink: &dyn JobSink) -> Result<JobOutcome> {
        let repository = self.repositories.open(&job.repository)?;
        let session = repository.begin(false, control)?;
        if let Some(stored) =
            job.sealed_before.map(|id| stored_already(&repository, id)).transpose()?.flatten()
        {
            return Ok(JobOutcome::BackedUp(Box::new(stored)));
        }
        let source = (job.source)()?;
        let source = source.as_ref();
        let outcome = archive::back_up(&session, source, &job.options, control, &self.backups, sink)?;
        Ok(JobOutcome::BackedUp(Box::new(outcome)))
    }

    fn restore(&self, job: &RestoreJob, control: &Control, sink: &dyn JobSink) -> Result<JobOutcome> {
        let repository = self.repositories.open(&job.repository)?;
        let session = repository.begin(false, control)?;
        let (_, snapshot) = repository.find_snapshot(&job.snapshot, &job.choice)?;
        // After the snapshot was found: an index that is older might not know all that it needs.
        repository.load_index(control)?;
        let what = if job.path.is_empty() {
            Subtree::from(snapshot.tree)
        } else {
            find_subtree(&repository, snapshot.tree, &job.path)?
        };
        let (target, options) = (&job.target, &job.options);
        let outcome = restore::restore(&session, what, target, options, control, &self.restores, sink)?;
        Ok(JobOutcome::Restored(outcome))
    }
}

impl Shared {
    fn restore_firebird(
        &self,
        job: &FirebirdRestoreJob,
        control: &Control,
        sink: &dyn JobSink,
    ) -> Result<JobOutcome> {
        let repository = self.repositories.open(&job.repository)?;
        let session = repository.begin(false, control)?;
        let (_, snapshot) = repository.find_snapshot(&job.snapshot, &job.choice)?;
        repository.load_index(control)?;
        let outcome = restore_firebird(&session, snapshot.tree, &job.path, &job.target, control, sink)?;
        Ok(JobOutcome::Restored(outcome))
    }
}

/// What an attempt did that stored its snapshot and could not say so. How many entries it could not read is
/// not known any more.
fn stored_already(repository: &Repository, id: Id) -> Result<Option<BackupOutcome>> {
    match repository.read_snapshot(id) {
        Ok(snapshot) => Ok(Some(BackupOutcome { id, snapshot, errors: 0, recovered: Recovered::default() })),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// While one lives, backups leave half of the cores alone.
struct RestoresFirst<'a> {
    shared: &'a Shared,
}

impl<'a> RestoresFirst<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let mut running = shared.restores_running.lock();
        *running += 1;
        shared.backups.allow(shared.backups.total() / 2);
        Self { shared }
    }
}

impl Drop for RestoresFirst<'_> {
    fn drop(&mut self) {
        let mut running = self.shared.restores_running.lock();
        *running -= 1;
        if *running == 0 {
            self.shared.backups.allow(self.shared.backups.total());
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".into())
}
