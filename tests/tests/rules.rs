//! Who runs when, in the whole actor system on virtual time: the network's probe, priorities, limits of a
//! repository, jitter, sleep and clock jumps, the end of supervision.

use std::time::Duration;

use chrono::TimeDelta;
use keepwell_actors::board::Limits;
use keepwell_actors::simulation::{Course, CourseEnd};
use keepwell_actors::supervision::{Fault, FaultPlan, Faults};
use keepwell_actors::{AskError, Settings};
use keepwell_messages::{
    DueOutcome, ErrorClass, Event, GetTaskManagerStats, Item, Missed, PendingReason, PerformRestore,
    RestoreRequest, RestoreTarget, ScheduleText, SetItem, TaskEnd, TaskState, Trigger,
};
use keepwell_tests::simulated::{Life, World, fails, item, takes, utc};

fn restore() -> PerformRestore {
    PerformRestore {
        restore: RestoreRequest {
            repository: "cellar".into(),
            snapshot: "latest".into(),
            path: String::new(),
            target: RestoreTarget::Folder("/restored".into()),
            verify: false,
        },
    }
}

fn slots(max_concurrent_tasks: u32) -> impl FnOnce(Settings) -> Settings {
    move |settings| Settings { limits: Limits { max_concurrent_tasks, ..Limits::default() }, ..settings }
}

#[test]
fn of_twenty_tasks_in_an_outage_one_probes_and_the_others_wait_without_spending_retries() {
    let world = World::at("2026-03-01 01:00");
    let names: Vec<String> = (0..20).map(|number| format!("item-{number:02}")).collect();
    for name in &names {
        world.lay_down(name, [fails(5, ErrorClass::Network), takes(5)]);
    }
    // The probe's second attempt still finds nobody.
    world.lay_down(&names[0], [fails(5, ErrorClass::Network), fails(5, ErrorClass::Network), takes(5)]);
    world.life_with(slots(20), async |life| {
        for name in &names {
            life.set_item(name, Some("daily 02:00")).await;
        }
        life.pass_until("2026-03-01 02:01").await;
        let waiting = life.active().await;
        let at_work = |life: &Life| life.started().len();
        assert_eq!(at_work(life), 20);
        let waits = waiting.iter().filter(|task| task.pending == Some(PendingReason::WaitingForNetwork));
        assert_eq!(waits.count(), 19);
        assert!(matches!(waiting[0].pending, Some(PendingReason::Retry(_))), "{:?}", waiting[0]);
        life.pass_until("2026-03-01 02:03").await;
        assert_eq!(at_work(life), 21, "one probe, and nobody else");
        life.pass_until("2026-03-01 02:05").await;
        assert_eq!(life.stats().await.completed, 20);
        for name in &names[1..] {
            let task = life.task(life.created(name)[0].1).await;
            assert_eq!(task.attempt, 1, "{name}: no retry was spent");
        }
        assert_eq!(life.task(life.created(&names[0])[0].1).await.attempt, 3);
    });
}

#[test]
fn a_manual_backup_goes_before_scheduled_ones_that_wait() {
    let world = World::at("2026-03-01 01:00");
    world.life_with(slots(1), async |life| {
        for name in ["a", "b", "c"] {
            life.set_item(name, Some("daily 02:00")).await;
        }
        life.set_item("by hand", None).await;
        life.pass_until("2026-03-01 02:00").await;
        life.back_up("by hand").await;
        life.pass(300).await;
        let started: Vec<String> =
            life.started().iter().filter_map(|attempt| Some(attempt.item.as_ref()?.id.0.clone())).collect();
        assert_eq!(started, ["a", "by hand", "b", "c"]);
    });
}

#[test]
fn a_restore_has_a_slot_of_its_own_and_goes_on_while_everything_is_paused() {
    let world = World::at("2026-03-01 01:00");
    world.lay_down("a", [takes(3600)]);
    world.life_with(slots(1), async |life| {
        life.set_item("a", None).await;
        life.back_up("a").await;
        let first = life.ask(restore()).await.task;
        let second = life.ask(restore()).await.task;
        assert_eq!(
            (life.state(first).await, life.state(second).await),
            (TaskState::Running, TaskState::Pending)
        );
        life.ask(keepwell_messages::PauseAllBackups {}).await;
        life.pass(120).await;
        assert_eq!(life.state(first).await, TaskState::Completed);
        assert!(matches!(life.task(first).await.end, Some(TaskEnd::Restored(_))));
        life.pass(120).await;
        assert_eq!(life.state(second).await, TaskState::Completed);
    });
}

