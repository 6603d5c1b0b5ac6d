//! One seed: what happens to the system over its days, life by life.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use keepwell_actors::board::Limits;
use keepwell_actors::runner::{Attempt, EngineRunner};
use keepwell_actors::simulation::{
    AnyPlace, Course, CourseEnd, Courses, SimulatedClock, SimulatedEngine, SimulatedStore, on_virtual_time,
};
use keepwell_actors::supervision::{ChildSettings, Fault, FaultPlan, Faults, Intensity, StragglerEnd};
use keepwell_actors::{AskError, Handle, Keepwell, Randomness, Settings, Told};
use keepwell_messages::*;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::due_times::{self, Era};
use crate::model::Model;
use crate::random::Random;

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/St_Johns",
];
const SPECS: &[&str] = &[
    "every 20m",
    "every 4h",
    "every 7h",
    "daily 02:00",
    "daily 02:30",
    "weekly sun 03:30",
    "monthly 31 04:00",
    "*/15 * * * *",
    "30 2 * * *",
    "0 */3 * * mon-fri",
];
const ITEMS: &[&str] = &["papers", "photos", "mail", "ledger", "music", "maps", "code", "letters"];
const CLASSES: &[ErrorClass] = &[
    ErrorClass::Network,
    ErrorClass::Network,
    ErrorClass::Network,
    ErrorClass::Server,
    ErrorClass::Source,
    ErrorClass::Repository,
    ErrorClass::Credentials,
    ErrorClass::Space,
    ErrorClass::Settings,
    ErrorClass::Crash,
];

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub seeds: u64,
    pub lives: u64,
    pub events: u64,
    pub tasks: u64,
    pub completed: u64,
    pub crashes: u64,
    pub commands: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.lives += other.lives;
        self.events += other.events;
        self.tasks += other.tasks;
        self.completed += other.completed;
        self.crashes += other.crashes;
        self.commands += other.commands;
    }
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed,
    ShutDown,
    Days,
}

/// Everything that outlives the process.
struct World {
    random: Random,
    clock: Arc<SimulatedClock>,
    store: SimulatedStore,
    folder: tempfile::TempDir,
    model: Rc<RefCell<Model>>,
    eras: BTreeMap<ItemId, Era>,
    calm: Arc<AtomicBool>,
    /// Told when a snapshot is about to be sealed.
    sealed: Arc<Notify>,
    ends: DateTime<Utc>,
    tally: Tally,
}

/// Runs one seed; what is wrong, if anything is.
pub fn run(seed: u64, days: i64) -> Result<Tally, Vec<String>> {
    let mut random = Random::new(seed);
    let start =
        DateTime::from_timestamp(1_770_000_000 + random.between(0, 20_000_000) as i64, 0).expect("a time");
    let mut world = World {
        clock: Arc::new(SimulatedClock::new(start)),
        store: SimulatedStore::default(),
        folder: folder(),
        model: Rc::new(RefCell::new(Model::with_slots(3))),
        eras: BTreeMap::new(),
        calm: Arc::new(AtomicBool::new(false)),
        sealed: Arc::new(Notify::new()),
        ends: start + TimeDelta::days(days),
        tally: Tally { seeds: 1, ..Tally::default() },
        random,
    };
    loop {
        world.tally.lives += 1;
        let end = on_virtual_time(world.live()).expect("a runtime");
        if end == End::Days || !world.model.borrow().violations.is_empty() {
            break;
        }
        // Short or long, nothing runs meanwhile.
        let away = if world.random.per_mille(300) { 3 * 24 * 3600 } else { 1800 };
        let away = world.random.between(0, away) as i64;
        world.clock.jump(TimeDelta::seconds(away));
    }
    let model = world.model.borrow();
    if !model.violations.is_empty() && std::env::var_os("KEEPWELL_SIMULATION_TRACE").is_some() {
        for event in model.events.iter().rev().take(200).rev() {
            eprintln!("{} {} {:?}", event.at, event.number, event.event);
        }
    }
    world.tally.events = model.last_number();
    world.tally.tasks = model.tasks.len() as u64;
    world.tally.completed = model.snapshots().count() as u64;
    world.tally.crashes = model.crashes;
    if model.violations.is_empty() { Ok(world.tally) } else { Err(model.violations.clone()) }
}

