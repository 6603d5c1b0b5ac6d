//! The six edge cases of the scheduler that Keepwell follows, each shown by the whole actor system on virtual
//! time.

use std::time::Duration;

use chrono::TimeDelta;
use keepwell_messages::{
    CancelReason, DueOutcome, ErrorClass, Event, Missed, PauseAllBackups, PendingReason, PerformBackup,
    Refusal, ResumeAllBackups, ResumeBackup, Task, TaskEnd, TaskState, Trigger,
};
use keepwell_tests::simulated::{World, fails, takes, utc};

fn states(tasks: &[Task]) -> Vec<TaskState> {
    tasks.iter().map(|task| task.state).collect()
}

#[test]
fn edge_case_1_simultaneous_backups_run_three_at_once_and_the_others_wait_in_order() {
    let world = World::at("2026-03-01 01:00");
    for item in ["a", "b", "c", "d", "e"] {
        world.lay_down(item, [takes(600)]);
    }
    world.life(async |life| {
        for item in ["a", "b", "c", "d", "e"] {
            life.set_item(item, Some("daily 02:00")).await;
        }
        life.pass_until("2026-03-01 02:01").await;
        use TaskState::{Pending, Running};
        let active = life.active().await;
        assert_eq!(states(&active), [Running, Running, Running, Pending, Pending]);
        assert!(active[3..].iter().all(|task| task.pending == Some(PendingReason::Queued)));
        life.pass_until("2026-03-01 02:11").await;
        assert_eq!(states(&life.active().await), [Running, Running]);
        life.pass_until("2026-03-01 02:21").await;
        assert_eq!(life.stats().await.completed, 5);
    });
}

#[test]
fn edge_case_2_an_item_that_has_a_task_gets_no_second_one_and_the_refusal_names_the_first() {
    let world = World::at("2026-03-01 01:00");
    world.lay_down("papers", [takes(2 * 3600)]);
    world.life(async |life| {
        life.set_item("papers", Some("daily 02:00")).await;
        let first = life.back_up("papers").await;
        let again = life.refused(PerformBackup { item: "papers".into() }).await;
        assert_eq!(again, Refusal::DuplicateTask(first));
        life.pass_until("2026-03-01 02:30").await;
        assert_eq!(life.active().await.len(), 1);
        let outcomes = life.outcomes("papers").await;
        assert_eq!(outcomes.len(), 1);
        assert_eq!(
            (outcomes[0].due, &outcomes[0].outcome),
            (utc("2026-03-01 02:00"), &DueOutcome::Duplicate(first))
        );
        // A task that waits counts as much as one that runs.
        life.pass_until("2026-03-01 03:30").await;
        life.ask(PauseAllBackups {}).await;
        let waiting = life.back_up("papers").await;
        let again = life.refused(PerformBackup { item: "papers".into() }).await;
        assert_eq!(again, Refusal::DuplicateTask(waiting));
    });
}

#[test]
fn edge_case_3_failures_are_retried_after_30_60_120_s_and_network_errors_after_60_120_240_s() {
    let cases = [
        (ErrorClass::Server, vec![30, 60, 120], TaskState::Failed),
        (ErrorClass::Network, vec![60, 120, 240], TaskState::Failed),
        (ErrorClass::Credentials, vec![], TaskState::Failed),
    ];
    for (class, delays, state) in cases {
        let world = World::at("2026-03-01 01:00");
        world.lay_down("papers", [fails(10, class)]);
        world.life(async |life| {
            life.set_item("papers", Some("daily 02:00")).await;
            let task = life.back_up("papers").await;
            life.pass(1800).await;
            let told: Vec<u64> = life
                .events()
                .iter()
                .filter_map(|event| match &event.event {
                    Event::TaskRetry(retry) => Some((retry.retry.at - event.at).num_seconds() as u64),
                    _ => None,
                })
                .collect();
            assert_eq!(told, delays, "{class:?}");
            let task = life.task(task).await;
            assert_eq!((task.state, task.attempt), (state, delays.len() as u32 + 1), "{class:?}");
            // The schedule goes on.
            life.pass_until("2026-03-01 02:00").await;
            assert_eq!(life.created("papers").len(), 2);
        });
    }
}

#[test]
fn edge_case_3_a_retry_that_succeeds_completes_the_task() {
    let world = World::at("2026-03-01 01:00");
    world.lay_down("papers", [fails(10, ErrorClass::Server), fails(10, ErrorClass::Source), takes(10)]);
    world.life(async |life| {
        life.set_item("papers", None).await;
        let task = life.back_up("papers").await;
        life.pass(300).await;
        let told = life.events_of(task);
        let attempt = ["running", "pending", "task-retry"];
        let whole =
            [&["created", "queued"][..], &attempt, &attempt, &["running", "completed", "task-completed"]];
        assert_eq!(told, whole.concat());
        assert_eq!(life.task(task).await.attempt, 3);
    });
}

#[test]
fn edge_case_4_what_is_overdue_at_a_start_runs_once_at_once_and_the_schedule_goes_on() {
    let world = World::at("2026-03-01 01:00");
    world.life(async |life| {
        life.set_item("papers", Some("daily 02:00")).await;
        life.set_item("mail", Some("every 4h")).await;
    });
    world.off_for(TimeDelta::hours(72) + TimeDelta::minutes(30));
    world.life(async |life| {
        life.pass(1).await;
        let tasks = life.active().await;
        assert_eq!(tasks.len(), 2, "one for each item, however many due times it missed");
        let missed = |since, due| Trigger::CatchUp(Missed { since: utc(since), due: utc(due) });
        assert_eq!(tasks[0].trigger, missed("2026-03-01 02:00", "2026-03-03 02:00"));
        assert_eq!(tasks[1].trigger, missed("2026-03-01 05:00", "2026-03-04 01:00"));
        life.pass_until("2026-03-04 02:30").await;
        let outcomes = life.outcomes("papers").await;
        assert_eq!(outcomes.len(), 2, "{outcomes:?}");
        assert_eq!(outcomes[0].outcome, DueOutcome::CoveredBy(tasks[0].id));
        assert_eq!(outcomes[1].due, utc("2026-03-04 02:00"));
    });
}

