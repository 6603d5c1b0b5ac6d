//! An engine that pretends: jobs take the time, store the snapshots and meet the failures that are laid down
//! for them, on tokio's clock and without a thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use keepwell_engine::archive::BackupOutcome;
use keepwell_engine::control::Control;
use keepwell_engine::error::{Error, Result};
use keepwell_engine::format::{Snapshot, SnapshotSummary, Timestamp};
use keepwell_engine::id::Id;
use keepwell_engine::job::{AttemptId, JobEngine, JobOutcome, JobSink};
use keepwell_engine::repository::Recovered;
use keepwell_engine::restore::RestoreOutcome;
use keepwell_messages::{ErrorClass, Progress, Stage, TaskId, TaskKind};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use crate::runner::Attempt;

/// A job tells its progress some twenty times, in steps no shorter and no longer than these.
const STEP_MIN: Duration = Duration::from_secs(2);
const STEP_MAX: Duration = Duration::from_secs(60);

/// What an attempt meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// How long it works.
    pub works_for: Duration,
    /// Files in the source.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How it ends after that.
    pub end: CourseEnd,
}

/// How an attempt ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CourseEnd {
    /// Its snapshot is stored, its files are written.
    Well,
    /// It fails.
    Fails(ErrorClass),
    /// It stands still, and takes no notice of anything, until it has been given up for this long.
    Hangs(Duration),
    /// As `Hangs`, after it was told that it may store its snapshot; then it tries to.
    HangsBeforeStoring(Duration),
}

/// Lays down what attempts meet.
pub trait Courses: Send + Sync + 'static {
    /// The course of one attempt, asked once.
    fn course(&self, attempt: &Attempt) -> Course;

    /// Called when an attempt is about to seal its snapshot.
    fn sealing(&self, _attempt: &Attempt) {}
}

/// A snapshot that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// By this task.
    pub task: TaskId,
    /// In this attempt.
    pub attempt: u32,
}

/// What outlives the process: all snapshots. Clones are the same store.
#[derive(Clone, Default)]
pub struct SimulatedStore {
    snapshots: Arc<Mutex<BTreeMap<String, StoredSnapshot>>>,
}

impl SimulatedStore {
    /// All snapshots, by id.
    pub fn snapshots(&self) -> BTreeMap<String, StoredSnapshot> {
        self.snapshots.lock().clone()
    }

    fn holds(&self, id: Id) -> bool {
        self.snapshots.lock().contains_key(&id.to_hex())
    }

    fn put(&self, id: Id, snapshot: StoredSnapshot) {
        self.snapshots.lock().insert(id.to_hex(), snapshot);
    }
}

/// See the module. Clones are the same engine.
#[derive(Clone)]
pub struct SimulatedEngine {
    store: SimulatedStore,
    courses: Arc<dyn Courses>,
    working: Arc<Mutex<HashMap<u64, Working>>>,
}

struct Working {
    kind: TaskKind,
    task: TaskId,
    control: Control,
}

impl SimulatedEngine {
    /// Stores into `store`.
    pub fn new(store: SimulatedStore, courses: impl Courses) -> Self {
        Self { store, courses: Arc::new(courses), working: Arc::default() }
    }

    /// Jobs that work now, neither paused nor told to end.
    pub fn at_work(&self) -> Vec<(TaskId, TaskKind)> {
        let working = self.working.lock();
        let at_work = working.values().filter(|job| !job.control.is_paused() && !job.control.is_cancelled());
        at_work.map(|job| (job.task, job.kind.clone())).collect()
    }
}

impl JobEngine for SimulatedEngine {
    type Job = Attempt;

    fn start(&self, _: AttemptId, attempt: Attempt, control: Control, sink: Arc<dyn JobSink>) {
        let course = self.courses.course(&attempt);
        let engine = self.clone();
        let entry = Working { kind: attempt.kind.clone(), task: attempt.task, control: control.clone() };
        let number = {
            let mut working = self.working.lock();
            let number = working.keys().max().map_or(0, |number| number + 1);
            working.insert(number, entry);
            number
        };
        actix_rt::spawn(async move {
            // Taken off the list also when the whole process is dropped.
            let _listed = Listed { engine: engine.clone(), number };
            let SimulatedEngine { store, courses, .. } = engine;
            let changed = Arc::new(Notify::new());
            let told = changed.clone();
            control.listen(move || told.notify_one());
            let job = SimulatedJob { store, courses, attempt, course, control, changed, sink };
            let outcome = job.run().await;
            job.sink.ended(outcome.unwrap_or_else(JobOutcome::Failed));
        });
    }
}

struct Listed {
    engine: SimulatedEngine,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.engine.working.lock().remove(&self.number);
    }
}

