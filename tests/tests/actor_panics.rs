//! A handler of an actor panics amid a real backup: the backup ends with a snapshot that restic accepts,
//! events tell of the crash and the restart, and every command that was sent meanwhile is answered.
//!
//! Each case is a backup of its own, into a repository of its own, that is held up halfway until the panic
//! has happened. All the while somebody sends commands of all kinds. A panic in the scheduler or the
//! manager costs no attempt, one in the task's actor costs one. And a worker that hangs is fenced: its task
//! is retried, and what it does once it wakes changes nothing.
//!
//! Planted and caught: a manager that adopts no worker; a handle that gives up at the first death; a worker
//! that is given up and not fenced. Found with it: a manager that died before it had started a worker cost the
//! attempt, and a paused task whose actor crashed went on by itself.
//!
//! The long form (`KEEPWELL_TEST_LONG=1`) has all cases, and backs up 1 GiB in each; the short one has some,
//! chosen by the seed that it prints.

#![allow(clippy::panic, reason = "a test that cannot go on ends")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use keepwell_actors::supervision::{ChildSettings, Faults, Intensity, StragglerEnd};
use keepwell_actors::{AskError, Handle, Keepwell, Settings};
use keepwell_messages::{
    ActorRef, CancelReason, CancelTask, Command, CommandId, DueOutcome, EnableItem, ErrorClass, Event,
    GetActiveTasks, GetEvents, GetHistory, GetItems, GetScheduleOutcomes, GetTask, GetTaskManagerStats,
    ItemId, PauseBackup, PendingReason, PerformBackup, Refusal, RemoveItem, ResumeBackup, SetItem,
    SetMaxConcurrentTasks, TaskEnd, TaskId, TaskKind, TaskState, Trigger,
};
use keepwell_tests::embedding::{
    Scene, ShiftedClock, Witness, embed, end_of, every_minute, folder_item, observed_item, patiently,
};
use keepwell_tests::observed_source::Observer;
use keepwell_tests::programs::{restic, say};
use keepwell_tests::random_data::{Random, seed, write_file};
use keepwell_tests::repository_folder::stored_in;
use keepwell_tests::tripwires::Tripwires;
use tempfile::TempDir;
use tokio::task::JoinHandle;

const MIB: u64 = 1 << 20;
/// Cases of each actor in the short form.
const CASES_IN_SHORT: usize = 4;
/// In the great item.
const FILES: u64 = 9;

fn is_long() -> bool {
    std::env::var_os("KEEPWELL_TEST_LONG").is_some_and(|value| value == "1")
}

/// What is backed up: one file that workers share, and some that each reads alone.
fn source_bytes() -> u64 {
    if is_long() { 1024 * MIB } else { 24 * MIB }
}

fn make_source() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = source_bytes();
    write_file(&folder.path().join("large"), bytes / 2, 1).expect("a file");
    for number in 0..8 {
        write_file(&folder.path().join(format!("part {number}")), bytes / 16, 2 + number).expect("a file");
    }
    folder
}

/// What makes the point be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The backup's beginning.
    Begin,
    /// What goes on while the backup is held up halfway: commands, reports, timers.
    Meanwhile,
    /// The backup's end.
    End,
    /// The backup is paused, and goes on after the panic.
    Pause,
    /// The backup is paused, and goes on.
    Resume,
    /// The backup is cancelled, and another one asked for.
    Cancel,
    /// The time of another item comes.
    DueTime,
}

/// One panic, and perhaps another one that leads to it.
struct Case {
    point: &'static str,
    after: Option<&'static str>,
    cause: Cause,
    /// The attempt that ends well.
    attempt: u32,
}

const fn case(point: &'static str, cause: Cause, attempt: u32) -> Case {
    Case { point, after: None, cause, attempt }
}

const MANAGER: [Case; 15] = [
    Case { after: Some("manager.ask"), ..case("manager.start", Cause::Meanwhile, 1) },
    Case { after: Some("manager.ask"), ..case("manager.started", Cause::Meanwhile, 1) },
    case("manager.ask", Cause::Meanwhile, 1),
    case("manager.create-tasks", Cause::Begin, 1),
    case("manager.create-tasks", Cause::Meanwhile, 1),
    case("manager.cancel-item", Cause::Meanwhile, 1),
    case("manager.item-tasks", Cause::Meanwhile, 1),
    case("manager.worker-reached", Cause::Begin, 1),
    case("manager.worker-progress", Cause::Meanwhile, 1),
    case("manager.worker-sealed", Cause::End, 1),
    case("manager.worker-ended", Cause::End, 1),
    case("manager.written", Cause::Begin, 1),
    case("manager.written", Cause::Meanwhile, 1),
    Case { after: Some("task.told"), ..case("manager.child-died", Cause::Meanwhile, 2) },
    Case { after: Some("task.told"), ..case("manager.tick", Cause::Meanwhile, 2) },
];