/// In memory if there is room for files: a thousand seeds write for hours on a disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

impl World {
    fn settings(&mut self, engine: SimulatedEngine) -> Settings {
        let runner = EngineRunner::new(engine, AnyPlace);
        let seed = self.random.next();
        let intensity = Intensity { restarts_max: 1000, ..Intensity::default() };
        Settings {
            clock: self.clock.clone(),
            randomness: Randomness::Seed(seed),
            faults: Faults::planned(Plan { seed, calm: self.calm.clone() }),
            supervision: ChildSettings { intensity, deliveries_max: 100, ..ChildSettings::default() },
            limits: Limits { per_repository: Some(2), ..Limits::default() },
            ..Settings::new(self.folder.path(), Arc::new(runner))
        }
    }

    /// From a start to a death.
    async fn live(&mut self) -> End {
        self.clock.go();
        let courses = RandomCourses {
            random: parking_lot::Mutex::new(Random::new(self.random.next())),
            calm: self.calm.clone(),
            sealed: self.sealed.clone(),
        };
        let engine = SimulatedEngine::new(self.store.clone(), courses);
        let settings = self.settings(engine.clone());
        let handle = Keepwell::start(settings).await.expect("it starts");
        self.model.borrow_mut().process_began = Some(self.clock.shown());
        self.listen(&handle);
        let end = self.pass_days(&handle, &engine).await;
        if end == End::ShutDown {
            let stragglers = handle.shutdown().await;
            // One that a fault killed while it retired is a crash like others.
            if stragglers.iter().any(|straggler| !matches!(straggler.how, StragglerEnd::Died(_))) {
                self.violation(format!("stragglers: {stragglers:?}"));
            }
            settle().await;
        }
        self.clock.stand_still();
        end
    }

    fn listen(&self, handle: &Handle) {
        let after = self.model.borrow().last_number();
        let mut subscription = handle.subscribe(Some(after)).expect("it runs");
        let model = self.model.clone();
        actix_rt::spawn(async move {
            while let Some(told) = subscription.next().await {
                match told {
                    Told::Event(event) => model.borrow_mut().see(&event),
                    Told::Progress(_) => {}
                    Told::Missed { after } => {
                        model.borrow_mut().violations.push(format!("events after {after} were missed"));
                    }
                }
            }
        });
    }

    fn violation(&self, what: String) {
        let now = self.clock.shown();
        self.model.borrow_mut().violations.push(format!("{now}: {what}"));
    }

