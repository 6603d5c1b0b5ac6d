//! The actor system on virtual time with an engine that does what a test lays down: for suites that want to
//! see one rule at work. Files, networks and crashes of real programs are for other suites.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_actors::runner::{Attempt, EngineRunner};
use keepwell_actors::simulation::{
    AnyPlace, Course, CourseEnd, Courses, SimulatedClock, SimulatedEngine, SimulatedStore, on_virtual_time,
};
use keepwell_actors::{AskError, Handle, Keepwell, Settings, StartError, Told};
use keepwell_messages::{
    BackupProgress, ErrorClass, Event, FilesItem, GetActiveTasks, GetScheduleOutcomes, GetTask,
    GetTaskManagerStats, Item, ItemId, ItemSource, NumberedEvent, PerformBackup, Refusal, Request,
    ScheduleOutcome, ScheduleText, SetItem, Task, TaskId, TaskKind, TaskManagerStats, TaskState,
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::time::sleep;

/// A backup that takes so long and ends well.
pub fn takes(seconds: u64) -> Course {
    Course { works_for: Duration::from_secs(seconds), files: 100, bytes: 1 << 20, end: CourseEnd::Well }
}

/// A backup that fails after so long.
pub fn fails(seconds: u64, class: ErrorClass) -> Course {
    Course { end: CourseEnd::Fails(class), ..takes(seconds) }
}

/// An instant, as `2026-03-29 01:30`, in UTC.
pub fn utc(text: &str) -> DateTime<Utc> {
    format!("{}:00Z", text.replace(' ', "T")).parse().expect("an instant")
}

/// What outlives a process: the journal's folder, the store, the clock, and what attempts will meet.
pub struct World {
    clock: Arc<SimulatedClock>,
    store: SimulatedStore,
    folder: PathBuf,
    /// Removed with the world, if it made one.
    _temporary: Option<TempDir>,
    script: Script,
}

#[derive(Clone, Default)]
struct Script {
    courses: Arc<Mutex<BTreeMap<ItemId, VecDeque<Course>>>>,
    /// Attempts that were started, in order.
    started: Arc<Mutex<Vec<Attempt>>>,
}

impl Courses for Script {
    /// What was laid down for the item, one after the other, the last one again and again; a minute if nothing was.
    fn course(&self, attempt: &Attempt) -> Course {
        self.started.lock().push(attempt.clone());
        let TaskKind::Backup(item) = &attempt.kind else { return takes(60) };
        let mut courses = self.courses.lock();
        match courses.get_mut(item) {
            Some(laid_down) if laid_down.len() > 1 => laid_down.pop_front().expect("more than one"),
            Some(laid_down) => laid_down.front().cloned().unwrap_or_else(|| takes(60)),
            None => takes(60),
        }
    }
}

impl World {
    /// A world whose clock shows `start`.
    pub fn at(start: &str) -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        Self {
            folder: temporary.path().into(),
            _temporary: Some(temporary),
            ..Self::in_folder(start, Path::new(""))
        }
    }

    /// The same, with its journal in this folder.
    pub fn in_folder(start: &str, folder: &Path) -> Self {
        Self {
            clock: Arc::new(SimulatedClock::new(utc(start))),
            store: SimulatedStore::default(),
            folder: folder.into(),
            _temporary: None,
            script: Script::default(),
        }
    }

    /// Where the journal lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Tries to start a process, and tells why it did not.
    pub fn refused_start(&self) -> StartError {
        self.refused_start_with(|settings| settings)
    }

    /// The same with other settings.
    pub fn refused_start_with(&self, settings: impl FnOnce(Settings) -> Settings) -> StartError {
        let settings = settings(self.settings(SimulatedEngine::new(self.store.clone(), self.script.clone())));
        let started = on_virtual_time(async { Keepwell::start(settings).await.map(|_| ()) });
        started.expect("a runtime").expect_err("it does not start")
    }

    fn settings(&self, engine: SimulatedEngine) -> Settings {
        let runner = EngineRunner::new(engine, AnyPlace);
        Settings { clock: self.clock.clone(), ..Settings::new(&self.folder, Arc::new(runner)) }
    }

    /// What the attempts of an item's tasks meet from now on.
    pub fn lay_down(&self, item: &str, courses: impl Into<VecDeque<Course>>) {
        self.script.courses.lock().insert(item.into(), courses.into());
    }

    /// The machine is off for so long.
    pub fn off_for(&self, time: TimeDelta) {
        self.clock.jump(time);
    }

    /// One process with the settings that are usual. It is killed when `test` returns.
    pub fn life<T>(&self, test: impl AsyncFnOnce(&Life) -> T) -> T {
        self.life_with(|settings| settings, test)
    }

    /// One process with other settings.
    pub fn life_with<T>(
        &self,
        settings: impl FnOnce(Settings) -> Settings,
        test: impl AsyncFnOnce(&Life) -> T,
    ) -> T {
        let engine = SimulatedEngine::new(self.store.clone(), self.script.clone());
        let settings = settings(self.settings(engine.clone()));
        let lived = on_virtual_time(async {
            self.clock.go();
            let handle = Keepwell::start(settings).await.expect("it starts");
            let life = Life {
                handle,
                engine,
                clock: self.clock.clone(),
                script: self.script.clone(),
                heard: Rc::default(),
            };
            life.listen();
            let result = test(&life).await;
            self.clock.stand_still();
            result
        });
        lived.expect("a runtime")
    }
}

