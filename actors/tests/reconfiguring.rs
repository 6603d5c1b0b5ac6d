//! A running system takes on a new configuration: what begins from then on follows it, what runs goes on, and an
//! actor that is started again starts with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keepwell_actors::board::Limits;
use keepwell_actors::retry::{Retries, RetryPolicy};
use keepwell_actors::runner::{Attempt, EngineRunner};
use keepwell_actors::simulation::{
    AnyPlace, Course, CourseEnd, Courses, SimulatedClock, SimulatedEngine, SimulatedStore, on_virtual_time,
};
use keepwell_actors::supervision::{Fault, FaultPlan, Faults};
use keepwell_actors::{Handle, Keepwell, Reconfiguration, ReconfigureError, Settings};
use keepwell_messages::*;
use parking_lot::Mutex;
use tokio::time::sleep;

const MINUTE: Duration = Duration::from_secs(60);

/// Items that were begun, and by whom.
type Begun = Arc<Mutex<Vec<(&'static str, String)>>>;

/// Backups that take ten minutes, or fail after one.
struct Ten {
    runner: &'static str,
    begun: Begun,
}

impl Courses for Ten {
    fn course(&self, attempt: &Attempt) -> Course {
        let TaskKind::Backup(item) = &attempt.kind else { unreachable!("only backups are made here") };
        self.begun.lock().push((self.runner, item.0.clone()));
        let (minutes, end) = match item.0.as_str() {
            "torn" => (1, CourseEnd::Fails(ErrorClass::Server)),
            _ => (10, CourseEnd::Well),
        };
        Course { works_for: minutes * MINUTE, files: 10, bytes: 1 << 20, end }
    }
}

/// The next time that an armed point is passed, its actor panics.
#[derive(Clone, Default)]
struct Armed(Arc<Mutex<BTreeMap<&'static str, AtomicBool>>>);

impl Armed {
    fn arm(&self, point: &'static str) {
        self.0.lock().insert(point, AtomicBool::new(true));
    }

    fn went_off(&self, point: &'static str) -> bool {
        self.0.lock().get(point).is_some_and(|armed| !armed.load(Ordering::Relaxed))
    }
}

impl FaultPlan for Armed {
    fn fault_at(&self, point: &str, _: u64) -> Fault {
        match self.0.lock().get(point) {
            Some(armed) if armed.swap(false, Ordering::Relaxed) => Fault::Panic,
            _ => Fault::None,
        }
    }
}

struct System {
    handle: Handle,
    settings: Settings,
    begun: Begun,
    armed: Armed,
}

impl System {
    /// What was configured, but with another runner.
    fn new_configuration(&self) -> Reconfiguration {
        Reconfiguration { runner: runner("new", &self.begun), ..Reconfiguration::from(&self.settings) }
    }

    async fn items(&self) -> BTreeMap<String, ItemNow> {
        let items = self.handle.ask(GetItems {}).await.expect("it is answered").items;
        items.into_iter().map(|now| (now.item.id.0.clone(), now)).collect()
    }

    async fn perform(&self, item: &str) -> TaskId {
        self.handle.ask(PerformBackup { item: item.into() }).await.expect("it is made").task
    }

    async fn task(&self, task: TaskId) -> Task {
        self.handle.ask(GetTask { task }).await.expect("it is known")
    }

    async fn stats(&self) -> TaskManagerStats {
        self.handle.ask(GetTaskManagerStats {}).await.expect("it is answered")
    }
}

fn runner(name: &'static str, begun: &Begun) -> Arc<EngineRunner<SimulatedEngine>> {
    let courses = Ten { runner: name, begun: begun.clone() };
    Arc::new(EngineRunner::new(SimulatedEngine::new(SimulatedStore::default(), courses), AnyPlace))
}

fn item(name: &str, schedule: Option<&str>) -> Item {
    Item {
        id: name.into(),
        source: ItemSource::Files(FilesItem { paths: vec!["/data".into()], excludes: Vec::new() }),
        repository: "cellar".into(),
        schedule: schedule.map(|spec| ScheduleText {
            spec: spec.into(),
            time_zone: "UTC".into(),
            jitter_seconds: None,
        }),
        enabled: true,
        tags: Vec::new(),
    }
}

/// One system that runs the items, from noon on.
fn with_items(items: Vec<Item>, test: impl AsyncFnOnce(&System)) {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(SimulatedClock::new("2026-03-03T12:00:00Z".parse().expect("an instant")));
    let (begun, armed) = (Begun::default(), Armed::default());
    let settings = Settings {
        items,
        clock: clock.clone(),
        faults: Faults::planned(armed.clone()),
        ..Settings::new(folder.path(), runner("old", &begun))
    };
    on_virtual_time(async {
        clock.go();
        let handle = Keepwell::start(settings.clone()).await.expect("it starts");
        let system = System { handle, settings, begun, armed };
        test(&system).await;
        assert_eq!(system.handle.shutdown().await, Vec::new());
    })
    .expect("a runtime");
}

#[test]
fn a_schedule_that_changed_counts_from_now_on() {
    with_items(vec![item("docs", Some("daily 02:00"))], async |system| {
        let due = |hour: u32| format!("2026-03-0{}T{:02}:00:00Z", if hour < 12 { 4 } else { 3 }, hour);
        let next = system.items().await["docs"].next_due.expect("it is due");
        assert_eq!(next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), due(2));
        let new = Reconfiguration {
            items: vec![item("docs", Some("daily 13:00")), item("mail", Some("daily 14:00"))],
            ..system.new_configuration()
        };
        system.handle.reconfigure(new).await.expect("it is taken on");
        let items = system.items().await;
        for (name, hour) in [("docs", 13), ("mail", 14)] {
            let next = items[name].next_due.expect("it is due");
            assert_eq!(next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), due(hour), "{name}");
            assert_eq!(items[name].owner, ItemOwner::ConfigurationFile, "{name}");
        }
        sleep(60 * MINUTE + MINUTE).await;
        assert_eq!(*system.begun.lock(), [("new", "docs".to_owned())]);
    });
}