    async fn pass_days(&mut self, handle: &Handle, engine: &SimulatedEngine) -> End {
        let mut day_ends = self.clock.shown() + TimeDelta::days(1);
        if self.tally.lives == 1 {
            for item in ITEMS.iter().take(3) {
                self.set_item(handle, (*item).into()).await;
            }
        }
        while self.model.borrow().violations.is_empty() {
            let wait = Duration::from_secs(self.random.between(60, 3 * 3600));
            let killed_at_seal = self.random.per_mille(40);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.sealed.notified(), if killed_at_seal => {
                    sleep(Duration::from_millis(self.random.between(0, 120))).await;
                    return End::Killed;
                }
            }
            self.check_slots(engine);
            let now = self.clock.shown();
            if now >= self.ends {
                self.finish(handle, engine).await;
                return End::Days;
            }
            if now >= day_ends {
                day_ends = now + TimeDelta::days(1);
                self.check_due_times(handle).await;
            }
            match self.random.between(0, 100) {
                0..=2 => return End::Killed,
                3..=4 => return End::ShutDown,
                5..=6 => {
                    let hours = self.random.between(0, 12) as i64 - 3;
                    self.clock.jump(TimeDelta::hours(hours) + TimeDelta::minutes(7));
                    // Noticed within a minute.
                    sleep(Duration::from_secs(90)).await;
                }
                _ => self.command(handle).await,
            }
        }
        End::Days
    }

    /// Asks, and fails if nobody answers.
    async fn ask<R: Request>(&mut self, handle: &Handle, request: R) -> Option<R::Reply> {
        self.tally.commands += 1;
        let command: Command = request.into();
        let id = CommandId(uuid::Uuid::from_u64_pair(self.random.next(), self.random.next()));
        let asked = timeout(Duration::from_secs(3600), handle.ask_as(id, command.clone())).await;
        settle().await;
        match asked {
            Err(_) => self.violation(format!("{command:?} is not answered")),
            Ok(Ok(reply)) => return R::reply_of(reply),
            Ok(Err(AskError::Refused(Refusal::Journal(failure)))) => {
                self.violation(format!("{command:?}: {}", failure.why));
            }
            Ok(Err(AskError::Refused(_))) => {}
            Ok(Err(other)) => self.violation(format!("{command:?}: {other}")),
        }
        None
    }

    async fn command(&mut self, handle: &Handle) {
        let item: ItemId = (*self.random.of(ITEMS)).into();
        let live: Vec<TaskId> = self.model.borrow().live().map(|(id, _)| id).collect();
        let task = (!live.is_empty()).then(|| *self.random.of(&live));
        match self.random.between(0, 20) {
            0..=4 => drop(self.ask(handle, PerformBackup { item }).await),
            5 | 6 => drop(self.ask(handle, PauseBackup { task }).await),
            7 | 8 => drop(self.ask(handle, ResumeBackup { task }).await),
            9 => {
                if let Some(task) = task {
                    self.ask(handle, CancelTask { task }).await;
                }
            }
            10 => drop(self.ask(handle, PauseAllBackups {}).await),
            11 | 12 => drop(self.ask(handle, ResumeAllBackups {}).await),
            13 => self.set_item(handle, item).await,
            14 => {
                let enabled = self.random.per_mille(700);
                self.ask(handle, EnableItem { item, enabled }).await;
            }
            15 => {
                if self.ask(handle, RemoveItem { item: item.clone() }).await.is_some() {
                    self.eras.remove(&item);
                }
            }
            16 => {
                let restore = RestoreRequest {
                    repository: "cellar".into(),
                    snapshot: "latest".into(),
                    path: String::new(),
                    target: RestoreTarget::Folder("/restored".into()),
                    verify: false,
                };
                self.ask(handle, PerformRestore { restore }).await;
            }
            17 => {
                let count = self.random.between(1, 6) as u32;
                let running = self.model.borrow().running_backups();
                let before = self.model.borrow().slots;
                self.model.borrow_mut().slots = before.max(count as usize);
                if self.ask(handle, SetMaxConcurrentTasks { max_concurrent_tasks: count }).await.is_some() {
                    // Those beyond a smaller number run to their end.
                    self.model.borrow_mut().slots = running.max(count as usize);
                }
            }
            _ => drop(self.ask(handle, GetItems {}).await),
        }
    }

    async fn set_item(&mut self, handle: &Handle, id: ItemId) {
        let schedule = ScheduleText {
            spec: (*self.random.of(SPECS)).into(),
            time_zone: (*self.random.of(ZONES)).into(),
            jitter_seconds: self.random.per_mille(300).then_some(600),
        };
        let item = Item {
            id: id.clone(),
            source: ItemSource::Files(FilesItem { paths: vec!["/data".into()], excludes: Vec::new() }),
            repository: (*self.random.of(&["cellar", "cloud"])).into(),
            schedule: Some(schedule.clone()),
            enabled: self.random.per_mille(900),
            tags: Vec::new(),
        };
        if self.ask(handle, SetItem { item }).await.is_none() {
            return;
        }
        let same = self.eras.get(&id).is_some_and(|era| era.schedule == schedule);
        if same {
            return;
        }
        let anchor = self.model.borrow().item_changes.get(&id).copied();
        match anchor {
            Some(anchor) => drop(self.eras.insert(id, Era { schedule, anchor, checked: anchor })),
            None => self.violation(format!("nobody was told that item {id} changed")),
        }
    }

    fn check_slots(&self, engine: &SimulatedEngine) {
        let at_work = engine.at_work();
        let backups = at_work.iter().filter(|(_, kind)| matches!(kind, TaskKind::Backup(_))).count();
        if backups > self.model.borrow().slots {
            self.violation(format!("{backups} workers with {} slots", self.model.borrow().slots));
        }
        if at_work.len() - backups > 1 {
            self.violation("two restores at once".into());
        }
        for (task, _) in &at_work {
            let state = self.model.borrow().tasks.get(task).map(|task| task.state);
            if state != Some(TaskState::Running) {
                self.violation(format!("a worker of task {task} is at work, which is {state:?}"));
            }
        }
        let mut tasks: Vec<TaskId> = at_work.iter().map(|(task, _)| *task).collect();
        tasks.sort();
        if tasks.windows(2).any(|pair| pair[0] == pair[1]) {
            self.violation("two workers of one task".into());
        }
    }

    async fn check_due_times(&mut self, handle: &Handle) {
        // What crashed a moment ago has been restarted, and what was due has been asked for.
        sleep(Duration::from_secs(900)).await;
        let Some(active) = self.ask(handle, GetActiveTasks {}).await else { return };
        for item in self.eras.keys().cloned().collect::<Vec<_>>() {
            let Some(found) = self.ask(handle, GetScheduleOutcomes { item: item.clone(), limit: 1000 }).await
            else {
                continue;
            };
            let of_item = |task: &&Task| task.kind == TaskKind::Backup(item.clone());
            let live = active.tasks.iter().find(of_item).and_then(|task| task.trigger.due_times());
            let whole = found.outcomes.len() < 1000;
            let now = self.clock.shown();
            let mut wrong = Vec::new();
            if let Some(era) = self.eras.get_mut(&item) {
                due_times::check(&item, era, &found.outcomes, whole, live, now, &mut wrong);
            }
            self.model.borrow_mut().violations.extend(wrong);
        }
        self.check_active(&active);
        self.check_events(handle).await;
    }

    /// What the manager shows is what a subscriber knows.
    fn check_active(&self, active: &Tasks) {
        let shown: Vec<(TaskId, TaskState)> = active.tasks.iter().map(|task| (task.id, task.state)).collect();
        let told: Vec<(TaskId, TaskState)> =
            self.model.borrow().live().map(|(id, task)| (id, task.state)).collect();
        let now: Vec<TaskId> = told.iter().map(|(id, _)| *id).collect();
        // Time went by since the question; those that are in both must agree on who is there.
        let gone =
            shown.iter().filter(|(id, _)| !now.contains(id) && !self.model.borrow().tasks.contains_key(id));
        for (id, _) in gone {
            self.violation(format!("task {id} is shown and was never told"));
        }
    }

    async fn check_events(&mut self, handle: &Handle) {
        let seen = self.model.borrow().events.len();
        let after = self.model.borrow().last_number().saturating_sub(200);
        let Some(page) = self.ask(handle, GetEvents { after, limit: 1000 }).await else { return };
        let model = self.model.borrow();
        let told: Vec<&NumberedEvent> = model.events.iter().filter(|event| event.number > after).collect();
        let kept: Vec<&NumberedEvent> = page.events.iter().collect();
        let both = told.len().min(kept.len());
        let differ = told[..both] != kept[..both];
        drop(model);
        if differ {
            self.violation(format!(
                "what a subscriber was told of {seen} events is not what the journal has"
            ));
        }
    }

    /// Lets everything come to its end, and looks at what is left.
    async fn finish(&mut self, handle: &Handle, engine: &SimulatedEngine) {
        self.calm.store(true, Ordering::Relaxed);
        self.ask(handle, ResumeAllBackups {}).await;
        self.check_due_times(handle).await;
        for item in self.eras.keys().cloned().collect::<Vec<_>>() {
            self.ask(handle, EnableItem { item, enabled: false }).await;
        }
        sleep(Duration::from_secs(24 * 3600)).await;
        if let Some(active) = self.ask(handle, GetActiveTasks {}).await
            && !active.tasks.is_empty()
        {
            self.violation(format!("tasks that do not end: {:?}", active.tasks));
        }
        if let Some(stats) = self.ask(handle, GetTaskManagerStats {}).await
            && (stats.fenced_workers, stats.running, stats.restoring) != (0, 0, 0)
        {
            self.violation(format!("something is left: {stats:?}"));
        }
        if !engine.at_work().is_empty() {
            self.violation("a worker is left".into());
        }
        self.check_store();
    }

    fn check_store(&self) {
        let stored = self.store.snapshots();
        let mut by_task: BTreeMap<TaskId, u32> = BTreeMap::new();
        for snapshot in stored.values() {
            *by_task.entry(snapshot.task).or_default() += 1;
        }
        for (task, count) in by_task.iter().filter(|(_, count)| **count > 1) {
            self.violation(format!("task {task} stored {count} snapshots"));
        }
        let lost: Vec<TaskId> = self
            .model
            .borrow()
            .snapshots()
            .filter(|(task, backup)| stored.get(&backup.snapshot).is_none_or(|found| found.task != *task))
            .map(|(task, _)| task)
            .collect();
        for task in lost {
            self.violation(format!("task {task} is completed and its snapshot is not stored"));
        }
    }
}