/// A process that runs.
pub struct Life {
    /// The system.
    pub handle: Handle,
    /// Its engine.
    pub engine: SimulatedEngine,
    clock: Arc<SimulatedClock>,
    script: Script,
    heard: Rc<RefCell<Heard>>,
}

#[derive(Default)]
struct Heard {
    events: Vec<NumberedEvent>,
    progress: Vec<BackupProgress>,
}

impl Life {
    fn listen(&self) {
        let mut subscription = self.handle.subscribe(Some(0)).expect("it runs");
        let heard = self.heard.clone();
        actix_rt::spawn(async move {
            while let Some(told) = subscription.next().await {
                match told {
                    Told::Event(event) => heard.borrow_mut().events.push((*event).clone()),
                    Told::Progress(progress) => heard.borrow_mut().progress.push((*progress).clone()),
                    Told::Missed { after } => unreachable!("events after {after} were missed"),
                }
            }
        });
    }

    /// Lets time go by.
    pub async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
        self.settle().await;
    }

    /// Lets everybody read what he was told.
    pub async fn settle(&self) {
        sleep(Duration::from_millis(1)).await;
    }

    /// Lets real time go by, for what no actor waits for: what is written about the death of one.
    pub async fn until(&self, happened: impl Fn(&Self) -> bool) {
        while !happened(self) {
            let moment = || std::thread::sleep(Duration::from_millis(5));
            tokio::task::spawn_blocking(moment).await.expect("it waits");
            self.settle().await;
        }
    }

    /// Lets time go by until the clock shows `instant`.
    pub async fn pass_until(&self, instant: &str) {
        let left = utc(instant) - self.now();
        sleep(left.to_std().expect("it is not past")).await;
        self.settle().await;
    }

    /// The clock is set.
    pub fn jump(&self, by: TimeDelta) {
        self.clock.jump(by);
    }

    /// What the clock shows.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.shown()
    }

    /// Asks for what is not refused.
    pub async fn ask<R: Request>(&self, request: R) -> R::Reply {
        let reply = self.handle.ask(request).await.expect("it is not refused");
        self.settle().await;
        reply
    }

    /// Asks for what is refused.
    pub async fn refused<R: Request>(&self, request: R) -> Refusal
    where
        R::Reply: std::fmt::Debug,
    {
        match self.handle.ask(request).await.expect_err("it is refused") {
            AskError::Refused(refusal) => refusal,
            other => unreachable!("{other}"),
        }
    }

    /// Adds or changes an item that is backed up into repository `cellar`, and gives it.
    pub async fn set_item(&self, name: &str, spec: Option<&str>) -> Item {
        self.ask(SetItem { item: item(name, spec) }).await.item
    }

    /// Starts a backup by hand.
    pub async fn back_up(&self, item: &str) -> TaskId {
        self.ask(PerformBackup { item: item.into() }).await.task
    }

    /// A task as it is now.
    pub async fn task(&self, task: TaskId) -> Task {
        self.ask(GetTask { task }).await
    }

    /// Its state.
    pub async fn state(&self, task: TaskId) -> TaskState {
        self.task(task).await.state
    }

    /// How many of what.
    pub async fn stats(&self) -> TaskManagerStats {
        self.ask(GetTaskManagerStats {}).await
    }

    /// All tasks that have not ended.
    pub async fn active(&self) -> Vec<Task> {
        self.ask(GetActiveTasks {}).await.tasks
    }

    /// What became of an item's due times, the oldest first.
    pub async fn outcomes(&self, item: &str) -> Vec<ScheduleOutcome> {
        let mut outcomes = self.ask(GetScheduleOutcomes { item: item.into(), limit: 1000 }).await.outcomes;
        outcomes.reverse();
        outcomes
    }

    /// All events so far.
    pub fn events(&self) -> Vec<NumberedEvent> {
        self.heard.borrow().events.clone()
    }

    /// All progress so far.
    pub fn progress(&self) -> Vec<BackupProgress> {
        self.heard.borrow().progress.clone()
    }

    /// The names of a task's events, in order.
    pub fn events_of(&self, task: TaskId) -> Vec<&'static str> {
        let of_task = |event: &NumberedEvent| name_of(&event.event).filter(|(of, _)| *of == task);
        self.heard.borrow().events.iter().filter_map(of_task).map(|(_, name)| name).collect()
    }

    /// When each task of an item was created, in order.
    pub fn created(&self, item: &str) -> Vec<(DateTime<Utc>, TaskId)> {
        let kind = TaskKind::Backup(item.into());
        let created = |event: &NumberedEvent| match &event.event {
            Event::TaskCreated(created) if created.kind == kind => Some((event.at, created.task)),
            _ => None,
        };
        self.heard.borrow().events.iter().filter_map(created).collect()
    }

    /// Attempts that were started, in this life and in those before it.
    pub fn started(&self) -> Vec<Attempt> {
        self.script.started.lock().clone()
    }
}

