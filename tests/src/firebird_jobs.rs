//! Jobs of the engine that dump Firebird databases and make them again, without actors.
//!
//! [`start`] gives the outcome of any job to the test, [`back_up`] and [`restore`] wait for theirs. Which database a
//! job works on is for the test to say: one of a [`FirebirdServer`], or one that is [`embedded`].
//!
//! [`FirebirdServer`]: crate::firebird_server::FirebirdServer

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use keepwell_engine::archive::BackupOptions;
use keepwell_engine::clock::SystemClock;
use keepwell_engine::control::Control;
use keepwell_engine::error::{Error, Result};
use keepwell_engine::firebird::{FirebirdAccess, FirebirdDumpOptions};
use keepwell_engine::job::{
    AttemptId, BackupJob, FirebirdRestoreJob, Job, JobEngine, JobOutcome, JobSink, MakeSource,
};
use keepwell_engine::report::{Problem, ReportSink};
use keepwell_engine::repository::SnapshotChoice;
use keepwell_engine::restore::FirebirdTarget;
use keepwell_engine::source::Source;
use keepwell_engine::source::firebird::FirebirdSource;
use keepwell_messages::{ErrorClass, Progress};

use crate::embedding::Scene;
use crate::programs::say;

/// Transfers of a small database. Enough that a dump cannot wait in pipes and queues: some 5 MB.
pub const FEW_PAIRS: u64 = 40_000;

struct Sink(Mutex<Sender<JobOutcome>>);

impl ReportSink for Sink {
    fn progress(&self, _: &Progress) {}
    fn problem(&self, problem: &Problem) {
        say(&format!("{problem:?}"));
    }
}

impl JobSink for Sink {
    fn ended(&self, outcome: JobOutcome) {
        self.0.lock().expect("one at a time").send(outcome).expect("somebody waits");
    }
}

/// Starts a job. Its outcome comes once; its problems are printed.
pub fn start(scene: &Scene, job: Job, control: &Control) -> Receiver<JobOutcome> {
    let (sender, outcome) = channel();
    let attempt = AttemptId { task: 1, attempt: 1 };
    scene.engine().start(attempt, job, control.clone(), Arc::new(Sink(sender.into())));
    outcome
}

/// A backup of a source to the repository of a scene.
pub fn backup_job(scene: &Scene, source: MakeSource) -> Job {
    let options = BackupOptions::default();
    Job::Backup(BackupJob { repository: scene.address(), source, options, sealed_before: None })
}

/// A database as a source, whose dump is `ledger.fbk`.
pub fn dump_of(access: &FirebirdAccess) -> FirebirdSource {
    let options = FirebirdDumpOptions::default();
    FirebirdSource::new("ledger", access.clone(), options, Arc::new(SystemClock)).expect("a name")
}

/// Backs a database up; the bytes of its dump, and those that the repository did not hold yet.
pub fn back_up(scene: &Scene, access: &FirebirdAccess) -> Result<(u64, u64), Error> {
    let access = access.clone();
    let job = backup_job(scene, Box::new(move || Ok(Box::new(dump_of(&access)) as Box<dyn Source>)));
    match start(scene, job, &Control::new()).recv().expect("it ends") {
        JobOutcome::BackedUp(outcome) => {
            let summary = outcome.snapshot.summary.expect("a summary");
            Ok((summary.total_bytes_processed, summary.data_added))
        }
        JobOutcome::Failed(error) => Err(error),
        JobOutcome::Restored(_) => panic!("it was no restore"),
    }
}

/// A restore of the latest dump to a database; one that is there is only replaced if `replace` says so.
pub fn restore_job(scene: &Scene, access: &FirebirdAccess, replace: bool) -> Job {
    Job::RestoreFirebird(FirebirdRestoreJob {
        repository: scene.address(),
        snapshot: "latest".into(),
        choice: SnapshotChoice::default(),
        path: Vec::new(),
        target: FirebirdTarget { access: access.clone(), replace, beneath: None },
    })
}

/// Makes a database again of the latest dump, and asserts that its one file was restored and verified.
pub fn restore(scene: &Scene, access: &FirebirdAccess, replace: bool) -> Result<(), Error> {
    match start(scene, restore_job(scene, access, replace), &Control::new()).recv().expect("it ends") {
        JobOutcome::Restored(outcome) => {
            assert_eq!((outcome.files_restored, outcome.files_verified, outcome.errors), (1, 1, 0));
            Ok(())
        }
        JobOutcome::Failed(error) => Err(error),
        JobOutcome::BackedUp(_) => panic!("it was no backup"),
    }
}

/// Asserts that it failed with this class and this in its text, which is one line and holds no secret.
pub fn refused(result: Result<impl Sized, Error>, class: ErrorClass, said: &str) {
    let error = match result {
        Ok(_) => panic!("it went well, and should not: {said}"),
        Err(error) => error,
    };
    let text = error.to_string();
    assert!(error.class() == class && text.contains(said), "{:?}: {text}", error.class());
    assert!(!text.contains("secret") && !text.contains('\n'), "{text}");
}

/// Access to a database that no server has open: it takes no login.
pub fn embedded(path: &Path) -> FirebirdAccess {
    FirebirdAccess::new(path.to_str().expect("UTF-8").parse().expect("a path"))
}