/// Lets everybody read what he was told.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

struct RandomCourses {
    random: parking_lot::Mutex<Random>,
    calm: Arc<AtomicBool>,
    sealed: Arc<Notify>,
}

impl Courses for RandomCourses {
    fn course(&self, _: &Attempt) -> Course {
        let mut random = self.random.lock();
        let seconds = match random.between(0, 10) {
            0 => 0,
            1..=7 => random.between(1, 600),
            _ => random.between(600, 3 * 3600),
        };
        let end = match random.between(0, 100) {
            _ if self.calm.load(Ordering::Relaxed) => CourseEnd::Well,
            0..=19 => CourseEnd::Fails(*random.of(CLASSES)),
            // While it prepares a worker has no counters, and is not taken for one that hangs.
            20 | 21 if seconds > 0 => CourseEnd::Hangs(Duration::from_secs(random.between(0, 3600))),
            22 if seconds > 0 => CourseEnd::HangsBeforeStoring(Duration::from_secs(random.between(0, 3600))),
            _ => CourseEnd::Well,
        };
        Course { works_for: Duration::from_secs(seconds), files: 10, bytes: 1000, end }
    }

    fn sealing(&self, _: &Attempt) {
        self.sealed.notify_waiters();
    }
}

/// Panics and stalls, rarer where a handler runs often.
struct Plan {
    seed: u64,
    calm: Arc<AtomicBool>,
}

impl FaultPlan for Plan {
    fn fault_at(&self, point: &str, call: u64) -> Fault {
        if self.calm.load(Ordering::Relaxed) {
            return Fault::None;
        }
        let name = point.bytes().fold(self.seed, |name, byte| name.rotate_left(9) ^ u64::from(byte));
        let mut random = Random::new(name ^ call.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let one_in = match point {
            "task.told" | "manager.worker-progress" => 5000,
            "scheduler.wake" | "task.pulse" => 2000,
            _ => 150,
        };
        match random.between(0, one_in) {
            0 => Fault::Panic,
            1 => Fault::Stall(Duration::from_secs(3)),
            _ => Fault::None,
        }
    }
}