#[test]
fn edge_case_4_up_to_a_minute_late_is_not_overdue() {
    let world = World::at("2026-03-01 01:00");
    world.life(async |life| drop(life.set_item("papers", Some("daily 02:00")).await));
    world.off_for(TimeDelta::minutes(60) + TimeDelta::seconds(59));
    world.life(async |life| {
        life.pass(1).await;
        assert_eq!(life.active().await[0].trigger, Trigger::Due(utc("2026-03-01 02:00")));
    });
}

#[test]
fn edge_case_5_global_pause_stands_everything_still_outlives_a_restart_and_resume_all_undoes_it() {
    let world = World::at("2026-03-01 01:00");
    for item in ["a", "b", "c", "d"] {
        world.lay_down(item, [takes(3600)]);
    }
    let tasks = world.life(async |life| {
        let mut tasks = Vec::new();
        for item in ["a", "b", "c", "d"] {
            life.set_item(item, Some("daily 02:00")).await;
            tasks.push(life.back_up(item).await);
        }
        life.pass(60).await;
        assert_eq!(life.ask(PauseAllBackups {}).await.tasks, 3);
        assert!(life.engine.at_work().is_empty());
        use TaskState::{Paused, Pending};
        assert_eq!(states(&life.active().await), [Paused, Paused, Paused, Pending]);
        tasks
    });
    world.life(async |life| {
        assert!(life.stats().await.globally_paused);
        life.pass_until("2026-03-01 02:30").await;
        assert!(life.engine.at_work().is_empty(), "nothing starts");
        let duplicate = life.outcomes("a").await;
        assert_eq!(duplicate[0].outcome, DueOutcome::Duplicate(tasks[0]));
        life.ask(ResumeAllBackups {}).await;
        assert_eq!(life.engine.at_work().len(), 3);
        life.pass(3 * 3600).await;
        for task in tasks {
            assert_eq!(life.state(task).await, TaskState::Completed);
        }
    });
}

#[test]
fn edge_case_5_what_is_due_meanwhile_is_skipped_and_says_so() {
    let world = World::at("2026-03-01 01:00");
    world.life(async |life| {
        life.set_item("papers", Some("daily 02:00")).await;
        life.ask(PauseAllBackups {}).await;
        life.pass_until("2026-03-01 02:30").await;
        let by_hand = life.back_up("papers").await;
        life.pass(600).await;
        assert_eq!(life.state(by_hand).await, TaskState::Pending);
        let skipped = life.outcomes("papers").await;
        assert_eq!(skipped[0].outcome, DueOutcome::GloballyPaused);
        let single = life.refused(ResumeBackup { task: Some(by_hand) }).await;
        assert!(matches!(single, Refusal::WrongState(..)), "{single:?}");
        life.ask(ResumeAllBackups {}).await;
        life.pass(600).await;
        assert_eq!(life.state(by_hand).await, TaskState::Completed);
    });
}

#[test]
fn edge_case_6_a_shutdown_ends_all_tasks_and_what_was_due_is_caught_up() {
    let world = World::at("2026-03-01 01:00");
    world.lay_down("papers", [takes(3600)]);
    let cancelled = world.life(async |life| {
        life.set_item("papers", Some("daily 02:00")).await;
        life.set_item("mail", None).await;
        life.pass_until("2026-03-01 02:10").await;
        let by_hand = life.back_up("mail").await;
        let due = life.created("papers")[0].1;
        assert_eq!(life.handle.shutdown().await, []);
        life.settle().await;
        assert!(life.engine.at_work().is_empty(), "no worker is left");
        for task in [due, by_hand] {
            assert_eq!(life.events_of(task).last(), Some(&"task-cancelled"));
        }
        let after = life.handle.ask(PerformBackup { item: "mail".into() }).await;
        assert!(after.is_err(), "{after:?}");
        due
    });
    world.off_for(TimeDelta::hours(5));
    world.life(async |life| {
        life.pass(2 * 3600).await;
        let task = life.task(cancelled).await;
        assert_eq!(task.end, Some(TaskEnd::Cancelled(CancelReason::Shutdown)));
        let created = life.created("papers");
        assert_eq!(created.len(), 2, "one before the shutdown, one that catches up");
        let outcomes = life.outcomes("papers").await;
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes[0].due, utc("2026-03-01 02:00"));
        assert_eq!(outcomes[0].outcome, DueOutcome::CoveredBy(created[1].1));
        assert_eq!(life.created("mail").len(), 1, "nobody asked again for what was not due");
    });
}

#[test]
fn edge_case_6_a_worker_that_does_not_end_keeps_no_shutdown_waiting_for_ever() {
    let world = World::at("2026-03-01 01:00");
    let hangs = keepwell_actors::simulation::Course {
        end: keepwell_actors::simulation::CourseEnd::Hangs(Duration::from_secs(3600)),
        ..takes(10)
    };
    world.lay_down("papers", [hangs]);
    world.life(async |life| {
        life.set_item("papers", None).await;
        life.back_up("papers").await;
        life.pass(60).await;
        let began = life.now();
        assert_eq!(life.handle.shutdown().await, []);
        assert!(life.now() - began <= TimeDelta::seconds(10), "{}", life.now() - began);
    });
}