#[test]
fn a_repository_has_a_limit_of_its_own_and_holds_up_no_other() {
    let world = World::at("2026-03-01 01:00");
    let limits = Limits { by_repository: [("cellar".to_owned(), 1)].into(), ..Limits::default() };
    for name in ["a", "b", "c"] {
        world.lay_down(name, [takes(600)]);
    }
    world.life_with(
        |settings| Settings { limits, ..settings },
        async |life| {
            life.set_item("a", None).await;
            life.set_item("b", None).await;
            life.ask(SetItem { item: Item { repository: "cloud".into(), ..item("c", None) } }).await;
            let mut tasks = Vec::new();
            for name in ["a", "b", "c"] {
                tasks.push(life.back_up(name).await);
            }
            use TaskState::{Pending, Running};
            for (task, state) in tasks.iter().zip([Running, Pending, Running]) {
                assert_eq!(life.state(*task).await, state);
            }
            life.pass(660).await;
            assert_eq!(life.state(tasks[1]).await, Running);
        },
    );
}

#[test]
fn jitter_spreads_items_with_one_due_time_and_is_the_same_every_day() {
    let world = World::at("2026-03-01 01:00");
    world.life(async |life| {
        let names: Vec<String> = (0..10).map(|number| format!("item-{number}")).collect();
        for name in &names {
            let schedule = ScheduleText {
                spec: "daily 02:00".into(),
                time_zone: "UTC".into(),
                jitter_seconds: Some(3600),
            };
            life.ask(SetItem { item: Item { schedule: Some(schedule), ..item(name, None) } }).await;
        }
        life.pass_until("2026-03-01 03:10").await;
        let late: Vec<i64> = names
            .iter()
            .map(|name| (life.created(name)[0].0 - utc("2026-03-01 02:00")).num_seconds())
            .collect();
        assert!(late.iter().all(|late| (0..=3600).contains(late)), "{late:?}");
        let distinct: std::collections::BTreeSet<_> = late.iter().collect();
        assert!(distinct.len() >= 9, "{late:?}");
        for name in &names {
            assert_eq!(
                life.outcomes(name).await[0].due,
                utc("2026-03-01 02:00"),
                "outcomes are kept by due time"
            );
        }
    });
}

#[test]
fn after_a_sleep_what_was_missed_is_caught_up_within_a_minute() {
    let world = World::at("2026-03-01 01:00");
    world.life(async |life| {
        life.set_item("papers", Some("every 1h")).await;
        life.pass(1800).await;
        life.jump(TimeDelta::hours(9));
        life.pass(61).await;
        let missed = Missed { since: utc("2026-03-01 02:00"), due: utc("2026-03-01 10:00") };
        assert_eq!(life.active().await[0].trigger, Trigger::CatchUp(missed));
        life.pass_until("2026-03-01 11:30").await;
        assert_eq!(life.created("papers").len(), 2);
    });
}

#[test]
fn a_clock_that_is_set_back_runs_nothing_twice_and_lets_retries_wait_no_longer() {
    let world = World::at("2026-03-01 01:00");
    world.lay_down("papers", [fails(1, ErrorClass::Server), takes(10)]);
    world.life(async |life| {
        life.set_item("papers", Some("daily 02:00")).await;
        life.pass_until("2026-03-01 02:00").await;
        life.pass(5).await;
        life.jump(TimeDelta::hours(-6));
        // Its retry was to be in half a minute; it is not to wait for six hours.
        life.pass(600).await;
        assert_eq!(life.stats().await.completed, 1);
        life.pass(7 * 3600).await;
        assert_eq!(life.created("papers").len(), 1);
        assert_eq!(life.outcomes("papers").await.len(), 1);
    });
}

#[test]
fn what_ran_before_the_clock_was_set_back_keeps_its_outcome_when_a_shutdown_ends_a_manual_backup() {
    let world = World::at("2026-03-01 01:00");
    world.lay_down("papers", [takes(60), takes(7200), takes(60)]);
    world.life(async |life| {
        life.set_item("papers", Some("daily 02:00")).await;
        life.pass_until("2026-03-01 02:30").await;
        life.jump(TimeDelta::minutes(-60));
        life.pass(90).await;
        life.back_up("papers").await;
        life.pass_until("2026-03-01 03:00").await;
        life.handle.shutdown().await;
    });
    world.life(async |life| {
        life.pass_until("2026-03-02 03:00").await;
        let outcomes = life.outcomes("papers").await;
        let dues: Vec<String> = outcomes.iter().map(|outcome| outcome.due.to_rfc3339()).collect();
        assert_eq!(dues, ["2026-03-01T02:00:00+00:00", "2026-03-02T02:00:00+00:00"]);
        assert!(outcomes.iter().all(|one| matches!(one.outcome, DueOutcome::Ran(_))), "{outcomes:?}");
    });
}