#[test]
fn an_item_that_was_removed_is_disabled_and_its_task_runs_to_its_end() {
    with_items(vec![item("docs", Some("daily 02:00")), item("mail", None)], async |system| {
        let task = system.perform("docs").await;
        sleep(MINUTE).await;
        let new = Reconfiguration { items: vec![item("mail", None)], ..system.new_configuration() };
        system.handle.reconfigure(new).await.expect("it is taken on");
        let items = system.items().await;
        assert!(!items["docs"].item.enabled);
        assert_eq!(items["docs"].next_due, None);
        assert!(items["mail"].item.enabled);
        assert_eq!(system.task(task).await.state, TaskState::Running);
        sleep(10 * MINUTE).await;
        assert_eq!(system.task(task).await.state, TaskState::Completed);
        assert_eq!(*system.begun.lock(), [("old", "docs".to_owned())]);
        // And back again.
        let old = system.new_configuration();
        system.handle.reconfigure(old).await.expect("it is taken on");
        assert!(system.items().await["docs"].next_due.is_some());
    });
}

#[test]
fn a_limit_that_was_lowered_lets_three_run_to_their_end_and_then_one_at_a_time() {
    let names = ["a", "b", "c", "d", "e"];
    with_items(names.map(|name| item(name, None)).to_vec(), async |system| {
        let mut tasks = Vec::new();
        for name in names {
            tasks.push(system.perform(name).await);
        }
        sleep(MINUTE).await;
        assert_eq!(system.stats().await.running, 3);
        let limits = Limits { max_concurrent_tasks: 1, ..Limits::default() };
        let new = Reconfiguration { limits, ..system.new_configuration() };
        system.handle.reconfigure(new).await.expect("it is taken on");
        let stats = system.stats().await;
        assert_eq!((stats.running, stats.queued, stats.max_concurrent_tasks), (3, 2, 1));
        sleep(10 * MINUTE).await;
        let stats = system.stats().await;
        assert_eq!((stats.running, stats.queued, stats.completed), (1, 1, 3));
        sleep(20 * MINUTE).await;
        for task in tasks {
            assert_eq!(system.task(task).await.state, TaskState::Completed);
        }
        let begun = system.begun.lock().clone();
        assert_eq!(
            begun.iter().map(|(runner, _)| *runner).collect::<Vec<_>>(),
            ["old", "old", "old", "new", "new"]
        );
        // And raised: what waits starts at once.
        for name in names {
            system.perform(name).await;
        }
        let limits = Limits { max_concurrent_tasks: 5, ..Limits::default() };
        let new = Reconfiguration { limits, ..system.new_configuration() };
        system.handle.reconfigure(new).await.expect("it is taken on");
        assert_eq!(system.stats().await.running, 5);
    });
}