const SCHEDULER: [Case; 6] = [
    Case { after: Some("scheduler.ask"), ..case("scheduler.start", Cause::Meanwhile, 1) },
    Case { after: Some("scheduler.ask"), ..case("scheduler.started", Cause::Meanwhile, 1) },
    case("scheduler.ask", Cause::Meanwhile, 1),
    case("scheduler.written", Cause::Meanwhile, 1),
    case("scheduler.wake", Cause::DueTime, 1),
    case("scheduler.answered", Cause::DueTime, 1),
];

const TASK: [Case; 7] = [
    case("task.execute", Cause::Begin, 2),
    case("task.told", Cause::Meanwhile, 2),
    case("task.pause", Cause::Pause, 2),
    case("task.resume", Cause::Resume, 2),
    case("task.cancel", Cause::Cancel, 1),
    Case { after: Some("manager.ask"), ..case("task.state", Cause::Meanwhile, 2) },
    case("task.pulse", Cause::Meanwhile, 2),
];

impl Case {
    fn arm(&self, program: &Program) {
        for point in self.after.into_iter().chain([self.point]) {
            program.wires.arm(point);
        }
    }

    fn is_armed_before(&self) -> bool {
        matches!(self.cause, Cause::Begin | Cause::DueTime)
    }

    /// Who panics; a task's actor is the one of `task`, unless others run.
    fn victim(&self, event: &Event) -> Option<ActorRef> {
        let Event::ActorCrashed(crashed) = event else { return None };
        let of = match crashed.actor {
            ActorRef::Manager => "manager",
            ActorRef::Scheduler => "scheduler",
            ActorRef::Task(_) => "task",
        };
        let is_this =
            self.point.starts_with(of) && crashed.failure.why.contains(&format!("at {},", self.point));
        is_this.then(|| crashed.actor.clone())
    }
}

/// A program with one great item, a small one, one that is due, and nobody who stops restarts.
struct Program {
    scene: Scene,
    observer: Observer,
    wires: Tripwires,
    due: TempDir,
}

impl Program {
    fn new() -> Self {
        let due = tempfile::tempdir().expect("a folder");
        write_file(&due.path().join("due"), MIB, 99).expect("a file");
        Self { scene: Scene::new(), observer: Observer::default(), wires: Tripwires::default(), due }
    }

    fn settings(&self, source: &Path, is_due: bool) -> Settings {
        // The wall clock is that of the machine, but for the seconds: what is due is due at a full minute.
        let left = Duration::from_secs(if is_due { 2 } else { 59 });
        let mut items = vec![observed_item("main")];
        if is_due {
            items.push(every_minute(folder_item("due", self.due.path())));
        }
        Settings {
            items,
            clock: Arc::new(ShiftedClock::full_minute_in(left)),
            faults: Faults::planned(self.wires.clone()),
            supervision: ChildSettings {
                intensity: Intensity { restarts_max: 100, ..Intensity::default() },
                ..ChildSettings::default()
            },
            ..self.scene.settings(self.observer.source_of(source))
        }
    }
    async fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        patiently(what, async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    /// The great item has one snapshot, which restic accepts with all that the repository holds.
    fn assert_sound(&self, source: &Path, snapshot: &str) {
        let path = source.to_str().expect("a name in UTF-8").to_owned();
        let mut snapshots = self.scene.snapshots();
        snapshots.retain(|_, found| found.paths == [path.clone()]);
        assert_eq!(snapshots.keys().collect::<Vec<_>>(), [snapshot]);
        assert!(stored_in(&self.scene.repository(), "locks").is_empty(), "no lock is left");
        if let Some(restic) = restic() {
            restic.check_data(&self.scene.repository());
        }
    }
}

/// Sends commands of every kind, until it is told to stop, and counts their answers.
#[derive(Clone, Default)]
struct Chatter {
    is_over: Rc<Cell<bool>>,
    asked: Rc<Cell<u64>>,
    answered: Rc<RefCell<BTreeMap<String, u64>>>,
}

impl Chatter {
    /// The commands of one round.
    fn commands(task: TaskId, spare: &str, folder: &Path, of_tasks: bool) -> Vec<Command> {
        let spare_item = ItemId(spare.into());
        let mut commands: Vec<Command> = vec![
            GetActiveTasks {}.into(),
            SetItem { item: folder_item(spare, folder) }.into(),
            GetTaskManagerStats {}.into(),
            EnableItem { item: spare_item.clone(), enabled: false }.into(),
            GetItems {}.into(),
            GetTask { task }.into(),
            SetMaxConcurrentTasks { max_concurrent_tasks: 3 }.into(),
            GetHistory { item: None, before: None, limit: 10 }.into(),
            GetEvents { after: 0, limit: 10 }.into(),
            GetScheduleOutcomes { item: "main".into(), limit: 10 }.into(),
        ];
        if of_tasks {
            // The second is refused unless the first is through.
            commands.extend([(); 2].map(|()| PerformBackup { item: spare_item.clone() }.into()));
        }
        commands.push(RemoveItem { item: spare_item }.into());
        commands
    }