/// An item that is backed up into repository `cellar`.
pub fn item(name: &str, spec: Option<&str>) -> Item {
    Item {
        id: name.into(),
        source: ItemSource::Files(FilesItem { paths: vec!["/data".into()], excludes: Vec::new() }),
        repository: "cellar".into(),
        schedule: spec.map(|spec| ScheduleText {
            spec: spec.into(),
            time_zone: "UTC".into(),
            jitter_seconds: None,
        }),
        enabled: true,
        tags: Vec::new(),
    }
}

fn name_of(event: &Event) -> Option<(TaskId, &'static str)> {
    Some(match event {
        Event::TaskCreated(event) => (event.task, "created"),
        Event::TaskQueued(event) => (event.task, "queued"),
        Event::TaskStatusUpdate(event) => {
            let name = match event.to {
                TaskState::Pending => "pending",
                TaskState::Running => "running",
                TaskState::Paused => "paused",
                TaskState::Completed => "completed",
                TaskState::Failed => "failed",
                TaskState::Cancelled => "cancelled",
            };
            (event.task, name)
        }
        Event::TaskCompleted(event) => (event.task, "task-completed"),
        Event::TaskFailed(event) => (event.task, "task-failed"),
        Event::TaskCancelled(event) => (event.task, "task-cancelled"),
        Event::TaskRetry(event) => (event.task, "task-retry"),
        Event::TaskPaused(event) => (event.task, "task-paused"),
        Event::TaskResumed(event) => (event.task, "task-resumed"),
        _ => return None,
    })
}