#[test]
fn a_number_that_a_command_set_counts_more_than_the_new_configuration_s() {
    with_items(vec![item("docs", None)], async |system| {
        system.handle.ask(SetMaxConcurrentTasks { max_concurrent_tasks: 7 }).await.expect("it is set");
        let limits = Limits { max_concurrent_tasks: 2, ..Limits::default() };
        let new = Reconfiguration { limits, ..system.new_configuration() };
        system.handle.reconfigure(new).await.expect("it is taken on");
        assert_eq!(system.stats().await.max_concurrent_tasks, 7);
    });
}

#[test]
fn an_attempt_that_fails_after_it_is_followed_as_the_new_configuration_says() {
    with_items(vec![item("torn", None)], async |system| {
        let task = system.perform("torn").await;
        sleep(MINUTE / 2).await;
        let retries = RetryPolicy { retries_max: 0, ..RetryPolicy::default() };
        let of_items = [("torn".into(), retries)].into();
        let retries = Retries { of_items, ..Retries::default() };
        let new = Reconfiguration { retries, ..system.new_configuration() };
        system.handle.reconfigure(new).await.expect("it is taken on");
        sleep(MINUTE).await;
        let task = system.task(task).await;
        assert_eq!((task.state, task.attempt), (TaskState::Failed, 1));
    });
}

#[test]
fn an_actor_that_crashes_after_it_starts_again_with_the_new_one() {
    with_items(vec![item("docs", Some("daily 02:00")), item("mail", None)], async |system| {
        let limits = Limits { max_concurrent_tasks: 2, ..Limits::default() };
        let items = vec![item("docs", Some("daily 15:00"))];
        // It has begun with the first one.
        assert!(system.items().await.contains_key("mail"));
        // Also while it is being taken in.
        for point in ["manager.reconfigured", "scheduler.reconfigured"] {
            system.armed.arm(point);
        }
        let new = Reconfiguration { limits, items, ..system.new_configuration() };
        system.handle.reconfigure(new).await.expect("it is taken on");
        for point in ["manager.reconfigured", "scheduler.reconfigured"] {
            assert!(system.armed.went_off(point), "{point}");
        }
        for point in ["manager.ask", "scheduler.ask"] {
            system.armed.arm(point);
        }
        assert_eq!(system.stats().await.max_concurrent_tasks, 2);
        let items = system.items().await;
        for point in ["manager.ask", "scheduler.ask"] {
            assert!(system.armed.went_off(point), "{point}");
        }
        assert!(!items["mail"].item.enabled);
        let due = items["docs"].next_due.expect("it is due");
        assert_eq!(due.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), "2026-03-03T15:00:00Z");
        system.perform("docs").await;
        sleep(MINUTE).await;
        assert_eq!(*system.begun.lock(), [("new", "docs".to_owned())]);
    });
}

#[test]
fn an_item_that_is_not_valid_changes_nothing() {
    with_items(vec![item("docs", Some("daily 02:00"))], async |system| {
        let limits = Limits { max_concurrent_tasks: 1, ..Limits::default() };
        let items = vec![item("docs", Some("dayly 02:00"))];
        let new = Reconfiguration { limits, items, ..system.new_configuration() };
        let refused = system.handle.reconfigure(new).await.expect_err("it is refused");
        assert!(
            matches!(&refused, ReconfigureError::Item(invalid) if invalid.item == "docs".into()),
            "{refused}"
        );
        assert_eq!(system.stats().await.max_concurrent_tasks, 3);
        assert!(system.items().await["docs"].next_due.is_some());
    });
}