    /// One who talks; several may at once.
    fn start(
        &self,
        handle: &Handle,
        task: TaskId,
        speaker: usize,
        folder: &Path,
        of_tasks: bool,
    ) -> JoinHandle<()> {
        let (chatter, handle, folder) = (self.clone(), handle.clone(), folder.to_path_buf());
        actix_rt::spawn(async move {
            for round in 0.. {
                let spare = format!("spare {speaker} {round}");
                for command in Self::commands(task, &spare, &folder, of_tasks) {
                    if chatter.is_over.get() {
                        return;
                    }
                    chatter.asked.set(chatter.asked.get() + 1);
                    let id = CommandId(uuid::Uuid::now_v7());
                    let answer = patiently("an answer", handle.ask_as(id, command.clone())).await;
                    let told = match answer {
                        Ok(_) => "answered".into(),
                        Err(AskError::Refused(Refusal::DuplicateTask(_))) => "refused as a duplicate".into(),
                        Err(error) => format!("{command:?}: {error}"),
                    };
                    *chatter.answered.borrow_mut().entry(told).or_default() += 1;
                }
            }
        })
    }

    /// Hears the last answers. Every command was answered, or refused for what it asked.
    async fn end(&self, speakers: Vec<JoinHandle<()>>) {
        self.is_over.set(true);
        for speaker in speakers {
            patiently("the last answer", speaker).await.expect("nobody choked");
        }
        let answered = self.answered.borrow();
        let ordinary = ["answered", "refused as a duplicate"];
        assert!(answered.keys().all(|told| ordinary.contains(&told.as_str())), "{answered:?}");
        assert_eq!(answered.values().sum::<u64>(), self.asked.get(), "{answered:?}");
    }
}

/// A backup amid which this happens.
async fn back_up_with(case: &Case, program: Program, source: &Path) {
    let half = source_bytes() / 2;
    program.observer.close_gate_after(half);
    let settings = program.settings(source, case.cause == Cause::DueTime);
    let handle = Keepwell::start(settings).await.expect("it starts");
    let mut witness = Witness::of(&handle);
    if case.is_armed_before() {
        case.arm(&program);
    }
    let task = handle.ask(PerformBackup { item: "main".into() }).await.expect("it is taken in").task;
    let chatter = Chatter::default();
    // A task's actor that panics is to be that of the great item.
    let talks_of_tasks = !case.point.starts_with("task.") && case.after != Some("task.told");
    let speakers: Vec<_> = (0..4)
        .map(|speaker| chatter.start(&handle, task, speaker, program.due.path(), talks_of_tasks))
        .collect();
    program.wait("the backup to be halfway", || program.observer.bytes() >= half).await;
    if !case.is_armed_before() {
        case.arm(&program);
    }
    cause(case, &program, &handle, task).await;
    let task = see_the_panic(case, &program, &handle, &mut witness, task).await;
    let end = witness.end_of(task).await;
    chatter.end(speakers).await;
    let TaskEnd::BackedUp(stored) = &end else { panic!("{}: {end:?}", case.point) };
    let ended = handle.ask(GetTask { task }).await.expect("it is kept");
    assert_eq!((ended.state, ended.attempt), (TaskState::Completed, case.attempt), "{}", case.point);
    assert_eq!((stored.files, stored.errors), (FILES, 0), "{}", case.point);
    if case.cause == Cause::DueTime {
        assert_due_ran_once(&handle, &mut witness).await;
    }
    assert_eq!(handle.shutdown().await, [], "nobody has to be killed");
    program.assert_sound(source, &stored.snapshot);
    let (point, cause, asked) = (case.point, case.cause, chatter.asked.get());
    say(&format!("{point} ({cause:?}): attempt {}, {asked} commands answered", ended.attempt));
}

/// Does what leads to the panic.
async fn cause(case: &Case, program: &Program, handle: &Handle, task: TaskId) {
    match case.cause {
        Cause::Begin | Cause::Meanwhile | Cause::DueTime => {}
        Cause::End => program.observer.open_gate(),
        Cause::Pause => {
            let now = handle.ask(PauseBackup { task: Some(task) }).await.expect("it is paused");
            assert_eq!(now.state, TaskState::Paused);
        }
        Cause::Resume => {
            handle.ask(PauseBackup { task: Some(task) }).await.expect("it is paused");
            let now = handle.ask(ResumeBackup { task: Some(task) }).await.expect("it goes on");
            assert_eq!(now.state, TaskState::Running);
        }
        Cause::Cancel => {
            let now = handle.ask(CancelTask { task }).await.expect("it is cancelled");
            assert_eq!(now.state, TaskState::Cancelled);
        }
    }
    let what = format!("a panic at {}", case.point);
    program.wait(&what, || program.wires.armed().is_empty()).await;
}

/// Sees crash and restart told before the backup goes on. Gives the task that is to end well.
async fn see_the_panic(
    case: &Case,
    program: &Program,
    handle: &Handle,
    witness: &mut Witness,
    task: TaskId,
) -> TaskId {
    let who = witness.until("the crash", |event| case.victim(event)).await;
    match who {
        ActorRef::Manager | ActorRef::Scheduler => witness.restart_of(who).await,
        ActorRef::Task(died) => assert_eq!(died, task),
    }
    let is_over = witness.seen().iter().any(|told| end_of(&told.event, task).is_some());
    assert!(!is_over || matches!(case.cause, Cause::End | Cause::Cancel), "the panic came amid the backup");
    match case.cause {
        Cause::Pause => {
            let now = handle.ask(GetTask { task }).await.expect("it is there");
            assert_eq!(now.pending, Some(PendingReason::Paused), "what was paused stays so");
            handle.ask(ResumeBackup { task: Some(task) }).await.expect("it goes on");
        }
        Cause::Cancel => {
            assert_eq!(witness.end_of(task).await, TaskEnd::Cancelled(CancelReason::Requested));
            program.observer.open_gate();
            return handle.ask(PerformBackup { item: "main".into() }).await.expect("it is taken in").task;
        }
        _ => {}
    }
    program.observer.open_gate();
    task
}

/// Each due time of the item has one task, and that its outcome.
async fn assert_due_ran_once(handle: &Handle, witness: &mut Witness) {
    let due: ItemId = "due".into();
    let created = |event: &Event| match event {
        Event::TaskCreated(created) if created.kind == TaskKind::Backup("due".into()) => Some(created.task),
        _ => None,
    };
    let task = witness.until("the due task", created).await;
    assert!(matches!(witness.end_of(task).await, TaskEnd::BackedUp(_)));
    let triggers = witness.seen().iter().filter_map(|told| match &told.event {
        Event::TaskCreated(made) if made.kind == TaskKind::Backup(due.clone()) => Some(made.trigger),
        _ => None,
    });
    let triggers: Vec<Trigger> = triggers.collect();
    let Some(Trigger::Due(first)) = triggers.first() else { panic!("{triggers:?}") };
    let times: BTreeSet<_> =
        triggers.iter().map(|trigger| trigger.due_times().map(|missed| missed.due)).collect();
    assert_eq!(times.len(), triggers.len(), "no due time runs twice: {triggers:?}");
    let outcomes =
        handle.ask(GetScheduleOutcomes { item: due, limit: 100 }).await.expect("an answer").outcomes;
    let of_first: Vec<_> = outcomes.iter().filter(|outcome| outcome.due == *first).collect();
    assert_eq!(of_first.len(), 1, "{outcomes:?}");
    assert_eq!(of_first[0].outcome, DueOutcome::Ran(task));
}

/// All of them; in the short form some, others each time.
fn each(cases: &[Case]) {
    let source = make_source();
    let mut cases: Vec<&Case> = cases.iter().collect();
    let mut random = Random(seed());
    while !is_long() && cases.len() > CASES_IN_SHORT {
        cases.remove(random.below(cases.len() as u64) as usize);
    }
    for case in cases {
        embed(back_up_with(case, Program::new(), source.path()));
    }
}

#[test]
fn a_panic_of_the_manager_costs_no_attempt_and_no_answer() {
    each(&MANAGER);
}

#[test]
fn a_panic_of_the_scheduler_costs_no_attempt_no_answer_and_no_due_time() {
    each(&SCHEDULER);
}

#[test]
fn a_panic_of_the_tasks_actor_costs_one_attempt() {
    each(&TASK);
}

/// A panic at the very end is caught up by the next start.
#[test]
fn a_panic_while_it_shuts_down_is_told_and_the_next_start_goes_on() {
    let source = make_source();
    for (point, child, cancelled) in
        [("manager.retire", "manager", false), ("scheduler.retire", "scheduler", true)]
    {
        let program = Program::new();
        program.observer.close_gate_after(source_bytes() / 2);
        embed(async {
            let handle = Keepwell::start(program.settings(source.path(), false)).await.expect("it starts");
            let task = handle.ask(PerformBackup { item: "main".into() }).await.expect("it is taken in").task;
            program.wait("halfway", || program.observer.bytes() >= source_bytes() / 2).await;
            program.wires.arm(point);
            let stragglers = handle.shutdown().await;
            let [straggler] = &stragglers[..] else { panic!("{stragglers:?}") };
            assert_eq!(straggler.child, child);
            assert!(matches!(straggler.how, StragglerEnd::Died(_)), "{straggler:?}");
            program.observer.open_gate();
            let handle = Keepwell::start(program.settings(source.path(), false)).await.expect("it starts");
            let mut witness = Witness::of(&handle);
            let task = if cancelled {
                assert_eq!(witness.end_of(task).await, TaskEnd::Cancelled(CancelReason::Shutdown));
                handle.ask(PerformBackup { item: "main".into() }).await.expect("it is taken in").task
            } else {
                task
            };
            let TaskEnd::BackedUp(stored) = witness.end_of(task).await else { panic!("{point}") };
            assert_eq!(handle.shutdown().await, []);
            program.assert_sound(source.path(), &stored.snapshot);
        });
    }
}

/// The worker stands in a read that never returns. It is given up, another one does the work, and when the
/// read returns after all, nothing comes of it.
#[test]
fn a_worker_that_hangs_is_fenced_and_its_task_retried() {
    let source = make_source();
    let program = Program::new();
    program.observer.hang_one_after(source_bytes() / 2);
    embed(async {
        let settings =
            Settings { hang_after: Duration::from_secs(1), ..program.settings(source.path(), false) };
        let handle = Keepwell::start(settings).await.expect("it starts");
        let mut witness = Witness::of(&handle);
        let task = handle.ask(PerformBackup { item: "main".into() }).await.expect("it is taken in").task;
        let retried = |event: &Event| match event {
            Event::TaskRetry(retry) if retry.task == task => Some(retry.retry.clone()),
            _ => None,
        };
        let retry = witness.until("a retry", retried).await;
        assert_eq!((retry.attempt, retry.class), (2, ErrorClass::Crash), "{}", retry.why);
        let fenced = async || handle.ask(GetTaskManagerStats {}).await.expect("an answer").fenced_workers;
        assert_eq!(fenced().await, 1);
        let TaskEnd::BackedUp(stored) = witness.end_of(task).await else { panic!("it does not end well") };
        assert_eq!(handle.ask(GetTask { task }).await.expect("it is kept").attempt, 2);
        assert_eq!(fenced().await, 1, "the thread cannot be ended, and is counted");
        let before = stored_in(&program.scene.repository(), "data");
        program.observer.open_gate();
        patiently("the end of the worker that hung", async {
            while fenced().await != 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        assert_eq!(stored_in(&program.scene.repository(), "data"), before, "it stored nothing more");
        assert_eq!(handle.shutdown().await, []);
        program.assert_sound(source.path(), &stored.snapshot);
    });
}