struct SimulatedJob {
    store: SimulatedStore,
    courses: Arc<dyn Courses>,
    attempt: Attempt,
    course: Course,
    control: Control,
    /// Told when the reins are pulled.
    changed: Arc<Notify>,
    sink: Arc<dyn JobSink>,
}

impl SimulatedJob {
    async fn run(&self) -> Result<JobOutcome> {
        if let Some(id) = self.sealed_before()?.filter(|id| self.store.holds(*id)) {
            return Ok(self.backed_up(id));
        }
        self.tell(Stage::Preparing, Duration::ZERO);
        let stage = match self.attempt.kind {
            // It never reaches its destination.
            _ if self.course.end == CourseEnd::Fails(ErrorClass::Network) => Stage::Preparing,
            TaskKind::Backup(_) => Stage::Compressing,
            TaskKind::Restore(_) => Stage::Restoring,
        };
        let mut worked = Duration::ZERO;
        let step = (self.course.works_for / 20).clamp(STEP_MIN, STEP_MAX);
        while worked < self.course.works_for {
            let step = step.min(self.course.works_for - worked);
            self.step(step).await?;
            worked += step;
            self.tell(stage, worked);
        }
        match self.course.end {
            CourseEnd::Fails(class) => {
                Err(Error::Foreign { class, why: "the simulation wants this failure".into() })
            }
            CourseEnd::Hangs(longer) => {
                self.hang(longer).await;
                Err(Error::Cancelled)
            }
            CourseEnd::Well | CourseEnd::HangsBeforeStoring(_) => self.end_well().await,
        }
    }

    async fn hang(&self, longer: Duration) {
        while !self.control.is_cancelled() {
            self.changed.notified().await;
        }
        sleep(longer).await;
    }

    /// Works for so long, pauses not counted.
    async fn step(&self, step: Duration) -> Result<()> {
        let mut left = step;
        loop {
            if self.control.is_cancelled() {
                return Err(Error::Cancelled);
            }
            if self.control.is_paused() {
                self.changed.notified().await;
                continue;
            }
            let began = Instant::now();
            tokio::select! {
                () = sleep(left) => return Ok(()),
                () = self.changed.notified() => left = left.saturating_sub(began.elapsed()),
            }
        }
    }

    async fn end_well(&self) -> Result<JobOutcome> {
        if let TaskKind::Restore(_) = self.attempt.kind {
            let (files_restored, bytes_written) = (self.course.files, self.course.bytes);
            return Ok(JobOutcome::Restored(RestoreOutcome {
                files_restored,
                bytes_written,
                ..RestoreOutcome::default()
            }));
        }
        let Attempt { task, attempt, .. } = self.attempt;
        let id = Id::of(format!("{task}/{attempt}/{:?}", Instant::now()).as_bytes());
        let (sender, answer) = oneshot::channel();
        self.courses.sealing(&self.attempt);
        self.sink.ask_to_store(id, Box::new(move |answer| drop(sender.send(answer))));
        answer.await.unwrap_or(Err(Error::Cancelled))?;
        if let CourseEnd::HangsBeforeStoring(longer) = self.course.end {
            self.hang(longer).await;
        }
        // A store takes a moment, in which a process may be killed.
        sleep(Duration::from_millis(50)).await;
        if self.control.is_cancelled() {
            return Err(Error::Cancelled);
        }
        self.store.put(id, StoredSnapshot { task, attempt });
        sleep(Duration::from_millis(50)).await;
        Ok(self.backed_up(id))
    }

    fn sealed_before(&self) -> Result<Option<Id>> {
        let sealed = self.attempt.sealed.as_deref().map(str::parse::<Id>).transpose();
        sealed.map_err(|error| Error::Invalid(error.to_string()))
    }

    fn backed_up(&self, id: Id) -> JobOutcome {
        let mut snapshot = Snapshot::new(Timestamp::default(), id, Vec::new());
        snapshot.summary = Some(SnapshotSummary {
            total_files_processed: self.course.files,
            total_bytes_processed: self.course.bytes,
            ..SnapshotSummary::default()
        });
        JobOutcome::BackedUp(Box::new(BackupOutcome {
            id,
            snapshot,
            errors: 0,
            recovered: Recovered::default(),
        }))
    }

    fn tell(&self, stage: Stage, worked: Duration) {
        let Course { works_for, files, bytes, .. } = self.course;
        let part = if works_for.is_zero() { 1.0 } else { worked.as_secs_f64() / works_for.as_secs_f64() };
        let of = |total: u64| (total as f64 * part) as u64;
        self.sink.progress(&Progress {
            stage,
            paused: self.control.is_paused(),
            files_done: of(files),
            files_total: files,
            bytes_done: of(bytes),
            bytes_total: bytes,
            totals_final: true,
            bytes_new: of(bytes),
            bytes_stored: of(bytes),
            errors: 0,
            bytes_per_second: 0,
            seconds_left: None,
        });
    }
}