#[test]
fn a_clock_that_showed_a_far_future_for_a_minute_stops_no_schedule() {
    let right = utc("2026-03-01 01:30");
    let check = async |life: &Life| {
        life.pass_until("2026-03-03 03:00").await;
        let starts: Vec<_> =
            life.created("papers").iter().map(|(at, _)| at.date_naive().to_string()).collect();
        assert_eq!(starts[starts.len() - 2..], ["2026-03-02", "2026-03-03"], "{starts:?}");
        let outcomes = life.outcomes("papers").await;
        assert!(outcomes.iter().all(|outcome| outcome.due <= life.now()), "{outcomes:?}");
        let due = |text| outcomes.iter().filter(|outcome| outcome.due == utc(text)).count();
        assert_eq!((due("2026-03-02 02:00"), due("2026-03-03 02:00")), (1, 1), "{outcomes:?}");
    };
    let be_wrong = async |life: &Life| {
        life.set_item("papers", Some("daily 02:00")).await;
        life.pass_until("2026-03-01 01:30").await;
        life.jump(TimeDelta::days(40 * 365));
        life.pass(90).await;
        assert_eq!(life.created("papers").len(), 1);
    };
    for seconds in [5, 600] {
        // The clock is set right while the engine runs, before and after the backup's end.
        let world = World::at("2026-03-01 01:00");
        world.lay_down("papers", [takes(seconds)]);
        world.life(async |life| {
            be_wrong(life).await;
            life.jump(right - life.now());
            check(life).await;
        });
        // And while it does not.
        let world = World::at("2026-03-01 01:00");
        world.lay_down("papers", [takes(seconds)]);
        world.life(async |life| {
            be_wrong(life).await;
        });
        world.off_for(TimeDelta::days(-40 * 365));
        world.life(async |life| check(life).await);
    }
}

#[test]
fn a_worker_that_hangs_is_given_up_counted_and_tried_again() {
    let world = World::at("2026-03-01 01:00");
    let hangs = Course { end: CourseEnd::Hangs(Duration::from_secs(3600)), ..takes(10) };
    world.lay_down("papers", [hangs, takes(10)]);
    world.life(async |life| {
        life.set_item("papers", None).await;
        let task = life.back_up("papers").await;
        life.pass(29 * 60).await;
        assert_eq!(life.state(task).await, TaskState::Running);
        life.pass(2 * 60).await;
        assert_eq!(life.stats().await.fenced_workers, 1);
        life.pass(120).await;
        let ended = life.task(task).await;
        assert_eq!((ended.state, ended.attempt), (TaskState::Completed, 2));
        life.pass(3600).await;
        assert_eq!(life.stats().await.fenced_workers, 0);
    });
}

/// The manager panics over every command.
struct EveryCommand;

impl FaultPlan for EveryCommand {
    fn fault_at(&self, point: &str, _: u64) -> Fault {
        if point == "manager.ask" { Fault::Panic } else { Fault::None }
    }
}

#[test]
fn supervision_that_is_given_up_says_so_to_everybody_who_asks_and_the_next_start_goes_on() {
    let world = World::at("2026-03-01 01:00");
    world.life_with(
        |settings| Settings { faults: Faults::planned(EveryCommand), ..settings },
        async |life| {
            life.set_item("papers", Some("daily 02:00")).await;
            let mut last = None;
            for _ in 0..4 {
                last = life.handle.ask(GetTaskManagerStats {}).await.err();
            }
            let said = last.expect("it fails").to_string();
            assert!(said.starts_with("manager was given up after 5 restarts in a short time"), "{said}");
            life.until(|life| {
                life.events().iter().any(|event| match &event.event {
                    Event::ActorCrashed(crashed) => crashed.failure.why == said,
                    _ => false,
                })
            })
            .await;
            // What falls due has no outcome, and is not lost.
            life.pass_until("2026-03-01 03:00").await;
            assert!(matches!(life.handle.ask(restore()).await, Err(AskError::Unreachable(_))));
        },
    );
    world.life(async |life| {
        life.pass(300).await;
        let outcomes = life.outcomes("papers").await;
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes[0].outcome, DueOutcome::CoveredBy(life.created("papers")[0].1));
    });
}
